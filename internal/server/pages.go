package server

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

//go:embed pages/*.html pages/*.css
var pageFiles embed.FS

// consoleHint says why there is no console where a binary holds none.
const consoleHint = "it was built without one. The API and these pages need none."

// pages are the pages of our own: plain HTML without script, so that log-in and a look at
// what is open need nothing but a browser.
type pages struct {
	t   *template.Template
	css []byte
}

func newPages() (*pages, error) {
	t, err := template.ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	css, err := pageFiles.ReadFile("pages/page.css")
	return &pages{t, css}, err
}

// show writes a page. Its data is escaped for the place it stands in.
func (s *Server) show(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.t.ExecuteTemplate(&b, name, data); err != nil {
		s.o.Log.Error("a page could not be made", "page", name, "error", err)
		writeProblem(w, http.StatusInternalServerError, "that failed; the administrator finds the cause in the log")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader has gone
}

type messagePage struct{ Title, Text string }

func (s *Server) message(w http.ResponseWriter, status int, title, text string) {
	s.show(w, status, "message", messagePage{title, text})
}

// pageRoutes are the routes that are not the API's.
func (s *Server) pageRoutes(mux *http.ServeMux, wrap func(http.HandlerFunc) http.Handler) {
	add := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, wrap(h)) }
	add("GET /assets/page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(s.pages.css) // the reader has gone
	})
	add("GET /login", s.loginPage)
	add("POST /login", s.fromOurs(s.postLogin))
	add("POST /logout", s.fromOurs(s.postLogout))
	add("GET /welcome/{link}", s.welcomePage)
	add("POST /welcome", s.fromOurs(s.postWelcome))
	add("GET /oidc/{provider}/start", s.oidcStart)
	add("GET /oidc/{provider}/callback", s.oidcCallback)
	add("GET /docs", s.docsPage)
	add("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok\n") })
	add("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !s.o.Engine.Health(r.Context()).Ready {
			plainText(w, http.StatusServiceUnavailable, "not ready\n")
			return
		}
		plainText(w, http.StatusOK, "ready\n")
	})
	if s.o.Gather != nil {
		h := promhttp.HandlerFor(s.o.Gather, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, DisableCompression: true})
		mux.Handle("GET /metrics", s.authenticated(wrap(func(w http.ResponseWriter, r *http.Request) {
			p := principalOf(r.Context())
			if !s.o.OpenMetrics && (p == nil || p.everywhere().rank() == 0 || p.scopes != nil && !scopeAllows(p.scopes, "sources:read")) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				writeProblem(w, http.StatusUnauthorized, "send a token of every tenant with the scope sources:read as Authorization: Bearer")
				return
			}
			h.ServeHTTP(w, r)
		})))
	}
	add("/", s.home)
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the reader has gone
}

// fromOurs takes forms of pages of ours only.
func (s *Server) fromOurs(next http.HandlerFunc) http.HandlerFunc {
	origin := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		if err := origin.Check(r); err != nil {
			s.message(w, http.StatusForbidden, "Not from here", "The form was sent by a page of another origin. Open this server's own page and try again.")
			return
		}
		if err := r.ParseForm(); err != nil {
			s.message(w, http.StatusBadRequest, "Not readable", "The form could not be read.")
			return
		}
		next(w, r)
	}
}

// nextOf is where to go after a log-in: a path of this server, never another one.
func nextOf(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t\x00") {
		return "/"
	}
	return s
}

type loginData struct {
	Title, Problem, Account, Next string
	Local                         bool
	Providers                     []Provider
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.showLogin(w, r, http.StatusOK, loginData{Next: nextOf(r.URL.Query().Get("next"))})
}

func (s *Server) showLogin(w http.ResponseWriter, _ *http.Request, status int, d loginData) {
	d.Title, d.Local, d.Providers = "Log in", s.o.Local, s.o.OIDC
	s.show(w, status, "login", d)
}

func (s *Server) postLogin(w http.ResponseWriter, r *http.Request) {
	d := loginData{Account: clip(r.PostForm.Get("account")), Next: nextOf(r.PostForm.Get("next"))}
	if !s.o.Local {
		s.showLogin(w, r, http.StatusForbidden, d)
		return
	}
	ctx := r.Context()
	address := s.addressOf(r)
	a, err := s.login(ctx, address, r.PostForm.Get("account"), r.PostForm.Get("password"))
	if err == nil {
		err = s.enter(w, r, a, "password")
	}
	if err != nil {
		status := s.failed(w, r, err)
		d.Problem = asStatus(s.loginProblem(ctx, err)).Error()
		s.showLogin(w, r, status, d)
		return
	}
	http.Redirect(w, r, d.Next, http.StatusSeeOther)
}

// failed sets the headers of a log-in that failed and returns its status.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, err error) int {
	p := s.loginProblem(r.Context(), err)
	var h huma.HeadersError
	if errors.As(p, &h) {
		for k, v := range h.GetHeaders() {
			w.Header()[k] = v
		}
	}
	return asStatus(p).GetStatus()
}

// enter makes a session for a browser.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, a store.Account, way string) error {
	k, _, err := s.begin(r.Context(), a, s.addressOf(r).String(), r.UserAgent(), way)
	if err == nil {
		http.SetCookie(w, k)
	}
	return err
}

func (s *Server) postLogout(w http.ResponseWriter, r *http.Request) {
	p, err := s.sessionPrincipal(r.Context(), r)
	if err == nil && p != nil {
		if r.PostForm.Get(csrfField) != p.csrf {
			s.message(w, http.StatusForbidden, "Not logged out", "The page was old. Go to the start and log out from there.")
			return
		}
		err = s.o.Control.DeleteSession(r.Context(), p.digest)
	}
	if err != nil {
		s.o.Log.Error("a session could not be ended", "error", err)
		s.message(w, http.StatusServiceUnavailable, "Not logged out", "That failed; try again.")
		return
	}
	http.SetCookie(w, s.cookie(""))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

type welcomeData struct {
	Title, Problem, Account, Link string
	Least                         int
}

// welcomePage shows the form of a one-time link and leaves the link good: what looks at
// links ahead of people, as mail and chat do, uses none up.
func (s *Server) welcomePage(w http.ResponseWriter, r *http.Request) {
	s.showWelcome(w, r, http.StatusOK, r.PathValue("link"), "")
}

func (s *Server) showWelcome(w http.ResponseWriter, r *http.Request, status int, link, problem string) {
	a, err := s.linked(r, link)
	if err != nil {
		s.linkGone(w, err)
		return
	}
	s.show(w, status, "welcome", welcomeData{"Set a password", problem, a.Login, link, minPassword})
}

func (s *Server) linked(r *http.Request, link string) (store.Account, error) {
	if wait := s.logins.take(addressKey(s.addressOf(r))); wait > 0 {
		return store.Account{}, tooSoon(wait)
	}
	l, err := s.o.Control.PeekLink(r.Context(), store.DigestOf(link), linkPurpose, s.o.Now())
	if err != nil {
		return store.Account{}, err
	}
	a, err := s.o.Control.Account(r.Context(), l.Account)
	if err == nil && a.Disabled {
		err = store.ErrNotFound
	}
	return a, err
}

func (s *Server) linkGone(w http.ResponseWriter, err error) {
	if isNotFound(err) {
		s.message(w, http.StatusNotFound, "This link is no longer good", "It was used, or is older than a day. An administrator makes another; who can run the program on the server makes one by its command line.")
		return
	}
	var soon tooSoon
	if errors.As(err, &soon) {
		s.message(w, http.StatusTooManyRequests, "Too fast", err.Error())
		return
	}
	s.o.Log.Error("a one-time link failed", "error", err)
	s.message(w, http.StatusServiceUnavailable, "That failed", "Try again; the administrator finds the cause in the log.")
}

func (s *Server) postWelcome(w http.ResponseWriter, r *http.Request) {
	ctx, f := r.Context(), r.PostForm
	link, password := f.Get("link"), f.Get("password")
	a, err := s.linked(r, link)
	if err != nil {
		s.linkGone(w, err)
		return
	}
	if password != f.Get("again") {
		s.showWelcome(w, r, http.StatusUnprocessableEntity, link, "The two passwords differ.")
		return
	}
	if err := checkPassword(password, a.Login); err != nil {
		s.showWelcome(w, r, http.StatusUnprocessableEntity, link, err.Error()+".")
		return
	}
	// Of two who use it at once one gets it.
	if _, err := s.o.Control.TakeLink(ctx, store.DigestOf(link), linkPurpose, s.o.Now()); err != nil {
		s.linkGone(w, err)
		return
	}
	if a, err = s.setPassword(ctx, a, password, store.Digest{}); err == nil {
		err = s.o.Control.Audit(ctx, store.AuditRow{Time: s.o.Now(), Actor: a.Login, Action: "set-password", Object: a.ID, Detail: "by one-time link", Address: s.addressOf(r).String()})
	}
	if err == nil {
		err = s.enter(w, r, a, "one-time link")
	}
	if err != nil {
		s.linkGone(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

type homeData struct {
	Title, Version, Account, Tenant, Console, CSRF string
	Ready                                          bool
	Checks                                         []HealthCheck
	Incidents                                      []homeIncident
}

type homeIncident struct{ ID, Severity, Title, Last, Status string }

// home is the console where there is one, and else a page of ours.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeProblem(w, http.StatusMethodNotAllowed, "pages are read")
		return
	}
	if s.o.Console != nil {
		s.console(w, r)
		return
	}
	if r.URL.Path != "/" {
		if wantsPage(r) {
			s.message(w, http.StatusNotFound, "Not found", "There is no such page.")
			return
		}
		writeProblem(w, http.StatusNotFound, "there is no such page")
		return
	}
	p, err := s.sessionPrincipal(r.Context(), r)
	if err != nil {
		s.o.Log.Error("a session could not be read", "error", err)
		s.message(w, http.StatusServiceUnavailable, "That failed", "Try again; the administrator finds the cause in the log.")
		return
	}
	if p == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	h := s.health(r.Context(), p)
	d := homeData{Title: "Start", Version: s.o.Version, Account: p.name, Tenant: p.firstTenant(), Console: consoleHint, CSRF: p.csrf, Ready: h.Ready, Checks: h.Checks}
	if t, ok := s.tenant(r.Context(), p, d.Tenant); ok {
		l, err := t.Cases.Incidents(r.Context(), store.IncidentFilter{Open: ptr(true), Limit: 20})
		if err != nil {
			s.o.Log.Error("incidents could not be listed", "error", err)
		}
		for _, x := range l.Items {
			d.Incidents = append(d.Incidents, homeIncident{x.ID, string(x.Severity), report.Clean(x.Title), x.LastSeen.Format("2006-01-02 15:04:05"), x.Status})
		}
	}
	s.show(w, http.StatusOK, "home", d)
}

// console serves the built console: its files, and its page for every path that is none
// of them, since the page itself knows what to show.
func (s *Server) console(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if info, err := fs.Stat(s.o.Console, name); err != nil || info.IsDir() {
		if strings.HasPrefix(name, "assets/") {
			writeProblem(w, http.StatusNotFound, "there is no such file")
			return
		}
		name = "index.html"
	}
	if strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable") // their names hold their hash
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeFileFS(w, r, s.o.Console, name)
}

type docsData struct {
	Title, Version string
	Groups         []docsGroup
}

type docsGroup struct {
	Name       string
	Operations []route
}

// docsPage lists the operations of the API.
func (s *Server) docsPage(w http.ResponseWriter, _ *http.Request) {
	d := docsData{Title: "API", Version: s.o.Version}
	at := map[string]int{}
	for _, r := range s.routes {
		i, ok := at[r.Tag]
		if !ok {
			i = len(d.Groups)
			at[r.Tag] = i
			d.Groups = append(d.Groups, docsGroup{Name: r.Tag})
		}
		r.Path = prefix + r.Path
		d.Groups[i].Operations = append(d.Groups[i].Operations, r)
	}
	s.show(w, http.StatusOK, "docs", d)
}
