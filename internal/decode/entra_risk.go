package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// riskShape is what Entra's identity protection noticed of an account or a workload
// identity: as Microsoft Graph lists risk detections, as diagnostic settings stream
// them, and as rows of the tables AADUserRiskEvents, AADRiskyUsers and their kin.
// Rules ask for its fields by their names in Graph.
func riskShape() jsonShape {
	either := func(name string) string {
		return name + "|properties." + name + "|" + strings.ToUpper(name[:1]) + name[1:]
	}
	return jsonShape{
		name: "azure",
		all:  []string{either("riskEventType") + "|" + either("riskState")},
		any:  []string{either("userPrincipalName"), either("userId"), either("servicePrincipalId"), either("appId")},
		also: func(d *jsonDoc) bool { // a sign-in says its risk too
			switch category := d.text("category|Category"); category {
			case "UserRiskEvents", "RiskyUsers", "ServicePrincipalRiskEvents", "RiskyServicePrincipals":
				return true
			case "":
				return d.has("riskEventType") && d.has("detectedDateTime|activityDateTime") || strings.HasPrefix(d.text("Type"), "AADRisky") || strings.HasSuffix(d.text("Type"), "RiskEvents")
			}
			return false
		},
		times: []string{either("activityDateTime"), either("detectedDateTime"), either("riskLastUpdatedDateTime"), "time", "TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			kind, state := doc.text(either("riskEventType")), doc.text(either("riskState"))
			e.Code = firstOf(kind, state)
			e.Source = model.LogSource{Product: "azure", Service: "riskdetection"}
			e.Subsystem = model.Identity
			w.add(b, "riskEventType", kind)
			w.add(b, "riskState", state)
			w.add(b, "riskLevel", doc.text(either("riskLevel")))
			var s entitySet
			s.upn(model.Subject, doc.text(either("userPrincipalName")))
			if id := doc.text(either("appId") + "|" + either("servicePrincipalId")); id != "" {
				s.app(model.Subject, id, doc.text(either("servicePrincipalDisplayName")+"|ServicePrincipalName|DisplayName"))
			}
			s.clientIP(doc.text(either("ipAddress")))
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
