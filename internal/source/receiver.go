package source

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Sink takes a batch and returns nil only once it is on disk: a receiver tells
// its sender so, moves its cursor, or commits its offset, after that and not
// before. The batch and its bytes belong to the sink from the call on, whatever it
// returns; a receiver that tries again hands on equal bytes in other memory, or the
// same that nobody changes.
//
// A Sink is called by many goroutines at once and may block while it waits for
// others to share a write. An error that may pass says so as PushBack does; any
// other means that this batch will never be taken.
type Sink func(ctx context.Context, b model.Batch) error

// A Receiver is where evidence comes from while the engine runs: a listener, a
// folder that is followed, a consumer of a queue.
//
// Run receives until ctx ends, then returns nil once what it began is handed on or
// left to its sender; any other return is an error that says what to do next. What
// fails for one peer, file or record is counted and logged, and the rest goes on.
// It is called once.
type Receiver interface {
	// Name is the receiver's name in the configuration: Batch.Source.
	Name() string
	Run(ctx context.Context, sink Sink) error
	// Stats may be called at any time, by any goroutine.
	Stats() Stats
}

// PushBack is an error of a Sink that passes: the queue is full, or has no quorum.
// A receiver hands it on in the words of its protocol (429, RESOURCE_EXHAUSTED, a
// socket that is not read) so that the sender keeps what it has and comes back.
type PushBack interface {
	error
	// Temporary says whether the same batch may be taken later.
	Temporary() bool
	// RetryAfter is when to come back; 0 leaves it to the receiver.
	RetryAfter() time.Duration
}

// Later returns err as a PushBack. RetryAfter may be 0.
func Later(err error, after time.Duration) error { return &later{err, after} }

type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error             { return l.error }
func (l *later) Temporary() bool           { return true }
func (l *later) RetryAfter() time.Duration { return l.after }

// Bounds of what a sender is told to wait for.
const (
	retryAtLeast = time.Second
	retryAtMost  = time.Minute
)

// pushedBack tells whether a sink's error passes, and when to come back. The end
// of a context is one that passes: the sender finds the next process.
func pushedBack(err error) (after time.Duration, ok bool) {
	var p PushBack
	switch {
	case err == nil:
		return 0, false
	case errors.As(err, &p) && p.Temporary():
		return min(max(p.RetryAfter(), retryAtLeast), retryAtMost), true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return retryAtLeast, true
	}
	return 0, false
}

// deliver hands b to sink until it is taken, as receivers do that can wait: those
// of files and queues. It returns the error of a batch that will never be taken,
// or that of ctx.
func deliver(ctx context.Context, sink Sink, b model.Batch, c *Counters) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := sink(ctx, b)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, ok := pushedBack(err); !ok {
			return err
		}
		c.PushedBack(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Limits bound what one receiver takes; zero values mean the defaults.
type Limits struct {
	// Body is how many bytes one request may have as sent, and Unpacked how many
	// once decompressed. Defaults 64 MiB and 512 MiB; a request is read as a stream,
	// so neither is held in memory.
	Body, Unpacked int64
	// Ratio is how many times its size a request may unpack to, once that is more
	// than 1 MiB. Default 200: repetitive logs reach 100.
	Ratio int64
	// Record is how many bytes one record (a line, an object) may have. Default
	// 4 MiB, never more than MaxBatch.
	Record int
	// BatchBytes and BatchRecords are at how many bytes or records a batch is
	// handed on; one with a single large record is larger. Defaults 1 MiB and 10,000.
	BatchBytes, BatchRecords int
	// BatchDelay is how long a batch waits for more where records come one by one.
	// Default 100 ms.
	BatchDelay time.Duration
	// Connections is how many may be open at once, and PeerConnections how many of
	// one address. Defaults 1024 and 128.
	Connections, PeerConnections int
	// Idle is how long a connection may say nothing, and Slow how long one request or
	// record may take from its first byte to its last. Defaults 10 min and 2 min.
	Idle, Slow time.Duration
	// Requests is how many requests are read at once: each may hold a batch in
	// memory. Default 64.
	Requests int
}

// MaxBatch is how many bytes Batch.Head and Batch.Data have at most together: what
// a message of the queue has room for.
const MaxBatch = 8 << 20

// WithDefaults returns l with its zero values filled in, and bounded.
func (l Limits) WithDefaults() Limits {
	orDefault(&l.Body, 64<<20)
	orDefault(&l.Unpacked, 512<<20)
	orDefault(&l.Ratio, 200)
	orDefault(&l.Record, 4<<20)
	orDefault(&l.BatchBytes, 1<<20)
	orDefault(&l.BatchRecords, 10_000)
	orDefault(&l.BatchDelay, 100*time.Millisecond)
	orDefault(&l.Connections, 1024)
	orDefault(&l.PeerConnections, 128)
	orDefault(&l.Idle, 10*time.Minute)
	orDefault(&l.Slow, 2*time.Minute)
	orDefault(&l.Requests, 64)
	// A batch holds what is short of BatchBytes, one more record, and a head.
	l.Record = min(l.Record, MaxBatch/2)
	l.BatchBytes = min(l.BatchBytes, MaxBatch/4)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Stats are what one receiver counted since it was made.
type Stats struct {
	Records int64 // taken: on disk
	Bytes   int64 // of those, unpacked
	Batches int64
	// Refused are records or requests that will never be taken and whose sender was
	// told so: too large, damaged, without a right token.
	Refused int64
	// Dropped are records that were lost without a word to the sender, as UDP has
	// none: no room left, or the sink did not take them.
	Dropped int64
	// PushedBack counts how often a sender was told, or made, to wait.
	PushedBack  int64
	Connections int64     // open now
	LastSeen    time.Time // when a batch was last taken; zero if never
	LastError   string    // the newest of what was refused, dropped or pushed back, with its cause
	Peers       []PeerStats
}

// PeerStats are what one sender sent, newest sender first in Stats.Peers. Only the
// maxPeers that were seen last are kept.
type PeerStats struct {
	Peer           string
	Records, Bytes int64
	LastSeen       time.Time
}

// maxPeers bounds the senders remembered by one receiver.
const maxPeers = 1024

// Counters count for one receiver; embedded in it, they are its Stats. The zero
// value is ready, and all methods may be called by many goroutines.
type Counters struct {
	records, bytes, batches, refused, dropped, pushedBack, connections atomic.Int64

	mu        sync.Mutex
	lastSeen  time.Time
	lastError string
	peers     map[string]*PeerStats
}

// Took counts a batch of so many records that the sink took.
func (c *Counters) Took(b model.Batch, records int) {
	n := int64(len(b.Data))
	c.records.Add(int64(records))
	c.bytes.Add(n)
	c.batches.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.Received.After(c.lastSeen) {
		c.lastSeen = b.Received
	}
	p := c.peers[b.Peer]
	if p == nil {
		if c.peers == nil {
			c.peers = map[string]*PeerStats{}
		}
		if len(c.peers) >= maxPeers {
			c.forget()
		}
		p = &PeerStats{Peer: b.Peer}
		c.peers[b.Peer] = p
	}
	p.Records += int64(records)
	p.Bytes += n
	p.LastSeen = b.Received
}

// forget drops the older half of the peers, so that its cost is shared by as many
// new ones.
func (c *Counters) forget() {
	all := slices.SortedFunc(maps.Values(c.peers), oldestFirst)
	for _, p := range all[:len(all)/2] {
		delete(c.peers, p.Peer)
	}
}

func oldestFirst(a, b *PeerStats) int {
	return cmp.Or(a.LastSeen.Compare(b.LastSeen), cmp.Compare(a.Peer, b.Peer))
}

// Refused counts n records or requests that the sender was told will not be taken.
func (c *Counters) Refused(n int, cause error) { c.refused.Add(int64(n)); c.note(cause) }

// Dropped counts n records that are lost.
func (c *Counters) Dropped(n int, cause error) { c.dropped.Add(int64(n)); c.note(cause) }

// PushedBack counts a sender that was made to wait.
func (c *Counters) PushedBack(cause error) { c.pushedBack.Add(1); c.note(cause) }

// maxCause bounds the text of an error that is kept, in bytes.
const maxCause = 500

func (c *Counters) note(cause error) {
	if cause == nil {
		return
	}
	text := cause.Error()
	if len(text) > maxCause {
		text = text[:maxCause]
	}
	text = clean(text)
	c.mu.Lock()
	c.lastError = text
	c.mu.Unlock()
}

// Connected counts a connection that was opened (1) or closed (-1).
func (c *Counters) Connected(n int) { c.connections.Add(int64(n)) }

// Stats returns the counts so far.
func (c *Counters) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Records: c.records.Load(), Bytes: c.bytes.Load(), Batches: c.batches.Load(),
		Refused: c.refused.Load(), Dropped: c.dropped.Load(), PushedBack: c.pushedBack.Load(),
		Connections: c.connections.Load(), LastSeen: c.lastSeen, LastError: c.lastError,
	}
	all := slices.SortedFunc(maps.Values(c.peers), oldestFirst)
	for i := range all {
		s.Peers = append(s.Peers, *all[len(all)-1-i])
	}
	return s
}
