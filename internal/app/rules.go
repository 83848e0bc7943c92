package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/mappings"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
)

// A Refusal is a rule that cannot be used.
type Refusal struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

func (r Refusal) String() string {
	if r.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Reason)
	}
	return r.File + ": " + r.Reason
}

// Bounds of what is read as rules.
const (
	maxRuleFile  = 1 << 20
	maxRuleFiles = 100_000
)

// ruleFile is one file of rules, in the order that decides which of two rules
// with one id is kept: ours first, then the folders as given, each sorted.
type ruleFile struct {
	path    string
	builtin bool
	read    func() ([]byte, error)
}

// ruleFiles lists the rule files of a file system.
func ruleFiles(fsys fs.FS, name func(string) string) ([]ruleFile, error) {
	var out []ruleFile
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !isRuleFile(p) {
			return nil
		}
		if len(out) >= maxRuleFiles {
			return fmt.Errorf("more than %d rule files", maxRuleFiles)
		}
		out = append(out, ruleFile{name(p), false, func() ([]byte, error) { return readRule(fsys, p) }})
		return nil
	})
	return out, err
}

// isRuleFile says whether a file holds rules: YAML, and not the test beside one.
func isRuleFile(p string) bool {
	ext := strings.ToLower(filepath.Ext(p))
	if ext != ".yml" && ext != ".yaml" {
		return false
	}
	return !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(p), ext), ".test")
}

func readRule(fsys fs.FS, p string) ([]byte, error) {
	info, err := fs.Stat(fsys, p)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRuleFile {
		return nil, fmt.Errorf("larger than %d bytes", maxRuleFile)
	}
	return fs.ReadFile(fsys, p)
}

// loadRules reads, parses and compiles all rules.
func (a *App) loadRules() error {
	read, err := a.readRules()
	if err != nil {
		return err
	}
	set, err := sigma.Compile(read.rules)
	a.refuse("", err)
	slices.SortStableFunc(a.refused, func(x, y Refusal) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Reason, y.Reason))
	})
	a.rules, a.set = set.Rules(), set
	a.engine = detect.New(a.names, set, func(r *sigma.Rule) bool { return read.builtin[r] })
	return nil
}

// ruleSet is what was read as rules, filters included.
type ruleSet struct {
	files   int
	rules   []*sigma.Rule
	builtin map[*sigma.Rule]bool
}

// readRules reads, parses and adapts all rules. What it refuses it notes.
func (a *App) readRules() (*ruleSet, error) {
	adapt, err := newAdapter(a.opt.Adapt)
	if err != nil {
		return nil, err
	}
	a.adapted = adapt.digest
	var files []ruleFile
	if !a.opt.NoBuiltin {
		own, err := rules.Files()
		if err != nil {
			return nil, err
		}
		for _, f := range own {
			files = append(files, ruleFile{"rules/" + f.Path, true, func() ([]byte, error) { return f.Source, nil }})
		}
	}
	for _, dir := range a.opt.RuleDirs {
		more, err := ruleFilesAt(dir)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	out := &ruleSet{files: len(files), builtin: map[*sigma.Rule]bool{}}
	byID := map[string]string{}
	for i, p := range parseAll(files, adapt, a.opt.Workers) {
		for _, r := range p.rules {
			if prev, ok := byID[r.ID]; ok && r.ID != "" {
				a.refused = append(a.refused, Refusal{r.File, r.Line, fmt.Sprintf("id %s is already taken by %s", r.ID, prev)})
				continue
			}
			byID[r.ID] = r.File
			out.builtin[r] = files[i].builtin
			out.rules = append(out.rules, r)
		}
		a.refuse(files[i].path, p.err)
	}
	return out, nil
}

// ruleFilesAt lists the rule files at a path the user gave: a folder or one file.
func ruleFilesAt(dir string) ([]ruleFile, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		fsys := os.DirFS(filepath.Dir(dir))
		base := filepath.Base(dir)
		return []ruleFile{{dir, false, func() ([]byte, error) { return readRule(fsys, base) }}}, nil
	}
	return ruleFiles(os.DirFS(dir), func(p string) string { return filepath.Join(dir, filepath.FromSlash(p)) })
}

func (a *App) refuse(file string, err error) {
	if err == nil {
		return
	}
	list := sigma.Errors(err)
	if len(list) == 0 {
		a.refused = append(a.refused, Refusal{File: file, Reason: err.Error()})
	}
	for _, e := range list {
		reason := e.Reason
		if e.Where != "" {
			reason = e.Where + ": " + reason
		}
		a.refused = append(a.refused, Refusal{cmp.Or(e.File, file), e.Line, reason})
	}
}

type parsedFile struct {
	rules []*sigma.Rule
	err   error
}

// parseAll parses and adapts files on n goroutines and keeps their order.
func parseAll(files []ruleFile, adapt *adapter, n int) []parsedFile {
	out := make([]parsedFile, len(files))
	next := make(chan int)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for i := range next {
				src, err := files[i].read()
				if err != nil {
					out[i].err = errors.Join(err)
					continue
				}
				rules, bad := sigma.Parse(files[i].path, src)
				rules, err = adapt.apply(rules, files[i].builtin)
				out[i] = parsedFile{rules, errors.Join(bad, err)}
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}

// loadMappings parses our own mapping files and the user's.
func loadMappings(paths []string) ([]*decode.Mapping, error) {
	var out []*decode.Mapping
	parse := func(name string, src []byte, err error) error {
		if err != nil {
			return err
		}
		m, err := decode.ParseMapping(name, src)
		if err != nil {
			return err
		}
		out = append(out, m)
		return nil
	}
	for _, p := range paths { // the user's first: they are asked first
		src, err := readRule(os.DirFS(filepath.Dir(p)), filepath.Base(p))
		if err := parse(p, src, err); err != nil {
			return nil, fmt.Errorf("mapping %s: %w", p, err)
		}
	}
	names, err := fs.Glob(mappings.FS(), "*.yml")
	if err != nil {
		return nil, err
	}
	for _, p := range names {
		src, err := fs.ReadFile(mappings.FS(), p)
		if err := parse("mappings/"+p, src, err); err != nil {
			return nil, fmt.Errorf("mapping %s: %w", p, err)
		}
	}
	return out, nil
}

// Definitions lists the rules and detectors in use.
func (a *App) Definitions() []detect.Definition {
	var out []detect.Definition
	for i := range a.engine.Rules() {
		out = append(out, a.engine.Definition(i))
	}
	for _, d := range detectors(a.places) {
		out = append(out, d.Definition())
	}
	return out
}
