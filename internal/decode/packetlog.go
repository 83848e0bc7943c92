package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// netfilter reads what the Linux kernel writes of a packet for the LOG target of
// iptables, nftables and UFW: pairs in capitals behind a prefix that the rule gives.
//
//	[UFW BLOCK] IN=eth0 OUT= MAC=... SRC=1.2.3.4 DST=10.0.0.1 LEN=60 ... PROTO=TCP SPT=5 DPT=22 ... SYN
func (l *textLine) netfilter() bool {
	in := strings.Index(l.s, "IN=")
	if in < 0 || in > 512 || in > 0 && l.s[in-1] != ' ' && l.s[in-1] != ']' || !strings.Contains(l.s[in:], " OUT=") || !strings.Contains(l.s[in:], " SRC=") {
		return false
	}
	if !l.wrapped {
		st, _, n := findStamp(l.s)
		if n == 0 {
			return false
		}
		l.when(st)
	}
	prefix := strings.TrimSpace(l.s[:in])
	if l.wrapped && strings.HasPrefix(prefix, "[") { // the kernel's own clock
		if inner, rest, ok := strings.Cut(prefix[1:], "]"); ok && strings.Trim(inner, " .0123456789") == "" {
			prefix = strings.TrimSpace(rest)
		}
	}
	l.source(model.Network, "linux", "firewall", "netfilter")
	seen := map[string]bool{}
	eachKeyValue(l.s[in:], func(key, value string) bool {
		if seen[key] || value == "" { // of the packet that an ICMP error quotes
			return true
		}
		seen[key] = true
		switch key {
		case "SRC":
			l.set(model.FSrcIp, value)
		case "DST":
			l.set(model.FDstIp, value)
		case "SPT":
			l.num(model.FSrcPort, value)
		case "DPT":
			l.num(model.FDstPort, value)
		case "PROTO":
			l.set(l.t.proto, strings.ToLower(value))
		case "IN":
			l.set(l.t.inZone, value)
		case "OUT":
			l.set(l.t.outZone, value)
		case "MAC":
			l.set(l.t.mac, value)
		}
		return true
	})
	l.set(l.t.rule, strings.Trim(prefix, "[]: "))
	switch upper := strings.ToUpper(prefix); {
	case strings.Contains(upper, "BLOCK"), strings.Contains(upper, "DROP"), strings.Contains(upper, "DENY"), strings.Contains(upper, "REJECT"),
		strings.Contains(upper, "-D-"), strings.Contains(upper, "-R-"): // UniFi's [WAN_LOCAL-D-2147483647]
		l.set(l.t.action, "deny")
		l.b.Slot(l.t.blocked, model.Bool, "true")
	case strings.Contains(upper, "ALLOW"), strings.Contains(upper, "ACCEPT"), strings.Contains(upper, "-A-"):
		l.set(l.t.action, "accept")
	}
	l.is(model.ActConnect, "packet")
	return true
}

// pf reads the filter log of pfSense and OPNsense
// (https://docs.netgate.com/pfsense/en/latest/monitoring/logs/raw-filter-format.html):
// rule, sub-rule, anchor, tracker, interface, reason, action, direction, version,
// then the header's fields of IPv4 or IPv6, and those of the protocol.
func (l *textLine) pf() bool {
	if l.program != "filterlog" {
		return false
	}
	col := strings.SplitN(l.s, ",", 64)
	if len(col) < 16 {
		return false
	}
	var proto, src, dst string
	var ports []string
	switch col[8] {
	case "4": // tos, ecn, ttl, id, offset, flags, protocol number, protocol, length, source, destination
		if len(col) < 20 {
			return false
		}
		proto, src, dst, ports = col[16], col[18], col[19], col[20:]
	case "6": // class, label, hop limit, protocol, protocol number, length, source, destination
		if len(col) < 17 {
			return false
		}
		proto, src, dst, ports = col[12], col[15], col[16], col[17:]
	default:
		return false
	}
	if !isAddress(src) || !isAddress(dst) {
		return false
	}
	l.source(model.Network, "pfsense", "firewall", "filterlog")
	l.set(l.t.rule, col[0])
	l.set(l.t.inZone, col[4])
	l.named("direction", col[7])
	l.set(l.t.proto, strings.ToLower(proto))
	l.set(model.FSrcIp, src)
	l.set(model.FDstIp, dst)
	if len(ports) >= 2 && isDigitAll(ports[0]) && isDigitAll(ports[1]) {
		l.num(model.FSrcPort, ports[0])
		l.num(model.FDstPort, ports[1])
	}
	switch col[6] {
	case "block", "reject":
		l.set(l.t.action, "deny")
		l.b.Slot(l.t.blocked, model.Bool, "true")
	case "pass":
		l.set(l.t.action, "accept")
	}
	l.is(model.ActConnect, col[6])
	return true
}

// mikrotik reads the messages of RouterOS, topics first: what its firewall logs, and
// who logged on.
//
//	firewall,info drop-tcp input: in:ether1 out:(unknown 0), ..., proto TCP (SYN), 1.2.3.4:5->10.0.0.1:23, len 40
//	system,error,critical login failure for user admin from 1.2.3.4 via ssh
func (l *textLine) mikrotik() bool {
	topics, m := word(l.s)
	if !l.wrapped || strings.IndexByte(topics, ',') < 0 || m == "" || strings.Trim(topics, "abcdefghijklmnopqrstuvwxyz,-0123456789!") != "" {
		return false
	}
	first, _, _ := strings.Cut(topics, ",")
	switch first {
	case "firewall":
		_, flow, ok := strings.Cut(m, "proto ")
		if !ok {
			return false
		}
		proto, rest, _ := strings.Cut(flow, ", ")
		ends, _, _ := strings.Cut(rest, ",")
		src, dst, ok := strings.Cut(ends, "->")
		if !ok {
			return false
		}
		l.source(model.Network, "mikrotik", "firewall", "firewall")
		l.set(l.t.proto, strings.ToLower(firstWord(proto)))
		ip, port := endpoint(src)
		l.set(model.FSrcIp, ip)
		l.num(model.FSrcPort, port)
		ip, port = endpoint(dst)
		l.set(model.FDstIp, ip)
		l.num(model.FDstPort, port)
		prefix, _, _ := strings.Cut(m, " ")
		l.set(l.t.rule, prefix)
		if lower := strings.ToLower(prefix); strings.Contains(lower, "drop") || strings.Contains(lower, "reject") {
			l.set(l.t.action, "deny")
			l.b.Slot(l.t.blocked, model.Bool, "true")
		}
		l.is(model.ActConnect, "packet")
		return true
	case "system":
		failed := strings.HasPrefix(m, "login failure for user ")
		_, rest, ok := strings.Cut(m, "user ")
		if !ok || !failed && !strings.Contains(m, " logged in from ") && !strings.Contains(m, " logged out from ") {
			return false
		}
		l.source(model.Network, "mikrotik", "", "system")
		rest = strings.Replace(strings.Replace(rest, " logged in from ", " from ", 1), " logged out from ", " from ", 1)
		user, from, _ := cutLast(rest, " from ")
		l.set(model.FUserLower, user)
		l.set(model.FRemoteIp, firstWord(from))
		switch {
		case failed:
			l.is(model.ActLogonFailed, "login_failure")
		case strings.Contains(m, " logged in "):
			l.is(model.ActLogon, "logged_in")
		default:
			l.is(model.ActLogoff, "logged_out")
		}
		return true
	}
	return false
}
