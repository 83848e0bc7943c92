package sigma

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// CorrelationType is what a correlation looks at.
type CorrelationType string

// The types of correlations. The values of a window are those of the condition's
// field in all events that stand in it.
const (
	EventCount      CorrelationType = "event_count"      // how many events
	ValueCount      CorrelationType = "value_count"      // how many different values
	ValueSum        CorrelationType = "value_sum"        // sum of the values
	ValueAvg        CorrelationType = "value_avg"        // their mean
	ValueMedian     CorrelationType = "value_median"     // their median
	ValuePercentile CorrelationType = "value_percentile" // their percentile, interpolated linearly
	Temporal        CorrelationType = "temporal"         // how many of the rules
	TemporalOrdered CorrelationType = "temporal_ordered" // how many of the rules, in their order
)

// Bounds of a correlation.
const (
	maxReferences = 64        // rules of one correlation
	maxCount      = 1_000_000 // events that a condition may ask for
	maxTimespan   = 100 * 365 * 24 * time.Hour
)

// A Correlation matches when the matches of other rules, of one group and within
// a time, are many enough or come together.
type Correlation struct {
	Type       CorrelationType
	Rules      []string // ids or names, in order
	GroupBy    []string // fields or aliases
	Timespan   time.Duration
	Fields     []string // whose values a value_* type looks at; several: their combinations are counted
	Percentile float64  // 0 to 100, of value_percentile
	Conditions []Comparison
	Expression string // instead of Conditions, of temporal types: rules with "and", "or" and "not"
	Aliases    []Alias
	Generate   bool // the rules alert by themselves as well

	expr *expr // of Expression: a leaf's n is a place in Rules
}

// A Comparison is one number that a correlation's value is compared with.
type Comparison struct {
	Op    string // gt, gte, lt, lte, eq or neq
	Value float64
}

// An Alias is one name for fields that are called differently in the events of
// different rules.
type Alias struct {
	Name  string
	Rules []string // as Correlation.Rules refers to them
	Field []string // by rule
}

func (c Comparison) holds(v float64) bool {
	switch c.Op {
	case "gt":
		return v > c.Value
	case "gte":
		return v >= c.Value
	case "lt":
		return v < c.Value
	case "lte":
		return v <= c.Value
	case "eq":
		return v == c.Value
	}
	return v != c.Value
}

func (c *Correlation) holds(v float64) bool {
	for _, x := range c.Conditions {
		if !x.holds(v) {
			return false
		}
	}
	return true
}

func (c *Correlation) temporal() bool { return c.Type == Temporal || c.Type == TemporalOrdered }

// correlation reads a correlation document.
func (d *document) correlation(root, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, "correlation", "must be a map")
	}
	c := &Correlation{}
	d.rule.Correlation = c
	typ := d.text(n, "type")
	switch c.Type = CorrelationType(strings.TrimSuffix(typ, "_extended")); c.Type {
	case EventCount, ValueCount, ValueSum, ValueAvg, ValueMedian, ValuePercentile, Temporal, TemporalOrdered:
	case "":
		return d.fail(n, "correlation.type", "the correlation has no type")
	default:
		return d.fail(d.get(n, "type"), "correlation.type", "%s is no type of a correlation", quote(typ))
	}
	extended := strings.HasSuffix(typ, "_extended")
	if extended && !c.temporal() {
		return d.fail(d.get(n, "type"), "correlation.type", "%s is no type of a correlation", quote(typ))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := d.follow(n.Content[i]); key.Value {
		case "type", "rules", "group-by", "timespan", "condition", "aliases", "generate":
		default:
			return d.fail(key, "correlation."+clip(key.Value), "is not known")
		}
	}
	if rules := d.get(n, "rules"); rules != nil && rules.ShortTag() != "!!null" {
		refs, err := d.references(rules, "correlation.rules")
		if err != nil {
			return err
		}
		c.Rules = refs
	}
	for _, read := range []func(*yaml.Node, *Correlation) error{d.groupBy, d.timespan} {
		if err := read(n, c); err != nil {
			return err
		}
	}
	generate := cmp.Or(d.get(n, "generate"), d.get(root, "generate"))
	if generate != nil {
		switch strings.ToLower(generate.Value) {
		case "true":
			c.Generate = true
		case "false":
		default:
			return d.fail(generate, "correlation.generate", "takes true or false")
		}
	}
	cond := d.get(n, "condition")
	switch {
	case cond == nil && (extended || !c.temporal()):
		return d.fail(n, "correlation.condition", "the correlation has no condition")
	case cond == nil:
		c.Conditions = []Comparison{{"gte", float64(len(c.Rules))}}
	case cond.Kind == yaml.ScalarNode:
		if err := d.expression(cond, c); err != nil {
			return err
		}
	case extended:
		return d.fail(cond, "correlation.condition", "%s needs a condition of \"and\", \"or\" and \"not\"", typ)
	default:
		if err := d.comparisons(cond, c); err != nil {
			return err
		}
	}
	switch {
	case len(c.Rules) == 0:
		return d.fail(n, "correlation.rules", "the correlation names no rules")
	case len(c.Rules) > maxReferences:
		return d.fail(n, "correlation.rules", "more than %d rules", maxReferences)
	case c.expr == nil && !c.satisfiable():
		return d.fail(cond, "correlation.condition", "can never hold")
	}
	return d.aliases(n, c)
}

func (d *document) groupBy(n *yaml.Node, c *Correlation) error {
	g := d.get(n, "group-by")
	if g == nil || g.ShortTag() == "!!null" {
		return nil // one group
	}
	nodes := []*yaml.Node{g}
	if g.Kind == yaml.SequenceNode {
		nodes = g.Content
	}
	for _, el := range nodes {
		if el = d.follow(el); el.Kind != yaml.ScalarNode || el.Value == "" {
			return d.fail(el, "correlation.group-by", "must be names of fields or aliases")
		}
		if slices.Contains(c.GroupBy, el.Value) {
			return d.fail(el, "correlation.group-by", "%s stands twice in the list", quote(el.Value))
		}
		c.GroupBy = append(c.GroupBy, el.Value)
	}
	if len(c.GroupBy) > maxReferences {
		return d.fail(g, "correlation.group-by", "more than %d fields", maxReferences)
	}
	return nil
}

// timespan reads a number and a unit. Months and years are those of the mean
// Gregorian calendar, as in pySigma.
func (d *document) timespan(n *yaml.Node, c *Correlation) error {
	text := d.text(n, "timespan")
	if text == "" {
		return d.fail(n, "correlation.timespan", "the correlation has no timespan")
	}
	unit := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		'M': 2629746 * time.Second, 'y': 31556952 * time.Second,
	}[text[len(text)-1]]
	count, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	switch {
	case err != nil || unit == 0 || count == 0:
		return d.fail(d.get(n, "timespan"), "correlation.timespan", "%s is no number with one of the units s, m, h, d, w, M and y", quote(text))
	case time.Duration(count) > maxTimespan/unit:
		return d.fail(d.get(n, "timespan"), "correlation.timespan", "%s is longer than 100 years", quote(text))
	}
	c.Timespan = time.Duration(count) * unit
	return nil
}

// comparisons reads a condition such as {gte: 10, field: User}.
func (d *document) comparisons(n *yaml.Node, c *Correlation) error {
	const where = "correlation.condition"
	if n.Kind != yaml.MappingNode {
		return d.fail(n, where, "must be a map of comparisons")
	}
	percentile := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := d.follow(n.Content[i]).Value, d.follow(n.Content[i+1])
		switch key {
		case "field":
			if v.Kind == yaml.MappingNode || v.ShortTag() == "!!null" {
				return d.fail(v, where+".field", "must be the name of a field")
			}
			if c.Fields = d.list(n, "field"); len(c.Fields) > 8 {
				return d.fail(v, where+".field", "more than 8 fields")
			}
			continue
		case "gt", "gte", "lt", "lte", "eq", "neq", "percentile":
		default:
			return d.fail(v, where+"."+clip(key), "is no comparison: gt, gte, lt, lte, eq and neq are")
		}
		f, ok := yamlNumber(v)
		switch {
		case !ok || v.Kind != yaml.ScalarNode:
			return d.fail(v, where+"."+key, "%s is no number", quote(v.Value))
		case key == "percentile" && (f < 0 || f > 100):
			return d.fail(v, where+"."+key, "is not between 0 and 100")
		case key == "percentile":
			c.Percentile, percentile = f, true
		case c.counts() && (math.Abs(f) > maxCount || f != math.Trunc(f)):
			return d.fail(v, where+"."+key, "is no whole number up to %d", maxCount)
		default:
			c.Conditions = append(c.Conditions, Comparison{key, f})
		}
	}
	ofValues := strings.HasPrefix(string(c.Type), "value_")
	switch {
	case len(c.Conditions) == 0:
		return d.fail(n, where, "compares with nothing: one of gt, gte, lt, lte, eq and neq is needed")
	case ofValues && len(c.Fields) == 0:
		return d.fail(n, where, "%s needs a \"field\"", c.Type)
	case !ofValues && len(c.Fields) > 0:
		return d.fail(n, where+".field", "%s looks at no field", c.Type)
	case len(c.Fields) > 1 && c.Type != ValueCount:
		return d.fail(n, where+".field", "%s takes one field", c.Type)
	case percentile != (c.Type == ValuePercentile):
		return d.fail(n, where+".percentile", "stands with value_percentile, and only there")
	}
	return nil
}

// counts reports whether the value is a whole number.
func (c *Correlation) counts() bool {
	return c.Type == EventCount || c.Type == ValueCount || c.temporal()
}

// satisfiable reports whether any value passes all comparisons. It tries the
// numbers compared with and those around and between them.
func (c *Correlation) satisfiable() bool {
	try := []float64{1, float64(len(c.Rules))}
	for _, x := range c.Conditions {
		try = append(try, x.Value-2, x.Value-1, x.Value, x.Value+1, x.Value+2)
		if !c.counts() {
			try = append(try, math.Nextafter(x.Value, math.Inf(1)), math.Nextafter(x.Value, math.Inf(-1)))
			for _, y := range c.Conditions {
				try = append(try, (x.Value+y.Value)/2)
			}
		}
	}
	return slices.ContainsFunc(try, func(v float64) bool {
		return (!c.counts() || v >= 1) && (!c.temporal() || v <= float64(len(c.Rules))) && c.holds(v)
	})
}

// expression reads a condition over rules. Without a list of rules, they are
// those that it names.
func (d *document) expression(n *yaml.Node, c *Correlation) error {
	const where = "correlation.condition"
	if !c.temporal() {
		return d.fail(n, where, "%s takes a map of comparisons", c.Type)
	}
	var named []string
	for _, tok := range lexCondition(n.Value) {
		switch strings.ToLower(tok) {
		case "and", "or", "not", "(", ")":
		case "of", "them":
			return d.fail(n, where, "%s has no meaning in a correlation", quote(tok))
		default:
			if !slices.Contains(named, tok) {
				named = append(named, tok)
			}
		}
	}
	if len(named) > maxReferences {
		return d.fail(n, where, "more than %d rules", maxReferences)
	}
	for _, r := range named {
		if c.Rules != nil && !slices.Contains(c.Rules, r) {
			return d.fail(n, where, "%s is not among the rules", quote(r))
		}
	}
	for _, r := range c.Rules {
		if !slices.Contains(named, r) {
			return d.fail(n, where, "%s is among the rules but not in the condition", quote(r))
		}
	}
	if c.Type == TemporalOrdered && c.Rules != nil && !slices.Equal(c.Rules, named) {
		return d.fail(n, where, "names the rules in another order than the list of rules")
	}
	if c.Rules == nil {
		c.Rules = named
	}
	var leaves []*expr
	for i, r := range c.Rules {
		leaves = append(leaves, &expr{op: exprTest, n: i, name: r})
	}
	e, err := parseCondition(n.Value, leaves)
	if err != nil {
		return d.fail(n, where, "%s", err)
	}
	if e.present(func(int) bool { return false }) {
		return d.fail(n, where, "holds when no rule has matched: something must happen for a correlation to match")
	}
	c.Expression, c.expr = n.Value, e
	return nil
}

// present evaluates an expression over rules.
func (e *expr) present(has func(rule int) bool) bool {
	switch e.op {
	case exprTest:
		return has(e.n)
	case exprNot:
		return !e.kids[0].present(has)
	case exprOr:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return k.present(has) })
	}
	return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !k.present(has) })
}

// aliases reads names for fields that differ by rule.
func (d *document) aliases(n *yaml.Node, c *Correlation) error {
	const where = "correlation.aliases"
	m := d.get(n, "aliases")
	if m == nil || m.ShortTag() == "!!null" {
		return nil
	}
	if m.Kind != yaml.MappingNode || len(m.Content) > 2*maxReferences {
		return d.fail(m, where, "must be a map of at most %d aliases", maxReferences)
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		a := Alias{Name: d.follow(m.Content[i]).Value}
		fields := d.follow(m.Content[i+1])
		at := where + "." + clip(a.Name)
		if fields.Kind != yaml.MappingNode {
			return d.fail(fields, at, "must be a map of rules to fields")
		}
		for k := 0; k+1 < len(fields.Content); k += 2 {
			rule, field := d.follow(fields.Content[k]), d.follow(fields.Content[k+1])
			if !slices.Contains(c.Rules, rule.Value) {
				return d.fail(rule, at, "%s is not among the rules", quote(rule.Value))
			}
			if field.Kind != yaml.ScalarNode || field.Value == "" {
				return d.fail(field, at, "must be the name of a field")
			}
			a.Rules, a.Field = append(a.Rules, rule.Value), append(a.Field, field.Value)
		}
		used := slices.Contains(c.GroupBy, a.Name) || slices.Contains(c.Fields, a.Name)
		for _, r := range c.Rules {
			if used && !slices.Contains(a.Rules, r) {
				return d.fail(fields, at, "says nothing of the rule %s", quote(r))
			}
		}
		c.Aliases = append(c.Aliases, a)
	}
	return nil
}

// field returns what a name of the correlation stands for in the events of a rule.
func (c *Correlation) field(name, rule string) string {
	for _, a := range c.Aliases {
		if i := slices.Index(a.Rules, rule); a.Name == name && i >= 0 {
			return a.Field[i]
		}
	}
	return name
}
