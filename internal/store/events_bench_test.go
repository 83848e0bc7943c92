package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// An estate makes events as an endpoint sensor writes them: some values of few, some of
// many, ids that never come again.
type estate struct{ r *rand.Rand }

func newEstate() estate { return estate{rand.New(rand.NewPCG(1, 2))} }

func (s estate) row(n int) Row {
	r := s.r
	images := []string{"svchost.exe", "chrome.exe", "powershell.exe", "cmd.exe", "outlook.exe", "teams.exe", "msedge.exe", "explorer.exe", "conhost.exe", "wmiprvse.exe"}
	image := images[min(r.IntN(len(images)), r.IntN(len(images)))]
	host := fmt.Sprintf("ws%03d.corp.example", r.IntN(400))
	user := fmt.Sprintf(`corp\user%04d`, r.IntN(1500))
	guid := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Uint64()>>16)
	pid := r.IntN(30_000)
	id, code, extra := 1, "1", fmt.Sprintf(`"CommandLine":"\"C:\\Program Files\\Vendor%d\\%s\" --session=%x --type=renderer --field-trial=%d","Hashes":"SHA256=%016X%016X%016X%016X"`, r.IntN(40), image, r.Uint64(), r.IntN(1e6), uint64(r.IntN(3000))*0x9e3779b97f4a7c15, uint64(r.IntN(3000))*0xc2b2ae3d27d4eb4f, uint64(r.IntN(3000))*0x165667b19e3779f9, uint64(r.IntN(3000))*0x27d4eb2f165667c5)
	ip := fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256))
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		id, code = 3, "3"
		extra = fmt.Sprintf(`"Protocol":"tcp","Initiated":"true","SourceIp":"%s","SourcePort":"%d","DestinationIp":"203.0.113.%d","DestinationPort":"443"`, ip, 49152+r.IntN(16000), r.IntN(256))
	case 4, 5:
		id, code = 11, "11"
		extra = fmt.Sprintf(`"TargetFilename":"C:\\Users\\user%04d\\AppData\\Local\\Temp\\%x.tmp"`, r.IntN(1500), r.Uint32())
	}
	at := day.Add(time.Duration(n) * 10 * time.Millisecond)
	raw := fmt.Sprintf(`{"EventID":%d,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"%s","EventRecordID":%d,"UtcTime":"%s","ProcessGuid":"{%s}","ProcessId":"%d","Image":"C:\\Windows\\System32\\%s","User":"CORP\\%s",%s}`,
		id, host, n, at.Format("2006-01-02 15:04:05.000"), guid, pid, image, user[5:], extra)
	row := Row{Time: at, Received: at.Add(time.Second), ID: fmt.Sprintf("e-%016x%08x", r.Uint64(), r.Uint32()), Source: "fleet", Format: "json", Host: host, Code: code, Product: "windows", Category: "process_creation", Service: "sysmon", Subsystem: "compute",
		Entities: []string{"host:" + host, "user:" + user, "process:" + guid, "file:" + host + `:c:\windows\system32\` + image}, Raw: []byte(raw)}
	if id == 3 {
		row.Entities = append(row.Entities, "ip:"+ip)
	}
	return row
}

// TestEventsAtScale appends as many events as CATENA_STORE_EVENTS says and tells how large
// and fast that is; 10,000,000 take about 10 GB of disk for a while and some minutes.
func TestEventsAtScale(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("CATENA_STORE_EVENTS"))
	if err != nil {
		t.Skip("CATENA_STORE_EVENTS names no number of events")
	}
	dir := t.TempDir()
	e := openEvents(t, dir, EventsOptions{Now: time.Now})
	s := newEstate()
	raw := int64(0)
	var needle Row
	var appending, making time.Duration
	for i := 0; i < n; {
		began := time.Now()
		rows := make([]Row, 0, 5000)
		for ; i < n && len(rows) < cap(rows); i++ {
			r := s.row(i)
			if i == n/3 {
				r.Entities = append(r.Entities, "domain:evil.example")
				r.Raw = append(r.Raw[:len(r.Raw)-1], `,"QueryName":"beacon.evil.example"}`...)
				needle = r
			}
			raw += int64(len(r.Raw))
			rows = append(rows, r)
		}
		making += time.Since(began)
		began = time.Now()
		appendRows(t, e, rows...)
		appending += time.Since(began)
	}
	began := time.Now()
	must(t, e.Seal(ctx))
	sealing := time.Since(began)
	st := e.Stats()
	t.Logf("%d events, %d MB raw: appended in %v (%.0f/s, while sealing), last seal %v; %d MB in %d segments: %.3f byte on disk per raw byte", n, raw>>20, appending.Round(time.Millisecond), float64(n)/appending.Seconds(), sealing.Round(time.Millisecond), st.Bytes>>20, st.Segments, float64(st.Bytes)/float64(raw))
	must(t, e.Close())
	began = time.Now()
	e = openEvents(t, dir, EventsOptions{Now: time.Now})
	t.Logf("opened in %v", time.Since(began).Round(time.Microsecond))
	for _, q := range []struct {
		what string
		q    Query
	}{
		{"the latest 100", Query{}},
		{"a rare entity", Query{Entities: []string{"domain:evil.example"}}},
		{"an entity that is not there", Query{Entities: []string{"ip:198.51.100.77"}}},
		{"the latest 100 of a host", Query{Entities: []string{"host:ws123.corp.example"}}},
		{"a host in one hour", Query{Entities: []string{"host:ws123.corp.example"}, From: day.Add(time.Hour), To: day.Add(2 * time.Hour), Limit: 1000}},
		{"a rare word", Query{Text: []string{"beacon.evil.example"}}},
		{"a part of a word", Query{Text: []string{"con.evil.exam"}}},
		{"a part of a word that is not there", Query{Text: []string{"xyzzyplu"}, Time: time.Hour, Bytes: 1 << 50}},
		{"a frequent text, the latest 100", Query{Text: []string{"powershell.exe"}}},
		{"a field, the latest 100", Query{Terms: []Term{{Field: "code", Value: "11"}}}},
		{"a field and a text", Query{Terms: []Term{{Field: "host", Value: "ws007.corp.example"}}, Text: []string{"powershell.exe"}}},
		{"an id", Query{Terms: []Term{{Field: "id", Value: needle.ID}}}},
	} {
		for range 2 {
			began := time.Now()
			f, err := e.Search(ctx, q.q)
			must(t, err)
			t.Logf("%-36s %6d rows in %10v, %4d blocks read, %4d ruled out, %5d MB, partial %v", q.what, len(f.Rows), time.Since(began).Round(10*time.Microsecond), f.Blocks, f.Skipped, f.Bytes>>20, f.Partial)
		}
	}
	for _, hint := range []bool{false, true} {
		from, to := time.Time{}, time.Time{}
		if hint {
			from, to = needle.Time, needle.Time
		}
		began := time.Now()
		l, err := e.Get(ctx, []string{needle.ID}, from, to)
		must(t, err)
		t.Logf("Get of an id, hint %v: %d rows in %v", hint, len(l), time.Since(began).Round(10*time.Microsecond))
	}
	must(t, e.Close())
}

func BenchmarkAppend(b *testing.B) {
	e := openEvents(b, b.TempDir(), EventsOptions{})
	s := newEstate()
	rows := make([]Row, 1000)
	for i := range rows {
		rows[i] = s.row(i)
	}
	for b.Loop() {
		appendRows(b, e, rows...)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "events/s")
	must(b, e.Close())
}

func BenchmarkFold(b *testing.B) {
	s := newEstate()
	raw := s.row(0).Raw
	var buf []byte
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		buf = fold(buf[:0], raw)
	}
}
