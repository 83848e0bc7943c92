package sigma

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// change reads a transformation.
func (a *args) change(kind string, depth int) change {
	switch kind {
	case "field_name_mapping":
		m := a.mapping("mapping")
		return mapFields(func(f string) ([]string, bool) { return m.get(f) }, m.none)
	case "field_name_prefix_mapping":
		m := a.mapping("mapping")
		if m.none != nil {
			a.fail(nil, "mapping", "null is no prefix")
		}
		return mapFields(m.prefix, nil)
	case "field_name_prefix":
		prefix := a.needText("prefix")
		return mapFields(func(f string) ([]string, bool) { return []string{prefix + f}, true }, nil)
	case "field_name_suffix":
		suffix := a.needText("suffix")
		return mapFields(func(f string) ([]string, bool) { return []string{f + suffix}, true }, nil)
	case "add_field", "remove_field", "set_field":
		return a.fieldList(kind)
	case "drop_detection_item":
		return eachItem(func(*work, *step, *item) (*twig, error) { return &twig{}, nil })
	case "detection_item_failure":
		message := a.needText("message")
		return eachItem(func(*work, *step, *item) (*twig, error) { return nil, errors.New(message) })
	case "rule_failure":
		message := a.needText("message")
		return func(*work, *step) error { return errors.New(message) }
	case "add_condition":
		return a.addCondition()
	case "change_logsource":
		src := LogSource{Product: a.text("product", ""), Category: a.text("category", ""), Service: a.text("service", "")}
		if src == (LogSource{}) {
			a.fail(nil, "", "names no product, category or service")
		}
		return func(x *work, _ *step) error {
			if x.rule.Correlation == nil {
				x.rule.LogSource = src
			}
			return nil
		}
	case "set_state":
		key, val := a.needText("key"), a.needText("val")
		return func(x *work, _ *step) error {
			x.state[key] = val
			return nil
		}
	case "set_custom_attribute":
		key, val := a.needText("attribute"), a.needText("value")
		return func(x *work, _ *step) error {
			x.tree.attributes[key] = val
			return nil
		}
	case "nest":
		steps, err := a.d.steps(a.need("items"), a.where+".items", depth+1)
		if err != nil && a.err == nil {
			a.err = err
		}
		return func(x *work, _ *step) error { return x.run(steps) }
	case "value_placeholders", "wildcard_placeholders":
		return a.placeholders(kind)
	case "replace_string", "map_string", "set_value", "convert_type", "case", "regex":
		return a.valueChange(kind)
	case "hashes_fields":
		return a.hashes()
	case "":
		a.fail(nil, "type", "is missing")
	case "query_expression_placeholders":
		a.fail(nil, "type", "%s asks another engine to look a list up: give the list to \"value_placeholders\"", kind)
	case "field_name_transform":
		a.fail(nil, "type", "%s calls a Python function", kind)
	case "strict_field_mapping_failure":
		a.fail(nil, "type", "%s is not supported: name the fields with \"exclude_fields\" and use \"detection_item_failure\"", kind)
	default:
		a.fail(nil, "type", "%s is no transformation", quote(kind))
	}
	return func(*work, *step) error { return nil }
}

// eachItem makes a change of one to every item that the step's conditions let
// through. f returns nil to keep the item, an empty twig to drop it, or what
// stands in its place.
func eachItem(f func(x *work, s *step, it *item) (*twig, error)) change {
	return func(x *work, s *step) error {
		for i := range x.tree.selections {
			b := &x.tree.selections[i]
			w, err := x.each(s, b.twig, f)
			if err != nil {
				return err
			}
			if w.item == nil && len(w.kids) == 0 {
				return fmt.Errorf("nothing would be left of the selection %s", quote(b.name))
			}
			b.twig = w
		}
		return nil
	}
}

func (x *work) each(s *step, w *twig, f func(*work, *step, *item) (*twig, error)) (*twig, error) {
	if it := w.item; it != nil {
		about := subject{item: it}
		if it.field != "" {
			about.field = &it.field
		}
		if !s.item(x, about) || !s.field(x, about) || x.err != nil {
			return w, x.err
		}
		out, err := f(x, s, it)
		if err != nil || out == nil {
			return w, err
		}
		made := 0
		out.items(func(it *item) {
			made += 1 + len(it.values)
			if s.id != "" {
				it.mark(s.id)
			}
		})
		return out, x.spend(made)
	}
	var kids []*twig
	for _, k := range w.kids {
		k, err := x.each(s, k, f)
		if err != nil {
			return w, err
		}
		if k.item != nil || len(k.kids) > 0 {
			kids = append(kids, k)
		} else if w.any {
			return w, errors.New("nothing would be left of one of several alternatives, which then would always hold")
		}
	}
	w.kids = kids
	return w, nil
}

// prefix maps a name by the first prefix that it has.
func (m *mapping) prefix(f string) ([]string, bool) {
	for i, p := range m.keys {
		if rest, ok := strings.CutPrefix(f, p); ok {
			var out []string
			for _, to := range m.values[i] {
				out = append(out, to+rest)
			}
			return out, true
		}
	}
	return nil, false
}

// mapFields renames fields, wherever a rule names one. Several names mean that
// the value may stand in any of the fields. keywords are the fields, if any, that
// keywords are looked for in.
func mapFields(to func(string) ([]string, bool), keywords []string) change {
	inItems := eachItem(func(x *work, s *step, it *item) (*twig, error) {
		values, refs := it.values, false
		if it.has("fieldref") {
			values = nil
			for _, v := range it.values {
				names := x.mapName(s, v.Value, to)
				if err := x.spend(len(names)); err != nil {
					return nil, err
				}
				for _, n := range names {
					refs = refs || n != v.Value
					values = append(values, textNode(n, v))
				}
			}
		}
		names, ok := to(it.field)
		if it.field == "" {
			names, ok = keywords, keywords != nil
		}
		if !ok && !refs {
			return nil, nil
		}
		if !ok {
			names = []string{it.field}
		}
		out := &twig{any: true}
		for _, n := range names {
			own := it.clone()
			own.field, own.values = n, slices.Clone(values)
			if it.field == "" {
				own.mods = append(slices.Clone(it.mods), "contains")
				own.spell()
			}
			x.track(s, n)
			out.kids = append(out.kids, &twig{item: own})
		}
		if len(out.kids) == 1 {
			return out.kids[0], nil
		}
		return out, nil
	})
	return func(x *work, s *step) error {
		var fields []string
		for _, f := range x.rule.Fields {
			fields = append(fields, x.mapName(s, f, to)...)
		}
		x.rule.Fields = fields
		if err := x.spend(len(fields)); err != nil {
			return err
		}
		if x.rule.Correlation != nil {
			return x.mapCorrelation(s, to)
		}
		return inItems(x, s)
	}
}

// mapName maps a name that the step's conditions on fields let through.
func (x *work) mapName(s *step, name string, to func(string) ([]string, bool)) []string {
	names, ok := to(name)
	if !ok || !s.field(x, subject{field: &name}) {
		return []string{name}
	}
	for _, n := range names {
		x.track(s, n)
	}
	return names
}

// track notes that a step made the name of a field.
func (x *work) track(s *step, name string) {
	if s.id == "" {
		return
	}
	if x.fields[name] == nil {
		x.fields[name] = map[string]bool{}
	}
	x.fields[name][s.id] = true
}

// mapCorrelation renames the fields of a correlation. Where several names would
// stand for one there is no meaning that is right.
func (x *work) mapCorrelation(s *step, to func(string) ([]string, bool)) error {
	c := x.rule.Correlation
	isAlias := func(name string) bool {
		return slices.ContainsFunc(c.Aliases, func(a Alias) bool { return a.Name == name })
	}
	one := func(name string) (string, error) {
		names := x.mapName(s, name, to)
		if len(names) != 1 {
			return "", fmt.Errorf("the field %s of a correlation would have %d names", quote(name), len(names))
		}
		return names[0], nil
	}
	for _, list := range [][]string{c.GroupBy, c.Fields} {
		for i, name := range list {
			if isAlias(name) {
				continue
			}
			var err error
			if list[i], err = one(name); err != nil {
				return err
			}
		}
	}
	for i := range c.Aliases {
		a := &c.Aliases[i]
		a.Field = slices.Clone(a.Field)
		for k, name := range a.Field {
			var err error
			if a.Field[k], err = one(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldList changes the fields that a rule wants shown.
func (a *args) fieldList(kind string) change {
	key := "field"
	if kind == "set_field" {
		key = "fields"
	}
	names := a.list(a.need(key), key)
	return func(x *work, _ *step) error {
		switch kind {
		case "add_field":
			x.rule.Fields = append(x.rule.Fields, names...)
		case "remove_field":
			x.rule.Fields = slices.DeleteFunc(x.rule.Fields, func(f string) bool { return slices.Contains(names, f) })
		default:
			x.rule.Fields = slices.Clone(names)
		}
		return x.spend(len(names))
	}
}

// addCondition adds a selection that must hold too or, negated, must not.
func (a *args) addCondition() change {
	conds := a.need("conditions")
	name := a.text("name", "")
	template, negated := a.flag("template"), a.flag("negated")
	if conds.Kind != yaml.MappingNode || len(conds.Content) == 0 {
		a.fail(conds, "conditions", "must be a map of fields")
	}
	if strings.ContainsAny(name, " \t\r\n()|*") || strings.EqualFold(name, "not") {
		a.fail(nil, "name", "%s cannot stand in a condition", quote(name))
	}
	d := a.d
	return func(x *work, s *step) error {
		if x.rule.Correlation != nil {
			return nil
		}
		own := name
		for i := 0; own == "" || x.tree.named(own); i++ {
			own = fmt.Sprintf("_added_%d", i)
		}
		grown := (&tree{doc: *d}).grow(conds)
		made := 0
		grown.items(func(it *item) {
			made += 1 + len(it.values)
			at := *it.at
			at.Line = 0 // it stands in another file than the rule
			it.at = &at
			for i, v := range it.values {
				text := *v
				text.Line = 0
				if template && v.Kind == yaml.ScalarNode {
					text.Value = expandLogSource(v.Value, x.rule.LogSource)
				}
				it.values[i] = &text
			}
			if s.id != "" {
				it.mark(s.id)
			}
		})
		x.tree.selections = append(x.tree.selections, branch{own, grown})
		for i, c := range x.tree.conditions {
			text := own + " and (" + x.tree.doc.follow(c).Value + ")"
			if negated {
				text = "not " + text
			}
			x.tree.conditions[i] = textNode(text, c)
		}
		return x.spend(made)
	}
}

func (t *tree) named(name string) bool {
	return slices.ContainsFunc(t.selections, func(b branch) bool { return b.name == name })
}

// expandLogSource fills $category, $product and $service in.
func expandLogSource(s string, src LogSource) string {
	return strings.NewReplacer("${category}", src.Category, "$category", src.Category, "${product}", src.Product,
		"$product", src.Product, "${service}", src.Service, "$service", src.Service).Replace(s)
}
