package decode

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Rows whose columns no mapping knows may be records that were exported as a table:
// of a search (Splunk's, with the record itself in _raw), of a workspace (Log
// Analytics, whose portal writes "TimeGenerated [UTC]"), of a table of CloudTrail.
// Each is read as the JSON record whose members are the columns, so that what JSON
// knows, tables know too.

// isTable says whether columns are those of records: names, one of them of a time.
func isTable(columns []string) bool {
	if len(columns) > 0 && columns[0] == "" { // rows numbered, as data frames write them
		columns = columns[1:]
	}
	if len(columns) < 3 || slices.ContainsFunc(columns, func(name string) bool { return !isColumnName(name) }) {
		return false
	}
	times := usualTimes()
	return slices.ContainsFunc(columns, func(name string) bool { return slices.Contains(times, memberName(name)) })
}

// isColumnName says whether text is like the name of a column and not like a value.
func isColumnName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = true
		case isDigit(s[i]) && letter, strings.IndexByte(" _.-:@${}[]()/#", c) >= 0:
		default:
			return false
		}
	}
	return letter
}

// memberName is the name of the member that a column holds.
func memberName(column string) string { return strings.TrimSuffix(column, " [UTC]") }

// rowRecord is the JSON record of a row. Objects and arrays as text are members of
// their own. Where the row carries the record as it was read, that is all it is, with
// what was noted of where and when.
func rowRecord(columns []string, row []byte, sep byte) (record []byte, fields int) {
	record = append(make([]byte, 0, len(row)+len(row)/2), '{')
	raw := slices.Index(columns, "_raw")
	var common []byte // of a row with _raw
	whole := false
	csvFields(row, sep, func(text string) bool {
		if fields < len(columns) && columns[fields] != "" && text != "" {
			name := memberName(columns[fields])
			member := appendMember(nil, name, text)
			switch name {
			case "_raw":
				whole = true
				fallthrough
			case "_time", "host", "sourcetype", "source":
				if raw >= 0 {
					common = append(append(common, member...), ',')
				}
			}
			record = append(append(record, member...), ',')
		}
		fields++
		return fields <= len(columns)
	})
	if whole {
		record = append(append(record[:0], '{'), common...)
	}
	return append(trimComma(record), '}'), fields
}

// appendMember adds a member of a JSON object.
func appendMember(out []byte, name, text string) []byte {
	key, err := json.Marshal(name)
	if err != nil { // a string has no error
		return out
	}
	out = append(append(out, key...), ':')
	if name != "_raw" && len(text) > 1 && (text[0] == '{' || text[0] == '[') && json.Valid([]byte(text)) {
		return append(out, text...)
	}
	value, err := json.Marshal(text)
	if err != nil {
		return append(out, `""`...)
	}
	return append(out, value...)
}

// one decodes a single record that another decoder has made.
func (d *jsonDecoder) one(b *Batch, e *model.Event, record []byte) error {
	w, done := d.worker(b)
	defer done()
	if _, err := w.doc.parse(record, 0); err != nil {
		return err
	}
	err := d.record(w, b, e)
	if err != nil {
		b.Drop()
	}
	if w.doc.more {
		b.tooWide(e.Ref.Offset, e.Ref.Record)
	}
	return err
}
