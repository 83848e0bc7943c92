package main

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/sigma"
)

// unknown marks a difference that nothing below explains: somebody should look.
const unknown = "! unexplained"

var (
	wildcard = regexp.MustCompile(`(^|[^\\])(\\\\)*[*?]`)
	blanks   = regexp.MustCompile(`\s`)
	escape   = regexp.MustCompile(`\\[\\*?]`)
)

// classify names what is special about the part of a rule that two engines judge
// differently: in the order in which it explains most. part is what smallest
// found.
func classify(e engine, part *yaml.Node, ours bool, fields []sigma.Field, flat *flatEvent) (class, proof string) {
	proof = strings.ReplaceAll(text(part), "\n", " ⏎ ")
	if _, err := holds(e, part, flat); err != nil {
		return "it gives up: " + classOfError(err), proof
	}
	if part.Kind != yaml.MappingNode {
		return "keywords", proof
	}
	if len(part.Content) > 2 {
		return "a map of fields about each of which they agree", proof
	}
	key, value := part.Content[0].Value, part.Content[1]
	name, mods, _ := strings.Cut(key, "|")
	var seen []string
	null := false
	for _, f := range fields {
		if f.Name == name {
			seen = append(seen, f.Text)
			null = null || f.Kind == sigma.Null
		}
	}
	proof = fmt.Sprintf("%s; event: %s", proof, clip(fmt.Sprintf("%q", seen), 200))
	has := func(mod string) bool {
		for m := range strings.SplitSeq(mods, "|") {
			if m == mod {
				return true
			}
		}
		return false
	}
	if value.Kind != yaml.ScalarNode {
		return "values about each of which they agree", proof
	}
	// as is told whether the difference goes away if text is changed, in the rule and
	// in the event.
	as := func(change func(string) string) bool {
		v := *value
		v.Value = change(v.Value)
		other := &flatEvent{fields: map[string]any{name: change(seen[0])}, texts: []string{change(seen[0])}}
		theirs, err := holds(e, mapping(part.Content[0], &v), other)
		return err == nil && theirs == ours
	}
	switch {
	case value.ShortTag() == "!!null":
		return "null", proof
	case has("re"):
		return "regular expressions", proof
	case has("cidr"):
		return "cidr", proof
	case len(seen) == 0:
		return "a field that is missing", proof
	case null:
		return "a field that is null", proof
	case len(seen) > 1:
		return "a field of several values", proof
	case mods == "" && len(value.Value) > 1 && strings.HasPrefix(value.Value, "/") && strings.HasSuffix(value.Value, "/"):
		return "a value between slashes, taken for a regular expression", proof
	case as(strings.ToLower):
		return "letter case", proof
	case as(func(s string) string { return blanks.ReplaceAllString(s, "_") }):
		return "runs of blanks", proof
	case wildcard.MatchString(value.Value):
		return "wildcards" + under(mods), proof
	case escape.MatchString(value.Value):
		return "escapes" + under(mods), proof
	case value.ShortTag() == "!!int" || value.ShortTag() == "!!float":
		return "numbers" + under(mods), proof
	case value.ShortTag() == "!!bool":
		return "booleans", proof
	case value.Value == "":
		return "empty text" + under(mods), proof
	}
	return unknown, proof
}

func under(mods string) string {
	if mods == "" {
		return " in a plain value"
	}
	return " under " + mods
}
