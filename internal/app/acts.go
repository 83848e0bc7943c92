package app

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/model"
)

// maxActs is how many acts one run keeps; each takes some 150 bytes of memory or
// temporary file and 16 of memory, and memory between them holds a quarter as many.
// Beyond it only acts that a rule matched are kept, up to as many again: a few
// megabytes can unpack to more log than any machine holds.
const maxActs = 4_000_000

// acts are the sightings of all inputs, as the scan brings them: page by page, in
// the order of the evidence.
type acts struct {
	store   pageStore
	from    []origin // of each page
	count   int
	dropped int64 // left out to bound memory
}

// An origin is where the sightings of a page come from, and how many stand on the
// pages before it.
type origin struct {
	input string
	first uint32
}

// acted is the page that a worker made of a chunk.
type acted struct {
	page          []byte
	count, raised int
}

// add takes over the acts of one chunk, within bounds. Chunks come in the order of
// the evidence, so that what is left out does not depend on the workers.
func (a *acts) add(in string, p acted, most int) error {
	if p.count == 0 {
		return nil
	}
	if a.count+p.count > most {
		p = a.trim(in, p, most)
		if p.count == 0 {
			return nil
		}
	}
	if err := a.store.add(p.page); err != nil {
		return err
	}
	a.from = append(a.from, origin{in, uint32(a.count)}) //nolint:gosec // at most twice maxActs
	a.count += p.count
	return nil
}

// trim leaves out of a page what there is no room for.
func (a *acts) trim(in string, p acted, most int) acted {
	if a.count >= most && p.raised == 0 {
		a.dropped += int64(p.count)
		return acted{}
	}
	var r pageReader
	var w pageWriter
	r.open(p.page, in)
	for i := range p.count {
		n := a.count + w.count
		if n < most || r.raised(i) && n < 2*most {
			s := r.sighting(i)
			w.add(&s, r.digest(i))
		} else {
			a.dropped++
		}
	}
	return w.take()
}

// close removes what stands in a temporary file.
func (a *acts) close() { a.store.close() }

// A stream is acts in the order of corrected time, each event once.
type stream struct {
	acts    *acts
	times   *clock.Correction
	inside  func(time.Time) bool
	ranks   []int32         // of each page's input among all by path
	order   []entry         // of all acts
	repeats map[uint64]bool // beginnings of the digests that may occur more than once

	reader pageReader // of recall
	buf    []byte
	recent map[int64]*model.Observation
	err    error // the first of recall
}

// An entry says when a sighting happened, and its number: how many stand before it
// on all pages.
type entry struct {
	sec    int64
	nsec   uint32
	number uint32
}

func (e entry) time() time.Time { return time.Unix(e.sec, int64(e.nsec)).UTC() }

// kept is the entry's number for recall.
func (e entry) kept() int64 { return int64(e.number) + 1 }

// page returns on which page the sighting of that number stands, and as the how
// many-th of it.
func (a *acts) page(number uint32) (page, slot int) {
	page, found := slices.BinarySearchFunc(a.from, number, func(o origin, n uint32) int { return cmp.Compare(o.first, n) })
	if !found {
		page--
	}
	return page, int(number - a.from[page].first)
}

// stream corrects the times of all acts and puts those that lie inside the wanted
// time in order.
func (a *acts) stream(times *clock.Correction, inside func(time.Time) bool) (*stream, error) {
	s := &stream{acts: a, times: times, inside: inside, ranks: a.ranks(), repeats: map[uint64]bool{}, recent: map[int64]*model.Observation{}}
	s.order = make([]entry, 0, a.count)
	begins := make([]uint64, 0, a.count)
	err := s.pages(func(r *pageReader, page int) {
		for i := range r.count {
			if e := s.entry(r, page, i); inside(e.time()) {
				s.order = append(s.order, e)
				begins = append(begins, begin(r.digest(i)))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(begins)
	for i := 1; i < len(begins); i++ {
		if begins[i] == begins[i-1] {
			s.repeats[begins[i]] = true
		}
	}
	slices.SortFunc(s.order, s.compare)
	return s, nil
}

// begin is what is compared first of a digest.
func begin(d model.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// ranks numbers the inputs by path.
func (a *acts) ranks() []int32 {
	var paths []string
	for i, o := range a.from {
		if i == 0 || o.input != a.from[i-1].input {
			paths = append(paths, o.input)
		}
	}
	slices.Sort(paths)
	rank := make(map[string]int32, len(paths))
	for i, p := range paths {
		rank[p] = int32(i) //nolint:gosec // fewer than pages
	}
	out := make([]int32, len(a.from))
	for i, o := range a.from {
		out[i] = rank[o.input]
	}
	return out
}

// entry says when sighting i of page happened.
func (s *stream) entry(r *pageReader, page, i int) entry {
	stamps, host := r.stamps(i)
	t := s.times.Time(clock.Source{Input: r.input, Host: host}, stamps)
	return entry{t.Unix(), uint32(t.Nanosecond()), s.acts.from[page].first + uint32(i)} //nolint:gosec // nanoseconds of a second; at most twice maxActs
}

// compare orders entries by time. At one time those of one input stand in the order
// in which they were written, a parent before its child, and inputs by path.
func (s *stream) compare(x, y entry) int {
	if c := cmp.Or(cmp.Compare(x.sec, y.sec), cmp.Compare(x.nsec, y.nsec)); c != 0 {
		return c
	}
	px, _ := s.acts.page(x.number)
	py, _ := s.acts.page(y.number)
	return cmp.Or(cmp.Compare(s.ranks[px], s.ranks[py]), cmp.Compare(x.number, y.number))
}

// pages calls visit with every page.
func (s *stream) pages(visit func(r *pageReader, page int)) error {
	var r pageReader
	var buf []byte
	for i, from := range s.acts.from {
		p, err := s.acts.store.page(i, &buf)
		if err != nil {
			return err
		}
		r.open(p, from.input)
		visit(&r, i)
	}
	return nil
}

// window is how many acts are made values at a time. What is before them need not
// be held, and however pages lie in time, one is read at most once a window.
const window = 4 << 10

// each calls visit with every act in order, each event once: the first of its
// reports. What visit gets is its own, but for what observations share.
func (s *stream) each(ctx context.Context, visit func(*sighting)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type loaded struct {
		acts []sighting
		err  error
	}
	next := make(chan loaded) // one window is made ready while another one is visited
	go func() {
		defer close(next)
		var r pageReader
		var buf []byte
		for from := 0; from < len(s.order); from += window {
			var l loaded
			l.acts, l.err = s.load(&r, &buf, s.order[from:min(from+window, len(s.order))])
			select {
			case next <- l:
			case <-ctx.Done():
				return
			}
			if l.err != nil {
				return
			}
		}
	}()
	seen := map[string]bool{}
	for l := range next {
		if l.err != nil {
			return l.err
		}
		for i := range l.acts {
			x := &l.acts[i]
			if len(s.repeats) > 0 {
				if d, _ := model.DigestOf(x.obs.Event); s.repeats[begin(d)] {
					if seen[x.obs.Event] {
						continue
					}
					seen[x.obs.Event] = true
				}
			}
			visit(x)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// load reads the sightings of part, which is a part of the order, page by page.
func (s *stream) load(r *pageReader, buf *[]byte, part []entry) ([]sighting, error) {
	out := make([]sighting, len(part))
	byPage := make([]uint32, len(part)) // of part, in the order of the pages
	for i := range byPage {
		byPage[i] = uint32(i) //nolint:gosec // less than window
	}
	slices.SortFunc(byPage, func(x, y uint32) int { return cmp.Compare(part[x].number, part[y].number) })
	open := -1
	for _, i := range byPage {
		e := part[i]
		if open < 0 || e.number-s.acts.from[open].first >= uint32(r.count) { //nolint:gosec // at most twice maxActs
			open, _ = s.acts.page(e.number)
			p, err := s.acts.store.page(open, buf)
			if err != nil {
				return nil, err
			}
			r.open(p, s.acts.from[open].input)
		}
		out[i] = r.sighting(int(e.number - s.acts.from[open].first))
		out[i].obs.Time, out[i].obs.Kept = e.time(), e.kept()
	}
	return out, nil
}

// maxRecent bounds the observations that recall remembers.
const maxRecent = 4 << 10

// recall returns the observation of that number. It returns nil if it cannot be
// read any more, and err says why.
func (s *stream) recall(kept int64) *model.Observation {
	if o := s.recent[kept]; o != nil {
		return o
	}
	page, slot := s.acts.page(uint32(kept - 1)) //nolint:gosec // given by us
	p, err := s.acts.store.page(page, &s.buf)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return nil
	}
	s.reader.open(p, s.acts.from[page].input)
	x := s.reader.sighting(slot)
	x.obs.Time, x.obs.Kept = s.entry(&s.reader, page, slot).time(), kept
	if len(s.recent) >= maxRecent {
		clear(s.recent)
	}
	s.recent[kept] = x.obs
	return x.obs
}

// find returns the acts of the stream whose events have those ids.
func (s *stream) find(ids map[string]bool) (map[string]sighting, error) {
	wanted := make(map[model.Digest]string, len(ids))
	for id := range ids {
		if d, ok := model.DigestOf(id); ok {
			wanted[d] = id
		}
	}
	found := make(map[string]sighting, len(wanted))
	if len(wanted) == 0 {
		return found, nil
	}
	first := make(map[string]entry, len(wanted))
	err := s.pages(func(r *pageReader, page int) {
		for i := range r.count {
			id, ok := wanted[r.digest(i)]
			if !ok {
				continue
			}
			e := s.entry(r, page, i)
			if before, ok := first[id]; ok && s.compare(before, e) <= 0 || !s.inside(e.time()) {
				continue
			}
			x := r.sighting(i)
			x.obs.Time, x.obs.Kept = e.time(), e.kept()
			first[id], found[id] = e, x
		}
	})
	return found, err
}
