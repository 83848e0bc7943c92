package sigma

import "slices"

// Options change what Compile makes of rules.
type Options struct {
	// Off says of a rule, correlation or filter whether it is switched off; nil
	// means none is. sources are the log sources that it looks at: its own or, of a
	// correlation, those of all rules that it refers to, near and far.
	//
	// A rule that is off never matches by itself. If a correlation that is not off
	// refers to it, it is evaluated for that correlation all the same, since half a
	// correlation would be another one. A correlation that is off hands its rules
	// nothing: those that alert only as a part of it stay silent, so that switching
	// off a rule or a correlation never adds a match. A filter that is off gives
	// back what it took away.
	Off func(r *Rule, sources []LogSource) bool
}

// Off is what a Set leaves out because Options.Off said so.
type Off struct {
	Rules []*Rule // rules, correlations and filters that are switched off
	Steps []*Rule // those of Rules that correlations still look at
	Idle  []*Rule // rules that are not switched off, and of use only to correlations that are
}

// Off returns what was switched off, in the order of the rules given.
func (s *Set) Off() Off { return s.off }

// CompileWith is Compile with options.
func CompileWith(rules []*Rule, o Options) (*Set, error) {
	return compile(rules, o)
}

// switchOff marks the rules that are off as silent, and returns those that nobody
// needs any more: off or of use only to correlations that are off. gone and links
// are by place in the set's rules; those gone are refused already.
func (s *Set) switchOff(off func(*Rule, []LogSource) bool, links map[int]*link, gone []bool) []bool {
	idle := make([]bool, len(s.rules))
	if off == nil {
		return idle
	}
	isOff := make([]bool, len(s.rules))
	for i, r := range s.rules {
		if !gone[i] && off(r, s.sources(i, links)) {
			isOff[i], s.silent[i] = true, true
		}
	}
	needed := make([]bool, len(s.rules))
	var need func(i int)
	need = func(i int) {
		if needed[i] {
			return
		}
		needed[i] = true
		if l := links[i]; l != nil {
			for _, at := range l.refs {
				need(at)
			}
		}
	}
	for i := range s.rules {
		if !gone[i] && !s.silent[i] {
			need(i)
		}
	}
	for i, r := range s.rules {
		if gone[i] {
			continue
		}
		idle[i] = !needed[i]
		switch {
		case isOff[i]:
			s.off.Rules = append(s.off.Rules, r)
			if needed[i] {
				s.off.Steps = append(s.off.Steps, r)
			}
		case idle[i]:
			s.off.Idle = append(s.off.Idle, r)
		}
	}
	return idle
}

// sources returns the log sources that a rule looks at, those of a correlation
// being its rules'.
func (s *Set) sources(i int, links map[int]*link) []LogSource {
	var out []LogSource
	seen := map[int]bool{}
	var walk func(i int)
	walk = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		l := links[i]
		if l == nil {
			if src := s.rules[i].LogSource; !slices.Contains(out, src) {
				out = append(out, src)
			}
			return
		}
		for _, at := range l.refs {
			walk(at)
		}
	}
	walk(i)
	return out
}
