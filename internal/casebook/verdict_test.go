package casebook

import (
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// The latest verdict that is not taken back holds, on an alert or on an incident.
func TestVerdict(t *testing.T) {
	seed := "a-00112233445566778899"
	inc := model.IncidentID(seed)
	j := &Journal{}
	say := func(kind model.DecisionKind, target, value string) string {
		d := model.Decision{At: time.Unix(int64(len(j.Decisions)), 0).UTC(), Author: "ann", Kind: kind, Targets: []string{target}, Value: value, Reason: "seen"}
		if err := Check(d); err != nil {
			t.Fatal(err)
		}
		d.ID = model.DecisionID(d)
		j.Decisions = append(j.Decisions, d)
		return d.ID
	}
	holds := func(alert, incident string) {
		t.Helper()
		b := j.Apply([]*model.Alert{{ID: seed}})
		if got := b.Verdict(seed); got != alert {
			t.Errorf("on the alert %q, want %q", got, alert)
		}
		if got := b.VerdictOn(seed); got != incident {
			t.Errorf("on the incident %q, want %q", got, incident)
		}
	}
	holds("", "")
	say(model.JudgeAs, inc, model.TruePositive)
	holds("", model.TruePositive)
	say(model.JudgeAs, seed, model.FalsePositive)
	last := say(model.JudgeAs, inc, model.BenignWork)
	holds(model.FalsePositive, model.BenignWork)
	say(model.Undo, last, "")
	holds(model.FalsePositive, model.TruePositive)
	var none *Book
	if none.Verdict(seed) != "" || none.VerdictOn(seed) != "" {
		t.Error("no book has verdicts")
	}
}
