package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// childDir names the variable by which this test binary, run again, knows that it is to
// write into a folder until it is killed.
const childDir = "CATENA_STORE_TEST_CHILD"

// crashRound is the n-th round of an engine that could be killed at any time: what it
// writes depends on n alone.
func crashRound(n uint64) Commit {
	r := rand.New(rand.NewPCG(n, 7))
	c := Commit{Offset: n, Time: day.Add(time.Duration(n) * time.Second), State: map[string][]byte{"round": fmt.Append(nil, n)}}
	for range r.IntN(5) {
		a := testAlert(r.IntN(60))
		a.Count = int(n)
		c.Alerts = append(c.Alerts, a)
	}
	first := r.IntN(30)
	in := testIncident(model.High, int(n)%100, first, 30+r.IntN(15), 45+r.IntN(15))
	c.Incidents = append(c.Incidents, in)
	if r.IntN(4) == 0 {
		c.Merged = append(c.Merged, model.Redirect{From: model.IncidentID(testAlert(r.IntN(30)).ID), To: in.Incident.ID, Why: "merged"})
	}
	c.Changes = append(c.Changes, model.Change{Kind: model.IncidentGrown, Incident: in.Incident.ID})
	return c
}

func crashRows(n uint64) []Row { return rowsOf(int(n)*7, int(n)*7+7) }

// child goes on where it was killed before, and says each round that is safe.
func child(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	c, err := OpenCases(dir)
	fail(err)
	e, err := OpenEvents(filepath.Join(dir, "events"), EventsOptions{SealRows: 100})
	fail(err)
	n, err := c.Applied(ctx)
	fail(err)
	// As the engine does: go on behind the lower of the two positions.
	for n = min(n, e.Position()) + 1; ; n++ {
		_, err := e.Append(ctx, n, crashRows(n))
		fail(err)
		_, _, err = c.Commit(ctx, crashRound(n))
		fail(err)
		fmt.Println(n)
	}
}

// Killed at any time, again and again, the store has all that it said was safe, nothing
// twice, and in the end is what one would be that was never killed.
func TestKilledAtAnyTime(t *testing.T) {
	if testing.Short() {
		t.Skip("killing processes takes a few seconds: run without -short")
	}
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	said := uint64(0)
	for kill := range 25 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		// Some are killed as they start, most some time after their first round.
		killWithin := func(after int) *time.Timer {
			return time.AfterFunc(time.Duration(r.IntN(after))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		var stop *time.Timer
		if kill%4 == 0 {
			stop = killWithin(200)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if stop == nil {
				stop = killWithin(250)
			}
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("kill %d: %s", kill, lines.Text())
			}
			said = n
		}
		_ = cmd.Wait() // killed
		if stop != nil {
			stop.Stop()
		}
		c := openCases(t, dir)
		e := openEvents(t, filepath.Join(dir, "events"), EventsOptions{SealRows: 100})
		n, err := c.Applied(ctx)
		must(t, err)
		if n < said || e.Position() < said {
			t.Fatalf("kill %d: said that %d is safe, has %d and events up to %d", kill, said, n, e.Position())
		}
		consistent(t, c)
		st := e.Stats()
		if st.Rows != int64(7*e.Position()) || len(st.Damage) > 0 {
			t.Fatalf("kill %d: %+v", kill, st)
		}
		must(t, c.Close())
		must(t, e.Close())
	}
	c := openCases(t, dir)
	n, err := c.Applied(ctx)
	must(t, err)
	changes := c.LastChange()
	must(t, c.Close())
	if n < 20 || changes != int64(n) {
		t.Fatalf("%d rounds and %d changes", n, changes)
	}
	whole := t.TempDir()
	c = openCases(t, whole)
	for i := uint64(1); i <= n; i++ {
		commit(t, c, crashRound(i))
	}
	must(t, c.Close())
	if dump(t, filepath.Join(dir, CasesFile)) != dump(t, filepath.Join(whole, CasesFile)) {
		t.Fatal("the store that was killed is another than one that was not")
	}
	e := openEvents(t, filepath.Join(dir, "events"), EventsOptions{})
	defer func() { must(t, e.Close()) }()
	seen := map[string]bool{}
	for _, r := range searchAll(t, e, Query{Limit: MaxEvents}) {
		if seen[r.ID] {
			t.Fatalf("event %s is there twice", r.ID)
		}
		seen[r.ID] = true
	}
	for i := uint64(1); i <= e.Position(); i++ {
		for _, r := range crashRows(i) {
			if !seen[r.ID] {
				t.Fatalf("event %s of batch %d is lost", r.ID, i)
			}
		}
	}
	t.Logf("25 kills, %d rounds, %d events", n, len(seen))
}
