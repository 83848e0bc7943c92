package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// provisioningRowShape is the same as a row of the table AADProvisioningLogs of Log
// Analytics (https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/aadprovisioninglogs):
// the record's members as columns, its objects as text.
func provisioningRowShape() jsonShape {
	return jsonShape{
		name:  "azure",
		all:   []string{"JobId", "ProvisioningAction", "TimeGenerated"},
		times: []string{"TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			return w.unwrapRow(b, e, camelColumn)
		},
	}
}

// camelColumn is the member of a record that a column of the same name holds: its
// first letter is small.
func camelColumn(column string) string {
	if column == "" {
		return ""
	}
	return strings.ToLower(column[:1]) + column[1:]
}

// provisioningShape is what Entra's provisioning did to an account of one directory
// or application because of one of another: as diagnostic settings stream it, with
// its fields below properties, and as Microsoft Graph lists it.
func provisioningShape() jsonShape {
	const below = "properties."
	either := func(path string) string { return below + path + "|" + path }
	return jsonShape{
		name:  "azure",
		all:   []string{either("jobId"), either("sourceSystem.displayName") + "|" + either("sourceSystem.id"), either("targetSystem.displayName") + "|" + either("targetSystem.id")},
		any:   []string{either("sourceIdentity.displayName"), either("sourceIdentity.id"), either("targetIdentity.id"), either("provisioningAction"), either("action")},
		times: []string{either("activityDateTime"), "time", "timeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			action := doc.text(below + "provisioningAction|provisioningAction|" + below + "action|action")
			e.Code = action
			e.Source = model.LogSource{Product: "azure", Service: "provisioninglogs"}
			e.Subsystem = model.Identity
			e.Act = model.ActAPICall
			status := doc.text(either("provisioningStatusInfo.status") + "|" + either("statusInfo.status") + "|provisioningStatusInfo.Status|resultSignature")
			switch strings.ToLower(action) {
			case "create", "update", "delete", "stageddelete", "disable":
				if strings.EqualFold(status, "success") {
					e.Act = model.ActAccountChange
				}
			}
			var s entitySet
			s.app(model.Actor, doc.text(either("servicePrincipal.id")), doc.text(either("servicePrincipal.displayName")))
			for _, side := range [...]string{"sourceIdentity.", "targetIdentity."} {
				if !strings.EqualFold(doc.text(either(side+"identityType")), "User") {
					continue
				}
				name := doc.text(either(side+"details.userPrincipalName") + "|" + either(side+"displayName"))
				if strings.Contains(name, "@") {
					s.upn(model.Target, name)
				}
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
