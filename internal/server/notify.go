package server

import (
	"context"
	"errors"
	"net/http"
)

// Notify is what the server asks of those who tell people.
type Notify interface {
	// Targets are the places where people are told.
	Targets(ctx context.Context) []NotifyTarget
	// Test sends a message that says it is a test, and returns what went wrong. An error
	// that wraps ErrNotFound says that there is no such target.
	Test(ctx context.Context, tenant, target string) error
}

// NotifyTarget is a place where people are told.
type NotifyTarget struct {
	Name string `json:"name"`
	Kind string `json:"kind" doc:"slack, teams, pagerduty, jira, email, webhook, syslog or ntfy"`
}

// Tested says what became of a message that was sent as a test.
type Tested struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty" doc:"what went wrong, in the words of who sent it"`
}

func (s *Server) notifyRoutes() {
	const tag = "notify"
	handle(s, route{Method: http.MethodGet, Path: "/notify/targets", ID: "list-notify-targets", Tag: tag, Summary: "Where people are told", Role: Responder, Scope: "notify:read"},
		func(ctx context.Context, _ *call, _ *struct{ Of }) (*body[[]NotifyTarget], error) {
			if s.o.Notify == nil {
				return answer1([]NotifyTarget{}, nil)
			}
			return answer1(s.o.Notify.Targets(ctx), nil)
		})
	handle(s, route{Method: http.MethodPost, Path: "/notify/targets/{name}/test", ID: "test-notify-target", Tag: tag, Summary: "Send a test message", Role: Responder, Scope: "notify:write", Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Of
			Name string `path:"name" maxLength:"100"`
		}) (*body[Tested], error) {
			if s.o.Notify == nil {
				return nil, ErrNotFound
			}
			switch err := s.o.Notify.Test(ctx, c.tenant, in.Name); {
			case err == nil:
				return answer1(Tested{OK: true}, nil)
			case errors.Is(err, ErrNotFound):
				return nil, ErrNotFound
			default:
				return answer1(Tested{Error: err.Error()}, nil)
			}
		})
}
