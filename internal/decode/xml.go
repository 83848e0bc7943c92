package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// WindowsXML returns the decoder of Windows events rendered as XML: one <Event>,
// an <Events> list, or one event a line, as Event Viewer, wevtutil and many
// collectors write them. The format is the event schema of Windows
// (http://schemas.microsoft.com/win/2004/08/events/event).
func WindowsXML(o Options) Decoder { return windowsXML{o} }

type windowsXML struct{ o Options }

func (windowsXML) Name() string { return "windows-xml" }

func (windowsXML) Sniff(head []byte) int {
	text := string(sniffText(head))
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if rest, ok := strings.CutPrefix(text, "- <"); ok { // copied from a view that folds elements
			text = "<" + rest
		}
		switch {
		case strings.HasPrefix(text, "<?"):
			_, rest, ok := strings.Cut(text, "?>")
			if !ok {
				return 0
			}
			text = rest
		case strings.HasPrefix(text, "<!--"):
			_, rest, ok := strings.Cut(text, "-->")
			if !ok {
				return 0
			}
			text = rest
		case xmlElementAt(text, "Events"):
			return 90
		case xmlElementAt(text, "Event"):
			if strings.Contains(text, "System>") || strings.Contains(text, "schemas.microsoft.com/win/2004/08/events") {
				return 95
			}
			return 60
		case strings.HasPrefix(text, "<!DOCTYPE"):
			if strings.Contains(text, "<Event") {
				return 50 // ours to refuse, with a reason
			}
			return 0
		default:
			return 0
		}
	}
}

// xmlElementAt reports whether text begins with a start tag of that name.
func xmlElementAt(text, name string) bool {
	if len(text) < len(name)+2 || text[0] != '<' || text[1:1+len(name)] != name {
		return false
	}
	switch text[1+len(name)] {
	case ' ', '\t', '\r', '\n', '>', '/':
		return true
	}
	return false
}

var xmlEventEnd = []byte("</Event>")

// Frame cuts after the last </Event> within reach of the chunk size.
func (windowsXML) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	r = text(r)
	var (
		buf      []byte
		offset   int64 // of buf[0]
		record   int64 // events before buf[0]
		searched int   // buf[:searched] holds no end of an event
		skipping bool
		eof      bool
	)
	for !eof || len(buf) > 0 {
		var err error
		if buf, eof, err = readMore(r, buf); err != nil {
			if len(buf) > 0 && !skipping {
				if e := emit(Chunk{Data: buf, Offset: offset, Record: record}); e != nil {
					return e
				}
			}
			return err
		}
		if skipping {
			i := bytes.Index(buf, xmlEventEnd)
			if i < 0 {
				cut := max(0, len(buf)-len(xmlEventEnd))
				if eof {
					cut = len(buf)
				}
				offset += int64(cut)
				buf = append([]byte(nil), buf[cut:]...)
				continue
			}
			cut := i + len(xmlEventEnd)
			offset += int64(cut)
			record++
			buf = append([]byte(nil), buf[cut:]...)
			skipping = false
		}
		cut := 0
		if eof {
			cut = len(buf)
		} else if i := bytes.LastIndex(buf[searched:], xmlEventEnd); i >= 0 {
			cut = searched + i + len(xmlEventEnd)
		}
		if cut == 0 {
			searched = max(0, len(buf)-len(xmlEventEnd))
			if len(buf) > MaxRecord {
				bad(model.InputError{Offset: offset, Record: record + 1, Count: 1, Cause: fmt.Sprintf("event longer than %d bytes", MaxRecord)})
				offset += int64(searched)
				buf = append([]byte(nil), buf[searched:]...)
				skipping, searched = true, 0
			}
			continue
		}
		searched = 0
		rest := append(make([]byte, 0, len(buf)-cut+room(r)), buf[cut:]...)
		if len(bytes.TrimSpace(buf[:cut])) > 0 {
			if err := emit(Chunk{Data: buf[:cut:cut], Offset: offset, Record: record}); err != nil {
				return err
			}
		}
		offset += int64(cut)
		record += int64(bytes.Count(buf[:cut], xmlEventEnd))
		buf = rest
	}
	return nil
}

// Decode reads the events of one chunk. What stands between them (the list's own
// tags, declarations, line ends) is passed over.
func (d windowsXML) Decode(c Chunk, b *Batch) {
	defer joinScripts(b)
	text := aliasString(c.Data)
	at, n := 0, c.Record
	for at < len(text) {
		i := nextXMLEvent(text[at:])
		between := text[at:]
		if i >= 0 {
			between = text[at : at+i]
		}
		if strings.Contains(between, "<!DOCTYPE") || strings.Contains(between, "<!ENTITY") {
			b.Fail(c.Offset+int64(at), 0, "XML document type declarations are not read: entities could be defined there")
		}
		if i < 0 {
			if rest := strings.TrimSpace(between); rest != "" && rest != "</Events>" && at > 0 && !strings.HasPrefix(rest, "</Events>") {
				b.Fail(c.Offset+int64(at), n+1, "text that is no Windows event")
			} else if at == 0 && rest != "" && rest != "</Events>" && !strings.HasPrefix(rest, "<?xml") && !strings.HasPrefix(rest, "<Events") {
				b.Fail(c.Offset, n+1, "text that is no Windows event")
			}
			return
		}
		start := at + i
		n++
		b.Records++
		end := strings.Index(text[start:], string(xmlEventEnd))
		if end < 0 {
			b.Fail(c.Offset+int64(start), n, "XML event without end")
			return
		}
		end += start + len(xmlEventEnd)
		w := xmlWalker{text: text[start:end], names: d.o.Names, b: b}
		if err := w.walk(); err != nil {
			b.Drop()
			b.Fail(c.Offset+int64(start), n, err.Error())
			at = end
			continue
		}
		e := model.Event{
			Ref:    model.Ref{Input: c.Input, Record: n, Offset: c.Offset + int64(start)},
			Format: "windows-xml",
			Raw:    c.Data[start:end],
		}
		if s, ok := b.Get(model.FTimeCreatedSystemTime); ok {
			e.Recorded, _ = parseStamp(s, d.o.Zone)
		}
		if err := emitWindows(b, &e); err != nil {
			b.Drop()
			b.Fail(c.Offset+int64(start), n, err.Error())
		}
		at = end
	}
}

// nextXMLEvent returns where the next <Event ...> tag stands in text, -1 if none.
func nextXMLEvent(text string) int {
	at := 0
	for {
		i := strings.Index(text[at:], "<Event")
		if i < 0 {
			return -1
		}
		if xmlElementAt(text[at+i:], "Event") {
			return at + i
		}
		at += i + len("<Event")
	}
}

// parseEventXML adds the fields of a Windows event in XML to the event under
// construction in b, named as the EVTX decoder names them:
//
//   - System: every element by its name (EventID, Channel, Computer, ...), every
//     attribute as Element_Attribute (Provider_Name, TimeCreated_SystemTime,
//     Execution_ProcessID, Security_UserID, ...)
//   - EventData: each <Data Name="X"> as X, each unnamed one as Data
//   - UserData: each innermost element by its local name
//   - RenderingInfo: its Message as Message
//
// text may be a whole <Event>, or only its <EventData> or <UserData>, with
// elements around them, as Log Analytics and Sysmon for Linux carry them. Strings
// alias text where nothing had to be unescaped. An error leaves the slots read so
// far in b.
func parseEventXML(text string, b *Batch, names *model.Names) error {
	w := xmlWalker{text: text, names: names, b: b}
	return w.walk()
}

// xmlPart is the part of an event that an element stands in.
type xmlPart uint8

const (
	xmlOutside xmlPart = iota
	xmlSystem
	xmlEventData
	xmlUserData
	xmlRendering
)

// An xmlWalker walks once over an event's XML and adds its fields to a batch. It
// knows the five predefined entities and numeric references, refuses document
// type declarations, and bounds the depth.
type xmlWalker struct {
	text  string
	p     int
	names *model.Names
	b     *Batch

	depth int
	open  [MaxDepth]xmlElement
}

type xmlElement struct {
	tag   string // as written
	field string // what its text is called, empty if it has no field
	part  xmlPart
	child bool   // it has child elements, so that its own text is layout
	value string // its text so far
}

var (
	errXMLDepth   = fmt.Errorf("XML nested deeper than %d", MaxDepth)
	errXMLDoctype = errors.New("XML document type declarations are not read")
	errXMLEnd     = errors.New("XML ends in the middle of an element")
)

func (w *xmlWalker) fail(what string) error {
	return fmt.Errorf("XML: %s at byte %d", what, w.p)
}

func (w *xmlWalker) walk() error {
	for w.p < len(w.text) {
		i := strings.IndexByte(w.text[w.p:], '<')
		if i < 0 {
			i = len(w.text) - w.p
		}
		if i > 0 {
			raw := w.text[w.p : w.p+i]
			if w.depth > 0 {
				if err := w.addText(raw, true); err != nil {
					return err
				}
			} else if strings.TrimSpace(raw) != "" && w.p > 0 {
				return w.fail("text outside of elements")
			}
			w.p += i
			continue
		}
		rest := w.text[w.p:]
		switch {
		case strings.HasPrefix(rest, "<?"):
			n := strings.Index(rest, "?>")
			if n < 0 {
				return errXMLEnd
			}
			w.p += n + 2
		case strings.HasPrefix(rest, "<!--"):
			n := strings.Index(rest[4:], "-->")
			if n < 0 {
				return errXMLEnd
			}
			w.p += n + 7
		case strings.HasPrefix(rest, "<![CDATA["):
			n := strings.Index(rest, "]]>")
			if n < 0 {
				return errXMLEnd
			}
			if w.depth > 0 {
				if err := w.addText(rest[9:n], false); err != nil {
					return err
				}
			}
			w.p += n + 3
		case strings.HasPrefix(rest, "<!"):
			return errXMLDoctype
		case strings.HasPrefix(rest, "</"):
			n := strings.IndexByte(rest, '>')
			if n < 0 {
				return errXMLEnd
			}
			tag := strings.TrimRight(rest[2:n], " \t\r\n")
			if w.depth == 0 || w.open[w.depth-1].tag != tag {
				return w.fail("end tag without its start tag")
			}
			w.close()
			w.p += n + 1
		default:
			if err := w.startTag(); err != nil {
				return err
			}
		}
	}
	if w.depth > 0 {
		return errXMLEnd
	}
	return nil
}

// addText adds text to the innermost open element.
func (w *xmlWalker) addText(raw string, escaped bool) error {
	e := &w.open[w.depth-1]
	if e.part == xmlOutside || e.field == "" || e.child {
		return nil
	}
	if escaped {
		var ok bool
		if raw, ok = xmlUnescape(raw); !ok {
			return w.fail("an entity that XML does not define")
		}
	}
	if !utf8.ValidString(raw) {
		raw = strings.ToValidUTF8(raw, "\uFFFD")
	}
	if e.value == "" {
		e.value = raw
	} else {
		e.value += raw
	}
	return nil
}

// close ends the innermost element and adds its field.
func (w *xmlWalker) close() {
	w.depth--
	e := &w.open[w.depth]
	if e.field == "" || e.child {
		return
	}
	switch e.part {
	case xmlSystem:
		if v := strings.TrimSpace(e.value); v != "" {
			w.add(e.field, v)
		}
	case xmlEventData, xmlUserData:
		w.add(e.field, e.value)
	case xmlRendering:
		if e.field == "Message" && e.value != "" {
			w.add(e.field, e.value)
		}
	}
}

func (w *xmlWalker) add(name, value string) {
	id := w.names.ID(name)
	if id == model.Unnamed {
		value = name + "\x00" + value
	}
	w.b.Slot(id, model.String, value)
}

// startTag reads a start tag at w.p with its attributes.
func (w *xmlWalker) startTag() error {
	t := w.text
	p := w.p + 1
	s := p
	for p < len(t) && !xmlSpace(t[p]) && t[p] != '>' && t[p] != '/' {
		p++
	}
	if p == s || p >= len(t) {
		return errXMLEnd
	}
	if w.depth >= MaxDepth {
		return errXMLDepth
	}
	tag := t[s:p]
	local := tag
	if i := strings.LastIndexByte(tag, ':'); i >= 0 {
		local = tag[i+1:]
	}
	e := xmlElement{tag: tag}
	if w.depth > 0 {
		up := &w.open[w.depth-1]
		e.part = up.part
		up.child = true
	}
	switch e.part {
	case xmlOutside:
		switch local {
		case "System":
			e.part = xmlSystem
		case "EventData":
			e.part = xmlEventData
		case "UserData", "ProcessingErrorData", "DebugData":
			e.part = xmlUserData
		case "RenderingInfo":
			e.part = xmlRendering
		}
	case xmlEventData:
		e.field = local // Data, ComplexData, Binary; replaced by its Name
	default:
		e.field = local
	}
	for {
		for p < len(t) && xmlSpace(t[p]) {
			p++
		}
		if p >= len(t) {
			return errXMLEnd
		}
		if t[p] == '>' {
			w.open[w.depth] = e
			w.depth++
			w.p = p + 1
			return nil
		}
		if t[p] == '/' {
			if p+1 >= len(t) || t[p+1] != '>' {
				return w.fail("a slash inside a tag")
			}
			w.open[w.depth] = e
			w.depth++
			w.close()
			w.p = p + 2
			return nil
		}
		s = p
		for p < len(t) && t[p] != '=' && t[p] != '>' && !xmlSpace(t[p]) {
			p++
		}
		name := t[s:p]
		for p < len(t) && xmlSpace(t[p]) {
			p++
		}
		if p >= len(t) || t[p] != '=' || name == "" {
			return w.fail("an attribute without value")
		}
		p++
		for p < len(t) && xmlSpace(t[p]) {
			p++
		}
		if p >= len(t) || t[p] != '"' && t[p] != '\'' {
			return w.fail("an attribute without quotes")
		}
		q := strings.IndexByte(t[p+1:], t[p])
		if q < 0 {
			return errXMLEnd
		}
		value, ok := xmlUnescape(t[p+1 : p+1+q])
		if !ok {
			return w.fail("an entity that XML does not define")
		}
		p += q + 2
		if !utf8.ValidString(value) {
			value = strings.ToValidUTF8(value, "\uFFFD")
		}
		switch {
		case name == "xmlns" || strings.HasPrefix(name, "xmlns:"):
		case e.part == xmlEventData && e.field != "":
			if name == "Name" && value != "" {
				e.field = value
			}
		case (e.part == xmlSystem || e.part == xmlUserData) && e.field != "":
			w.add(attrField(e.field, name), value)
		}
	}
}

// attrField names an attribute of an element; the commonest without allocating.
func attrField(element, attr string) string {
	switch element {
	case "Provider":
		switch attr {
		case "Name":
			return "Provider_Name"
		case "Guid":
			return "Provider_Guid"
		}
	case "TimeCreated":
		if attr == "SystemTime" {
			return "TimeCreated_SystemTime"
		}
	case "Execution":
		switch attr {
		case "ProcessID":
			return "Execution_ProcessID"
		case "ThreadID":
			return "Execution_ThreadID"
		}
	case "Security":
		if attr == "UserID" {
			return "Security_UserID"
		}
	}
	return element + "_" + attr
}

func xmlSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// xmlUnescape resolves the predefined entities and numeric references of s. It
// reports false for any other: those come from a DTD, which is not read.
func xmlUnescape(s string) (string, bool) {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s, true
	}
	var out strings.Builder
	out.Grow(len(s))
	for {
		out.WriteString(s[:i])
		s = s[i+1:]
		n := strings.IndexByte(s[:min(len(s), 12)], ';')
		if n < 0 {
			return "", false
		}
		switch ref := s[:n]; ref {
		case "amp":
			out.WriteByte('&')
		case "lt":
			out.WriteByte('<')
		case "gt":
			out.WriteByte('>')
		case "quot":
			out.WriteByte('"')
		case "apos":
			out.WriteByte('\'')
		default:
			if len(ref) < 2 || ref[0] != '#' {
				return "", false
			}
			digits, base := ref[1:], 10
			if digits[0] == 'x' || digits[0] == 'X' {
				digits, base = digits[1:], 16
			}
			r, err := strconv.ParseUint(digits, base, 32)
			if err != nil {
				return "", false
			}
			if r == 0 || r > utf8.MaxRune {
				r = utf8.RuneError
			}
			out.WriteRune(rune(r)) // a surrogate becomes U+FFFD
		}
		s = s[n+1:]
		if i = strings.IndexByte(s, '&'); i < 0 {
			out.WriteString(s)
			return out.String(), true
		}
	}
}
