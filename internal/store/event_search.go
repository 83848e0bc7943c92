package store

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Term is a condition on a field of an event, without regard to the case of ASCII.
type Term struct {
	Field string `json:"field"` // source, format, host, code, product, category, service, subsystem or id
	Op    TermOp `json:"op,omitempty"`
	Value string `json:"value"`
	Not   bool   `json:"not,omitempty"`
}

// TermOp is how a field is compared.
type TermOp string

// The comparisons.
const (
	Is       TermOp = "is" // also if Op is empty
	Prefix   TermOp = "prefix"
	Contains TermOp = "contains"
)

// Query asks for events. All that it names must hold.
type Query struct {
	From  time.Time `json:"from,omitzero"` // events of [From, To) by their time
	To    time.Time `json:"to,omitzero"`
	Terms []Term    `json:"terms,omitempty"`
	// Entities must all be in the event, each "type:value" as it is written.
	Entities []string `json:"entities,omitempty"`
	// Text must all be in the record, anywhere, without regard to the case of ASCII. What
	// JSON writes with a backslash is found as it is typed and as it is written.
	Text []string `json:"text,omitempty"`
	Not  []string `json:"not,omitempty"` // texts that must not

	Cursor string `json:"-"` // where the page before ended
	Limit  int    `json:"-"` // rows of a page; 0 is 100, MaxEvents the most
	// A search that has read so many bytes (4 GiB, not compressed) or taken so long (20 s)
	// ends with what it has and a cursor to go on from.
	Bytes int64         `json:"-"`
	Time  time.Duration `json:"-"`
}

// MaxEvents is the most rows of one page of events; pageRaw bounds their records as well.
const (
	MaxEvents = 1_000
	pageRaw   = 32 << 20
)

// Found is one page of a search, the latest event first.
type Found struct {
	Rows []Row  `json:"-"`
	Next string `json:"next,omitempty"` // cursor of the next page, empty after the last
	// Partial is set if the search ended before the page was full, because of its bounds.
	Partial  bool          `json:"partial,omitempty"`
	Searched time.Time     `json:"searched,omitzero"` // of a partial one: all later events were looked at
	Blocks   int           `json:"blocks"`            // row groups and frames that were read
	Skipped  int           `json:"skipped"`           // those that an index ruled out
	Bytes    int64         `json:"bytes"`             // that were read, not compressed
	Took     time.Duration `json:"took"`
}

// A matcher is a Query made ready.
type matcher struct {
	from, to int64 // [from, to)
	below    place // events at or after it were in an earlier page
	terms    []fieldTerm
	entities []string
	text     []needle
	not      []needle
}

type fieldTerm struct {
	column int
	op     TermOp
	value  []byte // lower case
	not    bool
}

func (t *fieldTerm) match(lower []byte) bool {
	var ok bool
	switch t.op {
	case Prefix:
		ok = bytes.HasPrefix(lower, t.value)
	case Contains:
		ok = bytes.Contains(lower, t.value)
	default:
		ok = bytes.Equal(lower, t.value)
	}
	return ok != t.not
}

// A needle is a text to be looked for, in the ways in which it may be written.
type needle struct {
	forms [][]byte   // lower case
	words [][]uint64 // of each form, see wordsWithin
}

func newNeedle(s string) needle {
	n := needle{forms: [][]byte{fold(nil, []byte(s))}}
	if b, err := json.Marshal(s); err == nil {
		if f := fold(nil, b[1:len(b)-1]); !bytes.Equal(f, n.forms[0]) {
			n.forms = append(n.forms, f)
		}
		var plain bytes.Buffer // without < for <
		enc := json.NewEncoder(&plain)
		enc.SetEscapeHTML(false)
		if enc.Encode(s) == nil {
			b := bytes.TrimSuffix(plain.Bytes(), []byte("\n"))
			if f := fold(nil, b[1:len(b)-1]); !slices.ContainsFunc(n.forms, func(o []byte) bool { return bytes.Equal(o, f) }) {
				n.forms = append(n.forms, f)
			}
		}
	}
	for _, f := range n.forms {
		n.words = append(n.words, wordsWithin(f))
	}
	return n
}

func (n *needle) in(lower []byte) bool {
	for _, f := range n.forms {
		if bytes.Contains(lower, f) {
			return true
		}
	}
	return false
}

// fold appends b with the letters of ASCII in lower case, eight bytes at a time.
func fold(dst, b []byte) []byte {
	n := len(dst)
	dst = append(dst, b...)
	out := dst[n:]
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(out) >= 8 {
		w := binary.LittleEndian.Uint64(out)
		low := w &^ high
		// The high bit of each byte of up is set for the bytes A to Z.
		up := (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ w & high
		binary.LittleEndian.PutUint64(out, w|up>>2)
		out = out[8:]
	}
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c | 0x20
		}
	}
	return dst
}

func (q *Query) compile() (*matcher, error) {
	fields := map[string]int{"id": colID, "source": colSource, "format": colFormat, "host": colHost, "code": colCode, "product": colProduct, "category": colCategory, "service": colService, "subsystem": colSubsystem}
	m := &matcher{from: math.MinInt64, to: math.MaxInt64, below: noPlace()}
	if len(q.Terms) > maxValues || len(q.Entities) > maxValues || len(q.Text) > maxValues || len(q.Not) > maxValues {
		return nil, invalid("a search with more than %d conditions of one kind", maxValues)
	}
	if !q.From.IsZero() {
		m.from = clampMicro(q.From)
	}
	if !q.To.IsZero() {
		m.to = clampMicro(q.To)
	}
	for _, t := range q.Terms {
		column, ok := fields[t.Field]
		switch {
		case !ok:
			return nil, invalid("there is no field %.50q; look for it as text", t.Field)
		case t.Op != "" && t.Op != Is && t.Op != Prefix && t.Op != Contains:
			return nil, invalid("there is no comparison %.50q", string(t.Op))
		case len(t.Value) > maxRowText:
			return nil, invalid("a value of more than %d bytes", maxRowText)
		}
		m.terms = append(m.terms, fieldTerm{column, t.Op, fold(nil, []byte(t.Value)), t.Not})
	}
	for _, s := range q.Entities {
		if s == "" || len(s) > maxRowText {
			return nil, invalid("an entity of no or more than %d bytes", maxRowText)
		}
		m.entities = append(m.entities, s)
	}
	for i, s := range append(slices.Clone(q.Text), q.Not...) {
		if s == "" || len(s) > maxRowText {
			return nil, invalid("a text of no or more than %d bytes", maxRowText)
		}
		if i < len(q.Text) {
			m.text = append(m.text, newNeedle(s))
		} else {
			m.not = append(m.not, newNeedle(s))
		}
	}
	return m, nil
}

// row says whether a row of a log matches.
func (m *matcher) row(r *Row, buf []byte) (bool, []byte) {
	p := place{r.Time.UnixMicro(), r.Seq}
	if p.time < m.from || p.time >= m.to || !p.less(m.below) {
		return false, buf
	}
	for i := range m.terms {
		t := &m.terms[i]
		buf = fold(buf[:0], []byte(*r.text()[t.column-colID]))
		if !t.match(buf) {
			return false, buf
		}
	}
	for _, e := range m.entities {
		if !slices.Contains(r.Entities, e) {
			return false, buf
		}
	}
	if len(m.text)+len(m.not) > 0 {
		buf = fold(buf[:0], r.Raw)
		return m.record(buf), buf
	}
	return true, buf
}

// record says whether a record in lower case has the texts that it must, and none of the
// others.
func (m *matcher) record(lower []byte) bool {
	for i := range m.text {
		if !m.text[i].in(lower) {
			return false
		}
	}
	for i := range m.not {
		if m.not[i].in(lower) {
			return false
		}
	}
	return true
}

// A block is a part of the events that is read as a whole: a frame of a log or a row group
// of a segment, or a segment that is not opened yet (group unopened).
type block struct {
	max   place // no event in it comes later
	log   logView
	frame int
	seg   *segment
	group int
}

const unopened = -1

// A hit is an event that matches.
type hit struct {
	place
	block
	row int
}

// blocks are a heap, the latest first; hits one, the earliest first.
type blocks []block

func (h blocks) Len() int           { return len(h) }
func (h blocks) Less(i, j int) bool { return h[j].max.less(h[i].max) }
func (h blocks) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *blocks) Push(x any)        { *h = append(*h, x.(block)) }
func (h *blocks) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

type hits []hit

func (h hits) Len() int           { return len(h) }
func (h hits) Less(i, j int) bool { return h[i].less(h[j].place) }
func (h hits) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hits) Push(x any)        { *h = append(*h, x.(hit)) }
func (h *hits) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// A search is a Query at work.
type search struct {
	*matcher
	e     *Events
	ctx   context.Context
	queue blocks
	best  hits // the latest limit of what was found
	limit int
	more  bool // there was more than limit
	out   Found
	buf   []byte
	fold  []byte
}

// A view is the parts that events are in at one time. They stay until let is called.
type view struct {
	segments []*segment
	logs     []logView
	let      func() error
}

// A logView is what a log was when it was looked at.
type logView struct {
	*log
	frames []frame
	upTo   int64 // where the last of them ends in the file
}

func (e *Events) look() (*view, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	v := &view{segments: slices.Clone(e.segments)}
	for _, l := range append(slices.Clone(e.waiting), e.head) {
		v.logs = append(v.logs, logView{l, l.frames, l.size})
		l.acquire()
	}
	for _, s := range v.segments {
		s.acquire()
	}
	e.wg.Add(1) // Close waits
	v.let = func() (err error) {
		defer e.wg.Done()
		for _, s := range v.segments {
			err = errors.Join(err, s.release())
		}
		for _, l := range v.logs {
			err = errors.Join(err, l.release())
		}
		return err
	}
	return v, nil
}

// Search returns one page of the events that a query asks for, the latest first and of
// those of one time the last appended first. It sees all that Append has returned for.
func (e *Events) Search(ctx context.Context, q Query) (f Found, err error) {
	m, err := q.compile()
	if err != nil {
		return f, err
	}
	of := digestOf(q)
	key, err := parseCursor(q.Cursor, of, 2)
	if err != nil {
		return f, err
	}
	if key != nil {
		m.below = place{key[0], key[1]}
	}
	s := &search{matcher: m, e: e, ctx: ctx, limit: bounded(q.Limit, 100, MaxEvents)}
	began := e.opt.Now()
	view, err := e.look()
	if err != nil {
		return f, explain("search", e.dir, err)
	}
	defer func() { err = errors.Join(err, view.let()) }()
	s.begin(view)
	frontier, err := s.run(bounded64(q.Bytes, 4<<30), func() bool { return e.opt.Now().Sub(began) > cmp.Or(q.Time, 20*time.Second) })
	if err == nil {
		err = s.finish(of, frontier)
	}
	s.out.Took = e.opt.Now().Sub(began)
	return s.out, explain("search", e.dir, err)
}

func bounded64(n, usual int64) int64 {
	if n <= 0 {
		return usual
	}
	return n
}

// begin finds the parts that may have what is asked for.
func (s *search) begin(v *view) {
	for _, x := range v.segments {
		if x.max >= s.from && x.min < s.to {
			s.push(block{max: place{x.max, x.to}, seg: x, group: unopened}, x.min)
		}
	}
	for _, l := range v.logs {
		for i := range l.frames {
			if fr := &l.frames[i]; fr.max >= s.from && fr.min < s.to {
				s.push(block{max: place{fr.max, fr.seq + int64(fr.rows) - 1}, log: l, frame: i}, fr.min)
			}
		}
	}
}

// push adds a part whose first event is at a time.
func (s *search) push(b block, first int64) {
	if first > s.below.time {
		return // all of it was in earlier pages
	}
	if !b.max.less(s.below) {
		b.max = place{s.below.time, s.below.seq - 1}
	}
	if b.max.time >= s.to {
		b.max = place{s.to - 1, math.MaxInt64}
	}
	heap.Push(&s.queue, b)
}

// run looks at parts, the latest first, until the page is full and nothing later can come,
// or a bound is reached. Then it returns the place up to which nothing was looked at.
func (s *search) run(most int64, late func() bool) (frontier *place, err error) {
	var start *place
	for s.queue.Len() > 0 {
		b := heap.Pop(&s.queue).(block)
		if len(s.best) == s.limit && b.max.less(s.best[0].place) {
			s.more = true
			return nil, nil
		}
		if start == nil {
			start = &b.max
		}
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		// It ends only where the next page will begin earlier than this one.
		if b.max.less(*start) && (s.out.Bytes >= most || late()) {
			return &b.max, nil
		}
		if err := s.look(b); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// look looks at one part.
func (s *search) look(b block) (err error) {
	if b.seg == nil {
		return s.frameOf(b)
	}
	o, err := s.e.use(b.seg)
	if err != nil {
		return err
	}
	defer b.seg.done()
	if b.group == unopened {
		for g := range o.groups {
			lo, hi, ok := o.bounds(g)
			if !ok {
				lo, hi = b.seg.min, b.seg.max
			}
			if hi >= s.from && lo < s.to {
				s.push(block{max: place{hi, b.seg.to}, seg: b.seg, group: g}, lo)
			}
		}
		return nil
	}
	if err := s.groupOf(o, b); err != nil {
		return fmt.Errorf("%s: %w", b.seg.path, err)
	}
	return nil
}

func (s *search) found(h hit) {
	if len(s.best) < s.limit {
		heap.Push(&s.best, h)
		return
	}
	s.more = true
	if s.best[0].less(h.place) {
		s.best[0] = h
		heap.Fix(&s.best, 0)
	}
}

// frameOf looks at a frame of a log.
func (s *search) frameOf(b block) error {
	fr := &b.log.frames[b.frame]
	var err error
	if s.buf, err = b.log.read(s.e.unzip, fr, s.buf); err != nil {
		return err
	}
	s.out.Blocks++
	s.out.Bytes += int64(fr.raw)
	return fr.each(s.buf, func(i int, r *Row) error {
		var ok bool
		if ok, s.fold = s.row(r, s.fold); ok {
			s.found(hit{place{r.Time.UnixMicro(), r.Seq}, b, i})
		}
		return nil
	})
}

// groupOf looks at a row group of a segment: first at what rules it out as a whole, then
// at columns, from the cheap to the dear, each only in the rows that are left.
func (s *search) groupOf(o *openSegment, b block) (err error) {
	defer recovered(&err)
	g := b.group
	for _, e := range s.entities {
		if !o.has(g, colEntities, e) {
			s.out.Skipped++
			return nil
		}
	}
	for i := range s.terms {
		if t := &s.terms[i]; t.column == colID && !t.not && (t.op == Is || t.op == "") && !o.has(g, colID, string(t.value)) {
			s.out.Skipped++
			return nil
		}
	}
	for i := range s.text {
		if !o.words.may(g, s.text[i].words) {
			s.out.Skipped++
			return nil
		}
	}
	s.out.Blocks++
	times, err := o.numbers(g, colTime)
	if err != nil {
		return err
	}
	seqs, err := o.numbers(g, colSeq)
	if err != nil {
		return err
	}
	if len(times) != len(seqs) {
		return fmt.Errorf("%w: %d times of %d rows", ErrDamaged, len(times), len(seqs))
	}
	s.out.Bytes += int64(16 * len(times))
	rows := make([]int, 0, len(times))
	for i := range times {
		p := place{times[i], seqs[i]}
		switch {
		case p.time < s.from || p.time >= s.to || !p.less(s.below):
		case len(s.best) == s.limit && p.less(s.best[0].place):
			s.more = true // at least it may be
		default:
			rows = append(rows, i)
		}
	}
	for i := range s.terms {
		t := &s.terms[i]
		rows, err = s.keep(o, g, t.column, rows, func(b []byte) bool {
			s.fold = fold(s.fold[:0], b)
			return t.match(s.fold)
		})
		if err != nil {
			return err
		}
	}
	for _, e := range s.entities {
		rows, err = s.keep(o, g, colEntities, rows, func(b []byte) bool { return string(b) == e })
		if err != nil {
			return err
		}
	}
	if len(s.text)+len(s.not) > 0 && len(rows) > 0 {
		if rows, err = s.keepText(o, g, rows); err != nil {
			return err
		}
	}
	for _, i := range rows {
		s.found(hit{place{times[i], seqs[i]}, b, i})
	}
	return nil
}

// keep returns the rows in which some value of a column passes. What is said of an entry of
// a dictionary is asked once.
func (s *search) keep(o *openSegment, group, column int, rows []int, pass func([]byte) bool) ([]int, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	kept := rows[:0:0]
	var known []int8 // of the entries: 1 passes, -1 does not
	err := o.texts(group, column, rows, func(row int, b []byte, entry int) {
		s.out.Bytes += 4
		var ok bool
		switch {
		case entry < 0:
			s.out.Bytes += int64(len(b))
			ok = pass(b)
		default:
			for entry >= len(known) {
				known = append(known, make([]int8, max(64, entry+1-len(known)))...)
			}
			if known[entry] == 0 {
				s.out.Bytes += int64(len(b))
				known[entry] = -1
				if pass(b) {
					known[entry] = 1
				}
			}
			ok = known[entry] > 0
		}
		if ok && (len(kept) == 0 || kept[len(kept)-1] != row) {
			kept = append(kept, row)
		}
	})
	return kept, err
}

// keepText returns the rows whose record has the texts that it must, and none that it
// must not.
func (s *search) keepText(o *openSegment, group int, rows []int) ([]int, error) {
	kept := rows[:0:0]
	passes := func(row int, b []byte) {
		s.out.Bytes += int64(len(b))
		s.fold = fold(s.fold[:0], b)
		if s.record(s.fold) {
			kept = append(kept, row)
		}
	}
	var empty []int // whose record is no UTF-8 and stands in the other column
	err := o.texts(group, colRaw, rows, func(row int, b []byte, _ int) {
		if len(b) == 0 {
			empty = append(empty, row)
			return
		}
		passes(row, b)
	})
	if err != nil || len(empty) == 0 {
		return kept, err
	}
	there := map[int]bool{}
	if err := o.texts(group, colRawBytes, empty, func(row int, b []byte, _ int) {
		there[row] = true
		passes(row, b)
	}); err != nil {
		return nil, err
	}
	for _, row := range empty {
		if !there[row] {
			passes(row, nil)
		}
	}
	slices.Sort(kept)
	return kept, nil
}

// finish reads the rows of the page.
func (s *search) finish(of string, frontier *place) error {
	l := s.best
	slices.SortFunc(l, func(a, b hit) int { return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.seq, a.seq)) })
	next := func(p place) { s.out.Next = cursor{Of: of, Key: []int64{p.time, p.seq}}.String() }
	if frontier != nil {
		// What is not later than what was not looked at may not be the latest.
		n := 0
		for n < len(l) && frontier.less(l[n].place) {
			n++
		}
		l = l[:n]
		s.out.Partial, s.out.Searched = true, time.UnixMicro(frontier.time).UTC()
		next(place{frontier.time, frontier.seq + 1})
		if frontier.seq == math.MaxInt64 {
			next(place{frontier.time + 1, math.MinInt64})
		}
	} else if s.more && len(l) > 0 {
		next(l[len(l)-1].place)
	}
	var err error
	s.out.Rows, err = s.e.load(l)
	if err != nil {
		return err
	}
	raw := 0
	for i := range s.out.Rows {
		if raw += len(s.out.Rows[i].Raw); raw > pageRaw && i > 0 {
			s.out.Rows = s.out.Rows[:i]
			next(l[i-1].place)
			break
		}
	}
	return nil
}

// load reads the rows of hits, in their order.
func (e *Events) load(l []hit) ([]Row, error) {
	out := make([]Row, len(l))
	type part struct {
		log   *log
		seg   *segment
		index int
	}
	parts := map[part][]int{} // places in l
	var order []part
	for i := range l {
		p := part{l[i].log.log, l[i].seg, l[i].frame}
		if p.seg != nil {
			p.index = l[i].group
		}
		if parts[p] == nil {
			order = append(order, p)
		}
		parts[p] = append(parts[p], i)
	}
	for _, p := range order {
		at := parts[p]
		slices.SortFunc(at, func(a, b int) int { return cmp.Compare(l[a].row, l[b].row) })
		if p.seg == nil {
			h := &l[at[0]]
			fr := &h.log.frames[h.frame]
			b, err := h.log.read(e.unzip, fr, nil)
			if err != nil {
				return nil, err
			}
			if err := fr.each(b, func(i int, r *Row) error {
				for len(at) > 0 && l[at[0]].row == i {
					out[at[0]] = *r
					out[at[0]].Raw = bytes.Clone(r.Raw)
					at = at[1:]
				}
				return nil
			}); err != nil {
				return nil, err
			}
			continue
		}
		rows := make([]int, len(at))
		for i := range at {
			rows[i] = l[at[i]].row
		}
		o, err := e.use(p.seg)
		if err != nil {
			return nil, err
		}
		got, err := o.load(p.index, rows)
		p.seg.done()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.seg.path, err)
		}
		for i := range at {
			out[at[i]] = got[i]
		}
	}
	return out, nil
}

// Get returns events by their ids, at most MaxEvents, in the order asked; ids of which
// there is no event are left out. If from and to are not zero, only events of [from, to]
// by their time are looked at, which is much faster. Of several events of one id, as when
// a sender sent one twice, it returns the first that it finds.
func (e *Events) Get(ctx context.Context, ids []string, from, to time.Time) (out []Row, err error) {
	if len(ids) > MaxEvents {
		return nil, invalid("more than %d events at once", MaxEvents)
	}
	v, err := e.look()
	if err != nil {
		return nil, explain("read", e.dir, err)
	}
	defer func() { err = errors.Join(err, v.let()) }()
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		lo = clampMicro(from)
	}
	if !to.IsZero() {
		hi = clampMicro(to)
	}
	want := set(ids)
	var l []hit
	for _, lv := range v.logs {
		for i := range lv.frames {
			fr := &lv.frames[i]
			if len(want) == 0 || fr.max < lo || fr.min > hi {
				continue
			}
			b, err := lv.read(e.unzip, fr, nil)
			if err == nil {
				err = fr.each(b, func(n int, r *Row) error {
					if want[r.ID] {
						delete(want, r.ID)
						l = append(l, hit{block: block{log: lv, frame: i}, row: n})
					}
					return nil
				})
			}
			if err = errors.Join(err, ctx.Err()); err != nil {
				return nil, explain("read", e.dir, err)
			}
		}
	}
	for _, s := range slices.Backward(v.segments) {
		if len(want) == 0 || s.max < lo || s.min > hi {
			continue
		}
		found, err := e.idsIn(ctx, s, want, lo, hi)
		if err != nil {
			return nil, explain("read", s.path, err)
		}
		l = append(l, found...)
	}
	rows, err := e.load(l)
	if err != nil {
		return nil, explain("read", e.dir, err)
	}
	byID := make(map[string]*Row, len(rows))
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
	}
	out = make([]Row, 0, len(rows))
	for _, id := range ids {
		if r := byID[id]; r != nil {
			out = append(out, *r)
			delete(byID, id)
		}
	}
	return out, nil
}

// idsIn finds events by their ids in a segment, and takes those that it found from want.
func (e *Events) idsIn(ctx context.Context, s *segment, want map[string]bool, lo, hi int64) (l []hit, err error) {
	defer recovered(&err)
	o, err := e.use(s)
	if err != nil {
		return nil, err
	}
	defer s.done()
	for g := range o.groups {
		first, last, ok := o.bounds(g)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if ok && (last < lo || first > hi) {
			continue
		}
		may := false
		for id := range want {
			if may = o.has(g, colID, id); may {
				break
			}
		}
		if !may {
			continue
		}
		rows := make([]int, o.groups[g].NumRows())
		for i := range rows {
			rows[i] = i
		}
		if err := o.texts(g, colID, rows, func(row int, b []byte, _ int) {
			if want[string(b)] {
				delete(want, string(b))
				l = append(l, hit{block: block{seg: s, group: g}, row: row})
			}
		}); err != nil {
			return nil, err
		}
	}
	return l, nil
}
