package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// dnsLog reads what name servers write of each question: BIND, dnsmasq, Unbound, and
// the debug log of Windows' DNS server. The fields are those of Sigma's category
// dns: query, record_type, answer.
func (l *textLine) dnsLog() bool {
	switch {
	case l.program == "dnsmasq" || !l.wrapped && strings.Contains(l.s[:min(len(l.s), 64)], " dnsmasq["):
		return l.dnsmasq()
	case l.program == "unbound" || !l.wrapped && strings.HasPrefix(l.s, "[") && strings.Contains(l.s[:min(len(l.s), 64)], "] unbound["):
		return l.unbound()
	}
	return l.bind() || l.windowsDNS()
}

// asked fills the event of a question.
func (l *textLine) asked(product, client, name, typ string) {
	l.source(model.Network, product, "dns", product)
	ip, _ := endpoint(client)
	l.set(model.FSrcIp, ip)
	l.set(model.FQueryLower, strings.TrimSuffix(name, "."))
	l.set(l.t.recordType, typ)
	l.is(model.ActDNS, "query")
}

// bind reads BIND's categories queries, client and security
// (https://bind9.readthedocs.io/en/latest/reference.html#the-query-log):
//
//	02-Jan-2006 15:04:05.000 [queries: info: ]client @0x7f 1.2.3.4#5 (example.com): query: example.com IN A +E (10.0.0.1)
//	... client @0x7f 1.2.3.4#5 (example.com): query (cache) 'example.com/A/IN' denied
func (l *textLine) bind() bool {
	at := strings.Index(l.s[:min(len(l.s), 128)], "client ")
	if at < 0 {
		return false
	}
	_, rest, ok := strings.Cut(l.s[at+7:], ": ")
	if !ok {
		return false
	}
	head := l.s[at+7 : len(l.s)-len(rest)-2]
	if strings.HasPrefix(head, "@") {
		_, head = word(head)
	}
	client, _ := word(head)
	if !strings.Contains(client, "#") {
		return false
	}
	if ip, _ := endpoint(client); !isAddress(ip) {
		return false
	}
	if i := strings.Index(rest, ": query"); i >= 0 && strings.HasPrefix(rest, "view ") {
		rest = rest[i+2:]
	}
	var name, typ string
	denied := false
	switch {
	case strings.HasPrefix(rest, "query: "):
		name, rest = word(rest[7:])
		_, rest = word(rest) // the class
		typ, _ = word(rest)
	case strings.Contains(rest, " '") && strings.Contains(rest, "/"):
		part := strings.SplitN(between(rest, " '", "'"), "/", 3)
		if len(part) != 3 {
			return false
		}
		name, typ = part[0], part[1]
		denied = strings.HasSuffix(strings.TrimSpace(rest), " denied") || strings.Contains(rest, ") denied") || strings.Contains(rest, "' denied")
	default:
		return false
	}
	st, _, n := findStamp(l.s[:at])
	if n > 0 {
		l.when(st)
	} else if !l.wrapped {
		return false
	}
	l.asked("bind", client, name, typ)
	if denied {
		l.set(l.t.action, "deny")
		l.b.Slot(l.t.blocked, model.Bool, "true")
		l.e.Code = "denied"
	}
	return true
}

// dnsmasq reads "query[A] example.com from 1.2.3.4", "reply example.com is 5.6.7.8",
// and its leases: "DHCPACK(eth0) 10.0.0.7 00:11:22:33:44:55 laptop".
func (l *textLine) dnsmasq() bool {
	m := l.s
	if !l.wrapped {
		st, at, n := findStamp(m)
		if n == 0 {
			return false
		}
		l.when(st)
		_, m, _ = strings.Cut(m[at:], "]: ")
	}
	if serial, rest := word(m); isDigitAll(serial) { // log-queries=extra: serial and client
		_, m = word(rest)
	}
	verb, rest := word(m)
	name, rest := word(rest)
	switch {
	case strings.HasPrefix(verb, "query["):
		l.asked("dnsmasq", strings.TrimPrefix(rest, "from "), name, strings.TrimSuffix(verb[6:], "]"))
		return true
	case verb == "reply" || verb == "cached" || verb == "config":
		l.asked("dnsmasq", "", name, "")
		l.set(l.t.answer, strings.TrimPrefix(rest, "is "))
		l.is(model.ActNone, "reply")
		return true
	}
	return false
}

// unbound reads "info: 1.2.3.4 example.com. A IN [NOERROR ...]".
func (l *textLine) unbound() bool {
	m := l.s
	if !l.wrapped {
		inner, rest, ok := strings.Cut(m[1:], "] ")
		if !ok {
			return false
		}
		if when, err := parseMappedTime(inner, "epoch_s", nil); err == nil && len(inner) >= 10 {
			l.e.Recorded = when
		} else if st, n := readStamp(inner); n > 0 {
			l.when(st)
		} else {
			return false
		}
		_, m = word(rest)
	}
	if strings.HasPrefix(m, "[") { // [pid:thread]
		_, m = word(m)
	}
	if _, rest, ok := strings.Cut(m, "info: "); ok {
		m = rest
	}
	part := strings.Fields(m)
	if len(part) < 4 || len(part) > 8 || !isAddress(part[0]) || part[3] != "IN" {
		return false
	}
	l.asked("unbound", part[0], part[1], part[2])
	if len(part) > 4 {
		l.set(l.t.rcode, part[4])
		l.is(model.ActNone, "reply")
	}
	return true
}

// windowsDNS reads the debug log of the DNS server of Windows:
//
//	1/2/2006 3:04:05 PM 0A30 PACKET  000001F2 UDP Rcv 1.2.3.4   0002   Q [0001   D   NOERROR] A      (7)example(3)com(0)
func (l *textLine) windowsDNS() bool {
	if l.wrapped || len(l.s) < 60 || !isDigit(l.s[0]) || !strings.Contains(l.s[:min(len(l.s), 64)], " PACKET ") {
		return false
	}
	st, n := readStamp(l.s)
	if n == 0 {
		return false
	}
	_, rest, _ := strings.Cut(l.s, " PACKET ")
	head, tail, ok := strings.Cut(rest, "[")
	flags, question, ok2 := strings.Cut(tail, "]")
	part := strings.Fields(head)
	if !ok || !ok2 || len(part) < 5 || !isAddress(part[3]) {
		return false
	}
	typ, name, ok := cutFields(strings.TrimSpace(question))
	if !ok {
		return false
	}
	l.when(st)
	l.asked("windows_dns", part[3], countedName(name), typ)
	l.e.Source.Service = "dns-server"
	l.set(l.t.proto, strings.ToLower(part[1]))
	if code := strings.Fields(flags); len(code) > 0 {
		l.set(l.t.rcode, code[len(code)-1])
	}
	if part[2] != "Rcv" || part[len(part)-2] == "R" { // an answer, or a question passed on
		l.is(model.ActNone, strings.ToLower(part[2]))
	}
	return true
}

// countedName reads "(3)www(7)example(3)com(0)".
func countedName(s string) string {
	var out strings.Builder
	for s != "" && s[0] == '(' && out.Len() < 512 {
		_, rest, ok := strings.Cut(s[1:], ")")
		if !ok {
			break
		}
		label, _, _ := strings.Cut(rest, "(")
		if label == "" {
			break
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		out.WriteString(label)
		s = rest[len(label):]
	}
	return out.String()
}

// dhcp reads which machine got which address: ISC's server and dnsmasq over syslog,
// Windows' audit log, whose header Columns would read if it had one.
//
//	DHCPACK on 10.0.0.7 to 00:11:22:33:44:55 (laptop) via eth0
//	10,01/02/06,15:04:05,Assign,10.0.0.7,laptop.corp.local,001122334455,,...
func (l *textLine) dhcp() bool {
	var ip, mac, name string
	switch {
	case strings.HasPrefix(l.s, "DHCPACK on "):
		rest := l.s[11:]
		ip, rest = word(rest)
		_, rest = word(rest) // to
		mac, rest = word(rest)
		name = between(rest, "(", ")")
		l.e.Code = "ack"
	case strings.HasPrefix(l.s, "DHCPACK(") && l.wrapped:
		part := strings.Fields(l.s)
		if len(part) < 3 {
			return false
		}
		ip, mac = part[1], part[2]
		if len(part) > 3 {
			name = part[3]
		}
		l.e.Code = "ack"
	case !l.wrapped && len(l.s) > 30 && isDigitAll(l.s[:2]) && l.s[2] == ',':
		col := strings.SplitN(l.s, ",", 20)
		if len(col) < 7 || !strings.Contains(col[1], "/") {
			return false
		}
		st, n := readStamp(col[1] + " " + col[2])
		if n == 0 {
			return false
		}
		l.when(st)
		ip, name, mac = col[4], col[5], col[6]
		l.set(model.FMessageLower, col[3])
		l.e.Code = col[0]
	default:
		return false
	}
	if ip != "" && !isAddress(ip) {
		return false
	}
	l.source(model.Network, "dhcp", "dhcp", "dhcp")
	if ip != "" && name != "" && leased(l.e.Code) {
		l.e.Act = model.ActIdentify
	}
	l.set(model.FSrcIp, ip)
	l.set(model.FSrcHost, strings.TrimSuffix(name, "."))
	l.set(l.t.mac, mac)
	return true
}
