package app

import (
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/clock"
	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

// PowerShell logs a long script in parts, each an event of its own. Decoders join
// those of one chunk; what stands in several is joined here, where the chunks come
// back in the order of the evidence. The last event of a script waits for the rest:
// rules see it once, with the whole text. So what is found depends neither on where
// chunks end nor on which worker read them.

// Bounds of what waits for further parts. Beyond them the script that has waited
// longest goes on with what there is of it.
const (
	maxHeldScripts = 256
	maxHeldBytes   = 8 << 20
)

// A heldScript is the last event of a script that misses parts, a copy of its own.
type heldScript struct {
	decode.OpenScript
	event model.Event
	size  int // bytes of the parts and the event, about
}

// hold copies the events of b that wait for parts, so that the batch's memory can
// serve again, and says which they are.
func (w *worker) hold(b *decode.Batch) (out []heldScript, events []int) {
	room := maxHeldBytes / 2 // of one chunk
	for _, open := range b.OpenScripts() {
		ev := &b.Events[open.Event]
		h := heldScript{OpenScript: open, size: len(ev.Raw)}
		for _, p := range open.Parts {
			h.size += len(p.Text)
		}
		for i := range ev.Slots {
			h.size += len(ev.Slots[i].Text)
		}
		if h.size > room {
			continue
		}
		room -= h.size
		h.Host, h.ID, h.Own = w.intern(open.Host), strings.Clone(open.ID), strings.Clone(open.Own)
		h.Parts = slices.Clone(open.Parts)
		for i := range h.Parts {
			h.Parts[i].Text = strings.Clone(h.Parts[i].Text)
		}
		h.event = w.keep(ev)
		out, events = append(out, h), append(events, open.Event)
	}
	return out, events
}

// keep copies an event out of its batch.
func (w *worker) keep(ev *model.Event) model.Event {
	c := *ev
	c.Raw = slices.Clone(ev.Raw)
	c.Host, c.Code, c.Format = w.intern(ev.Host), w.intern(ev.Code), w.intern(ev.Format)
	c.Source = model.LogSource{Product: w.intern(ev.Source.Product), Category: w.intern(ev.Source.Category), Service: w.intern(ev.Source.Service)}
	c.Subsystem = model.Subsystem(w.intern(string(ev.Subsystem)))
	c.Ref.Input = w.intern(ev.Ref.Input)
	c.Slots = slices.Clone(ev.Slots)
	for i := range c.Slots {
		c.Slots[i].Text = strings.Clone(c.Slots[i].Text)
	}
	c.Entities = slices.Clone(ev.Entities)
	for i, x := range c.Entities {
		c.Entities[i] = model.Entity{Type: x.Type, Value: w.intern(x.Value), Role: x.Role, Name: w.intern(x.Name), Alt: w.intern(x.Alt)}
	}
	return c
}

// A scriptKey tells the scripts of an input apart.
type scriptKey struct {
	host, id string
	total    int
}

// A scriptJoiner joins the scripts of one input after the other.
type scriptJoiner struct {
	w     *worker // that sees the joined scripts; joiners may share one
	input *inputState
	open  map[scriptKey]*heldScript
	order []scriptKey // those of open, by when their event came
	bytes int         // of open
	emit  func(*inputState, acted)
}

// newScriptJoiner returns a joiner that hands the acts it makes to emit.
func newScriptJoiner(s *scanner, emit func(*inputState, acted)) *scriptJoiner {
	w := newWorker(s)
	return &scriptJoiner{w: &w, open: map[scriptKey]*heldScript{}, emit: emit}
}

// begin says that what follows is of that input: no further part of a script of
// another one will come.
func (j *scriptJoiner) begin(in *inputState) {
	if in == j.input {
		return
	}
	for len(j.order) > 0 {
		j.release(j.order[0])
	}
	j.flush()
	j.input = in
}

// add takes over what waits of the input's next chunk.
func (j *scriptJoiner) add(held []heldScript) {
	for i := range held {
		h := &held[i]
		k := scriptKey{h.Host, h.ID, h.Total}
		if before := j.open[k]; before != nil {
			j.forget(k)
			before.set(before.Own) // a later event holds the whole
			j.sight(&before.event)
			size := 0
			for _, p := range before.Parts {
				size += len(p.Text)
			}
			before.Join(&h.OpenScript)
			h.Parts = before.Parts
			h.size += size
		}
		j.open[k] = h
		j.order = append(j.order, k)
		j.bytes += h.size
		if h.Whole() {
			j.release(k)
		}
	}
	for len(j.open) > maxHeldScripts || j.bytes > maxHeldBytes {
		j.release(j.order[0])
	}
	j.flush()
}

// release lets a script go on with the parts that there are.
func (j *scriptJoiner) release(k scriptKey) {
	h := j.open[k]
	j.forget(k)
	h.set(h.Text())
	j.sight(&h.event)
}

func (j *scriptJoiner) forget(k scriptKey) {
	j.bytes -= j.open[k].size
	delete(j.open, k)
	j.order = slices.DeleteFunc(j.order, func(o scriptKey) bool { return o == k })
}

// set makes text what the event says that was run.
func (h *heldScript) set(text string) {
	for i := range h.event.Slots {
		if s := &h.event.Slots[i]; s.Field == model.FScriptBlockText {
			s.Text = text
			return
		}
	}
}

func (j *scriptJoiner) sight(ev *model.Event) { j.w.sight(ev, clock.Of(ev), j.w.meter.start()) }

// flush hands on the acts made since the last time.
func (j *scriptJoiner) flush() {
	if p := j.w.pages.take(); p.count > 0 {
		j.emit(j.input, p)
	}
}
