package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
)

func rulesExplainCommand() *cobra.Command {
	var (
		ev     evidenceFlags
		format string
		what   app.ExplainOptions
	)
	c := &cobra.Command{
		Use: "explain RULE EVENT", Short: "Say why a rule matched an event or did not, selection by selection",
		Long: "Explain tells how RULE (an id, name, title or file) comes out on EVENT: a file of any format that Catena reads, \"-\" for standard\n" +
			"input, or the text of a record. Of a correlation it tells what all of the events come to.",
		Example: "  catena rules explain my-rules/whoami.yml sysmon.evtx --record 12\n" +
			"  catena rules explain 'Many refusals from one address' /var/log/auth.log --rules my-rules\n" +
			"  catena rules explain my-rules/whoami.yml '{\"Channel\": \"Microsoft-Windows-Sysmon/Operational\", \"EventID\": 1, \"Image\": \"C:\\\\whoami.exe\"}'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("it takes a RULE and an EVENT")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			if what.Record < 0 || what.Limit < 1 {
				return usageError{errors.New("--record and --limit take a number from 1 on")}
			}
			var file []string
			if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
				file = args[:1]
			}
			opt, err := ev.optionsFor(c, file)
			if err != nil {
				return err
			}
			if file != nil { // it may be one of ours, or a changed copy of it
				opt.NoBuiltin = true
				opt.RuleDirs = append(opt.RuleDirs, file...) // of two rules with one id the later is used
			}
			a, err := app.New(opt)
			if err != nil {
				return err
			}
			told, err := a.Explain(c.Context(), args[0], args[1], what)
			if err != nil {
				return err
			}
			if format == "json" {
				err = told.WriteJSON(c.OutOrStdout())
			} else {
				err = told.WriteText(c.OutOrStdout(), colored())
			}
			if err != nil {
				return err
			}
			for _, in := range told.Inputs {
				if len(in.Errors) > 0 {
					return errPartial
				}
			}
			return nil
		},
	}
	ev.add(c)
	fl := c.Flags()
	fl.StringVar(&format, "format", "text", "`form` of the answer: text or json")
	fl.Int64Var(&what.Record, "record", 0, "explain only the record with this `number` (default: those that match, or came closest)")
	fl.IntVar(&what.Limit, "limit", 3, "`number` of events told of")
	return c
}
