package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/catena-sec/catena/internal/bus"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/source"
)

// busStream is a tenant's stream of the durable queue, as its engine needs it.
type busStream struct {
	bus    *bus.Bus
	codec  *bus.Codec
	tenant string
	log    *slog.Logger
	// following is called when all that was known is folded and the engine reads on.
	following func()
}

// kinds of the queue's messages, by those of the stream.
var busKinds = map[StreamKind]bus.Kind{StreamBatch: bus.KindBatch, StreamTick: bus.KindTick, StreamDecision: bus.KindDecision, StreamControl: bus.KindControl}

func (s *busStream) PublishBatch(ctx context.Context, b model.Batch) (uint64, error) {
	body, err := s.codec.Encode(b)
	if err != nil {
		return 0, err
	}
	return s.publish(ctx, bus.Message{Kind: bus.KindBatch, ID: b.ID, Time: b.Received, Body: body})
}

func (s *busStream) Publish(ctx context.Context, kind StreamKind, at time.Time, body []byte) (uint64, error) {
	return s.publish(ctx, bus.Message{Kind: busKinds[kind], Time: at, Body: body})
}

// publish tells receivers of a queue that is full or away to come back.
func (s *busStream) publish(ctx context.Context, m bus.Message) (uint64, error) {
	pos, err := s.bus.Publish(ctx, s.tenant, m)
	var e *bus.Error
	if errors.As(err, &e) && !errors.Is(err, bus.ErrClosed) {
		return pos, source.Later(err, e.After)
	}
	return pos, err
}

// Consume goes on behind what the queue has lost: what its senders still keep can be
// sent again, and an engine that stood still would lose more.
func (s *busStream) Consume(ctx context.Context, after uint64, each func(StreamMessage) error) error {
	from := after
	if from > 0 {
		from++
	}
	s.following()
	streams := map[bus.Kind]StreamKind{}
	for k, v := range busKinds {
		streams[v] = k
	}
	for {
		err := s.bus.Consume(ctx, s.tenant, from, func(d bus.Delivery) error {
			m := StreamMessage{Pos: d.Position, Time: d.Time, Kind: streams[d.Kind], Body: d.Body}
			if d.Err != nil { // a frame that nobody can read: a batch that says so
				m.Kind, m.Time = StreamBatch, d.Stored
				m.Batch = func() (model.Batch, error) { return model.Batch{Data: d.Body, Received: d.Stored}, d.Err }
			} else if m.Kind == StreamBatch {
				m.Batch = func() (model.Batch, error) { return s.codec.Decode(d.Body) }
			}
			return each(m)
		})
		var gap *bus.GapError
		if !errors.As(err, &gap) || gap.Have <= from {
			return err
		}
		s.log.Error("evidence was lost in the queue; its senders may have kept it", "tenant", s.tenant, "cause", err)
		from = gap.Have
	}
}

// Advance makes sure that what is published from now on is behind reached.
func (s *busStream) Advance(ctx context.Context, reached uint64) error {
	_, err := s.bus.Advance(ctx, s.tenant, reached)
	return err
}

func (s *busStream) Purge(ctx context.Context, pos uint64) error {
	return s.bus.Purge(ctx, s.tenant, pos+1)
}
