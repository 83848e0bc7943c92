package fusion

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// estate is days of work on a few hosts with an attack on one of them.
func estate() *world {
	w := newWorld()
	rnd := rand.New(rand.NewSource(3))
	for i := range 1500 {
		host := fmt.Sprintf("h%d", rnd.Intn(6))
		g := fmt.Sprintf("%s-p%d", host, i)
		w.alert(float64(i)*180, fmt.Sprintf("n%d", rnd.Intn(12)), []model.Severity{model.Low, model.Low, model.Medium}[i%3], "discovery", host,
			ent(model.Host, model.Subject, host), ent(model.User, model.Actor, fmt.Sprintf(`corp\u%s`, host)), proc(model.Actor, g, `c:\x.exe`))
	}
	w.attack("h2", 2.5*86400)
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return a.Time.Compare(b.Time) })
	return w
}

// members returns the alerts of every raised incident.
func members(e *Engine) map[string]bool {
	out := map[string]bool{}
	for _, r := range raisedOf(e.Incidents()) {
		for _, m := range r.Members {
			out[m.Alert.ID] = true
		}
	}
	return out
}

func live(w *world, alerts []*model.Alert) *Engine {
	e := New(Options{Memory: w.mem})
	for _, a := range alerts {
		e.Add(a)
	}
	return e
}

// Alerts that arrive up to five minutes late raise the same, nearly whole.
func TestLateArrivalRaisesTheSame(t *testing.T) {
	w := estate()
	want := live(w, w.alerts)
	if len(raisedOf(want.Incidents())) != 1 {
		dump(t, want, want.Incidents())
		t.Fatalf("%d incidents in order, want the attack", len(raisedOf(want.Incidents())))
	}
	for seed := range 8 {
		rnd := rand.New(rand.NewSource(int64(seed)))
		arrival := map[string]time.Time{}
		for _, a := range w.alerts {
			arrival[a.ID] = a.Time.Add(time.Duration(rnd.Int63n(int64(5 * time.Minute))))
		}
		shuffled := slices.Clone(w.alerts)
		slices.SortStableFunc(shuffled, func(a, b *model.Alert) int { return arrival[a.ID].Compare(arrival[b.ID]) })
		got := live(w, shuffled)
		if n := len(raisedOf(got.Incidents())); n != 1 {
			t.Errorf("seed %d: %d incidents", seed, n)
		}
		a, b := members(want), members(got)
		both := 0
		for id := range a {
			if b[id] {
				both++
			}
		}
		if either := len(a) + len(b) - both; 10*both < 9*either {
			t.Errorf("seed %d: %d of %d members are the same", seed, both, either)
			for id := range a {
				if !b[id] {
					t.Log(got.Explain(id), want.Explain(id))
				}
			}
			for id := range b {
				if !a[id] {
					t.Log(got.Explain(id), want.Explain(id))
				}
			}
		}
	}
}

// An id, once told, stays: it is raised still, or an alias of one that is.
func TestIdsAreKept(t *testing.T) {
	w := estate()
	w.attack("h4", 2.6*86400)
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return a.Time.Compare(b.Time) })
	e := New(Options{Memory: w.mem})
	told := map[string]bool{}
	into := map[string]string{}
	for _, a := range w.alerts {
		for _, c := range e.Add(a) {
			if c.Kind == Merged {
				into[c.Incident] = c.Into
			}
			told[c.Incident] = true
		}
	}
	if len(told) == 0 {
		t.Fatal("nothing was raised")
	}
	for id := range told {
		known := slices.ContainsFunc(e.Incidents(), func(r *Result) bool { return r.Raised && (r.ID == id || slices.Contains(r.Aliases, id)) })
		if !known {
			t.Errorf("%s is neither an incident nor an alias (merged into %q)", id, into[id])
		}
	}
}

// An engine that is killed and fed its log again tells the same as one that ran on,
// wherever it was killed.
func TestKilledAndReplayed(t *testing.T) {
	w := estate()
	want := live(w, w.alerts)
	for _, at := range []int{0, 1, len(w.alerts) / 3, len(w.alerts) - 1} {
		e := live(w, w.alerts[:at]) // its log again
		for _, a := range w.alerts[max(at-3, 0):] {
			e.Add(a) // what was not acknowledged is sent again
		}
		if a, b := fmt.Sprintf("%+v", plainly(want)), fmt.Sprintf("%+v", plainly(e)); a != b {
			t.Errorf("killed after %d alerts:\n%s\n%s", at, a, b)
		}
	}
}

// plainly is what an engine has to say, without pointers.
func plainly(e *Engine) []string {
	var out []string
	for _, r := range e.Incidents() {
		out = append(out, e.Explain(r.ID))
	}
	return out
}
