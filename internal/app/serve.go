package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/catena-sec/catena/internal/bus"
	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/server"
	"github.com/catena-sec/catena/internal/store"
)

// ServiceOptions are what a Service needs besides its configuration.
type ServiceOptions struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	Now     func() time.Time // nil: the clock of the machine
	// LinkFor is the name of an account for which a one-time link is made at the start:
	// the way back in for who can start the program.
	LinkFor string
	// Welcome is told how to begin, once all listens; nil means nobody asks.
	Welcome func(Welcome)
}

// Welcome says how to begin.
type Welcome struct {
	URL   string // of the server
	Link  string // one-time link of the first administrator; empty if somebody has logged in
	Token string // with which evidence can be sent; only at the very first start
}

// A Service is catena serve: receivers, the queue, an engine a tenant, the store, the
// API and those who are told. Evidence goes one way through it:
//
//	receivers -> queue -> engines -> store -> API, notifiers
//
// and all that can fail or wait stands at its ends.
type Service struct {
	o        ServiceOptions
	log      *slog.Logger
	app      *App // rules of the configuration, nothing switched off by people
	bus      *bus.Bus
	codec    *bus.Codec
	control  *store.Control
	outbox   *outbox
	server   *server.Server
	registry *prometheus.Registry
	instance string // of this process among those that share a queue

	ctx     context.Context // of the engines
	stop    context.CancelFunc
	engines sync.WaitGroup
	listen  []*listening

	creating sync.Mutex // of tenants

	mu     sync.Mutex
	cfg    config.Config
	open   map[string]*tenantState
	ending bool
	worker *telling
}

// A telling is the worker that tells people, which a reload replaces.
type telling struct {
	*respond.Worker
	stop func()
}

// NewService opens all that is kept and starts the engines. An error says what is in
// the way; nothing runs then.
func NewService(ctx context.Context, o ServiceOptions) (_ *Service, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{o: o, log: o.Log, cfg: o.Config, open: map[string]*tenantState{}, outbox: newOutbox(), registry: prometheus.NewRegistry()}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	c := o.Config
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &gauges{s: s})
	if s.instance, err = s.name(); err != nil {
		return nil, err
	}
	opt, err := Configured(c, o.Version)
	if err != nil {
		return nil, err
	}
	if s.app, err = New(opt); err != nil {
		return nil, err
	}
	for _, r := range s.app.Refused() {
		s.log.Warn("a rule cannot be used", "rule", r.String())
	}
	if s.control, err = store.OpenControl(c.Data); err != nil {
		return nil, err
	}
	if s.codec, err = bus.NewCodec(); err != nil {
		return nil, err
	}
	if s.bus, err = s.openBus(ctx, c); err != nil {
		return nil, err
	}
	if err := s.serveWith(c); err != nil {
		return nil, err
	}
	return s, nil
}

// name is this process's own among those that share a queue, kept over restarts.
func (s *Service) name() (string, error) {
	file := filepath.Join(s.cfg.Data, "instance")
	b, err := os.ReadFile(file) //nolint:gosec // of the data folder
	if err == nil && len(b) > 0 && len(b) < 64 {
		return strings.TrimSpace(string(b)), nil
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	name := hex.EncodeToString(id[:])
	return name, os.WriteFile(file, []byte(name+"\n"), 0o600)
}

func (s *Service) openBus(ctx context.Context, c config.Config) (*bus.Bus, error) {
	o := bus.Options{MaxBytes: int64(c.Bus.MaxBytes), MaxAge: time.Duration(c.Bus.MaxAge), Log: s.log}
	if len(c.Bus.URLs) == 0 {
		o.Dir = filepath.Join(c.Data, "queue")
		return bus.Open(ctx, o)
	}
	o.URL, o.Credentials, o.Replicas = strings.Join(c.Bus.URLs, ","), c.Bus.Credentials, c.Bus.Replicas
	var err error
	if o.TLS, err = clientTLS(c.Bus.TLS); err != nil {
		return nil, fmt.Errorf("bus.tls: %w", err)
	}
	return bus.Open(ctx, o)
}

// clientTLS is how to reach a server; nil if nothing is said.
func clientTLS(t config.TLS) (*tls.Config, error) {
	if t.Cert == "" && t.ClientCA == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.ClientCA != "" {
		b, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s holds no certificate", t.ClientCA)
		}
	}
	return c, nil
}

// certificate is what a listener shows; nil without one.
func (s *Service) certificate(t config.TLS, listen string) (*tls.Config, error) {
	var cert *server.Certificate
	var err error
	switch {
	case t.Cert != "":
		cert, err = server.LoadCertificate(t.Cert, t.Key, s.o.Now)
	case t.SelfSigned:
		hosts := []string{"localhost", "127.0.0.1", "::1"}
		if host, _, e := net.SplitHostPort(listen); e == nil && host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
		if name, e := os.Hostname(); e == nil {
			hosts = append(hosts, name)
		}
		if cert, err = server.SelfMade(filepath.Join(s.cfg.Data, "tls"), hosts, s.o.Now); err == nil {
			s.log.Info("the certificate is self-made", "sha256", cert.Fingerprint())
		}
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := cert.Config()
	if t.ClientCA != "" {
		b, err := os.ReadFile(t.ClientCA)
		if err != nil {
			return nil, err
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s holds no certificate", t.ClientCA)
		}
	}
	return c, nil
}

// url is how people reach the server.
func (s *Service) url(c config.Config) string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/")
	}
	u := url.URL{Scheme: "http", Host: c.Listen}
	if c.TLS.Enabled() {
		u.Scheme = "https"
	}
	if host, port, err := net.SplitHostPort(c.Listen); err == nil {
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			if name, err := os.Hostname(); err == nil {
				u.Host = net.JoinHostPort(name, port)
			}
		}
	}
	return u.String()
}

// serveWith makes the server and the receivers of a configuration.
func (s *Service) serveWith(c config.Config) error {
	proxies, err := respond.Networks(c.Access.Proxies)
	if err != nil {
		return err
	}
	mounts, err := s.mounts(c)
	if err != nil {
		return err
	}
	o := server.Options{
		Control: s.control, Tenants: s, Engine: s, Notify: people{s}, Reports: Writers(report.TextOptions{}),
		Version: s.o.Version, RulesHash: s.app.rulesText(), AttackVersion: knowledge.AttackVersion, URL: s.url(c),
		TLS: c.TLS.Enabled() || strings.HasPrefix(c.PublicURL, "https:"), HSTS: c.TLS.Cert != "", Proxies: proxies,
		Local: c.Access.Local, SessionIdle: time.Duration(c.Access.SessionIdle), SessionLife: time.Duration(c.Access.SessionLife),
		PerSecond: float64(c.Limits.Requests), Mounts: mounts, Log: s.log, Metrics: s.registry, Gather: s.registry, Now: s.o.Now,
	}
	if c.Metrics.Listen != "" {
		o.Gather = nil
	}
	if o.OIDC, err = providers(c.Access.OIDC); err != nil {
		return err
	}
	if s.server, err = server.New(o); err != nil {
		return err
	}
	return s.active(c)
}

// providers are those that others log in by.
func providers(l []config.OIDC) ([]server.Provider, error) {
	var out []server.Provider
	for _, p := range l {
		secret, err := p.ClientSecret.Value()
		if err != nil {
			return nil, fmt.Errorf("access.oidc %s: %w", p.Name, err)
		}
		x := server.Provider{ID: providerID(p.Name), Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret, Scopes: p.Scopes, RoleClaim: p.RoleClaim}
		for _, r := range p.Roles {
			x.Roles = append(x.Roles, server.ClaimRole{Value: r.Value, Grant: server.Grant{Tenant: r.Tenant, Role: server.Role(r.Role)}})
		}
		out = append(out, x)
	}
	return out, nil
}

// providerID is a provider's name as a part of a path.
func providerID(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

// config is the configuration in force.
func (s *Service) config() config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// tenants are those that run, by id.
func (s *Service) tenants() []*tenantState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*tenantState
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		out = append(out, s.open[id])
	}
	return out
}

func (s *Service) receivers() []*listening { return s.listen }

// grace is how long requests that run may take to end.
const grace = 15 * time.Second

// Run serves until ctx ends, then lets what runs come to its end: receivers first, so
// that nothing is taken that is not kept, engines last. Its error is why it could not
// begin, or what failed on the way out.
func (s *Service) Run(ctx context.Context) error {
	c := s.config()
	link, err := s.server.FirstStart(ctx)
	if err != nil {
		return err
	}
	if s.o.LinkFor != "" {
		if link, err = s.server.LoginLink(ctx, s.o.LinkFor); err != nil {
			return fmt.Errorf("make a link for %s: %w", s.o.LinkFor, err)
		}
	}
	token, err := s.firstToken(ctx, link != "" && s.o.LinkFor == "")
	if err != nil {
		return err
	}
	if err := s.openTenants(ctx, c); err != nil {
		return err
	}
	cert, err := s.certificate(c.TLS, c.Listen)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if err := server.CheckListen(c.Listen, cert != nil, c.Insecure); err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w; choose another address with listen", err)
	}
	if _, port, _ := net.SplitHostPort(c.Listen); port == "0" { // the system chose one
		c.Listen = l.Addr().String()
	}
	if err := s.tellPeople(c); err != nil {
		return errors.Join(err, l.Close())
	}
	outer, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, 3)
	serve := func(what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(outer); err != nil && outer.Err() == nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	serve("serve", func(ctx context.Context) error { return s.server.Serve(ctx, l, cert, grace) })
	if a := c.Metrics.Listen; a != "" {
		serve("metrics.listen", func(ctx context.Context) error {
			return serveOn(ctx, a, promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
		})
	}
	if a := c.Debug.Pprof; a != "" {
		serve("debug.pprof", func(ctx context.Context) error { return serveOn(ctx, a, profiles()) })
	}
	for _, r := range s.listen {
		wg.Go(func() { s.runReceiver(outer, r) })
	}
	wg.Go(func() { s.upkeep(outer) })
	if s.o.Welcome != nil {
		s.o.Welcome(Welcome{URL: s.url(c), Link: link, Token: token})
	}
	tellSystemd("READY=1\nSTATUS=ready at " + s.url(c))
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	tellSystemd("STOPPING=1")
	stop()
	wg.Wait()
	return err
}

// serveOn serves a handler at an address of its own.
func serveOn(ctx context.Context, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	x := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	defer context.AfterFunc(ctx, func() { x.Close() })() //nolint:errcheck // nothing is lost
	if err := x.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// openTenants makes the tenants that the configuration names and opens all there are.
func (s *Service) openTenants(ctx context.Context, c config.Config) error {
	for _, t := range c.Tenants {
		err := s.control.CreateTenant(ctx, store.Tenant{ID: t.ID, Name: t.Name, Created: s.o.Now()})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	all, err := s.control.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Disabled {
			continue
		}
		if err := s.Create(ctx, t.ID); err != nil {
			return err
		}
	}
	return nil
}

// firstToken makes a token with which evidence can be sent, at the very first start.
func (s *Service) firstToken(ctx context.Context, first bool) (string, error) {
	if !first {
		return "", nil
	}
	l, err := s.control.Tokens(ctx, store.TokenFilter{Kind: store.IngestToken, Limit: 1})
	if err != nil || len(l) > 0 {
		return "", err
	}
	return s.server.FirstIngestToken(ctx)
}

// tellPeople starts the worker that tells people, and ends the one before.
func (s *Service) tellPeople(c config.Config) error {
	allowed, err := respond.Networks(c.Notify.AllowInner)
	if err != nil {
		return err
	}
	dial := respond.NewDialer(allowed)
	w, err := respond.NewWorker(s.outbox, respond.Options{
		Notify: c.Notify, BaseURL: s.url(c), Clean: report.Clean, Log: s.log,
		Env: respond.Environment{Client: respond.NewClient(dial), Dial: dial, Now: s.o.Now},
	})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	s.mu.Lock()
	old := s.worker
	s.mu.Unlock()
	if old != nil {
		old.stop()
	}
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	s.mu.Lock()
	s.worker = &telling{w, func() { stop(); <-done }}
	s.mu.Unlock()
	return nil
}

// Bounds of what is done from time to time.
const (
	upkeepEvery = 10 * time.Second
	trimEvery   = time.Minute
	burnEvery   = time.Minute
	changesKept = 30 * 24 * time.Hour // who reads changes slower has missed some, and is told so
)

// upkeep does what is due from time to time until ctx ends.
func (s *Service) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	var trimmed, judged time.Time
	burning := map[string]bool{}
	for {
		if err := s.server.Flush(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("decisions wait to be told to the engine", "cause", err)
		}
		now := s.o.Now()
		if now.Sub(judged) >= burnEvery {
			judged = now
			s.judge(ctx, now, burning)
		}
		if now.Sub(trimmed) >= trimEvery {
			trimmed = now
			s.trim(ctx, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// judge has people told of objectives that begin to burn.
func (s *Service) judge(ctx context.Context, now time.Time, burning map[string]bool) {
	for _, o := range s.config().Notify.Objectives {
		for _, t := range s.tenants() {
			b, err := t.judge(ctx, o, now)
			if err != nil {
				if ctx.Err() == nil {
					s.log.Warn("an objective cannot be judged", "objective", o.Name, "cause", err)
				}
				continue
			}
			k := t.id + "/" + o.Name
			if b.Burns && !burning[k] {
				if _, err := t.cases.AddChanges(ctx, model.Change{Time: now, Kind: model.ObjectiveBurns, Source: "objective " + o.Name, Severity: model.Severity(o.Severity), Detail: b.Text()}); err != nil {
					s.log.Warn("an objective burns and nobody can be told", "objective", o.Name, "cause", err)
					continue
				}
			}
			burning[k] = b.Burns
		}
	}
}

// trim lets go of what is kept no longer.
func (s *Service) trim(ctx context.Context, now time.Time) {
	r := s.config().Retention
	for _, t := range s.tenants() {
		k, err := t.events.Maintain(ctx, store.Retention{Age: time.Duration(r.Events), Bytes: int64(r.EventsBytes)})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("what is kept no longer could not be removed", "tenant", t.id, "cause", err)
		}
		keep := store.CasesRetention{Changes: now.Add(-changesKept)}
		if r.Alerts > 0 {
			keep.Alerts = now.Add(-time.Duration(r.Alerts))
		}
		if r.Incidents > 0 {
			keep.Incidents = now.Add(-time.Duration(r.Incidents))
		}
		if _, err := t.cases.Prune(ctx, keep); err != nil && ctx.Err() == nil {
			s.log.Warn("what is kept no longer could not be removed", "tenant", t.id, "cause", err)
		}
		if k.Dropped > 0 {
			s.log.Info("old events were removed", "tenant", t.id, "events", k.Rows, "bytes", k.Bytes)
		}
	}
}

// Reload takes over what of a configuration can change while it runs, and says which
// settings did and which wait for a restart.
func (s *Service) Reload(ctx context.Context, c config.Config) (taken, restart []string, err error) {
	tellSystemd("RELOADING=1")
	defer tellSystemd("READY=1")
	old := s.config()
	taken, restart = config.Diff(old, c)
	next := old
	next.Rules, next.Notify, next.Retention, next.Log.Level = c.Rules, c.Notify, c.Retention, c.Log.Level
	opt, err := Configured(next, s.o.Version)
	if err != nil {
		return nil, nil, err
	}
	a, err := New(opt) // the files may have changed though their names did not
	if err != nil {
		return nil, nil, err
	}
	if err := s.tellPeople(next); err != nil {
		return nil, nil, errors.Join(err, s.tellPeople(old))
	}
	s.mu.Lock()
	s.cfg, s.app = next, a
	s.mu.Unlock()
	for _, t := range s.tenants() {
		t.mu.Lock()
		off, _, err := t.off(ctx)
		x := a
		if err == nil && len(off) > 0 {
			x, err = s.appOf(off)
		}
		if err == nil && x.engine.Digest() != t.rules().engine.Digest() {
			err = t.use(ctx, x)
		}
		t.mu.Unlock()
		if err != nil {
			return taken, restart, fmt.Errorf("tenant %s: %w", t.id, err)
		}
	}
	return taken, restart, nil
}

// people is what the server asks of those who tell people.
type people struct{ s *Service }

// Targets are those of the configuration.
func (p people) Targets(context.Context) []server.NotifyTarget {
	out := []server.NotifyTarget{}
	for _, t := range p.s.config().Notify.Targets {
		out = append(out, server.NotifyTarget{Name: t.Name, Kind: t.Kind})
	}
	return out
}

// Test sends a test message to a target.
func (p people) Test(ctx context.Context, tenant, target string) error {
	p.s.mu.Lock()
	w := p.s.worker
	p.s.mu.Unlock()
	if w == nil || !slices.ContainsFunc(p.Targets(ctx), func(t server.NotifyTarget) bool { return t.Name == target }) {
		return server.ErrNotFound
	}
	return w.Test(ctx, target, tenant)
}

// Close ends the engines and lets go of all files. It is called once, after Run.
func (s *Service) Close() error {
	s.creating.Lock()
	s.mu.Lock()
	s.ending = true
	w := s.worker
	s.mu.Unlock()
	s.creating.Unlock()
	s.stop()
	if w != nil {
		w.stop()
	}
	s.engines.Wait()
	s.outbox.remove()
	var errs []error
	for _, t := range s.tenants() {
		errs = append(errs, t.close())
	}
	if s.bus != nil {
		errs = append(errs, s.bus.Close())
	}
	if s.control != nil {
		errs = append(errs, s.control.Close())
	}
	return errors.Join(errs...)
}
