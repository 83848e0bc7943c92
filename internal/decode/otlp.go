package decode

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// otlpShape is a batch of OpenTelemetry log records in the JSON encoding of OTLP,
// as the collector's file exporter writes it (opentelemetry-proto, logs.proto).
// Each log record is an event of its own: what its body is a record of, if that is
// known (JSON text, a map, an audit record, a syslog line), else its text and
// attributes.
func otlpShape() jsonShape {
	const records = "resourceLogs.scopeLogs.logRecords."
	return jsonShape{
		name: "otlp",
		all: []string{records + "timeUnixNano|" + records + "observedTimeUnixNano|resourceLogs.instrumentationLibraryLogs.logRecords.timeUnixNano|" +
			records + "body.stringValue"},
		field: func(string) string { return "" },
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			text, seen := w.text(), 0
			repeated := repetition{left: len(text) * maxRepeated}
			eachElement(memberText(text, "resourceLogs"), func(resource string) bool {
				o := otlpResource{w: w, b: b, e: e, text: text, seen: &seen, repeated: &repeated}
				attributes := memberText(resource, "resource", "attributes")
				o.attributes, repeated.each = otlpAttributes(nil, attributes), len(attributes)
				for _, scopes := range [...]string{"scopeLogs", "instrumentationLibraryLogs"} {
					eachElement(memberText(resource, scopes), func(scope string) bool {
						eachElement(memberText(scope, "logRecords"), o.record)
						return true
					})
				}
				return true
			})
			w.doc.more = false // log records are read one by one
			return nil
		},
	}
}

// An otlpAttribute is one of a resource or log record, its value as text.
type otlpAttribute struct{ key, value string }

// Bounds of one batch: each of its log records carries the attributes of its
// resource, and at most so many altogether.
const (
	maxAttributes = 64
	maxLogRecords = 50_000
)

// otlpAttributes adds a list of attributes to another.
func otlpAttributes(list []otlpAttribute, text string) []otlpAttribute {
	eachElement(text, func(pair string) bool {
		list = append(list, otlpAttribute{jsonString(memberText(pair, "key")), otlpText(memberText(pair, "value"))})
		return len(list) < maxAttributes
	})
	return list
}

// otlpText is the text of an AnyValue; of a list or map its JSON.
func otlpText(value string) string {
	text := string(otlpJSON(nil, value, 0))
	if strings.HasPrefix(text, `"`) {
		return jsonString(text)
	}
	return text
}

// otlpJSON appends the plain JSON of an AnyValue.
func otlpJSON(out []byte, value string, depth int) []byte {
	kind, inside := "", ""
	eachMember(value, func(k, v string) bool { kind, inside = k, v; return false })
	switch {
	case depth > MaxDepth:
	case kind == "stringValue" || kind == "boolValue" || kind == "doubleValue" || kind == "bytesValue":
		return append(out, inside...)
	case kind == "intValue": // 64 bits, so OTLP writes it as text
		if _, err := strconv.ParseInt(jsonString(inside), 10, 64); err == nil {
			return append(out, jsonString(inside)...)
		}
	case kind == "arrayValue":
		out = append(out, '[')
		eachElement(memberText(inside, "values"), func(v string) bool {
			out = append(otlpJSON(out, v, depth+1), ',')
			return true
		})
		return append(trimComma(out), ']')
	case kind == "kvlistValue":
		out = append(out, '{')
		eachElement(memberText(inside, "values"), func(pair string) bool {
			key, _ := json.Marshal(jsonString(memberText(pair, "key"))) //nolint:errchkjson // a string
			out = append(append(out, key...), ':')
			out = append(otlpJSON(out, memberText(pair, "value"), depth+1), ',')
			return true
		})
		return append(trimComma(out), '}')
	}
	return append(out, "null"...)
}

func trimComma(out []byte) []byte {
	if out[len(out)-1] == ',' {
		return out[:len(out)-1]
	}
	return out
}

// An otlpResource is the sender of log records.
type otlpResource struct {
	w          *jsonWorker
	b          *Batch
	e          *model.Event
	text       string // of the batch
	seen       *int   // log records of the batch
	repeated   *repetition
	attributes []otlpAttribute
}

// record emits the event of one log record.
func (o *otlpResource) record(text string) bool {
	if text[0] != '{' {
		return true
	}
	if *o.seen++; *o.seen > maxLogRecords {
		if *o.seen == maxLogRecords+1 {
			o.b.report(o.e.Ref.Offset, o.e.Ref.Record, fmt.Sprintf("otlp: a batch with more than %d log records: the rest of them is left out", maxLogRecords))
		}
		return false
	}
	if !o.repeated.once() {
		o.b.report(o.e.Ref.Offset, o.e.Ref.Record, fmt.Sprintf("otlp: the attributes of a resource are too long for its log records: those after the first %d are left out", *o.seen-1))
		*o.seen = maxLogRecords + 1 // of other resources too, and told once
		return false
	}
	e := *o.e
	e.Raw, e.Ref.Offset = stringBytes(text), o.e.Ref.Offset+offsetIn(o.text, text)
	e.Recorded, _ = parseEpoch(jsonString(memberText(text, "timeUnixNano")))
	e.Received, _ = parseEpoch(jsonString(memberText(text, "observedTimeUnixNano")))
	attributes := otlpAttributes(o.attributes[:len(o.attributes):len(o.attributes)], memberText(text, "attributes"))
	e.Host = linuxHost(otlpFirst(attributes, "host.name", "k8s.node.name", "net.host.name", "hostname", "host.id"))
	if err := o.body(&e, attributes, otlpText(memberText(text, "body")), text); err != nil {
		o.b.Drop()
		o.b.Fail(e.Ref.Offset, e.Ref.Record, "otlp: "+err.Error())
	}
	return true
}

// otlpFirst returns the first of the attributes of these names that has a value.
func otlpFirst(attributes []otlpAttribute, names ...string) string {
	for _, name := range names {
		for _, a := range attributes {
			if a.key == name && a.value != "" {
				return a.value
			}
		}
	}
	return ""
}

// body reads what a log record says.
func (o *otlpResource) body(e *model.Event, attributes []otlpAttribute, body, record string) error {
	w, b := o.w, o.b
	if trimmed := strings.TrimSpace(body); strings.HasPrefix(trimmed, "{") {
		inside := *e
		w.wraps = 0
		if w.unwrap(b, &inside, trimmed) == nil {
			return nil
		}
		b.Drop()
	}
	for _, a := range attributes {
		w.add(b, a.key, a.value)
	}
	w.add(b, "severity", jsonString(memberText(record, "severityText")))
	program, pid := otlpFirst(attributes, "syslog.appname", "appname", "process.executable.name"), otlpFirst(attributes, "syslog.procid", "proc_id", "process.pid")
	message := firstOf(otlpFirst(attributes, "message"), body)
	var h syslogHeader
	if h.parse(body) && h.program != "" {
		program, pid, message = h.program, h.pid, h.message
		if h.host != "" {
			e.Host = linuxHost(h.host)
		}
	}
	if program != "" || strings.Contains(message, "audit(") {
		if err := emitSyslogMessage(b, e, w.o.Names, program, pid, message); err != nil {
			return err
		}
		return emitTimed(b, e)
	}
	w.add(b, "body", body)
	e.Source = model.LogSource{Product: firstOf(strings.ToLower(otlpFirst(attributes, "service.name")), "otlp")}
	e.Code = otlpFirst(attributes, "event.name", "log.record.template")
	return emitTimed(b, e)
}

// otlpWindowsShape is the body that OpenTelemetry's Windows event log receiver
// makes of an event: the header under names of its own, the data as a list of
// objects with one member each, or as one object.
func otlpWindowsShape() jsonShape {
	return jsonShape{
		name:  "windows-json",
		all:   []string{"event_id.id|event_id", "system_time", "channel"},
		times: []string{"system_time"},
		field: func(path string) string {
			for _, prefix := range [...]string{"event_data.data.", "event_data."} {
				if rest, ok := strings.CutPrefix(path, prefix); ok {
					return rest
				}
			}
			switch path {
			case "event_id.id", "event_id":
				return "EventID"
			case "channel":
				return "Channel"
			case "computer":
				return "Computer"
			case "provider.name":
				return "Provider_Name"
			case "provider.guid":
				return "Provider_Guid"
			case "record_id":
				return "EventRecordID"
			case "level":
				return "Level"
			case "message":
				return "Message"
			case "security.user_id":
				return "Security_UserID"
			case "execution.process_id":
				return "Execution_ProcessID"
			case "execution.thread_id":
				return "Execution_ThreadID"
			}
			return path
		},
		emit: emitWinJSON,
	}
}
