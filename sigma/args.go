package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// args reads the parameters of a step or condition of a pipeline. The first
// mistake stays; end also finds parameters that nobody asked for.
type args struct {
	d     *document
	n     *yaml.Node // map
	where string
	used  []string
	err   error
}

func (a *args) fail(n *yaml.Node, key, format string, v ...any) {
	if a.err == nil {
		at := a.where
		if key != "" {
			at += "." + clip(key)
		}
		if n == nil {
			n = a.n
		}
		a.err = a.d.fail(n, at, format, v...)
	}
}

func (a *args) end() error {
	for i := 0; i+1 < len(a.n.Content); i += 2 {
		if key := a.d.follow(a.n.Content[i]); !slices.Contains(a.used, key.Value) {
			a.fail(key, key.Value, "is not known here")
		}
	}
	return a.err
}

// get returns a parameter, nil if absent or null.
func (a *args) get(key string) *yaml.Node {
	a.used = append(a.used, key)
	v := a.d.get(a.n, key)
	if v != nil && v.ShortTag() == "!!null" {
		return nil
	}
	return v
}

// need returns a parameter that must be there. It never returns nil.
func (a *args) need(key string) *yaml.Node {
	v := a.get(key)
	if v == nil {
		a.fail(nil, key, "is missing")
		v = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	}
	return v
}

func (a *args) scalar(v *yaml.Node, key string) string {
	if v.Kind != yaml.ScalarNode {
		a.fail(v, key, "must be text or a number")
	}
	return v.Value
}

func (a *args) text(key, otherwise string) string {
	v := a.get(key)
	if v == nil {
		return otherwise
	}
	return a.scalar(v, key)
}

func (a *args) needText(key string) string { return a.scalar(a.need(key), key) }

// oneOf returns a text out of a few; the first is what it is if absent.
func (a *args) oneOf(key string, words ...string) string {
	v := a.text(key, words[0])
	if !slices.Contains(words, v) {
		a.fail(a.get(key), key, "%s is none of: %s", quote(v), strings.Join(words, ", "))
	}
	return v
}

func (a *args) flag(key string) bool {
	v := a.get(key)
	if v == nil {
		return false
	}
	switch strings.ToLower(v.Value) {
	case "true":
		return true
	case "false":
	default:
		a.fail(v, key, "takes true or false")
	}
	return false
}

// list returns a text or list of texts.
func (a *args) list(v *yaml.Node, key string) []string {
	if v.Kind != yaml.SequenceNode {
		return []string{a.scalar(v, key)}
	}
	out := []string{}
	for _, el := range v.Content {
		out = append(out, a.scalar(a.d.follow(el), key))
	}
	return out
}

// mapping is a map of texts to texts or lists of them, in the order written.
type mapping struct {
	keys   []string
	values [][]string
	index  map[string]int
	none   []string // of the key null
}

func (m *mapping) get(key string) ([]string, bool) {
	i, ok := m.index[key]
	if !ok {
		return nil, false
	}
	return m.values[i], true
}

func (a *args) mapping(key string) *mapping {
	n := a.need(key)
	m := &mapping{index: map[string]int{}}
	if n.Kind != yaml.MappingNode {
		a.fail(n, key, "must be a map")
		return m
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := a.d.follow(n.Content[i])
		values := a.list(a.d.follow(n.Content[i+1]), key+"."+k.Value)
		if k.ShortTag() == "!!null" {
			m.none = values
			continue
		}
		m.index[k.Value] = len(m.keys)
		m.keys, m.values = append(m.keys, k.Value), append(m.values, values)
	}
	return m
}

// regex compiles an expression, of which every match must begin where the text
// does if anchored.
func (a *args) regex(key string, anchored bool) *regexp.Regexp {
	v := a.need(key)
	return a.compile(v, key, a.scalar(v, key), anchored)
}

func (a *args) compile(at *yaml.Node, key, src string, anchored bool) *regexp.Regexp {
	if anchored {
		src = `\A(?:` + src + `)`
	}
	re, err := compileRegex(src, "")
	if err != nil {
		a.fail(at, key, "%s", err)
		return regexp.MustCompile("")
	}
	return re
}

// subject is what a check is about: a rule if neither is set.
type subject struct {
	item  *item
	field *string // nil of an item: a keyword
}

// check says whether a step applies.
type check func(x *work, s subject) bool

func always(*work, subject) bool { return true }

// checks reads the conditions of a kind ("rule", "detection_item" or
// "field_name") and how they are joined.
func (a *args) checks(kind string, parse func(a *args, typ string) check) check {
	conds := a.get(kind + "_conditions")
	expression := a.get(kind + "_cond_expr")
	linking := a.get(kind + "_cond_op")
	or := a.oneOf(kind+"_cond_op", "and", "or") == "or"
	not := a.flag(kind + "_cond_not")
	if conds == nil || conds.Kind != yaml.ScalarNode && len(conds.Content) == 0 {
		if expression != nil || not {
			a.fail(nil, kind+"_conditions", "there are none to join or to negate")
		}
		return always
	}
	var leaves []*expr
	var list []check
	add := func(name string, n *yaml.Node) {
		where := a.where + "." + kind + "_conditions." + clip(name)
		if n = a.d.follow(n); n.Kind != yaml.MappingNode {
			a.fail(n, kind+"_conditions", "a condition must be a map")
			return
		}
		sub := &args{d: a.d, n: n, where: where}
		c := parse(sub, sub.needText("type"))
		if err := sub.end(); err != nil && a.err == nil {
			a.err = err
		}
		leaves = append(leaves, &expr{op: exprTest, n: len(list), name: name})
		list = append(list, c)
	}
	switch {
	case conds.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(conds.Content); i += 2 {
			add(a.d.follow(conds.Content[i]).Value, conds.Content[i+1])
		}
	case conds.Kind == yaml.SequenceNode && expression == nil:
		for i, n := range conds.Content {
			add(fmt.Sprint(i+1), n)
		}
	default:
		a.fail(conds, kind+"_conditions", "must be a list, or a map of names if there is an expression")
		return always
	}
	op := exprAnd
	if or {
		op = exprOr
	}
	e := &expr{op: op, kids: leaves}
	if expression != nil {
		if linking != nil {
			a.fail(expression, kind+"_cond_expr", "excludes %s_cond_op", kind)
		}
		var err error
		if e, err = parseCondition(a.scalar(expression, kind+"_cond_expr"), leaves); err != nil {
			a.fail(expression, kind+"_cond_expr", "%s", err)
			return always
		}
		for _, tok := range lexCondition(expression.Value) {
			if strings.EqualFold(tok, "of") {
				a.fail(expression, kind+"_cond_expr", "\"of\" has no meaning here")
			}
		}
		for _, l := range leaves {
			if !e.mentions(l) {
				a.fail(expression, kind+"_cond_expr", "the condition %s is not used", quote(l.name))
			}
		}
	}
	return func(x *work, s subject) bool {
		return e.present(func(i int) bool { return list[i](x, s) }) != not
	}
}

// mentions reports whether a part stands anywhere in e.
func (e *expr) mentions(part *expr) bool {
	return e == part || slices.ContainsFunc(e.kids, func(k *expr) bool { return k.mentions(part) })
}
