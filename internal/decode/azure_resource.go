package decode

import (
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// azureResourceShape is the log of one of Azure's resources, as diagnostic settings
// send it to storage, an event hub or a workspace: Key Vault, Storage, and the
// auditing of SQL databases.
func azureResourceShape() jsonShape {
	return jsonShape{
		name:  "azure-resource",
		all:   []string{"category|Category|Type", "resourceId|ResourceId|_ResourceId", "operationName|OperationName"},
		also:  func(d *jsonDoc) bool { return azureLogOf(d) != azureOther },
		times: []string{"properties.event_time", "event_time_t", "EventTime", "time", "TimeGenerated", "p_event_time"},
		emit:  emitAzureResource,
	}
}

type azureLog uint8

const (
	azureOther azureLog = iota
	azureVault
	azureStorage
	azureSQL
)

// azureLogOf tells a resource's log by its category, which two providers may share,
// and the provider.
func azureLogOf(d *jsonDoc) azureLog {
	resource := d.text("resourceId|ResourceId|_ResourceId")
	is := func(provider string) bool {
		for i := 0; i+len(provider) <= len(resource); i++ {
			if strings.EqualFold(resource[i:i+len(provider)], provider) {
				return true
			}
		}
		return false
	}
	switch d.text("category|Category") {
	case "AuditEvent":
		if is("/microsoft.keyvault/") {
			return azureVault
		}
	case "StorageRead", "StorageWrite", "StorageDelete":
		return azureStorage
	case "SQLSecurityAuditEvents", "DevOpsOperationsAudit":
		return azureSQL
	}
	switch d.text("Type") { // tables of one log each
	case "AZKVAuditLogs":
		return azureVault
	case "StorageBlobLogs", "StorageFileLogs", "StorageQueueLogs", "StorageTableLogs":
		return azureStorage
	case "SQLSecurityAuditEvents":
		return azureSQL
	}
	return azureOther
}

// azureClaim returns a claim of the caller's token: in the record, in the
// columns of AzureDiagnostics, and in the column Identity of the tables of one log.
func (w *jsonWorker) azureClaim(paths, name string) string {
	if text := w.doc.text(paths); text != "" {
		return text
	}
	text := w.doc.text("Identity")
	if text == "" || text[0] != '{' {
		return ""
	}
	w.inner.reset()
	if _, err := w.inner.parse(stringBytes(text), 0); err != nil {
		return ""
	}
	return w.inner.text("claim." + name)
}

func emitAzureResource(w *jsonWorker, b *Batch, e *model.Event) error {
	doc := &w.doc
	resource := strings.ToLower(doc.text("resourceId|ResourceId|_ResourceId"))
	e.Code = doc.text("operationName|OperationName")
	e.Source = model.LogSource{Product: "azure"}
	var s entitySet
	s.upn(model.Actor, w.azureClaim("identity.claim.upn|Identity.claim.upn|identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s|identity.claim.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn|identity.claim.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name|identity_claim_upn_s|identity.requester.upn|RequesterUpn", "upn"))
	if id := w.azureClaim("identity.claim.appid|Identity.claim.appid|identity_claim_appid_g|identity.requester.appId|RequesterAppId", "appid"); id != "" {
		s.app(model.Actor, id, "")
	}
	s.objectID(model.Actor, doc.text("identity.claim.oid|identity.claim.http://schemas.microsoft.com/identity/claims/objectidentifier|identity_claim_oid_g|identity.requester.objectId|RequesterObjectId"))
	s.managedIdentity(doc.text("identity.claims.xms_mirid|identity.claim.xms_mirid|identity_claim_xms_mirid_s"))
	s.clientIP(doc.text("callerIpAddress|callerIPAddress|CallerIPAddress|CallerIpAddress|properties.client_ip|client_ip_s|ClientIp"))
	switch azureLogOf(doc) {
	case azureVault:
		e.Source.Service, e.Subsystem = "keyvault", model.Secrets
		e.Act = vaultAct(e.Code, doc.text("resultSignature|ResultSignature"))
		s.add(model.Resource, model.Target, resource, "", "")
		s.add(model.Resource, model.Target, strings.ToLower(doc.text("properties.id|id_s|Id")), "", "")
	case azureStorage:
		e.Source.Service, e.Subsystem = "storage", model.Storage
		status := doc.text("statusCode|StatusCode")
		e.Act = storageAct(e.Code, len(status) == 3 && status[0] >= '4')
		if hash := doc.text("identity.tokenHash|AuthenticationHash"); hash != "" {
			s.add(model.AccessKey, model.Actor, hash, "", "")
		}
		account, _, _ := strings.Cut(resource, "/blobservices")
		s.add(model.Resource, model.Target, account, "", "")
		if key := doc.text("properties.objectKey|ObjectKey"); key != "" {
			s.add(model.Resource, model.Target, "azure-storage:"+strings.ToLower(key), key, "")
		}
	case azureSQL:
		e.Source.Category, e.Source.Service, e.Subsystem = "database", "sqlauditing", model.Database
		e.Code = firstOf(doc.text("properties.action_name|action_name_s|ActionName"), e.Code)
		e.Act = azureSQLAct(e.Code, strings.ToLower(doc.text("properties.succeeded|succeeded_s|Succeeded")))
		role := model.Actor
		if e.Act == model.ActLogon || e.Act == model.ActLogonFailed {
			role = model.Target
		}
		principal := doc.text("properties.server_principal_name|server_principal_name_s|ServerPrincipalName")
		if name := strings.ToLower(principal); name != "" {
			if !strings.Contains(name, "@") {
				name = resource + `\` + name
			}
			s.add(model.User, role, name, principal, "")
		}
		s.add(model.Resource, model.Target, resource, "", "")
	}
	e.Entities = s.list
	return emitTimed(b, e)
}

// vaultAct says what an operation of Key Vault did: "SecretGet", "VaultAccessPolicyChangedEventGridNotification".
func vaultAct(operation, signature string) model.Act {
	if signature == "Forbidden" || signature == "Unauthorized" {
		return model.ActAPICall
	}
	switch {
	case strings.HasSuffix(operation, "List"), strings.HasSuffix(operation, "ListVersions"), strings.HasSuffix(operation, "ListDeleted"):
		return model.ActObjectList
	case operation == "VaultPut", operation == "VaultPatch", strings.Contains(operation, "AccessPolicy"), strings.Contains(operation, "Policy"):
		return model.ActConfigChange
	case strings.HasSuffix(operation, "Delete"), strings.HasSuffix(operation, "Purge"):
		return model.ActObjectDelete
	case strings.HasSuffix(operation, "Get"), strings.HasSuffix(operation, "Backup"), strings.HasSuffix(operation, "Decrypt"), strings.HasSuffix(operation, "Unwrap"), strings.HasSuffix(operation, "Export"):
		return model.ActObjectRead
	case strings.HasSuffix(operation, "Set"), strings.HasSuffix(operation, "Create"), strings.HasSuffix(operation, "Import"), strings.HasSuffix(operation, "Restore"), strings.HasSuffix(operation, "Update"), strings.HasSuffix(operation, "Rotate"):
		return model.ActObjectWrite
	}
	return model.ActAPICall
}

// storageAct says what an operation of Azure Storage did.
func storageAct(operation string, failed bool) model.Act {
	switch {
	case failed:
		return model.ActAPICall
	case strings.HasPrefix(operation, "List"), strings.HasPrefix(operation, "GetContainer"), strings.HasPrefix(operation, "GetBlobServiceProperties"):
		return model.ActObjectList
	case strings.HasPrefix(operation, "GetUserDelegationKey"):
		return model.ActKeyIssued
	case strings.Contains(operation, "ACL"), strings.HasSuffix(operation, "ServiceProperties"), strings.Contains(operation, "AccessPolicy"):
		return model.ActConfigChange
	case strings.HasPrefix(operation, "Get"), strings.HasPrefix(operation, "Query"), strings.HasPrefix(operation, "Read"), strings.HasPrefix(operation, "Peek"):
		return model.ActObjectRead
	case strings.HasPrefix(operation, "Delete"):
		return model.ActObjectDelete
	case strings.HasPrefix(operation, "Put"), strings.HasPrefix(operation, "Create"), strings.HasPrefix(operation, "Copy"), strings.HasPrefix(operation, "Append"), strings.HasPrefix(operation, "Flush"), strings.HasPrefix(operation, "Rename"), strings.HasPrefix(operation, "Set"):
		return model.ActObjectWrite
	}
	return model.ActAPICall
}

// azureSQLAct says what an action of SQL Server's audit did.
func azureSQLAct(action, succeeded string) model.Act {
	a := strings.ToUpper(action)
	switch {
	case strings.Contains(a, "AUTHENTICATION FAILED"), strings.Contains(a, "LOGIN FAILED"):
		return model.ActLogonFailed
	case strings.Contains(a, "AUTHENTICATION SUCCEEDED"), strings.Contains(a, "LOGIN SUCCEEDED"):
		return model.ActLogon
	case succeeded == "false":
		return model.ActAPICall
	case strings.Contains(a, "AUDIT") && strings.Contains(a, "CHANGE"):
		return model.ActLogCleared
	case strings.Contains(a, "ROLE MEMBER"), strings.Contains(a, "PRINCIPAL"), strings.Contains(a, "PASSWORD"), strings.Contains(a, "PERMISSION"):
		return model.ActAccountChange
	case strings.Contains(a, "BACKUP"), strings.Contains(a, "SELECT"):
		return model.ActObjectRead
	}
	return model.ActAPICall
}

// nsgFlowShape is a flow log of Azure's networks: of network security groups (a
// record a minute and rule, up to version 2) and of virtual networks. Each tuple in
// a record is one connection.
func nsgFlowShape() jsonShape {
	return jsonShape{
		name: "azure-flow",
		all:  []string{"category", "properties.flows.flows.flowTuples|flowRecords.flows.flowGroups.flowTuples"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			b.Drop()
			bad := 0
			for _, path := range [...]string{"properties.flows.flows.flowTuples", "flowRecords.flows.flowGroups.flowTuples"} {
				w.doc.each(path, func(tuple string) bool {
					if !emitFlowTuple(w, b, *e, tuple) {
						bad++
					}
					return true
				})
			}
			if bad > 0 {
				b.report(e.Ref.Offset, e.Ref.Record, "azure-flow: "+strconv.Itoa(bad)+" flow tuples that cannot be read")
			}
			return nil
		},
	}
}

// emitFlowTuple emits the connection of one tuple:
//
//	network security group: time s, src, dst, src port, dst port, T|U, I|O, A|D, [state, packets, bytes, packets back, bytes back]
//	virtual network:        time ms, src, dst, src port, dst port, protocol number, I|O, state, encryption, packets, bytes, packets back, bytes back
func emitFlowTuple(w *jsonWorker, b *Batch, e model.Event, tuple string) bool {
	f := strings.Split(tuple, ",")
	if len(f) < 8 || len(f) > 16 {
		return false
	}
	var ok bool
	if e.Recorded, ok = parseEpoch(f[0]); !ok {
		return false
	}
	action, bytesAt := "allow", 10
	if f[7] == "D" {
		action = "deny"
	}
	if protocol := f[5]; protocol != "T" && protocol != "U" && f[7] == "D" {
		action = "deny"
	}
	slot := func(id model.FieldID, kind model.Kind, text string) {
		if text != "" {
			b.Slot(id, kind, text)
		}
	}
	slot(model.FSrcIp, model.String, f[1])
	slot(model.FDstIp, model.String, f[2])
	slot(model.FSrcPort, model.Number, f[3])
	slot(model.FDstPort, model.Number, f[4])
	slot(w.o.Names.ID("protocol"), model.String, f[5])
	slot(w.o.Names.ID("direction"), model.String, map[string]string{"I": "inbound", "O": "outbound"}[f[6]])
	slot(w.o.Names.ID("action"), model.String, action)
	if len(f) > bytesAt {
		slot(w.o.Names.ID("cs-bytes"), model.Number, f[bytesAt])
	}
	e.Format = "azure-flow"
	e.Raw = []byte(tuple) // what makes the connections of one record differ
	e.Source = model.LogSource{Product: "azure", Category: "firewall", Service: "flowlogs"}
	e.Subsystem, e.Code = model.Network, "flow"
	if action == "allow" {
		e.Act = model.ActConnect
	}
	var s entitySet
	s.ip(model.Src, f[1])
	s.ip(model.Dst, f[2])
	e.Entities = s.list
	finish(&e)
	b.Emit(e)
	return true
}
