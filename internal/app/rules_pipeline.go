package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/catena-sec/catena/sigma"
)

// Adapt is what is made of rules before they are used: processing pipelines in
// the YAML of pySigma, and values for placeholders. It is made of the rules that
// the user gave, as ours are written for the names of fields that decoders give.
type Adapt struct {
	Pipelines []string            // files, applied in the order of their priorities
	Vars      map[string][]string // values of placeholders, over those of the pipelines
	Builtin   bool                // of our own rules as well
}

// Bounds of the variables of one run.
const (
	maxVars      = 10_000
	maxVarValues = 100_000 // of all variables together
)

// ReadVars reads variables written "name=value" or "name=@file", where the file
// holds one value a line (see sigma.ReadList). A name given again gets further
// values.
func ReadVars(args []string) (map[string][]string, error) {
	out := map[string][]string{}
	n := 0
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" || strings.ContainsAny(name, "% \t\\/") {
			return nil, fmt.Errorf("%q: want name=value or name=@file", arg)
		}
		values := []string{value}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			src, err := readSmall(file)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if values, err = sigma.ReadList(file, src); err != nil {
				return nil, err
			}
			if len(values) == 0 {
				return nil, fmt.Errorf("%s: %s holds no value", name, file)
			}
		}
		out[name] = append(out[name], values...)
		if n += len(values); n > maxVarValues || len(out) > maxVars {
			return nil, fmt.Errorf("more than %d variables or %d values", maxVars, maxVarValues)
		}
	}
	return out, nil
}

// readSmall reads a file that may be as large as a file of rules.
func readSmall(path string) ([]byte, error) {
	return readRule(os.DirFS(filepath.Dir(path)), filepath.Base(path))
}

// An adapter makes of rules what Adapt says.
type adapter struct {
	pipeline *sigma.Pipeline // nil if there is none
	fill     *sigma.Pipeline // fills in what placeholders are left; nil if there are no variables
	builtin  bool
	digest   string // identifies all of it, empty if there is nothing to do
}

// fillPlaceholders is the pipeline of variables given without one.
const fillPlaceholders = "transformations: [{type: value_placeholders}]"

func newAdapter(o Adapt) (*adapter, error) {
	a := &adapter{builtin: o.Builtin}
	h := sha256.New()
	var pipelines []*sigma.Pipeline
	for _, path := range o.Pipelines {
		src, err := readSmall(path)
		if err != nil {
			return nil, fmt.Errorf("read pipeline: %w", err)
		}
		p, err := sigma.ParsePipeline(path, src)
		if err != nil {
			return nil, fmt.Errorf("read pipeline: %w", err)
		}
		pipelines = append(pipelines, p)
		fmt.Fprintf(h, "pipeline\x00%d\x00%s", len(src), src)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Vars)) {
		fmt.Fprintf(h, "var\x00%q\x00%q", name, o.Vars[name])
	}
	fmt.Fprintf(h, "builtin\x00%t", o.Builtin)
	if len(pipelines) > 0 {
		a.pipeline = sigma.JoinPipelines(pipelines...)
		a.pipeline.SetVars(o.Vars)
	}
	if len(o.Vars) > 0 {
		fill, err := sigma.ParsePipeline("placeholders", []byte(fillPlaceholders))
		if err != nil {
			return nil, fmt.Errorf("fill placeholders in: %w", err)
		}
		fill.SetVars(o.Vars)
		a.fill = fill
	}
	if a.pipeline != nil || a.fill != nil {
		a.digest = " adapted (" + hex.EncodeToString(h.Sum(nil)[:6]) + ")"
	}
	return a, nil
}

// apply returns what becomes of the rules of one file, and why the others cannot
// be used.
func (a *adapter) apply(rules []*sigma.Rule, builtin bool) ([]*sigma.Rule, error) {
	if a.pipeline == nil && a.fill == nil || builtin && !a.builtin {
		return rules, nil
	}
	var out []*sigma.Rule
	var bad []error
	for _, r := range rules {
		var err error
		if a.pipeline != nil {
			r, err = a.pipeline.Apply(r)
		}
		if err == nil && a.fill != nil && len(r.Placeholders) > 0 {
			r, err = a.fill.Apply(r)
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(bad...)
}
