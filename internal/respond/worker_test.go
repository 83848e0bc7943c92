package respond

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is an outbox as a store keeps it.
type memory struct {
	mu       sync.Mutex
	changes  []model.Change
	planned  int
	rows     []*row
	incident *model.Incident
	fails    error
}

type row struct {
	Delivery
	done, dead bool
	told       time.Time
	cause      string
}

func (m *memory) Unplanned(context.Context, int) ([]model.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.changes[m.planned:]), m.fails
}

func (m *memory) LastTold(_ context.Context, _, route, key string) (t time.Time, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		if r.done && r.Route == route && r.Key == key && r.told.After(t) {
			t = r.told
		}
	}
	return t, nil
}

func (m *memory) Plan(_ context.Context, _ model.Change, l []Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.planned++
next:
	for _, d := range l {
		for _, r := range m.rows {
			if d.Merge && !r.done && !r.dead && r.Merge && r.Route == d.Route && r.Target == d.Target && r.Key == d.Key {
				r.Change = d.Change
				continue next
			}
		}
		d.ID = int64(len(m.rows) + 1)
		m.rows = append(m.rows, &row{Delivery: d})
	}
	return nil
}

func (m *memory) Due(_ context.Context, now time.Time, _ int) (out []Delivery, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	threads := map[string]string{}
	for _, r := range m.rows {
		if r.done && r.Thread != "" {
			threads[r.Target+r.Key] = r.Thread
		}
	}
	for _, r := range m.rows {
		if !r.done && !r.dead && !r.After.After(now) {
			d := r.Delivery
			d.Thread = threads[d.Target+d.Key]
			out = append(out, d)
		}
	}
	return out, nil
}

func (m *memory) Done(_ context.Context, d Delivery, thread string, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[d.ID-1]
	r.done, r.Thread, r.told = true, thread, at
	return nil
}

func (m *memory) Fail(_ context.Context, d Delivery, cause string, again time.Time, dead bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rows[d.ID-1]
	r.Tries, r.After, r.dead, r.cause = r.Tries+1, again, dead, cause
	return nil
}

func (m *memory) Incident(context.Context, string, string) (*model.Incident, error) {
	return m.incident, nil
}

func (m *memory) Wait(ctx context.Context) { <-ctx.Done() }

// harness is a worker over memory, with a clock that tests turn.
type harness struct {
	*Worker
	out *memory
	now time.Time
}

func newHarness(t *testing.T, n config.Notify) *harness {
	t.Helper()
	h := &harness{out: &memory{incident: attack()}, now: noon}
	env := local()
	env.Now = func() time.Time { return h.now }
	for i := range n.Targets {
		n.Targets[i].PerMinute = 6000
	}
	w, err := NewWorker(h.out, Options{Notify: n, BaseURL: console, Clean: asIs, Log: slog.New(slog.DiscardHandler), Env: env, Jitter: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	h.Worker = w
	return h
}

func (h *harness) step(t *testing.T) {
	t.Helper()
	if _, err := h.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h *harness) change(kind model.ChangeKind) {
	c := raised()
	c.Seq, c.Kind = int64(len(h.out.changes)+1), kind
	h.out.changes = append(h.out.changes, c)
}

// What cannot be sent is tried again, later and later, until it arrives; once.
func TestRetries(t *testing.T) {
	f := newFake(t, answer(500, ""), answer(502, ""), answer(429, "", "Retry-After", "600"), answer(200, ""))
	h := newHarness(t, config.Notify{Targets: []config.Target{{Name: "a", Kind: "teams", URL: f.URL}}, Routes: []config.Route{{Name: "r", Targets: []string{"a"}}}})
	h.change(model.IncidentRaised)
	for _, after := range []time.Duration{0, firstWait, 4 * firstWait, 10 * time.Minute, time.Hour} {
		h.now = h.now.Add(after - 1)
		n := f.count()
		if after > 0 {
			h.step(t)
			if f.count() != n {
				t.Errorf("tried before its time, after less than %v", after)
			}
		}
		h.now = h.now.Add(1)
		h.step(t)
	}
	if f.count() != 4 || !h.out.rows[0].done || h.out.rows[0].Tries != 3 {
		t.Errorf("%d tries, %+v", f.count(), h.out.rows[0])
	}
	if c := h.Counts()["a"]; c != (Counts{1, 3, 0}) {
		t.Errorf("counted %+v", c)
	}
}

// What will never arrive is set aside with its cause, and the others are sent.
func TestDeadLetters(t *testing.T) {
	bad, good := newFake(t, answer(404, "gone")), newFake(t, answer(200, ""))
	h := newHarness(t, config.Notify{
		Targets: []config.Target{{Name: "bad", Kind: "teams", URL: bad.URL}, {Name: "good", Kind: "teams", URL: good.URL}},
		Routes:  []config.Route{{Name: "r", Targets: []string{"bad", "good"}}},
	})
	h.change(model.IncidentRaised)
	h.step(t)
	h.step(t)
	if r := h.out.rows[0]; !r.dead || r.cause != "the target answered 404: gone" {
		t.Errorf("%+v", r)
	}
	if !h.out.rows[1].done || bad.count() != 1 || good.count() != 1 {
		t.Errorf("%d and %d requests", bad.count(), good.count())
	}
}

// What grows is told now and then, with what it is by then.
func TestGrowthIsGrouped(t *testing.T) {
	f := newFake(t, answer(200, ""))
	h := newHarness(t, config.Notify{
		Targets: []config.Target{{Name: "a", Kind: "webhook", URL: f.URL}},
		Routes:  []config.Route{{Name: "r", Targets: []string{"a"}, Kinds: []string{"incident_raised", "incident_grown"}, Every: config.Duration(10 * time.Minute)}},
	})
	h.change(model.IncidentRaised)
	h.step(t)
	for range 50 {
		h.change(model.IncidentGrown)
		h.step(t)
	}
	if f.count() != 1 {
		t.Errorf("%d messages within a moment", f.count())
	}
	h.now = h.now.Add(10 * time.Minute)
	h.step(t)
	var got Event
	if f.last(t, &got); f.count() != 2 || got.ID != "default-51" {
		t.Errorf("%d messages, the last %s", f.count(), got.ID)
	}
}

func TestThreads(t *testing.T) {
	f := newFake(t, answer(200, `{"ok":true,"ts":"1.2"}`))
	h := newHarness(t, config.Notify{Targets: []config.Target{{Name: "a", Kind: "slack", URL: f.URL, Secret: "x", To: []string{"C"}}}, Routes: []config.Route{{Name: "r", Targets: []string{"a"}}}})
	h.change(model.IncidentRaised)
	h.step(t)
	h.change(model.SeverityChanged)
	h.step(t)
	var got slackMessage
	if f.last(t, &got); got.Thread != "1.2" {
		t.Errorf("the second message begins a thread of its own: %+v", got)
	}
}

// A store that cannot be used loses nothing: what was due is due when it is back.
func TestStoreGone(t *testing.T) {
	f := newFake(t, answer(200, ""))
	h := newHarness(t, config.Notify{Targets: []config.Target{{Name: "a", Kind: "teams", URL: f.URL}}, Routes: []config.Route{{Name: "r", Targets: []string{"a"}}}})
	h.change(model.IncidentRaised)
	h.out.fails = errors.New("disk full")
	if _, err := h.Step(t.Context()); err == nil {
		t.Fatal("no error")
	}
	h.out.fails = nil
	h.step(t)
	if f.count() != 1 {
		t.Errorf("%d messages", f.count())
	}
}

func TestRunEnds(t *testing.T) {
	f := newFake(t, answer(200, ""))
	h := newHarness(t, config.Notify{Targets: []config.Target{{Name: "a", Kind: "teams", URL: f.URL}}, Routes: []config.Route{{Name: "r", Targets: []string{"a"}}}})
	h.change(model.IncidentRaised)
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	h.Run(ctx)
	if f.count() != 1 {
		t.Errorf("%d messages", f.count())
	}
}

func TestTestButton(t *testing.T) {
	f := newFake(t, answer(200, ""))
	h := newHarness(t, config.Notify{Targets: []config.Target{{Name: "a", Kind: "webhook", URL: f.URL}}})
	if err := h.Test(t.Context(), "a", "default"); err != nil {
		t.Fatal(err)
	}
	var got Event
	if f.last(t, &got); !got.Data.Test {
		t.Errorf("%+v", got)
	}
	if err := h.Test(t.Context(), "b", "default"); err == nil {
		t.Error("a target that does not exist is tested")
	}
}

func TestJudge(t *testing.T) {
	at := func(d time.Duration) *time.Time { x := noon.Add(d); return &x }
	o := config.Objective{Name: "fast", Severity: "high", From: "alerted", Until: "noticed", Within: config.Duration(time.Minute), Share: .9, Window: config.Duration(30 * 24 * time.Hour)}
	l := []Judged{
		{model.High, model.Milestones{Alerted: at(-10 * time.Hour), Noticed: at(-10*time.Hour + 30*time.Second)}},
		{model.High, model.Milestones{Alerted: at(-9 * time.Hour), Noticed: at(-9*time.Hour + 5*time.Minute)}},
		{model.Critical, model.Milestones{Alerted: at(-30 * time.Minute)}},                                        // overdue
		{model.High, model.Milestones{Alerted: at(-30 * time.Second)}},                                            // not due yet
		{model.Low, model.Milestones{Alerted: at(-5 * time.Hour)}},                                                // not spoken of
		{model.High, model.Milestones{Alerted: at(-40 * 24 * time.Hour)}},                                         // before the window
		{model.High, model.Milestones{}},                                                                          // not begun
		{model.High, model.Milestones{Alerted: at(-20 * time.Hour), Noticed: at(-20*time.Hour + 10*time.Second)}}, // kept
	}
	b := Judge(o, l, noon)
	if b.Judged != 4 || b.Kept != 2 || b.Share != .5 || b.Median != 30 || b.Worst != 300 {
		t.Errorf("%+v", b)
	}
	if b.Fast < 9.9 || b.Fast > 10.1 || !b.Burns { // the one of the last hours was missed
		t.Errorf("burns %v %v", b.Fast, b.Burns)
	}
	if e := Judge(o, nil, noon); e.Burns || e.Share != 1 || e.Left != 1 {
		t.Errorf("of nothing: %+v", e)
	}
}
