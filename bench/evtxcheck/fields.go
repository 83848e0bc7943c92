package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// compareFields notes how each field of theirs stands in ours. Kinds that begin
// with "=" agree, with "~" are explained by a known habit of the other program,
// with "!" are differences.
func compareFields(mine, theirs []field, note func(kind, what string)) {
	byName := map[string][]string{}
	for _, f := range mine {
		byName[f.name] = append(byName[f.name], f.value)
	}
	for _, f := range theirs {
		if strings.HasPrefix(f.name, "xmlns:") {
			continue
		}
		values, ok := byName[f.name]
		best, at := "", -1
		for i, v := range values {
			if kind := agree(v, f.value); best == "" || kind < best && kind != "" {
				best, at = kind, i
			}
		}
		switch {
		case !ok && strings.Trim(f.value, "\x00\r\n \t") == "":
			note("= nothing in either", f.name)
		case !ok && renamed(mine, f):
			note("= same value under another name", fmt.Sprintf("%s=%q", f.name, f.value))
		case !ok && markup(mine, f.value):
			note("~ markup in a text taken for elements", fmt.Sprintf("%s=%q", f.name, f.value))
		case !ok:
			note("! field only in theirs", fmt.Sprintf("%s=%q", f.name, f.value))
		case best == "" && sigmaNames[f.name] && renamed(mine, field{"", f.value}):
			note("= same value under another name", fmt.Sprintf("%s=%q", f.name, f.value))
		case best == "":
			note("! value differs", fmt.Sprintf("%s: ours %q, theirs %q", f.name, values, f.value))
		default:
			note(best, fmt.Sprintf("%s: ours %q, theirs %q", f.name, values[at], f.value))
			if len(values) > 1 {
				byName[f.name] = append(values[:at:at], values[at+1:]...)
			}
		}
	}
	known := map[string]bool{}
	for _, f := range theirs {
		known[f.name] = true
	}
	for _, f := range mine {
		if !known[f.name] {
			if sigmaNames[f.name] {
				note("= name added for Sigma", f.name)
			} else if renamed(theirs, f) || strings.Contains(f.value, "<") {
				note("= same value under another name", fmt.Sprintf("%s=%q", f.name, f.value))
			} else if f.value == "" {
				note("= empty in ours, absent in theirs", f.name)
			} else {
				note("? field only in ours", fmt.Sprintf("%s=%q", f.name, f.value))
			}
		}
	}
}

// sigmaNames are the names that Catena adds to audit events, or gives another
// meaning there, because rules know them so.
var sigmaNames = map[string]bool{"Image": true, "User": true, "ParentProcessId": true, "LogonId": true, "ParentImage": true,
	"IntegrityLevel": true, "ProcessId": true, "Initiated": true, "SourceIp": true, "SourcePort": true, "DestinationIp": true, "DestinationPort": true}

// renamed tells whether fields has f's value under a name that differs only in
// what stands before the last underscore. A name that says nothing ("Value", the
// name of the frame) is any name.
func renamed(fields []field, f field) bool {
	last := func(s string) string { return s[strings.LastIndexByte(s, '_')+1:] }
	anyName := f.name == "" || f.name == "Value" || f.name == "EventData" || f.name == "UserData"
	for _, g := range fields {
		anyOther := g.name == "" || g.name == "Value" || g.name == "EventData" || g.name == "UserData"
		if (anyName || anyOther || last(g.name) == last(f.name)) && (agree(g.value, f.value) != "" || agree(f.value, g.value) != "") {
			return true
		}
	}
	return false
}

// markup tells whether the value stands in a text of ours that is markup.
func markup(mine []field, value string) bool {
	for _, f := range mine {
		if strings.Contains(f.value, "<") && strings.Contains(squeeze(f.value), squeeze(value)) {
			return true
		}
	}
	return false
}

// squeeze leaves out white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// agree returns in which way two texts are the same value, empty if they are not.
func agree(mine, theirs string) string {
	if mine == theirs {
		return "= same text"
	}
	// XML readers turn CR LF into LF.
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	if lines.Replace(mine) == lines.Replace(theirs) {
		return "= same text but for line ends"
	}
	if strings.TrimRight(theirs, "\x00") == strings.TrimRight(mine, "\x00") {
		return "= same text but for trailing NUL"
	}
	if strings.EqualFold(strings.Trim(mine, "{}"), strings.Trim(theirs, "{}")) {
		return "= same GUID or word, other case or braces"
	}
	if h, ok := strings.CutPrefix(mine, "0x"); ok {
		if n, err := strconv.ParseUint(h, 16, 64); err == nil {
			if theirs == strconv.FormatUint(n, 10) || theirs == strconv.FormatInt(int64(n), 10) || theirs == strconv.FormatInt(int64(int32(n)), 10) {
				return "~ hexadecimal printed as decimal"
			}
			if t, ok := strings.CutPrefix(theirs, "0x"); ok {
				if m, err := strconv.ParseUint(t, 16, 64); err == nil && m == n {
					return "= same hexadecimal, other padding"
				}
			}
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, mine); err == nil {
		if u, err := time.Parse(time.RFC3339Nano, theirs); err == nil && u.Equal(t) {
			return "= same time"
		}
		if f, err := strconv.ParseFloat(theirs, 64); err == nil && math.Abs(f-(float64(t.Unix())+float64(t.Nanosecond())/1e9)) < 1e-3 {
			return "= same time, as a number"
		}
	}
	if a, err := strconv.ParseFloat(mine, 64); err == nil {
		if b, err := strconv.ParseFloat(theirs, 64); err == nil && (a == b || math.Abs(a-b) < 1e-6*math.Abs(a)) {
			return "= same number"
		}
	}
	if n, err := strconv.ParseInt(mine, 10, 64); err == nil && n < 0 && theirs == strconv.FormatInt(-(n&math.MaxInt32), 10) {
		return "~ negative number read as sign and magnitude"
	}
	if t, err := time.Parse(time.RFC3339Nano, mine); err == nil {
		u, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", theirs)
		if err == nil && u.Truncate(time.Second).Equal(t.Truncate(time.Second)) {
			return "= same time, to the second"
		}
	}
	if strings.TrimSpace(lines.Replace(mine)) == strings.TrimSpace(lines.Replace(theirs)) {
		return "= same text but for white space around it"
	}
	control := func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}
	if strings.Map(control, lines.Replace(mine)) == strings.Map(control, theirs) {
		return "= same text but for control characters, which are no XML"
	}
	if rest, ok := strings.CutPrefix(mine, theirs); ok && theirs != "" && rest != "" && strings.ContainsAny(rest[:1], "<>&\"'") {
		return "~ text cut short at a character reference"
	}
	return ""
}
