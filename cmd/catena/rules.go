package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

func rulesCommand() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "Work on Sigma rules", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(rulesCheckCommand(), rulesListCommand())
	c.AddCommand(rulesFitCommand())
	c.AddCommand(rulesTestCommand(), rulesExplainCommand())
	return c
}

// writeJSON writes v indented, with what hides in texts made visible.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(report.SafeJSON(w))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func rulesListCommand() *cobra.Command {
	var dirs []string
	var noBuiltin bool
	c := &cobra.Command{
		Use: "list", Short: "List the rules in use", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := app.New(app.Options{Version: version, RuleDirs: dirs, NoBuiltin: noBuiltin})
			if err != nil {
				return err
			}
			warnRefused(c, a)
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, d := range a.Definitions() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", report.Clean(d.Rule.ID), d.Rule.Level, report.Clean(d.Rule.Title), report.Clean(d.Rule.Source))
			}
			return w.Flush()
		},
	}
	c.Flags().StringArrayVar(&dirs, "rules", nil, "add the Sigma rules of this file or `folder`; repeatable")
	c.Flags().BoolVar(&noBuiltin, "no-builtin-rules", false, "leave our own rules out")
	return c
}
