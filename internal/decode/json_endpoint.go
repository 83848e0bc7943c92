package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// An endpointEvent is what sensors on a machine (eBPF sensors, osquery, Endpoint
// Security, ECS and OCSF records of such) say of an act, each in its own words.
// Its fields go under Sigma's names and become entities in one place. Empty is
// unknown; numbers are decimal.
type endpointEvent struct {
	process, parent, target endpointProcess
	user                    string // who acts: a name, DOMAIN\name, UPN or number
	account                 string // whose logon, or which account was changed
	session                 string
	file, oldFile           string
	sha256, md5             string
	src, srcPort            string
	dst, dstPort, protocol  string
	inbound                 bool // of a connection: the other end asked for it
	domain                  string
	container, pod          string // pod is namespace/name
	namespace               string
	hostIDs                 string // what else the host is called, see joinIDs
}

// An endpointProcess is a process as a sensor knows it.
type endpointProcess struct{ guid, pid, image, command, dir string }

// emit sets e's log source and fields by what e.Act says, adds the entities, and
// emits e. e.Host and the product of its source are known by then.
func (p *endpointEvent) emit(w *jsonWorker, b *Batch, e *model.Event) error {
	if e.Source.Category == "" {
		e.Source.Category = endpointCategory(e.Act)
	}
	if e.Subsystem == "" {
		e.Subsystem = sysmonSubsystem(e.Act)
		switch e.Act {
		case model.ActLogon, model.ActLogonFailed, model.ActLogoff, model.ActAccountChange:
			e.Subsystem = model.Identity
		}
	}
	p.fields(w, b, e)
	e.Entities = p.entities(e)
	return emitTimed(b, e)
}

// endpointCategory is the category of Sigma's taxonomy that an act belongs to.
func endpointCategory(a model.Act) string {
	switch a {
	case model.ActProcessStart:
		return "process_creation"
	case model.ActProcessEnd:
		return "process_termination"
	case model.ActProcessAccess:
		return "process_access"
	case model.ActInject:
		return "create_remote_thread"
	case model.ActImageLoad:
		return "image_load"
	case model.ActFileWrite:
		return "file_event"
	case model.ActFileRead:
		return "file_access"
	case model.ActFileDelete:
		return "file_delete"
	case model.ActRegistrySet:
		return "registry_set"
	case model.ActConnect:
		return "network_connection"
	case model.ActDNS:
		return "dns_query"
	}
	return ""
}

// fields adds Sigma's names.
func (p *endpointEvent) fields(w *jsonWorker, b *Batch, e *model.Event) {
	w.add(b, "Image", p.process.image)
	w.add(b, "CommandLine", p.process.command)
	w.add(b, "CurrentDirectory", p.process.dir)
	w.add(b, "ProcessId", p.process.pid)
	w.add(b, "ProcessGuid", p.process.guid)
	w.add(b, "ParentImage", p.parent.image)
	w.add(b, "ParentCommandLine", p.parent.command)
	w.add(b, "ParentProcessId", p.parent.pid)
	w.add(b, "User", p.user)
	w.add(b, "TargetImage", p.target.image)
	w.add(b, "TargetProcessId", p.target.pid)
	w.add(b, "sha256", p.sha256)
	w.add(b, "md5", p.md5)
	if hashes := p.hashes(); e.Source.Product == "windows" {
		w.add(b, "Hashes", hashes)
	}
	switch e.Act {
	case model.ActImageLoad:
		w.add(b, "ImageLoaded", p.file)
	case model.ActRegistrySet:
	default:
		w.add(b, "TargetFilename", p.file)
		w.add(b, "SourceFilename", p.oldFile)
	}
	w.add(b, "SourceIp", p.src)
	w.add(b, "SourcePort", p.srcPort)
	w.add(b, "DestinationIp", p.dst)
	w.add(b, "DestinationPort", p.dstPort)
	w.add(b, "Protocol", p.protocol)
	if e.Act == model.ActConnect {
		initiated := "true"
		if p.inbound {
			initiated = "false"
		}
		w.add(b, "Initiated", initiated)
		w.add(b, "DestinationHostname", p.domain)
	} else {
		w.add(b, "QueryName", p.domain)
	}
	w.add(b, "TargetUserName", p.account)
}

// hashes are the hashes as Sysmon writes them.
func (p *endpointEvent) hashes() string {
	var all []string
	if p.md5 != "" {
		all = append(all, "MD5="+strings.ToUpper(p.md5))
	}
	if p.sha256 != "" {
		all = append(all, "SHA256="+strings.ToUpper(p.sha256))
	}
	return strings.Join(all, ",")
}

// entities are the parts that all take in what e.Act says.
func (p *endpointEvent) entities(e *model.Event) []model.Entity {
	l := newEntities(e)
	if e.Host != "" {
		l.list[0].Alt = p.hostIDs
	}
	l.add(model.Entity{Type: model.Container, Value: p.container, Role: model.Subject})
	l.add(model.Entity{Type: model.Pod, Value: p.pod, Role: model.Subject})
	l.add(model.Entity{Type: model.Namespace, Value: p.namespace, Role: model.Subject})
	l.user(p.user, model.Actor)
	switch e.Act {
	case model.ActProcessStart:
		l.sensed(&p.process, model.Subject)
		l.sensed(&p.parent, model.Parent)
		l.path(p.process.image, model.Object)
	case model.ActProcessEnd:
		l.sensed(&p.process, model.Subject)
	default:
		l.sensed(&p.process, model.Actor)
		l.sensed(&p.target, model.Target)
		l.path(p.file, model.Object)
	}
	session := model.Actor
	if e.Act == model.ActLogon || e.Act == model.ActLogoff {
		session = model.Target
	}
	l.session(p.session, session)
	l.user(p.account, model.Target)
	l.ip(p.src, model.Src)
	l.ip(p.dst, model.Dst)
	if d := strings.ToLower(strings.TrimSuffix(p.domain, ".")); d != "" {
		l.add(model.Entity{Type: model.Domain, Value: d, Role: model.Object})
	}
	l.add(model.Entity{Type: model.Hash, Value: strings.ToLower(firstOf(p.sha256, p.md5)), Role: model.Indicator})
	l.askedRole(e)
	return l.list
}

// sensed adds a process by the sensor's own name for it, else by its number.
func (l *entityList) sensed(p *endpointProcess, role model.Role) {
	id := ""
	if p.pid != "" && p.pid != "0" && l.host != "" {
		id = l.host + ":" + p.pid
	}
	l.add(model.Entity{Type: model.Process, Value: firstOf(canonicalGUID(p.guid), id), Role: role, Name: p.image, Alt: id})
}

// path adds a file of this host by its full path, of Windows or Unix.
func (l *entityList) path(path string, role model.Role) {
	if len(path) > 2 && (path[0] == '\\' || path[1] == ':') {
		l.add(model.Entity{Type: model.File, Value: l.host + ":" + strings.ToLower(path), Role: role, Name: path})
		return
	}
	l.file(path, role)
}

// unixUser is the name of an account known by number only.
func unixUser(name, uid string) string { return firstOf(name, accountName("", uid)) }

// joinCommand joins a program and its arguments.
func joinCommand(program, arguments string) string {
	if arguments == "" {
		return program
	}
	return program + " " + arguments
}
