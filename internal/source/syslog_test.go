package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// messagesOf feeds text to a framer in reads of some size.
func messagesOf(text string, limit, size int) (messages []string, f *syslogFramer, err error) {
	f = &syslogFramer{max: limit}
	keep := func(m []byte) error { messages = append(messages, string(m)); return nil }
	for at := 0; at < len(text); at += size {
		n := copy(f.room(), text[at:min(at+size, len(text))])
		if err := f.read(n, keep); err != nil {
			return messages, f, err
		}
	}
	if m := f.rest(); len(m) > 0 {
		messages = append(messages, string(m))
	}
	return messages, f, nil
}

func TestSyslogFraming(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		name, in string
		want     []string
		oversize int
		err      bool
	}{
		{"lines", "<1>a\n<2>b\r\n\n<3>c", []string{"<1>a", "<2>b", "<3>c"}, 0, false},
		{"zero bytes", "<1>a\x00<2>b\x00<3>c\n", []string{"<1>a", "<2>b", "<3>c"}, 0, false},
		{"counted", "4 <1>a6 <2>b\nc\n5 <3>dd", []string{"<1>a", "<2>b\nc", "<3>dd"}, 0, false},
		{"counted, line ends behind", "4 <1>a\n4 <2>b\n", []string{"<1>a", "<2>b"}, 0, false},
		{"lines that begin with a number", "42 is the answer\n7 <x>\n", []string{"42 is the answer", "7 <x>"}, 0, false},
		{"no syslog at all", "hello\n", []string{"hello"}, 0, false},
		{"long line", "<1>a\n" + long + "\n<2>b\n", []string{"<1>a", "<2>b"}, 1, false},
		{"long counted", "4 <1>a200 " + long + "4 <2>b", []string{"<1>a", "<2>b"}, 1, false},
		{"count lost", "4 <1>a<2>b\n", []string{"<1>a"}, 0, true},
		{"count without end", "4 <1>a99999999999999999999 ", []string{"<1>a"}, 0, true},
		{"counted, cut off", "4 <1>a9 <2>b", []string{"<1>a"}, 0, false},
	} {
		for _, size := range []int{1, 3, 1000} {
			got, f, err := messagesOf(c.in, 100, size)
			if !slices.Equal(got, c.want) || f.oversize != c.oversize || (err != nil) != c.err {
				t.Errorf("%s by %d: %q, %d too long, %v; want %q", c.name, size, got, f.oversize, err, c.want)
			}
		}
	}
}

func FuzzSyslogFraming(f *testing.F) {
	f.Add("<1>a\n<2>b\x00\n", 3)
	f.Add("4 <1>a6 <2>b\nc\n5 <3>dd", 2)
	f.Add("9999 "+strings.Repeat("x", 50), 7)
	f.Fuzz(func(t *testing.T, text string, size int) {
		a, fa, errA := messagesOf(text, 40, 30_000)
		b, fb, errB := messagesOf(text, 40, 1+max(0, size%100))
		if !slices.Equal(a, b) || (errA == nil) != (errB == nil) || fa.oversize != fb.oversize {
			t.Fatalf("%q %v %d by one read, %q %v %d by many", a, errA, fa.oversize, b, errB, fb.oversize)
		}
		for _, m := range a {
			if len(m) > 40 || len(m) == 0 {
				t.Fatalf("a message of %d bytes", len(m))
			}
		}
	})
}

func newTestSyslog(o SyslogOptions) *Syslog {
	o.Name, o.Tenant, o.Now = "syslog", "acme", fixedNow
	return NewSyslog(o)
}

func TestSyslogTCP(t *testing.T) {
	m := &memorySink{fail: func(n int, _ model.Batch) error {
		if n == 0 {
			return Later(errFull, 0) // the sender does not notice
		}
		return nil
	}}
	s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0"})
	stop := running(t, s, m.take)
	c, err := net.Dial("tcp", s.Addrs(t.Context())[0].String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "<1>one\n<2>two\n<3>un")
	eventually(t, "whole messages after the delay", func() bool { return m.data() == "<1>one\n<2>two\n" })
	fmt.Fprintf(c, "der way\n<4>last")
	eventually(t, "the message that was under way", func() bool { return strings.HasSuffix(m.data(), "<3>under way\n") })
	c.Close()
	eventually(t, "the message without an end", func() bool { return strings.HasSuffix(m.data(), "<4>last\n") })
	for _, b := range m.all() {
		if b.Tenant != "acme" || b.Source != "syslog" || b.Peer != "127.0.0.1" {
			t.Errorf("batch of %q, %q, %q", b.Tenant, b.Source, b.Peer)
		}
	}
	if st := s.Stats(); st.Records != 4 || st.PushedBack != 1 || st.Dropped != 0 {
		t.Errorf("stats %+v", st)
	}
	stop()
}

// TestSyslogTrickle: a sender that never pauses for the delay is handed on all the
// same.
func TestSyslogTrickle(t *testing.T) {
	m := &memorySink{}
	s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0", Limits: Limits{BatchDelay: 50 * time.Millisecond}})
	stop := running(t, s, m.take)
	c, err := net.Dial("tcp", s.Addrs(t.Context())[0].String())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		fmt.Fprintf(c, "<1>x\n")
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(m.all()); n < 2 {
		t.Errorf("%d batches in 250 ms", n)
	}
	c.Close()
	stop()
	if s.Stats().Records != 50 {
		t.Errorf("%d records", s.Stats().Records)
	}
}

// TestSyslogHandsOnAtTheEnd: what was read when the engine stops is not lost.
func TestSyslogHandsOnAtTheEnd(t *testing.T) {
	m := &memorySink{}
	s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0", UDP: "127.0.0.1:0", Limits: Limits{BatchDelay: time.Hour}})
	stop := running(t, s, m.take)
	addrs := s.Addrs(t.Context())
	u, err := net.Dial("udp", addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addrs[1].String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(u, "<1>datagram")
	fmt.Fprintf(c, "<2>line\n")
	eventually(t, "the connection", func() bool { return s.Stats().Connections == 1 })
	time.Sleep(100 * time.Millisecond) // for both to be read; nothing outside shows it
	stop()
	if got := m.data(); !strings.Contains(got, "<1>datagram\n") || !strings.Contains(got, "<2>line\n") {
		t.Errorf("kept %q", got)
	}
	c.Close()
	u.Close()
}

func TestSyslogTLSWithCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate, which here is the sender's too
	pair, roots := server.TLS.Certificates[0], x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()
	m := &memorySink{}
	s := newTestSyslog(SyslogOptions{TLSListen: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}})
	stop := running(t, s, m.take)
	addr := s.Addrs(t.Context())[0].String()
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: "example.com", Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "7 <1>safe") // what comes of it shows below
	c.Close()
	// The test's certificate is not made for clients: a server that checks says so.
	eventually(t, "the sender to be refused or heard", func() bool { return m.data() != "" || s.Stats().Refused > 0 })
	if m.data() != "" && m.data() != "<1>safe\n" {
		t.Errorf("kept %q", m.data())
	}
	refused := s.Stats().Refused
	bare, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if err == nil {
		_, _ = io.WriteString(bare, "7 <1>bare") // what comes of it shows below
		bare.Close()
	}
	eventually(t, "a sender without a certificate to be refused", func() bool { return s.Stats().Refused > refused })
	if strings.Contains(m.data(), "bare") || !strings.Contains(s.Stats().LastError, "TLS") {
		t.Errorf("kept %q, %q", m.data(), s.Stats().LastError)
	}
	stop()
}

func TestSyslogBoundsPeers(t *testing.T) {
	s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0", Limits: Limits{PeerConnections: 3, Slow: 50 * time.Millisecond, Idle: 200 * time.Millisecond}})
	stop := running(t, s, (&memorySink{}).take)
	addr := s.Addrs(t.Context())[0].String()
	var conns []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	eventually(t, "connections beyond the limit to be closed", func() bool { return s.Stats().Refused == 17 })
	for _, c := range conns {
		fmt.Fprintf(c, "<1>under way") // and never ended
	}
	eventually(t, "slow senders to be closed", func() bool { return s.Stats().Refused == 20 })
	if !strings.Contains(s.Stats().LastError, "under way") {
		t.Error(s.Stats().LastError)
	}
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a silent connection ended with %v", err)
	}
	for _, c := range append(conns, silent) {
		c.Close()
	}
	stop()
}

func TestSyslogUDP(t *testing.T) {
	m := &memorySink{}
	s := newTestSyslog(SyslogOptions{UDP: "127.0.0.1:0"})
	stop := running(t, s, m.take)
	c, err := net.Dial("udp", s.Addrs(t.Context())[0].String())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		fmt.Fprintf(c, "<1>n=%d\nsecond line\n", i)
	}
	fmt.Fprintf(c, "\n") // nothing
	eventually(t, "all datagrams", func() bool { return s.Stats().Records == 100 })
	if !strings.HasPrefix(m.data(), "<1>n=0 second line\n<1>n=1 second line\n") {
		t.Errorf("kept %.60q", m.data())
	}
	if p := s.Stats().Peers; len(p) != 1 || p[0].Peer != "127.0.0.1" || p[0].Records != 100 {
		t.Errorf("peers %+v", p)
	}
	c.Close()
	stop()
}

// TestSyslogBoundsWhatConnectionsKeep: unfinished messages of many connections end
// with those connections, not with the memory.
func TestSyslogBoundsWhatConnectionsKeep(t *testing.T) {
	s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0"})
	s.held.Store(syslogHeld) // as others would
	stop := running(t, s, (&memorySink{}).take)
	addr := s.Addrs(t.Context())[0].String()
	small, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(small, "<1>x\n")
	eventually(t, "a small message", func() bool { return s.Stats().Records == 1 })
	large, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(large, "%s", strings.Repeat("x", 100<<10))
	eventually(t, "the one that keeps much to be closed", func() bool { return s.Stats().Refused == 1 })
	small.Close()
	large.Close()
	eventually(t, "what they kept to be given back", func() bool { return s.held.Load() == syslogHeld })
	stop()
}

func TestSyslogAllowsNetworks(t *testing.T) {
	for _, c := range []struct {
		network string
		records int64
	}{{"127.0.0.0/8", 2}, {"10.0.0.0/8", 0}} {
		s := newTestSyslog(SyslogOptions{UDP: "127.0.0.1:0", TCP: "127.0.0.1:0", Allow: []netip.Prefix{netip.MustParsePrefix(c.network)}})
		stop := running(t, s, (&memorySink{}).take)
		for _, addr := range s.Addrs(t.Context()) {
			conn, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "<1>x\n")
			conn.Close()
		}
		eventually(t, "both to be counted", func() bool { st := s.Stats(); return st.Records+st.Refused+st.Dropped == 2 })
		if st := s.Stats(); st.Records != c.records {
			t.Errorf("%s: %+v", c.network, st)
		}
		stop()
	}
}

// TestSyslogUDPTellsWhatItDrops: each datagram that was sent is taken, or counted as
// dropped by us or by the kernel.
func TestSyslogUDPTellsWhatItDrops(t *testing.T) {
	block := make(chan struct{})
	s := newTestSyslog(SyslogOptions{UDP: "127.0.0.1:0", Limits: Limits{BatchBytes: 2000, BatchDelay: time.Millisecond}})
	stop := running(t, s, func(ctx context.Context, b model.Batch) error { <-block; return nil })
	c, err := net.Dial("udp", s.Addrs(t.Context())[0].String())
	if err != nil {
		t.Fatal(err)
	}
	const sent = 3000
	message := "<1>" + strings.Repeat("x", 900)
	for range sent {
		if _, err := io.WriteString(c, message); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "drops", func() bool { return s.Stats().Dropped > 0 })
	close(block)
	eventually(t, "all to be counted", func() bool { st := s.Stats(); return st.Records+st.Dropped == sent })
	if st := s.Stats(); st.Records == 0 || st.LastError == "" {
		t.Errorf("stats %+v", st)
	}
	c.Close()
	stop()
}

func BenchmarkSyslog(b *testing.B) {
	line := "<38>1 2026-01-02T03:04:05Z web1 sshd 12 - - " + strings.Repeat("word ", 30) + "\n"
	for _, network := range []string{"tcp", "udp"} {
		b.Run(network, func(b *testing.B) {
			var taken atomic.Int64
			sink := func(_ context.Context, x model.Batch) error {
				taken.Add(int64(bytes.Count(x.Data, []byte("\n"))))
				return nil
			}
			s := newTestSyslog(SyslogOptions{TCP: "127.0.0.1:0", UDP: "127.0.0.1:0"})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx, sink) }()
			addr := s.Addrs(ctx)[map[string]int{"udp": 0, "tcp": 1}[network]]
			c, err := net.Dial(network, addr.String())
			if err != nil {
				b.Fatal(err)
			}
			text, per := []byte(line), 1
			if network == "tcp" {
				text, per = bytes.Repeat(text, 100), 100
			}
			b.ResetTimer()
			sent := 0
			for sent < b.N {
				if _, err := c.Write(text); err != nil {
					b.Fatal(err)
				}
				sent += per
			}
			for st := s.Stats(); st.Records+st.Dropped < int64(sent); st = s.Stats() {
				time.Sleep(time.Millisecond)
			}
			b.ReportMetric(float64(s.Stats().Records)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(s.Stats().Dropped)/float64(sent)*100, "%dropped")
			c.Close()
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}
