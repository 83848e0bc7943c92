package sigma

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// A textCase is one case of a file of examples.
type textCase struct {
	name  string
	line  int // of its first line
	lines []string
}

func readCases(t *testing.T, file string) []textCase {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []textCase
	for i, line := range strings.Split(strings.TrimRight(string(src), "\n"), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, textCase{name: name, line: i + 2})
		} else if len(cases) > 0 {
			c := &cases[len(cases)-1]
			c.lines = append(c.lines, line)
		}
	}
	return cases
}

// baseRules are four rules that match events with R: a, b, c and d.
func baseRules() string {
	var b strings.Builder
	for _, name := range []string{"a", "b", "c", "d"} {
		fmt.Fprintf(&b, "title: rule %s\nname: %s\nid: 00000000-0000-0000-0000-00000000000%s\nlogsource: {category: test}\ndetection: {s: {R: %s}, condition: s}\n---\n", name, name, name, name)
	}
	return b.String()
}

// correlations turns a map of correlations by name into documents.
func correlations(t *testing.T, src string) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	root := doc.Content[0]
	for i := 0; i < len(root.Content); i += 2 {
		body, err := yaml.Marshal(map[string]*yaml.Node{"correlation": root.Content[i+1]})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "title: %s\nname: %s\n%s---\n", root.Content[i].Value, root.Content[i].Value, body)
	}
	return b.String()
}

func getter(event []Field) func(string) []string {
	return func(name string) []string {
		var out []string
		for _, f := range event {
			if f.Name == name && f.Kind != Null {
				out = append(out, f.Text)
			}
		}
		return out
	}
}

// second is a time of the examples.
func second(s int64) time.Time { return time.Unix(1_700_000_000+s, 0) }

func TestCorrelationConformance(t *testing.T) {
	cases := readCases(t, "testdata/correlation.txt")
	checks := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body, refuse := "", ""
			var events []int // line numbers
			for i, line := range c.lines {
				switch {
				case strings.HasPrefix(line, "! "):
					refuse = line[2:]
				case line != "" && line[0] >= '0' && line[0] <= '9':
					events = append(events, i)
				default:
					body += line + "\n"
				}
			}
			src := baseRules() + correlations(t, body)
			rules, err := Parse("case.yml", []byte(src))
			set, bad := Compile(rules)
			errs := append(Errors(err), Errors(bad)...)
			if refuse != "" {
				checks++
				if len(errs) == 0 || !slices.ContainsFunc(errs, func(e *Error) bool { return strings.Contains(e.Error(), refuse) && e.Line > 0 }) {
					t.Fatalf("line %d: refused with %v, want %q", c.line, errs, refuse)
				}
				for _, r := range set.Rules() {
					if r.Correlation != nil {
						t.Errorf("line %d: %s is in the set", c.line, r.Name)
					}
				}
				return
			}
			if len(errs) > 0 || len(events) == 0 {
				t.Fatalf("line %d: %v, %d events", c.line, errs, len(events))
			}
			m, cor := set.NewMatcher(), NewCorrelator(set, CorrelatorOptions{})
			for n, i := range events {
				text, want, _ := strings.Cut(c.lines[i], " => ")
				sec, fields, _ := strings.Cut(text, " ")
				at, err := strconv.ParseInt(sec, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				event := eventOf(t, c.line+i, fields)
				load(m, event)
				var got []string
				for _, r := range slices.Clone(m.Match(LogSource{Category: "test"})) {
					for _, x := range cor.Add(Event{Rule: r, Time: second(at), ID: strconv.Itoa(n + 1), Fields: getter(event)}) {
						more := ""
						if !x.First {
							more = "+"
						}
						got = append(got, fmt.Sprintf("%s%s %v %s", set.Rules()[x.Rule].Name, more, x.Value, strings.Join(x.Events, ",")))
					}
				}
				checks++
				if g := strings.Join(got, "; "); g != strings.TrimSpace(want) {
					t.Errorf("line %d: %q, want %q", c.line+i, g, want)
				}
			}
		})
	}
	t.Logf("%d cases, %d checks", len(cases), checks)
	if len(cases) < 50 {
		t.Errorf("only %d cases read", len(cases))
	}
}

func compileText(t testing.TB, src string) *Set {
	t.Helper()
	rules, err := Parse("test.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestGenerates(t *testing.T) {
	set := compileText(t, baseRules()+correlations(t, `
quiet: {type: event_count, rules: [a, b], timespan: 1m, condition: {gte: 2}}
loud: {type: event_count, rules: [b, c], timespan: 1m, condition: {gte: 2}, generate: true}
top: {type: event_count, rules: [quiet], timespan: 1m, condition: {gte: 2}}
`))
	want := map[string][2]bool{ // alerts, is correlated
		"a": {false, true}, "b": {true, true}, "c": {true, true}, "d": {true, false},
		"quiet": {false, true}, "loud": {true, false}, "top": {true, false},
	}
	for i, r := range set.Rules() {
		if got := [2]bool{set.Generates(i), set.Correlated(i)}; got != want[r.Name] {
			t.Errorf("%s: %v, want %v", r.Name, got, want[r.Name])
		}
		if r.Correlation != nil && set.Applies(i, LogSource{Category: "test"}) {
			t.Errorf("the correlation %s applies to events", r.Name)
		}
	}
}

// What refers to a refused correlation is refused as well; the rules below alert
// by themselves then.
func TestRefusedCorrelation(t *testing.T) {
	rules, err := Parse("f.yml", []byte(baseRules()+correlations(t, `
low: {type: event_count, rules: [a, nothing], timespan: 1m, condition: {gte: 2}}
top: {type: temporal, rules: [low, b], timespan: 1m}
good: {type: temporal, rules: [c, d], timespan: 1m}
`)))
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(rules)
	errs := Errors(err)
	if len(errs) != 2 || !strings.Contains(errs[1].Reason, `"low" is refused`) || errs[1].File != "f.yml" || errs[1].Line == 0 {
		t.Errorf("got %v", errs)
	}
	if n := len(set.Rules()); n != 5 || set.Rules()[4].Name != "good" || !set.Generates(0) || !set.Generates(1) || set.Generates(2) {
		t.Errorf("%d rules", n)
	}
	cor := NewCorrelator(set, CorrelatorOptions{})
	cor.Add(Event{Rule: 2, Time: second(0), ID: "1"})
	if m := cor.Add(Event{Rule: 3, Time: second(1), ID: "2"}); len(m) != 1 || m[0].Rule != 4 {
		t.Errorf("got %+v", m)
	}
}
