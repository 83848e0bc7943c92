package ledger

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b[:len(b):len(b)], crc32.ChecksumIEEE(b))
}

func mustOpen(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func commit(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Commit(); err != nil {
		t.Fatal(err)
	}
}

// content is every row of the file as text.
func content(t *testing.T, path string) string {
	t.Helper()
	u := url.URL{Scheme: "file", OmitHost: true, Path: path} // a path may hold what means something in a URL
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	for _, q := range []string{"SELECT hex(id), level, last, hex(record) FROM entity ORDER BY id", "SELECT n, id, title, '' FROM rule ORDER BY n", "SELECT kind, level, n, '' FROM tally ORDER BY kind, level", "SELECT name, n, '', '' FROM fact ORDER BY name"} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var c [4]string
			if err := rows.Scan(&c[0], &c[1], &c[2], &c[3]); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, c)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// SQLite before 3.51.3 can corrupt a database in WAL mode.
func TestSQLiteIsNewEnough(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var major, minor, patch int
	var v string
	if err := db.QueryRow("SELECT sqlite_version()").Scan(&v); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(v, "%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	if major*1_000_000+minor*1000+patch < 3_051_003 {
		t.Errorf("SQLite is %s, want at least 3.51.3", v)
	}
}

// A year in the file gives the answers that a year in one run gives, and two files of
// the same runs are the same.
func TestRunsAddUp(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a?b#c.memory"), filepath.Join(dir, "second")}
	one := New(Options{})
	for _, path := range paths {
		for night := 1; night <= 12; night++ {
			l := mustOpen(t, path)
			l.Count(model.IP, 500-night)
			one.Count(model.IP, 500-night)
			for n := range 40 {
				s := sighting(night*100+n, levels[(n+night)%5], onDay(night*10), fmt.Sprint("host", n%7), tactics[n%len(tactics)])
				l.Note(address(n*night%90), s)
				one.Note(address(n*night%90), s)
			}
			commit(t, l)
		}
	}
	if a, b := content(t, paths[0]), content(t, paths[1]); a != b {
		t.Error("the same runs gave different files")
	}
	l := mustOpen(t, paths[0])
	for n := range 90 {
		got, ok := l.Recall(address(n), onDay(200))
		want, ok2 := one.Recall(address(n), onDay(200))
		if ok != ok2 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the file tells\n%+v, one run\n%+v", address(n), got, want)
		}
	}
	s := l.Stats()
	if s.Runs != 12 || !s.First.Equal(onDay(10)) || !s.Last.Equal(onDay(120)) || s.Entities != one.Stats().Entities {
		t.Errorf("stats %+v", s)
	}
	if fi, err := os.Stat(paths[0]); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is open to others: %v %v", fi.Mode(), err)
	}
}

func TestRunThatFailsLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	l := mustOpen(t, path)
	l.Note(address(1), sighting(1, model.High, onDay(1), "a", "impact"))
	commit(t, l)
	before := content(t, path)
	l = mustOpen(t, path)
	l.Note(address(2), sighting(2, model.High, onDay(2), "a", "impact"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if content(t, path) != before {
		t.Error("a run that was not committed changed the file")
	}
}

// A machine that stops in the middle of a commit leaves what was there before: the file
// and its log as they stand then are opened elsewhere.
func TestCrashLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "memory")
	l := mustOpen(t, path)
	l.Note(address(1), sighting(1, model.High, onDay(1), "a", "impact"))
	commit(t, l)
	before := content(t, path)
	l = mustOpen(t, path)
	if _, err := l.store.tx.Exec("PRAGMA cache_size = 4"); err != nil { // so that pages go to the log before the commit
		t.Fatal(err)
	}
	for n := range 5000 {
		id := digestOf("ip", fmt.Sprint(n))
		if _, err := l.store.tx.Exec("INSERT INTO entity (id, level, last, record) VALUES (?, 0, 0, zeroblob(100))", id[:]); err != nil {
			t.Fatal(err)
		}
	}
	crashed := filepath.Join(dir, "crashed")
	for _, ext := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + ext)
		if err != nil {
			t.Fatal(err)
		}
		if ext != "" && len(b) < 100_000 {
			t.Fatalf("the log has %d bytes: nothing of the run is in it", len(b))
		}
		if err := os.WriteFile(crashed+ext, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := content(t, crashed); got != before {
		t.Errorf("after a crash the file holds %d bytes of rows, want the %d of before", len(got), len(before))
	}
	after := mustOpen(t, crashed)
	if _, ok := after.Recall(address(1), onDay(9)); !ok {
		t.Error("what was remembered before the crash is not recalled")
	}
}

func TestSecondRunWaitsForTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	mustOpen(t, path)
	_, err := Open(path, Options{})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another run") {
		t.Errorf("a file in use: %v", err)
	}
}

func TestFilesThatAreNoMemory(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	sqlFile := func(name, stmts string) string {
		p := filepath.Join(dir, name)
		db, err := sql.Open("sqlite", p)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(stmts); err != nil {
			t.Fatal(err)
		}
		return p
	}
	made := filepath.Join(dir, "made")
	commit(t, mustOpen(t, made))
	whole, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	broken := append([]byte(nil), whole...)
	for i := 100; i < 4096; i++ { // the page of the schema
		broken[i] = 0xff
	}
	for _, c := range []struct{ path, want string }{
		{write("text", []byte(strings.Repeat("this is a letter\n", 100))), "another file"},
		{sqlFile("other", "CREATE TABLE t (x); PRAGMA user_version = 1"), "something else"},
		{sqlFile("newer", fmt.Sprintf("CREATE TABLE t (x); PRAGMA application_id = %d; PRAGMA user_version = 99", application)), "newer version"},
		{write("broken", broken), "restore a copy"},
		{filepath.Join(dir, "no", "such", "folder", "memory"), "no such file"},
	} {
		_, err := Open(c.path, Options{})
		if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want the file named and %q", filepath.Base(c.path), err, c.want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "text")); err != nil || !strings.HasPrefix(string(b), "this is a letter") {
		t.Error("a file that is no memory was changed")
	}
}

// A record that is not as it was written stops the ledger, and nothing is written.
func TestDamagedRecordIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	l := mustOpen(t, path)
	l.Note(address(1), sighting(1, model.High, onDay(1), "a", "impact"))
	commit(t, l)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE entity SET record = zeroblob(40)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, path)
	if _, ok := l.Recall(address(1), onDay(9)); ok {
		t.Error("a damaged record is recalled")
	}
	l.Note(address(2), sighting(2, model.High, onDay(2), "a", "impact"))
	if err := l.Commit(); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "restore a copy") {
		t.Errorf("commit after damage: %v", err)
	}
}

func TestSchemaMovesForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	l := mustOpen(t, path)
	l.Note(address(1), sighting(1, model.High, onDay(1), "a", "impact"))
	commit(t, l)
	later := append(append([]string(nil), migrations[:]...), "ALTER TABLE rule ADD COLUMN note TEXT NOT NULL DEFAULT 'none'")
	s := &store{path: path}
	if err := s.open(later); err != nil {
		t.Fatal(err)
	}
	var note string
	var version, rows int
	if err := s.tx.QueryRow("SELECT (SELECT note FROM rule), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM entity)").Scan(&note, &version, &rows); err != nil {
		t.Fatal(err)
	}
	if note != "none" || version != len(later) || rows != 1 {
		t.Errorf("note %q, schema %d, %d entities", note, version, rows)
	}
	if err := s.tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, errNewer) {
		t.Errorf("a file of a newer schema: %v", err)
	}
}

// BenchmarkMillion is 120 nightly runs that bring a million entities and see two in
// ten of each night's again: -benchtime 1x. It reports the size of the file and the
// time of one sighting, its share of reading and writing the file included.
func BenchmarkMillion(b *testing.B) {
	const entities, nights = 1_000_000, 120
	for range b.N {
		path := filepath.Join(b.TempDir(), "memory")
		n, sightings := 0, 0
		var peak uint64
		began := time.Now()
		for night := 1; night <= nights; night++ {
			l, err := Open(path, Options{})
			if err != nil {
				b.Fatal(err)
			}
			for ; n < entities*night/nights; n++ {
				for again := range 3 {
					l.Note(address(n), sighting(n*3+again, levels[n%100/97+1+again%2], onDay(night), fmt.Sprint("host", (n+again)%500), tactics[(n+again)%5]))
					sightings++
				}
				if n%5 == 0 {
					old := n * 7919 % (n + 1)
					l.Note(address(old), sighting(n, model.Low, onDay(night), fmt.Sprint("host", n%500), "discovery"))
					sightings++
				}
			}
			commit(b, l)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.Sys)
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(sightings), "ns/sighting")
		fi, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(fi.Size())/entities, "B/entity")
		b.ReportMetric(float64(fi.Size())/(1<<20), "MiB-disk")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-memory")
		at := time.Now()
		l := mustOpen(b, path)
		const asked = 10_000
		for i := range asked {
			l.Recall(address(i*97), onDay(200))
		}
		b.ReportMetric(float64(time.Since(at).Nanoseconds())/asked, "ns/recall")
		_ = l.Close()
	}
}

// BenchmarkFlood is one run over a million names that nobody saw before, which is four
// times what a run may bring. It reports the memory that this takes.
func BenchmarkFlood(b *testing.B) {
	const names = 1_000_000
	for range b.N {
		l, err := Open(filepath.Join(b.TempDir(), "memory"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		for n := range names {
			l.Note(address(n), sighting(n, levels[1+n%4], onDay(1), fmt.Sprint("host", n%500), tactics[n%5]))
		}
		commit(b, l)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-memory")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/names/float64(b.N), "ns/sighting")
	}
}
