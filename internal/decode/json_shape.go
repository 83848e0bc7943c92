package decode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A jsonShape is one product's or collector's way to write events as JSON. To add
// one: a file with its function, and a line in jsonShapes.
//
// Paths are dotted, "a.b.c"; those of an array's elements are that of the array.
// Where a product spells one path in several ways, "a.b|aB" is either of them.
type jsonShape struct {
	name string // Event.Format
	// all are the paths that a record must have, at least one; any those of which it
	// must have one. A path is there if it has a scalar, be it null.
	all, any []string
	also     func(*jsonDoc) bool // what paths alone cannot tell; may be nil
	// times are the paths of the record's own time, the first that can be read is
	// Event.Recorded; see jsonTime.
	times []string
	// received are likewise those of the collector's time, for Event.Received.
	received []string
	// field renames a path to the field's name; empty drops it. It must depend on
	// nothing but the path. nil keeps all.
	field func(path string) string
	// emit completes e, whose slots stand in b, and emits it (or several, or none),
	// or says why it cannot.
	emit func(w *jsonWorker, b *Batch, e *model.Event) error
}

// jsonShapes lists the shapes; the first that fits a record gets it.
func jsonShapes() []jsonShape {
	return []jsonShape{
		evtxDumpShape(),
		winlogbeatShape(),
		winlogbeat6Shape(),
		nxlogShape(),
		winEventsShape(),
		cloudTrailShape(),
		cloudTrailLookupShape(),
		syslogRowShape(),
		laurelShape(),
		journaldShape(),
		tetragonShape(),
		traceeShape(),
		osqueryShape(),
		otlpShape(),
		otlpWindowsShape(),
		wazuhShape(),
		macLogShape(),
		eslogShape(),
		elasticHitShape(),
		kubeAuditShape(),
		kubeAzureShape(),
		kubeTableShape(),
		kubeGoogleShape(),
		zeekShape(),
		suricataShape(),
		winRowShape(),
		defenderShape(),
		vmConnectionShape(),
		nsgFlowShape(),
		provisioningRowShape(),
		provisioningShape(),
		graphActivityShape(),
		riskShape(),
		azureResourceShape(),
		entraRowShape(),
		azureSDKShape(),
		azureDiagShape(),
		officeShape(),
		gcpAuditShape(),
		wrappedGCPShape(),
		workspaceShape(),
		oktaShape(),
		pingIDShape(),
		pingOneShape(),
		teleportShape(),
		authentikShape(),
		githubShape(),
		gitlabShape(),
		gitlabWebShape(),
		mongoShape(),
		mongoAuditShape(),
		mysqlEnterpriseShape(),
		mysqlPerconaShape(),
		crowdStrikeShape(),
		ocsfShape(),
		caddyShape(),
		traefikShape(),
		dashboardsShape(),
		openAppSecShape(),
		wafShape(),
		resolverShape(),
		s3AccessShape(),
		bedrockShape(),
		firepowerShape(),
		flowJSONShape(),
		gcpFlowShape(),
		messageTraceShape(),
		proxyJSONShape(),
		ecsShape(), // any product's: last
	}
}

// A jsonKey is the number of a path that shapes ask for, in all its spellings.
type jsonKey uint16

// jsonKeys numbers the paths that shapes are told by and take times from, so that
// whether a record has one, and where, is known as soon as it is read. It is made
// once a decoder and then only read.
type jsonKeys struct {
	number  map[string]jsonKey   // by the path as the shape writes it
	spelled map[string][]jsonKey // by one spelling of it
}

func newJSONKeys() *jsonKeys {
	return &jsonKeys{number: map[string]jsonKey{}, spelled: map[string][]jsonKey{}}
}

func (t *jsonKeys) count() int { return len(t.number) }

// add returns the numbers of paths, giving them one if they have none yet.
func (t *jsonKeys) add(paths []string) []jsonKey {
	var keys []jsonKey
	for _, path := range paths {
		k, ok := t.number[path]
		if !ok {
			k = jsonKey(len(t.number)) //nolint:gosec // there are as many as the shapes name
			t.number[path] = k
			for spelling := range strings.SplitSeq(path, "|") {
				t.spelled[spelling] = append(t.spelled[spelling], k)
			}
		}
		keys = append(keys, k)
	}
	return keys
}

// A boundShape is a shape with its paths as keys.
type boundShape struct {
	*jsonShape
	allKeys, anyKeys, timeKeys, receivedKeys []jsonKey
}

// bindShapes numbers the paths of shapes.
func bindShapes(shapes []jsonShape, keys *jsonKeys) []boundShape {
	bound := make([]boundShape, len(shapes))
	for i := range shapes {
		s := &shapes[i]
		bound[i] = boundShape{s, keys.add(s.all), keys.add(s.any), keys.add(s.times), keys.add(s.received)}
	}
	return bound
}

// fits reports whether a record is of the shape.
func (s *boundShape) fits(doc *jsonDoc) bool {
	for _, k := range s.allKeys {
		if !doc.marked(k) {
			return false
		}
	}
	return (s.anyKeys == nil || slices.ContainsFunc(s.anyKeys, doc.marked)) && (s.also == nil || s.also(doc))
}

// marked reports whether the record has a value of the key.
func (d *jsonDoc) marked(k jsonKey) bool { return d.marks[k/64]&(1<<(k%64)) != 0 }

// leafOf returns the first leaf of a path, written as in a shape, nil if there is
// none. It is quick for the paths that some shape names in all, any or times; for
// others it looks through the record.
func (d *jsonDoc) leafOf(path string) *jsonLeaf {
	if d.asked != nil {
		d.asked.add(path)
	}
	if k, ok := d.paths.keys.number[path]; ok {
		if !d.marked(k) {
			return nil
		}
		return &d.leaves[d.first[k]]
	}
	if strings.IndexByte(path, '|') < 0 {
		for i := range d.leaves {
			if d.leaves[i].path.name == path {
				return &d.leaves[i]
			}
		}
		return nil
	}
	for i := range d.leaves {
		name := d.leaves[i].path.name
		for rest := path; rest != ""; {
			var spelling string
			if spelling, rest, _ = strings.Cut(rest, "|"); spelling == name {
				return &d.leaves[i]
			}
		}
	}
	return nil
}

// has reports whether the record has a path.
func (d *jsonDoc) has(path string) bool { return d.leafOf(path) != nil }

// find returns the first value of a path, and whether there is one.
func (d *jsonDoc) find(path string) (string, bool) {
	if leaf := d.leafOf(path); leaf != nil {
		return leaf.text, true
	}
	return "", false
}

// text returns the first value of a path, empty if there is none.
func (d *jsonDoc) text(path string) string {
	text, _ := d.find(path)
	return text
}

// each calls fn with every value of a path, until it returns false.
func (d *jsonDoc) each(path string, fn func(text string) bool) {
	if d.asked != nil {
		d.asked.add(path)
	}
	for i := range d.leaves {
		if leaf := &d.leaves[i]; leaf.path.name == path && leaf.kind != model.Null && !fn(leaf.text) {
			return
		}
	}
}

// shapeSlots adds the document's leaves under the names that the shape of that
// index gives them.
func shapeSlots(b *Batch, doc *jsonDoc, shape int, field func(string) string) {
	if field == nil {
		plainSlots(b, doc)
		return
	}
	number := int32(shape) + 1 //nolint:gosec // an index of jsonShapes
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		f := &leaf.path.shaped
		if f.shape != number {
			f = leaf.path.as(number, field, doc.paths.names)
		}
		if f.drop {
			continue
		}
		text := leaf.text
		if f.id == model.Unnamed {
			text = f.name + "\x00" + text
		}
		b.Slot(f.id, leaf.kind, text)
	}
}

// as returns what the shape of that number makes of a path.
func (p *jsonPath) as(shape int32, field func(string) string, names *model.Names) *shapedField {
	for i := range p.others {
		if p.others[i].shape == shape {
			return &p.others[i]
		}
	}
	f := &p.shaped
	if f.shape != 0 {
		p.others = append(p.others, shapedField{})
		f = &p.others[len(p.others)-1]
	}
	f.shape, f.name = shape, field(p.name)
	f.drop = f.name == ""
	if !f.drop && len(f.name) <= model.MaxNameLen {
		f.id = names.ID(f.name)
	}
	return f
}

// plainSlots adds the document's leaves under their own paths.
func plainSlots(b *Batch, doc *jsonDoc) {
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		text := leaf.text
		if leaf.path.id == model.Unnamed {
			text = leaf.path.name + "\x00" + text
		}
		b.Slot(leaf.path.id, leaf.kind, text)
	}
}

// jsonTime reads the time of a path: a stamp, or a count since 1970.
func jsonTime(doc *jsonDoc, path string, o *Options) (time.Time, bool) {
	return leafTime(doc.leafOf(path), o)
}

// keyTimes reads the first of keys that holds a time.
func keyTimes(doc *jsonDoc, keys []jsonKey, o *Options) (t time.Time, ok bool) {
	for _, k := range keys {
		if doc.marked(k) {
			if t, ok = leafTime(&doc.leaves[doc.first[k]], o); ok {
				break
			}
		}
	}
	return t, ok
}

// leafTime reads the time that a leaf holds; it may be nil.
func leafTime(leaf *jsonLeaf, o *Options) (time.Time, bool) {
	if leaf == nil {
		return time.Time{}, false
	}
	if leaf.kind != model.Number {
		if t, ok := parseStamp(leaf.text, o.Zone); ok {
			return t, true
		}
	}
	return parseEpoch(leaf.text)
}

var errNoTime = errors.New("record without a time that can be read")

// emitTimed sets the event's time and emits it. One of a known product that has no
// time is evidence all the same: it is put beside the record before it, or, if there
// is none, at the beginning of 1970, and reported.
func emitTimed(b *Batch, e *model.Event) error {
	finish(e)
	if e.Time.IsZero() {
		e.Time = time.Unix(0, 0).UTC()
		if n := len(b.Events); n > 0 {
			e.Time = b.Events[n-1].Time
		}
		e.Recorded = e.Time
		b.report(e.Ref.Offset, e.Ref.Record, e.Format+": "+errNoTime.Error()+": put beside the record before it")
	}
	b.Emit(*e)
	return nil
}

// add adds a field that the record has under another name, unless it has it under
// that one too or has no value.
func (w *jsonWorker) add(b *Batch, name, text string) {
	if text == "" {
		return
	}
	id := w.fieldID(name)
	if id == model.Unnamed {
		text = name + "\x00" + text
	} else if _, ok := b.Get(id); ok {
		return
	}
	b.Slot(id, model.String, text)
}

// maxFieldIDs bounds the names that a worker remembers.
const maxFieldIDs = 4096

// fieldID is the id of a name, remembered so that workers need not wait for each
// other.
func (w *jsonWorker) fieldID(name string) model.FieldID {
	if id, ok := w.ids[name]; ok {
		return id
	}
	id := w.o.Names.ID(name)
	if w.ids == nil {
		w.ids = map[string]model.FieldID{}
	}
	if len(w.ids) < maxFieldIDs {
		w.ids[strings.Clone(name)] = id
	}
	return id
}

// under returns the first value of a path below another, without joining the two.
func (d *jsonDoc) under(parent, path string) string {
	n := len(parent)
	if d.asked != nil {
		d.asked.add(parent + "." + path)
	}
	for i := range d.leaves {
		if name := d.leaves[i].path.name; len(name) == n+1+len(path) && name[n] == '.' && name[:n] == parent && name[n+1:] == path {
			return d.leaves[i].text
		}
	}
	return ""
}

// text returns the record as it stands in the input.
func (w *jsonWorker) text() string { return aliasString(w.doc.data[w.doc.from:w.doc.p]) }

// innerJSON adds the leaves of JSON text inside of a value, under the value's path,
// one level of such nesting deep. It reports false for text that is no JSON.
func (w *jsonWorker) innerJSON(b *Batch, leaf *jsonLeaf) bool {
	text := leaf.text
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	w.inner.reset()
	w.inner.data, w.inner.p = stringBytes(text), 0
	if err := w.inner.value(leaf.path, 0); err != nil || strings.TrimSpace(text[w.inner.p:]) != "" {
		return false
	}
	plainSlots(b, &w.inner)
	return true
}

// innerColumns does innerJSON for every value of the record.
func (w *jsonWorker) innerColumns(b *Batch) {
	for i := range w.doc.leaves {
		if leaf := &w.doc.leaves[i]; leaf.kind == model.String {
			w.innerJSON(b, leaf)
		}
	}
}

// maxWraps bounds how many wrappings of a record are taken off.
const maxWraps = 4

// unwrap decodes the JSON object in text, such as a value that holds another
// product's record, in place of the record that holds it. What the wrapping says
// of host and times stays in e unless the record inside says it too.
func (w *jsonWorker) unwrap(b *Batch, e *model.Event, text string) error {
	if w.wraps++; w.wraps > maxWraps {
		return fmt.Errorf("record wrapped more than %d times", maxWraps)
	}
	b.Drop()
	w.doc, w.inner = w.inner, w.doc
	end, err := w.doc.parse(stringBytes(text), 0)
	if err != nil {
		return fmt.Errorf("the record inside: %w", err)
	}
	if strings.TrimSpace(text[end:]) != "" {
		return errors.New("text behind the record inside")
	}
	host, before := e.Host, len(b.Events)
	if err := w.d.record(w, b, e); err != nil {
		return err
	}
	for i := before; i < len(b.Events); i++ {
		if inside := &b.Events[i]; inside.Host == host && hostless(inside.Source.Product) {
			inside.Host = ""
		}
	}
	return nil
}

// hostless reports whether the acts of a product happen at a provider or on a wire,
// so that a host that handed its records on is not where they happened.
func hostless(product string) bool {
	switch product {
	case "aws", "azure", "m365", "gcp", "google_workspace", "okta", "onelogin", "github", "bitbucket", "cisco_duo", "kubernetes", "zeek", "suricata", "pingid", "pingone":
		return true
	}
	return false
}

// unwrapAt does unwrap for the object under a path of keys in the record itself.
func (w *jsonWorker) unwrapAt(b *Batch, e *model.Event, path ...string) error {
	text := memberText(w.text(), path...)
	if text == "" || text[0] != '{' {
		return fmt.Errorf("%s holds no record", strings.Join(path, "."))
	}
	return w.unwrap(b, e, text)
}

// unwrapRow does unwrap for a row of a table that holds the members of a record as
// columns, objects and arrays perhaps as text; column names the member of a column.
func (w *jsonWorker) unwrapRow(b *Batch, e *model.Event, column func(string) string) error {
	out := []byte{'{'}
	eachMember(w.text(), func(name, value string) bool {
		if text := jsonString(value); text != "" && value[0] == '"' && (text[0] == '{' || text[0] == '[') {
			value = text
		}
		out = append(append(out, '"'), column(name)...)
		out = append(append(append(out, '"', ':'), value...), ',')
		return true
	})
	return w.unwrap(b, e, string(append(trimComma(out), '}')))
}
