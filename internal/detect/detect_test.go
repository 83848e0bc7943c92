package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

var noon = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// try is an attempt to log on, made by hand.
func try(n int, at time.Duration, act model.Act, user, src string) *model.Observation {
	o := &model.Observation{Event: fmt.Sprintf("e-%04d", n), Time: noon.Add(at), Act: act, Host: "srv1", Format: "syslog",
		Source: model.LogSource{Product: "linux", Service: "sshd"}, Ref: model.Ref{Input: "auth.log", Record: int64(n)}}
	if user != "" {
		o.Entities = append(o.Entities, model.Entity{Type: model.User, Value: user, Role: model.Target})
	}
	if src != "" {
		o.Entities = append(o.Entities, model.Entity{Type: model.IP, Value: src, Role: model.Src})
	}
	return o
}

// ask is a request for a Kerberos ticket.
func ask(n int, at time.Duration, user, service string) *model.Observation {
	return &model.Observation{Event: fmt.Sprintf("e-%04d", n), Time: noon.Add(at), Act: model.ActTicket, Host: "dc1", Ref: model.Ref{Record: int64(n)},
		Entities: []model.Entity{{Type: model.User, Value: user, Role: model.Actor}, {Type: model.App, Value: service, Role: model.Target}}}
}

// feed returns what d raises over the stream.
func feed(d Detector, stream []*model.Observation) []*model.Alert {
	var out []*model.Alert
	for _, o := range stream {
		out = append(out, d.Observe(o)...)
	}
	return out
}

// fails is n refusals, one every gap, of accounts user(i).
func fails(n int, gap time.Duration, src string, user func(int) string) []*model.Observation {
	var out []*model.Observation
	for i := range n {
		out = append(out, try(i, time.Duration(i)*gap, model.ActLogonFailed, user(i), src))
	}
	return out
}

func one(name string) func(int) string { return func(int) string { return name } }

func many(i int) string { return fmt.Sprintf(`corp\user%d`, i) }

func TestStateful(t *testing.T) {
	const ip = "203.0.113.9"
	after := func(stream []*model.Observation, more ...*model.Observation) []*model.Observation {
		return append(stream, more...)
	}
	reversed := func(stream []*model.Observation) []*model.Observation { slices.Reverse(stream); return stream }
	tickets := func(services ...string) (out []*model.Observation) {
		for i, s := range services {
			out = append(out, ask(i, time.Duration(i)*time.Second, `corp\bob`, s))
		}
		return out
	}
	for _, c := range []struct {
		name   string
		make   func() Detector
		stream []*model.Observation
		want   []int // Count of each alert
	}{
		{"spray", NewSpray, fails(sprayUsers, time.Second, ip, many), []int{sprayUsers}},
		{"spray at too few", NewSpray, fails(sprayUsers-1, time.Second, ip, many), nil},
		{"spray at one again and again", NewSpray, fails(50, time.Second, ip, one(`corp\bob`)), nil},
		{"spray too slow", NewSpray, fails(20, guessSpan/(sprayUsers-1)+time.Second, ip, many), nil},
		{"spray told once", NewSpray, fails(100, time.Second, ip, many), []int{sprayUsers}},
		{"spray told again when it goes on", NewSpray, fails(100, guessSpan/50, ip, many), []int{sprayUsers, 51}},
		{"spray out of order", NewSpray, reversed(fails(sprayUsers, time.Second, ip, many)), []int{sprayUsers}},
		{"spray from nowhere", NewSpray, fails(50, time.Second, "", many), nil},
		{"spray without names", NewSpray, fails(50, time.Second, ip, one("")), nil},
		{"spray that came late", NewSpray, after([]*model.Observation{try(99, 2*guessSpan, model.ActLogonFailed, "x", ip)}, fails(20, time.Second, ip, many)...), nil},

		{"brute force", NewBruteForce, fails(guessFails, time.Second, ip, one("root")), []int{guessFails}},
		{"brute force too few", NewBruteForce, fails(guessFails-1, time.Second, ip, one("root")), nil},
		{"brute force spread over accounts", NewBruteForce, fails(50, time.Second, ip, many), nil},
		{"brute force too slow", NewBruteForce, fails(50, guessSpan/(guessFails-1)+time.Second, ip, one("root")), nil},
		{"brute force out of order", NewBruteForce, reversed(fails(guessFails, time.Second, ip, one("root"))), []int{guessFails}},
		{"log-ons that succeed are no guesses", NewBruteForce, []*model.Observation{
			try(1, 0, model.ActLogon, "root", ip), try(2, 1, model.ActLogon, "root", ip), try(3, 2, model.ActLogon, "root", ip),
			try(4, 3, model.ActLogon, "root", ip), try(5, 4, model.ActLogon, "root", ip), try(6, 5, model.ActLogon, "root", ip)}, nil},

		{"guessed", NewGuessed, after(fails(guessFails, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "root", ip)), []int{1}},
		{"guessed under another spelling of the domain", NewGuessed, after(fails(guessFails, time.Second, ip, one(`corp\bob`)), try(99, time.Minute, model.ActLogon, "bob@corp.example", ip)), []int{1}},
		{"guessed by spraying", NewGuessed, after(fails(20, time.Second, ip, many), try(99, time.Minute, model.ActLogon, many(17), ip)), []int{1}},
		{"mistyped twice", NewGuessed, after(fails(2, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "root", ip)), nil},
		{"taken over", NewTakenOver, after(fails(machineFails, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "root", ip)), []int{1}},
		{"taken over after trying many accounts", NewTakenOver, after(fails(machineFails, time.Second, ip, many), try(99, time.Minute, model.ActLogon, many(2), ip)), []int{1}},
		{"an office behind one address", NewTakenOver, after(fails(8, time.Minute, ip, many), try(99, 10*time.Minute, model.ActLogon, many(2), ip)), nil},
		{"forgotten password", NewTakenOver, after(fails(machineFails-1, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "root", ip)), nil},
		{"another account", NewGuessed, after(fails(guessFails, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "alice", ip)), nil},
		{"another source", NewGuessed, after(fails(guessFails, time.Second, ip, one("root")), try(99, time.Minute, model.ActLogon, "root", "198.51.100.7")), nil},
		{"much later", NewGuessed, after(fails(guessFails, time.Second, ip, one("root")), try(99, successSpan+time.Minute, model.ActLogon, "root", ip)), nil},
		{"success first", NewGuessed, append([]*model.Observation{try(99, -time.Minute, model.ActLogon, "root", ip)}, fails(guessFails, time.Second, ip, one("root"))...), nil},
		{"a machine's own account", NewGuessed, after(fails(guessFails, time.Second, ip, one(`corp\pc1$`)), try(99, time.Minute, model.ActLogon, `corp\pc1$`, ip)), nil},
		{"guessed told once", NewGuessed, after(fails(guessFails, time.Second, ip, one("root")),
			try(98, time.Minute, model.ActLogon, "root", ip), try(99, 2*time.Minute, model.ActLogon, "root", ip)), []int{1}},

		{"roast", NewRoast, tickets("mssqlsvc", "httpsvc", "backup", "exchange"), []int{roastServices}},
		{"one service often", NewRoast, tickets("mssqlsvc", "mssqlsvc", "mssqlsvc", "mssqlsvc", "mssqlsvc"), nil},
		{"machine accounts and the ticket service", NewRoast, tickets("pc1$", "pc2$", "pc3$", "pc4$", "krbtgt", "krbtgt/corp"), nil},
		{"asked by a machine", NewRoast, []*model.Observation{ask(1, 0, `corp\pc1$`, "a"), ask(2, 1, `corp\pc1$`, "b"), ask(3, 2, `corp\pc1$`, "c"), ask(4, 3, `corp\pc1$`, "d")}, nil},
		{"asked over a day", NewRoast, []*model.Observation{ask(1, 0, "bob", "a"), ask(2, 6*time.Hour, "bob", "b"), ask(3, 12*time.Hour, "bob", "c"), ask(4, 18*time.Hour, "bob", "d")}, nil},
		{"asked by several people", NewRoast, []*model.Observation{ask(1, 0, "bob", "a"), ask(2, 1, "eve", "b"), ask(3, 2, "ann", "c"), ask(4, 3, "joe", "d")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.make()
			alerts := feed(d, c.stream)
			var got []int
			for _, a := range alerts {
				got = append(got, a.Count)
				if a.Time.After(a.End) || a.ID == "" || len(a.Evidence) == 0 || len(a.Entities) == 0 || a.Rule.ID != d.Definition().Rule.ID ||
					a.Severity != a.Rule.Level || len(a.Tags) == 0 {
					t.Errorf("incomplete: %+v", a)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("counts %v, want %v", got, c.want)
			}
		})
	}
}

// An alert about many attempts names the accounts and the evidence, in bounds.
func TestFromMany(t *testing.T) {
	stream := fails(5000, 10*time.Millisecond, "203.0.113.9", many)
	// The second alert comes when the first is a quarter of an hour old.
	for i := range 200 {
		stream = append(stream, try(6000+i, guessSpan+time.Duration(i)*time.Millisecond, model.ActLogonFailed, many(i), "203.0.113.9"))
	}
	alerts := feed(NewSpray(), stream)
	if len(alerts) != 2 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for _, a := range alerts {
		if len(a.Evidence) > maxGuessedBy || len(a.Entities) > 2*maxGuessedBy+2 {
			t.Errorf("%d records, %d entities", len(a.Evidence), len(a.Entities))
		}
	}
	first := alerts[0]
	for i := range sprayUsers {
		if !slices.ContainsFunc(first.Entities, func(e model.Entity) bool { return e.Value == many(i) && e.Role == model.Target }) {
			t.Errorf("%s is not named", many(i))
		}
	}
	if !first.Time.Equal(noon) || first.Evidence[0].ID != "e-0000" || first.Evidence[0].Input != "auth.log" {
		t.Errorf("begins %v with %+v", first.Time, first.Evidence[0])
	}
}

// Detectors do not change what they observe: others see it too.
func TestObserveLeavesAlone(t *testing.T) {
	stream := append(fails(20, time.Second, "203.0.113.9", many), try(99, time.Minute, model.ActLogon, many(3), "203.0.113.9"))
	before := fmt.Sprintf("%+v", *stream[3])
	for _, d := range []Detector{NewSpray(), NewBruteForce(), NewGuessed(), NewRoast()} {
		for _, a := range feed(d, stream) {
			a.Entities[0].Value = "changed"
		}
	}
	if after := fmt.Sprintf("%+v", *stream[3]); after != before {
		t.Errorf("%s\nwas %s", after, before)
	}
}

const whoami = `
title: Who am I
id: 11111111-1111-4111-8111-111111111111
level: low
tags: [attack.t1033]
logsource: {category: process_creation, product: windows}
detection:
  sel:
    Image|endswith: '\whoami.exe'
    CommandLine|contains: /all
  condition: sel
`

const unnamed = `
title: Any log-on
logsource: {product: windows, service: security}
detection:
  sel: {EventID: 4624}
  condition: sel
`

func engine(t *testing.T, names *model.Names, sources ...string) *Engine {
	t.Helper()
	var rules []*sigma.Rule
	for i, s := range sources {
		r, err := sigma.Parse(fmt.Sprintf("r%d.yml", i), []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r...)
	}
	set, err := sigma.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return New(names, set, func(r *sigma.Rule) bool { return r.ID != "" })
}

func TestMatcher(t *testing.T) {
	names := model.NewNames()
	e := engine(t, names, whoami, unnamed)
	m := e.NewMatcher()
	event := func(category, image, command string) *model.Event {
		return &model.Event{Source: model.LogSource{Product: "windows", Category: category}, Slots: []model.Slot{
			{Field: model.FImage, Text: image}, {Field: model.FCommandLine, Text: command},
			{Field: names.ID("a field that no rule names"), Text: "x"}, {Field: model.Unnamed, Text: "n\x00v"}}}
	}
	for _, c := range []struct {
		name string
		ev   *model.Event
		want int // index among the rules, -1 for none
	}{
		{"matches", event("process_creation", `C:\Windows\System32\WHOAMI.EXE`, "whoami /ALL"), 0},
		{"other arguments", event("process_creation", `C:\Windows\System32\whoami.exe`, "whoami"), -1},
		{"other log source", event("image_load", `C:\Windows\System32\whoami.exe`, "whoami /all"), -1},
		{"number", &model.Event{Source: model.LogSource{Product: "windows", Service: "security"}, Slots: []model.Slot{{Field: model.FEventID, Kind: model.Number, Text: "4624"}}}, 1},
		{"nothing left of the event before", &model.Event{Source: model.LogSource{Product: "windows", Service: "security"}}, -1},
	} {
		got := m.Match(c.ev)
		if c.want < 0 && len(got) > 0 || c.want >= 0 && !slices.Equal(got, []int{c.want}) {
			t.Errorf("%s: %v, want %d", c.name, got, c.want)
		}
	}
	// Fields that got their names after the engine was built are no rule's.
	late := event("process_creation", `C:\whoami.exe`, "/all")
	for i := range 100 {
		late.Slots = append(late.Slots, model.Slot{Field: names.ID(fmt.Sprint("late", i)), Text: "y"})
	}
	if got := m.Match(late); !slices.Equal(got, []int{0}) {
		t.Errorf("with late names: %v", got)
	}
}

func TestDefinitions(t *testing.T) {
	e := engine(t, model.NewNames(), whoami, unnamed)
	named, nameless := e.Definition(0), e.Definition(1)
	if named.Rule.Source != "builtin" || named.Rule.Level != model.Low || named.Tags[0] != "attack.t1033" {
		t.Errorf("%+v", named)
	}
	if nameless.Rule.Source != "r1.yml" || nameless.Rule.Level != model.Medium || !strings.HasPrefix(nameless.Rule.ID, "r-") {
		t.Errorf("%+v", nameless)
	}
	other := strings.Replace(strings.Replace(whoami, "1111", "2222", 1), "Who am I", "Who are you", 1)
	if a, b := engine(t, model.NewNames(), whoami, other).Digest(), engine(t, model.NewNames(), other, whoami).Digest(); a != b {
		t.Errorf("the digest depends on the order: %s, %s", a, b)
	}
	if a, b := e.Digest(), engine(t, model.NewNames(), whoami).Digest(); a == b {
		t.Errorf("the digest does not tell sets apart: %s", a)
	}
}

func TestAlert(t *testing.T) {
	o := try(7, 0, model.ActLogon, "root", "203.0.113.9")
	d := Definition{Rule: model.RuleInfo{ID: "r", Title: "T", Level: model.High}, Tags: []string{"attack.t1078"}}
	a := Alert(d, o)
	if a.ID != model.AlertID("r", "e-0007") || a.Count != 1 || !a.Time.Equal(noon) || !a.End.Equal(noon) || a.Severity != model.High ||
		a.Product != "linux/sshd" || a.Host != "srv1" || a.Act != model.ActLogon || a.Evidence[0].Record != 7 {
		t.Errorf("%+v", a)
	}
	a.Entities[0].Value = "changed"
	if o.Entities[0].Value != "root" {
		t.Error("the alert shares its entities with the observation")
	}
}

// TestOneAttemptToldByThreeLogs: sshd, its PAM module and the audit log tell of
// one refusal; it counts once.
func TestOneAttemptToldByThreeLogs(t *testing.T) {
	begin := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	d := NewBruteForce()
	n := 0
	for i := range guessFails - 1 {
		for j, format := range []string{"auditd", "syslog"} {
			o := &model.Observation{Event: fmt.Sprint("e-", i, j), Time: begin.Add(time.Duration(i)*10*time.Second + time.Duration(j)*time.Second), Act: model.ActLogonFailed,
				Host: "web", Format: format, Entities: []model.Entity{{Type: model.IP, Value: "203.0.113.9", Role: model.Src}, {Type: model.User, Value: `web\root`, Role: model.Target}}}
			n += len(d.Observe(o))
		}
	}
	if n != 0 {
		t.Errorf("%d attempts told twice raised %d alerts", guessFails-1, n)
	}
}
