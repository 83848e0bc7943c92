package decode

import (
	"net/netip"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// suricataShape is what Suricata saw pass, in EVE: flows, requests, questions and
// files (https://docs.suricata.io/en/latest/output/eve/eve-json-format.html). Its
// alerts are a mapping's. What an inner address asks of an outer one is as a proxy
// would tell it, all else as a web server would, so that rules for either hold.
func suricataShape() jsonShape {
	return jsonShape{
		name:  "suricata",
		all:   []string{"event_type", "src_ip", "dest_ip"},
		any:   []string{"flow_id", "in_iface", "community_id"},
		times: []string{"flow.start", "timestamp"}, // a flow is told of when it is over
		field: func(path string) string {
			if path == "src_ip" || path == "src_port" { // told again below, as of who asked
				return ""
			}
			return path
		},
		emit: emitSuricata,
	}
}

func emitSuricata(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	e.Code = doc.text("event_type")
	e.Source = model.LogSource{Product: "suricata", Service: e.Code}
	e.Subsystem = model.Network
	e.Host = linuxHost(doc.text("host"))
	add := func(name, text string) { w.add(b, name, text) }
	add("protocol", asciiLower(firstOf(doc.text("app_proto"), doc.text("proto"))))
	src, dst, srcPort, dstPort := doc.text("src_ip"), doc.text("dest_ip"), doc.text("src_port"), doc.text("dest_port")
	switch e.Code {
	case "flow", "netflow":
		e.Source.Category = "firewall"
		add("cs-bytes", doc.text("flow.bytes_toserver"))
		add("sc-bytes", doc.text("flow.bytes_toclient"))
		if e.Code == "flow" { // a netflow record is of one direction, which may be the answer's
			e.Act = model.ActConnect
		}
	case "http":
		suricataRequest(w, b, e, inner(src) && !inner(dst))
	case "dns":
		e.Source.Category = "dns"
		if strings.HasPrefix(doc.text("dns.type"), "a") || doc.text("dns.type") == "response" { // the answer goes back to who asked
			src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
		}
		name := doc.text("dns.rrname|dns.queries.rrname|dns.query.rrname")
		add("query", strings.TrimSuffix(name, "."))
		add("record_type", doc.text("dns.rrtype|dns.queries.rrtype|dns.query.rrtype"))
		add("answer", doc.text("dns.answers.rdata|dns.grouped.A"))
		add("response_code", doc.text("dns.rcode"))
		if name != "" {
			e.Act = model.ActDNS
		}
	case "tls":
		e.Source.Category = "proxy"
		add("cs-host", firstOf(doc.text("tls.sni"), suricataName(doc.text("tls.subject"))))
		e.Act = model.ActConnect
	case "ssh", "rdp", "rfb", "ftp", "smb", "krb5", "quic", "mqtt":
		e.Act = model.ActConnect
	}
	add("src_ip", src)
	add("src_port", srcPort)
	add("dst_ip", dst)
	add("dst_port", dstPort)
	return emitTimed(b, e)
}

// suricataRequest fills the event of a request of HTTP.
func suricataRequest(w *jsonWorker, b *Batch, e *model.Event, outward bool) {
	doc := &w.doc
	e.Source.Category = "proxy"
	if !outward {
		e.Source.Category, e.Subsystem = "webserver", model.Application
	}
	uri, agent, method, status := doc.text("http.url"), doc.text("http.http_user_agent"), doc.text("http.http_method"), doc.text("http.status")
	stem, query, _ := strings.Cut(uri, "?")
	for _, f := range [...]struct{ name, text string }{
		{"cs-method", method}, {"c-uri", uri}, {"cs-uri", uri}, {"cs-uri-stem", stem}, {"cs-uri-query", query}, {"cs-host", doc.text("http.hostname")},
		{"cs-user-agent", agent}, {"c-useragent", agent}, {"cs-referer", doc.text("http.http_refer")}, {"sc-status", status}, {"sc-bytes", doc.text("http.length")},
	} {
		w.add(b, f.name, f.text)
	}
	switch {
	case outward, status != "" && status[0] < '4' && method != "GET" && method != "HEAD" && method != "OPTIONS":
		e.Act = model.ActConnect
	}
}

// inner says whether an address is of a network of one's own.
func inner(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast())
}

// suricataName is the common name of a certificate's subject.
func suricataName(subject string) string {
	_, name, _ := strings.Cut(subject, "CN=")
	name, _, _ = strings.Cut(name, ",")
	return strings.TrimSpace(name)
}

// suricataEntities fills the entities of an event of product suricata: the machine
// that saw it is a sensor and nothing else.
func suricataEntities(e *model.Event) {
	sensor := e.Host
	e.Host = ""
	textEntities(e)
	e.Host = sensor
	if sensor != "" {
		e.Entities = append(e.Entities, model.Entity{Type: model.Host, Value: sensor, Role: model.Sensor})
	}
}
