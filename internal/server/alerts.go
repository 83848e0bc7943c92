package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

func (s *Server) alertRoutes() {
	const tag = "alerts"
	handle(s, route{Method: http.MethodGet, Path: "/alerts", ID: "list-alerts", Tag: tag, Summary: "Alerts that a filter picks, the latest first", Role: Viewer, Scope: "alerts:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Incident string           `query:"incident" maxLength:"40"`
			Alone    bool             `query:"alone" doc:"Those of no incident."`
			Severity []model.Severity `query:"severity,explode" maxItems:"10" enum:"informational,low,medium,high,critical"`
			Rule     []string         `query:"rule,explode" maxItems:"50"`
			Product  []string         `query:"product,explode" maxItems:"50"`
			Stage    []string         `query:"stage,explode" maxItems:"20"`
			Verdict  []string         `query:"verdict,explode" maxItems:"10"`
			Entity   string           `query:"entity" maxLength:"4000" doc:"type:value"`
			Text     string           `query:"text" maxLength:"500" doc:"Looked for in the title of the rule."`
			Since    time.Time        `query:"since"`
			Until    time.Time        `query:"until"`
		}) (*body[store.Page[store.Alert]], error) {
			f := store.AlertFilter{Severity: in.Severity, Rule: in.Rule, Product: in.Product, Stage: in.Stage, Verdict: in.Verdict, Text: in.Text,
				Since: in.Since, Until: in.Until, Cursor: in.Cursor, Limit: in.Limit}
			switch {
			case in.Alone && in.Incident != "":
				return nil, huma.Error422UnprocessableEntity("incident and alone exclude each other")
			case in.Alone:
				f.Incident = ptr("")
			case in.Incident != "":
				x, err := c.Cases.Incident(ctx, in.Incident)
				if err != nil {
					return nil, err
				}
				f.Incident = &x.ID
			}
			if in.Entity != "" {
				k, err := entityKey(in.Entity)
				if err != nil {
					return nil, err
				}
				f.Entity = &k
			}
			return answer1(c.Cases.Alerts(ctx, f))
		})
	handle(s, route{Method: http.MethodGet, Path: "/alerts/{id}", ID: "get-alert", Tag: tag, Summary: "One alert with its evidence", Role: Viewer, Scope: "alerts:read"},
		func(ctx context.Context, c *call, in *One) (*body[store.Alert], error) {
			return answer1(c.Cases.Alert(ctx, in.ID))
		})
	handle(s, route{Method: http.MethodGet, Path: "/incidents/{id}/alerts", ID: "list-incident-alerts", Tag: "incidents", Summary: "The alerts of an incident, the latest first", Role: Viewer, Scope: "incidents:read"},
		func(ctx context.Context, c *call, in *struct {
			One
			Paged
		}) (*body[store.Page[store.Alert]], error) {
			x, err := c.Cases.Incident(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return answer1(c.Cases.Alerts(ctx, store.AlertFilter{Incident: &x.ID, Cursor: in.Cursor, Limit: in.Limit}))
		})
	judge := route{Method: http.MethodPost, Tag: tag, Role: Analyst, Scope: "alerts:write", Errors: []int{http.StatusUnprocessableEntity}}
	judge.Path, judge.ID, judge.Summary = "/alerts/{id}/verdict", "judge-alert", "Say what an alert was"
	handle(s, judge, func(ctx context.Context, c *call, in *struct {
		One
		Body Verdict
	}) (*tagged[Done], error) {
		return s.decide(ctx, c, model.Decision{Kind: model.JudgeAs, Targets: []string{in.ID}, Value: in.Body.Verdict, Reason: in.Body.Reason}, "")
	})
	judge.Path, judge.ID, judge.Summary = "/alerts/{id}/comment", "comment-alert", "Say something about an alert"
	handle(s, judge, func(ctx context.Context, c *call, in *struct {
		One
		Body Remark
	}) (*tagged[Done], error) {
		return s.decide(ctx, c, model.Decision{Kind: model.Comment, Targets: []string{in.ID}, Reason: in.Body.Text}, "")
	})
}

func (s *Server) entityRoutes() {
	const tag = "entities"
	handle(s, route{Method: http.MethodGet, Path: "/entities", ID: "list-entities", Tag: tag, Summary: "Entities that a filter picks, the last seen first", Role: Viewer, Scope: "entities:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Type   []model.EntityType `query:"type,explode" maxItems:"20"`
			Prefix string             `query:"prefix" maxLength:"500" doc:"How the value begins."`
			Text   string             `query:"text" maxLength:"500" doc:"Anywhere in value or name."`
			Since  time.Time          `query:"since" doc:"Seen at or after."`
		}) (*body[store.Page[store.Thing]], error) {
			return answer1(c.Cases.Entities(ctx, store.EntityFilter{Type: in.Type, Prefix: in.Prefix, Text: in.Text, Since: in.Since, Cursor: in.Cursor, Limit: in.Limit}))
		})
	handle(s, route{Method: http.MethodGet, Path: "/entity", ID: "get-entity", Tag: tag, Summary: "What is known of one entity", Role: Viewer, Scope: "entities:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Key string `query:"key" required:"true" maxLength:"4000" doc:"type:value, such as host:web1.example.com"`
		}) (*body[store.EntityPage], error) {
			k, err := entityKey(in.Key)
			if err != nil {
				return nil, err
			}
			return answer1(c.Cases.Entity(ctx, k))
		})
}

// Preview says what a suppression would have done to what is stored.
type Preview struct {
	Looked  int            `json:"looked" doc:"alerts looked at, the latest"`
	Since   *time.Time     `json:"since,omitempty" doc:"of the earliest of them"`
	All     bool           `json:"all" doc:"whether these are all that the suppression could speak of"`
	Matched int            `json:"matched"`
	Alone   int            `json:"alone" doc:"of the matched, those of no incident"`
	Silent  []Quieted      `json:"silent" doc:"incidents all of whose alerts match: they would not have been raised"`
	Weaker  []Quieted      `json:"weaker" doc:"incidents that lose a part"`
	Sample  []store.Alert  `json:"sample" doc:"some of the matched"`
	Worst   model.Severity `json:"worst,omitempty" doc:"of the matched"`
}

// Quieted is an incident with alerts that a suppression matches.
type Quieted struct {
	Incident string         `json:"incident"`
	Title    string         `json:"title"`
	Severity model.Severity `json:"severity"`
	Matched  int            `json:"matched"`
	Members  int            `json:"members"`
}

// Suppress is a suppression to be made.
type Suppress struct {
	Where  Where     `json:"where"`
	Until  time.Time `json:"until" doc:"when it ends, a year from now at most"`
	Reason string    `json:"reason" minLength:"1" maxLength:"4000"`
}

// Where says of which alerts a suppression or exclusion speaks: all that is set holds.
type Where struct {
	Rule    string     `json:"rule,omitempty" maxLength:"256" doc:"Id of the rule."`
	Product string     `json:"product,omitempty" maxLength:"256"`
	Entity  string     `json:"entity,omitempty" maxLength:"4000" doc:"type:value, in any role."`
	Since   *time.Time `json:"since,omitempty"`
}

func (w Where) condition() *model.Condition {
	return &model.Condition{Rule: w.Rule, Product: w.Product, Entity: w.Entity, Since: w.Since}
}

// Bounds of a preview.
const (
	previewAlerts    = 20_000
	previewIncidents = 100
	previewSample    = 20
)

func (s *Server) suppressionRoutes() {
	const tag = "suppressions"
	handle(s, route{Method: http.MethodGet, Path: "/suppressions", ID: "list-suppressions", Tag: tag, Summary: "What is kept quiet or out of fusion", Role: Viewer, Scope: "suppressions:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Ended bool `query:"ended" doc:"Those that ended or were taken back as well."`
		}) (*body[store.Page[store.Said]], error) {
			f := store.DecisionFilter{Kinds: []model.DecisionKind{model.Suppress, model.Exclude}}
			if !in.Ended {
				f.InForce = s.o.Now()
			}
			return answer1(decisionPage(ctx, c, f, in.Paged))
		})
	change := route{Method: http.MethodPost, Tag: tag, Role: Analyst, Scope: "suppressions:write", Errors: []int{http.StatusUnprocessableEntity}}
	change.Path, change.ID, change.Summary = "/suppressions", "suppress", "Keep alerts quiet until a time: they stay weak evidence"
	handle(s, change, func(ctx context.Context, c *call, in *struct {
		Of
		Body Suppress
	}) (*tagged[Done], error) {
		if err := s.checkUntil(in.Body.Until); err != nil {
			return nil, err
		}
		return s.decide(ctx, c, model.Decision{Kind: model.Suppress, Where: in.Body.Where.condition(), Until: ptr(in.Body.Until.UTC()), Reason: in.Body.Reason}, "")
	})
	change.Path, change.ID, change.Summary, change.Role = "/exclusions", "exclude", "Keep an entity, or the alerts of a rule or product, out of fusion until it is undone", Responder
	handle(s, change, func(ctx context.Context, c *call, in *struct {
		Of
		Body ExcludeIn
	}) (*tagged[Done], error) {
		return s.decide(ctx, c, model.Decision{Kind: model.Exclude, Where: in.Body.Where.condition(), Reason: in.Body.Reason}, "")
	})
	// A preview changes nothing and is a GET, so that every viewer may ask.
	handle(s, route{Method: http.MethodGet, Path: "/suppressions/preview", ID: "preview-suppression", Tag: tag, Summary: "What a suppression would have kept quiet of what is stored", Role: Viewer, Scope: "suppressions:read", Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Of
			Rule    string    `query:"rule" maxLength:"256"`
			Product string    `query:"product" maxLength:"256"`
			Entity  string    `query:"entity" maxLength:"4000" doc:"type:value"`
			Since   time.Time `query:"since" doc:"Only alerts from then on; 30 days ago without it."`
		}) (*body[Preview], error) {
			if in.Rule == "" && in.Product == "" && in.Entity == "" {
				return nil, huma.Error422UnprocessableEntity("name a rule, a product or an entity")
			}
			f := store.AlertFilter{Since: in.Since}
			if f.Since.IsZero() {
				f.Since = s.o.Now().AddDate(0, 0, -30)
			}
			if in.Rule != "" {
				f.Rule = []string{in.Rule}
			}
			if in.Product != "" {
				f.Product = []string{in.Product}
			}
			if in.Entity != "" {
				k, err := entityKey(in.Entity)
				if err != nil {
					return nil, err
				}
				f.Entity = &k
			}
			return answer1(s.preview(ctx, c, f))
		})
}

func (s *Server) checkUntil(t time.Time) error {
	now := s.o.Now()
	switch {
	case !t.After(now):
		return huma.Error422UnprocessableEntity("until: it has passed")
	case t.After(now.Add(until)):
		return huma.Error422UnprocessableEntity("until: more than a year away; a suppression that is forgotten hides attacks")
	}
	return nil
}

// preview reads the alerts that a filter picks. The filter is the condition of the
// suppression, so that all of them match.
func (s *Server) preview(ctx context.Context, c *call, f store.AlertFilter) (out Preview, err error) {
	f.Limit = maxPage
	by := map[string]int{}
	for {
		p, err := c.Cases.Alerts(ctx, f)
		if err != nil {
			return out, err
		}
		for i := range p.Items {
			a := &p.Items[i]
			out.Looked++
			out.Matched++
			out.Since = ptr(a.Time)
			if a.Severity.Rank() > out.Worst.Rank() || out.Worst == "" {
				out.Worst = a.Severity
			}
			if a.Incident == nil {
				out.Alone++
			} else {
				by[*a.Incident]++
			}
			if len(out.Sample) < previewSample {
				out.Sample = append(out.Sample, *a)
			}
		}
		if f.Cursor = p.Next; f.Cursor == "" {
			out.All = true
			break
		}
		if out.Looked >= previewAlerts {
			break
		}
	}
	ids := make([]string, 0, len(by))
	for id := range by {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if by[a] != by[b] {
			return by[b] - by[a]
		}
		return compareStrings(a, b)
	})
	for _, id := range ids[:min(len(ids), previewIncidents)] {
		x, err := c.Cases.Incident(ctx, id)
		if err != nil {
			return out, fmt.Errorf("incident of a matched alert: %w", err)
		}
		q := Quieted{x.ID, x.Title, x.Severity, by[id], len(x.Incident.Alerts) + len(x.Incident.Context)}
		if q.Matched >= q.Members {
			out.Silent = append(out.Silent, q)
		} else {
			out.Weaker = append(out.Weaker, q)
		}
	}
	return out, nil
}

// ExcludeIn keeps something out of fusion.
type ExcludeIn struct {
	Where  Where  `json:"where"`
	Reason string `json:"reason" minLength:"1" maxLength:"4000"`
}
