package app

import (
	"testing"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
)

// The subsystem under which a rule is counted is that of the events that fire it,
// as decoders tell it of their fields: of each event of its own test.
func TestSubsystemsOfRulesAreThoseOfTheirEvents(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]string{}
	for _, l := range a.List(RuleFilter{}) {
		if l.Kind == "rule" {
			counted[l.File] = l.Subsystem
		}
	}
	tests, err := rules.Tests()
	if err != nil {
		t.Fatal(err)
	}
	logSources := map[string]sigma.LogSource{}
	for _, r := range a.rules {
		logSources[r.File] = r.LogSource.Fold()
	}
	told := 0
	for _, f := range tests {
		file, _ := ruleOfTest("rules/" + f.Path)
		of, ok := counted[file]
		if !ok || of == report.AnySubsystem {
			continue
		}
		parsed, err := parseRuleTest(f.Path, f.Source)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range parsed.cases {
			if c.quiet || c.stream {
				continue
			}
			for _, e := range c.events {
				s := logSources[file]
				if e.source != nil {
					s = e.source.Fold()
				}
				got := decode.SubsystemOf(model.LogSource{Product: s.Product, Category: s.Category, Service: s.Service}, func(field string) decode.Clue {
					for _, f := range e.fields {
						if f.Name == field {
							return decode.Clue{Texts: []string{f.Text}, Whole: true}
						}
					}
					return decode.Clue{}
				})
				if got == "" {
					continue
				}
				if told++; string(got) != of {
					t.Errorf("%s, %s: counted under %s, the event is of %s", file, c.name, of, got)
				}
			}
		}
	}
	if told < 500 {
		t.Errorf("of only %d events it is told what they are about", told)
	}
}
