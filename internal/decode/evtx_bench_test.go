package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// evtxData returns the EVTX files of the data folder below sub.
func evtxData(tb testing.TB, sub string) (paths []string) {
	tb.Helper()
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	root = filepath.Join(root, sub)
	if _, err := os.Stat(root); err != nil {
		tb.Skipf("no data: %s is absent (set CATENA_DATA to the data folder)", root)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".evtx") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}

// TestEVTXTwins compares with what another program made of the same events:
// beside some files stands the same as JSON, where it keeps attributes under
// "#attributes", leaves out the braces of GUIDs and white space around texts, and
// prints fewer decimals.
func TestEVTXTwins(t *testing.T) {
	twins := 0
	for _, path := range evtxData(t, "sigma_regression") {
		twin, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".json")
		if err != nil {
			continue
		}
		twins++
		f, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := evtxRead(bytes.NewReader(f))
		if r.err != nil || len(r.bad) > 0 || len(r.errs) > 0 {
			t.Errorf("%s: %v %v %v", path, r.err, r.bad, r.errs)
		}
		d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(twin, []byte("\xef\xbb\xbf"))))
		d.UseNumber()
		for i := 0; ; i++ {
			var doc struct {
				Event struct{ System, EventData map[string]any }
			}
			if err := d.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if i >= len(r.events) {
				t.Errorf("%s: only %d events", path, len(r.events))
				break
			}
			want := map[string]string{}
			for name, v := range doc.Event.System {
				sub, nested := v.(map[string]any)
				if !nested {
					want[name] = fmt.Sprint(v)
					continue
				}
				if a, ok := sub["#attributes"].(map[string]any); ok {
					for k, v := range a {
						want[name+"_"+k] = fmt.Sprint(v)
					}
				}
			}
			for name, v := range doc.Event.EventData {
				if _, list := v.(map[string]any); !list {
					want[name] = fmt.Sprint(v)
				}
			}
			for name, v := range want {
				if v != "<nil>" && !hasTwin(r.fields[i], name, v) {
					t.Errorf("%s: event %d has no %s=%q", path, i, name, v)
				}
			}
		}
	}
	t.Logf("%d files with a twin", twins)
	if twins == 0 {
		t.Error("no file has a twin")
	}
}

func hasTwin(fields []string, name, want string) bool {
	for _, f := range fields {
		v, ok := strings.CutPrefix(f, name+"=")
		if ok && (strings.TrimSpace(v) == strings.TrimSpace(want) || strings.EqualFold(strings.Trim(v, "{}"), want) ||
			name == "TimeCreated_SystemTime" && strings.HasPrefix(v, strings.TrimSuffix(want, "Z"))) {
			return true
		}
	}
	return false
}

func benchmarkEVTX(b *testing.B, files [][]byte) {
	size, events := 0, 0
	for _, f := range files {
		size += len(f)
	}
	d := EVTX(Options{Names: model.NewNames()})
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		for _, f := range files {
			err := d.Frame(bytes.NewReader(f), func(c Chunk) error {
				d.Decode(c, &batch)
				events += len(batch.Events)
				batch.Reset() // as a scan does
				return nil
			}, func(model.InputError) {})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEVTX decodes files to events, the work of finishWindows included.
func BenchmarkEVTX(b *testing.B) {
	b.Run("synthetic", func(b *testing.B) {
		var w evtxWriter
		for range 64 {
			for range 100 {
				w.event(4624, logonEvent("a user of that name"))
			}
			w.close()
		}
		benchmarkEVTX(b, [][]byte{w.bytes()})
	})
	b.Run("data", func(b *testing.B) {
		var files [][]byte
		for _, path := range evtxData(b, ".") {
			f, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			files = append(files, f)
		}
		benchmarkEVTX(b, files)
	})
}
