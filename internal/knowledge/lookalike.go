package knowledge

import (
	"math"
	"slices"
)

// A Lookalike is a group or campaign whose techniques were seen.
type Lookalike struct {
	ID, Name string
	Shared   []string // techniques of its that were seen, ascending
	Of       int      // its techniques that evidence can show: those of preparation are not counted
	Likeness float64  // cosine of the two sets, 0..1
	// Striking says that most of what the actor is known for was seen, and that chance
	// does not explain it: see the conditions below.
	Striking bool
}

// An actor strikes when at least that share of his techniques was seen, he is known
// by enough of them, enough of those seen are few actors', and the overlap lies far
// above that of as many techniques drawn by how common they are. There are some 230
// actors and any could match, so the last is set high. Measured in the tests.
const (
	strikingShare  = 0.6
	strikingOf     = 8
	strikingRare   = 4    // techniques seen that at most rareShare of the actors use
	rareShare      = 0.08 // of all actors
	strikingSigmas = 5.0
)

// Lookalikes returns the k actors most like a set of techniques, likest first, of
// those that share at least two. Techniques are compared as they are: a
// sub-technique is not its parent. The answer does not depend on the order of seen.
func Lookalikes(seen []string, k int) []Lookalike { return lookalikes(attack().actors, seen, k) }

func lookalikes(actors []Actor, seen []string, k int) []Lookalike {
	own := map[string]bool{}
	for _, id := range seen[:min(len(seen), maxSeen)] {
		if now, ok := Resolve(id); ok {
			own[now] = true
		}
	}
	used := map[string]int{} // by how many actors
	total := 0
	for _, a := range actors {
		for _, id := range a.Techniques {
			used[id]++
			total++
		}
	}
	var out []Lookalike
	for _, n := range nearest(actors, own) {
		if len(out) == k {
			break
		}
		l := Lookalike{ID: n.ID, Name: n.Name, Likeness: n.likeness}
		var expected, variance float64
		rare := 0
		for _, id := range n.Techniques {
			if !predictable(id) {
				continue
			}
			l.Of++
			p := min(1, float64(len(own))*float64(used[id])/float64(total))
			expected += p
			variance += p * (1 - p)
			if own[id] {
				l.Shared = append(l.Shared, id)
				if float64(used[id]) <= rareShare*float64(len(actors)) {
					rare++
				}
			}
		}
		if len(l.Shared) < 2 {
			continue
		}
		slices.Sort(l.Shared)
		got := float64(len(l.Shared))
		l.Striking = l.Of >= strikingOf && got >= strikingShare*float64(l.Of) && rare >= strikingRare && got-expected >= strikingSigmas*math.Sqrt(max(variance, 1e-9))
		out = append(out, l)
	}
	return out
}
