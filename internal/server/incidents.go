package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

// Filter picks incidents: those for which all that is set holds.
type Filter struct {
	Status       []string         `query:"status,explode" maxItems:"10" enum:"new,in_progress,on_hold,resolved,closed"`
	Open         string           `query:"open" enum:"yes,no" doc:"Neither resolved nor closed, or one of these."`
	Severity     []model.Severity `query:"severity,explode" maxItems:"10" enum:"informational,low,medium,high,critical"`
	Owner        string           `query:"owner" maxLength:"256" doc:"Who works on it."`
	Unassigned   bool             `query:"unassigned" doc:"Those of nobody."`
	Verdict      []string         `query:"verdict,explode" maxItems:"10" enum:"true_positive,false_positive,benign"`
	Stage        []string         `query:"stage,explode" maxItems:"20" doc:"One of the eight stages."`
	CloudStep    []string         `query:"cloud_step,explode" maxItems:"10"`
	Tactic       []string         `query:"tactic,explode" maxItems:"20" doc:"ATT&CK tactic, short name."`
	Technique    []string         `query:"technique,explode" maxItems:"50" doc:"ATT&CK id; one stands for its sub-techniques as well."`
	Source       []string         `query:"source,explode" maxItems:"20" doc:"Product or format that shows it."`
	Entity       []string         `query:"entity,explode" maxItems:"20" doc:"type:value, such as host:web1.example.com; all of them must be part of it."`
	Text         string           `query:"text" maxLength:"500" doc:"Looked for in id, title, summary, techniques and entities."`
	Since        time.Time        `query:"since" doc:"With an act at or after this time."`
	Until        time.Time        `query:"until" doc:"With an act before this time."`
	UpdatedSince time.Time        `query:"updated_since"`
}

func (f *Filter) store() (store.IncidentFilter, error) {
	out := store.IncidentFilter{Status: f.Status, Severity: f.Severity, Verdict: f.Verdict, Stage: f.Stage, CloudStep: f.CloudStep, Tactic: f.Tactic,
		Technique: f.Technique, Source: f.Source, Text: f.Text, Since: f.Since, Until: f.Until, UpdatedSince: f.UpdatedSince}
	if f.Open != "" {
		out.Open = ptr(f.Open == "yes")
	}
	switch {
	case f.Unassigned && f.Owner != "":
		return out, huma.Error422UnprocessableEntity("owner and unassigned exclude each other")
	case f.Unassigned:
		out.Owner = ptr("")
	case f.Owner != "":
		out.Owner = &f.Owner
	}
	for _, e := range f.Entity {
		k, err := entityKey(e)
		if err != nil {
			return out, err
		}
		out.Entities = append(out.Entities, k)
	}
	return out, nil
}

func entityKey(s string) (model.EntityKey, error) {
	k, ok := casebook.Entity(s)
	if !ok {
		return k, huma.Error422UnprocessableEntity(fmt.Sprintf("entity %q: want type:value, such as host:web1.example.com", clip(s)))
	}
	return k, nil
}

// One is the input of a route about one incident.
type One struct {
	Of
	ID string `path:"id" maxLength:"40" example:"inc-0123456789abcdef"`
}

// body is an answer that is nothing but its document.
type body[T any] struct{ Body T }

func answer1[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	fill(valueOf(&v))
	return &body[T]{v}, nil
}

// tagged is an answer with an entity tag.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func (s *Server) incidentRoutes() {
	const tag = "incidents"
	read := func(path, id, summary string) route {
		return route{Method: http.MethodGet, Path: path, ID: id, Tag: tag, Summary: summary, Role: Viewer, Scope: "incidents:read"}
	}
	handle(s, read("/incidents", "list-incidents", "Incidents that a filter picks, worst first"),
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Filter
			Order string `query:"order" enum:"rank,last_seen,updated" default:"rank"`
		}) (*body[store.Page[store.Listed]], error) {
			f, err := in.store()
			if err != nil {
				return nil, err
			}
			f.Cursor, f.Limit, f.Order = in.Cursor, in.Limit, store.Order(in.Order)
			return answer1(c.Cases.Incidents(ctx, f))
		})
	handle(s, read("/incidents/facets", "count-incidents", "How the incidents that a filter picks divide"),
		func(ctx context.Context, c *call, in *struct {
			Of
			Filter
		}) (*body[store.Facets], error) {
			f, err := in.store()
			if err != nil {
				return nil, err
			}
			return answer1(c.Cases.IncidentFacets(ctx, f))
		})
	handle(s, read("/incidents/{id}", "get-incident", "One incident whole, as the engine tells it and people decided"),
		func(ctx context.Context, c *call, in *struct {
			One
			IfNoneMatch string `header:"If-None-Match" maxLength:"200"`
		}) (*tagged[store.Case], error) {
			x, err := c.Cases.Incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			etag := quote(x.ETag())
			if matches(in.IfNoneMatch, etag) {
				return nil, huma.Status304NotModified()
			}
			return &tagged[store.Case]{etag, filled(x)}, nil
		})
	handle(s, read("/incidents/{id}/story", "get-story", "The story of an incident, without its links"),
		func(ctx context.Context, c *call, in *One) (*tagged[Story], error) {
			x, err := c.Cases.Incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &tagged[Story]{quote(x.ETag()), filled(storyOf(&x))}, nil
		})
	handle(s, read("/incidents/{id}/links", "list-links", "Why each alert belongs to an incident"),
		func(ctx context.Context, c *call, in *struct {
			One
			Paged
			Alert string `query:"alert" maxLength:"40" doc:"Only those of this alert."`
		}) (*body[store.Page[model.Link]], error) {
			x, err := c.Cases.Incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			links := x.Incident.Links
			if in.Alert != "" {
				links = nil
				for _, l := range x.Incident.Links {
					if l.From == in.Alert || l.To == in.Alert {
						links = append(links, l)
					}
				}
			}
			return answer1(pageOf(links, fmt.Sprintf("links %s %d %s", x.ID, x.Version, in.Alert), in.Paged))
		})
	handle(s, read("/incidents/{id}/history", "get-history", "How an incident became what it is, the latest first"),
		func(ctx context.Context, c *call, in *struct {
			One
			Paged
		}) (*body[store.Page[store.Version]], error) {
			return answer1(c.Cases.History(ctx, in.ID, in.Cursor, in.Limit))
		})
	handle(s, read("/incidents/{id}/decisions", "list-incident-decisions", "What people decided and said about an incident"),
		func(ctx context.Context, c *call, in *struct {
			One
			Paged
		}) (*body[store.Page[store.Said]], error) {
			return answer1(decisionPage(ctx, c, store.DecisionFilter{Target: in.ID}, in.Paged))
		})
	handle(s, read("/decisions", "list-decisions", "The journal of decisions, in order"),
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Kind []model.DecisionKind `query:"kind,explode" maxItems:"20"`
		}) (*body[store.Page[store.Said]], error) {
			return answer1(decisionPage(ctx, c, store.DecisionFilter{Kinds: in.Kind}, in.Paged))
		})
}

// Story is an incident as it is told.
type Story struct {
	ID        string            `json:"id"`
	Title     string            `json:"title"`
	Severity  model.Severity    `json:"severity"`
	Score     int               `json:"score"`
	Terms     []model.Term      `json:"score_terms"`
	Status    string            `json:"status"`
	Owner     string            `json:"owner,omitempty"`
	Verdict   string            `json:"verdict,omitempty"`
	FirstSeen time.Time         `json:"first_seen"`
	LastSeen  time.Time         `json:"last_seen"`
	Root      model.Root        `json:"root"`
	Summary   []model.Sentence  `json:"summary"`
	Chapters  []model.Chapter   `json:"chapters"`
	Steps     []model.Step      `json:"steps"`
	Stages    []model.Stage     `json:"stages"`
	Impact    model.Impact      `json:"impact"`
	Next      []model.NextStep  `json:"next"`
	Silences  []model.Silence   `json:"silences"`
	Clocks    *model.Clocks     `json:"clocks,omitempty"`
	Times     model.Milestones  `json:"milestones"`
	Like      []model.Lookalike `json:"lookalikes"`
	Related   []model.Related   `json:"related"`
}

func storyOf(x *store.Case) Story {
	i := &x.Incident
	return Story{ID: x.ID, Title: i.Title, Severity: i.Severity, Score: i.Score, Terms: i.ScoreTerms, Status: x.Status, Owner: x.Owner, Verdict: x.Verdict,
		FirstSeen: i.FirstSeen, LastSeen: i.LastSeen, Root: i.Root, Summary: i.Summary, Chapters: i.Chapters, Steps: i.Steps, Stages: i.Stages, Impact: i.Impact,
		Next: i.Next, Silences: i.Silences, Clocks: i.Clocks, Times: x.Milestones, Like: i.Lookalikes, Related: i.Related}
}

// decisionPage is one page of the journal.
func decisionPage(ctx context.Context, c *call, f store.DecisionFilter, p Paged) (out store.Page[store.Said], err error) {
	of := fmt.Sprintf("decisions %s %v", f.Target, f.Kinds)
	after, err := parsePlace(p.Cursor, of)
	if err != nil {
		return out, err
	}
	f.After, f.Limit = after, p.Limit+1
	out.Items, err = c.Cases.Decisions(ctx, f)
	if err == nil && len(out.Items) > p.Limit {
		out.Items = out.Items[:p.Limit]
		out.Next = place(of, out.Items[p.Limit-1].Seq)
	}
	return out, err
}

// pageOf cuts a page out of a list that is there whole. of says which list it is: the
// cursor of another is refused.
func pageOf[T any](all []T, of string, p Paged) (out store.Page[T], err error) {
	at, err := parsePlace(p.Cursor, of)
	if err != nil {
		return out, err
	}
	from := min(int(min(at, int64(len(all)))), len(all))
	to := min(from+p.Limit, len(all))
	out.Items = all[from:to]
	if to < len(all) {
		out.Next = place(of, int64(to))
	}
	return out, nil
}

// A place is a cursor of ours: a number in a list, and which list it is.

func place(of string, n int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%x.%d", digestOf(of)[:6], n))
}

func parsePlace(cursor, of string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) > 64 {
		return 0, store.ErrCursor
	}
	list, num, ok := strings.Cut(string(b), ".")
	n, err := strconv.ParseInt(num, 10, 64)
	if !ok || err != nil || n < 0 || list != fmt.Sprintf("%x", digestOf(of)[:6]) {
		return 0, store.ErrCursor
	}
	return n, nil
}

// quote makes an entity tag of a version.
func quote(v string) string { return `"` + v + `"` }

// matches says whether a condition of a request names an entity tag.
func matches(condition, etag string) bool {
	for c := range strings.SplitSeq(condition, ",") {
		if c = strings.TrimSpace(c); c == "*" || strings.TrimPrefix(c, "W/") == etag {
			return true
		}
	}
	return false
}
