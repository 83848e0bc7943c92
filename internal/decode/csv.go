package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/catena-sec/catena/internal/model"
)

// CSV returns the decoder of comma-, semicolon- or tab-separated text (RFC 4180:
// a field in quotes may hold separators, line ends and doubled quotes) whose
// first line names columns. The first of o.Mappings that knows the columns says
// what the rows are; see Mapping. Other rows that have a time are read as records
// of JSON.
func CSV(o Options) Decoder { return newCSV(o) }

func newCSV(o Options) *csvDecoder {
	return &csvDecoder{o: o, mappings: bindMappings(o), json: sync.OnceValue(func() *jsonDecoder { return newJSON(o) })}
}

type csvDecoder struct {
	o        Options
	mappings []*boundMapping
	json     func() *jsonDecoder // of rows that are records, made when they are first met
}

func (d *csvDecoder) Name() string { return "csv" }

// maxHeader bounds the line of column names, in bytes.
const maxHeader = 64 << 10

// csvHeader is what Frame reads once and every chunk carries, as JSON.
type csvHeader struct {
	Separator string
	Columns   []string
}

// readHeader reads the line of column names at the start of head, and says how
// many bytes it took. whole is whether head holds the input's end.
func (d *csvDecoder) readHeader(head []byte, whole bool) (h csvHeader, n int, ok bool) {
	start := 0
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		start = 3
	}
	line, next, found := csvRecord(head, start)
	if !found && !whole {
		return h, 0, false
	}
	if !found {
		line, next = head[start:], len(head)
	}
	if len(line) == 0 || len(line) > maxHeader {
		return h, 0, false
	}
	for _, sep := range [...]byte{',', ';', '\t'} {
		var columns []string
		csvFields(line, sep, func(s string) bool {
			columns = append(columns, strings.TrimSpace(s))
			return len(columns) < MaxFields
		})
		if len(columns) > len(h.Columns) {
			h = csvHeader{string(sep), columns}
		}
	}
	return h, next, true
}

// mappingFor returns the first mapping whose columns are all there.
func (d *csvDecoder) mappingFor(columns []string) *boundMapping {
	have := func(name string) bool {
		return slices.ContainsFunc(strings.Split(name, "|"), func(one string) bool { return slices.Contains(columns, one) })
	}
	for _, m := range d.mappings {
		if m.form.prefix != "" || len(m.columns) == 0 || len(m.any) > 0 && !slices.ContainsFunc(m.any, have) {
			continue
		}
		if !slices.ContainsFunc(m.columns, func(name string) bool { return !have(name) }) {
			return m
		}
	}
	return nil
}

func (d *csvDecoder) Sniff(head []byte) int {
	if text := bytes.TrimLeft(sniffText(head), " \t\r\n"); len(text) > 0 && text[0] == '{' {
		return 0 // a record of JSON, whose keys between commas may be called as columns are
	}
	h, _, ok := d.readHeader(head, len(head) < SniffLen)
	switch {
	case ok && len(h.Columns) > 1 && d.mappingFor(h.Columns) != nil:
		return 85
	case ok && isTable(h.Columns):
		return 60
	}
	return 0
}

func (d *csvDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	head := make([]byte, maxHeader+4)
	n, err := io.ReadFull(r, head)
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !whole {
		return err
	}
	head = head[:n]
	h, skip, ok := d.readHeader(head, whole)
	if !ok {
		return fmt.Errorf("no line of column names within %d bytes", maxHeader)
	}
	header, err := json.Marshal(h)
	if err != nil {
		return err
	}
	rest := io.MultiReader(bytes.NewReader(head[skip:]), r)
	return frameRecords(rest, int64(skip), 1, header, emit, bad, func(buf []byte, end bool) (cut, records int) {
		for at := 0; ; {
			_, next, found := csvRecord(buf, at)
			if !found {
				if end && at < len(buf) {
					return len(buf), records + 1
				}
				return at, records
			}
			at = next
			records++
		}
	})
}

// frameRecords cuts r into chunks of whole records as scan finds them: it returns
// how many bytes from the start of buf are whole records, and how many those are;
// at the end of r what is left is a record too. A record over MaxRecord is
// skipped up to the next line end.
func frameRecords(r io.Reader, offset, record int64, header []byte, emit func(Chunk) error, bad func(model.InputError), scan func(buf []byte, end bool) (cut, records int)) error {
	buf := make([]byte, 0, room(r))
	skipping := false
	want := ChunkTarget // bytes to have before looking for records: doubled while one does not fit
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), 2*cap(buf))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), len(buf)+ChunkTarget)])
		buf = buf[:len(buf)+n]
		end := err == io.EOF
		if err != nil && !end {
			return err
		}
		if skipping {
			i := bytes.IndexByte(buf, '\n')
			if i < 0 {
				offset += int64(len(buf))
				buf = buf[:0]
			} else {
				offset += int64(i + 1)
				buf = append(buf[:0], buf[i+1:]...)
				skipping = false
			}
		}
		if len(buf) >= want || end {
			cut, records := scan(buf, end)
			switch {
			case cut > 0:
				data := buf[:cut:cut]
				next := make([]byte, len(buf)-cut, max(room(r), 2*(len(buf)-cut)))
				copy(next, buf[cut:])
				if err := emit(Chunk{Data: data, Offset: offset, Record: record, Header: header}); err != nil {
					return err
				}
				offset += int64(cut)
				record += int64(records)
				buf, want = next, ChunkTarget
			case len(buf) > MaxRecord:
				record++
				bad(model.InputError{Offset: offset, Record: record, Count: 1, Cause: fmt.Sprintf("record longer than %d bytes", MaxRecord)})
				offset += int64(len(buf))
				buf, want, skipping = buf[:0], ChunkTarget, true
			default:
				want = 2 * len(buf)
			}
		}
		if end {
			return nil
		}
	}
}

// csvRecord finds the record that starts at buf[at]: its bytes without the line
// end, and where the next one starts. found is false when buf ends before it does.
func csvRecord(buf []byte, at int) (record []byte, next int, found bool) {
	quoted := false
	for i := at; i < len(buf); i++ {
		switch c := buf[i]; {
		case c == '"' && quoted && i+1 < len(buf) && buf[i+1] == '"':
			i++
		case c == '"' && quoted:
			quoted = false
		case c == '"' && (i == at || buf[i-1] == ',' || buf[i-1] == ';' || buf[i-1] == '\t'):
			quoted = true // elsewhere in a field a quote is a character like any other
		case c == '\n' && !quoted:
			return bytes.TrimSuffix(buf[at:i], []byte{'\r'}), i + 1, true
		}
	}
	return nil, at, false
}

// csvFields calls fn for the fields of a record until it returns false.
func csvFields(record []byte, sep byte, fn func(string) bool) {
	for {
		if len(record) > 0 && record[0] == '"' {
			field, rest := csvQuoted(record)
			if i := bytes.IndexByte(rest, sep); i >= 0 {
				if !fn(field) {
					return
				}
				record = rest[i+1:]
				continue
			}
			fn(field)
			return
		}
		i := bytes.IndexByte(record, sep)
		if i < 0 {
			fn(string(record))
			return
		}
		if !fn(string(record[:i])) {
			return
		}
		record = record[i+1:]
	}
}

// csvQuoted reads the quoted field at the start of record and returns what
// follows its closing quote.
func csvQuoted(record []byte) (string, []byte) {
	var out []byte
	for i := 1; i < len(record); i++ {
		if record[i] != '"' {
			continue
		}
		if i+1 < len(record) && record[i+1] == '"' {
			i++
			continue
		}
		out = record[1:i]
		return strings.ReplaceAll(string(out), `""`, `"`), record[i+1:]
	}
	return strings.ReplaceAll(string(record[1:]), `""`, `"`), nil
}

func (d *csvDecoder) Decode(c Chunk, b *Batch) {
	var h csvHeader
	if err := json.Unmarshal(c.Header, &h); err != nil || len(h.Separator) != 1 {
		b.Fail(c.Offset, c.Record, "the column names are missing")
		return
	}
	m := d.mappingFor(h.Columns)
	if m == nil && !isTable(h.Columns) {
		b.Fail(c.Offset, c.Record, "no mapping knows these columns")
		return
	}
	ids := make([]model.FieldID, len(h.Columns))
	for i, name := range h.Columns {
		if m != nil {
			ids[i] = d.o.Names.ID(name)
		}
	}
	record := c.Record
	for at := 0; at < len(c.Data); {
		row, next, found := csvRecord(c.Data, at)
		if !found {
			row, next = bytes.TrimRight(c.Data[at:], "\r\n"), len(c.Data)
		}
		offset := c.Offset + int64(at)
		at = next
		record++
		if len(row) == 0 {
			continue
		}
		b.Records++
		e := model.Event{Ref: model.Ref{Input: c.Input, Record: record, Offset: offset}, Raw: row}
		if m == nil {
			text, n := rowRecord(h.Columns, row, h.Separator[0])
			if n != len(ids) {
				b.Fail(offset, record, fmt.Sprintf("not the %d columns of the first line", len(ids)))
			} else if err := d.json().one(b, &e, text); err != nil {
				b.Fail(offset, record, err.Error())
			}
			continue
		}
		n := 0
		csvFields(row, h.Separator[0], func(s string) bool {
			if n < len(ids) {
				namedSlot(b, ids[n], h.Columns[n], model.String, s)
			}
			n++
			return n <= len(ids)
		})
		switch {
		case n != len(ids):
			b.Drop()
			b.Fail(offset, record, fmt.Sprintf("not the %d columns of the first line", len(ids)))
		case !m.matches(b):
			b.Drop()
			b.Fail(offset, record, "the mapping that knows the columns does not match the row")
		default:
			if err := m.emit(b, e); err != nil {
				b.Fail(offset, record, err.Error())
			}
		}
	}
}
