package source

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// beside is running for receivers whose server runs in this process too: of the
// goroutines only those are looked for whose stack names one of ours.
func beside(t *testing.T, r Receiver, sink Sink, ours ...string) (stop func()) {
	t.Helper()
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
			t.Fatal("the receiver does not stop")
		}
		eventually(t, fmt.Sprintf("goroutines of %v to end", ours), func() bool {
			stacks := make([]byte, 1<<20)
			text := string(stacks[:runtime.Stack(stacks, true)])
			for _, o := range ours {
				if strings.Contains(text, o) {
					return false
				}
			}
			return true
		})
	}
}

// FuzzMessage: whatever a message holds, each record handed on is one line within
// bounds.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", "line", "{\"a\":1}", "[{\"a\":1},{\"b\":2}]", "{\"a\":\n1}", "a\r\nb\n\n", "[x", "{\"a\":1}{\"b\":2}\n", strings.Repeat("x", 300)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		sink := new(memorySink)
		limits := Limits{Record: 200, BatchBytes: 300}.WithDefaults()
		p := &packer{sink: sink.take, limits: limits, counts: new(Counters), now: time.Now}
		refused := 0
		if err := addMessage(t.Context(), p, value, func(error) { refused++ }); err != nil {
			t.Fatal(err)
		}
		if err := p.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(sink.data()) {
			if len(line) > 201 || !strings.HasSuffix(line, "\n") {
				t.Fatalf("record of %d bytes: %q", len(line), line)
			}
		}
		if len(strings.TrimSpace(string(value))) > 0 && !strings.ContainsAny(string(value), "\r\n[{") && len(value) < 200 && refused == 0 && sink.data() == "" {
			t.Fatalf("a line was lost: %q", value)
		}
	})
}
