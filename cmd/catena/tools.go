package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/eval"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

func decodeCommand() *cobra.Command {
	var ev evidenceFlags
	c := &cobra.Command{
		Use: "decode PATH...", Short: "Show what Catena makes of each record, as NDJSON", Args: somePaths,
		RunE: func(c *cobra.Command, paths []string) error {
			opt, err := ev.options(c)
			if err != nil {
				return err
			}
			opt.NoBuiltin = true
			a, err := app.New(opt)
			if err != nil {
				return err
			}
			clean, err := a.Decode(c.Context(), paths, c.OutOrStdout())
			if err == nil && !clean {
				return errPartial
			}
			return err
		},
	}
	ev.add(c)
	hideFlags(c, append(ruleFlagNames(), "workers"))
	return c
}

func benchCommand() *cobra.Command {
	var ev evidenceFlags
	c := &cobra.Command{
		Use: "bench PATH...", Short: "Measure a whole run over evidence, as JSON", Args: somePaths,
		RunE: func(c *cobra.Command, paths []string) error {
			opt, err := ev.options(c)
			if err != nil {
				return err
			}
			res, err := app.Bench(c.Context(), opt, paths)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(c.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(res)
		},
	}
	ev.add(c)
	return c
}

// score is what an evaluation came to.
type score interface {
	WriteJSON(io.Writer) error
	WriteText(w io.Writer, verbose bool) error
}

func evalCommand() *cobra.Command {
	var truth []string
	var format, campaign string
	var verbose bool
	c := &cobra.Command{
		Use: "eval --truth FILE REPORT.json", Short: "Score a report against what really happened", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(truth) == 0 {
				return usageError{fmt.Errorf("--truth is needed: the file that says what really happened")}
			}
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %q: want text or json", format)}
			}
			scorer, err := readTruth(truth, campaign)
			if err != nil {
				return err
			}
			r, err := readReport(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			res := scorer(r)
			if format == "json" {
				return res.WriteJSON(report.SafeJSON(c.OutOrStdout()))
			}
			return res.WriteText(c.OutOrStdout(), verbose)
		},
	}
	fl := c.Flags()
	fl.StringArrayVar(&truth, "truth", nil, "the truth `file`: of the simulator, of labelled captures, or the labelled table of an AIT alert data set (repeatable)")
	fl.StringVar(&campaign, "campaign", "", "score only the campaign with this `id` (default: all of the file)")
	fl.StringVar(&format, "format", "text", "`form` of the score: text or json")
	fl.BoolVarP(&verbose, "verbose", "v", false, "list steps and members one by one")
	return c
}

// readTruth reads the truth, of one file or of several labelled tables, and returns
// what compares a report with it.
func readTruth(files []string, campaign string) (func(*model.Report) score, error) {
	var tables []*eval.AITScenario
	for _, file := range files {
		src, err := readTruthFile(file)
		if err != nil {
			return nil, err
		}
		if eval.IsAIT(src) {
			s, err := eval.ReadAIT(file, bytes.NewReader(src))
			if err != nil {
				return nil, err
			}
			if campaign == "" || campaign == s.Name {
				tables = append(tables, s)
			}
			continue
		}
		if len(files) > 1 {
			return nil, usageError{fmt.Errorf("%s: only labelled tables may be several", file)}
		}
		key, err := eval.ParseTruth(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if campaign != "" {
			if key, err = key.Only(campaign); err != nil {
				return nil, usageError{err}
			}
		}
		return func(r *model.Report) score { return eval.Score(r, key) }, nil
	}
	if len(tables) == 0 {
		return nil, usageError{fmt.Errorf("truth: no campaign %q", campaign)}
	}
	return func(r *model.Report) score { return eval.ScoreAIT(r, tables) }, nil
}

// readTruthFile reads a file of truth, or what is packed in it, of a bounded size.
func readTruthFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, eval.MaxTruth+1))
	if err == nil && len(src) > eval.MaxTruth {
		err = fmt.Errorf("%s: more than %d bytes of truth", path, eval.MaxTruth)
	}
	return src, err
}

// maxReport bounds a report that is held whole, which takes several times its size
// of memory.
const maxReport = 1 << 30

// readReport reads the report.json at path.
func readReport(path string) (*model.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decodeReport(f, maxReport)
}

// decodeReport reads a report of at most so many bytes.
func decodeReport(src io.Reader, most int64) (*model.Report, error) {
	limited := &io.LimitedReader{R: src, N: most + 1}
	var r model.Report
	err := json.NewDecoder(bufio.NewReader(limited)).Decode(&r)
	switch {
	case limited.N <= 0: // what the decoder makes of the cut says less
		return nil, fmt.Errorf("larger than %d bytes", most)
	case err != nil:
		return nil, err
	case r.Schema != model.ReportSchema:
		return nil, fmt.Errorf("schema %q, want %q", r.Schema, model.ReportSchema)
	}
	return &r, nil
}
