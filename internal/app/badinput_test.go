package app

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

func gz(t *testing.T, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zipped(t *testing.T, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = io.WriteString(w, f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// utf16 is s as Windows writes text: two bytes a character, the low one first.
func utf16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8))
	}
	return string(b)
}

// noise is text that hardly compresses.
func noise(lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "2024-03-01T10:00:00Z web1 app[1]: %08x\n", crc32.ChecksumIEEE([]byte{byte(i), byte(i >> 8)}))
	}
	return b.String()
}

// Whatever stands beside it, good evidence is read; what cannot be read is named
// with its cause.
func TestBadInput(t *testing.T) {
	deep := guessing(1)
	for range 20 {
		deep = gz(t, deep)
	}
	packed := gz(t, noise(20_000))
	entities := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "lol">`
	for i := range 12 {
		entities += fmt.Sprintf(`<!ENTITY %c "%s">`, 'b'+i, strings.Repeat(fmt.Sprintf("&%c;", 'a'+i), 10))
	}
	event := `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="X"/><EventID>4688</EventID><TimeCreated SystemTime="2024-03-01T10:00:00Z"/><Computer>pc1</Computer><Channel>Security</Channel></System><EventData><Data Name="CommandLine">%s</Data></EventData></Event>`
	proc := sysmon("2024-03-01 11:00:00.000", "1001", `C:\a.exe`, "a", "1000", `C:\b.exe`)
	at := func(s string) string { return sysmon(s, "1001", `C:\a.exe`, "a", "1000", `C:\b.exe`) }
	wide := strings.Builder{}
	wide.WriteString(strings.TrimSuffix(proc, "}\n"))
	for i := range 100_000 {
		fmt.Fprintf(&wide, `,"f%d":%d`, i, i)
	}
	wide.WriteString("}\n")
	for _, c := range []struct {
		name, data string
		events     int64  // read of it all the same, -1 for some
		cause      string // empty for none
	}{
		{"garbage.bin", "\x93\xfa\x00\x01garbage", 0, "unknown format: it begins with"},
		{"text.txt", "dear diary\n", 0, "unknown format: it begins with"},
		{"zeros.bin", strings.Repeat("\x00", 100_000), 0, "unknown format"},
		{"cut.gz", packed[:len(packed)/2], -1, "the rest cannot be read: unexpected EOF"},
		{"cut.zip", zipped(t, file{"a.log", guessing(3)}, file{"b.log", noise(20_000)})[:3000], -1, "directory is missing"},
		{"deep.gz", deep, 0, "nested deeper than"},
		{"bomb.gz", gz(t, strings.Repeat("\x00", 200<<20)), 0, "unknown format"},
		{"header.evtx", "ElfFile\x00" + strings.Repeat("\x00", 40), 0, "file header cut short"},
		{"entities.xml", entities + "]><Events>" + fmt.Sprintf(event, "&l;") + fmt.Sprintf(event, "dir") + "</Events>", 1, "entit"},
		{"utf16.log", utf16(guessing(3)), 5, ""},
		{"utf16.xml", utf16(fmt.Sprintf(event, "dir")), 1, ""},
		{"latin1.log", strings.ReplaceAll(guessing(3), "root", "j\xe9r\xf4me"), 5, ""},
		{"years.json", at("1601-01-01 00:00:00.000") + at("9999-12-31 23:59:59.999") + proc, 3, ""},
		{"year.json", proc + at("99999-01-01 00:00:00.000"), -1, ""},
		{"deep.json", strings.Repeat("[", 100_000), 0, "unknown format"},
		{"deepobject.json", strings.TrimSuffix(proc, "}\n") + `,"x":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5001) + "\n" + proc, 1, "nested deeper than"},
		{"wide.json", wide.String() + proc, 2, "more than 4096 fields"},
		{"long.json", `{"EventID":1,"x":"` + strings.Repeat("A", 17<<20) + "\"}\n" + proc + proc, -1, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder(t, file{"good.log", guessing(8)}, file{c.name, c.data})
			r := analyze(t, Options{}, ".")
			if i := slices.IndexFunc(r.Inputs, func(in model.Input) bool { return in.Path == "good.log" }); i < 0 || r.Inputs[i].Events != 10 || len(r.Inputs[i].Errors) > 0 {
				t.Errorf("good evidence beside it: %+v", r.Inputs)
			}
			if read := r.Totals.Events - 10; c.events >= 0 && read != c.events || c.events < 0 && read == 0 {
				t.Errorf("%d events read, want %d", read, c.events)
			}
			got := errorsOf(r)
			if c.cause == "" {
				if len(got) > 0 && c.events >= 0 {
					t.Errorf("errors %.500q", got)
				}
				return
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.name) && strings.Contains(s, c.cause) }) {
				t.Errorf("no %q of %s in %.500q", c.cause, c.name, got)
			}
		})
	}
}

// Names of files and what stands in records never reach a terminal as they are.
func TestHostileNames(t *testing.T) {
	folder(t, file{"good.log", guessing(8)})
	name := "na\x1b]0;owned\x07me\n\u202e.log"
	if err := os.WriteFile(name, []byte("garbage"), 0o600); err != nil {
		t.Skip("this system takes no such names:", err)
	}
	if err := os.MkdirAll("loop", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, l := range [][2]string{{"..", "loop/up"}, {".", "loop/self"}} {
		if err := os.Symlink(l[0], l[1]); err != nil {
			t.Skip("this system makes no symbolic links:", err)
		}
	}
	evil := strings.ReplaceAll(sysmon("2024-03-01 11:00:30.000", "1004", system32+`rundll32.exe`, `rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 640 x full MARK`, "1002", `C:\Users\MARK\x.exe`), "MARK", `\u001b[2J\u0007\u202e\u009b31m`)
	if err := os.WriteFile("evil.json", []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	r := analyze(t, Options{AllAlerts: true}, ".")
	if len(r.Inputs) != 3 || len(r.Alerts) == 0 {
		t.Fatalf("%d inputs, %d alerts", len(r.Inputs), len(r.Alerts))
	}
	for _, in := range r.Inputs {
		if report.Clean(in.Path) != in.Path {
			t.Errorf("path %q", in.Path)
		}
	}
	var b bytes.Buffer
	for _, w := range Writers(report.TextOptions{}) {
		b.Reset()
		if err := w.Write(&b, r); err != nil {
			t.Fatal(err)
		}
		if w.Name() != "text" {
			continue
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\u202e\u009b") {
			t.Errorf("control characters in %q", b.String())
		}
	}
}

// A line without end costs no more memory than a long one, and what follows is read.
func TestEndlessLine(t *testing.T) {
	const length = 64 << 20
	if testing.Short() {
		t.Skip("left out by -short: it reads a line of 64 MiB")
	}
	folder(t)
	line := &repeated{left: length, c: 'A'}
	in := io.MultiReader(strings.NewReader(guessing(3)), line, strings.NewReader("\n"+guessing(8)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := analyze(t, Options{Stdin: in}, "-")
	runtime.ReadMemStats(&after)
	if r.Totals.Events != 15 {
		t.Errorf("%d events", r.Totals.Events)
	}
	if got := errorsOf(r); len(got) != 1 || !strings.Contains(got[0], "longer than") {
		t.Errorf("errors %q", got)
	}
	if grown := after.Sys - before.Sys; grown > 2*length {
		t.Errorf("%d MiB more memory for a line of %d MiB", grown>>20, length>>20)
	}
}

type repeated struct {
	left int
	c    byte
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = r.c
	}
	r.left -= n
	return n, nil
}

// The damaged logs of the data folder: what is whole in them is read.
func TestDamagedLogs(t *testing.T) {
	dir := filepath.Join(dataFolder(t), "robustness_evtx")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the folder of damaged logs is absent:", dir)
	}
	r := analyze(t, Options{}, dir)
	if len(r.Inputs) != 4 {
		t.Errorf("%d inputs", len(r.Inputs))
	}
	for _, in := range r.Inputs {
		if in.Format != "evtx" || in.Events == 0 {
			t.Errorf("%+v", in)
		}
	}
	if got := errorsOf(r); !slices.ContainsFunc(got, func(s string) bool {
		return strings.Contains(s, "sample_with_a_bad_chunk_magic.evtx: chunk without its magic number")
	}) {
		t.Errorf("errors %q", got)
	}
}

// No bytes whatever end the run.
func FuzzAnalyze(f *testing.F) {
	f.Add([]byte(guessing(8)))
	f.Add([]byte(dumping()))
	f.Add([]byte("ElfFile\x00"))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("\xff\xfe{\x00}\x00"))
	a, err := New(Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := *a
		b.opt.Stdin = bytes.NewReader(data)
		r, err := b.Analyze(t.Context(), []string{"-"})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range Writers(report.TextOptions{}) {
			if err := w.Write(io.Discard, r); err != nil {
				t.Errorf("%s: %v", w.Name(), err)
			}
		}
	})
}
