package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// squid reads the access log of the Squid proxy in its native format
// (https://wiki.squid-cache.org/Features/LogFormat):
//
//	1700000000.123 45 1.2.3.4 TCP_MISS/200 512 GET http://x/y user HIER_DIRECT/5.6.7.8 text/html
func (l *textLine) squid() bool {
	if len(l.s) < 30 || !isDigit(l.s[0]) || l.s[10] != '.' {
		return false
	}
	part := strings.Fields(l.s)
	if len(part) < 9 || len(part) > 32 || len(part[0]) != 14 || !isDigitAll(part[0][:10]) || !isDigitAll(part[0][11:]) {
		return false
	}
	result, status, ok := strings.Cut(part[3], "/")
	if !ok || !isMethod(part[5]) {
		return false
	}
	when, err := parseMappedTime(part[0], "epoch_s", nil)
	if err != nil {
		return false
	}
	if l.wrapped {
		l.e.Sensed = when
	} else {
		l.e.Recorded = when
	}
	l.source(model.Network, "squid", "proxy", "squid")
	l.num(l.t.taken, part[1])
	l.set(model.FCIp, part[2])
	l.set(l.t.action, result)
	l.num(model.FScStatus, status)
	l.num(l.t.bytesOut, part[4])
	l.set(model.FCsMethod, part[5])
	uri := part[6]
	if part[5] == "CONNECT" { // host:port
		l.set(model.FCsHost, uri)
		l.set(model.FCUri, uri)
	} else {
		l.address(uri)
	}
	l.set(model.FCsUsername, part[7])
	if _, peer, ok := strings.Cut(part[8], "/"); ok {
		l.set(model.FRIp, peer)
	}
	l.is(model.ActConnect, result)
	if strings.Contains(result, "DENIED") {
		l.b.Slot(l.t.blocked, model.Bool, "true")
		l.e.Act = model.ActNone
		if status == "407" && part[7] != "-" {
			l.e.Act = model.ActLogonFailed
		}
	}
	return true
}
