package respond

import (
	"regexp"
	"strings"
)

// linkForm is what clients turn into links by themselves.
var linkForm = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]{0,20}):(//|\\\\)|(www|ftp)\.|mailto:`)

// defang writes what clients would turn into links so that they do not, as analysts
// write it: http[:]//, www[.].
func defang(s string) string {
	return linkForm.ReplaceAllStringFunc(s, func(l string) string {
		if rest, ok := strings.CutSuffix(l, "."); ok {
			return rest + "[.]"
		}
		return strings.Replace(l, ":", "[:]", 1)
	})
}

// runes bounds s to most characters.
func runes(s string, most int) string {
	n := 0
	for i := range s {
		if n == most-3 && len([]rune(s[i:])) > 3 {
			return s[:i] + "..."
		}
		n++
	}
	return s
}

// oneLine is s without line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
