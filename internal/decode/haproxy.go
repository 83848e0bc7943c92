package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// haproxy reads the traffic lines of HAProxy in its HTTP and TCP forms, and what it
// says of connections that failed
// (https://docs.haproxy.org/3.0/configuration.html#8.2):
//
//	1.2.3.4:5 [02/Jan/2006:15:04:05.000] front back/server t/t/t/t/t status bytes - - ---- n/n/n/n/n n/n {h} "GET / HTTP/1.1"
//	1.2.3.4:5 [02/Jan/2006:15:04:05.000] front back/server t/t/t bytes -- n/n/n/n/n n/n
//	1.2.3.4:5 [02/Jan/2006:15:04:05.000] front/bind: SSL handshake failure
func (l *textLine) haproxy() bool {
	client, rest := word(l.s)
	if !strings.HasPrefix(rest, "[") {
		return false
	}
	ip, port := endpoint(client)
	if !isDigitAll(port) || !isAddress(ip) {
		return false
	}
	st, n := readStamp(rest[1:])
	if n == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(rest[1+n:], "] ")
	if !ok {
		return false
	}
	front, rest := word(rest)
	l.when(st)
	l.set(model.FCIp, ip)
	l.num(model.FSrcPort, port)
	l.named("frontend", strings.TrimSuffix(front, "~"))
	if strings.HasSuffix(front, ":") {
		l.source(model.Application, "haproxy", "webserver", "haproxy")
		if !l.wrapped {
			l.set(model.FMessageLower, rest)
		}
		l.e.Code = "error"
		return true
	}
	back, rest := word(rest)
	times, rest := word(rest)
	l.named("backend", back)
	status, more := word(rest)
	if strings.Count(times, "/") < 3 { // TCP: bytes stand where a status would
		l.source(model.Network, "haproxy", "firewall", "haproxy")
		l.set(model.FSrcIp, ip)
		l.num(l.t.bytesOut, status)
		l.is(model.ActConnect, "tcp")
		return strings.Contains(times, "/")
	}
	l.source(model.Application, "haproxy", "webserver", "haproxy")
	l.num(model.FScStatus, status)
	l.e.Code = status
	size, more := word(more)
	l.num(l.t.bytesOut, size)
	if _, request, ok := strings.Cut(more, ` "`); ok {
		method := l.request(strings.TrimSuffix(request, `"`))
		if status != "" && status[0] < '4' && method != "" && method != "GET" && method != "HEAD" && method != "OPTIONS" {
			l.e.Act = model.ActConnect
		}
	}
	return true
}
