package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// JSON returns the writer of report.json, the whole report in the form that
// Schema("report") describes. It writes incident by incident and alert by alert,
// so that its memory does not grow with the report.
func JSON() Writer { return jsonWriter{} }

type jsonWriter struct{}

func (jsonWriter) Name() string { return "json" }
func (jsonWriter) File() string { return "report.json" }

func (jsonWriter) Write(w io.Writer, r *model.Report) error {
	s := &jsonStream{w: bufio.NewWriterSize(w, 1<<16)}
	jsonField(s, "schema", model.ReportSchema)
	jsonField(s, "engine", r.Engine)
	jsonList(s, "inputs", r.Inputs)
	jsonField(s, "totals", r.Totals)
	jsonList(s, "incidents", r.Incidents)
	jsonList(s, "alerts", r.Alerts)
	jsonList(s, "alone", r.Alone)
	jsonList(s, "events", r.Events)
	jsonList(s, "notes", r.Notes)
	jsonSome(s, "decisions", r.Decisions)
	jsonSome(s, "redirects", r.Redirects)
	jsonSome(s, "suppressed", r.Suppressed)
	return s.close()
}

// A jsonStream writes one object, field by field. After an error it does nothing.
type jsonStream struct {
	w      *bufio.Writer
	fields int
	err    error
}

func (s *jsonStream) text(t string) {
	if s.err == nil {
		_, s.err = s.w.WriteString(t)
	}
}

func (s *jsonStream) name(name string) {
	if s.fields == 0 {
		s.text("{\n")
	} else {
		s.text(",\n")
	}
	s.fields++
	s.text(` "` + name + `": `)
}

func (s *jsonStream) close() error {
	s.text("\n}\n")
	if s.err != nil {
		return fmt.Errorf("write report.json: %w", s.err)
	}
	return s.w.Flush()
}

func jsonField[T any](s *jsonStream, name string, v T) {
	s.name(name)
	jsonValue(s, v, " ")
}

func jsonList[T any](s *jsonStream, name string, items []T) {
	s.name(name)
	if len(items) == 0 {
		s.text("[]")
		return
	}
	s.text("[")
	for i := range items {
		if i > 0 {
			s.text(",")
		}
		s.text("\n  ")
		jsonValue(s, items[i], "  ")
	}
	s.text("\n ]")
}

// jsonSome writes a list that is left out when it is empty.
func jsonSome[T any](s *jsonStream, name string, items []T) {
	if len(items) > 0 {
		jsonList(s, name, items)
	}
}

func jsonValue[T any](s *jsonStream, v T, prefix string) {
	if s.err != nil {
		return
	}
	b, err := json.MarshalIndent(copyOf(v, validUTF8), prefix, " ")
	if err != nil {
		s.err = err
		return
	}
	_, s.err = s.w.Write(escapeHidden(b))
}

// escapeHidden writes the hidden characters that encoding/json leaves as they
// are (DEL, C1 controls, bidirectional overrides) as \u escapes: the same
// strings to a parser, and harmless to a terminal that shows the file.
func escapeHidden(b []byte) []byte {
	first := -1
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r >= 0x7f && hidden(r) {
			first = i
			break
		}
		i += n
	}
	if first < 0 {
		return b
	}
	out := append(make([]byte, 0, len(b)+64), b[:first]...)
	for i := first; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r < 0x7f || !hidden(r):
			out = append(out, b[i:i+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	return out
}

// SafeJSON returns a writer for JSON text that may be looked at on a terminal:
// what a reader cannot see or a terminal acts on leaves it escaped. Each Write
// must hold whole characters, as those of a json.Encoder do.
func SafeJSON(w io.Writer) io.Writer { return safeJSON{w} }

type safeJSON struct{ w io.Writer }

func (s safeJSON) Write(p []byte) (int, error) {
	if _, err := s.w.Write(escapeHidden(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
