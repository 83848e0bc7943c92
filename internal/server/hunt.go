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

// Events are the raw events of one tenant as the server asks for them. FromStore makes
// one of the store's.
type Events interface {
	// Search returns events of a query, the latest first.
	Search(ctx context.Context, q EventQuery) (EventPage, error)
	// Get returns those of the events that are kept, in any order; near is about when they
	// happened, which spares looking everywhere.
	Get(ctx context.Context, ids []string, near time.Time) ([]Event, error)
}

// An EventQuery picks events: those for which all that is set holds.
type EventQuery struct {
	From, To time.Time         // in [From, To); zero is no bound
	Text     string            // words or a part of the record
	Fields   map[string]string // of eventFields
	Entity   string            // type:value
	Cursor   string
	Limit    int
}

// EventPage is one page of a search.
type EventPage struct {
	Items []Event `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
	// Partial says that the search ended early, its time or budget being used up: the
	// next page goes on from there.
	Partial bool `json:"partial,omitempty" doc:"The search ended at its budget before the page was full; go on with next."`
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
	rawShown   = 64 << 10 // bytes of a record in an answer
	rawAll     = 4 << 20  // and of all of them
)

type huntQuery struct {
	Text     string
	Fields   []string // name=value
	Entity   string
	From, To time.Time
	Cursor   string
	Limit    int
}

// hunt searches the events of a tenant.
func (s *Server) hunt(ctx context.Context, c *call, in huntQuery) (EventPage, error) {
	q := EventQuery{From: in.From, To: in.To, Text: in.Text, Entity: in.Entity, Cursor: in.Cursor, Limit: in.Limit}
	if len(in.Text) > 500 || len(in.Fields) > 20 || len(in.Entity) > 4000 || len(in.Cursor) > 1024 {
		return EventPage{}, invalidInput("a hunt of more than 500 bytes of text or 20 fields")
	}
	if in.Entity != "" {
		if _, err := entityKey(in.Entity); err != nil {
			return EventPage{}, err
		}
	}
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return EventPage{}, invalidInput("from: not before to")
	}
	for _, f := range in.Fields {
		name, value, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains(eventFields(), name) || len(value) > 1000 {
			return EventPage{}, invalidInput("field %q: want name=value, the names being %s", clip(f), strings.Join(eventFields(), ", "))
		}
		if q.Fields == nil {
			q.Fields = map[string]string{}
		}
		if _, twice := q.Fields[name]; twice {
			return EventPage{}, invalidInput("field %s is named twice", name)
		}
		q.Fields[name] = value
	}
	if c.Events == nil {
		return EventPage{}, ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(ctx, huntWithin)
	defer cancel()
	p, err := c.Events.Search(ctx, q)
	if err != nil {
		return p, err
	}
	cutEvents(p.Items)
	return p, nil
}

// cutEvents bounds the records of an answer: one may be of 16 MB.
func cutEvents(l []Event) {
	left := rawAll
	for i := range l {
		most := min(rawShown, left)
		if len(l[i].Raw) > most {
			end := most
			for end > 0 && !utf8.RuneStart(l[i].Raw[end]) {
				end--
			}
			l[i].Raw, l[i].Cut = l[i].Raw[:end], true
		}
		left -= len(l[i].Raw)
	}
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
		Text   string    `query:"text" maxLength:"500" doc:"Words, or a part of the record."`
		Field  []string  `query:"field,explode" maxItems:"20" doc:"name=value of id, source, format, host, code, product, category, service or subsystem; all of them hold."`
		Entity string    `query:"entity" maxLength:"4000" doc:"type:value"`
		From   time.Time `query:"from"`
		To     time.Time `query:"to"`
	}) (*body[EventPage], error) {
		return answer1(s.hunt(ctx, c, huntQuery{in.Text, in.Field, in.Entity, in.From, in.To, in.Cursor, in.Limit}))
	})
	read.Path, read.ID, read.Summary = "/events/{id}", "get-event", "One raw event"
	handle(s, read, func(ctx context.Context, c *call, in *struct {
		One
		Near time.Time `query:"near" doc:"About when it happened, which is faster."`
	}) (*body[Event], error) {
		if c.Events == nil {
			return nil, ErrUnsupported
		}
		l, err := c.Events.Get(ctx, []string{in.ID}, in.Near)
		if err != nil {
			return nil, err
		}
		if len(l) == 0 {
			return nil, store.ErrNotFound
		}
		cutEvents(l[:1])
		return answer1(l[0], nil)
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
		if out.Items, err = c.Events.Get(ctx, ids, p.Items[0].Time); err != nil {
			return nil, err
		}
		slices.SortStableFunc(out.Items, func(a, b Event) int { return b.Time.Compare(a.Time) })
		for _, id := range ids {
			if !slices.ContainsFunc(out.Items, func(e Event) bool { return e.ID == id }) {
				out.Missing = append(out.Missing, id)
			}
		}
		cutEvents(out.Items)
		return answer1(out, nil)
	})
}

// maxEvidenceAlerts is of how many alerts one page of evidence has the records.
const maxEvidenceAlerts = 50
