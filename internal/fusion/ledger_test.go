package fusion

import (
	"fmt"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
)

const (
	daySeconds = 24 * 3600.0
	prober     = "203.0.113.77"
	crowd      = "203.0.113.200" // a scanner that everyone meets
)

// months is noise of 100 days from day 1 on, with a probe of prober on the first, and
// a crowd that is seen everywhere.
func months(w *world) (probe *model.Alert) {
	src := func(ip string) model.Entity { return ent(model.IP, model.Src, ip) }
	host := func(h string) model.Entity { return ent(model.Host, model.Subject, h) }
	w.alert(100, "scan", model.Low, "reconnaissance", "web1", host("web1"), src(prober))
	probe = w.alert(400, "guessing", model.Medium, "credential-access", "web1", host("web1"), src(prober))
	for d := range 100 {
		s := float64(d) * daySeconds
		for i := range 3 {
			w.alert(s+float64(1000*i)+500, "scan", model.Low, "reconnaissance", "web1", host("web1"), src(fmt.Sprintf("198.51.100.%d", (3*d+i)%250)))
		}
		h := fmt.Sprintf("web%d", 1+d%30)
		w.alert(s+5000, "guessing", model.Medium, "credential-access", h, host(h), src(crowd))
	}
	return probe
}

// theft is an attack on day 120 whose tools speak with those addresses.
func theft(w *world, ips ...string) []*model.Alert {
	as := w.attack(ws1, 119*daySeconds)
	for _, a := range as[3:] {
		for _, ip := range ips {
			a.Entities = append(a.Entities, ent(model.IP, model.Dst, ip))
		}
	}
	return as
}

func holding1(t *testing.T, rs []*Result, a *model.Alert) *Result {
	t.Helper()
	for _, r := range rs {
		for _, m := range r.Members {
			if m.Alert == a {
				return r
			}
		}
	}
	t.Fatalf("no result holds %s", a.ID)
	return nil
}

func TestProbeOfDay1JoinsTheftOfDay120(t *testing.T) {
	for _, runs := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d runs", runs), func(t *testing.T) {
			w, book := newWorld(), ledger.New(ledger.Options{})
			probe := months(w)
			if runs == 2 {
				New(Options{Ledger: book}).Run(w.alerts, w.mem)
				w = newWorld()
				w.n = 10_000
			}
			stolen := theft(w, prober, crowd, "198.51.100.9")
			r := holding1(t, New(Options{Ledger: book}).Run(w.alerts, w.mem), stolen[4])
			if !r.Raised {
				t.Fatal("the theft is no incident")
			}
			if len(r.Earlier) != 1 {
				t.Fatalf("remembered %+v, want the probe alone: neither noise nor a crowd", r.Earlier)
			}
			x := r.Earlier[0]
			if x.Link.To != probe.ID || x.Link.Reason != model.SameIP || x.Link.Bits < earlierLeast || x.Link.Bits > earlierMost || len(x.Link.Terms) != 5 {
				t.Errorf("link %+v, want one to %s", x.Link, probe.ID)
			}
			if (x.In != nil) != (runs == 1) {
				t.Errorf("the remembered alert is of this evidence: %v", x.In != nil)
			}
			for _, want := range []string{"118 days earlier", "2024-03-04", "guessing", probe.ID, "medium", "credential access"} {
				if !strings.Contains(x.Link.Detail, want) {
					t.Errorf("%q does not say %q", x.Link.Detail, want)
				}
			}
			found := false
			for _, l := range r.Links {
				found = found || l.To == probe.ID
			}
			if !found {
				t.Error("the link is not among those of the incident")
			}
		})
	}
}

func TestMemoryRaisesOnlyWhatNearlyStands(t *testing.T) {
	book := ledger.New(ledger.Options{})
	w := newWorld()
	months(w)
	New(Options{Ledger: book}).Run(w.alerts, w.mem)
	run := func(o Options) *Result {
		w := newWorld()
		w.n = 10_000
		stolen := theft(w, prober)
		return holding1(t, New(o).Run(w.alerts, w.mem), stolen[4])
	}
	own := run(Options{}).Bits
	for _, c := range []struct {
		missing float64
		book    Ledger
		raised  bool
	}{{.5, nil, false}, {.5, book, true}, {earlierMost + .5, book, false}} {
		r := run(Options{Threshold: own + c.missing, Ledger: c.book})
		if r.Raised != c.raised {
			t.Errorf("%.1f bits missing, memory %v: raised %v with %.1f of %.1f bits", c.missing, c.book != nil, r.Raised, r.Bits, own+c.missing)
		}
	}
}

// What an attack did in the same week is for links to judge, not for memory.
func TestMemoryIsOfLongAgo(t *testing.T) {
	w := newWorld()
	months(w)
	w.t0 = w.t0.AddDate(0, 0, -119+6) // the attack six days after the probe
	stolen := theft(w, prober)
	r := holding1(t, New(Options{Ledger: ledger.New(ledger.Options{})}).Run(w.alerts, w.mem), stolen[4])
	if len(r.Earlier) > 0 {
		t.Errorf("remembered %+v", r.Earlier)
	}
}
