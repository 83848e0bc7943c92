package sigma

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const head = "title: T\nlogsource: {category: c}\n"

func TestParseMetadata(t *testing.T) {
	src := `# a comment first
title: A title
id: 11111111-2222-3333-4444-555555555555
name: a_name
status: test
level: High
description: |
  What it finds.
  ---not a marker, as it is indented
author: Someone
references: [https://example.com/a, https://example.com/b]
tags:
  - attack.execution
  - attack.t1059.001
falsepositives: Unlikely
fields: [Image]
logsource:
  product: windows
  category: process_creation
  definition: Enable it
detection:
  sel: {Image: a}
  condition: sel
`
	rules, err := Parse("dir/a.yml", []byte("\xef\xbb\xbf"+src))
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	r := *rules[0]
	r.cond, r.selections, r.source = nil, nil, nil
	want := Rule{
		ID: "11111111-2222-3333-4444-555555555555", Name: "a_name", Title: "A title", Status: "test", Level: "high",
		Description: "What it finds.\n---not a marker, as it is indented\n", Author: "Someone",
		Tags:       []string{"attack.execution", "attack.t1059.001"},
		References: []string{"https://example.com/a", "https://example.com/b"}, FalsePositives: []string{"Unlikely"}, Fields: []string{"Image"},
		LogSource: LogSource{Product: "windows", Category: "process_creation"}, Definition: "Enable it",
		Conditions: []string{"sel"}, File: "dir/a.yml", Line: 2,
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// One refused document does not take the others with it, and each error names its
// line in the file.
func TestParseSeveralDocuments(t *testing.T) {
	good := head + "detection: {s: {F: 1}, condition: s}\n"
	src := good +
		"---\n" + // line 4
		"title: broken YAML\nlogsource: [\n" +
		"---\n" + // line 7
		"title: a correlation\ncorrelation:\n  type: event_count\n" +
		"---\r\n" + // line 11
		"title: a filter\nfilter: {rules: any}\n" +
		"---\n" + // line 14
		head + "detection:\n  s:\n    F|bogus: 1\n  condition: s\n" +
		"--- # comment\n" +
		good +
		"---\n"
	rules, err := Parse("f.yml", []byte(src))
	if len(rules) != 2 || rules[1].Line != 22 {
		t.Errorf("%d rules", len(rules))
	}
	var got []string
	for _, e := range Errors(err) {
		got = append(got, e.Error())
	}
	if len(got) != 4 || !strings.HasPrefix(got[0], "f.yml:") {
		t.Fatalf("got %q", got)
	}
	for i, want := range []string{
		"f.yml:10: correlation.timespan: the correlation has no timespan",
		"f.yml:12: logsource: the rule has no log source",
		`f.yml:19: s.F|bogus: unknown modifier "bogus"`,
	} {
		if got[i+1] != want {
			t.Errorf("got %q, want %q", got[i+1], want)
		}
	}
	var one *Error
	if !errors.As(err, &one) {
		t.Error("the error is no *Error inside")
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	det := "detection: {s: {F: 1}, condition: s}\n"
	for name, c := range map[string]struct{ src, want string }{
		"a list":                 {"- a\n", "must be a map"},
		"no detection":           {head, "there is no \"detection\""},
		"no title":               {"logsource: {category: c}\n" + det, "no title"},
		"no log source":          {"title: T\n" + det, "no log source"},
		"an empty log source":    {"title: T\nlogsource: {definition: x}\n" + det, "names no product"},
		"a wrong level":          {head + "level: severe\n" + det, "is not informational"},
		"no condition":           {head + "detection: {s: {F: 1}}\n", "has no condition"},
		"the old collections":    {head + "action: global\n" + det, "Sigma 1"},
		"nesting":                {head + "x: " + deep + "\n" + det, "nested deeper"},
		"an alias bomb":          {bomb + head + det, "more than 100000 YAML nodes"},
		"an alias of itself":     {"a: &a [*a]\n" + head + det, ""},
		"not UTF-8":              {head + "x: \xff\n", "not UTF-8"},
		"too large":              {strings.Repeat("#", MaxFileSize+1), "larger than"},
		"a long condition":       {head + "detection: {s: {F: 1}, condition: '" + strings.Repeat("s or ", MaxConditionLen/5+1) + "s'}\n", "condition is longer"},
		"deep parentheses":       {head + "detection: {s: {F: 1}, condition: '" + strings.Repeat("(", 100) + "s" + strings.Repeat(")", 100) + "'}\n", "nested deeper"},
		"a long value":           {head + "detection: {s: {F: '" + strings.Repeat("x", MaxValueLen+1) + "'}, condition: s}\n", "value is longer"},
		"a large expression":     {head + "detection: {s: {'F|re': '(((a{100}){100}){100})'}, condition: s}\n", "does not compile"},
		"a long expression":      {head + "detection: {s: {'F|re': '" + strings.Repeat("x", MaxRegexLen+1) + "'}, condition: s}\n", "longer than"},
		"a merge key":            {"a: &a {F: 1}\n" + head + "detection: {s: {<<: *a}, condition: s}\n", "merge keys"},
		"null with contains":     {head + "detection: {s: {F|contains: null}, condition: s}\n", "null can only"},
		"exists of a word":       {head + "detection: {s: {F|exists: maybe}, condition: s}\n", "takes true or false"},
		"a condition that's one": {head + "detection: {s: {F: 1}, condition: [[s]]}\n", "must be text"},
	} {
		rules, err := Parse("f.yml", []byte(c.src))
		if len(rules) != 0 || err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: refused with %q, want %q in it", name, err, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	rules, err := Parse("f.yml", []byte(head+`detection:
  img: {Image|endswith: ['\cmd.exe', '\sh.exe']}
  not_system: {User|contains: 'SYSTEM'}
  condition: img and not not_system
`))
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	held, why := set.Explain(0, []Field{{"Image", String, `C:\CMD.exe`}, {"User", String, "bob"}})
	want := []Reason{
		{"img", true, []TestReason{{`Image is "*\\cmd.exe"`, true, []string{`C:\CMD.exe`}}}},
		{"not_system", false, []TestReason{{`User is "*system*"`, false, []string{"bob"}}}},
	}
	if !held || !reflect.DeepEqual(why, want) {
		t.Errorf("held %v, because of %+v", held, why)
	}
}
