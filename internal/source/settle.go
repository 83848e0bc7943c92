package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strconv"

	"github.com/catena-sec/catena/internal/model"
)

// A settler is the sink of receivers that read from what keeps its evidence: queues
// and buckets. They can wait as long as it takes, and a batch that will never be
// taken must not stand in the way of those behind it.
type settler struct {
	name   string
	sink   Sink
	counts *Counters
	log    *slog.Logger
}

// take hands on b and counts it. It waits while the sink pushes back; a batch that the
// sink will never take is counted as refused. Its error is that of ctx.
func (s *settler) take(ctx context.Context, b model.Batch) error {
	n := bytes.Count(b.Data, []byte("\n"))
	if bytes.HasPrefix(b.Head, []byte("ElfFile\x00")) {
		n = countRecords(formatEVTX, b.Data)
	}
	err := deliver(ctx, s.sink, b, s.counts)
	switch {
	case err == nil:
		s.counts.Took(b, n)
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		s.counts.Refused(n, err)
		s.log.Error("evidence refused", "receiver", s.name, "peer", clip(b.Peer, 200), "records", n, "error", err)
	}
	return nil
}

// numbered gives each batch an id made of what identifies its source and its number,
// so that the queue knows one that is handed on again. name is of any length, and
// written by others.
func numbered(sink Sink, name string) Sink {
	sum := sha256.Sum256([]byte(name))
	prefix := hex.EncodeToString(sum[:16]) + "/"
	n := 0
	return func(ctx context.Context, b model.Batch) error {
		b.ID = prefix + strconv.Itoa(n)
		n++
		return sink(ctx, b)
	}
}

// addMessage appends the records of one message of a queue: one object or one line,
// mostly; several objects, an array of them, or several lines otherwise.
func addMessage(ctx context.Context, p *packer, value []byte, refused func(cause error)) error {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return nil
	}
	lines := bytes.IndexByte(value, '\n') >= 0
	if value[0] == '[' && beginsArray(value[1:]) || value[0] == '{' && lines {
		return addObjects(ctx, p, value, refused)
	}
	for line := range bytes.Lines(value) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) > p.limits.Record:
			refused(&recordError{0, "more than " + strconv.Itoa(p.limits.Record) + " bytes"})
		case len(line) > 0:
			if err := p.add(ctx, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func addObjects(ctx context.Context, p *packer, value []byte, refused func(cause error)) error {
	j := &jsonReader{r: bufio.NewReader(bytes.NewReader(value)), max: p.limits.Record}
	for {
		object, err := j.next()
		var bad *recordError
		switch {
		case errors.As(err, &bad):
			refused(bad)
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			refused(err)
			return nil
		}
		if err := p.add(ctx, object); err != nil {
			return err
		}
	}
}
