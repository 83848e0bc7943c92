package source

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A Grant is what a token gives: whose evidence it is that its holder sends, and
// under which name of a source it is kept.
type Grant struct {
	Tenant, Source string
}

// An Authenticate tells what a token gives. It fails with an error that is
// ErrToken if the token gives nothing here; any other means that it could not look.
// It must take as long for tokens that are nearly right as for others.
type Authenticate func(ctx context.Context, token string) (Grant, error)

// ErrToken is the error of a token that is unknown, expired or revoked.
var ErrToken = errors.New("the token is not valid")

// tokenOf returns the token that a request carries, in the ways of those who send
// logs: Bearer, Splunk's own scheme, an API key of Elasticsearch (the part behind
// the colon of "id:key"), or as password of Basic. "" if it carries none.
func tokenOf(h http.Header) string {
	scheme, value, _ := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	value = strings.TrimSpace(value)
	if len(value) > maxToken {
		return ""
	}
	switch strings.ToLower(scheme) {
	case "bearer", "splunk":
		return value
	case "basic", "apikey":
		plain, err := base64.StdEncoding.DecodeString(value)
		if _, key, ok := strings.Cut(string(plain), ":"); err == nil && ok {
			return key
		}
		if strings.EqualFold(scheme, "apikey") {
			return value
		}
	}
	if key := h.Get("X-Api-Key"); len(key) <= maxToken { // API destinations of EventBridge
		return key
	}
	return ""
}

// maxToken bounds a token, in bytes.
const maxToken = 512

// A refusal is why a request is not taken, in the words of HTTP.
type refusal struct {
	status int
	cause  string
	after  time.Duration // 0: not worth coming back
}

func (e *refusal) Error() string { return e.cause }

// refusalOf is what err, of reading a request or of a sink, means to its sender.
func refusalOf(err error) *refusal {
	var r *refusal
	var tooLong *http.MaxBytesError
	if errors.As(err, &r) {
		return r
	}
	switch {
	case errors.As(err, &tooLong):
		return &refusal{status: http.StatusRequestEntityTooLarge, cause: fmt.Sprintf("the request has more than %d bytes: send less at once", tooLong.Limit)}
	case errors.Is(err, errTooLarge):
		return &refusal{status: http.StatusRequestEntityTooLarge, cause: err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{status: http.StatusRequestTimeout, cause: "the request came too slowly: send less at once"}
	}
	return &refusal{status: http.StatusBadRequest, cause: "the request cannot be read: " + clip(err.Error(), 200)}
}

// sinkRefusal is what the error of a sink means to a sender.
func sinkRefusal(err error) *refusal {
	if after, ok := pushedBack(err); ok {
		if errors.Is(err, context.Canceled) {
			return &refusal{http.StatusServiceUnavailable, "stopping: send again", after}
		}
		return &refusal{http.StatusTooManyRequests, "the queue takes nothing for now: send again later", after}
	}
	return &refusal{status: http.StatusInternalServerError, cause: "the evidence could not be kept; the log of the engine says why"}
}

// header sets what a refused sender needs to know.
func (e *refusal) header(h http.Header) {
	if e.after > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.after+time.Second-1)/time.Second)))
	}
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="catena"`)
	}
}

// An intake is what the receivers share that take requests of HTTP.
type intake struct {
	limits       Limits
	authenticate Authenticate
	now          func() time.Time
	log          *slog.Logger
	counts       *Counters
	slots        chan struct{} // one for each request that is read
	buffers      sync.Pool     // of *bufio.Reader
}

func newIntake(l Limits, a Authenticate, now func() time.Time, log *slog.Logger, c *Counters) *intake {
	l = l.WithDefaults()
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	in := &intake{limits: l, authenticate: a, now: now, log: log, counts: c, slots: make(chan struct{}, l.Requests)}
	in.buffers.New = func() any { return bufio.NewReaderSize(nil, HeadLen) }
	return in
}

// A taking is one request under way.
type taking struct {
	in    *intake
	grant Grant
	peer  string
	body  *bufio.Reader // unpacked, bounded
	close func()
}

// errNoToken is the cause of a request without a token.
const errNoToken = "a token is needed: Authorization: Bearer TOKEN"

// grant tells what the token of a request gives.
func (in *intake) grant(r *http.Request) (Grant, error) { return in.grantOf(r.Context(), r.Header) }

// grantOf is grant of what names the sender in headers.
func (in *intake) grantOf(ctx context.Context, h http.Header) (Grant, error) {
	token := tokenOf(h)
	if token == "" {
		return Grant{}, &refusal{status: http.StatusUnauthorized, cause: errNoToken}
	}
	g, err := in.authenticate(ctx, token)
	switch {
	case errors.Is(err, ErrToken):
		return Grant{}, &refusal{status: http.StatusUnauthorized, cause: "the token is not valid for sending evidence"}
	case err != nil:
		in.log.Error("token not looked up", "error", err)
		return Grant{}, &refusal{http.StatusServiceUnavailable, "the token could not be looked up: send again later", retryAtLeast}
	}
	return g, nil
}

// begin looks at a request's token and gives it a slot; end must be called if it
// returns no error, which is a *refusal otherwise.
func (in *intake) begin(w http.ResponseWriter, r *http.Request) (*taking, error) {
	g, err := in.grant(r)
	if err != nil {
		return nil, err
	}
	return in.open(w, r, g)
}

// open gives a request whose sender is known a slot and a reader of its body.
func (in *intake) open(w http.ResponseWriter, r *http.Request, g Grant) (*taking, error) {
	select {
	case in.slots <- struct{}{}:
	default:
		select {
		case in.slots <- struct{}{}:
		case <-r.Context().Done():
			return nil, &refusal{http.StatusServiceUnavailable, "stopping: send again", retryAtLeast}
		case <-time.After(retryAtLeast):
			return nil, &refusal{http.StatusServiceUnavailable, "too many requests at once: send again later", retryAtLeast}
		}
	}
	release := func() { <-in.slots }
	// A recorder of a test has no deadlines; the body is bounded all the same.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(in.limits.Slow))
	_ = deadline.SetWriteDeadline(time.Now().Add(2 * in.limits.Slow))
	plain, done, err := inflate(http.MaxBytesReader(w, r.Body, in.limits.Body), r.Header.Get("Content-Encoding"), in.limits)
	if err != nil {
		release()
		ref := refusalOf(err)
		if strings.HasPrefix(err.Error(), "content encoding") {
			ref = &refusal{status: http.StatusUnsupportedMediaType, cause: err.Error()}
		}
		return nil, ref
	}
	br := in.buffers.Get().(*bufio.Reader)
	br.Reset(plain)
	return &taking{in: in, grant: g, peer: hostOf(r.RemoteAddr), body: br, close: func() {
		br.Reset(nil)
		in.buffers.Put(br)
		done()
		release()
	}}, nil
}

// end releases what begin took.
func (t *taking) end() { t.close() }

// base is a batch of this request, without its evidence.
func (t *taking) base(format string) model.Batch {
	return model.Batch{Tenant: t.grant.Tenant, Source: t.grant.Source, Peer: t.peer, Format: format}
}

// packer returns one for the records of this request.
func (t *taking) packer(sink Sink, format string) *packer {
	return &packer{sink: sink, limits: t.in.limits, counts: t.in.counts, now: t.in.now, base: t.base(format)}
}

// refused counts a request that was not taken, as what it is.
func (in *intake) refused(ref *refusal) {
	if ref.after > 0 {
		in.counts.PushedBack(ref)
	} else {
		in.counts.Refused(1, ref)
	}
}

// maxHeld is how many bytes a request may have that is held in memory as a whole.
const maxHeld = 16 << 20

// writeJSON answers a request.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a sender that is gone has no use for its answer
}

// HTTPOptions are those of an HTTP.
type HTTPOptions struct {
	Name   string
	Listen string      // host:port
	TLS    *tls.Config // nil: plain HTTP
	Limits Limits
	// Handlers are what is served, by pattern of http.ServeMux: those of Push, OTLP
	// and Webhook, each made with the sink that Run is given.
	Handlers map[string]func(Sink) http.Handler
	Log      *slog.Logger
}

// HTTP is the receiver that listens for requests, for those who send by HTTP.
type HTTP struct {
	Counters
	o     HTTPOptions
	ready chan struct{}
	addr  net.Addr
}

// NewHTTP returns a receiver of requests. Its Stats count connections; what is
// taken is counted by the receivers whose handlers it serves.
func NewHTTP(o HTTPOptions) *HTTP {
	o.Limits = o.Limits.WithDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &HTTP{o: o, ready: make(chan struct{})}
}

// Name is the receiver's name in the configuration.
func (h *HTTP) Name() string { return h.o.Name }

// Addr waits until the receiver listens and returns where, nil if ctx ends before.
func (h *HTTP) Addr(ctx context.Context) net.Addr {
	select {
	case <-h.ready:
		return h.addr
	case <-ctx.Done():
		return nil
	}
}

// Bounds of requests' headers.
const (
	maxHeaderBytes  = 32 << 10
	headerTimeout   = 10 * time.Second
	shutdownTimeout = 10 * time.Second
)

// Run listens until ctx ends; requests under way are answered before it returns.
func (h *HTTP) Run(ctx context.Context, sink Sink) error {
	mux := http.NewServeMux()
	for pattern, handler := range h.o.Handlers {
		mux.Handle(pattern, handler(sink))
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", h.o.Listen)
	if err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w: choose another port or stop what listens there", h.o.Name, h.o.Listen, err)
	}
	h.addr = l.Addr()
	close(h.ready)
	l = &limitedListener{l, newConnLimit(h.o.Limits, &h.Counters)}
	if h.o.TLS != nil {
		l = tls.NewListener(l, h.o.TLS)
	}
	server := &http.Server{
		Handler: mux, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: headerTimeout,
		IdleTimeout: min(h.o.Limits.Idle, 2*time.Minute),
		// Requests under way outlive ctx, so that what was sent is taken or refused.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(h.o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("%s: %w", h.o.Name, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		server.Close() //nolint:errcheck // what is left had its time
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", h.o.Name, err)
	}
	return nil
}

// readLine reads one line, of at most max bytes without its end, good until the
// next read. A longer one is read over and told with errTooLarge.
func readLine(r *bufio.Reader, held []byte, limit int) (line, kept []byte, err error) {
	held = held[:0]
	for {
		part, err := r.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case len(held)+len(part) > limit+2:
			for full {
				_, err = r.ReadSlice('\n')
				full = errors.Is(err, bufio.ErrBufferFull)
			}
			return nil, held, cmp.Or(notEOF(err), errTooLarge)
		case full:
			held = append(held, part...)
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(held)+len(part) == 0):
			return nil, held, err
		}
		if len(held) > 0 {
			held = append(held, part...)
			part = held
		}
		if n := len(part); n > 0 && part[n-1] == '\n' {
			part = part[:n-1]
		}
		if n := len(part); n > 0 && part[n-1] == '\r' {
			part = part[:n-1]
		}
		return part, held, nil
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
