package simulate

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFleetCampaignsAreAsHardAsPromised checks what makes a fleet a test: two attacks in
// the same hour, two with one administrator's account at the same time, two that take days,
// and one that reaches many servers within the hour.
func TestFleetCampaignsAreAsHardAsPromised(t *testing.T) {
	for _, seed := range []uint64{5, 6, 7} {
		f := newFleet(Options{Form: Alerts, Seed: seed})
		begin := func(n int) time.Time { return f.campaigns[n].Steps[0].Time }
		end := func(n int) time.Time { return f.campaigns[n].Steps[len(f.campaigns[n].Steps)-1].Time }
		if d := begin(0).Sub(begin(1)).Abs(); d > time.Hour {
			t.Errorf("seed %d: the first two begin %v apart", seed, d)
		}
		admin := func(n int) string {
			i := slices.IndexFunc(f.campaigns[n].Users, func(u string) bool { return strings.Contains(u, `\adm-`) })
			if i < 0 {
				return ""
			}
			return f.campaigns[n].Users[i]
		}
		if a := admin(2); a == "" || a != admin(3) || a == admin(0) || end(2).Before(begin(3)) {
			t.Errorf("seed %d: %q and %q from %v to %v and from %v", seed, a, admin(3), begin(2), end(2), begin(3))
		}
		for n, least := range map[int]time.Duration{4: 12 * time.Hour, 5: 20 * time.Hour} {
			longest := time.Duration(0)
			steps := f.campaigns[n].Steps
			for i := 1; i < len(steps); i++ {
				longest = max(longest, steps[i].Time.Sub(steps[i-1].Time))
			}
			if end(n).Sub(begin(n)) < 30*time.Hour || longest < least {
				t.Errorf("seed %d: %s takes %v, its longest pause is %v", seed, f.campaigns[n].ID, end(n).Sub(begin(n)), longest)
			}
		}
		// What is planned for a campaign of ransomware reaches its servers within the hour.
		at := map[string]time.Time{}
		for _, day := range f.orgs[0].planned {
			for _, x := range day {
				if x.of.campaign == f.campaigns[0] && x.what == "encrypt" {
					at[x.on.name] = x.at
				}
			}
		}
		var first, last time.Time
		for _, x := range at {
			if first.IsZero() || x.Before(first) {
				first = x
			}
			if x.After(last) {
				last = x
			}
		}
		if len(at) < 15 || last.Sub(first) > time.Hour || len(f.campaigns[0].Hosts) < len(at) {
			t.Errorf("seed %d: %d servers encrypted within %v", seed, len(at), last.Sub(first))
		}
	}
}

// TestFleetClockAndReplay checks that the stamps of one source are off by what the truth
// says, and that an hour of another comes a second time in the evening.
func TestFleetClockAndReplay(t *testing.T) {
	f := newFleet(small)
	g := f.orgs[0]
	kinds := map[string]condition{}
	for _, c := range g.conditions {
		kinds[c.Kind] = c
	}
	for _, kind := range []string{"clock", "outage", "appears", "re-sent"} {
		if kinds[kind].Source == "" || kinds[kind].From.IsZero() {
			t.Errorf("no source with %s: %+v", kind, g.conditions)
		}
	}
	wrong := product(-1)
	for p := range products {
		if g.lag[p] != 0 {
			if wrong >= 0 {
				t.Errorf("the clocks of %v and %v are wrong", wrong, p)
			}
			wrong = p
		}
	}
	if wrong < 0 || wrong.String() != kinds["clock"].Source || !strings.Contains(kinds["clock"].What, g.lag[wrong].String()) {
		t.Fatalf("clock of %v, told %+v", wrong, kinds["clock"])
	}
	m := g.unix(0)
	at := f.day(1).Add(10 * time.Hour)
	x := finding{by: wrong, what: map[product]string{wazuh: "sudo", suricata: "port-scan", falco: "outbound"}[wrong], at: at, on: m, login: "deploy", src: "198.51.100.9", dst: "198.51.100.9", image: "/usr/bin/x"}
	out := g.send(f.rng("test", 0), nil, &x)
	if stamp := at.Add(g.lag[wrong]).Format("2006-01-02T15:04:05"); !strings.Contains(string(out[0].text), stamp) || out[0].due.Before(at) {
		t.Errorf("%s is not stamped %s, or arrives at %v", out[0].text, stamp, out[0].due)
	}
	y := finding{by: g.again, what: "sudo", at: g.replay.Add(30 * time.Minute), on: m, login: "deploy"}
	switch g.again {
	case defender:
		y.what, y.on, y.user = "look", g.station(1, 5), g.person(1)
	case guardduty:
		y.what, y.role, y.key, y.src = "cloud-look", "r", "ASIAX", "198.51.100.9"
	}
	twice := g.send(f.rng("test", 1), nil, &y)
	if len(twice) != 2 || string(twice[0].text) != string(twice[1].text) || twice[1].due.Sub(twice[0].due) != 8*time.Hour {
		t.Errorf("%d deliveries of an alert in the hour that is sent again", len(twice))
	}
}

// TestFleetOfTwentyThousand makes a fleet of 20,000 machines: memory holds a day of it, and
// not what was written.
func TestFleetOfTwentyThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a fleet of 20,000 machines takes seconds to make")
	}
	dir := t.TempDir()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sum, err := Write(dir, Options{Form: Alerts, Seed: 5, Hosts: 20_000, Days: 4, Campaigns: 12})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if sum.Campaigns != 12 || sum.Records < 50_000 {
		t.Errorf("%+v", sum)
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 64<<20 { //nolint:gosec // bytes of a heap
		t.Errorf("%d bytes are kept", kept)
	}
}
