package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// evidenceFlags are what every command that reads evidence takes.
type evidenceFlags struct {
	ruleFlags
	mappings []string
	zone     string
	year     int
	workers  int
	geoip    []string
}

func (f *evidenceFlags) add(c *cobra.Command) {
	fl := c.Flags()
	f.ruleFlags.add(c)
	fl.StringArrayVar(&f.mappings, "mapping", nil, "add a mapping `file` for alerts of a product Catena does not know; repeatable")
	fl.StringArrayVar(&f.geoip, "geoip", nil, "MaxMind database `file` (.mmdb) of cities, countries or networks, for sign-ins from where nobody can be; repeatable")
	fl.StringVar(&f.zone, "tz", "UTC", "time `zone` of stamps that name none, such as Europe/Paris")
	fl.IntVar(&f.year, "year", 0, "`year` of syslog stamps, which carry none (default: found out from the evidence)")
	fl.IntVar(&f.workers, "workers", 0, "goroutines that decode and match (default: all cores); the result does not depend on it")
}

func (f *evidenceFlags) options(c *cobra.Command) (app.Options, error) {
	zone, err := time.LoadLocation(f.zone)
	if err != nil {
		return app.Options{}, usageError{fmt.Errorf("--tz %q: no such time zone; try UTC, Europe/Paris or America/New_York", f.zone)}
	}
	if f.workers < 0 || f.workers > 1024 {
		return app.Options{}, usageError{fmt.Errorf("--workers %d: from 1 to 1024, or 0 for all cores", f.workers)}
	}
	if f.year < 0 || f.year > 9999 {
		return app.Options{}, usageError{fmt.Errorf("--year %d: no such year", f.year)}
	}
	opt, err := f.ruleFlags.options()
	if err != nil {
		return app.Options{}, err
	}
	opt.Mappings, opt.Zone, opt.Year, opt.GeoIP, opt.Workers, opt.Stdin = f.mappings, zone, f.year, f.geoip, f.workers, c.InOrStdin()
	return opt, nil
}

func analyzeCommand() *cobra.Command {
	var (
		ev           evidenceFlags
		formats      []string
		out          string
		allAlerts    bool
		since, until string
		decisions    string
		memory       string
		assets       string
	)
	c := &cobra.Command{
		Use:   "analyze PATH...",
		Short: "Evidence in, story out",
		Long: "Analyze reads files, folders and archives (\"-\" is standard input), finds out what they are by their content, and tells\n" +
			"what attacks they show. Formats: " + strings.Join(formatNames(), ", ") + ".",
		Example: "  catena analyze /var/log\n  catena analyze evidence.zip --rules ~/sigma/rules --format json --format html --out report\n  zcat export.json.gz | catena analyze -",
		Args:    somePaths,
		RunE: func(c *cobra.Command, paths []string) error {
			opt, err := ev.options(c)
			if err != nil {
				return err
			}
			opt.AllAlerts, opt.Memory = allAlerts, memory
			if opt.Since, err = timeFlag("since", since); err != nil {
				return err
			}
			if opt.Until, err = timeFlag("until", until); err != nil {
				return err
			}
			if !opt.Until.IsZero() && !opt.Until.After(opt.Since) {
				return usageError{fmt.Errorf("--until %s: not after --since %s", until, since)}
			}
			if assets != "" {
				if opt.Assets, err = app.ReadAssets(assets); err != nil {
					return usageError{fmt.Errorf("--assets: %w", err)}
				}
			}
			opt.Decisions = decisions
			writers, err := chooseWriters(formats, out)
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
			r, err := a.Analyze(c.Context(), paths)
			p.clear()
			if err != nil {
				return err
			}
			if err := write(c, writers, out, r); err != nil {
				return err
			}
			return complain(c.ErrOrStderr(), r)
		},
	}
	ev.add(c)
	fl := c.Flags()
	fl.StringArrayVar(&formats, "format", nil, "`form` of the report, repeatable: "+strings.Join(formatNames(), ", ")+" (default: text)")
	fl.StringVar(&out, "out", "", "write one file per format into this `folder`; without it one format goes to standard output")
	fl.BoolVar(&allAlerts, "alerts", false, "put every alert in the report, not only those inside incidents")
	fl.StringVar(&assets, "assets", "", "YAML `file` that names critical assets; the report says of each whether an attack touched it or could reach it")
	fl.StringVar(&memory, "memory", "", "`file` that remembers entities across runs, so that a probe is known months later; made when missing")
	fl.StringVar(&decisions, "decisions", "", "journal `file` of analysts' decisions, which incidents obey; see 'catena decide'")
	fl.StringVar(&since, "since", "", "leave out events before this `time` (RFC 3339)")
	fl.StringVar(&until, "until", "", "leave out events from this `time` on (RFC 3339)")
	return c
}

func timeFlag(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usageError{fmt.Errorf("--%s %q: want RFC 3339, such as 2026-03-01T13:00:00Z", name, s)}
	}
	return t, nil
}

func formatNames() []string {
	var names []string
	for _, w := range app.Writers(report.TextOptions{}) {
		names = append(names, w.Name())
	}
	return names
}

func chooseWriters(formats []string, out string) ([]report.Writer, error) {
	if len(formats) == 0 {
		formats = []string{"text"}
		if out != "" {
			formats = []string{"json", "html"}
		}
	}
	if out == "" && len(formats) > 1 {
		return nil, usageError{errors.New("several formats need --out FOLDER")}
	}
	all := app.Writers(report.TextOptions{Color: out == "" && terminal(os.Stdout) && os.Getenv("NO_COLOR") == "", Width: terminalWidth()})
	var writers []report.Writer
	for _, f := range formats {
		i := slices.IndexFunc(all, func(w report.Writer) bool { return w.Name() == f })
		if i < 0 {
			return nil, usageError{fmt.Errorf("--format %q: want one of %s", f, strings.Join(formatNames(), ", "))}
		}
		if !slices.Contains(writers, all[i]) {
			writers = append(writers, all[i])
		}
	}
	return writers, nil
}

func write(c *cobra.Command, writers []report.Writer, out string, r *model.Report) error {
	if out == "" {
		return writers[0].Write(c.OutOrStdout(), r)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, w := range writers {
		path := filepath.Join(out, w.File())
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		err = w.Write(f, r)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if w.Name() == "text" {
			if err := w.Write(c.OutOrStdout(), r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Bounds of what complain names.
const (
	maxNamedInputs = 50
	maxNamedErrors = 3 // of one input
)

// complain names on stderr what could not be read: for each input the place and
// cause of its first errors.
func complain(w io.Writer, r *model.Report) error {
	bad := 0
	for _, in := range r.Inputs {
		if len(in.Errors) == 0 {
			continue
		}
		if bad++; bad > maxNamedInputs {
			continue
		}
		for _, e := range in.Errors[:min(maxNamedErrors, len(in.Errors))] {
			line := "catena: " + in.Path + ": "
			if e.Record > 0 {
				line += fmt.Sprintf("record %d: ", e.Record)
			} else if e.Offset >= 0 {
				line += fmt.Sprintf("offset %d: ", e.Offset)
			}
			line += e.Cause
			if e.Count > 1 {
				line += fmt.Sprintf(" (%d times)", e.Count)
			}
			fmt.Fprintln(w, report.Clean(line))
		}
		if more := len(in.Errors) - maxNamedErrors; more > 0 {
			fmt.Fprintln(w, report.Clean(fmt.Sprintf("catena: %s: and %d further kinds of error, all in the report", in.Path, more)))
		}
	}
	if more := bad - maxNamedInputs; more > 0 {
		fmt.Fprintf(w, "catena: and %d further inputs with errors, all in the report\n", more)
	}
	if bad > 0 {
		return errPartial
	}
	return nil
}

// warnRefused says on stderr which rules cannot be used and which are left out on
// purpose.
func warnRefused(c *cobra.Command, a *app.App) {
	if quiet, err := c.Flags().GetBool("quiet"); err == nil && quiet {
		return
	}
	for _, n := range a.RuleNotes() {
		fmt.Fprintln(c.ErrOrStderr(), report.Clean("catena: "+n))
	}
	refused := a.Refused()
	for _, r := range refused[:min(5, len(refused))] {
		fmt.Fprintln(c.ErrOrStderr(), report.Clean("catena: rule not used: "+r.String()))
	}
	if n := len(refused) - 5; n > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "catena: and %d further rules; 'catena rules check' lists them\n", n)
	}
}
