package app

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// TestDecisionsBindARun simulates two attacks, merges their incidents, takes alerts
// out of one and looks for all of it in the next report, whatever the workers.
func TestDecisionsBindARun(t *testing.T) {
	dir := t.TempDir()
	if _, err := simulate.Write(dir, simulate.Options{Seed: 3, Scenarios: []string{"ssh-to-bucket", "consent-to-mail"}}); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "decisions.ndjson")
	run := func(o Options) *model.Report {
		t.Helper()
		a, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Analyze(t.Context(), []string{filepath.Join(dir, "evidence")})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := run(Options{})
	if len(before.Incidents) != 2 {
		t.Fatalf("%d incidents to begin with, want two", len(before.Incidents))
	}
	keep, gone := &before.Incidents[0], &before.Incidents[1]
	if gone.FirstSeen.Before(keep.FirstSeen) {
		keep, gone = gone, keep
	}
	var leave []string
	for _, id := range slices.Backward(keep.Alerts) {
		if model.IncidentID(id) != keep.ID && len(leave) < 2 {
			leave = append(leave, id)
		}
	}
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var ds []model.Decision
	for i, d := range []model.Decision{
		{Kind: model.Comment, Targets: []string{gone.ID}},
		{Kind: model.Merge, Targets: []string{gone.ID, keep.ID}},
		{Kind: model.Split, Targets: append([]string{keep.ID}, leave...)},
		{Kind: model.JudgeAs, Targets: []string{gone.ID}, Value: model.TruePositive},
	} {
		d.At, d.Author, d.Reason = at.Add(time.Duration(i)*time.Hour), "ann", "because"
		if err := casebook.InReport(d, before); err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	if err := casebook.Append(journal, ds...); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()

	after := run(Options{Decisions: journal, Workers: 1})
	at0 := map[string]*model.Incident{}
	for i := range after.Incidents {
		inc := &after.Incidents[i]
		for _, id := range slices.Concat(inc.Alerts, inc.Context) {
			at0[id] = inc
		}
	}
	merged := at0[gone.Alerts[0]]
	if merged == nil || merged.ID != keep.ID || merged.Verdict != model.TruePositive || len(merged.History) != 4 {
		t.Fatalf("merged: %+v", merged)
	}
	for _, id := range gone.Alerts {
		if at0[id] != merged {
			t.Errorf("%s of the merged incident is elsewhere", id)
		}
	}
	if out := at0[leave[0]]; out == nil || out == merged || out.SplitFrom != keep.ID || at0[leave[1]] != out {
		t.Errorf("taken out: %+v", out)
	}
	if len(after.Redirects) != 1 || after.Redirects[0].From != gone.ID || after.Redirects[0].To != keep.ID {
		t.Errorf("redirects: %+v", after.Redirects)
	}
	if in := after.Inputs[len(after.Inputs)-1]; in.Path != journal || len(in.Errors) != 1 {
		t.Errorf("the journal's bad line is not told: %+v", in)
	}
	x, err := json.Marshal(after)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(run(Options{Decisions: journal, Workers: 5}))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Error("with more workers the report is another")
	}
}

func TestDecisionsThatCannotBeReadFailTheRun(t *testing.T) {
	a, err := New(Options{Decisions: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Analyze(t.Context(), []string{t.TempDir()}); err == nil {
		t.Error("a run without its decisions is no failure")
	}
}
