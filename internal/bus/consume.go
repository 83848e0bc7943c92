package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Delivery is one message of the stream.
type Delivery struct {
	Position uint64
	Stored   time.Time // when the queue took it, by the wall clock of its server
	Message
	// Err says why the frame could not be read, nil if it could. Body is then the whole
	// frame, Kind 0: it was written by another program or damaged, and is for the dead
	// letters.
	Err error
}

// A GapError says that messages are missing: they aged out, were purged, or the
// disk lost them. To go on without them, consume from Have.
type GapError struct {
	Tenant     string
	Want, Have uint64 // positions: where what is missing begins, and where what there is goes on
}

func (e *GapError) Error() string {
	return fmt.Sprintf("tenant %s: the queue has lost the messages from position %d up to %d: what its senders still keep can be sent again", e.Tenant, e.Want, e.Have)
}

// A RewindError says that the stream ends before the position that a consumer has
// already: its newest messages were lost, or it was made anew. Advance makes the
// numbers go on.
type RewindError struct {
	Tenant     string
	Want, Last uint64 // the position asked for, and that at which the stream ends
}

func (e *RewindError) Error() string {
	return fmt.Sprintf("tenant %s: the queue ends at position %d, before position %d that was read from it: its newest messages were lost or it was made anew", e.Tenant, e.Last, e.Want)
}

// Window is how many frames a message's ID is remembered for.
const Window = 4096

const (
	pullMessages = 256
	pullBytes    = 2 * maxFrame // at least the largest frame, or it would never come
)

// Consume calls fn with every message of the tenant at or after position from, in the
// order of the stream, each once, and waits for more until ctx ends; 0 means from the
// first there is. It returns fn's error, ctx's, a *GapError, a *RewindError, or one of
// the errors of this package; while the queue cannot be reached it waits. The memory
// of a delivery belongs to fn.
func (b *Bus) Consume(ctx context.Context, tenant string, from uint64, fn func(Delivery) error) error {
	if !tenantID.MatchString(tenant) {
		return ErrTenant
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	c := &consumer{bus: b, tenant: tenant, from: from, fn: fn, seen: newWindow()}
	err := c.run(ctx)
	if b.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return &Error{Kind: ErrClosed, Tenant: tenant, After: time.Second}
	}
	return err
}

type consumer struct {
	bus    *Bus
	tenant string
	from   uint64 // positions below are for the window only
	next   uint64 // sequence of the frame that must come now, 0 before the first
	fn     func(Delivery) error
	seen   *window
}

// errAgain means that the subscription is no good any more, and another is.
var errAgain = errors.New("subscription lost")

// A refusal is an error of fn, which may be any.
type refusal struct{ error }

func (c *consumer) deliver(d Delivery) error {
	if err := c.fn(d); err != nil {
		return &refusal{err}
	}
	return nil
}

func (c *consumer) run(ctx context.Context) error {
	missing := 0
	var refused *refusal
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		before := c.next
		err := c.session(ctx, 50*wait)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused):
			return refused.error
		case errors.Is(err, ErrNoStream):
			// A cluster that has just started may not have loaded it yet.
			if missing++; missing > 5 {
				return err
			}
		case !errors.Is(err, errAgain) && !errors.Is(err, ErrUnavailable):
			return err
		default:
			c.bus.log.Info("queue is read again from where it was", "tenant", c.tenant, "frame", c.next, "cause", err)
		}
		if c.next > before {
			wait, missing = 20*time.Millisecond, 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// session reads with one subscription, until that is lost. It is given up when it does
// not start within patience: a cluster does not answer each request.
func (c *consumer) session(ctx context.Context, patience time.Duration) error {
	start, cancel := context.WithTimeout(ctx, min(patience, 10*time.Second))
	defer cancel()
	s, err := c.stream(start)
	if err != nil {
		return err
	}
	info, err := s.Info(start)
	if err != nil {
		return c.bus.failed(c.tenant, err)
	}
	if err := c.place(&info.State); err != nil {
		return err
	}
	sub, err := s.CreateConsumer(start, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       c.next,
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return c.bus.failed(c.tenant, err)
	}
	defer func() {
		gone, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.DeleteConsumer(gone, sub.CachedInfo().Name) // else it goes by InactiveThreshold
	}()
	it, err := sub.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(time.Second), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return c.bus.failed(c.tenant, err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrTimeout):
			continue
		case err != nil:
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		switch seq := meta.Sequence.Stream; {
		case seq < c.next: // sent again
			continue
		case seq > c.next:
			if err := c.lost(ctx, s, seq); err != nil {
				return err
			}
		}
		if err := c.frame(meta.Sequence.Stream, meta.Timestamp, m.Data()); err != nil {
			return err
		}
		c.next = meta.Sequence.Stream + 1
	}
}

// stream makes the stream if need be, but not one that was there before.
func (c *consumer) stream(ctx context.Context) (jetstream.Stream, error) {
	if c.next == 0 {
		return c.bus.stream(ctx, c.tenant)
	}
	s, err := c.bus.js.Stream(ctx, streamName(c.tenant))
	return s, c.bus.failed(c.tenant, err)
}

// place finds with what frame to begin or go on, and whether the stream still has
// what is wanted. It is asked again with each subscription, because the stream may
// have lost its end meanwhile.
func (c *consumer) place(s *jetstream.StreamState) error {
	first, last := max(s.FirstSeq, 1), s.LastSeq
	want := Frame(c.from)
	if c.next > want {
		want = c.next
	}
	switch {
	case c.from == 0 && c.next == 0:
		want, c.next = first, first
	case want > last+1:
		return &RewindError{c.tenant, max(c.from, frameStart(want)), frameEnd(last)}
	case want < first:
		return &GapError{c.tenant, max(c.from, frameStart(want)), frameStart(first)}
	}
	if c.next == 0 {
		c.next = max(first, want-min(want, Window)) // the window before the start
	}
	return nil
}

// lost is called when a frame comes before its turn: it tells whether those between
// are gone or only were not delivered.
func (c *consumer) lost(ctx context.Context, s jetstream.Stream, seq uint64) error {
	ctx, cancel := ask(ctx)
	defer cancel()
	_, err := s.GetMsg(ctx, c.next)
	switch {
	case err == nil:
		return fmt.Errorf("%w: frame %d came instead of %d", errAgain, seq, c.next)
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return c.bus.failed(c.tenant, err)
	case seq <= Frame(c.from):
		return nil // only the window misses it
	}
	return &GapError{c.tenant, max(c.from, frameStart(c.next)), frameStart(seq)}
}

// frame hands on the messages of one frame.
func (c *consumer) frame(seq uint64, stored time.Time, data []byte) error {
	ms, err := readFrame(data)
	if err != nil {
		if d := (Delivery{Position: frameEnd(seq), Stored: stored, Message: Message{Body: data}, Err: err}); d.Position >= c.from {
			return c.deliver(d)
		}
		return nil
	}
	c.seen.begin(seq)
	for i, m := range ms {
		pos := position(seq, i, len(ms))
		if c.seen.add(m.ID) || pos < c.from {
			continue
		}
		if m.ID[0] == madeIDMark {
			m.ID = ""
		}
		if err := c.deliver(Delivery{Position: pos, Stored: stored, Message: m}); err != nil {
			return err
		}
	}
	return nil
}

// A window remembers the ids of the last Window frames. That a message was a
// duplicate itself does not matter for those after it: so what is one depends on the
// frames within the window alone.
type window struct {
	last  map[hash]uint64 // the newest frame that an id was in
	ring  [Window][]hash  // ids of a frame, at its sequence modulo Window
	frame uint64
}

type hash [16]byte

func newWindow() *window { return &window{last: map[hash]uint64{}} }

// begin forgets what is no more within the window of frame seq. Sequences only grow.
func (w *window) begin(seq uint64) {
	from := w.frame + 1
	if seq-w.frame > Window {
		from = seq - Window + 1
	}
	for s := from; s <= seq; s++ {
		old := w.ring[s%Window]
		for _, h := range old {
			if f, ok := w.last[h]; ok && f+Window <= s {
				delete(w.last, h)
			}
		}
		w.ring[s%Window] = old[:0]
	}
	w.frame = seq
}

// add remembers an id, and tells whether it was there.
func (w *window) add(id string) bool {
	sum := sha256.Sum256([]byte(id))
	h := hash(sum[:16])
	_, was := w.last[h]
	w.last[h] = w.frame
	i := w.frame % Window
	w.ring[i] = append(w.ring[i], h)
	return was
}
