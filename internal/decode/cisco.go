package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// cisco reads the messages of Cisco's ASA, Firepower and IOS: what stands behind
// %ASA-severity-number: or %FACILITY-severity-MNEMONIC:
// (https://www.cisco.com/c/en/us/td/docs/security/asa/syslog/b_syslog.html).
// Of ASA those are read that tell of connections, of what was refused, and of who
// logged on; of IOS log-ons, commands and access lists. The rest keep their
// number and their words.
func (l *textLine) cisco() bool {
	i := strings.IndexByte(l.s[:min(len(l.s), 256)], '%')
	for ; i >= 0; i = nextPercent(l.s, i) {
		tag, message, ok := strings.Cut(l.s[i+1:], ":")
		if !ok || len(tag) > 64 {
			continue
		}
		facility, rest, ok := strings.Cut(tag, "-")
		mnemonic := rest[strings.LastIndexByte(rest, '-')+1:]
		if !ok || facility == "" || strings.ToUpper(tag) != tag || mnemonic == "" || mnemonic == rest || strings.ContainsAny(tag, " %\"") {
			continue
		}
		severity := rest[:len(rest)-len(mnemonic)-1]
		severity = severity[strings.LastIndexByte(severity, '-')+1:]
		if len(severity) != 1 || severity[0] > '7' || severity[0] < '0' {
			continue
		}
		if !l.wrapped || l.e.Recorded.IsZero() {
			st, _, n := findStamp(strings.TrimLeft(l.s[:i], "*.:"))
			if n == 0 {
				return false
			}
			l.when(st)
		}
		l.named("severity", severity)
		if !l.wrapped {
			l.set(model.FMessageLower, l.s[i:])
		}
		message = strings.TrimSpace(message)
		l.e.Code = mnemonic
		switch facility {
		case "ASA", "FTD", "PIX", "FWSM":
			l.source(model.Network, "cisco", "firewall", strings.ToLower(facility))
			l.asa(mnemonic, message)
		default:
			l.source(model.Network, "cisco", "", iosService(facility))
			l.e.Code = facility + "-" + severity + "-" + mnemonic
			l.ios(mnemonic, message)
		}
		return true
	}
	return false
}

// nextPercent returns where the next percent sign stands near the start of s.
func nextPercent(s string, i int) int {
	j := strings.IndexByte(s[i+1:min(len(s), 256)], '%')
	if j < 0 {
		return -1
	}
	return i + 1 + j
}

// iosService is Sigma's service for a facility of IOS.
func iosService(facility string) string {
	switch facility {
	case "PARSER", "AAA", "AAAA", "HA_EM":
		return "aaa"
	case "BGP":
		return "bgp"
	case "TCP", "IP-TCP":
		return "bgp"
	case "LDP", "TDP":
		return "ldp"
	}
	return "syslog"
}

// An asaEnd is one end of a connection: "outside:1.2.3.4/80" with more behind it.
type asaEnd struct{ zone, ip, port, user string }

// readEnd reads one end.
func readEnd(s string) asaEnd {
	var e asaEnd
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	if i := strings.IndexByte(s, '('); i > 0 { // "outside:1.2.3.4/80(LOCAL\bob)"
		e.user = strings.TrimSuffix(s[i+1:], ")")
		s = s[:i]
	}
	if zone, rest, ok := strings.Cut(s, ":"); ok && !isAddress(s) {
		e.zone, s = zone, rest
	}
	e.ip, e.port = endpoint(s)
	return e
}

func (l *textLine) ends(src, dst asaEnd) {
	l.set(model.FSrcIp, src.ip)
	l.num(model.FSrcPort, src.port)
	l.set(l.t.inZone, src.zone)
	l.set(model.FDstIp, dst.ip)
	l.num(model.FDstPort, dst.port)
	l.set(l.t.outZone, dst.zone)
	l.set(model.FUserLower, strings.TrimPrefix(src.user, `LOCAL\`))
}

// asa reads the message of a number.
func (l *textLine) asa(id, m string) {
	deny := func() {
		l.set(l.t.action, "deny")
		l.b.Slot(l.t.blocked, model.Bool, "true")
	}
	switch id {
	case "302013", "302015", "302014", "302016", "302020", "302021", "302303", "302304":
		// Built inbound TCP connection 7 for outside:1.2.3.4/5 (1.2.3.4/5) to inside:10.0.0.1/80 (10.0.0.1/80)
		_, rest, ok := strings.Cut(m, " for ")
		a, b, ok2 := strings.Cut(rest, " to ")
		if !ok || !ok2 {
			l.anyEnds(m)
			return
		}
		src, dst := readEnd(a), readEnd(b)
		if strings.HasPrefix(m, "Built outbound") || strings.HasPrefix(m, "Teardown") && portNumber(src.port) < portNumber(dst.port) {
			src, dst = dst, src // the first is the end with the lower security
		}
		l.ends(src, dst)
		l.set(l.t.proto, asaProtocol(m))
		l.set(l.t.action, "accept")
		if strings.HasPrefix(m, "Built") {
			l.e.Act = model.ActConnect
		} else {
			l.named("duration", between(m+" ", " duration ", " "))
			l.named("bytes", between(m+" ", " bytes ", " "))
		}
	case "106023", "106100", "106001", "106006", "106007", "106010", "106014", "106015", "710003", "710005", "106021":
		// Deny tcp src outside:1.2.3.4/5 dst inside:10.0.0.1/22 by access-group "x"
		l.e.Act = model.ActConnect
		if s, d := between(m, " src ", " dst "), field(m, " dst "); s != "" && d != "" {
			l.ends(readEnd(s), readEnd(d))
		} else if _, rest, ok := strings.Cut(m, " from "); ok {
			s, d, _ := strings.Cut(rest, " to ")
			d = strings.TrimSpace(d)
			if w, tail := word(d); !strings.ContainsAny(w, "/.:") { // "from a to outside:b" and "to inside b"
				d = w + ":" + tail
			}
			l.ends(readEnd(s), readEnd(d))
		} else if a, b, ok := strings.Cut(m, " -> "); ok { // access-list x permitted tcp inside/10.0.0.1(5) -> outside/1.2.3.4(80)
			src, dst := asaArrow(a[strings.LastIndexByte(a, ' ')+1:]), asaArrow(b)
			l.ends(src, dst)
		} else {
			l.anyEnds(m)
		}
		l.set(l.t.rule, between(m, `access-group "`, `"`))
		if strings.Contains(m, "permitted") {
			l.set(l.t.action, "accept")
		} else {
			deny()
		}
	case "605004", "605005": // Login denied|permitted from 1.2.3.4/5 to outside:10.0.0.1/ssh for user "bob"
		l.asaLogon(id == "605005", between(m, " from ", " to "), between(m, `for user "`, `"`))
	case "113005", "113015", "113006", "113021": // ... rejected : reason = x : server = 1.1.1.1 : user = bob : user IP = 1.2.3.4
		l.set(l.t.reason, asaField(m, "reason"))
		l.asaLogon(false, asaField(m, "user IP"), asaField(m, "user"))
	case "113004", "113012", "113008": // AAA user authentication Successful : server = 1.1.1.1 : user = bob
		l.set(model.FUserLower, asaField(m, "user"))
		l.e.Code = id
	case "113039", "722051", "722022", "722033", "734001", "716001", "113019", "716002", "722023": // Group <g> User <bob> IP <1.2.3.4> ...
		user, ip := asaAngle(m, "User"), asaAngle(m, "IP")
		if user == "" {
			user = strings.TrimSuffix(asaField(m, "Username"), ",")
		}
		if ip == "" {
			ip = strings.TrimSuffix(asaField(m, "IP"), ",")
		}
		if user == "" { // DAP: User bob, Addr 1.2.3.4, Connection AnyConnect
			user, ip = between(m, "User ", ","), between(m, "Addr ", ",")
		}
		switch id {
		case "113019", "716002", "722023":
			l.asaLogon(true, ip, user)
			l.e.Act = model.ActLogoff
		case "113039", "716001", "722051":
			l.asaLogon(true, ip, user)
		default: // the same session is told of by 113039
			l.set(model.FUserLower, user)
			l.set(model.FRemoteIp, ip)
		}
	case "716039", "109006", "109031", "611102", "308001": // Group <g> User <bob> IP <1.2.3.4> Authentication: rejected
		user, ip := asaAngle(m, "User"), asaAngle(m, "IP")
		if user == "" {
			user, ip = asaField(m, "Uname"), asaField(m, "IP address")
			ip = strings.TrimSuffix(ip, ",")
		}
		if user == "" { // Authentication failed for user 'bob' from inside:1.2.3.4/5 to ...
			user, ip = between(m, "'", "'"), between(m, " from ", " to ")
		}
		l.asaLogon(false, ip, user)
	case "611101", "109005":
		user, ip := strings.TrimSuffix(asaField(m, "Uname"), ","), strings.TrimSuffix(asaField(m, "IP address"), ",")
		l.asaLogon(true, ip, user)
	case "111008", "111010", "111009", "502101", "502102": // User 'bob' executed the 'x' command; ... running 'CLI' from IP 1.2.3.4, executed 'x'
		l.set(model.FUserLower, between(m, "ser '", "'"))
		l.set(model.FRemoteIp, strings.TrimSuffix(firstWord(field(m, " from IP ")), ","))
		_, command, _ := strings.Cut(m, "executed ")
		l.set(model.FCommandLine, between(command, "'", "'"))
		if id != "111009" { // a show command changes nothing
			l.e.Act = model.ActConfigChange
		}
	default:
		l.anyEnds(m)
	}
}

func (l *textLine) asaLogon(granted bool, from, user string) {
	end := readEnd(strings.Trim(from, ", "))
	l.set(model.FRemoteIp, end.ip)
	l.set(model.FUserLower, strings.Trim(user, "*"))
	l.e.Act = model.ActLogonFailed
	if granted {
		l.e.Act = model.ActLogon
	}
}

// anyEnds takes "from a to b" or "for a to b" of a message that nothing else is known of.
func (l *textLine) anyEnds(m string) {
	for _, lead := range [...]string{" from ", " for "} {
		if _, rest, ok := strings.Cut(m, lead); ok {
			if a, b, ok := strings.Cut(rest, " to "); ok {
				src, dst := readEnd(a), readEnd(b)
				if isAddress(src.ip) && isAddress(dst.ip) {
					l.ends(src, dst)
					return
				}
			}
		}
	}
}

func firstWord(s string) string { w, _ := word(s); return w }

// portNumber reads a port; one that is a name or missing is the least.
func portNumber(s string) int {
	n, digits := number(s, 5)
	if digits != len(s) {
		return 0
	}
	return n
}

func asaProtocol(m string) string {
	for _, p := range [...]string{"TCP", "UDP", "ICMP", "SCTP", "GRE"} {
		if strings.Contains(m[:min(len(m), 48)], p) {
			return strings.ToLower(p)
		}
	}
	return ""
}

// asaField returns the value of "name = value" or "name: value" up to the next " : "
// or comma.
func asaField(m, name string) string {
	for _, lead := range [...]string{name + " = ", name + ": "} {
		at := 0
		for {
			i := strings.Index(m[at:], lead)
			if i < 0 {
				break
			}
			at += i
			if at == 0 || m[at-1] == ' ' && !strings.HasSuffix(m[:at-1], " user") {
				v, _, _ := strings.Cut(m[at+len(lead):], " : ")
				v, _, _ = strings.Cut(v, ", ")
				if lead[len(lead)-2] == ':' {
					v, _, _ = strings.Cut(v, " ")
				}
				return strings.TrimSpace(v)
			}
			at += len(lead)
		}
	}
	return ""
}

// asaAngle returns the value of "Name <value>".
func asaAngle(m, name string) string { return between(m, name+" <", ">") }

// asaArrow reads "inside/10.0.0.1(5)".
func asaArrow(s string) asaEnd {
	var e asaEnd
	s, _, _ = strings.Cut(s, ")")
	e.zone, s, _ = strings.Cut(s, "/")
	e.ip, e.port, _ = strings.Cut(s, "(")
	return e
}

// ios reads the messages of IOS, IOS XE and NX-OS that tell who did what.
func (l *textLine) ios(mnemonic, m string) {
	bracket := func(name string) string { return between(m, "["+name+": ", "]") }
	switch mnemonic {
	case "LOGIN_SUCCESS", "WEBLOGIN_SUCCESS": // Login Success [user: bob] [Source: 1.2.3.4] [localport: 22]
		l.set(model.FUserLower, bracket("user"))
		l.set(model.FRemoteIp, bracket("Source"))
		l.e.Act = model.ActLogon
	case "LOGIN_FAILED", "WEBLOGIN_FAILED", "AUTHENTICATION_FAILED", "SSH2_USERAUTH":
		user := bracket("user")
		if user == "" { // User 'bob' authentication for SSH2 Session from 1.2.3.4 (tty = 0) ... Succeeded
			user = between(m, "ser '", "'")
		}
		l.set(model.FUserLower, user)
		ip := bracket("Source")
		if ip == "" {
			ip = firstWord(field(m, " from "))
		}
		l.set(model.FRemoteIp, ip)
		switch {
		case mnemonic != "SSH2_USERAUTH" || strings.Contains(m, "Failed"):
			l.e.Act = model.ActLogonFailed
		case strings.Contains(m, "Succeeded"):
			l.e.Act = model.ActLogon
		}
	case "CONFIG_I": // Configured from console by bob on vty0 (1.2.3.4)
		l.set(model.FUserLower, firstWord(field(m, " by ")))
		l.set(model.FRemoteIp, between(m, "(", ")"))
		l.e.Act = model.ActConfigChange
	case "CFGLOG_LOGGEDCMD": // User:bob  logged command:no logging
		l.set(model.FUserLower, strings.TrimSpace(between(m, "User:", " logged command:")))
		l.set(model.FCommandLine, field(m, "logged command:"))
		l.e.Act = model.ActConfigChange
	case "IPACCESSLOGP", "IPACCESSLOGDP", "IPACCESSLOGNP", "ACCESSLOGP": // list 102 denied tcp 1.2.3.4(5) -> 10.0.0.1(22), 1 packet
		a, b, ok := strings.Cut(m, " -> ")
		if !ok {
			return
		}
		l.e.Source.Category = "firewall"
		src, dst := a[strings.LastIndexByte(a, ' ')+1:], b
		sip, sport, _ := strings.Cut(strings.TrimSuffix(src, ")"), "(")
		dst, _, _ = strings.Cut(dst, ",")
		dip, dport, _ := strings.Cut(firstWord(dst), "(")
		l.ends(asaEnd{ip: sip, port: sport}, asaEnd{ip: strings.TrimSuffix(dip, ","), port: strings.TrimSuffix(dport, ")")})
		l.set(l.t.rule, between(m, "list ", " "))
		l.e.Act = model.ActConnect
		if strings.Contains(m, " denied ") {
			l.set(l.t.action, "deny")
			l.b.Slot(l.t.blocked, model.Bool, "true")
		} else {
			l.set(l.t.action, "accept")
		}
	}
}
