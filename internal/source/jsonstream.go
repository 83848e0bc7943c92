package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A jsonReader reads the objects of a stream one by one, however they stand in it:
// a line each, one behind the other, in an array, printed over several lines, or in
// the list that AWS, Azure and Graph wrap records in ({"Records":[, {"value":[).
// Objects are told apart by their brackets and quotes; whether what is inside is
// JSON shows when it is decoded.
type jsonReader struct {
	r       *bufio.Reader
	max     int // bytes of one object
	wrapped bool

	line []byte // read and not looked at yet: bytes of r's buffer
	held []byte // of the object under way, from lines before
	n    int64  // objects so far
	err  error  // of r, once line is used up
}

// A recordError is a record that cannot be taken; those after it can.
type recordError struct {
	Record int64 // 1 is the first
	Cause  string
}

func (e *recordError) Error() string { return fmt.Sprintf("record %d: %s", e.Record, e.Cause) }

// next returns the next object, good until the next call. It fails with a
// *recordError for a record that is none, and goes on behind it; with io.EOF at
// the end; else with the error of the stream.
func (j *jsonReader) next() ([]byte, error) {
	j.held = j.held[:0]
	var (
		depth             int
		inString, escaped bool
		skipping          bool // inside an object that is not wanted
		cause             string
	)
	for {
		if len(j.line) == 0 {
			if err := j.fill(); err != nil {
				return nil, j.atEnd(depth > 0 && !skipping || cause != "", cause, err)
			}
		}
		b, from := j.line, -1 // where the object goes on in b
		if depth > 0 {
			from = 0
		}
		i := 0
	scan:
		for ; i < len(b); i++ {
			c := b[i]
			switch {
			case inString:
				switch {
				case escaped:
					escaped = false
				case c == '\\':
					escaped = true
				case c == '"':
					inString = false
				case c == '\n': // no JSON: whoever wrote it goes on at the next line
					j.line = b[i+1:]
					return nil, j.refuse("a line end inside a string")
				default:
					for i+1 < len(b) && b[i+1] != '"' && b[i+1] != '\\' && b[i+1] != '\n' {
						i++
					}
				}
			case depth == 0:
				switch c {
				case '{':
					depth, from = 1, i
				case '[', ']', ',', ' ', '\t', '\r', '\n', 0x1e:
				case '}':
					if !j.wrapped {
						j.line = b[i+1:]
						return nil, j.refuse("a } without its {")
					}
				case 0xef, 0xbb, 0xbf: // a byte order mark
				case '"', ':', '-', '.', '+', '_':
					if j.wrapped { // what follows the list in its wrapper
						depth, skipping, j.wrapped = 1, true, false
						inString = c == '"'
						continue
					}
					fallthrough
				default:
					rest := b[i:]
					if n := bytes.IndexByte(rest, '\n'); n >= 0 {
						j.line = rest[n+1:]
					} else {
						j.line = nil
						j.skipLine()
					}
					return nil, j.refuse("begins with " + quoteByte(c) + " where an object would with {")
				}
			default:
				switch c {
				case '"':
					inString = true
				case '[':
					if depth == 1 && !skipping && isWrapper(j.held, b[from:i+1]) {
						j.wrapped, depth, from = true, 0, -1
						j.held = j.held[:0]
						continue
					}
					depth++
				case '{':
					depth++
				case ']', '}':
					if depth--; depth == 0 {
						break scan
					}
				}
			}
		}
		done := i < len(b)
		if done {
			i++
		}
		j.line = b[i:]
		if from >= 0 && !skipping && cause == "" {
			if len(j.held)+i-from > j.max {
				cause = fmt.Sprintf("an object of more than %d bytes", j.max)
			} else if done && len(j.held) == 0 {
				j.n++
				return b[from:i], nil
			} else {
				j.held = append(j.held, b[from:i]...)
			}
		}
		if !done {
			continue
		}
		switch {
		case skipping:
			skipping = false
		case cause != "":
			return nil, j.refuse(cause)
		default:
			j.n++
			return j.held, nil
		}
	}
}

// atEnd is the error of a stream that ends with err, inside an object or not.
func (j *jsonReader) atEnd(inside bool, cause string, err error) error {
	if !errors.Is(err, io.EOF) || !inside {
		return err
	}
	if cause == "" {
		cause = "ends inside an object"
	}
	return j.refuse(cause)
}

func (j *jsonReader) refuse(cause string) error {
	j.n++
	return &recordError{j.n, cause}
}

// fill reads up to the next line end, or as much as the buffer holds.
func (j *jsonReader) fill() error {
	if j.err != nil {
		return j.err
	}
	line, err := j.r.ReadSlice('\n')
	j.line = line
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		j.err = err
		if len(line) == 0 {
			return err
		}
	}
	return nil
}

// skipLine reads up to the next line end.
func (j *jsonReader) skipLine() {
	for j.err == nil {
		_, err := j.r.ReadSlice('\n')
		if err == nil {
			return
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			j.err = err
		}
	}
}

// isWrapper tells whether an object that began with held and goes on with more, up
// to a bracket, is a list of records and no record.
func isWrapper(held, more []byte) bool {
	if len(held)+len(more) > 256 {
		return false
	}
	text := strings.Join(strings.Fields(string(held)+string(more)), "")
	switch text {
	case `{"Records":[`, `{"records":[`, `{"value":[`:
		return true
	}
	return false
}

func quoteByte(c byte) string {
	if c < 0x20 || c > 0x7e {
		return fmt.Sprintf("byte 0x%02x", c)
	}
	return "'" + string(rune(c)) + "'"
}
