package graph

import (
	"sort"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Hop is one act on a walk: From acted on To.
type Hop struct {
	Event       string // the event's id
	Time        time.Time
	Act         model.Act
	From, To    model.EntityKey
	FromName    string // image path of a process, empty where the key is the name
	ToName      string
	Reason      model.Reason
	Host        string
	Text        string
	Cause       bool // To exists or acts because of From
	Count       int  // how many equal acts the hop stands for
	Observation *model.Observation
}

// Limits bound a walk; a zero field means its default.
type Limits struct {
	Hops  int       // 256
	Depth int       // 24
	Since time.Time // acts before are not followed; zero means no limit
}

func (l Limits) withDefaults() Limits {
	if l.Hops <= 0 {
		l.Hops = 256
	}
	if l.Depth <= 0 {
		l.Depth = 24
	}
	return l
}

func (m *Memory) hop(e *edge) Hop {
	o := m.observation(e)
	return Hop{Event: o.Event, Time: o.Time, Act: e.act, From: e.from.key, To: e.to.key, FromName: e.from.name, ToName: e.to.name,
		Reason: m.reasons[e.reason], Host: o.Host, Text: o.Text, Cause: e.cause, Count: int(e.n), Observation: o}
}

// A Bridge says to what else an entity leads.
type Bridge struct {
	To     model.EntityKey
	Name   string // image path of a process
	Reason model.Reason
}

// at finds a node by its canonical key, or by a process number at a time.
func (m *Memory) at(k model.EntityKey, t time.Time) *node {
	return m.find(model.Entity{Type: k.Type, Value: k.Value}, t)
}

// Resolve returns the canonical identity of an entity as it stood on host at t:
// the GUID of a process known by number, one name for an account, the qualified
// name of a host. What memory does not know comes back under its best name.
func (m *Memory) Resolve(e model.Entity, host string, at time.Time) model.EntityKey {
	if e.Type == model.Process && host != "" && e.Value != "" && strings.Trim(e.Value, "0123456789") == "" {
		e.Value = host + ":" + e.Value
	}
	if n := m.find(e, at); n != nil {
		return n.key
	}
	return m.names.key(e, at)
}

// Bridges returns what directly explains an entity at that time: the parent of a
// process, who injected into it, the writer of its file, the source of a session,
// the issuer of a key, the host that had an address.
func (m *Memory) Bridges(k model.EntityKey, at time.Time) []Bridge {
	var out []Bridge
	if k.Type == model.IP {
		if h := m.names.ownerAt(k.Value, at); h != "" {
			out = append(out, Bridge{To: model.EntityKey{Type: model.Host, Value: h}, Reason: model.SameHost})
		}
	}
	n := m.at(k, at)
	if n == nil {
		return out
	}
	for _, e := range n.in {
		if !e.from.gone && !e.at.after(at) {
			out = append(out, Bridge{e.from.key, e.from.name, m.reasons[e.reason]})
		}
	}
	if n.user.Value != "" {
		out = append(out, Bridge{To: n.user, Reason: model.SameUser})
	}
	return out
}

// Tree returns the first process of the tree that a process belongs to: the last
// ancestor below those that start everything, through injections, and whether
// memory knows the process at all.
func (m *Memory) Tree(k model.EntityKey, at time.Time) (root model.EntityKey, name string, known bool) {
	n := m.at(k, at)
	if n == nil || k.Type != model.Process {
		return k, "", false
	}
	n = tree(n, at)
	return n.key, n.name, true
}

func tree(n *node, at time.Time) *node {
	seen := map[*node]bool{}
	for !seen[n] && len(seen) < 64 {
		seen[n] = true
		up, t := n.continues(at)
		if up == nil {
			break
		}
		n, at = up, t
	}
	return n
}

// continues returns the process whose work n did at that time: the last one that
// injected into it, else its parent unless that one starts everything.
func (n *node) continues(at time.Time) (*node, time.Time) {
	var parent *edge
	for i := len(n.in) - 1; i >= 0; i-- {
		e := n.in[i]
		if e.from.gone || e.from.key.Type != model.Process || e.at.after(at) {
			continue
		}
		switch e.act {
		case model.ActInject:
			return e.from, e.at.time()
		case model.ActProcessStart:
			parent = e
		}
	}
	if parent == nil || parent.from.name == "" {
		return nil, at
	}
	if parent.from.common() {
		if src, _ := parent.from.continues(parent.at.time()); src == nil || !injected(parent.from, parent.at.time()) {
			return nil, at
		}
	}
	return parent.from, parent.at.time()
}

func injected(n *node, at time.Time) bool {
	for _, e := range n.in {
		if e.act == model.ActInject && !e.from.gone && !e.at.after(at) {
			return true
		}
	}
	return false
}

// Lineage returns what stands behind an entity: its tree and, across files,
// services, sessions and keys, the trees and identities that caused it. The
// nearest come first. Users and hosts are not in it: too much stands behind them.
func (m *Memory) Lineage(k model.EntityKey, at time.Time) []Bridge {
	const maxLineage = 16
	var out []Bridge
	type item struct {
		n      *node
		at     time.Time
		reason model.Reason
	}
	start := m.at(k, at)
	if start == nil {
		return nil
	}
	seen := map[*node]bool{}
	queue := []item{{start, at, ""}}
	for len(queue) > 0 && len(out) < maxLineage {
		it := queue[0]
		queue = queue[1:]
		n := it.n
		if n.key.Type == model.Process {
			n = tree(n, it.at)
		}
		if seen[n] {
			continue
		}
		seen[n] = true
		if n != start {
			reason := it.reason
			if reason == "" {
				reason = model.SameProcessTree
			}
			out = append(out, Bridge{n.key, n.name, reason})
		}
		// What caused any process from the entity up to its tree's first one.
		for p, t := it.n, it.at; p != nil; {
			for _, e := range p.in {
				if e.from.gone || e.at.after(t) || (e.act == model.ActProcessStart && e.from.key.Type == model.Process) || e.act == model.ActInject {
					continue
				}
				if !e.from.links() || (m.reasons[e.reason] == model.NetworkFlow && e.from.key.Type != model.Process) {
					continue
				}
				queue = append(queue, item{e.from, e.at.time(), m.reasons[e.reason]})
			}
			if p == n {
				break
			}
			p, t = p.continues(t)
		}
	}
	return out
}

// links says whether a node is narrow enough that what shares it belongs together.
func (n *node) links() bool {
	switch n.key.Type {
	case model.Process:
		return !n.common() && !n.downloader()
	case model.Session: // only one that came from somewhere: the console's session carries all of a day's work
		return len(n.in) > 0
	case model.AccessKey, model.File, model.Pod:
		return true
	case model.App: // a service or task that memory saw being made
		return len(n.in) > 0
	}
	return false
}

// Back walks from entities over causes to the earliest acts that explain them,
// not beyond processes that start everything. The hops come in the order of time.
func (m *Memory) Back(from []model.EntityKey, at time.Time, lim Limits) []Hop {
	lim = lim.withDefaults()
	earliest := momentOf(lim.Since)
	type item struct {
		n     *node
		at    time.Time
		depth int
	}
	var queue []item
	for _, k := range sortedKeys(from) {
		if n := m.at(k, at); n != nil {
			queue = append(queue, item{n, at, 0})
		}
	}
	seen, used := map[*node]bool{}, map[*edge]bool{}
	var hops []Hop
	add := func(e *edge) bool {
		if used[e] || len(hops) >= lim.Hops {
			return false
		}
		used[e] = true
		hops = append(hops, m.hop(e))
		return true
	}
	for len(queue) > 0 && len(hops) < lim.Hops {
		it := queue[0]
		queue = queue[1:]
		if seen[it.n] || it.depth >= lim.Depth {
			continue
		}
		seen[it.n] = true
		stop := it.n.common() && !injected(it.n, it.at)
		for i := len(it.n.in) - 1; i >= 0; i-- {
			e := it.n.in[i]
			if e.from.gone || e.at.after(it.at) || e.at < earliest {
				continue
			}
			if stop && it.depth > 0 {
				continue
			}
			if it.n.common() && e.act == model.ActProcessStart {
				continue // who started a service host explains nothing of what was put into it
			}
			if e.from.key.Type == model.Session && len(e.from.in) == 0 {
				continue // a session of unknown origin
			}
			if !add(e) {
				continue
			}
			queue = append(queue, item{e.from, e.at.time(), it.depth + 1})
			if e.act == model.ActFileWrite {
				if d := m.download(e); d != nil {
					add(d)
				}
				break // the last writer made the file what it was
			}
		}
	}
	sortHops(hops)
	return hops
}

// download returns the last connection of a file's writer shortly before it wrote,
// or of another process of the same browser: they share the work.
func (m *Memory) download(w *edge) *edge {
	var best *edge
	for _, list := range [][]*edge{w.from.out, m.fetches[m.observation(w).Host+"\x00"+w.from.name]} {
		for i := len(list) - 1; i >= 0; i-- {
			e := list[i]
			d := time.Duration(w.at - e.at)
			if e.act == model.ActConnect && !e.from.gone && !e.to.gone && d >= -slack && d <= 2*time.Minute && e.fetch {
				if best == nil || e.at > best.at {
					best = e
				}
				break
			}
		}
	}
	return best
}

// Forward walks from entities to what they did since then: children, injections,
// connections, files, calls, and what came of the credentials they got. The hops
// come in the order of time.
func (m *Memory) Forward(from []model.EntityKey, since time.Time, lim Limits) []Hop {
	lim = lim.withDefaults()
	earliest := momentOf(lim.Since)
	type item struct {
		n     *node
		since time.Time
		depth int
	}
	var queue []item
	for _, k := range sortedKeys(from) {
		if n := m.at(k, since); n != nil {
			queue = append(queue, item{n, since, 0})
		}
	}
	seen := map[*node]bool{}
	var hops []Hop
	for len(queue) > 0 && len(hops) < lim.Hops {
		it := queue[0]
		queue = queue[1:]
		if seen[it.n] || it.depth >= lim.Depth {
			continue
		}
		seen[it.n] = true
		for _, e := range it.n.out {
			if len(hops) >= lim.Hops {
				break
			}
			if e.to.gone || e.last < momentOf(it.since)-moment(slack) || e.at < earliest {
				continue
			}
			hops = append(hops, m.hop(e))
			if e.cause && !seen[e.to] && e.to.key.Type != model.User {
				queue = append(queue, item{e.to, e.at.time(), it.depth + 1})
			}
		}
	}
	sortHops(hops)
	return hops
}

func sortedKeys(l []model.EntityKey) []model.EntityKey {
	out := append([]model.EntityKey(nil), l...)
	sort.Slice(out, func(i, j int) bool { return out[i].Less(out[j]) })
	return out
}

func sortHops(hops []Hop) {
	sort.SliceStable(hops, func(i, j int) bool {
		a, b := &hops[i], &hops[j]
		if !a.Time.Equal(b.Time) {
			return a.Time.Before(b.Time)
		}
		if a.Event != b.Event {
			return a.Event < b.Event
		}
		if a.From != b.From {
			return a.From.Less(b.From)
		}
		return a.To.Less(b.To)
	})
}

// Observed returns how many acts memory was fed.
func (m *Memory) Observed() int { return m.stats.Observed }

// Seen returns how many of those acts named an entity.
func (m *Memory) Seen(k model.EntityKey, at time.Time) int {
	if n := m.at(k, at); n != nil {
		return n.seen
	}
	return 0
}

// Kinds returns how many entities of a type memory holds.
func (m *Memory) Kinds(t model.EntityType) int { return m.types[t] }

// Written says whether memory saw a file being made.
func (m *Memory) Written(k model.EntityKey) bool {
	n := m.nodes[k]
	return n != nil && written(n)
}

// Owner returns the host that an address belonged to at a time, empty if none is
// known.
func (m *Memory) Owner(ip string, at time.Time) string { return m.names.ownerAt(ip, at) }

// Name returns the image path of a process, empty if it is not known.
func (m *Memory) Name(k model.EntityKey, at time.Time) string {
	if n := m.at(k, at); n != nil {
		return n.name
	}
	return ""
}

// CommonAncestor says whether a process starts everything on its machine, so that
// sharing it links nothing.
func (m *Memory) CommonAncestor(k model.EntityKey, at time.Time) bool {
	n := m.at(k, at)
	return n != nil && n.common()
}
