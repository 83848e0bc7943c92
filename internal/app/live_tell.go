package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
	"github.com/catena-sec/catena/internal/story"
)

// A knownIncident is what was told of an incident. All of it follows from fusion, so that
// a fold that begins again knows it without telling again.
type knownIncident struct {
	Severity model.Severity `json:"severity"`
	Members  int            `json:"members"`
	Alerted  time.Time      `json:"alerted"`
	Arrived  time.Time      `json:"arrived,omitzero"`
	Raised   time.Time      `json:"raised"`
	Next     uint64         `json:"next"` // the round from which on it may be told again
}

// A story of many alerts takes long to tell and changes little with one more.
const (
	tellPerRound = 25  // alerts of an incident for each round that it waits to be told again
	tellMostWait = 240 // rounds
	grownRounds  = 20  // after so many rounds alerts are written again that count more
)

// tell works out what a round comes to and commits it. In a fold that begins again it
// only works out what was known.
func (l *Live) tell(ctx context.Context, r *liveRound, changes []model.Change) error {
	g := l.primary
	again := r.Pos <= l.applied
	c := store.Commit{Offset: r.Pos, Time: r.At, Changes: changes}
	for _, x := range g.changes {
		switch x.Kind {
		case fusion.Merged:
			l.merged(&c, x.Incident, x.Into)
		case fusion.Ended:
			if delete(l.dirty, x.Incident); l.known[x.Incident] != nil {
				delete(l.known, x.Incident)
				c.Withdrawn = append(c.Withdrawn, x.Incident)
				c.Changes = append(c.Changes, model.Change{Kind: model.IncidentEdited, Incident: x.Incident, Time: r.At, Detail: "decisions left nothing of it"})
			}
		case fusion.Raised, fusion.Grown:
			l.dirty[x.Incident] = true
		}
	}
	if len(l.dirty) > 0 {
		for _, x := range g.fuse.Redirects() {
			if l.known[x.From] != nil || l.dirty[x.From] {
				l.merged(&c, x.From, x.To)
			}
		}
	}
	flush := l.rounds%grownRounds == 0 || r.end
	for _, id := range slices.Sorted(maps.Keys(l.dirty)) {
		k := l.known[id]
		if k != nil && l.rounds < k.Next && !r.end {
			continue
		}
		delete(l.dirty, id)
		res := g.fuse.Incident(id)
		if res == nil {
			continue
		}
		if res.ID != id { // found elsewhere: told under that id in the next round
			l.dirty[res.ID] = true
			continue
		}
		why, kind := "", model.IncidentGrown
		if k == nil {
			k = &knownIncident{Raised: r.At}
			l.known[id] = k
			kind, why = model.IncidentRaised, "raised"
		}
		before, had := k.Severity, k.Members
		g.know(k, res)
		k.Next = l.rounds + uint64(min(len(res.Members)/tellPerRound, tellMostWait))
		switch {
		case kind == model.IncidentRaised:
		case before != k.Severity:
			kind, why = model.SeverityChanged, fmt.Sprintf("severity %s, was %s", k.Severity, before)
		default:
			why = grownBy(k.Members - had)
		}
		if again {
			continue
		}
		var in *model.Incident
		l.guard("tell an incident", func() { in = g.tell(res, l.estateNow()) })
		if in == nil {
			continue
		}
		c.Incidents = append(c.Incidents, store.Written{Incident: *in, Why: why, Sources: tellersOf(res), Milestones: k.milestones(in)})
		x := model.Change{Kind: kind, Incident: id, Severity: k.Severity, Time: r.At, Detail: in.Title}
		if kind == model.SeverityChanged {
			x.Before = before
		}
		c.Changes = append(c.Changes, x)
	}
	for _, a := range g.fresh {
		c.Alerts = append(c.Alerts, *a)
		delete(g.grown, a.ID)
	}
	if flush {
		for _, id := range slices.Sorted(maps.Keys(g.grown)) {
			c.Alerts = append(c.Alerts, *g.grown[id])
		}
		clear(g.grown)
	}
	if again || len(c.Alerts)+len(c.Incidents)+len(c.Merged)+len(c.Withdrawn)+len(c.Changes) == 0 && !r.end {
		return nil
	}
	if err := l.commit(ctx, c); err != nil {
		return err
	}
	l.applied = r.Pos
	return nil
}

func grownBy(n int) string {
	switch {
	case n == 1:
		return "1 alert more"
	case n > 1:
		return fmt.Sprintf("%d alerts more", n)
	}
	return "told anew"
}

// merged notes that an incident is part of another.
func (l *Live) merged(c *store.Commit, id, into string) {
	delete(l.dirty, id)
	l.dirty[into] = true
	k := l.known[id]
	if k == nil {
		return
	}
	delete(l.known, id)
	if o := l.known[into]; o != nil {
		o.Next = 0
		if k.Raised.Before(o.Raised) {
			o.Raised = k.Raised
		}
	}
	c.Merged = append(c.Merged, model.Redirect{From: id, To: into, Why: "the evidence, or what analysts decided, makes them one"})
	c.Changes = append(c.Changes, model.Change{Kind: model.IncidentMerged, Incident: id, Into: into, Severity: k.Severity, Time: c.Time})
}

// know takes over what a result says.
func (g *generation) know(k *knownIncident, r *fusion.Result) {
	k.Severity, k.Members = r.Severity, len(r.Members)
	for _, m := range r.Members {
		if at, ok := g.since[m.Alert.ID]; ok && (k.Alerted.IsZero() || at.Before(k.Alerted)) {
			k.Alerted = at
		}
		if len(m.Alert.Evidence) > 0 {
			if at, ok := g.arrived[m.Alert.Evidence[0].ID]; ok && (k.Arrived.IsZero() || at.Before(k.Arrived)) {
				k.Arrived = at
			}
		}
	}
}

func (k *knownIncident) milestones(in *model.Incident) model.Milestones {
	when := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return model.Milestones{Act: when(in.FirstSeen), Arrived: when(k.Arrived), Alerted: when(k.Alerted), Raised: when(k.Raised)}
}

// tellersOf lists the products and formats that show an incident.
func tellersOf(r *fusion.Result) []string {
	seen := map[string]bool{}
	for _, m := range r.Members {
		for _, s := range [...]string{m.Alert.Product, m.Alert.Format} {
			if s != "" {
				seen[s] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// estateNow is the estate of the primary generation as it is in this round.
func (l *Live) estateNow() story.Estate {
	if l.estate == nil || l.estateOf != l.rounds {
		e := l.primary.read.estate(l.primary.app)
		l.estate, l.estateOf = &e, l.rounds
	}
	return *l.estate
}

// commit writes to the store until it takes it, or ctx ends: what cannot be told now is
// told later, and the stream waits meanwhile.
func (l *Live) commit(ctx context.Context, c store.Commit) error {
	return l.insist(ctx, "write incidents to the store", func() error {
		_, _, err := l.cases.Commit(ctx, c)
		if errors.Is(err, store.ErrInvalid) { // it will never be taken: what comes after it must be
			l.log.Error("a round cannot be stored, and is left out", "offset", c.Offset, "error", err)
			_, _, err = l.cases.Commit(ctx, store.Commit{Offset: c.Offset, Time: c.Time})
		}
		return err
	})
}

// insist does what can fail for a while until it succeeds.
func (l *Live) insist(ctx context.Context, what string, do func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := do()
		if err == nil {
			l.trouble(what, nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.trouble(what, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
