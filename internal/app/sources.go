package app

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/sigma"
)

// A Source is one format that Catena reads, and what it gives.
type Source struct {
	Format     string   `json:"format"`
	Kind       string   `json:"kind"`                   // "events", "alerts" of another product, or "wrapping": a form around records of others
	Decoder    string   `json:"decoder"`                // what reads it
	LogSources []string `json:"log_sources"`            // in Sigma's terms
	Fields     []string `json:"fields"`                 // that the loaded rules look at and its samples have
	Entities   []string `json:"entities"`               // "type/role"
	Acts       []string `json:"acts"`                   // what memory and detectors get of it
	Components []string `json:"data_components"`        // of ATT&CK v19
	Rules      int      `json:"rules"`                  // loaded rules that read its log sources
	Needs      []string `json:"rule_ids"`               // which
	Samples    int      `json:"samples"`                // records of ours that this was found from
	Mapping    string   `json:"mapping_file,omitempty"` // of a source that a mapping file reads
}

// Sources is what can be read, and what the loaded rules have of it.
type Sources struct {
	Sources []Source    `json:"sources"`
	Rules   int         `json:"rules"` // loaded rules that read events
	Unfed   []UnfedRule `json:"unfed"` // those whose log source nothing gives
}

// An UnfedRule is one that no source can feed.
type UnfedRule struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Source    string `json:"source"` // "builtin" or the file
	LogSource string `json:"log_source"`
}

// Sources lists what can be read and what each source gives, by decoding the
// samples that Catena carries: what it says is what the decoders do. A source of a
// user's mapping has no sample; its entities are those that the mapping names.
func (a *App) Sources() (*Sources, error) {
	samples, err := decode.Samples()
	if err != nil {
		return nil, err
	}
	mappings, err := loadMappings(a.opt.Mappings)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, f := range a.set.Fields() {
		wanted[f] = true
	}
	seen := map[string]*gives{}
	of := func(format string) *gives {
		if seen[format] == nil {
			seen[format] = newGives()
		}
		return seen[format]
	}
	for _, s := range samples {
		d := a.registry.Named(s.Decoder)
		if d == nil {
			return nil, fmt.Errorf("sample of %s: there is no decoder %q", s.Format, s.Decoder)
		}
		err := d.Frame(bytes.NewReader(s.Data), func(c decode.Chunk) error {
			var b decode.Batch
			d.Decode(c, &b)
			for i := range b.Events {
				e := &b.Events[i]
				a.registry.Entities(e)
				of(e.Format).event(e, d.Name(), a.names)
			}
			for i := range b.Alerts {
				of(b.Alerts[i].Format).alert(&b.Alerts[i], d.Name())
			}
			return nil
		}, func(model.InputError) {})
		if err != nil {
			return nil, fmt.Errorf("sample of %s: %w", s.Format, err)
		}
	}
	for _, m := range mappings {
		of(m.Name).mapping(m)
	}
	for _, f := range decode.Formats() {
		of(f)
	}
	out := &Sources{Unfed: []UnfedRule{}}
	fed := make([]bool, len(a.rules))
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		g := seen[name]
		if like := seen[decode.Alike(name)]; like != nil && like != g {
			g.join(like)
		}
		for _, s := range decode.FormatSources(name) {
			g.sources[s] = true
		}
		if decode.Wrapping(name) {
			g.kind = "wrapping"
		}
		s := g.source(name, wanted)
		for i, r := range a.rules {
			if a.reads(r) && g.feeds(r.LogSource) {
				fed[i] = true
				s.Rules++
				s.Needs = append(s.Needs, a.engine.Definition(i).Rule.ID)
			}
		}
		out.Sources = append(out.Sources, s)
	}
	rest := newGives() // what single decoders say that they give beyond their samples
	for _, s := range decode.LogSources() {
		rest.sources[s] = true
	}
	for i, r := range a.rules {
		if !a.reads(r) {
			continue
		}
		out.Rules++
		if d := a.engine.Definition(i); !fed[i] && !rest.feeds(r.LogSource) {
			out.Unfed = append(out.Unfed, UnfedRule{ID: d.Rule.ID, Title: d.Rule.Title, Source: d.Rule.Source, LogSource: ruleSourceName(r.LogSource)})
		}
	}
	slices.SortFunc(out.Unfed, func(x, y UnfedRule) int {
		return cmp.Or(cmp.Compare(x.LogSource, y.LogSource), cmp.Compare(x.Title, y.Title), cmp.Compare(x.ID, y.ID))
	})
	return out, nil
}

// reads says whether a rule matches events by itself.
func (a *App) reads(r *sigma.Rule) bool { return r.Correlation == nil && r.Filter == nil }

// gives collects what one format was seen to give.
type gives struct {
	kind, file string
	decoders   map[string]bool
	sources    map[model.LogSource]bool
	fields     map[string]bool
	entities   map[string]bool
	acts       map[string]bool
	components map[string]bool
	samples    int
}

func newGives() *gives {
	return &gives{kind: "events", decoders: map[string]bool{}, sources: map[model.LogSource]bool{}, fields: map[string]bool{}, entities: map[string]bool{},
		acts: map[string]bool{}, components: map[string]bool{}}
}

func (g *gives) event(e *model.Event, decoder string, names *model.Names) {
	g.samples++
	g.decoders[decoder] = true
	if e.Source != (model.LogSource{}) {
		g.sources[e.Source] = true
	}
	for i := range e.Slots {
		g.fields[names.Name(e.Slots[i].Field)] = true
	}
	g.cast(e.Entities)
	g.act(e.Act, e.Subsystem)
}

func (g *gives) alert(a *model.Alert, decoder string) {
	g.samples++
	g.kind = "alerts"
	g.decoders[decoder] = true
	g.cast(a.Entities)
	g.act(a.Act, a.Subsystem)
}

func (g *gives) cast(es []model.Entity) {
	for i := range es {
		g.entities[string(es[i].Type)+"/"+string(es[i].Role)] = true
	}
}

func (g *gives) act(act model.Act, s model.Subsystem) {
	if act == model.ActNone {
		return
	}
	g.acts[act.String()] = true
	for _, c := range knowledge.Components(act, s) {
		g.components[c] = true
	}
}

func (g *gives) mapping(m *decode.Mapping) {
	g.file = m.File
	g.kind = "alerts"
	if s, ok := m.LogSource(); ok {
		g.kind = "events"
		g.sources[s] = true
	}
	for _, p := range m.Parts() {
		g.entities[string(p.Type)+"/"+string(p.Role)] = true
	}
	g.act(m.Act(), "")
	g.decoders["mapping"] = true
}

// join takes over what is known of a format with the same records.
func (g *gives) join(o *gives) {
	for _, p := range [...]struct{ to, from map[string]bool }{{g.fields, o.fields}, {g.entities, o.entities}, {g.acts, o.acts}, {g.components, o.components}} {
		maps.Copy(p.to, p.from)
	}
	maps.Copy(g.sources, o.sources)
}

func (g *gives) feeds(s sigma.LogSource) bool {
	for have := range g.sources {
		if s.Covers(sigma.LogSource{Product: have.Product, Category: have.Category, Service: have.Service}) {
			return true
		}
	}
	return false
}

func (g *gives) source(name string, wanted map[string]bool) Source {
	s := Source{Format: name, Kind: g.kind, Decoder: strings.Join(slices.Sorted(maps.Keys(g.decoders)), " "), Samples: g.samples, Mapping: g.file,
		Entities: sortedSet(g.entities), Acts: sortedSet(g.acts), Components: sortedSet(g.components), LogSources: []string{}, Fields: []string{}, Needs: []string{}}
	if s.Decoder == "" {
		s.Decoder = name // one decoder reads it alone
	}
	for src := range g.sources {
		s.LogSources = append(s.LogSources, ruleSourceName(sigma.LogSource{Product: src.Product, Category: src.Category, Service: src.Service}))
	}
	slices.Sort(s.LogSources)
	for f := range g.fields {
		if wanted[f] {
			s.Fields = append(s.Fields, f)
		}
	}
	slices.Sort(s.Fields)
	return s
}

func sortedSet(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	return slices.AppendSeq(out, slices.Values(slices.Sorted(maps.Keys(m))))
}

// WriteSourcesText writes one line a source and, below, the rules that nothing
// feeds; of one source alone, all that it gives.
func WriteSourcesText(w io.Writer, s *Sources) error {
	if len(s.Sources) == 1 {
		return writeSourceText(w, &s.Sources[0])
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "FORMAT\tKIND\tREAD BY\tLOG SOURCES\tFIELDS\tENTITIES\tACTS\tCOMPONENTS\tRULES") //nolint:errcheck // Flush says it
	for i := range s.Sources {
		x := &s.Sources[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", report.Clean(x.Format), x.Kind, x.Decoder, len(x.LogSources), len(x.Fields), len(x.Entities), len(x.Acts), //nolint:errcheck // Flush says it
			len(x.Components), x.Rules)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%d sources; %d of %d rules have none that could feed them", len(s.Sources), len(s.Unfed), s.Rules); err != nil {
		return err
	}
	by := map[string]int{}
	for _, u := range s.Unfed {
		by[u.LogSource]++
	}
	sep := ":\n"
	for _, src := range slices.Sorted(maps.Keys(by)) {
		if _, err := fmt.Fprintf(w, "%s  %d\t%s", sep, by[src], report.Clean(src)); err != nil {
			return err
		}
		sep = "\n"
	}
	_, err := fmt.Fprintln(w)
	return err
}

func writeSourceText(w io.Writer, x *Source) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, read by %s, known from %d of our records\n", report.Clean(x.Format), x.Kind, x.Decoder, x.Samples)
	for _, part := range [...]struct {
		name string
		list []string
	}{{"log sources", x.LogSources}, {"fields that rules use", x.Fields}, {"entities", x.Entities}, {"acts", x.Acts}, {"ATT&CK data components", x.Components}, {"rules that read it", x.Needs}} {
		fmt.Fprintf(&b, "\n%s (%d)\n", part.name, len(part.list))
		for _, v := range part.list {
			fmt.Fprintf(&b, "  %s\n", report.Clean(v))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
