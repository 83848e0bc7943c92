package sigma

import (
	"slices"
	"strings"
	"sync"
)

// A Set is many rules compiled into one plan. It does not change and may be
// shared by goroutines, each with a Matcher of its own.
type Set struct {
	rules   []*Rule
	conds   []*expr   // by rule: its condition and those of its filters; nil for a correlation
	filters [][]*Rule // by rule
	fields  []string
	plans   []*plan

	links  []*link // the correlations
	uses   [][]use // by rule: the correlations that look at its matches
	silent []bool  // by rule: it does not alert by itself
	off    Off
}

// Compile compiles rules: filters are put on the rules that they are for, and
// correlations find the rules that they refer to. Those that cannot be evaluated
// are refused, the error joining an *Error for each (see Errors), and the Set
// holds the other detection rules and correlations in the order given.
func Compile(rules []*Rule) (*Set, error) { return compile(rules, Options{}) }

func compile(rules []*Rule, o Options) (*Set, error) {
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
	var filters []*Rule
	for _, r := range rules {
		switch {
		case len(r.Placeholders) > 0:
			errs = append(errs, refusal(r.File, r.Line, "detection", "placeholder %s is not resolved: it needs a pipeline", "%"+strings.Join(r.Placeholders, "%, %")+"%"))
		case r.cond == nil && r.Correlation == nil:
			errs = append(errs, refusal(r.File, r.Line, "", "the rule was not made by Parse"))
		case r.Filter != nil && o.Off != nil && o.Off(r, []LogSource{r.LogSource}):
			s.off.Rules = append(s.off.Rules, r)
		case r.Filter != nil:
			filters = append(filters, r)
		default:
			s.rules = append(s.rules, r)
			s.conds = append(s.conds, r.cond)
		}
	}
	s.filters = make([][]*Rule, len(s.rules))
	names := newResolver(s)
	for _, f := range filters {
		errs = append(errs, names.narrow(f)...)
	}
	errs = append(errs, names.correlate(o.Off)...)

	planners := map[LogSource]*planner{}
	var order []*planner
	for i, r := range s.rules {
		if !r.detects() {
			continue
		}
		src := r.LogSource.fold()
		b := planners[src]
		if b == nil {
			b = newPlanner(src, slot)
			planners[src] = b
			order = append(order, b)
		}
		b.add(i, s.conds[i])
	}
	s.plans = make([]*plan, len(order))
	var plans sync.WaitGroup // they share nothing any more
	for i, b := range order {
		plans.Go(func() { s.plans[i] = b.finish(i) })
	}
	plans.Wait()
	return s, join(errs)
}

// Rules returns the detection rules and correlations of the set; the indices of
// Matcher.Match and of Match.Rule are places in it.
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

// Generates reports whether a match of a rule is an alert of its own. It is not
// if correlations refer to the rule and none of them says "generate: true", or if
// it is switched off.
func (s *Set) Generates(rule int) bool { return !s.silent[rule] }

// Correlated reports whether a Correlator wants to see the matches of a rule.
func (s *Set) Correlated(rule int) bool { return len(s.uses[rule]) > 0 }

// Applies reports whether a rule looks at events of a log source; correlations
// look at none.
func (s *Set) Applies(rule int, src LogSource) bool {
	return s.rules[rule].detects() && covers(s.rules[rule].LogSource.fold(), src.fold())
}

// matchSlow evaluates every rule that applies by its plain meaning.
func (s *Set) matchSlow(src LogSource, event []Field) []int {
	var out []int
	for i := range s.rules {
		if s.Applies(i, src) && s.conds[i].matchEvent(event) {
			out = append(out, i)
		}
	}
	return slices.Clip(out)
}
