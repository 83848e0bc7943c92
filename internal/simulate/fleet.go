package simulate

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of a fleet. They keep what a run writes within what one machine holds.
const (
	minHosts, maxHosts = 50, 100_000 // of one tenant
	maxDays            = 366
	maxCampaigns       = 40
	maxTenants         = 20
	maxNoise           = 100
)

// A fleet is one or more organisations of whom not the logs are made but the
// alerts, as the products that watch them would write them: a stream that is small
// enough to be made for tens of thousands of machines and many days. It is made and
// written a day at a time, so that memory holds a day, the campaigns, and what a
// slow source has not delivered yet.
type fleet struct {
	opt   Options
	first time.Time // midnight of the first day, UTC, a Monday
	signs map[string]sign
	orgs  []*org

	campaigns  []*campaign
	activities []*activity
	acts       map[string]*sameAct
	records    []truthRecord
	counted    int64
}

// writeFleet makes dir/evidence and dir/truth.json of alerts.
func writeFleet(dir string, o Options) (Summary, error) {
	f := newFleet(o)
	sum := Summary{}
	for _, g := range f.orgs {
		files, err := f.writeOrg(filepath.Join(dir, "evidence"), g)
		if err != nil {
			return Summary{}, fmt.Errorf("simulate: %w", err)
		}
		sum.Files += files
	}
	sum.Records, sum.Campaigns = f.counted, len(f.campaigns)
	src, err := json.MarshalIndent(f.truth(), "", " ")
	if err != nil {
		return Summary{}, fmt.Errorf("simulate: truth: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "truth.json"), append(src, '\n'), 0o644); err != nil { //nolint:gosec // evidence is made to be read
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	return sum, nil
}

// newFleet builds the organisations and plans the campaigns of each.
func newFleet(o Options) *fleet {
	o.Hosts, o.Days, o.Campaigns, o.Tenants, o.Noise = cmp.Or(o.Hosts, 2000), cmp.Or(o.Days, 10), cmp.Or(o.Campaigns, 8), cmp.Or(o.Tenants, 1), cmp.Or(o.Noise, 1)
	if slices.Contains(o.Scenarios, Quiet) {
		o.Campaigns = 0
	}
	f := &fleet{opt: o, first: time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC), signs: signs(), acts: map[string]*sameAct{}}
	for n := range o.Tenants {
		f.orgs = append(f.orgs, newOrg(f, n))
	}
	for n := range o.Campaigns {
		f.plant(f.orgs[n/2%len(f.orgs)], n) // by pairs, as some have something in common
	}
	for _, g := range f.orgs {
		g.plan()
	}
	return f
}

// rng is a source of chance of its own for each purpose and number.
func (f *fleet) rng(purpose string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "fleet %s %d", purpose, n)
	return rand.New(rand.NewPCG(f.opt.Seed, h.Sum64())) //nolint:gosec // repeatable on purpose
}

// day is the midnight with which a day begins; 0 is the first.
func (f *fleet) day(n int) time.Time { return f.first.AddDate(0, 0, n) }

// dayOf is the number of the day of a time.
func (f *fleet) dayOf(at time.Time) int { return int(at.Sub(f.first) / (24 * time.Hour)) }

// end is when the fleet's time is over.
func (f *fleet) end() time.Time { return f.day(f.opt.Days) }

// A line that is to be delivered, with what is true about it.
type delivery struct {
	due  time.Time // when it arrives where logs are kept
	seq  int       // in which it was made, for what is due at the same time
	file string
	text []byte
	of   belonging
}

// belonging says what an alert is of; the zero belonging is a false positive like
// any other.
type belonging struct {
	campaign *campaign
	step     int
	activity *activity
	act      string // names the act, where several products may have seen it
}

// An openFile is a file that grows day by day.
type openFile struct {
	input string // below evidence/
	to    *os.File
	b     *bufio.Writer
	lines int64
}

// writeOrg writes all days of one organisation, and returns how many files it made.
func (f *fleet) writeOrg(root string, g *org) (files int, err error) {
	open := map[string]*openFile{}
	defer func() {
		for _, o := range open {
			if cerr := o.b.Flush(); err == nil {
				err = cerr
			}
			if cerr := o.to.Close(); err == nil {
				err = cerr
			}
		}
	}()
	var waiting []delivery
	for day := range f.opt.Days {
		waiting = append(waiting, g.workDay(day)...)
		slices.SortFunc(waiting, func(a, b delivery) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.seq, b.seq)) })
		n := len(waiting)
		if day < f.opt.Days-1 { // what is due later waits
			n, _ = slices.BinarySearchFunc(waiting, f.day(day+1), func(d delivery, t time.Time) int { return d.due.Compare(t) })
		}
		for _, d := range waiting[:n] {
			if err := f.deliver(root, open, d); err != nil {
				return 0, err
			}
		}
		waiting = slices.Clone(waiting[n:])
	}
	return len(open), nil
}

// deliver writes one line and takes down what it belongs to.
func (f *fleet) deliver(root string, open map[string]*openFile, d delivery) error {
	o := open[d.file]
	if o == nil {
		path := filepath.Join(root, filepath.FromSlash(d.file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // evidence is made to be read
			return err
		}
		to, err := os.Create(path) //nolint:gosec // the caller's folder
		if err != nil {
			return err
		}
		o = &openFile{input: d.file, to: to, b: bufio.NewWriterSize(to, 1<<16)}
		open[d.file] = o
	}
	if _, err := o.b.Write(append(d.text, '\n')); err != nil {
		return err
	}
	o.lines++
	f.counted++
	key := fmt.Sprintf("%s#%d", o.input, o.lines)
	if c := d.of.campaign; c != nil {
		f.records = append(f.records, truthRecord{Input: o.input, Record: o.lines, Campaign: c.ID, Step: d.of.step})
		c.shown = append(c.shown, sight{d.due, d.of.step, key})
	}
	if a := d.of.activity; a != nil {
		a.Records = append(a.Records, key)
	}
	if d.of.act != "" {
		a := f.acts[d.of.act]
		if a == nil {
			a = &sameAct{}
			if d.of.campaign != nil {
				a.Campaign, a.Step = d.of.campaign.ID, d.of.step
			}
			f.acts[d.of.act] = a
		}
		a.Records = append(a.Records, key)
	}
	return nil
}

type activity = model.TruthActivity

// A sameAct is one act of which several alerts tell: of two products, or one that
// was delivered twice.
type sameAct struct {
	Campaign string   `json:"campaign,omitempty"`
	Step     int      `json:"step,omitempty"`
	Records  []string `json:"records"`
}

// A condition is what is wrong with a source.
type condition struct {
	Tenant string    `json:"tenant,omitempty"`
	Source string    `json:"source"`
	Kind   string    `json:"kind"` // clock, outage, appears, re-sent
	What   string    `json:"what"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

// fleetTruth is the truth with what only a fleet has.
type fleetTruth struct {
	model.Truth
	SameActs   []*sameAct  `json:"same_acts"`
	Conditions []condition `json:"conditions"`
}

// watchedTruth is the truth about logs with what only a watched or troubled estate has.
type watchedTruth struct {
	model.Truth
	SameActs   []*sameAct  `json:"same_acts,omitempty"`
	Conditions []condition `json:"conditions,omitempty"`
}

// sameActs are the acts of which more than one record tells, in order of the first.
func sameActs(of map[string]*sameAct) []*sameAct {
	out := []*sameAct{}
	for _, a := range of {
		if len(a.Records) > 1 {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *sameAct) int { return strings.Compare(a.Records[0], b.Records[0]) })
	return out
}

func (f *fleet) truth() *fleetTruth {
	t := &fleetTruth{Truth: *assemble(f.campaigns, f.records), Conditions: []condition{}}
	for _, a := range f.activities {
		if len(a.Records) > 0 {
			t.Benign = append(t.Benign, a)
		}
	}
	t.SameActs = sameActs(f.acts)
	for _, g := range f.orgs {
		t.Conditions = append(t.Conditions, g.conditions...)
	}
	return t
}
