package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// AlertFilter picks alerts: those that meet every field that is set, and of a list one of
// its values.
type AlertFilter struct {
	Incident *string          `json:"incident,omitempty"` // id of today; empty: alerts of no incident
	Severity []model.Severity `json:"severity,omitempty"`
	Rule     []string         `json:"rule,omitempty"`
	Product  []string         `json:"product,omitempty"`
	Stage    []string         `json:"stage,omitempty"`
	Verdict  []string         `json:"verdict,omitempty"`
	Entity   *model.EntityKey `json:"entity,omitempty"`
	Text     string           `json:"text,omitempty"` // looked for in the rule's title, without regard to case
	Since    time.Time        `json:"since,omitzero"` // by the first match, in [Since, Until)
	Until    time.Time        `json:"until,omitzero"`

	Cursor string `json:"-"` // where the page before ended
	Limit  int    `json:"-"` // 0 is 50, maxAlertPage the most
}

// maxAlertPage bounds a page of alerts, whose documents hold records.
const maxAlertPage = 200

// An Alert is an alert as people see it.
type Alert struct {
	model.Alert        // its Incident is the one it is in today
	Verdict     string `json:"verdict,omitempty"` // as a person judged
}

// Alerts returns one page of alerts, the latest first.
func (c *Cases) Alerts(ctx context.Context, f AlertFilter) (p Page[Alert], err error) {
	for _, n := range []int{len(f.Severity), len(f.Rule), len(f.Product), len(f.Stage), len(f.Verdict)} {
		if n > maxValues {
			return p, invalid("a filter with more than %d values", maxValues)
		}
	}
	if len(f.Text) > maxText {
		return p, invalid("a text of more than %d bytes", maxText)
	}
	of := digestOf(f)
	key, err := parseCursor(f.Cursor, of, 2)
	if err != nil {
		return p, err
	}
	w := where{}
	from := "alert AS a"
	columns := "a.time, a.num"
	if f.Entity != nil {
		// The index of the entity is in the order of the list.
		from, columns = "entity_alert AS ea JOIN alert AS a ON a.num = ea.alert", "ea.time, ea.alert"
		w.and("ea.entity = (SELECT num FROM entity WHERE type = ? AND value = ?)", string(f.Entity.Type), f.Entity.Value)
	}
	if f.Incident != nil && *f.Incident == "" {
		w.and("a.incident IS NULL")
	}
	if f.Incident != nil && *f.Incident != "" {
		w.and("a.incident = ?", *f.Incident)
	}
	if len(f.Severity) > 0 {
		ranks := make([]any, len(f.Severity))
		for i, s := range f.Severity {
			ranks[i] = s.Rank()
		}
		w.and("a.severity IN (?"+strings.Repeat(", ?", len(ranks)-1)+")", ranks...)
	}
	anyOf(&w, "a.rule", f.Rule)
	anyOf(&w, "a.product", f.Product)
	anyOf(&w, "a.stage", f.Stage)
	anyOf(&w, "a.verdict", f.Verdict)
	if f.Text != "" {
		w.and("instr(lower(a.title), ?) > 0", strings.ToLower(f.Text))
	}
	timeColumn, _, _ := strings.Cut(columns, ",")
	if !f.Since.IsZero() {
		w.and(timeColumn+" >= ?", clampMicro(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(timeColumn+" < ?", clampMicro(f.Until))
	}
	w.after(columns, key)
	limit := bounded(f.Limit, 50, maxAlertPage)
	type found struct {
		incident, verdict sql.NullString
		doc               []byte
	}
	var rows []found
	var next string
	err = c.db.view(ctx, "list the alerts of", func(s *snapshot) error {
		var last []int64
		return s.each("SELECT a.time, a.num, a.incident, a.verdict, a.doc FROM "+from+w.sql()+" ORDER BY "+strings.ReplaceAll(columns, ",", " DESC,")+" DESC LIMIT ?", append(w.args, limit+1), func(r *sql.Rows) error {
			if len(rows) == limit {
				next = cursor{Of: of, Key: last}.String()
				return nil
			}
			var a found
			last = make([]int64, 2)
			err := r.Scan(&last[0], &last[1], &a.incident, &a.verdict, &a.doc)
			rows = append(rows, a)
			return err
		})
	})
	if err != nil {
		return p, err
	}
	p = Page[Alert]{Items: make([]Alert, 0, len(rows)), Next: next}
	for _, r := range rows {
		a, err := c.alertOf(r.doc, r.incident, r.verdict)
		if err != nil {
			return p, explain("read an alert of", c.db.path, err)
		}
		p.Items = append(p.Items, a)
	}
	return p, nil
}

func (c *Cases) alertOf(doc []byte, incident, verdict sql.NullString) (a Alert, err error) {
	if err := c.undocument(doc, &a.Alert); err != nil {
		return a, err
	}
	a.Incident, a.Verdict = nil, verdict.String
	if incident.Valid {
		a.Incident = &incident.String
	}
	return a, nil
}

// Alert returns one alert; ErrNotFound if there is none.
func (c *Cases) Alert(ctx context.Context, id string) (a Alert, err error) {
	var incident, verdict sql.NullString
	var doc []byte
	err = c.db.view(ctx, "read an alert of", func(s *snapshot) error {
		err := s.get("SELECT incident, verdict, doc FROM alert WHERE id = ?", []any{id}, &incident, &verdict, &doc)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: alert %s", ErrNotFound, id)
		}
		return err
	})
	if err != nil {
		return a, err
	}
	a, err = c.alertOf(doc, incident, verdict)
	return a, explain("read alert "+id+" of", c.db.path, err)
}

// AlertsByID returns those of the alerts that there are, at most 200, in the order asked.
func (c *Cases) AlertsByID(ctx context.Context, ids []string) ([]Alert, error) {
	out := []Alert{}
	for _, id := range ids[:min(len(ids), maxAlertPage)] {
		a, err := c.Alert(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
