package detect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A burst is one rule telling the same of the same things again and again. It is
// one alert that says how often.
const (
	burstGap      = 5 * time.Minute // silence that ends a burst
	burstLen      = time.Hour       // its longest life
	burstEvidence = 20              // records kept of one burst
	maxBursts     = 1 << 18         // open bursts remembered
)

// Bursts folds repeated alerts as they come. The zero value is ready; it is not
// safe for concurrent use.
type Bursts struct {
	open map[string]*model.Alert
	key  []byte
}

// Fold returns a when it begins a burst, and nil when it was counted into one that
// Fold returned before: one of the same rule with the very same entities, less
// than five minutes away and less than an hour long.
func (b *Bursts) Fold(a *model.Alert) *model.Alert {
	if b.open == nil {
		b.open = map[string]*model.Alert{}
	}
	b.key = burstKey(b.key[:0], a)
	o := b.open[string(b.key)]
	if o != nil && near(o, a) {
		merge(o, a)
		return nil
	}
	if len(b.open) >= maxBursts {
		clear(b.open) // what is forgotten begins a new burst: nothing is lost but brevity
	}
	b.open[string(b.key)] = a
	return a
}

func burstKey(key []byte, a *model.Alert) []byte {
	key = append(key, a.Rule.ID...)
	es := make([]model.Entity, len(a.Entities))
	copy(es, a.Entities)
	slices.SortFunc(es, func(x, y model.Entity) int {
		return cmp.Or(strings.Compare(string(x.Type), string(y.Type)), strings.Compare(string(x.Role), string(y.Role)), strings.Compare(x.Value, y.Value))
	})
	for _, e := range es {
		for _, s := range []string{string(e.Type), string(e.Role), e.Value} {
			key = append(key, 0)
			key = append(key, s...)
		}
	}
	return append(append(key, 0), a.Host...)
}

// near says whether a lies in the burst o or close to it, on either side.
func near(o, a *model.Alert) bool {
	first, last := o.Time, o.End
	if a.Time.Before(first) {
		first = a.Time
	}
	if a.End.After(last) {
		last = a.End
	}
	return a.Time.Sub(o.End) <= burstGap && o.Time.Sub(a.End) <= burstGap && last.Sub(first) <= burstLen
}

func merge(o, a *model.Alert) {
	o.Count += max(a.Count, 1)
	if a.Time.Before(o.Time) {
		o.Time = a.Time
	}
	if a.End.After(o.End) {
		o.End = a.End
	}
	if n := burstEvidence - len(o.Evidence); n > 0 {
		o.Evidence = append(o.Evidence, a.Evidence[:min(n, len(a.Evidence))]...)
	}
}
