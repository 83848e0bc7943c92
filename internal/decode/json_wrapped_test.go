package decode

import (
	"strconv"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestJSONCarried(t *testing.T) {
	const inner = `{\"eventName\":\"ListUsers\",\"awsRegion\":\"r\",\"eventTime\":\"2024-03-03T10:00:00Z\"}`
	for _, c := range []struct{ record, format, code, host string }{
		{`{"@timestamp":"2024-03-03T10:00:05Z","host":{"name":"Collector"},"message":"` + inner + `"}`, "cloudtrail", "ListUsers", ""},
		{`{"@timestamp":"2024-03-03T10:00:05Z","host":{"name":"Web01"},"message":"{\"@timestamp\":\"2024-03-03T10:00:00Z\",\"a\":1}"}`, "json", "", "web01"},
		{`{"date":1709460005.1,"log":"` + inner + `\n","stream":"stdout"}`, "cloudtrail", "ListUsers", ""},
		{`{"message":"GET /","event":{"original":"` + inner + `"}}`, "cloudtrail", "ListUsers", ""},
		{`{"preview":false,"result":{"_raw":"` + inner + `"}}`, "cloudtrail", "ListUsers", ""},
		{`{"time":1709460005,"host":"Web01","sourcetype":"aws:cloudtrail","event":{"eventName":"ListUsers","awsRegion":"r","eventTime":"2024-03-03T10:00:00Z"}}`, "cloudtrail", "ListUsers", ""},
		{`{"detail-type":"AWS API Call via CloudTrail","source":"aws.iam","time":"2024-03-03T10:00:07Z","detail":{"eventName":"ListUsers","awsRegion":"r","eventTime":"2024-03-03T10:00:00Z"}}`, "cloudtrail", "ListUsers", ""},
		{`{"time":1709460005,"sourcetype":"syslog","event":"Mar  3 10:00:00 web01 sshd[77]: Failed password for root from 203.0.113.7 port 5 ssh2"}`, "syslog", "failed", "web01"},
		{`{"@timestamp":"2024-03-03T10:00:05Z","hostname":"Web01","log":"203.0.113.9 - - [03/Mar/2024:10:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\""}`, "access-log", "200", "web01"},
		{`{"@timestamp":"2024-03-03T10:00:05Z","message":` + strconv.Quote(`Mar  3 10:00:00 web01 app[7]: {"message":"`+inner+`"}`) + `}`, "cloudtrail", "ListUsers", ""},
		{`{"@timestamp":"2024-03-03T10:00:00Z","host":"h","event":{"a":1,"time":"2024-03-03T11:11:11Z"}}`, "json", "", ""},
		// No record inside, or none with a time: the record itself.
		{`{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"h"},"message":"{\"a\":1}"}`, "json", "", ""},
		{`{"@timestamp":"2024-03-03T10:00:00Z","message":"{not json","log":"{\"a\":"}`, "json", "", ""},
	} {
		names := model.NewNames()
		b := readBatch(t, JSON(Options{Names: names}), []byte(c.record))
		if len(b.Events) != 1 || len(b.Errors) != 0 {
			t.Errorf("%s: %d events, %v", c.record, len(b.Events), b.Errors)
			continue
		}
		e := &b.Events[0]
		if e.Format != c.format || e.Code != c.code || e.Host != c.host || e.Time.Second() != 0 {
			t.Errorf("%s: format %s, code %q, host %q, time %v", c.record, e.Format, e.Code, e.Host, e.Time)
		}
		if c.format == "json" && c.host == "" {
			wantSlots(t, names, e, "@timestamp=2024-03-03T10:00:00Z")
		}
	}
}
