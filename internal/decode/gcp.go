package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// gcpAuditShape is a Cloud Audit Log entry of Google Cloud (admin activity, data
// access, system events and denied policies; those of GKE among them), as Cloud
// Logging exports it. Sigma's rules know the method by its name in the Elastic
// Common Schema, which is added.
func gcpAuditShape() jsonShape {
	return jsonShape{
		name:  "gcp-audit",
		all:   []string{"protoPayload.methodName|protoPayload.serviceName"},
		any:   []string{"protoPayload.authenticationInfo.principalEmail", "protoPayload.resourceName", "protoPayload.requestMetadata.callerIp|protoPayload.requestMetadata.callerIP", "logName|logname", "insertId|insertid", "protoPayload.@type|protoPayload.at_sign_type", "resource.type", "protoPayload.serviceName"},
		times: []string{"timestamp", "protoPayload.requestMetadata.requestAttributes.time", "receiveTimestamp|receivetimestamp", "p_event_time"},
		emit:  emitGCPAudit,
	}
}

// wrappedGCPShape is an entry as Pub/Sub and Eventarc push it: below "data".
func wrappedGCPShape() jsonShape {
	return jsonShape{
		name: "gcp-audit",
		all:  []string{"data.protoPayload.methodName|data.protoPayload.serviceName"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error { return w.unwrapAt(b, e, "data") },
	}
}

func emitGCPAudit(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	method, service := doc.text("protoPayload.methodName"), doc.text("protoPayload.serviceName")
	if app, ok := strings.CutPrefix(service, "admin."); ok && doc.has("protoPayload.metadata.event.eventName") && strings.HasPrefix(app, "googleapis") {
		e.Source = model.LogSource{Product: "gcp", Service: "google_workspace.admin"} // Workspace's own audit, sent to Cloud Logging
	} else {
		e.Source = model.LogSource{Product: "gcp", Service: "gcp.audit"}
	}
	e.Code = method
	e.Subsystem = gcpSubsystem(service, method)
	if e.Source.Service == "google_workspace.admin" {
		e.Subsystem, _ = workspaceAct("admin", strings.ToLower(doc.text("protoPayload.metadata.event.eventName")))
	}
	failed := false
	if code := doc.text("protoPayload.status.code"); code != "" && code != "0" {
		failed = true
	}
	e.Act = gcpAct(service, method, failed)
	alias := func(name, text string) {
		if text != "" {
			b.Slot(w.o.Names.ID(name), model.String, text)
		}
	}
	alias("gcp.audit.method_name", method)
	alias("gcp.audit.service_name", service)
	e.Entities = gcpEntities(doc, e)
	return emitTimed(b, e)
}

// gcpAct says what a method did, by its last word: "v1.compute.firewalls.insert",
// "google.iam.admin.v1.CreateServiceAccountKey". A refused call changed nothing.
func gcpAct(service, method string, failed bool) model.Act {
	last := method[strings.LastIndexByte(method, '.')+1:]
	verb := strings.ToLower(last)
	if strings.HasPrefix(service, "login.") {
		if strings.Contains(verb, "fail") {
			return model.ActLogonFailed
		}
		return model.ActLogon
	}
	if failed {
		return model.ActAPICall
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.HasPrefix(verb, w) {
				return true
			}
		}
		return false
	}
	lower := strings.ToLower(method)
	switch {
	case strings.Contains(lower, ".exec.") || strings.Contains(lower, ".attach."), strings.Contains(lower, "portforward"):
		return model.ActRemoteExec
	case has("createserviceaccountkey", "uploadserviceaccountkey", "createkey", "importsshpublickey", "insertkey", "createhmackey"),
		strings.HasSuffix(lower, "hmackeys.create"), strings.HasSuffix(lower, "serviceaccounts.token.create"):
		return model.ActKeyIssued
	case has("generateaccesstoken", "generateidtoken", "signjwt", "signblob", "exchangetoken"):
		return model.ActAssumeRole
	case strings.Contains(lower, "sink") && !has("list", "get"), has("deletelog", "deletebucket") && strings.HasPrefix(service, "logging"),
		strings.Contains(lower, "exclusion") && has("create", "update"):
		return model.ActLogCleared
	case has("getiampolicy", "list", "aggregatedlist", "search", "testiampermissions", "watch"):
		return model.ActObjectList
	case strings.HasSuffix(lower, "setiampolicy"), has("setiampolicy", "addgroupmember", "createserviceaccount", "deleteserviceaccount", "updateserviceaccount",
		"enableserviceaccount", "disableserviceaccount", "createrole", "updaterole", "undeleterole"),
		strings.Contains(lower, "rbac.v1") && has("create", "patch", "update", "delete"):
		return model.ActAccountChange
	case has("accesssecretversion", "decrypt", "readrows", "executesql", "jobcompleted", "getqueryresults"), strings.HasSuffix(lower, "objects.get"),
		strings.HasSuffix(lower, "secrets.get"), strings.HasSuffix(lower, "tabledata.list"):
		return model.ActObjectRead
	case strings.HasSuffix(lower, "objects.create"), strings.HasSuffix(lower, "objects.update"):
		return model.ActObjectWrite
	case has("delete", "destroy", "remove", "purge"):
		return model.ActObjectDelete
	case has("set", "update", "patch", "enable", "disable", "insert", "create", "add", "attach", "detach", "start", "stop", "reset", "undelete"):
		return model.ActConfigChange
	}
	return model.ActAPICall
}

// gcpEntities are who called (user or service account, its key), from where, and on
// what.
func gcpEntities(doc *jsonDoc, e *model.Event) []model.Entity {
	var s entitySet
	s.upn(model.Actor, doc.text("protoPayload.authenticationInfo.principalEmail"))
	doc.each("protoPayload.authenticationInfo.serviceAccountDelegationInfo.firstPartyPrincipal.principalEmail", func(text string) bool {
		s.upn(model.Actor, text)
		return true
	})
	if key := doc.text("protoPayload.authenticationInfo.serviceAccountKeyName"); key != "" {
		s.add(model.AccessKey, model.Actor, serviceAccountKey(key), "", "")
	}
	s.ip(model.Src, doc.text("protoPayload.requestMetadata.callerIp|protoPayload.requestMetadata.callerIP"))
	doc.each("protoPayload.serviceData.policyDelta.bindingDeltas.member", func(member string) bool {
		s.gcpMember(member)
		return len(s.list) < maxResources
	})
	doc.each("protoPayload.metadata.policyDelta.bindingDeltas.member", func(member string) bool {
		s.gcpMember(member)
		return len(s.list) < maxResources
	})
	resource := doc.text("protoPayload.resourceName")
	switch e.Act {
	case model.ActKeyIssued:
		s.add(model.AccessKey, model.Target, serviceAccountKey(doc.text("protoPayload.response.name")), "", "")
	case model.ActAssumeRole:
		if i := strings.LastIndex(resource, "/serviceAccounts/"); i >= 0 {
			s.add(model.IAMRole, model.Target, strings.ToLower(resource[i+len("/serviceAccounts/"):]), "", "")
			s.upn(model.Target, resource[i+len("/serviceAccounts/"):])
		}
	case model.ActAccountChange:
		if i := strings.LastIndex(resource, "/serviceAccounts/"); i >= 0 {
			s.upn(model.Target, resource[i+len("/serviceAccounts/"):])
		}
	}
	if e.Subsystem == model.Kubernetes {
		s.kubernetesPath(resource)
	}
	id := doc.text("resource.labels.instance_id")
	if strings.Contains(resource, "/instances/") {
		s.add(model.Resource, model.Target, resource, "", joinIDs(id))
	}
	s.add(model.Resource, model.Target, resource, "", "")
	s.add(model.Resource, model.Target, id, "", "")
	return s.list
}

// gcpMember adds a member of an IAM policy: "user:eve@example.com".
func (s *entitySet) gcpMember(member string) {
	kind, name, ok := strings.Cut(member, ":")
	switch {
	case !ok:
		s.upn(model.Target, member)
	case kind == "user" || kind == "serviceAccount" || kind == "group":
		s.upn(model.Target, name)
	}
}

// kubernetesPath adds the pod or namespace that a path of Kubernetes' API names:
// "core/v1/namespaces/default/pods/web/exec".
func (s *entitySet) kubernetesPath(path string) {
	parts := strings.Split(path, "/")
	namespace := ""
	for i := 0; i+1 < len(parts); i++ {
		switch parts[i] {
		case "namespaces":
			namespace = parts[i+1]
			s.add(model.Namespace, model.Target, namespace, "", "")
		case "pods":
			if namespace != "" {
				s.add(model.Pod, model.Target, namespace+"/"+parts[i+1], "", "")
			}
		}
	}
}

// workspaceShape is an activity of Google Workspace as the Reports API gives it,
// with its parameters as a list of names and values, or as collectors flatten it.
func workspaceShape() jsonShape {
	return jsonShape{
		name:  "google-workspace",
		all:   []string{"id.applicationName"},
		any:   []string{"events.name", "name", "actor.email", "id.time", "type", "events.type"},
		times: []string{"id.time", "p_event_time", "time"},
		emit:  emitWorkspace,
	}
}

func emitWorkspace(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	app := strings.ToLower(doc.text("id.applicationName"))
	name := doc.text("events.name|name")
	e.Code = name
	e.Source = model.LogSource{Product: "gcp", Service: "google_workspace." + app}
	slot := func(field, text string) { b.Slot(w.o.Names.ID(field), model.String, text) }
	slot("eventName", name)
	slot("eventService", app+".googleapis.com")
	var s entitySet
	// A parameter's name stands before its value; rules know it in lower case.
	parameter := ""
	for i := range doc.leaves {
		leaf := &doc.leaves[i]
		path, isParameter := strings.CutPrefix(leaf.path.name, "events.parameters.")
		flat, isFlat := strings.CutPrefix(leaf.path.name, "parameters.")
		switch {
		case isParameter && path == "name":
			parameter = strings.ToLower(leaf.text)
		case isParameter && parameter != "" && len(parameter) <= model.MaxNameLen:
			slot(parameter, leaf.text)
			s.workspaceParameter(parameter, leaf.text)
		case isFlat:
			slot(strings.ToLower(flat), leaf.text)
			s.workspaceParameter(strings.ToLower(flat), leaf.text)
		}
	}
	e.Subsystem, e.Act = workspaceAct(app, strings.ToLower(name))
	role := model.Actor
	if e.Act == model.ActLogon || e.Act == model.ActLogonFailed {
		role = model.Target
	}
	s.upn(role, doc.text("actor.email"))
	s.ip(model.Src, doc.text("ipAddress"))
	e.Entities = s.list
	return emitTimed(b, e)
}

// workspaceParameter adds what a parameter names.
func (s *entitySet) workspaceParameter(name, text string) {
	if len(s.list) >= maxResources {
		return
	}
	switch name {
	case "user_email", "target_user", "affected_email_address", "email_forwarding_destination_address":
		s.upn(model.Target, text)
	case "doc_id":
		s.add(model.Resource, model.Target, "drive:"+text, "", "")
	case "client_id":
		s.app(model.Target, text, "")
	case "app_name":
		s.app(model.Target, text, text)
	}
}

// workspaceAct says what an activity was done on and what it did.
func workspaceAct(app, name string) (model.Subsystem, model.Act) {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(name, w) {
				return true
			}
		}
		return false
	}
	switch app {
	case "login":
		switch name {
		case "login_success":
			return model.Identity, model.ActLogon
		case "login_failure":
			return model.Identity, model.ActLogonFailed
		case "logout":
			return model.Identity, model.ActLogoff
		}
		return model.Identity, model.ActConfigChange
	case "drive":
		switch {
		case has("download", "view", "print", "preview", "copy"):
			return model.Storage, model.ActObjectRead
		case has("delete", "trash"):
			return model.Storage, model.ActObjectDelete
		case has("visibility", "acl", "owner", "shared_drive"):
			return model.Storage, model.ActConfigChange
		}
		return model.Storage, model.ActObjectWrite
	case "gmail":
		return model.Email, model.ActNone
	case "token", "saml", "oauth":
		if has("authorize") {
			return model.Identity, model.ActAccountChange
		}
		return model.Identity, model.ActAPICall
	case "user_accounts", "groups", "groups_enterprise":
		if has("email_forwarding") {
			return model.Email, model.ActConfigChange
		}
		return model.Identity, model.ActAccountChange
	case "admin":
		switch {
		case has("role", "user", "password", "privilege", "group_member", "2sv", "admin"):
			return model.Identity, model.ActAccountChange
		case has("takeout", "export"):
			return model.Storage, model.ActObjectRead
		case has("gmail", "email"):
			return model.Email, model.ActConfigChange
		}
		return model.Management, model.ActConfigChange
	}
	return model.Application, model.ActAPICall
}
