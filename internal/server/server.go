package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/gzhttp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

// Options are what a Server needs. Control, Tenants and Engine must be given.
type Options struct {
	Control *store.Control
	Tenants Tenants
	Engine  Engine
	Reports []report.Writer // forms in which an incident can be had

	Version       string // of the binary
	RulesHash     string // count and hash of the rules in use
	AttackVersion string
	// URL is where people reach the server, such as https://catena.example.com; it stands
	// in one-time links and is what providers send people back to. Empty: what a request says.
	URL string
	// TLS says that clients speak TLS to the server or to a proxy in front of it: cookies
	// are then for TLS only. HSTS binds browsers to it; not with a self-made certificate.
	TLS, HSTS bool
	// Proxies are networks of proxies in front, whose X-Forwarded-For is believed.
	Proxies []netip.Prefix

	Local       bool          // log-in by password
	OIDC        []Provider    // log-in by others
	SessionIdle time.Duration // a session that does nothing ends after; 0 is 12 hours
	SessionLife time.Duration // any session ends after; 0 is 7 days
	HashAtOnce  int           // passwords hashed at once; 0 is 2
	PerSecond   float64       // requests a second of one address, and of one account; 0 is 50

	// Mounts are handlers of others, by pattern of http.ServeMux, such as receivers at
	// "/ingest/". They look after access and bounds themselves.
	Mounts map[string]http.Handler
	Notify Notify // nil: people are told nothing
	// Console is the built console, with index.html; nil if the binary holds none.
	Console fs.FS

	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: none are kept
	Gather  prometheus.Gatherer   // nil: /metrics is not there
	// OpenMetrics lets anybody read /metrics; else a token with sources:read is needed.
	OpenMetrics bool
	Now         func() time.Time // nil: time.Now
}

// A Server answers people and programs. It is safe for use by many goroutines.
type Server struct {
	o       Options
	api     huma.API
	routes  []route
	handler http.Handler

	hash      *hasher
	byAddress *rates // requests
	byCaller  *rates
	logins    *rates   // tries to log in, of an address
	accounts  *lockout // by account and address
	account   *lockout // by account alone, slower
	answers   *answers
	streams   *turnstile
	relay     *relay
	oidc      *oidcs
	pages     *pages
	exports   chan struct{}
	hunts     chan struct{}
	schemas   *mcp.SchemaCache // of the tools, made once
	metrics   *metrics
	known     *recent[string, struct{}] // account and address of log-ins that were right

	swept    time.Time // by Flush
	stopping chan struct{}
	stopOnce sync.Once
}

// New makes a server. Nothing listens yet.
func New(o Options) (*Server, error) {
	if o.Control == nil || o.Tenants == nil || o.Engine == nil {
		return nil, errors.New("server: Control, Tenants and Engine are needed")
	}
	o.Log = logger(o.Log)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.SessionIdle = cmp.Or(o.SessionIdle, 12*time.Hour)
	o.SessionLife = cmp.Or(o.SessionLife, 7*24*time.Hour)
	o.HashAtOnce = cmp.Or(o.HashAtOnce, 2)
	o.PerSecond = cmp.Or(o.PerSecond, 50)
	o.URL = strings.TrimRight(o.URL, "/")
	s := &Server{
		o:         o,
		hash:      newHasher(o.HashAtOnce),
		byAddress: newRates(o.PerSecond, int(4*o.PerSecond)+1, o.Now),
		byCaller:  newRates(o.PerSecond, int(4*o.PerSecond)+1, o.Now),
		logins:    newRates(0.5, 20, o.Now),
		accounts:  newLockout(4, time.Second, 15*time.Minute, o.Now),
		account:   newLockout(20, time.Second, 5*time.Minute, o.Now),
		answers:   newAnswers(o.Now),
		streams:   newTurnstile(maxStreams, maxStreamsOne),
		relay:     newRelay(o.Engine, o.Now),
		exports:   make(chan struct{}, reportsAtOnce),
		hunts:     make(chan struct{}, huntsAt),
		known:     newRecent[string, struct{}](16384),
		schemas:   mcp.NewSchemaCache(),
		stopping:  make(chan struct{}),
	}
	var err error
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	if s.oidc, err = newOIDC(o.OIDC, o.Now); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// bodyWithin is how long a body of a request may take to come.
const bodyWithin = 30 * time.Second

// describe makes the API: its routes and its document.
func (s *Server) describe() http.Handler {
	mux := http.NewServeMux()
	s.api = newAPI(mux, s.o.Version)
	s.sessionRoutes()
	s.incidentRoutes()
	s.decideRoutes()
	s.reportRoutes()
	s.alertRoutes()
	s.entityRoutes()
	s.huntRoutes()
	s.savedRoutes(huntKind, "/hunts", "hunt", "hunt", Analyst)
	s.savedRoutes(viewKind, "/views", "incidents", "view", Analyst)
	s.ruleRoutes()
	s.suppressionRoutes()
	s.sourceRoutes()
	s.notifyRoutes()
	s.changeRoutes()
	s.proposalRoutes()
	s.adminRoutes()
	s.finish()
	return mux
}

// Document is the OpenAPI document of the API as a server with those report formats has
// it, for who makes a client from it.
func Document(version string, reports []report.Writer) ([]byte, error) {
	s := &Server{o: Options{Version: version, Reports: reports, Log: logger(nil), Now: time.Now}}
	s.describe()
	return s.OpenAPI()
}

// build makes the handler: the API and the pages behind what all requests pass.
func (s *Server) build() error {
	apiMux := s.describe()

	mux := http.NewServeMux()
	limit := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength != 0 { // a body that comes drop by drop shall not hold a connection
				if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin)); err != nil {
					s.o.Log.Debug("no deadline for a body", "error", err) // as over HTTP/2 of a test
				}
				r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			}
			h.ServeHTTP(w, r)
		})
	}
	zip, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.ExceptContentTypes([]string{"text/event-stream"}),
		// What is secret and what a caller chose may stand in one answer: their common length
		// shall tell nothing.
		gzhttp.RandomJitter(64, 0, false))
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	api := s.authenticated(s.answers.once(apiMux))
	mux.Handle(prefix+"/changes/stream", limit(api)) // is flushed event by event: not compressed
	mux.Handle(prefix+"/", limit(zip(api)))
	mux.Handle("/mcp", limit(s.authenticated(s.mcpHandler())))
	s.pageRoutes(mux, func(h http.HandlerFunc) http.Handler { return limit(zip(h)) })
	for pattern, h := range s.o.Mounts {
		mux.Handle(pattern, h)
	}
	s.handler = s.outermost(secureHeaders(s.o.HSTS, s.limitAddress(mux)))
	return nil
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// OpenAPI is the document of the API, as JSON.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().MarshalJSON() }

// Serve answers on a listener until the context ends, then lets requests that run come to
// their end for as long as grace.
func (s *Server) Serve(ctx context.Context, l net.Listener, t *tls.Config, grace time.Duration) error {
	h := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		WriteTimeout:      2 * time.Minute, // streams set their own
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		TLSConfig:         t,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	h.RegisterOnShutdown(s.stop)
	failed := make(chan error, 1)
	go func() {
		if t != nil {
			failed <- h.ServeTLS(l, "", "")
		} else {
			failed <- h.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		s.stop()
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.stop()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := h.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("stop %s: %w", l.Addr(), err), h.Close())
	}
	return nil
}

// stop ends streams, which would not end by themselves.
func (s *Server) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// sweepEvery is how often sessions and links that ended are deleted.
const sweepEvery = time.Hour

// Flush tells the engine decisions that it was not told yet, and now and then deletes
// sessions and links that ended. It is called at the start and from time to time, by one
// goroutine.
func (s *Server) Flush(ctx context.Context) error {
	ids, err := s.tenantIDs(ctx)
	if err != nil {
		return err
	}
	if now := s.o.Now(); now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		err = s.o.Control.Sweep(ctx, now, now.Add(-sweepEvery))
	}
	for _, id := range ids {
		if t, ok := s.o.Tenants.Open(id); ok {
			err = errors.Join(err, s.relay.flush(ctx, id, t.Cases))
		}
	}
	return err
}

// outermost logs and counts requests, and turns a panic of ours into an answer.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.o.Now()
		rec := &statusRecorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
					panic(p)
				}
				s.o.Log.Error("a request failed by a fault of this program: please report it", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeProblem(rec, http.StatusInternalServerError, "that failed; the administrator finds the cause in the log")
				}
			}
			took := s.o.Now().Sub(start)
			s.metrics.request(r, rec.status, took)
			s.o.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "took", took, "address", s.addressOf(r))
		}()
		next.ServeHTTP(rec, r)
	})
}

// limitAddress refuses addresses that ask too much.
func (s *Server) limitAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.mounted(r) {
			if wait := s.byAddress.take(addressKey(s.addressOf(r))); wait > 0 {
				tooMany(w, wait)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// mounted says whether a request is for a handler of others, which has its own limits.
func (s *Server) mounted(r *http.Request) bool {
	for p := range s.o.Mounts {
		_, path, ok := strings.Cut(p, " ")
		if !ok {
			path = p
		}
		if r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path) {
			return true
		}
	}
	return false
}

func tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(max(1, int(wait.Round(time.Second).Seconds()))))
	writeProblem(w, http.StatusTooManyRequests, "too many requests; slow down")
}

// addressOf is who sent a request: the peer, or who a proxy that is believed says.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	a := remoteAddr(r.RemoteAddr)
	via := r.Header.Values("X-Forwarded-For")
	if len(s.o.Proxies) == 0 || len(via) == 0 {
		return a
	}
	hops := strings.Split(strings.Join(via, ","), ",")
	for _, h := range slices.Backward(hops[max(0, len(hops)-20):]) {
		if !slices.ContainsFunc(s.o.Proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }) {
			break
		}
		n := remoteAddr(strings.TrimSpace(h))
		if !n.IsValid() {
			break
		}
		a = n
	}
	return a
}

// A statusRecorder notes the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is beneath.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// A turnstile lets so many in at once, of all and of each.
type turnstile struct {
	mu     sync.Mutex
	most   int
	each   int
	inside int
	of     map[string]int
}

func newTurnstile(most, each int) *turnstile {
	return &turnstile{most: most, each: each, of: map[string]int{}}
}

// enter lets one in; the function that it returns lets it out.
func (t *turnstile) enter(who string) (func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.inside >= t.most:
		return nil, retry(http.StatusServiceUnavailable, "too many streams are open", 10*time.Second)
	case t.of[who] >= t.each:
		return nil, retry(http.StatusTooManyRequests, fmt.Sprintf("you have %d streams open; close one", t.each), 10*time.Second)
	}
	t.inside++
	t.of[who]++
	var once sync.Once
	return func() {
		once.Do(func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.inside--
			if t.of[who]--; t.of[who] == 0 {
				delete(t.of, who)
			}
		})
	}, nil
}

// errEnded ends a stream whose client lost its rights.
var errEnded = errors.New("the session or token ended")

// mergeDone is a context that ends with another one or a channel.
func mergeDone(ctx context.Context, done <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func valueOf[T any](v *T) reflect.Value { return reflect.ValueOf(v) }

func asErr[T any](err error, target *T) bool { return errors.As(err, target) }

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func compareStrings(a, b string) int { return strings.Compare(a, b) }
