package decode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// ZeekTSV returns the decoder of Zeek's (formerly Bro's) ASCII logs: lines of
// fields under a header of #separator, #set_separator, #empty_field,
// #unset_field, #path, #fields and #types
// (https://docs.zeek.org/en/master/log-formats.html). A file may hold several
// logs, each under a header of its own.
//
// Slots are the log's fields by their own names, as Sigma's zeek rules expect;
// unset fields are absent, sets and vectors have a slot for each element. Events
// are of product zeek and the service that #path names. Lines that a mapping of
// alerts knows, such as notices, are alerts as well.
func ZeekTSV(o Options) Decoder { return &zeekDecoder{names: o.Names, mappings: bindMappings(o)} }

type zeekDecoder struct {
	names    *model.Names
	mappings []*boundMapping
}

// alertsIn returns the mapping of alerts whose columns a log has, nil if none.
func (d *zeekDecoder) alertsIn(columns []zeekColumn) *boundMapping {
	have := func(name string) bool {
		return slices.ContainsFunc(strings.Split(name, "|"), func(one string) bool {
			return slices.ContainsFunc(columns, func(c zeekColumn) bool { return c.name == one })
		})
	}
	for _, m := range d.mappings {
		if !m.event && m.form.prefix == "" && len(m.form.lists) == 0 && len(m.columns) > 0 &&
			!slices.ContainsFunc(m.columns, func(name string) bool { return !have(name) }) {
			return m
		}
	}
	return nil
}

// alert makes the alert of a line whose event is under construction; the event
// stays as it is.
func (d *zeekDecoder) alert(b *Batch, e *model.Event, m *boundMapping) error {
	if !m.matches(b) {
		return nil
	}
	slots := slices.Clone(b.Open())
	err := m.emit(b, *e)
	for _, s := range slots {
		b.Slot(s.Field, s.Kind, s.Text)
	}
	return err
}

func (d *zeekDecoder) Name() string { return "zeek" }

func (d *zeekDecoder) Sniff(head []byte) int {
	if !bytes.HasPrefix(head, []byte("#separator ")) && !bytes.HasPrefix(head, []byte("#fields\t")) {
		return 0
	}
	if bytes.Contains(head, []byte("\n#fields")) {
		return 95
	}
	return 60
}

// A zeekHeader is what the comment lines above a log's lines say.
type zeekHeader struct {
	Separator, SetSeparator, Empty, Unset, Path string
	Fields, Types                               []string
}

// newZeekHeader is the header before any line of it was read.
func newZeekHeader() zeekHeader {
	return zeekHeader{Separator: "\t", SetSeparator: ",", Empty: "(empty)", Unset: "-"}
}

// line reads one comment line; other comments (#open, #close) are nothing to it.
func (h *zeekHeader) line(line string) {
	if len(line) > maxHeader {
		h.Fields = nil // no log has such a header; its lines are refused
		return
	}
	if value, ok := strings.CutPrefix(line, "#separator "); ok {
		*h = newZeekHeader() // a new log begins
		if s := zeekUnescape(value); s != "" && len(s) <= 16 {
			h.Separator = s
		}
		return
	}
	key, value, _ := strings.Cut(line, h.Separator)
	switch key {
	case "#set_separator":
		if value = zeekUnescape(value); value != "" {
			h.SetSeparator = value
		}
	case "#empty_field":
		h.Empty = value
	case "#unset_field":
		h.Unset = value
	case "#path":
		h.Path = value
	case "#fields":
		h.Fields = strings.SplitN(value, h.Separator, MaxFields)
	case "#types":
		h.Types = strings.SplitN(value, h.Separator, MaxFields)
	}
}

func (d *zeekDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	h := newZeekHeader()
	return frameLines(r, nil, func(c Chunk) error {
		header, err := json.Marshal(h)
		if err != nil {
			return err
		}
		c.Header = header
		if c.Data[0] == '#' || bytes.Contains(c.Data, []byte("\n#")) {
			eachLine(c, func(line []byte, _, _ int64) {
				if line[0] == '#' {
					h.line(string(line))
				}
			})
		}
		return emit(c)
	}, bad, nil)
}

// A zeekColumn is a field of the log being read.
type zeekColumn struct {
	name string
	id   model.FieldID
	kind model.Kind
	many bool // a set or vector
}

// columns looks the header's fields up.
func (h *zeekHeader) columns(names *model.Names) []zeekColumn {
	out := make([]zeekColumn, len(h.Fields))
	for i, name := range h.Fields {
		out[i].name = zeekField(name)
		out[i].id = names.ID(out[i].name)
	}
	h.setTypes(out)
	return out
}

// setTypes gives the columns the types of the header.
func (h *zeekHeader) setTypes(columns []zeekColumn) {
	for i := range columns {
		col := &columns[i]
		col.kind, col.many = model.String, false
		if i >= len(h.Types) {
			continue
		}
		typ := h.Types[i]
		if inner, ok := strings.CutSuffix(typ, "]"); ok {
			_, typ, col.many = strings.Cut(inner, "[")
		}
		switch typ {
		case "count", "int", "double", "interval", "port", "time":
			col.kind = model.Number
		case "bool":
			col.kind = model.Bool
		}
	}
}

// zeekField is the canonical name of a field: JSON logs of some pipelines write
// an underscore where Zeek has a dot.
func zeekField(name string) string {
	switch name {
	case "id_orig_h":
		return "id.orig_h"
	case "id_orig_p":
		return "id.orig_p"
	case "id_resp_h":
		return "id.resp_h"
	case "id_resp_p":
		return "id.resp_p"
	}
	for _, lead := range [...]string{"certificate_", "san_", "basic_constraints_"} {
		if rest, ok := strings.CutPrefix(name, lead); ok && rest != "" {
			return lead[:len(lead)-1] + "." + rest
		}
	}
	return name
}

func (d *zeekDecoder) Decode(c Chunk, b *Batch) {
	h := newZeekHeader()
	if len(c.Header) > 0 {
		if err := json.Unmarshal(c.Header, &h); err != nil {
			b.Fail(c.Offset, c.Record, "the log's header cannot be read")
			return
		}
	}
	columns := h.columns(d.names)
	alerts := d.alertsIn(columns)
	text := string(c.Data)
	eachLine(c, func(raw []byte, offset, record int64) {
		line := text[offset-c.Offset:][:len(raw)]
		if line[0] == '#' {
			h.line(line)
			switch { // names are looked up only for a line that is as long as they are many
			case strings.HasPrefix(line, "#fields"):
				columns = h.columns(d.names)
			case strings.HasPrefix(line, "#types"):
				h.setTypes(columns)
			case len(h.Fields) == 0:
				columns = nil
			}
			alerts = d.alertsIn(columns)
			return
		}
		b.Records++
		if len(columns) == 0 {
			b.Fail(offset, record, "no #fields above the line")
			return
		}
		n, when := 0, ""
		for rest, more := line, true; more && n <= len(columns); n++ {
			var value string
			value, rest, more = strings.Cut(rest, h.Separator)
			if n == len(columns) {
				n++
				break
			}
			if value == h.Unset || value == "" {
				continue
			}
			col := &columns[n]
			if h.Fields[n] == "ts" {
				when = value
			}
			if !col.many {
				if value == h.Empty {
					value = ""
				}
				d.slot(b, col, value)
				continue
			}
			if value == h.Empty {
				continue
			}
			for element := range strings.SplitSeq(value, h.SetSeparator) {
				d.slot(b, col, element)
			}
		}
		if n != len(columns) {
			b.Drop()
			b.Fail(offset, record, fmt.Sprintf("not the %d fields of the log's header", len(columns)))
			return
		}
		e := model.Event{Ref: model.Ref{Input: c.Input, Record: record, Offset: offset}, Format: "zeek", Raw: raw}
		if alerts != nil {
			if err := d.alert(b, &e, alerts); err != nil {
				b.Drop()
				b.Fail(offset, record, err.Error())
				return
			}
		}
		if err := zeekEvent(b, &e, h.Path, when); err != nil {
			b.Drop()
			b.Fail(offset, record, err.Error())
			return
		}
		finish(&e)
		b.Emit(e)
	})
}

func (d *zeekDecoder) slot(b *Batch, col *zeekColumn, value string) {
	if strings.IndexByte(value, '\\') >= 0 {
		value = zeekUnescape(value)
	}
	if col.kind == model.Bool {
		switch value {
		case "T":
			value = "true"
		case "F":
			value = "false"
		}
	}
	namedSlot(b, col.id, col.name, col.kind, value)
}

// zeekUnescape turns \xNN and \\ into what they stand for. Bytes that are then no
// UTF-8 stay escaped.
func zeekUnescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '\\' {
			i++
		}
		out = append(out, s[i])
	}
	if !utf8.Valid(out) {
		return s
	}
	return string(out)
}

// zeekEvent fills e from the slots of the event under construction; path is the
// log's name, ts its time stamp in epoch seconds.
func zeekEvent(b *Batch, e *model.Event, path, ts string) error {
	path = strings.ToLower(path)
	if path == "" || len(path) > 64 {
		return fmt.Errorf("the log has no name: #path or _path is missing")
	}
	e.Source = model.LogSource{Product: "zeek", Service: path}
	e.Code = path
	e.Subsystem = model.Network
	if ts != "" {
		when, err := zeekTime(ts)
		if err != nil {
			return err
		}
		e.Sensed = when
	}
	switch path {
	case "conn":
		e.Act = model.ActConnect
	case "dns":
		if b.Text(model.FQueryLower) != "" {
			e.Act = model.ActDNS
		}
	case "dhcp":
		if zeekLeased(b.Text) != "" {
			e.Act = model.ActIdentify
		}
	case "smb_mapping", "smb_files":
		e.Act = model.ActShareAccess
	case "kerberos":
		if b.Text(model.FService) != "" {
			e.Act = model.ActTicket
		}
	case "dce_rpc":
		e.Code = b.Text(model.FOperationLower)
		if zeekRemoteStart(b.Text(model.FEndpoint), e.Code) {
			e.Act = model.ActRemoteExec
		}
	case "ntlm":
		if b.Text(model.FUsername) == "" {
			break // an anonymous bind
		}
		switch b.Text(model.FSuccess) {
		case "true":
			e.Act = model.ActLogon
		case "false":
			e.Act = model.ActLogonFailed
		}
	}
	return nil
}

// zeekTime reads epoch seconds, or ISO 8601 as LogAscii::json_timestamps may say.
func zeekTime(s string) (time.Time, error) {
	if when, _, ok := parseISO(s); ok {
		return when, nil
	}
	if strings.ContainsAny(s, "eE") { // JSON writers may use an exponent
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			s = strconv.FormatFloat(f, 'f', 6, 64)
		}
	}
	return parseMappedTime(s, "epoch_s", nil)
}

// zeekRemoteStart says whether an operation of a DCE-RPC endpoint starts a program
// on the machine it is asked of: services, scheduled tasks, WMI.
func zeekRemoteStart(endpoint, operation string) bool {
	switch strings.ToLower(endpoint) {
	case "svcctl":
		return strings.HasPrefix(operation, "CreateService") || strings.HasPrefix(operation, "StartService") || strings.HasPrefix(operation, "RCreateService")
	case "atsvc":
		return operation == "NetrJobAdd" || operation == "JobAdd"
	case "itaskschedulerservice":
		return operation == "SchRpcRegisterTask" || operation == "SchRpcRun"
	case "iwbemservices":
		return strings.HasPrefix(operation, "ExecMethod") || strings.HasPrefix(operation, "PutInstance")
	}
	return false
}

// zeekLeased returns the machine that a line of dhcp.log says an address was assigned
// to, by the name it gave itself, empty if it says neither.
func zeekLeased(text func(model.FieldID) string) string {
	name := linuxHost(text(model.FClientFqdn))
	if !isHostName(name) {
		name = linuxHost(text(model.FHostNameLower))
	}
	if !isHostName(name) || !isAddress(text(model.FAssignedAddr)) {
		return ""
	}
	return name
}

// zeekEntities fills the entities of an event of product zeek. The sensor sees
// addresses: which hosts they are, others know.
func zeekEntities(e *model.Event) {
	l := &entityList{list: make([]model.Entity, 0, 6)}
	src, dst := e.Text(model.FIdOrigH), e.Text(model.FIdRespH)
	if src == "" { // files name the ends by what they sent
		src, dst = e.Text(model.FTxHosts), e.Text(model.FRxHosts)
	}
	l.ip(src, model.Src)
	l.ip(dst, model.Dst)
	domain := func(s string) {
		s = strings.ToLower(strings.TrimSuffix(s, "."))
		if host, port, ok := strings.Cut(s, ":"); ok && !strings.Contains(port, ":") {
			s = host
		}
		if isHostName(s) && strings.IndexByte(s, '.') > 0 {
			l.add(model.Entity{Type: model.Domain, Value: s, Role: model.Object})
		}
	}
	switch e.Source.Service {
	case "dhcp":
		if name := zeekLeased(e.Text); name != "" {
			l.add(model.Entity{Type: model.Host, Value: name, Role: model.Subject})
			l.ip(e.Text(model.FAssignedAddr), model.Subject)
		}
	case "dns":
		domain(e.Text(model.FQueryLower))
	case "http":
		domain(e.Text(model.FHost))
		if host, uri := e.Text(model.FHost), e.Text(model.FUri); host != "" && strings.HasPrefix(uri, "/") {
			l.add(model.Entity{Type: model.URL, Value: "http://" + strings.ToLower(host) + uri, Role: model.Object})
		}
	case "ssl", "quic":
		domain(e.Text(model.FServerName))
	case "kerberos":
		l.kerberos(e.Text(model.FClient))
		if s := e.Text(model.FService); s != "" {
			l.add(model.Entity{Type: model.App, Value: strings.ToLower(s), Role: model.Target, Name: s})
		}
	case "ntlm":
		if user := e.Text(model.FUsername); user != "" {
			if d := e.Text(model.FDomainname); d != "" {
				user = d + `\` + user
			}
			l.user(user, model.Target)
		}
	case "rdp":
		l.user(e.Text(model.FCookie), model.Actor)
	case "smb_files", "smb_mapping":
		if share := e.Text(model.FPathLower); share != "" {
			name := share
			if file := e.Text(model.FNameLower); file != "" {
				name = strings.TrimSuffix(share, `\`) + `\` + file
			}
			l.add(model.Entity{Type: model.File, Value: strings.ToLower(name), Role: model.Object, Name: name})
		}
	case "files", "pe":
		if name := e.Text(model.FFilename); name != "" {
			l.add(model.Entity{Type: model.File, Value: strings.ToLower(name), Role: model.Object, Name: name})
		}
		for _, id := range [...]model.FieldID{model.FSha256, model.FSha1, model.FMd5} {
			if h := e.Text(id); h != "" {
				l.add(model.Entity{Type: model.Hash, Value: strings.ToLower(h), Role: model.Object})
			}
		}
	}
	e.Entities = l.list
}

// kerberos adds who asked for a ticket: "name/REALM" or "name".
func (l *entityList) kerberos(client string) {
	name, realm, ok := strings.Cut(client, "/")
	if name == "" {
		return
	}
	if ok {
		name += "@" + realm
	}
	l.user(name, model.Actor)
}
