package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/catena-sec/catena/internal/journal"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/internal/store"
)

// begun runs an engine over s in the background until the test ends. until waits for all
// that is published to be folded.
func begun(t *testing.T, l *Live, s *memStream) (until func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func() {
		t.Helper()
		end := s.len()
		for began := time.Now(); l.Health().Position < end; time.Sleep(time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("folded up to %d of %d: %+v", l.Health().Position, end, l.Health())
			}
		}
	}
}

func (s *memStream) tick(at time.Time) {
	_, _ = s.Publish(context.Background(), StreamTick, at, nil)
}

// TestLiveDecides: what an analyst decides takes effect in its place of the stream, over
// a stop, and over generations.
func TestLiveDecides(t *testing.T) {
	d := theDay(t)
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	o := LiveOptions{Dir: t.TempDir(), Tick: time.Hour, SegmentActs: 1500}
	cut := slices.IndexFunc(d.pieces, func(p piece) bool { return p.at.After(d.pieces[0].at.Add(20 * time.Hour)) })
	feed(t, s, d.pieces[:cut], 30*time.Second)
	l := NewLive(d.app, s, cases, events, o)
	if err := runTo(t, l, s.len(), events); err != nil {
		t.Fatal(err)
	}
	var worst *model.Incident
	for _, w := range cases.incidents {
		if worst == nil || w.Incident.Score > worst.Score {
			worst = &w.Incident
		}
	}
	if worst == nil || len(worst.Alerts) < 3 {
		t.Fatal("no incident to decide about")
	}
	seed := ""
	for _, id := range worst.Alerts {
		if model.IncidentID(id) == worst.ID {
			seed = id
		}
	}
	out := slices.DeleteFunc(slices.Clone(worst.Alerts), func(id string) bool { return id == seed })[:2]
	at := d.pieces[cut].batch.Received
	split := model.Decision{At: at, Author: "ann", Reason: "another matter", Kind: model.Split, Targets: append([]string{worst.ID}, out...)}
	if err := l.Decide(t.Context(), model.Decision{Kind: "no such thing"}); err == nil {
		t.Error("nonsense was taken for a decision")
	}
	for range 2 { // said twice is said once
		if err := l.Decide(t.Context(), split); err != nil {
			t.Fatal(err)
		}
	}
	s.tick(at)
	feed(t, s, d.pieces[cut:], 30*time.Second)
	if err := runTo(t, NewLive(d.app, s, cases, events, o), s.len(), events); err != nil {
		t.Fatal(err)
	}
	w := cases.incidents[worst.ID]
	if w == nil {
		t.Fatalf("%s is gone", worst.ID)
	}
	for _, id := range out {
		if slices.Contains(w.Incident.Alerts, id) || slices.Contains(w.Incident.Context, id) {
			t.Errorf("%s is still in %s, from which it was split", id, worst.ID)
		}
	}
}

// TestLiveDeadLetters: a batch that nobody can read stands aside with its cause, and the
// rest goes on; it can be sent again.
func TestLiveDeadLetters(t *testing.T) {
	d := theDay(t)
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	l := NewLive(d.app, s, cases, events, LiveOptions{Dir: t.TempDir(), Tick: time.Hour})
	until := begun(t, l, s)
	at := d.pieces[0].batch.Received
	bad := model.Batch{Source: "http", Peer: "10.1.2.3", Received: at, Data: []byte{0, 1, 2, 3, 0xff, 0xfe, 0, 7, 7, 7}}
	if err := l.Sink(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	s.put(StreamMessage{Kind: StreamBatch, Time: at, Batch: func() (model.Batch, error) { return model.Batch{}, fmt.Errorf("it rotted") }})
	s.put(StreamMessage{Kind: StreamBatch, Time: at, Batch: func() (model.Batch, error) { panic("a mistake of ours") }})
	if err := l.Sink(t.Context(), d.pieces[0].batch); err != nil {
		t.Fatal(err)
	}
	s.tick(at.Add(time.Second))
	until()
	dead, err := l.DeadLetters()
	if err != nil || len(dead) != 3 {
		t.Fatalf("%d dead letters: %v", len(dead), err)
	}
	for i, want := range []string{"a mistake of ours", "it rotted", "unknown format"} {
		if !strings.Contains(dead[i].Cause, want) {
			t.Errorf("cause %q, want %q in it", dead[i].Cause, want)
		}
	}
	h := l.Health()
	if i := slices.IndexFunc(h.Sources, func(x SourceHealth) bool { return x.Source == d.pieces[0].batch.Source }); i < 0 || h.Sources[i].Events == 0 {
		t.Errorf("what came behind them was not read: %+v", h.Sources)
	}
	whole, err := l.DeadLetter(dead[2].Pos)
	if err != nil || string(whole.Data) != string(bad.Data) || whole.Peer != bad.Peer {
		t.Fatalf("%+v: %v", whole, err)
	}
	if err := l.Replay(t.Context(), dead[2].Pos); err != nil {
		t.Fatal(err)
	}
	s.tick(at.Add(2 * time.Second))
	until()
	again, err := l.DeadLetters()
	if err != nil || len(again) != 3 || again[0].Pos <= dead[0].Pos {
		t.Errorf("sent again it is no dead letter of its own: %+v, %v", again, err)
	}
}

// TestLiveDeadBound: the folder of dead letters has an end.
func TestLiveDeadBound(t *testing.T) {
	const most = 7
	d := deadLetters{t.TempDir(), most}
	for i := range uint64(most + 20) {
		if err := d.put(DeadLetter{Pos: i + 1, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := d.list(maxDead)
	if err != nil || len(l) != most || l[0].Pos != most+20 {
		t.Errorf("%d letters: %v", len(l), err)
	}
}

// TestLiveQuietSources: a source that falls silent is told of once, and once when it is
// back; how long is silence depends on its habit.
func TestLiveQuietSources(t *testing.T) {
	m := sources{}
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	var told []string
	round := func(minute int, who ...string) {
		now := at.Add(time.Duration(minute) * time.Minute)
		var c []sourceCount
		for _, w := range who {
			c = append(c, sourceCount{Source: w, Events: 10, Batches: 1, Last: now})
		}
		for _, x := range m.round(c, now, 30*time.Minute) {
			told = append(told, fmt.Sprintf("%d %s %s", minute, x.Kind, x.Source))
		}
	}
	for i := range 600 {
		who := []string{}
		if i < 300 || i > 500 {
			who = append(who, "busy")
		}
		if i%60 == 0 && i < 500 {
			who = append(who, "hourly")
		}
		if i == 0 {
			who = append(who, "once")
		}
		round(i, who...)
	}
	if want := []string{"329 source_quiet busy", "501 source_back busy"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestLiveRules: another set of rules takes effect where it stands in the stream, and what
// was found by the one before stays; a process that has only the newer one comes to the
// same places.
func TestLiveRules(t *testing.T) {
	d := theDay(t)
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	feed(t, s, d.pieces, 30*time.Second)
	o := LiveOptions{Dir: t.TempDir(), Tick: time.Hour}
	if err := runTo(t, NewLive(d.app, s, cases, events, o), s.len(), events); err != nil {
		t.Fatal(err)
	}
	first, last := map[string]time.Time{}, map[string]time.Time{}
	for _, a := range cases.alerts {
		id := a.Rule.ID
		if first[id].IsZero() || a.Time.Before(first[id]) {
			first[id] = a.Time
		}
		if a.Time.After(last[id]) {
			last[id] = a.Time
		}
	}
	busiest := "" // the rule that told over the longest time
	for _, id := range ruleIDs(d.app) {
		if last[id].Sub(first[id]) > last[busiest].Sub(first[busiest]) {
			busiest = id
		}
	}
	without, err := New(Options{Workers: 2, Disable: []pack.Selector{{Key: "rule", Value: busiest}}})
	if err != nil {
		t.Fatal(err)
	}
	half := slices.IndexFunc(d.pieces, func(p piece) bool { return p.at.After(first[busiest].Add(time.Hour)) })
	run := func(stop bool) *memCases {
		s, cases, events := newMemStream(), newMemCases(), newMemEvents()
		o := LiveOptions{Dir: t.TempDir(), Tick: time.Hour}
		feed(t, s, d.pieces[:half], 30*time.Second)
		l := NewLive(d.app, s, cases, events, o)
		if stop {
			if err := runTo(t, l, s.len(), events); err != nil {
				t.Fatal(err)
			}
			l = NewLive(without, s, cases, events, o)
		}
		if err := l.SetRules(t.Context(), without); err != nil {
			t.Fatal(err)
		}
		feed(t, s, d.pieces[half:], 30*time.Second)
		if err := runTo(t, l, s.len(), events); err != nil {
			t.Fatal(err)
		}
		return cases
	}
	change := d.pieces[half].batch.Received
	if !last[busiest].After(change) {
		t.Fatal("no rule tells over more than an hour")
	}
	for _, stop := range []bool{false, true} {
		before, after := 0, 0
		for _, a := range run(stop).alerts {
			if a.Rule.ID == busiest && a.Time.Before(change) {
				before++
			} else if a.Rule.ID == busiest {
				after++
			}
		}
		if before == 0 || after > 0 {
			t.Errorf("stopped %v: the rule that was switched off told %d times before and %d after", stop, before, after)
		}
	}
}

// TestLiveMemoryIsFlat: an engine that runs on for many generations holds no more at the
// end than after three.
func TestLiveMemoryIsFlat(t *testing.T) {
	if underRace {
		t.Skip("without the race detector only, which changes what memory holds: make test runs it so too")
	}
	d := theDay(t)
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	l := NewLive(d.app, s, cases, events, LiveOptions{Dir: t.TempDir(), Tick: time.Hour, SegmentActs: 1500})
	until := begun(t, l, s)
	held := func() uint64 {
		s.mu.Lock()
		s.list = slices.Clone(s.list) // what was read is no memory of the engine
		for i := range s.list {
			s.list[i].Batch, s.list[i].Body = nil, nil
		}
		s.mu.Unlock()
		cases.mu.Lock()
		clear(cases.alerts)
		clear(cases.incidents)
		cases.changes = nil
		cases.mu.Unlock()
		events.mu.Lock()
		clear(events.seen)
		events.mu.Unlock()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var sizes []uint64
	for n := range 4 { // a day each, of other days
		later := make([]piece, len(d.pieces))
		for i, p := range d.pieces {
			p.at, p.batch.Received = p.at.AddDate(0, 0, n), p.batch.Received.AddDate(0, 0, n)
			p.batch.Data = []byte(strings.ReplaceAll(string(p.batch.Data), "2026-03-25", fmt.Sprintf("2026-03-%d", 25+n)))
			later[i] = p
		}
		feed(t, s, later, time.Minute)
		until()
		sizes = append(sizes, held())
	}
	t.Logf("%d segments, heap after each day %v", l.Health().Segment, sizes)
	if first, last := sizes[1], sizes[len(sizes)-1]; last > first+first/4+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes in %d generations", first, last, l.Health().Segment)
	}
}

// TestLivePushesBack: a sender is told to wait when the engine is too far behind.
func TestLivePushesBack(t *testing.T) {
	s := newMemStream()
	l := NewLive(theDay(t).app, s, newMemCases(), newMemEvents(), LiveOptions{Dir: t.TempDir(), Behind: 1000})
	b := model.Batch{Source: "x", Received: time.Now(), Data: make([]byte, 800)}
	for i, want := range []bool{true, true, false} {
		err := l.Sink(t.Context(), b)
		if (err == nil) != want {
			t.Errorf("batch %d: %v", i, err)
		}
		if p, ok := err.(interface{ Temporary() bool }); err != nil && (!ok || !p.Temporary()) { //nolint:errorlint // it is returned as it is
			t.Errorf("%v does not say that it passes", err)
		}
	}
}

// TestLiveStoreComesBack: a store and an event store that cannot be written for a while
// lose nothing, and health says so meanwhile. When the engine has stopped, nothing of it
// runs on.
func TestLiveStoreComesBack(t *testing.T) {
	d := theDay(t)
	before := goleak.IgnoreCurrent()
	run := func(failures int64) ([]byte, int, bool) {
		s, cases, events := newMemStream(), newMemCases(), newMemEvents()
		feed(t, s, d.pieces, time.Minute)
		var left atomic.Int64
		left.Store(failures)
		cases.step = func() error {
			if left.Add(-1) >= 0 {
				return store.ErrFull
			}
			return nil
		}
		events.step = cases.step
		l := NewLive(d.app, s, cases, events, LiveOptions{Dir: t.TempDir(), Tick: time.Hour})
		troubled := make(chan bool, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			saw := false
			for ctx.Err() == nil {
				saw = saw || len(l.Health().Troubles) > 0
				time.Sleep(time.Millisecond)
			}
			troubled <- saw
		}()
		if err := runTo(t, l, s.len(), events); err != nil {
			t.Fatal(err)
		}
		cancel()
		if h := l.Health(); len(h.Troubles) > 0 {
			t.Errorf("troubles that are over: %v", h.Troubles)
		}
		return cases.dump(t), events.rows, <-troubled
	}
	want, rows, _ := run(0)
	got, kept, troubled := run(6)
	if !bytes.Equal(got, want) || kept != rows {
		t.Errorf("%d rows, want %d; %s", kept, rows, firstDifference(got, want))
	}
	if !troubled {
		t.Error("health did not say that nothing can be written")
	}
	goleak.VerifyNone(t, before)
}

// FuzzLiveRecords: whatever stands in the journal, the engine starts, or says why not.
func FuzzLiveRecords(f *testing.F) {
	a, err := New(Options{NoBuiltin: true, Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	carry, err := json.Marshal(carried{Round: 3, Known: map[string]*knownIncident{"inc-1": {}}, Clocks: newLiveClocks()})
	if err != nil {
		f.Fatal(err)
	}
	round, err := json.Marshal(liveRound{Pos: 7, Rules: "x", Counts: []sourceCount{{Source: "a"}}, Alerts: []liveAlert{{Alert: &model.Alert{ID: "a-1", Evidence: []model.Evidence{{ID: "e-1"}}}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("c"), carry...), append([]byte("r"), round...))
	f.Add([]byte("c{}"), []byte(`r{"alerts":[{}],"pages":[{"count":3}]}`))
	f.Add([]byte(`c{"known":{"inc-1":null},"sources":[null],"kept":[{"bursts":[{"alerts":[{}]}]}]}`), []byte("r{}"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		j, err := journal.Open(dir + "/journal")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range [][]byte{first, second} {
			if len(r) > 0 && r[0] != recordPage { // pages are written by us alone, and behind a checksum
				if _, err := j.Append(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		s := newMemStream()
		s.tick(time.Unix(0, 0))
		l := NewLive(a, s, newMemCases(), newMemEvents(), LiveOptions{Dir: dir, Tick: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_ = l.Run(ctx)
	})
}
