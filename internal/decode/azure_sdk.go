package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// azureSDKShape is Azure's activity log as its command line and client libraries
// print it: names with their translation beside them, and in Python's spelling. The
// fields get the names of the export.
func azureSDKShape() jsonShape {
	return jsonShape{
		name:  "azure",
		all:   []string{"operation_name.value|operationName.value", "event_timestamp|eventTimestamp"},
		times: []string{"event_timestamp", "eventTimestamp"},
		field: azureSDKField,
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			w.add(b, "callerIpAddress", doc.text("http_request.client_ip_address|httpRequest.clientIpAddress"))
			return emitEntra(b, e, doc.text("operation_name.value|operationName.value"), doc.text("category.value"), doc.text("status.value"))
		},
	}
}

// azureSDKField spells each label of a path as the REST interface does and leaves
// out the ".value" of names; their translation is dropped.
func azureSDKField(path string) string {
	if strings.HasSuffix(path, ".localized_value") || strings.HasSuffix(path, ".localizedValue") {
		return ""
	}
	if strings.HasPrefix(path, "claims.") || strings.HasPrefix(path, "properties.") {
		return path
	}
	path = strings.TrimSuffix(path, ".value")
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '_' && i+1 < len(path) && path[i+1]|0x20 >= 'a' && path[i+1]|0x20 <= 'z' {
			i++
			out.WriteByte(path[i] &^ 0x20)
			continue
		}
		out.WriteByte(path[i])
	}
	return out.String()
}
