package fusion

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// bursts counts plain bursts of the given sizes for one rule and returns the rates.
func bursts(e *Engine, rule string, sizes ...int) {
	for i, n := range sizes {
		e.rates.add(burst(e, rule, fmt.Sprintf("h%d", i%7), time.Unix(int64(i)*7200, 0), n))
	}
}

func burst(e *Engine, rule, host string, at time.Time, n int) *meta {
	a := &model.Alert{ID: fmt.Sprintf("%s-%s-%d", rule, host, at.Unix()), Rule: model.RuleInfo{ID: rule}, Time: at, Count: n, Severity: model.Low}
	k := model.EntityKey{Type: model.Host, Value: host}
	m := newMeta(a, portrait{subject: k, principal: k, pivots: []pivot{{key: k, reason: model.SameHost, class: wide}}})
	e.identify(m)
	return m
}

func repeat(n, times int) []int {
	out := make([]int, times)
	for i := range out {
		out[i] = n
	}
	return out
}

// A thousand of what fires once at a time say more than one, up to a bound; as many of
// what comes by thousands say nothing, and neither does a single one, whatever is usual.
func TestSurge(t *testing.T) {
	e := New(Options{})
	bursts(e, "single", repeat(1, 60)...)
	bursts(e, "mass", repeat(1500, 60)...)
	at := time.Unix(1_000_000, 0)
	surge := func(rule string, n int) float64 { return e.rates.surge(burst(e, rule, "web", at, n)) }
	if few, many := surge("single", 4), surge("single", 1000); few <= 0 || many < few || many > sizeMost {
		t.Errorf("4 of what comes alone say %.2f bits, 1000 say %.2f; want them positive, rising, at most %.0f", few, many, sizeMost)
	}
	for _, x := range []struct {
		rule string
		n    int
	}{{"single", 1}, {"mass", 1}, {"mass", 1000}, {"mass", 4}} {
		if got := surge(x.rule, x.n); got != 0 {
			t.Errorf("%d of %s say %.2f bits, want none", x.n, x.rule, got)
		}
	}
}

// Of a rule that nobody has seen, bursts are held against those of all rules.
func TestSurgeOfAnUnknownRule(t *testing.T) {
	small, large := New(Options{}), New(Options{})
	bursts(small, "other", repeat(1, 50)...)
	bursts(large, "other", repeat(900, 50)...)
	at := time.Unix(1_000_000, 0)
	if a, b := small.rates.surge(burst(small, "new", "web", at, 64)), large.rates.surge(burst(large, "new", "web", at, 64)); a <= b || b != 0 {
		t.Errorf("64 say %.2f bits where bursts are single, %.2f where they are large", a, b)
	}
}

// A burst is no background for itself: counted, it says what it said before.
func TestSurgeLeavesOutItself(t *testing.T) {
	e := New(Options{})
	bursts(e, "rule", repeat(1, 20)...)
	m := burst(e, "rule", "web", time.Unix(1_000_000, 0), 300)
	before := e.rates.surge(m)
	e.rates.add(m)
	if after := e.rates.surge(m); math.Abs(after-before) > 1e-9 || before <= 0 {
		t.Errorf("%.3f bits before it is counted, %.3f after", before, after)
	}
}

func TestSizeOfIsBounded(t *testing.T) {
	e := New(Options{})
	for _, n := range []int{-5, 0, 1, 2, 1 << 40, math.MaxInt} {
		if got := sizeOf(burst(e, "r", "h", time.Unix(1, 0), n)); got < 0 || got >= sizeKinds {
			t.Errorf("size %d is of kind %d", n, got)
		}
	}
}
