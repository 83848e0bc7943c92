package decode

import "testing"

// ecsEvent is an event of an agent on a machine.
func ecsEvent(more string) string {
	return `{"@timestamp":"2024-03-03T10:00:00.5Z","ecs":{"version":"8.11.0"},"agent":{"type":"endpoint"},"host":{"name":"PC1","os":{"type":"windows"}},` + more + `}`
}

func TestECS(t *testing.T) {
	const exec = `"event":{"category":["process"],"type":["start"],"action":"start","module":"endpoint","outcome":"unknown"},"user":{"name":"Bob","domain":"CORP"},` +
		`"process":{"entity_id":"AbC=","pid":42,"executable":"C:\\x.exe","command_line":"x.exe -a","working_directory":"C:\\","hash":{"sha256":"ff"},"parent":{"entity_id":"P1","pid":7,"executable":"C:\\p.exe","command_line":"p"}}`
	checkGolden(t, "ecs", "pc1", []golden{
		{ecsEvent(exec), "windows/process_creation/endpoint", `process_start start endpoint user/actor=corp\bob process/subject=abc= process/parent=p1 file/object=pc1:c:\x.exe hash/indicator=ff`,
			[]string{`Image=C:\x.exe`, "CommandLine=x.exe -a", `ParentImage=C:\p.exe`, `User=CORP\Bob`, "Hashes=SHA256=FF"}},
		{`{"_index":"logs-x","_id":"1","_source":` + ecsEvent(exec) + `}`, "windows/process_creation/endpoint",
			`process_start start endpoint user/actor=corp\bob process/subject=abc= process/parent=p1 file/object=pc1:c:\x.exe hash/indicator=ff`, nil},
		{ecsEvent(`"event":{"category":"authentication","type":"start","outcome":"failure","action":"logon-failed","module":"system"},"user":{"name":"bob"},"source":{"ip":"203.0.113.7","port":5}`),
			"windows//system", `logon_failed logon-failed system user/target=pc1\bob ip/src=203.0.113.7`, nil},
		{ecsEvent(`"event":{"category":["network"],"type":["start"],"action":"connection_attempted","dataset":"endpoint.events.network"},"process":{"pid":42},"source":{"ip":"10.0.0.5","port":4000},"destination":{"ip":"203.0.113.9","port":443},"network":{"transport":"TCP","direction":"egress"}`),
			"windows/network_connection/endpoint.events.network", `connect connection_attempted endpoint.events.network process/actor=pc1:42 ip/src=10.0.0.5 ip/dst=203.0.113.9`, []string{"DestinationPort=443", "Initiated=true", "Protocol=tcp"}},
		{ecsEvent(`"event":{"category":["registry"],"type":["change"],"dataset":"d"},"registry":{"path":"HKLM\\x","data":{"strings":["v"]}},"process":{"pid":42}`),
			"windows/registry_set/d", `registry_set  d process/actor=pc1:42`, []string{`TargetObject=HKLM\x`, "Details=v"}},
		{ecsEvent(`"event":{"category":["file"],"type":["deletion"],"dataset":"d"},"file":{"path":"C:\\a"}`), "windows/file_delete/d", `file_delete  d file/object=pc1:c:\a`, []string{`TargetFilename=C:\a`}},
	})
	checkGolden(t, "ecs", "web01", []golden{
		{`{"@timestamp":"2024-03-03T10:00:00Z","event":{"dataset":"system.auth","module":"system"},"host":{"hostname":"Web01","os":{"family":"debian"}},"process":{"name":"sshd","pid":77},"message":"Failed password for root from 203.0.113.7 port 5 ssh2"}`,
			"linux//sshd", `logon_failed failed sshd user/target=web01\root ip/src=203.0.113.7`, nil},
	})
	checkGolden(t, "cloudtrail", "", []golden{
		{`{"@timestamp":"2024-03-03T10:00:09Z","ecs":{"version":"1"},"host":{"name":"x"},"event":{"original":"{\"eventName\":\"ListUsers\",\"eventSource\":\"iam.amazonaws.com\",\"awsRegion\":\"r\",\"eventTime\":\"2024-03-03T10:00:00Z\"}"}}`,
			"aws//cloudtrail", "object_list ListUsers cloudtrail", nil},
	})
}
