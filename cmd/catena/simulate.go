package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/simulate"
)

func simulateCommand() *cobra.Command {
	var opt simulate.Options
	var out string
	c := &cobra.Command{
		Use: "simulate --out DIR", Short: "Make evidence of an estate with planted attacks, and the truth beside it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return usageError{fmt.Errorf("--out is needed: the folder to write evidence/ and truth.json into")}
			}
			for _, s := range opt.Scenarios {
				if !simulate.Known(s) {
					return usageError{fmt.Errorf("--scenario %q: want one of %v", s, simulate.Names())}
				}
			}
			sum, err := simulate.Write(out, opt)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d records in %d files, %d campaigns (seed %d)\n", out, sum.Records, sum.Files, sum.Campaigns, opt.Seed)
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&out, "out", "", "`folder` to write evidence/ and truth.json into")
	fl.Uint64Var(&opt.Seed, "seed", 1, "`number` that decides everything: the same seed gives the same bytes")
	fl.StringArrayVar(&opt.Scenarios, "scenario", nil, fmt.Sprintf("plant only this `attack`, repeatable (default: all of %v); \"quiet\" plants none", simulate.Names()))
	return c
}
