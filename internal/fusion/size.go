package fusion

import (
	"math"
	"math/bits"
)

// A burst tells by its size, too: a rule that fires once now and then, and a thousand
// times within minutes when something is attacked, is no background for that.

const (
	// sizeKinds is how many powers of two the sizes of bursts are counted by; the last
	// has all that are larger.
	sizeKinds = 16
	// sizeMost is the most that the size of a burst says, in bits.
	sizeMost = 4.0
	// sizePrior is how many bursts of a rule weigh as much as those of all rules.
	sizePrior = 2.0
)

// sizes counts bursts by the power of two of their size.
type sizes [sizeKinds]uint32

func sizeOf(m *meta) int { return min(bits.Len(uint(max(m.count, 1)))-1, sizeKinds-1) }

// surge is what the size of a burst says, in bits: how much likelier an attack is to
// make one so large than background is, which makes them as large as those of its rule
// were, and as those of any while these are few. A larger burst says no less than a
// smaller one would. A single alert says nothing: an attack may be one.
func (r *rates) surge(m *meta) float64 {
	n := sizeOf(m)
	if n == 0 {
		return 0
	}
	var none sizes
	own := r.large[m.what]
	if own == nil {
		own = &none
	}
	self := 0.0
	if m.fresh { // it was counted, and is no background for itself
		self = 1
	}
	of, all := own.sum()-self, r.larges.sum()-self
	large, larges, most := -self, -self, 0.0
	for k := sizeKinds - 1; k > 0; k-- {
		large, larges = large+float64(own[k]), larges+float64(r.larges[k])
		if k > n {
			continue
		}
		usual := (max(larges, 0) + .5) / (max(all, 0) + 1)
		usual = (max(large, 0) + sizePrior*usual) / (max(of, 0) + sizePrior)
		most = max(most, -math.Log2(usual*float64(1+k)))
	}
	return min(most, sizeMost)
}

func (s *sizes) sum() float64 {
	n := 0.0
	for _, k := range s {
		n += float64(k)
	}
	return n
}
