package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of streams of changes.
const (
	maxStreams    = 512              // at once, of all
	maxStreamsOne = 8                // of one account or token
	heartbeat     = 15 * time.Second // between signs of life
	writeWithin   = 10 * time.Second // a client that takes nothing for so long is let go
	streamLife    = time.Hour        // after which a client comes again, with its rights of then
)

// An eventWriter writes server-sent events, each one flushed.
type eventWriter struct {
	w  io.Writer
	rc *http.ResponseController
}

// send writes one event; an id of 0 is none.
func (e *eventWriter) send(id int64, event string, data any) error {
	b, err := json.Marshal(data) // has no line breaks
	if err != nil {
		return err
	}
	out := make([]byte, 0, len(b)+64)
	if id > 0 {
		out = fmt.Appendf(out, "id: %d\n", id)
	}
	out = fmt.Appendf(out, "event: %s\ndata: %s\n\n", event, b)
	return e.write(out)
}

// comment writes what clients ignore and what keeps the connection in use.
func (e *eventWriter) comment(text string) error { return e.write([]byte(": " + text + "\n\n")) }

func (e *eventWriter) write(b []byte) error {
	if err := e.rc.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return e.rc.Flush()
}

// pump sends what next returns until the context ends, the stream is old or the client
// takes no more. next waits for what comes after a number, no longer than its context.
func (e *eventWriter) pump(ctx context.Context, every time.Duration, next func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, streamLife)
	defer cancel()
	for ctx.Err() == nil {
		wait, stop := context.WithTimeout(ctx, every)
		err := next(wait)
		idle := wait.Err() != nil
		stop()
		switch {
		case err != nil && !idle:
			return err
		case ctx.Err() != nil:
		case idle:
			if err := e.comment("still here"); err != nil {
				return err
			}
		}
	}
	return nil
}
