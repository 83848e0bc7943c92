package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/catena-sec/catena/internal/model"
)

// NATSOptions are those of a NATS. URLs and Subject are given.
type NATSOptions struct {
	Name, Tenant string
	URLs         []string
	Stream       string // of JetStream; empty for plain subjects
	Subject      string // such as logs.>
	Credentials  string // path of a .creds file
	TLS          *tls.Config
	Decoder      string // name of the decoder, empty to find out
	// AckWait is after what time the server hands on again what was not acknowledged.
	// Default 1 min.
	AckWait time.Duration
	Limits  Limits
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: none
}

// NATS takes messages from a NATS server of the user's. From a stream of JetStream it
// reads as a durable consumer and acknowledges what is on disk; several processes may
// share the work. Plain subjects know no acknowledgement: what comes while nobody
// listens, or faster than it is taken, is lost, and counted as far as the client knows.
type NATS struct {
	Counters
	o NATSOptions
}

// NewNATS returns a consumer of a subject, or why the options make none.
func NewNATS(o NATSOptions) (*NATS, error) {
	if len(o.URLs) == 0 || o.Subject == "" {
		return nil, fmt.Errorf("%s: a NATS receiver needs urls and a subject", o.Name)
	}
	orDefault(&o.AckWait, time.Minute)
	o.Limits = o.Limits.WithDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &NATS{o: o}, nil
}

// Name is the receiver's name in the configuration.
func (n *NATS) Name() string { return n.o.Name }

// consumerName is the durable consumer's, and the queue group's: names of both have no
// dots, blanks or wildcards.
func (n *NATS) consumerName() string {
	return "catena-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, n.o.Name)
}

// Bounds of what waits in the client.
const (
	natsPending      = 32 << 20
	natsPendingCount = 64 << 10
	natsGathered     = 1024 // messages a batch of a stream
)

// Run consumes until ctx ends.
func (n *NATS) Run(ctx context.Context, sink Sink) error {
	opts := []nats.Option{
		nats.Name("catena " + n.o.Name), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(time.Second), nats.PingInterval(20 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { n.trouble(err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				n.trouble(err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { n.trouble(err) }),
	}
	if n.o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(n.o.Credentials))
	}
	if n.o.TLS != nil {
		opts = append(opts, nats.Secure(n.o.TLS))
	}
	conn, err := nats.Connect(strings.Join(n.o.URLs, ","), opts...)
	if err != nil {
		return fmt.Errorf("%s: check urls, credentials and tls: %w", n.o.Name, err)
	}
	defer func() {
		_ = conn.FlushTimeout(time.Second) // what was acknowledged or given back is told before we go
		conn.Close()
	}()
	s := &settler{name: n.o.Name, sink: sink, counts: &n.Counters, log: n.o.Log}
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		began := time.Now()
		if n.o.Stream != "" {
			err = n.stream(ctx, conn, s)
		} else {
			err = n.plain(ctx, conn, s)
		}
		if ctx.Err() != nil {
			return nil
		}
		n.trouble(err)
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (n *NATS) trouble(err error) {
	n.note(err)
	n.o.Log.Warn("nats", "receiver", n.o.Name, "error", err)
}

func (n *NATS) packer(sink Sink, id string) *packer {
	return &packer{
		sink: numbered(sink, id), limits: n.o.Limits, counts: new(Counters), now: n.o.Now,
		base: model.Batch{Tenant: n.o.Tenant, Source: n.o.Name, Peer: clip(n.o.Subject, 300), Format: n.o.Decoder},
	}
}

// stream reads a stream of JetStream until ctx ends or the consumer is lost.
func (n *NATS) stream(ctx context.Context, conn *nats.Conn, s *settler) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	consumer, err := js.CreateOrUpdateConsumer(ask, n.o.Stream, jetstream.ConsumerConfig{
		Durable: n.consumerName(), FilterSubject: n.o.Subject,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: n.o.AckWait, MaxAckPending: 8 * natsGathered,
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("stream %q does not exist: make it, or name another", n.o.Stream)
	case err != nil:
		return fmt.Errorf("stream %q, subject %q: %w", n.o.Stream, n.o.Subject, err)
	}
	it, err := consumer.Messages(jetstream.PullMaxMessages(2*natsGathered), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		gathered, err := gather(ctx, n.o.Limits, func(ctx context.Context) (jetstream.Msg, int, error) {
			m, err := it.Next(jetstream.NextContext(ctx))
			if err != nil {
				return nil, 0, err
			}
			return m, len(m.Data()), nil
		})
		if len(gathered) > 0 {
			if err := n.settle(ctx, s, gathered); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// gather reads messages until there are enough for a batch, or the first of them has
// waited for as long as it may. It returns what it has also with an error.
func gather[M any](ctx context.Context, l Limits, next func(context.Context) (M, int, error)) (ms []M, err error) {
	m, size, err := next(ctx)
	if err != nil {
		return nil, err
	}
	ms = append(ms, m)
	soon, cancel := context.WithTimeout(ctx, l.BatchDelay)
	defer cancel()
	for total := size; total < l.BatchBytes && len(ms) < min(l.BatchRecords, natsGathered); total += size {
		if m, size, err = next(soon); err != nil {
			if soon.Err() != nil && ctx.Err() == nil {
				err = nil
			}
			return ms, err
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// settle hands on messages and acknowledges them. Meanwhile the server is told that
// they are worked on, else it would hand them on again.
func (n *NATS) settle(ctx context.Context, s *settler, ms []jetstream.Msg) error {
	working := time.NewTicker(n.o.AckWait / 3)
	defer working.Stop()
	done := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		for {
			select {
			case <-done:
				return
			case <-working.C:
				for _, m := range ms {
					_ = m.InProgress() // else it comes again
				}
			}
		}
	}()
	err := n.hand(ctx, s, ms)
	close(done)
	<-told
	if err != nil {
		for _, m := range ms {
			_ = m.Nak() // else it comes again after AckWait
		}
		return err
	}
	for _, m := range ms {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("not acknowledged, some messages will come again: %w", err)
		}
	}
	return nil
}

func (n *NATS) hand(ctx context.Context, s *settler, ms []jetstream.Msg) error {
	// The same messages make the same batches.
	id := []string{"nats", n.o.Stream}
	for _, m := range ms {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		id = append(id, strconv.FormatUint(meta.Sequence.Stream, 36))
	}
	p := n.packer(s.take, strings.Join(id, "\x00"))
	for _, m := range ms {
		if err := addMessage(ctx, p, m.Data(), func(cause error) { n.Refused(1, fmt.Errorf("%s: %w", clip(m.Subject(), 100), cause)) }); err != nil {
			return err
		}
	}
	return p.flush(ctx)
}

// plain listens to subjects until ctx ends or the subscription is lost.
func (n *NATS) plain(ctx context.Context, conn *nats.Conn, s *settler) error {
	sub, err := conn.QueueSubscribeSync(n.o.Subject, n.consumerName())
	if err != nil {
		return fmt.Errorf("subject %q: %w", n.o.Subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is closed next, or the subscription is gone
	if err := sub.SetPendingLimits(natsPendingCount, natsPending); err != nil {
		return err
	}
	late, cancel := graceful(ctx)
	defer cancel()
	dropped := 0
	for {
		gathered, err := gather(ctx, n.o.Limits, func(ctx context.Context) (*nats.Msg, int, error) {
			m, err := sub.NextMsgWithContext(ctx)
			if errors.Is(err, nats.ErrSlowConsumer) { // told once; what was lost is counted below
				m, err = sub.NextMsgWithContext(ctx)
			}
			if err != nil {
				return nil, 0, err
			}
			return m, len(m.Data), nil
		})
		if d, derr := sub.Dropped(); derr == nil && d > dropped {
			n.Dropped(d-dropped, fmt.Errorf("%s: messages came faster than they were taken: use a stream of JetStream, or more processes", clip(n.o.Subject, 100)))
			dropped = d
		}
		p := n.packer(s.take, "")
		p.sink = s.take // an id would say that they are known
		for _, m := range gathered {
			// What was taken from the client is handed on even when ctx has ended.
			if err := addMessage(late, p, m.Data, func(cause error) { n.Refused(1, fmt.Errorf("%s: %w", clip(m.Subject, 100), cause)) }); err != nil {
				return err
			}
		}
		if ferr := p.flush(late); ferr != nil {
			return ferr
		}
		if err != nil {
			return err
		}
	}
}
