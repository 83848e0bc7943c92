package simulate

import (
	"encoding/json"
	"testing"
	"time"
)

func TestBenignIsLabelled(t *testing.T) {
	dir, _ := made(t, Options{Seed: 4, Scenarios: BenignNames()})
	files := contents(t, dir)
	var truth watchedTruth
	if err := json.Unmarshal(files["truth.json"], &truth); err != nil {
		t.Fatal(err)
	}
	if len(truth.Campaigns) != 0 || len(truth.Benign) != len(BenignNames()) {
		t.Fatalf("%d campaigns, %d activities", len(truth.Campaigns), len(truth.Benign))
	}
	events := decoded(t, files)
	for _, a := range truth.Benign {
		if len(a.Records) < 15 {
			t.Errorf("%s has %d records", a.Kind, len(a.Records))
		}
		for _, key := range a.Records {
			e := events[key]
			if e == nil {
				t.Errorf("%s: %s is no record", a.Kind, key)
			} else if off := e.Time.Sub(a.From); off < -2*time.Hour || e.Time.After(a.To.Add(2*time.Hour)) {
				t.Errorf("%s: %s is of %s", a.Kind, key, e.Time)
			}
		}
	}
}
