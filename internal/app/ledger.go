package app

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/fusion"
	"github.com/catena-sec/catena/internal/ledger"
	"github.com/catena-sec/catena/internal/model"
)

// A book is the long memory of one run: of a file, or of the run alone.
type book struct {
	*ledger.Ledger
	path string // empty without a file
}

// openBook takes hold of the memory file first of all, so that a run does not find out
// at its end that it cannot be used.
func (a *App) openBook() (*book, error) {
	if a.opt.Memory == "" {
		return &book{Ledger: ledger.New(ledger.Options{})}, nil
	}
	l, err := ledger.Open(a.opt.Memory, ledger.Options{})
	if err != nil {
		return nil, err
	}
	return &book{l, a.opt.Memory}, nil
}

// release lets go of the file and what was not committed.
func (b *book) release() { _ = b.Close() }

// longRun is from what span on evidence holds acts that fusion looks back to no more.
const longRun = 7 * 24 * time.Hour

// over returns the memory that fusion over those alerts needs: none if none outlives
// the run, and the run is too short to have forgotten anything.
func (b *book) over(alerts []*model.Alert) fusion.Ledger {
	if b.path != "" {
		return b.Ledger
	}
	var first, last time.Time
	for i, al := range alerts {
		if i == 0 || al.Time.Before(first) {
			first = al.Time
		}
		if i == 0 || al.Time.After(last) {
			last = al.Time
		}
	}
	if last.Sub(first) < longRun {
		return nil
	}
	return b.Ledger
}

// keep writes the memory and says in the report which was used. A file that fails is an
// input that could not be read: the report stands without it.
func (b *book) keep(r *model.Report) {
	if b.path == "" {
		return
	}
	if err := b.Commit(); err != nil {
		r.Inputs = append(r.Inputs, model.Input{Path: b.path, Format: "memory", Errors: []model.InputError{{Offset: -1, Count: 1, Cause: err.Error()}}})
		slices.SortStableFunc(r.Inputs, func(x, y model.Input) int { return cmp.Compare(x.Path, y.Path) })
		r.Notes = append(r.Notes, "The memory of earlier runs could not be used to the end, and this run is not in it.")
		return
	}
	s := b.Stats()
	before := "it begins with this run"
	if s.Runs > 0 {
		before = "it was made by one earlier run"
		if s.Runs > 1 {
			before = fmt.Sprintf("it was made by %d earlier runs", s.Runs)
		}
		if !s.First.IsZero() {
			before += fmt.Sprintf(" over alerts from %s to %s", s.First.Format(time.DateOnly), s.Last.Format(time.DateOnly))
		}
	}
	note := fmt.Sprintf("Memory of %d entities was used; %s. This run brought %d and saw %d again.", s.Entities, before, s.Added, s.Renewed)
	if s.Refused > 0 {
		note += fmt.Sprintf(" There was no room for %d more, those with the weakest evidence.", s.Refused)
	}
	if s.Evicted > 0 {
		note += fmt.Sprintf(" Until now %d were let go for lack of room, those with the weakest evidence first.", s.Evicted)
	}
	r.Notes = append(r.Notes, note)
}

// bringBack finds the alerts of this evidence that incidents remember and none holds:
// each is shown as context of the first incident that does.
func bringBack(results []*fusion.Result) map[string][]*model.Alert {
	held := map[string]bool{}
	for _, r := range results {
		for _, m := range r.Members {
			if r.Raised {
				held[m.Alert.ID] = true
			}
		}
	}
	back := map[string][]*model.Alert{}
	for _, r := range results {
		for _, x := range r.Earlier {
			if r.Raised && x.In != nil && !held[x.In.ID] {
				held[x.In.ID] = true
				back[r.ID] = append(back[r.ID], x.In)
			}
		}
	}
	return back
}
