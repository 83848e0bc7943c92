package decode

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// windowsEntities fills e.Entities with the things that a Windows event names, in
// the roles that model.Act gives them.
func windowsEntities(e *model.Event) {
	if e.Format == "m365-defender" { // Windows devices in Defender's own words
		m365Entities(e)
		return
	}
	w := winEntities{entitySet: entitySet{host: e.Host}}
	w.v.read(e.Slots)
	w.list = make([]model.Entity, 0, 8)
	if e.Host != "" {
		w.add(model.Host, model.Subject, e.Host, "", "")
	}
	id, ok := digits(e.Code)
	if !ok {
		id = -1
	}
	switch e.Source.Service {
	case "sysmon":
		w.sysmon(e.Act)
	case "security":
		w.security(e.Act, id)
	default:
		w.other(e, e.Act, id)
	}
	e.Entities = w.list
}

type winEntities struct {
	entitySet
	v winView
}

// sysmon reads the fields that all Sysmon events name alike.
func (w *winEntities) sysmon(act model.Act) {
	v := &w.v
	role := model.Actor
	if act == model.ActProcessStart || act == model.ActProcessEnd {
		role = model.Subject
	}
	switch act {
	case model.ActProcessAccess, model.ActInject:
		if v.first(model.FSourceProcessGUID, model.FSourceProcessGuid, model.FSourceProcessId) != "" {
			w.process(model.Actor, v.first(model.FSourceProcessGUID, model.FSourceProcessGuid), v.text(model.FSourceProcessId), v.text(model.FSourceImage))
			w.process(model.Target, v.first(model.FTargetProcessGUID, model.FTargetProcessGuid), v.text(model.FTargetProcessId), v.text(model.FTargetImage))
			w.account(model.Actor, v.text(model.FSourceUser))
			if u := v.text(model.FTargetUser); u != "" && u != v.text(model.FSourceUser) {
				w.account(model.Target, u)
			}
			return
		}
		// Process tampering names only the process that was changed.
		w.process(model.Target, v.text(model.FProcessGuid), v.text(model.FProcessId), v.text(model.FImage))
		w.account(model.Actor, v.text(model.FUser))
		return
	}
	w.process(role, v.text(model.FProcessGuid), v.text(model.FProcessId), v.text(model.FImage))
	w.account(model.Actor, v.text(model.FUser))
	switch act {
	case model.ActProcessStart:
		w.process(model.Parent, v.text(model.FParentProcessGuid), v.text(model.FParentProcessId), v.text(model.FParentImage))
		w.session(model.Actor, v.text(model.FLogonId))
		w.file(v.text(model.FImage))
		w.hash(v.text(model.FHashes))
	case model.ActImageLoad:
		w.file(v.text(model.FImageLoaded))
		w.hash(v.text(model.FHashes))
	case model.ActFileWrite, model.ActFileDelete:
		w.file(v.text(model.FTargetFilename))
		w.hash(v.first(model.FHashes, model.FHash))
	case model.ActConnect:
		// The source is who opened the connection, also where the event's own host
		// was the one called (Initiated false).
		w.ip(model.Src, v.text(model.FSourceIp))
		w.ip(model.Dst, v.text(model.FDestinationIp))
		if strings.EqualFold(v.text(model.FInitiated), "true") {
			w.domain(model.Dst, v.text(model.FDestinationHostname))
		}
	case model.ActDNS:
		w.domain(model.Object, v.text(model.FQueryName))
	case model.ActNone: // a driver: the file that was loaded
		w.file(v.text(model.FImageLoaded))
		w.hash(v.text(model.FHashes))
	}
}

// security reads audit events.
func (w *winEntities) security(act model.Act, id int) {
	v := &w.v
	subject := func(role model.Role) {
		w.user(role, v.text(model.FSubjectDomainName), v.text(model.FSubjectUserName), v.text(model.FSubjectUserSid))
	}
	target := func(role model.Role) {
		w.user(role, v.first(model.FTargetDomainName, model.FTargetDomain), v.text(model.FTargetUserName), v.first(model.FTargetUserSid, model.FTargetSid))
	}
	caller := func() {
		w.process(model.Actor, "", v.first(model.FProcessId, model.FProcessID), v.text(model.FProcessName))
	}
	switch id {
	case 33205:
		w.sqlAudit(act)
		return
	case 4778, 4779, 4825: // remote desktop
		w.user(model.Target, v.text(model.FAccountDomain), v.text(model.FAccountName), "")
		w.session(model.Target, v.text(model.FLogonIDUpper))
		w.ip(model.Src, v.text(model.FClientAddress))
		w.peer(model.Src, v.text(model.FClientName))
		return
	}
	switch act {
	case model.ActProcessStart:
		w.process(model.Subject, "", v.text(model.FNewProcessId), v.text(model.FNewProcessName))
		w.process(model.Parent, "", v.text(model.FParentProcessId), v.text(model.FParentProcessName))
		if s := v.text(model.FTargetUserName); s != "" && s != "-" {
			target(model.Actor)
			w.session(model.Actor, v.text(model.FTargetLogonId))
		} else {
			subject(model.Actor)
			w.session(model.Actor, v.text(model.FSubjectLogonId))
		}
		w.file(v.text(model.FNewProcessName))
	case model.ActProcessEnd:
		w.process(model.Subject, "", v.text(model.FProcessId), v.text(model.FProcessName))
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
	case model.ActLogon, model.ActLogonFailed:
		switch id {
		case 4768, 4771: // the domain controller speaks of someone else's logon
			realm := v.text(model.FTargetDomainName)
			if s, ok := strings.CutPrefix(v.text(model.FServiceName), "krbtgt/"); ok && realm == "" {
				realm = s // 4771 names it nowhere else
			}
			w.kerberosUser(model.Target, v.text(model.FTargetUserName), realm, v.first(model.FTargetSid, model.FTargetUserSid))
			w.ip(model.Src, v.text(model.FIpAddress))
			return
		case 4776:
			w.user(model.Target, "", v.text(model.FTargetUserName), "")
			w.peer(model.Src, v.text(model.FWorkstation))
			return
		}
		target(model.Target)
		w.session(model.Target, v.text(model.FTargetLogonId))
		subject(model.Actor)
		w.ip(model.Src, v.text(model.FIpAddress))
		w.peer(model.Src, v.text(model.FWorkstationName))
		caller()
	case model.ActLogoff:
		target(model.Target)
		w.session(model.Target, v.text(model.FTargetLogonId))
	case model.ActExplicitCreds:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		target(model.Target)
		w.peer(model.Dst, v.text(model.FTargetServerName))
		w.ip(model.Src, v.text(model.FIpAddress))
		caller()
	case model.ActTicket:
		w.kerberosUser(model.Actor, v.text(model.FTargetUserName), v.text(model.FTargetDomainName), v.text(model.FTargetSid))
		if s := v.text(model.FServiceName); s != "" {
			w.add(model.App, model.Target, strings.ToLower(s), s, v.text(model.FServiceSid))
		}
		w.ip(model.Src, v.text(model.FIpAddress))
	case model.ActAccountChange:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		w.accountChange(id)
	case model.ActServiceInstall:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		w.localApp(model.Object, v.text(model.FServiceName))
		w.file(programOf(v.text(model.FServiceFileName)))
		w.process(model.Actor, "", v.text(model.FClientProcessId), "")
	case model.ActTaskCreate:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		w.localApp(model.Object, v.text(model.FTaskName))
		w.file(taskProgram(v.first(model.FTaskContent, model.FTaskContentNew)))
		w.process(model.Actor, "", v.text(model.FClientProcessId), "")
	case model.ActShareAccess:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		w.ip(model.Src, v.text(model.FIpAddress))
		w.share(v.text(model.FShareName))
		if local, rel := v.text(model.FShareLocalPath), v.text(model.FRelativeTargetName); local != "" && rel != "" {
			w.file(strings.TrimRight(local, `\`) + `\` + strings.TrimLeft(rel, `\`))
		}
	case model.ActConnect:
		w.process(model.Actor, "", v.first(model.FProcessID, model.FProcessId), v.text(model.FApplication))
		w.ip(model.Src, v.text(model.FSourceAddress))
		w.ip(model.Dst, v.text(model.FDestAddress))
	case model.ActProcessAccess:
		subject(model.Actor)
		caller()
		w.add(model.File, model.Object, w.hostPath(v.text(model.FObjectName)), "", "")
	case model.ActFileRead, model.ActFileWrite, model.ActFileDelete:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		caller()
		w.file(v.text(model.FObjectName))
	case model.ActRegistrySet:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		caller()
	case model.ActObjectRead, model.ActConfigChange:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		if s := v.first(model.FObjectDN, model.FObjectName, model.FShareName, model.FTaskName); s != "" {
			w.add(model.Resource, model.Target, w.localName(s), s, "")
		}
		caller()
	default:
		subject(model.Actor)
		w.session(model.Actor, v.text(model.FSubjectLogonId))
		switch id {
		case 4799: // the members of a group were listed
			if name := v.text(model.FTargetUserName); name != "" {
				w.add(model.Resource, model.Target, w.userName(v.text(model.FTargetDomainName), name, ""), name, v.text(model.FTargetSid))
			}
		case 4776:
			w.user(model.Target, "", v.text(model.FTargetUserName), "")
			w.peer(model.Src, v.text(model.FWorkstation))
		default:
			target(model.Target)
		}
		caller()
		w.process(model.Actor, "", v.text(model.FCallerProcessId), v.text(model.FCallerProcessName))
		w.ip(model.Src, v.first(model.FIpAddress, model.FClientAddress))
		if s := v.text(model.FObjectName); s != "" && id == 4662 {
			w.add(model.Resource, model.Target, w.localName(s), s, "")
		}
	}
}

// accountChange reads who was changed: the member for group membership, with the
// group as a resource; else the account itself.
func (w *winEntities) accountChange(id int) {
	v := &w.v
	domain, name, sid := v.first(model.FTargetDomainName, model.FTargetDomain), v.text(model.FTargetUserName), v.first(model.FTargetSid, model.FTargetUserSid)
	switch id {
	case 4728, 4729, 4732, 4733, 4756, 4757:
		member := v.first(model.FMemberName)
		if cn, ok := commonName(member); ok {
			member = cn
		}
		w.user(model.Target, domain, member, v.text(model.FMemberSid))
		fallthrough
	case 4727, 4730, 4731, 4734, 4735, 4737, 4754, 4755, 4758:
		if name != "" {
			w.add(model.Resource, model.Target, w.userName(domain, name, ""), name, sid)
		}
	case 4781:
		w.user(model.Target, domain, v.first(model.FNewTargetUserName, model.FTargetUserName), sid)
	default:
		w.user(model.Target, domain, name, sid)
	}
}

// other reads the events of the remaining channels. The header's process is who
// wrote the event: the actor where a program logs what it does itself, but not
// where a service logs what it was asked for.
func (w *winEntities) other(e *model.Event, act model.Act, id int) {
	v := &w.v
	if id == 33205 {
		w.sqlAudit(act)
		return
	}
	sid := v.text(model.FSecurityUserID)
	header := func() { w.process(model.Actor, "", v.text(model.FExecutionProcessID), "") }
	switch e.Source.Service {
	case "windefend", "sense":
		w.defender(sid)
		return
	case "firewall-as":
		if u := v.text(model.FModifyingUser); u != "" {
			w.account(model.Actor, u)
		} else {
			w.headerUser(sid)
		}
		return
	}
	switch act {
	case model.ActServiceInstall:
		w.localApp(model.Object, v.text(model.FServiceName))
		w.file(programOf(v.text(model.FImagePath)))
		w.headerUser(sid)
	case model.ActTaskCreate, model.ActConfigChange:
		task := v.text(model.FTaskName)
		if task == "" {
			header()
		}
		if u := v.first(model.FUserContext, model.FUserName); u != "" {
			w.account(model.Actor, u)
		} else {
			w.headerUser(sid)
		}
		w.localApp(model.Object, task)
	case model.ActProcessStart: // the task scheduler started one
		w.process(model.Subject, "", v.first(model.FProcessID, model.FProcessId), v.text(model.FPath))
		w.localApp(model.Object, v.text(model.FTaskName))
		w.file(v.text(model.FPath))
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff:
		w.wordyLogon(e)
	case model.ActLogCleared:
		if !w.user(model.Actor, v.text(model.FSubjectDomainName), v.text(model.FSubjectUserName), sid) {
			w.headerUser(sid)
		}
	case model.ActDNS:
		header()
		w.domain(model.Object, v.text(model.FQueryName))
		w.headerUser(sid)
	case model.ActRemoteExec: // the service that was called writes the event
		w.headerUser(sid)
		if u := v.text(model.FUser); u != "" {
			w.account(model.Actor, u)
		}
	case model.ActScript:
		header()
		if u := field(v.text(model.FContextInfo), "User = "); u != "" {
			w.account(model.Actor, u)
		} else if u := classicUser(e.Slots); u != "" {
			w.account(model.Actor, u)
		} else {
			w.headerUser(sid)
		}
		if p := v.text(model.FPath); p != "" {
			w.file(p)
		}
	default:
		header()
		w.headerUser(sid)
		if u := v.text(model.FUser); u != "" {
			w.account(model.Actor, u)
		}
		if addr := v.text(model.FClientIP); addr != "" { // remote desktop's "192.0.2.1:50000"
			if a, err := netip.ParseAddrPort(addr); err == nil {
				addr = a.Addr().String()
			}
			w.ip(model.Src, addr)
		}
	}
}

// classicUser returns the account of an event of the classic PowerShell log, which
// stands in its message and in one of its unnamed texts.
func classicUser(slots []model.Slot) string {
	for i := range slots {
		if f := slots[i].Field; f == model.FMessage || f == model.FData {
			if u := field(slots[i].Text, "UserId="); u != "" {
				return u
			}
		}
	}
	return ""
}

// wordyLogon reads the logons of terminal services, OpenSSH and SQL Server.
func (w *winEntities) wordyLogon(e *model.Event) {
	v := &w.v
	l := sshLogon(v.text(model.FPayloadLower))
	if l.act == model.ActNone && strings.HasPrefix(v.text(model.FProviderName), "MSSQL") {
		l = sqlLogon(e.Code, e.Slots)
	}
	if l.act == model.ActNone {
		l = wordyLogon{user: v.text(model.FUser), from: v.text(model.FAddress)}
	}
	w.account(model.Target, l.user)
	w.ip(model.Src, l.from)
}

// defender reads Microsoft Defender's events: whose doing it was, and the files it
// was about, which stand in Path as "file:_C:\a; containerfile:_D:\b".
func (w *winEntities) defender(sid string) {
	v := &w.v
	if u := v.first(model.FDetectionUser, model.FDetectionUserSpaced); u != "" {
		w.account(model.Actor, u)
	} else {
		w.headerUser(sid)
	}
	const most = 8 // files of one event
	list := v.text(model.FPath)
	for n := 0; list != "" && n < most; n++ {
		var one string
		one, list, _ = strings.Cut(list, ";")
		if path, ok := strings.CutPrefix(strings.TrimSpace(one), "file:_"); ok {
			path, _, _ = strings.Cut(path, "->") // a member of an archive
			w.file(path)
		}
	}
}

// sqlAudit reads SQL Server's audit record (33205), whose fields stand as
// "name:value" in one text: who touched which object of which database, or who
// came in from where.
func (w *winEntities) sqlAudit(act model.Act) {
	text := w.v.first(model.FData, model.FMessage)
	principal := firstOf(auditValue(text, "session_server_principal_name"), auditValue(text, "server_principal_name"))
	from := firstOf(between(text, "[CLIENT: ", "]"), between(text, "<address>", "</address>"), auditValue(text, "client_ip"))
	w.ip(model.Src, from)
	switch act {
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff:
		w.account(model.Target, principal)
		return
	}
	w.account(model.Actor, principal)
	if act == model.ActAccountChange {
		w.account(model.Target, auditValue(text, "target_server_principal_name"))
	}
	if db := auditValue(text, "database_name"); db != "" {
		name := db
		if o := auditValue(text, "object_name"); o != "" {
			name += "." + o
		}
		w.add(model.Resource, model.Target, w.localName(name), name, "")
	}
}

// headerUser adds the account of the event's header: by name where the collector
// resolved it, else by SID.
func (w *winEntities) headerUser(sid string) {
	v := &w.v
	if name := v.text(model.FAccountName); name != "" && v.text(model.FDomain) != "" {
		w.user(model.Actor, v.text(model.FDomain), name, sid)
	} else if sid != "" {
		w.user(model.Actor, "", "", sid)
	}
}

// kerberosUser adds a principal: "name@REALM" or name and realm.
func (w *winEntities) kerberosUser(role model.Role, name, realm, sid string) {
	if n, r, ok := strings.Cut(name, "@"); ok {
		name = n
		if realm == "" {
			realm = r
		}
	}
	w.user(role, realm, name, sid)
}

// share adds a share of the event's host as a resource.
func (w *winEntities) share(name string) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, `\\*`), `\\`)
	if name = strings.Trim(name, `\`); name != "" {
		w.add(model.Resource, model.Target, `\\`+w.host+`\`+strings.ToLower(name), name, "")
	}
}

// An entitySet collects the entities of one event, each once a role.
type entitySet struct {
	host string // canonical name of the event's host
	list []model.Entity
}

func (s *entitySet) add(t model.EntityType, role model.Role, value, name, alt string) {
	if value == "" {
		return
	}
	for i := range s.list {
		if o := &s.list[i]; o.Type == t && o.Role == role && o.Value == value {
			return
		}
	}
	s.list = append(s.list, model.Entity{Type: t, Value: value, Role: role, Name: name, Alt: alt})
}

// process adds a process by its sensor's GUID, else by its number; "0x" hex is
// understood.
func (s *entitySet) process(role model.Role, guid, pid, image string) {
	alt := ""
	if n, ok := hexNumber(pid); ok && n > 0 {
		alt = s.host + ":" + strconv.FormatUint(n, 10)
	}
	value := canonicalGUID(guid)
	if value == "" {
		value, alt = alt, ""
	}
	if image == "-" {
		image = ""
	}
	s.add(model.Process, role, value, image, alt)
}

// canonicalGUID is a GUID in lower case without braces, empty if it is none or zero.
func canonicalGUID(guid string) string {
	guid = strings.TrimSuffix(strings.TrimPrefix(guid, "{"), "}")
	if guid == "" || strings.Trim(guid, "0-") == "" {
		return ""
	}
	return strings.ToLower(guid)
}

// account adds a user given as DOMAIN\name, a UPN, or a SID.
func (s *entitySet) account(role model.Role, full string) {
	if domain, name, ok := strings.Cut(full, `\`); ok {
		s.user(role, domain, name, "")
	} else if isSID(full) {
		s.user(role, "", "", full)
	} else {
		s.user(role, "", full, "")
	}
}

// user adds a user and reports whether there was one to add.
func (s *entitySet) user(role model.Role, domain, name, sid string) bool {
	value := s.userName(domain, name, sid)
	if value == "" {
		return false
	}
	if !isSID(sid) || sid == "S-1-0-0" {
		sid = ""
	}
	s.add(model.User, role, value, "", sid)
	return true
}

// userName is the canonical form of a Windows account: lower case domain\name,
// the domain by its NetBIOS name (which is the first label of its DNS name unless
// an administrator chose otherwise). The accounts that every machine has for
// itself carry their host instead. An account known only by SID is called that.
func (s *entitySet) userName(domain, name, sid string) string {
	if name == "-" {
		name = ""
	}
	if domain == "-" {
		domain = ""
	}
	switch sid {
	case "S-1-0-0":
		if name == "" {
			return ""
		}
	case "S-1-5-18":
		return s.host + `\system`
	case "S-1-5-19":
		return s.host + `\local service`
	case "S-1-5-20":
		return s.host + `\network service`
	case "S-1-5-7":
		return s.host + `\anonymous logon`
	}
	if name == "" {
		if isSID(sid) {
			return strings.ToLower(sid)
		}
		return ""
	}
	name = strings.ToLower(strings.TrimSpace(name))
	domain = strings.ToLower(domain)
	switch name { // whatever domain stands before them: some tools write the machine's
	case "system", "local service", "network service", "anonymous logon":
		return s.host + `\` + name
	}
	switch domain {
	case "builtin", "nt authority", "nt-autorität", "autorite nt", "autorité nt", "window manager", "font driver host", "nt service", "nt virtual machine", "iis apppool":
		return s.host + `\` + name
	case "", ".":
		if strings.Contains(name, "@") {
			return name
		}
		switch {
		case strings.HasPrefix(name, "dwm-"), strings.HasPrefix(name, "umfd-"):
			return s.host + `\` + name
		case domain == ".":
			domain = shortName(s.host)
		default:
			return name
		}
	}
	if strings.Contains(name, "@") {
		return name // a UPN says more than the domain beside it
	}
	if i := strings.IndexByte(domain, '.'); i > 0 {
		domain = domain[:i]
	}
	return domain + `\` + name
}

// isSID reports whether s looks like a security identifier.
func isSID(s string) bool { return len(s) > 6 && (s[0] == 'S' || s[0] == 's') && s[1:4] == "-1-" }

// shortName is the first label of a host's name.
func shortName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// session adds a logon session of the event's host. The sessions of the machine's
// own accounts (0x3e7, 0x3e4, 0x3e5) and no session (0) join nothing.
func (s *entitySet) session(role model.Role, id string) {
	n, ok := hexNumber(id)
	if !ok || n == 0 || n == 0x3e4 || n == 0x3e5 || n == 0x3e7 {
		return
	}
	s.add(model.Session, role, s.host+":0x"+strconv.FormatUint(n, 16), "", "")
}

// file adds a file of the event's host as the object.
func (s *entitySet) file(path string) {
	if len(path) < 2 || path == "Unknown" || path == "<unknown process>" {
		return
	}
	s.add(model.File, model.Object, s.hostPath(path), "", "")
}

// hostPath is the canonical form of a Windows path.
func (s *entitySet) hostPath(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, `\??\`), `\\?\`)
	if path == "" || path == "-" {
		return ""
	}
	return s.host + ":" + strings.ToLower(path)
}

// localApp adds a service or task, which its name means only on its host.
func (s *entitySet) localApp(role model.Role, name string) {
	if name != "" {
		s.add(model.App, role, s.localName(name), name, "")
	}
}

func (s *entitySet) localName(name string) string { return s.host + ":" + strings.ToLower(name) }

// hash adds the best hash of a list such as "MD5=...,SHA256=...,IMPHASH=...", or a
// single hash.
func (s *entitySet) hash(list string) {
	best, rank := "", 0
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ",")
		kind, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok {
			kind, value = "", kind
		}
		r := 0
		switch {
		case strings.EqualFold(kind, "IMPHASH"):
		case len(value) == 64:
			r = 3
		case len(value) == 40:
			r = 2
		case len(value) == 32:
			r = 1
		}
		if r > rank && strings.Trim(value, "0") != "" {
			best, rank = value, r
		}
	}
	s.add(model.Hash, model.Indicator, strings.ToLower(best), "", "")
}

// ip adds an address that can be someone else's: not loopback, unspecified,
// link-local or multicast.
func (s *entitySet) ip(role model.Role, text string) {
	if a, ok := usableIP(text); ok {
		s.add(model.IP, role, a.String(), "", "")
	}
}

func usableIP(text string) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Is4() && a.As4() == [4]byte{255, 255, 255, 255} {
		return netip.Addr{}, false
	}
	return a, true
}

// peer adds another machine by name; the event's own host is no peer.
func (s *entitySet) peer(role model.Role, name string) {
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, `\ `), "."))
	if name == "" || name == "-" || name == "localhost" || name == s.host || name == shortName(s.host) || shortName(name) == s.host {
		return
	}
	if a, ok := usableIP(name); ok {
		s.add(model.IP, role, a.String(), "", "")
		return
	}
	if i := strings.IndexByte(name, '/'); i > 0 { // a service principal: "host/name"
		name = name[i+1:]
	}
	s.add(model.Host, role, name, "", "")
}

// domain adds a DNS name; names without a dot are machines, not domains.
func (s *entitySet) domain(role model.Role, name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !strings.Contains(name, ".") || len(name) > 253 {
		return
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return
	}
	s.add(model.Domain, role, name, "", "")
}

// commonName returns the CN of a distinguished name.
func commonName(dn string) (string, bool) {
	if len(dn) < 4 || !strings.EqualFold(dn[:3], "CN=") {
		return "", false
	}
	for i := 3; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return strings.ReplaceAll(dn[3:i], `\`, ""), true
		}
	}
	return strings.ReplaceAll(dn[3:], `\`, ""), true
}

// programOf returns the program of a command line such as a service's. A path
// without quotes may hold spaces; it ends with the first word that ends like a
// program, or before the first argument.
func programOf(command string) string {
	command = strings.TrimSpace(command)
	if strings.HasPrefix(command, `"`) {
		if end := strings.IndexByte(command[1:], '"'); end > 0 {
			return command[1 : 1+end]
		}
		return command[1:]
	}
	first, _, _ := strings.Cut(command, " ")
	for at := len(first); ; {
		path := command[:at]
		if hasProgramExt(path) {
			return path
		}
		if at == len(command) || strings.IndexByte(`/-"%`, command[min(at+1, len(command)-1)]) >= 0 {
			return first
		}
		next := strings.IndexByte(command[at+1:], ' ')
		if next < 0 {
			at = len(command)
		} else {
			at += 1 + next
		}
	}
}

// hasProgramExt reports whether a path ends like that of a program.
func hasProgramExt(path string) bool {
	if len(path) < 4 {
		return false
	}
	switch ext := path[len(path)-4:]; {
	case isLowerOf(".exe", ext), isLowerOf(".sys", ext), isLowerOf(".com", ext), isLowerOf(".bat", ext), isLowerOf(".cmd", ext):
		return true
	}
	return false
}

// taskProgram returns the program of a task from its XML.
func taskProgram(content string) string {
	_, rest, ok := strings.Cut(content, "<Command>")
	if !ok {
		return ""
	}
	command, _, ok := strings.Cut(rest, "</Command>")
	if !ok {
		return ""
	}
	if s, ok := xmlUnescape(command); ok {
		command = s
	}
	return programOf(command)
}

// field returns what follows label in text up to the end of its line.
func field(text, label string) string {
	_, rest, ok := strings.Cut(text, label)
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(rest)
}
