package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// OCSF returns the writer of findings of the Open Cybersecurity Schema Framework
// 1.8.0 as NDJSON: an Incident Finding (class 2005) for each incident, worst first,
// and after them a Detection Finding (class 2004) for each alert of the report.
// https://schema.ocsf.io/1.8.0/classes/incident_finding
//
// Times are milliseconds since 1970. The time of an incident is that of its last
// evidence: when it was opened depends on the clock, which no report knows. What
// OCSF has no attribute for stands in "unmapped".
func OCSF(o Options) Writer { return ocsfWriter{o} }

type ocsfWriter struct{ o Options }

func (ocsfWriter) Name() string { return "ocsf" }
func (ocsfWriter) File() string { return "ocsf.ndjson" }

// ocsfVersion is the version of the schema written.
const ocsfVersion = "1.8.0"

// An ocsfObject is one object; encoding/json writes its attributes sorted.
type ocsfObject map[string]any

func (w ocsfWriter) Write(out io.Writer, r *model.Report) error {
	b := bufio.NewWriterSize(out, 1<<16)
	put := func(o ocsfObject) error {
		line, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("write OCSF: %w", err)
		}
		_, err = b.Write(append(escapeHidden(line), '\n'))
		return err
	}
	for i := range r.Incidents {
		inc := copyOf(r.Incidents[i], validUTF8)
		if err := put(w.incident(r, &inc)); err != nil {
			return err
		}
	}
	for i := range r.Alerts {
		a := copyOf(r.Alerts[i], validUTF8)
		if err := put(w.detection(r, &a)); err != nil {
			return err
		}
	}
	return b.Flush()
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// finding is what both classes have.
func (w ocsfWriter) finding(r *model.Report, class int, className, id string, at time.Time, s model.Severity) ocsfObject {
	severityID := s.Rank() + 1 // 0 is unknown
	return ocsfObject{
		"activity_id": 1, "activity_name": "Create",
		"category_uid": 2, "category_name": "Findings",
		"class_uid": class, "class_name": className,
		"type_uid": class*100 + 1, "type_name": className + ": Create",
		"time": millis(at), "severity_id": severityID, "severity": []string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}[severityID],
		"metadata": ocsfObject{"version": ocsfVersion, "uid": catenaSpace.of("ocsf", id),
			"product": ocsfObject{"name": "Catena", "vendor_name": "Catena", "version": validUTF8(r.Engine.Version)}},
	}
}

func (w ocsfWriter) incident(r *model.Report, inc *model.Incident) ocsfObject {
	o := w.finding(r, 2005, "Incident Finding", inc.ID, inc.LastSeen, inc.Severity)
	attacks := w.attacks(r, inc.Tactics, inc.Techniques)
	info := ocsfObject{"uid": inc.ID, "title": inc.Title, "first_seen_time": millis(inc.FirstSeen), "last_seen_time": millis(inc.LastSeen),
		"analytic": ocsfObject{"uid": "catena.fusion", "name": "Kill-chain fusion", "type_id": 3, "type": "Statistical"}, "related_events_count": len(inc.Alerts)}
	related := make([]ocsfObject, len(inc.Alerts))
	for i, id := range inc.Alerts {
		related[i] = ocsfObject{"uid": id, "type_uid": 200401, "type": "Detection Finding: Create"}
	}
	setList(info, "related_events", related)
	setList(info, "attacks", attacks)
	setList(info, "kill_chain", killChain(inc.Tactics))
	desc := make([]string, len(inc.Summary))
	for i, s := range inc.Summary {
		desc[i] = s.Text
	}
	if text := strings.Join(desc, " "); text != "" {
		o["desc"], info["desc"] = text, text
	}
	o["finding_info_list"] = []ocsfObject{info}
	setList(o, "attacks", attacks)
	o["message"] = inc.Title
	o["start_time"], o["end_time"] = millis(inc.FirstSeen), millis(inc.LastSeen)
	o["status_id"], o["status"] = ocsfStatus(inc.Status)
	o["assignee_group"] = ocsfObject{"name": "unassigned"} // the class wants an assignee or a group
	setList(o, "observables", observables(incidentEntities(inc), "unmapped.catena.entities"))
	o["unmapped"] = ocsfObject{"catena": ocsfObject{"score": inc.Score, "stages": inc.Stages, "cloud_steps": inc.CloudSteps, "root": inc.Root,
		"impact": inc.Impact, "steps": inc.Steps, "entities": inc.Entities}}
	return o
}

func incidentEntities(inc *model.Incident) []model.Entity {
	es := make([]model.Entity, len(inc.Entities))
	for i, e := range inc.Entities {
		es[i] = model.Entity{Type: e.Type, Value: e.Value, Name: e.Name}
	}
	return es
}

func ocsfStatus(s string) (id int, caption string) {
	names := []string{"new", "in_progress", "on_hold", "resolved", "closed"}
	if i := slices.Index(names, s); i > 0 {
		return i + 1, title(s)
	}
	return 1, "New"
}

func (w ocsfWriter) detection(r *model.Report, a *model.Alert) ocsfObject {
	o := w.finding(r, 2004, "Detection Finding", a.ID, a.Time, a.Severity)
	if a.Incident != nil {
		meta, _ := o["metadata"].(ocsfObject)
		meta["correlation_uid"] = *a.Incident
	}
	attacks := w.attacks(r, a.Tactics, a.Techniques)
	info := ocsfObject{"uid": a.ID, "title": a.Rule.Title, "first_seen_time": millis(a.Time), "last_seen_time": millis(a.End),
		"analytic": ocsfObject{"uid": a.Rule.ID, "name": a.Rule.Title, "type_id": 1, "type": "Rule"}}
	if a.Product != "" {
		info["product"] = ocsfObject{"name": a.Product, "vendor_name": "Unknown"}
	}
	if a.Format != "" {
		info["data_sources"] = []string{a.Format}
	}
	setList(info, "attacks", attacks)
	setList(info, "kill_chain", killChain(a.Tactics))
	o["finding_info"] = info
	o["message"] = a.Rule.Title
	o["is_alert"] = true
	o["status_id"], o["status"] = 1, "New"
	o["start_time"], o["end_time"], o["count"] = millis(a.Time), millis(a.End), max(1, a.Count)
	setList(o, "evidences", evidences(a))
	resources := make([]ocsfObject, len(a.Entities))
	for i, e := range a.Entities {
		resources[i] = ocsfObject{"uid": e.Value, "name": e.Label(), "type": string(e.Type)}
		if e.Role != "" {
			resources[i]["labels"] = []string{"role:" + string(e.Role)}
		}
	}
	setList(o, "resources", resources)
	setList(o, "observables", observables(a.Entities, "resources"))
	o["unmapped"] = ocsfObject{"catena": ocsfObject{"intent": a.Intent, "stage": a.Stage, "cloud_step": a.CloudStep, "subsystem": a.Subsystem, "rule_source": a.Rule.Source, "raw": a.Raw}}
	return o
}

// setList sets an attribute to a list unless it is empty: OCSF has no empty lists
// of what is not known.
func setList(o ocsfObject, name string, list []ocsfObject) {
	if len(list) > 0 {
		o[name] = list
	}
}

// attacks are tactics and techniques as OCSF tells them, an object for each technique,
// and one for all tactics of which the techniques tell nothing.
func (w ocsfWriter) attacks(r *model.Report, tactics, techniques []string) []ocsfObject {
	version := validUTF8(r.Engine.AttackVersion)
	var tacticList []ocsfObject
	for _, t := range tactics {
		tacticList = append(tacticList, ocsfObject{"name": w.o.tactic(t), "uid": w.o.tacticID(t)})
	}
	name := func(id string) ocsfObject {
		o := ocsfObject{"uid": id}
		if n := w.o.technique(id); n != "" {
			o["name"] = n
		}
		return o
	}
	var out []ocsfObject
	for _, id := range techniques {
		parent, _, sub := strings.Cut(id, ".")
		o := ocsfObject{"version": version, "technique": name(parent)}
		if sub {
			o["sub_technique"] = name(id)
		}
		if len(techniques) == 1 && len(tacticList) == 1 { // else which is whose is not known
			o["tactic"] = tacticList[0]
		}
		out = append(out, o)
	}
	if len(techniques) == 1 && len(tacticList) == 1 {
		return out
	}
	for _, t := range tacticList {
		out = append(out, ocsfObject{"version": version, "tactic": t})
	}
	return out
}

// killChain are the phases of Lockheed Martin's chain in which tactics fall. The
// tactics that hide or weaken belong to no one phase.
func killChain(tactics []string) []ocsfObject {
	phases := []string{"Unknown", "Reconnaissance", "Weaponization", "Delivery", "Exploitation", "Installation", "Command & Control", "Actions on Objectives"}
	var ids []int
	for _, t := range tactics {
		switch t {
		case "reconnaissance":
			ids = append(ids, 1)
		case "resource-development":
			ids = append(ids, 2)
		case "initial-access":
			ids = append(ids, 3)
		case "execution", "privilege-escalation":
			ids = append(ids, 4)
		case "persistence":
			ids = append(ids, 5)
		case "command-and-control":
			ids = append(ids, 6)
		case "credential-access", "discovery", "lateral-movement", "collection", "exfiltration", "impact":
			ids = append(ids, 7)
		}
	}
	slices.Sort(ids)
	var out []ocsfObject
	for _, id := range slices.Compact(ids) {
		out = append(out, ocsfObject{"phase_id": id, "phase": phases[id]})
	}
	return out
}

// evidences are the records of an alert; the first says who and what, as the alert
// does.
func evidences(a *model.Alert) []ocsfObject {
	out := make([]ocsfObject, len(a.Evidence))
	for i, e := range a.Evidence {
		data := ocsfObject{"input": e.Input, "record": e.Record}
		if len(e.Event) > 0 {
			data["event"] = e.Event
		}
		out[i] = ocsfObject{"data": data}
		if e.ID != "" {
			out[i]["uid"] = e.ID
		}
	}
	if len(out) > 0 {
		participants(a, out[0])
	}
	return out
}

// participants sets the attributes of evidence that entities of an alert fit, the
// first of each.
func participants(a *model.Alert, ev ocsfObject) {
	actor := ocsfObject{}
	set := func(o ocsfObject, name string, v ocsfObject) {
		if _, ok := o[name]; !ok {
			o[name] = v
		}
	}
	for _, e := range a.Entities {
		switch e.Type {
		case model.Host:
			if e.Role == model.Dst {
				set(ev, "dst_endpoint", ocsfObject{"hostname": e.Value})
			} else if e.Role != model.Src && e.Role != model.Sensor {
				set(ev, "device", ocsfObject{"hostname": e.Value, "type_id": 0, "type": "Unknown"})
			}
		case model.User:
			if e.Role == model.Actor {
				set(actor, "user", ocsfObject{"name": e.Value})
			} else {
				set(ev, "user", ocsfObject{"name": e.Value})
			}
		case model.Process:
			p := ocsfObject{"uid": e.Value, "name": cmp.Or(baseName(e.Name), e.Value)}
			if e.Name != "" {
				p["file"] = ocsfObject{"name": baseName(e.Name), "path": e.Name, "type_id": 0, "type": "Unknown"}
			}
			switch e.Role {
			case model.Actor, model.Parent:
				set(actor, "process", p)
			default:
				set(ev, "process", p)
			}
		case model.File:
			set(ev, "file", ocsfObject{"name": baseName(e.Value), "path": e.Value, "type_id": 0, "type": "Unknown"})
		case model.IP:
			switch e.Role {
			case model.Src:
				set(ev, "src_endpoint", ocsfObject{"ip": e.Value})
			case model.Dst:
				set(ev, "dst_endpoint", ocsfObject{"ip": e.Value})
			}
		case model.URL:
			set(ev, "url", ocsfObject{"url_string": e.Value})
		}
	}
	if len(actor) > 0 {
		ev["actor"] = actor
	}
}

// observables are entities by which findings are searched; attribute is the list
// in which they stand.
func observables(es []model.Entity, attribute string) []ocsfObject {
	var out []ocsfObject
	for i, e := range es {
		id, kind, value, field := 99, string(e.Type), e.Value, "uid"
		switch e.Type {
		case model.Host:
			id, kind = 1, "Hostname"
			if _, err := netip.ParseAddr(e.Value); err == nil {
				id, kind = 2, "IP Address"
			}
		case model.Domain:
			id, kind = 1, "Hostname"
		case model.IP:
			id, kind = 2, "IP Address"
		case model.User:
			id, kind = 4, "User Name"
		case model.Mailbox:
			if strings.Contains(e.Value, "@") {
				id, kind = 5, "Email Address"
			}
		case model.URL:
			id, kind = 6, "URL String"
		case model.File:
			id, kind, value = 7, "File Name", baseName(e.Value)
		case model.Hash:
			id, kind = 8, "Hash"
		case model.Process:
			id, kind, value, field = 9, "Process Name", baseName(e.Label()), "name"
		case model.Resource:
			id, kind = 10, "Resource UID"
		}
		if strings.HasPrefix(attribute, "unmapped") && field == "uid" {
			field = "value"
		}
		out = append(out, ocsfObject{"name": fmt.Sprintf("%s[%d].%s", attribute, i, field), "type_id": id, "type": kind, "value": value})
	}
	return out
}
