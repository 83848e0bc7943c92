package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/catena-sec/catena/internal/model"
)

// made builds reports by hand: incidents of alerts, and alerts of none.
type made struct{ r model.Report }

func report(folder string) *made {
	return &made{model.Report{Schema: model.ReportSchema, Engine: model.Engine{Version: "test", Rules: "1", AttackVersion: "19.1"},
		Inputs: []model.Input{{Path: folder + "a.log", Events: 900}, {Path: folder + "sub/b.log", Events: 30}}}}
}

// alert adds an alert by rule over records of the first input and returns its id.
func (m *made) alert(rule string, records ...int64) string {
	a := model.Alert{ID: fmt.Sprintf("%s-%d", rule, len(m.r.Alerts)), Rule: model.RuleInfo{ID: rule, Title: "Rule " + rule}}
	for _, n := range records {
		a.Evidence = append(a.Evidence, model.Evidence{Input: m.r.Inputs[0].Path, Record: n})
	}
	m.r.Alerts = append(m.r.Alerts, a)
	return a.ID
}

func (m *made) incident(id string, score int, alerts ...string) *made {
	m.r.Incidents = append(m.r.Incidents, model.Incident{ID: id, Title: "Incident " + id, Severity: model.High, Score: score, Alerts: alerts})
	return m
}

func (m *made) read(t testing.TB) *Report {
	t.Helper()
	m.r.Totals = model.Totals{Events: 930, Alerts: len(m.r.Alerts), Incidents: len(m.r.Incidents)}
	b, err := json.Marshal(&m.r)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(bytes.NewReader(b), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kindsOf(r *Result) string {
	var s []string
	for _, g := range r.Groups {
		var a, b []string
		for _, m := range g.A {
			a = append(a, m.ID)
		}
		for _, m := range g.B {
			b = append(b, m.ID)
		}
		s = append(s, fmt.Sprintf("%s(%s|%s)", g.Kind, strings.Join(a, ","), strings.Join(b, ",")))
	}
	return strings.Join(s, " ")
}

// one is a report of one incident each over records 1-4, 11-14, 21-24.
func one(folder string) *made {
	m := report(folder)
	for i, id := range []string{"x", "y", "z"} {
		n := int64(10 * i)
		m.incident(id, 90-10*i, m.alert("r1", n+1, n+2), m.alert("r2", n+3), m.alert("r3", n+4))
	}
	return m
}

func TestKinds(t *testing.T) {
	for name, c := range map[string]struct {
		b    func() *made
		want string
	}{
		"the same": {func() *made { return one("") }, "same(x|x) same(y|y) same(z|z)"},
		"elsewhere": {func() *made { return one("other/place/") },
			"same(x|x) same(y|y) same(z|z)"},
		"ids mean nothing": {func() *made {
			m := one("")
			for i := range m.r.Incidents {
				m.r.Incidents[i].ID = fmt.Sprint("new", i)
			}
			return m
		}, "same(x|new0) same(y|new1) same(z|new2)"},
		"vanished": {func() *made {
			m := one("")
			m.r.Incidents = m.r.Incidents[:2]
			return m
		}, "vanished(z|) same(x|x) same(y|y)"},
		"appeared first, which changes nothing else": {func() *made {
			m := one("")
			m.incident("w", 99, m.alert("r9", 500))
			m.r.Incidents = append(m.r.Incidents[3:], m.r.Incidents[:3]...)
			return m
		}, "appeared(|w) same(x|x) same(y|y) same(z|z)"},
		"merged": {func() *made {
			m := one("")
			m.r.Incidents[0].Alerts = append(m.r.Incidents[0].Alerts, m.r.Incidents[1].Alerts...)
			m.r.Incidents = append(m.r.Incidents[:1], m.r.Incidents[2])
			return m
		}, "merged(x,y|x) same(z|z)"},
		"split": {func() *made {
			m := one("")
			l := m.r.Incidents[0].Alerts
			m.r.Incidents[0].Alerts = l[:1]
			m.incident("x2", 10, l[1:]...)
			return m
		}, "split(x|x,x2) same(y|y) same(z|z)"},
		"regrouped": {func() *made {
			m := one("")
			x, y := m.r.Incidents[0].Alerts, m.r.Incidents[1].Alerts
			m.r.Incidents[0].Alerts = []string{x[0], y[0]}
			m.r.Incidents[1].Alerts = []string{x[1], x[2], y[1], y[2]}
			return m
		}, "regrouped(x,y|x,y) same(z|z)"},
		"other rules on a few of the records": {func() *made {
			m := report("")
			return m.incident("q", 50, m.alert("s1", 1, 100, 101, 102, 103, 104, 105, 106, 107, 108))
		}, "vanished(y|) vanished(z|) changed(x|q)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kindsOf(Reports(one("").read(t), c.b().read(t), nil)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestBackwards holds A to B to being the mirror of B to A.
func TestBackwards(t *testing.T) {
	m := one("")
	m.r.Incidents[0].Alerts = append(m.r.Incidents[0].Alerts, m.r.Incidents[1].Alerts...)
	m.r.Incidents = append(m.r.Incidents[:1], m.r.Incidents[2])
	if got, want := kindsOf(Reports(m.read(t), one("").read(t), nil)), "split(x|x,y) same(z|z)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestChanges(t *testing.T) {
	m := one("")
	x := &m.r.Incidents[0]
	x.Severity, x.Score, x.Title, x.Root.Entity = model.Critical, 10, "Other", "process:p"
	m.r.Incidents = []model.Incident{m.r.Incidents[1], m.r.Incidents[2], m.r.Incidents[0]}
	res := Reports(one("").read(t), m.read(t), nil)
	got := map[string]string{}
	for _, c := range res.Groups[0].Changes {
		got[c.What] = c.A + " > " + c.B
	}
	want := map[string]string{"severity": "high > critical", "rank": "1 > 3", "score": "90 > 10", "title": "Incident x > Other",
		"root": "0001-01-01T00:00:00Z  > 0001-01-01T00:00:00Z process:p"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !res.Differ() {
		t.Error("it does not say that they differ")
	}
	if same := Reports(one("").read(t), one("").read(t), nil); same.Differ() {
		t.Error("equal reports differ")
	}
}

func TestRulesAndMoves(t *testing.T) {
	m := one("")
	moved := m.r.Incidents[0].Alerts[2]
	m.r.Incidents[0].Alerts = m.r.Incidents[0].Alerts[:2]
	m.r.Incidents[1].Alerts = append(m.r.Incidents[1].Alerts, moved)
	free := m.r.Incidents[2].Alerts[0]
	m.r.Incidents[2].Alerts = m.r.Incidents[2].Alerts[1:]
	m.r.Incidents[2].Alerts = append(m.r.Incidents[2].Alerts, m.alert("r9", 24))
	res := Reports(one("").read(t), m.read(t), nil)
	wantMoves := []Move{{moved, moved, "r3", "Rule r3", "x", "y"}, {free, free, "r1", "Rule r1", "z", ""}}
	if d := cmp.Diff(wantMoves, res.Moved); d != "" {
		t.Error(d)
	}
	if got := kindsOf(res); got != "changed(x|x) changed(y|y) changed(z|z)" {
		t.Errorf("groups are %s", got)
	}
	wantRules := []RuleDiff{{"r1", "Rule r1", 3, 3, 0, 0, 1}, {"r3", "Rule r3", 3, 3, 0, 0, 1}, {"r9", "Rule r9", 0, 1, 0, 1, 0}}
	if d := cmp.Diff(wantRules, res.Rules); d != "" {
		t.Error(d)
	}
}

func TestVerdicts(t *testing.T) {
	a := one("")
	b := one("")
	b.r.Incidents[0].Alerts = append(b.r.Incidents[0].Alerts, b.r.Incidents[1].Alerts...)
	b.r.Incidents = b.r.Incidents[:1]
	b.incident("new", 10, b.alert("r9", 700))
	inZ := a.r.Incidents[2].Alerts[1]
	vs, err := ReadVerdicts(strings.NewReader(`{"incident":"x","verdict":"true","by":"ann"}

{"incident":"y","verdict":"false_positive"}
{"id":"z","verdict":true}
{"alert":"` + inZ + `","verdict":"Benign"}
{"alert":"` + a.r.Incidents[0].Alerts[0] + `","verdict":"malicious"}
{"id":"new","verdict":false}
{"id":"nobody","verdict":false}`))
	if err != nil {
		t.Fatal(err)
	}
	got := Reports(a.read(t), b.read(t), vs).Verdicts
	want := &VerdictResult{TrueKept: 2, TrueLost: 1, FalseKept: 1, FalseGone: 1, Glued: 1, Unknown: 1, OnlyB: 1, Judged: got.Judged}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var outcomes []string
	for _, o := range got.Judged {
		outcomes = append(outcomes, fmt.Sprintf("%d %s %s %v", o.Line, o.ID, o.Outcome, o.In))
	}
	if d := cmp.Diff([]string{"1 x kept [x]", "3 y kept [x]", "4 z lost []", "5 " + inZ + " gone []",
		"6 r1-0 kept [x]", "7 new new [new]", "8 nobody unknown []"}, outcomes); d != "" {
		t.Error(d)
	}
}

func TestVerdictErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "no verdict",
		"{":                                     "line 1",
		"\n" + `{"id":"x","verdict":"maybe"}`:   "line 2: verdict maybe",
		`{"id":"x","alert":"y","verdict":true}`: "want one of",
		`{"verdict":true}`:                      "want one of",
		strings.Repeat("x", maxVerdictLine+1):   "line 1: longer",
	} {
		if _, err := ReadVerdicts(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	head := `{"schema":"catena.report/v1",`
	for in, want := range map[string]string{
		"":                                    "document",
		"[]":                                  "document",
		`{"schema":"catena.report/v9"}`:       `schema "catena.report/v9"`,
		`{}`:                                  `schema ""`,
		head + `"incidents":{}}`:              "incidents",
		head + `"incidents":[{"score":"high"`: "incidents[0]",
		head + `"incidents":[{}]}`:            "incidents[0]: no id",
		head + `"alerts":[{"id":"a"},{}]}`:    "alerts[1]: no id",
		head + `"alerts":[{"id":"a"},{"id":"a"}]}`:                         "alerts[1]: a second",
		head + `"incidents":[{"id":"i","severity":"awful"}]}`:              `severity "awful"`,
		head + `"incidents":[{"id":"i","severity":"low","score":101}]}`:    "score 101",
		head + `"incidents":[{"id":"i","severity":"low","alerts":["b"]}]}`: `incidents[0].alerts[0]: alert "b"`,
		head + `"alerts":[]} x`:                                            "follows",
		head + `"notes":[` + strings.Repeat(`[`, 2000):                     "depth",
		head + `"incidents":[1,2,3,4,5,6,7,8]}`:                            "incidents[0]",
		head + `"alone":["a","b","c","d"]}`:                                "alone: more than 3",
		head + `"alerts":[{"id":"` + strings.Repeat("a", 9000) + `"}]}`:    "one value is larger",
		head + `"alerts":[{"id":"a","evidence":[{},{},{},{},{},{}]}]}`:     "more than 5 members",
		head + `"alerts":[{"id":"a","evidence":[{},{},{}]}],"incidents":[{"id":"i","severity":"low","alerts":["a"]},{"id":"j","severity":"low","alerts":["a"]}]}`: "incidents[1].alerts[0]: the incidents have more than 5 places",
	} {
		_, err := Read(strings.NewReader(in), Limits{Element: 4096, Alerts: 3, Incidents: 3, Places: 5})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", in, err, want)
		}
	}
	if _, err := Read(strings.NewReader(head+`"alerts":[]}`), Limits{Bytes: 20}); err == nil || !strings.Contains(err.Error(), "larger than 20 bytes") {
		t.Errorf("a file beyond the limit: %v", err)
	}
}

// TestWrite holds the text to saying the same every time, and to showing nothing
// that was not cleaned.
func TestWrite(t *testing.T) {
	m := one("")
	m.r.Incidents[0].Title = "\x1b[2Jevil"
	m.r.Incidents = m.r.Incidents[:2]
	res := func() *Result {
		return Reports(one("").read(t), m.read(t), []Verdict{{ID: "z", True: true, Line: 1}})
	}
	text := func() string {
		var b strings.Builder
		if err := res().WriteText(&b, func(s string) string { return strings.ReplaceAll(s, "\x1b", "ESC") }); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := text()
	for _, want := range []string{"1 vanished", "1 changed", "title: Incident x -> ESC[2Jevil", "A #3 z high 70", "line 1: incident z, judged true: lost"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	if first != text() {
		t.Error("two runs differ")
	}
	var b bytes.Buffer
	if err := res().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(res(), &back); d != "" {
		t.Errorf("the JSON says something else:\n%s", d)
	}
}

// FuzzRead holds reading and comparing to never failing otherwise than by an error,
// and a report to being the same as itself.
func FuzzRead(f *testing.F) {
	b, err := json.Marshal(&one("d/").r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":"catena.report/v1","alerts":[{"id":"a","evidence":[{"record":-1}]}],"incidents":[{"id":"i","severity":"low","alerts":["a","a"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(bytes.NewReader(b), Limits{Element: 1 << 16, Alerts: 100, Incidents: 100, Places: 1000})
		if err != nil {
			return
		}
		res := Reports(r, r, nil)
		if n := res.Counts[Vanished]; n != res.Counts[Appeared] {
			t.Errorf("compared with itself %d vanish and %d appear", n, res.Counts[Appeared])
		}
		if err := res.WriteText(&bytes.Buffer{}, strings.ToUpper); err != nil {
			t.Error(err)
		}
	})
}
