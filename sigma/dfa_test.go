package sigma

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// agree checks a dfa against package regexp on texts one after another.
func agree(t *testing.T, src string, texts ...string) *dfa {
	t.Helper()
	re := regexp.MustCompile(src)
	a := newAutomaton(src)
	if a == nil {
		return nil
	}
	d := newDFA(a)
	for _, text := range texts {
		want := re.MatchString(text)
		for range 2 { // when its states are made, and when they are known
			if got, ok := d.match(text); ok && got != want {
				t.Fatalf("%q on %q is %v, regexp says %v", src, text, got, want)
			}
		}
	}
	return d
}

func TestDFA(t *testing.T) {
	texts := []string{"", "a", "b", "ab", "aab", "abc", "\n", "a\nb", "\na", "a\n", "foo bar", " foo", "foo.", "foo_", "éa", "aé", "é", "K\u212a", "ſ", "s", "S",
		"\xff", "a\xffb", "\xc3", "\ufffd", "日本", "a日b", "x1y22z333", strings.Repeat("a", 40), strings.Repeat("ab\n", 20), "\U0010ffff", "\x00", "-é-"}
	for _, src := range []string{
		"", "a", "^a", "a$", "^a$", "^$", "(?m)^a$", "(?m)^$", "(?m)a$\n^b", `\ba\b`, `\Ba`, `\bfoo\b`, `\b`, `\B`, `\Aa\z`, "(?i)k", "(?i)S+", "[^a]", "[^a]$", "(?s)a.b", "a.b",
		"a+b", "a*b$", "(a|b)*c", "(?:a+)+$", "x.{3,5}z", "[a-z]{3}", `\w{3,}`, "a{20}", "(?:ab?){5,9}", ".{30,}", "(?s).{30,}", "[[:alpha:]]{2}", `\p{Han}`, `[^\x00-\x7f]`,
		"\ufffd", `\xff`, ".", "(?s).", "[a-é]{2,}", "(?i)é", `a\b|\bb`, "a^", "$a", "(^|a)b", "(a|$)", `[\x{d800}-\x{dfff}]`, "(?-s).$", "a??b", "(?U)a+b", `^.*foo`, `\d+[a-z]\d+`, "é{1,3}-",
	} {
		if agree(t, src, texts...) == nil {
			t.Errorf("%q has no automaton", src)
		}
	}
}

// Expressions whose deterministic form is huge stay in bounds and in linear time,
// and are answered all the same.
func TestDFAIsBounded(t *testing.T) {
	long := strings.Repeat("ab b aaba ", 1<<13)
	for _, src := range []string{"(a|b)*a(a|b| ){25}c", "a.{200}c", "(.*a){12}c", "(?:a?){100}c", `(\w+\s)*[^ab ]`, "[ab ]{200}c", `a.*b.*a.*b.*c`} {
		t.Run(src, func(t *testing.T) {
			re := &regex{Regexp: regexp.MustCompile(src)}
			var ds dfas
			for _, text := range []string{long, long + "c", long[:1000]} {
				begin := time.Now()
				want := re.MatchString(text)
				plain := time.Since(begin)
				begin = time.Now()
				if got := ds.match(re, text); got != want {
					t.Errorf("match is %v, regexp says %v", got, want)
				}
				if took := time.Since(begin); took > 4*plain+time.Second {
					t.Errorf("took %v, regexp %v", took, plain)
				}
			}
			if d := ds.of[re].dfa; d != nil && d.size > maxDFA {
				t.Errorf("holds %d bytes", d.size)
			}
		})
	}
}

// When a dfa is full, it goes on from where it is.
func TestDFABeginsAgain(t *testing.T) {
	var b strings.Builder
	for i := range 1 << 15 { // digits lead to ever new states
		fmt.Fprintf(&b, "%b%s", i, strings.Repeat("-", 1<<9))
	}
	text := b.String()
	re := regexp.MustCompile(`1[01]{14}-[01]*2`)
	d := newDFA(newAutomaton(re.String()))
	for _, text := range []string{text, text + "1" + strings.Repeat("0", 14) + "-012"} {
		if got, ok := d.match(text); !ok || got != re.MatchString(text) {
			t.Errorf("match is %v, %v", got, ok)
		}
	}
	if d.size > maxDFA || d.fresh >= 2*len(text) {
		t.Errorf("holds %d bytes, made for %d of %d bytes", d.size, d.fresh, 2*len(text))
	}
}

// Many expressions share the memory of a Matcher.
func TestDFAsAreBounded(t *testing.T) {
	var ds dfas
	text := strings.Repeat("0123456789abcdef", 1<<9)
	for i := range 300 {
		ds.match(&regex{Regexp: regexp.MustCompile(fmt.Sprintf(`[0-7][0-9a-f]{%d}x`, 60+i))}, text)
		if ds.size > maxDFAs+maxDFA+1<<16 {
			t.Fatalf("%d bytes after %d expressions", ds.size, i)
		}
	}
	if len(ds.of) == 300 {
		t.Error("nothing was let go of")
	}
}

// What a dfa has for its own does not grow with use.
func TestDFADoesNotAllocate(t *testing.T) {
	d := newDFA(newAutomaton(`(?i)(set).*&&\s?set.*(environment|invoke).*"`))
	text := strings.Repeat("cmd /c set x && set y invo environmen", 20)
	if matched, ok := d.match(text); matched || !ok {
		t.Fatal(matched, ok)
	}
	if n := testing.AllocsPerRun(10, func() { d.match(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDFA(f *testing.F) {
	for _, src := range []string{`\w+\x60(\w+|-|.)\x60[\w+|\s]`, "(?i)(set).*&&\\s?set.*", `\s[a-f]{6}\s`, `.{10,}`, `(?m)^\s*\bk$`, `[^é]ſ\B`} {
		f.Add(src, "a`b`c set &&SET  abcdef \n k é\u212a\xff")
	}
	f.Fuzz(func(t *testing.T, src, text string) {
		if len(src) > 200 || len(text) > 2000 {
			return
		}
		if _, err := regexp.Compile(src); err != nil {
			return
		}
		agree(t, src, text, text+"\n", "x"+text, text+text)
	})
}
