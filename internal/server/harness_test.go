package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNotify has one target that is there and one that does not answer.
type testNotify struct{}

func (testNotify) Targets(context.Context) []NotifyTarget {
	return []NotifyTarget{{"pager", "pagerduty"}, {"gone", "webhook"}}
}

func (testNotify) Test(_ context.Context, tenant, target string) error {
	switch target {
	case "pager":
		return nil
	case "gone":
		return errors.New("no answer for " + tenant)
	}
	return ErrNotFound
}

// A testClock is a wall clock that a test moves.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A testEngine is an engine that keeps what it is told.
type testEngine struct {
	mu      sync.Mutex
	decided map[string][]model.Decision
	full    bool // its stream takes nothing
	rules   []Rule
	replays []string
}

type errFullStream struct{}

func (errFullStream) Error() string             { return "the stream is full" }
func (errFullStream) RetryAfter() time.Duration { return 2 * time.Second }

func (e *testEngine) Decide(_ context.Context, tenant string, d model.Decision) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full {
		return errFullStream{}
	}
	e.decided[tenant] = append(e.decided[tenant], d)
	return nil
}

func (e *testEngine) told(tenant string) []model.Decision {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]model.Decision(nil), e.decided[tenant]...)
}

func (e *testEngine) Rules(context.Context, string) ([]Rule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Rule(nil), e.rules...), nil
}
func (e *testEngine) RuleSource(_ context.Context, _, id string) (string, error) {
	return "title: " + id + "\n", nil
}
func (e *testEngine) SetRule(_ context.Context, _, id string, on bool, _, _ string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.rules {
		if e.rules[i].ID == id {
			e.rules[i].Enabled = on
		}
	}
	return nil
}
func (e *testEngine) Coverage(context.Context, string) (*report.Coverage, error) {
	return &report.Coverage{AttackVersion: "19.1", Rules: 2, Stages: []model.Stage{model.StageExploitation}, Subsystems: []string{"compute"},
		Matrix: map[model.Stage]map[string]int{model.StageExploitation: {"compute": 2}}}, nil
}
func (e *testEngine) Sources(context.Context, string) ([]Source, error) {
	return []Source{{Name: "http", Kind: "http", State: "active", Records: 3}}, nil
}
func (e *testEngine) Poisoned(_ context.Context, _, after string, limit int) ([]Poisoned, error) {
	var out []Poisoned
	for i := range 3 {
		if id := fmt.Sprintf("b%d", i); id > after && len(out) < limit {
			out = append(out, Poisoned{ID: id, Cause: "it does not end", Source: "http"})
		}
	}
	return out, nil
}
func (e *testEngine) Replay(_ context.Context, _, id string) error {
	if !strings.HasPrefix(id, "b") {
		return ErrNotFound
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replays = append(e.replays, id)
	return nil
}
func (e *testEngine) Objectives(context.Context, string) ([]Objective, error) {
	return []Objective{{Name: "high told", Severity: "high", From: "arrived", To: "noticed", Within: 60, Target: 0.99, Window: 3600, Total: 2, Kept: 2, Burn: []Burn{{300, 0}}}}, nil
}
func (e *testEngine) Health(context.Context) Health {
	return Health{Ready: true, Checks: []HealthCheck{{Name: "stream", OK: true}}}
}

// testTenants are tenants whose stores lie in a folder of the test.
type testTenants struct {
	t   testing.TB
	dir string
	mu  sync.Mutex
	m   map[string]TenantStore
}

func (x *testTenants) Open(id string) (TenantStore, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s, ok := x.m[id]
	return s, ok
}

func (x *testTenants) Create(_ context.Context, id string) error {
	c, err := store.OpenCases(x.dir + "/" + id)
	if err != nil {
		return err
	}
	x.t.Cleanup(func() { _ = c.Close() })
	e, err := store.OpenEvents(x.dir+"/"+id+"/events", store.EventsOptions{Now: time.Now})
	if err != nil {
		return err
	}
	x.t.Cleanup(func() { _ = e.Close() })
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m[id] = TenantStore{Cases: c, Events: e}
	return nil
}

// A world is a server over HTTP with two tenants, one incident in each, and an account of
// each role in the tenant default.
type world struct {
	t       testing.TB
	s       *Server
	web     *httptest.Server
	clock   *testClock
	engine  *testEngine
	tenants *testTenants
	control *store.Control
	// secrets of tokens by role, of the tenant default; of administrators everywhere
	tokens map[Role]string
}

const (
	hostile   = "<script>alert(1)</script>\u202e\x1b[31m'\"&`"
	passphras = "correct horse battery staple"
)

func incidentNo(n int) string { return model.IncidentID(alertNo(n)) }
func alertNo(n int) string    { return model.AlertID("rule-1", fmt.Sprint("e-", n)) }

func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	dir := t.TempDir()
	control, err := store.OpenControl(dir)
	must(t, err)
	t.Cleanup(func() { _ = control.Close() })
	w := &world{t: t, control: control, clock: &testClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		engine:  &testEngine{decided: map[string][]model.Decision{}, rules: []Rule{{ID: "rule-1", Title: hostile, Kind: "rule", Level: model.High, Enabled: true}}},
		tenants: &testTenants{t: t, dir: dir, m: map[string]TenantStore{}}, tokens: map[Role]string{}}
	o := Options{Control: control, Tenants: w.tenants, Engine: w.engine, Version: "test", Local: true, Notify: testNotify{}, Now: w.clock.now, PerSecond: 10_000,
		Reports: []report.Writer{report.JSON(), report.HTML(report.Options{}), report.CSV(), report.Navigator(), report.OCSF(report.Options{}), report.STIX(report.Options{}), report.AttackFlow(report.Options{}), report.Text(report.TextOptions{}, report.Options{})}}
	for _, f := range change {
		f(&o)
	}
	w.s, err = New(o)
	must(t, err)
	w.web = httptest.NewServer(w.s.Handler())
	t.Cleanup(func() {
		w.s.stop()
		w.web.CloseClientConnections()
		w.web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	ctx := t.Context()
	for i, id := range []string{DefaultTenant, "other"} {
		must(t, control.CreateTenant(ctx, store.Tenant{ID: id, Name: id, Created: w.clock.now()}))
		must(t, w.tenants.Create(ctx, id))
		w.incident(id, 1+i, 3)
	}
	for _, r := range Roles() {
		tenant := DefaultTenant
		if r == Administrator {
			tenant = everyTenant
		}
		w.tokens[r] = w.token(string(r), []Grant{{tenant, r}}, "*")
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// incident commits an incident of n alerts, each with one event.
func (w *world) incident(tenant string, no, n int) string {
	w.t.Helper()
	at := w.clock.now().Add(-time.Hour)
	inc := model.Incident{ID: incidentNo(no * 1000), Title: hostile, Severity: model.High, Score: 80, Status: "new", FirstSeen: at, LastSeen: at.Add(time.Minute),
		Root: model.Root{Time: at, Entity: "host:web1", Why: "first"}, Stages: []model.Stage{model.StageExploitation}, Tactics: []string{"execution"}, Techniques: []string{"T1059"},
		Entities: []model.EntityView{{Type: model.Host, Value: "web1", FirstSeen: at, LastSeen: at, Alerts: n}}, Summary: []model.Sentence{{Text: hostile}},
		Steps: []model.Step{{N: 1, Time: at, End: at, Summary: hostile, Alerts: []string{alertNo(no * 1000)}}}}
	var alerts []model.Alert
	ts, _ := w.tenants.Open(tenant)
	var rows []store.Row
	for i := range n {
		id := no*1000 + i
		a := model.Alert{ID: alertNo(id), Time: at.Add(time.Duration(i) * time.Millisecond), Count: 1, Rule: model.RuleInfo{ID: "rule-1", Title: hostile, Level: model.High, Source: "builtin"}, Product: "test",
			Severity: model.High, Stage: model.StageExploitation, Entities: []model.Entity{{Type: model.Host, Value: "web1", Role: model.Target}},
			Evidence: []model.Evidence{{Input: "in", Record: int64(i), ID: fmt.Sprint("e-", id)}}}
		a.End = a.Time
		alerts = append(alerts, a)
		inc.Alerts = append(inc.Alerts, a.ID)
		if i > 0 {
			inc.Links = append(inc.Links, model.Link{From: alerts[0].ID, To: a.ID, Reason: model.SameHost, Shared: "host:web1", Bits: 4, Detail: hostile})
		}
		rows = append(rows, store.Row{ID: fmt.Sprint("e-", id), Time: a.Time, Received: a.Time, Host: "web1", Raw: []byte(hostile + tenant)})
	}
	ev := ts.Events.(*store.Events)
	_, err := ev.Append(w.t.Context(), ev.Position()+1, rows)
	must(w.t, err)
	applied, err := ts.Cases.Applied(w.t.Context())
	must(w.t, err)
	_, _, err = ts.Cases.Commit(w.t.Context(), store.Commit{Offset: applied + 1, Time: w.clock.now(), Alerts: alerts, Incidents: []store.Written{{Incident: inc, Why: "raised"}},
		Changes: []model.Change{{Tenant: tenant, Kind: model.IncidentRaised, Incident: inc.ID, Severity: model.High}}})
	must(w.t, err)
	return inc.ID
}

// account makes an account, with a password if one is given.
func (w *world) account(login, password string, grants []Grant) store.Account {
	w.t.Helper()
	a := store.Account{ID: "u-" + login, Login: login, Name: login, Grants: storedGrants(grants), Created: w.clock.now(), Version: 1}
	if password != "" {
		a.Password = hashWith(password, newSalt())
	}
	must(w.t, w.control.CreateAccount(w.t.Context(), a))
	return a
}

// token makes an account and a token of it that ends in a day.
func (w *world) token(name string, grants []Grant, scopes ...string) string {
	w.t.Helper()
	return w.tokenOf(w.account("svc-"+name, "", grants), name, grants, scopes...)
}

func (w *world) tokenOf(a store.Account, name string, grants []Grant, scopes ...string) string {
	w.t.Helper()
	secret, _ := newSecret(tokenPrefix)
	must(w.t, w.control.CreateToken(w.t.Context(), store.Token{ID: "t-" + name, Digest: store.DigestOf(secret), Kind: store.APIToken, Account: a.ID, Name: name, Scopes: scopes, Grants: storedGrants(grants),
		Created: w.clock.now(), Expires: ptr(w.clock.now().Add(24 * time.Hour))}))
	return secret
}

// An answer of the server.
type got struct {
	status int
	header http.Header
	body   []byte
}

func (g got) json(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(g.body, v); err != nil {
		t.Fatalf("%v in %.300s", err, g.body)
	}
}

// ask makes a request with a token; header is pairs of names and values.
func (w *world) ask(token, method, path string, body any, header ...string) got {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		must(w.t, err)
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.web.URL+path, r)
	must(w.t, err)
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return w.do(http.DefaultClient, req)
}

func (w *world) do(c *http.Client, req *http.Request) got {
	w.t.Helper()
	res, err := c.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(w.t, err)
	return got{res.StatusCode, res.Header, b}
}

// api asks for a path of the API as a role.
func (w *world) api(role Role, method, path string, body any, header ...string) got {
	w.t.Helper()
	return w.ask(w.tokens[role], method, prefix+path, body, header...)
}

func (w *world) want(g got, status int) got {
	w.t.Helper()
	if g.status != status {
		w.t.Fatalf("status %d, want %d: %.400s", g.status, status, g.body)
	}
	return g
}

// A browser keeps cookies and follows no redirect.
type browser struct {
	w *world
	c *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	tr := &http.Transport{}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &browser{w, &http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) get(path string) got {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, b.w.web.URL+path, nil)
	must(b.w.t, err)
	req.Header.Set("Accept", "text/html")
	return b.w.do(b.c, req)
}

func (b *browser) post(path string, form url.Values, header ...string) got {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, b.w.web.URL+path, strings.NewReader(form.Encode()))
	must(b.w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return b.w.do(b.c, req)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func decisionAbout(id string) model.Decision {
	return model.Decision{Kind: model.Comment, Targets: []string{id}, Reason: "seen"}
}
