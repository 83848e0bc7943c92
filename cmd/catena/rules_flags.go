package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/pack"
)

// ruleFlags say which rules there are and what is made of them.
type ruleFlags struct {
	rules     []string
	noBuiltin bool
	disable   []string
	adaptFlags
}

func (f *ruleFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVar(&f.rules, "rules", nil, "add this `pack` of Sigma rules: a folder, an archive or a file; repeatable, of two rules with one id the later is used")
	fl.BoolVar(&f.noBuiltin, "no-builtin-rules", false, "leave our own rules out")
	fl.StringArrayVar(&f.disable, "disable", nil, "switch off what this `selector` means: rule=ID, tag=TAG, level=LEVEL, product=NAME, category=NAME, service=NAME or pack=NAME; repeatable")
	f.adaptFlags.add(c)
	fl.BoolVar(&f.all, "pipeline-all", false, "apply --pipeline and --var to our own rules as well, not only to those of --rules")
}

// adapt checks the flags against each other.
func (f *ruleFlags) adapt() (app.Adapt, error) {
	if (len(f.pipelines) > 0 || len(f.vars) > 0) && len(f.rules) == 0 && !f.all {
		return app.Adapt{}, usageError{errors.New("--pipeline and --var change the rules of --rules, and there are none; --pipeline-all changes ours")}
	}
	return f.adaptFlags.adapt()
}

// selectors reads --disable.
func (f *ruleFlags) selectors() ([]pack.Selector, error) {
	var out []pack.Selector
	for _, text := range f.disable {
		s, err := pack.ParseSelector(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--disable %w", err)}
		}
		out = append(out, s)
	}
	return out, nil
}

// options are those of a command that reads rules only.
func (f *ruleFlags) options() (app.Options, error) {
	adapt, err := f.adapt()
	if err != nil {
		return app.Options{}, err
	}
	disable, err := f.selectors()
	if err != nil {
		return app.Options{}, err
	}
	return app.Options{Version: version, RuleDirs: f.rules, NoBuiltin: f.noBuiltin, Disable: disable, Adapt: adapt}, nil
}

// adaptFlags say what is made of rules before they are used.
type adaptFlags struct {
	pipelines, vars []string
	all             bool
}

func (f *adaptFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVar(&f.pipelines, "pipeline", nil, "adapt the given rules with this processing pipeline `file` (pySigma's YAML); repeatable")
	fl.StringArrayVar(&f.vars, "var", nil, "`name=value` or name=@file of a placeholder (%name%) in the given rules; repeatable")
}

func (f *adaptFlags) adapt() (app.Adapt, error) {
	vars, err := app.ReadVars(f.vars)
	if err != nil {
		return app.Adapt{}, usageError{fmt.Errorf("--var %w", err)}
	}
	return app.Adapt{Pipelines: f.pipelines, Vars: vars, Builtin: f.all}, nil
}

// ruleFlagNames are the flags that a command which needs no rules hides.
func ruleFlagNames() []string {
	return []string{"rules", "no-builtin-rules", "disable", "pipeline", "pipeline-all", "var"}
}

// hideFlags hides flags that exist.
func hideFlags(c *cobra.Command, names []string) {
	for _, name := range names {
		_ = c.Flags().MarkHidden(name) // it only fails for a flag that is not there
	}
}
