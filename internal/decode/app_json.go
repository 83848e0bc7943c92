package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// teleportShape is an event of Teleport's audit log
// (https://goteleport.com/docs/reference/audit-events/): who logged on, opened a
// session on a node, or changed a role.
func teleportShape() jsonShape {
	return jsonShape{
		name:  "teleport",
		all:   []string{"event", "code", "uid", "time"},
		any:   []string{"cluster_name", "ei", "user", "addr.remote"},
		times: []string{"time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("event")
			e.Source = model.LogSource{Product: "teleport", Service: "teleport"}
			e.Subsystem = model.Identity
			failed := doc.text("success") == "false"
			role := model.Actor
			switch e.Code {
			case "user.login", "auth", "bot.join", "instance.join":
				role = model.Target
				if e.Act = model.ActLogon; failed || e.Code == "auth" { // "auth" is only logged when it failed
					e.Act = model.ActLogonFailed
				}
			case "session.start", "exec", "db.session.start", "app.session.start", "kube.request", "session.command":
				if e.Act = model.ActRemoteExec; failed {
					e.Act = model.ActAPICall
				}
			case "session.end":
				e.Act = model.ActLogoff
			case "scp", "sftp":
				e.Act = model.ActObjectRead
			case "recovery_code.generated", "join_token.create", "user_task.create", "cert.create":
				e.Act = model.ActKeyIssued
			default:
				switch object, verb, _ := strings.Cut(e.Code, "."); {
				case object == "user", object == "role", object == "mfa", object == "access_request", object == "lock":
					e.Act = model.ActAccountChange
				case strings.HasPrefix(verb, "creat"), strings.HasPrefix(verb, "updat"), strings.HasPrefix(verb, "delet"):
					e.Act = model.ActConfigChange
				default:
					e.Act = model.ActAPICall
				}
			}
			var s entitySet
			if name := strings.ToLower(doc.text("user")); strings.Contains(name, "@") {
				s.add(model.User, role, name, "", "")
			} else if name != "" {
				s.add(model.User, role, strings.ToLower(doc.text("cluster_name"))+`\`+name, name, "")
			}
			if host := linuxHost(doc.text("server_hostname")); isHostName(host) {
				s.add(model.Host, model.Dst, host, "", "")
			}
			if id := doc.text("sid|session_id"); id != "" {
				s.add(model.Session, role, "teleport:"+id, "", "")
			}
			s.clientIP(doc.text("addr.remote"))
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// authentikShape is an event of authentik, as its server logs it and its API lists it
// (https://docs.goauthentik.io/docs/sys-mgmt/events/).
func authentikShape() jsonShape {
	return jsonShape{
		name:  "authentik",
		all:   []string{"action", "client_ip"},
		any:   []string{"context.http_request.path", "context.auth_method", "context.username", "context.stage.model_name", "auth_via"},
		times: []string{"timestamp", "created"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("action")
			e.Source = model.LogSource{Product: "authentik", Service: "authentik"}
			e.Subsystem = model.Identity
			role := model.Actor
			switch e.Code {
			case "login":
				e.Act, role = model.ActLogon, model.Target
			case "login_failed":
				e.Act, role = model.ActLogonFailed, model.Target
			case "logout":
				e.Act, role = model.ActLogoff, model.Target
			case "user_write", "password_set", "invitation_used", "impersonation_started", "suspicious_request":
				e.Act = model.ActAccountChange
			case "secret_view":
				e.Act = model.ActObjectRead
			case "model_created", "model_updated", "model_deleted", "configuration_error":
				e.Act = model.ActConfigChange
			default:
				e.Act = model.ActAPICall
			}
			var s entitySet
			place := "authentik"
			if host := linuxHost(doc.text("host")); isHostName(host) {
				place = host
			}
			s.ping(role, place, firstOf(doc.text("context.username"), doc.text("user.username"), doc.text("user.email")))
			s.ip(model.Src, doc.text("client_ip"))
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// gitlabWebShape is a request as GitLab's own web log has it
// (https://docs.gitlab.com/administration/logs/#production_jsonlog).
func gitlabWebShape() jsonShape {
	return jsonShape{
		name:  "gitlab",
		all:   []string{"method", "path", "controller", "action", "remote_ip"},
		times: []string{"time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			uri := doc.text("path")
			r := webRequest{client: doc.text("remote_ip"), user: doc.text("username|meta.user"), method: doc.text("method"), uri: uri, status: doc.text("status"), agent: doc.text("ua")}
			return r.emit(w, b, e, "gitlab", "gitlab")
		},
	}
}

// dashboardsShape is a request as Kibana and OpenSearch Dashboards log it.
func dashboardsShape() jsonShape {
	return jsonShape{
		name:  "access-json",
		all:   []string{"req.url", "req.method|method", "statusCode|res.statusCode"},
		any:   []string{"req.remoteAddress", "req.headers.x-forwarded-for"},
		times: []string{"@timestamp", "timestamp", "time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			forwarded, _, _ := strings.Cut(doc.text("req.headers.x-forwarded-for"), ",")
			r := webRequest{
				client: firstOf(strings.TrimSpace(forwarded), doc.text("req.remoteAddress")), host: doc.text("req.headers.host"), method: strings.ToUpper(doc.text("req.method|method")),
				uri: doc.text("req.url"), status: doc.text("res.statusCode|statusCode"), agent: doc.text("req.userAgent|req.headers.user-agent"),
				referer: doc.text("req.referer|req.headers.referer"), bytes: doc.text("res.contentLength|contentLength"),
			}
			return r.emit(w, b, e, "webserver", "dashboards")
		},
	}
}

// openAppSecShape is a request that open-appsec's or Check Point's web application
// firewall thought worth a log line.
func openAppSecShape() jsonShape {
	const d = "eventData."
	return jsonShape{
		name:  "open-appsec",
		all:   []string{d + "sourceIP", d + "httpMethod", d + "httpUriPath|" + d + "httpHostName"},
		times: []string{"eventTime"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := webRequest{
				client: firstOf(doc.text(d+"httpSourceId"), doc.text(d+"sourceIP")), host: doc.text(d + "httpHostName"), method: doc.text(d + "httpMethod"),
				uri: doc.text(d + "httpUriPath"), query: doc.text(d + "httpUriQuery"), status: doc.text(d + "httpResponseCode"),
			}
			if !isAddress(r.client) {
				r.client = doc.text(d + "sourceIP")
			}
			w.add(b, "action", strings.ToLower(doc.text(d+"securityAction")))
			return r.emit(w, b, e, "open-appsec", "waf")
		},
	}
}
