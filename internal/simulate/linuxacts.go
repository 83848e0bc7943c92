package simulate

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A unixUser is an account of a Linux host.
type unixUser struct {
	name string
	uid  int
}

// nobody is the login id of what no login started.
const nobody = 4294967295

// A task is a process on a Linux host.
type task struct {
	h         *host
	pid, ppid int
	exe       string
	as        unixUser
	login     unixUser // who logged in
	session   int      // nobody: none
	cwd       string
}

// A shell is somebody's interactive shell over SSH.
type shell struct {
	task
	from   string
	port   int // of the client
	sshd   int // the process that serves it
	logind int // the number that systemd gives the session
}

// nextPID is a number for a process that starts then. Numbers grow with the time
// of day, as the kernel hands them out, whatever the order in which the day is
// told, and none is used twice.
func (h *host) nextPID(at time.Time) int {
	const perDay = 28000
	pid := h.pid + int(at.Sub(h.w.day)*perDay/(24*time.Hour))
	for h.taken[pid] {
		pid++
	}
	h.taken[pid] = true
	return pid
}

// daemon is a process that runs since boot.
func (h *host) daemon(exe string, as unixUser) task {
	return task{h: h, pid: h.nextPID(h.w.day.Add(-time.Duration(1+h.rng.IntN(400)) * time.Second)), ppid: 1, exe: exe, as: as, login: unixUser{"unset", nobody}, session: nobody, cwd: "/"}
}

// syscall is the record that all calls have.
func (t *task) syscall(nr int, name string, success bool, exit string, args, key string) [2]string {
	ok := "yes"
	if !success {
		ok = "no"
	}
	tty := "(none)"
	if t.session != nobody {
		tty = "pts0"
	}
	return f("SYSCALL", fmt.Sprintf("arch=c000003e syscall=%d success=%s exit=%s %s items=1 ppid=%d pid=%d auid=%d uid=%d gid=%d euid=%d suid=%d fsuid=%d egid=%d sgid=%d fsgid=%d tty=%s ses=%d comm=%s exe=%s key=\"%s\"\x1dARCH=x86_64 SYSCALL=%s AUID=\"%s\" UID=\"%s\" GID=\"%s\" EUID=\"%s\"",
		nr, ok, exit, args, t.ppid, t.pid, t.login.uid, t.as.uid, t.as.uid, t.as.uid, t.as.uid, t.as.uid, t.as.uid, t.as.uid, t.as.uid, tty, t.session, auditText(comm(t.exe)), auditText(t.exe), key, name, t.login.name, t.as.name, t.as.name, t.as.name))
}

func comm(exe string) string {
	c := base(exe)
	if len(c) > 15 {
		c = c[:15]
	}
	return c
}

// run starts a program: its path, then its arguments.
func (t *task) run(at time.Time, exe string, args ...string) *task {
	return t.runAs(at, t.as, exe, args...)
}

func (t *task) runAs(at time.Time, as unixUser, exe string, args ...string) *task {
	h := t.h
	c := &task{h: h, pid: h.nextPID(at), ppid: t.pid, exe: exe, as: as, login: t.login, session: t.session, cwd: t.cwd}
	argv := append([]string{base(exe)}, args...)
	var x strings.Builder
	fmt.Fprintf(&x, "argc=%d", len(argv))
	for i, a := range argv {
		fmt.Fprintf(&x, " a%d=%s", i, auditText(a))
	}
	h.w.add(h.auditLog, at, &auditEvent{h, at, [][2]string{
		c.syscall(59, "execve", true, "0", "a0=55d0c1a2b3c0 a1=55d0c1a2b4d8 a2=55d0c1a2b5f0 a3=8", "exec"), f("EXECVE", x.String()), f("CWD", "cwd="+auditText(t.cwd)),
		f("PATH", fmt.Sprintf("item=0 name=%s inode=%d dev=103:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0", auditText(exe), 2000+len(exe)*31)),
		f("PROCTITLE", "proctitle="+strings.ToUpper(hex.EncodeToString([]byte(strings.Join(argv, "\x00")))))}})
	return c
}

// connect opens a TCP connection; the sensor on the wire sees those that leave
// the host's link.
func (t *task) connect(at time.Time, to string, port int, sent, got int, lasted time.Duration) {
	ip := netip.MustParseAddr(to).As4()
	t.h.w.add(t.h.auditLog, at, &auditEvent{t.h, at, [][2]string{t.syscall(42, "connect", false, "-115", "a0=3 a1=7ffd12c0 a2=10 a3=0", "net"),
		f("SOCKADDR", fmt.Sprintf("saddr=0200%04X%02X%02X%02X%02X0000000000000000", port, ip[0], ip[1], ip[2], ip[3])), f("PROCTITLE", "proctitle="+strings.ToUpper(hex.EncodeToString([]byte(base(t.exe)))))}})
	if !netip.MustParseAddr(to).IsLinkLocalUnicast() {
		t.h.w.estate.sensor.flow(at.Add(time.Millisecond), flow{src: t.h.ip, srcPort: 32800 + t.h.rng.IntN(28000), dst: to, dstPort: port, sent: sent, got: got, lasted: lasted})
	}
}

// open opens a file that is watched; flags is O_RDONLY or the flags of writing.
func (t *task) open(at time.Time, path string, write bool, key string) {
	flags, kind := "a2=0", "NORMAL"
	if write {
		flags = "a2=241"
	}
	t.h.w.add(t.h.auditLog, at, &auditEvent{t.h, at, [][2]string{t.syscall(257, "openat", true, "3", "a0=ffffff9c a1=7ffe0a1b "+flags+" a3=1b6", key), f("CWD", "cwd="+auditText(t.cwd)),
		f("PATH", fmt.Sprintf("item=0 name=%s inode=%d dev=103:01 mode=0100600 ouid=%d ogid=%d rdev=00:00 nametype=%s", auditText(path), 9000+len(path)*17, t.as.uid, t.as.uid, kind))}})
}

// message is a record that a program writes to the audit log itself.
func (h *host) message(at time.Time, kind string, pid int, auid, ses int, what string) {
	h.w.add(h.auditLog, at, &auditEvent{h, at, [][2]string{f(kind, fmt.Sprintf("pid=%d uid=0 auid=%d ses=%d msg='%s'", pid, auid, ses, what))}})
}

// sshFailed is a wrong password over SSH; known says whether the account exists.
func (h *host) sshFailed(at time.Time, user, from string, known bool) {
	pid, port := h.nextPID(at), 30000+h.rng.IntN(30000)
	invalid := ""
	if !known {
		invalid = "invalid user "
		h.syslog(h.authLog, at.Add(-400*time.Millisecond), "sshd", pid, "Invalid user %s from %s port %d", user, from, port)
	}
	h.syslog(h.authLog, at.Add(-200*time.Millisecond), "sshd", pid, "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s%s", from, pamUser(user, known))
	h.syslog(h.authLog, at, "sshd", pid, "Failed password for %s%s from %s port %d ssh2", invalid, user, from, port)
	h.syslog(h.authLog, at.Add(150*time.Millisecond), "sshd", pid, "Connection closed by %suser %s %s port %d [preauth]", authenticating(known), user, from, port)
	h.message(at.Add(2*time.Millisecond), "USER_LOGIN", pid, nobody, nobody, fmt.Sprintf(`op=login acct="%s" exe="/usr/sbin/sshd" hostname=? addr=%s terminal=ssh res=failed`, user, from))
	h.w.estate.sensor.flow(at.Add(-900*time.Millisecond), flow{src: from, srcPort: port, dst: h.ip, dstPort: 22, sent: 1900, got: 2300, lasted: 2 * time.Second})
}

func pamUser(user string, known bool) string {
	if known {
		return "  user=" + user
	}
	return ""
}

func authenticating(known bool) string {
	if known {
		return "authenticating "
	}
	return "invalid "
}

// sshLogin logs somebody in over SSH, by "password" or "publickey".
func (h *host) sshLogin(at time.Time, as unixUser, from, method string, lasts time.Duration) *shell {
	pid, port := h.nextPID(at), 30000+h.rng.IntN(30000)
	h.sessions++
	s := &shell{from: from, port: port, sshd: pid, logind: h.sessions}
	s.task = task{h: h, pid: pid, ppid: 1, exe: "/usr/sbin/sshd", as: as, login: as, session: h.sessions, cwd: "/home/" + as.name}
	key := ""
	if method == "publickey" {
		key = ": ED25519 SHA256:" + digest(as.name+from, 43)
	}
	h.syslog(h.authLog, at, "sshd", pid, "Accepted %s for %s from %s port %d ssh2%s", method, as.name, from, port, key)
	h.syslog(h.authLog, at.Add(20*time.Millisecond), "sshd", pid, "pam_unix(sshd:session): session opened for user %s(uid=%d) by (uid=0)", as.name, as.uid)
	h.syslog(h.authLog, at.Add(40*time.Millisecond), "systemd-logind", 612, "New session %d of user %s.", h.sessions, as.name)
	h.message(at.Add(2*time.Millisecond), "USER_LOGIN", pid, as.uid, h.sessions, fmt.Sprintf(`op=login acct="%s" exe="/usr/sbin/sshd" hostname=%s addr=%s terminal=/dev/pts/0 res=success`, as.name, from, from))
	h.w.estate.sensor.flow(at.Add(-900*time.Millisecond), flow{src: from, srcPort: port, dst: h.ip, dstPort: 22, sent: 9000 + h.rng.IntN(40000), got: 30000 + h.rng.IntN(200000), lasted: lasts})
	bash := s.run(at.Add(90*time.Millisecond), "/usr/bin/bash")
	s.pid, s.ppid, s.exe = bash.pid, pid, bash.exe
	return s
}

// logout ends the login.
func (s *shell) logout(at time.Time) {
	h := s.h
	h.syslog(h.authLog, at, "sshd", s.sshd, "Disconnected from user %s %s port %d", s.login.name, s.from, s.port)
	h.syslog(h.authLog, at.Add(9*time.Millisecond), "sshd", s.sshd, "pam_unix(sshd:session): session closed for user %s", s.login.name)
	h.syslog(h.authLog, at.Add(30*time.Millisecond), "systemd-logind", 612, "Removed session %d.", s.logind)
	h.message(at.Add(10*time.Millisecond), "USER_END", s.sshd, s.login.uid, s.session, fmt.Sprintf(`op=PAM:session_close grantors=pam_unix acct="%s" exe="/usr/sbin/sshd" hostname=%s addr=%s terminal=ssh res=success`, s.login.name, s.from, s.from))
}

// sudo runs a program as root and returns it.
func (s *shell) sudo(at time.Time, exe string, args ...string) *task {
	h := s.h
	command := strings.Join(append([]string{exe}, args...), " ")
	sudo := s.run(at, "/usr/bin/sudo", append([]string{base(exe)}, args...)...)
	h.syslog(h.authLog, at.Add(15*time.Millisecond), "sudo", 0, "%s : TTY=pts/0 ; PWD=%s ; USER=root ; COMMAND=%s", s.as.name, s.cwd, command)
	h.syslog(h.authLog, at.Add(17*time.Millisecond), "sudo", 0, "pam_unix(sudo:session): session opened for user root(uid=0) by %s(uid=%d)", s.as.name, s.as.uid)
	h.message(at.Add(16*time.Millisecond), "USER_CMD", sudo.pid, s.login.uid, s.session, fmt.Sprintf(`cwd="%s" cmd=%s exe="/usr/bin/sudo" terminal=pts/0 res=success`, s.cwd, auditText(command)))
	return sudo.runAs(at.Add(25*time.Millisecond), unixUser{"root", 0}, exe, args...)
}
