package decode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// entityLines renders entities as "type/role value (name) [alt]", for comparing.
func entityLines(es []model.Entity) []string {
	var out []string
	for _, e := range es {
		s := fmt.Sprintf("%s/%s %s", e.Type, e.Role, e.Value)
		if e.Name != "" {
			s += " (" + e.Name + ")"
		}
		if e.Alt != "" {
			s += " [" + e.Alt + "]"
		}
		out = append(out, s)
	}
	return out
}

// oneEvent decodes one JSON record and its entities.
func oneEvent(t *testing.T, record string) (*model.Event, *model.Names) {
	t.Helper()
	names := model.NewNames()
	d := JSON(Options{Names: names})
	b := readBatch(t, d, []byte(record))
	if len(b.Events) != 1 || len(b.Errors) != 0 {
		t.Fatalf("%d events, errors %v of %s", len(b.Events), b.Errors, record)
	}
	NewRegistry(d).Entities(&b.Events[0])
	return &b.Events[0], names
}

func wantEntities(t *testing.T, e *model.Event, want ...string) {
	t.Helper()
	got := entityLines(e.Entities)
	if !slices.Equal(got, want) {
		t.Errorf("%s %s: entities\n  %s\nwant\n  %s", e.Source.Service, e.Code, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestWindowsShapes: one Sysmon event in each collector's JSON is the same event.
func TestWindowsShapes(t *testing.T) {
	for shape, record := range map[string]string{
		"nxlog": `{"EventTime":"2024-05-01 10:00:00","Hostname":"WS1.Corp.Example","EventType":"INFO","EventID":12,"SourceName":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","RecordNumber":7,"EventTypeOrignal":"CreateKey","UtcTime":"2024-05-01 14:00:00.250","ProcessGuid":"{AB000000-0000-0000-0000-000000000001}","ProcessId":"42","Image":"C:\\x.exe","TargetObject":"HKLM\\S","@timestamp":"2024-05-01T14:00:02Z"}`,
		"flat":  `{"SourceName":"Microsoft-Windows-Sysmon","TimeCreated":"2024-05-01T10:00:00.000Z","@timestamp":"2024-05-01T10:00:00.000Z","Hostname":"WS1.Corp.Example","Channel":"Microsoft-Windows-Sysmon/Operational","EventID":12,"EventRecordID":"7","EventType":"CreateKey","UtcTime":"2024-05-01 14:00:00.250","ProcessGuid":"{AB000000-0000-0000-0000-000000000001}","ProcessId":"42","Image":"C:\\x.exe","TargetObject":"HKLM\\S"}`,
		"beat6": `{"@timestamp":"2024-05-01T14:00:00.300Z","log_name":"Microsoft-Windows-Sysmon/Operational","event_id":12,"computer_name":"WS1.Corp.Example","source_name":"Microsoft-Windows-Sysmon","record_number":"7","event_data":{"EventType":"CreateKey","UtcTime":"2024-05-01 14:00:00.250","ProcessGuid":"{AB000000-0000-0000-0000-000000000001}","ProcessId":"42","Image":"C:\\x.exe","TargetObject":"HKLM\\S"}}`,
		"beat7": `{"@timestamp":"2024-05-01T14:00:00.300Z","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":"12","computer_name":"WS1.Corp.Example","provider_name":"Microsoft-Windows-Sysmon","record_id":7,"event_data":{"EventType":"CreateKey","UtcTime":"2024-05-01 14:00:00.250","ProcessGuid":"{AB000000-0000-0000-0000-000000000001}","ProcessId":"42","Image":"C:\\x.exe","TargetObject":"HKLM\\S"}}}`,
		"dump":  `{"Event":{"#attributes":{"xmlns":"u"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon"}},"EventID":12,"TimeCreated":{"#attributes":{"SystemTime":"2024-05-01T14:00:00.3Z"}},"EventRecordID":7,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"WS1.Corp.Example"},"EventData":{"EventType":"CreateKey","UtcTime":"2024-05-01 14:00:00.250","ProcessGuid":"AB000000-0000-0000-0000-000000000001","ProcessId":42,"Image":"C:\\x.exe","TargetObject":"HKLM\\S"}}}`,
		"pairs": `{"Event":{"System":{"Provider":{"@Name":"Microsoft-Windows-Sysmon"},"EventID":"12","TimeCreated":{"@SystemTime":"2024-05-01T14:00:00.3Z"},"EventRecordID":"7","Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"WS1.Corp.Example"},"EventData":{"Data":[{"@Name":"EventType","#text":"CreateKey"},{"@Name":"UtcTime","#text":"2024-05-01 14:00:00.250"},{"@Name":"ProcessGuid","#text":"{AB000000-0000-0000-0000-000000000001}"},{"@Name":"ProcessId","#text":"42"},{"@Name":"Image","#text":"C:\\x.exe"},{"@Name":"TargetObject","#text":"HKLM\\S"}]}}}`,
		"row":   `{"TimeGenerated":"2024-05-01T14:00:00.3Z","Type":"Event","Computer":"WS1.Corp.Example","Source":"Microsoft-Windows-Sysmon","EventLog":"Microsoft-Windows-Sysmon/Operational","EventID":12,"EventRecordId":"7","EventData":"<DataItem><EventData xmlns=\"u\"><Data Name=\"EventType\">CreateKey</Data><Data Name=\"UtcTime\">2024-05-01 14:00:00.250</Data><Data Name=\"ProcessGuid\">{AB000000-0000-0000-0000-000000000001}</Data><Data Name=\"ProcessId\">42</Data><Data Name=\"Image\">C:\\x.exe</Data><Data Name=\"TargetObject\">HKLM\\S</Data></EventData></DataItem>"}`,
	} {
		e, names := oneEvent(t, record)
		if e.Source != (model.LogSource{Product: "windows", Category: "registry_add", Service: "sysmon"}) || e.Code != "12" || e.Host != "ws1.corp.example" || e.Act != model.ActRegistrySet {
			t.Errorf("%s: %+v %s %s %v", shape, e.Source, e.Code, e.Host, e.Act)
		}
		if got := e.Time.Format("15:04:05.000"); got != "14:00:00.250" {
			t.Errorf("%s: time %s", shape, got)
		}
		wantSlots(t, names, e, "EventType=CreateKey", "Provider_Name=Microsoft-Windows-Sysmon", "EventRecordID=7", "Computer=WS1.Corp.Example",
			"Image=C:\\x.exe", "TargetObject=HKLM\\S", "ProcessId=42", "EventID=12", "Channel=Microsoft-Windows-Sysmon/Operational")
		if got := e.Text(model.FEventType); got != "CreateKey" {
			t.Errorf("%s: the first EventType is %q", shape, got)
		}
		wantEntities(t, e, "host/subject ws1.corp.example",
			`process/actor ab000000-0000-0000-0000-000000000001 (C:\x.exe) [ws1.corp.example:42]`)
	}
}

func TestWindowsClocks(t *testing.T) {
	e, _ := oneEvent(t, `{"EventTime":"2024-05-01 10:00:00","Hostname":"h","EventID":4688,"Channel":"Security","@timestamp":"2024-05-01T14:00:02Z"}`)
	if got := e.Recorded.Format("15:04:05"); got != "10:00:00" || e.Received.Format("15:04:05") != "14:00:02" || !e.Time.Equal(e.Recorded) {
		t.Errorf("nxlog: recorded %v received %v time %v", e.Recorded, e.Received, e.Time)
	}
	e, _ = oneEvent(t, `{"TimeCreated":"2024-05-01T10:00:00.5Z","@timestamp":"2024-05-01T10:00:00.500Z","Hostname":"h","EventID":"1","Channel":"X"}`)
	if !e.Received.IsZero() {
		t.Errorf("a copy of TimeCreated was taken for an arrival: %v", e.Received)
	}
}

func flat(channel string, id int, fields string) string {
	return fmt.Sprintf(`{"TimeCreated":"2024-05-01T10:00:00Z","Hostname":"DC1.corp.example","Channel":%q,"EventID":%d,%s}`, channel, id, fields)
}

func TestWindowsActs(t *testing.T) {
	const subject = `"SubjectUserSid":"S-1-5-21-1-2-3-1104","SubjectUserName":"Bob","SubjectDomainName":"CORP","SubjectLogonId":"0x9CC0B6"`
	const who = `user/actor corp\bob [S-1-5-21-1-2-3-1104]`
	const session = `session/actor dc1.corp.example:0x9cc0b6`
	for _, c := range []struct {
		channel  string
		id       int
		fields   string
		act      model.Act
		category string
		slots    []string
		entities []string // after host/subject
	}{
		{"security", 4688, subject + `,"NewProcessId":"0x1d60","NewProcessName":"C:\\a.exe","ProcessId":"0x10","ParentProcessName":"C:\\p.exe","TargetUserName":"-","MandatoryLabel":"S-1-16-12288"`,
			model.ActProcessStart, "process_creation",
			[]string{"ProcessId=7520", "ParentProcessId=16", `Image=C:\a.exe`, `ParentImage=C:\p.exe`, `User=CORP\Bob`, "IntegrityLevel=High", "LogonId=0x9CC0B6", "NewProcessId=0x1d60"},
			[]string{`process/subject dc1.corp.example:7520 (C:\a.exe)`, `process/parent dc1.corp.example:16 (C:\p.exe)`, who, session, `file/object dc1.corp.example:c:\a.exe`}},
		{"Security", 4624, `"TargetUserSid":"S-1-5-21-1-2-3-9","TargetUserName":"WS1$","TargetDomainName":"CORP.EXAMPLE","TargetLogonId":"0x5a","LogonType":"3","IpAddress":"::ffff:10.1.2.3","WorkstationName":"WS1","SubjectUserSid":"S-1-0-0","SubjectUserName":"-","ProcessId":"0x0"`,
			model.ActLogon, "", nil,
			[]string{`user/target corp\ws1$ [S-1-5-21-1-2-3-9]`, "session/target dc1.corp.example:0x5a", "ip/src 10.1.2.3", "host/src ws1"}},
		{"Security", 4625, `"TargetUserSid":"S-1-0-0","TargetUserName":"eve","TargetDomainName":".","IpAddress":"127.0.0.1","WorkstationName":"DC1","SubjectUserSid":"S-1-5-18","SubjectUserName":"DC1$","SubjectDomainName":"CORP","TargetLogonId":"0x0"`,
			model.ActLogonFailed, "", nil, []string{`user/target dc1\eve`, `user/actor dc1.corp.example\system [S-1-5-18]`}},
		{"Security", 4648, subject + `,"TargetUserName":"admin","TargetDomainName":"CORP","TargetServerName":"FS1.corp.example","IpAddress":"-","ProcessId":"0x2a","ProcessName":"C:\\r.exe"`,
			model.ActExplicitCreds, "", nil, []string{who, session, `user/target corp\admin`, "host/dst fs1.corp.example", `process/actor dc1.corp.example:42 (C:\r.exe)`}},
		{"Security", 4768, `"TargetUserName":"bob","TargetDomainName":"CORP.EXAMPLE","ServiceName":"krbtgt","Status":"0x6","IpAddress":"::ffff:10.0.0.9"`,
			model.ActLogonFailed, "", nil, []string{`user/target corp\bob`, "ip/src 10.0.0.9"}},
		{"Security", 4769, `"TargetUserName":"bob@CORP.EXAMPLE","TargetDomainName":"CORP.EXAMPLE","ServiceName":"SqlSvc","Status":"0x0","IpAddress":"10.0.0.9"`,
			model.ActTicket, "", nil, []string{`user/actor corp\bob`, "app/target sqlsvc (SqlSvc)", "ip/src 10.0.0.9"}},
		{"Security", 4776, `"TargetUserName":"bob","Workstation":"WS9","Status":"0xc000006a"`, model.ActLogonFailed, "", nil, []string{"user/target bob", "host/src ws9"}},
		{"Security", 4697, subject + `,"ServiceName":"Evil","ServiceFileName":"\"C:\\t\\e.exe\" -k"`, model.ActServiceInstall, "", nil,
			[]string{who, session, "app/object dc1.corp.example:evil (Evil)", `file/object dc1.corp.example:c:\t\e.exe`}},
		{"Security", 4698, subject + `,"TaskName":"\\T","TaskContent":"<Task><Exec><Command>C:\\a&amp;b.exe</Command></Exec></Task>"`, model.ActTaskCreate, "", nil,
			[]string{who, session, `app/object dc1.corp.example:\t (\T)`, `file/object dc1.corp.example:c:\a&b.exe`}},
		{"Security", 4728, subject + `,"MemberName":"CN=Eve Adams,CN=Users,DC=corp","MemberSid":"S-1-5-21-1-2-3-7","TargetUserName":"Domain Admins","TargetDomainName":"CORP","TargetSid":"S-1-5-21-1-2-3-512"`,
			model.ActAccountChange, "", nil, []string{who, session, `user/target corp\eve adams [S-1-5-21-1-2-3-7]`, `resource/target corp\domain admins (Domain Admins) [S-1-5-21-1-2-3-512]`}},
		{"Security", 5145, subject + `,"IpAddress":"10.0.0.5","ShareName":"\\\\*\\C$","ShareLocalPath":"\\??\\C:\\","RelativeTargetName":"Windows\\e.exe"`, model.ActShareAccess, "", nil,
			[]string{who, session, "ip/src 10.0.0.5", `resource/target \\dc1.corp.example\c$ (C$)`, `file/object dc1.corp.example:c:\windows\e.exe`}},
		{"Security", 5156, `"ProcessID":"42","Application":"\\device\\x.exe","Direction":"%%14593","SourceAddress":"10.0.0.1","SourcePort":"5000","DestAddress":"10.0.0.2","DestPort":"445"`,
			model.ActConnect, "network_connection", []string{"DestinationIp=10.0.0.2", "DestinationPort=445", "Initiated=true"},
			[]string{`process/actor dc1.corp.example:42 (\device\x.exe)`, "ip/src 10.0.0.1", "ip/dst 10.0.0.2"}},
		{"Security", 4657, subject + `,"ObjectName":"\\REGISTRY\\MACHINE\\SOFTWARE\\Run","ObjectValueName":"x","NewValue":"c:\\e.exe","ProcessId":"0x1","ProcessName":"C:\\r.exe"`, model.ActRegistrySet, "registry_set",
			[]string{`TargetObject=HKLM\SOFTWARE\Run\x`, `Details=c:\e.exe`, `Image=C:\r.exe`}, []string{who, session, `process/actor dc1.corp.example:1 (C:\r.exe)`}},
		{"Security", 4662, subject + `,"AccessMask":"0x100","ObjectName":"%{guid}"`, model.ActObjectRead, "", nil, []string{who, session, "resource/target dc1.corp.example:%{guid} (%{guid})"}},
		{"Security", 1102, subject, model.ActLogCleared, "", nil, []string{who, session}},
		{"System", 7045, `"ServiceName":"Evil","ImagePath":"%COMSPEC% /c x"`, model.ActServiceInstall, "", nil, []string{"app/object dc1.corp.example:evil (Evil)", "file/object dc1.corp.example:%comspec%"}},
		{"System", 7045, `"ServiceName":"Evil","ImagePath":"C:\\Program Files\\A B\\e.exe -k run.exe","ExecutionProcessID":612,"UserID":"S-1-5-21-1-2-3-1104"`, model.ActServiceInstall, "", nil,
			[]string{"app/object dc1.corp.example:evil (Evil)", `file/object dc1.corp.example:c:\program files\a b\e.exe`, `user/actor s-1-5-21-1-2-3-1104 [S-1-5-21-1-2-3-1104]`}},
		{"Security", 4771, `"TargetUserName":"Bob","ServiceName":"krbtgt/CORP","IpAddress":"::ffff:10.0.0.9","Status":"0x18"`, model.ActLogonFailed, "", nil, []string{`user/target corp\bob`, "ip/src 10.0.0.9"}},
		{"Security", 4778, `"AccountName":"Bob","AccountDomain":"CORP","LogonID":"0x77","SessionName":"RDP-Tcp#1","ClientName":"WS9","ClientAddress":"10.0.0.9"`, model.ActLogon, "", nil,
			[]string{`user/target corp\bob`, "session/target dc1.corp.example:0x77", "ip/src 10.0.0.9", "host/src ws9"}},
		{"Security", 4825, `"AccountName":"Bob","AccountDomain":"CORP","LogonID":"0x78","ClientAddress":"10.0.0.9"`, model.ActLogonFailed, "", nil,
			[]string{`user/target corp\bob`, "session/target dc1.corp.example:0x78", "ip/src 10.0.0.9"}},
		{"Security", 4799, subject + `,"TargetUserName":"Administrators","TargetDomainName":"Builtin","TargetSid":"S-1-5-32-544","CallerProcessId":"0x2a","CallerProcessName":"C:\\net1.exe"`, model.ActNone, "", nil,
			[]string{who, session, `resource/target dc1.corp.example\administrators (Administrators) [S-1-5-32-544]`, `process/actor dc1.corp.example:42 (C:\net1.exe)`}},
		{"Microsoft-Windows-Windows Defender/Operational", 1116, `"Threat Name":"Tool:X","Process Name":"C:\\e.exe","Source Name":"Real-Time Protection","Detection User":"CORP\\bob","Path":"file:_C:\\a.exe; containerfile:_C:\\b.zip; file:_C:\\b.zip->c.exe","ExecutionProcessID":9,"UserID":"S-1-5-18"`, model.ActNone, "",
			[]string{"ThreatName=Tool:X", `ProcessName=C:\e.exe`, "SourceName=Real-Time Protection"}, []string{`user/actor corp\bob`, `file/object dc1.corp.example:c:\a.exe`, `file/object dc1.corp.example:c:\b.zip`}},
		{"Microsoft-Windows-Windows Defender/Operational", 5007, `"Old Value":"","New Value":"HKLM\\Exclusions\\x = 0x0"`, model.ActConfigChange, "", []string{`NewValue=HKLM\Exclusions\x = 0x0`}, nil},
		{"Microsoft-Windows-Windows Firewall With Advanced Security/Firewall", 2003, `"ModifyingUser":"S-1-5-21-1-2-3-1104","UserID":"S-1-5-19","ExecutionProcessID":9`, model.ActConfigChange, "", nil, []string{"user/actor s-1-5-21-1-2-3-1104 [S-1-5-21-1-2-3-1104]"}},
		{"OpenSSH/Operational", 4, `"process":"sshd","payload":"Failed password for invalid user eve from 1.1.1.1 from 203.0.113.7 port 4711 ssh2","UserID":"S-1-5-18","ExecutionProcessID":9`, model.ActLogonFailed, "", nil,
			[]string{"user/target eve from 1.1.1.1", "ip/src 203.0.113.7"}},
		{"OpenSSH/Operational", 4, `"process":"sshd","payload":"Accepted publickey for bob from 203.0.113.7 port 4711 ssh2: RSA"`, model.ActLogon, "", nil, []string{"user/target bob", "ip/src 203.0.113.7"}},
		{"Application", 18456, `"SourceName":"MSSQL$X","Data":["sa"," Reason: wrong."," [CLIENT: 203.0.113.7]"]`, model.ActLogonFailed, "", nil, []string{"user/target sa", "ip/src 203.0.113.7"}},
		{"Application", 18456, `"SourceName":"Other","Data":["sa"," [CLIENT: 203.0.113.7]"]`, model.ActNone, "", nil, nil},
		{"Application", 33205, `"SourceName":"MSSQLSERVER","Data":"action_id:LGIF\nserver_principal_name:eve\nstatement:Login failed [CLIENT: 203.0.113.7]\n"`, model.ActLogonFailed, "", nil, []string{"ip/src 203.0.113.7", "user/target eve"}},
		{"Application", 33205, `"SourceName":"MSSQLSERVER","Data":"action_id:APRL\nsession_server_principal_name:CORP\\bob\ntarget_server_principal_name:CORP\\eve\ndatabase_name:master\nobject_name:sysadmin\n"`, model.ActAccountChange, "", nil,
			[]string{`user/actor corp\bob`, `user/target corp\eve`, "resource/target dc1.corp.example:master.sysadmin (master.sysadmin)"}},
		{"Application", 33205, `"SourceName":"MSSQLSERVER","Data":"action_id:SL\nserver_principal_name:bob\ndatabase_name:shop\nobject_name:cards\n"`, model.ActObjectRead, "", nil,
			[]string{"user/actor bob", "resource/target dc1.corp.example:shop.cards (shop.cards)"}},
		{"Microsoft-Windows-PowerShell/Operational", 4104, `"ScriptBlockText":"x","UserID":"S-1-5-21-1-2-3-1104","ExecutionProcessID":77,"AccountName":"bob","Domain":"CORP"`,
			model.ActScript, "ps_script", nil, []string{"process/actor dc1.corp.example:77", who}},
		{"Windows PowerShell", 400, `"Message":"Engine state is changed\n\tUserId=CORP\\bob\n"`, model.ActScript, "ps_classic_start", nil, []string{`user/actor corp\bob`}},
		{"Windows PowerShell", 800, `"Data":["x","\tDetailTotal=1\r\n\tUserId=CORP\\bob\r\n\tHostName=h","y"]`, model.ActScript, "ps_classic_script", nil, []string{`user/actor corp\bob`}},
		{"Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", 21, `"User":"CORP\\bob","Address":"10.0.0.8"`, model.ActLogon, "", nil, []string{`user/target corp\bob`, "ip/src 10.0.0.8"}},
		{"Microsoft-Windows-Sysmon/Operational", 8, `"SourceProcessGuid":"{00000000-0000-0000-0000-000000000000}","SourceProcessId":"5","SourceImage":"C:\\a.exe","TargetProcessGuid":"{AA000000-0000-0000-0000-000000000002}","TargetProcessId":"6","TargetImage":"C:\\b.exe","SourceUser":"NT AUTHORITY\\SYSTEM"`,
			model.ActInject, "create_remote_thread", nil, []string{`process/actor dc1.corp.example:5 (C:\a.exe)`, `process/target aa000000-0000-0000-0000-000000000002 (C:\b.exe) [dc1.corp.example:6]`, `user/actor dc1.corp.example\system`}},
		{"Microsoft-Windows-Sysmon/Operational", 3, `"ProcessId":"5","Image":"C:\\a.exe","User":"CORP\\bob","Initiated":"true","SourceIp":"10.0.0.1","DestinationIp":"203.0.113.9","DestinationHostname":"evil.example"`,
			model.ActConnect, "network_connection", nil, []string{`process/actor dc1.corp.example:5 (C:\a.exe)`, `user/actor corp\bob`, "ip/src 10.0.0.1", "ip/dst 203.0.113.9", "domain/dst evil.example"}},
		{"Microsoft-Windows-Sysmon/Operational", 7, `"ProcessId":"5","Image":"C:\\a.exe","ImageLoaded":"C:\\l.dll","Hashes":"MD5=00112233445566778899AABBCCDDEEFF,SHA256=00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF,IMPHASH=00000000000000000000000000000000"`,
			model.ActImageLoad, "image_load", nil, []string{`process/actor dc1.corp.example:5 (C:\a.exe)`, `file/object dc1.corp.example:c:\l.dll`, "hash/indicator 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}},
	} {
		e, names := oneEvent(t, flat(c.channel, c.id, c.fields))
		if e.Act != c.act || e.Source.Category != c.category || e.Source.Product != "windows" || e.Source.Service == "" {
			t.Errorf("%s %d: act %v source %+v", c.channel, c.id, e.Act, e.Source)
		}
		wantSlots(t, names, e, c.slots...)
		wantEntities(t, e, append([]string{"host/subject dc1.corp.example"}, c.entities...)...)
	}
}

func TestProgramOf(t *testing.T) {
	for command, want := range map[string]string{
		`"C:\a b\c.exe" -x d.exe`:                             `C:\a b\c.exe`,
		`C:\Program Files\A B\c.EXE -x`:                       `C:\Program Files\A B\c.EXE`,
		`C:\a.exe C:\b.bat`:                                   `C:\a.exe`,
		`%COMSPEC% /Q /c echo dir ^> x.bat & %COMSPEC% x.bat`: `%COMSPEC%`,
		`cmd.exe`:             `cmd.exe`,
		`net user`:            `net`,
		`\SystemRoot\d\x.sys`: `\SystemRoot\d\x.sys`,
		`x `:                  `x`,
		`"open`:               `open`,
		``:                    ``,
	} {
		if got := programOf(command); got != want {
			t.Errorf("programOf(%q) = %q, want %q", command, got, want)
		}
	}
}

// TestWindowsServices: channels get the service names of Sigma's taxonomy,
// whatever their case.
func TestWindowsServices(t *testing.T) {
	for channel, want := range map[string]string{
		"SECURITY": "security", "Microsoft-Windows-Windows Defender/Operational": "windefend", "microsoft-windows-bits-client/operational": "bits-client",
		"DNS Server": "dns-server", "OpenSSH/Operational": "openssh", "MSExchange Management": "msexchange-management", "Nobody Knows": "",
		"Microsoft-Windows-AppLocker/EXE and DLL": "applocker", "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall": "firewall-as",
	} {
		if got := channelOf(channel).service; got != want {
			t.Errorf("%s: service %q, want %q", channel, got, want)
		}
	}
}

// TestFinishWindowsAllocates: completing a steady stream of events costs no memory.
func TestFinishWindowsAllocates(t *testing.T) {
	var b Batch
	b.Events = append(make([]model.Event, 0, 4), model.Event{Host: "ws1.corp.example"})
	b.Slot(model.FEventID, model.Number, "10")
	b.Slot(model.FChannel, model.String, "Microsoft-Windows-Sysmon/Operational")
	b.Slot(model.FComputer, model.String, "WS1.corp.example")
	b.Slot(model.FUtcTime, model.String, "2024-05-01 14:00:00.250")
	var e model.Event
	if n := testing.AllocsPerRun(100, func() { finishWindows(&b, &e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if e.Host != "ws1.corp.example" || e.Act != model.ActProcessAccess {
		t.Errorf("%+v", e)
	}
}
