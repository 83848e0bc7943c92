package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// A Delivery is one message that one target gets because of one route.
type Delivery struct {
	ID       int64 // of the outbox
	Change   model.Change
	Route    string
	Target   string
	Key      string    // of the conversation
	Tries    int       // so far
	After    time.Time // not before
	Merge    bool      // may take the place of one with the same route, target and key that waits
	Thread   string    // what the target called the conversation
	LastTold time.Time // of the route and key; zero if never
}

// An Outbox keeps what is to be told: each change is planned once, each delivery done
// once, whatever stops in between.
type Outbox interface {
	// Unplanned returns changes of all tenants for which no deliveries were planned yet,
	// oldest first.
	Unplanned(ctx context.Context, most int) ([]model.Change, error)
	// LastTold is when a route last told about a key; zero if never.
	LastTold(ctx context.Context, tenant, route, key string) (time.Time, error)
	// Plan records the deliveries of a change, perhaps none, once.
	Plan(ctx context.Context, c model.Change, l []Delivery) error
	// Due returns deliveries whose time has come, oldest first.
	Due(ctx context.Context, now time.Time, most int) ([]Delivery, error)
	// Done records that d was sent, and what the target calls the conversation.
	Done(ctx context.Context, d Delivery, thread string, at time.Time) error
	// Fail records that d was not sent: to be tried again after a time, or never.
	Fail(ctx context.Context, d Delivery, cause string, again time.Time, dead bool) error
	// Incident returns an incident as it is now; nil if there is none.
	Incident(ctx context.Context, tenant, id string) (*model.Incident, error)
	// Wait returns when there may be something new, or ctx ends.
	Wait(ctx context.Context)
}

// Options are what a Worker needs.
type Options struct {
	Notify  config.Notify
	BaseURL string              // of links to the console
	Clean   func(string) string // makes text of others safe to show
	Log     *slog.Logger
	Env     Environment
	// Jitter spreads tries, 0..1 each call; nil means at random.
	Jitter func() float64
}

// Worker plans and sends. Use NewWorker.
type Worker struct {
	opt     Options
	out     Outbox
	routes  []*Route
	targets map[string]*target
	mu      sync.Mutex
	sent    map[string]Counts // by target
}

// Counts are what became of a target's deliveries.
type Counts struct{ Sent, Failed, Dead int64 }

type target struct {
	Notifier
	limit *rate.Limiter
}

// Tries are spread over a day: 5 s, 20 s, 80 s, ... an hour at most.
const (
	firstWait = 5 * time.Second
	maxTries  = 30
	batch     = 100
)

// NewWorker reads the settings; an error says which is wrong.
func NewWorker(out Outbox, o Options) (*Worker, error) {
	w := &Worker{opt: o, out: out, targets: map[string]*target{}, sent: map[string]Counts{}}
	if w.opt.Jitter == nil {
		w.opt.Jitter = rand.Float64
	}
	for _, t := range o.Notify.Targets {
		n, err := New(t, o.Env)
		if err != nil {
			return nil, err
		}
		per := max(t.PerMinute, 1)
		w.targets[t.Name] = &target{n, rate.NewLimiter(rate.Limit(float64(per)/60), max(per/6, 1))}
	}
	var err error
	w.routes, err = NewRoutes(o.Notify.Routes)
	return w, err
}

// Run works until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		busy, err := w.Step(ctx)
		if err != nil && ctx.Err() == nil {
			w.opt.Log.Error("notifications wait: the store cannot be used", "cause", err)
		}
		if !busy || err != nil {
			wait, stop := context.WithTimeout(ctx, time.Second)
			w.out.Wait(wait)
			if err != nil {
				<-wait.Done()
			}
			stop()
		}
	}
}

// Step plans what is new and sends what is due, and says whether there was any.
func (w *Worker) Step(ctx context.Context) (bool, error) {
	changes, err := w.out.Unplanned(ctx, batch)
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		if err := w.plan(ctx, c); err != nil {
			return false, err
		}
	}
	due, err := w.out.Due(ctx, w.opt.Env.Now(), batch)
	if err != nil {
		return false, err
	}
	// Targets do not wait for each other; what one gets stays in order.
	var wg sync.WaitGroup
	byTarget := map[string][]Delivery{}
	for _, d := range due {
		byTarget[d.Target] = append(byTarget[d.Target], d)
	}
	errs := make(chan error, len(byTarget))
	for name, l := range byTarget {
		wg.Go(func() {
			for _, d := range l {
				if err := w.deliver(ctx, name, d); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return len(changes)+len(due) > 0, <-errs
}

// plan decides who is told of c.
func (w *Worker) plan(ctx context.Context, c model.Change) error {
	var in *model.Incident
	if c.Incident != "" {
		var err error
		if in, err = w.out.Incident(ctx, c.Tenant, c.Incident); err != nil {
			return err
		}
	}
	var l []Delivery
	m := Compose(c, in, w.opt.BaseURL, w.opt.Clean)
	for _, r := range w.routes {
		fits, err := r.Fits(c, in)
		if err != nil {
			w.opt.Log.Warn("a route's condition cannot be judged; the message is sent", "route", r.Name, "cause", err)
		}
		if !fits {
			continue
		}
		after := w.opt.Env.Now()
		merge := c.Kind == model.IncidentGrown
		if merge {
			last, err := w.out.LastTold(ctx, c.Tenant, r.Name, m.Key)
			if err != nil {
				return err
			}
			if next := last.Add(time.Duration(r.Every)); !last.IsZero() && next.After(after) {
				after = next
			}
		}
		after = r.Begins(after)
		for _, t := range r.Targets {
			l = append(l, Delivery{Change: c, Route: r.Name, Target: t, Key: m.Key, After: after, Merge: merge})
		}
	}
	return w.out.Plan(ctx, c, l)
}

// deliver sends one and records what came of it. Its error is one of the outbox.
func (w *Worker) deliver(ctx context.Context, name string, d Delivery) error {
	t := w.targets[name]
	if t == nil {
		return w.out.Fail(ctx, d, "the target is not configured any more", time.Time{}, true)
	}
	if err := t.limit.Wait(ctx); err != nil {
		return nil //nolint:nilerr // we are being stopped; it stays due
	}
	var in *model.Incident
	if d.Change.Incident != "" {
		var err error
		if in, err = w.out.Incident(ctx, d.Change.Tenant, d.Change.Incident); err != nil {
			return err
		}
	}
	m := Compose(d.Change, in, w.opt.BaseURL, w.opt.Clean)
	thread, err := t.Notify(ctx, m, d.Thread)
	now := w.opt.Env.Now()
	if err == nil {
		w.count(name, func(c *Counts) { c.Sent++ })
		return w.out.Done(ctx, d, thread, now)
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // we are being stopped; it stays due
	}
	wait := min(firstWait<<min(2*d.Tries, 20), time.Hour)
	wait += time.Duration(w.opt.Jitter() * float64(wait) / 4)
	var later Later
	if errors.As(err, &later) {
		wait = max(wait, later.After)
	}
	var permanent Permanent
	dead := errors.As(err, &permanent) || d.Tries+1 >= maxTries
	w.count(name, func(c *Counts) {
		c.Failed++
		if dead {
			c.Dead++
		}
	})
	w.opt.Log.Warn("a notification was not sent", "target", name, "route", d.Route, "try", d.Tries+1, "given_up", dead, "cause", err)
	return w.out.Fail(ctx, d, w.opt.Clean(err.Error()), now.Add(wait), dead)
}

func (w *Worker) count(name string, do func(*Counts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.sent[name]
	do(&c)
	w.sent[name] = c
}

// Counts returns what became of the deliveries of each target since the start.
func (w *Worker) Counts() map[string]Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]Counts{}
	for name := range w.targets {
		out[name] = w.sent[name]
	}
	return out
}

// Test sends a message to one target at once, so that people see whether it arrives.
func (w *Worker) Test(ctx context.Context, name, tenant string) error {
	t := w.targets[name]
	if t == nil {
		return fmt.Errorf("there is no target %q", name)
	}
	return Test(ctx, t.Notifier, name, tenant, w.opt.BaseURL, w.opt.Env.Now())
}

// Test sends a message to a notifier at once.
func Test(ctx context.Context, n Notifier, name, tenant, base string, now time.Time) error {
	_, err := n.Notify(ctx, &Message{
		ID: fmt.Sprintf("%s-test-%d", tenant, now.UnixNano()), Key: tenant + "/test " + name, Kind: model.IncidentRaised, Tenant: tenant, Severity: model.Informational, Time: now.UTC(), Test: true,
		Title: "Catena reaches this place", What: []string{"Somebody asked whether messages arrive here."}, Do: []string{"Nothing."}, Link: base,
	}, "")
	return err
}
