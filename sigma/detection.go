package sigma

import (
	"encoding/base64"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// maxVariants bounds the patterns that one value may expand to.
const maxVariants = 5 * 5 * 5 * 5 * 3

// selection builds what one entry of a detection says: a map means all of its
// fields, a list any of its elements, a bare value a keyword.
func (d *document) selection(n *yaml.Node, where string) (*expr, error) {
	n = d.follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		return d.fields(n, where)
	case yaml.SequenceNode:
		var kids []*expr
		for _, el := range n.Content {
			el = d.follow(el)
			if el.Kind == yaml.SequenceNode {
				return nil, d.fail(el, where, "a list directly inside a list has no meaning")
			}
			k, err := d.selection(el, where)
			if err != nil {
				return nil, err
			}
			kids = append(kids, k)
		}
		if len(kids) == 0 {
			return nil, d.fail(n, where, "the list is empty")
		}
		return combine(exprOr, kids), nil
	}
	return d.item("", n, n, where)
}

// fields builds a map of field tests, all of which must hold.
func (d *document) fields(n *yaml.Node, where string) (*expr, error) {
	var kids []*expr
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := d.follow(n.Content[i])
		at := where + "." + clip(key.Value)
		k, err := d.item(key.Value, key, n.Content[i+1], at)
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
	}
	if len(kids) == 0 {
		return nil, d.fail(n, where, "the map is empty")
	}
	return combine(exprAnd, kids), nil
}

// mods are the modifiers of one detection item.
type mods struct {
	field                                          string
	all, cased, neq, re, cidr, exists, ref, expand bool
	flags                                          string   // of re: a subset of "ims"
	cmp                                            cmpOp    // with compared
	compared                                       bool     // gt, gte, lt, lte
	part                                           timePart // minute to year
	chain                                          []string // what transforms the text, in the order written
	opens                                          bool     // contains, startswith or endswith is in chain
}

// parseMods reads "Field|modifier|modifier".
func parseMods(key string) (mods, string) {
	parts := strings.Split(key, "|")
	m := mods{field: parts[0]}
	kinds := 0
	for i, raw := range parts[1:] {
		switch name := strings.ToLower(raw); name {
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "neq":
			m.neq = true
		case "re":
			m.re, kinds = true, kinds+1
		case "i", "m", "s", "ignorecase", "multiline", "dotall":
			if !m.re {
				return m, "modifier " + quote(raw) + " only follows \"re\""
			}
			flag := map[string]string{"ignorecase": "i", "multiline": "m", "dotall": "s"}[name]
			if flag == "" {
				flag = name
			}
			if !strings.Contains(m.flags, flag) {
				m.flags += flag
			}
		case "cidr":
			m.cidr, kinds = true, kinds+1
		case "exists":
			m.exists, kinds = true, kinds+1
		case "fieldref":
			m.ref, kinds = true, kinds+1
		case "expand":
			m.expand = true
		case "gt", "gte", "lt", "lte":
			m.cmp = map[string]cmpOp{"gt": cmpGT, "gte": cmpGE, "lt": cmpLT, "lte": cmpLE}[name]
			m.compared, kinds = true, kinds+1
		case "minute", "hour", "day", "week", "month", "year":
			if m.part != partNone {
				return m, "two modifiers name a part of a time"
			}
			m.part = timePart(slices.Index(partNames[:], name))
		case "contains", "startswith", "endswith":
			m.opens = true
			m.chain = append(m.chain, name)
		case "windash", "base64", "base64offset", "utf16", "utf16le", "utf16be", "wide":
			m.chain = append(m.chain, name)
		case "":
			return m, "an empty modifier"
		default:
			return m, "unknown modifier " + quote(raw)
		}
		if i > 16 {
			return m, "too many modifiers"
		}
	}
	switch {
	case kinds > 1:
		return m, "modifiers exclude each other"
	case (m.cidr || m.exists || m.compared || m.part != partNone) && (len(m.chain) > 0 || m.cased || m.expand):
		return m, "modifiers that transform text do not go with one that does not compare text"
	case (m.re || m.ref) && slices.ContainsFunc(m.chain, func(s string) bool { return s != "contains" && s != "startswith" && s != "endswith" }):
		return m, "an encoding modifier does not go with \"re\" or \"fieldref\""
	case m.part != partNone && kinds == 1 && !m.compared:
		return m, "modifiers exclude each other"
	case m.field == "" && (m.cidr || m.exists || m.ref || m.compared || m.part != partNone):
		return m, "this modifier needs a field name before it"
	}
	return m, ""
}

// item builds one "Field|modifiers: value or values".
func (d *document) item(key string, keyNode, n *yaml.Node, where string) (*expr, error) {
	m, bad := parseMods(key)
	if bad != "" {
		return nil, d.fail(keyNode, where, "%s", bad)
	}
	n = d.follow(n)
	values := []*yaml.Node{n}
	switch n.Kind {
	case yaml.SequenceNode:
		values = n.Content
		if len(values) == 0 {
			return nil, d.fail(n, where, "the list of values is empty")
		}
		if m.exists {
			return nil, d.fail(n, where, "\"exists\" takes true or false")
		}
	case yaml.MappingNode:
		return nil, d.fail(n, where, "a map is no value of a field")
	}
	var kids []*expr
	for _, v := range values {
		v = d.follow(v)
		if v.Kind != yaml.ScalarNode {
			return nil, d.fail(v, where, "a value must be text, a number, a boolean or null")
		}
		if len(v.Value) > MaxValueLen {
			return nil, d.fail(v, where, "value is longer than %d bytes", MaxValueLen)
		}
		k, err := d.value(m, v, where)
		if err != nil {
			return nil, err
		}
		kids = append(kids, k)
	}
	op := exprOr
	if m.all {
		op = exprAnd
	}
	e := combine(op, kids)
	if m.neq {
		e = &expr{op: exprNot, kids: []*expr{e}}
	}
	return e, nil
}

func leaf(t test) *expr { return &expr{op: exprTest, test: &t} }

// value builds the test of one value.
func (d *document) value(m mods, v *yaml.Node, where string) (*expr, error) {
	tag := v.ShortTag()
	number := tag == "!!int" || tag == "!!float"
	switch {
	case tag == "!!binary":
		return nil, d.fail(v, where, "binary values have no meaning in a rule")
	case m.exists:
		return d.existsValue(m, v, where)
	case tag == "!!null":
		if m.field == "" || m.re || m.cidr || m.ref || m.compared || m.part != partNone || len(m.chain) > 0 {
			return nil, d.fail(v, where, "null can only be compared with a field as a whole")
		}
		return leaf(test{op: testNull, field: m.field}), nil
	case m.compared || m.part != partNone:
		f, ok := yamlNumber(v)
		if !ok {
			return nil, d.fail(v, where, "%s is no number", quote(v.Value))
		}
		return leaf(test{op: testCompare, field: m.field, cmp: m.cmp, part: m.part, num: f}), nil
	case m.cidr:
		return d.cidrValue(m, v, where)
	case m.ref:
		return d.refValue(m, v, where)
	}
	if m.expand && d.placeholders(v.Value) {
		return leaf(test{op: testExists, field: m.field}), nil // never evaluated: Compile refuses the rule
	}
	switch {
	case m.re:
		return d.regexValue(m, v, where)
	case number && m.field != "" && len(m.chain) == 0:
		f, ok := yamlNumber(v)
		if !ok {
			return nil, d.fail(v, where, "%s is no finite number", quote(v.Value))
		}
		text := string(appendFloat(nil, f))
		if i, ok := yamlInteger(v); ok {
			text = i
		}
		return leaf(test{op: testNumber, field: m.field, text: text}), nil
	}
	return d.textValue(m, v, where)
}

func (d *document) existsValue(m mods, v *yaml.Node, where string) (*expr, error) {
	e := leaf(test{op: testExists, field: m.field})
	switch strings.ToLower(v.Value) {
	case "true", "yes":
		return e, nil
	case "false", "no":
		return &expr{op: exprNot, kids: []*expr{e}}, nil
	}
	return nil, d.fail(v, where, "\"exists\" takes true or false")
}

func (d *document) cidrValue(m mods, v *yaml.Node, where string) (*expr, error) {
	p, err := netip.ParsePrefix(v.Value)
	if err != nil {
		return nil, d.fail(v, where, "%s is no network in CIDR notation", quote(v.Value))
	}
	return leaf(test{op: testCIDR, field: m.field, prefix: p.Masked()}), nil
}

func (d *document) refValue(m mods, v *yaml.Node, where string) (*expr, error) {
	if v.Value == "" {
		return nil, d.fail(v, where, "\"fieldref\" needs the name of a field")
	}
	t := test{op: testFieldRef, field: m.field, text: v.Value, cased: m.cased, shape: shapeExact}
	for _, c := range m.chain {
		t.shape = map[string]shape{"startswith": shapePrefix, "endswith": shapeSuffix, "contains": shapeContains}[c]
	}
	return leaf(t), nil
}

func (d *document) regexValue(m mods, v *yaml.Node, where string) (*expr, error) {
	src := v.Value
	for _, c := range m.chain {
		switch c { // "contains" is what a search does anyway
		case "startswith":
			src = `\A(?:` + src + `)`
		case "endswith":
			src = `(?:` + src + `)\z`
		}
	}
	re, err := compileRegex(src, m.flags)
	if err != nil {
		return nil, d.fail(v, where, "%s", err)
	}
	return leaf(test{op: testRegex, field: m.field, text: re.String(), re: &regex{Regexp: re}}), nil
}

// textValue runs the modifiers of a text in the order written. Each may turn one
// pattern into several, any of which will do.
func (d *document) textValue(m mods, v *yaml.Node, where string) (*expr, error) {
	pats := []pattern{parsePattern(v.Value)}
	wide := false // encoded as UTF-16: bytes that only Base64 may follow
	for _, c := range m.chain {
		if wide && c != "base64" && c != "base64offset" {
			return nil, d.fail(v, where, "a UTF-16 modifier must be followed by \"base64\" or \"base64offset\"")
		}
		var next []pattern
		for _, p := range pats {
			switch c {
			case "contains":
				next = append(next, p.openStart().openEnd())
			case "startswith":
				next = append(next, p.openEnd())
			case "endswith":
				next = append(next, p.openStart())
			case "windash":
				out := p.windash()
				if out == nil {
					return nil, d.fail(v, where, "more than %d option dashes in one value of \"windash\"", maxDashes)
				}
				next = append(next, out...)
			default:
				if !wide && !p.plain() {
					return nil, d.fail(v, where, "text with wildcards cannot be encoded")
				}
				next = append(next, encode(c, string(p))...)
			}
		}
		wide = c == "wide" || strings.HasPrefix(c, "utf16")
		if pats = next; len(pats) == 0 || len(pats) > maxVariants {
			return nil, d.fail(v, where, "the value has %d variants after its modifiers", len(pats))
		}
	}
	if wide {
		return nil, d.fail(v, where, "a UTF-16 modifier must be followed by \"base64\" or \"base64offset\"")
	}
	var kids []*expr
	for _, p := range pats {
		if m.field == "" && !m.opens {
			p = p.openStart().openEnd()
		}
		if !m.cased {
			p = pattern(fold(string(p)))
		}
		kids = append(kids, leaf(test{op: testPattern, field: m.field, pat: p, cased: m.cased}))
	}
	return combine(exprOr, kids), nil
}

// encode returns the encodings of s under a modifier.
func encode(modifier, s string) []pattern {
	switch modifier {
	case "base64":
		return []pattern{pattern(base64.StdEncoding.EncodeToString([]byte(s)))}
	case "base64offset":
		var out []pattern
		for _, v := range base64Offsets(s) {
			out = append(out, pattern(v))
		}
		return out
	}
	var out []byte
	if modifier == "utf16" {
		out = append(out, 0xff, 0xfe) // byte order mark
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if modifier == "utf16be" {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return []pattern{pattern(out)}
}

// placeholders notes the %names% of a text under "expand", and reports whether
// there are any.
func (d *document) placeholders(s string) bool {
	found := false
	for {
		_, name, rest, ok := cutPlaceholder(s)
		if !ok {
			return found
		}
		found = true
		if !slices.Contains(d.rule.Placeholders, name) {
			d.rule.Placeholders = append(d.rule.Placeholders, name)
		}
		s = rest
	}
}

// cutPlaceholder splits s at its first %name%.
func cutPlaceholder(s string) (before, name, after string, ok bool) {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '%')
		if i < 0 {
			return s, "", "", false
		}
		i += at
		end := strings.IndexByte(s[i+1:], '%')
		if end < 0 {
			return s, "", "", false
		}
		if name = s[i+1 : i+1+end]; isPlaceholder(name) {
			return s[:i], name, s[i+end+2:], true
		}
		at = i + 1
	}
}

// isPlaceholder reports whether text between percent signs names a placeholder.
func isPlaceholder(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsAny(name, ` \/`)
}

// yamlInteger returns a whole number's decimal digits.
func yamlInteger(v *yaml.Node) (string, bool) {
	var i int64
	if v.ShortTag() != "!!int" {
		return "", false
	}
	if v.Decode(&i) == nil {
		return strconv.FormatInt(i, 10), true
	}
	var u uint64
	if v.Decode(&u) == nil {
		return strconv.FormatUint(u, 10), true
	}
	return "", false
}

// yamlNumber returns the value of a node that is a number, or text that spells one.
func yamlNumber(v *yaml.Node) (float64, bool) {
	if i, ok := yamlInteger(v); ok {
		f, err := strconv.ParseFloat(i, 64)
		return f, err == nil
	}
	if v.ShortTag() == "!!str" {
		return parseNumber(v.Value)
	}
	var f float64
	if v.Decode(&f) != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	return f, true
}
