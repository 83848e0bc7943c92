package decode

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"
)

// An evtxWriter builds an event log file, so that fixtures are made and not
// copied. It writes what Windows writes: templates defined where they are first
// used and named by offset after that, values behind them, checksums.
type evtxWriter struct {
	chunk     []byte            // the chunk under construction, nil if none
	chunks    [][]byte          // finished
	templates map[string]uint32 // where a template of the chunk is defined
	names     map[string]uint32 // where a name of the chunk stands
	records   uint64            // in the chunk
	next      uint64            // record id
}

// A binValue is a value of a template instance.
type binValue struct {
	typ  byte
	data []byte
}

// A binXML writes BinXML: it appends to the chunk and says why it must know where.
type binXML func(w *evtxWriter)

func u16le(n int) []byte    { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }
func u32le(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func u64le(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func (w *evtxWriter) put(b ...byte) { w.chunk = append(w.chunk, b...) }

// name writes a name: its offset, and itself if the chunk has it not yet.
func (w *evtxWriter) name(s string) {
	off, ok := w.names[s]
	if !ok {
		off = uint32(len(w.chunk) + 4)
		w.names[s] = off
	}
	w.put(u32le(off)...)
	if !ok {
		w.put(0, 0, 0, 0, 0, 0)
		w.put(u16le(len(utf16le(s)) / 2)...)
		w.put(utf16le(s)...)
		w.put(0, 0)
	}
}

// sized writes n bytes for a size, runs fn and sets the size to what fn wrote.
func (w *evtxWriter) sized(fn func()) {
	at := len(w.chunk)
	w.put(0, 0, 0, 0)
	fn()
	binary.LittleEndian.PutUint32(w.chunk[at:], uint32(len(w.chunk)-at-4))
}

// el is an element of a template with attributes and content.
func el(name string, attrs []binXML, content ...binXML) binXML {
	return func(w *evtxWriter) { w.element(true, name, attrs, content) }
}

// plain is an element outside of a template: without a dependency id.
func plain(name string, attrs []binXML, content ...binXML) binXML {
	return func(w *evtxWriter) { w.element(false, name, attrs, content) }
}

func (w *evtxWriter) element(deps bool, name string, attrs, content []binXML) {
	tok := byte(tokOpenStart)
	if len(attrs) > 0 {
		tok |= moreData
	}
	w.put(tok)
	if deps {
		w.put(0xff, 0xff)
	}
	w.sized(func() {
		w.name(name)
		if len(attrs) > 0 {
			w.sized(func() {
				for _, a := range attrs {
					a(w)
				}
			})
		}
		if len(content) == 0 {
			w.put(tokCloseEmpty)
			return
		}
		w.put(tokCloseStart)
		for _, c := range content {
			c(w)
		}
		w.put(tokEndElement)
	})
}

func attr(name string, value ...binXML) binXML {
	return func(w *evtxWriter) {
		w.put(tokAttribute)
		w.name(name)
		for _, v := range value {
			v(w)
		}
	}
}

func attrs(a ...binXML) []binXML { return a }

func lit(s string) binXML {
	return func(w *evtxWriter) {
		b := utf16le(s)
		w.put(tokValue, typeString)
		w.put(u16le(len(b) / 2)...)
		w.put(b...)
	}
}

func sub(n int, typ byte) binXML {
	return func(w *evtxWriter) { w.put(tokNormalSub); w.put(u16le(n)...); w.put(typ) }
}

func opt(n int, typ byte) binXML {
	return func(w *evtxWriter) { w.put(tokOptionalSub); w.put(u16le(n)...); w.put(typ) }
}

func entityRef(name string) binXML {
	return func(w *evtxWriter) { w.put(tokEntityRef); w.name(name) }
}

// instance writes an instance of a template, and its definition if the chunk has
// none of that id yet.
func instance(id string, def binXML, values ...binValue) binXML {
	return func(w *evtxWriter) {
		w.put(tokFragment, 1, 1, 0, tokTemplate, 1)
		w.put(u32le(crc32.ChecksumIEEE([]byte(id)))...)
		at, ok := w.templates[id]
		if !ok {
			at = uint32(len(w.chunk) + 4)
			w.templates[id] = at
		}
		w.put(u32le(at)...)
		if !ok {
			w.put(0, 0, 0, 0)
			w.put(make([]byte, 16)...)
			w.sized(func() {
				w.put(tokFragment, 1, 1, 0)
				def(w)
				w.put(tokEnd)
			})
		}
		w.put(u32le(uint32(len(values)))...)
		for _, v := range values {
			w.put(u16le(len(v.data))...)
			w.put(v.typ, 0)
		}
		for _, v := range values {
			w.put(v.data...)
		}
	}
}

// open begins a chunk if none is open.
func (w *evtxWriter) open() {
	if w.chunk == nil {
		w.chunk = make([]byte, evtxChunkHeader, evtxChunkLen)
		w.templates, w.names, w.records = map[string]uint32{}, map[string]uint32{}, 0
	}
}

// add writes a record. The caller sees to it that the chunk has room.
func (w *evtxWriter) add(ft uint64, content binXML) {
	w.open()
	w.next++
	w.records++
	start := len(w.chunk)
	w.put([]byte(evtxRecordMagic)...)
	w.put(0, 0, 0, 0)
	w.put(u64le(w.next)...)
	w.put(u64le(ft)...)
	content(w)
	w.put(tokEnd)
	for len(w.chunk)%8 != 4 {
		w.put(0)
	}
	size := uint32(len(w.chunk) - start + 4)
	w.put(u32le(size)...)
	binary.LittleEndian.PutUint32(w.chunk[start+4:], size)
	if len(w.chunk) > evtxChunkLen {
		panic("chunk is full")
	}
}

// close ends the chunk.
func (w *evtxWriter) close() {
	if w.chunk == nil {
		return
	}
	free := len(w.chunk)
	c := w.chunk[:evtxChunkLen]
	copy(c, evtxChunkMagic)
	le := binary.LittleEndian
	le.PutUint64(c[8:], w.next-w.records+1)
	le.PutUint64(c[16:], w.next)
	le.PutUint64(c[24:], w.next-w.records+1)
	le.PutUint64(c[32:], w.next)
	le.PutUint32(c[40:], 128)
	le.PutUint32(c[48:], uint32(free))
	le.PutUint32(c[52:], crc32.ChecksumIEEE(c[evtxChunkHeader:free]))
	le.PutUint32(c[124:], crc32.Update(crc32.ChecksumIEEE(c[:120]), crc32.IEEETable, c[128:evtxChunkHeader]))
	w.chunks = append(w.chunks, c)
	w.chunk = nil
}

// bytes returns the file.
func (w *evtxWriter) bytes() []byte {
	w.close()
	f := make([]byte, evtxHeaderBlock)
	copy(f, evtxFileMagic)
	le := binary.LittleEndian
	le.PutUint64(f[16:], uint64(max(0, len(w.chunks)-1)))
	le.PutUint64(f[24:], w.next+1)
	le.PutUint32(f[32:], 128)
	le.PutUint16(f[36:], 1)
	le.PutUint16(f[38:], 3)
	le.PutUint16(f[40:], evtxHeaderBlock)
	le.PutUint16(f[42:], uint16(len(w.chunks)))
	le.PutUint32(f[124:], crc32.ChecksumIEEE(f[:120]))
	for _, c := range w.chunks {
		f = append(f, c...)
	}
	return f
}

// Values.
func str(s string) binValue { return binValue{typeString, utf16le(s)} }
func null() binValue        { return binValue{typ: typeNull} }

// logonTemplate is an event with a <System> such as Windows writes.
func logonTemplate() binXML {
	return el("Event", attrs(attr("xmlns", lit("http://schemas.microsoft.com/win/2004/08/events/event"))),
		el("System", nil,
			el("Provider", attrs(attr("Name", lit("Microsoft-Windows-Security-Auditing")), attr("Guid", sub(0, typeGUID)))),
			el("EventID", attrs(attr("Qualifiers", opt(1, typeUint16))), sub(2, typeUint16)),
			el("Version", nil, sub(3, typeUint8)),
			el("Keywords", nil, sub(4, typeHex64)),
			el("TimeCreated", attrs(attr("SystemTime", sub(5, typeFiletime)))),
			el("EventRecordID", nil, sub(6, typeUint64)),
			el("Correlation", attrs(attr("ActivityID", opt(7, typeGUID)))),
			el("Execution", attrs(attr("ProcessID", sub(8, typeUint32)), attr("ThreadID", sub(9, typeUint32)))),
			el("Channel", nil, lit("Security")),
			el("Computer", nil, sub(10, typeString)),
			el("Security", attrs(attr("UserID", opt(11, typeSID)))),
		),
		sub(12, typeBinXML),
	)
}

// testGUID is {0CCE9217-69AE-11D9-BED3-505054503030}.
var testGUID = []byte{0x17, 0x92, 0xce, 0x0c, 0xae, 0x69, 0xd9, 0x11, 0xbe, 0xd3, 0x50, 0x50, 0x54, 0x50, 0x30, 0x30}

// testTime is 2024-02-29T23:59:58.1234567Z.
const testTime = 133537247981234567

// event writes an event of that id with content in place of its EventData.
func (w *evtxWriter) event(id int, content binXML) {
	w.open()
	// A value stands behind the descriptors, and BinXML in a value names places in
	// the chunk: it is written twice, first to know its size.
	write := func(data []byte) binXML {
		return instance("event", logonTemplate(),
			binValue{typeGUID, testGUID}, null(), binValue{typeUint16, u16le(id)}, binValue{typeUint8, []byte{2}},
			binValue{typeHex64, u64le(0x8020000000000000)}, binValue{typeFiletime, u64le(testTime)}, binValue{typeUint64, u64le(w.next + 1)},
			null(), binValue{typeUint32, u32le(744)}, binValue{typeUint32, u32le(5000)}, str("dc01.example.org"), null(),
			binValue{typeBinXML, data})
	}
	save := *w
	save.chunk = append(make([]byte, 0, evtxChunkLen), w.chunk...)
	save.templates, save.names = cloneMap(w.templates), cloneMap(w.names)
	scratch := save
	scratch.put(make([]byte, evtxRecordHeader)...)
	write(nil)(&scratch)
	at := len(scratch.chunk)
	content(&scratch)
	scratch.put(tokEnd)
	data := append([]byte(nil), scratch.chunk[at:]...)
	w.add(testTime, write(data))
	w.templates, w.names = scratch.templates, scratch.names
}

func cloneMap(m map[string]uint32) map[string]uint32 {
	c := make(map[string]uint32, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
