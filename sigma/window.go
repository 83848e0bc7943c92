package sigma

import (
	"slices"
	"sort"
)

// entry is one event in a window, or one of its values.
type entry struct {
	at     int64 // microseconds since 1970
	ref    int32 // which of the correlation's rules
	num    float64
	text   string // value_count: the value, folded
	id     string
	events []string // of a chained match: the events that it stands for; nil: id
}

type seenKey struct {
	ref int32
	id  string
}

// window holds the events of one group that are not older than the timespan, in
// the order of time and then of arrival.
type window struct {
	entries []entry
	head    int                  // entries before it are gone
	seen    map[seenKey]struct{} // made when there are many
	agg     aggregate
}

// manySeen is how many entries are searched one by one for a repeated event.
const manySeen = 24

func (w *window) live() []entry { return w.entries[w.head:] }

func (w *window) len() int { return len(w.entries) - w.head }

// last returns the time of the newest event of a window that is not empty.
func (w *window) last() int64 { return w.entries[len(w.entries)-1].at }

// has reports whether an event stands in the window already.
func (w *window) has(ref int32, id string) bool {
	if id == "" {
		return false
	}
	if w.seen != nil {
		_, ok := w.seen[seenKey{ref, id}]
		return ok
	}
	return slices.ContainsFunc(w.live(), func(e entry) bool { return e.ref == ref && e.id == id })
}

func (w *window) add(e entry) {
	if n := len(w.entries); n == w.head || w.entries[n-1].at <= e.at {
		w.entries = append(w.entries, e)
	} else { // late
		live := w.live()
		i := sort.Search(len(live), func(i int) bool { return live[i].at > e.at })
		w.entries = slices.Insert(w.entries, w.head+i, e)
	}
	w.agg.add(&e)
	if w.seen == nil && w.len() > manySeen {
		w.seen = map[seenKey]struct{}{}
		for _, o := range w.live() {
			w.seen[seenKey{o.ref, o.id}] = struct{}{}
		}
	} else if w.seen != nil {
		w.seen[seenKey{e.ref, e.id}] = struct{}{}
	}
}

// drop takes the oldest entry out.
func (w *window) drop() {
	e := w.entries[w.head]
	w.entries[w.head] = entry{} // let go of its texts
	w.head++
	if w.head > len(w.entries)/2 {
		w.entries = slices.Delete(w.entries, 0, w.head)
		w.head = 0
	}
	if w.seen != nil {
		delete(w.seen, seenKey{e.ref, e.id})
	}
	w.agg.remove(&e, w.live())
}

// events returns the ids of the events in the window, oldest first, at most a
// number. Each of the rules has its share of them, the newest.
func (w *window) events(refs, most int) []string {
	share := make([]int, refs)
	for i := range share {
		share[i] = max(1, most/refs)
	}
	var parts [][]string
	live := w.live()
	for i := len(live) - 1; i >= 0; i-- {
		e := &live[i]
		ids := e.events
		if ids == nil {
			ids = []string{e.id}
		}
		ids = ids[max(0, len(ids)-share[e.ref]):]
		share[e.ref] -= len(ids)
		parts = append(parts, ids)
	}
	var out []string
	known := map[string]bool{"": true}
	for i := len(parts) - 1; i >= 0; i-- {
		for _, id := range parts[i] {
			if !known[id] {
				known[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}
