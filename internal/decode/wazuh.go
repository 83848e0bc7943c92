package decode

import (
	"errors"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// wazuhShape is an event as Wazuh's manager archives it (archives.json, and the
// same beneath the alerts of alerts.json): the agent, and what its decoder took
// apart under data. What is known by another name is read as that: a Windows event,
// an audit record, a record of a cloud or any JSON text, a syslog line. The agent
// is the host unless the event names its own.
func wazuhShape() jsonShape {
	return jsonShape{
		name:  "wazuh",
		all:   []string{"decoder.name", "agent.id|agent.name", "timestamp|@timestamp"},
		any:   []string{"full_log", "location", "data.win.system.eventID"},
		times: []string{"timestamp", "@timestamp"},
		field: wazuhField,
		emit:  emitWazuh,
	}
}

// wazuhField gives the fields of a Windows event their own names, which Wazuh
// begins with a small letter.
func wazuhField(path string) string {
	rest, ok := strings.CutPrefix(path, "data.win.")
	if !ok {
		return path
	}
	if name, ok := strings.CutPrefix(rest, "eventdata."); ok && name != "" {
		return strings.ToUpper(name[:1]) + name[1:]
	}
	switch name, _ := strings.CutPrefix(rest, "system."); name {
	case "eventID":
		return "EventID"
	case "providerName":
		return "Provider_Name"
	case "providerGuid":
		return "Provider_Guid"
	case "eventRecordID":
		return "EventRecordID"
	case "processID":
		return "Execution_ProcessID"
	case "threadID":
		return "Execution_ThreadID"
	case "systemTime":
		return "TimeCreated_SystemTime"
	case "channel", "computer", "level", "keywords", "message", "opcode", "task", "version":
		return strings.ToUpper(name[:1]) + name[1:]
	}
	return path
}

func emitWazuh(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	if doc.has("data.win.system.eventID") {
		if t, ok := jsonTime(doc, "data.win.system.systemTime", w.o); ok {
			e.Received, e.Recorded = e.Recorded, t
		}
		slots := b.Open()
		for i := range slots {
			slots[i].Text = halveBackslashes(slots[i].Text)
		}
		return emitWindows(b, e)
	}
	if id := doc.text("agent.id"); id != "000" { // 000 is the manager, which hears of others by syslog
		e.Host = linuxHost(doc.text("agent.name"))
	} else {
		e.Host = linuxHost(doc.text("predecoder.hostname"))
	}
	for _, cloud := range [...]string{"aws", "office365", "gcp", "azure", "github"} {
		if doc.text("data.integration") == cloud || doc.text("decoder.name") == cloud {
			e.Host = "" // the agent only fetched it
			if w.unwrapAt(b, e, "data", cloud) == nil {
				return nil
			}
			return errors.New("a record of " + cloud + " that is not understood")
		}
	}
	text, host := doc.text("full_log"), e.Host
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return w.unwrap(b, e, strings.TrimSpace(text))
	}
	if strings.Contains(text, "audit(") && wazuhAudit(w, b, e, text) {
		e.Host = firstOf(e.Host, host)
		return emitTimed(b, e)
	}
	var h syslogHeader
	program, pid, message := doc.text("predecoder.program_name"), "", text
	if h.parse(text) {
		program, pid, message = firstOf(program, h.program), h.pid, h.message
		e.Host = linuxHost(firstOf(h.host, host))
	}
	if program != "" {
		if err := emitSyslogMessage(b, e, w.o.Names, program, pid, message); err != nil {
			return err
		}
		return emitTimed(b, e)
	}
	e.Source = model.LogSource{Product: "wazuh", Service: doc.text("decoder.name")}
	e.Code = doc.text("decoder.name")
	e.Entities = newEntities(e).list
	return emitTimed(b, e)
}

// halveBackslashes undoes what Wazuh's agent does to the data of Windows events:
// each backslash stands twice.
func halveBackslashes(s string) string {
	for rest := s; ; {
		i := strings.IndexByte(rest, '\\')
		if i < 0 {
			return strings.ReplaceAll(s, `\\`, `\`)
		}
		if i+1 >= len(rest) || rest[i+1] != '\\' {
			return s
		}
		rest = rest[i+2:]
	}
}

// wazuhAudit reads the records of one audit event, which Wazuh puts one behind the
// other.
func wazuhAudit(w *jsonWorker, b *Batch, e *model.Event, text string) bool {
	var records []auditRecord
	for from, to := 0, 0; from < len(text) && len(records) < maxAuditRecords; from = to {
		for to++; to < len(text); to++ { // up to where the next one begins
			next := strings.Index(text[to:], "type=")
			if next < 0 {
				to = len(text)
				break
			}
			if to += next; strings.Contains(text[to:min(len(text), to+64)], " msg=audit(") {
				break
			}
		}
		if r, ok := parseAuditRecord(text[from:min(to, len(text))]); ok {
			records = append(records, r)
		}
	}
	if len(records) == 0 {
		return false
	}
	when, err := auditTime(records[0].stamp)
	if err != nil {
		return false
	}
	e.Sensed = when
	newAuditFields(w.o.Names).fill(b, e, records)
	return true
}
