package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A memorySink keeps what it takes; fail, if set, is asked first.
type memorySink struct {
	mu      sync.Mutex
	batches []model.Batch
	fail    func(n int, b model.Batch) error // n is how often the sink was called before
	calls   int
}

func (m *memorySink) take(_ context.Context, b model.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.calls
	m.calls++
	if m.fail != nil {
		if err := m.fail(n, b); err != nil {
			return err
		}
	}
	m.batches = append(m.batches, b)
	return nil
}

func (m *memorySink) all() []model.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]model.Batch(nil), m.batches...)
}

// data is what all batches hold, one after the other.
func (m *memorySink) data() string {
	var b strings.Builder
	for _, x := range m.all() {
		b.Write(x.Data)
	}
	return b.String()
}

var errFull = errors.New("queue full")

func TestPushedBack(t *testing.T) {
	for _, c := range []struct {
		err   error
		after time.Duration
		ok    bool
	}{
		{nil, 0, false},
		{errFull, 0, false},
		{Later(errFull, 0), time.Second, true},
		{fmt.Errorf("publish: %w", Later(errFull, 7*time.Second)), 7 * time.Second, true},
		{Later(errFull, time.Hour), time.Minute, true},
		{fmt.Errorf("publish: %w", context.Canceled), time.Second, true},
	} {
		after, ok := pushedBack(c.err)
		if after != c.after || ok != c.ok {
			t.Errorf("pushedBack(%v) = %v, %v; want %v, %v", c.err, after, ok, c.after, c.ok)
		}
	}
	if !errors.Is(Later(errFull, 0), errFull) {
		t.Error("the cause of a push-back is lost")
	}
}

func TestDeliverTriesUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		m := &memorySink{fail: func(n int, _ model.Batch) error {
			if n < 5 {
				return Later(errFull, 0)
			}
			return nil
		}}
		if err := deliver(t.Context(), m.take, model.Batch{Data: []byte("x")}, &c); err != nil {
			t.Fatal(err)
		}
		if got := c.Stats(); got.PushedBack != 5 || got.LastError != "queue full" || m.calls != 6 {
			t.Errorf("stats %+v after %d calls", got, m.calls)
		}
		m.fail = func(int, model.Batch) error { return errFull }
		if err := deliver(t.Context(), m.take, model.Batch{}, &c); !errors.Is(err, errFull) {
			t.Errorf("a batch that will never be taken: %v", err)
		}
		m.fail = func(int, model.Batch) error { return Later(errFull, 0) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := deliver(ctx, m.take, model.Batch{}, &c); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deliver outlived its context: %v", err)
		}
	})
}

func TestCountersForgetOldPeers(t *testing.T) {
	var c Counters
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 3 * maxPeers {
		c.Took(model.Batch{Peer: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Received: start.Add(time.Duration(i) * time.Second), Data: []byte("ab")}, 1)
	}
	s := c.Stats()
	if len(s.Peers) > maxPeers || len(s.Peers) < maxPeers/2 {
		t.Errorf("%d peers are kept", len(s.Peers))
	}
	if s.Records != 3*maxPeers || s.Bytes != 6*maxPeers || !s.LastSeen.Equal(s.Peers[0].LastSeen) || s.Peers[0].Peer != "10.0.11.255" {
		t.Errorf("stats %d records, %d bytes, newest %+v", s.Records, s.Bytes, s.Peers[0])
	}
}

func TestCountersCleanWhatTheyShow(t *testing.T) {
	var c Counters
	c.Refused(2, errors.New("bad \x1b[31m token "+strings.Repeat("x", 10_000)))
	s := c.Stats()
	if s.Refused != 2 || strings.ContainsRune(s.LastError, 0x1b) || len(s.LastError) > 2*maxCause {
		t.Errorf("refused %d, last error %q", s.Refused, s.LastError)
	}
}

func TestLimitsAreBounded(t *testing.T) {
	l := Limits{Record: 1 << 30, BatchBytes: 1 << 30}.WithDefaults()
	if l.Record+l.BatchBytes > MaxBatch || l.Connections == 0 || l.Slow == 0 {
		t.Errorf("limits %+v", l)
	}
}
