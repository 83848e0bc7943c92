package sigma

import (
	"slices"
	"strings"
)

// A Requirement is one field without which no event matches a rule.
type Requirement struct {
	Field  string
	Values []string // if any, the field must be one of these, case ignored and numbers by their value
}

// Met reports whether a value of the field is one of those required.
func (q *Requirement) Met(value string) bool {
	if len(q.Values) == 0 {
		return true
	}
	var buf [maxNumberLen]byte
	num, isNum := appendNumber(buf[:0], value)
	for _, want := range q.Values {
		if foldEqual(value, want, false) || isNum && string(num) == want {
			return true
		}
	}
	return false
}

// Reads returns the names of the fields that the detection of a rule looks at,
// in the order of the rule, each once. A correlation looks at none.
func (r *Rule) Reads() []string {
	var out []string
	seen := map[string]bool{}
	add := func(field string) {
		if field != "" && !seen[field] {
			seen[field] = true
			out = append(out, field)
		}
	}
	for _, s := range r.selections {
		s.tests(func(t *test) {
			add(t.field)
			if t.op == testFieldRef {
				add(t.text)
			}
		})
	}
	return out
}

// tests calls f for every test below e.
func (e *expr) tests(f func(*test)) {
	if e.op == exprTest {
		f(e.test)
		return
	}
	for _, k := range e.kids {
		k.tests(f)
	}
}

// maxRequirementValues bounds the values that one requirement lists; a field with
// more only has to be there.
const maxRequirementValues = 1024

// Requires returns the fields that every event has which the rule matches, in the
// order of the condition, each once. What one alternative needs and another does
// not is not among them: see Lacks. Filters of other documents are not looked at,
// as they only take matches away.
func (r *Rule) Requires() []Requirement {
	if !r.detects() || r.cond == nil {
		return nil
	}
	return r.cond.requires(true)
}

// requires returns what an event must have for e to come out as wanted.
func (e *expr) requires(want bool) []Requirement {
	switch e.op {
	case exprTest:
		return e.test.requires(want)
	case exprNot:
		return e.kids[0].requires(!want)
	}
	needed := e.needed(want)
	all := needed == len(e.kids)
	var claims []claim
	index := map[string]int{}
	for _, k := range e.kids {
		for _, q := range k.requires(want) {
			i, ok := index[q.Field]
			if !ok {
				i = len(claims)
				index[q.Field] = i
				claims = append(claims, claim{Requirement: Requirement{Field: q.Field}})
			}
			claims[i].add(q.Values, all)
		}
	}
	var out []Requirement
	for _, c := range claims {
		if len(e.kids)-c.kids >= needed {
			continue // enough kids do without it
		}
		if c.open && !all {
			c.Values = nil
		}
		out = append(out, c.Requirement)
	}
	return out
}

// A claim is what several kids of an expression require of one field.
type claim struct {
	Requirement
	kids int  // how many require it
	open bool // one of them takes any value
}

// add takes in what one more kid requires: where all kids must hold the narrowest
// list says most, where any may the value is in one of them.
func (c *claim) add(values []string, all bool) {
	c.kids++
	switch {
	case len(values) == 0:
		c.open = true
	case all:
		if c.Values == nil || len(values) < len(c.Values) {
			c.Values = values
		}
	default:
		for _, v := range values {
			if c.open = c.open || len(c.Values) >= maxRequirementValues; c.open {
				return
			}
			if !slices.Contains(c.Values, v) {
				c.Values = append(c.Values, v)
			}
		}
	}
}

// needed returns how many kids must come out as wanted for e to.
func (e *expr) needed(want bool) int {
	n := 1 // exprOr
	switch e.op {
	case exprAnd:
		n = len(e.kids)
	case exprCount:
		n = e.n
	}
	if !want { // not to reach n, all but n-1 must fail
		n = len(e.kids) - n + 1
	}
	return n
}

// requires returns what an event must have for a test to come out as wanted.
func (t *test) requires(want bool) []Requirement {
	switch {
	case t.op == testNull && !want:
		return []Requirement{{Field: t.field}}
	case !want || t.op == testNull || t.field == "":
		return nil
	case t.op == testFieldRef:
		return []Requirement{{Field: t.field}, {Field: t.text}}
	case t.op == testNumber:
		return []Requirement{{t.field, []string{t.text}}}
	case t.op == testPattern && !t.cased:
		if s, text := t.pat.shape(); s == shapeExact && text != "" {
			return []Requirement{{t.field, []string{text}}}
		}
	}
	return []Requirement{{Field: t.field}}
}

// Lacks returns why no event that has only some fields can match a rule: the
// fields missing, each with what would do in its place. It is nil if such an event
// could match, as far as the presence of fields goes.
func (r *Rule) Lacks(has func(field string) bool) [][]string {
	if !r.detects() || r.cond == nil {
		return nil
	}
	var out [][]string
	for _, l := range r.cond.lacks(true, has) {
		if !slices.ContainsFunc(out, func(o []string) bool { return slices.Equal(o, l) }) {
			out = append(out, l)
		}
	}
	return out
}

// lacks is nil if e can come out as wanted.
func (e *expr) lacks(want bool, has func(string) bool) [][]string {
	switch e.op {
	case exprTest:
		var out [][]string
		for _, q := range e.test.requires(want) {
			if !has(q.Field) {
				out = append(out, []string{q.Field})
			}
		}
		return out
	case exprNot:
		return e.kids[0].lacks(!want, has)
	}
	needed, possible := e.needed(want), 0
	var missing [][]string
	for _, k := range e.kids {
		l := k.lacks(want, has)
		if l == nil {
			possible++
		}
		missing = append(missing, l...)
	}
	switch {
	case possible >= needed:
		return nil
	case needed == len(e.kids):
		return missing
	}
	var anyOf []string
	for _, l := range missing {
		for _, f := range l {
			if !slices.Contains(anyOf, f) {
				anyOf = append(anyOf, f)
			}
		}
	}
	slices.SortFunc(anyOf, strings.Compare)
	return [][]string{anyOf}
}
