package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// STIX returns the writer of a STIX 2.1 bundle: for each incident an incident
// object and a flow of the Attack Flow extension (actions, assets, operators where
// several acts lead to one), with the techniques and observables they refer to.
// https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html and
// https://center-for-threat-informed-defense.github.io/attack-flow/language/
//
// All ids are made of content, so that the same incident written again is the same
// object to whoever keeps it.
func STIX(o Options) Writer { return stixWriter{o} }

type stixWriter struct{ o Options }

func (stixWriter) Name() string { return "stix" }
func (stixWriter) File() string { return "stix.json" }

// What the Attack Flow project publishes of its extension.
const (
	flowExtension = "extension-definition--fb9c968a-745b-4ade-9b25-c324172197f4"
	flowAuthor    = "identity--d673f8cb-c168-42da-8ed4-0cb26725f86c"
	flowCreated   = "2022-08-02T19:34:35.143Z"
	flowSchema    = "https://center-for-threat-informed-defense.github.io/attack-flow/stix/attack-flow-schema-2.0.0.json"
)

// stixActions bounds the actions of one flow: beyond, no picture of it can be read.
const stixActions = 500

// selfCreated is when the identity of this program and its techniques are said to
// be made: a fixed day, since the wall clock is in no report.
const selfCreated = "2026-01-01T00:00:00.000Z"

// stixTime is a time as STIX writes it: UTC, milliseconds.
func stixTime(t time.Time) string { return sayable(t).Format("2006-01-02T15:04:05.000Z") }

// A stixObject is one object; encoding/json writes its properties sorted.
type stixObject map[string]any

type bundle struct {
	objects []stixObject
	ids     map[string]bool
}

// add puts an object into the bundle once and returns its id.
func (b *bundle) add(id string, o stixObject) string {
	if !b.ids[id] {
		b.ids[id] = true
		o["id"] = id
		b.objects = append(b.objects, o)
	}
	return id
}

func selfID() string { return "identity--" + catenaSpace.of("identity", "catena") }

func (s stixWriter) Write(w io.Writer, r *model.Report) error {
	b := &bundle{ids: make(map[string]bool)}
	s.head(b)
	for i := range r.Incidents {
		s.incident(b, &r.Incidents[i])
	}
	ids := make([]string, 0, len(b.objects)+1)
	ids = append(ids, "bundle")
	for _, o := range b.objects {
		id, _ := o["id"].(string)
		ids = append(ids, id)
	}
	doc := struct {
		Type    string       `json:"type"`
		ID      string       `json:"id"`
		Objects []stixObject `json:"objects"`
	}{"bundle", "bundle--" + catenaSpace.of(ids...), b.objects}
	out, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fmt.Errorf("write STIX bundle: %w", err)
	}
	_, err = w.Write(append(escapeHidden(out), '\n'))
	return err
}

// head writes who speaks, and the extension.
func (s stixWriter) head(b *bundle) {
	b.add(flowExtension, stixObject{"type": "extension-definition", "spec_version": "2.1", "created": flowCreated, "modified": flowCreated,
		"created_by_ref": flowAuthor, "name": "Attack Flow", "description": "Objects for flows of adversary behavior.",
		"schema": flowSchema, "version": "2.0.0", "extension_types": []string{"new-sdo"}})
	b.add(flowAuthor, stixObject{"type": "identity", "spec_version": "2.1", "created": flowCreated, "modified": flowCreated,
		"created_by_ref": flowAuthor, "name": "MITRE Center for Threat-Informed Defense", "identity_class": "organization"})
	b.add(selfID(), stixObject{"type": "identity", "spec_version": "2.1", "created": selfCreated, "modified": selfCreated,
		"name": "Catena", "identity_class": "system"})
}

func (s stixWriter) incident(b *bundle, inc *model.Incident) {
	f := flowOf(inc, stixActions, s.o)
	first, last := stixTime(inc.FirstSeen), stixTime(inc.LastSeen)
	if last < first { // STIX wants modified not before created
		last = first
	}
	object := func(kind string) stixObject {
		o := stixObject{"type": kind, "spec_version": "2.1", "created_by_ref": selfID(), "created": first, "modified": last}
		if strings.HasPrefix(kind, "attack-") && kind != "attack-pattern" {
			o["extensions"] = stixObject{flowExtension: stixObject{"extension_type": "new-sdo"}}
		}
		return o
	}
	name := f.name
	if name == "" {
		name = Clean(inc.ID)
	}
	o := object("incident")
	o["name"] = name
	describe(o, f.description)
	o["labels"] = []string{"severity-" + Clean(string(inc.Severity))}
	o["external_references"] = []stixObject{{"source_name": "catena", "external_id": Clean(inc.ID), "description": fmt.Sprintf("score %d of 100", inc.Score)}}
	incident := b.add("incident--"+catenaSpace.of("incident", inc.ID), o)
	if len(f.actions) == 0 {
		return // a flow starts with an action
	}
	id := func(kind string, parts ...string) string {
		return kind + "--" + catenaSpace.of(append([]string{kind, inc.ID}, parts...)...)
	}
	assets := make([]string, len(f.assets))
	for i, a := range f.assets {
		o := object("attack-asset")
		o["name"] = a.value
		describe(o, a.text)
		if ref := b.observable(a); ref != "" {
			o["object_ref"] = ref
		}
		assets[i] = b.add(id("attack-asset", string(a.kind), a.value), o)
	}
	actions := make([]string, len(f.actions))
	effects := make(map[string][]string)
	var starts []string
	for i := range f.actions {
		actions[i] = id("attack-action", fmt.Sprint(i))
	}
	for i, a := range f.actions {
		switch len(a.causes) {
		case 0:
			starts = append(starts, actions[i])
		case 1:
			effects[actions[a.causes[0]]] = append(effects[actions[a.causes[0]]], actions[i])
		default:
			op := id("attack-operator", fmt.Sprint(i))
			for _, c := range a.causes {
				effects[actions[c]] = append(effects[actions[c]], op)
			}
		}
	}
	o = object("attack-flow")
	o["name"], o["scope"], o["start_refs"] = name, "incident", starts
	describe(o, f.description+f.left())
	flow := b.add(id("attack-flow"), o)
	for i, a := range f.actions {
		if len(a.causes) > 1 {
			o := object("attack-operator")
			o["operator"], o["effect_refs"] = "AND", []string{actions[i]} // each of them did happen, and led here
			b.add(id("attack-operator", fmt.Sprint(i)), o)
		}
		o := object("attack-action")
		o["name"] = a.name
		describe(o, a.text)
		if a.technique != "" {
			o["technique_id"], o["technique_ref"] = a.technique, s.technique(b, a)
		}
		if a.step.Tactic != "" {
			o["tactic_id"] = Clean(s.o.tacticID(a.step.Tactic))
		}
		o["execution_start"] = stixTime(a.step.Time)
		if !a.step.End.Before(a.step.Time) {
			o["execution_end"] = stixTime(a.step.End)
		}
		if e := effects[actions[i]]; len(e) > 0 {
			o["effect_refs"] = e
		}
		if len(a.assets) > 0 {
			refs := make([]string, len(a.assets))
			for j, k := range a.assets {
				refs[j] = assets[k]
			}
			o["asset_refs"] = refs
		}
		b.add(actions[i], o)
	}
	o = object("relationship")
	o["relationship_type"], o["source_ref"], o["target_ref"] = "related-to", flow, incident
	b.add(id("relationship", "flow"), o)
}

func describe(o stixObject, text string) {
	if text != "" {
		o["description"] = text
	}
}

// left says how much of the incident is not in the flow.
func (f *flow) left() string {
	if f.omitted == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s not shown)", plural(int64(f.omitted), "further step"))
}

// technique adds the technique of an action, once, and returns its id.
func (s stixWriter) technique(b *bundle, a flowAction) string {
	ref := stixObject{"source_name": "mitre-attack", "external_id": a.technique}
	if strings.HasPrefix(a.technique, "T") && !strings.ContainsAny(a.technique, " /?#%") {
		ref["url"] = "https://attack.mitre.org/techniques/" + strings.ReplaceAll(a.technique, ".", "/")
	}
	name := s.o.technique(a.technique)
	if name == "" {
		name = a.technique
	}
	return b.add("attack-pattern--"+catenaSpace.of("attack-pattern", a.technique), stixObject{"type": "attack-pattern", "spec_version": "2.1",
		"created_by_ref": selfID(), "created": selfCreated, "modified": selfCreated, "name": name, "external_references": []stixObject{ref}})
}

// observable adds the observable that an asset is, if STIX has such a thing, and
// returns its id: of the properties that the standard says, in the space it says.
func (b *bundle) observable(a flowAsset) string {
	add := func(kind, property string) string {
		var canonical strings.Builder // as RFC 8785 has it: <, > and & as they are
		e := json.NewEncoder(&canonical)
		e.SetEscapeHTML(false)
		if err := e.Encode(stixObject{property: a.value}); err != nil {
			return ""
		}
		return b.add(kind+"--"+stixSpace.of(strings.TrimSuffix(canonical.String(), "\n")), stixObject{"type": kind, "spec_version": "2.1", property: a.value})
	}
	switch a.kind {
	case model.IP:
		ip, err := netip.ParseAddr(a.value)
		if err != nil || ip.Zone() != "" {
			return ""
		}
		if ip.Is4() {
			return add("ipv4-addr", "value")
		}
		return add("ipv6-addr", "value")
	case model.User:
		return add("user-account", "user_id")
	case model.Mailbox:
		if strings.Count(a.value, "@") == 1 {
			return add("email-addr", "value")
		}
	case model.Host:
		if _, err := netip.ParseAddr(a.value); err != nil && strings.Contains(a.value, ".") && !strings.ContainsAny(a.value, ` \/:`) {
			return add("domain-name", "value")
		}
	}
	return ""
}
