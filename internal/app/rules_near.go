package app

import "strings"

// nearNames returns those of names that may well be meant by a field, in their
// order: the same letters in another case or with other separators, the last part
// of a longer name, or one letter behind the
// first that is more, less or different.
func nearNames(field string, names []string) []string {
	want := squeezeName(field)
	if want == "" {
		return nil
	}
	var same, part, typo []string
	for _, n := range names {
		switch have := squeezeName(n); {
		case n == field:
		case have == want:
			same = append(same, n)
		case len(want) >= 6 && strings.HasSuffix(have, want) && endsPart(n, want):
			part = append(part, n)
		case len(want) >= 6 && have != "" && have[0] == want[0] && oneEdit(have, want):
			typo = append(typo, n)
		}
	}
	return append(append(same, part...), typo...)
}

// squeezeName returns a name in lower case without what separates its words.
func squeezeName(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '_', '-', '.', ' ', '@', ':', '/':
			return -1
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// endsPart reports whether one of a name's last parts, cut at dots, is want.
func endsPart(name, want string) bool {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' && squeezeName(name[i+1:]) == want {
			return true
		}
	}
	return false
}

// oneEdit reports whether two texts differ by one letter that is more, less or
// another, or by two that changed places.
func oneEdit(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > 1 || a == b {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) > len(b) {
		return a[i+1:] == b[i:]
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
