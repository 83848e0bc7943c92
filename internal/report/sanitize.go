package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks in a row are shown as they are. Written
// language needs three or four; a tower of them hides the lines above it.
const maxMarks = 4

// Clean makes a string from evidence safe to show on one line of a terminal, a
// page or a cell: what would move the cursor, change the order of reading or not
// be seen at all is shown as a visible escape. Line feed, carriage return and
// tab become \n, \r and \t; other control, format and separator characters
// become \u{202e}; a byte that is no UTF-8 becomes \x9b. Text that needs no
// change is returned as it is, without allocating.
func Clean(s string) string { return clean(s, false) }

// CleanBlock is Clean for text of several lines: line feeds stay, and tabs
// become four spaces.
func CleanBlock(s string) string { return clean(s, true) }

func clean(s string, block bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	marks := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' && block:
			b.WriteByte('\n')
		case r == '\t' && block:
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case hidden(r), marks > maxMarks:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// plain reports whether s is printable ASCII.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// hidden reports whether a character is not seen itself but changes how others
// are: C0 and C1 controls, DEL, bidirectional and other format characters, zero
// width ones, line and paragraph separators, private use, non-characters, and
// the letters that are blank by definition.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < 0x20 || r == 0x7f
	}
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) {
		return true
	}
	switch {
	case r >= 0xe0000 && r <= 0xe0fff: // tags and supplementary variation selectors
		return true
	case r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef: // non-characters
		return true
	}
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0: // joiners, fillers, blank braille
		return true
	}
	return false
}

// clip shortens s to at most n runes, the last of which is then an ellipsis.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	count := 0
	cut := 0
	for i := range s {
		if count == n-1 {
			cut = i
		}
		if count == n {
			return s[:cut] + "…"
		}
		count++
	}
	return s
}
