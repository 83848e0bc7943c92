package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/catena-sec/catena/internal/store"
)

// Bounds of what one request may ask for.
const (
	maxBody    = 1 << 20 // bytes of a body of the API
	maxPage    = 200     // items of a page
	maxBulk    = 200     // incidents of one bulk request
	prefix     = "/api/v1"
	roleExt    = "x-catena-role"
	scopeExt   = "x-catena-scope"
	tenantExt  = "x-catena-tenant"
	changesExt = "x-catena-changes"
)

// A route is one operation of the API, and what it asks of who calls it.
type route struct {
	Method, Path, ID   string
	Tag, Summary, Desc string
	Role               Role
	Scope              string // of tokens
	Global             bool   // of no tenant: the role must be held everywhere
	Self               bool   // about the caller: any tenant will do
	Open               bool   // for who is not logged in as well
	Status             int    // of success, if not 200 or 204
	Errors             []int  // besides those that every route has
}

// changes says whether the route changes anything.
func (r *route) changes() bool { return r.Method != http.MethodGet }

// A call is who asks, and of which tenant.
type call struct {
	*principal
	tenant string
	TenantStore
}

// Of is the tenant of a request, part of the input of every route that has one.
type Of struct {
	Tenant string `query:"tenant" maxLength:"40" doc:"Tenant asked of; without it the caller's first."`
}

// Paged is where a page of a list begins and how long it is.
type Paged struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"What the page before gave as next."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items of a page."`
}

// newAPI makes the API without its routes.
func newAPI(mux *http.ServeMux, version string) huma.API {
	format := huma.Format{Marshal: marshal, Unmarshal: json.Unmarshal}
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Catena", Version: version, License: &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"},
				Description: "Incidents, the story of each, and the evidence it rests on. Strings in answers come from evidence and were written by attackers as well as by others: show them as text only."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "A token made under /tokens, beginning with cat_."},
					"session": {Type: "apiKey", In: "cookie", Name: cookiePlain, Description: "The session of a browser (" + cookieTLS + " over TLS). A change needs the header " + csrfHeader + " with the value that GET /me gives."},
				},
			},
		},
		OpenAPIPath:                  prefix + "/openapi",
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	return humago.New(mux, c)
}

// schemaName names a type in the document. What server and store call by one name is two
// types: that of the server is checked by its tags.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[store.Grant]() {
		return "StoredGrant"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// marshal writes JSON that is safe in a page as well: <, > and & are escaped, as are the
// line separators that end a line of script.
func marshal(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// operation is a route as the document has it.
func (s *Server) operation(r route) huma.Operation {
	op := huma.Operation{
		Method: r.Method, Path: prefix + r.Path, OperationID: r.ID, Tags: []string{r.Tag}, Summary: r.Summary, Description: r.Desc,
		DefaultStatus: r.Status, MaxBodyBytes: maxBody, BodyReadTimeout: 15 * time.Second,
		Security:    []map[string][]string{{"token": {}}, {"session": {}}},
		Errors:      slices.Concat([]int{400, 401, 403, 404, 429, 503}, r.Errors),
		Middlewares: huma.Middlewares{s.guard(r)},
		Extensions:  map[string]any{roleExt: string(r.Role), scopeExt: r.Scope, tenantExt: !r.Global && !r.Self, changesExt: r.changes()},
	}
	if r.Open {
		op.Security = []map[string][]string{}
		op.Extensions[roleExt] = ""
	}
	if r.changes() {
		op.Errors = append(op.Errors, 409, 412, 413, 415)
		op.Parameters = append(op.Parameters, &huma.Param{Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: ptr(maxKey)},
			Description: "A value of the caller's own, new for each change: sent again with the same body within a day, the change is not made again and the first answer is given."})
	}
	return op
}

// handle adds a route. The handler is called for those only who may, what it changes is
// audited, and what it returns as an error becomes a problem document.
func handle[I, O any](s *Server, r route, h func(ctx context.Context, c *call, in *I) (*O, error)) {
	huma.Register(s.api, s.operation(r), func(ctx context.Context, in *I) (*O, error) {
		c, ok := ctx.Value(callKey{}).(*call)
		if !ok {
			return nil, errors.New("a route without its guard")
		}
		out, err := h(ctx, c, in)
		if err != nil {
			return nil, s.problem(ctx, r.ID, err)
		}
		if r.changes() {
			if err := s.audit(ctx, c, r.ID, in); err != nil {
				s.o.Log.Error("a change is not in the audit", "doing", r.ID, "by", c.actor(), "error", err)
				return nil, huma.Error500InternalServerError("the change was made, and could not be written into the audit; the administrator finds the cause in the log")
			}
		}
		return out, nil
	})
	s.routes = append(s.routes, r)
}

func ptr[T any](v T) *T { return &v }

type callKey struct{}

// guard lets those pass who may, and finds the tenant that they ask of. It runs before
// anything of the request is read.
func (s *Server) guard(r route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		p := principalOf(ctx.Context())
		refuse := func(status int, text string) {
			if err := huma.WriteErr(s.api, ctx, status, text); err != nil {
				s.o.Log.Debug("an answer could not be written", "error", err)
			}
		}
		if r.Open {
			next(huma.WithValue(ctx, callKey{}, &call{principal: &principal{address: addressIn(ctx.Context())}}))
			return
		}
		if p == nil {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			refuse(http.StatusUnauthorized, "log in, or send a token as Authorization: Bearer")
			return
		}
		c := &call{principal: ptr(*p)}
		role := p.highest()
		switch {
		case r.Self:
		case r.Global:
			role = p.everywhere()
		default:
			c.tenant = ctx.Query("tenant")
			if c.tenant == "" {
				c.tenant = p.firstTenant()
			}
			role = p.roleIn(c.tenant)
			var ok bool
			if c.TenantStore, ok = s.tenant(ctx.Context(), p, c.tenant); !ok { // the same words whether it is not there or not theirs
				refuse(http.StatusNotFound, fmt.Sprintf("there is no tenant %q that you may see", clip(c.tenant)))
				return
			}
		}
		if !role.Allows(r.Role) {
			refuse(http.StatusForbidden, fmt.Sprintf("this needs the role %s; yours is %s", r.Role, roleWord(role)))
			return
		}
		if p.scopes != nil && !scopeAllows(p.scopes, r.Scope) {
			refuse(http.StatusForbidden, fmt.Sprintf("this needs a token with the scope %s", r.Scope))
			return
		}
		c.role = role
		next(huma.WithValue(ctx, callKey{}, c))
	}
}

func roleWord(r Role) string {
	if r.rank() == 0 {
		return "none here"
	}
	return string(r)
}

// problem turns an error into what a client is told. What went wrong inside is logged
// and not told.
func (s *Server) problem(ctx context.Context, what string, err error) error {
	var se huma.StatusError
	if errors.As(err, &se) {
		return err
	}
	var later interface{ RetryAfter() time.Duration }
	switch {
	case errors.As(err, &later):
		return retry(http.StatusServiceUnavailable, err.Error(), later.RetryAfter())
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrNotFound):
		return huma.Error404NotFound(plain(err))
	case errors.Is(err, store.ErrConflict):
		return huma.NewError(http.StatusPreconditionFailed, "it has changed since you read it; read it again")
	case errors.Is(err, store.ErrExists), errors.Is(err, ErrRefused):
		return huma.Error409Conflict(plain(err))
	case errors.Is(err, store.ErrCursor):
		return huma.Error400BadRequest("the cursor is not one of this list; begin without one")
	case errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrLimit):
		return huma.Error422UnprocessableEntity(plain(err))
	case errors.Is(err, ErrUnsupported):
		return huma.NewError(http.StatusNotImplemented, plain(err))
	case errors.Is(err, errBusy):
		return retry(http.StatusServiceUnavailable, err.Error(), 3*time.Second)
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrLocked):
		s.o.Log.Error("the store cannot be written", "doing", what, "error", err)
		return retry(http.StatusServiceUnavailable, "the store cannot be written now; the administrator finds the cause in the log", 30*time.Second)
	case errors.Is(err, context.DeadlineExceeded):
		return retry(http.StatusServiceUnavailable, "it took too long; ask for less", 5*time.Second)
	case ctx.Err() != nil:
		return huma.NewError(499, "the caller went away")
	}
	s.o.Log.Error("a request failed", "doing", what, "error", err)
	return huma.Error500InternalServerError("that failed; the administrator finds the cause in the log")
}

// plain is an error as a client is told it: without the file that the store names first,
// and of what is not there no more than that.
func plain(err error) string {
	for _, e := range []error{store.ErrNotFound, store.ErrExists, store.ErrLimit, ErrNotFound} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	if _, cause, ok := strings.Cut(err.Error(), store.ErrInvalid.Error()); ok {
		return store.ErrInvalid.Error() + cause
	}
	return err.Error()
}

// retry is a problem that says when to try again.
func retry(status int, text string, after time.Duration) error {
	return huma.ErrorWithHeaders(huma.NewError(status, text), http.Header{"Retry-After": {strconv.Itoa(max(1, int(math.Ceil(after.Seconds()))))}})
}

// finish completes the document once all routes are in it. Arrays of answers are never
// null: fill sees to that.
func (s *Server) finish() {
	for _, sch := range s.api.OpenAPI().Components.Schemas.Map() {
		noNulls(sch)
	}
}

func noNulls(sch *huma.Schema) {
	for _, p := range sch.Properties {
		if p.Type == huma.TypeArray {
			p.Nullable = false
		}
		noNulls(p)
	}
	if sch.Items != nil {
		noNulls(sch.Items)
	}
	if v, ok := sch.AdditionalProperties.(*huma.Schema); ok {
		if v.Type == huma.TypeArray {
			v.Nullable = false
		}
		noNulls(v)
	}
}

// fill puts empty lists and maps where v, a pointer, has nil ones that JSON would show as
// null: those without omitempty. A document of the store was written by another package.
func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the others hold nothing
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Kind() == reflect.Pointer {
			fill(v.Elem())
		}
	case reflect.Struct:
		t := v.Type()
		if t == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			f := v.Field(i)
			tag := t.Field(i).Tag.Get("json")
			if !f.CanSet() || tag == "-" {
				continue
			}
			if !strings.Contains(tag, "omitempty") {
				switch {
				case f.Kind() == reflect.Slice && f.IsNil() && f.Type() != reflect.TypeFor[json.RawMessage]():
					f.Set(reflect.MakeSlice(f.Type(), 0, 0))
				case f.Kind() == reflect.Map && f.IsNil():
					f.Set(reflect.MakeMap(f.Type()))
				}
			}
			fill(f)
		}
	case reflect.Slice:
		switch v.Type().Elem().Kind() { //nolint:exhaustive // the others hold nothing
		case reflect.Struct, reflect.Pointer, reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	}
}

// filled is v without null lists.
func filled[T any](v T) T {
	fill(reflect.ValueOf(&v))
	return v
}

// logger is what a nil logger of the options stands for.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
