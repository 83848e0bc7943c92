package fusion

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A candidate is a campaign that is suspected: one meta or several. Once its score
// reaches the threshold it is an incident.
type candidate struct {
	// What every judgement of an alert near by asks comes first, within a line of cache.
	n        int        // order of birth
	turn     int        // the judgement that came by it last
	into     *candidate // what it was merged into
	metas    []*meta
	score    float64
	gone     bool
	raised   bool
	direct   bool // raised by one alert
	slight   bool // raised without the bits for it, see act.go
	recalled bool // and with those that the ledger remembers
	forced   bool // an incident by decision, whatever speaks for it
	handed   bool // over by another engine
	closed   bool // judged harmless: what comes later is another matter

	seed    *meta
	since   time.Time // when it was raised: the latest event time that had come in
	first   time.Time
	last    time.Time
	raw     float64
	sure    float64 // raw without what is doubted
	judged  float64 // score when it was last held against others
	aliases []string
	tactics []string
	late    bool // holds a tactic from late in an attack
	named   bool // a member names more than its place
	// What follows is made with the second meta, since most candidates stay alone.
	subjects map[model.EntityKey]bool
	groups   map[groupID]int
	share    map[cell]int       // of the rates, to be left out of them
	hands    int                // principals
	lastOf   map[*ring]*meta    // last meta that carries an entity
	ended    bool               // waits to count in its actor's history
	spawn    float64            // highest score
	shown    map[string]float64 // event to the bits it has given already
	bound    []int              // groups of its members that decisions bind
}

// A groupKey names what further alerts of one kind have in common.
type groupKey struct {
	where, rule *entity // nil for any
	word        string  // tactic, or the code of an event
	kind        groupKind
}

// groupKind keeps apart groups by what they have in common.
type groupKind uint8

const (
	byTactic groupKind = iota
	byRule
	byAct
)

// A groupID is the number of a groupKey.
type groupID uint64

// kin are the groups that a meta is in.
type kin struct {
	rule   groupID // its rule at its place
	act    groupID // its rule about one kind of act there, as the code of its event tells
	any    groupID // its rule anywhere
	tactic groupID // its tactic at its place
	source groupID // its rule anywhere by one address, or anywhere if it has another hand
}

// groupKeys returns the groups of m in the order of kin.
func (m *meta) groupKeys() [5]groupKey {
	from := groupKey{rule: m.what, kind: byRule}
	if m.principal.Type == model.IP {
		from.where = m.who
	}
	return [5]groupKey{
		{where: m.where, rule: m.what, kind: byRule},
		{where: m.where, rule: m.what, word: m.alerts[0].Code, kind: byAct},
		{rule: m.what, kind: byRule},
		{where: m.where, word: tacticOf(m), kind: byTactic},
		from,
	}
}

// kinOf numbers the groups of m.
func (e *Engine) kinOf(m *meta) kin {
	var id [5]groupID
	for i, k := range m.groupKeys() {
		if id[i] = e.groups[k]; id[i] == 0 {
			e.lastGroup++
			id[i] = e.lastGroup
			e.groups[k] = id[i]
		}
	}
	return kin{id[0], id[1], id[2], id[3], id[4]}
}

func (c *candidate) id() string { return model.IncidentID(c.seed.alerts[0].ID) }

// top follows merges to the candidate that survived; nil stays nil.
func (c *candidate) top() *candidate {
	for c != nil && c.into != nil {
		c = c.into
	}
	return c
}

// shareOf returns how much of what a cell counts is c's own.
func (c *candidate) shareOf(x cell) int {
	if c.share != nil {
		return c.share[x]
	}
	n := 0
	for _, m := range c.metas { // one at most
		for _, y := range m.counts() {
			if x == y && y != nil {
				n++
			}
		}
		for i := range m.carries {
			if m.carries[i] && &m.cells.carriers[i].by == x {
				n++
			}
		}
	}
	return n
}

// countsAt says whether c may have a share in what is counted at a place.
func (c *candidate) countsAt(p *place) bool {
	return len(c.metas) != 1 || c.metas[0].cells == nil || c.metas[0].cells.place == p
}

// principals returns how many hands c holds, places how many subjects.
func (c *candidate) principals() int { return max(c.hands, min(len(c.metas), 1)) }
func (c *candidate) places() int     { return max(len(c.subjects), min(len(c.metas), 1)) }

// lastWith returns the last meta of c that carries the entity of r, in which c is.
func (c *candidate) lastWith(r *ring) *meta {
	if c.lastOf != nil {
		return c.lastOf[r]
	}
	if len(c.metas) == 0 {
		return nil
	}
	return c.metas[0] // alone, so it is what brought c there
}

// open makes the tables of c, if it has none.
func (c *candidate) open() {
	if c.share != nil {
		return
	}
	c.subjects, c.groups, c.share = map[model.EntityKey]bool{}, map[groupID]int{}, map[cell]int{}
	c.lastOf = map[*ring]*meta{}
	for _, m := range c.metas {
		c.once(m, m.full)
		c.tally(m)
	}
}

// count takes m into c.
func (c *candidate) count(m *meta) {
	c.metas = append(c.metas, m)
	c.named = c.named || !m.plain
	c.forced = c.forced || m.split
	if m.group != 0 && !slices.Contains(c.bound, m.group) {
		c.bound = append(c.bound, m.group)
	}
	for _, t := range m.alerts[0].Tactics {
		if !slices.Contains(c.tactics, t) && len(c.tactics) < maxTactics {
			c.tactics = append(c.tactics, t)
		}
		c.late = c.late || lateTactic(t)
	}
	if c.share != nil {
		c.tally(m)
	}
	c.extend(m)
}

// maxTactics bounds the tactics of a campaign: more than there are says nothing.
const maxTactics = 32

// tally takes m into the tables of c.
func (c *candidate) tally(m *meta) {
	if x := m.cells; x != nil {
		c.learned(m)
		if c.share[x.who] == 0 {
			c.hands++
		}
		c.share[x.who]++
	}
	for _, r := range m.rings {
		if o := c.lastOf[r]; o == nil || m.first.After(o.first) {
			c.lastOf[r] = m
		}
	}
	c.subjects[m.subject] = true
	c.groups[m.kin.rule]++
	c.groups[m.kin.act]++
	if m.gain > 0 { // what says nothing makes nothing else say less
		c.groups[m.kin.any]++
		if m.kin.source != m.kin.any {
			c.groups[m.kin.source]++
		}
		c.groups[m.kin.tactic]++
	}
}

// learned takes in what of the rates is m's: when it is counted, and while alerts come
// when it becomes background.
func (c *candidate) learned(m *meta) {
	x := m.cells
	// A rule that fires here again and again for no one in particular is how
	// things are, whether or not a campaign has taken it in.
	if m.acts || c.share[x.rule] < maxQuarantine {
		for _, y := range m.counts() {
			if y != nil {
				c.share[y]++
			}
		}
	}
	for i := range m.carries {
		if m.carries[i] {
			c.share[&x.carriers[i].by]++
		}
	}
}

func (c *candidate) extend(m *meta) {
	if c.first.IsZero() || m.first.Before(c.first) {
		c.first = m.first
	}
	// What only repeats does not keep a campaign awake.
	if m.rep <= 1 && m.last.After(c.last) || c.last.IsZero() {
		c.last = m.last
	}
}

func tacticOf(m *meta) string {
	if t := m.alerts[0].Tactics; len(t) > 0 {
		return t[0]
	}
	return ""
}

func lateTactic(t string) bool {
	switch t {
	case "exfiltration", "impact", "collection", "lateral-movement", "credential-access":
		return true
	}
	return false
}

func earlyTactic(t string) bool {
	return t == "reconnaissance" || t == "resource-development" || t == "initial-access"
}

// worth discounts what m brings for what c holds already: each further alert of
// one tactic on one subject, and of one rule elsewhere, says less; a rule that
// fires again at its place says much less, unless it is about another kind of act.
func (c *candidate) worth(m *meta, bits float64) float64 {
	gain := bits * math.Pow(.8, float64(c.groups[m.kin.tactic]))
	switch {
	case c.groups[m.kin.act] > 0:
		return gain * .2
	case c.groups[m.kin.rule] > 0:
		return gain * .5
	}
	gain *= math.Pow(.8, float64(c.groups[m.kin.any]))
	if m.kin.source != m.kin.any { // an address that does one thing at place after place is a scanner
		gain *= math.Pow(.4, float64(c.groups[m.kin.source]))
	}
	return gain
}

// echo is what a further rule of high level is worth that matches an event which
// another has matched: mild rules overlap all the time, grave ones seldom agree by
// mistake.
const echo = .2

// once leaves of the bits of m what its events have not given already: several
// rules that match one event are one piece of evidence, and so are several products
// that tell of one act.
func (c *candidate) once(m *meta, bits float64) float64 {
	if c.shown == nil {
		c.shown = map[string]float64{}
	}
	given := 0.0
	act := m.actID()
	if m.same != nil {
		given = c.shown[act]
	}
	seen := given > 0
	for _, a := range m.alerts {
		for _, x := range a.Evidence {
			given = max(given, c.shown[x.ID])
		}
	}
	c.shown[act] = max(c.shown[act], bits)
	for _, a := range m.alerts {
		for _, x := range a.Evidence {
			c.shown[x.ID] = max(c.shown[x.ID], bits)
		}
	}
	if m.level >= 3 && !seen {
		return max(bits-given, echo*bits)
	}
	return max(bits-given, min(bits, 0))
}

// breadth rewards many tactics, and doubts what has none. It does not punish few: a
// theft of credentials that was caught early is one tactic. But where places are all
// that is known, much of one tactic is as well a program that forgot its password.
func (c *candidate) breadth() float64 {
	switch n := len(c.tactics); {
	case n == 0:
		return .6
	case n == 1 && !c.named:
		return .8
	case n > 3:
		return 1.15
	}
	return 1
}

// attach makes m a member of c through a link to parent, nil for the seed.
func (e *Engine) attach(c *candidate, m *meta, parent *meta, l link) {
	m.cand, m.parent = c, parent
	if parent != nil {
		c.open()
	}
	m.rep = c.groups[m.kin.rule] + 1
	if parent != nil {
		m.via, m.bits, m.terms, m.others = l.via, l.bits, l.terms, l.others
		m.full = m.weigh(l.gain)
		m.beside = (parent.beside || m.aside(l.via.class)) && l.via.reason != model.Analyst
		if m.gain = c.worth(m, c.once(m, m.full)); m.beside {
			m.gain = 0 // nearness alone makes neither worse
		}
	} else {
		m.full = m.weigh(e.alone(m))
		m.gain = m.full
	}
	if c.seed == nil {
		c.seed = m
	}
	c.count(m)
	c.gained(m, e.doubt(m))
	e.rescore(c, m)
}

// certain is the score of c without what is doubted.
func (c *candidate) certain() float64 { return c.sure * c.breadth() }

// gained adds what m brings.
func (c *candidate) gained(m *meta, doubt float64) {
	c.raw += m.gain
	c.sure += min(m.gain, m.gain/(1+doubt))
}

// alone is what m says by itself, in bits.
func (e *Engine) alone(m *meta) float64 {
	b := e.rates.of(m, nil)
	return min(seedBits[m.level], max(0, seedBits[m.level]-2*math.Log2(1+float64(b.fired))))
}

// rescore brings the score up to date and raises c when it is high enough.
func (e *Engine) rescore(c *candidate, m *meta) {
	c.score = c.raw * c.breadth()
	c.spawn = max(c.spawn, c.score)
	enough := c.certain() >= e.opt.Threshold
	if m.level == 4 && m.gain >= seedBits[4] && m.parent == nil {
		c.direct, enough = true, true // a critical rule that fired just here is enough alone
	}
	if c.score >= 8 && !c.ended {
		c.ended = true
		e.ended = append(e.ended, c)
	}
	if c.raised {
		c.slight = c.slight && !enough
		e.changed(c, Grown)
		return
	}
	if !enough || c.silent() || e.routine(c) {
		return
	}
	e.raise(c)
}

// doubt is how much less than it says m is worth for raising an incident, since it
// came while an engine that runs on had not seen much: then all that happens
// surprises, and mild things above all. How seldom grave things are is known beforehand.
func (e *Engine) doubt(m *meta) float64 {
	if !e.live {
		return 0
	}
	return doubts[m.level] * math.Exp2(-m.first.Sub(e.begin).Hours()/doubtHours)
}

// doubts are the doubts of the first moment by level; in doubtHours half of it is gone.
var doubts = [5]float64{1.25, 1.25, 1.25, .6, .4}

const doubtHours = 12.0

// raise makes c an incident.
func (e *Engine) raise(c *candidate) {
	c.raised, c.since = true, e.now
	e.stream.turned = true
	if !e.live { // evidence is complete: there was enough when the last of it had come
		for i, m := range c.metas {
			if i == 0 || m.first.After(c.since) {
				c.since = m.first
			}
		}
		return
	}
	id := e.idOf(c)
	e.stream.told[id] = c.seed.alerts[0].ID
	e.changed(c, Raised)
}

// An actor is the history of a user whose work looks like an attack now and then.
type actor struct {
	times int
	most  float64
}

// routineTimes is how often it must have been so: once, if people said so.
const routineTimes = 2

// routine says whether one user dominates c whose earlier work scored as high: it
// then has to exceed that by a good part.
func (e *Engine) routine(c *candidate) bool {
	if c.direct {
		return false
	}
	rest := e.ended[:0]
	for _, o := range e.ended {
		if o.into != nil || o.gone {
			continue
		}
		judged := harmless(e.verdictOn(o))
		if !judged && !o.last.Before(e.now.Add(-6*time.Hour)) {
			rest = append(rest, o)
			continue
		}
		if u := o.dominator(); u.Value != "" {
			a := e.actors[u]
			if a == nil {
				a = &actor{}
				e.actors[u] = a
			}
			if a.times++; judged {
				a.times = max(a.times, routineTimes)
			}
			a.most = max(a.most, o.spawn)
		}
	}
	e.ended = rest
	u := c.dominator()
	if u.Value == "" {
		return false
	}
	a := e.actors[u]
	return a != nil && a.times >= routineTimes && c.score < 1.3*a.most
}

// dominator is the user whom at least six of ten members carry.
func (c *candidate) dominator() model.EntityKey {
	counts := map[model.EntityKey]int{}
	for _, m := range c.metas {
		for i := range m.pivots {
			if m.pivots[i].key.Type == model.User {
				counts[m.pivots[i].key]++
			}
		}
	}
	var best model.EntityKey
	for k, n := range counts {
		if n > counts[best] || (n == counts[best] && k.Less(best)) {
			best = k
		}
	}
	if counts[best]*10 < len(c.metas)*6 {
		return model.EntityKey{}
	}
	return best
}

// mild says whether nothing in c is of high level.
func (c *candidate) mild() bool {
	for _, m := range c.metas {
		if m.level >= 3 {
			return false
		}
	}
	return true
}

// merge joins two candidates through the link from a member of one to a member of
// the other. The raised one survives, else the older, but where they share only the
// place the graver.
func (e *Engine) merge(a, b *candidate, from, to *meta, l link) *candidate {
	a, b = a.top(), b.top()
	if a == b {
		return a
	}
	swap := b.n < a.n
	switch {
	case a.raised != b.raised:
		swap = b.raised
	case l.via.class <= wide && a.score != b.score:
		swap = b.score > a.score // what is only near by stands beside the graver
	}
	if swap {
		a, b, from, to = b, a, to, from
	}
	members := append([]*meta(nil), b.metas...)
	// Much work of another hand, or mild work, that only happened near by.
	beside := l.via.class <= wide && (len(members) > backSmall || b.mild())
	sort.SliceStable(members, func(i, j int) bool { return members[i].n < members[j].n })
	b.into = a
	e.stream.turned = e.stream.turned || b.raised
	if b.raised && b.since.Before(a.since) {
		a.since = b.since
	}
	if b.raised && e.live {
		e.changes = append(e.changes, Change{Incident: e.idOf(b), Kind: Merged, Alert: e.stream.alert, Into: e.idOf(a), At: e.now})
	}
	a.open()
	a.aliases = append(append(a.aliases, b.id()), b.aliases...)
	e.reroot(a, to, from, l)
	for _, m := range members {
		m.cand = a
		m.beside = m.beside || beside && m.acts
		m.rep = a.groups[m.kin.rule] + 1
		if m.gain = a.worth(m, a.once(m, m.full)); m.beside {
			m.gain = 0
		}
		a.count(m)
		a.gained(m, e.doubt(m))
		e.rescore(a, m)
	}
	a.direct = a.direct || b.direct
	a.slight = a.slight && (b.slight || !b.raised) && a.score < e.opt.Threshold
	b.metas = nil
	return a
}

// reroot turns the links on the way from m up to its seed around, so that m hangs
// on parent and every member of its tree keeps a link. A link that is turned is
// weighed again, for it now speaks for its other end.
func (e *Engine) reroot(c *candidate, m, parent *meta, l link) {
	for m != nil {
		up, old := m.parent, link{via: m.via, bits: m.bits, terms: m.terms, others: m.others}
		if l.via.reason != model.Analyst { // whose word does not depend on the direction
			if turned := e.consider(m, parent, c, &l.via); !math.IsInf(turned.bits, 0) {
				l = turned
			}
		}
		m.parent, m.via, m.bits, m.terms, m.others = parent, l.via, l.bits, l.terms, l.others
		m.full, m.link = max(m.full, m.weigh(l.gain)), nil
		parent, m, l = m, up, old
	}
}
