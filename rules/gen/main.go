// Command gen writes the pages of docs that tell what the rules are for, from the
// rules and detectors built into the program: coverage.md with its picture
// coverage.svg, layer.json for the ATT&CK Navigator, and rules-index.md. Why a
// cell of the matrix is thin stands in docs/coverage-gaps.yml, by hand. Run it
// with "make docs".
package main

import (
	"bytes"
	"cmp"
	"fmt"
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
	for _, p := range pages {
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
	var layer, md, svg, index bytes.Buffer
	err = cmp.Or(report.CoverageNavigator(&layer, c), writeCoverage(&md, c, list, gaps), writePicture(&svg, c, gaps), writeIndex(&index, list))
	return []page{{"coverage.md", md.Bytes()}, {"coverage.svg", svg.Bytes()}, {"layer.json", layer.Bytes()}, {"rules-index.md", index.Bytes()}}, err
}
