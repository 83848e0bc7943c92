package fusion

import (
	"math"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// What is known of background before any evidence, by level from informational to
// critical. Rates are alerts per hour.
var (
	// priorRate is how often alerts of a level fire on one host.
	priorRate = [5]float64{100. / 24, 10. / 24, 1. / 24, .1 / 24, .01 / 24}
	// clusterRate is how often harmless work that fired once goes on firing.
	clusterRate = [5]float64{20, 8, 2, .15, .02}
	// fidelity is how much more an attack than other work is like such an alert.
	fidelity = [5]float64{.25, .5, 1, 2, 4}
	// seedBits is what one alert alone is worth.
	seedBits = [5]float64{-2, -2, 1, 5, 9}
)

const (
	// habitRate is how often harmless work goes on to fire a rule, for each other hand
	// that fired it here.
	habitRate = 8.0
	// priorHours is how many hours of evidence the priors weigh.
	priorHours = 1.0
	// priorEvents is how many alerts the prior of a level weighs: what other rules
	// did in five minutes says little of how often such a level fires here.
	priorEvents = 1.0
	// estateHours is how many hours on other hosts the priors weigh.
	estateHours = 24.0
	// ruleKinds is over how many rules the alerts of one level spread.
	ruleKinds = 16.0
	// maxQuarantine is how often one rule on one subject is kept out of the rates:
	// what an incident holds more often is how things are there.
	maxQuarantine = 3
	// quietGap is the longest silence that counts as time observed.
	quietGap = 30 * time.Minute
)

// An entity is a hub when more than so many actors carry it and they are more
// than this share of all, or when a background alert carries it as likely.
const (
	hubCarriers = 12
	hubShare    = .25
)

type ruleAt struct {
	rule    string
	subject model.EntityKey
}

type levelAt struct {
	level   int
	subject model.EntityKey
}

// An occurrence is one rule firing for one principal at one place in one hour:
// however often it repeats there, it says once that the rule fires.
type occurrence struct {
	rule               string
	subject, principal model.EntityKey
	hour               int64
}

// A doing is a rule, or with an empty rule a level, fired by one principal.
type doing struct {
	rule               string
	level              int
	subject, principal model.EntityKey
}

// maxOwn bounds how much of what a principal does is taken for one piece of work:
// what one process does all day is how things are there.
const maxOwn = 16

// A who is a principal at a place.
type who struct {
	subject, principal model.EntityKey
}

type carriage struct {
	key model.EntityKey
	by  who
}

// exposure is how long something was watched.
type exposure struct {
	last  time.Time
	hours float64
}

func (x *exposure) at(t time.Time) {
	if !x.last.IsZero() {
		if d := t.Sub(x.last); d > 0 {
			x.hours += min(d, quietGap).Hours()
		}
	}
	if t.After(x.last) {
		x.last = t
	}
}

// rates are counts of background. Whoever asks leaves out himself and those whom
// he suspects.
type rates struct {
	priors     map[string]float64
	rules      map[ruleAt]int
	levels     map[levelAt]int         // occurrences
	kinds      map[levelAt]int         // rules: how often something new of a level appears
	own        map[doing]int           // of rules and levels, what single principals contributed
	carriers   map[model.EntityKey]int // distinct principals that carry an entity
	principals map[who]bool
	people     map[model.EntityKey]int // distinct users and sessions seen at a place
	watched    map[model.EntityKey]*exposure
	all        [5]int  // kinds by level everywhere
	many       [5]int  // occurrences by level everywhere
	hours      float64 // watched everywhere
	cold       float64 // how much the priors are raised while a place is new to the engine
	seen       map[occurrence]bool
	carried    map[carriage]bool
}

func newRates(priors map[string]float64) *rates {
	return &rates{priors: priors, rules: map[ruleAt]int{}, levels: map[levelAt]int{}, kinds: map[levelAt]int{}, carriers: map[model.EntityKey]int{}, own: map[doing]int{}, people: map[model.EntityKey]int{},
		principals: map[who]bool{}, watched: map[model.EntityKey]*exposure{}, seen: map[occurrence]bool{}, carried: map[carriage]bool{}}
}

// acted says whether the principal is an actor of its own rather than a place,
// an account or an address at which much goes on.
func (m *meta) acted() bool {
	for i := range m.pivots {
		if m.pivots[i].key == m.principal {
			return m.pivots[i].class == narrow
		}
	}
	return false
}

// measure takes the rates from all metas but those that skip names.
func (r *rates) measure(metas []*meta, skip func(*meta) bool) {
	*r = *newRates(r.priors)
	for _, m := range metas {
		if skip != nil && skip(m) {
			m.fresh, m.novel, m.carries = false, false, nil
			r.watch(m)
			continue
		}
		r.add(m)
	}
}

func (r *rates) watch(m *meta) {
	x := r.watched[m.subject]
	if x == nil {
		x = &exposure{}
		r.watched[m.subject] = x
	}
	h := x.hours
	x.at(m.first)
	x.at(m.last)
	r.hours += x.hours - h
}

// maxRates bounds each table of an engine that runs on; beyond it learning starts
// anew from the priors, which only makes it more cautious for a while.
const maxRates = 4_000_000

// add counts a meta.
func (r *rates) add(m *meta) {
	if len(r.seen) > maxRates || len(r.carried) > maxRates {
		*r = *newRates(r.priors)
	}
	r.watch(m)
	o := occurrence{m.rule(), m.subject, m.principal, m.first.Unix() / 3600}
	if !r.seen[o] {
		r.seen[o] = true
		ra, la := ruleAt{o.rule, o.subject}, levelAt{m.level, o.subject}
		m.fresh, m.novel = true, r.rules[ra] == 0
		r.rules[ra]++
		r.levels[la]++
		r.many[m.level]++
		if m.novel {
			r.kinds[la]++
			r.all[m.level]++
		}
		if m.acted() {
			r.own[doing{o.rule, 0, o.subject, o.principal}]++
			r.own[doing{"", m.level, o.subject, o.principal}]++
			if m.novel {
				r.own[doing{"new", m.level, o.subject, o.principal}]++
			}
		}
	}
	by := who{m.subject, m.principal}
	r.principals[by] = true
	m.carries = make([]bool, len(m.pivots))
	for i := range m.pivots {
		if personal(&m.pivots[i]) {
			c := carriage{m.pivots[i].key, who{subject: m.subject}}
			if !r.carried[c] {
				r.carried[c] = true
				r.people[m.subject]++
			}
		}
		c := carriage{m.pivots[i].key, by}
		if !r.carried[c] {
			r.carried[c] = true
			r.carriers[c.key]++
			m.carries[i] = true
		}
	}
}

// background is what else than the campaign may explain an alert, in rates per hour.
type background struct {
	rule  float64 // of exactly this rule at this place, known or new there
	level float64 // of a rule of this level that is new there
	crowd float64 // of this rule, as far as the crowd of its level tells
	fired int     // how often the rule fired there for others
}

// of returns the background of m at its place, leaving out m and what c holds.
func (r *rates) of(m *meta, c *candidate) background {
	ra, la := ruleAt{m.rule(), m.subject}, levelAt{m.level, m.subject}
	nr, nl, nk := r.rules[ra], r.levels[la], r.kinds[la]
	// What the same process or key does beside is no background of this.
	ownRule, ownLevel, ownKinds := doing{ra.rule, 0, ra.subject, m.principal}, doing{"", m.level, la.subject, m.principal}, doing{"new", m.level, la.subject, m.principal}
	if m.acted() {
		nr -= min(r.own[ownRule], maxOwn)
		nl -= min(r.own[ownLevel], maxOwn)
		nk -= min(r.own[ownKinds], maxOwn)
	} else if m.fresh {
		nr, nl = nr-1, nl-1
		if m.novel {
			nk--
		}
	}
	if c != nil {
		nr -= c.rules[ra] - min(c.own[ownRule], maxOwn)
		nl -= c.levels[la] - min(c.own[ownLevel], maxOwn)
		nk -= c.kinds[la] - min(c.own[ownKinds], maxOwn)
	}
	nr, nl, nk = max(nr, 0), max(nl, 0), max(nk, 0)
	hours := 0.0
	if x := r.watched[m.subject]; x != nil {
		hours = x.hours
	}
	// What is not known of a place is taken from the others, and from the prior.
	prior := priorRate[m.level] * (1 + r.cold)
	elsewhere := estateHours + max(r.hours-hours, 0)
	fresh := (prior*estateHours + float64(max(r.all[m.level]-r.kinds[la], 0))) / elsewhere
	often := (prior*estateHours + float64(max(r.many[m.level]-r.levels[la], 0))) / elsewhere
	b := background{fired: nr, level: (priorEvents + float64(nk)) / (priorEvents/fresh + hours)}
	hours += priorHours
	b.rule = float64(nr)/hours + b.level/ruleKinds
	b.crowd = max(b.rule, float64(nr)/hours+(often*priorHours+float64(nl))/hours/ruleKinds)
	if p, ok := r.priors[m.rule()]; ok {
		p = (p/24*priorHours + float64(nr)) / hours
		b.rule, b.crowd = max(b.rule, p), max(b.crowd, p)
	}
	return b
}

// personal says whether a pivot is someone at a place.
func personal(v *pivot) bool {
	return v.class == shared && (v.key.Type == model.User || v.key.Type == model.Session)
}

// chance is how likely a background alert carries a pivot that m and c share, and
// how many other principals do.
func (e *Engine) chance(v *pivot, m *meta, c *candidate) (p float64, others int) {
	r := e.rates
	n := r.carriers[v.key]
	for i := range m.pivots {
		if m.pivots[i].key == v.key && i < len(m.carries) && m.carries[i] {
			n--
		}
	}
	n = max(n-c.carriersOf(v.key), 0)
	switch v.class {
	case wide:
		return 1, n
	case narrow:
		return float64(1+n) / (64 + float64(e.mem.Kinds(v.key.Type)) + float64(n)), n
	}
	// What a good part of all actors carry binds none of them, even those that one
	// campaign has taken in.
	if all := r.carriers[v.key]; all > hubCarriers && float64(all) > hubShare*float64(len(r.principals)) {
		return 1, n
	}
	total := max(len(r.principals)-c.principals(), n)
	p = (float64(n) + .5) / (float64(total) + 8)
	if all := e.mem.Observed(); all >= 200 {
		p = max(p, float64(e.mem.Seen(v.key, m.first))/float64(all))
	}
	return min(p, 1), n
}

// Time kernels of a campaign: how often it acts again, per hour, dt after its last
// act. Quick, at work, and over days.
func rho(dt time.Duration, subjects int) float64 {
	s := max(dt.Seconds(), 0)
	return 60*math.Exp(-s/300) + 6*math.Exp(-s/7200) + 1*math.Exp(-s/(36*3600))/float64(1+subjects)
}
