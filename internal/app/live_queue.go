package app

import (
	"context"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A StreamKind says what a message of a tenant's stream is.
type StreamKind uint8

// The kinds of messages. What the engine knows follows from them, in their order, and
// from nothing else.
const (
	StreamBatch    StreamKind = iota + 1 // evidence
	StreamTick                           // what came since the last tick is put in order and told
	StreamDecision                       // of an analyst: a model.Decision as JSON
	StreamControl                        // that another set of rules is used from here on: a control as JSON
)

// A StreamMessage is one message of a tenant's stream.
type StreamMessage struct {
	Pos  uint64    // grows from message to message
	Time time.Time // when it was published
	Kind StreamKind
	Body []byte // of a decision or control
	// Batch decodes the evidence of a batch. What it returns is the caller's.
	Batch func() (model.Batch, error)
}

// A Stream is the durable queue of one tenant, as the live engine needs it.
type Stream interface {
	// PublishBatch and Publish return once the message is on disk.
	PublishBatch(ctx context.Context, b model.Batch) (pos uint64, err error)
	Publish(ctx context.Context, kind StreamKind, at time.Time, body []byte) (pos uint64, err error)
	// Consume calls each with every message behind after, in order and without gaps, and
	// waits for more until ctx ends. Its error is that of each, or why there are gaps.
	Consume(ctx context.Context, after uint64, each func(StreamMessage) error) error
	// Purge lets go of the messages up to pos, which are not asked for again.
	Purge(ctx context.Context, pos uint64) error
}

// An Advancer is a Stream that can make sure that no message to come has a position at or
// below one that was reached. One that was made anew would begin again with positions
// that the engine has read.
type Advancer interface {
	Advance(ctx context.Context, reached uint64) error
}

// control is the body of a StreamControl.
type control struct {
	Rules string `json:"rules"` // digest of the set
}
