package decode

import "testing"

func TestJournald(t *testing.T) {
	entry := func(more string) string {
		return `{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1709460000200000","_SOURCE_REALTIME_TIMESTAMP":"1709460000100000","_HOSTNAME":"Web01","_TRANSPORT":"syslog","PRIORITY":"6","SYSLOG_FACILITY":"10",` + more + `}`
	}
	checkGolden(t, "journald", "web01", []golden{
		{entry(`"SYSLOG_IDENTIFIER":"sshd","_PID":"77","MESSAGE":"Failed password for root from 203.0.113.7 port 5 ssh2"`), "linux//sshd",
			`logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7`, []string{"facility=authpriv", "severity=info", "program=sshd", "pid=77", "hostname=Web01", "_TRANSPORT=syslog"}},
		{entry(`"_COMM":"sudo","MESSAGE":"bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id"`), "linux/process_creation/sudo",
			`process_start command sudo user/actor=web01\bob user/target=web01\root file/object=web01:/bin/id`, []string{"CommandLine=/bin/id"}},
		{entry(`"_AUDIT_TYPE_NAME":"USER_LOGIN","_AUDIT_ID":"9","_AUDIT_LOGINUID":"4294967295","MESSAGE":"USER_LOGIN pid=5 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=failed'"`),
			"linux//auditd", `logon_failed USER_LOGIN auditd user/target=web01\bob ip/src=203.0.113.7 process/actor=web01:5`, []string{"acct=bob"}},
		{entry(`"SYSLOG_IDENTIFIER":"app","MESSAGE":[104,105,255,10]`), "linux//syslog", `none  syslog`, []string{"message=hi\uFFFD\n"}},
		{`{"__REALTIME_TIMESTAMP":"1709460000200000","host":"Web01","PRIORITY":"6","SYSLOG_IDENTIFIER":"sshd","_PID":"77","message":"Failed password for root from 203.0.113.7 port 5 ssh2","source_type":"journald"}`, "linux//sshd",
			`logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7`, nil},
		{entry(`"SYSLOG_IDENTIFIER":"app","MESSAGE":null`), "linux//syslog", `none  syslog`, nil},
	})
}
