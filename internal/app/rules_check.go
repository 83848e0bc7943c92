package app

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/pack"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
)

// RuleCheck is what CheckRules found; its JSON form is the contract's, with more
// said of each warning.
type RuleCheck struct {
	Files    int       `json:"files"`
	Loaded   int       `json:"loaded"`
	Refused  []Refusal `json:"refused"`
	Warnings []Warning `json:"warnings"`
	// Packs are the packs that were read, in the order given.
	Packs []PackLine `json:"packs"`
	// BadPacks are the paths of packs that must not be used; the files that are why
	// stand among Refused, and the rules of such a pack are not looked at.
	BadPacks []string `json:"bad_packs,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what was left out on purpose
}

// A Warning is advice on a rule that can be used.
type Warning struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"` // 1-based; absent if it is about the rule as a whole
	Where  string `json:"where,omitempty"`  // the part of the rule
	Code   string `json:"code"`             // names the kind of advice
	Reason string `json:"reason"`
	Fix    string `json:"fix"`
}

// String returns the warning on one line.
func (w Warning) String() string {
	at := fmt.Sprintf("%s:%d", w.File, w.Line)
	if w.Column > 0 {
		at += fmt.Sprintf(":%d", w.Column)
	}
	if w.Where != "" {
		at += ": " + w.Where
	}
	return fmt.Sprintf("%s: %s; %s (%s)", at, w.Reason, w.Fix, w.Code)
}

// CheckRules says of rules which can be used, why the others cannot, and what
// their authors will want to know. skip names the kinds of advice to leave out.
func CheckRules(o Options, skip []string) (*RuleCheck, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	a := &App{opt: o, names: model.NewNames()}
	packs, err := openPacks(&o)
	if err != nil {
		return nil, err
	}
	out := &RuleCheck{Refused: []Refusal{}, Warnings: []Warning{}}
	packs = slices.DeleteFunc(packs, func(p *pack.Pack) bool {
		out.Packs = append(out.Packs, packLine(p))
		bad := p.Check(o.Version)
		if len(bad) > 0 {
			out.BadPacks = append(out.BadPacks, p.Path)
		}
		out.Refused = append(out.Refused, bad...)
		return len(bad) > 0
	})
	if err := a.loadPacks(packs); err != nil {
		return nil, err
	}
	mappings, err := loadMappings(o.Mappings)
	if err != nil {
		return nil, err
	}
	decode.NewRegistry(decoders(decode.Options{Names: a.names, Mappings: mappings})...) // which names the fields that decoders give
	filters := 0
	adviser, err := newAdviser(a.names, mappings)
	if err != nil {
		return nil, err
	}
	for _, r := range a.packs.Parsed {
		if r.Filter != nil {
			filters++
		}
		for _, w := range adviser.advise(r) {
			if !slices.Contains(skip, w.Code) {
				out.Warnings = append(out.Warnings, w)
			}
		}
	}
	out.Files, out.Loaded, out.Notes = a.packs.Files, len(a.rules)+filters, a.packs.Notes()
	out.Refused = append(append(out.Refused, a.refused...), a.packs.Replaced()...)
	slices.SortStableFunc(out.Refused, func(x, y Refusal) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Reason, y.Reason))
	})
	slices.SortStableFunc(out.Warnings, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column), cmp.Compare(x.Code, y.Code))
	})
	return out, nil
}

// ruleAdviser knows what a rule can meet here: log sources, fields, ATT&CK.
type ruleAdviser struct {
	sources []model.LogSource
	fields  map[string]bool
	names   []string // of fields, in the order of their ids
}

// newAdviser takes as known the fields that decoders name by themselves and those
// that our own rules read, as many formats carry names of their own.
func newAdviser(names *model.Names, mappings []*decode.Mapping) (*ruleAdviser, error) {
	a := &ruleAdviser{sources: decode.LogSources(), fields: map[string]bool{}}
	for _, m := range mappings {
		if s, ok := m.LogSource(); ok {
			a.sources = append(a.sources, s)
		}
	}
	own, err := rules.Files()
	if err != nil {
		return nil, err
	}
	for _, f := range own {
		parsed, err := sigma.Parse(f.Path, f.Source)
		if err != nil {
			return nil, err
		}
		for _, r := range parsed {
			for _, field := range r.Reads() {
				names.ID(field)
			}
		}
	}
	for id := 1; id < names.Len(); id++ {
		name := names.Name(model.FieldID(id)) //nolint:gosec // MaxFieldNames is far below 4 billion
		a.fields[name] = true
		a.names = append(a.names, name)
	}
	return a, nil
}

// Bounds of the advice on one rule: looking for places and for near names takes
// time, and a rule may be written to take much.
const (
	maxWarnings   = 250
	maxNearFields = 1000 // fields that are held against known ones
)

// advise returns all advice on a rule.
func (a *ruleAdviser) advise(r *sigma.Rule) []Warning {
	var out []Warning
	for _, x := range r.Advise() {
		out = append(out, Warning{x.File, x.Line, x.Column, x.Where, x.Code, x.Problem, x.Fix})
	}
	add := func(key, text, code, reason, fix string) {
		if len(out) >= maxWarnings {
			return
		}
		line, column := r.Locate(key, text)
		out = append(out, Warning{r.File, line, column, key, code, reason, fix})
	}
	for _, tag := range r.Tags[:min(len(r.Tags), knowledge.MaxTags)] {
		if code, reason, fix := adviseTag(tag, r.Tags); code != "" {
			add("tags", tag, code, reason, fix)
		}
	}
	if r.Correlation != nil {
		return out
	}
	if known, near := a.source(r.LogSource); !known {
		fix := "bring the events in with a mapping of kind event, or change the log source with --pipeline"
		if near != "" {
			fix = "there is " + near
		}
		add("logsource", "", "logsource-unknown", "no decoder gives events of "+ruleSourceName(r.LogSource)+": the rule cannot match", fix)
		return out // its fields are of a product that is not known either
	}
	where := "detection"
	if r.Filter != nil {
		where = "filter"
	}
	reads := r.Reads()
	for _, f := range reads[:min(len(reads), maxNearFields)] {
		if a.fields[f] {
			continue
		}
		if near := a.near(f, strings.EqualFold(r.LogSource.Product, "windows")); len(near) > 0 {
			add(where, f, "field-near", fmt.Sprintf("no decoder names the field %q by itself, and fields are told by case", f), "see whether "+strings.Join(near, " or ")+" is meant")
		}
	}
	return out
}

// near returns known fields that differ from one in case or by one letter only. On
// Windows those that other products begin with a small letter are not meant.
func (a *ruleAdviser) near(field string, windows bool) []string {
	var out []string
	for _, n := range nearNames(field, a.names) {
		small := n[0] >= 'a' && n[0] <= 'z'
		if len(out) < maxNearNames && !strings.Contains(n, ".") && (!windows || !small) {
			out = append(out, n)
		}
	}
	return out
}

// source reports whether events of a log source can be had, and if not, which
// other is called nearly the same.
func (a *ruleAdviser) source(s sigma.LogSource) (known bool, near string) {
	for _, have := range a.sources {
		if s.Covers(sigma.LogSource{Product: have.Product, Category: have.Category, Service: have.Service}) {
			return true, ""
		}
	}
	var products, categories, services []string
	for _, have := range a.sources {
		products = append(products, have.Product)
		if strings.EqualFold(have.Product, s.Product) || s.Product == "" {
			categories = append(categories, have.Category)
			services = append(services, have.Service)
		}
	}
	for _, part := range [...]struct {
		key, value string
		have       []string
	}{{"product", s.Product, products}, {"category", s.Category, categories}, {"service", s.Service, services}} {
		if names := nearNames(part.value, part.have); len(names) > 0 && part.value != "" && !slices.Contains(part.have, strings.ToLower(part.value)) {
			return false, part.key + " " + names[0]
		}
	}
	return false, ""
}

// adviseTag looks at one tag, code being empty if nothing is to be said.
func adviseTag(tag string, all []string) (code, reason, fix string) {
	space, word, ok := strings.Cut(strings.ToLower(tag), ".")
	switch {
	case !ok || space == "" || word == "":
		return "tag-format", fmt.Sprintf("the tag %q has no name space", tag), "write it as attack.t1059.001, cve.2024-1234 or the like"
	case space != "attack":
		return "", "", ""
	case tag != strings.ToLower(tag):
		return "tag-format", fmt.Sprintf("the tag %q is not in lower case", tag), "write " + strings.ToLower(tag)
	}
	if isTechnique(word) {
		return adviseTechnique(word)
	}
	if kind := strings.TrimRight(word, "0123456789"); len(word) == len(kind)+4 && slices.Contains([]string{"g", "s", "c", "m", "ds", "dc", "det"}, kind) {
		return "", "", "" // a group, software, campaign, mitigation, data source or the like
	}
	now, known := knowledge.Tactic(word)
	switch {
	case !known:
		return "tag-unknown", fmt.Sprintf("ATT&CK v%s has no tactic %q", knowledge.AttackVersion, word), "see the list of tactics: catena rules coverage"
	case strings.ReplaceAll(word, "_", "-") == "defense-evasion":
		_, tactics := knowledge.FromTags(all)
		tactics = slices.DeleteFunc(tactics, func(t string) bool { return t != knowledge.Stealth && t != knowledge.DefenseImpairment })
		return "tag-revoked", "ATT&CK v19 has no tactic defense-evasion any more", "write attack." + strings.Join(tactics, " and attack.")
	case word != now.ShortName && word != strings.ToLower(now.ID):
		return "tag-format", fmt.Sprintf("ATT&CK calls the tactic %q %s", word, now.ShortName), "write attack." + now.ShortName
	}
	return "", "", ""
}

// isTechnique reports whether a word looks like t1059 or t1059.001.
func isTechnique(word string) bool {
	id, sub, _ := strings.Cut(strings.TrimPrefix(word, "t"), ".")
	return word[0] == 't' && len(id) == 4 && strings.Trim(id+sub, "0123456789") == ""
}

func adviseTechnique(word string) (code, reason, fix string) {
	id := strings.ToUpper(word)
	t, ok := knowledge.Lookup(id)
	now, resolves := knowledge.Resolve(id)
	successor := "write attack." + strings.ToLower(now) + " (" + knowledge.TechniqueName(now) + ")"
	switch {
	case !ok && resolves:
		return "tag-unknown", fmt.Sprintf("ATT&CK v%s has no technique %s", knowledge.AttackVersion, id), successor
	case !ok:
		return "tag-unknown", fmt.Sprintf("ATT&CK v%s has no technique %s", knowledge.AttackVersion, id), "correct or remove the tag"
	case t.RevokedBy != "" && resolves:
		return "tag-revoked", fmt.Sprintf("ATT&CK v%s has replaced %s (%s)", knowledge.AttackVersion, id, t.Name), successor
	case t.Deprecated:
		return "tag-deprecated", fmt.Sprintf("ATT&CK v%s has retired %s (%s)", knowledge.AttackVersion, id, t.Name), "name the technique that is meant today"
	}
	return "", "", ""
}

// checkShown is how many warnings of one kind the text shows unless all are asked
// for.
const checkShown = 5

// WriteText writes what was found for people: errors, then warnings, of each kind
// only the first unless all is set, then counts.
func (c *RuleCheck) WriteText(w io.Writer, all bool) error {
	p := &lines{w: w}
	for _, r := range c.Refused {
		p.line("%s", r)
	}
	byCode := map[string]int{}
	for _, x := range c.Warnings {
		if byCode[x.Code]++; all || byCode[x.Code] <= checkShown {
			p.line("warning: %s", x)
		}
	}
	codes := sortedByCount(byCode)
	if len(codes) > 0 {
		p.line("")
		p.line("warnings  kind")
	}
	for _, code := range codes {
		more := ""
		if !all && byCode[code] > checkShown {
			more = fmt.Sprintf("  (%d shown; --all shows all, --skip %s none)", checkShown, code)
		}
		p.line("%8d  %s%s", byCode[code], code, more)
	}
	if len(codes) > 0 {
		p.line("")
	}
	for _, n := range c.Notes {
		p.line("%s", n)
	}
	for _, x := range c.Packs {
		if x.Name != "" && !x.Builtin {
			p.line("%s", x.Text())
		}
	}
	p.line("%s, %s can be used, %d cannot%s", count(c.Files, "file"), count(c.Loaded, "rule"), len(c.Refused), placeholderHint(c.Refused))
	return p.err
}

// placeholderHint says what refused rules with placeholders need, if there are any.
func placeholderHint(refused []Refusal) string {
	n := 0
	for _, r := range refused {
		if strings.Contains(r.Reason, "placeholder %") {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d for want of placeholder values: --var NAME=VALUE or --pipeline)", n)
}

// sortedByCount returns the keys of counts, the largest count first.
func sortedByCount(counts map[string]int) []string {
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int { return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y)) })
	return keys
}

// WriteJUnit writes what was found for build servers: one suite a file, an error
// for every rule that cannot be used, and warnings as skipped checks, or as failed
// ones if strict.
func (c *RuleCheck) WriteJUnit(w io.Writer, strict bool) error {
	suites := map[string]*report.Suite{}
	var order []string
	add := func(file string, check report.Check) {
		if suites[file] == nil {
			suites[file] = &report.Suite{Name: file, File: file}
			order = append(order, file)
		}
		suites[file].Cases = append(suites[file].Cases, check)
	}
	for _, r := range c.Refused {
		add(r.File, report.Check{Name: "can be used", Line: r.Line, Failure: r.Reason})
	}
	for _, x := range c.Warnings {
		check := report.Check{Name: x.Code, Line: x.Line, Skipped: x.String()}
		if strict {
			check.Failure, check.Skipped = check.Skipped, ""
		}
		add(x.File, check)
	}
	slices.Sort(order)
	out := []report.Suite{{Name: "rules", Cases: []report.Check{{Name: fmt.Sprintf("%s, %s can be used", count(c.Files, "file"), count(c.Loaded, "rule"))}}}}
	for _, file := range order {
		out = append(out, *suites[file])
	}
	return report.WriteJUnit(w, "catena rules check", out)
}
