package casebook

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

var day = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

func alertID(n int) string { return model.AlertID("r", fmt.Sprint(n)) }

func testAlerts(n int) []*model.Alert {
	var out []*model.Alert
	for i := range n {
		out = append(out, &model.Alert{ID: alertID(i), Time: day.Add(time.Duration(i) * time.Minute), Rule: model.RuleInfo{ID: fmt.Sprint("rule-", i%3), Title: fmt.Sprint("Rule ", i%3)}, Product: "p",
			Entities: []model.Entity{{Type: model.Host, Value: fmt.Sprint("h", i%2), Role: model.Subject}}})
	}
	return out
}

func journal(t *testing.T, lines ...string) (*Journal, []Problem) {
	t.Helper()
	j, bad, err := Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return j, bad
}

func line(at time.Time, kind model.DecisionKind, rest string, targets ...string) string {
	s := fmt.Sprintf(`{"at":%q,"author":"ann","kind":%q,"reason":"because"`, at.Format(time.RFC3339), kind)
	if len(targets) > 0 {
		s += `,"targets":["` + strings.Join(targets, `","`) + `"]`
	}
	return s + rest + "}"
}

func TestReadNamesBadLinesAndGoesOn(t *testing.T) {
	a, b := alertID(0), alertID(1)
	j, bad := journal(t,
		line(day, model.Cut, "", a, b),
		`{"at":"2026-05-04T09:00:00Z"`,
		line(day, "explode", "", a),
		line(day, model.Cut, "", a),
		line(day, model.Cut, "", a, a),
		line(day, model.Cut, "", a, model.IncidentID(b)),
		line(day, model.JudgeAs, `,"value":"maybe"`, a),
		line(day, model.Suppress, `,"where":{"rule":"x"}`),
		line(day, model.Suppress, `,"where":{"rule":"x"},"til":"2027-01-01T00:00:00Z"`),
		line(day, model.Exclude, `,"where":{"entity":"web1"}`),
		strings.Repeat("x", MaxLine+10),
		"\xff",
		"",
		line(day, model.Comment, "", a),
		line(day, model.Comment, "", a),
	)
	if len(j.Decisions) != 2 || j.Decisions[0].Kind != model.Cut || j.Decisions[1].Kind != model.Comment {
		t.Fatalf("decisions: %+v", j.Decisions)
	}
	if len(bad) != 11 {
		t.Fatalf("%d problems: %v", len(bad), bad)
	}
	for i, p := range bad {
		if p.Line != i+2 || p.Cause == "" {
			t.Errorf("problem %d: %+v", i, p)
		}
	}
}

func TestJournalIsOrderedByTimeThenLine(t *testing.T) {
	a, b, c := alertID(0), alertID(1), alertID(2)
	lines := []string{line(day.Add(time.Hour), model.Comment, "", a), line(day, model.Comment, "", b), line(day, model.Comment, "", c)}
	j, _ := journal(t, lines...)
	if j.Decisions[0].Targets[0] != b || j.Decisions[1].Targets[0] != c || j.Decisions[2].Targets[0] != a {
		t.Fatalf("order: %+v", j.Decisions)
	}
}

func TestLaterDecisionHolds(t *testing.T) {
	a, b, c := alertID(0), alertID(1), alertID(2)
	for _, test := range []struct {
		name           string
		lines          []string
		together, kept bool // a with c
		effects        int  // decisions that do not do what they say
	}{
		{"a link", []string{line(day, model.LinkUp, "", a, c)}, true, false, 0},
		{"a cut", []string{line(day, model.Cut, "", a, c)}, false, true, 0},
		{"a link after a cut", []string{line(day, model.Cut, "", a, c), line(day.Add(1e9), model.LinkUp, "", a, c)}, true, false, 1},
		{"a cut after a link", []string{line(day.Add(1e9), model.Cut, "", a, c), line(day, model.LinkUp, "", a, c)}, false, true, 1},
		{"links that together join what an earlier cut parts", []string{line(day, model.Cut, "", a, c), line(day.Add(1e9), model.LinkUp, "", a, b), line(day.Add(2e9), model.LinkUp, "", b, c)}, true, false, 1},
		{"a cut after links that together join", []string{line(day, model.LinkUp, "", a, b), line(day.Add(1e9), model.LinkUp, "", b, c), line(day.Add(2e9), model.Cut, "", a, c)}, false, true, 1},
	} {
		j, bad := journal(t, test.lines...)
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		book := j.Apply(testAlerts(3))
		g, h := book.Group(a), book.Group(c)
		if got := g == h; got != test.together {
			t.Errorf("%s: together %v", test.name, got)
		}
		if got := book.Apart(g, h) && book.Apart(h, g); got != test.kept {
			t.Errorf("%s: kept apart %v", test.name, got)
		}
		n := 0
		for _, x := range book.entries {
			if x.effect != "" {
				n++
			}
		}
		if n != test.effects {
			t.Errorf("%s: %d decisions without effect, want %d", test.name, n, test.effects)
		}
	}
}

func TestUndoTakesBack(t *testing.T) {
	a, b := alertID(0), alertID(1)
	cut := line(day, model.Cut, "", a, b)
	j, _ := journal(t, cut)
	undo := line(day.Add(time.Hour), model.Undo, "", j.Decisions[0].ID)
	j, _ = journal(t, cut, undo)
	book := j.Apply(testAlerts(2))
	if len(book.groups.of) > 0 || book.entries[0].effect == "" {
		t.Fatalf("the cut still holds: %+v", book.entries[0])
	}
	again := line(day.Add(2*time.Hour), model.Undo, "", j.Decisions[1].ID)
	j, _ = journal(t, cut, undo, again)
	if book = j.Apply(testAlerts(2)); !book.Apart(book.Group(a), book.Group(b)) {
		t.Fatal("the undo was taken back, and the cut does not hold")
	}
	early := line(day.Add(-time.Hour), model.Undo, "", j.Decisions[0].ID)
	j, _ = journal(t, cut, early)
	if book = j.Apply(testAlerts(2)); !book.Apart(book.Group(a), book.Group(b)) {
		t.Fatal("an undo from before the cut took it back")
	}
	if book.entries[0].effect == "" {
		t.Error("an undo of nothing is not told")
	}
}

func TestSplitMoveAndMergeGoByTheAlertAnIncidentBeganWith(t *testing.T) {
	as := testAlerts(6)
	x, y := model.IncidentID(as[0].ID), model.IncidentID(as[3].ID)
	j, bad := journal(t,
		line(day, model.Split, "", x, as[1].ID, as[2].ID),
		line(day.Add(time.Hour), model.Move, "", as[4].ID, y, x),
		line(day.Add(time.Hour), model.Merge, "", y, model.IncidentID(as[5].ID)),
		line(day.Add(time.Hour), model.Split, "", x, as[0].ID),
		line(day.Add(time.Hour), model.Comment, "", model.IncidentID(alertID(99))),
	)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	b := j.Apply(as)
	g := func(i int) int { return b.Group(as[i].ID) }
	if g(1) != g(2) || !b.Apart(g(0), g(1)) || !b.Splits(as[1].ID) || b.Splits(as[0].ID) {
		t.Error("split")
	}
	if g(4) != g(0) || !b.Apart(g(4), g(3)) {
		t.Error("move")
	}
	if g(3) != g(5) || g(3) == 0 {
		t.Error("merge")
	}
	if b.entries[3].effect == "" || b.entries[4].effect == "" {
		t.Error("what cannot be done is not told")
	}
}

// Whatever is decided, decisions in force never contradict each other, and each
// is either in force or told to be overridden.
func TestDecisionsInForceAgree(t *testing.T) {
	as := testAlerts(12)
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var lines []string
		for i := range 25 {
			kind := []model.DecisionKind{model.Cut, model.LinkUp}[rnd.IntN(2)]
			a, c := rnd.IntN(len(as)), rnd.IntN(len(as)-1)
			if c >= a {
				c++
			}
			lines = append(lines, line(day.Add(time.Duration(i)*time.Second), kind, "", as[a].ID, as[c].ID))
		}
		j, _ := journal(t, lines...)
		b := j.Apply(as)
		for _, x := range b.entries {
			g, h := b.Group(x.d.Targets[0]), b.Group(x.d.Targets[1])
			if g == h && b.Apart(g, h) {
				t.Fatalf("seed %d: one group kept apart from itself", seed)
			}
			done := x.d.Kind == model.Cut && b.Apart(g, h) || x.d.Kind == model.LinkUp && g == h
			if !done && x.effect == "" {
				t.Fatalf("seed %d: %s does not hold and nothing says why", seed, x.d.Kind)
			}
			if x.effect == "" != done {
				t.Fatalf("seed %d: %s holds %v, told %q", seed, x.d.Kind, done, x.effect)
			}
		}
		// The order of lines of different times does not matter.
		rnd.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
		k, _ := journal(t, lines...)
		if !reflect.DeepEqual(j.Decisions, k.Decisions) {
			t.Fatalf("seed %d: shuffled lines read differently", seed)
		}
	}
}

func TestConditionsMatchWhatAllTheyNameSays(t *testing.T) {
	as := testAlerts(6)
	j, bad := journal(t,
		line(day, model.Suppress, `,"where":{"rule":"rule-0","entity":"host:h1"},"until":"2026-05-04T09:04:00Z"`),
		line(day, model.Suppress, `,"where":{"product":"p","since":"2026-05-04T09:05:00Z"},"until":"2027-01-01T00:00:00Z"`),
		line(day, model.Suppress, `,"where":{"rule":"rule-1"},"until":"2026-05-04T09:00:00Z"`),
		line(day, model.Exclude, `,"where":{"rule":"rule-2"}`),
		line(day, model.Exclude, `,"where":{"entity":"ip:192.0.2.1"}`),
	)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	b := j.Apply(as)
	for i, a := range as {
		if got, want := b.Suppressed(a) != "", i == 3 || i == 5; got != want {
			t.Errorf("alert %d suppressed: %v", i, got)
		}
		if got, want := b.Excluded(a), i%3 == 2; got != want {
			t.Errorf("alert %d excluded: %v", i, got)
		}
	}
	if !b.Blind(model.EntityKey{Type: model.IP, Value: "192.0.2.1"}) || b.Blind(model.EntityKey{Type: model.IP, Value: "192.0.2.2"}) {
		t.Error("entity")
	}
	if e := b.entries[2].effect; !strings.Contains(e, "ended before") {
		t.Errorf("an ended suppression is not told: %q", e)
	}
}

func TestAppendMendsATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.ndjson")
	d := model.Decision{At: day, Author: "ann", Kind: model.Comment, Targets: []string{alertID(1)}, Reason: "seen"}
	if err := Append(path, d); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteString(`{"at":"2026-`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	d.Reason = "seen again"
	if err := Append(path, d); err != nil {
		t.Fatal(err)
	}
	j, bad, err := Load(path)
	if err != nil || len(j.Decisions) != 2 || len(bad) != 1 || bad[0].Line != 2 {
		t.Fatalf("%v %v %+v", err, bad, j)
	}
	d.Reason = ""
	if err := Append(path, d); err == nil {
		t.Error("a decision without a reason was written")
	}
}

func reportOf(incidents map[string][]*model.Alert, order []string) *model.Report {
	r := &model.Report{}
	for _, id := range order {
		inc := model.Incident{ID: id, Status: "new", FirstSeen: incidents[id][0].Time}
		for _, a := range incidents[id] {
			inc.Alerts = append(inc.Alerts, a.ID)
			c := *a
			c.Incident = &id
			r.Alerts = append(r.Alerts, c)
		}
		r.Incidents = append(r.Incidents, inc)
	}
	return r
}

func TestAnnotateFollowsMerges(t *testing.T) {
	as := testAlerts(6)
	x, y := model.IncidentID(as[0].ID), model.IncidentID(as[3].ID)
	j, _ := journal(t,
		line(day, model.Comment, "", y),
		line(day, model.Assign, `,"value":"bob"`, y),
		line(day, model.SetStatus, `,"value":"in_progress"`, x),
		line(day.Add(time.Hour), model.Merge, "", x, y),
		line(day.Add(time.Hour), model.JudgeAs, `,"value":"true_positive"`, y),
		line(day, model.Suppress, `,"where":{"rule":"rule-0"},"until":"2027-01-01T00:00:00Z"`),
		line(day, model.Comment, "", alertID(77)),
	)
	r := reportOf(map[string][]*model.Alert{x: as}, []string{x}) // as fusion leaves it: one incident, of all
	j.Apply(as).Annotate(r)
	inc := r.Incidents[0]
	if inc.Assignee != "bob" || inc.Status != "in_progress" || inc.Verdict != model.TruePositive || len(inc.History) != 5 {
		t.Errorf("incident: %+v", inc)
	}
	if len(r.Redirects) != 1 || r.Redirects[0].From != y || r.Redirects[0].To != x || !strings.Contains(r.Redirects[0].Why, "merge") {
		t.Errorf("redirects: %+v", r.Redirects)
	}
	if len(inc.Suppressed) != 1 || inc.Suppressed[0].Alerts != 2 || !strings.Contains(inc.Suppressed[0].Text, `2 alerts of rule "Rule 0" (rule-0)`) || len(r.Suppressed) != 1 {
		t.Errorf("suppressed: %+v", inc.Suppressed)
	}
	if len(r.Decisions) != 2 || r.Decisions[1].Effect == "" && r.Decisions[0].Effect == "" || len(r.Notes) != 1 {
		t.Errorf("other decisions: %+v, notes %q", r.Decisions, r.Notes)
	}
}

func TestAnnotateKeepsTheLatestOfMany(t *testing.T) {
	as := testAlerts(2)
	x := model.IncidentID(as[0].ID)
	var lines []string
	for i := range maxShown + 50 {
		lines = append(lines, line(day.Add(time.Duration(i)*time.Second), model.Comment, "", x))
	}
	j, _ := journal(t, lines...)
	r := reportOf(map[string][]*model.Alert{x: as}, []string{x})
	j.Apply(as).Annotate(r)
	h := r.Incidents[0].History
	if len(h) != maxShown || !h[len(h)-1].At.Equal(j.Decisions[maxShown+49].At) || len(r.Notes) != 1 {
		t.Errorf("%d decisions, the last at %v; notes %q", len(h), h[len(h)-1].At, r.Notes)
	}
}

func TestAnnotateWithoutDecisionsChangesNothing(t *testing.T) {
	as := testAlerts(3)
	x := model.IncidentID(as[0].ID)
	r, want := reportOf(map[string][]*model.Alert{x: as}, []string{x}), reportOf(map[string][]*model.Alert{x: as}, []string{x})
	(&Journal{}).Apply(as).Annotate(r)
	(*Book)(nil).Annotate(r)
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v", r)
	}
}

func TestPreviewSaysWhatWouldBeSilent(t *testing.T) {
	as := testAlerts(6)
	x, y := model.IncidentID(as[0].ID), model.IncidentID(as[1].ID)
	r := reportOf(map[string][]*model.Alert{x: {as[0], as[3]}, y: {as[1], as[2]}}, []string{x, y})
	r.Alerts = append(r.Alerts, *as[4])
	j, _ := journal(t,
		line(day, model.Suppress, `,"where":{"rule":"rule-0"},"until":"2027-01-01T00:00:00Z"`),
		line(day, model.Suppress, `,"where":{"rule":"rule-1"},"until":"2027-01-01T00:00:00Z"`))
	p := PreviewOf(j, r)
	if len(p.Silent) != 1 || p.Silent[0].Incident != x || len(p.Weaker) != 1 || p.Weaker[0].Incident != y || p.Weaker[0].Suppressed != 1 {
		t.Errorf("%+v", p)
	}
	if len(p.Suppressions) != 2 || p.Suppressions[0].Alerts != 2 || p.Suppressions[1].Alone != 1 {
		t.Errorf("%+v", p.Suppressions)
	}
}

func FuzzRead(f *testing.F) {
	a, b := alertID(0), alertID(1)
	f.Add([]byte(line(day, model.Cut, "", a, b) + "\n" + line(day, model.LinkUp, "", b, a)))
	f.Add([]byte(line(day, model.Suppress, `,"where":{"entity":"host:h1"},"until":"2027-01-01T00:00:00Z"`)))
	f.Add([]byte(line(day, model.Split, "", model.IncidentID(a), b) + "\n" + line(day, model.Undo, "", "d-0123456789ab")))
	f.Add([]byte(line(day, model.Move, "", a, model.IncidentID(b), model.IncidentID(a)) + "\nnull\n[]\n{}\n\xff"))
	f.Add([]byte(`{"at":"0000-01-01T00:00:00Z","author":"x","kind":"comment","reason":"y","targets":["` + a + `"]}`))
	as := testAlerts(4)
	f.Fuzz(func(t *testing.T, in []byte) {
		j, bad, err := Read(bytes.NewReader(in))
		if err != nil || len(bad) > MaxProblems+1 {
			t.Fatalf("%v, %d problems", err, len(bad))
		}
		book := j.Apply(as)
		for _, x := range as {
			book.Excluded(x)
			book.Suppressed(x)
			for _, y := range as {
				if g, h := book.Group(x.ID), book.Group(y.ID); g == h && book.Apart(g, h) {
					t.Fatal("a group is kept apart from itself")
				}
			}
		}
		id := model.IncidentID(as[0].ID)
		r := reportOf(map[string][]*model.Alert{id: as}, []string{id})
		book.Annotate(r)
		PreviewOf(j, r)
		// What was read can be written and read again, and is then the same.
		path := filepath.Join(t.TempDir(), "j")
		if len(j.Decisions) == 0 {
			return
		}
		if err := Append(path, j.Decisions...); err != nil {
			t.Fatal(err)
		}
		k, bad, err := Load(path)
		if err != nil || len(bad) > 0 || !reflect.DeepEqual(j.Decisions, k.Decisions) {
			t.Fatalf("written and read again: %v %v\n%+v\n%+v", err, bad, j.Decisions, k.Decisions)
		}
	})
}
