package detect

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// An alert about what passed a firewall does not happen on the firewall; one about a
// log-on to it does.
func TestAlertIsNotOnItsSensor(t *testing.T) {
	host := func(r model.Role) model.Entity { return model.Entity{Type: model.Host, Value: "fw1", Role: r} }
	for _, c := range []struct {
		name string
		es   []model.Entity
		want string
	}{
		{"passed by", []model.Entity{host(model.Sensor), {Type: model.IP, Value: "10.0.0.5", Role: model.Src}}, ""},
		{"on it", []model.Entity{host(model.Sensor), host(model.Subject)}, "fw1"},
		{"another's sensor", []model.Entity{{Type: model.Host, Value: "relay", Role: model.Sensor}}, "fw1"},
		{"no word of it", nil, "fw1"},
	} {
		o := &model.Observation{Event: "e-1", Host: "fw1", Entities: c.es}
		if a := Alert(Definition{Rule: model.RuleInfo{ID: "r"}}, o); a.Host != c.want {
			t.Errorf("%s: on %q, want %q", c.name, a.Host, c.want)
		}
	}
}
