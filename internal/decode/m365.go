package decode

import (
	"cmp"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// entraRowShape is a row of the Log Analytics tables AuditLogs and SigninLogs of
// Microsoft Entra ID. Columns that hold JSON text (InitiatedBy, TargetResources,
// AdditionalDetails) are read into dotted fields beside their text.
func entraRowShape() jsonShape {
	return jsonShape{
		name:  "entra",
		all:   []string{"OperationName|OperationNameValue", "TimeGenerated"},
		any:   []string{"InitiatedBy", "InitiatedBy.user.userPrincipalName", "InitiatedBy.app.displayName", "LoggedByService", "AppDisplayName", "UserPrincipalName", "ServicePrincipalId", "RiskEventType", "RiskState"},
		times: []string{"TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			w.innerColumns(b)
			return emitEntra(b, e, w.doc.text("OperationName|OperationNameValue"), b.Text(model.FCategory), b.Text(model.FResultType))
		},
	}
}

// azureDiagShape is a record of Azure's diagnostic export (event hub, storage):
// operationName, category and the event itself under properties. It carries Entra
// audit and sign-in logs and the activity log of subscriptions.
func azureDiagShape() jsonShape {
	return jsonShape{
		name:  "azure",
		all:   []string{"operationName|operationName.value"},
		any:   []string{"resourceId", "category", "eventTimestamp", "event_timestamp", "event_time"},
		times: []string{"time", "Time", "eventTimestamp", "event_timestamp", "event_time", "timestamp", "p_event_time"},
		also: func(d *jsonDoc) bool {
			return d.has("resourceId") || d.has("time") || d.has("Time") || d.has("eventTimestamp") || d.has("event_timestamp") || d.has("event_time")
		},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			result, _ := w.doc.find("resultType")
			return emitEntra(b, e, w.doc.text("operationName|operationName.value"), w.doc.text("category"), result)
		},
	}
}

// emitEntra finishes an Entra or Azure event.
func emitEntra(b *Batch, e *model.Event, operation, category, result string) error {
	e.Code = strings.TrimSpace(operation)
	e.Source = model.LogSource{Product: "azure"}
	e.Subsystem = model.Identity
	switch c := strings.ToLower(category); {
	case strings.HasSuffix(c, "signinlogs"), strings.EqualFold(e.Code, "Sign-in activity"):
		e.Source.Service = "signinlogs"
		e.Act = model.ActLogon
		if result != "" && result != "0" && !strings.EqualFold(result, "success") {
			e.Act = model.ActLogonFailed
		}
	case c == "administrative", c == "policy", c == "security", strings.Contains(e.Code, ".") && strings.Contains(e.Code, "/"):
		e.Source.Service = "activitylogs"
		e.Subsystem = azureSubsystem(e.Code)
		e.Act = azureAct(e.Code)
	case strings.Contains(c, "riskyusers"), strings.Contains(c, "userriskevents"):
		e.Source.Service = "riskdetection"
	default:
		e.Source.Service = "auditlogs"
		e.Act = entraAct(e.Code)
	}
	return emitTimed(b, e)
}

// entraAct says what an operation of the Entra audit log did.
func entraAct(operation string) model.Act {
	op := strings.ToLower(strings.TrimSuffix(operation, "."))
	switch {
	case strings.Contains(op, "certificates and secrets management"), strings.Contains(op, "service principal credentials"),
		strings.Contains(op, "add password"), strings.Contains(op, "add key"), strings.Contains(op, "federated identity credential"):
		return model.ActKeyIssued
	case strings.Contains(op, "permission grant"), strings.Contains(op, "app role assignment"), strings.HasPrefix(op, "consent to application"),
		strings.Contains(op, "member to role"), strings.Contains(op, "member to group"), strings.Contains(op, "owner to"),
		strings.Contains(op, "user") && !strings.Contains(op, "policy"), strings.Contains(op, "password"), strings.Contains(op, "security info"):
		return model.ActAccountChange
	case strings.HasPrefix(op, "add"), strings.HasPrefix(op, "update"), strings.HasPrefix(op, "delete"), strings.HasPrefix(op, "remove"),
		strings.HasPrefix(op, "set"), strings.HasPrefix(op, "disable"), strings.HasPrefix(op, "enable"), strings.HasPrefix(op, "create"), strings.HasPrefix(op, "hard delete"):
		return model.ActConfigChange
	}
	return model.ActAPICall
}

func azureAct(operation string) model.Act {
	op := strings.ToLower(operation)
	switch {
	case strings.Contains(op, "roleassignments/write"), strings.Contains(op, "elevateaccess"):
		return model.ActAccountChange
	case strings.Contains(op, "listkeys"), strings.Contains(op, "listaccountsas"), strings.Contains(op, "regeneratekey"):
		return model.ActKeyIssued
	case strings.Contains(op, "runcommand"):
		return model.ActRemoteExec
	case strings.Contains(op, "diagnosticsettings/delete"):
		return model.ActLogCleared
	case strings.HasSuffix(op, "/delete"):
		return model.ActObjectDelete
	case strings.HasSuffix(op, "/write"):
		return model.ActConfigChange
	case strings.HasSuffix(op, "/read"):
		return model.ActObjectList
	}
	return model.ActAPICall
}

// officeShape is the Microsoft 365 unified audit log, as its API gives it
// (CreationTime, Workload) or as a row of the OfficeActivity table. Sigma's older
// rules know its fields as eventSource, eventName and status: they are added.
func officeShape() jsonShape {
	return jsonShape{
		name:  "m365",
		all:   []string{"Operation"},
		any:   []string{"Workload|OfficeWorkload", "RecordType", "CreationTime"},
		times: []string{"TimeGenerated", "CreationTime", "Start_Time", "p_event_time"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			w.innerColumns(b)
			doc := &w.doc
			operation := doc.text("Operation")
			workload := doc.text("Workload|OfficeWorkload")
			if _, ok := b.Get(model.FEventName); !ok {
				b.Slot(model.FEventName, model.String, operation)
				if workload != "" {
					b.Slot(model.FEventSource, model.String, workload)
				}
				if s := strings.ToLower(b.Text(model.FResultStatus)); s != "" {
					if strings.HasPrefix(s, "succe") || s == "true" {
						s = "success"
					}
					b.Slot(w.o.Names.ID("status"), model.String, s)
				}
			}
			e.Code = operation
			e.Source = model.LogSource{Product: "m365", Service: "audit"}
			e.Subsystem = cmp.Or(officeSubsystem(workload, operation), model.Application)
			switch workload {
			case "Exchange":
				e.Source.Service = "exchange"
			case "SecurityComplianceCenter":
				e.Source.Service = "threat_management"
			}
			e.Act = officeAct(operation, b.Text(model.FResultStatus))
			return emitTimed(b, e)
		},
	}
}

// officeAct says what an operation of the unified audit log did.
func officeAct(operation, result string) model.Act {
	switch operation {
	case "MailItemsAccessed", "MessageBind", "FolderBind", "SearchQueryInitiatedExchange":
		return model.ActMailAccess
	case "UserLoggedIn", "MailboxLogin", "TeamsSessionStarted":
		if strings.EqualFold(result, "failed") {
			return model.ActLogonFailed
		}
		return model.ActLogon
	case "UserLoginFailed":
		return model.ActLogonFailed
	case "FileDownloaded", "FileAccessed", "FileSyncDownloadedFull", "FileAccessedExtended", "FilePreviewed":
		return model.ActObjectRead
	case "FileUploaded", "FileModified", "FileCopied", "FileMoved", "FileRenamed", "FileSyncUploadedFull":
		return model.ActObjectWrite
	case "FileDeleted", "FileRecycled", "HardDelete", "SoftDelete", "MoveToDeletedItems":
		return model.ActObjectDelete
	case "New-InboxRule", "Set-InboxRule", "UpdateInboxRules", "Set-Mailbox", "New-TransportRule", "Set-TransportRule", "Set-AdminAuditLogConfig",
		"Set-Domain", "Add-FederatedDomain", "New-FederatedDomain", "Update StsRefreshTokenValidFrom Timestamp.", "Set domain authentication.":
		return model.ActConfigChange
	case "Add-MailboxPermission", "Add-MailboxFolderPermission", "Add-RecipientPermission", "Add-RoleGroupMember", "New-ManagementRoleAssignment":
		return model.ActAccountChange
	}
	return entraAct(operation)
}

// defenderShape is a row of Microsoft 365 Defender's advanced hunting tables. The
// processes and files in it get Sigma's names too.
func defenderShape() jsonShape {
	return jsonShape{
		name:  "m365-defender",
		all:   []string{"ActionType", "Timestamp"},
		times: []string{"Timestamp"},
		field: columnName,
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			for i := range w.doc.leaves {
				leaf := &w.doc.leaves[i]
				if columnName(leaf.path.name) == "AdditionalFields" {
					w.innerJSON(b, leaf)
				}
			}
			e.Code = w.doc.text("ActionType")
			e.Source = model.LogSource{Product: "m365", Service: "defender"}
			e.Host = strings.ToLower(w.doc.text("DeviceName"))
			e.Act, e.Source.Category = defenderAct(e.Code)
			e.Subsystem = sysmonSubsystem(e.Act)
			if b.Text(model.FInitiatingProcessFileName) == "" && e.Act == model.ActNone {
				// A row of the cloud app or identity tables: named as in the audit logs.
				if e.Act = officeAct(e.Code, ""); e.Act == model.ActAPICall && strings.Contains(e.Code, "replication") {
					e.Act = model.ActObjectRead
				}
				e.Subsystem = cmp.Or(officeSubsystem("", e.Code), model.Identity)
			} else {
				aliasDefender(b, e)
			}
			return emitTimed(b, e)
		},
	}
}

func defenderAct(action string) (model.Act, string) {
	switch action {
	case "ProcessCreated":
		return model.ActProcessStart, "process_creation"
	case "ConnectionSuccess", "ConnectionRequest", "InboundConnectionAccepted", "ConnectionFound":
		return model.ActConnect, "network_connection"
	case "FileCreated", "FileModified", "FileRenamed":
		return model.ActFileWrite, "file_event"
	case "FileDeleted":
		return model.ActFileDelete, "file_delete"
	case "RegistryValueSet", "RegistryKeyCreated", "RegistryValueDeleted", "RegistryKeyDeleted":
		return model.ActRegistrySet, "registry_set"
	case "ImageLoaded":
		return model.ActImageLoad, "image_load"
	case "LogonSuccess":
		return model.ActLogon, ""
	case "LogonFailed":
		return model.ActLogonFailed, ""
	case "OpenProcessApiCall":
		return model.ActProcessAccess, "process_access"
	case "CreateRemoteThreadApiCall":
		return model.ActInject, "create_remote_thread"
	case "PowerShellCommand", "ScriptContent", "AmsiScriptContent":
		return model.ActScript, ""
	case "ServiceInstalled":
		return model.ActServiceInstall, ""
	case "ScheduledTaskCreated":
		return model.ActTaskCreate, ""
	case "SecurityLogCleared":
		return model.ActLogCleared, ""
	case "DnsConnectionInspected", "DnsQueryResponse":
		return model.ActDNS, "dns_query"
	}
	return model.ActNone, ""
}

// aliasDefender adds Sigma's names of the device tables' processes.
func aliasDefender(b *Batch, e *model.Event) {
	var v winView
	v.read(b.Open())
	e.Source.Product = "windows"
	initiator := firstOf(v.text(model.FInitiatingProcessFolderPath), v.text(model.FInitiatingProcessFileName))
	path := v.text(model.FFolderPath)
	switch e.Act {
	case model.ActProcessStart:
		addAlias(b, &v, model.FImage, path)
		addAlias(b, &v, model.FCommandLine, v.text(model.FProcessCommandLine))
		addAlias(b, &v, model.FParentImage, initiator)
		addAlias(b, &v, model.FParentCommandLine, v.text(model.FInitiatingProcessCommandLine))
		return
	case model.ActFileWrite, model.ActFileDelete:
		addAlias(b, &v, model.FTargetFilename, path)
	case model.ActImageLoad:
		addAlias(b, &v, model.FImageLoaded, path)
	case model.ActConnect:
		addAlias(b, &v, model.FDestinationIp, v.text(model.FRemoteIP))
		addAlias(b, &v, model.FDestinationPort, v.text(model.FRemotePort))
		addAlias(b, &v, model.FSourceIp, v.text(model.FLocalIP))
	case model.ActRegistrySet:
		if key := v.text(model.FRegistryKey); key != "" {
			addAlias(b, &v, model.FTargetObject, strings.TrimSuffix(key+`\`+v.text(model.FRegistryValueName), `\`))
			addAlias(b, &v, model.FDetails, v.text(model.FRegistryValueData))
		}
	}
	addAlias(b, &v, model.FImage, initiator)
	addAlias(b, &v, model.FCommandLine, v.text(model.FInitiatingProcessCommandLine))
}

// vmConnectionShape is a row of Azure Monitor's VMConnection table: who talked to
// whom, from one machine's view, summed up over a minute.
func vmConnectionShape() jsonShape {
	return jsonShape{
		name:  "vmconnection",
		all:   []string{"Type", "TimeGenerated", "Computer"},
		also:  func(d *jsonDoc) bool { return d.text("Type") == "VMConnection" },
		times: []string{"TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			e.Source = model.LogSource{Product: "azure", Category: "network_connection", Service: "vmconnection"}
			e.Host = strings.ToLower(w.doc.text("Computer"))
			e.Code = "VMConnection"
			e.Act, e.Subsystem = model.ActConnect, model.Network
			return emitTimed(b, e)
		},
	}
}
