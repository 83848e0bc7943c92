package report

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/catena-sec/catena/internal/model"
)

type afbRead struct {
	ID         string               `json:"id"`
	Instance   string               `json:"instance"`
	Properties [][2]json.RawMessage `json:"properties"`
	Objects    []string             `json:"objects"`
	Anchors    map[string]string    `json:"anchors"`
	Latches    []string             `json:"latches"`
	Source     string               `json:"source"`
	Target     string               `json:"target"`
	Handles    []string             `json:"handles"`
}

func (o afbRead) property(name string) string {
	for _, p := range o.Properties {
		var key, value string
		if json.Unmarshal(p[0], &key) == nil && key == name && json.Unmarshal(p[1], &value) == nil {
			return value
		}
	}
	return ""
}

// nested returns a property of a property.
func (o afbRead) nested(name, inner string) string {
	for _, p := range o.Properties {
		var key string
		var pairs [][2]json.RawMessage
		if json.Unmarshal(p[0], &key) == nil && key == name && json.Unmarshal(p[1], &pairs) == nil {
			return afbRead{Properties: pairs}.property(inner)
		}
	}
	return ""
}

func (o afbRead) date(name string) string {
	for _, p := range o.Properties {
		var key string
		var d struct{ Time, Zone string }
		if json.Unmarshal(p[0], &key) == nil && key == name && json.Unmarshal(p[1], &d) == nil && d.Zone == "UTC" {
			return d.Time
		}
	}
	return ""
}

type afbDoc struct {
	Schema  string            `json:"schema"`
	Objects []afbRead         `json:"objects"`
	Layout  map[string][2]int `json:"layout"`
	by      map[string]afbRead
	holder  map[string]string // latch to block
}

// readAFB reads a file as the Builder does, by ids, and checks that every id leads
// somewhere.
func readAFB(t *testing.T, b []byte) afbDoc {
	t.Helper()
	d := afbDoc{by: map[string]afbRead{}, holder: map[string]string{}}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for _, o := range d.Objects {
		if _, ok := d.by[o.Instance]; ok {
			t.Errorf("%s %s is there twice", o.ID, o.Instance)
		}
		d.by[o.Instance] = o
	}
	kind := func(id, want string) {
		if got := d.by[id].ID; got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	places := map[[2]int]string{}
	for _, o := range d.Objects {
		for _, id := range slices.Concat(o.Objects, o.Latches, o.Handles) {
			if _, ok := d.by[id]; !ok {
				t.Errorf("%s %s refers to %s, which is not there", o.ID, o.Instance, id)
			}
		}
		if o.ID == "dynamic_line" {
			kind(o.Source, "generic_latch")
			kind(o.Target, "generic_latch")
			if !slices.Contains(d.Objects[0].Objects, o.Instance) {
				t.Errorf("line %s is not on the page", o.Instance)
			}
		}
		if len(o.Anchors) == 0 {
			continue
		}
		at, ok := d.Layout[o.Instance]
		if !ok || places[at] != "" {
			t.Errorf("block %s has no place of its own", o.Instance)
		}
		places[at] = o.Instance
		if !slices.Contains(d.Objects[0].Objects, o.Instance) {
			t.Errorf("block %s is not on the page", o.Instance)
		}
		for angle, id := range o.Anchors {
			want := "horizontal_anchor"
			if slices.Contains([]string{"60", "90", "120", "240", "270", "300"}, angle) {
				want = "vertical_anchor"
			}
			kind(id, want)
			for _, l := range d.by[id].Latches {
				d.holder[l] = o.Instance
			}
		}
		if len(o.Anchors) != 12 {
			t.Errorf("block %s has %d anchors", o.Instance, len(o.Anchors))
		}
	}
	return d
}

// TestAttackFlowRoundTrip writes flows and reads them back: the same actions from
// top to bottom, the same causes, the same assets.
func TestAttackFlowRoundTrip(t *testing.T) {
	r := joined()
	b := render(t, AttackFlow(names), r)
	checkClean(t, string(b))
	d := readAFB(t, b)
	if d.Schema != "attack_flow_v2" || d.Objects[0].ID != "flow" || d.Objects[0].property("scope") != "incident" {
		t.Errorf("schema %q, first object %q", d.Schema, d.Objects[0].ID)
	}
	var want, got []told
	for i := range r.Incidents {
		shift := len(want)
		for _, w := range toldOf(&r.Incidents[i]) {
			for j := range w.Causes {
				w.Causes[j] += shift
			}
			want = append(want, w)
		}
	}
	index := map[string]int{}
	for _, o := range d.Objects { // blocks stand in the order of steps
		if o.ID == "action" {
			index[o.Instance] = len(got)
			got = append(got, told{Name: o.property("name"), Technique: o.nested("ttp", "technique"), Text: o.property("description"), Start: o.date("execution_start")})
		}
	}
	into := map[string][]string{}
	for _, o := range d.Objects {
		if o.ID == "dynamic_line" {
			into[d.holder[o.Target]] = append(into[d.holder[o.Target]], d.holder[o.Source])
		}
	}
	for id, i := range index {
		for _, from := range into[id] {
			causes := []string{from}
			if d.by[from].ID == "AND_operator" {
				causes = into[from]
			}
			for _, c := range causes {
				got[i].Causes = append(got[i].Causes, index[c])
			}
		}
		slices.Sort(got[i].Causes)
	}
	for id, froms := range into {
		if d.by[id].ID == "asset" {
			for _, from := range froms {
				got[index[from]].Assets = append(got[index[from]].Assets, d.by[id].property("name"))
			}
		}
	}
	for i := range got {
		slices.Sort(got[i].Assets)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it reads back otherwise:\n%s", diff)
	}
}

// TestAttackFlowBounds: the canvas stays small, and says what is not on it.
func TestAttackFlowBounds(t *testing.T) {
	r := &model.Report{}
	for range canvasIncidents + 3 {
		inc := model.Incident{ID: "same id", Title: "Same"}
		for n := range canvasActions + 1 {
			inc.Steps = append(inc.Steps, model.Step{N: n + 1, Host: "h", CausedBy: []int{n}})
		}
		r.Incidents = append(r.Incidents, inc)
	}
	d := readAFB(t, render(t, AttackFlow(names), r))
	n := 0
	for _, o := range d.Objects {
		if o.ID == "action" {
			n++
		}
	}
	if n != canvasIncidents*canvasActions {
		t.Errorf("%d actions", n)
	}
	text := d.Objects[0].property("description")
	for _, want := range []string{"3 further incidents not drawn", "20 further steps not drawn"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}
