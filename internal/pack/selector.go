package pack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/sigma"
)

// A Selector names what is to be switched off: one kind of property and its value.
type Selector struct {
	Key   string // one of selectorKeys
	Value string
}

// selectorKeys are the properties by which rules can be switched off.
var selectorKeys = [...]string{"rule", "tag", "level", "product", "category", "service", "pack"}

// levels are Sigma's.
var levels = [...]string{"informational", "low", "medium", "high", "critical"}

// defaultLevel is that of a rule that names none.
const defaultLevel = "medium"

// ParseSelector reads "key=value":
//
//	rule=ID         the rule with that id, name or title
//	tag=TAG         rules with that tag, technique or tactic; a technique takes its sub-techniques in
//	level=LEVEL     rules of that level
//	product=NAME    rules of that log source; category= and service= alike
//	pack=NAME       all rules of that pack
func ParseSelector(s string) (Selector, error) {
	key, value, ok := strings.Cut(s, "=")
	key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
	switch {
	case !ok || value == "" || !slices.Contains(selectorKeys[:], key):
		return Selector{}, fmt.Errorf("%q: want one of %s=VALUE", clip(s), strings.Join(selectorKeys[:], "=, "))
	case key == "level" && !slices.Contains(levels[:], strings.ToLower(value)):
		return Selector{}, fmt.Errorf("%q: want level=%s", clip(s), strings.Join(levels[:], ", "))
	}
	return Selector{key, value}, nil
}

// String returns the selector as it is written.
func (s Selector) String() string { return s.Key + "=" + s.Value }

// A Subject is what a selector can mean: a rule, or a detector that is none.
type Subject struct {
	ID, Name, Title, Level string
	Tags                   []string
	Sources                []sigma.LogSource // that it looks at
	Pack                   string            // name; empty for a detector
	Filter                 bool              // it takes matches away instead of making them
}

// Covers reports whether the selector means x. A rule over several log sources is
// of a product only if all of them are. A filter goes by its id and its pack only:
// without it rules would match more, which nobody who switches off a level wants.
func (s Selector) Covers(x *Subject) bool {
	switch s.Key {
	case "rule":
		return strings.EqualFold(x.ID, s.Value) && x.ID != "" || x.Name == s.Value && x.Name != "" || x.Title == s.Value
	case "pack":
		return x.Pack != "" && x.Pack == s.Value
	}
	if x.Filter {
		return false
	}
	switch s.Key {
	case "level":
		if x.Level == "" {
			return strings.EqualFold(defaultLevel, s.Value)
		}
		return strings.EqualFold(x.Level, s.Value)
	case "tag":
		return tagged(x.Tags, s.Value)
	}
	return len(x.Sources) > 0 && !slices.ContainsFunc(x.Sources, func(src sigma.LogSource) bool {
		src = src.Fold()
		have := map[string]string{"product": src.Product, "category": src.Category, "service": src.Service}[s.Key]
		return !strings.EqualFold(have, s.Value)
	})
}

// tagged reports whether tags, as written or as ATT&CK calls them today, have a
// word, or one below it.
func tagged(tags []string, word string) bool {
	plain := func(tag string) string { return strings.TrimPrefix(strings.ToLower(tag), "attack.") }
	word = plain(word)
	techniques, tactics := knowledge.FromTags(tags)
	return slices.ContainsFunc(slices.Concat(tags, techniques, tactics), func(tag string) bool {
		tag = plain(tag)
		return tag == word || strings.HasPrefix(tag, word+".")
	})
}
