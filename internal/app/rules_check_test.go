package app

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// cleanRule is a rule that nobody has anything to say about.
const cleanRule = `title: Who am I
id: 11111111-1111-4111-8111-111111111111
status: test
level: medium
tags: [attack.discovery, attack.t1033]
logsource: {category: process_creation, product: windows}
detection:
  sel: {Image|endswith: '\whoami.exe'}
  condition: sel
`

func checkRules(t *testing.T, paths ...string) *RuleCheck {
	t.Helper()
	c, err := CheckRules(Options{RuleDirs: paths, NoBuiltin: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckRules(t *testing.T) {
	folder(t, file{"rules/a.yml", cleanRule}, file{"rules/b.yml", "title: x\n"},
		file{"rules/c.yml", strings.Replace(strings.Replace(cleanRule, "level: medium\n", "", 1), "1111", "3333", 1)}, file{"one.yml", cleanRule},
		file{"f.yml", "title: f\nid: 44444444-4444-4444-8444-444444444444\nlogsource: {product: windows}\nfilter: {rules: any, s: {User: x}, condition: not s}\n"})
	c := checkRules(t, "rules")
	if c.Files != 3 || c.Loaded != 2 || len(c.Refused) != 1 || len(c.Warnings) != 1 || filepath.ToSlash(c.Warnings[0].File) != "rules/c.yml" {
		t.Errorf("%+v", c)
	}
	if c := checkRules(t, "one.yml"); c.Files != 1 || c.Loaded != 1 || c.Refused == nil || len(c.Warnings) != 0 {
		t.Errorf("%+v", c)
	}
	if c := checkRules(t, "one.yml", "f.yml"); c.Loaded != 2 || len(c.Refused) != 0 || len(c.Warnings) != 0 {
		t.Errorf("a filter: %+v", c)
	}
	if _, err := CheckRules(Options{RuleDirs: []string{"nowhere"}, NoBuiltin: true}, nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v", err)
	}
}

// Our own rules can all be used, and there is nothing to say about them that a
// reader would call an error.
func TestOwnRulesAreClean(t *testing.T) {
	c, err := CheckRules(Options{}, []string{"value-covered"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Refused) > 0 || c.Loaded < c.Files {
		t.Errorf("%d of %d: %v", c.Loaded, c.Files, c.Refused)
	}
	for _, w := range c.Warnings {
		switch w.Code {
		case "logsource-unknown", "tag-unknown", "tag-revoked", "tag-format", "selection-unused", "matches-anything", "regex-never", "id-format", "id-missing",
			"backslash-wildcard", "filter-affirmed":
			t.Error(w)
		}
	}
}

func TestAdviceOnSurroundings(t *testing.T) {
	for _, c := range []struct{ old, new, want, fix string }{
		{"attack.t1033", "attack.t1562.001", "5:26 tag-revoked", "attack.t1685"},
		{"attack.t1033", "attack.t1033.099", "5:26 tag-unknown", "attack.t1033"},
		{"attack.t1033", "attack.t9999", "5:26 tag-unknown", "remove"},
		{"attack.t1033", "attack.T1033", "5:26 tag-format", "attack.t1033"},
		{"attack.t1033", "whoami", "5:26 tag-format", "attack."},
		{"attack.t1033", "attack.g0007", "", ""},
		{"attack.t1033", "cve.2021-44228", "", ""},
		{"attack.discovery", "attack.defense-evasion", "5:8 tag-revoked", "attack.stealth"},
		{"attack.discovery, attack.t1033", "attack.defense-evasion, attack.t1685.001", "5:8 tag-revoked", "attack.defense-impairment"},
		{"attack.discovery", "attack.lateral_movement", "5:8 tag-format", "attack.lateral-movement"},
		{"attack.discovery", "attack.haste", "5:8 tag-unknown", ""},
		{"category: process_creation, product: windows", "product: windows, service: powershell-classics", "6:1 logsource-unknown", "powershell-classic"},
		{"category: process_creation, product: windows", "product: nonesuch", "6:1 logsource-unknown", "mapping"},
		{"category: process_creation, product: windows", "product: Windows, category: Process_Creation", "", ""},
		{"Image|endswith", "image|endswith", "8:9 field-near", "Image"},
		{"Image|endswith", "CommandLin|endswith", "8:9 field-near", "CommandLine"},
		{"Image|endswith", "SomethingElse|endswith", "", ""},
	} {
		src := strings.Replace(cleanRule, c.old, c.new, 1)
		folder(t, file{"r.yml", src})
		var got, fixes []string
		for _, w := range checkRules(t, "r.yml").Warnings {
			got = append(got, fmt.Sprintf("%d:%d %s", w.Line, w.Column, w.Code))
			fixes = append(fixes, w.Fix)
		}
		if g := strings.Join(got, ", "); g != c.want || !strings.Contains(strings.Join(fixes, " "), c.fix) {
			t.Errorf("%s: %q, want %q; fixes %q", c.new, g, c.want, fixes)
		}
	}
}

func TestRuleCheckForms(t *testing.T) {
	var b strings.Builder
	for i := range 8 {
		b.WriteString(strings.Replace(strings.Replace(cleanRule, "status: test\n", "", 1), "1111", fmt.Sprintf("%04d", i), 1) + "---\n")
	}
	folder(t, file{"many.yml", b.String()}, file{"broken.yml", "title: \"\x1b[31m\"\n"})
	c := checkRules(t, "many.yml", "broken.yml")
	var few, all, xmlText bytes.Buffer
	for _, err := range []error{c.WriteText(&few, false), c.WriteText(&all, true), c.WriteJUnit(&xmlText, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(few.String(), "\nwarning: "); n != checkShown {
		t.Errorf("%d warnings shown:\n%s", n, &few)
	}
	if n := strings.Count(all.String(), "\nwarning: "); n != 8 || !strings.Contains(all.String(), "2 files, 8 rules can be used, 1 cannot\n") {
		t.Errorf("%d warnings shown:\n%s", n, &all)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(xmlText.Bytes(), &suites); err != nil || suites.Tests != 10 || suites.Failures != 1 || suites.Skipped != 8 {
		t.Errorf("%v: %+v\n%s", err, suites, &xmlText)
	}
}
