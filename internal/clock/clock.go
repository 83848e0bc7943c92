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
	"strings"
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
	flows   map[Flow][]flowSeen
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
	for f, seen := range o.flows {
		for _, s := range seen {
			e.addFlow(f, s)
		}
	}
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
	// strays counts the events whose own stamp lies away from the corrected header;
	// broken are the kinds of events of which most do.
	strays, sensed int
	broken         []string
	ground         string
	// sensor is added to the sensor's own stamps: the whole machine was off.
	sensor time.Duration
	// apart is a difference to a network sensor that is too small to correct.
	apart time.Duration
}

// Solve decides on every source.
func (e *Estimator) Solve() *Correction {
	c := &Correction{by: make(map[Source]verdict, len(e.sources))}
	for src, v := range e.sources {
		c.by[src] = v.solve()
	}
	e.byNetwork(c)
	return c
}

func (v *votes) solve() verdict {
	var out verdict
	if k, n, total, ok := v.bySensor(); ok {
		out = verdict{offset: time.Duration(k) * time.Second, known: true, sensed: total, strays: total - n,
			broken: v.broken(k), ground: "the sensor's own UTC stamps inside the events"}
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

// broken lists the kinds of events most of whose own stamps disagree with the
// shift k that the others agree on.
func (v *votes) broken(k shift) []string {
	agree, all := map[string]int{}, map[string]int{}
	for s, by := range v.sensed {
		for code, n := range by {
			all[code] += n
			if abs(s-k) <= shift(time.Minute/time.Second) {
				agree[code] += n
			}
		}
	}
	var out []string
	for code, n := range all {
		if n >= minSamples && agree[code]*2 < n {
			out = append(out, code)
		}
	}
	slices.Sort(out)
	return out
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
		return s.Sensed.Add(v.sensor)
	}
	header := s.Recorded.Add(v.offset)
	if s.Sensed.IsZero() {
		return header
	}
	sensed := s.Sensed.Add(v.sensor)
	if v.known && sensed.Sub(header).Abs() > time.Minute {
		return header
	}
	return sensed
}

// An Offset is a correction that people should know of.
type Offset struct {
	Input   string
	Hosts   []string
	Seconds float64 // added to the header's stamps
	Text    string  // one plain sentence, or two
}

// Offsets lists what was corrected, by input; hosts of one input that need the
// same correction for the same reason stand together.
func (c *Correction) Offsets() []Offset {
	type group struct {
		input, broken, ground string
		offset, apart         time.Duration
	}
	by := map[group]*Offset{}
	counts := map[group][2]int{}
	for src, v := range c.by {
		if !v.known || v.offset == 0 && v.apart == 0 && len(v.broken) == 0 {
			continue
		}
		g := group{src.Input, strings.Join(v.broken, ", "), v.ground, v.offset, v.apart}
		if by[g] == nil {
			by[g] = &Offset{Input: src.Input, Seconds: v.offset.Seconds()}
		}
		by[g].Hosts = append(by[g].Hosts, src.Host)
		n := counts[g]
		counts[g] = [2]int{n[0] + v.strays, n[1] + v.sensed}
	}
	out := make([]Offset, 0, len(by))
	for g, o := range by {
		slices.Sort(o.Hosts)
		o.Text = o.where() + ":"
		if g.offset != 0 {
			o.Text += fmt.Sprintf(" record times shifted by %s, going by %s.", signed(g.offset), g.ground)
		}
		if g.broken != "" {
			o.Text += fmt.Sprintf(" The sensor's own stamps of events %s disagree with all else in this source (%d of %d stamps); their record times were used.", g.broken, counts[g][0], counts[g][1])
		}
		if g.apart != 0 {
			o.Text += fmt.Sprintf(" Its connections stand %s from those that a network sensor saw; this was not corrected.", signed(-g.apart))
		}
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b Offset) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), slices.Compare(a.Hosts, b.Hosts), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// where names the hosts, or how many they are, and the input.
func (o *Offset) where() string {
	named := slices.DeleteFunc(slices.Clone(o.Hosts), func(h string) bool { return h == "" })
	switch {
	case len(named) == 0:
		return o.Input
	case len(named) <= 3:
		return strings.Join(named, ", ") + " in " + o.Input
	}
	return fmt.Sprintf("%s and %d more hosts in %s", strings.Join(named[:2], ", "), len(named)-2, o.Input)
}

// signed prints a shift in the unit people would use for it.
func signed(d time.Duration) string {
	if d%zoneStep == 0 {
		return fmt.Sprintf("%+.2f h", d.Hours())
	}
	return fmt.Sprintf("%+.0f s", d.Seconds())
}
