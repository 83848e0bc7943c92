package simulate

import (
	"bufio"
	"fmt"
	"strings"
	"time"
)

// A line is a line of a text log, finished.
type line string

// lineFormat is a log of lines.
type lineFormat struct{}

func (lineFormat) render(b *bufio.Writer, rs []record) []int64 {
	for i := range rs {
		_, _ = b.WriteString(string(rs[i].body.(line)))
		_ = b.WriteByte('\n')
	}
	return numbersOf(rs)
}

// syslog writes a line as rsyslog does since it writes full stamps.
func (h *host) syslog(f *logFile, at time.Time, program string, pid int, format string, args ...any) {
	tag := program
	if pid > 0 {
		tag = fmt.Sprintf("%s[%d]", program, pid)
	}
	h.w.add(f, at, line(at.Format("2006-01-02T15:04:05.000000+00:00")+" "+h.name+" "+tag+": "+fmt.Sprintf(format, args...)))
}

// An auditEvent is what the kernel or a program tells the Linux audit log: one or
// more records of one serial.
type auditEvent struct {
	h       *host
	at      time.Time
	records [][2]string // type and body
}

// auditFormat is auditd's log with the host's name in each record and enriched
// with names. Serials grow with time. The number of an event is the line of its
// first record.
type auditFormat struct{}

func (auditFormat) render(b *bufio.Writer, rs []record) []int64 {
	out := make([]int64, len(rs))
	at := int64(1)
	for i := range rs {
		e := rs[i].body.(*auditEvent)
		out[i] = at
		stamp := fmt.Sprintf("%d.%03d:%d", e.at.Unix(), e.at.Nanosecond()/1e6, 4000+len(e.h.name)*977+3*i)
		for _, r := range e.records {
			_, _ = b.WriteString("node=" + e.h.name + " type=" + r[0] + " msg=audit(" + stamp + "): " + r[1] + "\n")
		}
		at += int64(len(e.records))
	}
	return out
}

// auditText writes a value as the kernel does: in quotes, or in hex where it
// holds what quotes cannot.
func auditText(s string) string {
	if strings.ContainsAny(s, "\" \x00\n\t") {
		return strings.ToUpper(fmt.Sprintf("%x", s))
	}
	return `"` + s + `"`
}
