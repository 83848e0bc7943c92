package decode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/catena-sec/catena/internal/model"
)

// JSON returns the decoder of every JSON form: one object a line, objects one
// after the other however they are indented, arrays of objects, and arrays inside
// a wrapper such as {"Records": [...]}; as UTF-8 or UTF-16. What each record is,
// the list of shapes tells, then o.Mappings; a record that nobody knows becomes
// an event of format "json" if it has a time.
//
// Every leaf of a record becomes a slot under its dotted path; the values of an
// array are several slots of one path.
func JSON(o Options) Decoder { return newJSON(o) }

func newJSON(o Options) *jsonDecoder {
	keys := newJSONKeys()
	d := &jsonDecoder{
		o:        o,
		shapes:   bindShapes(jsonShapes(), keys),
		usual:    keys.add(usualTimes()),
		carriers: keys.add(carriers()),
		mappings: bindMappings(o),
		buffers:  newBuffers(),
	}
	d.marks = mappingMarks(d.mappings, keys)
	d.lines = sync.OnceValue(func() *lineReader {
		lines := newLineReader(o)
		lines.json = func() *jsonDecoder { return d }
		return lines
	})
	d.workers.New = func() any {
		paths := newJSONPaths(o.Names, keys)
		return &jsonWorker{d: d, o: &d.o, doc: newJSONDoc(paths), inner: newJSONDoc(paths)}
	}
	return d
}

type jsonDecoder struct {
	o        Options
	shapes   []boundShape
	usual    []jsonKey // times of records that nobody knows
	carriers []jsonKey // values of such records that may be records
	mappings []*boundMapping
	marks    []jsonKey          // by mapping: the field that its records have first of all
	lines    func() *lineReader // of what records carry, made when it is first met
	workers  sync.Pool          // of *jsonWorker: caches of paths, no state of records
	buffers  buffers
}

// A jsonWorker is what one goroutine needs to decode: a document and one for JSON
// text inside of values.
type jsonWorker struct {
	d     *jsonDecoder
	o     *Options
	doc   jsonDoc
	inner jsonDoc
	ids   map[string]model.FieldID
	wraps int // how many wrappings of the record were taken off
}

func (*jsonDecoder) Name() string { return "json" }

func (*jsonDecoder) Sniff(head []byte) int {
	text := bytes.TrimLeft(sniffText(head), " \t\r\n")
	if len(text) == 0 {
		return 0
	}
	next := bytes.TrimLeft(text[1:], " \t\r\n")
	switch {
	case text[0] == '{' && len(next) > 0 && (next[0] == '"' || next[0] == '}'):
		return 80
	case text[0] == '[' && len(next) > 0 && next[0] == '{':
		return 75
	case text[0] == '[' && len(next) > 0 && next[0] == ']':
		return 40
	}
	return 0
}

// Decode reads the records of a chunk. Commas, brackets and wrappers between them
// are passed over; other text between records is reported once and skipped up to
// the next line that begins a record.
func (d *jsonDecoder) Decode(c Chunk, b *Batch) {
	d.decode(c, b)
	joinScripts(b)
}

// decode is Decode for a chunk that may be a part of another: scripts are joined by
// who decodes the whole.
func (d *jsonDecoder) decode(c Chunk, b *Batch) {
	w, done := d.worker(b)
	defer done()
	data := c.Data
	record := c.Record
	if b.Events == nil { // records of a kilobyte or so are usual
		b.Events = make([]model.Event, 0, len(data)/1024+1)
	}
	for at := 0; at < len(data); {
		switch data[at] {
		case ' ', '\t', '\n', '\r', ',', '[', ']':
			at++
			continue
		case '{':
			if n := wrapperStart(data[at:]); n > 0 {
				at += n
				continue
			}
		default:
			if n := wrapperEnd(data[at:]); n > 0 {
				at += n
				continue
			}
			b.Fail(c.Offset+int64(at), record+1, "text that is no JSON record")
			at = nextLine(data, at)
			continue
		}
		record++
		b.Records++
		end, err := w.doc.parse(data, at)
		if err != nil {
			b.Fail(c.Offset+int64(end), record, "JSON: "+err.Error())
			at = nextLine(data, end)
			continue
		}
		e := model.Event{
			Ref: model.Ref{Input: c.Input, Record: record, Offset: c.Offset + int64(at)},
			Raw: data[at:end:end],
		}
		w.wraps = 0
		if err := d.record(w, b, &e); err != nil {
			b.Drop()
			b.Fail(e.Ref.Offset, record, err.Error())
		}
		if w.doc.more {
			b.tooWide(e.Ref.Offset, record)
		}
		at = end
	}
}

// worker returns a worker for the records of b, and what gives it back.
func (d *jsonDecoder) worker(b *Batch) (w *jsonWorker, done func()) {
	w = d.workers.Get().(*jsonWorker) //nolint:errcheck // the pool holds nothing else
	w.doc.batch, w.inner.batch, w.wraps = b, b, 0
	return w, func() {
		clear(w.doc.leaves[:cap(w.doc.leaves)]) // let the chunk go
		clear(w.inner.leaves[:cap(w.inner.leaves)])
		w.doc.data, w.inner.data = nil, nil
		w.doc.batch, w.inner.batch, w.doc.arena, w.inner.arena = nil, nil, nil, nil
		w.doc.asked, w.inner.asked = nil, nil
		d.workers.Put(w)
	}
}

// nextLine returns where the first line after at begins that may begin a record.
func nextLine(data []byte, at int) int {
	for at < len(data) {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return len(data)
		}
		at += i + 1
		rest := bytes.TrimLeft(data[at:min(len(data), at+64)], " \t\r\n")
		if len(rest) > 0 && rest[0] == '{' {
			return at
		}
	}
	return at
}

// wrapperStart returns how many bytes of text an object's beginning takes whose
// first array of objects is the records themselves: {"Records":[ and its kin,
// after members that are no objects or arrays. It returns 0 if there is none.
func wrapperStart(text []byte) int {
	p, meta := 1, true // meta: all members so far speak of the list, not of a record
	for members := 0; members < 8; members++ {
		p = skipJSONSpace(text, p)
		if p >= len(text) || text[p] != '"' {
			return 0
		}
		end := p + 1
		for end < len(text) && text[end] != '"' && text[end] != '\\' && end-p < 64 {
			end++
		}
		if end >= len(text) || text[end] != '"' {
			return 0
		}
		key := text[p+1 : end]
		p = skipJSONSpace(text, end+1)
		if p >= len(text) || text[p] != ':' {
			return 0
		}
		p = skipJSONSpace(text, p+1)
		if p >= len(text) {
			return 0
		}
		switch text[p] {
		case '[':
			if isListKey(key) {
				if p = skipSmall(text, p); p == 0 {
					return 0
				}
				break
			}
			if !isWrapperKey(key, meta) {
				return 0
			}
			if q := skipJSONSpace(text, p+1); q < len(text) && text[q] == '{' {
				return p + 1
			}
			return 0
		case '{':
			if !meta || !isListKey(key) {
				return 0
			}
			if p = skipSmall(text, p); p == 0 {
				return 0
			}
		case '"':
			p++
			for p < len(text) && text[p] != '"' {
				if text[p] == '\\' {
					p++
				}
				p++
				if p > 4096 {
					return 0
				}
			}
			p++
		default:
			for p < len(text) && text[p] != ',' && text[p] != '}' && p < 4096 {
				p++
			}
		}
		p = skipJSONSpace(text, p)
		if p >= len(text) || text[p] != ',' {
			return 0
		}
		p++
		meta = meta && isListKey(key)
	}
	return 0
}

// skipSmall returns where the object or array ends that begins at text[p], 0 if it
// does not within a few kilobytes.
func skipSmall(text []byte, p int) int {
	depth := 0
	for end := min(len(text), p+4096); p < end; p++ {
		switch text[p] {
		case '"':
			p += 1 + stringLen(text[p+1:])
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return p + 1
			}
		}
	}
	return 0
}

// isWrapperKey reports whether key is what collectors and APIs call their list of
// records. All but CloudTrail's own name may also be a field of one record, unless
// nothing stands before it that speaks of a record.
func isWrapperKey(key []byte, meta bool) bool {
	switch string(key) {
	case "Records", "records":
		return true
	case "value", "events", "Events", "items", "entries", "logs", "logEvents":
		return meta
	}
	return false
}

// isListKey reports whether a member speaks of a list of records.
func isListKey(key []byte) bool {
	switch string(key) {
	case "@odata.context", "@odata.count", "@odata.nextLink", "nextLink", "nextToken", "NextToken", "next", "count", "total", "status", "success",
		"kind", "apiVersion", "metadata", // of a list of Kubernetes
		"messageType", "owner", "logGroup", "logStream", "subscriptionFilters": // of a subscription to CloudWatch Logs
		return true
	}
	return false
}

// wrapperEnd returns how long the rest of a wrapper is, after the comma or
// bracket behind its records: `"key": scalar ... }` or `}`; 0 if it is none.
func wrapperEnd(text []byte) int {
	if text[0] == '}' {
		return 1
	}
	if text[0] != '"' {
		return 0
	}
	for p := 0; p < len(text) && p < 4096; p++ {
		switch text[p] {
		case '}':
			return p + 1
		case '{', '[':
			return 0
		}
	}
	return 0
}

func skipJSONSpace(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == '\n' || b[p] == '\r' || b[p] == '\t') {
		p++
	}
	return p
}

// record makes an event or alert of the flattened record.
func (d *jsonDecoder) record(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	if m := d.finding(doc, b); m != nil {
		if err := m.emit(b, *e); err != nil || !m.keepEvent {
			return err
		}
	}
	for i := range d.shapes {
		s := &d.shapes[i]
		if !s.fits(doc) {
			continue
		}
		e.Format = s.name
		if t, ok := keyTimes(doc, s.timeKeys, w.o); ok {
			e.Recorded = t
		}
		if t, ok := keyTimes(doc, s.receivedKeys, w.o); ok {
			e.Received = t
		}
		shapeSlots(b, doc, i, s.field)
		if b.Trace {
			defer w.trace(b, s)()
		}
		if err := s.emit(w, b, e); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		return nil
	}
	e.Format = "json"
	plainSlots(b, doc)
	for _, m := range d.mappings {
		if m.event && m.matches(b) {
			return m.emit(b, *e)
		}
	}
	if d.carried(w, b, e) {
		return nil
	}
	if t, ok := keyTimes(doc, d.usual, w.o); ok {
		e.Recorded = t
		d.application(w, b, e)
		finish(e)
		b.Emit(*e)
		return nil
	}
	return errors.New("unknown JSON shape: keys " + topKeys(doc))
}

// trace notes what the shape looks at in the record, until the function that it
// returns is called.
func (w *jsonWorker) trace(b *Batch, s *boundShape) func() {
	asked := b.asks(s.name)
	for _, paths := range [...][]string{s.all, s.any, s.times, s.received} {
		asked.add(paths...)
	}
	w.doc.asked = asked
	return func() {
		w.doc.asked, w.inner.asked = nil, nil // a record inside may have exchanged them
		if s.field == nil {
			return
		}
		for _, path := range slices.Collect(maps.Keys(asked)) {
			asked.add(s.field(path)) // what the event calls it
		}
	}
}

// finding returns the mapping of alerts that a record belongs to, its fields in b;
// nil and no fields if it is no alert. An alert often carries fields of the event
// beneath it, by which a shape would take it for that event, so it is asked for
// first.
func (d *jsonDecoder) finding(doc *jsonDoc, b *Batch) *boundMapping {
	filled := false
	for i, m := range d.mappings {
		if m.event || !doc.marked(d.marks[i]) {
			continue
		}
		if !filled {
			plainSlots(b, doc)
			filled = true
		}
		if m.matches(b) {
			return m
		}
	}
	if filled {
		b.Drop()
	}
	return nil
}

// usualTimes are the paths under which records of any product keep their time, the
// likeliest first.
func usualTimes() []string {
	return []string{"@timestamp", "at_sign_timestamp", "timestamp", "Timestamp", "eventTime", "time", "Time", "ts", "TimeGenerated", "EventTime",
		"TimeCreated", "CreationTime", "requestReceivedTimestamp", "published", "eventTimestamp", "event_timestamp", "event_time",
		"created_at", "createdAt", "createdDateTime", "updatedAt", "updated_at", "CreatedAt", "p_event_time", "FirstObservedAt", "start_time",
		"_time", "receiveTimestamp", "timestamp_ns"}
}

// topKeys lists the record's first top-level keys for an error's text.
func topKeys(doc *jsonDoc) string {
	const most = 8
	var keys []string
	for i := range doc.leaves {
		key, _, _ := strings.Cut(doc.leaves[i].path.name, ".")
		if len(key) > 40 {
			key = key[:40]
		}
		seen := false
		for _, k := range keys {
			seen = seen || k == key
		}
		if seen {
			continue
		}
		if len(keys) == most {
			return fmt.Sprintf("%q...", strings.Join(keys, ","))
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return "none"
	}
	return fmt.Sprintf("%q", strings.Join(keys, ","))
}
