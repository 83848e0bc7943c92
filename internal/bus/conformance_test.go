package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// conformance is what every queue must do. open gives one that is empty; it is
// closed by the test's cleanup.
func conformance(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T, o Options) *Bus)
	}{
		{"each message once and in order", eachOnce},
		{"starts at any position", anyStart},
		{"an id that was there is dropped, wherever one starts", duplicates},
		{"a frame that is stored twice counts once", storedTwice},
		{"waits for what comes", waits},
		{"the error of the consumer ends it", consumerError},
		{"full, and emptied", full},
		{"what is gone is told", gap},
		{"numbers go on after a lost end", advance},
		{"tenants are apart", tenants},
		{"sizes are bounded", sizes},
		{"what is no frame is handed on as such", foreign},
		{"one leads", leads},
		{"closing", closing},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// text makes a message of a decision, the kind does not matter here.
func text(body string) Message {
	return Message{Kind: KindDecision, Time: time.Unix(1_700_000_000, 5).UTC(), Body: []byte(body)}
}

func publish(t *testing.T, b *Bus, tenant string, m Message) uint64 {
	t.Helper()
	pos, err := b.Publish(t.Context(), tenant, m)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return pos
}

var errEnough = errors.New("enough")

// read returns n deliveries from a position on, and fails when there are fewer within
// some seconds.
func read(t *testing.T, b *Bus, tenant string, from uint64, n int) []Delivery {
	t.Helper()
	ds, err := tryRead(t, b, tenant, from, n)
	if err != nil {
		t.Fatalf("consume from %d: %v after %d of %d messages", from, err, len(ds), n)
	}
	return ds
}

func tryRead(t *testing.T, b *Bus, tenant string, from uint64, n int) ([]Delivery, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var ds []Delivery
	err := b.Consume(ctx, tenant, from, func(d Delivery) error {
		if ds = append(ds, d); len(ds) == n {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return ds, err
}

func bodies(ds []Delivery) (s []string) {
	for _, d := range ds {
		s = append(s, string(d.Body))
	}
	return s
}

func eachOnce(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	const publishers, each = 16, 60
	var mu sync.Mutex
	at := map[uint64]string{}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				body := fmt.Sprintf("%02d %04d", p, i)
				pos, err := b.Publish(t.Context(), "acme", text(body))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				at[pos] = body
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(at) != publishers*each {
		t.Fatalf("%d positions of %d messages", len(at), publishers*each)
	}
	last, next := uint64(0), map[string]int{}
	for _, d := range read(t, b, "acme", 0, publishers*each) {
		if d.Position <= last {
			t.Fatalf("position %d after %d", d.Position, last)
		}
		last = d.Position
		if at[d.Position] != string(d.Body) {
			t.Fatalf("at %d stands %q, its publisher was told of %q", d.Position, d.Body, at[d.Position])
		}
		var i int
		var p string
		if _, err := fmt.Sscanf(string(d.Body), "%s %d", &p, &i); err != nil {
			t.Fatalf("body %q: %v", d.Body, err)
		}
		if next[p] != i {
			t.Fatalf("of publisher %s message %d came when %d was next", p, i, next[p])
		}
		next[p]++
		if want := text(""); d.Kind != want.Kind || !d.Time.Equal(want.Time) || d.ID != "" || d.Err != nil || d.Stored.IsZero() {
			t.Fatalf("delivery %+v", d)
		}
	}
	s, err := b.Stats(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if s.Frames == 0 || s.Frames >= publishers*each || s.Bytes == 0 || s.Last != last || s.First > last {
		t.Errorf("stats %+v: frames are shared by %d messages, the last at %d", s, publishers*each, last)
	}
}

func anyStart(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { publish(t, b, "acme", text(fmt.Sprint(i))) })
	}
	wg.Wait()
	all := read(t, b, "acme", 0, 200)
	for range 10 {
		i := rand.IntN(len(all))
		got := read(t, b, "acme", all[i].Position, len(all)-i)
		if !slices.Equal(bodies(got), bodies(all[i:])) {
			t.Fatalf("from message %d at %d: %v, want %v", i, all[i].Position, bodies(got), bodies(all[i:]))
		}
	}
}

func duplicates(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	var want []string
	for i := range 60 {
		m := text(fmt.Sprint(i))
		m.ID = fmt.Sprint("id ", i%20)
		publish(t, b, "acme", m)
		if i < 20 {
			want = append(want, string(m.Body))
		}
	}
	end := publish(t, b, "acme", text("end"))
	want = append(want, "end")
	all := read(t, b, "acme", 0, len(want))
	if !slices.Equal(bodies(all), want) || all[3].ID != "id 3" {
		t.Fatalf("got %v (id %q), want %v", bodies(all), all[3].ID, want)
	}
	for i := range all {
		got := read(t, b, "acme", all[i].Position+1, max(1, len(want)-i-1))
		if i+1 == len(all) {
			t.Fatalf("after the end came %v", bodies(got))
		}
		if !slices.Equal(bodies(got), want[i+1:]) {
			t.Fatalf("after message %d: %v", i, bodies(got))
		}
		if got[0].Position == end {
			return // one more would wait for what never comes
		}
	}
}

// JetStream knows a frame that is sent again for two minutes of its clock. When the
// clock jumps it does not, and consumers know it all the same.
func storedTwice(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	publish(t, b, "acme", text("a")) // makes the stream
	m := text("b")
	frame := appendMessage(nil, &m, b.madeID())
	for range 2 {
		if _, err := b.js.Publish(t.Context(), subject("acme"), frame); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, "acme", text("c"))
	ds := read(t, b, "acme", 0, 3)
	if got := bodies(ds); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("read %v", got)
	}
	if got := read(t, b, "acme", ds[1].Position+1, 1); string(got[0].Body) != "c" {
		t.Errorf("who begins behind the first reads %q", got[0].Body)
	}
}

func waits(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	got := make(chan Delivery)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, "acme", 0, func(d Delivery) error { got <- d; return nil })
	}()
	for i := range 5 {
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		began := time.Now()
		pos := publish(t, b, "acme", text(fmt.Sprint(i)))
		select {
		case d := <-got:
			if d.Position != pos {
				t.Fatalf("position %d, want %d", d.Position, pos)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a message did not come within 5 s")
		}
		if d := time.Since(began); i > 0 && d > 2*time.Second {
			t.Errorf("a message took %v", d)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("consume ended with %v", err)
	}
}

func consumerError(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	publish(t, b, "acme", text("a"))
	publish(t, b, "acme", text("b"))
	// An error that looks like one of the queue's is the consumer's own all the same.
	want := &Error{Kind: ErrUnavailable}
	n := 0
	err := b.Consume(t.Context(), "acme", 0, func(Delivery) error { n++; return want })
	if !errors.Is(err, want) || n != 1 {
		t.Errorf("%v after %d messages, want %v after one", err, n, want)
	}
}

func noise(n int) []byte {
	body := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(body)
	return body
}

func full(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{MaxBytes: 1 << 20})
	body := noise(100 << 10)
	var acknowledged []uint64
	for len(acknowledged) < 20 {
		pos, err := b.Publish(t.Context(), "acme", Message{Kind: KindBatch, Body: body})
		if err != nil {
			var e *Error
			if !errors.Is(err, ErrFull) || !errors.As(err, &e) || !e.Temporary() || e.RetryAfter() <= 0 {
				t.Fatalf("full: %v", err)
			}
			break
		}
		acknowledged = append(acknowledged, pos)
	}
	if n := len(acknowledged); n < 8 || n > 10 {
		t.Fatalf("%d messages of 100 KiB in 1 MiB", n)
	}
	ds := read(t, b, "acme", 0, len(acknowledged))
	for i, d := range ds {
		if d.Position != acknowledged[i] || !bytes.Equal(d.Body, body) {
			t.Fatalf("message %d at %d, want %d", i, d.Position, acknowledged[i])
		}
	}
	if err := b.Purge(t.Context(), "acme", acknowledged[4]); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "acme", Message{Kind: KindBatch, Body: body})
	if got := read(t, b, "acme", acknowledged[4], len(acknowledged)-4+1); got[0].Position != acknowledged[4] {
		t.Errorf("what is not below stays: first is %d, want %d", got[0].Position, acknowledged[4])
	}
}

func gap(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{MaxBytes: 1 << 20})
	var at []uint64
	for range 8 {
		at = append(at, publish(t, b, "acme", Message{Kind: KindBatch, Body: noise(100 << 10)}))
	}
	if err := b.Purge(t.Context(), "acme", at[5]); err != nil {
		t.Fatal(err)
	}
	ds, err := tryRead(t, b, "acme", at[2], 1)
	var g *GapError
	if !errors.As(err, &g) || len(ds) > 0 || g.Want != at[2] || Frame(g.Have) != Frame(at[5]) {
		t.Fatalf("%v after %d messages, want a gap from %d to %d", err, len(ds), at[2], at[5])
	}
	if got := read(t, b, "acme", g.Have, 3); got[0].Position != at[5] {
		t.Errorf("goes on at %d, want %d", got[0].Position, at[5])
	}

	// One in the middle, as of a damaged disk, is told when the reader comes to it.
	s, err := b.js.Stream(t.Context(), streamName("acme"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), Frame(at[6])); err != nil {
		t.Fatal(err)
	}
	ds, err = tryRead(t, b, "acme", at[5], 3)
	if !errors.As(err, &g) || len(ds) != 1 || g.Want != frameStart(Frame(at[6])) || g.Have != frameStart(Frame(at[7])) {
		t.Fatalf("%v after %d messages, want one and a gap from %d to %d", err, len(ds), at[6], at[7])
	}
}

func advance(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	a := publish(t, b, "acme", text("a"))
	if from, err := b.Advance(t.Context(), "acme", a); err != nil || from != a+1 {
		t.Fatalf("advance to what is there: %d, %v", from, err)
	}
	reached := position(Frame(a)+7, 3, 9) // as if more had been read and then was lost
	_, err := tryRead(t, b, "acme", reached+1, 1)
	var r *RewindError
	if !errors.As(err, &r) || r.Want != reached+1 || Frame(r.Last) != Frame(a) {
		t.Fatalf("%v, want that the stream ends at %d", err, a)
	}
	from, err := b.Advance(t.Context(), "acme", reached)
	if err != nil || from <= reached {
		t.Fatalf("advance: %d, %v", from, err)
	}
	pos := publish(t, b, "acme", text("b"))
	if got := read(t, b, "acme", from, 1); string(got[0].Body) != "b" {
		t.Errorf("read %q", got[0].Body)
	}
	if pos <= reached || Frame(pos) != Frame(from) {
		t.Errorf("published at %d, want it in the frame that begins at %d", pos, from)
	}
	// Who has read all there was is not told of a gap when it went.
	s, err := b.js.Stream(t.Context(), streamName("acme"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "acme", text("c"))
	if got := read(t, b, "acme", pos+1, 1); string(got[0].Body) != "c" {
		t.Errorf("read %q", got[0].Body)
	}
	if err := b.Purge(t.Context(), "acme", pos+1); err != nil {
		t.Fatal(err)
	}
}

func tenants(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	publish(t, b, "acme", text("of acme"))
	publish(t, b, "bolt-2", text("of bolt"))
	for tenant, want := range map[string]string{"acme": "of acme", "bolt-2": "of bolt"} {
		if got := read(t, b, tenant, 0, 1); string(got[0].Body) != want {
			t.Errorf("%s reads %q", tenant, got[0].Body)
		}
	}
	if got, err := b.Tenants(t.Context()); err != nil || !slices.Equal(got, []string{"acme", "bolt-2"}) {
		t.Errorf("tenants %v, %v", got, err)
	}
	if err := b.DeleteTenant(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteTenant(t.Context(), "acme"); err != nil {
		t.Errorf("deleted twice: %v", err)
	}
	if got, err := b.Tenants(t.Context()); err != nil || !slices.Equal(got, []string{"bolt-2"}) {
		t.Errorf("tenants %v, %v", got, err)
	}
	publish(t, b, "acme", text("anew"))
	if got := read(t, b, "acme", 0, 1); string(got[0].Body) != "anew" {
		t.Errorf("a new tenant reads %q", got[0].Body)
	}
	for _, bad := range []string{"", "A", "a.b", "a*", "-a", "a b", "../x", "a>", string(make([]byte, 50))} {
		if _, err := b.Publish(t.Context(), bad, text("x")); !errors.Is(err, ErrTenant) {
			t.Errorf("tenant %q: %v", bad, err)
		}
		if err := b.Consume(t.Context(), bad, 0, nil); !errors.Is(err, ErrTenant) {
			t.Errorf("tenant %q: %v", bad, err)
		}
	}
}

func sizes(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	if _, err := b.Publish(t.Context(), "acme", Message{Body: make([]byte, MaxBody+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := b.Publish(t.Context(), "acme", Message{ID: string(make([]byte, MaxID+1))}); err == nil {
		t.Error("an id of 129 bytes was taken")
	}
	large := noise(MaxBody)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { publish(t, b, "acme", Message{Kind: KindBatch, Body: large}) })
		wg.Go(func() { publish(t, b, "acme", Message{Kind: KindBatch, Body: large[:0]}) })
	}
	wg.Wait()
	n := 0
	for _, d := range read(t, b, "acme", 0, 4) {
		if n += len(d.Body); len(d.Body) > 0 && !bytes.Equal(d.Body, large) {
			t.Error("a large body is not as it was")
		}
	}
	if n != 2*MaxBody {
		t.Errorf("%d bytes of bodies, want %d", n, 2*MaxBody)
	}
}

func foreign(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	publish(t, b, "acme", text("a"))
	if _, err := b.js.Publish(t.Context(), subject("acme"), []byte("not ours")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "acme", text("b"))
	ds := read(t, b, "acme", 0, 3)
	if ds[0].Err != nil || ds[1].Err == nil || string(ds[1].Body) != "not ours" || ds[1].Kind != 0 || ds[2].Err != nil || string(ds[2].Body) != "b" {
		t.Errorf("got %+v", ds)
	}
}

func leads(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{Lease: time.Second})
	ctx, resign := context.WithCancel(t.Context())
	defer resign()
	lost, err := b.Lead(ctx, "acme", "one")
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Lead(t.Context(), "bolt", "two")
	if err != nil {
		t.Fatalf("another tenant has its own: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if _, err := b.Lead(short, "acme", "two"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two lead at once: %v", err)
	}
	select {
	case <-lost:
		t.Fatal("the lease was lost without a rival")
	case <-other:
		t.Fatal("the lease of the other tenant was lost")
	default:
	}
	resign()
	<-lost
	began := time.Now()
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	lost, err = b.Lead(ctx, "acme", "two")
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 900*time.Millisecond {
		t.Errorf("a lease that was given back passed on after %v", d)
	}
	// Who finds another in its place leads no more.
	kv, err := b.leaseKV(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "acme", []byte("three\nelsewhere")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
	case <-time.After(3 * time.Second):
		t.Error("who was replaced still leads")
	}
}

func closing(t *testing.T, open func(t *testing.T, o Options) *Bus) {
	b := open(t, Options{})
	publish(t, b, "acme", text("a"))
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(t.Context(), "acme", 0, func(Delivery) error { return nil }) }()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if _, err := b.Publish(t.Context(), "acme", text("x")); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("publish while closing: %v", err)
					}
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("consume while closing: %v", err)
	}
	if _, err := b.Publish(t.Context(), "acme", text("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("publish after closing: %v", err)
	}
	if _, err := b.Lead(t.Context(), "acme", "one"); !errors.Is(err, ErrClosed) {
		t.Errorf("lead after closing: %v", err)
	}
	if _, err := b.Stats(t.Context(), "acme"); err == nil || errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("stats after closing: %v", err)
	}
}
