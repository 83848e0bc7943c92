package sigma

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// outline writes parts as an indented list: "+" held, "-" did not.
func outline(parts []Part, indent string) string {
	var b strings.Builder
	for _, p := range parts {
		sign := "-"
		if p.Held {
			sign = "+"
		}
		b.WriteString(indent + sign + " " + p.Text)
		if p.Test {
			fmt.Fprintf(&b, " [%s %s]", p.Found, strings.Join(p.Values, " | "))
		}
		b.WriteString("\n" + outline(p.Parts, indent+"  "))
	}
	return b.String()
}

func TestInspect(t *testing.T) {
	set := compileText(t, head+`detection:
  img: {Image|endswith: ['\cmd.exe', '\sh.exe'], Parent: null, Port|gte: 1024}
  filter_a: {User|contains|all: [SYS, TEM]}
  filter_b: {User: bob, Args|re: '^-x'}
  words: [alpha, beta]
  condition: img and (not 1 of filter_* or words) and not filter_b
`)
	v := set.Inspect(0, []Field{{"Image", String, `C:\CMD.exe`}, {"User", String, "bob"}, {"Port", Number, "80"}, {"Note", String, "an alphabet"}, {"Args", Null, ""}})
	want := `- img and (not 1 of filter_* or words) and not filter_b
  - img
  + not 1 of filter_* or words
    + not 1 of filter_*
      - 1 of filter_*
        - filter_a
        - filter_b
    + words
  + not filter_b
    - filter_b
`
	if got := outline(v.Conditions, ""); got != want {
		t.Errorf("conditions:\n%s", got)
	}
	want = `- img
  + Image ends with '\cmd.exe' (of a list of 2) [present C:\CMD.exe]
  + Parent is missing or null [absent ]
  - Port >= 1024 [present 80]
- filter_a
  - User contains 'sys' [present bob]
  - User contains 'tem' [present bob]
- filter_b
  + User is 'bob' [present bob]
  - Args matches /^-x/ [null ]
+ words
  + any field contains 'alpha' (of a list of 2) [ an alphabet]
`
	if got := outline(v.Selections, ""); got != want {
		t.Errorf("selections:\n%s", got)
	}
	if v.Held || v.Near < 0.8 || v.Near >= 1 {
		t.Errorf("held %v, near %v: two thirds of img and all else hold", v.Held, v.Near)
	}
	if near := set.Near(0, nil); near >= v.Near || near <= 0 {
		t.Errorf("an event of nothing is near by %v, one of nearly all by %v", near, v.Near)
	}
}

// Whatever stands in a rule, Inspect agrees with the plain meaning, and only what
// holds is near by 1.
func TestInspectAgrees(t *testing.T) {
	for _, condition := range []string{"a", "not a", "a and b", "a or not b", "1 of a*", "2 of them", "all of them", "not (a and (b or not c))", "any of them and not 2 of them"} {
		set := compileText(t, head+"detection:\n  a: {A: 1}\n  b: {B: x}\n  c: {C|contains: y}\n  condition: "+condition+"\n")
		for bits := range 8 {
			var event []Field
			for i, f := range []Field{{"A", Number, "1"}, {"B", String, "x"}, {"C", String, "xyz"}} {
				if bits>>i&1 == 1 {
					event = append(event, f)
				}
			}
			v := set.Inspect(0, event)
			held, _ := set.Explain(0, event)
			if v.Held != held || len(v.Conditions) != 1 || v.Conditions[0].Held != held || (v.Near == 1) != held {
				t.Errorf("%s on %v: %v, %+v", condition, event, held, v)
			}
		}
	}
}

func TestInspectFilter(t *testing.T) {
	set := compileText(t, filteredRules()+filters(t, "f: {logsource: {product: p}, rules: one, vip: {User: bob}, condition: vip}"))
	for user, keeps := range map[string]bool{"bob": false, "eve": true} {
		v := set.Inspect(0, []Field{{"R", Number, "1"}, {"User", String, user}})
		if len(v.Filters) != 1 || v.Held != keeps || v.Filters[0].Keeps != keeps || v.Filters[0].Selections[0].Held == keeps {
			t.Errorf("%s: %+v", user, v)
		}
	}
}

// A rule of a hundred thousand values is told in a bounded number of parts.
func TestInspectIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "detection:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  s%d: {A|contains|all: [x%[1]d, y%[1]d, z%[1]d], B: [1, 2]}\n", i)
	}
	b.WriteString("  condition: 1 of s*" + strings.Repeat(" or all of s*", 300) + "\n")
	v := compileText(t, b.String()).Inspect(0, []Field{{"A", String, "x1"}})
	count := 0
	var walk func([]Part)
	walk = func(ps []Part) {
		for _, p := range ps {
			count++
			walk(p.Parts)
		}
	}
	walk(v.Conditions)
	walk(v.Selections)
	if count > 2*maxParts || count < maxParts/2 {
		t.Errorf("%d parts", count)
	}
}

func TestCorrelatorTrace(t *testing.T) {
	set := compileText(t, head+`name: one
detection: {sel: {R: 1}, condition: sel}
---
title: three
correlation: {type: event_count, rules: one, group-by: User, timespan: 1m, condition: {gte: 3}}
`)
	var got strings.Builder
	c := NewCorrelator(set, CorrelatorOptions{Trace: func(s Step) {
		fmt.Fprintln(&got, s.Event, s.Effect, s.Group, s.Events, s.Value, s.Held, s.First)
	}})
	start := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for _, e := range []struct {
		at   int
		id   string
		user []string
	}{{0, "a", []string{"bob"}}, {100, "b", []string{"bob"}}, {110, "b", []string{"bob"}}, {30, "c", []string{"bob"}}, {120, "d", nil}, {120, "e", []string{"bob"}}, {121, "f", []string{"bob"}}, {122, "g", []string{"bob"}}} {
		c.Add(Event{Rule: 0, Time: start.Add(time.Duration(e.at) * time.Second), ID: e.id, Fields: func(string) []string { return e.user }})
	}
	want := `a counted [{User bob}] 1 1 false false
b counted [{User bob}] 1 1 false false
b repeated [{User bob}] 1 1 false false
c late [{User bob}] 1 1 false false
d ungrouped [] 0 0 false false
e counted [{User bob}] 2 2 false false
f counted [{User bob}] 3 3 true true
g counted [{User bob}] 4 4 true false
`
	if got.String() != want {
		t.Errorf("%s", got.String())
	}
}
