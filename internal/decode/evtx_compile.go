package decode

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// An evtxElem is an open element while its template is compiled.
type evtxElem struct {
	name   string
	naming []evtxPart // what its Name attribute says
	parts  []evtxPart // its text
	attrs  int        // attributes that became fields
	kids   int        // elements inside
	system bool       // it is <System> or inside
	render bool       // it is <RenderingInfo> or inside
}

// compileAt compiles the element at start. It reads no further than end; offsets
// are those of the chunk, because names stand anywhere in it. deps tells whether
// elements carry a dependency id, as they do in template definitions. It returns
// where the element ends, too.
func (p *evtxParser) compileAt(start, end int, deps bool) (*evtxTemplate, int) {
	t := &evtxTemplate{}
	if p.compiled -= end - start; p.compiled < 0 {
		t.err = errEvtxExpands
		return t, start
	}
	c := evtxCompiler{p: p, r: evtxReader{b: p.c[:end], pos: start}, deps: deps, elems: p.elems[:0], ops: p.scratch[:0]}
	t.err = c.run()
	t.ops = slices.Clone(c.ops)
	clear(c.ops)
	p.elems, p.scratch = c.elems[:0], c.ops[:0]
	return t, c.r.pos
}

type evtxCompiler struct {
	p     *evtxParser
	r     evtxReader
	deps  bool
	elems []evtxElem
	ops   []evtxOp

	attr   string     // the attribute being read, empty if none
	inAttr bool       // attr and value are being read
	value  []evtxPart // of the attribute
}

// run reads tokens until the outermost element ends.
func (c *evtxCompiler) run() error {
	for {
		tok := c.r.u8()
		if c.r.short {
			return errEvtxShort
		}
		if tok == tokEnd {
			if len(c.elems) > 0 {
				return fmt.Errorf("BinXML ends inside element <%s>", c.elems[len(c.elems)-1].name)
			}
			return nil
		}
		if err := c.token(tok); err != nil {
			return err
		}
		if c.r.short {
			return errEvtxShort
		}
		if c.p.compiled < 0 {
			return errEvtxExpands
		}
		if len(c.elems) == 0 && tok != tokFragment {
			return nil
		}
	}
}

func (c *evtxCompiler) token(tok byte) error {
	switch tok {
	case tokFragment:
		c.r.skip(3)
	case tokOpenStart, tokOpenStart | moreData:
		c.endAttr()
		return c.open(tok&moreData != 0)
	case tokCloseStart:
		c.endAttr()
	case tokCloseEmpty, tokEndElement:
		c.endAttr()
		return c.close()
	case tokAttribute, tokAttribute | moreData:
		c.endAttr()
		name, err := c.p.nameAt(&c.r)
		if err != nil {
			return err
		}
		c.attr, c.inAttr = name, true
	case tokValue, tokValue | moreData:
		if typ := c.r.u8(); typ != typeString && !c.r.short {
			return fmt.Errorf("literal of value type 0x%02x", typ)
		}
		c.literal(c.utf16())
	case tokCData, tokCData | moreData:
		c.literal(c.utf16())
	case tokCharRef, tokCharRef | moreData:
		c.literal(string(rune(c.r.u16())))
	case tokEntityRef, tokEntityRef | moreData:
		name, err := c.p.nameAt(&c.r)
		if err != nil {
			return err
		}
		c.literal(entity(name))
	case tokPITarget:
		_, err := c.p.nameAt(&c.r)
		return err
	case tokPIData:
		c.r.skip(2 * int(c.r.u16()))
	case tokNormalSub, tokOptionalSub:
		sub := c.r.u16()
		c.r.skip(1) // the type, which the instance says too
		c.part(evtxPart{sub: int32(sub), null: tok == tokNormalSub})
	default:
		return fmt.Errorf("unknown BinXML token 0x%02x", tok)
	}
	return nil
}

// open begins an element.
func (c *evtxCompiler) open(attrs bool) error {
	if len(c.elems) >= MaxDepth {
		return errEvtxDeep
	}
	if c.deps {
		c.r.skip(2)
	}
	c.r.skip(4) // size of the element
	name, err := c.p.nameAt(&c.r)
	if err != nil {
		return err
	}
	if attrs {
		c.r.skip(4) // size of the attributes
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	e := evtxElem{name: name, system: name == "System", render: name == "RenderingInfo"}
	if n := len(c.elems); n > 0 {
		parent := &c.elems[n-1]
		parent.kids++
		e.system = parent.system || e.system && parent.name == "Event"
		e.render = parent.render || e.render
	}
	c.elems = append(c.elems, e)
	return nil
}

// utf16 reads a literal: its length in characters, and itself.
func (c *evtxCompiler) utf16() string {
	b := c.r.take(2 * int(c.r.u16()))
	return string(appendUTF16(make([]byte, 0, utf16Room(len(b))), b))
}

func (c *evtxCompiler) literal(text string) {
	// Pieces that follow each other (text, entity, text) are one text.
	parts := c.target()
	if parts == nil {
		return
	}
	if n := len(*parts); n > 0 && (*parts)[n-1].sub < 0 {
		c.p.compiled -= len((*parts)[n-1].text) / 16 // copying it is work, too
		(*parts)[n-1].text += text
		return
	}
	c.add(parts, evtxPart{text: text, sub: -1})
}

func (c *evtxCompiler) part(part evtxPart) {
	if parts := c.target(); parts != nil {
		c.add(parts, part)
	}
}

// add appends a piece. Most texts are one piece, so those come from one block.
func (c *evtxCompiler) add(parts *[]evtxPart, part evtxPart) {
	if len(*parts) > 0 {
		*parts = append(*parts, part)
		return
	}
	pool := &c.p.parts
	if len(*pool) == cap(*pool) {
		*pool = make([]evtxPart, 0, 64)
	}
	*pool = append(*pool, part)
	*parts = (*pool)[len(*pool)-1 : len(*pool) : len(*pool)]
}

// target returns where text belongs now, nil if nowhere.
func (c *evtxCompiler) target() *[]evtxPart {
	switch {
	case c.inAttr:
		return &c.value
	case len(c.elems) > 0:
		return &c.elems[len(c.elems)-1].parts
	}
	return nil
}

// endAttr makes a field of the attribute that was read, if one was.
func (c *evtxCompiler) endAttr() {
	if !c.inAttr {
		return
	}
	name, value := c.attr, c.value
	c.attr, c.value, c.inAttr = "", nil, false
	if len(c.elems) == 0 || name == "xmlns" || strings.HasPrefix(name, "xmlns:") || strings.HasPrefix(name, "xml:") {
		return
	}
	e := &c.elems[len(c.elems)-1]
	if name == "Name" && (e.name == "Data" || e.name == "ComplexData") {
		e.naming = value
		return
	}
	e.attrs++
	c.field(e, "_", name, nil, value, false)
}

// close ends an element and makes a field of its text, if it has one.
func (c *evtxCompiler) close() error {
	if len(c.elems) == 0 {
		return fmt.Errorf("element ends that did not begin")
	}
	e := &c.elems[len(c.elems)-1]
	switch {
	case len(e.parts) > 0:
		c.field(e, "", "", e.naming, e.parts, true)
	case e.kids > 0 || e.system || e.attrs > 0 || isSection(e.name):
	default:
		c.field(e, "", "", e.naming, nil, true)
	}
	c.elems = c.elems[:len(c.elems)-1]
	return nil
}

// field adds the op of a field of e: its text, or an attribute of it. An
// attribute without a value is none; elements inside keep the text of an element
// that is only their frame from being one.
func (c *evtxCompiler) field(e *evtxElem, sep, attr string, naming, parts []evtxPart, element bool) {
	if !element && len(parts) == 0 {
		return
	}
	o := evtxOp{sub: -1, parts: parts}
	if len(parts) == 1 && parts[0].sub >= 0 {
		o.sub, o.null, o.parts = parts[0].sub, parts[0].null && !e.system, nil
	}
	switch {
	case len(naming) == 1 && naming[0].sub < 0 && naming[0].text != "":
		c.name(&o, naming[0].text)
	case len(naming) > 1 || len(naming) == 1 && naming[0].sub >= 0:
		o.naming = naming
	default:
		key := c.p.key[:0]
		if e.render && e.name != "RenderingInfo" && e.name != "Message" {
			key = append(key, "RenderingInfo_"...)
		}
		key = append(append(append(key, e.name...), sep...), attr...)
		c.p.key = key[:0]
		if id, ok := c.p.ids[string(key)]; ok && id != model.Unnamed {
			o.field = id
		} else {
			c.name(&o, string(key))
		}
	}
	o.when = e.system && o.field == c.p.timeCreated
	c.ops = append(c.ops, o)
}

func (c *evtxCompiler) name(o *evtxOp, name string) {
	if o.field = c.p.id(name); o.field == model.Unnamed {
		o.name = name
	}
}

// isSection tells the elements that only hold others, even when they are empty.
func isSection(name string) bool {
	switch name {
	case "Event", "System", "EventData", "UserData", "RenderingInfo":
		return true
	}
	return false
}

func entity(name string) string {
	switch name {
	case "lt":
		return "<"
	case "gt":
		return ">"
	case "amp":
		return "&"
	case "quot":
		return `"`
	case "apos":
		return "'"
	}
	return "&" + name + ";"
}

// nameAt reads the offset of a name in the chunk and, if the name stands right
// there because it is used for the first time, skips it. A name is: offset of the
// next with the same hash, hash, length in characters, characters, NUL.
func (p *evtxParser) nameAt(r *evtxReader) (string, error) {
	off := r.u32()
	if r.short {
		return "", errEvtxShort
	}
	const head = 8
	if int64(off)+head > int64(len(p.c)) {
		return "", fmt.Errorf("name at %d is outside its chunk", off)
	}
	size := 2 * int(binary.LittleEndian.Uint16(p.c[off+6:]))
	start := int(off) + head
	if start+size+2 > len(p.c) {
		return "", fmt.Errorf("name at %d is outside its chunk", off)
	}
	if int(off) == r.pos {
		r.skip(head + size + 2)
	}
	return p.nameText(p.c[start : start+size]), nil
}

// nameText returns a name as text, the same string for the same name.
func (p *evtxParser) nameText(utf16 []byte) string {
	if s, ok := p.texts[string(utf16)]; ok {
		return s
	}
	s := string(appendUTF16(make([]byte, 0, utf16Room(len(utf16))), utf16))
	if len(utf16) <= 2*model.MaxNameLen {
		if len(p.texts) >= maxEvtxNames {
			clear(p.texts)
		}
		p.texts[string(utf16)] = s
	}
	return s
}
