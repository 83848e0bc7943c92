package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/sigma"
)

// docsOfPack are the rules of the pack, of which none is known to alert.
func docsOfPack(t *testing.T) []*ruleDoc {
	t.Helper()
	all, err := ruleDocs(nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A page says of each rule what a person needs who was woken by it.
func TestRulePagesSayWhatIsNeeded(t *testing.T) {
	a, err := app.New(app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ruleDocs(a.List(app.RuleFilter{}))
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for _, d := range all {
		var b bytes.Buffer
		if err := writeRule(&b, d); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		want := []string{"# " + markdown(d.Title) + "\n", "**" + d.Level + "**", d.ID, "- fires on", "- not on", "## Who else does it\n\n- ", "## References\n\n- <https://", "](https://attack.mitre.org/techniques/"}
		if len(d.usedBy) > 0 {
			want = append(want, "## Scenarios with it\n\n- [")
		}
		if d.Correlation != nil {
			want = append(want, "## What it takes\n\n", link(d, d.parts[0]))
		} else {
			want = append(want, "| log source | ", "| fields | ", "filter:\n  rules: ["+d.ID+"]")
		}
		if d.line == nil {
			steps++
			want = append(want, "never by itself")
		}
		for _, w := range want {
			if !strings.Contains(text, w) && !(strings.HasPrefix(w, "](https") && !slices.ContainsFunc(d.Tags, func(tag string) bool { return strings.HasPrefix(tag, "attack.t") })) {
				t.Errorf("%s: %q is not in\n%s", d.name, w, text)
			}
		}
		if strings.Contains(text, "%!") || strings.Contains(text, "| , ") {
			t.Errorf("%s: a page with a gap:\n%s", d.name, text)
		}
		if len(text) > 8<<10 {
			t.Errorf("%s: a page of %d bytes", d.name, len(text))
		}
	}
	if steps == 0 || steps > len(all)/2 {
		t.Errorf("%d of %d rules never alert", steps, len(all))
	}
}

// The filter that a page shows takes those events away that it speaks of, and no
// other.
func TestExampleFiltersFilter(t *testing.T) {
	files := map[bool][]*sigma.Rule{}
	var of []*ruleDoc
	for _, d := range docsOfPack(t) {
		if d.Correlation != nil {
			continue
		}
		of = append(of, d)
		filter, err := sigma.Parse(d.name+".filter.yml", []byte(exampleFilter(d)))
		if err != nil || len(filter) != 1 {
			t.Fatalf("%s: %v\n%s", d.name, err, exampleFilter(d))
		}
		files[false] = append(files[false], d.Rule)
		files[true] = append(files[true], filter[0])
	}
	plain, err := sigma.Compile(files[false])
	if err != nil {
		t.Fatal(err)
	}
	again := docsOfPack(t)
	again = slices.DeleteFunc(again, func(d *ruleDoc) bool { return d.Correlation != nil })
	var both []*sigma.Rule
	for _, d := range again {
		both = append(both, d.Rule)
	}
	filtered, err := sigma.Compile(append(both, files[true]...))
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range of {
		how := tuningOf(d.LogSource)
		event := eventOf(&d.test.Fires[0].Fields)
		event = slices.DeleteFunc(event, func(f sigma.Field) bool { return f.Name == how.field })
		if held, _ := plain.Explain(i, event); !held {
			continue // the rule needs the field itself: its filter would say what the rule does
		}
		if held, _ := filtered.Explain(i, event); !held {
			t.Errorf("%s: its filter takes away what is not spoken of", d.name)
		}
		value := how.value
		if how.how == "|cidr" {
			value = "192.0.2.7"
		}
		value = map[string]string{"|contains": "a", "|endswith": "a"}[how.how] + value + map[string]string{"|contains": "a", "|startswith": "a"}[how.how]
		own := append(slices.Clone(event), sigma.Field{Name: how.field, Kind: sigma.String, Text: value})
		if held, _ := plain.Explain(i, own); !held {
			continue // the rule excuses it already
		}
		if held, _ := filtered.Explain(i, own); held {
			t.Errorf("%s: its filter does not take away %s=%s", d.name, how.field, value)
		}
	}
}

func eventOf(n *yaml.Node) []sigma.Field {
	var out []sigma.Field
	for i := 0; i+1 < len(n.Content); i += 2 {
		values := []*yaml.Node{n.Content[i+1]}
		if n.Content[i+1].Kind == yaml.SequenceNode {
			values = n.Content[i+1].Content
		}
		for _, v := range values {
			out = append(out, sigma.Field{Name: n.Content[i].Value, Kind: sigma.String, Text: v.Value})
		}
	}
	return out
}

func TestStale(t *testing.T) {
	dir := t.TempDir()
	if old, err := stale(dir, nil); err != nil || len(old) > 0 {
		t.Errorf("%q, %v", old, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "rules", "a"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rules/a/kept.md", "rules/a/gone.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := stale(dir, []page{{name: "rules/a/kept.md"}}); err != nil || !slices.Equal(old, []string{"rules/a/gone.md"}) {
		t.Errorf("%q, %v", old, err)
	}
}

func TestSpan(t *testing.T) {
	for want, d := range map[string]time.Duration{"10m": 10 * time.Minute, "1h": time.Hour, "20h": 20 * time.Hour, "1h30m": 90 * time.Minute, "45s": 45 * time.Second, "10s": 10 * time.Second, "1m30s": 90 * time.Second} {
		if got := span(d); got != want {
			t.Errorf("%s is written %q", want, got)
		}
	}
}

func TestMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"a_b *c* [d](e)": `a\_b \*c\* \[d\](e)`, "a|b <c>": `a\|b &lt;c>`, "# `x`": "\\# \\`x\\`", "C:\\x\n": `C:\\x`,
	} {
		if got := markdown(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"a": "`a`", "a`b": "`` a`b ``", "a|b": "`a\\|b`", "``": "``` `` ```"} {
		if got := code(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
