package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/store"
)

// Events are the raw events of one tenant, as *store.Events keeps them.
type Events interface {
	Search(ctx context.Context, q store.Query) (store.Found, error)
	Get(ctx context.Context, ids []string, from, to time.Time) ([]store.Row, error)
}

// EventPage is one page of a search.
type EventPage struct {
	Items []Event `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
	// Partial says that the search ended early, its time or budget being used up: the
	// next page goes on from there.
	Partial bool `json:"partial,omitempty" doc:"The search ended at its budget before the page was full; go on with next."`
	// Searched is of a partial page: all later events were looked at.
	Searched time.Time `json:"searched,omitzero" doc:"Of a partial page: all later events were looked at."`
	Took     float64   `json:"took_s"`
}

// An Event is one event at rest.
type Event struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Received  time.Time `json:"received"`
	Source    string    `json:"source" doc:"name of the receiver"`
	Format    string    `json:"format"`
	Host      string    `json:"host"`
	Code      string    `json:"code"`
	Product   string    `json:"product"`
	Category  string    `json:"category"`
	Service   string    `json:"service"`
	Subsystem string    `json:"subsystem"`
	Entities  []string  `json:"entities" doc:"each type:value"`
	Raw       string    `json:"raw" doc:"the record as it came; bytes that are no UTF-8 are replaced"`
	Cut       bool      `json:"cut,omitempty" doc:"raw is cut off"`
}

// eventFields are the fields that a hunt may name.
func eventFields() []string {
	return []string{"id", "source", "format", "host", "code", "product", "category", "service", "subsystem"}
}

// Bounds of a hunt.
const (
	huntWithin = 20 * time.Second
	huntsAt    = 2        // once
	maxTerms   = 20       // of each kind
	rawShown   = 64 << 10 // bytes of a record in an answer
	rawAll     = 4 << 20  // and of all of them
)

type huntQuery struct {
	Text, Not []string
	Fields    []string // as parseTerm takes them
	Entities  []string
	From, To  time.Time
	Cursor    string
	Limit     int
}

// parseTerm reads a condition on a field: name=value, name^=value (begins with) or
// name*=value (contains), each with a ! before the sign for its contrary.
func parseTerm(s string) (t store.Term, err error) {
	end := strings.IndexAny(s, "!=^*")
	if end < 0 || !slices.Contains(eventFields(), s[:end]) {
		return t, invalidInput("field %q: want name=value, name^=value (begins with) or name*=value (contains), with ! before the sign for the contrary; the names are %s", clip(s), strings.Join(eventFields(), ", "))
	}
	t.Field, s = s[:end], s[end:]
	s, t.Not = strings.CutPrefix(s, "!")
	switch {
	case strings.HasPrefix(s, "="):
		t.Op, t.Value = store.Is, s[1:]
	case strings.HasPrefix(s, "^="):
		t.Op, t.Value = store.Prefix, s[2:]
	case strings.HasPrefix(s, "*="):
		t.Op, t.Value = store.Contains, s[2:]
	default:
		return t, invalidInput("field %s: want =, ^= or *= after the name", t.Field)
	}
	if len(t.Value) > 1000 {
		return t, invalidInput("field %s: a value of more than 1000 bytes", t.Field)
	}
	return t, nil
}

// query is a hunt as the store takes it.
func (in *huntQuery) query() (store.Query, error) {
	q := store.Query{From: in.From, To: in.To, Entities: in.Entities, Text: in.Text, Not: in.Not, Cursor: in.Cursor, Limit: in.Limit, Time: huntWithin}
	if len(in.Text) > maxTerms || len(in.Not) > maxTerms || len(in.Fields) > maxTerms || len(in.Entities) > maxTerms || len(in.Cursor) > 1024 {
		return q, invalidInput("a hunt of more than %d texts, fields or entities", maxTerms)
	}
	for _, t := range slices.Concat(in.Text, in.Not) {
		if t == "" || len(t) > 500 {
			return q, invalidInput("text: want 1 to 500 bytes")
		}
	}
	for _, e := range in.Entities {
		if _, err := entityKey(e); err != nil {
			return q, err
		}
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return q, invalidInput("from: not before to")
	}
	for _, f := range in.Fields {
		t, err := parseTerm(f)
		if err != nil {
			return q, err
		}
		q.Terms = append(q.Terms, t)
	}
	return q, nil
}

// hunt searches the events of a tenant.
func (s *Server) hunt(ctx context.Context, c *call, in huntQuery) (p EventPage, err error) {
	q, err := in.query()
	if err != nil {
		return p, err
	}
	if c.Events == nil {
		return p, ErrUnsupported
	}
	select {
	case s.hunts <- struct{}{}:
		defer func() { <-s.hunts }()
	case <-ctx.Done():
		return p, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, huntWithin+5*time.Second)
	defer cancel()
	f, err := c.Events.Search(ctx, q)
	if err != nil {
		return p, err
	}
	return EventPage{Items: eventsOf(f.Rows), Next: f.Next, Partial: f.Partial, Searched: f.Searched, Took: f.Took.Seconds()}, nil
}

// eventsOf are rows as answers have them: their records bounded, since one may be of
// 16 MB, and text.
func eventsOf(rows []store.Row) []Event {
	out := make([]Event, 0, len(rows))
	left := rawAll
	for i := range rows {
		r := &rows[i]
		e := Event{ID: r.ID, Time: r.Time, Received: r.Received, Source: r.Source, Format: r.Format, Host: r.Host, Code: r.Code, Product: r.Product, Category: r.Category, Service: r.Service,
			Subsystem: r.Subsystem, Entities: r.Entities}
		raw := r.Raw
		if most := min(rawShown, left); len(raw) > most {
			raw, e.Cut = raw[:most], true
			for len(raw) > 0 && len(raw) > most-utf8.UTFMax && !utf8.Valid(raw[max(0, len(raw)-utf8.UTFMax):]) {
				raw = raw[:len(raw)-1]
			}
		}
		left -= len(raw)
		e.Raw = strings.ToValidUTF8(string(raw), "\uFFFD")
		out = append(out, e)
	}
	return out
}

// near is how far the time of an event may be from that of an alert that it shows: the
// alert's is corrected for clocks and zones.
const near = 26 * time.Hour

// find returns events by id, looking first near a time if there is one.
func find(ctx context.Context, e Events, ids []string, from, to time.Time) ([]store.Row, error) {
	var rows []store.Row
	if !from.IsZero() {
		var err error
		if rows, err = e.Get(ctx, ids, from.Add(-near), to.Add(near)); err != nil || len(rows) == len(ids) {
			return rows, err
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			return slices.ContainsFunc(rows, func(r store.Row) bool { return r.ID == id })
		})
	}
	more, err := e.Get(ctx, ids, time.Time{}, time.Time{})
	return append(rows, more...), err
}

// Records are the raw records that show an incident.
type Records struct {
	Items   []Event  `json:"items"`
	Missing []string `json:"missing" doc:"ids of events that are no longer kept; the alert's own copy, where it has one, stays"`
	Next    string   `json:"next,omitempty"`
}

func (s *Server) huntRoutes() {
	const tag = "hunt"
	read := route{Method: http.MethodGet, Tag: tag, Role: Viewer, Scope: "hunt:read", Errors: []int{http.StatusUnprocessableEntity, http.StatusNotImplemented}}
	read.Path, read.ID, read.Summary = "/events", "hunt", "Search raw events, the latest first"
	handle(s, read, func(ctx context.Context, c *call, in *struct {
		Of
		Paged
		Text   []string  `query:"text,explode" maxItems:"20" doc:"Parts of the record, of which all must be in it, without regard to case. Repeat the parameter for each."`
		Not    []string  `query:"not,explode" maxItems:"20" doc:"Parts that must not be in it."`
		Field  []string  `query:"field,explode" maxItems:"20" doc:"name=value, name^=value (begins with) or name*=value (contains), with ! before the sign for the contrary, of id, source, format, host, code, product, category, service or subsystem. All must hold."`
		Entity []string  `query:"entity,explode" maxItems:"20" doc:"type:value; all must be in it."`
		From   time.Time `query:"from"`
		To     time.Time `query:"to"`
	}) (*body[EventPage], error) {
		return answer1(s.hunt(ctx, c, huntQuery{in.Text, in.Not, in.Field, in.Entity, in.From, in.To, in.Cursor, in.Limit}))
	})
	read.Path, read.ID, read.Summary = "/events/{id}", "get-event", "One raw event"
	handle(s, read, func(ctx context.Context, c *call, in *struct {
		One
		Near time.Time `query:"near" doc:"About when it happened, which is faster."`
	}) (*body[Event], error) {
		if c.Events == nil {
			return nil, ErrUnsupported
		}
		l, err := find(ctx, c.Events, []string{in.ID}, in.Near, in.Near)
		if err != nil {
			return nil, err
		}
		if len(l) == 0 {
			return nil, store.ErrNotFound
		}
		return answer1(eventsOf(l)[0], nil)
	})
	evidence := route{Method: http.MethodGet, Path: "/incidents/{id}/evidence", ID: "list-evidence", Tag: "incidents", Role: Viewer, Scope: "incidents:read",
		Summary: "The raw records that show an incident, by its alerts, the latest first", Errors: []int{http.StatusNotImplemented}}
	handle(s, evidence, func(ctx context.Context, c *call, in *struct {
		One
		Paged
	}) (*body[Records], error) {
		x, err := c.Cases.Incident(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		p, err := c.Cases.Alerts(ctx, store.AlertFilter{Incident: &x.ID, Cursor: in.Cursor, Limit: min(in.Limit, maxEvidenceAlerts)})
		if err != nil {
			return nil, err
		}
		out := Records{Next: p.Next}
		var ids []string
		for i := range p.Items {
			for _, e := range p.Items[i].Evidence {
				if len(ids) < maxPage && !slices.Contains(ids, e.ID) {
					ids = append(ids, e.ID)
				}
			}
		}
		if len(ids) == 0 {
			return answer1(out, nil)
		}
		if c.Events == nil {
			return nil, ErrUnsupported
		}
		rows, err := find(ctx, c.Events, ids, p.Items[len(p.Items)-1].Time, p.Items[0].End) // the latest alert comes first
		if err != nil {
			return nil, err
		}
		out.Items = eventsOf(rows)
		slices.SortStableFunc(out.Items, func(a, b Event) int { return b.Time.Compare(a.Time) })
		for _, id := range ids {
			if !slices.ContainsFunc(out.Items, func(e Event) bool { return e.ID == id }) {
				out.Missing = append(out.Missing, id)
			}
		}
		return answer1(out, nil)
	})
}

// maxEvidenceAlerts is of how many alerts one page of evidence has the records.
const maxEvidenceAlerts = 50
