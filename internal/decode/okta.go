package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// oktaShape is an event of Okta's System Log. Stores that fold names to lower case
// spell its keys so; rules know them as Okta does.
func oktaShape() jsonShape {
	return jsonShape{
		name:  "okta",
		all:   []string{"eventType|eventtype"},
		any:   []string{"actor.alternateId", "legacyEventType|legacyeventtype", "outcome.result"},
		times: []string{"published", "p_event_time"},
		field: func(path string) string {
			for _, p := range [...]struct{ from, to string }{
				{"eventtype", "eventType"}, {"displaymessage", "displayMessage"}, {"legacyeventtype", "legacyEventType"},
				{"debugcontext.", "debugContext."}, {"securitycontext.", "securityContext."}, {"authenticationcontext.", "authenticationContext."},
			} {
				if rest, ok := strings.CutPrefix(path, p.from); ok && (rest == "" || strings.HasSuffix(p.from, ".")) {
					return p.to + rest
				}
			}
			return path
		},
		emit: emitOkta,
	}
}

func emitOkta(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	e.Code = doc.text("eventType|eventtype")
	e.Source = model.LogSource{Product: "okta", Service: "okta"}
	e.Subsystem = model.Identity
	result := doc.text("outcome.result")
	e.Act = oktaAct(e.Code, result == "FAILURE" || result == "DENY")
	var s entitySet
	actor := doc.text("actor.alternateId")
	switch {
	case e.Act == model.ActLogon || e.Act == model.ActLogonFailed:
		s.oktaUser(model.Target, actor)
		if id := doc.text("authenticationContext.externalSessionId|authenticationcontext.externalSessionId"); id != "" && id != "unknown" {
			s.add(model.Session, model.Target, "okta:"+id, "", "")
		}
	case strings.Contains(doc.text("actor.type"), "App"):
		s.app(model.Actor, doc.text("actor.id"), doc.text("actor.displayName"))
	default:
		s.oktaUser(model.Actor, actor)
		if id := doc.text("authenticationContext.externalSessionId|authenticationcontext.externalSessionId"); id != "" && id != "unknown" {
			s.add(model.Session, model.Actor, "okta:"+id, "", "")
		}
	}
	s.ip(model.Src, doc.text("client.ipAddress"))
	s.oktaTargets(doc)
	e.Entities = s.list
	return emitTimed(b, e)
}

// oktaUser adds an account of Okta, mostly an e-mail address.
func (s *entitySet) oktaUser(role model.Role, name string) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch {
	case name == "" || name == "unknown":
	case strings.Contains(name, "@"):
		s.add(model.User, role, name, "", "")
	default:
		s.add(model.User, role, `okta\`+name, name, "")
	}
}

// oktaTargets adds the targets. A target's members stand together and in any order;
// the next target begins where a member repeats.
func (s *entitySet) oktaTargets(doc *jsonDoc) {
	var id, alternate, display, typ string
	flush := func() {
		switch {
		case len(s.list) >= maxResources:
		case typ == "User" || typ == "AppUser":
			s.oktaUser(model.Target, alternate)
		case typ == "AppInstance" || typ == "OAuthClient" || typ == "PublicClientApp":
			s.app(model.Target, id, firstOf(display, alternate))
		case typ != "" && id != "":
			s.add(model.Resource, model.Target, "okta:"+id, display, "")
		}
		id, alternate, display, typ = "", "", "", ""
	}
	for i := range doc.leaves {
		member, ok := strings.CutPrefix(doc.leaves[i].path.name, "target.")
		if !ok {
			continue
		}
		var dst *string
		switch member {
		case "id":
			dst = &id
		case "alternateId":
			dst = &alternate
		case "displayName":
			dst = &display
		case "type":
			dst = &typ
		default:
			continue
		}
		if *dst != "" {
			flush()
		}
		*dst = doc.leaves[i].text
	}
	flush()
}

// oktaAct says what an event type did.
func oktaAct(typ string, failed bool) model.Act {
	switch {
	case typ == "user.session.start", strings.HasPrefix(typ, "user.authentication."), typ == "policy.evaluate_sign_on", typ == "app.generic.unauth_app_access_attempt":
		if failed {
			return model.ActLogonFailed
		}
		return model.ActLogon
	case typ == "user.session.end":
		return model.ActLogoff
	case failed:
		return model.ActAPICall
	case typ == "system.api_token.create", strings.HasPrefix(typ, "app.oauth2.as.token.grant"), typ == "app.oauth2.client.lifecycle.create", strings.HasPrefix(typ, "app.oauth2.credentials.lifecycle"):
		return model.ActKeyIssued
	case strings.HasPrefix(typ, "user.account."), strings.HasPrefix(typ, "user.lifecycle."), strings.HasPrefix(typ, "user.mfa."),
		strings.HasPrefix(typ, "group."), strings.HasPrefix(typ, "user.session.impersonation"), strings.HasPrefix(typ, "iam."),
		strings.Contains(typ, "user_membership"), strings.HasPrefix(typ, "application.user_membership"):
		return model.ActAccountChange
	case strings.HasPrefix(typ, "system.log_stream") && (strings.HasSuffix(typ, "deactivate") || strings.HasSuffix(typ, "delete")):
		return model.ActLogCleared
	case strings.HasPrefix(typ, "policy."), strings.HasPrefix(typ, "application."), strings.HasPrefix(typ, "zone."), strings.HasPrefix(typ, "network_zone."),
		strings.HasPrefix(typ, "system.idp."), strings.HasPrefix(typ, "system."), strings.HasPrefix(typ, "security."):
		if strings.HasPrefix(typ, "security.") {
			return model.ActNone // what Okta noticed, not what somebody did
		}
		return model.ActConfigChange
	}
	return model.ActAPICall
}
