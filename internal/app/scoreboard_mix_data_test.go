package app

import (
	"cmp"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/eval"
	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/story"
)

const mixTitle = "One estate and week: the campaigns and captures of one technique"

var mixBegin = time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC)

// mix lays the campaigns and the captures of a single technique over one estate and
// one week: machines, accounts and private addresses of each get names of their own,
// and its first act is moved to its turn in the week, everything after it with it.
// Roots, steps and their order are those of the stories, against the truth moved and
// renamed alike; of a capture of one technique none is known.
//
// Of a campaign's capture the alerts that belong to the campaign do so; of a capture
// of one technique all of level medium or above do.
func (c *contest) mix(t *testing.T, dir string, campaignsOnly bool) {
	t.Helper()
	a, err := New(Options{AllAlerts: true})
	if err != nil {
		t.Fatal(err)
	}
	m := &mixed{of: map[string]string{}}
	var ids, singles []string
	src, err := os.ReadFile(filepath.Join(dir, "truth", "otrf_compound.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := eval.ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	moved := &eval.Key{}
	for _, campaign := range campaigns {
		one, err := key.Only(campaign.id)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, campaign.path)
		for id := range eval.Belonging(analyzeData(t, a, path), one) {
			m.of[id] = campaign.id
		}
		used[path] = true
		ids = append(ids, campaign.id)
		by, names := m.lay(t, a, path)
		moved.Campaigns = append(moved.Campaigns, one.Campaigns[0].Moved(by, names.either, names.address))
	}
	err = filepath.WalkDir(filepath.Join(dir, "otrf_atomic"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !used[path] {
			singles = append(singles, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range singles {
		m.lay(t, a, path)
	}
	r := m.fuse(a)
	for i := range r.Alerts {
		al := &r.Alerts[i]
		for _, path := range singles {
			if strings.HasPrefix(al.Evidence[0].Input, path) && al.Severity.Rank() >= model.Medium.Rank() {
				m.of[al.ID] = path
			}
		}
	}
	if !campaignsOnly {
		ids = slices.DeleteFunc(singles, func(path string) bool { // what raises no alert cannot be told
			return !slices.ContainsFunc(r.Alerts, func(al model.Alert) bool { return m.of[al.ID] == path })
		})
	}
	const week = 7 * 24 * time.Hour
	tell := func(r *model.Report, members *eval.Result, rooted bool) *eval.Result {
		if !campaignsOnly {
			return members
		}
		stories := eval.Score(r, moved)
		for i := range members.Campaigns {
			x, s := &members.Campaigns[i], &stories.Campaigns[i]
			x.Steps, x.StepsFound, x.StepsVisible, x.StepShare, x.Order, x.RaisedAfter = s.Steps, s.StepsFound, s.StepsVisible, s.StepShare, s.Order, s.RaisedAfter
			if rooted {
				x.Root = s.Root
			}
		}
		return members
	}
	ours, baselines := tell(r, eval.ScoreMembers(r, ids, m.of), true), eval.Baselines(r)
	c.of("Catena").Add(r, ours, week)
	c.raisedAs(ours)
	ns, bytes, _ := cost(r.Alerts)
	c.of("Catena").Cost(ns, bytes)
	for _, b := range baselines {
		c.of(b.Name).Add(b.Report, tell(b.Report, eval.ScoreMembers(b.Report, ids, m.of), false), week)
		for i := range moved.Campaigns {
			if at, ok := b.Raised[bestFor(b.Report, m.of, moved.Campaigns[i].ID)]; ok && campaignsOnly {
				c.of(b.Name).Raised(max(0, at.Sub(moved.Campaigns[i].Onset())))
			}
		}
	}
	for i := range ours.Campaigns {
		x := &ours.Campaigns[i]
		t.Logf("%s: found %v in %d incidents, %d of %d members", filepath.Base(x.ID), x.Found, x.Fragments, x.Belong, x.Members)
		if x.Root.Want != "" {
			t.Logf("  %d of %d steps; root %v: %s, want %s", x.StepsFound, x.StepsVisible, x.Root.Right, x.Root.Got, x.Root.Want)
		}
	}
	for _, inc := range r.Incidents {
		held := map[string]int{}
		for _, id := range inc.Alerts {
			held[filepath.Base(m.of[id])]++
		}
		t.Logf("%s (%s): %v", inc.ID, inc.Severity, held)
	}
	t.Logf("%d alerts, %d incidents, glued %v, false %v", len(r.Alerts), len(r.Incidents), ours.Glued, ours.FalseIncidents)
}

// bestFor is the id of the incident with most alerts of a campaign.
func bestFor(r *model.Report, of map[string]string, campaign string) string {
	best, most := "", 0
	for _, inc := range r.Incidents {
		n := 0
		for _, id := range inc.Alerts {
			if of[id] == campaign {
				n++
			}
		}
		if n > most {
			best, most = inc.ID, n
		}
	}
	return best
}

// mixed is what several captures came to, laid over one week.
type mixed struct {
	turn   int
	acts   []sighting
	alerts []*model.Alert
	of     map[string]string // by alert, the campaign or capture that it belongs to
}

// turns is how many captures a week has room for, a little more than there are.
const turns = 64

// lay returns by how long everything was moved, and the names that it was given.
func (m *mixed) lay(t *testing.T, a *App, path string) (time.Duration, renamer) {
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
	stream, err := ev.acts.stream(ev.clocks.Solve(), a.inside)
	if err != nil {
		t.Fatal(err)
	}
	from := len(m.acts)
	names := renamer{prefix: "m" + strconv.Itoa(m.turn) + "-", turn: m.turn, hosts: map[string]bool{}}
	err = stream.each(ctx, func(s *sighting) {
		x := *s
		obs := *s.obs
		obs.Kept = 0 // memory holds it: there is no page to read it from again
		obs.Entities = slices.Clone(obs.Entities)
		x.obs, x.rules = &obs, slices.Clone(s.rules)
		names.meet(obs.Host, obs.Entities)
		m.acts = append(m.acts, x)
	})
	if err != nil {
		t.Fatal(err)
	}
	var first time.Time
	earlier := func(at time.Time) {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, s := range m.acts[from:] {
		earlier(s.obs.Time)
	}
	for _, al := range ev.alerts {
		names.meet(al.Host, al.Entities)
		earlier(al.Time)
	}
	// A step that is prime to the number of turns spreads neighbours over the week.
	by := mixBegin.Add(time.Duration(m.turn*23%turns) * 7 * 24 * time.Hour / turns).Sub(first)
	for _, s := range m.acts[from:] {
		s.obs.Time = s.obs.Time.Add(by)
		s.obs.Host = names.host(s.obs.Host)
		names.rename(s.obs.Entities)
	}
	for _, al := range ev.alerts {
		al.Time, al.End, al.Host = al.Time.Add(by), al.End.Add(by), names.host(al.Host)
		names.rename(al.Entities)
		m.alerts = append(m.alerts, al)
	}
	m.turn++
	return by, names
}

// fuse takes the acts and alerts the way that Analyze does, from memory to incidents.
func (m *mixed) fuse(a *App) *model.Report {
	slices.SortStableFunc(m.acts, func(x, y sighting) int {
		return cmp.Or(x.obs.Time.Compare(y.obs.Time), cmp.Compare(x.obs.Event, y.obs.Event))
	})
	memory := graph.New(graph.Options{})
	memory.Introduce(m.alerts)
	detectors, correlations := detectors(a.places), a.engine.Correlations()
	watch := newWatch(detectors, m.alerts)
	var bursts detect.Bursts
	var alerts []*model.Alert
	for i := range m.acts {
		s := &m.acts[i]
		var raised []*model.Alert
		watch.until(s.obs.Time)
		memory.Observe(s.obs)
		for _, rule := range s.rules {
			if a.engine.Alerts(int(rule)) {
				raised = append(raised, detect.Alert(a.engine.Definition(int(rule)), s.obs))
			}
			if a.engine.Correlated(int(rule)) {
				raised = append(raised, correlations.Observe(int(rule), s.obs, s.fields)...)
			}
		}
		for _, d := range detectors {
			raised = append(raised, d.Observe(s.obs)...)
		}
		watch.tell(raised)
		for _, al := range raised {
			if al := bursts.Fold(al); al != nil {
				alerts = append(alerts, al)
			}
		}
	}
	alerts = append(alerts, m.alerts...)
	r := &model.Report{Totals: model.Totals{Alerts: len(alerts)}}
	observed := map[string]*model.Observation{}
	for i := range m.acts {
		if s := &m.acts[i]; len(s.rules) > 0 {
			observed[s.obs.Event] = s.obs
		}
	}
	for _, al := range alerts {
		memory.Locate(al)
		knowledge.Classify(al)
	}
	for _, x := range fusion.New(fusion.Options{}).Run(alerts, memory) {
		if !x.Raised {
			continue
		}
		if told := tellOne(x, nil, observed, nil, memory, story.Estate{}); told != nil {
			r.Incidents = append(r.Incidents, *told)
		}
	}
	for _, al := range alerts {
		r.Alerts = append(r.Alerts, *al)
	}
	return r
}

// A renamer gives what belongs to one capture names that no other has.
type renamer struct {
	prefix string
	turn   int
	hosts  map[string]bool
}

func (n *renamer) meet(host string, es []model.Entity) {
	note := func(h string) {
		if h != "" {
			label, _, _ := strings.Cut(h, ".")
			n.hosts[strings.ToLower(h)], n.hosts[strings.ToLower(label)] = true, true
		}
	}
	note(host)
	for _, e := range es {
		if e.Type == model.Host {
			note(e.Value)
		}
	}
}

// either is what a host or account may be called: those of a cloud keep their names.
func (n renamer) either(v string) []string { return []string{n.prefix + v, v} }

// address is what a private address became; everything else is as it was.
func (n renamer) address(v string) string {
	if ip, err := netip.ParseAddr(v); err == nil && ip.Is4() && ip.IsPrivate() {
		b := ip.As4()
		return netip.AddrFrom4([4]byte{10, byte(n.turn), b[2], b[3]}).String() //nolint:gosec // fewer than 256 turns
	}
	return v
}

func (n *renamer) host(h string) string {
	if h == "" {
		return ""
	}
	return n.prefix + h
}

func (n *renamer) rename(es []model.Entity) {
	for i := range es {
		e := &es[i]
		switch e.Type {
		case model.Host, model.Mailbox:
			e.Value = n.prefix + e.Value
		case model.User:
			domain, name, ok := strings.Cut(e.Value, `\`)
			switch {
			case strings.HasPrefix(e.Value, "arn:"):
			case n.sid(e.Value) != "":
				e.Value = n.sid(e.Value)
			case !ok || n.hosts[domain]:
				e.Value = n.prefix + e.Value
			default:
				e.Value = domain + `\` + n.prefix + name
			}
		case model.Process, model.File, model.Session, model.App:
			host, _, ok := strings.Cut(e.Value, ":")
			if ok && n.hosts[host] || !ok && e.Type == model.Process { // a process has one machine, and captures of one laboratory share some
				e.Value = n.prefix + e.Value
			}
		case model.IP:
			e.Value = n.address(e.Value)
		}
		if e.Alt != "" && e.Alt != model.Ended {
			ids := strings.Fields(e.Alt)
			for j := range ids {
				switch sid := n.sid(ids[j]); {
				case sid != "":
					ids[j] = sid
				case ids[j] != model.Ended:
					ids[j] = n.prefix + ids[j]
				}
			}
			e.Alt = strings.Join(ids, " ")
		}
	}
}

// sid moves the SID of an account to a domain of the capture's own; empty if it is no
// such SID.
func (n *renamer) sid(v string) string {
	parts := strings.Split(v, "-")
	if len(parts) < 8 || !strings.EqualFold(strings.Join(parts[:4], "-"), "S-1-5-21") {
		return ""
	}
	parts[4] = strconv.Itoa(1000 + n.turn)
	return strings.Join(parts, "-")
}
