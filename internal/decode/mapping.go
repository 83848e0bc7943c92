package decode

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/model"
)

// A Mapping tells, as data, how rows of a product Catena does not know become
// alerts (or events): which columns or keys make a row its own, and what stands
// in them. It is written as YAML:
//
//	name: acme                      # what Event.Format and Alert.Format say
//	kind: alert                     # or event
//	match:
//	  columns: [time, title]        # all must be there
//	  equals: {vendor: Acme}        # and these hold these values
//	derive:                         # fields made of fields: group 1 of a pattern
//	  - {name: sensor, field: title, pattern: '^([^:]+): '}
//	product: "{sensor}"             # text with {field} in it
//	time: {field: time, format: epoch_s, zone: UTC}
//	rule: {id: "{title}", title: "{title}"}
//	severity: {field: prio, map: {"1": high, "2": low}, default: medium}
//	subsystem: network
//	entities:
//	  - {type: host, role: subject, field: host}
//	  - {type: user, role: actor, field: user, host: host}
//	techniques: {field: mitre}      # every ATT&CK id found in the value
//	tactics: {field: tactic}        # names, separated by , ; or |
//	cases:                          # by what a field says
//	  - {field: title, contains: ["brute force"], techniques: [T1110], severity: high}
//	                                # every case that holds adds its techniques and tactics;
//	                                # severity and subsystem are the first's that has one
//	dedupe: [alert_id]              # rows equal in these are the same alert
//	ignore: [label]                 # never evidence, entity or anything else
//
// time.format is rfc3339, epoch_s, epoch_ms, epoch_us or a layout of Go's time
// package; without a zone in the stamp, time.zone or the user's zone holds. A
// mapping of kind event has, instead of rule and severity:
//
//	source: {product: acme, category: "", service: audit}
//	code: "{action}"
//	host: "{computer}"
//	act: logon
//	fields: {User: "{account}"}     # further fields, by Sigma's names
//	syslog: {message: text, program: proc, pid: pid}   # the row wraps a syslog message
//
// A Mapping is read-only once parsed.
type Mapping struct {
	Name string
	File string // where it was read from, for messages

	event      bool
	columns    []string
	equals     []pair
	derive     []derivation
	product    template
	timeField  string
	timeFormat string
	timeZone   *time.Location
	ruleID     template
	ruleTitle  template
	sevField   string
	sevMap     map[string]model.Severity
	sevDefault model.Severity
	subsystem  model.Subsystem
	entities   []entityRule
	techField  string
	tactField  string
	cases      []caseRule
	dedupe     []string
	ignore     []string

	source model.LogSource
	code   template
	host   template
	act    model.Act
	fields []fieldRule

	message, program, pid string // fields of a wrapped syslog message
}

type pair struct{ name, value string }

type derivation struct {
	name, field string
	pattern     *regexp.Regexp
}

type entityRule struct {
	typ   model.EntityType
	role  model.Role
	field string
	host  string // field that holds the host a user, file, process or session belongs to
}

// caseRule is what one row of cases says when its field holds one of its words.
type caseRule struct {
	field      string
	contains   []string // lower case
	exact      []string // lower case
	pattern    *regexp.Regexp
	techniques []string
	tactics    []string
	severity   model.Severity
	subsystem  model.Subsystem
}

type fieldRule struct {
	name string
	text template
}

// A template is text with fields in it: literal, field, literal, field, ..., literal.
type template []string

func (t template) empty() bool { return len(t) == 0 }

// Limits of a mapping file.
const (
	maxMappingFile  = 1 << 20
	maxMappingList  = 4096
	maxMappingRegex = 1024
)

// ParseMapping reads a mapping file. Its errors name the file and, where one can
// be named, the line.
func ParseMapping(file string, src []byte) (*Mapping, error) {
	if len(src) > maxMappingFile {
		return nil, fmt.Errorf("%s: longer than %d bytes", file, maxMappingFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) != 1 {
		return nil, fmt.Errorf("%s: empty", file)
	}
	m := &Mapping{File: file, sevDefault: model.Medium, timeFormat: "rfc3339"}
	if err := m.read(doc.Content[0]); err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	return m, nil
}

// lineError is an error of one line of a mapping file.
func lineError(n *yaml.Node, format string, a ...any) error {
	return fmt.Errorf("%d: %s", n.Line, fmt.Sprintf(format, a...))
}

// eachKey calls fn for every key of a YAML mapping; fn answers errUnknownKey for
// keys it does not know.
func eachKey(n *yaml.Node, fn func(key string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return lineError(n, "expected a mapping of keys to values")
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if seen[k.Value] {
			return lineError(k, "key %q twice", k.Value)
		}
		seen[k.Value] = true
		if err := fn(k.Value, v); errors.Is(err, errUnknownKey) {
			return lineError(k, "unknown key %q", k.Value)
		} else if err != nil {
			return err
		}
	}
	return nil
}

var errUnknownKey = errors.New("unknown key")

// scalar reads a text.
func scalar(dst *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return lineError(n, "expected a text")
		}
		*dst = n.Value
		return nil
	}
}

// list reads a list of texts; a single text is a list of one.
func list(n *yaml.Node) ([]string, error) {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}, nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxMappingList {
		return nil, lineError(n, "expected a list of at most %d texts", maxMappingList)
	}
	out := make([]string, len(n.Content))
	for i, c := range n.Content {
		if err := scalar(&out[i])(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// eachItem calls fn for every item of a YAML list.
func eachItem(n *yaml.Node, fn func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxMappingList {
		return lineError(n, "expected a list of at most %d items", maxMappingList)
	}
	for _, c := range n.Content {
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

func pattern(n *yaml.Node) (*regexp.Regexp, error) {
	if n.Kind != yaml.ScalarNode || len(n.Value) > maxMappingRegex {
		return nil, lineError(n, "expected a regular expression of at most %d bytes", maxMappingRegex)
	}
	re, err := regexp.Compile(n.Value)
	if err != nil {
		return nil, lineError(n, "%v", err)
	}
	return re, nil
}

// parseTemplate splits "a{b}c" into "a", "b", "c". "{{" is a brace.
func parseTemplate(n *yaml.Node) (template, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, lineError(n, "expected a text")
	}
	var (
		t   template
		lit strings.Builder
		s   = n.Value
	)
	for i := 0; i < len(s); i++ {
		if s[i] != '{' {
			lit.WriteByte(s[i])
			continue
		}
		if strings.HasPrefix(s[i:], "{{") {
			lit.WriteByte('{')
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 2 {
			return nil, lineError(n, "%q: a { without a field and a }", s)
		}
		t = append(t, lit.String(), s[i+1:i+end])
		lit.Reset()
		i += end
	}
	return append(t, lit.String()), nil
}

func severity(n *yaml.Node) (model.Severity, error) {
	s := model.Severity(n.Value)
	if s.Rank() < 0 {
		return "", lineError(n, "%q is no severity: informational, low, medium, high or critical", n.Value)
	}
	return s, nil
}

// read fills m from the root of a mapping file.
func (m *Mapping) read(root *yaml.Node) error {
	err := eachKey(root, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "name":
			return scalar(&m.Name)(v)
		case "description":
			return scalar(new(string))(v)
		case "kind":
			if v.Value != "alert" && v.Value != "event" {
				return lineError(v, "%q is no kind: alert or event", v.Value)
			}
			m.event = v.Value == "event"
		case "match":
			return m.readMatch(v)
		case "derive":
			return eachItem(v, m.readDerive)
		case "product":
			m.product, err = parseTemplate(v)
		case "time":
			return m.readTime(v)
		case "rule":
			return eachKey(v, func(key string, v *yaml.Node) (err error) {
				switch key {
				case "id":
					m.ruleID, err = parseTemplate(v)
				case "title":
					m.ruleTitle, err = parseTemplate(v)
				default:
					return errUnknownKey
				}
				return err
			})
		case "severity":
			return m.readSeverity(v)
		case "subsystem":
			m.subsystem, err = readSubsystem(v)
		case "entities":
			return eachItem(v, m.readEntity)
		case "techniques":
			return readField(v, &m.techField)
		case "tactics":
			return readField(v, &m.tactField)
		case "cases":
			return eachItem(v, m.readCase)
		case "dedupe":
			m.dedupe, err = list(v)
		case "ignore":
			m.ignore, err = list(v)
		case "source":
			return eachKey(v, func(key string, v *yaml.Node) error {
				switch key {
				case "product":
					return scalar(&m.source.Product)(v)
				case "category":
					return scalar(&m.source.Category)(v)
				case "service":
					return scalar(&m.source.Service)(v)
				}
				return errUnknownKey
			})
		case "code":
			m.code, err = parseTemplate(v)
		case "host":
			m.host, err = parseTemplate(v)
		case "act":
			m.act, err = readAct(v)
		case "syslog":
			return eachKey(v, func(key string, v *yaml.Node) error {
				switch key {
				case "message":
					return scalar(&m.message)(v)
				case "program":
					return scalar(&m.program)(v)
				case "pid":
					return scalar(&m.pid)(v)
				}
				return errUnknownKey
			})
		case "fields":
			return eachKey(v, func(key string, v *yaml.Node) error {
				t, err := parseTemplate(v)
				m.fields = append(m.fields, fieldRule{key, t})
				return err
			})
		default:
			return errUnknownKey
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.check(root)
}

var subsystems = []model.Subsystem{model.Compute, model.Identity, model.Network, model.Storage, model.Database,
	model.Kubernetes, model.Application, model.Email, model.Secrets, model.Management}

var entityTypes = []model.EntityType{model.Host, model.User, model.Process, model.File, model.Hash, model.IP, model.Domain, model.URL,
	model.Session, model.AccessKey, model.IAMRole, model.Resource, model.Container, model.Pod, model.Namespace, model.Mailbox, model.App}

var entityRoles = []model.Role{model.Subject, model.Actor, model.Parent, model.Src, model.Dst, model.Target, model.Object, model.Indicator, model.Sensor}

// check demands what a mapping cannot do without, and that ignored fields are
// not used after all.
func (m *Mapping) check(root *yaml.Node) error {
	switch {
	case m.Name == "":
		return lineError(root, "name is missing")
	case len(m.columns) == 0:
		return lineError(root, "match.columns is missing: it says which rows are these")
	case m.timeField == "":
		return lineError(root, "time.field is missing")
	case !m.event && (m.ruleID.empty() || m.ruleTitle.empty()):
		return lineError(root, "rule.id or rule.title is missing")
	case !m.event && m.product.empty():
		return lineError(root, "product is missing")
	case m.event && m.source.Product == "" && m.message == "":
		return lineError(root, "source.product is missing")
	}
	used := []string{m.timeField, m.sevField, m.techField, m.tactField, m.message, m.program, m.pid}
	for _, t := range []template{m.product, m.ruleID, m.ruleTitle, m.code, m.host} {
		for i := 1; i < len(t); i += 2 {
			used = append(used, t[i])
		}
	}
	for _, f := range m.fields {
		for i := 1; i < len(f.text); i += 2 {
			used = append(used, f.text[i])
		}
	}
	for _, d := range m.derive {
		used = append(used, d.field)
	}
	for _, e := range m.entities {
		used = append(used, e.field, e.host)
	}
	for _, c := range m.cases {
		used = append(used, c.field)
	}
	used = append(used, m.dedupe...)
	for _, name := range m.ignore {
		if slices.Contains(used, name) {
			return lineError(root, "field %q is both ignored and used", name)
		}
	}
	return nil
}

func readSubsystem(n *yaml.Node) (model.Subsystem, error) {
	s := model.Subsystem(n.Value)
	if !slices.Contains(subsystems, s) {
		return "", lineError(n, "%q is no subsystem", n.Value)
	}
	return s, nil
}

func (m *Mapping) readMatch(n *yaml.Node) error {
	return eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "columns":
			m.columns, err = list(v)
			return err
		case "equals":
			return eachKey(v, func(key string, v *yaml.Node) error {
				p := pair{name: key}
				err := scalar(&p.value)(v)
				m.equals = append(m.equals, p)
				return err
			})
		}
		return errUnknownKey
	})
}

func (m *Mapping) readDerive(n *yaml.Node) error {
	var d derivation
	err := eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "name":
			return scalar(&d.name)(v)
		case "field":
			return scalar(&d.field)(v)
		case "pattern":
			d.pattern, err = pattern(v)
			return err
		}
		return errUnknownKey
	})
	if err == nil && (d.name == "" || d.field == "" || d.pattern == nil || d.pattern.NumSubexp() < 1) {
		err = lineError(n, "a derived field needs name, field and a pattern with a group")
	}
	m.derive = append(m.derive, d)
	return err
}

func (m *Mapping) readTime(n *yaml.Node) error {
	return eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "field":
			return scalar(&m.timeField)(v)
		case "format":
			switch v.Value {
			case "rfc3339", "epoch_s", "epoch_ms", "epoch_us":
			default:
				if !strings.Contains(v.Value, "06") {
					return lineError(v, "%q is no time format: rfc3339, epoch_s, epoch_ms, epoch_us or a layout with a year", v.Value)
				}
			}
			return scalar(&m.timeFormat)(v)
		case "zone":
			if m.timeZone, err = time.LoadLocation(v.Value); err != nil {
				return lineError(v, "%v", err)
			}
			return nil
		}
		return errUnknownKey
	})
}

func (m *Mapping) readSeverity(n *yaml.Node) error {
	return eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "field":
			return scalar(&m.sevField)(v)
		case "default":
			m.sevDefault, err = severity(v)
			return err
		case "map":
			m.sevMap = make(map[string]model.Severity)
			return eachKey(v, func(key string, v *yaml.Node) error {
				s, err := severity(v)
				m.sevMap[strings.ToLower(key)] = s
				return err
			})
		}
		return errUnknownKey
	})
}

func (m *Mapping) readEntity(n *yaml.Node) error {
	var e entityRule
	err := eachKey(n, func(key string, v *yaml.Node) error {
		switch key {
		case "type":
			e.typ = model.EntityType(v.Value)
			if !slices.Contains(entityTypes, e.typ) {
				return lineError(v, "%q is no entity type", v.Value)
			}
		case "role":
			e.role = model.Role(v.Value)
			if !slices.Contains(entityRoles, e.role) {
				return lineError(v, "%q is no role", v.Value)
			}
		case "field":
			return scalar(&e.field)(v)
		case "host":
			return scalar(&e.host)(v)
		default:
			return errUnknownKey
		}
		return nil
	})
	if err == nil && (e.typ == "" || e.role == "" || e.field == "") {
		err = lineError(n, "an entity needs type, role and field")
	}
	m.entities = append(m.entities, e)
	return err
}

func readField(n *yaml.Node, dst *string) error {
	return eachKey(n, func(key string, v *yaml.Node) error {
		if key == "field" {
			return scalar(dst)(v)
		}
		return errUnknownKey
	})
}

func (m *Mapping) readCase(n *yaml.Node) error {
	var c caseRule
	err := eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "field":
			return scalar(&c.field)(v)
		case "contains":
			c.contains, err = list(v)
		case "exact":
			c.exact, err = list(v)
		case "regex":
			c.pattern, err = pattern(v)
		case "techniques":
			c.techniques, err = list(v)
			for _, t := range c.techniques {
				if err == nil && techniqueID.FindString(t) != t {
					err = lineError(v, "%q is no technique id", t)
				}
			}
		case "tactics":
			c.tactics, err = list(v)
		case "severity":
			c.severity, err = severity(v)
		case "subsystem":
			c.subsystem, err = readSubsystem(v)
		default:
			return errUnknownKey
		}
		return err
	})
	if err == nil && (c.field == "" || len(c.contains)+len(c.exact) == 0 && c.pattern == nil) {
		err = lineError(n, "a case needs field and contains, exact or regex")
	}
	for i := range c.contains {
		c.contains[i] = strings.ToLower(c.contains[i])
	}
	for i := range c.exact {
		c.exact[i] = strings.ToLower(c.exact[i])
	}
	m.cases = append(m.cases, c)
	return err
}

func readAct(n *yaml.Node) (model.Act, error) {
	for a := model.ActNone + 1; !strings.HasPrefix(a.String(), "act("); a++ {
		if a.String() == n.Value {
			return a, nil
		}
	}
	return model.ActNone, lineError(n, "%q is no act", n.Value)
}

var techniqueID = regexp.MustCompile(`\bT\d{4}(?:\.\d{3})?\b`)

// A boundMapping is a mapping whose fields were looked up in a table of names,
// so that rows are read without comparing texts. It is read-only.
type boundMapping struct {
	*Mapping
	names   *model.Names
	zone    *time.Location
	ids     map[string]model.FieldID // every field the mapping names, derived ones excepted
	derived map[string]int           // index into derive
	ignored map[model.FieldID]bool
}

// bind prepares m for rows whose fields are named by names; zone is for stamps
// without one.
func (m *Mapping) bind(names *model.Names, zone *time.Location) *boundMapping {
	if zone == nil {
		zone = time.UTC
	}
	if m.timeZone != nil {
		zone = m.timeZone
	}
	bm := &boundMapping{Mapping: m, names: names, zone: zone, ids: map[string]model.FieldID{}, derived: map[string]int{}, ignored: map[model.FieldID]bool{}}
	for i, d := range m.derive {
		bm.derived[d.name] = i
	}
	add := func(list ...string) {
		for _, name := range list {
			if name != "" {
				bm.ids[name] = names.ID(name)
			}
		}
	}
	add(m.timeField, m.sevField, m.techField, m.tactField, m.message, m.program, m.pid)
	add(m.columns...)
	add(m.dedupe...)
	for _, t := range []template{m.product, m.ruleID, m.ruleTitle, m.code, m.host} {
		for i := 1; i < len(t); i += 2 {
			add(t[i])
		}
	}
	for _, f := range m.fields {
		add(f.name)
		for i := 1; i < len(f.text); i += 2 {
			add(f.text[i])
		}
	}
	for _, p := range m.equals {
		add(p.name)
	}
	for _, d := range m.derive {
		add(d.field)
	}
	for _, e := range m.entities {
		add(e.field, e.host)
	}
	for _, c := range m.cases {
		add(c.field)
	}
	for _, name := range m.ignore {
		bm.ignored[names.ID(name)] = true
	}
	return bm
}

// bindMappings binds every mapping of o.
func bindMappings(o Options) []*boundMapping {
	out := make([]*boundMapping, len(o.Mappings))
	for i, m := range o.Mappings {
		out[i] = m.bind(o.Names, o.Zone)
	}
	return out
}

// matches says whether the row under construction in b is this mapping's.
func (bm *boundMapping) matches(b *Batch) bool {
	for _, c := range bm.columns {
		if _, ok := b.Get(bm.ids[c]); !ok {
			return false
		}
	}
	for _, p := range bm.equals {
		if b.Text(bm.ids[p.name]) != p.value {
			return false
		}
	}
	return true
}

// A row reads the fields of the event under construction for a mapping.
type row struct {
	*boundMapping
	b       *Batch
	derived []string

	lowerOf, lower string // the last text that lowered was asked for, and its answer
}

// lowered is s in lower case; cases ask it of the same field again and again.
func (r *row) lowered(s string) string {
	if s != r.lowerOf {
		r.lowerOf, r.lower = s, strings.ToLower(s)
	}
	return r.lower
}

func (r *row) get(name string) string {
	if name == "" {
		return ""
	}
	if i, ok := r.boundMapping.derived[name]; ok && i < len(r.derived) {
		return r.derived[i]
	}
	return r.b.Text(r.ids[name])
}

func (r *row) render(t template) string {
	if len(t) == 3 && t[0] == "" && t[2] == "" {
		return r.get(t[1])
	}
	var s strings.Builder
	for i, part := range t {
		if i%2 == 1 {
			part = r.get(part)
		}
		s.WriteString(part)
	}
	return s.String()
}

// emit finishes the row under construction in b: as an event, or as an alert
// whose evidence is the row. e carries Ref and Raw. It reports why a row cannot
// be used.
func (bm *boundMapping) emit(b *Batch, e model.Event) error {
	r := row{boundMapping: bm, b: b}
	for _, d := range bm.derive {
		value := ""
		if g := d.pattern.FindStringSubmatch(r.get(d.field)); len(g) > 1 {
			value = g[1]
		}
		r.derived = append(r.derived, value)
	}
	when, err := parseMappedTime(r.get(bm.timeField), bm.timeFormat, bm.zone)
	if err != nil {
		b.Drop()
		return fmt.Errorf("mapping %s: %w", bm.Name, err)
	}
	e.Format = bm.Name
	e.Subsystem = bm.subsystem
	e.Time, e.Recorded = when, when
	e.Source, e.Act = bm.source, bm.act
	e.Entities = r.findEntities()
	e.Host = r.findHost(e.Entities)
	if bm.event {
		e.Code = r.render(bm.code)
		for _, f := range bm.fields {
			if text := r.render(f.text); text != "" {
				b.Slot(bm.ids[f.name], model.String, text)
			}
		}
		if len(bm.ignored) > 0 {
			open := b.Open()
			kept := slices.DeleteFunc(open, func(s model.Slot) bool { return bm.ignored[s.Field] })
			b.slots = b.slots[:b.open+len(kept)]
		}
		if bm.message != "" {
			if err := emitSyslogMessage(b, &e, bm.names, r.get(bm.program), r.get(bm.pid), r.get(bm.message)); err != nil {
				b.Drop()
				return fmt.Errorf("mapping %s: %w", bm.Name, err)
			}
			finish(&e)
		}
		b.Emit(e)
		return nil
	}
	b.Alerts = append(b.Alerts, r.alert(&e))
	b.Drop()
	return nil
}

func (r *row) alert(e *model.Event) model.Alert {
	a := model.Alert{
		Time: e.Time, End: e.Time, Count: 1,
		Rule:      model.RuleInfo{ID: r.render(r.ruleID), Title: r.render(r.ruleTitle)},
		Product:   r.render(r.product),
		Format:    e.Format,
		Subsystem: r.subsystem,
		Severity:  r.sevDefault,
		Entities:  append([]model.Entity{}, e.Entities...), // a list even if empty
		Host:      e.Host,
		Act:       r.act,
		Raw:       map[string]string{},
	}
	if r.sevField != "" {
		word := r.get(r.sevField)
		a.Raw[r.sevField] = word
		if s, ok := r.sevMap[strings.ToLower(word)]; ok {
			a.Severity = s
		} else if s := model.Severity(strings.ToLower(word)); s.Rank() >= 0 {
			a.Severity = s
		}
	}
	if r.techField != "" {
		a.Raw[r.techField] = r.get(r.techField)
		a.Techniques = techniqueID.FindAllString(a.Raw[r.techField], MaxDepth)
	}
	if r.tactField != "" {
		a.Raw[r.tactField] = r.get(r.tactField)
		for _, name := range strings.FieldsFunc(a.Raw[r.tactField], func(c rune) bool { return c == ',' || c == ';' || c == '|' }) {
			a.Tactics = append(a.Tactics, strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "-"))
		}
	}
	rated, placed := false, false
	for i := range r.cases {
		c := &r.cases[i]
		if value := r.get(c.field); !c.holds(value, r.lowered(value)) {
			continue
		}
		a.Techniques = append(a.Techniques, c.techniques...)
		a.Tactics = append(a.Tactics, c.tactics...)
		if c.severity != "" && !rated {
			a.Severity, rated = c.severity, true
		}
		if c.subsystem != "" && !placed {
			a.Subsystem, placed = c.subsystem, true
		}
	}
	a.Techniques = unique(a.Techniques)
	a.Tactics = unique(a.Tactics)
	for _, t := range a.Tactics {
		a.Tags = append(a.Tags, "attack."+t)
	}
	for _, t := range a.Techniques {
		a.Tags = append(a.Tags, "attack."+strings.ToLower(t))
	}
	a.Rule.Level = a.Severity
	a.Rule.Source = a.Product
	event := e.ID()
	a.Evidence = []model.Evidence{{Input: e.Ref.Input, Record: e.Ref.Record, ID: event, Event: r.json()}}
	identity := event
	if len(r.dedupe) > 0 {
		var key strings.Builder
		for _, name := range r.dedupe {
			key.WriteString(strconv.Quote(r.get(name)))
		}
		identity = key.String()
	}
	a.ID = model.AlertID(a.Rule.ID, identity)
	if len(a.Raw) == 0 {
		a.Raw = nil
	}
	return a
}

// json renders the row without its ignored fields, in the order of its columns.
func (r *row) json() []byte {
	out := make([]byte, 0, 256)
	out = append(out, '{')
	for _, s := range r.b.Open() {
		if r.ignored[s.Field] {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		name, text := r.names.Name(s.Field), s.Text
		if s.Field == model.Unnamed {
			name, text, _ = strings.Cut(s.Text, "\x00")
		}
		out = appendJSONText(out, name)
		out = append(out, ':')
		out = appendJSONText(out, text)
	}
	return append(out, '}')
}

// holds says whether the case is about a value, which is given in lower case too.
func (c *caseRule) holds(value, lower string) bool {
	if c.pattern != nil && c.pattern.MatchString(value) {
		return true
	}
	for _, w := range c.contains {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return slices.Contains(c.exact, lower)
}

// findEntities makes the row's entities, canonical as model.Entity says, each once
// a role: several fields may name the same thing.
func (r *row) findEntities() []model.Entity {
	var out []model.Entity
	for _, rule := range r.entities {
		value := strings.TrimSpace(r.get(rule.field))
		if value == "" || value == "-" {
			continue
		}
		host := linuxHost(strings.TrimSpace(r.get(rule.host)))
		if e, ok := mappedEntity(rule, value, host); ok && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// mappedEntity makes the entity that a rule sees in a value.
func mappedEntity(rule entityRule, value, host string) (model.Entity, bool) {
	e := model.Entity{Type: rule.typ, Role: rule.role, Value: value}
	switch rule.typ {
	case model.IP:
		addr, err := netip.ParseAddr(value)
		if err != nil {
			return e, false
		}
		e.Value = addr.Unmap().String()
	case model.Host, model.Hash, model.Domain, model.Mailbox:
		e.Value = strings.ToLower(strings.TrimSuffix(value, "."))
	case model.User:
		e.Value = strings.ToLower(value)
		if host != "" && !strings.ContainsAny(value, `\@:`) {
			e.Value = host + `\` + e.Value
		}
	case model.File, model.Process, model.Session:
		if rule.typ == model.File {
			e.Name, value = value, strings.ToLower(value)
			e.Value = value
		}
		if host != "" {
			e.Value = host + ":" + value
		}
	}
	return e, true
}

// findHost says on which host the row happened.
func (r *row) findHost(es []model.Entity) string {
	if host := r.render(r.host); host != "" {
		return linuxHost(host)
	}
	for _, e := range es {
		if e.Type == model.Host && e.Role == model.Subject {
			return e.Value
		}
	}
	return ""
}

// parseMappedTime reads a stamp of a mapping's format.
func parseMappedTime(s, format string, zone *time.Location) (time.Time, error) {
	s = strings.TrimSpace(s)
	var t time.Time
	switch format {
	case "epoch_s", "epoch_ms", "epoch_us":
		whole, frac, _ := strings.Cut(s, ".")
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil {
			return t, fmt.Errorf("time %.40q is no number", s)
		}
		switch format {
		case "epoch_s":
			frac = (frac + "000000000")[:9]
			nanos, err := strconv.ParseUint(frac, 10, 32)
			if err != nil {
				return t, fmt.Errorf("time %.40q is no number", s)
			}
			t = time.Unix(n, int64(nanos))
		case "epoch_ms":
			t = time.UnixMilli(n)
		default:
			t = time.UnixMicro(n)
		}
	case "rfc3339":
		var err error
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
				if t, err = time.ParseInLocation(layout, s, zone); err == nil {
					break
				}
			}
		}
		if err != nil {
			return t, fmt.Errorf("time %.40q is not as RFC 3339 says", s)
		}
	default:
		var err error
		if t, err = time.ParseInLocation(format, s, zone); err != nil {
			return t, fmt.Errorf("time %.40q is not as %q", s, format)
		}
	}
	t = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return t, fmt.Errorf("time %.40q lies outside the years 1 to 9999", s)
	}
	return t, nil
}

// unique drops repeated texts and keeps the order of the rest.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// appendJSONText appends s as a JSON string; bytes that are no UTF-8 become U+FFFD.
func appendJSONText(out []byte, s string) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	for _, c := range s { // ranging over a string yields U+FFFD for what is no UTF-8
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', byte(c))
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			out = append(out, string(c)...)
		}
	}
	return append(out, '"')
}
