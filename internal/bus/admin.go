package bus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stats of one tenant's stream.
type Stats struct {
	Frames uint64 // in the stream; each holds one message or more
	Bytes  uint64 // on disk, of each replica
	// Last is the position of the newest message, First is at that of the oldest or a
	// little below. Both 0 before the first message.
	First, Last uint64
	FirstTime   time.Time
	LastTime    time.Time
	MaxBytes    int64 // at which publishing is refused
	DiskFree    int64 // bytes free on the disk of an embedded queue, -1 if not known
}

// Stats tells how full the tenant's stream is.
func (b *Bus) Stats(ctx context.Context, tenant string) (Stats, error) {
	ctx, cancel := ask(ctx)
	defer cancel()
	s, err := b.stream(ctx, tenant)
	if err != nil {
		return Stats{}, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return Stats{}, b.failed(tenant, err)
	}
	st := Stats{
		Frames: info.State.Msgs, Bytes: info.State.Bytes,
		FirstTime: info.State.FirstTime, LastTime: info.State.LastTime,
		MaxBytes: info.Config.MaxBytes, DiskFree: -1,
	}
	if info.State.LastSeq > 0 {
		st.First, st.Last = frameStart(max(info.State.FirstSeq, 1)), frameEnd(info.State.LastSeq)
	}
	if b.server != nil {
		if free, err := freeSpace(b.o.Dir); err == nil {
			st.DiskFree = free
		}
	}
	return st, nil
}

// Purge removes the frames that lie wholly below a position, but for the Window
// before it, by which consumers know duplicates. Of a stream that is more than a
// quarter full the window goes too.
func (b *Bus) Purge(ctx context.Context, tenant string, below uint64) error {
	ctx, cancel := ask(ctx)
	defer cancel()
	s, err := b.stream(ctx, tenant)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return b.failed(tenant, err)
	}
	seq := min(Frame(below), info.State.LastSeq+1)
	if info.Config.MaxBytes <= 0 || info.State.Bytes < uint64(info.Config.MaxBytes)/4 {
		seq -= min(seq, Window)
	}
	if seq <= max(info.State.FirstSeq, 1) {
		return nil
	}
	return b.failed(tenant, s.Purge(ctx, jetstream.WithPurgeSequence(seq)))
}

// Advance makes sure that no message published from now on has a position at or
// below reached, and returns from where to consume: reached+1, the start of what will
// be new, or 0 for a reader that has reached nothing. A stream that lost its newest messages, or was made anew, would
// otherwise give their positions to others, which a consumer would take for known.
// An engine calls it when it starts, before anything is published, with the highest
// position that it has kept.
func (b *Bus) Advance(ctx context.Context, tenant string, reached uint64) (from uint64, err error) {
	ctx, cancel := ask(ctx)
	defer cancel()
	s, err := b.stream(ctx, tenant)
	if err != nil || reached == 0 {
		return 0, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return 0, b.failed(tenant, err)
	}
	if Frame(reached) <= info.State.LastSeq {
		return reached + 1, nil
	}
	next := Frame(reached) + 1
	b.log.Warn("the queue had ended before what was read of it; its numbers go on from there",
		"tenant", tenant, "reached", reached, "ended", frameEnd(info.State.LastSeq))
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(next)); err != nil {
		return 0, b.failed(tenant, err)
	}
	return frameStart(next), nil
}

// Tenants returns the tenants that have a stream, sorted.
func (b *Bus) Tenants(ctx context.Context) ([]string, error) {
	ctx, cancel := ask(ctx)
	defer cancel()
	names := b.js.StreamNames(ctx)
	var ts []string
	for name := range names.Name() {
		if t, ok := strings.CutPrefix(name, streamPrefix); ok && tenantID.MatchString(t) {
			ts = append(ts, t)
		}
	}
	if err := names.Err(); err != nil {
		return nil, b.failed("", err)
	}
	slices.Sort(ts)
	return slices.Compact(ts), nil
}

// DeleteTenant removes a tenant's stream with all that is in it. It is no error if
// there is none. A later Publish would make it again.
func (b *Bus) DeleteTenant(ctx context.Context, tenant string) error {
	if !tenantID.MatchString(tenant) {
		return ErrTenant
	}
	ctx, cancel := ask(ctx)
	defer cancel()
	b.forget(tenant)
	if err := b.js.DeleteStream(ctx, streamName(tenant)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return b.failed(tenant, err)
	}
	return nil
}
