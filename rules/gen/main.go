// Command gen writes the pages of docs that tell what the rules are for, from the
// rules and detectors built into the program: coverage.md with its picture
// coverage.svg, layer.json for the ATT&CK Navigator, rules-index.md, and in the
// folder rules a page for each rule. Why a cell of the matrix is thin stands in
// docs/coverage-gaps.yml, by hand. Run it with "make docs".
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

// gapsFile is the page's data that is written by hand.
const gapsFile = "coverage-gaps.yml"

func main() {
	if err := run(filepath.Join("..", "docs")); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(docs string) error {
	pages, err := pages(docs)
	if err != nil {
		return err
	}
	old, err := stale(docs, pages)
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(docs, name)); err != nil {
			return err
		}
	}
	for _, p := range pages {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(docs, p.name)), 0o755); err != nil { //nolint:gosec // documentation, for all to read
			return err
		}
		if err := os.WriteFile(filepath.Join(docs, p.name), p.text, 0o644); err != nil { //nolint:gosec // documentation, for all to read
			return err
		}
	}
	return nil
}

// A page is one file of docs.
type page struct {
	name string
	text []byte
}

// pages makes all pages; docs is the folder with gapsFile.
func pages(docs string) ([]page, error) {
	src, err := os.ReadFile(filepath.Join(docs, gapsFile))
	if err != nil {
		return nil, err
	}
	gaps, err := readGaps(src)
	if err != nil {
		return nil, err
	}
	a, err := app.New(app.Options{})
	if err != nil {
		return nil, err
	}
	c, list := a.Coverage(), a.List(app.RuleFilter{})
	if err := checkGaps(c, list, gaps); err != nil {
		return nil, err
	}
	sources, err := a.Sources()
	if err != nil {
		return nil, err
	}
	all, err := ruleDocs(list)
	if err != nil {
		return nil, err
	}
	var layer, md, svg, index bytes.Buffer
	err = cmp.Or(report.CoverageNavigator(&layer, c), writeCoverage(&md, c, list, gaps), writePicture(&svg, c, gaps), writeIndex(&index, list, sources.Sources))
	out := []page{{"coverage.md", md.Bytes()}, {"coverage.svg", svg.Bytes()}, {"layer.json", layer.Bytes()}, {"rules-index.md", index.Bytes()}}
	for _, d := range all {
		var b bytes.Buffer
		err = cmp.Or(err, writeRule(&b, d))
		out = append(out, page{pageName(d.name), b.Bytes()})
	}
	return out, err
}

// stale returns the pages of rules that docs has and that are not among pages.
func stale(docs string, pages []page) ([]string, error) {
	keep := map[string]bool{}
	for _, p := range pages {
		keep[p.name] = true
	}
	var out []string
	err := fs.WalkDir(os.DirFS(docs), "rules", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && !keep[name] {
			out = append(out, name)
		}
		return err
	})
	return out, err
}
