package source

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/catena-sec/catena/internal/model"
)

// running starts a receiver and returns how to stop it, which waits for its end and
// looks for goroutines it left behind.
func running(t *testing.T, r Receiver, sink Sink) (stop func()) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the receiver does not stop")
		}
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	}
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

func newTestHTTP(p *Push, o HTTPOptions) *HTTP {
	o.Name, o.Listen = "http", "127.0.0.1:0"
	o.Handlers = map[string]func(Sink) http.Handler{"/": p.Handler}
	return NewHTTP(o)
}

func TestHTTPOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	pair, roots := server.TLS.Certificates[0], x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()

	p, m := newTestPush(Limits{}), &memorySink{}
	h := newTestHTTP(p, HTTPOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	stop := running(t, h, m.take)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}}
	r, err := http.NewRequest(http.MethodPost, "https://"+h.Addr(t.Context()).String()+"/push", strings.NewReader("{\"a\":1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer right")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || m.data() != "{\"a\":1}\n" {
		t.Errorf("%s, kept %q", answer.Status, m.data())
	}
	if s := h.Stats(); s.Connections != 1 {
		t.Errorf("%d connections", s.Connections)
	}
	client.CloseIdleConnections()
	stop()
	if s := h.Stats(); s.Connections != 0 {
		t.Errorf("%d connections after the end", s.Connections)
	}
}

// TestHTTPAnswersWhatIsUnderWay: a request that is being taken when the engine stops
// gets its answer.
func TestHTTPAnswersWhatIsUnderWay(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	p := newTestPush(Limits{})
	h := newTestHTTP(p, HTTPOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- h.Run(ctx, func(ctx context.Context, _ model.Batch) error {
			close(inside)
			<-release
			return ctx.Err()
		})
	}()
	status := make(chan int, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodPost, "http://"+h.Addr(t.Context()).String()+"/push", strings.NewReader("x\n"))
		r.Header.Set("Authorization", "Bearer right")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			status <- 0
			return
		}
		answer.Body.Close()
		status <- answer.StatusCode
	}()
	<-inside
	cancel()
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("answered %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestHTTPBoundsConnections(t *testing.T) {
	p := newTestPush(Limits{})
	h := newTestHTTP(p, HTTPOptions{Limits: Limits{Connections: 8, PeerConnections: 5}})
	stop := running(t, h, (&memorySink{}).take)
	addr := h.Addr(t.Context()).String()
	open := 0
	var conns []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	eventually(t, "connections beyond the limit to be closed", func() bool { return h.Stats().Refused == 45 })
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // fails on a closed one, which the read tells
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) || err != nil && !isTimeout(err) {
			continue
		}
		open++
	}
	if open != 5 || h.Stats().Connections != 5 {
		t.Errorf("%d of 50 connections are open, %d are counted", open, h.Stats().Connections)
	}
	for _, c := range conns {
		c.Close()
	}
	stop()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestHTTPEndsSlowSenders: a body that drips in ends with 408, and gives its slot back.
func TestHTTPEndsSlowSenders(t *testing.T) {
	p := newTestPush(Limits{Slow: 100 * time.Millisecond, Requests: 1})
	h := newTestHTTP(p, HTTPOptions{})
	stop := running(t, h, (&memorySink{}).take)
	c, err := net.Dial("tcp", h.Addr(t.Context()).String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nContent-Length: 1000\r\n\r\nx") // the answer tells
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestTimeout {
		t.Errorf("answered %s", answer.Status)
	}
	c.Close()
	if w := send(p.Handler((&memorySink{}).take), "POST", "/push", "x"); w.Code != 200 {
		t.Errorf("the slot is not free: %d", w.Code)
	}
	stop()
}

func TestHTTPSaysWhyItCannotListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := NewHTTP(HTTPOptions{Name: "web", Listen: l.Addr().String()})
	if err := h.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("error %v", err)
	}
}

func TestReadLine(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("one\r\n"+strings.Repeat("x", 100)+"\n\n"+strings.Repeat("y", 40)+"\nlast"), 16)
	var held []byte
	for _, want := range []string{"one", "too large", "", strings.Repeat("y", 40), "last", "EOF"} {
		line, kept, err := readLine(r, held, 50)
		held = kept
		got := string(line)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
