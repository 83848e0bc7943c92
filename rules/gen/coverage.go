package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

// generated heads every page in Markdown.
const generated = "<!-- Made from the rules by \"make docs\"; do not edit. -->\n\n"

// writeCoverage writes coverage.md.
func writeCoverage(w io.Writer, c *report.Coverage, list []app.RuleLine, gaps map[string]gap) error {
	kinds := map[string]int{}
	for _, l := range list {
		kinds[l.Kind]++
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Coverage\n\n%sWhat the rules built into Catena are for: %d rules about one event, %d correlations and %d [detectors](detectors.md) that\n"+
		"alert, by ATT&CK v%s. `catena rules coverage` shows the same of any set of rules; [rules-index.md](rules-index.md) lists them, and\n"+
		"[layer.json](layer.json) opens in the ATT&CK Navigator.\n\n"+
		"A number says that somebody thought of the behaviour and that a test holds the rule to it, not that every form of it is seen.\n\n"+
		"## Stages and subsystems\n\n![Rules by stage and subsystem](coverage.svg)\n\n", generated, kinds["rule"], kinds["correlation"], kinds["detector"], c.AttackVersion)
	fmt.Fprintf(b, "| stage | %s |\n|---|%s\n", strings.Join(c.Subsystems, " | "), strings.Repeat("--:|", len(c.Subsystems)))
	for _, st := range c.Stages {
		fmt.Fprintf(b, "| %s |", words(string(st)))
		for _, s := range c.Subsystems {
			fmt.Fprintf(b, " %d |", c.Matrix[st][s])
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintf(b, "\nA rule counts once: in the stage that its alerts get, and in the subsystem that its log source and the event ids or services it\n"+
		"requires are about, or under *%s* where that differs from event to event, as it does in the logs of clouds.\n"+
		"*windows* and *linux* are machines' own acts (compute) by their system, macOS with Linux.\n\n"+
		"## Cells with fewer than %d rules of their own\n\n"+
		"| stage | subsystem | rules | seen by rules of several subsystems | why no more |\n|---|---|--:|---|---|\n", report.AnySubsystem, enough)
	for _, st := range c.Stages {
		for _, s := range c.Subsystems {
			g, ok := gaps[cellName(st, s)]
			if !ok {
				continue
			}
			var links []string
			for _, r := range g.Elsewhere {
				links = append(links, ruleLink(r))
			}
			fmt.Fprintf(b, "| %s | %s | %d | %s | %s |\n", words(string(st)), s, c.Matrix[st][s], strings.Join(links, ", "), cell(g.Why))
		}
	}
	fmt.Fprint(b, "\n## Tactics and techniques\n\n| tactic | rules | techniques and sub-techniques named |\n|---|--:|--:|\n")
	for _, t := range c.Tactics {
		fmt.Fprintf(b, "| %s | %d | %d of %d |\n", t.Name, t.Rules, t.Covered, len(t.Techniques))
	}
	return b.Flush()
}

// ruleLink links a rule by its name, from a page of docs.
func ruleLink(name string) string { return fmt.Sprintf("[%s](%s)", name, pageName(name)) }

// cell makes text fit into a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(strings.TrimSpace(s))
}
