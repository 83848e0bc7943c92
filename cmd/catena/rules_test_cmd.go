package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
)

// errTests says that tests failed, which the output has told already.
var errTests = errors.New("not all tests passed")

func rulesTestCommand() *cobra.Command {
	var (
		ev                            evidenceFlags
		format                        string
		require, verbose, withBuiltin bool
	)
	c := &cobra.Command{
		Use: "test [PATH...]", Short: "Run the tests beside rules",
		Long: "Test runs, of each file of rules at PATH, the test file beside it: <rule>.test.yml, which lists events that must match and\n" +
			"others that must not. Without a PATH it tests our own rules. Regression tests that rules of SigmaHQ name are run as well.",
		Example: "  catena rules test\n  catena rules test my-rules --format junit --require > results.xml\n  catena rules test my-filters --with-builtin-rules",
		RunE: func(c *cobra.Command, paths []string) error {
			if format != "text" && format != "json" && format != "junit" {
				return usageError{fmt.Errorf("--format %q: want text, json or junit", format)}
			}
			opt, err := ev.optionsFor(c, paths)
			if err != nil {
				return err
			}
			opt.NoBuiltin = !withBuiltin
			res, err := app.TestRules(c.Context(), opt, paths)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			switch format {
			case "json":
				err = res.WriteJSON(w)
			case "junit":
				err = res.WriteJUnit(w, require)
			default:
				err = res.WriteText(w, colored(), verbose)
			}
			if err == nil && res.Failed(require) {
				err = errTests
			}
			return err
		},
	}
	ev.add(c)
	fl := c.Flags()
	fl.StringVar(&format, "format", "text", "`form` of the results: text, json or junit")
	fl.BoolVar(&require, "require", false, "a rule without a test is a failure")
	fl.BoolVarP(&verbose, "verbose", "v", false, "list what passed as well, and every rule without a test")
	fl.BoolVar(&withBuiltin, "with-builtin-rules", false, "load our own rules besides those at PATH, which may refer to them")
	hideFlags(c, []string{"no-builtin-rules"})
	return c
}

// optionsFor is options of a command whose arguments are rules as well, which the
// flags that change rules may be for.
func (f *evidenceFlags) optionsFor(c *cobra.Command, rules []string) (app.Options, error) {
	refs := f.rules
	f.rules = append(slices.Clone(rules), refs...)
	opt, err := f.options(c)
	opt.RuleDirs = refs
	return opt, err
}

// colored reports whether standard output shows colours and marks.
func colored() bool { return terminal(os.Stdout) && os.Getenv("NO_COLOR") == "" }
