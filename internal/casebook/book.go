package casebook

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Book is what of a journal holds over given alerts. Where decisions contradict
// each other the later holds. A Book does not change; all its answers for what no
// decision names are zero, and so are those of a nil Book.
type Book struct {
	entries []*entry // as the journal has them
	groups  groups
	pairs   []Pair
	splits  map[string]bool   // alerts that a split takes out
	seeds   map[string]string // incident named in the journal to the alert it began with
	judged  map[string]string // verdicts by what they name, of incidents by the alert each began with after "inc "
	keep    matchers          // exclusions
	things  map[model.EntityKey]*entry
	quiet   matchers // suppressions
}

// An entry is a decision and what became of it.
type entry struct {
	d      model.Decision
	effect string   // why it does not do all that it says
	dead   bool     // taken back
	about  []string // alerts it is about, incidents by the alert they began with
	hits   int      // alerts that its condition matched, or decisions that it took back
	rank   int      // among conditions, the latest first
	title  string   // of the rule that its condition names, as far as alerts tell
}

// A Pair is two alerts that a decision in force joins.
type Pair struct {
	From, To string // alert ids, the one named first first
	Decision model.Decision
}

// Why says in a clause who joined the two, when and why.
func (p *Pair) Why() string { return by(&p.Decision) }

// Apply works out what of a journal is in force over alerts. A decision about what
// is not among them waits: it does nothing, and is told.
func (j *Journal) Apply(alerts []*model.Alert) *Book {
	b := &Book{groups: newGroups(), splits: map[string]bool{}, seeds: map[string]string{}, judged: map[string]string{}, things: map[model.EntityKey]*entry{}}
	if j == nil {
		return b
	}
	for _, d := range j.Decisions {
		b.entries = append(b.entries, &entry{d: d})
	}
	b.begin(alerts)
	undone := map[string]*entry{}
	for _, x := range slices.Backward(b.entries) { // what was decided last holds
		if u := undone[x.d.ID]; u != nil {
			x.dead, x.effect = true, "taken back by "+by(&u.d)
			u.hits++
			continue
		}
		if x.d.Kind == model.Undo {
			undone[x.d.Targets[0]] = x
			continue
		}
		b.enact(x)
	}
	for _, x := range b.entries {
		if x.d.Kind == model.Undo && !x.dead && x.hits == 0 {
			x.effect = "there is no earlier decision " + x.d.Targets[0]
		}
	}
	slices.Reverse(b.pairs) // to the order of the journal
	b.count(alerts)
	return b
}

// begin finds the alerts that the incidents named in the journal began with, and
// says of each decision what it is about.
func (b *Book) begin(alerts []*model.Alert) {
	wanted, known := map[string]bool{}, map[string]bool{}
	for _, x := range b.entries {
		for _, t := range x.d.Targets {
			wanted[t] = true
		}
	}
	if len(wanted) > 0 {
		for _, a := range alerts {
			known[a.ID] = wanted[a.ID]
			if id := model.IncidentID(a.ID); wanted[id] {
				b.seeds[id] = a.ID
			}
		}
	}
	for _, x := range b.entries {
		for _, t := range x.d.Targets {
			switch {
			case x.d.Kind == model.Undo:
			case alertForm.MatchString(t):
				x.about = append(x.about, t)
				if !known[t] {
					x.fail(t + " is not in this evidence")
				}
			case b.seeds[t] != "":
				x.about = append(x.about, b.seeds[t])
			default:
				x.fail(t + " is not in this evidence")
			}
		}
	}
}

// fail notes the first reason why a decision does not do all that it says.
func (x *entry) fail(why string) {
	if x.effect == "" {
		x.effect = why
	}
}

// enact takes in one decision, older than all taken in before.
func (b *Book) enact(x *entry) {
	t := x.d.Targets
	switch x.d.Kind {
	case model.Cut:
		b.apart(x, t[0], t[1])
	case model.LinkUp:
		b.together(x, t[0], t[1])
	case model.Split:
		seed := b.seeds[t[0]]
		if seed == "" {
			return
		}
		for _, a := range t[1:] {
			if a == seed {
				x.fail(a + " is what " + t[0] + " began with and stays in it")
				continue
			}
			if b.apart(x, seed, a) {
				b.splits[a] = true
			}
			if a != t[1] && t[1] != seed {
				b.together(x, t[1], a)
			}
		}
	case model.Merge:
		for _, o := range t[1:] {
			if b.seeds[t[0]] != "" && b.seeds[o] != "" {
				b.together(x, b.seeds[t[0]], b.seeds[o])
			}
		}
	case model.Move:
		switch from, to := b.seeds[t[1]], b.seeds[t[2]]; {
		case from == t[0]:
			x.fail(t[0] + " is what " + t[1] + " began with and stays in it; merge the two")
		case from != "" && to != "":
			if b.apart(x, from, t[0]) && to != t[0] {
				b.together(x, to, t[0])
			}
		}
	case model.JudgeAs:
		k := t[0]
		if seed := b.seeds[k]; seed != "" {
			k = "inc " + seed
		}
		if b.judged[k] == "" { // the latest verdict holds
			b.judged[k] = x.d.Value
		}
	case model.Exclude:
		if k, ok := Entity(x.d.Where.Entity); ok {
			b.things[k] = x
			return
		}
		b.match(&b.keep, x)
	case model.Suppress:
		b.match(&b.quiet, x)
	}
}

func (b *Book) match(m *matchers, x *entry) {
	if b.keep.n+b.quiet.n >= MaxMatchers {
		x.fail(fmt.Sprintf("one of more than %d exclusions and suppressions; the latest hold", MaxMatchers))
		return
	}
	m.add(x)
}

func (b *Book) apart(x *entry, a, c string) bool {
	o, ok := b.groups.apart(a, c, x)
	if !ok {
		x.overridden(o, a, c)
	}
	return ok
}

func (b *Book) together(x *entry, a, c string) bool {
	o, ok := b.groups.together(a, c)
	if !ok {
		x.overridden(o, a, c)
		return false
	}
	b.pairs = append(b.pairs, Pair{From: a, To: c, Decision: x.d})
	return true
}

func (x *entry) overridden(o *entry, a, c string) {
	switch {
	case o == nil:
		x.fail(fmt.Sprintf("one of more than %d pairs that decisions join or keep apart; the latest hold", maxPairs))
	case o.d.Kind == "":
		x.fail(fmt.Sprintf("later decisions join %s and %s", a, c))
	default:
		x.fail(fmt.Sprintf("between %s and %s a later %s holds, of %s", a, c, o.d.Kind, by(&o.d)))
	}
}

// count notes how many alerts each condition matches and says so of those that
// match none.
func (b *Book) count(alerts []*model.Alert) {
	var first time.Time
	if b.keep.n+b.quiet.n > 0 {
		for _, a := range alerts {
			if first.IsZero() || a.Time.Before(first) {
				first = a.Time
			}
			for _, m := range []*matchers{&b.keep, &b.quiet} {
				if x := m.find(a); x != nil {
					x.hits++
					if x.d.Where.Rule != "" {
						x.title = a.Rule.Title
					}
				}
			}
		}
	}
	for _, m := range []*matchers{&b.keep, &b.quiet} {
		for _, x := range m.all {
			switch {
			case x.hits > 0:
			case x.d.Until != nil && len(alerts) > 0 && !first.Before(*x.d.Until):
				x.fail("it ended before this evidence begins")
			default:
				x.fail("it matches no alert of this evidence that a later one does not match")
			}
		}
	}
}

// Group returns the number of the group of alerts that an alert is in, of those that
// decisions join; 0 for an alert that no decision binds.
func (b *Book) Group(alert string) int {
	if b == nil || b.groups.of == nil {
		return 0
	}
	return b.groups.number(alert)
}

// Apart says whether decisions keep two groups in different incidents.
func (b *Book) Apart(g, h int) bool { return b != nil && b.groups.barred(g, h) }

// Pairs are the pairs of alerts that decisions join, in the order of the journal.
func (b *Book) Pairs() []Pair {
	if b == nil {
		return nil
	}
	return b.pairs
}

// Splits says whether a decision took an alert out of an incident for one of its own.
func (b *Book) Splits(alert string) bool { return b != nil && b.splits[alert] }

// Verdict returns the verdict on an alert; empty if there is none.
func (b *Book) Verdict(alert string) string {
	if b == nil {
		return ""
	}
	return b.judged[alert]
}

// VerdictOn returns the verdict on the incident that began with an alert; empty if
// there is none.
func (b *Book) VerdictOn(seed string) string {
	if b == nil {
		return ""
	}
	return b.judged["inc "+seed]
}

// Excluded says whether an alert is kept out of fusion.
func (b *Book) Excluded(a *model.Alert) bool { return b != nil && b.keep.find(a) != nil }

// Blind says whether an entity is kept out of fusion.
func (b *Book) Blind(k model.EntityKey) bool { return b != nil && b.things[k] != nil }

// Blinds says whether any entity is kept out of fusion.
func (b *Book) Blinds() bool { return b != nil && len(b.things) > 0 }

// Suppressed returns the id of the suppression that an alert falls under, empty if
// it falls under none.
func (b *Book) Suppressed(a *model.Alert) string {
	if b == nil {
		return ""
	}
	if x := b.quiet.find(a); x != nil {
		return x.d.ID
	}
	return ""
}

// matchers find the decision whose condition an alert meets.
type matchers struct {
	n         int
	all       []*entry // the latest first
	byRule    map[string][]*entry
	byProduct map[string][]*entry
	byEntity  map[string][]*entry
}

func (m *matchers) add(x *entry) {
	if m.n == 0 {
		m.byRule, m.byProduct, m.byEntity = map[string][]*entry{}, map[string][]*entry{}, map[string][]*entry{}
	}
	m.n++
	x.rank = m.n
	m.all = append(m.all, x)
	switch w := x.d.Where; {
	case w.Rule != "":
		m.byRule[w.Rule] = append(m.byRule[w.Rule], x)
	case w.Entity != "":
		m.byEntity[w.Entity] = append(m.byEntity[w.Entity], x)
	default:
		m.byProduct[w.Product] = append(m.byProduct[w.Product], x)
	}
}

// find returns the latest decision whose condition an alert meets.
func (m *matchers) find(a *model.Alert) *entry {
	if m.n == 0 {
		return nil
	}
	var best *entry
	try := func(l []*entry) {
		for _, x := range l {
			if Matches(&x.d, a) {
				if best == nil || x.rank < best.rank {
					best = x
				}
				return
			}
		}
	}
	try(m.byRule[a.Rule.ID])
	try(m.byProduct[a.Product])
	if len(m.byEntity) > 0 {
		for i := range a.Entities {
			try(m.byEntity[a.Entities[i].Key().String()])
		}
	}
	return best
}

// Matches says whether an alert meets the condition of an exclusion or suppression
// and lies in its time.
func Matches(d *model.Decision, a *model.Alert) bool {
	w := d.Where
	switch {
	case w == nil:
		return false
	case w.Rule != "" && w.Rule != a.Rule.ID:
		return false
	case w.Product != "" && w.Product != a.Product:
		return false
	case w.Since != nil && a.Time.Before(*w.Since):
		return false
	case d.Until != nil && !a.Time.Before(*d.Until):
		return false
	}
	if w.Entity == "" {
		return true
	}
	return slices.ContainsFunc(a.Entities, func(e model.Entity) bool {
		return len(w.Entity) == len(e.Type)+1+len(e.Value) && e.Key().String() == w.Entity
	})
}
