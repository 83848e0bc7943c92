package sigma

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
