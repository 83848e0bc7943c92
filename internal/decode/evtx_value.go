package decode

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/catena-sec/catena/internal/model"
)

// The types of BinXML values ([MS-EVEN6] 2.2.12). typeArray is a bit.
const (
	typeNull     = 0x00
	typeString   = 0x01
	typeAnsi     = 0x02
	typeInt8     = 0x03
	typeUint8    = 0x04
	typeInt16    = 0x05
	typeUint16   = 0x06
	typeInt32    = 0x07
	typeUint32   = 0x08
	typeInt64    = 0x09
	typeUint64   = 0x0a
	typeFloat32  = 0x0b
	typeFloat64  = 0x0c
	typeBool     = 0x0d
	typeBinary   = 0x0e
	typeGUID     = 0x0f
	typeSize     = 0x10
	typeFiletime = 0x11
	typeSystime  = 0x12
	typeSID      = 0x13
	typeHex32    = 0x14
	typeHex64    = 0x15
	typeBinXML   = 0x21
	typeArray    = 0x80
)

// null tells whether a value is not there. Text and binary values may be empty;
// any other without content is as good as null.
func (v evtxValue) null() bool {
	if v.typ == typeNull {
		return true
	}
	return v.size == 0 && v.typ != typeString && v.typ != typeAnsi && v.typ != typeBinary
}

// elements yields the elements of an array, or a value that is none itself.
func (p *evtxParser) elements(v evtxValue) iter.Seq[evtxValue] {
	return func(yield func(evtxValue) bool) {
		if v.typ&typeArray == 0 {
			yield(v)
			return
		}
		typ := v.typ &^ typeArray
		data := p.c[v.off : int(v.off)+int(v.size)]
		for pos := 0; pos < len(data); {
			n, step := elementSize(typ, data[pos:])
			if !yield(evtxValue{off: v.off + uint32(pos), size: uint16(n), typ: typ}) {
				return
			}
			pos += step
		}
	}
}

// elementSize returns the size of the first element of an array, and how far on
// the next one begins. An element that is cut short is all the rest.
func elementSize(typ byte, data []byte) (size, step int) {
	n := len(data)
	switch typ {
	case typeString:
		for i := 0; i+1 < len(data); i += 2 {
			if data[i] == 0 && data[i+1] == 0 {
				return i, i + 2
			}
		}
	case typeAnsi:
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i, i + 1
		}
	case typeInt8, typeUint8:
		n = 1
	case typeInt16, typeUint16:
		n = 2
	case typeInt32, typeUint32, typeFloat32, typeBool, typeHex32:
		n = 4
	case typeInt64, typeUint64, typeFloat64, typeFiletime, typeHex64, typeSize:
		n = 8
	case typeGUID, typeSystime:
		n = 16
	case typeSID:
		if len(data) >= 8 {
			n = 8 + 4*int(data[1])
		}
	}
	n = min(n, len(data))
	return n, n
}

// value renders a value that is neither null nor an array. A value shorter than
// its type needs is rendered as binary, so that nothing of it is lost.
func (p *evtxParser) value(v evtxValue) (text string, kind model.Kind, err error) {
	// Three bytes of text for two of UTF-16, eleven for four of a SID, and the
	// longest fixed form (a double) are all within this.
	bound := 3*int(v.size) + 64
	if p.text -= int(v.size); p.text < 0 {
		return "", model.String, errEvtxExpands
	}
	b := p.room(bound)
	b, kind = appendValue(b, v.typ, p.c[v.off:int(v.off)+int(v.size)])
	return p.keep(b), kind, nil
}

// appendValue appends the text of a value to b.
func appendValue(b []byte, typ byte, d []byte) ([]byte, model.Kind) {
	le := binary.LittleEndian
	n := len(d)
	switch {
	case typ == typeString:
		for n >= 2 && d[n-1] == 0 && d[n-2] == 0 {
			n -= 2
		}
		return appendUTF16(b, d[:n]), model.String
	case typ == typeAnsi:
		return appendAnsi(b, bytes.TrimRight(d, "\x00")), model.String
	case typ == typeInt8 && n >= 1:
		return strconv.AppendInt(b, int64(int8(d[0])), 10), model.Number
	case typ == typeUint8 && n >= 1:
		return strconv.AppendUint(b, uint64(d[0]), 10), model.Number
	case typ == typeInt16 && n >= 2:
		return strconv.AppendInt(b, int64(int16(le.Uint16(d))), 10), model.Number
	case typ == typeUint16 && n >= 2:
		return strconv.AppendUint(b, uint64(le.Uint16(d)), 10), model.Number
	case typ == typeInt32 && n >= 4:
		return strconv.AppendInt(b, int64(int32(le.Uint32(d))), 10), model.Number
	case typ == typeUint32 && n >= 4:
		return strconv.AppendUint(b, uint64(le.Uint32(d)), 10), model.Number
	case typ == typeInt64 && n >= 8:
		return strconv.AppendInt(b, int64(le.Uint64(d)), 10), model.Number
	case typ == typeUint64 && n >= 8:
		return strconv.AppendUint(b, le.Uint64(d), 10), model.Number
	case typ == typeFloat32 && n >= 4:
		return strconv.AppendFloat(b, float64(math.Float32frombits(le.Uint32(d))), 'g', -1, 32), model.Number
	case typ == typeFloat64 && n >= 8:
		return strconv.AppendFloat(b, math.Float64frombits(le.Uint64(d)), 'g', -1, 64), model.Number
	case typ == typeBool && n >= 1:
		return strconv.AppendBool(b, !allZero(d[:min(n, 4)])), model.Bool
	case typ == typeGUID && n >= 16:
		return appendGUID(b, d), model.String
	case typ == typeFiletime && n >= 8:
		return appendFiletime(b, le.Uint64(d)), model.String
	case typ == typeSystime && n >= 16:
		return appendSystime(b, d), model.String
	case typ == typeSID && n >= 8:
		return appendSID(b, d), model.String
	case (typ == typeHex32 || typ == typeSize) && n >= 4 && n < 8:
		return strconv.AppendUint(append(b, "0x"...), uint64(le.Uint32(d)), 16), model.String
	case (typ == typeHex64 || typ == typeSize || typ == typeHex32) && n >= 8:
		return strconv.AppendUint(append(b, "0x"...), le.Uint64(d), 16), model.String
	}
	return appendHex(b, d), model.String
}

const upperHex = "0123456789ABCDEF"

func appendHex(b, d []byte) []byte {
	for _, x := range d {
		b = append(b, upperHex[x>>4], upperHex[x&15])
	}
	return b
}

// appendGUID appends {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}; the first three
// groups are little-endian numbers.
func appendGUID(b, d []byte) []byte {
	b = append(b, '{')
	for i, at := range [...]byte{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, upperHex[d[at]>>4], upperHex[d[at]&15])
	}
	return append(b, '}')
}

// appendSID appends S-revision-authority-subauthorities. A count that the value
// has no room for is cut.
func appendSID(b, d []byte) []byte {
	b = strconv.AppendUint(append(b, "S-"...), uint64(d[0]), 10)
	authority := uint64(binary.BigEndian.Uint16(d[2:]))<<32 | uint64(binary.BigEndian.Uint32(d[4:]))
	b = strconv.AppendUint(append(b, '-'), authority, 10)
	subs := d[8:]
	for i := 0; i < int(d[1]) && len(subs) >= 4; i++ {
		b = strconv.AppendUint(append(b, '-'), uint64(binary.LittleEndian.Uint32(subs)), 10)
		subs = subs[4:]
	}
	return b
}

// A FILETIME counts 100 ns from 1601. maxFiletime is the last of the year 9999,
// beyond which RFC 3339 has no form.
const (
	filetimeUnixEpoch = 11644473600 // seconds from 1601 to 1970
	filetimePerSecond = 10_000_000
	maxFiletime       = (253402300799+filetimeUnixEpoch)*filetimePerSecond + filetimePerSecond - 1
)

func filetime(ft uint64) time.Time {
	return time.Unix(int64(ft/filetimePerSecond)-filetimeUnixEpoch, int64(ft%filetimePerSecond)*100).UTC()
}

// appendFiletime appends a FILETIME as 2006-01-02T15:04:05.0000000Z. Years beyond
// 9999 have five digits.
func appendFiletime(b []byte, ft uint64) []byte {
	t := filetime(ft)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), int(ft%filetimePerSecond), 7)
	return append(b, 'Z')
}

// appendSystime appends a SYSTEMTIME in the form of a FILETIME, as it stands: what
// is no date is not made one.
func appendSystime(b, d []byte) []byte {
	part := func(i int) int { return int(binary.LittleEndian.Uint16(d[2*i:])) } // year, month, weekday, day, hour, ...
	b = appendDigits(b, part(0), 4)
	b = appendDigits(append(b, '-'), part(1), 2)
	b = appendDigits(append(b, '-'), part(3), 2)
	b = appendDigits(append(b, 'T'), part(4), 2)
	b = appendDigits(append(b, ':'), part(5), 2)
	b = appendDigits(append(b, ':'), part(6), 2)
	b = appendDigits(append(b, '.'), part(7)*10_000, 7)
	return append(b, 'Z')
}

// appendDigits appends n, which is not negative, with at least width digits.
func appendDigits(b []byte, n, width int) []byte {
	var digits [20]byte
	i := len(digits)
	for n > 0 || width > 0 {
		i--
		digits[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return append(b, digits[i:]...)
}

// appendAnsi appends text of an unknown 8-bit code page: UTF-8 if it is, else each
// byte as the character of that number.
func appendAnsi(b, d []byte) []byte {
	if utf8.Valid(d) {
		return append(b, d...)
	}
	for _, x := range d {
		b = utf8.AppendRune(b, rune(x))
	}
	return b
}

// utf16Room is the most bytes that n bytes of UTF-16 become.
func utf16Room(n int) int { return n/2*3 + 3 }

// appendUTF16 appends little-endian UTF-16 as UTF-8. Half a pair becomes U+FFFD;
// an odd last byte is left out.
func appendUTF16(b, s []byte) []byte {
	s = s[:len(s)&^1]
	for len(s) > 0 {
		// Eight ASCII characters at a time.
		for len(s) >= 16 {
			x, y := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
			if (x|y)&0xff80ff80ff80ff80 != 0 {
				break
			}
			b = append(b, byte(x), byte(x>>16), byte(x>>32), byte(x>>48), byte(y), byte(y>>16), byte(y>>32), byte(y>>48))
			s = s[16:]
		}
		if len(s) == 0 {
			break
		}
		u := rune(binary.LittleEndian.Uint16(s))
		s = s[2:]
		switch {
		case u < utf8.RuneSelf:
			b = append(b, byte(u))
		case utf16.IsSurrogate(u) && len(s) >= 2:
			r := utf16.DecodeRune(u, rune(binary.LittleEndian.Uint16(s)))
			if r != utf8.RuneError {
				s = s[2:]
			}
			b = utf8.AppendRune(b, r)
		default:
			b = utf8.AppendRune(b, u) // half a pair, too, becomes U+FFFD
		}
	}
	return b
}
