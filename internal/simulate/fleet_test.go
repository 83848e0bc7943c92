package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/mappings"
)

// small is a fleet that is made in a moment and has everything in it.
var small = Options{Form: Alerts, Seed: 5, Hosts: 200, Days: 10, Noise: .5}

func fleetTruthOf(t *testing.T, files map[string][]byte) fleetTruth {
	t.Helper()
	var truth fleetTruth
	d := json.NewDecoder(bytes.NewReader(files["truth.json"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

func TestFleetSeedDecides(t *testing.T) {
	a, sum := made(t, small)
	b, _ := made(t, small)
	other := small
	other.Seed = 6
	c, _ := made(t, other)
	files := contents(t, a)
	if h := hashOf(files); h != hashOf(contents(t, b)) {
		t.Error("one seed makes different alerts")
	} else if h == hashOf(contents(t, c)) {
		t.Error("another seed makes the same alerts")
	}
	lines := 0
	for name, data := range files {
		if name != "truth.json" {
			lines += bytes.Count(data, []byte("\n"))
		}
	}
	if int64(lines) != sum.Records || sum.Campaigns != 8 || sum.Files != len(files)-1 {
		t.Errorf("%d lines in %d files of %+v", lines, len(files)-1, sum)
	}
}

// TestFleetIsUnderstood reads every alert by the mapping of its product.
func TestFleetIsUnderstood(t *testing.T) {
	dir, _ := made(t, small)
	files := contents(t, dir)
	all := builtinMappings(t)
	stamps := map[string]bool{}
	for name, data := range files {
		if !strings.HasPrefix(name, "evidence/alerts/") {
			continue
		}
		d := decode.JSON(decode.Options{Names: model.NewNames(), Mappings: all})
		bad := func(e model.InputError) { t.Errorf("%s: %+v", name, e) }
		alerts := 0
		err := d.Frame(bytes.NewReader(data), func(c decode.Chunk) error {
			var b decode.Batch
			c.Input = name
			d.Decode(c, &b)
			for i := range b.Alerts {
				a := &b.Alerts[i]
				alerts++
				if a.Time.Year() != 2026 || a.Rule.Title == "" || !slices.ContainsFunc(a.Entities, func(e model.Entity) bool { return e.Role != model.Sensor }) {
					t.Errorf("%s: alert %+v", name, a)
				}
				stamps[a.Product] = true
			}
			return nil
		}, bad)
		if lines := bytes.Count(data, []byte("\n")); err != nil || alerts != lines {
			t.Errorf("%s: %d alerts of %d lines, %v", name, alerts, lines, err)
		}
	}
	if len(stamps) < 7 {
		t.Errorf("alerts of %v only", stamps)
	}
}

// builtinMappings are the mappings that come with Catena.
func builtinMappings(t *testing.T) []*decode.Mapping {
	t.Helper()
	var out []*decode.Mapping
	err := fs.WalkDir(mappings.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		src, err := fs.ReadFile(mappings.FS(), path)
		if err != nil {
			return err
		}
		m, err := decode.ParseMapping(path, src)
		out = append(out, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFleetTruthHolds(t *testing.T) {
	dir, _ := made(t, small)
	files := contents(t, dir)
	truth := fleetTruthOf(t, files)
	there := map[string]string{}
	for name, data := range files {
		n := 0
		for l := range strings.Lines(string(data)) {
			n++
			there[fmt.Sprintf("%s#%d", strings.TrimPrefix(name, "evidence/"), n)] = l
		}
	}
	of := map[string]string{}
	for _, r := range truth.Records {
		key := fmt.Sprintf("%s#%d", r.Input, r.Record)
		if there[key] == "" || of[key] != "" {
			t.Errorf("%s is no record, or one of two campaigns", key)
		}
		of[key] = r.Campaign
	}
	for _, c := range truth.Campaigns {
		if c.Root.Time.IsZero() || of[c.Root.Event] != c.ID {
			t.Errorf("%s: root %+v", c.ID, c.Root)
		}
		for i, s := range c.Steps {
			if s.N != i+1 || s.Parent >= s.N || i > 0 && s.Time.Before(c.Steps[i-1].Time) {
				t.Errorf("%s: step %d of parent %d at %s is out of order", c.ID, s.N, s.Parent, s.Time)
			}
			if !slices.Contains(knowledge.TacticsOf(s.Technique), s.Tactic) {
				t.Errorf("%s: %s is no technique of %s", c.ID, s.Technique, s.Tactic)
			}
		}
	}
	kinds := map[string]int{}
	for _, a := range truth.Benign {
		kinds[a.Kind] += len(a.Records)
		for _, key := range a.Records {
			if there[key] == "" || of[key] != "" {
				t.Errorf("%s: %s is no record, or of a campaign", a.ID, key)
			}
		}
	}
	for _, kind := range []string{"roll-out", "vulnerability-scan", "internet-scan", "pentest", "maintenance"} {
		if kinds[kind] < 10 {
			t.Errorf("%d alerts of %s", kinds[kind], kind)
		}
	}
	two, twice := 0, 0
	for _, a := range truth.SameActs {
		inputs := map[string]bool{}
		for _, key := range a.Records {
			if there[key] == "" || a.Campaign != "" && of[key] != a.Campaign {
				t.Errorf("same act: %s is no record, or of another campaign", key)
			}
			input, _, _ := strings.Cut(key, "#")
			inputs[input] = true
		}
		if len(inputs) > 1 {
			two++
		} else if there[a.Records[0]] == there[a.Records[1]] {
			twice++
		}
	}
	if two < 10 || twice < 3 {
		t.Errorf("%d acts are told by two products, %d alerts are delivered twice", two, twice)
	}
}

// TestFleetTroubles checks that what the truth says of the sources is so.
func TestFleetTroubles(t *testing.T) {
	f := newFleet(small)
	g := f.orgs[0]
	if g.out == falco || len(g.conditions) != 4 {
		t.Fatalf("conditions %+v", g.conditions)
	}
	late, backlog := 0, 0
	for day := range f.opt.Days {
		for _, d := range g.workDay(day) {
			if d.due.Sub(f.day(day)) > 26*time.Hour {
				late++
			}
			if d.file == g.out.file() && d.due.After(g.outTo) && d.due.Before(g.outTo.Add(20*time.Minute)) {
				backlog++
			}
			if strings.HasSuffix(d.file, "crowdstrike.ndjson") && d.due.Before(g.born) {
				t.Errorf("an alert of %s, before there is the product", d.due)
			}
		}
	}
	if late == 0 || backlog == 0 {
		t.Errorf("%d alerts are late, %d come after the outage", late, backlog)
	}
}

// TestFleetHosts checks that machines and addresses come and go, and that no two
// have one address at a time.
func TestFleetHosts(t *testing.T) {
	g := newFleet(Options{Form: Alerts, Hosts: 3000, Days: 20}).orgs[0]
	moved, replaced := 0, 0
	for _, day := range []int{0, 7, 19} {
		addresses, names := map[string]bool{}, map[string]bool{}
		for n := range g.stations {
			m := g.station(n, day)
			if addresses[m.ip] || names[m.name] {
				t.Fatalf("day %d: %s at %s is there twice", day, m.name, m.ip)
			}
			addresses[m.ip], names[m.name] = true, true
			first := g.station(n, 0)
			if first.ip != m.ip {
				moved++
			}
			if first.name != m.name {
				replaced++
			}
		}
	}
	if moved < g.stations/5 || replaced < g.stations/10 {
		t.Errorf("%d moved, %d were replaced", moved, replaced)
	}
}

func TestFleetTenantsAndBounds(t *testing.T) {
	o := small
	o.Tenants, o.Days, o.Campaigns = 2, 3, 4
	dir, _ := made(t, o)
	truth := fleetTruthOf(t, contents(t, dir))
	for i, c := range truth.Campaigns {
		if want := fmt.Sprintf("tenant-%d/", 1+i/2); !strings.HasPrefix(c.Root.Event, want) {
			t.Errorf("%s begins with %s, want it in %s", c.ID, c.Root.Event, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "evidence", "alerts")); err == nil {
		t.Error("alerts of no tenant")
	}
	quiet, sum := made(t, Options{Form: Alerts, Hosts: 100, Days: 1, Scenarios: []string{Quiet}})
	if truth := fleetTruthOf(t, contents(t, quiet)); sum.Campaigns != 0 || len(truth.Records) != 0 {
		t.Errorf("quiet has %d campaigns", sum.Campaigns)
	}
	for _, o := range []Options{{Form: "logs"}, {Hosts: 100}, {Form: Alerts, Hosts: 1}, {Form: Alerts, Days: 100_000}, {Form: Alerts, Tenants: -1}, {Form: Alerts, Noise: -1}, {Form: Alerts, Scenarios: []string{"ssh-to-bucket"}}} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
