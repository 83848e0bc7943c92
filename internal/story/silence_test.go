package story

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// pulseOf feeds a host's acts, a few seconds apart, for an hour but for a hole.
func pulseOf(a *Activity, host string, r *rand.Rand, from, to time.Duration) {
	for at := time.Duration(0); at < time.Hour; at += time.Duration(r.ExpFloat64() * float64(10*time.Second)) {
		if at < from || at >= to {
			a.See(host, dawn.Add(at))
		}
	}
}

func TestSilence(t *testing.T) {
	in := &model.Incident{FirstSeen: dawn, LastSeen: dawn.Add(time.Hour), Steps: stepsAt(t, "5m ws1 execution", "19m ws1 defense-impairment", "50m ws2 execution")}
	in.Steps[1].Technique = "T1685.005"
	var a Activity
	pulseOf(&a, "ws1", rand.New(rand.NewPCG(1, 1)), 20*time.Minute, 40*time.Minute)
	pulseOf(&a, "ws2", rand.New(rand.NewPCG(1, 2)), 0, 0)
	got := silences(in, &a)
	if len(got) != 1 || got[0].Host != "ws1" || !got[0].Ended || len(got[0].Steps) != 1 || got[0].Steps[0] != 2 || len(got[0].Cites) == 0 {
		t.Fatalf("%+v", got)
	}
	if d := got[0].To.Sub(got[0].From); d < 20*time.Minute || d > 21*time.Minute {
		t.Errorf("it lasted %v", d)
	}
	if text := silenceText(&got[0]); !strings.Contains(text, "ws1 recorded nothing") || !strings.Contains(text, "step 2") {
		t.Error(text)
	}
	early := *in
	early.FirstSeen, early.LastSeen = dawn.Add(45*time.Minute), dawn.Add(time.Hour)
	if got := silences(&early, &a); len(got) != 0 {
		t.Errorf("a silence before the attack is told: %+v", got)
	}
}

// A host that stops for good is a finding beside a sign that it was silenced only.
func TestSilenceForGood(t *testing.T) {
	for _, c := range []struct {
		technique string
		last      time.Duration // of the other hosts
		told      bool
	}{{"T1685.001", 2 * time.Hour, true}, {"T1059", 2 * time.Hour, false}, {"T1685.001", 31 * time.Minute, false}} {
		var a Activity
		a.See("other", dawn)
		a.See("third", dawn)
		pulseOf(&a, "ws1", rand.New(rand.NewPCG(1, 1)), 30*time.Minute, time.Hour)
		a.See("other", dawn.Add(c.last))
		a.See("third", dawn.Add(c.last))
		a.See("late", dawn.Add(100*time.Hour)) // other evidence, of another day
		in := &model.Incident{FirstSeen: dawn, LastSeen: dawn.Add(time.Hour), Steps: stepsAt(t, "29m ws1 defense-impairment")}
		in.Steps[0].Technique = c.technique
		got := silences(in, &a)
		if (len(got) == 1) != c.told || c.told && (got[0].Ended || !strings.Contains(silenceText(&got[0]), "nothing more")) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// Hosts whose acts come by chance, in bursts, or by day are not called silent.
func TestHabitIsNoSilence(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var a Activity
	var steps []model.Step
	for h := range 400 {
		host := fmt.Sprint("h", h)
		steps = append(steps, model.Step{N: h + 1, Time: dawn, End: dawn, Host: host})
		at := dawn
		mean := []float64{5, 60, 600}[h%3]
		for i := range 600 {
			step := time.Duration(r.ExpFloat64() * mean * float64(time.Second))
			if h%2 == 0 && i%40 == 39 { // a pause between bursts
				step += time.Duration(10+r.IntN(20)) * time.Minute
			}
			at = at.Add(step)
			a.See(host, at)
		}
	}
	in := &model.Incident{FirstSeen: dawn, LastSeen: dawn.Add(1000 * time.Hour), Steps: steps}
	if got := silences(in, &a); len(got) != 0 {
		t.Errorf("%d silences of 400 hosts without one, such as %+v", len(got), got[0])
	}
}

func TestActivityIsBounded(t *testing.T) {
	var a Activity
	for i := range maxPulses + 1000 {
		a.See(fmt.Sprint(i), dawn)
	}
	if len(a.hosts) != maxPulses {
		t.Errorf("%d hosts", len(a.hosts))
	}
}

func TestClocks(t *testing.T) {
	w, core := workstation()
	c := Case{ID: "inc-1", Core: core, Arrived: map[string]time.Time{
		core[0].Evidence[0].ID: core[0].Time.Add(14 * time.Minute),
		core[1].Evidence[0].ID: core[1].Time.Add(2 * time.Minute),
		core[5].Evidence[0].ID: core[5].Time.Add(-time.Hour), // a clock is wrong
	}}
	c.Raised = core[2].Time
	in := Tell(c, w.memory(), Estate{})
	k := in.Clocks
	if text := said(in); !k.Raised.Equal(core[2].Time) || k.RaisedBy != 3 || !strings.Contains(text, fmt.Sprintf("It was raised after 3 of its %d alerts, ", len(core))) || !strings.Contains(text, " after it began, at 2024-03-04 09:") {
		t.Errorf("%+v: %s", k, text)
	}
	c.Raised = time.Time{}
	if in := Tell(c, w.memory(), Estate{}); in.Clocks.RaisedBy != 0 || strings.Contains(said(in), "It was raised") {
		t.Errorf("nobody says when it was raised, and the story does: %+v", in.Clocks)
	}
	if k.Stamped < 2 || k.Longest != 840 || !k.Arrived.Equal(core[1].Time.Add(2*time.Minute)) || !k.FirstAlert.Equal(core[0].Time) || !k.Happened.Equal(in.Steps[0].Time) {
		t.Errorf("%+v", k)
	}
	if text := said(in); !strings.Contains(text, "the last after 14 min") {
		t.Error(text)
	}
	if s := stepWith(t, in, core[0].ID); !s.Arrived.Equal(core[0].Time.Add(14 * time.Minute)) {
		t.Errorf("step arrived %v", s.Arrived)
	}
	if s := stepWith(t, in, core[5].ID); !s.Arrived.IsZero() {
		t.Errorf("what arrived before it happened is told: %v", s.Arrived)
	}
}
