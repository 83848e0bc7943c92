package decode

import "github.com/catena-sec/catena/internal/model"

// firepowerShape is an event of Cisco's Secure Firewall as its event streamer's
// client writes it as JSON: connections, files, malware and intrusions, the two ends
// as InitiatorIP and ResponderIP. What a device saw pass is its, not the host's.
func firepowerShape() jsonShape {
	return jsonShape{
		name:  "cisco",
		all:   []string{"EventType", "InitiatorIP", "ResponderIP"},
		any:   []string{"DeviceUUID", "FirstPacketSecond", "EventSecond", "SensorID"},
		times: []string{"EventSecond", "FirstPacketSecond", "LastPacketSecond"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			doc := &w.doc
			e.Code = doc.text("EventType")
			e.Source = model.LogSource{Product: "cisco", Category: "firewall", Service: "ftd"}
			e.Subsystem = model.Network
			e.Host = linuxHost(firstOf(doc.text("Hostname"), doc.text("Device|DeviceIP")))
			action := asciiLower(firstOf(doc.text("AC_RuleAction"), doc.text("InlineResult"), doc.text("FileAction")))
			blocked := containsAny(action, []string{"block", "drop", "deny"}) && !containsAny(action, []string{"would"})
			for _, f := range [...]struct{ name, text string }{
				{"src_ip", doc.text("InitiatorIP")}, {"src_port", doc.text("InitiatorPort")}, {"dst_ip", doc.text("ResponderIP")}, {"dst_port", doc.text("ResponderPort")},
				{"protocol", asciiLower(doc.text("Protocol"))}, {"action", action}, {"user", doc.text("User")},
			} {
				w.add(b, f.name, f.text)
			}
			if blocked {
				w.add(b, "blocked", "true")
			} else if e.Code == "ConnectionEvent" {
				e.Act = model.ActConnect
			}
			return emitTimed(b, e)
		},
	}
}
