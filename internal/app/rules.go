package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/mappings"
	"github.com/catena-sec/catena/sigma"
)

// A Refusal is a rule, or a file of a pack, that cannot be used.
type Refusal = pack.Problem

// maxRuleFile bounds a file of rules, of a mapping or of a pipeline, in bytes.
const maxRuleFile = 1 << 20

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
	packs, err := openPacks(&a.opt)
	if err != nil {
		return err
	}
	if err := a.loadPacks(packs); err != nil {
		return err
	}
	a.engine = detect.New(a.names, a.set, func(r *sigma.Rule) bool { return a.packs.Pack(r).Builtin })
	return nil
}

// openPacks opens the packs that options name: ours first, then those given.
func openPacks(o *Options) ([]*pack.Pack, error) {
	var out []*pack.Pack
	if !o.NoBuiltin {
		own, err := pack.Builtin(o.Version)
		if err != nil {
			return nil, err
		}
		out = append(out, own)
	}
	for _, path := range o.RuleDirs {
		p, err := pack.Open(path)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// loadPacks makes of packs the rules in use, and notes what it refuses.
func (a *App) loadPacks(packs []*pack.Pack) error {
	adapt, err := newAdapter(a.opt.Adapt)
	if err != nil {
		return err
	}
	a.adapted = adapt.digest
	set, refused, err := pack.Load(packs, pack.Options{Engine: a.opt.Version, Disable: a.opt.Disable, Workers: a.opt.Workers, Adapt: adapt.apply})
	if err != nil {
		return err
	}
	a.packs, a.set, a.rules, a.refused = set, set.Rules, set.Rules.Rules(), refused
	return nil
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
	for _, d := range a.detectors() {
		out = append(out, d.Definition())
	}
	return out
}
