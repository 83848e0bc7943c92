package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/catena-sec/catena/internal/model"
)

// A sized reader knows how many bytes it still has, as one of what is in memory does.
type sized interface{ Len() int }

// room is how many bytes a framer makes room for at once: a chunk and a half, and no more
// than there is where r knows. An engine that is sent a few records at a time would
// spend most of its time on clearing memory that it does not need.
func room(r io.Reader) int {
	const whole = ChunkTarget + ChunkTarget/2
	if s, ok := r.(sized); ok {
		return min(whole, s.Len()+bytes.MinRead)
	}
	return whole
}

// buffered is r behind a buffer in which SniffLen bytes can be peeked at. It is sized if r
// is.
func buffered(r io.Reader) (*bufio.Reader, io.Reader) {
	s, ok := r.(sized)
	if !ok {
		b := bufio.NewReaderSize(r, SniffLen)
		return b, b
	}
	b := bufio.NewReaderSize(r, min(SniffLen, s.Len()+1))
	return b, bufferedSized{b, s}
}

// text is the UTF-8 of r, which is sized if r is and has little: so that what is made
// ready for it is little too.
func text(r io.Reader) io.Reader {
	s, ok := r.(sized)
	if !ok || s.Len() >= ChunkTarget/2 {
		return utf8Reader(r)
	}
	return atMost{utf8Reader(r), 2 * s.Len()} // UTF-16 grows by half
}

// atMost is a reader of at most so many bytes.
type atMost struct {
	io.Reader
	most int
}

func (a atMost) Len() int { return a.most }

type bufferedSized struct {
	*bufio.Reader
	behind sized
}

func (b bufferedSized) Len() int { return b.Buffered() + b.behind.Len() }

// frameLines cuts r at line ends into chunks of whole lines. A line longer than
// MaxRecord is skipped and reported. keep, if not nil, tells whether the line
// after a possible cut belongs with the line before it (a record of several
// lines), so that no cut is made there.
func frameLines(r io.Reader, header []byte, emit func(Chunk) error, bad func(model.InputError), keep func(before, after []byte) bool) error {
	var (
		buf      = make([]byte, 0, room(r))
		offset   int64 // of buf[0]
		record   int64 // lines before buf[0]
		skipping bool  // inside a line over MaxRecord
	)
	flush := func(n int) error { // the first n bytes of buf are whole lines
		if n == 0 {
			return nil
		}
		data := buf[:n:n]
		rest := buf[n:]
		next := make([]byte, len(rest), len(rest)+room(r))
		copy(next, rest)
		err := emit(Chunk{Data: data, Offset: offset, Record: record, Header: header})
		offset += int64(n)
		record += int64(bytes.Count(data, newline))
		buf = next
		return err
	}
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), 2*cap(buf))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), len(buf)+ChunkTarget)])
		buf = buf[:len(buf)+n]
		if skipping {
			i := bytes.IndexByte(buf, '\n')
			if i < 0 {
				offset += int64(len(buf))
				buf = buf[:0]
			} else {
				offset += int64(i + 1)
				record++
				buf = append(buf[:0], buf[i+1:]...)
				skipping = false
			}
		}
		if len(buf) >= ChunkTarget {
			if cut := lastCut(buf, keep); cut > 0 {
				if ferr := flush(cut); ferr != nil {
					return ferr
				}
			} else if i := bytes.LastIndexByte(buf, '\n'); len(buf) > MaxRecord && i >= 0 {
				// Whatever follows is too long to belong with it.
				if ferr := flush(i + 1); ferr != nil {
					return ferr
				}
			} else if len(buf) > MaxRecord {
				bad(model.InputError{Offset: offset, Record: record + 1, Count: 1, Cause: fmt.Sprintf("record longer than %d bytes", MaxRecord)})
				offset += int64(len(buf))
				buf = buf[:0]
				skipping = true
			}
		}
		if err != nil {
			if !skipping {
				if ferr := flush(len(buf)); ferr != nil {
					return ferr
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

var newline = []byte{'\n'}

// lastCut returns where buf may be cut after a whole record, 0 if nowhere.
func lastCut(buf []byte, keep func(before, after []byte) bool) int {
	end := len(buf)
	for {
		i := bytes.LastIndexByte(buf[:end], '\n')
		if i < 0 {
			return 0
		}
		if keep == nil {
			return i + 1
		}
		start := bytes.LastIndexByte(buf[:i], '\n') + 1
		if next := buf[i+1:]; bytes.IndexByte(next, '\n') >= 0 && !keep(buf[start:i], next[:bytes.IndexByte(next, '\n')]) {
			return i + 1
		}
		end = i
	}
}

// eachLine calls fn for every line of c, without its line end, with its offset
// and 1-based record number. Empty lines are counted and not handed on.
func eachLine(c Chunk, fn func(line []byte, offset, record int64)) {
	data, off, rec := c.Data, c.Offset, c.Record
	for len(data) > 0 {
		n := bytes.IndexByte(data, '\n')
		line, step := data, len(data)
		if n >= 0 {
			line, step = data[:n], n+1
		}
		rec++
		if len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		if len(line) > 0 {
			fn(line, off, rec)
		}
		off += int64(step)
		data = data[step:]
	}
}
