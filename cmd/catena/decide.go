package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/casebook"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// decideFlags are what every decision takes.
type decideFlags struct {
	journal, report    string
	author, reason, at string
}

func decideCommand() *cobra.Command {
	var f decideFlags
	c := &cobra.Command{
		Use:   "decide",
		Short: "Write down what you decide about alerts and incidents",
		Long: "Decide adds a line to a journal of decisions, which 'catena analyze --decisions' obeys: links cut and added,\n" +
			"incidents split and merged, what is kept out of fusion or quiet, verdicts and comments. Nothing is ever removed\n" +
			"from a journal; undo takes a decision back. With --report the ids are looked up in that report first.",
		Example: "  catena decide cut a-5443e23824061afa75e0 a-62573592c15c751dedc4 --journal decisions.ndjson --report report.json --author ann --reason \"two people\"\n" +
			"  catena decide suppress --rule 3f2c --until 2026-12-01T00:00:00Z --journal decisions.ndjson --author ann --reason \"roll-out\"\n" +
			"  catena decide preview --journal decisions.ndjson report.json\n" +
			"  catena analyze /evidence --decisions decisions.ndjson",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	fl := c.PersistentFlags()
	fl.StringVar(&f.journal, "journal", "", "journal `file`, made if there is none")
	fl.StringVar(&f.report, "report", "", "report.json `file` in which the ids must stand")
	fl.StringVar(&f.author, "author", "", "`name` of who decides")
	fl.StringVar(&f.reason, "reason", "", "`text`: why; of a comment, what it says")
	fl.StringVar(&f.at, "at", "", "`time` of the decision, RFC 3339 (default: now)")
	c.AddCommand(
		f.plain(model.Cut, "cut ALERT ALERT", "Keep two alerts in different incidents", 2, 2),
		f.plain(model.LinkUp, "link ALERT ALERT", "Keep two alerts, and the incidents they are in, together", 2, 2),
		f.plain(model.Split, "split INCIDENT ALERT...", "Take alerts out of an incident for one of their own", 2, casebook.MaxTargets),
		f.plain(model.Merge, "merge INCIDENT INCIDENT...", "Make incidents one; it keeps the id of the oldest", 2, casebook.MaxTargets),
		f.plain(model.Move, "move ALERT FROM-INCIDENT TO-INCIDENT", "Move an alert from one incident to another", 3, 3),
		f.plain(model.Comment, "comment ALERT|INCIDENT", "Comment on an alert or incident", 1, 1),
		f.valued(model.JudgeAs, "verdict ALERT|INCIDENT "+strings.Join(casebook.Verdicts(), "|"), "Say what an alert or incident turned out to be"),
		f.valued(model.Assign, "assign INCIDENT NAME", "Say who works on an incident"),
		f.valued(model.SetStatus, "status INCIDENT "+strings.Join(casebook.Statuses(), "|"), "Say how the work on an incident stands"),
		f.condition(model.Exclude, "exclude", "Keep a rule, product or entity out of fusion"),
		f.condition(model.Suppress, "suppress", "Keep alerts quiet for a time; they stay weak evidence"),
		f.plain(model.Undo, "undo DECISION", "Take a decision back", 1, 1),
		f.previewCommand(), f.listCommand(),
	)
	return c
}

// plain makes the command of a kind that takes targets only.
func (f *decideFlags) plain(kind model.DecisionKind, use, short string, least, most int) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.RangeArgs(least, most), RunE: func(c *cobra.Command, args []string) error {
		return f.write(c, model.Decision{Kind: kind, Targets: args})
	}}
}

// valued makes the command of a kind that takes a target and a value.
func (f *decideFlags) valued(kind model.DecisionKind, use, short string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
		return f.write(c, model.Decision{Kind: kind, Targets: args[:1], Value: args[1]})
	}}
}

// condition makes the command of a kind that takes a condition.
func (f *decideFlags) condition(kind model.DecisionKind, use, short string) *cobra.Command {
	var w model.Condition
	var since, until string
	var preview bool
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		d := model.Decision{Kind: kind, Where: &w}
		for _, t := range []struct {
			flag, text string
			to         **time.Time
		}{{"since", since, &w.Since}, {"until", until, &d.Until}} {
			at, err := timeFlag(t.flag, t.text)
			if err != nil {
				return err
			}
			if t.text != "" {
				at = at.UTC()
				*t.to = &at
			}
		}
		if preview {
			return f.previewOf(c, d)
		}
		return f.write(c, d)
	}}
	fl := c.Flags()
	fl.StringVar(&w.Rule, "rule", "", "`id` of the rule")
	fl.StringVar(&w.Product, "product", "", "`name` of the product that raised the alert")
	fl.StringVar(&w.Entity, "entity", "", "`type:value` of an entity in the alert, such as host:web1.example.com")
	if kind == model.Suppress {
		fl.StringVar(&since, "since", "", "leave alone alerts before this `time` (RFC 3339)")
		fl.StringVar(&until, "until", "", "leave alone alerts from this `time` on (RFC 3339)")
		fl.BoolVar(&preview, "preview", false, "write nothing, and show what it would have hidden in the report of --report")
	}
	return c
}

// complete fills in who decides, when and why.
func (f *decideFlags) complete(d *model.Decision) error {
	d.Author, d.Reason, d.At = f.author, f.reason, time.Now().UTC().Truncate(time.Second)
	if f.at != "" {
		at, err := timeFlag("at", f.at)
		if err != nil {
			return err
		}
		d.At = at.UTC()
	}
	if err := casebook.Check(*d); err != nil {
		return usageError{err}
	}
	d.ID = model.DecisionID(*d)
	return nil
}

// write checks a decision and adds it to the journal.
func (f *decideFlags) write(c *cobra.Command, d model.Decision) error {
	if f.journal == "" {
		return usageError{errors.New("--journal is needed: the file to write the decision into")}
	}
	if err := f.complete(&d); err != nil {
		return err
	}
	if f.report != "" && d.Kind != model.Undo {
		r, err := readReport(f.report)
		if err != nil {
			return fmt.Errorf("%s: %w", f.report, err)
		}
		if err := casebook.InReport(d, r); err != nil {
			return fmt.Errorf("%s: %w", f.report, err)
		}
	}
	if d.Kind == model.Undo {
		j, _, err := casebook.Load(f.journal)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(j.Decisions, func(o model.Decision) bool { return o.ID == d.Targets[0] && !d.At.Before(o.At) }) {
			return fmt.Errorf("%s: there is no decision %s of that time or before", f.journal, d.Targets[0])
		}
	}
	if err := casebook.Append(f.journal, d); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), d.ID)
	return err
}

func (f *decideFlags) previewCommand() *cobra.Command {
	return &cobra.Command{
		Use: "preview REPORT.json", Short: "Show what the suppressions of a journal would have hidden in a report", Args: cobra.ExactArgs(1),
		Long: "Preview holds the suppressions of a journal against a report that was made without them. It sees the alerts that\n" +
			"stand in the report: make it with --alerts to have all of them.",
		RunE: func(c *cobra.Command, args []string) error {
			if f.journal == "" {
				return usageError{errors.New("--journal is needed")}
			}
			j, bad, err := casebook.Load(f.journal)
			if err != nil {
				return err
			}
			f.report = args[0]
			if err := f.show(c, j); err != nil {
				return err
			}
			return f.complain(c.ErrOrStderr(), bad)
		},
	}
}

// previewOf shows what a suppression that is not written would have hidden.
func (f *decideFlags) previewOf(c *cobra.Command, d model.Decision) error {
	if f.report == "" {
		return usageError{errors.New("--preview needs --report")}
	}
	if err := f.complete(&d); err != nil {
		return err
	}
	return f.show(c, &casebook.Journal{Decisions: []model.Decision{d}})
}

func (f *decideFlags) show(c *cobra.Command, j *casebook.Journal) error {
	r, err := readReport(f.report)
	if err != nil {
		return fmt.Errorf("%s: %w", f.report, err)
	}
	p := casebook.PreviewOf(j, r)
	w := c.OutOrStdout()
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintln(w, report.Clean(fmt.Sprintf(format, args...)))
		}
	}
	for _, s := range p.Suppressions {
		say("%s: %d of %d alerts, %d of them in no incident. %s", s.Decision, s.Alerts, p.Alerts, s.Alone, s.Text)
	}
	if len(p.Suppressions) == 0 {
		say("The journal suppresses nothing.")
	}
	for _, q := range p.Silent {
		say("silent: %s (%s) %s: all %d alerts", q.Incident, q.Severity, q.Title, q.Members)
	}
	for _, q := range p.Weaker {
		say("weaker: %s (%s) %s: %d of %d alerts", q.Incident, q.Severity, q.Title, q.Suppressed, q.Members)
	}
	return err
}

func (f *decideFlags) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the decisions of a journal in the order in which they hold, as NDJSON with their ids", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.journal == "" {
				return usageError{errors.New("--journal is needed")}
			}
			j, bad, err := casebook.Load(f.journal)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(report.SafeJSON(c.OutOrStdout()))
			for _, d := range j.Decisions {
				if err := enc.Encode(d); err != nil {
					return err
				}
			}
			return f.complain(c.ErrOrStderr(), bad)
		},
	}
}

// complain names the lines of the journal that cannot be used.
func (f *decideFlags) complain(w io.Writer, bad []casebook.Problem) error {
	for _, p := range bad {
		fmt.Fprintln(w, report.Clean(fmt.Sprintf("catena: %s: line %d: %s", f.journal, p.Line, p.Cause)))
	}
	if len(bad) > 0 {
		return errPartial
	}
	return nil
}
