package decode

import (
	"errors"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A jsonShape is one product's or collector's way to write events as JSON. To add
// one: a file with its function, a line in jsonShapes, and marks for the keys by
// which it is told.
type jsonShape struct {
	name string // Event.Format
	// all are the keys that must be there (bits 1<<mark), any those of which one must.
	all, any uint64
	also     func(*jsonDoc) bool // what keys alone cannot tell; may be nil
	// field renames a path to the field's name; empty drops it. It must depend on
	// nothing but the path. nil keeps all.
	field func(path string) string
	// emit completes e, whose slots stand in b, and emits it, or says why it cannot.
	emit func(w *jsonWorker, b *Batch, e *model.Event) error
}

// shapeCount bounds how many shapes there are.
const shapeCount = 16

// jsonShapes lists the shapes; the first that fits a record gets it.
func jsonShapes() []jsonShape {
	return []jsonShape{
		evtxDumpShape(),
		winlogbeatShape(),
		winlogbeat6Shape(),
		nxlogShape(),
		winEventsShape(),
		cloudTrailShape(),
		cloudTrailLookupShape(),
		syslogRowShape(),
		zeekShape(),
		winRowShape(),
		defenderShape(),
		vmConnectionShape(),
		entraRowShape(),
		azureDiagShape(),
		officeShape(),
	}
}

// A jsonMark is a path by which shapes are told apart or that holds a time.
type jsonMark uint8

// The marks, named after the paths that markOf gives them.
const (
	markNone jsonMark = iota
	markEvtxEventID
	markWinlogEventID
	markEventIDLower
	markLogName
	markEventID
	markChannel
	markHostname
	markComputer
	markEventTime
	markEventReceivedTime
	markTimeCreated
	markAtTimestamp
	markTimeGenerated
	markTimeCollected
	markEventCreated
	markEventLog
	markSourceName
	markType
	markSyslogMessage
	markTimestamp
	markTimestampLower
	markActionType
	markDeviceName
	markOperation
	markOperationName
	markOperationNameLower
	markCategoryLower
	markWorkload
	markRecordType
	markCreationTime
	markStartTime
	markInitiatedBy
	markResourceID
	markLoggedByService
	markUserPrincipalName
	markAppDisplayName
	markEventName
	markEventSource
	markEventTimeLower
	markAwsRegion
	markUserIdentity
	markEventVersion
	markCloudTrailEvent
	markTime
	markTimeUpper
	markTs
	markRequestReceivedTimestamp
	markPublished
	markEventTimestamp
	markCreatedAt
	markUpdatedAt
	markCreatedAtUpper
	markPEventTime
	markFirstObserved
	markTimestampNano
	markReportID
	markZeekPath
	markZeekStream
	markUID
	markCount
)

// markOf returns the mark of a path.
func markOf(path string) jsonMark {
	switch path {
	case "Event.System.EventID", "Event.System.EventID.#text":
		return markEvtxEventID
	case "winlog.event_id":
		return markWinlogEventID
	case "event_id":
		return markEventIDLower
	case "log_name":
		return markLogName
	case "EventID":
		return markEventID
	case "Channel":
		return markChannel
	case "Hostname":
		return markHostname
	case "Computer":
		return markComputer
	case "EventTime":
		return markEventTime
	case "EventReceivedTime":
		return markEventReceivedTime
	case "TimeCreated":
		return markTimeCreated
	case "@timestamp", "at_sign_timestamp":
		return markAtTimestamp
	case "TimeGenerated":
		return markTimeGenerated
	case "TimeCollected":
		return markTimeCollected
	case "event.created", "event_created":
		return markEventCreated
	case "EventLog":
		return markEventLog
	case "SourceName":
		return markSourceName
	case "Type":
		return markType
	case "SyslogMessage":
		return markSyslogMessage
	case "Timestamp":
		return markTimestamp
	case "timestamp":
		return markTimestampLower
	case "ActionType":
		return markActionType
	case "DeviceName":
		return markDeviceName
	case "Operation":
		return markOperation
	case "OperationName", "OperationNameValue":
		return markOperationName
	case "operationName", "operationName.value":
		return markOperationNameLower
	case "category":
		return markCategoryLower
	case "Workload", "OfficeWorkload":
		return markWorkload
	case "RecordType":
		return markRecordType
	case "CreationTime":
		return markCreationTime
	case "Start_Time":
		return markStartTime
	case "InitiatedBy", "InitiatedBy.user.userPrincipalName", "InitiatedBy.app.displayName":
		return markInitiatedBy
	case "resourceId":
		return markResourceID
	case "LoggedByService":
		return markLoggedByService
	case "UserPrincipalName":
		return markUserPrincipalName
	case "AppDisplayName":
		return markAppDisplayName
	case "eventName":
		return markEventName
	case "eventSource":
		return markEventSource
	case "eventTime":
		return markEventTimeLower
	case "awsRegion":
		return markAwsRegion
	case "userIdentity.type":
		return markUserIdentity
	case "eventVersion":
		return markEventVersion
	case "CloudTrailEvent":
		return markCloudTrailEvent
	case "time":
		return markTime
	case "Time":
		return markTimeUpper
	case "ts":
		return markTs
	case "requestReceivedTimestamp":
		return markRequestReceivedTimestamp
	case "published":
		return markPublished
	case "eventTimestamp", "event_timestamp", "event_time":
		return markEventTimestamp
	case "created_at", "createdAt", "createdDateTime":
		return markCreatedAt
	case "updatedAt", "updated_at":
		return markUpdatedAt
	case "CreatedAt":
		return markCreatedAtUpper
	case "p_event_time":
		return markPEventTime
	case "FirstObservedAt", "start_time":
		return markFirstObserved
	case "_time", "receiveTimestamp", "timestamp_ns":
		return markTimestampNano
	case "ReportId", "ReportId_long":
		return markReportID
	case "_path":
		return markZeekPath
	case "@stream":
		return markZeekStream
	case "uid":
		return markUID
	}
	return markNone
}

// marks makes the set of keys that a shape asks for.
func marks(ms ...jsonMark) uint64 {
	var set uint64
	for _, m := range ms {
		set |= 1 << m
	}
	return set
}

// shapeSlots adds the document's leaves under the names that the shape of that
// index gives them.
func shapeSlots(b *Batch, doc *jsonDoc, shape int, field func(string) string) {
	if field == nil {
		plainSlots(b, doc)
		return
	}
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		f := &leaf.path.shaped[shape]
		if !f.known {
			f.known = true
			f.name = field(leaf.path.name)
			f.drop = f.name == ""
			if len(f.name) <= model.MaxNameLen {
				f.id = doc.paths.names.ID(f.name)
			}
		}
		if f.drop {
			continue
		}
		text := leaf.text
		if f.id == model.Unnamed {
			text = f.name + "\x00" + text
		}
		b.Slot(f.id, leaf.kind, text)
	}
}

// plainSlots adds the document's leaves under their own paths.
func plainSlots(b *Batch, doc *jsonDoc) {
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		text := leaf.text
		if leaf.path.id == model.Unnamed {
			text = leaf.path.name + "\x00" + text
		}
		b.Slot(leaf.path.id, leaf.kind, text)
	}
}

var errNoTime = errors.New("record without a time that can be read")

// emitTimed sets the event's time and emits it; an event without time has no place
// in any story.
func emitTimed(b *Batch, e *model.Event) error {
	finish(e)
	if e.Time.IsZero() {
		return errNoTime
	}
	b.Emit(*e)
	return nil
}

// innerJSON adds the leaves of JSON text inside of a value, under the value's path,
// one level of such nesting deep. It reports false for text that is no JSON.
func (w *jsonWorker) innerJSON(b *Batch, leaf *jsonLeaf) bool {
	text := leaf.text
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	w.inner.reset()
	w.inner.data, w.inner.p = []byte(text), 0
	if err := w.inner.value(leaf.path, 0); err != nil || strings.TrimSpace(text[w.inner.p:]) != "" {
		return false
	}
	plainSlots(b, &w.inner)
	return true
}

// innerColumns does innerJSON for every value of the record.
func (w *jsonWorker) innerColumns(b *Batch) {
	for i := range w.doc.leaves {
		if leaf := &w.doc.leaves[i]; leaf.kind == model.String {
			w.innerJSON(b, leaf)
		}
	}
}
