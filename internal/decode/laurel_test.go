package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestLaurel(t *testing.T) {
	const source = "linux//auditd"
	checkGolden(t, "laurel", "web01", []golden{
		{`{"ID":"1709460000.123:86","NODE":"Web01","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"items":2,"ppid":10,"pid":11,"auid":1000,"uid":0,"ses":3,"comm":"sh","exe":"/bin/dash","key":"exec","ARCH":"x86_64","SYSCALL":"execve","AUID":"Alice","UID":"root"},` +
			`"EXECVE":{"argc":3,"ARGV":["sh","-c","id \"x\""]},"CWD":{"cwd":"/tmp"},"PATH":[{"item":0,"name":"/bin/sh","nametype":"NORMAL"},{"item":1,"name":"/lib/ld.so","nametype":"NORMAL"}],` +
			`"PROCTITLE":{"ARGV":["sh","-c"]},"PARENT_INFO":{"ID":"1709459000.1:2","comm":"java","exe":"/usr/bin/java","ppid":1},"CONTAINER_INFO":{"ID":"c0ffee"}}`,
			"linux/process_creation/auditd", `process_start execve auditd user/actor=web01\root process/subject=web01:11 process/parent=web01:10 file/object=web01:/bin/dash session/actor=web01:3`,
			[]string{`CommandLine=sh -c id "x"`, "Image=/bin/dash", "ParentImage=/usr/bin/java", "type=EXECVE", "type=PATH", "a0=sh", "name=/bin/sh", "key=exec", "container.id=c0ffee"}},
		{`{"ID":"1709460000.123:87","NODE":"web01","SYSCALL":{"arch":"0xc000003e","syscall":42,"success":"no","exit":"EINPROGRESS","ppid":10,"pid":12,"auid":4294967295,"uid":33,"exe":"/usr/bin/curl","SYSCALL":"connect","UID":"www-data"},` +
			`"SOCKADDR":[{"saddr":"x","SADDR":{"family":"ipv4","addr":"203.0.113.9","port":443}}]}`,
			"linux/network_connection/auditd", `connect connect auditd user/actor=web01\www-data process/actor=web01:12 ip/dst=203.0.113.9`, []string{"DestinationIp=203.0.113.9", "DestinationPort=443"}},
		{`{"ID":"1709460000.123:88","NODE":"web01","SYSCALL":{"arch":"0xc000003e","syscall":257,"success":"yes","exit":3,"a0":"0xffffff9c","a1":"0x7f","a2":"0x241","ppid":1,"pid":13,"uid":0,"exe":"/bin/sh","SYSCALL":"openat"},` +
			`"CWD":{"cwd":"/etc"},"PATH":[{"item":0,"name":"cron.d","nametype":"PARENT"},{"item":1,"name":"cron.d/x","nametype":"CREATE"}]}`,
			"linux/file_event/auditd", `file_write openat auditd user/actor=web01\root process/actor=web01:13 file/object=web01:/etc/cron.d/x`, []string{"TargetFilename=/etc/cron.d/x"}},
		{`{"ID":"1709460000.123:89","NODE":"web01","USER_LOGIN":[{"pid":5,"uid":0,"auid":4294967295,"ses":4294967295,"op":"login","acct":"bob","exe":"/usr/sbin/sshd","hostname":"?","addr":"203.0.113.7","terminal":"ssh","res":"failed"}]}`,
			source, `logon_failed USER_LOGIN auditd user/target=web01\bob ip/src=203.0.113.7 process/actor=web01:5`, nil},
		{`{"ID":"1709460000.123:90","NODE":"web01","SYSCALL":{"syscall":59,"success":"yes","pid":14,"uid":0,"exe":"/bin/sh","SYSCALL":"execve"},"EXECVE":{"argc":1,"ARGV_STR":"sh -x"}}`,
			"linux/process_creation/auditd", `process_start execve auditd user/actor=web01\root process/subject=web01:14 file/object=web01:/bin/sh`, []string{"CommandLine=sh -x"}},
	})
	checkGolden(t, "laurel", "host-of-golden.json", []golden{
		{`{"ID":"1709460000.123:91","DAEMON_END":{"op":"terminate","res":"success"}}`, source, "log_cleared DAEMON_END auditd", nil},
	})
	for text, want := range map[string]bool{"1709460000.123:86": true, "1709460000.12:86": false, "1709460000.123:": false, "1709460000": false, "": false, "x.123:1": false, "1.123:1x": false} {
		if isAuditStamp(text) != want {
			t.Errorf("%q", text)
		}
	}
}

// TestLaurelAuditd: the two writings of the same records say the same.
func TestLaurelAuditd(t *testing.T) {
	const auditd = `node=web01 type=SYSCALL msg=audit(1709460000.123:86): arch=c000003e syscall=59 success=yes exit=0 ppid=10 pid=11 auid=1000 uid=0 ses=3 comm="sh" exe="/bin/dash" key="exec"
node=web01 type=EXECVE msg=audit(1709460000.123:86): argc=2 a0="sh" a1="-x"
node=web01 type=CWD msg=audit(1709460000.123:86): cwd="/tmp"
`
	const laurel = `{"ID":"1709460000.123:86","NODE":"web01","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":10,"pid":11,"auid":1000,"uid":0,"ses":3,"comm":"sh","exe":"/bin/dash","key":"exec"},` +
		`"EXECVE":{"argc":2,"ARGV":["sh","-x"]},"CWD":{"cwd":"/tmp"}}`
	names := model.NewNames()
	a, _ := decodeAll(t, Auditd(Options{Names: names}), "audit.log", []byte(auditd))
	l, _ := decodeAll(t, JSON(Options{Names: names}), "audit.log", []byte(laurel))
	if len(a.Events) != 1 || len(l.Events) != 1 {
		t.Fatalf("%d and %d events", len(a.Events), len(l.Events))
	}
	if got, want := describeEvent(&l.Events[0]), describeEvent(&a.Events[0]); got != want {
		t.Errorf("laurel %s\nauditd %s", got, want)
	}
	have := map[string]bool{}
	for _, s := range slotsOf(names, &l.Events[0]) {
		have[s] = true
	}
	for _, s := range slotsOf(names, &a.Events[0]) {
		if !have[s] && s != "node=web01" {
			t.Errorf("laurel lacks %s", s)
		}
	}
}
