package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/catena-sec/catena/internal/model"
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func fixedNow() time.Time { return testNow }

// oneToken is an Authenticate that knows the token "right", and cannot look up
// "broken".
func oneToken(_ context.Context, token string) (Grant, error) {
	switch token {
	case "right":
		return Grant{Tenant: "acme", Source: "beats"}, nil
	case "broken":
		return Grant{}, fmt.Errorf("database is locked")
	}
	return Grant{}, ErrToken
}

// byContent tells formats as decode's registry does, as far as tests need it.
func byContent(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("ElfFile\x00")):
		return formatEVTX
	case bytes.HasPrefix(head, []byte("#separator")):
		return formatZeek
	case bytes.HasPrefix(head, []byte("#")):
		return formatW3C
	case bytes.HasPrefix(head, []byte("{")), bytes.HasPrefix(head, []byte("[{")):
		return formatJSON
	case bytes.HasPrefix(head, []byte("type=")):
		return formatAuditd
	case bytes.HasPrefix(head, []byte("time,")):
		return formatCSV
	}
	return ""
}

func newTestPush(l Limits) *Push {
	return NewPush(PushOptions{Name: "http", Limits: l, Authenticate: oneToken, Format: byContent, Now: fixedNow, Log: slog.New(slog.DiscardHandler)})
}

// send sends a request to a handler and returns its answer.
func send(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer right")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func gzipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text) // to memory
	_ = z.Close()
	return b.String()
}

func zstded(text string) string {
	z, _ := zstd.NewWriter(nil)
	return string(z.EncodeAll([]byte(text), nil))
}

func TestPush(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		answer           string
		data             []string // of the batches, head and format before it
	}{
		{"objects", "/push", "{\"a\":1}\n{\"b\":2}\n", nil, 200, `{"accepted":2,"refused":0}`, []string{"||{\"a\":1}\n{\"b\":2}\n"}},
		{"array", "/push", `[{"a":1},{"b":` + "\n" + `2}]`, nil, 200, `{"accepted":2,"refused":0}`, []string{"||{\"a\":1}\n{\"b\": 2}\n"}},
		{"gzip", "/push", gzipped(`{"a":1}`), []string{"Content-Encoding", "gzip"}, 200, `{"accepted":1,"refused":0}`, []string{"||{\"a\":1}\n"}},
		{"zstd", "/push", zstded(`{"a":1}`), []string{"Content-Encoding", "zstd"}, 200, `{"accepted":1,"refused":0}`, []string{"||{\"a\":1}\n"}},
		{"lines", "/push", "[error] one\ntwo", nil, 200, `{"accepted":2,"refused":0}`, []string{"||[error] one\ntwo\n"}},
		{"named", "/push/syslog", "{\"a\":1}\n", nil, 200, `{"accepted":1,"refused":0}`, []string{"syslog||{\"a\":1}\n"}},
		{"csv", "/push", "a,b\n1,2\n", []string{"Content-Type", "text/csv; charset=utf-8"}, 200, `{"accepted":1,"refused":0}`, []string{"csv|a,b\n|1,2\n"}},
		{"csv by content", "/push", "time,b\n1,2\n", nil, 200, `{"accepted":1,"refused":0}`, []string{"|time,b\n|1,2\n"}},
		{"two heads", "/push", "#Fields: a\n1\n#Fields: b\n2\n", nil, 200, `{"accepted":2,"refused":0}`, []string{"|#Fields: a\n|1\n", "|#Fields: b\n|2\n"}},
		{"damaged objects", "/push", "{\"a\":1}\nx\n{\"b\":2}\n", nil, 200, `{"accepted":2,"refused":1,"errors":[{"record":2,"cause":"begins with 'x' where an object would with {"}]}`, []string{"||{\"a\":1}\n{\"b\":2}\n"}},
		{"nothing but damage", "/push/json", "x\n", nil, 400, `{"accepted":0,"refused":1,"errors":[{"record":1,"cause":"begins with 'x' where an object would with {"}]}`, nil},
		{"empty", "/push", "", nil, 200, `{"accepted":0,"refused":0}`, nil},
		{"no token", "/push", "x", []string{"Authorization", ""}, 401, `{"accepted":0,"refused":0,"error":"a token is needed: Authorization: Bearer TOKEN"}`, nil},
		{"wrong token", "/push", "x", []string{"Authorization", "Bearer wrong"}, 401, `{"accepted":0,"refused":0,"error":"the token is not valid for sending evidence"}`, nil},
		{"token not looked up", "/push", "x", []string{"Authorization", "Bearer broken"}, 503, `{"accepted":0,"refused":0,"error":"the token could not be looked up: send again later"}`, nil},
		{"basic", "/push", "x", []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me:right"))}, 200, `{"accepted":1,"refused":0}`, []string{"||x\n"}},
		{"api key", "/push", "x", []string{"Authorization", "ApiKey " + base64.StdEncoding.EncodeToString([]byte("id:right"))}, 200, `{"accepted":1,"refused":0}`, []string{"||x\n"}},
		{"unknown encoding", "/push", "x", []string{"Content-Encoding", "br"}, 415, `{"accepted":0,"refused":0,"error":"content encoding \"br\" is not known: send gzip, zstd, deflate or none"}`, nil},
		{"no gzip", "/push", "xxxxxxxxxxxxxxxxxxxx", []string{"Content-Encoding", "gzip"}, 400, `{"accepted":0,"refused":0,"error":"the request cannot be read: gzip: gzip: invalid header"}`, nil},
		{"no format", "/push/UPPER", "x", nil, 404, `{"accepted":0,"refused":0,"error":"no format has this name: send to /push"}`, nil},
	} {
		m := &memorySink{}
		w := send(newTestPush(Limits{}).Handler(m.take), "POST", c.path, c.body, c.headers...)
		if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.answer {
			t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, w.Body, c.status, c.answer)
		}
		var data []string
		for _, b := range m.all() {
			data = append(data, b.Format+"|"+string(b.Head)+"|"+string(b.Data))
			if b.Tenant != "acme" || b.Source != "beats" || b.Peer != "192.0.2.1" || !b.Received.Equal(testNow) {
				t.Errorf("%s: batch of %q, %q, %q at %v", c.name, b.Tenant, b.Source, b.Peer, b.Received)
			}
		}
		if fmt.Sprint(data) != fmt.Sprint(c.data) {
			t.Errorf("%s: batches %q, want %q", c.name, data, c.data)
		}
	}
}

func TestPushLimits(t *testing.T) {
	bomb := gzipped(strings.Repeat("{}\n", 2<<20))
	for _, c := range []struct {
		name, body, encoding string
		l                    Limits
		status               int
	}{
		{"body", strings.Repeat("x\n", 1000), "", Limits{Body: 100}, 413},
		{"body of objects", strings.Repeat("{}\n", 1000), "", Limits{Body: 100}, 413},
		{"unpacked", gzipped(strings.Repeat("ab\n", 1000)), "gzip", Limits{Unpacked: 100}, 413},
		{"bomb of gzip", bomb, "gzip", Limits{}, 413},
		{"bomb of zstd", zstded(strings.Repeat("x", 10<<20)), "zstd", Limits{}, 413},
		{"endless line", strings.Repeat("x", 100_000), "", Limits{Record: 1000, BatchBytes: 100}, 400},
		{"cut off", bomb[:200], "gzip", Limits{}, 400},
	} {
		m := &memorySink{}
		p := newTestPush(c.l)
		w := send(p.Handler(m.take), "POST", "/push", c.body, "Content-Encoding", c.encoding)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if s := p.Stats(); s.Refused == 0 || s.LastError == "" {
			t.Errorf("%s: not counted: %+v", c.name, s)
		}
		for _, b := range m.all() {
			if len(b.Data) > MaxBatch {
				t.Errorf("%s: a batch of %d bytes", c.name, len(b.Data))
			}
		}
	}
}

// TestPushAgainMakesEqualBatches: batches are cut where records say, not where reads
// end, so that the queue knows them again.
func TestPushAgainMakesEqualBatches(t *testing.T) {
	for _, line := range []string{"{\"n\":%d}\n", "plain line %d\n"} {
		var body strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&body, line, i)
		}
		var first []model.Batch
		for i, size := range []int{1, 7, 1000, 1 << 20} {
			m := &memorySink{}
			h := newTestPush(Limits{BatchBytes: 1000}).Handler(m.take)
			r := httptest.NewRequest(http.MethodPost, "/push", &smallReads{strings.NewReader(body.String()), size})
			r.Header.Set("Authorization", "Bearer right")
			h.ServeHTTP(httptest.NewRecorder(), r)
			got := m.all()
			if m.data() != body.String() {
				t.Fatal("not what was sent")
			}
			if i == 0 {
				first = got
				continue
			}
			if len(got) != len(first) {
				t.Fatalf("%d batches, then %d", len(first), len(got))
			}
			for k := range got {
				if !bytes.Equal(got[k].Data, first[k].Data) {
					t.Fatalf("batch %d differs", k)
				}
			}
		}
	}
}

type smallReads struct {
	r io.Reader
	n int
}

func (s *smallReads) Read(p []byte) (int, error) { return s.r.Read(p[:min(s.n, len(p))]) }

func TestPushBack(t *testing.T) {
	full := &memorySink{fail: func(int, model.Batch) error { return Later(errFull, 3*time.Second) }}
	never := &memorySink{fail: func(int, model.Batch) error { return errFull }}
	bulk := "{\"create\":{}}\n{\"a\":1}\n"
	for _, c := range []struct {
		path, body string
		sink       *memorySink
		status     int
		after      string
		text       string
	}{
		{"/push", "x\n", full, 429, "3", "send again later"},
		{"/push", "{}\n", never, 500, "", "could not be kept"},
		{"/_bulk", bulk, full, 429, "3", "es_rejected_execution_exception"},
		{"/_bulk", bulk, never, 500, "", "could not be kept"},
		{"/services/collector", `{"event":"x"}`, full, 503, "3", `"code":9`},
		{"/services/collector/raw", "x", never, 500, "", `"code":8`},
	} {
		p := newTestPush(Limits{})
		w := send(p.Handler(c.sink.take), "POST", c.path, c.body)
		if w.Code != c.status || w.Header().Get("Retry-After") != c.after || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: %d, Retry-After %q, %s", c.path, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
		if s := p.Stats(); (s.PushedBack == 1) != (c.after != "") || s.Records != 0 {
			t.Errorf("%s: stats %+v", c.path, s)
		}
	}
}

func TestBulk(t *testing.T) {
	m := &memorySink{}
	p := newTestPush(Limits{})
	h := p.Handler(m.take)
	body := `{"create":{"_index":"logs-x"}}` + "\n" + `{"message":"one"}` + "\n" +
		`{"index":{"_index":"logs-\"y","_id":"1"}}` + "\r\n" + `{"message":"two"}` + "\n\n" +
		`{"delete":{"_id":"2"}}` + "\n" +
		`{"update":{"_id":"2"}}` + "\n" + `{"doc":{}}` + "\n" +
		`{"create":{}}` + "\n" + `not an object` + "\n" +
		`{"create":{}}` + "\n" + `{"message":"three"}`
	w := send(h, "POST", "/logs-x/_bulk?filter_path=errors", gzipped(body), "Content-Encoding", "gzip")
	var answer struct {
		Errors bool
		Items  []map[string]struct {
			Index  string `json:"_index"`
			Status int
			Error  struct{ Type, Reason string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || w.Header().Get("X-Elastic-Product") != "Elasticsearch" {
		t.Fatalf("%d %v %s", w.Code, err, w.Body)
	}
	var got []string
	for _, item := range answer.Items {
		for action, i := range item {
			got = append(got, action+" "+i.Index+" "+strconv.Itoa(i.Status)+" "+i.Error.Reason)
		}
	}
	want := []string{"create logs-x 201 ", "index logs-\"y 201 ", "delete  400 delete: evidence is not changed: use create",
		"update  400 update: evidence is not changed: use create", "create  400 the document is no object", "create  201 "}
	if fmt.Sprint(got) != fmt.Sprint(want) || !answer.Errors {
		t.Errorf("items %q\nwant  %q", got, want)
	}
	if m.data() != "{\"message\":\"one\"}\n{\"message\":\"two\"}\n{\"message\":\"three\"}\n" {
		t.Errorf("kept %q", m.data())
	}
	if s := p.Stats(); s.Records != 3 || s.Refused != 3 {
		t.Errorf("stats %+v", s)
	}
	for _, bad := range []string{"x\n{}\n", "{\"create\":{}}\n", "{\"create\":{},\"index\":{}}\n{}\n", "{\"create\":{\"_index\":\"" + strings.Repeat("x", maxAction) + "\"}}\n{}\n", "{\"create\":1}\n{}\n"} {
		if w := send(h, "POST", "/_bulk", bad); w.Code != 400 || !strings.Contains(w.Body.String(), "action 1") {
			t.Errorf("%.40q: %d %s", bad, w.Code, w.Body)
		}
	}
}

// TestBulkTellsItemByItem: what the queue took before it filled up is not to be sent
// again.
func TestBulkTellsItemByItem(t *testing.T) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, "{\"create\":{\"_index\":\"i\"}}\n{\"n\":%d}\n", i)
	}
	for failAt := range 12 {
		m := &memorySink{fail: func(n int, _ model.Batch) error {
			if n >= failAt {
				return Later(errFull, 0)
			}
			return nil
		}}
		w := send(newTestPush(Limits{BatchBytes: 100}).Handler(m.take), "POST", "/_bulk", body.String())
		kept := strings.Count(m.data(), "\n")
		if kept == 0 {
			if w.Code != 429 {
				t.Errorf("nothing kept: %d", w.Code)
			}
			continue
		}
		if n := strings.Count(w.Body.String(), `"status":201`); n != kept || strings.Count(w.Body.String(), `"status":429`) != 100-kept || w.Code != 200 {
			t.Errorf("%d of 100 are kept, %d are said to be: %d", kept, n, w.Code)
		}
	}
}

func TestElasticHandshake(t *testing.T) {
	h := newTestPush(Limits{}).Handler((&memorySink{}).take)
	for _, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/", 200, `"number":"8.19.0"`},
		{"HEAD", "/", 200, ""},
		{"GET", "/_license", 200, `"status":"active"`},
		{"GET", "/_index_template/filebeat-8.19.0", 200, "{}"},
		{"PUT", "/_ilm/policy/filebeat", 200, `"acknowledged":true`},
		{"GET", "/_search", 404, "only _bulk is served here"},
		{"GET", "/some-index/_search", 404, "only _bulk is served here"},
	} {
		w := send(h, c.method, c.path, "")
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || w.Header().Get("X-Elastic-Product") == "" {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if w := send(h, c.method, c.path, "", "Authorization", ""); w.Code != 401 {
			t.Errorf("%s %s without a token: %d", c.method, c.path, w.Code)
		}
	}
}

func TestEventCollector(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body, token string
		status                          int
		answer, data                    string
	}{
		{"events", "POST", "/services/collector/event", `{"event":"a","host":"h"}{"event":{"b":1}}` + "\n" + `{"event":"c"}`, "Splunk right", 200,
			`{"text":"Success","code":0}`, "{\"event\":\"a\",\"host\":\"h\"}\n{\"event\":{\"b\":1}}\n{\"event\":\"c\"}\n"},
		{"raw", "POST", "/services/collector/raw?host=h", "one\ntwo\n", "Splunk right", 200, `{"text":"Success","code":0}`, "one\ntwo\n"},
		{"raw objects", "POST", "/services/collector/raw", `{"a":1}{"b":2}`, "Splunk right", 200, `{"text":"Success","code":0}`, "{\"a\":1}\n{\"b\":2}\n"},
		{"second is bad", "POST", "/services/collector", `{"event":"a"}nonsense`, "Splunk right", 400, `{"text":"Invalid data format","code":6,"invalid-event-number":1}`, "{\"event\":\"a\"}\n"},
		{"no event", "POST", "/services/collector", `{"host":"a"}`, "Splunk right", 400, `{"text":"Event field is required","code":12,"invalid-event-number":0}`, ""},
		{"no data", "POST", "/services/collector", ``, "Splunk right", 400, `{"text":"No data","code":5}`, ""},
		{"no raw data", "POST", "/services/collector/raw", "\n", "Splunk right", 400, `{"text":"No data","code":5}`, ""},
		{"wrong token", "POST", "/services/collector", `{"event":"a"}`, "Splunk wrong", 403, `{"text":"the token is not valid for sending evidence","code":4}`, ""},
		{"no token", "POST", "/services/collector", `{"event":"a"}`, "", 401, `{"text":"` + errNoToken + `","code":2}`, ""},
		{"health", "GET", "/services/collector/health", "", "", 200, `{"text":"HEC is healthy","code":17}`, ""},
		{"ack", "POST", "/services/collector/ack", "{}", "Splunk right", 400, `{"text":"ACK is disabled","code":14}`, ""},
	} {
		m := &memorySink{}
		w := send(newTestPush(Limits{}).Handler(m.take), c.method, c.path, c.body, "Authorization", c.token)
		if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.answer || m.data() != c.data {
			t.Errorf("%s: %d %s, kept %q", c.name, w.Code, w.Body, m.data())
		}
	}
}

func FuzzPush(f *testing.F) {
	f.Add("/push", "[{\"a\":1},\nx{}]", "")
	f.Add("/_bulk", "{\"create\":{}}\n{\"a\":1}\n{\"index\":{\"_index\":\"\\u0000\"}}\n{}\n", "")
	f.Add("/services/collector", "{\"event\":1}{", "")
	f.Add("/services/collector/raw", "#Fields: a\n1\n", "gzip")
	f.Add("/push/csv", "a,\"b\n\"\n1,2", "deflate")
	f.Fuzz(func(t *testing.T, path, body, encoding string) {
		switch path {
		case "/push", "/push/csv", "/push/evtx", "/push/json", "/_bulk", "/i/_bulk", "/services/collector", "/services/collector/raw":
		default:
			return
		}
		m := &memorySink{}
		w := send(newTestPush(Limits{BatchBytes: 64, Record: 256}).Handler(m.take), "POST", path, body, "Content-Encoding", encoding)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer is no JSON: %q", w.Body)
		}
		for _, b := range m.all() {
			if len(b.Data) == 0 || len(b.Data) > len(body)*1100+1<<20 {
				t.Fatalf("a batch of %d bytes of %d", len(b.Data), len(body))
			}
		}
	})
}

// BenchmarkPush measures records of 500 bytes through the handler into nothing.
func BenchmarkPush(b *testing.B) {
	record := `{"@timestamp":"2026-01-02T03:04:05Z","host":{"name":"web1"},"message":"` + strings.Repeat("word ", 80) + `","n":1}`
	lines := strings.Repeat(record+"\n", 1000)
	bulk := strings.Repeat("{\"create\":{\"_index\":\"logs\"}}\n"+record+"\n", 1000)
	text := strings.Repeat("Jan  2 03:04:05 web1 sshd[12]: "+strings.Repeat("word ", 90)+"\n", 1000)
	for _, c := range []struct{ name, path, body, encoding string }{
		{"ndjson", "/push", lines, ""},
		{"ndjson-gzip", "/push", gzipped(lines), "gzip"},
		{"lines", "/push", text, ""},
		{"bulk", "/_bulk", bulk, ""},
		{"hec", "/services/collector", strings.Repeat(`{"event":`+record+`}`, 1000), ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := newTestPush(Limits{}).Handler(func(context.Context, model.Batch) error { return nil })
			b.ReportAllocs()
			for b.Loop() {
				if w := send(h, "POST", c.path, c.body, "Content-Encoding", c.encoding); w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "records/s")
		})
	}
}
