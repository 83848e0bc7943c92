package decode

import (
	"net/netip"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// linuxHost is the canonical name of a Linux host.
func linuxHost(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// An entityList collects the entities of an event, each canonical and once.
type entityList struct {
	host string
	list []model.Entity
}

func (l *entityList) add(e model.Entity) {
	if e.Value == "" {
		return
	}
	for _, o := range l.list {
		if o.Type == e.Type && o.Role == e.Role && o.Value == e.Value {
			return
		}
	}
	l.list = append(l.list, e)
}

// user adds a local account: "<host>\<name>", lower case. A name that already
// says where it belongs stays as it is.
func (l *entityList) user(name string, role model.Role) {
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" || name == "?" || name == "unset" || name == "(unknown)" {
		return
	}
	if l.host != "" && !strings.ContainsAny(name, `\@`) {
		name = l.host + `\` + name
	}
	l.add(model.Entity{Type: model.User, Value: name, Role: role})
}

// remote adds the other end: an address, or the host where it is a name.
func (l *entityList) remote(s string, role model.Role) {
	if s = strings.TrimSpace(s); s == "" || s == "?" {
		return
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		l.add(model.Entity{Type: model.IP, Value: addr.Unmap().WithZone("").String(), Role: role})
		return
	}
	if isHostName(s) {
		l.add(model.Entity{Type: model.Host, Value: linuxHost(s), Role: role})
	}
}

// ip adds an address; what is none is no entity.
func (l *entityList) ip(s string, role model.Role) {
	if addr, err := netip.ParseAddr(s); err == nil {
		l.add(model.Entity{Type: model.IP, Value: addr.Unmap().WithZone("").String(), Role: role})
	}
}

// isHostName says whether s may be a host's name; an address that does not parse
// is none.
func isHostName(s string) bool {
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letter = true
		case isDigit(c), c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return letter && len(s) < 254
}

// process adds the process of a number on this host.
func (l *entityList) process(pid, image string, role model.Role) {
	if pid == "" || l.host == "" {
		return
	}
	id := l.host + ":" + pid
	l.add(model.Entity{Type: model.Process, Value: id, Role: role, Name: image, Alt: id})
}

// file adds a file of this host. Linux paths tell case apart for the machine, but
// an entity's value is lower case like every other file's; Name keeps the path.
func (l *entityList) file(path string, role model.Role) {
	if path == "" || path[0] != '/' {
		return
	}
	l.add(model.Entity{Type: model.File, Value: l.host + ":" + strings.ToLower(path), Role: role, Name: path})
}

// session adds a session of this host.
func (l *entityList) session(id string, role model.Role) {
	if id == "" || l.host == "" {
		return
	}
	l.add(model.Entity{Type: model.Session, Value: l.host + ":" + strings.ToLower(id), Role: role})
}

// newEntities starts the list of an event with its host.
func newEntities(e *model.Event) *entityList {
	l := &entityList{host: e.Host, list: make([]model.Entity, 0, 8)}
	l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Subject})
	return l
}

// linuxEntities fills the entities of an event of product linux.
func linuxEntities(e *model.Event) {
	switch e.Source.Service {
	case "auditd":
		auditEntities(e)
	case "sysmon":
		windowsEntities(e)
		for i := range e.Entities { // Sysmon for Linux names local accounts without their host
			if u := &e.Entities[i]; u.Type == model.User && e.Host != "" && !strings.ContainsAny(u.Value, `\@`) {
				u.Value = e.Host + `\` + u.Value
			}
		}
	default:
		syslogEntities(e)
	}
	if ip := e.Text(model.FHostIP); ip != "" { // of a Log Analytics row: the host's own address
		l := entityList{host: e.Host, list: e.Entities}
		l.ip(ip, model.Subject)
		e.Entities = l.list
	}
}

// syslogEntities are those of a syslog event; what stands in user and ruser depends on
// the act, see syslogFields.
func syslogEntities(e *model.Event) {
	l := newEntities(e)
	user, ruser := e.Text(model.FUserLower), e.Text(model.FRuser)
	pid, program := e.Text(model.FPid), e.Text(model.FProgram)
	session := ""
	if pid != "" && program != "" && e.Source.Service != "syslog" { // other daemons serve many with one process
		session = strings.ToLower(strings.TrimSuffix(program, "-session")) + "[" + pid + "]"
	}
	switch e.Act {
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff:
		if e.Source.Service == "sudo" { // sudo's user asked to be USER
			l.user(user, model.Actor)
			l.user(e.Text(model.FUserUpper), model.Target)
			break
		}
		l.user(user, model.Target)
		l.user(ruser, model.Actor)
		if e.Act != model.ActLogonFailed {
			l.session(session, model.Target)
		}
	case model.ActExplicitCreds, model.ActAccountChange:
		l.user(ruser, model.Actor)
		l.user(user, model.Target)
		if e.Act == model.ActExplicitCreds {
			l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Dst})
		}
		if g := e.Text(model.FGroup); g != "" {
			l.add(model.Entity{Type: model.Resource, Value: strings.ToLower(e.Host + ":group:" + g), Role: model.Object, Name: g})
		}
	case model.ActProcessStart:
		l.user(user, model.Actor)
		if as := e.Text(model.FUserUpper); as != user {
			l.user(as, model.Target)
		}
		image := e.Text(model.FImage)
		if e.Source.Service == "cron" { // cron's child logs under the number it runs with
			l.process(pid, image, model.Subject)
		}
		l.file(image, model.Object)
	case model.ActTaskCreate:
		l.user(user, model.Actor)
		if task := e.Text(model.FTaskName); task != "" {
			l.add(model.Entity{Type: model.App, Value: strings.ToLower(e.Host + ":" + task), Role: model.Object, Name: task})
		}
	case model.ActIdentify:
		l.add(model.Entity{Type: model.Resource, Value: instanceIn(e.Text(model.FMessageLower)), Role: model.Subject})
	case model.ActShareAccess: // a share's files stand below it, whatever folder it is
		l.user(user, model.Actor)
		if path := e.Text(model.FTargetFilename); path != "" {
			l.file("/"+strings.TrimPrefix(path, "/"), model.Object)
		}
	default:
		l.user(user, model.Actor)
	}
	l.askedRole(e)
	l.remote(e.Text(model.FRemoteIp), model.Src)
	e.Entities = l.list
}
