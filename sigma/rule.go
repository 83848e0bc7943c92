package sigma

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
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

// A Rule is one Sigma document as written, ready for Compile: a detection rule, a
// correlation over other rules or a filter of other rules.
type Rule struct {
	ID, Name, Title, Status, Level, Description, Author string
	Tags, References, FalsePositives, Fields            []string
	LogSource                                           LogSource
	Definition                                          string   // what the log source must be configured to record, in words
	Conditions                                          []string // as written; several mean any of them
	Placeholders                                        []string // names under "expand" that nobody has resolved
	File                                                string
	Line                                                int // 1-based

	Correlation *Correlation // nil unless the document is a correlation
	Filter      *Filter      // nil unless the document is a filter

	cond       *expr // of a filter: what it keeps
	selections []*expr
	source     []byte // the document's text, for pipelines
	tree       *tree  // what pipelines made of it; nil if none has

}

// detects reports whether r is a detection rule.
func (r *Rule) detects() bool { return r.Correlation == nil && r.Filter == nil }

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

// malformed makes an Error of what the YAML library says.
func (d *document) malformed(err error) *Error {
	line, msg := 0, err.Error()
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = strings.Replace(msg, m[0], "", 1)
	}
	return refusal(d.file, d.line+line, "", "%s", msg)
}

// read returns the rule of one document, nil if the document is empty.
func (d *document) read(src []byte) (*Rule, *Error) {
	root, err := parseYAML(src)
	if err != nil {
		return nil, d.malformed(err)
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
	d.rule = &Rule{
		ID: d.text(root, "id"), Name: d.text(root, "name"), Title: d.text(root, "title"),
		Status: d.text(root, "status"), Level: strings.ToLower(d.text(root, "level")),
		Description: d.text(root, "description"), Author: d.text(root, "author"),
		Tags: d.list(root, "tags"), References: d.list(root, "references"),
		FalsePositives: d.list(root, "falsepositives"), Fields: d.list(root, "fields"),
		File: d.file, Line: d.line + root.Line, source: src,
	}
	if err := d.body(root); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = d.fail(root, "", "%s", err)
		}
		return nil, e
	}
	return d.rule, nil
}

// body reads what a document says besides its metadata.
func (d *document) body(root *yaml.Node) error {
	detection, correlation, filter := d.get(root, "detection"), d.get(root, "correlation"), d.get(root, "filter")
	kinds := 0
	for _, n := range []*yaml.Node{detection, correlation, filter} {
		if n != nil {
			kinds++
		}
	}
	switch {
	case d.key(root, "action") != nil:
		return d.fail(d.key(root, "action"), "action", "rule collections with \"action\" belong to Sigma 1 and are not supported")
	case kinds == 0:
		return d.fail(root, "", "not a Sigma document: there is no \"detection\", \"correlation\" or \"filter\"")
	case kinds > 1:
		return d.fail(root, "", "\"detection\", \"correlation\" and \"filter\" exclude each other in one document")
	case d.rule.Title == "":
		return d.fail(root, "title", "the document has no title")
	}
	switch d.rule.Level {
	case "", "informational", "low", "medium", "high", "critical":
	default:
		return d.fail(d.get(root, "level"), "level", "%s is not informational, low, medium, high or critical", quote(d.rule.Level))
	}
	if correlation != nil {
		return d.correlation(root, correlation)
	}
	if e := d.logSource(root); e != nil {
		return e
	}
	if filter != nil {
		return d.filter(filter)
	}
	return d.detection(detection)
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
	if err := d.selections(n, "detection", "condition", "timeframe"); err != nil {
		return err
	}
	cond := d.get(n, "condition")
	if cond == nil {
		return d.fail(n, "condition", "the detection has no condition")
	}
	nodes := []*yaml.Node{cond}
	if cond.Kind == yaml.SequenceNode {
		nodes = cond.Content
	}
	if len(nodes) == 0 {
		return d.fail(cond, "condition", "the list of conditions is empty")
	}
	return d.conditions(nodes)
}

// selections reads the named selections of a map; other keys are told by name.
func (d *document) selections(n *yaml.Node, where string, others ...string) error {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, where, "must be a map")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := d.follow(n.Content[i]).Value
		if slices.Contains(others, name) {
			continue
		}
		e, err := d.selection(n.Content[i+1], clip(name))
		if err != nil {
			return err
		}
		d.name(name, e)
	}
	return nil
}

// name adds a selection. It gets a root of its own: the name is this selection's,
// whatever e is shared with.
func (d *document) name(name string, e *expr) {
	d.rule.selections = append(d.rule.selections, &expr{op: exprAnd, kids: []*expr{e}, name: name})
}

// conditions reads conditions over the selections, any of which will do.
func (d *document) conditions(nodes []*yaml.Node) error {
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
	d.rule.cond = combine(exprOr, alternatives)
	return nil
}
