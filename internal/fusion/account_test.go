package fusion

import (
	"fmt"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// product adds a product's finding about an account, without a machine.
func (w *world) product(s float64, product, rule string, lvl model.Severity, tactic string, es ...model.Entity) *model.Alert {
	a := w.alert(s, rule, lvl, tactic, "", es...)
	a.Product, a.Rule.Source = product, product
	a.Techniques = []string{"T-" + rule}
	return a
}

// estate adds findings about other accounts, of two kinds and now and then.
func (w *world) estate(accounts int) {
	for i := range accounts {
		u := ent(model.User, model.Actor, fmt.Sprintf("user%03d@corp.example", i))
		w.product(float64(i)*900, "idp", []string{"odd-sign-in", "leaked-password"}[i%2], model.Medium, []string{"initial-access", "credential-access"}[i%2],
			u, ent(model.IP, model.Src, fmt.Sprintf("198.51.100.%d", i%200)))
	}
}

// What a mailbox is robbed by: hours apart, no machine in it, nothing above medium.
func TestChainOfAnAccountIsAnIncident(t *testing.T) {
	for _, accounts := range []int{0, 60} {
		w := newWorld()
		w.estate(accounts)
		who := []model.Entity{ent(model.User, model.Actor, "alice@corp.example"), ent(model.IP, model.Src, "203.0.113.9")}
		var chain []*model.Alert
		for i, x := range [][2]string{{"odd-sign-in", "initial-access"}, {"mfa-fatigue", "credential-access"}, {"inbox-rule", "stealth"},
			{"mail-read", "collection"}, {"inner-phish", "lateral-movement"}} {
			chain = append(chain, w.product(7000+float64(i)*4500, []string{"idp", "mail"}[i/2%2], x[0], model.Medium, x[1], who...))
		}
		e := New(Options{})
		rs := raisedOf(e.Run(w.alerts, w.mem))
		if len(rs) != 1 {
			dump(t, e, rs)
			t.Fatalf("%d other accounts: %d incidents, want 1", accounts, len(rs))
		}
		in := ids(rs[0], Core, Context)
		for _, a := range chain {
			if !in[a.ID] {
				t.Errorf("%d other accounts: %s is not in the incident", accounts, a.Rule.ID)
			}
		}
		if len(in) != len(chain) {
			t.Errorf("%d other accounts: %d members, want %d", accounts, len(in), len(chain))
		}
	}
}

// A key that was lent to a machine and is used elsewhere: a day apart, and grave.
func TestSlowTheftOfAKeyIsAnIncident(t *testing.T) {
	w := newWorld()
	w.estate(60)
	who := []model.Entity{ent(model.AccessKey, model.Actor, "ASIAEXAMPLE"), ent(model.IAMRole, model.Actor, "arn:aws:iam::111122223333:role/web"), ent(model.IP, model.Src, "203.0.113.9")}
	for i, x := range [][2]string{{"key-used-elsewhere", "credential-access"}, {"odd-lists", "discovery"}, {"new-user", "persistence"}, {"bucket-copied", "exfiltration"}} {
		w.product(7000+float64(i)*30000, "cloud", x[0], model.High, x[1], who...)
	}
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 1 || len(rs[0].Members) != 4 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want 1 of 4 members", len(rs))
	}
}

// A journey: several findings of one kind about one account, and a phone that is new.
func TestJourneyIsNoIncident(t *testing.T) {
	w := newWorld()
	w.estate(60)
	u := ent(model.User, model.Actor, "bob@corp.example")
	for i, r := range []string{"odd-sign-in", "impossible-travel", "unfamiliar-address", "anonymous-address", "odd-sign-in", "impossible-travel"} {
		w.product(7000+float64(i)*3000, "idp", r, model.Medium, "initial-access", u, ent(model.IP, model.Src, fmt.Sprintf("192.0.2.%d", i/3)))
	}
	w.product(9000, "idp", "new-phone", model.Medium, "persistence", u)
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want none", len(rs))
	}
}

// Many accounts with one odd finding each are many accounts, and no campaign.
func TestAccountsAreNotOnePlace(t *testing.T) {
	w := newWorld()
	w.estate(200)
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want none", len(rs))
	}
	if n := e.rates.accounts.number; n != 200 {
		t.Errorf("%d places, want one an account", n)
	}
}
