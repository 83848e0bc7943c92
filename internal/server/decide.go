package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

// Done is what became of a change.
type Done struct {
	Decision model.Decision `json:"decision"`
	Applied  bool           `json:"applied" doc:"False if the same had been decided before."`
	Incident string         `json:"incident,omitempty" doc:"The incident it is about; absent if there is none or there are several."`
	// Waiting: it is kept, and given to the engine as soon as the stream takes it.
	Waiting bool `json:"waiting,omitempty" doc:"The engine could not be told yet; it will be."`
}

// noReason stands where who changed a status or owner gave none: the journal wants one.
const noReason = "no reason given"

// decide writes a decision into the tenant's journal, and has the engine told.
func (s *Server) decide(ctx context.Context, c *call, d model.Decision, ifMatch string) (*tagged[Done], error) {
	d.At, d.Author = s.o.Now().UTC(), c.name
	if d.Reason = strings.TrimSpace(d.Reason); d.Reason == "" {
		d.Reason = noReason
	}
	var expect store.Expect
	if ifMatch = strings.TrimSpace(ifMatch); ifMatch != "" && ifMatch != "*" {
		v, e, ok := parseETag(ifMatch)
		if !ok {
			return nil, huma.Error400BadRequest("If-Match: one entity tag as the incident's own answer gives it, or *")
		}
		expect.Version, expect.Edit = v, e
	}
	out, err := c.Cases.Decide(ctx, d, expect)
	if err != nil {
		return nil, err
	}
	res := &tagged[Done]{Body: Done{Decision: out.Decision, Applied: out.Applied, Incident: out.Incident}}
	// It is in the journal and stays there: the relay tells the engine, now or later.
	if err := s.relay.flush(context.WithoutCancel(ctx), c.tenant, c.Cases); err != nil {
		s.o.Log.Warn("a decision waits for the engine", "tenant", c.tenant, "decision", out.Decision.ID, "error", err)
		res.Body.Waiting = true
	}
	if out.Incident != "" {
		if x, err := c.Cases.Incident(ctx, out.Incident); err == nil {
			res.ETag = quote(x.ETag())
		}
	}
	return res, nil
}

func parseETag(s string) (version, edit int64, ok bool) {
	s = strings.TrimPrefix(s, "W/")
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return 0, 0, false
	}
	v, e, ok := strings.Cut(s[1:len(s)-1], "-")
	version, err1 := strconv.ParseInt(v, 10, 64)
	edit, err2 := strconv.ParseInt(e, 10, 64)
	return version, edit, ok && err1 == nil && err2 == nil && version > 0 && edit > 0
}

// oneChanged is the input of a change of one incident.
type oneChanged[B any] struct {
	One
	IfMatch string `header:"If-Match" maxLength:"100" doc:"Entity tag of the incident as it was read; the change is refused (412) if it is another by now."`
	Body    B
}

// Reasoned is a change that needs to say nothing but why.
type Reasoned struct {
	Reason string `json:"reason" minLength:"1" maxLength:"4000" doc:"Why; the journal keeps it."`
}

// Maybe is a change whose reason may be left out.
type Maybe struct {
	Reason string `json:"reason,omitempty" maxLength:"4000" doc:"Why; the journal keeps it."`
}

func (s *Server) decideRoutes() {
	change := func(path, id, summary string) route {
		return route{Method: http.MethodPost, Path: path, ID: id, Tag: "incidents", Summary: summary, Role: Analyst, Scope: "incidents:write", Errors: []int{http.StatusUnprocessableEntity}}
	}
	handle(s, change("/incidents/{id}/status", "set-status", "Say how work on an incident stands"),
		func(ctx context.Context, c *call, in *oneChanged[StatusIn]) (*tagged[Done], error) {
			return s.decide(ctx, c, model.Decision{Kind: model.SetStatus, Targets: []string{in.ID}, Value: in.Body.Status, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/close", "close-incident", "Close an incident with a verdict"),
		func(ctx context.Context, c *call, in *oneChanged[CloseIn]) (*tagged[Done], error) {
			if _, err := s.decide(ctx, c, model.Decision{Kind: model.JudgeAs, Targets: []string{in.ID}, Value: in.Body.Verdict, Reason: in.Body.Reason}, in.IfMatch); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.SetStatus, Targets: []string{in.ID}, Value: "closed", Reason: in.Body.Reason}, "")
		})
	handle(s, change("/incidents/{id}/assign", "assign-incident", "Say who works on an incident"),
		func(ctx context.Context, c *call, in *oneChanged[AssignIn]) (*tagged[Done], error) {
			if err := checkLine("owner", in.Body.Owner, 256); err != nil {
				return nil, huma.Error422UnprocessableEntity(err.Error())
			}
			return s.decide(ctx, c, model.Decision{Kind: model.Assign, Targets: []string{in.ID}, Value: in.Body.Owner, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/verdict", "judge-incident", "Say what an incident was"),
		func(ctx context.Context, c *call, in *oneChanged[Verdict]) (*tagged[Done], error) {
			return s.decide(ctx, c, model.Decision{Kind: model.JudgeAs, Targets: []string{in.ID}, Value: in.Body.Verdict, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/comment", "comment-incident", "Say something about an incident"),
		func(ctx context.Context, c *call, in *oneChanged[Remark]) (*tagged[Done], error) {
			return s.decide(ctx, c, model.Decision{Kind: model.Comment, Targets: []string{in.ID}, Reason: in.Body.Text}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/cut", "cut-link", "Keep two alerts out of one incident from now on"),
		func(ctx context.Context, c *call, in *oneChanged[CutIn]) (*tagged[Done], error) {
			if err := s.members(ctx, c, in.ID, in.Body.From, in.Body.To); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.Cut, Targets: []string{in.Body.From, in.Body.To}, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/link", "link-alert", "Have an alert in one incident with another of its alerts"),
		func(ctx context.Context, c *call, in *oneChanged[LinkIn]) (*tagged[Done], error) {
			if err := s.members(ctx, c, in.ID, in.Body.From); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.LinkUp, Targets: []string{in.Body.From, in.Body.To}, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/split", "split-incident", "Take alerts out of an incident, into one of their own"),
		func(ctx context.Context, c *call, in *oneChanged[SplitIn]) (*tagged[Done], error) {
			if err := s.members(ctx, c, in.ID, in.Body.Alerts...); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.Split, Targets: append([]string{in.ID}, in.Body.Alerts...), Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/merge", "merge-incidents", "Make other incidents part of this one"),
		func(ctx context.Context, c *call, in *oneChanged[MergeIn]) (*tagged[Done], error) {
			return s.decide(ctx, c, model.Decision{Kind: model.Merge, Targets: append([]string{in.ID}, in.Body.With...), Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/{id}/move", "move-alert", "Move an alert of an incident into another"),
		func(ctx context.Context, c *call, in *oneChanged[MoveIn]) (*tagged[Done], error) {
			if err := s.members(ctx, c, in.ID, in.Body.Alert); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.Move, Targets: []string{in.Body.Alert, in.ID, in.Body.Into}, Reason: in.Body.Reason}, in.IfMatch)
		})
	handle(s, change("/incidents/bulk", "change-incidents", "Do the same with many incidents; each is told apart"),
		func(ctx context.Context, c *call, in *struct {
			Of
			Body BulkIn
		}) (*body[Bulk], error) {
			var out Bulk
			for _, id := range in.Body.IDs {
				b := BulkOne{ID: id, Status: http.StatusOK}
				res, err := s.decide(ctx, c, model.Decision{Kind: in.Body.Deed, Targets: []string{id}, Value: in.Body.Value, Reason: in.Body.Reason}, "")
				if err != nil {
					p := asStatus(s.problem(ctx, "change-incidents", err))
					b.Status, b.Detail = p.GetStatus(), p.Error()
					out.Failed++
				} else {
					b.Decision, b.ETag = res.Body.Decision.ID, res.ETag
					out.Done++
				}
				out.Items = append(out.Items, b)
			}
			return answer1(out, nil)
		})
	handle(s, change("/decisions/{id}/undo", "undo-decision", "Take a decision back"),
		func(ctx context.Context, c *call, in *struct {
			One
			Body Reasoned
		}) (*tagged[Done], error) {
			if err := s.mayUndo(ctx, c, in.ID); err != nil {
				return nil, err
			}
			return s.decide(ctx, c, model.Decision{Kind: model.Undo, Targets: []string{in.ID}, Reason: in.Body.Reason}, "")
		})
}

// Verdict says what an alert or incident was.
type Verdict struct {
	Verdict string `json:"verdict" enum:"true_positive,false_positive,benign"`
	Maybe
}

// Remark is a comment.
type Remark struct {
	Text string `json:"text" minLength:"1" maxLength:"4000"`
}

// Bulk is what became of a change of many.
type Bulk struct {
	Done   int       `json:"done"`
	Failed int       `json:"failed"`
	Items  []BulkOne `json:"items" doc:"in the order of the request"`
}

// BulkOne is what became of one of them.
type BulkOne struct {
	ID       string `json:"id"`
	Status   int    `json:"status" doc:"as if it had been a request of its own"`
	Detail   string `json:"detail,omitempty"`
	Decision string `json:"decision,omitempty"`
	ETag     string `json:"etag,omitempty"`
}

func asStatus(err error) huma.StatusError {
	var se huma.StatusError
	if asErr(err, &se) {
		return se
	}
	return huma.Error500InternalServerError("that failed")
}

// members says which of some alerts are no members of an incident: a change under one
// incident shall not reach into another.
func (s *Server) members(ctx context.Context, c *call, incident string, alerts ...string) error {
	x, err := c.Cases.Incident(ctx, incident)
	if err != nil {
		return err
	}
	in := make(map[string]bool, len(x.Incident.Alerts)+len(x.Incident.Context))
	for _, l := range [][]string{x.Incident.Alerts, x.Incident.Context} {
		for _, id := range l {
			in[id] = true
		}
	}
	for _, a := range alerts {
		if !in[a] {
			return huma.Error422UnprocessableEntity(fmt.Sprintf("alert %q is not in incident %s", clip(a), x.ID))
		}
	}
	return nil
}

// mayUndo says whether the caller may take a decision back: who could not have made it
// cannot undo it.
func (s *Server) mayUndo(ctx context.Context, c *call, id string) error {
	for after := int64(0); ; {
		l, err := c.Cases.Decisions(ctx, store.DecisionFilter{Kinds: []model.DecisionKind{model.Exclude}, After: after})
		if err != nil {
			return err
		}
		for _, x := range l {
			if x.Decision.ID == id && !c.role.Allows(Responder) {
				return huma.Error403Forbidden("to take an exclusion back needs the role responder")
			}
		}
		if len(l) == 0 {
			return nil
		}
		after = l[len(l)-1].Seq
	}
}

// until bounds how long a suppression may last: one that is forgotten shall end.
const until = 366 * 24 * time.Hour

// StatusIn is how work on an incident stands.
type StatusIn struct {
	Status string `json:"status" enum:"new,in_progress,on_hold,resolved,closed"`
	Maybe
}

// CloseIn closes an incident.
type CloseIn struct {
	Verdict string `json:"verdict" enum:"true_positive,false_positive,benign"`
	Reasoned
}

// AssignIn says who works on an incident.
type AssignIn struct {
	Owner string `json:"owner" maxLength:"256" doc:"Empty for nobody."`
	Maybe
}

// CutIn keeps two alerts apart.
type CutIn struct {
	From string `json:"from" maxLength:"40" example:"a-0123456789abcdef0123"`
	To   string `json:"to" maxLength:"40" example:"a-0123456789abcdef0123"`
	Reasoned
}

// LinkIn keeps two alerts together.
type LinkIn struct {
	From string `json:"from" maxLength:"40" doc:"An alert of the incident."`
	To   string `json:"to" maxLength:"40" doc:"The alert that belongs with it."`
	Reasoned
}

// SplitIn takes alerts out of an incident.
type SplitIn struct {
	Alerts []string `json:"alerts" minItems:"1" maxItems:"999"`
	Reasoned
}

// MergeIn makes other incidents part of one.
type MergeIn struct {
	With []string `json:"with" minItems:"1" maxItems:"100"`
	Reasoned
}

// MoveIn moves an alert into another incident.
type MoveIn struct {
	Alert string `json:"alert" maxLength:"40"`
	Into  string `json:"into" maxLength:"40"`
	Reasoned
}

// BulkIn does the same with many incidents.
type BulkIn struct {
	IDs   []string           `json:"ids" minItems:"1" maxItems:"200" uniqueItems:"true"`
	Deed  model.DecisionKind `json:"deed" enum:"status,assign,verdict,comment"`
	Value string             `json:"value,omitempty" maxLength:"256" doc:"The status, owner or verdict; none of a comment."`
	Maybe
}
