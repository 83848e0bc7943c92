package fusion

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
)

// A Ledger remembers entities for longer than fusion looks back: see package ledger,
// whose Ledger is one.
type Ledger interface {
	// Note takes in that an alert named an entity.
	Note(model.EntityKey, ledger.Sighting)
	// Count takes in how many entities of a type the evidence names, with an alert or not.
	Count(model.EntityType, int)
	// Recall tells the worst alert that named an entity at that time or before.
	Recall(k model.EntityKey, before time.Time) (ledger.Past, bool)
}

// Earlier is an alert from long before an incident that named an entity of it.
type Earlier struct {
	Link model.Link   // To is the alert that is remembered
	Past ledger.Past  // what is remembered of the entity
	In   *model.Alert // the remembered alert, if it is of this evidence
}

const (
	// earlierAge is how long before the first member an act must lie to be remembered
	// evidence: what is nearer is for links to judge.
	earlierAge = 7 * 24 * time.Hour
	// earlierLeast is what remembered evidence needs, in bits.
	earlierLeast = 1.0
	// earlierMost is what all of it adds at most: a third of what raises an incident, so
	// that memory raises nothing that does not nearly stand by itself.
	earlierMost = 4.0
	// earlierFade is in what time remembered evidence loses a bit.
	earlierFade = 90 * 24 * time.Hour
	// earlierDays is on how many days a thing of every day was seen: that it was seen
	// once more says nothing.
	earlierDays = 30
	// earlierShown bounds the remembered acts of one incident, earlierAsked the entities
	// that are asked about for it.
	earlierShown = 5
	earlierAsked = 256
)

// withEarlier teaches the ledger what the alerts say of entities, and adds to results
// what it remembers from before them.
func (e *Engine) withEarlier(results []*Result) []*Result {
	if e.opt.Ledger == nil {
		return results
	}
	for _, m := range e.metas {
		for i, a := range m.alerts {
			if i == 0 || i == len(m.alerts)-1 || m.fan {
				e.note(m, a)
			}
		}
		e.census(m)
	}
	of := map[string]*candidate{}
	for _, c := range e.cands {
		if c.into == nil && !c.gone {
			of[e.idOf(c)] = c
		}
	}
	for _, r := range results {
		if c := of[r.ID]; c != nil {
			e.remember(r, c)
		}
	}
	slices.SortStableFunc(results, worse)
	return results
}

// census tells the ledger how many things there are of the types that m names.
func (e *Engine) census(m *meta) {
	for i := range m.pivots {
		t := m.pivots[i].key.Type
		e.opt.Ledger.Count(t, e.mem.Kinds(t))
	}
}

// note tells the ledger of an alert of a burst.
func (e *Engine) note(m *meta, a *model.Alert) {
	s := ledger.Sighting{Alert: a.ID, Rule: a.Rule.ID, Title: a.Rule.Title, Level: severities[level(a)], Tactics: a.Tactics, Time: a.Time, Subject: m.subject.String()}
	if m.fan && a.Host != "" {
		s.Subject = model.EntityKey{Type: model.Host, Value: a.Host}.String()
	}
	for i := range m.pivots {
		v := &m.pivots[i]
		if m.fan && a != m.alerts[0] && v.key != m.principal || !lasting(v.key) {
			continue // of a fan only its hand is in every alert
		}
		s.Common = v.common
		e.opt.Ledger.Note(v.key, s)
	}
}

var severities = [5]model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}

// lasting says whether an entity is the same months later. An address of a private
// network is another machine's by then.
func lasting(k model.EntityKey) bool {
	if k.Type == model.IP {
		a, err := netip.ParseAddr(k.Value)
		return err == nil && a.IsGlobalUnicast() && !a.IsPrivate()
	}
	return ledger.Durable(k.Type)
}

// remember adds to r what the ledger knows of the entities of its members. Where they
// are is left out: it is a place of much else, months ago.
func (e *Engine) remember(r *Result, c *candidate) {
	type asked struct {
		m *meta
		v *pivot
	}
	var ask []asked
	of := map[model.EntityKey]bool{}
	tries := map[model.EntityType]int{}
	for _, mem := range r.Members {
		m := e.seen[mem.Alert.ID]
		if m == nil || m.cand.top() != c || m.beside {
			continue
		}
		for i := range m.pivots {
			if v := &m.pivots[i]; v.class > wide && !of[v.key] && lasting(v.key) && len(ask) < earlierAsked {
				of[v.key] = true
				tries[v.key.Type]++
				ask = append(ask, asked{m, v})
			}
		}
	}
	for _, q := range ask {
		if c.subjects[q.v.key] {
			continue
		}
		p, ok := e.opt.Ledger.Recall(q.v.key, c.first.Add(-earlierAge))
		if !ok || e.bind.parted(p.Alert, c) {
			continue
		}
		l, ok := earlierLink(q.m, q.v, p, tries[q.v.key.Type])
		if !ok || slices.ContainsFunc(r.Earlier, func(x Earlier) bool { return x.Past.Alert == p.Alert }) {
			continue
		}
		x := Earlier{Link: l, Past: p}
		if m := e.seen[p.Alert]; m != nil {
			for _, a := range m.alerts {
				if a.ID == p.Alert {
					x.In = a
				}
			}
		}
		r.Earlier = append(r.Earlier, x)
	}
	if len(r.Earlier) == 0 {
		return
	}
	slices.SortStableFunc(r.Earlier, func(a, b Earlier) int {
		return cmp.Or(cmp.Compare(b.Link.Bits, a.Link.Bits), a.Past.Time.Compare(b.Past.Time), cmp.Compare(a.Past.Alert, b.Past.Alert))
	})
	r.Earlier = r.Earlier[:min(len(r.Earlier), earlierShown)]
	e.take(r, c)
}

// take counts remembered evidence into r. It raises what misses a little, unless that
// is one user's routine: memory does not turn habit into attack.
func (e *Engine) take(r *Result, c *candidate) {
	bits := 0.0
	for _, x := range r.Earlier {
		r.Links = append(r.Links, x.Link)
		bits += x.Link.Bits
	}
	bits = min(bits, earlierMost)
	own, theta := r.Bits, e.opt.Threshold
	r.Bits = round2(own + bits)
	r.Score = score(r.Bits, theta)
	acts := "1 act remembered from earlier"
	if n := len(r.Earlier); n > 1 {
		acts = fmt.Sprintf("%d acts remembered from earlier", n)
	}
	r.ScoreTerms = append(r.ScoreTerms, model.Term{What: acts, Bits: round2(bits)})
	if !r.Raised && own < theta && r.Bits >= theta && !c.silent() && !e.routine(c) {
		r.Raised = true
		r.Severity = model.Medium
	}
}

// earlierLink weighs one remembered act: by how few things of its type did as much, how
// grave the act was, on how few places and days the thing was seen, how long ago it
// was, and how many things were asked about.
func earlierLink(m *meta, v *pivot, p ledger.Past, tries int) (model.Link, bool) {
	if p.Subjects > hubCarriers || p.Days > earlierDays || p.Common > hubShare {
		return model.Link{}, false
	}
	age := m.first.Sub(p.Time)
	grave := max(p.Level.Rank(), 0)
	terms := map[string]float64{
		"entity":   round2(math.Log2(float64(p.Known+8) / float64(p.Peers+1))),
		"fidelity": round2(math.Log2(fidelity[grave])),
		"spread":   round2(-math.Log2(float64(max(p.Subjects, 1))) - .5*math.Log2(float64(max(p.Days, 1)))),
		"age":      round2(-age.Hours() / earlierFade.Hours()),
		"chances":  round2(-math.Log2(float64(max(tries, 1)))),
	}
	bits := min(terms["entity"]+terms["fidelity"]+terms["spread"]+terms["age"]+terms["chances"], earlierMost)
	if bits < earlierLeast {
		return model.Link{}, false
	}
	return model.Link{
		From: m.alerts[0].ID, To: p.Alert, Reason: v.reason, Entity: v.key, Shared: v.key.String(), Bits: round2(bits), Terms: terms,
		Detail: remembered(v, p, age),
	}, true
}

// remembered says in a sentence what is remembered of the thing v.
func remembered(v *pivot, p ledger.Past, age time.Duration) string {
	noun := nouns[v.key.Type]
	if noun == "" {
		noun = string(v.key.Type)
	}
	what := "a rule of which only this is remembered"
	if p.Title != "" {
		what = "“" + p.Title + "”"
	}
	tactics := strings.ReplaceAll(strings.Join(p.Tactics, " and "), "-", " ")
	text := fmt.Sprintf("%s %s was seen %s earlier, on %s, in %s (alert %s, %s, %s)",
		noun, v.key.Value, short(age), p.Time.Format(time.DateOnly), what, p.Alert, p.Level, tactics)
	if p.First.Before(p.Time.Add(-24 * time.Hour)) {
		text += ", and first on " + p.First.Format(time.DateOnly)
	}
	return text + fmt.Sprintf("; it was on %s and %s in all, and %d of %d of its type that are known did as much",
		about(p.Subjects, "place"), about(p.Days, "day"), p.Peers, p.Known)
}

func about(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Remembered returns the links to remembered acts, the most telling first.
func (r *Result) Remembered() []model.Link {
	out := make([]model.Link, len(r.Earlier))
	for i, x := range r.Earlier {
		out[i] = x.Link
	}
	return out
}
