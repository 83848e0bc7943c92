package fusion

import (
	"fmt"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestAddressChangesHands(t *testing.T) {
	ip, user := &pivot{key: model.EntityKey{Type: model.IP}}, &pivot{key: model.EntityKey{Type: model.User}}
	const chance = .01
	if k := kept(ip, 0, chance); k != 1 {
		t.Errorf("at once an address is kept with %v, want 1", k)
	}
	day, week := kept(ip, lease, chance), kept(ip, 7*lease, chance)
	if day < .5 || day > .51 || week < chance || week > .02 {
		t.Errorf("kept after a day %v and a week %v; want half, then hardly more than chance", day, week)
	}
	if k := kept(user, 7*lease, chance); k != 1 {
		t.Errorf("an account is kept with %v, want 1", k)
	}
}

// twoClouds are two attacks of different accounts in different services, days apart,
// that a proxy lends one address; others are further attacks on hosts in that week.
func twoClouds(others int) (w *world, first, second *model.Alert) {
	w = newWorld()
	ip := ent(model.IP, model.Src, "203.0.113.9")
	attack := func(s float64, product, user string) *model.Alert {
		var last *model.Alert
		for i, x := range []struct {
			rule   string
			lvl    model.Severity
			tactic string
		}{{"role-abused", model.High, "credential-access"}, {"stores-read", model.Critical, "collection"}, {"sent-out", model.High, "exfiltration"}} {
			last = w.alert(s+float64(i)*120, product+"-"+x.rule, x.lvl, x.tactic, "", ent(model.AccessKey, model.Actor, user+"-key"), ent(model.User, model.Actor, user), ip)
			last.Product = product
		}
		return last
	}
	const day = 24 * 3600
	first = attack(0, "cloud", "ada")
	second = attack(2.5*day, "mail", "bob")
	for i := range others {
		w.attack(fmt.Sprintf("ws%d.corp.example", i), float64(i+1)*day/4)
	}
	return w, first, second
}

// What is rare as background is no sign of one attack where there are several: a
// critical alert there is as well the next one's.
func TestOtherAttacksKeepAttacksApart(t *testing.T) {
	w, first, second := twoClouds(12)
	e := New(Options{})
	rs := e.Run(w.alerts, w.mem)
	a, b := holding1(t, rs, first), holding1(t, rs, second)
	if !a.Raised || !b.Raised || a == b {
		dump(t, e, rs)
		t.Errorf("raised %v and %v, one and the same %v; want two incidents", a.Raised, b.Raised, a == b)
	}
	if e.others <= 0 {
		t.Errorf("other attacks begin %v an hour, want more than none", e.others)
	}
}

// Alone in the evidence no attack is held against others.
func TestNoOtherAttacks(t *testing.T) {
	w := newWorld()
	w.background(ws1, 60)
	w.attack(ws1, 100)
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 1 || e.others != 0 {
		t.Errorf("%d incidents, other attacks %v; want 1 and none", len(rs), e.others)
	}
}
