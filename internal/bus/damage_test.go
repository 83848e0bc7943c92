package bus

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// written makes a queue of n messages of about 20 KB in dir, closes it and returns
// their positions.
func written(t *testing.T, dir string, n int) []uint64 {
	t.Helper()
	b := openEmbedded(t, Options{Dir: dir})
	defer b.Close()
	var at []uint64
	for i := range n {
		at = append(at, publish(t, b, "acme", numbered(i)))
	}
	return at
}

func numbered(i int) Message {
	return Message{Kind: KindBatch, Body: append(fmt.Appendf(nil, "%d ", i), noise(20<<10)...)}
}

// blocks returns the files that hold the messages of a stream, oldest first.
func blocks(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", streamName("acme"), "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no blocks in %s: %v", dir, err)
	}
	slices.SortFunc(files, func(a, b string) int { return len(a) - len(b) })
	return files
}

// told reads what there is as an engine does that has reached nothing yet, goes on
// after gaps, and returns what was read and how many messages were told missing.
func told(t *testing.T, b *Bus, at []uint64) (read []uint64, missing int) {
	t.Helper()
	end := publish(t, b, "acme", Message{Kind: KindTick})
	from := at[0]
	for {
		err := b.Consume(t.Context(), "acme", from, func(d Delivery) error {
			from = d.Position + 1
			if d.Position == end {
				return errEnough
			}
			i := slices.Index(at, d.Position)
			if d.Kind == KindTick {
				return nil
			}
			if i < 0 || d.Err != nil || !bytes.Equal(d.Body, numbered(i).Body) {
				return fmt.Errorf("at %d stands %.20q: %w", d.Position, d.Body, cmp.Or(d.Err, errors.New("another message")))
			}
			read = append(read, d.Position)
			return nil
		})
		var g *GapError
		switch {
		case errors.Is(err, errEnough):
			return read, missing
		case errors.As(err, &g):
			for _, p := range at {
				if p >= g.Want && p < g.Have {
					missing++
				}
			}
			from = g.Have
		default:
			t.Fatal(err)
		}
	}
}

// Each message is read as it was, or told missing: whatever happened to the files.
func TestDamagedFiles(t *testing.T) {
	t.Parallel() // mostly waits
	const n = 60
	for _, c := range []struct {
		name   string
		lost   int // at most
		damage func(t *testing.T, dir string)
	}{
		{"none", 0, func(*testing.T, string) {}},
		{"the index is gone", 0, func(t *testing.T, dir string) {
			files, _ := filepath.Glob(filepath.Join(filepath.Dir(blocks(t, dir)[0]), "index.db"))
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"the last write was torn", 1, func(t *testing.T, dir string) { truncate(t, last(blocks(t, dir)), 100) }},
		{"the last block lost half of itself", n, func(t *testing.T, dir string) {
			f := last(blocks(t, dir))
			s, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			truncate(t, f, s.Size()/2)
		}},
		{"a bit of the first block is flipped", n, func(t *testing.T, dir string) {
			f := blocks(t, dir)[0]
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/3] ^= 4
			if err := os.WriteFile(f, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"the last block is gone", n, func(t *testing.T, dir string) {
			if err := os.Remove(last(blocks(t, dir))); err != nil {
				t.Fatal(err)
			}
		}},
		{"noise after the last message", 0, func(t *testing.T, dir string) {
			f, err := os.OpenFile(last(blocks(t, dir)), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Write(noise(5000)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			at := written(t, dir, n)
			c.damage(t, dir)
			b := openEmbedded(t, Options{Dir: dir})
			// The engine has kept that it read all.
			from, err := b.Advance(t.Context(), "acme", at[n-1])
			if err != nil {
				t.Fatal(err)
			}
			if pos := publish(t, b, "acme", Message{Kind: KindTick}); pos < from || pos <= at[n-1] {
				t.Errorf("a position was given twice: %d, %d was read", pos, at[n-1])
			}
			kept, missing := told(t, b, at)
			t.Logf("%d read, %d told missing", len(kept), missing)
			if len(kept)+missing != n {
				t.Errorf("%d of %d messages are neither read nor told missing", n-len(kept)-missing, n)
			}
			if missing > c.lost {
				t.Errorf("%d of %d messages are lost", missing, n)
			}
		})
	}
}

func last(files []string) string { return files[len(files)-1] }

func truncate(t *testing.T, file string, off int64) {
	t.Helper()
	s, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, s.Size()-off); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	openEmbedded(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process uses it") || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened twice: %v", err)
	}
}

// The embedded server stops and starts while messages are published and read, as it
// does after a disk was full.
func TestServerThatStartsAgain(t *testing.T) {
	t.Parallel() // mostly waits
	b := openEmbedded(t, Options{})
	publish(t, b, "acme", text("begin"))
	stop := make(chan struct{})
	published := make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				published <- n
				return
			default:
			}
			if _, err := b.Publish(t.Context(), "acme", text(fmt.Sprint(n))); err != nil {
				t.Errorf("publish: %v", err)
				published <- n
				return
			}
			n++
		}
	}()
	consumed := make(chan error, 1)
	next := 0
	go func() {
		consumed <- b.Consume(t.Context(), "acme", 0, func(d Delivery) error {
			switch string(d.Body) {
			case "begin":
				return nil
			case "end":
				return errEnough
			case fmt.Sprint(next):
				next++
				return nil
			}
			return fmt.Errorf("%q came when %d was next", d.Body, next)
		})
	}()
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		if err := b.server.restart(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	n := <-published
	publish(t, b, "acme", text("end"))
	if err := <-consumed; !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if next != n || n < 4 {
		t.Errorf("%d messages read, %d published", next, n)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{}, {Dir: "a", URL: "b"}} {
		if b, err := Open(t.Context(), o); err == nil {
			b.Close()
			t.Errorf("%+v was opened", o)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: file}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

// A disk that becomes full: publishing fails and says so, what was acknowledged stays,
// and when there is room it goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel() // mostly waits
	for _, c := range []struct {
		name    string
		minFree int64
	}{
		{"before the disk is", 8 << 20},
		// Without the reserve JetStream meets the end of the disk and stops itself.
		{"because the disk is", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDisk(t)
			b := openEmbedded(t, Options{Dir: filepath.Join(dir, "queue"), MinFree: c.minFree, Patience: 2 * time.Second})
			var at []uint64
			var err error
			for len(at) < 4000 && err == nil {
				var pos uint64
				if pos, err = b.Publish(t.Context(), "acme", numbered(len(at))); err == nil {
					at = append(at, pos)
				}
			}
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrFull) && c.minFree > 1 {
				t.Fatalf("after %d messages: %v", len(at), err)
			}
			if !errors.Is(err, ErrFull) && !strings.Contains(err.Error(), "no space left") { // found so, or run into
				t.Errorf("the cause is not told: %v", err)
			}
			t.Logf("%d messages, then: %v", len(at), err)
			if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
				t.Fatal(err)
			}
			deadline := time.Now().Add(30 * time.Second)
			for {
				if _, err = b.Publish(t.Context(), "acme", Message{Kind: KindTick}); err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the disk has room again, but: %v", err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			var got []uint64
			end := publish(t, b, "acme", Message{Kind: KindControl})
			err = b.Consume(t.Context(), "acme", at[0], func(d Delivery) error {
				if d.Position == end {
					return errEnough
				}
				if i := slices.Index(at, d.Position); i >= 0 {
					if !bytes.Equal(d.Body, numbered(i).Body) {
						return fmt.Errorf("message %d is not as it was", i)
					}
					got = append(got, d.Position)
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			if !slices.Equal(got, at) {
				t.Errorf("%d messages read of %d acknowledged", len(got), len(at))
			}
		})
	}
}

// smallDisk mounts a file system of 48 MiB of which a file called ballast takes 24.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("no root, who alone can mount a small file system: where CI is root it runs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system to be had: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 24<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
