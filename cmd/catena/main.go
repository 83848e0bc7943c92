// Command catena fuses security evidence into the stories of attacks. See
// "catena --help"; all it does here is turn flags into options and signals into
// the end of a context.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // --tz works on machines without a time zone database

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/report"
)

// version is set by the build.
var version = "dev"

// The exit codes of the contract.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3 // done, but some input could not be read
)

// usageError is an error of the call itself.
type usageError struct{ error }

// errPartial says that the work is done but for inputs already named on stderr.
var errPartial = errors.New("some input could not be read")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errPartial):
		return exitPartial
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "catena: %s\nRun 'catena %s--help' for what it takes.\n", report.Clean(err.Error()), commandOf(root, args))
		return exitUsage
	default:
		fmt.Fprintln(os.Stderr, "catena: "+report.Clean(err.Error()))
		return exitFailed
	}
}

// commandOf names the command that args call, with its parents.
func commandOf(root *cobra.Command, args []string) string {
	if c, _, err := root.Find(args); err == nil && c != root {
		return strings.TrimPrefix(c.CommandPath(), root.Name()+" ") + " "
	}
	return ""
}

// somePaths wants the names of what to read.
func somePaths(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("at least one PATH is needed")
	}
	return nil
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "catena",
		Short:         "Security evidence in, the story of each attack out",
		Long:          "Catena reads security evidence (logs and alerts of servers, identities and clouds), gives every alert an intent,\nand fuses them into incidents that say where an attack started, how it went on, what it reached and what comes next.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().BoolP("quiet", "q", false, "no progress on standard error")
	root.AddCommand(analyzeCommand(), rulesCommand(), simulateCommand(), evalCommand(), decideCommand(), diffCommand(), decodeCommand(), sourcesCommand(), benchCommand(), serveCommand(), mcpCommand(), configCommand(), doctorCommand(), schemaCommand(), versionCommand())
	wrapArgs(root)
	return root
}

// wrapArgs makes complaints about arguments errors of usage.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "catena "+version) },
	}
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema NAME", Short: "Print a JSON Schema: report, incident, alert, event, decision, config", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == "config" {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(config.Schema())
			}
			b, err := report.Schema(args[0])
			if err != nil {
				return usageError{err}
			}
			_, err = c.OutOrStdout().Write(b)
			return err
		},
	}
}
