package app

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const goodRule = `title: Who am I
id: 11111111-1111-4111-8111-111111111111
level: high
tags: [attack.discovery, attack.t1033]
logsource: {category: process_creation, product: windows}
detection:
  sel: {Image|endswith: '\whoami.exe'}
  condition: sel
`

// A broken rule is named with its file and line, and the others are used.
func TestRulesRefused(t *testing.T) {
	folder(t, file{"rules/a_good.yml", goodRule},
		file{"rules/b_condition.yml", strings.Replace(strings.Replace(goodRule, "condition: sel", "condition: sel and", 1), "1111", "2222", 1)},
		file{"rules/c_yaml.yml", "title: [unclosed\n"},
		file{"rules/d_again.yml", goodRule},
		file{"rules/e_nameless.yml", strings.Replace(goodRule, "id: 11111111-1111-4111-8111-111111111111\n", "", 1)},
		file{"rules/a_good.test.yml", "cases: not a rule"}, file{"rules/readme.md", "not a rule"},
		file{"sysmon.json", dumping()})
	a, err := New(Options{RuleDirs: []string{"rules"}, NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.Rules() != 2 {
		t.Errorf("%d rules in use", a.Rules())
	}
	var got []string
	for _, r := range a.Refused() {
		if r.Line < 1 || r.Reason == "" {
			t.Errorf("%+v has no line or reason", r)
		}
		got = append(got, filepath.ToSlash(r.File))
	}
	if want := []string{"rules/b_condition.yml", "rules/c_yaml.yml", "rules/d_again.yml"}; !slices.Equal(got, want) {
		t.Errorf("refused %q, want %q", a.Refused(), want)
	}
	r := analyze(t, Options{RuleDirs: []string{"rules"}, NoBuiltin: true, AllAlerts: true}, "sysmon.json")
	if !slices.ContainsFunc(r.Notes, func(s string) bool { return strings.HasPrefix(s, "3 rules could not be used; the first: ") }) {
		t.Errorf("notes %q", r.Notes)
	}
	if len(r.Alerts) != 2 || r.Alerts[0].Rule.Title != "Who am I" || !strings.HasPrefix(filepath.ToSlash(r.Alerts[0].Rule.Source), "rules/") {
		t.Errorf("alerts %+v", r.Alerts)
	}
}

// Every rule and detector that is shipped is used, and known by one id.
func TestDefinitions(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Refused()) > 0 {
		t.Errorf("refused: %v", a.Refused())
	}
	seen := map[string]string{}
	for _, d := range a.Definitions() {
		if was := seen[d.Rule.ID]; d.Rule.ID == "" || was != "" || d.Rule.Title == "" || d.Rule.Source != "builtin" {
			t.Errorf("%+v, also %q", d.Rule, was)
		}
		seen[d.Rule.ID] = d.Rule.Title
	}
	if len(seen) != a.Rules()+len(detectors(nil)) {
		t.Errorf("%d definitions", len(seen))
	}
}

// A mapping that cannot be used is an error that names the file: without it the
// alerts it is for would be missed in silence.
func TestMappings(t *testing.T) {
	folder(t, file{"bad.yml", "format: csv\nnonsense: [\n"}, file{"odd.yml", "colour: green\n"})
	for _, p := range []string{"bad.yml", "odd.yml", "nowhere.yml"} {
		if _, err := New(Options{Mappings: []string{p}}); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}
