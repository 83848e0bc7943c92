package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/model"
)

func rulesFitCommand() *cobra.Command {
	var ev evidenceFlags
	var format string
	var all bool
	c := &cobra.Command{
		Use:   "fit EVIDENCE...",
		Short: "Say which rules can fire on evidence, and what the others lack",
		Long: "Fit reads evidence and tells for every rule how far it gets: it fired; it can fire, as all is there that it needs; it lacks\n" +
			"fields (and what is called nearly the same); it lacks events of the id, channel, provider or type it wants; or its log source\n" +
			"is silent.",
		Example: "  catena rules fit /var/log\n  catena rules fit evidence.zip --rules ~/sigma/rules --no-builtin-rules --format json",
		Args:    somePaths,
		RunE: func(c *cobra.Command, paths []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			opt, err := ev.options(c)
			if err != nil {
				return err
			}
			p := newProgress(c)
			opt.Progress = p.show
			a, err := app.New(opt)
			if err != nil {
				return err
			}
			warnRefused(c, a)
			fit, err := a.Fit(c.Context(), paths)
			p.clear()
			if err != nil {
				return err
			}
			if format == "json" {
				err = writeJSON(c.OutOrStdout(), fit)
			} else {
				err = fit.WriteText(c.OutOrStdout(), all)
			}
			if err != nil {
				return err
			}
			return complain(c.ErrOrStderr(), &model.Report{Inputs: fit.Inputs})
		},
	}
	ev.add(c)
	c.Flags().StringVar(&format, "format", "text", "`form` of the answer: text or json")
	c.Flags().BoolVar(&all, "all", false, "cut no list of the text")
	return c
}
