package fusion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
	"pgregory.net/rapid"
)

// A message is one entry of the log that an engine folds: an alert, or all that was
// decided by then.
type message struct {
	alert   *model.Alert
	decided *casebook.Journal
}

func (e *Engine) fold1(m message) []Change {
	if m.alert != nil {
		return e.Add(m.alert)
	}
	return e.Decide(m.decided.Apply(e.Alerts()))
}

// said is all that an engine has to say.
func said(t *rapid.T, e *Engine) []byte {
	b, err := json.Marshal(struct {
		Incidents []*Result
		Redirects []model.Redirect
		Kept      []Kept
	}{e.Incidents(), e.Redirects(), e.Retained()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drawWorld is hours of noise on a few hosts and attacks among it, in the order of arrival:
// each alert comes up to five minutes late.
func drawWorld(t *rapid.T) *world {
	w := newWorld()
	hosts := rapid.IntRange(2, 5).Draw(t, "hosts")
	for i := range rapid.IntRange(20, 60).Draw(t, "noise") {
		host := fmt.Sprintf("h%d", i%hosts)
		w.alert(float64(i)*rapid.Float64Range(60, 1200).Draw(t, "pace"), fmt.Sprintf("n%d", i%7), []model.Severity{model.Low, model.Medium, model.High}[i%11%3], "discovery", host,
			ent(model.Host, model.Subject, host), ent(model.User, model.Actor, fmt.Sprintf(`corp\u%d`, i%3)), proc(model.Actor, fmt.Sprintf("p%d", i), `c:\x.exe`))
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "attacks") {
		w.attackOn(fmt.Sprintf("h%d", i), fmt.Sprintf(`corp\a%d`, rapid.IntRange(0, 1).Draw(t, "attacker")), rapid.Float64Range(0, 86400).Draw(t, "when"))
	}
	arrival := map[string]time.Time{}
	for _, a := range w.alerts {
		arrival[a.ID] = a.Time.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "late")) * time.Second)
	}
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return arrival[a.ID].Compare(arrival[b.ID]) })
	return w
}

// drawDecision decides something about what is raised, nil if nothing is.
func drawDecision(t *rapid.T, e *Engine, j *casebook.Journal) *casebook.Journal {
	rs := raisedOf(e.Incidents())
	if len(rs) == 0 {
		return nil
	}
	r := rs[rapid.IntRange(0, len(rs)-1).Draw(t, "incident")]
	member := func() string {
		return r.Members[rapid.IntRange(0, len(r.Members)-1).Draw(t, "member")].Alert.ID
	}
	d := model.Decision{At: decidedAt.Add(time.Duration(len(j.Decisions)) * time.Minute), Author: "ann", Reason: "because"}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		d.Kind, d.Targets = model.Cut, []string{member(), member()}
	case 1:
		d.Kind, d.Targets = model.Merge, []string{r.ID, rs[rapid.IntRange(0, len(rs)-1).Draw(t, "other")].ID}
	case 2:
		d.Kind, d.Targets, d.Value = model.JudgeAs, []string{r.ID}, rapid.SampledFrom([]string{model.BenignWork, model.TruePositive}).Draw(t, "verdict")
	case 3:
		d.Kind, d.Targets = model.Split, []string{r.ID, member()}
	case 4:
		until := e.now.Add(time.Hour)
		d.Kind, d.Where, d.Until = model.Suppress, &model.Condition{Rule: r.Members[0].Alert.Rule.ID}, &until
	}
	if casebook.Check(d) != nil { // an alert cut from itself
		return nil
	}
	d.ID = model.DecisionID(d)
	return &casebook.Journal{Decisions: append(slices.Clone(j.Decisions), d)}
}

// However alerts come and whatever people decide meanwhile: the same log gives the
// same, also after a kill at any point and with alerts sent twice; decisions hold; and
// each id that was told of is found, unless it was said that it ended.
func TestLawsOfTheStream(t *testing.T) {
	raised, decided := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		begin := func() *Engine { return New(Options{Memory: w.mem, Ledger: ledger.New(ledger.Options{})}) }
		e, j := begin(), &casebook.Journal{}
		e.begin = w.t0.Add(-48 * time.Hour) // it has watched for two days, so that attacks are told of
		var log []message
		told, ended := map[string]bool{}, map[string]bool{}
		take := func(m message) {
			log = append(log, m)
			for _, c := range e.fold1(m) {
				told[c.Incident], ended[c.Incident] = true, c.Kind == Ended
			}
			if m.alert != nil && len(log)%16 > 0 {
				return
			}
			for id := range told {
				if !ended[id] && e.Incident(id) == nil {
					t.Fatalf("%s was told of and is lost", id)
				}
			}
			obeys(t, j.Apply(e.Alerts()), raisedOf(e.Incidents()))
		}
		for _, a := range w.alerts {
			take(message{alert: a})
			if rapid.IntRange(0, 30).Draw(t, "decide") == 0 {
				if next := drawDecision(t, e, j); next != nil {
					j = next
					take(message{decided: j})
				}
			}
		}
		raised, decided = raised+len(told), decided+len(j.Decisions)
		want := said(t, e)
		at := rapid.IntRange(0, len(log)).Draw(t, "killed")
		again := begin()
		again.begin = e.begin
		for i, m := range log {
			again.fold1(m)
			if i == at && m.alert != nil {
				for _, before := range log[max(i-3, 0) : i+1] { // what was not acknowledged is sent again
					if before.alert != nil {
						again.fold1(before)
					}
				}
			}
		}
		if got := said(t, again); !bytes.Equal(got, want) {
			t.Fatalf("folded again:\n%s\nand was\n%s", got, want)
		}
	})
	if raised < 20 || decided < 20 {
		t.Errorf("%d incidents and %d decisions in all: the worlds show nothing", raised, decided)
	}
	t.Logf("%d incidents, %d decisions", raised, decided)
}

// obeys fails if an incident holds what decisions in force keep apart.
func obeys(t *rapid.T, b *casebook.Book, rs []*Result) {
	for _, r := range rs {
		groups := map[int]bool{}
		for _, m := range r.Members {
			if g := b.Group(m.Alert.ID); g != 0 {
				groups[g] = true
			}
		}
		for g := range groups {
			for h := range groups {
				if b.Apart(g, h) {
					t.Fatalf("%s holds what decisions keep apart", r.ID)
				}
			}
		}
	}
}
