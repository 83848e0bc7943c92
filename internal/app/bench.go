package app

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"
)

// BenchResult is what Bench measured; its JSON form is the contract's.
type BenchResult struct {
	Events  int64        `json:"events"`
	Bytes   int64        `json:"bytes"` // of the evidence, uncompressed
	Rules   int          `json:"rules"`
	Workers int          `json:"workers"`
	Seconds BenchSeconds `json:"seconds"`
	// EventsPerSecond is events over seconds.total.
	EventsPerSecond float64 `json:"events_per_second"`
	// DetectOverDecode is what matching costs for each second of decoding.
	DetectOverDecode float64 `json:"detect_over_decode"`
	// Allocs counts the heap allocations of the whole run.
	Allocs uint64 `json:"allocs"`
	// AllocBytes is what they came to.
	AllocBytes uint64 `json:"alloc_bytes"`
	// GCShare is the part of the run's processor time that went into collecting
	// garbage, 0 to 1.
	GCShare float64 `json:"gc_share"`
	// PeakRSS is the most memory the process held, 0 where the system does not say.
	PeakRSS int64 `json:"peak_rss_bytes"`
	Alerts  int   `json:"alerts"`
	// Incidents are there so that a faster run can be seen to find the same.
	Incidents int `json:"incidents"`
}

// BenchSeconds say where the time went. Fuse, Total and Scan are wall-clock time;
// Scan and Fuse make up Total. The work of a scan goes on in many goroutines at
// once, so Read, Decode, Detect and Keep are how long these were busy with it,
// added up: with one worker on a machine that has nothing else to do, Decode,
// Detect and Keep make up Scan but for what waits for Read.
type BenchSeconds struct {
	Decode float64 `json:"decode"` // records to events
	Detect float64 `json:"detect"` // matching rules
	Fuse   float64 `json:"fuse"`   // all after the scan
	Total  float64 `json:"total"`

	Scan float64 `json:"scan"` // reading to keeping
	Read float64 `json:"read"` // reading, unpacking, cutting into chunks
	Keep float64 `json:"keep"` // clocks, entities, ids: what is kept of events

	// The parts of Fuse.
	Order    float64 `json:"order"`    // acts by corrected time
	Stream   float64 `json:"stream"`   // memory, correlations, stateful detectors
	Link     float64 `json:"link"`     // alerts into incidents
	Story    float64 `json:"story"`    // incidents into stories
	Evidence float64 `json:"evidence"` // the report and the records that it cites
}

// Bench analyses paths and measures it. It is the one place that asks the wall
// clock, since time is its subject.
func Bench(ctx context.Context, o Options, paths []string) (*BenchResult, error) {
	a, err := New(o)
	if err != nil {
		return nil, err
	}
	in, release, err := a.again(paths)
	if err != nil {
		return nil, err
	}
	defer release()
	m := &meter{}
	a.meter = m
	runtime.GC() // what loading rules left behind is not the run's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	gcBefore, allBefore := processorTime()
	begin := time.Now()
	r, err := a.analyze(ctx, in)
	if err != nil {
		return nil, err
	}
	total := time.Since(begin).Seconds()
	runtime.ReadMemStats(&after)
	runtime.GC() // the runtime adds its account up at the end of a cycle
	gc, all := processorTime()
	res := &BenchResult{Events: r.Totals.Events, Rules: a.Rules(), Workers: a.opt.Workers, Alerts: r.Totals.Alerts, Incidents: r.Totals.Incidents,
		Allocs: after.Mallocs - before.Mallocs, AllocBytes: after.TotalAlloc - before.TotalAlloc, PeakRSS: peakRSS()}
	for _, in := range r.Inputs {
		res.Bytes += in.Bytes
	}
	scan := m.seconds(phaseScan)
	res.Seconds = BenchSeconds{
		Decode: m.seconds(phaseDecode), Detect: m.seconds(phaseMatch), Fuse: total - scan, Total: total,
		Scan: scan, Read: m.seconds(phaseRead), Keep: m.seconds(phaseKeep),
		Order: m.seconds(phaseOrder), Stream: m.seconds(phaseStream), Link: m.seconds(phaseFuse), Story: m.seconds(phaseStory), Evidence: m.seconds(phaseEvidence),
	}
	res.EventsPerSecond = ratio(float64(res.Events), total)
	res.DetectOverDecode = ratio(res.Seconds.Detect, res.Seconds.Decode)
	res.GCShare = ratio(gc-gcBefore, all-allBefore)
	return res, nil
}

// ratio is a over b, 0 where b is nothing: JSON has no infinity.
func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

// processorTime returns how many seconds of processor time went into collecting
// garbage, and into everything.
func processorTime() (gc, all float64) {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/cpu/classes/scavenge/total:cpu-seconds"}}
	metrics.Read(s)
	for i := range s {
		if s[i].Value.Kind() == metrics.KindFloat64 {
			v := s[i].Value.Float64()
			all += v
			if i == 0 {
				gc = v
			}
		}
	}
	return gc, all
}
