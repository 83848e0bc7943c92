package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// crowdStrikeShape is an event of CrowdStrike Falcon's sensor, as Falcon Data
// Replicator exports them: flat, or below "event". Sigma's names are added, so that
// rules for processes, files, connections and DNS work on it.
func crowdStrikeShape() jsonShape {
	return jsonShape{
		name:  "crowdstrike",
		all:   []string{"event_simpleName|event_simplename|event.event_simpleName", "aid|event.aid"},
		times: []string{"ContextTimeStamp", "event.ContextTimeStamp", "event.ProcessStartTime", "ProcessStartTime", "timestamp", "event.timestamp", "p_event_time"},
		field: func(path string) string { return strings.TrimPrefix(path, "event.") },
		emit:  emitCrowdStrike,
	}
}

func emitCrowdStrike(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	get := func(name string) string { return doc.text("event." + name + "|" + name) }
	e.Code = doc.text("event_simpleName|event_simplename|event.event_simpleName")
	switch get("event_platform") {
	case "Win":
		e.Source.Product = "windows"
	case "Lin":
		e.Source.Product = "linux"
	case "Mac":
		e.Source.Product = "macos"
	}
	e.Subsystem = model.Compute
	sensor := get("aid")
	e.Host = strings.ToLower(firstOf(get("ComputerName"), sensor))
	e.Act, e.Source.Category = crowdStrikeAct(e.Code)
	alias := func(f model.FieldID, text string) {
		if text != "" && text != "-" && b.Text(f) == "" {
			b.Slot(f, model.String, text)
		}
	}
	image := devicePath(get("ImageFileName"))
	s := entitySet{host: e.Host}
	s.add(model.Host, model.Subject, e.Host, "", sensor)
	user := get("UserName")
	process := func(role model.Role, number, name string) {
		if number != "" && number != "0" {
			s.add(model.Process, role, sensor+":"+number, name, "")
		}
	}
	switch e.Act {
	case model.ActProcessStart:
		alias(model.FImage, image)
		alias(model.FParentImage, get("ParentBaseFileName"))
		alias(model.FUser, user)
		process(model.Subject, get("TargetProcessId"), image)
		process(model.Parent, firstOf(get("ParentProcessId"), get("SourceProcessId")), get("ParentBaseFileName"))
		if image != "" {
			s.add(model.File, model.Object, e.Host+":"+strings.ToLower(image), image, "")
		}
		s.add(model.Hash, model.Object, strings.ToLower(get("SHA256HashData")), "", "")
	default:
		process(model.Actor, firstOf(get("ContextProcessId"), get("TargetProcessId")), devicePath(get("ContextImageFileName")))
	}
	if by := devicePath(get("ContextImageFileName")); e.Act != model.ActProcessStart {
		alias(model.FImage, by)
	}
	switch e.Act {
	case model.ActDNS:
		alias(model.FQueryName, get("DomainName"))
		s.add(model.Domain, model.Object, strings.ToLower(strings.TrimSuffix(get("DomainName"), ".")), "", "")
		e.Subsystem = model.Network
	case model.ActConnect:
		alias(model.FSourceIp, firstOf(get("LocalAddressIP4"), get("LocalAddressIP6")))
		alias(model.FDestinationIp, firstOf(get("RemoteAddressIP4"), get("RemoteAddressIP6")))
		alias(model.FDestinationPort, firstOf(get("RemotePort"), get("RPort")))
		s.ip(model.Src, firstOf(get("LocalAddressIP4"), get("LocalAddressIP6")))
		s.ip(model.Dst, firstOf(get("RemoteAddressIP4"), get("RemoteAddressIP6")))
		e.Subsystem = model.Network
	case model.ActFileWrite, model.ActFileDelete:
		path := devicePath(get("TargetFileName"))
		alias(model.FTargetFilename, path)
		if path != "" {
			s.add(model.File, model.Object, e.Host+":"+strings.ToLower(path), path, "")
		}
	case model.ActImageLoad:
		alias(model.FImageLoaded, image)
	case model.ActRegistrySet:
		if key := get("RegObjectName"); key != "" {
			alias(model.FTargetObject, strings.TrimSuffix(key+`\`+get("RegValueName"), `\`))
		}
		alias(model.FDetails, get("RegStringValue"))
	case model.ActLogon, model.ActLogonFailed:
		s.user(model.Target, get("LogonDomain"), user, get("UserSid"))
		s.ip(model.Src, firstOf(get("RemoteAddressIP4"), get("RemoteIP")))
		e.Subsystem = model.Identity
	}
	if e.Act != model.ActLogon && e.Act != model.ActLogonFailed {
		s.user(model.Actor, get("UserDomain"), user, get("UserSid"))
	}
	e.Entities = s.list
	return emitTimed(b, e)
}

// devicePath writes a path of Windows' object manager as people do: the sensor does
// not know drive letters, and the volume of the system is the third on most
// machines and C: on nearly all.
func devicePath(path string) string {
	rest, ok := strings.CutPrefix(path, `\Device\HarddiskVolume`)
	if !ok {
		return path
	}
	if i := strings.IndexByte(rest, '\\'); i > 0 && strings.Trim(rest[:i], "0123456789") == "" {
		return "C:" + rest[i:]
	}
	return path
}

// crowdStrikeAct says what an event's name means, and Sigma's category of it.
func crowdStrikeAct(name string) (model.Act, string) {
	switch name {
	case "ProcessRollup2", "SyntheticProcessRollup2":
		return model.ActProcessStart, "process_creation"
	case "EndOfProcess":
		return model.ActProcessEnd, "process_termination"
	case "DnsRequest":
		return model.ActDNS, "dns_query"
	case "NetworkConnectIP4", "NetworkConnectIP6", "NetworkReceiveAcceptIP4", "NetworkReceiveAcceptIP6":
		return model.ActConnect, "network_connection"
	case "ClassifiedModuleLoad", "ImageHash":
		return model.ActImageLoad, "image_load"
	case "AsepValueUpdate", "RegGenericValueUpdate", "RegSystemConfigValueUpdate":
		return model.ActRegistrySet, "registry_set"
	case "UserLogon", "UserIdentity":
		return model.ActLogon, ""
	case "UserLogonFailed", "UserLogonFailed2":
		return model.ActLogonFailed, ""
	case "ScheduledTaskRegistered":
		return model.ActTaskCreate, ""
	case "CreateService", "ServiceStarted":
		return model.ActServiceInstall, ""
	case "ScriptControlScanTelemetry", "CommandHistory":
		return model.ActScript, "ps_script"
	case "InjectedThread", "CreateThreadReflectiveDll":
		return model.ActInject, "create_remote_thread"
	case "EventLogCleared":
		return model.ActLogCleared, ""
	}
	switch {
	case strings.HasSuffix(name, "FileWritten"), name == "NewExecutableWritten", name == "NewScriptWritten":
		return model.ActFileWrite, "file_event"
	case strings.HasSuffix(name, "FileDeleted"), name == "ExecutableDeleted":
		return model.ActFileDelete, "file_delete"
	}
	return model.ActNone, ""
}
