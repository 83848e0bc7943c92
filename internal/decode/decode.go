// Package decode turns bytes into events and alerts. One file is one format; a
// format is found by what stands in it, never by its file's name. Decoding is
// pure: no I/O but the reader it is given, no clock, no state between chunks.
//
// To add a format: one file with a Decoder, its test and fuzz test, and one line
// in the catalog of package app. A new JSON shape is one file with a shape and
// one line in the list of shapes.
package decode

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// Options are what decoders need to know beyond the bytes.
type Options struct {
	Names *model.Names
	// Zone is for stamps that name no zone; nil means UTC.
	Zone *time.Location
	// Year is for syslog stamps that carry none; 0 means the newest year in which
	// the stamps do not lie after Newest, or 1970 when nothing else tells.
	Year int
	// Mappings understand records that no decoder knows; see Mapping.
	Mappings []*Mapping
}

// A Chunk is a run of whole records of one input, to be decoded on its own.
type Chunk struct {
	Input  string // the input's path as given
	Data   []byte // whole records; belongs to the chunk, so strings may alias it
	Offset int64  // of Data[0] in the input
	Record int64  // how many records of the input stand before Data
	Header []byte // what the framer read once and every record needs: column names, a file header

	memory []byte // the buffer that Data lies in, if home wants it back
	home   buffers
}

// Limits that hold for every format. What exceeds one is skipped with an error
// that names its place; the rest of the input goes on.
const (
	MaxRecord   = 16 << 20 // bytes of one record
	ChunkTarget = 1 << 20  // bytes a framer aims at for a chunk
	SniffLen    = 64 << 10 // bytes a decoder may look at to know its format
	MaxDepth    = 64       // nesting of one record
	MaxFields   = 4096     // fields of one record
)

// A Decoder understands one format.
//
// Sniff says how sure it is that head begins an input of its format: 0 not at
// all, 100 certain. The surest decoder gets the input, the first in the catalog
// among equals. head is at most SniffLen bytes and may end in the middle of a
// record.
//
// Frame cuts r into chunks of whole records and hands each to emit, in order; it
// stops with emit's error. What it must skip (a record over MaxRecord, a damaged
// block) it reports to bad and goes on; an error from Frame itself means that the
// rest of the input cannot be read.
//
// Decode appends what chunk c holds to b: events, alerts, and an error for each
// record it could not read. It never panics on any input, must not keep b, and
// is called by many goroutines at once.
type Decoder interface {
	Name() string
	Sniff(head []byte) int
	Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error
	Decode(c Chunk, b *Batch)
}

// A Batch collects what was decoded from one chunk.
type Batch struct {
	Events  []model.Event
	Alerts  []model.Alert
	Errors  []model.InputError
	Records int64 // records seen, readable or not
	Skipped int64 // records not understood

	// Trace asks decoders to note in Asked which fields they look at.
	Trace bool
	// Asked are, by Event.Format, the paths of a record that its shape looks at,
	// whether or not an event gets anything of them.
	Asked map[string]Paths

	slots []model.Slot // of the events, in the newest of slotBlocks; never moved once handed out
	open  int          // where the event under construction starts in slots
	full  bool         // the event under construction has more fields than it may

	scripts     []int        // events that are parts of scripts, to be joined; see joinScripts
	openScripts []OpenScript // those of which parts are missing

	slotBlocks arena[model.Slot]
	textBlocks arena[byte] // texts that slots alias and that do not stand in the chunk
}

// Reset empties the batch, so that its memory serves another chunk. Nothing that
// the batch gave out may be used any more: no event, slot or text.
func (b *Batch) Reset() {
	clear(b.Events)
	clear(b.openScripts)
	*b = Batch{Events: b.Events[:0], scripts: b.scripts[:0], openScripts: b.openScripts[:0], slotBlocks: b.slotBlocks, textBlocks: b.textBlocks}
	b.slotBlocks.reset()
	b.textBlocks.reset()
}

// textBlock returns room for n bytes of text or more, good until Reset. Without a
// batch it is good for ever.
func (b *Batch) textBlock(n int) []byte {
	if b == nil {
		return make([]byte, 0, n)
	}
	return b.textBlocks.block(n)
}

// Paths is a set of paths of fields.
type Paths map[string]bool

// add adds paths, each spelling of them.
func (p Paths) add(paths ...string) {
	for _, path := range paths {
		for spelling := range strings.SplitSeq(path, "|") {
			p[spelling] = true
		}
	}
}

// asks returns the paths that records of a format are asked for.
func (b *Batch) asks(format string) Paths {
	if b.Asked == nil {
		b.Asked = map[string]Paths{}
	}
	if b.Asked[format] == nil {
		b.Asked[format] = Paths{}
	}
	return b.Asked[format]
}

// slotBlock is how many slots are allocated at once.
const slotBlock = 4096

// Slot adds a field to the event under construction.
func (b *Batch) Slot(f model.FieldID, k model.Kind, text string) {
	if len(b.slots) == cap(b.slots) {
		b.grow()
	}
	if len(b.slots)-b.open < MaxFields {
		b.slots = append(b.slots, model.Slot{Field: f, Kind: k, Text: text})
		return
	}
	b.full = true
}

// grow starts a new block and takes the open event's slots along, so that the
// slices of finished events stay where they are.
func (b *Batch) grow() {
	open := b.slots[b.open:]
	b.slots, b.open = append(b.slotBlocks.block(max(slotBlock, 2*len(open))), open...), 0
}

// Get returns the first value of a field of the event under construction.
func (b *Batch) Get(f model.FieldID) (string, bool) {
	for _, s := range b.slots[b.open:] {
		if s.Field == f {
			return s.Text, true
		}
	}
	return "", false
}

// Text is Get without the second result.
func (b *Batch) Text(f model.FieldID) string {
	s, _ := b.Get(f)
	return s
}

// Open returns the slots of the event under construction; it may be changed in
// place until the next call of Slot.
func (b *Batch) Open() []model.Slot { return b.slots[b.open:] }

// Emit finishes the event under construction: e with the slots added since the
// last Emit or Drop.
func (b *Batch) Emit(e model.Event) {
	e.Slots = b.slots[b.open:len(b.slots):len(b.slots)]
	b.open = len(b.slots)
	b.Events = append(b.Events, e)
	if b.full {
		b.full = false
		b.tooWide(e.Ref.Offset, e.Ref.Record)
	}
}

// Drop forgets the event under construction.
func (b *Batch) Drop() { b.slots, b.full = b.slots[:b.open], false }

// tooWide records that an event lacks some of its record's fields.
func (b *Batch) tooWide(offset, record int64) {
	b.report(offset, record, fmt.Sprintf("record with more than %d fields: the rest of them is left out", MaxFields))
}

// maxErrors bounds the errors kept of one chunk; further ones are counted into
// the last of the same cause.
const maxErrors = 16

// Fail records that one record could not be read.
func (b *Batch) Fail(offset, record int64, cause string) {
	b.Skipped++
	b.report(offset, record, cause)
}

func (b *Batch) report(offset, record int64, cause string) {
	for i := range b.Errors {
		if b.Errors[i].Cause == cause {
			b.Errors[i].Count++
			return
		}
	}
	if len(b.Errors) < maxErrors {
		b.Errors = append(b.Errors, model.InputError{Offset: offset, Record: record, Cause: cause, Count: 1})
		return
	}
	b.Errors[maxErrors-1].Count++
}
