package detect

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// MaxKeys bounds how many groups (sources, users, hosts) one detector remembers.
// Beyond it the group that was quiet longest is forgotten first.
const MaxKeys = 1 << 16

// maxItems bounds the observations remembered of one group.
const maxItems = 1024

// windows remembers, by key, the observations of the last span of event time.
// Late observations are taken as long as they lie inside the window of what is
// remembered.
type windows struct {
	span  time.Duration
	by    map[string]*window
	swept time.Time
}

type window struct {
	items []*model.Observation // in order of arrival
	last  time.Time
	told  time.Time // when the detector last raised an alert for the key
}

func newWindows(span time.Duration) *windows {
	return &windows{span: span, by: map[string]*window{}}
}

// add remembers o under key and returns the key's window, holding only what lies
// within span before o.
func (w *windows) add(key string, o *model.Observation) *window {
	w.sweep(o.Time)
	g := w.by[key]
	if g == nil {
		g = &window{}
		w.by[key] = g
	}
	if o.Time.After(g.last) {
		g.last = o.Time
	}
	keep := g.items[:0]
	for _, it := range g.items {
		if g.last.Sub(it.Time) <= w.span {
			keep = append(keep, it)
		}
	}
	clear(g.items[len(keep):])
	if len(keep) == maxItems {
		copy(keep, keep[1:])
		keep = keep[:maxItems-1]
	}
	keep = append(keep, o)
	g.items = keep
	return g
}

// get returns the window of key, nil if nothing is remembered.
func (w *windows) get(key string) *window { return w.by[key] }

// sweep forgets the keys that were quiet for a whole span: once a span, or when
// there are too many of them.
func (w *windows) sweep(now time.Time) {
	if now.Sub(w.swept) < w.span && len(w.by) < MaxKeys {
		return
	}
	for k, g := range w.by {
		if now.Sub(g.last) > w.span {
			delete(w.by, k)
		}
	}
	w.swept = now
	if len(w.by) < MaxKeys {
		return
	}
	keys := slices.SortedFunc(maps.Keys(w.by), func(a, b string) int { // all of them are busy: the quietest quarter goes
		if c := w.by[a].last.Compare(w.by[b].last); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, k := range keys[:len(keys)/4] {
		delete(w.by, k)
	}
}
