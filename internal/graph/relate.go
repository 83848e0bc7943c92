package graph

import (
	"net/netip"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A flow is a connection that a process made, kept until the log-on it may lead
// to is seen on the other side.
type flow struct {
	process *node
	host    string // of the process
	at      time.Time
}

// A logon is a session opened from another machine, kept until the process that
// it may have started is seen.
type logon struct {
	session *node
	user    model.EntityKey
	from    *node // address or host it came from, nil if unknown
	at      time.Time
}

// How long before an effect its cause on another machine, or under another name,
// may lie.
const (
	flowWindow  = time.Minute      // connection to log-on
	logonWindow = time.Minute      // log-on to the process it starts
	dropWindow  = 10 * time.Minute // temporary download to the program of the same folder
	recentKept  = 64               // of each of these, for one key
)

func remember[T any](m map[string][]T, k string, v T) {
	l := m[k]
	if len(l) >= recentKept {
		l = append(l[:0], l[1:]...)
	}
	m[k] = append(l, v)
}

// entities of one act by type and role; the first of each counts.
type cast struct {
	m *Memory
	o *model.Observation
	n []*node
}

func (c *cast) get(t model.EntityType, r model.Role) *node {
	for i, e := range c.o.Entities {
		if e.Type == t && e.Role == r {
			return c.n[i]
		}
	}
	return nil
}

func (c *cast) first(r model.Role, types ...model.EntityType) *node {
	for _, t := range types {
		if n := c.get(t, r); n != nil {
			return n
		}
	}
	return nil
}

// actor is who did it, in the narrowest identity known.
func (c *cast) actor() *node {
	if n := c.first(model.Actor, model.Process, model.AccessKey, model.Session, model.IAMRole, model.User, model.App, model.Pod, model.Container); n != nil {
		return n
	}
	return c.first(model.Src, model.IP, model.Host)
}

// relate turns one act into nodes and edges.
func (m *Memory) relate(o *model.Observation) {
	c := &cast{m: m, o: o, n: make([]*node, len(o.Entities))}
	host := m.names.place(o.Host, o.Time)
	for i, e := range o.Entities {
		switch {
		case e.Value == "" || e.Role == model.Sensor:
		case e.Type == model.Process && e.Role == model.Subject && o.Act == model.ActProcessStart:
			c.n[i] = m.started(e, o.Time)
		default:
			c.n[i] = m.touch(e, o.Time)
		}
	}
	actor := c.actor()
	if u := c.get(model.User, model.Actor); u != nil {
		for _, n := range []*node{c.get(model.Process, model.Actor), c.get(model.AccessKey, model.Actor), c.get(model.Session, model.Actor)} {
			if n != nil && n.user.Value == "" {
				n.user = u.key
			}
		}
	}
	if k, s := c.get(model.AccessKey, model.Actor), c.get(model.Session, model.Actor); k != nil && s != nil && len(k.in) == 0 {
		m.link(s, k, o, model.SameRoleChain, true) // a key is used by the session that it was issued to
	}
	switch o.Act {
	case model.ActProcessStart:
		m.processStart(c, host)
	case model.ActProcessEnd:
		if p := c.get(model.Process, model.Subject); p != nil {
			p.end = o.Time
		}
	case model.ActInject:
		src, dst := c.get(model.Process, model.Actor), c.get(model.Process, model.Target)
		m.link(src, dst, o, model.SameProcessTree, src != nil && !src.common())
	case model.ActImageLoad:
		// Who loads a file that memory saw being written goes on with its writer's work.
		p, f := c.get(model.Process, model.Actor), c.get(model.File, model.Object)
		m.link(p, f, o, model.SameFile, false)
		if f != nil && p != nil && written(f) && writer(f, o.Time) != p && !p.common() {
			m.link(f, p, o, model.SameFile, true)
		}
	case model.ActFileWrite:
		m.fileWrite(c, actor)
	case model.ActConnect:
		m.connect(c, host)
	case model.ActLogon:
		m.logon(c, host)
	case model.ActServiceInstall, model.ActTaskCreate:
		app, f := c.get(model.App, model.Object), c.get(model.File, model.Object)
		reason := model.EnabledBy
		if app == nil {
			m.link(actor, f, o, reason, true)
			return
		}
		m.link(actor, app, o, reason, true)
		m.link(app, f, o, reason, true)
	case model.ActRemoteExec:
		src := c.first(model.Src, model.Host, model.IP)
		if s := c.first(model.Target, model.Session, model.Process); s != nil {
			m.link(src, s, o, model.NetworkFlow, true)
		} else {
			m.link(src, c.get(model.Host, model.Subject), o, model.NetworkFlow, false)
		}
		m.acts(c, actor)
	case model.ActAccountChange:
		m.link(actor, c.get(model.User, model.Target), o, model.EnabledBy, true)
		m.acts(c, actor)
	case model.ActAssumeRole, model.ActKeyIssued:
		m.issued(c, actor)
	case model.ActIdentify: // names, of which memory knows already, and no act
	default:
		m.acts(c, actor)
	}
}

func (m *Memory) processStart(c *cast, host string) {
	o := c.o
	p, parent := c.get(model.Process, model.Subject), c.get(model.Process, model.Parent)
	if p == nil {
		return
	}
	if u := c.get(model.User, model.Actor); u != nil {
		p.user = u.key
	}
	m.link(parent, p, o, model.SameProcessTree, true)
	if s := c.get(model.Session, model.Actor); s != nil {
		m.link(s, p, o, model.SameSession, true)
	}
	if f := c.get(model.File, model.Object); f != nil {
		if written(f) {
			m.link(f, p, o, model.SameFile, true)
		} else if e := m.dropped(f, o.Time); e != nil {
			m.link(e.to, p, o, model.SameFile, true)
		}
	}
	// A process that a remote service starts goes on with the session that asked for it.
	if remoteStarter(p, parent) {
		if s := m.openedBefore(host, p.user, o.Time); s != nil {
			m.link(s, p, o, model.SameSession, true)
		}
	}
}

// remoteStarter says whether p is how a request from another machine shows itself.
func remoteStarter(p, parent *node) bool {
	switch base(p.name) {
	case "wsmprovhost.exe", "winrshost.exe", "psexesvc.exe":
		return true
	}
	if parent == nil {
		return false
	}
	switch base(parent.name) {
	case "services.exe":
		return !p.common()
	case "wmiprvse.exe", "wsmprovhost.exe", "winrshost.exe", "psexesvc.exe", "sshd", "sshd.exe":
		return true
	}
	return false
}

// openedBefore returns the youngest session that another machine opened on host
// shortly before t, of that user if any was.
func (m *Memory) openedBefore(host string, user model.EntityKey, t time.Time) *node {
	var any *node
	l := m.logons[host]
	for i := len(l) - 1; i >= 0; i-- {
		d := t.Sub(l[i].at)
		if d < -slack || d > logonWindow || l[i].session.gone {
			continue
		}
		if user.Value != "" && l[i].user == user {
			return l[i].session
		}
		if any == nil {
			any = l[i].session
		}
	}
	return any
}

// written says whether memory knows how a file came to be.
func written(f *node) bool { return len(f.in) > 0 }

// writer returns the process that last wrote f before t.
func writer(f *node, t time.Time) *node {
	for i := len(f.in) - 1; i >= 0; i-- {
		if e := f.in[i]; !e.at.after(t) {
			return e.from
		}
	}
	return nil
}

func (m *Memory) fileWrite(c *cast, actor *node) {
	f := c.get(model.File, model.Object)
	e := m.link(actor, f, c.o, model.SameFile, true)
	if e == nil || !temporary(f.key.Value) {
		return
	}
	remember(m.drops, folder(f.key.Value), e)
}

// temporary says whether a file has the name of a download that is not finished:
// sensors see it written but not renamed.
func temporary(path string) bool {
	for _, suffix := range []string{".tmp", ".crdownload", ".part", ".partial", ".download", ".opdownload"} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// dropped returns the last temporary file written shortly before t to the folder
// of f: f may be what it was renamed to.
func (m *Memory) dropped(f *node, t time.Time) *edge {
	l := m.drops[folder(f.key.Value)]
	for i := len(l) - 1; i >= 0; i-- {
		if d := l[i].last.until(t); d >= 0 && d <= dropWindow && !l[i].to.gone {
			return l[i]
		}
	}
	return nil
}

func (m *Memory) connect(c *cast, host string) {
	o := c.o
	p := c.get(model.Process, model.Actor)
	src, dst := c.get(model.IP, model.Src), c.get(model.IP, model.Dst)
	if p == nil {
		m.link(c.first(model.Src, model.IP, model.Host), c.first(model.Dst, model.IP, model.Host), o, model.NetworkFlow, false)
		return
	}
	if dst != nil && host != "" && m.names.ownerAt(dst.key.Value, o.Time) == host && src != nil && src != dst {
		m.link(src, p, o, model.NetworkFlow, !p.common()) // it came in
		return
	}
	if dst == nil {
		dst = c.first(model.Dst, model.Host, model.Domain)
	}
	if e := m.link(p, dst, o, model.NetworkFlow, false); e != nil && dst.key.Type == model.IP {
		remember(m.flows, dst.key.Value, flow{p, host, o.Time})
		if p.downloader() && fetching(o, dst.key.Value) {
			remember(m.fetches, host+"\x00"+p.name, e)
		}
	}
}

// fetching says whether a connection may be one that a program fetches something
// over, and not the chatter by which machines look for each other's names.
func fetching(o *model.Observation, dst string) bool {
	a, err := netip.ParseAddr(dst)
	if err != nil || !a.IsGlobalUnicast() {
		return false
	}
	switch o.Text[strings.LastIndexByte(o.Text, ':')+1:] {
	case "53", "67", "123", "137", "138", "1900", "5353", "5355":
		return false
	}
	return true
}

func (m *Memory) logon(c *cast, host string) {
	o := c.o
	s, u := c.get(model.Session, model.Target), c.get(model.User, model.Target)
	ip, from := c.get(model.IP, model.Src), c.get(model.Host, model.Src)
	src := ip
	if src == nil {
		src = from
	}
	if s == nil {
		if u != nil {
			m.link(src, u, o, model.SameIP, false)
		}
		return
	}
	if u != nil {
		s.user = u.key
	}
	if src == nil || host != "" && (src.key.Value == host || ip != nil && m.names.ownerAt(ip.key.Value, o.Time) == host) {
		m.acts(c, c.actor())
		return
	}
	m.link(src, s, o, model.SameIP, true)
	l := logon{session: s, from: src, at: o.Time}
	if u != nil {
		l.user = u.key
	}
	if host == "" { // of an identity provider, and opened for what is behind it
		remember(m.logons, realmKey(l.user), l)
	} else {
		remember(m.logons, host, l)
	}
	if p := m.flowTo(host, src, from, o.Time); p != nil {
		m.link(p, s, o, model.NetworkFlow, true)
	}
}

// flowTo returns the process on the source machine whose connection to host came
// shortly before t.
func (m *Memory) flowTo(host string, src, from *node, t time.Time) *node {
	owner := ""
	if src.key.Type == model.IP {
		owner = m.names.ownerAt(src.key.Value, t)
	}
	if owner == "" && from != nil {
		owner = from.key.Value
	}
	if owner == "" || owner == host {
		return nil
	}
	var best flow
	for _, ip := range m.names.addresses(host) {
		l := m.flows[ip]
		for i := len(l) - 1; i >= 0; i-- {
			f := l[i]
			d := t.Sub(f.at)
			if d < -slack || d > flowWindow || f.host != owner || f.process.gone || f.process.common() {
				continue
			}
			if best.process == nil || f.at.After(best.at) || (f.at.Equal(best.at) && f.process.key.Less(best.process.key)) {
				best = f
			}
			break
		}
	}
	return best.process
}

// issued links who asked for credentials to the credentials.
func (m *Memory) issued(c *cast, actor *node) {
	o := c.o
	k, s := c.get(model.AccessKey, model.Target), c.get(model.Session, model.Target)
	m.crossed(c, actor, k, s)
	for _, n := range []*node{k, s} {
		m.link(actor, n, o, model.SameRoleChain, true)
	}
	if u := c.get(model.User, model.Actor); u != actor {
		if k == nil && s == nil {
			m.link(u, c.first(model.Target, model.IAMRole, model.App, model.User), o, model.SameRoleChain, false)
		}
	}
	m.link(s, k, o, model.SameRoleChain, true)
	m.acts(c, actor)
}

// acts links an actor to everything that its act was about.
func (m *Memory) acts(c *cast, actor *node) {
	if actor == nil {
		return
	}
	any := false
	for i, e := range c.o.Entities {
		n := c.n[i]
		if n == nil || n == actor || (e.Role != model.Target && e.Role != model.Object) || e.Type == model.Hash {
			continue
		}
		if k := len(actor.out) - 1; k >= 0 && linkedBy(actor.out[max(0, k-3):], n, c.o) {
			any = true // as a cause already
			continue
		}
		any = m.link(actor, n, c.o, reasonOf(e.Type), false) != nil || any
	}
	if any {
		return
	}
	if h := c.get(model.Host, model.Subject); h != nil {
		m.link(actor, h, c.o, model.SameHost, false)
		return
	}
	m.link(actor, actor, c.o, reasonOf(actor.key.Type), false)
}

func linkedBy(l []*edge, to *node, o *model.Observation) bool {
	for _, e := range l {
		if e.to == to && e.of(o) {
			return true
		}
	}
	return false
}

// reasonOf is why two acts that share an entity of that type belong together.
func reasonOf(t model.EntityType) model.Reason {
	switch t {
	case model.Process:
		return model.SameProcessTree
	case model.Session:
		return model.SameSession
	case model.User, model.Mailbox:
		return model.SameUser
	case model.Host, model.Container, model.Pod:
		return model.SameHost
	case model.File:
		return model.SameFile
	case model.Hash:
		return model.SameHash
	case model.IP:
		return model.SameIP
	case model.Domain, model.URL:
		return model.SameDomain
	case model.AccessKey:
		return model.SameAccessKey
	case model.IAMRole:
		return model.SameRoleChain
	}
	return model.SameResource
}
