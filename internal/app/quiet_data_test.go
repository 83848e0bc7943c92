package app

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// quietExceptions are the rules of level high that may fire on evidence taken for
// quiet, by the title of the rule, each with why that evidence is not what it is
// taken for.
var quietExceptions = map[string]string{
	"Administrator rights given":                          "an administrator's policy is attached to a user: the row says only that no user was created",
	"Disk, database or machine image shared":              "an image is shared with another account: the row says only that it was not shared with everybody",
	"Export of all data of the domain or of mail started": "all data of a domain were exported: the row says only that no calendar was opened",
	"Privileged container started":                        "an account named like the provider's agent, but of a project's own domain, starts it",
}

// A quietCount is what our rules raise on one set, by level.
type quietCount struct {
	name   string
	inputs int
	events uint64
	levels map[model.Severity]int
}

// add counts the alerts of our own rules in one report, and reports those that no
// quiet evidence may raise.
func (q *quietCount) add(t *testing.T, input string, r *model.Report) {
	q.inputs++
	q.events += uint64(r.Totals.Events)
	for _, al := range r.Alerts {
		if al.Rule.Source != "builtin" {
			continue // another product said so, in the evidence itself
		}
		q.levels[al.Rule.Level]++
		if al.Rule.Level.Rank() >= model.High.Rank() && quietExceptions[al.Rule.Title] == "" {
			t.Errorf("%s, %s: %s rule %q fires", q.name, input, al.Rule.Level, al.Rule.Title)
		}
	}
}

// TestQuietEvidence counts what our rules raise where nobody attacks; -v prints the
// table of docs/accuracy.md. No rule of level high or above may fire but for the
// named exceptions.
func TestQuietEvidence(t *testing.T) {
	dir := dataFolder(t)
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	var counts []*quietCount
	set := func(name string) *quietCount {
		q := &quietCount{name: name, levels: map[model.Severity]int{}}
		counts = append(counts, q)
		return q
	}
	for _, s := range []struct{ name, path string }{
		{"Windows, presumed benign", "benign"},
		{"cloud, samples of ordinary days", "cloud_misc_plaso"},
		{"Linux, audit log of a web server", "linux/ait_audit"},
		{"Linux, syslog", "linux/msticpy_syslog"},
	} {
		set(s.name).add(t, s.path, analyzeData(t, a, filepath.Join(dir, s.path)))
	}

	q := set("cloud and SaaS, rows that a rule must not match")
	for _, row := range quietRows(t, dir) {
		path := filepath.Join(t.TempDir(), "row.ndjson")
		if err := os.WriteFile(path, row.record, 0o600); err != nil {
			t.Fatal(err)
		}
		q.add(t, row.name, analyzeData(t, a, path)) // each by itself: they are of no one day
	}

	q = set("Kubernetes, calls that are not suspicious")
	for _, r := range csvRows(t, filepath.Join(dir, "truth", "falco_k8s_audit.csv")) {
		if r["suspicious"] == "no" {
			q.add(t, r["file"], analyzeData(t, a, filepath.Join(dir, "falco_k8s_audit", filepath.Base(r["file"]))))
		}
	}

	if !testing.Short() {
		days := uint64(4)
		if underRace {
			days = 1
		}
		for seed := uint64(1); seed <= days; seed++ {
			day := t.TempDir()
			if _, err := simulate.Write(day, simulate.Options{Seed: seed, Scenarios: []string{simulate.Quiet}}); err != nil {
				t.Fatal(err)
			}
			set(fmt.Sprintf("simulator, quiet day %d", seed)).add(t, "evidence", analyzeData(t, a, filepath.Join(day, "evidence")))
		}
	}

	var out strings.Builder
	for _, q := range counts {
		if q.events == 0 {
			t.Errorf("%s: no event was read", q.name)
		}
		fmt.Fprintf(&out, "| %s | %d |", q.name, q.events)
		for _, s := range []model.Severity{model.Critical, model.High, model.Medium, model.Low, model.Informational} {
			fmt.Fprintf(&out, " %d |", q.levels[s])
		}
		out.WriteByte('\n')
	}
	t.Logf("%d rules\n| evidence | events | critical | high | medium | low | informational |\n|---|---|---|---|---|---|---|\n%s", a.Rules(), out.String())
}

// A quietRow is a record that its author wrote for a rule not to match.
type quietRow struct {
	name   string
	record []byte
}

// quietRows are the records labelled as not malicious.
func quietRows(t *testing.T, dir string) []quietRow {
	t.Helper()
	lines := map[string][][]byte{}
	var rows []quietRow
	for _, r := range csvRows(t, filepath.Join(dir, "truth", "panther_tests.csv")) {
		if r["malicious"] != "no" {
			continue
		}
		file := r["file"]
		if lines[file] == nil {
			src, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
			if err != nil {
				t.Fatal(err)
			}
			lines[file] = bytes.Split(src, []byte("\n"))
		}
		n, err := strconv.Atoi(r["line"])
		if err != nil || n < 1 || n > len(lines[file]) {
			t.Fatalf("%s: no line %q", file, r["line"])
		}
		rows = append(rows, quietRow{name: file + ":" + r["line"], record: slices.Concat(lines[file][n-1], []byte("\n"))})
	}
	return rows
}

// csvRows reads a CSV file with a header.
func csvRows(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		out = append(out, m)
	}
	return out
}
