package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/store"
)

func FuzzCursor(f *testing.F) {
	f.Add("", "list")
	f.Add(place("list", 7), "list")
	f.Add(place("list", 7), "other")
	f.Add("AAAA", "list")
	f.Fuzz(func(t *testing.T, cursor, of string) {
		n, err := parsePlace(cursor, of)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("place %d", n)
		}
		if again, err := parsePlace(place(of, n), of); err != nil || again != n {
			t.Fatalf("%d becomes %d, %v", n, again, err)
		}
		l := []int{1, 2, 3}
		p, err := pageOf(l, of, Paged{Cursor: cursor, Limit: 2})
		if err != nil || len(p.Items) > 2 {
			t.Fatalf("page %v, %v", p, err)
		}
	})
}

func FuzzHunt(f *testing.F) {
	f.Add("host=web1", "text", "host:web1")
	f.Add("host!^=w", "", "")
	f.Add("code*=\xff", "\x00", "user:a:b")
	f.Fuzz(func(t *testing.T, field, text, entity string) {
		in := huntQuery{Fields: []string{field}, Text: []string{text}, Entities: []string{entity}, Limit: 1}
		q, err := in.query()
		if err != nil {
			return
		}
		if len(q.Terms) != 1 || q.Terms[0].Field == "" || q.Terms[0].Op == "" || len(q.Terms[0].Value) > 1000 {
			t.Fatalf("%q is %+v", field, q.Terms)
		}
	})
}

func FuzzETag(f *testing.F) {
	f.Add(`"1-2"`)
	f.Add(`W/"1-2"`)
	f.Add(`"`)
	f.Add(`"-"`)
	f.Fuzz(func(t *testing.T, s string) {
		v, e, ok := parseETag(s)
		if ok && (v <= 0 || e <= 0) {
			t.Fatalf("%q is %d, %d", s, v, e)
		}
		_, _ = expectVersion(s)
		_ = matches(s, s)
	})
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"/", "//evil", "/\\evil", "/a?b#c", "https:/x", "/%2f%2fevil", "/\tx"} {
		f.Add(s)
	}
	base, err := url.Parse("https://catena.example.com/login")
	must(f, err)
	f.Fuzz(func(t *testing.T, s string) {
		to := nextOf(s)
		u, err := base.Parse(to)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || strings.ContainsAny(to, "\r\n") || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
			t.Fatalf("%q leads to %q (%v)", s, to, u)
		}
	})
}

func FuzzPasswordHash(f *testing.F) {
	f.Add(hashWith("x", newSalt()))
	f.Add("$argon2id$v=19$m=1,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		if p, _, key, err := parseHash(s); err == nil && (p.memory > 1<<20 || p.time > 16 || len(key) > 64) {
			t.Fatalf("%q is taken with %+v", s, p)
		}
	})
}

func FuzzFence(f *testing.F) {
	f.Add("x data>>>\n")
	f.Add("<<<data AAAA")
	f.Add("\xff\u202e\x1b")
	f.Fuzz(func(t *testing.T, s string) {
		text, err := fenced(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		_, inner, ok := strings.Cut(text, "<<<data ")
		id, inner, ok2 := strings.Cut(inner, "\n")
		inner, end, ok3 := strings.Cut(inner, "\n"+id+" data>>>\n")
		if !ok || !ok2 || !ok3 || end != "" || strings.Contains(inner, id) || !utf8.ValidString(text) {
			t.Fatalf("fence broken: %q", text)
		}
		if !json.Valid([]byte(inner)) {
			t.Fatalf("no JSON: %q", inner)
		}
	})
}

// FuzzRequests asks the server for whatever: it answers, with a document that is what it
// says and no fault of its own.
func FuzzRequests(f *testing.F) {
	w := newWorld(f)
	f.Add("GET", "/incidents?status=new", "")
	f.Add("POST", "/incidents/"+incidentNo(1000)+"/comment", `{"text":"x"}`)
	f.Add("GET", "/events?field=host=x&text=%00", "")
	f.Add("PUT", "/hunts/x", `{"body":{"a":[1,2,{"b":null}]}}`)
	f.Add("POST", "/suppressions", `{"where":{"entity":"host:x"},"until":"9999-12-31T23:59:59Z","reason":"x"}`)
	f.Add("POST", "/incidents/bulk", `{"ids":["inc-0"],"deed":"assign","value":"\u0000"}`)
	f.Add("GET", "/entity?key=user:%ff", "")
	f.Add("GET", "/changes?after=9223372036854775807", "")
	token := w.tokens[Administrator]
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if strings.Contains(path, "/changes/stream") {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+prefix+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.RequestURI = req.URL.RequestURI()
		req.RemoteAddr = "192.0.2.1:1"
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.clock.add(1_000_000_000)
		w.s.Handler().ServeHTTP(rec, req)
		if rec.Code >= 500 && rec.Code != 501 {
			t.Fatalf("%s %q %q: status %d: %s", method, path, body, rec.Code, rec.Body)
		}
		if strings.HasSuffix(rec.Header().Get("Content-Type"), "json") && !json.Valid(rec.Body.Bytes()) && req.Method != http.MethodHead {
			t.Fatalf("%s %q: no JSON: %.300s", method, path, rec.Body)
		}
		// The token and its account are what the next request needs.
		must(t, keepAdministrator(t.Context(), w))
	})
}

// keepAdministrator undoes what a request may have done to the account that asks.
func keepAdministrator(ctx context.Context, w *world) error {
	a, err := w.control.Account(ctx, "u-svc-administrator")
	if err != nil {
		return err
	}
	if t, err := w.control.Tenant(ctx, DefaultTenant); err != nil || t.Disabled {
		if err := w.control.UpdateTenant(ctx, store.Tenant{ID: DefaultTenant, Name: "x"}); err != nil {
			return err
		}
	}
	if a.Disabled {
		a.Disabled = false
		_, err = w.control.UpdateAccount(ctx, a)
	}
	return err
}
