package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/store"
)

// outbox is what the worker that tells people reads and writes: the outboxes of all
// tenants as one.
type outbox struct {
	mu    sync.Mutex
	cases map[string]*store.Cases // by tenant
	wake  chan struct{}           // holds one token when there may be something new
	stop  map[string]func()       // of the watch of each tenant
}

func newOutbox() *outbox {
	return &outbox{cases: map[string]*store.Cases{}, wake: make(chan struct{}, 1), stop: map[string]func(){}}
}

// add takes a tenant in and watches its changes until ctx ends or remove is called.
func (o *outbox) add(ctx context.Context, tenant string, c *store.Cases) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	o.mu.Lock()
	o.cases[tenant] = c
	o.stop[tenant] = func() { stop(); <-done }
	o.mu.Unlock()
	go func() {
		defer close(done)
		for seen := int64(0); c.WaitChange(ctx, seen) == nil; seen = c.LastChange() {
			select {
			case o.wake <- struct{}{}:
			default:
			}
		}
	}()
}

// remove lets go of all tenants.
func (o *outbox) remove() {
	o.mu.Lock()
	stops := o.stop
	o.stop, o.cases = map[string]func(){}, map[string]*store.Cases{}
	o.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
}

func (o *outbox) of(tenant string) (*store.Cases, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.cases[tenant]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the tenant %q is not open", tenant)
}

// each calls do with every tenant, by id.
func (o *outbox) each(do func(id string, c *store.Cases) error) error {
	o.mu.Lock()
	var ids []string
	for id := range o.cases {
		ids = append(ids, id)
	}
	o.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		c, err := o.of(id)
		if err != nil {
			continue // gone since
		}
		if err := do(id, c); err != nil {
			return err
		}
	}
	return nil
}

func (o *outbox) Unplanned(ctx context.Context, most int) (out []model.Change, err error) {
	err = o.each(func(id string, c *store.Cases) error {
		l, err := c.Unplanned(ctx, most)
		for _, x := range l {
			x.Tenant = id
			out = append(out, x)
		}
		return err
	})
	return out, err
}

func (o *outbox) LastTold(ctx context.Context, tenant, route, key string) (time.Time, error) {
	c, err := o.of(tenant)
	if err != nil {
		return time.Time{}, err
	}
	return c.LastTold(ctx, route, key)
}

func (o *outbox) Plan(ctx context.Context, x model.Change, l []respond.Delivery) error {
	c, err := o.of(x.Tenant)
	if err != nil {
		return err
	}
	rows := make([]store.Delivery, len(l))
	for i, d := range l {
		rows[i] = store.Delivery{Route: d.Route, Target: d.Target, Key: d.Key, After: d.After, Merge: d.Merge}
	}
	return c.Plan(ctx, x.Seq, rows)
}

func (o *outbox) Due(ctx context.Context, now time.Time, most int) (out []respond.Delivery, err error) {
	err = o.each(func(id string, c *store.Cases) error {
		l, err := c.Due(ctx, now, most)
		for _, d := range l {
			d.Change.Tenant = id
			out = append(out, respond.Delivery{
				ID: d.ID, Change: d.Change, Route: d.Route, Target: d.Target, Key: d.Key, Tries: d.Tries,
				After: d.After, Merge: d.Merge, Thread: d.Thread, LastTold: d.LastTold,
			})
		}
		return err
	})
	return out, err
}

func (o *outbox) Done(ctx context.Context, d respond.Delivery, thread string, at time.Time) error {
	c, err := o.of(d.Change.Tenant)
	if err != nil {
		return err
	}
	if d.Change.Incident != "" {
		if err := c.Reach(ctx, d.Change.Incident, store.Noticed, at); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return c.Done(ctx, d.ID, thread, at)
}

func (o *outbox) Fail(ctx context.Context, d respond.Delivery, cause string, again time.Time, dead bool) error {
	c, err := o.of(d.Change.Tenant)
	if err != nil {
		return err
	}
	return c.Fail(ctx, d.ID, cause, again, dead)
}

func (o *outbox) Incident(ctx context.Context, tenant, id string) (*model.Incident, error) {
	c, err := o.of(tenant)
	if err != nil {
		return nil, err
	}
	x, err := c.Incident(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &x.Incident, nil
}

func (o *outbox) Wait(ctx context.Context) {
	select {
	case <-o.wake:
	case <-ctx.Done():
	}
}
