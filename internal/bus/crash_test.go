package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A process that publishes is killed at random moments, again and again; the next one
// publishes again what was not acknowledged. What was is there, each once.
func TestKilledPublisherLosesNothing(t *testing.T) {
	t.Parallel() // mostly waits
	dir := t.TempDir()
	const series = 8
	next := make([]int, series)
	check := reader{want: make([]int, series)}
	total := rounds(t, 30)
	for round := range total {
		cmd := start(t, "publish", "CATENA_BUS_DIR="+dir, "CATENA_BUS_FROM="+strings.Trim(fmt.Sprint(next), "[]"))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged(t, bufio.NewScanner(out), next, func() {
			time.AfterFunc(time.Duration(rand.IntN(80_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		})
		kill(cmd)
		if t.Failed() {
			return
		}
		// Now and then an engine reads, keeps its position, and lets go what it read.
		if round%6 == 5 || round == total-1 {
			check.all(t, dir, next)
		}
	}
	sum := 0
	for _, n := range next {
		sum += n
	}
	if sum < total {
		t.Errorf("%d messages in %d rounds: the test tests nothing", sum, total)
	}
	t.Logf("%d messages acknowledged in %d rounds, none lost, none twice", sum, total)
}

// reader is an engine that starts, reads all there is, and stops.
type reader struct {
	reached uint64
	want    []int // of each series the next number
}

func (r *reader) all(t *testing.T, dir string, acknowledged []int) {
	t.Helper()
	b, err := Open(t.Context(), Options{Dir: dir, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	from, err := b.Advance(t.Context(), "acme", r.reached)
	if err != nil {
		t.Fatal(err)
	}
	if r.reached > 0 && from != r.reached+1 {
		t.Fatalf("the queue ended before position %d, which was read", r.reached)
	}
	end := publish(t, b, "acme", text("end"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = b.Consume(ctx, "acme", from, func(d Delivery) error {
		r.reached = d.Position
		if d.Position == end {
			return errEnough
		}
		var series, n int
		if _, err := fmt.Sscanf(string(d.Body), "%d %d", &series, &n); err != nil {
			return fmt.Errorf("body %q: %w", d.Body, err)
		}
		if n != r.want[series] {
			return fmt.Errorf("series %d: message %d came when %d was next", series, n, r.want[series])
		}
		r.want[series]++
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	for s, n := range acknowledged {
		// One more may have been written than its publisher heard of.
		if r.want[s] < n || r.want[s] > n+1 {
			t.Errorf("series %d: %d messages read, %d acknowledged", s, r.want[s], n)
		}
	}
	if err := b.Purge(t.Context(), "acme", r.reached); err != nil {
		t.Fatal(err)
	}
}
