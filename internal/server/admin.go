package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/store"
)

// AccountFull is an account with what administrators see of it.
type AccountFull struct {
	store.Account
	Password bool `json:"has_password"`
}

func fullOf(a store.Account) AccountFull { return AccountFull{a, a.Password != ""} }

// AccountIn is what an administrator writes of an account.
type AccountIn struct {
	Name     string  `json:"name,omitempty" maxLength:"200"`
	Email    string  `json:"email,omitempty" maxLength:"254"`
	Grants   []Grant `json:"grants" maxItems:"1000"`
	Disabled bool    `json:"disabled,omitempty"`
}

func (b *AccountIn) check() error {
	for what, v := range map[string]string{"name": b.Name, "email": b.Email} {
		if err := checkLine(what, v, 254); err != nil {
			return invalidInput("%v", err)
		}
	}
	for _, g := range b.Grants {
		if g.Tenant != everyTenant && !tenantForm.MatchString(g.Tenant) {
			return invalidInput("grants: %q is no tenant", clip(g.Tenant))
		}
	}
	return nil
}

// AccountMade is a new account, and the link by which it gets a password.
type AccountMade struct {
	AccountFull
	Link string `json:"link" doc:"one-time link to set a password, good for a day; hand it to the person"`
}

// LinkMade is a one-time link.
type LinkMade struct {
	Link string `json:"link" doc:"one-time link to set a password, good for a day; hand it to the person"`
}

// Verified says that the chain of the audit holds.
type Verified struct {
	Rows int64  `json:"rows"`
	Head string `json:"head" doc:"hash of the last row; keep it elsewhere to show later that rows were cut off"`
}

// TenantIn is what an administrator writes of a tenant.
type TenantIn struct {
	Name     string `json:"name" minLength:"1" maxLength:"200"`
	Disabled bool   `json:"disabled,omitempty"`
}

func (s *Server) adminRoutes() {
	s.accountRoutes()
	s.tenantRoutes()
	s.auditRoutes()
	s.settingRoutes()
}

func adminRoute(method, path, id, tag, summary string, status int) route {
	deed := ":write"
	if method == http.MethodGet {
		deed = ":read"
	}
	return route{Method: method, Path: path, ID: id, Tag: tag, Summary: summary, Role: Administrator, Scope: tag + deed, Global: true, Status: status, Errors: []int{422}}
}

// AccountID names an account in a path.
type AccountID struct {
	ID string `path:"id" maxLength:"40"`
}

func (s *Server) accountRoutes() {
	const tag = "accounts"
	handle(s, adminRoute(http.MethodGet, "/accounts", "list-accounts", tag, "Accounts", 0),
		func(ctx context.Context, _ *call, in *struct{ Paged }) (*body[store.Page[AccountFull]], error) {
			l, err := s.o.Control.Accounts(ctx, in.Cursor, in.Limit+1)
			var out []AccountFull
			for _, a := range l {
				out = append(out, fullOf(a))
			}
			return answer1(idPage(out, in.Limit, func(a *AccountFull) string { return a.ID }), err)
		})
	handle(s, adminRoute(http.MethodGet, "/accounts/{id}", "get-account", tag, "One account", 0),
		func(ctx context.Context, _ *call, in *AccountID) (*tagged[AccountFull], error) {
			a, err := s.o.Control.Account(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &tagged[AccountFull]{versionTag(a.Version), filled(fullOf(a))}, nil
		})
	handle(s, adminRoute(http.MethodPost, "/accounts", "create-account", tag, "Make an account", 201),
		func(ctx context.Context, _ *call, in *struct {
			Body AccountNew
		}) (*body[AccountMade], error) {
			if err := checkAccountName(in.Body.Login); err != nil {
				return nil, invalidInput("login: %v", err)
			}
			if err := in.Body.check(); err != nil {
				return nil, err
			}
			a := store.Account{ID: newID("u-"), Login: in.Body.Login, Name: in.Body.Name, Email: in.Body.Email, Grants: storedGrants(in.Body.Grants), Disabled: in.Body.Disabled, Created: s.o.Now().UTC(), Version: 1}
			if err := s.o.Control.CreateAccount(ctx, a); err != nil {
				return nil, err
			}
			link, err := s.makeLink(ctx, a.ID)
			return answer1(AccountMade{fullOf(a), link}, err)
		})
	handle(s, adminRoute(http.MethodPut, "/accounts/{id}", "put-account", tag, "Change an account; what it loses ends at once", 0),
		func(ctx context.Context, _ *call, in *struct {
			AccountID
			IfMatch string `header:"If-Match" maxLength:"40"`
			Body    AccountIn
		}) (*tagged[AccountFull], error) {
			if err := in.Body.check(); err != nil {
				return nil, err
			}
			a, err := s.o.Control.Account(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			expect, err := expectVersion(in.IfMatch)
			if err != nil {
				return nil, err
			}
			if expect >= 0 {
				a.Version = expect
			}
			a.Name, a.Email, a.Grants, a.Disabled = in.Body.Name, in.Body.Email, storedGrants(in.Body.Grants), in.Body.Disabled
			if a.Disabled || (&principal{grants: in.Body.Grants}).everywhere() != Administrator {
				if err := s.notTheLast(ctx, a.ID); err != nil {
					return nil, err
				}
			}
			if a, err = s.o.Control.UpdateAccount(ctx, a); err != nil {
				return nil, err
			}
			if a.Disabled {
				if _, err := s.o.Control.DeleteSessions(ctx, a.ID, store.Digest{}); err != nil {
					return nil, err
				}
			}
			return &tagged[AccountFull]{versionTag(a.Version), filled(fullOf(a))}, nil
		})
	handle(s, adminRoute(http.MethodDelete, "/accounts/{id}", "delete-account", tag, "Delete an account with its sessions and tokens", 204),
		func(ctx context.Context, _ *call, in *AccountID) (*struct{}, error) {
			if err := s.notTheLast(ctx, in.ID); err != nil {
				return nil, err
			}
			return nil, s.o.Control.DeleteAccount(ctx, in.ID)
		})
	handle(s, adminRoute(http.MethodPost, "/accounts/{id}/link", "create-link", tag, "Make a one-time link by which the person sets a new password", 201),
		func(ctx context.Context, _ *call, in *AccountID) (*body[LinkMade], error) {
			if _, err := s.o.Control.Account(ctx, in.ID); err != nil {
				return nil, err
			}
			link, err := s.makeLink(ctx, in.ID)
			return answer1(LinkMade{link}, err)
		})
	handle(s, adminRoute(http.MethodDelete, "/accounts/{id}/sessions", "log-out-account", tag, "Log an account out everywhere", 204),
		func(ctx context.Context, _ *call, in *AccountID) (*struct{}, error) {
			if _, err := s.o.Control.Account(ctx, in.ID); err != nil {
				return nil, err
			}
			_, err := s.o.Control.DeleteSessions(ctx, in.ID, store.Digest{})
			return nil, err
		})
}

func versionTag(v int64) string { return quote(strconv.FormatInt(v, 10)) }

// notTheLast refuses to take the last administrator of everything away: nobody could make
// another one.
func (s *Server) notTheLast(ctx context.Context, id string) error {
	a, err := s.o.Control.Account(ctx, id)
	if err != nil {
		return err
	}
	is := func(a *store.Account) bool {
		return !a.Disabled && (&principal{grants: grantsOf(a.Grants)}).everywhere() == Administrator
	}
	if !is(&a) {
		return nil
	}
	for after := ""; ; {
		l, err := s.o.Control.Accounts(ctx, after, store.MaxPage)
		if err != nil {
			return err
		}
		for i := range l {
			if l[i].ID != id && is(&l[i]) {
				return nil
			}
			after = l[i].ID
		}
		if len(l) < store.MaxPage {
			return fmt.Errorf("%w: it is the last administrator of everything", ErrRefused)
		}
	}
}

func (s *Server) tenantRoutes() {
	const tag = "tenants"
	handle(s, adminRoute(http.MethodGet, "/tenants", "list-tenants", tag, "All tenants; /me has those that the caller may see", 0),
		func(ctx context.Context, _ *call, in *struct{ Paged }) (*body[store.Page[store.Tenant]], error) {
			l, err := s.o.Control.Tenants(ctx)
			if err != nil {
				return nil, err
			}
			return answer1(pageOf(l, "tenants", in.Paged))
		})
	handle(s, adminRoute(http.MethodPost, "/tenants", "create-tenant", tag, "Make a tenant and start its engine", 201),
		func(ctx context.Context, _ *call, in *struct {
			Body TenantNew
		}) (*body[store.Tenant], error) {
			if !tenantForm.MatchString(in.Body.ID) {
				return nil, invalidInput("id: want a-z, 0-9 and -, 1 to 40 of them, beginning with a letter or digit")
			}
			if err := checkLine("name", in.Body.Name, 200); err != nil {
				return nil, invalidInput("%v", err)
			}
			t := store.Tenant{ID: in.Body.ID, Name: in.Body.Name, Created: s.o.Now().UTC()}
			if err := s.o.Control.CreateTenant(ctx, t); err != nil {
				return nil, err
			}
			return answer1(t, s.o.Tenants.Create(ctx, t.ID))
		})
	handle(s, adminRoute(http.MethodPut, "/tenants/{id}", "put-tenant", tag, "Rename or disable a tenant; what is stored stays", 0),
		func(ctx context.Context, _ *call, in *struct {
			ID   string `path:"id" maxLength:"40"`
			Body TenantIn
		}) (*body[store.Tenant], error) {
			if err := checkLine("name", in.Body.Name, 200); err != nil {
				return nil, invalidInput("%v", err)
			}
			t, err := s.o.Control.Tenant(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			t.Name, t.Disabled = in.Body.Name, in.Body.Disabled
			return answer1(t, s.o.Control.UpdateTenant(ctx, t))
		})
}

// AuditIn picks rows of an audit.
type AuditIn struct {
	Actor  string    `query:"actor" maxLength:"256"`
	Action string    `query:"action" maxLength:"256" doc:"The operation's id, such as set-status, or login, login.failed."`
	Object string    `query:"object" maxLength:"256"`
	Since  time.Time `query:"since"`
	Until  time.Time `query:"until"`
}

func (in *AuditIn) filter(p Paged) store.AuditFilter {
	return store.AuditFilter{Actor: in.Actor, Action: in.Action, Object: in.Object, Since: in.Since, Until: in.Until, Cursor: p.Cursor, Limit: p.Limit}
}

func (s *Server) auditRoutes() {
	const tag = "audit"
	handle(s, route{Method: http.MethodGet, Path: "/audit", ID: "list-audit", Tag: tag, Summary: "Who changed what in a tenant, the latest first", Role: Administrator, Scope: "audit:read"},
		func(ctx context.Context, c *call, in *struct {
			Of
			Paged
			AuditIn
		}) (*body[store.Page[store.AuditRow]], error) {
			return answer1(c.Cases.AuditRows(ctx, in.filter(in.Paged)))
		})
	handle(s, route{Method: http.MethodGet, Path: "/audit/verify", ID: "verify-audit", Tag: tag, Summary: "Check that no row of a tenant's audit was changed", Role: Administrator, Scope: "audit:read"},
		func(ctx context.Context, c *call, _ *struct{ Of }) (*body[Verified], error) {
			n, head, err := c.Cases.VerifyAudit(ctx)
			return answer1(Verified{n, head}, err)
		})
	handle(s, adminRoute(http.MethodGet, "/audit/control", "list-control-audit", tag, "Log-ins, and who changed accounts, tokens, tenants and settings, the latest first", 0),
		func(ctx context.Context, _ *call, in *struct {
			Paged
			AuditIn
		}) (*body[store.Page[store.AuditRow]], error) {
			return answer1(s.o.Control.AuditRows(ctx, in.filter(in.Paged)))
		})
	handle(s, adminRoute(http.MethodGet, "/audit/control/verify", "verify-control-audit", tag, "Check that no row of it was changed", 0),
		func(ctx context.Context, _ *call, _ *struct{}) (*body[Verified], error) {
			n, head, err := s.o.Control.VerifyAudit(ctx)
			return answer1(Verified{n, head}, err)
		})
}

func (s *Server) settingRoutes() {
	const tag = "settings"
	handle(s, adminRoute(http.MethodGet, "/settings", "list-settings", tag, "Settings of the installation that are kept by the server", 0),
		func(ctx context.Context, _ *call, in *struct{ Paged }) (*body[store.Page[Saved]], error) {
			l, err := s.o.Control.Objects(ctx, settingKind, in.Cursor, in.Limit+1)
			var out []Saved
			for _, o := range l {
				out = append(out, savedOf(o))
			}
			return answer1(idPage(out, in.Limit, func(x *Saved) string { return x.Name }), err)
		})
	handle(s, adminRoute(http.MethodGet, "/settings/{name}", "get-setting", tag, "One setting", 0),
		func(ctx context.Context, _ *call, in *struct {
			Name string `path:"name" maxLength:"80"`
		}) (*tagged[Saved], error) {
			o, err := s.o.Control.Object(ctx, settingKind, in.Name)
			if err != nil {
				return nil, err
			}
			return &tagged[Saved]{versionTag(o.Version), savedOf(o)}, nil
		})
	handle(s, adminRoute(http.MethodPut, "/settings/{name}", "put-setting", tag, "Write a setting", 0),
		func(ctx context.Context, c *call, in *struct {
			Name    string `path:"name" maxLength:"80"`
			IfMatch string `header:"If-Match" maxLength:"40"`
			Body    SettingIn
		}) (*tagged[Saved], error) {
			if !objectForm.MatchString(in.Name) {
				return nil, huma.Error422UnprocessableEntity("name: 1 to 80 of a-z, 0-9 and . _ -, beginning with a letter or digit")
			}
			if len(in.Body.Body) > maxSaved {
				return nil, invalidInput("body: more than 64 KiB")
			}
			expect, err := expectVersion(in.IfMatch)
			if err != nil {
				return nil, err
			}
			o, err := s.o.Control.PutObject(ctx, store.Object{Kind: settingKind, Name: in.Name, Time: s.o.Now(), Author: c.name, Body: in.Body.Body}, expect)
			if err != nil {
				return nil, err
			}
			return &tagged[Saved]{versionTag(o.Version), savedOf(o)}, nil
		})
	handle(s, adminRoute(http.MethodDelete, "/settings/{name}", "delete-setting", tag, "Delete a setting", 204),
		func(ctx context.Context, _ *call, in *struct {
			Name    string `path:"name" maxLength:"80"`
			IfMatch string `header:"If-Match" maxLength:"40"`
		}) (*struct{}, error) {
			expect, err := expectVersion(in.IfMatch)
			if err != nil {
				return nil, err
			}
			return nil, s.o.Control.DeleteObject(ctx, settingKind, in.Name, expect)
		})
}

// AccountNew is an account to be made.
type AccountNew struct {
	Login string `json:"login" minLength:"1" maxLength:"100"`
	AccountIn
}

// TenantNew is a tenant to be made.
type TenantNew struct {
	ID   string `json:"id" minLength:"1" maxLength:"40" doc:"a-z, 0-9 and -, beginning with a letter or digit."`
	Name string `json:"name" minLength:"1" maxLength:"200"`
}

// SettingIn is a setting to keep.
type SettingIn struct {
	Body json.RawMessage `json:"body" doc:"Any JSON, 64 KiB at most."`
}
