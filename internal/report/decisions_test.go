package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// decidedSample is the sample with decisions of every sort in it.
func decidedSample() *model.Report {
	r := sample()
	at := time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)
	until := at.AddDate(0, 1, 0)
	inc := &r.Incidents[0]
	decide := func(kind model.DecisionKind, value string, w *model.Condition, targets ...string) model.Decision {
		d := model.Decision{At: at, Author: "ann " + hostile, Kind: kind, Targets: targets, Where: w, Value: value, Reason: "because " + hostile}
		if kind == model.Suppress {
			d.Until = &until
		}
		d.ID = model.DecisionID(d)
		return d
	}
	a, b := model.AlertID("r", "1"), model.AlertID("r", "2")
	x, y := model.IncidentID(a), model.IncidentID(b)
	rule := &model.Condition{Rule: "r1 " + hostile, Since: &at}
	inc.Verdict, inc.Assignee, inc.SplitFrom = model.BenignWork, "bob "+hostile, y
	inc.History = []model.Decision{
		decide(model.Cut, "", nil, a, b), decide(model.LinkUp, "", nil, a, b), decide(model.Split, "", nil, x, b), decide(model.Merge, "", nil, x, y),
		decide(model.Move, "", nil, a, x, y), decide(model.JudgeAs, model.BenignWork, nil, x), decide(model.Comment, "", nil, a),
		decide(model.Assign, "bob", nil, x), decide(model.SetStatus, "closed", nil, x)}
	inc.History[0].Effect = "a later link holds"
	quiet := decide(model.Suppress, "", rule)
	r.Decisions = []model.Decision{quiet, decide(model.Exclude, "", &model.Condition{Entity: "host:web1"}), decide(model.Undo, "", nil, quiet.ID)}
	r.Redirects = []model.Redirect{{From: y, To: x, Why: "a merge by ann"}}
	r.Suppressed = []model.Suppressed{{Decision: quiet.ID, Where: *rule, Until: &until, Author: "ann", Reason: "noise", Alerts: 3, Text: "Suppressed: 3 alerts of " + hostile}}
	inc.Suppressed = r.Suppressed
	return r
}

func TestDecisionsInEveryForm(t *testing.T) {
	r := decidedSample()
	b := render(t, JSON(), r)
	if err := validate(t, compile(t, "report"), b); err != nil {
		t.Error(err)
	}
	for _, w := range all(false) {
		if w.Name() != "text" && w.Name() != "html" {
			continue
		}
		out := string(render(t, w, r))
		checkClean(t, out)
		for _, want := range []string{"is now", "benign", "a later link holds", "Suppressed: 3 alerts", "taken out of"} {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
				t.Errorf("%s does not say %q", w.Name(), want)
			}
		}
		if strings.Contains(string(render(t, w, sample())), "Decisions") {
			t.Errorf("%s speaks of decisions where there are none", w.Name())
		}
	}
}

// TestDecisionSchema holds the schema of a journal's line to what the program reads.
func TestDecisionSchema(t *testing.T) {
	schema := compile(t, "decision")
	r := decidedSample()
	for _, d := range append(r.Incidents[0].History, r.Decisions...) {
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, b); err != nil {
			t.Errorf("%s: %v", d.Kind, err)
		}
		for _, bad := range [][2]string{{`"reason":`, `"cause":`}, {`"kind":"`, `"kind":"un`}, {`"at":"`, `"at":"x`}} {
			if validate(t, schema, bytes.Replace(b, []byte(bad[0]), []byte(bad[1]), 1)) == nil {
				t.Errorf("the schema accepts %s in a %s", bad[1], d.Kind)
			}
		}
		d.Targets = append(d.Targets, "x")
		if b, err = json.Marshal(d); err != nil || validate(t, schema, b) == nil {
			t.Errorf("the schema accepts a target of any form in a %s", d.Kind)
		}
	}
}
