package sigma

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

// plainFold is what foldRune means, without its short cuts.
func plainFold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return unicode.ToLower(least)
	}
	return least
}

func TestFoldRune(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		if got, want := foldRune(r), plainFold(r); got != want {
			t.Errorf("%U folds to %U, want %U", r, got, want)
		}
	}
}

// Every byte folds the same wherever it stands among the eight of a word.
func TestAppendFold(t *testing.T) {
	for c := range 256 {
		for at := range 19 {
			text := []byte("abcXYZ@[`{019 ~_Aa.")
			text[at] = byte(c)
			var want []byte
			for _, b := range text {
				want = append(want, lowerASCII(b))
			}
			got, ascii := appendFold([]byte("X"), string(text))
			if string(got) != "X"+string(want) || ascii != (c < utf8.RuneSelf) {
				t.Fatalf("%q folds to %q, want %q; ASCII: %v", text, got[1:], want, ascii)
			}
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"STRASSE Straße ẞ", "strasse straße ß"}, {"ÀÉÞ÷×ÿ\xffK", "ÀÉÞ÷×ÿ\xffk"}, {"longer than a word, ПРИВЕТ привет", "longer than a word, ПРИВЕТ ПРИВЕТ"}, {"\u212a\u017f", "ks"},
	} {
		if got, _ := appendFold(nil, c.text); string(got) != c.want {
			t.Errorf("%q folds to %q, want %q", c.text, got, c.want)
		}
	}
}
