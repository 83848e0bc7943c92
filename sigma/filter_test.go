package sigma

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// filteredRules are the rules that testdata/filter.txt speaks of.
func filteredRules() string {
	var b strings.Builder
	sources := []string{"{product: p, category: proc}", "{product: p, category: proc}", "{product: p, category: net}", "{product: q}"}
	for i, name := range []string{"one", "two", "three", "four"} {
		fmt.Fprintf(&b, "title: rule %s\nname: %s\nid: 00000000-0000-0000-0000-00000000000%d\nlogsource: %s\ndetection: {s: {R: %d}, condition: s}\n---\n", name, name, i+1, sources[i], i+1)
	}
	return b.String()
}

// filters turns a map of filters by name into documents.
func filters(t *testing.T, src string) string {
	t.Helper()
	var doc map[string]map[string]any
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range []string{"f", "g"} {
		f := doc[name]
		if f == nil {
			continue
		}
		top := map[string]any{"title": name, "filter": f}
		if src, ok := f["logsource"]; ok {
			top["logsource"] = src
			delete(f, "logsource")
		}
		text, err := yaml.Marshal(top)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteString("---\n")
	}
	return b.String()
}

func TestFilterConformance(t *testing.T) {
	cases := readCases(t, "testdata/filter.txt")
	checks := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body, refuse := "", ""
			events := map[int]string{}
			for i, line := range c.lines {
				switch {
				case strings.HasPrefix(line, "! "):
					refuse = line[2:]
				case strings.HasPrefix(line, "{"):
					events[i] = line
				default:
					body += line + "\n"
				}
			}
			rules, err := Parse("case.yml", []byte(filteredRules()+filters(t, body)))
			set, bad := Compile(rules)
			errs := append(Errors(err), Errors(bad)...)
			checks++
			switch {
			case refuse == "" && len(errs) > 0:
				t.Fatalf("line %d: %v", c.line, errs)
			case refuse != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), refuse) || errs[0].Line < 20):
				t.Fatalf("line %d: refused with %v, want %q", c.line, errs, refuse)
			case len(set.Rules()) != 4 || len(events) == 0 && refuse == "":
				t.Fatalf("line %d: %d rules, %d events", c.line, len(set.Rules()), len(events))
			}
			m := set.NewMatcher()
			for i, line := range events {
				text, want, _ := strings.Cut(line, " =>")
				event := eventOf(t, c.line+i, text)
				checks++
				var got []string
				for rule, r := range set.Rules() {
					load(m, event)
					held := m.MatchRule(rule)
					if held {
						got = append(got, r.Name)
					}
					if plain, _ := set.Explain(rule, event); plain != held {
						t.Errorf("line %d: %s: plan says %v, plain evaluation %v", c.line+i, r.Name, held, plain)
					}
				}
				if g := strings.Join(got, " "); g != strings.TrimSpace(want) {
					t.Errorf("line %d: %q, want %q", c.line+i, g, want)
				}
			}
		})
	}
	t.Logf("%d cases, %d checks", len(cases), checks)
	if len(cases) < 15 {
		t.Errorf("only %d cases read", len(cases))
	}
}

// A filter changes what a Set does, not the rule, which other Sets may share, and
// Explain tells of it.
func TestFilterLeavesRuleAlone(t *testing.T) {
	rules, err := Parse("f.yml", []byte(filteredRules()+filters(t, "f: {logsource: {product: p}, rules: one, vip: {User: bob}, condition: vip}")))
	if err != nil {
		t.Fatal(err)
	}
	event := []Field{{"R", Number, "1"}, {"User", String, "bob"}}
	with, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	without, err := Compile(rules[:4])
	if err != nil {
		t.Fatal(err)
	}
	if with.Rules()[0] != rules[0] {
		t.Error("the rule in the set is not the one compiled")
	}
	if held, why := with.Explain(0, event); held || len(why) != 2 || why[1].Selection != `filter "f": vip` || !why[1].Held {
		t.Errorf("%v, %+v", held, why)
	}
	if held, _ := without.Explain(0, event); !held {
		t.Error("the filter stays in force without it")
	}
}

// Filters of rules that correlations use narrow the correlations as well, and a
// correlation itself cannot be filtered.
func TestFilterAndCorrelation(t *testing.T) {
	src := filteredRules() + "title: c\nname: c\ncorrelation: {type: event_count, rules: one, timespan: 1m, condition: {gte: 2}}\n---\n" +
		filters(t, "f: {logsource: {product: p}, rules: [c, one], vip: {User: bob}, condition: vip}")
	rules, err := Parse("f.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(rules)
	if errs := Errors(err); len(errs) != 1 || !strings.Contains(errs[0].Reason, `"c" is a correlation`) {
		t.Errorf("got %v", err)
	}
	m := set.NewMatcher()
	load(m, []Field{{"R", Number, "1"}, {"User", String, "bob"}})
	if m.MatchRule(0) {
		t.Error("the rule below the correlation is not filtered")
	}
}
