package knowledge

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// An Actor is a group (G...) or campaign (C...) of ATT&CK with what it was seen
// to use.
type Actor struct {
	ID, Name   string
	Techniques []string // v19 ids, ascending
}

// Actors returns the groups and campaigns with at least one technique, groups
// first, by id. The slices of the answer belong to the table.
func Actors() []Actor { return append([]Actor(nil), attack().actors...) }

// A Prediction is a technique that the attacker may use next.
type Prediction struct {
	Technique, Name string
	Tactic          string // short name
	// Probability is an estimate of how likely an actor with the techniques seen
	// also uses this one: measured by leaving each actor of ATT&CK out in turn,
	// showing half of its techniques and asking for the other half. It says nothing
	// about when.
	Probability float64
	Why         string   // names up to three actors: "as APT29 and FIN7 did"
	Actors      []string // their ids
}

const (
	neighbours = 20 // the k of kNN; see the measurement in the tests
	maxSeen    = 512
	// calibration is the power that turns the share of the neighbours that used a
	// technique into the probability that the actor at hand does too. It is above 1
	// because half of what he does was shown already and is not asked for. Measured;
	// see TestNextIsCalibrated.
	calibration = 1.6
)

// Next returns the k likeliest next techniques of an attacker who was seen to use
// the techniques given: what the 20 groups and campaigns most like him use
// (cosine of the sets), each weighing as much as it is alike. Techniques seen,
// their parents, and what happens on the attacker's own side before an attack are
// not predicted. Ties go by id; the answer does not depend on the order of seen.
func Next(seen []string, k int) []Prediction { return next(attack().actors, seen, k) }

func next(actors []Actor, seen []string, k int) []Prediction {
	known := map[string]bool{} // what is not to be predicted
	own := map[string]bool{}
	for _, id := range seen[:min(len(seen), maxSeen)] {
		if now, ok := Resolve(id); ok {
			own[now], known[now], known[parentOf(now)] = true, true, true
		}
	}
	if len(own) == 0 || k <= 0 {
		return nil
	}
	near := nearest(actors, own)
	type candidate struct {
		weight float64
		actors []Actor // nearest first
	}
	found := map[string]*candidate{}
	var total float64
	var ids []string
	for _, n := range near {
		total += n.likeness
		for _, id := range n.Techniques {
			if known[id] || !predictable(id) {
				continue
			}
			c := found[id]
			if c == nil {
				c = &candidate{}
				found[id] = c
				ids = append(ids, id)
			}
			c.weight += n.likeness
			c.actors = append(c.actors, n.Actor)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(found[b].weight, found[a].weight), cmp.Compare(a, b))
	})
	var out []Prediction
	for _, id := range ids[:min(k, len(ids))] {
		t, _ := Lookup(id)
		p := Prediction{Technique: id, Name: TechniqueName(id), Tactic: primaryTactic(t.Tactics), Probability: math.Pow(found[id].weight/total, calibration)}
		var names []string
		for _, a := range found[id].actors[:min(3, len(found[id].actors))] {
			p.Actors = append(p.Actors, a.ID)
			names = append(names, a.Name)
		}
		p.Why = "as " + enumerate(names) + " did"
		out = append(out, p)
	}
	return out
}

type neighbour struct {
	Actor
	likeness float64
}

// nearest returns the actors most like a set of techniques, likest first.
func nearest(actors []Actor, own map[string]bool) []neighbour {
	var near []neighbour
	for _, a := range actors {
		shared := 0
		for _, id := range a.Techniques {
			if own[id] {
				shared++
			}
		}
		if shared > 0 {
			near = append(near, neighbour{a, float64(shared) / math.Sqrt(float64(len(a.Techniques)*len(own)))})
		}
	}
	slices.SortFunc(near, func(a, b neighbour) int {
		return cmp.Or(cmp.Compare(b.likeness, a.likeness), cmp.Compare(a.ID, b.ID))
	})
	return near[:min(neighbours, len(near))]
}

// predictable says whether a technique can happen after an attack has been seen:
// not if it belongs to the preparation only.
func predictable(id string) bool {
	for _, t := range TacticsOf(id) {
		if t != Reconnaissance && t != ResourceDevelopment {
			return true
		}
	}
	return false
}

// enumerate joins names as a sentence does: "a", "a and b", "a, b and c".
func enumerate(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
