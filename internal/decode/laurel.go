package decode

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// laurelShape is the Linux audit log as LAUREL writes it: one object an event,
// whose members are the audit records by type, those that may come several times
// as arrays. It becomes the event that Auditd makes of the same records.
func laurelShape() jsonShape {
	return jsonShape{
		name:  "laurel",
		all:   []string{"ID"},
		also:  func(d *jsonDoc) bool { return isAuditStamp(d.text("ID")) },
		field: func(string) string { return "" }, // as auditFields names them
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			when, err := auditTime(w.doc.text("ID"))
			if err != nil {
				return fmt.Errorf("ID: %w", err)
			}
			e.Recorded, e.Sensed = when, when
			e.Source = model.LogSource{Product: "linux", Service: "auditd"}
			l := laurelEvent{f: newAuditFields(w.o.Names), b: b, e: e}
			eachMember(w.text(), l.member)
			l.f.derive(b, e, &l.v)
			e.Subsystem = linuxSubsystem(e.Source, "")
			if e.Host == "" {
				e.Host = "host-of-" + linuxHost(inputName(e.Ref.Input))
			}
			return emitTimed(b, e)
		},
	}
}

// isAuditStamp reports whether s is seconds.milliseconds:serial.
func isAuditStamp(s string) bool {
	seconds, n := number(s, 12)
	if n == 0 || seconds == 0 || n >= len(s) || s[n] != '.' {
		return false
	}
	_, millis := number(s[n+1:], 3)
	rest := s[n+1+millis:]
	return millis == 3 && len(rest) > 1 && rest[0] == ':' && strings.Trim(rest[1:], "0123456789") == ""
}

// A laurelEvent is one event being read.
type laurelEvent struct {
	f *auditFields
	b *Batch
	e *model.Event
	v auditEvent
}

// member reads a member of the event: a record, several of one type, or what
// LAUREL adds.
func (l *laurelEvent) member(typ, value string) bool {
	switch typ {
	case "ID", "LABELS":
	case "NODE":
		if node := jsonString(value); node != "" {
			l.e.Host = linuxHost(node)
			l.b.Slot(l.f.node, model.String, node)
		}
	case "PARENT_INFO":
		if exe := jsonString(memberText(value, "exe")); exe != "" {
			l.b.Slot(model.FParentImage, model.String, exe)
		}
	case "CONTAINER_INFO", "CONTAINER":
		if id := firstOf(jsonString(memberText(value, "ID")), jsonString(memberText(value, "id"))); id != "" {
			l.b.Slot(l.f.names.ID("container.id"), model.String, id)
		}
	default:
		if strings.HasPrefix(value, "[") {
			eachElement(value, func(record string) bool {
				l.record(typ, record)
				return true
			})
			break
		}
		l.record(typ, value)
	}
	return true
}

// record reads one audit record.
func (l *laurelEvent) record(typ, text string) {
	if text == "" || text[0] != '{' {
		return
	}
	if l.v.typ == "" {
		l.v.typ = typ
	}
	l.b.Slot(model.FTypeLower, model.String, typ)
	r := auditRecord{typ: typ}
	var item pathItem
	eachMember(text, func(key, value string) bool {
		switch {
		case key == "ARGV" && typ == "EXECVE":
			l.v.args = l.v.args[:0]
			eachElement(value, func(arg string) bool {
				l.v.args = append(l.v.args, []byte(jsonString(arg)))
				return len(l.v.args) < maxExecArgs
			})
		case key == "ARGV_STR" && typ == "EXECVE":
			l.v.cmd = jsonString(value)
		case key == "ARGV":
			var words []string
			eachElement(value, func(arg string) bool {
				words = append(words, jsonString(arg))
				return len(words) < maxExecArgs
			})
			l.pair(&r, &item, "proctitle", strings.Join(words, " "))
		case key == "SADDR":
			l.address(value)
		case value[0] == '{' || value[0] == '[':
		default:
			l.pair(&r, &item, key, jsonString(value))
		}
		return true
	})
	if typ == "PATH" && item.name != "" {
		l.v.paths = append(l.v.paths, item)
	}
}

// pair reads one field; numbers in hex stand without their prefix in the audit log.
func (l *laurelEvent) pair(r *auditRecord, item *pathItem, key, value string) {
	switch key {
	case "arch", "a0", "a1", "a2", "a3":
		value = strings.TrimPrefix(value, "0x")
	}
	l.f.pair(l.b, l.e, &l.v, r, item, key, value, true)
}

// address reads a socket address that LAUREL took apart.
func (l *laurelEvent) address(value string) {
	addr, err := netip.ParseAddr(jsonString(memberText(value, "addr")))
	port, _ := strconv.ParseUint(memberText(value, "port"), 10, 16)
	if err == nil {
		l.v.dst, l.v.ok = netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
	}
}
