package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

type file struct{ name, data string }

// folder writes files below a new folder and makes it the working one.
func folder(t *testing.T, files ...file) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.name, []byte(f.data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// guessing is a log of sshd: an address is refused n times and then let in.
func guessing(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "2024-03-01T10:00:%02dZ web1 sshd[77]: Failed password for root from 203.0.113.9 port 40022 ssh2\n", i)
	}
	b.WriteString("2024-03-01T10:02:00Z web1 sshd[77]: Accepted password for root from 203.0.113.9 port 40022 ssh2\n")
	b.WriteString("2024-03-01T10:02:00Z web1 sshd[77]: pam_unix(sshd:session): session opened for user root by (uid=0)\n")
	return b.String()
}

// sysmon is one line of a Sysmon log: a process and its parent.
func sysmon(at, pid, image, command, ppid, parent string) string {
	b, err := json.Marshal(map[string]any{
		"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": "pc1.corp.example",
		"EventTime": at[:19], "UtcTime": at, "Image": image, "CommandLine": command, "User": `CORP\alice`,
		"ProcessGuid": "{00000000-0000-0000-0000-00000000" + pid + "}", "ProcessId": pid, "ParentImage": parent,
		"ParentProcessGuid": "{00000000-0000-0000-0000-00000000" + ppid + "}", "ParentProcessId": ppid,
	})
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

const system32 = `C:\Windows\System32\`

// dumping is a Sysmon log of a credential theft with its way there.
func dumping() string {
	return sysmon("2024-03-01 11:00:00.000", "1001", `C:\Users\alice\Downloads\offer.exe`, "offer.exe", "1000", `C:\Windows\explorer.exe`) +
		sysmon("2024-03-01 11:00:10.000", "1002", system32+`cmd.exe`, "cmd.exe", "1001", `C:\Users\alice\Downloads\offer.exe`) +
		sysmon("2024-03-01 11:00:20.000", "1003", system32+`whoami.exe`, "whoami /all", "1002", system32+"cmd.exe") +
		sysmon("2024-03-01 11:00:30.000", "1004", system32+`rundll32.exe`, `rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 640 C:\Windows\Temp\l.dmp full`, "1002", system32+"cmd.exe") +
		sysmon("2024-03-01 11:00:40.000", "1005", system32+`wevtutil.exe`, `wevtutil cl Security`, "1002", system32+"cmd.exe") +
		sysmon("2024-03-01 11:00:50.000", "1006", system32+`vssadmin.exe`, `vssadmin delete shadows /all /quiet`, "1002", system32+"cmd.exe")
}

func analyze(t *testing.T, o Options, paths ...string) *model.Report {
	t.Helper()
	o.Version = "test"
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Analyze(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// errorsOf lists what could not be read, as "path: cause".
func errorsOf(r *model.Report) []string {
	var out []string
	for _, in := range r.Inputs {
		for _, e := range in.Errors {
			out = append(out, filepath.ToSlash(in.Path)+": "+e.Cause)
		}
	}
	return out
}

func TestAnalyze(t *testing.T) {
	folder(t, file{"logs/auth.log", guessing(8)}, file{"logs/sysmon.json", dumping()})
	r := analyze(t, Options{}, "logs")
	if got := errorsOf(r); len(got) > 0 {
		t.Errorf("errors %q", got)
	}
	if len(r.Inputs) != 2 || r.Inputs[0].Format != "syslog" || r.Inputs[0].Events != 10 || r.Inputs[0].Bytes != int64(len(guessing(8))) ||
		r.Inputs[1].Format != "json" || r.Inputs[1].Events != 6 || r.Totals.Events != 16 {
		t.Errorf("inputs %+v, totals %+v", r.Inputs, r.Totals)
	}
	if got := r.Inputs[0].First.Format(time.RFC3339); got != "2024-03-01T10:00:00Z" {
		t.Errorf("first %s", got)
	}
	if len(r.Incidents) == 0 {
		t.Fatalf("no incident; %d alerts", r.Totals.Alerts)
	}
	i := slices.IndexFunc(r.Incidents, func(in model.Incident) bool { return strings.HasSuffix(in.Root.Process, "offer.exe") })
	if i < 0 {
		t.Fatalf("no incident begins with the download: %+v", r.Incidents[0].Root)
	}
	if root := r.Incidents[i].Root; root.Host != "pc1.corp.example" || root.User != `corp\alice` {
		t.Errorf("root %+v", root)
	}
	evidenced(t, r)
}

// evidenced checks that every alert and every cited event shows its record.
func evidenced(t *testing.T, r *model.Report) {
	t.Helper()
	shown := map[string]bool{}
	see := func(e model.Evidence) {
		if e.Input == "" || e.Record < 1 || !json.Valid(e.Event) {
			t.Errorf("evidence %+v", e)
		}
		shown[e.ID] = true
	}
	ids := map[string]bool{}
	for _, a := range r.Alerts {
		ids[a.ID] = true
		if len(a.Evidence) == 0 {
			t.Errorf("alert %s shows nothing", a.ID)
		}
		for _, e := range a.Evidence {
			see(e)
		}
	}
	for _, e := range r.Events {
		see(e)
	}
	for _, in := range r.Incidents {
		for _, s := range in.Steps {
			for _, id := range s.Events {
				if !shown[id] {
					t.Errorf("%s: step %d cites %s, which is not shown", in.ID, s.N, id)
				}
			}
			for _, id := range s.Alerts {
				if !ids[id] {
					t.Errorf("%s: step %d cites %s, which is not in the report", in.ID, s.N, id)
				}
			}
		}
		if in.Root.Event != "" && !shown[in.Root.Event] {
			t.Errorf("%s: its root %s is not shown", in.ID, in.Root.Event)
		}
	}
}

// The report's bytes depend on the evidence alone: not on workers, on the order of
// paths, or on a path given twice.
func TestSameBytes(t *testing.T) {
	var busy strings.Builder // several chunks, and events of one time
	for i := range 12_000 {
		busy.WriteString(sysmon("2024-03-01 11:00:0"+fmt.Sprint(i%10)+".000", fmt.Sprintf("%04d", 2000+i%7000), system32+"svchost.exe", "svchost -k "+fmt.Sprint(i), "0001", system32+"services.exe"))
	}
	folder(t, file{"logs/a/auth.log", guessing(8)}, file{"logs/b/sysmon.json", dumping()}, file{"logs/c.json", busy.String()}, file{"logs/odd.bin", "\x00\x01\x02"})
	render := func(workers int, paths ...string) string {
		r := analyze(t, Options{Workers: workers, AllAlerts: true}, paths...)
		var b bytes.Buffer
		for _, w := range Writers(report.TextOptions{}) {
			if err := w.Write(&b, r); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	want := render(1, "logs")
	for _, c := range []struct {
		workers int
		paths   []string
	}{
		{2, []string{"logs"}}, {7, []string{"logs"}}, {3, []string{"logs", "logs/a", "./logs/"}},
		{2, []string{"logs/odd.bin", "logs/c.json", "logs/b", "logs/a/auth.log"}},
		{1, []string{"logs/a/auth.log", "logs/b/sysmon.json", "logs/odd.bin", "logs/c.json", "logs/c.json"}},
	} {
		if got := render(c.workers, c.paths...); got != want {
			t.Errorf("%d workers, %q: another report (%d bytes, want %d)", c.workers, c.paths, len(got), len(want))
		}
	}
}

// A slow chunk does not let those behind it overtake.
func TestScanOrder(t *testing.T) {
	a, err := New(Options{NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	sc := &scanner{registry: a.registry, engine: a.engine}
	in := &inputState{}
	var got []int
	err = sc.run(t.Context(), 4, func(_ context.Context, emit func(job) error) error {
		for i := range 50 {
			if err := emit(job{input: in, decoder: slowDecoder{}, seq: i, chunk: decode.Chunk{Record: int64(i)}}); err != nil {
				return err
			}
		}
		return nil
	}, func(s *scanned) { got = append(got, s.seq) })
	if err != nil || len(got) != 50 || !slices.IsSorted(got) {
		t.Errorf("%v, %v", got, err)
	}
}

// slowDecoder takes longest for every fifth chunk.
type slowDecoder struct{ decode.Decoder }

func (slowDecoder) Decode(c decode.Chunk, _ *decode.Batch) {
	if c.Record%5 == 0 {
		time.Sleep(2 * time.Millisecond)
	}
}

// A decoder that panics costs its chunk, and says so.
func TestDecoderPanics(t *testing.T) {
	a, err := New(Options{NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(&scanner{registry: a.registry, engine: a.engine})
	s := w.scan(job{input: &inputState{}, decoder: panickyDecoder{}, chunk: decode.Chunk{Offset: 4096, Record: 3}})
	if len(s.errors) != 1 || s.errors[0].Offset != 4096 || s.errors[0].Record != 3 || s.errors[0].Cause != "internal error in the panicky decoder: out of luck" {
		t.Errorf("%+v", s.errors)
	}
}

type panickyDecoder struct{ decode.Decoder }

func (panickyDecoder) Name() string                       { return "panicky" }
func (panickyDecoder) Decode(decode.Chunk, *decode.Batch) { panic("out of luck") }

// What a worker remembers is bounded, and what it quotes, too.
func TestObserve(t *testing.T) {
	w := worker{strings: map[string]string{}}
	for i := range 2 * maxInterned {
		w.intern(fmt.Sprint("u", i))
		if len(w.strings) > maxInterned {
			t.Fatalf("%d strings", len(w.strings))
		}
	}
	long := &model.Event{Slots: []model.Slot{{Field: model.FCommandLine, Text: strings.Repeat("é", model.MaxObservedText)}}}
	if s := observedText(long); len(s) > model.MaxObservedText || strings.ToValidUTF8(s, "?") != s {
		t.Errorf("%d bytes", len(s))
	}
}

func TestSinceUntil(t *testing.T) {
	folder(t, file{"auth.log", guessing(8)}, file{"sysmon.json", dumping()})
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name         string
		since, until string
		hosts        []string
	}{
		{"all", "2024-03-01T10:00:00Z", "2024-03-01T12:00:00Z", []string{"pc1.corp.example", "web1"}},
		{"since is inside", "2024-03-01T11:00:00Z", "", []string{"pc1.corp.example"}},
		{"until is outside", "", "2024-03-01T11:00:00Z", []string{"web1"}},
		{"nothing", "2025-01-01T00:00:00Z", "", nil},
	} {
		o := Options{AllAlerts: true}
		if c.since != "" {
			o.Since = at(c.since)
		}
		if c.until != "" {
			o.Until = at(c.until)
		}
		r := analyze(t, o, ".")
		var hosts []string
		for _, a := range r.Alerts {
			for _, e := range a.Entities {
				if h, _, ok := strings.Cut(e.Value, ":"); ok && e.Type == model.File && !slices.Contains(hosts, h) {
					hosts = append(hosts, h)
				}
			}
			if a.Evidence[0].Input == "auth.log" && !slices.Contains(hosts, "web1") {
				hosts = append(hosts, "web1")
			}
			if a.Evidence[0].Input == "sysmon.json" && !slices.Contains(hosts, "pc1.corp.example") {
				hosts = append(hosts, "pc1.corp.example")
			}
		}
		slices.Sort(hosts)
		if !slices.Equal(hosts, c.hosts) {
			t.Errorf("%s: alerts of %q, want %q", c.name, hosts, c.hosts)
		}
	}
}

// Standard input is read twice, be it a pipe or a file, and nothing stays behind.
func TestStdin(t *testing.T) {
	folder(t, file{"auth.log", guessing(8)})
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	want := analyze(t, Options{AllAlerts: true}, "auth.log")
	f, err := os.Open("auth.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, in := range map[string]io.Reader{"pipe": io.MultiReader(strings.NewReader(guessing(8))), "file": f} {
		r := analyze(t, Options{AllAlerts: true, Stdin: in}, "-")
		if len(r.Inputs) != 1 || r.Inputs[0].Path != "-" || r.Totals != want.Totals || len(r.Alerts) == 0 {
			t.Errorf("%s: %+v, %+v, want %+v", name, r.Inputs, r.Totals, want.Totals)
		}
		evidenced(t, r)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	broken := errors.New("cable cut")
	a, err := New(Options{Stdin: io.MultiReader(strings.NewReader("x"), failing{broken})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Analyze(t.Context(), []string{"-"}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMissingPaths(t *testing.T) {
	folder(t, file{"auth.log", guessing(8)})
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Analyze(t.Context(), []string{"nowhere", "neither"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "neither") {
		t.Errorf("%v", err)
	}
	if _, err := a.Decode(t.Context(), []string{"nowhere"}, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	r := analyze(t, Options{}, "nowhere", "auth.log")
	if got := errorsOf(r); len(got) != 1 || !strings.HasPrefix(got[0], "nowhere: ") || r.Totals.Events != 10 {
		t.Errorf("%q, %+v", got, r.Totals)
	}
}

func TestCancelled(t *testing.T) {
	folder(t, file{"auth.log", guessing(8)})
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Analyze(ctx, []string{"."}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What a decoder assumed is a note and no failure, said once for all inputs.
func TestAssumptions(t *testing.T) {
	line := "Mar  1 10:00:00 web1 sshd[77]: Failed password for root from 203.0.113.9 port 40022 ssh2\n"
	folder(t, file{"a.log", line}, file{"b.log", line}, file{"c.log", line})
	r := analyze(t, Options{}, ".")
	if got := errorsOf(r); len(got) > 0 {
		t.Errorf("errors %q", got)
	}
	n := 0
	for _, s := range r.Notes {
		if strings.Contains(s, "no year in stamps") {
			n++
			if !strings.HasPrefix(s, "a.log and 2 more: ") {
				t.Error(s)
			}
		}
	}
	if n != 1 {
		t.Errorf("notes %q", r.Notes)
	}
	if r = analyze(t, Options{Year: 2023}, "."); r.Inputs[0].First.Year() != 2023 || slices.ContainsFunc(r.Notes, func(s string) bool { return strings.Contains(s, "no year") }) {
		t.Errorf("%v, notes %q", r.Inputs[0].First, r.Notes)
	}
}

func TestInputErrors(t *testing.T) {
	var list []model.InputError
	for i := range 3 * maxInputErrors {
		list = addError(list, model.InputError{Cause: fmt.Sprint("cause ", i), Count: 1})
		list = addError(list, model.InputError{Cause: "often", Count: 2})
	}
	total := 0
	for _, e := range list {
		total += e.Count
	}
	if len(list) != maxInputErrors || total != 9*maxInputErrors {
		t.Errorf("%d errors for %d failures, want %d for %d", len(list), total, maxInputErrors, 9*maxInputErrors)
	}
}

// What a run keeps is bounded: first acts that no rule matched go, then all, and
// the report says so.
func TestMaxActs(t *testing.T) {
	folder(t, file{"auth.log", guessing(20)}, file{"sysmon.json", dumping()})
	for _, c := range []struct {
		max            int
		dropped, found bool // something was left out; alerts of sysmon.json are found
	}{{1000, false, true}, {10, true, true}, {1, true, false}} {
		a, err := New(Options{AllAlerts: true})
		if err != nil {
			t.Fatal(err)
		}
		a.maxActs = c.max
		r, err := a.Analyze(t.Context(), []string{"."})
		if err != nil {
			t.Fatal(err)
		}
		said := slices.ContainsFunc(r.Notes, func(s string) bool { return strings.Contains(s, "more than one run keeps") })
		found := slices.ContainsFunc(r.Alerts, func(al model.Alert) bool { return al.Evidence[0].Input == "sysmon.json" })
		if said != c.dropped || found != c.found || r.Totals.Events != 28 {
			t.Errorf("%d: said %v, found %v, %+v", c.max, said, found, r.Totals)
		}
	}
}
