package decode

import "testing"

// traceeEvent is an event with arguments, in the pod shop/web-1.
func traceeEvent(name, args, more string) string {
	return `{"timestamp":1709460000500000000,"threadStartTime":1,"processorId":1,"processId":1,"parentProcessId":0,"hostProcessId":4242,"hostParentProcessId":4200,"userId":0,"processName":"curl",` +
		`"executable":{"path":"/usr/bin/curl"},"hostName":"Node1","containerId":"551e","kubernetes":{"podName":"web-1","podNamespace":"shop"},"eventId":"707","eventName":"` + name + `","argsNum":1,"returnValue":0,"args":[` + args + `]` + more + `}`
}

func TestTracee(t *testing.T) {
	const subject = ` container/subject=551e pod/subject=shop/web-1 namespace/subject=shop user/actor=node1\root`
	checkGolden(t, "tracee", "node1", []golden{
		{traceeEvent("sched_process_exec", `{"name":"cmdpath","type":"const char*","value":"/usr/bin/curl"},{"name":"pathname","type":"const char*","value":"/usr/bin/curl"},{"name":"argv","type":"const char**","value":["curl","-d","a \"b\""]}`, ""),
			"linux/process_creation/tracee", "process_start sched_process_exec tracee" + subject + " process/subject=node1:4242 process/parent=node1:4200 file/object=node1:/usr/bin/curl",
			[]string{`CommandLine=curl -d a "b"`, "Image=/usr/bin/curl", "args.pathname=/usr/bin/curl"}},
		{traceeEvent("security_socket_connect", `{"name":"sockfd","value":3},{"name":"remote_addr","type":"struct sockaddr*","value":{"sa_family":"AF_INET","sin_addr":"203.0.113.9","sin_port":"443"}}`, ""),
			"linux/network_connection/tracee", "connect security_socket_connect tracee" + subject + " process/actor=node1:4242 ip/dst=203.0.113.9", []string{"DestinationPort=443", "Image=/usr/bin/curl"}},
		{traceeEvent("security_file_open", `{"name":"pathname","value":"/etc/shadow"},{"name":"flags","value":"O_RDONLY|O_LARGEFILE"}`, ""),
			"linux/file_access/tracee", "file_read security_file_open tracee" + subject + " process/actor=node1:4242 file/object=node1:/etc/shadow", nil},
		{traceeEvent("security_file_open", `{"name":"pathname","value":"/etc/passwd"},{"name":"flags","value":"O_WRONLY"}`, ""),
			"linux/file_event/tracee", "file_write security_file_open tracee" + subject + " process/actor=node1:4242 file/object=node1:/etc/passwd", nil},
		{traceeEvent("sched_process_exit", ``, ""), "linux/process_termination/tracee", "process_end sched_process_exit tracee" + subject + " process/subject=node1:4242", nil},
	})
	b := alertsOf(t, traceeEvent("ptrace_code_injection", `{"name":"x","value":null}`, `,"metadata":{"Version":"1","Properties":{"Category":"defense-evasion","Kubernetes_Technique":"","Severity":3,"Technique":"Ptrace System Calls","external_id":"T1055.008","signatureID":"TRC-103","signatureName":"Code injection"}}`))
	if len(b.Alerts) != 1 || len(b.Events) != 1 {
		t.Fatalf("%d alerts, %d events", len(b.Alerts), len(b.Events))
	}
	const want = "tracee 03-03T10:00:00 high compute tracee:TRC-103 stealth T1055.008 host/subject=node1 container/subject=551e pod/subject=shop/web-1 process/subject=node1:4242 process/parent=node1:4200"
	if got := said(&b.Alerts[0]); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
