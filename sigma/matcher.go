package sigma

import (
	"slices"
	"strings"
)

// Kind is the type of a value in its record. Text and numbers are compared as
// the rule asks, whatever the record calls them; null is no value at all.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	Number
	Bool
	Null
)

// A Matcher runs a Set over events, one at a time. It is not safe for concurrent
// use. After it has seen events of each kind it allocates nothing, other than in
// regular expressions and for text that looks like a time.
type Matcher struct {
	set    *Set
	values []value
	last   []int32 // by slot: its last value, 1-based; 0 if it has none
	used   []int32 // slots with values
	states []planState
	routes map[LogSource][]int32
	out    []int
	buf    []byte  // folded text
	joined joined  // all values, once a plan asks for it
	found  []int32 // predicates found in a text
	num    [maxNumberLen]byte
	memory *memory
	dfas   dfas
}

type value struct {
	slot   int32
	prev   int32 // the slot's value before this, 1-based
	kind   Kind
	hashed bool
	hash   uint64
	mem    *remembered // what was made of it, by the plan that runs; nil if that is not kept
	text   string
}

// planState is what one Match found out about the predicates of one plan. A
// stamp equal to the epoch means yes; nothing is cleared between events.
type planState struct {
	epoch uint32
	hit   []uint32 // by predicate
	truth []uint32 // by predicate, checked: 2*epoch false, 2*epoch+1 true
	rule  []uint32 // by rule: looked at
	fired []int32  // predicates hit
	seen  stamps   // predicates found in one text
}

// maxRoutes bounds the log sources that a Matcher remembers the way of.
const maxRoutes = 1024

// NewMatcher returns a Matcher of the set.
func (s *Set) NewMatcher() *Matcher {
	return &Matcher{set: s, last: make([]int32, len(s.fields)), states: make([]planState, len(s.plans)), routes: map[LogSource][]int32{}}
}

// Reset forgets the event.
func (m *Matcher) Reset() {
	for _, s := range m.used {
		m.last[s] = 0
	}
	m.used = m.used[:0]
	clear(m.values) // let go of the texts
	m.values = m.values[:0]
	m.joined.made = false
}

// Add gives the event a value. The slot is the field's place in Set.Fields, or -1
// for a field that no rule names, which only keywords see. A field added more
// than once has several values. The text is not copied and must stay as it is
// until Reset.
func (m *Matcher) Add(slot int, kind Kind, text string) {
	v := value{slot: -1, kind: kind, text: text}
	if slot >= 0 && slot < len(m.last) {
		v.slot = int32(slot)
		v.prev = m.last[slot]
		if v.prev == 0 {
			m.used = append(m.used, v.slot)
		}
		m.last[slot] = int32(len(m.values) + 1)
	}
	m.values = append(m.values, v)
}

// Match returns the rules that match the event, as ascending places in
// Set.Rules. The result is valid until the next Match or Reset.
func (m *Matcher) Match(src LogSource) []int {
	m.out = m.out[:0]
	for _, i := range m.route(src) {
		m.run(m.set.plans[i], &m.states[i])
	}
	slices.Sort(m.out)
	return m.out
}

// MatchRule reports whether one rule matches the event, whatever its log source.
func (m *Matcher) MatchRule(rule int) bool {
	src := m.set.rules[rule].LogSource.fold()
	for i, p := range m.set.plans {
		if p.src == src {
			m.out = m.out[:0]
			m.run(p, &m.states[i])
			return slices.Contains(m.out, rule)
		}
	}
	return false
}

func (m *Matcher) route(src LogSource) []int32 {
	plans, ok := m.routes[src]
	if !ok {
		if len(m.routes) >= maxRoutes {
			clear(m.routes)
		}
		plans = m.set.plansFor(src)
		own := LogSource{strings.Clone(src.Product), strings.Clone(src.Category), strings.Clone(src.Service)}
		m.routes[own] = plans
	}
	return plans
}

// run evaluates a plan and adds the matching rules to m.out.
func (m *Matcher) run(p *plan, st *planState) {
	if st.hit == nil {
		*st = planState{hit: make([]uint32, len(p.preds)), truth: make([]uint32, len(p.preds)), rule: make([]uint32, len(p.rules)),
			seen: stamps{at: make([]uint32, len(p.preds))}}
	}
	if st.epoch++; st.epoch == 1<<31 {
		st.epoch = 1
		clear(st.hit)
		clear(st.truth)
		clear(st.rule)
	}
	st.fired = st.fired[:0]
	for i := range p.fields {
		f := &p.fields[i]
		for at := m.last[f.slot]; at > 0; at = m.values[at-1].prev {
			m.look(p, f, st, &m.values[at-1])
		}
	}
	if p.keywords != nil {
		m.lookAll(p.keywords, st)
	}
	for _, id := range st.fired {
		for _, r := range p.triggers[id] {
			m.try(p, st, r)
		}
	}
	for _, r := range p.always {
		m.try(p, st, r)
	}
}

func (m *Matcher) try(p *plan, st *planState, r int32) {
	if st.rule[r] == st.epoch {
		return
	}
	st.rule[r] = st.epoch
	if m.holds(p, st, p.roots[r]) {
		m.out = append(m.out, int(p.rules[r]))
	}
}

func (st *planState) fire(preds []int32) {
	for _, id := range preds {
		st.fireOne(id)
	}
}

func (st *planState) fireOne(id int32) {
	if st.hit[id] != st.epoch {
		st.hit[id] = st.epoch
		st.fired = append(st.fired, id)
	}
}

// look finds the predicates that a value of a field hits.
func (m *Matcher) look(p *plan, f *fieldPlan, st *planState, v *value) {
	v.mem = nil
	st.fire(f.exist)
	switch {
	case v.kind == Null:
	case len(v.text) > maxRemembered:
		m.found = m.search(p, f, st, v.text, m.found[:0])
		st.fire(m.found)
	case f.search:
		if m.memory == nil {
			m.memory = newMemory()
		}
		r, known := m.memory.find(f.id, v)
		if !known {
			m.found = m.search(p, f, st, v.text, m.found[:0])
			r.keep(f.id, v.text, m.found)
		}
		v.mem = r
		for i := range r.hits {
			if h := &r.hits[i]; h.truth != refuted {
				st.fireOne(h.pred)
			}
		}
	}
}

// search adds to out the predicates of a field that a text hits.
func (m *Matcher) search(p *plan, f *fieldPlan, st *planState, text string, out []int32) []int32 {
	out = append(out, f.some...)
	if f.number != nil {
		if num, ok := appendNumber(m.num[:0], text); ok {
			out = append(out, f.number[string(num)]...)
		}
	}
	if f.nets != nil {
		if addr, ok := parseAddr(text); ok {
			for i := range f.nets {
				if f.nets[i].prefix.Contains(addr) {
					out = append(out, f.nets[i].pred)
				}
			}
		}
	}
	for _, id := range f.tests {
		if p.preds[id].test.matchValue(text) {
			out = append(out, id)
		}
	}
	if f.lits == nil && f.alien == nil {
		return out
	}
	var ascii bool
	m.buf, ascii = appendFold(m.buf[:0], text)
	n := len(m.buf)
	m.buf = append(m.buf, gramPadding...)
	st.seen.clear()
	if f.lits != nil {
		out = f.lits.search(m.buf, n, &st.seen, out)
	}
	if f.alien != nil && !ascii {
		out = f.alien.search(m.buf, n, &st.seen, out)
	}
	return out
}

// joined is the text of all values that are not null, each with a separator after
// it. Keywords are looked for in all of it at once.
type joined struct {
	made  bool
	text  []byte // folded if it is not ASCII
	n     int    // bytes before the padding
	ascii bool
}

// separator ends a value. Keywords that have it are not looked for.
const separator = 0

func (j *joined) make(values []value) {
	j.made = true
	j.text = j.text[:0]
	for i := range values {
		if v := &values[i]; v.kind != Null {
			j.text = append(append(j.text, v.text...), separator)
		}
	}
	if j.ascii = isASCII(j.text); !j.ascii {
		j.text = j.text[:0]
		for i := range values {
			if v := &values[i]; v.kind != Null {
				j.text, _ = appendFold(j.text, v.text)
				j.text = append(j.text, separator)
			}
		}
	}
	j.n = len(j.text)
	j.text = append(j.text, gramPadding...)
}

// lookAll finds the keywords that any value hits.
func (m *Matcher) lookAll(f *fieldPlan, st *planState) {
	j := &m.joined
	if !j.made {
		j.make(m.values)
	}
	if j.n == 0 {
		return
	}
	st.fire(f.some)
	st.seen.clear()
	m.found = m.found[:0]
	for _, x := range [...]*literals{f.lits, f.alien} {
		if x == nil || x == f.alien && j.ascii {
			continue
		}
		m.found = x.inside(j.text, j.n, &st.seen, m.found)
		if !x.anchored() {
			continue
		}
		for i := range m.values { // few rules have a keyword that must be at an end
			if v := &m.values[i]; v.kind != Null {
				m.buf, _ = appendFold(m.buf[:0], v.text)
				n := len(m.buf)
				m.buf = append(m.buf, gramPadding...)
				m.found = x.atEnds(m.buf, n, &st.seen, m.found)
			}
		}
	}
	st.fire(m.found)
}

// holds evaluates a node.
func (m *Matcher) holds(p *plan, st *planState, id int32) bool {
	n := &p.nodes[id]
	switch n.op {
	case exprTest:
		return m.truth(p, st, n.n)
	case exprAnd:
		for _, k := range n.kids {
			if !m.holds(p, st, k) {
				return false
			}
		}
		return true
	case exprOr:
		for _, k := range n.kids {
			if m.holds(p, st, k) {
				return true
			}
		}
		return false
	case exprNot:
		return !m.holds(p, st, n.kids[0])
	}
	left := n.n
	for _, k := range n.kids {
		if m.holds(p, st, k) {
			if left--; left == 0 {
				return true
			}
		}
	}
	return false
}

// truth says whether a predicate holds, checking it at most once an event.
func (m *Matcher) truth(p *plan, st *planState, id int32) bool {
	pr := &p.preds[id]
	hit := st.hit[id] == st.epoch
	switch {
	case pr.mode == predHit:
		return hit
	case pr.mode == predVerify && !hit:
		return false
	case st.truth[id]>>1 == st.epoch:
		return st.truth[id]&1 == 1
	}
	st.truth[id] = st.epoch << 1
	if m.check(pr, id) {
		st.truth[id] |= 1
		return true
	}
	return false
}

// check asks a predicate's question of the values themselves.
func (m *Matcher) check(pr *pred, id int32) bool {
	if pr.slot < 0 {
		for i := range m.values {
			if v := &m.values[i]; v.kind != Null && m.test(pr.test, v.text) {
				return true
			}
		}
		return false
	}
	at := m.last[pr.slot]
	if pr.mode == predNull && at == 0 {
		return true
	}
	for ; at > 0; at = m.values[at-1].prev {
		v := &m.values[at-1]
		switch {
		case pr.mode == predNull:
			if v.kind == Null {
				return true
			}
		case v.kind == Null:
		case pr.test.op == testFieldRef:
			for o := m.last[pr.ref]; o > 0; o = m.values[o-1].prev {
				if other := &m.values[o-1]; other.kind != Null && pr.test.related(v.text, other.text) {
					return true
				}
			}
		case m.passes(pr, id, v):
			return true
		}
	}
	return false
}

// passes reports whether a value passes a predicate's test, and remembers it.
func (m *Matcher) passes(pr *pred, id int32, v *value) bool {
	if v.mem == nil || !v.mem.is(pr.field, v.text) {
		return m.test(pr.test, v.text)
	}
	h := v.mem.hit(id)
	if h == nil {
		return false // a value that does not hit a predicate does not pass it
	}
	if h.truth == unknown {
		h.truth = refuted
		if m.test(pr.test, v.text) {
			h.truth = confirmed
		}
	}
	return h.truth == confirmed
}

// test reports whether a value passes a test, as matchValue does.
func (m *Matcher) test(t *test, text string) bool {
	if t.op == testRegex {
		return m.dfas.match(t.re, text)
	}
	return t.matchValue(text)
}
