package sigma

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A conformance case: see the head of testdata/conformance.txt.
type conformance struct {
	name, detection string
	line            int
	events          []conformanceEvent
	refuse          string
}

type conformanceEvent struct {
	line   int
	match  bool
	fields []Field
}

func readConformance(t *testing.T) []conformance {
	t.Helper()
	src, err := os.ReadFile("testdata/conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []conformance
	for i, line := range strings.Split(string(src), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, conformance{name: name, line: i + 1})
			continue
		}
		if len(cases) == 0 {
			continue
		}
		c := &cases[len(cases)-1]
		switch {
		case strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "- "):
			c.events = append(c.events, conformanceEvent{line: i + 1, match: line[0] == '+', fields: eventOf(t, i+1, line[2:])})
		case strings.HasPrefix(line, "! "):
			c.refuse = line[2:]
		default:
			c.detection += line + "\n"
		}
	}
	return cases
}

// eventOf reads an event written as a YAML map; a list is several values.
func eventOf(t *testing.T, line int, src string) []Field {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(src), &doc); err != nil {
		t.Fatalf("line %d: %v", line, err)
	}
	var fields []Field
	root := doc.Content[0]
	for i := 0; i < len(root.Content); i += 2 {
		values := []*yaml.Node{root.Content[i+1]}
		if values[0].Kind == yaml.SequenceNode {
			values = values[0].Content
		}
		for _, v := range values {
			kind := map[string]Kind{"!!str": String, "!!int": Number, "!!float": Number, "!!bool": Bool, "!!null": Null}[v.ShortTag()]
			f := Field{Name: root.Content[i].Value, Kind: kind, Text: v.Value}
			if kind == Null {
				f.Text = ""
			}
			fields = append(fields, f)
		}
	}
	return fields
}

// load fills a matcher with an event.
func load(m *Matcher, event []Field) {
	m.Reset()
	for _, f := range event {
		slot := -1
		for i, name := range m.set.Fields() {
			if name == f.Name {
				slot = i
			}
		}
		m.Add(slot, f.Kind, f.Text)
	}
}

func TestConformance(t *testing.T) {
	src := LogSource{Category: "test"}
	var everything []*Rule // all rules in one set must not disturb each other
	cases := readConformance(t)
	if len(cases) < 80 {
		t.Fatalf("only %d cases read", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body := c.detection
			if !strings.Contains("\n"+body, "\ncondition:") {
				body += "condition: sel\n"
			}
			text := "title: " + fmt.Sprintf("%q", c.name) + "\nlogsource: {category: test}\ndetection:\n"
			for line := range strings.Lines(body) {
				text += "  " + line
			}
			rules, err := Parse("case.yml", []byte(text))
			var set *Set
			if err == nil {
				set, err = Compile(rules)
			}
			if c.refuse != "" {
				if err == nil {
					t.Fatalf("line %d: accepted, want a refusal that says %q", c.line, c.refuse)
				}
				if !strings.Contains(err.Error(), c.refuse) {
					t.Fatalf("line %d: refused with %q, want %q in it", c.line, err, c.refuse)
				}
				if errs := Errors(err); len(errs) != 1 || errs[0].Line == 0 || errs[0].File != "case.yml" {
					t.Fatalf("line %d: error has no place: %#v", c.line, errs)
				}
				return
			}
			if err != nil {
				t.Fatalf("line %d: %v", c.line, err)
			}
			if len(c.events) == 0 {
				t.Fatalf("line %d: case has no event", c.line)
			}
			everything = append(everything, rules...)
			m := set.NewMatcher()
			for _, e := range c.events {
				load(m, e.fields)
				if got := len(m.Match(src)) == 1; got != e.match {
					t.Errorf("line %d: plan says %v", e.line, got)
				}
				if got := len(set.matchSlow(src, e.fields)) == 1; got != e.match {
					t.Errorf("line %d: plain evaluation says %v", e.line, got)
				}
			}
		})
	}
	events := 0
	for _, c := range cases {
		events += len(c.events)
	}
	t.Logf("%d cases, %d events", len(cases), events)
	set, err := Compile(everything)
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	for _, c := range cases {
		for _, e := range c.events {
			load(m, e.fields)
			got, want := fmt.Sprint(m.Match(src)), fmt.Sprint(set.matchSlow(src, e.fields))
			if got != want {
				t.Errorf("line %d: together: plan says %s, plain evaluation %s", e.line, got, want)
			}
		}
	}
}
