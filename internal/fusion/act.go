package fusion

import (
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// One grave act is seldom a whole attack, and never has the bits of one: nobody went
// on, or nobody saw it. It is an incident all the same if it is not how things are,
// here or anywhere, and if it can be said who did it.

const (
	// actBits is what such an act counts for: whoever asks for more of an incident is
	// not shown it.
	actBits = 12.0
	// actElsewhere is how often its rule may fire for others anywhere.
	actElsewhere = maxQuarantine
	// builtinSource is the source of our own rules.
	builtinSource = "builtin"
	// actMetas bounds what is one act: more than that which came to nothing is not.
	actMetas = 64
	// actNear is how close an act is to an incident at its place to be part of what
	// is looked into anyway.
	actNear = time.Hour
	// actCold is how long an engine that runs on must have watched: before that it
	// knows of nothing how often it happens.
	actCold = 12 * time.Hour
)

// proven says whether c has the bits of an incident, or one alert that is enough
// whatever else is known. Others join it as they join any attack.
func (c *candidate) proven() bool { return c.raised && !c.slight }

// singled raises what stands by itself and was left over, the worst first.
func (e *Engine) singled() {
	var left []*candidate
	for _, c := range e.cands {
		if c.into == nil && !c.gone && e.stands(c) {
			left = append(left, c)
		}
	}
	slices.SortStableFunc(left, func(a, b *candidate) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return a.n - b.n
	})
	for _, c := range left {
		e.single(c)
	}
}

// single raises c, which stands by itself, unless an incident is near it.
func (e *Engine) single(c *candidate) {
	if e.attended(c) || e.routine(c) {
		return
	}
	c.slight = true
	e.raise(c)
}

// stands says whether c has a grave alert of our own rules, which evidence of quiet
// days has shown not to fire there, by a process that is known; or two by whatever
// rules, of one hand and about different events.
func (e *Engine) stands(c *candidate) bool {
	if c.raised || e.opt.Threshold > actBits || len(c.metas) > actMetas || c.mild() {
		return false
	}
	var grave []*meta
	for _, m := range c.metas {
		if !e.telling(m, c) {
			continue
		}
		if m.alerts[0].Rule.Source == builtinSource && m.principal.Type == model.Process {
			return true
		}
		for _, o := range grave {
			if o.principal == m.principal && o.rule() != m.rule() && !sameEvent(o, m) {
				return true
			}
		}
		if len(grave) < maxQuarantine {
			grave = append(grave, m)
		}
	}
	return false
}

// telling says whether m is grave, is the doing of someone known, and of a kind that
// others do neither at its place nor, but for a few, anywhere. What is suppressed is
// not.
func (e *Engine) telling(m *meta, c *candidate) bool {
	if m.level < 3 || m.beside || m.quiet != "" || len(m.alerts[0].Techniques) == 0 {
		return false
	}
	if !m.acts && m.principal.Type != model.User {
		return false
	}
	own := 0
	for _, o := range c.metas {
		if o.kin.any == m.kin.any {
			own++
		}
	}
	return e.firings[m.kin.any]-own <= actElsewhere && e.rates.of(m, c).fired == 0
}

// sameEvent says whether both alerts were raised by one event.
func sameEvent(a, b *meta) bool {
	for _, x := range a.alerts[0].Evidence {
		for _, y := range b.alerts[0].Evidence {
			if x.ID == y.ID {
				return true
			}
		}
	}
	return false
}

// attended says whether an incident is at a place of c at about its time.
func (e *Engine) attended(c *candidate) bool {
	for _, m := range c.metas {
		for _, r := range m.rings {
			for i := range r.list {
				o := r.list[i].c.top()
				if o == c || o.gone || !o.raised || !o.at(m.subject) {
					continue
				}
				if c.first.Sub(o.last) <= actNear && o.first.Sub(c.last) <= actNear {
					return true
				}
			}
		}
	}
	return false
}

// at says whether c has a member at a place.
func (c *candidate) at(place model.EntityKey) bool {
	if c.subjects != nil {
		return c.subjects[place]
	}
	return len(c.metas) > 0 && c.metas[0].subject == place
}
