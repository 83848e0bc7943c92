package graph

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A WayKind says how holding one thing gave another.
type WayKind uint8

// The kinds of ways, those that give control first. A path goes on from what they
// lead to, but for uses and connections, and for hosts on which the account never
// started anything: those are reached and give nothing further.
const (
	WayLogsOn  WayKind = iota // an account was logged on to a host, or used against it
	WayRuns                   // an account was at work on a host, so what it is known by lies there
	WayAssumes                // an identity got a role, key or session
	WayOwns                   // a key or session stands for an account or role
	WayUses                   // an identity read, listed, changed or reached a thing; ends a path
	WayTalks                  // a host connected to another one; ends a path
)

// A Way is an observed fact by which who holds From can get at To.
type Way struct {
	From, To    model.EntityKey
	Kind        WayKind
	First, Last time.Time
	Count       int
	Event       string // id of the first event that showed it

	ends bool // nothing further comes of it: see index
}

// Bounds of Ways: an estate of thousands of hosts has some ten ways for each, and
// whoever writes more into his logs must not fill memory.
const (
	maxWays     = 100_000
	maxWayHops  = 5
	maxWayNodes = 20_000 // looked at for one path
)

type wayKey struct {
	from, to model.EntityKey
	kind     WayKind
}

// Ways is the bounded memory of how one thing in an estate leads to another, by
// observed facts only: who was logged on where, which role was assumed by whom,
// which host talked to which. It is not safe for concurrent use.
type Ways struct {
	m       *Memory
	of      map[wayKey]*Way
	dropped int
	out     map[model.EntityKey][]Way // by canonical key, made when first asked
}

// NewWays returns empty Ways that take names from m. They observe each act after m
// did.
func NewWays(m *Memory) *Ways { return &Ways{m: m, of: map[wayKey]*Way{}} }

// Dropped returns how many facts were left out to bound memory.
func (w *Ways) Dropped() int { return w.dropped }

// Observe adds the ways that one act shows.
func (w *Ways) Observe(o *model.Observation) {
	host := model.EntityKey{Type: model.Host, Value: o.Host}
	get := func(r model.Role, types ...model.EntityType) (model.EntityKey, bool) {
		for _, t := range types {
			if e, ok := o.Find(t, r); ok && e.Value != "" && (t != model.User || !builtin(e.Value)) {
				return w.m.names.key(e, o.Time), true
			}
		}
		return model.EntityKey{}, false
	}
	w.standsFor(o, get)
	switch o.Act {
	case model.ActLogon:
		u, ok := get(model.Target, model.User)
		if !ok {
			return
		}
		if h, ok := get(model.Subject, model.Host); ok {
			w.add(u, h, WayLogsOn, o)
		} else if o.Host != "" {
			w.add(u, host, WayLogsOn, o)
		}
		if src, ok := get(model.Src, model.Host, model.IP); ok && o.Host != "" {
			w.add(src, u, WayRuns, o)
		}
	case model.ActExplicitCreds:
		if u, ok := get(model.Target, model.User); ok {
			if dst, ok := get(model.Dst, model.Host, model.IP); ok {
				w.add(u, dst, WayLogsOn, o)
			}
			if o.Host != "" {
				w.add(host, u, WayRuns, o)
			}
		}
	case model.ActRemoteExec:
		if u, ok := get(model.Actor, model.User, model.IAMRole, model.AccessKey); ok {
			if h, ok := get(model.Subject, model.Host); ok {
				w.add(u, h, WayLogsOn, o)
			}
			w.uses(u, o)
		}
	case model.ActProcessStart:
		if u, ok := get(model.Actor, model.User); ok && o.Host != "" {
			w.add(host, u, WayRuns, o)
		}
	case model.ActAssumeRole, model.ActKeyIssued:
		for _, at := range []model.EntityType{model.AccessKey, model.Session, model.IAMRole, model.User, model.App} {
			u, ok := get(model.Actor, at)
			if !ok {
				continue
			}
			for _, t := range []model.EntityType{model.AccessKey, model.Session, model.IAMRole, model.App, model.User} {
				if k, ok := get(model.Target, t); ok {
					w.add(u, k, WayAssumes, o)
				}
			}
		}
	case model.ActConnect:
		dst, ok := get(model.Dst, model.Host, model.IP)
		if !ok {
			return
		}
		if _, local := o.Find(model.Process, model.Actor); local && o.Host != "" {
			w.add(host, dst, WayTalks, o)
		} else if src, ok := get(model.Src, model.Host, model.IP); ok {
			w.add(src, dst, WayTalks, o)
		}
	case model.ActShareAccess:
		if u, ok := get(model.Actor, model.User); ok && o.Host != "" {
			w.add(u, host, WayUses, o)
		}
	case model.ActAPICall, model.ActConfigChange, model.ActObjectList, model.ActObjectRead, model.ActObjectWrite, model.ActObjectDelete, model.ActMailAccess:
		for _, t := range []model.EntityType{model.AccessKey, model.Session, model.IAMRole, model.User, model.App, model.Pod} {
			if u, ok := get(model.Actor, t); ok {
				w.uses(u, o)
			}
		}
	}
}

// standsFor notes which account or role a key or session of a cloud acts for. The
// sessions of hosts are not looked at: nobody holds them elsewhere.
func (w *Ways) standsFor(o *model.Observation, get func(model.Role, ...model.EntityType) (model.EntityKey, bool)) {
	if o.Host != "" {
		return
	}
	for _, t := range []model.EntityType{model.AccessKey, model.Session} {
		if k, ok := get(model.Actor, t); ok {
			if u, ok := get(model.Actor, model.IAMRole, model.User); ok {
				w.add(k, u, WayOwns, o)
			}
		}
	}
}

// maxUsed bounds the things of one act that are noted as used.
const maxUsed = 8

func (w *Ways) uses(u model.EntityKey, o *model.Observation) {
	n := 0
	for _, e := range o.Entities {
		if e.Role != model.Target || e.Value == "" || n == maxUsed {
			continue
		}
		switch e.Type {
		case model.Resource, model.Mailbox, model.App, model.Pod, model.Container, model.Namespace, model.Host:
			n++
			w.add(u, w.m.names.key(e, o.Time), WayUses, o)
		}
	}
}

func (w *Ways) add(from, to model.EntityKey, kind WayKind, o *model.Observation) {
	if from == to || from.Value == "" || to.Value == "" {
		return
	}
	w.out = nil
	k := wayKey{from, to, kind}
	if x := w.of[k]; x != nil {
		x.Count++
		if o.Time.After(x.Last) {
			x.Last = o.Time
		}
		return
	}
	if len(w.of) >= maxWays {
		w.dropped++
		return
	}
	w.of[k] = &Way{From: from, To: to, Kind: kind, First: o.Time, Last: o.Time, Count: 1, Event: o.Event}
}

// builtin says whether an account is of the machine and no credential that opens
// another one: the machine's own, its services', nobody.
func builtin(user string) bool {
	name := user[strings.LastIndexByte(user, '\\')+1:]
	switch name {
	case "system", "local service", "network service", "anonymous logon", "-", "", "iusr":
		return true
	}
	return strings.HasSuffix(name, "$") || strings.HasPrefix(name, "dwm-") || strings.HasPrefix(name, "umfd-")
}

// now returns the canonical key of k, as it is known when all was observed: names
// met late are better than those met early, and an address is the host that had it.
func (w *Ways) now(k model.EntityKey, at time.Time) model.EntityKey {
	if k.Type == model.IP {
		if h := w.m.names.ownerAt(k.Value, at); h != "" {
			return model.EntityKey{Type: model.Host, Value: h}
		}
	}
	return w.m.names.key(model.Entity{Type: k.Type, Value: k.Value}, at)
}

// index puts the ways by what they lead from, each once, in an order that depends
// on nothing but them.
func (w *Ways) index() {
	merged := make(map[wayKey]*Way, len(w.of))
	for _, x := range w.sorted() {
		k := wayKey{w.now(x.From, x.First), w.now(x.To, x.First), x.Kind}
		if k.from == k.to {
			continue
		}
		if y := merged[k]; y != nil {
			y.Count += x.Count
			if x.Last.After(y.Last) {
				y.Last = x.Last
			}
			continue
		}
		x.From, x.To = k.from, k.to
		merged[k] = &x
	}
	w.out = map[model.EntityKey][]Way{}
	for _, x := range merged {
		switch x.Kind {
		case WayUses, WayTalks:
			x.ends = true
		case WayLogsOn: // who only opened a share or was answered there cannot take what lies on it
			x.ends = merged[wayKey{x.To, x.From, WayRuns}] == nil
		}
		w.out[x.From] = append(w.out[x.From], *x)
	}
	for _, l := range w.out {
		slices.SortFunc(l, compareWays)
	}
}

// sorted returns copies of all ways, the first seen first.
func (w *Ways) sorted() []Way {
	out := make([]Way, 0, len(w.of))
	for _, x := range w.of {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Way) int { return cmp.Or(a.First.Compare(b.First), compareWays(a, b)) })
	return out
}

func compareWays(a, b Way) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.To.Type, b.To.Type), cmp.Compare(a.To.Value, b.To.Value),
		cmp.Compare(a.From.Type, b.From.Type), cmp.Compare(a.From.Value, b.From.Value))
}

// Paths returns, for each of n things, the shortest chain of ways from what is held
// to it, at most five long, and nothing for those to which none is known; of says
// which of the things an entity is. A chain over credentials, roles and keys is
// preferred to one that ends with a mere connection. That a chain exists says that
// each link of it was seen, not that nothing would stop the next who walks it.
func (w *Ways) Paths(held []model.EntityKey, n int, of func(model.EntityKey) []int) map[int][]Way {
	if w.out == nil {
		w.index()
	}
	found := make(map[int][]Way, n)
	w.paths(held, n, of, false, found)
	if len(found) < n {
		w.paths(held, n, of, true, found)
	}
	return found
}

func (w *Ways) paths(held []model.EntityKey, n int, of func(model.EntityKey) []int, talks bool, found map[int][]Way) {
	type item struct {
		at    model.EntityKey
		depth int
	}
	came := map[model.EntityKey]Way{} // by which way each was reached
	seen := map[model.EntityKey]bool{}
	var queue []item
	for _, k := range sortedKeys(held) {
		if !seen[k] {
			seen[k] = true
			queue = append(queue, item{k, 0})
		}
	}
	for len(queue) > 0 && len(seen) < maxWayNodes && len(found) < n {
		it := queue[0]
		queue = queue[1:]
		if it.depth == maxWayHops {
			break
		}
		for _, x := range w.out[it.at] {
			if seen[x.To] || x.Kind == WayTalks && !talks {
				continue
			}
			for _, i := range of(x.To) {
				if found[i] == nil {
					found[i] = chain(x, came)
				}
			}
			if x.ends {
				continue
			}
			seen[x.To] = true
			came[x.To] = x
			queue = append(queue, item{x.To, it.depth + 1})
		}
	}
}

// chain is the path that ends with last.
func chain(last Way, came map[model.EntityKey]Way) []Way {
	path := []Way{last}
	for at := last.From; ; {
		y, ok := came[at]
		if !ok {
			slices.Reverse(path)
			return path
		}
		path = append(path, y)
		at = y.From
	}
}

// Now returns what an entity is called when all was observed; an address is the host
// that had it.
func (w *Ways) Now(k model.EntityKey, at time.Time) model.EntityKey { return w.now(k, at) }
