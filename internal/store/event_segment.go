package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	kzstd "github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// A record is a Row as Parquet has it: what other tools read. A raw record that is not
// UTF-8 stands in raw_bytes and its raw is empty.
type record struct {
	Time      int64    `parquet:"time,delta,timestamp(microsecond)"`
	Seq       int64    `parquet:"seq,delta"`
	Received  int64    `parquet:"received,delta,timestamp(microsecond)"`
	Position  int64    `parquet:"position,delta"`
	ID        string   `parquet:"id"`
	Source    string   `parquet:"source,dict"`
	Format    string   `parquet:"format,dict"`
	Host      string   `parquet:"host,dict"`
	Code      string   `parquet:"code,dict"`
	Product   string   `parquet:"product,dict"`
	Category  string   `parquet:"category,dict"`
	Service   string   `parquet:"service,dict"`
	Subsystem string   `parquet:"subsystem,dict"`
	Entities  []string `parquet:"entities,list,dict"`
	Raw       string   `parquet:"raw"`
	RawBytes  []byte   `parquet:"raw_bytes,optional"`
}

// The columns of a record, in its order.
const (
	colTime = iota
	colSeq
	colReceived
	colPosition
	colID
	colSource
	colFormat
	colHost
	colCode
	colProduct
	colCategory
	colService
	colSubsystem
	colEntities
	colRaw
	colRawBytes
	columns
)

// The make of segments.
const (
	groupRows     = 32_768   // of a row group
	groupRaw      = 64 << 20 // bytes of records after which a row group is closed
	pageBytes     = 256 << 10
	segmentSuffix = ".parquet"
	tmpSuffix     = ".tmp"
)

// A segment is a sealed file of events in the order of time. Its name tells all that is
// needed to know whether it must be opened.
type segment struct {
	path     string
	from, to int64 // numbers of its first and last row
	min, max int64 // times of its rows, in microseconds
	received int64 // when the last of them was, in microseconds
	size     int64 // bytes of its files

	refs atomic.Int64
	gone atomic.Bool

	mu    sync.Mutex
	open  *openSegment
	opens int // searches that use open
}

const stampForm = "20060102T150405.000000Z"

// Years beyond 9999 there are none in a store, and stampForm has four digits from year 1.
func segmentName(s *segment) string {
	at := func(us int64) string { return time.UnixMicro(us).UTC().Format(stampForm) }
	return fmt.Sprintf("events-%019d-%019d_%s_%s_%s%s", s.from, s.to, at(s.min), at(s.max), at(s.received), segmentSuffix)
}

var segmentForm = regexp.MustCompile(`^events-([0-9]{19})-([0-9]{19})_([0-9T.]{22}Z)_([0-9T.]{22}Z)_([0-9T.]{22}Z)\.parquet$`)

// parseSegment reads the name of a segment.
func parseSegment(name string) (*segment, bool) {
	m := segmentForm.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	s := &segment{}
	for i, p := range []*int64{&s.from, &s.to} {
		n, err := strconv.ParseInt(m[1+i], 10, 64)
		if err != nil {
			return nil, false
		}
		*p = n
	}
	for i, p := range []*int64{&s.min, &s.max, &s.received} {
		t, err := time.Parse(stampForm, m[3+i])
		if err != nil {
			return nil, false
		}
		*p = t.UnixMicro()
	}
	if s.from < 1 || s.to < s.from || s.max < s.min || segmentName(s) != name {
		return nil, false
	}
	s.refs.Store(1)
	return s, true
}

func wordsPath(segment string) string { return segment[:len(segment)-len(segmentSuffix)] + wordsSuffix }

func recordOf(r *Row, out *record) {
	*out = record{Time: clampMicro(r.Time), Seq: r.Seq, Received: clampMicro(r.Received), Position: int64(r.Position), ID: r.ID, Source: r.Source, Format: r.Format, Host: r.Host, Code: r.Code,
		Product: r.Product, Category: r.Category, Service: r.Service, Subsystem: r.Subsystem, Entities: r.Entities}
	if utf8.Valid(r.Raw) {
		out.Raw = string(r.Raw)
	} else {
		out.RawBytes = r.Raw
	}
}

// A segmentWriter makes a segment of rows that come in the order of time.
type segmentWriter struct {
	dir     string
	f       *os.File
	w       *parquet.GenericWriter[record]
	seg     segment
	pending []record
	group   int // rows of the row group so far
	raw     int
	words   wordSet
	filters [][]byte
}

func newSegmentWriter(dir string) (*segmentWriter, error) {
	f, err := os.CreateTemp(dir, "events-*"+tmpSuffix)
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{dir: dir, f: f}
	w.w = parquet.NewGenericWriter[record](f,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1}),
		parquet.PageBufferSize(pageBytes),
		parquet.DataPageStatistics(false),
		parquet.SkipPageBounds("id"), parquet.SkipPageBounds("raw"), parquet.SkipPageBounds("raw_bytes"),
		parquet.BloomFilters(parquet.SplitBlockFilter(bitsPerWord, "id"), parquet.SplitBlockFilter(bitsPerWord, "entities", "list", "element")),
		parquet.KeyValueMetadata("catena.events", "1"),
		parquet.CreatedBy("catena", "events", "1"))
	return w, nil
}

func (w *segmentWriter) add(r *Row) error {
	at := clampMicro(r.Time)
	if w.seg.from == 0 {
		w.seg.from, w.seg.to, w.seg.min, w.seg.max = r.Seq, r.Seq, at, at
	}
	w.seg.from, w.seg.to = min(w.seg.from, r.Seq), max(w.seg.to, r.Seq)
	w.seg.min, w.seg.max = min(w.seg.min, at), max(w.seg.max, at)
	w.seg.received = max(w.seg.received, clampMicro(r.Received))
	var x record
	recordOf(r, &x)
	w.pending = append(w.pending, x)
	eachWord(r.Raw, func(h uint64, _, _ bool) { w.words.add(h) })
	w.group++
	w.raw += len(r.Raw)
	full := w.group == groupRows || w.raw >= groupRaw
	if len(w.pending) < 512 && !full {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if full {
		return w.close()
	}
	return nil
}

func (w *segmentWriter) flush() error {
	_, err := w.w.Write(w.pending)
	clear(w.pending)
	w.pending = w.pending[:0]
	return err
}

// close ends a row group.
func (w *segmentWriter) close() error {
	if w.group == 0 {
		return nil
	}
	w.filters = append(w.filters, w.words.filter())
	w.words.reset()
	w.group, w.raw = 0, 0
	return w.w.Flush()
}

// finish makes the segment durable under its name.
func (w *segmentWriter) finish() (*segment, error) {
	err := w.flush()
	if err == nil {
		err = w.close()
	}
	if err == nil {
		err = w.w.Close()
	}
	if err == nil {
		err = w.f.Sync()
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(w.f.Name()))
	}
	s := &segment{from: w.seg.from, to: w.seg.to, min: w.seg.min, max: w.seg.max, received: w.seg.received}
	s.path = filepath.Join(w.dir, segmentName(s))
	s.refs.Store(1)
	// The words come first: a segment has them, or is none.
	if err := writeFile(wordsPath(s.path), encodeWords(w.filters)); err != nil {
		return nil, errors.Join(err, os.Remove(w.f.Name()))
	}
	if err := os.Rename(w.f.Name(), s.path); err != nil {
		return nil, errors.Join(err, os.Remove(w.f.Name()), os.Remove(wordsPath(s.path)))
	}
	if err := syncDir(w.dir); err != nil {
		return nil, err
	}
	return s, s.measure()
}

// abort takes back what was written.
func (w *segmentWriter) abort() { _ = errors.Join(w.f.Close(), os.Remove(w.f.Name())) }

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path+tmpSuffix, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+tmpSuffix, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+tmpSuffix))
	}
	return nil
}

// measure notes how much room a segment takes.
func (s *segment) measure() error {
	s.size = 0
	st, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	s.size = st.Size()
	if st, err := os.Stat(wordsPath(s.path)); err == nil { // it may be missing
		s.size += st.Size()
	}
	return nil
}

// drop removes the files, as soon as nobody reads them.
func (s *segment) drop() error {
	s.gone.Store(true)
	return s.release()
}

func (s *segment) acquire() { s.refs.Add(1) }

func (s *segment) release() error {
	if s.refs.Add(-1) > 0 || !s.gone.Load() {
		return nil
	}
	return errors.Join(s.shut(), removeFiles(s.path))
}

func removeFiles(segment string) error {
	err := os.Remove(segment)
	if e := os.Remove(wordsPath(segment)); !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// An openSegment is a segment that can be read.
type openSegment struct {
	f      *os.File
	file   *parquet.File
	groups []parquet.RowGroup
	words  *wordsFile
	wf     *os.File
}

// use opens the segment if it is not open; done is called when it is no longer needed.
func (s *segment) use() (*openSegment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		s.opens++
		return s.open, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	o := &openSegment{f: f}
	if err := o.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrDamaged, s.path, err), f.Close())
	}
	// Without its words a segment is searched all the same, only slower.
	o.words, o.wf, _ = openWords(wordsPath(s.path))
	s.open = o
	s.opens++
	return o, nil
}

// read reads the footer. The library panics on some damaged files; what was on a disk for
// months may be damaged.
func (o *openSegment) read() (err error) {
	defer recovered(&err)
	st, err := o.f.Stat()
	if err != nil {
		return err
	}
	o.file, err = parquet.OpenFile(o.f, st.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return err
	}
	o.groups = o.file.RowGroups()
	for _, g := range o.groups {
		if len(g.ColumnChunks()) != columns {
			return fmt.Errorf("a row group with %d columns, want %d", len(g.ColumnChunks()), columns)
		}
	}
	return nil
}

// recovered turns a panic of the Parquet library into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = errors.Join(*err, fmt.Errorf("%w: %v", ErrDamaged, p))
	}
}

func (s *segment) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens--
}

// shut closes the files of a segment that nobody uses.
func (s *segment) shut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil || s.opens > 0 {
		return nil
	}
	o := s.open
	s.open = nil
	err := o.f.Close()
	if o.wf != nil {
		err = errors.Join(err, o.wf.Close())
	}
	return err
}

// bounds are the least and greatest time of a row group.
func (o *openSegment) bounds(group int) (lo, hi int64, ok bool) {
	c, isFile := o.groups[group].ColumnChunks()[colTime].(*parquet.FileColumnChunk)
	if !isFile {
		return 0, 0, false
	}
	a, b, ok := c.Bounds()
	if !ok {
		return 0, 0, false
	}
	return a.Int64(), b.Int64(), true
}

// has says whether a row group may have a value in a column with a filter.
func (o *openSegment) has(group, column int, value string) bool {
	f := o.groups[group].ColumnChunks()[column].BloomFilter()
	if f == nil {
		return true
	}
	ok, err := f.Check(parquet.ByteArrayValue([]byte(value)))
	return ok || err != nil
}

// numbers reads a column of numbers.
func (o *openSegment) numbers(group, column int) (out []int64, err error) {
	pages := o.groups[group].ColumnChunks()[column].Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		data := p.Data()
		out = append(out, data.Int64()...)
		parquet.Release(p)
	}
}

// texts calls fn with the values of a column in some rows, which ascend. fn must not keep
// b. Of a value in the dictionary of its page fn is told its number there, and else -1.
func (o *openSegment) texts(group, column int, rows []int, fn func(row int, b []byte, entry int)) (err error) {
	pages := o.groups[group].ColumnChunks()[column].Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	at := 0 // row with which the next page begins
	for len(rows) > 0 {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n := int(p.NumRows())
		if rows[0] >= at+n { // it has none of them: go to the page that has
			parquet.Release(p)
			at += n
			if rows[0]-at > n {
				if err := pages.SeekToRow(int64(rows[0])); err != nil {
					return err
				}
				at = rows[0]
			}
			continue
		}
		k, _ := slices.BinarySearch(rows, at+n)
		err = pageTexts(p, at, rows[:k], fn)
		parquet.Release(p)
		if err != nil {
			return err
		}
		rows, at = rows[k:], at+n
	}
	return nil
}

// pageTexts is texts for one page that begins with a row.
func pageTexts(p parquet.Page, first int, rows []int, fn func(row int, b []byte, entry int)) error {
	data := p.Data()
	dict := p.Dictionary()
	value := func(i int) ([]byte, int) {
		if dict != nil {
			e := data.Int32()[i]
			return dict.Index(e).ByteArray(), int(e)
		}
		b, offsets := data.ByteArray()
		return b[offsets[i]:offsets[i+1]], -1
	}
	reps, defs := p.RepetitionLevels(), p.DefinitionLevels()
	if len(defs) == 0 && len(reps) == 0 {
		for _, row := range rows {
			b, e := value(row - first)
			fn(row, b, e)
		}
		return nil
	}
	row, i := first-1, 0
	for k := range defs {
		if len(reps) == 0 || reps[k] == 0 {
			row++
		}
		for len(rows) > 0 && rows[0] < row {
			rows = rows[1:]
		}
		if defs[k] == present {
			if len(rows) > 0 && rows[0] == row {
				b, e := value(i)
				fn(row, b, e)
			}
			i++
		}
	}
	return nil
}

// present is the definition level of an optional value, and of an element of a list, that
// is there.
const present = 1

// load reads whole rows of a row group, in the order asked, which must be ascending.
func (o *openSegment) load(group int, rows []int) (out []Row, err error) {
	defer recovered(&err)
	out = make([]Row, len(rows))
	index := make(map[int]int, len(rows))
	for i, r := range rows {
		index[r] = i
	}
	for _, c := range []struct {
		column int
		set    func(*Row, int64)
	}{
		{colTime, func(r *Row, n int64) { r.Time = time.UnixMicro(n).UTC() }}, {colSeq, func(r *Row, n int64) { r.Seq = n }},
		{colReceived, func(r *Row, n int64) { r.Received = time.UnixMicro(n).UTC() }}, {colPosition, func(r *Row, n int64) { r.Position = uint64(n) }},
	} {
		l, err := o.numbers(group, c.column)
		if err != nil {
			return nil, err
		}
		for i, r := range rows {
			if r >= len(l) {
				return nil, fmt.Errorf("%w: column %d has %d rows", ErrDamaged, c.column, len(l))
			}
			c.set(&out[i], l[r])
		}
	}
	for i, column := range []int{colID, colSource, colFormat, colHost, colCode, colProduct, colCategory, colService, colSubsystem} {
		if err := o.texts(group, column, rows, func(row int, b []byte, _ int) { *out[index[row]].text()[i] = string(b) }); err != nil {
			return nil, err
		}
	}
	if err := o.texts(group, colEntities, rows, func(row int, b []byte, _ int) {
		r := &out[index[row]]
		r.Entities = append(r.Entities, string(b))
	}); err != nil {
		return nil, err
	}
	for _, column := range []int{colRaw, colRawBytes} {
		if err := o.texts(group, column, rows, func(row int, b []byte, _ int) {
			if r := &out[index[row]]; len(r.Raw) == 0 {
				r.Raw = bytes.Clone(b)
			}
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A rowAt is where a row is encoded.
type rowAt struct {
	place
	frame, at int
}

// seal makes a segment of the rows of a log. It holds all of them in memory, packed.
func seal(dir string, l *log, unzip *kzstd.Decoder) (*segment, error) {
	frames := make([][]byte, len(l.frames))
	rows := make([]rowAt, 0, l.rows)
	for i := range l.frames {
		fr := &l.frames[i]
		b, err := l.read(unzip, fr, nil)
		if err != nil {
			return nil, err
		}
		frames[i] = b
		rest := b
		for n := range int(fr.rows) {
			at, end, err := skipRow(rest)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: row %d of the frame at byte %d: %w", ErrDamaged, l.path, n, fr.at, err)
			}
			rows = append(rows, rowAt{place{at, fr.seq + int64(n)}, i, len(b) - len(rest)})
			rest = rest[end:]
		}
	}
	slices.SortFunc(rows, func(a, b rowAt) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.seq, b.seq)) })
	w, err := newSegmentWriter(dir)
	if err != nil {
		return nil, err
	}
	var r Row
	for _, x := range rows {
		if _, err := readRow(frames[x.frame][x.at:], &r); err != nil {
			w.abort()
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, l.path, err)
		}
		r.Seq = x.seq
		if err := w.add(&r); err != nil {
			w.abort()
			return nil, err
		}
	}
	return w.finish()
}
