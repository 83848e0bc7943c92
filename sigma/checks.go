package sigma

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ruleCheck reads a condition on rules.
func ruleCheck(a *args, typ string) check {
	switch typ {
	case "logsource":
		want := LogSource{Product: a.text("product", ""), Category: a.text("category", ""), Service: a.text("service", "")}.fold()
		if want == (LogSource{}) {
			a.fail(nil, "", "names no product, category or service")
		}
		return func(x *work, _ subject) bool {
			have := x.rule.LogSource.fold()
			return (want.Product == "" || want.Product == have.Product) && (want.Category == "" || want.Category == have.Category) &&
				(want.Service == "" || want.Service == have.Service)
		}
	case "contains_detection_item":
		field, value := a.needText("field"), a.need("value")
		return func(x *work, _ subject) bool {
			return x.anyItem(func(it *item) bool {
				return it.field == field && slices.ContainsFunc(it.values, func(v *yaml.Node) bool { return sameValue(v, value) })
			})
		}
	case "contains_field":
		field := a.needText("field")
		return func(x *work, _ subject) bool { return x.anyItem(func(it *item) bool { return it.field == field }) }
	case "processing_item_applied":
		id := a.needText("processing_item_id")
		return func(x *work, _ subject) bool { return x.done[id] }
	case "processing_state":
		return a.stateCheck()
	case "is_sigma_rule":
		return func(x *work, _ subject) bool { return x.rule.Correlation == nil }
	case "is_sigma_correlation_rule":
		return func(x *work, _ subject) bool { return x.rule.Correlation != nil }
	case "rule_attribute":
		return a.attributeCheck()
	case "tag":
		tag := a.needText("tag")
		return func(x *work, _ subject) bool {
			return slices.ContainsFunc(x.rule.Tags, func(t string) bool { return strings.EqualFold(t, tag) })
		}
	}
	a.fail(nil, "type", "%s is no condition on rules", quote(typ))
	return always
}

// itemCheck reads a condition on detection items.
func itemCheck(a *args, typ string) check {
	var value func(it *item, v *yaml.Node) bool
	switch typ {
	case "match_string":
		re, negate := a.regex("pattern", true), a.flag("negate")
		value = func(it *item, v *yaml.Node) bool {
			return (it.isText(v) && re.MatchString(v.Value)) != negate
		}
	case "match_value":
		want := a.need("value")
		value = func(_ *item, v *yaml.Node) bool { return sameValue(v, want) }
	case "contains_wildcard":
		value = func(it *item, v *yaml.Node) bool { return it.isText(v) && !parsePattern(v.Value).plain() }
	case "is_null":
		value = func(_ *item, v *yaml.Node) bool { return v.ShortTag() == "!!null" }
	case "processing_item_applied":
		id := a.needText("processing_item_id")
		return func(_ *work, s subject) bool { return s.item.steps[id] }
	case "processing_state":
		return a.stateCheck()
	default:
		a.fail(nil, "type", "%s is no condition on detection items", quote(typ))
		return always
	}
	all := a.oneOf("cond", "any", "all") == "all"
	if a.d.key(a.n, "cond") == nil {
		a.fail(nil, "cond", "is missing: \"any\" or \"all\" of the values")
	}
	return func(_ *work, s subject) bool {
		holds := func(v *yaml.Node) bool { return value(s.item, v) }
		if all {
			return !slices.ContainsFunc(s.item.values, func(v *yaml.Node) bool { return !holds(v) })
		}
		return slices.ContainsFunc(s.item.values, holds)
	}
}

// fieldCheck reads a condition on field names.
func fieldCheck(a *args, typ string) check {
	switch typ {
	case "include_fields", "exclude_fields":
		names := a.list(a.need("fields"), "fields")
		matches := func(f string) bool { return slices.Contains(names, f) }
		if a.oneOf("mode", "plain", "re") == "re" {
			var alternatives []string
			for _, n := range names {
				a.compile(a.need("fields"), "fields", n, true)
				alternatives = append(alternatives, "(?:"+n+")")
			}
			re := a.compile(a.need("fields"), "fields", strings.Join(alternatives, "|"), true)
			matches = re.MatchString
		}
		include := typ == "include_fields"
		return func(_ *work, s subject) bool {
			return (s.field != nil && matches(*s.field)) == include
		}
	case "processing_item_applied":
		id := a.needText("processing_item_id")
		return func(x *work, s subject) bool {
			return s.item != nil && s.item.steps[id] || s.field != nil && x.fields[*s.field][id]
		}
	case "processing_state":
		return a.stateCheck()
	}
	a.fail(nil, "type", "%s is no condition on field names", quote(typ))
	return always
}

func (a *args) stateCheck() check {
	key, val := a.needText("key"), a.needText("val")
	op := a.oneOf("op", "eq", "ne", "gte", "gt", "lte", "lt")
	return func(x *work, _ subject) bool {
		have, ok := x.state[key]
		return ok && x.compare(have, op, val)
	}
}

func (a *args) attributeCheck() check {
	name, want := a.needText("attribute"), a.needText("value")
	op := a.oneOf("op", "eq", "ne", "gte", "gt", "lte", "lt", "in", "not_in")
	return func(x *work, _ subject) bool {
		var list []string
		switch name {
		case "tags":
			list = x.rule.Tags
		case "references":
			list = x.rule.References
		case "falsepositives":
			list = x.rule.FalsePositives
		case "fields":
			list = x.rule.Fields
		default:
			have, ok := x.tree.attributes[name]
			switch {
			case !ok:
				return false
			case op == "in" || op == "not_in":
				x.err = fmt.Errorf("the attribute %s is no list", quote(name))
				return false
			}
			return x.compare(have, op, want)
		}
		switch op {
		case "in":
			return slices.Contains(list, want)
		case "not_in":
			return !slices.Contains(list, want)
		}
		return op == "ne" // a list equals no single value and is not ordered
	}
}

// compare compares values as what they both are: numbers, levels, states of a
// rule, dates, or text, which has no order.
func (x *work) compare(have, op, want string) bool {
	var order int
	ordered := true
	h, ok1 := parseNumber(have)
	w, ok2 := parseNumber(want)
	switch {
	case ok1 && ok2:
		order = cmp.Compare(h, w)
	case rank(have) > 0 && rank(want) > 0 && rank(have)/10 == rank(want)/10:
		order = cmp.Compare(rank(have), rank(want))
	default:
		order = strings.Compare(have, want)
		ordered = isDate(have) && isDate(want)
	}
	switch op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	}
	if !ordered {
		x.err = fmt.Errorf("%s and %s have no order: only \"eq\" and \"ne\" compare them", quote(have), quote(want))
		return false
	}
	switch op {
	case "gte":
		return order >= 0
	case "gt":
		return order > 0
	case "lte":
		return order <= 0
	}
	return order < 0
}

// rank orders the words of "level" (1 to 5) and of "status" (11 to 15).
func rank(word string) int {
	levels := [...]string{"informational", "low", "medium", "high", "critical"}
	states := [...]string{"unsupported", "deprecated", "experimental", "test", "stable"}
	word = strings.ToLower(word)
	if i := slices.Index(levels[:], word); i >= 0 {
		return i + 1
	}
	if i := slices.Index(states[:], word); i >= 0 {
		return i + 11
	}
	return 0
}

// isDate reports whether s has the form 2006-01-02.
func isDate(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && isDigits(s[:4]) && isDigits(s[5:7]) && isDigits(s[8:])
}

// sameValue reports whether two scalars are the same text, number or boolean.
func sameValue(a, b *yaml.Node) bool {
	kind := func(n *yaml.Node) string {
		if tag := n.ShortTag(); tag != "!!float" {
			return tag
		}
		return "!!int"
	}
	if a.Kind != yaml.ScalarNode || b.Kind != yaml.ScalarNode || kind(a) != kind(b) {
		return false
	}
	if kind(a) == "!!int" {
		x, ok1 := yamlNumber(a)
		y, ok2 := yamlNumber(b)
		return ok1 && ok2 && x == y
	}
	return a.Value == b.Value
}

func (x *work) anyItem(f func(*item) bool) bool {
	found := false
	for _, b := range x.tree.selections {
		b.twig.items(func(it *item) { found = found || f(it) })
	}
	return found
}
