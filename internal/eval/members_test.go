package eval

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestScoreMembers(t *testing.T) {
	r := &model.Report{Incidents: []model.Incident{
		{ID: "one", Severity: model.High, Alerts: []string{"a1", "a2", "x1"}},
		{ID: "two", Severity: model.High, Alerts: []string{"a3", "b1"}, Context: []string{"b2"}},
		{ID: "three", Severity: model.Medium, Alerts: []string{"x2"}},
		{ID: "four", Severity: model.Low, Alerts: []string{"x3"}},
	}}
	of := map[string]string{"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c"}
	for _, id := range []string{"a1", "a2", "a3", "b1", "b2", "c1", "x1", "x2", "x3"} {
		r.Alerts = append(r.Alerts, model.Alert{ID: id})
	}
	res := ScoreMembers(r, []string{"a", "b", "c"}, of)
	a, b, c := res.Campaigns[0], res.Campaigns[1], res.Campaigns[2]
	if a.Incident != "one" || a.Fragments != 2 || *a.Precision != 2./3 || *a.Recall != 2./3 {
		t.Errorf("%+v", a)
	}
	if b.Incident != "two" || b.Fragments != 1 || *b.Recall != .5 {
		t.Errorf("%+v", b)
	}
	if c.Found || c.Fragments != 0 || *c.Recall != 0 {
		t.Errorf("%+v", c)
	}
	if strings.Join(res.Glued, "") != "two" || strings.Join(res.FalseIncidents, "") != "three" || strings.Join(res.FalseLow, "") != "four" {
		t.Errorf("glued %v, false %v, false below medium %v", res.Glued, res.FalseIncidents, res.FalseLow)
	}
}

func TestBelonging(t *testing.T) {
	at := day
	k := &Key{Campaigns: []Campaign{{ID: "c", Hosts: []string{"web"}, IPs: []string{"203.0.113.7"}, From: at, To: at}}}
	r := &model.Report{Alerts: []model.Alert{boardAlert(0, "r1", model.High, "execution", "web", "203.0.113.7"), boardAlert(0, "r2", model.High, "execution", "web"),
		boardAlert(0, "r3", model.High, "execution", "mail", "203.0.113.7")}}
	of := Belonging(r, k)
	if len(of) != 1 || of[r.Alerts[0].ID] != "c" {
		t.Errorf("%v, want the alert with the attacker's address on the campaign's host", of)
	}
}
