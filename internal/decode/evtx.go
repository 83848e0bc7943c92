package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/catena-sec/catena/internal/model"
)

// The layout of a Windows event log file: a header block, then chunks of 64 KiB,
// each on its own: a chunk header, then records whose content is BinXML (see
// evtx_binxml.go). All numbers are little-endian. Sources: [MS-EVEN6] for BinXML,
// the libevtx documentation for the file and chunk headers.
const (
	evtxFileMagic   = "ElfFile\x00"
	evtxChunkMagic  = "ElfChnk\x00"
	evtxRecordMagic = "**\x00\x00"

	evtxHeaderBlock  = 4096     // bytes before the first chunk, unless the file header says otherwise
	evtxChunkLen     = 64 << 10 // bytes of a chunk
	evtxChunkHeader  = 512      // bytes before a chunk's first record
	evtxRecordHeader = 24       // magic, size, record id, FILETIME
	evtxMinRecord    = evtxRecordHeader + 4
)

// EVTX returns the decoder of Windows event log files, also of bare chunks and of
// files that were cut, damaged, or copied while Windows was writing them: counts
// and sizes in headers are taken as hints, and a damaged chunk or record costs
// only itself.
//
// An event's fields are the leaves of its XML, rendered as Windows Event Viewer
// renders them, since rules are written against that:
//
//   - <System>: the element's name, or Element_Attribute: EventID, Channel,
//     Provider_Name, TimeCreated_SystemTime, Execution_ProcessID
//   - <Data Name="X">: X; <Data> without a name: Data, one slot each, in order
//   - other elements (UserData): their local name; their attributes
//     Element_Attribute; <RenderingInfo> but for its Message under RenderingInfo_X
//   - a name that <System> uses too keeps that name; System's slot stands first,
//     so Event.Get finds the one of System
//   - hexadecimal integers are "0x" and lower-case digits without padding, GUIDs
//     "{UPPER-CASE}", binary values upper-case digits, times ISO 8601 with seven
//     decimals and Z, arrays one slot an element
//   - a present value without content is an empty text; an optional value that is
//     null, and an element of System without content, are no slot
func EVTX(o Options) Decoder {
	d := &evtx{names: o.Names, buffers: newBuffers()}
	d.parsers.New = func() any { return newEvtxParser(o.Names) }
	return d
}

type evtx struct {
	names   *model.Names
	parsers sync.Pool // of *evtxParser
	buffers buffers
}

func (d *evtx) Name() string { return "evtx" }

func (d *evtx) Sniff(head []byte) int {
	if bytes.HasPrefix(head, []byte(evtxFileMagic)) || bytes.HasPrefix(head, []byte(evtxChunkMagic)) {
		return 100
	}
	return 0
}

// Frame cuts between 64 KiB chunks, several to a Chunk. A block without the
// chunk's mark is reported; it is still handed on if a record stands where a
// chunk's first one does, for a single wrong byte must not hide a chunk.
func (d *evtx) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	f := evtxFramer{r: r, emit: emit, bad: bad, home: d.buffers}
	return f.run()
}

type evtxFramer struct {
	r    io.Reader
	emit func(Chunk) error
	bad  func(model.InputError)
	home buffers

	buf    []byte // whole chunks not handed on yet
	offset int64  // of buf[0]
	record int64  // records before buf[0]
	held   int64  // records in buf
	size   int    // of buf
}

func (f *evtxFramer) run() error {
	f.reserve()
	n, err := readFull(f.r, f.buf[:len(evtxFileMagic)])
	if string(f.buf[:n]) == evtxFileMagic {
		f.offset = int64(n)
		n = 0
		if err == nil {
			err = f.skipHeader()
		}
		if errors.Is(err, io.EOF) {
			f.bad(model.InputError{Offset: f.offset, Count: 1, Cause: "file header cut short: the file ends inside it"})
		}
	}
	for { // n bytes of the next block stand behind buf
		if n == 0 && err == nil && cap(f.buf)-len(f.buf) < evtxChunkLen {
			// Most files are small and end here: look before room is made for more.
			var ahead [8]byte
			if n, err = readFull(f.r, ahead[:]); n > 0 {
				if ferr := f.handOn(f.buf); ferr != nil {
					return ferr
				}
				f.reserve()
				copy(f.buf[:n], ahead[:n])
			}
		}
		if err == nil {
			var m int
			m, err = readFull(f.r, f.buf[len(f.buf)+n:len(f.buf)+evtxChunkLen])
			n += m
		}
		if n == 0 {
			break
		}
		rest, ferr := f.block(f.buf[len(f.buf) : len(f.buf)+n])
		if ferr != nil {
			return ferr
		}
		n = 0
		if len(rest) > 0 {
			if f.buf == nil { // handed on; what is damaged so must not ask for much memory each time
				f.size = 0
				f.reserve()
			}
			n = copy(f.buf[:cap(f.buf)], rest)
		}
	}
	if ferr := f.handOn(f.buf); ferr != nil {
		return ferr
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// reserve begins a new buffer. Most files are small and memory must be cleared, so
// the first holds a block, and each one more than that before.
func (f *evtxFramer) reserve() {
	f.size = min(max(4*f.size, evtxChunkLen), ChunkTarget)
	f.buf = f.home.get(f.size)
}

// skipHeader reads on to the first chunk; eight bytes of the file were read.
func (f *evtxFramer) skipHeader() error {
	head := make([]byte, 128-len(evtxFileMagic))
	n, err := readFull(f.r, head)
	f.offset += int64(n)
	if err != nil {
		return err
	}
	size := int64(binary.LittleEndian.Uint16(head[40-len(evtxFileMagic):]))
	if size < 128 {
		size = evtxHeaderBlock
	}
	m, err := io.CopyN(io.Discard, f.r, size-f.offset)
	f.offset += m
	return err
}

// block takes the next block of the input, shorter than a chunk only at the
// input's end. It returns what must be read again as the start of a chunk.
func (f *evtxFramer) block(block []byte) (rest []byte, err error) {
	at := f.offset + int64(len(f.buf))
	whole := block
	marked := bytes.HasPrefix(block, []byte(evtxChunkMagic))
	switch {
	case !marked && allZero(block): // allotted, never used
		return nil, f.skip(len(block))
	case !marked && len(block) < evtxChunkHeader:
		f.bad(model.InputError{Offset: at, Count: 1, Cause: fmt.Sprintf("%d bytes after the last chunk are no chunk", len(block))})
		return nil, f.skip(len(block))
	case !marked:
		f.bad(model.InputError{Offset: at, Count: 1, Cause: "chunk without its magic number"})
		if next := findChunk(block); next > 0 {
			return block[next:], f.skip(next)
		}
		if len(block) < evtxChunkHeader+evtxMinRecord || string(block[evtxChunkHeader:evtxChunkHeader+4]) != evtxRecordMagic {
			return nil, f.skip(len(block))
		}
	case marked && chunkEnd(block) < len(block) && findChunk(block[chunkEnd(block)-1:]) > 0:
		// Bytes were lost, and the next chunk begins where this one has spare room.
		block = block[:chunkEnd(block)-1+findChunk(block[chunkEnd(block)-1:])]
		f.bad(model.InputError{Offset: at, Count: 1, Cause: fmt.Sprintf("chunk cut short: another one begins after %d bytes", len(block))})
	case len(block) < evtxChunkLen && chunkEnd(block) > len(block):
		f.bad(model.InputError{Offset: at, Count: 1, Cause: fmt.Sprintf("chunk cut short: %d of %d bytes", len(block), chunkEnd(block))})
	}
	f.buf = f.buf[:len(f.buf)+len(block)] // where it stands already
	f.held += int64(countRecords(block))
	rest = whole[len(block):]
	if len(rest) > 0 {
		return rest, f.flush()
	}
	return nil, nil
}

// skip leaves out the next n bytes of the input.
func (f *evtxFramer) skip(n int) error {
	err := f.flush()
	f.offset += int64(n)
	return err
}

// flush hands on what stands in buf. Something behind it may have to be read again,
// so its memory does not come back.
func (f *evtxFramer) flush() error { return f.handOn(nil) }

func (f *evtxFramer) handOn(memory []byte) error {
	if len(f.buf) == 0 {
		return nil
	}
	c := Chunk{Data: f.buf[:len(f.buf):len(f.buf)], Offset: f.offset, Record: f.record, memory: memory, home: f.home}
	f.offset += int64(len(f.buf))
	f.record += f.held
	f.buf, f.held = nil, 0
	return f.emit(c)
}

// findChunk returns where in block, behind its start, a chunk begins, 0 if nowhere.
func findChunk(block []byte) int {
	for at := 1; ; at++ {
		i := bytes.Index(block[at:], []byte(evtxChunkMagic))
		if i < 0 {
			return 0
		}
		at += i
		// The header says its own size, 128.
		if at+44 <= len(block) && binary.LittleEndian.Uint32(block[at+40:]) == 128 {
			return at
		}
	}
}

// chunkEnd returns where a chunk's header says that its last record ends.
func chunkEnd(c []byte) int {
	if len(c) < evtxChunkHeader {
		return evtxChunkLen
	}
	if n := binary.LittleEndian.Uint32(c[48:]); n >= evtxChunkHeader && n <= evtxChunkLen {
		return int(n)
	}
	return evtxChunkLen
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// readFull is io.ReadFull that keeps the reader's own error apart from a short
// read: it returns io.EOF only at the end of the input, whatever was read.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for idle := 0; n < len(b) && err == nil; {
		var m int
		m, err = r.Read(b[n:])
		n += m
		if m > 0 {
			idle = 0
		} else if idle++; idle > 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	if n == len(b) {
		return n, nil
	}
	return n, err
}

// A recordScan steps through the records of one chunk.
//
// The chunk's header says where the records end, but the header of a file copied
// from a running system may be older than its records: behind that end, records
// are taken as long as they are whole and follow in number. Where a record's size
// cannot be right, the next whole record in the chunk is looked for.
type recordScan struct {
	c      []byte
	end    int // where the header says that records end
	pos    int // of what next will look at
	lastID uint64
	known  bool // lastID is set

	off, size int    // of the record found
	cause     string // why what stands here is not a readable record, else empty
}

func newRecordScan(c []byte) recordScan {
	return recordScan{c: c, end: min(chunkEnd(c), len(c)), pos: evtxChunkHeader}
}

// next finds the next record, readable or not, and returns whether there is one.
func (s *recordScan) next() bool {
	if s.pos+evtxMinRecord > len(s.c) {
		return false
	}
	s.off, s.cause = s.pos, ""
	size, magic := s.sizeAt(s.pos)
	if s.pos >= s.end {
		id := s.idAt(s.pos)
		if !magic || !s.closed(s.pos, size) || s.known && id != s.lastID+1 {
			return false
		}
	} else if !magic || size == 0 || !s.closed(s.pos, size) && !s.plausibleEnd(s.pos+size) {
		s.cause = "damaged record: bad size"
		if !magic {
			s.cause = "damaged record: bad magic number"
		}
		s.pos = s.resync()
		s.size = s.pos - s.off
		return true
	}
	s.lastID, s.known = s.idAt(s.pos), true
	s.size = size
	s.pos += size
	return true
}

// sizeAt returns the size of the record at off, 0 if it cannot be right, and
// whether the record's mark is there.
func (s *recordScan) sizeAt(off int) (size int, magic bool) {
	if off+evtxMinRecord > len(s.c) || string(s.c[off:off+4]) != evtxRecordMagic {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(s.c[off+4:])
	if n < evtxMinRecord || int64(n) > int64(len(s.c)-off) {
		return 0, true
	}
	return int(n), true
}

func (s *recordScan) idAt(off int) uint64 { return binary.LittleEndian.Uint64(s.c[off+8:]) }

// closed tells whether the record at off ends with a copy of its size.
func (s *recordScan) closed(off, size int) bool {
	return size != 0 && binary.LittleEndian.Uint32(s.c[off+size-4:]) == uint32(size)
}

func (s *recordScan) plausibleEnd(off int) bool {
	_, magic := s.sizeAt(off)
	return magic || off == s.end
}

// resync returns where the next whole record after pos begins, the chunk's end if
// there is none.
func (s *recordScan) resync() int {
	for at := s.pos + 1; ; at++ {
		i := bytes.Index(s.c[at:], []byte(evtxRecordMagic))
		if i < 0 {
			return len(s.c)
		}
		at += i
		if size, _ := s.sizeAt(at); s.closed(at, size) {
			return at
		}
	}
}

func (d *evtx) Decode(c Chunk, b *Batch) {
	p := d.parsers.Get().(*evtxParser)
	defer d.parsers.Put(p)
	b.Events = slices.Grow(b.Events, countRecords(c.Data))
	record := c.Record
	for off := 0; off < len(c.Data); off += evtxChunkLen {
		chunk := c.Data[off:min(off+evtxChunkLen, len(c.Data))]
		record = p.chunk(c.Input, chunk, c.Offset+int64(off), record, b)
	}
	joinScripts(b)
	p.release()
}

// countRecords returns how many records data holds, readable or not.
func countRecords(data []byte) (n int) {
	for ; len(data) > 0; data = data[min(evtxChunkLen, len(data)):] {
		s := newRecordScan(data[:min(evtxChunkLen, len(data))])
		for s.next() {
			n++
		}
	}
	return n
}

// chunk decodes the records of one chunk and returns record, the number of those
// before it, plus its own.
func (p *evtxParser) chunk(input string, c []byte, offset, record int64, b *Batch) int64 {
	p.open(c)
	intact := -1 // whether the chunk's checksum holds: unknown, no, yes
	s := newRecordScan(c)
	for s.next() {
		record++
		b.Records++
		cause := s.cause
		if cause == "" {
			raw := c[s.off : s.off+s.size : s.off+s.size]
			err := p.record(s.off, s.size, b)
			if err == nil {
				e := model.Event{
					Ref:    model.Ref{Input: input, Record: record, Offset: offset + int64(s.off)},
					Format: "evtx",
					Raw:    raw,
				}
				e.Recorded, e.Received = p.stamps(raw)
				finishWindows(b, &e)
				b.Emit(e)
				continue
			}
			b.Drop()
			cause = err.Error()
		}
		if intact < 0 {
			intact = 0
			if checksumHolds(c) {
				intact = 1
			}
		}
		if intact == 0 {
			cause += " (the chunk's checksum is wrong)"
		}
		b.Fail(offset+int64(s.off), record, cause)
	}
	return record
}

// checksumHolds tells whether the records of a chunk are as Windows wrote them.
func checksumHolds(c []byte) bool {
	if len(c) < evtxChunkHeader {
		return false
	}
	end := chunkEnd(c)
	return end <= len(c) && crc32.ChecksumIEEE(c[evtxChunkHeader:end]) == binary.LittleEndian.Uint32(c[52:])
}
