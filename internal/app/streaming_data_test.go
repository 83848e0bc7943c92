package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/eval"
	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// streaming is the name in the scoreboard of what comes of evidence that is folded act
// by act and alert by alert as it comes, with nothing known of what follows.
const streaming = ours + ", streaming"

// A streamed is what one set of evidence comes to as it arrives, and as a whole.
type streamed struct {
	live, whole *model.Report
	raised      map[string]time.Time // by incident of live: when it was told of
}

// stream reads evidence once and folds it both ways.
func (a *App) stream(t *testing.T, path string) *streamed {
	t.Helper()
	ctx := context.Background()
	in, release, err := a.again([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ev, err := a.scan(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	defer ev.acts.close()
	correction := ev.clocks.Solve()
	acts, err := ev.acts.stream(correction, a.inside)
	if err != nil {
		t.Fatal(err)
	}
	read := a.newReading(acts.recall, nil)
	read.watch = newWatch(read.detectors, ev.alerts)
	others := read.watch.others // of other products, by time
	engine := fusion.New(fusion.Options{Memory: read.memory})
	s := &streamed{raised: map[string]time.Time{}}
	var alerts []*model.Alert
	add := func(al *model.Alert) {
		knowledge.Classify(al)
		alerts = append(alerts, al)
		for _, c := range engine.Add(al) {
			if c.Kind == fusion.Raised {
				s.raised[c.Incident] = c.At
			}
		}
	}
	arrive := func(n int) {
		for _, al := range others[:n] {
			read.memory.Introduce([]*model.Alert{al})
			read.memory.Locate(al)
			add(al)
		}
		others = others[n:]
	}
	err = acts.each(ctx, func(x *sighting) {
		n := slices.IndexFunc(others, func(al *model.Alert) bool { return al.Time.After(x.obs.Time) })
		if n < 0 {
			n = len(others)
		}
		arrive(n)
		read.see(x, func(al *model.Alert, begun bool) {
			if begun {
				add(al)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	arrive(len(others))
	report := func(results []*fusion.Result) *model.Report {
		incidents, err := tell(results, read.memory, acts, read.estate(a))
		if err != nil {
			t.Fatal(err)
		}
		copies := make([]*model.Alert, len(alerts))
		for i, al := range alerts {
			x := *al
			copies[i] = &x
		}
		return a.report(ev, copies, incidents, correction)
	}
	s.live = report(engine.Incidents())
	s.whole = report(fusion.New(fusion.Options{}).Run(alerts, read.memory))
	return s
}

// streams tallies evidence as it arrives.
func (c *contest) streams(t *testing.T, a *App, path string, key *eval.Key) {
	t.Helper()
	s := a.stream(t, path)
	res := eval.Score(s.live, key)
	c.of(streaming).Add(s.live, res, span(s.live))
	for i := range res.Campaigns {
		if at, ok := s.raised[res.Campaigns[i].Incident]; ok {
			c.of(streaming).Raised(max(0, at.Sub(key.Campaigns[i].Onset())))
		}
	}
}

// streamAIT is r with the incidents that its alerts come to as they arrive: alerts are
// all there is to fuse. It says when each was told of.
func streamAIT(r *model.Report) (*model.Report, map[string]time.Time) {
	engine := fusion.New(fusion.Options{})
	raised := map[string]time.Time{}
	for i := range r.Alerts {
		for _, c := range engine.Add(&r.Alerts[i]) {
			if c.Kind == fusion.Raised {
				raised[c.Incident] = c.At
			}
		}
	}
	live := *r
	live.Incidents = nil
	for _, x := range engine.Incidents() {
		if !x.Raised {
			continue
		}
		inc := model.Incident{ID: x.ID, Severity: x.Severity, Score: x.Score, FirstSeen: x.First, LastSeen: x.Last}
		for _, m := range x.Members {
			if m.Tier == fusion.Core {
				inc.Alerts = append(inc.Alerts, m.Alert.ID)
			} else {
				inc.Context = append(inc.Context, m.Alert.ID)
			}
		}
		live.Incidents = append(live.Incidents, inc)
	}
	return &live, raised
}

// streamsAIT tallies tables as their alerts arrive.
func (c *contest) streamsAIT(r *model.Report, truth []*eval.AITScenario) {
	live, raised := streamAIT(r)
	res := eval.ScoreAIT(live, truth)
	c.of(streaming).AddAIT(live, res, truth)
	for i, x := range res.Scenarios {
		if at, ok := raised[x.Incident]; ok {
			c.of(streaming).Raised(max(0, at.Sub(truth[i].Onset)))
		}
	}
}

// simulatedDay writes a simulation and returns where its evidence is, and the truth.
func simulatedDay(t *testing.T, o simulate.Options) (string, *eval.Key) {
	t.Helper()
	out := t.TempDir()
	if _, err := simulate.Write(out, o); err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(filepath.Join(out, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := eval.ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(out, "evidence"), key
}

// TestStreaming holds what comes of evidence as it arrives against what comes of all
// of it at once; -v prints both.
func TestStreaming(t *testing.T) {
	dir := dataFolder(t)
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	compare := func(set, path string, key *eval.Key) {
		s := a.stream(t, path)
		var tallies [2]streamTally
		for i, r := range []*model.Report{s.whole, s.live} {
			x := &tallies[i]
			x.take(eval.Score(r, key))
			fmt.Fprintf(&table, "| %s | %s | %d of %d | %d | %d | %d | %.0f %% | %.0f %% |\n", set, [...]string{"whole", "streaming"}[i], x.found, len(key.Campaigns), x.parts, x.glued, x.wrong, 100*x.precision, 100*x.recall)
		}
		whole, live := tallies[0], tallies[1]
		if live.found < whole.found || live.parts > whole.parts || live.glued > whole.glued || live.wrong > whole.wrong {
			t.Errorf("%s: as it arrives %+v, as a whole %+v", set, live, whole)
		}
		if live.recall < whole.recall-.1 || live.precision < whole.precision-.12 {
			t.Errorf("%s: as it arrives %.2f of what belongs is a member and %.2f of the members belong, as a whole %.2f and %.2f", set, live.recall, live.precision, whole.recall, whole.precision)
		}
		if len(key.Campaigns) == 0 && live.wrong > 0 {
			t.Errorf("%s: %d false incidents where nobody attacks", set, live.wrong)
		}
	}
	src, err := os.ReadFile(filepath.Join(dir, "truth", "otrf_compound.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := eval.ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range campaigns {
		one, err := key.Only(c.id)
		if err != nil {
			t.Fatal(err)
		}
		compare(c.id, filepath.Join(dir, c.path), one)
	}
	seeds, quiet := []uint64{1, 2, 3, 11, 12, 13, 1001, 1002, 1003}, []uint64{1, 2, 3, 4}
	if underRace || testing.Short() {
		seeds, quiet = seeds[:1], quiet[:1]
	}
	for _, seed := range seeds {
		path, key := simulatedDay(t, simulate.Options{Seed: seed})
		compare(fmt.Sprintf("simulator, seed %d", seed), path, key)
	}
	for _, seed := range quiet {
		path, key := simulatedDay(t, simulate.Options{Seed: seed, Scenarios: []string{simulate.Quiet}})
		compare(fmt.Sprintf("simulator, quiet day %d", seed), path, key)
	}
	t.Logf("| set | | found | incidents | glued | false | precision | recall |\n|---|---|---|---|---|---|---|---|\n%s", table.String())
}

// A streamTally is what TestStreaming compares: counts, and means over what was found.
type streamTally struct {
	found, parts, glued, wrong int
	precision, recall          float64
}

func (x *streamTally) take(res *eval.Result) {
	x.glued, x.wrong = len(res.Glued), len(res.FalseIncidents)
	for _, c := range res.Campaigns {
		if c.Found {
			x.found, x.parts = x.found+1, x.parts+c.Fragments
			x.precision, x.recall = x.precision+*c.Precision, x.recall+*c.Recall
		}
	}
	if x.found > 0 {
		x.precision, x.recall = x.precision/float64(x.found), x.recall/float64(x.found)
	}
}

// The labelled tables of alerts, one alert after the other: the campaign is found, whole
// and alone. All four where the scoreboard is measured, else the smallest.
func TestStreamingAIT(t *testing.T) {
	dir := dataFolder(t)
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range aitScenarios {
		if s != aitQuick && os.Getenv(scoreboardEnv) == "" {
			continue
		}
		table := readAIT(t, dir, s)
		folder := t.TempDir()
		file := filepath.Join(folder, s+"_alerts.csv")
		table.write(t, file)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		truth, err := eval.ReadAIT(file, f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		live, _ := streamAIT(analyzeData(t, a, folder))
		res := eval.ScoreAIT(live, []*eval.AITScenario{truth})
		x := res.Scenarios[0]
		t.Logf("%s: rank %d, in %d incidents, false %d, kinds %v, precision %v", s, x.Rank, x.Fragments, len(res.False), *x.Kinds, *x.TimeAll)
		if x.Rank != 1 || x.Fragments != 1 || len(res.False) > 0 || *x.Kinds < .8 || *x.TimeAll < .9 {
			t.Errorf("%s: %+v, false %v", s, x, res.False)
		}
	}
}
