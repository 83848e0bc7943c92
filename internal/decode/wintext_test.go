package decode

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

const winTextHead = "03/04/2024 10:00:01 AM\r\nLogName=%s\r\nSourceName=Microsoft Windows security auditing.\r\nEventCode=%s\r\nEventType=0\r\nType=Information\r\n" +
	"ComputerName=DC01.corp.example\r\nRecordNumber=7\r\nKeywords=Audit Success\r\nMessage="

// winText renders an event; lines of body end as Windows ends them.
func winText(log, id, body string) string {
	head := strings.Replace(strings.Replace(winTextHead, "%s", log, 1), "%s", id, 1)
	return head + strings.ReplaceAll(body, "\n", "\r\n") + "\r\n"
}

func TestWindowsText(t *testing.T) {
	names := model.NewNames()
	f := func(text, want string, fields map[string]string) {
		t.Helper()
		b, bad := decodeAll(t, WindowsText(Options{Names: names}), "sec.log", []byte(text))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%d events, %v", len(b.Events), bad)
			return
		}
		e := &b.Events[0]
		if got := describeEvent(e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if e.Host != "dc01.corp.example" || e.Time.Format(time.RFC3339) != "2024-03-04T10:00:01Z" {
			t.Errorf("host %s, time %v", e.Host, e.Time)
		}
		for name, v := range fields {
			if got := e.Text(names.ID(name)); got != v {
				t.Errorf("%s is %q, want %q", name, got, v)
			}
		}
	}
	f(winText("Security", "4624", "An account was successfully logged on.\n\nSubject:\n\tSecurity ID:\t\tNULL SID\n\tAccount Name:\t\t-\n\tAccount Domain:\t\t-\n\tLogon ID:\t\t0x0\n\n"+
		"Logon Information:\n\tLogon Type:\t\t3\n\tElevated Token:\t\tYes\n\nNew Logon:\n\tSecurity ID:\t\tCORP\\bob\n\tAccount Name:\t\tbob\n\tAccount Domain:\t\tCORP\n\tLogon ID:\t\t0xABC\n"+
		"\tLogon GUID:\t\t{3CC9925A-88FB-BEEB-9D24-0D291B44E6A0}\n\nNetwork Information:\n\tWorkstation Name:\tPC7\n\tSource Network Address:\t203.0.113.9\n\tSource Port:\t\t4532\n\n"+
		"Detailed Authentication Information:\n\tLogon Process:\t\tNtLmSsp \n\tAuthentication Package:\tNTLM\n\tPackage Name (NTLM only):\tNTLM V2\n\nThis event is generated when: a session is made."),
		`logon 4624 security user/target=corp\bob session/target=dc01.corp.example:0xabc ip/src=203.0.113.9 host/src=pc7`,
		map[string]string{"SubjectUserSid": "S-1-0-0", "TargetUserName": "bob", "LogonType": "3", "IpPort": "4532", "LogonProcessName": "NtLmSsp", "LmPackageName": "NTLM V2",
			"Provider_Name": "Microsoft-Windows-Security-Auditing", "WorkstationName": "PC7"})
	f(winText("Security", "4688", "A new process has been created.\n\nCreator Subject:\n\tSecurity ID:\t\tCORP\\bob\n\tAccount Name:\t\tbob\n\tAccount Domain:\t\tCORP\n\tLogon ID:\t\t0xABC\n\n"+
		"Target Subject:\n\tSecurity ID:\t\tNULL SID\n\tAccount Name:\t\t-\n\tAccount Domain:\t\t-\n\tLogon ID:\t\t0x0\n\nProcess Information:\n\tNew Process ID:\t\t0x5e8\n"+
		"\tNew Process Name:\tC:\\Windows\\System32\\cmd.exe\n\tMandatory Label:\t\tMandatory Label\\High Mandatory Level\n\tCreator Process ID:\t0x1384\n"+
		"\tCreator Process Name:\tC:\\Windows\\explorer.exe\n\tProcess Command Line:\t\"C:\\Windows\\System32\\cmd.exe\" /c echo a: b=c\n"),
		`process_start 4688 security process/subject=dc01.corp.example:1512 process/parent=dc01.corp.example:4996 user/actor=corp\bob session/actor=dc01.corp.example:0xabc file/object=dc01.corp.example:c:\windows\system32\cmd.exe`,
		map[string]string{"CommandLine": `"C:\Windows\System32\cmd.exe" /c echo a: b=c`, "Image": `C:\Windows\System32\cmd.exe`, "ParentImage": `C:\Windows\explorer.exe`, "IntegrityLevel": "High"})
	f(winText("Security", "4732", "A member was added to a security-enabled local group.\n\nSubject:\n\tAccount Name:\t\tadmin\n\tAccount Domain:\t\tCORP\n\tLogon ID:\t\t0x1\n\n"+
		"Member:\n\tSecurity ID:\t\tS-1-5-21-1-2-3-1104\n\tAccount Name:\t\tCN=eve,DC=corp\n\nGroup:\n\tSecurity ID:\t\tS-1-5-32-544\n\tGroup Name:\t\tAdministrators\n\tGroup Domain:\t\tBuiltin\n"),
		`account_change 4732 security user/actor=corp\admin session/actor=dc01.corp.example:0x1 user/target=dc01.corp.example\eve resource/target=dc01.corp.example\administrators`, nil)
	f(winText("Security", "4776", "The computer attempted to validate the credentials for an account.\n\nAuthentication Package:\tMICROSOFT_AUTHENTICATION_PACKAGE_V1_0\nLogon Account:\tbob\nSource Workstation:\tPC7\nError Code:\t0xC000006A"),
		`logon_failed 4776 security user/target=bob host/src=pc7`, map[string]string{"TargetUserName": "bob", "Workstation": "PC7", "Status": "0xC000006A"})
	f(winText("System", "7045", "A service was installed in the system.\n\nService Name:  evil\nService File Name:  C:\\x\\evil.exe -k\nService Type:  user mode service\nService Start Type:  demand start\nService Account:  LocalSystem"),
		`service_install 7045 system app/object=dc01.corp.example:evil file/object=dc01.corp.example:c:\x\evil.exe`, map[string]string{"ServiceName": "evil", "ImagePath": `C:\x\evil.exe -k`, "StartType": "demand start", "AccountName": "LocalSystem"})
	f(winText("Microsoft-Windows-PowerShell/Operational", "4104", "Creating Scriptblock text (1 of 1):\nfunction x {\n  'Subject: y'\n}\n\nScriptBlock ID: 11111111-2222-3333-4444-555555555555\nPath: C:\\x.ps1"),
		`script 4104 powershell file/object=dc01.corp.example:c:\x.ps1`, map[string]string{"ScriptBlockText": "function x {\n  'Subject: y'\n}", "ScriptBlockId": "11111111-2222-3333-4444-555555555555", "Path": `C:\x.ps1`})
	f(winText("Security", "4662", "An operation was performed on an object.\n\nSubject :\n\tAccount Name:\t\tbob\n\tAccount Domain:\t\tCORP\n\nObject:\n\tObject Server:\t\tDS\n\nOperation:\n\tOperation Type:\t\tObject Access\n\tAccesses:\t\tControl Access\n\t\t\t\t\n\tAccess Mask:\t\t0x100\n\tProperties:\t\tControl Access\n\t\t{1131f6aa-9c07-11d1-f79f-00c04fc2dcd2}\n"),
		`object_read 4662 security user/actor=corp\bob`, map[string]string{"SubjectUserName": "bob", "AccessMask": "0x100", "Properties": "Control Access\n{1131f6aa-9c07-11d1-f79f-00c04fc2dcd2}"})
}

// A message may hold lines of any kind, that of a time too, if only not alone; what is
// no event is counted.
func TestWindowsTextRecords(t *testing.T) {
	text := winText("Security", "4634", "An account was logged off.\n\nSubject:\n\tAccount Name:\tbob 03/04/2024 10:00:01 AM\n") + "03/04/2024 10:00:02 AM\r\nMessage=nothing\r\n" +
		strings.Repeat(winText("Security", "4634", "An account was logged off.\n\nSubject:\n\tAccount Name:\tbob\n"), 6000)
	b, _ := decodeAll(t, WindowsText(Options{Names: model.NewNames()}), "sec.log", []byte(text))
	if len(b.Events) != 6001 || b.Skipped != 1 || len(b.Errors) != 1 || b.Errors[0].Record != 15 {
		t.Errorf("%d events, %d skipped, %+v", len(b.Events), b.Skipped, b.Errors)
	}
}

func FuzzWindowsText(f *testing.F) {
	f.Add([]byte(winText("Security", "4624", "x.\n\nSubject:\n\tAccount Name:\t\tbob\n\t:\n:\n\tx\n")))
	f.Add([]byte(winText("a", "4104", "Creating Scriptblock text (1 of 1):\nScriptBlock ID: ")))
	d := WindowsText(Options{Names: model.NewNames()})
	var r Registry
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
			r.Entities(&b.Events[i])
		}
	})
}
