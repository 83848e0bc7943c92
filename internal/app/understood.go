package app

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

// Bounds of what "catena decode" says of one record.
const (
	maxFrom     = 4         // fields that one entity comes from
	maxNot      = 64        // fields and values that gave nothing
	maxLeftText = 80        // bytes of such a value
	maxCompared = 128 << 10 // bytes of a record, and of its fields, that are searched for each other
)

// A Cast is an entity of a decoded record, with the fields it comes from.
type Cast struct {
	model.Entity
	From []string `json:"from,omitempty"`
}

// understanding is what is known of fields before any record is read.
type understanding struct {
	names *model.Names
	known int // ids below it were given by decoders, rules and mappings, and not by records
}

// of says which fields each entity of e comes from, by their values; which fields
// gave nothing: they are in no entity, no rule or decoder asks for them, and they are
// not a time; and which values of the record are in no field at all.
func (u *understanding) of(e *model.Event, asked decode.Paths) (cast []Cast, not, left []string) {
	type field struct {
		name, text string
		id         model.FieldID
		used       bool
	}
	fields := make([]field, len(e.Slots))
	for i, s := range e.Slots {
		f := field{name: u.names.Name(s.Field), text: strings.ToLower(s.Text), id: s.Field}
		if s.Field == model.Unnamed {
			f.name, f.text, _ = strings.Cut(s.Text, "\x00")
			f.text = strings.ToLower(f.text)
		}
		fields[i] = f
	}
	for _, x := range e.Entities {
		c := Cast{Entity: x}
		best := 0
		for i := range fields {
			switch n := gave(fields[i].text, &x); {
			case n == 0:
				continue
			case n > best:
				best, c.From = n, c.From[:0]
			case n < best:
				continue
			}
			if len(c.From) < maxFrom && !slices.Contains(c.From, fields[i].name) {
				c.From = append(c.From, fields[i].name)
			}
		}
		for i := range fields {
			fields[i].used = fields[i].used || slices.Contains(c.From, fields[i].name)
		}
		cast = append(cast, c)
	}
	raw := rawText(e)
	for i := range fields {
		f := &fields[i]
		label := f.name[strings.LastIndexByte(f.name, '.')+1:]
		switch {
		case f.used, f.id != model.Unnamed && int(f.id) < u.known, asked[f.name], f.text == "", len(not) >= maxNot, slices.Contains(not, f.name):
		case strings.EqualFold(f.text, e.Host), strings.EqualFold(f.text, e.Code), isTime(f.text, e):
		case raw != "" && !strings.Contains(raw, label): // our own name for what stands under another
		default:
			not = append(not, f.name)
		}
	}
	if raw == "" {
		return cast, not, nil
	}
	var all strings.Builder
	for i := range fields {
		all.WriteString(strings.ToLower(fields[i].name) + "\n" + fields[i].text + "\n")
	}
	all.WriteString(strings.ToLower(e.Host + "\n" + e.Code + "\n"))
	for i := range e.Entities {
		all.WriteString(strings.ToLower(e.Entities[i].Value+"\n"+e.Entities[i].Name) + "\n")
	}
	have := all.String()
	if len(have) > maxCompared {
		return cast, not, nil
	}
	for _, v := range values(raw) {
		if len(left) >= maxNot {
			break
		}
		if low := strings.ToLower(v); !strings.Contains(have, low) && !isTime(low, e) {
			if len(v) > maxLeftText {
				v = strings.ToValidUTF8(v[:maxLeftText], "") + "…"
			}
			if !slices.Contains(left, v) {
				left = append(left, v)
			}
		}
	}
	return cast, not, left
}

// gave says how surely an entity comes from a text in lower case: 0 not at all.
func gave(text string, x *model.Entity) int {
	if text == "" || text == "-" {
		return 0
	}
	value := strings.ToLower(x.Value)
	if text == value || text == strings.ToLower(x.Name) || text == strings.ToLower(x.Alt) {
		return 4
	}
	if len(text) < 2 {
		return 0
	}
	if rest, ok := strings.CutSuffix(value, text); ok && strings.ContainsRune(`\/:@.-`, rune(rest[len(rest)-1])) {
		return 3
	}
	if rest, ok := strings.CutPrefix(value, text); ok && strings.ContainsRune(`\/:@.`, rune(rest[0])) {
		return 2
	}
	if len(value) > 3 && strings.Contains(text, value) {
		return 1
	}
	return 0
}

// isTime says whether text is a time, or the part of one.
func isTime(text string, e *model.Event) bool {
	text = strings.Trim(text, "[]()<>\"', ")
	if text == "" {
		return false
	}
	for _, t := range [...]time.Time{e.Time, e.Recorded, e.Sensed, e.Received} {
		if t.IsZero() {
			continue
		}
		for _, layout := range [...]string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "02/Jan/2006:15:04:05", "2006/01/02 15:04:05", "15:04:05", "2006-01-02", "01/02/2006"} {
			if strings.HasPrefix(text, strings.ToLower(t.UTC().Format(layout))) {
				return true
			}
		}
		for _, layout := range [...]string{"Jan", "2", "02", "2006", "Mon"} { // a stamp's words
			if text == strings.ToLower(t.UTC().Format(layout)) {
				return true
			}
		}
	}
	if len(text) == 5 && (text[0] == '+' || text[0] == '-') { // a zone
		return true
	}
	for i := 0; i < len(text); i++ { // digits, and what stands between those of dates, times and zones
		if c := text[i]; (c < '0' || c > '9') && !strings.ContainsRune("-:/.,+tz ", rune(c)) {
			return false
		}
	}
	return strings.ContainsAny(text, "-:/") && strings.Count(text, ".") < 3
}

// rawText is the record as text, empty if it is none or too long to be searched.
func rawText(e *model.Event) string {
	if len(e.Raw) == 0 || len(e.Raw) > maxCompared || bytes.IndexByte(e.Raw, 0) >= 0 {
		return ""
	}
	return strings.ToValidUTF8(string(e.Raw), "")
}

// values returns what a record says, without its punctuation: the values of JSON, the
// texts and attributes of XML, else words.
func values(raw string) []string {
	var out []string
	switch trimmed := strings.TrimSpace(raw); {
	case strings.HasPrefix(trimmed, "{"):
		d := json.NewDecoder(strings.NewReader(trimmed))
		d.UseNumber()
		var object any
		if d.Decode(&object) != nil {
			return nil
		}
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case map[string]any:
				for _, k := range slices.Sorted(maps.Keys(v)) {
					walk(v[k])
				}
			case []any:
				for _, x := range v {
					walk(x)
				}
			case string:
				if s := strings.TrimSpace(v); len(s) > 1 && (s[0] == '{' || s[0] == '[') && json.Valid([]byte(s)) {
					out = append(out, values(s)...)
				} else if s != "" {
					out = append(out, v)
				}
			case json.Number:
				out = append(out, v.String())
			}
		}
		walk(object)
	case strings.HasPrefix(trimmed, "<") && strings.Contains(trimmed, "</"):
		d := xml.NewDecoder(strings.NewReader(trimmed))
		for {
			t, err := d.Token()
			if err != nil {
				if err != io.EOF { //nolint:errorlint // the decoder returns it as it is
					return nil
				}
				break
			}
			switch t := t.(type) {
			case xml.CharData:
				if s := strings.TrimSpace(string(t)); s != "" {
					out = append(out, s)
				}
			case xml.StartElement:
				for _, a := range t.Attr {
					if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && a.Value != "" {
						out = append(out, a.Value)
					}
				}
			}
		}
	default:
		if _, rest, ok := strings.Cut(raw, ">"); ok && raw[0] == '<' && len(raw)-len(rest) < 6 { // syslog's priority is two fields
			raw = rest
		}
		out = strings.FieldsFunc(raw, func(c rune) bool {
			return unicode.IsSpace(c) || strings.ContainsRune(`="[]{}()<>,;|`, c)
		})
		out = slices.DeleteFunc(out, func(w string) bool {
			return !strings.ContainsFunc(w, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) })
		})
	}
	return out
}
