package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const leaseBucket = "CATENA_leases"

// Lead waits until id alone leads the tenant, and returns a channel that is closed
// when it does so no more: ctx ended, which gives the lease back, or the lease could
// not be renewed in time. Who leads must stop its effects at once when lost closes.
//
// A holder renews its lease by changing an entry. Another takes it who has watched
// the entry stay the same for Options.Lease, by a clock that only measures spans:
// what the clocks of the machines say does not matter. A holder gives up at two
// thirds of that span after the last renewal that it began and that succeeded.
func (b *Bus) Lead(ctx context.Context, tenant, id string) (lost <-chan struct{}, err error) {
	if !tenantID.MatchString(tenant) {
		return nil, ErrTenant
	}
	if id == "" || len(id) > MaxID || strings.ContainsRune(id, '\n') {
		return nil, errors.New("who leads needs a name of at most 128 bytes")
	}
	c := candidate{bus: b, tenant: tenant, value: []byte(id + "\n" + b.nonce)}
	began, revision, err := c.acquire(ctx)
	if err != nil {
		return nil, err
	}
	b.log.Info("leads", "tenant", tenant, "as", id)
	gone := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, &Error{Kind: ErrClosed, Tenant: tenant, After: time.Second}
	}
	b.wg.Go(func() {
		defer close(gone)
		c.hold(ctx, began, revision)
		b.log.Info("leads no more", "tenant", tenant, "as", id)
	})
	return gone, nil
}

type candidate struct {
	bus    *Bus
	tenant string
	value  []byte // who, and this opening of the queue
}

// acquire returns when the request that won began, and its revision.
func (c candidate) acquire(ctx context.Context) (began time.Time, revision uint64, err error) {
	var watched uint64 // the revision that someone else holds
	var since time.Time
	poll := c.bus.o.Lease / 5
	for {
		began = time.Now()
		revision, won, err := c.attempt(ctx, &watched, &since)
		if won {
			return began, revision, nil
		}
		if err != nil {
			c.bus.log.Warn("lease not reached", "tenant", c.tenant, "error", err)
		}
		select {
		case <-ctx.Done():
			return began, 0, ctx.Err()
		case <-c.bus.ctx.Done():
			return began, 0, &Error{Kind: ErrClosed, Tenant: c.tenant, After: time.Second}
		case <-time.After(poll):
		}
	}
}

// attempt looks at the entry once, and takes it if it may.
func (c candidate) attempt(ctx context.Context, watched *uint64, since *time.Time) (revision uint64, won bool, err error) {
	ctx, cancel := ask(ctx)
	defer cancel()
	kv, err := c.bus.leaseKV(ctx)
	if err != nil {
		return 0, false, err
	}
	e, err := kv.Get(ctx, c.tenant)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		revision, err = kv.Create(ctx, c.tenant, c.value)
		if errors.Is(err, jetstream.ErrKeyExists) {
			err = nil // another was faster
			return 0, false, err
		}
		return revision, err == nil, err
	}
	if err != nil {
		return 0, false, err
	}
	if e.Revision() != *watched {
		*watched, *since = e.Revision(), time.Now()
	}
	// An embedded queue is open in one process only: who wrote this with an earlier
	// opening is dead.
	_, nonce, _ := strings.Cut(string(e.Value()), "\n")
	stale := c.bus.server != nil && nonce != c.bus.nonce
	if !stale && time.Since(*since) < c.bus.o.Lease {
		return 0, false, nil
	}
	if revision, err = kv.Update(ctx, c.tenant, c.value, e.Revision()); err != nil {
		return 0, false, err
	}
	return revision, true, nil
}

// hold renews the lease until ctx ends or it is lost.
func (c candidate) hold(ctx context.Context, began time.Time, revision uint64) {
	span := c.bus.o.Lease * 2 / 3
	renew := time.NewTicker(c.bus.o.Lease / 5)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			c.release(revision)
			return
		case <-c.bus.ctx.Done():
			c.release(revision)
			return
		case <-renew.C:
		}
		now := time.Now()
		until, cancel := context.WithDeadline(context.WithoutCancel(ctx), began.Add(span))
		next, err := c.renew(until, revision)
		cancel()
		switch {
		case err == nil:
			began, revision = now, next
		case errors.Is(err, errTaken), time.Since(began) >= span:
			c.bus.log.Warn("lease lost", "tenant", c.tenant, "error", err)
			return
		}
	}
}

var errTaken = errors.New("another leads")

// renew writes the entry again. Of a write without an answer it finds out whether it
// was stored.
func (c candidate) renew(ctx context.Context, revision uint64) (uint64, error) {
	kv, err := c.bus.leaseKV(ctx)
	if err != nil {
		return 0, err
	}
	once, cancel := context.WithTimeout(ctx, c.bus.o.Lease/5)
	next, err := kv.Update(once, c.tenant, c.value, revision)
	cancel()
	if err == nil {
		return next, nil
	}
	e, err2 := kv.Get(ctx, c.tenant)
	switch {
	case errors.Is(err2, jetstream.ErrKeyNotFound):
		return 0, errTaken
	case err2 != nil:
		return 0, fmt.Errorf("%w; %w", err, err2)
	case string(e.Value()) != string(c.value):
		return 0, errTaken
	case e.Revision() > revision:
		return e.Revision(), nil
	}
	return 0, err
}

// release lets another lead at once.
func (c candidate) release(revision uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if kv, err := c.bus.leaseKV(ctx); err == nil {
		_ = kv.Delete(ctx, c.tenant, jetstream.LastRevision(revision)) // else it passes on by silence
	}
}

func (b *Bus) leaseKV(ctx context.Context) (jetstream.KeyValue, error) {
	b.mu.Lock()
	kv := b.leases
	b.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: leaseBucket, Description: "who runs the engine of a tenant of catena",
		History: 1, MaxBytes: 16 << 20, Storage: jetstream.FileStorage, Replicas: b.o.Replicas,
	})
	if err != nil {
		return nil, b.failed("", err)
	}
	b.mu.Lock()
	b.leases = kv
	b.mu.Unlock()
	return kv, nil
}
