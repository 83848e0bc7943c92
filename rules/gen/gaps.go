package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// enough is how many rules a cell has that needs no explanation.
const enough = 2

// A gap explains a cell in which fewer rules are counted; see docs/coverage-gaps.yml.
type gap struct {
	Cell      string   `yaml:"cell"` // stage and subsystem, as cellName writes them
	Elsewhere []string `yaml:"elsewhere"`
	Why       string   `yaml:"why"`
}

// cellName names a cell as people write it.
func cellName(st model.Stage, subsystem string) string { return words(string(st)) + " " + subsystem }

func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

// readGaps returns the gaps by the names of their cells.
func readGaps(src []byte) (map[string]gap, error) {
	var list []gap
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("%s: %w", gapsFile, err)
	}
	gaps := map[string]gap{}
	for _, g := range list {
		if _, ok := gaps[g.Cell]; ok {
			return nil, fmt.Errorf("%s: cell %q stands there twice", gapsFile, g.Cell)
		}
		gaps[g.Cell] = g
	}
	return gaps, nil
}

// checkGaps compares what was written by hand with the matrix: every thin cell has
// its reason, no other has one, and each rule that is said to see the cell has the
// cell's stage and is of several subsystems.
func checkGaps(c *report.Coverage, list []app.RuleLine, gaps map[string]gap) error {
	anyOf := map[string]model.Stage{} // rules counted under any, by name
	for _, l := range list {
		if l.File != "" && l.Column() == report.AnySubsystem {
			anyOf[ruleName(l.File)] = l.Stage
		}
	}
	var problems []error
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(gapsFile+": "+format, args...))
	}
	known := map[string]bool{}
	for _, st := range c.Stages {
		for _, s := range c.Subsystems {
			name, n := cellName(st, s), c.Matrix[st][s]
			g, ok := gaps[name]
			known[name] = true
			switch {
			case s == report.AnySubsystem && ok:
				complain("%q is no cell of one subsystem", name)
				continue
			case s == report.AnySubsystem:
				continue
			case ok && n >= enough:
				complain("cell %q has %d rules and needs no reason", name, n)
			case !ok && n < enough:
				complain("cell %q has %d rules, want at least %d or a reason", name, n, enough)
			case ok && g.Why == "" && n+len(g.Elsewhere) < enough:
				complain("cell %q has %d rules and %d elsewhere, and does not say why", name, n, len(g.Elsewhere))
			}
			for i, r := range g.Elsewhere {
				if of, ok := anyOf[r]; !ok || of != st {
					complain("cell %q: no rule %s of this stage is counted under %s", name, r, report.AnySubsystem)
				} else if slices.Contains(g.Elsewhere[:i], r) {
					complain("cell %q: rule %s stands there twice", name, r)
				}
			}
		}
	}
	for name := range gaps {
		if !known[name] {
			complain("the matrix has no cell %q", name)
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// ruleName is a rule's path in the folder rules, without the ending.
func ruleName(file string) string {
	return strings.TrimSuffix(strings.TrimPrefix(file, "rules/"), ".yml")
}
