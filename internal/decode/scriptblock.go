package decode

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// PowerShell logs a long script in parts, each an event 4104 of its own that says
// which part of how many it is (MessageNumber, MessageTotal) of which script
// (ScriptBlockId). A pattern may stand across two parts, and conditions may ask for
// words of different parts, so the last event of a script holds the whole of it.

// Bounds of a joined script.
const (
	maxScriptParts = 256
	maxScriptText  = 1 << 20 // bytes
)

// maxOpenScripts bounds the scripts of one batch that are told of as open.
const maxOpenScripts = 64

// An OpenScript is a script of which a batch does not hold all parts: others may
// stand in batches before or after it, which only who reads them in order can join.
type OpenScript struct {
	Host  string
	ID    string // of the script, in lower case
	Total int    // how many parts it has
	Event int    // index in Batch.Events of the last event that holds a part
	Own   string // that event's own part, of which the event holds more if others stand beside it
	Parts []ScriptPart
}

// A ScriptPart is the text of one part of a script, numbered from 1.
type ScriptPart struct {
	Number int
	Text   string
}

// OpenScripts returns the scripts of which the batch lacks parts, sorted by host and
// id. They share the batch's memory.
func (b *Batch) OpenScripts() []OpenScript { return b.openScripts }

// Join adds the parts of o to those of s, of which the first of a number counts.
func (s *OpenScript) Join(o *OpenScript) {
	s.Parts = append(s.Parts, o.Parts...)
	slices.SortStableFunc(s.Parts, func(x, y ScriptPart) int { return cmp.Compare(x.Number, y.Number) })
	s.Parts = slices.CompactFunc(s.Parts, func(x, y ScriptPart) bool { return x.Number == y.Number })
	s.Parts = s.Parts[:min(len(s.Parts), maxScriptParts)]
}

// Whole says whether all parts are there, or as many as are joined at most.
func (s *OpenScript) Whole() bool { return len(s.Parts) >= min(s.Total, maxScriptParts) }

// Text returns the parts that are there as one text, within bounds.
func (s *OpenScript) Text() string { return aliasString(appendScript(nil, s.Parts)) }

// appendScript appends the texts of parts, up to maxScriptText bytes and a whole
// character.
func appendScript(whole []byte, parts []ScriptPart) []byte {
	for _, p := range parts {
		whole = append(whole, p.Text...)
		if end := maxScriptText; len(whole) > end {
			for end > 0 && !utf8.RuneStart(whole[end]) {
				end--
			}
			return whole[:end]
		}
	}
	return whole
}

// A scriptPart is an event of a batch that holds one part of a script.
type scriptPart struct {
	event     int // index in Events
	number    int // of the part, from 1
	host      string
	id, total string
	text      string
}

// noteScript remembers that the event under construction is a part of a script, so
// that batches without any need not be searched.
func (b *Batch) noteScript(v *winView) {
	if total, ok := digits(v.text(model.FMessageTotal)); ok && total > 1 {
		b.scripts = append(b.scripts, len(b.Events))
	}
}

// joinScripts puts the whole text of every script that came in parts into the last
// event, as the records stand, that holds one of them; the other events keep their
// own part. Parts may come in any order, and those that are missing are left out; a
// script that has some in other chunks is told of by OpenScripts. Of parts told twice
// the first counts. Each part is used once, so that the joined texts are no longer than what was read.
func joinScripts(b *Batch) {
	noted := b.scripts
	b.scripts = b.scripts[:0]
	b.openScripts = b.openScripts[:0]
	if len(noted) == 0 {
		return
	}
	parts := make([]scriptPart, 0, len(noted))
	for _, i := range noted {
		if i >= len(b.Events) {
			continue
		}
		e := &b.Events[i]
		p := scriptPart{event: i, host: e.Host, id: strings.ToLower(e.Text(model.FScriptBlockId)), total: e.Text(model.FMessageTotal), text: e.Text(model.FScriptBlockText)}
		number, ok := digits(e.Text(model.FMessageNumber))
		if e.Code != "4104" || !ok || number < 1 || p.id == "" {
			continue // noted, and then not emitted; or it does not say where its text belongs
		}
		p.number = number
		parts = append(parts, p)
	}
	slices.SortStableFunc(parts, func(x, y scriptPart) int {
		return cmp.Or(cmp.Compare(x.host, y.host), cmp.Compare(x.id, y.id), cmp.Compare(x.total, y.total), cmp.Compare(x.number, y.number))
	})
	for len(parts) > 0 {
		first := parts[0]
		n := slices.IndexFunc(parts, func(p scriptPart) bool { return p.host != first.host || p.id != first.id || p.total != first.total })
		if n < 0 {
			n = len(parts)
		}
		joinScript(b, parts[:n])
		parts = parts[n:]
	}
}

// joinScript joins the parts of one script, which are sorted by number.
func joinScript(b *Batch, parts []scriptPart) {
	last := slices.MaxFunc(parts, func(x, y scriptPart) int { return cmp.Compare(x.event, y.event) })
	parts = slices.CompactFunc(parts, func(x, y scriptPart) bool { return x.number == y.number })
	parts = parts[:min(len(parts), maxScriptParts)]
	texts := make([]ScriptPart, len(parts))
	size := 0
	for i, p := range parts {
		texts[i] = ScriptPart{p.number, p.text}
		size += len(p.text)
	}
	if total, ok := digits(last.total); ok && len(parts) < min(total, maxScriptParts) && len(b.openScripts) < maxOpenScripts {
		b.openScripts = append(b.openScripts, OpenScript{Host: last.host, ID: last.id, Total: total, Event: last.event, Own: last.text, Parts: texts})
	}
	if len(parts) < 2 {
		return
	}
	slots := b.Events[last.event].Slots
	if i := slices.IndexFunc(slots, func(s model.Slot) bool { return s.Field == model.FScriptBlockText }); i >= 0 {
		slots[i].Text = aliasString(appendScript(b.textBlock(size), texts))
	}
}
