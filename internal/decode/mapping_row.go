package decode

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A boundMapping is a mapping in one of its forms, whose fields were looked up in
// a table of names, so that rows are read without comparing texts. It is
// read-only.
type boundMapping struct {
	*Mapping
	form    form
	names   *model.Names
	zone    *time.Location
	fields  map[string][]mappedField // what each name, as the mapping writes it, stands for
	ignored map[model.FieldID]bool
}

// A mappedField is a field of the row, or a derived one.
type mappedField struct {
	derived int // index into derive, -1 if none
	id      model.FieldID
}

// bind prepares m for rows whose fields are named by names, in each of its forms;
// zone is for stamps without one.
func (m *Mapping) bind(names *model.Names, zone *time.Location) []*boundMapping {
	if zone == nil {
		zone = time.UTC
	}
	if m.timeZone != nil {
		zone = m.timeZone
	}
	forms := m.forms
	if len(forms) == 0 {
		forms = []form{{}}
	}
	var out []*boundMapping
	for _, f := range forms {
		bm := &boundMapping{Mapping: m, form: f, names: names, zone: zone, fields: map[string][]mappedField{}, ignored: map[model.FieldID]bool{}}
		for _, name := range m.fieldNames() {
			bm.bindField(name)
		}
		for _, f := range m.fields { // what the mapping adds stands at the root
			bm.fields["+"+f.name] = []mappedField{{-1, names.ID(f.name)}}
		}
		for _, name := range m.ignore {
			bm.ignored[names.ID(f.path(name))] = true
		}
		out = append(out, bm)
	}
	return out
}

// path is where a field that the mapping names stands in the record.
func (f *form) path(name string) string {
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		return rest
	}
	return f.prefix + name
}

func (bm *boundMapping) bindField(name string) {
	if name == "" || bm.fields[name] != nil {
		return
	}
	for _, one := range strings.Split(name, "|") {
		f := mappedField{derived: slices.IndexFunc(bm.derive, func(d derivation) bool { return d.name == one })}
		if f.derived < 0 {
			f.id = bm.names.ID(bm.form.path(one))
		}
		bm.fields[name] = append(bm.fields[name], f)
	}
}

// bindMappings binds every mapping of o.
func bindMappings(o Options) []*boundMapping {
	var out []*boundMapping
	for _, m := range o.Mappings {
		out = append(out, m.bind(o.Names, o.Zone)...)
	}
	return out
}

// mappingMarks numbers the first field that each mapping asks for.
func mappingMarks(mappings []*boundMapping, keys *jsonKeys) []jsonKey {
	out := make([]jsonKey, len(mappings))
	for i, m := range mappings {
		var name string
		if len(m.columns) > 0 {
			name = m.columns[0]
		} else {
			name = m.equals[0].name
		}
		paths := strings.Split(name, "|")
		for j, p := range paths {
			paths[j] = m.form.path(p)
		}
		out[i] = keys.add([]string{strings.Join(paths, "|")})[0]
	}
	return out
}

// matches says whether the row under construction in b is this mapping's. Of a
// record that holds a list of rows it says whether some row may be.
func (bm *boundMapping) matches(b *Batch) bool {
	r := row{boundMapping: bm, b: b}
	for _, c := range bm.columns {
		if !r.has(c) {
			return false
		}
	}
	if len(bm.any) > 0 && !slices.ContainsFunc(bm.any, r.has) {
		return false
	}
	if len(bm.form.lists) > 0 {
		return true // each row is asked for itself
	}
	return r.fits()
}

// fits says whether the row's fields have the values that the mapping asks for.
func (r *row) fits() bool {
	for _, f := range r.not {
		if slices.Contains(f.values, strings.ToLower(r.get(f.name))) {
			return false
		}
	}
	return r.meets(r.equals)
}

// meets says whether each of the fields has one of its values.
func (r *row) meets(fields []fieldValues) bool {
	for _, f := range fields {
		if !slices.Contains(f.values, strings.ToLower(r.get(f.name))) {
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
	raw     []byte // the record
	item    int    // 1-based number of the row in its record; 0 if it is the record

	lowerOf, lower string // the last text that lowered was asked for, and its answer
}

// lowered is s in lower case; cases ask it of the same field again and again.
func (r *row) lowered(s string) string {
	if s != r.lowerOf {
		r.lowerOf, r.lower = s, strings.ToLower(s)
	}
	return r.lower
}

// has says whether the row has a field, be it empty.
func (r *row) has(name string) bool {
	for _, f := range r.fields[name] {
		if f.derived < 0 && f.id != model.Unnamed {
			if _, ok := r.b.Get(f.id); ok {
				return true
			}
		}
	}
	return false
}

// get returns the first value of a field, or of the first of several, that is not
// empty.
func (r *row) get(name string) string {
	for _, f := range r.fields[name] {
		if text := r.one(f); text != "" {
			return text
		}
	}
	return ""
}

func (r *row) one(f mappedField) string {
	switch {
	case f.derived >= 0 && f.derived < len(r.derived):
		return r.derived[f.derived]
	case f.derived < 0 && f.id != model.Unnamed:
		return r.b.Text(f.id)
	}
	return ""
}

// maxRowValues bounds the values of a list that a row makes something of.
const maxRowValues = 64

// all returns every value that is not empty of a field, or of the first of several
// that has one.
func (r *row) all(name string) []string {
	for _, f := range r.fields[name] {
		if f.derived >= 0 {
			if text := r.one(f); text != "" {
				return []string{text}
			}
			continue
		}
		var out []string
		for _, s := range r.b.Open() {
			if s.Field == f.id && f.id != model.Unnamed && s.Text != "" && s.Kind != model.Null && len(out) < maxRowValues {
				out = append(out, s.Text)
			}
		}
		if out != nil {
			return out
		}
	}
	return nil
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
// whose evidence is the row; a record that holds a list of rows makes one of
// each. e carries Ref and Raw. It reports why a row cannot be used.
func (bm *boundMapping) emit(b *Batch, e model.Event) error {
	if len(bm.form.lists) == 0 {
		return bm.emitRow(b, e, 0, "")
	}
	var first error
	record := ""
	if !bm.event {
		e.Format = bm.Name
		record = e.ID() // once: it is a hash of the whole record, and there may be many rows
	}
	err := bm.eachRow(b, e.Raw, func(n int) {
		r := row{boundMapping: bm, b: b}
		for _, c := range bm.columns {
			if !r.has(c) {
				b.Drop()
				return
			}
		}
		if !r.fits() {
			b.Drop()
			return
		}
		first = cmp.Or(first, bm.emitRow(b, e, n, record))
	})
	return cmp.Or(err, first)
}

// emitRow emits what the item-th row of a record is, where record is the id that
// alerts cite, empty to find it here.
func (bm *boundMapping) emitRow(b *Batch, e model.Event, item int, record string) error {
	r := row{boundMapping: bm, b: b, raw: e.Raw, item: item}
	for _, d := range bm.derive {
		value := ""
		for _, text := range r.all(d.field) {
			if g := d.pattern.FindStringSubmatch(text); len(g) > 1 {
				value = g[1]
				break
			}
		}
		r.derived = append(r.derived, value)
	}
	for i := range bm.skip {
		c := &bm.skip[i]
		if r.holds(c) {
			b.Drop()
			return nil
		}
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
		for _, f := range bm.Mapping.fields {
			if text := r.render(f.text); text != "" {
				b.Slot(bm.fields["+"+f.name][0].id, model.String, text)
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
	b.Alerts = append(b.Alerts, r.alert(&e, record))
	b.Drop()
	return nil
}

func (r *row) alert(e *model.Event, event string) model.Alert {
	a := model.Alert{
		Time: e.Time, End: e.Time, Count: 1,
		Rule:      model.RuleInfo{ID: r.render(r.ruleID), Title: r.render(r.ruleTitle)},
		Product:   r.render(r.product),
		Format:    e.Format,
		Subsystem: r.subsystem,
		Entities:  append([]model.Entity{}, e.Entities...), // a list even if empty
		Host:      e.Host,
		Act:       r.act,
		Raw:       map[string]string{},
	}
	if end := r.get(r.endField); end != "" {
		if t, err := parseMappedTime(end, r.timeFormat, r.zone); err == nil && t.After(a.Time) {
			a.End = t
		}
	}
	if r.sevField != "" {
		a.Raw[rawKey(r.sevField)] = r.get(r.sevField)
	}
	a.Severity = r.severity()
	if r.techField != "" {
		said := strings.Join(r.all(r.techField), ", ")
		a.Raw[rawKey(r.techField)] = said
		for _, id := range techniqueID.FindAllString(said, MaxDepth) {
			a.Techniques = append(a.Techniques, strings.ToUpper(id))
		}
	}
	if r.tactField != "" {
		said := strings.Join(r.all(r.tactField), ", ")
		a.Raw[rawKey(r.tactField)] = said
		for _, name := range strings.FieldsFunc(said, func(c rune) bool { return c == ',' || c == ';' || c == '|' }) {
			a.Tactics = append(a.Tactics, tacticName(name))
		}
	}
	if said := strings.Join(r.all(r.intent), ", "); said != "" {
		a.Raw["intent"] = said
	}
	if said := r.get(r.typ); said != "" {
		a.Raw["AlertType"] = said
	}
	rated, placed := false, false
	for i := range r.cases {
		c := &r.cases[i]
		if !r.holds(c) {
			continue
		}
		a.Techniques = append(a.Techniques, c.techniques...)
		a.Tactics = append(a.Tactics, c.tactics...)
		if c.severity != "" && !rated {
			a.Severity, rated = c.severity, true
		}
		if c.intent != "" && a.Raw["intent"] == "" {
			a.Raw["intent"] = c.intent
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
	if event == "" {
		event = e.ID()
	}
	a.Evidence = []model.Evidence{{Input: e.Ref.Input, Record: e.Ref.Record, ID: event, Event: r.json()}}
	a.ID = model.AlertID(a.Rule.ID, r.identity(event))
	if len(a.Raw) == 0 {
		a.Raw = nil
	}
	return a
}

// tacticName writes the name of a tactic as ATT&CK's short names are written, from
// the forms that products write: "Lateral Movement", "LateralMovement",
// "LATERAL_MOVEMENT".
func tacticName(s string) string {
	var out strings.Builder
	s = strings.TrimSpace(s)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c == '_':
			c = '-'
		case c >= 'A' && c <= 'Z':
			if i > 0 && s[i-1] >= 'a' && s[i-1] <= 'z' {
				out.WriteByte('-')
			}
			c |= 0x20
		}
		out.WriteByte(c)
	}
	return out.String()
}

// identity is what makes the alert the same one wherever it is read: the fields
// that the mapping names for it if the row has them all, else the record.
func (r *row) identity(event string) string {
	var key strings.Builder
	for _, name := range r.dedupe {
		text := r.get(name)
		if text == "" { // without it others may be equal that are not the same
			key.Reset()
			break
		}
		key.WriteString(strconv.Quote(text))
	}
	switch {
	case key.Len() > 0:
		return key.String()
	case r.item > 0:
		return event + "#" + strconv.Itoa(r.item)
	}
	return event
}

// severity is what the sensor's own word or number means.
func (r *row) severity() model.Severity {
	word := strings.ToLower(strings.TrimSpace(r.get(r.sevField)))
	if s, ok := r.sevMap[word]; ok {
		return s
	}
	if s := model.Severity(word); s.Rank() >= 0 {
		return s
	}
	if len(r.sevFrom) > 0 {
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			for _, from := range slices.Backward(r.sevFrom) {
				if n >= from.least {
					return from.severity
				}
			}
		}
	}
	return r.sevDefault
}

// rawKey is under what name the sensor's own word is kept: the field's, without
// the path to it, which differs by the way the record was exported.
func rawKey(field string) string {
	field, _, _ = strings.Cut(field, "|")
	return field[strings.LastIndexAny(field, "./")+1:]
}

// json renders the row without its ignored fields, in the order of its columns. A
// field that repeats is a list.
func (r *row) json() []byte {
	out := make([]byte, 0, 256)
	out = append(out, '{')
	slots := r.b.Open()
	times := map[model.FieldID]int{} // how often a field stands there
	for _, s := range slots {
		times[s.Field]++
	}
	for i, s := range slots {
		if r.ignored[s.Field] || times[s.Field] == 0 {
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
		if s.Field == model.Unnamed || times[s.Field] == 1 {
			out = appendJSONText(out, text)
			continue
		}
		times[s.Field] = 0
		out = append(out, '[')
		for j := i; j < len(slots); j++ {
			if slots[j].Field == s.Field {
				if j > i {
					out = append(out, ',')
				}
				out = appendJSONText(out, slots[j].Text)
			}
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// holds says whether the case is about one of the values of its field.
func (r *row) holds(c *caseRule) bool {
	if value := r.get(c.field); c.holds(value, r.lowered(value)) {
		return true
	}
	values := r.all(c.field)
	return len(values) > 1 && slices.ContainsFunc(values[1:], func(v string) bool { return c.holds(v, strings.ToLower(v)) })
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
		if !r.meets(rule.when) {
			continue
		}
		if bound(rule) && len(unique(r.all(rule.host))) > 1 {
			continue // nothing says on which of the machines
		}
		host := linuxHost(strings.TrimSpace(r.get(rule.host)))
		values := r.values(rule)
		alt := r.alt(rule, len(values))
		for _, value := range values {
			value = strings.TrimSpace(value)
			if value == "" || value == "-" {
				continue
			}
			e, ok := mappedEntity(rule, value, host)
			if e.Alt = alt; ok && !slices.Contains(out, e) && !reportsItself(out, e) {
				out = append(out, e)
			}
		}
	}
	if r.microsoft != "" {
		for _, e := range microsoftEntities(r.get(r.microsoft), r.raw, r.recordPaths(r.microsoft)) {
			if !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
	}
	return out
}

// reportsItself says whether a sensor is the machine it happened to, so that naming it
// as the sensor says nothing.
func reportsItself(list []model.Entity, sensor model.Entity) bool {
	return sensor.Role == model.Sensor && slices.ContainsFunc(list, func(e model.Entity) bool {
		return e.Type == sensor.Type && e.Value == sensor.Value && e.Role == model.Subject
	})
}

// bound says whether a rule is about things that mean nothing without their machine.
func bound(rule entityRule) bool {
	return rule.host != "" && (rule.typ == model.Process || rule.typ == model.File || rule.typ == model.Session)
}

// alt is what else the entity of a rule is called. Where the rule names several
// entities, or a field several ids, nothing says which is whose.
func (r *row) alt(rule entityRule, entities int) string {
	if entities != 1 {
		return ""
	}
	var ids []string
	for _, name := range rule.alt {
		if all := unique(r.all(name)); len(all) == 1 {
			ids = append(ids, all[0])
		}
	}
	return joinIDs(ids...)
}

// values are what the field or the template of a rule says.
func (r *row) values(rule entityRule) []string {
	if rule.value.empty() {
		return r.all(rule.field)
	}
	for i := 1; i < len(rule.value); i += 2 {
		if r.get(rule.value[i]) == "" {
			return nil
		}
	}
	return []string{r.render(rule.value)}
}

// recordPaths returns the places in the record that a name may stand for.
func (r *row) recordPaths(name string) []string {
	var out []string
	for _, one := range strings.Split(name, "|") {
		out = append(out, r.form.path(one))
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
		if strings.HasPrefix(value, "arn:") { // names in AWS have case
			break
		}
		e.Value = strings.ToLower(value)
		if host != "" && !strings.ContainsAny(value, `\@:`) {
			e.Value = host + `\` + e.Value
		}
	case model.Resource:
		if strings.HasPrefix(strings.ToLower(value), "/subscriptions/") { // names in Azure have none
			e.Value = strings.ToLower(value)
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
	case "any":
		var ok bool
		if t, ok = parseStamp(s, zone); !ok {
			t, ok = parseEpoch(s)
		}
		if !ok {
			return t, fmt.Errorf("time %.40q cannot be read", s)
		}
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
