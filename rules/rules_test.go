package rules_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
	"go.yaml.in/yaml/v3"
)

// minimum is how many rules the pack holds at least; a file lost from the build
// would otherwise go unnoticed.
const minimum = 960

// pack is the whole pack, compiled as the program compiles it.
type pack struct {
	set   *sigma.Set
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
	p := pack{set: set, slots: map[string]int{}}
	for i, f := range set.Fields() {
		p.slots[f] = i
	}
	return p
}

// TestRulesPassTheirTests runs every rule's test as "catena rules test" does, for
// one rule: -run 'TestRulesPassTheirTests/windows/example'.
func TestRulesPassTheirTests(t *testing.T) {
	res, err := app.TestRules(t.Context(), app.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Rules < minimum {
		t.Errorf("%d rules are tested, want at least %d", res.Rules, minimum)
	}
	for _, r := range res.Results {
		name := strings.TrimSuffix(strings.TrimPrefix(r.File, "rules/"), ".yml")
		t.Run(name, func(t *testing.T) {
			if r.Status == app.TestPassed {
				return
			}
			var b strings.Builder
			one := app.RuleTests{Results: []app.RuleTest{r}}
			if err := one.WriteText(&b, false, true); err != nil {
				t.Fatal(err)
			}
			t.Error(b.String())
		})
	}
}

// TestQuietEventsAreNearMisses wants of every rule an event that must match and
// one that must not, and that each of the latter shares a field with one of the
// former: a near miss, and not merely something else.
func TestQuietEventsAreNearMisses(t *testing.T) {
	tests, err := rules.Tests()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tests {
		var rt struct {
			Fires, Quiet []struct {
				Fields map[string]any `yaml:"fields"`
			}
		}
		if err := yaml.Unmarshal(f.Source, &rt); err != nil {
			t.Errorf("%s: %v", f.Path, err)
			continue
		}
		if len(rt.Fires) == 0 || len(rt.Quiet) == 0 {
			t.Errorf("%s: needs at least one event under fires and one under quiet", f.Path)
		}
		firing := map[string]bool{}
		for _, e := range rt.Fires {
			for name := range e.Fields {
				firing[name] = true
			}
		}
		for i, e := range rt.Quiet {
			near := e.Fields == nil // a record or a stream: its fields are not written out
			for name := range e.Fields {
				near = near || firing[name]
			}
			if !near {
				t.Errorf("%s: quiet[%d]: shares no field with a firing event, so it is no near miss", f.Path, i)
			}
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
		if r.Correlation == nil && r.LogSource.Product == "" && r.LogSource.Category == "" {
			complain("names neither product nor category")
		}
		if c := r.Correlation; c != nil && c.Expression != "" {
			for _, ref := range c.Rules {
				if uuid.MatchString(ref) && strings.Contains(c.Expression, ref) {
					complain("its condition speaks of %s by id, where Sigma wants a name", ref)
				}
			}
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

// TestScenariosSilenceNothing wants every rule to alert by itself that is worth an
// alert: a rule that only correlations without "generate" refer to is silent, which
// is what the steps of scenarios are for, and nothing else.
func TestScenariosSilenceNothing(t *testing.T) {
	p := load(t)
	for i, r := range p.set.Rules() {
		step := strings.HasPrefix(r.File, "scenarios/") && r.Level == "informational"
		if alerts := p.set.Generates(i); alerts == step {
			t.Errorf("%s (%s): alerts by itself: %v", r.File, r.Level, alerts)
		}
	}
}
