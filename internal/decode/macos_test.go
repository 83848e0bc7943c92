package decode

import "testing"

func TestMacOS(t *testing.T) {
	const host = "host-of-golden.json"
	line := func(process, message string) string {
		return `{"timezoneName":"","messageType":"Default","eventType":"logEvent","userID":0,"subsystem":"","category":"","threadID":9,"processImagePath":"` + process + `","senderImagePath":"/usr/lib/x","timestamp":"2024-03-03 12:00:00.123456+0200","processID":77,"eventMessage":"` + message + `"}`
	}
	checkGolden(t, "macos-log", host, []golden{
		{line("/usr/sbin/sshd", "Failed password for root from 203.0.113.7 port 5 ssh2"), "macos//sshd", `logon_failed failed sshd user/target=host-of-golden.json\root ip/src=203.0.113.7`, []string{"Image=/usr/sbin/sshd", "pid=77"}},
		{line("/System/x", "started"), "macos//syslog", "none  syslog", []string{"message=started"}},
	})
	event := func(body string) string {
		return `{"schema_version":1,"mach_time":5,"event_type":9,"time":"2024-03-03T10:00:00.123456789Z","process":{"executable":{"path":"/bin/zsh"},"audit_token":{"pid":42,"euid":501},"ppid":1,"session_id":4},"event":{` + body + `},"global_seq_num":1}`
	}
	const user = ` user/actor=host-of-golden.json\501`
	checkGolden(t, "eslogger", host, []golden{
		{event(`"exec":{"target":{"executable":{"path":"/usr/bin/curl"},"audit_token":{"pid":42,"euid":501},"ppid":7},"args":["curl","-s","x"],"cwd":{"path":"/tmp"}}`), "macos/process_creation/endpointsecurity",
			"process_start exec endpointsecurity" + user + " process/subject=host-of-golden.json:42 process/parent=host-of-golden.json:7 file/object=host-of-golden.json:/usr/bin/curl", []string{"CommandLine=curl -s x", "Image=/usr/bin/curl", "CurrentDirectory=/tmp"}},
		{event(`"create":{"destination_type":1,"destination":{"new_path":{"dir":{"path":"/Library/LaunchAgents"},"filename":"x.plist"}}}`), "macos/file_event/endpointsecurity",
			"file_write create endpointsecurity" + user + " process/actor=host-of-golden.json:42 file/object=host-of-golden.json:/library/launchagents/x.plist", []string{"TargetFilename=/Library/LaunchAgents/x.plist"}},
		{event(`"unlink":{"target":{"path":"/tmp/a"},"parent_dir":{"path":"/tmp"}}`), "macos/file_delete/endpointsecurity",
			"file_delete unlink endpointsecurity" + user + " process/actor=host-of-golden.json:42 file/object=host-of-golden.json:/tmp/a", nil},
		{event(`"openssh_login":{"success":false,"result_type":2,"source_address":"203.0.113.7","username":"Bob","has_uid":false}`), "macos//endpointsecurity",
			"logon_failed openssh_login endpointsecurity process/actor=host-of-golden.json:42 user/target=host-of-golden.json\\bob ip/src=203.0.113.7", nil},
		{event(`"remote_thread_create":{"target":{"executable":{"path":"/x"},"audit_token":{"pid":50}}}`), "macos/create_remote_thread/endpointsecurity",
			"inject remote_thread_create endpointsecurity" + user + " process/actor=host-of-golden.json:42 process/target=host-of-golden.json:50", nil},
	})
}
