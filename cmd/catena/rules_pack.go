package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

func rulesPackCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "pack [DIR] --out FILE", Short: "Make a pack of a folder of rules: an archive with the hash of every file",
		Long: "Pack makes of the folder DIR, which has a pack.yml with name and version, an archive that --rules takes: all files but those\n" +
			"whose names begin with a dot, and SHA256SUMS with their hashes. The same files give the same bytes. Without DIR it packs our\n" +
			"own rules. See docs/rules.md.",
		Example: "  catena rules pack my-rules --out my-rules-1.2.0.zip\n  catena rules check my-rules-1.2.0.zip\n  catena analyze /var/log --rules my-rules-1.2.0.zip",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usageError{errors.New("--out is needed: the archive to write, .zip, .tar.gz or .tgz")}
			}
			dir := ""
			if len(args) > 0 {
				dir = args[0]
			}
			p, err := app.WritePack(dir, out, version)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), report.Clean(p.Text()))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "write this `file`: .zip, .tar.gz or .tgz")
	return c
}

func rulesPacksCommand() *cobra.Command {
	var f ruleFlags
	var format string
	c := &cobra.Command{
		Use: "packs", Short: "List the packs in use: version, rules, what is switched off", Args: cobra.NoArgs,
		Example: "  catena rules packs\n  catena rules packs --rules my-rules-1.2.0.zip --disable pack=catena",
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			a, err := f.load(c)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(c.OutOrStdout(), a.Packs())
			}
			return app.WritePacksText(c.OutOrStdout(), a.Packs())
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "text", "`form` of the answer: text or json")
	return c
}
