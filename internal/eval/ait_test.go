package eval

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// aitTable is two days of a mail server's noise, and an attack of three phases on
// the second: a scan, a break-in of one labelled event, and a theft.
func aitTable() string {
	var b strings.Builder
	b.WriteString("time,name,ip,host,short,time_label,event_label\n")
	row := func(at int, name, host, phase, event string) {
		fmt.Fprintf(&b, "%d,%s,192.0.2.1,%s,X,%s,%s\n", at, name, host, phase, event)
	}
	for at := 0; at < 172_800; at += 600 {
		row(at, "Wazuh: login", "mail", "false_positive", "-")
	}
	row(90_000, "AMiner: strange names", "dns", "false_positive", "dnsteal")
	for at := 100_000; at < 100_020; at++ {
		row(at, "Suricata: scan", "web", "service_scans", "service_scan")
	}
	row(100_010, "Wazuh: login", "mail", "service_scans", "-") // meanwhile, and usual
	row(100_600, "AMiner: never seen", "web", "webshell", "-") // unlabelled, but never otherwise
	row(100_610, "Wazuh: sudo", "web", "webshell", "escalated_sudo_command")
	return b.String()
}

func readTable(t *testing.T, file string) *AITScenario {
	t.Helper()
	s, err := ReadAIT(file, strings.NewReader(aitTable()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadAITTellsAttackFromMeanwhile(t *testing.T) {
	s := readTable(t, "folder/one_alerts.csv")
	if s.Name != "one" || s.File != "one_alerts.csv" || s.Records != 288+1+20+1+1+1 {
		t.Errorf("name %q, file %q, %d records", s.Name, s.File, s.Records)
	}
	if got := s.Onset.Unix(); got != 100_000 {
		t.Errorf("onset %d, want the scan's first alert: theft that was there before is no onset", got)
	}
	if got := strings.Join(s.Kinds, "|"); got != "Suricata: scan|Wazuh: sudo" {
		t.Errorf("kinds %s", got)
	}
	if got := strings.Join(s.TheftKinds, "|"); got != "AMiner: strange names" {
		t.Errorf("kinds of the theft %s", got)
	}
	if got := strings.Join(s.Phases, "|"); got != "dnsteal|service_scans|webshell" {
		t.Errorf("phases %s", got)
	}
	for place, want := range map[aitPlace]int{{"Wazuh: login", "mail"}: 0, {"AMiner: never seen", "web"}: 1, {"Wazuh: sudo", "web"}: 1} {
		n := 0
		for _, r := range s.places[place] {
			if r.strict {
				n++
			}
		}
		if n != want {
			t.Errorf("%v: %d records of the attack, want %d", place, n, want)
		}
	}
}

func TestReadAITUnpacks(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(aitTable())); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if !IsAIT(packed.Bytes()) || !IsAIT([]byte(aitTable())) || IsAIT([]byte(`{"campaigns": []}`)) || IsAIT(nil) {
		t.Error("a labelled table is not told from other truth")
	}
	s, err := ReadAIT("one_alerts.csv.gz", &packed)
	if err != nil || s.Name != "one" || s.Records == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestReadAITNamesWhatIsBroken(t *testing.T) {
	head := "time,name,ip,host,short,time_label,event_label\n"
	for src, want := range map[string]string{
		"":                                      "x.csv: EOF",
		"time,name,ip,host\n":                   `no column "time_label"`,
		head + "soon,a,b,c,d,e,f\n":             `x.csv: line 2: time "soon"`,
		head + "1,a,b\n":                        "line 2",
		head + "1,a,b,c,d,e,f\n2,\"a,b,c,d,e\n": "line",
	} {
		if _, err := ReadAIT("x.csv", strings.NewReader(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

// aitReport is a report over tables: each incident's alerts are "name@host@from@to".
func aitReport(file string, incidents ...[]string) *model.Report {
	r := &model.Report{}
	for i, members := range incidents {
		inc := model.Incident{ID: fmt.Sprintf("inc-%d", i+1), Severity: model.High, ScoreTerms: []model.Term{{What: "alerts", Bits: 20}}}
		for _, m := range members {
			p := strings.Split(m, "@")
			var from, to int64
			if _, err := fmt.Sscan(p[2], &from); err != nil {
				panic(err)
			}
			if _, err := fmt.Sscan(p[3], &to); err != nil {
				panic(err)
			}
			id := fmt.Sprintf("a-%d", len(r.Alerts))
			r.Alerts = append(r.Alerts, model.Alert{ID: id, Rule: model.RuleInfo{ID: p[0]}, Time: time.Unix(from, 0), End: time.Unix(to, 0),
				Entities: []model.Entity{{Type: model.Host, Value: p[1], Role: model.Subject}}, Evidence: []model.Evidence{{Input: "dir/" + file}}})
			inc.Alerts = append(inc.Alerts, id)
		}
		r.Incidents = append(r.Incidents, inc)
	}
	return r
}

func TestScoreAIT(t *testing.T) {
	s := readTable(t, "one_alerts.csv")
	noise := []string{"Wazuh: login@mail@0@0", "Wazuh: login@mail@600@600"}
	attack := []string{"Suricata: scan@web@100000@100019", "Wazuh: sudo@web@100610@100610", "Wazuh: login@mail@100010@100010", "Wazuh: login@mail@600@1200"}
	res := ScoreAIT(aitReport(s.File, noise, attack), []*AITScenario{s})
	x := res.Scenarios[0]
	if x.Incident != "inc-2" || x.Rank != 2 || x.Fragments != 1 || x.Steps != 2 || strings.Join(x.Missed, "") != "dnsteal" {
		t.Errorf("%+v", x)
	}
	if *x.Kinds != 1 || *x.TimeAll != 0.75 || *x.EventAll != 0.5 {
		t.Errorf("kinds %v, precision by time %v, by event %v", *x.Kinds, *x.TimeAll, *x.EventAll)
	}
	if len(res.False) != 1 || res.False[0] != "inc-1" || res.FalseBits != 20 || res.FalsePerDay < 0.49 || res.FalsePerDay > 0.52 {
		t.Errorf("false %v, %v bits, %v a day; want one in two days", res.False, res.FalseBits, res.FalsePerDay)
	}
	if got := ScoreAIT(aitReport("other.csv", attack), []*AITScenario{s}); got.Scenarios[0].Rank != 0 || *got.PairF1 != 0 {
		t.Errorf("alerts of another file were taken for this one's: %+v", got)
	}
}

// The order in which a story tells the phases is compared with that in which they began;
// the theft that was there before has none.
func TestScoreAITOrder(t *testing.T) {
	s := readTable(t, "one_alerts.csv")
	r := aitReport(s.File, []string{"AMiner: strange names@dns@90000@90000", "Suricata: scan@web@100000@100019", "Wazuh: sudo@web@100610@100610"})
	for _, c := range []struct {
		told []int // by step, its alert
		want string
	}{{[]int{0, 1, 2}, "1.00"}, {[]int{2, 0, 1}, "-1.00"}, {[]int{1, 0}, "n/a"}} {
		inc := &r.Incidents[0]
		inc.Steps = nil
		for n, i := range c.told {
			inc.Steps = append(inc.Steps, model.Step{N: n + 1, Alerts: []string{inc.Alerts[i]}})
		}
		if got := number(ScoreAIT(r, []*AITScenario{s}).Scenarios[0].Order); got != c.want {
			t.Errorf("told as %v: %s, want %s", c.told, got, c.want)
		}
	}
}

func TestScoreAITKeepsAttacksApart(t *testing.T) {
	a, b := readTable(t, "a_alerts.csv"), readTable(t, "b_alerts.csv")
	members := []string{"Suricata: scan@web@100000@100019", "AMiner: never seen@web@100600@100600", "Wazuh: sudo@web@100610@100610"}
	both := func(glued bool) *model.Report {
		r := aitReport(a.File, members, members)
		if glued {
			r.Incidents[0].Alerts = append(r.Incidents[0].Alerts, r.Incidents[1].Alerts...)
			r.Incidents = r.Incidents[:1]
		}
		for i := range members {
			r.Alerts[len(members)+i].Evidence[0].Input = b.File
		}
		return r
	}
	apart, glued := ScoreAIT(both(false), []*AITScenario{a, b}), ScoreAIT(both(true), []*AITScenario{a, b})
	if apart.Own != 2 || len(apart.Glued) != 0 || *apart.PairF1 != 1 {
		t.Errorf("apart: %+v, F1 %v", apart, *apart.PairF1)
	}
	// Three units each: 6 pairs of the same attack, all of them among the 15 together.
	if glued.Own != 0 || len(glued.Glued) != 1 || *glued.PairF1 != 12./21 {
		t.Errorf("glued: %+v, F1 %v", glued, *glued.PairF1)
	}
}

func FuzzReadAIT(f *testing.F) {
	f.Add([]byte(aitTable()))
	f.Add([]byte("time,name,ip,host,short,time_label,event_label\n1e9,a,b,c,d,e,-\n1e11,a,b,c,d,e,-\nNaN,a,b,c,d,e,f\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ReadAIT("x.csv", bytes.NewReader(src))
		if err != nil {
			return
		}
		res := ScoreAIT(aitReport("x.csv", []string{"a@c@0@1"}), []*AITScenario{s})
		if res.PairF1 != nil && (*res.PairF1 < 0 || *res.PairF1 > 1) {
			t.Errorf("F1 %v", *res.PairF1)
		}
	})
}
