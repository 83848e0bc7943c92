package fusion

import (
	"fmt"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// ours marks an alert as one of our own rules.
func ours(a *model.Alert) *model.Alert {
	a.Rule.Source = builtinSource
	return a
}

// oneAct is a process that does one grave thing.
func (w *world) oneAct(s float64, host, rule string) *model.Alert {
	w.start(s, host, host+"-dump", `c:\users\a\dump.exe`, host+"-explorer", `c:\windows\explorer.exe`, `corp\a`)
	return w.alert(s+1, rule, model.High, "credential-access", host, ent(model.Host, model.Subject, host), proc(model.Subject, host+"-dump", ""))
}

func TestOneGraveActIsAnIncident(t *testing.T) {
	w := newWorld()
	w.background(ws1, 60)
	act := ours(w.oneAct(100, ws1, "lsass-dumped"))
	e := New(Options{})
	rs := raisedOf(e.Run(w.alerts, w.mem))
	if len(rs) != 1 || !ids(rs[0], Core)[act.ID] {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want one of the act", len(rs))
	}
	if r := rs[0]; r.Severity != model.Medium || len(r.ScoreTerms) < 2 || r.ScoreTerms[len(r.ScoreTerms)-1].Bits <= 0 {
		t.Errorf("severity %s, terms %+v; want medium, and a term that says why", r.Severity, r.ScoreTerms)
	}
}

// What is not measured on quiet evidence, has no hand, has no technique, or fires for
// many in the estate, is none.
func TestOneGraveAlertThatIsNoIncident(t *testing.T) {
	for name, build := range map[string]func(*world){
		"a rule of others": func(w *world) { w.oneAct(0, ws1, "theirs") },
		"nobody known": func(w *world) {
			ours(w.alert(0, "log-cleared", model.High, "defense-impairment", ws1, ent(model.Host, model.Subject, ws1)))
		},
		"no technique": func(w *world) {
			a := ours(w.oneAct(0, ws1, "odd"))
			a.Techniques, a.Tactics = nil, nil
		},
		"everywhere": func(w *world) {
			for i := 0; i < 8; i++ {
				ours(w.oneAct(float64(i)*7200, fmt.Sprintf("ws%d.corp.example", i), "agent"))
			}
		},
	} {
		w := newWorld()
		build(w)
		e := New(Options{})
		if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
			dump(t, e, rs)
			t.Errorf("%s: %d incidents, want none", name, len(rs))
		}
	}
}

// Two rules of whatever make about what one session did are enough, unless it is one
// event twice.
func TestTwoGraveAlertsOfOneHand(t *testing.T) {
	for _, c := range []struct {
		second string
		want   int
	}{{"e-2", 1}, {"e-1", 0}} {
		w := newWorld()
		s := ent(model.Session, model.Actor, "arn:aws:sts::1:assumed-role/r/s")
		w.alert(0, "trail-stopped", model.High, "defense-impairment", "", s).Evidence = []model.Evidence{{ID: "e-1"}}
		w.alert(60, "logs-deleted", model.High, "defense-impairment", "", s).Evidence = []model.Evidence{{ID: c.second}}
		e := New(Options{})
		if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != c.want {
			dump(t, e, rs)
			t.Errorf("second event %s: %d incidents, want %d", c.second, len(rs), c.want)
		}
	}
}

// An act at the place and time of an attack is looked into with the attack, and is
// no incident beside it.
func TestOneActNearAnAttackIsNoSecondIncident(t *testing.T) {
	w := newWorld()
	w.background(ws1, 60)
	w.attack(ws1, 100)
	w.start(130, ws1, "other", `c:\tools\other.exe`, "svc", `c:\windows\system32\services.exe`, `nt authority\system`)
	ours(w.alert(131, "secrets-copied", model.High, "credential-access", ws1, ent(model.Host, model.Subject, ws1), proc(model.Subject, "other", "")))
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 1 {
		dump(t, e, rs)
		t.Errorf("%d incidents, want 1", len(rs))
	}
}

// An engine that runs on knows nothing at first, and raises an act once it does; what
// the attack goes on to do is then of the same incident.
func TestOneActRaisedLive(t *testing.T) {
	w := newWorld()
	w.mem.Observe(&model.Observation{Event: "e", Time: w.t0, Act: model.ActProcessStart, Host: ws1})
	early := ours(w.oneAct(60, "ws0.corp.example", "early"))
	late := ours(w.oneAct(actCold.Seconds()+3600, ws1, "lsass-dumped"))
	e := New(Options{Memory: w.mem})
	if ch := e.Add(early); len(ch) != 0 {
		t.Errorf("in the first hour: %+v", ch)
	}
	ch := e.Add(late)
	if len(ch) != 1 || ch[0].Kind != Raised {
		t.Fatalf("later: %+v, want raised", ch)
	}
	id := ch[0].Incident
	h, p := ent(model.Host, model.Subject, ws1), proc(model.Subject, ws1+"-dump", "")
	for i, rule := range []string{"shares-searched", "archive-made", "sent-out"} {
		ch := e.Add(w.alert(actCold.Seconds()+3700+float64(i)*60, rule, model.High, "collection", ws1, h, p))
		if len(ch) != 1 || ch[0].Incident != id || ch[0].Kind != Grown {
			t.Fatalf("%s: %+v, want %s grown", rule, ch, id)
		}
	}
	rs := raisedOf(e.Incidents())
	if len(rs) != 1 || rs[0].Bits <= e.opt.Threshold {
		t.Errorf("%d incidents, want one with the bits of an attack: %+v", len(rs), rs)
	}
}
