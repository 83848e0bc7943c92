package sigma

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const exampleRule = `title: Example
id: 11111111-2222-3333-4444-555555555555
status: test
level: high
tags: [attack.t1059]
logsource: {product: windows, category: process_creation}
detection:
  sel:
    Image|endswith: ['\cmd.exe', '\powershell.exe']
    CommandLine|contains|all: [' -enc', 'http']
  filter: {User: null}
  words: ['one', 'two']
  condition: sel and not filter or words
`

func FuzzParse(f *testing.F) {
	f.Add([]byte(exampleRule))
	f.Add([]byte(exampleRule + "---\n" + exampleRule))
	f.Add([]byte("title: a\ncorrelation: {type: event_count}\n---\ntitle: b\nfilter: {}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("---\n---\n"))
	f.Add([]byte("title: x\nlogsource: {category: c}\ndetection: {s: {F|re: '(a+)+$'}, condition: s}\n"))
	f.Add([]byte("title: x\nlogsource: {category: c}\ndetection: {s: {F|windash|base64offset|contains: '-a /b'}, condition: s}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		rules, err := Parse("f.yml", src)
		for _, e := range Errors(err) {
			if e.File != "f.yml" || e.Reason == "" || !utf8.ValidString(e.Error()) {
				t.Fatalf("bad error %#v", e)
			}
		}
		set, _ := Compile(rules)
		m := set.NewMatcher()
		event := []Field{{"F", String, "some -enc Text 12"}, {"Image", String, `C:\cmd.exe`}, {"N", Null, ""}}
		for i, r := range set.Rules() {
			if r.Correlation != nil {
				continue
			}
			load(m, event)
			got := slices.Contains(m.Match(r.LogSource), i)
			if want, _ := set.Explain(i, event); got != want {
				t.Fatalf("plan says %v, plain evaluation %v", got, want)
			}
		}
	})
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{"a", "a and not b or c1", "1 of c*", "all of them", "((a))", "not (a or b)", "2 of c*", "a | count() > 1", "1 of", "of of of", ")("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		var sel []*expr
		for _, name := range []string{"a", "b", "c1", "c2", "c3", "_d"} {
			kid := leaf(test{op: testNumber, field: name, text: "1"})
			sel = append(sel, &expr{op: exprAnd, kids: []*expr{kid}, name: name})
		}
		e, err := parseCondition(src, sel)
		if err != nil {
			return
		}
		if len(src) < 2000 {
			// The same condition in needless parentheses and other spaces means the same.
			again, err := parseCondition("(\t"+src+"\n)", sel)
			if err != nil {
				t.Fatalf("%q in parentheses: %v", src, err)
			}
			for bits := range 64 {
				var event []Field
				for i, s := range sel {
					if bits>>i&1 == 1 {
						event = append(event, Field{s.name, Number, "1"})
					}
				}
				if e.matchEvent(event) != again.matchEvent(event) {
					t.Fatalf("%q differs in parentheses on %v", src, event)
				}
			}
		}
	})
}

// generator makes random rules and events from so few letters that they meet.
type generator struct{ *rand.Rand }

func (g generator) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g generator) text() string {
	var b strings.Builder
	for range g.IntN(7) {
		b.WriteString(g.pick("a", "b", "A", "B", " ", "-a", "/b", `\`, "é", "É", "K", "\u212a", "ß", "ſ", "s", "1", "0", "."))
	}
	return b.String()
}

func (g generator) value() string {
	switch g.IntN(12) {
	case 0:
		return "null"
	case 1:
		return fmt.Sprint(g.IntN(12))
	case 2:
		return g.pick("true", "1.5", "0x1f", "-1")
	}
	s := g.text()
	if g.IntN(3) == 0 {
		s += g.pick("*", "?", `\*`, `\\*`, "**", "?*") + g.text()
	}
	if g.IntN(8) == 0 {
		s = strings.Repeat(s, 12) + g.text()
	}
	return "'" + s + "'"
}

func (g generator) item() string {
	field := g.pick("F", "G", "H")
	switch g.IntN(20) {
	case 0:
		return field + "|exists: " + g.pick("true", "false")
	case 1:
		return field + "|fieldref" + g.pick("", "|contains", "|endswith", "|startswith", "|cased") + ": " + g.pick("F", "G", "H")
	case 2:
		return field + "|" + g.pick("gt", "gte", "lt", "lte") + ": " + fmt.Sprint(g.IntN(12))
	case 3:
		return field + "|re" + g.pick("", "|i") + ": '" + g.pick("a+b", "^a", "b$", "(a|b)é", "k?s", "[0-9]{2}", "a.b", "(?:ab|ba)+", "É") + "'"
	case 4:
		return field + "|cidr: " + g.pick("10.0.0.0/8", "0.0.0.0/0", "'::/0'")
	}
	key := field + g.pick("", "|contains", "|startswith", "|endswith", "|contains|windash", "|base64offset|contains", "|base64")
	value := g.value()
	if strings.Contains(key, "|") {
		value = "'" + g.text() + g.text() + "'"
	}
	key += g.pick("", "", "", "|cased")
	if g.IntN(3) == 0 {
		key += g.pick("", "|all", "|neq")
		second := g.value()
		if second == "null" || strings.Contains(key, "base64") {
			second = "'b'"
		}
		value = "[" + value + ", " + second + "]"
	}
	return key + ": " + value
}

func (g generator) rule() string {
	var b strings.Builder
	fmt.Fprintf(&b, "title: t\nlogsource: {category: %s}\ndetection:\n", g.pick("c", "d"))
	names := []string{"s1", "s2", "t1", "_u"}
	for _, n := range names {
		switch g.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "  %s:\n    - '%s'\n    - %s\n", n, g.text(), g.pick("'a'", "7", "'*b*'"))
		case 1:
			fmt.Fprintf(&b, "  %s:\n    - {%s}\n    - {%s}\n", n, g.item(), g.item())
		default:
			fmt.Fprintf(&b, "  %s:\n    %s\n", n, g.item())
			if next := g.item(); g.IntN(2) == 0 {
				fmt.Fprintf(&b, "    %s\n", next)
			}
		}
	}
	fmt.Fprintf(&b, "  condition: %s\n", g.condition(3))
	return b.String()
}

func (g generator) condition(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		return g.pick("s1", "s2", "t1", "_u", "1 of s*", "all of s*", "all of them", "1 of them", "2 of them")
	}
	switch g.IntN(4) {
	case 0:
		return "not (" + g.condition(depth-1) + ")"
	case 1:
		return g.condition(depth-1) + " or " + g.condition(depth-1)
	case 2:
		return "(" + g.condition(depth-1) + ")"
	}
	return g.condition(depth-1) + " and " + g.condition(depth-1)
}

func (g generator) event() []Field {
	var fields []Field
	for _, name := range []string{"F", "G", "H", "X"} {
		for range g.IntN(3) {
			f := Field{name, String, g.text()}
			switch g.IntN(10) {
			case 0:
				f = Field{name, Null, ""}
			case 1:
				f = Field{name, Number, fmt.Sprint(g.IntN(12))}
			case 2:
				f.Text = g.pick("10.1.2.3", "::1", "01", "1.50", "0x1F", "YWI=", "\xff\xfea", strings.Repeat("aB", 40))
			case 3:
				f.Text = strings.Repeat(f.Text, 12) + g.text()
			}
			fields = append(fields, f)
		}
	}
	return fields
}

// compare makes a set of random rules and checks the plan against the plain
// meaning on random events. It returns how many matches there were.
func compare(t *testing.T, seed uint64) (refused, matches int) {
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	var rules []*Rule
	for range 12 {
		rs, err := Parse("r.yml", []byte(g.rule()))
		if err != nil {
			refused++
		}
		rules = append(rules, rs...)
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	for range 30 {
		event := g.event()
		src := LogSource{Category: g.pick("c", "d", "e")}
		load(m, event)
		got, want := m.Match(src), set.matchSlow(src, event)
		matches += len(want)
		if !slices.Equal(got, want) {
			for i, r := range set.rules {
				if slices.Contains(got, i) != slices.Contains(want, i) {
					t.Errorf("seed %d: rule %d, plain evaluation says %v: %v", seed, i, slices.Contains(want, i), r.Conditions)
					_, why := set.Explain(i, event)
					t.Errorf("%+v", why)
				}
			}
			t.Fatalf("seed %d: event %q", seed, event)
		}
	}
	return refused, matches
}

// FuzzMatch checks the plan against the plain meaning of rules.
func FuzzMatch(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { compare(t, seed) })
}

func TestMatchAgainstPlainMeaning(t *testing.T) {
	refused, matches := 0, 0
	for seed := range uint64(300) {
		r, m := compare(t, seed)
		refused, matches = refused+r, matches+m
	}
	t.Logf("300 sets of 12 rules, %d rules refused, %d matches", refused, matches)
	if refused > 1200 || matches < 5000 {
		t.Error("the random rules are too often refused, or too seldom match, to show anything")
	}
}

// FuzzPattern checks globs against regular expressions made from them.
func FuzzPattern(f *testing.F) {
	f.Add(`a*b?c`, "aXbYc")
	f.Add(`*\\*`, `a\b`)
	f.Add(`ß*K`, "ẞ\u212a")
	f.Fuzz(func(t *testing.T, src, text string) {
		if len(src) > 40 || !utf8.ValidString(src) || strings.ContainsRune(src, utf8.RuneError) {
			return // a regular expression takes bytes that are no characters for U+FFFD
		}
		p := parsePattern(src)
		if again := parsePattern(p.String()); again != p {
			t.Fatalf("%q is rendered as %q, which reads as %q", src, p.String(), again)
		}
		want := globRegexp(p).MatchString(text)
		if got := pattern(fold(string(p))).match(text, false); got != want {
			t.Fatalf("%q on %q: %v", src, text, got)
		}
	})
}

// FuzzCorrelation compiles what is written below "correlation" and feeds it.
func FuzzCorrelation(f *testing.F) {
	cases, err := os.ReadFile("testdata/correlation.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(cases), "\n== ")[1:] {
		_, body, _ := strings.Cut(c, "\n")
		_, body, _ = strings.Cut(body, "\n")
		f.Add(body)
	}
	f.Add("  type: event_count\n  rules: [a, b, x]\n  timespan: 1s\n  group-by: [R, S]\n  condition: {gte: 1}\n")
	f.Fuzz(func(t *testing.T, body string) {
		if !utf8.ValidString(body) || len(body) > 4000 {
			return
		}
		src := baseRules() + "title: x\nname: x\ncorrelation:\n" + body + "\n---\ntitle: y\nname: y\ncorrelation: {type: temporal, rules: [x, a], timespan: 1m, group-by: R}\n"
		rules, err := Parse("f.yml", []byte(src))
		set, bad := Compile(rules)
		for _, e := range append(Errors(err), Errors(bad)...) {
			if e.File != "f.yml" || e.Reason == "" || e.Line == 0 || !utf8.ValidString(e.Error()) {
				t.Fatalf("bad error %#v", e)
			}
		}
		cor := NewCorrelator(set, CorrelatorOptions{MaxGroups: 20, MaxEvents: 50, MaxIDs: 5})
		fields := getter([]Field{{"R", String, "a"}, {"R", String, "b"}, {"User", String, "u"}, {"N", Number, "1.5"}, {"Host", String, ""}})
		for i := range 40 {
			for _, m := range cor.Add(Event{Rule: i % len(set.Rules()), Time: second(int64(i * 7 % 60)), ID: fmt.Sprint(i % 30), Fields: fields}) {
				if set.Rules()[m.Rule].Correlation == nil || m.Start.After(m.Time) || len(m.Events) > 5*maxReferences || math.IsNaN(m.Value) {
					t.Fatalf("bad match %+v", m)
				}
			}
			if s := cor.Stats(); s.Groups > 20 || s.Events < s.Groups || s.Events > 50 && s.Groups > 1 {
				t.Fatalf("bounds are not kept: %+v", s)
			}
		}
	})
}

// FuzzPipeline applies a pipeline to rules of all kinds.
func FuzzPipeline(f *testing.F) {
	cases, err := os.ReadFile("testdata/pipeline.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(cases), "\n== ")[1:] {
		_, body, _ := strings.Cut(c, "\n")
		body, _, _ = strings.Cut(body, "\nrule:")
		body, _, _ = strings.Cut(body, "\n! ")
		f.Add([]byte(body))
	}
	src := exampleRule + "---\n" + pipelineRule("  sel:\n    - A|expand: 'x%admins%'\n      B|contains: ['C:\\a', 'b']\n    - Hashes: 'MD5=987b65cd9b9f4e9a1afd8f8b48cf64a7'\n      C|re: '^a'\n") +
		"---\ntitle: f\nlogsource: {product: windows}\nfilter: {rules: any, s: {User|startswith: adm}, condition: not s}\n" +
		"---\ntitle: c\ncorrelation: {type: event_count, rules: a, group-by: User, timespan: 1m, condition: {gte: 2}}\n"
	rules, err := Parse("r.yml", []byte(src))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParsePipeline("p.yml", src)
		if err != nil {
			if e := Errors(err); len(e) != 1 || e[0].File != "p.yml" || e[0].Reason == "" || !utf8.ValidString(e[0].Error()) {
				t.Fatalf("bad error %#v", err)
			}
			return
		}
		p.SetVar("admins", "bob", "al*")
		for _, r := range rules {
			once, err := p.Apply(r)
			if err != nil {
				if e := Errors(err); len(e) != 1 || e[0].File != "r.yml" || e[0].Reason == "" || !utf8.ValidString(e[0].Error()) {
					t.Fatalf("bad error %#v", err)
				}
				continue
			}
			again, err := p.Apply(r)
			if err != nil || fmt.Sprint(again.Fields, again.LogSource, again.Conditions, again.Placeholders) != fmt.Sprint(once.Fields, once.LogSource, once.Conditions, once.Placeholders) {
				t.Fatalf("the second time it is different: %v", err)
			}
			_, _ = Compile([]*Rule{once})
		}
	})
}
