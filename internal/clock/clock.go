// Package clock finds out which clocks in a body of evidence are wrong, and by how
// much. A record can carry three stamps: the one in its header, the sensor's own
// inside the event, and the collector's. Exports shift the header to local time
// and mark it as UTC; a machine resumed from pause stamps some events days back;
// collectors run late. Where the stamps of one source disagree with each other in
// a way that repeats, the package says so and corrects.
//
// Everything here is a pure function of the stamps: the wall clock is not asked.
package clock

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const (
	// tolerance is by how much two stamps of one act may differ and still agree:
	// a record is written a moment after what it tells.
	tolerance = 5 * time.Second
	// zoneStep is the grid on which time zones lie.
	zoneStep = 15 * time.Minute
	// maxZone is the largest shift that wrong zones and a lost AM/PM can make.
	maxZone = 26 * time.Hour
	// minSamples is how many events must agree before a source is corrected.
	minSamples = 3
	// maxBuckets bounds the different shifts remembered of one source.
	maxBuckets = 4096
)

// Source is one clock: what one input says of one host.
type Source struct {
	Input, Host string
}

// Stamps are the times that one record carries; zero where it carries none.
type Stamps struct {
	Recorded, Sensed, Received time.Time
}

// Of returns the stamps of e.
func Of(e *model.Event) Stamps { return Stamps{e.Recorded, e.Sensed, e.Received} }

// shift is how far the header's stamp lies before the true one, in seconds.
type shift int64

type votes struct {
	// sensed counts, by shift, the events of each kind whose own stamp says so: a
	// kind of event whose sensor stamp is broken must not outvote the others by
	// its number alone.
	sensed map[shift]map[string]int
	// received counts shifts to the collector's stamp, on the grid of time zones.
	received map[shift]int
}

// Estimator collects stamps. The zero value is ready; it is not safe for
// concurrent use, so each worker has its own and Merge joins them.
type Estimator struct {
	sources map[Source]*votes
}

// Observe takes the stamps of one event.
func (e *Estimator) Observe(src Source, code string, s Stamps) {
	if s.Recorded.IsZero() {
		return
	}
	if s.Sensed.IsZero() && s.Received.IsZero() {
		return
	}
	v := e.votes(src)
	if !s.Sensed.IsZero() && !s.Sensed.Equal(s.Recorded) {
		vote(v.sensed, round(s.Sensed.Sub(s.Recorded), time.Second), code, 1)
	} else if !s.Sensed.IsZero() {
		vote(v.sensed, 0, code, 1)
	}
	if !s.Received.IsZero() {
		// The collector is never early: a shift is the largest step of the grid not
		// after it.
		d := s.Received.Sub(s.Recorded) + tolerance
		k := shift(floor(d, zoneStep) / time.Second)
		if _, ok := v.received[k]; ok || len(v.received) < maxBuckets {
			v.received[k]++
		}
	}
}

func (e *Estimator) votes(src Source) *votes {
	if e.sources == nil {
		e.sources = map[Source]*votes{}
	}
	v := e.sources[src]
	if v == nil {
		v = &votes{sensed: map[shift]map[string]int{}, received: map[shift]int{}}
		e.sources[src] = v
	}
	return v
}

func vote(m map[shift]map[string]int, k shift, code string, n int) {
	by := m[k]
	if by == nil {
		if len(m) >= maxBuckets {
			return
		}
		by = map[string]int{}
		m[k] = by
	}
	by[code] += n
}

// Merge adds what o saw.
func (e *Estimator) Merge(o *Estimator) {
	for src, v := range o.sources {
		to := e.votes(src)
		for k, by := range v.sensed {
			for code, n := range by {
				vote(to.sensed, k, code, n)
			}
		}
		for k, n := range v.received {
			to.received[k] += n
		}
	}
}

func round(d, unit time.Duration) shift { return shift(d.Round(unit) / time.Second) }

func floor(d, unit time.Duration) time.Duration {
	n := d / unit
	if d%unit < 0 {
		n--
	}
	return n * unit
}

// Correction gives every event its true time, as far as its source's stamps tell.
type Correction struct {
	by map[Source]verdict
}

type verdict struct {
	offset time.Duration // added to the header's stamp
	known  bool          // whether the header's stamp could be compared at all
	// strays counts the events whose own stamp lies away from the corrected header.
	strays, sensed int
	ground         string
}

// Solve decides on every source.
func (e *Estimator) Solve() *Correction {
	c := &Correction{by: make(map[Source]verdict, len(e.sources))}
	for src, v := range e.sources {
		c.by[src] = v.solve()
	}
	return c
}

func (v *votes) solve() verdict {
	var out verdict
	if k, n, total, ok := v.bySensor(); ok {
		out = verdict{offset: time.Duration(k) * time.Second, known: true, sensed: total, strays: total - n,
			ground: "the sensor's own UTC stamps inside the events"}
	} else if k, n := v.byCollector(); n >= minSamples {
		out = verdict{offset: time.Duration(k) * time.Second, known: true, ground: "the collector's stamps"}
	}
	if out.offset.Abs() <= tolerance {
		out.offset = 0
	}
	return out
}

// bySensor returns the shift that most kinds of events agree on within the
// tolerance, how many events agree, and how many voted. Among equals a shift on
// the grid of time zones wins, then the one with more events, then the smallest.
func (v *votes) bySensor() (best shift, agree, total int, ok bool) {
	type candidate struct {
		k     shift
		kinds int
		n     int
	}
	keys := make([]shift, 0, len(v.sensed))
	for k, by := range v.sensed {
		keys = append(keys, k)
		for _, n := range by {
			total += n
		}
	}
	slices.Sort(keys)
	var cs []candidate
	tol := shift(tolerance / time.Second)
	for i, k := range keys {
		kinds, n := map[string]int{}, 0
		for j := i; j >= 0 && k-keys[j] <= tol; j-- {
			for code, m := range v.sensed[keys[j]] {
				kinds[code] += m
				n += m
			}
		}
		for j := i + 1; j < len(keys) && keys[j]-k <= tol; j++ {
			for code, m := range v.sensed[keys[j]] {
				kinds[code] += m
				n += m
			}
		}
		cs = append(cs, candidate{k, len(kinds), n})
	}
	if len(cs) == 0 {
		return 0, 0, 0, false
	}
	b := slices.MinFunc(cs, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.kinds, a.kinds), cmp.Compare(b.n, a.n), cmp.Compare(offGrid(a.k), offGrid(b.k)), cmp.Compare(abs(a.k), abs(b.k)), cmp.Compare(a.k, b.k))
	})
	if b.n < minSamples {
		return 0, 0, 0, false
	}
	// A sensor's stamp is a fraction of a second before the header's: the grid says
	// what the shift was before that.
	if g := shift(time.Duration(b.k) * time.Second / zoneStep * zoneStep / time.Second); offGrid(b.k) <= tol && abs(b.k) <= shift(maxZone/time.Second) {
		step := shift(zoneStep / time.Second)
		for _, near := range []shift{g - step, g, g + step} {
			if abs(near-b.k) <= tol {
				b.k = near
				break
			}
		}
	}
	return b.k, b.n, total, true
}

// offGrid is how far k lies from the nearest step of the grid of time zones.
func offGrid(k shift) shift {
	step := shift(zoneStep / time.Second)
	m := ((k % step) + step) % step
	return min(m, step-m)
}

func abs(k shift) shift {
	if k < 0 {
		return -k
	}
	return k
}

// byCollector returns the commonest shift to the collector's stamp that a wrong
// zone can explain. A shift of zero wins if it occurs at all often: a collector
// that is late by hours is no proof of a wrong zone.
func (v *votes) byCollector() (shift, int) {
	keys := make([]shift, 0, len(v.received))
	total := 0
	for k, n := range v.received {
		keys = append(keys, k)
		total += n
	}
	slices.Sort(keys)
	var best shift
	n := 0
	for _, k := range keys {
		if abs(k) <= shift(maxZone/time.Second) && v.received[k] > n {
			best, n = k, v.received[k]
		}
	}
	if v.received[0]*4 >= total || n*2 < total {
		return 0, v.received[0]
	}
	return best, n
}

// Time returns when an event with those stamps happened: the sensor's own stamp
// where it agrees with the corrected header, else the corrected header. For a
// source that could not be judged it is the sensor's stamp, the header's, the
// collector's, in this order.
func (c *Correction) Time(src Source, s Stamps) time.Time {
	v := c.by[src]
	switch {
	case s.Recorded.IsZero() && s.Sensed.IsZero():
		return s.Received
	case s.Recorded.IsZero():
		return s.Sensed
	}
	header := s.Recorded.Add(v.offset)
	if s.Sensed.IsZero() {
		return header
	}
	if v.known && s.Sensed.Sub(header).Abs() > time.Minute {
		return header
	}
	return s.Sensed
}

// An Offset is a correction that people should know of.
type Offset struct {
	Source
	Seconds float64 // added to the header's stamps
	Strays  int     // events whose sensor's own stamp was wrong and not used
	Text    string  // one plain sentence
}

// Offsets lists what was corrected, by input and host.
func (c *Correction) Offsets() []Offset {
	var out []Offset
	for src, v := range c.by {
		if v.offset == 0 && v.strays*100 < v.sensed || !v.known {
			continue
		}
		where := src.Input
		if src.Host != "" {
			where = src.Host + " in " + src.Input
		}
		o := Offset{Source: src, Seconds: v.offset.Seconds(), Strays: v.strays}
		if v.offset != 0 {
			o.Text = fmt.Sprintf("%s: record times shifted by %+.2f h, going by %s.", where, v.offset.Hours(), v.ground)
		}
		if v.strays*100 >= v.sensed && v.strays > 0 {
			if o.Text != "" {
				o.Text += " "
			} else {
				o.Text = where + ": "
			}
			o.Text += fmt.Sprintf("%d of %d events carry a sensor stamp that disagrees with the rest of their source; their record times were used.", v.strays, v.sensed)
		}
		if o.Text != "" {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Offset) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Host, b.Host))
	})
	return out
}
