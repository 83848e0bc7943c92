package app

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/sigma"
)

// A ruleHit is a match of a rule, as correlations see it.
type ruleHit struct {
	rule   int
	time   time.Time
	id     string
	fields map[string][]string
}

func (h *ruleHit) event() sigma.Event {
	return sigma.Event{Rule: h.rule, Time: h.time, ID: h.id, Fields: func(name string) []string { return h.fields[name] }}
}

// byTime sorts matches as an analysis does: by time, those of one time as they
// came.
func byTime(hits []ruleHit) []ruleHit {
	out := slices.Clone(hits)
	slices.SortStableFunc(out, func(x, y ruleHit) int { return x.time.Compare(y.time) })
	return out
}

// correlate runs the correlations of a set over matches in the order given and
// returns those that begin to hold. watch, unless nil, sees every step.
func correlate(set *sigma.Set, hits []ruleHit, watch func(sigma.Step)) []sigma.Match {
	c := sigma.NewCorrelator(set, sigma.CorrelatorOptions{Trace: watch})
	var out []sigma.Match
	for i := range hits {
		for _, m := range c.Add(hits[i].event()) {
			if m.First {
				out = append(out, m)
			}
		}
	}
	return out
}

// CorrelationTold is what one correlation made of the matches of its rules.
type CorrelationTold struct {
	What      string           `json:"what"`  // such as "event_count of failed >= 10 within 10m, by User"
	Rules     []CorrelatedRule `json:"rules"` // that it looks at
	Held      int              `json:"held"`  // times that it began to hold
	Ungrouped int              `json:"ungrouped,omitempty"`
	Late      int              `json:"late,omitempty"`
	Repeated  int              `json:"repeated,omitempty"`
	Groups    int              `json:"groups"`
	Windows   []WindowTold     `json:"windows"` // of each group the fullest, those that came closest first
}

// CorrelatedRule is a rule that a correlation looks at, and how often it matched.
type CorrelatedRule struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Matches int    `json:"matches"`
}

// WindowTold is the window of a group at its fullest.
type WindowTold struct {
	Group  []GroupTold `json:"group,omitempty"`
	Events int         `json:"events"`
	Value  float64     `json:"value"` // what the condition compares
	Start  time.Time   `json:"start"`
	End    time.Time   `json:"end"`
	Held   bool        `json:"held"`
}

// GroupTold is what the events of a group have in common.
type GroupTold struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// Bounds of what is told of a correlation.
const (
	maxWatchedGroups = 10_000
	maxToldWindows   = 8
)

// A correlationWatch sums up what happens to the windows of one correlation.
type correlationWatch struct {
	rule   int
	told   CorrelationTold
	groups map[string]*WindowTold
	order  []*WindowTold
}

func newCorrelationWatch(rule int) *correlationWatch {
	return &correlationWatch{rule: rule, groups: map[string]*WindowTold{}}
}

// step takes a step in.
func (w *correlationWatch) step(s sigma.Step) {
	if s.Rule != w.rule {
		return
	}
	switch s.Effect {
	case sigma.StepUngrouped:
		w.told.Ungrouped++
		return
	case sigma.StepLate:
		w.told.Late++
		return
	case sigma.StepRepeated:
		w.told.Repeated++
		return
	case sigma.StepCounted:
	}
	if s.First {
		w.told.Held++
	}
	var key strings.Builder
	for _, g := range s.Group {
		key.WriteString(strings.ToLower(g.Value))
		key.WriteByte(0)
	}
	have := w.groups[key.String()]
	if have == nil {
		if len(w.order) >= maxWatchedGroups {
			return
		}
		have = &WindowTold{}
		for _, g := range s.Group {
			have.Group = append(have.Group, GroupTold(g))
		}
		w.groups[key.String()] = have
		w.order = append(w.order, have)
	}
	if have.Events == 0 || s.Held && !have.Held || s.Held == have.Held && (s.Value > have.Value || s.Value == have.Value && s.Events > have.Events) {
		have.Events, have.Value, have.Start, have.End, have.Held = s.Events, s.Value, s.Start, s.Time, s.Held
	}
}

// result tells of the correlation, once all matches were seen.
func (w *correlationWatch) result(a *App, matches map[int]int) *CorrelationTold {
	out := &w.told
	c := a.rules[w.rule].Correlation
	out.What = correlationWords(c)
	for _, ref := range c.Rules {
		for _, i := range a.findRules(ref)[:min(1, len(a.findRules(ref)))] {
			out.Rules = append(out.Rules, CorrelatedRule{a.rules[i].ID, a.rules[i].Title, matches[i]})
		}
	}
	out.Groups = len(w.order)
	held := func(t *WindowTold) int {
		if t.Held {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(w.order, func(x, y *WindowTold) int {
		return cmp.Or(cmp.Compare(held(y), held(x)), cmp.Compare(y.Value, x.Value), cmp.Compare(y.Events, x.Events), x.Start.Compare(y.Start))
	})
	out.Windows = []WindowTold{}
	for _, t := range w.order[:min(len(w.order), maxToldWindows)] {
		out.Windows = append(out.Windows, *t)
	}
	return out
}

// correlationWords says in a line what a correlation asks for.
func correlationWords(c *sigma.Correlation) string {
	var b strings.Builder
	b.WriteString(string(c.Type))
	if len(c.Fields) > 0 {
		b.WriteString(" of " + strings.Join(c.Fields, ", "))
	}
	if c.Expression != "" {
		b.WriteString(": " + c.Expression)
	} else {
		b.WriteString(" of " + strings.Join(c.Rules, ", "))
		for _, x := range c.Conditions {
			op := map[string]string{"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "neq": "!="}[x.Op]
			b.WriteString(" " + op + " " + formatNumber(x.Value))
		}
	}
	b.WriteString(" within " + spanWords(c.Timespan))
	if len(c.GroupBy) > 0 {
		b.WriteString(", by " + strings.Join(c.GroupBy, ", "))
	}
	return b.String()
}

// spanWords writes a span of time without the zeros that Go adds.
func spanWords(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return formatNumber(float64(d/day)) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// monotone reports whether a correlation only ever gains by further events, so
// that it must come out the same in whatever order they arrive.
func monotone(set *sigma.Set, rule int, find func(string) []int) bool {
	c := set.Rules()[rule].Correlation
	if c == nil {
		return false
	}
	words := strings.FieldsFunc(strings.ToLower(c.Expression), func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == '\n' || r == '\t' })
	if slices.Contains(words, "not") {
		return false
	}
	switch c.Type {
	case sigma.EventCount, sigma.ValueCount, sigma.Temporal, sigma.TemporalOrdered:
	default:
		return false
	}
	for _, x := range c.Conditions {
		if x.Op != "gt" && x.Op != "gte" {
			return false
		}
	}
	for _, ref := range c.Rules {
		for _, i := range find(ref) {
			if set.Rules()[i].Correlation != nil {
				return false
			}
		}
	}
	return true
}

// formatNumber writes a number without an exponent if it is a whole one.
func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
