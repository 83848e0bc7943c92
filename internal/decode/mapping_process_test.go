package decode

import (
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// What products say of the program that an alert is about is named as telemetry
// names it: by machine and number, by machine and path, by its digest.
func TestProcessesOfProducts(t *testing.T) {
	graphAlert := func(evidence string) string {
		return `{"id":"da1","serviceSource":"microsoftDefenderForEndpoint","detectionSource":"edr","severity":"high","title":"x","category":"Execution","status":"new","firstActivityDateTime":"2024-05-01T10:05:00Z","evidence":[` + evidence + `]}`
	}
	device := func(name string) string {
		return `{"@odata.type":"#microsoft.graph.security.deviceEvidence","deviceDnsName":"` + name + `"}`
	}
	program := `{"@odata.type":"#microsoft.graph.security.processEvidence","processId":4711,"parentProcessId":812,"processCommandLine":"x.exe -k","imageFile":{"fileName":"X.exe","filePath":"C:\\Temp\\","sha256":"AB"},
		"parentProcessImageFile":{"fileName":"cmd.exe","filePath":"C:\\Windows\\System32"},"userAccount":{"accountName":"Eve","domainName":"CORP","userPrincipalName":null}}`
	falcon := func(more string) string {
		return `{"composite_id":"c:1","device":{"hostname":"WS1"},"severity":70,"severity_name":"High","display_name":"x","timestamp":"2024-05-01T10:05:00Z",` + more + `}`
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"Defender by Graph", graphAlert(device("WS1.corp.example") + "," + program),
			[]string{`user/actor=corp\eve`, `process/actor=ws1.corp.example:4711`, `process/parent=ws1.corp.example:812`, `file/object=ws1.corp.example:c:\temp\x.exe`, `file/parent=ws1.corp.example:c:\windows\system32\cmd.exe`, `hash/indicator=ab`}},
		{"Defender by Graph, Linux", graphAlert(device("web1") + `,{"processId":12,"imageFile":{"fileName":"Nc","filePath":"/usr/bin"}}`),
			[]string{`process/actor=web1:12`, `file/object=web1:/usr/bin/nc`}},
		{"Defender by Graph, a file", graphAlert(device("ws1") + `,{"@odata.type":"#microsoft.graph.security.fileEvidence","fileDetails":{"fileName":"a.dll","filePath":"D:","sha256":"cd"}}`),
			[]string{`file/object=ws1:d:\a.dll`, `hash/indicator=cd`}},
		{"Defender by Graph, two machines", graphAlert(device("ws1") + "," + device("ws2") + "," + program),
			[]string{`user/actor=corp\eve`, `hash/indicator=ab`}},
		{"Defender's incidents", `{"incidentId":1,"alerts":[{"alertId":"da2","incidentId":1,"serviceSource":"MicrosoftDefenderForEndpoint","title":"x","severity":"High","category":"Execution","firstActivity":"2024-05-01T10:05:00Z","devices":[{"deviceDnsName":"ws1"}],
			"entities":[{"entityType":"Process","fileName":"x.exe","filePath":"C:\\Temp","processId":4711,"parentProcessId":812,"sha256":"ab"}]}]}`,
			[]string{`process/actor=ws1:4711`, `process/parent=ws1:812`, `file/object=ws1:c:\temp\x.exe`, `hash/indicator=ab`}},
		{"CrowdStrike", falcon(`"local_process_id":"4711","parent_details":{"local_process_id":"812","filepath":"\\Device\\HarddiskVolume3\\Windows\\explorer.exe"},"filepath":"\\Device\\HarddiskVolume3\\Users\\eve\\x.exe","filename":"x.exe","sha256":"ab"`),
			[]string{`process/actor=ws1:4711`, `process/parent=ws1:812`, `file/object=ws1:c:\users\eve\x.exe`, `file/parent=ws1:c:\windows\explorer.exe`, `hash/indicator=ab`}},
		{"CrowdStrike, the folder apart", falcon(`"filepath":"\\Device\\HarddiskVolume1\\Windows\\System32\\WindowsPowerShell\\v1.0","filename":"powershell.exe"`),
			[]string{`file/object=ws1:c:\windows\system32\windowspowershell\v1.0\powershell.exe`}},
		{"CrowdStrike, another volume", falcon(`"filepath":"\\Device\\HarddiskVolume9\\tools\\x.exe","filename":"x.exe"`),
			[]string{`file/object=ws1:\device\harddiskvolume9\tools\x.exe`}},
		{"SentinelOne", `{"agentRealtimeInfo":{"agentComputerName":"WS1"},"threatInfo":{"threatId":"1","threatName":"x.exe","classification":"Malware","identifiedAt":"2024-05-01T10:05:00Z","filePath":"\\Device\\HarddiskVolume2\\Users\\eve\\x.exe"}}`,
			[]string{`file/object=ws1:c:\users\eve\x.exe`}},
		{"Elastic", `{"@timestamp":"2024-05-01T10:05:00Z","kibana.alert.uuid":"u","kibana.alert.rule.name":"x","kibana.alert.rule.rule_id":"r","host":{"name":"WS1"},"process":{"pid":4711,"entity_id":"e1","executable":"C:\\Temp\\x.exe","parent":{"pid":812,"entity_id":"e0"}}}`,
			[]string{`process/actor=e1`, `process/actor=ws1:4711`, `process/parent=e0`, `process/parent=ws1:812`, `file/object=ws1:c:\temp\x.exe`}},
		{"Wazuh, Sysmon", `{"timestamp":"2024-05-01T12:05:00.000+0200","rule":{"level":10,"description":"x","id":"9"},"agent":{"id":"1","name":"WS1"},"id":"1.2","data":{"win":{"system":{"computer":"WS1.corp.example"},"eventdata":{"image":"C:\\Temp\\x.exe","processId":"4711","hashes":"MD5=00,SHA256=` + strings.Repeat("AB", 32) + `"}}}}`,
			[]string{`file/object=ws1:c:\temp\x.exe`, `process/actor=ws1.corp.example:4711`, `hash/indicator=` + strings.Repeat("ab", 32)}},
		{"Wazuh, security log", `{"timestamp":"2024-05-01T12:05:00.000+0200","rule":{"level":10,"description":"x","id":"9"},"agent":{"id":"1","name":"WS1"},"id":"1.2","data":{"win":{"system":{"computer":"WS1"},"eventdata":{"processId":"0x1f4"}}}}`, nil},
		{"Wazuh, auditd", `{"timestamp":"2024-05-01T12:05:00.000+0200","rule":{"level":10,"description":"x","id":"9"},"agent":{"id":"1","name":"web1"},"id":"1.2","data":{"audit":{"pid":"12","ppid":"11","exe":"/usr/bin/nc"}}}`,
			[]string{`file/object=web1:/usr/bin/nc`, `process/actor=web1:12`, `process/parent=web1:11`}},
		{"Falco", `{"hostname":"web1","output":"x","priority":"Warning","rule":"x","source":"syscall","time":"2024-05-01T10:05:00Z","output_fields":{"proc.pid":12,"proc.ppid":11,"proc.exepath":"/usr/bin/nc"}}`,
			[]string{`process/subject=web1:12`, `process/parent=web1:11`, `file/object=web1:/usr/bin/nc`}},
		{"GuardDuty at run time", `{"schemaVersion":"2.0","accountId":"1","region":"r","id":"f1","type":"Execution:Runtime/ReverseShell","severity":8,"title":"x","createdAt":"2024-05-01T10:05:00Z","resource":{"resourceType":"Instance","instanceDetails":{"instanceId":"i-1"}},
			"service":{"detectorId":"d","serviceName":"guardduty","archived":false,"runtimeDetails":{"process":{"pid":12,"executablePath":"/tmp/x","executableSha256":"AB"}}}}`,
			[]string{`process/actor=i-1:12`, `file/object=i-1:/tmp/x`, `hash/indicator=ab`}},
	} {
		b := alertsOf(t, c.text)
		if len(b.Alerts) != 1 {
			t.Errorf("%s: %d alerts", c.name, len(b.Alerts))
			continue
		}
		var got []string
		for _, e := range b.Alerts[0].Entities {
			switch e.Type {
			case model.Process, model.File, model.Hash, model.User:
				got = append(got, string(e.Type)+"/"+string(e.Role)+"="+e.Value)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}
