package decode

import (
	"net/netip"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// textFields are the fields of lines of text that model does not name. They are
// called as Sigma's rules of the categories webserver, proxy, firewall and dns
// call them, whatever the log calls them; what only one product has keeps its name.
type textFields struct {
	uri, stem, query, request                          model.FieldID // cs-uri, cs-uri-stem, cs-uri-query
	agent, referer, protocol, bytesIn, bytesOut, taken model.FieldID
	clientAgent, clientExt                             model.FieldID // c-useragent, c-uri-extension, of proxies
	action, blocked, proto, rule, inZone, outZone      model.FieldID
	answer, recordType, rcode                          model.FieldID
	statement, objectType, objectName, errorCode       model.FieldID
	level, logger, vendor, mac, app, reason            model.FieldID
}

func newTextFields(n *model.Names) *textFields {
	return &textFields{
		uri: n.ID("cs-uri"), stem: n.ID("cs-uri-stem"), query: n.ID("cs-uri-query"), request: n.ID("request"),
		agent: n.ID("cs-user-agent"), referer: n.ID("cs-referer"), protocol: n.ID("cs-version"),
		bytesIn: n.ID("cs-bytes"), bytesOut: n.ID("sc-bytes"), taken: n.ID("time-taken"),
		clientAgent: n.ID("c-useragent"), clientExt: n.ID("c-uri-extension"),
		action: n.ID("action"), blocked: n.ID("blocked"), proto: n.ID("protocol"), rule: n.ID("rule"),
		inZone: n.ID("src_zone"), outZone: n.ID("dst_zone"),
		answer: n.ID("answer"), recordType: n.ID("record_type"), rcode: n.ID("response_code"),
		statement: n.ID("statement"), objectType: n.ID("object_type"), objectName: n.ID("object_name"), errorCode: n.ID("error_code"),
		level: n.ID("level"), logger: n.ID("logger"), vendor: n.ID("vendor"), mac: n.ID("mac"), app: n.ID("app"), reason: n.ID("reason"),
	}
}

// signsIn says whether an act is about an account and the machine that it is on.
func signsIn(a model.Act) bool {
	switch a {
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff, model.ActAccountChange, model.ActConfigChange, model.ActExplicitCreds, model.ActLogCleared:
		return true
	}
	return false
}

// onlySees says whether a source of that category tells of others: of connections
// that pass it, of names it is asked for.
func onlySees(category string) bool {
	switch category {
	case "firewall", "proxy", "dns":
		return true
	}
	return false
}

// textEntities fills the entities of an event of a line of text from the fields that
// all those lines share. A device's own host is the sensor of what it saw pass, and
// the subject of what was done to it. Accounts that a device sees others
// use belong to no machine that the line names, so that they stay bare; those that
// configure it are its own.
func textEntities(e *model.Event) {
	l := &entityList{host: e.Host, list: make([]model.Entity, 0, 8)}
	if e.Source.Category == "dhcp" { // a lease: the machine of that name has that address from now on
		l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Sensor})
		if name := linuxHost(e.Text(model.FSrcHost)); isHostName(name) {
			l.add(model.Entity{Type: model.Host, Value: name, Role: model.Subject})
		}
		l.ip(e.Text(model.FSrcIp), model.Src)
		e.Entities = l.list
		return
	}
	sees := onlySees(e.Source.Category)
	if sees && !signsIn(e.Act) {
		l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Sensor})
	} else {
		l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Subject})
	}
	if sees && e.Act != model.ActConfigChange && e.Act != model.ActAccountChange {
		l.host = ""
	}
	user, by := firstField(e, model.FUserLower, model.FCsUsername), e.Text(model.FRuser)
	switch e.Act {
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff, model.ActAccountChange, model.ActExplicitCreds:
		l.user(user, model.Target)
		l.user(by, model.Actor)
	default:
		l.user(user, model.Actor)
	}
	if e.Act == model.ActLogon || e.Act == model.ActLogoff {
		if id := e.Text(model.FSessionIdLower); id != "" && e.Host != "" {
			l.add(model.Entity{Type: model.Session, Value: e.Host + ":" + strings.ToLower(id), Role: model.Target})
		}
	}
	l.remote(firstField(e, model.FSrcIp, model.FCIp, model.FRemoteIp, model.FSrcHost), model.Src)
	l.remote(firstField(e, model.FDstIp, model.FRIp, model.FDstHost), model.Dst)
	if e.Format == "vpc-flow" {
		l.ownFlow(e)
	}
	switch {
	case e.Act == model.ActDNS:
		l.domain(e.Text(model.FQueryLower), model.Object)
	case e.Source.Category == "database":
		if db := e.Text(model.FDatabase); db != "" {
			l.add(model.Entity{Type: model.Resource, Value: strings.ToLower(e.Host + ":database:" + db), Role: model.Target, Name: db})
		}
	case e.Source.Category == "proxy" || e.Source.Category == "webserver":
		l.web(e)
	}
	e.Entities = l.list
}

// firstField returns the first of the fields that has a value.
func firstField(e *model.Event, fields ...model.FieldID) string {
	for _, f := range fields {
		if s := e.Text(f); s != "" && s != "-" {
			return s
		}
	}
	return ""
}

// domain adds a name of the Internet, without its port.
func (l *entityList) domain(s string, role model.Role) {
	if !isAddress(s) {
		if host, port, ok := strings.Cut(s, ":"); ok && isDigitAll(port) {
			s = host
		}
	}
	if s = linuxHost(s); isHostName(s) && strings.IndexByte(s, '.') > 0 && !isAddress(s) {
		l.add(model.Entity{Type: model.Domain, Value: s, Role: role})
	}
}

// maxURL bounds the URL that is an entity, in bytes; longer ones are attacks on
// whoever keeps them.
const maxURL = 2048

// web adds what a request was for. A name that only the client gave is a domain and
// never a host: whoever asks may write any.
func (l *entityList) web(e *model.Event) {
	host, uri := e.Text(model.FCsHost), e.Text(model.FCUri)
	l.domain(host, model.Dst)
	if host == "" {
		host = e.Host
	}
	switch {
	case len(uri) > maxURL || uri == "":
	case strings.Contains(uri[:min(len(uri), 16)], "://"):
		scheme, rest, _ := strings.Cut(uri, "://")
		host, path, _ := strings.Cut(rest, "/")
		l.add(model.Entity{Type: model.URL, Value: strings.ToLower(scheme+"://"+host) + "/" + path, Role: model.Object})
	case host != "" && uri[0] == '/':
		l.add(model.Entity{Type: model.URL, Value: "http://" + strings.ToLower(host) + uri, Role: model.Object})
	}
	if e.Act == model.ActConnect && e.Source.Category == "webserver" {
		l.add(model.Entity{Type: model.Host, Value: e.Host, Role: model.Dst})
	}
}

// isAddress says whether s is an IP address.
func isAddress(s string) bool {
	if s == "" || len(s) > 64 || !isDigit(s[0]) && !strings.Contains(s, ":") {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}
