package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/sigma"
)

// A ruleTestFile is what stands in the test file of a rule: events of which some
// must match and others must not. docs/rules.md describes the form.
type ruleTestFile struct {
	rule  string // id, title or name of the rule meant; empty: the only one of the rule's file
	cases []ruleCase
}

// A ruleCase is one case: an event, a record, a file of evidence or a stream, and
// what is expected of it.
type ruleCase struct {
	line   int
	name   string // "fires 2" unless it has one
	quiet  bool
	rule   string // as in ruleTestFile, for this case
	events []testEvent
	stream bool
	want   expectation
}

// A testEvent is where one or more events of a case come from: exactly one of
// fields, record and evidence is there, or rule with or without fields.
type testEvent struct {
	line     int
	source   *sigma.LogSource // of fields; nil: the rule's own
	fields   []sigma.Field
	record   string
	format   string // of record; empty: found out
	evidence string // relative to the test file
	path     string // of evidence, where it stands; of regression tests
	rule     string // the event is taken as a match of this rule
	at       testTime
	repeat   int
	every    time.Duration
}

// A testTime is when an event of a stream happens.
type testTime struct {
	set      bool
	relative bool          // to the event before
	offset   time.Duration // of relative
	time     time.Time
}

// An expectation is what must come out; the zero value leaves it to the list in
// which the case stands.
type expectation struct {
	line   int
	count  *int        // matches of the rule
	counts []wantCount // matches of rules
	alerts []wantAlert // times that the correlation begins to hold, in order
	kind   expectationKind
}

type expectationKind uint8

const (
	expectDefault expectationKind = iota
	expectCount
	expectCounts
	expectAlerts
)

type wantCount struct {
	rule string
	n    int
}

type wantAlert struct {
	line  int
	rule  string // empty: the one tested
	group []sigma.GroupValue
	at    testTime
	value *float64
}

// Bounds of a test file.
const (
	maxTestNodes  = 100_000 // of its YAML, aliases followed
	maxTestDepth  = 32
	maxTestRepeat = 10_000  // of one event
	maxTestEvents = 100_000 // of one stream
	maxTestCases  = 10_000
	maxTestRecord = 1 << 20 // bytes of a record
)

// testDay is the day of times of day, and where a stream without times begins.
var testDay = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// A testFileError is what is wrong with a test file.
type testFileError struct {
	file  string
	line  int
	cause string
}

func (e *testFileError) Error() string {
	if e.line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.cause)
	}
	return e.file + ": " + e.cause
}

// parseRuleTest reads a test file. Its error is a *testFileError.
func parseRuleTest(file string, src []byte) (*ruleTestFile, error) {
	p := &testParser{file: file, left: maxTestNodes}
	t, err := p.parse(src)
	if err != nil {
		return nil, err
	}
	return t, nil
}

type testParser struct {
	file string
	left int
}

func (p *testParser) fail(n *yaml.Node, format string, args ...any) error {
	line := 0
	if n != nil {
		line = n.Line
	}
	return &testFileError{p.file, line, fmt.Sprintf(format, args...)}
}

var yamlErrorLine = regexp.MustCompile(`line (\d+): `)

func (p *testParser) parse(src []byte) (*ruleTestFile, error) {
	if len(src) > maxRuleFile {
		return nil, p.fail(nil, "larger than %d bytes", maxRuleFile)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(src))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, p.fail(nil, "the file is empty")
	case err != nil:
		line, msg := 0, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlErrorLine.FindStringSubmatch(msg); m != nil {
			line, _ = strconv.Atoi(m[1])
			msg = strings.Replace(msg, m[0], "", 1)
		}
		return nil, &testFileError{p.file, line, "no valid YAML: " + msg}
	}
	if len(doc.Content) != 1 {
		return nil, p.fail(nil, "the file is empty")
	}
	out := &ruleTestFile{}
	err := p.each(doc.Content[0], "a test file", []string{"rule", "fires", "quiet"}, func(key string, n *yaml.Node) (err error) {
		if key == "rule" {
			out.rule, err = p.text(n, "rule")
			return err
		}
		list, err := p.list(n, key)
		if err != nil {
			return err
		}
		for i, el := range list {
			c, err := p.oneCase(el, key == "quiet")
			if err != nil {
				return err
			}
			if c.name == "" {
				c.name = fmt.Sprintf("%s %d", key, i+1)
			}
			if out.cases = append(out.cases, c); len(out.cases) > maxTestCases {
				return p.fail(el, "more than %d cases", maxTestCases)
			}
		}
		return nil
	})
	if err == nil && len(out.cases) == 0 {
		err = p.fail(doc.Content[0], `there is no case: "fires" lists events that must match, "quiet" those that must not`)
	}
	return out, err
}

// follow returns what an alias stands for, and counts nodes.
func (p *testParser) follow(n *yaml.Node) (*yaml.Node, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if p.left--; p.left < 0 {
		return nil, p.fail(n, "the file is too large once its aliases are followed")
	}
	return n, nil
}

// each calls fn with the entries of a map, whose keys are among known; nil takes
// any. The entries of a map merged with "<<" come first, but for those replaced.
func (p *testParser) each(n *yaml.Node, what string, known []string, fn func(key string, n *yaml.Node) error) error {
	return p.eachDeep(n, what, known, map[string]bool{}, 0, fn)
}

func (p *testParser) eachDeep(n *yaml.Node, what string, known []string, replaced map[string]bool, depth int, fn func(string, *yaml.Node) error) error {
	n, err := p.follow(n)
	if err != nil {
		return err
	}
	if n.Kind != yaml.MappingNode {
		return p.fail(n, "%s must be a map, such as {name: value}", what)
	}
	if depth > maxTestDepth {
		return p.fail(n, "merged deeper than %d", maxTestDepth)
	}
	here := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := p.follow(n.Content[i])
		if err != nil {
			return err
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			return p.fail(key, "a key of %s must be text", what)
		case key.Tag == "!!merge":
			v, err := p.follow(n.Content[i+1])
			if err != nil {
				return err
			}
			if v.Kind == yaml.SequenceNode {
				merged = append(merged, v.Content...)
			} else {
				merged = append(merged, v)
			}
			continue
		case here[key.Value]:
			return p.fail(key, "%q stands twice in %s", key.Value, what)
		case known != nil && !slices.Contains(known, key.Value):
			return p.fail(key, "%q is not known in %s; known are %s", key.Value, what, strings.Join(known, ", "))
		}
		here[key.Value] = true
	}
	hidden := map[string]bool{}
	for k := range replaced {
		hidden[k] = true
	}
	for k := range here {
		hidden[k] = true
	}
	for _, m := range merged {
		taken := map[string]bool{}
		err := p.eachDeep(m, what, known, hidden, depth+1, func(key string, v *yaml.Node) error {
			taken[key] = true
			return fn(key, v)
		})
		if err != nil {
			return err
		}
		for k := range taken {
			hidden[k] = true
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := p.follow(n.Content[i])
		if err != nil {
			return err
		}
		if key.Tag == "!!merge" || replaced[key.Value] {
			continue
		}
		if err := fn(key.Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *testParser) list(n *yaml.Node, what string) ([]*yaml.Node, error) {
	n, err := p.follow(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.SequenceNode {
		return nil, p.fail(n, "%s must be a list", what)
	}
	return n.Content, nil
}

func (p *testParser) scalar(n *yaml.Node, what string) (*yaml.Node, error) {
	n, err := p.follow(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.ScalarNode {
		return nil, p.fail(n, "%s must be a single value", what)
	}
	return n, nil
}

func (p *testParser) text(n *yaml.Node, what string) (string, error) {
	n, err := p.scalar(n, what)
	if err != nil {
		return "", err
	}
	if n.Value == "" {
		return "", p.fail(n, "%s is empty", what)
	}
	return n.Value, nil
}

func (p *testParser) number(n *yaml.Node, what string, least, most int) (int, error) {
	n, err := p.scalar(n, what)
	if err != nil {
		return 0, err
	}
	i, err := strconv.Atoi(n.Value)
	if err != nil || i < least || i > most {
		return 0, p.fail(n, "%s must be a number from %d to %d", what, least, most)
	}
	return i, nil
}

// eventKeys are what one event may say; a case says name, expect and events
// besides, an event of a stream at, repeat and every.
func eventKeys(more ...string) []string {
	return append([]string{"fields", "source", "logsource", "record", "format", "evidence", "rule"}, more...)
}

func (p *testParser) oneCase(n *yaml.Node, quiet bool) (ruleCase, error) {
	c := ruleCase{line: n.Line, quiet: quiet}
	e := testEvent{line: n.Line, repeat: 1}
	var events *yaml.Node
	err := p.each(n, "a case", eventKeys("name", "expect", "events"), func(key string, v *yaml.Node) (err error) {
		switch key {
		case "name":
			c.name, err = p.text(v, key)
		case "expect":
			c.want, err = p.expect(v)
		case "rule": // of a case: the rule tested
			c.rule, err = p.text(v, key)
		case "events":
			events = v
		default:
			err = p.event(&e, key, v)
		}
		return err
	})
	if err != nil {
		return c, err
	}
	if quiet && c.want.kind != expectDefault {
		return c, p.fail(n, `"expect" has no place under "quiet", where no match is expected`)
	}
	if events == nil {
		c.events = []testEvent{e}
		return c, p.whole(n, &e, false)
	}
	if e.fields != nil || e.record != "" || e.evidence != "" || e.format != "" || e.source != nil {
		return c, p.fail(n, `a case with "events" has no event of its own besides`)
	}
	c.stream = true
	list, err := p.list(events, "events")
	if err != nil {
		return c, err
	}
	total := 0
	for _, el := range list {
		e := testEvent{line: el.Line, repeat: 1, every: time.Second}
		err := p.each(el, "an event", eventKeys("at", "repeat", "every"), func(key string, v *yaml.Node) error { return p.event(&e, key, v) })
		if err == nil {
			err = p.whole(el, &e, true)
		}
		if err != nil {
			return c, err
		}
		if total += e.repeat; total > maxTestEvents {
			return c, p.fail(el, "more than %d events in one stream", maxTestEvents)
		}
		c.events = append(c.events, e)
	}
	if len(c.events) == 0 {
		return c, p.fail(events, "the list of events is empty")
	}
	return c, nil
}

// whole checks that an event says one thing.
func (p *testParser) whole(n *yaml.Node, e *testEvent, stream bool) error {
	kinds := 0
	for _, there := range []bool{e.fields != nil, e.record != "", e.evidence != ""} {
		if there {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return p.fail(n, `"fields", "record" and "evidence" exclude each other`)
	case kinds == 0 && e.rule == "":
		what := `"fields", "record" or "evidence"`
		if stream {
			what = `"fields", "record", "evidence" or "rule"`
		} else {
			what += `, or "events" for several`
		}
		return p.fail(n, "there is no event: it needs %s", what)
	case e.source != nil && e.fields == nil:
		return p.fail(n, `a log source goes with "fields" only: that of a record follows from the record`)
	case e.format != "" && e.record == "":
		return p.fail(n, `"format" goes with "record" only`)
	case e.evidence != "" && (e.repeat != 1 || e.at.set || e.rule != ""):
		return p.fail(n, `evidence has times and matches of its own: "at", "repeat", "every" and "rule" do not go with it`)
	case e.rule != "" && e.record != "":
		return p.fail(n, `"rule" does not go with "record": whether the record matches is what is tested`)
	}
	return nil
}

func (p *testParser) event(e *testEvent, key string, n *yaml.Node) (err error) {
	switch key {
	case "fields":
		e.fields, err = p.fields(n)
	case "source", "logsource":
		if e.source != nil {
			return p.fail(n, `"source" and "logsource" are the same`)
		}
		e.source = &sigma.LogSource{}
		err = p.each(n, "a log source", []string{"product", "category", "service"}, func(key string, v *yaml.Node) (err error) {
			part := map[string]*string{"product": &e.source.Product, "category": &e.source.Category, "service": &e.source.Service}[key]
			*part, err = p.text(v, key)
			return err
		})
	case "record":
		if e.record, err = p.text(n, key); err == nil && len(e.record) > maxTestRecord {
			err = p.fail(n, "the record is longer than %d bytes: put it into a file and name that as evidence", maxTestRecord)
		}
	case "format":
		e.format, err = p.text(n, key)
	case "evidence":
		e.evidence, err = p.text(n, key)
	case "rule":
		e.rule, err = p.text(n, key)
	case "at":
		e.at, err = p.time(n, true)
	case "repeat":
		e.repeat, err = p.number(n, key, 1, maxTestRepeat)
	case "every":
		var s string
		if s, err = p.text(n, key); err == nil {
			if e.every, err = parseSpan(s); err != nil {
				err = p.fail(n, "every: %v", err)
			}
		}
	}
	return err
}

// fields reads the fields of an event. A list is a field with several values.
func (p *testParser) fields(n *yaml.Node) ([]sigma.Field, error) {
	out := []sigma.Field{}
	err := p.each(n, "fields", nil, func(name string, v *yaml.Node) error {
		v, err := p.follow(v)
		if err != nil {
			return err
		}
		values := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			values = v.Content
		}
		for _, v := range values {
			if v, err = p.follow(v); err != nil {
				return err
			}
			if v.Kind != yaml.ScalarNode {
				return p.fail(v, "field %s must be a value or a list of values", name)
			}
			f := sigma.Field{Name: name, Text: v.Value}
			switch v.ShortTag() {
			case "!!int", "!!float":
				f.Kind = sigma.Number
			case "!!bool":
				f.Kind = sigma.Bool
			case "!!null":
				f.Kind, f.Text = sigma.Null, ""
			default:
				f.Kind = sigma.String
			}
			out = append(out, f)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = p.fail(n, "fields is empty")
	}
	return out, err
}

// parseSpan reads a span of time: "5s", "10m", "1h30m", "2d".
func parseSpan(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 36500*24*time.Hour {
		return 0, fmt.Errorf("%q is no span of time such as 5s, 10m or 2d", s)
	}
	return d, nil
}

// time reads when an event happens: a time of day, a date and time, or "+5s" after
// the event before.
func (p *testParser) time(n *yaml.Node, relative bool) (testTime, error) {
	n, err := p.scalar(n, "at")
	if err != nil {
		return testTime{}, err
	}
	s := n.Value
	if span, ok := strings.CutPrefix(s, "+"); ok && relative {
		d, err := parseSpan(span)
		if err != nil {
			return testTime{}, p.fail(n, "at: %v", err)
		}
		return testTime{set: true, relative: true, offset: d}, nil
	}
	for _, layout := range []string{"15:04:05.999999999", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return testTime{set: true, time: testDay.Add(t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)))}, nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return testTime{set: true, time: t.UTC()}, nil
		}
	}
	more := ""
	if relative {
		more = `, or "+5s" after the event before`
	}
	return testTime{}, p.fail(n, `at: %q is no time: want "10:00:00", or 2026-03-01T10:00:00Z%s`, s, more)
}

// expect reads a number, a map of rules to numbers, or a list of alerts.
func (p *testParser) expect(n *yaml.Node) (expectation, error) {
	n, err := p.follow(n)
	if err != nil {
		return expectation{}, err
	}
	out := expectation{line: n.Line}
	switch n.Kind {
	case yaml.ScalarNode:
		i, err := p.number(n, "expect", 0, 1_000_000_000)
		out.count, out.kind = &i, expectCount
		return out, err
	case yaml.MappingNode:
		out.kind = expectCounts
		err := p.each(n, "expect", nil, func(rule string, v *yaml.Node) error {
			i, err := p.number(v, "the count of "+rule, 0, 1_000_000_000)
			out.counts = append(out.counts, wantCount{rule, i})
			return err
		})
		if err == nil && len(out.counts) == 0 {
			err = p.fail(n, "expect names no rule")
		}
		return out, err
	case yaml.SequenceNode:
		out.kind = expectAlerts
		for _, el := range n.Content {
			a, err := p.alert(el)
			if err != nil {
				return out, err
			}
			out.alerts = append(out.alerts, a)
		}
		return out, nil
	}
	return out, p.fail(n, "expect must be a number, a map of rules to numbers, or a list of alerts")
}

func (p *testParser) alert(n *yaml.Node) (wantAlert, error) {
	out := wantAlert{line: n.Line}
	err := p.each(n, "an expected alert", []string{"rule", "group", "at", "value"}, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "rule":
			out.rule, err = p.text(v, key)
		case "at":
			out.at, err = p.time(v, false)
		case "value":
			s, err := p.text(v, key)
			if err != nil {
				return err
			}
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return p.fail(v, "value must be a number")
			}
			out.value = &f
		case "group":
			err = p.each(v, "group", nil, func(field string, v *yaml.Node) error {
				v, err := p.scalar(v, field)
				if err == nil {
					out.group = append(out.group, sigma.GroupValue{Field: field, Value: v.Value})
				}
				return err
			})
		}
		return err
	})
	return out, err
}
