package sigma

import (
	"slices"
	"strings"
)

// A Set is many rules compiled into one plan. It does not change and may be
// shared by goroutines, each with a Matcher of its own.
type Set struct {
	rules  []*Rule
	fields []string
	plans  []*plan
}

// Compile compiles rules. Those that cannot be evaluated are refused, the error
// joining an *Error for each (see Errors), and the Set holds the others in the
// order given.
func Compile(rules []*Rule) (*Set, error) {
	s := &Set{}
	var errs []*Error
	slots := map[string]int32{}
	slot := func(field string) int32 {
		id, ok := slots[field]
		if !ok {
			id = int32(len(s.fields))
			slots[field] = id
			s.fields = append(s.fields, field)
		}
		return id
	}
	planners := map[LogSource]*planner{}
	var order []*planner
	for _, r := range rules {
		if len(r.Placeholders) > 0 {
			errs = append(errs, refusal(r.File, r.Line, "detection", "placeholder %s is not resolved: it needs a pipeline", "%"+strings.Join(r.Placeholders, "%, %")+"%"))
			continue
		}
		if r.cond == nil {
			errs = append(errs, refusal(r.File, r.Line, "", "the rule was not made by Parse"))
			continue
		}
		src := r.LogSource.fold()
		b := planners[src]
		if b == nil {
			b = newPlanner(src, slot)
			planners[src] = b
			order = append(order, b)
		}
		b.add(len(s.rules), r.cond)
		s.rules = append(s.rules, r)
	}
	for _, b := range order {
		s.plans = append(s.plans, b.finish())
	}
	return s, join(errs)
}

// Rules returns the rules of the set; Match's indices are places in it.
func (s *Set) Rules() []*Rule { return s.rules }

// Fields returns the names of the fields that rules look at. A field's place in
// it is its slot.
func (s *Set) Fields() []string { return s.fields }

// plansFor returns the places of the plans that apply to events of a source.
func (s *Set) plansFor(src LogSource) []int32 {
	src = src.fold()
	var out []int32
	for i, p := range s.plans {
		if covers(p.src, src) {
			out = append(out, int32(i))
		}
	}
	return out
}

// Applies reports whether a rule looks at events of a log source.
func (s *Set) Applies(rule int, src LogSource) bool {
	return covers(s.rules[rule].LogSource.fold(), src.fold())
}

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
// did not. It is slow, and meant to be read by people.
func (s *Set) Explain(rule int, event []Field) (held bool, reasons []Reason) {
	r := s.rules[rule]
	for _, sel := range r.selections {
		reason := Reason{Selection: sel.name, Held: sel.matchEvent(event)}
		reason.collect(sel, event, false)
		reasons = append(reasons, reason)
	}
	return r.cond.matchEvent(event), reasons
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

// matchSlow evaluates every rule that applies by its plain meaning.
func (s *Set) matchSlow(src LogSource, event []Field) []int {
	var out []int
	for i, r := range s.rules {
		if s.Applies(i, src) && r.cond.matchEvent(event) {
			out = append(out, i)
		}
	}
	return slices.Clip(out)
}
