package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// accessLog reads what web servers write of each request: the common and combined
// formats of Apache and nginx
// (https://httpd.apache.org/docs/current/mod/mod_log_config.html) with or without
// the virtual host before them, the form of nginx proxy manager, and that of gin.
//
//	[vhost] client ident user [02/Jan/2006:15:04:05 -0700] "GET /x HTTP/1.1" 200 5 "referer" "agent" ...
//	[02/Jan/2006:15:04:05 -0700] vhost client 0.2 "GET / HTTP/1.1" 401 77 935 - agent
//	[GIN] 2006/01/02 - 15:04:05 | 401 | 505.3µs | 10.1.2.3 | POST "/client"
//
// The fields are those of Sigma's category webserver. A request that changes
// something, or uses a tunnel, is a connection in memory's eyes; one that only
// reads is kept for the rules alone, since servers see millions of them.
func (l *textLine) accessLog() bool {
	if strings.HasPrefix(l.s, "[GIN] ") {
		return l.ginLog()
	}
	open := strings.IndexByte(l.s, '[')
	if open < 0 || open > 512 {
		return false
	}
	if open == 0 {
		return l.proxyManagerLog()
	}
	s := l.s
	st, n := readStamp(s[open+1:])
	for n == 0 { // a user's name may hold a bracket
		next := strings.IndexByte(s[open+1:], '[')
		if open += next + 1; next < 0 || open > 512 {
			return false
		}
		st, n = readStamp(s[open+1:])
	}
	rest, ok := strings.CutPrefix(s[open+1+n:], `] "`)
	if !ok {
		return false
	}
	head := strings.TrimRight(s[:open], " ")
	first, more := word(head)
	vhost := ""
	if second, _ := word(more); !isAddress(first) && isAddress(second) {
		vhost = first
		first, more = word(more)
	}
	ident, user := word(more)
	if ident == "" || first == "" {
		return false
	}
	if id, u, ok := strings.Cut(user, " "); ok && (u == "-" || vhost != "") { // an id of the request before the user
		_, user = id, u
	}
	request, rest, ok := cutRequest(rest)
	if !ok {
		return false
	}
	status, rest := word(rest)
	size, rest := word(rest)
	l.when(st)
	l.web(first, user, vhost, request, status)
	l.num(l.t.bytesOut, size)
	if strings.HasPrefix(rest, `"`) {
		referer, rest := cutQuoted(rest)
		l.set(l.t.referer, referer)
		if strings.HasPrefix(rest, `"`) {
			agent, _ := cutQuoted(rest)
			l.set(l.t.agent, agent)
		}
	}
	return true
}

// cutRequest cuts a quoted request off s, whose opening quote is gone. Some servers
// do not escape quotes in it, so that it ends where a status follows.
func cutRequest(s string) (request, rest string, ok bool) {
	for at := 0; ; {
		i := strings.Index(s[at:], `" `)
		if i < 0 {
			return "", "", false
		}
		at += i
		tail := s[at+2:]
		if len(tail) >= 3 && (isDigitAll(tail[:3]) && (len(tail) == 3 || tail[3] == ' ')) || strings.HasPrefix(tail, "- ") {
			return s[:at], tail, true
		}
		at++
	}
}

// cutQuoted cuts a quoted string off s: it ends at a quote that is not escaped and
// that a space or nothing follows.
func cutQuoted(s string) (value, rest string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if i+1 == len(s) {
				return s[1:i], ""
			}
			if s[i+1] == ' ' {
				return s[1:i], s[i+2:]
			}
		}
	}
	return strings.TrimPrefix(s, `"`), ""
}

// web fills the event of one request to a web server.
func (l *textLine) web(client, user, vhost, request, status string) {
	product := "webserver"
	switch l.program {
	case "nginx":
		product = "nginx"
	case "httpd", "apache2", "apache":
		product = "apache"
	}
	l.source(model.Application, product, "webserver", product)
	if product == "webserver" {
		l.e.Source.Service = ""
	}
	l.onMachine()
	ip, _ := endpoint(client)
	l.set(model.FCIp, ip)
	if user = strings.Trim(user, `"`); user != "" && user != "-" {
		l.set(model.FCsUsername, user)
	}
	l.set(model.FCsHost, vhost)
	method := l.request(request)
	l.num(model.FScStatus, status)
	l.e.Code = status
	switch {
	case status == "401" && user != "" && user != "-":
		l.e.Act = model.ActLogonFailed
	case status != "" && status[0] < '4' && (method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE" || method == "CONNECT"):
		l.e.Act = model.ActConnect
	}
}

// request adds the fields of "GET /path?query HTTP/1.1" and returns the method. Rules
// look for path and query together in cs-uri-query as often as for the query alone,
// so that it has both as values.
func (l *textLine) request(request string) (method string) {
	l.set(l.t.request, request)
	method, uri, ok := strings.Cut(request, " ")
	if !ok || !isMethod(method) {
		return ""
	}
	if path, version, ok := cutLast(uri, " "); ok && strings.HasPrefix(version, "HTTP/") {
		uri = path
		l.set(l.t.protocol, version)
	}
	l.set(model.FCsMethod, method)
	l.address(uri)
	return method
}

// address adds the fields of a request's target: a path, or a URL as proxies get.
func (l *textLine) address(uri string) {
	if uri == "" || uri == "-" {
		return
	}
	path := uri
	if i := strings.Index(uri[:min(len(uri), 16)], "://"); i > 0 {
		host, rest, _ := strings.Cut(uri[i+3:], "/")
		path = "/" + rest
		if l.b.Text(model.FCsHost) == "" {
			l.set(model.FCsHost, host)
		}
	}
	stem, query, _ := strings.Cut(path, "?")
	l.set(model.FCUri, uri)
	l.set(l.t.uri, uri)
	l.set(l.t.stem, stem)
	l.set(l.t.query, query)
	if query != path {
		l.set(l.t.query, path)
	}
	if i := strings.LastIndexByte(stem, '.'); i > strings.LastIndexByte(stem, '/') && len(stem)-i <= 9 {
		l.set(l.t.clientExt, stem[i+1:])
	}
}

// isMethod says whether s may be the method of a request.
func isMethod(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

// proxyManagerLog reads the line of nginx proxy manager.
func (l *textLine) proxyManagerLog() bool {
	st, n := readStamp(l.s[1:])
	if n == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(l.s[1+n:], "] ")
	if !ok {
		return false
	}
	// What stands between stamp and request differs from version to version; in all
	// of them the client is an address, and a virtual host stands before it.
	head, rest, ok := strings.Cut(rest, ` "`)
	if !ok || len(head) > 512 {
		return false
	}
	if _, tail, ok := strings.Cut(rest, `" [Client `); ok { // [...] - 200 200 - GET https host "/path" [Client 1.2.3.4] ... "agent" "referer"
		return l.proxyHostLog(st, head, rest[:len(rest)-len(tail)-len(`" [Client `)], tail)
	}
	vhost, client := "", ""
	for w := range strings.FieldsSeq(head) {
		if w = strings.Trim(w, "[]"); isAddress(w) {
			client = w // the last: a virtual host may be an address
		} else if client == "" && strings.IndexByte(w, '.') > 0 && isHostName(w) {
			vhost = w
		}
	}
	request, rest, ok := cutRequest(rest)
	if !ok || client == "" || !strings.Contains(head, " ") {
		return false
	}
	l.when(st)
	status, rest := word(rest)
	l.web(client, "", vhost, request, status)
	if i := strings.LastIndex(rest, " - "); i >= 0 {
		l.set(l.t.agent, rest[i+3:])
	}
	return true
}

// proxyHostLog reads the other line of nginx proxy manager, that of a proxied host.
func (l *textLine) proxyHostLog(st textStamp, head, path, tail string) bool {
	client, rest, ok := strings.Cut(tail, "]")
	part := strings.Fields(head) // [cache] [upstream status] status - method scheme host
	if !ok || !isAddress(client) || len(part) < 5 || part[len(part)-4] != "-" {
		return false
	}
	l.when(st)
	l.web(client, "", part[len(part)-1], part[len(part)-3]+" "+path, part[len(part)-5])
	if i := strings.Index(rest, `] "`); i >= 0 {
		agent, rest := cutQuoted(rest[i+2:])
		l.set(l.t.agent, agent)
		if strings.HasPrefix(rest, `"`) {
			referer, _ := cutQuoted(rest)
			l.set(l.t.referer, referer)
		}
	}
	return true
}

// ginLog reads the line of the web framework gin.
func (l *textLine) ginLog() bool {
	st, n := readStamp(l.s[6:])
	if n == 0 {
		return false
	}
	part := strings.SplitN(l.s[6+n:], "|", 5)
	if len(part) != 5 || strings.TrimSpace(part[0]) != "" {
		return false
	}
	method, path, _ := strings.Cut(strings.TrimSpace(part[4]), " ")
	l.when(st)
	l.web(strings.TrimSpace(part[3]), "", "", method+" "+strings.Trim(strings.TrimSpace(path), `"`), strings.TrimSpace(part[1]))
	return true
}
