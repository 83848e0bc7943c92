package sigma

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// estate is three rules and two correlations: "pair" of a and b, and "twice" of
// pair, and "rush" of c, which says that c alerts by itself.
const estate = `
title: a
name: a
logsource: {product: windows}
detection: {s: {x: 1}, condition: s}
---
title: b
name: b
logsource: {product: linux}
detection: {s: {x: 1}, condition: s}
---
title: c
name: c
logsource: {product: linux}
detection: {s: {x: 1}, condition: s}
---
title: pair
name: pair
correlation: {type: temporal, rules: [a, b], timespan: 1m}
---
title: twice
name: twice
correlation: {type: event_count, rules: [pair], timespan: 1h, condition: {gte: 2}}
---
title: rush
name: rush
correlation: {type: event_count, rules: [c], timespan: 1h, condition: {gte: 2}, generate: true}
---
title: not mine
name: mine
logsource: {product: linux}
filter: {rules: [c], s: {y: 1}, condition: not s}
`

func titles(rules []*Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.Title)
	}
	return strings.Join(out, " ")
}

// What is switched off never adds a match, and correlations that are on keep what
// they are made of.
func TestOff(t *testing.T) {
	rules, err := Parse("estate.yml", []byte(estate))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ off, left, loud, rules, steps, idle string }{
		{"", "a b c pair twice rush", "c twice rush", "", "", ""},
		{"a", "a b c pair twice rush", "c twice rush", "a", "a", ""},
		{"c", "a b c pair twice rush", "twice rush", "c", "c", ""},
		{"c rush", "a b pair twice", "twice", "c rush", "", ""},
		{"rush", "a b c pair twice", "c twice", "rush", "", ""},
		{"twice", "c rush", "c rush", "twice", "", "a b pair"},
		{"pair", "a b c pair twice rush", "c twice rush", "pair", "pair", ""},
		{"pair twice a b", "c rush", "c rush", "a b pair twice", "", ""},
		{"not mine", "a b c pair twice rush", "c twice rush", "not mine", "", ""},
	} {
		var names []string
		if c.off == "not mine" {
			names = []string{c.off}
		} else {
			names = strings.Fields(c.off)
		}
		set, err := CompileWith(rules, Options{Off: func(r *Rule, _ []LogSource) bool { return slices.Contains(names, r.Title) }})
		if err != nil {
			t.Fatal(err)
		}
		var loud []*Rule
		for i, r := range set.Rules() {
			if set.Generates(i) {
				loud = append(loud, r)
			}
		}
		off := set.Off()
		got := fmt.Sprintf("%s|%s|%s|%s|%s", titles(set.Rules()), titles(loud), titles(off.Rules), titles(off.Steps), titles(off.Idle))
		if want := strings.Join([]string{c.left, c.loud, c.rules, c.steps, c.idle}, "|"); got != want {
			t.Errorf("off %q:\ngot  %s\nwant %s", c.off, got, want)
		}
		filtered := len(set.filters) > 0 && slices.ContainsFunc(set.filters, func(f []*Rule) bool { return len(f) > 0 })
		if want := c.off != "not mine" && slices.Contains(strings.Fields(c.left), "c"); filtered != want {
			t.Errorf("off %q: filtered %t", c.off, filtered)
		}
	}
}

// A correlation is of the log sources of all rules below it.
func TestOffSources(t *testing.T) {
	rules, err := Parse("estate.yml", []byte(estate))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	if _, err := CompileWith(rules, Options{Off: func(r *Rule, s []LogSource) bool { got[r.Title] = len(s); return false }}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "map[a:1 b:1 c:1 not mine:1 pair:2 rush:1 twice:2]" {
		t.Errorf("log sources %v", got)
	}
}
