package decode

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// aliasString returns b as a string without copying. b must never change again;
// chunks and arenas of decoders keep to that.
func aliasString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// stringBytes returns the bytes of s without copying; they must not be changed.
func stringBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// readMore reads up to ChunkTarget further bytes of r after buf, and says whether
// r has ended. It fills the space it asks for where r has that much, so that
// where buffers end does not depend on the sizes of r's reads.
func readMore(r io.Reader, buf []byte) ([]byte, bool, error) {
	more := ChunkTarget
	if s, ok := r.(sized); ok {
		more = min(more, s.Len()+1) // the one byte is to meet the end
	}
	if cap(buf)-len(buf) < more {
		grown := make([]byte, len(buf), 2*len(buf)+more)
		copy(grown, buf)
		buf = grown
	}
	want, idle := len(buf)+more, 0
	for len(buf) < want {
		n, err := r.Read(buf[len(buf):want])
		buf = buf[:len(buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return buf, true, nil
		case err != nil:
			return buf, true, err
		case n > 0:
			idle = 0
		default:
			if idle++; idle > 100 {
				return buf, true, io.ErrNoProgress
			}
		}
	}
	return buf, false, nil
}

// textEncoding is how the characters of a text are stored.
type textEncoding uint8

const (
	encodingUTF8 textEncoding = iota
	encodingUTF8Mark
	encodingUTF16LE
	encodingUTF16BE
)

// encodingOf tells the encoding of a text by its byte order mark or, for UTF-16
// without one, by the zero byte beside its first character, which in the formats
// read here is ASCII. skip is the length of the mark.
func encodingOf(head []byte) (enc textEncoding, skip int) {
	switch {
	case len(head) >= 3 && head[0] == 0xEF && head[1] == 0xBB && head[2] == 0xBF:
		return encodingUTF8Mark, 3
	case len(head) >= 2 && head[0] == 0xFF && head[1] == 0xFE:
		return encodingUTF16LE, 2
	case len(head) >= 2 && head[0] == 0xFE && head[1] == 0xFF:
		return encodingUTF16BE, 2
	case len(head) >= 4 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return encodingUTF16LE, 0
	case len(head) >= 4 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return encodingUTF16BE, 0
	}
	return encodingUTF8, 0
}

// sniffText returns head as UTF-8 without its byte order mark.
func sniffText(head []byte) []byte {
	enc, skip := encodingOf(head)
	if enc == encodingUTF8 || enc == encodingUTF8Mark {
		return head[skip:]
	}
	out, _ := io.ReadAll(utf8Reader(bytes.NewReader(head)))
	return out
}

// Marked says whether head begins with a byte order mark: the text behind it may
// be UTF-16, as many Windows programs export it, and UTF8 reads it.
func Marked(head []byte) bool {
	_, skip := encodingOf(head)
	return skip > 0
}

// UTF8 returns a reader of r's text as UTF-8 without byte order mark; see
// utf8Reader.
func UTF8(r io.Reader) io.Reader { return utf8Reader(r) }

// utf8Reader returns a reader of r's text as UTF-8 without byte order mark.
// Offsets in what it returns are those of the UTF-8 text.
func utf8Reader(r io.Reader) io.Reader {
	var head [4]byte
	n, err := io.ReadFull(r, head[:])
	enc, skip := encodingOf(head[:n])
	var src io.Reader = bytes.NewReader(append([]byte(nil), head[skip:n]...))
	switch {
	case err == nil:
		src = io.MultiReader(src, r)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
	default:
		src = io.MultiReader(src, failingReader{err})
	}
	if enc == encodingUTF16LE || enc == encodingUTF16BE {
		return &utf16Reader{r: src, big: enc == encodingUTF16BE}
	}
	return src
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// utf16Reader turns UTF-16 into UTF-8. Halves of surrogate pairs and an odd last
// byte become U+FFFD.
type utf16Reader struct {
	r    io.Reader
	big  bool
	in   [32 << 10]byte
	n    int // bytes in in
	out  []byte
	err  error
	high rune // a first half of a pair that awaits its second
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		n, err := u.r.Read(u.in[u.n:])
		u.n += n
		u.err = err
		u.convert()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) convert() {
	if cap(u.out) < 2*len(u.in) {
		u.out = make([]byte, 0, 2*len(u.in))
	}
	out := u.out[:0]
	i := 0
	for ; i+1 < u.n; i += 2 {
		c := rune(u.in[i]) | rune(u.in[i+1])<<8
		if u.big {
			c = rune(u.in[i])<<8 | rune(u.in[i+1])
		}
		if u.high != 0 {
			if r := utf16.DecodeRune(u.high, c); r != utf8.RuneError {
				out = utf8.AppendRune(out, r)
				u.high = 0
				continue
			}
			out = utf8.AppendRune(out, utf8.RuneError)
			u.high = 0
		}
		if c >= 0xD800 && c < 0xDC00 {
			u.high = c
			continue
		}
		out = utf8.AppendRune(out, c) // a lone second half becomes U+FFFD
	}
	copy(u.in[:], u.in[i:u.n])
	u.n -= i
	if u.err != nil && (u.n > 0 || u.high != 0) {
		out = utf8.AppendRune(out, utf8.RuneError)
		u.n, u.high = 0, 0
	}
	u.out = out
}
