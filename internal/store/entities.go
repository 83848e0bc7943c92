package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Thing is an entity in a list.
type Thing struct {
	Type      model.EntityType `json:"type"`
	Value     string           `json:"value"`
	Name      string           `json:"name,omitempty"`
	FirstSeen time.Time        `json:"first_seen"` // in an alert or incident
	LastSeen  time.Time        `json:"last_seen"`
	Alerts    int              `json:"alerts"`
	Incidents int              `json:"incidents"`
}

// A RuleCount is how often a rule matched.
type RuleCount struct {
	Rule     string         `json:"rule"`
	Title    string         `json:"title"`
	Severity model.Severity `json:"severity"` // the worst
	Alerts   int            `json:"alerts"`
	Matches  int            `json:"matches"` // that the alerts stand for
}

// EntityPage is what is known of an entity.
type EntityPage struct {
	Thing
	Rules  []RuleCount `json:"rules"`  // of its latest alerts, the most frequent first, at most 100
	Open   int         `json:"open"`   // of its incidents, those neither resolved nor closed
	Latest []Listed    `json:"latest"` // its worst incidents by rank, at most 20; Incidents has all
}

// entityWindow is of how many of its latest alerts an entity's rules are counted.
const entityWindow = 10_000

// Entity returns what is known of an entity; ErrNotFound if nothing is.
func (c *Cases) Entity(ctx context.Context, k model.EntityKey) (p EntityPage, err error) {
	err = c.db.view(ctx, "read an entity of", func(s *snapshot) error {
		p = EntityPage{Rules: []RuleCount{}, Latest: []Listed{}}
		var num, first, last int64
		err := s.get("SELECT num, type, value, name, first_seen, last_seen, alerts, incidents FROM entity WHERE type = ? AND value = ?", []any{string(k.Type), k.Value}, &num, &p.Type, &p.Value, &p.Name, &first, &last, &p.Alerts, &p.Incidents)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %.200s", ErrNotFound, k)
		}
		if err != nil {
			return err
		}
		p.FirstSeen, p.LastSeen = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		if err := s.each("SELECT rule, max(title), max(severity), count(*), sum(count) FROM alert WHERE num IN (SELECT alert FROM entity_alert WHERE entity = ? ORDER BY time DESC, alert DESC LIMIT ?) GROUP BY rule ORDER BY 4 DESC, 1 LIMIT 100", []any{num, entityWindow}, func(r *sql.Rows) error {
			var n RuleCount
			var rank int64
			err := r.Scan(&n.Rule, &n.Title, &rank, &n.Alerts, &n.Matches)
			n.Severity = severityOf(rank)
			p.Rules = append(p.Rules, n)
			return err
		}); err != nil {
			return err
		}
		if err := s.get("SELECT count(*) FROM incident WHERE gone = 0 AND open = 1 AND num IN (SELECT incident FROM entity_incident WHERE entity = ?)", []any{num}, &p.Open); err != nil {
			return err
		}
		return s.each("SELECT "+listedColumns+" FROM incident WHERE gone = 0 AND num IN (SELECT incident FROM entity_incident WHERE entity = ?) ORDER BY open DESC, severity DESC, score DESC, last_seen DESC, num DESC LIMIT 20", []any{num}, func(r *sql.Rows) error {
			var l Listed
			_, err := scanListed(r.Scan, &l)
			p.Latest = append(p.Latest, l)
			return err
		})
	})
	return p, err
}

// EntityFilter picks entities.
type EntityFilter struct {
	Type   []model.EntityType `json:"type,omitempty"`
	Prefix string             `json:"prefix,omitempty"` // of the value, as it is written
	Text   string             `json:"text,omitempty"`   // anywhere in value or name, without regard to case of ASCII
	Since  time.Time          `json:"since,omitzero"`   // seen at or after

	Cursor string `json:"-"`
	Limit  int    `json:"-"` // 0 is 50, MaxPage the most
}

// Entities returns one page of entities, the last seen first.
func (c *Cases) Entities(ctx context.Context, f EntityFilter) (p Page[Thing], err error) {
	if len(f.Type) > maxValues || len(f.Text) > maxText || len(f.Prefix) > maxText {
		return p, invalid("a filter of more than %d values or %d bytes", maxValues, maxText)
	}
	of := digestOf(f)
	key, err := parseCursor(f.Cursor, of, 2)
	if err != nil {
		return p, err
	}
	w := where{}
	anyOf(&w, "type", f.Type)
	if f.Prefix != "" {
		w.and("substr(value, 1, length(?)) = ?", f.Prefix, f.Prefix)
	}
	if f.Text != "" {
		w.and("(instr(lower(value), lower(?)) > 0 OR instr(lower(name), lower(?)) > 0)", f.Text, f.Text)
	}
	if !f.Since.IsZero() {
		w.and("last_seen >= ?", clampMicro(f.Since))
	}
	w.after("last_seen, num", key)
	limit := bounded(f.Limit, 50, MaxPage)
	err = c.db.view(ctx, "list the entities of", func(s *snapshot) error {
		p = Page[Thing]{Items: []Thing{}}
		var keyOf []int64
		return s.each("SELECT num, type, value, name, first_seen, last_seen, alerts, incidents FROM entity"+w.sql()+" ORDER BY last_seen DESC, num DESC LIMIT ?", append(w.args, limit+1), func(r *sql.Rows) error {
			if len(p.Items) == limit {
				p.Next = cursor{Of: of, Key: keyOf}.String()
				return nil
			}
			var t Thing
			var num, first, last int64
			err := r.Scan(&num, &t.Type, &t.Value, &t.Name, &first, &last, &t.Alerts, &t.Incidents)
			t.FirstSeen, t.LastSeen = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
			keyOf = []int64{last, num}
			p.Items = append(p.Items, t)
			return err
		})
	})
	return p, err
}
