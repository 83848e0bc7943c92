package server

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/catena-sec/catena/internal/model"
)

// Changes are what happened after a number.
type Changes struct {
	Items []model.Change `json:"items"`
	Last  int64          `json:"last" doc:"number of the last one; ask for what comes after it"`
	// Missed says that some between were let go of: read what is shown anew.
	Missed bool `json:"missed" doc:"some in between are no longer kept: read anew what you show"`
}

// Missed is sent on a stream when changes before those that follow are no longer kept.
type Missed struct {
	First int64 `json:"first" doc:"the first that is still kept"`
}

func (s *Server) changeRoutes() {
	const tag = "changes"
	handle(s, route{Method: http.MethodGet, Path: "/changes", ID: "list-changes", Tag: tag, Summary: "What changed after a number", Role: Viewer, Scope: "changes:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			After int64 `query:"after" minimum:"0"`
			Limit int   `query:"limit" minimum:"1" maximum:"200" default:"50"`
		}) (*body[Changes], error) {
			l, first, err := c.Cases.Changes(ctx, in.After, in.Limit)
			if err != nil {
				return nil, err
			}
			for i := range l {
				l[i].Tenant = c.tenant
			}
			out := Changes{Items: l, Last: in.After, Missed: in.After > 0 && first > in.After+1}
			if len(l) > 0 {
				out.Last = l[len(l)-1].Seq
			}
			return answer1(out, nil)
		})
	s.streamRoute()
}

// streamRoute is the stream of changes as server-sent events. Its document says what the
// data of each event is.
func (s *Server) streamRoute() {
	r := route{Method: http.MethodGet, Path: "/changes/stream", ID: "stream-changes", Tag: "changes", Role: Viewer, Scope: "changes:read", Summary: "Changes as they happen (server-sent events)",
		Desc: "Each event is named change and has the number of the change as its id: a client that comes again sends it as Last-Event-ID (or as after) and misses nothing. " +
			"Without either the stream begins with what happens from now on. An event named missed says that some in between are no longer kept. A comment is sent every 15 seconds, and the stream ends after an hour: come again."}
	schemas := s.api.OpenAPI().Components.Schemas
	event := func(name string, data any, required ...string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Title: name, Required: required, Properties: map[string]*huma.Schema{
			"id":    {Type: huma.TypeInteger, Format: "int64"},
			"event": {Type: huma.TypeString, Enum: []any{name}},
			"data":  schemas.Schema(reflect.TypeOf(data), true, name),
		}}
	}
	op := s.operation(r)
	op.Responses = map[string]*huma.Response{"200": {Description: "A stream of events", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{
		Type: huma.TypeArray, Items: &huma.Schema{OneOf: []*huma.Schema{event("change", model.Change{}, "id", "event", "data"), event("missed", Missed{}, "event", "data")}}}}}}}
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		Of
		After       int64  `query:"after" minimum:"0" doc:"Number of the last change that is known."`
		LastEventID string `header:"Last-Event-ID" maxLength:"20"`
	}) (*huma.StreamResponse, error) {
		c := ctx.Value(callKey{}).(*call)
		after := in.After
		if n, err := strconv.ParseInt(in.LastEventID, 10, 64); err == nil && n >= 0 {
			after = max(after, n)
		}
		release, err := s.streams.enter(c.who())
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer release()
			_, w := humago.Unwrap(hc)
			h := w.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("X-Accel-Buffering", "no") // a proxy in front shall not hold events back
			if err := s.stream(hc.Context(), c, &eventWriter{w, http.NewResponseController(w)}, after); err != nil {
				s.o.Log.Debug("a stream of changes ended", "who", c.who(), "error", err)
			}
		}}, nil
	})
	s.routes = append(s.routes, r)
}

// stream sends a client what changes after a number, 0 meaning from now on.
func (s *Server) stream(ctx context.Context, c *call, w *eventWriter, after int64) error {
	ctx, cancel := mergeDone(ctx, s.stopping)
	defer cancel()
	resumed := after > 0
	last := c.Cases.LastChange()
	if !resumed || after > last { // a number of the future is of another store
		after = last
	}
	if err := w.comment("changes of " + c.tenant); err != nil {
		return err
	}
	return w.pump(ctx, heartbeat, func(wait context.Context) error {
		if err := c.Cases.WaitChange(wait, after); err != nil {
			return err
		}
		if !s.stillMay(ctx, c, Viewer) {
			return errEnded
		}
		l, first, err := c.Cases.Changes(ctx, after, maxPage)
		if err != nil {
			return err
		}
		if resumed && first > after+1 {
			if err := w.send(0, "missed", Missed{first}); err != nil {
				return err
			}
		}
		resumed = true
		for _, ch := range l {
			ch.Tenant = c.tenant
			if err := w.send(ch.Seq, "change", ch); err != nil {
				return err
			}
			after = ch.Seq
		}
		return nil
	})
}

// jsonOf is v as JSON; what cannot be is a fault of ours.
func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`)
	}
	return b
}
