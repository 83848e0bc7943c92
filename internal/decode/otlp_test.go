package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestOTLP(t *testing.T) {
	record := func(more string) string {
		return `{"timeUnixNano":"1709460000500000000","observedTimeUnixNano":"1709460003000000000",` + more + `}`
	}
	batch := `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"Web01"}}]},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[` +
		record(`"body":{"stringValue":"{\"eventName\":\"ListUsers\",\"awsRegion\":\"r\",\"eventTime\":\"2024-03-03T10:00:00Z\"}"}`) + `,` +
		record(`"body":{"stringValue":"<86>Mar  3 10:00:00 db01 sshd[77]: Failed password for root from 203.0.113.7 port 5 ssh2"}`) + `,` +
		record(`"body":{"stringValue":"type=USER_LOGIN msg=audit(1709460000.123:9): pid=5 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=failed'"}`) + `,` +
		record(`"body":{"kvlistValue":{"values":[{"key":"channel","value":{"stringValue":"Security"}},{"key":"computer","value":{"stringValue":"DC1"}},{"key":"event_id","value":{"kvlistValue":{"values":[{"key":"qualifiers","value":{"intValue":"0"}},{"key":"id","value":{"intValue":"4624"}}]}}},`+
			`{"key":"system_time","value":{"stringValue":"2024-03-03T10:00:00.1Z"}},{"key":"provider","value":{"kvlistValue":{"values":[{"key":"name","value":{"stringValue":"Microsoft-Windows-Security-Auditing"}}]}}},`+
			`{"key":"event_data","value":{"kvlistValue":{"values":[{"key":"data","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"TargetUserName","value":{"stringValue":"bob"}}]}},{"kvlistValue":{"values":[{"key":"LogonType","value":{"stringValue":"3"}}]}}]}}}]}}}]}}`) +
		`]}]},{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"Shop"}}]},"scopeLogs":[{"logRecords":[` +
		record(`"severityText":"WARN","body":{"stringValue":"cart is empty"},"attributes":[{"key":"http.status","value":{"intValue":"404"}},{"key":"tags","value":{"arrayValue":{"values":[{"boolValue":true},{"stringValue":"x"}]}}}]`) + `,` +
		`{"body":{"stringValue":"{broken"}}` + `]}]}]}`
	names := model.NewNames()
	b := readBatch(t, JSON(Options{Names: names}), []byte(batch))
	want := []string{"cloudtrail Web01", `logon_failed failed sshd user/target=db01\root ip/src=203.0.113.7`, `logon_failed USER_LOGIN auditd user/target=web01\bob ip/src=203.0.113.7 process/actor=web01:5`,
		"logon 4624 security", "none  ", "none  "}
	if len(b.Events) != len(want) || len(b.Errors) != 1 {
		t.Fatalf("%d events, %v", len(b.Events), b.Errors)
	}
	for i := range b.Events {
		e := &b.Events[i]
		got := describeEvent(e)
		switch i {
		case 0:
			got = e.Format + " Web01"
		case 3:
			got = e.Act.String() + " " + e.Code + " " + e.Source.Service
			wantSlots(t, names, e, "TargetUserName=bob", "LogonType=3", "Computer=DC1")
		case 4:
			wantSlots(t, names, e, "body=cart is empty", "severity=WARN", "http.status=404", `tags=[true,"x"]`, "service.name=Shop")
		}
		if got != want[i] || e.Time.Unix() != 1709460000 || string(e.Raw) != batch[e.Ref.Offset:int(e.Ref.Offset)+len(e.Raw)] {
			t.Errorf("%d: got %s\nwant %s (%v, offset %d)", i, got, want[i], e.Time, e.Ref.Offset)
		}
	}
}

func TestOTLPBounds(t *testing.T) {
	const record = `{"timeUnixNano":"1709460000500000000","body":{"stringValue":"x"}}`
	batch := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + record + strings.Repeat(","+record, maxLogRecords+5) + `]}]}]}`
	b := readBatch(t, JSON(Options{Names: model.NewNames()}), []byte(batch))
	if len(b.Events) != maxLogRecords || len(b.Errors) != 1 || !strings.Contains(b.Errors[0].Cause, "log records") {
		t.Errorf("%d events, %v", len(b.Events), b.Errors)
	}
}
