package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

func rulesCoverageCommand() *cobra.Command {
	var f ruleFlags
	var format string
	var all bool
	c := &cobra.Command{
		Use: "coverage", Short: "Show which stages, subsystems and techniques the rules in use are for", Args: cobra.NoArgs,
		Example: "  catena rules coverage\n  catena rules coverage --rules ~/sigma/rules --format navigator > layer.json\n  catena rules coverage --format html > coverage.html",
		RunE: func(c *cobra.Command, _ []string) error {
			write, ok := map[string]func(*report.Coverage) error{
				"text":      func(r *report.Coverage) error { return report.CoverageText(c.OutOrStdout(), r, all) },
				"json":      func(r *report.Coverage) error { return writeJSON(c.OutOrStdout(), r) },
				"navigator": func(r *report.Coverage) error { return report.CoverageNavigator(c.OutOrStdout(), r) },
				"html":      func(r *report.Coverage) error { return report.CoverageHTML(c.OutOrStdout(), r) },
			}[format]
			if !ok {
				return usageError{fmt.Errorf("--format %q: want text, json, navigator or html", format)}
			}
			a, err := f.load(c)
			if err != nil {
				return err
			}
			return write(a.Coverage())
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "text", "`form` of the answer: text, json, navigator or html")
	c.Flags().BoolVar(&all, "all", false, "list the techniques that rules name as text, tactic by tactic")
	return c
}

// load returns the rules of the flags, ready to be asked.
func (f *ruleFlags) load(c *cobra.Command) (*app.App, error) {
	opt, err := f.options()
	if err != nil {
		return nil, err
	}
	a, err := app.New(opt)
	if err != nil {
		return nil, err
	}
	warnRefused(c, a)
	return a, nil
}
