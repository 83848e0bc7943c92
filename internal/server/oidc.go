package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/catena-sec/catena/internal/store"
)

// A Provider lets people log in by OpenID Connect.
type Provider struct {
	ID           string // in the path: a-z, 0-9, . _ -
	Name         string // on the button
	Issuer       string
	ClientID     string
	ClientSecret string   // empty for a public client, which PKCE protects
	Scopes       []string // besides openid, profile and email
	RoleClaim    string   // claim that lists groups or roles; empty: groups
	// Roles say what values of the claim mean here; "*" is anybody. Who has none may not
	// enter. At every log-in an account gets what they say then.
	Roles []ClaimRole
	// HTTP reaches the provider; nil is a client with a bound of 10 seconds.
	HTTP *http.Client
}

// A ClaimRole is what a value of the claim means.
type ClaimRole struct {
	Value string
	Grant Grant
}

// Bounds of log-ins by providers.
const (
	flowLife   = 10 * time.Minute
	maxFlows   = 4096
	oidcCookie = "catena_oidc"
	oidcWithin = 10 * time.Second
)

// oidcs are the providers, each found out about when it is first used.
type oidcs struct {
	byID  map[string]*oidcProvider
	flows *recent[string, flow]
	now   func() time.Time
}

type oidcProvider struct {
	Provider
	client *http.Client

	mu       sync.Mutex
	found    *oidc.Provider
	verifier *oidc.IDTokenVerifier
	tried    time.Time
	err      error
}

// A flow is a log-in that went to a provider and has not come back.
type flow struct {
	provider, nonce, verifier, next, back string
	until                                 time.Time
}

func newOIDC(l []Provider, now func() time.Time) (*oidcs, error) {
	o := &oidcs{byID: map[string]*oidcProvider{}, flows: newRecent[string, flow](maxFlows), now: now}
	for _, p := range l {
		switch {
		case !objectForm.MatchString(p.ID):
			return nil, fmt.Errorf("OIDC provider %q: its id is 1 to 80 of a-z, 0-9 and . _ -", p.ID)
		case o.byID[p.ID] != nil:
			return nil, fmt.Errorf("OIDC provider %q stands there twice", p.ID)
		case p.Issuer == "" || p.ClientID == "":
			return nil, fmt.Errorf("OIDC provider %q: issuer and client id are needed", p.ID)
		}
		for _, r := range p.Roles {
			if r.Grant.Role.rank() == 0 || r.Grant.Tenant == "" {
				return nil, fmt.Errorf("OIDC provider %q: the claim %q gives no role in a tenant", p.ID, r.Value)
			}
		}
		if p.Name == "" {
			p.Name = p.ID
		}
		c := p.HTTP
		if c == nil {
			c = &http.Client{Timeout: oidcWithin}
		}
		o.byID[p.ID] = &oidcProvider{Provider: p, client: c}
	}
	return o, nil
}

// reach finds out about a provider; one that does not answer is asked again after 10 s.
func (p *oidcProvider) reach(ctx context.Context, now time.Time) (*oidc.Provider, *oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		if p.err != nil && now.Sub(p.tried) < 10*time.Second {
			return nil, nil, p.err
		}
		p.tried = now
		// The provider keeps the client for later, not the time bound of this request.
		found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
		if err != nil {
			p.err = fmt.Errorf("OIDC provider %s: %w", p.ID, err)
			return nil, nil, p.err
		}
		p.found, p.err = found, nil
		p.verifier = found.Verifier(&oidc.Config{ClientID: p.ClientID})
	}
	return p.found, p.verifier, nil
}

func (p *oidcProvider) config(found *oidc.Provider, back string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: back,
		Scopes: append([]string{oidc.ScopeOpenID, "profile", "email"}, p.Scopes...)}
}

// ours is the URL of this server as a browser knows it.
func (s *Server) ours(r *http.Request) string {
	if s.o.URL != "" {
		return s.o.URL
	}
	scheme := "http"
	if s.o.TLS {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (s *Server) oidcStart(w http.ResponseWriter, r *http.Request) {
	p := s.oidc.byID[r.PathValue("provider")]
	if p == nil {
		s.message(w, http.StatusNotFound, "Not found", "There is no such provider.")
		return
	}
	if wait := s.logins.take(addressKey(s.addressOf(r))); wait > 0 {
		s.message(w, http.StatusTooManyRequests, "Too fast", "Wait a little and try again.")
		return
	}
	found, _, err := p.reach(r.Context(), s.o.Now())
	if err != nil {
		s.o.Log.Error("an OIDC provider does not answer", "error", err)
		s.message(w, http.StatusBadGateway, "The provider does not answer", "Try again in a minute. If that does not help, the administrator finds the cause in the log.")
		return
	}
	state, _ := newSecret("")
	nonce, _ := newSecret("")
	f := flow{provider: p.ID, nonce: nonce, verifier: oauth2.GenerateVerifier(), next: nextOf(r.URL.Query().Get("next")), back: s.ours(r) + "/oidc/" + p.ID + "/callback", until: s.o.Now().Add(flowLife)}
	s.oidc.flows.with(state, func() flow { return f }, func(*flow) {})
	// The state stands in the browser as well: a way back that another browser began is
	// not gone.
	http.SetCookie(w, &http.Cookie{Name: oidcCookie, Value: state, Path: "/oidc/" + p.ID + "/callback", MaxAge: int(flowLife.Seconds()), HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, p.config(found, f.back).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(f.verifier)), http.StatusSeeOther)
}

func (s *Server) oidcCallback(w http.ResponseWriter, r *http.Request) {
	p := s.oidc.byID[r.PathValue("provider")]
	if p == nil {
		s.message(w, http.StatusNotFound, "Not found", "There is no such provider.")
		return
	}
	a, next, err := s.comeBack(r, p)
	if err == nil {
		err = s.enter(w, r, a, "oidc "+p.ID)
	}
	http.SetCookie(w, &http.Cookie{Name: oidcCookie, Path: "/oidc/" + p.ID + "/callback", MaxAge: -1, HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode})
	if err != nil {
		s.metrics.login("oidc", "wrong")
		s.o.Log.Warn("a log-in by OIDC failed", "provider", p.ID, "error", err)
		text := "Go to the log-in page and begin again. If that does not help, the administrator finds the cause in the log."
		status := http.StatusBadRequest
		if errors.Is(err, errNoRole) {
			text, status = "Your account there gives you no role here. The administrator says which groups do.", http.StatusForbidden
		}
		s.message(w, status, "Not logged in", text)
		return
	}
	s.metrics.login("oidc", "right")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// errNoRole says that a provider knows a person whom none of the roles is for.
var errNoRole = errors.New("none of the claim's values gives a role")

// comeBack takes the way back from a provider and finds the account.
func (s *Server) comeBack(r *http.Request, p *oidcProvider) (a store.Account, next string, err error) {
	q := r.URL.Query()
	state := q.Get("state")
	k, err := r.Cookie(oidcCookie)
	if err != nil || state == "" || subtle.ConstantTimeCompare([]byte(k.Value), []byte(state)) != 1 {
		return a, "", errors.New("the state is not that of this browser")
	}
	f, ok := s.oidc.flows.take(state)
	if !ok || f.provider != p.ID || s.o.Now().After(f.until) {
		return a, "", errors.New("the log-in is unknown or too old")
	}
	if e := q.Get("error"); e != "" {
		return a, "", fmt.Errorf("the provider refused: %s", clip(e))
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(r.Context(), p.client), oidcWithin)
	defer cancel()
	found, verifier, err := p.reach(ctx, s.o.Now())
	if err != nil {
		return a, "", err
	}
	t, err := p.config(found, f.back).Exchange(ctx, q.Get("code"), oauth2.VerifierOption(f.verifier))
	if err != nil {
		return a, "", fmt.Errorf("the code was not taken: %w", err)
	}
	raw, _ := t.Extra("id_token").(string)
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return a, "", fmt.Errorf("the id token is not good: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.nonce)) != 1 {
		return a, "", errors.New("the id token is of another log-in")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return a, "", fmt.Errorf("the claims are not good: %w", err)
	}
	grants := p.grantsOf(claims)
	if len(grants) == 0 {
		return a, "", errNoRole
	}
	a, err = s.accountOf(ctx, p, id, claims, grants)
	return a, f.next, err
}

// grantsOf is what the claim of a person gives.
func (p *oidcProvider) grantsOf(claims map[string]any) (out []Grant) {
	name := p.RoleClaim
	if name == "" {
		name = "groups"
	}
	var values []string
	switch v := claims[name].(type) {
	case string:
		values = []string{v}
	case []any:
		for _, x := range v[:min(len(v), 1000)] {
			if t, ok := x.(string); ok {
				values = append(values, t)
			}
		}
	}
	for _, r := range p.Roles {
		if (r.Value == "*" || slices.Contains(values, r.Value)) && !slices.Contains(out, r.Grant) {
			out = append(out, r.Grant)
		}
	}
	return out
}

// accountOf finds the account of a person by issuer and subject, which alone say who it
// is, and makes it at the first log-in. A name that somebody has already is not taken
// over: the new one gets a name of its own.
func (s *Server) accountOf(ctx context.Context, p *oidcProvider, id *oidc.IDToken, claims map[string]any, grants []Grant) (store.Account, error) {
	a, err := s.o.Control.AccountByIdentity(ctx, id.Issuer, id.Subject)
	switch {
	case err == nil && a.Disabled:
		return a, errors.New("the account is disabled")
	case err == nil:
		if slices.Equal(grantsOf(a.Grants), grants) {
			return a, nil
		}
		a.Grants = storedGrants(grants)
		return s.o.Control.UpdateAccount(ctx, a)
	case !isNotFound(err):
		return a, err
	}
	text := func(name string) string {
		v, _ := claims[name].(string)
		if checkLine(name, v, 200) != nil {
			return ""
		}
		return v
	}
	login := ""
	for _, try := range []string{text("preferred_username"), text("email"), p.ID + "-" + newID("")} {
		if try = strings.ToLower(try); checkAccountName(try) != nil {
			continue
		}
		if _, err := s.o.Control.AccountByLogin(ctx, try); isNotFound(err) {
			login = try
			break
		} else if err != nil {
			return a, err
		}
	}
	now := s.o.Now()
	a = store.Account{ID: newID("u-"), Login: login, Name: text("name"), Email: text("email"), Grants: storedGrants(grants), Created: now, Version: 1}
	if err := s.o.Control.CreateAccount(ctx, a); err != nil {
		return a, err
	}
	if err := s.o.Control.LinkIdentity(ctx, id.Issuer, id.Subject, a.ID, now); err != nil {
		return a, err
	}
	return a, s.o.Control.Audit(ctx, store.AuditRow{Time: now, Actor: a.Login, Action: "create-account", Object: a.ID, Detail: "first log-in by " + p.ID})
}
