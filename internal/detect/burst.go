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
	burstEntities = 64              // entities of one burst
	burstsApart   = 12              // bursts that differ in listed entities before they are folded
	maxBursts     = 1 << 18         // open bursts remembered
)

// Bursts folds repeated alerts as they come. The zero value is ready; it is not
// safe for concurrent use.
type Bursts struct {
	open  map[string]*model.Alert
	begun map[string]int // bursts that differ in listed entities only
	key   []byte
}

// Fold returns a when it begins a burst, and nil when it was counted into one that
// Fold returned before: one of the same rule with the same entities, less than
// five minutes away and less than an hour long. When many bursts differ only in
// the resources that something was done to, further ones are folded as well, and
// the burst lists them.
func (b *Bursts) Fold(a *model.Alert) *model.Alert {
	if _, begun := b.Into(a); begun {
		return a
	}
	return nil
}

// Into is Fold for those who must know of every change: it returns the burst that a is
// counted into, and whether that begins with a.
func (b *Bursts) Into(a *model.Alert) (burst *model.Alert, begun bool) {
	if b.open == nil {
		b.open, b.begun = map[string]*model.Alert{}, map[string]int{}
	}
	es := slices.Clone(a.Entities)
	slices.SortFunc(es, func(x, y model.Entity) int {
		return cmp.Or(strings.Compare(string(x.Type), string(y.Type)), strings.Compare(string(x.Role), string(y.Role)), strings.Compare(x.Value, y.Value))
	})
	b.key = burstKey(b.key[:0], a, es, false)
	narrow := len(b.key)
	if slices.ContainsFunc(es, listed) {
		b.key = burstKey(b.key, a, es, true)
	}
	key := b.key[:narrow]
	if narrow < len(b.key) && b.begun[string(key)] < burstsApart {
		key = b.key[narrow:]
	}
	if o := b.open[string(key)]; o != nil && near(o, a) {
		merge(o, a)
		return o, false
	}
	if len(b.open) >= maxBursts { // what is forgotten begins a new burst: nothing is lost but brevity
		clear(b.open)
		clear(b.begun)
	}
	if narrow < len(b.key) {
		b.begun[string(b.key[:narrow])]++
	}
	b.open[string(key)] = a
	return a, true
}

// burstKey appends what the alerts of one burst have in common; all says whether
// that includes the listed entities.
func burstKey(key []byte, a *model.Alert, es []model.Entity, all bool) []byte {
	key = append(key, a.Rule.ID...)
	for _, e := range es {
		if listed(e) && !all {
			continue
		}
		for _, s := range []string{string(e.Type), string(e.Role), e.Value} {
			key = append(key, 0)
			key = append(key, s...)
		}
	}
	return append(append(key, 0), a.Host...)
}

// listed are the entities that a burst may differ in and lists: who reads a
// thousand objects one after the other does one thing.
func listed(e model.Entity) bool { return e.Type == model.Resource && e.Role == model.Target }

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
	for _, e := range a.Entities {
		if listed(e) && len(o.Entities) < burstEntities && !slices.ContainsFunc(o.Entities, func(h model.Entity) bool { return h.Key() == e.Key() && h.Role == e.Role }) {
			o.Entities = append(o.Entities, e)
		}
	}
	if n := burstEvidence - len(o.Evidence); n > 0 {
		o.Evidence = append(o.Evidence, a.Evidence[:min(n, len(a.Evidence))]...)
	}
}
