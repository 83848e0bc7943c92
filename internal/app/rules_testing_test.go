package app

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/catena-sec/catena/sigma"
)

// refusals is a rule and a correlation over it.
const refusals = `title: Refused
name: refused
id: 11111111-1111-4111-8111-111111111111
logsource: {product: linux, service: sshd}
detection:
  sel: {message|contains: 'Failed password'}
  condition: sel
---
title: Many refusals
id: 22222222-2222-4222-8222-222222222222
correlation: {type: event_count, rules: [refused], group-by: [remote_ip], timespan: 10m, condition: {gte: 10}}
`

func runRuleTests(t *testing.T, o Options, paths ...string) *RuleTests {
	t.Helper()
	o.NoBuiltin = true
	res, err := TestRules(context.Background(), o, paths)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// outcomes lists the cases by name, each with its status and reason.
func outcomes(r *RuleTest) map[string]string {
	out := map[string]string{}
	for _, c := range r.Cases {
		out[c.Name] = strings.TrimSuffix(string(c.Status)+": "+c.Reason, ": ")
	}
	return out
}

// Every kind of case comes out as it should, whether it passes or fails.
func TestRuleTestCases(t *testing.T) {
	folder(t, file{"r/refused.yml", refusals}, file{"log/auth.log", guessing(12)}, file{"r/refused.test.yml", `
fires:
  - {name: matches, rule: refused, fields: {message: Failed password for bob}}
  - {name: does not, rule: refused, fields: {message: Accepted password}}
  - {name: other source, rule: refused, source: {product: windows}, fields: {message: Failed password}}
  - {name: record, rule: refused, record: '2024-03-01T10:00:00Z web1 sshd[77]: Failed password for root from 203.0.113.9 port 40022 ssh2'}
  - {name: record by format, rule: refused, format: syslog, record: '2024-03-01T10:00:00Z web1 sshd[77]: Failed password for root from 203.0.113.9 port 40022 ssh2'}
  - {name: no such format, rule: refused, format: fax, record: x}
  - {name: no format, rule: refused, record: "\x01\x02"}
  - {name: evidence, rule: refused, evidence: ../log/auth.log, expect: 12}
  - {name: evidence of both, evidence: ../log/auth.log, expect: {refused: 12, Many refusals: 1}}
  - {name: evidence miscounted, evidence: ../log/auth.log, expect: {refused: 11}}
  - {name: no evidence, evidence: ../log/nothing.log}
  - {name: absolute, evidence: /etc/passwd}
  - {name: folder, evidence: ../log}
  - {name: no such rule, rule: nobody, fields: {A: 1}}
  - name: stream
    events: [{at: "10:00:00", rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 10, every: 30s}]
    expect: [{group: {remote_ip: 192.0.2.1}, at: "10:04:30", value: 10}]
  - name: stream of records
    events: [{record: '2024-03-01T10:00:00Z web1 sshd[77]: Failed password for root from 203.0.113.9 port 40022 ssh2', at: "10:00", repeat: 10}]
  - name: wrong time
    events: [{rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 10}]
    expect: [{at: "10:00"}]
  - name: wrong group
    events: [{rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 10}]
    expect: [{group: {remote_ip: 192.0.2.2}}]
  - name: wrong value
    events: [{rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 10}]
    expect: [{value: 11}]
  - name: two wanted
    events: [{rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 10}]
    expect: [{value: 10}, {value: 10}]
  - name: no group
    events: [{rule: refused, repeat: 10}]
quiet:
  - {name: quiet, rule: refused, fields: {message: Accepted password}}
  - {name: not quiet, rule: refused, fields: {message: Failed password}}
  - {name: shows nothing, rule: refused, source: {product: windows}, fields: {message: x}}
  - name: spread out
    events: [{fields: {message: Failed password, remote_ip: 192.0.2.1}, repeat: 10, every: 2m}]
  - name: many groups
    events: [{rule: refused, fields: {remote_ip: 192.0.2.1}, repeat: 9}, {rule: refused, fields: {remote_ip: 192.0.2.2}, repeat: 9}]
`})
	res := runRuleTests(t, Options{}, "r")
	if len(res.Results) != 1 || res.Results[0].Status != TestBroken || !res.Failed(false) {
		t.Fatalf("%+v", res)
	}
	want := map[string]string{
		"matches": "pass", "does not": "fail: did not match",
		"other source":        "fail: did not match: the rule looks at product=linux service=sshd, and there is only product=windows",
		"record":              "pass",
		"record by format":    "pass",
		"no such format":      `broken: line 8: there is no format "fax"; there are *`,
		"no format":           "broken: line 9: no decoder knows this: *",
		"evidence":            "pass",
		"evidence of both":    "pass",
		"evidence miscounted": `fail: 12 matches of "Refused", want 11 matches`,
		"no evidence":         "broken: line 13: *nothing.log: *",
		"absolute":            "broken: line 14: /etc/passwd: want a path relative to the test file",
		"folder":              "broken: line 15: log is no file",
		"no such rule":        `broken: there is no rule with the id, name or title "nobody"*`,
		"stream":              "pass",
		"stream of records":   "pass",
		"wrong time":          "fail: line 24: alert 1: is at 00:00:09, want 10:00:00",
		"wrong group":         `fail: line 27: alert 1: remote_ip is "192.0.2.1", want "192.0.2.2"`,
		"wrong value":         "fail: line 30: alert 1: has the value 10, want 11",
		"two wanted":          `fail: 1 alerts, want 2: "Many refusals" at 00:00:09, remote_ip 192.0.2.1, value 10`,
		"no group":            "fail: did not match",
		"quiet":               "pass",
		"not quiet":           "fail: 1 match, want none",
		"shows nothing":       "fail: shows nothing: the rule looks at *",
		"spread out":          "pass",
		"many groups":         "pass",
	}
	got := outcomes(&res.Results[0])
	for name, w := range want {
		if ok, err := filepath.Match(strings.ReplaceAll(w, "/", "\x00"), strings.ReplaceAll(got[name], "/", "\x00")); !ok || err != nil {
			t.Errorf("%s: %q, want %q", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d cases, want %d", len(got), len(want))
	}
	for _, c := range res.Results[0].Cases {
		switch c.Name {
		case "stream":
			if !strings.Contains(c.Note, "late ones too") {
				t.Errorf("%s: %q", c.Name, c.Note)
			}
		case "no group":
			if c.Why == nil || c.Why.Correlation.Ungrouped != 10 {
				t.Errorf("%s: %+v", c.Name, c.Why)
			}
		case "does not":
			if c.Why == nil || len(c.Why.Events) != 1 || c.Why.Events[0].Verdict.Selections[0].Parts[0].Values[0] != "Accepted password" {
				t.Errorf("%s: %+v", c.Name, c.Why)
			}
		case "not quiet":
			if c.Why == nil || !c.Why.Events[0].Matched {
				t.Errorf("%s: %+v", c.Name, c.Why)
			}
		}
	}
}

// A file of evidence that fails is explained by the event that came closest.
func TestRuleTestClosest(t *testing.T) {
	folder(t, file{"r.yml", strings.Replace(goodRule, `{Image|endswith: '\whoami.exe'}`, `{Image|endswith: '\whoami.exe', CommandLine|contains: nothing}`, 1)},
		file{"r.test.yml", "fires: [{evidence: log.json}]"}, file{"log.json", dumping()})
	res := runRuleTests(t, Options{}, "r.test.yml")
	c := res.Results[0].Cases[0]
	if c.Status != TestFailed || c.Why == nil || c.Why.Events[0].Record != 3 || c.Why.Events[0].Verdict.Near != 0.5 {
		t.Errorf("%+v", c)
	}
}

// Rules without a test, tests without a rule, tests and rules that cannot be read:
// each is named and the others go on, whatever the number of workers.
func TestRuleTestFiles(t *testing.T) {
	folder(t, file{"r/a.yml", goodRule}, file{"r/a.test.yml", "fires: [{fields: {Image: 'C:\\whoami.exe'}}]"},
		file{"r/b.yml", strings.Replace(goodRule, "1111", "2222", 1)},
		file{"r/c.test.yml", "fires: []"},
		file{"r/d.yml", strings.Replace(goodRule, "1111", "3333", 1)}, file{"r/d.test.yml", "fires:\n  - {fields: [1]}"},
		file{"r/e.yml", strings.Replace(goodRule, "condition: sel", "condition: sel and", 1)}, file{"r/e.test.yml", "quiet: [{fields: {A: 1}}]"},
		file{"r/f.yml", strings.Replace(refusals, "1111", "4444", 1)}, file{"r/f.test.yml", "quiet: [{rule: Many refusals, fields: {A: 1}}]"})
	var texts []string
	for _, workers := range []int{1, 3, runtime.GOMAXPROCS(0)} {
		res := runRuleTests(t, Options{Workers: workers}, "r")
		var b, junit, js strings.Builder
		if err := res.WriteText(&b, false, true); err != nil {
			t.Fatal(err)
		}
		if err := res.WriteJUnit(&junit, true); err != nil {
			t.Fatal(err)
		}
		if err := res.WriteJSON(&js); err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal([]byte(junit.String()), new(struct{})); err != nil {
			t.Error(err)
		}
		if !json.Valid([]byte(js.String())) {
			t.Error("no JSON")
		}
		texts = append(texts, b.String()+junit.String()+js.String())
		for file, want := range map[string]TestStatus{"a": TestPassed, "b": TestMissing, "c": TestBroken, "d": TestBroken, "e": TestBroken, "f": TestPassed} {
			for _, r := range res.Results {
				if r.File == filepath.Join("r", file+".yml") && r.Status != want {
					t.Errorf("%s: %s (%s), want %s", r.File, r.Status, r.Reason, want)
				}
			}
		}
		for _, line := range []string{
			"missing r/b.yml: there is no test: r/b.test.yml\n",
			"broken  r/c.yml: r/c.test.yml: there is no rule file r/c.yml beside this test\n",
			"broken  r/d.yml: r/d.test.yml:2: fields must be a map, such as {name: value}\n",
			"broken  r/e.yml: the rule cannot be used: r/e.yml:",
			"6 rule files: 2 passed, 0 failed, 3 broken, 1 without a test; 2 cases: 2 passed, 0 failed, 0 broken\n",
		} {
			if !strings.Contains(b.String(), line) {
				t.Errorf("%q is missing in\n%s", line, b.String())
			}
		}
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Error("the results depend on the number of workers")
	}
}

// A filter is tested by what is left of the rules that it names, here one of ours.
func TestRuleTestOfFilter(t *testing.T) {
	folder(t, file{"rules/a.yml", goodRule}, file{"mine/f.yml", `title: Not of the helpdesk
logsource: {category: process_creation, product: windows}
filter:
  rules: [11111111-1111-4111-8111-111111111111]
  helpdesk: {User|endswith: '\helpdesk'}
  condition: helpdesk
`}, file{"mine/f.test.yml", `fires: [{fields: {Image: 'C:\whoami.exe', User: 'CORP\ann'}}]
quiet: [{fields: {Image: 'C:\whoami.exe', User: 'CORP\helpdesk'}}]
`})
	res := runRuleTests(t, Options{RuleDirs: []string{"rules"}}, "mine")
	if len(res.Results) != 1 || res.Results[0].Status != TestPassed || len(res.Results[0].Cases) != 2 {
		t.Errorf("%+v", res)
	}
}

// The outcome of a correlation that a late event changes is told apart from one
// that holds in whatever order events arrive.
func TestInAnyOrder(t *testing.T) {
	folder(t, file{"r.yml", refusals})
	a, err := New(Options{NoBuiltin: true, RuleDirs: []string{"r.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	tester := &ruleTester{a: a, matcher: a.engine.NewMatcher(), tested: &testedFile{test: "r.test.yml"}}
	parsed, err := parseRuleTest("r.test.yml", []byte(`fires: [{events: [{rule: refused, fields: {remote_ip: a}, repeat: 12}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := tester.play(context.Background(), &parsed.cases[0], 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if note, bad := tester.inAnyOrder(1, p); bad != "" || note == "" {
		t.Errorf("%q, %q", note, bad)
	}
	p.begun = nil // as if nothing had held: what comes out now differs
	if _, bad := tester.inAnyOrder(1, p); !strings.Contains(bad, "it holds for") {
		t.Errorf("%q", bad)
	}
	for _, o := range arrivals(p.hits) {
		if n := len(o.hits); n != 12 && n != 24 {
			t.Errorf("%s: %d events", o.name, n)
		}
	}
	for _, c := range []struct {
		condition string
		want      bool
	}{{"type: event_count, rules: [refused], condition: {gte: 2}", true}, {"type: event_count, rules: [refused], condition: {lt: 2}", false},
		{"type: value_avg, rules: [refused], condition: {gte: 2, field: x}", false}, {"type: temporal, rules: [refused]", true},
		{"type: temporal_extended, condition: refused and not other", false}} {
		rules, err := sigma.Parse("r.yml", []byte(strings.Split(refusals, "---")[0]+"---\n"+strings.Replace(strings.Split(refusals, "---")[0], "1111", "3333", 1)+
			"---\ntitle: c\ncorrelation: {timespan: 1m, "+c.condition+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		rules[1].Name, rules[1].ID = "other", "x"
		set, err := sigma.Compile(rules)
		if err != nil {
			t.Fatalf("%s: %v", c.condition, err)
		}
		find := func(ref string) []int {
			for i, r := range set.Rules() {
				if r.Name == ref {
					return []int{i}
				}
			}
			return nil
		}
		if got := monotone(set, 2, find); got != c.want {
			t.Errorf("%s: %v", c.condition, got)
		}
	}
}

// Regression tests as SigmaHQ keeps them are found from the rule, counted, and may
// not lie elsewhere.
func TestRegressionTests(t *testing.T) {
	rule := func(info string) string { return goodRule + "regression_tests_path: " + info + "\n" }
	info := `regression_tests_info:
  - {name: Positive, type: evtx, match_count: %d, path: regression_data/x/log.json}
`
	folder(t, file{"rules/windows/a.yml", rule("regression_data/x/info.yml")}, file{"regression_data/x/info.yml", fmt.Sprintf(info, 1)},
		file{"regression_data/x/log.json", dumping()})
	if res := runRuleTests(t, Options{}, "rules"); res.Results[0].Status != TestPassed || len(res.Results[0].Cases) != 1 {
		t.Errorf("%+v", res.Results)
	}
	for name, c := range map[string]struct {
		path, data string
		status     TestStatus
		reason     string
	}{
		"miscounted": {"regression_data/x/info.yml", fmt.Sprintf(info, 2), TestFailed, "1 match, want 2 matches"},
		"elsewhere":  {"regression_data/x/info.yml", "regression_tests_info: [{path: ../../etc/passwd}]", TestBroken, "is no path below"},
		"gone":       {"regression_data/x/info.yml", "regression_tests_info: [{path: regression_data/x/none.evtx}]", TestBroken, "none.evtx"},
		"empty":      {"regression_data/x/info.yml", "{}", TestBroken, "lists 0 tests"},
		"broken":     {"regression_data/x/info.yml", "[", TestBroken, "info.yml"},
	} {
		if err := os.WriteFile(c.path, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		r := runRuleTests(t, Options{}, "rules").Results[0]
		if len(r.Cases) != 1 || r.Cases[0].Status != c.status || !strings.Contains(r.Cases[0].Reason, c.reason) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// Without the info.yml, evidence that bears the rule's id counts.
	if err := os.Remove("regression_data/x/info.yml"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("regression_data/x/11111111-1111-4111-8111-111111111111.json", []byte(dumping()), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := runRuleTests(t, Options{}, "rules").Results[0]; r.Status != TestPassed || len(r.Cases) != 1 {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile("rules/windows/a.yml", []byte(rule("../x/info.yml")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := runRuleTests(t, Options{}, "rules").Results[0]; r.Status != TestBroken {
		t.Errorf("%+v", r)
	}
}

// TestRegressionOfPublicRules lays recorded events of public rules out as their
// repository does, with the counts their authors state, and runs "rules test".
func TestRegressionOfPublicRules(t *testing.T) {
	data, err := filepath.Abs(dataFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(data, "truth", "sigma_regression.csv"))
	if err != nil {
		t.Skipf("no recorded events of public rules: %v", err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	root := t.TempDir()
	link := func(from, to string) {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, to); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	for _, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		if get("rule_file") == "" {
			continue
		}
		evtx := filepath.FromSlash(get("file"))
		below, err := filepath.Rel("sigma_regression", evtx)
		if err != nil {
			t.Fatal(err)
		}
		link(filepath.Join(data, "sigma_regression", "_rules", filepath.FromSlash(get("rule_file"))), filepath.Join(root, filepath.FromSlash(get("rule_file"))))
		at := filepath.Join("regression_data", below)
		link(filepath.Join(data, evtx), filepath.Join(root, at))
		link(filepath.Join(data, strings.TrimSuffix(evtx, ".evtx")+".json"), filepath.Join(root, strings.TrimSuffix(at, ".evtx")+".json"))
		count := ""
		if n, err := strconv.Atoi(get("match_count")); err == nil {
			if more, ok := overstated(get("rule_id")); ok {
				n = more
			}
			count = fmt.Sprintf(", match_count: %d", n)
		}
		info := filepath.Join(root, filepath.Dir(at), "info.yml")
		have, err := os.ReadFile(info)
		if err != nil {
			have = []byte("regression_tests_info:\n")
		}
		line := fmt.Sprintf("  - {name: Positive, type: evtx, path: %q%s}\n", filepath.ToSlash(at), count)
		if err := os.WriteFile(info, append(have, line...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	res := runRuleTests(t, Options{}, root)
	if res.Summary[TestPassed] != res.Rules || res.Cases < 200 {
		var b strings.Builder
		if err := res.WriteText(&b, false, false); err != nil {
			t.Fatal(err)
		}
		t.Error(b.String())
	}
	t.Logf("%d rules, %d files of evidence", res.Rules, res.Cases)
}
