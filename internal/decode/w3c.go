package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Columns returns the decoder of logs whose lines are columns under a line that names
// them: the W3C extended format of IIS, Exchange and CloudFront, whose #Fields may
// change within a file (https://www.w3.org/TR/WD-logfile.html), and flow records of
// Amazon VPC of any version, whose first line is names.
//
// Fields keep the names that the log gives them, which are those of Sigma's
// categories webserver and proxy.
func Columns(o Options) Decoder { return &columnsDecoder{newLineReader(o)} }

type columnsDecoder struct{ d *lineReader }

func (d *columnsDecoder) Name() string { return "w3c" }

func (d *columnsDecoder) Sniff(head []byte) int {
	if head = head[:min(len(head), 8<<10)]; bytes.HasPrefix(head, []byte("#Fields: ")) || bytes.HasPrefix(head, []byte("#")) && bytes.Contains(head, []byte("\n#Fields: ")) {
		return 92
	}
	line, _, _ := bytes.Cut(head, newline)
	if vpcHeader(string(line)) != nil {
		return 92
	}
	return 0
}

// vpcHeader reads the names of the columns of a file of flow records; nil if line is none.
func vpcHeader(line string) []string {
	sep := " "
	if strings.IndexByte(line, ',') > 0 {
		sep = ","
	}
	names := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), "_", "-"), sep)
	known := 0
	for _, n := range names {
		switch n {
		case "srcaddr", "dstaddr", "interface-id", "start", "log-status":
			known++
		}
	}
	if known < 3 || len(names) > 64 {
		return nil
	}
	return names
}

// A columnsHeader is what the lines above a log's lines say.
type columnsHeader struct {
	Fields []string
	Date   string // of #Date, for logs whose lines have a time only
	Flow   bool   // flow records, not requests
	Comma  bool
}

// line reads a comment.
func (h *columnsHeader) line(line string) {
	if fields, ok := strings.CutPrefix(line, "#Fields: "); ok && len(line) <= maxHeader {
		h.Flow, h.Comma = false, strings.IndexByte(fields, ',') > 0
		h.Fields = strings.FieldsFunc(fields, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' })
		h.Fields = h.Fields[:min(len(h.Fields), 256)]
	} else if date, ok := strings.CutPrefix(line, "#Date: "); ok {
		h.Date, _ = word(date)
	}
}

func (d *columnsDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	var h columnsHeader
	first := true
	return frameLines(r, nil, func(c Chunk) error {
		if first {
			first = false
			line, _, _ := bytes.Cut(c.Data, newline)
			if names := vpcHeader(string(bytes.TrimSpace(line))); names != nil {
				h = columnsHeader{Fields: names, Flow: true, Comma: bytes.IndexByte(line, ',') > 0}
			}
		}
		header, err := json.Marshal(h)
		if err != nil {
			return err
		}
		c.Header = header
		if bytes.HasPrefix(c.Data, []byte("#")) || bytes.Contains(c.Data, []byte("\n#")) {
			eachLine(c, func(line []byte, _, _ int64) {
				if line[0] == '#' {
					h.line(string(line))
				}
			})
		}
		return emit(c)
	}, bad, nil)
}

// A column is a field of the log being read.
type column struct {
	name string
	id   model.FieldID
}

func (d *columnsDecoder) columns(h *columnsHeader) []column {
	out := make([]column, len(h.Fields))
	for i, name := range h.Fields {
		if name = columnAlias(name); len(name) > maxTextName {
			name = name[:maxTextName]
		}
		out[i] = column{name, d.d.o.Names.ID(name)}
	}
	return out
}

// columnAlias is the name that rules know a column by.
func columnAlias(name string) string {
	switch strings.ToLower(name) {
	case "cs(user-agent)":
		return "cs-user-agent"
	case "cs(referer)":
		return "cs-referer"
	case "cs(cookie)":
		return "cs-cookie"
	case "cs(host)", "x-host-header":
		return "cs-host"
	case "sc(content-type)", "sc-content-type":
		return "sc-content-type"
	case "cip", "client-ip":
		return "c-ip"
	case "c-port":
		return "src_port"
	}
	return name
}

func (d *columnsDecoder) Decode(c Chunk, b *Batch) {
	var h columnsHeader
	if len(c.Header) > 0 {
		if err := json.Unmarshal(c.Header, &h); err != nil {
			b.Fail(c.Offset, c.Record, "the log's header cannot be read")
			return
		}
	}
	cols := d.columns(&h)
	text := string(c.Data)
	values := make([]string, 0, 32)
	eachLine(c, func(raw []byte, offset, record int64) {
		line := text[offset-c.Offset:][:len(raw)]
		if line[0] == '#' {
			h.line(line)
			if strings.HasPrefix(line, "#Fields: ") {
				cols = d.columns(&h)
			}
			return
		}
		if h.Flow && offset == 0 { // the names
			return
		}
		b.Records++
		if len(cols) == 0 {
			b.Fail(offset, record, "no #Fields above the line")
			return
		}
		values = values[:0]
		if h.Comma && strings.IndexByte(line, '"') >= 0 {
			values = csvText(values, line, len(cols)+1)
			line = ""
		}
		for rest := line; rest != "" && len(values) <= len(cols); {
			i := strings.IndexAny(rest, " \t")
			if h.Comma {
				i = strings.IndexByte(rest, ',')
			}
			if i < 0 {
				values = append(values, rest)
				break
			}
			values = append(values, rest[:i])
			rest = rest[i+1:]
		}
		if len(values) != len(cols) {
			b.Fail(offset, record, fmt.Sprintf("not the %d columns of the log's header", len(cols)))
			return
		}
		e := model.Event{Ref: model.Ref{Input: c.Input, Record: record, Offset: offset}, Format: "w3c", Raw: raw}
		l := textLine{lineReader: d.d, b: b, e: &e, s: text[offset-c.Offset:][:len(raw)]}
		var ok bool
		if h.Flow {
			ok = l.flowColumns(cols, values)
		} else {
			ok = l.w3c(&h, cols, values)
		}
		if !ok {
			b.Drop()
			b.Fail(offset, record, "no time in the line's columns")
			return
		}
		finish(&e)
		b.Emit(e)
	})
}

// flowColumns reads one flow record.
func (l *textLine) flowColumns(cols []column, values []string) bool {
	l.e.Format = "vpc-flow"
	start := ""
	for i, c := range cols {
		if c.name == "start" {
			start = values[i]
		}
		l.flowField(c.name, values[i])
	}
	return l.flow(start)
}

// w3c reads one line of a W3C log.
func (l *textLine) w3c(h *columnsHeader, cols []column, values []string) bool {
	date, clock, stem, query := h.Date, "", "", ""
	proxy, edge := false, false
	for i, c := range cols {
		v := values[i]
		switch c.name {
		case "date":
			date = v
			continue
		case "time":
			clock = v
			continue
		case "date-time", "DateTime", "dateTime":
			date, clock, _ = strings.Cut(strings.TrimSuffix(v, "Z"), "T")
			continue
		case "s-computername":
			l.e.Host = linuxHost(v)
		case "r-ip", "s-hierarchy", "r-host", "sc-filter-result", "x-cache":
			proxy = true
		case "x-edge-location", "x-edge-result-type":
			edge = true
		case "c-ip":
			v, _ = endpoint(v)
		case "cs-uri-stem":
			stem = v
		case "cs-uri-query":
			query = v
		case "cs-user-agent", "cs-referer", "cs-cookie": // IIS has a plus for a space, CloudFront %20
			if v != "-" {
				if plain, err := url.PathUnescape(strings.ReplaceAll(v, "+", " ")); err == nil {
					v = plain
				}
			}
		}
		if c.id == model.Unnamed {
			if v != "" && v != "-" {
				namedSlot(l.b, c.id, c.name, model.String, v)
			}
			continue
		}
		switch c.name {
		case "sc-status", "src_port", "s-port", "time-taken", "sc-bytes", "cs-bytes", "sc-substatus", "sc-win32-status":
			l.num(c.id, v)
		default:
			l.set(c.id, v)
		}
	}
	st, n := readStamp(date + "T" + clock)
	if n == 0 {
		return false
	}
	st.zoned = true // the format's times are UTC
	l.when(st)
	l.webColumns(stem, query, proxy, edge)
	return true
}

// webColumns finishes a line whose fields are there.
func (l *textLine) webColumns(stem, query string, proxy, edge bool) {
	b := l.b
	status, user, method := b.Text(model.FScStatus), b.Text(model.FCsUsername), b.Text(model.FCsMethod)
	switch {
	case edge:
		l.source(model.Application, "aws", "webserver", "cloudfront")
	case proxy:
		l.source(model.Network, "proxy", "proxy", "")
	case method == "" && stem == "": // Exchange writes all its logs in this form
		l.source(model.Email, "exchange", "", "exchange")
		l.onMachine()
		l.signInOf(l.s, "", b.Text(model.FCIp))
		return
	default:
		l.source(model.Application, "iis", "webserver", "iis")
		l.onMachine()
	}
	if stem != "" && stem != "-" {
		whole := stem
		if query != "" && query != "-" {
			whole += "?" + query
		}
		l.set(l.t.query, whole) // see request
		l.set(model.FCUri, whole)
		l.set(l.t.uri, whole)
	}
	if proxy {
		if agent := b.Text(l.t.agent); agent != "" {
			l.set(l.t.clientAgent, agent)
		}
	}
	l.e.Code = status
	switch {
	case (status == "401" || status == "407") && user != "":
		l.e.Act = model.ActLogonFailed
	case proxy:
		l.e.Act = model.ActConnect
	case status != "" && status[0] < '4' && method != "" && method != "GET" && method != "HEAD" && method != "OPTIONS":
		l.e.Act = model.ActConnect
	}
}

// cloudFrontColumns are those of CloudFront's standard log
// (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/AccessLogs.html),
// for streams of it that lost their header.
var cloudFrontColumns = [...]string{"date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs-host", "cs-uri-stem", "sc-status", "cs-referer", "cs-user-agent",
	"cs-uri-query", "cs-cookie", "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol",
	"ssl-cipher", "x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields", "src_port", "time-to-first-byte", "x-edge-detailed-result-type",
	"sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end"}

// cloudFront reads such a line: 33 columns with tabs between them.
func (l *textLine) cloudFront() bool {
	if l.wrapped || len(l.s) < 60 || !isDigit(l.s[0]) || l.s[4] != '-' || l.s[10] != '\t' {
		return false
	}
	values := strings.Split(l.s, "\t")
	if len(values) < 26 || len(values) > len(cloudFrontColumns) || !isAddress(values[4]) || !isMethod(values[5]) {
		return false
	}
	cols := make([]column, len(values))
	for i := range values {
		cols[i] = column{cloudFrontColumns[i], l.o.Names.ID(cloudFrontColumns[i])}
	}
	return l.w3c(&columnsHeader{}, cols, values)
}
