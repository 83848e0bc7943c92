package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// graphActivityShape is a request to Microsoft Graph, as diagnostic settings stream
// it and as a row of the table MicrosoftGraphActivityLogs
// (https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/microsoftgraphactivitylogs).
// The caller is known by object id, as an application by client id.
func graphActivityShape() jsonShape {
	return jsonShape{
		name:  "azure",
		all:   []string{"properties.requestUri|RequestUri", "properties.requestMethod|RequestMethod", "properties.appId|AppId"},
		any:   []string{"properties.responseStatusCode|ResponseStatusCode"},
		times: []string{"properties.timeGenerated", "time", "TimeGenerated"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			method, uri := doc.text("properties.requestMethod|RequestMethod"), doc.text("properties.requestUri|RequestUri")
			status := doc.text("properties.responseStatusCode|ResponseStatusCode")
			e.Code = method
			e.Source = model.LogSource{Product: "azure", Service: "microsoftgraphactivitylogs"}
			e.Subsystem, e.Act = model.Identity, model.ActAPICall
			if done := status != "" && status[0] < '4'; done {
				switch method {
				case "DELETE":
					e.Act = model.ActObjectDelete
				case "POST", "PUT", "PATCH":
					e.Act = model.ActConfigChange
				}
			}
			var s entitySet
			s.add(model.User, model.Actor, strings.ToLower(doc.text("properties.userId|UserId")), "", "")
			s.app(model.Actor, doc.text("properties.appId|AppId"), "")
			s.clientIP(doc.text("properties.ipAddress|callerIpAddress|IPAddress"))
			if path, _, _ := strings.Cut(uri, "?"); path != "" && len(path) <= maxURL {
				s.add(model.URL, model.Object, strings.ToLower(path), uri, "")
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
