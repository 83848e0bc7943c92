package store

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// A Row is one event at rest.
type Row struct {
	Seq       int64  // running number, given by Append from 1 on
	Position  uint64 // of its batch in the stream
	Time      time.Time
	Received  time.Time
	ID        string // e-...
	Source    string // name of the receiver
	Format    string
	Host      string
	Code      string
	Product   string
	Category  string
	Service   string
	Subsystem string
	Entities  []string // each "type:value"
	// Raw is the record. It is searched as text, so of formats that are none (evtx) it is
	// best the record as JSON.
	Raw []byte
}

// Bounds of a row. What is longer is cut, what is more left out.
const (
	maxRaw      = 16 << 20
	maxRowText  = 4 << 10 // bytes of every other text
	maxRowThing = 1_000   // entities
)

// text are the short texts of a row, in the order in which they are written.
func (r *Row) text() [9]*string {
	return [9]*string{&r.ID, &r.Source, &r.Format, &r.Host, &r.Code, &r.Product, &r.Category, &r.Service, &r.Subsystem}
}

// appendRow encodes a row but for its number: times and position as varints, texts with
// their length before them.
func appendRow(b []byte, r *Row) []byte {
	b = binary.AppendVarint(b, clampMicro(r.Time))
	b = binary.AppendVarint(b, clampMicro(r.Received))
	b = binary.AppendUvarint(b, r.Position)
	for _, s := range r.text() {
		b = appendText(b, *s)
	}
	things := r.Entities[:min(len(r.Entities), maxRowThing)]
	b = binary.AppendUvarint(b, uint64(len(things)))
	for _, e := range things {
		b = appendText(b, e)
	}
	raw := r.Raw[:min(len(r.Raw), maxRaw)]
	b = binary.AppendUvarint(b, uint64(len(raw)))
	return append(b, raw...)
}

func appendText(b []byte, s string) []byte {
	if len(s) > maxRowText {
		s = s[:maxRowText]
	}
	if !utf8.ValidString(s) { // Parquet's strings are UTF-8
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

var errRow = errors.New("a row is cut off or too long")

// readRow decodes a row and returns what follows it. Texts share memory with b.
func readRow(b []byte, r *Row) ([]byte, error) {
	at, n := binary.Varint(b)
	if n <= 0 {
		return nil, errRow
	}
	b = b[n:]
	received, n := binary.Varint(b)
	if n <= 0 {
		return nil, errRow
	}
	b = b[n:]
	position, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errRow
	}
	b = b[n:]
	*r = Row{Position: position, Time: time.UnixMicro(at).UTC(), Received: time.UnixMicro(received).UTC()}
	var err error
	for _, s := range r.text() {
		var t []byte
		if t, b, err = readText(b, 3*maxRowText); err != nil {
			return nil, err
		}
		*s = string(t)
	}
	things, n := binary.Uvarint(b)
	if n <= 0 || things > maxRowThing {
		return nil, errRow
	}
	b = b[n:]
	for range things {
		var t []byte
		if t, b, err = readText(b, 3*maxRowText); err != nil {
			return nil, err
		}
		r.Entities = append(r.Entities, string(t))
	}
	r.Raw, b, err = readText(b, maxRaw)
	return b, err
}

func readText(b []byte, most uint64) (text, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > most || n > uint64(len(b)-k) {
		return nil, nil, errRow
	}
	b = b[k:]
	return b[:n:n], b[n:], nil
}

// skipRow returns the time of a row in microseconds, and how long it is.
func skipRow(b []byte) (at int64, size int, err error) {
	rest := b
	at, n := binary.Varint(rest)
	if n <= 0 {
		return 0, 0, errRow
	}
	rest = rest[n:]
	for range 2 { // received and position
		if _, n = binary.Uvarint(rest); n <= 0 {
			return 0, 0, errRow
		}
		rest = rest[n:]
	}
	skip := func(times uint64) {
		for range times {
			if err == nil {
				_, rest, err = readText(rest, maxRaw)
			}
		}
	}
	skip(9) // see text
	if err != nil {
		return 0, 0, err
	}
	things, n := binary.Uvarint(rest)
	if n <= 0 || things > maxRowThing {
		return 0, 0, errRow
	}
	rest = rest[n:]
	skip(things + 1) // and the record
	return at, len(b) - len(rest), err
}

// A place is where an event stands in the order of searches: by time, and those of one
// time by number.
type place struct{ time, seq int64 }

func (p place) less(o place) bool { return p.time < o.time || p.time == o.time && p.seq < o.seq }

// noPlace comes after every event.
func noPlace() place { return place{math.MaxInt64, math.MaxInt64} }
