package sigma

import "slices"

// A Selector is what one alternative of a rule says of one field.
type Selector struct {
	Field string
	Texts []string // the field holds one of them; in lower case, unless the rule tells cases apart
	Exact bool     // as its whole value; else a part of it
}

// Bounds of the alternatives into which a rule is taken apart: how many they are,
// and of how many selectors each; what has more is told of by fewer, which say less.
const (
	maxAlternatives = 64
	maxSelectors    = 64
)

// Alternatives returns the ways in which an event can match the rule, each as what
// it says of some fields: at least one of them describes each event that matches.
// What a way says by other means than the text of a value, such as a regular
// expression or a negation, is left out, so that it may say nothing. It is nil for
// a correlation or a filter. It serves to tell what the events of a rule are about,
// where Requires leaves out what one alternative needs and another does not.
func (r *Rule) Alternatives() [][]Selector {
	if !r.detects() || r.cond == nil {
		return nil
	}
	return r.cond.alternatives()
}

// alternatives returns at least one.
func (e *expr) alternatives() [][]Selector {
	open := [][]Selector{nil} // one that says nothing
	switch e.op {
	case exprTest:
		if s, ok := e.test.selector(); ok {
			return [][]Selector{{s}}
		}
		return open
	case exprAnd:
		out := open
		for _, k := range e.kids {
			all := k.alternatives()
			if len(all)*len(out) > maxAlternatives {
				continue
			}
			var next [][]Selector
			for _, a := range out {
				for _, b := range all {
					both := slices.Concat(a, b)
					next = append(next, both[:min(len(both), maxSelectors)])
				}
			}
			out = next
		}
		return out
	case exprOr:
		if s, ok := e.listed(); ok {
			return [][]Selector{{s}}
		}
		var out [][]Selector
		for _, k := range e.kids {
			if out = append(out, k.alternatives()...); len(out) > maxAlternatives {
				return open
			}
		}
		if len(out) > 0 {
			return out
		}
	case exprCount:
		switch {
		case e.n == 1:
			return combine(exprOr, e.kids).alternatives()
		case e.n == len(e.kids):
			return combine(exprAnd, e.kids).alternatives()
		}
	}
	return open
}

// listed returns what an expression says of one field that has one of several
// values, false if it is none.
func (e *expr) listed() (Selector, bool) {
	out := Selector{Exact: true}
	for i, k := range e.kids {
		if k.op != exprTest {
			return Selector{}, false
		}
		s, ok := k.test.selector()
		if !ok || i > 0 && s.Field != out.Field {
			return Selector{}, false
		}
		out.Field, out.Exact = s.Field, out.Exact && s.Exact
		out.Texts = append(out.Texts, s.Texts...)
	}
	return out, len(out.Texts) > 0
}

// selector returns what a test says of its field by text, false if nothing.
func (t *test) selector() (Selector, bool) {
	if t.field == "" {
		return Selector{}, false
	}
	switch t.op {
	case testNumber:
		return Selector{t.field, []string{t.text}, true}, true
	case testPattern:
		if s, text := t.pat.shape(); s != shapeAny && text != "" {
			return Selector{t.field, []string{text}, s == shapeExact}, true
		}
	}
	return Selector{}, false
}
