package sigma

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// LogSource is where an event comes from, or which events a rule is for; empty
// parts are unknown, or unspecified.
type LogSource struct {
	Product, Category, Service string
}

// A Rule is one detection rule as written, ready for Compile.
type Rule struct {
	ID, Name, Title, Status, Level, Description, Author string
	Tags, References, FalsePositives, Fields            []string
	LogSource                                           LogSource
	Definition                                          string   // what the log source must be configured to record, in words
	Conditions                                          []string // as written; several mean any of them
	Placeholders                                        []string // names under "expand" that nobody has resolved
	File                                                string
	Line                                                int // 1-based

	cond       *expr
	selections []*expr
}

// A document is one YAML document while it is read.
type document struct {
	file  string
	line  int // lines of the file before it
	nodes int
	rule  *Rule
}

func (d *document) fail(n *yaml.Node, where, format string, args ...any) *Error {
	line := 0
	if n != nil && n.Line > 0 {
		line = d.line + n.Line
	}
	return refusal(d.file, line, where, format, args...)
}

// Parse reads the rules of a file, which may hold several YAML documents. The
// error joins one *Error for every document refused (see Errors); the rules of
// the others are returned with it. file is only used in messages.
func Parse(file string, src []byte) ([]*Rule, error) {
	if len(src) > MaxFileSize {
		return nil, refusal(file, 0, "", "file is larger than %d bytes", MaxFileSize)
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(src) {
		return nil, refusal(file, 0, "", "file is not UTF-8")
	}
	var rules []*Rule
	var errs []*Error
	chunks := splitDocuments(src)
	if len(chunks) > MaxDocuments {
		return nil, refusal(file, 0, "", "file has more than %d documents", MaxDocuments)
	}
	for _, c := range chunks {
		d := document{file: file, line: c.line}
		r, err := d.read(c.src)
		if err != nil {
			errs = append(errs, err)
		} else if r != nil {
			rules = append(rules, r)
		}
	}
	return rules, join(errs)
}

// yamlLine finds the line in a message of the YAML library.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// read returns the rule of one document, nil if the document is empty.
func (d *document) read(src []byte) (*Rule, *Error) {
	root, err := parseYAML(src)
	if err != nil {
		line, msg := 0, err.Error()
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			line, _ = strconv.Atoi(m[1])
			msg = strings.Replace(msg, m[0], "", 1)
		}
		return nil, refusal(d.file, d.line+line, "", "%s", msg)
	}
	if root == nil || root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	if e := d.check(root, 0); e != nil {
		return nil, e
	}
	root = d.follow(root)
	if root.Kind != yaml.MappingNode {
		return nil, d.fail(root, "", "not a Sigma document: the top must be a map")
	}
	detection := d.get(root, "detection")
	switch {
	case d.key(root, "correlation") != nil:
		return nil, d.fail(d.key(root, "correlation"), "correlation", "correlation rules are not supported here")
	case d.key(root, "filter") != nil:
		return nil, d.fail(d.key(root, "filter"), "filter", "filters are not supported here")
	case d.key(root, "action") != nil:
		return nil, d.fail(d.key(root, "action"), "action", "rule collections with \"action\" belong to Sigma 1 and are not supported")
	case detection == nil:
		return nil, d.fail(root, "", "not a Sigma rule: there is no \"detection\"")
	}
	d.rule = &Rule{
		ID: d.text(root, "id"), Name: d.text(root, "name"), Title: d.text(root, "title"),
		Status: d.text(root, "status"), Level: strings.ToLower(d.text(root, "level")),
		Description: d.text(root, "description"), Author: d.text(root, "author"),
		Tags: d.list(root, "tags"), References: d.list(root, "references"),
		FalsePositives: d.list(root, "falsepositives"), Fields: d.list(root, "fields"),
		File: d.file, Line: d.line + root.Line,
	}
	if d.rule.Title == "" {
		return nil, d.fail(root, "title", "the rule has no title")
	}
	switch d.rule.Level {
	case "", "informational", "low", "medium", "high", "critical":
	default:
		return nil, d.fail(d.get(root, "level"), "level", "%s is not informational, low, medium, high or critical", quote(d.rule.Level))
	}
	if e := d.logSource(root); e != nil {
		return nil, e
	}
	if err := d.detection(detection); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = d.fail(detection, "detection", "%s", err)
		}
		return nil, e
	}
	return d.rule, nil
}

func (d *document) logSource(root *yaml.Node) *Error {
	n := d.get(root, "logsource")
	if n == nil {
		return d.fail(root, "logsource", "the rule has no log source")
	}
	if n.Kind != yaml.MappingNode {
		return d.fail(n, "logsource", "the log source must be a map")
	}
	src := LogSource{Product: d.text(n, "product"), Category: d.text(n, "category"), Service: d.text(n, "service")}
	if src == (LogSource{}) {
		return d.fail(n, "logsource", "the log source names no product, category or service")
	}
	d.rule.LogSource, d.rule.Definition = src, d.text(n, "definition")
	return nil
}

// detection reads the selections and the conditions over them.
func (d *document) detection(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, "detection", "must be a map")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := d.follow(n.Content[i]).Value
		if name == "condition" || name == "timeframe" {
			continue
		}
		e, err := d.selection(n.Content[i+1], clip(name))
		if err != nil {
			return err
		}
		// A root of its own: the name is this selection's, whatever e is shared with.
		d.rule.selections = append(d.rule.selections, &expr{op: exprAnd, kids: []*expr{e}, name: name})
	}
	cond := d.get(n, "condition")
	if cond == nil {
		return d.fail(n, "condition", "the detection has no condition")
	}
	nodes := []*yaml.Node{cond}
	if cond.Kind == yaml.SequenceNode {
		nodes = cond.Content
	}
	var alternatives []*expr
	for _, c := range nodes {
		if c = d.follow(c); c.Kind != yaml.ScalarNode {
			return d.fail(c, "condition", "must be text")
		}
		e, err := parseCondition(c.Value, d.rule.selections)
		if err != nil {
			return d.fail(c, "condition", "%s", err)
		}
		d.rule.Conditions = append(d.rule.Conditions, c.Value)
		alternatives = append(alternatives, e)
	}
	if len(alternatives) == 0 {
		return d.fail(cond, "condition", "the list of conditions is empty")
	}
	d.rule.cond = combine(exprOr, alternatives)
	return nil
}
