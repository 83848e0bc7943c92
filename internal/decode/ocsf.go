package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// ocsfShape is an event of the Open Cybersecurity Schema Framework (schema.ocsf.io,
// 1.0 to 1.5), as Amazon Security Lake and many pipelines keep it. What it tells is
// known by its class and activity. Events of CloudTrail get CloudTrail's own names
// as well, so that they are matched and linked as it is. Findings are alerts, which
// the mapping of that name reads before.
func ocsfShape() jsonShape {
	return jsonShape{
		name:     "ocsf",
		all:      []string{"class_uid", "metadata.version|metadata.product.name|metadata.product.vendor_name"},
		also:     func(d *jsonDoc) bool { class := d.text("class_uid"); _, ok := digits(class); return ok && class != "" },
		times:    []string{"time_dt", "time", "start_time_dt", "start_time", "metadata.original_time"},
		received: []string{"metadata.logged_time_dt", "metadata.logged_time"},
		emit:     emitOCSF,
	}
}

// Classes of events, by class_uid.
const (
	ocsfFile       = "1001"
	ocsfModule     = "1005"
	ocsfJob        = "1006"
	ocsfProcess    = "1007"
	ocsfEventLog   = "1008"
	ocsfRegKey     = "201001"
	ocsfRegValue   = "201002"
	ocsfService    = "201004"
	ocsfAccount    = "3001"
	ocsfAuth       = "3002"
	ocsfSession    = "3003"
	ocsfEntity     = "3004"
	ocsfUserAccess = "3005"
	ocsfGroup      = "3006"
	ocsfNetwork    = "4001"
	ocsfHTTP       = "4002"
	ocsfDNS        = "4003"
	ocsfRDP        = "4005"
	ocsfSMB        = "4006"
	ocsfSSH        = "4007"
	ocsfFTP        = "4008"
	ocsfEmail      = "4009"
	ocsfAPI        = "6003"
	ocsfDatastore  = "6005"
)

func emitOCSF(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	class := doc.text("class_uid")
	if class == ocsfUserAccess && doc.text("class_name") == "API Activity" { // its number before 1.0
		class = ocsfAPI
	}
	e.Source = model.LogSource{Product: ocsfProduct(doc), Service: strings.ToLower(doc.text("metadata.product.name"))}
	e.Code = firstOf(doc.text("api.operation"), doc.text("metadata.event_code"), doc.text("type_name"), doc.text("activity_name"), doc.text("class_name"))
	if e.Source.Service == "cloudtrail" && doc.has("api.operation") {
		return emitOCSFCloudTrail(w, b, e)
	}
	if e.Source.Service == "amazon eks" && doc.has("api.operation") {
		return emitOCSFKubernetes(w, b, e)
	}
	p := ocsfParts(doc, class)
	e.Host = linuxHost(firstOf(doc.text("device.hostname"), doc.text("dst_endpoint.hostname")))
	switch class[0] {
	case '1', '2':
		e.Host = linuxHost(firstOf(doc.text("device.hostname"), doc.text("device.name")))
	case '4', '6':
		if p.process.pid == "" { // what stands between machines saw it
			e.Host = ""
		}
	}
	if hostless(e.Source.Product) {
		e.Host = ""
	}
	failed := doc.text("status_id") == "2" || strings.EqualFold(doc.text("status"), "failure")
	e.Act = ocsfAct(class, doc.text("activity_id"), failed)
	e.Subsystem = ocsfSubsystem(class)
	switch class {
	case ocsfNetwork, ocsfHTTP, ocsfRDP, ocsfSMB, ocsfSSH, ocsfFTP:
		if p.process.pid == "" {
			e.Source.Category = "firewall"
		}
	case ocsfDNS:
		e.Source.Category = "dns"
	case ocsfRegKey, ocsfRegValue:
		w.add(b, "TargetObject", firstOf(doc.text("reg_value.path"), doc.text("reg_key.path")))
		w.add(b, "Details", doc.text("reg_value.data"))
	}
	if p.domain != "" {
		w.add(b, "query", p.domain)
	}
	if e.Host != "" && e.Host == linuxHost(doc.text("device.hostname")) {
		p.hostIDs = joinIDs(doc.text("device.uid"), doc.text("device.instance_uid"), doc.text("device.agent_list.uid"))
	}
	finish(e)
	p.fields(w, b, e)
	if e.Source.Category == "" {
		e.Source.Category = endpointCategory(e.Act)
	}
	l := entityList{list: p.entities(e)}
	if session := doc.text("actor.session.uid|session.uid"); session != "" && e.Host == "" {
		role := model.Actor
		if e.Act == model.ActLogon || e.Act == model.ActLogoff {
			role = model.Target
		}
		l.add(model.Entity{Type: model.Session, Value: e.Source.Product + ":" + session, Role: role})
	}
	ocsfMore(doc, class, &l)
	e.Entities = l.list
	ocsfVendor(doc, e, class, failed)
	return emitTimed(b, e)
}

// ocsfProduct is the product of Sigma's taxonomy that an event belongs to: the
// system of a machine, or whose service it is.
func ocsfProduct(doc *jsonDoc) string {
	if class := doc.text("class_uid"); class[0] == '1' || strings.HasPrefix(class, "2010") || doc.text("device.os.type_id") != "" {
		switch name := strings.ToLower(firstOf(doc.text("device.os.type"), doc.text("device.os.name"))); {
		case strings.Contains(name, "windows"), strings.HasPrefix(class, "2010"):
			return "windows"
		case strings.Contains(name, "linux"):
			return "linux"
		case strings.Contains(name, "mac"):
			return "macos"
		}
	}
	switch name := strings.ToLower(firstOf(doc.text("cloud.provider"), doc.text("metadata.product.vendor_name"), doc.text("metadata.product.name"))); name {
	case "aws", "amazon", "amazon web services":
		return "aws"
	case "microsoft", "azure":
		if product := doc.text("metadata.product.name"); strings.Contains(product, "365") || strings.Contains(product, "Exchange") {
			return "m365"
		}
		return "azure"
	case "gcp", "google", "google cloud":
		return "gcp"
	case "":
		return "ocsf"
	default:
		return strings.ReplaceAll(name, " ", "_")
	}
}

// ocsfParts reads who and what took part.
func ocsfParts(doc *jsonDoc, class string) endpointEvent {
	p := endpointEvent{
		user: ocsfUser(doc, "actor.user"), account: ocsfUser(doc, "user"),
		process: ocsfProcessAt(doc, "actor.process"), session: doc.text("session.uid"),
		file: doc.text("file.path"), sha256: ocsfHash(doc),
		src: doc.text("src_endpoint.ip"), srcPort: doc.text("src_endpoint.port"),
		dst: doc.text("dst_endpoint.ip"), dstPort: doc.text("dst_endpoint.port"),
		protocol: strings.ToLower(doc.text("connection_info.protocol_name")),
		inbound:  doc.text("connection_info.direction_id") == "1",
		domain:   firstOf(doc.text("query.hostname"), doc.text("http_request.url.hostname"), doc.text("tls.sni"), doc.text("dst_endpoint.domain")),
	}
	switch class {
	case ocsfProcess:
		p.target = ocsfProcessAt(doc, "process")
		if doc.text("activity_id") == "1" || doc.text("activity_id") == "2" {
			p.parent, p.process, p.target = p.process, p.target, endpointProcess{}
			if p.parent.pid == "" {
				p.parent = ocsfProcessAt(doc, "process.parent_process")
			}
			p.user = firstOf(ocsfUser(doc, "process.user"), p.user)
		}
	case ocsfModule:
		p.file = firstOf(doc.text("module.file.path"), p.file)
	case ocsfAuth:
		if p.account == "" { // 1.0 and some translations name the one who logs on as the actor
			p.account, p.user = p.user, ""
		}
	}
	return p
}

// ocsfProcessAt is the process under a path.
func ocsfProcessAt(doc *jsonDoc, path string) endpointProcess {
	return endpointProcess{
		guid: doc.text(path + ".uid"), pid: doc.text(path + ".pid"), image: firstOf(doc.text(path+".file.path"), doc.text(path+".path"), doc.text(path+".name")),
		command: doc.text(path + ".cmd_line"), dir: doc.text(path + ".working_directory"),
	}
}

// ocsfUser is the account under a path: its ARN, its address, or its name with the
// domain.
func ocsfUser(doc *jsonDoc, path string) string {
	uid, name, domain := doc.text(path+".uid"), doc.text(path+".name"), doc.text(path+".domain")
	for _, arn := range [...]string{uid, doc.text(path + ".uuid")} {
		if strings.HasPrefix(arn, "arn:") {
			return arn
		}
	}
	if name != "" && doc.text("metadata.product.vendor_name") == "GitHub" {
		return `github.com\` + strings.ToLower(name)
	}
	if mail := doc.text(path + ".email_addr"); mail != "" {
		return mail
	}
	if name == "" {
		return uid
	}
	if domain != "" && !strings.ContainsAny(name, `\@`) {
		return domain + `\` + name
	}
	return name
}

// ocsfHash is the SHA-256 of the file.
func ocsfHash(doc *jsonDoc) string {
	hash := ""
	for _, path := range [...]string{"file.hashes.value", "process.file.hashes.value", "module.file.hashes.value"} {
		doc.each(path, func(text string) bool {
			if len(text) == 64 {
				hash = text
			}
			return hash == ""
		})
	}
	return hash
}

// ocsfAct says what an activity of a class is. A failure changed nothing.
func ocsfAct(class, activity string, failed bool) model.Act {
	if class == ocsfAuth {
		switch {
		case activity == "2":
			return model.ActLogoff
		case failed:
			return model.ActLogonFailed
		case activity == "3", activity == "4":
			return model.ActTicket
		case activity == "1", activity == "99":
			return model.ActLogon
		}
		return model.ActNone
	}
	if class == ocsfAPI && failed {
		return model.ActAPICall
	}
	if failed && class[0] == '3' {
		return model.ActAPICall
	}
	if failed {
		return model.ActNone
	}
	return ocsfActs[class+"/"+activity]
}

// ocsfActs are the acts by class and activity_id.
var ocsfActs = map[string]model.Act{
	ocsfFile + "/1": model.ActFileWrite, ocsfFile + "/2": model.ActFileRead, ocsfFile + "/3": model.ActFileWrite, ocsfFile + "/4": model.ActFileDelete,
	ocsfFile + "/5": model.ActFileWrite, ocsfFile + "/6": model.ActFileWrite, ocsfFile + "/7": model.ActFileWrite, ocsfFile + "/10": model.ActFileWrite,
	ocsfFile + "/14":  model.ActFileRead,
	ocsfModule + "/1": model.ActImageLoad, ocsfJob + "/1": model.ActTaskCreate, ocsfJob + "/2": model.ActTaskCreate, ocsfService + "/1": model.ActServiceInstall,
	ocsfProcess + "/1": model.ActProcessStart, ocsfProcess + "/2": model.ActProcessEnd, ocsfProcess + "/3": model.ActProcessAccess, ocsfProcess + "/4": model.ActInject,
	ocsfEventLog + "/1": model.ActLogCleared, ocsfEventLog + "/2": model.ActLogCleared, ocsfEventLog + "/7": model.ActLogCleared, ocsfEventLog + "/10": model.ActLogCleared,
	ocsfRegKey + "/1": model.ActRegistrySet, ocsfRegKey + "/3": model.ActRegistrySet, ocsfRegValue + "/2": model.ActRegistrySet, ocsfRegValue + "/3": model.ActRegistrySet,
	ocsfAccount + "/1": model.ActAccountChange, ocsfAccount + "/2": model.ActAccountChange, ocsfAccount + "/3": model.ActAccountChange, ocsfAccount + "/4": model.ActAccountChange,
	ocsfAccount + "/5": model.ActAccountChange, ocsfAccount + "/6": model.ActAccountChange, ocsfAccount + "/7": model.ActAccountChange, ocsfAccount + "/8": model.ActAccountChange,
	ocsfAccount + "/9": model.ActAccountChange, ocsfAccount + "/10": model.ActAccountChange, ocsfAccount + "/11": model.ActAccountChange, ocsfAccount + "/12": model.ActAccountChange,
	ocsfUserAccess + "/1": model.ActAccountChange, ocsfUserAccess + "/2": model.ActAccountChange,
	ocsfEntity + "/1": model.ActConfigChange, ocsfEntity + "/3": model.ActConfigChange, ocsfEntity + "/4": model.ActObjectDelete,
	ocsfGroup + "/1": model.ActAccountChange, ocsfGroup + "/2": model.ActAccountChange, ocsfGroup + "/3": model.ActAccountChange, ocsfGroup + "/4": model.ActAccountChange,
	ocsfGroup + "/5": model.ActAccountChange, ocsfGroup + "/6": model.ActAccountChange,
	ocsfNetwork + "/1": model.ActConnect, ocsfNetwork + "/2": model.ActConnect, ocsfNetwork + "/6": model.ActConnect,
	ocsfDNS + "/1": model.ActDNS, ocsfDNS + "/2": model.ActDNS, ocsfDNS + "/6": model.ActDNS,
	ocsfRDP + "/1": model.ActConnect, ocsfRDP + "/6": model.ActConnect, ocsfSMB + "/6": model.ActShareAccess,
	ocsfSSH + "/1": model.ActConnect, ocsfSSH + "/2": model.ActConnect, ocsfSSH + "/6": model.ActConnect, ocsfSSH + "/99": model.ActConnect,
	ocsfAPI + "/1": model.ActConfigChange, ocsfAPI + "/2": model.ActAPICall, ocsfAPI + "/3": model.ActConfigChange, ocsfAPI + "/4": model.ActObjectDelete,
	ocsfAPI + "/99": model.ActAPICall, ocsfDatastore + "/1": model.ActObjectRead, ocsfDatastore + "/2": model.ActObjectWrite, ocsfDatastore + "/4": model.ActObjectWrite,
}

// ocsfSubsystem is what kind of thing a class is about.
func ocsfSubsystem(class string) model.Subsystem {
	switch class {
	case ocsfEmail, "4011", "4012":
		return model.Email
	case ocsfDatastore:
		return model.Database
	case ocsfAPI:
		return model.Management
	}
	switch class[0] {
	case '3':
		return model.Identity
	case '4':
		return model.Network
	case '6':
		return model.Application
	}
	return model.Compute
}

// ocsfMore adds what only some classes have: resources, keys, groups, URLs.
func ocsfMore(doc *jsonDoc, class string, l *entityList) {
	s := entitySet{list: l.list}
	s.add(model.AccessKey, model.Actor, doc.text("actor.user.credential_uid"), "", "")
	if issuer := doc.text("actor.session.issuer"); strings.Contains(issuer, ":role/") {
		s.add(model.IAMRole, model.Actor, issuer, "", "")
	}
	n := 0
	resource := func(uid string) bool {
		s.add(model.Resource, model.Target, uid, "", "")
		n++
		return n < maxResources
	}
	doc.each("resources.uid", resource)
	doc.each("resource.uid", resource)
	doc.each("web_resources.uid", resource)
	if class == ocsfGroup {
		name := firstOf(doc.text("group.uid"), doc.text("group.name"))
		s.add(model.Resource, model.Object, strings.ToLower(name), doc.text("group.name"), "")
	}
	if class == ocsfEmail {
		s.upn(model.Actor, firstOf(doc.text("email.smtp_from"), doc.text("email.from")))
		doc.each("email.smtp_to", func(to string) bool {
			s.add(model.Mailbox, model.Target, strings.ToLower(to), "", "")
			n++
			return n < maxResources
		})
	}
	if class == ocsfEntity {
		s.add(model.Resource, model.Target, strings.ToLower(firstOf(doc.text("entity.uid"), doc.text("entity.name"))), doc.text("entity.name"), "")
	}
	url := doc.text("http_request.url.url_string|http_request.url.text")
	if host := doc.text("http_request.url.hostname"); url == "" && host != "" {
		url = firstOf(doc.text("http_request.url.scheme"), "http") + "://" + host + doc.text("http_request.url.path")
	}
	s.add(model.URL, model.Object, url, "", "")
	l.list = s.list
}

// emitOCSFCloudTrail gives a CloudTrail event its own names and reads it as one.
func emitOCSFCloudTrail(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	for _, f := range [...]struct{ name, path string }{
		{"eventName", "api.operation"}, {"eventSource", "api.service.name"}, {"awsRegion", "cloud.region"}, {"sourceIPAddress", "src_endpoint.ip"},
		{"sourceIPAddress", "src_endpoint.domain"}, {"sourceIPAddress", "src_endpoint.svc_name"}, {"userAgent", "http_request.user_agent"}, {"errorCode", "api.response.error"}, {"errorMessage", "api.response.message|api.response.error_message"},
		{"userIdentity.type", "actor.user.type|actor.session.issuer_type"}, {"userIdentity.arn", "actor.user.uid"}, {"userIdentity.arn", "actor.user.uuid"},
		{"userIdentity.principalId", "actor.user.uid_alt"},
		{"userIdentity.userName", "actor.user.name"}, {"userIdentity.accountId", "actor.user.account.uid|actor.user.account_uid"}, {"userIdentity.accessKeyId", "actor.user.credential_uid"},
		{"userIdentity.invokedBy", "actor.invoked_by"}, {"userIdentity.sessionContext.sessionIssuer.arn", "actor.session.issuer"},
		{"recipientAccountId", "unmapped.recipientAccountId"}, {"recipientAccountId", "cloud.account.uid|cloud.account_uid"}, {"recipientAccountId", "actor.user.account.uid|actor.user.account_uid"},
		{"eventID", "metadata.uid"}, {"eventType", "metadata.event_code"},
	} {
		text := doc.text(f.path)
		if f.name == "userIdentity.arn" && !strings.HasPrefix(text, "arn:") {
			continue
		}
		w.add(b, f.name, text)
	}
	if login := doc.text("status"); doc.text("class_uid") == ocsfAuth && b.Text(model.FEventName) == "ConsoleLogin" {
		w.add(b, "responseElements.ConsoleLogin", login)
	}
	for i := range doc.leaves { // what has no place in the schema keeps its name
		if name, ok := strings.CutPrefix(doc.leaves[i].path.name, "unmapped."); ok {
			w.add(b, name, doc.leaves[i].text)
		}
	}
	for _, f := range [...]struct{ name, path string }{{"requestParameters", "api.request.data"}, {"responseElements", "api.response.data"}} {
		leaf := doc.leafOf(f.path)
		if leaf == nil {
			continue
		}
		named := jsonLeaf{path: doc.paths.child(nil, []byte(f.name)), kind: leaf.kind, text: leaf.text}
		w.innerJSON(b, &named)
	}
	return finishCloudTrail(b, e, doc.text("api.operation"), doc.text("api.service.name"))
}

// emitOCSFKubernetes gives an event of EKS the names of the Kubernetes audit log and
// reads it as one.
func emitOCSFKubernetes(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	r := kubeRequest{
		verb: doc.text("api.operation"), resource: doc.text("resources.type"), name: doc.text("resources.name"),
		subresource: doc.text("unmapped.objectRef.subresource"), namespace: firstOf(doc.text("resources.namespace"), doc.text("unmapped.objectRef.namespace")),
		user: doc.text("actor.user.name"), stage: doc.text("message"), from: doc.text("src_endpoint.ip"), request: "unmapped.requestObject",
		arn: doc.text("cloud.account.uid|cloud.account_uid"), role: doc.text("actor.session.issuer"), key: doc.text("actor.session.credential_uid"),
	}
	if !strings.HasPrefix(r.arn, "arn:") { // only of requests with an AWS identity
		r.arn = ""
	}
	code, ok := digits(doc.text("api.response.code"))
	r.failed = ok && code >= 400
	w.add(b, "responseStatus.code", doc.text("api.response.code"))
	w.add(b, "requestURI", doc.text("http_request.url.path"))
	w.add(b, "userAgent", doc.text("http_request.user_agent"))
	r.fields(w, b)
	return r.emit(w, b, e)
}
