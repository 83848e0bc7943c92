package source

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // entity tags of S3
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// fakeS3 is a server with one bucket, called "logs".
type fakeS3 struct {
	mu       sync.Mutex
	objects  map[string]fakeObject
	gets     map[string]int
	cut      map[string]int // how often a key's body is cut off in its middle
	deny     bool
	notifies bool
	events   chan string
	server   *httptest.Server
}

type fakeObject struct {
	data     []byte
	modified time.Time
}

func startS3(t *testing.T) *fakeS3 {
	t.Helper()
	f := &fakeS3{objects: map[string]fakeObject{}, gets: map[string]int{}, cut: map[string]int{}, events: make(chan string, 100)}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

var s3Epoch = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func (f *fakeS3) put(key string, data []byte, modified time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[key] = fakeObject{data, modified}
}

func (f *fakeS3) got(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gets[key]
}

func etagOf(data []byte) string {
	sum := md5.Sum(data) //nolint:gosec // an entity tag
	return hex.EncodeToString(sum[:])
}

func (f *fakeS3) fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, ok := strings.CutPrefix(r.URL.Path, "/logs/")
	q := r.URL.Query()
	switch {
	case !ok || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key/"):
		f.fail(w, http.StatusForbidden, "AccessDenied")
	case q.Has("location"):
		fmt.Fprint(w, `<LocationConstraint>eu-central-1</LocationConstraint>`)
	case q.Has("events"):
		f.notify(w, r)
	case q.Get("list-type") == "2":
		f.list(w, q)
	case r.Method == http.MethodGet && key != "":
		f.get(w, key)
	default:
		f.fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (f *fakeS3) list(w http.ResponseWriter, q url.Values) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deny {
		f.fail(w, http.StatusForbidden, "AccessDenied")
		return
	}
	type content struct {
		Key, ETag, LastModified string
		Size                    int
	}
	var page struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string
		EncodingType          string
		Contents              []content
	}
	page.EncodingType = "url"
	for _, k := range slices.Sorted(maps.Keys(f.objects)) {
		if !strings.HasPrefix(k, q.Get("prefix")) || k <= q.Get("continuation-token") {
			continue
		}
		if len(page.Contents) == 3 { // small pages
			page.IsTruncated = true
			break
		}
		o := f.objects[k]
		page.Contents = append(page.Contents, content{url.QueryEscape(k), `"` + etagOf(o.data) + `"`, o.modified.Format("2006-01-02T15:04:05.000Z"), len(o.data)})
		page.NextContinuationToken = k
	}
	if err := xml.NewEncoder(w).Encode(page); err != nil {
		panic(err)
	}
}

func (f *fakeS3) get(w http.ResponseWriter, key string) {
	f.mu.Lock()
	o, ok := f.objects[key]
	f.gets[key]++
	cut := f.cut[key] > 0
	if cut {
		f.cut[key]--
	}
	f.mu.Unlock()
	if !ok {
		f.fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("ETag", `"`+etagOf(o.data)+`"`)
	w.Header().Set("Last-Modified", o.modified.Format(http.TimeFormat))
	w.Header().Set("Content-Length", fmt.Sprint(len(o.data)))
	if cut {
		_, _ = w.Write(o.data[:len(o.data)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(o.data)
}

func (f *fakeS3) notify(w http.ResponseWriter, r *http.Request) {
	if !f.notifies {
		f.fail(w, http.StatusNotImplemented, "NotImplemented")
		return
	}
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case key := <-f.events:
			fmt.Fprintf(w, `{"Records":[{"s3":{"bucket":{"name":"logs"},"object":{"key":%q}}}]}`+"\n", url.QueryEscape(key))
			w.(http.Flusher).Flush()
		}
	}
}

func (f *fakeS3) receiver(t *testing.T, o S3Options) *S3 {
	t.Helper()
	o.Name, o.Tenant, o.Bucket = "bucket", "acme", "logs"
	o.Endpoint, o.PlainHTTP = strings.TrimPrefix(f.server.URL, "http://"), true
	if o.AccessKey == "" {
		o.AccessKey, o.SecretKey = "key", "secret"
	}
	if o.Every == 0 {
		o.Every = 20 * time.Millisecond
	}
	if o.Cursor == "" {
		o.Cursor = filepath.Join(t.TempDir(), "cursor")
	}
	s, err := NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3TakesEachObjectOnce(t *testing.T) {
	f := startS3(t)
	cursor := filepath.Join(t.TempDir(), "cursor")
	sink := new(memorySink)
	var want []string
	add := func(n int) {
		for i := range n {
			line := fmt.Sprintf(`{"n":"%03d %d"}`, len(want), i)
			want = append(want, line)
			f.put(fmt.Sprintf("in/2026/%03d ü+.json.gz", len(want)), []byte(gzipped(line+"\n")), s3Epoch.Add(time.Duration(len(want))*time.Minute))
		}
	}
	add(10)
	f.put("in/empty", nil, s3Epoch)
	f.put("other/x", []byte("not asked for"), s3Epoch)
	for part := range 3 { // each time another process
		r := f.receiver(t, S3Options{Prefix: "in/", Cursor: cursor})
		stop := beside(t, r, sink.take, "source.(*S3)")
		eventually(t, "all objects", func() bool { return strings.Count(sink.data(), "\n") >= len(want) })
		add(5)
		eventually(t, "the new objects", func() bool { return strings.Count(sink.data(), "\n") >= len(want) })
		time.Sleep(60 * time.Millisecond) // listed again
		stop()
		if s := r.Stats(); s.Refused != 0 || s.Records != int64([]int{15, 5, 5}[part]) {
			t.Errorf("part %d: %+v", part, s)
		}
	}
	if got := linesOf(sink.data()); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d: %v", len(got), len(want), got)
	}
	ids := map[string]bool{}
	for _, b := range sink.all() {
		if b.Tenant != "acme" || b.Source != "bucket" || !strings.HasPrefix(b.Peer, "s3://logs/in/2026/") || b.ID == "" || ids[b.ID] {
			t.Errorf("batch %+v", b)
		}
		ids[b.ID] = true
	}
	if n := f.got("in/2026/001 ü+.json.gz"); n != 1 {
		t.Errorf("the first object was read %d times", n)
	}
}

// An object whose connection breaks is read again, in equal batches with equal ids.
func TestS3ReadsAgainWhatWasInterrupted(t *testing.T) {
	f := startS3(t)
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "line %06d of a log\n", i)
	}
	f.put("big.log", []byte(text.String()), s3Epoch)
	f.cut["big.log"] = 2
	sink := new(memorySink)
	r := f.receiver(t, S3Options{Limits: Limits{BatchBytes: 64 << 10}})
	stop := beside(t, r, sink.take, "source.(*S3)")
	eventually(t, "all lines", func() bool { return strings.Contains(sink.data(), "019999") })
	stop()
	byID := map[string]string{}
	var whole strings.Builder
	for _, b := range sink.all() {
		if had, ok := byID[b.ID]; ok {
			// What was cut off may have ended in the middle of a batch.
			if !strings.HasPrefix(string(b.Data), had) {
				t.Errorf("batch %s has other records than before", b.ID)
			}
			continue
		}
		byID[b.ID] = string(b.Data)
		whole.Write(b.Data)
	}
	if whole.String() != text.String() {
		t.Errorf("%d bytes, want %d, of batches that are known by their ids", whole.Len(), text.Len())
	}
	if s := r.Stats(); s.Refused != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestS3Containers(t *testing.T) {
	f := startS3(t)
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for name, text := range map[string]string{"a.json": "[{\"a\":1},\n{\"a\":2}]", "b.csv": "time,user\n1,x\n2,y\n"} {
		m, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(m, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f.put("archive.zip", z.Bytes(), s3Epoch)
	f.put("bomb.gz", []byte(gzipped(strings.Repeat("0", 50<<20))), s3Epoch)
	f.put("damaged.gz", []byte(gzipped(strings.Repeat("some text\n", 1000))[:60]), s3Epoch)
	f.put("last.log", []byte("a line\n"), s3Epoch)
	sink := new(memorySink)
	r := f.receiver(t, S3Options{Format: func(head []byte) string {
		if bytes.HasPrefix(head, []byte("time,user")) {
			return formatCSV
		}
		return ""
	}})
	stop := beside(t, r, sink.take, "source.(*S3)")
	eventually(t, "all", func() bool {
		return f.got("last.log") > 0 && strings.Contains(sink.data(), "a line") && r.Stats().Refused >= 2
	})
	time.Sleep(60 * time.Millisecond)
	stop()
	if n := f.got("bomb.gz"); n != 1 {
		t.Errorf("a bomb was read %d times", n)
	}
	got := map[string]string{}
	for _, b := range sink.all() {
		if !strings.Contains(b.Peer, ".gz") {
			got[b.Peer] += string(b.Head) + "|" + string(b.Data)
		}
	}
	want := map[string]string{
		"s3://logs/archive.zip!a.json": "|{\"a\":1}\n{\"a\":2}\n",
		"s3://logs/archive.zip!b.csv":  "time,user\n|1,x\n2,y\n",
		"s3://logs/last.log":           "|a line\n",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestS3Notifications(t *testing.T) {
	f := startS3(t)
	f.notifies = true
	sink := new(memorySink)
	r := f.receiver(t, S3Options{Prefix: "in/", Every: time.Hour})
	f.put("in/first", []byte("first\n"), s3Epoch)
	stop := beside(t, r, sink.take, "source.(*S3)")
	eventually(t, "the first listing", func() bool { return sink.data() == "first\n" })
	for _, key := range []string{"in/a b+c.log", "in/none", "out/x.log", "in/a b+c.log"} {
		f.put(key, []byte(key+"\n"), s3Epoch)
		if key == "in/none" {
			f.mu.Lock()
			delete(f.objects, key)
			f.mu.Unlock()
		}
		f.events <- key
	}
	f.put("in/last", []byte("last\n"), s3Epoch)
	f.events <- "in/last"
	eventually(t, "the last", func() bool { return strings.Contains(sink.data(), "last") })
	stop()
	if got := sink.data(); got != "first\nin/a b+c.log\nlast\n" {
		t.Errorf("taken %q", got)
	}
}

func TestS3TellsWhatIsWrong(t *testing.T) {
	f := startS3(t)
	f.deny = true
	r := f.receiver(t, S3Options{})
	sink := new(memorySink)
	stop := beside(t, r, sink.take, "source.(*S3)")
	eventually(t, "the refusal to be told", func() bool { return strings.Contains(r.Stats().LastError, "s3:ListBucket") })
	f.mu.Lock()
	f.deny = false
	f.mu.Unlock()
	f.put("late.log", []byte("late\n"), s3Epoch)
	eventually(t, "that it goes on", func() bool { return sink.data() == "late\n" })
	stop()
	for _, o := range []S3Options{{Name: "b"}, {Name: "b", Endpoint: "http://x y", Bucket: "b", Cursor: "c"}} {
		if _, err := NewS3(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestS3WaitsForTheSink(t *testing.T) {
	f := startS3(t)
	f.put("a.log", []byte("a\n"), s3Epoch)
	cursor := filepath.Join(t.TempDir(), "cursor")
	r := f.receiver(t, S3Options{Cursor: cursor})
	stop := beside(t, r, func(context.Context, model.Batch) error { return Later(errFull, 0) }, "source.(*S3)")
	eventually(t, "push-back", func() bool { return r.Stats().PushedBack > 0 })
	stop()
	sink := new(memorySink)
	r = f.receiver(t, S3Options{Cursor: cursor})
	stop = beside(t, r, sink.take, "source.(*S3)")
	eventually(t, "the object", func() bool { return sink.data() == "a\n" })
	stop()
}

func TestS3Cursor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cursor")
	open := func() *s3Cursor {
		t.Helper()
		c, err := openS3Cursor(path, "one")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	shut := func(c *s3Cursor) {
		t.Helper()
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
	at := func(minutes int) time.Time { return s3Epoch.Add(time.Duration(minutes) * time.Minute) }
	object := func(i int) s3Object { return s3ObjectOf(fmt.Sprint(i), "e") }
	c := open()
	const n = 3000
	for i := range n {
		if i%3 != 0 {
			if err := c.took(object(i), at(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(c *s3Cursor, floor int) {
		t.Helper()
		for i := range n {
			if got, want := c.known(object(i), at(i)), i%3 != 0 || i < floor; got != want {
				t.Fatalf("object %d: known is %v, want %v", i, got, want)
			}
		}
	}
	check(c, 0)
	shut(c)
	c = open()
	check(c, 0)
	if err := c.passed(at(n)); err != nil { // 24 h are 1440 min
		t.Fatal(err)
	}
	check(c, n-1440)
	before, _ := os.Stat(path)
	shut(c)
	c = open()
	check(c, n-1440)
	if err := c.passed(at(n)); err != nil {
		t.Fatal(err)
	}
	shut(c)
	if after, _ := os.Stat(path); after.Size() > before.Size() {
		t.Errorf("%d bytes after %d", after.Size(), before.Size())
	}

	// What a crash left half written is cut off.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, "00112233")
	file.Close()
	c = open()
	check(c, n-1440)
	if err := c.took(object(0), at(0)); err != nil {
		t.Fatal(err)
	}
	shut(c)
	c = open()
	check(c, n-1440)
	shut(c)

	if _, err := openS3Cursor(path, "another"); err == nil || !strings.Contains(err.Error(), "another bucket") {
		t.Errorf("a cursor of another bucket: %v", err)
	}
}

func FuzzS3Cursor(f *testing.F) {
	dir := f.TempDir()
	c, err := openS3Cursor(filepath.Join(dir, "seed"), "of")
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(c.took(s3ObjectOf("a", "b"), s3Epoch), c.passed(s3Epoch), c.close()); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(dir, "seed"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-3])
	f.Add([]byte{})
	f.Add([]byte("floor 1\n"))
	f.Add(bytes.Repeat([]byte("x"), 500))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "cursor")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openS3Cursor(path, "of")
		if err != nil {
			return
		}
		o := s3ObjectOf("k", "e")
		if err := errors.Join(c.took(o, s3Epoch), c.close()); err != nil {
			t.Fatal(err)
		}
		if c, err = openS3Cursor(path, "of"); err != nil {
			t.Fatalf("what was read once cannot be read again: %v", err)
		}
		if !c.known(o, s3Epoch) {
			t.Fatal("an object was forgotten")
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	})
}
