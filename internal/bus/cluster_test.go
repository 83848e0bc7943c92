package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (c *cluster) open(t *testing.T, o Options) *Bus {
	t.Helper()
	o.URL, o.Log = c.url(), testLog(t)
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// settled waits until the cluster can make a stream of three replicas.
func (c *cluster) settled(t *testing.T, b *Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		once, cancel := context.WithTimeout(ctx, time.Second)
		_, err := b.stream(once, "settled")
		cancel()
		if err == nil {
			t.Logf("settled after %v", time.Since(began).Round(time.Millisecond))
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the cluster does not settle: %v", err)
		}
	}
}

// empty removes what an earlier test made.
func (c *cluster) empty(t *testing.T, b *Bus) {
	t.Helper()
	ts, err := b.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range ts {
		if err := b.DeleteTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.js.DeleteKeyValue(t.Context(), leaseBucket); err != nil && !strings.Contains(err.Error(), "not found") {
		t.Fatal(err)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel() // mostly waits
	c := startCluster(t)
	for i := range c.nodes {
		c.start(i)
	}
	c.settled(t, c.open(t, Options{}))
	t.Run("conformance", func(t *testing.T) {
		conformance(t, func(t *testing.T, o Options) *Bus {
			t.Helper()
			b := c.open(t, o)
			c.empty(t, b)
			return b
		})
	})
	t.Run("an engine that falls silent", c.silentEngine)
	t.Run("killed leaders", c.killedLeaders)
}

// silentEngine: of two processes one leads a tenant, and is cut off. It knows so before
// the other leads.
func (c *cluster) silentEngine(t *testing.T) {
	a, b := c.open(t, Options{Lease: 2 * time.Second}), c.open(t, Options{Lease: 2 * time.Second})
	c.empty(t, a)
	lost, err := a.Lead(t.Context(), "acme", "a")
	if err != nil {
		t.Fatal(err)
	}
	a.conn.Close()
	if _, err := b.Lead(t.Context(), "acme", "b"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
	default:
		t.Error("both lead")
	}
}

// killedLeaders: who leads the stream is killed while messages are published and
// read. What was acknowledged arrives, in order and once.
func (c *cluster) killedLeaders(t *testing.T) {
	b := c.open(t, Options{Patience: 40 * time.Second})
	c.empty(t, b)
	publish(t, b, "acme", text("begin"))
	stop := make(chan struct{})
	var sent [4]atomic.Int64
	var publishing sync.WaitGroup
	for p := range sent {
		publishing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := b.Publish(t.Context(), "acme", text(fmt.Sprintf("%d %d", p, i))); err != nil {
					t.Errorf("publish %d of %d: %v", i, p, err)
					return
				}
				sent[p].Store(int64(i + 1))
				time.Sleep(time.Millisecond)
			}
		})
	}
	consumed := make(chan error, 1)
	var got [4]int
	go func() {
		consumed <- b.Consume(t.Context(), "acme", 0, func(d Delivery) error {
			var p, i int
			switch body := string(d.Body); body {
			case "begin":
				return nil
			case "end":
				return errEnough
			default:
				if _, err := fmt.Sscanf(body, "%d %d", &p, &i); err != nil {
					return fmt.Errorf("body %q: %w", body, err)
				}
			}
			if i != got[p] {
				return fmt.Errorf("of %d came message %d when %d was next", p, i, got[p])
			}
			got[p]++
			return nil
		})
	}()
	for range rounds(t, 1) {
		time.Sleep(500 * time.Millisecond)
		info, err := b.js.Stream(t.Context(), streamName("acme"))
		if err != nil {
			t.Fatal(err)
		}
		leader := info.CachedInfo().Cluster.Leader
		i, err := strconv.Atoi(strings.TrimPrefix(leader, "n"))
		if err != nil {
			t.Fatalf("leader %q", leader)
		}
		before := sent[0].Load()
		kill(c.nodes[i])
		killed := time.Now()
		for sent[0].Load() < before+50 && time.Since(killed) < 40*time.Second && !t.Failed() {
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("%s killed; 50 messages later: %v", leader, time.Since(killed).Round(time.Millisecond))
		c.start(i)
		time.Sleep(500 * time.Millisecond)
	}
	close(stop)
	publishing.Wait()
	publish(t, b, "acme", text("end"))
	select {
	case err := <-consumed:
		if err == nil || err.Error() != errEnough.Error() {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the end was not read within 30 s")
	}
	for p := range got {
		if int64(got[p]) != sent[p].Load() {
			t.Errorf("publisher %d: %d acknowledged, %d read", p, sent[p].Load(), got[p])
		}
	}
	t.Logf("acknowledged and read %v", got)
}
