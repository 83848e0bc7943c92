package app

import (
	"bytes"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// An EventRow is one record as it is kept for hunting.
type EventRow struct {
	Position uint64    // of its batch in the stream
	Time     time.Time // as the record says; when it was received if it does not
	Received time.Time
	ID       string
	Input    string // what it came from
	Format   string
	Host     string
	Code     string
	Source   model.LogSource
	Entities []model.Entity
	Raw      []byte // the record; of binary formats its fields as JSON
}

// row keeps an event as a row. What it holds is its own but for Raw, which lies in the
// batch's message.
func (w *worker) row(ev *model.Event) {
	w.registry.Entities(ev)
	w.rowed, w.digest = ev, ev.Digest()
	r := EventRow{Time: ev.Time.UTC(), Received: w.received, ID: w.digest.ID(), Input: w.intern(ev.Ref.Input), Format: w.intern(ev.Format),
		Host: w.intern(ev.Host), Code: w.intern(ev.Code),
		Source: model.LogSource{Product: w.intern(ev.Source.Product), Category: w.intern(ev.Source.Category), Service: w.intern(ev.Source.Service)}}
	if r.Time.IsZero() || r.Time.After(w.received.Add(futureMost)) {
		r.Time = w.received
	}
	if len(ev.Entities) > 0 {
		r.Entities = make([]model.Entity, len(ev.Entities))
		for i, x := range ev.Entities {
			r.Entities[i] = model.Entity{Type: x.Type, Value: w.intern(x.Value), Role: x.Role, Name: w.intern(x.Name), Alt: w.intern(x.Alt)}
		}
	}
	r.Raw = slices.Clone(ev.Raw)
	if !utf8.Valid(ev.Raw) || bytes.IndexByte(ev.Raw, 0) >= 0 || len(ev.Raw) == 0 {
		r.Raw = recordOf(w.names, ev)
	}
	*w.rows = append(*w.rows, r)
}

// alertRow keeps the records that the alert of a product carries.
func (w *worker) alertRow(a *model.Alert) {
	for _, e := range a.Evidence {
		if len(e.Event) == 0 {
			continue
		}
		*w.rows = append(*w.rows, EventRow{Time: a.Time, Received: w.received, ID: e.ID, Input: e.Input, Format: a.Format, Host: a.Host, Code: a.Code,
			Source: model.LogSource{Product: a.Product}, Entities: slices.Clone(a.Entities), Raw: slices.Clone(e.Event)})
	}
}
