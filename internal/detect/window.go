package detect

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// MaxKeys bounds how many groups (sources, users, hosts) one detector remembers.
// Beyond it the group that was quiet longest is forgotten first.
const MaxKeys = 1 << 16

// maxItems bounds the observations remembered of one group; the oldest go first.
const maxItems = 1024

// windows remembers, by key, the observations of the last span of event time.
// Late observations are taken as long as they lie inside the window of what is
// remembered. Adding costs the same however full a window is: guessing comes in
// millions.
type windows struct {
	span  time.Duration
	max   int                             // keys
	label func(*model.Observation) string // what a window counts different ones of; nil for nothing
	by    map[string]*window
	swept time.Time
}

type window struct {
	items  []*model.Observation // in order of time
	labels map[string]int       // how many items carry each label
	last   time.Time
	told   time.Time // when the detector last raised an alert for the key
}

func newWindows(span time.Duration, label func(*model.Observation) string) *windows {
	return &windows{span: span, max: MaxKeys, label: label, by: map[string]*window{}}
}

// add remembers o under key and returns the key's window, holding only what lies
// within span before the newest.
func (w *windows) add(key string, o *model.Observation) *window {
	w.sweep(o.Time)
	g := w.by[key]
	if g == nil {
		g = &window{last: o.Time}
		if w.label != nil {
			g.labels = map[string]int{}
		}
		w.by[key] = g
	}
	if o.Time.After(g.last) {
		g.last = o.Time
	}
	if g.last.Sub(o.Time) > w.span {
		return g
	}
	at := len(g.items)
	for at > 0 && g.items[at-1].Time.After(o.Time) {
		at--
	}
	g.items = slices.Insert(g.items, at, o)
	if w.label != nil {
		g.labels[w.label(o)]++
	}
	for len(g.items) > maxItems || g.last.Sub(g.items[0].Time) > w.span {
		w.dropFirst(g)
	}
	return g
}

func (w *windows) dropFirst(g *window) {
	if w.label != nil {
		l := w.label(g.items[0])
		if g.labels[l]--; g.labels[l] <= 0 {
			delete(g.labels, l)
		}
	}
	g.items[0] = nil
	g.items = g.items[1:]
}

// get returns the window of key, nil if nothing is remembered.
func (w *windows) get(key string) *window { return w.by[key] }

// quiet says whether the window raised an alert less than span before t.
func (g *window) quiet(t time.Time, span time.Duration) bool {
	return !g.told.IsZero() && t.Sub(g.told) < span
}

// sweep forgets the keys that were quiet for a whole span: once a span, or when
// there are too many of them.
func (w *windows) sweep(now time.Time) {
	if now.Sub(w.swept) < w.span && len(w.by) < w.max {
		return
	}
	for k, g := range w.by {
		if now.Sub(g.last) > w.span {
			delete(w.by, k)
		}
	}
	w.swept = now
	if len(w.by) < w.max {
		return
	}
	type aged struct { // all of them are busy: the quietest quarter goes
		key  string
		last time.Time
	}
	all := make([]aged, 0, len(w.by))
	for k, g := range w.by {
		all = append(all, aged{k, g.last})
	}
	slices.SortFunc(all, func(a, b aged) int { return cmp.Or(a.last.Compare(b.last), strings.Compare(a.key, b.key)) })
	for _, a := range all[:max(1, len(all)/4)] {
		delete(w.by, a.key)
	}
}
