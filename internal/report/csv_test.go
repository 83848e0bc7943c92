package report

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func readCSV(t *testing.T, r *model.Report) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(render(t, CSV(), r)))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestCSVTimeline(t *testing.T) {
	r := sample()
	rows := readCSV(t, r)
	if !slices.Equal(rows[0], csvHeader[:]) {
		t.Errorf("header %v", rows[0])
	}
	rows = rows[1:]
	// 10 and 4 steps, 3 members in no step, 1 alone.
	if len(rows) != 18 {
		t.Errorf("%d rows, want 18", len(rows))
	}
	if !slices.IsSortedFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) }) {
		t.Error("rows are not in order of time")
	}
	col := func(name string) int { return slices.Index(csvHeader[:], name) }
	var seen []string
	for _, row := range rows {
		seen = append(seen, row[col("alerts")])
		if row[col("step")] == "6" {
			if row[col("from")] != "mkt01.corp.example" || row[col("to")] != "dc01.corp.example" || row[col("technique")] != "T1021.002" ||
				row[col("evidence")] != "evidence.zip!mkt01.evtx#7" || !strings.Contains(row[col("entities")], "ip:10.1.7.21") {
				t.Errorf("step 6 is %q", row)
			}
		}
	}
	for _, a := range r.Alerts {
		if !slices.Contains(seen, a.ID) {
			t.Errorf("alert %s %q is in no row", a.ID, a.Rule.Title)
		}
	}
}

func TestCSVFormulas(t *testing.T) {
	for in, want := range map[string]string{
		`=HYPERLINK("http://x")`: `'=HYPERLINK("http://x")`,
		"+1":                     "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": `'\t=1`, "\r=1": `'\r=1`, "  =1": "'  =1", "＝1": "'＝1", "'=1": "''=1",
		"a=1": "a=1", "10.0.0.1": "10.0.0.1", "": "",
	} {
		if got := cell(in); got != want {
			t.Errorf("cell(%q) = %q, want %q", in, got, want)
		}
	}
	r := sample()
	r.Incidents[0].Steps[0].Summary = "=cmd|' /C calc'!A0"
	r.Incidents[0].Steps[0].Host = "-2+3"
	for _, row := range readCSV(t, r) {
		for _, c := range row {
			if c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
				t.Errorf("cell %q starts a formula", c)
			}
		}
	}
}

func TestCSVListsAreBounded(t *testing.T) {
	r := sample()
	for range 500 {
		r.Alerts[0].Evidence = append(r.Alerts[0].Evidence, model.Evidence{Input: "a.evtx", Record: int64(len(r.Alerts[0].Evidence) + 100)})
	}
	text := string(render(t, CSV(), r))
	if !strings.Contains(text, "and 481 more") || strings.Contains(text, "a.evtx#400") {
		t.Error("500 records of one alert are not cut to the first")
	}
}
