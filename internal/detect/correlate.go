package detect

import (
	"slices"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// Alerts says whether rule i alerts by itself: a rule that only correlations use
// does not.
func (e *Engine) Alerts(i int) bool { return e.set.Generates(i) }

// Correlated says whether a correlation uses rule i.
func (e *Engine) Correlated(i int) bool { return e.set.Correlated(i) }

// maxCorrelated bounds the observations remembered as evidence of correlations.
const maxCorrelated = 1 << 17

// Correlations runs the correlation rules of an engine over the ordered stream.
// It is not safe for concurrent use.
type Correlations struct {
	e    *Engine
	c    *sigma.Correlator
	seen map[string]*model.Observation
	old  []string // ids of seen, in order
}

// Correlations returns the correlation rules with nothing seen yet.
func (e *Engine) Correlations() *Correlations {
	return &Correlations{e: e, c: sigma.NewCorrelator(e.set, sigma.CorrelatorOptions{}), seen: map[string]*model.Observation{}}
}

// Observe takes a match of rule i, with the values of the event's fields by name,
// and returns the alerts that it completes.
func (c *Correlations) Observe(i int, o *model.Observation, fields map[string][]string) []*model.Alert {
	if len(c.old) >= maxCorrelated {
		half := len(c.old) / 2
		for _, id := range c.old[:half] {
			delete(c.seen, id)
		}
		c.old = slices.Clone(c.old[half:])
	}
	if c.seen[o.Event] == nil {
		c.seen[o.Event] = o
		c.old = append(c.old, o.Event)
	}
	var out []*model.Alert
	for _, m := range c.c.Add(sigma.Event{Rule: i, Time: o.Time, ID: o.Event, Fields: func(name string) []string { return fields[name] }}) {
		if !m.First || !c.e.set.Generates(m.Rule) {
			continue
		}
		var items []*model.Observation
		for _, id := range m.Events {
			if it := c.seen[id]; it != nil {
				items = append(items, it)
			}
		}
		if len(items) == 0 {
			items = []*model.Observation{o}
		}
		a := fromMany(items, o)
		a.Time, a.End = m.Start, m.Time
		a = Finish(c.e.defs[m.Rule], o, a)
		if t := c.e.rules[m.Rule].Correlation.Type; t == sigma.Temporal || t == sigma.TemporalOrdered {
			a.Pattern, a.Act = true, model.ActNone
		}
		out = append(out, a)
	}
	return out
}
