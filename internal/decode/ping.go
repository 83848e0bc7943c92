package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// pingIDShape is an event of PingID, the second factor of Ping Identity, as PingOne
// for Enterprise's poll subscriptions hand it out
// (https://docs.pingidentity.com/pingoneforenterprise): who, from which address, and
// what became of it in words.
func pingIDShape() jsonShape {
	return jsonShape{
		name:  "pingid",
		all:   []string{"recorded", "actors.name"},
		any:   []string{"result.status", "resources.websession", "resources.ipaddress"},
		times: []string{"recorded"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			status, message := doc.text("result.status"), asciiLower(firstLine(doc.text("result.message")))
			e.Code = strings.ToLower(status)
			e.Source = model.LogSource{Product: "pingid", Service: "pingid"}
			e.Subsystem = model.Identity
			e.Act = pingAct(status, message)
			var s entitySet
			role := model.Target
			if e.Act == model.ActAPICall {
				role = model.Actor
			}
			s.ping(role, "pingid", doc.text("actors.name"))
			s.ip(model.Src, doc.text("resources.ipaddress|resources.ipAddress"))
			if id := doc.text("resources.websession"); id != "" && e.Act == model.ActLogon {
				s.add(model.Session, model.Target, "pingid:"+id, "", "")
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// pingAct says what happened by the outcome and the words of the message.
func pingAct(status, message string) model.Act {
	has := func(words ...string) bool { return containsAny(message, words) }
	switch {
	case has("device paired", "device unpaired", "paired device", "pairing", "device added", "device removed", "user bypass", "bypass", "was unpaired", "password reset", "user disabled", "user enabled"):
		if status == "SUCCESS" {
			return model.ActAccountChange
		}
		return model.ActAPICall
	case status == "FAILURE" || status == "FAILED" || status == "DENY":
		return model.ActLogonFailed
	case status == "SUCCESS":
		return model.ActLogon
	}
	return model.ActAPICall // what a policy weighed, not how it ended
}

// ping adds an account of Ping Identity, mostly an e-mail address.
func (s *entitySet) ping(role model.Role, product, name string) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case name == "":
	case strings.Contains(name, "@"):
		s.add(model.User, role, name, "", "")
	default:
		s.add(model.User, role, product+`\`+name, name, "")
	}
}

// pingOneShape is an audit activity of PingOne, as its API lists it and its webhooks
// send it (https://apidocs.pingidentity.com/pingone/platform/v1/api/#audit-activities).
func pingOneShape() jsonShape {
	return jsonShape{
		name:  "pingone",
		all:   []string{"action.type", "result.status", "recordedAt|createdAt"},
		any:   []string{"actors.user.name", "actors.user.id", "actors.client.id", "actors.client.name", "source.ipAddress", "resources.type"},
		times: []string{"recordedAt", "createdAt"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("action.type")
			e.Source = model.LogSource{Product: "pingone", Service: "pingone"}
			e.Subsystem = model.Identity
			e.Act = pingOneAct(e.Code, doc.text("result.status") == "FAILED" || doc.text("result.status") == "FAILURE")
			var s entitySet
			role := model.Actor
			if e.Act == model.ActLogon || e.Act == model.ActLogonFailed || e.Act == model.ActLogoff {
				role = model.Target
			}
			s.ping(role, "pingone", firstOf(doc.text("actors.user.name"), doc.text("actors.user.id")))
			s.app(model.Actor, doc.text("actors.client.id"), doc.text("actors.client.name"))
			s.ip(model.Src, firstOf(doc.text("source.ipAddress"), doc.text("resources.ipAddress")))
			if doc.text("resources.type") == "USER" && role == model.Actor {
				s.ping(model.Target, "pingone", firstOf(doc.text("resources.name"), doc.text("resources.id")))
			} else if id := doc.text("resources.id"); id != "" && role == model.Actor {
				s.add(model.Resource, model.Target, "pingone:"+strings.ToLower(id), doc.text("resources.name"), "")
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}

// pingOneAct says what an action type did: "PASSWORD.CHECK_FAILED", "USER.ACCESS_ALLOWED".
func pingOneAct(typ string, failed bool) model.Act {
	object, verb, _ := strings.Cut(typ, ".")
	switch {
	case typ == "USER.ACCESS_ALLOWED", typ == "SESSION.CREATED", strings.HasSuffix(verb, "CHECK_SUCCEEDED"):
		if failed {
			return model.ActLogonFailed
		}
		return model.ActLogon
	case typ == "USER.ACCESS_DENIED", strings.HasSuffix(verb, "CHECK_FAILED"), typ == "USER.LOCKED":
		return model.ActLogonFailed
	case typ == "SESSION.DELETED":
		return model.ActLogoff
	case failed:
		return model.ActAPICall
	case object == "SECRET" || object == "CERTIFICATE" || object == "KEY":
		if verb == "READ" {
			return model.ActObjectRead
		}
		return model.ActKeyIssued
	case object == "USER", object == "PASSWORD", object == "DEVICE", object == "ROLE_ASSIGNMENT", object == "GROUP", object == "MEMBER_OF_GROUP", object == "MFA":
		return model.ActAccountChange
	case strings.HasPrefix(verb, "CREATED"), strings.HasPrefix(verb, "UPDATED"), strings.HasPrefix(verb, "DELETED"):
		return model.ActConfigChange
	}
	return model.ActAPICall
}
