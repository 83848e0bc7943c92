package server

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/store"
)

const (
	tokenPrefix  = "cat_"  // of tokens of programs
	ingestPrefix = "cati_" // of tokens of receivers
	cookiePlain  = "catena"
	cookieTLS    = "__Host-catena" // which a browser takes over TLS only, and of this host only
	csrfHeader   = "X-CSRF-Token"
	csrfField    = "csrf"

	maxSessionsOne = 50 // of one account; the oldest ends
	maxTokensOne   = 100
)

// errWrong is all that a log-in that failed is told.
var errWrong = errors.New("account or password is wrong")

// tooSoon says that log-ins are held back.
type tooSoon time.Duration

func (t tooSoon) Error() string { return "too many log-ins failed; wait before the next" }

type addressKeyOf struct{}

// addressIn is from where a request came.
func addressIn(ctx context.Context) string {
	s, _ := ctx.Value(addressKeyOf{}).(string)
	return s
}

// authenticated finds who makes a request, by its token or else by its session, and
// refuses changes by a session that no page of ours asked for. A request that says
// nothing of who makes it goes on as nobody's.
func (s *Server) authenticated(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := s.addressOf(r).String()
		ctx := context.WithValue(r.Context(), addressKeyOf{}, address)
		var p *principal
		var err error
		if h := r.Header.Get("Authorization"); h != "" {
			secret, ok := strings.CutPrefix(h, "Bearer ")
			if !ok {
				writeProblem(w, http.StatusUnauthorized, "Authorization: want Bearer and a token")
				return
			}
			p, err = s.tokenPrincipal(ctx, strings.TrimSpace(secret))
		} else {
			p, err = s.sessionPrincipal(ctx, r)
			if err == nil {
				err = s.sameOrigin(origin, r, p)
			}
		}
		if err != nil {
			var se huma.StatusError
			if !errors.As(s.problem(ctx, "authenticate", err), &se) {
				se = huma.Error500InternalServerError("that failed")
			}
			if se.GetStatus() == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			writeProblem(w, se.GetStatus(), se.Error())
			return
		}
		if p != nil {
			if wait := s.byCaller.take(p.who()); wait > 0 {
				tooMany(w, wait)
				return
			}
			p.address = address
			ctx = context.WithValue(ctx, principalKey{}, p)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// sameOrigin refuses what a page of another origin has a browser send. The check of the
// browser's own words comes first; the token, which no other page can read, stands even
// where a browser says nothing.
func (s *Server) sameOrigin(origin *http.CrossOriginProtection, r *http.Request, p *principal) error {
	if err := origin.Check(r); err != nil {
		return huma.Error403Forbidden("the request comes from a page of another origin")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if p == nil {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(csrfHeader)), []byte(p.csrf)) != 1 {
		return huma.Error403Forbidden("the header " + csrfHeader + " is missing or wrong: GET " + prefix + "/me gives its value")
	}
	return nil
}

// tokenPrincipal is who shows a token of a program.
func (s *Server) tokenPrincipal(ctx context.Context, secret string) (*principal, error) {
	unknown := huma.Error401Unauthorized("the token is unknown, has ended or was revoked")
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 200 {
		return nil, unknown
	}
	p, err := s.byToken(ctx, store.DigestOf(secret))
	if isNotFound(err) {
		return nil, unknown
	}
	if err == nil {
		s.used(s.o.Control.TouchToken(ctx, p.token, s.o.Now()))
	}
	return p, err
}

func (s *Server) byToken(ctx context.Context, d store.Digest) (*principal, error) {
	now := s.o.Now()
	t, err := s.o.Control.TokenByDigest(ctx, d, now)
	if err != nil {
		return nil, err
	}
	if t.Kind != store.APIToken {
		return nil, store.ErrNotFound
	}
	a, err := s.o.Control.Account(ctx, t.Account)
	if err != nil {
		return nil, err
	}
	if a.Disabled {
		return nil, store.ErrNotFound
	}
	scopes := t.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return &principal{account: a.ID, name: a.Login, grants: under(grantsOf(t.Grants), grantsOf(a.Grants)), scopes: scopes, token: t.ID, digest: d}, nil
}

// used notes that a session or token was used; where it cannot, the request goes on.
func (s *Server) used(err error) {
	if err != nil && !isNotFound(err) {
		s.o.Log.Warn("the use of a session or token was not noted", "error", err)
	}
}

func (s *Server) cookieName() string {
	if s.o.TLS {
		return cookieTLS
	}
	return cookiePlain
}

// sessionPrincipal is whose browser makes a request; nil if it has no session in force.
func (s *Server) sessionPrincipal(ctx context.Context, r *http.Request) (*principal, error) {
	l := r.CookiesNamed(s.cookieName())
	if len(l) != 1 || l[0].Value == "" || len(l[0].Value) > 200 { // of two, one was planted
		return nil, nil //nolint:nilnil // nobody
	}
	k := l[0]
	p, err := s.bySession(ctx, store.DigestOf(k.Value))
	if isNotFound(err) {
		return nil, nil //nolint:nilnil // nobody, any more
	}
	if err != nil {
		return nil, err
	}
	s.used(s.o.Control.TouchSession(ctx, p.digest, s.o.Now()))
	p.csrf = csrfOf(k.Value)
	return p, nil
}

func (s *Server) bySession(ctx context.Context, d store.Digest) (*principal, error) {
	now := s.o.Now()
	x, err := s.o.Control.SessionByDigest(ctx, d, now)
	if err != nil {
		return nil, err
	}
	if now.Sub(x.Used) > s.o.SessionIdle {
		return nil, store.ErrNotFound
	}
	a, err := s.o.Control.Account(ctx, x.Account)
	if err != nil {
		return nil, err
	}
	if a.Disabled {
		return nil, store.ErrNotFound
	}
	return &principal{account: a.ID, name: a.Login, grants: grantsOf(a.Grants), digest: d}, nil
}

// csrfOf is what the pages of a session send with changes: made of its secret, so that it
// lives as long, and tells nothing of it.
func csrfOf(secret string) string {
	return base64.RawURLEncoding.EncodeToString(digestOf("csrf\x00" + secret))
}

// stillMay says whether who began a long request still has a role in its tenant. To ask
// is no use of a session: a page that is left open does not keep it alive.
func (s *Server) stillMay(ctx context.Context, c *call, need Role) bool {
	by := s.bySession
	if c.token != "" {
		by = s.byToken
	}
	p, err := by(ctx, c.digest)
	return err == nil && p.roleIn(c.tenant).Allows(need)
}

// IngestToken says of which tenant and name a token of a receiver is; an error that wraps
// store.ErrNotFound if it is none in force.
func (s *Server) IngestToken(ctx context.Context, secret string) (tenant, name string, err error) {
	if !strings.HasPrefix(secret, ingestPrefix) || len(secret) > 200 {
		return "", "", fmt.Errorf("%w: the token is none of a receiver", store.ErrNotFound)
	}
	now := s.o.Now()
	t, err := s.o.Control.TokenByDigest(ctx, store.DigestOf(secret), now)
	if err != nil {
		return "", "", err
	}
	if t.Kind != store.IngestToken {
		return "", "", fmt.Errorf("%w: the token is none of a receiver", store.ErrNotFound)
	}
	s.used(s.o.Control.TouchToken(ctx, t.ID, now))
	return t.Tenant, t.Name, nil
}

// login checks a name and password. Whether the account is there, has a password or is
// disabled, what is told and how long it takes are the same.
func (s *Server) login(ctx context.Context, address netip.Addr, login, password string) (store.Account, error) {
	from := addressKey(address)
	if wait := s.logins.take(from); wait > 0 {
		return store.Account{}, tooSoon(wait)
	}
	name := strings.ToLower(strings.TrimSpace(login))
	if len(name) > 256 {
		name = name[:256]
	}
	both := name + "\x00" + from
	wait := s.accounts.wait(both)
	if !s.known.has(both) { // who logged in from here before is not locked out by others
		wait = max(wait, s.account.wait(name))
	}
	if wait > 0 {
		s.metrics.login("password", "held back")
		return store.Account{}, tooSoon(wait)
	}
	a, err := s.o.Control.AccountByLogin(ctx, name)
	if err != nil && !isNotFound(err) {
		return a, err
	}
	hash := a.Password
	if err != nil || a.Disabled {
		hash = ""
	}
	ok, err := s.hash.check(ctx, hash, password)
	if err != nil {
		return store.Account{}, err
	}
	if !ok {
		s.accounts.failed(both)
		s.account.failed(name)
		s.metrics.login("password", "wrong")
		if err := s.o.Control.Audit(ctx, store.AuditRow{Time: s.o.Now(), Actor: clip(name), Action: "login.failed", Address: address.String()}); err != nil {
			return store.Account{}, err
		}
		return store.Account{}, errWrong
	}
	s.accounts.passed(both)
	s.account.passed(name)
	s.known.with(both, func() struct{} { return struct{}{} }, func(*struct{}) {})
	s.metrics.login("password", "right")
	if stale(hash) {
		if h, err := s.hash.hash(ctx, password); err == nil {
			a.Password = h
			if b, err := s.o.Control.UpdateAccount(ctx, a); err == nil {
				a = b
			}
		}
	}
	return a, nil
}

// loginProblem is what a log-in that failed is answered.
func (s *Server) loginProblem(ctx context.Context, err error) error {
	var soon tooSoon
	switch {
	case errors.As(err, &soon):
		return retry(http.StatusTooManyRequests, err.Error(), time.Duration(soon))
	case errors.Is(err, errWrong):
		return huma.Error401Unauthorized(err.Error())
	}
	return s.problem(ctx, "log in", err)
}

// begin makes a session and returns its cookie and secret.
func (s *Server) begin(ctx context.Context, a store.Account, address, agent, way string) (*http.Cookie, string, error) {
	now := s.o.Now()
	old, err := s.o.Control.Sessions(ctx, a.ID, now)
	if err != nil {
		return nil, "", err
	}
	for _, x := range old[min(len(old), maxSessionsOne-1):] {
		if err := s.o.Control.DeleteSession(ctx, x.Digest); err != nil {
			return nil, "", err
		}
	}
	secret, _ := newSecret("")
	x := store.Session{Digest: store.DigestOf(secret), Account: a.ID, Created: now, Expires: now.Add(s.o.SessionLife), Address: address, Agent: agent, Data: json.RawMessage(`{}`)}
	if err := s.o.Control.CreateSession(ctx, x); err != nil {
		return nil, "", err
	}
	if err := s.o.Control.LoggedIn(ctx, a.ID, now); err != nil {
		return nil, "", err
	}
	if err := s.o.Control.Audit(ctx, store.AuditRow{Time: now, Actor: a.Login, Action: "login", Detail: way, Address: address}); err != nil {
		return nil, "", err
	}
	k := s.cookie(secret)
	k.MaxAge = int(s.o.SessionLife.Seconds())
	return k, secret, nil
}

// cookie is that of sessions: out of reach of scripts, and not sent along with what other
// sites ask but for following a link.
func (s *Server) cookie(value string) *http.Cookie {
	k := &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: s.o.TLS, SameSite: http.SameSiteLaxMode}
	if value == "" {
		k.MaxAge = -1
	}
	return k
}

// setPassword gives an account a password and ends its sessions but one.
func (s *Server) setPassword(ctx context.Context, a store.Account, password string, but store.Digest) (store.Account, error) {
	if err := checkPassword(password, a.Login); err != nil {
		return a, huma.Error422UnprocessableEntity(err.Error())
	}
	h, err := s.hash.hash(ctx, password)
	if err != nil {
		return a, err
	}
	a.Password = h
	if a, err = s.o.Control.UpdateAccount(ctx, a); err != nil {
		return a, err
	}
	_, err = s.o.Control.DeleteSessions(ctx, a.ID, but)
	return a, err
}

// linkPurpose is that of one-time links to set a password.
const linkPurpose = "password"

// linkLife is how long a one-time link is good.
const linkLife = 24 * time.Hour

// makeLink makes a one-time link by which an account gets a password.
func (s *Server) makeLink(ctx context.Context, account string) (string, error) {
	now := s.o.Now()
	secret, _ := newSecret("")
	err := s.o.Control.CreateLink(ctx, store.Link{Digest: store.DigestOf(secret), Purpose: linkPurpose, Account: account, Created: now, Expires: now.Add(linkLife), Data: json.RawMessage(`{}`)})
	return s.o.URL + "/welcome/" + secret, err
}

// FirstStart makes the default tenant and, as long as nobody has logged in, an
// administrator named admin and a one-time link by which who started the engine gives it
// a password. The link is empty once somebody has logged in. A link of an earlier start
// that was not used stays good.
func (s *Server) FirstStart(ctx context.Context) (link string, err error) {
	now := s.o.Now()
	if err := s.o.Control.CreateTenant(ctx, store.Tenant{ID: DefaultTenant, Name: "Default", Created: now}); err != nil && !errors.Is(err, store.ErrExists) {
		return "", err
	}
	var admin *store.Account
	for after := ""; ; {
		l, err := s.o.Control.Accounts(ctx, after, store.MaxPage)
		if err != nil {
			return "", err
		}
		for i := range l {
			if l[i].LastLogin != nil {
				return "", nil
			}
			if (&principal{grants: grantsOf(l[i].Grants)}).everywhere() == Administrator && !l[i].Disabled && admin == nil {
				admin = &l[i]
			}
			after = l[i].ID
		}
		if len(l) < store.MaxPage {
			break
		}
	}
	if admin == nil {
		admin = &store.Account{ID: newID("u-"), Login: "admin", Name: "Administrator", Grants: []store.Grant{{Tenant: everyTenant, Role: string(Administrator)}}, Created: now}
		if err := s.o.Control.CreateAccount(ctx, *admin); err != nil {
			return "", err
		}
		if err := s.o.Control.Audit(ctx, store.AuditRow{Time: now, Actor: "system", Action: "create-account", Object: admin.ID, Detail: "first start"}); err != nil {
			return "", err
		}
	}
	return s.makeLink(ctx, admin.ID)
}

// LoginLink makes a one-time link for an account by its login: the way back in for who
// can run the program on the machine.
func (s *Server) LoginLink(ctx context.Context, login string) (string, error) {
	a, err := s.o.Control.AccountByLogin(ctx, login)
	if err != nil {
		return "", err
	}
	if err := s.o.Control.Audit(ctx, store.AuditRow{Time: s.o.Now(), Actor: "system", Action: "create-link", Object: a.ID}); err != nil {
		return "", err
	}
	return s.makeLink(ctx, a.ID)
}

// newID is an id that nobody had before: the part of a secret that need not be one.
func newID(prefix string) string {
	_, d := newSecret("")
	return fmt.Sprintf("%s%x", prefix, d[:8])
}

// audit notes a change where it belongs: in the tenant's file, or in that of all. Input
// fields named in secretFields are left out.
func (s *Server) audit(ctx context.Context, c *call, action string, in any) error {
	object, detail := auditOf(reflect.ValueOf(in))
	return s.auditAs(ctx, c, action, object, detail)
}

func (s *Server) auditAs(ctx context.Context, c *call, action, object, detail string) error {
	row := store.AuditRow{Time: s.o.Now(), Actor: c.actor(), Action: action, Object: object, Detail: detail, Address: c.address}
	ctx = context.WithoutCancel(ctx) // what is done is noted, though the caller has gone
	if c.Cases != nil {
		return c.Cases.Audit(ctx, row)
	}
	return s.o.Control.Audit(ctx, row)
}

// auditOf is what the audit has of an input: its path parameters and its body.
func auditOf(v reflect.Value) (object, detail string) {
	v = reflect.Indirect(v)
	if v.Kind() != reflect.Struct {
		return "", ""
	}
	var parts []string
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("path") != "" {
			parts = append(parts, fmt.Sprint(v.FieldByIndex(f.Index).Interface()))
		}
	}
	if b := v.FieldByName("Body"); b.IsValid() {
		raw := jsonOf(b.Interface())
		var doc map[string]any
		if json.Unmarshal(raw, &doc) == nil {
			for _, k := range secretFields() {
				delete(doc, k)
			}
			raw = jsonOf(doc)
		}
		detail = string(raw)
	}
	return strings.Join(parts, "/"), detail
}

func secretFields() []string { return []string{"password", "old", "new", "secret"} }

// invalidInput is a 422.
func invalidInput(format string, args ...any) error {
	return huma.Error422UnprocessableEntity(fmt.Sprintf(format, args...))
}

func (s *Server) tenantIDs(ctx context.Context) ([]string, error) {
	l, err := s.o.Control.Tenants(ctx)
	var out []string
	for _, t := range l {
		if !t.Disabled {
			out = append(out, t.ID)
		}
	}
	return out, err
}

// tenant opens a tenant for who has a role there and if it is not disabled.
func (s *Server) tenant(ctx context.Context, p *principal, id string) (TenantStore, bool) {
	if p.roleIn(id).rank() == 0 || !tenantForm.MatchString(id) {
		return TenantStore{}, false
	}
	if t, err := s.o.Control.Tenant(ctx, id); err != nil || t.Disabled {
		return TenantStore{}, false
	}
	return s.o.Tenants.Open(id)
}
