package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/catena-sec/catena/internal/store"
)

// enter logs a browser in and returns the token of its changes.
func (b *browser) enter(login, password string) string {
	b.w.t.Helper()
	g := b.post("/login", url.Values{"account": {login}, "password": {password}, "next": {"/docs"}})
	b.w.want(g, http.StatusSeeOther)
	if to := g.header.Get("Location"); to != "/docs" {
		b.w.t.Fatalf("led to %q", to)
	}
	var me Me
	b.w.want(b.get(prefix+"/me"), 200).json(b.w.t, &me)
	return me.CSRF
}

func (b *browser) change(method, path, csrf, body string, header ...string) got {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.web.URL+path, strings.NewReader(body))
	must(b.w.t, err)
	req.Header.Set("Content-Type", "application/json")
	if csrf != "" {
		req.Header.Set(csrfHeader, csrf)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return b.w.do(b.c, req)
}

func TestTheOneTimeLinkOfTheFirstStart(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		dir := t.TempDir()
		c, err := store.OpenControl(dir) // with nobody in it yet
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		o.Control = c
	})
	link, err := w.s.FirstStart(t.Context())
	must(t, err)
	again, err := w.s.FirstStart(t.Context()) // it was not used: a restart gives another one
	must(t, err)
	if link == "" || again == "" || link == again {
		t.Fatalf("links %q and %q", link, again)
	}
	b := w.browser()
	if g := w.want(b.get("/"), http.StatusSeeOther); g.header.Get("Location") != "/login" {
		t.Errorf("who is not logged in is led to %s", g.header.Get("Location"))
	}
	page := w.want(b.get(link), 200)
	w.want(b.get(link), 200) // looking uses nothing up
	if !strings.Contains(string(page.body), "admin") || !strings.Contains(string(page.body), `action="/welcome"`) {
		t.Errorf("page %s", page.body)
	}
	secret := strings.TrimPrefix(link, "/welcome/")
	form := func(one, two string) url.Values {
		return url.Values{"link": {secret}, "password": {one}, "again": {two}}
	}
	w.want(b.post("/welcome", form(passphras, passphras+"x")), 422)
	w.want(b.post("/welcome", form("short", "short")), 422)
	w.want(b.post("/welcome", form("administrator1", "administrator1")), 422)
	w.want(b.post("/welcome", form(passphras, passphras), "Sec-Fetch-Site", "cross-site"), 403)
	w.want(b.post("/welcome", form(passphras, passphras)), http.StatusSeeOther)
	w.want(b.get("/"), 200)
	w.want(b.post("/welcome", form(passphras, passphras)), 404)
	w.want(b.get(link), 404)
	if l, err := w.s.FirstStart(t.Context()); err != nil || l != "" {
		t.Errorf("once somebody logged in there is a link %q, %v", l, err)
	}
	other := w.browser()
	other.enter("Admin", passphras)
	// Over a link that is still good another one's password can be set, and ends his sessions.
	w.want(other.post("/welcome", url.Values{"link": {strings.TrimPrefix(again, "/welcome/")}, "password": {passphras + "2"}, "again": {passphras + "2"}}), http.StatusSeeOther)
	w.want(b.get("/"), http.StatusSeeOther)
}

func TestALinkEndsAfterADay(t *testing.T) {
	w := newWorld(t)
	w.account("ann", "", nil)
	link, err := w.s.LoginLink(t.Context(), "ann")
	must(t, err)
	w.want(w.browser().get(link), 200)
	w.clock.add(linkLife)
	w.want(w.browser().get(link), 404)
}

func TestChangesOfABrowserNeedItsOwnPage(t *testing.T) {
	w := newWorld(t)
	w.account("ann", passphras, []Grant{{DefaultTenant, Analyst}})
	b := w.browser()
	csrf := b.enter("ann", passphras)
	path, body := prefix+"/incidents/"+incidentNo(1000)+"/comment", `{"text":"seen"}`
	for name, x := range map[string]struct {
		csrf   string
		header []string
		want   int
	}{
		"its own":                    {csrf, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"a program with the session": {csrf, nil, 200},
		"no token":                   {"", []string{"Sec-Fetch-Site", "same-origin"}, 403},
		"a wrong token":              {csrf[1:] + "x", nil, 403},
		"another site":               {csrf, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a sister site":              {csrf, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"another origin":             {csrf, []string{"Origin", "https://evil.example"}, 403},
		"no origin":                  {csrf, []string{"Origin", "null"}, 403},
	} {
		if g := b.change(http.MethodPost, path, x.csrf, body, x.header...); g.status != x.want {
			t.Errorf("%s: status %d, want %d: %s", name, g.status, x.want, g.body)
		}
	}
	// A form of another site is no JSON, and its way in is closed as well.
	w.want(b.post(path, url.Values{"text": {"x"}}, "Sec-Fetch-Site", "cross-site"), 403)
	w.want(b.post("/logout", url.Values{"csrf": {csrf}}, "Sec-Fetch-Site", "cross-site"), 403)
	w.want(b.post("/logout", url.Values{}), 403)
	w.want(b.post("/login", url.Values{"account": {"ann"}, "password": {passphras}}, "Sec-Fetch-Site", "cross-site"), 403)
	w.want(b.post("/logout", url.Values{"csrf": {csrf}}), http.StatusSeeOther)
	w.want(b.get(prefix+"/me"), 401)
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.SessionIdle, o.SessionLife = time.Hour, 3*time.Hour })
	ann := w.account("ann", passphras, []Grant{{DefaultTenant, Analyst}})
	in := func() *browser {
		b := w.browser()
		b.enter("ann", passphras)
		return b
	}
	b := in()
	w.clock.add(59 * time.Minute)
	w.want(b.get(prefix+"/me"), 200)
	w.clock.add(61 * time.Minute)
	w.want(b.get(prefix+"/me"), 401) // idle

	b = in()
	for range 5 {
		w.clock.add(30 * time.Minute)
		w.want(b.get(prefix+"/me"), 200)
	}
	w.clock.add(31 * time.Minute)
	w.want(b.get(prefix+"/me"), 401) // old, though in use

	one, two := in(), in()
	w.want(one.change(http.MethodDelete, prefix+"/me/sessions", one.csrf(), ""), 204)
	w.want(one.get(prefix+"/me"), 401)
	w.want(two.get(prefix+"/me"), 401)

	one, two = in(), in()
	w.want(one.change(http.MethodPost, prefix+"/me/password", one.csrf(), `{"old":"wrong","new":"`+passphras+` 2"}`), 401)
	w.want(one.change(http.MethodPost, prefix+"/me/password", one.csrf(), `{"old":"`+passphras+`","new":"ann ann ann ann"}`), 422)
	w.want(one.change(http.MethodPost, prefix+"/me/password", one.csrf(), `{"old":"`+passphras+`","new":"`+passphras+` 2"}`), 204)
	w.want(one.get(prefix+"/me"), 200)
	w.want(two.get(prefix+"/me"), 401)

	ann, err := w.control.Account(t.Context(), ann.ID)
	must(t, err)
	w.want(w.api(Administrator, http.MethodPut, "/accounts/"+ann.ID, map[string]any{"grants": []any{}, "disabled": true}), 200)
	w.want(one.get(prefix+"/me"), 401)
	if g := w.browser().post("/login", url.Values{"account": {"ann"}, "password": {passphras + " 2"}}); g.status != 401 || !strings.Contains(string(g.body), errWrong.Error()) {
		t.Errorf("a disabled account is told %d %s", g.status, g.body)
	}
}

// csrf asks for the token of the browser's session.
func (b *browser) csrf() string {
	var me Me
	b.w.want(b.get(prefix+"/me"), 200).json(b.w.t, &me)
	return me.CSRF
}

func TestCookies(t *testing.T) {
	for _, tls := range []bool{false, true} {
		w := newWorld(t, func(o *Options) { o.TLS = tls })
		w.account("ann", passphras, nil)
		g := w.browser().post("/login", url.Values{"account": {"ann"}, "password": {passphras}})
		k := w.want(g, http.StatusSeeOther).header.Get("Set-Cookie")
		for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
			if !strings.Contains(k, part) {
				t.Errorf("TLS %v: cookie %q has no %s", tls, k, part)
			}
		}
		if secure := strings.Contains(k, "Secure"); secure != tls || strings.HasPrefix(k, "__Host-") != tls {
			t.Errorf("TLS %v: cookie %q", tls, k)
		}
		if strings.Contains(k, "Domain") {
			t.Errorf("cookie %q is of a whole domain", k)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	w := newWorld(t)
	path := prefix + "/incidents"
	token := w.tokens[Viewer]
	w.want(w.ask(token, http.MethodGet, path, nil), 200)
	for _, bad := range []string{"cat_", "cat_x", token + "x", token[:len(token)-1], "Basic", strings.Repeat("cat_", 100), ingestPrefix + token[4:]} {
		w.want(w.ask(bad, http.MethodGet, path, nil), 401)
	}
	w.want(w.ask("", http.MethodGet, path, nil, "Authorization", "Basic YTpi"), 401)
	w.want(w.api(Administrator, http.MethodDelete, "/tokens/t-viewer", nil), 204)
	w.want(w.ask(token, http.MethodGet, path, nil), 401)

	token = w.tokens[Analyst]
	w.clock.add(24*time.Hour - time.Second)
	w.want(w.ask(token, http.MethodGet, path, nil), 200)
	w.clock.add(2 * time.Second)
	w.want(w.ask(token, http.MethodGet, path, nil), 401)
}

func TestSessionsThatEndedAreDeleted(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.SessionLife = time.Hour })
	ann := w.account("ann", passphras, nil)
	w.browser().enter2("ann", passphras)
	must(t, w.s.Flush(t.Context()))
	w.clock.add(30 * time.Minute)
	w.browser().enter2("ann", passphras)
	count := func() int {
		t.Helper()
		l, err := w.control.Sessions(t.Context(), ann.ID, time.Time{}) // also those that ended
		must(t, err)
		return len(l)
	}
	w.clock.add(30 * time.Minute)
	if count() != 2 {
		t.Fatalf("%d sessions", count())
	}
	must(t, w.s.Flush(t.Context()))
	if count() != 1 {
		t.Errorf("%d sessions are kept", count())
	}
}

// enter2 logs a browser in who may see nothing yet.
func (b *browser) enter2(login, password string) {
	b.w.t.Helper()
	b.w.want(b.post("/login", url.Values{"account": {login}, "password": {password}}), http.StatusSeeOther)
}

func TestATokenIsNoMoreThanItsAccount(t *testing.T) {
	w := newWorld(t)
	ann := w.account("ann", passphras, []Grant{{DefaultTenant, Analyst}})
	b := w.browser()
	csrf := b.enter("ann", passphras)
	make1 := func(body string) got { return b.change(http.MethodPost, prefix+"/tokens", csrf, body) }
	w.want(make1(`{"name":"x","scopes":["*"],"grants":[{"tenant":"default","role":"administrator"}],"expires":"2026-04-01T00:00:00Z"}`), 403)
	w.want(make1(`{"name":"x","scopes":["*"],"grants":[{"tenant":"other","role":"viewer"}],"expires":"2026-04-01T00:00:00Z"}`), 403)
	w.want(make1(`{"name":"x","scopes":["*"],"grants":[{"tenant":"*","role":"viewer"}],"expires":"2026-04-01T00:00:00Z"}`), 403)
	w.want(make1(`{"name":"x","scopes":["everything"],"expires":"2026-04-01T00:00:00Z"}`), 422)
	w.want(make1(`{"name":"x","scopes":["*"],"expires":"2036-04-01T00:00:00Z"}`), 422)
	w.want(make1(`{"name":"x","scopes":["*"],"expires":"2026-01-01T00:00:00Z"}`), 422)
	var made TokenMade
	w.want(make1(`{"name":"x","scopes":["incidents:*"],"expires":"2026-04-01T00:00:00Z"}`), 201).json(t, &made)
	if !strings.HasPrefix(made.Secret, tokenPrefix) {
		t.Fatalf("secret %q", made.Secret)
	}
	if g := b.get(prefix + "/tokens"); strings.Contains(string(g.body), made.Secret) || !strings.Contains(string(g.body), made.ID) {
		t.Errorf("the list of tokens: %s", g.body)
	}
	status := func() got {
		return w.ask(made.Secret, http.MethodPost, prefix+"/incidents/"+incidentNo(1000)+"/status", map[string]string{"status": "on_hold"})
	}
	w.want(status(), 200)
	w.want(w.ask(made.Secret, http.MethodGet, prefix+"/alerts", nil), 403) // not its scope
	w.want(w.ask(made.Secret, http.MethodPost, prefix+"/tokens", map[string]any{"name": "y", "scopes": []string{"*"}, "expires": "2026-04-01T00:00:00Z"}), 403)
	// What the account loses its tokens lose at once.
	a, err := w.control.Account(t.Context(), ann.ID)
	must(t, err)
	a.Grants = []store.Grant{{Tenant: DefaultTenant, Role: string(Viewer)}}
	a, err = w.control.UpdateAccount(t.Context(), a)
	must(t, err)
	w.want(status(), 403)
	a.Disabled = true
	_, err = w.control.UpdateAccount(t.Context(), a)
	must(t, err)
	w.want(status(), 401)
	// Somebody else's token is not there.
	w.account("bob", passphras, []Grant{{DefaultTenant, Analyst}})
	o := w.browser()
	w.want(o.change(http.MethodDelete, prefix+"/tokens/"+made.ID, o.enter("bob", passphras), ""), 404)
}

func TestIngestTokensTakeEvidenceAndNothingElse(t *testing.T) {
	w := newWorld(t)
	var made TokenMade
	w.want(w.api(Administrator, http.MethodPost, "/ingest-tokens?tenant=other", map[string]any{"name": "web1"}), 201).json(t, &made)
	tenant, name, err := w.s.IngestToken(t.Context(), made.Secret)
	if err != nil || tenant != "other" || name != "web1" {
		t.Fatalf("tenant %q, name %q, %v", tenant, name, err)
	}
	w.want(w.ask(made.Secret, http.MethodGet, prefix+"/incidents?tenant=other", nil), 401)
	w.want(w.api(Administrator, http.MethodDelete, "/ingest-tokens/"+made.ID, nil), 404) // it is of another tenant
	w.want(w.api(Administrator, http.MethodDelete, "/ingest-tokens/"+made.ID+"?tenant=other", nil), 204)
	if _, _, err := w.s.IngestToken(t.Context(), made.Secret); !isNotFound(err) {
		t.Errorf("a revoked one: %v", err)
	}
	if _, _, err := w.s.IngestToken(t.Context(), w.tokens[Administrator]); !isNotFound(err) {
		t.Errorf("a token of a program: %v", err)
	}
}

func TestGuessingIsHeldBack(t *testing.T) {
	w := newWorld(t)
	w.account("ann", passphras, nil)
	b := w.browser()
	guess := func(name, password string) got {
		w.clock.add(2 * time.Second) // slower than the rate of an address
		return b.post("/login", url.Values{"account": {name}, "password": {password}})
	}
	// An account that is there and one that is not are told and held back alike.
	var seen [2][]int
	for i, name := range []string{"ann", "nobody"} {
		for range 11 {
			g := guess(name, "wrong wrong wrong")
			seen[i] = append(seen[i], g.status)
			if g.status == 401 && !strings.Contains(string(g.body), errWrong.Error()) {
				t.Errorf("%s is told %s", name, g.body)
			}
			if g.status == 429 && g.header.Get("Retry-After") == "" {
				t.Errorf("%s is held back without a time", name)
			}
		}
	}
	if fmt.Sprint(seen[0]) != fmt.Sprint(seen[1]) || seen[0][10] != 429 || seen[0][0] != 401 {
		t.Errorf("statuses %v and %v", seen[0], seen[1])
	}
	// While held back, the right password is not taken either; it is afterwards.
	for guess("ann", "wrong wrong wrong").status != 401 {
	}
	if g := guess("ann", passphras); g.status != 429 {
		t.Errorf("the right password while held back: %d", g.status)
	}
	w.clock.add(16 * time.Minute)
	w.want(guess("ann", passphras), http.StatusSeeOther)
	// The delay grows and has an end.
	l := newLockout(4, time.Second, 15*time.Minute, w.clock.now)
	before := time.Duration(0)
	for i := range 100 {
		l.failed("k")
		d := l.wait("k")
		if d < before || d > 15*time.Minute || i < 4 && d > 0 || i == 4 && d != time.Second || i == 5 && d != 2*time.Second {
			t.Fatalf("failure %d: held back %v after %v", i, d, before)
		}
		before = d
	}
	if before != 15*time.Minute {
		t.Errorf("held back %v in the end", before)
	}
}

func TestAddressesAreLimited(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.PerSecond = 5 })
	limited := 0
	for range 60 {
		if g := w.ask("", http.MethodGet, "/healthz", nil); g.status == 429 {
			limited++
			if g.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if limited < 30 {
		t.Errorf("of 60 requests at once %d were refused", limited)
	}
	w.clock.add(time.Minute)
	w.want(w.ask("", http.MethodGet, "/healthz", nil), 200)
}

func TestHashesAreFewAtATime(t *testing.T) {
	h := newHasher(1)
	ctx := t.Context()
	for range cap(h.queue) {
		h.queue <- struct{}{}
	}
	if _, err := h.hash(ctx, "x"); err != errBusy { //nolint:errorlint // the value itself
		t.Errorf("with a full queue: %v", err)
	}
}

func TestPasswords(t *testing.T) {
	for p, ok := range map[string]bool{
		passphras: true, "Tr0ub4dor&3 x": true, "шесть слов подряд": true,
		"short": false, "administrator": false, "Password1234": false, "qwertyuiop[]": false, "aaaaaaaaaaaaaaaa": false, "123456789012": false,
		"changeme-2026!": false, "ann.smith-2026": false, strings.Repeat("long pass ", 30): false, "bad \xff bytes here": false, "passwordpassword": false,
	} {
		if err := checkPassword(p, "ann.smith"); (err == nil) != ok {
			t.Errorf("%q: %v", p, err)
		}
	}
	h := newHasher(2)
	hash, err := h.hash(t.Context(), passphras)
	must(t, err)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || stale(hash) {
		t.Errorf("hash %s", hash)
	}
	for p, want := range map[string]bool{passphras: true, passphras + " ": false, "": false} {
		if ok, err := h.check(t.Context(), hash, p); err != nil || ok != want {
			t.Errorf("%q: %v, %v", p, ok, err)
		}
	}
	if ok, err := h.check(t.Context(), "", "x"); ok || err != nil {
		t.Errorf("no account: %v, %v", ok, err)
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=99999999,t=2,p=1$AAAAAAAAAAA$AAAA", "$argon2id$v=19$m=19456,t=2,p=1$$", "$2a$10$abc"} {
		if _, err := h.check(t.Context(), bad, "x"); err == nil {
			t.Errorf("hash %q is taken", bad)
		}
	}
	if !stale("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") {
		t.Error("weaker parameters are not made anew")
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	w := newWorld(t)
	for _, g := range []got{
		w.api(Administrator, http.MethodDelete, "/accounts/u-svc-administrator", nil),
		w.api(Administrator, http.MethodPut, "/accounts/u-svc-administrator", map[string]any{"grants": []any{}}),
		w.api(Administrator, http.MethodPut, "/accounts/u-svc-administrator", map[string]any{"grants": []any{map[string]string{"tenant": "*", "role": "administrator"}}, "disabled": true}),
	} {
		w.want(g, 409)
	}
	w.account("ann", "", []Grant{{everyTenant, Administrator}})
	w.want(w.api(Administrator, http.MethodDelete, "/accounts/u-svc-administrator", nil), 204)
}

func TestChangesAreAudited(t *testing.T) {
	w := newWorld(t)
	w.want(w.api(Analyst, http.MethodPost, "/incidents/"+incidentNo(1000)+"/comment", map[string]string{"text": "seen " + hostile}), 200)
	w.want(w.api(Viewer, http.MethodPost, "/incidents/"+incidentNo(1000)+"/comment", map[string]string{"text": "x"}), 403)
	w.want(w.api(Administrator, http.MethodPost, "/accounts", map[string]any{"login": "new", "grants": []any{}}), 201)
	b := w.browser()
	b.post("/login", url.Values{"account": {"ann"}, "password": {"a secret thing 1"}})
	var p store.Page[store.AuditRow]
	w.want(w.api(Administrator, http.MethodGet, "/audit", nil), 200).json(t, &p)
	if len(p.Items) != 1 || p.Items[0].Action != "comment-incident" || p.Items[0].Object != incidentNo(1000) || p.Items[0].Actor != "svc-analyst (token t-analyst)" || p.Items[0].Address == "" {
		t.Errorf("audit of the tenant: %+v", p.Items)
	}
	w.want(w.api(Administrator, http.MethodGet, "/audit?tenant=other", nil), 200).json(t, &p)
	if len(p.Items) != 0 {
		t.Errorf("audit of another tenant: %+v", p.Items)
	}
	g := w.want(w.api(Administrator, http.MethodGet, "/audit/control", nil), 200)
	g.json(t, &p)
	if len(p.Items) != 2 || p.Items[0].Action != "login.failed" || p.Items[1].Action != "create-account" {
		t.Errorf("audit of all: %+v", p.Items)
	}
	if strings.Contains(string(g.body), "secret thing") {
		t.Error("a password is in the audit")
	}
	for _, path := range []string{"/audit/verify", "/audit/control/verify"} {
		var v Verified
		w.want(w.api(Administrator, http.MethodGet, path, nil), 200).json(t, &v)
		if v.Rows == 0 || v.Head == "" {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.HSTS = true })
	for _, path := range []string{"/login", "/docs", prefix + "/openapi.json", prefix + "/incidents", "/nowhere", "/healthz"} {
		h := w.ask("", http.MethodGet, path, nil).header
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age", "Cache-Control": "no-store"} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: policy %q", path, h.Get("Content-Security-Policy"))
		}
	}
}

func TestWhereALogInLeads(t *testing.T) {
	for in, want := range map[string]string{"/docs?x=1": "/docs?x=1", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "docs": "/", "/\r\nSet-Cookie: x": "/", "javascript:alert(1)": "/", "/%2f/evil": "/%2f/evil"} {
		if got := nextOf(in); got != want {
			t.Errorf("%q leads to %q, want %q", in, got, want)
		}
	}
}

func TestTheAddressBehindProxies(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	must(t, err)
	r.RemoteAddr = "10.0.0.1:1234"
	r.Header.Set("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.2")
	if a := w.s.addressOf(r).String(); a != "10.0.0.1" {
		t.Errorf("without a proxy that is believed: %s", a)
	}
	w.s.o.Proxies = append(w.s.o.Proxies, mustPrefix("10.0.0.0/8"))
	if a := w.s.addressOf(r).String(); a != "203.0.113.9" {
		t.Errorf("behind two proxies: %s", a) // what the first of them was told is not believed
	}
	r.RemoteAddr = "192.0.2.7:1"
	if a := w.s.addressOf(r).String(); a != "192.0.2.7" {
		t.Errorf("not from a proxy: %s", a)
	}
}

func TestPartsOfTheEngineAreForThoseOfEveryTenant(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Gather = prometheus.NewRegistry() })
	var h Health
	w.want(w.api(Responder, http.MethodGet, "/health", nil), 200).json(t, &h)
	if !h.Ready || len(h.Checks) != 0 {
		t.Errorf("to one of a tenant: %+v", h)
	}
	w.want(w.api(Administrator, http.MethodGet, "/health", nil), 200).json(t, &h)
	if len(h.Checks) == 0 {
		t.Errorf("to one of every tenant: %+v", h)
	}
	for token, want := range map[string]int{"": 401, w.tokens[Responder]: 401, w.tokens[Administrator]: 200, w.token("narrow", []Grant{{everyTenant, Administrator}}, "incidents:read"): 401} {
		w.want(w.ask(token, http.MethodGet, "/metrics", nil), want)
	}
}

func TestTheConsoleWhereThereIsOne(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Console = fstest.MapFS{"index.html": {Data: []byte("<!doctype html><title>console</title>")}, "assets/app-1.js": {Data: []byte("1")}, "secret/x": {Data: []byte("x")}}
	})
	for path, want := range map[string]string{"/": "console", "/incidents/inc-1": "console", "/index.html": "", "/assets/app-1.js": "1", "/secret": "console", "/../../etc/passwd": "", "/login": "Log in"} {
		g := w.browser().get(path)
		if want != "" && (g.status != 200 || !strings.Contains(string(g.body), want)) {
			t.Errorf("%s: status %d: %.100s", path, g.status, g.body)
		}
		if strings.Contains(string(g.body), "root:") {
			t.Errorf("%s leads out of the console", path)
		}
	}
	w.want(w.browser().get("/assets/none.js"), 404)
	if h := w.browser().get("/assets/app-1.js").header; !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Content-Security-Policy") == "" {
		t.Errorf("headers of a script: %v", h)
	}
}

func TestAStreamThatIsOpenKeepsNoSessionAlive(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.SessionIdle = time.Hour })
	w.account("ann", passphras, []Grant{{DefaultTenant, Viewer}})
	b := w.browser()
	b.enter("ann", passphras)
	p, err := w.s.bySession(t.Context(), w.digests(b))
	must(t, err)
	c := &call{principal: p, tenant: DefaultTenant}
	for range 3 {
		w.clock.add(25 * time.Minute)
		ok := w.s.stillMay(t.Context(), c, Viewer)
		if want := w.clock.now().Sub(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) <= time.Hour; ok != want {
			t.Errorf("after %v: %v", w.clock.now(), ok)
		}
	}
}

// digests is the digest of a browser's session.
func (w *world) digests(b *browser) store.Digest {
	w.t.Helper()
	u, err := url.Parse(w.web.URL)
	must(w.t, err)
	for _, k := range b.c.Jar.Cookies(u) {
		if k.Name == cookiePlain {
			return store.DigestOf(k.Value)
		}
	}
	w.t.Fatal("no session")
	return store.Digest{}
}
