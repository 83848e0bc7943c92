package fusion

import (
	"slices"
	"testing"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// One user does the same on two machines within a day, and people say in between what
// the first was.
func TestVerdictsTeach(t *testing.T) {
	for _, c := range []struct {
		verdict string
		user    string // of the second time
		again   bool   // told of
		learned bool   // what the first was made of is background
	}{
		{"", `corp\alice`, true, false},
		{model.TruePositive, `corp\alice`, true, false},
		{model.BenignWork, `corp\alice`, false, true},
		{model.FalsePositive, `corp\alice`, false, true},
		{model.BenignWork, `corp\bob`, true, true},
	} {
		t.Run(c.verdict+" "+c.user, func(t *testing.T) {
			w := estate()
			second := w.attackOn("h4", c.user, 2.9*86400)[:4] // a little less than the first
			w.alerts = w.alerts[:len(w.alerts)-1]
			w.sorted()
			at := slices.IndexFunc(w.alerts, func(a *model.Alert) bool { return a.Time.After(w.at(2.6 * 86400)) })
			e := live(w, w.alerts[:at])
			first := raisedOf(e.Incidents())
			if len(first) != 1 {
				t.Fatalf("%d incidents, want one", len(first))
			}
			var said *casebook.Journal
			if c.verdict != "" {
				d := do(model.JudgeAs, first[0].ID)
				d.Value = c.verdict
				said = decide(t, d)
				if ch := e.Decide(said.Apply(e.Alerts())); len(ch) > 0 {
					t.Errorf("a verdict made %+v", ch)
				}
			}
			for _, a := range w.alerts[at:] {
				e.Add(a)
			}
			told := in(raisedOf(e.Incidents()), second[3].ID) != nil
			if told != c.again {
				t.Errorf("the second was told of: %v\n%s", told, e.Explain(second[3].ID))
			}
			if ch := e.Decide(said.Apply(e.Alerts())); len(ch) > 0 {
				t.Errorf("the same decisions once more made %+v", ch)
			}
			if e.Incident(first[0].ID) == nil {
				t.Error("what was judged is no incident any more")
			}
			learned := 0
			for _, m := range first[0].Members {
				if e.seen[m.Alert.ID].fresh {
					learned++
				}
			}
			if (learned > 0) != c.learned {
				t.Errorf("%d of %d members are background", learned, len(first[0].Members))
			}
		})
	}
}

// A member that people found to be an attack is never learnt, not even in the first
// hours, and one found harmless is, though its incident is an attack.
func TestVerdictOnAnAlert(t *testing.T) {
	w := estate()
	e := live(w, w.alerts)
	r := raisedOf(e.Incidents())[0]
	early, one := w.alerts[3], r.Members[len(r.Members)-1].Alert
	if !e.seen[early.ID].fresh || e.seen[one.ID].fresh {
		t.Fatal("noise is not background, or the attack is")
	}
	bad, good := do(model.JudgeAs, early.ID), do(model.JudgeAs, one.ID)
	bad.Value, good.Value = model.TruePositive, model.BenignWork
	e.Decide(decide(t, bad, good).Apply(e.Alerts()))
	if e.seen[early.ID].fresh || !e.seen[one.ID].fresh {
		t.Error("verdicts on alerts taught nothing")
	}
}
