package decode

import (
	"strings"
	"time"
)

// A textStamp is a time as a line of a log writes it.
type textStamp struct {
	at       time.Time // read as UTC unless zoned; year 0 if yearless
	zoned    bool
	yearless bool
}

// readStamp reads the time at the start of s and says how many bytes it takes, 0
// if there is none. It knows the forms that logs use:
//
//	2006-01-02T15:04:05.000Z   2006-01-02 15:04:05,000 +01:00   2006/01/02 - 15:04:05
//	02/Jan/2006:15:04:05 -0700   02-Jan-2006 15:04:05.000   060102 15:04:05
//	Mon Jan  2 15:04:05.000 2006   Mon, 02 Jan 2006 15:04:05 GMT   Jan 2 2006 15:04:05   Jan  2 15:04:05
//	01/02/2006 03:04:05 PM   01/02/06 15:04:05   01/02/2006-15:04:05.000
//
// Where day and month are both numbers the month stands first, as in the
// programs that write so; if it cannot be a month it is the day.
func readStamp(s string) (textStamp, int) {
	r := stampReader{s: s}
	ok := false
	if len(s) >= 15 {
		if isDigit(s[0]) {
			ok = r.numeric()
		} else if s[0] >= 'A' && s[0] <= 'W' {
			ok = r.worded()
		}
	}
	if !ok || r.day < 1 || r.day > 31 || r.month < 1 || r.month > 12 {
		return textStamp{}, 0
	}
	if r.hasYear && r.year < firstYear {
		return textStamp{}, 0 // a clock that was never set, or no stamp at all
	}
	st := textStamp{zoned: r.zoned, yearless: r.year == 0 && !r.hasYear}
	st.at = time.Date(r.year, time.Month(r.month), r.day, r.hour, r.min, r.sec, r.nanos, time.UTC).Add(-r.shift)
	return st, r.i
}

// firstYear is the first that a log of text may be of.
const firstYear = 1900

// A stampReader reads one stamp.
type stampReader struct {
	s                string
	i                int
	year, month, day int
	hour, min, sec   int
	nanos            int
	hasYear, zoned   bool
	shift            time.Duration // of the zone, east of UTC
}

// digits reads between least and most digits.
func (r *stampReader) digits(least, most int) (int, bool) {
	v, n := number(r.s[r.i:], most)
	if n < least {
		return 0, false
	}
	r.i += n
	return v, true
}

func (r *stampReader) is(c byte) bool {
	if r.i < len(r.s) && r.s[r.i] == c {
		r.i++
		return true
	}
	return false
}

func (r *stampReader) spaces() {
	for r.i < len(r.s) && r.s[r.i] == ' ' {
		r.i++
	}
}

// monthName reads three letters of a month's English name.
func (r *stampReader) monthName() bool {
	if len(r.s)-r.i < 4 {
		return false
	}
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	i := strings.Index(names, r.s[r.i:r.i+3])
	if i < 0 || i%3 != 0 {
		return false
	}
	r.month = i/3 + 1
	r.i += 3
	return true
}

// numeric reads a stamp that begins with a number.
func (r *stampReader) numeric() bool {
	_, n := number(r.s, 7)
	var sep byte
	if n < len(r.s) {
		sep = r.s[n]
	}
	switch {
	case n == 4 && (sep == '-' || sep == '/'):
		r.year, _ = r.digits(4, 4)
		r.hasYear = true
		r.i++
		var ok bool
		if r.month, ok = r.digits(2, 2); !ok || !r.is(sep) {
			return false
		}
		if r.day, ok = r.digits(2, 2); !ok {
			return false
		}
	case n == 6 && sep == ' ': // YYMMDD, as old MySQL
		v, _ := r.digits(6, 6)
		r.year, r.month, r.day, r.hasYear = 2000+v/10000, v/100%100, v%100, true
	case (n == 1 || n == 2) && sep == '/', n == 2 && sep == '-':
		first, _ := r.digits(1, 2)
		r.i++
		if r.monthName() {
			r.day = first
		} else {
			second, ok := r.digits(1, 2)
			if !ok {
				return false
			}
			if r.month, r.day = first, second; first > 12 {
				r.month, r.day = second, first
			}
		}
		if !r.is(sep) {
			return false
		}
		from := r.i
		var ok bool
		if r.year, ok = r.digits(2, 4); !ok || r.i-from == 3 {
			return false
		}
		r.hasYear = true
		if r.i-from == 2 {
			r.year += 2000
		}
		r.is(',') // "12/17/22, 10:31:29 PM"
	default:
		return false
	}
	switch {
	case r.is('T'), r.is(':'), r.is('-'):
	case r.is(' '):
		r.spaces() // MySQL pads the hour
		if r.is('-') {
			r.spaces()
		}
	default:
		return false
	}
	return r.clock()
}

// worded reads a stamp that begins with the name of a day or month.
func (r *stampReader) worded() bool {
	if !r.monthName() {
		const days = "MonTueWedThuFriSatSun"
		if i := strings.Index(days, r.s[:3]); i < 0 || i%3 != 0 {
			return false
		}
		r.i = 3
		r.is(',')
		if !r.is(' ') {
			return false
		}
		r.spaces()
		if r.i < len(r.s) && isDigit(r.s[r.i]) { // 02 Jan 2006 15:04:05
			var ok bool
			if r.day, ok = r.digits(1, 2); !ok || !r.is(' ') || !r.monthName() || !r.is(' ') {
				return false
			}
			if r.year, ok = r.digits(4, 4); !ok || !r.is(' ') {
				return false
			}
			r.hasYear = true
			return r.clock()
		}
		if !r.monthName() {
			return false
		}
	}
	if !r.is(' ') {
		return false
	}
	r.spaces()
	var ok bool
	if r.day, ok = r.digits(1, 2); !ok {
		return false
	}
	r.is(',')
	if !r.is(' ') {
		return false
	}
	r.spaces()
	if v, n := number(r.s[r.i:], 5); n == 4 { // Jan 2 2006 15:04:05
		r.year, r.hasYear = v, true
		r.i += 4
		if !r.is(' ') {
			return false
		}
	}
	if !r.clock() {
		return false
	}
	if !r.hasYear { // Mon Jan  2 15:04:05 [MST] 2006
		at, rest := r.i, r.s[r.i:]
		if len(rest) > 5 && rest[0] == ' ' && rest[1] >= 'A' && rest[1] <= 'Z' {
			zone, _, _ := strings.Cut(rest[1:], " ")
			if len(zone) <= 5 && strings.ToUpper(zone) == zone {
				at, rest = at+1+len(zone), rest[1+len(zone):]
			}
		}
		if len(rest) >= 5 && rest[0] == ' ' {
			if v, n := number(rest[1:], 5); n == 4 && v > 1969 && v < 2200 && (len(rest) == 5 || !isDigit(rest[5]) && rest[5] != ':') {
				r.year, r.hasYear, r.i = v, true, at+5
			}
		}
	}
	return true
}

// clock reads the time of day and the zone behind it.
func (r *stampReader) clock() bool {
	var ok bool
	if r.hour, ok = r.digits(1, 2); !ok || r.hour > 23 || !r.is(':') {
		return false
	}
	if r.min, ok = r.digits(2, 2); !ok || r.min > 59 || !r.is(':') {
		return false
	}
	if r.sec, ok = r.digits(2, 2); !ok || r.sec > 60 {
		return false
	}
	if rest := r.s[r.i:]; len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && isDigit(rest[1]) {
		nanos, n := fraction(rest[1:])
		r.nanos, r.i = nanos, r.i+1+n
	}
	rest := r.s[r.i:]
	if len(rest) >= 3 && rest[0] == ' ' && rest[2] == 'M' && (rest[1] == 'A' || rest[1] == 'P') && (len(rest) == 3 || !letter(rest[3])) {
		if r.hour %= 12; rest[1] == 'P' {
			r.hour += 12
		}
		r.i += 3
		rest = rest[3:]
	}
	r.zone(rest)
	return true
}

// zone reads the zone at the start of rest, if one stands there.
func (r *stampReader) zone(rest string) {
	n := 0
	if len(rest) > 0 && rest[0] == ' ' {
		n, rest = 1, rest[1:]
	}
	switch {
	case n == 0 && len(rest) > 0 && (rest[0] == 'Z' || rest[0] == 'z') && (len(rest) == 1 || !letter(rest[1])):
		r.zoned = true
		r.i++
	case len(rest) >= 3 && (rest[:3] == "UTC" || rest[:3] == "GMT") && (len(rest) == 3 || !letter(rest[3])):
		r.zoned = true
		r.i += n + 3
	case len(rest) >= 5 && (rest[0] == '+' || rest[0] == '-'):
		hours, a := number(rest[1:], 2)
		tail, colon := rest[min(3, len(rest)):], 0
		if tail[0] == ':' {
			tail, colon = tail[1:], 1
		}
		minutes, b := number(tail, 2)
		if a != 2 || b != 2 || hours > 23 || minutes > 59 || len(tail) > 2 && isDigit(tail[2]) {
			return
		}
		r.shift = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
		if rest[0] == '-' {
			r.shift = -r.shift
		}
		r.zoned = true
		r.i += n + 5 + colon
	}
}

// letter says whether c is an ASCII letter.
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// stampWithin is how far into a line its time may stand behind a level, a
// bracket or a container's name.
const stampWithin = 64

// findStamp looks for the first time within the start of s: at its beginning or
// behind a space, a bracket, a quote or an equals sign.
func findStamp(s string) (st textStamp, at, n int) {
	for i := 0; i < len(s) && i < stampWithin; i++ {
		if i > 0 {
			switch s[i-1] {
			case ' ', '[', '(', '"', '=', '\t':
			case '*', '.': // IOS marks a clock that is not set
				if isDigit(s[i]) {
					continue
				}
			default:
				continue
			}
		}
		if !isDigit(s[i]) && (s[i] < 'A' || s[i] > 'W') {
			continue
		}
		if st, n = readStamp(s[i:]); n > 0 {
			return st, i, n
		}
	}
	return textStamp{}, 0, 0
}
