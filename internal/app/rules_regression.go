package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/sigma"
)

// Rules of SigmaHQ name their regression tests: "regression_tests_path" is the
// path of an info.yml below the folder of the repository, and that file lists
// evidence, each with its type, its path below the same folder and how often the
// rule matches. Where the info.yml was not taken along but the evidence beside it
// was, as <rule id>.evtx and <rule id>.json, each file must match at least once.

// A regression is one file of evidence of a rule.
type regression struct {
	name string
	rule int
	path string
	want int // matches; -1: at least one
	err  error
}

// regressionInfo is what we read of an info.yml.
type regressionInfo struct {
	Tests []struct {
		Name  string `yaml:"name"`
		Type  string `yaml:"type"`
		Path  string `yaml:"path"`
		Count *int   `yaml:"match_count"`
	} `yaml:"regression_tests_info"`
}

const (
	maxRegressions    = 1000 // files of evidence of one rule
	maxParentsOfRules = 16   // folders above a rule in which its tests are looked for
)

// isRegressionInfo tells an info.yml from rules, among which it stands in a whole
// repository.
func isRegressionInfo(f pack.File) bool {
	if path.Base(filepath.ToSlash(f.Name)) != "info.yml" {
		return false
	}
	src, err := f.Read()
	return err == nil && bytes.Contains(src, []byte("regression_tests_info:"))
}

// regressions runs the regression tests that the rules of a file name.
func (t *ruleTester) regressions(ctx context.Context, f *testedFile) []CaseResult {
	src, err := f.readRule()
	if err != nil || !bytes.Contains(src, []byte("regression_tests_path")) {
		return nil
	}
	var out []CaseResult
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for range sigma.MaxDocuments {
		var doc struct {
			ID   string `yaml:"id"`
			Path string `yaml:"regression_tests_path"`
		}
		if dec.Decode(&doc) != nil {
			break
		}
		if doc.Path == "" {
			continue
		}
		rule := slices.IndexFunc(t.a.rules, func(r *sigma.Rule) bool { return r.File == f.rule && r.ID == doc.ID })
		if rule < 0 {
			continue
		}
		for _, r := range findRegressions(f.rule, doc.Path, rule, doc.ID) {
			out = append(out, t.regression(ctx, &r))
		}
	}
	return out
}

// findRegressions lists the evidence that an info.yml names. No tests there are
// none: a rule may be copied without them.
func findRegressions(ruleFile, info string, rule int, id string) []regression {
	info = filepath.FromSlash(info)
	if filepath.IsAbs(info) || !filepath.IsLocal(info) {
		return []regression{{name: "regression", err: fmt.Errorf("regression_tests_path %q: want a path below the folder of the rules", info)}}
	}
	_, below, _ := strings.Cut(filepath.ToSlash(info), "/")
	dir := filepath.Dir(ruleFile)
	for range maxParentsOfRules {
		if src, err := readSmall(filepath.Join(dir, info)); err == nil {
			return listedRegressions(dir, info, src, rule)
		} else if !errors.Is(err, os.ErrNotExist) {
			return []regression{{name: "regression", err: err}}
		}
		for _, at := range []string{info, filepath.FromSlash(below)} {
			if at == "" || id == "" {
				continue
			}
			if found := namedRegressions(filepath.Join(dir, filepath.Dir(at)), rule, id); len(found) > 0 {
				return found
			}
		}
		up := filepath.Join(dir, "..")
		if abs, err := filepath.Abs(dir); err != nil || filepath.Dir(abs) == abs {
			break
		}
		dir = up
	}
	return nil
}

// listedRegressions reads an info.yml, below the folder root.
func listedRegressions(root, info string, src []byte, rule int) []regression {
	at := filepath.Join(root, info)
	var doc regressionInfo
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return []regression{{name: "regression", err: fmt.Errorf("%s: %w", at, err)}}
	}
	if len(doc.Tests) == 0 || len(doc.Tests) > maxRegressions {
		return []regression{{name: "regression", err: fmt.Errorf("%s: lists %d tests, want 1 to %d", at, len(doc.Tests), maxRegressions)}}
	}
	var out []regression
	for i, test := range doc.Tests {
		r := regression{name: cmp.Or(test.Name, "regression "+strconv.Itoa(i+1)), rule: rule, want: -1}
		if test.Count != nil {
			r.want = *test.Count
		}
		path := filepath.FromSlash(test.Path)
		switch {
		case path == "" || !filepath.IsLocal(path):
			r.err = fmt.Errorf("%s: %q is no path below the folder of the rules", at, test.Path)
		default:
			r.path = filepath.Join(root, path)
			r.name += ", " + filepath.Base(path)
		}
		out = append(out, r)
		// The same events in other forms stand beside the file listed.
		for _, form := range []string{".json", ".evtx"} {
			other := strings.TrimSuffix(r.path, filepath.Ext(r.path)) + form
			if r.err != nil || other == r.path || slices.ContainsFunc(out, func(o regression) bool { return o.path == other }) {
				continue
			}
			if info, err := os.Stat(other); err == nil && info.Mode().IsRegular() {
				out = append(out, regression{name: cmp.Or(test.Name, "regression "+strconv.Itoa(i+1)) + ", " + filepath.Base(other), rule: rule, path: other, want: r.want})
			}
		}
	}
	return out
}

// namedRegressions lists the evidence of a folder that bears the rule's id.
func namedRegressions(dir string, rule int, id string) []regression {
	var out []regression
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if name := e.Name(); e.Type().IsRegular() && strings.TrimSuffix(name, filepath.Ext(name)) == id && len(out) < maxRegressions {
			out = append(out, regression{name: name, rule: rule, path: filepath.Join(dir, name), want: -1})
		}
	}
	return out
}

// regression runs one regression test.
func (t *ruleTester) regression(ctx context.Context, r *regression) CaseResult {
	if r.err == nil {
		if info, err := os.Stat(r.path); err != nil {
			r.err = err
		} else if !info.Mode().IsRegular() {
			r.err = fmt.Errorf("%s is no file", r.path)
		}
	}
	if r.err != nil {
		return CaseResult{Name: r.name, Status: TestBroken, Reason: r.err.Error()}
	}
	c := &ruleCase{events: []testEvent{{repeat: 1, path: r.path}}}
	if r.want >= 0 {
		c.want = expectation{kind: expectCount, count: &r.want}
	}
	p, err := t.play(ctx, c, r.rule, nil)
	if err != nil {
		return CaseResult{Name: r.name, Status: TestBroken, Reason: err.Error()}
	}
	out := t.judge(c, r.rule, p)
	out.Name = r.name
	if out.Status == TestFailed {
		out.Why = t.why(ctx, c, r.rule, p)
	}
	return out
}
