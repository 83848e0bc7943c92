package decode

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// loadBalancer reads the access logs of Amazon's load balancers, which the
// providers's documentation describes field by field:
//
//	application: type time elb client:port target:port t t t status status received sent "request" "agent" cipher protocol arn ...
//	classic:     time elb client:port backend:port t t t status status received sent "request" "agent" cipher protocol
func (l *textLine) loadBalancer() bool {
	s := l.s
	switch kind, rest := word(s); kind {
	case "http", "https", "h2", "grpcs", "ws", "wss":
		s = rest
	}
	stamp, rest := word(s)
	if len(stamp) < 20 || !isDigit(stamp[0]) || stamp[len(stamp)-1] != 'Z' {
		return false
	}
	st, n := readStamp(stamp)
	if n == 0 {
		return false
	}
	var f [10]string // name, client, target, three times, two statuses, two sizes
	for i := range f {
		if f[i], rest = word(rest); f[i] == "" {
			return false
		}
	}
	request, rest, ok := strings.Cut(strings.TrimPrefix(rest, `"`), `" `)
	client, port := endpoint(f[1])
	if !ok || !isAddress(client) || port == "" || !isDigitAll(f[8]) || !isDigitAll(f[9]) {
		return false
	}
	l.when(st)
	l.source(model.Application, "aws", "webserver", "elb")
	l.set(model.FCIp, client)
	l.num(model.FSrcPort, port)
	target, port := endpoint(f[2])
	l.set(model.FDstIp, target)
	l.num(model.FDstPort, port)
	method := l.request(request)
	l.num(model.FScStatus, f[6])
	l.num(l.t.bytesIn, f[8])
	l.num(l.t.bytesOut, f[9])
	agent, _ := cutQuoted(rest)
	l.set(l.t.agent, agent)
	l.named("elb", f[0])
	l.e.Code = f[6]
	if method == "POST" || method == "PUT" || method == "DELETE" || method == "PATCH" {
		l.e.Act = model.ActConnect
	}
	return true
}

// s3Access reads the server access log of Amazon S3: who did what to which object.
//
//	owner bucket [02/Jan/2006:15:04:05 +0000] ip requester id operation key "request" status error sent size t t "referer" "agent" version ...
func (l *textLine) s3Access() bool {
	owner, rest := word(l.s)
	if len(owner) != 64 && owner != "-" {
		return false
	}
	bucket, rest := word(rest)
	if !strings.HasPrefix(rest, "[") || bucket == "" {
		return false
	}
	st, n := readStamp(rest[1:])
	if n == 0 {
		return false
	}
	ip, rest := word(strings.TrimPrefix(rest[1+n:], "] "))
	who, rest := word(rest)
	_, rest = word(rest)
	operation, rest := word(rest)
	key, rest := word(rest)
	if strings.Count(operation, ".") < 1 || !strings.HasPrefix(rest, `"`) && !strings.HasPrefix(rest, "-") {
		return false
	}
	request := ""
	if rest[0] == '"' {
		var ok bool
		if request, rest, ok = cutRequest(rest[1:]); !ok {
			return false
		}
	} else {
		_, rest = word(rest)
	}
	status, rest := word(rest)
	failure, rest := word(rest)
	l.when(st)
	l.source(model.Storage, "aws", "", "s3")
	l.set(model.FRemoteIp, ip)
	l.set(model.FEventName, operation)
	l.set(model.FRequestParametersBucketName, bucket)
	l.set(model.FRequestParametersKey, key)
	l.set(model.FUserIdentityArn, who)
	l.set(model.FErrorCode, failure)
	l.request(request)
	l.num(model.FScStatus, status)
	if _, sizes := word(rest); sizes != "" {
		sent, _ := word(rest)
		l.num(l.t.bytesOut, sent)
		if i := strings.IndexByte(sizes, '"'); i >= 0 {
			_, tail := cutQuoted(sizes[i:])
			agent, _ := cutQuoted(tail)
			l.set(l.t.agent, agent)
		}
	}
	l.e.Code = operation
	if status == "" || status[0] != '2' {
		return true
	}
	verb := strings.SplitN(operation, ".", 3)
	if len(verb) < 2 {
		return true
	}
	switch verb[1] {
	case "GET", "HEAD":
		if key != "-" {
			l.e.Act = model.ActObjectRead
		} else {
			l.e.Act = model.ActObjectList
		}
	case "PUT", "POST", "COPY":
		l.e.Act = model.ActObjectWrite
	case "DELETE":
		l.e.Act = model.ActObjectDelete
	}
	return true
}

// s3Entities are those of a line of S3's own access log.
func s3Entities(e *model.Event) {
	l := &entityList{list: make([]model.Entity, 0, 4)}
	if who := e.Text(model.FUserIdentityArn); strings.HasPrefix(who, "arn:") {
		if strings.Contains(who, ":assumed-role/") {
			l.add(model.Entity{Type: model.Session, Value: who, Role: model.Actor})
		} else {
			l.add(model.Entity{Type: model.User, Value: who, Role: model.Actor})
		}
	}
	l.ip(e.Text(model.FRemoteIp), model.Src)
	if bucket := e.Text(model.FRequestParametersBucketName); bucket != "" {
		l.add(model.Entity{Type: model.Resource, Value: "arn:aws:s3:::" + bucket, Role: model.Target})
	}
	e.Entities = l.list
}

// vpcFlowFields are the columns of a flow record of version 2, which has no header
// where a stream carries it.
const vpcFlowFields = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"

// vpcFlow reads a flow record of version 2 without a header; those of a custom
// format have one, see Columns.
func (l *textLine) vpcFlow() bool {
	s := l.s
	if l.wrapped || len(s) < 40 || !isDigit(s[0]) {
		return false
	}
	values := strings.Fields(s)
	if len(values) == 15 && len(values[0]) > 18 { // exports put the time before it
		values = values[1:]
	}
	if len(values) != 14 || values[0] != "2" || !strings.HasPrefix(values[2], "eni-") {
		return false
	}
	for i, name := range strings.Fields(vpcFlowFields) {
		l.flowField(name, values[i])
	}
	return l.flow(values[10])
}

// flowField adds one column of a flow record under the name that rules know.
func (l *textLine) flowField(name, value string) {
	if value == "-" {
		return
	}
	switch strings.ReplaceAll(name, "_", "-") {
	case "srcaddr":
		l.set(model.FSrcIp, value)
	case "dstaddr":
		l.set(model.FDstIp, value)
	case "srcport":
		l.num(model.FSrcPort, value)
	case "dstport":
		l.num(model.FDstPort, value)
	case "protocol":
		l.set(l.t.proto, protocolName(value))
	case "action":
		l.set(l.t.action, strings.ToLower(value))
		if value == "REJECT" {
			l.b.Slot(l.t.blocked, model.Bool, "true")
		}
	default:
		l.named(name, value)
	}
}

// flow finishes a flow record that started at a Unix time.
func (l *textLine) flow(start string) bool {
	seconds, n := number(start, 11)
	if n == 0 || n != len(start) {
		return false
	}
	l.e.Recorded = time.Unix(int64(seconds), 0).UTC()
	l.source(model.Network, "aws", "firewall", "vpcflow")
	l.e.Code = l.b.Text(l.t.action)
	if l.b.Text(model.FDstIp) != "" && l.b.Text(l.t.blocked) != "true" {
		l.e.Act = model.ActConnect
	}
	return true
}

// protocolName names a protocol of IP by its number
// (https://www.iana.org/assignments/protocol-numbers).
func protocolName(n string) string {
	switch n {
	case "1":
		return "icmp"
	case "6":
		return "tcp"
	case "17":
		return "udp"
	case "47":
		return "gre"
	case "50":
		return "esp"
	case "58":
		return "icmpv6"
	case "132":
		return "sctp"
	}
	return strings.ToLower(n)
}
