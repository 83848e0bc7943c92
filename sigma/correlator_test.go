package sigma

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A seenEvent is an event of a random stream.
type seenEvent struct {
	at   int64 // seconds
	rule int
	id   string
	user string
	n    float64
}

func (e seenEvent) event() Event {
	return Event{Rule: e.rule, Time: second(e.at), ID: e.id, Fields: func(name string) []string {
		switch name {
		case "User":
			return []string{e.user}
		case "N":
			return []string{strconv.FormatFloat(e.n, 'g', -1, 64)}
		}
		return nil
	}}
}

// recompute says from scratch what a correlation of one group is worth after its
// events have come in, in the order of arrival: the window, its value and whether
// the condition holds. span is in seconds.
func recompute(c *Correlation, arrived []seenEvent, span int64) (window []seenEvent, value float64, holds bool) {
	if len(arrived) == 0 {
		return nil, 0, false
	}
	newest := int64(math.MinInt64)
	for _, e := range arrived {
		newest = max(newest, e.at)
	}
	for _, e := range arrived {
		same := func(o seenEvent) bool { return o.id == e.id && o.rule == e.rule }
		if e.at >= newest-span && !slices.ContainsFunc(window, same) {
			window = append(window, e)
		}
	}
	slices.SortStableFunc(window, func(a, b seenEvent) int { return int(a.at - b.at) })
	var values []float64
	different := map[float64]bool{}
	rules := map[int]bool{}
	for _, e := range window {
		values = append(values, e.n)
		different[e.n] = true
		rules[e.rule] = true
	}
	slices.Sort(values)
	sum := 0.
	for _, v := range values {
		sum += v
	}
	switch c.Type {
	case EventCount:
		value = float64(len(window))
	case ValueCount:
		value = float64(len(different))
	case ValueSum:
		value = sum
	case ValueAvg:
		value = sum / float64(len(values))
	case ValueMedian:
		value = (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	case ValuePercentile:
		at := c.Percentile / 100 * float64(len(values)-1)
		low, up := values[int(math.Floor(at))], values[int(math.Ceil(at))]
		value = low + (up-low)*(at-math.Floor(at))
	case Temporal:
		value = float64(len(rules))
	case TemporalOrdered:
		value = float64(longest(window, -1, math.MinInt64))
	}
	if c.expr != nil {
		value = float64(len(rules))
		if c.Type == Temporal {
			return window, value, c.expr.present(func(r int) bool { return rules[r] })
		}
		return window, value, inOrder(c.expr, window, rules, math.MinInt64, func(int64) bool { return true })
	}
	return window, value, c.holds(value)
}

// longest tries every chain of matches of ever later rules.
func longest(window []seenEvent, rule int, at int64) int {
	best := 0
	for _, e := range window {
		if e.rule > rule && e.at >= at {
			best = max(best, 1+longest(window, e.rule, e.at))
		}
	}
	return best
}

// inOrder tries every way to make e hold, and what follows it.
func inOrder(e *expr, window []seenEvent, rules map[int]bool, from int64, then func(int64) bool) bool {
	switch e.op {
	case exprTest:
		return slices.ContainsFunc(window, func(s seenEvent) bool { return s.rule == e.n && s.at >= from && then(s.at) })
	case exprNot:
		return !e.kids[0].present(func(r int) bool { return rules[r] }) && then(from)
	case exprOr:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return inOrder(k, window, rules, from, then) })
	}
	if len(e.kids) == 0 {
		return then(from)
	}
	rest := &expr{op: exprAnd, kids: e.kids[1:]}
	return inOrder(e.kids[0], window, rules, from, func(at int64) bool { return inOrder(rest, window, rules, at, then) })
}

// What is kept up event by event is what comes out when everything is computed
// anew, for random correlations over random streams with late and repeated events.
func TestCorrelatorAgainstRecomputation(t *testing.T) {
	matches, lates, repeats := 0, 0, 0
	for seed := range uint64(400) {
		g := generator{rand.New(rand.NewPCG(seed, 7))}
		span := int64(1 + g.IntN(30))
		rules := g.pick("[a]", "[a, b]", "[a, b, c]")
		threshold := fmt.Sprintf("%s: %d", g.pick("gt", "gte", "lt", "lte", "eq", "neq"), 2+g.IntN(5))
		spec := g.pick(
			"type: event_count, condition: {"+threshold+"}",
			"type: value_count, condition: {field: N, "+threshold+"}",
			"type: value_sum, condition: {field: N, "+threshold+"}",
			"type: value_avg, condition: {field: N, "+threshold+"}",
			"type: value_median, condition: {field: N, "+threshold+"}",
			fmt.Sprintf("type: value_percentile, condition: {field: N, percentile: %d, %s}", g.IntN(101), threshold),
			"type: temporal", "type: temporal_ordered", "type: temporal_ordered, condition: {gte: 1}", "type: temporal, condition: {gte: 1}",
		)
		if g.IntN(4) == 0 {
			rules = "[a, b, c, d]"
			spec = "type: " + g.pick("temporal", "temporal_ordered") + ", condition: " +
				g.pick("a and b and not (c or d)", "a and (b or c and d)", "(a or b) and (c or d)", "a and not b or c and d", "a and (b or not c) and d")
		}
		src := fmt.Sprintf("x: {rules: %s, %s, timespan: %ds, group-by: User}\n", rules, spec, span)
		set := compileText(t, baseRules()+correlations(t, src))
		c := set.Rules()[4].Correlation
		cor := NewCorrelator(set, CorrelatorOptions{})
		arrived := map[string][]seenEvent{}
		held := map[string]int64{} // by user: when it last held
		holding := map[string]bool{}
		now := int64(0)
		var sent []seenEvent
		for i := range 150 {
			now += int64(g.IntN(5))
			e := seenEvent{at: now, rule: g.IntN(len(c.Rules)), id: strconv.Itoa(i), user: g.pick("x", "y", "z"), n: float64(g.IntN(20)) / 2}
			switch g.IntN(10) {
			case 0, 1:
				e.at -= int64(g.IntN(int(span) + 5))
			case 2:
				if len(sent) > 0 {
					e = sent[max(0, len(sent)-1-g.IntN(10))]
				}
			}
			before := cor.Stats()
			got := cor.Add(e.event())
			after := cor.Stats()
			lates, repeats = lates+after.Late-before.Late, repeats+after.Repeated-before.Repeated
			sent = append(sent, e)
			prior, _, _ := recompute(c, arrived[e.user], span)
			arrived[e.user] = append(arrived[e.user], e)
			window, value, holds := recompute(c, arrived[e.user], span)
			ignored := after.Late+after.Repeated != before.Late+before.Repeated
			if ignored {
				if !reflect.DeepEqual(prior, window) {
					t.Fatalf("seed %d, event %d: ignored, but it changes the window: %s", seed, i, src)
				}
				holds = false
			}
			if holds != (len(got) == 1) {
				t.Fatalf("seed %d, event %d: %d matches, recomputation says %v (%v): %s%+v", seed, i, len(got), holds, value, src, window)
			}
			if ignored {
				continue
			}
			newest := window[len(window)-1].at
			if holds {
				matches++
				m := got[0]
				first := !holding[e.user] || newest-held[e.user] > span
				if m.Value != value || m.First != first || !m.Time.Equal(second(newest)) || !m.Start.Equal(second(window[0].at)) ||
					!reflect.DeepEqual(m.Group, []GroupValue{{"User", e.user}}) {
					t.Fatalf("seed %d, event %d: %+v, want value %v, first %v: %s", seed, i, m, value, first, src)
				}
				if want := eventIDs(window); m.First && !reflect.DeepEqual(m.Events, want) {
					t.Fatalf("seed %d, event %d: events %v, want %v: %s", seed, i, m.Events, want, src)
				}
				held[e.user] = newest
			}
			holding[e.user] = holds
		}
	}
	t.Logf("%d matches, %d late events, %d repeated ones", matches, lates, repeats)
	if matches < 5000 || lates < 200 || repeats < 500 {
		t.Error("too little happens in the random streams to show anything")
	}
}

func eventIDs(window []seenEvent) []string {
	var out []string
	for _, e := range window {
		if !slices.Contains(out, e.id) {
			out = append(out, e.id)
		}
	}
	return out
}

func oneCorrelation(t testing.TB, spec string) *Set {
	t.Helper()
	src := "title: rule a\nname: a\nlogsource: {category: test}\ndetection: {s: {R: a}, condition: s}\n---\ntitle: x\ncorrelation: {rules: a, " + spec + "}\n"
	return compileText(t, src)
}

// The group least recently added to is forgotten first.
func TestCorrelatorEviction(t *testing.T) {
	set := oneCorrelation(t, "type: event_count, group-by: User, timespan: 1h, condition: {gte: 2}")
	const most = 50
	cor := NewCorrelator(set, CorrelatorOptions{MaxGroups: most})
	g := generator{rand.New(rand.NewPCG(1, 2))}
	var order []string // oldest use first
	evicted := 0
	for i := range 20_000 {
		user := strconv.Itoa(g.IntN(70))
		m := cor.Add(seenEvent{at: int64(i / 100), id: strconv.Itoa(i), user: user}.event())
		at := slices.Index(order, user)
		if (at >= 0) != (len(m) == 1) {
			t.Fatalf("event %d: group is known: %v, %d matches", i, at >= 0, len(m))
		}
		if at >= 0 {
			order = slices.Delete(order, at, at+1)
		}
		if order = append(order, user); len(order) > most {
			order = order[1:]
			evicted++
		}
		if s := cor.Stats(); s.Groups != len(order) || s.Evicted != evicted {
			t.Fatalf("event %d: %+v, want %d groups, %d evicted", i, s, len(order), evicted)
		}
	}
	if evicted < 1000 {
		t.Errorf("only %d evictions", evicted)
	}
}

// A million groups stay under the cap of groups, and of memory.
func TestCorrelatorStorm(t *testing.T) {
	set := oneCorrelation(t, "type: value_count, group-by: User, timespan: 1d, condition: {field: N, gte: 5}")
	memory := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := memory()
	cor := NewCorrelator(set, CorrelatorOptions{})
	const n = 1_000_000
	for i := range n {
		cor.Add(seenEvent{at: int64(i / 1000), id: "event-" + strconv.Itoa(i), user: "user-" + strconv.Itoa(i), n: 1}.event())
	}
	s := cor.Stats()
	used := float64(memory()-before) / (1 << 20)
	t.Logf("%d groups came, %d are held in %.0f MiB, %d evicted", n, s.Groups, used, s.Evicted)
	if s.Groups != 100_000 || s.Evicted != n-100_000 || s.Events != 100_000 || used > 128 {
		t.Errorf("%+v", s)
	}
	runtime.KeepAlive(cor)
}

// Groups that are over are forgotten as time goes on, and a single stamp from the
// future forgets nothing.
func TestCorrelatorForgets(t *testing.T) {
	set := oneCorrelation(t, "type: event_count, group-by: User, timespan: 10s, condition: {gte: 2}")
	cor := NewCorrelator(set, CorrelatorOptions{})
	for i := range 100_000 {
		cor.Add(seenEvent{at: int64(i), id: strconv.Itoa(i), user: strconv.Itoa(i)}.event())
		if i%10_000 == 777 {
			cor.Add(Event{Time: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: "future" + strconv.Itoa(i), Fields: seenEvent{user: "future"}.event().Fields})
			if m := cor.Add(seenEvent{at: int64(i), id: "again" + strconv.Itoa(i), user: strconv.Itoa(i)}.event()); len(m) != 1 {
				t.Fatalf("event %d: the group was forgotten", i)
			}
		}
		if n := cor.Stats().Groups; n > 3000 {
			t.Fatalf("event %d: %d groups", i, n)
		}
	}
	if s := cor.Stats(); s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}

// A window that is full loses its oldest events, yet counts that are compared
// with stay right.
func TestCorrelatorFullWindow(t *testing.T) {
	set := oneCorrelation(t, "type: event_count, timespan: 1d, condition: {gte: 500}")
	cor := NewCorrelator(set, CorrelatorOptions{MaxWindow: 100, MaxIDs: 10})
	for i := range 2000 {
		m := cor.Add(seenEvent{at: int64(i), id: strconv.Itoa(i)}.event())
		if (len(m) == 1) != (i >= 499) {
			t.Fatalf("event %d: %d matches", i, len(m))
		}
		if i == 499 && (!m[0].First || strings.Join(m[0].Events, " ") != "490 491 492 493 494 495 496 497 498 499") {
			t.Errorf("got %+v", m[0])
		}
	}
	if s := cor.Stats(); s.Events != 501 || s.Trimmed != 2000-501 {
		t.Errorf("%+v", s)
	}
	// All groups together are bounded as well.
	set = oneCorrelation(t, "type: event_count, group-by: User, timespan: 1d, condition: {gte: 500}")
	cor = NewCorrelator(set, CorrelatorOptions{MaxEvents: 1000})
	for i := range 20_000 {
		cor.Add(seenEvent{at: int64(i), id: strconv.Itoa(i), user: strconv.Itoa(i % 30)}.event())
		if s := cor.Stats(); s.Events > 1000 {
			t.Fatalf("event %d: %+v", i, s)
		}
	}
}

// What is kept of long values is bounded, and tells them apart.
func TestCorrelatorLongValues(t *testing.T) {
	set := oneCorrelation(t, "type: event_count, group-by: User, timespan: 1h, condition: {gte: 2}")
	cor := NewCorrelator(set, CorrelatorOptions{})
	long := strings.Repeat("x", 1<<16)
	for i, c := range []struct {
		user  string
		match bool
	}{{long + "a", false}, {long + "b", false}, {long + "a", true}} {
		m := cor.Add(seenEvent{at: int64(i), id: strconv.Itoa(i), user: c.user}.event())
		if (len(m) == 1) != c.match {
			t.Errorf("event %d: %d matches", i, len(m))
		}
		if len(m) == 1 && len(m[0].Group[0].Value) > 600 {
			t.Errorf("a value of %d bytes is kept", len(m[0].Group[0].Value))
		}
	}
}

// A lattice of correlations, in which the ways from bottom to top are countless,
// ends all the same.
func TestCorrelatorLattice(t *testing.T) {
	src := ""
	below := []string{"a", "b"}
	for level := range 30 {
		l, r := fmt.Sprintf("l%d", level), fmt.Sprintf("r%d", level)
		for _, name := range []string{l, r} {
			src += fmt.Sprintf("%s: {type: temporal, rules: [%s], timespan: 1m, condition: {gte: 1}}\n", name, strings.Join(below, ", "))
		}
		below = []string{l, r}
	}
	set := compileText(t, baseRules()+correlations(t, src))
	cor := NewCorrelator(set, CorrelatorOptions{})
	for i := range 5 {
		cor.Add(seenEvent{at: int64(i), id: strconv.Itoa(i)}.event())
	}
	if s := cor.Stats(); s.Overflowed == 0 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkCorrelator(b *testing.B) {
	for _, spec := range []string{
		"type: event_count, group-by: User, timespan: 10m, condition: {gte: 1000}",
		"type: value_count, group-by: User, timespan: 10m, condition: {field: N, gte: 1000}",
		"type: value_percentile, group-by: User, timespan: 10m, condition: {field: N, percentile: 95, gte: 1000}",
		"type: temporal_ordered, group-by: User, timespan: 10m",
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(spec, "type: "), ",")
		b.Run(name, func(b *testing.B) {
			if strings.HasPrefix(name, "temporal") {
				spec = strings.Replace(spec, "timespan", "condition: a and not a or a, timespan", 1)
			}
			set := oneCorrelation(b, spec)
			cor := NewCorrelator(set, CorrelatorOptions{})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				cor.Add(seenEvent{at: int64(i / 50), id: strconv.Itoa(i), user: strconv.Itoa(i % 1000), n: float64(i % 700)}.event())
				i++
			}
		})
	}
}
