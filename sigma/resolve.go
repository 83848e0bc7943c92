package sigma

import (
	"slices"
	"strings"
)

// link is a correlation of a Set with its references resolved.
type link struct {
	*Correlation
	rule   int        // its place in Set.rules
	refs   []int      // places of its rules
	keys   [][]string // by ref: the fields to group by
	fields [][]string // by ref: the fields whose values count
}

// use is one place where a rule's matches go.
type use struct{ link, ref int32 }

// resolver finds rules by what others call them.
type resolver struct {
	set    *Set
	byID   map[string][]int
	byName map[string][]int
}

func newResolver(s *Set) *resolver {
	r := &resolver{set: s, byID: map[string][]int{}, byName: map[string][]int{}}
	for i, rule := range s.rules {
		if rule.ID != "" {
			id := strings.ToLower(rule.ID)
			r.byID[id] = append(r.byID[id], i)
		}
		if rule.Name != "" {
			r.byName[rule.Name] = append(r.byName[rule.Name], i)
		}
	}
	return r
}

// find returns the place of the rule with an id or, if none has it, a name. In
// case of failure the second result says why.
func (r *resolver) find(ref string) (int, string) {
	found := r.byID[strings.ToLower(ref)]
	if found == nil {
		found = r.byName[ref]
	}
	switch len(found) {
	case 0:
		return 0, "there is no rule with the id or name " + quote(ref) + ", or it is refused"
	case 1:
		return found[0], ""
	}
	return 0, "several rules are called " + quote(ref)
}

// narrow puts a filter on the rules that it is for.
func (r *resolver) narrow(f *Rule) []*Error {
	var errs []*Error
	src := f.LogSource.fold()
	apply := func(i int) {
		r.set.conds[i] = &expr{op: exprAnd, kids: []*expr{r.set.conds[i], f.cond}}
		r.set.filters[i] = append(r.set.filters[i], f)
	}
	if len(f.Filter.Rules) == 0 {
		for i, rule := range r.set.rules {
			if rule.detects() && covers(src, rule.LogSource.fold()) {
				apply(i)
			}
		}
		return nil
	}
	var done []int
	for _, ref := range f.Filter.Rules {
		i, bad := r.find(ref)
		switch {
		case bad != "":
		case slices.Contains(done, i):
			bad = "the rule " + quote(ref) + " is named twice"
		case !r.set.rules[i].detects():
			bad = quote(ref) + " is a correlation: filter the rules that it refers to"
		case !covers(src, r.set.rules[i].LogSource.fold()):
			bad = "the filter's log source does not cover that of the rule " + quote(ref)
		}
		if bad != "" {
			if len(f.Filter.Rules) > 1 {
				bad += "; the filter stays in force for the other rules that it names"
			}
			errs = append(errs, refusal(f.File, f.Line, "filter.rules", "%s", bad))
			continue
		}
		done = append(done, i)
		apply(i)
	}
	return errs
}

// correlate resolves the correlations of the set, and leaves out those that
// cannot be, or that refer to one that cannot, and what is switched off.
func (r *resolver) correlate(off func(*Rule, []LogSource) bool) []*Error {
	s := r.set
	refused := map[int]*Error{}
	links := map[int]*link{}
	for i, rule := range s.rules {
		if rule.Correlation == nil {
			continue
		}
		l := &link{Correlation: rule.Correlation, rule: i}
		for _, ref := range l.Rules {
			at, bad := r.find(ref)
			if bad == "" && slices.Contains(l.refs, at) {
				bad = quote(ref) + " is a rule that the list already names"
			}
			if bad != "" {
				refused[i] = refusal(rule.File, rule.Line, "correlation.rules", "%s", bad)
				break
			}
			l.refs = append(l.refs, at)
			l.keys = append(l.keys, l.names(l.GroupBy, ref))
			l.fields = append(l.fields, l.names(l.Fields, ref))
		}
		links[i] = l
	}
	// depth of a correlation over others; those below it are settled first.
	depth := make([]int, len(s.rules))
	const busy = -1
	var settle func(i, above int)
	settle = func(i, above int) {
		l := links[i]
		if l == nil || refused[i] != nil || depth[i] > 0 {
			return
		}
		depth[i] = busy
		deepest := 0
		for k, at := range l.refs {
			where := func(why string) *Error {
				return refusal(s.rules[i].File, s.rules[i].Line, "correlation.rules", "%s %s", quote(l.Rules[k]), why)
			}
			if depth[at] == busy {
				refused[i] = where("refers back to this correlation")
				break
			}
			if above >= MaxNesting {
				refused[i] = where("makes a chain of correlations that is too long")
				break
			}
			settle(at, above+1)
			if refused[at] != nil {
				refused[i] = where("is refused")
				break
			}
			deepest = max(deepest, depth[at])
		}
		depth[i] = deepest + 1
	}
	for i := range s.rules {
		settle(i, 0)
	}
	return r.install(links, refused, off)
}

// install puts the correlations that are not refused into the set, and takes the
// others out of it, with the rules that are switched off and that none needs.
func (r *resolver) install(links map[int]*link, refused map[int]*Error, off func(*Rule, []LogSource) bool) []*Error {
	s := r.set
	gone := make([]bool, len(s.rules))
	var errs []*Error
	for i := range s.rules {
		if e := refused[i]; e != nil {
			errs = append(errs, e)
			gone[i] = true
		}
	}
	s.silent = make([]bool, len(s.rules))
	loud := make([]bool, len(s.rules))
	for i := range s.rules {
		if l := links[i]; l != nil && !gone[i] {
			for _, at := range l.refs {
				s.silent[at] = true
				loud[at] = loud[at] || l.Generate
			}
		}
	}
	for i := range loud {
		s.silent[i] = s.silent[i] && !loud[i]
	}
	for i, idle := range s.switchOff(off, links, gone) {
		gone[i] = gone[i] || idle
	}

	place := make([]int, len(s.rules)) // after those gone are gone
	n := 0
	for i := range s.rules {
		place[i] = n
		if gone[i] {
			continue
		}
		s.rules[n], s.conds[n], s.filters[n], s.silent[n] = s.rules[i], s.conds[i], s.filters[i], s.silent[i]
		n++
	}
	s.rules, s.conds, s.filters, s.silent = s.rules[:n], s.conds[:n], s.filters[:n], s.silent[:n]
	s.uses = make([][]use, n)
	for i := range place {
		l := links[i]
		if l == nil || gone[i] {
			continue
		}
		l.rule = place[i]
		for k, at := range l.refs {
			at = place[at]
			l.refs[k] = at
			s.uses[at] = append(s.uses[at], use{int32(len(s.links)), int32(k)})
		}
		s.links = append(s.links, l)
	}
	return errs
}

// names returns what names of the correlation stand for in the events of a rule.
func (l *link) names(names []string, rule string) []string {
	var out []string
	for _, n := range names {
		out = append(out, l.field(n, rule))
	}
	return out
}
