package app

import (
	"context"
	"runtime"
	"time"
)

// BenchResult is what Bench measured; its JSON form is the contract's.
type BenchResult struct {
	Events  int64        `json:"events"`
	Bytes   int64        `json:"bytes"` // of the evidence, uncompressed
	Rules   int          `json:"rules"`
	Workers int          `json:"workers"`
	Seconds BenchSeconds `json:"seconds"`
	// Allocs counts the heap allocations of the whole run.
	Allocs uint64 `json:"allocs"`
	// PeakRSS is the most memory the process held, 0 where the system does not say.
	PeakRSS int64 `json:"peak_rss_bytes"`
	Alerts  int   `json:"alerts"`
	// Incidents are there so that a faster run can be seen to find the same.
	Incidents int `json:"incidents"`
}

// BenchSeconds are wall-clock times. Decode and detect overlap in a real run:
// Decode is a run of its own without rules, Detect what rules add to it.
type BenchSeconds struct {
	Decode float64 `json:"decode"`
	Detect float64 `json:"detect"`
	Fuse   float64 `json:"fuse"`
	Total  float64 `json:"total"`
}

// Bench analyses paths and measures it. It is the one place that asks the wall
// clock, since time is its subject.
func Bench(ctx context.Context, o Options, paths []string) (*BenchResult, error) {
	bare := o
	bare.NoBuiltin, bare.RuleDirs, bare.Adapt = true, nil, Adapt{}
	without, err := New(bare)
	if err != nil {
		return nil, err
	}
	in, release, err := without.again(paths)
	if err != nil {
		return nil, err
	}
	defer release()
	begin := time.Now()
	if _, err := without.scan(ctx, in); err != nil {
		return nil, err
	}
	decode := time.Since(begin).Seconds()

	var fusing time.Time
	o.Progress = func(p Progress) {
		if p.Phase == "fusing" {
			fusing = time.Now()
		}
	}
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin = time.Now()
	r, err := a.analyze(ctx, in)
	if err != nil {
		return nil, err
	}
	total := time.Since(begin).Seconds()
	runtime.ReadMemStats(&after)
	res := &BenchResult{Events: r.Totals.Events, Rules: a.Rules(), Workers: a.opt.Workers, Alerts: r.Totals.Alerts, Incidents: r.Totals.Incidents,
		Allocs: after.Mallocs - before.Mallocs, PeakRSS: peakRSS()}
	for _, in := range r.Inputs {
		res.Bytes += in.Bytes
	}
	scan := fusing.Sub(begin).Seconds()
	res.Seconds = BenchSeconds{Decode: decode, Detect: max(0, scan-decode), Fuse: total - scan, Total: total}
	return res, nil
}
