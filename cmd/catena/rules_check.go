package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
)

func rulesCheckCommand() *cobra.Command {
	var (
		adapt          adaptFlags
		format, failOn string
		mappings, skip []string
		all            bool
	)
	c := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Say which rules can be used, why the others cannot, and what can hardly be meant",
		Long: "Check reads Sigma rules, correlations and filters (without PATH our own) and names what cannot be used, with file, line and\n" +
			"reason, and what can be used and hardly means what it says, with what to do. docs/rules.md lists the kinds of advice.\n" +
			"PATH is a folder, an archive or a file. Of a pack with hashes it names every file that is missing, changed or not listed, and\n" +
			"exits with 1 if the pack must not be used.",
		Example: "  catena rules check my-rules\n  catena rules check my-rules --format junit --fail-on warning > check.xml\n  catena rules check sigma/rules-placeholder --var Administrators=adm_* --var known_dcs=@dcs.txt",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, paths []string) error {
			if format != "text" && format != "json" && format != "junit" {
				return usageError{fmt.Errorf("--format %q: want text, json or junit", format)}
			}
			if failOn != "nothing" && failOn != "error" && failOn != "warning" {
				return usageError{fmt.Errorf("--fail-on %q: want nothing, error or warning", failOn)}
			}
			adapt.all = len(paths) == 0
			how, err := adapt.adapt()
			if err != nil {
				return err
			}
			check, err := app.CheckRules(app.Options{Version: version, RuleDirs: paths, NoBuiltin: len(paths) > 0, Mappings: mappings, Adapt: how}, skip)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			switch format {
			case "json":
				err = writeJSON(w, check)
			case "junit":
				err = check.WriteJUnit(w, failOn == "warning")
			default:
				err = check.WriteText(w, all)
			}
			switch {
			case err != nil:
				return err
			case len(check.BadPacks) > 0:
				return fmt.Errorf("%s must not be used", strings.Join(check.BadPacks, ", "))
			case failOn != "nothing" && len(check.Refused) > 0:
				return errors.New("some rules cannot be used")
			case failOn == "warning" && len(check.Warnings) > 0:
				return errors.New("there are warnings")
			}
			return nil
		},
	}
	adapt.add(c)
	fl := c.Flags()
	fl.StringVar(&format, "format", "text", "`form` of the answer: text, json or junit")
	fl.StringVar(&failOn, "fail-on", "nothing", "exit with 1 if there is an `error` or a warning: nothing, error or warning")
	fl.StringArrayVar(&mappings, "mapping", nil, "count the log source of this mapping `file` as known; repeatable")
	fl.StringArrayVar(&skip, "skip", nil, "leave this `kind` of advice out; repeatable")
	fl.BoolVar(&all, "all", false, "show every warning as text, not only the first of each kind")
	return c
}
