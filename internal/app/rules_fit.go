package app

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// FitStatus says how far a rule gets with some evidence.
type FitStatus string

// The statuses, worst first: those a rule writer or an administrator can do
// something about stand before those that are as they should be.
const (
	LacksFields    FitStatus = "lacks_fields"     // events of the kind it wants, without the fields it needs
	LacksEvents    FitStatus = "lacks_events"     // events of its log source, none of the provider, channel or id it wants
	LacksLogSource FitStatus = "lacks_log_source" // no event of its log source
	LacksRules     FitStatus = "lacks_rules"      // a correlation of rules that cannot fire
	CanFire        FitStatus = "can_fire"         // all is there that it needs; it did not match
	Fired          FitStatus = "fired"
)

// FitStatuses lists the statuses, worst first.
var FitStatuses = []FitStatus{LacksFields, LacksEvents, LacksLogSource, LacksRules, CanFire, Fired}

// Fit is how rules and evidence go together.
type Fit struct {
	Events     int64             `json:"events"`
	Rules      int               `json:"rules"`
	Summary    map[FitStatus]int `json:"summary"`
	Results    []RuleFit         `json:"results"`     // worst first, in each status by log source and title
	LogSources []LogSourceFit    `json:"log_sources"` // those that rules name, silent ones first
	Unread     []Seen            `json:"unread"`      // log sources of the evidence that no rule reads
	Refused    []Refusal         `json:"refused"`
	Inputs     []model.Input     `json:"inputs"`
	Notes      []string          `json:"notes,omitempty"`
}

// RuleFit is how far one rule gets.
type RuleFit struct {
	ID        string         `json:"id"`
	Title     string         `json:"title"`
	Level     model.Severity `json:"level"`
	Source    string         `json:"source"` // "builtin" or the file
	LogSource string         `json:"log_source,omitempty"`
	Status    FitStatus      `json:"status"`
	Matches   int64          `json:"matches,omitempty"` // events matched, or times that a correlation held
	Events    int64          `json:"events"`            // of its log source
	// Fields are those that the events nearest to what it needs do not have, each
	// with the alternatives to it.
	Fields [][]string `json:"fields,omitempty"`
	// Near are fields of the same log source that are called nearly the same.
	Near []NearName `json:"near,omitempty"`
	// Wants are values of which one must be there and none was seen.
	Wants []Want   `json:"wants,omitempty"`
	Needs []string `json:"needs,omitempty"` // rules that a correlation counts and that cannot fire
}

// NearName is a field that the evidence has, where a rule wants another.
type NearName struct {
	Field string   `json:"field"`
	Have  []string `json:"have"`
}

// Want is a field that tells kinds of events apart, and what a rule wants it to be.
type Want struct {
	Field  string   `json:"field"`
	Values []string `json:"values"`
}

// LogSourceFit is a log source that rules name, and how many events it takes in.
type LogSourceFit struct {
	LogSource string `json:"log_source"`
	Rules     int    `json:"rules"`
	Events    int64  `json:"events"`
}

// Seen is a log source of the evidence.
type Seen struct {
	LogSource string `json:"log_source"`
	Events    int64  `json:"events"`
}

// Bounds of what a fit keeps. Both are far above what logs of any product hold;
// beyond them rules are taken to be able to fire, and a note says so.
const (
	maxShapes     = 1 << 15 // combinations of log source, kind and fields
	maxLogSources = 1 << 12
	maxFitHits    = 1 << 18 // matches of rules that correlations count
	maxFieldNames = 1 << 19 // names of fields, over all log sources
	maxKind       = 256     // bytes of a kind field that are told apart
	maxFitFields  = 20      // missing fields that one rule names
	maxNearNames  = 3
	maxFitWants   = 20 // values named of one field
)

// kindFields are the fields that say what kind of event a record is: a rule that
// wants a value of one that was never seen is for events that are not recorded,
// while any other value may come up in the next event.
var kindFields = [...]model.FieldID{model.FEventID, model.FChannel, model.FProviderName, model.FTypeLower}

// A shape is what events must have in common to be the same to Fit: log source,
// values of the kind fields, and which of the fields that rules look at they have.
type shape struct {
	source model.LogSource
	kind   [len(kindFields)]string
	known  [len(kindFields)]bool
	fields []model.FieldID // ascending
	events int64
	any    bool // the shape stands for many, beyond the bound: its kind is not known
}

// shapes counts events by shape, in the order of their first sight.
type shapes struct {
	by    map[string]*shape
	list  []*shape
	all   map[model.LogSource]*fieldSet // every field that events of a log source have
	order []model.LogSource
	hits  []fitHit
	fired []int64 // by rule
}

// fieldSet is a set of fields.
type fieldSet struct {
	has    map[model.FieldID]bool
	events int64
}

// A fitHit is a match of a rule that a correlation counts.
type fitHit struct {
	time   time.Time
	rule   int32
	id     string
	fields map[string][]string
}

// fitChunk is what one chunk came to.
type fitChunk struct {
	shapes
	input   *inputState
	events  int64
	skipped int64
	bytes   int64
	errors  []model.InputError
}

// Fit tells for every rule how far it gets with the evidence at paths: it fired,
// it could have, or what it lacks.
func (a *App) Fit(ctx context.Context, paths []string) (*Fit, error) {
	from, err := a.once(paths)
	if err != nil {
		return nil, err
	}
	f := &fitter{a: a, ids: map[string]model.FieldID{}, total: newShapes(a.Rules())}
	if err := f.scan(ctx, from); err != nil {
		return nil, err
	}
	return f.result(), nil
}

// fitter does the work of one Fit.
type fitter struct {
	a       *App
	ids     map[string]model.FieldID // of the fields that rules look at
	inputs  []*inputState
	total   shapes
	events  int64
	bytes   int64
	named   int  // names of fields, over all log sources
	dropped bool // matches beyond maxFitHits
	merged  bool // shapes beyond maxShapes
	sources bool // log sources beyond maxLogSources
}

func newShapes(rules int) shapes {
	return shapes{by: map[string]*shape{}, all: map[model.LogSource]*fieldSet{}, fired: make([]int64, rules)}
}

func (f *fitter) scan(ctx context.Context, from *inputs) error {
	a := f.a
	sc := &scanner{registry: a.registry, engine: a.engine, names: a.names, tells: a.tells}
	read := make([]bool, a.names.Len()) // by field: whether a rule looks at it
	for _, name := range a.set.Fields() {
		if id := a.names.ID(name); id != model.Unnamed {
			read[id] = true
			f.ids[name] = id
		}
	}
	wanted := map[string]bool{}
	for _, r := range a.rules {
		if c := r.Correlation; c != nil {
			for _, name := range slices.Concat(c.GroupBy, c.Fields) {
				wanted[name] = true
			}
			for _, alias := range c.Aliases {
				for _, name := range alias.Field {
					wanted[name] = true
				}
			}
		}
	}
	produce := func(ctx context.Context, emit func(job) error) error {
		return a.walk(ctx, from, func(in *inputState, d decode.Decoder, r io.Reader) error {
			return frames(in, d, r, in.failLater, emit)
		}, func(in *inputState) { f.inputs = append(f.inputs, in) })
	}
	begun := map[*inputState]bool{}
	collect := func(c *fitChunk) {
		f.add(&c.shapes)
		begun[c.input] = true
		f.events += c.events
		f.bytes += c.bytes
		c.input.Events += c.events
		c.input.Skipped += c.skipped
		for _, e := range c.errors {
			c.input.fail(e)
		}
		a.progress(Progress{Phase: "reading", Input: c.input.Path, Inputs: len(begun), Bytes: f.bytes, Events: f.events})
	}
	err := inOrder(ctx, a.opt.Workers, produce, func() func(job) *fitChunk {
		w := &fitWorker{worker: newWorker(sc), read: read, wanted: wanted}
		return w.look
	}, collect)
	if err != nil {
		return err
	}
	for _, in := range f.inputs {
		in.settle()
	}
	slices.SortFunc(f.inputs, func(x, y *inputState) int { return cmp.Compare(x.Path, y.Path) })
	a.progress(Progress{Phase: "done", Inputs: len(f.inputs), Events: f.events, Done: true})
	return nil
}

// fitWorker looks at chunks on one goroutine.
type fitWorker struct {
	worker
	read   []bool
	wanted map[string]bool // fields that correlations look at
	fields []model.FieldID
	key    []byte
}

func (w *fitWorker) look(j job) *fitChunk {
	b := j.decode()
	out := &fitChunk{shapes: newShapes(w.engine.Rules()), input: j.input, events: int64(len(b.Events) + len(b.Alerts)),
		skipped: b.Skipped, bytes: int64(len(j.chunk.Data)), errors: b.Errors}
	for i := range b.Events {
		ev := &b.Events[i]
		w.count(&out.shapes, ev)
		var fields map[string][]string
		for _, r := range w.matcher.Match(ev) {
			out.fired[r]++
			if !w.engine.Correlated(r) {
				continue
			}
			if fields == nil {
				fields = w.counted(ev)
			}
			out.hits = append(out.hits, fitHit{ev.Time, int32(r), ev.ID(), fields})
		}
	}
	return out
}

// counted copies the values of ev that correlations look at, by name.
func (w *fitWorker) counted(ev *model.Event) map[string][]string {
	out := map[string][]string{}
	for _, s := range ev.Slots {
		if name := w.names.Name(s.Field); w.wanted[name] {
			out[name] = append(out[name], w.intern(s.Text))
		}
	}
	return out
}

// count adds an event to its shape.
func (w *fitWorker) count(s *shapes, ev *model.Event) {
	w.fields, w.key = w.fields[:0], w.key[:0]
	src := model.LogSource{Product: w.intern(ev.Source.Product), Category: w.intern(ev.Source.Category), Service: w.intern(ev.Source.Service)}
	all := s.all[src]
	if all == nil {
		all = &fieldSet{has: map[model.FieldID]bool{}}
		s.all[src] = all
		s.order = append(s.order, src)
	}
	all.events++
	sh := shape{source: src}
	for i := range ev.Slots {
		id := ev.Slots[i].Field
		if !all.has[id] {
			all.has[id] = true
		}
		if int(id) < len(w.read) && w.read[id] {
			w.fields = append(w.fields, id)
		}
		if k := slices.Index(kindFields[:], id); k >= 0 && !sh.known[k] {
			sh.kind[k], sh.known[k] = ev.Slots[i].Text[:min(len(ev.Slots[i].Text), maxKind)], true
		}
	}
	slices.Sort(w.fields)
	w.fields = slices.Compact(w.fields)
	w.key = sh.appendKey(w.key, w.fields)
	if have := s.by[string(w.key)]; have != nil {
		have.events++
		return
	}
	for k := range sh.kind {
		sh.kind[k] = w.intern(sh.kind[k])
	}
	sh.fields, sh.events = slices.Clone(w.fields), 1
	s.by[string(w.key)] = &sh
	s.list = append(s.list, &sh)
}

// appendKey appends what tells a shape from others.
func (s *shape) appendKey(key []byte, fields []model.FieldID) []byte {
	for _, text := range [...]string{s.source.Product, s.source.Category, s.source.Service} {
		key = append(append(key, text...), 0xff)
	}
	for k, text := range s.kind {
		key = append(append(key, text...), 0xff)
		if s.known[k] {
			key = append(key, 0xfe)
		}
	}
	for _, id := range fields {
		key = append(key, byte(id), byte(id>>8), byte(id>>16))
	}
	return key
}

// add takes in what one chunk came to. Chunks come in the order of the evidence,
// so that what lies beyond the bounds does not depend on the workers.
func (f *fitter) add(c *shapes) {
	t := &f.total
	for _, src := range c.order {
		have := t.all[src]
		if have == nil {
			if len(t.order) >= maxLogSources {
				f.sources = true
				continue
			}
			have = &fieldSet{has: map[model.FieldID]bool{}}
			t.all[src] = have
			t.order = append(t.order, src)
		}
		have.events += c.all[src].events
		f.name(have, c.all[src])
	}
	var key []byte
	for _, s := range c.list {
		key = s.appendKey(key[:0], s.fields)
		have := t.by[string(key)]
		switch {
		case have != nil:
		case t.all[s.source] == nil:
			continue
		case len(t.list) >= maxShapes:
			f.merged = true
			have = t.rest(s.source)
			have.fields = slices.Compact(slices.Sorted(slices.Values(append(have.fields, s.fields...))))
		default:
			have = &shape{source: s.source, kind: s.kind, known: s.known, fields: s.fields}
			t.by[string(key)] = have
			t.list = append(t.list, have)
		}
		have.events += s.events
	}
	for r, n := range c.fired {
		t.fired[r] += n
	}
	room := maxFitHits - len(t.hits)
	if len(c.hits) > room {
		f.dropped = true
		c.hits = c.hits[:room]
	}
	t.hits = append(t.hits, c.hits...)
}

// name adds names of fields to those of a log source, within bounds.
func (f *fitter) name(to, from *fieldSet) {
	var more []string
	for id := range from.has {
		if !to.has[id] {
			more = append(more, f.a.names.Name(id))
		}
	}
	slices.Sort(more) // ids depend on who was first
	for _, name := range more {
		if f.named < maxFieldNames {
			f.named++
			to.has[f.a.names.ID(name)] = true
		}
	}
}

// rest returns the shape of all events of a log source that have no shape of
// their own.
func (s *shapes) rest(src model.LogSource) *shape {
	key := string((&shape{source: src}).appendKey(nil, nil)) + "\xff"
	if have := s.by[key]; have != nil {
		return have
	}
	have := &shape{source: src, any: true}
	s.by[key] = have
	s.list = append(s.list, have)
	return have
}

// correlate counts how often each correlation holds, going by the times that the
// events carry.
func (f *fitter) correlate() {
	hits := f.total.hits
	slices.SortStableFunc(hits, func(x, y fitHit) int { return cmp.Or(x.time.Compare(y.time), cmp.Compare(x.id, y.id)) })
	c := sigma.NewCorrelator(f.a.set, sigma.CorrelatorOptions{})
	for _, h := range hits {
		for _, m := range c.Add(sigma.Event{Rule: int(h.rule), Time: h.time, ID: h.id, Fields: func(name string) []string { return h.fields[name] }}) {
			if m.First {
				f.total.fired[m.Rule]++
			}
		}
	}
}

// result tells every rule's status.
func (f *fitter) result() *Fit {
	f.correlate()
	out := &Fit{Events: f.events, Rules: f.a.Rules(), Summary: map[FitStatus]int{}, Results: []RuleFit{}, LogSources: []LogSourceFit{}, Unread: []Seen{},
		Refused: f.a.refused, Inputs: []model.Input{}}
	if out.Refused == nil {
		out.Refused = []Refusal{}
	}
	rules := make([]RuleFit, len(f.a.rules))
	fits := map[string]*LogSourceFit{}
	reading := map[model.LogSource]bool{}
	of := f.bySource()
	for i, r := range f.a.rules {
		d := f.a.engine.Definition(i).Rule
		rules[i] = RuleFit{ID: d.ID, Title: d.Title, Level: d.Level, Source: d.Source}
		if r.Correlation != nil {
			continue
		}
		src := of(r.LogSource)
		f.fit(&rules[i], i, r, src)
		for _, s := range src.sources {
			reading[s] = true
		}
		l := fits[rules[i].LogSource]
		if l == nil {
			l = &LogSourceFit{LogSource: rules[i].LogSource, Events: rules[i].Events}
			fits[l.LogSource] = l
		}
		l.Rules++
	}
	f.fitCorrelations(rules)
	for _, s := range FitStatuses {
		out.Summary[s] = 0
	}
	for _, r := range rules {
		out.Summary[r.Status]++
	}
	slices.SortStableFunc(rules, func(x, y RuleFit) int {
		return cmp.Or(cmp.Compare(slices.Index(FitStatuses, x.Status), slices.Index(FitStatuses, y.Status)), cmp.Compare(y.Matches, x.Matches),
			cmp.Compare(x.LogSource, y.LogSource), cmp.Compare(x.Title, y.Title), cmp.Compare(x.ID, y.ID))
	})
	out.Results = append(out.Results, rules...)
	for _, l := range fits {
		out.LogSources = append(out.LogSources, *l)
	}
	slices.SortFunc(out.LogSources, func(x, y LogSourceFit) int {
		return cmp.Or(cmp.Compare(min(x.Events, 1), min(y.Events, 1)), cmp.Compare(y.Rules, x.Rules), cmp.Compare(x.LogSource, y.LogSource))
	})
	for _, s := range f.total.order {
		if !reading[s] {
			out.Unread = append(out.Unread, Seen{sourceName(s), f.total.all[s].events})
		}
	}
	slices.SortFunc(out.Unread, func(x, y Seen) int {
		return cmp.Or(cmp.Compare(y.Events, x.Events), cmp.Compare(x.LogSource, y.LogSource))
	})
	for _, in := range f.inputs {
		out.Inputs = append(out.Inputs, in.Input)
	}
	out.Notes = assumed(f.inputs)
	if f.merged {
		out.Notes = append(out.Notes, "The evidence holds more kinds of events than one run tells apart: some rules are said to be able to fire that may not be.")
	}
	if f.sources {
		out.Notes = append(out.Notes, "The evidence holds more log sources than one run tells apart: events of the last ones are left out.")
	}
	if f.dropped {
		out.Notes = append(out.Notes, "Rules that correlations count matched more events than one run keeps: correlations are told of the first ones.")
	}
	return out
}

// A reach is what the evidence has for a log source that rules name.
type reach struct {
	name    string
	sources []model.LogSource
	shapes  []*shape
	events  int64
	names   []string            // of the fields that events have, in order; nil until asked for
	near    map[string][]string // by field: those called nearly the same
}

// bySource returns a function that finds what the evidence has for a log source
// of a rule, and remembers it.
func (f *fitter) bySource() func(sigma.LogSource) *reach {
	known := map[string]*reach{}
	return func(src sigma.LogSource) *reach {
		name := ruleSourceName(src)
		if r := known[name]; r != nil {
			return r
		}
		r := &reach{name: name}
		takes := map[model.LogSource]bool{}
		for _, s := range f.total.order {
			if src.Covers(sigma.LogSource{Product: s.Product, Category: s.Category, Service: s.Service}) {
				takes[s] = true
				r.sources = append(r.sources, s)
				r.events += f.total.all[s].events
			}
		}
		for _, sh := range f.total.list {
			if takes[sh.source] {
				r.shapes = append(r.shapes, sh)
			}
		}
		known[name] = r
		return r
	}
}

// fit tells how far a detection rule gets.
func (f *fitter) fit(out *RuleFit, i int, r *sigma.Rule, src *reach) {
	out.LogSource, out.Events, out.Matches = src.name, src.events, f.total.fired[i]
	switch {
	case out.Matches > 0:
		out.Status = Fired
		return
	case src.events == 0:
		out.Status = LacksLogSource
		return
	}
	kinds := f.kindsOf(r)
	found := false
	for _, sh := range src.shapes {
		if !sh.isOf(kinds) {
			continue
		}
		lacks := r.Lacks(func(field string) bool { return sh.has(f.ids[field]) })
		if lacks == nil {
			out.Status = CanFire
			return
		}
		if !found || len(lacks) < len(out.Fields) {
			found, out.Fields = true, lacks
		}
	}
	if found {
		out.Status = LacksFields
		out.Fields = out.Fields[:min(len(out.Fields), maxFitFields)]
		for i, l := range out.Fields {
			out.Fields[i] = l[:min(len(l), maxFitFields)]
		}
		out.Near = f.near(out.Fields, src)
		return
	}
	out.Status = LacksEvents
	// Values that were never seen are the reason; if each was, but never together,
	// all of them are.
	var never [len(kindFields)]bool
	for k, q := range kinds {
		never[k] = q != nil && !slices.ContainsFunc(src.shapes, func(sh *shape) bool { return sh.any || sh.known[k] && q.Met(sh.kind[k]) })
	}
	together := !slices.Contains(never[:], true)
	for k, q := range kinds {
		if q != nil && (never[k] || together) {
			out.Wants = append(out.Wants, Want{q.Field, q.Values[:min(len(q.Values), maxFitWants)]})
		}
	}
}

// kindsOf returns what a rule requires of the kind fields, nil where it takes any
// value.
func (f *fitter) kindsOf(r *sigma.Rule) (out [len(kindFields)]*sigma.Requirement) {
	for _, q := range r.Requires() {
		for k, id := range kindFields {
			if len(q.Values) > 0 && q.Field == f.a.names.Name(id) {
				out[k] = &q
			}
		}
	}
	return out
}

// isOf reports whether the events of a shape may be of a kind. Those that do not
// say lack the field, which is another matter.
func (s *shape) isOf(kinds [len(kindFields)]*sigma.Requirement) bool {
	for k, q := range kinds {
		if q != nil && s.known[k] && !s.any && !q.Met(s.kind[k]) {
			return false
		}
	}
	return true
}

func (s *shape) has(field model.FieldID) bool {
	_, ok := slices.BinarySearch(s.fields, field)
	return ok
}

// near finds fields of a log source that are called nearly as one that is missing.
func (f *fitter) near(missing [][]string, src *reach) []NearName {
	if src.near == nil {
		names := map[string]bool{}
		for _, s := range src.sources {
			for id := range f.total.all[s].has {
				names[f.a.names.Name(id)] = true
			}
		}
		src.names, src.near = slices.Sorted(maps.Keys(names)), map[string][]string{}
	}
	var out []NearName
	for _, field := range slices.Concat(missing...) {
		near, ok := src.near[field]
		if !ok {
			near = nearNames(field, src.names)
			near = near[:min(len(near), maxNearNames)]
			src.near[field] = near
		}
		if _, there := slices.BinarySearch(src.names, field); len(near) > 0 && !there {
			out = append(out, NearName{field, near})
		}
	}
	return out
}

// fitCorrelations tells how far correlations get, by the rules that they count.
func (f *fitter) fitCorrelations(rules []RuleFit) {
	place := map[string]int{}
	for i, r := range f.a.rules {
		for _, ref := range [...]string{r.ID, r.Name} {
			if _, taken := place[ref]; ref != "" && !taken {
				place[ref] = i
			}
		}
	}
	var fit func(i int) FitStatus
	fit = func(i int) FitStatus {
		c := f.a.rules[i].Correlation
		out := &rules[i]
		if c == nil || out.Status != "" {
			return out.Status
		}
		out.Status = LacksRules // until it is told, should one refer to itself
		able := 0
		for _, ref := range c.Rules {
			if p, ok := place[ref]; ok {
				if s := fit(p); s == CanFire || s == Fired {
					able++
				} else {
					out.Needs = append(out.Needs, rules[p].Title)
				}
				out.Events += rules[p].Events
			}
		}
		out.Matches = f.total.fired[i]
		all := c.Expression == "" && (c.Type == sigma.Temporal || c.Type == sigma.TemporalOrdered)
		switch {
		case out.Matches > 0:
			out.Status = Fired
		case all && able == len(c.Rules), !all && able > 0:
			out.Status = CanFire
		}
		if out.Status != LacksRules {
			out.Needs = nil
		}
		return out.Status
	}
	for i := range rules {
		fit(i)
	}
}

// sourceName writes a log source as product/category/service, what is not known
// left out.
func sourceName(s model.LogSource) string {
	return ruleSourceName(sigma.LogSource{Product: s.Product, Category: s.Category, Service: s.Service})
}

func ruleSourceName(s sigma.LogSource) string {
	var parts []string
	for _, p := range [...]struct{ key, value string }{{"product", s.Product}, {"category", s.Category}, {"service", s.Service}} {
		if p.value != "" {
			parts = append(parts, p.key+"="+strings.ToLower(p.value))
		}
	}
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, " ")
}
