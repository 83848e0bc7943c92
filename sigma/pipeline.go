package sigma

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of pipelines.
const (
	maxSteps  = 10_000
	maxNested = 8
	maxItems  = 20_000 // items of one rule, and values of one item
)

// A Pipeline adapts rules to where they are used: it renames fields, changes
// values and log sources, adds conditions and fills placeholders in. It is
// written in the YAML of pySigma's processing pipelines. It may be used by several
// goroutines once its variables are set.
type Pipeline struct {
	Name, File string
	Priority   int // of several, the lowest comes first

	steps []*step
	vars  map[string][]string
}

// A step is one transformation and what it depends on.
type step struct {
	id, kind string
	where    string
	file     string // the pipeline's, and the line
	line     int
	rule     check
	item     check
	field    check
	change   change
}

// change does a transformation's work on a rule.
type change func(x *work, s *step) error

// work is a rule while a pipeline runs over it.
type work struct {
	p      *Pipeline
	rule   *Rule
	tree   *tree
	state  map[string]string
	done   map[string]bool            // ids of the steps applied
	fields map[string]map[string]bool // by field: ids of the steps that made its name
	budget int                        // items and values that may still be made
	err    error                      // of a check
}

// ParsePipeline reads a pipeline. What only a query in another language could use
// (postprocessing, finalizers, query expressions) is refused, as nothing here
// makes one. file is only used in messages.
func ParsePipeline(file string, src []byte) (*Pipeline, error) {
	if len(src) > MaxFileSize {
		return nil, refusal(file, 0, "", "file is larger than %d bytes", MaxFileSize)
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(src) {
		return nil, refusal(file, 0, "", "file is not UTF-8")
	}
	d := &document{file: file}
	root, err := d.load(src)
	if err != nil {
		return nil, err
	}
	if root == nil || root.Kind != yaml.MappingNode {
		return nil, d.fail(root, "", "not a pipeline: the top must be a map")
	}
	p := &Pipeline{File: file, vars: map[string][]string{}}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, v := d.follow(root.Content[i]), d.follow(root.Content[i+1])
		empty := v.ShortTag() == "!!null" || v.Kind != yaml.ScalarNode && len(v.Content) == 0
		switch key.Value {
		case "name":
			p.Name = v.Value
		case "priority":
			n, ok := yamlNumber(v)
			if !ok || n != float64(int32(n)) {
				return nil, d.fail(v, "priority", "is no whole number")
			}
			p.Priority = int(n)
		case "allowed_backends": // this is none of them, and says the same in every case
		case "vars":
			if err := d.vars(v, p.vars); err != nil {
				return nil, err
			}
		case "transformations":
			if empty {
				continue
			}
			steps, err := d.steps(v, "transformations", 0)
			if err != nil {
				return nil, err
			}
			p.steps = steps
		case "postprocessing", "finalizers":
			if !empty {
				return nil, d.fail(key, key.Value, "formats queries of other engines; rules are matched here as they are, so it would have no effect")
			}
		default:
			return nil, d.fail(key, clip(key.Value), "is not known in a pipeline")
		}
	}
	return p, nil
}

// load parses and checks a file of one YAML document.
func (d *document) load(src []byte) (*yaml.Node, error) {
	var root *yaml.Node
	for _, c := range splitDocuments(src) {
		d.line = c.line
		n, err := parseYAML(c.src)
		switch {
		case err != nil:
			return nil, d.malformed(err)
		case n == nil || n.ShortTag() == "!!null":
			continue
		case root != nil:
			return nil, d.fail(n, "", "a file holds one pipeline, this one has several documents")
		}
		if e := d.check(n, 0); e != nil {
			return nil, e
		}
		root = d.follow(n)
	}
	return root, nil
}

func (d *document) vars(n *yaml.Node, vars map[string][]string) error {
	if n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return d.fail(n, "vars", "must be a map")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := d.follow(n.Content[i]), d.follow(n.Content[i+1])
		values := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			values = v.Content
		}
		list := []string{}
		for _, el := range values {
			if el = d.follow(el); el.Kind != yaml.ScalarNode || el.ShortTag() == "!!null" {
				return d.fail(el, "vars."+clip(key.Value), "must be text, a number or a list of these")
			}
			list = append(list, el.Value)
		}
		vars[key.Value] = list
	}
	return nil
}

// steps reads a list of transformations.
func (d *document) steps(n *yaml.Node, where string, depth int) ([]*step, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, d.fail(n, where, "must be a list")
	}
	if len(n.Content) > maxSteps {
		return nil, d.fail(n, where, "more than %d transformations", maxSteps)
	}
	if depth > maxNested {
		return nil, d.fail(n, where, "pipelines are nested deeper than %d", maxNested)
	}
	var out []*step
	for i, el := range n.Content {
		el = d.follow(el)
		at := fmt.Sprintf("%s[%d]", where, i+1)
		if el.Kind != yaml.MappingNode {
			return nil, d.fail(el, at, "must be a map")
		}
		s, err := d.step(el, at, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *document) step(n *yaml.Node, where string, depth int) (*step, error) {
	a := &args{d: d, n: n, where: where, used: []string{"id", "type"}}
	s := &step{id: a.text("id", ""), kind: a.text("type", ""), where: where, file: d.file, line: d.line + n.Line}
	if s.kind != "" {
		s.where += " (" + clip(s.kind) + ")"
	}
	s.rule = a.checks("rule", ruleCheck)
	s.item = a.checks("detection_item", itemCheck)
	s.field = a.checks("field_name", fieldCheck)
	s.change = a.change(s.kind, depth)
	switch s.kind {
	case "rule_failure", "add_condition", "change_logsource", "set_state", "set_custom_attribute", "nest", "add_field", "remove_field", "set_field":
		for _, key := range []string{"detection_item_conditions", "field_name_conditions"} {
			if v := a.get(key); v != nil {
				a.fail(v, key, "has no meaning for a transformation of the whole rule")
			}
		}
	}
	if err := a.end(); err != nil {
		return nil, err
	}
	return s, nil
}

// SetVar gives a variable, which placeholders stand for, its values. It replaces
// those that the pipeline's file gives it.
func (p *Pipeline) SetVar(name string, values ...string) { p.vars[name] = slices.Clone(values) }

// SetVars gives variables their values, such as those of ReadVars.
func (p *Pipeline) SetVars(vars map[string][]string) {
	for name, values := range vars {
		p.SetVar(name, values...)
	}
}

// ReadVars reads lists for placeholders: every file NAME.txt at the top of fsys
// is the variable NAME; see ReadList.
func ReadVars(fsys fs.FS) (map[string][]string, error) {
	files, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, name := range files {
		info, err := fs.Stat(fsys, name)
		if err != nil {
			return nil, err
		}
		if info.Size() > MaxFileSize {
			return nil, refusal(name, 0, "", "file is larger than %d bytes", MaxFileSize)
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		values, err := ReadList(name, src)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(path.Base(name), ".txt")] = values
	}
	return out, nil
}

// ReadList reads the values of a variable, one a line. Empty lines and those that
// begin with "#" are left out. file is only used in messages.
func ReadList(file string, src []byte) ([]string, error) {
	if len(src) > MaxFileSize {
		return nil, refusal(file, 0, "", "file is larger than %d bytes", MaxFileSize)
	}
	values := []string{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))))
	lines.Buffer(nil, MaxFileSize+1)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		switch {
		case !utf8.ValidString(text):
			return nil, refusal(file, n, "", "line is not UTF-8")
		case len(text) > MaxValueLen:
			return nil, refusal(file, n, "", "value is longer than %d bytes", MaxValueLen)
		case text != "" && text[0] != '#':
			values = append(values, text)
		}
	}
	return values, nil
}

// JoinPipelines returns one pipeline that does the work of several, in the order
// of their priorities and otherwise as given. A variable has the values that the
// last of them gives it.
func JoinPipelines(ps ...*Pipeline) *Pipeline {
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b *Pipeline) int { return cmp.Compare(a.Priority, b.Priority) })
	out := &Pipeline{vars: map[string][]string{}}
	var names []string
	for _, p := range sorted {
		names = append(names, p.Name)
		out.steps = append(out.steps, p.steps...)
		maps.Copy(out.vars, p.vars)
	}
	out.Name = strings.Join(names, " + ")
	return out
}

// Apply returns what the pipeline makes of a rule that Parse or a pipeline made.
// The rule itself is not changed. An error says which step failed; the rule should
// not be used then.
func (p *Pipeline) Apply(r *Rule) (*Rule, error) {
	t, err := treeOf(r)
	if err != nil {
		return nil, err
	}
	own := *r
	own.Fields = slices.Clone(r.Fields)
	if r.Correlation != nil {
		c := *r.Correlation
		c.GroupBy, c.Fields, c.Aliases = slices.Clone(c.GroupBy), slices.Clone(c.Fields), slices.Clone(c.Aliases)
		own.Correlation = &c
	}
	x := &work{
		p: p, rule: &own, tree: t, state: map[string]string{}, budget: maxItems,
		done: map[string]bool{}, fields: map[string]map[string]bool{},
	}
	if err := x.run(p.steps); err != nil {
		return nil, err
	}
	if err := t.build(&own); err != nil {
		return nil, err
	}
	return &own, nil
}

func (x *work) run(steps []*step) error {
	for _, s := range steps {
		applies := s.rule(x, subject{})
		if x.err == nil && applies {
			if err := s.change(x, s); err != nil {
				x.err = err
			}
			x.done[s.id] = s.id != ""
		}
		if x.err != nil {
			return x.fail(s, x.err)
		}
	}
	return nil
}

// fail says at which step a rule failed, unless that is said already.
func (x *work) fail(s *step, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return refusal(x.rule.File, x.rule.Line, fmt.Sprintf("pipeline %s:%d: %s", s.file, s.line, s.where), "%s", err)
}

// spend takes from the budget.
func (x *work) spend(n int) error {
	if x.budget -= n; x.budget < 0 {
		return fmt.Errorf("makes more than %d tests or values of one rule", maxItems)
	}
	return nil
}
