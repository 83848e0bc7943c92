package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
)

// maxShown bounds one field's text in a report's copy of a record, in bytes.
const maxShown = 8 << 10

// place is where a wanted record stands in its input.
type place struct {
	offset int64
	event  string
}

// attachEvidence reads the inputs that the report cites a second time and puts
// the records themselves beside what cites them. The first pass keeps only what
// memory needs of each event, which bounds a run by its findings and not by its
// evidence.
func (a *App) attachEvidence(ctx context.Context, from *inputs, r *model.Report, stream *stream) error {
	cited := map[string]bool{}
	for i := range r.Alerts {
		for _, e := range r.Alerts[i].Evidence {
			if e.Event == nil {
				cited[e.ID] = true
			}
		}
	}
	extra := map[string]bool{} // cited by a story and by no alert
	for i := range r.Incidents {
		in := &r.Incidents[i]
		for _, s := range in.Steps {
			for _, id := range s.Events {
				if !cited[id] {
					cited[id], extra[id] = true, true
				}
			}
		}
		if id := in.Root.Event; id != "" && !cited[id] {
			cited[id], extra[id] = true, true
		}
		for _, x := range in.Impact.Assets {
			if x.State != model.AssetReachable {
				continue // what touched it is of a step
			}
			for _, id := range x.Cites {
				if !cited[id] {
					cited[id], extra[id] = true, true
				}
			}
		}
	}
	wanted := map[string][]place{}
	refs := map[string]model.Ref{}
	found, err := stream.find(cited)
	if err != nil {
		return err
	}
	for id, s := range found {
		refs[id] = s.obs.Ref
		wanted[s.obs.Ref.Input] = append(wanted[s.obs.Ref.Input], place{s.obs.Ref.Offset, id})
	}
	records := map[string]json.RawMessage{}
	if len(wanted) > 0 {
		a.progress(Progress{Phase: "collecting evidence"})
		if err := a.fetch(ctx, from, wanted, records); err != nil {
			return err
		}
	}
	for i := range r.Alerts {
		for j := range r.Alerts[i].Evidence {
			e := &r.Alerts[i].Evidence[j]
			if e.Event == nil {
				e.Event = records[e.ID]
			}
		}
	}
	for id := range extra {
		if ref, ok := refs[id]; ok {
			r.Events = append(r.Events, model.Evidence{Input: ref.Input, Record: ref.Record, ID: id, Event: records[id]})
		}
	}
	slices.SortFunc(r.Events, func(x, y model.Evidence) int {
		return cmp.Or(cmp.Compare(x.Input, y.Input), cmp.Compare(x.Record, y.Record), cmp.Compare(x.ID, y.ID))
	})
	return nil
}

// fetch decodes the chunks that hold wanted records and renders those.
func (a *App) fetch(ctx context.Context, from *inputs, wanted map[string][]place, records map[string]json.RawMessage) error {
	var b decode.Batch
	return a.walk(ctx, from, func(in *inputState, d decode.Decoder, r io.Reader) error {
		places := wanted[in.Path]
		if len(places) == 0 {
			return nil
		}
		slices.SortFunc(places, func(x, y place) int { return cmp.Compare(x.offset, y.offset) })
		last := places[len(places)-1].offset
		return d.Frame(r, func(c decode.Chunk) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			end := c.Offset + int64(len(c.Data))
			i, _ := slices.BinarySearchFunc(places, c.Offset, byOffset)
			if i < len(places) && places[i].offset < end {
				c.Input = in.Path
				a.render(d, c, places[i:], records, &b)
			}
			c.Release() // what was rendered is a copy
			if c.Offset > last {
				return errEnough
			}
			return nil
		}, func(model.InputError) {})
	}, func(*inputState) {})
}

// errEnough ends the reading of an input that has nothing more to give.
var errEnough = io.ErrNoProgress

// render puts the wanted records of a chunk into records; places are in order.
func (a *App) render(d decode.Decoder, c decode.Chunk, places []place, records map[string]json.RawMessage, b *decode.Batch) {
	j := job{decoder: d, chunk: c}
	j.decodeTo(b)
	defer b.Reset()
	for i := range b.Events {
		e := &b.Events[i]
		if _, ok := slices.BinarySearchFunc(places, e.Ref.Offset, byOffset); !ok {
			continue
		}
		if id := e.ID(); records[id] == nil {
			records[id] = a.record(e)
		}
	}
}

func byOffset(p place, offset int64) int { return cmp.Compare(p.offset, offset) }

// record renders an event's fields as a JSON object, in the order of the record;
// a field with several values is an array.
func (a *App) record(e *model.Event) json.RawMessage { return recordOf(a.names, e) }

// recordOf is record by the names of fields.
func recordOf(names *model.Names, e *model.Event) json.RawMessage {
	type field struct {
		name   string
		values []model.Slot
	}
	var fields []field
	index := map[string]int{}
	for _, s := range e.Slots {
		name := names.Name(s.Field)
		if s.Field == model.Unnamed {
			name, s.Text, _ = strings.Cut(s.Text, "\x00")
		}
		i, ok := index[name]
		if !ok {
			i = len(fields)
			index[name] = i
			fields = append(fields, field{name: name})
		}
		fields[i].values = append(fields[i].values, s)
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(f.name))
		b.WriteByte(':')
		if len(f.values) == 1 {
			b.Write(value(f.values[0]))
			continue
		}
		b.WriteByte('[')
		for j, v := range f.values {
			if j > 0 {
				b.WriteByte(',')
			}
			b.Write(value(v))
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.Bytes()
}

func value(s model.Slot) []byte {
	switch s.Kind {
	case model.Null:
		return []byte("null")
	case model.Bool, model.Number:
		if json.Valid([]byte(s.Text)) {
			return []byte(s.Text)
		}
	case model.String:
	}
	text := s.Text
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "… (cut here; the whole is in the evidence)"
	}
	return quoted(text)
}

func quoted(s string) []byte {
	out, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return []byte(`""`)
	}
	return out
}
