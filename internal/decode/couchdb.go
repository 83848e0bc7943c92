package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// couchDB reads a request in CouchDB's log:
//
//	[notice] 2006-01-02T15:04:05.000000Z node@host <0.1.0> id host:5984 1.2.3.4 user GET /db 200 ok 3
func (l *textLine) couchDB() bool {
	if len(l.s) < 40 || l.s[0] != '[' {
		return false
	}
	level, rest, ok := strings.Cut(l.s[1:], "] ")
	if !ok || !isLevel(level) {
		return false
	}
	st, n := readStamp(rest)
	if n == 0 {
		return false
	}
	f := strings.Fields(rest[n:])
	if len(f) < 10 || len(f) > 12 || !strings.Contains(f[0], "@") || !strings.HasPrefix(f[1], "<") || !isAddress(f[4]) || len(f[8]) != 3 || !isDigitAll(f[8]) {
		return false
	}
	l.when(st)
	_, host, _ := strings.Cut(f[0], "@")
	if host = linuxHost(host); isHostName(host) && host != "nohost" && host != "localhost" {
		l.e.Host = host
	}
	l.source(model.Application, "couchdb", "webserver", "couchdb")
	l.onMachine()
	l.set(model.FCIp, f[4])
	l.set(model.FCsHost, f[3])
	if user := f[5]; user != "undefined" {
		l.set(model.FCsUsername, user)
	}
	l.request(f[6] + " " + f[7] + " HTTP/1.1")
	l.num(model.FScStatus, f[8])
	l.e.Code = f[8]
	switch {
	case f[8] == "401" && f[5] != "undefined":
		l.e.Act = model.ActLogonFailed
	case f[8][0] < '4' && (f[6] == "POST" || f[6] == "PUT" || f[6] == "DELETE"):
		l.e.Act = model.ActConnect
	}
	return true
}
