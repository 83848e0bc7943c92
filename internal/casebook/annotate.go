package casebook

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of what a report says of decisions.
const (
	maxShown = 1_000 // decisions of one incident, or of none
	maxNotes = 20    // decisions that do not do what they say, told one by one
)

// Annotate tells in a report what decisions did: to each incident its history, who
// has it and how it stands; where ids lead that decisions name; what is suppressed.
// It reads the members of incidents from the report, so it comes last.
func (b *Book) Annotate(r *model.Report) {
	if b == nil || len(b.entries) == 0 {
		return
	}
	in := map[string]*model.Incident{} // by member
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		for _, l := range [][]string{inc.Alerts, inc.Context} {
			for _, id := range l {
				in[id] = inc
			}
		}
	}
	// Where ids lead comes first: a split is told by the id of today.
	r.Redirects = b.redirects(in)
	for _, x := range b.entries {
		b.tell(r, x, in)
	}
	more := trim(&r.Decisions)
	for i := range r.Incidents {
		more += trim(&r.Incidents[i].History)
	}
	b.tellQuiet(r)
	r.Notes = append(r.Notes, b.notes()...)
	if more > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("Of decisions about one incident, and of those about none, the report has the latest %d; the journal has all.", maxShown))
	}
}

// trim leaves the latest decisions of a list and returns how many it drops.
func trim(l *[]model.Decision) int {
	n := max(len(*l)-maxShown, 0)
	*l = slices.Clone((*l)[n:])
	return n
}

// tell brings one decision into the incidents that it is about.
func (b *Book) tell(r *model.Report, x *entry, in map[string]*model.Incident) {
	var told []*model.Incident
	for _, a := range x.about {
		inc := in[a]
		if inc == nil || slices.Contains(told, inc) {
			continue
		}
		told = append(told, inc)
		inc.History = append(inc.History, x.shown())
	}
	if len(told) == 0 {
		r.Decisions = append(r.Decisions, x.shown())
		return
	}
	if x.dead {
		return
	}
	inc := told[0]
	whole := incidentForm.MatchString(x.d.Targets[0])
	switch x.d.Kind {
	case model.JudgeAs:
		if whole {
			inc.Verdict = x.d.Value
		}
	case model.Assign:
		inc.Assignee = x.d.Value
	case model.SetStatus:
		inc.Status = x.d.Value
	case model.Split:
		b.tellSplit(x, in)
	case model.Cut:
		one, other := in[x.d.Targets[0]], in[x.d.Targets[1]]
		if one == nil || other == nil || one == other || !b.Apart(b.Group(x.d.Targets[0]), b.Group(x.d.Targets[1])) {
			return
		}
		if other.FirstSeen.Before(one.FirstSeen) || other.FirstSeen.Equal(one.FirstSeen) && other.ID < one.ID {
			one, other = other, one
		}
		other.SplitFrom = one.ID
	}
}

func (b *Book) tellSplit(x *entry, in map[string]*model.Incident) {
	seed := b.seeds[x.d.Targets[0]]
	from := x.d.Targets[0]
	if inc := in[seed]; inc != nil {
		from = inc.ID
	}
	for _, a := range x.d.Targets[1:] {
		if inc := in[a]; inc != nil && inc.ID != from && b.splits[a] && b.Apart(b.Group(seed), b.Group(a)) {
			inc.SplitFrom = from
		}
	}
}

// shown returns a decision as a report shows it.
func (x *entry) shown() model.Decision {
	d := x.d
	d.Effect = x.effect
	return d
}

// redirects says where the ids lead that decisions name and no incident has. An
// incident is found by the alert it began with, whoever holds it now.
func (b *Book) redirects(in map[string]*model.Incident) []model.Redirect {
	var out []model.Redirect
	seen := map[string]bool{}
	for _, x := range b.entries {
		for _, t := range x.d.Targets {
			inc := in[b.seeds[t]]
			if b.seeds[t] == "" || inc == nil || inc.ID == t || seen[t] {
				continue
			}
			seen[t] = true
			r := model.Redirect{From: t, To: inc.ID, Why: "by the evidence, what it began with is part of this incident"}
			if p := b.joined(b.seeds[t], inc); p != nil {
				r.Why = fmt.Sprintf("a %s by %s", p.Decision.Kind, p.Why())
			}
			out = append(out, r)
		}
	}
	return out
}

// joined returns a pair by which decisions join an alert to others of its incident.
func (b *Book) joined(alert string, inc *model.Incident) *Pair {
	for i := range b.pairs {
		p := &b.pairs[i]
		other := ""
		switch alert {
		case p.From:
			other = p.To
		case p.To:
			other = p.From
		}
		if other != "" && (slices.Contains(inc.Alerts, other) || slices.Contains(inc.Context, other)) {
			return p
		}
	}
	return nil
}

// tellQuiet says which alerts are suppressed, in all and by incident.
func (b *Book) tellQuiet(r *model.Report) {
	if b.quiet.n == 0 {
		return
	}
	for _, x := range slices.Backward(b.quiet.all) {
		if x.hits > 0 {
			r.Suppressed = append(r.Suppressed, x.suppressed(x.hits))
		}
	}
	by := map[string]map[*entry]int{}
	for i := range r.Alerts {
		if a := &r.Alerts[i]; a.Incident != nil {
			if x := b.quiet.find(a); x != nil {
				if by[*a.Incident] == nil {
					by[*a.Incident] = map[*entry]int{}
				}
				by[*a.Incident][x]++
			}
		}
	}
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		for _, x := range slices.Backward(b.quiet.all) {
			if n := by[inc.ID][x]; n > 0 {
				inc.Suppressed = append(inc.Suppressed, x.suppressed(n))
			}
		}
	}
}

func (x *entry) suppressed(n int) model.Suppressed {
	d := &x.d
	return model.Suppressed{Decision: d.ID, Where: *d.Where, Until: d.Until, Author: d.Author, Reason: d.Reason, Alerts: n,
		Text: fmt.Sprintf("Suppressed until %s, and weak evidence still: %s %s, by %s", d.Until.UTC().Format(time.RFC3339), alerts(n), x.what(), by(d))}
}

func alerts(n int) string {
	if n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf("%d alerts", n)
}

// what says the condition of a decision in words.
func (x *entry) what() string {
	w, s := x.d.Where, ""
	switch {
	case w.Rule != "" && x.title != "":
		s += fmt.Sprintf(" of rule %q (%s)", x.title, w.Rule)
	case w.Rule != "":
		s += " of rule " + w.Rule
	}
	if w.Product != "" {
		s += " of " + w.Product
	}
	if w.Entity != "" {
		s += " with " + w.Entity
	}
	if w.Since != nil {
		s += " from " + w.Since.UTC().Format(time.RFC3339) + " on"
	}
	if s == "" {
		return ""
	}
	return s[1:]
}

// notes say which decisions do not do all that they say, and what is kept out.
func (b *Book) notes() []string {
	var out []string
	more := 0
	add := func(s string) {
		if len(out) >= maxNotes {
			more++
			return
		}
		out = append(out, s)
	}
	for _, x := range b.entries {
		switch {
		case x.effect != "" && !x.dead:
			add(fmt.Sprintf("Decision %s (%s, %s) does not do all it says: %s.", x.d.ID, x.d.Kind, x.d.Author, x.effect))
		case x.dead || x.d.Kind != model.Exclude:
		case x.d.Where.Entity != "":
			add(fmt.Sprintf("Kept out of fusion: %s, by %s.", x.d.Where.Entity, by(&x.d)))
		default:
			add(fmt.Sprintf("Kept out of fusion: %s %s, by %s.", alerts(x.hits), x.what(), by(&x.d)))
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("And %d further decisions do not do all they say, or keep something out.", more))
	}
	return out
}
