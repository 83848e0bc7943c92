package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tree is the detection of a rule in a form that pipelines can change: as it is
// written, before modifiers are expanded. Its YAML nodes are never changed, only
// replaced.
type tree struct {
	doc        document // where the rule's lines are
	attributes map[string]string
	selections []branch
	conditions []*yaml.Node
}

// branch is a named selection.
type branch struct {
	name string
	twig *twig
}

// twig is a field test, or several twigs of which all must hold, or any.
type twig struct {
	item *item // nil: kids
	any  bool
	kids []*twig
}

// item is one "Field|modifiers: values" of a selection.
type item struct {
	field  string
	mods   []string // in lower case
	values []*yaml.Node
	at     *yaml.Node      // for the line
	steps  map[string]bool // ids of the pipeline steps that changed it
}

// treeOf returns the tree of a rule that Parse or a pipeline made. The caller may
// change it.
func treeOf(r *Rule) (*tree, error) {
	if r.tree != nil {
		return r.tree.clone(), nil
	}
	root, err := parseYAML(r.source)
	if err != nil || root == nil {
		return nil, refusal(r.File, r.Line, "", "the rule was not made by Parse")
	}
	t := &tree{doc: document{file: r.File, line: r.Line - root.Line}, attributes: map[string]string{}}
	d := &t.doc
	root = d.follow(root)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if v := d.follow(root.Content[i+1]); v.Kind == yaml.ScalarNode {
			t.attributes[d.follow(root.Content[i]).Value] = v.Value
		}
	}
	body := d.get(root, "detection")
	if r.Filter != nil {
		body = d.get(root, "filter")
	}
	if r.Correlation != nil || body == nil {
		return t, nil
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		switch name := d.follow(body.Content[i]).Value; name {
		case "condition":
			cond := d.follow(body.Content[i+1])
			t.conditions = []*yaml.Node{cond}
			if cond.Kind == yaml.SequenceNode {
				t.conditions = cond.Content
			}
		case "timeframe":
		case "rules":
			if r.Filter != nil {
				continue
			}
			fallthrough
		default:
			t.selections = append(t.selections, branch{name, t.grow(body.Content[i+1])})
		}
	}
	return t, nil
}

// grow makes the twig of what d.selection reads.
func (t *tree) grow(n *yaml.Node) *twig {
	d := &t.doc
	n = d.follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		out := &twig{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := d.follow(n.Content[i])
			parts := strings.Split(key.Value, "|")
			it := &item{field: parts[0], at: key}
			for _, m := range parts[1:] {
				it.mods = append(it.mods, strings.ToLower(m))
			}
			v := d.follow(n.Content[i+1])
			it.values = []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				it.values = nil
				for _, el := range v.Content {
					it.values = append(it.values, d.follow(el))
				}
			}
			it.spell()
			out.kids = append(out.kids, &twig{item: it})
		}
		return out
	case yaml.SequenceNode:
		out := &twig{any: true}
		for _, el := range n.Content {
			out.kids = append(out.kids, t.grow(el))
		}
		return out
	}
	return &twig{item: &item{values: []*yaml.Node{n}, at: n}}
}

// spell writes "contains", "startswith" and "endswith" as wildcards in the values,
// which is what pipelines look at. Items with modifiers that see the text before
// or after these stay as they are.
func (it *item) spell() {
	opens := func(m string) bool { return m == "contains" || m == "startswith" || m == "endswith" }
	if !slices.ContainsFunc(it.mods, opens) {
		return
	}
	for _, m := range it.mods {
		if !opens(m) && m != "all" && m != "cased" && m != "neq" && m != "expand" {
			return
		}
	}
	for i, v := range it.values {
		if v.ShortTag() == "!!null" {
			return
		}
		p := parsePattern(v.Value)
		for _, m := range it.mods {
			switch m {
			case "contains":
				p = p.openStart().openEnd()
			case "startswith":
				p = p.openEnd()
			case "endswith":
				p = p.openStart()
			}
		}
		it.values[i] = textNode(p.String(), v)
	}
	it.mods = slices.DeleteFunc(slices.Clone(it.mods), opens)
}

// textNode returns a text that stands where another node does.
func textNode(text string, at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: at.Line}
}

func (it *item) has(mod string) bool { return slices.Contains(it.mods, mod) }

// isText reports whether a value of the item is text with wildcards.
func (it *item) isText(v *yaml.Node) bool {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str" {
		return false
	}
	for _, m := range it.mods {
		switch m {
		case "re", "cidr", "fieldref", "exists", "gt", "gte", "lt", "lte", "minute", "hour", "day", "week", "month", "year":
			return false
		}
	}
	return true
}

// mark notes that a step changed the item.
func (it *item) mark(step string) {
	if it.steps == nil {
		it.steps = map[string]bool{}
	}
	it.steps[step] = true
}

func (it *item) clone() *item {
	out := *it
	out.values = slices.Clone(it.values)
	out.steps = nil
	for s := range it.steps {
		out.mark(s)
	}
	return &out
}

func (t *tree) clone() *tree {
	out := *t
	out.attributes = map[string]string{}
	for k, v := range t.attributes {
		out.attributes[k] = v
	}
	out.conditions = slices.Clone(t.conditions)
	out.selections = nil
	for _, b := range t.selections {
		out.selections = append(out.selections, branch{b.name, b.twig.clone()})
	}
	return &out
}

func (w *twig) clone() *twig {
	out := &twig{any: w.any}
	if w.item != nil {
		out.item = w.item.clone()
	}
	for _, k := range w.kids {
		out.kids = append(out.kids, k.clone())
	}
	return out
}

// items calls f for every item.
func (w *twig) items(f func(*item)) {
	if w.item != nil {
		f(w.item)
	}
	for _, k := range w.kids {
		k.items(f)
	}
}

// build puts what the tree says into a rule.
func (t *tree) build(r *Rule) error {
	d := t.doc
	d.rule = r
	r.cond, r.selections, r.Placeholders, r.Conditions, r.tree = nil, nil, nil, nil, t
	if r.Correlation != nil {
		return nil
	}
	for _, b := range t.selections {
		e, err := d.twig(b.twig, clip(b.name))
		if err != nil {
			return err
		}
		d.name(b.name, e)
	}
	if err := d.conditions(t.conditions); err != nil {
		return err
	}
	if r.Filter != nil {
		return d.keep(t.conditions[0])
	}
	return nil
}

// twig builds a part of a selection.
func (d *document) twig(w *twig, where string) (*expr, error) {
	if it := w.item; it != nil {
		if len(it.values) == 0 {
			return nil, d.fail(it.at, where+"."+clip(it.field), "no value is left")
		}
		key := strings.Join(append([]string{it.field}, it.mods...), "|")
		n := it.values[0]
		if len(it.values) > 1 {
			n = &yaml.Node{Kind: yaml.SequenceNode, Content: it.values, Line: it.at.Line}
		}
		if key != "" {
			where += "." + clip(key)
		}
		return d.item(key, it.at, n, where)
	}
	if len(w.kids) == 0 {
		return nil, d.fail(nil, where, "nothing is left of the selection")
	}
	var kids []*expr
	for _, k := range w.kids {
		e, err := d.twig(k, where)
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
	if w.any {
		return combine(exprOr, kids), nil
	}
	return combine(exprAnd, kids), nil
}
