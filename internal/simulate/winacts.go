package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An identity is an account with its rights in a logon session.
type identity struct {
	name, domain, sid string
	logon             uint64
	integrity         string
}

func (i identity) full() string     { return i.domain + `\` + i.name }
func (i identity) logonHex() string { return "0x" + strconv.FormatUint(i.logon, 16) }

// A proc is a process on a Windows host.
type proc struct {
	h          *host
	pid        int
	guid       string
	image, cmd string
	parent     *proc
	as         identity
}

// A session is a logon on a Windows host.
type session struct {
	h     *host
	kind  int
	as    identity
	shell *proc // explorer, for a person at the machine
}

func number(n int) string  { return strconv.Itoa(n) }
func hexPID(n int) string  { return "0x" + strconv.FormatInt(int64(n), 16) }
func base(s string) string { return s[strings.LastIndexAny(s, `\/`)+1:] }

// newProc makes a process that nobody tells of.
func (h *host) newProc(at time.Time, parent *proc, image, cmd string, as identity) *proc {
	h.pid += 4 * (1 + h.rng.IntN(40))
	if h.pid > 30000 {
		h.pid = 4 * (300 + h.rng.IntN(200))
	}
	h.seen++
	s := strconv.FormatInt(at.Unix(), 16)
	guid := fmt.Sprintf("%s-%s-%s-%04x-%012x", h.machine, s[len(s)-4:], s[:4], h.seen&0xffff, uint64(h.seen)<<20|uint64(h.pid))
	return &proc{h: h, pid: h.pid, guid: "{" + guid + "}", image: image, cmd: cmd, parent: parent, as: as}
}

// event writes an event of the host.
func (h *host) event(at time.Time, kind winKind, id int, fields ...[2]string) {
	h.w.add(h.log, at, &winEvent{h: h, at: at, kind: kind, id: id, fields: fields})
}

// utc is Sysmon's own stamp, by the host's clock.
func (h *host) utc(at time.Time) string { return at.Add(h.drift).Format("2006-01-02 15:04:05.000") }

func f(name, value string) [2]string { return [2]string{name, value} }

// start starts a process as its parent's user.
func (p *proc) start(at time.Time, image, cmd string) *proc { return p.startAs(at, image, cmd, p.as) }

// startAs starts a process as somebody: Sysmon 1, and 4688 where that is audited.
func (p *proc) startAs(at time.Time, image, cmd string, as identity) *proc {
	h := p.h
	c := h.newProc(at, p, image, cmd, as)
	h.event(at, sysmonLog, 1, f("RuleName", "-"), f("UtcTime", h.utc(at)), f("ProcessGuid", c.guid), f("ProcessId", number(c.pid)), f("Image", image),
		f("OriginalFileName", base(image)), f("CommandLine", cmd), f("CurrentDirectory", dirOf(image)), f("User", as.full()), f("LogonId", as.logonHex()),
		f("TerminalSessionId", "1"), f("IntegrityLevel", as.integrity), f("Hashes", "SHA256="+strings.ToUpper(digest(strings.ToLower(base(image)), 64))),
		f("ParentProcessGuid", p.guid), f("ParentProcessId", number(p.pid)), f("ParentImage", p.image), f("ParentCommandLine", p.cmd), f("ParentUser", p.as.full()))
	if h.audit {
		h.event(at.Add(2*time.Millisecond), securityLog, 4688, f("SubjectUserSid", p.as.sid), f("SubjectUserName", p.as.name), f("SubjectDomainName", p.as.domain), f("SubjectLogonId", p.as.logonHex()),
			f("NewProcessId", hexPID(c.pid)), f("NewProcessName", image), f("TokenElevationType", "%%1936"), f("ProcessId", hexPID(p.pid)), f("CommandLine", cmd),
			f("TargetUserSid", "S-1-0-0"), f("TargetUserName", "-"), f("TargetDomainName", "-"), f("TargetLogonId", "0x0"), f("ParentProcessName", p.image), f("MandatoryLabel", "S-1-16-12288"))
	}
	return c
}

func dirOf(image string) string {
	if i := strings.LastIndexByte(image, '\\'); i >= 0 {
		return image[:i+1]
	}
	return `C:\`
}

// who are the fields by which most of Sysmon's events name their process.
func (p *proc) who(at time.Time) [][2]string {
	return [][2]string{f("RuleName", "-"), f("UtcTime", p.h.utc(at)), f("ProcessGuid", p.guid), f("ProcessId", number(p.pid)), f("Image", p.image)}
}

func (p *proc) tell(at time.Time, id int, more ...[2]string) {
	p.h.event(at, sysmonLog, id, append(append(p.who(at), more...), f("User", p.as.full()))...)
}

// end ends the process.
func (p *proc) end(at time.Time) { p.tell(at, 5) }

// connect opens a TCP connection, which the sensor on the wire sees too.
func (p *proc) connect(at time.Time, to string, port int, name string, sent, got int, lasted time.Duration) {
	h := p.h
	src := 49200 + h.rng.IntN(16000)
	p.tell(at, 3, f("Protocol", "tcp"), f("Initiated", "true"), f("SourceIsIpv6", "false"), f("SourceIp", h.ip), f("SourceHostname", h.fqdn), f("SourcePort", number(src)),
		f("DestinationIsIpv6", "false"), f("DestinationIp", to), f("DestinationHostname", name), f("DestinationPort", number(port)))
	h.w.estate.sensor.flow(at.Add(-3*time.Millisecond), flow{src: h.ip, srcPort: src, dst: to, dstPort: port, sent: sent, got: got, lasted: lasted})
}

// resolve asks for a name.
func (p *proc) resolve(at time.Time, name, ip string) {
	p.tell(at, 22, f("QueryName", name), f("QueryStatus", "0"), f("QueryResults", "::ffff:"+ip+";"))
}

// write writes a file.
func (p *proc) write(at time.Time, path string) {
	p.tell(at, 11, f("TargetFilename", path), f("CreationUtcTime", p.h.utc(at)))
}

// set sets a registry value.
func (p *proc) set(at time.Time, key, value string) {
	p.tell(at, 13, f("EventType", "SetValue"), f("TargetObject", key), f("Details", value))
}

// open opens another process with the given rights.
func (p *proc) open(at time.Time, target *proc, rights, calls string) {
	p.h.event(at, sysmonLog, 10, f("RuleName", "-"), f("UtcTime", p.h.utc(at)), f("SourceProcessGUID", p.guid), f("SourceProcessId", number(p.pid)), f("SourceThreadId", number(p.pid+8)),
		f("SourceImage", p.image), f("TargetProcessGUID", target.guid), f("TargetProcessId", number(target.pid)), f("TargetImage", target.image), f("GrantedAccess", rights),
		f("CallTrace", calls), f("SourceUser", p.as.full()), f("TargetUser", target.as.full()))
}

// script is a block of PowerShell that ran in the process.
func (p *proc) script(at time.Time, text string) {
	p.h.event(at, scriptLog, 4104, f("MessageNumber", "1"), f("MessageTotal", "1"), f("ScriptBlockText", text), f("ScriptBlockId", digest(text, 32)), f("Path", ""))
}

// logon logs a person on. kind is the logon type: 2 at the machine, 3 over the
// network, 5 a service, 10 by remote desktop. from is nil for the machine itself.
// A domain controller tells of the Kerberos tickets.
func (w *world) logon(at time.Time, p *person, h *host, kind int, from *host) *session {
	as := identity{name: p.login, domain: netbios, sid: p.sid, logon: 0x10000 + uint64(h.rng.Uint32N(0xefffff)), integrity: "Medium"}
	if p.admin {
		as.integrity = "High"
	}
	ip, station := "127.0.0.1", h.name
	asking := h
	if from != nil {
		ip, station, asking = from.ip, from.name, from
	}
	dc := w.estate.dcs[len(p.login)%len(w.estate.dcs)]
	if kind == 2 || kind == 10 {
		dc.event(at.Add(-30*time.Millisecond), securityLog, 4768, f("TargetUserName", p.login), f("TargetDomainName", strings.ToUpper(dnsDomain)), f("TargetSid", p.sid), f("ServiceName", "krbtgt"),
			f("ServiceSid", domainSID+"-502"), f("TicketOptions", "0x40810010"), f("Status", "0x0"), f("TicketEncryptionType", "0x12"), f("PreAuthType", "2"), f("IpAddress", "::ffff:"+asking.ip), f("IpPort", number(50000+h.rng.IntN(9000))))
	}
	if h != dc {
		dc.event(at.Add(-12*time.Millisecond), securityLog, 4769, f("TargetUserName", p.login+"@"+strings.ToUpper(dnsDomain)), f("TargetDomainName", strings.ToUpper(dnsDomain)), f("ServiceName", h.name+"$"), f("ServiceSid", domainSID+"-1105"),
			f("TicketOptions", "0x40810000"), f("TicketEncryptionType", "0x12"), f("IpAddress", "::ffff:"+asking.ip), f("IpPort", number(50000+h.rng.IntN(9000))), f("Status", "0x0"), f("LogonGuid", "{"+uuid(h.rng)+"}"))
	}
	process, subject := h.svchost, identity{name: h.name + "$", domain: netbios, sid: "S-1-5-18", logon: 0x3e7}
	if kind == 3 {
		process, subject = nil, identity{name: "-", domain: "-", sid: "S-1-0-0"}
	}
	name, pid := "-", "0x0"
	if process != nil {
		name, pid = process.image, hexPID(process.pid)
	}
	pack := "Kerberos"
	if kind == 2 {
		pack = "Negotiate"
	}
	h.event(at, securityLog, 4624, f("SubjectUserSid", subject.sid), f("SubjectUserName", subject.name), f("SubjectDomainName", subject.domain), f("SubjectLogonId", subject.logonHex()),
		f("TargetUserSid", p.sid), f("TargetUserName", p.login), f("TargetDomainName", netbios), f("TargetLogonId", as.logonHex()), f("LogonType", number(kind)),
		f("LogonProcessName", pack), f("AuthenticationPackageName", pack), f("WorkstationName", station), f("LogonGuid", "{"+uuid(h.rng)+"}"), f("KeyLength", "0"),
		f("ProcessId", pid), f("ProcessName", name), f("IpAddress", ip), f("IpPort", number(49200+h.rng.IntN(16000))), f("ElevatedToken", "%%1842"))
	if p.admin {
		h.event(at.Add(time.Millisecond), securityLog, 4672, f("SubjectUserSid", p.sid), f("SubjectUserName", p.login), f("SubjectDomainName", netbios), f("SubjectLogonId", as.logonHex()),
			f("PrivilegeList", "SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeRestorePrivilege\n\t\t\tSeDebugPrivilege"))
	}
	s := &session{h: h, kind: kind, as: as}
	if kind == 2 || kind == 10 {
		init := h.newProc(at, h.services, `C:\Windows\System32\userinit.exe`, `C:\Windows\system32\userinit.exe`, as)
		s.shell = init.start(at.Add(900*time.Millisecond), `C:\Windows\explorer.exe`, `C:\Windows\Explorer.EXE`)
	}
	return s
}

// logonFailed is a wrong password.
func (w *world) logonFailed(at time.Time, login string, h *host, kind int, from *host) {
	h.event(at, securityLog, 4625, f("SubjectUserSid", "S-1-0-0"), f("SubjectUserName", "-"), f("SubjectDomainName", "-"), f("SubjectLogonId", "0x0"), f("TargetUserSid", "S-1-0-0"), f("TargetUserName", login),
		f("TargetDomainName", netbios), f("Status", "0xc000006d"), f("FailureReason", "%%2313"), f("SubStatus", "0xc000006a"), f("LogonType", number(kind)), f("LogonProcessName", "User32 "),
		f("AuthenticationPackageName", "Negotiate"), f("WorkstationName", from.name), f("ProcessId", "0x0"), f("ProcessName", "-"), f("IpAddress", from.ip), f("IpPort", "0"))
}

// logoff ends the session.
func (s *session) logoff(at time.Time) {
	s.h.event(at, securityLog, 4634, f("TargetUserSid", s.as.sid), f("TargetUserName", s.as.name), f("TargetDomainName", s.as.domain), f("TargetLogonId", s.as.logonHex()), f("LogonType", number(s.kind)))
}

// subject are the fields that name who did something.
func (i identity) subject() [][2]string {
	return [][2]string{f("SubjectUserSid", i.sid), f("SubjectUserName", i.name), f("SubjectDomainName", i.domain), f("SubjectLogonId", i.logonHex())}
}

func (h *host) secure(at time.Time, id int, by identity, more ...[2]string) {
	h.event(at, securityLog, id, append(by.subject(), more...)...)
}

// explicit is the use of somebody's credentials by a process of somebody else.
func (p *proc) explicit(at time.Time, user *person, server *host) {
	p.h.secure(at, 4648, p.as, f("LogonGuid", "{00000000-0000-0000-0000-000000000000}"), f("TargetUserName", user.login), f("TargetDomainName", netbios), f("TargetLogonGuid", "{00000000-0000-0000-0000-000000000000}"),
		f("TargetServerName", strings.ToLower(server.fqdn)), f("TargetInfo", strings.ToLower(server.fqdn)), f("ProcessId", hexPID(p.pid)), f("ProcessName", p.image), f("IpAddress", "-"), f("IpPort", "-"))
}

// share is the use of a share, or of a file in it where path is given.
func (s *session) share(at time.Time, share, local, path string, from *host) {
	if path == "" {
		s.h.secure(at, 5140, s.as, f("ObjectType", "File"), f("IpAddress", from.ip), f("IpPort", number(49200+s.h.rng.IntN(16000))), f("ShareName", `\\*\`+share), f("ShareLocalPath", `\??\`+local), f("AccessMask", "0x1"), f("AccessList", "%%4416"))
		return
	}
	s.h.secure(at, 5145, s.as, f("ObjectType", "File"), f("IpAddress", from.ip), f("IpPort", number(49200+s.h.rng.IntN(16000))), f("ShareName", `\\*\`+share), f("ShareLocalPath", `\??\`+local), f("RelativeTargetName", path), f("AccessMask", "0x120089"), f("AccessList", "%%4416"))
}

// service installs a service, and returns its process.
func (s *session) service(at time.Time, name, program string, by *proc) *proc {
	h := s.h
	h.secure(at, 4697, s.as, f("ServiceName", name), f("ServiceFileName", program), f("ServiceType", "0x10"), f("ServiceStartType", "3"), f("ServiceAccount", "LocalSystem"), f("ClientProcessId", "668"))
	h.event(at.Add(4*time.Millisecond), systemLog, 7045, f("ServiceName", name), f("ImagePath", program), f("ServiceType", "user mode service"), f("StartType", "demand start"), f("AccountName", "LocalSystem"))
	image, _, _ := strings.Cut(program, " ")
	image = strings.Replace(image, "%SystemRoot%", `C:\Windows`, 1)
	return by.start(at.Add(60*time.Millisecond), image, program)
}

// task creates a scheduled task.
func (h *host) task(at time.Time, by identity, name, command, arguments string) {
	h.secure(at, 4698, by, f("TaskName", `\`+name), f("TaskContent", `<?xml version="1.0" encoding="UTF-16"?><Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Principals><Principal id="Author"><UserId>S-1-5-18</UserId></Principal></Principals><Actions Context="Author"><Exec><Command>`+
		command+`</Command><Arguments>`+arguments+`</Arguments></Exec></Actions></Task>`), f("ClientProcessId", "1180"), f("FQDN", h.fqdn))
}

// cleared is the clearing of the Security and System logs.
func (h *host) cleared(at time.Time, by identity) {
	e := &winEvent{h: h, at: at, kind: eventLog, id: 1102, fields: by.subject(), userData: "LogFileCleared"}
	h.w.add(h.log, at, e)
	e = &winEvent{h: h, at: at.Add(700 * time.Millisecond), kind: eventLogSys, id: 104, userData: "LogFileCleared",
		fields: [][2]string{f("SubjectUserName", by.name), f("SubjectDomainName", by.domain), f("Channel", "System"), f("BackupPath", "")}}
	h.w.add(h.log, e.at, e)
}

// winrmHost is the process in which Windows runs what a remote session asks for.
func (h *host) winrmHost(at time.Time, s *session) *proc {
	return h.svchost.startAs(at, `C:\Windows\System32\wsmprovhost.exe`, `C:\Windows\system32\wsmprovhost.exe -Embedding`, s.as)
}
