package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// carriers are the paths under which log shippers and stores hand on the line they
// read (Fluent Bit, Logstash, Elastic's agents, Promtail, CloudWatch Logs, Splunk,
// Google Cloud Logging).
func carriers() []string {
	return []string{"message", "log", "event.original", "line", "msg", "_raw", "result._raw", "textPayload", "raw", "RawData"}
}

// carried reads a record that nobody knows as what it carries, if that is a JSON
// record with a time. It reports false, and leaves no trace, if it is none.
func (d *jsonDecoder) carried(w *jsonWorker, b *Batch, e *model.Event) bool {
	doc := &w.doc
	for _, k := range d.carriers {
		if !doc.marked(k) {
			continue
		}
		text := strings.TrimSpace(doc.leaves[doc.first[k]].text)
		if len(text) < 2 || text[0] != '{' {
			continue
		}
		inside := *e
		if inside.Host == "" {
			inside.Host = linuxHost(doc.text("host.name|host.hostname|agent.hostname|hostname|kubernetes.host"))
		}
		data, from := doc.data, doc.from
		if w.unwrap(b, &inside, text) == nil {
			return true
		}
		b.Drop()
		w.wraps--
		if _, err := doc.parse(data, from); err != nil {
			return false // it was read before, so it is good
		}
		plainSlots(b, doc)
	}
	return false
}
