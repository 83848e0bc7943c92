package decode

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

const auditExec = `node=Web01 type=SYSCALL msg=audit(1709460000.123:77): arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e a2=55f a3=8 items=2 ppid=900 pid=901 auid=1000 uid=33 gid=33 euid=33 tty=pts0 ses=4 comm="sh" exe="/usr/bin/dash" key="exec"` + "\x1d" + `ARCH=x86_64 SYSCALL=execve AUID="bob" UID="www-data"
node=Web01 type=SYSCALL msg=audit(1709460000.124:78): arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7ff a2=10 a3=0 items=0 ppid=900 pid=902 auid=4294967295 uid=33 ses=4294967295 comm="nc" exe="/usr/bin/nc" key=(null)
node=Web01 type=EXECVE msg=audit(1709460000.123:77): argc=3 a0="sh" a1="-c" a2=6964203E202F746D702F78
node=Web01 type=SOCKADDR msg=audit(1709460000.124:78): saddr=0200115CC00002070000000000000000
node=Web01 type=CWD msg=audit(1709460000.123:77): cwd="/var/www"
node=Web01 type=PATH msg=audit(1709460000.123:77): item=0 name="/bin/sh" nametype=NORMAL
node=Web01 type=PROCTITLE msg=audit(1709460000.123:77): proctitle=7368002D63006964
`

func TestAuditdJoinsSerials(t *testing.T) {
	names := model.NewNames()
	d := Auditd(Options{Names: names})
	if n := d.Sniff([]byte(auditExec)); n < 80 {
		t.Fatalf("sniffed %d", n)
	}
	b, bad := decodeAll(t, d, "audit.log", []byte(auditExec))
	if len(b.Events) != 2 || len(bad) != 0 || b.Records != 7 {
		t.Fatalf("%d events of %d records, %v", len(b.Events), b.Records, bad)
	}
	e := &b.Events[0]
	if e.Source != (model.LogSource{Product: "linux", Category: "process_creation", Service: "auditd"}) || e.Host != "web01" || !e.Sensed.Equal(e.Time) {
		t.Errorf("source %+v host %q", e.Source, e.Host)
	}
	if got := e.Time.Format("2006-01-02T15:04:05.000Z"); got != "2024-03-03T10:00:00.123Z" {
		t.Errorf("time %s", got)
	}
	for name, want := range map[string]string{"CommandLine": "sh -c id > /tmp/x", "Image": "/usr/bin/dash", "User": "www-data", "ProcessId": "901", "ParentProcessId": "900",
		"CurrentDirectory": "/var/www", "SYSCALL": "execve", "syscall": "59", "key": "exec", "proctitle": "sh -c id", "exe": "/usr/bin/dash", "comm": "sh"} {
		if got := e.Text(names.ID(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	has := func(e *model.Event, name, value string) bool {
		for _, s := range e.Slots {
			if names.Name(s.Field) == name && s.Text == value {
				return true
			}
		}
		return false
	}
	for _, p := range [][2]string{{"type", "SYSCALL"}, {"type", "EXECVE"}, {"type", "PATH"}, {"a0", "sh"}, {"a0", "55d"}, {"a1", "-c"}, {"a2", "id > /tmp/x"}, {"name", "/bin/sh"}} {
		if !has(e, p[0], p[1]) {
			t.Errorf("%s lacks %q", p[0], p[1])
		}
	}
	if strings.Contains(string(e.Raw), "syscall=42") || !strings.Contains(string(e.Raw), "PROCTITLE") {
		t.Errorf("raw holds another's lines, or lacks its own: %s", e.Raw)
	}
	for i, want := range []string{
		`process_start execve auditd user/actor=web01\www-data process/subject=web01:901 process/parent=web01:900 file/object=web01:/usr/bin/dash session/actor=web01:4`,
		`connect connect auditd user/actor=web01\33 process/actor=web01:902 ip/dst=192.0.2.7`,
	} {
		if got := describeEvent(&b.Events[i]); got != want {
			t.Errorf("event %d:\n got %s\nwant %s", i, got, want)
		}
	}
	if got := b.Events[1].Text(model.FDestinationPort); got != "4444" {
		t.Errorf("port %q", got)
	}
}

func TestAuditdRecords(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`type=USER_LOGIN msg=audit(1709460000.123:80): pid=7 uid=0 auid=1000 ses=5 msg='op=login id=1000 exe="/usr/sbin/sshd" hostname=203.0.113.7 addr=203.0.113.7 terminal=/dev/pts/1 res=success'`,
			`logon USER_LOGIN auditd user/target=h\1000 session/target=h:5 ip/src=203.0.113.7 process/actor=h:7`},
		{`type=USER_LOGIN msg=audit(1709460000.123:81): pid=7 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct="root" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.7 terminal=ssh res=failed'`,
			`logon_failed USER_LOGIN auditd user/target=h\root ip/src=203.0.113.7 process/actor=h:7`},
		{`type=USER_CMD msg=audit(1709460000.123:82): pid=8 uid=1000 auid=1000 ses=5 msg='cwd="/root" cmd=636174202F6574632F736861646F77 terminal=pts/1 res=success'`,
			`process_start USER_CMD auditd user/actor=h\1000 session/actor=h:5`},
		{`type=ADD_USER msg=audit(1709460000.123:83): pid=9 uid=0 auid=1000 ses=5 msg='op=adding-user acct="svc" exe="/usr/sbin/useradd" hostname=h addr=? terminal=pts/1 res=success'`,
			`account_change ADD_USER auditd user/actor=h\root user/target=h\svc process/actor=h:9 session/actor=h:5`},
		{`type=CONFIG_CHANGE msg=audit(1709460000.123:84): audit_enabled=0 old=1 auid=1000 ses=5 res=1`,
			`log_cleared CONFIG_CHANGE auditd session/actor=h:5`},
		{`type=DAEMON_END msg=audit(1709460000.123:85): op=terminate auid=0 pid=1 res=success`,
			`log_cleared DAEMON_END auditd process/actor=h:1`},
		{`type=AUOMS_EXECVE audit(1709460000.123:86): node=h arch=x86_64 syscall=execve success=yes exit=0 a0=7f ppid=10 pid=11 user=tomcat uid=1001 auid=4294967295 ses="-1" comm="bash" exe="/bin/bash" cwd="/" name="/bin/bash" nametype=NORMAL argc=3 cmdline="bash -c "{echo,aWQ=}|bash" x=1" redactors= containerid=`,
			`process_start execve auditd user/actor=h\tomcat process/subject=h:11 process/parent=h:10 file/object=h:/bin/bash`},
		{`Mar  3 10:00:00 h kernel: [12.5] audit: type=1131 audit(1709460000.123:87): pid=1 uid=0 msg='unit=auditd comm="systemd" res=success'`,
			`log_cleared SERVICE_STOP auditd user/actor=h\root process/actor=h:1`},
	} {
		line := c.line
		if !strings.Contains(line, "node=") && !strings.HasPrefix(line, "Mar") {
			line = "node=H " + line
		}
		d := Auditd(Options{Names: model.NewNames()})
		if strings.HasPrefix(line, "Mar") {
			d = Syslog(Options{Names: model.NewNames(), Year: 2024})
		}
		b, bad := decodeAll(t, d, "audit.log", []byte(line))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", line, len(b.Events), bad)
			continue
		}
		if got := describeEvent(&b.Events[0]); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", line, got, c.want)
		}
	}
}

func TestAuditdFiles(t *testing.T) {
	const in = `node=h type=SYSCALL msg=audit(1709460000.1:1): arch=c00000b7 syscall=56 success=yes exit=3 a0=ffffff9c a1=55 a2=241 a3=1b6 ppid=1 pid=2 uid=0 exe="/bin/sh"
node=h type=CWD msg=audit(1709460000.1:1): cwd="/etc/cron.d"
node=h type=PATH msg=audit(1709460000.1:1): item=0 name="/etc/cron.d" nametype=PARENT
node=h type=PATH msg=audit(1709460000.1:1): item=1 name="./job" nametype=CREATE
node=h type=SYSCALL msg=audit(1709460000.2:2): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=55 a2=80000 a3=0 ppid=1 pid=2 uid=0 exe="/bin/cat"
node=h type=PATH msg=audit(1709460000.2:2): item=0 name="/etc/shadow" nametype=NORMAL
node=h type=SYSCALL msg=audit(1709460000.3:3): arch=c000003e syscall=263 success=yes exit=0 ppid=1 pid=2 uid=0 exe="/bin/rm"
node=h type=PATH msg=audit(1709460000.3:3): item=1 name=2F7661722F6C6F672F6120626C6F67 nametype=DELETE
node=h type=SYSCALL msg=audit(1709460000.4:4): arch=c000003e syscall=263 success=no exit=-2 ppid=1 pid=2 uid=0 exe="/bin/rm"
node=h type=PATH msg=audit(1709460000.4:4): item=1 name="/x" nametype=UNKNOWN
`
	b, bad := decodeAll(t, Auditd(Options{Names: model.NewNames()}), "a", []byte(in))
	if len(b.Events) != 4 || len(bad) != 0 {
		t.Fatalf("%d events, %v", len(b.Events), bad)
	}
	for i, want := range []struct{ act, category, file string }{
		{"file_write", "file_event", "/etc/cron.d/job"},
		{"file_read", "", "/etc/shadow"},
		{"file_delete", "file_delete", "/var/log/a blog"},
		{"none", "", "/x"},
	} {
		e := &b.Events[i]
		if e.Act.String() != want.act || e.Source.Category != want.category || e.Text(model.FTargetFilename) != want.file {
			t.Errorf("event %d: %s %q %q", i, e.Act, e.Source.Category, e.Text(model.FTargetFilename))
		}
	}
}

// Long arguments come in parts, and a record of another serial may stand at the
// end of a chunk.
func TestAuditdLongArguments(t *testing.T) {
	const in = "node=h type=SYSCALL msg=audit(1709460000.1:1): arch=c000003e syscall=59 success=yes ppid=1 pid=2 uid=0 exe=\"/bin/sh\"\n" +
		"node=h type=EXECVE msg=audit(1709460000.1:1): argc=2 a0=\"sh\" a1_len=8 a1[0]=61626364 a1[1]=65666768\n"
	b, _ := decodeAll(t, Auditd(Options{Names: model.NewNames()}), "a", []byte(in))
	if len(b.Events) != 1 || b.Events[0].Text(model.FCommandLine) != "sh abcdefgh" {
		t.Errorf("%d events, %q", len(b.Events), b.Events[0].Text(model.FCommandLine))
	}
	var long strings.Builder
	for i := range 9000 {
		long.WriteString(strings.ReplaceAll(in, ":1)", ":"+strconv.Itoa(i)+")"))
	}
	b, _ = decodeAll(t, Auditd(Options{Names: model.NewNames()}), "a", []byte(long.String()))
	if len(b.Events) != 9000 {
		t.Errorf("%d events", len(b.Events))
	}
	for i := range b.Events {
		if b.Events[i].Text(model.FCommandLine) == "" {
			t.Fatalf("event %d was cut from its command line", i)
		}
	}
}

func TestAuditdData(t *testing.T) {
	for name, data := range dataFiles(t, "linux/ait_audit/*.log", "crowdsec/auditd*/*.log", "splunk_attack_data/attack_techniques/T1068/linux_dirtyfrag/*.log") {
		d := Auditd(Options{Names: model.NewNames()})
		if d.Sniff(data[:min(len(data), SniffLen)]) < 80 {
			t.Errorf("%s is not known", name)
		}
		b, bad := decodeAll(t, d, name, data)
		if b.Skipped != 0 || len(b.Events) == 0 {
			t.Errorf("%s: %d events, %d of %d records skipped: %v", name, len(b.Events), b.Skipped, b.Records, bad)
		}
		for i := range b.Events {
			e := &b.Events[i]
			if e.Act == model.ActProcessStart && e.Text(model.FImage)+e.Text(model.FCommandLine) == "" {
				t.Errorf("%s: a process start without image and command line: %s", name, e.Raw)
			}
		}
	}
}

func FuzzAuditd(f *testing.F) {
	f.Add([]byte(auditExec))
	f.Add([]byte("type=EXECVE msg=audit(1.2:3): a4095=\"x\" a99999=41 a1[=\"\ntype=SYSCALL msg=audit(1.2:3): syscall=59 a='b='c'"))
	f.Add([]byte("type=AUOMS_X audit(1.2:3):cmdline=\" redactors= proctitle="))
	d := Auditd(Options{Names: model.NewNames()})
	f.Fuzz(func(t *testing.T, in []byte) {
		d.Sniff(in)
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Events))+b.Skipped > b.Records {
			t.Fatalf("%d events + %d skipped are more than %d records", len(b.Events), b.Skipped, b.Records)
		}
		for i := range b.Events {
			linuxEntities(&b.Events[i])
		}
	})
}

func BenchmarkAuditd(b *testing.B) {
	data := []byte(strings.Repeat(auditExec, 1000))
	for i := range 1000 { // each at its own time
		copy(data[i*len(auditExec):], strings.ReplaceAll(auditExec, "60000.", fmt.Sprintf("6%04d.", i)))
	}
	d := Auditd(Options{Names: model.NewNames()})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	events := 0
	for b.Loop() {
		batch := &Batch{}
		d.Decode(Chunk{Data: data}, batch)
		if events = len(batch.Events); events != 2000 {
			b.Fatal("not decoded:", events)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
