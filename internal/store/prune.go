package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// CasesRetention says what of cases may go; zero values keep for ever. Open incidents and
// all that is in them, decisions, objects and the audit always stay. Ages are by when the
// engine wrote last, not by what evidence says of its own time.
type CasesRetention struct {
	Alerts    time.Time // alerts of no incident that changed last before this
	Incidents time.Time // incidents, with their alerts, that are closed, merged or withdrawn and changed last before this
	Changes   time.Time // changes from before this that nobody is to be told of any more
	// Bytes is how large the file may be inside: beyond it alerts of no incident go, those
	// that changed longest ago first, and then incidents as above, whatever their age.
	Bytes int64
}

// Pruned counts what went.
type Pruned struct {
	Alerts    int64
	Incidents int64
	Changes   int64
	Entities  int64
}

// pruneBatch is how many rows go in one transaction, so that the engine never waits long.
const pruneBatch = 200

// Prune deletes what may go, in many small transactions. It ends early, with what it has
// done, when the context does.
func (c *Cases) Prune(ctx context.Context, keep CasesRetention) (p Pruned, err error) {
	far := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	steps := []struct {
		before time.Time
		batch  func(t *tx, before int64) (gone int64, more bool, err error)
		count  *int64
		large  bool // also when the file is too large
	}{
		{keep.Alerts, pruneAlerts, &p.Alerts, true},
		{keep.Incidents, pruneIncidents, &p.Incidents, true},
		{keep.Changes, pruneChanges, &p.Changes, false},
	}
	for _, s := range steps {
		for {
			var n int64
			var more bool
			err := c.db.update(ctx, "prune", func(t *tx) error {
				before := s.before
				if s.large && keep.Bytes > 0 {
					used, err := usedBytes(t)
					if err != nil {
						return err
					}
					if used > keep.Bytes {
						before = far
					}
				}
				if n, more = 0, false; before.IsZero() {
					return nil
				}
				var err error
				n, more, err = s.batch(t, clampMicro(before))
				return err
			})
			if err != nil {
				return p, err
			}
			if *s.count += n; !more {
				break
			}
		}
	}
	for {
		var n int64
		if err := c.db.update(ctx, "prune", func(t *tx) (err error) {
			n, err = t.exec("DELETE FROM entity WHERE num IN (SELECT num FROM entity WHERE alerts <= 0 AND incidents <= 0 LIMIT ?)", pruneBatch)
			return err
		}); err != nil || n == 0 {
			return p, err
		}
		p.Entities += n
	}
}

func usedBytes(q querier) (n int64, err error) {
	err = q.get("SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s", nil, &n)
	return n, err
}

func numbersOf(q querier, query string, args ...any) (out []int64, err error) {
	err = q.each(query, args, func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		out = append(out, n)
		return err
	})
	return out, err
}

func pruneAlerts(t *tx, before int64) (int64, bool, error) {
	l, err := numbersOf(t, "SELECT num FROM alert INDEXED BY alert_free WHERE incident IS NULL AND updated < ? ORDER BY updated, num LIMIT ?", before, pruneBatch)
	if err != nil {
		return 0, false, err
	}
	return int64(len(l)), len(l) > 0, t.deleteAlerts(l)
}

func (t *tx) deleteAlerts(l []int64) error {
	for _, num := range l {
		if err := t.unlinkAlert(num); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM alert WHERE num = ?", num); err != nil {
			return err
		}
	}
	return nil
}

// pruneIncidents deletes one incident, or a part of its alerts if it has many.
func pruneIncidents(t *tx, before int64) (int64, bool, error) {
	var num int64
	var id string
	err := t.get("SELECT num, id FROM incident WHERE (gone != 0 OR open = 0) AND updated < ? ORDER BY updated, num LIMIT 1", []any{before}, &num, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	l, err := numbersOf(t, "SELECT num FROM alert WHERE incident = ? LIMIT ?", id, pruneBatch)
	if err != nil {
		return 0, false, err
	}
	if err := t.deleteAlerts(l); err != nil || len(l) == pruneBatch {
		return 0, true, err
	}
	if err := t.forget(num); err != nil {
		return 0, false, err
	}
	for _, q := range []string{"DELETE FROM history WHERE incident = ?", "DELETE FROM redirect WHERE from_id = ?1 OR to_id = ?1", "DELETE FROM incident_doc WHERE incident = (SELECT num FROM incident WHERE id = ?)", "DELETE FROM incident WHERE id = ?"} {
		if _, err := t.exec(q, id); err != nil {
			return 0, false, err
		}
	}
	return 1, true, nil
}

func pruneChanges(t *tx, before int64) (int64, bool, error) {
	upTo, err := planned(t)
	if err != nil {
		return 0, false, err
	}
	l, err := numbersOf(t, "SELECT seq FROM change WHERE at < ? AND seq <= ? AND NOT EXISTS (SELECT 1 FROM delivery WHERE change = seq AND state = 0) ORDER BY seq LIMIT ?", before, upTo, pruneBatch)
	if err != nil {
		return 0, false, err
	}
	for _, seq := range l {
		if _, err := t.exec("DELETE FROM delivery WHERE change = ?", seq); err != nil {
			return 0, false, err
		}
		if _, err := t.exec("DELETE FROM change WHERE seq = ?", seq); err != nil {
			return 0, false, err
		}
	}
	return int64(len(l)), len(l) > 0, nil
}

// CasesStats count what is stored.
type CasesStats struct {
	Offset    uint64 `json:"offset"`
	Incidents int64  `json:"incidents"` // in lists
	Open      int64  `json:"open"`      // of them
	Alerts    int64  `json:"alerts"`
	Entities  int64  `json:"entities"`
	Decisions int64  `json:"decisions"`
	Bytes     int64  `json:"bytes"` // of the file that are used
}

// Stats counts what is stored.
func (c *Cases) Stats(ctx context.Context) (out CasesStats, err error) {
	err = c.db.view(ctx, "count", func(s *snapshot) error {
		if out.Offset, err = offset(s); err != nil {
			return err
		}
		if out.Bytes, err = usedBytes(s); err != nil {
			return err
		}
		return s.get("SELECT (SELECT count(*) FROM incident WHERE gone = 0), (SELECT count(*) FROM incident WHERE gone = 0 AND open = 1), (SELECT count(*) FROM alert), (SELECT count(*) FROM entity), (SELECT count(*) FROM decision)", nil,
			&out.Incidents, &out.Open, &out.Alerts, &out.Entities, &out.Decisions)
	})
	return out, err
}
