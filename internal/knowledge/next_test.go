package knowledge

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"
)

// halves returns the leave-one-out cases: what an actor was seen to do (every
// other technique), what is to be predicted, and the actors left.
func halves(visit func(a Actor, shown, hidden []string, others []Actor)) {
	actors := Actors()
	for i, a := range actors {
		if len(a.Techniques) < 8 {
			continue // half of it says nothing
		}
		others := slices.Concat(actors[:i], actors[i+1:])
		for odd := range 2 {
			var shown, hidden []string
			for j, id := range a.Techniques {
				if j%2 == odd {
					shown = append(shown, id)
				} else if predictable(id) {
					hidden = append(hidden, id)
				}
			}
			// A parent of what was shown is known and asked for by nobody.
			hidden = slices.DeleteFunc(hidden, func(id string) bool {
				return slices.ContainsFunc(shown, func(s string) bool { return parentOf(s) == id })
			})
			if len(hidden) > 0 {
				visit(a, shown, hidden, others)
			}
		}
	}
}

// popular predicts what most actors use, whatever was shown.
func popular(actors []Actor, shown []string, k int) []string {
	count := map[string]int{}
	for _, a := range actors {
		for _, id := range a.Techniques {
			if predictable(id) && !slices.Contains(shown, id) && !slices.ContainsFunc(shown, func(s string) bool { return parentOf(s) == id }) {
				count[id]++
			}
		}
	}
	var ids []string
	for id := range count {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	return ids[:min(k, len(ids))]
}

// TestNextBeatsPopularity measures what docs/report.md says of the list: hit@k is the
// share of cases in which one of the first k predictions comes true, recall@10 the share of
// what comes that the first ten name.
func TestNextBeatsPopularity(t *testing.T) {
	ks := [...]int{1, 3, 5, 10}
	type tally struct {
		hit    [len(ks)]float64
		recall float64
	}
	var ours, theirs tally
	cases := 0.0
	halves(func(_ Actor, shown, hidden []string, others []Actor) {
		cases++
		count := func(to *tally, ids []string) {
			for i, k := range ks {
				if slices.ContainsFunc(ids[:min(k, len(ids))], func(id string) bool { return slices.Contains(hidden, id) }) {
					to.hit[i]++
				}
			}
			for _, id := range ids {
				if slices.Contains(hidden, id) {
					to.recall += 1 / float64(len(hidden))
				}
			}
		}
		var ids []string
		for _, p := range next(others, shown, 10) {
			ids = append(ids, p.Technique)
		}
		count(&ours, ids)
		count(&theirs, popular(others, shown, 10))
	})
	for i, k := range ks {
		t.Logf("%.0f cases: hit@%d %.3f, of what is popular %.3f", cases, k, ours.hit[i]/cases, theirs.hit[i]/cases)
		if ours.hit[i] <= theirs.hit[i] {
			t.Errorf("hit@%d %.3f is not better than popularity's %.3f", k, ours.hit[i]/cases, theirs.hit[i]/cases)
		}
	}
	t.Logf("recall@10 %.3f, of what is popular %.3f", ours.recall/cases, theirs.recall/cases)
	if ours.recall <= theirs.recall {
		t.Errorf("recall@10 %.3f is not better than popularity's %.3f", ours.recall/cases, theirs.recall/cases)
	}
}

// What Next calls 30 % must happen in about 30 % of the cases.
func TestNextIsCalibrated(t *testing.T) {
	const bins = 7
	var said, happened, n [bins]float64
	var allSaid, allHappened float64
	halves(func(_ Actor, shown, hidden []string, others []Actor) {
		for _, p := range next(others, shown, 10) {
			b := min(bins-1, int(p.Probability*10))
			n[b]++
			said[b] += p.Probability
			allSaid += p.Probability
			if slices.Contains(hidden, p.Technique) {
				happened[b]++
				allHappened++
			}
		}
	})
	for b := range bins {
		if n[b] == 0 {
			continue
		}
		t.Logf("said %.2f, happened %.2f (%.0f predictions)", said[b]/n[b], happened[b]/n[b], n[b])
		if off := math.Abs(said[b]-happened[b]) / n[b]; n[b] > 200 && off > 0.12 {
			t.Errorf("predictions of about %.2f happen in %.2f of the cases", said[b]/n[b], happened[b]/n[b])
		}
	}
	t.Logf("over all: happened / said = %.3f", allHappened/allSaid)
	if r := allHappened / allSaid; r < 0.93 || r > 1.07 {
		t.Errorf("happened / said = %.3f: change calibration", r)
	}
}

func TestNext(t *testing.T) {
	if got := Next(nil, 5); got != nil {
		t.Errorf("nothing seen predicts %v", got)
	}
	seen := []string{"T1566.001", "T1059.001", "T1003.001", "T1021.002", "T1562.001"}
	got := Next(seen, 5)
	if len(got) != 5 {
		t.Fatalf("%d predictions, want 5", len(got))
	}
	for i, p := range got {
		if slices.Contains(seen, p.Technique) || slices.Contains([]string{"T1566", "T1059", "T1003", "T1021", "T1685"}, p.Technique) {
			t.Errorf("predicts %s, which was seen", p.Technique)
		}
		if p.Probability <= 0 || p.Probability > 1 || i > 0 && p.Probability > got[i-1].Probability {
			t.Errorf("probability %v after %v", p.Probability, got[max(0, i-1)].Probability)
		}
		if !strings.HasPrefix(p.Why, "as ") || !strings.HasSuffix(p.Why, " did") || len(p.Actors) == 0 || len(p.Actors) > 3 || p.Tactic == "" || p.Name == "" {
			t.Errorf("%+v", p)
		}
	}
	slices.Reverse(seen)
	if again := Next(seen, 5); !slices.EqualFunc(got, again, func(a, b Prediction) bool { return a.Technique == b.Technique && a.Probability == b.Probability }) {
		t.Error("the order of what was seen changes the predictions")
	}
}

func TestPriors(t *testing.T) {
	var sum float64
	for _, x := range Tactics() {
		sum += math.Exp2(RootBits(x.ShortName))
	}
	if math.Abs(sum-1) > 0.01 {
		t.Errorf("the root's probabilities add up to %v", sum)
	}
	if !(RootBits(InitialAccess) > RootBits(Reconnaissance) && RootBits(Reconnaissance) > RootBits(Execution) && RootBits(Execution) > RootBits(Impact)) {
		t.Error("the order of root tactics is not the counted one")
	}
}
