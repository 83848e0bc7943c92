package server

import (
	"context"
	"errors"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

// Errors that an Engine or Tenants returns and a client is told by a status of its own.
// An error that has RetryAfter() time.Duration is answered with 503 and that delay.
var (
	ErrNotFound    = errors.New("there is no such thing")                // 404
	ErrUnsupported = errors.New("this engine does not do that")          // 501
	ErrRefused     = errors.New("it cannot be done as things stand now") // 409
)

// An Engine is what the server asks of the live engines, one a tenant. Its methods are
// called from many goroutines; tenants are ids that Tenants knows.
type Engine interface {
	// Decide puts a checked decision on the tenant's stream; nil means that it is on disk.
	Decide(ctx context.Context, tenant string, d model.Decision) error
	// Rules are all rules and detectors, in a stable order.
	Rules(ctx context.Context, tenant string) ([]Rule, error)
	// RuleSource is a rule as it is written; empty for a detector in code.
	RuleSource(ctx context.Context, tenant, id string) (string, error)
	// SetRule switches a rule on or off from the next round on.
	SetRule(ctx context.Context, tenant, id string, on bool, by, reason string) error
	// Coverage is what the rules that are on are for.
	Coverage(ctx context.Context, tenant string) (*report.Coverage, error)
	// Sources are the receivers and what came over them.
	Sources(ctx context.Context, tenant string) ([]Source, error)
	// Poisoned are batches and records that could not be handled, the latest first, at
	// most limit and after the one of that id (empty: from the start).
	Poisoned(ctx context.Context, tenant, after string, limit int) ([]Poisoned, error)
	// Replay puts one of them on the stream again.
	Replay(ctx context.Context, tenant, id string) error
	// Objectives are the promises the user set and how they stand.
	Objectives(ctx context.Context, tenant string) ([]Objective, error)
	// Health says how the engine is.
	Health(ctx context.Context) Health
}

// Tenants knows the tenants that run here.
type Tenants interface {
	// Open returns what is stored of a tenant, and whether there is one of that id.
	Open(id string) (TenantStore, bool)
	// Create makes a tenant's folder and starts its engine. The tenant stands in
	// store.Control already.
	Create(ctx context.Context, id string) error
}

// A TenantStore is what is stored of one tenant.
type TenantStore struct {
	Cases  *store.Cases
	Events Events // nil: none are kept
}

// A Rule is one rule or detector as the engine has it.
type Rule struct {
	ID         string         `json:"id"`
	Title      string         `json:"title"`
	Kind       string         `json:"kind" doc:"rule, correlation or detector"`
	Level      model.Severity `json:"level"`
	Status     string         `json:"status,omitempty" doc:"of the rule, as its author says: stable, test, experimental"`
	Enabled    bool           `json:"enabled"`
	Off        string         `json:"off,omitempty" doc:"why it is off"`
	Pack       string         `json:"pack" doc:"where it is from: builtin, or the folder it was read from"`
	File       string         `json:"file,omitempty"`
	Product    string         `json:"product,omitempty"`
	Category   string         `json:"category,omitempty"`
	Service    string         `json:"service,omitempty"`
	Techniques []string       `json:"techniques"`
	Tactics    []string       `json:"tactics"`
	Stage      model.Stage    `json:"stage,omitempty"`
	Tags       []string       `json:"tags"`
	// Alerts are those raised since the engine started; Fed says whether any event of
	// its log source came in that time.
	Alerts int64 `json:"alerts" doc:"raised since the engine started"`
	Fed    bool  `json:"fed" doc:"whether any event of its log source came since the engine started"`
}

// A Source is one receiver, or one of the senders behind it.
type Source struct {
	Name     string     `json:"name"`
	Kind     string     `json:"kind" doc:"http, otlp, syslog, follow, webhook, nats, kafka or s3"`
	Peer     string     `json:"peer,omitempty" doc:"who sends; empty for the receiver as a whole"`
	State    string     `json:"state" enum:"active,quiet,never,failed,stopped"`
	Detail   string     `json:"detail,omitempty"`
	Records  int64      `json:"records"`
	Bytes    int64      `json:"bytes"`
	Refused  int64      `json:"refused"`
	Dropped  int64      `json:"dropped"`
	PerHour  float64    `json:"per_hour" doc:"records in the last hour"`
	LastSeen *time.Time `json:"last_seen,omitempty"`
	Lag      float64    `json:"lag_s,omitempty" doc:"seconds from event time to arrival, in the middle"`
	Formats  []string   `json:"formats" doc:"that were recognised"`
}

// A Poisoned is a batch or record that could not be handled.
type Poisoned struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	Peer   string    `json:"peer,omitempty"`
	Format string    `json:"format,omitempty"`
	Bytes  int64     `json:"bytes"`
	Cause  string    `json:"cause"`
	Sample string    `json:"sample,omitempty" doc:"how it begins, as text"`
}

// An Objective is a promise, such as "high incidents told within 60 s", and how it stands.
type Objective struct {
	Name     string   `json:"name"`
	Severity string   `json:"severity" doc:"of this severity and above"`
	From     string   `json:"from" doc:"milestone from which time is measured"`
	To       string   `json:"to" doc:"milestone by which it must be done"`
	Within   float64  `json:"within_s"`
	Target   float64  `json:"target" doc:"share that must be kept, 0 to 1"`
	Window   float64  `json:"window_s"`
	Total    int      `json:"total" doc:"incidents in the window"`
	Kept     int      `json:"kept"`
	Median   *float64 `json:"median_s,omitempty"`
	P99      *float64 `json:"p99_s,omitempty"`
	Burn     []Burn   `json:"burn" doc:"how fast the allowance is used up; 1 is just in time"`
	Alerting bool     `json:"alerting"`
}

// A Burn is the burn rate over one window.
type Burn struct {
	Window float64 `json:"window_s"`
	Rate   float64 `json:"rate"`
}

// Health is how an engine is.
type Health struct {
	Ready  bool          `json:"ready" doc:"whether evidence is taken and worked on"`
	Checks []HealthCheck `json:"checks"`
}

// A HealthCheck is one thing that was looked at.
type HealthCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty" doc:"what is wrong and what to do"`
}
