package app

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/catena-sec/catena/internal/knowledge"
)

// tacticSets are the labelled sets on which tactics are measured, in the order of
// the table.
var tacticSets = []string{"evtx_to_mitre", "evtx_attack_samples", "otrf_atomic", "stratus", "panther", "falco_k8s_audit", "crowdsec", "splunk_attack_data"}

// tacticFloor is the least share of labelled files with an alert of a labelled
// tactic, by our rules alone; a little below what docs/accuracy.md shows.
const tacticFloor = 0.80

// A labelled is a file of a labelled set, a folder of logs of one test, or a line
// of a file of tests: what an attack left, and the tactics that its label names.
type labelled struct {
	set, name string
	path      string
	tactics   []string
}

// truthRows returns the rows of a file of labels, each by the names of its columns.
func truthRows(t *testing.T, dir, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "truth", file))
	if err != nil {
		t.Skipf("no labels: %v", err)
	}
	defer func() { _ = f.Close() }()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %d rows, %v", file, len(all), err)
	}
	var out []map[string]string
	for _, row := range all[1:] {
		m := map[string]string{}
		for i, name := range all[0] {
			m[name] = row[i]
		}
		out = append(out, m)
	}
	return out
}

// tacticsNamed reads the names of tactics, and of techniques those that they serve.
func tacticsNamed(tactics, techniques string) []string {
	apart := func(s string) []string {
		return strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune("|;,", c) })
	}
	var out []string
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	for _, s := range apart(tactics) {
		if s = strings.TrimSpace(s); s != "" {
			add(strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(s)))
		}
	}
	for _, s := range apart(strings.ReplaceAll(techniques, " ", ",")) {
		if id, ok := knowledge.Resolve(s); ok {
			add(knowledge.TacticsOf(id)...)
		}
	}
	return out
}

// labelledFiles reads the labels of tacticSets; files without one are left out.
func labelledFiles(t *testing.T, dir string) []labelled {
	t.Helper()
	var out []labelled
	add := func(set, name, file string, tactics []string) {
		if len(tactics) > 0 {
			out = append(out, labelled{set, name, file, tactics})
		}
	}
	own := []string{"panther", "falco_k8s_audit", "crowdsec"} // have labels of their own, which say more
	for _, r := range truthRows(t, dir, "index.csv") {
		if set := r["set"]; slices.Contains(tacticSets, set) && !slices.Contains(own, set) {
			add(set, strings.TrimPrefix(r["file"], set+"/"), filepath.Join(dir, filepath.FromSlash(r["file"])), tacticsNamed(r["tactics_v19"], ""))
		}
	}
	lines, rows := map[string][][]byte{}, t.TempDir()
	for i, r := range truthRows(t, dir, "panther_tests.csv") {
		tactics := tacticsNamed(r["tactics"], r["techniques_v19"])
		if r["malicious"] != "yes" || len(tactics) == 0 {
			continue
		}
		if lines[r["file"]] == nil {
			src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r["file"])))
			if err != nil {
				t.Skipf("no captures: %v", err)
			}
			lines[r["file"]] = bytes.Split(src, []byte("\n"))
		}
		n, err := strconv.Atoi(r["line"])
		if err != nil || n < 1 || n > len(lines[r["file"]]) {
			t.Fatalf("panther_tests.csv: row %d is of line %q", i+2, r["line"])
		}
		one := filepath.Join(rows, fmt.Sprintf("%d.ndjson", i)) // each test by itself
		if err := os.WriteFile(one, append(lines[r["file"]][n-1], '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		add("panther", path.Base(r["file"])+":"+r["line"], one, tactics)
	}
	for _, r := range truthRows(t, dir, "falco_k8s_audit.csv") {
		if name := path.Base(r["file"]); r["suspicious"] == "yes" {
			add("falco_k8s_audit", name, filepath.Join(dir, "falco_k8s_audit", name), tacticsNamed("", r["technique_our_reading"]))
		}
	}
	for _, r := range truthRows(t, dir, "crowdsec_tests.csv") {
		add("crowdsec", strings.TrimPrefix(r["dir"], "crowdsec/"), filepath.Join(dir, filepath.FromSlash(r["dir"])), tacticsNamed("", r["techniques_v19"]))
	}
	return out
}

// Why a labelled file has no alert of a labelled tactic.
const (
	hit         = ""
	noTelemetry = "no telemetry" // no record was read as an event or an alert
	noRule      = "no rule"      // nothing alerted
	wrongTactic = "wrong tactic"
)

// A seen is what came of one labelled file.
type seen struct {
	cause string // by all rules in use
	ours  bool   // one of our rules or detectors alerted, whatever the tactic
	other bool   // one of the rules besides ours did
	rules []string
}

// seenIn analyses each of the files by itself.
func seenIn(t *testing.T, o Options, files []labelled) []seen {
	t.Helper()
	o.AllAlerts, o.Workers = true, 1
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]seen, len(files))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				r, err := a.Analyze(t.Context(), []string{files[i].path})
				if err != nil {
					t.Errorf("%s/%s: %v", files[i].set, files[i].name, err)
					continue
				}
				s := &out[i]
				s.cause = noRule
				if r.Totals.Events == 0 && len(r.Alerts) == 0 {
					s.cause = noTelemetry
				}
				for _, al := range r.Alerts {
					switch {
					case al.Rule.Source == "builtin":
						s.ours = true
					case slices.ContainsFunc(o.RuleDirs, func(dir string) bool { return strings.HasPrefix(al.Rule.Source, dir) }):
						s.other = true
					default:
						continue // what another product says is not what rules see
					}
					s.rules = append(s.rules, al.Rule.Title)
					switch {
					case slices.ContainsFunc(al.Tactics, func(tactic string) bool { return slices.Contains(files[i].tactics, tactic) }):
						s.cause = hit
					case s.cause != hit:
						s.cause = wrongTactic
					}
				}
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}

// TestTacticHits measures the rules on labelled captures, file by file: the share
// with an alert of a tactic that the label names. -v prints the tables of
// docs/accuracy.md, and what was missed and why.
func TestTacticHits(t *testing.T) {
	dir := dataFolder(t)
	files := labelledFiles(t, dir)
	if len(files) < 500 {
		t.Fatalf("%d labelled files, want over 500", len(files))
	}
	if underRace {
		var sample []labelled
		for i := 0; i < len(files); i += 7 {
			sample = append(sample, files[i])
		}
		files = sample
		t.Log("under the race detector: one file in seven, and without SigmaHQ's rules")
	}
	ours := seenIn(t, Options{}, files)
	both := ours
	if !underRace {
		both = seenIn(t, Options{RuleDirs: []string{filepath.Join(dir, "sigma_rules")}}, files)
	}

	type sums struct {
		files, ours, both         int
		why                       map[string]int
		onlyOurs, onlyOther, none int
	}
	of := map[string]*sums{"all": {why: map[string]int{}}}
	var missed strings.Builder
	for i, f := range files {
		if of[f.set] == nil {
			of[f.set] = &sums{why: map[string]int{}}
		}
		for _, s := range []*sums{of[f.set], of["all"]} {
			s.files++
			if ours[i].cause == hit {
				s.ours++
			}
			if both[i].cause == hit {
				s.both++
			}
			s.why[ours[i].cause]++
			switch {
			case both[i].ours && !both[i].other:
				s.onlyOurs++
			case both[i].other && !both[i].ours:
				s.onlyOther++
			case !both[i].ours:
				s.none++
			}
		}
		if ours[i].cause != hit {
			rules := slices.Compact(slices.Sorted(slices.Values(ours[i].rules)))
			fmt.Fprintf(&missed, "%s/%s: %s, want %s; alerts: %s\n", f.set, f.name, ours[i].cause, strings.Join(f.tactics, " or "), strings.Join(rules[:min(len(rules), 5)], "; "))
		}
	}
	var table, apart strings.Builder
	table.WriteString("| set | labelled | our rules | ours and SigmaHQ's | missed by ours: no telemetry | no rule | wrong tactic |\n|---|--:|--:|--:|--:|--:|--:|\n")
	apart.WriteString("| set | labelled | only ours alert | only SigmaHQ's alert | neither |\n|---|--:|--:|--:|--:|\n")
	share := func(n, of int) string { return fmt.Sprintf("%d (%.0f %%)", n, 100*float64(n)/float64(of)) }
	for _, set := range append(slices.Clone(tacticSets), "all") {
		s := of[set]
		if s == nil {
			if !underRace {
				t.Errorf("no labelled file in %s", set)
			}
			continue
		}
		fmt.Fprintf(&table, "| %s | %d | %s | %s | %d | %d | %d |\n", set, s.files, share(s.ours, s.files), share(s.both, s.files), s.why[noTelemetry], s.why[noRule], s.why[wrongTactic])
		fmt.Fprintf(&apart, "| %s | %d | %d | %d | %d |\n", set, s.files, s.onlyOurs, s.onlyOther, s.none)
	}
	t.Logf("files with an alert of a labelled tactic\n%s\nwhat each sees that the other does not: files with alerts of one alone\n%s\nmissed by our rules\n%s", &table, &apart, &missed)
	if s := of["all"]; float64(s.ours) < tacticFloor*float64(s.files) {
		t.Errorf("%d of %d labelled files have an alert of a labelled tactic, want %.0f %%", s.ours, s.files, 100*tacticFloor)
	}
}
