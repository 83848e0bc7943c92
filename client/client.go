package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a client takes and does.
const (
	maxAnswer = 256 << 20        // bytes of an answer
	maxLine   = 1 << 20          // bytes of a line of a stream
	tries     = 4                // of one call
	maxPause  = 30 * time.Second // between two of them
)

// A Client speaks with one server. It is safe for use by many goroutines.
type Client struct {
	// URL is where the server is, such as https://catena.example.com.
	URL string
	// Token is one made under /tokens, beginning with cat_.
	Token string
	// HTTP makes the requests; nil is http.DefaultClient.
	HTTP *http.Client
}

// New returns a client of a server that shows a token.
func New(url, token string) *Client { return &Client{URL: url, Token: token} }

// A Response is an answer.
type Response[T any] struct {
	Body T
	ETag string // of what was read; IfMatch of a change takes it
}

// An Error is an answer that says why something was not done.
type Error struct {
	ErrorModel
	RetryAfter time.Duration // 0 if nothing is said
}

// Error says what the server said, or the status if that was nothing.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%d %s", e.Status, e.Title)
	}
	return fmt.Sprintf("%s (%d)", e.Detail, e.Status)
}

// IsStatus says whether an error is an answer with that status.
func IsStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && int(e.Status) == status
}

// A request is one call in the making.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any
}

func (c *Client) request(method, path string) *request {
	return &request{method: method, path: path, query: url.Values{}, header: http.Header{}}
}

// call makes a request and reads its answer, as JSON or, into *[]byte, as it comes. What
// may be tried again is: a change carries a key by which it is made once.
func (c *Client) call(ctx context.Context, r *request, out any) (etag string, err error) {
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return "", err
		}
	}
	if r.method != http.MethodGet && r.header.Get("Idempotency-Key") == "" {
		r.header.Set("Idempotency-Key", rand.Text())
	}
	pause := 500 * time.Millisecond
	for try := 1; ; try++ {
		etag, err = c.once(ctx, r, body, out)
		var e *Error
		if errors.As(err, &e) {
			if e.Status != http.StatusTooManyRequests && e.Status != http.StatusServiceUnavailable || e.RetryAfter > maxPause {
				return etag, err
			}
			pause = max(pause, e.RetryAfter)
		}
		if err == nil || try == tries || ctx.Err() != nil {
			return etag, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return "", err
		}
		pause = min(2*pause, maxPause)
	}
}

func (c *Client) send(ctx context.Context, r *request, body []byte) (*http.Response, error) {
	u := strings.TrimRight(c.URL, "/") + r.path
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, failure(res)
}

func failure(res *http.Response) error {
	e := &Error{ErrorModel: ErrorModel{Title: http.StatusText(res.StatusCode)}}
	if b, err := io.ReadAll(io.LimitReader(res.Body, maxLine)); err == nil && strings.HasSuffix(res.Header.Get("Content-Type"), "json") {
		if json.Unmarshal(b, &e.ErrorModel) != nil {
			e.Detail = "" // no problem document: the status says it
		}
	}
	e.Status = int64(res.StatusCode)
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 86_400)) * time.Second
	}
	return e
}

func (c *Client) once(ctx context.Context, r *request, body []byte, out any) (string, error) {
	res, err := c.send(ctx, r, body)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
	case len(b) > maxAnswer:
		return "", fmt.Errorf("the answer to %s %s is longer than %d bytes", r.method, r.path, maxAnswer)
	}
	switch x := out.(type) {
	case nil:
	case *[]byte:
		*x = b
	default:
		if err := json.Unmarshal(b, out); err != nil {
			return "", fmt.Errorf("read the answer to %s %s: %w", r.method, r.path, err)
		}
	}
	return res.Header.Get("ETag"), nil
}

// ErrMissed is what Changes returns when changes between the ones it told and the next
// are no longer kept: read anew what is shown, and go on from the last number.
var ErrMissed = errors.New("changes were missed: read anew what is shown")

// Changes calls f with each change of a tenant after a number, as they happen, until the
// context ends or f returns an error, which it returns. 0 is from now on. When the
// connection ends it comes again by itself. It returns the number of the last change.
func (c *Client) Changes(ctx context.Context, tenant string, after int64, f func(Change) error) (int64, error) {
	pause := 500 * time.Millisecond
	for {
		n, err := c.listen(ctx, tenant, after, f)
		if n > after {
			after, pause = n, 500*time.Millisecond
		}
		var stop *stopped
		var e *Error
		switch {
		case errors.As(err, &stop):
			return after, stop.error
		case errors.As(err, &e) && e.Status != http.StatusTooManyRequests && e.Status < 500:
			return after, err
		case ctx.Err() != nil:
			return after, ctx.Err()
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return after, ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// stopped is an error at which nothing is tried again.
type stopped struct{ error }

// Unwrap returns it.
func (s *stopped) Unwrap() error { return s.error }

func (c *Client) listen(ctx context.Context, tenant string, after int64, f func(Change) error) (int64, error) {
	r := c.request(http.MethodGet, "/api/v1/changes/stream")
	set(r.query, "tenant", tenant)
	set(r.query, "after", after)
	res, err := c.send(ctx, r, nil)
	if err != nil {
		return after, err
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, maxLine)
	name := ""
	for in.Scan() {
		field, value, _ := strings.Cut(in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			switch name {
			case "missed":
				return after, &stopped{ErrMissed}
			case "change":
				var ch Change
				if err := json.Unmarshal([]byte(value), &ch); err != nil {
					return after, fmt.Errorf("read a change: %w", err)
				}
				if err := f(ch); err != nil {
					return after, &stopped{err}
				}
				after = ch.Seq
			}
		}
	}
	return after, in.Err()
}

// set puts a parameter into a query unless it is zero; a list is put one by one.
func set(q url.Values, name string, v any) {
	switch x := v.(type) {
	case string:
		if x != "" {
			q.Set(name, x)
		}
	case []string:
		for _, e := range x {
			q.Add(name, e)
		}
	case int64:
		if x != 0 {
			q.Set(name, strconv.FormatInt(x, 10))
		}
	case bool:
		if x {
			q.Set(name, "true")
		}
	case time.Time:
		if !x.IsZero() {
			q.Set(name, x.UTC().Format(time.RFC3339Nano))
		}
	}
}
