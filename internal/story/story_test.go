package story

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/graph"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// A tale is evidence made by hand: what memory saw, and what rules said of it.
type tale struct {
	seen   []*model.Observation
	alerts []*model.Alert
}

var dawn = time.Date(2024, 3, 4, 9, 0, 0, 0, time.UTC)

func (w *tale) see(at float64, act model.Act, host, text string, es ...model.Entity) *model.Observation {
	o := &model.Observation{Event: fmt.Sprintf("e-%03d", len(w.seen)), Time: dawn.Add(time.Duration(at * float64(time.Second))), Act: act, Host: host,
		Text: text, Format: "json", Source: model.LogSource{Product: "windows"}, Subsystem: model.Compute, Entities: es,
		Ref: model.Ref{Input: "in.json", Record: int64(len(w.seen) + 1)}}
	w.seen = append(w.seen, o)
	return o
}

// alert is what a rule says of o.
func (w *tale) alert(o *model.Observation, title string, level model.Severity, tags ...string) *model.Alert {
	a := &model.Alert{ID: fmt.Sprintf("a-%03d", len(w.alerts)), Time: o.Time, End: o.Time, Count: 1, Severity: level, Tags: tags,
		Rule: model.RuleInfo{ID: title, Title: title, Level: level}, Host: o.Host, Act: o.Act, Subsystem: o.Subsystem, Entities: o.Entities,
		Evidence: []model.Evidence{{Input: o.Ref.Input, Record: o.Ref.Record, ID: o.Event}}}
	knowledge.Classify(a)
	w.alerts = append(w.alerts, a)
	return a
}

func (w *tale) memory() *graph.Memory {
	m := graph.New(graph.Options{})
	for _, o := range w.seen {
		m.Observe(o)
	}
	return m
}

func (w *tale) tell(core ...*model.Alert) *model.Incident {
	c := Case{ID: "inc-1", Score: 80, Severity: model.High, Core: core, Gain: map[string]float64{}, Observed: map[string]*model.Observation{}}
	for _, o := range w.seen {
		c.Observed[o.Event] = o
	}
	for _, a := range core {
		c.Gain[a.ID] = 4
	}
	var hosts []string
	for _, o := range w.seen {
		if o.Host != "" && !slices.Contains(hosts, o.Host) {
			hosts = append(hosts, o.Host)
		}
	}
	slices.Sort(hosts)
	return Tell(c, w.memory(), Estate{Hosts: hosts})
}

func ent(t model.EntityType, r model.Role, v string) model.Entity {
	return model.Entity{Type: t, Role: r, Value: v}
}

func proc(r model.Role, guid, image string) model.Entity {
	return model.Entity{Type: model.Process, Role: r, Value: guid, Name: image}
}

const (
	ws  = "ws1.corp.example"
	srv = "srv1.corp.example"
)

// workstation is a download that its user runs, which reads credentials and goes
// on to a server; a second sensor reports one of the acts as well.
func workstation() (*tale, []*model.Alert) {
	w := &tale{}
	alice := ent(model.User, model.Actor, `corp\alice`)
	evil := `C:\Users\alice\Downloads\evil.exe`
	cmd := `C:\Windows\System32\cmd.exe`
	w.see(-3600, model.ActScript, "quiet.corp.example", "backup", ent(model.User, model.Actor, `corp\backup`))
	w.see(0, model.ActFileWrite, ws, "", proc(model.Actor, "edge", `C:\Program Files\Edge\msedge.exe`), ent(model.File, model.Object, ws+`:c:\users\alice\downloads\evil.exe`))
	w.see(30, model.ActProcessStart, ws, evil, proc(model.Subject, "evil", evil), proc(model.Parent, "explorer", `C:\Windows\explorer.exe`), alice,
		ent(model.File, model.Object, ws+`:c:\users\alice\downloads\evil.exe`))
	a1 := w.alert(w.see(60, model.ActProcessStart, ws, "cmd.exe /c start", proc(model.Subject, "cmd", cmd), proc(model.Parent, "evil", evil), alice), "Shell from a download", model.Medium, "attack.execution", "attack.t1059.003")
	w.see(70, model.ActProcessStart, ws, "whoami /all", proc(model.Subject, "who", `C:\Windows\System32\whoami.exe`), proc(model.Parent, "cmd", cmd), alice)
	open := func(at float64) *model.Observation {
		return w.see(at, model.ActProcessAccess, ws, "0x1fffff", proc(model.Actor, "cmd", cmd), proc(model.Target, "lsass", `C:\Windows\System32\lsass.exe`), alice)
	}
	first := open(90)
	a2 := w.alert(first, "LSASS opened", model.Critical, "attack.credential-access", "attack.t1003.001")
	a3 := w.alert(first, "Odd access rights", model.Low, "attack.credential-access")
	a4 := w.alert(open(90.5), "LSASS opened", model.Critical, "attack.credential-access", "attack.t1003.001") // as the second sensor saw it
	a5 := w.alert(w.see(120, model.ActFileDelete, ws, "", proc(model.Actor, "cmd", cmd), ent(model.File, model.Object, ws+`:c:\users\alice\lsass.dmp`), alice),
		"Dump deleted", model.Medium, "attack.stealth", "attack.t1070.004")
	a6 := w.alert(w.see(400, model.ActLogon, srv, "", ent(model.User, model.Target, `corp\alice`), ent(model.Session, model.Target, srv+":0x77"), ent(model.Host, model.Src, ws), ent(model.Host, model.Subject, srv)),
		"Log-on from a workstation", model.Medium, "attack.lateral-movement", "attack.t1021")
	return w, []*model.Alert{a1, a2, a3, a4, a5, a6}
}

func stepWith(t *testing.T, in *model.Incident, alert string) model.Step {
	t.Helper()
	var found []model.Step
	for _, s := range in.Steps {
		if slices.Contains(s.Alerts, alert) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("alert %s stands in %d steps", alert, len(found))
	}
	return found[0]
}

func TestTell(t *testing.T) {
	w, core := workstation()
	in := w.tell(core...)

	r := in.Root
	if r.Host != ws || r.User != `corp\alice` || !strings.HasSuffix(r.Process, "evil.exe") || r.Event != "e-002" || r.Technique != "T1204.002" ||
		r.Entity != "process:evil" || r.Confidence < 0.5 || r.Confidence >= 1 {
		t.Errorf("root %+v", r)
	}
	if !strings.Contains(r.Why, "msedge.exe") {
		t.Errorf("why: %s", r.Why)
	}

	opened := stepWith(t, in, core[1].ID)
	for _, a := range core[2:4] {
		if s := stepWith(t, in, a.ID); s.N != opened.N {
			t.Errorf("%s is told apart, in step %d", a.ID, s.N)
		}
	}
	if strings.Contains(opened.Summary, "more like it") {
		t.Errorf("one act counted twice: %s", opened.Summary)
	}
	if opened.Technique != "T1003.001" || opened.Tactic != knowledge.CredentialAccess || opened.Host != ws || opened.To != "lsass.exe" {
		t.Errorf("%+v", opened)
	}
	if who := slices.IndexFunc(in.Steps, func(s model.Step) bool { return s.Technique == "T1033" }); who < 0 {
		t.Error("whoami, which no rule saw, is not told")
	} else if s := in.Steps[who]; len(s.Alerts) != 0 || !slices.Contains(s.Events, "e-004") || s.Tactic != knowledge.Discovery {
		t.Errorf("%+v", s)
	}
	shell := stepWith(t, in, core[0].ID)
	if !slices.Contains(opened.CausedBy, shell.N) {
		t.Errorf("opening comes of %v, the shell is step %d", opened.CausedBy, shell.N)
	}
	hidden := stepWith(t, in, core[4].ID)
	if hidden.CloudStep == "" || hidden.Stage != model.StageObfuscation {
		t.Errorf("hiding: %+v", hidden)
	}
	moved := stepWith(t, in, core[5].ID)
	if moved.Host != srv || moved.From != ws {
		t.Errorf("%+v", moved)
	}

	for list, want := range map[*[]string][]string{&in.Impact.Compromised: {"host:" + ws, `user:corp\alice`}} {
		for _, x := range want {
			if !slices.Contains(*list, x) {
				t.Errorf("%q lacks %s", *list, x)
			}
		}
	}
	if !strings.Contains(in.Impact.Summary, "credentials were read on ws1") {
		t.Error(in.Impact.Summary)
	}
	if !strings.Contains(in.Title, "ws1") || !strings.Contains(in.Title, knowledge.TechniqueName("T1003.001")) {
		t.Error(in.Title)
	}
	text := said(in)
	for _, want := range []string{"evil.exe", "lsass.exe", "No sign of it on quiet"} {
		if !strings.Contains(text, want) {
			t.Errorf("the story does not say %q:\n%s", want, text)
		}
	}
	if !slices.IsSorted(in.Techniques) || !slices.Contains(in.Tactics, knowledge.Discovery) || in.Stages[0] == "" || len(in.CloudSteps) == 0 {
		t.Errorf("%v %v %v %v", in.Techniques, in.Tactics, in.Stages, in.CloudSteps)
	}
	check(t, w, in)
}

func said(in *model.Incident) string {
	var b strings.Builder
	for _, s := range in.Summary {
		b.WriteString(s.Text + "\n")
	}
	return b.String()
}

type fataler interface {
	Helper()
	Errorf(string, ...any)
}

// check is what holds of every story.
func check(t fataler, w *tale, in *model.Incident) {
	t.Helper()
	known := map[string]bool{}
	for _, o := range w.seen {
		known[o.Event] = true
	}
	for _, a := range w.alerts {
		known[a.ID] = true
	}
	if len(in.Steps) == 0 || len(in.Steps) > maxSteps {
		t.Errorf("%d steps", len(in.Steps))
	}
	for i, s := range in.Steps {
		if s.N != i+1 || i > 0 && s.Time.Before(in.Steps[i-1].Time) || s.End.Before(s.Time) {
			t.Errorf("step %d is number %d, %v to %v", i+1, s.N, s.Time, s.End)
		}
		if s.Summary == "" || s.Why == "" || s.CloudStep == "" || len(s.Alerts)+len(s.Events) == 0 {
			t.Errorf("step %d says nothing: %+v", s.N, s)
		}
		for _, n := range s.CausedBy {
			if n < 1 || n >= s.N {
				t.Errorf("step %d comes of step %d", s.N, n)
			}
		}
		for _, id := range slices.Concat(s.Alerts, s.Events) {
			if !known[id] {
				t.Errorf("step %d cites %s, which does not exist", s.N, id)
			}
		}
		if len(s.Summary) > 4000 {
			t.Errorf("a summary of %d bytes", len(s.Summary))
		}
	}
	cited := 0
	for _, s := range in.Summary {
		for _, id := range s.Cites {
			cited++
			if !known[id] {
				t.Errorf("a sentence cites %s, which does not exist", id)
			}
		}
		if len(s.Text) > 8000 {
			t.Errorf("a sentence of %d bytes", len(s.Text))
		}
	}
	n := 0
	for i, c := range in.Chapters { // every step stands in one chapter, in order
		if c.N != i+1 || c.From != n+1 || c.To < c.From || c.Title == "" || c.Text == "" || c.End.Before(c.Time) || !c.Time.Equal(in.Steps[c.From-1].Time) {
			t.Errorf("chapter %d: %+v", i+1, c)
		}
		n = c.To
		for _, id := range c.Cites {
			if !known[id] {
				t.Errorf("chapter %d cites %s, which does not exist", c.N, id)
			}
		}
	}
	if n != len(in.Steps) || len(in.Chapters) > maxChapters {
		t.Errorf("%d chapters tell %d of %d steps", len(in.Chapters), n, len(in.Steps))
	}
	if cited == 0 || in.Title == "" || strings.ContainsAny(in.Title, "\r\n") || len(in.Title) > 1000 {
		t.Errorf("%d citations; title of %d bytes %.100q", cited, len(in.Title), in.Title)
	}
	if in.Root.Why == "" || in.Root.Confidence <= 0 || in.Root.Confidence > 1 {
		t.Errorf("root %+v", in.Root)
	}
	if in.LastSeen.Before(in.FirstSeen) || in.Root.Time.Before(in.FirstSeen) {
		t.Errorf("from %v to %v, root %v", in.FirstSeen, in.LastSeen, in.Root.Time)
	}
}

// The account of a root that names none is that of who acts there next.
func TestRootUserFromNeighbour(t *testing.T) {
	w := &tale{}
	tool := `C:\Temp\tool.exe`
	a := w.alert(w.see(0, model.ActProcessAccess, ws, "", proc(model.Actor, "p1", tool), proc(model.Target, "lsass", `C:\Windows\System32\lsass.exe`)), "LSASS opened", model.High, "attack.credential-access", "attack.t1003.001")
	b := w.alert(w.see(30, model.ActFileWrite, ws, "", proc(model.Actor, "p1", tool), ent(model.File, model.Object, ws+`:c:\temp\x.dmp`), ent(model.User, model.Actor, `corp\eve`)), "Dump written", model.Medium, "attack.credential-access", "attack.t1003.001")
	if in := w.tell(a, b); in.Root.User != `corp\eve` {
		t.Errorf("root user %q", in.Root.User)
	}
	system := ent(model.User, model.Actor, ws+`\system`)
	w.alerts[1].Entities[2] = system
	if in := w.tell(a, b); in.Root.User != "" {
		t.Errorf("root user %q", in.Root.User)
	}
}

// A late burst of noise by another actor does not move the root away from the
// thread that carries a good share of the evidence and came first.
func TestRootOfEarlierThread(t *testing.T) {
	w := &tale{}
	act := func(at float64, guid, image, user, title string) *model.Alert {
		return w.alert(w.see(at, model.ActProcessAccess, ws, "", proc(model.Actor, guid, image), proc(model.Target, "t"+guid+title, `C:\x.exe`), ent(model.User, model.Actor, user)), title, model.Medium, "attack.execution", "attack.t1059")
	}
	core := []*model.Alert{act(0, "first", `C:\Users\e\first.exe`, `corp\eve`, "1"), act(10, "first", `C:\Users\e\first.exe`, `corp\eve`, "2"),
		act(600, "late", `C:\late.exe`, `corp\bob`, "3"), act(610, "late", `C:\late.exe`, `corp\bob`, "4"), act(620, "late", `C:\late.exe`, `corp\bob`, "5")}
	if in := w.tell(core...); !strings.HasSuffix(in.Root.Process, "first.exe") || in.Root.Alert != core[0].ID {
		t.Errorf("root %+v", in.Root)
	}
}

// Hiding serves what is done beside it: its cloud step is that of the nearest step
// on the same host.
func TestFloatingSteps(t *testing.T) {
	at := func(s int) time.Time { return dawn.Add(time.Duration(s) * time.Second) }
	steps := []model.Step{
		{Time: at(0), Host: "a", Tactic: knowledge.InitialAccess, CloudStep: model.StepAccess},
		{Time: at(100), Host: "a", Tactic: knowledge.Stealth},
		{Time: at(101), Host: "b", Tactic: knowledge.Exfiltration, CloudStep: model.StepActions},
		{Time: at(200), Host: "b", Tactic: knowledge.DefenseImpairment},
	}
	floatSteps(steps)
	if steps[1].CloudStep != model.StepAccess || steps[3].CloudStep != model.StepActions {
		t.Errorf("%v, %v", steps[1].CloudStep, steps[3].CloudStep)
	}
	alone := []model.Step{{Time: at(0), Tactic: knowledge.Stealth}}
	floatSteps(alone)
	if alone[0].CloudStep == "" {
		t.Error("a lone step has no cloud step")
	}
}

func TestCloudImpact(t *testing.T) {
	w := &tale{}
	key := ent(model.AccessKey, model.Actor, "AKIAEXAMPLE")
	ci := ent(model.User, model.Actor, "arn:aws:iam::1:user/ci")
	ip := ent(model.IP, model.Src, "203.0.113.9")
	add := func(at float64, act model.Act, call, title, tag string, level model.Severity, more ...model.Entity) *model.Alert {
		o := w.see(at, act, "", call, append([]model.Entity{key, ci, ip}, more...)...)
		o.Source, o.Subsystem = model.LogSource{Product: "aws"}, model.Storage
		return w.alert(o, title, level, strings.Fields(tag)...)
	}
	core := []*model.Alert{
		add(0, model.ActKeyIssued, "CreateAccessKey", "Key made", "attack.persistence attack.t1098.001", model.Medium, ent(model.AccessKey, model.Target, "AKIANEW")),
		add(60, model.ActObjectRead, "GetObject", "Bucket read", "attack.collection attack.t1530", model.High, ent(model.Resource, model.Target, "arn:aws:s3:::payroll")),
	}
	in := w.tell(core...)
	if !slices.Contains(in.Impact.Data, "resource:arn:aws:s3:::payroll") || !slices.Contains(in.Impact.Compromised, "access_key:AKIANEW") ||
		!slices.Contains(in.Impact.Compromised, "user:arn:aws:iam::1:user/ci") {
		t.Errorf("%+v", in.Impact)
	}
	if last := in.Steps[len(in.Steps)-1]; last.CloudStep != model.StepActions {
		t.Errorf("reading the bucket is %s", last.CloudStep)
	}
	check(t, w, in)
}

// The same case tells the same story, whatever the order in which it is handed in.
func TestTellIsDeterministic(t *testing.T) {
	w, core := workstation()
	render := func(core []*model.Alert) string {
		b, err := json.Marshal(w.tell(core...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := render(core)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		shuffled := slices.Clone(core)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := render(shuffled); got != want {
			t.Fatalf("another order, another story:\n%s\n%s", got, want)
		}
	}
}

// Whatever evidence says, a story is told, in bounds.
func TestHostileCases(t *testing.T) {
	nasty := []string{"", " ", "\x1b[2J\x07", "a\nb\r\nc", strings.Repeat("A", 100_000), "\xff\xfe", "\u202etxt.exe", `\\`, "/", ".", ":", "<script>alert(1)</script>", "%s%d%!", `corp\`, `\`}
	acts := []model.Act{model.ActNone, model.ActProcessStart, model.ActLogon, model.ActLogonFailed, model.ActConnect, model.ActFileWrite, model.ActInject, model.ActProcessAccess,
		model.ActScript, model.ActAPICall, model.ActAssumeRole, model.ActKeyIssued, model.ActObjectRead, model.ActMailAccess, model.ActTicket, model.ActServiceInstall, model.ActDNS, model.Act(250)}
	types := []model.EntityType{model.Host, model.User, model.Process, model.File, model.IP, model.Session, model.AccessKey, model.IAMRole, model.Resource, model.Mailbox, model.App, "made up"}
	roles := []model.Role{model.Subject, model.Actor, model.Parent, model.Src, model.Dst, model.Target, model.Object, model.Sensor, ""}
	levels := []model.Severity{model.Informational, model.Low, model.Medium, model.High, model.Critical}
	tags := []string{"attack.t1059", "attack.stealth", "attack.impact", "attack.t9999", "nonsense", "attack.discovery", "attack.t1110"}
	rapid.Check(t, func(t *rapid.T) {
		w := &tale{}
		pick := func(what string, list []string) string { return rapid.SampledFrom(list).Draw(t, what) }
		at := 0.0
		var core []*model.Alert
		for i := range rapid.IntRange(1, 12).Draw(t, "events") {
			at += rapid.Float64Range(0, 5000).Draw(t, "gap")
			var es []model.Entity
			for range rapid.IntRange(0, 5).Draw(t, "entities") {
				es = append(es, model.Entity{Type: rapid.SampledFrom(types).Draw(t, "type"), Role: rapid.SampledFrom(roles).Draw(t, "role"),
					Value: pick("value", nasty), Name: pick("name", nasty), Alt: pick("alt", nasty)})
			}
			o := w.see(at, rapid.SampledFrom(acts).Draw(t, "act"), pick("host", nasty), pick("text", nasty), es...)
			if i == 0 || rapid.Bool().Draw(t, "alerted") {
				core = append(core, w.alert(o, pick("title", nasty), rapid.SampledFrom(levels).Draw(t, "level"), pick("tag", tags)))
			}
		}
		check(t, w, w.tell(core...))
	})
}

// A case of thousands of alerts stays within the limits of a story.
func TestLargeCase(t *testing.T) {
	w := &tale{}
	var core []*model.Alert
	for i := range 3000 {
		guid := fmt.Sprint("p", i)
		o := w.see(float64(i), model.ActProcessStart, fmt.Sprintf("h%d", i%400), "x", proc(model.Subject, guid, fmt.Sprintf(`C:\Users\x\%d.exe`, i)), proc(model.Parent, fmt.Sprint("p", i-1), "x"),
			ent(model.User, model.Actor, fmt.Sprintf(`corp\u%d`, i)))
		core = append(core, w.alert(o, "Odd program", model.Medium, "attack.execution", "attack.t1204.002"))
	}
	in := w.tell(core...)
	check(t, w, in)
	if len(in.Entities) > maxEntities || len(in.Impact.Compromised) > maxListed || len(in.Alerts) != len(core) {
		t.Errorf("%d entities, %d compromised, %d alerts", len(in.Entities), len(in.Impact.Compromised), len(in.Alerts))
	}
}

// A correlation says that acts belong together: they are told as themselves, at their
// own times, and it moves neither the order of the steps nor the root.
func TestPatternIsNoAct(t *testing.T) {
	w := &tale{}
	act := func(at float64, guid, user, title string) *model.Alert {
		return w.alert(w.see(at, model.ActProcessAccess, ws, "", proc(model.Actor, guid, `C:\`+guid+`.exe`), proc(model.Target, "t"+guid+title, `C:\x.exe`), ent(model.User, model.Actor, user)), title, model.Medium, "attack.execution", "attack.t1059")
	}
	core := []*model.Alert{act(0, "first", `corp\eve`, "1"), act(10, "first", `corp\eve`, "2"), act(600, "late", `corp\bob`, "3")}
	plain := w.tell(core...)
	both := w.alert(w.seen[2], "One, then the other", model.Critical, "attack.impact", "attack.t1486")
	both.Pattern, both.Act, both.Time = true, model.ActNone, core[0].Time
	both.Evidence = []model.Evidence{core[0].Evidence[0], core[2].Evidence[0]}
	in := w.tell(append(core, both)...)
	if len(in.Steps) != len(plain.Steps) || in.Root.Alert != plain.Root.Alert {
		t.Fatalf("%d steps and root %s, want %d and %s", len(in.Steps), in.Root.Alert, len(plain.Steps), plain.Root.Alert)
	}
	for i, s := range in.Steps {
		if !s.Time.Equal(plain.Steps[i].Time) || s.Summary != plain.Steps[i].Summary || s.Technique != plain.Steps[i].Technique {
			t.Errorf("step %d is %+v, want %+v", i, s, plain.Steps[i])
		}
	}
	if last := in.Steps[len(in.Steps)-1]; !slices.Contains(last.Alerts, both.ID) {
		t.Errorf("the last step has the alerts %q", last.Alerts)
	}
	lone := w.tell(both)
	if len(lone.Steps) != 1 || !lone.Steps[0].Time.Equal(both.End) {
		t.Errorf("steps of a pattern alone %+v", lone.Steps)
	}
}
