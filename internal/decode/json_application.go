package decode

import (
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Paths under which applications that log JSON say in words what happened, and who
// was at the other end.
const (
	applicationWords   = "message|msg|event|log"
	applicationClients = "remote_ip|client_ip|remoteAddr|remote_addr|remoteIp|clientIp|src_ip|source_ip|visitor_ip|ip_address|ipAddress|ip|source.ip|client.ip|x_forwarded_for"
	applicationUsers   = "username|user_name|user|userName|login|account|email"
)

// application finds the log-on in a record of an application that no shape knows, as
// for a line of text: in the words of its message, with the account and the address
// that it names or that stand beside it. It changes nothing else.
func (d *jsonDecoder) application(w *jsonWorker, b *Batch, e *model.Event) {
	doc := &w.doc
	words := doc.text(applicationWords)
	refused, granted := signInText(asciiLower(words[:min(len(words), maxSignIn)]))
	if !refused && !granted {
		return
	}
	named := func(s string) string { // "--" and the like stand for none
		if s = strings.TrimSpace(s); strings.Trim(s, "-") == "" || len(s) > 256 {
			return ""
		}
		return s
	}
	user, from := named(doc.text(applicationUsers)), named(doc.text(applicationClients))
	if i := strings.IndexByte(from, ','); i > 0 {
		from = from[:i]
	}
	if ip, _ := endpoint(from); isAddress(ip) {
		from = ip
	}
	if user == "" { // Nextcloud's words
		user = named(between(words, "Login failed: ", " ("))
	}
	b.slots = append(b.slots[:b.open], slices.DeleteFunc(b.slots[b.open:], func(s model.Slot) bool { return s.Field == model.FUserLower && named(s.Text) == "" })...)
	lines := d.lines()
	had := len(b.Open())
	l := syslogLine{f: lines.f, b: b, e: e}
	if !l.signInOf(words, user, from) {
		return
	}
	for i := len(b.slots) - 1; i >= b.open+had; i-- { // a field that the record has too stands where it stood
		for j := b.open; j < b.open+had; j++ {
			if b.slots[j].Field == b.slots[i].Field {
				b.slots[j] = b.slots[i]
				b.slots = slices.Delete(b.slots, i, i+1)
				break
			}
		}
	}
	e.Source = model.LogSource{Product: "application", Category: "application"}
}
