package decode

import (
	"cmp"
	"errors"
	"fmt"
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
//	forms: ["", "detail.", "Findings[]."]   # where the record stands; "" if not given
//	match:
//	  columns: [time, title]        # all must be there
//	  any: [user, host]             # and one of these
//	  equals: {vendor: Acme}        # and these hold one of these values
//	  not: {status: [closed]}       # and these none of these
//	derive:                         # fields made of fields: group 1 of a pattern
//	  - {name: sensor, field: title, pattern: '^([^:]+): '}
//	product: "{sensor}"             # text with {field} in it
//	time: {field: time, format: epoch_s, zone: UTC}
//	rule: {id: "{title}", title: "{title}"}
//	severity: {field: prio, map: {"1": high, "2": low}, from: {"0": low, "7": high}, default: medium}
//	subsystem: network
//	act: logon_failed               # what was done, where an alert is about one act
//	entities:
//	  - {type: host, role: subject, field: host}
//	  - {type: host, role: subject, field: host, alt: [agent_id, vm_id]} # other names of the same
//	  - {type: user, role: actor, field: user, host: host}
//	  - {type: user, role: actor, value: "arn:aws:iam::{account}:user/{name}", when: {kind: [IAMUser]}}
//	microsoft_entities: {field: Entities}   # Microsoft's list of entities, with $id and $ref
//	techniques: {field: mitre}      # every ATT&CK id found in the value
//	tactics: {field: tactic}        # names, separated by , ; or |
//	intent: {field: intent}         # Defender's word for it
//	type: {field: AlertType}        # what the vendor calls this kind of alert
//	cases:                          # by what a field says
//	  - {field: title, contains: ["brute force"], techniques: [T1110], severity: high}
//	                                # every case that holds adds its techniques and tactics;
//	                                # severity and subsystem are the first's that has one
//	dedupe: [alert_id]              # rows equal in these are the same alert
//	holds_event: true               # the record is read as the event beneath the alert as well
//	skip:                           # rows that tell nothing
//	  - {field: status, exact: [pass]}
//	ignore: [label]                 # never evidence, entity or anything else
//
// Fields of JSON records are named by their dotted path. A name is "a|b" for the
// first of several that has a value, and begins with "/" if it is meant from the
// record's root whatever the form. A field that holds a list gives an entity for
// each of its values.
//
// time.format is any (what can be told apart by itself), rfc3339, epoch_s, epoch_ms, epoch_us or a layout of Go's time
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
	keepEvent  bool
	forms      []form
	columns    []string
	any        []string
	equals     []fieldValues
	not        []fieldValues
	derive     []derivation
	product    template
	timeField  string
	endField   string
	timeFormat string
	timeZone   *time.Location
	ruleID     template
	ruleTitle  template
	sevField   string
	sevMap     map[string]model.Severity
	sevFrom    []severityFrom // ascending
	sevDefault model.Severity
	subsystem  model.Subsystem
	entities   []entityRule
	microsoft  string // field with Microsoft's list of entities
	techField  string
	tactField  string
	intent     string
	typ        string
	cases      []caseRule
	skip       []caseRule
	dedupe     []string
	ignore     []string

	source model.LogSource
	code   template
	host   template
	act    model.Act
	fields []fieldRule

	message, program, pid string // fields of a wrapped syslog message
}

// A form is where in a JSON record the fields of a mapping stand.
type form struct {
	prefix string   // "detail.": of the dotted paths
	lists  []string // the paths of the lists on the way whose every item is a row, outermost first
}

// fieldValues are the values, in lower case, that a field must or must not have.
type fieldValues struct {
	name   string
	values []string
}

// severityFrom is the severity of numbers from least on.
type severityFrom struct {
	least    float64
	severity model.Severity
}

type derivation struct {
	name, field string
	pattern     *regexp.Regexp
}

type entityRule struct {
	typ   model.EntityType
	role  model.Role
	field string
	value template      // instead of field; no entity unless all its fields have values
	alt   []string      // fields with what else it is called, see model.Entity.Alt
	host  string        // field that holds the host a user, file, process or session belongs to
	when  []fieldValues // the values that other fields must have
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
	intent     string // Defender's word, or "Exposure" for what only invites an attack
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
	maxForms        = 16
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
		case "forms":
			return m.readForms(v)
		case "holds_event":
			if m.keepEvent, err = strconv.ParseBool(v.Value); err != nil {
				return lineError(v, "%q is neither true nor false", v.Value)
			}
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
		case "microsoft_entities":
			return readField(v, &m.microsoft)
		case "techniques":
			return readField(v, &m.techField)
		case "tactics":
			return readField(v, &m.tactField)
		case "intent":
			return readField(v, &m.intent)
		case "type":
			return readField(v, &m.typ)
		case "cases":
			return eachItem(v, func(n *yaml.Node) error { return readCase(n, &m.cases) })
		case "skip":
			return eachItem(v, func(n *yaml.Node) error { return readCase(n, &m.skip) })
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
	case len(m.columns)+len(m.equals) == 0:
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
	used := m.fieldNames()
	for _, name := range m.ignore {
		if slices.Contains(used, name) {
			return lineError(root, "field %q is both ignored and used", name)
		}
	}
	return nil
}

// fieldNames lists every field that the mapping reads, as written.
func (m *Mapping) fieldNames() []string {
	out := []string{m.timeField, m.endField, m.sevField, m.techField, m.tactField, m.intent, m.typ, m.microsoft, m.message, m.program, m.pid}
	ofTemplate := func(t template) {
		for i := 1; i < len(t); i += 2 {
			out = append(out, t[i])
		}
	}
	for _, t := range []template{m.product, m.ruleID, m.ruleTitle, m.code, m.host} {
		ofTemplate(t)
	}
	for _, f := range m.fields {
		ofTemplate(f.text)
	}
	for _, d := range m.derive {
		out = append(out, d.field)
	}
	for _, e := range m.entities {
		out = append(append(out, e.field, e.host), e.alt...)
		ofTemplate(e.value)
		for _, w := range e.when {
			out = append(out, w.name)
		}
	}
	for _, cases := range [][]caseRule{m.cases, m.skip} {
		for _, c := range cases {
			out = append(out, c.field)
		}
	}
	for _, list := range [][]fieldValues{m.equals, m.not} {
		for _, f := range list {
			out = append(out, f.name)
		}
	}
	return slices.Concat(out, m.columns, m.any, m.dedupe)
}

func readSubsystem(n *yaml.Node) (model.Subsystem, error) {
	s := model.Subsystem(n.Value)
	if !slices.Contains(subsystems, s) {
		return "", lineError(n, "%q is no subsystem", n.Value)
	}
	return s, nil
}

// readForms reads where records stand: prefixes of dotted paths, "[]" behind a
// segment that is a list of records.
func (m *Mapping) readForms(n *yaml.Node) error {
	texts, err := list(n)
	if err != nil {
		return err
	}
	if len(texts) > maxForms {
		return lineError(n, "more than %d forms", maxForms)
	}
	for _, text := range texts {
		if text != "" && !strings.HasSuffix(text, ".") {
			return lineError(n, "form %q does not end in a dot", text)
		}
		f := form{prefix: strings.ReplaceAll(text, "[]", "")}
		for i, rest := 0, text; ; {
			j := strings.Index(rest, "[]")
			if j < 0 {
				break
			}
			i += j + 2
			rest = text[i:]
			f.lists = append(f.lists, strings.ReplaceAll(text[:i], "[]", ""))
		}
		m.forms = append(m.forms, f)
	}
	return nil
}

// readValues reads fields and the values that they must have into dst.
func readValues(dst *[]fieldValues) func(string, *yaml.Node) error {
	return func(key string, v *yaml.Node) error {
		l, err := list(v)
		for i := range l {
			l[i] = strings.ToLower(l[i])
		}
		*dst = append(*dst, fieldValues{key, l})
		return err
	}
}

func (m *Mapping) readMatch(n *yaml.Node) error {
	return eachKey(n, func(key string, v *yaml.Node) (err error) {
		switch key {
		case "columns":
			m.columns, err = list(v)
			return err
		case "any":
			m.any, err = list(v)
			return err
		case "equals":
			return eachKey(v, readValues(&m.equals))
		case "not":
			return eachKey(v, readValues(&m.not))
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
		case "end":
			return scalar(&m.endField)(v)
		case "format":
			switch v.Value {
			case "any", "rfc3339", "epoch_s", "epoch_ms", "epoch_us":
			default:
				if !strings.Contains(v.Value, "06") {
					return lineError(v, "%q is no time format: any, rfc3339, epoch_s, epoch_ms, epoch_us or a layout with a year", v.Value)
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
		case "from":
			err := eachKey(v, func(key string, v *yaml.Node) error {
				least, err := strconv.ParseFloat(key, 64)
				if err != nil {
					return lineError(v, "%q is no number", key)
				}
				s, err := severity(v)
				m.sevFrom = append(m.sevFrom, severityFrom{least, s})
				return err
			})
			slices.SortStableFunc(m.sevFrom, func(a, b severityFrom) int { return cmp.Compare(a.least, b.least) })
			return err
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
		case "value":
			t, err := parseTemplate(v)
			e.value = t
			return err
		case "alt":
			var err error
			e.alt, err = list(v)
			return err
		case "host":
			return scalar(&e.host)(v)
		case "when":
			return eachKey(v, readValues(&e.when))
		default:
			return errUnknownKey
		}
		return nil
	})
	if err == nil && (e.typ == "" || e.role == "" || (e.field == "") == e.value.empty()) {
		err = lineError(n, "an entity needs type, role and either field or value")
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

// readCase adds a case to dst.
func readCase(n *yaml.Node, dst *[]caseRule) error {
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
		case "intent":
			err = scalar(&c.intent)(v)
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
	*dst = append(*dst, c)
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

var techniqueID = regexp.MustCompile(`(?i)\bT\d{4}(?:\.\d{3})?\b`)
