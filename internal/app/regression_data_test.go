package app

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// overstated says how often a rule matches whose authors state fewer matches: by
// the letter of the rule each of these events has the value it asks for.
func overstated(rule string) (int, bool) {
	switch rule {
	case "0b9ad457-2554-44c1-82c2-d56a99c42377", // three writes of files that begin with user.conf
		"8fbf3271-1ef6-4e94-8210-03c2317947f6", // three file names that the rule lists
		"45e112d0-7759-4c2a-aa36-9f8fb79d3393": // three values below the key it asks for
		return 3, true
	}
	return 0, false
}

// TestSigmaRegression analyses recorded events that a public rule was written
// for, each with that rule alone, and wants as many matches as its authors state:
// from the EVTX file and from the same events as JSON. It tests what nothing
// smaller can: that the names, types and log sources we give to Windows events
// are those that rules are written against.
func TestSigmaRegression(t *testing.T) {
	data := dataFolder(t)
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
	tested, passed := 0, 0
	for _, row := range rows[1:] {
		get := func(name string) string { return row[column[name]] }
		if get("rule_file") == "" {
			continue // the rule left the collection, its events did not
		}
		want, err := strconv.Atoi(get("match_count"))
		if err != nil {
			want = -1 // not stated: at least one
		}
		if n, ok := overstated(get("rule_id")); ok {
			want = n
		}
		evtx := filepath.Join(data, filepath.FromSlash(get("file")))
		rule := filepath.Join(data, "sigma_regression", "_rules", filepath.FromSlash(get("rule_file")))
		a, err := New(Options{Version: "test", NoBuiltin: true, RuleDirs: []string{rule}, AllAlerts: true, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		if a.Rules() != 1 {
			t.Errorf("%s: %d rules in use, want 1: %v", get("rule_file"), a.Rules(), a.Refused())
			continue
		}
		for _, path := range []string{evtx, strings.TrimSuffix(evtx, ".evtx") + ".json"} {
			tested++
			r := analyzeData(t, a, path)
			got := 0
			for i := range r.Alerts {
				if r.Alerts[i].Rule.ID == get("rule_id") {
					got += r.Alerts[i].Count
				}
			}
			if got == want || want < 0 && got > 0 {
				passed++
				continue
			}
			t.Errorf("%s: %s matches %d times in %d events, want %d", get("rule_file"), filepath.Ext(path), got, r.Totals.Events, want)
		}
	}
	if tested == 0 {
		t.Fatal("nothing was tested")
	}
	t.Logf("%d of %d files match as stated", passed, tested)
}
