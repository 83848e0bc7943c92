package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// eachKeyValue calls fn for the pairs of a line of key=value: a value is bare up to the
// next space, or in double quotes in which a backslash escapes. Words without an
// equals sign are skipped. It stops when fn is false and returns how many pairs
// there were, and how many words between them were no pairs.
func eachKeyValue(s string, fn func(key, value string) bool) (pairs, words int) {
	for s != "" {
		if s = strings.TrimLeft(s, " ,\t"); s == "" {
			break
		}
		end := strings.IndexAny(s, "= \t")
		if end < 0 {
			return pairs, words + 1
		}
		if s[end] != '=' || !isKey(s[:end]) {
			words++
			if s[end] == '=' {
				end = strings.IndexAny(s, " \t")
			}
			if end < 0 {
				return pairs, words
			}
			s = s[end:]
			continue
		}
		key := s[:end]
		s = s[end+1:]
		var value string
		if strings.HasPrefix(s, `"`) {
			value, s = keyValueQuoted(s)
		} else {
			i := strings.IndexAny(s, " \t")
			if i < 0 {
				i = len(s)
			}
			value, s = strings.TrimSuffix(s[:i], ","), s[i:]
		}
		pairs++
		if pairs > MaxFields || !fn(key, value) {
			break
		}
	}
	return pairs, words
}

// eachCommaPair is eachKeyValue for pairs that commas part, so that a value without
// quotes may hold spaces.
func eachCommaPair(s string, fn func(key, value string) bool) (pairs, words int) {
	for s != "" && pairs <= MaxFields {
		var key, value string
		end := strings.IndexAny(s, "=,")
		if end < 0 {
			return pairs, words + 1
		}
		if s[end] == ',' || !isKey(s[:end]) {
			words++
			_, s, _ = strings.Cut(s[end:], ",")
			continue
		}
		key, s = s[:end], s[end+1:]
		if strings.HasPrefix(s, `"`) {
			value, s = keyValueQuoted(s)
			_, s, _ = strings.Cut(s, ",")
		} else {
			value, s, _ = strings.Cut(s, ",")
		}
		pairs++
		if !fn(key, value) {
			break
		}
	}
	return pairs, words
}

// keyValueQuoted cuts a string in double quotes off s.
func keyValueQuoted(s string) (value, rest string) {
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			value = s[1:i]
			if escaped {
				value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(value)
			}
			return value, s[i+1:]
		}
	}
	return s[1:], ""
}

// fortigate reads the key=value lines of FortiOS
// (https://docs.fortinet.com/document/fortigate/7.4.0/fortios-log-message-reference):
// traffic, security profiles, and events of system, user and VPN.
//
//	date=2006-01-02 time=15:04:05 devname="fw" logid="0000000013" type="traffic" subtype="forward" srcip=1.2.3.4 ...
func (l *textLine) fortigate() bool {
	at := strings.Index(l.s[:min(len(l.s), 256)], "date=")
	if at < 0 || at > 0 && l.s[at-1] != ' ' && l.s[at-1] != '>' {
		return false
	}
	s := l.s[at:]
	each, sep := eachKeyValue, " "
	if len(s) > 20 && strings.HasPrefix(s[15:], ",time=") { // FortiOS' format csv
		each, sep = eachCommaPair, ","
	}
	if len(s) < 40 || !strings.Contains(s, sep+"time=") || !strings.Contains(s, sep+"type=") || !strings.Contains(s, sep+"logid=") && !strings.Contains(s, sep+"devname=") {
		return false
	}
	var f struct{ date, clock, zone, epoch, typ, subtype, action, dev, user, src, dst, status, reason, logid, tunnel string }
	each(s, func(key, value string) bool {
		switch key {
		case "date":
			f.date = value
		case "time":
			f.clock = value
		case "tz":
			f.zone = value
		case "eventtime":
			f.epoch = value
		case "type":
			f.typ = value
		case "subtype":
			f.subtype = value
		case "action":
			f.action = value
		case "devname":
			f.dev = value
		case "logid":
			f.logid = value
		case "user":
			f.user = value
		case "srcip", "src":
			f.src = value
		case "remip":
			if f.src == "" {
				f.src = value
			}
		case "dstip", "dst":
			f.dst = value
		case "srcport":
			l.num(model.FSrcPort, value)
		case "dstport":
			l.num(model.FDstPort, value)
		case "hostname":
			l.set(model.FCsHost, value)
		case "url":
			l.address(value)
		case "status":
			f.status = value
		case "reason":
			f.reason = value
		case "tunnelid":
			f.tunnel = value
		}
		if key != "user" || value != "N/A" {
			l.named(key, value)
		}
		return true
	})
	if f.user == "N/A" {
		f.user = ""
	}
	st, n := readStamp(f.date + "T" + f.clock + f.zone)
	if n == 0 {
		return false
	}
	if !st.zoned && len(f.epoch) >= 10 && isDigitAll(f.epoch) { // seconds, later nanoseconds, of UTC
		if t, err := parseMappedTime(f.epoch[:10], "epoch_s", nil); err == nil {
			st.at, st.zoned = t, true
		}
	}
	l.when(st)
	if f.dev != "" {
		l.e.Host = linuxHost(f.dev)
	}
	l.source(model.Network, "fortigate", "firewall", f.typ)
	l.e.Code = f.logid
	src, _ := endpoint(strings.TrimSuffix(strings.TrimPrefix(f.src, "ssh("), ")"))
	l.set(model.FSrcIp, src)
	l.set(model.FDstIp, f.dst)
	l.set(model.FUserLower, f.user)
	if blocks(f.action) {
		l.b.Slot(l.t.blocked, model.Bool, "true")
	}
	switch action := strings.ToLower(f.action); {
	case f.typ == "traffic":
		if f.dst != "" {
			l.e.Act = model.ActConnect
		}
	case f.typ == "utm" || f.typ == "dns":
		if f.typ == "dns" || f.subtype == "dns" {
			if name := l.b.Text(l.o.Names.ID("qname")); name != "" {
				l.set(model.FQueryLower, name)
				l.e.Source.Category, l.e.Act = "dns", model.ActDNS
			}
			break
		}
		if f.dst != "" {
			l.e.Act = model.ActConnect
		}
	case strings.Contains(action, "login-fail"), action == "login" && f.status == "failed", action == "authentication" && (f.status == "failed" || f.status == "failure"),
		strings.Contains(action, "auth-fail"):
		l.e.Act = model.ActLogonFailed
	case action == "login" && f.status == "success", action == "tunnel-up", action == "authentication" && f.status == "success", action == "auth-logon":
		l.e.Act = model.ActLogon
		l.set(model.FSessionIdLower, f.tunnel)
	case action == "logout", action == "tunnel-down", action == "auth-logout":
		l.e.Act = model.ActLogoff
		l.set(model.FSessionIdLower, f.tunnel)
	case action == "add" || action == "edit" || action == "delete" || action == "set":
		l.e.Act = model.ActConfigChange
	}
	return true
}

// logfmt reads a line of key=value pairs that names its time, as programs in Go
// write: time=... level=... msg="...". Its words beside pairs must be few, so that
// prose with an equals sign in it is not taken for it.
func (l *textLine) logfmt() bool {
	s := l.s
	if l.wrapped && !strings.Contains(s, "msg=") && !strings.Contains(s, "level=") {
		return false
	}
	if i := strings.Index(s[:min(len(s), stampWithin)], "| "); i >= 0 { // "service  | " of compose
		s = s[i+2:]
	}
	eq := strings.IndexByte(s, '=')
	if eq <= 0 || eq > maxTextName || !isKey(s[:eq]) && (l.wrapped || strings.Count(s[:eq], " ") > 2) {
		return false
	}
	var st textStamp
	timed := false
	message, user, from, to := "", "", "", ""
	pairs, words := eachKeyValue(s, func(key, value string) bool {
		switch strings.ToLower(key) {
		case "time", "ts", "t", "timestamp", "@timestamp", "date", "datetime":
			if at, n := readStamp(value); n > 0 && !timed {
				st, timed = at, true
			} else if when, err := parseMappedTime(value, "epoch_s", nil); err == nil && len(value) >= 10 && !timed {
				st, timed = textStamp{at: when, zoned: true}, true
			}
		case "msg", "message":
			message = value
		case "user", "username", "user_name", "usr":
			user = value
		case "ip", "remote_ip", "client_ip", "src", "srcip", "src_ip", "remote_addr", "peer_ip", "clientip", "client":
			if from == "" {
				from = value
			}
		case "dst", "dstip", "dst_ip":
			to = value
		}
		l.named(key, value)
		return true
	})
	if pairs < 3 || words > pairs {
		return false
	}
	if !timed && !l.wrapped {
		at, _, n := findStamp(s)
		if n == 0 {
			return false
		}
		st, timed = at, true
	}
	if timed {
		l.when(st)
	}
	l.source(model.Application, "application", "application", l.program)
	l.onMachine()
	from, _ = endpoint(from)
	if to != "" && isAddress(from) {
		l.set(model.FSrcIp, from)
		l.set(model.FDstIp, to)
	}
	if message == "" {
		message = s
	}
	if !l.signInOf(message, user, from) {
		l.set(model.FUserLower, user)
		if isAddress(from) && to == "" {
			l.set(model.FRemoteIp, from)
		}
		l.between(message)
	}
	if !l.wrapped {
		l.set(model.FMessageLower, message)
	}
	return true
}

// between takes "... from 1.2.3.4:5 to 10.0.0.1:80" of a proxy's message as a connection.
func (l *textLine) between(m string) {
	_, rest, ok := strings.Cut(m, " from ")
	a, b, ok2 := strings.Cut(rest, " to ")
	if !ok || !ok2 {
		return
	}
	src, sport := endpoint(a)
	dst, dport := endpoint(firstWord(b))
	if !isAddress(src) || !isAddress(dst) || !isDigitAll(sport) || !isDigitAll(dport) {
		return
	}
	l.set(model.FSrcIp, src)
	l.num(model.FSrcPort, sport)
	l.set(model.FDstIp, dst)
	l.num(model.FDstPort, dport)
	l.is(model.ActConnect, "connection")
}

// container reads a line of a container runtime around another (the CRI format of
// Kubernetes nodes): time, stream, F or P, the line. What stands in it is a line
// of its own.
func (l *textLine) container() bool {
	stamp, rest := word(l.s)
	stream, rest := word(rest)
	part, message := word(rest)
	if l.wrapped || stream != "stdout" && stream != "stderr" || part != "F" && part != "P" {
		return false
	}
	st, n := readStamp(stamp)
	if n == 0 || n != len(stamp) || message == "" {
		return false
	}
	if strings.HasPrefix(message, "{") && part == "F" && l.record(message) {
		l.e.Recorded = st.at
		return true
	}
	l.when(st)
	bare := *l
	l.s, l.wrapped = message, true
	known := l.formatted()
	l.s, l.wrapped = bare.s, bare.wrapped
	if !known {
		l.source(model.Application, "application", "application", "container")
		l.set(model.FMessageLower, message)
		l.signIn(message)
	}
	l.onMachine()
	l.named("stream", stream)
	return true
}
