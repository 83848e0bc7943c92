package fusion

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// Binds says whether a decision of a kind changes what is fused, and how. All others
// change what is said of it.
func Binds(k model.DecisionKind) bool {
	switch k {
	case model.Comment, model.Assign, model.SetStatus:
		return false
	}
	return true
}

// standing is how an incident stood before decisions changed.
type standing struct {
	seed    string
	since   time.Time
	members uint64 // a digest
	direct  bool
}

// Decide obeys what analysts decided from now on: it folds again, with their decisions,
// what the engine holds, in the order in which it came, and returns what that changed.
// What was raised stays an incident, unless the decisions leave nothing of it that may
// speak. The book is one over Alerts and what comes later.
func (e *Engine) Decide(b *casebook.Book) []Change {
	was := e.standings()
	s := &e.stream
	led := map[string]string{} // ids that lead to another incident, to the alert that one began with
	for id := range s.told {
		if c := e.told(id); c != nil && e.idOf(c) != id {
			led[id] = e.start(c).alerts[0].ID
		}
	}
	begin, now := e.begin, e.now
	log, kept := s.log, s.kept
	e.opt.Decisions = b
	e.reset()
	e.live, e.begin = true, begin
	s.alert, s.clocks, s.turned = "", map[string]time.Time{}, true
	e.resume(kept)
	closing := e.closing()
	for i, a := range log {
		for len(closing) > 0 && s.closed[closing[0]] < s.order[i] {
			e.close(closing[0])
			closing = closing[1:]
		}
		if e.seen[a.ID] == nil && !b.Excluded(a) {
			e.add(a, s.late(a))
		}
	}
	e.now = now
	e.changes = nil
	ids := make([]string, 0, len(was))
	for id := range was {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e.stand(id, was[id])
		e.close(was[id].seed)
	}
	for id, seed := range led {
		if e.told(id) == nil { // what it began with is no incident: it stays where it led
			s.told[id] = seed
		}
	}
	return e.compare(was, ids)
}

// closing are the incidents judged harmless, by the alert each began with, in the order
// in which they were judged. A verdict taken back closes nothing.
func (e *Engine) closing() []string {
	closed := e.stream.closed
	var out []string
	for seed := range closed {
		if harmless(e.opt.Decisions.VerdictOn(seed)) {
			out = append(out, seed)
		} else {
			delete(closed, seed)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(closed[a], closed[b]), strings.Compare(a, b)) })
	return out
}

// close ends an incident that was judged harmless: what comes from then on is not of it.
func (e *Engine) close(seed string) {
	m := e.seen[seed]
	if m == nil || !harmless(e.opt.Decisions.VerdictOn(seed)) {
		return
	}
	if c := m.cand.top(); c != nil && (c.seed == m || e.stream.closed[seed] > 0) {
		c.closed = true
		if e.stream.closed[seed] == 0 {
			e.stream.closed[seed] = max(e.stream.last, 1)
		}
	}
}

// standings are the incidents by id.
func (e *Engine) standings() map[string]standing {
	out := map[string]standing{}
	for _, c := range e.cands {
		if c.into == nil && !c.gone && (c.raised || c.forced) {
			out[e.idOf(c)] = standing{e.start(c).alerts[0].ID, c.since, memberHash(c), c.direct}
		}
	}
	return out
}

// memberHash says whether two campaigns have the same alerts.
func memberHash(c *candidate) uint64 {
	var ids []string
	for _, m := range c.metas {
		for _, a := range m.alerts {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	h := fnv.New64a()
	for _, id := range ids {
		h.Write([]byte(id))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// stand keeps raised what was raised before.
func (e *Engine) stand(id string, was standing) {
	e.stream.told[id] = was.seed
	m := e.seen[was.seed]
	if m == nil {
		return
	}
	c := m.cand.top()
	if c == nil || c.gone || c.silent() {
		return
	}
	if !c.raised {
		e.stream.turned = true
		c.raised, c.slight, c.since, c.direct = true, true, was.since, was.direct
	} else if was.since.Before(c.since) {
		c.since = was.since
	}
}

// compare says what became of incidents, and which are new.
func (e *Engine) compare(was map[string]standing, ids []string) []Change {
	var out []Change
	for _, id := range ids {
		switch c := e.told(id); {
		case c == nil:
			out = append(out, Change{Incident: id, Kind: Ended, At: e.now})
		case e.idOf(c) != id:
			out = append(out, Change{Incident: id, Kind: Merged, Into: e.idOf(c), At: e.now})
		case memberHash(c) != was[id].members:
			out = append(out, Change{Incident: id, Kind: Grown, At: e.now})
		}
	}
	var born []Change
	for _, c := range e.cands {
		if c.into != nil || c.gone || !c.raised && !c.forced {
			continue
		}
		id := e.idOf(c)
		e.stream.told[id] = e.start(c).alerts[0].ID
		if _, old := was[id]; !old {
			born = append(born, Change{Incident: id, Kind: Raised, At: e.now})
		}
	}
	slices.SortFunc(born, func(a, b Change) int { return strings.Compare(a.Incident, b.Incident) })
	return append(out, born...)
}
