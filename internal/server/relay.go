package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

// A relay gives the engine the decisions of a tenant's journal, each after the one
// before. A decision is safe once it is in the journal, and is told from there: if the
// stream does not take it now, or this process dies in between, it is told later. The
// engine may be told one twice, and knows it by its id.
type relay struct {
	decide func(ctx context.Context, tenant string, d model.Decision) error
	now    func() time.Time

	mu      sync.Mutex
	tenants map[string]*relayed
}

type relayed struct {
	turn  chan struct{} // held by who tells
	known bool          // whether at is read
	at    int64         // place in the journal up to which the engine was told
}

// relayKind and relayName are under what the place is kept.
const (
	relayKind = "relay"
	relayName = "decisions"
)

type relayPlace struct {
	Told int64 `json:"told"`
}

func newRelay(e Engine, now func() time.Time) *relay {
	return &relay{decide: e.Decide, now: now, tenants: map[string]*relayed{}}
}

// flush tells the engine all that it was not told yet.
func (r *relay) flush(ctx context.Context, tenant string, cases *store.Cases) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r.mu.Lock()
	t := r.tenants[tenant]
	if t == nil {
		t = &relayed{turn: make(chan struct{}, 1)}
		r.tenants[tenant] = t
	}
	r.mu.Unlock()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !t.known {
		o, err := cases.Object(ctx, relayKind, relayName)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var p relayPlace
		if err == nil {
			if err := json.Unmarshal(o.Body, &p); err != nil {
				return fmt.Errorf("place of the relay: %w", err)
			}
		}
		t.known, t.at = true, p.Told
	}
	for {
		l, err := cases.Decisions(ctx, store.DecisionFilter{After: t.at, Limit: 100})
		if err != nil || len(l) == 0 {
			return err
		}
		for _, x := range l {
			if err := r.decide(ctx, tenant, x.Decision); err != nil {
				return err
			}
			t.at = x.Seq
		}
		b, err := json.Marshal(relayPlace{t.at})
		if err != nil {
			return err
		}
		if _, err := cases.PutObject(ctx, store.Object{Kind: relayKind, Name: relayName, Time: r.now(), Author: "system", Body: b}, -1); err != nil {
			return err
		}
	}
}
