package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlainHTTPOnLoopbackOnly(t *testing.T) {
	for _, x := range []struct {
		address    string
		tls, plain bool
		ok         bool
	}{
		{"127.0.0.1:8080", false, false, true}, {"[::1]:8080", false, false, true}, {"localhost:8080", false, false, true}, {"127.9.9.9:1", false, false, true},
		{":8080", false, false, false}, {"0.0.0.0:8080", false, false, false}, {"[::]:8080", false, false, false}, {"192.0.2.1:80", false, false, false}, {"catena.example.com:80", false, false, false}, {"localhost.evil.example:80", false, false, false},
		{":8080", true, false, true}, {":8080", false, true, true}, {"8080", true, true, false},
	} {
		if err := CheckListen(x.address, x.tls, x.plain); (err == nil) != x.ok {
			t.Errorf("%+v: %v", x, err)
		}
	}
}

func TestACertificateOfOurOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	clock := &testClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	hosts := []string{"localhost", "127.0.0.1", "catena.example.com"}
	c, err := SelfMade(dir, hosts, clock.now)
	must(t, err)
	leaf := c.cert.Leaf
	for _, h := range hosts {
		must(t, leaf.VerifyHostname(h))
	}
	if info, err := os.Stat(filepath.Join(dir, "self-made.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	again, err := SelfMade(dir, hosts[:2], clock.now)
	must(t, err)
	if again.Fingerprint() != c.Fingerprint() || strings.Count(c.Fingerprint(), ":") != 31 {
		t.Errorf("fingerprints %s and %s", c.Fingerprint(), again.Fingerprint())
	}
	other, err := SelfMade(dir, []string{"other.example.com"}, clock.now)
	must(t, err)
	if other.Fingerprint() == c.Fingerprint() {
		t.Error("no new one for another name")
	}
	clock.add(340 * 24 * time.Hour)
	renewed, err := SelfMade(dir, []string{"other.example.com"}, clock.now)
	must(t, err)
	if renewed.Fingerprint() == other.Fingerprint() {
		t.Error("no new one before its end")
	}
	must(t, os.WriteFile(filepath.Join(dir, "self-made.crt"), []byte("damaged"), 0o600))
	if _, err := SelfMade(dir, hosts, clock.now); err == nil || !strings.Contains(err.Error(), "remove") {
		t.Errorf("a damaged one: %v", err)
	}
}

func TestACertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	clock := &testClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	if _, err := LoadCertificate(cert, key, clock.now); err == nil {
		t.Error("files that are not there are taken")
	}
	must(t, makeCertificate(cert, key, []string{"one.example.com"}, clock.now()))
	c, err := LoadCertificate(cert, key, clock.now)
	must(t, err)
	name := func() string {
		got, err := c.Config().GetCertificate(nil)
		must(t, err)
		return got.Leaf.DNSNames[0]
	}
	if name() != "one.example.com" {
		t.Fatal(name())
	}
	// A later one is taken; one that cannot be read leaves what was, and is told.
	must(t, makeCertificate(cert, key, []string{"two.example.com"}, clock.now()))
	touch(t, cert, clock.now().Add(time.Minute))
	clock.add(certificateEvery)
	if name() != "two.example.com" {
		t.Errorf("after a change: %s", name())
	}
	must(t, os.WriteFile(cert, []byte("half a file"), 0o600))
	touch(t, cert, clock.now().Add(2*time.Minute))
	clock.add(certificateEvery)
	if name() != "two.example.com" {
		t.Errorf("after a bad change: %s", name())
	}
	if end, err := c.Expires(); err == nil || end.IsZero() {
		t.Errorf("ends %v, %v", end, err)
	}
}

func touch(t *testing.T, file string, at time.Time) {
	t.Helper()
	must(t, os.Chtimes(file, at, at))
}

func TestServeOverTLSAndStop(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.TLS = true })
	c, err := SelfMade(t.TempDir(), []string{"127.0.0.1"}, time.Now)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.s.Serve(ctx, l, c.Config(), 5*time.Second) }()

	pool := x509.NewCertPool()
	pool.AddCert(c.cert.Leaf)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	get := func(path string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+path, nil)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+w.tokens[Viewer])
		res, err := client.Do(req)
		must(t, err)
		return res
	}
	res := get("/healthz")
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Errorf("status %d over HTTP/%d", res.StatusCode, res.ProtoMajor)
	}
	// A stream that is open ends when the server stops, which therefore is not held up.
	res = get(prefix + "/changes/stream")
	defer res.Body.Close()
	start := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v to stop", took)
	}
}
