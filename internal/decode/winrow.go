package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// winRowShape is a row of a Log Analytics table of Windows events (SecurityEvent,
// Event, WindowsEvent): the header as columns, the data as columns or as XML or
// JSON text in EventData. TimeGenerated is the event's time, TimeCollected the
// agent's.
func winRowShape() jsonShape {
	return jsonShape{
		name:     "windows-json",
		all:      []string{"EventID", "TimeGenerated"},
		times:    []string{"TimeGenerated"},
		received: []string{"TimeCollected"},
		field:    winRowField,
		emit:     emitWinRow,
	}
}

func winRowField(path string) string {
	switch name := columnName(path); name {
	case "EventSourceName", "Source", "Provider":
		return "Provider_Name"
	case "EventLog":
		return "Channel"
	case "RenderedDescription":
		return "Message"
	case "EventRecordId":
		return "EventRecordID"
	case "SystemProcessId":
		return "Execution_ProcessID"
	case "SystemThreadId":
		return "Execution_ThreadID"
	case "SystemUserId":
		return "Security_UserID"
	default:
		if rest, ok := strings.CutPrefix(name, "EventData."); ok {
			return rest
		}
		return name
	}
}

// columnName takes the type off a column's name: exports with columns of several
// types call them Protocol_string, ProcessId_dynamic.
func columnName(path string) string {
	for _, suffix := range [...]string{"_string", "_dynamic", "_long", "_int", "_real", "_bool", "_datetime", "_guid"} {
		if name, ok := strings.CutSuffix(path, suffix); ok && name != "" {
			return name
		}
	}
	return path
}

func emitWinRow(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		switch columnName(leaf.path.name) {
		case "EventData", "UserData":
		default:
			continue
		}
		text := strings.TrimSpace(leaf.text)
		switch {
		case strings.HasPrefix(text, "<"):
			before := len(b.Open())
			if err := parseEventXML(text, b, w.o.Names); err != nil {
				// The columns are good without it, the text itself is a slot.
				b.Fail(e.Ref.Offset, e.Ref.Record, "EventData: "+err.Error())
				b.Skipped--
			}
			dedupeSlots(b, before)
		case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
			w.innerData(b, text)
		}
	}
	if _, ok := b.Get(model.FChannel); !ok {
		// The SecurityEvent table often goes without: its numbers are the audit log's.
		if id, ok := digits(b.Text(model.FEventID)); ok && (doc.text("Type") == "SecurityEvent" || id == 1102 || id >= 4608 && id <= 6424) {
			b.Slot(model.FChannel, model.String, "Security")
		}
	}
	return emitWindows(b, e)
}

// innerData adds JSON text of EventData: members by name, elements of a plain
// array as Data.
func (w *jsonWorker) innerData(b *Batch, text string) {
	root := w.inner.paths.child(nil, []byte("Data"))
	w.inner.reset()
	w.inner.data, w.inner.p = []byte(text), 0
	if w.inner.value(root, 0) != nil {
		return
	}
	for i := range w.inner.leaves {
		leaf := &w.inner.leaves[i]
		name := strings.TrimPrefix(leaf.path.name, "Data.")
		id := model.Unnamed
		if len(name) <= model.MaxNameLen {
			id = w.o.Names.ID(name)
		}
		value := leaf.text
		if id == model.Unnamed {
			value = name + "\x00" + value
		}
		b.Slot(id, leaf.kind, value)
	}
}

// dedupeSlots takes back slots from index from on that only repeat earlier ones.
func dedupeSlots(b *Batch, from int) {
	slots := b.Open()
	keep := from
	for i := from; i < len(slots); i++ {
		repeated := false
		for j := range from {
			if slots[j].Field == slots[i].Field && slots[j].Text == slots[i].Text {
				repeated = true
				break
			}
		}
		if !repeated {
			slots[keep] = slots[i]
			keep++
		}
	}
	b.slots = b.slots[:b.open+keep]
}
