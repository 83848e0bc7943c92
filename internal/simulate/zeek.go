package simulate

import (
	"bufio"
	"fmt"
	"strings"
	"time"
)

// A flow is a connection as the sensor in the core of the network sees it.
type flow struct {
	src     string
	srcPort int
	dst     string
	dstPort int
	udp     bool
	sent    int // bytes from src
	got     int // bytes from dst
	lasted  time.Duration
	uid     string
	at      time.Time
}

// A request is an HTTP request without encryption.
type request struct {
	at                             time.Time
	uid, src, dst                  string
	srcPort, dstPort               int
	method, host, uri, agent, mime string
	status, size                   int
}

// zeekSensor is a Zeek sensor that sees what crosses the core: clients to
// servers, and everything from and to the internet.
type zeekSensor struct {
	w          *world
	conn, http *logFile
}

// uidOf names a flow by what it is, so that the attack's flows do not change the
// names of others.
func uidOf(at time.Time, src string, port int) string {
	return "C" + digest(fmt.Sprint(at.UnixNano(), src, port), 17)
}

// flow writes a connection to conn.log and returns its name.
func (z *zeekSensor) flow(at time.Time, fl flow) string {
	fl.at, fl.uid = at, uidOf(at, fl.src, fl.srcPort)
	z.w.add(z.conn, at, &fl)
	return fl.uid
}

// request writes an HTTP request and its connection.
func (z *zeekSensor) request(at time.Time, r request) {
	r.at = at.Add(4 * time.Millisecond)
	r.uid = z.flow(at, flow{src: r.src, srcPort: r.srcPort, dst: r.dst, dstPort: r.dstPort, sent: 420 + len(r.uri), got: r.size + 300, lasted: time.Duration(120+r.size/4000) * time.Millisecond})
	z.w.add(z.http, r.at, &r)
}

// zeekFormat is Zeek's own tab-separated form.
type zeekFormat struct{ log zeekLog }

// A zeekLog is a kind of log: its name, fields and types, and how to fill them.
type zeekLog struct {
	path, fields, types string
	row                 func(body any) []string
}

var connLog = zeekLog{
	path:   "conn",
	fields: "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes",
	types:  "time string addr port addr port enum string interval count count string bool bool count string count count count count",
	row: func(body any) []string {
		fl := body.(*flow)
		proto := "tcp"
		if fl.udp {
			proto = "udp"
		}
		up, down := 3+fl.sent/1200, 3+fl.got/1400
		return []string{zeekTime(fl.at), fl.uid, fl.src, number(fl.srcPort), fl.dst, number(fl.dstPort), proto, serviceOf(fl.dstPort), fmt.Sprintf("%.6f", fl.lasted.Seconds()), number(fl.sent), number(fl.got),
			"SF", local(fl.src), local(fl.dst), "0", "ShADadFf", number(up), number(fl.sent + 40*up), number(down), number(fl.got + 40*down)}
	},
}

var httpLog = zeekLog{
	path:   "http",
	fields: "ts uid id.orig_h id.orig_p id.resp_h id.resp_p trans_depth method host uri referrer version user_agent request_body_len response_body_len status_code status_msg tags resp_mime_types",
	types:  "time string addr port addr port count string string string string string string count count count string set[enum] vector[string]",
	row: func(body any) []string {
		r := body.(*request)
		message := "OK"
		if r.status >= 400 {
			message = "Not Found"
		}
		return []string{zeekTime(r.at), r.uid, r.src, number(r.srcPort), r.dst, number(r.dstPort), "1", r.method, r.host, r.uri, "-", "1.1", r.agent, "0", number(r.size), number(r.status), message, "(empty)", r.mime}
	},
}

func zeekTime(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

func local(ip string) string {
	if strings.HasPrefix(ip, "10.") {
		return "T"
	}
	return "F"
}

func serviceOf(port int) string {
	switch port {
	case 22:
		return "ssh"
	case 53:
		return "dns"
	case 80, 8080, 5985:
		return "http"
	case 88:
		return "krb_tcp"
	case 443, 8443:
		return "ssl"
	case 445:
		return "gssapi,smb"
	case 135:
		return "dce_rpc"
	}
	return "-"
}

func (z zeekFormat) render(b *bufio.Writer, rs []record) []int64 {
	out := make([]int64, len(rs))
	tabs := func(s string) string { return strings.ReplaceAll(s, " ", "\t") }
	head := "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t" + z.log.path + "\n#fields\t" + tabs(z.log.fields) + "\n#types\t" + tabs(z.log.types) + "\n"
	_, _ = b.WriteString(head)
	lines := int64(strings.Count(head, "\n"))
	for i := range rs {
		_, _ = b.WriteString(strings.Join(z.log.row(rs[i].body), "\t"))
		_ = b.WriteByte('\n')
		out[i] = lines + int64(i) + 1
	}
	return out
}
