package sigma

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// compileRegex compiles a rule's regular expression with its flags (of "ims").
// The syntax is RE2's, as everything is matched in linear time: what RE2 cannot
// do (look-around, back references, possessive groups) is refused by name.
func compileRegex(src, flags string) (*regexp.Regexp, error) {
	if len(src) > MaxRegexLen {
		return nil, fmt.Errorf("regular expression is longer than %d bytes", MaxRegexLen)
	}
	if flags != "" {
		src = "(?" + flags + ")" + src
	}
	re, err := regexp.Compile(src)
	if err == nil {
		return re, nil
	}
	for _, x := range []struct{ mark, name string }{
		{"(?=", "look-ahead"}, {"(?!", "negative look-ahead"}, {"(?<=", "look-behind"}, {"(?<!", "negative look-behind"}, {"(?>", "atomic group"},
	} {
		if strings.Contains(src, x.mark) {
			return nil, fmt.Errorf("regular expression uses a %s, which cannot be matched in linear time", x.name)
		}
	}
	return nil, fmt.Errorf("regular expression does not compile: %w", err)
}

// maxRequired bounds how many alternatives a required set may have.
const maxRequired = 64

// requiredLiterals returns folded texts of which every match of the expression
// contains at least one; nil if none can be told.
func requiredLiterals(src string) []string {
	re, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil
	}
	return required(re.Simplify())
}

func required(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		s := fold(string(re.Rune))
		if strings.ContainsRune(s, utf8.RuneError) {
			return nil // it also matches bytes that are not UTF-8
		}
		return []string{s}
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if set := required(sub); better(set, best) {
				best = set
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			set := required(sub)
			if set == nil || len(all)+len(set) > maxRequired {
				return nil
			}
			all = append(all, set...)
		}
		return all
	}
	return nil
}

// better reports whether set a says more than set b: its shortest text is longer.
func better(a, b []string) bool {
	return a != nil && (b == nil || shortest(a) > shortest(b))
}

func shortest(set []string) int {
	n := len(set[0])
	for _, s := range set[1:] {
		n = min(n, len(s))
	}
	return n
}
