package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/compare"
	"github.com/catena-sec/catena/internal/report"
)

// errDiffer says that --exit-code was asked for and the reports differ.
var errDiffer = errors.New("the reports differ")

func diffCommand() *cobra.Command {
	var verdicts, format string
	var exitCode bool
	c := &cobra.Command{
		Use:   "diff A.json B.json",
		Short: "Tell what two reports over the same evidence fuse differently",
		Long: "Diff compares two report.json of the same evidence (other rules, settings or version): which incidents appear, vanish,\n" +
			"split, merge or change severity, rank, score, root or title, which alerts moved, and which rules made the difference.\n" +
			"Incidents and alerts are matched by the records that show them, not by their ids.",
		Example: "  catena diff before.json after.json\n  catena diff before.json after.json --verdicts judged.ndjson --format json",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			judged, err := readVerdicts(verdicts)
			if err != nil {
				return err
			}
			var reports [2]*compare.Report
			for i, path := range args {
				if reports[i], err = readCompared(path); err != nil {
					return err
				}
			}
			res := compare.Reports(reports[0], reports[1], judged)
			if format == "json" {
				err = res.WriteJSON(report.SafeJSON(c.OutOrStdout()))
			} else {
				err = res.WriteText(c.OutOrStdout(), report.Clean)
			}
			if err == nil && exitCode && res.Differ() {
				return errDiffer
			}
			return err
		},
	}
	fl := c.Flags()
	fl.StringVar(&verdicts, "verdicts", "", "analysts' verdicts as a test set: NDJSON `file` of {\"incident\" or \"alert\": id, \"verdict\": true or false}")
	fl.StringVar(&format, "format", "text", "`form` of the result: text or json")
	fl.BoolVar(&exitCode, "exit-code", false, "exit with 1 if the reports differ (otherwise 0 says only that the comparison is done)")
	return c
}

func readCompared(path string) (*compare.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := compare.Read(f, compare.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func readVerdicts(path string) ([]compare.Verdict, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := compare.ReadVerdicts(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}
