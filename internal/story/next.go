package story

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// How many techniques are told as coming next, and of how many those that this
// estate has no place for are left out first.
const (
	maxNext     = 5
	maxNextSeen = 15
)

// next asks what groups that did the same did besides, as far as it can be done in
// this estate, and says by what it would be seen. What only lets an attacker in is
// left out once he is seen to be in: if he did it, it lies behind, unseen.
func next(tactics, techniques []string, e Estate) []model.NextStep {
	var out []model.NextStep
	in := slices.ContainsFunc(tactics, within)
	for _, p := range knowledge.Next(techniques, maxNextSeen) {
		if len(out) == maxNext {
			break
		}
		if in && !slices.ContainsFunc(knowledge.TacticsOf(p.Technique), within) {
			continue
		}
		n := model.NextStep{Technique: p.Technique, Tactic: p.Tactic, Probability: p.Probability, Why: p.Why}
		if len(e.Platforms) > 0 {
			on := knowledge.PlatformsOf(p.Technique)
			here := slices.DeleteFunc(slices.Clone(e.Platforms), func(x string) bool { return !slices.Contains(on, x) })
			if len(here) == 0 {
				continue
			}
			n.Feasible = "possible here (" + strings.Join(here, ", ") + ")"
		}
		if e.Visible != nil {
			n.Visible = visible(e.Visible(p.Technique))
		}
		out = append(out, n)
	}
	return out
}

// within says whether a tactic is of an attacker who is in already.
func within(tactic string) bool {
	switch tactic {
	case knowledge.Reconnaissance, knowledge.ResourceDevelopment, knowledge.InitialAccess:
		return false
	}
	return true
}

func visible(rules int, source string) string {
	if rules == 0 {
		return "no rule in use would show it in the records that this evidence is made of"
	}
	return fmt.Sprintf("you would see it through %s (%s)", source, times(rules, "1 rule", "%d rules"))
}

// lookalikes are the groups and campaigns of which the incident shows most.
func lookalikes(techniques []string) []model.Lookalike {
	const most = 3
	var out []model.Lookalike
	for _, g := range knowledge.Lookalikes(techniques, most) {
		l := model.Lookalike{ID: g.ID, Name: g.Name, Shared: g.Shared, Of: g.Of, Likeness: g.Likeness}
		if g.Striking {
			l.Warning = fmt.Sprintf("%d of the %d techniques of %s that evidence can show are present, more than chance explains.", len(g.Shared), g.Of, g.Name)
		}
		out = append(out, l)
	}
	return out
}

// capped bounds a list of entities as those of the impact are.
func capped(s []string) []string { return s[:min(len(s), maxListed)] }
