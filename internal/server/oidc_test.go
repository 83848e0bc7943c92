package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A fakeProvider is an OpenID Connect provider as the specification has it, as far as a
// log-in goes: it knows one person, and holds a client to its PKCE challenge.
type fakeProvider struct {
	t      *testing.T
	web    *httptest.Server
	key    *ecdsa.PrivateKey
	signer jose.Signer
	codes  map[string]url.Values // by code: what was asked
	claims map[string]any
	spoil  func(claims map[string]any) // before signing
}

func newFakeProvider(t *testing.T) *fakeProvider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p := &fakeProvider{t: t, key: key, codes: map[string]url.Values{}, claims: map[string]any{"sub": "s-1", "preferred_username": "Ann.Smith", "name": "Ann", "email": "ann@corp.example", "groups": []string{"soc", "staff"}}}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	must(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		u := p.web.URL
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": u, "authorization_endpoint": u + "/auth", "token_endpoint": u + "/token", "jwks_uri": u + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.web = httptest.NewServer(mux)
	t.Cleanup(p.web.Close)
	return p
}

// consent is the person saying yes: it returns where the browser is sent back to.
func (p *fakeProvider) consent(to string) *url.URL {
	p.t.Helper()
	u, err := url.Parse(to)
	must(p.t, err)
	q := u.Query()
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 20 {
			p.t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || !strings.Contains(q.Get("scope"), "openid") {
		p.t.Errorf("asked %s", to)
	}
	p.codes["code-1"] = q
	back, err := url.Parse(q.Get("redirect_uri"))
	must(p.t, err)
	back.RawQuery = url.Values{"state": {q.Get("state")}, "code": {"code-1"}}.Encode()
	return back
}

func (p *fakeProvider) token(w http.ResponseWriter, r *http.Request) {
	q, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || r.FormValue("redirect_uri") != q.Get("redirect_uri") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	claims := map[string]any{"iss": p.web.URL, "aud": "catena", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": q.Get("nonce")}
	for k, v := range p.claims {
		claims[k] = v
	}
	if p.spoil != nil {
		p.spoil(claims)
	}
	b, err := json.Marshal(claims)
	must(p.t, err)
	sig, err := p.signer.Sign(b)
	must(p.t, err)
	raw, err := sig.CompactSerialize()
	must(p.t, err)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": raw})
}

func oidcWorld(t *testing.T) (*fakeProvider, *world) {
	p := newFakeProvider(t)
	c := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	return p, newWorld(t, func(o *Options) {
		o.OIDC = []Provider{{ID: "corp", Name: "Corp", Issuer: p.web.URL, ClientID: "catena", HTTP: c, Roles: []ClaimRole{
			{"soc", Grant{DefaultTenant, Analyst}}, {"leads", Grant{everyTenant, Administrator}}}}}
	})
}

// way goes the whole way of a log-in and returns its last answer.
func (b *browser) way(p *fakeProvider) got {
	b.w.t.Helper()
	g := b.w.want(b.get("/oidc/corp/start?next=/docs"), http.StatusSeeOther)
	back := p.consent(g.header.Get("Location"))
	return b.get(back.RequestURI())
}

func TestLogInByOpenIDConnect(t *testing.T) {
	p, w := oidcWorld(t)
	if page := w.browser().get("/login"); !strings.Contains(string(page.body), "/oidc/corp/start") {
		t.Errorf("no button: %s", page.body)
	}
	b := w.browser()
	if g := w.want(b.way(p), http.StatusSeeOther); g.header.Get("Location") != "/docs" {
		t.Errorf("led to %s", g.header.Get("Location"))
	}
	var me Me
	w.want(b.get(prefix+"/me"), 200).json(t, &me)
	if me.Login != "ann.smith" || len(me.Tenants) != 1 || me.Tenants[0].Role != Analyst {
		t.Errorf("entered as %+v", me)
	}
	// The same person later, by another name and group, is the same account.
	p.claims["preferred_username"], p.claims["groups"] = "ann.jones", []string{"leads"}
	b2 := w.browser()
	w.want(b2.way(p), http.StatusSeeOther)
	var later Me
	w.want(b2.get(prefix+"/me"), 200).json(t, &later)
	if later.Account != me.Account || len(later.Tenants) != 2 {
		t.Errorf("later %+v", later)
	}
	// Another person who takes the name of an account does not take the account.
	p.claims["sub"], p.claims["preferred_username"], p.claims["email"] = "s-2", "ann.smith", "ann@corp.example"
	b3 := w.browser()
	w.want(b3.way(p), http.StatusSeeOther)
	var other Me
	w.want(b3.get(prefix+"/me"), 200).json(t, &other)
	if other.Account == me.Account || other.Login == me.Login {
		t.Errorf("another person is %+v", other)
	}
	// Who is in no group that counts does not enter, also if he did before.
	p.claims["groups"] = []string{"staff"}
	w.want(w.browser().way(p), http.StatusForbidden)
	p.claims["groups"] = "soc" // one group as a string
	w.want(w.browser().way(p), http.StatusSeeOther)
}

func TestLogInByOpenIDConnectRefuses(t *testing.T) {
	p, w := oidcWorld(t)
	for name, spoil := range map[string]func(map[string]any){
		"another nonce":    func(c map[string]any) { c["nonce"] = "x" },
		"no nonce":         func(c map[string]any) { delete(c, "nonce") },
		"another client":   func(c map[string]any) { c["aud"] = "other" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.example" },
		"an ended token":   func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"claims of no use": func(c map[string]any) { c["groups"] = map[string]any{"soc": true} },
	} {
		p.spoil = spoil
		if g := w.browser().way(p); g.status != 400 && g.status != 403 || strings.Contains(g.header.Get("Set-Cookie"), cookiePlain+"=") && !strings.Contains(g.header.Get("Set-Cookie"), oidcCookie) {
			t.Errorf("%s: status %d", name, g.status)
		}
	}
	p.spoil = nil
	good := p.signer
	evil, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: evil, KeyID: "k"}}, nil)
	must(t, err)
	w.want(w.browser().way(p), 400)
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: publicBytes(t, p.key.Public())}, nil)
	must(t, err)
	w.want(w.browser().way(p), 400) // signed with the public key as if it were a secret
	p.signer = good

	// The way back of one browser is not another's.
	g := w.browser().get("/oidc/corp/start")
	back := p.consent(g.header.Get("Location"))
	w.want(w.browser().get(back.RequestURI()), 400)
	// It is gone once, and no longer than its time.
	b := w.browser()
	back = p.consent(b.get("/oidc/corp/start").header.Get("Location"))
	w.clock.add(flowLife + time.Second)
	w.want(b.get(back.RequestURI()), 400)
	b = w.browser()
	back = p.consent(b.get("/oidc/corp/start").header.Get("Location"))
	w.want(b.get(back.RequestURI()), http.StatusSeeOther)
	w.want(b.get(back.RequestURI()), 400)
	w.want(b.get("/oidc/corp/callback?error=access_denied&state=x"), 400)
	w.want(b.get("/oidc/nobody/start"), 404)
	// A provider that is gone is said so.
	p.web.Close()
	w.s.oidc.byID["corp"].found = nil
	w.want(w.browser().get("/oidc/corp/start"), http.StatusBadGateway)
}

func publicBytes(t *testing.T, k crypto.PublicKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: k})
	must(t, err)
	return b
}
