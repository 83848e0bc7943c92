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
// own part. Parts may come in any order, and those that are missing, or that stand
// in another chunk, are left out. Of parts told twice the first counts. Each part is
// used once, so that the joined texts are no longer than what was read.
func joinScripts(b *Batch) {
	noted := b.scripts
	b.scripts = b.scripts[:0]
	if len(noted) < 2 {
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
	last := parts[0].event
	for _, p := range parts {
		last = max(last, p.event)
	}
	parts = slices.CompactFunc(parts, func(x, y scriptPart) bool { return x.number == y.number })
	if len(parts) < 2 {
		return
	}
	parts = parts[:min(len(parts), maxScriptParts)]
	size := 0
	for _, p := range parts {
		size += len(p.text)
	}
	whole := b.textBlock(size)
	for _, p := range parts {
		whole = append(whole, p.text...)
		if end := maxScriptText; len(whole) > end {
			for end > 0 && !utf8.RuneStart(whole[end]) {
				end--
			}
			whole = whole[:end]
			break
		}
	}
	slots := b.Events[last].Slots
	if i := slices.IndexFunc(slots, func(s model.Slot) bool { return s.Field == model.FScriptBlockText }); i >= 0 {
		slots[i].Text = aliasString(whole)
	}
}
