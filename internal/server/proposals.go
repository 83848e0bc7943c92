package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

// A Proposal is a decision that an assistant would make. A person accepts it, and is then
// its author, or refuses it.
type Proposal struct {
	ID       string         `json:"id"`
	Time     time.Time      `json:"time"`
	By       string         `json:"by" doc:"account and token of the assistant"`
	Decision model.Decision `json:"decision" doc:"as it would be made; written by the assistant"`
	State    string         `json:"state" enum:"open,accepted,refused"`
	Decided  *time.Time     `json:"decided,omitempty"`
	Person   string         `json:"person,omitempty" doc:"who accepted or refused"`
	Made     string         `json:"made,omitempty" doc:"id of the decision that was made"`
}

const (
	proposalKind = "proposal"
	maxOpen      = 200 // proposals of a tenant that wait; an assistant that runs wild fills no disk
)

// proposable are the kinds that an assistant may propose: none that hides evidence for
// good.
func proposable() []model.DecisionKind {
	return []model.DecisionKind{model.Cut, model.LinkUp, model.Split, model.Merge, model.Move, model.Suppress, model.JudgeAs, model.Comment, model.Assign, model.SetStatus}
}

// propose keeps a proposal.
func (s *Server) propose(ctx context.Context, c *call, d model.Decision) (Proposal, error) {
	if !slices.Contains(proposable(), d.Kind) {
		return Proposal{}, invalidInput("kind %q cannot be proposed", clip(string(d.Kind)))
	}
	now := s.o.Now().UTC()
	d.At, d.Author = now, c.name
	if err := casebook.Check(d); err != nil {
		return Proposal{}, invalidInput("%v", err)
	}
	if d.Until != nil {
		if err := s.checkUntil(*d.Until); err != nil {
			return Proposal{}, err
		}
	}
	open, err := s.proposals(ctx, c, "open")
	if err != nil {
		return Proposal{}, err
	}
	if len(open) >= maxOpen {
		return Proposal{}, fmt.Errorf("%w: %d proposals wait for a person already", ErrRefused, len(open))
	}
	d.ID = model.DecisionID(d)
	p := Proposal{ID: fmt.Sprintf("p-%016x-%s", now.UnixMicro(), d.ID[len("d-"):]), Time: now, By: c.actor(), Decision: d, State: "open"}
	_, err = c.Cases.PutObject(ctx, store.Object{Kind: proposalKind, Name: p.ID, Time: now, Author: c.name, Body: jsonOf(p)}, 0)
	if err != nil {
		return p, err
	}
	return p, s.auditAs(ctx, c, "propose", p.ID, string(jsonOf(d)))
}

// proposals are those of a state, the latest first; of all states if it is empty.
func (s *Server) proposals(ctx context.Context, c *call, state string) ([]Proposal, error) {
	var out []Proposal
	for after := ""; ; {
		l, err := c.Cases.Objects(ctx, proposalKind, after, store.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, o := range l {
			p, err := proposalOf(o)
			if err != nil {
				return nil, err
			}
			if state == "" || p.State == state {
				out = append(out, p)
			}
			after = o.Name
		}
		if len(l) < store.MaxPage {
			slices.Reverse(out) // names begin with the time
			return out, nil
		}
	}
}

func proposalOf(o store.Object) (p Proposal, err error) {
	if err := json.Unmarshal(o.Body, &p); err != nil {
		return p, fmt.Errorf("proposal %s: %w", o.Name, err)
	}
	return p, nil
}

func (s *Server) proposalRoutes() {
	const tag = "proposals"
	handle(s, route{Method: http.MethodGet, Path: "/proposals", ID: "list-proposals", Tag: tag, Summary: "What assistants would do, the latest first", Role: Viewer, Scope: "proposals:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			State string `query:"state" enum:"open,accepted,refused"`
		}) (*body[store.Page[Proposal]], error) {
			l, err := s.proposals(ctx, c, in.State)
			if err != nil {
				return nil, err
			}
			return answer1(pageOf(l, "proposals "+in.State, in.Paged))
		})
	decide := route{Method: http.MethodPost, Tag: tag, Role: Analyst, Scope: "proposals:write"}
	decide.Path, decide.ID, decide.Summary = "/proposals/{id}/accept", "accept-proposal", "Make the decision that was proposed"
	handle(s, decide, func(ctx context.Context, c *call, in *One) (*body[Proposal], error) {
		return answer1(s.settle(ctx, c, in.ID, true))
	})
	decide.Path, decide.ID, decide.Summary = "/proposals/{id}/refuse", "refuse-proposal", "Refuse what was proposed"
	handle(s, decide, func(ctx context.Context, c *call, in *One) (*body[Proposal], error) {
		return answer1(s.settle(ctx, c, in.ID, false))
	})
}

// settle accepts or refuses a proposal: a person does, not the token of an assistant.
func (s *Server) settle(ctx context.Context, c *call, id string, accept bool) (Proposal, error) {
	if c.token != "" {
		return Proposal{}, huma.Error403Forbidden("a person settles proposals: log in, a token will not do")
	}
	o, err := c.Cases.Object(ctx, proposalKind, id)
	if err != nil {
		return Proposal{}, err
	}
	p, err := proposalOf(o)
	if err != nil {
		return p, err
	}
	if p.State != "open" {
		return p, fmt.Errorf("%w: the proposal is %s already", ErrRefused, p.State)
	}
	p.State, p.Decided, p.Person = "refused", ptr(s.o.Now().UTC()), c.name
	if accept {
		p.State = "accepted"
	}
	// First the proposal, under its version: two who accept at once make one decision.
	put := func() error {
		o.Body, o.Author, o.Time = jsonOf(p), c.name, s.o.Now()
		var err error
		o, err = c.Cases.PutObject(ctx, store.Object{Kind: o.Kind, Name: o.Name, Time: o.Time, Author: o.Author, Body: o.Body}, o.Version)
		return err
	}
	if err := put(); err != nil || !accept {
		return p, err
	}
	res, err := s.decide(ctx, c, model.Decision{Kind: p.Decision.Kind, Targets: p.Decision.Targets, Where: p.Decision.Where, Until: p.Decision.Until, Value: p.Decision.Value, Reason: p.Decision.Reason}, "")
	if err != nil {
		p.State, p.Decided, p.Person = "open", nil, ""
		if back := put(); back != nil {
			s.o.Log.Error("a proposal is marked as accepted and was not", "proposal", id, "error", back)
		}
		return p, err
	}
	p.Made = res.Body.Decision.ID
	return p, put()
}
