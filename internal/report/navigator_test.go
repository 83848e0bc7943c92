package report

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNavigatorLayer(t *testing.T) {
	r := sample()
	r.Incidents[1].Techniques = append(r.Incidents[1].Techniques, "T1486") // in both
	var l layer
	if err := json.Unmarshal(render(t, Navigator(), r), &l); err != nil {
		t.Fatal(err)
	}
	if l.Versions != (layerVersions{"19", navigatorVersion, "4.5"}) || l.Domain != "enterprise-attack" {
		t.Errorf("versions %+v, domain %s", l.Versions, l.Domain)
	}
	by := make(map[string]layerTechnique)
	for _, x := range l.Techniques {
		if _, ok := by[x.ID]; ok {
			t.Errorf("%s stands twice", x.ID)
		}
		by[x.ID] = x
	}
	both := by["T1486"]
	if both.Score == nil || *both.Score != 96 || strings.Count(both.Comment, "inc-") != 2 || both.Metadata[0].Value != "2" {
		t.Errorf("T1486 is %+v", both)
	}
	if c := by["T1530"]; c.Score == nil || *c.Score != 71 || !strings.Contains(c.Comment, r.Incidents[1].ID) {
		t.Errorf("T1530 is %+v", c)
	}
	if c := by["T1685.005"]; c.Score != nil || c.Color != aloneColor {
		t.Errorf("T1685.005, seen only alone, is %+v", c)
	}
}
