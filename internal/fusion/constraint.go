package fusion

import (
	"cmp"
	"slices"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// Analysts' decisions bind fusion: what they cut apart is never in one campaign, by
// whatever way evidence would lead there, and what they link always is. Which of them
// hold, package casebook has worked out; no group of alerts that they join is kept
// apart from itself. An alert that they name has the number of its group, and so have
// its burst and its campaign.

// bind is what decisions say of the metas at hand.
type bind struct {
	book    *casebook.Book
	eager   bool             // links are obeyed, and not only cuts
	byAlert map[string][]int // into the pairs of book
	byGroup map[int][]int
	of      map[string]*meta // by alert that a decision names
	first   map[int]*meta    // by group: the first meta of it that was placed
	keep    map[int][]*meta  // by group: see remember
}

func newBind(b *casebook.Book) bind {
	x := bind{book: b, eager: true, byAlert: map[string][]int{}, byGroup: map[int][]int{}, of: map[string]*meta{}, first: map[int]*meta{}}
	for i, p := range b.Pairs() {
		x.byAlert[p.From] = append(x.byAlert[p.From], i)
		x.byAlert[p.To] = append(x.byAlert[p.To], i)
		x.byGroup[b.Group(p.From)] = append(x.byGroup[b.Group(p.From)], i)
	}
	return x
}

// told is what decisions say of an alert.
type told struct {
	group int    // of those that decisions join, 0 of none
	quiet string // the suppression that it falls under
}

func (x *bind) told(a *model.Alert) told { return told{x.book.Group(a.ID), x.book.Suppressed(a)} }

// admits says whether a burst of one group may take in an alert of another: one that
// no decision names goes with any; one that decisions name makes a burst its own that
// none names, unless that was placed before.
func (m *meta) admits(group int) bool {
	return group == 0 || m.group == group || m.group == 0 && m.cand == nil
}

// note marks m as holding an alert that a decision names.
func (x *bind) note(m *meta, a *model.Alert) {
	g := x.book.Group(a.ID)
	if g == 0 {
		return
	}
	m.group = g
	m.linked = m.linked || len(x.byAlert[a.ID]) > 0
	m.split = m.split || x.book.Splits(a.ID)
	x.of[a.ID] = m
}

// bars says whether decisions keep m out of c.
func (x *bind) bars(m *meta, c *candidate) bool {
	return c.closed || m.group != 0 && slices.ContainsFunc(c.bound, func(g int) bool { return x.book.Apart(g, m.group) })
}

// parted says whether decisions keep an alert, be it of another run, out of c.
func (x *bind) parted(alert string, c *candidate) bool {
	g := x.book.Group(alert)
	return g != 0 && slices.ContainsFunc(c.bound, func(h int) bool { return x.book.Apart(g, h) })
}

// barsAll says whether decisions keep two campaigns apart.
func (x *bind) barsAll(c, o *candidate) bool {
	if c.closed || o.closed {
		return true
	}
	if len(c.bound) == 0 || len(o.bound) == 0 {
		return false
	}
	return slices.ContainsFunc(c.bound, func(g int) bool {
		return slices.ContainsFunc(o.bound, func(h int) bool { return x.book.Apart(g, h) })
	})
}

// home returns the campaign that m belongs to by decision, and the member of it to
// which m is linked; nil if there is none yet.
func (x *bind) home(m *meta) (*candidate, *meta) {
	if m.group == 0 || !x.eager {
		return nil, nil
	}
	at := x.first[m.group]
	if at == nil || at == m {
		return nil, nil
	}
	c := at.cand.top()
	for _, a := range m.alerts { // rather to whom the analyst named beside it
		for _, i := range x.byAlert[a.ID] {
			if o := x.of[x.other(i, a.ID)]; o != nil && o != m && o.cand != nil && o.cand.top() == c {
				return c, o
			}
		}
	}
	return c, at
}

// other returns the other end of a pair.
func (x *bind) other(pair int, alert string) string {
	p := &x.book.Pairs()[pair]
	if p.From == alert {
		return p.To
	}
	return p.From
}

// placed notes that m has a campaign.
func (x *bind) placed(m *meta) {
	if o := x.first[m.group]; m.group != 0 && (o == nil || o.gone) {
		x.first[m.group] = m
	}
}

// decided is the link of m to another by decision: it counts what m says by itself.
func (e *Engine) decided(m *meta) link {
	return link{via: pivot{key: m.subject, reason: model.Analyst, class: narrow}, gain: e.alone(m)}
}

// withHome puts the campaign that m belongs to by decision among those that m fits:
// alone if m fits none or none that may be one with it, else behind the best, to be
// joined with it. It says whether the second of fit is to be joined at any price.
func (e *Engine) withHome(m *meta, fit []offer) ([]offer, bool) {
	c, o := e.bind.home(m)
	if c == nil || c.gone {
		return fit, false
	}
	mine := offer{c: c, o: o, link: e.decided(m)}
	if len(fit) > 0 && fit[0].c == c {
		return fit, false // the evidence says so too
	}
	rest := slices.DeleteFunc(slices.Clone(fit), func(x offer) bool { return x.c == c })
	if len(rest) == 0 || e.bind.barsAll(rest[0].c, c) {
		return append([]offer{mine}, rest...), false
	}
	return append([]offer{rest[0], mine}, rest[1:]...), true
}

// remember keeps, for the look in which links are obeyed, what the incidents began
// with in which linked alerts were without: their ids stay.
func (x *bind) remember(metas []*meta) {
	x.keep = map[int][]*meta{}
	for _, m := range metas {
		if c := m.cand.top(); len(x.byGroup[m.group]) > 0 && c != nil && c.raised && !slices.Contains(x.keep[m.group], c.seed) {
			x.keep[m.group] = append(x.keep[m.group], c.seed)
		}
	}
}

// kept are what the incidents began with that c is made of by decision.
func (e *Engine) kept(c *candidate) []*meta {
	var out []*meta
	for _, g := range c.bound {
		for _, k := range e.bind.keep[g] {
			if k.cand.top() == c && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// start is the meta by whose first alert c is named: what it began with or, of a
// campaign that decisions joined, what the oldest incident in it began with.
func (e *Engine) start(c *candidate) *meta {
	if l := e.kept(c); len(l) > 0 {
		return slices.MinFunc(l, func(a, b *meta) int { return cmp.Compare(a.n, b.n) })
	}
	return c.seed
}

// aliases are the other ids of c, ascending.
func (e *Engine) aliases(c *candidate) []string {
	out := append([]string{c.id()}, c.aliases...)
	for _, k := range e.kept(c) {
		out = append(out, model.IncidentID(k.alerts[0].ID))
	}
	slices.Sort(out)
	id := e.idOf(c)
	return slices.DeleteFunc(slices.Compact(out), func(x string) bool { return x == id })
}

// idOf is the id of the incident that c is.
func (e *Engine) idOf(c *candidate) string { return model.IncidentID(e.start(c).alerts[0].ID) }

// pairLinks are the links between members of c that analysts made, as far as they
// do not stand among links already.
func (e *Engine) pairLinks(c *candidate, links []model.Link) []model.Link {
	var out []model.Link
	have := map[[2]string]bool{}
	for i := range links {
		if links[i].Reason == model.Analyst {
			have[[2]string{links[i].From, links[i].To}] = true
			have[[2]string{links[i].To, links[i].From}] = true
		}
	}
	for _, g := range c.bound {
		for _, i := range e.bind.byGroup[g] {
			p := &e.bind.book.Pairs()[i]
			from, to := e.bind.of[p.From], e.bind.of[p.To]
			k := [2]string{p.From, p.To}
			if from == nil || to == nil || from.cand.top() != c || to.cand.top() != c || have[k] {
				continue
			}
			have[k], have[[2]string{p.To, p.From}] = true, true
			out = append(out, model.Link{From: p.From, To: p.To, Reason: model.Analyst, Entity: to.subject, Shared: to.subject.String(),
				Terms: map[string]float64{}, Detail: "linked by decision of " + p.Why()})
		}
	}
	return out
}

// saidBy says who decided that m belongs to what it hangs on.
func (e *Engine) saidBy(m *meta) string {
	x := &e.bind
	any := -1
	for _, end := range [2][2]*meta{{m, m.parent}, {m.parent, m}} {
		for _, a := range end[0].alerts {
			for _, i := range x.byAlert[a.ID] {
				if x.of[x.other(i, a.ID)] == end[1] {
					return x.book.Pairs()[i].Why()
				}
				if any < 0 {
					any = i
				}
			}
		}
	}
	if any < 0 {
		return "analysts"
	}
	return x.book.Pairs()[any].Why()
}
