package detect

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

func burstAlert(n int, at time.Duration, rule, host string) *model.Alert {
	t := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).Add(at)
	return &model.Alert{ID: fmt.Sprint("a-", n), Rule: model.RuleInfo{ID: rule}, Host: host, Time: t, End: t, Count: 1,
		Entities: []model.Entity{{Type: model.Host, Value: host, Role: model.Subject}}, Evidence: []model.Evidence{{ID: fmt.Sprint("e-", n)}}}
}

func TestBursts(t *testing.T) {
	f := func(why string, want int, alerts ...*model.Alert) {
		t.Helper()
		var b Bursts
		got, count := 0, 0
		var kept []*model.Alert
		for _, a := range alerts {
			if o := b.Fold(a); o != nil {
				got++
				kept = append(kept, o)
			}
		}
		for _, a := range kept {
			count += a.Count
			if len(a.Evidence) > burstEvidence {
				t.Errorf("%s: %d records", why, len(a.Evidence))
			}
		}
		if got != want || count != len(alerts) {
			t.Errorf("%s: %d alerts that count %d, want %d that count %d", why, got, count, want, len(alerts))
		}
	}
	f("again within minutes", 1, burstAlert(1, 0, "r", "h"), burstAlert(2, time.Minute, "r", "h"), burstAlert(3, 5*time.Minute, "r", "h"))
	f("late but near", 1, burstAlert(1, 4*time.Minute, "r", "h"), burstAlert(2, 0, "r", "h"))
	f("after a silence", 2, burstAlert(1, 0, "r", "h"), burstAlert(2, 6*time.Minute, "r", "h"))
	f("another rule", 2, burstAlert(1, 0, "r", "h"), burstAlert(2, 0, "s", "h"))
	f("another host", 2, burstAlert(1, 0, "r", "h"), burstAlert(2, 0, "r", "i"))
	objects := make([]*model.Alert, 100)
	for i := range objects {
		objects[i] = burstAlert(i, time.Duration(i)*time.Second, "r", "h")
		objects[i].Entities = append(objects[i].Entities, model.Entity{Type: model.Resource, Value: fmt.Sprint("object", i), Role: model.Target})
	}
	last := objects[burstsApart]
	f("one object after the other", burstsApart+1, objects...)
	if len(last.Entities) != burstEntities || last.Count != len(objects)-burstsApart {
		t.Errorf("the burst counts %d and lists %d entities", last.Count, len(last.Entities))
	}
	var long []*model.Alert
	for i := range 120 {
		long = append(long, burstAlert(i, time.Duration(i)*time.Minute, "r", "h"))
	}
	f("for two hours", 2, long...)
}

// TestBurstsCountEverything: counts add up to the alerts that came, whatever the
// order.
func TestBurstsCountEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Bursts
		var kept []*model.Alert
		n := rapid.IntRange(0, 200).Draw(t, "n")
		for i := range n {
			a := burstAlert(i, time.Duration(rapid.IntRange(0, 20000).Draw(t, "at"))*time.Second, rapid.SampledFrom([]string{"r", "s"}).Draw(t, "rule"), "h")
			if o := b.Fold(a); o != nil {
				kept = append(kept, o)
			}
		}
		sum := 0
		for _, a := range kept {
			sum += a.Count
			if a.End.Sub(a.Time) > burstLen {
				t.Fatalf("a burst of %v", a.End.Sub(a.Time))
			}
		}
		if sum != n {
			t.Fatalf("counts add up to %d of %d", sum, n)
		}
	})
}
