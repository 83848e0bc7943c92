package decode

import (
	"errors"

	"github.com/catena-sec/catena/internal/model"
)

// syslogRowShape is a row of Log Analytics' Syslog table: a syslog message as
// SyslogMessage, its header as columns. The message may itself be an audit record
// (auoms) or an event of Sysmon for Linux.
func syslogRowShape() jsonShape {
	return jsonShape{
		name:  "syslog-row",
		all:   []string{"SyslogMessage"},
		times: []string{"TimeGenerated", "EventTime"},
		field: syslogRowField,
		emit:  emitSyslogRow,
	}
}

// syslogRowField names the columns as the syslog decoder names the same; what the
// message itself says again, and the identity of the workspace, are dropped.
func syslogRowField(path string) string {
	switch name := columnName(path); name {
	case "SyslogMessage", "ProcessName", "ProcessID", "EventData", "EventType", "TenantId", "MG", "SourceSystem", "Type", "TimeGenerated", "EventTime":
		return ""
	case "Facility":
		return "facility"
	case "SeverityLevel":
		return "severity"
	case "HostName":
		return "hostname"
	default:
		return name
	}
}

func emitSyslogRow(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	if e.Recorded.IsZero() {
		return errors.New("neither TimeGenerated nor EventTime is a time")
	}
	column := func(name string) string {
		for _, suffix := range [...]string{"", "_s", "_string"} {
			if text, ok := doc.find(name + suffix); ok {
				return text
			}
		}
		return ""
	}
	e.Host = linuxHost(column("Computer"))
	if e.Host == "" {
		e.Host = linuxHost(column("HostName"))
	}
	pid := column("ProcessID")
	if _, ok := digits(pid); !ok {
		pid = ""
	}
	if err := emitSyslogMessage(b, e, w.o.Names, column("ProcessName"), pid, doc.text("SyslogMessage")); err != nil {
		return err
	}
	finish(e)
	b.Emit(*e)
	return nil
}

// emitSyslogMessage fills e and the event under construction from the message of
// a program, whatever stands in it: Sysmon's XML, an audit record, or text. e.Host
// and e.Recorded are known by then.
func emitSyslogMessage(b *Batch, e *model.Event, names *model.Names, program, pid, message string) error {
	if isLinuxSysmon(message) {
		return linuxSysmon(b, e, names, message)
	}
	if newAuditFields(names).single(b, e, message) {
		return nil
	}
	newSyslogFields(names).describe(b, e, program, pid, message)
	return nil
}
