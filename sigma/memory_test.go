package sigma

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Texts that take each other's place in memory are each told right every time, and
// so are the same texts of other fields and of other rules' log sources.
func TestMemoryForgets(t *testing.T) {
	var rules []*Rule
	for _, src := range []string{"{category: c}", "{category: c, service: s}"} {
		for _, field := range []string{"F", "G"} {
			rs, err := Parse("f.yml", fmt.Appendf(nil, "title: t\nlogsource: %s\ndetection: {s: {%s|re: '^7+[0-9]*3$'}, condition: s}\n", src, field))
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, rs...)
		}
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	check := func(f, g string) {
		t.Helper()
		load(m, []Field{{"F", String, f}, {"G", String, g}})
		var want []int
		for i, text := range []string{f, g, f, g} {
			if text[0] == '7' && text[len(text)-1] == '3' {
				want = append(want, i)
			}
		}
		if got := m.Match(LogSource{Category: "c", Service: "s"}); !slices.Equal(got, want) {
			t.Fatalf("F=%s G=%s: rules %v, want %v", f, g, got, want)
		}
	}
	check("73", "74")
	// As many texts as there are places: a third of them must share one.
	for range 2 {
		for i := range memorySize {
			check(fmt.Sprintf("7%d", i), fmt.Sprintf("7%d", i*7))
		}
	}
}

// What a Matcher remembers is bounded whatever the events are.
func TestMemoryIsBounded(t *testing.T) {
	set := oneField(t, "F|contains: abc")
	m := set.NewMatcher()
	for i := range 3 * memorySize {
		load(m, []Field{{"F", String, fmt.Sprint(i) + strings.Repeat("abc", i%1000)}})
		m.Match(LogSource{Category: "c"})
	}
	bytes := 0
	for i := range m.memory.place {
		r := &m.memory.place[i]
		if len(r.text) > maxRemembered || len(r.hits) > 1 {
			t.Fatalf("%d bytes, %d hits in one place", len(r.text), len(r.hits))
		}
		bytes += cap(r.text)
	}
	if bytes > 2*memorySize*maxRemembered {
		t.Errorf("%d bytes remembered", bytes)
	}
}

// Keywords are looked for in all values together, and never found across two.
func TestKeywordsStayInOneValue(t *testing.T) {
	var rules []*Rule
	for _, words := range []string{`'ab'`, `"a\0b"`, `"\0"`, `'|re': 'a.?b'`, `'|startswith': 'B'`, `'|endswith': 'É'`} {
		item := "[" + words + "]"
		if strings.Contains(words, ": ") {
			item = "{" + words + "}"
		}
		rs, err := Parse("f.yml", []byte(head+"detection: {s: "+item+", condition: s}\n"))
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, rs...)
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	src := LogSource{Category: "c"}
	for _, event := range [][]Field{
		nil, {{"F", Null, ""}}, {{"F", String, ""}}, {{"F", String, "xa"}, {"G", String, "by"}}, {{"F", String, "xAB"}},
		{{"F", String, "a\x00b"}}, {{"F", String, "\x00"}}, {{"F", String, "é"}, {"G", String, "Ab"}}, {{"F", String, "aé"}, {"G", String, "b"}}, {{"X", String, "long enough"}, {"Y", String, "é and more"}},
	} {
		load(m, event)
		if got, want := m.Match(src), set.matchSlow(src, event); !slices.Equal(got, want) {
			t.Errorf("%q: rules %v, want %v", event, got, want)
		}
	}
}
