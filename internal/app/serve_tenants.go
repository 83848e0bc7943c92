package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/server"
	"github.com/catena-sec/catena/internal/store"
)

// A tenantState is one tenant that runs: its files and its engine.
type tenantState struct {
	id     string
	cases  *store.Cases
	events *store.Events
	live   *Live
	ready  atomic.Bool
	failed atomic.Pointer[string]

	mu  sync.Mutex // of changes of the rules
	app atomic.Pointer[App]
}

func (t *tenantState) rules() *App { return t.app.Load() }

// use has the tenant's engine use another set of rules.
func (t *tenantState) use(ctx context.Context, a *App) error {
	if err := t.live.SetRules(ctx, a); err != nil {
		return err
	}
	t.app.Store(a)
	return nil
}

func (t *tenantState) failure() string {
	if p := t.failed.Load(); p != nil {
		return *p
	}
	return ""
}

func (t *tenantState) fail(err error) {
	if err == nil {
		t.failed.Store(nil)
		return
	}
	text := err.Error()
	t.failed.Store(&text)
}

// healthOf is what the engine knows of a source.
func (t *tenantState) healthOf(name string) (SourceHealth, bool) {
	for _, h := range t.live.Health().Sources {
		if h.Source == name {
			return h, true
		}
	}
	return SourceHealth{}, false
}

func (t *tenantState) close() error { return errors.Join(t.events.Close(), t.cases.Close()) }

// tenant returns a tenant that runs; server.ErrNotFound if there is none.
func (s *Service) tenant(id string) (*tenantState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[id]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: tenant %q", server.ErrNotFound, id)
}

// Open is what is stored of a tenant.
func (s *Service) Open(id string) (server.TenantStore, bool) {
	t, err := s.tenant(id)
	if err != nil {
		return server.TenantStore{}, false
	}
	return server.TenantStore{Cases: t.cases, Events: t.events}, true
}

// Create opens a tenant's folder, making it when missing, and starts its engine.
func (s *Service) Create(_ context.Context, id string) error {
	s.creating.Lock() // one at a time; s.mu is held for moments only
	defer s.creating.Unlock()
	s.mu.Lock()
	there, ending := s.open[id] != nil, s.ending
	s.mu.Unlock()
	if there {
		return nil
	}
	if ending {
		return fmt.Errorf("%w: the service is stopping", server.ErrRefused)
	}
	t, err := s.openTenant(id)
	if err != nil {
		return fmt.Errorf("open tenant %s: %w", id, err)
	}
	s.mu.Lock()
	s.open[id] = t
	s.mu.Unlock()
	s.outbox.add(s.ctx, id, t.cases)
	s.engines.Go(func() { s.runEngine(s.ctx, t) })
	return nil
}

// tenantDir is where all of a tenant is kept.
func (s *Service) tenantDir(id string) string {
	return filepath.Join(s.config().Data, "tenants", id)
}

func (s *Service) openTenant(id string) (*tenantState, error) {
	c, dir := s.config(), s.tenantDir(id)
	t := &tenantState{id: id}
	var err error
	if t.cases, err = store.OpenCases(dir); err != nil {
		return nil, err
	}
	if t.events, err = store.OpenEvents(filepath.Join(dir, "events"), store.EventsOptions{Now: s.o.Now}); err != nil {
		return nil, errors.Join(err, t.cases.Close())
	}
	off, _, err := t.off(s.ctx)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	a := s.app
	if len(off) > 0 {
		if a, err = s.appOf(off); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	t.app.Store(a)
	t.live = NewLive(a, &busStream{s.bus, s.codec, id, s.log, func() { t.ready.Store(true) }}, t.cases, eventStore{t.events}, LiveOptions{
		Tenant: id, Dir: dir, Tick: time.Duration(c.Engine.Tick), SegmentActs: c.Engine.SegmentActs, SegmentAge: time.Duration(c.Engine.SegmentAge),
		QuietAfter: time.Duration(c.Engine.QuietAfter), Ledger: c.Engine.LedgerEntity, Log: s.log, Now: s.o.Now,
	})
	return t, nil
}

// Pauses between tries to run an engine that fails.
const (
	enginePause     = time.Second
	enginePauseMost = time.Minute
)

// runEngine runs a tenant's engine while this process has its lease, again and again
// until ctx ends.
func (s *Service) runEngine(ctx context.Context, t *tenantState) {
	log := s.log.With("tenant", t.id)
	pause := enginePause
	for ctx.Err() == nil {
		started := s.o.Now()
		err := s.lead(ctx, t, log)
		t.ready.Store(false)
		if ctx.Err() != nil {
			return
		}
		t.fail(err)
		if err != nil {
			log.Error("the engine stopped; it is started again", "cause", err, "after", pause)
		}
		if s.o.Now().Sub(started) > enginePauseMost {
			pause = enginePause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, enginePauseMost)
	}
}

// lead runs the engine from when the lease is ours until it is not.
func (s *Service) lead(ctx context.Context, t *tenantState, log *slog.Logger) error {
	lost, err := s.bus.Lead(ctx, t.id, s.instance)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-lost:
			log.Warn("another process leads this tenant now")
			stop()
		case <-ctx.Done():
		}
	}()
	t.fail(nil)
	return t.live.Run(ctx)
}

// eventStore keeps the rows of an engine in a tenant's events.
type eventStore struct{ *store.Events }

func (e eventStore) Append(ctx context.Context, pos uint64, rows []EventRow) error {
	out := make([]store.Row, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = store.Row{
			Position: r.Position, Time: r.Time, Received: r.Received, ID: r.ID, Source: r.Input, Format: r.Format, Host: r.Host, Code: r.Code,
			Product: r.Source.Product, Category: r.Source.Category, Service: r.Source.Service, Entities: entityTexts(r.Entities), Raw: r.Raw,
		}
	}
	_, err := e.Events.Append(ctx, pos, out)
	return err
}

// entityTexts are entities as "type:value", each once.
func entityTexts(l []model.Entity) []string {
	if len(l) == 0 {
		return nil
	}
	out := make([]string, 0, len(l))
next:
	for _, e := range l {
		s := string(e.Type) + ":" + e.Value
		for _, have := range out {
			if have == s {
				continue next
			}
		}
		out = append(out, s)
	}
	return out
}
