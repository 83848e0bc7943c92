package app

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sourcesOf(t *testing.T, o Options) *Sources {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Sources()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSources(t *testing.T) {
	s := sourcesOf(t, Options{})
	by := map[string]Source{}
	for _, x := range s.Sources {
		if _, twice := by[x.Format]; twice {
			t.Errorf("%s stands twice", x.Format)
		}
		by[x.Format] = x
	}
	for _, c := range []struct {
		format, kind          string
		source, field, entity string
		act, component        string
	}{
		{"cloudtrail", "events", "product=aws service=cloudtrail", "eventName", "access_key/actor", "assume_role", "Web Credential Usage"},
		{"evtx", "events", "product=windows category=process_creation service=sysmon", "CommandLine", "process/parent", "process_start", "Process Creation"},
		{"kubernetes-audit", "events", "product=kubernetes category=application service=audit", "verb", "user/actor", "remote_exec", "Command Execution"},
		{"zeek", "events", "product=zeek service=conn", "", "ip/src", "connect", "Network Connection Creation"},
		{"aws-guardduty", "alerts", "", "", "access_key/actor", "", ""},
	} {
		x, ok := by[c.format]
		if !ok {
			t.Errorf("no source %s", c.format)
			continue
		}
		for _, p := range []struct {
			list []string
			want string
		}{{x.LogSources, c.source}, {x.Fields, c.field}, {x.Entities, c.entity}, {x.Acts, c.act}, {x.Components, c.component}} {
			if p.want != "" && !slices.Contains(p.list, p.want) {
				t.Errorf("%s gives %v, not %q", c.format, p.list, p.want)
			}
		}
		if x.Kind != c.kind || (c.kind == "events") != (x.Rules > 0) || len(x.Needs) != x.Rules {
			t.Errorf("%s: %s, %d rules, %d named", c.format, x.Kind, x.Rules, len(x.Needs))
		}
	}
	if s.Rules == 0 || len(s.Unfed) != 0 {
		t.Errorf("of %d rules of ours no source feeds %+v", s.Rules, s.Unfed)
	}
	one, _ := json.Marshal(s)
	two, _ := json.Marshal(sourcesOf(t, Options{}))
	if !bytes.Equal(one, two) {
		t.Error("two runs list different things")
	}
}

// A rule for a product that nothing reads is named, until a mapping reads it.
func TestSourcesUnfed(t *testing.T) {
	dir := t.TempDir()
	rule, mapping := filepath.Join(dir, "r.yml"), filepath.Join(dir, "m.yml")
	write(t, rule, "title: Door forced\nid: 6b0c6a0e-3f0e-4c5e-9d58-0e5f3a1c7b11\nlogsource: {product: acmedoor, service: access}\ndetection: {a: {Event: forced}, condition: a}\nlevel: high\n")
	write(t, mapping, "name: acme-door\nkind: event\nmatch: {columns: [when, door]}\nsource: {product: acmedoor, service: access}\ntime: {field: when}\nact: logon\nentities:\n  - {type: user, role: target, field: badge}\n")
	s := sourcesOf(t, Options{RuleDirs: []string{rule}, NoBuiltin: true})
	if s.Rules != 1 || len(s.Unfed) != 1 || s.Unfed[0].Title != "Door forced" || s.Unfed[0].LogSource != "product=acmedoor service=access" {
		t.Fatalf("%d rules, unfed %+v", s.Rules, s.Unfed)
	}
	var text bytes.Buffer
	if err := WriteSourcesText(&text, s); err != nil || !strings.Contains(text.String(), "1 of 1 rules have none") || !strings.Contains(text.String(), "product=acmedoor") {
		t.Errorf("%v\n%s", err, text.String())
	}
	s = sourcesOf(t, Options{RuleDirs: []string{rule}, NoBuiltin: true, Mappings: []string{mapping}})
	i := slices.IndexFunc(s.Sources, func(x Source) bool { return x.Format == "acme-door" })
	if len(s.Unfed) != 0 || i < 0 {
		t.Fatalf("with the mapping: unfed %+v, source %d", s.Unfed, i)
	}
	x := s.Sources[i]
	if x.Rules != 1 || x.Kind != "events" || !slices.Equal(x.Entities, []string{"user/target"}) || !slices.Equal(x.Acts, []string{"logon"}) || x.Mapping == "" {
		t.Errorf("%+v", x)
	}
	s.Sources = s.Sources[i : i+1]
	text.Reset()
	if err := WriteSourcesText(&text, s); err != nil || !strings.Contains(text.String(), "user/target") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What was not understood is said: a record that no shape knows, one that cannot be
// read, and an input in which nothing was found.
func TestDecodeTellsWhatItDidNotUnderstand(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text string
		clean      bool
		want       string
	}{
		{"notable.json", `{"_time":"2024-05-01T10:00:00Z","search_name":"Odd log-on","rule_title":"Odd log-on","urgency":"high","src":"203.0.113.9","dest":"ws1"}` + "\n", true, `"alert":`},
		{"broken.json", `{"eventVersion":"1.08","eventTime":` + "\n" + `{"timestamp":"2024-05-01T10:00:00Z","message":"fine"}` + "\n", false, `"error":`},
		{"words.txt", "hello world this is no log\n", false, "unknown format"},
		{"head.csv", "search_name,rule_title,urgency,src,dest,_time\n", true, "there is no record in it"},
	} {
		path := filepath.Join(dir, c.name)
		write(t, path, c.text)
		a, err := New(Options{NoBuiltin: true})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		clean, err := a.Decode(t.Context(), []string{path}, &out)
		if err != nil || clean != c.clean || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: clean %v, %v, without %s in\n%s", c.name, clean, err, c.want, out.String())
		}
	}
}

// Of each record it is said which field became which entity, which fields gave
// nothing, and what stands in no field at all.
func TestDecodeTellsWhatBecameOfFields(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		from      map[string]string // the first field of an entity, by type and role
		not, left []string
	}{
		"JSON": {`{"source":"PINGID","id":"1","recorded":"2024-03-03T10:00:00.763Z","actors":[{"type":"user","name":"Bob"}],"resources":[{"ipaddress":"203.0.113.9","devicemodel":"x9"}],"result":{"status":"SUCCESS","message":"Swipe"}}`,
			map[string]string{"user/target": "actors.name", "ip/src": "resources.ipaddress"}, []string{"actors.type", "resources.devicemodel"}, nil},
		"JSON whose shape leaves columns out": {`{"TimeGenerated":"2024-03-03T10:00:00.5Z","Computer":"Web01","SyslogMessage":"Failed password for root from 203.0.113.7 port 5 ssh2","ProcessName":"sshd","ProcessID":77,"Facility":"authpriv","TenantId":"tenant-7","Type":"Syslog"}`,
			map[string]string{"user/target": "user", "ip/src": "remote_ip"}, nil, []string{"tenant-7", "Syslog"}},
		"a line": {`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be backups [04/Mar/2024:10:00:01 +0000] 203.0.113.9 arn:aws:iam::111122223333:user/eve 3E57427F REST.GET.OBJECT db.dump "GET /backups/db.dump HTTP/1.1" 200 - 4096 4096 71 88 "-" "aws-cli/2" -`,
			map[string]string{"user/actor": "userIdentity.arn", "ip/src": "remote_ip", "resource/target": "requestParameters.bucketName"}, nil,
			[]string{"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be", "3E57427F", "71", "88"}},
		"syslog": {"<34>Mar  3 10:00:00 web1 sshd[5]: Failed password for root from 203.0.113.7 port 5 ssh2", map[string]string{"user/target": "user", "host/subject": "hostname"}, nil, nil},
		"XML": {`<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-Security-Auditing"/><EventID>4624</EventID><TimeCreated SystemTime="2024-03-03T10:00:00Z"/><Channel>Security</Channel><Computer>pc1</Computer></System>` +
			`<EventData><Data Name="TargetUserName">bob</Data><Data Name="TargetDomainName">CORP</Data><Data Name="OddNewField">7</Data></EventData></Event>`,
			map[string]string{"host/subject": "Computer"}, []string{"OddNewField"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "evidence")
			write(t, path, c.text+"\n")
			a, err := New(Options{NoBuiltin: true, Year: 2024})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := a.Decode(t.Context(), []string{path}, &out); err != nil {
				t.Fatal(err)
			}
			var d Decoded
			if err := json.NewDecoder(&out).Decode(&d); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, e := range d.Entities {
				if len(e.From) > 0 {
					got[string(e.Type)+"/"+string(e.Role)] = e.From[0]
				}
			}
			for entity, field := range c.from {
				if got[entity] != field {
					t.Errorf("%s comes from %q, want %q", entity, got[entity], field)
				}
			}
			if !slices.Equal(d.NotUnderstood, c.not) || !slices.Equal(d.LeftOut, c.left) {
				t.Errorf("not understood %q, left out %q; want %q and %q", d.NotUnderstood, d.LeftOut, c.not, c.left)
			}
		})
	}
}

// No bytes whatever end the telling of what became of them.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"eventVersion":"1.08","eventTime":"2024-03-03T10:00:00Z","eventSource":"iam.amazonaws.com","eventName":"A","x":"{\"y\":[1,\"z\"]}"}`))
	f.Add([]byte("<34>Mar  3 10:00:00 web1 sshd[5]: Failed password for root from 203.0.113.7 port 5 ssh2\n"))
	f.Add([]byte(`<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><EventID>1</EventID></System><EventData><Data Name="A">b</Data></EventData></Event>`))
	a, err := New(Options{NoBuiltin: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := *a
		b.opt.Stdin = bytes.NewReader(data)
		if _, err := b.Decode(t.Context(), []string{"-"}, io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
