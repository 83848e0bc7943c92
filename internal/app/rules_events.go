package app

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// errStop is what a visitor of eachEvent returns when it has seen enough.
var errStop = fmt.Errorf("enough: %w", io.EOF)

// eachEvent decodes what from holds and calls visit with one event after the
// other, in the order of the evidence. The event is only valid during the call.
// It returns the inputs, with what of them could not be read.
func (a *App) eachEvent(ctx context.Context, from *inputs, visit func(*model.Event) error) ([]*inputState, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all []*inputState
	var stop error
	err := a.walk(ctx, from, func(in *inputState, d decode.Decoder, r io.Reader) error {
		return frames(in, d, r, in.failLater, func(j job) error {
			b := j.decode()
			in.Events += int64(len(b.Events) + len(b.Alerts))
			for _, e := range b.Errors {
				in.failLater(e)
			}
			for i := range b.Events {
				if stop = visit(&b.Events[i]); stop != nil {
					cancel() // ends the walk without an error of the input
					return stop
				}
			}
			return ctx.Err()
		})
	}, func(in *inputState) { all = append(all, in) })
	if stop != nil {
		err = stop
		if stop == errStop { //nolint:errorlint // it is this one value that visitors return
			err = nil
		}
	}
	for _, in := range all {
		in.settle()
	}
	slices.SortFunc(all, func(x, y *inputState) int { return cmp.Compare(x.Path, y.Path) })
	return all, err
}

// eventsOf decodes text as one input: by the decoder named, or by the one that is
// surest of it. Its error says why it is not all read.
func (a *App) eventsOf(name, text, format string, visit func(*model.Event) error) error {
	data := []byte(text)
	if decode.Marked(data) {
		plain, err := io.ReadAll(decode.UTF8(bytes.NewReader(data)))
		if err != nil {
			return err
		}
		data = plain
	}
	d := a.registry.Named(format)
	switch {
	case format == "":
		head := data[:min(len(data), decode.SniffLen)]
		if d = a.registry.Detect(head); d == nil {
			return fmt.Errorf("no decoder knows this: %s", describe(head))
		}
	case d == nil:
		return fmt.Errorf("there is no format %q; there are %s", format, strings.Join(a.registry.Formats(), ", "))
	}
	in := &inputState{Input: model.Input{Path: name, Format: d.Name()}}
	err := frames(in, d, bytes.NewReader(data), in.failLater, func(j job) error {
		b := j.decode()
		in.Events += int64(len(b.Events) + len(b.Alerts))
		for _, e := range b.Errors {
			in.failLater(e)
		}
		for i := range b.Events {
			if err := visit(&b.Events[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && err != errStop { //nolint:errorlint // as above
		return err
	}
	in.settle()
	return readError([]*inputState{in})
}

// readError says what of inputs could not be read, nil if all was.
func readError(all []*inputState) error {
	for _, in := range all {
		if len(in.Errors) == 0 {
			continue
		}
		e, where := in.Errors[0], in.Path
		if e.Record > 0 {
			where += fmt.Sprintf(", record %d", e.Record)
		}
		return fmt.Errorf("%s: %s", where, e.Cause)
	}
	return nil
}

// fieldsOf returns the values of an event as rules see them.
func (a *App) fieldsOf(ev *model.Event) []sigma.Field {
	out := make([]sigma.Field, 0, len(ev.Slots))
	for _, s := range ev.Slots {
		f := sigma.Field{Name: a.names.Name(s.Field), Kind: sigma.Kind(s.Kind), Text: s.Text}
		if s.Field == model.Unnamed {
			f.Name, f.Text, _ = strings.Cut(s.Text, "\x00")
		}
		out = append(out, f)
	}
	return out
}

// valuesOf copies the values of an event by their names, as the scan does for
// correlations.
func (a *App) valuesOf(ev *model.Event) map[string][]string {
	out := make(map[string][]string, len(ev.Slots))
	for _, s := range ev.Slots {
		if name := a.names.Name(s.Field); name != "" {
			out[name] = append(out[name], strings.Clone(s.Text))
		}
	}
	return out
}

// findRules returns the places of the rules that ref names: by id, else by name,
// by title, or by file.
func (a *App) findRules(ref string) []int {
	for _, is := range []func(*sigma.Rule) bool{
		func(r *sigma.Rule) bool { return strings.EqualFold(r.ID, ref) },
		func(r *sigma.Rule) bool { return r.Name == ref },
		func(r *sigma.Rule) bool { return strings.EqualFold(r.Title, ref) },
		func(r *sigma.Rule) bool { return r.File == ref },
	} {
		var out []int
		for i, r := range a.rules {
			if is(r) {
				out = append(out, i)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// ruleCalled is findRules for a reference that must mean one rule.
func (a *App) ruleCalled(ref string) (int, error) {
	switch found := a.findRules(ref); len(found) {
	case 0:
		return 0, fmt.Errorf("there is no rule with the id, name or title %q, or it cannot be used", ref)
	case 1:
		return found[0], nil
	default:
		return 0, fmt.Errorf("%d rules are called %q: use the id", len(found), ref)
	}
}
