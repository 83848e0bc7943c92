package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/sigma"
)

// A difference is one rule on one event, about which two engines disagree.
type difference struct {
	rule  int
	event int
	ours  bool
	class string // why
	proof string // the smallest part of the rule that shows it, and what it saw
}

// comparison is two engines over the same events.
type comparison struct {
	events      int
	both        int // matches of both
	onlyOurs    int
	onlyTheirs  int
	equalRules  int // rules that matched something in either, always the same
	unequal     int
	misjudged   []string // matches of our plan that plain evaluation contradicts: a bug of ours
	differences []difference
}

// compare runs all rules over the events in both engines. Every disagreement is
// judged by Catena's plain evaluation, which shares no plan with its matcher, and
// is traced to the smallest part of the rule that still shows it.
func compare(ev *evidence, p *pack, l *loaded, events []*flatEvent) *comparison {
	c := &comparison{events: len(events)}
	m := p.engine.NewMatcher()
	hit, differ := make([]bool, len(p.rules)), make([]bool, len(p.rules))
	for at, e := range events {
		mine := m.Match(e.from)
		for _, i := range e.rules {
			_, ours := slices.BinarySearch(mine, i)
			var theirs bool
			var err error
			if r := l.rules[i]; r != nil {
				theirs, err = r.match(e)
			}
			if !ours && !theirs {
				continue
			}
			hit[i] = true
			if ours == theirs {
				c.both++
				continue
			}
			differ[i] = true
			if ours {
				c.onlyOurs++
			} else {
				c.onlyTheirs++
			}
			fields := ev.fields(e.from)
			if held, _ := p.set.Explain(i, fields); held != ours {
				c.misjudged = append(c.misjudged, fmt.Sprintf("%s, event %d: plan %v, plain evaluation %v", p.rules[i].file, at, ours, held))
			}
			d := difference{rule: i, event: at, ours: ours}
			switch {
			case l.refused[i] != nil:
				d.class, d.proof = "it refuses the rule: "+classOfError(l.refused[i]), l.refused[i].Error()
			case err != nil:
				d.class, d.proof = "it gives up while matching: "+classOfError(err), err.Error()
			default:
				d.class, d.proof = trace(l.engine, p.rules[i].src, fields, e)
			}
			c.differences = append(c.differences, d)
		}
	}
	for i := range p.rules {
		switch {
		case differ[i]:
			c.unequal++
		case hit[i]:
			c.equalRules++
		}
	}
	return c
}

var (
	details = regexp.MustCompile(`"[^"]*"|'[^']*'|\b\d+:\d+\b|expand %.*%|selection key \S+`)
	where   = regexp.MustCompile(`^(error evaluating search|failed to extract and build branch for)[^:]*: `)
)

// classOfError is an error without what differs from rule to rule.
func classOfError(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return clip(details.ReplaceAllString(where.ReplaceAllString(s, ""), "…"), 90)
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// trace finds why two engines disagree about a rule on an event: the selection
// about which they do, in it the map, the field, the value.
func trace(e engine, src []byte, fields []sigma.Field, flat *flatEvent) (class, proof string) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return "! the rule is no YAML", err.Error()
	}
	detection := child(doc.Content[0], "detection")
	if detection == nil {
		return "! no detection", ""
	}
	for i := 0; i+1 < len(detection.Content); i += 2 {
		name, body := detection.Content[i].Value, detection.Content[i+1]
		if name == "condition" || name == "timeframe" {
			continue
		}
		if part, ours, ok := smallest(e, body, fields, flat); ok {
			return classify(e, part, ours, fields, flat)
		}
	}
	return "the condition: they agree about every selection alone", text(child(detection, "condition"))
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	b, err := yaml.Marshal(n)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// smallest narrows a selection down while the engines still disagree about it. ours
// is what Catena says of what is left.
func smallest(e engine, sel *yaml.Node, fields []sigma.Field, flat *flatEvent) (part *yaml.Node, ours, found bool) {
	ours = plain(sel, fields)
	if theirs, _ := holds(e, sel, flat); theirs == ours {
		return nil, false, false
	}
	for _, p := range parts(sel) {
		if p, ours, ok := smallest(e, p, fields, flat); ok {
			return p, ours, true
		}
	}
	return sel, ours, true
}

// parts are what a selection consists of: the members of a list, the fields of a
// map, the values of a field.
func parts(sel *yaml.Node) (out []*yaml.Node) {
	switch sel.Kind {
	case yaml.SequenceNode:
		for _, m := range sel.Content {
			if m.Kind == yaml.ScalarNode && len(sel.Content) > 1 {
				m = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{m}}
			}
			if m.Kind != yaml.ScalarNode {
				out = append(out, m)
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(sel.Content) && len(sel.Content) > 2; i += 2 {
			out = append(out, mapping(sel.Content[i], sel.Content[i+1]))
		}
		if len(sel.Content) == 2 && sel.Content[1].Kind == yaml.SequenceNode {
			key := *sel.Content[0]
			key.Value = strings.ReplaceAll(key.Value, "|all", "") // of one value it says nothing
			for _, v := range sel.Content[1].Content {
				out = append(out, mapping(&key, v))
			}
		}
	}
	return out
}

// mapping makes a map of keys and values in turn.
func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}

// plain is what Catena's plain evaluation says of a selection.
func plain(sel *yaml.Node, fields []sigma.Field) (held bool) {
	src, err := single(sel)
	if err != nil {
		return false
	}
	rs, err := sigma.Parse("part.yml", src)
	if err != nil {
		return false
	}
	set, err := sigma.Compile(rs)
	if err != nil {
		return false
	}
	held, _ = set.Explain(0, fields)
	return held
}

// holds is what another engine says of a selection.
func holds(e engine, sel *yaml.Node, flat *flatEvent) (bool, error) {
	src, err := single(sel)
	if err != nil {
		return false, err
	}
	r, err := e.load(src)
	if err != nil {
		return false, err
	}
	return r.match(flat)
}

// single is a rule of one selection.
func single(sel *yaml.Node) ([]byte, error) {
	word := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
	return yaml.Marshal(mapping(
		word("title"), word("part"),
		word("logsource"), mapping(word("product"), word("windows")),
		word("detection"), mapping(word("selection"), sel, word("condition"), word("selection"))))
}
