package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// aDay is the simulator's day on a stream, and the App that folds it, made once for the
// tests that need them.
var aDay = sync.OnceValues(func() (*day, error) {
	a, err := New(Options{Workers: 2})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "catena-day-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder left behind is no reason to fail
	if _, err := simulate.Write(dir, simulate.Options{Seed: 2, Scenarios: []string{"ssh-to-bucket"}}); err != nil {
		return nil, err
	}
	return &day{app: a, pieces: dayPieces(a, filepath.Join(dir, "evidence"))}, nil
})

type day struct {
	app    *App
	pieces []piece
}

// dayPieces are those of some Linux hosts and of AWS, with an attack.
func dayPieces(a *App, root string) []piece {
	var t testing.T
	var out []piece
	for _, p := range pieces(&t, a, root, nil, spans(5, time.Minute, 30*time.Minute)) {
		if p.batch.Source == "aws" || strings.Contains(p.batch.Peer, "linux/web") || strings.Contains(p.batch.Peer, "linux/bastion") {
			out = append(out, p)
		}
	}
	return out
}

func theDay(tb testing.TB) *day {
	tb.Helper()
	d, err := aDay()
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// errKilled is what a step returns that ends everything at once.
var errKilled = errors.New("killed")

// runKilled runs engines over s one after the other. Each is ended at a step drawn at
// random, of the engine's writes, and what it had not made durable may be lost.
func runKilled(t *testing.T, a *App, s *memStream, cases *memCases, events *memEvents, o LiveOptions, seed uint64, kills, every int) int {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	done := 0
	for {
		ctx, kill := context.WithCancelCause(t.Context())
		var left atomic.Int64
		left.Store(1 << 60)
		if done < kills {
			left.Store(int64(1 + random.IntN(every)))
		}
		step := func() error {
			if left.Add(-1) < 0 {
				kill(errKilled)
				return errKilled
			}
			return nil
		}
		cases.step, events.step = step, step
		l := NewLive(a, s, cases, events, o)
		over := make(chan error, 1)
		go func() { over <- l.Run(ctx) }()
		end := s.len()
	wait:
		for {
			select {
			case err := <-over:
				if context.Cause(ctx) == nil {
					t.Fatalf("the engine ended by itself: %v", err)
				}
				break wait
			case <-time.After(time.Millisecond):
				if l.Health().Position >= end && events.Position() > 0 {
					kill(nil)
					<-over //nolint:errcheck // ended by us
					cases.step, events.step = nil, nil
					return done
				}
			}
		}
		done++
		if random.IntN(2) == 0 {
			tearTail(t, filepath.Join(o.Dir, "journal"), random)
		}
	}
}

// tearTail takes some bytes away from the newest segment, as a crash of the machine does
// with what was not synced. What a segment begins with was.
func tearTail(t *testing.T, dir string, random *rand.Rand) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(names) == 0 {
		return
	}
	slices.Sort(names)
	name := names[len(names)-1]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	begin := bytes.Index(b, []byte(`c{"by"`))
	if begin < 0 {
		return
	}
	end := begin + bytes.IndexByte(b[begin:], 'r')
	for n := begin; n < len(b); n++ { // the end of that record: the frame of the next follows
		if bytes.HasPrefix(b[n:], []byte("r{")) || bytes.HasPrefix(b[n:], []byte("p")) && n > begin+1000 {
			end = n
			break
		}
	}
	if end <= begin || len(b)-end < 2 {
		return
	}
	keep := max(len(b)-random.IntN(200_000), end+64)
	if keep < len(b) {
		if err := os.Truncate(name, int64(keep)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLiveKilled ends the engine at random again and again, and loses what it had not
// made durable: what the store holds at the end is byte for byte that of an engine that
// ran through, and each record is kept once.
func TestLiveKilled(t *testing.T) {
	d := theDay(t)
	for _, acts := range []int{1 << 30, 1500} { // within one generation, and over many
		s := newMemStream()
		feed(t, s, d.pieces, 30*time.Second)
		through, kept := newMemCases(), newMemEvents()
		if err := runTo(t, NewLive(d.app, s, through, kept, LiveOptions{Dir: t.TempDir(), Tick: time.Hour, SegmentActs: acts}), s.len(), kept); err != nil {
			t.Fatal(err)
		}
		if len(through.incidents) == 0 || len(through.alerts) < 50 {
			t.Fatalf("%d incidents and %d alerts: too little to compare", len(through.incidents), len(through.alerts))
		}
		want := through.dump(t)
		rounds := 25
		if testing.Short() || underRace {
			rounds = 3
		}
		for seed := range uint64(1) {
			s.purged = 0
			cases, events := newMemCases(), newMemEvents()
			o := LiveOptions{Dir: t.TempDir(), Tick: time.Hour, SegmentActs: acts}
			n := runKilled(t, d.app, noPurge(s), cases, events, o, seed, rounds, 50)
			if got := cases.dump(t); !bytes.Equal(got, want) {
				t.Errorf("segments of %d acts, seed %d: after %d kills the store differs: %s", acts, seed, n, firstDifference(got, want))
			}
			if n < rounds {
				t.Errorf("only %d kills of %d: the engine was through before", n, rounds)
			}
			if events.rows != kept.rows || events.twice != kept.twice {
				t.Errorf("segments of %d acts, seed %d: %d rows, %d of them twice; want %d and %d", acts, seed, events.rows, events.twice, kept.rows, kept.twice)
			}
		}
	}
}

// noPurge is s, which may lose nothing: the tests lose parts of the journal that were
// acknowledged to it.
func noPurge(s *memStream) *memStream {
	return &memStream{list: s.list, grown: make(chan struct{}), keep: true}
}

func firstDifference(a, b []byte) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	from := max(n-200, 0)
	return fmt.Sprintf("%q is %q", a[from:min(n+200, len(a))], b[from:min(n+200, len(b))])
}

// TestLiveGenerations: over many generations an attack that goes on is one incident under
// one id, which has all that one generation would have given it.
func TestLiveGenerations(t *testing.T) {
	d := theDay(t)
	run := func(acts int) (*memCases, LiveHealth) {
		s := newMemStream()
		feed(t, s, d.pieces, 30*time.Second)
		cases, events := newMemCases(), newMemEvents()
		l := NewLive(d.app, s, cases, events, LiveOptions{Dir: t.TempDir(), Tick: time.Hour, SegmentActs: acts})
		if err := runTo(t, l, s.len(), events); err != nil {
			t.Fatal(err)
		}
		return cases, l.Health()
	}
	one, _ := run(1 << 30)
	many, h := run(1500)
	if h.Segment < 5 {
		t.Fatalf("only %d segments", h.Segment)
	}
	if len(h.Troubles) > 0 {
		t.Errorf("troubles: %v", h.Troubles)
	}
	for id, w := range one.incidents {
		if w.Incident.Severity.Rank() < model.High.Rank() {
			continue
		}
		o := many.incidents[id]
		if o == nil {
			t.Errorf("%s %q is not told over %d generations", id, w.Incident.Title, h.Segment)
			continue
		}
		have := map[string]bool{}
		for _, a := range o.Incident.Alerts {
			have[a] = true
		}
		n := 0
		for _, a := range w.Incident.Alerts {
			if have[a] {
				n++
			}
		}
		t.Logf("%s %q: %d of %d alerts over %d generations; %d incidents, %d with one", id, w.Incident.Title, n, len(w.Incident.Alerts), h.Segment, len(many.incidents), len(one.incidents))
		if 10*n < 8*len(w.Incident.Alerts) {
			t.Errorf("%s: %d of %d alerts", id, n, len(w.Incident.Alerts))
		}
		if len(o.Incident.Steps) < len(w.Incident.Steps)/2 {
			t.Errorf("%s: %d steps, of %d", id, len(o.Incident.Steps), len(w.Incident.Steps))
		}
		if !o.Milestones.Raised.Equal(*w.Milestones.Raised) {
			t.Errorf("%s: raised at %v, was %v", id, o.Milestones.Raised, w.Milestones.Raised)
		}
	}
	raised := map[string]int{}
	for _, c := range many.changes {
		if c.Kind == model.IncidentRaised {
			if raised[c.Incident]++; raised[c.Incident] > 1 {
				t.Errorf("%s is raised again", c.Incident)
			}
		}
	}
}
