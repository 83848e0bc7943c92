package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/catena-sec/catena/internal/model"
)

func fakeKafka(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "logs")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *kfake.Cluster, values []string, opts ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("logs"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var rs []*kgo.Record
	for i, v := range values {
		rs = append(rs, &kgo.Record{Key: []byte{byte(i)}, Value: []byte(v)})
	}
	if err := client.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// testCertificates are the two ends of a TLS connection to 127.0.0.1.
func testCertificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

func newTestKafka(t *testing.T, o KafkaOptions) *Kafka {
	t.Helper()
	o.Name, o.Tenant, o.Topics, o.FromStart = "queue", "acme", []string{"logs"}, true
	k, err := NewKafka(o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func linesOf(text string) []string {
	ls := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(ls)
	return ls
}

func TestKafkaHandsOnEachRecordOnce(t *testing.T) {
	c := fakeKafka(t)
	var want []string
	for i := range 500 {
		want = append(want, fmt.Sprintf(`{"n":%04d}`, i))
	}
	produce(t, c, want[:200])
	sink := new(memorySink)
	for part := range 3 { // each time another process, of the same group
		k := newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs()})
		stop := beside(t, k, sink.take, "kgo.(*Client).", "source.(*Kafka)")
		n := []int{200, 350, 500}[part]
		if part > 0 {
			produce(t, c, want[[]int{0, 200, 350}[part]:n])
		}
		eventually(t, fmt.Sprintf("%d records", n), func() bool { return strings.Count(sink.data(), "\n") >= n })
		stop()
		if s := k.Stats(); s.Records != int64([]int{200, 150, 150}[part]) || s.Refused != 0 {
			t.Errorf("part %d: %+v", part, s)
		}
	}
	if got := linesOf(sink.data()); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d: %.300v", len(got), len(want), got)
	}
	ids := map[string]bool{}
	for _, b := range sink.all() {
		if b.Tenant != "acme" || b.Source != "queue" || !strings.HasPrefix(b.Peer, "logs/") || b.ID == "" || ids[b.ID] {
			t.Errorf("batch %+v", b)
		}
		ids[b.ID] = true
	}
}

// What is not on disk is not committed: a process that dies meanwhile is followed by
// one that reads it again, under the same id.
func TestKafkaCommitsAfterTheSink(t *testing.T) {
	c := fakeKafka(t)
	produce(t, c, []string{`{"a":1}`})
	var refusedID atomic.Value
	k := newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs()})
	stop := beside(t, k, func(_ context.Context, b model.Batch) error {
		refusedID.Store(b.ID)
		return Later(errFull, 0)
	}, "kgo.(*Client).", "source.(*Kafka)")
	eventually(t, "push-back", func() bool { return k.Stats().PushedBack > 0 })
	stop()
	sink := new(memorySink)
	k = newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs()})
	stop = beside(t, k, sink.take, "kgo.(*Client).", "source.(*Kafka)")
	eventually(t, "the record", func() bool { return len(sink.all()) > 0 })
	stop()
	if b := sink.all()[0]; string(b.Data) != "{\"a\":1}\n" || b.ID != refusedID.Load() {
		t.Errorf("batch %+v, want id %v", b, refusedID.Load())
	}
}

// What will never be taken does not stand in the way.
func TestKafkaGoesOnAfterWhatIsRefused(t *testing.T) {
	c := fakeKafka(t, kfake.SeedTopics(1, "logs"))
	long := `{"long":"` + strings.Repeat("x", 5000) + `"}`
	sink := &memorySink{fail: func(_ int, b model.Batch) error {
		if strings.Contains(string(b.Data), "poison") {
			return errors.New("never")
		}
		return nil
	}}
	k := newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs(), Limits: Limits{Record: 4000}})
	stop := beside(t, k, sink.take, "kgo.(*Client).", "source.(*Kafka)")
	for _, v := range []string{`{"poison":1}`, long, "", "two\nlines", `[{"a":1},{"a":2}]`, "{\n\"pretty\": 1\n}"} {
		produce(t, c, []string{v})
	}
	eventually(t, "the last", func() bool { return strings.Contains(sink.data(), "pretty") })
	stop()
	want := []string{"lines", "two", `{ "pretty": 1 }`, `{"a":1}`, `{"a":2}`}
	if got := linesOf(sink.data()); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
	if s := k.Stats(); s.Refused != 2 || s.Records != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestKafkaPassesOverWhatUnpacksToTooMuch(t *testing.T) {
	c := fakeKafka(t, kfake.SeedTopics(1, "logs"))
	produce(t, c, []string{"before"})
	produce(t, c, []string{strings.Repeat("a", 500<<10)}, kgo.ProducerBatchCompression(kgo.GzipCompression()))
	produce(t, c, []string{"after"})
	k := newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs()})
	k.unpacked = 64 << 10
	sink := new(memorySink)
	stop := beside(t, k, sink.take, "kgo.(*Client).", "source.(*Kafka)")
	eventually(t, "what comes after", func() bool { return sink.data() == "before\nafter\n" })
	stop()
	if s := k.Stats(); s.Refused != 1 || !strings.Contains(s.LastError, "logs/0") {
		t.Errorf("stats %+v", s)
	}
}

func TestKafkaWithTLSAndPassword(t *testing.T) {
	server, client := testCertificates(t)
	c := fakeKafka(t, kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "right"), kfake.Superuser("PLAIN", "p", "plain"))
	produce(t, c, []string{"a"}, kgo.DialTLSConfig(client), kgo.SASL(saslplain.Auth{User: "p", Pass: "plain"}.AsMechanism()))
	for _, o := range []KafkaOptions{
		{Brokers: c.ListenAddrs(), TLS: client, User: "u", Password: "right", SASL: "scram-sha-256", Group: "g1"},
		{Brokers: c.ListenAddrs(), TLS: client, User: "p", Password: "plain", Group: "g2"},
	} {
		sink := new(memorySink)
		stop := beside(t, newTestKafka(t, o), sink.take, "kgo.(*Client).", "source.(*Kafka)")
		eventually(t, "the record with "+o.User, func() bool { return sink.data() == "a\n" })
		stop()
	}
	k := newTestKafka(t, KafkaOptions{Brokers: c.ListenAddrs(), TLS: client, User: "u", Password: "wrong", SASL: "scram-sha-256"})
	stop := beside(t, k, new(memorySink).take, "kgo.(*Client).", "source.(*Kafka)")
	eventually(t, "a refused password to be told", func() bool { return k.Stats().LastError != "" })
	stop()
	if _, err := NewKafka(KafkaOptions{Name: "q", Brokers: []string{"a"}, Topics: []string{"b"}, User: "u", SASL: "gssapi"}); err == nil {
		t.Error("an unknown mechanism was taken")
	}
	if _, err := NewKafka(KafkaOptions{Name: "q"}); err == nil {
		t.Error("no brokers were taken")
	}
}

func TestKafkaWithoutBroker(t *testing.T) {
	k := newTestKafka(t, KafkaOptions{Brokers: []string{"127.0.0.1:1"}})
	stop := beside(t, k, new(memorySink).take, "kgo.(*Client).", "source.(*Kafka)")
	eventually(t, "that no broker is there to be told", func() bool { return strings.Contains(k.Stats().LastError, "refused") })
	stop()
}

func BenchmarkKafka(b *testing.B) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "logs"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("logs"))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	record := []byte(`{"time":"2026-03-01T10:00:00Z","message":"` + strings.Repeat("accepted ", 50) + `"}`)
	for range b.N {
		client.Produce(b.Context(), &kgo.Record{Value: record}, nil)
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	k, err := NewKafka(KafkaOptions{Name: "queue", Brokers: c.ListenAddrs(), Topics: []string{"logs"}, FromStart: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	b.SetBytes(int64(len(record)))
	b.ResetTimer()
	err = k.Run(ctx, func(context.Context, model.Batch) error {
		if k.Stats().Records+int64(k.o.Limits.BatchRecords) >= int64(b.N) {
			cancel()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(k.Stats().Records)/b.Elapsed().Seconds(), "records/s")
}
