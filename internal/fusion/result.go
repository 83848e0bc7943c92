package fusion

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Incidents returns what is raised now, worst first, and after it what has at
// least half of the bits that raising takes.
func (e *Engine) Incidents() []*Result {
	var out []*Result
	for _, c := range e.cands {
		if c.into != nil || c.gone || (!c.raised && !c.forced && (c.score < e.opt.Threshold/2 || len(c.metas) < 2)) {
			continue
		}
		out = append(out, e.result(c))
	}
	slices.SortFunc(out, worse)
	return out
}

// worse orders results: raised ones first, then by bits.
func worse(a, b *Result) int {
	if a.Raised != b.Raised {
		if a.Raised {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.Bits, a.Bits), cmp.Compare(a.ID, b.ID))
}

// score maps bits to 0..100, 50 where an incident is raised.
func score(bits, theta float64) int { return int(math.Round(100 / (1 + math.Exp2(-(bits-theta)/6)))) }

func (e *Engine) result(c *candidate) *Result {
	theta := e.opt.Threshold
	bits := c.score
	if (c.direct || c.slight) && !c.recalled {
		bits = max(bits, theta)
	}
	r := &Result{ID: e.idOf(c), Seed: c.seed.alerts[0].ID, Bits: round2(bits), Raised: c.raised || c.forced, First: c.first, Last: c.last, RaisedAt: c.since,
		Score: score(bits, theta), Aliases: e.aliases(c)}
	metas := append([]*meta(nil), c.metas...)
	sort.Slice(metas, func(i, j int) bool { return metas[i].n < metas[j].n })
	top, told := 0, e.retold(c)
	for _, m := range metas {
		top = max(top, m.level)
		tier := m.tier()
		for i, a := range m.alerts {
			gain := m.gain
			if i > 0 {
				gain = 0
			}
			r.Members = append(r.Members, Member{Alert: a, Tier: tier, Gain: round2(gain), Same: told[a.ID]})
			if a.End.After(r.Last) {
				r.Last = a.End
			}
			if i > 0 {
				r.Links = append(r.Links, m.repeat(a))
			}
		}
		if m.parent != nil {
			r.Links = append(r.Links, e.toLink(m))
		}
	}
	r.Links = append(r.Links, e.pairLinks(c, r.Links)...)
	sort.SliceStable(r.Members, func(i, j int) bool { return before(r.Members[i].Alert, r.Members[j].Alert) })
	sort.SliceStable(r.Links, func(i, j int) bool {
		if r.Links[i].To != r.Links[j].To {
			return r.Links[i].To < r.Links[j].To
		}
		return r.Links[i].From < r.Links[j].From
	})
	r.Severity = severity(c, bits, theta, top)
	r.ScoreTerms = c.terms(bits)
	return r
}

// severity grows with the bits, and is bounded by the worst member, on both sides:
// many mild alerts are no critical incident, nor is much evidence of one act at one
// place, and one with a critical alert in it is no less than high.
func severity(c *candidate, bits, theta float64, top int) model.Severity {
	if !c.raised && !c.forced {
		return model.Low
	}
	s := 2
	switch {
	case bits >= theta+20 && (top == 4 || c.places() > 1 || len(c.tactics) >= 5):
		s = 4
	case bits >= theta+6 || c.direct:
		s = 3
	}
	s = min(max(s, top-1), top+1)
	return []model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}[max(s, 1)]
}

// tier is core for the seed, for what hangs on something narrow, and for what
// says something by itself.
func (m *meta) tier() Tier {
	switch {
	case m.linked:
		return Core // by decision
	case m.beside:
		return Context
	case m.same != nil && m.same.cand.top() == m.cand.top() && m.same.tier() == Core:
		return Core // as the other teller of the act
	case m.parent == nil || m.gain >= 1 || m.via.class == narrow:
		return Core
	case m.level >= 2 && m.via.class == shared && m.bits >= linkMost, m.level >= 3 && !m.parent.beside:
		return Core
	}
	return Context
}

func round2(x float64) float64 {
	if x = math.Round(x*100) / 100; x == 0 {
		return 0 // never -0
	}
	return x
}

func (e *Engine) toLink(m *meta) model.Link {
	from, to := m.parent.alerts[0], m.alerts[0]
	if m.link != nil {
		l := *m.link
		l.From, l.To = from.ID, to.ID
		return l
	}
	if m.via.reason == model.Analyst {
		return model.Link{From: from.ID, To: to.ID, Reason: model.Analyst, Entity: m.subject, Shared: m.subject.String(),
			Terms: map[string]float64{}, Detail: "linked by decision of " + e.saidBy(m)}
	}
	detail := m.detail(apart(m.parent, m)) + e.rarity(m)
	if who := m.toldBy(m.cand.top()); who != "" {
		detail += fmt.Sprintf("; it tells of the same act as %s of %s, and counts for what it adds", who, m.told())
	}
	shared := m.via.key
	if m.via.class == near { // the site has no name of its own: what is shared is the time at that host
		shared = m.parent.subject
	}
	return model.Link{From: from.ID, To: to.ID, Reason: m.via.reason, Entity: shared, Shared: shared.String(), Bits: round2(m.bits),
		Terms: map[string]float64{"time": round2(m.terms.time), "entity": round2(m.terms.entity), "fidelity": round2(m.terms.fidelity),
			"stage": round2(m.terms.stage), "background": round2(m.terms.background), "cluster": round2(m.terms.cluster)},
		Detail: detail}
}

// repeat links a further alert of a burst or fan-out to its first.
func (m *meta) repeat(a *model.Alert) model.Link {
	l := model.Link{From: m.alerts[0].ID, To: a.ID, Reason: model.CoOccurrence, Entity: m.principal, Shared: m.principal.String(), Terms: map[string]float64{}}
	gap := a.Time.Sub(m.alerts[0].Time)
	if m.fan {
		l.Reason = model.FanOut
		l.Detail = fmt.Sprintf("the same rule fired on many others with %s in common, this one %s after the first", m.principal.Value, short(gap))
		return l
	}
	l.Detail = fmt.Sprintf("the same rule fired again for %s, %s later", m.principal.Value, short(gap))
	return l
}

var nouns = map[model.EntityType]string{model.IP: "address", model.Session: "session", model.AccessKey: "access key", model.IAMRole: "role", model.User: "account"}

func (m *meta) detail(dt time.Duration) string {
	noun := nouns[m.via.key.Type]
	if noun == "" {
		noun = string(m.via.key.Type)
	}
	what := noun + " " + m.via.key.Value
	if m.via.name != "" {
		what = noun + " " + m.via.name[strings.LastIndexAny(m.via.name, `\/`)+1:]
	}
	when := "at the same time"
	if dt >= time.Second {
		when = short(dt) + " apart"
	}
	if m.via.class == near {
		return fmt.Sprintf("linked because it happened %s on %s, of the same site as %s, where nothing of this kind fires otherwise", when, m.subject.Value, m.parent.subject.Value)
	}
	if m.via.class == wide {
		return fmt.Sprintf("linked because both happened on %s, %s, and nothing of this kind fires there otherwise", what, when)
	}
	verb := "both alerts carry"
	if m.via.behind {
		verb = "behind both alerts stands"
	}
	who := "which no other alert carries"
	switch {
	case m.others == 1:
		who = "which one other actor carries"
	case m.others > 1:
		who = fmt.Sprintf("which %d other actors carry", m.others)
	}
	return fmt.Sprintf("linked because %s %s, %s, %s", verb, what, who, when)
}

// short says a duration as a person would.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// terms says what the score is made of: bits by rule level, and what breadth and
// a direct hit add.
func (c *candidate) terms(bits float64) []model.Term {
	var by [5]float64
	var n [5]int
	for _, m := range c.metas {
		by[m.level] += m.gain
		n[m.level]++
	}
	var out []model.Term
	for l := 4; l >= 0; l-- {
		if n[l] > 0 {
			noun := "alerts"
			if n[l] == 1 {
				noun = "alert"
			}
			name := []model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}[l]
			out = append(out, model.Term{What: fmt.Sprintf("%d %s %s", n[l], name, noun), Bits: round2(by[l])})
		}
	}
	if d := c.score - c.raw; round2(d) != 0 {
		noun := "tactics"
		if len(c.tactics) == 1 {
			noun = "tactic"
		}
		out = append(out, model.Term{What: fmt.Sprintf("breadth: %d %s on %d places", len(c.tactics), noun, c.places()), Bits: round2(d)})
	}
	if d := bits - c.score; round2(d) > 0 {
		what := "a critical rule that is enough alone"
		if !c.direct {
			what = "a grave act that nobody else does, and that is enough alone"
		}
		out = append(out, model.Term{What: what, Bits: round2(d)})
	}
	return out
}

// Explain tells in plain text how an incident came to be, or where an alert went
// and why; empty if the id is not known.
func (e *Engine) Explain(id string) string {
	var b strings.Builder
	for _, c := range e.cands {
		if c.gone || c.into != nil || (e.idOf(c) != id && c.id() != id && !holds(c.aliases, id)) {
			continue
		}
		fmt.Fprintf(&b, "%s: %.1f bits of %.1f, raised %v, %d tactics, %d places, %d bursts\n", c.id(), c.score, e.opt.Threshold, c.raised, len(c.tactics), c.places(), len(c.metas))
		metas := append([]*meta(nil), c.metas...)
		sort.Slice(metas, func(i, j int) bool { return metas[i].n < metas[j].n })
		for _, m := range metas {
			m.explain(&b)
		}
		return b.String()
	}
	for _, m := range e.metas {
		for _, a := range m.alerts {
			if a.ID == id {
				c := m.cand.top()
				fmt.Fprintf(&b, "%s is in %s (%.1f bits, raised %v)\n", id, c.id(), c.score, c.raised)
				m.explain(&b)
				bg := e.rates.of(m, c)
				fmt.Fprintf(&b, "  background of the rule %.3g/h, of its level %.3g/h on %s; fired %d times for others\n", bg.rule, bg.level, m.subject, bg.fired)
				for i := range m.pivots {
					p, n := e.chance(&m.pivots[i], m, c)
					fmt.Fprintf(&b, "  carries %s (%s %s), chance %.3g, %d other actors\n", m.pivots[i].key, m.pivots[i].reason, m.pivots[i].name, p, n)
				}
				return b.String()
			}
		}
	}
	return ""
}

func holds(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

func (m *meta) explain(b *strings.Builder) {
	a := m.alerts[0]
	fmt.Fprintf(b, "%s %s x%d [%s] %s: gain %.1f, %s", a.Time.UTC().Format("2006-01-02 15:04:05"), a.ID, m.count, a.Rule.Level, a.Rule.Title, m.gain, m.tier())
	if m.parent != nil {
		t := m.terms
		fmt.Fprintf(b, "; %.1f bits to %s via %s (time %+.1f, entity %+.1f, fidelity %+.1f, stage %+.1f, background %+.1f, cluster %+.1f)",
			m.bits, m.parent.alerts[0].ID, m.via.key, t.time, t.entity, t.fidelity, t.stage, t.background, t.cluster)
	}
	b.WriteByte('\n')
}
