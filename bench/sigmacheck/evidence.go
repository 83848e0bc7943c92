package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/source"
	"github.com/catena-sec/catena/sigma"
)

// An input is the bytes of one evidence file, unpacked, and who understands it.
type input struct {
	path    string
	data    []byte
	decoder decode.Decoder
}

// evidence is what the engines are run over: bytes for ours, which is measured end
// to end, too, and the Windows events in them for all.
type evidence struct {
	names  *model.Names
	inputs []input
	bytes  int64
	events []model.Event // of Windows
	others int           // events of other products
}

// gather reads the EVTX, Windows XML and JSON below the paths.
func gather(paths []string) (*evidence, error) {
	ev := &evidence{names: model.NewNames()}
	o := decode.Options{Names: ev.names}
	registry := decode.NewRegistry(decode.EVTX(o), decode.WindowsXML(o), decode.JSON(o))
	warn := func(path string, e model.InputError) { fmt.Fprintf(os.Stderr, "sigmacheck: %s: %s\n", path, e.Cause) }
	err := source.Walk(context.Background(), paths, source.Options{}, func(in source.Input) error {
		head, err := in.Reader.Peek(decode.SniffLen)
		if err != nil && !errors.Is(err, io.EOF) {
			warn(in.Path, model.InputError{Cause: err.Error()})
			return nil
		}
		d := registry.Detect(head)
		if d == nil {
			return nil
		}
		data, err := io.ReadAll(in.Reader)
		if err != nil {
			warn(in.Path, model.InputError{Cause: err.Error()})
		}
		ev.inputs = append(ev.inputs, input{in.Path, data, d})
		ev.bytes += int64(len(data))
		return nil
	}, warn)
	if err != nil {
		return nil, err
	}
	for _, in := range ev.inputs {
		in.each(func(c decode.Chunk) {
			var b decode.Batch
			in.decoder.Decode(c, &b)
			for i := range b.Events {
				if b.Events[i].Source.Product == "windows" {
					ev.events = append(ev.events, b.Events[i])
				} else {
					ev.others++
				}
			}
		})
	}
	return ev, nil
}

// each hands on the chunks of an input. What cannot be framed is left out, as in
// an analysis; the figures are of what can.
func (in *input) each(fn func(decode.Chunk)) {
	_ = in.decoder.Frame(bytes.NewReader(in.data), func(c decode.Chunk) error {
		c.Input = in.path
		fn(c)
		return nil
	}, func(model.InputError) {})
}

// endToEnd goes from bytes to matches with as many workers as given; without an
// engine it only decodes. It returns how many events and matches there were.
func (ev *evidence) endToEnd(e *detect.Engine, workers int) (events, matches int) {
	type work struct {
		d decode.Decoder
		c decode.Chunk
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		jobs = make(chan work, workers)
	)
	for range workers {
		wg.Go(func() {
			var m *detect.Matcher
			if e != nil {
				m = e.NewMatcher()
			}
			seen, found := 0, 0
			for j := range jobs {
				var b decode.Batch
				j.d.Decode(j.c, &b)
				seen += len(b.Events)
				for i := range b.Events {
					if m != nil {
						found += len(m.Match(&b.Events[i]))
					}
				}
			}
			mu.Lock()
			events, matches = events+seen, matches+found
			mu.Unlock()
		})
	}
	for _, in := range ev.inputs {
		in.each(func(c decode.Chunk) { jobs <- work{in.decoder, c} })
	}
	close(jobs)
	wg.Wait()
	return events, matches
}

// logSource is where an event belongs, in the terms of package sigma.
func logSource(e *model.Event) sigma.LogSource {
	return sigma.LogSource{Product: e.Source.Product, Category: e.Source.Category, Service: e.Source.Service}
}

// flat is an event as the other engines take it: a map of fields to text, to nil,
// or to a list where a field has several values. Unless typed, numbers and truth
// stay text: the Go engines compare text with a rule's numbers, but not every
// number with its text.
func (ev *evidence) flat(e *model.Event, typed bool) map[string]any {
	m := make(map[string]any, len(e.Slots))
	for _, s := range e.Slots {
		var v any
		switch {
		case s.Kind == model.Null:
		case typed && s.Kind != model.String && json.Valid([]byte(s.Text)):
			v = json.RawMessage(s.Text)
		default:
			v = s.Text
		}
		name := ev.names.Name(s.Field)
		old, again := m[name]
		switch list, several := old.([]any); {
		case !again:
			m[name] = v
		case several:
			m[name] = append(list, v)
		default:
			m[name] = []any{old, v}
		}
	}
	return m
}

// fields is an event as Set.Explain takes it.
func (ev *evidence) fields(e *model.Event) []sigma.Field {
	out := make([]sigma.Field, len(e.Slots))
	for i, s := range e.Slots {
		out[i] = sigma.Field{Name: ev.names.Name(s.Field), Kind: sigma.Kind(s.Kind), Text: s.Text}
	}
	return out
}
