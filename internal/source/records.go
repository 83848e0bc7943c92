package source

import (
	"bytes"
	"encoding/binary"
)

// A Format names the decoder that is surest of the beginning of some input, "" if
// none knows it: decode's registry, handed in by app. It is how receivers know
// where a record of several lines ends and what stands before the first one.
type Format func(head []byte) string

// of is f of head; without f nothing is known.
func (f Format) of(head []byte) string {
	if f == nil {
		return ""
	}
	return f(head)
}

// The decoders whose inputs are not just lines.
const (
	formatAuditd  = "auditd"
	formatCSV     = "csv"
	formatEVTX    = "evtx"
	formatJSON    = "json"
	formatW3C     = "w3c"
	formatWinText = "windows-text"
	formatXML     = "windows-xml"
	formatZeek    = "zeek"
)

// cutRecords returns how many bytes at the start of buf are whole records of a
// format. final says that nothing follows for a while: then a record that another
// line might have continued is whole too, but a line without its end is not.
func cutRecords(format string, buf []byte, final bool) int {
	switch format {
	case formatCSV:
		return cutCSV(buf)
	case formatXML:
		return cutXML(buf)
	case formatEVTX:
		return len(buf) / evtxChunk * evtxChunk
	case formatAuditd:
		return cutLines(buf, final, func(before, after []byte) bool {
			if after == nil {
				return !auditOpen(before)
			}
			stamp := auditStamp(before)
			return stamp == nil || !bytes.Equal(stamp, auditStamp(after))
		})
	case formatJSON:
		return cutLines(buf, final, func(before, after []byte) bool {
			before, after = bytes.TrimRight(before, " \t\r"), bytes.TrimLeft(after, " \t")
			return bytes.HasSuffix(before, []byte("}")) && (len(after) == 0 || after[0] == '{')
		})
	case formatWinText:
		// A record begins with a line that is a time, and its others are Name=value,
		// indented, or empty.
		return cutLines(buf, final, func(_, after []byte) bool {
			return len(after) > 0 && after[0] >= '0' && after[0] <= '9' && bytes.IndexByte(after, '=') < 0
		})
	}
	return bytes.LastIndexByte(buf, '\n') + 1
}

// Of a Windows event log: what stands before its chunks, unless the file's header
// says otherwise at evtxHeadAt, and the bytes of one chunk, whose records mean
// nothing without the rest of it.
const (
	evtxHead   = 4096
	evtxHeadAt = 40
	evtxChunk  = 64 << 10
)

// cutLines returns the last line end in buf after which a record may begin. between
// is told the lines around it; the line after the last one is nil.
func cutLines(buf []byte, final bool, between func(before, after []byte) bool) int {
	end := bytes.LastIndexByte(buf, '\n')
	if final || end < 0 {
		return end + 1
	}
	after := buf[end+1:]
	if len(after) == 0 {
		after = nil
	}
	for end >= 0 {
		start := bytes.LastIndexByte(buf[:end], '\n') + 1
		before := bytes.TrimSuffix(buf[start:end], []byte("\r"))
		if between(before, after) {
			return end + 1
		}
		after, end = before, start-1
	}
	return 0
}

// auditStamp returns what stands in the brackets of audit(...): the time and serial
// that the lines of one event share.
func auditStamp(line []byte) []byte {
	_, rest, ok := bytes.Cut(line, []byte("audit("))
	if !ok {
		return nil
	}
	stamp, _, _ := bytes.Cut(rest, []byte(")"))
	return stamp
}

// auditOpen tells whether a line of an audit log is of the kernel's records that
// come several to an event, and not the last of one. User space writes one line an
// event.
func auditOpen(line []byte) bool {
	_, rest, ok := bytes.Cut(line, []byte("type="))
	if !ok {
		return false
	}
	kind, _, _ := bytes.Cut(rest, []byte(" "))
	switch string(kind) {
	case "SYSCALL", "EXECVE", "CWD", "PATH", "SOCKADDR", "SOCKETCALL", "IPC", "BPRM_FCAPS", "CAPSET", "MMAP", "FD_PAIR",
		"OBJ_PID", "MQ_OPEN", "PROCTITLE", "KERN_MODULE", "NETFILTER_CFG", "AVC", "SECCOMP", "INTEGRITY_RULE", "OPENAT2", "BPF":
		return true
	}
	return false
}

// maxQuoted bounds how far a field in quotes may reach over line ends, so that a
// stray quote does not hide the records after it.
const maxQuoted = 256 << 10

// cutCSV returns where the last whole record of buf ends. A quote opens a field
// where it begins one, and only there.
func cutCSV(buf []byte) int {
	quoted, opened, cut := false, 0, 0
	for i := 0; i < len(buf); i++ {
		switch c := buf[i]; {
		case c == '"' && quoted && i+1 < len(buf) && buf[i+1] == '"':
			i++
		case c == '"' && quoted:
			quoted = false
		case c == '"' && (i == cut || buf[i-1] == ',' || buf[i-1] == ';' || buf[i-1] == '\t'):
			quoted, opened = true, i
		case c == '\n' && !quoted:
			cut = i + 1
		}
		if quoted && i-opened > maxQuoted {
			quoted, i = false, opened // it was a character like any other
		}
	}
	return cut
}

// cutXML returns where the last whole event of buf ends, with the line end behind
// it. Text without one is handed on by lines: it is of no event.
func cutXML(buf []byte) int {
	const end = "</Event>"
	i := bytes.LastIndex(buf, []byte(end))
	if i < 0 {
		if bytes.Contains(buf, []byte("<Event")) {
			return 0
		}
		return bytes.LastIndexByte(buf, '\n') + 1
	}
	i += len(end)
	for i < len(buf) && (buf[i] == '\r' || buf[i] == '\n') {
		i++
	}
	return i
}

// maxHead bounds what stands before the records of an input.
const maxHead = 64 << 10

// headLen returns how many bytes at the start of text stand before its first record
// in the formats whose records mean nothing without: the line of column names of
// CSV, the comment lines of Zeek and of W3C's extended format, an AWS flow log's
// first line. ok is false while text ends before they do.
func headLen(format string, text []byte) (n int, ok bool) {
	switch format {
	case formatCSV:
		mark := 0
		if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
			mark = 3
		}
		for i, quoted := mark, false; i < len(text) && i < maxHead; i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == '\n' && !quoted:
				return i + 1, true
			}
		}
		return 0, len(text) >= maxHead
	case formatZeek, formatW3C:
		if len(text) > 0 && text[0] != '#' {
			if format == formatZeek {
				return 0, true // its head was cut off
			}
			n = bytes.IndexByte(text, '\n') + 1
			return n, n > 0
		}
		for n < len(text) && n < maxHead && text[n] == '#' {
			i := bytes.IndexByte(text[n:], '\n')
			if i < 0 {
				return 0, len(text) >= maxHead
			}
			n += i + 1
		}
		return n, n < len(text) || n >= maxHead
	case formatEVTX:
		if len(text) < evtxHead {
			return 0, false
		}
		n = int(binary.LittleEndian.Uint16(text[evtxHeadAt:]))
		if n < evtxHead {
			n = evtxHead
		}
		return n, len(text) >= n
	}
	return 0, true
}

// newHead looks for comment lines in the midst of data, as W3C's format and Zeek's
// have them where a log goes on after a restart: at is where they begin, n how many
// bytes they are, and names whether they name columns, so that what follows needs
// them before it.
func newHead(format string, data []byte) (at, n int, names bool) {
	if format != formatZeek && format != formatW3C {
		return len(data), 0, false
	}
	for at < len(data) && data[at] != '#' {
		i := bytes.Index(data[at:], []byte("\n#"))
		if i < 0 {
			return len(data), 0, false
		}
		at += i + 1
	}
	for at+n < len(data) && data[at+n] == '#' {
		line := data[at+n:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		names = names || len(line) > 8 && bytes.EqualFold(line[:7], []byte("#fields"))
		n += len(line)
	}
	return at, n, names
}
