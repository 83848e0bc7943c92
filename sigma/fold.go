package sigma

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Case is ignored as strings.EqualFold ignores it, by Unicode simple folding, so
// that literals, globs and (?i) regular expressions agree. foldRune maps all
// characters that differ only in case to one: the lower-case letter where ASCII
// has one, otherwise the smallest.
func foldRune(r rune) rune {
	switch { // the scripts most written, without searching the tables of Unicode
	case r < utf8.RuneSelf:
		return rune(lowerASCII(byte(r)))
	case 'à' <= r && r <= 'þ' && r != '÷', 'а' <= r && r <= 'я':
		return r - 0x20
	case 'À' <= r && r <= 'Þ', 'А' <= r && r <= 'Я':
		return r
	case 0x2e80 <= r && r < 0xa640, 0xac00 <= r && r < 0xfb00, r >= 0x1f000:
		return r // ideographs, kana, hangul and symbols have no case
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return rune(lowerASCII(byte(least)))
	}
	return least
}

func lowerASCII(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}

// appendFold appends s with every character folded, and reports whether s is
// ASCII. Bytes that are not UTF-8 stay as they are.
func appendFold(dst []byte, s string) ([]byte, bool) {
	start := len(dst)
	dst = append(dst, s...)
	text := dst[start:]
	at := 0
	for ; at+8 <= len(text) && foldWord(text[at:]); at += 8 {
	}
	if n := len(text); at < n && at+8 > n && n >= 8 && foldWord(text[n-8:]) { // again is no harm
		return dst, true
	}
	for ; at < len(text) && text[at] < utf8.RuneSelf; at++ {
		text[at] = lowerASCII(text[at])
	}
	if at == len(text) {
		return dst, true
	}
	s = s[at:]
	dst = dst[:start+at]
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, lowerASCII(c))
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[i])
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		i += size
	}
	return dst, false
}

// foldWord folds the first eight bytes in place if they are ASCII.
func foldWord(b []byte) bool {
	const ones = 0x0101010101010101
	w := binary.LittleEndian.Uint64(b)
	if w&(0x80*ones) != 0 {
		return false
	}
	fromA, aboveZ := w+(0x80-'A')*ones, w+(0x7f-'Z')*ones // the top bits tell which bytes are
	binary.LittleEndian.PutUint64(b, w|(fromA&^aboveZ&(0x80*ones))>>2)
	return true
}

func fold(s string) string {
	if isFolded(s) {
		return s
	}
	out, _ := appendFold(make([]byte, 0, len(s)), s)
	return string(out)
}

// isFolded reports whether s is ASCII without capitals, which folding keeps.
func isFolded(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || c-'A' < 26 {
			return false
		}
	}
	return true
}

func isASCII[T string | []byte](s T) bool {
	for ; len(s) >= 8; s = s[8:] { // one load: the compiler knows this form
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if word&0x8080808080808080 != 0 {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func foldEqual(a, b string, cased bool) bool {
	if cased {
		return a == b
	}
	return strings.EqualFold(a, b)
}
