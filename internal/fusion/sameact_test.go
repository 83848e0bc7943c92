package fusion

import (
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// finding is an alert of another product.
func (w *world) finding(s float64, product, title string, lvl model.Severity, technique, host string, es ...model.Entity) *model.Alert {
	a := w.alert(s, title, lvl, "credential-access", host, es...)
	a.Product, a.Rule.Source = product, product
	a.Techniques = []string{technique}
	a.Evidence = []model.Evidence{{ID: "e-" + a.ID}}
	return a
}

// ours is an alert of a rule of ours, on an event of its own.
func (w *world) ours(s float64, rule string, lvl model.Severity, technique, host string, es ...model.Entity) *model.Alert {
	a := w.alert(s, rule, lvl, "credential-access", host, es...)
	a.Product, a.Rule.Source = "windows/sysmon", "builtin"
	a.Techniques = []string{technique}
	a.Evidence = []model.Evidence{{ID: "e-" + a.ID}}
	return a
}

// What two tellers must agree on, pair by pair: the second alert of each comes a
// minute after the first.
func TestSameAct(t *testing.T) {
	h := ent(model.Host, model.Subject, ws1)
	p := proc(model.Subject, "dump", "")
	src, dst := ent(model.IP, model.Src, "203.0.113.7"), ent(model.IP, model.Dst, "10.1.1.5")
	key := ent(model.AccessKey, model.Actor, "ASIAEXAMPLE")
	user := ent(model.User, model.Actor, `corp\alice`)
	file := ent(model.File, model.Object, ws1+`:c:\users\alice\dump.exe`)
	hash := ent(model.Hash, model.Indicator, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	box := ent(model.Mailbox, model.Target, "boss@corp.example")
	type side struct {
		by, technique, title, host string
		es                         []model.Entity
	}
	es := func(l ...model.Entity) []model.Entity { return l }
	for _, c := range []struct {
		name string
		a, b side
		gap  float64
		want bool
	}{
		{"one process, one technique", side{"EDR", "T1003.001", "x", ws1, es(h, p)}, side{"", "T1003.001", "y", ws1, es(h, p)}, 60, true},
		{"a technique named less exactly", side{"EDR", "T1003", "x", ws1, es(h, p)}, side{"", "T1003.001", "y", ws1, es(h, p)}, 60, true},
		{"another technique", side{"EDR", "T1055", "x", ws1, es(h, p)}, side{"", "T1003.001", "y", ws1, es(h, p)}, 60, false},
		{"a technique whose number begins alike", side{"EDR", "T1003.001", "x", ws1, es(h, p)}, side{"", "T1003.0011", "y", ws1, es(h, p)}, 60, false},
		{"the same words", side{"EDR", "", "Credential dumping from LSASS memory", ws1, es(h, p)}, side{"", "T1003.001", "LSASS memory credential dumping", ws1, es(h, p)}, 60, true},
		{"one word", side{"EDR", "", "Suspicious process", ws1, es(h, p)}, side{"", "T1003.001", "Suspicious registry value", ws1, es(h, p)}, 60, false},
		{"too late", side{"EDR", "T1003.001", "x", ws1, es(h, p)}, side{"", "T1003.001", "y", ws1, es(h, p)}, 900, false},
		{"another process", side{"EDR", "T1003.001", "x", ws1, es(h, file, p)}, side{"", "T1003.001", "y", ws1, es(h, file, proc(model.Subject, "dump2", ""))}, 60, false},
		{"one file of a machine", side{"EDR", "T1003.001", "x", ws1, es(h, file)}, side{"", "T1003.001", "y", ws1, es(h, p, file)}, 60, true},
		{"one hash on two machines", side{"EDR", "T1003.001", "x", ws1, es(h, hash)}, side{"", "T1003.001", "y", "ws2", es(ent(model.Host, model.Subject, "ws2"), hash)}, 60, false},
		{"only the machine", side{"EDR", "T1003.001", "x", ws1, es(h)}, side{"", "T1003.001", "y", ws1, es(h)}, 60, false},
		{"only the account at its machine", side{"EDR", "T1003.001", "x", ws1, es(h, user)}, side{"", "T1003.001", "y", ws1, es(h, user)}, 60, false},
		{"a pair of addresses", side{"IDS", "T1110", "x", "", es(src, dst)}, side{"Firewall", "T1110", "y", "", es(src, dst)}, 60, true},
		{"one address of two", side{"IDS", "T1110", "x", "", es(src, dst)}, side{"Firewall", "T1110", "y", "", es(src, ent(model.IP, model.Dst, "10.9.9.9"))}, 60, false},
		{"an address at a machine", side{"HIDS", "T1110", "x", ws1, es(h, src)}, side{"", "T1110.001", "y", ws1, es(h, src, user)}, 60, true},
		{"one key", side{"Cloud", "T1087", "x", "", es(key, src)}, side{"", "T1087.004", "y", "", es(key, src)}, 60, true},
		{"one key from elsewhere", side{"Cloud", "T1087", "x", "", es(key, src)}, side{"", "T1087.004", "y", "", es(key, ent(model.IP, model.Src, "198.51.100.9"))}, 60, false},
		{"a user and what he reached", side{"CASB", "T1114", "x", "", es(user, box)}, side{"", "T1114.002", "y", "", es(user, box)}, 60, true},
		{"two rules of ours", side{"", "T1003.001", "x", ws1, es(h, p)}, side{"", "T1003.001", "y", ws1, es(h, p)}, 60, false},
		{"two of one product", side{"EDR", "T1003.001", "x", ws1, es(h, p)}, side{"EDR", "T1003.001", "y", ws1, es(h, p)}, 60, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.start(-5, ws1, "dump", `c:\users\alice\dump.exe`, "cmd", `c:\windows\system32\cmd.exe`, `corp\alice`)
			w.start(-5, ws1, "dump2", `c:\users\alice\dump.exe`, "cmd", `c:\windows\system32\cmd.exe`, `corp\alice`)
			say := func(at float64, s side) {
				if s.by == "" {
					w.ours(at, s.title, model.High, s.technique, s.host, s.es...)
					return
				}
				w.finding(at, s.by, s.title, model.High, s.technique, s.host, s.es...)
			}
			say(0, c.a)
			say(c.gap, c.b)
			e := New(Options{})
			e.Run(w.alerts, w.mem)
			if len(e.metas) != 2 {
				t.Fatalf("%d bursts of 2 alerts", len(e.metas))
			}
			if got := e.metas[1].same == e.metas[0]; got != c.want {
				t.Fatalf("the same act: %v, want %v", got, c.want)
			}
			if c.want && e.metas[0].cand.top() != e.metas[1].cand.top() {
				t.Fatal("told in two campaigns")
			}
		})
	}
}

// Three products and a rule of ours tell of one theft: all are members, each with a
// link that names the first, and the score is that of one.
func TestSameActCountsOnce(t *testing.T) {
	h, p := ent(model.Host, model.Subject, ws1), proc(model.Subject, ws1+"-evil", "")
	score := func(products ...string) (*Engine, *Result) {
		w := newWorld()
		w.background(ws1, 30)
		w.attack(ws1, 400)
		w.ours(530, "lsass-dumped", model.High, "T1003.001", ws1, h, p)
		for i, name := range products {
			w.finding(540+float64(i), name, name+" says so", model.High, "T1003.001", ws1, h, p)
		}
		e := New(Options{})
		rs := raisedOf(e.Run(w.alerts, w.mem))
		if len(rs) != 1 {
			dump(t, e, rs)
			t.Fatalf("%d incidents, want 1", len(rs))
		}
		return e, rs[0]
	}
	_, alone := score()
	e, all := score("EDR", "HIDS", "XDR")
	if d := all.Bits - alone.Bits; d > .5 || d < -.5 {
		dump(t, e, []*Result{all})
		t.Errorf("three findings of the same act changed the score by %.2f bits", d)
	}
	if got := len(all.Members) - len(alone.Members); got != 3 {
		t.Errorf("%d further members, want 3", got)
	}
	told, linked := 0, 0
	for _, m := range all.Members {
		if m.Same != "" {
			told++
			if m.Tier != Core {
				t.Errorf("%s of %s is %s", m.Alert.ID, m.Alert.Product, m.Tier)
			}
		}
	}
	for _, l := range all.Links {
		if strings.Contains(l.Detail, "the same act as") {
			linked++
		}
	}
	if told != 3 || linked != 3 {
		t.Errorf("%d members and %d links say that the act was told before, want 3 of each", told, linked)
	}
}

// A product that finds one act is no teller of three: each of our alerts is one act
// of its own unless they match one record.
func TestOneFindingIsOneAct(t *testing.T) {
	w := newWorld()
	key := ent(model.AccessKey, model.Actor, "ASIAEXAMPLE")
	w.finding(0, "Cloud", "Discovery", model.Medium, "T1087", "", key)
	w.ours(5, "list-users", model.Low, "T1087.004", "", key)
	w.ours(10, "list-roles", model.Low, "T1087.004", "", key)
	b := w.ours(15, "list-users-2", model.Low, "T1087.004", "", key)
	b.Evidence = w.alerts[1].Evidence
	e := New(Options{})
	e.Run(w.alerts, w.mem)
	var got []bool
	for _, m := range e.metas {
		got = append(got, m.same != nil)
	}
	if len(got) != 4 || got[0] || !got[1] || got[2] || !got[3] {
		t.Errorf("told before: %v, want the second and the fourth", got)
	}
}

// Alert by alert comes to the same pairs as all at once.
func TestSameActLive(t *testing.T) {
	w := newWorld()
	h, p := ent(model.Host, model.Subject, ws1), proc(model.Subject, "dump", "")
	w.start(-5, ws1, "dump", `c:\users\alice\dump.exe`, "cmd", `c:\windows\system32\cmd.exe`, `corp\alice`)
	w.finding(0, "EDR", "x", model.High, "T1003", ws1, h, p)
	w.ours(1, "y", model.High, "T1003.001", ws1, h, p)
	e := New(Options{Memory: w.mem})
	for _, a := range w.alerts {
		e.Add(a)
	}
	if len(e.metas) != 2 || e.metas[1].same != e.metas[0] {
		t.Error("the second telling was not recognised")
	}
}

// However many alerts share one thing, each is compared with few.
func TestSameActIsBounded(t *testing.T) {
	w := newWorld()
	key := ent(model.AccessKey, model.Actor, "ASIAEXAMPLE")
	for i := range 20_000 {
		a := w.ours(float64(i)/100, strings.Repeat("r", 1+i%40)+string(rune('a'+i%26)), model.Low, "T1087.004", "", key)
		if i%2 == 0 {
			a.Product, a.Rule.Source = "P", "P"
		}
	}
	e := New(Options{})
	begin := time.Now()
	e.Run(w.alerts, w.mem)
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("%d alerts of one key took %s", len(w.alerts), d)
	}
	for k, l := range e.tellers.recent {
		if len(l) > sameActBack {
			t.Errorf("%d alerts kept for %s", len(l), k.key)
		}
	}
}
