package sigma

import (
	"cmp"
	"slices"
)

// A plan tests an event against all rules of one log source together.
//
// Rules share their tests: equal ones become one predicate. A field's values are
// looked up in a hash table for whole values and run once through an automaton
// for parts of them, which says which predicates hold. A rule is looked at only
// if a predicate without which it cannot hold does (see necessary).
type plan struct {
	src      LogSource // folded
	rules    []int32   // indices into Set.rules, ascending
	roots    []int32   // the node of each rule
	always   []int32   // rules (positions in rules) that no predicate announces
	triggers [][]int32 // predicate -> rules (positions) it announces
	preds    []pred
	nodes    []node
	bySlot   []*fieldPlan // by slot; nil where the plan does not know the field
	keywords *fieldPlan   // tests of every value; nil if none
}

// A pred is a test as the plan sees it.
type pred struct {
	mode predMode
	slot int32 // -1: every value
	ref  int32 // testFieldRef: the other field's slot
	test *test

	// The usual case of what must be checked: a long literal of ASCII that stands
	// at one end. ends is shapePrefix or shapeSuffix then, otherwise shapeGlob.
	ends shape
	lit  string
}

// predMode is how the truth of a predicate is found.
type predMode uint8

const (
	predHit    predMode = iota // it holds if it was hit
	predVerify                 // it can only hold if it was hit, and must be checked
	predNull                   // checked when asked for
)

// A node is an expr of the plan; equal selections are one node.
type node struct {
	op   exprOp
	n    int32 // exprCount: how many; exprTest: the predicate
	kids []int32
	cost float32 // of evaluating it, in predicates looked at
}

// A fieldPlan is what is to be done with the values of one field.
type fieldPlan struct {
	exact    map[string][]int32 // folded value -> predicates hit
	exactLen []bool             // lengths of its keys: most values need no look-up
	number   map[string][]int32 // canonical number -> predicates hit
	parts    *automaton         // literals of ASCII; nil if none
	foreign  *automaton         // the others, which text of ASCII cannot have
	some     []int32            // predicates hit by every value that is not null
	exist    []int32            // predicates hit by every value
}

// planner builds a plan.
type planner struct {
	plan
	slot   func(field string) int32
	predID map[predKey]int32
	nodeID map[*expr]int32
	lits   map[int32][]literal // by slot
}

type predKey struct {
	op    testOp
	cased bool
	cmp   cmpOp
	part  timePart
	shape shape
	slot  int32
	text  string
	num   float64
}

func newPlanner(src LogSource, slot func(string) int32) *planner {
	return &planner{
		plan: plan{src: src}, slot: slot,
		predID: map[predKey]int32{}, nodeID: map[*expr]int32{}, lits: map[int32][]literal{},
	}
}

// add takes a rule in; index is its place in Set.rules.
func (b *planner) add(index int, root *expr) {
	b.rules = append(b.rules, int32(index))
	b.roots = append(b.roots, b.node(root))
}

func (b *planner) node(e *expr) int32 {
	if id, ok := b.nodeID[e]; ok {
		return id
	}
	n := node{op: e.op, n: int32(e.n)}
	if e.op == exprTest {
		n.n = b.pred(e.test)
		n.cost = 1
		if p := &b.preds[n.n]; p.mode != predHit {
			n.cost = 10
			if e.test.op == testRegex {
				n.cost = 100
			}
		}
	} else {
		if len(e.kids) == 1 && (e.op == exprAnd || e.op == exprOr) {
			id := b.node(e.kids[0])
			b.nodeID[e] = id
			return id
		}
		for _, k := range e.kids {
			id := b.node(k)
			n.kids = append(n.kids, id)
			n.cost += b.nodes[id].cost
		}
		// Cheap questions first; their order does not change the answer.
		slices.SortStableFunc(n.kids, func(x, y int32) int { return cmp.Compare(b.nodes[x].cost, b.nodes[y].cost) })
	}
	id := int32(len(b.nodes))
	b.nodes = append(b.nodes, n)
	b.nodeID[e] = id
	return id
}

// pred returns the predicate of a test, and notes where to look for it.
func (b *planner) pred(t *test) int32 {
	p := pred{mode: predVerify, slot: -1, ref: -1, test: t, ends: shapeGlob}
	if t.field != "" {
		p.slot = b.slot(t.field)
	}
	key := predKey{op: t.op, cased: t.cased, cmp: t.cmp, part: t.part, shape: t.shape, slot: p.slot, text: t.text, num: t.num}
	switch t.op {
	case testPattern:
		key.text = string(t.pat)
	case testCIDR:
		key.text = t.prefix.String()
	}
	if id, ok := b.predID[key]; ok {
		return id
	}
	id := int32(len(b.preds))
	b.predID[key] = id

	f := b.field(p.slot)
	switch t.op {
	case testPattern:
		kind, lit := t.pat.shape()
		if !t.cased && kind != shapeGlob {
			p.mode = predHit
		}
		lit = fold(lit)
		if !t.cased && isASCII(lit) && (kind == shapePrefix || kind == shapeSuffix) {
			p.ends, p.lit = kind, lit
		}
		switch {
		case kind == shapeExact && !t.cased:
			f.exact[lit] = append(f.exact[lit], id)
		case lit == "":
			f.some = append(f.some, id)
		case kind == shapeExact || kind == shapeGlob: // exact but cased: the automaton narrows it down
			b.lits[p.slot] = append(b.lits[p.slot], literal{text: lit, pred: id, shape: shapeContains})
		default:
			b.lits[p.slot] = append(b.lits[p.slot], literal{text: lit, pred: id, shape: kind})
		}
	case testNumber:
		p.mode = predHit
		f.number[t.text] = append(f.number[t.text], id)
	case testRegex:
		set := requiredLiterals(t.text)
		if set == nil || shortest(set) == 0 {
			f.some = append(f.some, id)
			break
		}
		for _, lit := range set {
			b.lits[p.slot] = append(b.lits[p.slot], literal{text: lit, pred: id, shape: shapeContains})
		}
	case testNull:
		p.mode = predNull
	case testExists:
		p.mode = predHit
		f.exist = append(f.exist, id)
	case testFieldRef:
		p.ref = b.slot(t.text)
		f.some = append(f.some, id)
	default:
		f.some = append(f.some, id)
	}
	b.preds = append(b.preds, p)
	return id
}

func (b *planner) field(slot int32) *fieldPlan {
	if slot < 0 {
		if b.keywords == nil {
			b.keywords = &fieldPlan{exact: map[string][]int32{}, number: map[string][]int32{}}
		}
		return b.keywords
	}
	for len(b.bySlot) <= int(slot) {
		b.bySlot = append(b.bySlot, nil)
	}
	if b.bySlot[slot] == nil {
		b.bySlot[slot] = &fieldPlan{exact: map[string][]int32{}, number: map[string][]int32{}}
	}
	return b.bySlot[slot]
}

// finish builds automata and triggers.
func (b *planner) finish() *plan {
	for slot := int32(-1); int(slot) < len(b.bySlot); slot++ {
		f := b.keywords
		if slot >= 0 {
			f = b.bySlot[slot]
		}
		if f == nil {
			continue
		}
		for text := range f.exact {
			for len(f.exactLen) <= len(text) {
				f.exactLen = append(f.exactLen, false)
			}
			f.exactLen[len(text)] = true
		}
		var ascii, foreign []literal
		for _, l := range b.lits[slot] {
			if isASCII(l.text) {
				ascii = append(ascii, l)
			} else {
				foreign = append(foreign, l)
			}
		}
		f.parts, f.foreign = b.automaton(ascii), b.automaton(foreign)
	}
	b.triggers = make([][]int32, len(b.preds))
	weigh := weigher{plan: &b.plan, known: make([]needed, len(b.nodes))}
	for i, root := range b.roots {
		need := weigh.node(root)
		if need.preds == nil {
			b.always = append(b.always, int32(i))
			continue
		}
		for _, p := range need.preds {
			if t := b.triggers[p]; len(t) == 0 || t[len(t)-1] != int32(i) {
				b.triggers[p] = append(t, int32(i))
			}
		}
	}
	return &b.plan
}

// automaton builds the machine of a field, nil without literals. Long literals are
// cut, the more the larger it would grow; what a cut literal finds is checked.
func (b *planner) automaton(lits []literal) *automaton {
	if len(lits) == 0 {
		return nil
	}
	byText := func(x, y literal) int {
		return cmp.Or(cmp.Compare(x.text, y.text), cmp.Compare(x.pred, y.pred))
	}
	slices.SortFunc(lits, byText)
	most := literalLimit(lits, maxAutomaton)
	for i := range lits {
		if l := &lits[i]; len(l.text) > most {
			l.cut(most)
			b.preds[l.pred].mode = predVerify
		}
	}
	slices.SortFunc(lits, byText)
	return newAutomaton(lits)
}

// needed is a set of predicates of which at least one holds whenever a node
// does; nil if there is none. The price guesses how often one of them will.
type needed struct {
	done  bool
	preds []int32
	price float64
}

// weigher finds for every node the cheapest such set.
type weigher struct {
	plan  *plan
	known []needed
}

func (w *weigher) node(id int32) needed {
	if w.known[id].done {
		return w.known[id]
	}
	n := &w.plan.nodes[id]
	var out needed
	switch n.op {
	case exprTest:
		if p := &w.plan.preds[n.n]; p.mode != predNull {
			out = needed{preds: []int32{n.n}, price: price(p.test)}
		}
	case exprAnd:
		for _, k := range n.kids {
			if kid := w.node(k); kid.preds != nil && (out.preds == nil || kid.price < out.price) {
				out = kid
			}
		}
	case exprOr, exprCount:
		for _, k := range n.kids {
			kid := w.node(k)
			if kid.preds == nil {
				out = needed{}
				break
			}
			out.preds = append(out.preds, kid.preds...)
			out.price += kid.price
		}
		slices.Sort(out.preds)
		out.preds = slices.Compact(out.preds)
		if len(out.preds) == 0 {
			out.preds = nil
		}
	}
	out.done = true
	w.known[id] = out
	return out
}

// price guesses how likely a test is to be hit: the longer the literal the rarer,
// and whole values are rarer than parts. Only its order matters, and only to speed.
func price(t *test) float64 {
	byLength := func(n int) float64 { return 40 / float64(n*n+4) }
	switch t.op {
	case testPattern:
		kind, lit := t.pat.shape()
		switch {
		case kind == shapeAny || kind == shapeGlob && lit == "":
			return 20
		case kind == shapeExact && t.cased, kind == shapeContains, kind == shapeGlob:
			return byLength(len(lit))
		case kind == shapeExact:
			return 0.3 * byLength(len(lit))
		}
		return 0.5 * byLength(len(lit))
	case testNumber:
		return 0.3 * byLength(len(t.text))
	case testRegex:
		if set := requiredLiterals(t.text); set != nil {
			return 4 * byLength(shortest(set))
		}
	}
	return 20
}
