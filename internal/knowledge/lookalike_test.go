package knowledge

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// shown returns that share of an actor's techniques that evidence can show.
func shown(a Actor, share float64, r *rand.Rand) []string {
	ids := slices.DeleteFunc(slices.Clone(a.Techniques), func(id string) bool { return !predictable(id) })
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:int(share*float64(len(ids))+0.5)]
}

// An actor of whom most is seen strikes; one of whom half is seen never does.
func TestLookalikeOfMost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var well, told, wrong float64
	for _, a := range Actors() {
		most := shown(a, 0.75, r)
		if len(most) < 12 {
			continue
		}
		well++
		for _, l := range Lookalikes(most, 3) {
			switch {
			case l.ID == a.ID && l.Striking:
				told++
			case l.Striking && l.ID != a.ID:
				wrong++ // campaigns of a group share its techniques
			}
		}
		for _, l := range Lookalikes(shown(a, 0.5, r), 3) {
			if l.ID == a.ID && l.Striking {
				t.Errorf("%s strikes by %d of %d techniques", a.Name, len(l.Shared), l.Of)
			}
		}
	}
	t.Logf("%.0f actors of 12 techniques and more: %.0f %% told when three quarters are seen, %.0f others told besides", well, 100*told/well, wrong)
	if told < 0.8*well || wrong > 0.1*well {
		t.Errorf("%.0f of %.0f told, %.0f others", told, well, wrong)
	}
}

// Techniques drawn by how common they are, as a busy incident of everybody's tools
// shows them, strike hardly ever.
func TestLookalikeByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var bag []string
	for _, a := range Actors() {
		bag = append(bag, a.Techniques...)
	}
	const draws = 400
	struck := 0
	for i := range draws {
		var ids []string
		for want := 5 + i%46; len(ids) < want; {
			if id := bag[r.IntN(len(bag))]; !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		for _, l := range Lookalikes(ids, 3) {
			if l.Striking {
				struck++
			}
		}
	}
	t.Logf("%d of %d draws of 5 to 50 techniques strike", struck, draws)
	if struck > draws/100 {
		t.Errorf("%d of %d draws strike", struck, draws)
	}
}

func TestLookalikes(t *testing.T) {
	if l := Lookalikes(nil, 3); len(l) != 0 {
		t.Errorf("nothing looks like %v", l)
	}
	seen := []string{"T1566.001", "T1059.001", "T1003.001", "T1021.002", "T1562.001"}
	a := Lookalikes(seen, 3)
	slices.Reverse(seen)
	b := Lookalikes(seen, 3)
	if len(a) != 3 || len(b) != 3 {
		t.Fatalf("%d and %d lookalikes", len(a), len(b))
	}
	for i := range a {
		if a[i].ID != b[i].ID || len(a[i].Shared) < 2 || a[i].Of < len(a[i].Shared) || a[i].Likeness <= 0 || a[i].Likeness > 1 {
			t.Errorf("%+v, %+v", a[i], b[i])
		}
	}
}

// Every platform that a log source is said to be of is one that techniques have.
func TestPlatforms(t *testing.T) {
	known := map[string]bool{}
	for _, x := range attack().techniques {
		for _, p := range x.Platforms {
			known[p] = true
		}
	}
	for _, product := range []string{"windows", "linux", "macos", "esxi", "aws", "gcp", "azure", "okta", "m365", "github", "kubernetes", "cisco"} {
		ps := PlatformsIn(model.LogSource{Product: product})
		if len(ps) == 0 {
			t.Errorf("%s is of no platform", product)
		}
		for _, p := range ps {
			if !known[p] {
				t.Errorf("%s: ATT&CK has no platform %q", product, p)
			}
		}
	}
	if PlatformsIn(model.LogSource{Product: "suricata"}) != nil {
		t.Error("a network sensor's alert may be about any platform")
	}
	if ps := PlatformsOf("T1562.001"); !slices.Contains(ps, "Windows") {
		t.Errorf("a revoked technique is of %v", ps)
	}
}
