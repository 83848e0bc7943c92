package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// record makes bytes that say which record they are.
func record(i int) []byte {
	n := 16 + i*37%900
	return binary.LittleEndian.AppendUint64(bytes.Repeat([]byte{byte(i)}, n), uint64(i))
}

func numberIn(r []byte) int { return int(binary.LittleEndian.Uint64(r[len(r)-8:])) }

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func appendAll(t *testing.T, j *Journal, from, to int) []Place {
	t.Helper()
	var at []Place
	for i := from; i < to; i++ {
		p, err := j.Append(record(i))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, p)
	}
	return at
}

func numbers(t *testing.T, j *Journal, from uint64) []int {
	t.Helper()
	var out []int
	if err := j.Each(from, func(_ Place, r []byte) error {
		i := numberIn(r)
		if !bytes.Equal(r, record(i)) {
			t.Fatalf("record %d is not what was written", i)
		}
		out = append(out, i)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func checkRange(t *testing.T, got []int, from, to int) {
	t.Helper()
	if len(got) != to-from {
		t.Fatalf("%d records, want %d", len(got), to-from)
	}
	for i, n := range got {
		if n != from+i {
			t.Fatalf("record %d where %d belongs", n, from+i)
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	at := appendAll(t, j, 0, 100)
	second, err := j.Cut()
	if err != nil {
		t.Fatal(err)
	}
	at = append(at, appendAll(t, j, 100, 150)...)
	check := func(j *Journal) {
		t.Helper()
		checkRange(t, numbers(t, j, 0), 0, 150)
		checkRange(t, numbers(t, j, second), 100, 150)
		var buf []byte
		for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(150) {
			if buf, err = j.Read(at[i], buf); err != nil || numberIn(buf) != i {
				t.Fatalf("record %d: %v", i, err)
			}
		}
	}
	check(j)
	end := j.End()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	if len(j.Repairs()) > 0 || j.End() != end {
		t.Fatalf("repaired %v, ends at %v, want %v", j.Repairs(), j.End(), end)
	}
	check(j)

	if err := j.Drop(second); err != nil {
		t.Fatal(err)
	}
	checkRange(t, numbers(t, j, 0), 100, 150)
	if _, err := j.Read(at[3], nil); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a dropped record: %v", err)
	}
	if err := j.Truncate(at[120]); err != nil {
		t.Fatal(err)
	}
	checkRange(t, numbers(t, j, 0), 100, 120)
	appendAll(t, j, 120, 130)
	checkRange(t, numbers(t, j, 0), 100, 130)
}

// TestTornTail cuts the file at every length and expects all whole records before it,
// and that writing goes on.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	at := appendAll(t, j, 0, 6)
	end := j.End()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, fmt.Sprintf("%016x%s", 1, suffix))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at = append(at, end)
	for cut := range len(whole) {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := 0
		for want < 6 && at[want+1].Offset <= int64(cut) {
			want++
		}
		checkRange(t, numbers(t, j, 0), 0, want)
		torn := int64(cut) != at[want].Offset && cut > 0
		if torn != (len(j.Repairs()) == 1) {
			t.Fatalf("cut at %d: repairs %v", cut, j.Repairs())
		}
		appendAll(t, j, want, want+2)
		checkRange(t, numbers(t, j, 0), 0, want+2)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRot flips each byte in turn: what stands before the damaged record is read, and
// nothing wrong ever is.
func TestRot(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	at := appendAll(t, j, 0, 4)
	if _, err := j.Cut(); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, 4, 6)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, fmt.Sprintf("%016x%s", 1, suffix))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		rotten := bytes.Clone(whole)
		rotten[i] ^= 0x40
		if err := os.WriteFile(name, rotten, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(j.Repairs()) != 1 || j.Repairs()[0].Cut || j.Repairs()[0].String() == "" {
			t.Fatalf("byte %d: repairs %v, want one that cuts nothing", i, j.Repairs())
		}
		good := 0
		for good < 4 && (good == 3 || at[good+1].Offset <= int64(i)) && int64(i) >= headSize {
			if good == 3 {
				break
			}
			good++
		}
		got := numbers(t, j, 0)
		checkRange(t, got[:good], 0, good)
		checkRange(t, got[good:], 4, 6) // the next segment goes on
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}

	// What rots while the journal is open is found when it is read.
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	rotten := bytes.Clone(whole)
	rotten[at[2].Offset+frameSize] ^= 1
	if err := os.WriteFile(name, rotten, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Read(at[2], nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a rotten record: %v", err)
	}
	if _, err := j.Read(at[1], nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Each(0, func(Place, []byte) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a rotten segment: %v", err)
	}
}

func TestBounds(t *testing.T) {
	j := open(t, t.TempDir())
	if _, err := j.Append(nil); err == nil {
		t.Error("an empty record was taken")
	}
	for _, p := range []Place{{1, 0}, {1, headSize}, {1, 1 << 40}, {1, -1}} {
		if _, err := j.Read(p, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if err := j.Truncate(Place{1, 3}); err == nil {
		t.Error("the head was truncated")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("x")); err == nil {
		t.Error("a closed journal was written to")
	}
}

// TestBroken: once a write has failed, nothing more is written until the journal is opened
// anew, where it was whole.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	appendAll(t, j, 0, 5)
	good := j.segments[0].file
	read, err := os.Open(good.Name())
	if err != nil {
		t.Fatal(err)
	}
	j.segments[0].file = read // which cannot be written
	if _, err := j.Append(record(5)); err == nil {
		t.Fatal("a write to a file that cannot be written succeeded")
	}
	j.segments[0].file = good
	_, err = j.Append(record(5))
	if _, cut := j.Cut(); err == nil || j.Sync() == nil || cut == nil {
		t.Fatal("the journal goes on behind a record that may be half-written")
	}
	if err := errors.Join(read.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	checkRange(t, numbers(t, open(t, dir), 0), 0, 5)
}

// FuzzOpen: whatever stands in the file, opening it gives a journal that can be read and
// written, and only records whose checksum is right.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if _, err := j.Append(record(i)); err != nil {
			f.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "0000000000000001.journal"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:30])
	f.Add([]byte(magic))
	f.Add(append(bytes.Clone(whole), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, src []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.journal"), src, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir)
		n := 0
		if err := j.Each(0, func(p Place, r []byte) error {
			n++
			again, err := j.Read(p, nil)
			if err != nil || !bytes.Equal(again, r) {
				t.Fatalf("record at %v: %v", p, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append([]byte("more")); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir)
		if len(j.Repairs()) > 0 {
			t.Fatalf("repaired twice: %v", j.Repairs())
		}
		m := 0
		if err := j.Each(0, func(Place, []byte) error { m++; return nil }); err != nil || m != n+1 {
			t.Fatalf("%d records, then %d: %v", n, m, err)
		}
	})
}

// TestKilled has a child write, sync and say so, kills it at random, and expects every
// record that it called safe.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("CATENA_JOURNAL_CHILD"); dir != "" {
		child(t, dir)
		return
	}
	dir := t.TempDir()
	rounds := 12
	random := rand.New(rand.NewPCG(7, 7))
	safe := 0
	for range rounds {
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$") //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), "CATENA_JOURNAL_CHILD="+dir)
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+random.IntN(120)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for line := range strings.Lines(out.String()) {
			if n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(line, "safe "), "\n")); err == nil && strings.HasSuffix(line, "\n") {
				safe = max(safe, n)
			}
		}
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := numbers(t, j, 0)
		if len(got) < safe {
			t.Fatalf("%d records, but %d were called safe", len(got), safe)
		}
		checkRange(t, got, 0, len(got))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if safe == 0 {
		t.Fatal("no child lived long enough to write anything")
	}
	t.Logf("%d records were safe after %d kills", safe, rounds)
}

func child(t *testing.T, dir string) {
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := len(numbers(t, j, 0))
	for i := n; ; i++ {
		if _, err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			if _, err := j.Cut(); err != nil {
				t.Fatal(err)
			}
		}
		if i%7 == 6 {
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
			fmt.Printf("safe %d\n", i+1)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	j, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	r := bytes.Repeat([]byte("x"), 16<<10)
	b.SetBytes(int64(len(r)))
	for b.Loop() {
		if _, err := j.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}
