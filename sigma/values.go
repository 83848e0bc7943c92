package sigma

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// eachValue makes a change of one to every value of items. f returns false to
// keep a value; otherwise what stands in its place, which may be nothing.
func eachValue(f func(x *work, it *item, v *yaml.Node) ([]*yaml.Node, bool, error)) change {
	return eachItem(func(x *work, _ *step, it *item) (*twig, error) {
		var values []*yaml.Node
		changed := false
		for _, v := range it.values {
			out, ok, err := f(x, it, v)
			if err != nil {
				return nil, err
			}
			if !ok {
				out = []*yaml.Node{v}
			}
			if err := x.spend(len(out)); err != nil {
				return nil, err
			}
			changed = changed || ok
			values = append(values, out...)
		}
		if !changed {
			return nil, nil
		}
		if len(values) == 0 {
			return nil, fmt.Errorf("no value of the field %s is left", quote(it.field))
		}
		own := it.clone()
		own.values = values
		return &twig{item: own}, nil
	})
}

// eachText makes a change of one to every text.
func eachText(f func(text string) ([]string, bool)) change {
	return eachValue(func(_ *work, it *item, v *yaml.Node) ([]*yaml.Node, bool, error) {
		if !it.isText(v) {
			return nil, false, nil
		}
		texts, ok := f(v.Value)
		var out []*yaml.Node
		for _, t := range texts {
			out = append(out, textNode(t, v))
		}
		return out, ok, nil
	})
}

// valueChange reads a transformation of values.
func (a *args) valueChange(kind string) change {
	switch kind {
	case "replace_string":
		return a.replaceString()
	case "map_string":
		m := a.mapping("mapping")
		return eachText(m.get)
	case "set_value":
		return a.setValue()
	case "convert_type":
		target := a.needText("target_type")
		if target != "str" && target != "num" {
			a.fail(nil, "target_type", "%s is none of: str, num", quote(target))
		}
		return convertType(target == "num")
	case "case":
		method := a.oneOf("method", "lower", "upper", "snake_case")
		return eachText(func(s string) ([]string, bool) {
			switch method {
			case "lower":
				s = strings.ToLower(s)
			case "upper":
				s = strings.ToUpper(s)
			default:
				s = snakeCase(s)
			}
			return []string{s}, true
		})
	}
	return a.toRegex()
}

// replaceString replaces what an expression matches. The text it sees is that of
// the rule, wildcards and escapes included, unless they are to be left alone.
func (a *args) replaceString() change {
	re := a.regex("regex", false)
	replacement := pythonTemplate(a.needText("replacement"))
	skip, interpret := a.flag("skip_special"), a.flag("interpret_special")
	if interpret && !skip {
		a.fail(nil, "interpret_special", "only has a meaning with skip_special")
	}
	return eachValue(func(_ *work, it *item, v *yaml.Node) ([]*yaml.Node, bool, error) {
		number := v.ShortTag() == "!!int" || v.ShortTag() == "!!float"
		if !it.isText(v) && (!number || !it.isText(textNode("", v))) {
			return nil, false, nil
		}
		var text string
		if skip {
			text = replaceParts(parsePattern(v.Value), func(s string) string { return re.ReplaceAllString(s, replacement) }, interpret)
		} else {
			text = re.ReplaceAllString(v.Value, replacement)
		}
		if len(text) > MaxValueLen {
			return nil, false, fmt.Errorf("a value becomes longer than %d bytes", MaxValueLen)
		}
		if text == v.Value {
			return nil, false, nil
		}
		return []*yaml.Node{textNode(text, v)}, true, nil
	})
}

// replaceParts applies f to the text between the wildcards of a pattern, and
// renders the result. What f returns is taken literally unless interpreted.
func replaceParts(p pattern, f func(string) string, interpret bool) string {
	var out []byte
	for rest := string(p); rest != ""; {
		i := indexWildcard(rest)
		if i > 0 {
			s := strings.ToValidUTF8(f(rest[:i]), "")
			if interpret {
				s = string(parsePattern(s))
			}
			out = append(out, s...)
		}
		if i < len(rest) {
			out = append(out, rest[i])
			i++
		}
		rest = rest[i:]
	}
	return pattern(out).String()
}

// pythonTemplate turns \1 and \g<name> of Python's re.sub into Go's ${1} and ${name}.
func pythonTemplate(s string) string {
	s = strings.ReplaceAll(s, "$", "$$")
	s = regexp.MustCompile(`\\g<(\w+)>`).ReplaceAllString(s, "$${${1}}")
	s = regexp.MustCompile(`\\(\d{1,2})`).ReplaceAllString(s, "$${${1}}")
	return strings.ReplaceAll(s, `\\`, `\`)
}

func (a *args) setValue() change {
	v := a.d.get(a.n, "value")
	a.used = append(a.used, "value")
	if v == nil || v.Kind != yaml.ScalarNode {
		a.fail(v, "value", "must be text, a number, a boolean or null")
		return nil
	}
	set := *v
	set.Line = 0 // it stands in another file than the rule
	switch force := a.text("force_type", ""); {
	case force == "":
	case v.ShortTag() == "!!null" || v.ShortTag() == "!!bool":
		a.fail(v, "force_type", "is for text and numbers")
	case force == "str":
		set.Tag = "!!str"
	case force == "num":
		f, ok := yamlNumber(v)
		if !ok {
			a.fail(v, "value", "%s is no number", quote(v.Value))
		}
		set = *numberNode(f, v)
		set.Line = 0
	default:
		a.fail(nil, "force_type", "%s is none of: str, num", quote(force))
	}
	return eachItem(func(_ *work, _ *step, it *item) (*twig, error) {
		own := it.clone()
		own.values = []*yaml.Node{&set}
		return &twig{item: own}, nil
	})
}

func numberNode(f float64, at *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: string(appendFloat(nil, f)), Line: at.Line}
	if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
		n.Tag = "!!int"
	}
	return n
}

// convertType turns numbers into text, or text into numbers.
func convertType(num bool) change {
	return eachValue(func(_ *work, it *item, v *yaml.Node) ([]*yaml.Node, bool, error) {
		tag := v.ShortTag()
		switch {
		case !it.isText(textNode("", v)) || tag == "!!null":
			return nil, false, nil
		case !num:
			return []*yaml.Node{textNode(v.Value, v)}, tag != "!!str", nil
		}
		f, ok := yamlNumber(v)
		if !ok {
			return nil, false, fmt.Errorf("%s is no number", quote(v.Value))
		}
		return []*yaml.Node{numberNode(f, v)}, tag == "!!str", nil
	})
}

// snakeCase writes words that begin with a capital in lower case with "_" before.
func snakeCase(s string) string {
	var b strings.Builder
	var before rune
	for _, r := range s {
		if unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsDigit(before)) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return b.String()
}

// toRegex turns texts into regular expressions. Wildcards are over newlines too,
// as they are in a rule.
func (a *args) toRegex() change {
	method := a.oneOf("method", "ignore_case_brackets", "ignore_case_flag", "plain")
	return eachItem(func(_ *work, _ *step, it *item) (*twig, error) {
		for _, v := range it.values {
			if !it.isText(v) || v.Value == "" {
				return nil, nil // the modifier is that of all values
			}
		}
		own := it.clone()
		for _, m := range it.mods {
			if m != "all" && m != "neq" {
				return nil, nil
			}
		}
		own.mods = append(own.mods, "re", "s")
		if method != "plain" { // brackets of both cases mean the same
			own.mods = append(own.mods, "i")
		}
		for i, v := range it.values {
			own.values[i] = textNode(`\A`+globExpression(parsePattern(v.Value))+`\z`, v)
		}
		return &twig{item: own}, nil
	})
}

// globExpression returns the regular expression of a pattern.
func globExpression(p pattern) string {
	var b strings.Builder
	for rest := string(p); rest != ""; {
		i := indexWildcard(rest)
		b.WriteString(regexp.QuoteMeta(rest[:i]))
		if i < len(rest) {
			b.WriteByte('.')
			if rest[i] == star {
				b.WriteByte('*')
			}
			i++
		}
		rest = rest[i:]
	}
	return b.String()
}

// placeholders fills %names% in that stand under "expand": with the values of
// variables, or with a wildcard.
func (a *args) placeholders(kind string) change {
	var include, exclude []string
	if v := a.get("include"); v != nil {
		include = a.list(v, "include")
	}
	if v := a.get("exclude"); v != nil {
		exclude = a.list(v, "exclude")
	}
	if include != nil && exclude != nil {
		a.fail(nil, "include", "and exclude cannot both be given")
	}
	handles := func(name string) bool {
		return (include == nil || slices.Contains(include, name)) && !slices.Contains(exclude, name)
	}
	lookUp := func(x *work, name string) ([]string, error) {
		if kind == "wildcard_placeholders" {
			return []string{"*"}, nil
		}
		values, ok := x.p.vars[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("there is no variable %s for the placeholder", quote(name))
		case len(values) == 0:
			return nil, fmt.Errorf("the variable %s has no values", quote(name))
		}
		return values, nil
	}
	return eachItem(func(x *work, _ *step, it *item) (*twig, error) {
		if !it.has("expand") {
			return nil, nil
		}
		own := it.clone()
		own.values = nil
		open, filled := false, false // a placeholder is left, one was filled in
		for _, v := range it.values {
			if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str" {
				own.values = append(own.values, v)
				continue
			}
			texts := []string{""}
			for rest := v.Value; rest != ""; {
				text, name, after, ok := cutPlaceholder(rest)
				rest = after
				values := []string{""}
				if ok && handles(name) {
					var err error
					if values, err = lookUp(x, name); err != nil {
						return nil, err
					}
					filled = true
				} else if ok {
					open = true
					text += "%" + name + "%"
				}
				if err := x.spend(len(texts) * len(values)); err != nil {
					return nil, err
				}
				var next []string
				for _, head := range texts {
					for _, value := range values {
						if it.has("re") {
							value = globExpression(parsePattern(value))
						}
						s, err := appendValue(head+text, value)
						if err != nil {
							return nil, err
						}
						next = append(next, s)
					}
				}
				texts = next
			}
			for _, s := range texts {
				own.values = append(own.values, textNode(s, v))
			}
		}
		if !filled {
			return nil, nil
		}
		if it.has("all") && len(own.values) > len(it.values) {
			return nil, errors.New("a placeholder of several values stands under \"all\", where each would have to hold")
		}
		if !open {
			own.mods = slices.DeleteFunc(own.mods, func(m string) bool { return m == "expand" })
		}
		return &twig{item: own}, nil
	})
}

// appendValue joins texts of a rule so that a backslash at the end of the one
// does not escape a wildcard at the start of the other.
func appendValue(head, value string) (string, error) {
	if len(head)+len(value) > MaxValueLen {
		return "", fmt.Errorf("a value becomes longer than %d bytes", MaxValueLen)
	}
	if value != "" && strings.IndexByte(`*?\`, value[0]) >= 0 {
		slashes := len(head) - len(strings.TrimRight(head, `\`))
		if slashes%2 == 1 {
			head += `\`
		}
	}
	return head + value, nil
}

// hashes splits a field of hashes ("MD5=..., SHA1=...") into one field for each
// algorithm, any of which will do.
func (a *args) hashes() change {
	algorithms := a.list(a.need("valid_hash_algos"), "valid_hash_algos")
	prefix, dropName := a.text("field_prefix", ""), a.flag("drop_algo_prefix")
	byLength := func(n int) string {
		switch n {
		case 32:
			return "MD5"
		case 40:
			return "SHA1"
		case 64:
			return "SHA256"
		case 128:
			return "SHA512"
		}
		return ""
	}
	return eachItem(func(x *work, _ *step, it *item) (*twig, error) {
		if it.has("all") || it.has("neq") {
			return nil, errors.New("hashes under \"all\" or \"neq\" cannot be split into fields of which any will do")
		}
		out := &twig{any: true}
		for _, v := range it.values {
			if !it.isText(v) {
				return nil, nil
			}
			text := strings.Trim(v.Value, "*")
			name, hash, ok := strings.Cut(text, "=")
			if !ok {
				name, hash, ok = strings.Cut(text, "|")
			}
			if !ok {
				name, hash = byLength(len(text)), text
			}
			if name = strings.ToUpper(name); !slices.Contains(algorithms, name) {
				return nil, fmt.Errorf("%s is no hash of: %s", quote(v.Value), strings.Join(algorithms, ", "))
			}
			field := prefix + name
			if dropName {
				field = prefix
			}
			i := slices.IndexFunc(out.kids, func(k *twig) bool { return k.item.field == field })
			if i < 0 {
				own := it.clone()
				own.field, own.values = field, nil
				i = len(out.kids)
				out.kids = append(out.kids, &twig{item: own})
			}
			kid := out.kids[i].item
			kid.values = append(kid.values, textNode(hash, v))
		}
		return out, nil
	})
}
