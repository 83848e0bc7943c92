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
			if err := opt.Check(); err != nil {
				return usageError{err}
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
	fl.StringArrayVar(&opt.Scenarios, "scenario", nil, fmt.Sprintf("plant only this `attack`, repeatable (default: all of %v; with --form alerts of %v); \"quiet\" plants none, and %v are no attacks", simulate.Names(), simulate.AlertNames(), simulate.BenignNames()))
	fl.StringVar(&opt.Form, "form", simulate.Evidence, "`form`: evidence, the logs of one day of a small estate, or alerts, what products raised in a fleet of any size")
	fl.BoolVar(&opt.Products, "products", false, "beside the logs also alerts of products that watch the same estate")
	fl.BoolVar(&opt.Troubles, "troubles", false, "lines of logs come late, twice, or all at once after an outage")
	fl.IntVar(&opt.Hosts, "hosts", 0, "with --form alerts: `number` of machines of each tenant (default 2000)")
	fl.IntVar(&opt.Days, "days", 0, "with --form alerts: `number` of days (default 10)")
	fl.IntVar(&opt.Campaigns, "campaigns", 0, "with --form alerts: `number` of attacks (default 8)")
	fl.IntVar(&opt.Tenants, "tenants", 0, "with --form alerts: `number` of organisations, each with a folder of its own (default 1)")
	fl.Float64Var(&opt.Noise, "noise", 0, "with --form alerts: false positives as a `multiple` of the usual (default 1)")
	return c
}
