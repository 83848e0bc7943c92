package decode

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const acmeAlerts = `name: acme
match:
  columns: [when, title]
  equals: {vendor: Acme}
derive:
  - {name: what, field: title, pattern: '^\[(\w+)\]'}
product: "Acme {what}"
time: {field: when, format: "2006-01-02 15:04:05", zone: Europe/Berlin}
rule: {id: "acme/{what}", title: "{title} {{literal}"}
severity: {field: prio, map: {"1": critical, P2: low}, default: medium}
subsystem: network
entities:
  - {type: host, role: subject, field: box}
  - {type: user, role: actor, field: who, host: box}
  - {type: ip, role: src, field: addr}
  - {type: file, role: object, field: path, host: box}
techniques: {field: mitre}
tactics: {field: tactic}
cases:
  - {field: title, contains: ["Brute Force"], techniques: [T1110], tactics: [credential-access], severity: high}
  - {field: title, regex: 'x{2,}', techniques: [T1059.004]}
  - {field: title, exact: "[A] only this", subsystem: identity}
dedupe: [key]
ignore: [truth]
`

func mapRow(t *testing.T, src string, pairs ...string) (*Batch, error) {
	t.Helper()
	m, err := ParseMapping("acme.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	names := model.NewNames()
	bm := m.bind(names, nil)[0]
	b := &Batch{}
	for i := 0; i+1 < len(pairs); i += 2 {
		b.Slot(names.ID(pairs[i]), model.String, pairs[i+1])
	}
	if !bm.matches(b) {
		t.Fatalf("row %v does not match", pairs)
	}
	return b, bm.emit(b, model.Event{Ref: model.Ref{Input: "in", Record: 7, Offset: 9}, Raw: []byte(strings.Join(pairs, "|"))})
}

func TestMappingMakesAlerts(t *testing.T) {
	b, err := mapRow(t, acmeAlerts, "when", "2024-03-03 10:00:00", "title", "[A] brute force xxx", "vendor", "Acme", "prio", "p2", "box", "WEB01.", "who", "Bob",
		"addr", "::ffff:1.2.3.4", "path", "/Tmp/x", "mitre", "see T1059.001, T1110; not T12", "tactic", "Lateral Movement;execution", "truth", "attack!", "key", "k1")
	if err != nil || len(b.Alerts) != 1 || len(b.Events) != 0 {
		t.Fatalf("%v, %d alerts", err, len(b.Alerts))
	}
	a := b.Alerts[0]
	if a.Product != "Acme A" || a.Rule.ID != "acme/A" || a.Rule.Title != "[A] brute force xxx {literal}" || a.Severity != model.High || a.Rule.Level != model.High {
		t.Errorf("%+v severity %s", a.Rule, a.Severity)
	}
	if got := a.Time.Format("15:04:05"); got != "09:00:00" {
		t.Errorf("time %s", got)
	}
	if got := strings.Join(a.Techniques, " "); got != "T1059.001 T1110 T1059.004" {
		t.Errorf("techniques %s", got)
	}
	if got := strings.Join(a.Tactics, " "); got != "lateral-movement execution credential-access" {
		t.Errorf("tactics %s", got)
	}
	var es []string
	for _, e := range a.Entities {
		es = append(es, string(e.Type)+"/"+string(e.Role)+"="+e.Value)
	}
	if got := strings.Join(es, " "); got != `host/subject=web01 user/actor=web01\bob ip/src=1.2.3.4 file/object=web01:/tmp/x` {
		t.Errorf("entities %s", got)
	}
	var evidence map[string]string
	if err := json.Unmarshal(a.Evidence[0].Event, &evidence); err != nil || evidence["truth"] != "" || evidence["who"] != "Bob" {
		t.Errorf("evidence %s: %v", a.Evidence[0].Event, err)
	}
	if a.Raw["prio"] != "p2" || a.Raw["tactic"] != "Lateral Movement;execution" {
		t.Errorf("raw %v", a.Raw)
	}
	other, _ := mapRow(t, acmeAlerts, "when", "2024-03-03 11:00:00", "title", "[A] again", "vendor", "Acme", "key", "k1")
	if other.Alerts[0].ID != a.ID {
		t.Error("rows equal in dedupe have two ids")
	}
	if other.Alerts[0].Severity != model.Medium {
		t.Errorf("default severity is %s", other.Alerts[0].Severity)
	}
	bad, err := mapRow(t, acmeAlerts, "when", "yesterday", "title", "x", "vendor", "Acme")
	if err == nil || len(bad.Alerts) != 0 || len(bad.Open()) != 0 {
		t.Errorf("a row without a time: %v, %d alerts", err, len(bad.Alerts))
	}
}

func TestMappingMakesEvents(t *testing.T) {
	const src = `name: vpn
kind: event
match: {columns: [ts, account, verdict]}
source: {product: acmevpn, service: audit}
time: {field: ts, format: epoch_ms}
code: "login_{verdict}"
host: "{gateway}"
act: logon
fields: {User: "{account}"}
entities: [{type: user, role: target, field: account}]
ignore: [label]
`
	b, err := mapRow(t, src, "ts", "1709460000123", "account", "Bob@example.com", "verdict", "ok", "gateway", "GW1", "label", "x")
	if err != nil || len(b.Events) != 1 || len(b.Alerts) != 0 {
		t.Fatalf("%v, %d events", err, len(b.Events))
	}
	e := &b.Events[0]
	if e.Source.Product != "acmevpn" || e.Code != "login_ok" || e.Host != "gw1" || e.Act != model.ActLogon || e.Text(model.FUser) != "Bob@example.com" || len(e.Slots) != 5 {
		t.Errorf("%+v", e)
	}
	if e.Time.Nanosecond() != 123e6 || e.Entities[0].Value != "bob@example.com" {
		t.Errorf("time %v entities %v", e.Time, e.Entities)
	}
}

func TestMappingErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"name: acme\n", "", "name is missing"},
		{"severity: {field: prio, map: {\"1\": critical", "severity: {field: prio, map: {\"1\": urgent", `acme.yml:10: "urgent" is no severity`},
		{"role: src", "role: source", `acme.yml:15: "source" is no role`},
		{"type: ip", "type: address", `acme.yml:15: "address" is no entity type`},
		{"pattern: '^\\[(\\w+)\\]'", "pattern: '['", "acme.yml:6: error parsing regexp"},
		{"pattern: '^\\[(\\w+)\\]'", "pattern: 'x'", "acme.yml:6: a derived field needs"},
		{"format: \"2006-01-02 15:04:05\"", "format: iso", "acme.yml:8: "},
		{"zone: Europe/Berlin", "zone: Mars/Base", "acme.yml:8: "},
		{"techniques: [T1110]", "techniques: [brute]", `acme.yml:20: "brute" is no technique id`},
		{"subsystem: network", "subsystem: cloud", `acme.yml:11: "cloud" is no subsystem`},
		{"ignore: [truth]", "ignore: [title]", `field "title" is both ignored and used`},
		{"dedupe: [key]", "dedup: [key]", `acme.yml:23: unknown key "dedup"`},
		{"dedupe: [key]", "name: again", `acme.yml:23: key "name" twice`},
		{"product: \"Acme {what}\"", "product: \"Acme {\"", "acme.yml:7: "},
		{"match:", "match: [", "acme.yml: "},
	} {
		if !strings.Contains(acmeAlerts, c.from) {
			t.Fatalf("%q is not in the mapping", c.from)
		}
		_, err := ParseMapping("acme.yml", []byte(strings.Replace(acmeAlerts, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q -> %q: %v, want %q", c.from, c.to, err, c.want)
		}
	}
	for _, src := range []string{"", "- a", "a: &x [*x]", "x", strings.Repeat("[", 100000)} {
		if _, err := ParseMapping("m.yml", []byte(src)); err == nil {
			t.Errorf("%.20q was taken for a mapping", src)
		}
	}
}

func TestMappedTimes(t *testing.T) {
	for _, c := range []struct{ in, format, want string }{
		{"1709460000", "epoch_s", "2024-03-03T10:00:00Z"},
		{" 1709460000.5 ", "epoch_s", "2024-03-03T10:00:00.5Z"},
		{"1709460000123", "epoch_ms", "2024-03-03T10:00:00.123Z"},
		{"1709460000123456", "epoch_us", "2024-03-03T10:00:00.123456Z"},
		{"2024-03-03T10:00:00+01:00", "rfc3339", "2024-03-03T09:00:00Z"},
		{"2024-03-03 10:00:00.25", "rfc3339", "2024-03-03T10:00:00.25Z"},
		{"9999999999999", "epoch_s", ""},
		{"", "epoch_s", ""},
		{"1.x", "epoch_s", ""},
		{"x", "rfc3339", ""},
	} {
		got, err := parseMappedTime(c.in, c.format, time.UTC)
		text := ""
		if err == nil {
			text = got.Format("2006-01-02T15:04:05.999999999Z07:00")
		}
		if text != c.want {
			t.Errorf("%q as %s: %q (%v), want %q", c.in, c.format, text, err, c.want)
		}
	}
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte(acmeAlerts), "2024-03-03 10:00:00")
	f.Add([]byte("name: a\nmatch: {columns: [t]}\nkind: event\nsource: {product: p}\ntime: {field: t}\n"), "2024-03-03T10:00:00Z")
	f.Add([]byte("a: &a [*a, *a]\nb: !!binary x\n"), "")
	f.Fuzz(func(t *testing.T, src []byte, value string) {
		m, err := ParseMapping("f.yml", src)
		if err != nil {
			return
		}
		names := model.NewNames()
		b := &Batch{}
		for _, bm := range m.bind(names, nil) {
			for _, c := range m.columns {
				b.Slot(names.ID(bm.form.path(c)), model.String, value)
			}
			if err := bm.emit(b, model.Event{Raw: []byte(value)}); err != nil {
				return
			}
		}
		for _, a := range b.Alerts {
			if !json.Valid(a.Evidence[0].Event) {
				t.Fatalf("evidence is no JSON: %s", a.Evidence[0].Event)
			}
		}
	})
}
