package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
)

func sourcesCommand() *cobra.Command {
	var f ruleFlags
	var mappings []string
	var format string
	c := &cobra.Command{
		Use: "sources [FORMAT...]", Short: "List what can be read, what each source gives, and which rules need it",
		Long: "List the formats that can be read: the log sources, fields, entities, acts and ATT&CK data components that each gives,\n" +
			"how many of the loaded rules read it, and the rules that no source can feed. It is found by decoding small records of ours.",
		Example: "  catena sources\n  catena sources okta kubernetes-audit --format json\n  catena sources --rules ~/sigma/rules --mapping acme.yml",
		RunE: func(c *cobra.Command, wanted []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			opt, err := f.options()
			if err != nil {
				return err
			}
			opt.Mappings = mappings
			a, err := app.New(opt)
			if err != nil {
				return err
			}
			warnRefused(c, a)
			s, err := a.Sources()
			if err != nil {
				return err
			}
			for _, name := range wanted {
				if !slices.ContainsFunc(s.Sources, func(x app.Source) bool { return x.Format == name }) {
					return usageError{fmt.Errorf("there is no source %q; without a name all are listed", name)}
				}
			}
			if len(wanted) > 0 {
				s.Sources = slices.DeleteFunc(s.Sources, func(x app.Source) bool { return !slices.Contains(wanted, x.Format) })
			}
			if format == "json" {
				return writeJSON(c.OutOrStdout(), s)
			}
			return app.WriteSourcesText(c.OutOrStdout(), s)
		},
	}
	f.add(c)
	fl := c.Flags()
	fl.StringArrayVar(&mappings, "mapping", nil, "list the source of this mapping `file` as well; repeatable")
	fl.StringVar(&format, "format", "text", "`form` of the answer: text or json")
	return c
}
