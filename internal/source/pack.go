package source

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A packer gathers records, one a line, into batches of one tenant, source and
// peer, and hands on each that is full. Where batches are cut depends on the
// records alone, so that a sender that sends the same again makes equal batches,
// which the queue knows again.
type packer struct {
	sink    Sink
	limits  Limits
	counts  *Counters
	now     func() time.Time
	base    model.Batch // all but Received and Data
	id      string      // what the batches' IDs begin with; empty if the sender gave none
	batches int         // so far
	data    []byte
	records int
	taken   int64 // records that sink took
}

// A sinkError is the error of a sink, told from those of reading.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// add appends a record; its line ends become spaces, so that nobody writes a line
// of his own into a log that is kept by lines.
func (p *packer) add(ctx context.Context, record []byte) error {
	if len(p.data) > 0 && len(p.data)+len(record)+1 > p.limits.BatchBytes {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	if p.data == nil {
		p.data = make([]byte, 0, len(record)+1+len(record)/8)
	}
	at := len(p.data)
	p.data = append(p.data, record...)
	if added := p.data[at:]; bytes.IndexByte(added, '\n') >= 0 {
		for i, c := range added {
			if c == '\n' || c == '\r' {
				added[i] = ' '
			}
		}
	}
	p.data = append(p.data, '\n')
	p.records++
	if p.records >= p.limits.BatchRecords || len(p.data) >= p.limits.BatchBytes {
		return p.flush(ctx)
	}
	return nil
}

// flush hands on what was gathered. Whatever comes of it, the packer is empty then.
// Its error, and that of hand and add, is a *sinkError.
func (p *packer) flush(ctx context.Context) error {
	if p.records == 0 {
		return nil
	}
	data, n := p.data, p.records
	p.data, p.records = nil, 0
	return p.hand(ctx, nil, data, n)
}

// hand hands on records that are a batch already.
func (p *packer) hand(ctx context.Context, head, data []byte, records int) error {
	b := p.base
	b.Received, b.Head, b.Data = p.now(), head, data
	if p.id != "" {
		b.ID = p.id + "-" + strconv.Itoa(p.batches)
	}
	p.batches++
	if err := p.sink(ctx, b); err != nil {
		return &sinkError{err}
	}
	p.taken += int64(records)
	p.counts.Took(b, records)
	return nil
}
