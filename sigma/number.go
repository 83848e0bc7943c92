package sigma

import (
	"math"
	"strconv"
)

// maxNumberLen bounds the text that is tried as a number.
const maxNumberLen = 40

// appendNumber appends the one spelling that all texts of a number share, so that
// "7", "07", "7.0" and "0x7" are equal; false if s is no number. It knows decimal
// integers and fractions with exponents, and hexadecimal after "0x".
func appendNumber(dst []byte, s string) ([]byte, bool) {
	if s == "" || len(s) > maxNumberLen {
		return dst, false
	}
	if isDigits(s) && len(s) <= 18 && (s[0] != '0' || len(s) == 1) {
		return append(dst, s...), true
	}
	if hex, ok := cutHex(s); ok {
		u, err := strconv.ParseUint(hex, 16, 64)
		return strconv.AppendUint(dst, u, 10), err == nil
	}
	if !looksDecimal(s) {
		return dst, false
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.AppendInt(dst, i, 10), true
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return strconv.AppendUint(dst, u, 10), true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return dst, false
	}
	return appendFloat(dst, f), true
}

func appendFloat(dst []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// parseNumber returns the number that s spells.
func parseNumber(s string) (float64, bool) {
	if s == "" || len(s) > maxNumberLen {
		return 0, false
	}
	if hex, ok := cutHex(s); ok {
		u, err := strconv.ParseUint(hex, 16, 64)
		return float64(u), err == nil
	}
	if !looksDecimal(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return s != ""
}

func cutHex(s string) (string, bool) {
	if len(s) < 3 || len(s) > 18 || s[0] != '0' || s[1]|0x20 != 'x' {
		return "", false
	}
	for i := 2; i < len(s); i++ {
		if c := s[i]; c-'0' > 9 && (c|0x20)-'a' > 5 {
			return "", false
		}
	}
	return s[2:], true
}

// looksDecimal keeps words such as "inf" and "nan", and the allocation of a
// failed conversion, away from strconv.
func looksDecimal(s string) bool {
	digits, dots, exps := 0, 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c-'0' <= 9:
			digits++
		case c == '.' && exps == 0:
			dots++
		case c|0x20 == 'e' && digits > 0:
			exps++
		case (c == '-' || c == '+') && (i == 0 || s[i-1]|0x20 == 'e'):
		default:
			return false
		}
	}
	last := s[len(s)-1]
	return digits > 0 && dots <= 1 && exps <= 1 && (last-'0' <= 9 || last == '.')
}
