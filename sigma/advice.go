package sigma

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// An Advice is something about a rule that can be used which its author will want
// to know: it can hardly mean what it says, or says it in a roundabout way.
type Advice struct {
	File    string
	Line    int    // 1-based
	Column  int    // 1-based; 0 if it is about the document as a whole
	Where   string // the part, as in Error
	Code    string // names the kind of advice, such as "selection-unused"
	Problem string
	Fix     string // what to do, a sentence without its stop
}

// maxAdvice bounds the advice on one document.
const maxAdvice = 200

// Advise returns advice on a rule that Parse made, in the order of its lines. It
// looks at the rule as it is written, whatever pipelines made of it. docs/rules.md
// lists the codes.
func (r *Rule) Advise() []Advice {
	root, err := parseYAML(r.source)
	if err != nil || root == nil {
		return nil
	}
	d := &document{file: r.File, line: r.Line - root.Line}
	a := &adviser{d: d, root: d.follow(root), rule: r}
	a.metadata()
	if r.Correlation == nil {
		a.condition()
		a.detection()
	}
	slices.SortStableFunc(a.out, func(x, y Advice) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), cmp.Compare(x.Code, y.Code))
	})
	return a.out
}

// adviser collects advice on one document.
type adviser struct {
	d    *document
	root *yaml.Node
	rule *Rule
	out  []Advice
}

// add notes advice about a node, nil for the document.
func (a *adviser) add(n *yaml.Node, where, code, problem, fix string) {
	if len(a.out) >= maxAdvice {
		return
	}
	line, column := a.rule.Line, 0
	if n != nil && n.Line > 0 {
		line, column = a.d.line+n.Line, n.Column
	}
	a.out = append(a.out, Advice{a.rule.File, line, column, where, code, problem, fix})
}

// metadata looks at what stands around the detection.
func (a *adviser) metadata() {
	r := a.rule
	switch {
	case r.ID == "":
		a.add(nil, "id", "id-missing", "no id: nothing can refer to the rule, and its alerts change their ids when its title does", "give it a random UUID")
	case !isUUID(r.ID):
		a.add(a.d.get(a.root, "id"), "id", "id-format", "the id "+quote(r.ID)+" is no UUID", "give it a random UUID, and keep the old one under \"related\"")
	}
	if r.Level == "" && r.Filter == nil {
		a.add(nil, "level", "level-missing", "no level: the rule counts as medium", "say how bad a match is: informational, low, medium, high or critical")
	}
	switch strings.ToLower(r.Status) {
	case "stable", "test", "experimental":
	case "":
		if r.Filter == nil {
			a.add(nil, "status", "status-missing", "no status", "say how far to trust the rule: experimental, test or stable")
		}
	case "deprecated", "unsupported":
		a.add(a.d.get(a.root, "status"), "status", "status-retired", "the rule is "+strings.ToLower(r.Status)+" and still used", "leave it out of what you load")
	default:
		a.add(a.d.get(a.root, "status"), "status", "status-unknown", quote(r.Status)+" is no status", "use experimental, test, stable, deprecated or unsupported")
	}
	if len(r.Tags) == 0 && r.Filter == nil {
		a.add(nil, "tags", "tags-missing", "no tags: its alerts have no ATT&CK technique and no sure intent", "name the technique and tactic: attack.t1059.001, attack.execution")
	}
	if rank(r.Level) >= rank("high") && len(r.FalsePositives) == 0 && r.Correlation == nil && r.Filter == nil {
		a.add(nil, "falsepositives", "falsepositives-missing", "a rule of level "+r.Level+" that does not say what else it may match", "list what was seen or thought of, or \"Unlikely\"")
	}
	a.dates()
}

// dates looks at the dates of a rule, which the specification wants in ISO 8601.
func (a *adviser) dates() {
	var at [2]time.Time
	for i, key := range [...]string{"date", "modified"} {
		n := a.d.get(a.root, key)
		if n == nil || n.Kind != yaml.ScalarNode || n.Value == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, n.Value)
		if err != nil {
			a.add(n, key, "date-format", quote(n.Value)+" is no date of the form YYYY-MM-DD", "write it so, with dashes")
			continue
		}
		at[i] = t
	}
	if !at[0].IsZero() && !at[1].IsZero() && at[1].Before(at[0]) {
		a.add(a.d.get(a.root, "modified"), "modified", "date-order", "the rule was modified before its date", "correct one of the two")
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f' || s[i] >= 'A' && s[i] <= 'F'
		if dash && s[i] != '-' || !dash && !hex {
			return false
		}
	}
	return true
}

// body returns the map that holds selections and condition.
func (a *adviser) body() *yaml.Node {
	if a.rule.Filter != nil {
		return a.d.get(a.root, "filter")
	}
	return a.d.get(a.root, "detection")
}

// condition looks at how the condition uses the selections.
func (a *adviser) condition() {
	rule := Rule{File: a.rule.File, Line: a.rule.Line}
	if err := a.reread(&rule); err != nil {
		return
	}
	body := a.body()
	at := a.d.get(body, "condition")
	used, affirmed := map[string]bool{}, map[string]bool{}
	rule.cond.uses(used, affirmed, true)
	for _, s := range rule.selections {
		key := a.d.key(body, s.name)
		switch {
		case !used[s.name]:
			a.add(key, clip(s.name), "selection-unused", "the condition never uses the selection "+quote(s.name), "use it in the condition, or take it out")
		case affirmed[s.name] && isFilterName(s.name) && a.rule.Filter == nil && len(rule.selections) > 1:
			a.add(at, "condition", "filter-affirmed", "the selection "+quote(s.name)+" is named a filter and must hold", "write \"not 1 of filter*\", and \"selection*\" instead of \"them\" where all are meant")
		}
	}
	if a.rule.Filter == nil && rule.cond.matchEvent(nil) {
		a.add(at, "condition", "matches-anything", "an event without any field matches: the rule only says what must not be there", "add a selection that must hold")
	}
}

// reread parses the detection as it is written, as pipelines may have changed it.
func (a *adviser) reread(into *Rule) error {
	d := *a.d
	d.rule = into
	others := []string{"condition", "timeframe"}
	if a.rule.Filter != nil {
		others = []string{"rules", "condition"}
	}
	body := a.body()
	if err := d.selections(body, "detection", others...); err != nil {
		return err
	}
	cond := d.get(body, "condition")
	nodes := []*yaml.Node{cond}
	if cond.Kind == yaml.SequenceNode {
		nodes = cond.Content
	}
	return d.conditions(nodes)
}

// isFilterName reports whether a selection is called a filter, as the rules of
// SigmaHQ call what must not hold.
func isFilterName(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(name), "filter")
	return ok && (rest == "" || rest[0] == '_' || unicode.IsDigit(rune(rest[0])))
}

// uses notes which selections an expression names, and which of them so that they
// must hold.
func (e *expr) uses(used, affirmed map[string]bool, positive bool) {
	if e.name != "" {
		used[e.name] = true
		affirmed[e.name] = affirmed[e.name] || positive
		return
	}
	for _, k := range e.kids {
		k.uses(used, affirmed, positive != (e.op == exprNot))
	}
}

// detection looks at every item of every selection.
func (a *adviser) detection() {
	body := a.body()
	for i := 0; i+1 < len(body.Content); i += 2 {
		switch name := a.d.follow(body.Content[i]).Value; name {
		case "condition", "timeframe":
		case "rules":
			if a.rule.Filter == nil {
				a.selection(body.Content[i+1], clip(name))
			}
		default:
			a.selection(body.Content[i+1], clip(name))
		}
	}
}

func (a *adviser) selection(n *yaml.Node, where string) {
	n = a.d.follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := a.d.follow(n.Content[i])
			a.item(key, a.d.follow(n.Content[i+1]), where+"."+clip(key.Value))
		}
	case yaml.SequenceNode:
		for _, el := range n.Content {
			a.selection(el, where)
		}
	}
}

// item looks at one "Field|modifiers: values".
func (a *adviser) item(key, n *yaml.Node, where string) {
	m, bad := parseMods(key.Value)
	if bad != "" {
		return
	}
	values := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		values = nil
		for _, el := range n.Content {
			values = append(values, a.d.follow(el))
		}
	}
	a.modifiers(key, &m, values, where)
	a.repeated(&m, values, where)
	for _, v := range values {
		switch {
		case v.Kind != yaml.ScalarNode || v.ShortTag() == "!!null":
		case m.re:
			a.regex(v, &m, where)
		case m.cidr:
			a.cidr(v, len(values) == 1, where)
		case v.ShortTag() == "!!str" && !m.exists && !m.ref && !m.compared && m.part == partNone:
			a.value(v, &m, where)
		}
	}
}

// modifiers looks at modifiers together and against the values.
func (a *adviser) modifiers(key *yaml.Node, m *mods, values []*yaml.Node, where string) {
	opens := 0
	for _, c := range m.chain {
		if c == "contains" || c == "startswith" || c == "endswith" {
			opens++
		}
	}
	encoded := slices.Contains(m.chain, "base64") || slices.Contains(m.chain, "base64offset")
	differ := func() bool {
		for _, v := range values[1:] {
			if !foldEqual(v.Value, values[0].Value, m.cased) && parsePattern(v.Value).plain() && parsePattern(values[0].Value).plain() {
				return true
			}
		}
		return false
	}
	switch {
	case opens > 1:
		a.add(key, where, "modifiers-overlap", "\"contains\", \"startswith\" and \"endswith\" together mean \"contains\"", "keep the one that is meant")
	case m.all && len(values) == 1:
		a.add(key, where, "all-single", "\"all\" over a single value", "take \"all\" out, or write the values as a list")
	case m.all && m.field != "" && !m.opens && !m.re && !m.neq && !m.cidr && !m.compared && !m.ref && !m.exists && m.part == partNone && !m.expand && differ():
		a.add(key, where, "all-exact", "\"all\" wants one field to equal several different values", "use \"contains|all\", or leave \"all\" out for any of them")
	case encoded && !m.opens && m.field != "":
		a.add(key, where, "base64-whole", "the whole field must be this Base64 text", "add \"contains\" behind the encoding")
	}
}

// value looks at one text.
func (a *adviser) value(v *yaml.Node, m *mods, where string) {
	p := parsePattern(v.Value)
	s, text := p.shape()
	contains := slices.Contains(m.chain, "contains")
	starts, ends := slices.Contains(m.chain, "startswith"), slices.Contains(m.chain, "endswith")
	switch {
	case p == "" && m.opens:
		a.add(v, where, "value-empty", "every text contains the empty one", "use \"exists: true\" if any value will do")
		return
	case s == shapeAny && m.field != "":
		a.add(v, where, "value-any", quote(v.Value)+" is true of every value that is not null", "write \""+clip(m.field)+"|exists: true\" if any value will do")
		return
	case (contains && (p[0] == star || p[len(p)-1] == star)) || starts && p[len(p)-1] == star || ends && p[0] == star:
		a.add(v, where, "wildcard-repeated", "the wildcard says again what the modifier says", "take the outer \"*\" of "+quote(v.Value)+" out")
	case len(m.chain) == 0 && m.field != "" && s == shapeContains && len(text) > 0:
		a.add(v, where, "wildcard-plain", quote(v.Value)+" is \"contains\" written with wildcards", "write \""+clip(m.field)+"|contains: "+inner(v.Value)+"\"")
	}
	if slices.Contains(m.chain, "windash") && len(p.windash()) == 1 {
		a.add(v, where, "windash-useless", "\"windash\" over a value without an option's dash", "take \"windash\" out, or write the dash")
	}
	a.backslashes(v, m, where)
	if len(m.chain) == 0 && m.field != "" {
		if _, ok := parseCIDR(v.Value); ok {
			a.add(v, where, "cidr-text", quote(v.Value)+" is compared as text", "write \""+clip(m.field)+"|cidr\"")
		}
	}
}

// inner cuts the outer wildcards off a value.
func inner(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "*"), "*") }

// backslashes looks for escapes that are seldom meant.
func (a *adviser) backslashes(v *yaml.Node, m *mods, where string) {
	s := v.Value
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		switch next := s[i+1]; {
		case next == '\\':
			if i == 0 && !m.opens && len(s) > 2 && s[2] != '\\' && strings.Count(s, `\`) >= 3 && !strings.Contains(s[:min(len(s), 3)], "*") {
				a.add(v, where, "backslash-unc", quote(s)+" begins with one backslash, as the first escapes the second", `write four for a network path: \\\\server\share`)
			}
			i++
		case (next == '*' || next == '?') && pathBefore(s[:i]):
			a.add(v, where, "backslash-wildcard", fmt.Sprintf("\\%c is a literal %q, no wildcard behind a backslash", next, next), fmt.Sprintf("write \\\\%c for a backslash and a wildcard", next))
			return
		}
	}
}

// pathBefore reports whether what stands before an escaped wildcard looks like a
// path, in which the backslash was meant to be one. Two backslashes are the begin
// of names that Windows really writes so: \\*\IPC$ and \\?\C:.
func pathBefore(s string) bool {
	if strings.HasSuffix(s, `\\`) {
		return false
	}
	return strings.Contains(s, `\`) || len(s) > 1 && s[1] == ':'
}

// repeated looks for values that say nothing more than others do.
func (a *adviser) repeated(m *mods, values []*yaml.Node, where string) {
	seen := make(map[string]*yaml.Node, len(values))
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			continue
		}
		key := v.ShortTag() + " " + v.Value
		same := "stands twice in the list"
		if v.ShortTag() == "!!str" && !m.re && !m.cased && !m.ref && !slices.ContainsFunc(m.chain, isEncoding) {
			key = "!!str " + fold(v.Value)
		}
		first, twice := seen[key]
		if !twice {
			seen[key] = v
			continue
		}
		if first.Value != v.Value {
			same = "differs from " + quote(first.Value) + " only in case, which does not count"
		}
		a.add(v, where, "value-repeated", quote(v.Value)+" "+same, "take it out")
	}
	if m.all || m.re || m.neq || m.expand || len(m.chain) != 1 || len(values) > maxCovering {
		return
	}
	a.covered(m, values, where)
}

// maxCovering bounds the list whose values are compared with each other.
const maxCovering = 500

// covered looks for values that a shorter one of the list takes in already.
func (a *adviser) covered(m *mods, values []*yaml.Node, where string) {
	within := map[string]func(s, part string) bool{"contains": strings.Contains, "startswith": strings.HasPrefix, "endswith": strings.HasSuffix}[m.chain[0]]
	if within == nil {
		return
	}
	text := func(v *yaml.Node) string {
		p := parsePattern(v.Value)
		if v.Kind != yaml.ScalarNode || v.ShortTag() == "!!null" || !p.plain() {
			return ""
		}
		if m.cased {
			return string(p)
		}
		return fold(string(p))
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = text(v)
	}
	for i, long := range texts {
		for j, short := range texts {
			if short != "" && len(short) < len(long) && within(long, short) {
				a.add(values[i], where, "value-covered", quote(values[i].Value)+" is taken in by "+quote(values[j].Value)+" of the same list", "take one of the two out")
				break
			}
		}
	}
}

func isEncoding(modifier string) bool {
	return strings.HasPrefix(modifier, "base64") || strings.HasPrefix(modifier, "utf16") || modifier == "wide"
}

// cidr looks at a network. One address among networks is as it must be.
func (a *adviser) cidr(v *yaml.Node, alone bool, where string) {
	p, ok := parseCIDR(v.Value)
	switch {
	case !ok:
	case p.Masked() != p:
		a.add(v, where, "cidr-host", quote(v.Value)+" names a host inside the network", "write "+p.Masked().String())
	case p.Bits() == 0:
		a.add(v, where, "cidr-all", quote(v.Value)+" takes every address in", "name the network that is meant")
	case alone && p.IsSingleIP():
		a.add(v, where, "cidr-single", quote(v.Value)+" is a single address", "write the address without \"cidr\"")
	}
}

// Locate returns where in its file a rule says something: the first text below a
// key of the document that equals text, or is a field of that name with modifiers.
// Without it, it is where the key stands, or else the rule.
func (r *Rule) Locate(key, text string) (line, column int) {
	root, err := parseYAML(r.source)
	if err != nil || root == nil {
		return r.Line, 0
	}
	d := &document{file: r.File, line: r.Line - root.Line}
	at, below := d.find(root, key)
	if at == nil {
		return r.Line, 0
	}
	if n := d.scalar(below, text, 0); text != "" && n != nil {
		at = n
	}
	return d.line + at.Line, at.Column
}

// scalar returns the first scalar at or below n that is text or "text|...".
func (d *document) scalar(n *yaml.Node, text string, depth int) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		if name, _, _ := strings.Cut(n.Value, "|"); n.Value == text || name == text {
			return n
		}
		return nil
	}
	if depth > MaxNesting {
		return nil
	}
	for _, k := range n.Content {
		if found := d.scalar(k, text, depth+1); found != nil {
			return found
		}
	}
	return nil
}
