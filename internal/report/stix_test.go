package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/catena-sec/catena/internal/model"
)

// stixRules are what STIX 2.1 and the Attack Flow extension require of the objects
// that this writer makes.
const stixRules = `{
 "$defs": {
  "id": {"type": "string", "pattern": "^[a-z0-9-]+--[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
  "time": {"type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$"},
  "sdo": {"required": ["spec_version", "created", "modified"], "properties": {"created": {"$ref": "#/$defs/time"}, "modified": {"$ref": "#/$defs/time"}}},
  "flow": {"allOf": [{"$ref": "#/$defs/sdo"}], "required": ["extensions"], "properties": {"extensions": {"required": ["extension-definition--fb9c968a-745b-4ade-9b25-c324172197f4"],
   "additionalProperties": {"const": {"extension_type": "new-sdo"}}}}},
  "refs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/id"}},
  "actions": {"allOf": [{"$ref": "#/$defs/refs"}], "items": {"pattern": "^attack-(action|operator|condition)--"}}
 },
 "type": "object", "required": ["type", "id", "objects"],
 "properties": {"type": {"const": "bundle"}, "id": {"$ref": "#/$defs/id"}, "objects": {"type": "array", "items": {
  "type": "object", "required": ["type", "id", "spec_version"],
  "properties": {"id": {"$ref": "#/$defs/id"}, "spec_version": {"const": "2.1"}, "type": {"enum": ["extension-definition", "identity", "incident", "attack-flow", "attack-action",
   "attack-asset", "attack-operator", "attack-pattern", "relationship", "user-account", "ipv4-addr", "ipv6-addr", "domain-name", "email-addr"]}},
  "allOf": [
   {"if": {"properties": {"type": {"const": "attack-flow"}}}, "then": {"allOf": [{"$ref": "#/$defs/flow"}], "required": ["name", "scope", "start_refs"],
    "properties": {"scope": {"const": "incident"}, "start_refs": {"allOf": [{"$ref": "#/$defs/refs"}], "items": {"pattern": "^attack-(action|condition)--"}}}}},
   {"if": {"properties": {"type": {"const": "attack-action"}}}, "then": {"allOf": [{"$ref": "#/$defs/flow"}], "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "execution_start": {"$ref": "#/$defs/time"}, "execution_end": {"$ref": "#/$defs/time"},
     "technique_ref": {"pattern": "^attack-pattern--"}, "effect_refs": {"$ref": "#/$defs/actions"},
     "asset_refs": {"allOf": [{"$ref": "#/$defs/refs"}], "items": {"pattern": "^attack-asset--"}}}}},
   {"if": {"properties": {"type": {"const": "attack-asset"}}}, "then": {"allOf": [{"$ref": "#/$defs/flow"}], "required": ["name"]}},
   {"if": {"properties": {"type": {"const": "attack-operator"}}}, "then": {"allOf": [{"$ref": "#/$defs/flow"}], "required": ["operator", "effect_refs"],
    "properties": {"operator": {"enum": ["AND", "OR"]}, "effect_refs": {"$ref": "#/$defs/actions"}}}},
   {"if": {"properties": {"type": {"enum": ["incident", "identity", "attack-pattern"]}}}, "then": {"allOf": [{"$ref": "#/$defs/sdo"}], "required": ["name"]}},
   {"if": {"properties": {"type": {"const": "relationship"}}}, "then": {"allOf": [{"$ref": "#/$defs/sdo"}], "required": ["relationship_type", "source_ref", "target_ref"]}},
   {"if": {"properties": {"type": {"enum": ["ipv4-addr", "ipv6-addr", "domain-name", "email-addr"]}}}, "then": {"required": ["value"]}},
   {"if": {"properties": {"type": {"const": "extension-definition"}}}, "then": {"allOf": [{"$ref": "#/$defs/sdo"}], "required": ["name", "schema", "version", "extension_types", "created_by_ref"]}}
  ]}}}
}`

// told is a flow as a test reads it back: actions in order with what they are, what
// leads to them and their assets.
type told struct {
	Name, Technique, Text, Start string
	Causes                       []int
	Assets                       []string
}

// toldOf is what a flow should be read back as.
func toldOf(inc *model.Incident) []told {
	f := flowOf(inc, 1000, names)
	var out []told
	for _, a := range f.actions {
		t := told{Name: a.name, Technique: a.technique, Text: a.text, Start: stixTime(a.step.Time), Causes: slices.Sorted(slices.Values(a.causes))}
		for _, k := range a.assets {
			t.Assets = append(t.Assets, f.assets[k].value)
		}
		slices.Sort(t.Assets)
		out = append(out, t)
	}
	return out
}

// joined is an incident with what flows find hard: two causes, causes that are none.
func joined() *model.Report {
	r := sample()
	s := r.Incidents[0].Steps
	s[4].CausedBy = []int{2, 4, 4, 99, 5}
	s[6].CausedBy = []int{1, 3, 6}
	return r
}

type stixRead struct {
	Type      string   `json:"type"`
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Technique string   `json:"technique_id"`
	Text      string   `json:"description"`
	Start     string   `json:"execution_start"`
	Effects   []string `json:"effect_refs"`
	Assets    []string `json:"asset_refs"`
	Starts    []string `json:"start_refs"`
	ByRef     string   `json:"created_by_ref"`
	Object    string   `json:"object_ref"`
	Ref       string   `json:"technique_ref"`
	Source    string   `json:"source_ref"`
	Target    string   `json:"target_ref"`
}

func readSTIX(t *testing.T, b []byte) map[string]stixRead {
	t.Helper()
	var doc struct {
		Objects []stixRead `json:"objects"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	by := map[string]stixRead{}
	for _, o := range doc.Objects {
		if _, ok := by[o.ID]; ok {
			t.Errorf("%s is there twice", o.ID)
		}
		if !strings.HasPrefix(o.ID, o.Type+"--") {
			t.Errorf("%s is a %s", o.ID, o.Type)
		}
		by[o.ID] = o
	}
	for _, o := range doc.Objects {
		for _, ref := range slices.Concat(o.Effects, o.Assets, o.Starts, []string{o.ByRef, o.Object, o.Ref, o.Source, o.Target}) {
			if _, ok := by[ref]; !ok && ref != "" {
				t.Errorf("%s refers to %s, which is not in the bundle", o.ID, ref)
			}
		}
	}
	return by
}

// TestSTIXRoundTrip writes flows and reads them back: the same actions in the same
// order, the same causes, the same assets.
func TestSTIXRoundTrip(t *testing.T) {
	r := joined()
	b := render(t, STIX(names), r)
	checkClean(t, string(b))
	if err := validate(t, compileText(t, stixRules), b); err != nil {
		t.Error(err)
	}
	by := readSTIX(t, b)
	for i := range r.Incidents {
		inc := &r.Incidents[i]
		want := toldOf(inc)
		ids := make([]string, len(want))
		index := map[string]int{}
		for j := range want {
			ids[j] = "attack-action--" + catenaSpace.of("attack-action", inc.ID, fmt.Sprint(j))
			index[ids[j]] = j
		}
		got := make([]told, len(want))
		for j, id := range ids {
			o, ok := by[id]
			if !ok {
				t.Fatalf("no action for step %d", j+1)
			}
			got[j].Name, got[j].Technique, got[j].Text, got[j].Start = o.Name, o.Technique, o.Text, o.Start
			for _, a := range o.Assets {
				got[j].Assets = append(got[j].Assets, by[a].Name)
			}
			slices.Sort(got[j].Assets)
			for _, e := range o.Effects {
				if by[e].Type == "attack-operator" {
					e = by[e].Effects[0]
				}
				got[index[e]].Causes = append(got[index[e]].Causes, j)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s reads back otherwise:\n%s", inc.ID, d)
		}
		flow := by["attack-flow--"+catenaSpace.of("attack-flow", inc.ID)]
		for j, w := range want {
			if starts := slices.Contains(flow.Starts, ids[j]); starts != (len(w.Causes) == 0) {
				t.Errorf("%s: action %d starts the flow: %t, with causes %v", inc.ID, j, starts, w.Causes)
			}
		}
	}
}

// TestSTIXAssets holds assets to what the incident knows of them.
func TestSTIXAssets(t *testing.T) {
	texts := map[string]string{}
	refs := map[string]bool{}
	for _, o := range readSTIX(t, render(t, STIX(names), sample())) {
		if o.Type == "attack-asset" {
			texts[o.Name] = o.Text
			refs[o.Name] = o.Object != ""
		}
	}
	for name, want := range map[string]string{"mkt01.corp.example": "host, compromised", "arn:aws:s3:::corp-payroll": "resource, touched", "arn:aws:iam::111122223333:role/web-app": "role, compromised"} {
		if texts[name] != want {
			t.Errorf("%s is %q, want %q", name, texts[name], want)
		}
	}
	if !refs["mkt01.corp.example"] || refs["arn:aws:s3:::corp-payroll"] {
		t.Errorf("observables of assets: %v", refs)
	}
}

// TestSTIXRulesRefuse keeps the rules of the test from accepting everything.
func TestSTIXRulesRefuse(t *testing.T) {
	schema := compileText(t, stixRules)
	good := string(render(t, STIX(names), joined()))
	for _, c := range []struct{ old, bad string }{
		{`"type": "bundle"`, `"type": "bunch"`},
		{`"operator": "AND"`, `"operator": "NAND"`},
		{`"scope": "incident"`, `"scope": "event"`},
		{`"start_refs": [`, `"first_refs": [`},
		{`"extension_type": "new-sdo"`, `"extension_type": "other"`},
		{`"execution_start": "2026`, `"execution_start": "in 2026`},
		{`"spec_version": "2.1"`, `"spec_version": "2.0"`},
	} {
		bad := strings.Replace(good, c.old, c.bad, 1)
		if bad == good {
			t.Errorf("%s is not in the sample", c.old)
		} else if validate(t, schema, []byte(bad)) == nil {
			t.Errorf("the rules accept %s", c.bad)
		}
	}
}

// TestSTIXBounds: a flow of too many steps says how many it leaves out, and an
// incident without any has none.
func TestSTIXBounds(t *testing.T) {
	r := sample()
	inc := r.Incidents[0]
	inc.Steps = nil
	for n := range stixActions + 7 {
		inc.Steps = append(inc.Steps, model.Step{N: n + 1, CausedBy: []int{n}})
	}
	r.Incidents[0] = inc
	r.Incidents[1].Steps = nil
	by := readSTIX(t, render(t, STIX(names), r))
	counts := map[string]int{}
	text := ""
	for _, o := range by {
		counts[o.Type]++
		if o.Type == "attack-flow" {
			text = o.Text
		}
	}
	if counts["attack-action"] != stixActions || counts["attack-flow"] != 1 || counts["incident"] != len(r.Incidents) {
		t.Errorf("%v", counts)
	}
	if !strings.Contains(text, "7 further steps not shown") {
		t.Errorf("it does not say what it leaves out: %s", text)
	}
}
