package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// postgres reads PostgreSQL's server log, as stderr gets it with the usual line
// prefixes, as csvlog, and what pgaudit adds
// (https://www.postgresql.org/docs/current/runtime-config-logging.html):
//
//	2006-01-02 15:04:05.000 UTC [123] app@shop LOG:  connection authorized: user=app database=shop
//	2006-01-02 15:04:05.000 UTC,"app","shop",123,"1.2.3.4:5",...,FATAL,28P01,"password authentication failed for user ""app""",...
//
// A statement goes on over the lines that begin with a tab.
func (l *textLine) postgres() bool {
	s := l.s
	st, n := readStamp(s)
	if n == 0 && (!l.wrapped || l.program != "postgres") {
		return false
	}
	rest := s[n:]
	if n > 0 && !st.zoned { // a zone by its name, which says nothing certain
		zone, tail, _ := strings.Cut(strings.TrimPrefix(rest, " "), " ")
		if z, _, csv := strings.Cut(zone, ","); csv {
			zone, tail = z, rest[strings.IndexByte(rest, ','):]
		}
		if len(zone) < 3 || len(zone) > 5 || strings.ToUpper(zone) != zone || !letter(zone[0]) {
			if zone == "" || zone[0] != '[' {
				return false
			}
		} else {
			rest = tail
		}
	}
	if strings.HasPrefix(rest, ",") {
		return l.postgresCSV(st, rest[1:]+l.whole[min(len(l.whole), len(l.s)):])
	}
	prefix, level, message := "", "", ""
	for _, word := range [...]string{"LOG", "FATAL", "ERROR", "PANIC", "WARNING", "NOTICE", "STATEMENT", "DETAIL", "HINT", "CONTEXT", "INFO", "DEBUG"} {
		if i := strings.Index(rest, word+":  "); i >= 0 && i < 256 && (level == "" || i < len(prefix)) {
			prefix, level, message = rest[:i], word, rest[i+len(word)+3:]
		}
	}
	if level == "" || n > 0 && !strings.Contains(prefix, "[") {
		return false
	}
	if n > 0 {
		l.when(st)
	}
	user, database, client := "", "", ""
	if pid := between(prefix, "[", "]"); pid != "" {
		pid, _, _ = strings.Cut(pid, "-")
		l.num(model.FPid, pid)
	}
	for w := range strings.FieldsSeq(prefix) {
		switch u, d, ok := strings.Cut(w, "@"); {
		case ok && user == "":
			user, database = u, d
		case !ok:
			ip, _, _ := strings.Cut(w, "(") // %r is 1.2.3.4(5)
			if isAddress(ip) {
				client = ip
			}
		}
	}
	for _, w := range strings.FieldsFunc(prefix, func(c rune) bool { return c == ' ' || c == ',' }) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "user":
			user = value
		case "db":
			database = value
		case "client", "host":
			client, _, _ = strings.Cut(value, "(")
		}
	}
	if len(l.whole) > len(l.s) {
		message += l.whole[len(l.s):]
	}
	l.database("postgresql", user, database, client)
	l.postgresMessage(level, message)
	return true
}

// postgresCSV reads the columns of csvlog behind the time.
func (l *textLine) postgresCSV(st textStamp, rest string) bool {
	var col []string
	csvFields([]byte(rest), ',', func(v string) bool {
		col = append(col, v)
		return len(col) < 32
	})
	// user, database, pid, host:port, session, line, tag, session start, virtual transaction, transaction, level, state, message, detail, hint, ...
	if len(col) < 13 || !isDigitAll(col[2]) {
		return false
	}
	l.when(st)
	client, _ := endpoint(col[3])
	l.num(model.FPid, col[2])
	l.set(l.t.errorCode, col[11])
	l.database("postgresql", col[0], col[1], client)
	l.postgresMessage(col[10], col[12])
	if len(col) > 18 {
		l.set(l.t.statement, col[18])
	}
	return true
}

// database fills what all logs of databases share.
func (l *textLine) database(product, user, name, client string) {
	l.source(model.Database, product, "database", product)
	l.onMachine()
	unknown := func(s string) string {
		if s == "[unknown]" || s == "[local]" {
			return ""
		}
		return s
	}
	l.set(model.FUserLower, unknown(user))
	l.set(model.FDatabase, unknown(name))
	l.set(model.FRemoteIp, unknown(client))
}

// sqlError makes the event that of an application's error, where Sigma's rules look for
// the complaints that injected SQL causes.
func (l *textLine) sqlError() {
	l.e.Source.Product, l.e.Source.Category = "sql", "application"
}

// setOnce adds a field unless it is there.
func (l *textLine) setOnce(id model.FieldID, s string) {
	if _, ok := l.b.Get(id); !ok {
		l.set(id, s)
	}
}

func (l *textLine) postgresMessage(level, m string) {
	l.set(l.t.level, level)
	if !l.wrapped {
		l.set(model.FMessageLower, m)
	}
	l.e.Code = strings.ToLower(level)
	switch {
	case strings.HasPrefix(m, "connection authorized: "):
		eachKeyValue(m[23:], func(key, value string) bool {
			switch key {
			case "user":
				l.setOnce(model.FUserLower, value)
			case "database":
				l.setOnce(model.FDatabase, value)
			}
			return true
		})
		l.is(model.ActLogon, "connection_authorized")
	case strings.HasPrefix(m, "connection received: "):
		l.setOnce(model.FRemoteIp, firstWord(field(m, "host=")))
		l.e.Code = "connection_received"
	case strings.HasPrefix(m, "disconnection: "):
		eachKeyValue(m[15:], func(key, value string) bool {
			switch key {
			case "user":
				l.setOnce(model.FUserLower, value)
			case "database":
				l.setOnce(model.FDatabase, value)
			case "host":
				l.setOnce(model.FRemoteIp, value)
			}
			return true
		})
		l.is(model.ActLogoff, "disconnection")
	case strings.Contains(m, " authentication failed for user "), strings.HasPrefix(m, "no pg_hba.conf entry for host "),
		strings.HasPrefix(m, `role "`) && strings.HasSuffix(firstLine(m), `" does not exist`) && level == "FATAL":
		user := between(m, `user "`, `"`)
		if user == "" {
			user = between(m, `role "`, `"`)
		}
		l.setOnce(model.FUserLower, user)
		l.setOnce(model.FRemoteIp, between(m, `host "`, `"`))
		l.setOnce(model.FDatabase, between(m, `database "`, `"`))
		l.is(model.ActLogonFailed, "authentication_failed")
	case strings.HasPrefix(m, "AUDIT: "): // SESSION,1,1,READ,SELECT,TABLE,public.x,"select ...",<none>
		var col []string
		csvFields([]byte(m[7:]), ',', func(v string) bool {
			col = append(col, v)
			return len(col) < 16
		})
		if len(col) < 8 {
			return
		}
		l.e.Code = strings.ToLower("audit_" + col[3])
		l.set(l.t.objectType, col[5])
		l.set(l.t.objectName, col[6])
		l.set(l.t.statement, col[7])
		if n := len(col); n > 9 { // with pgaudit.log_rows
			l.named("rows", col[n-1])
		}
		switch col[3] {
		case "READ":
			l.e.Act = model.ActObjectRead
		case "WRITE":
			l.e.Act = model.ActObjectWrite
		case "ROLE":
			l.e.Act = model.ActAccountChange
		case "DDL":
			l.e.Act = model.ActConfigChange
		}
	case strings.HasPrefix(m, "statement: "):
		l.set(l.t.statement, m[11:])
		l.e.Code = "statement"
	case strings.HasPrefix(m, "duration: "):
		l.named("duration_ms", firstWord(m[10:]))
		_, statement, _ := strings.Cut(m, "statement: ")
		l.set(l.t.statement, statement)
		l.e.Code = "duration"
	case level == "STATEMENT":
		l.set(l.t.statement, m)
	case level == "ERROR":
		l.sqlError()
	}
}

// mysql reads the logs of MySQL and MariaDB: the error log, the general query log,
// and the audit plugin's
// (https://dev.mysql.com/doc/refman/8.4/en/error-log-format.html,
// https://mariadb.com/kb/en/mariadb-audit-plugin-log-format/):
//
//	2006-01-02T15:04:05.000000Z 8 [Note] [MY-010926] [Server] Access denied for user 'app'@'1.2.3.4' (using password: YES)
//	2006-01-02T15:04:05.000000Z	    8 Query	select 1
//	20060102 15:04:05,db1,app,1.2.3.4,8,12,QUERY,shop,'select 1',0
func (l *textLine) mysql() bool {
	if l.mysqlAudit() {
		return true
	}
	st, n := readStamp(l.s)
	if n == 0 {
		return false
	}
	rest := strings.TrimLeft(l.s[n:], " \t")
	id, tail, ok := cutFields(rest)
	if !ok || !isDigitAll(id) {
		if !strings.HasPrefix(rest, "[") { // 5.5 and before name no connection
			return false
		}
		id, tail = "", rest
	}
	if strings.HasPrefix(tail, "[") {
		level, message, ok := strings.Cut(tail[1:], "] ")
		switch level {
		case "Note", "Warning", "ERROR", "Error", "System", "Entry":
		default:
			return false
		}
		denied := strings.Contains(message, "Access denied for user '")
		if !ok || !denied && !strings.HasPrefix(message, "[MY-") && id == "" {
			return false
		}
		l.when(st)
		user, client := "", ""
		if _, who, ok := strings.Cut(message, "for user '"); ok {
			user, who, _ = strings.Cut(who, "'@'")
			client, _, _ = strings.Cut(who, "'")
			if !ok || len(user) > 256 {
				user = ""
			}
		}
		l.database("mysql", user, "", client)
		l.num(l.f.session, id)
		l.set(l.t.level, level)
		if !l.wrapped {
			l.set(model.FMessageLower, message)
		}
		l.e.Code = strings.ToLower(level)
		if denied {
			l.is(model.ActLogonFailed, "access_denied")
		} else if l.e.Code == "error" {
			l.sqlError()
		}
		return true
	}
	if id == "" {
		return false
	}
	command, args, _ := strings.Cut(tail, "\t")
	if command == tail {
		command, args = word(tail)
		if command == "Init" {
			args = strings.TrimPrefix(args, "DB ")
			command = "Init DB"
		}
	}
	if len(l.whole) > len(l.s) {
		args += l.whole[len(l.s):]
	}
	l.e.Code = strings.ToLower(command)
	switch command {
	case "Connect": // app@1.2.3.4 on shop using TCP/IP; "Access denied for user ..."
		l.when(st)
		user, more := word(args)
		if user == "Access" {
			who := field(args, "for user '")
			user, who, _ = strings.Cut(who, "'@'")
			client, _, _ := strings.Cut(who, "'")
			l.database("mysql", user, "", client)
			l.is(model.ActLogonFailed, "access_denied")
			break
		}
		user, client, _ := cutLast(user, "@")
		l.database("mysql", user, firstWord(strings.TrimPrefix(more, "on ")), client)
		l.e.Act = model.ActLogon
		l.set(model.FSessionIdLower, id)
	case "Query", "Execute", "Prepare":
		l.when(st)
		l.database("mysql", "", "", "")
		l.set(l.t.statement, args)
		l.set(model.FMessageLower, args)
	case "Init DB", "Quit":
		l.when(st)
		l.database("mysql", "", args, "")
	default:
		return false
	}
	l.num(l.f.session, id)
	return true
}

// cutFields cuts the first field off s, which spaces or tabs end.
func cutFields(s string) (first, rest string, ok bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimLeft(s[i:], " \t"), true
}

// mysqlAudit reads a line of the plugin server_audit.
func (l *textLine) mysqlAudit() bool {
	s := l.s
	if i := strings.Index(s[:min(len(s), 64)], "mysql-server_auditing: "); i >= 0 { // within syslog
		s = s[i+23:]
	} else if len(s) < 24 || s[8] != ' ' || s[17] != ',' || !isDigitAll(s[:8]) {
		return false
	} else {
		st, n := readStamp(s[:4] + "-" + s[4:6] + "-" + s[6:])
		if n == 0 {
			return false
		}
		l.when(st)
		s = s[18:]
	}
	col := strings.SplitN(s, ",", 8) // server, user, host, connection, query, operation, database, 'object',result
	if len(col) < 8 || !isDigitAll(col[3]) {
		return false
	}
	object, result, _ := cutLast(col[7], ",")
	if l.e.Host == "" {
		l.e.Host = linuxHost(col[0])
	}
	l.database("mysql", col[1], col[6], col[2])
	l.num(l.f.session, col[3])
	l.num(l.t.errorCode, result)
	l.e.Code = strings.ToLower(col[5])
	switch col[5] {
	case "CONNECT":
		l.e.Act = model.ActLogon
		l.set(model.FSessionIdLower, col[3])
		if result != "0" {
			l.e.Act = model.ActLogonFailed
		}
	case "FAILED_CONNECT":
		l.e.Act = model.ActLogonFailed
	case "DISCONNECT":
		l.e.Act = model.ActLogoff
		l.set(model.FSessionIdLower, col[3])
	case "READ":
		l.set(l.t.objectName, object)
		l.e.Act = model.ActObjectRead
	case "WRITE":
		l.set(l.t.objectName, object)
		l.e.Act = model.ActObjectWrite
	case "DROP":
		l.set(l.t.objectName, object)
		l.e.Act = model.ActObjectDelete
	case "QUERY":
		l.set(l.t.statement, strings.Trim(object, "'"))
		l.set(model.FMessageLower, strings.Trim(object, "'"))
	case "CREATE", "ALTER", "RENAME":
		l.set(l.t.objectName, object)
		l.e.Act = model.ActConfigChange
	default:
		return false
	}
	return true
}

// mssql reads SQL Server's ERRORLOG: time, what wrote it, the message.
//
//	2006-01-02 15:04:05.00 Logon       Login failed for user 'sa'. Reason: ... [CLIENT: 1.2.3.4]
func (l *textLine) mssql() bool {
	if len(l.s) < 36 || l.s[10] != ' ' || l.s[19] != '.' || l.s[22] != ' ' {
		return false
	}
	st, n := readStamp(l.s)
	if n != 22 { // hundredths, and nothing behind them
		return false
	}
	who, message, ok := cutFields(l.s[23:])
	if !ok || len(who) > 12 || strings.IndexByte(who, ' ') >= 0 || l.s[23] == ' ' || len(l.s) < 36 || l.s[34] != ' ' || l.s[35] == ' ' {
		return false
	}
	l.when(st)
	user, client := between(message, "for user '", "'"), between(message, "[CLIENT: ", "]")
	l.database("mssql", user, between(message, "database '", "'"), client)
	l.set(l.t.logger, who)
	if len(l.whole) > len(l.s) {
		message += l.whole[len(l.s):]
	}
	if !l.wrapped {
		l.set(model.FMessageLower, message)
	}
	l.set(l.t.reason, between(message, "Reason: ", " ["))
	l.e.Code = strings.TrimSuffix(strings.ToLower(who), "s")
	switch {
	case who == "Logon" && strings.HasPrefix(message, "Login failed for user"):
		l.is(model.ActLogonFailed, "18456")
	case who == "Logon" && strings.HasPrefix(message, "Login succeeded for user"):
		l.is(model.ActLogon, "18453")
	case strings.HasPrefix(message, "Configuration option '"):
		l.set(l.t.objectName, between(message, "option '", "'"))
		l.is(model.ActConfigChange, "15457")
	}
	return true
}
