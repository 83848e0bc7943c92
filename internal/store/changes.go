package store

import (
	"context"
	"database/sql"
	"encoding/json"
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
