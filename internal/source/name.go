package source

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a member's name, in bytes.
const maxName = 1024

// clean makes a name safe to show: control characters, what changes the direction
// of text, and bytes that are no UTF-8 are escaped as \xNN or \u{NNNN}.
func clean(name string) string {
	safe := utf8.ValidString(name)
	for _, r := range name {
		if !safe || isUnsafe(r) {
			safe = false
			break
		}
	}
	if safe {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < 0x80 && isUnsafe(r):
			fmt.Fprintf(&b, `\x%02x`, name[i])
		case isUnsafe(r):
			fmt.Fprintf(&b, `\u{%04x}`, r)
		default:
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

func isUnsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// memberName makes a member's name safe to show and to use as a path below some
// folder: without a root, a drive, or steps upwards.
func memberName(name string) string {
	if len(name) > maxName {
		name = name[:maxName] + "..."
	}
	// Archives made on Windows separate with backslashes, and those stay: the name is
	// the archive's. They count as separators all the same.
	parts := strings.FieldsFunc(name, isSeparator)
	kept := parts[:0]
	for _, p := range parts {
		if p != "." && p != ".." {
			kept = append(kept, p)
		}
	}
	if len(kept) > 1 && len(kept[0]) == 2 && kept[0][1] == ':' {
		kept = kept[1:]
	}
	separator := "/"
	if !strings.ContainsRune(name, '/') && strings.ContainsRune(name, '\\') {
		separator = `\`
	}
	joined := strings.Join(kept, separator)
	if joined == "" {
		joined = "unnamed"
	}
	return clean(joined)
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// isShadow tells the files in which macOS keeps what other file systems have no
// place for: they hold no evidence of their own.
func isShadow(name string) bool {
	for _, p := range strings.FieldsFunc(name, isSeparator) {
		if p == "__MACOSX" || strings.HasPrefix(p, "._") {
			return true
		}
	}
	return false
}
