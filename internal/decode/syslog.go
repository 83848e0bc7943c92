package decode

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Syslog returns the decoder of syslog text: RFC 3164 lines as Unix writes them
// to auth.log, secure, messages and syslog, RFC 5424 lines, rsyslog's ISO 8601
// stamps, each with or without a priority and an octet count (RFC 6587).
//
// Stamps of RFC 3164 carry no year. The first such stamp gets o.Year; without it
// the year of a date inside a message of the same month and day, else 1970, which
// is reported as an InputError with Count 0: a note, nothing was lost. Every
// later stamp gets the year in which it lies nearest to the one before it, so
// that a log runs on over new year.
//
// Slots are program, pid, hostname, facility, severity, message, and what the
// message says: see syslog_auth.go. Events are of product linux; the service is
// that of Sigma's logsources: sshd, sudo, cron, auth, vsftpd, clamav, guacamole,
// modsecurity, and syslog for all else.
//
// A message that is a line of another format (a request, a firewall's record, a
// question to a name server) is read as that; see Text.
func Syslog(o Options) Decoder { return syslogDecoder{newLineReader(o)} }

type syslogDecoder struct{ *lineReader }

func (d syslogDecoder) Name() string { return "syslog" }

// sniffLines is how many lines a text decoder looks at to know its format.
const sniffLines = 50

// sniffShare returns how many of the first lines of head are known to ok, in
// percent. A last line without its end is not looked at unless it is the only one.
func sniffShare(head []byte, ok func(line string) bool) int {
	seen, known := 0, 0
	for len(head) > 0 && seen < sniffLines {
		line, rest, whole := bytes.Cut(head, newline)
		if !whole && seen > 0 {
			break
		}
		head = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		seen++
		if ok(string(line)) {
			known++
		}
	}
	if seen == 0 {
		return 0
	}
	return 100 * known / seen
}

func (d syslogDecoder) Sniff(head []byte) int {
	share := sniffShare(head, func(line string) bool {
		var h syslogHeader
		return h.parse(line) && h.program != "" && h.plausible()
	})
	if share < 50 {
		return 0
	}
	return share * sureSyslog / 100
}

func (d syslogDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	return d.frame(r, emit, bad)
}

func (d syslogDecoder) Decode(c Chunk, b *Batch) {
	d.decode(c, b)
	joinScripts(b)
}

// facilities and severities are the names of RFC 5424, tables 1 and 2, as
// syslog.conf spells them.
var (
	facilities = [...]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

// A syslogHeader is what stands before and around a syslog message.
type syslogHeader struct {
	pri                    int // -1 if there is none
	yearless               bool
	month                  time.Month // of a yearless stamp
	day, hour, min, sec    int
	stamp                  time.Time // of a stamp with a year; in UTC if not zoned
	zoned                  bool
	host, program, message string
	pid                    string
}

// parse reads a line; it is false when no time stamp leads it.
func (h *syslogHeader) parse(s string) bool {
	h.pri = -1
	s = skipOctetCount(s)
	if len(s) > 2 && s[0] == '<' {
		n, i := 0, 1
		for ; i < len(s) && i < 5 && isDigit(s[i]); i++ {
			n = n*10 + int(s[i]-'0')
		}
		if i == 1 || i >= len(s) || s[i] != '>' || n > 191 {
			return false
		}
		h.pri, s = n, s[i+1:]
		if strings.HasPrefix(s, "1 ") {
			return h.parse5424(s[2:])
		}
	}
	rest, ok := h.parseStamp(s)
	if !ok {
		return false
	}
	h.parseTag(rest)
	return true
}

// skipOctetCount skips the length that RFC 6587 puts before a message.
func skipOctetCount(s string) string {
	i := 0
	for i < len(s) && i < 6 && isDigit(s[i]) {
		i++
	}
	if i > 0 && i+1 < len(s) && s[i] == ' ' && s[i+1] == '<' {
		return s[i+1:]
	}
	return s
}

// parse5424 reads what follows the version of an RFC 5424 line:
// TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MESSAGE.
func (h *syslogHeader) parse5424(s string) bool {
	word := func() string {
		w, rest, _ := strings.Cut(s, " ")
		s = rest
		if w == "-" {
			return ""
		}
		return w
	}
	stamp := word()
	var ok bool
	if h.stamp, h.zoned, ok = parseISO(stamp); !ok {
		return false
	}
	h.host, h.program, h.pid = word(), baseName(word()), word()
	word() // message id
	h.message = strings.TrimPrefix(skipStructured(s), "\ufeff")
	return true
}

// skipStructured skips structured data, "-" or [id key="value" ...]..., and the
// space behind it.
func skipStructured(s string) string {
	if strings.HasPrefix(s, "-") {
		return strings.TrimPrefix(s[1:], " ")
	}
	for len(s) > 0 && s[0] == '[' {
		quoted, end := false, -1
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && quoted:
				i++
			case s[i] == '"':
				quoted = !quoted
			case s[i] == ']' && !quoted:
				end = i
			}
			if end > 0 {
				break
			}
		}
		if end < 0 {
			return s
		}
		s = s[end+1:]
	}
	return strings.TrimPrefix(s, " ")
}

// parseStamp reads the stamp at the start of s and returns what follows it.
func (h *syslogHeader) parseStamp(s string) (string, bool) {
	if len(s) > 15 && isDigit(s[0]) {
		word, rest, _ := strings.Cut(s, " ")
		stamp, zoned, ok := parseISO(word)
		h.stamp, h.zoned = stamp, zoned
		return rest, ok
	}
	month, ok := monthOf(s)
	if !ok {
		return "", false
	}
	h.month = month
	s = strings.TrimLeft(s[3:], " ")
	var n int
	if h.day, n = number(s, 2); n == 0 || h.day < 1 || h.day > 31 {
		return "", false
	}
	s = strings.TrimLeft(s[n:], " ")
	year := 0
	if len(s) > 5 && s[4] == ' ' { // "Jan  2 2006 15:04:05", as network devices write
		if year, n = number(s, 4); n != 4 {
			return "", false
		}
		s = strings.TrimLeft(s[5:], " ")
	}
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return "", false
	}
	var a, c, e int
	h.hour, a = number(s, 2)
	h.min, c = number(s[3:], 2)
	h.sec, e = number(s[6:], 2)
	if a != 2 || c != 2 || e != 2 || h.hour > 23 || h.min > 59 || h.sec > 60 {
		return "", false
	}
	s = s[8:]
	nanos := 0
	if len(s) > 1 && s[0] == '.' && isDigit(s[1]) {
		nanos, n = fraction(s[1:])
		s = s[1+n:]
	}
	s = strings.TrimPrefix(s, ":") // Cisco ends its stamp with a colon
	if s != "" && s[0] != ' ' {
		return "", false
	}
	h.yearless = year == 0
	if !h.yearless {
		h.stamp = time.Date(year, month, h.day, h.hour, h.min, h.sec, nanos, time.UTC)
	}
	return strings.TrimLeft(s, " "), true
}

// parseTag splits "host program[pid]: message". A line whose first word is
// already a tag has no host.
func (h *syslogHeader) parseTag(s string) {
	word, rest, more := strings.Cut(s, " ")
	if !isTag(word) && more {
		h.host = word
		s = strings.TrimLeft(rest, " ")
	}
	i := 0
	for i < len(s) && s[i] != ':' && s[i] != '[' && s[i] != ' ' {
		i++
	}
	switch {
	case i == 0 || i == len(s) || s[i] == ' ':
		h.message = s
	case s[i] == ':':
		h.program, h.message = baseName(s[:i]), strings.TrimPrefix(s[i+1:], " ")
	default:
		end := strings.IndexByte(s[i:], ']')
		if end < 0 || end > 12 {
			h.message = s
			return
		}
		h.program, h.pid = baseName(s[:i]), s[i+1:i+end]
		h.message = strings.TrimPrefix(strings.TrimPrefix(s[i+end+1:], ":"), " ")
	}
}

// isTag says whether a word is "program:" or "program[pid]:".
func isTag(w string) bool {
	return len(w) > 1 && w[len(w)-1] == ':' && (w[len(w)-2] == ']' || strings.IndexByte(w[:len(w)-1], ':') < 0)
}

// baseName is a program's name without its folder.
func baseName(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

func isDigit(c byte) bool { return c-'0' <= 9 }

// number reads up to n leading digits of s and says how many there were.
func number(s string, n int) (value, digits int) {
	for digits < n && digits < len(s) && isDigit(s[digits]) {
		value = value*10 + int(s[digits]-'0')
		digits++
	}
	return value, digits
}

// fraction reads the digits of a fraction of a second as nanoseconds and says
// how many digits there were.
func fraction(s string) (nanos, digits int) {
	scale := 100_000_000
	for digits < len(s) && isDigit(s[digits]) {
		nanos += int(s[digits]-'0') * scale
		scale /= 10
		digits++
	}
	return nanos, digits
}

// monthOf reads an English month's three letters before a space.
func monthOf(s string) (time.Month, bool) {
	if len(s) < 4 || s[3] != ' ' {
		return 0, false
	}
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	if i := strings.Index(names, s[:3]); i >= 0 && i%3 == 0 {
		return time.Month(i/3 + 1), true
	}
	return 0, false
}

// parseISO reads 2006-01-02T15:04:05 with an optional fraction and zone, and
// says whether it has a zone. Without one it is read as UTC.
func parseISO(s string) (t time.Time, zoned, ok bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return t, false, false
	}
	var v [6]int
	for i, at := range [...]int{0, 5, 8, 11, 14, 17} {
		width := 2
		if i == 0 {
			width = 4
		}
		var n int
		if v[i], n = number(s[at:], width); n != width {
			return t, false, false
		}
	}
	if v[0] < firstYear || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 || v[3] > 23 || v[4] > 59 || v[5] > 60 {
		return t, false, false
	}
	nanos, rest := 0, s[19:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		var n int
		nanos, n = fraction(rest[1:])
		rest = rest[1+n:]
	}
	t = time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], nanos, time.UTC)
	switch {
	case rest == "":
		return t, false, true
	case rest == "Z" || rest == "z":
		return t, true, true
	case rest[0] == '+' || rest[0] == '-':
		hours, n := number(rest[1:], 2)
		if n != 2 {
			return t, false, false
		}
		tail := strings.TrimPrefix(rest[3:], ":")
		minutes, n := number(tail, 2)
		if n != len(tail) || hours > 23 || minutes > 59 {
			return t, false, false
		}
		shift := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
		if rest[0] == '+' {
			shift = -shift
		}
		return t.Add(shift), true, true
	}
	return t, false, false
}

// A yearWalk gives years to stamps that carry none, in the order of the input.
type yearWalk struct {
	year  int        // of the last stamp
	month time.Month // of the last stamp, 0 before the first
}

// of moves on to a stamp of that month and returns its year: the one in which it
// lies nearest to the stamp before.
func (y *yearWalk) of(m time.Month) int {
	if y.month != 0 {
		switch diff := m - y.month; {
		case diff <= -6:
			y.year++
		case diff >= 7:
			y.year--
		}
	}
	y.month = m
	return y.year
}

// walk moves over the stamps of a chunk.
func (y *yearWalk) walk(data []byte) {
	eachStampedLine(data, func(m time.Month, _ []byte) bool { y.of(m); return true })
}

// header is the walk as a chunk's header.
func (y *yearWalk) header() []byte { return fmt.Appendf(nil, "%d %d", y.year, y.month) }

// yearFromHeader reads what header wrote; without it the walk starts at year.
func yearFromHeader(h []byte, year int) yearWalk {
	y := yearWalk{year: year}
	if len(h) > 0 {
		var month int
		if _, err := fmt.Sscanf(string(h), "%d %d", &y.year, &month); err == nil && month >= 0 && month <= 12 {
			y.month = time.Month(month)
		}
	}
	if y.year == 0 {
		y.year = 1970
	}
	return y
}

// eachStampedLine calls fn for the lines of data that have a stamp without a year near
// their beginning, from that stamp on, until it returns false.
func eachStampedLine(data []byte, fn func(m time.Month, line []byte) bool) {
	for len(data) > 0 {
		line := data
		if n := bytes.IndexByte(data, '\n'); n >= 0 {
			line, data = data[:n], data[n+1:]
		} else {
			data = nil
		}
		if lead, n := octetCount(line); n > 0 {
			line = line[lead:]
		}
		if len(line) > 0 && line[0] == '<' {
			line = line[min(len(line), 1+max(0, bytes.IndexByte(line[:min(len(line), 6)], '>'))):]
		}
		if len(line) < 16 || isDigit(line[0]) {
			continue
		}
		if line[0] > 'S' || line[0] < 'A' || line[3] != ' ' { // a level or a bracket may stand before it
			text := string(line[:min(len(line), 96)])
			if st, at, n := findStamp(text); n > 0 && st.yearless && len(line)-at >= 16 && !fn(st.at.Month(), line[at:]) {
				return
			}
			continue
		}
		if m, ok := monthOf(string(line[:4])); ok {
			var h syslogHeader
			if _, ok := h.parseStamp(string(line[:min(len(line), 48)])); !ok || !h.yearless {
				continue
			}
			if !fn(m, line) {
				return
			}
		}
	}
}

// hasYearless says whether any stamp of data lacks a year.
func hasYearless(data []byte) bool {
	found := false
	eachStampedLine(data, func(time.Month, []byte) bool { found = true; return false })
	return found
}

// yearInMessages looks for a full date inside a message whose month and day are
// those of the line's own stamp, and returns its year; 0 if there is none. Only
// the start of the input is searched.
func yearInMessages(data []byte) int {
	year := 0
	eachStampedLine(data[:min(len(data), SniffLen)], func(m time.Month, line []byte) bool {
		day, _ := number(strings.TrimLeft(string(line[4:6]), " "), 2)
		for i := 16; i+10 <= len(line); i++ {
			if line[i] == '[' { // [02/Jan/2006:15:04:05, of a server's own stamp
				st, n := readStamp(string(line[i+1 : min(len(line), i+48)]))
				if d := st.at; n > 0 && !st.yearless && d.Month() == m && d.Day() == day && d.Year() >= 1990 && d.Year() < 2100 {
					year = d.Year()
					return false
				}
			}
			if line[i] != '2' && line[i] != '1' || line[i+4] != '-' || line[i+7] != '-' || isDigit(line[i-1]) {
				continue
			}
			y, a := number(string(line[i:i+4]), 4)
			mm, b := number(string(line[i+5:i+7]), 2)
			dd, c := number(string(line[i+8:i+10]), 2)
			if a == 4 && b == 2 && c == 2 && time.Month(mm) == m && dd == day && y >= 1990 && y < 2100 {
				year = y
				return false
			}
		}
		return true
	})
	return year
}
