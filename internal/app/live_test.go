package app

import (
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// TestLiveFindsWhatAnalyzeFinds sends the simulator's day through the live engine, in
// batches of many sizes: each attack is one incident, as analyze tells it, and none are
// glued together.
func TestLiveFindsWhatAnalyzeFinds(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := simulated(t, simulate.Options{Seed: 1})
	report, err := a.Analyze(t.Context(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*model.Alert{}
	for i := range report.Alerts {
		byID[report.Alerts[i].ID] = &report.Alerts[i]
	}
	s, cases, events := newMemStream(), newMemCases(), newMemEvents()
	off := map[string]time.Duration{}
	for _, in := range report.Inputs {
		off[in.Path] = time.Duration(in.ClockOffset * float64(time.Second))
	}
	ps := pieces(t, a, dir, off, spans(3, 5*time.Second, 20*time.Minute))
	feed(t, s, ps, 5*time.Second)
	began := time.Now()
	l := NewLive(a, s, cases, events, LiveOptions{Dir: t.TempDir(), Tick: time.Hour})
	if err := runTo(t, l, s.len(), events); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d batches, %d rows, %d rounds, %d commits in %s; %d incidents, analyze %d", len(ps), events.rows, l.Health().Rounds, cases.commits, time.Since(began), len(cases.incidents), len(report.Incidents))
	live := map[string]map[string]bool{} // incident, to the keys of its alerts
	for id, w := range cases.incidents {
		live[id] = map[string]bool{}
		for _, x := range w.Incident.Alerts {
			if al := cases.alerts[x]; al != nil {
				live[id][keyOf(al)] = true
			} else {
				t.Errorf("%s names alert %s, which the store does not have", id, x)
			}
		}
		t.Logf("live %s %s %d: %s (%d alerts, told %d times)", id, w.Incident.Severity, w.Incident.Score, w.Incident.Title, len(w.Incident.Alerts), cases.versions[id])
	}
	of := map[string][]string{} // live incident, to those of analyze that it holds
	for _, in := range report.Incidents {
		t.Logf("analyze %s %s %d: %s (%d alerts)", in.ID, in.Severity, in.Score, in.Title, len(in.Alerts))
		best, most := "", 0
		for id, keys := range live {
			n := 0
			for _, x := range in.Alerts {
				if keys[keyOf(byID[x])] {
					n++
				}
			}
			if n > 0 {
				of[id] = append(of[id], in.ID)
			}
			if n > most {
				best, most = id, n
			}
		}
		t.Logf("   %d of its alerts are in %s", most, best)
		if in.Severity.Rank() >= model.High.Rank() && 2*most < len(in.Alerts) {
			t.Errorf("%s %q: the live incident that has most of it has %d of %d alerts", in.ID, in.Title, most, len(in.Alerts))
		}
	}
	for id, l := range of {
		if len(l) > 1 {
			t.Errorf("%s glues %v together", id, l)
		}
	}
}
