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
func writeIndex(w io.Writer, list []app.RuleLine) error {
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
	fmt.Fprintf(b, "# Index of rules\n\n%sThe %d rules, correlations and detectors built into Catena that alert, by log source. What a rule sees, who else does it and what\n"+
		"is known about it stands in its file, its test beside it. Events that only count in a scenario are left out: they never alert by\n"+
		"themselves. [coverage.md](coverage.md) shows what they are for.\n", generated, len(list))
	for _, name := range names {
		if len(sections[name]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n## %s (%d)\n\n| level | title | techniques | file |\n|---|---|---|---|\n", name, len(sections[name]))
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
