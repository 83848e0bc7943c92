package app

import (
	"fmt"
	"slices"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// decisions are the journal of analysts' decisions that a run was given, and what it
// came to; nil if it was given none.
type decisions struct {
	journal *casebook.Journal
	book    *casebook.Book // over the alerts of the run
	input   model.Input
}

// readDecisions reads the journal that the run was given. Lines that cannot be used
// are errors of an input, as with evidence; a file that cannot be read is one of the
// run, since incidents without the decisions would be others.
func (a *App) readDecisions() (*decisions, error) {
	path := a.opt.Decisions
	if path == "" {
		return nil, nil
	}
	j, bad, err := casebook.Load(path)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	d := &decisions{journal: j, input: model.Input{Path: path, Format: "decisions", Bytes: j.Bytes, Skipped: int64(len(bad))}}
	for _, p := range bad {
		cause := p.Cause
		if p.Line > 0 {
			cause = fmt.Sprintf("line %d: %s", p.Line, p.Cause)
		}
		d.input.Errors = append(d.input.Errors, model.InputError{Offset: -1, Cause: cause, Count: 1})
	}
	return d, nil
}

// over works out what is in force over the alerts of the run.
func (d *decisions) over(alerts []*model.Alert) *casebook.Book {
	if d == nil {
		return nil
	}
	d.book = d.journal.Apply(alerts)
	return d.book
}

// tell says in the report what the decisions did. A suppressed alert is not among
// the serious ones that joined nothing.
func (d *decisions) tell(r *model.Report) {
	if d == nil {
		return
	}
	quiet := map[string]bool{}
	for i := range r.Alerts {
		if d.book.Suppressed(&r.Alerts[i]) != "" {
			quiet[r.Alerts[i].ID] = true
		}
	}
	r.Alone = slices.DeleteFunc(r.Alone, func(id string) bool { return quiet[id] })
	r.Inputs = append(r.Inputs, d.input)
	d.book.Annotate(r)
}
