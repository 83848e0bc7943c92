package sigma

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is the text of a rule's value with its wildcards told apart from
// plain characters: star and one are bytes that never occur in UTF-8.
type pattern string

const (
	star = '\xff' // any number of characters, newlines included
	one  = '\xfe' // exactly one character
)

// parsePattern reads Sigma's escapes: a backslash takes the special meaning from
// "*", "?" and another backslash, and before anything else it is itself.
func parsePattern(s string) pattern {
	if !strings.ContainsAny(s, `*?\`) {
		return pattern(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '*':
			if len(out) == 0 || out[len(out)-1] != star {
				out = append(out, star)
			}
		case c == '?':
			out = append(out, one)
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`*?\`, s[i+1]) >= 0:
			i++
			out = append(out, s[i])
		default:
			out = append(out, c)
		}
	}
	return pattern(out)
}

// plain reports whether p has no wildcard.
func (p pattern) plain() bool {
	return strings.IndexByte(string(p), star) < 0 && strings.IndexByte(string(p), one) < 0
}

func (p pattern) openStart() pattern {
	if len(p) > 0 && p[0] == star {
		return p
	}
	return "\xff" + p
}

func (p pattern) openEnd() pattern {
	if len(p) > 0 && p[len(p)-1] == star {
		return p
	}
	return p + "\xff"
}

// shape is how a pattern can be looked for.
type shape uint8

const (
	shapeExact    shape = iota // the value is the literal
	shapePrefix                // the value starts with it
	shapeSuffix                // ends with it
	shapeContains              // contains it
	shapeAny                   // every value: only stars
	shapeGlob                  // wildcards inside: contains the literal, the rest needs matching
)

// shape returns how to look for p, and the literal to look for (of a glob its
// longest one, which may be empty).
func (p pattern) shape() (shape, string) {
	body := string(p)
	open := body != "" && body[0] == star
	if open {
		body = body[1:]
	}
	tail := body != "" && body[len(body)-1] == star
	if tail {
		body = body[:len(body)-1]
	}
	switch {
	case !pattern(body).plain():
		longest := ""
		for len(body) > 0 {
			i := indexWildcard(body)
			if i > len(longest) {
				longest = body[:i]
			}
			body = body[min(i+1, len(body)):]
		}
		return shapeGlob, longest
	case body == "" && (open || tail):
		return shapeAny, ""
	case open && tail:
		return shapeContains, body
	case open:
		return shapeSuffix, body
	case tail:
		return shapePrefix, body
	}
	return shapeExact, body
}

// indexWildcard returns where the first wildcard of s is, or its length.
func indexWildcard(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] == star || s[i] == one {
			return i
		}
	}
	return len(s)
}

// match reports whether text is as the pattern says. Unless cased, the pattern
// must be folded already. The time is bounded by the product of the two lengths.
func (p pattern) match(text string, cased bool) bool {
	at, back, backText := 0, -1, 0 // where in p; where to go on after the last star, in p and in text
	for i := 0; i < len(text); {
		if at < len(p) && p[at] == star {
			at++
			back, backText = at, i
			continue
		}
		if at < len(p) {
			if n, size := p.step(at, text[i:], cased); n > 0 {
				at += n
				i += size
				continue
			}
		}
		if back < 0 {
			return false
		}
		_, size := utf8.DecodeRuneInString(text[backText:])
		backText += size
		at, i = back, backText
	}
	for at < len(p) && p[at] == star {
		at++
	}
	return at == len(p)
}

// step matches one character of p with the first of text, and returns the bytes
// of both; zeros if they differ.
func (p pattern) step(at int, text string, cased bool) (int, int) {
	r, size := rune(text[0]), 1
	if r >= utf8.RuneSelf {
		r, size = utf8.DecodeRuneInString(text)
	}
	if p[at] == one {
		return 1, size
	}
	if r == utf8.RuneError && size == 1 {
		return 0, 0 // a byte that is no character equals nothing a rule can say
	}
	if !cased {
		r = foldRune(r)
	}
	want, n := utf8.DecodeRuneInString(string(p[at:]))
	if want != r {
		return 0, 0
	}
	return n, size
}

// String renders p as it would be written in a rule.
func (p pattern) String() string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; c {
		case star:
			b.WriteByte('*')
		case one:
			b.WriteByte('?')
		case '*', '?':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\\':
			// Only a backslash that would escape what follows is doubled.
			if i+1 < len(p) && (p[i+1] == star || p[i+1] == one || strings.IndexByte(`*?\`, p[i+1]) >= 0) {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// maxDashes bounds the option dashes of one value under windash: each multiplies
// the variants by five.
const maxDashes = 4

// windash returns p with each dash or slash that begins an option replaced by
// each character Windows programs take for one: hyphen, slash, en dash, em dash
// and horizontal bar. A dash begins an option if no word character stands before
// it and one stands after it. It returns nil if there are more than maxDashes.
func (p pattern) windash() []pattern {
	var at []int
	for i := 0; i < len(p); i++ {
		if p[i] != '-' && p[i] != '/' {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(string(p[:i]))
		after, _ := utf8.DecodeRuneInString(string(p[i+1:]))
		if !isWord(before) && isWord(after) {
			at = append(at, i)
		}
	}
	if len(at) > maxDashes {
		return nil
	}
	out := []pattern{p}
	for k := len(at) - 1; k >= 0; k-- { // from the end, so that earlier places stay
		i := at[k]
		next := make([]pattern, 0, len(out)*5)
		for _, v := range out {
			for _, dash := range [...]pattern{"-", "/", "–", "—", "―"} {
				next = append(next, v[:i]+dash+v[i+1:])
			}
		}
		out = next
	}
	return out
}

func isWord(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// base64Offsets returns what s looks like inside Base64 text, by the three places
// it can have in a group of three bytes, without the characters that its
// neighbours decide as well.
func base64Offsets(s string) []string {
	first := [3]int{0, 2, 3}
	drop := [3]int{0, 3, 2}
	var out []string
	for off := range 3 {
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", off) + s))
		end := len(enc) - drop[(len(s)+off)%3]
		if v := enc[min(first[off], end):end]; v != "" {
			out = append(out, v)
		}
	}
	return out
}
