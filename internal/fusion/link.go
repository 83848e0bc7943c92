package fusion

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// terms are the parts of a link's bits.
type terms struct {
	time, entity, fidelity, stage, background, cluster float64
}

// A link is the case for m belonging to a campaign.
type link struct {
	via    pivot
	bits   float64 // against independent background
	gain   float64 // against the likelier of that and harmless work, before discounts
	terms  terms
	others int
}

// Thresholds of links, in bits.
const (
	linkMost  = 8.0 // for a campaign that nothing else speaks for
	linkLeast = 5.0 // for one that is proven
	linkWide  = 8.0 // when only the place is shared
	linkNear  = 3.0 // when not even the place is, for an incident
	linkBare  = 2.5 // when the place is all that either tells, for a campaign that is proven
	mergeBits = 8.0 // for a second campaign that the same alert fits
	backBits  = 4.0 // for what came before a campaign was raised
	joinBits  = 6.0 // for a candidate as a whole
	gainMost  = 12.0
	maxWindow = 4 * 24 * time.Hour
	backReach = 48 * time.Hour
)

// since is the time between m and a member o of a campaign, whichever came first.
func since(m, o *meta) time.Duration {
	dt := m.first.Sub(o.last)
	if dt < 0 {
		dt = max(o.first.Sub(m.last), 0)
	}
	return dt
}

// consider weighs the link of m to member o of c through v.
func (e *Engine) consider(m, o *meta, c *candidate, v *pivot) link {
	if v.entity == nil { // not of a meta, but of what was kept of one
		w := *v
		w.entity = e.named(v.key)
		v = &w
	}
	rate := rho(since(m, o), c.places())
	share := .5
	elsewhere := m.where != o.where
	if elsewhere {
		share = .4
	}
	if v.class == near {
		share = .4 / float64(max(e.rates.sites[v.key.Value], 1)) // which of its hosts is open
	}
	b := e.rates.of(m, c)
	if m.plain && !o.plain {
		b = e.rates.mean(m, c)
	}
	p, others := e.chance(v, m, c)
	if personal(v) && !elsewhere && m.subject.Type == model.Host {
		// On one machine its few users say little, and nothing at all beside two
		// programs that are known: that is the place once more.
		p = max(p, 1/float64(1+m.cells.place.people))
		if p > hubShare || m.acts && o.acts {
			w := *v
			v, w.class, p = &w, wide, 1
		}
	}
	if v.class == shared && elsewhere && m.subject.Type == model.Host && o.subject.Type == model.Host {
		p = max(p, e.elsewhere(v, m, c))
	}
	if v.class == shared && p > hubShare {
		return link{bits: math.Inf(-1)}
	}
	rule := b.rule
	bare := m.plain && o.plain // nothing but the place is known of either: it is not what is left
	if v.class <= wide && !bare {
		rule = b.crowd // where much goes on, being near says little
	}
	rule += e.others / ruleKinds
	w := m.fidelity()
	goesOn := clusterRate[m.level]
	if bare { // sensors that say so little grade by what it would mean, not by how often it is meant
		w = math.Sqrt(w)
		goesOn = math.Sqrt(goesOn * clusterRate[2])
	}
	goesOn *= strays(m, c, since(m, o))
	t := terms{
		time:       math.Log2(rate * share),
		entity:     math.Log2(kept(v, since(m, o), p) / p),
		fidelity:   math.Log2(w),
		stage:      stage(m, c),
		background: -math.Log2(rule * ruleKinds),
	}
	if m.plain {
		t.background += e.rates.surge(m)
	}
	l := link{via: *v, others: others}
	l.bits = t.time + t.entity + t.fidelity + t.stage + t.background
	// Harmless work that starts also goes on, at the same place and hands: its
	// rate stands beside the background's, and what is shared does not count.
	busy := t.time + t.fidelity + t.stage - math.Log2(goesOn+rule*ruleKinds+habitRate*float64(b.fired))
	l.gain = min(max(min(l.bits-linkLeast+1, busy), 0), gainMost)
	t.cluster = min(l.gain-l.bits, 0)
	l.terms = t
	return l
}

// fidelity is how much more an attack than other work is like m.
func (m *meta) fidelity() float64 {
	w := fidelity[m.level]
	if len(m.alerts[0].Techniques) == 0 && len(m.alerts[0].Tactics) == 0 {
		w /= 2
	}
	return w
}

// lease is the half-life of an address in one hand: providers give it to the next.
const lease = 24 * time.Hour

// kept is how likely a campaign that carried v carries it dt later: still, or by
// chance as anyone does.
func kept(v *pivot, dt time.Duration, chance float64) float64 {
	if v.key.Type != model.IP {
		return 1
	}
	still := fade(int64(dt.Seconds()), lease)
	return still + (1-still)*chance
}

// stageMost is the most that a tactic says for a link, in bits.
const stageMost = .5

// stage is a weak prior of at most one bit: attacks widen to new tactics, and
// seldom return to the door once they are inside. Order decides nothing.
func stage(m *meta, c *candidate) float64 {
	tactics := m.alerts[0].Tactics
	if len(tactics) == 0 {
		return 0
	}
	fresh, early := false, true
	for _, t := range tactics {
		fresh = fresh || !slices.Contains(c.tactics, t)
		early = early && earlyTactic(t)
	}
	if early && c.late {
		return -1
	}
	if fresh {
		return stageMost
	}
	return 0
}

// threshold is what a link needs: less, the more speaks for the campaign already.
func threshold(v class, bare bool, candidates int, score float64) float64 {
	if v == near {
		return linkNear
	}
	return max(linkMost+.5*math.Log2(float64(max(candidates, 1)))-.3*score, floor(v, bare))
}

// floor is the least that a link ever needs.
func floor(v class, bare bool) float64 {
	switch {
	case v == near:
		return linkNear
	case v == wide && bare:
		return linkBare
	case v == wide:
		return linkWide
	}
	return linkLeast
}

// A ring holds the campaigns that last carried an entity, each with place and end of
// the meta with which it was put there: of one alone that tells most, without a look
// at it.
type ring struct {
	list []carrying
	all  []*meta // recent metas, for looking back
}

// A carrying is a campaign in a ring.
type carrying struct {
	c     *candidate
	where *entity
	last  int64 // Unix nanoseconds; 0 if the meta may go on
}

const (
	ringSize = 12
	ringBack = 256
)

// prune drops what is over and who is forgotten.
func (r *ring) prune() {
	r.tidy()
	all := r.all[:0]
	for _, m := range r.all {
		if !m.gone {
			all = append(all, m)
		}
	}
	clear(r.all[len(all):])
	r.all = all
}

// tidy drops campaigns that are over, and those that were merged into one that is there.
func (r *ring) tidy() {
	list := r.list[:0]
	for _, x := range r.list {
		if x.c = x.c.top(); !x.c.gone && !has(list, x.c) {
			list = append(list, x)
		}
	}
	clear(r.list[len(list):])
	r.list = list
}

func has(l []carrying, c *candidate) bool {
	for i := range l {
		if l[i].c == c {
			return true
		}
	}
	return false
}

// push notes that c carries the entity through m. A full ring lets the least of
// its older half go, so that a busy place does not push an attack out.
func (r *ring) push(c *candidate, m *meta) {
	if len(r.all) >= ringBack {
		r.all = append(r.all[:0], r.all[ringBack/4:]...)
	}
	r.all = append(r.all, m)
	if i := slices.IndexFunc(r.list, func(x carrying) bool { return x.c == c }); i >= 0 {
		r.list = slices.Delete(r.list, i, i+1)
	}
	if len(r.list) >= ringSize {
		r.tidy()
	}
	if len(r.list) >= ringSize {
		least := 0
		for i := 1; i < len(r.list)/2; i++ {
			if r.list[i].c.score < r.list[least].c.score {
				least = i
			}
		}
		r.list = slices.Delete(r.list, least, least+1)
	}
	x := carrying{c: c, where: m.where}
	if !m.open {
		x.last = m.last.UnixNano()
	}
	r.list = append(r.list, x)
}

// An offer is a campaign that would take in a meta.
type offer struct {
	c    *candidate
	o    *meta
	link link
	over float64 // bits beyond what the link needs: what speaks for the campaign itself counts too
}

// judge lets m join the campaign that explains it best, joins campaigns that it
// fits alike, or makes it the seed of a new one.
func (e *Engine) judge(m *meta) {
	e.place(m)
	total := e.around(m)
	most := e.atMost(m)
	var here, there background // as far as a candidate of one meta explains, at the place of m and elsewhere
	if !m.plain {
		here, there = e.rates.butOne(m), e.rates.mean(m, nil)
	}
	fit, began := e.offers[:0], m.first.UnixNano()
	for i, r := range m.rings {
		v := &m.pivots[i]
		if m.aside(v.class) {
			continue // of another hand: on its own until it is clear whose it is
		}
		best := most + e.binds(v, m)
		if best+quickest < floor(v.class, m.plain) {
			continue
		}
		away := best // to a member on another host
		if v.class == shared && m.subject.Type == model.Host {
			away = min(best, most-math.Log2(e.newThere(m, 0)))
		}
		lone := bound{best, best}
		if !m.plain {
			lone = e.ofOne(m, i, here, there)
		}
		for j := range r.list {
			x := &r.list[j]
			c := x.c.top()
			if c.gone || len(c.metas) == 0 || v.class == near && !c.proven() {
				continue
			}
			if v.class == wide && m.acts && c.raw <= 0 {
				continue // nothing speaks for it, and only the place for m
			}
			need := threshold(v.class, m.plain, total, c.score)
			if best+quickest < need {
				continue
			}
			most := best
			if c == x.c && len(c.metas) == 1 {
				if most = min(best, lone.away); x.where == m.where {
					most = min(best, lone.here)
				}
				if most+quickest < need || x.last != 0 && most+math.Log2(rho(time.Duration(began-x.last), 1)*.5) < need {
					continue
				}
			}
			if e.bind.bars(m, c) {
				continue
			}
			o := c.lastWith(r)
			if o == nil || o == m || m.first.Sub(o.last) > maxWindow {
				continue
			}
			need = threshold(v.class, m.plain && o.plain, total, c.score)
			if v.class == shared && o.where != m.where && o.subject.Type == model.Host {
				most = min(most, away)
			}
			if most+quickest < need || most+math.Log2(rho(since(m, o), c.places())*.5) < need {
				continue
			}
			l := e.consider(m, o, c, v)
			if l.via.class != v.class {
				if m.aside(l.via.class) {
					continue
				}
				need = threshold(l.via.class, m.plain && o.plain, total, c.score)
			}
			if l.bits < need {
				continue
			}
			at := slices.IndexFunc(fit, func(x offer) bool { return x.c == c })
			switch {
			case at < 0:
				fit = append(fit, offer{c, o, l, l.bits - need})
			case l.bits-need > fit[at].over:
				fit[at] = offer{c, o, l, l.bits - need}
			}
		}
	}
	e.offers = fit
	slices.SortFunc(fit, func(a, b offer) int { return cmp.Or(cmp.Compare(b.over, a.over), cmp.Compare(a.c.n, b.c.n)) })
	if m.same != nil { // what tells of one act is in one campaign, whatever else speaks for it
		fit = e.withSame(m, fit)
	}
	fit, joined := e.withHome(m, fit)
	defer e.bind.placed(m)
	if len(fit) == 0 {
		c := &candidate{n: len(e.cands)}
		e.cands = append(e.cands, c)
		e.attach(c, m, nil, link{})
		m.remember(c)
		return
	}
	c := fit[0].c
	e.attach(c, m, fit[0].o, fit[0].link)
	for i, x := range fit[1:] {
		other := x.c.top()
		if i == 0 && joined {
			c = e.merge(c, other, m, x.o, x.link)
			continue
		}
		need := mergeBits
		if c.proven() && other.proven() {
			need += 3
		}
		// That both are at one place, or one weak alert fits both, joins nothing.
		if x.link.via.class <= wide || x.link.bits < need || other == c || e.bind.barsAll(c, other) {
			continue
		}
		c = e.merge(c, other, m, x.o, x.link)
	}
	m.remember(c)
	if m.plain && c.top().raised {
		e.lookBack(m)
	}
}

// lookBack judges again the plain alerts that came shortly before m and found
// nothing to belong to, now that m has.
func (e *Engine) lookBack(m *meta) {
	for i, r := range m.rings {
		v := &m.pivots[i]
		for j := len(r.all) - 1; j >= 0; j-- {
			o := r.all[j]
			if apart(o, m) > plainLag {
				break
			}
			c, oc := m.cand.top(), o.cand.top()
			if !o.plain || o.gone || oc == c || oc.proven() || len(oc.metas) > backSmall || e.bind.barsAll(c, oc) {
				continue
			}
			if l := e.consider(o, m, c, v); l.bits >= threshold(v.class, true, 1, c.score) {
				e.merge(c, oc, m, o, l)
			}
		}
	}
}

// around counts the campaigns that have something in common with m.
func (e *Engine) around(m *meta) int {
	e.turn++
	n := 0
	for i, r := range m.rings {
		if m.pivots[i].class == near {
			continue
		}
		for j := range r.list {
			if c := r.list[j].c.top(); c.turn != e.turn && !c.gone && len(c.metas) > 0 {
				c.turn = e.turn
				n++
			}
		}
	}
	return n
}

// quickest is the most that time says for a link.
var quickest = math.Log2(rho(0, 0) * .5)

// atMost bounds the bits of any link of m, but for time and what is shared: as if
// nothing else were known to fire its rule at its place.
func (e *Engine) atMost(m *meta) float64 {
	b := e.rates.least(m)
	most := math.Log2(max(fidelity[m.level], 1)) + stageMost - math.Log2(b*ruleKinds)
	if m.plain {
		most += e.rates.surge(m)
	}
	return most
}

// A bound is the most bits, but for time, of a link to a candidate of one meta: of
// such a one all is known but whether it was counted with what it has in common.
type bound struct{ here, away float64 } // at the place of what is linked, and elsewhere

// ofOne returns the bound of the i-th pivot of m.
func (e *Engine) ofOne(m *meta, i int, here, away background) bound {
	r, v := e.rates, &m.pivots[i]
	all := r.cellsOf(m).carriers[i].by
	n := all - 1
	if i < len(m.carries) && m.carries[i] {
		n--
	}
	n = max(n, 0)
	p := 1.0
	switch v.class {
	case narrow:
		p = float64(1+n) / (64 + float64(e.mem.Kinds(v.key.Type)) + float64(n))
	case shared:
		if all <= hubCarriers || float64(all) <= hubShare*float64(r.active) {
			p = min(max((float64(n)+.5)/(float64(max(r.active-1, n))+8), v.common), 1)
		}
	}
	b := bound{here.rule, away.rule}
	if v.class == wide {
		b = bound{here.crowd, away.crowd}
	}
	const rounding = 1e-6
	most := math.Log2(m.fidelity()) + stageMost + rounding - math.Log2(p*ruleKinds)
	return bound{most - math.Log2(b.here+e.others/ruleKinds), most - math.Log2(b.away+e.others/ruleKinds)}
}

// binds bounds what sharing v says for a link of m.
func (e *Engine) binds(v *pivot, m *meta) float64 {
	switch v.class {
	case near, wide:
		return 0
	case narrow:
		return math.Log2(64 + float64(e.mem.Kinds(v.key.Type)))
	}
	return -math.Log2(min(max(.5/(float64(e.rates.active)+8), v.common), 1))
}

// place finds the rings of what m carries.
func (e *Engine) place(m *meta) {
	if len(m.rings) != len(m.pivots) {
		m.rings = make([]*ring, len(m.pivots))
	}
	for i := range m.pivots {
		m.rings[i] = e.ringOf(m.pivots[i].entity)
	}
}

// remember notes in the rings of m that c carries what m does.
func (m *meta) remember(c *candidate) {
	for _, r := range m.rings {
		r.push(c, m)
	}
}

// settle looks back over complete evidence: raised campaigns take in what came
// before they were known, then candidates that belong to them, until nothing moves.
func (e *Engine) settle() {
	for round := 0; round < 4; round++ {
		moved := false
		for _, c := range append([]*candidate(nil), e.cands...) {
			if c.into == nil && c.raised {
				moved = e.backfill(c) || moved
			}
		}
		for _, c := range append([]*candidate(nil), e.cands...) {
			if c.into == nil && c.raised {
				moved = e.join(c) || moved
			}
		}
		if !moved {
			break
		}
	}
	for _, c := range append([]*candidate(nil), e.cands...) {
		if c.into == nil && e.grave(c) {
			e.join(c)
		}
	}
}

// grave says whether c has half of what raising takes and an alert of high level
// in it: two of these at one place at one time are one campaign.
func (e *Engine) grave(c *candidate) bool {
	return !c.gone && c.score >= e.opt.Threshold/2 && !c.mild()
}

// backSmall is how many metas a candidate may have to be taken in as a whole.
const backSmall = 6

// backfill judges again what shares an entity with a raised campaign and was let
// go while nothing spoke for it, and says whether it took anything in.
func (e *Engine) backfill(c *candidate) bool {
	c = c.top()
	if c.judged > 0 && c.score < c.judged*1.1 && e.live {
		return false
	}
	c.judged = c.score
	moved := false
	for _, h := range c.held() {
		v := h.pivot
		r := e.ring(v.key)
		if r == nil || v.class == near {
			continue
		}
		for _, o := range append([]*meta(nil), r.all...) {
			oc := o.cand.top()
			if o.gone || oc == c || oc.proven() || len(oc.metas) > backSmall || e.bind.barsAll(c, oc) {
				continue
			}
			near := nearest(h.metas, o)
			if near == nil || apart(near, o) > backReach {
				continue
			}
			w := v
			for j := range o.pivots {
				if o.pivots[j].key == v.key {
					w.class = max(w.class, o.pivots[j].class)
				}
			}
			need := backBits
			switch w.class {
			case wide:
				need = linkWide
			case shared:
				need = linkMost
			}
			if l := e.consider(o, near, c, &w); l.bits >= need {
				c = e.merge(c, oc, near, o, l)
				moved = true
			}
		}
	}
	return moved
}

// A holding is an entity that a campaign carries, with the members that do.
type holding struct {
	pivot pivot
	metas []*meta
}

// held returns what c carries in the order in which it came, at most maxHeld
// entities: a campaign that carries more is judged by its first.
func (c *candidate) held() []*holding {
	const maxHeld = 512
	at := map[model.EntityKey]*holding{}
	var out []*holding
	for _, m := range c.metas {
		for i := range m.pivots {
			v := m.pivots[i]
			h := at[v.key]
			if h == nil {
				if len(out) >= maxHeld {
					continue
				}
				h = &holding{pivot: v}
				at[v.key] = h
				out = append(out, h)
			}
			h.pivot.class = max(h.pivot.class, v.class)
			h.metas = append(h.metas, m)
		}
	}
	return out
}

// nearest returns the one of l nearest in time to o.
func nearest(l []*meta, o *meta) *meta {
	var best *meta
	for _, m := range l {
		if m != o && (best == nil || apart(m, o) < apart(best, o)) {
			best = m
		}
	}
	return best
}

func apart(a, b *meta) time.Duration {
	if a.first.After(b.first) {
		a, b = b, a
	}
	return max(b.first.Sub(a.last), 0)
}

// join holds other candidates against a raised or grave one as wholes: several alerts that
// together look like an attack seldom come twice to one place by chance.
func (e *Engine) join(c *candidate) bool {
	c = c.top()
	moved := false
	for _, h := range c.held() {
		v := h.pivot
		if v.class != narrow && v.key.Type != model.Host && v.key.Type != model.User {
			continue
		}
		r := e.ring(v.key)
		if r == nil {
			continue
		}
		r.prune()
		for _, x := range slices.Clone(r.list) {
			o := x.c.top()
			if o == c || o.score < 3 || len(o.metas) < 2 {
				continue
			}
			if !c.raised && !e.grave(o) {
				continue
			}
			if e.joinOne(c, o, h, r) {
				c, moved = c.top(), true
			}
		}
	}
	return moved
}

func (e *Engine) joinOne(c, o *candidate, h *holding, r *ring) bool {
	v := &h.pivot
	to := o.lastWith(r)
	if to == nil {
		return false
	}
	if i := slices.IndexFunc(to.pivots, func(p pivot) bool { return p.key == v.key }); i >= 0 && to.pivots[i].class > v.class {
		v = &to.pivots[i] // as narrow as the closer of the two holds it
	}
	from := nearest(h.metas, to)
	if from == nil {
		return false
	}
	dt := apart(from, to)
	if c.proven() && o.proven() && v.class <= wide && (e.live || dt > quietGap) {
		return false // two attacks at one place are two, but for what complete evidence shows to go on side by side
	}
	if dt > backReach || e.bind.barsAll(c, o) || !o.raised && o.mild() && to.aside(v.class) {
		return false
	}
	// It is as rare as the weaker of the two, and not more than raising takes.
	weaker := min(c.score, o.score, e.opt.Threshold)
	strong := 0 // others at least as strong there
	for i := range r.list {
		if x := r.list[i].c.top(); x != c && x != o && x.score >= weaker {
			strong++
		}
	}
	hours := priorHours + e.rates.cellsOf(to).place.watch.hours
	rate := (math.Exp2(-(weaker-3)/3)/24*priorHours + float64(strong)) / hours
	var p float64
	others := 0
	if v.class == shared {
		if p, others = e.chance(v, to, c); p > hubShare {
			return false
		}
	}
	l := link{via: *v, others: others}
	l.terms.time = math.Log2(rho(dt, c.places()) * .6)
	l.terms.background = -math.Log2(rate)
	l.bits = l.terms.time + l.terms.background
	need := joinBits
	switch {
	case c.proven() && o.proven():
		need += 3
	case !c.proven():
		need = linkWide
	}
	if l.bits < need {
		return false
	}
	l.gain = 0
	e.merge(c, o, from, to, l)
	return true
}
