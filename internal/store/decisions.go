package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
)

// Expect is what who decides has seen: a decision about an incident that has changed
// since is refused. Zero fields expect nothing.
type Expect struct {
	Version int64 // of the incident as the engine wrote it
	Edit    int64 // of what people said about it
	// Unknown allows targets that the store does not know (yet), as a journal that is
	// brought along has.
	Unknown bool
}

// Decided is what became of a decision.
type Decided struct {
	Decision model.Decision // with its id
	Applied  bool           // false if it had been said before
	Incident string         // the incident it is about today; empty if it is about none, or several
	Edit     int64          // of that incident, from now on
	Changes  []model.Change // that it made
}

// Decide adds a decision to the journal, lays it over the incident it is about and puts
// the change into the outbox, in one transaction. A decision is one of casebook; the same
// one twice is one. Errors: ErrInvalid, ErrNotFound for a target that there is not,
// ErrConflict for an expectation that does not hold, ErrLimit.
//
// Status, owner and verdict show at once. What changes fusion (cut, link, split, merge,
// move, exclude, suppress) shows when the engine has folded it.
func (c *Cases) Decide(ctx context.Context, d model.Decision, x Expect) (out Decided, err error) {
	d.At, d.Effect = d.At.UTC(), ""
	if err := casebook.Check(d); err != nil {
		return out, invalid("%v", err)
	}
	d.ID = model.DecisionID(d)
	doc, err := json.Marshal(d)
	if err != nil {
		return out, invalid("%v", err)
	}
	err = c.db.update(ctx, "write a decision to", func(t *tx) error {
		out = Decided{Decision: d}
		about, err := aboutOf(t, d, x.Unknown)
		if err != nil {
			return err
		}
		if len(about) == 1 {
			out.Incident = about[0]
		}
		var known int
		if err := t.get("SELECT (SELECT count(*) FROM decision WHERE id = ?)", []any{d.ID}, &known); err != nil {
			return err
		}
		if known > 0 {
			return editOf(t, &out)
		}
		for _, id := range about {
			var version, edit int64
			err := t.get("SELECT version, edit FROM incident WHERE id = ?", []any{id}, &version, &edit)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if x.Version != 0 && x.Version != version || x.Edit != 0 && x.Edit != edit {
				return fmt.Errorf("%w: incident %s is at %d-%d", ErrConflict, id, version, edit)
			}
		}
		if err := say(t, d, doc); err != nil {
			return err
		}
		out.Applied = true
		for _, id := range about {
			if err := refold(t, id); err != nil {
				return err
			}
			if _, err := t.exec("UPDATE incident SET edit = edit + 1, updated = max(updated, ?) WHERE id = ?", clampMicro(d.At), id); err != nil {
				return err
			}
			if err := milestonesOf(t, d, id); err != nil {
				return err
			}
			ch, err := addChange(t, model.Change{Time: d.At, Kind: model.IncidentEdited, Incident: id, Actor: d.Author, Detail: detailOf(d)})
			if err != nil {
				return err
			}
			out.Changes = append(out.Changes, ch)
		}
		return editOf(t, &out)
	})
	if err != nil {
		return Decided{}, err
	}
	c.announce(out.Changes)
	return out, nil
}

func editOf(q querier, out *Decided) error {
	err := q.get("SELECT edit FROM incident WHERE id = ?", []any{out.Incident}, &out.Edit)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func detailOf(d model.Decision) string {
	if d.Value == "" {
		return string(d.Kind)
	}
	return string(d.Kind) + ": " + d.Value
}

// aboutOf returns the incidents that a decision is about, by their ids of today.
func aboutOf(t *tx, d model.Decision, unknown bool) ([]string, error) {
	targets := d.Targets
	if d.Kind == model.Undo {
		old, err := decisionByID(t, d.Targets[0])
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil, fmt.Errorf("%w: decision %s", ErrNotFound, d.Targets[0])
		case err != nil:
			return nil, err
		case old.At.After(d.At):
			return nil, invalid("decision %s was made later than what takes it back", old.ID)
		}
		targets, unknown = old.Targets, true
		if old.Kind == model.Undo {
			return nil, invalid("decision %s took one back: decide anew instead", old.ID)
		}
	}
	var out []string
	for _, id := range targets {
		var inc sql.NullString
		var err error
		if strings.HasPrefix(id, "inc-") {
			if inc.String, err = resolve(t, id); err != nil {
				return nil, err
			}
			err = t.get("SELECT id FROM incident WHERE id = ?", []any{inc.String}, &inc)
		} else {
			err = t.get("SELECT incident FROM alert WHERE id = ?", []any{id}, &inc)
		}
		if errors.Is(err, sql.ErrNoRows) && !unknown {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if inc.Valid && inc.String != "" && !slices.Contains(out, inc.String) {
			out = append(out, inc.String)
		}
	}
	return out, nil
}

// say writes a decision into the journal.
func say(t *tx, d model.Decision, doc []byte) error {
	var n int
	if err := t.get("SELECT (SELECT count(*) FROM decision)", nil, &n); err != nil {
		return err
	}
	if n >= casebook.MaxDecisions {
		return fmt.Errorf("%w: %d decisions", ErrLimit, n)
	}
	num, err := t.insert("INSERT INTO decision (id, at, kind, author, doc) VALUES (?, ?, ?, ?, ?)", d.ID, clampMicro(d.At), string(d.Kind), d.Author, string(doc))
	if err != nil {
		return err
	}
	for _, target := range d.Targets {
		if _, err := t.exec("INSERT OR IGNORE INTO decision_target (target, decision) VALUES (?, ?)", target, num); err != nil {
			return err
		}
	}
	switch d.Kind {
	case model.Undo:
		if _, err := t.exec("UPDATE decision SET undone_by = ? WHERE id = ? AND undone_by IS NULL", d.ID, d.Targets[0]); err != nil {
			return err
		}
		// A verdict on alerts shows on them.
		_, err = t.exec("UPDATE alert SET verdict = (SELECT json_extract(doc, '$.value') FROM decision JOIN decision_target ON decision = decision.num WHERE target = alert.id AND kind = 'verdict' AND undone_by IS NULL ORDER BY at DESC, decision.num DESC LIMIT 1) "+
			"WHERE id IN (SELECT target FROM decision_target JOIN decision ON decision = decision.num WHERE decision.id = ? AND kind = 'verdict')", d.Targets[0])
	case model.JudgeAs:
		_, err = t.exec("UPDATE alert SET verdict = ? WHERE id = ?", d.Value, d.Targets[0])
	}
	return err
}

// refold works out anew what people said about an incident: of each kind of decision
// about it, or about one that is part of it now, the latest that was not taken back.
func refold(t *tx, id string) error {
	said := map[string]any{}
	if err := t.each("SELECT kind, json_extract(doc, '$.value') FROM decision JOIN decision_target ON decision = decision.num WHERE (target = ?1 OR target IN (SELECT from_id FROM redirect WHERE to_id = ?1)) "+
		"AND kind IN ('status', 'assign', 'verdict') AND undone_by IS NULL ORDER BY at, decision.num", []any{id}, func(r *sql.Rows) error {
		var kind string
		var value sql.NullString // an empty value is left out of the document
		err := r.Scan(&kind, &value)
		said[kind] = value.String
		return err
	}); err != nil {
		return err
	}
	_, err := t.exec("UPDATE incident SET said_status = ?, said_owner = ?, said_verdict = ? WHERE id = ?", said["status"], said["assign"], said["verdict"], id)
	return err
}

// milestonesOf notes that somebody took an incident up, or was done with it.
func milestonesOf(t *tx, d model.Decision, id string) error {
	var err error
	at := clampMicro(d.At)
	closes := d.Kind == model.SetStatus && (d.Value == "resolved" || d.Value == "closed")
	if closes || d.Kind == model.SetStatus && d.Value != "new" || d.Kind == model.Assign && d.Value != "" || d.Kind == model.JudgeAs {
		_, err = t.exec("UPDATE incident SET acknowledged = coalesce(acknowledged, ?) WHERE id = ?", at, id)
	}
	if err == nil && closes {
		_, err = t.exec("UPDATE incident SET contained = coalesce(contained, ?) WHERE id = ?", at, id)
	}
	return err
}

// A Milestone is a time of an incident that others than the engine know.
type Milestone string

// The milestones that Reach sets.
const (
	Noticed      Milestone = "noticed"      // somebody was told
	Acknowledged Milestone = "acknowledged" // somebody took it up
	Contained    Milestone = "contained"    // it can do no more harm
)

// Reach notes that an incident came to a milestone. The first time counts; status
// decisions set Acknowledged and, when they resolve or close, Contained by themselves.
func (c *Cases) Reach(ctx context.Context, incident string, m Milestone, at time.Time) error {
	if m != Noticed && m != Acknowledged && m != Contained {
		return invalid("there is no milestone %q", m)
	}
	return c.db.update(ctx, "write a milestone to", func(t *tx) error {
		id, err := resolve(t, incident)
		if err != nil {
			return err
		}
		n, err := t.exec(fmt.Sprintf("UPDATE incident SET %[1]s = coalesce(%[1]s, ?) WHERE id = ?", m), stamp(at), id)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: incident %s", ErrNotFound, incident)
		}
		return err
	})
}

// A Said is a decision of the journal with its place and what became of it.
type Said struct {
	Seq      int64          `json:"seq"` // place in the journal
	Decision model.Decision `json:"decision"`
	UndoneBy string         `json:"undone_by,omitempty"` // id of the decision that took it back
}

// DecisionFilter picks decisions; zero fields pick all.
type DecisionFilter struct {
	Kinds  []model.DecisionKind `json:"kinds,omitempty"`
	Target string               `json:"target,omitempty"` // an alert, or an incident with all that is part of it
	// InForce leaves out what was taken back, and suppressions that ended by then.
	InForce time.Time `json:"in_force,omitzero"`
	After   int64     `json:"-"` // those later in the journal than this place
	Limit   int       `json:"-"` // 0 is 1000, which is also the most
}

// Decisions returns decisions in the order of the journal.
func (c *Cases) Decisions(ctx context.Context, f DecisionFilter) (out []Said, err error) {
	err = c.db.view(ctx, "read decisions of", func(s *snapshot) error {
		out, err = decisions(s, f)
		return err
	})
	return out, err
}

func decisions(q querier, f DecisionFilter) ([]Said, error) {
	w := where{}
	w.and("d.num > ?", f.After)
	if f.Target != "" {
		id, err := resolve(q, f.Target)
		if err != nil {
			return nil, err
		}
		w.and("d.num IN (SELECT decision FROM decision_target WHERE target = ? OR target = ? OR target IN (SELECT from_id FROM redirect WHERE to_id = ?))", id, f.Target, id)
	}
	anyOf(&w, "d.kind", f.Kinds)
	if !f.InForce.IsZero() {
		w.and("d.undone_by IS NULL AND (d.kind != 'suppress' OR unixepoch(json_extract(d.doc, '$.until'), 'subsec') > ?)", float64(clampMicro(f.InForce))/1e6)
	}
	var out []Said
	err := q.each("SELECT d.num, d.doc, coalesce(d.undone_by, '') FROM decision AS d"+w.sql()+" ORDER BY d.num LIMIT ?", append(w.args, bounded(f.Limit, 1000, 1000)), func(r *sql.Rows) error {
		var x Said
		var doc []byte
		if err := r.Scan(&x.Seq, &doc, &x.UndoneBy); err != nil {
			return err
		}
		if err := json.Unmarshal(doc, &x.Decision); err != nil {
			return fmt.Errorf("%w: decision %d (%w)", ErrDamaged, x.Seq, err)
		}
		out = append(out, x)
		return nil
	})
	return out, err
}

func decisionByID(q querier, id string) (d model.Decision, err error) {
	var doc []byte
	if err := q.get("SELECT doc FROM decision WHERE id = ?", []any{id}, &doc); err != nil {
		return d, err
	}
	return d, json.Unmarshal(doc, &d)
}

// Journal returns all decisions in the order in which they were made, as the casebook
// takes them.
func (c *Cases) Journal(ctx context.Context) ([]model.Decision, error) {
	var out []model.Decision
	err := c.db.view(ctx, "read decisions of", func(s *snapshot) error {
		for after := int64(0); ; {
			l, err := decisions(s, DecisionFilter{After: after})
			if err != nil || len(l) == 0 {
				return err
			}
			for _, x := range l {
				out = append(out, x.Decision)
			}
			after = l[len(l)-1].Seq
		}
	})
	slices.SortStableFunc(out, func(a, b model.Decision) int { return a.At.Compare(b.At) })
	return out, err
}
