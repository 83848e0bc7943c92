package decode

import (
	"net"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A webRequest is a request to a web server as its access log tells it, whatever
// the server calls the parts. Its fields are those of access logs in text.
type webRequest struct {
	client, user, host, method, uri, query, status, agent, referer, bytes string
}

// emit adds the fields, sets what was done as for access logs in text, and emits.
func (r *webRequest) emit(w *jsonWorker, b *Batch, e *model.Event, product, service string) error {
	e.Source = model.LogSource{Product: product, Category: "webserver", Service: service}
	e.Subsystem = model.Application
	if e.Host == "" && !hostless(product) { // an access log does not say whose it is
		e.Host = "host-of-" + linuxHost(inputName(e.Ref.Input))
	}
	client := r.client
	if host, _, err := net.SplitHostPort(client); err == nil {
		client = host
	}
	stem, query, _ := strings.Cut(r.uri, "?")
	user := strings.Trim(r.user, "-")
	for _, f := range [...]struct{ name, text string }{
		{"c-ip", client}, {"cs-username", user}, {"cs-host", r.host}, {"cs-method", r.method}, {"c-uri", r.uri}, {"cs-uri", r.uri}, {"cs-uri-stem", stem},
		{"cs-uri-query", firstOf(r.query, query)}, {"sc-status", r.status}, {"cs-user-agent", r.agent}, {"cs-referer", r.referer}, {"sc-bytes", r.bytes},
	} {
		w.add(b, f.name, f.text)
	}
	e.Code = r.status
	switch {
	case r.status == "401" && user != "":
		e.Act = model.ActLogonFailed
	case r.status != "" && r.status[0] < '4' && (r.method == "POST" || r.method == "PUT" || r.method == "PATCH" || r.method == "DELETE" || r.method == "CONNECT"):
		e.Act = model.ActConnect
	}
	return emitTimed(b, e)
}

// caddyShape is the access log of Caddy.
func caddyShape() jsonShape {
	return jsonShape{
		name:  "caddy",
		all:   []string{"request.uri", "request.method", "status"},
		any:   []string{"request.remote_ip", "request.remote_addr", "request.client_ip"},
		times: []string{"ts", "time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := webRequest{
				client: firstOf(doc.text("request.client_ip"), doc.text("request.remote_ip"), doc.text("request.remote_addr")), user: doc.text("user_id"),
				host: doc.text("request.host"), method: doc.text("request.method"), uri: doc.text("request.uri"), status: doc.text("status"),
				agent: doc.text("request.headers.User-Agent"), referer: doc.text("request.headers.Referer"), bytes: doc.text("size"),
			}
			return r.emit(w, b, e, "caddy", "caddy")
		},
	}
}

// traefikShape is the access log of Traefik.
func traefikShape() jsonShape {
	return jsonShape{
		name:  "traefik",
		all:   []string{"RequestPath", "RequestMethod", "DownstreamStatus|OriginStatus"},
		times: []string{"StartUTC", "time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := webRequest{
				client: firstOf(doc.text("ClientHost"), doc.text("ClientAddr")), user: doc.text("ClientUsername"), host: doc.text("RequestHost|RequestAddr"),
				method: doc.text("RequestMethod"), uri: doc.text("RequestPath"), status: firstOf(doc.text("DownstreamStatus"), doc.text("OriginStatus")),
				agent: doc.text("request_User-Agent"), referer: doc.text("request_Referer"), bytes: doc.text("DownstreamContentSize"),
			}
			return r.emit(w, b, e, "traefik", "traefik")
		},
	}
}

// proxyJSONShape is an access log that Envoy or nginx writes as JSON. Which fields
// there are is up to whoever runs them; the names are those of their own variables.
func proxyJSONShape() jsonShape {
	return jsonShape{
		name:  "access-json",
		all:   []string{"method|request_method", "response_code|status", "path|x-envoy-original-path|x-envoy-origin-path|request_uri|uri"},
		any:   []string{"downstream_remote_address", "x-forwarded-for|x_forwarded_for", "remote_addr"},
		times: []string{"start_time", "time_iso8601", "time_local", "msec", "@timestamp", "timestamp", "time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			forwarded, _, _ := strings.Cut(doc.text("x-forwarded-for|x_forwarded_for|http_x_forwarded_for"), ",")
			r := webRequest{
				client: firstOf(strings.TrimSpace(strings.Trim(forwarded, "-")), doc.text("remote_addr"), doc.text("downstream_remote_address")), user: doc.text("remote_user"),
				host: doc.text(":authority|authority|host|http_host|server_name"), method: doc.text("method|request_method"),
				uri:    firstOf(doc.text("x-envoy-original-path|x-envoy-origin-path"), doc.text("request_uri"), doc.text("path"), doc.text("uri")),
				status: doc.text("response_code|status"), agent: doc.text("user-agent|user_agent|http_user_agent"), referer: doc.text("referer|http_referer"),
				bytes: doc.text("bytes_sent|body_bytes_sent"),
			}
			product := "nginx"
			if doc.has("downstream_remote_address") {
				product = "envoy"
			}
			return r.emit(w, b, e, product, product)
		},
	}
}

// wafShape is a record of AWS WAF's logs: a request and what became of it.
func wafShape() jsonShape {
	return jsonShape{
		name:  "aws-waf",
		all:   []string{"webaclId", "httpRequest.clientIp"},
		times: []string{"timestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := webRequest{
				client: doc.text("httpRequest.clientIp"), host: doc.text("httpRequest.host"), method: doc.text("httpRequest.httpMethod"),
				uri: doc.text("httpRequest.uri"), query: doc.text("httpRequest.args"), status: doc.text("responseCodeSent"),
			}
			eachElement(memberText(w.text(), "httpRequest", "headers"), func(header string) bool {
				value := jsonString(memberText(header, "value"))
				switch strings.ToLower(jsonString(memberText(header, "name"))) {
				case "host":
					r.host = firstOf(r.host, value)
				case "user-agent":
					r.agent = value
				case "referer":
					r.referer = value
				}
				return true
			})
			if action := doc.text("action"); action == "BLOCK" { // it never reached the server
				r.status = firstOf(r.status, "403")
			}
			return r.emit(w, b, e, "aws", "waf")
		},
	}
}

// resolverShape is a query to Route 53's resolver, by which machine of which
// network.
func resolverShape() jsonShape {
	return jsonShape{
		name:  "route53-resolver",
		all:   []string{"query_name", "query_type", "rcode"},
		any:   []string{"srcaddr", "srcids.instance", "vpc_id"},
		times: []string{"query_timestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Source = model.LogSource{Product: "aws", Category: "dns", Service: "route53"}
			e.Act, e.Subsystem = model.ActDNS, model.Network
			e.Code = doc.text("query_type")
			w.add(b, "query", doc.text("query_name"))
			w.add(b, "record_type", doc.text("query_type"))
			w.add(b, "answer", doc.text("answers.Rdata"))
			w.add(b, "response_code", doc.text("rcode"))
			var s entitySet
			s.ip(model.Src, doc.text("srcaddr"))
			s.add(model.Resource, model.Subject, doc.text("srcids.instance"), "", "")
			s.add(model.Domain, model.Object, strings.ToLower(strings.TrimSuffix(doc.text("query_name"), ".")), "", "")
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// flowJSONShape is a flow record of an AWS network as JSON, by the names of the
// documentation or as libraries spell them.
func flowJSONShape() jsonShape {
	return jsonShape{
		name:  "vpc-flow",
		all:   []string{"srcaddr|srcAddr|pkt_srcaddr", "dstaddr|dstAddr|pkt_dstaddr"},
		any:   []string{"dstport|dstPort", "vpc_id|vpcId", "log_status|logStatus", "protocol", "p_log_type"},
		times: []string{"start", "startTime", "p_event_time", "timestamp", "time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Source = model.LogSource{Product: "aws", Category: "firewall", Service: "vpcflow"}
			e.Subsystem = model.Network
			action := doc.text("action|Action")
			e.Code = strings.ToUpper(action)
			if e.Code != "REJECT" {
				e.Act = model.ActConnect
			}
			for _, f := range [...]struct{ name, path string }{
				{"src_ip", "srcaddr|srcAddr|pkt_srcaddr"}, {"dst_ip", "dstaddr|dstAddr|pkt_dstaddr"}, {"src_port", "srcport|srcPort"}, {"dst_port", "dstport|dstPort"},
				{"action", "action|Action"},
			} {
				w.add(b, f.name, doc.text(f.path))
			}
			return emitTimed(b, e)
		},
	}
}

// messageTraceShape is a row of Exchange Online's message trace: a mail on its way.
func messageTraceShape() jsonShape {
	return jsonShape{
		name:  "m365-messagetrace",
		all:   []string{"MessageTraceId", "SenderAddress", "RecipientAddress"},
		times: []string{"Received", "Date"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Source = model.LogSource{Product: "m365", Service: "messagetrace"}
			e.Subsystem, e.Code = model.Email, doc.text("Status")
			var s entitySet
			s.upn(model.Actor, doc.text("SenderAddress"))
			s.add(model.Mailbox, model.Target, strings.ToLower(doc.text("RecipientAddress")), "", "")
			s.ip(model.Src, doc.text("FromIP"))
			s.ip(model.Dst, doc.text("ToIP"))
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
