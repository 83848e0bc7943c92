package sigma

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CorrelatorOptions bounds the memory of a Correlator. Zero means the default.
type CorrelatorOptions struct {
	MaxGroups int // groups with events; 100,000
	MaxEvents int // events of all groups together; 1,000,000
	MaxWindow int // events of one group; 10,000, or what a condition asks for
	MaxIDs    int // ids in one Match; 100

	Trace func(Step) // is told what every match does; nil: nobody asks
}

// An Event is a match of a detection rule, as a Correlator sees it.
type Event struct {
	Rule   int // its place in Set.Rules
	Time   time.Time
	ID     string                     // of the event that matched; one seen before is ignored unless empty
	Fields func(name string) []string // the values of a field of that event
}

// A Match is a correlation that holds.
type Match struct {
	Rule        int       // its place in Set.Rules
	First       bool      // it did not hold before, or on no event that still counts
	Start, Time time.Time // of the oldest and the newest event in the window
	Value       float64   // what the condition compares: a count, sum, ...; of a temporal one, how many rules
	Group       []GroupValue
	Events      []string // ids: all in the window if First, otherwise what made it hold on; at most MaxIDs
}

// A GroupValue is what the events of a group have in common.
type GroupValue struct{ Field, Value string }

// CorrelatorStats tells what a Correlator holds and what its bounds have cost.
type CorrelatorStats struct {
	Groups, Events int // held now
	Evicted        int // groups given up for others
	Trimmed        int // events that left a full window before their time
	Late           int // events older than the window of their group
	Repeated       int // events seen before
	Ungrouped      int // events without a field to group by, or without the value
	Overflowed     int // events beyond what one event may set off
}

// A Correlator finds the correlations of a Set in the matches of its rules. It
// is fed in the order of time; an event that comes late still counts if it is not
// older than the window of its group, which ends at the newest event of the
// group. There is no clock: time is what events say, so they should come from
// clocks that have been corrected.
//
// Memory is bounded. When there are too many groups or events, the group least
// recently added to is forgotten first; when a window is too full, its oldest
// events are. Counts compared with in conditions stay right, as a window always
// holds more events than its condition asks for. It is not safe for concurrent use.
type Correlator struct {
	set    *Set
	opt    CorrelatorOptions
	groups map[groupKey]*group
	newest *group // of a ring in the order of use: newest.next is the oldest
	stats  CorrelatorStats
	now    int64 // time of the last event
	sweep  int   // events until groups are searched for what is over
	fuel   int   // entries that the present event may still make
}

type groupKey struct {
	link int32
	key  string
}

type group struct {
	groupKey
	values     []string // as first seen
	prev, next *group
	window
	held   bool  // after the last event
	heldAt int64 // when it last did
}

const (
	maxKeys = 16   // groups that one event may belong to in a correlation
	maxFuel = 4096 // entries that one event may make in all
)

// NewCorrelator returns a Correlator of the set.
func NewCorrelator(set *Set, opt CorrelatorOptions) *Correlator {
	for _, o := range []struct {
		field *int
		value int
	}{{&opt.MaxGroups, 100_000}, {&opt.MaxEvents, 1_000_000}, {&opt.MaxWindow, 10_000}, {&opt.MaxIDs, 100}} {
		if *o.field <= 0 {
			*o.field = o.value
		}
	}
	return &Correlator{set: set, opt: opt, groups: map[groupKey]*group{}, now: math.MinInt64}
}

// Stats returns what the Correlator holds and has lost.
func (c *Correlator) Stats() CorrelatorStats {
	s := c.stats
	s.Groups = len(c.groups)
	return s
}

// input is an Event or a match of a correlation that others refer to.
type input struct {
	Event
	at     int64
	first  bool
	events []string // nil: ID
}

// Add takes a match in and returns the correlations that hold by it, those that
// others are built on first.
func (c *Correlator) Add(e Event) []Match {
	if !c.set.Correlated(e.Rule) {
		return nil
	}
	if e.Fields == nil {
		e.Fields = func(string) []string { return nil }
	}
	at := e.Time.UnixMicro()
	c.forget(at)
	c.fuel = maxFuel
	return c.add(&input{Event: e, at: at, first: true}, nil)
}

func (c *Correlator) add(in *input, out []Match) []Match {
	for _, u := range c.set.uses[in.Rule] {
		l := c.set.links[u.link]
		if !in.first && !l.temporal() {
			continue // a correlation that holds on is counted once
		}
		keys := combinations(l.keys[u.ref], in.Fields)
		entries := l.entries(int(u.ref), in)
		if len(keys) == 0 || len(entries) == 0 {
			c.stats.Ungrouped++
			c.step(l, nil, in.Rule, in.ID, StepUngrouped, nil)
			continue
		}
		for _, values := range keys {
			if c.fuel -= len(entries); c.fuel < 0 {
				c.stats.Overflowed++
				return out
			}
			if m, g := c.insert(u, l, values, entries); m != nil {
				if m.First {
					m.Events = g.events(len(l.refs), c.opt.MaxIDs)
				} else {
					m.Events = slices.Clone(in.ids())
				}
				out = append(out, *m)
				if c.set.Correlated(l.rule) {
					out = c.add(l.chained(in, m, g), out)
				}
			}
		}
	}
	return out
}

func (in *input) ids() []string {
	switch {
	case in.events != nil:
		return in.events
	case in.ID != "":
		return []string{in.ID}
	}
	return nil
}

// combinations returns every way to take one value of each field; none if a
// field has no value.
func combinations(fields []string, values func(string) []string) [][]string {
	out := [][]string{nil}
	for _, f := range fields {
		var next [][]string
		for _, v := range values(f) {
			for _, head := range out {
				if len(next) < maxKeys {
					next = append(next, append(slices.Clip(head), v))
				}
			}
		}
		out = next
	}
	return out
}

// entries returns what an input puts into a window.
func (l *link) entries(ref int, in *input) []entry {
	e := entry{at: in.at, ref: int32(ref), id: in.ID, events: in.events}
	if len(l.Fields) == 0 {
		return []entry{e}
	}
	var out []entry
	for _, values := range combinations(l.fields[ref], in.Fields) {
		if l.Type == ValueCount {
			e.text = joinKey(values)
		} else {
			num, ok := parseNumber(values[0])
			if !ok {
				continue
			}
			e.num = num
		}
		out = append(out, e)
	}
	return out
}

// joinKey makes one text of several; case does not count, as nowhere in Sigma.
func joinKey(values []string) string {
	if len(values) == 1 {
		return fold(short(values[0]))
	}
	var b strings.Builder
	for _, v := range values {
		v = fold(short(v))
		b.WriteString(strconv.Itoa(len(v)))
		b.WriteByte(':')
		b.WriteString(v)
	}
	return b.String()
}

// short returns a value that is long, as an attacker may make it, cut and with
// its hash, so that what is kept of it is bounded and still tells it from others.
func short(v string) string {
	const most = 512
	if len(v) <= most {
		return v
	}
	sum := sha256.Sum256([]byte(v))
	return strings.ToValidUTF8(v[:most-2*len(sum)], "") + "..." + hex.EncodeToString(sum[:])
}

// insert puts entries into a group and reports the match that there is then.
func (c *Correlator) insert(u use, l *link, values []string, entries []entry) (*Match, *group) {
	key := groupKey{u.link, joinKey(values)}
	g := c.groups[key]
	span := l.Timespan.Microseconds()
	e := &entries[0]
	switch {
	case g == nil:
		g = &group{groupKey: key}
		for _, v := range values {
			g.values = append(g.values, strings.Clone(short(v)))
		}
		g.agg = newAggregate(l)
		c.groups[key] = g
	case e.at < g.last()-span:
		c.stats.Late++
		c.step(l, g, l.refs[u.ref], e.id, StepLate, nil)
		return nil, nil
	case g.has(u.ref, e.id):
		c.stats.Repeated++
		c.step(l, g, l.refs[u.ref], e.id, StepRepeated, nil)
		return nil, nil
	default:
		c.unlink(g)
	}
	c.link(g)
	for _, e := range entries {
		e.id = strings.Clone(e.id)
		e.text = strings.Clone(e.text)
		g.add(e)
		c.stats.Events++
	}
	for oldest := g.last() - span; g.len() > 1 && g.live()[0].at < oldest; {
		g.drop()
		c.stats.Events--
	}
	for most := max(c.opt.MaxWindow, l.threshold()+1); g.len() > most; {
		g.drop()
		c.stats.Events--
		c.stats.Trimmed++
	}
	c.evict()
	m := c.evaluate(l, g, span)
	c.step(l, g, l.refs[u.ref], entries[0].id, StepCounted, m)
	return m, g
}

// threshold is the largest count that a condition compares with.
func (l *link) threshold() int {
	most := 0.
	if l.counts() {
		for _, x := range l.Conditions {
			most = max(most, x.Value)
		}
	}
	return int(most)
}

// evaluate returns the match of a group, nil if its condition does not hold.
func (c *Correlator) evaluate(l *link, g *group, span int64) *Match {
	value := g.agg.value()
	if l.expr != nil {
		seq := g.agg.(*sequence)
		value = float64(seq.present())
		if !seq.holds(l.expr) {
			g.held = false
			return nil
		}
	} else if !l.holds(value) {
		g.held = false
		return nil
	}
	end := g.last()
	m := &Match{
		Rule: l.rule, First: !g.held || end-g.heldAt > span, Value: value,
		Start: time.UnixMicro(g.live()[0].at).UTC(), Time: time.UnixMicro(end).UTC(),
	}
	g.held, g.heldAt = true, end
	for i, f := range l.GroupBy {
		m.Group = append(m.Group, GroupValue{f, g.values[i]})
	}
	return m
}

// chained returns a match as what the correlations above it see. Its fields are
// what it is grouped by, and otherwise those of the event that completed it.
func (l *link) chained(in *input, m *Match, g *group) *input {
	id := in.ID
	if id != "" {
		id += "\x00" + strconv.Itoa(l.rule) + "\x00" + g.key
	}
	fields := in.Fields
	return &input{
		Event: Event{Rule: l.rule, Time: m.Time, ID: id, Fields: func(name string) []string {
			for _, v := range m.Group {
				if v.Field == name {
					return []string{v.Value}
				}
			}
			return fields(name)
		}},
		at: m.Time.UnixMicro(), first: m.First, events: m.Events,
	}
}

// link makes a group the newest.
func (c *Correlator) link(g *group) {
	if c.newest == nil {
		g.prev, g.next = g, g
	} else {
		g.prev, g.next = c.newest, c.newest.next
		g.prev.next, g.next.prev = g, g
	}
	c.newest = g
}

func (c *Correlator) unlink(g *group) {
	if g.next == g {
		c.newest = nil
		return
	}
	g.prev.next, g.next.prev = g.next, g.prev
	if c.newest == g {
		c.newest = g.prev
	}
}

func (c *Correlator) remove(g *group) {
	c.unlink(g)
	delete(c.groups, g.groupKey)
	c.stats.Events -= g.len()
}

// evict forgets the groups least recently added to, but never the newest, until
// the bounds are kept.
func (c *Correlator) evict() {
	for len(c.groups) > c.opt.MaxGroups || c.stats.Events > c.opt.MaxEvents && len(c.groups) > 1 {
		c.remove(c.newest.next)
		c.stats.Evicted++
	}
}

// forget drops groups whose last event is older than two timespans: one in which
// an event could join it, and one for events that come late. The time is the
// earlier of the last two events', so that one stamp from the future alone makes
// nothing forgotten.
func (c *Correlator) forget(at int64) {
	now := min(at, c.now)
	c.now = at
	if c.sweep--; c.sweep > 0 || c.newest == nil {
		return
	}
	c.sweep = max(1024, len(c.groups)) // so that searching costs a constant share
	for g := c.newest.next; g != nil; {
		next := g.next
		if g == c.newest {
			next = nil
		}
		if g.last() < now-2*c.set.links[g.groupKey.link].Timespan.Microseconds() {
			c.remove(g)
		}
		g = next
	}
}
