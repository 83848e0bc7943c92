package knowledge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// Every act but none has components, and each is one that ATT&CK has.
func TestComponentsAreOfATTACK(t *testing.T) {
	for act := model.ActProcessStart; act <= model.ActIdentify; act++ {
		if len(Components(act, "")) == 0 {
			t.Errorf("%s has no component", act)
		}
	}
	if c := Components(model.ActObjectRead, model.Database); len(c) != 1 || c[0] != "Application Log Content" {
		t.Errorf("reading a table is %v", c)
	}
	if c := Components(model.ActObjectList, model.Kubernetes); len(c) != 2 || c[0] != "Pod Enumeration" {
		t.Errorf("listing in a cluster is %v", c)
	}
	dir := os.Getenv("CATENA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	src, err := os.ReadFile(filepath.Join(dir, "attack", "techniques.json"))
	if err != nil {
		t.Skipf("no attack/techniques.json in the data folder: %v", err)
	}
	var known struct {
		Components map[string]struct{ Name string } `json:"data_components"`
	}
	var flat struct {
		Components map[string]string `json:"data_components"`
	}
	names := map[string]bool{}
	if json.Unmarshal(src, &known) == nil {
		for _, c := range known.Components {
			names[c.Name] = true
		}
	} else if json.Unmarshal(src, &flat) == nil {
		for _, c := range flat.Components {
			names[c] = true
		}
	}
	if len(names) < 50 {
		t.Fatalf("%d components read", len(names))
	}
	for _, table := range []map[model.Act][]string{components, clusterComponents} {
		for act, list := range table {
			for _, c := range list {
				if !names[c] {
					t.Errorf("%s: ATT&CK has no component %q", act, c)
				}
			}
		}
	}
}
