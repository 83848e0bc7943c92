package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Filter narrows other rules without touching their files: what it describes
// no longer matches them.
type Filter struct {
	Rules []string // ids or names; empty: every rule that the filter's log source covers
}

// filter reads a filter's selections and condition.
func (d *document) filter(n *yaml.Node) error {
	if err := d.selections(n, "filter", "rules", "condition"); err != nil {
		return err
	}
	if len(d.rule.selections) == 0 {
		return d.fail(n, "filter", "the filter has no selection")
	}
	d.rule.Filter = &Filter{}
	rules := d.get(n, "rules")
	switch {
	case rules == nil || rules.ShortTag() == "!!null":
		return d.fail(n, "filter.rules", "the filter does not say which rules it is for: their ids or names, or \"any\"")
	case rules.Kind == yaml.ScalarNode && (strings.EqualFold(rules.Value, "any") || strings.EqualFold(rules.Value, "all")):
	default:
		refs, err := d.references(rules, "filter.rules")
		if err != nil {
			return err
		}
		d.rule.Filter.Rules = refs
	}
	cond := d.get(n, "condition")
	if cond == nil || cond.Kind != yaml.ScalarNode {
		return d.fail(n, "filter.condition", "the filter needs one condition")
	}
	if err := d.conditions([]*yaml.Node{cond}); err != nil {
		return err
	}
	return d.keep(cond)
}

// keep turns the condition of a filter into what it keeps.
//
// The specification's example says what to leave out ("selection"), pySigma says
// what to keep ("not selection"). Both mean the same here, as a filter is there
// to leave something out: a condition that only affirms says what to drop, one
// that only denies what to keep. A mixture is refused instead of guessed at.
func (d *document) keep(cond *yaml.Node) error {
	switch e := d.rule.cond; {
	case affirms(e):
		d.rule.cond = &expr{op: exprNot, kids: []*expr{e}}
	case !denies(e):
		return d.fail(cond, "filter.condition", "it is not clear whether this says what to keep or what to leave out: write \"not (...)\" around all that is to be left out")
	}
	return nil
}

// affirms reports whether no selection is negated.
func affirms(e *expr) bool {
	return e.name != "" || e.op != exprNot && !slices.ContainsFunc(e.kids, func(k *expr) bool { return !affirms(k) })
}

// denies reports whether every part of e is a negation.
func denies(e *expr) bool {
	switch {
	case e.name != "":
		return false
	case e.op == exprNot:
		return true
	}
	return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !denies(k) })
}

// references reads a list of ids or names of rules; a single one is a list of one.
func (d *document) references(n *yaml.Node, where string) ([]string, error) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []string
	for _, el := range nodes {
		el = d.follow(el)
		switch {
		case el.Kind != yaml.ScalarNode || el.ShortTag() == "!!null" || el.Value == "":
			return nil, d.fail(el, where, "a reference must be the id or name of a rule")
		case slices.Contains(out, el.Value):
			return nil, d.fail(el, where, "%s stands twice in the list", quote(el.Value))
		}
		out = append(out, el.Value)
	}
	return out, nil
}
