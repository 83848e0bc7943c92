package fusion

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// One act is often told twice: by a product's finding and by our rule on the
// telemetry beneath it, or by two products. Taken for two, it would count double
// and be read as two deeds. Two tellers speak of one act when they agree on what
// was done, on who did it or to what, and on when, and disagree on nothing that
// both know. Both alerts stay; the later one is worth only what it adds.

// Bounds of the search for who told of an act before.
const (
	// sameActGap is how far apart two products may stamp one act: some stamp the act,
	// others the moment they were sure of it.
	sameActGap = 5 * time.Minute
	// sameActBack is how many earlier alerts with one thing in common are looked at.
	sameActBack = 32
)

// teller is who raised an alert: the product whose finding it is, or empty for our
// own rules, of which many may see one act.
func teller(a *model.Alert) string {
	if a.Rule.Source == a.Product {
		return a.Product
	}
	return ""
}

type toldKey struct {
	key     model.EntityKey
	foreign bool
}

// tellers remembers who told what of an entity lately.
type tellers struct {
	recent map[toldKey][]*meta
}

func newTellers() tellers { return tellers{recent: map[toldKey][]*meta{}} }

// hear finds the act that m tells of among those told before by others, and
// remembers m. Own alerts look at products' only: those on one record are known to
// be one act by the record.
func (t *tellers) hear(e *Engine, m *meta) {
	if m.alerts[0].Pattern {
		return // it is about several acts
	}
	own := teller(m.alerts[0]) == ""
	if m.same = t.before(e, m, true); m.same == nil && !own {
		m.same = t.before(e, m, false)
	}
	if m.same != nil {
		m.same.twins = append(m.same.twins, m)
	}
	if len(t.recent) > maxTables { // hostile or broken: acts then stand alone for a while
		clear(t.recent)
	}
	for i := range m.pivots {
		if !m.pivots[i].tells() {
			continue
		}
		k := toldKey{m.pivots[i].key, !own}
		l := t.recent[k]
		if len(l) >= sameActBack {
			l = slices.Delete(l, 0, 1)
		}
		t.recent[k] = append(l, m)
	}
}

// prune drops who is forgotten.
func (t *tellers) prune() {
	for k, l := range t.recent {
		if l = slices.DeleteFunc(l, func(m *meta) bool { return m.gone }); len(l) == 0 {
			delete(t.recent, k)
		} else {
			t.recent[k] = l
		}
	}
}

// tells says whether an act can be known again by a pivot.
func (p *pivot) tells() bool { return p.class > wide && !p.behind }

// before returns the first alert that told of the act of m, nil if nobody did.
func (t *tellers) before(e *Engine, m *meta, foreign bool) *meta {
	var best *meta
	for i := range m.pivots {
		if !m.pivots[i].tells() {
			continue
		}
		l := t.recent[toldKey{m.pivots[i].key, foreign}]
		for j := len(l) - 1; j >= 0; j-- {
			o := l[j]
			if o.same != nil {
				o = o.same
			}
			if o == best || o.gone || best != nil && o.n <= best.n || apart(o, m) > sameActGap || !o.room(m) {
				continue
			}
			if e.sameAct(m.alerts[0], l[j].alerts[0]) {
				best = o
			}
		}
	}
	return best
}

// room says whether other may be one more teller of the act of m: each tells it
// once, or several times of one record.
func (m *meta) room(other *meta) bool {
	who := teller(other.alerts[0])
	if teller(m.alerts[0]) == who {
		return false
	}
	for _, x := range m.twins {
		if teller(x.alerts[0]) == who && (who != "" || x.alerts[0].Evidence[0].ID != other.alerts[0].Evidence[0].ID) {
			return false
		}
	}
	return true
}

// sameAct says whether two alerts of different tellers are of one act.
func (e *Engine) sameAct(a, b *model.Alert) bool {
	if len(a.Evidence) == 0 || len(b.Evidence) == 0 {
		return false
	}
	return sameKind(a, b) && e.castOf(a).same(e.castOf(b))
}

// sameKind says whether two alerts claim the same: one technique, be it named more
// or less exactly, or nearly the same words.
func sameKind(a, b *model.Alert) bool {
	for _, x := range a.Techniques {
		for _, y := range b.Techniques {
			if x == y || strings.HasPrefix(x, y+".") || strings.HasPrefix(y, x+".") {
				return true
			}
		}
	}
	return sameWords(a.Rule.Title, b.Rule.Title)
}

// sameWords says whether two titles have most of their words in common, and two at
// least. Words of three letters and fewer say nothing.
func sameWords(a, b string) bool {
	x, y := words(a), words(b)
	shared := 0
	for _, w := range x {
		if slices.Contains(y, w) {
			shared++
		}
	}
	return shared >= 2 && 2*shared >= len(x)+len(y)-shared
}

// maxTitleWords bounds the words of a title that are compared.
const maxTitleWords = 32

func words(title string) []string {
	var out []string
	for w := range strings.FieldsFuncSeq(strings.ToLower(title), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r < 0x80
	}) {
		if len(w) > 3 && len(out) < maxTitleWords && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// A cast is who and what an act was about, resolved.
type cast struct {
	host model.EntityKey
	// narrow identify an act with its kind and time; half do so two at a time.
	narrow, half []model.EntityKey
	// common are programs that every machine has: they say something only at one instant.
	common []model.EntityKey
	// one are those of which an act has just one: who differs in them did another.
	one map[model.EntityType][]model.EntityKey
}

func (e *Engine) castOf(a *model.Alert) cast {
	c := cast{one: map[model.EntityType][]model.EntityKey{}}
	host := ""
	if a.Host != "" {
		host = e.mem.Resolve(model.Entity{Type: model.Host, Value: a.Host}, "", a.Time).Value
	} else if h, ok := a.Find(model.Host, model.Subject); ok {
		host = e.mem.Resolve(h, "", a.Time).Value
	}
	if host != "" {
		c.host = model.EntityKey{Type: model.Host, Value: host}
	}
	for i := range a.Entities[:min(len(a.Entities), 64)] {
		x := &a.Entities[i]
		if x.Role == model.Sensor || x.Role == model.Parent || x.Value == "" {
			continue
		}
		k := e.mem.Resolve(*x, host, a.Time)
		switch x.Type {
		case model.Process:
			if x.Role == model.Target {
				continue
			}
			c.narrow = append(c.narrow, k)
			c.one[model.Process] = append(c.one[model.Process], k)
		case model.AccessKey, model.Session, model.Container, model.Pod:
			c.narrow = append(c.narrow, k)
			c.one[x.Type] = append(c.one[x.Type], k)
		case model.File:
			if stock(k.Value) {
				c.common = append(c.common, k)
			} else {
				c.narrow = append(c.narrow, k)
			}
		case model.Hash:
			if f, ok := fileOf(a); ok && stock(f) {
				c.common = append(c.common, k)
			} else {
				c.narrow = append(c.narrow, k)
			}
		case model.IP:
			if owner := e.mem.Owner(k.Value, a.Time); owner != "" && owner == host {
				continue // the place's own
			}
			c.one[model.IP] = append(c.one[model.IP], k) // which side is the source, sensors see differently
			c.half = append(c.half, k)
		case model.User:
			if !builtin(k.Value) {
				c.half = append(c.half, k)
			}
		case model.Domain, model.URL, model.Mailbox, model.Resource, model.App, model.IAMRole:
			c.half = append(c.half, k)
		}
	}
	return c
}

// same says whether two casts are of one act: something narrow in common or two
// things that are not, and nothing that both name and that differs.
func (c cast) same(o cast) bool {
	if c.differs(o) {
		return false
	}
	if overlap(c.narrow, o.narrow) {
		return true
	}
	halves, people := 0, 0
	for i, k := range c.half {
		if slices.Contains(o.half, k) && !slices.Contains(c.half[:i], k) {
			halves++
			if k.Type == model.User {
				people++
			}
		}
	}
	if c.host.Value != "" && c.host == o.host && halves > people { // an account at its own machine says too little
		halves++
	}
	return halves >= 2
}

// differs says whether two casts name different things of which an act has just one.
func (c cast) differs(o cast) bool {
	if c.host.Value != "" && o.host.Value != "" && c.host != o.host {
		return true
	}
	for t, l := range c.one {
		if r := o.one[t]; len(r) > 0 && !overlap(l, r) && (t != model.Process || named(l) == named(r)) {
			return true
		}
	}
	return false
}

// named says whether processes are known by a sensor's own ids: those do not
// compare with numbers, unless memory knows both for one.
func named(l []model.EntityKey) bool {
	return slices.ContainsFunc(l, func(k model.EntityKey) bool { return !strings.Contains(k.Value, ":") })
}

func overlap(a, b []model.EntityKey) bool {
	return slices.ContainsFunc(a, func(k model.EntityKey) bool { return slices.Contains(b, k) })
}

// shared returns the narrowest thing through which m can be linked to the one who
// told of its act before, nil if there is none.
func (m *meta) shared() *pivot {
	var best *pivot
	for i := range m.pivots {
		v := &m.pivots[i]
		if v.tells() && m.same.has(v.key) && (best == nil || v.class > best.class) {
			best = v
		}
	}
	return best
}

// actID is under what a campaign notes that the act of m was counted: the first
// record of who told of it first.
func (m *meta) actID() string {
	if m.same != nil {
		m = m.same
	}
	if ev := m.alerts[0].Evidence; len(ev) > 0 {
		return ev[0].ID
	}
	return ""
}

// toldBy returns the id of the alert of c that told of the act of m before, empty
// if there is none.
func (m *meta) toldBy(c *candidate) string {
	if m.same == nil || m.same.cand.top() != c {
		return ""
	}
	return m.same.alerts[0].ID
}

// told names who told of the act of m before.
func (m *meta) told() string {
	if who := teller(m.same.alerts[0]); who != "" {
		return who
	}
	return "our rule " + m.same.alerts[0].Rule.Title
}

// withSame puts the campaign that holds who told of the act of m before it first
// among those that m fits.
func (e *Engine) withSame(m *meta, fit []offer) []offer {
	c, v := m.same.cand.top(), m.shared()
	if c == nil || c.gone || v == nil || e.bind.bars(m, c) {
		return fit
	}
	l := e.consider(m, m.same, c, v)
	if l.via.class <= wide || math.IsInf(l.bits, 0) {
		return fit // both name it, but so does everyone
	}
	first := offer{c: c, o: m.same, link: l}
	return append([]offer{first}, slices.DeleteFunc(fit, func(x offer) bool { return x.c == c })...)
}
