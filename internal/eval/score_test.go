package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

var start = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// planted is exact truth: two campaigns of two and one steps.
func planted() *model.Truth {
	record := func(n int64, campaign string, step int) model.TruthRecord {
		return model.TruthRecord{Input: "web/auth.log", Record: n, Campaign: campaign, Step: step}
	}
	return &model.Truth{Schema: model.TruthSchema,
		Campaigns: []model.TruthCampaign{
			{ID: "A", Root: model.TruthRoot{Host: "web01.example.com", User: "deploy", Process: "/usr/sbin/sshd", Time: at(0)}, Steps: []model.TruthStep{
				{N: 1, Time: at(0), Technique: "T1110.001", Events: []string{"web/auth.log#1", "web/auth.log#2"}, Visible: true},
				{N: 2, Time: at(60), Technique: "T1552.005", Events: []string{"web/auth.log#3"}, Parent: 1, Visible: true},
				{N: 3, Time: at(90), Technique: "T1041", Visible: false}}},
			{ID: "B", Root: model.TruthRoot{User: `corp\eve`}, Steps: []model.TruthStep{
				{N: 1, Time: at(30), Technique: "T1486", Events: []string{"web/auth.log#9"}, Visible: true}}},
		},
		Records: []model.TruthRecord{record(1, "A", 1), record(2, "A", 1), record(3, "A", 2), record(9, "B", 1)}}
}

func alertOn(id string, seconds int, technique string, records ...int64) model.Alert {
	a := model.Alert{ID: id, Time: at(seconds), End: at(seconds), Techniques: []string{technique}, Rule: model.RuleInfo{Title: "rule of " + id}}
	for _, n := range records {
		a.Evidence = append(a.Evidence, model.Evidence{Input: "out/evidence/web/auth.log", Record: n, ID: fmt.Sprint("e-", n)})
	}
	return a
}

func story(id string, severity model.Severity, alerts ...string) model.Incident {
	inc := model.Incident{ID: id, Severity: severity, Alerts: alerts}
	return inc
}

func TestExactTruth(t *testing.T) {
	good := story("one", model.High, "a1", "a2", "noise")
	good.Root = model.Root{Host: "WEB01", User: "deploy", Process: "/usr/sbin/sshd", Time: at(2)}
	good.Steps = []model.Step{
		{N: 1, Time: at(0), End: at(5), Technique: "T1110", Alerts: []string{"a1"}},
		{N: 2, Time: at(60), End: at(60), Technique: "T1078", Alerts: []string{"a2"}, Events: []string{"e-77"}}}
	r := &model.Report{
		Alerts:    []model.Alert{alertOn("a1", 0, "T1110", 1), alertOn("a2", 60, "T1078", 3), alertOn("noise", 5, "T1082", 50), alertOn("a3", 1, "T1110", 2), alertOn("b", 30, "T1486", 9)},
		Events:    []model.Evidence{{Input: "out/evidence/web/auth.log", Record: 77, ID: "e-77"}},
		Incidents: []model.Incident{good, story("two", model.Low, "a3"), story("three", model.Medium, "noise"), story("four", model.Low, "noise")}}
	res := Score(r, FromTruth(planted()))
	a, b := res.Campaigns[0], res.Campaigns[1]

	if !a.Found || a.Incident != "one" || a.Fragments != 2 {
		t.Errorf("A: found %v in %q, %d fragments", a.Found, a.Incident, a.Fragments)
	}
	if !a.Root.Right || *a.Root.Seconds != 2 {
		t.Errorf("root %+v", a.Root)
	}
	if a.StepsVisible != 2 || a.StepsFound != 2 || a.StepsStrict != 1 || a.StepsLoose != 2 {
		t.Errorf("steps: visible %d found %d strict %d loose %d", a.StepsVisible, a.StepsFound, a.StepsStrict, a.StepsLoose)
	}
	if *a.Precision != 2.0/3 || *a.Recall != 2.0/3 || len(a.Strangers) != 1 || a.Strangers[0].ID != "noise" {
		t.Errorf("precision %v recall %v strangers %v", *a.Precision, *a.Recall, a.Strangers)
	}
	if a.Order == nil || *a.Order != 1 || a.Cited != 1 || *a.CitedBelong != 0 {
		t.Errorf("order %v, cited %d", a.Order, a.Cited)
	}
	if b.Found || b.Incident != "" || *b.Recall != 0 || *b.StepShare != 0 || b.Root.Right {
		t.Errorf("B was in no incident: %+v", b)
	}
	if fmt.Sprint(res.FalseIncidents, res.FalseLow, res.Glued) != "[three] [four] []" {
		t.Errorf("false %v, low %v, glued %v", res.FalseIncidents, res.FalseLow, res.Glued)
	}
}

// Work that was ordered is told of by name: what it raises, and how much of it is drawn
// into incidents of campaigns. What an incident shows beside its members counts apart.
func TestOrderedWorkAndContext(t *testing.T) {
	truth := planted()
	truth.Benign = []*model.TruthActivity{{ID: "pentest-1", Kind: "pentest", Records: []string{"web/auth.log#50", "web/auth.log#51", "web/auth.log#52", "no key"}}, {ID: "scan-1", Kind: "vulnerability-scan", Records: []string{"web/auth.log#60"}}, nil}
	src, err := json.Marshal(truth)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseTruth(src)
	if err != nil {
		t.Fatal(err)
	}
	one := story("one", model.High, "a1", "p1")
	one.Context = []string{"a2", "p2"}
	one.Clocks = &model.Clocks{Raised: at(40)}
	r := &model.Report{
		Alerts: []model.Alert{alertOn("a1", 0, "T1110", 1), alertOn("a2", 60, "T1552.005", 3), alertOn("p1", 5, "T1082", 50), alertOn("p2", 6, "T1082", 51), alertOn("p3", 7, "T1082", 52),
			alertOn("x", 8, "T1082", 70), alertOn("s", 9, "T1595", 60)},
		Incidents: []model.Incident{one, story("two", model.High, "p2", "p3", "x"), story("three", model.High, "s", "x", "p3"), story("four", model.Low, "s")}}
	res := Score(r, k)
	if len(res.FalseIncidents) != 2 || res.Planned() != 1 || len(res.Benign) != 2 {
		t.Fatalf("false %v, of them planned %d: %+v", res.FalseIncidents, res.Planned(), res.Benign)
	}
	if p := res.Benign[0]; p.Kind != "pentest" || p.Drawn != 1 || !slices.Equal(p.False, []string{"two"}) {
		t.Errorf("%+v", p)
	}
	if p := res.Benign[1]; p.Drawn != 0 || !slices.Equal(p.False, []string{"four"}) {
		t.Errorf("%+v", p)
	}
	a := res.Campaigns[0]
	if *a.Recall != .5 || *a.RecallContext != 1 || a.RaisedAfter == nil || *a.RaisedAfter != 40 {
		t.Errorf("recall %v, with context %v, raised after %v", *a.Recall, *a.RecallContext, a.RaisedAfter)
	}
	if k.Planned(&r.Alerts[2]) != "pentest-1" || k.Planned(&r.Alerts[0]) != "" {
		t.Error("which work an alert tells of is not known")
	}
	var text strings.Builder
	if err := res.WriteText(&text, false); err != nil || !strings.Contains(text.String(), "no attack: pentest-1 (pentest): false incidents 1, alerts in incidents of campaigns 1") ||
		!strings.Contains(text.String(), "with context 100 %") || !strings.Contains(text.String(), "raised  40 s after") {
		t.Errorf("%v: %s", err, text.String())
	}
}

// A campaign that is laid over another estate is looked for at its new time and names.
func TestMovedCampaign(t *testing.T) {
	k, err := ParseTruth([]byte(judged))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(k.Campaigns[0])
	c := k.Campaigns[0].Moved(time.Hour, func(v string) []string { return []string{"m1-" + v, v} }, func(v string) string { return strings.Replace(v, "10.", "172.", 1) })
	got := fmt.Sprint(c.Hosts, c.HostIPs, c.Users, c.IPs, c.Processes, c.Root.Hosts, c.Steps[3].Terms, c.Steps[3].Hosts, c.Onset().Format("15:04"), c.From.Format("15:04"), c.Root.Time.Format("15:04"))
	want := "[m1-pc7 pc7] [172.9.0.7] [m1-ann ann] [203.0.113.9] [invoice.exe stage2.exe dump tool.exe] [m1-pc7 pc7] [getobject plans.txt 172.1.1.1] [m1-pc7 pc7]04:0004:0004:00"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if after := fmt.Sprint(k.Campaigns[0]); after != before {
		t.Errorf("the campaign itself was changed: %s", after)
	}
}

func TestGluedCampaignsAndWrongOrder(t *testing.T) {
	inc := story("both", model.High, "a1", "a2", "b")
	inc.Root = model.Root{Host: "db7", User: "deploy", Process: "sshd"}
	inc.Steps = []model.Step{{N: 1, Time: at(60), Alerts: []string{"a2"}}, {N: 2, Time: at(0), Alerts: []string{"a1"}}}
	r := &model.Report{Alerts: []model.Alert{alertOn("a1", 0, "T1110", 1), alertOn("a2", 60, "T1552", 3), alertOn("b", 30, "T1486", 9)}, Incidents: []model.Incident{inc}}
	res := Score(r, FromTruth(planted()))
	if len(res.Glued) != 1 || len(res.FalseIncidents) != 0 {
		t.Errorf("glued %v, false %v", res.Glued, res.FalseIncidents)
	}
	a := res.Campaigns[0]
	if a.Order == nil || *a.Order != -1 {
		t.Errorf("order of a story told backwards is %v", a.Order)
	}
	if a.Root.Right || *a.Root.Host || !*a.Root.User || !*a.Root.Process {
		t.Errorf("root with the wrong host: %+v", a.Root)
	}
}

// judged is truth as a person writes it; made up, in the form of otrf_compound.json.
const judged = `{"campaigns":[{"id":"J","title":"made up",
 "entry_point":{"process":"invoice.exe -> stage2.exe","user_who_downloaded":"CORP\\third","user_who_ran":"CORP\\ann","host":"PC7","time_utc":["2030-01-02T03:00:00Z"]},
 "hosts":[{"name":"PC7.corp.example","ip":"10.9.0.7"}],"attacker":{"ip":"203.0.113.9"},
 "users":["NT AUTHORITY\\SYSTEM","CORP\\ann (victim)","user/bob (benign administrator)"],
 "window_utc":["2030-01-02T03:00:00Z","2030-01-02T03:05:00Z"],
 "steps":[
  {"time_utc":"2030-01-02T03:00:00Z","technique":"T1204.002","technique_v19":"T1204.002","evidence":"PROC: explorer.exe -> \"C:\\Users\\ann\\invoice.exe\"","host":"PC7"},
  {"time_utc":"2030-01-02T03:01:00Z","technique":"T1562.001","evidence":"PROC: cmd.exe -> whoami","host":"PC7 -> 2 hosts"},
  {"time_utc":"2030-01-02T03:02:00Z","technique":"T1003.001","evidence":"FILE: stage2.exe writes C:\\Program Files\\dump tool.exe","host":"PC7"},
  {"time_utc":"2030-01-02T03:03:00Z","technique":"T1530","what":"GetObject of plans.txt, event 4662 from 10.1.1.1:99","host":"PC7"},
  {"time_utc":"2030-01-02T03:04:00Z","technique":"T1041","visible":"no"},
  {"time_utc":null,"technique":"T1041"}]}]}`

func TestReadingJudgedTruth(t *testing.T) {
	k, err := ParseTruth([]byte(judged))
	if err != nil {
		t.Fatal(err)
	}
	c := k.Campaigns[0]
	got := fmt.Sprint(c.Hosts, c.HostIPs, c.Users, c.Benign, c.IPs, c.Processes, c.Root.Hosts, c.Root.Users, c.Root.Processes)
	want := "[pc7] [10.9.0.7] [ann] [bob] [203.0.113.9] [invoice.exe stage2.exe dump tool.exe] [pc7] [ann] [invoice.exe stage2.exe]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i, want := range []string{"[explorer invoice] [pc7]", "[cmd whoami] [pc7]", "[stage2 dump tool.exe] [pc7]", "[getobject plans.txt 10.1.1.1] [pc7]"} {
		if got := fmt.Sprint(c.Steps[i].Terms, c.Steps[i].Hosts); got != want {
			t.Errorf("step %d: %s, want %s", i+1, got, want)
		}
	}
	if visible(c.Steps) != 4 {
		t.Errorf("%d steps visible, want 4", visible(c.Steps))
	}
	if _, err := k.Only("K"); err == nil || !strings.Contains(err.Error(), "it has J") {
		t.Errorf("a campaign that is not there: %v", err)
	}
}

func onHost(id string, seconds int, technique, host string, entities ...model.Entity) model.Alert {
	a := alertOn(id, seconds, technique, int64(seconds)+1000)
	a.Entities = append(slices.Clone(entities), model.Entity{Type: model.Host, Role: model.Subject, Value: host})
	return a
}

func TestJudgedTruth(t *testing.T) {
	k, err := FromOTRF([]byte(judged))
	if err != nil {
		t.Fatal(err)
	}
	ann := model.Entity{Type: model.User, Role: model.Actor, Value: `corp\ann`}
	bob := model.Entity{Type: model.User, Role: model.Actor, Value: `corp\bob`}
	run := onHost("run", 3, "T1036", "pc7.corp.example")
	run.Evidence[0].Event = json.RawMessage(`{"ParentImage":"C:\\Windows\\explorer.exe","Image":"C:\\Users\\ann\\invoice.exe"}`)
	inc := story("it", model.High, "run", "disarm", "callback", "own work", "elsewhere", "later", "admin")
	inc.Root = model.Root{Host: "pc7.corp.example", User: `CORP\ann`, Process: `C:\Users\ann\invoice.exe`}
	inc.Steps = []model.Step{{N: 1, Time: at(3), End: at(3), Host: "pc7.corp.example", Alerts: []string{"run"}, Technique: "T1036"},
		{N: 2, Time: at(181), End: at(181), Host: "pc7", Summary: "read plans.txt", Technique: "T1005"}}
	r := &model.Report{Incidents: []model.Incident{inc}, Alerts: []model.Alert{
		run,
		onHost("disarm", 65, "T1685", "PC7"), // the successor of T1562.001, in time
		onHost("callback", 200, "T1071", "pc7", model.Entity{Type: model.IP, Role: model.Dst, Value: "203.0.113.9"}),   // no step, but the attacker
		onHost("own work", 220, "T1082", "pc7", ann),                                                                   // only the user
		onHost("elsewhere", 62, "T1685", "pc8", ann),                                                                   // another host
		onHost("later", 900, "T1071", "pc7", model.Entity{Type: model.IP, Role: model.Dst, Value: "203.0.113.9"}),      // outside the window
		onHost("admin", 200, "T1071", "pc7", bob, model.Entity{Type: model.IP, Role: model.Dst, Value: "203.0.113.9"}), // benign
	}}
	c := Score(r, k).Campaigns[0]
	var belongs, strangers []string
	for _, m := range c.Judged {
		belongs = append(belongs, m.ID+": "+m.Why)
	}
	for _, m := range c.Strangers {
		strangers = append(strangers, m.ID)
	}
	if got, want := strings.Join(belongs, "; "), "run: evidence of step 1; disarm: technique of step 2 at its time; callback: the attacker's address 203.0.113.9; own work: "+byUser; got != want {
		t.Errorf("belong: %s\nwant    %s", got, want)
	}
	if got := strings.Join(strangers, " "); got != "elsewhere later admin" {
		t.Errorf("strangers: %s", got)
	}
	if c.ByUser != 1 || !c.Root.Right || c.Fragments != 1 {
		t.Errorf("by user %d, root %+v, fragments %d", c.ByUser, c.Root, c.Fragments)
	}
	var how []string
	for _, s := range c.Steps {
		how = append(how, fmt.Sprint(s.N, s.Visible, s.Strict, s.Loose))
	}
	if got, want := strings.Join(how, "; "), "1 true false true; 2 true true false; 3 true false false; 4 true false true; 5 false false false; 6 false false false"; got != want {
		t.Errorf("steps (n visible strict loose): %s\nwant %s", got, want)
	}
	if c.Order == nil || *c.Order != 1 {
		t.Errorf("order %v", c.Order)
	}
}

func TestBadTruthIsRefused(t *testing.T) {
	for _, src := range []string{"", "{", "[]", `{"schema":"catena.truth/v2"}`, `{"campaigns":[]}`, `{"campaigns":[{}]}`, `{"schema":"catena.truth/v1","campaigns":7}`} {
		if k, err := ParseTruth([]byte(src)); err == nil {
			t.Errorf("%q gives %+v", src, k)
		}
	}
}

func TestWriting(t *testing.T) {
	a := alertOn("a1", 0, "T1110", 1)
	a.Rule.Title = "\x1b[31mred\nline"
	r := &model.Report{Alerts: []model.Alert{a, alertOn("x", 0, "T1", 5)}, Incidents: []model.Incident{story("one", model.High, "a1"), story("two", model.High, "x")}}
	res := Score(r, FromTruth(planted()))
	var text, js bytes.Buffer
	if err := res.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A: found in one incident", "B: NOT FOUND", "steps   1 of 2 visible (50 %)", "?[31mred?line", "false 1", "MISSED  2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, text.String())
		}
	}
	if err := res.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Campaigns) != 2 {
		t.Errorf("%v: %s", err, js.String())
	}
}

func FuzzScore(f *testing.F) {
	f.Add([]byte(judged), []byte(`{"incidents":[{"id":"i","alerts":["a"],"steps":[{"n":1}]}],"alerts":[{"id":"a","evidence":[{"event":{"a":[1,"b"]}}]}]}`))
	f.Add([]byte(`{"schema":"catena.truth/v1","campaigns":[{"id":"x","steps":[{"events":["a#b","#1"],"visible":true}]}]}`), []byte(`{}`))
	f.Add([]byte(`{"schema":"catena.truth/v1","benign":[null,{"id":"p","kind":"pentest","records":["a#1","#","b#-1"]}]}`), []byte(`{"incidents":[{"id":"i","severity":"high","alerts":["a"],"clocks":{"raised":"2030-01-02T03:00:00Z"}}],"alerts":[{"id":"a","evidence":[{"input":"x/a","record":1}]}]}`))
	f.Fuzz(func(_ *testing.T, truth, report []byte) {
		k, err := ParseTruth(truth)
		if err != nil {
			return
		}
		var r model.Report
		if json.Unmarshal(report, &r) != nil {
			return
		}
		_ = Score(&r, k).WriteText(new(bytes.Buffer), true)
	})
}
