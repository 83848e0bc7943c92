package decode

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// evtxDumpShape is an EVTX record converted to JSON by evtx_dump and its kin:
// {"Event": {"System": ..., "EventData": ...}}, attributes under "#attributes" or
// "@attributes", text beside attributes under "#text".
func evtxDumpShape() jsonShape {
	return jsonShape{
		name:  "windows-json",
		all:   []string{"Event.System.EventID|Event.System.EventID.#text"},
		field: evtxDumpField,
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			if s, ok := b.Get(model.FTimeCreatedSystemTime); ok {
				e.Recorded, _ = parseStamp(s, w.o.Zone)
			}
			namedData(b, w)
			return emitWindows(b, e)
		},
	}
}

func evtxDumpField(path string) string {
	rest, ok := strings.CutPrefix(path, "Event.")
	if !ok {
		return path
	}
	part, rest, _ := strings.Cut(rest, ".")
	switch part {
	case "System":
	case "EventData", "UserData", "ProcessingErrorData":
		if part == "EventData" {
			switch rest {
			case "Data.#attributes.Name", "Data.@attributes.Name", "Data.@Name":
				return "Data_Name"
			case "Data.#text":
				return "Data"
			}
		}
	case "RenderingInfo":
		if rest == "Message" {
			return rest
		}
		return ""
	default:
		return "" // the document's own attributes
	}
	labels := strings.Split(rest, ".")
	n := len(labels)
	last := labels[n-1]
	switch {
	case strings.HasPrefix(last, "xmlns") || strings.HasPrefix(last, "@xmlns"):
		return ""
	case last == "#text" && n > 1:
		return labels[n-2]
	case n > 1 && (labels[n-2] == "#attributes" || labels[n-2] == "@attributes"):
		if n == 2 {
			return ""
		}
		if part == "EventData" && last == "Name" {
			return ""
		}
		return attrField(labels[n-3], last)
	case strings.HasPrefix(last, "@") && n > 1:
		return attrField(labels[n-2], last[1:])
	}
	return last
}

// namedData gives the values of <Data Name="X"> their names where the converter
// kept attribute and text side by side: a Data_Name slot, then its Data slot.
func namedData(b *Batch, w *jsonWorker) {
	nameID := w.o.Names.ID("Data_Name")
	slots := b.Open()
	for i := 0; i+1 < len(slots); i++ {
		if slots[i].Field == nameID && nameID != model.Unnamed && slots[i+1].Field == model.FData && len(slots[i].Text) <= model.MaxNameLen {
			if id := w.o.Names.ID(slots[i].Text); id != model.Unnamed && slots[i].Text != "" {
				slots[i+1].Field = id
			}
		}
	}
}

// winlogbeatShape is Winlogbeat 7 and later, and Elastic Agent: winlog.*.
// @timestamp is the event's own time, event.created the collector's.
func winlogbeatShape() jsonShape {
	return jsonShape{
		name:     "windows-json",
		all:      []string{"winlog.event_id"},
		times:    []string{"@timestamp", "at_sign_timestamp"},
		received: []string{"event.created", "event_created"},
		field: func(path string) string {
			rest, ok := strings.CutPrefix(path, "winlog.")
			if !ok {
				if path == "message" {
					return "Message"
				}
				return path
			}
			return beatField(rest, path)
		},
		emit: emitWinJSON,
	}
}

// winlogbeat6Shape is Winlogbeat 6: the same at the top level.
func winlogbeat6Shape() jsonShape {
	return jsonShape{
		name:     "windows-json",
		all:      []string{"event_id", "log_name"},
		times:    []string{"@timestamp", "at_sign_timestamp"},
		received: []string{"event.created", "event_created"},
		field: func(path string) string {
			if path == "message" {
				return "Message"
			}
			return beatField(path, path)
		},
		emit: emitWinJSON,
	}
}

func beatField(rest, path string) string {
	switch rest {
	case "event_id":
		return "EventID"
	case "channel", "log_name":
		return "Channel"
	case "computer_name":
		return "Computer"
	case "provider_name", "source_name":
		return "Provider_Name"
	case "provider_guid":
		return "Provider_Guid"
	case "record_id", "record_number":
		return "EventRecordID"
	case "process.pid", "process_id":
		return "Execution_ProcessID"
	case "process.thread.id", "thread_id":
		return "Execution_ThreadID"
	case "user.identifier":
		return "Security_UserID"
	case "user.name":
		return "AccountName"
	case "user.domain":
		return "Domain"
	case "version":
		return "Version"
	case "activity_id":
		return "Correlation_ActivityID"
	}
	if name, ok := strings.CutPrefix(rest, "event_data."); ok {
		return name
	}
	if name, ok := strings.CutPrefix(rest, "user_data."); ok {
		return name
	}
	return path
}

func emitWinJSON(_ *jsonWorker, b *Batch, e *model.Event) error { return emitWindows(b, e) }

// nxlogShape is NXLog's flat form: the header as Hostname, Channel, EventTime (of
// the event's own clock, often without zone), the data beside it. @timestamp is
// set by what received it.
func nxlogShape() jsonShape {
	return jsonShape{
		name:     "windows-json",
		all:      []string{"EventID", "EventTime"},
		any:      []string{"Hostname", "Channel", "SourceName"},
		times:    []string{"EventTime"},
		received: []string{"@timestamp", "at_sign_timestamp", "EventReceivedTime"},
		field:    flatField,
		emit:     emitWinJSON,
	}
}

// winEventsShape is the flat form that PowerShell exports write: SourceName,
// TimeCreated, all values strings. Its @timestamp may be TimeCreated again.
func winEventsShape() jsonShape {
	return jsonShape{
		name:     "windows-json",
		all:      []string{"EventID", "TimeCreated"},
		any:      []string{"Hostname", "Channel", "SourceName", "Computer"},
		times:    []string{"TimeCreated"},
		received: []string{"@timestamp", "at_sign_timestamp"},
		field:    flatField,
		emit: func(_ *jsonWorker, b *Batch, e *model.Event) error {
			if e.Received.Sub(e.Recorded).Abs() < time.Millisecond {
				e.Received = time.Time{}
			}
			return emitWindows(b, e)
		},
	}
}

// flatField names the header fields of the flat forms as EVTX does.
func flatField(path string) string {
	switch path {
	case "Hostname":
		return "Computer"
	case "SourceName", "ProviderName":
		return "Provider_Name"
	case "ProviderGuid":
		return "Provider_Guid"
	case "RecordNumber", "RecordID", "RecordId":
		return "EventRecordID"
	case "ExecutionProcessID":
		return "Execution_ProcessID"
	case "ThreadID", "ExecutionThreadID":
		return "Execution_ThreadID"
	case "UserID":
		return "Security_UserID"
	case "ActivityID":
		return "Correlation_ActivityID"
	case "EventTypeOrignal", "EventTypeOriginal":
		// The event's own EventType where NXLog's, a level (INFO, AUDIT_SUCCESS), took
		// the name; emitWindows puts the event's first.
		return "EventType"
	case "OpcodeValue":
		return "Opcode"
	case "Opcode":
		return "OpcodeName"
	}
	return path
}

// emitWindows finishes and emits a Windows event whose slots stand in b.
func emitWindows(b *Batch, e *model.Event) error {
	slots := b.Open()
	for i := range slots {
		if slots[i].Field == model.FEventType {
			if nxlogLevel(slots[i].Text) && i+1 < len(slots) {
				moveFieldBack(slots, i)
			}
			break
		}
	}
	if b.Text(model.FProviderName) == "Linux-Sysmon" {
		describeLinuxSysmon(b, e)
		return emitTimed(b, e)
	}
	finishWindows(b, e)
	if e.Time.IsZero() {
		return errNoTime
	}
	b.Emit(*e)
	return nil
}

// nxlogLevel reports whether an EventType is NXLog's level of the event.
func nxlogLevel(s string) bool {
	switch s {
	case "INFO", "WARNING", "ERROR", "CRITICAL", "VERBOSE", "DEBUG", "AUDIT_SUCCESS", "AUDIT_FAILURE":
		return true
	}
	return false
}

// moveFieldBack puts slot i behind a later one of the same field, so that the
// event's own value comes first.
func moveFieldBack(slots []model.Slot, i int) {
	for j := i + 1; j < len(slots); j++ {
		if slots[j].Field == slots[i].Field {
			slots[i], slots[j] = slots[j], slots[i]
			return
		}
	}
}
