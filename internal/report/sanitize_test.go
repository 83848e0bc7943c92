package report

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{`C:\Windows\cmd.exe /c "a"`, `C:\Windows\cmd.exe /c "a"`},
		{"naïve 中文 🙂", "naïve 中文 🙂"},
		{"a\x1b[2Jb", `a\u{001b}[2Jb`},
		{"a\u009b31mb\x7f", `a\u{009b}31mb\u{007f}`},
		{"invoice\u202egnp.exe", `invoice\u{202e}gnp.exe`},
		{"a\u200bb\u2066c\ufeffd\u2028e\u00adf", `a\u{200b}b\u{2066}c\u{feff}d\u{2028}e\u{00ad}f`},
		{"one\r\ntwo\tthree", `one\r\ntwo\tthree`},
		{"bad\x9bbyte\xff", `bad\x9bbyte\xff`},
		{"tag\U000e0041", `tag\u{e0041}`},
		{"e\u0301", "e\u0301"},
		{"x" + strings.Repeat("\u0300", 6), "x" + strings.Repeat("\u0300", maxMarks) + `\u{0300}\u{0300}`},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if got, want := CleanBlock("a\n\tb\r\x00"), "a\n    b\\r\\u{0000}"; got != want {
		t.Errorf("CleanBlock = %q, want %q", got, want)
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"}, {"", 1, ""}} {
		if got := clip(c.in, c.n); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

// checkClean fails if text holds anything that Clean promises to escape, other
// than line ends.
func checkClean(t testing.TB, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("not UTF-8: %q", text)
	}
	for _, r := range text {
		if hidden(r) && r != '\n' {
			t.Fatalf("hidden character %U", r)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Add("a\xed\xa0\x80\xf4\x90\x80\x80")
	f.Add(strings.Repeat("\u0489", 50))
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{Clean(s), CleanBlock(s)} {
			checkClean(t, out)
			if len(out) > 11*len(s) {
				t.Fatalf("%d bytes became %d", len(s), len(out))
			}
		}
		if once := Clean(s); Clean(once) != once {
			t.Fatal("cleaning twice differs from cleaning once")
		}
		if c := cell(s); c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
			t.Fatalf("cell starts with %q", c[:1])
		}
	})
}
