package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

var docs = filepath.Join("..", "..", "docs")

// TestDocsAreWhatTheRulesGive fails when a rule was changed and the pages were not
// made anew, when a cell lost its rules, or when a reason for one is out of date.
func TestDocsAreWhatTheRulesGive(t *testing.T) {
	all, err := pages(docs)
	if err != nil {
		t.Fatal(err)
	}
	old, err := stale(docs, all)
	if err != nil || len(old) > 0 {
		t.Errorf("pages of rules that are no more: %v, %q: run \"make docs\"", err, old)
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	anchors := map[string]bool{}
	for _, p := range all {
		for line := range strings.Lines(string(p.text)) {
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				anchors[p.name+"#"+anchor(strings.TrimSpace(heading))] = true
			}
		}
	}
	made := map[string]bool{}
	for _, p := range all {
		made[p.name] = true
	}
	for _, p := range all {
		have, err := os.ReadFile(filepath.Join(docs, p.name))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(have, p.text) {
			t.Errorf("docs/%s differs from what the rules give: run \"make docs\"", p.name)
		}
		if filepath.Ext(p.name) != ".md" {
			continue
		}
		for _, m := range link.FindAllSubmatch(p.text, -1) {
			to := path.Join(path.Dir(p.name), string(m[1]))
			if _, err := os.Stat(filepath.Join(docs, to)); err != nil && !made[to] {
				t.Errorf("docs/%s: %v", p.name, err)
			}
			if len(m[2]) > 0 && !anchors[to+string(m[2])] {
				t.Errorf("docs/%s: %s has no heading %s", p.name, to, m[2])
			}
		}
	}
}

func someCoverage(compute, identity int) (*report.Coverage, []app.RuleLine) {
	st := model.StageIntrusion
	return &report.Coverage{Stages: []model.Stage{st}, Subsystems: []string{"compute", "identity", report.AnySubsystem},
			Matrix: map[model.Stage]map[string]int{st: {"compute": compute, "identity": identity, report.AnySubsystem: 3}}},
		[]app.RuleLine{
			{Kind: "rule", ID: "1", File: "rules/a/one.yml", Subsystem: report.AnySubsystem, Stage: st, Title: "One | two <b>", LogSource: "product=a", Level: model.Low, Techniques: []string{"T1", "T2"}},
			{Kind: "rule", File: "rules/a/two.yml", Subsystem: report.AnySubsystem, Stage: st, Title: "Two", LogSource: "product=a"},
			{Kind: "rule", File: "rules/a/late.yml", Subsystem: report.AnySubsystem, Stage: model.StageExfiltration, Title: "Late", LogSource: "product=a"},
			{Kind: "rule", File: "rules/a/own.yml", Subsystem: "compute", Stage: st, Title: "Own", LogSource: "product=b"},
			{Kind: "detector", Subsystem: report.AnySubsystem, Stage: st, Title: "Often"}}
}

func TestCheckGaps(t *testing.T) {
	for name, test := range map[string]struct {
		identity  int
		gaps      string
		complaint string
	}{
		"filled":              {2, "[]", ""},
		"no reason":           {1, "[]", `cell "intrusion identity" has 1 rules, want at least 2`},
		"a reason":            {0, "[{cell: intrusion identity, why: it cannot}]", ""},
		"empty reason":        {0, "[{cell: intrusion identity}]", "does not say why"},
		"too few elsewhere":   {0, "[{cell: intrusion identity, elsewhere: [a/one]}]", "does not say why"},
		"enough elsewhere":    {1, "[{cell: intrusion identity, elsewhere: [a/one]}]", ""},
		"said twice":          {0, "[{cell: intrusion identity, elsewhere: [a/one, a/one]}]", "rule a/one stands there twice"},
		"other stage":         {1, "[{cell: intrusion identity, elsewhere: [a/late]}]", "no rule a/late of this stage"},
		"one subsystem":       {1, "[{cell: intrusion identity, elsewhere: [a/own]}]", "no rule a/own of this stage"},
		"no such rule":        {1, "[{cell: intrusion identity, elsewhere: [a/none]}]", "no rule a/none"},
		"reason for filled":   {2, "[{cell: intrusion identity, why: it cannot}]", "has 2 rules and needs no reason"},
		"no such cell":        {2, "[{cell: intrusion moon, why: it cannot}]", `no cell "intrusion moon"`},
		"cell of all":         {2, "[{cell: intrusion any, why: it cannot}]", "no cell of one subsystem"},
		"cell twice":          {2, "[{cell: a, why: b}, {cell: a, why: b}]", "stands there twice"},
		"field of no meaning": {2, "[{cell: a, because: b}]", "because"},
	} {
		c, list := someCoverage(5, test.identity)
		gaps, err := readGaps([]byte(test.gaps))
		if err == nil {
			err = checkGaps(c, list, gaps)
		}
		if test.complaint == "" && err != nil || test.complaint != "" && (err == nil || !strings.Contains(err.Error(), test.complaint)) {
			t.Errorf("%s: %v, want %q", name, err, test.complaint)
		}
	}
}

func TestPages(t *testing.T) {
	c, list := someCoverage(5, 0)
	gaps := map[string]gap{"intrusion identity": {Elsewhere: []string{"a/one", "a/two"}, Why: "it\ncannot"}}
	var md, svg, index bytes.Buffer
	if err := errors.Join(writeCoverage(&md, c, list, gaps), writePicture(&svg, c, gaps), writeIndex(&index, list, []app.Source{{Format: "a-log", Needs: []string{"1"}}, {Format: "other", Needs: []string{"7"}}})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		in   *bytes.Buffer
		text string
	}{
		{&md, "4 rules about one event, 0 correlations and 1 [detectors]"}, {&md, "| intrusion | 5 | 0 | 3 |\n"},
		{&md, "| intrusion | identity | 0 | [a/one](rules/a/one.md), [a/two](rules/a/two.md) | it cannot |\n"},
		{&svg, ">0 + 2</text>"}, {&svg, ">5</text>"},
		{&index, "## product=a\n\n3, of events that are read from `a-log`.\n"}, {&index, "## Detectors\n\n1.\n"},
		{&index, `| low | One \| two &lt;b> | T1, T2 | [a/one](rules/a/one.md) |` + "\n"},
	} {
		if !strings.Contains(want.in.String(), want.text) {
			t.Errorf("%q is not in\n%s", want.text, want.in)
		}
	}
	if strings.Contains(index.String(), scenarios) {
		t.Error("a section without a rule")
	}
	for dec := xml.NewDecoder(&svg); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestShade(t *testing.T) {
	before := 0
	for n := 1; n < 2000; n++ {
		if s := shade(n); s < before || s >= len(shades) {
			t.Fatalf("%d has shade %d after %d", n, s, before)
		} else {
			before = s
		}
	}
	if shade(1) != 0 || before != len(shades)-1 {
		t.Error(shade(1), before)
	}
}
