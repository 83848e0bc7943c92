package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// gcpFlowShape is a connection as networks of Google Cloud log it, exported by Cloud
// Logging: sampled flows (vpc_flows), and what a firewall rule let pass or not, which
// has a disposition. Both name the machine that they were seen at.
func gcpFlowShape() jsonShape {
	return jsonShape{
		name:  "gcp-flow",
		all:   []string{"jsonPayload.connection.src_ip", "jsonPayload.connection.dest_ip"},
		times: []string{"jsonPayload.start_time", "timestamp", "jsonPayload.end_time", "receiveTimestamp"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Source = model.LogSource{Product: "gcp", Category: "firewall", Service: "vpcflow"}
			e.Subsystem = model.Network
			e.Code = strings.ToUpper(doc.text("jsonPayload.disposition"))
			if e.Code != "DENIED" {
				e.Act = model.ActConnect
			}
			for _, f := range [...]struct{ name, path string }{
				{"src_ip", "jsonPayload.connection.src_ip"}, {"dst_ip", "jsonPayload.connection.dest_ip"},
				{"src_port", "jsonPayload.connection.src_port"}, {"dst_port", "jsonPayload.connection.dest_port"}, {"action", "jsonPayload.disposition"},
			} {
				w.add(b, f.name, doc.text(f.path))
			}
			var s entitySet
			s.ip(model.Src, doc.text("jsonPayload.connection.src_ip"))
			s.ip(model.Dst, doc.text("jsonPayload.connection.dest_ip"))
			at, own := "jsonPayload.instance.", ""
			switch strings.ToUpper(doc.text("jsonPayload.reporter")) {
			case "SRC":
				at, own = "jsonPayload.src_instance.", doc.text("jsonPayload.connection.src_ip")
			case "DEST":
				at, own = "jsonPayload.dest_instance.", doc.text("jsonPayload.connection.dest_ip")
			}
			project, zone, vm := doc.text(at+"project_id"), doc.text(at+"zone"), doc.text(at+"vm_name")
			if project != "" && zone != "" && vm != "" {
				s.add(model.Resource, model.Subject, "projects/"+project+"/zones/"+zone+"/instances/"+vm, vm, joinIDs(own))
			}
			e.Entities = s.list
			return emitTimed(b, e)
		},
	}
}
