package app

import (
	"sync/atomic"
	"time"
)

// A phase is a part of a run that is measured.
type phase int

const (
	phaseScan     phase = iota // the four below, as long as they take together
	phaseRead                  // reading, unpacking and cutting into chunks; one goroutine
	phaseDecode                // chunks to events; all workers
	phaseMatch                 // rules; all workers
	phaseKeep                  // clocks, entities, ids and pages; all workers
	phaseOrder                 // putting acts in order
	phaseStream                // the ordered stream: memory, correlations, stateful detectors
	phaseFuse                  // alerts into incidents
	phaseStory                 // incidents into stories
	phaseEvidence              // the report, and the records that it cites
	phaseCount
)

// A meter adds up how long phases are busy, over all goroutines. Only Bench has
// one; a nil meter measures nothing and asks no clock.
type meter struct {
	busy [phaseCount]atomic.Int64 // nanoseconds
}

// start returns when what is measured next begins.
func (m *meter) start() (t time.Time) {
	if m != nil {
		t = time.Now()
	}
	return t
}

// lap adds the time since began to a phase, and returns when the next one begins.
func (m *meter) lap(p phase, began time.Time) (now time.Time) {
	if m != nil {
		now = time.Now()
		m.busy[p].Add(int64(now.Sub(began)))
	}
	return now
}

// seconds returns how long a phase was busy.
func (m *meter) seconds(p phase) float64 { return time.Duration(m.busy[p].Load()).Seconds() }
