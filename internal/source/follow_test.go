package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// quick are options with which tests need not wait.
func quick(dir string, paths ...string) FollowOptions {
	for i := range paths {
		paths[i] = filepath.Join(dir, paths[i])
	}
	return FollowOptions{
		Name: "files", Tenant: "acme", Paths: paths, Cursors: filepath.Join(dir, "state", "cursors"), Format: byContent,
		Poll: 20 * time.Millisecond, Settle: 150 * time.Millisecond, Now: fixedNow,
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func extend(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// logLines are lines long enough to be known again, from a to b-1.
func logLines(a, b int) string {
	var s strings.Builder
	for i := a; i < b; i++ {
		fmt.Fprintf(&s, "2026-03-04T05:06:07Z host app[1]: message number %d\n", i)
	}
	return s.String()
}

// exactly waits until the sink has text, and looks whether more comes.
func exactly(t *testing.T, m *memorySink, want string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(m.data()) < len(want) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(60 * time.Millisecond)
	if got := m.data(); got != want {
		t.Fatalf("handed on %d bytes, want %d: %s", len(got), len(want), difference(got, want))
	}
}

func difference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	show := func(s string) string { return fmt.Sprintf("%.120q", s[min(i, len(s)):]) }
	return fmt.Sprintf("at %d %s, want %s", i, show(got), show(want))
}

func TestFollowGrowingFiles(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	write(t, log, "one\ntwo\nthr")
	m := &memorySink{fail: func(n int, _ model.Batch) error {
		if n == 0 {
			return Later(errFull, 0)
		}
		return nil
	}}
	f := NewFollow(quick(dir, "app.log", "later/*.log"))
	stop := running(t, f, m.take)
	exactly(t, m, "one\ntwo\n")
	extend(t, log, "ee\n")
	exactly(t, m, "one\ntwo\nthree\n")
	extend(t, log, "no end")
	exactly(t, m, "one\ntwo\nthree\nno end\n")
	write(t, filepath.Join(dir, "later", "new.log"), "new\n")
	exactly(t, m, "one\ntwo\nthree\nno end\nnew\n")
	stop()
	extend(t, log, "\nwhile stopped\n")
	f = NewFollow(quick(dir, "app.log", "later/*.log"))
	stop = running(t, f, m.take)
	exactly(t, m, "one\ntwo\nthree\nno end\nnew\n\nwhile stopped\n")
	stop()
	ids := map[string]bool{}
	for _, b := range m.all() {
		if b.Tenant != "acme" || b.Source != "files" || !strings.HasSuffix(b.Peer, ".log") || b.ID == "" || len(b.ID) > 128 || ids[b.ID] {
			t.Errorf("batch %+v", b)
		}
		ids[b.ID] = true
	}
}

func TestFollowRotation(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths string
		do    func(t *testing.T, log string)
	}{
		{"renamed inside the pattern", "app.log*", func(t *testing.T, log string) { move(t, log, log+".1") }},
		{"renamed outside the pattern", "app.log", func(t *testing.T, log string) { move(t, log, log+".1") }},
		{"copied and truncated, inside", "app.log*", func(t *testing.T, log string) {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			write(t, log+".1", string(text[:len(text)/2]))
			time.Sleep(100 * time.Millisecond) // the copy is seen while it is made
			write(t, log+".1", string(text))
			if err := os.Truncate(log, 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"copied and truncated, outside", "app.log", func(t *testing.T, log string) {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			write(t, log+".1", string(text))
			if err := os.Truncate(log, 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"deleted", "app.log", func(t *testing.T, log string) {
			if err := os.Remove(log); err != nil {
				t.Fatal(err)
			}
		}},
		{"renamed and compressed", "app.log*", func(t *testing.T, log string) {
			move(t, log, log+".1")
			time.Sleep(100 * time.Millisecond)
			text, err := os.ReadFile(log + ".1")
			if err != nil {
				t.Fatal(err)
			}
			write(t, log+".1.gz", gzipped(string(text)))
			if err := os.Remove(log + ".1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(400 * time.Millisecond) // until it is taken for complete
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			log := filepath.Join(dir, "app.log")
			write(t, log, logLines(0, 50))
			m := &memorySink{}
			stop := running2(t, NewFollow(quick(dir, c.paths)), m.take)
			exactly(t, m, logLines(0, 50))
			c.do(t, log)
			time.Sleep(50 * time.Millisecond)
			extend(t, log, logLines(50, 60))
			exactly(t, m, logLines(0, 60))
			stop()
			// Known after a restart as well.
			stop = running2(t, NewFollow(quick(dir, c.paths)), m.take)
			extend(t, log, logLines(60, 70))
			exactly(t, m, logLines(0, 70))
			time.Sleep(300 * time.Millisecond) // what settles is not read again
			exactly(t, m, logLines(0, 70))
			stop()
		})
	}
}

// running2 is running without looking for goroutines, which those of parallel tests
// would be.
func running2(t *testing.T, r Receiver, sink Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestFollowRotationWhileStopped: what was written between the last read and the
// rotation is read though both came while nobody looked.
func TestFollowRotationWhileStopped(t *testing.T) {
	for _, paths := range []string{"app.log", "app.log*"} {
		for _, copied := range []bool{false, true} {
			if copied && paths == "app.log" {
				continue // the copy is where nobody was told to look
			}
			dir := t.TempDir()
			log := filepath.Join(dir, "app.log")
			write(t, log, logLines(0, 50))
			m := &memorySink{}
			stop := running(t, NewFollow(quick(dir, paths)), m.take)
			exactly(t, m, logLines(0, 50))
			stop()
			extend(t, log, logLines(50, 60))
			if copied {
				write(t, log+".1", logLines(0, 60))
				write(t, log, logLines(60, 70)) // the same inode
			} else {
				move(t, log, log+".1")
				write(t, log, logLines(60, 70))
			}
			stop = running(t, NewFollow(quick(dir, paths)), m.take)
			eventually(t, "all lines", func() bool { return len(m.data()) >= len(logLines(0, 70)) })
			time.Sleep(400 * time.Millisecond)
			stop()
			got := m.data()
			for i := range 70 {
				if strings.Count(got, fmt.Sprintf("number %d\n", i)) != 1 {
					t.Fatalf("%s, copied %v: line %d comes %d times", paths, copied, i, strings.Count(got, fmt.Sprintf("number %d\n", i)))
				}
			}
		}
	}
}

// TestFollowBanner: a log that begins after rotation as it always does is no copy.
func TestFollowBanner(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	banner := strings.Repeat("the same words at every start\n", 60)
	write(t, log, banner+logLines(0, 10))
	m := &memorySink{}
	stop := running(t, NewFollow(quick(dir, "app.log*")), m.take)
	exactly(t, m, banner+logLines(0, 10))
	move(t, log, log+".1")
	write(t, log, banner)
	exactly(t, m, banner+logLines(0, 10)+banner)
	// Truncated and begun anew with more than there was.
	write(t, log, logLines(100, 200))
	exactly(t, m, banner+logLines(0, 10)+banner+logLines(100, 200))
	stop()
}

func TestFollowHeads(t *testing.T) {
	dir := t.TempDir()
	iis := filepath.Join(dir, "u_ex.log")
	write(t, iis, "#Software: x\n#Fields: date time\n2026 a\n")
	write(t, filepath.Join(dir, "table.csv"), "time,name\n1,\"two\nlines\"\n2,x\n")
	m := &memorySink{}
	o := quick(dir, "*.log", "*.csv")
	stop := running(t, NewFollow(o), m.take)
	eventually(t, "both files", func() bool { return len(m.all()) == 2 })
	extend(t, iis, "2026 b\n#Software: x\n#Fields: date ip\n2026 c\n")
	eventually(t, "two batches more", func() bool { return len(m.all()) == 4 })
	stop()
	stop = running(t, NewFollow(o), m.take)
	extend(t, iis, "2026 d\n")
	eventually(t, "the last one", func() bool { return len(m.all()) == 5 })
	stop()
	got := map[string]bool{}
	for _, b := range m.all() {
		got[string(b.Head)+"|"+string(b.Data)] = true
	}
	for _, want := range []string{
		"time,name\n|1,\"two\nlines\"\n2,x\n", "#Software: x\n#Fields: date time\n|2026 a\n", "#Software: x\n#Fields: date time\n|2026 b\n",
		"#Software: x\n#Fields: date ip\n|2026 c\n", "#Software: x\n#Fields: date ip\n|2026 d\n",
	} {
		if !got[want] {
			t.Errorf("no batch %q among %v", want, got)
		}
	}
}

func TestFollowWholeFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.gz"), gzipped(logLines(0, 5)))
	write(t, filepath.Join(dir, "b.zst"), zstded("{\"b\":1}\n{\"b\":2}\n"))
	write(t, filepath.Join(dir, "c.json"), "{\"Records\":[{\"c\":1},{\"c\":2}]}")
	write(t, filepath.Join(dir, "d.json"), "[{\"d\":\n1}\n]")
	m := &memorySink{}
	o := quick(dir, "*.*")
	f := NewFollow(o)
	stop := running(t, f, m.take)
	want := []string{logLines(0, 5), "{\"b\":1}\n{\"b\":2}\n", "{\"c\":1}\n{\"c\":2}\n", "{\"d\": 1}\n"}
	eventually(t, "all files", func() bool { return len(m.all()) >= len(want) })
	stop()
	stop = running(t, NewFollow(o), m.take)
	time.Sleep(400 * time.Millisecond) // nothing is read again
	stop()
	got := m.data()
	for _, w := range want {
		if strings.Count(got, w) != 1 {
			t.Errorf("%q comes %d times", w, strings.Count(got, w))
		}
	}
	if len(m.all()) != len(want) {
		t.Errorf("%d batches", len(m.all()))
	}
}

// eventLog is a Windows event log of n chunks, as far as its frame goes.
func eventLog(n int, dirty bool) []byte {
	file := make([]byte, evtxHead+n*evtxChunk)
	copy(file, "ElfFile\x00")
	binary.LittleEndian.PutUint16(file[evtxHeadAt:], evtxHead)
	if dirty {
		file[evtxFlagsAt] = evtxDirty
	}
	for i := range n {
		copy(file[evtxHead+i*evtxChunk:], evtxMagic)
		file[evtxHead+i*evtxChunk+100] = byte(i)
	}
	return file
}

func TestFollowEventLog(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.evtx")
	write(t, open, string(append(eventLog(3, true), make([]byte, 2*evtxChunk)...))) // room made ahead
	write(t, filepath.Join(dir, "closed.evtx"), string(eventLog(20, false)))
	m := &memorySink{}
	stop := running(t, NewFollow(quick(dir, "*.evtx")), m.take)
	chunks := func() (n int) {
		for _, b := range m.all() {
			if len(b.Head) != evtxHead || len(b.Data)%evtxChunk != 0 || !bytes.HasPrefix(b.Data, []byte(evtxMagic)) {
				t.Fatalf("a batch of %d and %d bytes", len(b.Head), len(b.Data))
			}
			n += len(b.Data) / evtxChunk
		}
		return n
	}
	eventually(t, "all chunks but the one that is written", func() bool { return chunks() == 22 })
	write(t, open, string(append(eventLog(4, true), make([]byte, evtxChunk)...)))
	eventually(t, "one more", func() bool { return chunks() == 23 })
	write(t, open, string(eventLog(5, false)))
	eventually(t, "the rest of a closed one", func() bool { return chunks() == 25 })
	stop()
}

func TestFollowTail(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	write(t, log, "old\nhalf")
	o := quick(dir, "app.log")
	o.Tail = true
	m := &memorySink{}
	stop := running(t, NewFollow(o), m.take)
	eventually(t, "the cursor", func() bool { c, err := os.ReadFile(o.Cursors); return err == nil && len(c) > 0 })
	extend(t, log, " new\n")
	exactly(t, m, "half new\n")
	stop()
}

func TestFollowHostileFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.log"), strings.Repeat("x", 100_000)+"\nafter\n")
	write(t, filepath.Join(dir, "bad.gz"), "\x1f\x8b\x08garbage that is no gzip")
	write(t, filepath.Join(dir, "\x1b[31m.log"), "red\n")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "loop.log")); err != nil {
		t.Fatal(err)
	}
	o := quick(dir, ".", "[bad pattern")
	o.Limits = Limits{Record: 1000, BatchBytes: 500}
	m := &memorySink{}
	f := NewFollow(o)
	stop := running(t, f, m.take)
	eventually(t, "what is good", func() bool { d := m.data(); return strings.Contains(d, "after\n") && strings.Contains(d, "red\n") })
	stop()
	for _, b := range m.all() {
		if strings.ContainsRune(b.Peer, 0x1b) || len(b.Data) > 2000 {
			t.Errorf("batch of %d bytes of %q", len(b.Data), b.Peer)
		}
	}
	if s := f.Stats(); s.Refused == 0 {
		t.Error("nothing is counted")
	}
}

func TestCursorsSurviveDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x", "cursors")
	c, err := openCursors(path, fixedNow)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := c.put(cursor{Gen: c.newGen(), Path: fmt.Sprint(i), Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openCursors(path, fixedNow)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(c.list()), bytes.Count(whole[:n], []byte("\n")); got != want {
			t.Fatalf("of the first %d bytes %d cursors are read, want %d", n, got, want)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzCursors(f *testing.F) {
	f.Add([]byte("deadbeef {}\n"))
	f.Add([]byte("00000000 \n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for line := range bytes.Lines(text) {
			if c, ok := parseCursor(line); ok && (c.Gen <= 0 || c.Offset < 0) {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// TestFollowKilled kills a follower at random points while a log grows and rotates,
// and looks whether each line is handed on once.
func TestFollowKilled(t *testing.T) {
	rounds := 25
	if os.Getenv("CATENA_LONG") != "" {
		rounds = 300
	}
	dir := t.TempDir()
	log, out := filepath.Join(dir, "app.log"), filepath.Join(dir, "out")
	stopWriting, written := make(chan struct{}), make(chan int)
	go func() {
		r := rand.New(rand.NewPCG(1, 2))
		n := 0
		for {
			select {
			case <-stopWriting:
				written <- n
				return
			default:
			}
			k := 1 + r.IntN(200)
			extend(t, log, logLines(n, n+k))
			n += k
			switch r.IntN(60) {
			case 0:
				// Nothing is deleted: a follower that is killed all the time may be behind.
				move(t, log, fmt.Sprintf("%s.%d", log, 1_000_000+n))
			case 1:
				// Rotated by copying, with all read or not; the writer waits as a real one
				// would have to for nothing to be lost.
				text, err := os.ReadFile(log)
				if err == nil {
					err = os.WriteFile(fmt.Sprintf("%s.%d", log, 100+n), text, 0o644)
				}
				if err == nil {
					err = os.Truncate(log, 0)
				}
				if err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	kill := rand.New(rand.NewPCG(3, 4))
	child := func() *exec.Cmd {
		c := exec.Command(os.Args[0], "-test.run=^TestFollowChild$")
		c.Env = append(os.Environ(), "CATENA_FOLLOW_DIR="+dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range rounds {
		c := child()
		time.Sleep(time.Duration(20+kill.IntN(150)) * time.Millisecond)
		_ = c.Process.Kill() // whether it still runs shows in what it left
		_ = c.Wait()
	}
	close(stopWriting)
	total := <-written
	c := child()
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	var counts []int
	lost := func() int {
		counts = make([]int, total)
		text, _ := os.ReadFile(out)
		ids := map[string]bool{}
		for batch := range strings.SplitSeq(string(text), "\x00begin ") {
			id, lines, _ := strings.Cut(batch, "\n")
			lines, whole := strings.CutSuffix(lines, "\x00end "+id+"\n")
			if !whole || ids[id] {
				continue // torn by a kill, and so not taken; or taken before
			}
			ids[id] = true
			for line := range strings.Lines(lines) {
				var n int
				if _, after, ok := strings.Cut(line, "number "); ok {
					if _, err := fmt.Sscan(after, &n); err == nil && n < total {
						counts[n]++
					}
				}
			}
		}
		lost := 0
		for _, n := range counts {
			if n == 0 {
				lost++
			}
		}
		return lost
	}
	end := time.Now().Add(time.Minute)
	for lost() > 0 && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(500 * time.Millisecond) // for what would come twice
	missing, twice := lost(), 0
	for _, n := range counts {
		if n > 1 {
			twice++
		}
	}
	if missing > 0 || twice > 0 {
		t.Errorf("of %d lines %d are lost and %d came more than once", total, missing, twice)
	}
	t.Logf("%d lines, %d kills", total, rounds)
}

// TestFollowChild is the follower that TestFollowKilled kills: its sink is a file, to
// which a batch is written with its ID.
func TestFollowChild(t *testing.T) {
	dir := os.Getenv("CATENA_FOLLOW_DIR")
	if dir == "" {
		t.Skip("run by TestFollowKilled")
	}
	out, err := os.OpenFile(filepath.Join(dir, "out"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	o := quick(dir, "app.log*")
	o.Limits.BatchBytes = 4 << 10
	f := NewFollow(o)
	err = f.Run(context.Background(), func(_ context.Context, b model.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(out, "\x00begin %s\n%s\x00end %s\n", b.ID, b.Data, b.ID)
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// BenchmarkFollow measures how fast a file is read that is there.
func BenchmarkFollow(b *testing.B) {
	dir := b.TempDir()
	text := strings.Repeat(logLines(0, 1000), 1000)
	if err := os.WriteFile(filepath.Join(dir, "app.log"), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
			b.Fatal(err)
		}
		f := NewFollow(quick(dir, "app.log"))
		ctx, cancel := context.WithCancel(b.Context())
		err := f.Run(ctx, func(context.Context, model.Batch) error {
			if f.Stats().Bytes >= int64(len(text))-2<<20 {
				cancel()
			}
			return nil
		})
		cancel()
		if err != nil {
			b.Fatal(err)
		}
	}
}
