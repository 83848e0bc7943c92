package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// The states of a delivery, as the column has them.
const (
	statePending = 0
	stateDead    = 2
)

// A Delivery is one change on its way by one route to one target.
type Delivery struct {
	ID     int64        `json:"id"`
	Change model.Change `json:"change"`
	Route  string       `json:"route"`
	Target string       `json:"target"`
	Key    string       `json:"key"`   // of the conversation that it belongs to
	Tries  int          `json:"tries"` // that failed
	After  time.Time    `json:"after"` // not before; of a dead letter, when it was given up
	// Merge lets a later change with Merge, of the same route, target and key, take its
	// place while it waits.
	Merge    bool      `json:"merge,omitempty"`
	Error    string    `json:"error,omitempty"`
	Thread   string    `json:"thread,omitempty"`   // what the target called the conversation when it was told last
	LastTold time.Time `json:"last_told,omitzero"` // of the route and key
}

// plannedFact is the number of the last change that was planned.
const plannedFact = "planned"

func planned(q querier) (n int64, err error) {
	err = q.get("SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM fact WHERE name = '"+plannedFact+"'", nil, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}

// Unplanned returns changes for which no deliveries were planned yet, oldest first.
func (c *Cases) Unplanned(ctx context.Context, limit int) (out []model.Change, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		n, err := planned(s)
		if err == nil {
			out, err = changes(s, "seq > ?", []any{n}, bounded(limit, 100, MaxPage))
		}
		return err
	})
	return out, err
}

// Plan records the deliveries of one change, perhaps none; changes are planned in their
// order, and each once: planning one again does nothing.
func (c *Cases) Plan(ctx context.Context, change int64, l []Delivery) error {
	if len(l) > maxValues*maxValues {
		return invalid("%d deliveries of change %d", len(l), change)
	}
	return c.db.update(ctx, "write the outbox of", func(t *tx) error {
		old, err := planned(t)
		if err != nil || change <= old {
			return err
		}
		var there int
		if err := t.get("SELECT (SELECT count(*) FROM change WHERE seq = ?)", []any{change}, &there); err != nil {
			return err
		}
		if there == 0 {
			return fmt.Errorf("%w: change %d", ErrNotFound, change)
		}
		for _, d := range l {
			if d.Merge {
				n, err := t.exec("UPDATE OR IGNORE delivery SET change = ? WHERE id = (SELECT id FROM delivery WHERE route = ? AND key = ? AND state = 0 AND target = ? AND folds = 1 ORDER BY id LIMIT 1)", change, d.Route, d.Key, d.Target)
				if err != nil {
					return err
				}
				if n > 0 {
					continue
				}
			}
			if _, err := t.exec("INSERT OR IGNORE INTO delivery (change, route, target, key, state, tries, due, folds, error) VALUES (?, ?, ?, ?, 0, 0, ?, ?, '')", change, clip(d.Route), clip(d.Target), clip(d.Key), clampMicro(d.After), d.Merge); err != nil {
				return err
			}
		}
		_, err = t.exec("INSERT INTO fact (name, value) VALUES ('"+plannedFact+"', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", fmt.Append(nil, change))
		return err
	})
}

// LastTold is when a route last told about a key, zero if never.
func (c *Cases) LastTold(ctx context.Context, route, key string) (at time.Time, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		var v sql.NullInt64
		err := s.get("SELECT max(told) FROM delivery WHERE route = ? AND key = ? AND state = 1", []any{route, key}, &v)
		at = moment(v)
		return err
	})
	return at, err
}

// Due returns deliveries whose time has come, the longest due first; limit is 100 if it
// is 0. They stay due until Done or Fail says otherwise: one worker asks.
func (c *Cases) Due(ctx context.Context, now time.Time, limit int) (out []Delivery, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		out, err = deliveries(s, "d.state = 0 AND d.due <= ?", []any{clampMicro(now)}, "d.due, d.id", bounded(limit, 100, MaxPage))
		return err
	})
	return out, err
}

// NextDue is when the next delivery is due, which may be past; zero if none waits.
func (c *Cases) NextDue(ctx context.Context) (at time.Time, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		var v sql.NullInt64
		err := s.get("SELECT min(due) FROM delivery WHERE state = 0", nil, &v)
		at = moment(v)
		return err
	})
	return at, err
}

func deliveries(q querier, cond string, args []any, order string, limit int) ([]Delivery, error) {
	out := []Delivery{}
	err := q.each("SELECT c.seq, c.doc, d.id, d.route, d.target, d.key, d.tries, d.due, d.folds, d.error, "+
		"coalesce((SELECT value FROM thread AS t WHERE t.target = d.target AND t.key = d.key), ''), (SELECT max(told) FROM delivery AS o WHERE o.route = d.route AND o.key = d.key AND o.state = 1) "+
		"FROM delivery AS d JOIN change AS c ON c.seq = d.change WHERE "+cond+" ORDER BY "+order+" LIMIT ?", append(args, limit), func(r *sql.Rows) error {
		var d Delivery
		var due int64
		var told sql.NullInt64
		var err error
		d.Change, err = scanChange(r.Scan, &d.ID, &d.Route, &d.Target, &d.Key, &d.Tries, &due, &d.Merge, &d.Error, &d.Thread, &told)
		d.After, d.LastTold = time.UnixMicro(due).UTC(), moment(told)
		out = append(out, d)
		return err
	})
	return out, err
}

// Done notes that a delivery arrived, when, and what the target calls the conversation
// (empty if nothing new). One that was given up stays so.
func (c *Cases) Done(ctx context.Context, id int64, thread string, at time.Time) error {
	return c.settle(ctx, id, func(t *tx) error {
		if _, err := t.exec("UPDATE delivery SET state = 1, told = ?, error = '' WHERE id = ?", clampMicro(at), id); err != nil || thread == "" || len(thread) > maxText {
			return err
		}
		_, err := t.exec("INSERT INTO thread (target, key, value, at) SELECT target, key, ?, ? FROM delivery WHERE id = ? ON CONFLICT (target, key) DO UPDATE SET value = excluded.value, at = excluded.at", thread, clampMicro(at), id)
		return err
	})
}

// Fail notes that a delivery failed and why: to be tried again, or given up at that time.
func (c *Cases) Fail(ctx context.Context, id int64, why string, again time.Time, dead bool) error {
	return c.settle(ctx, id, func(t *tx) error {
		state := statePending
		if dead {
			state = stateDead
		}
		_, err := t.exec("UPDATE delivery SET tries = tries + 1, error = ?, due = ?, state = ? WHERE id = ?", clip(why), clampMicro(again), state, id)
		return err
	})
}

// settle runs fn for a delivery that is pending. One that is not is left as it is.
func (c *Cases) settle(ctx context.Context, id int64, fn func(*tx) error) error {
	return c.db.update(ctx, "write the outbox of", func(t *tx) error {
		var state int
		err := t.get("SELECT state FROM delivery WHERE id = ?", []any{id}, &state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: delivery %d", ErrNotFound, id)
		case err != nil || state != statePending:
			return err
		}
		return fn(t)
	})
}

// DeadLetters returns one page of the deliveries that were given up, the latest first.
func (c *Cases) DeadLetters(ctx context.Context, cursorText string, limit int) (p Page[Delivery], err error) {
	of := digestOf("dead letters")
	key, err := parseCursor(cursorText, of, 1)
	if err != nil {
		return p, err
	}
	w := where{}
	w.and("d.state = ?", stateDead)
	if key != nil {
		w.and("d.id < ?", key[0])
	}
	limit = bounded(limit, 50, MaxPage)
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		l, err := deliveries(s, w.sql()[len(" WHERE "):], w.args, "d.id DESC", limit+1)
		if err != nil {
			return err
		}
		p = Page[Delivery]{Items: l}
		if len(l) > limit {
			p.Items = l[:limit]
			p.Next = cursor{Of: of, Key: []int64{l[limit-1].ID}}.String()
		}
		return nil
	})
	return p, err
}

// Requeue makes one dead letter due, or all with id 0, as if they had never been tried.
// It returns how many.
func (c *Cases) Requeue(ctx context.Context, id int64, due time.Time) (n int64, err error) {
	err = c.db.update(ctx, "write the outbox of", func(t *tx) error {
		n, err = t.exec("UPDATE delivery SET state = 0, tries = 0, due = ?1 WHERE state = 2 AND (?2 = 0 OR id = ?2)", clampMicro(due), id)
		return err
	})
	return n, err
}

// Outbox counts deliveries.
type Outbox struct {
	Unplanned int64      `json:"unplanned"` // changes of which nobody decided yet whom to tell
	Pending   int64      `json:"pending"`
	Dead      int64      `json:"dead"`
	Oldest    *time.Time `json:"oldest,omitempty"` // when the oldest pending one is due, or was
}

// OutboxStats says how the outbox stands.
func (c *Cases) OutboxStats(ctx context.Context) (o Outbox, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		var oldest sql.NullInt64
		if err := s.get("SELECT count(*), min(due) FROM delivery WHERE state = ?", []any{statePending}, &o.Pending, &oldest); err != nil {
			return err
		}
		o.Oldest = momentOf(oldest)
		if err := s.get("SELECT count(*) FROM delivery WHERE state = ?", []any{stateDead}, &o.Dead); err != nil {
			return err
		}
		n, err := planned(s)
		if err != nil {
			return err
		}
		return s.get("SELECT count(*) FROM change WHERE seq > ?", []any{n}, &o.Unplanned)
	})
	return o, err
}
