package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/respond"
	"github.com/catena-sec/catena/internal/simulate"
)

// A running is a service in this process, and a person who uses it.
type running struct {
	*Service
	Welcome
	client *http.Client
	stop   func() error
}

// serve starts a service and waits until it listens.
func serve(t *testing.T, c config.Config) *running {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
	begun := make(chan Welcome, 1)
	ctx, stop := context.WithCancel(t.Context())
	r.Service, err = NewService(ctx, ServiceOptions{Config: c, Version: "test", Log: slog.New(slog.DiscardHandler), Welcome: func(w Welcome) { begun <- w }})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		stop()
		err := <-ended
		if e := r.Close(); err == nil {
			err = e
		}
		r.client.CloseIdleConnections()
		return err
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("it did not end well: %v", err)
		}
	})
	select {
	case r.Welcome = <-begun:
	case err := <-ended:
		ended <- err
		t.Fatalf("it did not begin: %v", err)
	}
	return r
}

// send posts evidence and returns the status.
func (r *running) send(t *testing.T, token string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/ingest/push", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// logIn uses the one-time link as a browser does.
func (r *running) logIn(t *testing.T) {
	t.Helper()
	const password = "a quiet place by the river"
	resp, err := r.client.PostForm(r.URL+"/welcome", url.Values{"link": {path.Base(r.Link)}, "username": {"admin"}, "password": {password}, "again": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("the link does not log in: %d %s", resp.StatusCode, b)
	}
}

// get asks the API.
func (r *running) get(t *testing.T, what string, into any) {
	t.Helper()
	resp, err := r.client.Get(r.URL + "/api/v1" + what)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", what, resp.StatusCode, b, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("GET %s: %v", what, err)
	}
}

// listed are incidents as the API lists them, by id.
type listed struct {
	Items []struct {
		ID, Title, Severity string
		Score               int
		Milestones          map[string]time.Time
	}
}

func (r *running) incidents(t *testing.T) listed {
	t.Helper()
	var l listed
	r.get(t, "/incidents?limit=100", &l)
	return l
}

// sentFiles returns the files of a day of the simulator, each whole, in order of name.
func sentFiles(t *testing.T, o simulate.Options) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := simulate.Write(dir, o); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, "evidence"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if strings.HasSuffix(p, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return err
			}
			if b, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		files[p] = b
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// settled waits until all that was sent is folded and kept: nothing waits, and nothing
// moves for a second.
func (r *running) settled(t *testing.T) {
	t.Helper()
	x, err := r.tenant("default")
	if err != nil {
		t.Fatal(err)
	}
	var last [2]uint64
	still := 0
	for range 1200 {
		h := x.live.Health()
		now := [2]uint64{h.Rounds, x.events.Position()}
		if still++; now != last || h.Waiting > 0 || !x.ready.Load() {
			still = 0
		}
		if still == 20 {
			return
		}
		last = now
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("what was sent is not folded after a minute: %+v, events at %d", x.live.Health(), x.events.Position())
}

// From the first start to the story: evidence is sent with the token of the welcome,
// the incident is seen through the API and told to a receiver; after a restart all is as
// it was, and nobody is told again.
func TestServe(t *testing.T) {
	var mu sync.Mutex
	var told []respond.Event
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e respond.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		told = append(told, e)
		mu.Unlock()
	}))
	defer hook.Close()
	c := config.Default()
	c.Data, c.Listen = t.TempDir(), "127.0.0.1:0"
	c.Notify = config.Notify{
		AllowInner: []string{"127.0.0.0/8"},
		Targets:    []config.Target{{Name: "hook", Kind: "webhook", URL: hook.URL, PerMinute: 6000}},
		Routes:     []config.Route{{Name: "all", Targets: []string{"hook"}, Severity: "medium"}},
	}
	files := sentFiles(t, simulate.Options{Seed: 1, Scenarios: []string{"ssh-to-bucket"}})
	r := serve(t, c)
	if r.Link == "" || r.Token == "" {
		t.Fatalf("the first start welcomes with %+v", r.Welcome)
	}
	if code := r.send(t, "cati_wrong", []byte("{}\n")); code != http.StatusUnauthorized {
		t.Errorf("a wrong token gets %d", code)
	}
	start := time.Now()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if code := r.send(t, r.Token, files[name]); code != http.StatusOK {
			t.Errorf("%s: %d", name, code)
		}
	}
	r.settled(t)
	t.Logf("sent and folded in %v", time.Since(start))
	r.logIn(t)
	before := r.incidents(t)
	if len(before.Items) == 0 {
		t.Fatal("no incident")
	}
	for _, x := range before.Items {
		t.Logf("%s %s %d %s", x.ID, x.Severity, x.Score, x.Title)
	}
	worst := before.Items[0]
	var one struct {
		Incident struct{ Summary []struct{ Text string } }
	}
	r.get(t, "/incidents/"+worst.ID, &one)
	if len(one.Incident.Summary) == 0 {
		t.Errorf("the story of %s is empty", worst.ID)
	}
	for i := 0; i < 100 && worst.Milestones["noticed"].IsZero(); i++ {
		time.Sleep(50 * time.Millisecond)
		worst = r.incidents(t).Items[0]
	}
	mu.Lock()
	n := len(told)
	if n == 0 || told[0].Data.Incident == nil || worst.Milestones["noticed"].IsZero() {
		t.Errorf("told %d times, noticed %v", n, worst.Milestones["noticed"])
	}
	mu.Unlock()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	jar := r.client.Jar
	again := serve(t, c)
	if again.Token != "" || again.Link != "" {
		t.Errorf("the second start welcomes as the first: %+v", again.Welcome)
	}
	u, _ := url.Parse(r.URL)
	v, _ := url.Parse(again.URL)
	again.client.Jar.SetCookies(v, jar.Cookies(u))
	again.settled(t)
	after := again.incidents(t)
	if a, b := fmt.Sprint(before.short()), fmt.Sprint(after.short()); a != b {
		t.Errorf("after a restart\n%s, not\n%s", b, a)
	}
	time.Sleep(300 * time.Millisecond) // the worker had its chance
	mu.Lock()
	defer mu.Unlock()
	if len(told) != n {
		t.Errorf("told again after a restart: %d, not %d", len(told), n)
	}
}

// short is what must not change without evidence.
func (l listed) short() []string {
	var out []string
	for _, x := range l.Items {
		out = append(out, fmt.Sprint(x.ID, x.Severity, x.Score, x.Title))
	}
	slices.Sort(out)
	return out
}

// Every receiver brings its evidence to the tenant that it is of, and the API tells how
// much came over which.
func TestServeReceivers(t *testing.T) {
	followed := filepath.Join(t.TempDir(), "auth.log")
	if err := os.WriteFile(followed, []byte("<13>1 2026-03-25T00:00:01Z files sshd - - - from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Data, c.Listen = t.TempDir(), "127.0.0.1:0"
	c.Tenants = []config.Tenant{{ID: "default"}, {ID: "other", Name: "Another"}}
	const secret = "sixteen bytes or more"
	c.Receivers = config.Receivers{
		Syslog:  []config.Syslog{{Name: "lan", Tenant: "other", Network: "tcp", Listen: freeAddress(t)}},
		Follow:  []config.Follow{{Name: "logs", Tenant: "default", Paths: []string{followed}, Begin: "start"}},
		Webhook: []config.Webhook{{Name: "falco", Tenant: "default", Kind: "falco", Secret: secret}},
	}
	r := serve(t, c)
	r.logIn(t)
	conn, err := net.Dial("tcp", c.Receivers.Syslog[0].Listen)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "<13>1 2026-03-25T00:00:02Z wires sshd - - - over syslog\n")
	_ = conn.Close()
	post := func(path, auth, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		req.Header.Set("Content-Type", "application/json")
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
	post("/hooks/falco", "Bearer "+secret, `{"output":"a shell","priority":"Critical","rule":"Terminal shell in container","time":"2026-03-25T00:00:03Z","output_fields":{"container.id":"c1"}}`)
	post("/services/collector/event", "Splunk "+r.Token, `{"event":"<13>1 2026-03-25T00:00:04Z splunks sshd - - - by the collector","time":1774396804}`)
	post("/ingest/_bulk", "Bearer "+r.Token, "{\"create\":{\"_index\":\"logs\"}}\n{\"@timestamp\":\"2026-03-25T00:00:05Z\",\"host\":{\"name\":\"beats\"},\"message\":\"by bulk\"}\n")
	post("/v1/logs", "Bearer "+r.Token, `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"otels"}}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1774396806000000000","body":{"stringValue":"by telemetry"}}]}]}]}`)
	want := map[string][]string{
		"default": {"from a file", "a shell", "by the collector", "by bulk", "by telemetry"},
		"other":   {"over syslog"},
	}
	for tenant, texts := range want {
		for _, text := range texts {
			found := 0
			for range 200 {
				var p struct {
					Items []struct{ Raw, Source string }
				}
				r.get(t, "/events?tenant="+tenant+"&text="+url.QueryEscape(text), &p)
				if found = len(p.Items); found > 0 {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if found != 1 {
				t.Errorf("%s has %d events with %q", tenant, found, text)
			}
		}
	}
	var l struct {
		Items []struct {
			Name, Kind, State string
			Records           int64
		}
	}
	r.get(t, "/sources?tenant=default", &l)
	for _, x := range l.Items {
		t.Logf("%+v", x)
		if x.Name == "lan" {
			t.Error("a tenant sees the receiver of another")
		}
	}
	for _, name := range []string{"logs", "falco"} {
		if !slices.ContainsFunc(l.Items, func(x struct {
			Name, Kind, State string
			Records           int64
		}) bool {
			return x.Name == name && x.State == "active" && x.Records > 0
		}) {
			t.Errorf("nothing came over %s: %+v", name, l.Items)
		}
	}
}

// freeAddress is one that nobody listens at now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
