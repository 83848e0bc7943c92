package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// A textStream cuts text that is no JSON, or a Windows event log, into batches of
// whole records. Where it cuts depends on the bytes alone, not on how they come.
type textStream struct {
	r       io.Reader
	p       *packer // whose base, limits and sink batches are made with
	format  Format
	refused func(record int64, cause string)

	kind  string // the format, once known
	head  []byte
	begun bool // what stands before the records was read
	buf   []byte
	n     int64 // records, as far as they are lines
}

// run hands on all of r. An error is that of r or, as a *sinkError, of the sink.
func (t *textStream) run(ctx context.Context) error {
	target := t.p.limits.BatchBytes
	if t.kind == "" {
		t.kind = t.p.base.Format
	}
	skipping := false
	for {
		want := target
		for len(t.buf) >= want {
			want *= 2
		}
		read, err := fillTo(t.r, t.buf, want)
		t.buf = read
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if !t.begun {
			if t.kind == "" {
				t.kind = t.format.of(t.buf[:min(len(t.buf), HeadLen)])
			}
			if n, ok := headLen(t.kind, t.buf); ok || end {
				t.head, t.buf = bytes.Clone(t.buf[:n]), t.buf[n:]
				t.begun = true
			}
		}
		if skipping {
			i := bytes.IndexByte(t.buf, '\n')
			if i >= 0 {
				skipping = false
			}
			t.buf = t.buf[:copy(t.buf, t.buf[i+1:])]
			if skipping {
				t.buf = t.buf[:0]
			}
		}
		cut := cutRecords(t.kind, t.buf, end)
		if end {
			cut = len(t.buf)
		}
		switch {
		case cut > 0:
			data := t.buf[:cut:cut]
			t.buf = append(make([]byte, 0, max(target, 2*(len(t.buf)-cut))), t.buf[cut:]...)
			if err := t.hand(ctx, data); err != nil {
				return err
			}
		case len(t.buf) > t.p.limits.Record:
			t.n++
			t.refused(t.n, fmt.Sprintf("a record of more than %d bytes", t.p.limits.Record))
			t.buf, skipping = t.buf[:0], true
		}
		if end {
			return nil
		}
	}
}

// hand hands on whole records, a batch for each head among them.
func (t *textStream) hand(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		at, n, names := newHead(t.kind, data)
		if err := t.send(ctx, data[:at]); err != nil {
			return err
		}
		if names && n <= maxHead {
			t.head = bytes.Clone(data[at : at+n])
		}
		data = data[at+n:]
	}
	return nil
}

func (t *textStream) send(ctx context.Context, data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if data[len(data)-1] != '\n' && t.kind != formatEVTX {
		data = append(data[:len(data):len(data)], '\n')
	}
	records := countRecords(t.kind, data)
	t.n += int64(records)
	return t.p.hand(ctx, t.head, data, records)
}

// countRecords returns how many records data holds, as far as lines or chunks tell.
func countRecords(format string, data []byte) int {
	switch format {
	case formatEVTX:
		return (len(data) + evtxChunk - 1) / evtxChunk
	case formatXML:
		return max(1, bytes.Count(data, []byte("</Event>")))
	}
	return bytes.Count(data, []byte("\n"))
}

// fillTo reads r until buf has n bytes, or until it ends with an error.
func fillTo(r io.Reader, buf []byte, n int) ([]byte, error) {
	for idle := 0; len(buf) < n; {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(n, max(2*cap(buf), 4<<10))), buf...)
		}
		got, err := r.Read(buf[len(buf):min(n, cap(buf))])
		buf = buf[:len(buf)+got]
		switch {
		case err != nil:
			return buf, err
		case got > 0:
			idle = 0
		default:
			if idle++; idle > 100 {
				return buf, io.ErrNoProgress
			}
		}
	}
	return buf, nil
}
