package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

// kinds of objects that the API keeps.
const (
	huntKind    = "hunt"
	viewKind    = "view"
	settingKind = "setting"
)

// RuleFull is a rule with its source.
type RuleFull struct {
	Rule
	Source string `json:"source" doc:"as it is written; empty for a detector in code"`
}

func (s *Server) ruleRoutes() {
	const tag = "rules"
	handle(s, route{Method: http.MethodGet, Path: "/rules", ID: "list-rules", Tag: tag, Summary: "Rules and detectors", Role: Viewer, Scope: "rules:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			Text    string         `query:"text" maxLength:"500" doc:"In id, title, tags or techniques."`
			Level   model.Severity `query:"level" enum:"informational,low,medium,high,critical"`
			Enabled string         `query:"enabled" enum:"yes,no"`
			Fed     string         `query:"fed" enum:"yes,no" doc:"Whether any event of its log source came."`
		}) (*body[store.Page[Rule]], error) {
			all, err := s.o.Engine.Rules(ctx, c.tenant)
			if err != nil {
				return nil, err
			}
			var out []Rule
			text := strings.ToLower(in.Text)
			for i := range all {
				r := &all[i]
				if in.Level != "" && r.Level != in.Level || in.Enabled != "" && r.Enabled != (in.Enabled == "yes") || in.Fed != "" && r.Fed != (in.Fed == "yes") {
					continue
				}
				if text != "" && !strings.Contains(strings.ToLower(r.ID+"\n"+r.Title+"\n"+strings.Join(r.Tags, "\n")+"\n"+strings.Join(r.Techniques, "\n")), text) {
					continue
				}
				out = append(out, *r)
			}
			return answer1(pageOf(out, fmt.Sprintf("rules %q %s %s %s", in.Text, in.Level, in.Enabled, in.Fed), in.Paged))
		})
	handle(s, route{Method: http.MethodGet, Path: "/rules/{id}", ID: "get-rule", Tag: tag, Summary: "One rule with its source", Role: Viewer, Scope: "rules:read"},
		func(ctx context.Context, c *call, in *RuleIn) (*body[RuleFull], error) {
			r, err := s.rule(ctx, c, in.ID)
			if err != nil {
				return nil, err
			}
			src, err := s.o.Engine.RuleSource(ctx, c.tenant, in.ID)
			return answer1(RuleFull{r, src}, err)
		})
	handle(s, route{Method: http.MethodPost, Path: "/rules/{id}/state", ID: "set-rule", Tag: tag, Summary: "Switch a rule on or off", Role: Responder, Scope: "rules:write", Errors: []int{422, 501}},
		func(ctx context.Context, c *call, in *struct {
			RuleIn
			Body RuleState
		}) (*body[Rule], error) {
			if _, err := s.rule(ctx, c, in.ID); err != nil {
				return nil, err
			}
			if err := s.o.Engine.SetRule(ctx, c.tenant, in.ID, in.Body.Enabled, c.name, in.Body.Reason); err != nil {
				return nil, err
			}
			return answer1(s.rule(ctx, c, in.ID))
		})
	handle(s, route{Method: http.MethodGet, Path: "/coverage", ID: "get-coverage", Tag: "coverage", Summary: "What the rules are for, by stage, subsystem and technique", Role: Viewer, Scope: "coverage:read"},
		func(ctx context.Context, c *call, _ *struct{ Of }) (*body[report.Coverage], error) {
			cov, err := s.o.Engine.Coverage(ctx, c.tenant)
			if err != nil {
				return nil, err
			}
			return answer1(*cov, nil)
		})
}

// RuleIn names a rule in a path.
type RuleIn struct {
	Of
	ID string `path:"id" maxLength:"256"`
}

func (s *Server) rule(ctx context.Context, c *call, id string) (Rule, error) {
	all, err := s.o.Engine.Rules(ctx, c.tenant)
	if err != nil {
		return Rule{}, err
	}
	for i := range all {
		if all[i].ID == id {
			return all[i], nil
		}
	}
	return Rule{}, fmt.Errorf("%w: rule %q", ErrNotFound, clip(id))
}

func (s *Server) sourceRoutes() {
	const tag = "sources"
	handle(s, route{Method: http.MethodGet, Path: "/sources", ID: "list-sources", Tag: tag, Summary: "Receivers, who sends, and what came", Role: Viewer, Scope: "sources:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
		}) (*body[store.Page[Source]], error) {
			l, err := s.o.Engine.Sources(ctx, c.tenant)
			if err != nil {
				return nil, err
			}
			return answer1(pageOf(l, "sources", in.Paged))
		})
	handle(s, route{Method: http.MethodGet, Path: "/poisoned", ID: "list-poisoned", Tag: tag, Summary: "Evidence that could not be handled", Role: Viewer, Scope: "sources:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
		}) (*body[store.Page[Poisoned]], error) {
			l, err := s.o.Engine.Poisoned(ctx, c.tenant, in.Cursor, in.Limit+1)
			if err != nil {
				return nil, err
			}
			p := store.Page[Poisoned]{Items: l}
			if len(l) > in.Limit {
				p.Items = l[:in.Limit]
				p.Next = p.Items[in.Limit-1].ID
			}
			return answer1(p, nil)
		})
	handle(s, route{Method: http.MethodPost, Path: "/poisoned/{id}/replay", ID: "replay-poisoned", Tag: tag, Summary: "Try again with evidence that could not be handled", Role: Responder, Scope: "sources:write", Status: 204, Errors: []int{422, 501}},
		func(ctx context.Context, c *call, in *struct {
			Of
			ID string `path:"id" maxLength:"200"`
		}) (*struct{}, error) {
			return nil, s.o.Engine.Replay(ctx, c.tenant, in.ID)
		})
	handle(s, route{Method: http.MethodGet, Path: "/health", ID: "get-health", Tag: tag, Summary: "How the engine is; its parts are for those who may see every tenant", Role: Viewer, Scope: "sources:read", Self: true},
		func(ctx context.Context, c *call, _ *struct{}) (*body[Health], error) {
			return answer1(s.health(ctx, c.principal), nil)
		})
	handle(s, route{Method: http.MethodGet, Path: "/objectives", ID: "list-objectives", Tag: tag, Summary: "The two clocks: what was promised, what was kept, and how fast the allowance burns", Role: Viewer, Scope: "sources:read"},
		func(ctx context.Context, c *call, _ *struct{ Of }) (*body[[]Objective], error) {
			l, err := s.o.Engine.Objectives(ctx, c.tenant)
			return answer1(l, err)
		})
	handle(s, route{Method: http.MethodGet, Path: "/outbox", ID: "get-outbox", Tag: tag, Summary: "How notifications stand", Role: Viewer, Scope: "sources:read"},
		func(ctx context.Context, c *call, _ *struct{ Of }) (*body[store.Outbox], error) {
			return answer1(c.Cases.OutboxStats(ctx))
		})
	handle(s, route{Method: http.MethodGet, Path: "/outbox/dead", ID: "list-dead-letters", Tag: tag, Summary: "Notifications that were given up", Role: Viewer, Scope: "sources:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
		}) (*body[store.Page[store.Delivery]], error) {
			return answer1(c.Cases.DeadLetters(ctx, in.Cursor, in.Limit))
		})
	handle(s, route{Method: http.MethodPost, Path: "/outbox/requeue", ID: "requeue-dead-letters", Tag: tag, Summary: "Send given up notifications again", Role: Responder, Scope: "sources:write", Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Of
			Body RequeueIn
		}) (*body[Requeued], error) {
			n, err := c.Cases.Requeue(ctx, in.Body.ID, s.o.Now())
			return answer1(Requeued{n}, err)
		})
}

// health is how the engine is as far as somebody may know: what was looked at names
// tenants.
func (s *Server) health(ctx context.Context, p *principal) Health {
	h := s.o.Engine.Health(ctx)
	if p.everywhere().rank() == 0 {
		h.Checks = nil
	}
	return h
}

// Requeued says how many deliveries are due again.
type Requeued struct {
	N int64 `json:"n"`
}

// Saved is a document that people keep: a view, a hunt or a setting.
type Saved struct {
	Name    string          `json:"name"`
	Owner   string          `json:"owner,omitempty" doc:"whose it is; absent for everybody's"`
	Version int64           `json:"version"`
	Time    time.Time       `json:"time"`
	Author  string          `json:"author"`
	Body    json.RawMessage `json:"body"`
}

func savedOf(o store.Object) Saved {
	return Saved{o.Name, o.Owner, o.Version, o.Time, o.Author, o.Body}
}

// savedIn writes one.
type savedIn struct {
	Of
	Name    string `path:"name" maxLength:"80" example:"night-shift"`
	IfMatch string `header:"If-Match" maxLength:"40" doc:"Version it replaces, as its entity tag says; without it whatever there is."`
	Body    SavedIn
}

const maxSaved = 64 << 10

// shelf is where documents of one kind are kept.
type shelf interface {
	PutObject(ctx context.Context, x store.Object, expect int64) (store.Object, error)
	Object(ctx context.Context, kind, name string) (store.Object, error)
	Objects(ctx context.Context, kind, after string, limit int) ([]store.Object, error)
	DeleteObject(ctx context.Context, kind, name string, expect int64) error
}

// savedRoutes are the routes of documents of one kind, at path and in a tenant.
func (s *Server) savedRoutes(kind, path, tag, noun string, write Role) {
	read := route{Method: http.MethodGet, Path: path, ID: "list-" + kind + "s", Tag: tag, Summary: "Saved " + noun + "s", Role: Viewer, Scope: tag + ":read"}
	handle(s, read, func(ctx context.Context, c *call, in *struct {
		Of
		Paged
	}) (*body[store.Page[Saved]], error) {
		l, err := c.Cases.Objects(ctx, kind, in.Cursor, in.Limit+1)
		if err != nil {
			return nil, err
		}
		var p store.Page[Saved]
		for i, o := range l {
			if i == in.Limit {
				p.Next = l[i-1].Name
				break
			}
			p.Items = append(p.Items, savedOf(o))
		}
		return answer1(p, nil)
	})
	read.Path, read.ID, read.Summary = path+"/{name}", "get-"+kind, "One saved "+noun
	handle(s, read, func(ctx context.Context, c *call, in *struct {
		Of
		Name string `path:"name" maxLength:"80"`
	}) (*tagged[Saved], error) {
		o, err := c.Cases.Object(ctx, kind, in.Name)
		if err != nil {
			return nil, err
		}
		return &tagged[Saved]{quote(strconv.FormatInt(o.Version, 10)), savedOf(o)}, nil
	})
	put := route{Method: http.MethodPut, Path: path + "/{name}", ID: "put-" + kind, Tag: tag, Summary: "Save a " + noun, Role: write, Scope: tag + ":write", Errors: []int{422}}
	handle(s, put, func(ctx context.Context, c *call, in *savedIn) (*tagged[Saved], error) {
		if !objectForm.MatchString(in.Name) {
			return nil, huma.Error422UnprocessableEntity("name: 1 to 80 of a-z, 0-9 and . _ -, beginning with a letter or digit")
		}
		if len(in.Body.Body) > maxSaved {
			return nil, huma.Error422UnprocessableEntity("body: more than 64 KiB")
		}
		expect, err := expectVersion(in.IfMatch)
		if err != nil {
			return nil, err
		}
		if expect, err = mayReplace(ctx, c.Cases, c, kind, in.Name, expect); err != nil {
			return nil, err
		}
		o := store.Object{Kind: kind, Name: in.Name, Time: s.o.Now(), Author: c.name, Body: in.Body.Body}
		if in.Body.Mine {
			o.Owner = c.account
		}
		o, err = c.Cases.PutObject(ctx, o, expect)
		if err != nil {
			return nil, err
		}
		return &tagged[Saved]{quote(strconv.FormatInt(o.Version, 10)), savedOf(o)}, nil
	})
	del := route{Method: http.MethodDelete, Path: path + "/{name}", ID: "delete-" + kind, Tag: tag, Summary: "Delete a saved " + noun, Role: write, Scope: tag + ":write", Status: 204}
	handle(s, del, func(ctx context.Context, c *call, in *struct {
		Of
		Name    string `path:"name" maxLength:"80"`
		IfMatch string `header:"If-Match" maxLength:"40"`
	}) (*struct{}, error) {
		expect, err := expectVersion(in.IfMatch)
		if err != nil {
			return nil, err
		}
		if expect, err = mayReplace(ctx, c.Cases, c, kind, in.Name, expect); err != nil {
			return nil, err
		}
		return nil, c.Cases.DeleteObject(ctx, kind, in.Name, expect)
	})
}

// mayReplace says whether the caller may replace what is kept under a name, and which
// version of it was looked at. What is somebody's own only he or an administrator changes.
func mayReplace(ctx context.Context, at shelf, c *call, kind, name string, expect int64) (int64, error) {
	old, err := at.Object(ctx, kind, name)
	switch {
	case isNotFound(err) && expect < 0:
		return 0, nil
	case err != nil:
		return 0, err
	case old.Owner != "" && old.Owner != c.account && !c.role.Allows(Administrator):
		return 0, huma.Error403Forbidden("it is somebody else's; save yours under another name")
	case expect < 0:
		return old.Version, nil
	}
	return expect, nil
}

func expectVersion(ifMatch string) (int64, error) {
	if ifMatch == "" || ifMatch == "*" {
		return -1, nil
	}
	n, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, huma.Error400BadRequest("If-Match: the entity tag as the answer gave it")
	}
	return n, nil
}

// RuleState switches a rule.
type RuleState struct {
	Enabled bool `json:"enabled"`
	Reasoned
}

// RequeueIn names what is to be sent again.
type RequeueIn struct {
	ID int64 `json:"id,omitempty" minimum:"0" doc:"Of the delivery; 0 is all."`
}

// SavedIn is a document to keep.
type SavedIn struct {
	Mine bool            `json:"mine,omitempty" doc:"For the caller alone to change."`
	Body json.RawMessage `json:"body" doc:"Any JSON, 64 KiB at most."`
}
