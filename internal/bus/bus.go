// Package bus is the durable queue between receivers and engines: one stream a
// tenant, in NATS JetStream, which runs inside this process or is a cluster given
// by URL. The code above the connection is the same for both.
//
// # What is promised
//
// Publish returns nil when the message is on disk (on a quorum of disks in a
// cluster), and not before. Messages of many publishers share one write: a frame,
// which is one message of JetStream.
//
// Consume hands on every message from a position on, in the order of the stream,
// each once. What is missing is told as an error, and never skipped silently.
//
// # Positions
//
// A position names one message of a tenant: the sequence of its frame in the stream,
// shifted left by 16, plus its place in the frame, counted so that the last has 65535.
// It fits a signed 64-bit integer and grows with every message, not always by one. No
// message has position 0. To go on after a position is to consume from the next number.
//
// # Duplicates
//
// A message carries an ID, given by its publisher or made here. Consume drops a
// message whose ID was in one of the Window frames before it. That depends on the
// stream alone, and not on where a consumer starts, because consumers read the
// window before their start and Purge leaves it standing.
package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options of Open. Either Dir or URL is set.
type Options struct {
	// Dir is the folder of the embedded queue. One process uses it at a time.
	Dir string
	// NoSync leaves it to the operating system when the embedded queue reaches the
	// disk. A crash of the machine then loses what was acknowledged; a crash of the
	// process does not.
	NoSync bool
	// MinFree is how many bytes the disk under Dir keeps free: below that, publishing
	// fails with ErrFull. A JetStream that meets a full disk stops, so it is kept from
	// meeting one. Default 256 MiB.
	MinFree int64

	// URL names the servers of a cluster, separated by commas. Their own configuration
	// decides when they sync, and how large a message may be: as embedded they behave
	// with "sync_interval: always" in their jetstream block and "max_payload: 16MB".
	URL string
	// Credentials is the path of a .creds file of the cluster's accounts.
	Credentials string
	// TLS is how to reach the cluster, nil for what the URL says.
	TLS *tls.Config
	// Replicas of each stream. Default 1 embedded or with a single server, 3 in a cluster.
	Replicas int

	// MaxBytes bounds the stream of one tenant; when it is reached, publishing fails
	// with ErrFull until Purge makes room. Default 8 GiB.
	MaxBytes int64
	// MaxAge is after what time messages go although no one purged them, 0 for never.
	// A consumer that had not read them is told of the gap. It goes by the wall clock
	// of the server: a clock that jumps ahead takes messages with it.
	MaxAge time.Duration
	// Patience is how long Publish tries where there is no answer or no quorum, before
	// it fails with ErrUnavailable. Default 15 s.
	Patience time.Duration
	// Lease is after what silence of its holder a lease passes on (see Lead). Default 10 s.
	Lease time.Duration

	// Log may be nil.
	Log *slog.Logger
}

// Errors that a caller tells apart with errors.Is. Those of ErrFull, ErrUnavailable
// and ErrClosed are temporary: they are of type *Error, which says so.
var (
	// ErrFull means that the stream or the disk has no room: nothing was stored.
	ErrFull = errors.New("the queue is full")
	// ErrUnavailable means no answer or no quorum. The message may have been stored.
	ErrUnavailable = errors.New("the queue is not available")
	// ErrClosed means that this Bus was closed.
	ErrClosed = errors.New("the queue is closed")
	// ErrTooLarge means that a message is larger than any frame may be.
	ErrTooLarge = errors.New("the message is too large for the queue")
	// ErrTenant means that a tenant's id is none.
	ErrTenant = errors.New("a tenant id has 1 to 40 characters of a-z, 0-9 and -, and does not begin with -")
	// ErrNoStream means that a tenant has no stream: it was deleted.
	ErrNoStream = errors.New("the tenant has no stream")
)

// An Error is one that passes. It is a source.PushBack.
type Error struct {
	Kind   error // ErrFull, ErrUnavailable or ErrClosed
	Tenant string
	Cause  error // may be nil
	After  time.Duration
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Tenant != "" {
		fmt.Fprintf(&b, "tenant %s: ", e.Tenant)
	}
	b.WriteString(e.Kind.Error())
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap returns kind and cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Temporary says that the same message may be taken later.
func (e *Error) Temporary() bool { return true }

// RetryAfter is when to come back.
func (e *Error) RetryAfter() time.Duration { return e.After }

// A Bus is the queue. Its methods may be called by many goroutines.
type Bus struct {
	o      Options
	log    *slog.Logger
	server *embedded // nil with a cluster
	conn   *nats.Conn
	js     jetstream.JetStream

	nonce  string        // of this opening: no other ever makes the same ids
	frames atomic.Uint64 // made by this opening
	ids    atomic.Uint64

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	making sync.Mutex // one stream at a time: a cluster leaves one of two who make the same without an answer

	mu      sync.Mutex
	lanes   map[string]*lane
	streams map[string]jetstream.Stream
	leases  jetstream.KeyValue
}

// Open opens the queue. It waits for a cluster as long as ctx lets it, at most half
// a minute.
func Open(ctx context.Context, o Options) (*Bus, error) {
	if (o.Dir == "") == (o.URL == "") {
		return nil, errors.New("bus: give a folder or the URL of a cluster, one of them")
	}
	setDefault(&o.MinFree, 256<<20)
	setDefault(&o.MaxBytes, 8<<30)
	setDefault(&o.Patience, 15*time.Second)
	setDefault(&o.Lease, 10*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bus{o: o, log: o.Log, nonce: rand.Text(), lanes: map[string]*lane{}, streams: map[string]jetstream.Stream{}}
	if o.Dir != "" {
		var err error
		if b.server, err = startEmbedded(o, b.log); err != nil {
			return nil, fmt.Errorf("queue in %s: %w", o.Dir, err)
		}
	}
	if err := b.connect(ctx); err != nil {
		if b.server != nil {
			b.server.stop()
		}
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if b.server != nil {
		b.wg.Go(b.watchServer)
	}
	return b, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

func (b *Bus) connect(ctx context.Context) error {
	opts := []nats.Option{
		nats.Name("catena"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// What cannot be sent now fails now: a frame kept in the client would arrive
		// after its publisher was told that it did not.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Warn("queue connection", "error", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("queue disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { b.log.Info("queue reconnected", "server", c.ConnectedServerName()) }),
	}
	url := b.o.URL
	if b.server != nil {
		url = ""
		opts = append(opts, nats.InProcessServer(b.server))
	}
	if b.o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(b.o.Credentials))
	}
	if b.o.TLS != nil {
		opts = append(opts, nats.Secure(b.o.TLS))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := nats.Connect(url, opts...)
		if err == nil {
			b.conn = conn
			break
		}
		b.log.Warn("queue not reached yet", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the queue cannot be reached, check its address, its certificate and that it runs: %w", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
	var err error
	if b.js, err = jetstream.New(b.conn, jetstream.WithDefaultTimeout(5*time.Second)); err != nil {
		b.conn.Close()
		return err
	}
	if b.o.Replicas <= 0 {
		b.o.Replicas = 1
		if b.server == nil && b.conn.ConnectedClusterName() != "" {
			b.o.Replicas = 3
		}
	}
	if have := b.conn.MaxPayload(); have < maxFrame {
		b.log.Warn("the cluster takes smaller messages than a large batch may need: set max_payload to 16MB in its configuration", "max_payload", have)
	}
	return nil
}

// Close stops publishing and consuming, waits for what is under way, and closes the
// embedded queue. Publishers that wait are told ErrClosed.
func (b *Bus) Close() error {
	b.mu.Lock() // nothing starts after it
	b.cancel()
	b.mu.Unlock()
	b.wg.Wait()
	b.conn.Close()
	if b.server != nil {
		b.server.stop()
	}
	return nil
}

var tenantID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

const streamPrefix = "CATENA_"

func streamName(tenant string) string { return streamPrefix + tenant }
func subject(tenant string) string    { return "catena.in." + tenant }

// stream returns the stream of a tenant, which it makes if there is none, and gives
// it this Bus's bounds.
func (b *Bus) stream(ctx context.Context, tenant string) (jetstream.Stream, error) {
	if !tenantID.MatchString(tenant) {
		return nil, ErrTenant
	}
	if s := b.known(tenant); s != nil {
		return s, nil
	}
	b.making.Lock()
	defer b.making.Unlock()
	if s := b.known(tenant); s != nil {
		return s, nil
	}
	ctx, cancel := ask(ctx)
	defer cancel()
	duplicates := 2 * time.Minute
	if b.o.MaxAge > 0 {
		duplicates = min(duplicates, b.o.MaxAge)
	}
	s, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        streamName(tenant),
		Description: "evidence of one tenant, as frames of catena",
		Subjects:    []string{subject(tenant)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew, // never what was acknowledged
		MaxBytes:    b.o.MaxBytes,
		MaxMsgs:     -1,
		MaxAge:      b.o.MaxAge,
		Replicas:    b.o.Replicas,
		Duplicates:  duplicates,
	})
	if err != nil {
		return nil, b.failed(tenant, err)
	}
	b.mu.Lock()
	b.streams[tenant] = s
	b.mu.Unlock()
	return s, nil
}

// ask bounds one request: a leader that dies takes its answer with it, and waiting
// longer brings nothing.
func ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 4*time.Second)
}

func (b *Bus) known(tenant string) jetstream.Stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.streams[tenant]
}

// forget makes the next call ask for the tenant's stream again.
func (b *Bus) forget(tenant string) {
	b.mu.Lock()
	delete(b.streams, tenant)
	b.mu.Unlock()
}

// Codes of JetStream's errors, as its API returns them.
const (
	codeInsufficientResources = 10023 // disk or account limit
	codeStorageExceeded       = 10047
	codeMsgTooLarge           = 10054
	codeStoreFailed           = 10077 // among others: the stream is at MaxBytes
)

// failed makes one of our errors of one of the client's.
func (b *Bus) failed(tenant string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case b.ctx != nil && b.ctx.Err() != nil, errors.Is(err, nats.ErrConnectionClosed):
		return &Error{Kind: ErrClosed, Tenant: tenant, After: time.Second}
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("tenant %s: %w: set max_payload to 16MB in the configuration of the cluster (it is %d bytes)", tenant, ErrTooLarge, b.conn.MaxPayload())
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("tenant %s: %w", tenant, ErrNoStream)
	case errors.As(err, &api):
		switch api.ErrorCode {
		case codeInsufficientResources, codeStorageExceeded:
			return &Error{ErrFull, tenant, fmt.Errorf("%s: free some disk space, or raise the limits of the queue", api.Description), 5 * time.Second}
		case codeStoreFailed:
			if strings.Contains(api.Description, "maximum bytes") {
				return &Error{ErrFull, tenant, errors.New("the engine is behind: it is emptied as the engine reads"), 5 * time.Second}
			}
		case codeMsgTooLarge:
			return fmt.Errorf("tenant %s: %w: %s", tenant, ErrTooLarge, api.Description)
		}
	}
	return &Error{ErrUnavailable, tenant, err, 2 * time.Second}
}

// watchServer starts the embedded server again when its JetStream has stopped itself,
// as it does when the disk refuses a write, once there is room.
func (b *Bus) watchServer() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		if b.server.healthy() || !b.server.roomy(0) {
			continue
		}
		b.log.Warn("the embedded queue had stopped itself and is started again", "folder", b.o.Dir)
		if err := b.server.restart(); err != nil {
			b.log.Error("the embedded queue does not start", "folder", b.o.Dir, "error", err)
		}
	}
}
