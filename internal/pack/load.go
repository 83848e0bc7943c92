package pack

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/catena-sec/catena/sigma"
)

// Options are what Load can be told.
type Options struct {
	Engine  string     // version of this Catena, for packs that want a newer one
	Disable []Selector // what is switched off
	Strict  bool       // a rule that cannot be used is an error: for packs that come while an engine runs
	Workers int        // goroutines that parse; 0 means all cores; the result does not depend on it

	// Adapt makes of the rules of one file those that are used; nil changes nothing.
	// It is called by many goroutines. Its error says why the others cannot be used.
	Adapt func(rules []*sigma.Rule, builtin bool) ([]*sigma.Rule, error)
}

// A Set is the rules of packs, compiled. It does not change and may be shared by
// goroutines. A server keeps the one in use in an atomic.Pointer and stores
// another when Load has returned it without error: who matches goes on with the
// set that he took.
type Set struct {
	Rules  *sigma.Set
	Parsed []*sigma.Rule // all that were read, filters among them
	Files  int           // of rules
	Packs  []*Pack       // in use, in the order given

	origin   map[*sigma.Rule]*Pack
	off      []Off
	unused   []Selector
	replaced []Problem
	notes    []string
}

// Off is one rule that is switched off.
type Off struct {
	Rule *sigma.Rule
	By   Selector // the first that means it
	Step bool     // correlations that are on still look at its matches
}

// Load reads, parses and compiles the rules of packs. It depends on nothing but its
// arguments and the files of packs that are folders without hashes.
//
// Where two packs have a name in common, the one given later is an update of the
// other, which is not used at all. Where two packs have a rule in common, by its
// id, that of the pack given later is used. Within a pack the first of two is used
// and the other is a problem. Problems are rules that cannot be used; the others
// are. An error means that there is no set: a pack does not hold what its hashes
// say, or is for a newer engine, or, with Strict, has any problem.
func Load(packs []*Pack, o Options) (*Set, []Problem, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	s := &Set{origin: map[*sigma.Rule]*Pack{}}
	s.choose(packs)
	var bad []error
	for _, p := range s.Packs {
		if problems := p.Check(o.Engine); len(problems) > 0 {
			bad = append(bad, &BadPackError{p, problems})
		}
	}
	if len(bad) > 0 {
		return nil, nil, errors.Join(bad...)
	}
	problems := s.parse(o)
	problems = append(problems, s.compile(o.Disable)...)
	slices.SortStableFunc(problems, compareProblems)
	if o.Strict && len(problems) > 0 {
		return nil, problems, fmt.Errorf("%d rules cannot be used; the first: %s", len(problems), problems[0])
	}
	return s, problems, nil
}

// A BadPackError says why a pack is not used.
type BadPackError struct {
	Pack     *Pack
	Problems []Problem // at least one
}

// Error names the pack and its first problem.
func (e *BadPackError) Error() string {
	s := fmt.Sprintf("the pack %s is not used: %s", e.Pack.Path, e.Problems[0])
	if n := len(e.Problems) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more: 'catena rules check %s' lists them)", n, e.Pack.Path)
	}
	return s
}

// choose leaves out packs that a later one updates.
func (s *Set) choose(packs []*Pack) {
	for i, p := range packs {
		later := slices.IndexFunc(packs[i+1:], func(q *Pack) bool { return q.Name() == p.Name() && (q.Manifest == nil) == (p.Manifest == nil) })
		if later < 0 {
			s.Packs = append(s.Packs, p)
			continue
		}
		q := packs[i+1+later]
		s.notes = append(s.notes, fmt.Sprintf("Pack %s (%s) is not used: %s (%s), given later, takes its place.", p, p.Path, q, q.Path))
	}
}

// parse reads the rules of all packs and settles which of two with one id is used.
func (s *Set) parse(o Options) []Problem {
	type unit struct {
		pack  *Pack
		file  File
		rules []*sigma.Rule
		err   error
	}
	var units []unit
	for _, p := range s.Packs {
		for _, f := range p.Rules() {
			units = append(units, unit{pack: p, file: f})
		}
	}
	s.Files = len(units)
	inParallel(len(units), o.Workers, func(i int) {
		u := &units[i]
		src, err := u.file.Read()
		if err != nil {
			u.err = err
			return
		}
		u.rules, u.err = sigma.Parse(u.file.Name, src)
		if o.Adapt != nil {
			adapted, err := o.Adapt(u.rules, u.pack.Builtin)
			u.rules, u.err = adapted, errors.Join(u.err, err)
		}
	})
	var problems []Problem
	byID := map[string]*sigma.Rule{}
	replaced := map[*sigma.Rule]bool{}
	type pair struct{ old, now *Pack }
	counts := map[pair]int{}
	var pairs []pair
	first := map[pair]string{}
	for i := range units {
		u := &units[i]
		problems = append(problems, problemsOf(u.file.Name, u.err)...)
		for _, r := range u.rules {
			id := strings.ToLower(r.ID)
			prev := byID[id]
			switch {
			case id == "", prev == nil:
			case s.origin[prev] == u.pack:
				problems = append(problems, Problem{r.File, r.Line, fmt.Sprintf("id %s is already taken by %s", r.ID, prev.File)})
				continue
			default:
				replaced[prev] = true
				s.replaced = append(s.replaced, Problem{prev.File, prev.Line, fmt.Sprintf("id %s is given again by %s, which is used", r.ID, r.File)})
				k := pair{s.origin[prev], u.pack}
				if counts[k]++; counts[k] == 1 {
					pairs = append(pairs, k)
					first[k] = fmt.Sprintf("%s, for which %s is used", prev.File, r.File)
				}
			}
			byID[id] = r
			s.origin[r] = u.pack
			s.Parsed = append(s.Parsed, r)
		}
	}
	s.Parsed = slices.DeleteFunc(s.Parsed, func(r *sigma.Rule) bool { return replaced[r] })
	for _, k := range pairs {
		s.notes = append(s.notes, fmt.Sprintf("Of pack %s %s not used, as pack %s, given later, has the same ids; the first: %s.",
			k.old, plural(counts[k], "rule is", "rules are"), k.now, first[k]))
	}
	return problems
}

// problemsOf lists what an error of reading, parsing or compiling says.
func problemsOf(file string, err error) []Problem {
	if err == nil {
		return nil
	}
	list := sigma.Errors(err)
	if len(list) == 0 {
		return []Problem{{file, 0, err.Error()}}
	}
	var out []Problem
	for _, e := range list {
		p := Problem{e.File, e.Line, e.Reason}
		if e.File == "" {
			p.File = file
		}
		if e.Where != "" {
			p.Reason = e.Where + ": " + e.Reason
		}
		out = append(out, p)
	}
	return out
}

// compile makes the set, without what is switched off.
func (s *Set) compile(disable []Selector) []Problem {
	by := map[*sigma.Rule]Selector{}
	counts := make([]int, len(disable)) // rules that each is the first to mean
	means := make([]bool, len(disable))
	var o sigma.Options
	if len(disable) > 0 {
		o.Off = func(r *sigma.Rule, sources []sigma.LogSource) bool {
			x := &Subject{ID: r.ID, Name: r.Name, Title: r.Title, Level: r.Level, Tags: r.Tags, Sources: sources, Pack: s.origin[r].Name(), Filter: r.Filter != nil}
			off := false
			for i, sel := range disable {
				if !sel.Covers(x) {
					continue
				}
				means[i] = true
				if !off {
					off, by[r] = true, sel
					counts[i]++
				}
			}
			return off
		}
	}
	set, err := sigma.CompileWith(s.Parsed, o)
	s.Rules = set
	off := set.Off()
	steps := map[*sigma.Rule]bool{}
	for _, r := range off.Steps {
		steps[r] = true
	}
	for _, r := range off.Rules {
		s.off = append(s.off, Off{r, by[r], steps[r]})
	}
	for i, sel := range disable {
		if !means[i] {
			s.unused = append(s.unused, sel)
		}
	}
	if len(s.off) > 0 {
		var parts []string
		for i, sel := range disable {
			if counts[i] > 0 {
				parts = append(parts, fmt.Sprintf("%s (%s)", sel, plural(counts[i], "rule", "rules")))
			}
		}
		text := "Switched off: " + strings.Join(parts, ", ") + "."
		if n := len(off.Steps); n > 0 {
			text += fmt.Sprintf(" Of them %s only looked at as steps of correlations that are on.", plural(n, "is", "are"))
		}
		if n := len(off.Idle); n > 0 {
			text += fmt.Sprintf(" With their correlations %s nothing else to do: %s.", plural(n, "step has", "steps have"), shortList(off.Idle))
		}
		s.notes = append(s.notes, text)
	}
	return problemsOf("", err)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shortList names the first of many rules.
func shortList(rules []*sigma.Rule) string {
	const most = 3
	var names []string
	for _, r := range rules[:min(most, len(rules))] {
		names = append(names, fmt.Sprintf("%q", clip(r.Title)))
	}
	if n := len(rules) - most; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// Pack returns the pack that a rule is of.
func (s *Set) Pack(r *sigma.Rule) *Pack { return s.origin[r] }

// Off returns the rules that are switched off, in the order of packs and files.
func (s *Set) Off() []Off { return s.off }

// Unused returns the selectors that mean no rule.
func (s *Set) Unused() []Selector { return s.unused }

// Replaced lists the rules that one of a later pack with the same id is used
// instead of.
func (s *Set) Replaced() []Problem { return s.replaced }

// Notes say in sentences what was left out on purpose: packs and rules that later
// ones take the place of, and what is switched off.
func (s *Set) Notes() []string { return s.notes }
