package decode

import (
	"net/netip"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// Programs tell of log-ons in words of their own, but in few: that it failed or not,
// whose account it was, where it came from. What follows finds these in any message.
// The words of the client stand in such a message too, so that an address counts by
// what stands before it, and never where the account's name stands.

// maxSignIn bounds how much of a message is searched, in bytes.
const maxSignIn = 2048

// refusals and grants are what messages in lower case say of a log-on.
var (
	refusals = []string{
		"login failed", "failed login", "login failure", "failed to login", "failed to log in", "login attempt failed", "fail login", "login incorrect", "login_failed", "login_error",
		"login-fail", "login denied", "unsuccessful login", "logon failure", "logon failed", "logondenied", "sign-in failed", "failed sign-in",
		"authentication failed", "authentication failure", "authentication_failed", "failed authentication", "failed to authenticate", "authenticator failed",
		"authentication unsuccessful", "auth failed", "auth-failure", "auth-error", "auth_failed", "authfailed", "unsuccessful 1fa", "invalid authentication", "authentication is required but",
		"incorrect username", "incorrect password", "incorrect user name", "invalid username", "invalid password", "invalid credentials", "invalid user credentials", "wrong password", "bad password",
		"password is incorrect", "password mismatch", "incorrect authentication data", "failed password", "failed to validate user", "access denied for user", "no such user",
		"challengeresponsefailed", "invalidaccountid", "invalidpassword", "unable to authenticate", "invalid admin token", "invalid token provided", "nt_status_wrong_password", "nt_status_no_such_user", "nt_status_logon_failure", "nt_status_account_locked_out",
		"was not found in ldap", "could not retrieve user",
	}
	grants = []string{
		"login successful", "login success", "successful login", "logged in", "logged on", "ok login", "login: user=", "login succeeded", "login accepted",
		"authentication succeeded", "authentication success", "logon success", "authentication successful", "authenticated successfully", "successfully authenticated", "accepted password", "accepted publickey", "sasl_username=",
		"nt_status_ok",
	}
)

// refusalStems and grantStems are what every refusal and every grant holds one of: most
// messages hold none.
var (
	refusalStems = [...]string{"fail", "denied", "invalid", "incorrect", "wrong", "bad password", "unsuccessful", "mismatch", "no such", "not found", "auth-error", "login_error",
		"unable", "could not", "nt_status", "required"}
	grantStems = [...]string{"succe", "logged", "accepted", "ok login", "login: user=", "sasl_username", "nt_status_ok"}
)

func containsAny(text string, list []string) bool {
	for _, p := range list {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// signInText says whether a text in lower case tells of a log-on that was refused
// or granted. "Authentication request for bob has been denied" has both apart.
func signInText(text string) (refused, granted bool) {
	if !strings.Contains(text, "log") && !strings.Contains(text, "auth") && !strings.Contains(text, "passw") && !strings.Contains(text, "sign-in") &&
		!strings.Contains(text, "user") && !strings.Contains(text, "nt_status_") && !strings.Contains(text, "account") {
		return false, false
	}
	if containsAny(text, refusalStems[:]) {
		for _, p := range refusals {
			if strings.Contains(text, p) {
				return true, false
			}
		}
	}
	if strings.Contains(text, "authentication request") || strings.Contains(text, "authentication attempt") {
		switch {
		case strings.Contains(text, " failed"), strings.Contains(text, "denied"):
			return true, false
		case strings.Contains(text, "succeeded"):
			return false, true
		}
	}
	if !containsAny(text, grantStems[:]) {
		return false, false
	}
	for _, p := range grants {
		if i := strings.Index(text, p); i >= 0 && !strings.HasSuffix(text[:i], "not ") && !strings.HasSuffix(text[:i], "un") {
			return false, true
		}
	}
	return false, false
}

// signIn reads a message of any program; it is false if it tells of no log-on, or of
// neither whose nor from where.
func (l *syslogLine) signIn(m string) bool {
	return l.signInOf(m, "", "")
}

// signInOf is signIn where the log names account and address apart.
func (l *syslogLine) signInOf(m, user, from string) bool {
	m = m[:min(len(m), maxSignIn)]
	text := asciiLower(m)
	refused, granted := signInText(text)
	if !refused && !granted {
		return false
	}
	at, end := 0, 0
	if user == "" {
		user, at, end = accountIn(m, text)
	}
	if !isAddress(from) {
		from = addressIn(m, text, at, end)
	}
	if user == "" && from == "" {
		return false
	}
	l.set(model.FUserLower, user)
	l.set(model.FRemoteIp, from)
	if refused {
		l.is(model.ActLogonFailed, "refused")
	} else {
		l.is(model.ActLogon, "granted")
	}
	l.e.Subsystem = model.Identity
	return true
}

// asciiLower is m in lower case, byte for byte, so that places in both are the same.
func asciiLower(m string) string {
	lower := []byte(m)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	return string(lower)
}

// accountLabels stand before an account's name, the surest first.
var accountLabels = []string{`"username"`, `"email"`, "username", "set_id", "accountid", "sasl_username", "acct", "user", "login:", "account", "pam(", "for"}

// noAccount are words behind a label that name nobody.
func noAccount(w string) bool {
	switch w {
	case "", "not", "does", "is", "unknown", "credentials", "agent", "has", "was", "name", "or", "authentication", "login", "failed", "from", "with", "details", "and", "password", "in",
		"account", "to", "attempt", "by", "at", "via", "found", "the", "a", "user", "username", "invalid", "for", "manager", "null", "none", "n/a", "interface", "id", "entered", "on", "login:",
		"ssh", "http", "this", "that", "your", "passwords", "rejected", "denied", "access", "service", "session", "peer", "ip", "locked":
		return true
	}
	return false
}

// accountIn finds the name of an account in m, whose lower case is text, and says
// where it stands.
func accountIn(m, text string) (name string, at, end int) {
	for _, label := range accountLabels {
		for from := 0; ; {
			i := strings.Index(text[from:], label)
			if i < 0 {
				break
			}
			i += from
			from = i + len(label)
			if i > 0 && (letter(text[i-1]) || isDigit(text[i-1]) || text[i-1] == '_' || text[i-1] == '-') ||
				from < len(text) && (letter(text[from]) || text[from] == '_' || text[from] == '-') && label[len(label)-1] != '(' {
				continue
			}
			at, end = nameAt(m, from)
			if name = m[at:end]; len(name) <= 256 && !noAccount(text[at:end]) && !isAddress(name) {
				return name, at, end
			}
		}
	}
	// "CamillaN was not found in LDAP directory", "bob 1.2.3.4 failed to login"
	w, rest := word(m)
	if second, _ := word(rest); isAddress(second) || strings.HasPrefix(rest, "was not found in ") {
		if !noAccount(text[:len(w)]) {
			return w, 0, len(w)
		}
	}
	return "", 0, 0
}

// nameAt finds the name behind a label that ends at i: in quotes or brackets, else
// up to what ends a word.
func nameAt(m string, i int) (at, end int) {
	for n := 0; i < len(m) && n < 4 && (m[i] == ' ' || m[i] == ':' || m[i] == '='); n++ {
		i++
	}
	if i == len(m) {
		return i, i
	}
	closing := byte(0)
	switch m[i] {
	case '"', '\'', '`':
		closing = m[i]
	case '<':
		closing = '>'
	case '[':
		closing = ']'
	case '(':
		closing = ')'
	}
	if m[i] == '`' {
		closing = '\''
	}
	if closing != 0 {
		if j := strings.IndexByte(m[i+1:], closing); j >= 0 {
			return i + 1, i + 1 + j
		}
		return i, i
	}
	end = i
	for end < len(m) && !strings.ContainsRune(" ,;()[]{}<>\"'|\t\n", rune(m[end])) {
		end++
	}
	for end > i && (m[end-1] == '.' || m[end-1] == ':' || m[end-1] == '!') {
		end--
	}
	return i, end
}

// addressIn finds the address that a log-on came from. One before which the message
// says so counts more than the first, and its own address not at all; what stands
// between at and end is the account's name, which the client chose.
func addressIn(m, text string, at, end int) string {
	best := ""
	for i := 0; i < len(m); i++ {
		if !addressByte(m[i]) || i > 0 && (letter(m[i-1]) || isDigit(m[i-1]) || m[i-1] == '_' || m[i-1] == '-' || m[i-1] == '.') {
			continue
		}
		j := i
		for j < len(m) && addressByte(m[j]) {
			j++
		}
		run := strings.TrimRight(m[i:j], ".:")
		start, stop := i, j
		i = j
		if stop < len(m) && (letter(m[stop]) || m[stop] == '_' || m[stop] == '-') || stop > at && start < end {
			continue
		}
		addr, err := netip.ParseAddr(run)
		if err != nil {
			ip, _, ok := cutLast(run, ":")
			if !ok {
				continue
			}
			if addr, err = netip.ParseAddr(ip); err != nil || !addr.Is4() {
				continue
			}
		}
		before := text[max(0, start-24):start]
		if strings.HasSuffix(before, "lip=") || strings.Contains(before, "localaddress") || strings.Contains(before, "local address") || strings.Contains(before, "local host") || strings.HasSuffix(before, "([") {
			continue
		}
		found := addr.Unmap().String()
		for _, label := range [...]string{"rip=", "rhost", "remote", "client", "ip=", "ip:", "ip ", "ip-address", "ip\":", "from", "peer", "source", "src"} {
			if strings.Contains(before, label) {
				return found
			}
		}
		if best == "" {
			best = found
		}
	}
	return best
}

func addressByte(c byte) bool {
	return isDigit(c) || c == '.' || c == ':' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// signIn is syslogLine's for a line of text.
func (l *textLine) signIn(m string) bool { return l.signInOf(m, "", "") }

func (l *textLine) signInOf(m, user, from string) bool {
	sl := syslogLine{f: l.f, b: l.b, e: l.e, program: l.program}
	return sl.signInOf(m, user, from)
}

// daemon reads what services say of log-ons over syslog: mail, file transfer, directories,
// consoles. What only one of them says stands here, the rest is signIn's.
func (l *syslogLine) daemon(m string) {
	if l.program == "kernel" {
		return
	}
	if strings.HasPrefix(l.program, "fail2ban") || strings.HasPrefix(m, "fail2ban.") {
		for _, verb := range [...]string{"] Ban ", "] Unban ", "] Found ", "] Restore Ban "} {
			if _, rest, ok := strings.Cut(m, verb); ok {
				l.from(rest)
				l.e.Code = strings.ToLower(strings.Trim(verb, "] "))
			}
		}
		return
	}
	if l.program == "smbd_audit" && l.sambaAudit(m) {
		return
	}
	if user, from, status, ok := sambaLine(m); ok {
		l.set(model.FUserLower, user)
		l.set(model.FRemoteIp, from)
		l.e.Subsystem = model.Identity
		if status == "NT_STATUS_OK" {
			l.is(model.ActLogon, status)
		} else {
			l.is(model.ActLogonFailed, status)
		}
		return
	}
	if user, who, ok := vsftpdLine(m); ok {
		l.set(model.FUserLower, user)
		l.from(who)
		if strings.Contains(m, "] OK LOGIN: ") {
			l.is(model.ActLogon, "ok_login")
		} else {
			l.is(model.ActLogonFailed, "fail_login")
		}
		return
	}
	l.signIn(m)
}

// sambaAudit reads a line of Samba's module full_audit with its usual prefix: who, from
// where, what, whether it went well, on which file.
//
//	CORP\bob|203.0.113.9|share|unlink|ok|dir/file
func (l *syslogLine) sambaAudit(m string) bool {
	part := strings.Split(m, "|")
	if len(part) < 5 || len(part) > 12 || !isAddress(part[1]) {
		return false
	}
	for i := 2; i+1 < len(part); i++ {
		if result := part[i+1]; result != "ok" && !strings.HasPrefix(result, "fail") {
			continue
		}
		l.set(model.FUserLower, part[0])
		l.set(model.FRemoteIp, part[1])
		l.set(model.FTargetFilename, part[len(part)-1])
		if l.e.Code = part[i]; part[i+1] == "ok" {
			l.e.Act = model.ActShareAccess
		}
		return true
	}
	return false
}

// sambaLine reads Samba's audit of authentication:
//
//	Auth: [SMB2,(null)] user [CORP]\[bob] at [...] with [NTLMv2] status [NT_STATUS_OK] workstation [PC] remote host [ipv4:1.2.3.4:5] ...
func sambaLine(m string) (user, from, status string, ok bool) {
	if !strings.HasPrefix(m, "Auth: [") && !strings.Contains(m[:min(len(m), 64)], " Auth: [") {
		return "", "", "", false
	}
	domain := between(m, " user [", "]")
	user = between(m, `]\[`, "]")
	if status = between(m, " status [", "]"); user == "" || status == "" {
		return "", "", "", false
	}
	if domain != "" {
		user = domain + `\` + user
	}
	from, _ = endpoint(strings.TrimPrefix(strings.TrimPrefix(between(m, " remote host [", "]"), "ipv4:"), "ipv6:"))
	return user, from, status, true
}

// vsftpdLine reads `[pid 7] [bob] FAIL LOGIN: Client "1.2.3.4"`.
func vsftpdLine(m string) (user, ip string, ok bool) {
	head, rest, ok := strings.Cut(m, ` LOGIN: Client "`)
	if !ok {
		return "", "", false
	}
	head = strings.TrimSuffix(strings.TrimSuffix(head, " OK"), " FAIL")
	user = strings.TrimSuffix(head[strings.LastIndexByte(head, '[')+1:], "]")
	ip, _, ok = strings.Cut(rest, `"`)
	return user, strings.TrimPrefix(ip, "::ffff:"), ok
}

// openVPN reads who joined a virtual network and who was refused:
//
//	1.2.3.4:5 [bob] Peer Connection Initiated with [AF_INET]1.2.3.4:5
//	bob/1.2.3.4:5 MULTI: Learn: 10.8.0.6 -> bob/1.2.3.4:5
//	1.2.3.4:5 TLS Auth Error: Auth Username/Password verification failed for peer
func (l *textLine) openVPN() bool {
	m := l.s
	var st textStamp
	if !l.wrapped {
		at, n := readStamp(m)
		if n == 0 {
			return false
		}
		st, m = at, strings.TrimPrefix(m[n:], " ")
	}
	head, rest := word(m)
	user, ends, named := strings.Cut(head, "/")
	if !named {
		user, ends = "", head
	}
	ip, port := endpoint(ends)
	if !isAddress(ip) || !isDigitAll(port) {
		return false
	}
	act, code := model.ActNone, ""
	switch {
	case strings.Contains(rest, "Peer Connection Initiated with "):
		user, act, code = between(rest, "[", "]"), model.ActLogon, "peer_connection_initiated"
	case strings.Contains(rest, "MULTI: Learn: "):
		code = "learn"
	case strings.Contains(rest, "Auth Username/Password verification failed"), strings.Contains(rest, "AUTH_FAILED"):
		act, code = model.ActLogonFailed, "auth_failed"
	case strings.Contains(rest, "authentication succeeded for username '"):
		user, code = between(rest, "username '", "'"), "authenticated"
	case strings.Contains(rest, "SIGTERM") && strings.Contains(rest, "client-instance exiting"), strings.Contains(rest, "SIGUSR1"):
		act, code = model.ActLogoff, "exiting"
	default:
		if !named && !strings.Contains(rest, "TLS") && !strings.Contains(rest, "peer info") && !strings.Contains(rest, "VERIFY") {
			return false
		}
	}
	if !l.wrapped {
		l.when(st)
		l.set(model.FMessageLower, m)
	}
	l.source(model.Network, "openvpn", "", "openvpn")
	l.onMachine()
	l.set(model.FUserLower, user)
	l.set(model.FRemoteIp, ip)
	l.num(l.f.remotePort, port)
	if code == "learn" {
		l.named("virtual_ip", firstWord(field(rest, "Learn: ")))
	}
	l.is(act, code)
	return true
}

// application reads a line of which no more is known than that it has a time: the
// log of an application. Lines that go on with it are part of its message, so that
// rules find the exceptions of Java.
func (l *textLine) application() bool {
	st, at, n := findStamp(l.s)
	if n == 0 {
		return false
	}
	l.when(st)
	if l.e.Recorded.IsZero() {
		return false
	}
	l.e.Format = "application"
	message := strings.TrimLeft(l.s[at+n:], " ]-|:,)")
	if lead := strings.Trim(l.s[:at], " [(\"|"); lead != "" {
		message = lead + " " + message
	}
	l.source(model.Application, "application", "application", "")
	if strings.Contains(l.whole, "\n\tat ") || strings.Contains(l.s, "java.") {
		l.e.Source.Product = "jvm"
	}
	l.onMachine()
	l.set(l.t.level, levelIn(message))
	sl := syslogLine{f: l.f, b: l.b, e: l.e}
	if _, _, ok := vsftpdLine(message); ok {
		l.e.Source = model.LogSource{Product: "linux", Service: "vsftpd"}
		sl.program = "vsftpd"
	}
	sl.daemon(message)
	if l.e.Act == model.ActNone && strings.HasPrefix(message, "[") { // who it is about stands first: "[1.2.3.4:5] ..."
		if ip, _ := endpoint(between(message, "[", "]")); isAddress(ip) {
			l.set(model.FRemoteIp, ip)
		}
	}
	l.set(model.FMessageLower, message+l.whole[len(l.s):])
	return true
}

// levelIn finds the word that says how grave a message is, near its beginning.
func levelIn(m string) string {
	for i, w := range strings.FieldsFunc(m[:min(len(m), 96)], func(c rune) bool { return strings.ContainsRune(" []():|.,", c) }) {
		if i == 6 {
			break
		}
		if len(w) >= 3 && isLevel(w) {
			return strings.ToLower(w)
		}
	}
	return ""
}
