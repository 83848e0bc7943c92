package simulate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestTroublesLoseNothing checks that the lines are the same as without trouble,
// some of them twice and in another order, and that the truth still finds them.
func TestTroublesLoseNothing(t *testing.T) {
	plain, _ := made(t, Options{Seed: 4})
	dir, sum := made(t, Options{Seed: 4, Troubles: true})
	without, with := contents(t, plain), contents(t, dir)
	moved, copies := 0, 0
	for name, data := range without {
		if !strings.HasSuffix(name, "log") && !strings.HasSuffix(name, ".ndjson") || strings.Contains(name, "zeek") {
			continue
		}
		before, after := strings.Split(string(data), "\n"), strings.Split(string(with[name]), "\n")
		copies += len(after) - len(before)
		if !slices.Equal(before, after) {
			moved++
		}
		slices.Sort(before)
		slices.Sort(after)
		if !slices.Equal(slices.Compact(before), slices.Compact(after)) {
			t.Errorf("%s has other lines", name)
		}
	}
	if moved < 5 || copies < 100 {
		t.Errorf("%d files moved, %d lines came twice", moved, copies)
	}
	var truth watchedTruth
	if err := json.Unmarshal(with["truth.json"], &truth); err != nil {
		t.Fatal(err)
	}
	if len(truth.Conditions) != 2 {
		t.Errorf("conditions %+v", truth.Conditions)
	}
	events := decoded(t, with)
	if int64(len(events)) != sum.Records {
		t.Errorf("%d events of %d records", len(events), sum.Records)
	}
	for _, c := range truth.Campaigns {
		for _, s := range c.Steps {
			for _, key := range s.Events {
				if e := events[key]; e == nil || e.Time.Sub(s.Time).Abs().Hours() > 25 {
					t.Errorf("%s: step %d: %s is not its record", c.ID, s.N, key)
				}
			}
		}
	}
}
