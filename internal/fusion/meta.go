package fusion

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// class is how narrow an entity is: how little else carries it.
type class uint8

const (
	near   class = iota // the site that a place is in, for those of which nothing else is known
	wide                // the place itself: sharing it says only that things are near
	shared              // rare or not, the evidence tells
	narrow              // a process tree, a session from elsewhere, a key
)

// A pivot is something of an alert through which it can be linked.
type pivot struct {
	key    model.EntityKey
	name   string // what people call it, empty if key says it
	reason model.Reason
	class  class
	entity *entity // of key, once its meta was admitted
	behind bool    // not in the alert itself but behind what is
	common float64 // share of all that memory saw that carries it, 0 if that is too little to tell
}

// A portrait is what fusion needs of an alert beside itself.
type portrait struct {
	subject   model.EntityKey // the place whose rates count
	principal model.EntityKey // who acts there: tree, key, user, session, address
	pivots    []pivot
}

// maxPivots bounds the pivots of one alert.
const maxPivots = 32

// describe resolves the entities of an alert and what stands behind them.
func (e *Engine) describe(a *model.Alert) portrait {
	p := &portrait{}
	host := ""
	if a.Host != "" {
		host = e.mem.Resolve(model.Entity{Type: model.Host, Value: a.Host}, "", a.Time).Value
	} else if h, ok := a.Find(model.Host, model.Subject); ok {
		host = e.mem.Resolve(h, "", a.Time).Value
	}
	if host != "" {
		p.subject = model.EntityKey{Type: model.Host, Value: host}
		p.add(pivot{key: p.subject, reason: model.SameHost, class: wide})
	}
	hasActor, tried := false, 0
	for i := range a.Entities {
		x := &a.Entities[i]
		if a.Act == model.ActLogonFailed && x.Type == model.User && x.Role == model.Target {
			tried++
		}
		hasActor = hasActor || (x.Type == model.Process && (x.Role == model.Subject || x.Role == model.Actor))
	}
	var trees, keys, sessions, users, roles, resources, ips []model.EntityKey
	for _, x := range a.Entities {
		if x.Role == model.Sensor || x.Value == "" {
			continue
		}
		key := e.mem.Resolve(x, host, a.Time)
		switch x.Type {
		case model.Process:
			if x.Role == model.Parent && hasActor || x.Role == model.Target && a.Act != model.ActInject {
				continue
			}
			root, name, known := e.mem.Tree(key, a.Time)
			if !known {
				name = x.Name
			}
			if x.Role == model.Parent && e.mem.CommonAncestor(root, a.Time) {
				continue
			}
			trees = append(trees, root)
			c := narrow
			if known && e.mem.CommonAncestor(root, a.Time) || name == "" {
				c = shared // a service host or shell, or nobody knows what, does many things that have nothing in common
			}
			p.add(pivot{key: root, name: name, reason: model.SameProcessTree, class: c})
			e.behind(p, key, a.Time)
		case model.AccessKey:
			keys = append(keys, key)
			p.add(pivot{key: key, reason: model.SameAccessKey, class: narrow})
			e.behind(p, key, a.Time)
		case model.Session:
			c := shared
			if host == "" {
				c = narrow // a provider's session belongs to one identity
				keys = append(keys, key)
			}
			sessions = append(sessions, key)
			p.add(pivot{key: key, reason: model.SameSession, class: c})
			e.behind(p, key, a.Time)
		case model.User:
			if builtin(key.Value) || x.Role == model.Target && (tried > 1 || a.Act == model.ActLogonFailed) {
				continue // whoever is tried with passwords that fail is no part of the attack for it
			}
			users = append(users, key)
			p.add(pivot{key: key, reason: model.SameUser, class: shared})
		case model.Host:
			if key != p.subject {
				p.add(pivot{key: key, reason: model.SameHost, class: shared})
			}
		case model.IP:
			owner := e.mem.Owner(key.Value, a.Time)
			if owner != "" && owner == host || x.Role == model.Subject && host != "" {
				continue // the place's own address
			}
			if owner != "" {
				p.add(pivot{key: model.EntityKey{Type: model.Host, Value: owner}, reason: model.NetworkFlow, class: shared, behind: true})
			}
			if x.Role != model.Dst {
				ips = append(ips, key)
			}
			p.add(pivot{key: key, reason: model.SameIP, class: shared})
		case model.File:
			if e.mem.Written(key) {
				p.add(pivot{key: key, name: x.Name, reason: model.SameFile, class: narrow})
			} else if !stock(key.Value) {
				p.add(pivot{key: key, name: x.Name, reason: model.SameFile, class: shared})
			}
		case model.Hash:
			if !common(a) {
				p.add(pivot{key: key, reason: model.SameHash, class: shared})
			}
		case model.Domain, model.URL:
			p.add(pivot{key: key, reason: model.SameDomain, class: shared})
		case model.IAMRole:
			roles = append(roles, key)
			p.add(pivot{key: key, reason: model.SameRoleChain, class: shared})
		case model.Mailbox:
			p.add(pivot{key: key, reason: model.SameUser, class: shared})
		case model.Container, model.Pod, model.Resource, model.App, model.Namespace:
			if x.Role == model.Subject && x.Type != model.App {
				resources = append(resources, key)
			}
			if key.Type == model.Host { // an instance that a host said it is: who acts as it acts from there
				p.add(pivot{key: key, reason: model.SameHost, class: narrow})
				continue
			}
			p.add(pivot{key: key, reason: model.SameResource, class: shared})
		}
	}
	for _, l := range [][]model.EntityKey{trees, keys, users, sessions, ips, {p.subject}} {
		if len(l) > 0 {
			p.principal = l[0]
			break
		}
	}
	if p.subject.Value == "" && teller(a) != "" {
		p.subject = account(users, roles, keys, resources)
	}
	if p.subject.Value == "" {
		p.subject = model.EntityKey{Type: model.App, Value: a.Product}
		if p.principal.Value == "" {
			p.principal = p.subject
		}
	}
	p.locate()
	return *p
}

func (p *portrait) add(v pivot) {
	if len(p.pivots) >= maxPivots {
		return
	}
	for i := range p.pivots {
		if p.pivots[i].key == v.key {
			p.pivots[i].class = max(p.pivots[i].class, v.class)
			return
		}
	}
	p.pivots = append(p.pivots, v)
}

func (e *Engine) behind(p *portrait, k model.EntityKey, t time.Time) {
	for _, b := range e.mem.Lineage(k, t) {
		p.add(pivot{key: b.To, name: b.Name, reason: b.Reason, class: narrow, behind: true})
	}
}

func fileOf(a *model.Alert) (string, bool) {
	f, ok := a.Find(model.File, model.Object)
	return f.Value, ok
}

// stock says whether a file lies where an installation puts it, so that other
// work uses it too.
func stock(v string) bool {
	for _, d := range []string{`\windows\`, "%systemroot%", "%windir%", `\program files`, ":/usr/", ":/bin/", ":/sbin/", ":/lib", ":/opt/"} {
		if strings.Contains(v, d) && !strings.Contains(v, `\temp\`) {
			return true
		}
	}
	return false
}

// builtin says whether a user is an account that every machine has.
func builtin(v string) bool {
	name := v[strings.LastIndexByte(v, '\\')+1:]
	switch name {
	case "system", "local service", "network service", "anonymous logon", "-", "", "root", "s-1-5-18", "s-1-5-19", "s-1-5-20", "s-1-5-7":
		return true
	}
	return strings.HasPrefix(name, "dwm-") || strings.HasPrefix(name, "umfd-") || strings.HasSuffix(name, "$")
}

// A meta is a burst of alerts of one rule by one principal at one place.
type meta struct {
	portrait
	where, who, what *entity // subject, principal, rule
	n                int     // its place in the order of time
	alerts           []*model.Alert
	count            int // matches, as the alerts count them
	first            time.Time
	last             time.Time
	level            int
	fan              bool
	open             bool // more alerts may come to it while it is weighed
	gone             bool
	acts             bool   // its principal is an actor of its own
	plain            bool   // it names its place and nothing else
	fresh            bool   // the first of its occurrence to be counted in the rates
	novel            bool   // the first of its rule at its place to be counted there
	cells            *cells // where the rates count it
	carries          []bool // by pivot: the first of its principal to carry it
	kin              kin
	rings            []*ring // by pivot, once it was judged

	cand   *candidate
	parent *meta
	via    pivot
	bits   float64
	terms  terms
	others int         // principals outside of the campaign that carry via
	full   float64     // bits it would add to an empty campaign
	gain   float64     // bits it adds to its own
	rep    int         // how many of its rule and subject the candidate held when it came
	beside bool        // came with a candidate that shares only the place
	link   *model.Link // as another engine told it, see kept.go

	group  int    // of alerts that decisions join or keep apart, 0 of none
	linked bool   // a decision joins one of its alerts to others
	late   bool   // it came so late that it says nothing of how often such things are
	torn   bool   // it would be of a burst but for decisions, so it is no further occurrence
	split  bool   // a decision took one out of an incident for one of its own
	quiet  string // the suppression that it falls under, empty if none

	same  *meta   // who told of the same act first, see sameact.go
	twins []*meta // and who told of it after this one
}

func (m *meta) rule() string { return m.alerts[0].Rule.ID }

// aside says whether a link of that class leaves m beside a campaign and not in
// it: mild work of a hand of its own that shares only the place.
func (m *meta) aside(c class) bool { return c <= wide && m.level < 3 && m.acts }

func (m *meta) unlink() {
	m.cand, m.parent, m.via, m.bits, m.terms, m.others, m.full, m.gain, m.rep, m.beside = nil, nil, pivot{}, 0, terms{}, 0, 0, 0, 0, false
	m.link = nil
}

func (m *meta) has(k model.EntityKey) bool { return m.at(k) >= 0 }

// at returns which pivot of m is k, -1 if none.
func (m *meta) at(k model.EntityKey) int {
	for i := range m.pivots {
		if m.pivots[i].key == k {
			return i
		}
	}
	return -1
}

// index returns which pivot of m is x, -1 if none.
func (m *meta) index(x *entity) int {
	for i := range m.pivots {
		if m.pivots[i].entity == x {
			return i
		}
	}
	return -1
}

// level maps a severity to 0 (informational) to 4 (critical).
func level(a *model.Alert) int {
	r := a.Rule.Level.Rank()
	if r < 0 {
		r = a.Severity.Rank()
	}
	return max(r, 0)
}
