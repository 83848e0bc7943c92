package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// osqueryLine is a differential result.
func osqueryLine(columns string) string {
	return `{"name":"pack_x_y","hostIdentifier":"Web01","calendarTime":"Sun Mar  3 10:00:05 2024 UTC","unixTime":1709460005,"epoch":0,"counter":3,"numerics":false,"decorations":{"host_uuid":"u"},"columns":{` + columns + `},"action":"added"}`
}

func TestOsquery(t *testing.T) {
	checkGolden(t, "osquery", "web01", []golden{
		{osqueryLine(`"pid":"42","parent":"7","path":"/usr/bin/curl","cmdline":"curl x","cwd":"\"/tmp\"","uid":"0","euid":"33","time":"1709460000","auid":"4294967295"`),
			"linux/process_creation/osquery", `process_start pack_x_y osquery user/actor=web01\33 process/subject=web01:42 process/parent=web01:7 file/object=web01:/usr/bin/curl`,
			[]string{"CommandLine=curl x", "Image=/usr/bin/curl", "pid=42", "action=added", "decorations.host_uuid=u"}},
		{osqueryLine(`"action":"connect","pid":"42","path":"/usr/bin/curl","auid":"0","family":"2","protocol":"6","local_address":"10.0.0.5","local_port":"4000","remote_address":"203.0.113.9","remote_port":"443","time":"1709460000"`),
			"linux/network_connection/osquery", `connect pack_x_y osquery process/actor=web01:42 ip/src=10.0.0.5 ip/dst=203.0.113.9`, []string{"DestinationPort=443", "Initiated=true"}},
		{osqueryLine(`"action":"accept","pid":"42","path":"/usr/sbin/sshd","local_address":"10.0.0.5","local_port":"22","remote_address":"203.0.113.9","remote_port":"4000","time":"1709460000"`),
			"linux/network_connection/osquery", `connect pack_x_y osquery process/actor=web01:42 ip/src=203.0.113.9 ip/dst=10.0.0.5`, []string{"DestinationPort=22", "Initiated=false"}},
		{osqueryLine(`"target_path":"/etc/cron.d/x","action":"CREATED","category":"etc","md5":"","sha256":"AB","uid":"0","time":"1709460000"`),
			"linux/file_event/osquery", `file_write pack_x_y osquery user/actor=web01\root file/object=web01:/etc/cron.d/x hash/indicator=ab`, []string{"TargetFilename=/etc/cron.d/x", "sha256=AB"}},
		{osqueryLine(`"uid":"0","pid":"5","auid":"4294967295","message":"op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" res=failed","type":"1112","path":"/usr/sbin/sshd","address":"203.0.113.7","terminal":"ssh","time":"1709460000"`),
			"linux//osquery", `logon_failed pack_x_y osquery process/actor=web01:5 user/target=web01\bob ip/src=203.0.113.7`, nil},
		{osqueryLine(`"event_type":"exec","pid":"42","parent":"7","path":"/usr/bin/osascript","cmdline":"osascript -e x","username":"alice","signing_id":"s","cdhash":"c","time":"1709460000"`),
			"macos/process_creation/osquery", `process_start pack_x_y osquery user/actor=web01\alice process/subject=web01:42 process/parent=web01:7 file/object=web01:/usr/bin/osascript`, nil},
	})
	names := model.NewNames()
	b, bad := decodeAll(t, JSON(Options{Names: names}), "x", []byte(`{"snapshot":[{"pid":"1","name":"init"},{"pid":"2","name":"kthreadd","path":"/x"}],"action":"snapshot","name":"procs","hostIdentifier":"Web01","unixTime":1709460000}
{"diffResults":{"added":[{"a":"1"}],"removed":[{"a":"2"}]},"name":"q","hostIdentifier":"h","unixTime":1709460000}
{"name":"q","hostIdentifier":"h","unixTime":1709460000,"columns":{"eventid":"4624","channel":"Security","provider_name":"Microsoft-Windows-Security-Auditing","datetime":"2024-03-03T09:59:59Z","time":"1","data":"{\"EventData\":{\"TargetUserName\":\"bob\",\"TargetDomainName\":\"CORP\",\"LogonType\":\"3\"}}"},"action":"added"}`))
	if len(b.Events) != 4 || len(bad) != 0 {
		t.Fatalf("%d events, %v", len(b.Events), bad)
	}
	if e := &b.Events[1]; e.Host != "web01" || e.Act != model.ActNone || string(e.Raw) != `{"pid":"2","name":"kthreadd","path":"/x"}` || e.Ref.Offset != 39 || e.ID() == b.Events[0].ID() {
		t.Errorf("second row: %+v, %s", e.Ref, e.Raw)
	}
	wantSlots(t, names, &b.Events[1], "pid=2", "path=/x", "action=snapshot")
	if e := &b.Events[3]; e.Act != model.ActLogon || e.Source.Product != "windows" || e.Code != "4624" || e.Time.Second() != 59 {
		t.Errorf("Windows event: %s %+v", describeEvent(e), e.Source)
	}
}

func TestOsqueryBounds(t *testing.T) {
	line := `{"snapshot":[{"a":"1"}` + strings.Repeat(`,{"a":"1"}`, maxOsqueryRows+5) + `],"action":"snapshot","name":"q","hostIdentifier":"h","unixTime":1709460000}`
	b := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(line))
	empty := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(`{"snapshot":[],"action":"snapshot","name":"q","hostIdentifier":"h","unixTime":1709460000}`))
	if len(empty.Events)+len(empty.Errors) != 0 {
		t.Errorf("a snapshot without rows: %d events, %v", len(empty.Events), empty.Errors)
	}
	if len(b.Events) != maxOsqueryRows || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Cause, "rows") {
		t.Errorf("%d events, %v", len(b.Events), b.Errors)
	}
}
