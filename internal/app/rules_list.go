package app

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
)

// A RuleLine describes one rule or detector that alerts.
type RuleLine struct {
	ID         string         `json:"id"`
	Level      model.Severity `json:"level"`
	Kind       string         `json:"kind"` // rule, correlation or detector
	Title      string         `json:"title"`
	Source     string         `json:"source"` // "builtin" or the file
	File       string         `json:"file,omitempty"`
	Line       int            `json:"line,omitempty"`
	Status     string         `json:"status,omitempty"`
	LogSource  string         `json:"log_source,omitempty"`
	Subsystem  string         `json:"subsystem"`
	Stage      model.Stage    `json:"stage,omitempty"` // empty if nothing tells it
	Techniques []string       `json:"techniques"`      // ATT&CK v19 ids
	Tactics    []string       `json:"tactics"`
	Tags       []string       `json:"tags"`          // as written
	Off        string         `json:"off,omitempty"` // what switches it off; empty for a rule in use

	column string // of a rule about machines: their system, see Column
}

// A RuleFilter chooses rules; what is empty chooses all.
type RuleFilter struct {
	Levels    []model.Severity // any of them
	Tags      []string         // all of them: as written, or a technique or tactic of today
	LogSource string           // part of the log source, such as "windows" or "category=process_creation"
	Source    string           // part of where the rule stands, such as "builtin", "rules/aws" or a folder
	Off       bool             // only what is switched off
}

// List lists the rules and detectors that alert, in the order of their files, and
// after them those that are switched off.
func (a *App) List(f RuleFilter) []RuleLine {
	lower := func(s, part string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(part)) }
	return slices.DeleteFunc(slices.Concat(a.described(), a.switchedOff()), func(l RuleLine) bool {
		switch {
		case f.Off && l.Off == "":
		case len(f.Levels) > 0 && !slices.Contains(f.Levels, l.Level):
		case !lower(l.LogSource, f.LogSource), !lower(l.Source+" "+l.File, f.Source):
		case slices.ContainsFunc(f.Tags, func(t string) bool { return !l.tagged(t) }):
		default:
			return false
		}
		return true
	})
}

// tagged reports whether a rule carries a tag; a technique takes its
// sub-techniques in.
func (l *RuleLine) tagged(tag string) bool {
	word := strings.TrimPrefix(strings.ToLower(tag), "attack.")
	return slices.ContainsFunc(slices.Concat(l.Tags, l.Techniques, l.Tactics), func(have string) bool {
		have = strings.TrimPrefix(strings.ToLower(have), "attack.")
		return have == word || strings.HasPrefix(have, word+".")
	})
}

// WriteRuleText writes rules as a table.
func WriteRuleText(w io.Writer, list []RuleLine) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := range list {
		l := &list[i]
		off := ""
		if l.Off != "" {
			off = "\tswitched off: " + report.Clean(l.Off)
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s%s\n", report.Clean(l.ID), l.Level, report.Clean(l.Title), report.Clean(l.Source), off); err != nil {
			return err
		}
	}
	return t.Flush()
}

// WriteRuleCSV writes rules as CSV with a header; lists stand in one cell, a space
// between their items.
func WriteRuleCSV(w io.Writer, list []RuleLine) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"id", "level", "kind", "title", "source", "line", "status", "log_source", "subsystem", "stage", "techniques", "tactics", "tags", "off"}); err != nil {
		return err
	}
	for _, l := range list {
		row := []string{l.ID, string(l.Level), l.Kind, l.Title, l.Source, strconv.Itoa(l.Line), l.Status, l.LogSource, l.Subsystem, string(l.Stage),
			strings.Join(l.Techniques, " "), strings.Join(l.Tactics, " "), strings.Join(l.Tags, " "), l.Off}
		for i, s := range row {
			if row[i] = report.Clean(s); s != "" && strings.ContainsRune("=+-@\t", rune(s[0])) {
				row[i] = "'" + row[i] // a spreadsheet would run it
			}
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
