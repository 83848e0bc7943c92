package sigma_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/sigma"
)

// Rules are adapted by a pipeline, matched against events, and what they find is
// correlated.
func Example() {
	const rules = `
title: Failed logon
name: failed
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4625}
  condition: selection
---
title: Many failed logons
level: high
correlation:
  type: event_count
  rules: failed
  group-by: User
  timespan: 5m
  condition: {gte: 3}
`
	const ours = `
transformations:
  - type: field_name_mapping
    mapping: {User: user.name, EventID: event.code}
`
	pipeline, err := sigma.ParsePipeline("ours.yml", []byte(ours))
	if err != nil {
		fmt.Println(err)
		return
	}
	parsed, err := sigma.Parse("rules.yml", []byte(rules))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range parsed {
		if parsed[i], err = pipeline.Apply(r); err != nil {
			fmt.Println(err)
			return
		}
	}
	set, err := sigma.Compile(parsed)
	if err != nil {
		fmt.Println(err)
		return
	}

	matcher, correlator := set.NewMatcher(), sigma.NewCorrelator(set, sigma.CorrelatorOptions{})
	for i := range 3 {
		matcher.Reset()
		matcher.Add(slices.Index(set.Fields(), "event.code"), sigma.Number, "4625")
		for _, rule := range matcher.Match(sigma.LogSource{Product: "windows", Service: "security"}) {
			if set.Generates(rule) {
				fmt.Println(set.Rules()[rule].Title)
			}
			for _, m := range correlator.Add(sigma.Event{
				Rule: rule, Time: time.Date(2026, 5, 4, 10, i, 0, 0, time.UTC), ID: fmt.Sprint("event ", i+1),
				Fields: func(name string) []string { return map[string][]string{"user.name": {"bob"}}[name] },
			}) {
				fmt.Println(set.Rules()[m.Rule].Title, m.Group, m.Value, m.Events)
			}
		}
	}
	// Output:
	// Many failed logons [{user.name bob}] 3 [event 1 event 2 event 3]
}
