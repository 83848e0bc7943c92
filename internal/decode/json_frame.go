package decode

import (
	"bytes"
	"fmt"
	"io"

	"github.com/catena-sec/catena/internal/model"
)

// Frame cuts between records. It looks for the cheap place first: a line that
// ends in } before one that begins with {, which inside of a record no valid JSON
// has, since a comma would have to stand between. Where a chunk's worth of text
// has none (arrays, wrappers, records without line ends) it follows brackets and
// quotes.
func (d *jsonDecoder) Frame(r io.Reader, emit func(Chunk) error, bad func(model.InputError)) error {
	f := jsonFramer{r: text(r), emit: emit, bad: bad, home: d.buffers}
	f.room = min(room(f.r), ChunkTarget+ChunkTarget/4)
	return f.run()
}

// wrapperReach is how far wrapperStart may look.
const wrapperReach = 16 << 10

type jsonFramer struct {
	r      io.Reader
	emit   func(Chunk) error
	bad    func(model.InputError)
	home   buffers
	room   int // of a buffer
	buf    []byte
	offset int64 // of buf[0]
	record int64 // records before buf[0]
	eof    bool

	// The slow scan: where it stands in buf, how deep it is inside a record, and
	// where the last whole record ended.
	p        int
	depth    int
	inString bool
	escaped  bool
	cut      int   // after the last whole record in buf
	found    int64 // records in buf[:cut]
	inArray  bool  // the file is one array or wrapper: there are no cheap places
	skipping bool  // inside a record over MaxRecord
}

func (f *jsonFramer) run() error {
	for {
		var err error
		if f.buf, f.eof, err = readMore(f.r, f.buf); err != nil {
			if e := f.flush(len(f.buf), 0); e != nil {
				return e
			}
			return err
		}
		if f.eof && !f.skipping {
			return f.flush(len(f.buf), 0)
		}
		if !f.inArray && !f.skipping && f.depth == 0 {
			if cut, n := lineCut(f.buf); cut > 0 {
				if err := f.flush(cut, n); err != nil {
					return err
				}
				continue
			}
		}
		skipped := f.skipping
		f.scan()
		switch {
		case skipped:
			f.advance(f.p)
		case f.cut > 0:
			if err := f.flush(f.cut, f.found); err != nil {
				return err
			}
		case len(f.buf) > MaxRecord:
			what := "text that is no JSON record, of more than %d bytes"
			if f.depth > 0 {
				what = "record longer than %d bytes"
				f.skipping = true
			}
			f.bad(model.InputError{Offset: f.offset, Record: f.record + 1, Count: 1, Cause: fmt.Sprintf(what, MaxRecord)})
			f.advance(f.p)
		}
		if f.eof {
			return f.flush(len(f.buf), 0)
		}
	}
}

// flush emits buf[:n], which holds that many records.
func (f *jsonFramer) flush(n int, records int64) error {
	buf, at, before := f.buf, f.offset, f.record
	f.record += records
	f.advance(n)
	if n > 0 && len(bytes.TrimSpace(buf[:n])) > 0 { // last, since who gets a chunk may give its memory back
		return f.emit(Chunk{Data: buf[:n:n], Offset: at, Record: before, memory: buf, home: f.home})
	}
	return nil
}

// advance begins a new buffer after the first n bytes: chunks keep the old one.
func (f *jsonFramer) advance(n int) {
	f.buf = append(f.home.get(max(f.room, 2*(len(f.buf)-n))), f.buf[n:]...)
	f.offset += int64(n)
	f.p = max(0, f.p-n)
	f.cut, f.found = 0, 0
}

// lineCut returns where buf may be cut between a line that ends a record and one
// that begins one, as late as possible, and how many such places stand up to it.
func lineCut(buf []byte) (cut int, records int64) {
	for at := 0; ; {
		i := bytes.IndexByte(buf[at:], '\n')
		if i < 0 {
			return cut, records
		}
		at += i + 1
		if ends(buf[:at-1]) && begins(buf[at:]) {
			cut = at
			records++
		}
	}
}

// ends reports whether the last character of text but spaces is a closing brace.
func ends(text []byte) bool {
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case ' ', '\t', '\r':
		default:
			return text[i] == '}'
		}
	}
	return false
}

// begins reports whether text begins with an opening brace, spaces aside.
func begins(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r':
		default:
			return c == '{'
		}
	}
	return false
}

// scan follows brackets and quotes from p to the end of buf and notes where
// records end. A line end inside a string, which JSON does not allow, ends the
// record: the decoder reports it and goes on at the next line, and so does scan.
func (f *jsonFramer) scan() {
	b := f.buf
	for f.p < len(b) {
		if f.inString {
			f.scanString()
			continue
		}
		c := b[f.p]
		if f.depth == 0 {
			switch c {
			case '{':
				if len(b)-f.p < wrapperReach && !f.eof {
					return // wait for enough to tell a wrapper by
				}
				if n := wrapperStart(b[f.p:]); n > 0 {
					f.inArray = true
					f.p += n
					continue
				}
				f.depth = 1
			case '[':
				f.inArray = true
			}
			f.p++
			continue
		}
		switch c {
		case '"':
			f.inString = true
		case '{', '[':
			f.depth++
		case '}', ']':
			f.depth--
			if f.depth == 0 {
				f.p++
				if f.skipping {
					f.skipping = false
					f.record++
					return
				}
				f.found++
				f.cut = f.p
				continue
			}
		}
		f.p++
	}
}

func (f *jsonFramer) scanString() {
	b, p := f.buf, f.p
	if f.escaped {
		f.escaped = false
		f.p++
		return
	}
	p = plainRun(b, p)
	if p >= len(b) {
		f.p = len(b)
		return
	}
	switch b[p] {
	case '"':
		f.inString = false
	case '\\':
		f.escaped = true
	case '\n':
		f.inString, f.depth = false, 0
		f.found++
		f.cut = p + 1
		if f.skipping {
			f.skipping = false
			f.record++
			f.cut, f.found = 0, 0
			f.p = p + 1
			return
		}
	}
	f.p = p + 1
}
