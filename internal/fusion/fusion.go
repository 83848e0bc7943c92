// Package fusion makes incidents of alerts. It treats correlation as attribution:
// an alert is either background, or it comes from a campaign already suspected,
// and it joins the campaign when that explains it better. Both explanations are
// rates, so the comparison is in bits:
//
//	bits = log2 rate of the campaign at that distance in time
//	     + log2 fidelity of the rule and weak prior of its tactic
//	     - log2 background rate of the rule at that place
//	     - log2 chance that a background alert carries what both share
//
// What fires everywhere, and what everything carries, gives few bits and so glues
// nothing. Every member but the seed has a link that says why, with these terms.
//
// The package is a pure fold: no clock, no randomness, no order of a map. Run
// judges evidence that is complete, taking the rates from the evidence itself;
// Add folds one alert at a time and learns as it goes.
package fusion

import (
	"slices"
	"sort"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
)

// Options set up an Engine; a zero field means its default.
type Options struct {
	// Memory resolves identities and what stands behind them. Run takes its own.
	Memory *graph.Memory
	// Threshold is how many bits make an incident (12).
	Threshold float64
	// Priors are measured background rates by rule id, per day and host. They
	// replace the prior of the rule's level.
	Priors map[string]float64
	// MaxMetas bounds how many deduplicated alerts Add keeps (1,000,000); the
	// oldest outside of raised incidents are forgotten first.
	MaxMetas int
	// Ledger is the memory of what came long before; Run and Add ask it and tell it of
	// the alerts. To be told twice changes nothing in it, so a fold that is begun again
	// over the ledger as it was when the fold began comes to the same: whoever runs on
	// writes what it learnt only where the fold is never begun again before.
	// nil means that there is none.
	Ledger Ledger
	// Decisions are what analysts decided, worked out over the alerts; nil means
	// nothing.
	Decisions *casebook.Book
}

// Tier says how firmly a member belongs.
type Tier string

// The tiers: core members make the incident; context is weakly linked or says
// little, and is shown beside it.
const (
	Core    Tier = "core"
	Context Tier = "context"
)

// A Member is an alert of an incident.
type Member struct {
	Alert *model.Alert
	Tier  Tier
	Gain  float64 // bits it adds to the score
	// Same is the id of the alert that told of the same act first, if another product
	// or rule did: the story tells the act once, and it counts once.
	Same string
}

// A Result is one incident, or with Raised false one that almost was.
type Result struct {
	ID         string       // model.IncidentID of Seed; of incidents that decisions joined, the oldest's
	Seed       string       // id of the alert it began with
	Members    []Member     // by time, then id
	Links      []model.Link // one for every alert but the seed
	ScoreTerms []model.Term
	Bits       float64
	Score      int // 0..100
	Severity   model.Severity
	Raised     bool
	First      time.Time
	Last       time.Time
	RaisedAt   time.Time // the latest event time that had come in when there was enough; zero if not raised
	Aliases    []string  // ids of incidents that were merged into it
	Earlier    []Earlier // what a ledger remembers of its entities, the most telling first
}

// A Change is what one alert did to an incident.
type Change struct {
	Incident string
	Kind     ChangeKind
	Alert    string    // the alert that did it; empty if a decision did
	Into     string    // for Merged: the incident that survives
	At       time.Time // the latest event time that had come in
}

// ChangeKind is how an incident changed.
type ChangeKind string

// The changes.
const (
	Raised ChangeKind = "raised"
	Grown  ChangeKind = "grown"
	Merged ChangeKind = "merged"
	Ended  ChangeKind = "ended" // decisions left nothing of it that may speak
)

// Engine is one fold. It is not safe for concurrent use.
type Engine struct {
	opt     Options
	mem     *graph.Memory
	rates   *rates
	dedup   dedup
	tellers tellers
	bind    bind
	metas   []*meta
	cands   []*candidate
	index   map[model.EntityKey]*entity
	folds   int // so far
	groups  map[groupKey]groupID
	firings map[groupID]int // metas by rule, wherever
	turn    int             // judgements so far
	others  float64         // attacks beside the one at hand that begin, an hour and a place
	offers  []offer         // of the judgement at hand
	actors  map[model.EntityKey]*actor
	ended   []*candidate     // dominated by one user, waiting to count against him
	seen    map[string]*meta // by alert
	changes []Change
	live    bool
	now     time.Time
	begin   time.Time
	lag     int // metas learnt so far
	stream  stream

	lastGroup groupID
}

// New returns an engine without memory of alerts.
func New(o Options) *Engine {
	if o.Threshold <= 0 {
		o.Threshold = 12
	}
	if o.MaxMetas <= 0 {
		o.MaxMetas = 1_000_000
	}
	e := &Engine{opt: o, mem: o.Memory}
	if e.mem == nil {
		e.mem = graph.New(graph.Options{})
	}
	e.reset()
	e.stream = newStream()
	return e
}

func (e *Engine) reset() {
	e.rates = newRates(e.opt.Priors, ratesOfMeta*e.opt.MaxMetas)
	e.dedup = newDedup()
	e.tellers = newTellers()
	e.bind = newBind(e.opt.Decisions)
	e.metas, e.seen = nil, map[string]*meta{}
	e.groups, e.firings = map[groupKey]groupID{}, map[groupID]int{}
	e.index = map[model.EntityKey]*entity{}
	e.restart()
}

// restart forgets what was fused but not the alerts.
func (e *Engine) restart() {
	e.cands, e.ended, e.changes = nil, nil, nil
	e.folds++ // which empties the rings
	e.actors = map[model.EntityKey]*actor{}
	e.now, e.lag = time.Time{}, 0
	e.bind.first = map[int]*meta{}
}

// Run fuses complete evidence: alerts in any order and what memory knows of the
// acts around them. It looks twice: first with rates of all of the evidence, then
// without what turned out to be an attack, so that an attack that fills a short
// capture is not taken for the way things are there; a third time if decisions link
// alerts, so that the ids of what was there without them stay. The worst come first;
// those not raised follow the raised ones and have at least half of the bits.
func (e *Engine) Run(alerts []*model.Alert, mem *graph.Memory) []*Result {
	e.reset()
	if mem != nil {
		e.mem = mem
	}
	e.live = false
	sorted := append([]*model.Alert(nil), alerts...)
	sort.SliceStable(sorted, func(i, j int) bool { return before(sorted[i], sorted[j]) })
	for _, a := range sorted {
		if a == nil || e.seen[a.ID] != nil || e.opt.Decisions.Excluded(a) {
			continue
		}
		m, isNew := e.dedup.offer(a, e.sight(a), e.bind.told(a))
		e.seen[a.ID] = m
		e.bind.note(m, a)
		if isNew {
			e.admit(m)
		}
	}
	if len(e.metas) > 0 {
		e.begin = e.metas[0].first
	}
	if slices.ContainsFunc(e.metas, func(m *meta) bool { return teller(m.alerts[0]) != "" }) { // our own alone tell nothing twice
		for _, m := range e.metas {
			e.tellers.hear(e, m)
		}
	}
	e.bind.eager = false
	e.rates.measure(e.metas, func(m *meta) bool { return m.torn })
	e.others = 0
	e.fold()
	if slices.ContainsFunc(e.metas, quarantined) { // else a second look would see the same
		e.others = e.otherAttacks()
		e.rates.measure(e.metas, func(m *meta) bool { return m.torn || quarantined(m) })
		e.restart()
		e.fold()
	}
	e.singled()
	if len(e.opt.Decisions.Pairs()) > 0 {
		e.bind.remember(e.metas)
		e.bind.eager = true
		e.restart()
		e.fold()
		e.singled()
	}
	return e.withEarlier(e.Incidents())
}

// quarantined says whether a meta stays out of the rates: it belongs to an
// incident, and is not the same thing over and over.
func quarantined(m *meta) bool { return m.cand != nil && m.cand.top().raised && m.rep <= maxQuarantine }

// otherAttacks is how often, an hour and a place, something begins that is neither
// background nor the campaign at hand: what is rare as background is no sign of one
// attack where there are several.
func (e *Engine) otherAttacks() float64 {
	return float64(max(e.attacks()-1, 0)) / (estateHours + e.rates.hours)
}

// attacks counts the incidents.
func (e *Engine) attacks() int {
	n := 0
	for _, c := range e.cands {
		if c.into == nil && !c.gone && c.raised {
			n++
		}
	}
	return n
}

func (e *Engine) fold() {
	for _, m := range e.metas {
		m.unlink()
	}
	for _, m := range e.metas {
		e.now = m.first
		e.judge(m)
	}
	e.settle()
}

// admit takes in a new meta and what holds of it whatever it is held against.
func (e *Engine) admit(m *meta) {
	m.n = len(e.metas)
	e.identify(m)
	m.kin = e.kinOf(m)
	e.firings[m.kin.any]++
	if all := e.mem.Observed(); all >= 200 {
		for i := range m.pivots {
			if v := &m.pivots[i]; v.class == shared {
				v.common = float64(e.mem.Seen(v.key, m.first)) / float64(all)
			}
		}
	}
	e.metas = append(e.metas, m)
}

// before orders alerts by time, then id.
func before(a, b *model.Alert) bool {
	if a == nil || b == nil {
		return a != nil
	}
	if !a.Time.Equal(b.Time) {
		return a.Time.Before(b.Time)
	}
	return a.ID < b.ID
}
