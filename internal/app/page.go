package app

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/model"
)

// A page is the sightings of one chunk as bytes, a fifth of what they take as
// values. Acts of one chunk name the same things over and over, so each text and
// each list of entities stands in it once and is named by number. Every sighting
// can be read without those before it, because reading goes in the order of time
// and not in that of the evidence.
//
// All numbers outside of varints are 32 bits, little-endian:
//
//	sightings, texts, lists                 how many of each
//	first record, first offset              64 bits each: what the sightings' own are counted from
//	second                                  64 bits: what their stamps are counted from
//	digests                                 12 bytes a sighting
//	ends of sightings, texts, lists         counted from the first of each
//	sightings, texts, lists
const pageHead = 3*4 + 3*8

// digestLen is how many bytes of a page the digest of an event takes.
const digestLen = len(model.Digest{})

// What a sighting has is told by bits in its first byte.
const (
	hasRecorded = 1 << iota
	hasSensed
	hasReceived
	hasAmount
	hasPlace
	hasRules
	hasFields
	isRaised
)

// A pageWriter makes pages. The zero value is ready.
type pageWriter struct {
	count          int
	record, offset int64 // of the first sighting
	second         int64
	digests        []byte
	acts           []byte
	texts          []byte
	lists          []byte
	actEnds        []uint32
	textEnds       []uint32
	listEnds       []uint32
	textIDs        map[string]uint64
	listIDs        map[string]uint64
	list           []byte
	raised         int // sightings that a rule raises an alert about
}

// add appends s, whose event has digest d. Nothing of s is held beyond the next
// call of take.
func (w *pageWriter) add(s *sighting, d model.Digest) {
	o := s.obs
	if w.count == 0 {
		if w.textIDs == nil {
			w.textIDs, w.listIDs = map[string]uint64{}, map[string]uint64{}
		}
		w.record, w.offset = o.Ref.Record, o.Ref.Offset
		w.second = s.stamps.Recorded.Unix()
	}
	w.count++
	w.digests = append(w.digests, d[:]...)
	b := w.acts
	flags := len(b)
	b = append(b, 0)
	for i, t := range [...]time.Time{s.stamps.Recorded, s.stamps.Sensed, s.stamps.Received} {
		if !t.IsZero() {
			b[flags] |= hasRecorded << i
			b = binary.AppendVarint(b, t.Unix()-w.second)
			b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
		}
	}
	b = append(b, byte(o.Act))
	b = binary.AppendVarint(b, o.Ref.Record-w.record)
	b = binary.AppendVarint(b, o.Ref.Offset-w.offset)
	for _, text := range [...]string{o.Host, o.Code, o.Format, o.Source.Product, o.Source.Category, o.Source.Service, string(o.Subsystem), o.Text} {
		b = binary.AppendUvarint(b, w.text(text))
	}
	b = binary.AppendUvarint(b, w.entities(o.Entities))
	if o.Bytes != 0 || o.Items != 0 {
		b[flags] |= hasAmount
		b = binary.AppendVarint(binary.AppendVarint(b, o.Bytes), o.Items)
	}
	if p := o.Place; p != nil {
		b[flags] |= hasPlace
		b = binary.AppendUvarint(b, w.text(p.Country))
		for _, f := range [...]float64{p.Lat, p.Lon, p.Radius} {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
		}
		located := byte(0)
		if p.Located {
			located = 1
		}
		b = binary.AppendUvarint(append(b, located), uint64(p.Network))
	}
	if s.raised {
		w.raised++
		b[flags] |= isRaised
	}
	if len(s.rules) > 0 {
		b[flags] |= hasRules
		b = binary.AppendUvarint(b, uint64(len(s.rules)))
		for _, r := range s.rules {
			b = binary.AppendUvarint(b, uint64(r))
		}
	}
	if s.fields != nil {
		b[flags] |= hasFields
		b = binary.AppendUvarint(b, uint64(len(s.fields)))
		for name, values := range s.fields { // read back into a map, so that their order is nothing
			b = binary.AppendUvarint(b, w.text(name))
			b = binary.AppendUvarint(b, uint64(len(values)))
			for _, v := range values {
				b = binary.AppendUvarint(b, w.text(v))
			}
		}
	}
	w.acts = b
	w.actEnds = append(w.actEnds, uint32(len(b)))
}

// text returns the number of a text, 0 for none.
func (w *pageWriter) text(s string) uint64 {
	if s == "" {
		return 0
	}
	id, ok := w.textIDs[s]
	if !ok {
		w.texts = append(w.texts, s...)
		w.textEnds = append(w.textEnds, uint32(len(w.texts)))
		id = uint64(len(w.textEnds))
		w.textIDs[s] = id
	}
	return id
}

// entities returns the number of a list, 0 for none.
func (w *pageWriter) entities(es []model.Entity) uint64 {
	if len(es) == 0 {
		return 0
	}
	l := w.list[:0]
	for i := range es {
		e := &es[i]
		for _, s := range [...]string{string(e.Type), string(e.Role), e.Value, e.Name, e.Alt} {
			l = binary.AppendUvarint(l, w.text(s))
		}
	}
	w.list = l
	id, ok := w.listIDs[string(l)]
	if !ok {
		w.lists = append(w.lists, l...)
		w.listEnds = append(w.listEnds, uint32(len(w.lists)))
		id = uint64(len(w.listEnds))
		w.listIDs[string(l)] = id
	}
	return id
}

// take returns the page of what was added since the last call.
func (w *pageWriter) take() acted {
	if w.count == 0 {
		return acted{}
	}
	ends := len(w.actEnds) + len(w.textEnds) + len(w.listEnds)
	b := make([]byte, 0, pageHead+len(w.digests)+4*ends+len(w.acts)+len(w.texts)+len(w.lists))
	le := binary.LittleEndian
	for _, n := range [...]int{w.count, len(w.textEnds), len(w.listEnds)} {
		b = le.AppendUint32(b, uint32(n))
	}
	for _, n := range [...]int64{w.record, w.offset, w.second} {
		b = le.AppendUint64(b, uint64(n))
	}
	b = append(b, w.digests...)
	for _, l := range [...][]uint32{w.actEnds, w.textEnds, w.listEnds} {
		for _, at := range l {
			b = le.AppendUint32(b, at)
		}
	}
	for _, l := range [...][]byte{w.acts, w.texts, w.lists} {
		b = append(b, l...)
	}
	out := acted{b, w.count, w.raised}
	clear(w.textIDs)
	clear(w.listIDs)
	*w = pageWriter{textIDs: w.textIDs, listIDs: w.listIDs, list: w.list[:0], digests: w.digests[:0], acts: w.acts[:0], texts: w.texts[:0], lists: w.lists[:0],
		actEnds: w.actEnds[:0], textEnds: w.textEnds[:0], listEnds: w.listEnds[:0]}
	return out
}

// A pageReader reads sightings from pages, one page after the other. What it
// returns shares no memory with the page.
type pageReader struct {
	strings map[string]string // texts met before: hosts, users and images repeat endlessly

	input                  string
	count                  int
	record, offset, second int64
	digests                []byte
	acts, texts, lists     section
	known                  []string         // texts of this page, empty where not read yet
	groups                 [][]model.Entity // lists of this page, nil where not read yet
}

// A section is pieces of bytes one behind the other, with where each ends.
type section struct{ ends, data []byte }

func (s *section) piece(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = binary.LittleEndian.Uint32(s.ends[4*i-4:])
	}
	to := binary.LittleEndian.Uint32(s.ends[4*i:])
	return s.data[from:to:to]
}

func (s *section) size() int {
	if len(s.ends) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(s.ends[len(s.ends)-4:]))
}

// open makes page the one that is read; input is where its sightings come from.
func (r *pageReader) open(page []byte, input string) {
	le := binary.LittleEndian
	r.input, r.count = input, int(le.Uint32(page))
	texts, lists := int(le.Uint32(page[4:])), int(le.Uint32(page[8:]))
	r.record, r.offset, r.second = int64(le.Uint64(page[12:])), int64(le.Uint64(page[20:])), int64(le.Uint64(page[28:]))
	rest := page[pageHead:]
	take := func(n int) []byte {
		b := rest[:n:n]
		rest = rest[n:]
		return b
	}
	r.digests = take(r.count * digestLen)
	r.acts.ends, r.texts.ends, r.lists.ends = take(4*r.count), take(4*texts), take(4*lists)
	r.acts.data = take(r.acts.size())
	r.texts.data = take(r.texts.size())
	r.lists.data = take(r.lists.size())
	clear(r.known)
	clear(r.groups)
	r.known = slices.Grow(r.known[:0], texts)[:texts]
	r.groups = slices.Grow(r.groups[:0], lists)[:lists]
}

// digest returns the digest of sighting i's event.
func (r *pageReader) digest(i int) (d model.Digest) {
	copy(d[:], r.digests[i*digestLen:])
	return d
}

// maxInterned bounds the texts that a reader or a worker remembers, each.
const maxInterned = 1 << 15

// maxInternedLen is the longest text remembered: longer ones seldom repeat.
const maxInternedLen = 256

// text returns the text of that number.
func (r *pageReader) text(id uint64) string {
	if id == 0 {
		return ""
	}
	s := r.known[id-1]
	if s == "" {
		s = r.own(r.texts.piece(int(id - 1)))
		r.known[id-1] = s
	}
	return s
}

// own returns b as a string that is nobody else's memory.
func (r *pageReader) own(b []byte) string {
	if len(b) > maxInternedLen {
		return string(b)
	}
	s, ok := r.strings[string(b)]
	if !ok {
		if r.strings == nil {
			r.strings = map[string]string{}
		}
		if len(r.strings) >= maxInterned {
			clear(r.strings)
		}
		s = string(b)
		r.strings[s] = s
	}
	return s
}

// entities returns the list of that number. Those who get it share it.
func (r *pageReader) entities(id uint64) []model.Entity {
	if id == 0 {
		return nil
	}
	l := r.groups[id-1]
	if l == nil {
		c := cursor{b: r.lists.piece(int(id - 1))}
		l = make([]model.Entity, 0, 8)
		for len(c.b) > 0 {
			l = append(l, model.Entity{Type: model.EntityType(r.text(c.uint())), Role: model.Role(r.text(c.uint())), Value: r.text(c.uint()), Name: r.text(c.uint()), Alt: r.text(c.uint())})
		}
		l = slices.Clip(l)
		r.groups[id-1] = l
	}
	return l
}

// stamps returns the stamps and the host of sighting i, by which it gets its time.
func (r *pageReader) stamps(i int) (clock.Stamps, string) {
	c := cursor{b: r.acts.piece(i)}
	flags := c.byte()
	s := r.readStamps(&c, flags)
	c.byte()
	c.int()
	c.int()
	return s, r.text(c.uint())
}

func (r *pageReader) readStamps(c *cursor, flags byte) (s clock.Stamps) {
	for i, t := range [...]*time.Time{&s.Recorded, &s.Sensed, &s.Received} {
		if flags&(hasRecorded<<i) != 0 {
			sec := c.int() + r.second
			*t = time.Unix(sec, int64(c.uint())).UTC()
		}
	}
	return s
}

// raised says whether a rule raises an alert about sighting i.
func (r *pageReader) raised(i int) bool { return r.acts.piece(i)[0]&isRaised != 0 }

// sighting reads sighting i; its observation has no time yet.
func (r *pageReader) sighting(i int) sighting {
	c := cursor{b: r.acts.piece(i)}
	flags := c.byte()
	s := sighting{stamps: r.readStamps(&c, flags)}
	o := &model.Observation{Event: r.digest(i).ID(), Act: model.Act(c.byte()), Ref: model.Ref{Input: r.input, Record: c.int() + r.record, Offset: c.int() + r.offset}}
	s.obs = o
	o.Host, o.Code, o.Format = r.text(c.uint()), r.text(c.uint()), r.text(c.uint())
	o.Source = model.LogSource{Product: r.text(c.uint()), Category: r.text(c.uint()), Service: r.text(c.uint())}
	o.Subsystem, o.Text = model.Subsystem(r.text(c.uint())), r.text(c.uint())
	o.Entities = r.entities(c.uint())
	if flags&hasAmount != 0 {
		o.Bytes, o.Items = c.int(), c.int()
	}
	if flags&hasPlace != 0 {
		o.Place = &model.Place{Country: r.text(c.uint()), Lat: c.float(), Lon: c.float(), Radius: c.float(), Located: c.byte() != 0, Network: uint32(c.uint())}
	}
	s.raised = flags&isRaised != 0
	if flags&hasRules != 0 {
		s.rules = make([]int32, c.uint())
		for k := range s.rules {
			s.rules[k] = int32(c.uint())
		}
	}
	if flags&hasFields != 0 {
		n := c.uint()
		s.fields = make(map[string][]string, n)
		for range n {
			name := r.text(c.uint())
			values := make([]string, c.uint())
			for k := range values {
				values[k] = r.text(c.uint())
			}
			s.fields[name] = values
		}
	}
	return s
}

// A cursor reads numbers that a pageWriter wrote.
type cursor struct{ b []byte }

func (c *cursor) byte() byte {
	x := c.b[0]
	c.b = c.b[1:]
	return x
}

func (c *cursor) uint() uint64 {
	x, n := binary.Uvarint(c.b)
	c.b = c.b[n:]
	return x
}

func (c *cursor) int() int64 {
	x, n := binary.Varint(c.b)
	c.b = c.b[n:]
	return x
}

func (c *cursor) float() float64 {
	x := math.Float64frombits(binary.LittleEndian.Uint64(c.b))
	c.b = c.b[8:]
	return x
}
