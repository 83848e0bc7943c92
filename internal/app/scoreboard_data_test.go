package app

import (
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/eval"
	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/simulate"
)

// The scoreboard (docs/scoreboard.md and .json) is made here, by `make scoreboard`,
// which sets CATENA_SCOREBOARD to "write" (-run 'TestScoreboard/AIT' renews those sets
// alone). Otherwise what takes seconds is measured again and compared with the file,
// and with CATENA_SCOREBOARD=check all of it.
const scoreboardEnv = "CATENA_SCOREBOARD"

var scoreboardFile = filepath.Join("..", "..", "docs", "scoreboard")

// boardSeeds are seeds of the simulator that nothing was developed on.
var boardSeeds = []uint64{1001, 1002, 1003}

// A boardSet is one labelled set. A quick one is measured in every run of the tests.
type boardSet struct {
	title string
	quick bool
	play  func(t *testing.T, c *contest)
}

func boardSets(dir string, all bool) []boardSet {
	sets := []boardSet{
		{"Seven campaigns, each alone", true, func(t *testing.T, c *contest) { c.campaigns(t, dir, all) }},
		{mixTitle + ", the campaigns", false, func(t *testing.T, c *contest) { c.mix(t, dir, true) }},
		{mixTitle + ", the single techniques", false, func(t *testing.T, c *contest) { c.mix(t, dir, false) }},
		{fmt.Sprintf("Simulator, seeds %v", boardSeeds), false, func(t *testing.T, c *contest) { c.simulator(t, simulate.Evidence) }},
		{fmt.Sprintf("Simulator, alerts of products alone in 2,000 hosts over 10 days, seeds %v", boardSeeds), false, func(t *testing.T, c *contest) { c.simulator(t, simulate.Alerts) }},
	}
	for _, s := range aitScenarios {
		sets = append(sets, boardSet{"AIT, " + s, s == aitQuick, func(t *testing.T, c *contest) { c.ait(t, true, []*aitTable{readAIT(t, dir, s)}) }})
	}
	for _, times := range []int{3, 13} {
		sets = append(sets, boardSet{fmt.Sprintf("AIT, all four in turn, noise x%d", times), false, func(t *testing.T, c *contest) {
			for _, s := range aitScenarios {
				c.ait(t, true, []*aitTable{overlay(t, dir, s, times-1)})
			}
		}})
	}
	return append(sets,
		boardSet{"AIT, four in one tenant, at their own times", false, func(t *testing.T, c *contest) { c.ait(t, false, oneTenant(t, dir, 0, false)) }},
		boardSet{"AIT, four in one tenant, attacks an hour apart", false, func(t *testing.T, c *contest) { c.ait(t, false, oneTenant(t, dir, time.Hour, false)) }},
		boardSet{"AIT, four in one tenant, attacks an hour apart, sites known", false, func(t *testing.T, c *contest) { c.ait(t, false, oneTenant(t, dir, time.Hour, true)) }},
	)
}

func TestScoreboard(t *testing.T) {
	dir := dataFolder(t)
	mode := os.Getenv(scoreboardEnv)
	all := mode == "write" || mode == "check"
	last := readBoard(t, mode != "write")
	now := &eval.Board{Schema: eval.BoardSchema}
	for _, set := range boardSets(dir, all) {
		rows := slices.DeleteFunc(slices.Clone(last.Rows), func(r eval.Row) bool { return r.Set != set.title }) // stand unless measured again
		if all || set.quick {
			t.Run(set.title, func(t *testing.T) {
				c := newContest(set.title)
				set.play(t, c)
				rows = c.rows()
			})
		}
		now.Rows = append(now.Rows, rows...)
	}
	if mode == "write" {
		if !t.Failed() {
			writeBoard(t, now)
		}
		return
	}
	for _, worse := range now.Worse(last) {
		t.Error(worse + " (if it is meant, run make scoreboard)")
	}
	for _, better := range last.Worse(now) {
		t.Log("the scoreboard was worse: " + better)
	}
	var text strings.Builder
	if err := now.WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
}

// readBoard reads the last board; where it is about to be written it may be absent.
func readBoard(t *testing.T, needed bool) *eval.Board {
	t.Helper()
	var last eval.Board
	src, err := os.ReadFile(scoreboardFile + ".json")
	if err == nil {
		err = json.Unmarshal(src, &last)
	}
	if err != nil && needed {
		t.Fatal(err)
	}
	return &last
}

const boardHead = `<!-- Made by make scoreboard; do not edit. -->
# Scoreboard

Every labelled set, by Catena with its own rules, over the whole evidence and (*streaming*) act by act and alert by alert as it comes, from
nothing known at all, and by three common ways to group alerts, which get the same alerts:

- **host and gap**: the alerts of a host with no half hour of silence between;
- **components**: alerts that share an entity within an hour and what these share; an entity met on more than 5 hosts joins nothing;
- **risk per host**: the alerts of a host within a day, of at least 3 tactics.

A group of theirs is an incident when the severities of its rules, each once (low 1, medium 3, high 6, critical 10), come to 12.

*Found*: an incident holds alerts of the campaign and shows a step. *Incidents each*: how many hold alerts of a campaign; 1 is whole.
*Glued*: incidents with alerts of several campaigns. *Precision*: members that belong; *recall*: what belongs and is a member (in brackets: or
is shown beside the members); means over the campaigns found. *Steps*: of all visible ones. *Order*: Kendall's tau. *False a day*: incidents of
medium severity or above with nothing of a campaign (in brackets: those of them that are of work which was ordered, as a test of penetration or
maintenance). *Raised after*: median of the time from the campaign's beginning until what had come in was enough; for the seven campaigns and the
single AIT sets Catena is asked again with the evidence up to then, elsewhere it is the time of the act with which the whole evidence had enough.
*Bits*: the least of an incident that tells a campaign, and the most of any other group of alerts, raised or not, that is not of ordered work; where
the first is more, some threshold would have told all apart. *ns an alert* (after repeats were folded) and *bytes an entity* are of fusing alone, on the machine that made this page.

Of the AIT sets precision is by the label of time, recall is of names of alerts, steps are phases, the theft over DNS among them that
runs from before the data begins; members are core and context, and a row of their own has the core alone. *Pair F1*: whether pairs of
kinds of alert (name, host, phase) share an incident when they are of one attack, and only then. Noise is other scenarios' unlabelled alerts laid over the scenario's
hosts. In four-in-one their hosts are told apart by name and nothing else says which belong together, but where sites are known: there the
hosts of each have a domain of their own.

` + "`make scoreboard` renews this page and scoreboard.json; `CATENA_SCOREBOARD=check go test ./internal/app -run Scoreboard` compares:\na count may not be worse, a share by 0.05, false incidents by 0.1 a day, the time to raise by a quarter and a minute.\n"

func writeBoard(t *testing.T, b *eval.Board) {
	t.Helper()
	for ext, write := range map[string]func(io.Writer) error{".json": b.WriteJSON, ".md": func(w io.Writer) error {
		if _, err := io.WriteString(w, boardHead); err != nil {
			return err
		}
		return b.WriteMarkdown(w)
	}} {
		f, err := os.Create(scoreboardFile + ext)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A contest is one set, tallied for each way of grouping.
type contest struct {
	set     string
	order   []string
	tallies map[string]*eval.Tally
}

func newContest(set string) *contest {
	return &contest{set: set, tallies: map[string]*eval.Tally{}}
}

func (c *contest) of(method string) *eval.Tally {
	if c.tallies[method] == nil {
		c.tallies[method] = &eval.Tally{Set: c.set, Method: method}
		c.order = append(c.order, method)
	}
	return c.tallies[method]
}

func (c *contest) rows() []eval.Row {
	var out []eval.Row
	for _, m := range c.order {
		out = append(out, c.tallies[m].Row())
	}
	baseline := func(r eval.Row) int {
		if strings.HasPrefix(r.Method, ours) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(x, y eval.Row) int { return cmp.Compare(baseline(x), baseline(y)) })
	return out
}

const ours = "Catena"

// score tallies a report with judged or exact truth, and what the baselines make of
// its alerts; raised says how long Catena took, where that was measured.
func (c *contest) score(r *model.Report, key *eval.Key, raised map[string]time.Duration) {
	lasted := span(r)
	res := eval.Score(r, key)
	c.of(ours).Add(r, res, lasted)
	for _, after := range raised {
		c.of(ours).Raised(after)
	}
	if raised == nil {
		c.raisedAs(res)
	}
	for _, b := range eval.Baselines(r) {
		res := eval.Score(b.Report, key)
		for i := range res.Campaigns {
			res.Campaigns[i].Root.Want = "" // they name none
			if at, ok := b.Raised[res.Campaigns[i].Incident]; ok {
				c.of(b.Name).Raised(max(0, at.Sub(key.Campaigns[i].Onset())))
			}
		}
		c.of(b.Name).Add(b.Report, res, lasted)
	}
}

// raisedAs takes the times to raise from what the incidents say of themselves.
func (c *contest) raisedAs(res *eval.Result) {
	for i := range res.Campaigns {
		if s := res.Campaigns[i].RaisedAfter; s != nil {
			c.of(ours).Raised(time.Duration(*s * float64(time.Second)))
		}
	}
}

func span(r *model.Report) time.Duration {
	var first, last time.Time
	for _, in := range r.Inputs {
		if in.First != nil && (first.IsZero() || in.First.Before(first)) {
			first = *in.First
		}
		if in.Last != nil && in.Last.After(last) {
			last = *in.Last
		}
	}
	return last.Sub(first)
}

func (c *contest) campaigns(t *testing.T, dir string, raise bool) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(dir, "truth", "otrf_compound.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := eval.ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, campaign := range campaigns {
		one, err := key.Only(campaign.id)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, campaign.path)
		r := analyzeData(t, a, path)
		raised := map[string]time.Duration{}
		if raise {
			begin := one.Campaigns[0].Onset()
			at := firstTime(timesOf(r.Alerts, begin), func(until time.Time) bool {
				early := *a
				early.opt.Until = until.Add(time.Second)
				return eval.Score(analyzeData(t, &early, path), one).Campaigns[0].Incident != ""
			})
			if !at.IsZero() {
				raised[campaign.id] = at.Sub(begin)
			}
		}
		c.score(r, one, raised)
		c.streams(t, a, path, one)
	}
}

// timesOf lists when alerts came, from a time on.
func timesOf(alerts []model.Alert, from time.Time) []time.Time {
	var out []time.Time
	for i := range alerts {
		if at := alerts[i].Time; !at.Before(from) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal)
}

// firstTime finds the first of the times at which something is so, asking near the
// first ones first; zero if it is at none. Once so, it is taken to stay so.
func firstTime(times []time.Time, so func(time.Time) bool) time.Time {
	lo, hi := 0, 1
	for hi < len(times) && !so(times[hi-1]) {
		lo, hi = hi, 2*hi
	}
	hi = min(hi, len(times))
	i := lo + sort.Search(hi-lo, func(i int) bool { return so(times[lo+i]) })
	if i >= len(times) {
		return time.Time{}
	}
	return times[i]
}

func (c *contest) simulator(t *testing.T, form string) {
	t.Helper()
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range boardSeeds {
		out := t.TempDir()
		if _, err := simulate.Write(out, simulate.Options{Seed: seed, Form: form}); err != nil {
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
		r := analyzeData(t, a, filepath.Join(out, "evidence"))
		c.score(r, key, nil)
		c.streams(t, a, filepath.Join(out, "evidence"), key)
		ns, bytes, results := cost(r.Alerts)
		c.of(ours).Cost(ns, bytes)
		if form == simulate.Alerts { // where alerts are all there is, fusing them again is the same
			of := eval.Belonging(r, key)
			c.margin(results, len(key.Campaigns), func(a *model.Alert) int {
				if of[a.ID] == "" && key.Planned(a) != "" {
					return planned
				}
				return slices.IndexFunc(key.Campaigns, func(k eval.Campaign) bool { return k.ID == of[a.ID] })
			})
		}
	}
}

// planned is the number of alerts about work that was ordered.
const planned = -2

// margin adds how far the incidents that tell campaigns are above all other groups but
// those that are mostly of ordered work; of gives the number of the campaign that an alert
// belongs to, planned, or -1.
func (c *contest) margin(results []*fusion.Result, campaigns int, of func(*model.Alert) int) {
	best, bits := make([]int, campaigns), make([]float64, campaigns)
	other := 0.0
	for _, r := range results {
		held := make([]int, campaigns)
		told, ordered := false, 0
		for _, m := range r.Members {
			switch i := of(m.Alert); {
			case i >= 0:
				held[i]++
				told = true
			case i == planned:
				ordered++
			}
		}
		for i, n := range held {
			if n > best[i] {
				best[i], bits[i] = n, r.Bits
			}
		}
		if !told && 2*ordered <= len(r.Members) {
			other = max(other, r.Bits)
		}
	}
	c.of(ours).Margin(bits, other)
}

// aitScenarios are the labelled tables. Thresholds may be fitted to the first two.
var aitScenarios = []string{"fox", "russellmitchell", "santos", "wilson"}

// aitQuick is the smallest of them, which every run of the tests measures.
const aitQuick = "russellmitchell"

// oneTenant gives the hosts of each scenario names of their own. With apart, the
// attacks begin one after the other at that distance; with sites, the hosts of each
// are of one domain.
func oneTenant(t *testing.T, dir string, apart time.Duration, sites bool) []*aitTable {
	t.Helper()
	var tables []*aitTable
	for i, s := range aitScenarios {
		x := readAIT(t, dir, s)
		if apart > 0 && i > 0 {
			x.shift(tables[0].onset.Add(time.Duration(i) * apart).Sub(x.onset))
		}
		for j := range x.rows {
			if sites {
				x.rows[j].host += "." + s + ".example"
			} else {
				x.rows[j].host = s + "-" + x.rows[j].host
			}
		}
		tables = append(tables, x)
	}
	return tables
}

// ait analyses tables as the evidence of one tenant.
func (c *contest) ait(t *testing.T, raise bool, tables []*aitTable) {
	t.Helper()
	dir := t.TempDir()
	var truth []*eval.AITScenario
	for _, x := range tables {
		file := filepath.Join(dir, x.name+"_alerts.csv")
		x.write(t, file)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := eval.ReadAIT(file, f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		truth = append(truth, s)
	}
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	r := analyzeData(t, a, dir)
	res := eval.ScoreAIT(r, truth)
	c.of(ours).AddAIT(r, res, truth)
	if raise {
		for _, s := range truth {
			at := firstTime(timesOf(r.Alerts, s.Onset), func(until time.Time) bool { return raisedBy(r.Alerts, until, s.Attack) })
			if !at.IsZero() {
				c.of(ours).Raised(at.Sub(s.Onset))
			}
		}
	}
	ns, _, results := cost(r.Alerts) // a dozen hosts and addresses are all the entities
	c.of(ours).Cost(ns, 0)
	c.margin(results, len(truth), func(a *model.Alert) int {
		return slices.IndexFunc(truth, func(s *eval.AITScenario) bool { return s.Attack(a) })
	})
	if !raise {
		byID := map[string]*model.Incident{}
		for i := range r.Incidents {
			byID[r.Incidents[i].ID] = &r.Incidents[i]
		}
		for i, x := range res.Scenarios {
			if inc := byID[x.Incident]; inc != nil && inc.Clocks != nil && !inc.Clocks.Raised.IsZero() {
				c.of(ours).Raised(max(0, inc.Clocks.Raised.Sub(truth[i].Onset)))
			}
		}
	}
	c.streamsAIT(r, truth)
	core := *r
	core.Incidents = slices.Clone(r.Incidents)
	for i := range core.Incidents {
		core.Incidents[i].Context = nil
	}
	c.of(ours+", core members").AddAIT(&core, eval.ScoreAIT(&core, truth), truth)
	for _, b := range eval.Baselines(r) {
		res := eval.ScoreAIT(b.Report, truth)
		c.of(b.Name).AddAIT(b.Report, res, truth)
		for i, x := range res.Scenarios {
			if at, ok := b.Raised[x.Incident]; ok {
				c.of(b.Name).Raised(max(0, at.Sub(truth[i].Onset)))
			}
		}
	}
	var told strings.Builder
	if err := res.WriteText(&told, testing.Verbose()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", c.set, told.String())
}

// raisedBy says whether the alerts up to a time raise an incident with one that
// belongs. Alerts have no acts beneath them here, so alerts are all there is to fuse.
func raisedBy(alerts []model.Alert, until time.Time, belongs func(*model.Alert) bool) bool {
	var early []*model.Alert
	for i := range alerts {
		if a := alerts[i]; !a.Time.After(until) {
			if a.End.After(until) { // a burst that was still going on
				share := float64(until.Sub(a.Time)+1) / float64(a.End.Sub(a.Time)+1)
				a.End, a.Count = until, max(1, int(math.Ceil(float64(a.Count)*share)))
			}
			early = append(early, &a)
		}
	}
	for _, r := range fusion.New(fusion.Options{}).Run(early, nil) {
		if r.Raised && slices.ContainsFunc(r.Members, func(m fusion.Member) bool { return belongs(m.Alert) }) {
			return true
		}
	}
	return false
}

// cost measures fusing alone: nanoseconds an alert, and bytes of heap for each
// entity that the alerts name.
func cost(alerts []model.Alert) (ns, bytes float64, results []*fusion.Result) {
	entities := map[model.EntityKey]bool{}
	copies := make([]*model.Alert, len(alerts))
	for i := range alerts {
		a := alerts[i]
		copies[i] = &a
		for _, e := range a.Entities {
			entities[e.Key()] = true
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	e := fusion.New(fusion.Options{})
	results = e.Run(copies, nil)
	took := time.Since(begin)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(e)
	runtime.KeepAlive(results)
	runtime.KeepAlive(copies)
	return float64(took.Nanoseconds()) / float64(max(len(alerts), 1)), max(0, float64(after.HeapAlloc)-float64(before.HeapAlloc)) / float64(max(len(entities), 1)), results
}

// An aitTable is one labelled table of alerts in the order of time.
type aitTable struct {
	name  string
	head  []string
	rows  []aitRow
	onset time.Time
}

type aitRow struct {
	at                    int64
	name, ip, host, short string
	timeLabel, eventLabel string
}

func (r *aitRow) benign() bool { return r.timeLabel == "false_positive" && r.eventLabel == "-" }

func readAIT(t *testing.T, dir, scenario string) *aitTable {
	t.Helper()
	file := filepath.Join(dir, "ait_ads", scenario+"_alerts.csv.gz")
	f, err := os.Open(file)
	if err != nil {
		t.Skipf("no labelled alerts: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(z)
	x := &aitTable{name: scenario}
	if x.head, err = rows.Read(); err != nil || len(x.head) != 7 {
		t.Fatalf("%s: columns %v, %v", file, x.head, err)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := strconv.ParseInt(row[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		x.rows = append(x.rows, aitRow{at, row[1], row[2], row[3], row[4], row[5], row[6]})
	}
	x.sort()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	truth, err := eval.ReadAIT(file, f)
	if err != nil {
		t.Fatal(err)
	}
	x.onset = truth.Onset
	return x
}

func (x *aitTable) sort() {
	slices.SortStableFunc(x.rows, func(a, b aitRow) int { return cmp.Compare(a.at, b.at) })
}

func (x *aitTable) shift(by time.Duration) {
	for i := range x.rows {
		x.rows[i].at += int64(by / time.Second)
	}
}

func (x *aitTable) write(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	err = w.Write(x.head)
	for i := range x.rows {
		r := &x.rows[i]
		err = errors.Join(err, w.Write([]string{strconv.FormatInt(r.at, 10), r.name, r.ip, r.host, r.short, r.timeLabel, r.eventLabel}))
	}
	w.Flush()
	if err := errors.Join(err, w.Error(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// overlay lays the unlabelled alerts of the other scenarios over one, as many times
// as there are copies: on its hosts (the one of the same name, mail servers in turn),
// at the same hours of the day, and from the second round on 97 minutes later each.
func overlay(t *testing.T, dir, scenario string, copies int) *aitTable {
	t.Helper()
	base := readAIT(t, dir, scenario)
	var others []*aitTable
	for _, s := range aitScenarios {
		if s != scenario {
			others = append(others, readAIT(t, dir, s))
		}
	}
	ips, mails := map[string]string{}, []string(nil)
	for _, r := range base.rows {
		if _, known := ips[r.host]; !known && strings.HasSuffix(r.host, "_mail") {
			mails = append(mails, r.host)
		}
		ips[r.host] = r.ip
	}
	hosts := make([]string, 0, len(ips))
	for h := range ips {
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	first, last := base.rows[0].at, base.rows[len(base.rows)-1].at
	for n := range copies {
		o := others[n%len(others)]
		shift := int64(math.Round(float64(first-o.rows[0].at)/86400))*86400 + int64(n/len(others))*97*60
		as := map[string]string{}
		for _, r := range o.rows {
			at := r.at + shift
			if !r.benign() || at < first || at > last {
				continue
			}
			host, ok := as[r.host]
			if !ok {
				switch _, same := ips[r.host]; {
				case same:
					host = r.host
				case strings.HasSuffix(r.host, "_mail") && len(mails) > 0:
					host = mails[len(as)%len(mails)]
				default:
					host = hosts[len(as)%len(hosts)]
				}
				as[r.host] = host
			}
			base.rows = append(base.rows, aitRow{at, r.name, ips[host], host, r.short, r.timeLabel, r.eventLabel})
		}
	}
	base.sort()
	return base
}

// Every name that an alert of these sensors has says what it is for, or why it does
// not.
func TestScoreboardAITNamesHaveIntents(t *testing.T) {
	dir := dataFolder(t)
	a, err := New(Options{AllAlerts: true, NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ait_ads")
	all := os.Getenv(scoreboardEnv) != ""
	if !all {
		path = filepath.Join(path, aitQuick+"_alerts.csv.gz")
	}
	r := analyzeData(t, a, path)
	intents := map[string]model.AlertIntent{}
	for i := range r.Alerts {
		intents[r.Alerts[i].Rule.ID] = r.Alerts[i].Intent
	}
	known := 0
	for name, intent := range intents {
		if intent.Primary != model.IntentUnknown {
			known++
		}
		if intent.Why == "" || strings.HasPrefix(intent.Why, "nothing in the alert") {
			t.Errorf("%s: %s because %q", name, intent.Primary, intent.Why)
		}
	}
	t.Logf("%d of %d names have an intent", known, len(intents))
	if 4*known < 3*len(intents) || all && (len(intents) < 90 || known < 70) {
		t.Errorf("%d of %d names have an intent, want 70 of 90 in all tables and three of four in one", known, len(intents))
	}
}
