package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/app"
)

// The sections of the index for what has no log source of its own.
const (
	scenarios = "Scenarios"
	detectors = "Detectors"
)

// writeIndex writes rules-index.md: what alerts, by log source and then file.
func writeIndex(w io.Writer, list []app.RuleLine, sources []app.Source) error {
	formats := map[string][]string{} // by id of a rule
	for _, s := range sources {
		for _, id := range s.Needs {
			formats[id] = append(formats[id], code(s.Format))
		}
	}
	sections := map[string][]app.RuleLine{}
	for _, l := range list {
		name := l.LogSource
		switch l.Kind {
		case "correlation":
			name = scenarios
		case "detector":
			name = detectors
		}
		sections[name] = append(sections[name], l)
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(sections)), func(s string) bool { return s == scenarios || s == detectors })
	names = append(names, scenarios, detectors)

	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Index of rules\n\n%sThe %d rules, correlations and detectors built into Catena that alert, by log source. The page of a rule\n"+
		"says what it sees, who else does it, how it is tuned and tested. Events that only count in a scenario are left out: they never alert\n"+
		"by themselves. [coverage.md](coverage.md) shows what they are for.\n", generated, len(list))
	for _, name := range names {
		if len(sections[name]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n## %s\n\n%d%s.\n\n| level | title | techniques | rule |\n|---|---|---|---|\n", name, len(sections[name]), readFrom(formats[sections[name][0].ID]))
		for _, l := range sections[name] {
			file := "[detectors.md](detectors.md)"
			if l.File != "" {
				file = ruleLink(ruleName(l.File))
			}
			fmt.Fprintf(b, "| %v | %s | %s | %s |\n", l.Level, cell(l.Title), strings.Join(l.Techniques, ", "), file)
		}
	}
	return b.Flush()
}

// readFrom says which formats give the events of a log source.
func readFrom(formats []string) string {
	if len(formats) == 0 {
		return ""
	}
	return ", of events that are read from " + strings.Join(formats, ", ")
}
