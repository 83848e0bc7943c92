package eval

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

var day = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

// boardAlert is an alert at a minute of a day, on a host, with whatever else it names.
func boardAlert(minute int, rule string, s model.Severity, tactic, host string, ips ...string) model.Alert {
	at := day.Add(time.Duration(minute) * time.Minute)
	a := model.Alert{ID: fmt.Sprintf("a-%04d-%s-%s", minute, rule, host), Time: at, End: at, Rule: model.RuleInfo{ID: rule}, Severity: s, Tactics: []string{tactic},
		Entities: []model.Entity{{Type: model.Host, Value: host, Role: model.Subject}, {Type: model.Host, Value: "sensor", Role: model.Sensor}}}
	for _, ip := range ips {
		a.Entities = append(a.Entities, model.Entity{Type: model.IP, Value: ip, Role: model.Src})
	}
	return a
}

// sizes are the members of each incident, by baseline.
func sizes(r *model.Report) map[string][]int {
	out := map[string][]int{}
	for _, b := range Baselines(r) {
		for _, inc := range b.Report.Incidents {
			out[b.Name] = append(out[b.Name], len(inc.Alerts))
		}
	}
	return out
}

func TestBaselines(t *testing.T) {
	r := &model.Report{Alerts: []model.Alert{
		boardAlert(0, "r1", model.High, "execution", "a"),
		boardAlert(29, "r2", model.High, "discovery", "a"),
		boardAlert(30, "r2", model.High, "discovery", "a"), // no rule counts twice
		boardAlert(70, "r3", model.Low, "exfiltration", "a", "203.0.113.7"),
		boardAlert(80, "r4", model.High, "persistence", "b", "203.0.113.7"),
		boardAlert(900, "r5", model.Critical, "impact", "c"),
	}}
	got := sizes(r)
	if want := []int{3}; !slices.Equal(got["host and gap"], want) {
		t.Errorf("host and gap %v, want %v: 40 minutes of silence end a group", got["host and gap"], want)
	}
	if want := []int{5}; !slices.Equal(got["components"], want) {
		t.Errorf("components %v, want %v: the address joins the hosts", got["components"], want)
	}
	if want := []int{4}; !slices.Equal(got["risk per host"], want) {
		t.Errorf("risk per host %v, want %v: three tactics on a within a day", got["risk per host"], want)
	}
	for _, b := range Baselines(r) {
		at := b.Raised[b.Report.Incidents[0].ID]
		want := map[string]int{"host and gap": 29, "components": 29, "risk per host": 70}[b.Name]
		if !at.Equal(day.Add(time.Duration(want) * time.Minute)) {
			t.Errorf("%s was raised at %v, want minute %d", b.Name, at, want)
		}
	}
	if len(r.Incidents) != 0 {
		t.Error("the report itself was changed")
	}
}

func TestBaselineCutsHubs(t *testing.T) {
	r := &model.Report{}
	for i := range 8 {
		r.Alerts = append(r.Alerts, boardAlert(i, "r1", model.High, "execution", fmt.Sprintf("h%d", i), "203.0.113.7"),
			boardAlert(i, "r2", model.High, "discovery", fmt.Sprintf("h%d", i), "203.0.113.7"))
	}
	if got := sizes(r)["components"]; len(got) != 8 {
		t.Errorf("%v: an address that eight hosts have joined them", got)
	}
}

func TestBoardAddsUp(t *testing.T) {
	share := func(x float64) *float64 { return &x }
	c := Tally{Set: "s", Method: "m"}
	r := &model.Report{Incidents: make([]model.Incident, 3), Totals: model.Totals{Alerts: 30}}
	c.Add(r, &Result{FalseIncidents: []string{"x"}, Glued: []string{"y"}, Campaigns: []CampaignResult{
		{Found: true, Fragments: 2, StepsFound: 3, StepsVisible: 4, Precision: share(1), Recall: share(.5), Root: RootResult{Right: true, Want: "a"}},
		{StepsVisible: 4, Root: RootResult{Want: "b"}},
	}}, 48*time.Hour)
	c.Raised(3 * time.Second)
	c.Raised(time.Second)
	c.Raised(time.Hour)
	c.Margin([]float64{30, 14}, 9)
	c.Margin([]float64{20}, 11)
	c.Margin(nil, 0)
	c.Cost(10, 0)
	c.Cost(30, 0)
	got := c.Row()
	if *got.TrueBits != 14 || *got.FalseBits != 11 || *got.NsPerAlert != 20 || got.BytesPerEntity != nil {
		t.Errorf("%+v", got)
	}
	got.NsPerAlert = nil
	if got.Campaigns != 2 || got.Found != 1 || got.Fragments != 2 || got.Glued != 1 || *got.Precision != 1 || *got.Recall != .5 || *got.Steps != .375 || *got.Roots != .5 ||
		got.Order != nil || got.FalsePerDay != .5 || *got.RaisedAfter != 3 || *got.AlertsPerIncident != 10 || got.NsPerAlert != nil {
		t.Errorf("%+v", got)
	}
	b := &Board{Rows: []Row{got}}
	var text strings.Builder
	if err := b.WriteMarkdown(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if !strings.Contains(lines[4], "| 14 / 11 |") {
		t.Error(lines[4])
	}
	if n := strings.Count(lines[2], "|"); lines[0] != "## s" || strings.Count(lines[3], "|") != n || strings.Count(lines[4], "|") != n {
		t.Errorf("columns do not agree:\n%s", text.String())
	}
}

func TestBoardSaysWhatBecameWorse(t *testing.T) {
	share := func(x float64) *float64 { return &x }
	was := Row{Set: "s", Method: "m", Campaigns: 4, Found: 4, Fragments: 1, Precision: share(.9), Recall: share(.8), Steps: share(.7), Roots: share(1), Order: share(.9), RaisedAfter: share(100)}
	for _, c := range []struct {
		change func(*Row)
		want   string
	}{
		{func(*Row) {}, ""},
		{func(r *Row) { r.Precision, r.FalsePerDay, r.RaisedAfter = share(.86), .1, share(180) }, ""}, // within
		{func(r *Row) { r.Found = 3 }, "campaigns found"},
		{func(r *Row) { r.Glued = 1 }, "glued incidents"},
		{func(r *Row) { r.Fragments = 1.25 }, "incidents a campaign"},
		{func(r *Row) { r.Precision = share(.8) }, "precision was 0.9 and is 0.8"},
		{func(r *Row) { r.Order = nil }, "order"},
		{func(r *Row) { r.FalsePerDay = .2 }, "false incidents a day"},
		{func(r *Row) { r.RaisedAfter = share(200) }, "seconds to raise"},
		{func(r *Row) { r.Set, r.Found = "other", 0 }, ""},
	} {
		now := was
		c.change(&now)
		got := strings.Join((&Board{Rows: []Row{now}}).Worse(&Board{Rows: []Row{was}}), "; ")
		if got == "" != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
