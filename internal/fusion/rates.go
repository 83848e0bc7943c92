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

// A cell counts one thing. Whoever counts holds on to it, so that asking costs no
// look-up, and says by it what his own share is.
type cell = *int

// cells are where one alert counts: at its place and, if an actor of its own is
// behind it, in what that actor did there.
type cells struct {
	round    int // of the rates they belong to
	rule     cell
	level    cell // occurrences of its level
	kinds    cell // rules of its level
	ownRule  cell
	ownLevel cell
	ownKinds cell
	who      cell       // how often the principal was counted
	carriers []*carrier // by pivot
	place    *place
}

type ruleAt struct{ rule, subject *entity }

// A place is a subject and what was counted there.
type place struct {
	levels, kinds [5]int
	watch         exposure
	people        int // distinct users and sessions
	visits        int // distinct entities that were shared there
	acts          int // and how often one was
	begin         time.Time
	news          [5]*fading // kinds of plain alerts that were new there, by level
}

// A carrier counts who carries an entity.
type carrier struct {
	by     int // distinct principals
	places int // distinct places
}

// An occurrence is one rule firing for one principal at one place in one hour:
// however often it repeats there, it says once that the rule fires.
type occurrence struct {
	rule, who cell
	hour      int64
}

// A doing is a rule fired by one principal.
type doing struct {
	rule, who cell
}

// A hand is a principal at a place, and what it did there.
type hand struct {
	seen          int
	levels, kinds [5]int
}

// maxOwn bounds how much of what a principal does is taken for one piece of work:
// what one process does all day is how things are there.
const maxOwn = 16

// A who is a principal at a place.
type who struct{ subject, principal *entity }

// A carriage is an entity carried by a principal, or by anyone at a place.
type carriage struct {
	carried, by cell
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
	priors   map[string]float64
	most     int // keys of a table
	room     int // metas for which the tables were made
	round    int // grows when counting starts anew
	rules    map[ruleAt]cell
	own      map[doing]cell // what single principals contributed to a rule
	machines int            // places that are hosts
	sites    map[string]int // and how many of them are in each domain
	hands    map[who]*hand
	visits   int                // entities by distinct place, of those that are shared
	active   int                // principals that were counted
	all      [5]int             // kinds by level everywhere
	many     [5]int             // occurrences by level everywhere
	hours    float64            // watched everywhere
	accounts accounts           // all this of accounts, which are no places on a machine
	large    map[*entity]*sizes // bursts of plain alerts by rule
	larges   sizes              // and of all
	fired    map[cell]*fading   // occurrences of the rules of plain alerts
	cold     float64            // how much the priors are raised while a place is new to the engine
	seen     map[occurrence]bool
	carried  map[carriage]bool
}

func newRates(priors map[string]float64, most int) *rates {
	return &rates{priors: priors, most: most, round: 1, large: map[*entity]*sizes{}, rules: map[ruleAt]cell{}, own: map[doing]cell{}, hands: map[who]*hand{},
		fired: map[cell]*fading{}, sites: map[string]int{}, seen: map[occurrence]bool{}, carried: map[carriage]bool{}}
}

// anew forgets all counts; the tables keep their size.
func (r *rates) anew() {
	clear(r.rules)
	clear(r.own)
	clear(r.hands)
	clear(r.fired)
	clear(r.large)
	clear(r.sites)
	clear(r.seen)
	clear(r.carried)
	*r = rates{priors: r.priors, most: r.most, room: r.room, round: r.round + 1, large: r.large, rules: r.rules, own: r.own, hands: r.hands, fired: r.fired, sites: r.sites, seen: r.seen, carried: r.carried}
}

// prepare makes room for so many metas, lest the tables grow step by step.
func (r *rates) prepare(metas int) {
	if metas <= r.room {
		return
	}
	r.room = metas
	r.rules, r.own, r.hands = make(map[ruleAt]cell, metas), make(map[doing]cell, metas), make(map[who]*hand, metas)
	r.seen, r.carried = make(map[occurrence]bool, metas), make(map[carriage]bool, 2*metas)
}

// knows says whether anything was counted of x.
func (r *rates) knows(x *entity) bool { return x.round == r.round }

// cellOf returns the cell under a key, making it on first sight.
func cellOf[K comparable](m map[K]cell, k K) cell {
	x := m[k]
	if x == nil {
		x = new(int)
		m[k] = x
	}
	return x
}

// cellsOf returns where m counts.
func (r *rates) cellsOf(m *meta) *cells {
	if m.cells != nil && m.cells.round == r.round {
		return m.cells
	}
	for _, x := range [...]*entity{m.where, m.who, m.what} {
		r.carrier(x) // from now on it is known
	}
	p := m.where.place
	if p == nil {
		p = &place{}
		m.where.place = p
		if m.ofAccount() {
			r.accounts.number++
		}
		if m.subject.Type == model.Host {
			r.machines++
			r.sites[siteOf(m.subject.Value)]++
		}
	}
	w := who{m.where, m.who}
	h := r.hands[w]
	if h == nil {
		h = &hand{}
		r.hands[w] = h
	}
	x := &cells{round: r.round, place: p, rule: cellOf(r.rules, ruleAt{m.what, m.where}), level: &p.levels[m.level], kinds: &p.kinds[m.level],
		who: &h.seen, ownLevel: &h.levels[m.level], ownKinds: &h.kinds[m.level], carriers: make([]*carrier, len(m.pivots))}
	x.ownRule = cellOf(r.own, doing{x.rule, x.who})
	for i := range m.pivots {
		x.carriers[i] = r.carrier(m.pivots[i].entity)
	}
	m.cells = x
	return x
}

// carrier returns the counts of an entity, making them on first sight.
func (r *rates) carrier(x *entity) *carrier {
	if x.round != r.round {
		x.carrier, x.place, x.round = &carrier{}, nil, r.round
	}
	return x.carrier
}

// acted says whether the principal is an actor of its own rather than a place,
// an account or an address at which much goes on.
func (p *portrait) acted() bool {
	for i := range p.pivots {
		if p.pivots[i].key == p.principal {
			return p.pivots[i].class == narrow
		}
	}
	return false
}

// measure takes the rates from all metas but those that skip names.
func (r *rates) measure(metas []*meta, skip func(*meta) bool) {
	r.anew()
	r.prepare(len(metas))
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
	p := r.cellsOf(m).place
	if p.begin.IsZero() || m.first.Before(p.begin) {
		p.begin = m.first
	}
	x := &p.watch
	h := x.hours
	x.at(m.first)
	x.at(m.last)
	if m.ofAccount() {
		r.accounts.heard(m)
		return
	}
	r.hours += x.hours - h
}

// ratesOfMeta bounds each table of rates, for each meta that an engine keeps; beyond
// it learning starts anew from the priors, which only makes it more cautious for a while.
const ratesOfMeta = 4

// add counts a meta.
func (r *rates) add(m *meta) {
	if len(r.seen) > r.most || len(r.carried) > r.most {
		r.anew()
	}
	r.watch(m)
	x := m.cells
	if o := (occurrence{x.rule, x.who, m.first.Unix() / 3600}); !r.seen[o] {
		r.seen[o] = true
		m.fresh, m.novel = true, *x.rule == 0
		for _, c := range m.counts() {
			if c != nil {
				*c++
			}
		}
		if m.plain {
			r.addPlain(m, x)
		}
		many, all := &r.many, &r.all
		if m.ofAccount() {
			many, all = &r.accounts.many, &r.accounts.all
		}
		many[m.level]++
		if m.novel {
			all[m.level]++
		}
	}
	if *x.who == 0 {
		r.active++
	}
	*x.who++
	m.carries = make([]bool, len(m.pivots))
	for i, carried := range x.carriers {
		first := false
		if c := (carriage{&carried.by, x.who}); !r.carried[c] {
			r.carried[c] = true
			carried.by++
			m.carries[i], first = true, true
		}
		if v := &m.pivots[i]; first && v.class == shared {
			x.place.acts++
			if c := (carriage{&carried.by, &x.place.people}); !r.carried[c] {
				r.carried[c] = true
				x.place.visits++
				carried.places++
				r.visits++
				if personal(v) {
					x.place.people++
				}
			}
		}
	}
}

// counts returns the cells in which m counts, nil where it does not: what came
// before it in the same hour may have counted already.
func (m *meta) counts() (out [6]cell) {
	x := m.cells
	if !m.fresh || x == nil {
		return out
	}
	out[0], out[1] = x.rule, x.level
	if m.novel {
		out[2] = x.kinds
	}
	if m.acts {
		out[3], out[4] = x.ownRule, x.ownLevel
		if m.novel {
			out[5] = x.ownKinds
		}
	}
	return out
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
	if m.plain {
		return r.plainOf(m)
	}
	return r.mean(m, c)
}

// mean is of for a meta that names more than its place, or that is held against a
// campaign that does: what is known of that campaign is no new sensor's novelty.
func (r *rates) mean(m *meta, c *candidate) background {
	x := r.cellsOf(m)
	nr, nl, nk := r.besides(m)
	if c != nil && c.countsAt(x.place) {
		nr -= c.shareOf(x.rule) - min(c.shareOf(x.ownRule), maxOwn)
		nl -= c.shareOf(x.level) - min(c.shareOf(x.ownLevel), maxOwn)
		nk -= c.shareOf(x.kinds) - min(c.shareOf(x.ownKinds), maxOwn)
	}
	return r.given(m, max(nr, 0), max(nl, 0), max(nk, 0))
}

// butOne is the least that mean returns for m and any candidate of one meta.
func (r *rates) butOne(m *meta) background {
	nr, nl, nk := r.besides(m)
	return r.given(m, max(nr-1, 0), max(nl-1, 0), max(nk-1, 0))
}

// besides returns how often the rule of m, rules of its level, and how many of these
// fired at its place but for m.
func (r *rates) besides(m *meta) (nr, nl, nk int) {
	x := r.cellsOf(m)
	nr, nl, nk = *x.rule, *x.level, *x.kinds
	if m.acts { // what the same process or key does beside is no background of this
		nr -= min(*x.ownRule, maxOwn)
		nl -= min(*x.ownLevel, maxOwn)
		nk -= min(*x.ownKinds, maxOwn)
	} else if m.fresh {
		nr, nl = nr-1, nl-1
		if m.novel {
			nk--
		}
	}
	return nr, nl, nk
}

// least bounds from below what of returns for m, in any campaign.
func (r *rates) least(m *meta) float64 {
	rule := r.given(m, 0, 0, 0).rule
	if m.plain {
		rule = min(rule, r.plainOf(m).rule)
	}
	return rule
}

// given returns the background of m when its rule fired nr times at its place for
// others, rules of its level nl times, and nk of these rules were seen there.
func (r *rates) given(m *meta, nr, nl, nk int) background {
	x := r.cellsOf(m)
	hours := x.place.watch.hours
	// What is not known of a place is taken from the others, and from the prior.
	prior := priorRate[m.level] * (1 + r.cold)
	all, many, watched := r.all[m.level], r.many[m.level], r.hours
	if m.ofAccount() {
		all, many, watched = r.accounts.all[m.level], r.accounts.many[m.level], r.accounts.hours()
	}
	elsewhere := estateHours + max(watched-hours, 0)
	fresh := (prior*estateHours + float64(max(all-*x.kinds, 0))) / elsewhere
	often := (prior*estateHours + float64(max(many-*x.level, 0))) / elsewhere
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
	x := r.cellsOf(m)
	i := m.index(v.entity)
	var carried *carrier
	if i >= 0 {
		carried = x.carriers[i]
	} else {
		carried = r.carrier(v.entity)
	}
	all := carried.by
	n := all - c.shareOf(&carried.by)
	if i >= 0 && i < len(m.carries) && m.carries[i] {
		n--
	}
	n = max(n, 0)
	switch v.class {
	case near, wide:
		return 1, n
	case narrow:
		return float64(1+n) / (64 + float64(e.mem.Kinds(v.key.Type)) + float64(n)), n
	}
	// What a good part of all actors carry binds none of them, even those that one
	// campaign has taken in.
	if all > hubCarriers && float64(all) > hubShare*float64(r.active) {
		return 1, n
	}
	total := max(r.active-c.principals(), n)
	p = (float64(n) + .5) / (float64(total) + 8)
	return min(max(p, v.common), 1), n
}

// elsewhere is how likely what m carries turns up on its host in background, if a
// campaign that was on another may turn up with it on any alike. Where many come
// and go, and what goes everywhere, says little by it.
func (e *Engine) elsewhere(v *pivot, m *meta, c *candidate) float64 {
	been := 0
	if i := m.index(v.entity); i >= 0 {
		been = max(e.rates.cellsOf(m).carriers[i].places-c.places()-1, 0)
	}
	return e.newThere(m, been)
}

// newThere is elsewhere for what was on so many other hosts.
func (e *Engine) newThere(m *meta, been int) float64 {
	r := e.rates
	x := r.cellsOf(m)
	newcomer := float64(1+x.place.visits) / float64(2+x.place.acts)
	who := (float64(been) + .5) / float64(8+r.visits)
	return min(newcomer*who*float64(r.machines), 1)
}

// Time kernels of a campaign: how often it acts again, per hour, dt after its last
// act. Quick, at work, and over days.
func rho(dt time.Duration, subjects int) float64 {
	s := max(dt.Seconds(), 0)
	return 60*math.Exp(-s/300) + 6*math.Exp(-s/7200) + 1*math.Exp(-s/(36*3600))/float64(1+subjects)
}
