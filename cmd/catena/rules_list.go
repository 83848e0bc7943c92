package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/model"
)

func rulesListCommand() *cobra.Command {
	var f ruleFlags
	var filter app.RuleFilter
	var levels []string
	var format string
	c := &cobra.Command{
		Use: "list", Short: "List the rules and detectors in use, and what is switched off", Args: cobra.NoArgs,
		Example: "  catena rules list --level high --level critical --tag t1003\n  catena rules list --rules ~/sigma/rules --logsource category=process_creation --format csv",
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "text" && format != "json" && format != "csv" {
				return usageError{fmt.Errorf("--format %q: want text, json or csv", format)}
			}
			for _, l := range levels {
				if model.Severity(l).Rank() < 0 {
					return usageError{fmt.Errorf("--level %q: want informational, low, medium, high or critical", l)}
				}
				filter.Levels = append(filter.Levels, model.Severity(l))
			}
			a, err := f.load(c)
			if err != nil {
				return err
			}
			list := a.List(filter)
			switch format {
			case "json":
				return writeJSON(c.OutOrStdout(), list)
			case "csv":
				return app.WriteRuleCSV(c.OutOrStdout(), list)
			}
			return app.WriteRuleText(c.OutOrStdout(), list)
		},
	}
	f.add(c)
	fl := c.Flags()
	fl.StringArrayVar(&levels, "level", nil, "only rules of this `level`; repeatable")
	fl.StringArrayVar(&filter.Tags, "tag", nil, "only rules with this `tag`, technique or tactic; of several, all")
	fl.StringVar(&filter.LogSource, "logsource", "", "only rules whose log source has this `part`, such as linux or category=process_creation")
	fl.StringVar(&filter.Source, "source", "", "only rules from a `place` with this in its name: a file, a folder, or builtin")
	fl.BoolVar(&filter.Off, "off", false, "only what --disable switches off")
	fl.StringVar(&format, "format", "text", "`form` of the answer: text, json or csv")
	return c
}
