package fusion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
)

var decidedAt = time.Date(2024, 3, 20, 9, 0, 0, 0, time.UTC)

// decide makes a journal, each decision a minute after the one before.
func decide(t *testing.T, ds ...model.Decision) *casebook.Journal {
	t.Helper()
	j := &casebook.Journal{}
	for i, d := range ds {
		d.At, d.Author, d.Reason = decidedAt.Add(time.Duration(i)*time.Minute), "ann", "because"
		if err := casebook.Check(d); err != nil {
			t.Fatal(err)
		}
		d.ID = model.DecisionID(d)
		j.Decisions = append(j.Decisions, d)
	}
	return j
}

func do(k model.DecisionKind, targets ...string) model.Decision {
	return model.Decision{Kind: k, Targets: targets}
}

func (w *world) fuse(j *casebook.Journal) (*Engine, []*Result) {
	e := New(Options{Decisions: j.Apply(w.alerts)})
	return e, e.Run(w.alerts, w.mem)
}

// in returns the result that holds an alert, nil if none does.
func in(rs []*Result, alert string) *Result {
	for _, r := range rs {
		if slices.ContainsFunc(r.Members, func(m Member) bool { return m.Alert.ID == alert }) {
			return r
		}
	}
	return nil
}

// obeyed fails if incidents contradict what is in force, or a member has no link.
func obeyed(t *testing.T, b *casebook.Book, rs []*Result) {
	t.Helper()
	group := map[int]*Result{}
	for _, r := range rs {
		to := map[string]bool{}
		for _, l := range r.Links {
			to[l.To] = true
		}
		bare := 0
		for _, m := range r.Members {
			if !to[m.Alert.ID] {
				bare++
			}
			g := b.Group(m.Alert.ID)
			if g == 0 {
				continue
			}
			if o := group[g]; o != nil && o != r {
				t.Errorf("%s and %s share alerts that decisions join", o.ID, r.ID)
			}
			group[g] = r
		}
		if bare > 1 {
			t.Errorf("%d members of %s have no link", bare, r.ID)
		}
	}
	for g, r := range group {
		for h, o := range group {
			if r == o && b.Apart(g, h) {
				t.Errorf("%s holds what decisions keep apart", r.ID)
			}
		}
	}
}

// twoAttacks is a busy estate with attacks on two hosts that have nothing in common.
func twoAttacks() (w *world, one, other []*model.Alert) {
	w = newWorld()
	for _, h := range []string{"h1", "h2", "h3"} {
		w.background(h, 40)
	}
	one, other = w.attackOn("h1", `corp\alice`, 100), w.attackOn("h2", `corp\bob`, 160)
	return w, one, other
}

func digest(t *testing.T, rs []*Result) []byte {
	t.Helper()
	b, err := json.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNoDecisionsChangeNothing(t *testing.T) {
	w, _, _ := twoAttacks()
	plain := New(Options{}).Run(w.alerts, w.mem)
	_, rs := w.fuse(decide(t, do(model.Comment, w.alerts[0].ID), do(model.Cut, model.AlertID("x", "1"), model.AlertID("x", "2"))))
	if !bytes.Equal(digest(t, plain), digest(t, rs)) {
		t.Error("decisions about nothing here change what is fused")
	}
}

func TestCutStaysCut(t *testing.T) {
	for i := range 5 {
		for k := i + 1; k < 5; k++ {
			w, one, _ := twoAttacks()
			a, b := one[i].ID, one[k].ID
			if _, rs := w.fuse(nil); in(rs, a) == nil || in(rs, a) != in(rs, b) {
				t.Fatalf("%d and %d are not in one incident to begin with", i, k)
			}
			j := decide(t, do(model.Cut, a, b))
			_, rs := w.fuse(j)
			if r := in(rs, a); r != nil && r == in(rs, b) {
				t.Errorf("%d and %d are in %s", i, k, r.ID)
			}
			obeyed(t, j.Apply(w.alerts), rs)
			// The attack goes on, with acts that carry what both carry.
			h := ent(model.Host, model.Subject, "h1")
			for n := range 12 {
				w.alert(200+float64(n)*30, fmt.Sprintf("later-%d", n), model.High, "collection", "h1", h, ent(model.User, model.Actor, `corp\alice`), proc(model.Actor, "h1-evil", ""))
			}
			_, rs = w.fuse(j)
			if r := in(rs, a); r != nil && r == in(rs, b) {
				t.Errorf("with later evidence %d and %d are in %s", i, k, r.ID)
			}
			obeyed(t, j.Apply(w.alerts), rs)
		}
	}
}

func TestCutHoldsWhileAlertsArrive(t *testing.T) {
	w, one, _ := twoAttacks()
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return a.Time.Compare(b.Time) })
	book := decide(t, do(model.Cut, one[0].ID, one[4].ID)).Apply(w.alerts)
	e := New(Options{Memory: w.mem, Decisions: book})
	for _, a := range w.alerts {
		e.Add(a)
		obeyed(t, book, e.Incidents())
	}
}

func TestCutInsideABurst(t *testing.T) {
	w := newWorld()
	h, p := ent(model.Host, model.Subject, ws1), proc(model.Subject, "p1", "")
	var burst []*model.Alert
	for i := range 8 {
		burst = append(burst, w.alert(float64(i), "one", model.Critical, "impact", ws1, h, p))
	}
	_, rs := w.fuse(nil)
	if in(rs, burst[0].ID) == nil || in(rs, burst[0].ID) != in(rs, burst[5].ID) {
		t.Fatal("the burst is not one incident to begin with")
	}
	j := decide(t, do(model.Cut, burst[0].ID, burst[5].ID))
	e, rs := w.fuse(j)
	if r := in(rs, burst[0].ID); r == nil || r == in(rs, burst[5].ID) || r != in(rs, burst[1].ID) {
		dump(t, e, rs)
		t.Error("the cut alert is in the burst, or took others out of it")
	}
	obeyed(t, j.Apply(w.alerts), rs)
}

func TestCutHoldsForWhatIsRemembered(t *testing.T) {
	w := newWorld()
	probe := months(w)
	stolen := theft(w, prober)
	earlier := func(j *casebook.Journal) []Earlier {
		return holding1(t, New(Options{Ledger: ledger.New(ledger.Options{}), Decisions: j.Apply(w.alerts)}).Run(w.alerts, w.mem), stolen[4]).Earlier
	}
	if l := earlier(nil); len(l) != 1 || l[0].Past.Alert != probe.ID {
		t.Fatal("the probe is not remembered to begin with")
	}
	if l := earlier(decide(t, do(model.Cut, probe.ID, stolen[4].ID))); slices.ContainsFunc(l, func(x Earlier) bool { return x.Past.Alert == probe.ID }) {
		t.Error("what was cut is remembered")
	}
}

func TestMergeKeepsTheOlderIDAndLosesNoMember(t *testing.T) {
	w, one, other := twoAttacks()
	_, rs := w.fuse(nil)
	x, y := in(rs, one[3].ID), in(rs, other[3].ID)
	if x == nil || y == nil || x == y || !x.Raised || !y.Raised {
		t.Fatal("want two incidents to begin with")
	}
	for _, order := range [][]string{{x.ID, y.ID}, {y.ID, x.ID}} {
		j := decide(t, do(model.Merge, order...))
		e, rs := w.fuse(j)
		obeyed(t, j.Apply(w.alerts), rs)
		r := in(rs, one[3].ID)
		if r == nil || !r.Raised || r.ID != x.ID {
			dump(t, e, rs)
			t.Fatalf("the merged incident is %+v, want %s", r, x.ID)
		}
		for _, was := range []*Result{x, y} {
			for _, m := range was.Members {
				if in(rs, m.Alert.ID) != r {
					t.Errorf("%s of %s is no member", m.Alert.ID, was.ID)
				}
			}
		}
		if !slices.ContainsFunc(r.Links, func(l model.Link) bool { return l.Reason == model.Analyst && l.Detail != "" }) {
			t.Error("no link says that an analyst merged them")
		}
		if !slices.Contains(r.Aliases, y.ID) {
			t.Errorf("aliases %v do not name %s", r.Aliases, y.ID)
		}
	}
}

func TestLinkJoinsIncidentsAndKeepsTheirID(t *testing.T) {
	w, one, _ := twoAttacks()
	_, rs := w.fuse(nil)
	x := in(rs, one[3].ID)
	early := w.alert(-3000, "odd-mail", model.Low, "initial-access", "h3", ent(model.Host, model.Subject, "h3"), ent(model.User, model.Actor, `corp\zoe`))
	_, rs = w.fuse(nil)
	if in(rs, early.ID) == in(rs, one[3].ID) || in(rs, one[3].ID).ID != x.ID {
		t.Fatal("what is to be linked belongs together, or changes the incident, without a link")
	}
	j := decide(t, do(model.LinkUp, early.ID, one[2].ID))
	_, rs = w.fuse(j)
	r := in(rs, early.ID)
	if r == nil || r != in(rs, one[3].ID) || r.ID != x.ID || !r.Raised {
		t.Fatalf("linked: %+v, want %s", r, x.ID)
	}
	if !slices.ContainsFunc(r.Links, func(l model.Link) bool {
		return l.Reason == model.Analyst && (l.From == early.ID && l.To == one[2].ID || l.To == early.ID && l.From == one[2].ID)
	}) {
		t.Error("no link says so")
	}
	if !ids(r, Core)[early.ID] {
		t.Error("what an analyst linked is context")
	}
	obeyed(t, j.Apply(w.alerts), rs)
	w.attackOn("h3", `corp\\zoe`, 4000) // evidence that comes later
	_, rs = w.fuse(j)
	if r := in(rs, early.ID); r == nil || r != in(rs, one[2].ID) || r.ID != x.ID {
		t.Errorf("with later evidence the link leads to %+v, want %s", r, x.ID)
	}
	obeyed(t, j.Apply(w.alerts), rs)
}

func TestSplitMakesAnIncidentOfItsOwn(t *testing.T) {
	w, one, _ := twoAttacks()
	_, rs := w.fuse(nil)
	x := in(rs, one[0].ID)
	var out []string
	for _, a := range one[2:] {
		if a.ID != x.Seed {
			out = append(out, a.ID)
		}
	}
	j := decide(t, do(model.Split, append([]string{x.ID}, out...)...))
	_, rs = w.fuse(j)
	r := in(rs, out[0])
	if r == nil || !r.Raised || r.ID == x.ID {
		t.Fatalf("taken out: %+v", r)
	}
	for _, id := range out {
		if in(rs, id) != r {
			t.Errorf("%s is elsewhere", id)
		}
	}
	if in(rs, x.Seed) != nil && in(rs, x.Seed).ID != x.ID {
		t.Error("what stayed has another id")
	}
	obeyed(t, j.Apply(w.alerts), rs)
	_, again := w.fuse(j)
	if !bytes.Equal(digest(t, rs), digest(t, again)) {
		t.Error("a replay differs")
	}
}

func TestMoveBringsOneAlertAcross(t *testing.T) {
	w, one, other := twoAttacks()
	_, rs := w.fuse(nil)
	x, y := in(rs, one[3].ID), in(rs, other[3].ID)
	moved := other[4].ID
	j := decide(t, do(model.Move, moved, y.ID, x.ID))
	_, rs = w.fuse(j)
	if r := in(rs, moved); r == nil || r.ID != x.ID {
		t.Errorf("moved to %+v, want %s", r, x.ID)
	}
	if r := in(rs, other[0].ID); r == nil || r.ID != y.ID {
		t.Errorf("what stayed is %+v, want %s", r, y.ID)
	}
	obeyed(t, j.Apply(w.alerts), rs)
}

func TestExcludedIsKeptOut(t *testing.T) {
	w, one, _ := twoAttacks()
	exclude := func(c model.Condition) *casebook.Journal {
		return decide(t, model.Decision{Kind: model.Exclude, Where: &c})
	}
	_, rs := w.fuse(exclude(model.Condition{Rule: one[3].Rule.ID}))
	if in(rs, one[3].ID) != nil {
		t.Error("an alert of an excluded rule is in an incident")
	}
	v := newWorld()
	ip := ent(model.IP, model.Src, "203.0.113.9")
	for i, h := range []string{"a", "b"} {
		v.alert(float64(i)*20, "deed-"+h, model.High, "lateral-movement", h, ent(model.Host, model.Subject, h), ip)
	}
	if _, rs := v.fuse(nil); in(rs, v.alerts[0].ID) == nil || in(rs, v.alerts[0].ID) != in(rs, v.alerts[1].ID) {
		t.Fatal("the address does not link to begin with")
	}
	if _, rs := v.fuse(exclude(model.Condition{Entity: "ip:203.0.113.9"})); in(rs, v.alerts[0].ID) != nil {
		t.Error("an entity that is kept out links")
	}
}

func TestSuppressedIsWeakEvidenceAndRaisesNothing(t *testing.T) {
	quiet := func(until time.Time, rule string) *casebook.Journal {
		return decide(t, model.Decision{Kind: model.Suppress, Where: &model.Condition{Rule: rule}, Until: &until})
	}
	w := newWorld()
	w.alert(0, "quiet", model.Critical, "impact", ws1, ent(model.Host, model.Subject, ws1))
	later := w.at(86400)
	if _, rs := w.fuse(quiet(later, "quiet")); len(raisedOf(rs)) != 0 {
		t.Error("a suppressed alert raised an incident")
	}
	if _, rs := w.fuse(quiet(w.at(0), "quiet")); len(raisedOf(rs)) != 1 {
		t.Error("a suppression that ended still silences")
	}
	g := newWorld()
	grave := ours(g.oneAct(0, ws1, "grave"))
	if _, rs := g.fuse(nil); in(raisedOf(rs), grave.ID) == nil {
		t.Fatal("one grave act is no incident to begin with")
	}
	if _, rs := g.fuse(quiet(later, grave.Rule.ID)); len(raisedOf(rs)) != 0 {
		t.Error("a suppressed grave act raised an incident")
	}
	// Much that is suppressed, on many hosts, by whatever rules.
	m := newWorld()
	for i := range 30 {
		h := fmt.Sprintf("h%d", i/3)
		m.attackOn(h, fmt.Sprintf(`corp\u%d`, i), float64(i)*600)
		m.alert(float64(i)*600+130, fmt.Sprintf("deed-%d", i), model.Critical, []string{"impact", "exfiltration", "collection"}[i%3], h,
			ent(model.Host, model.Subject, h), proc(model.Actor, h+"-evil", ""), ent(model.IP, model.Dst, "203.0.113.5"))
	}
	many := decide(t, model.Decision{Kind: model.Suppress, Where: &model.Condition{Product: "test"}, Until: &later})
	if _, rs := m.fuse(many); len(raisedOf(rs)) != 0 {
		t.Errorf("%d incidents of nothing but suppressed alerts", len(raisedOf(rs)))
	}
	v, one, _ := twoAttacks()
	_, rs := v.fuse(nil)
	before := in(rs, one[0].ID)
	_, rs = v.fuse(quiet(later, one[4].Rule.ID))
	after := in(rs, one[0].ID)
	if after == nil || !after.Raised || in(rs, one[4].ID) != after {
		t.Fatal("an incident lost what is suppressed in it")
	}
	if after.Bits >= before.Bits || after.ID != before.ID {
		t.Errorf("%s of %.1f bits with a member suppressed, %s of %.1f without", after.ID, after.Bits, before.ID, before.Bits)
	}
}

// Whatever analysts decide, in whatever order alerts come: what is in force holds,
// a replay gives the same, and ids stay or are known by the alert they began with.
func TestAnyDecisionsAreObeyed(t *testing.T) {
	w, _, _ := twoAttacks()
	_, rs := w.fuse(nil)
	var incidents, alerts []string
	for _, r := range raisedOf(rs) {
		incidents = append(incidents, r.ID)
		for _, m := range r.Members {
			alerts = append(alerts, m.Alert.ID)
		}
	}
	for _, a := range w.alerts[:20] {
		alerts = append(alerts, a.ID)
	}
	slices.Sort(alerts)
	alerts = slices.Compact(alerts)
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		pick := func(l []string, n int) []string {
			var out []string
			for _, i := range rnd.Perm(len(l))[:n] {
				out = append(out, l[i])
			}
			return out
		}
		var ds []model.Decision
		for range 1 + rnd.IntN(12) {
			switch rnd.IntN(5) {
			case 0:
				ds = append(ds, do(model.Cut, pick(alerts, 2)...))
			case 1:
				ds = append(ds, do(model.LinkUp, pick(alerts, 2)...))
			case 2:
				ds = append(ds, do(model.Split, append(pick(incidents, 1), pick(alerts, 1+rnd.IntN(4))...)...))
			case 3:
				ds = append(ds, do(model.Merge, pick(incidents, 2)...))
			case 4:
				ds = append(ds, do(model.Move, append(pick(alerts, 1), pick(incidents, 2)...)...))
			}
		}
		j := decide(t, ds...)
		_, first := w.fuse(j)
		obeyed(t, j.Apply(w.alerts), first)
		if t.Failed() {
			for _, d := range ds {
				t.Log(d.Kind, d.Targets)
			}
			t.Fatalf("seed %d", seed)
		}
		shuffled := &world{mem: w.mem, alerts: slices.Clone(w.alerts)}
		rnd.Shuffle(len(w.alerts), func(i, k int) {
			shuffled.alerts[i], shuffled.alerts[k] = shuffled.alerts[k], shuffled.alerts[i]
		})
		_, again := shuffled.fuse(j)
		if !bytes.Equal(digest(t, first), digest(t, again)) {
			t.Fatalf("seed %d: a replay differs", seed)
		}
		seen := map[string]bool{}
		for _, r := range first {
			if seen[r.ID] {
				t.Fatalf("seed %d: two incidents are %s", seed, r.ID)
			}
			seen[r.ID] = true
			if !slices.ContainsFunc(r.Members, func(m Member) bool { return model.IncidentID(m.Alert.ID) == r.ID }) {
				t.Fatalf("seed %d: %s began with none of its members", seed, r.ID)
			}
		}
	}
}
