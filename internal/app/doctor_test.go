package app

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/config"
)

// examine returns what the doctor says of each thing.
func examine(t *testing.T, d Doctor) map[string]Finding {
	t.Helper()
	d.Now = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	out := map[string]Finding{}
	for _, f := range d.Examine(t.Context()) {
		if old, ok := out[f.Name]; !ok || old.State == Healthy {
			out[f.Name] = f
		}
		if f.State == Broken && f.Do == "" && f.Name != "rules" && !strings.HasPrefix(f.Name, "notify") {
			t.Errorf("%s: %s: and what to do?", f.Name, f.Text)
		}
	}
	return out
}

func TestDoctor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	good := filepath.Join(dir, "a.log")
	if err := os.WriteFile(good, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Data = filepath.Join(dir, "not", "yet")
	c.Listen = "127.0.0.1:0"
	c.Receivers.OTLP.GRPC = l.Addr().String() // taken
	c.Receivers.Follow = []config.Follow{{Name: "f", Paths: []string{good, filepath.Join(dir, "*.none")}}}
	c.TLS = config.TLS{Cert: good, Key: good}
	c.Bus.URLs = []string{"nats://user:hush@127.0.0.1:1"}
	c.Rules.Dirs = []string{filepath.Join(dir, "no-rules-here")}
	c.Notify.Targets = []config.Target{{Name: "t", Kind: "pagerduty"}}
	got := examine(t, Doctor{Config: c})
	for name, want := range map[string]Health{
		"process": Worrying, "tls": Broken, "receivers.otlp.grpc": Broken, "listen": Healthy, "receivers.follow[0]": Worrying,
		"bus.urls": Broken, "rules": Broken, "notify.targets t": Broken, "notify.routes": Worrying,
	} {
		if got[name].State != want {
			t.Errorf("%s is %+v, not %s", name, got[name], want)
		}
	}
	if strings.Contains(got["bus.urls"].Text, "hush") {
		t.Errorf("a password is shown: %s", got["bus.urls"].Text)
	}
	if _, err := os.Stat(c.Data); err == nil {
		t.Error("the doctor made the data folder")
	}
}

// A process that answers is asked whether it is ready.
func TestDoctorLive(t *testing.T) {
	ready := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		if !ready {
			http.Error(w, "catching up", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	c := config.Default()
	c.Listen = strings.TrimPrefix(s.URL, "http://")
	if f := examine(t, Doctor{Config: c, Live: true})["process"]; f.State != Healthy {
		t.Errorf("%+v", f)
	}
	ready = false
	if f := examine(t, Doctor{Config: c, Live: true})["process"]; f.State != Broken || !strings.Contains(f.Text, "catching up") {
		t.Errorf("%+v", f)
	}
	s.Close()
	if f := examine(t, Doctor{Config: c, Live: true})["process"]; f.State != Broken || !strings.Contains(f.Do, "catena serve") {
		t.Errorf("%+v", f)
	}
}
