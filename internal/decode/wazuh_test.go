package decode

import "testing"

func TestWazuh(t *testing.T) {
	event := func(decoder, more string) string {
		return `{"timestamp":"2024-03-03T10:00:00.500+0000","agent":{"id":"007","name":"Web01","ip":"10.0.0.5"},"manager":{"name":"wazuh"},"id":"1709460000.1","decoder":{"name":"` + decoder + `"},` + more + `,"location":"x"}`
	}
	checkGolden(t, "wazuh", "pc1.corp.example", []golden{
		{event("windows_eventchannel", `"full_log":"{}","data":{"win":{"system":{"providerName":"Microsoft-Windows-Sysmon","eventID":"1","channel":"Microsoft-Windows-Sysmon/Operational","computer":"PC1.corp.example","systemTime":"2024-03-03T10:00:00.1Z"},`+
			`"eventdata":{"utcTime":"2024-03-03 10:00:00.095","processGuid":"{94325212-FC0E}","processId":"9","image":"C:\\\\x.exe","commandLine":"x.exe -a","user":"CORP\\\\bob","parentProcessId":"8"}}}`),
			"windows/process_creation/sysmon", `process_start 1 sysmon process/subject=94325212-fc0e user/actor=corp\bob process/parent=pc1.corp.example:8 file/object=pc1.corp.example:c:\x.exe`, []string{"CommandLine=x.exe -a", `Image=C:\x.exe`, "EventID=1", "agent.name=Web01"}},
	})
	checkGolden(t, "wazuh", "web01", []golden{
		{event("sshd", `"predecoder":{"program_name":"sshd","hostname":"Web01"},"full_log":"Mar  3 10:00:00 Web01 sshd[77]: Failed password for root from 203.0.113.7 port 5 ssh2","data":{"srcip":"203.0.113.7"}`),
			"linux//sshd", `logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7`, []string{"pid=77", "data.srcip=203.0.113.7"}},
		{event("auditd", `"full_log":"type=SYSCALL msg=audit(1709460000.123:86): arch=c000003e syscall=59 success=yes exit=0 ppid=10 pid=11 auid=1000 uid=0 ses=3 comm=\"sh\" exe=\"/bin/dash\" key=\"exec\" type=EXECVE msg=audit(1709460000.123:86): argc=2 a0=\"sh\" a1=\"-x\" type=CWD msg=audit(1709460000.123:86): cwd=\"/tmp\""`),
			"linux/process_creation/auditd", `process_start execve auditd user/actor=web01\root process/subject=web01:11 process/parent=web01:10 file/object=web01:/bin/dash session/actor=web01:3`, []string{"CommandLine=sh -x"}},
		{event("syscheck", `"full_log":"File '/etc/passwd' modified"`), "wazuh//syscheck", "none syscheck syscheck", []string{"full_log=File '/etc/passwd' modified"}},
	})
	checkGolden(t, "cloudtrail", "", []golden{
		{event("json", `"data":{"integration":"aws","aws":{"eventName":"ListUsers","eventSource":"iam.amazonaws.com","awsRegion":"r","eventTime":"2024-03-03T10:00:00Z"}}`), "aws//cloudtrail", "object_list ListUsers cloudtrail", nil},
		{event("json", `"full_log":"{\"eventName\":\"ListUsers\",\"eventSource\":\"iam.amazonaws.com\",\"awsRegion\":\"r\",\"eventTime\":\"2024-03-03T10:00:00Z\"}"`), "aws//cloudtrail", "object_list ListUsers cloudtrail", nil},
	})
}
