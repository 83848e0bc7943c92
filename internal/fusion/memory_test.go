package fusion

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// keys counts what an engine holds on to.
func (e *Engine) keys() int {
	r := e.rates
	return len(e.metas) + len(e.cands) + len(e.index) + len(e.groups) + len(e.firings) + len(e.seen) + len(e.actors) + len(e.ended) +
		len(e.stream.log) + len(e.stream.told) + len(e.stream.clocks) + len(e.stream.closed) +
		len(e.dedup.open) + len(e.dedup.fans) + len(e.tellers.recent) +
		len(r.rules) + len(r.own) + len(r.hands) + len(r.fired) + len(r.seen) + len(r.carried)
}

// heap is what is in use after everything else is gone, in bytes.
func heap() float64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}

// An engine that runs on over five windows of ever new hosts, accounts and processes
// holds no more in the last than in the second; every key has its price.
func TestMemoryIsFlat(t *testing.T) {
	const most, window = 2000, 10_000
	before := heap()
	e, w := New(Options{MaxMetas: most}), newWorld()
	peaks := make([]int, 5)
	n := 0
	for i := range peaks {
		for range window {
			n++
			host, user := fmt.Sprintf("h%d.corp.example", n/3), fmt.Sprintf(`corp\u%d`, n/2)
			a := w.alert(float64(n)*20, fmt.Sprintf("r%d", n%50), model.Low, "discovery", host, ent(model.Host, model.Subject, host),
				ent(model.User, model.Actor, user), proc(model.Subject, fmt.Sprintf("p%d", n), `c:\tools\a.exe`))
			if n%2 == 0 {
				a.Rule.Source = "another product"
			}
			w.alerts = nil
			e.Add(a)
			if n%100 == 0 {
				peaks[i] = max(peaks[i], e.keys())
			}
		}
	}
	for i := 2; i < len(peaks); i++ {
		if float64(peaks[i]) > 1.05*float64(peaks[1]) {
			t.Errorf("window %d held up to %d keys, the second %d", i+1, peaks[i], peaks[1])
		}
	}
	each := (heap() - before) / float64(e.keys())
	t.Logf("keys at most by window %v; %.0f bytes a key", peaks, each)
	if each > 1024 {
		t.Errorf("%.0f bytes a key, want at most 1024", each)
	}
	runtime.KeepAlive(e)
}
