package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestParameters(t *testing.T) {
	q := url.Values{}
	set(q, "empty", "")
	set(q, "text", "a&b=c")
	set(q, "list", []string{"x", "", "y,z"})
	set(q, "no", false)
	set(q, "yes", true)
	set(q, "zero", int64(0))
	set(q, "n", int64(-7))
	set(q, "never", time.Time{})
	set(q, "at", time.Date(2026, 3, 1, 10, 0, 0, 5000, time.FixedZone("", 3600)))
	if got := q.Encode(); got != "at=2026-03-01T09%3A00%3A00.000005Z&list=x&list=&list=y%2Cz&n=-7&text=a%26b%3Dc&yes=true" {
		t.Error(got)
	}
}

func TestFailures(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch r.URL.Path {
		case "/api/v1/me":
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "3600") // longer than a client waits
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"title":"Service Unavailable","status":503,"detail":"the store is full"}`)
		case "/api/v1/health":
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>of a proxy</html>")
		case "/api/v1/objectives":
			if calls == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			fmt.Fprint(w, `[{"name":"x"}]`)
		default:
			fmt.Fprint(w, `{"half":`)
		}
	}))
	defer s.Close()
	c := New(s.URL, "cat_x")
	_, err := c.GetMe(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Status != 503 || e.RetryAfter != time.Hour || e.Error() != "the store is full (503)" || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if _, err = c.GetHealth(t.Context()); !IsStatus(err, http.StatusBadGateway) || strings.Contains(err.Error(), "html") {
		t.Errorf("%v", err)
	}
	calls = 0
	if l, err := c.ListObjectives(t.Context(), ListObjectivesParams{}); err != nil || len(l.Body) != 1 || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err = c.GetOutbox(ctx, GetOutboxParams{}); err == nil || !strings.Contains(err.Error(), "/api/v1/outbox") {
		t.Errorf("half an answer: %v", err)
	}
}
