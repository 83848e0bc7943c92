package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// s3AccessShape is a line of S3's server access log as JSON: the columns under the
// names of Athena's table, with or without underscores. Its fields get the names of
// the line in text.
func s3AccessShape() jsonShape {
	return jsonShape{
		name:  "s3-access",
		all:   []string{"bucket|bucket_name", "operation", "remoteip|remote_ip", "requestid|request_id|requester"},
		times: []string{"time", "requestdatetime", "request_datetime", "timestamp", "p_event_time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("operation")
			e.Source = model.LogSource{Product: "aws", Service: "s3"}
			e.Subsystem = model.Storage
			none := func(s string) string { return strings.TrimPrefix(s, "-") }
			if st, n := readStamp(strings.TrimPrefix(doc.text("time|requestdatetime|request_datetime"), "[")); e.Recorded.IsZero() && n > 0 && st.zoned { // as the line has it
				e.Recorded = st.at.UTC()
			}
			key, status := none(doc.text("key|object_key")), doc.text("httpstatus|http_status")
			for _, f := range [...]struct{ name, text string }{
				{"remote_ip", doc.text("remoteip|remote_ip")}, {"eventName", e.Code}, {"requestParameters.bucketName", doc.text("bucket|bucket_name")},
				{"requestParameters.key", key}, {"userIdentity.arn", none(doc.text("requester"))}, {"errorCode", none(doc.text("errorcode|error_code"))},
				{"sc-status", status}, {"cs-user-agent", none(doc.text("useragent|user_agent"))}, {"sc-bytes", none(doc.text("bytessent|bytes_sent"))},
			} {
				w.add(b, f.name, f.text)
			}
			if status != "" && status[0] == '2' {
				e.Act = s3Act(e.Code, key != "")
			}
			return emitTimed(b, e)
		},
	}
}

// s3Act says what an operation did that was answered: "REST.GET.OBJECT", on an
// object or on the bucket.
func s3Act(operation string, object bool) model.Act {
	_, rest, _ := strings.Cut(operation, ".")
	switch verb, _, _ := strings.Cut(rest, "."); verb {
	case "GET", "HEAD":
		if object {
			return model.ActObjectRead
		}
		return model.ActObjectList
	case "PUT", "POST", "COPY":
		return model.ActObjectWrite
	case "DELETE":
		return model.ActObjectDelete
	}
	return model.ActNone
}
