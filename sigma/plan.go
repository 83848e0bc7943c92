package sigma

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A plan tests an event against all rules of one log source together.
//
// Rules share their tests: equal ones become one predicate. A field's values are
// searched once for the literals of all its predicates, which says which of them
// hold. A rule is looked at only if a predicate without which it cannot hold does
// (see weigher).
type plan struct {
	src      LogSource // folded
	rules    []int32   // indices into Set.rules, ascending
	roots    []int32   // the node of each rule
	always   []int32   // rules (positions in rules) that no predicate announces
	triggers [][]int32 // predicate -> rules (positions) it announces
	preds    []pred
	nodes    []node
	fields   []fieldPlan // the fields that the plan knows
	keywords *fieldPlan  // tests of every value; nil if none
}

// A pred is a test as the plan sees it.
type pred struct {
	mode predMode
	slot int32 // -1: every value
	ref  int32 // testFieldRef: the other field's slot
	test *test

	field uint64 // fieldPlan.id
}

// predMode is how the truth of a predicate is found.
type predMode uint8

const (
	predHit    predMode = iota // it holds if it was hit
	predVerify                 // it can only hold if it was hit, and must be checked, which costs
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
	id     uint64             // never 0, and another for every field of every plan of a set
	slot   int32              // -1: every value
	search bool               // there is something to find in a value
	lits   *literals          // of ASCII; nil if none
	alien  *literals          // the others, which text of ASCII cannot have
	number map[string][]int32 // canonical number -> predicates hit; nil if none
	nets   []network          // asked of every address
	tests  []int32            // predicates asked of every value: those that cost little
	some   []int32            // predicates hit by every value that is not null
	exist  []int32            // predicates hit by every value
}

// A network holds a predicate on the addresses inside.
type network struct {
	prefix netip.Prefix
	pred   int32
}

// planner builds a plan.
type planner struct {
	plan
	slot    func(field string) int32
	predID  map[predKey]int32
	nodeID  map[*expr]int32 // of selections
	fieldID map[int32]int   // by slot: the place in known
	known   []knownField
}

// knownField is a fieldPlan while it is made.
type knownField struct {
	fieldPlan
	found []literal
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
		predID: map[predKey]int32{}, nodeID: map[*expr]int32{}, fieldID: map[int32]int{},
	}
}

// add takes a rule in; index is its place in Set.rules.
func (b *planner) add(index int, root *expr) {
	b.rules = append(b.rules, int32(index))
	b.roots = append(b.roots, b.node(root))
}

func (b *planner) node(e *expr) int32 {
	if e.name != "" {
		if id, ok := b.nodeID[e]; ok {
			return id
		}
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
			return b.note(e, b.node(e.kids[0]))
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
	return b.note(e, id)
}

// note keeps the node of a selection; other parts of a rule stand in one place.
func (b *planner) note(e *expr, id int32) int32 {
	if e.name != "" {
		b.nodeID[e] = id
	}
	return id
}

// pred returns the predicate of a test, and notes where to look for it.
func (b *planner) pred(t *test) int32 {
	p := pred{mode: predVerify, slot: -1, ref: -1, test: t}
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
		if kind == shapeGlob {
			kind = shapeContains // what it contains for certain; the rest is checked
		}
		switch {
		case lit == "" && kind != shapeExact:
			f.some = append(f.some, id)
		case p.slot < 0 && strings.IndexByte(lit, separator) >= 0:
			p.mode = predVerify
			f.some = append(f.some, id)
		default:
			f.found = append(f.found, literal{fold(lit), id, kind})
		}
	case testNumber:
		p.mode = predHit
		if f.number == nil {
			f.number = map[string][]int32{}
		}
		f.number[t.text] = append(f.number[t.text], id)
	case testRegex:
		set := requiredLiterals(t.text)
		if set == nil || shortest(set) == 0 || p.slot < 0 && strings.IndexByte(strings.Join(set, ""), separator) >= 0 {
			f.some = append(f.some, id)
			break
		}
		for _, lit := range set {
			f.found = append(f.found, literal{lit, id, shapeContains})
		}
	case testCIDR:
		p.mode = predHit
		f.nets = append(f.nets, network{t.prefix, id})
	case testCompare:
		p.mode = predHit
		f.tests = append(f.tests, id)
	case testNull:
		p.mode = predNull
	case testExists:
		p.mode = predHit
		f.exist = append(f.exist, id)
	case testFieldRef:
		p.ref = b.slot(t.text)
		f.some = append(f.some, id)
	}
	b.preds = append(b.preds, p)
	return id
}

// field returns what is known of a field; slot -1 stands for every field. The
// pointer is good until the next call.
func (b *planner) field(slot int32) *knownField {
	i, ok := b.fieldID[slot]
	if !ok {
		i = len(b.known)
		b.fieldID[slot] = i
		b.known = append(b.known, knownField{fieldPlan: fieldPlan{slot: slot}})
	}
	return &b.known[i]
}

// finish indexes the literals, and the rules by the predicates that announce them.
// The plan's number in its set is its own.
func (b *planner) finish(number int) *plan {
	for i := range b.known {
		f := &b.known[i]
		f.id = uint64(number)<<32 | uint64(i+1)
		f.lits = newLiterals(slices.DeleteFunc(slices.Clone(f.found), func(l literal) bool { return !isASCII(l.text) }))
		f.alien = newLiterals(slices.DeleteFunc(f.found, func(l literal) bool { return isASCII(l.text) }))
		f.search = f.lits != nil || f.alien != nil || f.number != nil || f.nets != nil || f.tests != nil || f.some != nil
		if f.slot < 0 {
			b.keywords = &fieldPlan{}
			*b.keywords = f.fieldPlan
		} else {
			b.fields = append(b.fields, f.fieldPlan)
		}
	}
	for i := range b.preds {
		p := &b.preds[i]
		p.field = b.known[b.fieldID[p.slot]].id
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
	done := b.plan // not a pointer into b, which would stay in memory with it
	return &done
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
