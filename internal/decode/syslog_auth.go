package decode

import (
	"net/netip"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// syslogFields are the fields of syslog events that model does not name.
//
//	user          the account the line is about: who logged on, who ran sudo
//	ruser         who did it to user, where that is another: su, useradd
//	remote_port, method, tty, session, repeated
//	USER, TTY, PWD, COMMAND, GROUP   as sudo writes them
type syslogFields struct {
	severity, remotePort, repeated, session, tty, unit  model.FieldID
	sudoTTY, sudoPWD, sudoCommand, sudoGroup, publicKey model.FieldID
}

func newSyslogFields(n *model.Names) *syslogFields {
	return &syslogFields{
		severity: n.ID("severity"), remotePort: n.ID("remote_port"), repeated: n.ID("repeated"),
		session: n.ID("session"), tty: n.ID("tty"), unit: n.ID("unit"),
		sudoTTY: n.ID("TTY"), sudoPWD: n.ID("PWD"), sudoCommand: n.ID("COMMAND"), sudoGroup: n.ID("GROUP"),
		publicKey: n.ID("public_key"),
	}
}

// syslogService is the service of Sigma's linux logsources for a program.
func syslogService(program string) string {
	switch program {
	case "sshd", "sshd-session", "sshd-auth", "dropbear":
		return "sshd"
	case "sudo":
		return "sudo"
	case "cron", "CRON", "crond", "CROND", "crontab", "anacron", "fcron":
		return "cron"
	case "su", "login", "passwd", "chpasswd", "useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "gpasswd", "chage", "newusers",
		"systemd-logind", "polkitd", "pkexec", "polkit-agent-helper-1", "gdm-password", "gdm-password]", "lightdm", "sddm", "runuser", "newgrp", "unix_chkpwd", "doas":
		return "auth"
	case "vsftpd":
		return "vsftpd"
	case "clamd", "clamav-daemon", "freshclam", "clamav":
		return "clamav"
	case "guacd", "guacamole":
		return "guacamole"
	case "modsecurity":
		return "modsecurity"
	}
	return "syslog"
}

// describe fills e and the slots of the event under construction from one
// message of a program. e.Host is known by then.
func (f *syslogFields) describe(b *Batch, e *model.Event, program, pid, message string) {
	e.Source = model.LogSource{Product: "linux", Service: syslogService(program)}
	defer func() { e.Subsystem = linuxSubsystem(e.Source, program) }() // the message may tell of more than its program
	set := func(id model.FieldID, s string) {
		if s != "" {
			b.Slot(id, model.String, s)
		}
	}
	set(model.FProgram, program)
	if pid != "" {
		b.Slot(model.FPid, model.Number, pid)
	}
	set(model.FMessageLower, message)
	l := syslogLine{f: f, b: b, e: e, program: program}
	m := message
	if rest, ok := strings.CutPrefix(m, "message repeated "); ok { // rsyslog's "message repeated 3 times: [ ... ]"
		if times, inner, ok := strings.Cut(rest, " times: [ "); ok {
			b.Slot(f.repeated, model.Number, times)
			m = strings.TrimSuffix(inner, "]")
		}
	}
	if cloudAgent(program) && instanceIn(m) != "" {
		e.Act = model.ActIdentify
		return
	}
	if strings.HasPrefix(m, "pam_") && l.pam(m) {
		return
	}
	switch e.Source.Service {
	case "sshd":
		l.sshd(m)
	case "sudo":
		l.sudo(m)
	case "cron":
		l.cron(m)
	case "auth":
		l.auth(m)
	case "syslog", "vsftpd":
		if program == "systemd" {
			l.systemd(m)
			return
		}
		l.daemon(m)
	}
}

// A syslogLine is one message being read.
type syslogLine struct {
	f       *syslogFields
	b       *Batch
	e       *model.Event
	program string
}

func (l *syslogLine) set(id model.FieldID, s string) {
	if s != "" {
		l.b.Slot(id, model.String, s)
	}
}

func (l *syslogLine) is(a model.Act, code string) { l.e.Act, l.e.Code = a, code }

// from sets the remote end from "1.2.3.4 port 22 ssh2" or "1.2.3.4".
func (l *syslogLine) from(s string) {
	ip, rest, _ := strings.Cut(s, " ")
	if ip = strings.Trim(ip, "[](),"); !strings.HasSuffix(ip, "::") {
		ip = strings.TrimSuffix(ip, ":") // "Received disconnect from 1.2.3.4: 11: ..." of old sshd
	}
	l.set(model.FRemoteIp, ip)
	if rest, ok := strings.CutPrefix(rest, "port "); ok {
		if _, n := number(rest, 5); n > 0 {
			l.b.Slot(l.f.remotePort, model.Number, rest[:n])
		}
	}
}

// sshd reads a message of OpenSSH. The name a client sends stands in the middle
// of a line and may hold anything, " from 1.2.3.4" too, so the address is looked
// for from the right.
func (l *syslogLine) sshd(m string) {
	m = strings.TrimPrefix(m, "error: ")
	switch {
	case strings.HasPrefix(m, "Accepted "):
		l.attempt(m[9:])
		l.is(model.ActLogon, "accepted")
	case strings.HasPrefix(m, "Failed ") && strings.Contains(m, " for ") && strings.Contains(m, " from "):
		l.attempt(m[7:])
		l.is(model.ActLogonFailed, "failed")
	case strings.HasPrefix(m, "Invalid user "), strings.HasPrefix(m, "Illegal user "):
		if i := strings.LastIndex(m, " from "); i >= 12 {
			l.set(model.FUserLower, strings.TrimSpace(m[12:i]))
			l.from(m[i+6:])
		}
		l.is(model.ActLogonFailed, "invalid_user")
	case strings.HasPrefix(m, "User ") && strings.Contains(m, " not allowed because "):
		who, _, _ := strings.Cut(m[5:], " not allowed because ")
		user, ip, _ := cutLast(who, " from ")
		l.set(model.FUserLower, user)
		l.from(ip)
		l.is(model.ActLogonFailed, "not_allowed")
	case strings.HasPrefix(m, "Disconnected from user "):
		user, rest, _ := strings.Cut(m[23:], " ")
		l.set(model.FUserLower, user)
		l.from(rest)
		l.is(model.ActLogoff, "disconnected")
	case strings.HasPrefix(m, "Starting session: "):
		what, rest, _ := strings.Cut(m[18:], " for ")
		user, ip, _ := strings.Cut(rest, " from ")
		l.set(model.FUserLower, user)
		l.from(ip)
		l.e.Code = "session"
		if what == "command" || strings.HasPrefix(what, "forced-command") {
			l.is(model.ActRemoteExec, "command")
		}
	default:
		for _, lead := range [...]string{"authenticating user ", "invalid user ", "exceeded for "} {
			if _, rest, ok := strings.Cut(m, lead); ok {
				rest = strings.TrimPrefix(rest, "invalid user ")
				user, _, _ := strings.Cut(rest, " ")
				l.set(model.FUserLower, user)
				break
			}
		}
		l.anyAddress(m)
	}
}

// attempt reads "password for [invalid user ]bob from 1.2.3.4 port 22 ssh2[: key]".
func (l *syslogLine) attempt(m string) {
	method, rest, _ := strings.Cut(m, " for ")
	i := strings.LastIndex(rest, " from ")
	if i < 0 {
		return
	}
	l.set(model.FMethod, method)
	user := rest[:i]
	l.set(model.FUserLower, strings.TrimPrefix(user, "invalid user "))
	l.from(rest[i+6:])
	if _, key, ok := strings.Cut(rest[i+6:], " ssh2: "); ok {
		l.set(l.f.publicKey, key)
	}
}

// anyAddress takes the first word that is an IP address as the remote end.
func (l *syslogLine) anyAddress(m string) {
	for rest := m; rest != ""; {
		var w string
		w, rest, _ = strings.Cut(rest, " ")
		if len(w) < 7 && !strings.Contains(w, "::") {
			continue
		}
		w = strings.Trim(w, "[](),")
		if i := strings.LastIndexByte(w, '@'); i >= 0 {
			w = w[i+1:]
		}
		if _, err := netip.ParseAddr(strings.TrimSuffix(w, ":")); err == nil {
			l.from(strings.TrimSuffix(w, ":") + " " + rest)
			return
		}
	}
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// pam reads "pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)".
func (l *syslogLine) pam(m string) bool {
	head, rest, ok := strings.Cut(m, "): ")
	if !ok {
		if head, rest, ok = strings.Cut(m, ") "); !ok { // "pam_unix(su:session) session opened", of old PAM
			return false
		}
	}
	_, service, ok := strings.Cut(head, "(")
	if !ok {
		return false
	}
	service, _, _ = strings.Cut(service, ":")
	switch {
	case strings.HasPrefix(rest, "session opened for user "):
		user, by, _ := strings.Cut(rest[24:], " by ")
		l.set(model.FUserLower, withoutUID(user))
		l.set(model.FRuser, withoutUID(by))
		l.e.Code = "session_opened"
		// sshd says "Accepted" and sudo says "COMMAND" of the same; cron's
		// sessions are no logon. Session classes "user-runtime" are systemd's own.
		switch service {
		case "su", "su-l", "login", "gdm-password", "lightdm", "sddm", "vsftpd", "runuser", "runuser-l":
			l.e.Act = model.ActLogon
		}
	case strings.HasPrefix(rest, "session closed for user "):
		l.set(model.FUserLower, withoutUID(strings.TrimSpace(rest[24:])))
		l.e.Code = "session_closed"
		switch service {
		case "sshd", "su", "su-l", "login", "gdm-password", "lightdm", "sddm", "vsftpd", "runuser", "runuser-l":
			l.e.Act = model.ActLogoff
		}
	case strings.HasPrefix(rest, "authentication failure;"):
		l.pairs(rest[23:])
		l.e.Code = "authentication_failure"
		if service != "sshd" { // sshd says "Failed password" of the same
			l.e.Act = model.ActLogonFailed
		}
	case strings.HasPrefix(rest, "password changed for "):
		l.set(model.FUserLower, strings.TrimSpace(rest[21:]))
		l.is(model.ActAccountChange, "password_changed")
	case strings.HasPrefix(rest, "check pass; user unknown"):
		l.e.Code = "user_unknown"
	}
	return true
}

// pairs reads PAM's "logname= uid=0 euid=0 tty=ssh ruser= rhost=1.2.3.4  user=root".
func (l *syslogLine) pairs(s string) {
	for _, word := range strings.Fields(s) {
		key, value, _ := strings.Cut(word, "=")
		if value == "" {
			continue
		}
		switch key {
		case "user":
			l.set(model.FUserLower, value)
		case "ruser":
			l.set(model.FRuser, value)
		case "rhost":
			l.set(model.FRemoteIp, value)
		case "tty":
			l.set(l.f.tty, value)
		case "uid":
			l.set(model.FUid, value)
		case "euid":
			l.set(model.FEuid, value)
		}
	}
}

// withoutUID cuts "(uid=0)" off a name.
func withoutUID(s string) string {
	s, _, _ = strings.Cut(s, "(")
	return strings.TrimSpace(s)
}

// sudoKeys are the fields of a sudo message in the order in which sudo writes
// them; COMMAND is last and takes the rest of the line.
var sudoKeys = [...]string{"TTY=", "PWD=", "USER=", "GROUP=", "TSID=", "ENV=", "COMMAND="}

// sudo reads "bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/id", with
// a reason before TTY when sudo refused.
func (l *syslogLine) sudo(m string) {
	user, rest, ok := strings.Cut(m, " : ")
	if !ok {
		return
	}
	l.set(model.FUserLower, strings.TrimSpace(user))
	reason, command := "", ""
	for i, key := range sudoKeys {
		at := strings.Index(rest, key)
		if at < 0 || at > 0 && rest[at-1] != ' ' {
			continue
		}
		if reason == "" {
			reason = strings.Trim(rest[:at], " ;")
		}
		value := rest[at+len(key):]
		rest = value
		if key != "COMMAND=" {
			end := len(value)
			for _, next := range sudoKeys[i+1:] { // the nearest key that follows ends the value
				if j := strings.Index(value, " "+next); j >= 0 && j < end {
					end = j
				}
			}
			rest, value = value[end:], strings.TrimRight(value[:end], " ;")
		}
		switch key {
		case "TTY=":
			l.set(l.f.sudoTTY, value)
		case "PWD=":
			l.set(l.f.sudoPWD, value)
		case "USER=":
			l.set(model.FUserUpper, value)
		case "GROUP=":
			l.set(l.f.sudoGroup, value)
		case "COMMAND=":
			l.set(l.f.sudoCommand, value)
			command = value
		}
	}
	switch {
	case strings.Contains(reason, "incorrect password"), strings.Contains(reason, "a password is required"):
		l.is(model.ActLogonFailed, "incorrect_password")
	case strings.Contains(reason, "NOT in sudoers"), strings.Contains(reason, "not allowed"), strings.Contains(reason, "NOT authorized"):
		l.is(model.ActLogonFailed, "not_allowed")
	case command != "":
		l.start(command, "command")
	}
}

// start makes the event that of a started process, which Sigma's rules of
// category process_creation see too.
func (l *syslogLine) start(command, code string) {
	l.is(model.ActProcessStart, code)
	l.e.Source.Category = "process_creation"
	l.set(model.FCommandLine, command)
	if image, _, _ := strings.Cut(command, " "); strings.HasPrefix(image, "/") {
		l.set(model.FImage, image)
	}
}

// cron reads "(root) CMD (command)" and crontab's "(bob) REPLACE (bob)".
func (l *syslogLine) cron(m string) {
	if len(m) == 0 || m[0] != '(' {
		return
	}
	user, rest, ok := strings.Cut(m[1:], ") ")
	if !ok {
		return
	}
	l.set(model.FUserLower, user)
	verb, arg, _ := strings.Cut(rest, " (")
	arg = strings.TrimSuffix(arg, ")")
	switch verb {
	case "CMD":
		l.start(strings.TrimSpace(arg), "cmd")
	case "REPLACE", "DELETE":
		l.set(model.FRuser, user)
		l.is(model.ActTaskCreate, strings.ToLower(verb))
		if verb == "DELETE" {
			l.e.Act = model.ActConfigChange
		}
		l.set(model.FTaskName, "crontab of "+arg)
	default:
		l.e.Code = strings.ToLower(verb)
	}
}

// auth reads what su, useradd and their like, and systemd-logind say.
func (l *syslogLine) auth(m string) {
	switch l.program {
	case "su":
		l.su(m)
	case "login", "doas":
		l.signIn(m)
	case "systemd-logind":
		if rest, ok := strings.CutPrefix(m, "New session "); ok {
			id, user, _ := strings.Cut(rest, " of user ")
			l.set(l.f.session, id)
			l.set(model.FUserLower, strings.TrimSuffix(user, "."))
			l.e.Code = "new_session"
		} else if rest, ok := strings.CutPrefix(m, "Removed session "); ok {
			l.set(l.f.session, strings.TrimSuffix(rest, "."))
			l.e.Code = "removed_session"
		}
	case "useradd", "userdel", "usermod", "groupadd", "groupmod", "groupdel", "gpasswd", "passwd", "chpasswd", "chage", "newusers":
		l.account(m)
	case "pkexec", "polkitd":
		if user, rest, ok := strings.Cut(m, ": Executing command ["); ok {
			l.set(model.FUserLower, user)
			for part := range strings.SplitSeq(rest, "] [") {
				part = strings.TrimRight(part, "]")
				if v, ok := strings.CutPrefix(part, "USER="); ok {
					l.set(model.FUserUpper, v)
				} else if v, ok := strings.CutPrefix(part, "COMMAND="); ok {
					l.start(v, "pkexec")
				}
			}
		}
	}
}

// su reads the four ways in which su tells of a change of user.
func (l *syslogLine) su(m string) {
	switch {
	case strings.HasPrefix(m, "(to "): // (to root) bob on pts/0
		target, rest, _ := strings.Cut(m[4:], ") ")
		by, tty, _ := strings.Cut(rest, " on ")
		l.switched(target, by, tty, true)
	case strings.HasPrefix(m, "Successful su for "), strings.HasPrefix(m, "FAILED su for "):
		_, rest, _ := strings.Cut(m, " for ")
		target, by, _ := strings.Cut(rest, " by ")
		l.switched(target, by, "", m[0] == 'S')
	case strings.HasPrefix(m, "+ "), strings.HasPrefix(m, "- "): // + /dev/pts/0 bob:root
		tty, who, _ := strings.Cut(m[2:], " ")
		by, target, _ := strings.Cut(who, ":")
		l.switched(target, by, tty, m[0] == '+')
	case strings.HasPrefix(m, "FAILED SU (to "): // FAILED SU (to root) bob on pts/0
		target, rest, _ := strings.Cut(m[14:], ") ")
		by, tty, _ := strings.Cut(rest, " on ")
		l.switched(target, by, tty, false)
	}
}

func (l *syslogLine) switched(target, by, tty string, ok bool) {
	l.set(model.FUserLower, target)
	l.set(model.FRuser, by)
	l.set(l.f.tty, tty)
	if ok {
		l.is(model.ActExplicitCreds, "su")
	} else {
		l.is(model.ActLogonFailed, "su_failed")
	}
}

// account reads what the shadow tools say of accounts and groups.
func (l *syslogLine) account(m string) {
	quoted := func(s string) (string, string) { // 'bob' to group 'sudo'
		_, rest, ok := strings.Cut(s, "'")
		if !ok {
			return "", s
		}
		name, rest, _ := strings.Cut(rest, "'")
		return name, rest
	}
	switch {
	case strings.HasPrefix(m, "new user: "), strings.HasPrefix(m, "new group: "):
		kind := "new_user"
		id := model.FUserLower
		if m[4] == 'g' {
			kind, id = "new_group", model.FGroup
		}
		_, rest, _ := strings.Cut(m, "name=")
		name, rest, _ := strings.Cut(rest, ",")
		l.set(id, name)
		for part := range strings.SplitSeq(rest, ",") {
			if uid, ok := strings.CutPrefix(strings.TrimSpace(part), "UID="); ok {
				l.set(model.FUid, uid)
			}
		}
		l.is(model.ActAccountChange, kind)
	case strings.HasPrefix(m, "group added to "):
		_, rest, _ := strings.Cut(m, "name=")
		name, _, _ := strings.Cut(rest, ",")
		l.set(model.FGroup, name)
		l.is(model.ActAccountChange, "new_group")
	case strings.HasPrefix(m, "add '"):
		user, rest := quoted(m)
		group, _ := quoted(rest)
		l.set(model.FUserLower, user)
		l.set(model.FGroup, group)
		l.is(model.ActAccountChange, "group_add")
	case strings.HasPrefix(m, "user ") && strings.Contains(m, " added by "): // user bob added by root to group sudo
		user, rest, _ := strings.Cut(m[5:], " added by ")
		by, group, _ := strings.Cut(rest, " to group ")
		l.set(model.FUserLower, user)
		l.set(model.FRuser, by)
		l.set(model.FGroup, group)
		l.is(model.ActAccountChange, "group_add")
	case strings.HasPrefix(m, "change user '"), strings.HasPrefix(m, "delete user '"), strings.HasPrefix(m, "lock user '"), strings.HasPrefix(m, "unlock user '"):
		user, _ := quoted(m)
		verb, _, _ := strings.Cut(m, " ")
		l.set(model.FUserLower, user)
		l.is(model.ActAccountChange, verb+"_user")
	case strings.HasPrefix(m, "changed password expiry for "):
		l.set(model.FUserLower, m[28:])
		l.is(model.ActAccountChange, "password_expiry")
	case strings.HasPrefix(m, "failed adding user "):
		name, _, _ := strings.Cut(strings.Trim(m[19:], "'"), ",")
		l.set(model.FUserLower, strings.Trim(name, "'"))
		l.e.Code = "failed_adding_user"
	}
}

// systemd reads the start and stop of units.
func (l *syslogLine) systemd(m string) {
	for _, verb := range [...]string{"Started ", "Starting ", "Stopped ", "Stopping ", "Reloading "} {
		if unit, ok := strings.CutPrefix(m, verb); ok {
			l.set(l.f.unit, strings.TrimRight(unit, "."))
			l.e.Code = strings.ToLower(strings.TrimSpace(verb))
			return
		}
	}
}
