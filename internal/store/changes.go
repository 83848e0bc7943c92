package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// addChange puts a change into the outbox and gives it its number.
func addChange(t *tx, ch model.Change) (model.Change, error) {
	ch.Seq = 0
	ch.Detail = clip(ch.Detail)
	ch.Time = time.UnixMicro(clampMicro(ch.Time)).UTC()
	doc, err := json.Marshal(ch)
	if err != nil {
		return ch, invalid("%v", err)
	}
	ch.Seq, err = t.insert("INSERT INTO change (at, kind, incident, doc) VALUES (?, ?, ?, ?)", ch.Time.UnixMicro(), string(ch.Kind), ch.Incident, string(doc))
	return ch, err
}

// announce wakes who waits for changes.
func (c *Cases) announce(changes []model.Change) {
	if len(changes) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastSeq = max(c.lastSeq, changes[len(changes)-1].Seq)
	close(c.grown)
	c.grown = make(chan struct{})
}

// AddChanges puts changes into the outbox that come from no round of the engine, such as
// a quiet source. They are returned with their numbers.
func (c *Cases) AddChanges(ctx context.Context, l ...model.Change) (out []model.Change, err error) {
	err = c.db.update(ctx, "write changes to", func(t *tx) error {
		out = nil
		for _, ch := range l {
			if ch, err = addChange(t, ch); err != nil {
				return err
			}
			out = append(out, ch)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.announce(out)
	return out, nil
}

// LastChange returns the number of the newest change, 0 if there is none.
func (c *Cases) LastChange() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastSeq
}

// Changes returns the changes with a number above after, in their order; limit is 500 if
// it is 0 or more. First is the lowest number that is still kept: who asks from below it
// has missed some.
func (c *Cases) Changes(ctx context.Context, after int64, limit int) (out []model.Change, first int64, err error) {
	err = c.db.view(ctx, "read changes of", func(s *snapshot) error {
		if err := s.get("SELECT coalesce(min(seq), 0) FROM change", nil, &first); err != nil {
			return err
		}
		out, err = changes(s, "seq > ?", []any{after}, bounded(limit, MaxPage, MaxPage))
		return err
	})
	return out, first, err
}

// IncidentChanges returns the latest changes of one incident, the latest last.
func (c *Cases) IncidentChanges(ctx context.Context, incident string, limit int) (out []model.Change, err error) {
	err = c.db.view(ctx, "read changes of", func(s *snapshot) error {
		out, err = changes(s, "seq IN (SELECT seq FROM change WHERE incident = ? ORDER BY seq DESC LIMIT ?)", []any{incident, bounded(limit, MaxPage, MaxPage)}, MaxPage)
		return err
	})
	return out, err
}

func changes(q querier, cond string, args []any, limit int) ([]model.Change, error) {
	var out []model.Change
	err := q.each("SELECT seq, doc FROM change WHERE "+cond+" ORDER BY seq LIMIT ?", append(args, limit), func(r *sql.Rows) error {
		ch, err := scanChange(r.Scan)
		out = append(out, ch)
		return err
	})
	return out, err
}

func scanChange(scan func(...any) error, more ...any) (ch model.Change, err error) {
	var seq int64
	var doc []byte
	if err := scan(append([]any{&seq, &doc}, more...)...); err != nil {
		return ch, err
	}
	if err := json.Unmarshal(doc, &ch); err != nil {
		return ch, fmt.Errorf("%w: change %d (%w)", ErrDamaged, seq, err)
	}
	ch.Seq = seq
	return ch, nil
}

// WaitChange returns as soon as there is a change with a number above after, or the
// context ends, whose error it returns.
func (c *Cases) WaitChange(ctx context.Context, after int64) error {
	for {
		c.mu.Lock()
		last, grown := c.lastSeq, c.grown
		c.mu.Unlock()
		if last > after {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The states of a delivery, as the column has them.
const (
	statePending = iota
	stateDone
	stateDead
)

// A Delivery is one change on its way by one route.
type Delivery struct {
	Change   model.Change `json:"change"`
	Route    string       `json:"route"`
	Attempts int          `json:"attempts"` // that failed
	Due      time.Time    `json:"due"`      // when to try next; of a dead letter when it was given up
	Error    string       `json:"error,omitempty"`
}

// routedFact is the number of the last change that was routed.
const routedFact = "routed"

// Routed returns the number of the last change for which routes were chosen.
func (c *Cases) Routed(ctx context.Context) (n int64, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		n, err = routed(s)
		return err
	})
	return n, err
}

func routed(q querier) (n int64, err error) {
	err = q.get("SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM fact WHERE name = '"+routedFact+"'", nil, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return n, err
}

// A Routing says by which route a change is to be delivered, and not before when.
type Routing struct {
	Change int64
	Route  string
	Due    time.Time
}

// Route notes that routes were chosen for all changes up to a number, and which. A change
// goes by a route once, however often this is called; what was routed before stays.
func (c *Cases) Route(ctx context.Context, upTo int64, l []Routing) error {
	return c.db.update(ctx, "write the outbox of", func(t *tx) error {
		for _, r := range l {
			if r.Route == "" || r.Change > upTo {
				return invalid("change %d by route %q is beyond %d or has no route", r.Change, r.Route, upTo)
			}
			if _, err := t.exec("INSERT OR IGNORE INTO delivery (change, route, state, attempts, due, error) SELECT seq, ?, 0, 0, ?, '' FROM change WHERE seq = ?", r.Route, clampMicro(r.Due), r.Change); err != nil {
				return err
			}
		}
		old, err := routed(t)
		if err != nil || upTo <= old {
			return err
		}
		_, err = t.exec("INSERT INTO fact (name, value) VALUES ('"+routedFact+"', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", fmt.Append(nil, upTo))
		return err
	})
}

// Due returns deliveries that are due, the longest due first, and when the next one is if
// these are all (zero if there is none). They stay due until Done, Fail or Dead says
// otherwise: one worker asks.
func (c *Cases) Due(ctx context.Context, now time.Time, limit int) (out []Delivery, next time.Time, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		out, err = deliveries(s, "d.state = 0 AND d.due <= ?", []any{clampMicro(now)}, "d.due, d.change, d.route", bounded(limit, 100, MaxPage))
		if err != nil {
			return err
		}
		var at sql.NullInt64
		err = s.get("SELECT min(due) FROM delivery WHERE state = 0 AND due > ?", []any{clampMicro(now)}, &at)
		next = moment(at)
		return err
	})
	return out, next, err
}

func deliveries(q querier, cond string, args []any, order string, limit int) ([]Delivery, error) {
	out := []Delivery{}
	err := q.each("SELECT c.seq, c.doc, d.route, d.attempts, d.due, d.error FROM delivery AS d JOIN change AS c ON c.seq = d.change WHERE "+cond+" ORDER BY "+order+" LIMIT ?", append(args, limit), func(r *sql.Rows) error {
		var d Delivery
		var due int64
		var err error
		d.Change, err = scanChange(r.Scan, &d.Route, &d.Attempts, &due, &d.Error)
		d.Due = time.UnixMicro(due).UTC()
		out = append(out, d)
		return err
	})
	return out, err
}

// Done notes that a delivery arrived.
func (c *Cases) Done(ctx context.Context, change int64, route string) error {
	return c.settle(ctx, change, route, "state = 1, error = ''")
}

// Fail notes that a delivery failed, why, and when to try again.
func (c *Cases) Fail(ctx context.Context, change int64, route, why string, retry time.Time) error {
	return c.settle(ctx, change, route, "attempts = attempts + 1, error = ?, due = ?", clip(why), clampMicro(retry))
}

// Dead notes that a delivery failed for good: it stays in the list of dead letters.
func (c *Cases) Dead(ctx context.Context, change int64, route, why string, at time.Time) error {
	return c.settle(ctx, change, route, "state = 2, attempts = attempts + 1, error = ?, due = ?", clip(why), clampMicro(at))
}

// settle changes a delivery that is pending. One that is not is left as it is.
func (c *Cases) settle(ctx context.Context, change int64, route, sets string, args ...any) error {
	return c.db.update(ctx, "write the outbox of", func(t *tx) error {
		n, err := t.exec("UPDATE delivery SET "+sets+" WHERE change = ? AND route = ? AND state = 0", append(args, change, route)...)
		if err != nil || n > 0 {
			return err
		}
		err = t.get("SELECT 1 FROM delivery WHERE change = ? AND route = ?", []any{change, route}, &n)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: change %d by %s", ErrNotFound, change, route)
		}
		return err
	})
}

// DeadLetters returns one page of the deliveries that were given up, the latest change
// first.
func (c *Cases) DeadLetters(ctx context.Context, cursorText string, limit int) (p Page[Delivery], err error) {
	of := digestOf("dead letters")
	key, err := parseCursor(cursorText, of, 2)
	if err != nil {
		return p, err
	}
	limit = bounded(limit, 50, MaxPage)
	w := where{}
	w.and("d.state = 2")
	offset := int64(0)
	if key != nil {
		w.and("d.change <= ?", key[0])
		offset = max(key[1], 0) // rows of that change that came before
	}
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		l, err := deliveries(s, w.sql()[len(" WHERE "):], w.args, "d.change DESC, d.route", int(offset)+limit+1)
		if err != nil {
			return err
		}
		l = l[min(int(offset), len(l)):]
		p = Page[Delivery]{Items: l[:min(limit, len(l))]}
		if len(l) > limit {
			last := p.Items[limit-1].Change.Seq
			n := int64(0)
			for _, d := range p.Items {
				if d.Change.Seq == last {
					n++
				}
			}
			if key != nil && key[0] == last {
				n += offset
			}
			p.Next = cursor{Of: of, Key: []int64{last, n}}.String()
		}
		return nil
	})
	return p, err
}

// Requeue makes dead letters due: one of a change and route, or all with change 0 or an
// empty route. It returns how many.
func (c *Cases) Requeue(ctx context.Context, change int64, route string, due time.Time) (n int64, err error) {
	err = c.db.update(ctx, "write the outbox of", func(t *tx) error {
		n, err = t.exec("UPDATE delivery SET state = 0, attempts = 0, due = ?1 WHERE state = 2 AND (?2 = 0 OR change = ?2) AND (?3 = '' OR route = ?3)", clampMicro(due), change, route)
		return err
	})
	return n, err
}

// Outbox counts deliveries.
type Outbox struct {
	Unrouted int64      `json:"unrouted"` // changes for which no routes were chosen yet
	Pending  int64      `json:"pending"`
	Dead     int64      `json:"dead"`
	Oldest   *time.Time `json:"oldest,omitempty"` // when the oldest pending one was due
}

// OutboxStats says how the outbox stands.
func (c *Cases) OutboxStats(ctx context.Context) (o Outbox, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		var oldest sql.NullInt64
		if err := s.get("SELECT count(*), min(due) FROM delivery WHERE state = 0", nil, &o.Pending, &oldest); err != nil {
			return err
		}
		o.Oldest = momentOf(oldest)
		if err := s.get("SELECT count(*) FROM delivery WHERE state = 2", nil, &o.Dead); err != nil {
			return err
		}
		n, err := routed(s)
		if err != nil {
			return err
		}
		return s.get("SELECT count(*) FROM change WHERE seq > ?", []any{n}, &o.Unrouted)
	})
	return o, err
}

// Thread returns what a route keeps of an incident, such as the id of the message under
// which later ones are posted; empty if nothing.
func (c *Cases) Thread(ctx context.Context, route, incident string) (v string, err error) {
	err = c.db.view(ctx, "read the outbox of", func(s *snapshot) error {
		err := s.get("SELECT value FROM thread WHERE route = ? AND incident = ?", []any{route, incident}, &v)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return v, err
}

// SetThread keeps it; an empty value deletes.
func (c *Cases) SetThread(ctx context.Context, route, incident, value string) error {
	if len(value) > maxText {
		return invalid("a thread's value of %d bytes, more than %d", len(value), maxText)
	}
	return c.db.update(ctx, "write the outbox of", func(t *tx) error {
		if value == "" {
			_, err := t.exec("DELETE FROM thread WHERE route = ? AND incident = ?", route, incident)
			return err
		}
		_, err := t.exec("INSERT INTO thread (route, incident, value) VALUES (?, ?, ?) ON CONFLICT (route, incident) DO UPDATE SET value = excluded.value", route, incident, value)
		return err
	})
}
