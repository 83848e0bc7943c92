package decode

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// decodeAll runs a decoder over an input and checks what holds for every event.
func decodeAll(t testing.TB, d Decoder, input string, data []byte) (*Batch, []model.InputError) {
	t.Helper()
	b := &Batch{}
	var bad []model.InputError
	err := d.Frame(bytes.NewReader(data), func(c Chunk) error {
		c.Input = input
		d.Decode(c, b)
		return nil
	}, func(e model.InputError) { bad = append(bad, e) })
	if err != nil {
		t.Fatalf("%s: %v", input, err)
	}
	for i := range b.Events {
		e := &b.Events[i]
		if len(e.Raw) == 0 || e.Time.IsZero() || e.Format == "" || e.Source.Product == "" {
			t.Fatalf("%s: event %d lacks its record, time, format or product: %+v", input, i, e)
		}
	}
	return b, append(bad, b.Errors...)
}

// dataFiles returns the files of the data folder that match a pattern, unpacked;
// the test is skipped where there are none.
func dataFiles(t testing.TB, patterns ...string) map[string][]byte {
	t.Helper()
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	out := map[string][]byte{}
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".gz") {
				z, err := gzip.NewReader(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if data, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasSuffix(name, ".zip") {
				data = firstMember(t, data)
			}
			rel, _ := filepath.Rel(root, name)
			out[rel] = data
		}
	}
	if len(out) == 0 {
		t.Skipf("no data: %s holds none of %v", root, patterns)
	}
	return out
}

// firstMember unpacks the first file of a zip archive.
func firstMember(t testing.TB, data []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(z.File) == 0 {
		t.Fatalf("no archive: %v", err)
	}
	r, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return data
}

// describeEvent renders the act, code, service and entities of an event.
func describeEvent(e *model.Event) string {
	var r Registry
	r.Entities(e)
	var s strings.Builder
	s.WriteString(e.Act.String() + " " + e.Code + " " + e.Source.Service)
	for _, x := range e.Entities {
		if x.Type == model.Host && x.Role == model.Subject {
			continue
		}
		s.WriteString(" " + string(x.Type) + "/" + string(x.Role) + "=" + x.Value)
	}
	return s.String()
}
