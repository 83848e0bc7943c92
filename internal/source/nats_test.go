package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/catena-sec/catena/internal/model"
)

func startNATS(t *testing.T, o server.Options) (s *server.Server, conn *nats.Conn, url string) {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream = "127.0.0.1", true, true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	stop := func() { s.Shutdown(); s.WaitForShutdown() }
	t.Cleanup(stop)
	if conn, err = nats.Connect(s.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return s, conn, s.ClientURL()
}

func makeStream(t *testing.T, conn *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}}); err != nil {
		t.Fatal(err)
	}
	return js
}

func newTestNATS(t *testing.T, o NATSOptions) *NATS {
	t.Helper()
	o.Name, o.Tenant, o.Subject = "my.queue", "acme", "logs.>"
	n, err := NewNATS(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNATSStreamHandsOnEachMessageOnce(t *testing.T) {
	_, conn, url := startNATS(t, server.Options{})
	js := makeStream(t, conn)
	sink := new(memorySink)
	var want []string
	for part := range 3 { // each time another process
		n := newTestNATS(t, NATSOptions{URLs: []string{url}, Stream: "LOGS"})
		stop := beside(t, n, sink.take, "source.(*NATS)")
		for i := range 300 {
			want = append(want, fmt.Sprintf(`{"n":"%d %04d"}`, part, i))
			if _, err := js.Publish(t.Context(), "logs.web", []byte(want[len(want)-1])); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all messages", func() bool { return strings.Count(sink.data(), "\n") >= len(want) })
		stop()
		if s := n.Stats(); s.Records != 300 || s.Refused+s.Dropped != 0 {
			t.Errorf("stats %+v", s)
		}
	}
	if got := linesOf(sink.data()); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for _, b := range sink.all() {
		if b.Tenant != "acme" || b.Source != "my.queue" || b.Peer != "logs.>" || b.ID == "" {
			t.Errorf("batch %+v", b)
		}
	}
}

func TestNATSAcknowledgesAfterTheSink(t *testing.T) {
	_, conn, url := startNATS(t, server.Options{})
	js := makeStream(t, conn)
	if _, err := js.Publish(t.Context(), "logs.a", []byte("line")); err != nil {
		t.Fatal(err)
	}
	n := newTestNATS(t, NATSOptions{URLs: []string{url}, Stream: "LOGS", AckWait: time.Second})
	calls := 0
	stop := beside(t, n, func(context.Context, model.Batch) error { calls++; return Later(errFull, 0) }, "source.(*NATS)")
	eventually(t, "push-back for longer than AckWait", func() bool { return n.Stats().PushedBack >= 6 })
	stop()
	sink := new(memorySink)
	stop = beside(t, newTestNATS(t, NATSOptions{URLs: []string{url}, Stream: "LOGS"}), sink.take, "source.(*NATS)")
	eventually(t, "the message", func() bool { return sink.data() != "" })
	time.Sleep(50 * time.Millisecond)
	stop()
	if got := sink.data(); got != "line\n" {
		t.Errorf("taken %q", got)
	}
}

func TestNATSGoesOnAfterWhatIsRefused(t *testing.T) {
	_, conn, url := startNATS(t, server.Options{})
	js := makeStream(t, conn)
	sink := &memorySink{fail: func(_ int, b model.Batch) error {
		if strings.Contains(string(b.Data), "poison") {
			return errors.New("never")
		}
		return nil
	}}
	n := newTestNATS(t, NATSOptions{URLs: []string{url}, Stream: "LOGS", Limits: Limits{Record: 1000, BatchDelay: time.Millisecond}})
	stop := beside(t, n, sink.take, "source.(*NATS)")
	for _, m := range []string{"poison", strings.Repeat("x", 2000), "last"} {
		if _, err := js.Publish(t.Context(), "logs.a", []byte(m)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // a batch each
	}
	eventually(t, "the last", func() bool { return strings.Contains(sink.data(), "last") })
	stop()
	if s := n.Stats(); s.Refused != 2 || s.Records != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestNATSPlainSubjects(t *testing.T) {
	_, conn, url := startNATS(t, server.Options{})
	sink := new(memorySink)
	n := newTestNATS(t, NATSOptions{URLs: []string{url}})
	stop := beside(t, n, sink.take, "source.(*NATS)")
	// What comes before there is a subscription is lost.
	eventually(t, "the subscription", func() bool {
		if err := conn.Publish("logs.b", []byte("begin")); err != nil {
			t.Fatal(err)
		}
		return sink.data() != ""
	})
	for i := range 1000 {
		if err := conn.Publish("logs.a", fmt.Appendf(nil, "line %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the lines", func() bool { return strings.Count(sink.data(), "line") == 1000 })
	stop()
	for _, b := range sink.all() {
		if b.ID != "" {
			t.Errorf("batch %+v has an id, though nothing tells it from another", b)
		}
	}
}

// A server that is not there, comes, goes and comes again.
func TestNATSOutlivesItsServer(t *testing.T) {
	dir := t.TempDir()
	s, conn, url := startNATS(t, server.Options{StoreDir: dir})
	js := makeStream(t, conn)
	port := s.Addr().String()
	sink := new(memorySink)
	n := newTestNATS(t, NATSOptions{URLs: []string{url}, Stream: "LOGS"})
	stop := beside(t, n, sink.take, "source.(*NATS)")
	if _, err := js.Publish(t.Context(), "logs.a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first", func() bool { return strings.Contains(sink.data(), "one") })
	s.Shutdown()
	s.WaitForShutdown()
	var p int
	if _, err := fmt.Sscanf(port[strings.LastIndex(port, ":")+1:], "%d", &p); err != nil {
		t.Fatal(err)
	}
	_, conn, _ = startNATS(t, server.Options{StoreDir: dir, Port: p})
	if js, _ = jetstream.New(conn); js == nil {
		t.Fatal("no client")
	}
	if _, err := js.Publish(t.Context(), "logs.a", []byte("two")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second", func() bool { return strings.Contains(sink.data(), "two") })
	stop()
}

func TestNATSTellsWhatIsWrong(t *testing.T) {
	_, _, url := startNATS(t, server.Options{})
	for _, c := range []struct {
		o    NATSOptions
		want string
	}{
		{NATSOptions{URLs: []string{url}, Stream: "NONE"}, "make it"},
		{NATSOptions{URLs: []string{"nats://127.0.0.1:1"}}, "refused"},
	} {
		n := newTestNATS(t, c.o)
		stop := beside(t, n, new(memorySink).take, "source.(*NATS)")
		eventually(t, c.want, func() bool { return strings.Contains(n.Stats().LastError, c.want) })
		stop()
	}
	if _, err := NewNATS(NATSOptions{Name: "x"}); err == nil {
		t.Error("no servers were taken")
	}
}
