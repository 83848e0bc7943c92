package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/catena-sec/catena/internal/model"
)

func openEvents(t tb, dir string, o EventsOptions) *Events {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return day }
	}
	e, err := OpenEvents(dir, o)
	must(t, err)
	return e
}

// testRow is the n-th event. Times jump back and forth.
func testRow(n int) Row {
	raw := fmt.Sprintf(`{"EventID":%d,"Image":"C:\\Windows\\System32\\tool%d.exe","CommandLine":"Tool%d.exe /run \"job %d\"","User":"CORP\\user%d"}`, n%5, n%7, n%7, n, n%3)
	r := Row{Time: day.Add(time.Duration(n*37%101) * time.Second), Received: day.Add(time.Duration(n) * time.Second), ID: fmt.Sprintf("e-%024x", n), Source: "http", Format: "json", Host: fmt.Sprintf("Host%d", n%4),
		Code: fmt.Sprint(n % 5), Product: "windows", Category: "process_creation", Service: "sysmon", Subsystem: "compute", Entities: []string{fmt.Sprintf("host:host%d", n%4), fmt.Sprintf("user:user%d", n%3), fmt.Sprintf("process:p%d", n)}, Raw: []byte(raw)}
	switch n % 11 {
	case 3:
		r.Entities = nil
	case 4:
		r.Raw = []byte("\xff\xfe binary Tool" + fmt.Sprint(n))
	case 5:
		r.Raw = nil
	}
	return r
}

func appendRows(t tb, e *Events, rows ...Row) {
	t.Helper()
	ok, err := e.Append(ctx, e.Position()+1, rows)
	must(t, err)
	if !ok {
		t.Fatal("the batch was not applied")
	}
}

// naive is what Search must find, by looking at every row.
func naive(rows []Row, q Query) []string {
	lower := strings.ToLower
	var out []Row
	for _, r := range rows {
		ok := (q.From.IsZero() || !r.Time.Before(q.From)) && (q.To.IsZero() || r.Time.Before(q.To))
		for _, t := range q.Terms {
			v := lower(map[string]string{"host": r.Host, "code": r.Code, "id": r.ID}[t.Field])
			m := v == lower(t.Value)
			switch t.Op {
			case Prefix:
				m = strings.HasPrefix(v, lower(t.Value))
			case Contains:
				m = strings.Contains(v, lower(t.Value))
			}
			ok = ok && m != t.Not
		}
		for _, e := range q.Entities {
			ok = ok && slices.Contains(r.Entities, e)
		}
		has := func(s string) bool {
			raw := lower(string(r.Raw))
			return strings.Contains(raw, lower(s)) || strings.Contains(raw, lower(strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)))
		}
		for _, s := range q.Text {
			ok = ok && has(s)
		}
		for _, s := range q.Not {
			ok = ok && !has(s)
		}
		if ok {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Row) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return int(b.Seq - a.Seq)
	})
	return ids(out, func(r Row) string { return r.ID })
}

// searchAll reads all pages.
func searchAll(t tb, e *Events, q Query) (got []Row) {
	t.Helper()
	for range 10_000 {
		f, err := e.Search(ctx, q)
		must(t, err)
		got = append(got, f.Rows...)
		if q.Cursor = f.Next; q.Cursor == "" {
			return got
		}
	}
	t.Fatal("the pages do not end")
	return nil
}

var testQueries = []Query{
	{},
	{From: day.Add(20 * time.Second), To: day.Add(40 * time.Second)},
	{Terms: []Term{{Field: "host", Value: "HOST2"}}},
	{Terms: []Term{{Field: "host", Op: Prefix, Value: "host"}, {Field: "code", Value: "3", Not: true}}},
	{Terms: []Term{{Field: "id", Value: fmt.Sprintf("e-%024x", 17)}}},
	{Terms: []Term{{Field: "host", Op: Contains, Value: "st1"}}},
	{Entities: []string{"host:host1"}},
	{Entities: []string{"host:host1", "user:user2"}},
	{Entities: []string{"process:p42"}},
	{Entities: []string{"host:nowhere"}},
	{Text: []string{`c:\windows\system32\TOOL3`}},
	{Text: []string{`"job 1`}},
	{Text: []string{"tool4.exe", "run"}, Not: []string{"user1"}},
	{Text: []string{"binary tool"}},
	{Text: []string{"nothing has this"}},
	{Text: []string{"ool2"}, Entities: []string{"user:user0"}, From: day},
	{Not: []string{"tool"}},
}

// checkAll compares all that can be asked with what was appended.
func checkAll(t tb, e *Events, rows []Row) {
	t.Helper()
	for i, q := range testQueries {
		for _, limit := range []int{0, 7} {
			q.Limit = limit
			equalT(t, fmt.Sprintf("query %d, pages of %d", i, limit), ids(searchAll(t, e, q), func(r Row) string { return r.ID }), naive(rows, q))
		}
	}
	got := searchAll(t, e, Query{})
	bySeq := map[int64]Row{}
	for _, r := range got {
		bySeq[r.Seq] = r
	}
	for _, r := range rows {
		equalT(t, "row "+r.ID, plainRow(bySeq[r.Seq]), plainRow(r))
	}
	want := rows[:min(len(rows), 40)]
	l, err := e.Get(ctx, ids(want, func(r Row) string { return r.ID }), time.Time{}, time.Time{})
	must(t, err)
	equalT(t, "Get", ids(l, func(r Row) string { return r.ID }), ids(want, func(r Row) string { return r.ID }))
}

// plainRow makes rows comparable: no entities and no record have one form.
func plainRow(r Row) Row {
	if len(r.Entities) == 0 {
		r.Entities = nil
	}
	if len(r.Raw) == 0 {
		r.Raw = nil
	}
	return r
}

func equalT(t tb, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("%s:\n got %.2000s\nwant %.2000s", what, g, w)
	}
}

func rowsOf(from, to int) (out []Row) {
	for n := from; n < to; n++ {
		out = append(out, testRow(n))
	}
	return out
}

func TestEventsAreFoundWhereverTheyAre(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	all := rowsOf(0, 300)
	appendRows(t, e, all[:100]...)
	must(t, e.Seal(ctx))
	appendRows(t, e, all[100:150]...)
	appendRows(t, e, all[150:200]...)
	must(t, e.Seal(ctx))
	appendRows(t, e, all[200:250]...)
	appendRows(t, e)
	appendRows(t, e, all[250:]...)
	checkAll(t, e, all)
	if s := e.Stats(); s.Rows != 300 || s.Unsealed != 100 || s.Segments != 2 || s.Position != 6 {
		t.Fatalf("stats are %+v", s)
	}
	must(t, e.Close())
	e = openEvents(t, dir, EventsOptions{})
	equal(t, e.Position(), uint64(6))
	checkAll(t, e, all)
	ok, err := e.Append(ctx, 6, all[:10])
	must(t, err)
	if ok {
		t.Fatal("a batch at the position was applied again")
	}
	must(t, e.Close())
	_, err = e.Append(ctx, 7, nil)
	wantErr(t, err, ErrClosed)
	_, err = e.Search(ctx, Query{})
	wantErr(t, err, ErrClosed)
	wantErr(t, e.Seal(ctx), ErrClosed)
}

// Whatever the batches, seals, merges and restarts, what was appended is found, in order.
func TestEventsProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(r, err)
		o := EventsOptions{SealRows: rapid.IntRange(5, 60).Draw(r, "seal")}
		e := openEvents(r, dir, o)
		defer func() { must(r, e.Close()) }()
		var all []Row
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "seal", "reopen", "maintain"}).Draw(r, "step") {
			case "append":
				rows := rowsOf(len(all), len(all)+rapid.IntRange(0, 40).Draw(r, "rows"))
				appendRows(r, e, rows...)
				all = append(all, rows...)
			case "seal":
				must(r, e.Seal(ctx))
			case "maintain":
				_, err := e.Maintain(ctx, Retention{})
				must(r, err)
			case "reopen":
				must(r, e.Close())
				e = openEvents(r, dir, o)
			}
		}
		q := testQueries[rapid.IntRange(0, len(testQueries)-1).Draw(r, "query")]
		q.Limit = rapid.IntRange(1, 50).Draw(r, "limit")
		q.Bytes = int64(rapid.IntRange(1, 20_000).Draw(r, "bytes"))
		equalT(r, "found", ids(searchAll(r, e, q), func(r Row) string { return r.ID }), naive(all, q))
		if s := e.Stats(); s.Rows != int64(len(all)) {
			r.Fatalf("%d rows, want %d", s.Rows, len(all))
		}
	})
}

func TestSearchRefusesWhatItCannotMean(t *testing.T) {
	e := openEvents(t, t.TempDir(), EventsOptions{})
	defer func() { must(t, e.Close()) }()
	for _, q := range []Query{{Terms: []Term{{Field: "raw", Value: "x"}}}, {Terms: []Term{{Field: "host", Op: "regex", Value: "x"}}}, {Text: []string{""}}, {Text: []string{strings.Repeat("x", maxRowText+1)}}, {Entities: make([]string, maxValues+1)}} {
		_, err := e.Search(ctx, q)
		wantErr(t, err, ErrInvalid)
	}
	_, err := e.Search(ctx, Query{Cursor: "nonsense"})
	wantErr(t, err, ErrCursor)
	_, err = e.Get(ctx, make([]string, MaxEvents+1), time.Time{}, time.Time{})
	wantErr(t, err, ErrInvalid)
	appendRows(t, e, rowsOf(0, 10)...)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Search(gone, Query{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled search: %v", err)
	}
}

// Cut or bent at any byte, the log gives back whole batches from its beginning, and no
// others, and takes new ones.
func TestALogWithADamagedEnd(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	for i := range 5 {
		appendRows(t, e, rowsOf(10*i, 10*i+10)...)
	}
	ends := []int64{e.head.frames[0].at}
	for _, fr := range e.head.frames {
		ends = append(ends, fr.at+frameHeader+int64(fr.packed))
	}
	name := filepath.Base(e.head.path)
	must(t, e.Close())
	whole, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	for cut := int64(0); cut <= int64(len(whole)); cut += 71 {
		for _, bend := range []bool{false, true} {
			b := bytes.Clone(whole)
			switch {
			case bend && cut < int64(len(b)):
				b[cut] ^= 0x40
			default:
				b = b[:cut]
			}
			at := t.TempDir()
			must(t, os.WriteFile(filepath.Join(at, name), b, 0o600))
			e := openEvents(t, at, EventsOptions{})
			want := 0
			for i, end := range ends {
				if end <= cut {
					want = i
				}
			}
			if bend && cut >= int64(len(whole)) {
				want = 5
			}
			if got := e.Position(); got != uint64(want) {
				t.Fatalf("cut at %d (bent %v): position %d, want %d", cut, bend, got, want)
			}
			appendRows(t, e, rowsOf(100, 103)...)
			checkFound(t, e, append(rowsOf(0, 10*want), rowsOf(100, 103)...))
			must(t, e.Close())
			e = openEvents(t, at, EventsOptions{})
			checkFound(t, e, append(rowsOf(0, 10*want), rowsOf(100, 103)...))
			must(t, e.Close())
		}
	}
}

func checkFound(t tb, e *Events, rows []Row) {
	t.Helper()
	got := ids(searchAll(t, e, Query{Limit: MaxEvents}), func(r Row) string { return r.ID })
	want := ids(rows, func(r Row) string { return r.ID })
	slices.Sort(got)
	slices.Sort(want)
	equalT(t, "events", got, want)
}

// A frame that is bad in the middle of what was acknowledged is told, and kept aside.
func TestALogWithADamagedMiddle(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	for i := range 3 {
		appendRows(t, e, rowsOf(10*i, 10*i+10)...)
	}
	at, path := e.head.frames[1].at+frameHeader+5, e.head.path
	must(t, e.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	b[at] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	e = openEvents(t, dir, EventsOptions{})
	defer func() { must(t, e.Close()) }()
	equal(t, e.Position(), uint64(1)) // the stream is asked for the rest again
	checkFound(t, e, rowsOf(0, 10))
	if d := e.Stats().Damage; len(d) != 1 || !strings.Contains(d[0], path) {
		t.Fatalf("damage is %q", d)
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	must(t, err)
	equal(t, len(aside), 1)
}

// A crash between a step and the next leaves files that the next start puts in order.
func TestFilesOfACrash(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	appendRows(t, e, rowsOf(0, 50)...)
	log, err := os.ReadFile(e.head.path)
	must(t, err)
	name := e.head.path
	must(t, e.Seal(ctx))
	appendRows(t, e, rowsOf(50, 60)...)
	must(t, e.Close())
	// Sealed, and the log not yet removed; a segment half written; words without a segment.
	must(t, os.WriteFile(name, log, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "events-1.tmp"), []byte("PAR1"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "events-x.words"), nil, 0o600))
	e = openEvents(t, dir, EventsOptions{})
	checkFound(t, e, rowsOf(0, 60))
	equal(t, e.Position(), uint64(2))
	must(t, e.Close())
	for _, pattern := range []string{"*.tmp", "events-x.words"} {
		l, err := filepath.Glob(filepath.Join(dir, pattern))
		must(t, err)
		equal(t, len(l), 0)
	}
	// Without its words, or with bent ones, a segment is searched all the same.
	l, err := filepath.Glob(filepath.Join(dir, "*.words"))
	must(t, err)
	for _, b := range [][]byte{nil, []byte("CtWords1\xff\xff\xff\xff"), bytes.Repeat([]byte{7}, 200)} {
		must(t, os.WriteFile(l[0], b, 0o600))
		e = openEvents(t, dir, EventsOptions{})
		checkAll(t, e, withSeq(rowsOf(0, 60)))
		must(t, e.Close())
	}
	must(t, os.Remove(l[0]))
	e = openEvents(t, dir, EventsOptions{})
	checkAll(t, e, withSeq(rowsOf(0, 60)))
	must(t, e.Close())
}

func withSeq(rows []Row) []Row {
	for i := range rows {
		rows[i].Seq = int64(i + 1)
		rows[i].Position = 1
		if i >= 50 {
			rows[i].Position = 2
		}
	}
	return rows
}

// A damaged segment is an error that names it, and no panic.
func TestADamagedSegment(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	appendRows(t, e, rowsOf(0, 200)...)
	must(t, e.Seal(ctx))
	must(t, e.Close())
	l, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	must(t, err)
	whole, err := os.ReadFile(l[0])
	must(t, err)
	failed := 0
	for at := 0; at < len(whole); at += 97 {
		b := bytes.Clone(whole)
		b[at] ^= 0xa5
		if at%2 == 0 {
			b = b[:at]
		}
		must(t, os.WriteFile(l[0], b, 0o600))
		e := openEvents(t, dir, EventsOptions{})
		for _, q := range testQueries[:12] {
			if _, err := e.Search(ctx, q); err != nil {
				failed++
				if !strings.Contains(err.Error(), filepath.Base(l[0])) {
					t.Errorf("%v does not name the segment", err)
				}
			}
		}
		_, _ = e.Get(ctx, []string{testRow(3).ID}, time.Time{}, time.Time{})
		must(t, e.Close())
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	now := day
	e := openEvents(t, dir, EventsOptions{Now: func() time.Time { return now }, SealAge: time.Hour})
	defer func() { must(t, e.Close()) }()
	for i := range 4 {
		rows := rowsOf(10*i, 10*i+10)
		for n := range rows {
			rows[n].Received = now
			rows[n].Time = now.AddDate(-30*(i%2), 0, 0) // what events say of their time keeps and drops nothing
		}
		appendRows(t, e, rows...)
		now = now.Add(24 * time.Hour)
		_, err := e.Maintain(ctx, Retention{}) // seals by age
		must(t, err)
		must(t, e.Seal(ctx))
		equal(t, e.Stats().Segments, i+1)
	}
	k, err := e.Maintain(ctx, Retention{Age: 60 * time.Hour})
	must(t, err)
	if k.Dropped != 2 || k.Rows != 20 || e.Stats().Rows != 20 {
		t.Fatalf("kept %+v, %+v", k, e.Stats())
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	n := 0
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "events-") {
			n++
		}
	}
	equal(t, n, 4) // two segments with their words
	k, err = e.Maintain(ctx, Retention{Bytes: e.Stats().Bytes - 1})
	must(t, err)
	equal(t, k.Dropped, 1)
	// The position outlives what was forgotten.
	k, err = e.Maintain(ctx, Retention{Bytes: 1})
	must(t, err)
	must(t, e.Close())
	e = openEvents(t, dir, EventsOptions{})
	if e.Position() != 4 || k.Dropped != 1 || e.Stats().Rows != 0 {
		t.Fatalf("position %d, %+v", e.Position(), e.Stats())
	}
	appendRows(t, e, rowsOf(0, 1)...)
	if r := searchAll(t, e, Query{}); len(r) != 1 || r[0].Seq < 1 {
		t.Fatalf("found %+v", r)
	}
}

func TestSmallSegmentsAreMerged(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	var all []Row
	for i := range 2*mergeSegments + 3 {
		rows := rowsOf(10*i, 10*i+10)
		appendRows(t, e, rows...)
		all = append(all, rows...)
		must(t, e.Seal(ctx))
	}
	for range 3 {
		_, err := e.Maintain(ctx, Retention{})
		must(t, err)
	}
	equal(t, e.Stats().Segments, 2+3)
	checkAll(t, e, all)
	old, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	must(t, err)
	must(t, e.Close())
	e = openEvents(t, dir, EventsOptions{})
	checkAll(t, e, all)
	must(t, e.Close())
	equal(t, len(old), 5)
}

// Searches go on while events are appended, sealed, merged and forgotten.
func TestEventsTogether(t *testing.T) {
	e := openEvents(t, t.TempDir(), EventsOptions{SealRows: 40})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				q := testQueries[w]
				q.Limit = 20
				f, err := e.Search(ctx, q)
				if err != nil {
					t.Error(err)
					return
				}
				for i := 1; i < len(f.Rows); i++ {
					if f.Rows[i].Time.After(f.Rows[i-1].Time) {
						t.Error("a page is out of order")
					}
				}
			}
		})
	}
	for i := range 40 {
		appendRows(t, e, rowsOf(10*i, 10*i+10)...)
		if i%5 == 0 {
			_, err := e.Maintain(ctx, Retention{Bytes: 200_000})
			must(t, err)
		}
	}
	close(stop)
	wg.Wait()
	must(t, e.Close())
}

// Segments are plain Parquet: whoever knows the format reads them.
func TestSegmentsAreReadByOthers(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	appendRows(t, e, rowsOf(0, 30)...)
	must(t, e.Seal(ctx))
	must(t, e.Close())
	l, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	must(t, err)
	f, err := os.Open(l[0])
	must(t, err)
	defer func() { must(t, f.Close()) }()
	st, err := f.Stat()
	must(t, err)
	file, err := parquet.OpenFile(f, st.Size())
	must(t, err)
	for path, logical := range map[string]string{"time": "TIMESTAMP", "raw": "STRING", "host": "STRING"} {
		leaf, ok := file.Schema().Lookup(path)
		if !ok || !strings.HasPrefix(leaf.Node.Type().LogicalType().String(), logical) {
			t.Errorf("column %s is %v", path, leaf.Node)
		}
	}
	r := parquet.NewGenericReader[record](f)
	rows := make([]record, 30)
	n, err := r.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) || n != 30 {
		t.Fatalf("read %d rows: %v", n, err)
	}
	for i := range rows {
		if i > 0 && rows[i].Time < rows[i-1].Time {
			t.Error("a segment is not in the order of time")
		}
	}
}

func TestOneProcessUsesAFolder(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	_, err := OpenEvents(dir, EventsOptions{})
	wantErr(t, err, ErrLocked)
	must(t, e.Close())
	must(t, openEvents(t, dir, EventsOptions{}).Close())
}

func TestRowsOfAttackers(t *testing.T) {
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{})
	rows := []Row{
		{ID: "\xff\xfe", Host: strings.Repeat("h", 100_000), Raw: bytes.Repeat([]byte{0xff, 0}, 1000), Time: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		{ID: "x", Entities: slices.Repeat([]string{"host:x"}, 5_000), Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{ID: "", Raw: []byte(strings.Repeat("A", 3<<20))},
	}
	appendRows(t, e, rows...)
	must(t, e.Seal(ctx))
	got := searchAll(t, e, Query{})
	if len(got) != 3 || got[0].Time.Year() != 9999 || got[2].Time.Year() != 1 || len(got[0].Entities) != maxRowThing || len(got[2].Host) != maxRowText {
		t.Fatalf("got %d rows, of %v, %v, %v; %d entities, a host of %d bytes", len(got), got[0].Time, got[1].Time, got[2].Time, len(got[0].Entities), len(got[2].Host))
	}
	must(t, e.Close())
	must(t, openEvents(t, dir, EventsOptions{}).Close())
}

func TestFoldAndWords(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(r, "bytes")
		want := bytes.Clone(b)
		for i, c := range want {
			if c >= 'A' && c <= 'Z' {
				want[i] += 'a' - 'A'
			}
		}
		if got := fold([]byte("X"), b); !bytes.Equal(got[1:], want) || got[0] != 'X' {
			r.Fatalf("fold(%q) = %q", b, got)
		}
		// A filter never rules out a text that is there.
		s := &wordSet{}
		eachWord(b, func(h uint64, _, _ bool) { s.add(h) })
		w, err := readWords(bytes.NewReader(encodeWords([][]byte{s.filter()})))
		if err != nil {
			r.Fatal(err)
		}
		lo := rapid.IntRange(0, len(b)).Draw(r, "lo")
		hi := rapid.IntRange(lo, len(b)).Draw(r, "hi")
		if hi > lo && !w.may(0, newNeedle(string(b[lo:hi])).words[:1]) {
			r.Fatalf("%q is ruled out of %q", b[lo:hi], b)
		}
	})
	w, err := readWords(bytes.NewReader(encodeWords([][]byte{(&wordSet{}).filter()})))
	must(t, err)
	if w.may(0, newNeedle("a whole word").words) {
		t.Error("an empty row group may have a word")
	}
}

// However many words a row group has, its filter stays small and rules out none of them.
func TestWordsAreBounded(t *testing.T) {
	s := &wordSet{}
	for h := range uint64(2*maxWords + 10) {
		s.add(mix(h + 1))
	}
	b := s.filter()
	if len(b) > maxFilter || len(s.table) > 4*maxWords {
		t.Fatalf("a filter of %d bytes of a table of %d", len(b), len(s.table))
	}
	w, err := readWords(bytes.NewReader(encodeWords([][]byte{b})))
	must(t, err)
	for h := range uint64(2*maxWords + 10) {
		if h%999 == 0 && !w.may(0, [][]uint64{{mix(h + 1)}}) {
			t.Fatalf("word %d is ruled out", h)
		}
	}
	s.reset()
	if s.add(7); len(s.filter()) != 32 {
		t.Error("a set that was emptied is not")
	}
}

func TestSegmentNames(t *testing.T) {
	s := &segment{from: 1, to: 500_000, min: clampMicro(time.Time{}.Add(time.Hour)), max: clampMicro(day), received: clampMicro(day)}
	got, ok := parseSegment(segmentName(s))
	if !ok || got.from != 1 || got.to != 500_000 || got.min != s.min || got.max != s.max {
		t.Fatalf("%s is %+v, %v", segmentName(s), got, ok)
	}
}

func FuzzParseSegment(f *testing.F) {
	f.Add(segmentName(&segment{from: 1, to: 2, min: 0, max: 1, received: 2}))
	f.Add("events-.parquet")
	f.Fuzz(func(t *testing.T, name string) {
		if s, ok := parseSegment(name); ok && segmentName(s) != name {
			t.Errorf("%q is read as %q", name, segmentName(s))
		}
	})
}

func FuzzReadRow(f *testing.F) {
	for n := range 12 {
		r := testRow(n)
		f.Add(appendRow(nil, &r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Row
		rest, err := readRow(b, &r)
		at, size, err2 := skipRow(b)
		if err == nil && (err2 != nil || size != len(b)-len(rest) || at != r.Time.UnixMicro()) && len(r.Raw) <= maxRaw {
			t.Errorf("readRow leaves %d bytes, skipRow says %d, %v", len(rest), size, err2)
		}
		if err == nil {
			var again Row
			if _, err := readRow(appendRow(nil, &r), &again); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzReadWords(f *testing.F) {
	f.Add(encodeWords([][]byte{(&wordSet{}).filter(), nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := readWords(bytes.NewReader(b))
		if err != nil {
			return
		}
		for g := range min(len(w.entries), 4) {
			w.may(g, [][]uint64{{1, 2, 3}})
		}
	})
}

func FuzzOpenLog(f *testing.F) {
	dir := f.TempDir()
	e := openEvents(f, dir, EventsOptions{})
	appendRows(f, e, rowsOf(0, 5)...)
	appendRows(f, e)
	path := e.head.path
	must(f, e.Close())
	b, err := os.ReadFile(path)
	must(f, err)
	f.Add(b)
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(frameMost))
	must(f, err)
	f.Cleanup(unzip.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "log")
		must(t, os.WriteFile(path, b, 0o600))
		l, _, _, err := openLog(path)
		if err != nil {
			return
		}
		defer func() { must(t, l.f.Close()) }()
		if l.size > int64(len(b)) {
			t.Errorf("a log of %d bytes is read to %d", len(b), l.size)
		}
		for i := range l.frames {
			b, err := l.read(unzip, &l.frames[i], nil)
			if err == nil {
				_ = l.frames[i].each(b, func(int, *Row) error { return nil })
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{Of: digestOf("x"), Key: []int64{1, 2}}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := parseCursor(s, digestOf("x"), 2)
		if err == nil && s != "" && len(key) != 2 {
			t.Errorf("cursor %q has the key %v", s, key)
		}
	})
}

// An id of an event is what model makes of it: searches by id stand on lower case.
func TestEventIDsAreLowerCase(t *testing.T) {
	id := (model.Digest{0xab}).ID()
	if id != strings.ToLower(id) {
		t.Error(id)
	}
	if _, err := hex.DecodeString(id[2:]); err != nil {
		t.Error(err)
	}
}
