package sigma

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Reason is what one selection of a rule found in an event.
type Reason struct {
	Selection string
	Held      bool
	Tests     []TestReason // only those that decided: see Explain
}

// A TestReason is what one test found.
type TestReason struct {
	Test   string // such as `Image is "*\\whoami.exe"`
	Held   bool
	Values []string // of the field, as the event has them
}

// Explain tells how a rule comes out on an event: for every selection whether it
// held and, of its tests, those that held if it did and those that failed if it
// did not, and so on for the filters of the rule. It is slow, and meant to be read
// by people. A correlation holds on no single event.
func (s *Set) Explain(rule int, event []Field) (held bool, reasons []Reason) {
	r := s.rules[rule]
	if !r.detects() {
		return false, nil
	}
	explain := func(r *Rule, of string) {
		for _, sel := range r.selections {
			reason := Reason{Selection: of + sel.name, Held: sel.matchEvent(event)}
			reason.collect(sel, event, false)
			reasons = append(reasons, reason)
		}
	}
	explain(r, "")
	for _, f := range s.filters[rule] {
		explain(f, "filter "+quote(f.Title)+": ")
	}
	return s.conds[rule].matchEvent(event), reasons
}

const maxReasons = 64

// collect adds the tests below e whose outcome is what made the selection's,
// turned around below a negation.
func (r *Reason) collect(e *expr, event []Field, negated bool) {
	if len(r.Tests) >= maxReasons {
		return
	}
	if e.op != exprTest {
		for _, k := range e.kids {
			r.collect(k, event, negated != (e.op == exprNot))
		}
		return
	}
	held := e.test.matchEvent(event)
	if held != (r.Held != negated) {
		return
	}
	t := TestReason{Test: e.test.String(), Held: held}
	for _, f := range event {
		if f.Name == e.test.field && f.Kind != Null || e.test.field == "" && e.test.matchValue(f.Text) {
			t.Values = append(t.Values, f.Text)
		}
	}
	r.Tests = append(r.Tests, t)
}

// A Verdict is how a rule comes out on one event, part by part. All texts are as
// the rule and the event have them, control characters and all: clean them before
// they meet a terminal.
type Verdict struct {
	Held bool `json:"held"` // the rule matches, its filters considered
	// Near is the share of what the rule asks for that the event has, 1 if the
	// rule holds: of several events, the one with the greatest came closest.
	Near       float64  `json:"near"`
	Conditions []Part   `json:"conditions"` // as written; several mean any of them
	Selections []Part   `json:"selections"` // in the order of the rule
	Filters    []Narrow `json:"filters,omitempty"`
}

// A Narrow is how a filter of the rule comes out.
type Narrow struct {
	Title      string `json:"title"`
	File       string `json:"file"`
	Keeps      bool   `json:"keeps"` // it does not take the event away from the rule
	Conditions []Part `json:"conditions"`
	Selections []Part `json:"selections"`
}

// A Part is a part of a rule and whether it held: a part of a condition, a
// selection, or a test of a field.
type Part struct {
	Text  string `json:"text"`
	Held  bool   `json:"held"`
	Parts []Part `json:"parts,omitempty"`

	// Of a test: the field, what the event has of it, and its values other than
	// null. Field is empty for a keyword, whose Values are those that it found.
	Test   bool     `json:"test,omitempty"`
	Field  string   `json:"field,omitempty"`
	Found  Found    `json:"found,omitempty"`
	Values []string `json:"values,omitempty"`
}

// Found is what an event has of a field.
type Found string

// What an event may have of a field.
const (
	Absent  Found = "absent"
	IsNull  Found = "null"
	Present Found = "present"
)

// Bounds of a Verdict: what is beyond them is left out.
const (
	maxParts  = 2000 // of one rule or filter
	maxListed = 6    // values of a list that are named
)

// Inspect tells how a rule comes out on an event, whatever its log source: every
// part of its condition, every selection, and every test with what the event has.
// A correlation holds on no single event. It is slow, and meant to be read by
// people.
func (s *Set) Inspect(rule int, event []Field) *Verdict {
	r := s.rules[rule]
	if !r.detects() {
		return &Verdict{}
	}
	v := &Verdict{Held: s.conds[rule].matchEvent(event), Near: s.conds[rule].near(event)}
	v.Conditions, v.Selections = inspect(r, event)
	for _, f := range s.filters[rule] {
		n := Narrow{Title: f.Title, File: f.File, Keeps: f.cond.matchEvent(event)}
		n.Conditions, n.Selections = inspect(f, event)
		v.Filters = append(v.Filters, n)
	}
	return v
}

// Near is Inspect's Near alone.
func (s *Set) Near(rule int, event []Field) float64 {
	if !s.rules[rule].detects() {
		return 0
	}
	return s.conds[rule].near(event)
}

// near is the share of e that an event has: of what must all hold the mean, of
// what any will do the best. It is 1 if e holds, and less if it does not.
func (e *expr) near(event []Field) float64 {
	switch e.op {
	case exprTest, exprNot:
		if e.matchEvent(event) {
			return 1
		}
		return 0
	}
	shares := make([]float64, len(e.kids))
	for i, k := range e.kids {
		shares[i] = -k.near(event) // the best first
	}
	slices.Sort(shares)
	n := len(shares)
	switch e.op {
	case exprOr:
		n = min(n, 1)
	case exprCount:
		n = min(n, e.n)
	}
	if n == 0 {
		return 0
	}
	sum := 0.
	for _, s := range shares[:n] {
		sum -= s
	}
	return sum / float64(n)
}

// inspector makes parts of one rule, within bounds.
type inspector struct {
	event []Field
	left  int
}

func inspect(r *Rule, event []Field) (conditions, selections []Part) {
	in := &inspector{event, maxParts}
	for _, src := range r.Conditions {
		if c, ok := in.condition(src, r.selections); ok {
			conditions = append(conditions, c)
		}
	}
	for _, sel := range r.selections {
		if in.left <= 0 {
			break
		}
		selections = append(selections, in.selection(sel))
	}
	return conditions, selections
}

// condition reads a condition once more, for the words in which it is written.
func (in *inspector) condition(src string, selections []*expr) (Part, bool) {
	type open struct {
		from int
		Part
	}
	var stack []open
	p := condParser{toks: lexCondition(src), selections: selections}
	p.note = func(from, to int, e *expr) {
		inner := len(stack)
		for inner > 0 && stack[inner-1].from >= from {
			inner--
		}
		part := Part{Text: joinCondition(p.toks[from:to]), Held: e.matchEvent(in.event)}
		for _, o := range stack[inner:] {
			part.Parts = append(part.Parts, o.Part)
		}
		if e.name == "" && to-from == 3 && strings.EqualFold(p.toks[from+1], "of") {
			kids := e.kids
			if len(kids) > 0 && kids[0].name == "" { // one selection alone, see combine
				kids = nil
			}
			for _, k := range kids {
				if in.left--; in.left < 0 {
					break
				}
				part.Parts = append(part.Parts, Part{Text: k.name, Held: k.matchEvent(in.event)})
			}
		}
		stack = append(stack[:inner], open{from, part})
	}
	if _, err := p.or(0); err != nil || len(stack) != 1 {
		return Part{}, false // it was read before, so this does not happen
	}
	return stack[0].Part, true
}

// joinCondition writes tokens as one would.
func joinCondition(toks []string) string {
	var b strings.Builder
	for i, t := range toks {
		if i > 0 && t != ")" && toks[i-1] != "(" {
			b.WriteByte(' ')
		}
		b.WriteString(t)
	}
	return b.String()
}

func (in *inspector) selection(sel *expr) Part {
	e := sel
	for e.op == exprAnd && len(e.kids) == 1 {
		e = e.kids[0]
	}
	part := Part{Text: sel.name, Held: sel.matchEvent(in.event)}
	if e.op == exprAnd {
		part.Parts = in.all(e.kids)
	} else {
		part.Parts = in.all([]*expr{e})
	}
	return part
}

func (in *inspector) all(kids []*expr) []Part {
	var out []Part
	for _, k := range kids {
		if in.left--; in.left < 0 {
			break
		}
		out = append(out, in.part(k))
	}
	return out
}

func (in *inspector) part(e *expr) Part {
	if e.op == exprTest {
		return in.found(e.test, e.test.words(), e.test.matchEvent(in.event))
	}
	if e.op == exprOr {
		if tests := alternatives(e, nil); tests != nil {
			return in.list(tests)
		}
	}
	part := Part{Held: e.matchEvent(in.event)}
	switch e.op {
	case exprNot:
		part.Text = "not"
	case exprAnd:
		part.Text = "all of these"
	case exprOr:
		part.Text = "any of these"
	default:
		part.Text = "at least " + strconv.Itoa(e.n) + " of these"
	}
	part.Parts = in.all(e.kids)
	return part
}

// alternatives returns the tests of a list of values of one field, nil if e is
// anything else.
func alternatives(e *expr, tests []*test) []*test {
	for _, k := range e.kids {
		switch {
		case k.op == exprOr:
			if tests = alternatives(k, tests); tests == nil {
				return nil
			}
		case k.op != exprTest, len(tests) > 0 && tests[0].field != k.test.field:
			return nil
		default:
			tests = append(tests, k.test)
		}
	}
	return tests
}

// list makes one part of a list of values: those that held if any did, and
// otherwise what was asked for.
func (in *inspector) list(tests []*test) Part {
	var held []string
	for _, t := range tests {
		if len(held) < maxListed && t.matchEvent(in.event) {
			held = append(held, t.wish())
		}
	}
	subject := tests[0].subject()
	if len(held) > 0 {
		return in.found(tests[0], subject+" "+strings.Join(held, ", ")+" (of a list of "+strconv.Itoa(len(tests))+")", true)
	}
	var asked []string
	for _, t := range tests[:min(len(tests), maxListed)] {
		asked = append(asked, t.wish())
	}
	text := subject + " " + strings.Join(asked, ", or ")
	if more := len(tests) - len(asked); more > 0 {
		text += ", or one of " + strconv.Itoa(more) + " more"
	}
	return in.found(tests[0], text, false)
}

// found is the part of a test, with what the event has of its field.
func (in *inspector) found(t *test, text string, held bool) Part {
	p := Part{Text: text, Held: held, Test: true, Field: t.field}
	if t.field == "" {
		for _, f := range in.event {
			if held && f.Kind != Null && t.matchValue(f.Text) {
				p.Values = append(p.Values, f.Text)
			}
		}
		return p
	}
	p.Found = Absent
	for _, f := range in.event {
		switch {
		case f.Name != t.field:
		case f.Kind != Null:
			p.Found = Present
			p.Values = append(p.Values, f.Text)
		case p.Found == Absent:
			p.Found = IsNull
		}
	}
	if t.op == testFieldRef {
		for _, f := range in.event {
			if f.Name == t.text && f.Kind != Null {
				p.Values = append(p.Values, f.Name+" = "+f.Text)
			}
		}
	}
	return p
}

// subject names what a test looks at, and wish says what it asks of it: together
// they are words for people, where String is exact.
func (t *test) subject() string {
	s := t.field
	if s == "" {
		s = "any field"
	}
	if t.part != partNone {
		s = partNames[t.part] + " of " + s
	}
	return s
}

func (t *test) words() string { return t.subject() + " " + t.wish() }

func (t *test) wish() string {
	cased := ""
	if t.cased {
		cased = " in this case"
	}
	switch t.op {
	case testPattern:
		switch kind, text := t.pat.shape(); kind {
		case shapeExact:
			return "is " + mark(text) + cased
		case shapePrefix:
			return "starts with " + mark(text) + cased
		case shapeSuffix:
			return "ends with " + mark(text) + cased
		case shapeContains:
			return "contains " + mark(text) + cased
		case shapeAny:
			return "has any value"
		}
		return "is like " + mark(t.pat.String()) + cased
	case testRegex:
		return "matches /" + clipped(t.text) + "/"
	case testCIDR:
		return "is an address in " + t.prefix.String()
	case testNumber:
		return "is the number " + t.text
	case testCompare:
		return cmpNames[t.cmp] + " " + strconv.FormatFloat(t.num, 'g', -1, 64)
	case testFieldRef:
		rel := [...]string{"equals", "starts with", "ends with", "contains"}
		return rel[t.shape] + " the field " + mark(t.text) + cased
	case testNull:
		return "is missing or null"
	}
	return "exists"
}

// mark puts text of a rule between quotes, without escapes: a path reads as it is.
func mark(s string) string { return "'" + clipped(s) + "'" }

func clipped(s string) string {
	const most = 160
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// A Step is what one match did to one window of a correlation, for those who want
// to see why a correlation holds or does not; see CorrelatorOptions.Trace.
type Step struct {
	Rule        int    // the correlation, its place in Set.Rules
	Of          int    // the rule that matched
	Event       string // its id
	Effect      Effect
	Group       []GroupValue // what the window is for; empty if Effect is StepUngrouped
	Start, Time time.Time    // of the oldest and the newest event in the window
	Events      int          // in the window, with this one
	Value       float64      // what the condition compares; see Match.Value
	Held        bool         // the correlation holds now
	First       bool         // and did not before
}

// An Effect is what became of a match.
type Effect string

// The effects of a match on a window.
const (
	StepCounted   Effect = "counted"
	StepLate      Effect = "late"      // older than the window: not counted
	StepRepeated  Effect = "repeated"  // seen before: not counted
	StepUngrouped Effect = "ungrouped" // without a field to group by or the value that counts: not counted
)

// step tells of a window to whoever traces it.
func (c *Correlator) step(l *link, g *group, of int, id string, effect Effect, m *Match) {
	if c.opt.Trace == nil {
		return
	}
	s := Step{Rule: l.rule, Of: of, Event: id, Effect: effect}
	if g != nil {
		s.Start, s.Time = time.UnixMicro(g.live()[0].at).UTC(), time.UnixMicro(g.last()).UTC()
		s.Events, s.Value = g.len(), g.agg.value()
		for i, f := range l.GroupBy {
			s.Group = append(s.Group, GroupValue{f, g.values[i]})
		}
	}
	if m != nil {
		s.Held, s.First, s.Value = true, m.First, m.Value
	}
	c.opt.Trace(s)
}
