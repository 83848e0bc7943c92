package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// osqueryShape is a line of osquery's results log: one row that a scheduled query
// found added or removed (event format), all rows of a snapshot, or the rows that
// changed (batch format). Each row is an event. Queries are named by whoever wrote
// them, so what a row tells is known by its columns: those of the event tables are
// acts, all others are a state, there for rules to match.
func osqueryShape() jsonShape {
	return jsonShape{
		name: "osquery",
		all:  []string{"hostIdentifier", "name", "unixTime"},
		also: func(d *jsonDoc) bool {
			return d.text("action") == "snapshot" || slices.ContainsFunc(d.leaves, func(l jsonLeaf) bool { return isOsqueryRow(l.path.name) })
		},
		times: []string{"unixTime"},
		field: func(path string) string {
			if isOsqueryRow(path) {
				return ""
			}
			return path
		},
		emit: emitOsquery,
	}
}

// isOsqueryRow reports whether a path is that of a column.
func isOsqueryRow(path string) bool {
	part, _, ok := strings.Cut(path, ".")
	return ok && (part == "columns" || part == "snapshot" || part == "diffResults")
}

// Bounds of one line: each of its rows carries what the line says of all.
const (
	maxOsqueryRows   = 50_000
	maxOsqueryCommon = 32
)

// emitOsquery emits an event for each row of the line.
func emitOsquery(w *jsonWorker, b *Batch, e *model.Event) error {
	e.Host = linuxHost(firstOf(w.doc.text("decorations.hostname"), w.doc.text("hostIdentifier")))
	e.Code = w.doc.text("name")
	common := slices.Clone(b.Open()[:min(len(b.Open()), maxOsqueryCommon)])
	b.Drop()
	ids := joinIDs(w.doc.text("hostIdentifier"), w.doc.text("decorations.host_uuid"), w.doc.text("decorations.instance_id|decorations.ec2_instance_id"))
	text, rows := w.text(), 0
	snapshot, differences := memberText(text, "snapshot"), memberText(text, "diffResults")
	repeated := repetition{each: len(text) - len(snapshot) - len(differences), left: len(text) * maxRepeated}
	row := func(columns string) bool {
		if rows++; rows > maxOsqueryRows {
			b.report(e.Ref.Offset, e.Ref.Record, fmt.Sprintf("osquery: a line with more than %d rows: the rest of them is left out", maxOsqueryRows))
			return false
		}
		if !repeated.once() {
			b.report(e.Ref.Offset, e.Ref.Record, fmt.Sprintf("osquery: what the line says of all its rows is too long: those after the first %d are left out", rows-1))
			return false
		}
		if columns[0] == '{' {
			one := *e
			one.Ref.Offset, one.Raw = e.Ref.Offset+offsetIn(text, columns), stringBytes(columns)
			b.copySlots(common)
			if err := emitOsqueryRow(w, b, &one, columns, ids); err != nil {
				b.Drop()
				b.Fail(one.Ref.Offset, one.Ref.Record, "osquery: "+err.Error())
			}
		}
		return true
	}
	if columns := memberText(text, "columns"); columns != "" {
		b.copySlots(common)
		return emitOsqueryRow(w, b, e, columns, ids)
	}
	w.doc.more = false // the rows are read one by one
	for _, list := range [...]string{snapshot, memberText(differences, "added")} {
		eachElement(list, row)
	}
	return nil
}

// copySlots adds slots to the event under construction.
func (b *Batch) copySlots(slots []model.Slot) {
	for _, s := range slots {
		b.Slot(s.Field, s.Kind, s.Text)
	}
}

// emitOsqueryRow emits the event of one row of a host that is also called ids.
func emitOsqueryRow(w *jsonWorker, b *Batch, e *model.Event, columns, ids string) error {
	w.inner.reset()
	if _, err := w.inner.parse(stringBytes(columns), 0); err != nil {
		return err
	}
	row := &w.inner
	plainSlots(b, row)
	if row.has("eventid") && row.has("channel") && row.has("data") {
		return emitOsqueryWindows(w, b, e)
	}
	p := endpointEvent{
		process:  endpointProcess{pid: row.text("pid"), image: firstOf(row.text("path"), row.text("executable")), command: row.text("cmdline"), dir: row.text("cwd")},
		parent:   endpointProcess{pid: row.text("parent|ppid"), image: row.text("parent_path"), command: row.text("parent_cmdline")},
		user:     unixUser(row.text("username"), firstOf(row.text("euid"), row.text("uid"))),
		sha256:   row.text("sha256"),
		md5:      row.text("md5"),
		protocol: map[string]string{"6": "tcp", "17": "udp"}[row.text("protocol")],
		hostIDs:  ids,
	}
	e.Source = model.LogSource{Product: osqueryProduct(row), Service: "osquery"}
	e.Act = osqueryAct(row, &p)
	if e.Act != model.ActNone {
		e.Sensed, _ = jsonTime(row, "time", w.o)
	}
	return p.emit(w, b, e)
}

// osqueryAct says what a row of an event table tells, and fills in the rest of p.
func osqueryAct(row *jsonDoc, p *endpointEvent) model.Act {
	action := strings.ToLower(row.text("action|operation|event_type|syscall"))
	switch {
	case row.has("time") && row.has("remote_address") && row.has("local_address"): // socket_events, bpf_socket_events
		p.src, p.srcPort, p.dst, p.dstPort = row.text("local_address"), row.text("local_port"), row.text("remote_address"), row.text("remote_port")
		p.inbound = strings.HasPrefix(action, "accept")
		if p.inbound {
			p.src, p.srcPort, p.dst, p.dstPort = p.dst, p.dstPort, p.src, p.srcPort
		}
		if strings.HasPrefix(action, "connect") || p.inbound {
			return model.ActConnect
		}
	case row.has("time") && row.has("target_path"): // file_events
		p.file = row.text("target_path")
		return osqueryFileAct(action)
	case row.has("time") && row.has("filename") && row.has("event_type"): // es_process_file_events
		p.file = firstOf(row.text("dest_filename"), row.text("filename"))
		return osqueryFileAct(action)
	case row.has("time") && row.has("operation") && row.has("executable"): // process_file_events
		p.process.image, p.file = row.text("executable"), row.text("path")
		return osqueryFileAct(action)
	case row.has("time") && row.has("cmdline") && row.has("parent"): // process_events, es_process_events, bpf_process_events
		switch action {
		case "exit":
			return model.ActProcessEnd
		case "fork", "clone", "vfork":
			return model.ActNone
		}
		return model.ActProcessStart
	case row.has("time") && row.has("terminal") && row.has("auid") && row.has("message"): // user_events
		p.account, p.src, p.user = quotedValue(row.text("message"), "acct"), row.text("address"), ""
		failed := strings.Contains(row.text("message"), "res=failed")
		switch row.text("type") {
		case "1112", "1100": // USER_LOGIN, USER_AUTH
			if failed {
				return model.ActLogonFailed
			}
			if row.text("type") == "1112" {
				return model.ActLogon
			}
		}
	}
	return model.ActNone
}

// osqueryFileAct is what was done to a file.
func osqueryFileAct(action string) model.Act {
	switch action {
	case "created", "updated", "moved_to", "moved_from", "create", "write", "rename", "truncate", "attributes_modified", "link", "symlink":
		return model.ActFileWrite
	case "deleted", "delete", "unlink":
		return model.ActFileDelete
	case "opened", "open", "accessed", "read":
		return model.ActFileRead
	}
	return model.ActNone
}

// quotedValue returns what stands in quotes behind key= in text.
func quotedValue(text, key string) string {
	_, rest, _ := strings.Cut(text, key+`="`)
	value, _, ok := strings.Cut(rest, `"`)
	if !ok {
		return ""
	}
	return value
}

// osqueryProduct tells the system by what its paths look like, which the log does
// not say.
func osqueryProduct(row *jsonDoc) string {
	path := firstOf(row.text("path"), row.text("target_path"), row.text("executable"))
	switch {
	case len(path) > 2 && path[1] == ':':
		return "windows"
	case row.has("cdhash"), row.has("signing_id"), strings.HasPrefix(path, "/System/"), strings.HasPrefix(path, "/Applications/"),
		strings.HasPrefix(path, "/Users/"), strings.HasPrefix(path, "/Library/"), strings.HasPrefix(path, "/private/"):
		return "macos"
	case strings.HasPrefix(path, "/"), row.has("auid"):
		return "linux"
	}
	return "osquery"
}

// emitOsqueryWindows emits a row of windows_events: an event of the Windows event
// log, its data as JSON text.
func emitOsqueryWindows(w *jsonWorker, b *Batch, e *model.Event) error {
	row := &w.inner
	for _, f := range [...]struct{ name, column string }{
		{"EventID", "eventid"}, {"Channel", "source"}, {"Channel", "channel"}, {"Provider_Name", "provider_name"}, {"Level", "level"}, {"Keywords", "keywords"},
	} {
		w.add(b, f.name, row.text(f.column))
	}
	w.add(b, "Computer", firstOf(row.text("computer_name"), e.Host))
	if t, ok := jsonTime(row, "datetime", w.o); ok {
		e.Recorded = t
	}
	data := row.text("data")
	if inside := memberText(data, "EventData"); inside != "" {
		data = inside
	}
	w.innerData(b, data)
	return emitWindows(b, e)
}
