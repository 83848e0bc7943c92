package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A lane is where the publishers of one tenant meet. One frame is on its way at a
// time, and what comes meanwhile makes up the next: so the more there is to write,
// the more shares one write, and nobody waits for company when there is none. One
// frame at a time also means that one which is sent again cannot overtake another.
type lane struct {
	tenant string

	mu   sync.Mutex
	open *frame        // collects
	wake chan struct{} // of capacity 1
	down bool          // the last frame found nobody: only the goroutine of the lane uses it
}

// A frame is what publishers share.
type frame struct {
	data  []byte
	count int
	taken chan struct{} // closed when it collects no more
	done  chan struct{} // closed when seq or err is set
	seq   uint64
	err   error
}

func newFrame() *frame {
	return &frame{taken: make(chan struct{}), done: make(chan struct{})}
}

// Publish writes m to the tenant's stream and returns its position once it is on
// disk. It blocks while others' frames are written, which is how a slow disk slows
// its senders; if ctx ends meanwhile, the message may have been written or not. The
// memory of m may be used again after it returned.
//
// A tenant's first message makes its stream.
func (b *Bus) Publish(ctx context.Context, tenant string, m Message) (uint64, error) {
	switch {
	case !tenantID.MatchString(tenant):
		return 0, ErrTenant
	case len(m.Body) > MaxBody:
		return 0, fmt.Errorf("tenant %s: %w: %d bytes, at most %d", tenant, ErrTooLarge, len(m.Body), MaxBody)
	case len(m.ID) > MaxID, m.ID != "" && m.ID[0] == madeIDMark:
		return 0, fmt.Errorf("tenant %s: an id has at most %d bytes, of which the first is not 0", tenant, MaxID)
	}
	id := m.ID
	if id == "" {
		id = b.madeID()
	}
	l, err := b.lane(tenant)
	if err != nil {
		return 0, err
	}
	size := messageHead + len(id) + len(m.Body)
	for {
		l.mu.Lock()
		f := l.open
		if f.count == 0 || len(f.data)+size <= frameBytes && f.count < frameMessages {
			i := f.count
			f.data = appendMessage(f.data, &m, id)
			f.count++
			l.mu.Unlock()
			select {
			case l.wake <- struct{}{}:
			default:
			}
			return b.await(ctx, tenant, f, i)
		}
		l.mu.Unlock()
		select {
		case <-f.taken:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-b.ctx.Done():
			return 0, &Error{Kind: ErrClosed, Tenant: tenant, After: time.Second}
		}
	}
}

// await waits for frame f, in which a message is number i.
func (b *Bus) await(ctx context.Context, tenant string, f *frame, i int) (uint64, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("tenant %s: not known whether the message was written: %w", tenant, ctx.Err())
	}
	if f.err != nil {
		return 0, f.err
	}
	return position(f.seq, i, f.count), nil
}

// madeID is an id for a message that came without one. It is marked, so that it is
// never one of a publisher's.
func (b *Bus) madeID() string {
	id := make([]byte, 0, 1+len(b.nonce)+8)
	id = append(id, madeIDMark)
	id = append(id, b.nonce...)
	return string(binary.BigEndian.AppendUint64(id, b.ids.Add(1)))
}

// lane returns the lane of a tenant, and starts it.
func (b *Bus) lane(tenant string) (*lane, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, &Error{Kind: ErrClosed, Tenant: tenant, After: time.Second}
	}
	l := b.lanes[tenant]
	if l == nil {
		l = &lane{tenant: tenant, open: newFrame(), wake: make(chan struct{}, 1)}
		b.lanes[tenant] = l
		b.wg.Go(func() { b.runLane(l) })
	}
	return l, nil
}

// take returns what the lane collected, and begins anew.
func (l *lane) take() *frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.open
	if f.count == 0 {
		return nil
	}
	l.open = newFrame()
	close(f.taken)
	return f
}

// linger is how long a frame of a busy lane waits for more: without it a fast disk
// would be asked to sync thousands of times a second.
const linger = time.Millisecond

func (b *Bus) runLane(l *lane) {
	crowded := false // the last frame had several messages: there will be more
	for {
		select {
		case <-l.wake:
		case <-b.ctx.Done():
			if f := l.take(); f != nil {
				f.err = &Error{Kind: ErrClosed, Tenant: l.tenant, After: time.Second}
				close(f.done)
			}
			return
		}
		if crowded {
			time.Sleep(linger)
		}
		f := l.take()
		if f == nil {
			continue
		}
		crowded = f.count > 1
		f.seq, f.err = b.write(l, f)
		l.down = errors.Is(f.err, ErrUnavailable)
		close(f.done)
	}
}

// write sends a frame until JetStream says that it is stored. Each try has the same
// id, by which JetStream knows that it has it already; consumers know by the ids of
// the messages.
func (b *Bus) write(l *lane, f *frame) (uint64, error) {
	if b.server != nil && !b.server.roomy(len(f.data)) {
		return 0, &Error{ErrFull, l.tenant, fmt.Errorf("less than %d MiB are free on the disk of %s", b.o.MinFree>>20, b.o.Dir), 5 * time.Second}
	}
	patience := b.o.Patience
	if l.down {
		patience /= 5 // many publishers wait in turn for a queue that is gone
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	id := b.nonce + "-" + strconv.FormatUint(b.frames.Add(1), 36)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		// The first tries give up soon: an answer is lost with a leader that dies, and
		// to send again costs little.
		once, cancel := context.WithTimeout(ctx, 50*wait)
		seq, err := b.try(once, l.tenant, id, f.data)
		cancel()
		if err == nil {
			return seq, nil
		}
		// A queue without an answer is asked again. So is one that has no such stream:
		// it was deleted, and the next try makes it.
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrNoStream) {
			return 0, err
		}
		select {
		case <-ctx.Done():
			if b.ctx.Err() != nil {
				return 0, &Error{Kind: ErrClosed, Tenant: l.tenant, After: time.Second}
			}
			if b.server != nil && b.server.trouble() != nil {
				err = &Error{ErrUnavailable, l.tenant, b.server.trouble(), 2 * time.Second}
			}
			return 0, err
		case <-time.After(wait):
		}
	}
}

// try sends a frame once.
func (b *Bus) try(ctx context.Context, tenant, id string, data []byte) (uint64, error) {
	if _, err := b.stream(ctx, tenant); err != nil {
		return 0, err
	}
	ctx, cancel := ask(ctx)
	defer cancel()
	ack, err := b.js.Publish(ctx, subject(tenant), data,
		jetstream.WithMsgID(id), jetstream.WithExpectStream(streamName(tenant)), jetstream.WithRetryAttempts(0))
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		// No leader at the moment, or no such stream.
		if _, gone := b.js.Stream(ctx, streamName(tenant)); errors.Is(gone, jetstream.ErrStreamNotFound) {
			b.forget(tenant)
		}
		return 0, b.failed(tenant, err)
	case err != nil:
		return 0, b.failed(tenant, err)
	}
	return ack.Sequence, nil
}
