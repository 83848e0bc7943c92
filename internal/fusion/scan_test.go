package fusion

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// One address that raises one alert on server after server is a scanner: the tenth
// server says no more than the fourth. People who act there are not alike.
func TestScanSaysLessAndLess(t *testing.T) {
	worth := func(principal model.EntityKey, n int) float64 {
		e := New(Options{})
		c := &candidate{}
		c.open()
		last := 0.0
		for i := range n {
			host := string(rune('a'+i)) + ".corp.example"
			a := &model.Alert{ID: host, Rule: model.RuleInfo{ID: "exploit-tried"}, Tactics: []string{"initial-access"}}
			m := newMeta(a, portrait{subject: model.EntityKey{Type: model.Host, Value: host}, principal: principal})
			e.identify(m)
			m.kin = e.kinOf(m)
			m.gain = c.worth(m, 8)
			c.count(m)
			last = m.gain
		}
		return last
	}
	scanner, admin := model.EntityKey{Type: model.IP, Value: "10.9.9.9"}, model.EntityKey{Type: model.User, Value: `corp\admin`}
	if first := worth(scanner, 1); first != 8 {
		t.Errorf("the first is worth %.2f bits, want 8", first)
	}
	if tenth := worth(scanner, 10); tenth > .01 {
		t.Errorf("the tenth server of a scan is worth %.2f bits", tenth)
	}
	if tenth := worth(admin, 10); tenth < 1 {
		t.Errorf("the tenth server of an account is worth %.2f bits", tenth)
	}
}
