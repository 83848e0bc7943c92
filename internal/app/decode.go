package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// Decoded is one record as Catena understands it, for "catena decode".
type Decoded struct {
	Input     string          `json:"input"`
	Record    int64           `json:"record"`
	Offset    int64           `json:"offset"`
	Format    string          `json:"format"`
	ID        string          `json:"id,omitempty"`
	Time      string          `json:"time,omitempty"`
	Host      string          `json:"host,omitempty"`
	Product   string          `json:"product,omitempty"`
	Category  string          `json:"category,omitempty"`
	Service   string          `json:"service,omitempty"`
	Code      string          `json:"code,omitempty"`
	Act       string          `json:"act,omitempty"`
	Subsystem model.Subsystem `json:"subsystem,omitempty"`
	Entities  []Cast          `json:"entities,omitempty"`
	Fields    json.RawMessage `json:"fields,omitempty"`
	// NotUnderstood are fields of the record of which nothing was made: no entity, no
	// time, and neither a decoder nor a rule asks for them.
	NotUnderstood []string `json:"not_understood,omitempty"`
	// LeftOut are values of the record that no field has.
	LeftOut []string     `json:"left_out,omitempty"`
	Alert   *model.Alert `json:"alert,omitempty"`
	Error   string       `json:"error,omitempty"`
	Count   int          `json:"count,omitempty"` // records that failed for this cause
	Note    string       `json:"note,omitempty"`  // what was assumed of the input
}

// Decode writes what Catena makes of each record at paths as NDJSON, and a line
// with "error" for what it did not understand. It reports whether all was read.
func (a *App) Decode(ctx context.Context, paths []string, w io.Writer) (clean bool, err error) {
	from, err := a.once(paths)
	if err != nil {
		return false, err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(report.SafeJSON(out))
	enc.SetEscapeHTML(false)
	clean = true
	var inputs []*inputState
	found := map[*inputState]int{} // records, understood or not
	known := &understanding{names: a.names, known: a.names.Len()}
	err = a.walk(ctx, from, func(in *inputState, d decode.Decoder, r io.Reader) error {
		return d.Frame(r, func(c decode.Chunk) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.Input = in.Path
			b := decode.Batch{Trace: true}
			d.Decode(c, &b)
			found[in] += len(b.Events) + len(b.Alerts) + int(b.Skipped)
			for i := range b.Events {
				if err := enc.Encode(a.decoded(&b.Events[i], known, b.Asked)); err != nil {
					return err
				}
			}
			for i := range b.Alerts {
				al := &b.Alerts[i]
				line := Decoded{Input: in.Path, Format: al.Format, Alert: al}
				if len(al.Evidence) > 0 {
					line.Record = al.Evidence[0].Record
				}
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
			for _, e := range b.Errors {
				in.failLater(e)
			}
			return nil
		}, in.failLater)
	}, func(in *inputState) { inputs = append(inputs, in) })
	if err != nil {
		return false, err
	}
	for _, in := range inputs {
		in.settle()
		if found[in] == 0 && len(in.Errors) == 0 && in.Bytes > 0 { // silence would read as "all is understood"
			in.notes = append(in.notes, "it was read as "+in.Format+", and there is no record in it")
		}
		for _, n := range in.notes {
			if err := enc.Encode(Decoded{Input: in.Path, Format: in.Format, Note: n}); err != nil {
				return false, err
			}
		}
		for _, e := range in.Errors {
			clean = false
			if err := enc.Encode(Decoded{Input: in.Path, Record: e.Record, Offset: e.Offset, Format: in.Format, Error: e.Cause, Count: e.Count}); err != nil {
				return false, err
			}
		}
	}
	return clean, out.Flush()
}

func (a *App) decoded(e *model.Event, known *understanding, asked map[string]decode.Paths) Decoded {
	a.registry.Entities(e)
	d := Decoded{Input: e.Ref.Input, Record: e.Ref.Record, Offset: e.Ref.Offset, Format: e.Format, ID: e.ID(), Host: e.Host, Product: e.Source.Product,
		Category: e.Source.Category, Service: e.Source.Service, Code: e.Code, Subsystem: e.Subsystem, Fields: a.record(e)}
	d.Entities, d.NotUnderstood, d.LeftOut = known.of(e, asked[e.Format])
	if !e.Time.IsZero() {
		d.Time = e.Time.UTC().Format("2006-01-02T15:04:05.999999999Z")
	}
	if e.Act != model.ActNone {
		d.Act = e.Act.String()
	}
	return d
}
