package decode

import (
	"net/url"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// kubeAuditShape is the audit log of a Kubernetes API server, audit.k8s.io/v1 and
// v1beta1, as files, webhooks and EKS have it. One request may be logged at up to
// three stages; see kubeRequest.act.
func kubeAuditShape() jsonShape {
	return jsonShape{
		name: "kubernetes-audit",
		all:  []string{"auditID|kind"},
		any:  []string{"verb", "user.username", "requestURI", "objectRef.resource"},
		also: func(d *jsonDoc) bool { // pipelines leave out what they find needless
			if strings.HasPrefix(d.text("apiVersion"), "audit.k8s.io/") || d.has("auditID") && d.has("verb") {
				return true
			}
			return d.text("kind") == "Event" && d.has("verb") && (d.has("responseStatus.code") || d.has("objectRef.resource") || d.has("user.username") || d.has("requestURI"))
		},
		times: []string{"requestReceivedTimestamp", "timestamp", "stageTimestamp", "p_event_time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := kubeRequest{
				verb: doc.text("verb"), resource: doc.text("objectRef.resource"), subresource: doc.text("objectRef.subresource"),
				namespace: doc.text("objectRef.namespace"), name: doc.text("objectRef.name"),
				user: doc.text("user.username"), stage: doc.text("stage"),
				request: "requestObject", decision: doc.text("annotations.authorization.k8s.io/decision"),
				from: doc.text("sourceIPs"),
				arn:  doc.text("user.extra.arn"), role: doc.text("user.extra.canonicalArn"), key: doc.text("user.extra.accessKeyId"),
			}
			if r.name == "" { // a name that the server made up
				r.name = doc.text("responseObject.metadata.name")
			}
			code, ok := digits(doc.text("responseStatus.code"))
			r.failed = ok && code >= 400 || r.decision == "forbid"
			return r.emit(w, b, e)
		},
	}
}

// kubeAzureShape is the same as AKS exports it: a diagnostic record whose log is
// the event as text, or a row of the AzureDiagnostics table.
func kubeAzureShape() jsonShape {
	return jsonShape{
		name:     "kubernetes-audit",
		all:      []string{"properties.log|log_s", "category|Category"},
		received: []string{"time", "TimeGenerated"},
		also: func(d *jsonDoc) bool {
			return strings.HasPrefix(d.text("category|Category"), "kube-audit") && strings.HasPrefix(d.text("properties.log|log_s"), "{")
		},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			return w.unwrap(b, e, w.doc.text("properties.log|log_s"))
		},
	}
}

// kubeTableShape is the same as a row of the Log Analytics tables AKSAudit and
// AKSAuditAdmin: the event's members as columns, objects perhaps as text.
func kubeTableShape() jsonShape {
	return jsonShape{
		name:     "kubernetes-audit",
		all:      []string{"AuditId", "Verb"},
		received: []string{"TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			return w.unwrapRow(b, e, kubeColumn)
		},
	}
}

// kubeColumn is the member of an audit event that a column holds.
func kubeColumn(column string) string {
	switch column {
	case "AuditId":
		return "auditID"
	case "RequestUri":
		return "requestURI"
	case "SourceIps":
		return "sourceIPs"
	case "RequestReceivedTime":
		return "requestReceivedTimestamp"
	case "StageReceivedTime":
		return "stageTimestamp"
	case "":
		return ""
	}
	return strings.ToLower(column[:1]) + column[1:]
}

// kubeGoogleShape is the same as GKE writes it: an entry of Cloud Audit Logs of
// service k8s.io, whose method and resource name say what the request was. Its
// fields get the names of the Kubernetes audit log.
func kubeGoogleShape() jsonShape {
	return jsonShape{
		name:     "kubernetes-audit",
		all:      []string{"protoPayload.methodName", "protoPayload.serviceName"},
		also:     func(d *jsonDoc) bool { return d.text("protoPayload.serviceName") == "k8s.io" },
		times:    []string{"timestamp", "p_event_time"},
		received: []string{"receiveTimestamp"},
		field:    kubeGoogleField,
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			r := kubeMethod(doc.text("protoPayload.methodName"))
			group, path, _ := strings.Cut(doc.text("protoPayload.resourceName"), "/")
			r.path(path)
			r.user, r.from = doc.text("protoPayload.authenticationInfo.principalEmail"), doc.text("protoPayload.requestMetadata.callerIp")
			r.request, r.decision = "protoPayload.request", doc.text("labels.authorization.k8s.io/decision")
			code := doc.text("protoPayload.status.code")
			r.failed = code != "" && code != "0" || r.decision == "forbid"
			w.add(b, "objectRef.apiGroup", strings.TrimSuffix(group, "core"))
			r.fields(w, b)
			return r.emit(w, b, e)
		},
	}
}

func kubeGoogleField(path string) string {
	rest, ok := strings.CutPrefix(path, "protoPayload.")
	if !ok {
		if rest, ok = strings.CutPrefix(path, "labels.authorization.k8s.io/"); ok {
			return "annotations.authorization.k8s.io/" + rest
		}
		return path
	}
	switch rest {
	case "authenticationInfo.principalEmail":
		return "user.username"
	case "requestMetadata.callerIp":
		return "sourceIPs"
	case "requestMetadata.callerSuppliedUserAgent":
		return "userAgent"
	}
	if rest, ok := strings.CutPrefix(rest, "request."); ok {
		return "requestObject." + rest
	}
	if rest, ok := strings.CutPrefix(rest, "response."); ok {
		return "responseObject." + rest
	}
	return path
}

// A kubeRequest is what a request to the API server asked for.
type kubeRequest struct {
	verb, resource, subresource string
	namespace, name             string
	user, stage, decision       string
	from                        string // the client's address
	arn, role, key              string // the AWS identity behind the user, its role and key
	request                     string // the path of the object sent along
	failed                      bool
}

// fields adds what r says under the names of the audit log.
func (r *kubeRequest) fields(w *jsonWorker, b *Batch) {
	for _, f := range [...]struct{ name, text string }{
		{"verb", r.verb}, {"objectRef.resource", r.resource}, {"objectRef.subresource", r.subresource}, {"objectRef.namespace", r.namespace},
		{"objectRef.name", r.name}, {"user.username", r.user}, {"sourceIPs", r.from},
	} {
		w.add(b, f.name, f.text)
	}
}

// kubeMethod reads a method such as io.k8s.core.v1.pods.exec.create: group, version,
// resource, subresource if there is one, verb.
func kubeMethod(method string) kubeRequest {
	labels := strings.Split(strings.TrimPrefix(method, "io.k8s."), ".")
	n := len(labels)
	for i, label := range labels {
		if len(label) > 1 && label[0] == 'v' && isDigit(label[1]) && i+2 < n {
			return kubeRequest{verb: labels[n-1], resource: labels[i+1], subresource: strings.Join(labels[i+2:n-1], "/")}
		}
	}
	return kubeRequest{verb: labels[n-1]}
}

// path reads what follows the group in a resource's name:
// v1/namespaces/<namespace>/<resource>/<name>, or v1/<resource>/<name>.
func (r *kubeRequest) path(s string) {
	labels := strings.Split(s, "/")
	if len(labels) > 3 && labels[1] == "namespaces" && r.resource != "namespaces" {
		r.namespace, labels = labels[2], labels[2:]
	}
	if len(labels) > 2 {
		r.name = labels[2]
	}
}

// emit completes the event of a request.
func (r *kubeRequest) emit(w *jsonWorker, b *Batch, e *model.Event) error {
	e.Source = model.LogSource{Product: "kubernetes", Category: "application", Service: "audit"}
	e.Subsystem = model.Kubernetes
	e.Host = "" // of whoever handed the record on
	e.Code = strings.TrimSpace(r.verb + " " + r.resource)
	if r.subresource != "" {
		e.Code += "/" + r.subresource
	}
	e.Act = r.act()
	if r.runs() {
		w.add(b, "CommandLine", queryCommand(w.doc.text("requestURI")))
	}
	if r.changes() {
		r.workload(w, b)
	}
	e.Entities = r.entities(w, e)
	return emitTimed(b, e)
}

// runs reports whether the request starts a command in a container, or joins one.
func (r *kubeRequest) runs() bool {
	return r.resource == "pods" && (r.subresource == "exec" || r.subresource == "attach") ||
		r.resource == "nodes" && r.subresource == "proxy" && r.verb == "create"
}

// changes reports whether the request makes, changes or removes its object.
func (r *kubeRequest) changes() bool {
	switch r.verb {
	case "create", "update", "patch", "replace", "delete", "deletecollection":
		return true
	}
	return false
}

// machinery reports whether a part of the cluster itself asked: what those read
// and keep up to date goes on all day long. Service accounts of other namespaces
// and people are not among them.
func (r *kubeRequest) machinery() bool {
	name, ok := strings.CutPrefix(r.user, "system:")
	return ok && !strings.HasPrefix(name, "anonymous") && !strings.HasPrefix(name, "unauthenticated") && !strings.HasPrefix(name, "admin") &&
		(!strings.HasPrefix(name, "serviceaccount:") || strings.HasPrefix(name, "serviceaccount:kube-system:"))
}

// act says what the request did; a request just received, or refused, did nothing
// yet.
func (r *kubeRequest) act() model.Act {
	if r.stage == "RequestReceived" {
		return model.ActNone
	}
	if r.failed {
		return model.ActAPICall
	}
	if r.runs() {
		return model.ActRemoteExec
	}
	switch r.resource {
	case "secrets":
		if !r.changes() && !r.machinery() {
			return model.ActObjectRead // a list of secrets holds what they are
		}
	case "serviceaccounts":
		if r.subresource == "token" {
			if r.machinery() {
				return model.ActNone // a kubelet for its pods
			}
			return model.ActKeyIssued
		}
		if r.changes() {
			return model.ActAccountChange
		}
	case "certificatesigningrequests":
		if r.changes() && r.verb != "delete" {
			return model.ActKeyIssued
		}
	case "roles", "clusterroles", "rolebindings", "clusterrolebindings":
		if r.changes() {
			return model.ActAccountChange
		}
	case "selfsubjectaccessreviews", "selfsubjectrulesreviews":
		return model.ActObjectList // what may I do here
	case "cronjobs":
		if r.verb == "create" {
			return model.ActTaskCreate
		}
	case "events":
		if strings.HasPrefix(r.verb, "delete") && !r.machinery() {
			return model.ActLogCleared
		}
		return model.ActNone
	case "leases", "tokenreviews", "subjectaccessreviews", "endpointslices", "endpoints":
		if r.machinery() {
			return model.ActNone
		}
	}
	if r.placed() {
		return model.ActIdentify
	}
	switch {
	case r.subresource == "status":
		return model.ActNone
	case r.verb == "delete" || r.verb == "deletecollection":
		return model.ActObjectDelete
	case r.changes():
		return model.ActConfigChange
	case r.machinery() || r.verb == "watch":
		return model.ActNone
	case r.resource == "configmaps":
		return model.ActObjectRead
	case r.verb == "list":
		return model.ActObjectList
	}
	return model.ActAPICall
}

// placed reports whether the request says on which node a pod runs: the scheduler
// binds it to one, and the node's kubelet reports on it.
func (r *kubeRequest) placed() bool {
	if r.resource != "pods" || r.name == "" {
		return false
	}
	return r.subresource == "binding" && r.verb == "create" || r.subresource == "status" && r.changes() && strings.HasPrefix(r.user, "system:node:")
}

// node is the node of a pod that was placed.
func (r *kubeRequest) node(doc *jsonDoc) string {
	if r.subresource == "binding" {
		return doc.text(r.request + ".target.name")
	}
	return strings.TrimPrefix(r.user, "system:node:")
}

// queryCommand is the command line that the query of a request to exec holds, one
// argument in each command=.
func queryCommand(uri string) string {
	_, query, _ := strings.Cut(uri, "?")
	values, _ := url.ParseQuery(query) // what could be read of a broken one
	return strings.Join(values["command"], " ")
}

// workload adds what rules ask of the containers that a request makes, wherever
// the kind of workload keeps its pod.
func (r *kubeRequest) workload(w *jsonWorker, b *Batch) {
	for i := range w.doc.leaves {
		leaf := &w.doc.leaves[i]
		rest, ok := strings.CutPrefix(leaf.path.name, r.request)
		if !ok || leaf.text == "" {
			continue
		}
		switch {
		case strings.HasSuffix(rest, "spec.volumes.hostPath.path"):
			b.Slot(w.o.Names.ID("hostPath"), model.String, leaf.text)
		case strings.HasSuffix(rest, "ontainers.securityContext.capabilities.add"):
			b.Slot(w.o.Names.ID("capabilities"), model.String, leaf.text)
		}
	}
}

// entities are who asked, as whom, from where, and on what.
func (r *kubeRequest) entities(w *jsonWorker, e *model.Event) []model.Entity {
	doc := &w.doc
	var s entitySet
	r.actor(doc, &s)
	if as := doc.text("impersonatedUser.username"); as != "" {
		s.add(model.User, model.Target, strings.ToLower(as), as, "")
	}
	s.ip(model.Src, r.from)
	if e.Act == model.ActIdentify {
		s.add(model.Pod, model.Subject, kubeName(r.namespace, r.name), r.name, "")
		s.add(model.Host, model.Subject, linuxHost(r.node(doc)), "", "")
		return s.list
	}
	if r.namespace != "" {
		s.add(model.Namespace, model.Target, r.namespace, "", "")
	}
	role := model.Target
	if e.Act == model.ActRemoteExec {
		role = model.Subject
	}
	switch name := r.name; {
	case name == "":
	case r.resource == "pods":
		s.add(model.Pod, role, kubeName(r.namespace, name), name, "")
	case r.resource == "namespaces":
		s.add(model.Namespace, model.Target, name, "", "")
	case r.resource == "nodes":
		s.add(model.Host, role, linuxHost(name), "", "")
	case r.resource == "serviceaccounts":
		s.add(model.User, model.Target, "system:serviceaccount:"+r.namespace+":"+name, name, "")
	case r.resource == "roles" || r.resource == "clusterroles":
		s.add(model.IAMRole, model.Target, kubeName(r.namespace, name), name, "")
	case e.Act == model.ActTaskCreate:
		s.add(model.App, model.Object, "cronjobs/"+kubeName(r.namespace, name), name, "")
	default:
		s.add(model.Resource, model.Target, r.resource+"/"+kubeName(r.namespace, name), name, "")
	}
	if strings.HasSuffix(r.resource, "rolebindings") && r.changes() {
		r.binding(w, &s)
	}
	return s.list
}

// kubeName is the name of an object, unique in its cluster among those of a kind.
func kubeName(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// actor adds who asked. EKS says which AWS identity stands behind a user, and a
// service account's token which pod it was made for.
func (r *kubeRequest) actor(doc *jsonDoc, s *entitySet) {
	if strings.Contains(r.arn, ":assumed-role/") {
		s.roleSession(model.Actor, r.arn)
		s.add(model.IAMRole, model.Actor, r.role, "", "")
	} else {
		s.add(model.User, model.Actor, firstOf(r.arn, strings.ToLower(r.user)), r.user, "")
	}
	s.add(model.AccessKey, model.Actor, r.key, "", "")
	namespace, _, _ := strings.Cut(strings.TrimPrefix(r.user, "system:serviceaccount:"), ":")
	if pod := doc.text("user.extra.authentication.kubernetes.io/pod-name"); pod != "" {
		s.add(model.Pod, model.Actor, kubeName(namespace, pod), pod, "")
	}
	if node := doc.text("user.extra.authentication.kubernetes.io/node-name"); node != "" {
		s.add(model.Host, model.Src, linuxHost(node), "", "")
	}
}

// maxSubjects bounds the accounts of one binding that are told.
const maxSubjects = 16

// binding adds whom a role binding gives which role.
func (r *kubeRequest) binding(w *jsonWorker, s *entitySet) {
	object := memberText(w.text(), strings.Split(r.request, ".")...)
	if role := jsonString(memberText(object, "roleRef", "name")); role != "" {
		namespace := ""
		if jsonString(memberText(object, "roleRef", "kind")) == "Role" {
			namespace = r.namespace
		}
		s.add(model.IAMRole, model.Target, kubeName(namespace, role), role, "")
	}
	n := 0
	eachElement(memberText(object, "subjects"), func(subject string) bool {
		name := jsonString(memberText(subject, "name"))
		switch jsonString(memberText(subject, "kind")) {
		case "ServiceAccount":
			s.add(model.User, model.Target, "system:serviceaccount:"+firstOf(jsonString(memberText(subject, "namespace")), r.namespace)+":"+name, name, "")
		case "User":
			s.add(model.User, model.Target, strings.ToLower(name), name, "")
		}
		n++
		return n < maxSubjects
	})
}
