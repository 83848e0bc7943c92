package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/server"
	"github.com/catena-sec/catena/internal/store"
)

// The methods here are what the server asks of the engines.
var _ server.Engine = (*Service)(nil)

// Decide puts a decision on the tenant's stream.
func (s *Service) Decide(ctx context.Context, tenant string, d model.Decision) error {
	t, err := s.tenant(tenant)
	if err != nil {
		return err
	}
	return t.live.Decide(ctx, d)
}

// Rules are all rules and detectors of a tenant, with those that are off.
func (s *Service) Rules(_ context.Context, tenant string) ([]server.Rule, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	a := t.rules()
	var out []server.Rule
	for _, l := range a.List(RuleFilter{}) {
		r := server.Rule{
			ID: l.ID, Title: l.Title, Kind: l.Kind, Level: l.Level, Status: l.Status, Enabled: l.Off == "", Off: l.Off,
			Pack: l.Source, File: l.File, Techniques: l.Techniques, Tactics: l.Tactics, Stage: l.Stage, Tags: l.Tags,
		}
		for part := range strings.FieldsSeq(l.LogSource) {
			switch k, v, _ := strings.Cut(part, "="); k {
			case "product":
				r.Product = v
			case "category":
				r.Category = v
			case "service":
				r.Service = v
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// RuleSource is a rule as it is written.
func (s *Service) RuleSource(_ context.Context, tenant, id string) (string, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return "", err
	}
	for _, r := range t.rules().rules {
		if r.ID == id {
			return string(r.Source()), nil
		}
	}
	return "", nil
}

// rulesKind and rulesName are under what a tenant's file keeps which rules people
// switched off.
const (
	rulesKind = "rules"
	rulesName = "off"
)

// A switchedOffBy says who switched a rule off.
type switchedOffBy struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// SetRule switches a rule on or off from the next round on.
func (s *Service) SetRule(ctx context.Context, tenant, id string, on bool, by, reason string) error {
	t, err := s.tenant(tenant)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	off, version, err := t.off(ctx)
	if err != nil {
		return err
	}
	if on {
		delete(off, id)
	} else {
		off[id] = switchedOffBy{by, reason, s.o.Now().UTC()}
	}
	a, err := s.appOf(off)
	if err != nil {
		return fmt.Errorf("%w: %w", server.ErrRefused, err)
	}
	b, err := json.Marshal(off)
	if err != nil {
		return err
	}
	if _, err := t.cases.PutObject(ctx, store.Object{Kind: rulesKind, Name: rulesName, Body: b, Author: by, Time: s.o.Now()}, version); err != nil {
		return err
	}
	return t.use(ctx, a)
}

// off are the rules that people switched off.
func (t *tenantState) off(ctx context.Context) (map[string]switchedOffBy, int64, error) {
	off := map[string]switchedOffBy{}
	x, err := t.cases.Object(ctx, rulesKind, rulesName)
	if errors.Is(err, store.ErrNotFound) {
		return off, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return off, x.Version, json.Unmarshal(x.Body, &off)
}

// appOf loads the rules of the configuration without those that are off.
func (s *Service) appOf(off map[string]switchedOffBy) (*App, error) {
	o, err := Configured(s.config(), s.o.Version)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(off)) {
		o.Disable = append(o.Disable, pack.Selector{Key: "rule", Value: id})
	}
	return New(o)
}

// Coverage is what the rules that are on are for.
func (s *Service) Coverage(_ context.Context, tenant string) (*report.Coverage, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.rules().Coverage(), nil
}

// Sources are the receivers and what came over them, as the receivers count it and as
// the engine could read it.
func (s *Service) Sources(_ context.Context, tenant string) ([]server.Source, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	read := map[string]SourceHealth{}
	for _, h := range t.live.Health().Sources {
		read[h.Source] = h
	}
	var out []server.Source
	for _, r := range s.receivers() {
		if r.tenant != "" && r.tenant != tenant {
			continue
		}
		st := r.receiver.Stats()
		x := server.Source{Name: r.receiver.Name(), Kind: r.kind, State: "never", Records: st.Records, Bytes: st.Bytes, Refused: st.Refused, Dropped: st.Dropped, Formats: []string{}, Detail: cmp.Or(r.failure(), st.LastError)}
		if !st.LastSeen.IsZero() {
			x.State, x.LastSeen = "active", &st.LastSeen
		}
		if r.failure() != "" {
			x.State = "failed"
		}
		if r.tenant == "" { // of all tenants: the engine knows what is of this one
			x.Records, x.Bytes, x.LastSeen, x.State = 0, 0, nil, "never"
		}
		out = append(out, x)
		delete(read, x.Name)
		if h, ok := t.healthOf(x.Name); ok {
			withHealth(&out[len(out)-1], h)
		}
	}
	names := make([]string, 0, len(read))
	for n := range read {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		x := server.Source{Name: n, Kind: "http", Formats: []string{}}
		withHealth(&x, read[n])
		out = append(out, x)
	}
	return out, nil
}

func withHealth(x *server.Source, h SourceHealth) {
	last := h.Last
	x.Records, x.LastSeen, x.PerHour = max(x.Records, h.Events), &last, h.Rate*3600
	if x.Bytes == 0 {
		x.Bytes = h.Bytes
	}
	x.Refused += h.Skipped
	if x.Detail == "" {
		x.Detail = h.Problem
	}
	if x.State != "failed" {
		x.State = "active"
		if h.Quiet {
			x.State = "quiet"
		}
	}
}

// Poisoned are batches that could not be handled, the latest first.
func (s *Service) Poisoned(_ context.Context, tenant, after string, limit int) ([]server.Poisoned, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	l, err := t.live.DeadLetters()
	if err != nil {
		return nil, err
	}
	out := []server.Poisoned{}
	for _, d := range l {
		id := strconv.FormatUint(d.Pos, 10)
		if len(out) == limit {
			break
		}
		if after != "" && !older(id, after) {
			continue
		}
		out = append(out, server.Poisoned{ID: id, Time: d.Received, Source: d.Source, Peer: d.Peer, Format: d.Format, Bytes: int64(d.Bytes), Cause: d.Cause})
	}
	return out, nil
}

// older says whether position a is before b, both as text.
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}

// Replay puts one of them on the stream again.
func (s *Service) Replay(ctx context.Context, tenant, id string) error {
	t, err := s.tenant(tenant)
	if err != nil {
		return err
	}
	pos, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return server.ErrNotFound
	}
	return t.live.Replay(ctx, pos)
}

// Objectives are the promises of the configuration and how they stand.
func (s *Service) Objectives(ctx context.Context, tenant string) ([]server.Objective, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	c, now := s.config(), s.o.Now()
	out := []server.Objective{}
	for _, o := range c.Notify.Objectives {
		b, err := t.judge(ctx, o, now)
		if err != nil {
			return nil, err
		}
		x := server.Objective{
			Name: o.Name, Severity: o.Severity, From: o.From, To: o.Until, Within: time.Duration(o.Within).Seconds(), Target: o.Share,
			Window: time.Duration(o.Window).Seconds(), Total: b.Judged, Kept: b.Kept, Alerting: b.Burns,
			Burn: []server.Burn{{Window: time.Hour.Seconds(), Rate: b.Fast}, {Window: (6 * time.Hour).Seconds(), Rate: b.Slow}},
		}
		if b.Judged > 0 {
			x.Median, x.P99 = &b.Median, &b.P99
		}
		out = append(out, x)
	}
	return out, nil
}

// maxJudged bounds the incidents that an objective is judged over: the newest.
const maxJudged = 10_000

// judge says how an objective of a tenant stands.
func (t *tenantState) judge(ctx context.Context, o config.Objective, now time.Time) (respond.Burn, error) {
	var l []respond.Judged
	f := store.IncidentFilter{Since: now.Add(-time.Duration(o.Window)), Limit: store.MaxPage}
	for len(l) < maxJudged {
		p, err := t.cases.Incidents(ctx, f)
		if err != nil {
			return respond.Burn{}, err
		}
		for i := range p.Items {
			l = append(l, respond.Judged{Severity: p.Items[i].Severity, Times: p.Items[i].Milestones})
		}
		if f.Cursor = p.Next; f.Cursor == "" {
			break
		}
	}
	return respond.Judge(o, l, now), nil
}

// Health says how the engines are.
func (s *Service) Health(ctx context.Context) server.Health {
	h := server.Health{Ready: true}
	check := func(name string, err error, detail string) {
		c := server.HealthCheck{Name: name, OK: err == nil, Detail: detail}
		if err != nil {
			c.Detail = err.Error()
		}
		h.Checks = append(h.Checks, c)
	}
	for _, t := range s.tenants() {
		x := t.live.Health()
		switch {
		case !t.ready.Load():
			h.Ready = false
			check("engine "+t.id, errors.New("folds again what was known before it stopped"), "")
		case t.failure() != "":
			h.Ready = false
			check("engine "+t.id, errors.New(t.failure()), "")
		default:
			check("engine "+t.id, nil, fmt.Sprintf("%d rounds, %d bytes wait", x.Rounds, x.Waiting))
		}
		for _, what := range slices.Sorted(maps.Keys(x.Troubles)) {
			h.Ready = false
			check("engine "+t.id+": "+what, errors.New(x.Troubles[what]), "")
		}
		st, err := s.bus.Stats(ctx, t.id)
		if err != nil {
			h.Ready = false
		}
		check("queue "+t.id, err, fmt.Sprintf("%d of %d bytes", st.Bytes, st.MaxBytes))
	}
	for _, r := range s.receivers() {
		if f := r.failure(); f != "" {
			check("receiver "+r.receiver.Name(), errors.New(f), "")
		}
	}
	return h
}
