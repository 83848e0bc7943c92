package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// apacheError reads a line of Apache's error log, ModSecurity's among them:
//
//	[Mon Jan 02 15:04:05.000 2006] [core:error] [pid 1:tid 2] [client 1.2.3.4:5] AH00126: message, referer: ...
//
// (https://httpd.apache.org/docs/current/mod/core.html#errorlogformat).
func (l *textLine) apacheError() bool {
	if len(l.s) < 30 || l.s[0] != '[' {
		return false
	}
	st, n := readStamp(l.s[1:])
	if n == 0 || l.s[1] < 'A' { // names its day first
		return false
	}
	rest, ok := strings.CutPrefix(l.s[1+n:], "] [")
	if !ok {
		return false
	}
	level, rest, ok := strings.Cut(rest, "] ")
	if !ok || len(level) > 64 || !isLevel(level[strings.LastIndexByte(level, ':')+1:]) {
		return false
	}
	client := ""
	for strings.HasPrefix(rest, "[") {
		inner, tail, ok := strings.Cut(rest[1:], "] ")
		if !ok {
			break
		}
		if c, ok := strings.CutPrefix(inner, "client "); ok {
			client, _ = endpoint(c)
		} else if p, ok := strings.CutPrefix(inner, "pid "); ok {
			_, n := number(p, 10)
			l.num(model.FPid, p[:n])
		} else if _, ok := strings.CutPrefix(inner, "remote "); !ok {
			break // the message's own
		}
		rest = tail
	}
	l.when(st)
	l.errorLine("apache", level, client, rest)
	return true
}

// nginxError reads a line of nginx's error log:
//
//	2006/01/02 15:04:05 [error] 12#3: *4 message, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", host: "x"
func (l *textLine) nginxError() bool {
	if len(l.s) < 24 || !isDigit(l.s[0]) || l.s[4] != '/' {
		return false
	}
	st, n := readStamp(l.s)
	if n == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(l.s[n:], " [")
	if !ok {
		return false
	}
	level, rest, ok := strings.Cut(rest, "] ")
	if !ok || !isLevel(level) {
		return false
	}
	pid, digits := number(rest, 10)
	if digits == 0 || pid < 0 || len(rest) == digits || rest[digits] != '#' {
		return false
	}
	_, message, ok := strings.Cut(rest, ": ")
	if !ok {
		return false
	}
	l.when(st)
	_, client, _ := strings.Cut(message, ", client: ")
	client, _, _ = strings.Cut(client, ",")
	client, _ = endpoint(client)
	l.num(model.FPid, rest[:digits])
	l.set(model.FCsHost, nginxValue(message, ", host: "))
	if r := nginxValue(message, ", request: "); r != "" {
		l.request(r)
	}
	l.set(l.t.referer, nginxValue(message, ", referrer: "))
	l.errorLine("nginx", level, client, message)
	if login := nginxValue(message, ", login: "); login != "" && strings.Contains(message, "client login failed") {
		l.set(model.FUserLower, login)
		l.is(model.ActLogonFailed, "login_failed")
	}
	return true
}

// nginxValue returns the quoted value behind a label.
func nginxValue(message, label string) string {
	_, rest, ok := strings.Cut(message, label+`"`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// errorLine fills what the error logs share, and what a refused log-on says.
func (l *textLine) errorLine(server, level, client, message string) {
	l.source(model.Application, server, "webserver", server)
	l.onMachine()
	l.set(l.t.level, level[strings.LastIndexByte(level, ':')+1:])
	l.set(model.FCIp, client)
	if !l.wrapped {
		l.set(model.FMessageLower, message)
	}
	l.e.Code = "error"
	if user := strings.TrimSuffix(between(message, "user ", ":"), " not found"); server == "apache" && user != "" && !strings.Contains(user, " ") &&
		(strings.Contains(message, ": authentication failure for ") || strings.Contains(message, " not found: /") || strings.Contains(message, ": Password Mismatch")) {
		l.set(model.FUserLower, user) // AH01617, AH01618
		l.is(model.ActLogonFailed, "authentication_failure")
		return
	}
	if user := between(message, `user "`, `"`); server == "nginx" && user != "" &&
		(strings.Contains(message, ": password mismatch") || strings.Contains(message, "was not found in")) {
		l.set(model.FUserLower, user)
		l.is(model.ActLogonFailed, "authentication_failure")
		return
	}
	l.signIn(message)
}

// isLevel says whether s names how grave a message is.
func isLevel(s string) bool {
	switch strings.ToLower(s) {
	case "emerg", "alert", "crit", "critical", "err", "error", "warn", "warning", "notice", "info", "debug", "trace", "fatal", "panic", "":
		return true
	}
	return strings.HasPrefix(s, "trace")
}
