package decode

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// evidenceDir returns the data folder, or skips the test.
func evidenceDir(t testing.TB, sub string) string {
	t.Helper()
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s is absent: set CATENA_DATA to the data folder to run this test", dir)
	}
	return dir
}

// eachJSON calls fn for every JSON file under dir, also inside of zip and tar.gz.
func eachJSON(t testing.TB, dir string, fn func(name string, data []byte)) {
	t.Helper()
	isJSON := func(name string) bool {
		base := filepath.Base(name)
		return !strings.HasPrefix(base, "._") && !strings.Contains(name, "__MACOSX") &&
			(strings.HasSuffix(base, ".json") || strings.HasSuffix(base, ".ndjson") || strings.HasSuffix(base, ".jsonl"))
	}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		lower := strings.ToLower(path)
		switch {
		case isJSON(path):
			data, err := os.ReadFile(path) //nolint:gosec // a test reads test data
			if err != nil {
				return err
			}
			fn(path, data)
		case strings.HasSuffix(lower, ".zip"):
			z, err := zip.OpenReader(path)
			if err != nil {
				return err
			}
			defer func() { _ = z.Close() }()
			for _, f := range z.File {
				if !isJSON(f.Name) {
					continue
				}
				r, err := f.Open()
				if err != nil {
					return err
				}
				data, err := io.ReadAll(r)
				_ = r.Close()
				if err != nil {
					return err
				}
				fn(path+"!"+f.Name, data)
			}
		case strings.HasSuffix(lower, ".tar.gz"):
			raw, err := os.ReadFile(path) //nolint:gosec // a test reads test data
			if err != nil {
				return err
			}
			gz, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			for tr := tar.NewReader(gz); ; {
				h, err := tr.Next()
				if err != nil {
					break
				}
				if h.Typeflag != tar.TypeReg || !isJSON(h.Name) {
					continue
				}
				data, err := io.ReadAll(tr)
				if err != nil {
					return err
				}
				fn(path+"!"+h.Name, data)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// readBatch runs a decoder over data in one go.
func readBatch(t testing.TB, d Decoder, data []byte) *Batch {
	t.Helper()
	var b Batch
	err := d.Frame(bytes.NewReader(data), func(c Chunk) error {
		c.Input = "test"
		d.Decode(c, &b)
		return nil
	}, func(e model.InputError) {
		b.Errors = append(b.Errors, e)
		b.Skipped++
	})
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

// TestJSONEvidence: every record of the captures is understood as some product's.
func TestJSONEvidence(t *testing.T) {
	for _, set := range []string{"otrf_compound", "otrf_atomic", "stratus", "sigma_regression", "cloud_misc_plaso", "panther"} {
		dir := evidenceDir(t, set)
		d := JSON(Options{Names: model.NewNames()})
		records, events := int64(0), 0
		acts := map[model.Act]int{}
		eachJSON(t, dir, func(name string, data []byte) {
			if set == "panther" && !strings.Contains(name, "CloudTrail") && !strings.Contains(name, "Microsoft365") {
				return
			}
			if testing.Short() && len(data) > 4<<20 {
				return
			}
			if d.Sniff(data[:min(len(data), SniffLen)]) == 0 {
				t.Errorf("%s: not taken for JSON", name)
			}
			b := readBatch(t, d, data)
			report := t.Errorf
			if set == "panther" && b.Skipped*10 < b.Records {
				report = t.Logf // rows that rule authors cut down to a key or two
			}
			for _, e := range b.Errors {
				report("%s: %d records from %d on: %s", name, e.Count, e.Record, e.Cause)
			}
			records += b.Records
			events += len(b.Events)
			noTime, noProduct, noHost := 0, 0, 0
			for i := range b.Events {
				e := &b.Events[i]
				acts[e.Act]++
				if e.Time.Year() < 2000 {
					noTime++
				}
				// Linux rows are another file's; the activity log here is in a client
				// library's own spelling.
				if set != "panther" && e.Source.Product == "" && !strings.Contains(name, "syslog_") && !strings.Contains(name, "azure_activity") {
					noProduct++
				}
				if e.Source.Product == "windows" && e.Host == "" {
					noHost++
				}
			}
			if noTime+noProduct+noHost > 0 {
				t.Errorf("%s: of %d events %d have no time, %d no product, %d no host", name, len(b.Events), noTime, noProduct, noHost)
			}
		})
		t.Logf("%s: %d records, %d events, acts %v", set, records, events, acts)
		if events == 0 {
			t.Errorf("%s: no events", set)
		}
	}
}
