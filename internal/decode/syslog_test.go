package decode

import (
	"bytes"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the zones of the test are there on every machine

	"github.com/catena-sec/catena/internal/model"
)

func TestSyslogMessages(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"Mar  3 10:00:01 Web01 sshd[812]: Accepted publickey for deploy from 203.0.113.7 port 50122 ssh2: ED25519 SHA256:abc",
			`logon accepted sshd user/target=web01\deploy session/target=web01:sshd[812] ip/src=203.0.113.7`},
		{"Mar  3 10:00:02 web01 sshd[813]: Failed password for invalid user a from 9.9.9.9 port 1 ssh2 from 203.0.113.7 port 50123 ssh2",
			`logon_failed failed sshd user/target=web01\a from 9.9.9.9 port 1 ssh2 ip/src=203.0.113.7`},
		{"Mar  3 10:00:02 web01 sshd-session[813]: Invalid user  from 2001:db8::1 port 50123",
			`logon_failed invalid_user sshd ip/src=2001:db8::1`},
		{"Mar  3 10:00:02 web01 sshd[813]: message repeated 3 times: [ Failed password for root from 203.0.113.7 port 5 ssh2]",
			`logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7`},
		{"Mar  3 10:00:03 web01 sshd[813]: User bob from 203.0.113.7 not allowed because not listed in AllowUsers",
			`logon_failed not_allowed sshd user/target=web01\bob ip/src=203.0.113.7`},
		{"Mar  3 10:00:03 web01 sshd[813]: Connection closed by authenticating user root 203.0.113.7 port 45362 [preauth]",
			`none  sshd user/actor=web01\root ip/src=203.0.113.7`},
		{"Mar  3 10:00:03 web01 sshd[813]: refused connect from x_@::ffff:203.0.113.8 (::ffff:203.0.113.8)",
			`none  sshd ip/src=203.0.113.8`},
		{"Mar  3 10:00:04 web01 sshd[812]: pam_unix(sshd:session): session closed for user deploy",
			`logoff session_closed sshd user/target=web01\deploy session/target=web01:sshd[812]`},
		{"Mar  3 10:00:04 web01 sshd[814]: Starting session: command for deploy from 203.0.113.7 port 50122 id 0",
			`remote_exec command sshd user/actor=web01\deploy ip/src=203.0.113.7`},
		{"Mar  3 10:00:05 web01 sudo:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow",
			`process_start command sudo user/actor=web01\deploy user/target=web01\root file/object=web01:/usr/bin/cat`},
		{"Mar  3 10:00:05 web01 sudo: deploy : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/su",
			`logon_failed incorrect_password sudo user/actor=web01\deploy user/target=web01\root`},
		{"Mar  3 10:00:05 web01 sudo: bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
			`logon_failed not_allowed sudo user/actor=web01\bob user/target=web01\root`},
		{"Mar  3 10:00:06 web01 su[99]: (to root) bob on pts/1",
			`explicit_creds su auth user/actor=web01\bob user/target=web01\root host/dst=web01`},
		{"Mar  3 10:00:06 web01 su: pam_unix(su:auth): authentication failure; logname=bob uid=1001 euid=0 tty=pts/1 ruser=bob rhost=  user=root",
			`logon_failed authentication_failure auth user/target=web01\root user/actor=web01\bob`},
		{"Mar  3 10:00:07 web01 useradd[120]: new user: name=svc2, UID=1002, GID=1002, home=/home/svc2, shell=/bin/bash, from=/dev/pts/0",
			`account_change new_user auth user/target=web01\svc2`},
		{"Mar  3 10:00:07 web01 usermod[121]: add 'svc2' to group 'sudo'",
			`account_change group_add auth user/target=web01\svc2 resource/object=web01:group:sudo`},
		{"Mar  3 10:00:07 web01 passwd[122]: pam_unix(passwd:chauthtok): password changed for svc2",
			`account_change password_changed auth user/target=web01\svc2`},
		{"Mar  3 10:00:08 web01 CRON[130]: (root) CMD (/tmp/.x/run.sh -q)",
			`process_start cmd cron user/actor=web01\root process/subject=web01:130 file/object=web01:/tmp/.x/run.sh`},
		{"Mar  3 10:00:08 web01 crontab[131]: (bob) REPLACE (bob)",
			`task_create replace cron user/actor=web01\bob app/object=web01:crontab of bob`},
		{"Mar  3 10:00:08 web01 systemd[1]: Started Daily apt download activities.", `none started syslog`},
		{"Mar  3 10:00:09 web01 systemd-logind[7]: New session 12 of user deploy.", `none new_session auth user/actor=web01\deploy`},
		{"<86>1 2024-03-03T10:00:01.5+02:00 web01 sshd 812 - [x@1 a=\"]\\\"\"][y] Accepted password for root from 203.0.113.7 port 22 ssh2",
			`logon accepted sshd user/target=web01\root session/target=web01:sshd[812] ip/src=203.0.113.7`},
		{"71 <13>Mar  3 10:00:09 web01 app: said something", `none  syslog`},
	} {
		b, bad := decodeAll(t, Syslog(Options{Names: model.NewNames(), Year: 2024}), "auth.log", []byte(c.line))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", c.line, len(b.Events), bad)
			continue
		}
		if got := describeEvent(&b.Events[0]); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestSudoSlots(t *testing.T) {
	names := model.NewNames()
	b, _ := decodeAll(t, Syslog(Options{Names: names, Year: 2024}), "auth.log",
		[]byte("Mar  3 10:00:05 web01 sudo: bob : TTY=unknown   PWD=/a b   USER=#-1   COMMAND=/bin/sh -c USER=x ; id"))
	e := &b.Events[0]
	for name, want := range map[string]string{"user": "bob", "USER": "#-1", "PWD": "/a b", "TTY": "unknown", "COMMAND": "/bin/sh -c USER=x ; id",
		"CommandLine": "/bin/sh -c USER=x ; id", "Image": "/bin/sh"} {
		if got := e.Text(names.ID(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if e.Source != (model.LogSource{Product: "linux", Category: "process_creation", Service: "sudo"}) {
		t.Errorf("source %+v", e.Source)
	}
}

func TestSyslogStamps(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"Mar  3 10:00:01 h p: m":                                "2024-03-03T09:00:01Z",
		"Mar 3 10:00:01 h p: m":                                 "2024-03-03T09:00:01Z",
		"Feb 29 10:00:01 h p: m":                                "2024-02-29T09:00:01Z",
		"<34>Mar  3 2021 10:00:01.25: h p: m":                   "2021-03-03T09:00:01.25Z",
		"2023-11-14T00:20:42.738197+01:00 h p[1]: m":            "2023-11-13T23:20:42.738197Z",
		"2023-11-14T00:20:42 h p[1]: m":                         "2023-11-13T23:20:42Z",
		"<34>1 2023-11-14T00:20:42Z h p 1 - - \ufeffm":          "2023-11-14T00:20:42Z",
		"<34>1 2023-11-14T00:20:42-0130 h p 1 ID7 [a b=\"\"] m": "2023-11-14T01:50:42Z",
	} {
		b, bad := decodeAll(t, Syslog(Options{Names: model.NewNames(), Year: 2024, Zone: berlin}), "x", []byte(line))
		if len(b.Events) != 1 {
			t.Errorf("%q: %v", line, bad)
			continue
		}
		e := &b.Events[0]
		if got := e.Time.Format(time.RFC3339Nano); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
		if e.Host != "h" || e.Text(model.FProgram) != "p" || e.Text(model.FMessageLower) != "m" {
			t.Errorf("%q: host %q, program %q, message %q", line, e.Host, e.Text(model.FProgram), e.Text(model.FMessageLower))
		}
	}
	for _, line := range []string{"", "no stamp", "Mar 32 10:00:01 h p: m", "Mar  3 24:00:01 h p: m", "Mar", "<999>Mar  3 10:00:01 h p: m", "2023-13-14T00:20:42 h p: m", "Foo  3 10:00:01 h p: m", "anF  3 10:00:01 h p: m"} {
		b, _ := decodeAll(t, Syslog(Options{Names: model.NewNames(), Year: 2024}), "x", []byte(line+"\n"))
		if len(b.Events) != 0 {
			t.Errorf("%q was read as %v", line, b.Events[0].Time)
		}
	}
}

func TestSyslogYears(t *testing.T) {
	const lines = "Nov 30 10:00:00 h p: a\nDec 31 23:59:59 h p: b\nJan  1 00:00:01 h p: c\nDec 31 23:59:58 h p: late\nJan  2 00:00:00 h p: d\n"
	years := func(o Options, text string) (out []int, notes int) {
		o.Names = model.NewNames()
		b, bad := decodeAll(t, Syslog(o), "x", []byte(text))
		for i := range b.Events {
			out = append(out, b.Events[i].Time.Year())
		}
		for _, e := range bad {
			if e.Count != 0 || !strings.Contains(e.Cause, "--year") {
				t.Errorf("unexpected %+v", e)
			}
			notes++
		}
		return out, notes
	}
	same := func(a, b []int) bool {
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if got, notes := years(Options{Year: 2023}, lines); !same(got, []int{2023, 2023, 2024, 2023, 2024}) || notes != 0 {
		t.Errorf("with a year: %v, %d notes", got, notes)
	}
	if got, notes := years(Options{}, lines); !same(got, []int{1970, 1970, 1971, 1970, 1971}) || notes != 1 {
		t.Errorf("without a year: %v, %d notes", got, notes)
	}
	if got, notes := years(Options{}, "Nov 30 10:00:00 h p: built 2019-07-01\nNov 30 10:00:01 h p: now is 2022-11-30 10:00\n"); !same(got, []int{2022, 2022}) || notes != 1 {
		t.Errorf("with a date in a message: %v, %d notes", got, notes)
	}
	// The year must run on across chunks.
	var long strings.Builder
	for i := range 60000 {
		if i == 30000 {
			long.WriteString("Dec 31 23:59:59 h p: the last of the year\n")
		}
		if i < 30000 {
			long.WriteString("Nov 30 10:00:00 h p: a line of the old year, padded\n")
		} else {
			long.WriteString("Jan 30 10:00:00 h p: a line of the new year, padded\n")
		}
	}
	got, _ := years(Options{Year: 2023}, long.String())
	if len(got) != 60001 || got[0] != 2023 || got[60000] != 2024 {
		t.Errorf("across chunks: %d events, first %d, last %d", len(got), got[0], got[len(got)-1])
	}
}

func TestSyslogData(t *testing.T) {
	o := Options{Names: model.NewNames(), Year: 2017}
	for name, data := range dataFiles(t, "linux/loghub/OpenSSH_2k.log", "crowdsec/*ssh*/*ssh*.log", "crowdsec/syslog-logs/*.log") {
		d := Syslog(o)
		if strings.Contains(name, "sshesame") { // a honeypot's own format, no syslog
			if n := d.Sniff(data); n != 0 {
				t.Errorf("%s: sniffed %d", name, n)
			}
			continue
		}
		if d.Sniff(data) == 0 {
			t.Errorf("%s is not known", name)
		}
		b, bad := decodeAll(t, d, name, data)
		understood := 0
		for i := range b.Events {
			e := &b.Events[i]
			if e.Source.Service == "sshd" && (e.Act != model.ActNone || e.Code != "" || e.Text(model.FRemoteIp) != "") {
				understood++
			}
		}
		t.Logf("%s: %d lines, %d events, %d with an act, a code or an address", name, b.Records, len(b.Events), understood)
		if b.Skipped != 0 {
			t.Errorf("%s: %d lines skipped: %v", name, b.Skipped, bad)
		}
	}
}

func FuzzSyslog(f *testing.F) {
	f.Add([]byte("Mar  3 10:00:01 web01 sshd[812]: Accepted publickey for deploy from 203.0.113.7 port 50122 ssh2: k\nJan 1 00:00:00 "))
	f.Add([]byte("<86>1 2024-03-03T10:00:01.5+02:00 web01 sudo - - [x@1 a=\"]\\\"\"] b : TTY= ; PWD=  ; USER= ; COMMAND="))
	f.Add([]byte("Mar  3 10:00:01 h CRON[1]: (root) CMD (\nMar  3 10:00:01 h su: + a b:c\nMar  3 10:00:01 h usermod: add ' to"))
	f.Add([]byte("Mar  3 10:00:01 h audispd: node=x type=EXECVE msg=audit(1.2:3): a0=41 a1[0]=4 proctitle=00"))
	d := Syslog(Options{Names: model.NewNames()})
	f.Fuzz(func(t *testing.T, in []byte) {
		d.Sniff(in)
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Events))+b.Skipped != b.Records {
			t.Fatalf("%d events + %d skipped are not %d records", len(b.Events), b.Skipped, b.Records)
		}
		for i := range b.Events {
			linuxEntities(&b.Events[i])
		}
	})
}

func BenchmarkSyslog(b *testing.B) {
	const lines = "Mar  3 10:00:01 web01 sshd[812]: Failed password for invalid user deploy from 203.0.113.7 port 50122 ssh2\n" +
		"Mar  3 10:00:05 web01 sudo:   deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow\n" +
		"Mar  3 10:00:08 web01 CRON[130]: pam_unix(cron:session): session opened for user root by (uid=0)\n" +
		"Mar  3 10:00:08 web01 systemd[1]: Started Daily apt download activities.\n"
	data := []byte(strings.Repeat(lines, 2000))
	d := Syslog(Options{Names: model.NewNames(), Year: 2024})
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		batch := &Batch{}
		d.Decode(Chunk{Data: data}, batch)
		if len(batch.Events) != 8000 {
			b.Fatal("not decoded")
		}
	}
	b.ReportMetric(8000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
