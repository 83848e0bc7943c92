package app

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
	"github.com/catena-sec/catena/internal/source"
	"github.com/catena-sec/catena/internal/store"
)

// BenchmarkLive is how fast the live engine reads what waits for it, with all our rules:
// the simulator's day, and a labelled capture as NDJSON. The stream and the store are in
// memory, so it is the engine's own cost.
func BenchmarkLive(b *testing.B) {
	a, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("simulator", func(b *testing.B) {
		benchLive(b, a, pieces(b, a, simulated(b, simulate.Options{Seed: 1}), nil, spans(3, time.Minute, 10*time.Minute)))
	})
	b.Run("LSASS_campaign_01", func(b *testing.B) {
		benchLive(b, a, linePieces(b, filepath.Join(dataFolder(b), "otrf_compound", "LSASS_campaign_01"), 200))
	})
}

// linePieces are the files of a folder as batches of so many lines.
func linePieces(tb testing.TB, path string, lines int) []piece {
	tb.Helper()
	var out []piece
	at := time.Now()
	err := source.Walk(tb.Context(), []string{path}, source.Options{}, func(in source.Input) error {
		return frameAll(in, func(name string, data []byte, head []byte) {
			for len(data) > 0 {
				n, cut := 0, 0
				for cut < len(data) && n < lines {
					i := slices.Index(data[cut:], '\n')
					if i < 0 {
						cut = len(data)
						break
					}
					cut, n = cut+i+1, n+1
				}
				out = append(out, piece{at: at, batch: model.Batch{Source: "http", Peer: name, Received: at, Head: head, Data: data[:cut]}})
				at, data = at.Add(10*time.Millisecond), data[cut:]
			}
		})
	}, func(path string, e model.InputError) { tb.Logf("%s: %s", path, e.Cause) })
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// frameAll hands on the whole lines of an input of text, and of one with a header that.
func frameAll(in source.Input, emit func(name string, data, head []byte)) error {
	var data []byte
	for {
		buf := make([]byte, 1<<20)
		n, err := in.Reader.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			break
		}
	}
	var head []byte
	for len(data) > 0 && data[0] == '#' {
		i := slices.Index(data, '\n')
		if i < 0 {
			break
		}
		head, data = append(head, data[:i+1]...), data[i+1:]
	}
	emit(in.Path, data, head)
	return nil
}

func benchLive(b *testing.B, a *App, ps []piece) {
	b.Helper()
	size := int64(0)
	for i := range ps {
		size += int64(len(ps[i].batch.Data))
	}
	b.SetBytes(size)
	rows := 0
	gc, all := processorTime()
	for b.Loop() {
		s, cases, events := newMemStream(), newMemCases(), &countedEvents{}
		feed(b, s, ps, time.Second)
		l := NewLive(a, s, cases, events, LiveOptions{Dir: b.TempDir(), Tick: time.Hour})
		if err := runTo(b, l, s.len(), nil); err != nil {
			b.Fatal(err)
		}
		rows += events.rows
	}
	gcNow, allNow := processorTime()
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "events/s")
	if rows > 0 {
		b.ReportMetric((allNow-all)*1e9/float64(rows), "cpu-ns/event")
		b.ReportMetric((gcNow-gc)/max(allNow-all, math.SmallestNonzeroFloat64), "gc-share")
	}
}

// countedEvents keeps nothing.
type countedEvents struct {
	rows int
	pos  uint64
}

func (e *countedEvents) Position() uint64 { return 0 }

func (e *countedEvents) Append(_ context.Context, pos uint64, rows []EventRow) error {
	e.rows += len(rows)
	e.pos = pos
	return nil
}

// BenchmarkLiveRestart is how long an engine that was stopped takes to know again what it
// knew: the simulator's day in the journal.
func BenchmarkLiveRestart(b *testing.B) {
	a, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	feed(b, s, pieces(b, a, simulated(b, simulate.Options{Seed: 1}), nil, spans(3, time.Minute, 10*time.Minute)), time.Second)
	o := LiveOptions{Dir: b.TempDir(), Tick: time.Hour}
	if err := runTo(b, NewLive(a, s, cases, events, o), s.len(), events); err != nil {
		b.Fatal(err)
	}
	acts := 0
	for b.Loop() {
		l := NewLive(a, s, cases, events, o)
		if err := runTo(b, l, s.len(), events); err != nil {
			b.Fatal(err)
		}
		acts += l.Health().Acts
	}
	b.ReportMetric(float64(acts)/b.Elapsed().Seconds(), "acts/s")
}

// BenchmarkLiveLatency is how long it takes from when a batch is published until what it
// did is committed, with ticks of 250 ms, at a rate that the engine can follow.
func BenchmarkLiveLatency(b *testing.B) {
	d := theDay(b)
	const perSecond = 2000
	events := newMemEvents()
	for b.Loop() {
		s := newMemStream()
		cases := &timedCases{memCases: newMemCases(), published: map[uint64]time.Time{}}
		l := NewLive(d.app, s, cases, events, LiveOptions{Dir: b.TempDir()})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		began, sent := time.Now(), 0
		for i := range d.pieces {
			batch := d.pieces[i].batch
			cases.publish(s, batch)
			if sent += slices.Index(append(batch.Data, 0), 0) / 200; sent > perSecond*8 {
				break
			}
			time.Sleep(time.Until(began.Add(time.Duration(sent) * time.Second / perSecond)))
		}
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		events = newMemEvents()
		slices.Sort(cases.took)
		if n := len(cases.took); n > 0 {
			b.ReportMetric(float64(cases.took[n/2].Milliseconds()), "p50-ms")
			b.ReportMetric(float64(cases.took[n*99/100].Milliseconds()), "p99-ms")
			b.ReportMetric(float64(n), "batches")
		}
	}
}

// timedCases measures how long what a commit holds was on its way.
type timedCases struct {
	*memCases
	published map[uint64]time.Time
	took      []time.Duration
}

func (c *timedCases) publish(s *memStream, b model.Batch) {
	b.Received = time.Now()
	pos, _ := s.PublishBatch(context.Background(), b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.published[pos] = b.Received
}

func (c *timedCases) Commit(ctx context.Context, in store.Commit) (bool, []model.Change, error) {
	applied, changes, err := c.memCases.Commit(ctx, in)
	c.mu.Lock()
	defer c.mu.Unlock()
	last := uint64(0) // of those that this round can be about
	for pos := range c.published {
		if pos <= in.Offset {
			last = max(last, pos)
		}
	}
	if at, ok := c.published[last]; ok {
		c.took = append(c.took, time.Since(at))
	}
	for pos := range c.published {
		if pos <= in.Offset {
			delete(c.published, pos)
		}
	}
	return applied, changes, err
}
