package server

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/store"
)

// Me is who the caller is.
type Me struct {
	Account string     `json:"account" doc:"id"`
	Login   string     `json:"login"`
	Grants  []Grant    `json:"grants"`
	Tenants []MyTenant `json:"tenants" doc:"that the caller may see"`
	Scopes  []string   `json:"scopes,omitempty" doc:"of a token; absent with a session, which has all"`
	CSRF    string     `json:"csrf,omitempty" doc:"with a session: what changes carry in the header X-CSRF-Token"`
}

// MyTenant is a tenant and what the caller is there.
type MyTenant struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
}

func (s *Server) me(ctx context.Context, p *principal) (Me, error) {
	m := Me{Account: p.account, Login: p.name, Grants: p.grants, Scopes: p.scopes, CSRF: p.csrf}
	all, err := s.o.Control.Tenants(ctx)
	for _, t := range all {
		if r := p.roleIn(t.ID); r.rank() > 0 && !t.Disabled {
			m.Tenants = append(m.Tenants, MyTenant{t.ID, t.Name, r})
		}
	}
	return m, err
}

// session is an answer that sets the cookie of a session.
type session struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Me
}

// ended is an answer that takes it away.
type ended struct {
	SetCookie string `header:"Set-Cookie"`
}

// Opened is a session as its owner sees it.
type Opened struct {
	ID      string    `json:"id" doc:"of the session; not its secret"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`
	Expires time.Time `json:"expires"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
	This    bool      `json:"this" doc:"the one that asks"`
}

func (s *Server) sessionRoutes() {
	const tag = "self"
	handle(s, route{Method: http.MethodPost, Path: "/session", ID: "log-in", Tag: tag, Summary: "Log in by password; sets the cookie of a session", Open: true, Self: true, Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Agent string `header:"User-Agent"`
			Body  LogIn
		}) (*session, error) {
			if !s.o.Local {
				return nil, huma.Error403Forbidden("log-in by password is off here; use the provider on the log-in page")
			}
			a, err := s.login(ctx, remoteAddr(addressIn(ctx)), in.Body.Account, in.Body.Password)
			if err != nil {
				return nil, s.loginProblem(ctx, err)
			}
			k, secret, err := s.begin(ctx, a, addressIn(ctx), in.Agent, "password")
			if err != nil {
				return nil, err
			}
			c.principal = &principal{account: a.ID, name: a.Login, grants: grantsOf(a.Grants), csrf: csrfOf(secret), address: addressIn(ctx)}
			m, err := s.me(ctx, c.principal)
			return &session{k.String(), filled(m)}, err
		})
	self := func(method, path, id, summary string, status int) route {
		deed := ":write"
		if method == http.MethodGet {
			deed = ":read"
		}
		return route{Method: method, Path: path, ID: id, Tag: tag, Summary: summary, Role: Viewer, Scope: tag + deed, Self: true, Status: status}
	}
	handle(s, self(http.MethodDelete, "/session", "log-out", "Log out", 204), func(ctx context.Context, c *call, _ *struct{}) (*ended, error) {
		if err := onlySession(c); err != nil {
			return nil, err
		}
		return &ended{s.cookie("").String()}, s.o.Control.DeleteSession(ctx, c.digest)
	})
	handle(s, self(http.MethodGet, "/me", "get-me", "Who the caller is and what he may see", 0), func(ctx context.Context, c *call, _ *struct{}) (*body[Me], error) {
		return answer1(s.me(ctx, c.principal))
	})
	handle(s, self(http.MethodGet, "/me/sessions", "list-sessions", "Where the caller is logged in", 0), func(ctx context.Context, c *call, _ *struct{}) (*body[[]Opened], error) {
		l, err := s.o.Control.Sessions(ctx, c.account, s.o.Now())
		var out []Opened
		for _, x := range l {
			out = append(out, Opened{hex.EncodeToString(x.Digest[:8]), x.Created, x.Used, x.Expires, x.Address, x.Agent, x.Digest == c.digest})
		}
		return answer1(out, err)
	})
	handle(s, self(http.MethodDelete, "/me/sessions", "log-out-everywhere", "Log out everywhere, here too", 204), func(ctx context.Context, c *call, _ *struct{}) (*ended, error) {
		_, err := s.o.Control.DeleteSessions(ctx, c.account, store.Digest{})
		return &ended{s.cookie("").String()}, err
	})
	password := self(http.MethodPost, "/me/password", "set-password", "Change the caller's password; logs out everywhere else", 204)
	password.Errors = []int{422}
	handle(s, password, func(ctx context.Context, c *call, in *struct {
		Body PasswordIn
	}) (*struct{}, error) {
		if err := onlySession(c); err != nil {
			return nil, err
		}
		a, err := s.login(ctx, remoteAddr(c.address), c.name, in.Body.Old)
		if err != nil {
			return nil, s.loginProblem(ctx, err)
		}
		_, err = s.setPassword(ctx, a, in.Body.New, c.digest)
		return nil, err
	})
	s.tokenRoutes()
}

// onlySession refuses a token what only a person in a browser does.
func onlySession(c *call) error {
	if c.token != "" {
		return huma.Error403Forbidden("this is for the session of a browser, not for a token")
	}
	return nil
}

// TokenMade is a token that was just made: the only time its secret is told.
type TokenMade struct {
	Secret string `json:"secret" doc:"the token itself; it is told this once"`
	store.Token
}

// tokenLife bounds how long a token is good.
const tokenLife = 366 * 24 * time.Hour

func (s *Server) tokenRoutes() {
	const tag = "tokens"
	handle(s, route{Method: http.MethodGet, Path: "/tokens", ID: "list-tokens", Tag: tag, Summary: "The caller's tokens; an administrator may ask for those of all", Role: Viewer, Scope: "tokens:read", Self: true},
		func(ctx context.Context, c *call, in *struct {
			Paged
			All bool `query:"all" doc:"Those of all accounts; for administrators of everything."`
		}) (*body[store.Page[store.Token]], error) {
			f := store.TokenFilter{Kind: store.APIToken, Account: c.account, After: in.Cursor, Limit: in.Limit + 1}
			if in.All {
				if !c.everywhere().Allows(Administrator) {
					return nil, huma.Error403Forbidden("all tokens are for administrators of everything")
				}
				f.Account = ""
			}
			l, err := s.o.Control.Tokens(ctx, f)
			return answer1(idPage(l, in.Limit, func(t *store.Token) string { return t.ID }), err)
		})
	handle(s, route{Method: http.MethodPost, Path: "/tokens", ID: "create-token", Tag: tag, Summary: "Make a token of the caller's own; its secret is told once", Role: Viewer, Scope: "tokens:write", Self: true, Status: 201, Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Body TokenIn
		}) (*body[TokenMade], error) {
			b := &in.Body
			if err := onlySession(c); err != nil { // a token that leaked shall not make others
				return nil, err
			}
			if err := checkLine("name", b.Name, 100); err != nil {
				return nil, invalidInput("%v", err)
			}
			if err := checkScopes(b.Scopes); err != nil {
				return nil, invalidInput("%v", err)
			}
			if err := s.checkExpiry(b.Expires); err != nil {
				return nil, err
			}
			grants := c.grants
			if len(b.Grants) > 0 {
				for _, g := range b.Grants {
					if !c.roleIn(g.Tenant).Allows(g.Role) {
						return nil, huma.Error403Forbidden("a token is no more than its account: " + string(g.Role) + " in " + clip(g.Tenant) + " is")
					}
				}
				grants = b.Grants
			}
			old, err := s.o.Control.Tokens(ctx, store.TokenFilter{Kind: store.APIToken, Account: c.account, Limit: store.MaxPage})
			if err != nil {
				return nil, err
			}
			now, live := s.o.Now(), 0
			for i := range old {
				if old[i].Revoked == nil && (old[i].Expires == nil || old[i].Expires.After(now)) {
					live++
				}
			}
			if live >= maxTokensOne || len(old) >= store.MaxPage {
				return nil, invalidInput("you have %d tokens; revoke some", live)
			}
			secret, _ := newSecret(tokenPrefix)
			t := store.Token{ID: newID("t-"), Digest: store.DigestOf(secret), Kind: store.APIToken, Account: c.account, Name: b.Name, Scopes: b.Scopes, Grants: storedGrants(grants),
				Created: now.UTC(), Expires: ptr(b.Expires.UTC())}
			return answer1(TokenMade{secret, t}, s.o.Control.CreateToken(ctx, t))
		})
	handle(s, route{Method: http.MethodDelete, Path: "/tokens/{id}", ID: "revoke-token", Tag: tag, Summary: "Revoke a token", Role: Viewer, Scope: "tokens:write", Self: true, Status: 204},
		func(ctx context.Context, c *call, in *struct {
			ID string `path:"id" maxLength:"40"`
		}) (*struct{}, error) {
			t, err := s.o.Control.Token(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if t.Kind != store.APIToken || t.Account != c.account && !c.everywhere().Allows(Administrator) {
				return nil, store.ErrNotFound
			}
			return nil, s.o.Control.RevokeToken(ctx, in.ID, s.o.Now())
		})

	// Tokens of receivers are of a tenant, not of a person.
	handle(s, route{Method: http.MethodGet, Path: "/ingest-tokens", ID: "list-ingest-tokens", Tag: tag, Summary: "Tokens with which evidence is sent", Role: Administrator, Scope: "tokens:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
		}) (*body[store.Page[store.Token]], error) {
			l, err := s.o.Control.Tokens(ctx, store.TokenFilter{Kind: store.IngestToken, Tenant: c.tenant, After: in.Cursor, Limit: in.Limit + 1})
			return answer1(idPage(l, in.Limit, func(t *store.Token) string { return t.ID }), err)
		})
	handle(s, route{Method: http.MethodPost, Path: "/ingest-tokens", ID: "create-ingest-token", Tag: tag, Summary: "Make a token with which evidence is sent; its secret is told once", Role: Administrator, Scope: "tokens:write", Status: 201, Errors: []int{422}},
		func(ctx context.Context, c *call, in *struct {
			Of
			Body IngestTokenIn
		}) (*body[TokenMade], error) {
			b := &in.Body
			if err := checkLine("name", b.Name, 100); err != nil {
				return nil, invalidInput("%v", err)
			}
			if b.Expires != nil && !b.Expires.After(s.o.Now()) {
				return nil, invalidInput("expires: it has passed")
			}
			secret, _ := newSecret(ingestPrefix)
			t := store.Token{ID: newID("i-"), Digest: store.DigestOf(secret), Kind: store.IngestToken, Tenant: c.tenant, Name: b.Name, Created: s.o.Now().UTC(), Expires: b.Expires}
			return answer1(TokenMade{secret, t}, s.o.Control.CreateToken(ctx, t))
		})
	handle(s, route{Method: http.MethodDelete, Path: "/ingest-tokens/{id}", ID: "revoke-ingest-token", Tag: tag, Summary: "Revoke a token with which evidence is sent", Role: Administrator, Scope: "tokens:write", Status: 204},
		func(ctx context.Context, c *call, in *One) (*struct{}, error) {
			t, err := s.o.Control.Token(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if t.Kind != store.IngestToken || t.Tenant != c.tenant {
				return nil, store.ErrNotFound
			}
			return nil, s.o.Control.RevokeToken(ctx, in.ID, s.o.Now())
		})
}

func (s *Server) checkExpiry(t time.Time) error {
	now := s.o.Now()
	switch {
	case !t.After(now):
		return invalidInput("expires: it has passed")
	case t.After(now.Add(tokenLife)):
		return invalidInput("expires: more than a year away")
	}
	return nil
}

// idPage is a page of a list in order of an id, of which one more than the page was read.
func idPage[T any](l []T, limit int, id func(*T) string) (p store.Page[T]) {
	p.Items = l
	if len(l) > limit {
		p.Items = l[:limit]
		p.Next = id(&p.Items[limit-1])
	}
	return p
}

// LogIn is a name and a password.
type LogIn struct {
	Account  string `json:"account" maxLength:"256"`
	Password string `json:"password" maxLength:"1024"`
}

// PasswordIn is a new password.
type PasswordIn struct {
	Old string `json:"old" maxLength:"1024"`
	New string `json:"new" maxLength:"1024"`
}

// TokenIn is a token to be made.
type TokenIn struct {
	Name    string    `json:"name" minLength:"1" maxLength:"100"`
	Scopes  []string  `json:"scopes" minItems:"1" maxItems:"64" doc:"area:read or area:write; * in place of either, or alone for all."`
	Grants  []Grant   `json:"grants,omitempty" maxItems:"100" doc:"No more than the caller's own, which it is without."`
	Expires time.Time `json:"expires" doc:"A year from now at most."`
}

// IngestTokenIn is a token of a receiver to be made.
type IngestTokenIn struct {
	Name    string     `json:"name" minLength:"1" maxLength:"100" doc:"Who sends with it: the source that evidence is shown under."`
	Expires *time.Time `json:"expires,omitempty" doc:"Without it the token is good until it is revoked."`
}
