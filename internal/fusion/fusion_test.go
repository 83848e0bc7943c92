package fusion

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/model"
	"pgregory.net/rapid"
)

func raisedOf(rs []*Result) []*Result {
	var out []*Result
	for _, r := range rs {
		if r.Raised {
			out = append(out, r)
		}
	}
	return out
}

func ids(r *Result, tiers ...Tier) map[string]bool {
	out := map[string]bool{}
	for _, m := range r.Members {
		for _, t := range tiers {
			if m.Tier == t {
				out[m.Alert.ID] = true
			}
		}
	}
	return out
}

func dump(t *testing.T, e *Engine, rs []*Result) {
	t.Helper()
	for _, r := range rs {
		t.Log(e.Explain(r.ID))
	}
}

func TestShortCaptureOfOneWorkstation(t *testing.T) {
	w := newWorld()
	w.background(ws1, 60)
	attack := w.attack(ws1, 100)
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 1 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want 1", len(rs))
	}
	r := rs[0]
	core := ids(r, Core)
	for _, a := range attack {
		if !core[a.ID] {
			t.Errorf("%s is not a core member:\n%s", a.Rule.ID, e.Explain(a.ID))
		}
	}
	if extra := len(core) - len(attack); extra > 0 {
		dump(t, e, rs)
		t.Errorf("%d background alerts are core members", extra)
	}
	if r.Severity.Rank() < model.High.Rank() {
		t.Errorf("severity %s, score %d", r.Severity, r.Score)
	}
}

func TestBackgroundAloneRaisesNothing(t *testing.T) {
	for _, trees := range []int{3, 20, 200} {
		w := newWorld()
		w.background(ws1, trees)
		e := New(Options{})
		if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
			dump(t, e, rs)
			t.Errorf("%d trees of background raised %d incidents", trees, len(rs))
		}
	}
}

func TestOneNoisyRuleForAnHour(t *testing.T) {
	w := newWorld()
	for i := 0; i < 120; i++ {
		g := fmt.Sprintf("p-%d", i)
		w.start(float64(i)*30, ws1, g, `c:\tools\agent.exe`, "svc", `c:\windows\system32\services.exe`, `corp\svc`)
		w.alert(float64(i)*30, "noisy", model.High, "execution", ws1, ent(model.Host, model.Subject, ws1), proc(model.Subject, g, ""))
	}
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
		dump(t, e, rs)
		t.Fatal("one noisy rule made an incident")
	}
}

func TestAloneHighAndCritical(t *testing.T) {
	for level, want := range map[model.Severity]int{model.High: 0, model.Critical: 1} {
		w := newWorld()
		w.alert(0, "quiet", level, "execution", ws1, ent(model.Host, model.Subject, ws1))
		if got := len(raisedOf(New(Options{}).Run(w.alerts, w.mem))); got != want {
			t.Errorf("a single %s alert raised %d incidents, want %d", level, got, want)
		}
	}
}

// The administrator shares the address with the attacker, and with everything.
func TestSharedAddressDoesNotGlueCloudIdentities(t *testing.T) {
	w := newWorld()
	ip := ent(model.IP, model.Src, "198.51.100.7")
	admin := ent(model.User, model.Actor, "arn:aws:iam::1:user/pedro")
	adminKey := ent(model.AccessKey, model.Actor, "AKIAADMIN")
	for i := 0; i < 240; i++ {
		w.observe(float64(i)*10, model.ActAPICall, "", admin, adminKey, ip, ent(model.Resource, model.Target, fmt.Sprintf("r-%d", i%20)))
	}
	for i := 0; i < 12; i++ {
		w.alert(float64(i)*200, fmt.Sprintf("iam-change-%d", i%4), model.Low, "persistence", "", admin, adminKey, ip)
	}
	thief := []model.Entity{ent(model.User, model.Actor, "arn:aws:sts::1:assumed-role/waf/i-1"), ent(model.AccessKey, model.Actor, "ASIATHIEF"), ip}
	for i := 0; i < 6; i++ {
		w.observe(900+float64(i)*60, model.ActObjectRead, "", append(thief, ent(model.Resource, model.Target, "bucket"))...)
	}
	attack := []*model.Alert{
		w.alert(900, "instance-role-from-outside", model.High, "initial-access", "", thief...),
		w.alert(905, "bucket-listing-by-instance", model.Medium, "discovery", "", thief...),
		w.alert(1000, "object-read-by-instance", model.High, "collection", "", thief...),
	}
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 1 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want 1", len(rs))
	}
	all := ids(rs[0], Core, Context)
	for _, a := range attack {
		if !all[a.ID] {
			t.Errorf("%s is missing:\n%s", a.Rule.ID, e.Explain(a.ID))
		}
	}
	if len(all) != len(attack) {
		dump(t, e, rs)
		t.Errorf("%d alerts of the administrator were glued on", len(all)-len(attack))
	}
}

// One program on one workstation reaches four hosts over remote management.
func TestCampaignOverHosts(t *testing.T) {
	w := newWorld()
	hosts := []string{"srv1.corp.example", "srv2.corp.example", "srv3.corp.example", "dc1.corp.example"}
	for _, h := range append(hosts, ws1) { // each host's own address is learnt from its connections
		for i := 0; i < 5; i++ {
			w.observe(-60+float64(i), model.ActConnect, h, proc(model.Actor, h+"-agent", `c:\windows\system32\svchost.exe`),
				ent(model.IP, model.Src, address(h)), ent(model.IP, model.Dst, "10.9.9.9"))
		}
	}
	user := `corp\bob`
	w.start(0, ws1, "tool", `c:\users\bob\tool.exe`, "explorer", `c:\windows\explorer.exe`, user)
	tool := proc(model.Actor, "tool", "")
	h := ent(model.Host, model.Subject, ws1)
	var attack []*model.Alert
	attack = append(attack,
		w.alert(1, "password-spray", model.High, "credential-access", ws1, h, tool, ent(model.User, model.Actor, user)),
		w.alert(3, "kerberoast", model.High, "credential-access", ws1, h, tool, ent(model.User, model.Actor, user)))
	for i, s := range hosts {
		t := 10 + float64(i)
		w.observe(t, model.ActConnect, ws1, tool, ent(model.IP, model.Src, address(ws1)), ent(model.IP, model.Dst, address(s)))
		w.observe(t+.5, model.ActLogon, s, ent(model.User, model.Target, user), ent(model.Session, model.Target, s+":0xabc"), ent(model.IP, model.Src, address(ws1)))
		w.start(t+1, s, s+"-wsm", `c:\windows\system32\wsmprovhost.exe`, s+"-svchost", `c:\windows\system32\svchost.exe`, user)
		w.start(t+2, s, s+"-calc", `c:\temp\payload.exe`, s+"-wsm", `c:\windows\system32\wsmprovhost.exe`, user)
		attack = append(attack, w.alert(t+2, "child-of-remote-shell", model.Medium, "lateral-movement", s, ent(model.Host, model.Subject, s), proc(model.Subject, s+"-calc", "")))
	}
	w.background("srv1.corp.example", 20)
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 1 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want 1", len(rs))
	}
	all := ids(rs[0], Core)
	for _, a := range attack {
		if !all[a.ID] {
			t.Errorf("%s on %s is missing:\n%s", a.Rule.ID, a.Host, e.Explain(a.ID))
		}
	}
}

func address(host string) string {
	n := 0
	for _, c := range host {
		n = n*31 + int(c)
	}
	return fmt.Sprintf("10.0.%d.%d", n&0x3f, 1+(n>>6)&0x7f)
}

// A server, a domain controller and two clouds, half an hour, one account.
func TestAccountAcrossDomains(t *testing.T) {
	w := newWorld()
	adfs, dc := "adfs1.corp.example", "dc1.corp.example"
	for i := 0; i < 400; i++ { // others at work
		u := ent(model.User, model.Actor, fmt.Sprintf(`corp\user%d`, i%20))
		w.observe(float64(i)*5, model.ActScript, []string{adfs, dc}[i%2], u)
	}
	user := ent(model.User, model.Actor, `corp\wanda`)
	upn := ent(model.User, model.Actor, `wanda@corp.example`)
	w.observe(1, model.ActScript, adfs, user)
	w.observe(1500, model.ActAPICall, "", upn)
	attack := []*model.Alert{
		w.alert(10, "token-key-pipe", model.High, "credential-access", adfs, ent(model.Host, model.Subject, adfs), user),
		w.alert(170, "directory-replication", model.High, "credential-access", dc, ent(model.Host, model.Subject, dc), user),
		w.alert(1300, "application-changed", model.Medium, "persistence", "", upn, ent(model.App, model.Target, "app-1")),
		w.alert(1420, "grant-added", model.High, "privilege-escalation", "", upn, ent(model.App, model.Target, "app-1")),
		w.alert(1560, "secret-added", model.High, "persistence", "", upn, ent(model.App, model.Target, "app-1")),
	}
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 1 {
		dump(t, e, e.Incidents())
		t.Fatalf("%d incidents, want 1", len(rs))
	}
	all := ids(rs[0], Core)
	for _, a := range attack {
		if !all[a.ID] {
			t.Errorf("%s is missing:\n%s", a.Rule.ID, e.Explain(a.ID))
		}
	}
}

// A noisy estate over days. Before quarantine had its guards, a cluster of the
// first hours was held back from learning, so its kinds stayed unknown and drew in
// ever more until the real attack drowned in it.
func TestNoSnowball(t *testing.T) {
	build := func() (*world, []*model.Alert) {
		w := newWorld()
		rnd := rand.New(rand.NewSource(7))
		var attack []*model.Alert
		for i := 0; i < 24000; i++ {
			s := float64(i) * 12 // 3.3 days
			host := fmt.Sprintf("h%02d", rnd.Intn(20))
			rule := rnd.Intn(50)
			lvl := model.Low
			if rule%5 == 0 {
				lvl = model.Medium
			}
			if rule%25 == 0 {
				lvl = model.High
			}
			w.alert(s, fmt.Sprintf("n%d", rule), lvl, []string{"discovery", "stealth", "execution", "persistence"}[rule%4], host,
				ent(model.Host, model.Subject, host), ent(model.User, model.Actor, fmt.Sprintf(`corp\u%d`, rnd.Intn(40))))
			if i == 20000 {
				h := "h07"
				for j, lv := range []model.Severity{model.Medium, model.High, model.Medium, model.High, model.High} {
					attack = append(attack, w.alert(s+float64(j)*20+1, fmt.Sprintf("attack-%d", j), lv,
						[]string{"initial-access", "execution", "discovery", "credential-access", "exfiltration"}[j], h,
						ent(model.Host, model.Subject, h), ent(model.User, model.Actor, `corp\mallory`)))
				}
			}
		}
		return w, attack
	}
	check := func(name string, e *Engine, rs []*Result, attack []*model.Alert, most int) {
		found := false
		for _, r := range raisedOf(rs) {
			if len(r.Members) > most {
				t.Errorf("%s: an incident grew to %d members", name, len(r.Members))
			}
			all := ids(r, Core)
			n := 0
			for _, a := range attack {
				if all[a.ID] {
					n++
				}
			}
			found = found || n >= 4
		}
		if !found {
			t.Errorf("%s: the attack was not found: %s", name, e.Explain(attack[1].ID))
		}
		if n := len(raisedOf(rs)); n > 4 {
			t.Errorf("%s: %d incidents", name, n)
		}
	}
	w, attack := build()
	e := New(Options{})
	check("run", e, e.Run(w.alerts, w.mem), attack, 60)

	live := New(Options{Memory: w.mem})
	largest := func() int {
		n := 0
		for _, r := range raisedOf(live.Incidents()) {
			n = max(n, len(r.Members))
		}
		return n
	}
	// In the first hours nothing is known, and chance still glues; it must not go on.
	day := 0
	for _, a := range w.alerts {
		live.Add(a)
		if day == 0 && a.Time.Sub(w.t0) > 24*time.Hour {
			day = largest()
		}
	}
	check("live", live, live.Incidents(), attack, 150)
	if end := largest(); end > day+30 {
		t.Errorf("the largest incident grew from %d members after a day to %d", day, end)
	}
}

// What every actor carries is a hub and links nothing.
func TestHub(t *testing.T) {
	w := newWorld()
	proxy := ent(model.IP, model.Src, "10.0.0.1")
	for i := 0; i < 30; i++ {
		host := fmt.Sprintf("h%d", i)
		w.alert(float64(i)*100, fmt.Sprintf("r%d", i), model.Medium, "discovery", host, ent(model.Host, model.Subject, host), proxy)
	}
	e := New(Options{})
	e.Run(w.alerts, w.mem)
	for _, c := range e.cands {
		if c.into == nil && len(c.metas) > 1 {
			t.Fatalf("alerts of %d hosts were linked through a proxy:\n%s", len(c.subjects), e.Explain(c.id()))
		}
	}
}

func TestFanOutIsOneThing(t *testing.T) {
	w := newWorld()
	for i := 0; i < 40; i++ {
		host := fmt.Sprintf("h%d", i)
		w.alert(float64(i), "sweep", model.High, "lateral-movement", host, ent(model.Host, model.Subject, host), ent(model.IP, model.Src, "203.0.113.9"))
	}
	e := New(Options{})
	e.Run(w.alerts, w.mem)
	if len(e.metas) != fanSubject {
		t.Fatalf("%d metas of a sweep over 40 hosts, want the %d until it shows and then one", len(e.metas), fanSubject)
	}
	last := e.metas[len(e.metas)-1]
	if !last.fan || last.count != 31 || last.subject.Type != model.IP {
		t.Errorf("fan-out %+v of %d about %s", last.fan, last.count, last.subject)
	}
}

func TestBurst(t *testing.T) {
	w := newWorld()
	for i := 0; i < 100; i++ {
		w.alert(float64(i), "again", model.Medium, "discovery", ws1, ent(model.Host, model.Subject, ws1))
	}
	w.alert(99+400, "again", model.Medium, "discovery", ws1, ent(model.Host, model.Subject, ws1))
	e := New(Options{})
	e.Run(w.alerts, w.mem)
	if len(e.metas) != 2 || e.metas[0].count != 100 {
		t.Fatalf("%d bursts", len(e.metas))
	}
}

// random draws evidence: several hosts, trees and rules, some of it related.
func random(t *rapid.T) *world {
	w := newWorld()
	levels := []model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}
	tactics := []string{"", "discovery", "execution", "credential-access", "exfiltration", "initial-access"}
	n := rapid.IntRange(0, 60).Draw(t, "n")
	for i := 0; i < n; i++ {
		s := float64(rapid.IntRange(0, 7200).Draw(t, "s"))
		host := fmt.Sprintf("h%d", rapid.IntRange(0, 2).Draw(t, "host"))
		es := []model.Entity{ent(model.Host, model.Subject, host)}
		if p := rapid.IntRange(0, 6).Draw(t, "proc"); p > 0 {
			es = append(es, proc(model.Actor, fmt.Sprintf("%s-p%d", host, p), `c:\x.exe`))
		}
		if u := rapid.IntRange(0, 4).Draw(t, "user"); u > 0 {
			es = append(es, ent(model.User, model.Actor, fmt.Sprintf(`corp\u%d`, u)))
		}
		w.alert(s, fmt.Sprintf("r%d", rapid.IntRange(0, 9).Draw(t, "rule")), rapid.SampledFrom(levels).Draw(t, "level"), rapid.SampledFrom(tactics).Draw(t, "tactic"), host, es...)
	}
	return w
}

func text(t *rapid.T, rs []*Result) string {
	b, err := json.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOrderAndRepetitionChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := random(t)
		e := New(Options{})
		want := text(t, e.Run(w.alerts, w.mem))
		if again := text(t, e.Run(w.alerts, w.mem)); again != want {
			t.Fatal("a second run differs")
		}
		shuffled := rapid.Permutation(append(append([]*model.Alert(nil), w.alerts...), w.alerts...)).Draw(t, "order")
		if got := text(t, New(Options{}).Run(shuffled, w.mem)); got != want {
			t.Fatalf("order matters:\n%s\n%s", want, got)
		}
	})
}

func TestReplayGivesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := random(t)
		a, b := New(Options{Memory: w.mem}), New(Options{Memory: w.mem})
		for _, x := range w.alerts {
			ca, cb := a.Add(x), b.Add(x)
			if !reflect.DeepEqual(ca, cb) {
				t.Fatalf("%v, %v", ca, cb)
			}
			if a.Add(x) != nil {
				t.Fatal("an alert counted twice")
			}
		}
		if text(t, a.Incidents()) != text(t, b.Incidents()) {
			t.Fatal("replay differs")
		}
	})
}

func TestEveryMemberHasALink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := random(t)
		inOne := map[string]string{}
		for _, r := range New(Options{}).Run(w.alerts, w.mem) {
			member, up := map[string]bool{}, map[string]string{}
			for _, m := range r.Members {
				member[m.Alert.ID] = true
				if o := inOne[m.Alert.ID]; o != "" {
					t.Fatalf("%s is in %s and %s", m.Alert.ID, o, r.ID)
				}
				inOne[m.Alert.ID] = r.ID
			}
			for _, l := range r.Links {
				if !member[l.From] || !member[l.To] {
					t.Fatal("a link leaves the incident")
				}
				if up[l.To] != "" {
					t.Fatalf("%s has two links", l.To)
				}
				if l.Detail == "" || l.Reason == "" || l.Shared == "" {
					t.Fatalf("a link without a reason: %+v", l)
				}
				up[l.To] = l.From
			}
			roots := 0
			for id := range member {
				if up[id] == "" {
					roots++
				}
				for n := 0; up[id] != ""; n++ {
					if n > len(member) {
						t.Fatal("links run in a circle")
					}
					id = up[id]
				}
			}
			if roots != 1 {
				t.Fatalf("%d members without a link", roots)
			}
			if r.Score < 0 || r.Score > 100 || (r.Raised && r.Score < 50) {
				t.Fatalf("score %d, raised %v", r.Score, r.Raised)
			}
			sum := 0.0
			for _, x := range r.ScoreTerms {
				sum += x.Bits
			}
			if d := sum - r.Bits; d > .1 || d < -.1 {
				t.Fatalf("terms add up to %.2f, not %.2f", sum, r.Bits)
			}
		}
	})
}

// More evidence of the same attack never lowers its score.
func TestScoreGrowsWithEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.start(0, ws1, "evil", `c:\users\a\evil.exe`, "x", `c:\windows\explorer.exe`, `corp\a`)
		n := rapid.IntRange(2, 12).Draw(t, "n")
		last := 0.0
		for i := 0; i < n; i++ {
			w.alert(float64(i)*20, fmt.Sprintf("r%d", i), rapid.SampledFrom([]model.Severity{model.Low, model.Medium, model.High}).Draw(t, "level"),
				rapid.SampledFrom([]string{"discovery", "execution", "impact"}).Draw(t, "tactic"), ws1, ent(model.Host, model.Subject, ws1), proc(model.Subject, "evil", ""))
			e := New(Options{})
			e.Run(w.alerts, w.mem)
			best := 0.0
			for _, c := range e.cands {
				if c.into == nil {
					best = max(best, c.score)
				}
			}
			if best < last-1e-9 {
				t.Fatalf("%.3f after %.3f", best, last)
			}
			last = best
		}
	})
}

func TestAddTellsWhatChanged(t *testing.T) {
	w := newWorld()
	w.attack(ws1, 0)
	e := New(Options{Memory: w.mem})
	e.begin = w.t0.Add(-72 * time.Hour) // a tenant known for days
	var kinds []ChangeKind
	for _, a := range w.alerts {
		for _, c := range e.Add(a) {
			kinds = append(kinds, c.Kind)
		}
	}
	if len(kinds) < 2 || kinds[0] != Raised || kinds[len(kinds)-1] != Grown {
		t.Fatalf("changes %v", kinds)
	}
	cold := New(Options{Memory: w.mem})
	for _, a := range w.alerts[:4] {
		if len(cold.Add(a)) > 0 {
			t.Fatal("raised in the first minutes of an unknown place on little evidence")
		}
	}
}

func TestBoundedWhenLive(t *testing.T) {
	e := New(Options{MaxMetas: 500})
	w := newWorld()
	for i := 0; i < 5000; i++ {
		host := fmt.Sprintf("h%d", i)
		e.Add(w.alert(float64(i)*60, "r", model.Low, "discovery", host, ent(model.Host, model.Subject, host)))
		w.alerts = nil
	}
	if len(e.metas) > 501 || len(e.cands) > 1100 || len(e.index) > 1100 || len(e.seen) > 501 {
		t.Fatalf("%d metas, %d candidates, %d entities, %d ids", len(e.metas), len(e.cands), len(e.index), len(e.seen))
	}
}

func TestExplain(t *testing.T) {
	w := newWorld()
	attack := w.attack(ws1, 0)
	e := New(Options{})
	rs := e.Run(w.alerts, w.mem)
	if len(rs) == 0 || !strings.Contains(e.Explain(rs[0].ID), "lsass-read") {
		t.Error("an incident is not explained")
	}
	if !strings.Contains(e.Explain(attack[0].ID), rs[0].ID) {
		t.Error("an alert is not explained")
	}
	if e.Explain("nothing") != "" {
		t.Error("an unknown id is explained")
	}
	for _, l := range rs[0].Links {
		if l.Reason == model.SameProcessTree && strings.Contains(l.Detail, "evil.exe") {
			return
		}
	}
	t.Errorf("no link names the program: %+v", rs[0].Links)
}

// BenchmarkRun fuses alerts of which hardly one repeats another, and says what one
// costs beside the least that any grouping by entities does with it: to find the last
// alert of each entity that it names.
func BenchmarkRun(b *testing.B) {
	w := bustle(200_000, 2000, 3000)
	mem := graph.New(graph.Options{})
	begin := time.Now()
	last := map[model.EntityKey]*model.Alert{}
	for _, a := range w.alerts {
		for _, x := range a.Entities {
			last[x.Key()] = a
		}
	}
	least := time.Since(begin)
	b.ResetTimer()
	for b.Loop() {
		New(Options{}).Run(w.alerts, mem)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(w.alerts)), "ns/alert")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/least.Seconds(), "x-least")
}
