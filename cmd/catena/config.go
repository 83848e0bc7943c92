package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/report"
)

// configFlags are how serve, doctor and config are told what to do.
type configFlags struct {
	file string
	sets []string
}

func (f *configFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "config", os.Getenv("CATENA_CONFIG"), "configuration `FILE`; without one every setting has its default (environment: CATENA_CONFIG)")
	c.Flags().StringArrayVar(&f.sets, "set", nil, "set `NAME=VALUE` besides, such as bus.max_bytes=2GiB, repeatable")
}

// load reads the configuration; its problems are printed, a line each.
func (f *configFlags) load(stderr io.Writer) (config.Config, error) {
	c, err := config.Load(f.file, os.Environ(), f.sets)
	var l config.Problems
	if !errors.As(err, &l) {
		return c, err
	}
	for _, p := range l {
		fmt.Fprintln(stderr, report.Clean(p.Error()))
	}
	return c, problems(len(l))
}

func problems(n int) error {
	if n == 1 {
		return errors.New("the configuration has a problem")
	}
	return fmt.Errorf("the configuration has %d problems", n)
}

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check the configuration of serve, or show every setting", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var f configFlags
	var format string
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Say what is wrong with a configuration, each problem with its line", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.file = args[0]
			}
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format is text or json, not %q", format)}
			}
			_, err := config.Load(f.file, os.Environ(), f.sets)
			var l config.Problems
			if err != nil && !errors.As(err, &l) {
				return err
			}
			if format == "json" {
				if l == nil {
					l = config.Problems{}
				}
				e := json.NewEncoder(report.SafeJSON(c.OutOrStdout()))
				e.SetIndent("", "  ")
				if err := e.Encode(map[string]any{"problems": l}); err != nil {
					return err
				}
			} else {
				for _, p := range l {
					fmt.Fprintln(c.OutOrStdout(), report.Clean(p.Error()))
				}
				if len(l) == 0 {
					fmt.Fprintln(c.OutOrStdout(), "The configuration is good. catena doctor looks at what it names.")
				}
			}
			if len(l) > 0 {
				return problems(len(l))
			}
			return nil
		},
	}
	f.register(check)
	check.Flags().StringVar(&format, "format", "text", "text or json")
	example := &cobra.Command{
		Use: "example", Short: "Print a commented file with every setting at its default", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := io.WriteString(c.OutOrStdout(), config.Example())
			return err
		},
	}
	c.AddCommand(check, example)
	return c
}

func doctorCommand() *cobra.Command {
	var f configFlags
	var format string
	var live, test bool
	c := &cobra.Command{
		Use: "doctor", Short: "Find what is wrong with an installation, and say what to do", Args: cobra.NoArgs,
		Long: "Looks at what the configuration names: the data folder and its space, certificates, ports, the queue's servers, rules,\nfollowed files, targets of notifications, and whether the process answers. It changes nothing.",
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format is text or json, not %q", format)}
			}
			cfg, err := f.load(c.ErrOrStderr())
			if err != nil {
				return err
			}
			d := app.Doctor{Config: cfg, Version: version, Now: time.Now(), Live: live, Test: test}
			found := d.Examine(c.Context())
			broken := 0
			for _, x := range found {
				if x.State == app.Broken {
					broken++
				}
			}
			if format == "json" {
				e := json.NewEncoder(report.SafeJSON(c.OutOrStdout()))
				e.SetIndent("", "  ")
				if err := e.Encode(map[string]any{"findings": found}); err != nil {
					return err
				}
			} else if quiet, _ := c.Flags().GetBool("quiet"); !quiet {
				for _, x := range found {
					fmt.Fprintf(c.OutOrStdout(), "%-8s %s: %s\n", x.State, report.Clean(x.Name), report.Clean(x.Text))
					if x.Do != "" {
						fmt.Fprintf(c.OutOrStdout(), "%-8s   %s\n", "", report.Clean(x.Do))
					}
				}
			}
			if broken > 0 {
				return fmt.Errorf("%d of %d things are broken", broken, len(found))
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&format, "format", "text", "text or json")
	c.Flags().BoolVar(&live, "live", false, "only ask whether the process is ready")
	c.Flags().BoolVar(&test, "test", false, "send a test message to every target of notifications")
	return c
}
