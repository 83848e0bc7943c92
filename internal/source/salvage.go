package source

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// The header that stands before each member of a zip (section 4.3.7 of PKWARE's
// APPNOTE): mark, version, flags, method, time, date, CRC-32, packed and unpacked
// size, lengths of name and extra field; all little-endian.
const (
	localMark   = "PK\x03\x04"
	localHeader = 30

	flagEncrypted = 1 << 0
	flagSizeAfter = 1 << 3 // sizes stand behind the data, and are zero here
)

// salvage hands on what can be read of a zip whose directory, which stands at its
// end, is missing or damaged: the members one after the other, as far as each says
// where it ends.
func (w *walker) salvage(s stream) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.at, 0, s.size), HeadLen)
	for range w.o.Members {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if !seekLocal(r) {
			return nil
		}
		if err := w.salvageMember(s, r); err != nil {
			return err
		}
		if s.budget.err != nil {
			w.fail(s.path, s.budget.err.Error())
			return nil //nolint:nilerr // told to bad; the rest of the walk goes on
		}
	}
	return nil
}

// seekLocal moves r to the next member's header, and says whether there is one.
func seekLocal(r *bufio.Reader) bool {
	for {
		head, err := r.Peek(r.Size())
		if i := bytes.Index(head, []byte(localMark)); i >= 0 {
			_, err = r.Discard(i)
			return err == nil && len(head)-i >= localHeader
		}
		if err != nil {
			return false
		}
		if _, err := r.Discard(len(head) - len(localMark) + 1); err != nil {
			return false
		}
	}
}

// salvageMember hands on the member whose header r stands at, and leaves r behind
// what was read of it.
func (w *walker) salvageMember(s stream, r *bufio.Reader) error {
	var h [localHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil // seekLocal saw it; the medium failed since, and says so where it is read next
	}
	flags, method := binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[8:])
	packed, size := int64(binary.LittleEndian.Uint32(h[18:])), int64(binary.LittleEndian.Uint32(h[22:]))
	name := make([]byte, binary.LittleEndian.Uint16(h[26:]))
	if _, err := io.ReadFull(r, name); err != nil {
		return nil // cut in the name: nothing of its content is there
	}
	if _, err := r.Discard(int(binary.LittleEndian.Uint16(h[28:]))); err != nil {
		return nil
	}
	m := stream{path: s.path + "!" + memberName(string(name)), size: -1, depth: s.depth + 1, budget: s.budget}
	sized := flags&flagSizeAfter == 0 && packed < 1<<32-1
	var content io.Reader
	switch {
	case bytes.HasSuffix(name, []byte("/")), bytes.HasSuffix(name, []byte(`\`)), sized && packed == 0, isShadow(string(name)):
		return nil
	case flags&flagEncrypted != 0:
		w.fail(m.path, "encrypted: cannot be read without its password")
		return nil
	case method == zip.Deflate: // tells its own end
		z := flate.NewReader(r)
		defer z.Close()
		content = z
	case method == zip.Store && sized:
		m.size = size
		content = &wholeReader{r: io.LimitReader(r, packed), left: packed}
	default:
		w.fail(m.path, fmt.Sprintf("cannot be read without the archive's directory (compression method %d)", method))
		return nil
	}
	m.r = s.budget.unpack(content)
	if err := w.stream(m); err != nil {
		return err
	}
	io.Copy(io.Discard, m.r) //nolint:errcheck // whoever read it was told; the next member is looked for behind it
	return w.ctx.Err()
}

// A wholeReader tells an end that comes too early from one that is due.
type wholeReader struct {
	r    io.Reader
	left int64
}

func (x *wholeReader) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	x.left -= int64(n)
	if errors.Is(err, io.EOF) && x.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
