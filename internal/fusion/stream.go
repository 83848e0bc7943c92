package fusion

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of how late an alert may come, by the latest time that its product stamped:
// a product that is slow as a whole is not late.
const (
	// lateLearn is from when on an alert is no more background: what was held back
	// somewhere and comes at once says nothing of how often such things are.
	lateLearn = 6 * time.Hour
	// lateMost is from when on it is fused no more: its campaign's neighbours in time
	// may be forgotten. The ledger hears of it, and whoever keeps alerts has it.
	lateMost = 48 * time.Hour
	// maxProducts bounds how many products have a clock of their own.
	maxProducts = 4096
)

// A stream is what an engine that runs on knows beyond what it fused.
type stream struct {
	alert  string               // the one at hand; empty while decisions are obeyed
	log    []*model.Alert       // what is held, in order of arrival
	order  []int                // and the number of each, by arrival
	last   int                  // such number
	closed map[string]int       // incidents judged harmless, by the alert each began with, to last at that time
	told   map[string]string    // id of every incident that was told of, to the alert it began with
	clocks map[string]time.Time // by product: the latest time it stamped
	kept   []Kept               // what the engine began with

	attacks int  // incidents
	turned  bool // that number may have changed
}

func newStream() stream {
	return stream{told: map[string]string{}, clocks: map[string]time.Time{}, closed: map[string]int{}}
}

// rate is how often, an hour and a place, attacks begin, as far as it is known by now.
func (s *stream) rate(e *Engine) float64 {
	if s.turned {
		s.attacks, s.turned = e.attacks(), false
	}
	return float64(max(s.attacks-1, 0)) / (estateHours + e.rates.hours)
}

// late says how far behind the latest of its product an alert comes.
func (s *stream) late(a *model.Alert) time.Duration {
	at, known := s.clocks[a.Product]
	if !known && len(s.clocks) >= maxProducts {
		return 0
	}
	if !known || a.Time.After(at) {
		s.clocks[a.Product] = a.Time
		return 0
	}
	return at.Sub(a.Time)
}

// Add folds one alert and returns what changed. Alerts come roughly in the order of
// their time: one of up to two days before joins what it belongs to, an older one is
// only noted in the ledger, and one whose id was seen does nothing. Stamps of the
// future are for the caller to correct: time runs on by them.
func (e *Engine) Add(a *model.Alert) []Change {
	if a == nil || e.seen[a.ID] != nil || e.opt.Decisions.Excluded(a) {
		return nil
	}
	late := e.stream.late(a)
	if late > lateMost {
		if e.opt.Ledger != nil {
			e.note(newMeta(a, e.sight(a)), a)
		}
		return nil
	}
	e.stream.alert = a.ID
	e.stream.last++
	e.stream.log, e.stream.order = append(e.stream.log, a), append(e.stream.order, e.stream.last)
	e.add(a, late)
	return e.changes
}

func (e *Engine) add(a *model.Alert, late time.Duration) {
	e.live = true
	e.changes = nil
	if e.begin.IsZero() {
		e.begin = a.Time
	}
	if a.Time.After(e.now) {
		e.now = a.Time
	}
	m, isNew := e.dedup.offer(a, e.sight(a), e.bind.told(a))
	e.seen[a.ID] = m
	e.bind.note(m, a)
	if !isNew {
		if e.opt.Ledger != nil && m.fan {
			e.note(m, a)
		}
		if c := m.cand.top(); c != nil && c.raised {
			c.extend(m)
			e.changed(c, Grown)
		}
		return
	}
	m.late = late > lateLearn
	e.admit(m)
	if e.opt.Ledger != nil {
		e.note(m, a)
		e.census(m)
	}
	e.tellers.hear(e, m)
	e.learn()
	e.others = e.stream.rate(e)
	e.judge(m)
	switch c := m.cand.top(); {
	case c.proven():
		e.backfill(c)
		e.join(c)
	case e.grave(c):
		e.join(c)
	}
	if c := m.cand.top(); e.now.Sub(e.begin) >= actCold && e.stands(c) {
		e.single(c)
	}
	e.recall(m.cand.top())
	if c := m.cand.top(); c.forced && e.stream.told[e.idOf(c)] == "" {
		e.stream.told[e.idOf(c)] = c.seed.alerts[0].ID
		e.changed(c, Raised)
	}
	if len(e.metas) > e.opt.MaxMetas {
		e.forget()
	}
}

// recall raises c if what the ledger remembers of its entities is what it misses.
func (e *Engine) recall(c *candidate) {
	if e.opt.Ledger == nil || c.raised || c.certain() < e.opt.Threshold-earlierMost || len(c.metas) < 2 {
		return
	}
	r := e.result(c)
	if e.remember(r, c); r.Raised {
		c.slight, c.recalled = true, true
		e.raise(c)
	}
}

func (e *Engine) changed(c *candidate, k ChangeKind) {
	if !e.live {
		return
	}
	id := e.idOf(c)
	for i := range e.changes {
		if e.changes[i].Incident == id && e.changes[i].Kind != Merged {
			if k == Raised {
				e.changes[i].Kind = k
			}
			return
		}
	}
	e.changes = append(e.changes, Change{Incident: id, Kind: k, Alert: e.stream.alert, At: e.now})
}

// Incident returns the incident that was told of under an id, as it is now: one that
// was merged into another is that other. It is nil if there is none, or no more.
func (e *Engine) Incident(id string) *Result {
	c := e.told(id)
	if c == nil {
		return nil
	}
	r := e.result(c)
	if e.opt.Ledger != nil {
		e.remember(r, c)
	}
	return r
}

// told is the incident that was told of under an id.
func (e *Engine) told(id string) *candidate {
	m := e.seen[e.stream.told[id]]
	if m == nil {
		return nil
	}
	if c := m.cand.top(); c != nil && (c.raised || c.forced) {
		return c
	}
	return nil
}

// Redirects says for each id under which an incident was told of and which it has no
// more, where it is found now; by id.
func (e *Engine) Redirects() []model.Redirect {
	var out []model.Redirect
	for id := range e.stream.told {
		c := e.told(id)
		if c == nil || e.idOf(c) == id {
			continue
		}
		why := "by the evidence, what it began with is part of this incident"
		if len(c.bound) > 0 && len(e.opt.Decisions.Pairs()) > 0 {
			why = "by the evidence and by what analysts decided, what it began with is part of this incident"
		}
		out = append(out, model.Redirect{From: id, To: e.idOf(c), Why: why})
	}
	slices.SortFunc(out, func(a, b model.Redirect) int { return strings.Compare(a.From, b.From) })
	return out
}

// Alerts returns what the engine was given and holds, in order of arrival: with those
// of what it resumed, what decisions can be about. It is the engine's own list.
func (e *Engine) Alerts() []*model.Alert { return e.stream.log }

// learnLag is how long an alert waits before it counts as background, so that an
// attack does not teach the engine that it is normal before it is recognised.
const learnLag = 15 * time.Minute

// quarantineFrom is how long an engine must have watched to keep incidents out of
// what it learns.
const quarantineFrom = 24 * time.Hour

// ownLearned is up to how many members what was learnt of a campaign does not speak
// against it. What goes on is how things are, and would else draw in ever more.
const ownLearned = 32

// learn counts as background what has come long enough ago.
func (e *Engine) learn() {
	for ; e.lag < len(e.metas) && e.metas[e.lag].first.Before(e.now.Add(-learnLag)); e.lag++ {
		m := e.metas[e.lag]
		if !e.teaches(m) {
			continue
		}
		e.rates.add(m)
		if c := m.cand.top(); c != nil && c.share != nil && len(c.metas) <= ownLearned {
			c.learned(m)
		}
	}
}

// dormant are the raised incidents to be forgotten: those that nothing has come to for
// long, and the ones longest silent if all have more members than most.
func (e *Engine) dormant(most int) map[*candidate]bool {
	var raised []*candidate
	for _, c := range e.cands {
		if c.into == nil && !c.gone && c.raised {
			raised = append(raised, c)
		}
	}
	slices.SortFunc(raised, func(a, b *candidate) int { return cmp.Or(b.last.Compare(a.last), cmp.Compare(a.n, b.n)) })
	out := map[*candidate]bool{}
	held := 0
	for _, c := range raised {
		if held += len(c.metas); held > most || c.last.Before(e.now.Add(-dormantAge)) {
			out[c] = true
		}
	}
	return out
}

// forgetMetas is how many members a campaign may have that is forgotten only as a
// whole, when its last has become old.
const forgetMetas = 64

// goOn are the small campaigns that have a member from that meta on, as far as they
// have no more than most members.
func (e *Engine) goOn(from, most int) map[*candidate]bool {
	out := map[*candidate]bool{}
	for _, m := range e.metas[from:] {
		if c := m.cand.top(); !c.raised && !c.gone && !out[c] && len(c.metas) <= min(forgetMetas, most) {
			out[c] = true
			most -= len(c.metas)
		}
	}
	return out
}

// forget drops the older half of the metas, but those of raised incidents that are not
// dormant and of small campaigns that go on.
func (e *Engine) forget() {
	half := len(e.metas) / 2
	dormant, goesOn := e.dormant(half/2), e.goOn(half, half/4)
	kept := make([]*meta, 0, half)
	lag := 0
	for i, m := range e.metas {
		c := m.cand.top()
		stays := i >= half || goesOn[c]
		if c.raised {
			stays = !dormant[c]
		}
		if !stays {
			for _, a := range m.alerts {
				delete(e.seen, a.ID)
			}
			e.dedup.close(m)
			m.gone = true
			c.gone = true
			continue
		}
		if i < e.lag {
			lag++
		}
		m.n = len(kept)
		kept = append(kept, m)
	}
	e.metas, e.lag = kept, lag
	log, order := make([]*model.Alert, 0, len(e.seen)), make([]int, 0, len(e.seen))
	for i, a := range e.stream.log {
		if e.seen[a.ID] != nil {
			log, order = append(log, a), append(order, e.stream.order[i])
		}
	}
	e.stream.log, e.stream.order = log, order
	for seed := range e.stream.closed {
		if e.seen[seed] == nil {
			delete(e.stream.closed, seed)
		}
	}
	groups := map[groupKey]groupID{}
	firings := map[groupID]int{}
	for _, m := range kept {
		for _, k := range m.groupKeys() {
			groups[k] = e.groups[k]
		}
		firings[m.kin.any]++
	}
	e.groups, e.firings = groups, firings
	e.dedup.prune(e.now)
	e.tellers.prune()
	live := e.cands[:0]
	for _, c := range e.cands {
		if c.into == nil && !c.gone {
			live = append(live, c)
		}
	}
	clear(e.cands[len(live):])
	e.cands = live
	for id, seed := range e.stream.told {
		if e.seen[seed] == nil {
			delete(e.stream.told, id)
		}
	}
	e.stream.turned = true
	e.stream.kept = slices.DeleteFunc(e.stream.kept, func(k Kept) bool { return e.seen[k.Seed] == nil })
	e.dropEntities()
}
