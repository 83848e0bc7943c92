package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/catena-sec/catena"

// layers are the packages, lowest first. A package imports only packages of lower
// layers; those of one layer meet in model and in app.
var layers = [][]string{
	{"internal/model", "rules", "mappings", "internal/config", "client", "internal/house"},
	{"internal/knowledge", "sigma", "internal/decode", "internal/graph", "internal/ledger", "internal/casebook", "internal/bus"},
	{"internal/source", "internal/pack", "internal/clock", "internal/detect", "internal/fusion", "internal/story", "internal/report", "internal/simulate", "internal/eval", "internal/compare", "internal/journal", "internal/journal", "internal/respond", "internal/store"},
	{"internal/server"},
	{"internal/app"},
	{"cmd/catena"},
}

type pkg struct {
	ImportPath, Name, Doc string
	Imports               []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports", module+"/...")
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, cmd.Stderr)
	}
	var ps []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

func layerOf(path string) int {
	rel := strings.TrimPrefix(path, module+"/")
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, rel) })
}

// generator matches the programs that go generate runs: they belong to the
// package above them and are linked into nothing.
var generator = regexp.MustCompile(`/gen$`)

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		if generator.MatchString(p.ImportPath) {
			continue
		}
		from := layerOf(p.ImportPath)
		if from < 0 {
			t.Errorf("%s stands in no layer: add it to the table in this test and to ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if !strings.HasPrefix(i, module) {
				continue
			}
			if to := layerOf(i); to >= from {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports point down only", p.ImportPath, from, i, to)
			}
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
	}
}

func TestModelStandsOnTheStandardLibrary(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != module+"/internal/model" {
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(strings.Split(i, "/")[0], ".") {
				t.Errorf("model imports %s: the standard library only", i)
			}
		}
	}
}
