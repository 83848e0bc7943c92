package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/catena-sec/catena/internal/model"
)

// Bounds of one chunk. A record is a template's id and its values, so a few bytes
// can ask for much work: a hostile chunk could name the same long value a
// thousand times, or define a thousand templates over the same bytes. Real chunks
// stay below a tenth of each.
const (
	evtxMaxOps      = 1 << 17 // steps taken to render records
	evtxMaxText     = 4 << 20 // bytes of text rendered
	evtxMaxCompiled = 2 << 20 // bytes of BinXML compiled
	evtxMaxNesting  = 8       // BinXML in values in BinXML
)

// The tokens of BinXML. The bit moreData marks a start element with attributes,
// and values that are not the last of their element.
const (
	tokEnd           = 0x00
	tokOpenStart     = 0x01
	tokCloseStart    = 0x02
	tokCloseEmpty    = 0x03
	tokEndElement    = 0x04
	tokValue         = 0x05
	tokAttribute     = 0x06
	tokCData         = 0x07
	tokCharRef       = 0x08
	tokEntityRef     = 0x09
	tokPITarget      = 0x0a
	tokPIData        = 0x0b
	tokTemplate      = 0x0c
	tokNormalSub     = 0x0d
	tokOptionalSub   = 0x0e
	tokFragment      = 0x0f
	moreData         = 0x40
	templateHeadSize = 24 // offset of the next, GUID, size
)

var (
	errEvtxShort    = errors.New("BinXML ends in the middle of a token")
	errEvtxTemplate = errors.New("template definition outside its chunk")
	errEvtxDeep     = fmt.Errorf("elements nested deeper than %d", MaxDepth)
	errEvtxNested   = fmt.Errorf("BinXML nested deeper than %d", evtxMaxNesting)
	errEvtxExpands  = errors.New("chunk expands beyond what its size allows")
)

// A template is compiled once into a flat list of what it adds to an event, in
// the order of the document. Names are interned then, so that rendering a record
// is a walk over the list.
type evtxTemplate struct {
	ops []evtxOp
	err error
}

// An evtxOp adds one field.
type evtxOp struct {
	field  model.FieldID
	sub    int32  // which value of the instance it is; -1: what parts say
	null   bool   // a null value is an empty text, not an absent field
	when   bool   // the value is when the event was created
	name   string // the field's name if it did not fit into Names
	parts  []evtxPart
	naming []evtxPart // the field's name, where the record itself says it
}

// An evtxPart is a piece of text: literal, or a value of the instance.
type evtxPart struct {
	text string
	sub  int32 // -1: text
	null bool  // see evtxOp
}

// An evtxValue says where in the chunk a value of an instance stands.
type evtxValue struct {
	off  uint32
	size uint16
	typ  byte
}

// An evtxParser decodes chunks, one after the other. It keeps between chunks only
// what does not change what comes out.
type evtxParser struct {
	names       *model.Names
	timeCreated model.FieldID            // TimeCreated_SystemTime
	ids         map[string]model.FieldID // of field names met before
	texts       map[string]string        // UTF-16 names as text

	c         []byte                   // the chunk
	templates map[uint32]*evtxTemplate // by their offset in the chunk
	b         *Batch
	values    []evtxValue // of the instances being rendered, outermost first
	created   uint64      // FILETIME that the record's System says, 0 if it does not
	ops       int         // what is left of the chunk's bounds
	text      int
	compiled  int

	arena []byte // texts of slots; never overwritten, since slots alias it

	// Scratch of the compiler.
	key     []byte
	elems   []evtxElem
	scratch []evtxOp
	parts   []evtxPart // the next pieces come from here; those handed out are never overwritten
}

// maxEvtxNames bounds what a parser keeps of names.
const maxEvtxNames = 1 << 14

func newEvtxParser(names *model.Names) *evtxParser {
	return &evtxParser{names: names, timeCreated: names.ID("TimeCreated_SystemTime"), ids: make(map[string]model.FieldID), texts: make(map[string]string), templates: make(map[uint32]*evtxTemplate)}
}

// open begins a chunk.
func (p *evtxParser) open(c []byte) {
	p.c = c
	clear(p.templates)
	p.ops, p.text, p.compiled = evtxMaxOps, evtxMaxText, evtxMaxCompiled
}

// release lets go of what belongs to the batch.
func (p *evtxParser) release() {
	p.c, p.b, p.arena, p.parts = nil, nil, nil, nil
	clear(p.templates)
}

// record renders the record at off into b.
func (p *evtxParser) record(off, size int, b *Batch) error {
	p.b, p.created = b, 0
	p.values = p.values[:0]
	r := evtxReader{b: p.c[:off+size-4], pos: off + evtxRecordHeader}
	return p.fragment(&r, 0)
}

// stamps returns when the record says that it was created, and when a collector
// took it. An event's System holds the first as a value; where it holds a text,
// the event was forwarded, and the stamp of the record's header is the
// collector's. A stamp that no calendar can hold is none.
func (p *evtxParser) stamps(raw []byte) (recorded, received time.Time) {
	header := stamp(binary.LittleEndian.Uint64(raw[16:]))
	if p.created != 0 {
		return stamp(p.created), time.Time{}
	}
	if text, ok := p.b.Get(p.timeCreated); ok {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t.UTC(), header
		}
	}
	return header, time.Time{}
}

func stamp(ft uint64) time.Time {
	if ft > maxFiletime {
		return time.Time{}
	}
	return filetime(ft)
}

// fragment renders what stands at r: template instances and plain elements.
func (p *evtxParser) fragment(r *evtxReader, depth int) error {
	for some := false; !r.short; {
		tok, ok := r.peek()
		if !ok {
			return nil
		}
		switch tok {
		case tokEnd:
			return nil
		case tokFragment:
			r.skip(4)
		case tokPITarget, tokPIData:
			if err := p.instruction(r); err != nil {
				return err
			}
		case tokTemplate:
			if err := p.instance(r, depth); err != nil {
				return err
			}
			some = true
		case tokOpenStart, tokOpenStart | moreData:
			// Here an element carries no dependency id, says the specification; some
			// writers put one there all the same.
			t, end := p.compileAt(r.pos, len(r.b), false)
			if t.err != nil {
				if u, uend := p.compileAt(r.pos, len(r.b), true); u.err == nil {
					t, end = u, uend
				}
			}
			if t.err != nil {
				return t.err
			}
			if err := p.render(t, nil, depth); err != nil {
				return err
			}
			r.pos = end
			some = true
		default:
			if some { // what fills the record up to its size
				return nil
			}
			return fmt.Errorf("unknown BinXML token 0x%02x", tok)
		}
	}
	return errEvtxShort
}

// instruction skips a processing instruction: a target's name, or data.
func (p *evtxParser) instruction(r *evtxReader) error {
	if r.u8() == tokPITarget {
		_, err := p.nameAt(r)
		return err
	}
	r.skip(2 * int(r.u16()))
	return nil
}

// instance renders a template instance: which template, and its values.
func (p *evtxParser) instance(r *evtxReader, depth int) error {
	if depth > evtxMaxNesting {
		return errEvtxNested
	}
	r.skip(6) // token, version, template id
	def := r.u32()
	if r.short {
		return errEvtxShort
	}
	t, size := p.template(def)
	if int64(def) == int64(r.pos) { // the definition stands right here, where it is first used
		r.skip(templateHeadSize + size)
	}
	if t.err != nil {
		return t.err
	}
	n := int(r.u32())
	if r.short || n < 0 || n > (len(r.b)-r.pos)/4 {
		return errEvtxShort
	}
	if p.ops -= n/4 + 1; p.ops < 0 {
		return errEvtxExpands
	}
	base := len(p.values)
	at := r.pos + 4*n
	for i := 0; i < n; i++ {
		d := r.b[r.pos+4*i:]
		v := evtxValue{off: uint32(at), size: binary.LittleEndian.Uint16(d), typ: d[2]}
		p.values = append(p.values, v)
		at += int(v.size)
	}
	if at > len(r.b) {
		p.values = p.values[:base]
		return fmt.Errorf("values of a template instance reach %d bytes beyond the record", at-len(r.b))
	}
	r.pos = at
	err := p.render(t, p.values[base:len(p.values):len(p.values)], depth)
	p.values = p.values[:base]
	return err
}

// render adds what the template says about the values to the event.
func (p *evtxParser) render(t *evtxTemplate, values []evtxValue, depth int) error {
	if p.ops -= len(t.ops); p.ops < 0 {
		return errEvtxExpands
	}
	for i := range t.ops {
		o := &t.ops[i]
		if o.sub < 0 {
			if err := p.renderParts(o, values, depth); err != nil {
				return err
			}
			continue
		}
		if int(o.sub) >= len(values) {
			return fmt.Errorf("template asks for value %d of %d", o.sub+1, len(values))
		}
		v := values[o.sub]
		if v.typ == typeBinXML {
			if err := p.nested(v, depth); err != nil {
				return err
			}
			continue
		}
		if v.null() {
			if o.null {
				if err := p.emit(o, values, model.String, ""); err != nil {
					return err
				}
			}
			continue
		}
		if v.typ&typeArray != 0 {
			if err := p.renderArray(o, v, values); err != nil {
				return err
			}
			continue
		}
		if o.when && v.typ == typeFiletime && v.size == 8 {
			p.created = binary.LittleEndian.Uint64(p.c[v.off:])
		}
		text, kind, err := p.value(v)
		if err != nil {
			return err
		}
		if o.naming == nil && o.name == "" {
			p.b.Slot(o.field, kind, text)
			continue
		}
		if err := p.emit(o, values, kind, text); err != nil {
			return err
		}
	}
	return nil
}

// nested renders BinXML that is a value. What it cannot read fails the record, as
// half an event would be a wrong event.
func (p *evtxParser) nested(v evtxValue, depth int) error {
	if depth >= evtxMaxNesting {
		return errEvtxNested
	}
	end := int(v.off) + int(v.size)
	return p.fragment(&evtxReader{b: p.c[:end], pos: int(v.off)}, depth+1)
}

// renderArray adds a slot for each element of an array.
func (p *evtxParser) renderArray(o *evtxOp, v evtxValue, values []evtxValue) error {
	for elem := range p.elements(v) {
		if p.ops--; p.ops < 0 {
			return errEvtxExpands
		}
		text, kind, err := p.value(elem)
		if err != nil {
			return err
		}
		if err := p.emit(o, values, kind, text); err != nil {
			return err
		}
	}
	return nil
}

// renderParts adds a field of several pieces. It is absent if it has no literal
// piece and all its values are null. BinXML among the pieces adds its own fields.
func (p *evtxParser) renderParts(o *evtxOp, values []evtxValue, depth int) error {
	if len(o.parts) == 0 || len(o.parts) == 1 && o.parts[0].sub < 0 {
		text := ""
		if len(o.parts) == 1 {
			text = o.parts[0].text
		}
		return p.emit(o, values, model.String, text)
	}
	text, some, err := p.join(o.parts, values)
	if err != nil {
		return err
	}
	if some {
		if err := p.emit(o, values, model.String, text); err != nil {
			return err
		}
	}
	for _, part := range o.parts {
		if part.sub < 0 || values[part.sub].typ != typeBinXML {
			continue
		}
		if err := p.nested(values[part.sub], depth); err != nil {
			return err
		}
	}
	return nil
}

// join renders pieces of text one behind the other and tells whether any is
// there; BinXML is none. The elements of an array are separated by ", ".
func (p *evtxParser) join(parts []evtxPart, values []evtxValue) (text string, some bool, err error) {
	var joined []byte
	for _, part := range parts {
		if part.sub < 0 {
			joined = append(joined, part.text...)
			some = true
			continue
		}
		if int(part.sub) >= len(values) {
			return "", false, fmt.Errorf("template asks for value %d of %d", part.sub+1, len(values))
		}
		v := values[part.sub]
		if v.typ == typeBinXML { // elements, no text
			continue
		}
		if v.null() {
			some = some || part.null
			continue
		}
		some = true
		first := true
		for elem := range p.elements(v) {
			if p.ops--; p.ops < 0 {
				return "", false, errEvtxExpands
			}
			if !first {
				joined = append(joined, ", "...)
			}
			first = false
			t, _, err := p.value(elem)
			if err != nil {
				return "", false, err
			}
			joined = append(joined, t...)
		}
	}
	if p.text -= len(joined); p.text < 0 {
		return "", false, errEvtxExpands
	}
	return string(joined), some, nil
}

// emit adds a slot, under the name that the record says if the template leaves
// the name to it.
func (p *evtxParser) emit(o *evtxOp, values []evtxValue, kind model.Kind, text string) error {
	field, name := o.field, o.name
	if o.naming != nil {
		var err error
		if name, _, err = p.join(o.naming, values); err != nil {
			return err
		}
		if name == "" {
			name = "Data"
		}
		if field = p.id(name); field != model.Unnamed {
			name = ""
		}
	}
	if name != "" {
		if p.text -= len(name) + len(text); p.text < 0 {
			return errEvtxExpands
		}
		text = name + "\x00" + text
	}
	p.b.Slot(field, kind, text)
	return nil
}

// id returns the field id of name.
func (p *evtxParser) id(name string) model.FieldID {
	if id, ok := p.ids[name]; ok {
		return id
	}
	id := p.names.ID(name)
	if len(name) <= model.MaxNameLen {
		if len(p.ids) >= maxEvtxNames {
			clear(p.ids)
		}
		p.ids[strings.Clone(name)] = id
	}
	return id
}

// template returns the template defined at off in the chunk, and the size of its
// definition behind the head.
func (p *evtxParser) template(off uint32) (*evtxTemplate, int) {
	if int64(off)+templateHeadSize > int64(len(p.c)) {
		return &evtxTemplate{err: errEvtxTemplate}, 0
	}
	size := binary.LittleEndian.Uint32(p.c[off+20:])
	if int64(off)+templateHeadSize+int64(size) > int64(len(p.c)) {
		return &evtxTemplate{err: errEvtxTemplate}, 0
	}
	t, ok := p.templates[off]
	if !ok {
		start := int(off) + templateHeadSize
		t, _ = p.compileAt(start, start+int(size), true)
		p.templates[off] = t
	}
	return t, int(size)
}

// arenaBlock is how much memory for texts is taken at once.
const arenaBlock = 64 << 10

// room returns the arena with space for n more bytes.
func (p *evtxParser) room(n int) []byte {
	if cap(p.arena)-len(p.arena) < n {
		p.arena = p.b.textBlock(max(arenaBlock, n))
	}
	return p.arena
}

// keep returns what was appended to the arena since room as text.
func (p *evtxParser) keep(arena []byte) string {
	start := len(p.arena)
	p.arena = arena
	if len(arena) == start {
		return ""
	}
	return unsafe.String(&arena[start], len(arena)-start)
}

// An evtxReader reads numbers; a read beyond the end yields 0 and sets short.
type evtxReader struct {
	b     []byte
	pos   int
	short bool
}

func (r *evtxReader) peek() (byte, bool) {
	if r.pos >= len(r.b) {
		return 0, false
	}
	return r.b[r.pos], true
}

func (r *evtxReader) take(n int) []byte {
	if r.short || n < 0 || n > len(r.b)-r.pos {
		r.short = true
		return nil
	}
	b := r.b[r.pos : r.pos+n]
	r.pos += n
	return b
}

func (r *evtxReader) skip(n int) { r.take(n) }

func (r *evtxReader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *evtxReader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *evtxReader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}
