package decode

import (
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// cef reads a record of the Common Event Format, version 0 or 1: seven fields between
// bars, then key=value pairs whose values may hold spaces:
//
//	CEF:0|vendor|product|version|signature|name|severity|src=1.2.3.4 msg=any words cs1Label=Policy cs1=x
//
// A custom field is called by its label where it has one. What precedes "CEF:" is
// skipped; a record that lost that word is known by its version and its bars.
func (l *textLine) cef() bool {
	s := l.s
	if i := strings.Index(s[:min(len(s), 256)], "CEF:"); i >= 0 {
		s = s[i+4:]
	} else if strings.HasPrefix(s, "0|") && strings.Count(s[:min(len(s), 512)], "|") >= 6 {
		l.named("cef_marker", "missing")
	} else {
		return false
	}
	var head [7]string // version, vendor, product, version, signature, name, severity
	for i := range head {
		end := unescapedBar(s)
		if end < 0 {
			return false
		}
		head[i], s = strings.TrimSpace(cefUnescape(s[:end], '|')), s[end+1:]
	}
	if head[0] != "0" && head[0] != "1" {
		return false
	}
	l.named("DeviceVendor", head[1])
	l.named("DeviceProduct", head[2])
	l.named("DeviceVersion", head[3])
	l.named("DeviceEventClassID", head[4])
	l.set(model.FName, head[5])
	l.named("Severity", head[6])
	f := newNormalized(l)
	labels := map[string]string{}
	eachCEFPair(s, func(key, value string) {
		if name, ok := strings.CutSuffix(key, "Label"); ok && len(labels) < 64 {
			labels[name] = value
		}
	})
	eachCEFPair(s, func(key, value string) {
		if strings.HasSuffix(key, "Label") && labels[strings.TrimSuffix(key, "Label")] != "" {
			return
		}
		value = cefUnescape(value, '=')
		name := key
		if label := labels[key]; label != "" {
			name = label
		}
		l.named(name, value)
		f.cef(key, value)
	})
	f.finish(head[1], head[2], head[4]+" "+head[5])
	if l.e.Code = head[4]; l.e.Code == "" {
		l.e.Code = head[5]
	}
	return true
}

// unescapedBar returns where the first bar stands that no backslash precedes.
func unescapedBar(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '|':
			return i
		}
	}
	return -1
}

// cefUnescape takes backslashes off special, a backslash and line ends.
func cefUnescape(s string, special byte) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			switch next := s[i+1]; next {
			case special, '\\', '|':
				c = next
				i++
			case 'n', 'r':
				if special == '=' {
					c = '\n'
					i++
				}
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// eachCEFPair calls fn for the pairs of an extension. A value goes on to the word
// that an equals sign follows, unless a backslash stands before that sign.
func eachCEFPair(s string, fn func(key, value string)) {
	key, start := "", 0 // of the open value
	from := 0           // of the word that i stands in
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ' ':
			from = i + 1
		case '=':
			if from <= start && key != "" || i-from > maxTextName || !isKey(s[from:i]) {
				continue // an equals sign of the value
			}
			if key != "" {
				fn(key, strings.TrimSpace(s[start:from]))
			}
			key, start = s[from:i], i+1
		}
	}
	if key != "" {
		fn(key, strings.TrimSpace(s[start:]))
	}
}

// isKey says whether s may be a key: letters, digits, and what names are joined with.
func isKey(s string) bool {
	if s == "" || len(s) > maxTextName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !letter(c) && !isDigit(c) && c != '_' && c != '.' && c != '-' && c != '[' && c != ']' {
			return false
		}
	}
	return true
}

// leef reads a record of IBM's Log Event Extended Format, 1.0 or 2.0:
//
//	LEEF:1.0|vendor|product|version|id|src=1.2.3.4<tab>dst=...
//	LEEF:2.0|vendor|product|version|id|^|src=1.2.3.4^dst=...
//
// with the delimiter as a character or as x and its number in hex.
func (l *textLine) leef() bool {
	i := strings.Index(l.s[:min(len(l.s), 256)], "LEEF:")
	if i < 0 {
		return false
	}
	part := strings.SplitN(l.s[i+5:], "|", 6)
	if len(part) != 6 {
		return false
	}
	rest, sep := part[5], "\t"
	switch part[0] {
	case "1.0", "1":
	case "2.0", "2":
		if d, tail, ok := strings.Cut(rest, "|"); ok && len(d) <= 6 && !strings.Contains(d, "=") {
			rest = tail
			if d != "" {
				sep = leefDelimiter(d)
			}
		}
	default:
		return false
	}
	l.named("DeviceVendor", part[1])
	l.named("DeviceProduct", part[2])
	l.named("DeviceVersion", part[3])
	l.named("DeviceEventClassID", part[4])
	f := newNormalized(l)
	n := 0
	for pair := range strings.SplitSeq(rest, sep) {
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok || n == MaxFields {
			continue
		}
		n++
		l.named(key, value)
		f.leef(key, value)
	}
	f.finish(part[1], part[2], part[4])
	l.e.Code = part[4]
	return true
}

// leefDelimiter reads "^", "x5E", "0x5E" and "\t".
func leefDelimiter(d string) string {
	hex := strings.TrimPrefix(strings.TrimPrefix(d, "0"), "x")
	if len(d) > 1 && (d[0] == 'x' || strings.HasPrefix(d, "0x")) {
		if v, err := strconv.ParseUint(hex, 16, 7); err == nil && v > 0 {
			return string(rune(v))
		}
	}
	if d == `\t` {
		return "\t"
	}
	return d[:1]
}

// normalized gathers what records of one agreed format say in its own terms: who,
// from where, to where, whether it was let through, and when.
type normalized struct {
	l                                    *textLine
	src, srcHost, srcPort, dst, dstHost  string
	dstPort, user, target, action        string
	outcome, category, host, url, method string
	at                                   textStamp
	timed                                bool
}

func newNormalized(l *textLine) *normalized { return &normalized{l: l} }

// cef takes a key of ArcSight's dictionary.
func (f *normalized) cef(key, value string) {
	switch key {
	case "src", "sourceAddress":
		f.src = value
	case "shost":
		f.srcHost = value
	case "spt":
		f.srcPort = value
	case "dst", "destinationAddress":
		f.dst = value
	case "dhost":
		f.dstHost = value
	case "dpt":
		f.dstPort = value
	case "suser":
		f.user = value
	case "duser":
		f.target = value
	case "act":
		f.action = value
	case "outcome":
		f.outcome = value
	case "cat", "categoryBehavior":
		f.category = value
	case "dvchost", "deviceHostName":
		f.host = value
	case "request":
		f.url = value
	case "requestMethod":
		f.method = value
	case "rt", "end", "start":
		if !f.timed || key == "rt" {
			f.time(value)
		}
	default:
		if strings.HasSuffix(key, "utcTime") && !f.timed { // UniFi's UNIFIutcTime
			f.time(value)
		}
	}
}

// leef takes a key of LEEF's predefined ones.
func (f *normalized) leef(key, value string) {
	switch key {
	case "src":
		f.src = value
	case "srcPort":
		f.srcPort = value
	case "dst":
		f.dst = value
	case "dstPort":
		f.dstPort = value
	case "usrName":
		f.user = value
	case "identHostName":
		f.srcHost = value
	case "action", "act":
		f.action = value
	case "cat":
		f.category = value
	case "url":
		f.url = value
	case "devTime":
		f.time(value)
	}
}

// time reads a stamp, or milliseconds since 1970.
func (f *normalized) time(s string) {
	if isDigitAll(s) && len(s) >= 12 && len(s) <= 14 {
		if t, err := parseMappedTime(s, "epoch_ms", time.UTC); err == nil {
			f.at, f.timed = textStamp{at: t, zoned: true}, true
		}
		return
	}
	if st, n := readStamp(s); n > 0 {
		f.at, f.timed = st, true
	}
}

// finish adds the fields that rules and entities know, and says what was done.
func (f *normalized) finish(vendor, product, what string) {
	l := f.l
	if f.timed {
		l.when(f.at)
	}
	if l.e.Host == "" {
		l.e.Host = linuxHost(f.host)
	}
	l.set(model.FSrcIp, f.src)
	l.set(model.FSrcHost, f.srcHost)
	l.num(model.FSrcPort, f.srcPort)
	l.set(model.FDstIp, f.dst)
	l.set(model.FDstHost, f.dstHost)
	l.num(model.FDstPort, f.dstPort)
	l.set(l.t.action, strings.ToLower(f.action))
	if blocks(f.action) {
		l.b.Slot(l.t.blocked, model.Bool, "true")
	}
	l.source(model.Network, strings.ToLower(strings.ReplaceAll(vendor, " ", "_")), "firewall", strings.ToLower(strings.ReplaceAll(product, " ", "_")))
	if l.e.Source.Product == "" {
		l.e.Source.Product = "cef"
	}
	if f.url != "" {
		l.e.Source.Category = "proxy"
		l.set(model.FCsMethod, f.method)
		l.address(f.url)
	}
	text := strings.ToLower(what + " " + f.category + " " + f.action + " " + f.outcome)
	user := f.target
	if user == "" {
		user = f.user
	}
	switch refused, granted := signInText(text); {
	case user != "" && (refused || signInWords(text) && failed(f.outcome+" "+f.action)):
		l.e.Act = model.ActLogonFailed
	case user != "" && (granted || signInWords(text) && succeeded(f.outcome+" "+f.action)):
		l.e.Act = model.ActLogon
	case f.dst != "" && f.src != "":
		l.e.Act = model.ActConnect
		user = f.user
	default:
		user = f.user
	}
	l.set(model.FUserLower, user)
	if user != f.user {
		l.set(model.FRuser, f.user)
	}
}

// blocks says whether a device's word for what it did means that nothing passed.
func blocks(action string) bool {
	switch strings.ToLower(action) {
	case "deny", "denied", "drop", "dropped", "block", "blocked", "reject", "rejected", "reset", "reset-both", "reset-client", "reset-server", "discard", "prevent", "prevented", "quarantine", "close", "block-ip", "sinkhole", "block-url":
		return true
	}
	return false
}

func failed(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "fail") || strings.Contains(s, "denied") || strings.Contains(s, "deny") || strings.Contains(s, "reject")
}

func succeeded(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "success") || strings.Contains(s, "accept") || strings.Contains(s, "allow")
}

// signInWords says whether a text in lower case speaks of logging on.
func signInWords(text string) bool {
	return strings.Contains(text, "login") || strings.Contains(text, "logon") || strings.Contains(text, "authentication") || strings.Contains(text, "sign-in")
}
