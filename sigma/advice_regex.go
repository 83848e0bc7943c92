package sigma

import (
	"net/netip"
	"regexp/syntax"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseCIDR reads a network written with its length.
func parseCIDR(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}

// regex looks at a regular expression for what is easier, or cannot be.
func (a *adviser) regex(v *yaml.Node, m *mods, where string) {
	flags := syntax.Perl
	if strings.Contains(m.flags, "m") {
		flags &^= syntax.OneLine
	}
	if strings.Contains(m.flags, "i") {
		flags |= syntax.FoldCase
	}
	if strings.Contains(m.flags, "s") {
		flags |= syntax.DotNL
	}
	re, err := syntax.Parse(v.Value, flags)
	if err != nil || len(m.chain) > 0 {
		return
	}
	switch field := clip(m.field); {
	case re.Op == syntax.OpEmptyMatch:
		a.add(v, where, "regex-any", "the expression matches every value", "write \""+field+"|exists: true\" if any value will do")
	case impossible(re):
		a.add(v, where, "regex-never", "text before \"^\" or behind \"$\" must be there: the expression never matches", "take the anchor out, or escape it if the character is meant")
	case open(re):
		a.add(v, where, "regex-open", "\".*\" at an end changes nothing, as expressions are found anywhere", "take it out")
	default:
		if shape, ok := plainForm(re); ok {
			fix := "write it with \"" + shape + "\""
			if shape == "" {
				fix = "write it as a plain value"
			}
			if re.Flags&syntax.FoldCase == 0 {
				fix += ", and \"cased\" if case counts"
			}
			a.add(v, where, "regex-plain", "the expression is plain text, which is matched many times faster", fix)
		}
	}
}

// plainForm returns the modifier that says what an expression of plain text says.
func plainForm(re *syntax.Regexp) (modifier string, ok bool) {
	subs := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		subs = re.Sub
	}
	start, end := false, false
	if len(subs) > 1 && subs[0].Op == syntax.OpBeginText {
		start, subs = true, subs[1:]
	}
	if n := len(subs); n > 1 && subs[n-1].Op == syntax.OpEndText {
		end, subs = true, subs[:n-1]
	}
	if len(subs) != 1 || subs[0].Op != syntax.OpLiteral {
		return "", false
	}
	switch {
	case start && end:
		return "", true
	case start:
		return "startswith", true
	case end:
		return "endswith", true
	}
	return "contains", true
}

// open reports whether an expression begins or ends with ".*", where it could as
// well begin or end anywhere.
func open(re *syntax.Regexp) bool {
	if re.Op != syntax.OpConcat {
		return anything(re)
	}
	n := len(re.Sub)
	return anything(re.Sub[0]) || anything(re.Sub[n-1])
}

func anything(re *syntax.Regexp) bool {
	return re.Op == syntax.OpStar && (re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL)
}

// impossible reports whether an expression wants text before the beginning of the value
// or behind its end.
func impossible(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return impossible(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min > 0 && impossible(re.Sub[0])
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !impossible(s) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		for i, s := range re.Sub {
			switch {
			case s.Op == syntax.OpBeginText && consumes(re.Sub[:i]), s.Op == syntax.OpEndText && consumes(re.Sub[i+1:]), impossible(s):
				return true
			}
		}
	}
	return false
}

// consumes reports whether every match of the expressions takes some text.
func consumes(list []*syntax.Regexp) bool {
	for _, re := range list {
		switch re.Op {
		case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			return true
		case syntax.OpCapture, syntax.OpPlus:
			if consumes(re.Sub) {
				return true
			}
		case syntax.OpRepeat:
			if re.Min > 0 && consumes(re.Sub) {
				return true
			}
		case syntax.OpConcat:
			if consumes(re.Sub) {
				return true
			}
		case syntax.OpAlternate:
			all := true
			for _, s := range re.Sub {
				all = all && consumes([]*syntax.Regexp{s})
			}
			if all {
				return true
			}
		}
	}
	return false
}
