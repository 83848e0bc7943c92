package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ocsfRules are what OCSF 1.8.0 requires of the two classes and of the objects in
// them, with the values it allows, as far as this writer uses them.
const ocsfRules = `{
 "$defs": {
  "ms": {"type": "integer"},
  "named": {"type": "object", "anyOf": [{"required": ["name"]}, {"required": ["uid"]}]},
  "attack": {"type": "object", "required": ["version"], "anyOf": [{"required": ["tactic"]}, {"required": ["technique"]}, {"required": ["sub_technique"]}],
   "properties": {"tactic": {"$ref": "#/$defs/named"}, "technique": {"$ref": "#/$defs/named"}, "sub_technique": {"$ref": "#/$defs/named"}},
   "additionalProperties": {"type": "string"}},
  "info": {"type": "object", "required": ["uid"], "properties": {
   "uid": {"type": "string"}, "first_seen_time": {"$ref": "#/$defs/ms"}, "last_seen_time": {"$ref": "#/$defs/ms"},
   "analytic": {"allOf": [{"$ref": "#/$defs/named"}], "required": ["type_id"], "properties": {"type_id": {"enum": [0, 1, 2, 3, 4, 99]}}},
   "attacks": {"type": "array", "items": {"$ref": "#/$defs/attack"}},
   "kill_chain": {"type": "array", "items": {"type": "object", "required": ["phase_id"], "properties": {"phase_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 7, 99]}}}},
   "related_events": {"type": "array", "items": {"type": "object", "required": ["uid"]}}}}
 },
 "type": "object",
 "required": ["activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata", "status_id"],
 "properties": {
  "activity_id": {"const": 1}, "category_uid": {"const": 2}, "time": {"$ref": "#/$defs/ms"}, "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
  "start_time": {"$ref": "#/$defs/ms"}, "end_time": {"$ref": "#/$defs/ms"},
  "status_id": {"enum": [1, 2, 3, 4, 5]},
  "metadata": {"type": "object", "required": ["version", "product"], "properties": {"version": {"const": "1.8.0"},
   "product": {"allOf": [{"$ref": "#/$defs/named"}], "required": ["vendor_name"]}}},
  "attacks": {"type": "array", "items": {"$ref": "#/$defs/attack"}},
  "observables": {"type": "array", "items": {"type": "object", "required": ["name", "type_id", "value"], "properties": {"type_id": {"type": "integer"}, "value": {"type": "string"}}}},
  "unmapped": {"type": "object"}
 },
 "oneOf": [
  {"required": ["finding_info_list"], "anyOf": [{"required": ["assignee"]}, {"required": ["assignee_group"]}],
   "properties": {"class_uid": {"const": 2005}, "type_uid": {"const": 200501}, "finding_info_list": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/info"}}}},
  {"required": ["finding_info"], "properties": {"class_uid": {"const": 2004}, "type_uid": {"const": 200401}, "finding_info": {"$ref": "#/$defs/info"},
   "is_alert": {"type": "boolean"}, "count": {"type": "integer", "minimum": 1},
   "resources": {"type": "array", "items": {"$ref": "#/$defs/named"}},
   "evidences": {"type": "array", "items": {"type": "object", "minProperties": 1, "properties": {
    "device": {"type": "object", "required": ["type_id"]}, "file": {"type": "object", "required": ["name", "type_id"]}, "user": {"$ref": "#/$defs/named"},
    "process": {"$ref": "#/$defs/named"}, "actor": {"type": "object", "minProperties": 1}}}}}}
 ]
}`

// compileText compiles a schema of a test.
func compileText(t testing.TB, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOCSF(t *testing.T) {
	schema := compileText(t, ocsfRules)
	r := sample()
	b := render(t, OCSF(names), r)
	checkClean(t, string(b))
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if got, want := len(lines), len(r.Incidents)+len(r.Alerts); got != want {
		t.Fatalf("%d lines, want %d", got, want)
	}
	uids := map[string]bool{}
	for i, l := range lines {
		if err := validate(t, schema, l); err != nil {
			t.Errorf("line %d: %v\n%.300s", i+1, err, l)
		}
		var o struct {
			Metadata struct {
				UID         string `json:"uid"`
				Correlation string `json:"correlation_uid"`
			} `json:"metadata"`
			Info struct {
				UID   string `json:"uid"`
				Title string `json:"title"`
			} `json:"finding_info"`
			List []struct {
				UID     string `json:"uid"`
				Related []struct {
					UID string `json:"uid"`
				} `json:"related_events"`
			} `json:"finding_info_list"`
			Time int64 `json:"time"`
		}
		if err := json.Unmarshal(l, &o); err != nil {
			t.Fatal(err)
		}
		if uids[o.Metadata.UID] {
			t.Errorf("line %d: uid %s a second time", i+1, o.Metadata.UID)
		}
		uids[o.Metadata.UID] = true
		if i < len(r.Incidents) {
			inc := r.Incidents[i]
			if o.List[0].UID != inc.ID || len(o.List[0].Related) != len(inc.Alerts) || o.Time != inc.LastSeen.UnixMilli() {
				t.Errorf("line %d is not incident %s with all of its alerts", i+1, inc.ID)
			}
			continue
		}
		a := r.Alerts[i-len(r.Incidents)]
		if o.Info.UID != a.ID || o.Info.Title != a.Rule.Title {
			t.Errorf("line %d is not alert %s", i+1, a.ID)
		}
		if a.Incident != nil && o.Metadata.Correlation != *a.Incident {
			t.Errorf("line %d: incident %q, want %q", i+1, o.Metadata.Correlation, *a.Incident)
		}
	}
}

// TestOCSFRulesRefuse keeps the rules of the test from accepting everything.
func TestOCSFRulesRefuse(t *testing.T) {
	schema := compileText(t, ocsfRules)
	b := render(t, OCSF(names), sample())
	line, _, _ := strings.Cut(string(b), "\n")
	for _, c := range []struct{ old, bad string }{
		{`"class_uid":2005`, `"class_uid":2004`},
		{`"assignee_group"`, `"assigned"`},
		{`"version":"1.8.0"`, `"version":"1.1.0"`},
		{`"phase_id":`, `"phase":"x","phase_no":`},
		{`"type_id":3`, `"type_id":"3"`},
		{`"finding_info_list":[`, `"finding_info_list":[{},`},
	} {
		bad := strings.Replace(line, c.old, c.bad, 1)
		if bad == line {
			t.Errorf("%s is not in the sample", c.old)
		} else if validate(t, schema, []byte(bad)) == nil {
			t.Errorf("the rules accept %s", c.bad)
		}
	}
}
