package fusion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
)

// sorted returns the alerts of w in the order of time.
func (w *world) sorted() []*model.Alert {
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return a.Time.Compare(b.Time) })
	return w.alerts
}

// twoOver is estate with a second attack on another host an hour later.
func twoOver() *world {
	w := estate()
	w.attackOn("h4", `corp\bob`, 2.5*86400+3600)
	w.sorted()
	return w
}

// What changes tell of, Incident tells too, then and later; and when it was raised.
func TestIncidentByID(t *testing.T) {
	w := twoOver()
	e := New(Options{Memory: w.mem})
	raised := map[string]time.Time{}
	for _, a := range w.alerts {
		for _, c := range e.Add(a) {
			if c.Alert != a.ID || c.At.IsZero() || c.At.After(a.Time) {
				t.Errorf("%s by %s: %+v", a.Time, a.ID, c)
			}
			id := c.Incident
			if c.Kind == Raised {
				raised[id] = c.At
			}
			if c.Kind == Merged {
				id = c.Into
			}
			r := e.Incident(id)
			if r == nil || !r.Raised || r.ID != id {
				t.Fatalf("%s of %s: incident %+v", c.Kind, c.Incident, r)
			}
		}
	}
	for id, at := range raised {
		r := e.Incident(id)
		if r == nil || r.RaisedAt.After(at) || r.RaisedAt.Before(r.First) {
			t.Errorf("%s was raised at %s: %+v", id, at, r)
		}
	}
	if len(raised) != 2 {
		t.Errorf("%d incidents, want both attacks", len(raised))
	}
	if e.Incident("inc-0") != nil {
		t.Error("an id nobody was told of has an incident")
	}
	all := map[string]bool{}
	for _, r := range raisedOf(e.Incidents()) {
		all[r.ID] = true
	}
	for _, x := range e.Redirects() {
		if !all[x.To] || all[x.From] || e.Incident(x.From).ID != x.To {
			t.Errorf("redirect %+v", x)
		}
	}
}

// What comes more than two days late is fused no more, what comes within joins and
// teaches nothing; a product that is slow as a whole is not late.
func TestLateAlerts(t *testing.T) {
	w := estate()
	e := live(w, w.alerts)
	r := raisedOf(e.Incidents())[0]
	late := func(id string, at time.Time, product string) *model.Alert {
		a := w.alert(0, "lsass-read-again", model.High, "credential-access", "h2", ent(model.Host, model.Subject, "h2"), proc(model.Actor, "h2-svchost-1400", ""))
		a.ID, a.Time, a.End, a.Product = id, at, at, product
		return a
	}
	attack := w.at(2.5*86400 + 130)
	if got := e.now.Sub(attack); got < lateLearn || got > lateMost {
		t.Fatalf("the attack was %s ago", got)
	}
	if ch := e.Add(late("a-late", attack, "test")); len(ch) == 0 {
		t.Error("an alert of the attack that came hours late joined nothing")
	}
	if !e.seen["a-late"].late {
		t.Error("it teaches what is usual")
	}
	if got := e.Incident(r.ID); !slices.ContainsFunc(got.Members, func(m Member) bool { return m.Alert.ID == "a-late" }) {
		t.Error("it is no member of the attack")
	}
	old := e.now.Add(-lateMost - time.Hour)
	if ch := e.Add(late("a-old", old, "test")); len(ch) > 0 || e.seen["a-old"] != nil {
		t.Error("an alert of long ago was fused")
	}
	if e.Add(late("a-slow", old, "slow product")); e.seen["a-slow"] == nil || e.seen["a-slow"].late {
		t.Error("a product that is slow as a whole was taken for late")
	}
}

// Decisions that come while alerts do are obeyed: over what was fused and what comes.
// What they do not speak of stays as it is, under the same id.
func TestDecisionsWhileAlertsArrive(t *testing.T) {
	w := twoOver()
	at := slices.IndexFunc(w.alerts, func(a *model.Alert) bool { return a.Time.After(w.at(2.5*86400 + 2*3600)) })
	e := live(w, w.alerts[:at])
	before := raisedOf(e.Incidents())
	if len(before) != 2 {
		t.Fatalf("%d incidents, want two attacks", len(before))
	}
	slices.SortFunc(before, func(a, b *Result) int { return a.First.Compare(b.First) })
	one, other := before[0], before[1]

	// Nothing decided: nothing changes.
	if ch := e.Decide(nil); len(ch) > 0 {
		t.Errorf("no decision made %+v", ch)
	}

	// A cut: one member leaves, and stays out whatever comes.
	seed, out := one.Seed, one.Members[len(one.Members)-1].Alert.ID
	cut := decide(t, do(model.Cut, seed, out))
	ch := e.Decide(cut.Apply(e.Alerts()))
	if !slices.ContainsFunc(ch, func(c Change) bool { return c.Incident == one.ID && c.Kind == Grown }) {
		t.Errorf("a cut made %+v", ch)
	}
	stays := func() {
		t.Helper()
		if r := e.Incident(one.ID); r == nil || in([]*Result{r}, out) != nil || in([]*Result{r}, seed) == nil {
			t.Error("the cut did not hold")
		}
		if r := e.Incident(other.ID); r == nil || r.ID != other.ID || len(r.Members) < len(other.Members) {
			t.Error("the other incident lost something by it")
		}
	}
	stays()
	for _, a := range w.alerts[at:] {
		e.Add(a)
		stays()
	}

	// A merge: the ids of both lead to one.
	merge := decide(t, do(model.Cut, seed, out), do(model.Merge, one.ID, other.ID))
	ch = e.Decide(merge.Apply(e.Alerts()))
	a, b := e.Incident(one.ID), e.Incident(other.ID)
	if a == nil || b == nil || a.ID != b.ID {
		t.Fatalf("merged, and %+v is not %+v", a, b)
	}
	if !slices.ContainsFunc(ch, func(c Change) bool { return c.Kind == Merged && c.Into == a.ID }) {
		t.Errorf("a merge made %+v", ch)
	}
	if x := e.Redirects(); len(x) != 1 || x[0].To != a.ID {
		t.Errorf("redirects %+v", x)
	}

	// Taken back: two again, as they were.
	e.Decide(cut.Apply(e.Alerts()))
	stays()

	// All of one incident is kept out: there is no such incident any more.
	var ds []model.Decision
	for _, m := range other.Members {
		ds = append(ds, model.Decision{Kind: model.Exclude, Where: &model.Condition{Rule: m.Alert.Rule.ID, Since: &other.First}})
	}
	ch = e.Decide(decide(t, ds...).Apply(e.Alerts()))
	if !slices.ContainsFunc(ch, func(c Change) bool { return c.Incident == other.ID && c.Kind == Ended }) || e.Incident(other.ID) != nil {
		t.Errorf("all of it excluded, and %+v; %+v", ch, e.Incident(other.ID))
	}
}

// An engine that follows another has its incidents, with members, links, bits and ids,
// and goes on with them.
func TestSuccessorGoesOn(t *testing.T) {
	w := twoOver()
	at := slices.IndexFunc(w.alerts, func(a *model.Alert) bool { return a.Time.After(w.at(2.5*86400 + 100)) })
	e := live(w, w.alerts[:at])
	if n := len(raisedOf(e.Incidents())); n != 1 {
		t.Fatalf("%d incidents when the successor begins, want the first attack", n)
	}
	src, err := json.Marshal(e.Retained())
	if err != nil {
		t.Fatal(err)
	}
	load := func(src []byte) []Kept {
		var kept []Kept
		if err := json.Unmarshal(src, &kept); err != nil {
			t.Fatal(err)
		}
		return kept
	}
	next := New(Options{Memory: w.mem})
	next.Resume(load(src))
	was, is := raisedOf(e.Incidents())[0], raisedOf(next.Incidents())[0]
	for _, r := range []*Result{was, is} {
		for i := range r.Members {
			r.Members[i].Same = "" // who told first is of what memory still has
		}
	}
	if a, b := digest(t, []*Result{was}), digest(t, []*Result{is}); !bytes.Equal(a, b) {
		t.Errorf("the successor has\n%s\nwant\n%s", b, a)
	}
	for _, a := range w.alerts[at:] {
		e.Add(a)
		next.Add(a)
	}
	grown := next.Incident(was.ID)
	if grown == nil || len(grown.Members) <= len(was.Members) {
		t.Errorf("%s did not grow: %+v", was.ID, grown)
	}
	if next.Incident(was.ID).RaisedAt != was.RaisedAt {
		t.Error("it was raised at another time")
	}
	// When it takes over, it has all that its forerunner has by now.
	src, err = json.Marshal(e.Retained())
	if err != nil {
		t.Fatal(err)
	}
	next.Resume(load(src))
	for _, r := range raisedOf(e.Incidents()) {
		got := next.Incident(r.ID)
		if got == nil {
			t.Errorf("%s is lost", r.ID)
			continue
		}
		for _, m := range r.Members {
			if m.Tier == Core && in([]*Result{got}, m.Alert.ID) == nil {
				t.Errorf("%s lost %s", r.ID, m.Alert.ID)
			}
		}
	}
	// And decisions about what came over are obeyed.
	out := was.Members[1].Alert.ID
	next.Decide(decide(t, do(model.Cut, was.Seed, out)).Apply(next.Alerts()))
	if r := next.Incident(was.ID); r == nil || in([]*Result{r}, out) != nil {
		t.Errorf("a cut of what came over did not hold: %+v", r)
	}
}

// A hostile or damaged file of what is kept does no harm.
func TestResumeOfNonsense(t *testing.T) {
	e := New(Options{})
	e.Resume([]Kept{{}, {ID: "inc-1", Seed: "a-1", Bursts: []KeptBurst{{}, {Alerts: []KeptAlert{{}}}, {Alerts: []KeptAlert{{Alert: &model.Alert{ID: "a-2"}}}, Link: &model.Link{From: "a-9"}}}}})
	e.Add(newWorld().alert(0, "r", model.High, "execution", ws1, ent(model.Host, model.Subject, ws1)))
	e.Incidents()
	e.Decide(&casebook.Book{})
	e.Retained()
}

// The ledger is asked and told while alerts arrive, and what it comes to is the same
// when all of it is folded again.
func TestLedgerWhileAlertsArrive(t *testing.T) {
	fold := func(book Ledger) (*Engine, *Result) {
		w := newWorld()
		months(w)
		stolen := theft(w, prober, crowd, "198.51.100.9")
		e := New(Options{Ledger: book})
		for _, a := range w.sorted() {
			e.Add(a)
		}
		return e, e.Incident(holding1(t, e.Incidents(), stolen[4]).ID)
	}
	book := ledger.New(ledger.Options{})
	_, first := fold(book)
	if first == nil || len(first.Earlier) != 1 || !strings.Contains(first.Earlier[0].Link.Detail, "118 days earlier") {
		t.Fatalf("%+v, want the probe remembered", first)
	}
	stats := fmt.Sprint(book.Stats())
	_, again := fold(book) // killed, and its log folded again over what it wrote
	if a, b := digest(t, []*Result{first}), digest(t, []*Result{again}); !bytes.Equal(a, b) || fmt.Sprint(book.Stats()) != stats {
		t.Errorf("folded again it is\n%s\nand was\n%s", b, a)
	}
}

// What an engine forgets is what is over: not half of a slow campaign.
func TestSlowCampaignOutlivesForgetting(t *testing.T) {
	w := newWorld()
	attack := map[int]bool{}
	for i := range 3000 {
		s := 3*86400 + float64(i)*20
		host := fmt.Sprintf("h%d", i)
		w.alert(s, "noise", model.Low, "discovery", host, ent(model.Host, model.Subject, host))
		if i%20 == 10 && len(attack) < 6 {
			k := len(attack)
			attack[i] = true
			w.alert(s+1, fmt.Sprintf("attack-%d", k), []model.Severity{model.Medium, model.High}[k/3%2], []string{"execution", "discovery", "credential-access", "lateral-movement", "collection", "exfiltration"}[k], ws1,
				ent(model.Host, model.Subject, ws1), ent(model.User, model.Actor, `corp\mallory`), proc(model.Actor, "evil", `c:\evil.exe`))
		}
	}
	w.alert(0, "noise", model.Low, "discovery", "h", ent(model.Host, model.Subject, "h")) // the engine has watched for days
	w.sorted()
	for _, most := range []int{1_000_000, 60} {
		e := New(Options{Memory: w.mem, MaxMetas: most})
		for _, a := range w.alerts {
			e.Add(a)
		}
		rs := raisedOf(e.Incidents())
		if len(rs) != 1 || len(rs[0].Members) < 6 {
			dump(t, e, rs)
			t.Errorf("of at most %d: %d incidents, want the campaign", most, len(rs))
		}
	}
}

// Ever new incidents push out the ones longest silent, and cost no more than noise.
func TestFloodOfIncidentsIsBounded(t *testing.T) {
	const most = 400
	e, w := New(Options{MaxMetas: most}), newWorld()
	for i := range 5000 {
		host := fmt.Sprintf("h%d", i)
		e.Add(w.alert(float64(i)*600, fmt.Sprintf("grave-%d", i), model.Critical, "impact", host, ent(model.Host, model.Subject, host)))
		w.alerts = nil
	}
	if len(e.metas) > most+1 || len(e.stream.told) > most+1 || len(e.seen) > most+1 || len(e.stream.log) > most+1 {
		t.Errorf("%d metas, %d incidents told, %d alerts seen, %d in the log", len(e.metas), len(e.stream.told), len(e.seen), len(e.stream.log))
	}
	if n := len(raisedOf(e.Incidents())); n == 0 {
		t.Error("no incident is left")
	}
}
