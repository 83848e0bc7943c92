package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// elasticHitShape is a document as Elasticsearch's search and export tools give it,
// the document itself under _source. OpenSearch writes the same.
func elasticHitShape() jsonShape {
	return jsonShape{
		name: "elastic",
		all:  []string{"_index", "_source.@timestamp|_source.timestamp|_source.EventTime|_source.eventTime"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error { return w.unwrapAt(b, e, "_source") },
	}
}

// ecsShape is an event in the Elastic Common Schema, by whichever agent or module,
// that no shape of its own product fits. The record it was made of is used instead
// where it is kept under event.original and known.
func ecsShape() jsonShape {
	return jsonShape{
		name:     "ecs",
		all:      []string{"@timestamp"},
		any:      []string{"ecs.version", "event.category", "event.dataset"},
		times:    []string{"@timestamp"},
		received: []string{"event.ingested"},
		emit:     emitECS,
	}
}

func emitECS(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	if (doc.has("event.original") || !doc.has("event.category")) && w.d.carried(w, b, e) {
		return nil
	}
	e.Format = "ecs"
	e.Host = linuxHost(doc.text("host.name|host.hostname"))
	e.Code = firstOf(doc.text("event.code"), doc.text("event.action"))
	e.Source = model.LogSource{Product: ecsProduct(doc), Service: firstOf(doc.text("event.module"), doc.text("event.dataset"))}
	p := endpointEvent{
		process: ecsProcess(doc, "process"), parent: ecsProcess(doc, "process.parent"), target: ecsProcess(doc, "Target.process"),
		user:   ecsUser(doc, "user"),
		file:   doc.text("file.path"),
		sha256: firstOf(doc.text("file.hash.sha256"), doc.text("process.hash.sha256"), doc.text("dll.hash.sha256")),
		md5:    firstOf(doc.text("file.hash.md5"), doc.text("process.hash.md5"), doc.text("dll.hash.md5")),
		src:    firstOf(doc.text("source.ip"), doc.text("client.ip")), srcPort: firstOf(doc.text("source.port"), doc.text("client.port")),
		dst: firstOf(doc.text("destination.ip"), doc.text("server.ip")), dstPort: firstOf(doc.text("destination.port"), doc.text("server.port")),
		protocol:  strings.ToLower(doc.text("network.transport")),
		inbound:   strings.HasPrefix(doc.text("network.direction"), "in"),
		domain:    firstOf(doc.text("dns.question.name"), doc.text("destination.domain")),
		container: containerID(doc.text("container.id")),
		namespace: firstOf(doc.text("kubernetes.namespace"), doc.text("orchestrator.namespace")),
	}
	if ecsRelayed(doc) {
		e.Host = "" // who sends it on is not where it happened
	} else {
		p.hostIDs = joinIDs(doc.text("host.id"), doc.text("agent.id"), doc.text("cloud.instance.id"))
	}
	p.pod = kubePod(p.namespace, firstOf(doc.text("kubernetes.pod.name"), doc.text("orchestrator.resource.name")))
	e.Act = ecsAct(doc)
	switch e.Act {
	case model.ActImageLoad:
		p.file = firstOf(doc.text("dll.path"), p.file)
	case model.ActRegistrySet:
		w.add(b, "TargetObject", doc.text("registry.path"))
		w.add(b, "Details", doc.text("registry.data.strings"))
	case model.ActLogon, model.ActLogonFailed, model.ActLogoff, model.ActAccountChange:
		p.account = p.user
		p.user = ecsUser(doc, "user.effective")
		if target := ecsUser(doc, "user.target"); target != "" {
			p.user, p.account = p.account, target
		}
	case model.ActNone:
		if program := doc.text("process.name"); program != "" && strings.HasPrefix(doc.text("event.dataset"), "system.") {
			if err := emitSyslogMessage(b, e, w.o.Names, program, doc.text("process.pid"), doc.text("message")); err != nil {
				return err
			}
			return emitTimed(b, e)
		}
	}
	return p.emit(w, b, e)
}

// ecsRelayed says whether an event is of something that only passes the host's agent:
// what an observer beside the host saw, or the log of a cloud or of a service.
func ecsRelayed(doc *jsonDoc) bool {
	if doc.has("observer.name|observer.hostname|observer.type|observer.vendor") && !doc.has("process.pid|process.entity_id") {
		return true
	}
	module, _, _ := strings.Cut(firstOf(doc.text("event.module"), doc.text("event.dataset")), ".")
	return relayedModule(module)
}

// relayedModule says whether an integration of Elastic's fetches or receives the logs
// of something other than the machine its agent runs on.
func relayedModule(name string) bool {
	switch name {
	case "aws", "azure", "gcp", "google_workspace", "o365", "okta", "github", "gitlab", "auth0", "onelogin", "zoom", "snyk", "slack", "1password", "cloudflare", "salesforce",
		"m365_defender", "microsoft_defender_endpoint", "crowdstrike", "sentinel_one", "carbon_black_cloud", "panw", "fortinet", "fortinet_fortigate", "cisco", "cisco_asa", "cisco_ftd",
		"cisco_ios", "cisco_meraki", "cisco_umbrella", "checkpoint", "sophos", "juniper", "juniper_srx", "f5", "barracuda", "zscaler", "zscaler_zia", "netflow", "suricata", "zeek", "snort", "cef", "pfsense", "sonicwall":
		return true
	}
	return false
}

// ecsProduct is the product of Sigma's taxonomy that an event belongs to.
func ecsProduct(doc *jsonDoc) string {
	system := strings.ToLower(firstOf(doc.text("host.os.type"), doc.text("host.os.family"), doc.text("host.os.platform")))
	switch system {
	case "windows", "linux", "macos":
		return system
	case "darwin":
		return "macos"
	case "debian", "redhat", "ubuntu", "centos", "suse", "rhel", "amzn", "arch":
		return "linux"
	}
	return firstOf(strings.ToLower(doc.text("event.module")), strings.ToLower(doc.text("agent.type")), "ecs")
}

// ecsProcess is the process under a path.
func ecsProcess(doc *jsonDoc, path string) endpointProcess {
	return endpointProcess{
		guid: doc.text(path + ".entity_id"), pid: doc.text(path + ".pid"), image: doc.text(path + ".executable"),
		command: doc.text(path + ".command_line"), dir: doc.text(path + ".working_directory"),
	}
}

// ecsUser is the account under a path, with its domain where that is one.
func ecsUser(doc *jsonDoc, path string) string {
	name, domain := doc.text(path+".name"), doc.text(path+".domain")
	if name == "" {
		return doc.text(path + ".email")
	}
	if domain != "" && !strings.ContainsAny(name, `\@`) {
		return domain + `\` + name
	}
	return name
}

// ecsAct says what an event tells by its category, type, action and outcome, of
// which each may be a list.
func ecsAct(doc *jsonDoc) model.Act {
	is := func(path string, values ...string) bool {
		found := false
		doc.each(path, func(text string) bool {
			for _, v := range values {
				found = found || strings.EqualFold(text, v)
			}
			return !found
		})
		return found
	}
	failed := is("event.outcome", "failure")
	action := strings.ToLower(doc.text("event.action"))
	switch {
	case is("event.category", "authentication"), is("event.category", "session"):
		switch {
		case is("event.type", "end"), strings.Contains(action, "logoff"), strings.Contains(action, "logged-out"):
			return model.ActLogoff
		case failed:
			return model.ActLogonFailed
		}
		return model.ActLogon
	case failed:
		return model.ActNone
	case is("event.category", "process"):
		switch {
		case is("event.type", "start") && action != "fork":
			return model.ActProcessStart
		case is("event.type", "end"):
			return model.ActProcessEnd
		case is("event.type", "access"):
			return model.ActProcessAccess
		}
	case is("event.category", "library", "driver"):
		return model.ActImageLoad
	case is("event.category", "registry"):
		if !is("event.type", "access") {
			return model.ActRegistrySet
		}
	case is("event.category", "file"):
		switch {
		case is("event.type", "deletion"):
			return model.ActFileDelete
		case is("event.type", "creation", "change"):
			return model.ActFileWrite
		case is("event.type", "access"):
			return model.ActFileRead
		}
	case doc.has("dns.question.name"):
		return model.ActDNS
	case is("event.category", "network"):
		if doc.has("destination.ip|server.ip") && !is("event.type", "denied") {
			return model.ActConnect
		}
	case is("event.category", "iam"):
		return model.ActAccountChange
	case is("event.category", "configuration"):
		return model.ActConfigChange
	}
	return model.ActNone
}
