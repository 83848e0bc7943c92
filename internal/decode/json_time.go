package decode

import (
	"strconv"
	"strings"
	"time"
)

// parseStamp reads a date and time as logs write it in ISO 8601 and its near
// kin: "2006-01-02T15:04:05.999999999Z", with a space for the T, with or without
// a fraction (point or comma) and zone (Z, UTC, +hh:mm, +hhmm, +hh); and as
// Microsoft's tools write it in English ("1/2/2006 3:04:05 PM"). A stamp that
// names no zone is in zone, UTC if that is nil.
func parseStamp(s string, zone *time.Location) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 10 || s[4] != s[7] || s[4] != '-' && s[4] != '/' {
		return parseSlashed(s, zone)
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	var hour, minute, second, nano int
	rest := s[10:]
	if len(rest) >= 6 && (rest[0] == 'T' || rest[0] == 't' || rest[0] == ' ') && rest[3] == ':' {
		var okh, okm bool
		hour, okh = digits(rest[1:3])
		minute, okm = digits(rest[4:6])
		if !okh || !okm || hour > 24 || minute > 59 {
			return time.Time{}, false
		}
		rest = rest[6:]
		if len(rest) >= 3 && rest[0] == ':' {
			var oks bool
			if second, oks = digits(rest[1:3]); !oks || second > 60 {
				return time.Time{}, false
			}
			rest = rest[3:]
		}
		if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
			n, scale := 1, 100_000_000
			for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
				nano += int(rest[n]-'0') * scale
				scale /= 10
				n++
			}
			rest = rest[n:]
		}
	}
	loc := zone
	if loc == nil {
		loc = time.UTC
	}
	shift := 0
	switch rest {
	case "":
	case "Z", "z", " UTC", "UTC", " Z", " GMT", " +0000 UTC":
		loc = time.UTC
	default:
		var ok bool
		if shift, ok = zoneOffset(rest); !ok {
			return time.Time{}, false
		}
		loc = time.UTC
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, loc)
	if t.Day() != day && hour < 24 && second < 60 {
		return time.Time{}, false // such as February 30
	}
	return t.Add(-time.Duration(shift) * time.Second).UTC(), true
}

// zoneOffset reads "+hh:mm", "+hhmm" or "+hh", with or without a space before,
// as seconds east of UTC.
func zoneOffset(s string) (int, bool) {
	if s[0] == ' ' {
		s = s[1:]
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	h, ok := digits(s[1:3])
	m := 0
	if ok {
		switch {
		case len(s) == 3:
		case len(s) == 5:
			m, ok = digits(s[3:5])
		case len(s) == 6 && s[3] == ':':
			m, ok = digits(s[4:6])
		default:
			ok = false
		}
	}
	if !ok || h > 18 || m > 59 {
		return 0, false
	}
	if s[0] == '-' {
		h, m = -h, -m
	}
	return h*3600 + m*60, true
}

func parseSlashed(s string, zone *time.Location) (time.Time, bool) {
	if len(s) < 8 || len(s) > 40 || !strings.Contains(s[:5], "/") {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range []string{"1/2/2006 3:04:05 PM", "1/2/2006, 3:04:05.999 PM", "1/2/2006 15:04:05", "01/02/2006 03:04:05.999 PM"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseEpoch reads a count since 1970-01-01 UTC: seconds with or without a
// fraction, or milli-, micro- or nanoseconds, told by its size. Counts that would
// lie before 1973 or after 2200 are none.
func parseEpoch(s string) (time.Time, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 100_000_000 {
		if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 1e8 && f < 7.3e9 {
			return time.Unix(int64(f), int64((f-float64(int64(f)))*1e9)).UTC(), true // 1.6e9 and its like
		}
		return time.Time{}, false
	}
	var t time.Time
	switch {
	case n < 7_300_000_000:
		nano := int64(0)
		for i, scale := 0, int64(100_000_000); i < len(frac) && scale > 0; i, scale = i+1, scale/10 {
			if frac[i] < '0' || frac[i] > '9' {
				return time.Time{}, false
			}
			nano += int64(frac[i]-'0') * scale
		}
		t = time.Unix(n, nano)
	case n < 7_300_000_000_000:
		t = time.UnixMilli(n)
	case n < 7_300_000_000_000_000:
		t = time.UnixMicro(n)
	case n < 7_300_000_000_000_000_000:
		t = time.Unix(n/1e9, n%1e9)
	default:
		return time.Time{}, false
	}
	return t.UTC(), true
}

// digits reads s, all of it decimal digits.
func digits(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}
