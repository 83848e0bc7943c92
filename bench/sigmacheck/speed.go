package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/catena-sec/catena/internal/detect"
)

// A cost is what one run took: the best of several rounds, as other work on the
// machine only ever slows one down. It slows the clock down much and CPU time a
// little, so each has the best of its own.
type cost struct {
	events  int
	matches int
	wall    time.Duration
	cpu     time.Duration // user time of the process
	allocs  uint64
}

func (c cost) rate() float64 { return float64(c.events) / c.wall.Seconds() } // events in a second

func (c cost) each() float64 { return c.cpu.Seconds() * 1e6 / float64(c.events) } // µs of CPU time for an event

// measure runs every candidate once a round, so that each meets the same weather,
// and keeps the best round of each.
func measure(rounds int, run ...func() (events, matches int)) []cost {
	best := make([]cost, len(run))
	for range rounds {
		for i, fn := range run {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu, start := userTime(), time.Now()
			events, matches := fn()
			c := cost{events: events, matches: matches, wall: time.Since(start), cpu: userTime() - cpu}
			runtime.ReadMemStats(&after)
			c.allocs = after.Mallocs - before.Mallocs
			if b := best[i]; b.wall != 0 {
				c.wall, c.cpu = min(c.wall, b.wall), min(c.cpu, b.cpu)
			}
			best[i] = c
		}
	}
	return best
}

func userTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// split runs fn over n shares of the events at once.
func split(events []*flatEvent, n int, fn func([]*flatEvent) int) (int, int) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		total int
	)
	for w := range n {
		wg.Go(func() {
			found := fn(events[w*len(events)/n : (w+1)*len(events)/n])
			mu.Lock()
			total += found
			mu.Unlock()
		})
	}
	wg.Wait()
	return len(events), total
}

// theirs matches events with another engine on n goroutines.
func theirs(l *loaded, events []*flatEvent, n int) func() (int, int) {
	return func() (int, int) {
		return split(events, n, func(share []*flatEvent) (found int) {
			for _, e := range share {
				found += l.all(e)
			}
			return found
		})
	}
}

// ours matches all events with Catena on n goroutines, as often as asked: each time
// with new matchers, as they remember what they have seen, and evidence is read
// once.
func ours(engine *detect.Engine, events []*flatEvent, n, times int) func() (int, int) {
	return func() (seen, found int) {
		for range times {
			e, f := split(events, n, func(share []*flatEvent) (found int) {
				m := engine.NewMatcher()
				for _, e := range share {
					found += len(m.Match(e.from))
				}
				return found
			})
			seen, found = seen+e, found+f
		}
		return seen, found
	}
}

// passes is how often evidence is gone over to take long enough to be timed.
func passes(events []*flatEvent) int { return 1 + 100_000/len(events) }

// spread picks every kth event, so that n remain.
func spread(events []*flatEvent, n int) []*flatEvent {
	if n < 1 {
		n = 1
	}
	k := (len(events) + n - 1) / n
	if k <= 1 {
		return events
	}
	var out []*flatEvent
	for i := 0; i < len(events); i += k {
		out = append(out, events[i])
	}
	return out
}

// affordable picks as many events as an engine matches in about the given time.
func affordable(l *loaded, events []*flatEvent, budget time.Duration) []*flatEvent {
	probe := spread(events, 200)
	start := time.Now()
	for _, e := range probe {
		l.all(e)
	}
	each := time.Since(start) / time.Duration(len(probe))
	return spread(events, int(budget/max(each, 1)))
}
