package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// carriers are the paths under which log shippers and stores hand on the line they
// read (Fluent Bit, Logstash, Elastic's agents, Promtail, CloudWatch Logs, Splunk,
// Google Cloud Logging).
func carriers() []string {
	return []string{"message", "log", "event.original", "line", "msg", "event", "_raw", "result._raw", "textPayload", "raw", "RawData"}
}

// carriedObjects are the members that hold a record as an object (EventBridge,
// Splunk's collector and searches, Google Cloud Logging).
var carriedObjects = [...]string{"detail", "event", "jsonPayload", "result"}

// carried reads a record that nobody knows as what it carries: a JSON record with a
// time, an object that is a product's record, or a line of a known form. It reports
// false, and leaves no trace, if it carries none.
func (d *jsonDecoder) carried(w *jsonWorker, b *Batch, e *model.Event) bool {
	doc := &w.doc
	data, from := doc.data, doc.from
	inside := *e
	if inside.Host == "" {
		inside.Host = linuxHost(firstOf(doc.text("host.name|host.hostname|agent.hostname|hostname|kubernetes.host"), doc.text("host")))
	}
	// try reads what is carried and takes the attempt back if it is nothing.
	try := func(text string, known bool) bool {
		one, before := inside, len(b.Events)
		err := w.unwrap(b, &one, text)
		if err == nil && (!known || len(b.Events) == before || b.Events[before].Format != "json") {
			return true
		}
		b.Events = b.Events[:before]
		b.Drop()
		w.wraps--
		if _, err := doc.parse(data, from); err == nil { // it was read before, so it is good
			plainSlots(b, doc)
		}
		return false
	}
	for _, k := range d.carriers {
		if !doc.marked(k) || doc.leaves[doc.first[k]].kind != model.String {
			continue
		}
		text := strings.TrimSpace(doc.leaves[doc.first[k]].text)
		if len(text) > 1 && text[0] == '{' && try(text, false) || d.carriedLine(w, b, inside, text) {
			return true
		}
	}
	for _, name := range carriedObjects {
		if object := memberText(w.text(), name); object != "" && object[0] == '{' && try(object, true) {
			return true
		}
	}
	return false
}

// carriedLine reads a line of text that a record carries, if it is one of syslog's
// or of a form that is known. A stamp without a year has that nearest to the record's
// own time.
func (d *jsonDecoder) carriedLine(w *jsonWorker, b *Batch, e model.Event, text string) bool {
	if len(text) < 16 || text[0] == '{' {
		return false
	}
	years := yearFromHeader(nil, d.o.Year)
	if t, ok := keyTimes(&w.doc, d.usual, w.o); ok {
		years = yearWalk{year: t.Year(), month: t.Month()}
	}
	b.Drop()
	l := textLine{lineReader: d.lines(), b: b, e: &e, s: firstLine(text), whole: text, years: &years}
	var h syslogHeader
	read := false
	if h.parse(l.s) && h.plausible() && h.program != "" {
		read = l.syslog(&h) == ""
	} else {
		read = l.formatted()
	}
	switch {
	case !read:
		b.Drop()
		plainSlots(b, &w.doc)
	case !l.done:
		finish(&e)
		b.Emit(e)
	}
	return read
}
