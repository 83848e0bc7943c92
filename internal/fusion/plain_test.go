package fusion

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// sensors lays days of alerts that name a host and nothing else over the hosts of
// an estate: each has its habits, and finds much new at first.
func (w *world) sensors(domain string, hosts, days int) {
	for h := range hosts {
		host := fmt.Sprintf("h%d.%s", h, domain)
		for i := range days * 96 {
			s := float64(i*900 + h*31)
			w.alert(s, fmt.Sprintf("habit-%d", (i+h)%6), model.Low, "", host, ent(model.Host, model.Subject, host))
			if i < 12 {
				w.alert(s+2, fmt.Sprintf("first-%d", i), model.Medium, "", host, ent(model.Host, model.Subject, host))
			}
		}
	}
}

// scan is what such sensors say of an attack on two hosts: kinds that are new
// there, and among them what they call mild.
func (w *world) scan(domain string, s float64) []*model.Alert {
	web, mail := "h0."+domain, "h1."+domain
	at := func(d float64, rule string, lvl model.Severity, tactic, host string) *model.Alert {
		return w.alert(s+d, rule, lvl, tactic, host, ent(model.Host, model.Subject, host))
	}
	return []*model.Alert{
		at(0, "stream-broken", model.Low, "", web),
		at(1, "scanner", model.Medium, "reconnaissance", web),
		at(2, "greeting-odd", model.Medium, "reconnaissance", mail),
		at(5, "forbidden", model.Medium, "reconnaissance", web),
		at(9, "injection", model.High, "initial-access", web),
		at(30, "shell-uploaded", model.High, "persistence", web),
		at(2400, "user-changed", model.Medium, "privilege-escalation", web),
		at(2401, "session-odd", model.Low, "", web),
	}
}

func TestPlainAlertsOfTwoEstates(t *testing.T) {
	w := newWorld()
	attacks := map[string][]*model.Alert{}
	for i, d := range []string{"a.example", "b.example"} {
		w.sensors(d, 6, 4)
		attacks[d] = w.scan(d, 3*86400+40000+float64(i)*3)
	}
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 2 {
		dump(t, e, rs)
		t.Fatalf("%d incidents of two attacks at one time on two estates", len(rs))
	}
	for d, attack := range attacks {
		best := 0
		for _, r := range rs {
			n, all := 0, ids(r, Core, Context)
			for _, a := range attack {
				if all[a.ID] {
					n++
				}
			}
			if n == len(attack) && len(all) > n+4 {
				t.Errorf("%s: %d members of an attack of %d", d, len(all), n)
			}
			best = max(best, n)
		}
		if best != len(attack) {
			dump(t, e, rs)
			t.Errorf("%s: an incident holds %d of %d", d, best, len(attack))
		}
	}
	for _, r := range rs {
		for _, l := range r.Links {
			if l.Reason == model.CoOccurrence && l.Entity.Type == site {
				t.Errorf("a link names a site: %+v", l)
			}
		}
	}
}

// Fed as they come, without the rest of the evidence, they are told apart as well.
func TestPlainAlertsAsTheyCome(t *testing.T) {
	w := newWorld()
	attacks := map[string][]*model.Alert{}
	for i, d := range []string{"a.example", "b.example"} {
		w.sensors(d, 6, 4)
		attacks[d] = w.scan(d, 3*86400+40000+float64(i)*3)
	}
	slices.SortStableFunc(w.alerts, func(a, b *model.Alert) int { return a.Time.Compare(b.Time) })
	e := live(w, w.alerts)
	rs := raisedOf(e.Incidents())
	if len(rs) != 2 {
		dump(t, e, e.Incidents())
		t.Fatalf("%d incidents", len(rs))
	}
	for _, r := range rs {
		all := ids(r, Core, Context)
		for d, attack := range attacks {
			if n := len(slices.DeleteFunc(slices.Clone(attack), func(a *model.Alert) bool { return !all[a.ID] })); n != 0 && n != len(attack) {
				t.Errorf("%s: an incident holds %d of %d", d, n, len(attack))
			}
		}
	}
}

// Days of habits, and of one failing program, are no attack.
func TestPlainNoiseRaisesNothing(t *testing.T) {
	w := newWorld()
	w.sensors("a.example", 6, 4)
	host := "h3.a.example"
	for i := range 60 {
		s := 2*86400 + float64(i)*20
		w.alert(s, "login-failed", model.Medium, "credential-access", host, ent(model.Host, model.Subject, host))
		if i%10 == 9 {
			w.alert(s+1, "many-failed", model.High, "credential-access", host, ent(model.Host, model.Subject, host))
			w.alert(s+2, "brute-force", model.High, "credential-access", host, ent(model.Host, model.Subject, host))
		}
	}
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
		dump(t, e, rs)
		t.Fatalf("%d incidents", len(rs))
	}
}

func TestFading(t *testing.T) {
	f := &fading{}
	t0 := time.Date(2024, 3, 4, 0, 0, 0, 0, time.UTC)
	if got := (*fading)(nil).at(t0, 0, time.Hour); got != 0 {
		t.Errorf("nothing counted: %v", got)
	}
	f.add(t0, time.Hour)
	f.add(t0.Add(time.Hour), time.Hour)
	for _, c := range []struct {
		after, lag time.Duration
		want       float64
	}{{0, 0, 1}, {time.Hour, 0, 1.5}, {2 * time.Hour, 0, .75}, {time.Hour, time.Minute, .5}, {time.Hour, 2 * time.Hour, 0}, {-time.Hour, 0, 0}} {
		if got := f.at(t0.Add(c.after), c.lag, time.Hour); got != c.want {
			t.Errorf("after %v with lag %v: %v, want %v", c.after, c.lag, got, c.want)
		}
	}
	if got := faded(1000, 24*time.Hour); got < 34 || got > 35 {
		t.Errorf("long watched: %v hours", got)
	}
}

func TestSite(t *testing.T) {
	for host, want := range map[string]string{"web": "", "web.corp.example": "corp.example", "10.1.2.3": "", "fe80::1": ""} {
		if got := siteOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
