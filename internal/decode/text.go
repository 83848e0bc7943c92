package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Text returns the decoder of logs that are lines of text in a form of their own:
// those of web servers, proxies, firewalls, databases, name and mail servers, and
// of applications at large. Each line is read by the first of the line formats that
// knows it, so that one file may hold several; see lineFormats. A line that begins
// with a space, a tab or "Caused by:" goes on with the line before it.
//
// What all of them share is a line of RFC 3164 or 5424 around them, which Syslog
// reads: both decoders read either kind of line and differ in what they are called.
func Text(o Options) Decoder { return textDecoder{newLineReader(o)} }

type textDecoder struct{ *lineReader }

func (d textDecoder) Name() string { return "text" }

// How sure lines make of a file: less than the header of any format that has one.
const (
	sureSyslog = 70
	sureText   = 65
	sureStamps = 45 // a time and words, no more
)

func (d textDecoder) Sniff(head []byte) int {
	knows := d.knower()
	known := sniffShare(head, knows)
	if known >= 50 {
		return known * sureText / 100
	}
	stamped := sniffShare(head, func(line string) bool {
		_, _, n := findStamp(line)
		return n > 0 || knows(line)
	})
	if stamped >= 50 {
		return stamped * sureStamps / 100
	}
	return 0
}

func (d textDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	return d.frame(r, emit, bad)
}

func (d textDecoder) Decode(c Chunk, b *Batch) {
	d.decode(c, b)
	joinScripts(b)
}

// A lineFormat understands one kind of line. read is false when the line is of
// another kind; what it did to the event and its slots is then forgotten. What
// leaves an event without a time is no line of that format.
type lineFormat struct {
	name string // the events' Format
	read func(l *textLine) bool
}

// lineFormats are the kinds of lines, those first that others could be taken for.
// To add one, write its file and add its line.
func lineFormats() []lineFormat {
	return []lineFormat{
		{"container", (*textLine).container},
		{"access-log", (*textLine).accessLog},
		{"cef", (*textLine).cef},
		{"leef", (*textLine).leef},
		{"cisco", (*textLine).cisco},
		{"fortigate", (*textLine).fortigate},
		{"paloalto", (*textLine).paloAlto},
		{"netfilter", (*textLine).netfilter},
		{"pf", (*textLine).pf},
		{"mikrotik", (*textLine).mikrotik},
		{"haproxy", (*textLine).haproxy},
		{"squid", (*textLine).squid},
		{"elb", (*textLine).loadBalancer},
		{"s3-access", (*textLine).s3Access},
		{"vpc-flow", (*textLine).vpcFlow},
		{"cloudfront", (*textLine).cloudFront},
		{"apache-error", (*textLine).apacheError},
		{"nginx-error", (*textLine).nginxError},
		{"fastlog", (*textLine).fastLog},
		{"postgresql", (*textLine).postgres},
		{"mysql", (*textLine).mysql},
		{"mssql", (*textLine).sqlServerAudit},
		{"mssql", (*textLine).mssql},
		{"couchdb", (*textLine).couchDB},
		{"dns-log", (*textLine).dnsLog},
		{"dhcp", (*textLine).dhcp},
		{"openvpn", (*textLine).openVPN},
		{"logfmt", (*textLine).logfmt},
	}
}

// A lineReader reads lines, bare or within syslog's.
type lineReader struct {
	o       Options
	zone    *time.Location
	f       *syslogFields
	t       *textFields
	audit   *auditFields
	formats []lineFormat
	pan     map[string][]column // columns of PAN-OS by type
	json    func() *jsonDecoder // of what stands in lines, made when it is first met
}

func newLineReader(o Options) *lineReader {
	d := &lineReader{o: o, zone: o.Zone, f: newSyslogFields(o.Names), t: newTextFields(o.Names), audit: newAuditFields(o.Names), formats: lineFormats(), pan: newPanLayouts(o.Names), json: sync.OnceValue(func() *jsonDecoder { return newJSON(o) })}
	if d.zone == nil {
		d.zone = time.UTC
	}
	return d
}

// knower says of one line after the other whether a format knows it, bare or as the message of a syslog line
// that names its program.
func (d *lineReader) knower() func(line string) bool {
	var b Batch
	return func(s string) bool {
		b.Reset()
		years := yearWalk{year: 1970}
		l := textLine{lineReader: d, b: &b, e: &model.Event{}, s: s, years: &years}
		if l.formatted() {
			return true
		}
		var h syslogHeader
		return h.parse(s) && h.program != "" && h.plausible()
	}
}

func (d *lineReader) frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	y := yearWalk{year: d.o.Year}
	noted := false
	each := func(c Chunk) error {
		if y.year == 0 {
			if y.year = yearInMessages(c.Data); y.year == 0 && hasYearless(c.Data) {
				y.year = 1970
			}
			if y.year != 0 && !noted {
				noted = true
				bad(model.InputError{Offset: c.Offset, Cause: fmt.Sprintf("no year in stamps; assuming %d, use --year", y.year)})
			}
		}
		c.Header = append(y.header(), c.Header...)
		y.walk(c.Data)
		return emit(c)
	}
	head, content := buffered(r)
	start, err := head.Peek(head.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if counted(start) {
		return frameRecords(content, 0, 0, []byte(countedMark), each, bad, func(buf []byte, end bool) (cut, records int) {
			for {
				lead, n := octetCount(buf[cut:])
				switch {
				case n > 0 && cut+lead+n <= len(buf):
					cut += lead + n
				case end && cut < len(buf): // cut short, or no count at all
					return len(buf), records + 1
				case n == 0 && len(buf)-cut > maxOctets: // out of step: up to the next line
					i := bytes.IndexByte(buf[cut:], '\n')
					if i < 0 {
						return cut, records
					}
					cut += i + 1
				default:
					return cut, records
				}
				records++
			}
		})
	}
	return frameLines(content, nil, each, bad, func(_, after []byte) bool { return continues(string(after[:min(len(after), 16)])) })
}

// countedMark, behind the year in a chunk's header, says that octet counts and not line
// ends part its records.
const countedMark = " counted"

// maxOctets is how long the count of octets before a message may be, with its space.
const maxOctets = 8

// octetCount reads the count that RFC 6587 puts before a message: how many bytes it takes,
// and how many the message has, 0 if there is none.
func octetCount(b []byte) (lead, n int) {
	for lead < len(b) && lead < maxOctets-1 && isDigit(b[lead]) {
		n = n*10 + int(b[lead]-'0')
		lead++
	}
	if lead == 0 || lead+1 >= len(b) || b[lead] != ' ' || b[lead+1] != '<' || b[0] == '0' || n < 3 {
		return 0, 0
	}
	return lead + 1, n
}

// counted says whether an input is a stream of counted messages: right behind the first
// begins another. Where a line end stands between them, lines do as well.
func counted(head []byte) bool {
	lead, n := octetCount(head)
	if n == 0 || lead+n > len(head) {
		return false
	}
	_, next := octetCount(head[lead+n:])
	return next > 0
}

// Bounds of a record of several lines: what lies beyond is a record of its own.
const (
	maxMoreLines = 512
	maxMoreBytes = 256 << 10
)

// continues says whether a line goes on with the record of the line before it.
func continues(line string) bool {
	return line != "" && (line[0] == ' ' || line[0] == '\t' || strings.HasPrefix(line, "Caused by: "))
}

// quoteOpen says whether a record is a row of PostgreSQL's csvlog that ends within quotes:
// a statement has as many lines as its author gave it.
func quoteOpen(record string) bool {
	if len(record) < 32 || !isDigit(record[0]) || record[4] != '-' || record[19] != '.' || strings.IndexByte(record[20:32], ',') < 0 {
		return false
	}
	return strings.Count(record, `"`)%2 == 1
}

func (d *lineReader) decode(c Chunk, b *Batch) {
	header, isCounted := bytes.CutSuffix(c.Header, []byte(countedMark))
	y := yearFromHeader(header, d.o.Year)
	text := string(c.Data)
	var (
		first, whole   string // the open record: its first line, and all of it
		offset, record int64
		e              model.Event // made once, not for every line
		l              textLine
	)
	flush := func() {
		if first == "" {
			return
		}
		b.Records++
		at := offset - c.Offset
		e = model.Event{Ref: model.Ref{Input: c.Input, Record: record, Offset: offset}, Raw: c.Data[at : at+int64(len(whole)) : at+int64(len(whole))]}
		l = textLine{lineReader: d, b: b, e: &e, s: first, whole: whole, years: &y}
		if cause := l.read(); cause != "" {
			b.Drop()
			b.Fail(offset, record, cause)
		} else if !l.done {
			finish(&e)
			b.Emit(e)
		}
		first = ""
	}
	if isCounted {
		record = c.Record
		for at := 0; at < len(text); {
			lead, n := octetCount(c.Data[at:])
			if n == 0 || at+lead+n > len(text) {
				if n = strings.IndexByte(text[at:], '\n') + 1; n == 0 {
					n = len(text) - at
				}
				lead = 0
			}
			whole = strings.TrimRight(text[at+lead:at+lead+n], "\r\n")
			first, offset, record = firstLine(whole), c.Offset+int64(at+lead), record+1
			flush()
			at += lead + n
		}
		return
	}
	more := 0
	eachLine(c, func(raw []byte, off, rec int64) {
		at := off - c.Offset
		end := at + int64(len(raw))
		if first != "" && (continues(text[at:min(end, at+16)]) || quoteOpen(whole)) && more < maxMoreLines && end-(offset-c.Offset) <= maxMoreBytes {
			more++
			whole = text[offset-c.Offset : end]
			return
		}
		flush()
		first, whole, offset, record, more = text[at:end], text[at:end], off, rec, 0
	})
	flush()
}

// A textLine is one line being read.
type textLine struct {
	*lineReader
	b       *Batch
	e       *model.Event
	s       string // the line, or the message of a syslog line
	whole   string // s with the lines that go on with it
	program string // of the syslog line around s
	wrapped bool   // in a syslog line: its time and host are known
	years   *yearWalk
	done    bool // the record in the line was read as what it is, and emitted
}

// read fills the event of the line; it returns why it cannot.
func (l *textLine) read() string {
	var h syslogHeader
	headed := l.s[0] == '<' || l.s[0] <= 'S' && l.s[0] >= 'A' && len(l.s) > 3 && l.s[3] == ' ' // "<34>...", "Mar  3 ..."
	if !headed && (l.s[0] == '{' && l.record(l.whole) || l.formatted()) {
		return ""
	}
	line := l.s
	parsed := h.parse(line)
	if parsed && (h.plausible() || headed) {
		return l.syslog(&h)
	}
	if headed && l.formatted() || l.application() {
		return ""
	}
	if parsed {
		return l.syslog(&h)
	}
	return "no known line: neither a form that is known nor a time in it"
}

// plausible says whether a header's host may be one.
func (h *syslogHeader) plausible() bool {
	if h.host == "" {
		return h.program != ""
	}
	switch h.host {
	case "stdout", "stderr": // of a container's log
		return false
	}
	return isHostName(h.host) || isAddress(h.host)
}

// maxFormatted bounds the lines that formats are asked about, in bytes: no log has longer
// ones, and not all of them find out at once that a line is not theirs.
const maxFormatted = 256 << 10

// formatted lets the line formats read s. It is false when none knows it; the
// event and its slots are then as before.
func (l *textLine) formatted() bool {
	if len(l.s) > maxFormatted {
		return false
	}
	before := *l.e
	for i := range l.formats {
		f := &l.formats[i]
		if f.read(l) {
			if !l.e.Recorded.IsZero() || !l.e.Sensed.IsZero() {
				if l.e.Format == before.Format { // else that of a line within the line
					l.e.Format = f.name
				}
				if l.e.Act == model.ActConnect && l.b.Text(l.t.blocked) == "true" {
					l.e.Act = model.ActNone // nothing came through: the rules see it, memory has no flow to keep
				}
				return true
			}
		}
		if len(l.b.Open()) > 0 || l.e.Source != before.Source {
			l.b.Drop()
			*l.e = before
		}
	}
	return false
}

// syslog reads the message of a syslog line.
func (l *textLine) syslog(h *syslogHeader) string {
	e := l.e
	e.Format = "syslog"
	switch {
	case h.yearless:
		e.Recorded = time.Date(l.years.of(h.month), h.month, h.day, h.hour, h.min, h.sec, 0, l.zone).UTC()
		if e.Recorded.Month() != h.month && l.zone == time.UTC {
			return fmt.Sprintf("no such day: %s %d of %d", h.month, h.day, l.years.year)
		}
	case h.zoned:
		e.Recorded = h.stamp.UTC()
	default:
		e.Recorded = inZone(h.stamp, l.zone)
	}
	e.Host = linuxHost(h.host)
	if isLinuxSysmon(h.message) {
		if err := linuxSysmon(l.b, e, l.o.Names, h.message); err != nil {
			return "Sysmon's event: " + err.Error()
		}
		return ""
	}
	if strings.Contains(h.message, "audit(") && l.audit.single(l.b, e, h.message) {
		return ""
	}
	switch { // tags that are part of the message
	case h.program == "CEF", h.program == "LEEF", strings.HasPrefix(h.program, "%"):
		tag := strings.LastIndex(l.s[:len(l.s)-len(h.message)], h.program)
		h.program, h.message = "", l.s[tag:]
	}
	if len(l.whole) > len(l.s) { // the message goes on
		h.message += l.whole[len(l.s):]
	}
	l.s, l.whole, l.program, l.wrapped = firstLine(h.message), h.message, h.program, true
	if strings.HasPrefix(l.s, "{") && l.record(l.whole) {
		return ""
	}
	known := l.s != "" && l.formatted()
	if h.host != "" {
		l.b.Slot(model.FHostname, model.String, h.host)
	}
	if h.pri >= 0 {
		if n := h.pri >> 3; n < len(facilities) {
			l.b.Slot(model.FFacility, model.String, facilities[n])
		}
		l.b.Slot(l.f.severity, model.String, severities[h.pri&7])
	}
	if !known {
		l.f.describe(l.b, e, h.program, h.pid, h.message)
		return ""
	}
	l.set(model.FProgram, h.program)
	l.num(model.FPid, h.pid)
	l.set(model.FMessageLower, h.message)
	return ""
}

// record hands a JSON record that stands in the line to the decoder of such, as what
// sensors and platforms send over syslog or write to a container's output. It is
// false, and nothing is changed, unless the text is one record that is known or
// has a time.
func (l *textLine) record(text string) bool {
	b, e := l.b, l.e
	records, skipped, events, alerts := b.Records, b.Skipped, len(b.Events), len(b.Alerts)
	errs := append([]model.InputError(nil), b.Errors...)
	l.json().decode(Chunk{Input: e.Ref.Input, Data: []byte(text), Offset: e.Ref.Offset, Record: e.Ref.Record - 1}, b)
	if b.Records != records+1 || b.Skipped != skipped || len(b.Events)+len(b.Alerts) == events+alerts {
		b.Drop()
		b.Records, b.Skipped, b.Events, b.Alerts, b.Errors = records, skipped, b.Events[:events], b.Alerts[:alerts], errs
		return false
	}
	b.Records = records // the line was counted
	for i := events; i < len(b.Events); i++ {
		inner := &b.Events[i]
		inner.Raw = e.Raw
		if inner.Format == "json" && inner.Host == "" {
			inner.Host = e.Host
		}
	}
	l.done = true
	return true
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(s, "\r")
}

// inZone reads a time that was read as UTC as one of zone.
func inZone(t time.Time, zone *time.Location) time.Time {
	if zone == time.UTC {
		return t
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UTC()
}

// when sets the time of the event from the line's own stamp. Within a syslog line
// it counts only if it says its zone: else the two would differ by that of the
// writer.
func (l *textLine) when(st textStamp) {
	t := st.at
	switch {
	case st.zoned:
		t = t.UTC()
	case st.yearless:
		t = inZone(time.Date(l.years.of(t.Month()), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC), l.zone)
	default:
		t = inZone(t, l.zone)
	}
	if y := t.Year(); y < 1 || y > 9999 {
		return
	}
	switch {
	case !l.wrapped:
		l.e.Recorded = t
	case st.zoned:
		l.e.Sensed = t
	}
}

// is says what the event tells.
func (l *textLine) is(a model.Act, code string) { l.e.Act, l.e.Code = a, code }

// source says whose event it is.
func (l *textLine) source(s model.Subsystem, product, category, service string) {
	l.e.Subsystem = s
	l.e.Source = model.LogSource{Product: product, Category: category, Service: service}
}

// onMachine names the host of a log that does not say whose it is after the file,
// as Auditd does, so that the accounts of two machines stay apart.
func (l *textLine) onMachine() {
	if l.e.Host == "" {
		l.e.Host = "host-of-" + linuxHost(inputName(l.e.Ref.Input))
	}
}

// set adds a text field; what stands for none adds nothing.
func (l *textLine) set(id model.FieldID, s string) {
	if s != "" && s != "-" {
		l.b.Slot(id, model.String, s)
	}
}

// num adds a number field, as text if it is none.
func (l *textLine) num(id model.FieldID, s string) {
	if s == "" || s == "-" {
		return
	}
	kind := model.String
	if _, n := number(s, len(s)); n == len(s) && n < 19 {
		kind = model.Number
	}
	l.b.Slot(id, kind, s)
}

// named adds a field by the name that the log gives it. Logs may hold any name:
// what is no sensible one is not kept.
func (l *textLine) named(name, value string) {
	if name == "" || len(name) > maxTextName || value == "" {
		return
	}
	id := l.o.Names.ID(name)
	if _, n := number(value, len(value)); n == len(value) && n < 19 {
		namedSlot(l.b, id, name, model.Number, value)
		return
	}
	namedSlot(l.b, id, name, model.String, value)
}

// maxTextName bounds the name of a field in a line of text, in bytes.
const maxTextName = 64

// word cuts the first word off s.
func word(s string) (w, rest string) {
	w, rest, _ = strings.Cut(s, " ")
	return w, rest
}

// endpoint splits "1.2.3.4:80", "[2001:db8::1]:80", "1.2.3.4#80" and "1.2.3.4/80"
// into address and port; what has no port is all address.
func endpoint(s string) (ip, port string) {
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i > 0 {
			return s[1:i], strings.TrimPrefix(s[i+1:], ":")
		}
	}
	if i := strings.IndexAny(s, "#/"); i > 0 {
		return s[:i], s[i+1:]
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s, ':') != i && !isDigitAll(s[i+1:]) || isAddress(s) {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func isDigitAll(s string) bool {
	_, n := number(s, len(s))
	return n == len(s) && n > 0
}
