package app

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// variant is a rule made of cleanRule with another id.
func variant(n int, replace ...string) string {
	return strings.NewReplacer(append(replace, "1111", fmt.Sprintf("%04d", n))...).Replace(cleanRule)
}

func TestCoverage(t *testing.T) {
	folder(t, file{"rules/a.yml", cleanRule},
		file{"rules/b.yml", variant(2, "category: process_creation, product: windows", "product: windows, service: security", `Image|endswith: '\whoami.exe'`, "EventID: [4624, 4625]")},
		file{"rules/c.yml", variant(3, "category: process_creation, product: windows", "product: windows, service: security", `Image|endswith: '\whoami.exe'`, "EventID: [4624, 5145]")},
		file{"rules/d.yml", variant(4, "title: Who am I", "title: xyz", "tags: [attack.discovery, attack.t1033]\n", "")},
		file{"rules/e.yml", variant(5, "attack.discovery, ", "", "title:", "name: base\ntitle:")},
		file{"rules/f.yml", "title: many\nid: 66666666-1111-4111-8111-111111111111\ntags: [attack.impact]\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 3}}\n"})
	a, err := New(Options{RuleDirs: []string{"rules"}, NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range a.List(RuleFilter{Source: "rules"}) {
		got = append(got, fmt.Sprintf("%s %s %s %s", l.Kind, l.Subsystem, l.Stage, strings.Join(l.Techniques, ",")))
	}
	want := []string{"rule compute lateral_movement T1033", "rule identity lateral_movement T1033", "rule any lateral_movement T1033", "rule compute  ",
		"correlation compute denial_of_service "}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	c := a.Coverage()
	if c.Matrix[model.StageLateralMovement]["identity"] != 1 || c.Matrix[model.StageDenialOfService][windowsColumn] != 1 || c.Rules != 5+len(detectors(nil)) || c.Unstaged != 1 {
		t.Errorf("%+v", c)
	}
	cells := len(c.Empty)
	for _, row := range c.Matrix {
		if len(row) != len(c.Subsystems) {
			t.Errorf("a row of %d cells", len(row))
		}
		for s, n := range row {
			if n > 0 && s != report.AnySubsystem {
				cells++
			}
		}
	}
	if cells != 88 {
		t.Errorf("%d cells, want 8 stages by 11 columns", cells)
	}
}

func TestList(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := a.List(RuleFilter{})
	if len(all) < 100 {
		t.Fatalf("%d rules", len(all))
	}
	for name, f := range map[string]RuleFilter{
		"level": {Levels: []model.Severity{model.High}}, "tag": {Tags: []string{"attack.t1003"}}, "tactic": {Tags: []string{"credential-access"}},
		"log source": {LogSource: "product=windows"}, "source": {Source: "Rules/AWS"},
	} {
		some := a.List(f)
		if len(some) == 0 || len(some) >= len(all) {
			t.Errorf("%s: %d of %d", name, len(some), len(all))
		}
	}
	if none := a.List(RuleFilter{Tags: []string{"t1003", "nonesuch"}}); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	var b bytes.Buffer
	if err := WriteRuleCSV(&b, append(all, RuleLine{Title: "=cmd()"})); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != len(all)+2 || rows[len(all)+1][3] != "'=cmd()" {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
