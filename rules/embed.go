// Package rules is Catena's own rule pack: Sigma rules as data, built into the
// program, with a test beside each. It holds no logic; package sigma compiles
// the rules and README.md in this folder tells how to write one.
//
// A rule is <folder>/<name>.yml, its test <folder>/<name>.test.yml, and the
// folder is the subsystem that the rule watches: windows, linux, aws, web,
// database and so on; scenarios holds correlations of them.
package rules

import (
	"embed"
	"io/fs"
	"strings"
)

//go:generate go run ./gen

//go:embed */*.yml
var files embed.FS

// testSuffix ends the name of a rule's test; ruleSuffix that of every file.
const (
	ruleSuffix = ".yml"
	testSuffix = ".test.yml"
)

// A File is one file of the pack.
type File struct {
	Path   string // relative to this folder, with slashes
	Source []byte // Sigma YAML; belongs to the caller
}

// Files returns the rules in the order of their paths, without their tests.
func Files() ([]File, error) {
	return read(func(path string) bool { return !strings.HasSuffix(path, testSuffix) })
}

// Tests returns the tests of the rules, in the order of their paths. The test of
// "a/b.yml" is "a/b.test.yml".
func Tests() ([]File, error) {
	return read(func(path string) bool { return strings.HasSuffix(path, testSuffix) })
}

func read(want func(path string) bool) ([]File, error) {
	var out []File
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ruleSuffix) || !want(path) {
			return err
		}
		src, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		out = append(out, File{Path: path, Source: src})
		return nil
	})
	return out, err
}
