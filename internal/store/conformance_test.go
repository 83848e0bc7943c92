package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// caseStore is what every store of cases must be: the engine writes through it, server and
// notifiers read. A further implementation passes conform.
type caseStore interface {
	Close() error
	Commit(context.Context, Commit) (bool, []model.Change, error)
	Applied(context.Context) (uint64, error)
	State(context.Context, string) ([]byte, error)
	Incidents(context.Context, IncidentFilter) (Page[Listed], error)
	IncidentFacets(context.Context, IncidentFilter) (Facets, error)
	Incident(context.Context, string) (Case, error)
	History(context.Context, string, string, int) (Page[Version], error)
	Alerts(context.Context, AlertFilter) (Page[Alert], error)
	Alert(context.Context, string) (Alert, error)
	AlertsByID(context.Context, []string) ([]Alert, error)
	Entity(context.Context, model.EntityKey) (EntityPage, error)
	Entities(context.Context, EntityFilter) (Page[Thing], error)
	Decide(context.Context, model.Decision, Expect) (Decided, error)
	Decisions(context.Context, DecisionFilter) ([]Said, error)
	Journal(context.Context) ([]model.Decision, error)
	Reach(context.Context, string, Milestone, time.Time) error
	AddChanges(context.Context, ...model.Change) ([]model.Change, error)
	LastChange() int64
	Changes(context.Context, int64, int) ([]model.Change, int64, error)
	IncidentChanges(context.Context, string, int) ([]model.Change, error)
	WaitChange(context.Context, int64) error
	Unplanned(context.Context, int) ([]model.Change, error)
	LastTold(context.Context, string, string) (time.Time, error)
	Plan(context.Context, int64, []Delivery) error
	Due(context.Context, time.Time, int) ([]Delivery, error)
	Done(context.Context, int64, string, time.Time) error
	Fail(context.Context, int64, string, time.Time, bool) error
	DeadLetters(context.Context, string, int) (Page[Delivery], error)
	Requeue(context.Context, int64, time.Time) (int64, error)
	OutboxStats(context.Context) (Outbox, error)
	PutObject(context.Context, Object, int64) (Object, error)
	Object(context.Context, string, string) (Object, error)
	Objects(context.Context, string, string, int) ([]Object, error)
	DeleteObject(context.Context, string, string, int64) error
	Audit(context.Context, ...AuditRow) error
	AuditRows(context.Context, AuditFilter) (Page[AuditRow], error)
	VerifyAudit(context.Context) (int64, string, error)
}

// conform checks that what open makes in a folder behaves as a store of cases must. open
// is called again on a folder to see what was kept.
func conform(t *testing.T, open func(t *testing.T, dir string) caseStore) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s caseStore)
	}{
		{"a commit takes effect once", conformOnce},
		{"a commit that fails leaves nothing", conformNothing},
		{"what cannot be stored stops nothing else", conformRefused},
		{"incidents are filtered, ordered and paged", conformIncidents},
		{"text of attackers is text", conformHostile},
		{"a merge takes everything along", conformMerge},
		{"what lived on lives again", conformRevive},
		{"alerts follow their incident", conformAlerts},
		{"entities are counted", conformEntities},
		{"decisions lie over what the engine wrote", conformDecisions},
		{"a decision expects what was seen", conformExpect},
		{"history tells each version", conformHistory},
		{"changes are numbered and waited for", conformChanges},
		{"a change goes by a route once", conformOutbox},
		{"objects have versions", conformObjects},
		{"the audit is a chain", conformAudit},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer func() { must(t, s.Close()) }()
			c.test(t, s)
		})
	}
}

func TestCasesConform(t *testing.T) {
	conform(t, func(t *testing.T, dir string) caseStore {
		c, err := OpenCases(dir)
		must(t, err)
		return c
	})
}

// tb is a test, a fuzz target or a check of rapid.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want one that is %v", err, want)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("differs (-want +got):\n%s", d)
	}
}

var (
	ctx = context.Background()
	day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func ids[T any](l []T, id func(T) string) []string {
	out := []string{}
	for _, x := range l {
		out = append(out, id(x))
	}
	return out
}

func listedIDs(p Page[Listed]) []string { return ids(p.Items, func(l Listed) string { return l.ID }) }

// testAlert is the n-th alert, on a host of its number and a user that all share.
func testAlert(n int) model.Alert {
	at := day.Add(time.Duration(n) * time.Minute)
	return model.Alert{ID: model.AlertID("rule", fmt.Sprint(n)), Time: at, End: at.Add(time.Second), Count: 1 + n,
		Rule: model.RuleInfo{ID: fmt.Sprintf("rule-%d", n%3), Title: fmt.Sprintf("Rule %d", n%3), Level: model.High, Source: "builtin"}, Product: []string{"windows", "aws"}[n%2], Severity: model.High, Stage: model.StageIntrusion,
		Entities: []model.Entity{{Type: model.Host, Value: fmt.Sprintf("host%d", n), Role: model.Subject}, {Type: model.User, Value: `corp\alice`, Role: model.Actor}, {Type: model.Host, Value: "siem", Role: model.Sensor}},
		Evidence: []model.Evidence{{Input: "a.log", Record: int64(n), ID: fmt.Sprintf("e-%024x", n)}}}
}

// testIncident is an incident of some of the alerts above, the first its seed.
func testIncident(severity model.Severity, score int, alerts ...int) Written {
	inc := model.Incident{Title: "Incident of " + fmt.Sprint(alerts), Severity: severity, Score: score, Status: "new", Stages: []model.Stage{model.StageIntrusion}, Tactics: []string{"initial-access"}, Techniques: []string{"T1110.003"},
		Summary: []model.Sentence{{Text: "Somebody guessed passwords."}}}
	for _, n := range alerts {
		a := testAlert(n)
		inc.Alerts = append(inc.Alerts, a.ID)
		for _, e := range a.Entities {
			if e.Role != model.Sensor && !slices.ContainsFunc(inc.Entities, func(v model.EntityView) bool { return v.Value == e.Value }) {
				inc.Entities = append(inc.Entities, model.EntityView{Type: e.Type, Value: e.Value, FirstSeen: a.Time, LastSeen: a.End})
			}
		}
		if inc.FirstSeen.IsZero() {
			inc.FirstSeen = a.Time
		}
		inc.LastSeen = a.End
	}
	inc.ID = model.IncidentID(inc.Alerts[0])
	return Written{Incident: inc, Sources: []string{"windows"}, Why: "raised", Milestones: model.Milestones{Act: &inc.FirstSeen}}
}

func testAlerts(n ...int) (out []model.Alert) {
	for _, i := range n {
		out = append(out, testAlert(i))
	}
	return out
}

func commit(t *testing.T, s caseStore, c Commit) []model.Change {
	t.Helper()
	if c.Offset == 0 {
		n, err := s.Applied(ctx)
		must(t, err)
		c.Offset = n + 1
	}
	if c.Time.IsZero() {
		c.Time = day.Add(time.Duration(c.Offset) * time.Hour)
	}
	ok, changes, err := s.Commit(ctx, c)
	must(t, err)
	if !ok {
		t.Fatalf("commit %d was not applied", c.Offset)
	}
	return changes
}

func conformOnce(t *testing.T, s caseStore) {
	in := testIncident(model.High, 70, 0, 1)
	c := Commit{Offset: 7, Time: day, Alerts: testAlerts(0, 1, 2), Incidents: []Written{in}, Changes: []model.Change{{Kind: model.IncidentRaised, Incident: in.Incident.ID}}, State: map[string][]byte{"generation": []byte("3")}}
	changes := commit(t, s, c)
	if len(changes) != 1 || changes[0].Seq != 1 || !changes[0].Time.Equal(day) {
		t.Fatalf("changes are %+v", changes)
	}
	for _, offset := range []uint64{7, 6, 1} {
		c.Offset = offset
		ok, changes, err := s.Commit(ctx, c)
		must(t, err)
		if ok || changes != nil {
			t.Fatalf("commit %d after 7 was applied: %v", offset, changes)
		}
	}
	n, err := s.Applied(ctx)
	must(t, err)
	v, err := s.State(ctx, "generation")
	must(t, err)
	all, _, err := s.Changes(ctx, 0, 0)
	must(t, err)
	got, err := s.Incident(ctx, in.Incident.ID)
	must(t, err)
	if n != 7 || string(v) != "3" || len(all) != 1 || got.Version != 1 {
		t.Fatalf("offset %d, state %q, %d changes, version %d", n, v, len(all), got.Version)
	}
	want, _ := json.Marshal(in.Incident)
	have, _ := json.Marshal(got.Incident)
	equal(t, string(have), string(want))
	commit(t, s, Commit{Offset: 8, State: map[string][]byte{"generation": nil}})
	if v, err := s.State(ctx, "generation"); err != nil || v != nil {
		t.Fatalf("deleted state is %q, %v", v, err)
	}
	// Saying the same again is no new version.
	commit(t, s, Commit{Offset: 9, Incidents: []Written{in}})
	got, err = s.Incident(ctx, in.Incident.ID)
	must(t, err)
	if got.Version != 1 {
		t.Fatalf("the same document twice is version %d", got.Version)
	}
}

func conformNothing(t *testing.T, s caseStore) {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := s.Commit(cancelled, Commit{Offset: 1, Time: day, Alerts: testAlerts(0)}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled commit: %v", err)
	}
	n, err := s.Applied(ctx)
	must(t, err)
	l, err := s.Alerts(ctx, AlertFilter{})
	must(t, err)
	p, err := s.Incidents(ctx, IncidentFilter{})
	must(t, err)
	if n != 0 || len(l.Items) != 0 || len(p.Items) != 0 {
		t.Fatalf("offset %d, %d alerts, %d incidents after commits that failed", n, len(l.Items), len(p.Items))
	}
	commit(t, s, Commit{Offset: 1, Alerts: testAlerts(0)})
}

func conformRefused(t *testing.T, s caseStore) {
	good, bad := testIncident(model.High, 70, 0), testIncident(model.High, 70, 1)
	bad.Incident.FirstSeen = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) // has no JSON form
	alerts := testAlerts(0, 1, 2)
	alerts[1].Time = bad.Incident.FirstSeen
	alerts[2].ID = ""
	ok, changes, err := s.Commit(ctx, Commit{Offset: 1, Time: day, Alerts: alerts, Incidents: []Written{bad, good}, Changes: []model.Change{{Kind: model.IncidentRaised, Incident: good.Incident.ID}}})
	wantErr(t, err, ErrInvalid)
	if !ok || len(changes) != 1 || !strings.Contains(err.Error(), bad.Incident.ID) || !strings.Contains(err.Error(), alerts[1].ID) || strings.Contains(err.Error(), good.Incident.ID) {
		t.Fatalf("applied %v, %d changes, %v", ok, len(changes), err)
	}
	p, err := s.Incidents(ctx, IncidentFilter{})
	must(t, err)
	equal(t, listedIDs(p), []string{good.Incident.ID})
	l, err := s.Alerts(ctx, AlertFilter{})
	must(t, err)
	equal(t, len(l.Items), 1)
	ok, _, err = s.Commit(ctx, Commit{Offset: 1, Time: day, Incidents: []Written{bad}})
	must(t, err)
	if ok {
		t.Fatal("the same round was applied twice")
	}
}

func conformIncidents(t *testing.T, s caseStore) {
	a, b, c, d := testIncident(model.Low, 20, 0), testIncident(model.Critical, 90, 1), testIncident(model.High, 60, 2), testIncident(model.High, 60, 3)
	c.Incident.Techniques, c.Incident.Tactics, c.Incident.Stages = []string{"T1059.001", "T1110"}, []string{"execution"}, []model.Stage{model.StageExploitation, model.StageExfiltration}
	c.Sources = []string{"aws"}
	commit(t, s, Commit{Alerts: testAlerts(0, 1, 2, 3), Incidents: []Written{a, b, c}})
	commit(t, s, Commit{Incidents: []Written{d}})
	id := func(w Written) string { return w.Incident.ID }
	f := func(f IncidentFilter, want ...Written) {
		t.Helper()
		p, err := s.Incidents(ctx, f)
		must(t, err)
		equal(t, listedIDs(p), ids(want, id))
		facets, err := s.IncidentFacets(ctx, f)
		must(t, err)
		equal(t, facets.Total, len(want))
	}
	f(IncidentFilter{}, b, d, c, a)
	f(IncidentFilter{Order: ByLastSeen}, d, c, b, a)
	f(IncidentFilter{Order: ByUpdated}, d, c, b, a)
	f(IncidentFilter{Severity: []model.Severity{model.High, model.Low}}, d, c, a)
	f(IncidentFilter{Stage: []string{"exploitation"}}, c)
	f(IncidentFilter{Stage: []string{"exploitation", "exfiltration"}}, c)
	f(IncidentFilter{Tactic: []string{"initial-access"}}, b, d, a)
	f(IncidentFilter{Technique: []string{"T1110"}}, b, d, c, a)
	f(IncidentFilter{Technique: []string{"T1110.003"}}, b, d, a)
	f(IncidentFilter{Technique: []string{"T111"}})
	f(IncidentFilter{Source: []string{"aws"}}, c)
	f(IncidentFilter{Entities: []model.EntityKey{{Type: model.Host, Value: "host1"}}}, b)
	f(IncidentFilter{Entities: []model.EntityKey{{Type: model.Host, Value: "host1"}, {Type: model.Host, Value: "host2"}}})
	f(IncidentFilter{Text: "GUESSED"}, b, d, c, a)
	f(IncidentFilter{Text: "host2"}, c)
	f(IncidentFilter{Since: day.Add(2 * time.Minute)}, d, c)
	f(IncidentFilter{Until: day.Add(2 * time.Minute)}, b, a)
	f(IncidentFilter{Status: []string{"new"}, Severity: []model.Severity{model.Low}}, a)
	f(IncidentFilter{Status: []string{"closed"}})
	nobody, yes := "", true
	f(IncidentFilter{Owner: &nobody, Open: &yes}, b, d, c, a)
	p, err := s.Incidents(ctx, IncidentFilter{Severity: []model.Severity{model.Critical}})
	must(t, err)
	got := p.Items[0]
	if got.Alerts != 1 || got.Entities != 2 || !slices.Equal(got.Sources, []string{"windows"}) || !slices.Equal(got.Techniques, []string{"T1110.003"}) || got.Milestones.Act == nil || !got.Milestones.Act.Equal(b.Incident.FirstSeen) || got.Milestones.Noticed != nil {
		t.Errorf("listed is %+v", got)
	}
	facets, err := s.IncidentFacets(ctx, IncidentFilter{Severity: []model.Severity{model.High, model.Critical}})
	must(t, err)
	equal(t, facets.By["severity"], []Count{{"high", 2}, {"critical", 1}})
	equal(t, facets.By["stage"], []Count{{"intrusion", 2}, {"exfiltration", 1}, {"exploitation", 1}})

	// Pages are the list, also while it changes behind them.
	for _, order := range []Order{ByRank, ByLastSeen, ByUpdated} {
		whole, err := s.Incidents(ctx, IncidentFilter{Order: order})
		must(t, err)
		var got []string
		f := IncidentFilter{Order: order, Limit: 1}
		for {
			p, err := s.Incidents(ctx, f)
			must(t, err)
			got = append(got, listedIDs(p)...)
			if f.Cursor = p.Next; f.Cursor == "" {
				break
			}
			if len(got) > 10 {
				t.Fatal("the pages do not end")
			}
		}
		equal(t, got, listedIDs(whole))
	}
	p, err = s.Incidents(ctx, IncidentFilter{Limit: 2})
	must(t, err)
	_, err = s.Incidents(ctx, IncidentFilter{Limit: 2, Cursor: p.Next, Text: "other"})
	wantErr(t, err, ErrCursor)
	for _, bad := range []string{"x", "e30", strings.Repeat("A", 5000), "eyJmIjoiIiwiayI6W119"} {
		_, err = s.Incidents(ctx, IncidentFilter{Cursor: bad})
		wantErr(t, err, ErrCursor)
	}
	_, err = s.Incidents(ctx, IncidentFilter{Order: "severity; DROP TABLE incident"})
	wantErr(t, err, ErrInvalid)
	_, err = s.Incidents(ctx, IncidentFilter{Status: make([]string, maxValues+1)})
	wantErr(t, err, ErrInvalid)
	_, err = s.Incident(ctx, "inc-0")
	wantErr(t, err, ErrNotFound)
}

func conformHostile(t *testing.T, s caseStore) {
	for i, evil := range []string{`'; DROP TABLE incident; --`, `%`, `_`, "100%_\\", "nul\x00byte", "\xff\xfe", `"]}`, "line\nfeed", strings.Repeat("long ", 20_000)} {
		w := testIncident(model.High, 50, 100+i)
		w.Incident.Title, w.Sources = evil, []string{evil}
		w.Incident.Techniques = []string{evil}
		w.Incident.Entities = []model.EntityView{{Type: model.File, Value: evil, FirstSeen: day, LastSeen: day}}
		a := testAlert(100 + i)
		a.Rule.ID, a.Rule.Title, a.Product = evil, evil, evil
		a.Entities = append(a.Entities, model.Entity{Type: model.File, Value: evil, Name: evil})
		commit(t, s, Commit{Alerts: []model.Alert{a}, Incidents: []Written{w}})
		if len(evil) < 1000 && strings.ToValidUTF8(evil, "") == evil {
			p, err := s.Incidents(ctx, IncidentFilter{Entities: []model.EntityKey{{Type: model.File, Value: evil}}, Text: evil, Source: []string{evil}, Technique: []string{evil}})
			must(t, err)
			equal(t, listedIDs(p), []string{w.Incident.ID})
			l, err := s.Alerts(ctx, AlertFilter{Rule: []string{evil}, Text: evil, Product: []string{evil}, Entity: &model.EntityKey{Type: model.File, Value: evil}})
			must(t, err)
			if len(l.Items) != 1 || l.Items[0].Rule.Title != evil {
				t.Errorf("alerts of %q: %+v", evil, l.Items)
			}
		}
	}
	p, err := s.Incidents(ctx, IncidentFilter{Text: "%_"})
	must(t, err)
	if len(p.Items) != 1 {
		t.Errorf("%d incidents have a literal %%_, want 1", len(p.Items))
	}
}

func conformMerge(t *testing.T, s caseStore) {
	a, b, c := testIncident(model.High, 60, 0), testIncident(model.High, 50, 1), testIncident(model.Low, 10, 2)
	commit(t, s, Commit{Alerts: testAlerts(0, 1, 2), Incidents: []Written{a, b, c}})
	decide(t, s, model.Decision{Kind: model.Assign, Targets: []string{b.Incident.ID}, Value: "bob"})
	decide(t, s, model.Decision{Kind: model.Comment, Targets: []string{b.Incident.ID}, Reason: "looks bad"})
	must(t, s.Reach(ctx, b.Incident.ID, Noticed, day))
	// c into b, and b into a: both lead to a.
	commit(t, s, Commit{Merged: []model.Redirect{{From: c.Incident.ID, To: b.Incident.ID, Why: "shares a user"}}})
	whole := testIncident(model.Critical, 80, 0, 1, 2)
	commit(t, s, Commit{Incidents: []Written{whole}, Merged: []model.Redirect{{From: b.Incident.ID, To: a.Incident.ID, Why: "one tree"}}})
	for _, id := range []string{a.Incident.ID, b.Incident.ID, c.Incident.ID} {
		got, err := s.Incident(ctx, id)
		must(t, err)
		if got.ID != a.Incident.ID || got.Owner != "bob" || got.Incident.Assignee != "bob" || got.Milestones.Noticed == nil || (got.Asked != "") != (id != a.Incident.ID) {
			t.Fatalf("%s leads to %+v", id, got.Listed)
		}
		h, err := s.History(ctx, id, "", 0)
		must(t, err)
		if len(h.Items) < 4 { // three raised, one grown
			t.Fatalf("history is %+v", h.Items)
		}
		said, err := s.Decisions(ctx, DecisionFilter{Target: id})
		must(t, err)
		if len(said) != 2 {
			t.Fatalf("decisions about %s are %+v", id, said)
		}
	}
	p, err := s.Incidents(ctx, IncidentFilter{})
	must(t, err)
	equal(t, listedIDs(p), []string{a.Incident.ID})
	l, err := s.Alerts(ctx, AlertFilter{Incident: &a.Incident.ID})
	must(t, err)
	equal(t, len(l.Items), 3)
	e, err := s.Entity(ctx, model.EntityKey{Type: model.User, Value: `corp\alice`})
	must(t, err)
	equal(t, []int{e.Incidents, e.Open, e.Alerts}, []int{1, 1, 3})
	// A decision about a part is one about the whole.
	d := decide(t, s, model.Decision{Kind: model.SetStatus, Targets: []string{c.Incident.ID}, Value: "in_progress"})
	equal(t, d.Incident, a.Incident.ID)
	// Circles lead nowhere.
	commit(t, s, Commit{Merged: []model.Redirect{{From: a.Incident.ID, To: b.Incident.ID}, {From: a.Incident.ID, To: a.Incident.ID}}})
	if _, err := s.Incident(ctx, b.Incident.ID); err != nil {
		t.Fatal(err)
	}
}

func conformRevive(t *testing.T, s caseStore) {
	a, b := testIncident(model.High, 60, 0), testIncident(model.High, 50, 1)
	commit(t, s, Commit{Alerts: testAlerts(0, 1), Incidents: []Written{a, b}})
	commit(t, s, Commit{Incidents: []Written{testIncident(model.High, 60, 0, 1)}, Merged: []model.Redirect{{From: b.Incident.ID, To: a.Incident.ID}}})
	commit(t, s, Commit{Incidents: []Written{a, b}}) // a person cut them apart
	got, err := s.Incident(ctx, b.Incident.ID)
	must(t, err)
	if got.ID != b.Incident.ID || got.Gone {
		t.Fatalf("the cut incident leads to %+v", got.Listed)
	}
	al, err := s.Alert(ctx, testAlert(1).ID)
	must(t, err)
	if al.Incident == nil || *al.Incident != b.Incident.ID {
		t.Fatalf("its alert is in %v", al.Incident)
	}
	commit(t, s, Commit{Withdrawn: []string{b.Incident.ID}})
	p, err := s.Incidents(ctx, IncidentFilter{})
	must(t, err)
	equal(t, listedIDs(p), []string{a.Incident.ID})
	got, err = s.Incident(ctx, b.Incident.ID)
	must(t, err)
	if !got.Gone {
		t.Fatal("a withdrawn incident is not gone")
	}
	al, err = s.Alert(ctx, testAlert(1).ID)
	must(t, err)
	if al.Incident != nil {
		t.Fatalf("the alert of a withdrawn incident is in %s", *al.Incident)
	}
	e, err := s.Entity(ctx, model.EntityKey{Type: model.Host, Value: "host1"})
	must(t, err)
	equal(t, e.Incidents, 0)
}

func conformAlerts(t *testing.T, s caseStore) {
	commit(t, s, Commit{Alerts: testAlerts(0, 1, 2, 3, 4)})
	none := ""
	f := func(f AlertFilter, want ...int) {
		t.Helper()
		p, err := s.Alerts(ctx, f)
		must(t, err)
		equal(t, ids(p.Items, func(a Alert) string { return a.ID }), ids(want, func(n int) string { return testAlert(n).ID }))
	}
	f(AlertFilter{}, 4, 3, 2, 1, 0)
	f(AlertFilter{Rule: []string{"rule-0"}}, 3, 0)
	f(AlertFilter{Product: []string{"aws"}}, 3, 1)
	f(AlertFilter{Entity: &model.EntityKey{Type: model.User, Value: `corp\alice`}, Rule: []string{"rule-1"}}, 4, 1)
	f(AlertFilter{Entity: &model.EntityKey{Type: model.Host, Value: "siem"}})
	f(AlertFilter{Text: "rule 2"}, 2)
	f(AlertFilter{Since: day.Add(time.Minute), Until: day.Add(3 * time.Minute)}, 2, 1)
	f(AlertFilter{Severity: []model.Severity{model.Low}})
	in := testIncident(model.High, 50, 1, 2)
	commit(t, s, Commit{Incidents: []Written{in}})
	f(AlertFilter{Incident: &in.Incident.ID}, 2, 1)
	f(AlertFilter{Incident: &none}, 4, 3, 0)
	// It lets one go and takes another; the other incident takes the one.
	less, other := testIncident(model.High, 50, 1, 3), testIncident(model.High, 40, 2, 4)
	commit(t, s, Commit{Incidents: []Written{other, less}})
	f(AlertFilter{Incident: &in.Incident.ID}, 3, 1)
	f(AlertFilter{Incident: &other.Incident.ID}, 4, 2)
	// An alert that matched again is still in its incident.
	again := testAlert(1)
	again.Count, again.End = 50, again.End.Add(time.Hour)
	commit(t, s, Commit{Alerts: []model.Alert{again}})
	got, err := s.Alert(ctx, again.ID)
	must(t, err)
	if got.Count != 50 || got.Incident == nil || *got.Incident != in.Incident.ID {
		t.Fatalf("matched again: %+v", got)
	}
	e, err := s.Entity(ctx, model.EntityKey{Type: model.User, Value: `corp\alice`})
	must(t, err)
	if e.Alerts != 5 || !e.LastSeen.Equal(again.End) {
		t.Fatalf("entity is %+v", e.Thing)
	}
	var paged []string
	for f := (AlertFilter{Entity: &model.EntityKey{Type: model.User, Value: `corp\alice`}, Limit: 2}); ; {
		p, err := s.Alerts(ctx, f)
		must(t, err)
		paged = append(paged, ids(p.Items, func(a Alert) string { return a.ID })...)
		if f.Cursor = p.Next; f.Cursor == "" {
			break
		}
	}
	equal(t, len(paged), 5)
	_, err = s.Alert(ctx, "a-0")
	wantErr(t, err, ErrNotFound)
	l, err := s.AlertsByID(ctx, []string{testAlert(3).ID, "a-0", testAlert(0).ID})
	must(t, err)
	equal(t, ids(l, func(a Alert) string { return a.ID }), []string{testAlert(3).ID, testAlert(0).ID})
}

func conformEntities(t *testing.T, s caseStore) {
	commit(t, s, Commit{Alerts: testAlerts(0, 1, 2, 3), Incidents: []Written{testIncident(model.High, 50, 0, 1)}})
	e, err := s.Entity(ctx, model.EntityKey{Type: model.User, Value: `corp\alice`})
	must(t, err)
	if e.Alerts != 4 || e.Incidents != 1 || !e.FirstSeen.Equal(day) || len(e.Rules) != 3 || e.Rules[0].Rule != "rule-0" || e.Rules[0].Alerts != 2 || e.Rules[0].Matches != 5 || len(e.Latest) != 1 {
		t.Fatalf("entity is %+v", e)
	}
	// An alert that is about something else now is not found by what it was.
	a := testAlert(0)
	a.Entities = []model.Entity{{Type: model.Host, Value: "host0", Role: model.Subject}}
	commit(t, s, Commit{Alerts: []model.Alert{a}})
	e, err = s.Entity(ctx, model.EntityKey{Type: model.User, Value: `corp\alice`})
	must(t, err)
	equal(t, e.Alerts, 3)
	p, err := s.Entities(ctx, EntityFilter{Prefix: "host", Limit: 3})
	must(t, err)
	equal(t, ids(p.Items, func(t Thing) string { return t.Value }), []string{"host3", "host2", "host1"})
	p, err = s.Entities(ctx, EntityFilter{Prefix: "host", Limit: 3, Cursor: p.Next})
	must(t, err)
	equal(t, ids(p.Items, func(t Thing) string { return t.Value }), []string{"host0"})
	p, err = s.Entities(ctx, EntityFilter{Text: "ALICE", Type: []model.EntityType{model.User}})
	must(t, err)
	equal(t, len(p.Items), 1)
	_, err = s.Entity(ctx, model.EntityKey{Type: model.User, Value: "nobody"})
	wantErr(t, err, ErrNotFound)
}

// decide makes a decision, each a second after the one before.
func decide(t *testing.T, s caseStore, d model.Decision) Decided {
	t.Helper()
	if d.At.IsZero() {
		l, err := s.Journal(ctx)
		must(t, err)
		d.At = day.Add(time.Duration(len(l)) * time.Second)
	}
	d.Author = "ann"
	if d.Reason == "" {
		d.Reason = "because"
	}
	out, err := s.Decide(ctx, d, Expect{})
	must(t, err)
	return out
}

func conformDecisions(t *testing.T, s caseStore) {
	in := testIncident(model.High, 50, 0, 1)
	id := in.Incident.ID
	commit(t, s, Commit{Alerts: testAlerts(0, 1), Incidents: []Written{in}})
	first := decide(t, s, model.Decision{Kind: model.SetStatus, Targets: []string{id}, Value: "in_progress"})
	if !first.Applied || first.Incident != id || first.Edit != 2 || len(first.Changes) != 1 || first.Changes[0].Kind != model.IncidentEdited || first.Changes[0].Actor != "ann" || first.Changes[0].Detail != "status: in_progress" {
		t.Fatalf("decided %+v", first)
	}
	again, err := s.Decide(ctx, first.Decision, Expect{})
	must(t, err)
	if again.Applied || again.Edit != 2 || len(again.Changes) != 0 {
		t.Fatalf("decided twice: %+v", again)
	}
	decide(t, s, model.Decision{Kind: model.Assign, Targets: []string{id}, Value: "bob"})
	closed := decide(t, s, model.Decision{Kind: model.SetStatus, Targets: []string{id}, Value: "closed"})
	decide(t, s, model.Decision{Kind: model.JudgeAs, Targets: []string{id}, Value: model.TruePositive})
	got, err := s.Incident(ctx, id)
	must(t, err)
	if got.Status != "closed" || got.Incident.Status != "closed" || got.Owner != "bob" || got.Verdict != model.TruePositive || got.Edit != 5 || got.Version != 1 || got.Milestones.Acknowledged == nil || !got.Milestones.Acknowledged.Equal(day) || got.Milestones.Contained == nil || got.ETag() != "1-5" {
		t.Fatalf("incident is %+v", got.Listed)
	}
	no := false
	p, err := s.Incidents(ctx, IncidentFilter{Open: &no, Status: []string{"closed"}, Verdict: []string{model.TruePositive}})
	must(t, err)
	equal(t, listedIDs(p), []string{id})
	// Taken back, the one before holds; the engine's next version changes nothing of it.
	undo := decide(t, s, model.Decision{Kind: model.Undo, Targets: []string{closed.Decision.ID}})
	equal(t, undo.Incident, id)
	in.Incident.Score = 60
	commit(t, s, Commit{Incidents: []Written{in}})
	got, err = s.Incident(ctx, id)
	must(t, err)
	if got.Status != "in_progress" || got.Version != 2 || got.Score != 60 {
		t.Fatalf("after undo: %+v", got.Listed)
	}
	decide(t, s, model.Decision{Kind: model.Assign, Targets: []string{id}})
	if got, err = s.Incident(ctx, id); err != nil || got.Owner != "" {
		t.Fatalf("assigned to nobody: %q, %v", got.Owner, err)
	}
	// Verdicts on alerts show on alerts.
	judged := decide(t, s, model.Decision{Kind: model.JudgeAs, Targets: []string{testAlert(1).ID}, Value: model.FalsePositive})
	al, err := s.Alert(ctx, testAlert(1).ID)
	must(t, err)
	equal(t, al.Verdict, model.FalsePositive)
	decide(t, s, model.Decision{Kind: model.Undo, Targets: []string{judged.Decision.ID}})
	if al, err = s.Alert(ctx, testAlert(1).ID); err != nil || al.Verdict != "" {
		t.Fatalf("verdict taken back is %q, %v", al.Verdict, err)
	}
	// A decision may come before what it is about.
	early := testIncident(model.High, 30, 7)
	_, err = s.Decide(ctx, model.Decision{At: day, Author: "ann", Kind: model.SetStatus, Targets: []string{early.Incident.ID}, Value: "on_hold", Reason: "known"}, Expect{})
	wantErr(t, err, ErrNotFound)
	_, err = s.Decide(ctx, model.Decision{At: day, Author: "ann", Kind: model.SetStatus, Targets: []string{early.Incident.ID}, Value: "on_hold", Reason: "known"}, Expect{Unknown: true})
	must(t, err)
	commit(t, s, Commit{Alerts: testAlerts(7), Incidents: []Written{early}})
	if got, err = s.Incident(ctx, early.Incident.ID); err != nil || got.Status != "on_hold" {
		t.Fatalf("decided before it was: %q, %v", got.Status, err)
	}
	until := day.Add(time.Hour)
	decide(t, s, model.Decision{Kind: model.Suppress, Where: &model.Condition{Rule: "rule-1"}, Until: &until})
	for at, n := range map[time.Time]int{day: 1, until.Add(time.Second): 0} {
		l, err := s.Decisions(ctx, DecisionFilter{Kinds: []model.DecisionKind{model.Suppress}, InForce: at})
		must(t, err)
		equal(t, len(l), n)
	}
	_, err = s.Decide(ctx, model.Decision{Kind: "nonsense"}, Expect{})
	wantErr(t, err, ErrInvalid)
	_, err = s.Decide(ctx, model.Decision{At: day, Author: "ann", Reason: "x", Kind: model.Undo, Targets: []string{"d-000000000000"}}, Expect{})
	wantErr(t, err, ErrNotFound)
	// The journal is what the casebook takes.
	j, err := s.Journal(ctx)
	must(t, err)
	for i, d := range j {
		must(t, casebook.Check(d))
		if i > 0 && d.At.Before(j[i-1].At) || d.ID != model.DecisionID(d) {
			t.Errorf("decision %d of the journal: %+v", i, d)
		}
	}
	equal(t, len(j), 10)
}

func conformExpect(t *testing.T, s caseStore) {
	in := testIncident(model.High, 50, 0)
	id := in.Incident.ID
	commit(t, s, Commit{Alerts: testAlerts(0), Incidents: []Written{in}})
	d := model.Decision{At: day, Author: "ann", Kind: model.SetStatus, Targets: []string{id}, Value: "closed", Reason: "done"}
	for _, x := range []Expect{{Version: 2}, {Edit: 2}, {Version: 1, Edit: 2}} {
		_, err := s.Decide(ctx, d, x)
		wantErr(t, err, ErrConflict)
	}
	if l, err := s.Journal(ctx); err != nil || len(l) != 0 || s.LastChange() != 0 {
		t.Fatalf("refused decisions left %v, %v", l, err)
	}
	_, err := s.Decide(ctx, d, Expect{Version: 1, Edit: 1})
	must(t, err)
	wantErr(t, s.Reach(ctx, "inc-0", Noticed, day), ErrNotFound)
	wantErr(t, s.Reach(ctx, id, "title = 'x'", day), ErrInvalid)
}

func conformHistory(t *testing.T, s caseStore) {
	var id string
	for i := range 7 {
		in := testIncident(model.High, 50+i/2, 0)
		id = in.Incident.ID
		in.Incident.Impact.Summary = fmt.Sprint(i) // alone it is no line of the history
		in.Why = ""
		commit(t, s, Commit{Alerts: testAlerts(0), Incidents: []Written{in}})
	}
	var scores []int
	for cursor, n := "", 0; ; n++ {
		p, err := s.History(ctx, id, cursor, 1)
		must(t, err)
		for _, v := range p.Items {
			scores = append(scores, v.Score)
		}
		if cursor = p.Next; cursor == "" || n > 10 {
			break
		}
	}
	equal(t, scores, []int{53, 52, 51, 50})
	got, err := s.Incident(ctx, id)
	must(t, err)
	equal(t, got.Version, int64(7))
}

func conformChanges(t *testing.T, s caseStore) {
	woken := make(chan error, 1)
	go func() { woken <- s.WaitChange(ctx, 2) }()
	commit(t, s, Commit{Changes: []model.Change{{Kind: model.IncidentRaised, Incident: "inc-1"}, {Kind: model.IncidentGrown, Incident: "inc-1", Detail: "more"}}})
	out, err := s.AddChanges(ctx, model.Change{Kind: model.SourceQuiet, Source: "syslog", Time: day})
	must(t, err)
	equal(t, out[0].Seq, int64(3))
	select {
	case err := <-woken:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("nobody woke who waited for change 3")
	}
	l, first, err := s.Changes(ctx, 1, 1)
	must(t, err)
	if len(l) != 1 || l[0].Seq != 2 || l[0].Detail != "more" || first != 1 {
		t.Fatalf("changes after 1 are %+v, first %d", l, first)
	}
	l, err = s.IncidentChanges(ctx, "inc-1", 1)
	must(t, err)
	if len(l) != 1 || l[0].Seq != 2 {
		t.Fatalf("latest change of the incident is %+v", l)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	wantErr(t, s.WaitChange(short, 3), context.DeadlineExceeded)
	must(t, s.WaitChange(ctx, 2))
}

func conformOutbox(t *testing.T, s caseStore) {
	commit(t, s, Commit{Changes: []model.Change{{Kind: model.IncidentRaised, Incident: "inc-1"}, {Kind: model.IncidentGrown, Incident: "inc-1"}, {Kind: model.IncidentGrown, Incident: "inc-1"}, {Kind: model.IncidentRaised, Incident: "inc-4"}}})
	seqs := func() []int64 {
		out := []int64{}
		l, err := s.Unplanned(ctx, 10)
		must(t, err)
		for _, ch := range l {
			out = append(out, ch.Seq)
		}
		return out
	}
	equal(t, seqs(), []int64{1, 2, 3, 4})
	plan := func(seq int64, l ...Delivery) {
		t.Helper()
		must(t, s.Plan(ctx, seq, l))
	}
	later := day.Add(time.Minute)
	first := []Delivery{{Route: "soc", Target: "slack", Key: "k1", After: day}, {Route: "soc", Target: "mail", Key: "k1", After: later}}
	plan(1, first...)
	plan(1, first...) // said twice
	plan(1, Delivery{Route: "other", Target: "slack", Key: "k1", After: day})
	equal(t, seqs(), []int64{2, 3, 4})
	due := func(at time.Time, want ...string) []Delivery {
		t.Helper()
		l, err := s.Due(ctx, at, 0)
		must(t, err)
		equal(t, ids(l, func(d Delivery) string { return fmt.Sprint(d.Change.Seq, d.Route, d.Target, d.Tries, d.Thread) }), append([]string{}, want...))
		return l
	}
	d := due(day, "1socslack0")[0]
	if d.Change.Incident != "inc-1" || d.Key != "k1" || !d.After.Equal(day) || !d.LastTold.IsZero() {
		t.Fatalf("due is %+v", d)
	}
	must(t, s.Done(ctx, d.ID, "171.1", day))
	due(day)
	told, err := s.LastTold(ctx, "soc", "k1")
	must(t, err)
	equal(t, told, day)
	// What grew while it waited is told once, by the latest.
	plan(2, Delivery{Route: "soc", Target: "slack", Key: "k1", After: later, Merge: true})
	plan(3, Delivery{Route: "soc", Target: "slack", Key: "k1", After: later.Add(time.Hour), Merge: true})
	plan(4)
	equal(t, seqs(), []int64{})
	l := due(later, "1socmail0", "3socslack0171.1")
	equal(t, l[1].LastTold, day)
	must(t, s.Fail(ctx, l[1].ID, "no route to host", later.Add(time.Hour), false))
	due(later, "1socmail0")
	due(later.Add(time.Hour), "1socmail0", "3socslack1171.1")
	must(t, s.Fail(ctx, l[1].ID, "gone for good", later, true))
	must(t, s.Fail(ctx, l[0].ID, "no such mailbox", later, true))
	must(t, s.Done(ctx, l[0].ID, "", later)) // too late: it stays dead
	due(later.Add(time.Hour))
	var dead []string
	for cursor := ""; ; {
		p, err := s.DeadLetters(ctx, cursor, 1)
		must(t, err)
		dead = append(dead, ids(p.Items, func(d Delivery) string { return fmt.Sprint(d.Change.Seq, d.Target, d.Tries, d.Error) })...)
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	equal(t, dead, []string{"3slack2gone for good", "1mail1no such mailbox"})
	k, err := s.Requeue(ctx, l[1].ID, later)
	must(t, err)
	equal(t, k, int64(1))
	due(later, "3socslack0171.1")
	o, err := s.OutboxStats(ctx)
	must(t, err)
	if o.Pending != 1 || o.Dead != 1 || o.Unplanned != 0 || o.Oldest == nil || !o.Oldest.Equal(later) {
		t.Fatalf("outbox is %+v", o)
	}
	k, err = s.Requeue(ctx, 0, later)
	must(t, err)
	equal(t, k, int64(1))
	wantErr(t, s.Done(ctx, 99, "", day), ErrNotFound)
	wantErr(t, s.Plan(ctx, 99, nil), ErrNotFound)
}

func conformObjects(t *testing.T, s caseStore) {
	x := Object{Kind: "hunt", Name: "lsass", Owner: "ann", Time: day, Author: "ann", Body: []byte(`{"q":1}`)}
	got, err := s.PutObject(ctx, x, 0)
	must(t, err)
	equal(t, got.Version, int64(1))
	_, err = s.PutObject(ctx, x, 0)
	wantErr(t, err, ErrExists)
	_, err = s.PutObject(ctx, x, 2)
	wantErr(t, err, ErrConflict)
	x.Body = []byte(`{"q":2}`)
	got, err = s.PutObject(ctx, x, 1)
	must(t, err)
	read, err := s.Object(ctx, "hunt", "lsass")
	must(t, err)
	equal(t, read, got)
	_, err = s.PutObject(ctx, Object{Kind: "hunt", Name: "bad", Body: []byte(`{`)}, 0)
	wantErr(t, err, ErrInvalid)
	_, err = s.PutObject(ctx, Object{Kind: "hunt", Name: "big", Body: []byte(`"` + strings.Repeat("x", maxObject) + `"`)}, 0)
	wantErr(t, err, ErrInvalid)
	x.Name = "a"
	_, err = s.PutObject(ctx, x, -1)
	must(t, err)
	l, err := s.Objects(ctx, "hunt", "a", 0)
	must(t, err)
	equal(t, ids(l, func(x Object) string { return x.Name }), []string{"lsass"})
	wantErr(t, s.DeleteObject(ctx, "hunt", "lsass", 1), ErrConflict)
	must(t, s.DeleteObject(ctx, "hunt", "lsass", 2))
	wantErr(t, s.DeleteObject(ctx, "hunt", "lsass", -1), ErrNotFound)
	_, err = s.Object(ctx, "hunt", "lsass")
	wantErr(t, err, ErrNotFound)
}

func conformAudit(t *testing.T, s caseStore) {
	for i := range 5 {
		must(t, s.Audit(ctx, AuditRow{Time: day.Add(time.Duration(i) * time.Second), Actor: "ann", Action: "login"}, AuditRow{Time: day, Actor: "bob", Action: "decide", Object: "inc-1", Detail: "'; DELETE FROM audit; --", Address: "192.0.2.1"}))
	}
	p, err := s.AuditRows(ctx, AuditFilter{Actor: "ann", Limit: 3})
	must(t, err)
	equal(t, ids(p.Items, func(r AuditRow) string { return fmt.Sprint(r.Seq) }), []string{"9", "7", "5"})
	p, err = s.AuditRows(ctx, AuditFilter{Actor: "ann", Limit: 3, Cursor: p.Next})
	must(t, err)
	equal(t, ids(p.Items, func(r AuditRow) string { return fmt.Sprint(r.Seq) }), []string{"3", "1"})
	n, head, err := s.VerifyAudit(ctx)
	must(t, err)
	if n != 10 || len(head) != 64 {
		t.Fatalf("audit ends at %d %s", n, head)
	}
}
