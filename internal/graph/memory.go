// Package graph is the bounded memory of what links acts together: which process
// started which, who wrote the file that was run later, from where a session was
// opened, which key was issued to whom. It is fed every observed act in the order
// of event time, whether or not a rule fired, so that a story can be walked back
// to an act that was no alert and forward to what came of it.
//
// Entities are nodes, acts are edges that remember their event. An edge that
// explains why its target exists or acts (a parent, an injection, a log-on) is a
// cause and is walked backwards; every edge is walked forwards.
package graph

import (
	"sort"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Options bound a Memory; a zero field means its default.
type Options struct {
	MaxNodes        int // entities kept in total (400,000)
	MaxNodesPerHost int // process and file instances kept for one host (200,000)
	MaxEdges        int // acts kept in total (1,000,000)
	MaxCauses       int // causes kept for one entity (64)
	MaxEffects      int // effects kept for one entity (4,096)
	// Recall returns an observed act by its Kept number, so that edges need not hold
	// it; acts without a number are held. nil when nobody keeps acts.
	Recall func(kept int64) *model.Observation
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.MaxNodes, 400_000)
	set(&o.MaxNodesPerHost, 200_000)
	set(&o.MaxEdges, 1_000_000)
	set(&o.MaxCauses, 64)
	set(&o.MaxEffects, 4096)
	return o
}

// Stats counts what a Memory holds and what it had to let go.
type Stats struct {
	Observed     int // acts seen
	Nodes, Edges int // held now
	EvictedNodes int // oldest entities forgotten to stay within bounds
	EvictedEdges int // acts forgotten together with them
	DroppedEdges int // acts not kept because one entity had too many
}

// A node is one entity. Only processes have a life; the rest has first and last.
type node struct {
	key     model.EntityKey
	keys    []model.EntityKey // every key under which the node is indexed
	name    string
	host    string
	user    model.EntityKey
	start   time.Time // of a process; first sight when its start was not seen
	end     time.Time // zero while it runs
	last    time.Time // of the last act that named it
	exact   bool      // start is that of a start event
	seen    int       // acts that named it
	in, out []*edge
	gone    bool
}

// Memory is what the package is about. It is not safe for concurrent use; its
// readers (Resolve, Back, Forward and the like) change nothing.
type Memory struct {
	opt     Options
	nodes   map[model.EntityKey]*node
	pids    map[string][]*node // "<host>:<pid>" to its instances, oldest first
	perHost map[string]int
	types   map[model.EntityType]int
	names   names
	flows   map[string][]flow  // destination address to recent connections to it
	logons  map[string][]logon // host to recent log-ons from elsewhere
	drops   map[string][]*edge // folder to recent writes of temporary files
	fetches map[string][]*edge // host and program to recent connections of its processes
	count   int                // nodes
	edges   int
	stats   Stats
	reasons []model.Reason // that edges name by number
}

// New returns an empty Memory.
func New(o Options) *Memory {
	return &Memory{
		opt: o.withDefaults(), nodes: map[model.EntityKey]*node{}, pids: map[string][]*node{}, perHost: map[string]int{},
		types: map[model.EntityType]int{}, names: newNames(), flows: map[string][]flow{}, logons: map[string][]logon{}, drops: map[string][]*edge{}, fetches: map[string][]*edge{},
	}
}

// Stats returns the counters.
func (m *Memory) Stats() Stats {
	s := m.stats
	s.Nodes, s.Edges = m.count, m.edges
	return s
}

// Observe adds one act. Acts come in the order of event time; a few seconds of
// disorder do no harm.
func (m *Memory) Observe(o *model.Observation) {
	if o == nil || o.Act == model.ActNone {
		return
	}
	m.stats.Observed++
	m.names.learn(o)
	m.relate(o)
	if m.count > m.opt.MaxNodes || m.edges > m.opt.MaxEdges {
		m.evict("", m.opt.MaxNodes*9/10, m.opt.MaxEdges*9/10)
	}
	if h := m.names.place(o.Host, o.Time); m.perHost[h] > m.opt.MaxNodesPerHost {
		m.evict(h, m.opt.MaxNodesPerHost*9/10, m.opt.MaxEdges)
	}
}

// touch returns the node of an entity as it was at t, making it when missing.
func (m *Memory) touch(e model.Entity, t time.Time) *node {
	n := m.find(e, t)
	if n == nil {
		n = m.create(e, t)
	}
	if e.Type == model.Process {
		m.alias(n, e, t)
	}
	n.seen++
	if n.name == "" {
		n.name = e.Name
	}
	if t.After(n.last) {
		n.last = t
	}
	return n
}

// find returns the node of an entity at t, nil when memory does not know it.
func (m *Memory) find(e model.Entity, t time.Time) *node {
	key := m.names.key(e, t)
	if e.Type != model.Process {
		return m.nodes[key]
	}
	if hostPID(key.Value) {
		if n := instanceAt(m.pids[key.Value], t); n != nil {
			return n
		}
		return m.nodes[model.EntityKey{Type: model.Process, Value: key.Value}].liveAt(t)
	}
	if n := m.nodes[key]; n != nil {
		return n
	}
	// A process first named by number, now by its sensor's GUID, is the same one.
	if e.Alt != "" {
		if n := instanceAt(m.pids[m.names.prefixed(e.Alt)], t); n != nil && hostPID(n.key.Value) {
			return n
		}
	}
	return nil
}

// liveAt returns n unless it is nil or a process that did not run at t.
func (n *node) liveAt(t time.Time) *node {
	if n == nil || !n.runs(t) {
		return nil
	}
	return n
}

func (m *Memory) create(e model.Entity, t time.Time) *node {
	key := m.names.key(e, t)
	n := &node{name: e.Name, start: t, last: t, host: hostPrefix(key.Value)}
	if e.Type == model.Process && hostPID(key.Value) {
		pid := key.Value
		if m.nodes[key] != nil { // the number is used again: a second instance
			key.Value += "@" + t.UTC().Format(time.RFC3339Nano)
		}
		m.pids[pid] = append(m.pids[pid], n)
	}
	n.key = key
	n.keys = []model.EntityKey{key}
	m.nodes[key] = n
	m.count++
	m.types[key.Type]++
	m.perHost[n.host]++
	return n
}

// alias makes a process known under the sensor's GUID and under its number.
func (m *Memory) alias(n *node, e model.Entity, t time.Time) {
	key := m.names.key(e, t)
	if hostPID(key.Value) {
		return
	}
	if m.nodes[key] != n && m.nodes[key] == nil { // known by number so far
		n.key = key
		n.keys = append(n.keys, key)
		m.nodes[key] = n
	}
	if e.Alt == "" {
		return
	}
	pid := m.names.prefixed(e.Alt)
	for _, x := range m.pids[pid] {
		if x == n {
			return
		}
	}
	if n.host == "" {
		m.perHost[n.host]--
		n.host = hostPrefix(pid)
		m.perHost[n.host]++
	}
	m.pids[pid] = append(m.pids[pid], n)
	sort.SliceStable(m.pids[pid], func(i, j int) bool { return m.pids[pid][i].start.Before(m.pids[pid][j].start) })
}

// link adds an edge, or counts it to the same one when that was among the last.
func (m *Memory) link(from, to *node, o *model.Observation, reason model.Reason, cause bool) *edge {
	if from == nil || to == nil || (from == to && cause) {
		return nil
	}
	const look = 16
	text, why := printOf(o.Text), m.reason(reason)
	for i := len(from.out) - 1; i >= 0 && i >= len(from.out)-look; i-- {
		if e := from.out[i]; e.to == to && e.act == o.Act && e.cause == cause && e.reason == why && e.text == text {
			e.n++
			e.last = max(e.last, momentOf(o.Time))
			return e
		}
	}
	if (cause && len(to.in) >= m.opt.MaxCauses) || len(from.out) >= m.opt.MaxEffects {
		m.stats.DroppedEdges++
		return nil
	}
	e := m.edge(from, to, o)
	e.reason, e.text, e.cause = why, text, cause
	from.out = append(from.out, e)
	if cause {
		to.in = append(to.in, e)
	}
	m.edges++
	return e
}

// evict forgets the oldest entities, finished ones first, of one host or of all,
// until at most keepNodes of them and keepEdges in total remain.
func (m *Memory) evict(host string, keepNodes, keepEdges int) {
	all := make([]*node, 0, m.count)
	for _, n := range m.nodes {
		if (host == "" || n.host == host) && !n.gone {
			n.gone = true // a node has several keys: take it once
			all = append(all, n)
		}
	}
	for _, n := range all {
		n.gone = false
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.end.IsZero() != b.end.IsZero() {
			return !a.end.IsZero()
		}
		if !a.last.Equal(b.last) {
			return a.last.Before(b.last)
		}
		return a.key.Less(b.key)
	})
	left := len(all)
	for _, n := range all {
		if left <= keepNodes && m.edges <= keepEdges {
			break
		}
		m.forget(n)
		left--
	}
	m.sweep()
}

// forget takes a node out of every index; its edges go with it.
func (m *Memory) forget(n *node) {
	n.gone = true
	for _, k := range n.keys {
		if m.nodes[k] == n {
			delete(m.nodes, k)
		}
	}
	m.count--
	m.types[n.key.Type]--
	if m.perHost[n.host]--; m.perHost[n.host] <= 0 {
		delete(m.perHost, n.host)
	}
	m.stats.EvictedNodes++
	for _, e := range n.out {
		if !e.to.gone || e.to == n {
			m.edges--
			m.stats.EvictedEdges++
		}
	}
	for _, e := range n.in {
		if !e.from.gone {
			m.edges--
			m.stats.EvictedEdges++
		}
	}
}

// sweep drops what still points to forgotten nodes.
func (m *Memory) sweep() {
	dead := func(e *edge) bool { return e.from.gone || e.to.gone }
	edges := 0
	done := map[*node]bool{}
	for _, n := range m.nodes {
		if done[n] {
			continue
		}
		done[n] = true
		n.in, n.out = without(n.in, dead), without(n.out, dead)
		edges += len(n.out)
	}
	m.edges = edges // edges without cause stand with their source only
	for k, l := range m.pids {
		keepOrDelete(m.pids, k, without(l, func(n *node) bool { return n.gone }))
	}
	for _, recent := range []map[string][]*edge{m.drops, m.fetches} {
		for k, l := range recent {
			keepOrDelete(recent, k, without(l, dead))
		}
	}
	for k, l := range m.flows {
		keepOrDelete(m.flows, k, without(l, func(f flow) bool { return f.process.gone }))
	}
	for k, l := range m.logons {
		keepOrDelete(m.logons, k, without(l, func(f logon) bool { return f.session.gone }))
	}
}

func keepOrDelete[T any](m map[string][]T, k string, l []T) {
	if len(l) == 0 {
		delete(m, k)
		return
	}
	m[k] = l
}

func without[T any](l []T, drop func(T) bool) []T {
	kept := l[:0]
	for _, x := range l {
		if !drop(x) {
			kept = append(kept, x)
		}
	}
	clear(l[len(kept):])
	return kept
}
