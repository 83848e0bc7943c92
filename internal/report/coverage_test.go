package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func someCoverage() *Coverage {
	c := &Coverage{AttackVersion: "19.1", Rules: 31, Stages: model.Stages[:2], Subsystems: []string{"compute", "identity", AnySubsystem},
		Matrix: map[model.Stage]map[string]int{model.Stages[0]: {"compute": 30, "identity": 0, AnySubsystem: 1}, model.Stages[1]: {"compute": 0, "identity": 0, AnySubsystem: 0}},
		Empty:  []CoverageCell{{model.Stages[0], "identity"}, {model.Stages[1], "compute"}, {model.Stages[1], "identity"}},
		Tactics: []TacticCoverage{
			{"TA0043", "reconnaissance", "Reconnaissance", 31, 2, []TechniqueCoverage{{"T1595", "Active <Scanning>", 30}, {"T1595.001", "Blocks", 1}, {"T1597", "Closed", 0}}},
			{"TA0001", "initial-access", "Initial Access", 1, 1, []TechniqueCoverage{{"T1595.001", "Blocks", 1}}},
		}}
	return c
}

func TestCoverageText(t *testing.T) {
	var few, all bytes.Buffer
	if err := CoverageText(&few, someCoverage(), false); err != nil {
		t.Fatal(err)
	}
	if err := CoverageText(&all, someCoverage(), true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"31 rules and detectors", "                       comp iden  any\n", "reconnaissance           30    ·    1\n", "3 cells without a rule", "reconnaissance             31     2 of   3\n"} {
		if !strings.Contains(few.String(), want) {
			t.Errorf("%q is not in\n%s", want, &few)
		}
	}
	if strings.Contains(few.String(), "T1595") || strings.Count(all.String(), "T1595") != 3 || strings.Contains(all.String(), "T1597") {
		t.Errorf("techniques:\n%s", &all)
	}
	for line := range strings.Lines(few.String()) {
		if n := len([]rune(line)); n > 81 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCoverageNavigator(t *testing.T) {
	var b bytes.Buffer
	if err := CoverageNavigator(&b, someCoverage()); err != nil {
		t.Fatal(err)
	}
	var l layer
	if err := json.Unmarshal(b.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	if l.Versions.Attack != "19" || l.Gradient.Max != 30 || len(l.Techniques) != 2 || l.Techniques[0].ID != "T1595" || *l.Techniques[0].Score != 30 {
		t.Errorf("%+v", l)
	}
}

func TestCoverageHTML(t *testing.T) {
	var b bytes.Buffer
	if err := CoverageHTML(&b, someCoverage()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{`<td class="h5">30</td>`, `<td class="h2">1</td>`, `<td class="h0" title="no rule">·</td>`, "Active &lt;Scanning&gt;", `href="https://attack.mitre.org/techniques/T1595/001"`, "(67 %)"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, not := range []string{"<script", "src=", "url("} {
		if strings.Contains(page, not) {
			t.Errorf("%q is in the page", not)
		}
	}
}

func TestHeat(t *testing.T) {
	before := 0
	for n := range 1300 {
		h := heat(n, 1299)
		if h < before || h > 5 || n > 0 && h == 0 {
			t.Fatalf("%d has heat %d after %d", n, h, before)
		}
		before = h
	}
	if heat(0, 0) != 0 || heat(1, 1) != 5 || before != 5 {
		t.Error(heat(0, 0), heat(1, 1), before)
	}
}
