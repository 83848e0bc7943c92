package rules_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
	"go.yaml.in/yaml/v3"
)

// minimum is how many rules the pack holds at least; a file lost from the build
// would otherwise go unnoticed.
const minimum = 180

// pack is the whole pack, compiled as the program compiles it.
type pack struct {
	set   *sigma.Set
	index map[string]int // rule file to its place in set.Rules()
	slots map[string]int // field to slot
}

func load(t *testing.T) pack {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var all []*sigma.Rule
	for _, f := range files {
		parsed, err := sigma.Parse(f.Path, f.Source)
		if err != nil {
			t.Fatal(err)
		}
		if len(parsed) != 1 {
			t.Fatalf("%s: %d rules in the file, want 1", f.Path, len(parsed))
		}
		all = append(all, parsed[0])
	}
	set, err := sigma.Compile(all)
	if err != nil {
		t.Fatal(err)
	}
	p := pack{set: set, index: map[string]int{}, slots: map[string]int{}}
	for i, r := range set.Rules() {
		p.index[r.File] = i
	}
	for i, f := range set.Fields() {
		p.slots[f] = i
	}
	return p
}

// event is one event of a test. Without a source it has the rule's own.
type event struct {
	Source *struct{ Product, Category, Service string } `yaml:"source"`
	Fields yaml.Node                                    `yaml:"fields"`
}

type ruleTest struct {
	Fires []event `yaml:"fires"`
	Quiet []event `yaml:"quiet"`
}

// fires tells whether rule matches e, and the names of e's fields.
func (p pack) fires(m *sigma.Matcher, rule int, e event) (bool, []string, error) {
	src := p.set.Rules()[rule].LogSource
	if e.Source != nil {
		src = sigma.LogSource{Product: e.Source.Product, Category: e.Source.Category, Service: e.Source.Service}
	}
	if !p.set.Applies(rule, src) {
		return false, nil, fmt.Errorf("the rule does not apply to log source %v, so this event shows nothing", src)
	}
	if e.Fields.Kind != yaml.MappingNode || len(e.Fields.Content) == 0 {
		return false, nil, fmt.Errorf("line %d: fields must be a mapping", e.Fields.Line)
	}
	m.Reset()
	var names []string
	for i := 0; i+1 < len(e.Fields.Content); i += 2 {
		name, value := e.Fields.Content[i].Value, e.Fields.Content[i+1]
		names = append(names, name)
		slot, known := p.slots[name]
		if !known {
			slot = -1
		}
		values := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			values = value.Content
		}
		for _, v := range values {
			if v.Kind != yaml.ScalarNode {
				return false, nil, fmt.Errorf("line %d: field %s must be a value or a list of values", v.Line, name)
			}
			kind, text := scalar(v)
			m.Add(slot, kind, text)
		}
	}
	return slices.Contains(m.Match(src), rule), names, nil
}

func scalar(n *yaml.Node) (sigma.Kind, string) {
	switch n.Tag {
	case "!!int", "!!float":
		return sigma.Number, n.Value
	case "!!bool":
		return sigma.Bool, n.Value
	case "!!null":
		return sigma.Null, ""
	default:
		return sigma.String, n.Value
	}
}

// TestRulesFireAndKeepQuiet runs every rule's test: each of its firing events
// must match, no quiet one may, and there is at least one of both. A quiet event
// must be one the rule looks at and share a field with a firing one, so that it
// is a near miss and not merely something else.
func TestRulesFireAndKeepQuiet(t *testing.T) {
	p := load(t)
	m := p.set.NewMatcher()
	tests, err := rules.Tests()
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, f := range tests {
		file := strings.TrimSuffix(f.Path, ".test.yml") + ".yml"
		rule, ok := p.index[file]
		if !ok {
			t.Errorf("%s: there is no rule %s", f.Path, file)
			continue
		}
		tested[file] = true
		t.Run(strings.TrimSuffix(file, ".yml"), func(t *testing.T) {
			var rt ruleTest
			if err := yaml.Unmarshal(f.Source, &rt); err != nil {
				t.Fatal(err)
			}
			if len(rt.Fires) == 0 || len(rt.Quiet) == 0 {
				t.Fatal("needs at least one event under fires and one under quiet")
			}
			firing := map[string]bool{}
			for i, e := range rt.Fires {
				got, names, err := p.fires(m, rule, e)
				switch {
				case err != nil:
					t.Errorf("fires[%d]: %v", i, err)
				case !got:
					t.Errorf("fires[%d]: did not match", i)
				}
				for _, n := range names {
					firing[n] = true
				}
			}
			for i, e := range rt.Quiet {
				got, names, err := p.fires(m, rule, e)
				switch {
				case err != nil:
					t.Errorf("quiet[%d]: %v", i, err)
				case got:
					t.Errorf("quiet[%d]: matched", i)
				case !slices.ContainsFunc(names, func(n string) bool { return firing[n] }):
					t.Errorf("quiet[%d]: shares no field with a firing event, so it is no near miss", i)
				}
			}
		})
	}
	for file := range p.index {
		if !tested[file] {
			t.Errorf("%s: has no test", file)
		}
	}
}

// TestRulesAreWellFormed holds what every rule of the pack must say about itself.
func TestRulesAreWellFormed(t *testing.T) {
	p := load(t)
	if n := len(p.set.Rules()); n < minimum {
		t.Errorf("the pack has %d rules, want at least %d", n, minimum)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	ids, titles := map[string]string{}, map[string]string{}
	for _, r := range p.set.Rules() {
		complain := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s: %s", r.File, fmt.Sprintf(format, args...))
		}
		if !uuid.MatchString(r.ID) {
			complain("id %q is no UUID", r.ID)
		}
		if other := ids[r.ID]; other != "" {
			complain("has the id of %s", other)
		}
		ids[r.ID] = r.File
		if other := titles[r.Title]; r.Title == "" || other != "" {
			complain("title %q is empty or that of %s", r.Title, other)
		}
		titles[r.Title] = r.File
		if r.Status != "stable" && r.Status != "test" {
			complain("status is %q, want stable or test", r.Status)
		}
		if !slices.Contains([]string{"informational", "low", "medium", "high", "critical"}, r.Level) {
			complain("level is %q", r.Level)
		}
		if r.Author == "" || strings.TrimSpace(r.Description) == "" || len(r.FalsePositives) == 0 {
			complain("needs an author, a description and false positives")
		}
		if len(r.References) == 0 {
			complain("needs a reference")
		}
		for _, ref := range r.References {
			if !strings.HasPrefix(ref, "https://") {
				complain("reference %q is no https address", ref)
			}
		}
		if len(r.Placeholders) > 0 {
			complain("has placeholders %v, which nothing fills in", r.Placeholders)
		}
		if r.LogSource.Product == "" {
			complain("names no product")
		}
		for _, problem := range tagProblems(r.Tags) {
			complain("%s", problem)
		}
	}
}

// tagProblems says what is wrong with a rule's ATT&CK tags: every tag is a tactic
// or a technique of the current version, there is a tactic, and each technique
// serves one of the tactics named.
func tagProblems(tags []string) []string {
	var problems []string
	var tactics, techniques []string
	known := map[string]bool{}
	for _, t := range knowledge.Tactics() {
		known[t.ShortName] = true
	}
	for _, tag := range tags {
		name, ok := strings.CutPrefix(tag, "attack.")
		switch id := strings.ToUpper(name); {
		case !ok:
			problems = append(problems, fmt.Sprintf("tag %q is not of ATT&CK", tag))
		case known[name]:
			tactics = append(tactics, name)
		default:
			now, ok := knowledge.Resolve(id)
			if !ok || now != id {
				problems = append(problems, fmt.Sprintf("tag %q is no tactic or technique of ATT&CK v19 (now %q)", tag, now))
				continue
			}
			techniques = append(techniques, id)
		}
	}
	if len(tactics) == 0 {
		problems = append(problems, "has no tactic tag")
	}
	for _, id := range techniques {
		serves := knowledge.TacticsOf(id)
		if !slices.ContainsFunc(tactics, func(t string) bool { return slices.Contains(serves, t) }) {
			problems = append(problems, fmt.Sprintf("technique %s serves %v, none of which is tagged", id, serves))
		}
	}
	return problems
}

func TestTagProblems(t *testing.T) {
	for tags, want := range map[string]int{
		"attack.credential-access attack.t1003.001": 0,
		"attack.t1003.001":                          2, // no tactic, and so none that it serves
		"attack.defense-evasion attack.t1562.001":   3, // both of v18, and no tactic of v19
		"attack.impact attack.t1003.001":            1,
		"attack.impact cve.2021.44228":              1,
	} {
		if got := tagProblems(strings.Fields(tags)); len(got) != want {
			t.Errorf("%s: %d problems %q, want %d", tags, len(got), got, want)
		}
	}
}
