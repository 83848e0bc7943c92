package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// An Explanation tells why rules matched events or did not.
type Explanation struct {
	Rules  []Told        `json:"rules"`
	Inputs []model.Input `json:"inputs,omitempty"` // what was read; of text given with the call there is none
}

// Told is how one rule came out. All its texts are as rules and events have them:
// clean them before they meet a terminal.
type Told struct {
	Rule    RuleTold `json:"rule"`
	Read    int64    `json:"events"`        // read
	Of      int64    `json:"of_log_source"` // of those, that the rule looks at
	Matched int64    `json:"matched"`
	// Events are the first that matched or, if none did, those that came closest.
	Events []EventTold `json:"shown,omitempty"`
	// LogSources are those of the events, the most frequent first, if the rule
	// looks at none of them.
	LogSources  []Seen           `json:"log_sources,omitempty"`
	Correlation *CorrelationTold `json:"correlation,omitempty"`
}

// RuleTold names a rule.
type RuleTold struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Level     string `json:"level,omitempty"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	LogSource string `json:"log_source,omitempty"`
	Silent    bool   `json:"silent,omitempty"` // it does not alert by itself: a correlation looks at its matches
}

// EventTold is how a rule came out on one event.
type EventTold struct {
	Input     string         `json:"input"`
	Record    int64          `json:"record"`
	Time      string         `json:"time,omitempty"` // as the event has it, in UTC
	Code      string         `json:"code,omitempty"`
	LogSource string         `json:"log_source"`
	Applies   bool           `json:"applies"` // the rule looks at this log source
	Matched   bool           `json:"matched"`
	Verdict   *sigma.Verdict `json:"verdict"`
	Near      []NearName     `json:"near_names,omitempty"` // fields of the event that are called nearly as one that is absent
}

// ExplainOptions say what to explain.
type ExplainOptions struct {
	Record int64 // only the record with this number; 0 means all
	Limit  int   // events told of for each rule; 0 means 3
}

// Bounds of what is told.
const (
	maxToldEvents = 1000
	maxToldRules  = 50
	maxToldValues = 8   // of one field
	maxToldText   = 300 // bytes of one value
	maxToldNames  = 10
	maxEventText  = 16 << 20 // bytes of an event given with the call
)

// EventText reports whether what a caller names is an event itself, and not the
// path of a file: it begins as JSON or XML does.
func EventText(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n\ufeff")
	return s != "" && strings.IndexByte("{[<", s[0]) >= 0
}

// Explain tells how the rule that ref names (an id, name, title or file) comes out
// on events: event is the path of a file of any format, "-" for standard input, or
// the text of a record. Of a detection rule it tells of events one by one, of a
// correlation of what all of them come to.
func (a *App) Explain(ctx context.Context, ref, event string, o ExplainOptions) (*Explanation, error) {
	found := a.findRules(ref)
	if len(found) == 0 {
		return nil, a.unknownRule(ref)
	}
	if len(found) > maxToldRules {
		return nil, fmt.Errorf("%q is %d rules: name one by its id", ref, len(found))
	}
	if o.Limit <= 0 {
		o.Limit = 3
	}
	o.Limit = min(o.Limit, maxToldEvents)
	tellers := make([]*teller, len(found))
	for i, rule := range found {
		if o.Record > 0 && a.rules[rule].Correlation != nil {
			return nil, fmt.Errorf("%q is a correlation: what one record is to it the rules tell that it looks at", a.rules[rule].Title)
		}
		tellers[i] = &teller{a: a, rule: rule, o: o, sources: map[string]int64{}, told: Told{Rule: a.ruleTold(rule)}}
	}
	var hits []ruleHit
	matches := map[int]int{}
	matcher := a.engine.NewMatcher()
	seen := false
	visit := func(ev *model.Event) error {
		if o.Record > 0 && ev.Ref.Record != o.Record {
			return nil
		}
		seen = true
		matched := matcher.Match(ev)
		for _, t := range tellers {
			t.see(ev, slices.Contains(matched, t.rule))
		}
		var fields map[string][]string
		for _, r := range matched {
			matches[r]++
			if !a.set.Correlated(r) || len(hits) >= maxTestHits {
				continue
			}
			if fields == nil {
				fields = a.valuesOf(ev)
			}
			hits = append(hits, ruleHit{r, ev.Time, ev.ID(), fields})
		}
		return nil
	}
	out := &Explanation{Rules: []Told{}}
	var err error
	if out.Inputs, err = a.explained(ctx, event, visit); err != nil {
		return nil, err
	}
	if !seen {
		return nil, nothingRead(out.Inputs, o.Record)
	}
	a.tellCorrelations(tellers, hits, matches)
	for _, t := range tellers {
		out.Rules = append(out.Rules, t.result())
	}
	return out, nil
}

// explained reads what is to be explained.
func (a *App) explained(ctx context.Context, event string, visit func(*model.Event) error) ([]model.Input, error) {
	if _, err := os.Stat(event); err != nil && EventText(event) {
		if len(event) > maxEventText {
			return nil, fmt.Errorf("the event is longer than %d bytes: put it into a file", maxEventText)
		}
		return nil, a.eventsOf("the event given", event, "", visit)
	}
	from, err := a.once([]string{event})
	if err != nil {
		return nil, err
	}
	all, err := a.eachEvent(ctx, from, visit)
	if err != nil {
		return nil, err
	}
	var out []model.Input
	for _, in := range all {
		out = append(out, in.Input)
	}
	return out, nil
}

// nothingRead says why there is nothing to explain.
func nothingRead(inputs []model.Input, record int64) error {
	for _, in := range inputs {
		for _, e := range in.Errors {
			if record == 0 || e.Record == record {
				return fmt.Errorf("%s: %s", in.Path, e.Cause)
			}
		}
	}
	if record > 0 {
		n := int64(0)
		for _, in := range inputs {
			n += in.Events
		}
		return fmt.Errorf("there is no record %d; %d events were read", record, n)
	}
	return errors.New("there is no event in it")
}

// tellCorrelations runs the correlations over all matches, in the order of time.
func (a *App) tellCorrelations(tellers []*teller, hits []ruleHit, matches map[int]int) {
	var watches []*correlationWatch
	for _, t := range tellers {
		if a.rules[t.rule].Correlation != nil {
			t.watch = newCorrelationWatch(t.rule)
			watches = append(watches, t.watch)
		}
	}
	if len(watches) == 0 {
		return
	}
	for _, m := range correlate(a.set, byTime(hits), func(s sigma.Step) {
		for _, w := range watches {
			w.step(s)
		}
	}) {
		matches[m.Rule]++
	}
	for _, t := range tellers {
		if t.watch != nil {
			t.told.Correlation = t.watch.result(a, matches)
			t.told.Matched = int64(matches[t.rule])
		}
	}
}

// unknownRule says that there is no such rule, and what was meant perhaps.
func (a *App) unknownRule(ref string) error {
	for _, r := range a.refused {
		if r.File == ref {
			return fmt.Errorf("the rule cannot be used: %s", r)
		}
	}
	var like []string
	for _, r := range a.rules {
		if len(ref) >= 3 && strings.Contains(strings.ToLower(r.Title+" "+r.File), strings.ToLower(ref)) && len(like) < 5 {
			like = append(like, fmt.Sprintf("%q (%s)", r.Title, cmp.Or(r.ID, r.File)))
		}
	}
	hint := "'catena rules list' lists them"
	if len(like) > 0 {
		hint = "perhaps " + strings.Join(like, ", ")
	}
	return fmt.Errorf("there is no rule with the id, name, title or file %q: %s", ref, hint)
}

// A teller collects what one rule made of events.
type teller struct {
	a       *App
	rule    int
	o       ExplainOptions
	told    Told
	misses  []EventTold // closest first
	sources map[string]int64
	watch   *correlationWatch
}

// see takes one event in.
func (t *teller) see(ev *model.Event, matched bool) {
	t.told.Read++
	src := sigma.LogSource(ev.Source)
	if t.a.rules[t.rule].Correlation != nil {
		return
	}
	applies := t.a.set.Applies(t.rule, src)
	switch {
	case matched:
		t.told.Of++
		if t.told.Matched++; len(t.told.Events) < t.o.Limit {
			t.told.Events = append(t.told.Events, t.a.eventTold(ev, t.rule, true))
		}
		t.misses = nil
		return
	case applies:
		t.told.Of++
	default:
		name := ruleSourceName(src)
		if _, ok := t.sources[name]; ok || len(t.sources) < maxLogSources {
			t.sources[name]++
		}
		if t.o.Record == 0 && t.told.Read > 1 {
			t.forget()
			return
		}
	}
	if t.told.Matched > 0 {
		return
	}
	t.forget()
	near := t.a.set.Near(t.rule, t.a.fieldsOf(ev))
	at, _ := slices.BinarySearchFunc(t.misses, near, func(e EventTold, near float64) int {
		if e.Verdict.Near >= near { // what came first stays first
			return -1
		}
		return 1
	})
	if at >= t.o.Limit {
		return
	}
	t.misses = slices.Insert(t.misses, at, t.a.eventTold(ev, t.rule, false))
	t.misses = t.misses[:min(len(t.misses), t.o.Limit)]
}

// forget drops the one event of another log source that is kept for an input of a
// single event, as soon as there is a second.
func (t *teller) forget() {
	if t.o.Record == 0 && t.told.Read > 1 {
		t.misses = slices.DeleteFunc(t.misses, func(e EventTold) bool { return !e.Applies })
	}
}

func (t *teller) result() Told {
	out := t.told
	if out.Matched == 0 {
		out.Events = t.misses
	}
	if out.Of == 0 {
		for name, n := range t.sources {
			out.LogSources = append(out.LogSources, Seen{name, n})
		}
		slices.SortFunc(out.LogSources, func(x, y Seen) int {
			return cmp.Or(cmp.Compare(y.Events, x.Events), cmp.Compare(x.LogSource, y.LogSource))
		})
		out.LogSources = out.LogSources[:min(len(out.LogSources), maxToldNames)]
	}
	return out
}

func (a *App) ruleTold(rule int) RuleTold {
	r := a.rules[rule]
	out := RuleTold{ID: a.engine.Definition(rule).Rule.ID, Title: r.Title, Level: r.Level, File: r.File, Line: r.Line, Silent: !a.set.Generates(rule)}
	if r.Correlation == nil {
		out.LogSource = ruleSourceName(r.LogSource)
	}
	return out
}

// eventTold tells how a rule came out on an event, in texts of its own.
func (a *App) eventTold(ev *model.Event, rule int, matched bool) EventTold {
	fields := a.fieldsOf(ev)
	src := sigma.LogSource(ev.Source)
	out := EventTold{Input: strings.Clone(ev.Ref.Input), Record: ev.Ref.Record, Code: strings.Clone(ev.Code), LogSource: ruleSourceName(src),
		Applies: a.set.Applies(rule, src), Matched: matched, Verdict: a.set.Inspect(rule, fields)}
	if !ev.Time.IsZero() {
		out.Time = ev.Time.UTC().Format(time.RFC3339Nano)
	}
	var names []string
	known := map[string]bool{}
	for _, f := range fields {
		if !known[f.Name] {
			known[f.Name] = true
			names = append(names, strings.Clone(f.Name))
		}
	}
	absent := map[string]bool{}
	walk := func(parts []sigma.Part) {
		eachPart(parts, func(p *sigma.Part) {
			p.Values = toldValues(p.Values)
			if p.Found != sigma.Absent || absent[p.Field] || len(out.Near) >= maxToldNames {
				return
			}
			absent[p.Field] = true
			if near := nearNames(p.Field, names); len(near) > 0 {
				out.Near = append(out.Near, NearName{p.Field, near[:min(len(near), maxNearNames)]})
			}
		})
	}
	walk(out.Verdict.Selections)
	for i := range out.Verdict.Filters {
		walk(out.Verdict.Filters[i].Selections)
	}
	return out
}

// eachPart calls fn with every part.
func eachPart(parts []sigma.Part, fn func(*sigma.Part)) {
	for i := range parts {
		fn(&parts[i])
		eachPart(parts[i].Parts, fn)
	}
}

// toldValues copies values within bounds.
func toldValues(values []string) []string {
	var out []string
	for i, v := range values {
		if i == maxToldValues {
			out = append(out, fmt.Sprintf("... and %d more values", len(values)-i))
			break
		}
		if len(v) > maxToldText {
			v = fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(v[:maxToldText], ""), len(v))
		}
		out = append(out, strings.Clone(v))
	}
	return out
}
