package fusion

import (
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// An engine that runs for months is followed by another now and then, which folds
// from a later beginning. What was raised goes over as it was: its ids, members,
// links and their bits. What was learnt of background does not; the successor learns
// it anew before it takes over.

// dormantAge is how long an incident must have been silent to be forgotten, and not to be
// handed on: what its actors do later is an incident of its own, and the ledger links
// the two.
const dormantAge = 30 * 24 * time.Hour

// A Kept is a raised incident as one engine hands it to the next. It can be written as
// JSON and read again.
type Kept struct {
	ID        string      `json:"id"`
	Seed      string      `json:"seed"` // the alert it began with
	Raised    time.Time   `json:"raised"`
	Score     float64     `json:"score"`
	Direct    bool        `json:"direct,omitempty"`   // by one alert
	Slight    bool        `json:"slight,omitempty"`   // without the bits for it
	Recalled  bool        `json:"recalled,omitempty"` // with those that the ledger remembers
	Closed    bool        `json:"closed,omitempty"`   // judged harmless
	Redirects []string    `json:"redirects,omitempty"`
	Bursts    []KeptBurst `json:"bursts"` // in the order in which they were judged
}

// A KeptBurst is one deduplicated member of a Kept, with the link by which it belongs.
type KeptBurst struct {
	Alerts    []KeptAlert     `json:"alerts"`
	Count     int             `json:"count"`
	First     time.Time       `json:"first"`
	Last      time.Time       `json:"last"`
	Fan       bool            `json:"fan,omitempty"`
	Beside    bool            `json:"beside,omitempty"`
	Subject   model.EntityKey `json:"subject"`
	Principal model.EntityKey `json:"principal"`
	Pivots    []KeptPivot     `json:"pivots"`
	Full      float64         `json:"full"` // bits it would add to an empty campaign
	Gain      float64         `json:"gain"` // and to its own
	Link      *model.Link     `json:"link,omitempty"`
	Via       *KeptPivot      `json:"via,omitempty"`
}

// A KeptAlert is an alert with what its own JSON form leaves out.
type KeptAlert struct {
	Alert   *model.Alert `json:"alert"`
	Tags    []string     `json:"tags,omitempty"`
	Pattern bool         `json:"pattern,omitempty"`
	Act     model.Act    `json:"act,omitempty"`
	Host    string       `json:"host,omitempty"`
	Code    string       `json:"code,omitempty"`
}

// A KeptPivot is something through which a burst can be linked, as memory resolved it.
type KeptPivot struct {
	Key    model.EntityKey `json:"key"`
	Name   string          `json:"name,omitempty"`
	Reason model.Reason    `json:"reason"`
	Class  uint8           `json:"class"`
	Behind bool            `json:"behind,omitempty"`
	Common float64         `json:"common,omitempty"`
}

func keepPivot(v pivot) KeptPivot {
	return KeptPivot{v.key, v.name, v.reason, uint8(v.class), v.behind, v.common}
}

func (k *KeptPivot) pivot() pivot {
	return pivot{key: k.Key, name: k.Name, reason: k.Reason, class: min(class(k.Class), narrow), behind: k.Behind, common: k.Common}
}

// Retained returns the raised incidents that are not dormant, in the order in which
// they began, for an engine that follows this one.
func (e *Engine) Retained() []Kept {
	also := map[*candidate][]string{}
	for id := range e.stream.told {
		if c := e.told(id); c != nil && e.idOf(c) != id {
			also[c] = append(also[c], id)
		}
	}
	var out []Kept
	for _, c := range e.cands {
		if c.into != nil || c.gone || !c.raised || c.last.Before(e.now.Add(-dormantAge)) {
			continue
		}
		k := Kept{ID: e.idOf(c), Seed: c.seed.alerts[0].ID, Raised: c.since, Score: c.score, Direct: c.direct, Slight: c.slight, Recalled: c.recalled, Closed: c.closed, Redirects: also[c]}
		slices.Sort(k.Redirects)
		metas := slices.Clone(c.metas)
		slices.SortFunc(metas, func(a, b *meta) int { return a.n - b.n })
		for _, m := range metas {
			k.Bursts = append(k.Bursts, e.keep(m))
		}
		out = append(out, k)
	}
	return out
}

func (e *Engine) keep(m *meta) KeptBurst {
	b := KeptBurst{Count: m.count, First: m.first, Last: m.last, Fan: m.fan, Beside: m.beside, Subject: m.subject, Principal: m.principal, Full: m.full, Gain: m.gain}
	for _, a := range m.alerts {
		b.Alerts = append(b.Alerts, KeptAlert{a, a.Tags, a.Pattern, a.Act, a.Host, a.Code})
	}
	for _, v := range m.pivots {
		b.Pivots = append(b.Pivots, keepPivot(v))
	}
	if m.parent != nil {
		l, v := e.toLink(m), keepPivot(m.via)
		b.Link, b.Via = &l, &v
	}
	return b
}

// Resume takes over what another engine raised: before the first alert is added, or
// when this engine takes the other's place. Of an incident that this engine holds
// already only what is missing is taken in.
func (e *Engine) Resume(kept []Kept) {
	e.live = true
	e.changes = nil
	e.stream.kept = append(e.stream.kept, kept...)
	e.resume(kept)
	e.changes = nil
}

func (e *Engine) resume(kept []Kept) {
	for i := range kept {
		k := &kept[i]
		c := e.heir(k)
		for j := range k.Bursts {
			b := &k.Bursts[j]
			for _, m := range e.revive(b) {
				e.settleIn(c, m, b)
			}
			c = e.gather(c, b)
		}
		if c.seed == nil { // all of it is excluded, or elsewhere by decision
			c.gone = true
			continue
		}
		if !c.raised {
			e.stream.turned = true
			c.raised, c.since, c.direct, c.slight, c.recalled = true, k.Raised, k.Direct, k.Slight, k.Recalled
			if c.handed {
				c.score = k.Score
			}
			c.slight = c.slight || !c.direct && c.score < e.opt.Threshold
		}
		if k.Raised.Before(c.since) {
			c.since = k.Raised
		}
		c.closed = c.closed || k.Closed && (e.opt.Decisions == nil || harmless(e.verdictOn(c)))
		e.stream.told[e.idOf(c)] = c.seed.alerts[0].ID
		for _, id := range append(k.Redirects, k.ID) {
			if e.stream.told[id] == "" {
				e.stream.told[id] = k.Seed
			}
		}
	}
}

// gather brings into c what this engine saw of b itself and holds elsewhere.
func (e *Engine) gather(c *candidate, b *KeptBurst) *candidate {
	for i := range b.Alerts {
		a := b.Alerts[i].Alert
		if a == nil || e.seen[a.ID] == nil || c.seed == nil {
			continue
		}
		m := e.seen[a.ID]
		o := m.cand.top()
		if o == nil || o == c || o.gone || !o.raised && len(o.metas) > backSmall || e.bind.barsAll(c, o) {
			continue
		}
		from := c.seed
		l := link{via: pivot{key: m.subject, reason: model.CoOccurrence, class: narrow}}
		if b.Link != nil && b.Via != nil {
			l.via, l.bits = b.Via.pivot(), b.Link.Bits
			if x := e.seen[b.Link.From]; x != nil && x.cand.top() == c {
				from = x
			}
		}
		c = e.merge(c, o, from, m, l)
	}
	return c
}

// heir is the candidate that takes over k: the one that holds what it began with, if
// this engine saw that itself, else one of its own.
func (e *Engine) heir(k *Kept) *candidate {
	if m := e.seen[k.Seed]; m != nil && m.cand != nil && !m.cand.top().gone {
		return m.cand.top()
	}
	c := &candidate{n: len(e.cands)}
	e.cands = append(e.cands, c)
	return c
}

// revive makes a burst of what is kept of it and this engine has not seen: several
// where decisions keep its alerts apart.
func (e *Engine) revive(b *KeptBurst) []*meta {
	p := portrait{subject: b.Subject, principal: b.Principal}
	for i := range b.Pivots[:min(len(b.Pivots), maxPivots)] {
		if v := b.Pivots[i].pivot(); !e.opt.Decisions.Blind(v.key) {
			p.pivots = append(p.pivots, v)
		}
	}
	var out []*meta
	for i := range b.Alerts {
		x := &b.Alerts[i]
		if x.Alert == nil || e.seen[x.Alert.ID] != nil || e.opt.Decisions.Excluded(x.Alert) {
			continue
		}
		a := x.Alert
		a.Tags, a.Pattern, a.Act, a.Host, a.Code = x.Tags, x.Pattern, x.Act, x.Host, x.Code
		t := e.bind.told(a)
		at := slices.IndexFunc(out, func(m *meta) bool { return m.admits(t.group) })
		var m *meta
		if at >= 0 {
			m = out[at]
			m.absorb(a)
		} else {
			m = newMeta(a, p)
			m.fan, m.quiet = b.Fan, t.quiet
			m.late = true // what it says of background others were taught, or nobody was
			out = append(out, m)
		}
		e.seen[a.ID] = m
		e.bind.note(m, a)
	}
	for _, m := range out {
		e.admit(m)
		e.place(m)
	}
	return out
}

// settleIn makes m a member of c as it was one before.
func (e *Engine) settleIn(c *candidate, m *meta, b *KeptBurst) {
	if m.first.After(e.now) {
		e.now = m.first
	}
	if e.bind.bars(m, c) {
		e.judge(m)
		return
	}
	defer e.bind.placed(m)
	c.handed = true
	m.cand, m.beside, m.full, m.gain = c, b.Beside, b.Full, b.Gain
	if c.seed == nil {
		c.seed = m
	} else {
		c.open()
		m.parent, m.via = c.seed, pivot{key: m.subject, reason: model.CoOccurrence, class: narrow}
		if b.Link != nil && b.Via != nil {
			if o := e.seen[b.Link.From]; o != nil && o != m && o.cand.top() == c {
				m.parent = o
			}
			m.via, m.bits, m.link = b.Via.pivot(), b.Link.Bits, b.Link
		}
	}
	m.rep = c.groups[m.kin.rule] + 1
	c.count(m)
	c.gained(m, 0) // what another engine knew is no cold start
	c.score = c.raw * c.breadth()
	c.spawn = max(c.spawn, c.score)
	m.remember(c)
}
