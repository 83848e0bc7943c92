package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/rules"
)

// What is wrong with a test file is told with its line.
func TestRuleTestFileErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                                   "t.yml: the file is empty",
		"fires: [":                           "no valid YAML",
		"- a":                                "t.yml:1: a test file must be a map",
		"fires: {}":                          "t.yml:1: fires must be a list",
		"fires: []":                          "t.yml:1: there is no case",
		"fire: []":                           `t.yml:1: "fire" is not known in a test file; known are rule, fires, quiet`,
		"fires:\n  - {}":                     "t.yml:2: there is no event",
		"fires:\n  - {fields: {}}":           "t.yml:2: fields is empty",
		"fires:\n  - {fields: {A: {B: 1}}}":  "t.yml:2: field A must be a value",
		"fires:\n  - {fields: {A: 1, A: 2}}": `t.yml:2: "A" stands twice in fields`,
		"fires:\n  - {fields: {A: 1}, record: x}":                                                "exclude each other",
		"fires:\n  - {record: x, source: {product: p}}":                                          "a log source goes with",
		"fires:\n  - {fields: {A: 1}, source: {produkt: p}}":                                     `"produkt" is not known in a log source`,
		"fires:\n  - {fields: {A: 1}, format: json}":                                             `"format" goes with "record"`,
		"fires:\n  - {fields: {A: 1}, expect: many}":                                             "expect must be a number",
		"fires:\n  - {fields: {A: 1}, expect: -1}":                                               "expect must be a number",
		"quiet:\n  - {fields: {A: 1}, expect: 1}":                                                `t.yml:2: "expect" has no place under "quiet"`,
		"fires:\n  - {events: []}":                                                               "the list of events is empty",
		"fires:\n  - {events: [{at: '+5s'}]}":                                                    "there is no event: it needs",
		"fires:\n  - {events: [{at: noon, fields: {A: 1}}]}":                                     `at: "noon" is no time`,
		"fires:\n  - {events: [{at: +x, fields: {A: 1}}]}":                                       "no span of time",
		"fires:\n  - {events: [{repeat: 0, fields: {A: 1}}]}":                                    "repeat must be a number from 1",
		"fires:\n  - {events: [{every: -1s, fields: {A: 1}}]}":                                   "no span of time",
		"fires:\n  - {events: [{evidence: a, repeat: 2}]}":                                       "evidence has times and matches of its own",
		"fires:\n  - {fields: {A: 1}, events: [{fields: {A: 1}}]}":                               "no event of its own besides",
		"fires:\n  - {fields: {A: 1}, expect: [{value: x}]}":                                     "value must be a number",
		"fires:\n  - {fields: {A: 1}, expect: [{at: '+5s'}]}":                                    "is no time",
		"fires:\n  - &a\n    <<: *a\n    fields: {A: 1}":                                         "merged deeper",
		"fires:\n  - {events: [" + strings.Repeat("{fields: {A: 1}, repeat: 10000},", 11) + "]}": "more than 100000 events",
	} {
		_, err := parseRuleTest("t.yml", []byte(src))
		var bad *testFileError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", src, err, want)
		}
	}
}

func TestRuleTestFile(t *testing.T) {
	got, err := parseRuleTest("t.yml", []byte(`
rule: some rule
fires:
  - &base
    name: named
    source: {product: p, service: s}
    fields: &fields {A: text, B: [1, true], C: null}
  - <<: *base
    name: another
    fields:
      <<: *fields
      A: changed
  - record: '{"a": 1}'
    format: json
    expect: 2
  - evidence: dir/x.evtx
    expect: {one: 1, two: 0}
  - rule: one of several
    events:
      - {at: "10:00", fields: {A: 1}, repeat: 3, every: 10s}
      - {at: +1h, rule: one}
      - {at: "2026-03-01T10:00:00+01:00", record: x}
    expect:
      - {group: {User: ann}, at: "10:00:20", value: 3}
quiet:
  - fields: {A: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got.rule != "some rule" || len(got.cases) != 6 {
		t.Fatalf("%+v", got)
	}
	a, b := got.cases[0], got.cases[1]
	if a.name != "named" || b.name != "another" || len(a.events[0].fields) != 4 || len(b.events[0].fields) != 4 || b.events[0].source.Service != "s" {
		t.Errorf("%+v\n%+v", a, b)
	}
	texts := map[string]string{}
	for _, f := range b.events[0].fields {
		texts[f.Name] = f.Text
	}
	if texts["A"] != "changed" || texts["B"] != "true" {
		t.Errorf("merged into %v", texts)
	}
	if c := got.cases[2]; c.name != "fires 3" || c.events[0].format != "json" || *c.want.count != 2 {
		t.Errorf("%+v", c)
	}
	if c := got.cases[3]; c.events[0].evidence != "dir/x.evtx" || len(c.want.counts) != 2 {
		t.Errorf("%+v", c)
	}
	s := got.cases[4]
	if !s.stream || s.rule != "one of several" || len(s.events) != 3 || s.events[0].repeat != 3 || s.events[0].every != 10*time.Second ||
		!s.events[1].at.relative || s.events[1].at.offset != time.Hour || s.events[1].rule != "one" || s.events[2].at.time.Hour() != 9 {
		t.Errorf("%+v", s)
	}
	if w := s.want.alerts[0]; w.group[0].Value != "ann" || *w.value != 3 || !w.at.time.Equal(testDay.Add(10*time.Hour+20*time.Second)) {
		t.Errorf("%+v", w)
	}
	if !got.cases[5].quiet || got.cases[5].name != "quiet 1" {
		t.Errorf("%+v", got.cases[5])
	}
}

// Whatever stands in a test file, it is read within bounds or refused with a
// reason, the same way twice.
func FuzzRuleTestFile(f *testing.F) {
	tests, err := rules.Tests()
	if err != nil {
		f.Fatal(err)
	}
	for _, t := range tests[:8] {
		f.Add(string(t.Source))
	}
	f.Add("fires:\n  - &a {<<: *a}")
	f.Add("fires: &a [*a]")
	f.Add("fires:\n  - events: [{at: +1d, rule: x, repeat: 10000, every: 1h}]\n    expect: [{group: {a: b}, at: '10:00', value: 1e400}]")
	f.Add("fires: [{fields: {a: &x [1, *x]}}]")
	f.Fuzz(func(t *testing.T, src string) {
		got, err := parseRuleTest("t.yml", []byte(src))
		_, again := parseRuleTest("t.yml", []byte(src))
		if (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Fatalf("%v, then %v", err, again)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "t.yml:") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		for _, c := range got.cases {
			if len(c.events) == 0 || len(c.events) > maxTestEvents || c.name == "" {
				t.Errorf("%+v", c)
			}
		}
	})
}
