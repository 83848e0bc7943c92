package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/report"
)

func rulesCommand() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "Work on Sigma rules", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(rulesCheckCommand(), rulesListCommand())
	c.AddCommand(rulesPackCommand(), rulesPacksCommand())
	c.AddCommand(rulesCoverageCommand(), rulesFitCommand())
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
