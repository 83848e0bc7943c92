package sigma

import (
	"math"
	"slices"
)

// aggregate is the value of a window, kept up to date entry by entry.
type aggregate interface {
	add(e *entry)
	remove(e *entry, rest []entry) // rest is what stays
	value() float64
}

func newAggregate(l *link) aggregate {
	switch l.Type {
	case EventCount:
		return new(counter)
	case ValueCount:
		return &distinct{}
	case ValueSum, ValueAvg:
		return &total{mean: l.Type == ValueAvg}
	case ValueMedian:
		return &ranked{at: 0.5}
	case ValuePercentile:
		return &ranked{at: l.Percentile / 100}
	}
	return &sequence{times: make([][]int64, len(l.refs)), ordered: l.Type == TemporalOrdered}
}

// counter counts events.
type counter int

func (c *counter) add(*entry)             { *c++ }
func (c *counter) remove(*entry, []entry) { *c-- }
func (c *counter) value() float64         { return float64(*c) }

// distinct counts different values by how often each stands in the window.
type distinct struct{ times map[string]int }

func (d *distinct) add(e *entry) {
	if d.times == nil {
		d.times = map[string]int{}
	}
	d.times[e.text]++
}

func (d *distinct) remove(e *entry, _ []entry) {
	if d.times[e.text]--; d.times[e.text] == 0 {
		delete(d.times, e.text)
	}
}

func (d *distinct) value() float64 { return float64(len(d.times)) }

// total adds values up. What rounding leaves behind when values go is cleared
// by adding up anew, once for every window's length of removals.
type total struct {
	mean  bool
	n     int
	sum   float64
	stale int
}

func (t *total) add(e *entry) {
	t.n++
	t.sum += e.num
}

func (t *total) remove(e *entry, rest []entry) {
	t.n--
	t.sum -= e.num
	if t.stale++; t.stale > len(rest) || math.IsInf(t.sum, 0) || math.IsNaN(t.sum) {
		t.stale, t.sum = 0, 0
		for i := range rest {
			t.sum += rest[i].num
		}
	}
}

func (t *total) value() float64 {
	if t.mean {
		return t.sum / float64(t.n)
	}
	return t.sum
}

// ranked keeps values sorted.
type ranked struct {
	at     float64 // 0 to 1
	values []float64
}

func (r *ranked) add(e *entry) {
	i, _ := slices.BinarySearch(r.values, e.num)
	r.values = slices.Insert(r.values, i, e.num)
}

func (r *ranked) remove(e *entry, _ []entry) {
	i, _ := slices.BinarySearch(r.values, e.num)
	r.values = slices.Delete(r.values, i, i+1)
}

func (r *ranked) value() float64 { return quantile(r.values, r.at) }

// quantile interpolates linearly between the two nearest of sorted values.
func quantile(sorted []float64, at float64) float64 {
	place := at * float64(len(sorted)-1)
	low := math.Floor(place)
	v := sorted[int(low)]
	if up := int(low) + 1; up < len(sorted) {
		v += (sorted[up] - v) * (place - low)
	}
	return v
}

// sequence knows when each rule matched.
type sequence struct {
	times   [][]int64 // by ref, ascending
	ordered bool
}

func (s *sequence) add(e *entry) {
	t := s.times[e.ref]
	i, _ := slices.BinarySearch(t, e.at)
	s.times[e.ref] = slices.Insert(t, i, e.at)
}

// remove is only asked to take out the oldest.
func (s *sequence) remove(e *entry, _ []entry) {
	s.times[e.ref] = slices.Delete(s.times[e.ref], 0, 1)
}

// value is how many of the rules have matched or, if ordered, how many of them
// in their order.
func (s *sequence) value() float64 {
	if s.ordered {
		return float64(s.chain())
	}
	return float64(s.present())
}

// present returns how many of the rules have matched.
func (s *sequence) present() int {
	n := 0
	for ref := range s.times {
		if s.has(ref) {
			n++
		}
	}
	return n
}

const never = math.MaxInt64

// after returns when a rule first matched at a time or later. Matches at one time
// are taken to have the order asked for, as stamps are often rounded.
func (s *sequence) after(ref int, from int64) int64 {
	i, _ := slices.BinarySearch(s.times[ref], from)
	if i == len(s.times[ref]) {
		return never
	}
	return s.times[ref][i]
}

// chain returns the length of the longest chain of matches in which each rule
// comes after those that stand before it in the list.
func (s *sequence) chain() int {
	ends := make([]int64, 1, len(s.times)+1) // by length of a chain: when the first of it is complete
	ends[0] = math.MinInt64
	for ref := range s.times {
		for n := len(ends) - 1; n >= 0; n-- {
			at := s.after(ref, ends[n])
			if at == never {
				continue
			}
			if n+1 == len(ends) {
				ends = append(ends, at)
			} else {
				ends[n+1] = min(ends[n+1], at)
			}
		}
	}
	return len(ends) - 1
}

// holds evaluates a condition over rules.
func (s *sequence) holds(e *expr) bool {
	if !s.ordered {
		return e.present(s.has)
	}
	return s.complete(e, math.MinInt64) != never
}

func (s *sequence) has(ref int) bool { return len(s.times[ref]) > 0 }

// complete returns when e is first complete if nothing before a time counts:
// "and" takes its parts one after the other, a negation asks of all the window.
func (s *sequence) complete(e *expr, from int64) int64 {
	switch e.op {
	case exprTest:
		return s.after(e.n, from)
	case exprNot:
		if e.kids[0].present(s.has) {
			return never
		}
		return from
	case exprOr:
		best := int64(never)
		for _, k := range e.kids {
			best = min(best, s.complete(k, from))
		}
		return best
	}
	for _, k := range e.kids {
		if from = s.complete(k, from); from == never {
			break
		}
	}
	return from
}
