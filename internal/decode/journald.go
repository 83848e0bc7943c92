package decode

import (
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// journaldShape is an entry of systemd's journal, as journalctl -o json and
// collectors write it (systemd.journal-fields(7)). Its message is read as that of
// a syslog line; an audit record that the kernel sent to the journal as one of the
// audit log. Messages that are no UTF-8 stand there as arrays of bytes.
func journaldShape() jsonShape {
	return jsonShape{
		name:  "journald",
		all:   []string{"__REALTIME_TIMESTAMP", "MESSAGE|message"}, // small with Vector
		times: []string{"_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"},
		field: journaldField,
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Host = linuxHost(doc.text("_HOSTNAME|host"))
			if i, ok := digits(doc.text("PRIORITY")); ok && i < len(severities) {
				w.add(b, "severity", severities[i])
			}
			if i, ok := digits(doc.text("SYSLOG_FACILITY")); ok && i < len(facilities) {
				w.add(b, "facility", facilities[i])
			}
			pid := firstOf(doc.text("_PID"), doc.text("SYSLOG_PID"))
			if _, ok := digits(pid); !ok {
				pid = ""
			}
			program := baseName(firstOf(doc.text("SYSLOG_IDENTIFIER"), doc.text("_COMM")))
			if err := emitSyslogMessage(b, e, w.o.Names, program, pid, journaldMessage(doc)); err != nil {
				return err
			}
			return emitTimed(b, e)
		},
	}
}

// journaldField drops what the message's own fields say.
func journaldField(path string) string {
	switch path {
	case "MESSAGE", "message", "SYSLOG_IDENTIFIER", "_PID", "SYSLOG_PID", "PRIORITY", "SYSLOG_FACILITY", "__CURSOR":
		return ""
	case "_HOSTNAME", "host":
		return "hostname"
	}
	return path
}

// journaldMessage is the text of an entry.
func journaldMessage(doc *jsonDoc) string {
	leaf := doc.leafOf("MESSAGE|message")
	text := leaf.text
	if leaf.kind == model.Number {
		var bytes []byte
		doc.each("MESSAGE", func(n string) bool {
			c, err := strconv.ParseUint(n, 10, 8)
			if err == nil {
				bytes = append(bytes, byte(c))
			}
			return err == nil
		})
		text = strings.ToValidUTF8(string(bytes), "\uFFFD")
	}
	typ, id := doc.text("_AUDIT_TYPE_NAME"), doc.text("_AUDIT_ID")
	when := firstOf(doc.text("_SOURCE_REALTIME_TIMESTAMP"), doc.text("__REALTIME_TIMESTAMP"))
	if typ == "" || id == "" || len(when) < 7 {
		return text
	}
	second := len(when) - 6 // of microseconds
	return "type=" + typ + " msg=audit(" + when[:second] + "." + when[second:second+3] + ":" + id + "): " + strings.TrimPrefix(text, typ+" ")
}
