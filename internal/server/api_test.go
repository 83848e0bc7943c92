package server

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/store"
)

func TestPagesOfAList(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.incident(DefaultTenant, 10+i, 1)
	}
	seen := map[string]bool{}
	path, pages := "/incidents?limit=3&open=yes", 0
	for cursor := ""; ; pages++ {
		var p store.Page[store.Listed]
		w.want(w.api(Viewer, http.MethodGet, path+cursor, nil), 200).json(t, &p)
		for _, x := range p.Items {
			if seen[x.ID] {
				t.Errorf("%s comes twice", x.ID)
			}
			seen[x.ID] = true
		}
		if p.Next == "" {
			break
		}
		cursor = "&cursor=" + p.Next
		// The cursor of one list is none of another.
		w.want(w.api(Viewer, http.MethodGet, "/incidents?limit=3&open=no"+cursor, nil), 400)
		w.want(w.api(Viewer, http.MethodGet, "/decisions?limit=3"+cursor, nil), 400)
	}
	if len(seen) != 8 || pages != 2 {
		t.Errorf("%d incidents on %d pages", len(seen), pages+1)
	}
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "limit=-1", "cursor=%00", "cursor=x", "cursor=" + strings.Repeat("a", 2000), "status=wrong", "nonsense=1", "since=yesterday", "entity=nothing",
		"severity=high&severity=wrong", "owner=x&unassigned=true", "tenant=" + strings.Repeat("a", 50)} {
		if g := w.api(Viewer, http.MethodGet, "/incidents?"+bad, nil); g.status/100 != 4 || g.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, %s: %s", bad, g.status, g.header.Get("Content-Type"), g.body)
		}
	}
}

func TestFilters(t *testing.T) {
	w := newWorld(t)
	id := incidentNo(1000)
	w.want(w.api(Analyst, http.MethodPost, "/incidents/"+id+"/assign", map[string]string{"owner": "ann"}), 200)
	for q, want := range map[string]int{"": 1, "owner=ann": 1, "owner=bob": 0, "unassigned=true": 0, "status=new": 1, "status=closed&status=resolved": 0, "status=new&status=closed": 1, "severity=high": 1, "severity=low": 0,
		"entity=host:web1": 1, "entity=host:web2": 0, "technique=T1059": 1, "text=ALERT(1)": 1, "text=%25": 0, "since=2026-03-01T11:00:30Z": 1, "since=2026-03-01T12:00:30Z": 0, "until=2026-03-01T10:00:00Z": 0, "open=no": 0} {
		var p store.Page[store.Listed]
		w.want(w.api(Viewer, http.MethodGet, "/incidents?"+q, nil), 200).json(t, &p)
		if len(p.Items) != want {
			t.Errorf("%s: %d incidents, want %d", q, len(p.Items), want)
		}
		var f store.Facets
		w.want(w.api(Viewer, http.MethodGet, "/incidents/facets?"+q, nil), 200).json(t, &f)
		if f.Total != want {
			t.Errorf("%s: %d counted, want %d", q, f.Total, want)
		}
	}
}

func TestWhoChangesWhatAnotherChangedIsTold(t *testing.T) {
	w := newWorld(t)
	path := "/incidents/" + incidentNo(1000)
	tag := w.want(w.api(Viewer, http.MethodGet, path, nil), 200).header.Get("ETag")
	if g := w.api(Viewer, http.MethodGet, path, nil, "If-None-Match", tag); g.status != 304 || len(g.body) != 0 {
		t.Errorf("unchanged: status %d with %d bytes", g.status, len(g.body))
	}
	status := func(v, match string) got {
		return w.api(Analyst, http.MethodPost, path+"/status", map[string]string{"status": v}, "If-Match", match)
	}
	next := w.want(status("in_progress", tag), 200).header.Get("ETag")
	if next == "" || next == tag {
		t.Errorf("tag %s after %s", next, tag)
	}
	w.want(status("closed", tag), 412)
	w.want(status("closed", "nonsense"), 400)
	w.want(status("closed", `"1-2", "3-4"`), 400)
	w.want(status("on_hold", next), 200)
	w.want(status("resolved", "*"), 200)
	w.want(w.api(Viewer, http.MethodGet, path, nil, "If-None-Match", tag), 200)

	v1 := w.want(w.api(Analyst, http.MethodPut, "/hunts/mine", map[string]any{"body": 1}), 200).header.Get("ETag")
	v2 := w.want(w.api(Analyst, http.MethodPut, "/hunts/mine", map[string]any{"body": 2}, "If-Match", v1), 200).header.Get("ETag")
	w.want(w.api(Analyst, http.MethodPut, "/hunts/mine", map[string]any{"body": 3}, "If-Match", v1), 412)
	w.want(w.api(Analyst, http.MethodDelete, "/hunts/mine", nil, "If-Match", v1), 412)
	w.want(w.api(Analyst, http.MethodDelete, "/hunts/mine", nil, "If-Match", v2), 204)
	w.want(w.api(Analyst, http.MethodDelete, "/hunts/mine", nil), 404)
}

func TestAChangeThatIsSentAgainIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	path := "/incidents/" + incidentNo(1000) + "/comment"
	say := func(role Role, key, text string) got {
		return w.api(role, http.MethodPost, path, map[string]string{"text": text}, idempotencyHeader, key)
	}
	first := w.want(say(Analyst, "k1", "seen"), 200)
	w.clock.add(time.Second)
	again := w.want(say(Analyst, "k1", "seen"), 200)
	if string(first.body) != string(again.body) || again.header.Get("Idempotent-Replay") != "true" || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("first %s, again %s", first.body, again.body)
	}
	w.want(say(Analyst, "k1", "another"), 422)
	w.want(say(Responder, "k1", "seen"), 200) // of somebody else it is another key
	w.want(say(Analyst, strings.Repeat("k", 201), "seen"), 400)
	w.want(say(Viewer, "k2", "seen"), 403)
	if n := len(w.engine.told(DefaultTenant)); n != 2 {
		t.Errorf("%d decisions were made", n)
	}
	w.clock.add(keyLife + time.Second)
	w.tokens[Analyst] = w.token("analyst-2", []Grant{{DefaultTenant, Analyst}}, "*")
	w.want(say(Analyst, "k1", "seen"), 200)
	if n := len(w.engine.told(DefaultTenant)); n != 3 {
		t.Errorf("%d decisions were made after a day", n)
	}
}

func TestDecisionsReachTheEngineInOrderAndLater(t *testing.T) {
	w := newWorld(t)
	path := "/incidents/" + incidentNo(1000)
	say := func(text string) (d Done) {
		w.clock.add(time.Second)
		w.want(w.api(Analyst, http.MethodPost, path+"/comment", map[string]string{"text": text}), 200).json(t, &d)
		return d
	}
	w.engine.full = true
	if d := say("one"); !d.Waiting || !d.Applied {
		t.Errorf("while the stream is full: %+v", d)
	}
	say("two")
	if n := len(w.engine.told(DefaultTenant)); n != 0 {
		t.Fatalf("%d were told", n)
	}
	// Kept through a restart, and told in order.
	w.engine.full = false
	w.s.relay = newRelay(w.engine, w.clock.now)
	must(t, w.s.Flush(t.Context()))
	if d := say("three"); d.Waiting {
		t.Errorf("waits: %+v", d)
	}
	var texts []string
	for _, d := range w.engine.told(DefaultTenant) {
		texts = append(texts, d.Reason)
	}
	if strings.Join(texts, " ") != "one two three" {
		t.Errorf("told %v", texts)
	}
	w.s.relay = newRelay(w.engine, w.clock.now)
	must(t, w.s.Flush(t.Context()))
	if n := len(w.engine.told(DefaultTenant)); n != 3 {
		t.Errorf("%d were told after another restart", n)
	}
}

func TestBulk(t *testing.T) {
	w := newWorld(t)
	id := w.incident(DefaultTenant, 5, 1)
	var out Bulk
	w.want(w.api(Analyst, http.MethodPost, "/incidents/bulk", map[string]any{"ids": []string{incidentNo(1000), "inc-0123456789abcdef", id, incidentNo(2000)}, "deed": "status", "value": "closed", "reason": "drill"}), 200).json(t, &out)
	var codes []int
	for _, x := range out.Items {
		codes = append(codes, x.Status)
	}
	if fmt.Sprint(codes) != "[200 404 200 404]" || out.Done != 2 || out.Failed != 2 {
		t.Errorf("%+v", out)
	}
	w.want(w.api(Analyst, http.MethodPost, "/incidents/bulk", map[string]any{"ids": []string{id}, "deed": "exclude", "value": "x"}), 422)
	many := make([]string, maxBulk+1)
	for i := range many {
		many[i] = fmt.Sprintf("inc-%016x", i)
	}
	w.want(w.api(Analyst, http.MethodPost, "/incidents/bulk", map[string]any{"ids": many, "deed": "status", "value": "closed"}), 422)
}

func TestDecisionsStayWithinTheirIncident(t *testing.T) {
	w := newWorld(t)
	other := w.incident(DefaultTenant, 5, 2)
	path := "/incidents/" + incidentNo(1000)
	for deed, b := range map[string]map[string]any{
		"cut":   {"from": alertNo(1000), "to": alertNo(5000), "reason": "x"},
		"link":  {"from": alertNo(5000), "to": alertNo(1000), "reason": "x"},
		"split": {"alerts": []string{alertNo(5000)}, "reason": "x"},
		"move":  {"alert": alertNo(5000), "into": other, "reason": "x"},
	} {
		if g := w.api(Analyst, http.MethodPost, path+"/"+deed, b); g.status != 422 {
			t.Errorf("%s: status %d: %s", deed, g.status, g.body)
		}
	}
	var d Done
	w.want(w.api(Responder, http.MethodPost, "/exclusions", map[string]any{"where": map[string]string{"entity": "host:web1"}, "reason": "scanner"}), 200).json(t, &d)
	w.clock.add(time.Second)
	undo := func(r Role) got {
		return w.api(r, http.MethodPost, "/decisions/"+d.Decision.ID+"/undo", map[string]string{"reason": "wrong"})
	}
	w.want(undo(Analyst), 403)
	w.want(undo(Responder), 200)
}

func TestSuppressionsAndTheirPreview(t *testing.T) {
	w := newWorld(t)
	var p Preview
	w.want(w.api(Viewer, http.MethodGet, "/suppressions/preview?rule=rule-1", nil), 200).json(t, &p)
	if p.Matched != 3 || len(p.Silent) != 1 || p.Silent[0].Incident != incidentNo(1000) || !p.All || p.Worst != model.High {
		t.Errorf("preview %+v", p)
	}
	w.want(w.api(Viewer, http.MethodGet, "/suppressions/preview?rule=none", nil), 200).json(t, &p)
	w.want(w.api(Viewer, http.MethodGet, "/suppressions/preview", nil), 422)
	for until, want := range map[string]int{"2026-03-02T00:00:00Z": 200, "2026-02-02T00:00:00Z": 422, "2036-03-02T00:00:00Z": 422} {
		w.want(w.api(Analyst, http.MethodPost, "/suppressions", map[string]any{"where": map[string]string{"rule": "rule-1"}, "until": until, "reason": "known"}), want)
	}
	w.want(w.api(Analyst, http.MethodPost, "/suppressions", map[string]any{"where": map[string]string{}, "until": "2026-03-02T00:00:00Z", "reason": "all"}), 422)
	var l store.Page[store.Said]
	w.want(w.api(Viewer, http.MethodGet, "/suppressions", nil), 200).json(t, &l)
	if len(l.Items) != 1 {
		t.Errorf("%d in force", len(l.Items))
	}
	w.clock.add(20 * time.Hour)
	w.want(w.api(Viewer, http.MethodGet, "/suppressions", nil), 200).json(t, &l)
	if len(l.Items) != 0 {
		t.Errorf("%d in force after their end", len(l.Items))
	}
}

func TestHunts(t *testing.T) {
	w := newWorld(t)
	for q, want := range map[string]int{"text=alert(1)": 3, "text=ALERT(1)&text=default": 3, "not=default": 0, "field=host=web1": 3, "field=host!=web1": 0, "field=host^=we": 3, "field=host*=eb": 3, "text=other": 0, "limit=2": 2,
		"from=2026-03-01T11:00:00.001Z": 2, "to=2026-03-01T11:00:00.001Z": 1, "text=": 3} {
		var p EventPage
		w.want(w.api(Viewer, http.MethodGet, "/events?"+strings.ReplaceAll(q, "^", "%5E"), nil), 200).json(t, &p)
		if len(p.Items) != want {
			t.Errorf("%s: %d events, want %d", q, len(p.Items), want)
		}
	}
	for _, bad := range []string{"field=host", "field=nothing=1", "field=host~=x", "entity=x", "from=2026-03-01T11:00:00Z&to=2026-03-01T11:00:00Z", "cursor=x"} {
		if g := w.api(Viewer, http.MethodGet, "/events?"+bad, nil); g.status/100 != 4 {
			t.Errorf("%s: status %d", bad, g.status)
		}
	}
	var r Records
	w.want(w.api(Viewer, http.MethodGet, "/incidents/"+incidentNo(1000)+"/evidence", nil), 200).json(t, &r)
	if len(r.Items) != 3 || len(r.Missing) != 0 {
		t.Errorf("evidence %+v", r)
	}
}

func TestRecordsOfAnAnswerAreBounded(t *testing.T) {
	big := []byte(strings.Repeat("ä", rawShown))
	rows := make([]store.Row, 200)
	for i := range rows {
		rows[i].Raw = big
	}
	rows[1].Raw = []byte("bad \xff byte")
	total := 0
	l := eventsOf(rows)
	for _, e := range l {
		total += len(e.Raw)
	}
	if total > rawAll+8 || !l[0].Cut || strings.ContainsRune(l[0].Raw, '\uFFFD') || l[1].Raw != "bad \uFFFD byte" || !l[199].Cut {
		t.Errorf("%d bytes; the first is cut: %v; the second is %q", total, l[0].Cut, l[1].Raw)
	}
}

func TestReportsInEveryFormat(t *testing.T) {
	w := newWorld(t)
	for _, f := range w.s.formats() {
		g := w.want(w.api(Viewer, http.MethodGet, "/incidents/"+incidentNo(1000)+"/report/"+f, nil), 200)
		if len(g.body) == 0 || !strings.HasPrefix(g.header.Get("Content-Security-Policy"), "sandbox;") || !strings.Contains(g.header.Get("Content-Disposition"), "filename=") {
			t.Errorf("%s: %d bytes, %v", f, len(g.body), g.header)
		}
		if strings.HasPrefix(g.header.Get("Content-Type"), "text/html") && strings.Contains(string(g.body), "<script>alert") {
			t.Errorf("%s: the title is markup", f)
		}
	}
	w.want(w.api(Viewer, http.MethodGet, "/incidents/"+incidentNo(1000)+"/report/exe", nil), 404)
}

func TestHostileTextComesBackEscaped(t *testing.T) {
	w := newWorld(t)
	w.account("ann", passphras, []Grant{{DefaultTenant, Analyst}})
	b := w.browser()
	b.enter("ann", passphras)
	page := w.want(b.get("/"), 200)
	if s := string(page.body); strings.Contains(s, "<script") || strings.Contains(s, "\u202e") || strings.Contains(s, "\x1b") || !strings.Contains(s, "&lt;script&gt;") {
		t.Errorf("the start page holds the title as it came: %.300s", s)
	}
	for _, path := range []string{"/incidents", "/incidents/" + incidentNo(1000), "/alerts", "/rules", "/events", "/incidents/" + incidentNo(1000) + "/graph"} {
		if g := w.want(w.api(Viewer, http.MethodGet, path, nil), 200); strings.ContainsAny(string(g.body), "<>\x1b") || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s with markup in it", path, g.header.Get("Content-Type"))
		}
	}
	// What is asked comes back in problems and on the log-in page.
	if g := w.api(Viewer, http.MethodGet, "/incidents/"+"%3Cscript%3E", nil); strings.Contains(string(g.body), "<script") {
		t.Errorf("problem %s", g.body)
	}
	login := w.browser().post("/login", map[string][]string{"account": {`"><script>`}, "password": {"x"}, "next": {`"><script>`}})
	if strings.Contains(string(login.body), "<script") {
		t.Errorf("log-in page %s", login.body)
	}
	login = w.browser().get("/login?next=%22%3E%3Cscript%3E")
	if strings.Contains(string(login.body), "<script") {
		t.Errorf("log-in page %s", login.body)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	w := newWorld(t)
	path := "/incidents/" + incidentNo(1000) + "/comment"
	long := `{"text":"` + strings.Repeat("x", maxBody) + `"}`
	for _, header := range [][]string{nil, {idempotencyHeader, "k"}} {
		if g := w.api(Analyst, http.MethodPost, path, long, header...); g.status != 413 && g.status != 400 {
			t.Errorf("a long body, %v: status %d: %.200s", header, g.status, g.body)
		}
	}
	for _, bad := range []string{"", "{", "[]", `{"text":1}`, `{"text":"x","more":1}`, strings.Repeat("[", 100_000), `{"text":"` + strings.Repeat("y", 5000) + `"}`} {
		if g := w.api(Analyst, http.MethodPost, path, bad); g.status/100 != 4 {
			t.Errorf("%.30q: status %d", bad, g.status)
		}
	}
	w.want(w.api(Analyst, http.MethodPost, path, "<x/>", "Content-Type", "application/xml"), 415)
	w.want(w.api(Analyst, http.MethodPatch, path, "{}"), 405)
	w.want(w.api(Analyst, http.MethodGet, "/nowhere", nil), 404)
}

func TestAnswersAreCompressed(t *testing.T) {
	w := newWorld(t)
	g := w.api(Viewer, http.MethodGet, "/incidents/"+incidentNo(1000), nil, "Accept-Encoding", "gzip")
	if g.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("encoding %q of %d bytes", g.header.Get("Content-Encoding"), len(g.body))
	}
	z, err := gzip.NewReader(strings.NewReader(string(g.body)))
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	if !strings.HasPrefix(string(b), `{"id":"inc-`) {
		t.Errorf("%.100s", b)
	}
}

func TestAFaultOfOursIsToldAndNotWhatItWas(t *testing.T) {
	w := newWorld(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { panic("secret") })
	w.web.Config.Handler = w.s.outermost(mux)
	if g := w.ask("", http.MethodGet, "/", nil); g.status != 500 || strings.Contains(string(g.body), "secret") {
		t.Errorf("status %d: %s", g.status, g.body)
	}
	for err, want := range map[error]int{
		fmt.Errorf("read /data/x.db: %w: incident", store.ErrNotFound): 404, fmt.Errorf("x: %w", store.ErrConflict): 412, fmt.Errorf("x: %w", store.ErrExists): 409, store.ErrFull: 503, store.ErrLimit: 422,
		errFullStream{}: 503, ErrUnsupported: 501, errors.New("/data/secret"): 500, context.DeadlineExceeded: 503, huma.Error403Forbidden("x"): 403,
	} {
		p := asStatus(w.s.problem(t.Context(), "test", err))
		if p.GetStatus() != want || strings.Contains(p.Error(), "/data") {
			t.Errorf("%v: status %d, %s", err, p.GetStatus(), p.Error())
		}
	}
}

func TestFillLeavesNoNullLists(t *testing.T) {
	type inner struct {
		L []string       `json:"l"`
		M map[string]int `json:"m"`
		O []string       `json:"o,omitempty"`
	}
	v := struct {
		A []inner    `json:"a"`
		P *inner     `json:"p"`
		T time.Time  `json:"t"`
		N [][]string `json:"n"`
	}{A: []inner{{}}, P: &inner{}, N: [][]string{nil}}
	fill(reflect.ValueOf(&v))
	if got := string(jsonOf(v)); got != `{"a":[{"l":[],"m":{}}],"p":{"l":[],"m":{}},"t":"0001-01-01T00:00:00Z","n":[null]}` {
		t.Error(got)
	}
}

// events reads server-sent events until n are there.
func events(t *testing.T, r *bufio.Reader, n int) (out []string) {
	t.Helper()
	var cur []string
	for len(out) < n {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d events: %v", len(out), err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && len(cur) > 0:
			out = append(out, strings.Join(cur, "|"))
			cur = nil
		case line != "" && !strings.HasPrefix(line, ":"):
			cur = append(cur, line)
		}
	}
	return out
}

// A listener is a stream of changes that is read.
type listener struct {
	*bufio.Reader
	status int
	header http.Header
	close  func()
}

func (w *world) listen(token, query string, header ...string) listener {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.web.URL+prefix+"/changes/stream"+query, nil)
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	shut := func() { _ = res.Body.Close() }
	w.t.Cleanup(shut)
	return listener{bufio.NewReader(res.Body), res.StatusCode, res.Header, shut}
}

func TestTheStreamOfChanges(t *testing.T) {
	w := newWorld(t)
	r := w.listen(w.tokens[Viewer], "")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %s", r.status, r.header.Get("Content-Type"))
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, ":") {
		t.Fatalf("first line %q, %v", line, err)
	}
	w.incident(DefaultTenant, 5, 1)
	w.incident("other", 6, 1) // of another tenant: not heard here
	w.incident(DefaultTenant, 7, 1)
	l := events(t, r.Reader, 2)
	for i, e := range l {
		if !strings.HasPrefix(e, fmt.Sprintf("id: %d|event: change|data: {", i+2)) || !strings.Contains(e, incidentNo([]int{5000, 7000}[i])) {
			t.Errorf("event %d: %s", i, e)
		}
	}
	r.close()
	// Who comes again with the last number it had misses nothing.
	for _, again := range []struct {
		query  string
		header []string
	}{{"", []string{"Last-Event-ID", "2"}}, {"?after=2", nil}, {"?after=1", []string{"Last-Event-ID", "2"}}} {
		r = w.listen(w.tokens[Viewer], again.query, again.header...)
		if l := events(t, r.Reader, 1); !strings.HasPrefix(l[0], "id: 3|") {
			t.Errorf("%v: %s", again, l[0])
		}
		r.close()
	}
	if r := w.listen(w.tokens[Viewer], "?tenant=other"); r.status != http.StatusNotFound {
		t.Errorf("another tenant's stream: %d", r.status)
	}
	if r := w.listen("cat_wrong", ""); r.status != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d", r.status)
	}
}

func TestAStreamEndsWithItsRights(t *testing.T) {
	w := newWorld(t)
	r := w.listen(w.tokens[Viewer], "")
	w.want(w.api(Administrator, http.MethodDelete, "/tokens/t-viewer", nil), 204)
	w.incident(DefaultTenant, 5, 1)
	rest, err := io.ReadAll(r)
	if err != nil || strings.Contains(string(rest), "event:") {
		t.Errorf("after the token was revoked: %q, %v", rest, err)
	}
}

func TestStreamsAreFew(t *testing.T) {
	w := newWorld(t)
	for range maxStreamsOne {
		if r := w.listen(w.tokens[Viewer], ""); r.status != http.StatusOK {
			t.Fatalf("status %d", r.status)
		}
	}
	r := w.listen(w.tokens[Viewer], "")
	if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("one more: status %d", r.status)
	}
	if r := w.listen(w.tokens[Analyst], ""); r.status != http.StatusOK {
		t.Errorf("somebody else's: status %d", r.status)
	}
	w.s.stop() // ends them all: the world's server closes without waiting
}

func TestTestMessages(t *testing.T) {
	w := newWorld(t)
	var x Tested
	w.want(w.api(Responder, http.MethodPost, "/notify/targets/pager/test", nil), 200).json(t, &x)
	if !x.OK {
		t.Errorf("%+v", x)
	}
	x = Tested{}
	w.want(w.api(Responder, http.MethodPost, "/notify/targets/gone/test", nil), 200).json(t, &x)
	if x.OK || x.Error != "no answer for default" {
		t.Errorf("%+v", x)
	}
	w.want(w.api(Responder, http.MethodPost, "/notify/targets/none/test", nil), 404)
}
