package decode

import "testing"

// tetragonEvent is an event of a kind, in the pod shop/web-1.
func tetragonEvent(kind, arguments, more string) string {
	return `{"` + kind + `":{"process":{"exec_id":"bjE6MTox","pid":4242,"uid":0,"cwd":"/tmp","binary":"/usr/bin/curl","arguments":"` + arguments + `","start_time":"2024-03-03T09:59:00Z","auid":4294967295,` +
		`"pod":{"namespace":"shop","name":"web-1","container":{"id":"containerd://551e","name":"web","image":{"id":"i","name":"docker.io/x"},"pid":49}},"docker":"551e","parent_exec_id":"bjE6MTow"},` +
		`"parent":{"exec_id":"bjE6MTow","pid":4200,"uid":0,"binary":"/bin/bash","arguments":"-i"}` + more + `},"node_name":"Node1","time":"2024-03-03T10:00:00.5Z"}`
}

func TestTetragon(t *testing.T) {
	const subject = ` container/subject=551e pod/subject=shop/web-1 namespace/subject=shop user/actor=node1\root`
	checkGolden(t, "tetragon", "node1", []golden{
		{tetragonEvent("process_exec", "-s https://x.example", ""), "linux/process_creation/tetragon",
			"process_start process_exec tetragon" + subject + " process/subject=bje6mtox process/parent=bje6mtow file/object=node1:/usr/bin/curl",
			[]string{"Image=/usr/bin/curl", "CommandLine=/usr/bin/curl -s https://x.example", "ParentImage=/bin/bash", "ParentCommandLine=/bin/bash -i", "User=root", "CurrentDirectory=/tmp", "process.pid=4242"}},
		{tetragonEvent("process_exit", "", `,"status":1`), "linux/process_termination/tetragon", "process_end process_exit tetragon" + subject + " process/subject=bje6mtox", nil},
		{tetragonEvent("process_kprobe", "", `,"function_name":"tcp_connect","args":[{"sock_arg":{"family":"AF_INET","protocol":"IPPROTO_TCP","saddr":"10.0.0.5","daddr":"203.0.113.9","sport":4000,"dport":443}}],"action":"KPROBE_ACTION_POST"`),
			"linux/network_connection/tetragon", "connect tcp_connect tetragon" + subject + " process/actor=bje6mtox ip/src=10.0.0.5 ip/dst=203.0.113.9",
			[]string{"DestinationIp=203.0.113.9", "DestinationPort=443", "Protocol=tcp", "Initiated=true"}},
		{tetragonEvent("process_kprobe", "", `,"function_name":"security_file_permission","args":[{"file_arg":{"path":"/etc/shadow"}},{"int_arg":4}]`),
			"linux/file_access/tetragon", "file_read security_file_permission tetragon" + subject + " process/actor=bje6mtox file/object=node1:/etc/shadow", []string{"TargetFilename=/etc/shadow"}},
		{tetragonEvent("process_kprobe", "", `,"function_name":"security_file_permission","args":[{"file_arg":{"path":"/etc/cron.d/x"}},{"int_arg":2}]`),
			"linux/file_event/tetragon", "file_write security_file_permission tetragon" + subject + " process/actor=bje6mtox file/object=node1:/etc/cron.d/x", nil},
		{tetragonEvent("process_kprobe", "", `,"function_name":"__x64_sys_mount","args":[{"string_arg":"none"}]`),
			"linux//tetragon", "none __x64_sys_mount tetragon" + subject + " process/actor=bje6mtox", nil},
	})
}
