package app

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/story"
)

const assetsText = `assets:
  - name: Domain controller
    host: [dc01.corp.example, 10.0.0.5]
    why: every account can be forged from it
    owner: identity team
    criticality: critical
  - bucket: finance-exports
`

func TestParseAssets(t *testing.T) {
	got, err := parseAssets("a.yml", []byte(assetsText))
	want := []story.Asset{
		{Name: "Domain controller", Kind: "host", Values: []string{"dc01.corp.example", "10.0.0.5"}, Why: "every account can be forged from it", Owner: "identity team", Criticality: "critical"},
		{Name: "finance-exports", Kind: "bucket", Values: []string{"finance-exports"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseAssetsSaysWhereItFails(t *testing.T) {
	many := "assets:\n" + strings.Repeat("  - host: h\n", maxAssets+1)
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "a.yml:1: no list of assets"},
		{"a list", "- host: a", "a.yml:1: no list of assets"},
		{"another key", "assets: [{host: a}]\nhosts: []", `a.yml:2: "hosts" is not known`},
		{"no assets", "assets: []", "a.yml:1: assets must be a list"},
		{"a text", "assets:\n  - dc01", "a.yml:2: an asset is written as"},
		{"unknown kind", "assets:\n  - host: a\n  - serv: b", `a.yml:3: "serv" is not known; want name, why, owner, criticality or one of account, app, bucket`},
		{"two kinds", "assets:\n  - host: a\n    bucket: b", "a.yml:3: an asset is one thing: it is a host already"},
		{"no kind", "assets:\n  - name: a", "a.yml:2: what is it?"},
		{"twice", "assets:\n  - host: a\n    host: b", `a.yml:3: "host" is there twice`},
		{"null", "assets:\n  - host:", "a.yml:2: empty"},
		{"list of lists", "assets:\n  - host: [[a]]", "a.yml:2: want a text"},
		{"no names", "assets:\n  - host: []", "a.yml:2: want 1 to 16 names"},
		{"criticality", "assets:\n  - host: a\n    criticality: huge", `criticality "huge": want critical, high, medium or low`},
		{"long", "assets:\n  - host: " + strings.Repeat("a", maxAssetText+1), "a.yml:2: longer than 300 bytes"},
		{"alias", "assets:\n  - name: &x a\n    host: b\n  - host: *x", "a.yml:4: want a text"},
		{"many", many, fmt.Sprintf("a.yml:%d: more than 200 assets", maxAssets+2)},
		{"not YAML", "assets:\n\t- host: a", "a.yml: yaml: line 2"},
		{"huge", strings.Repeat("#", maxAssetsFile+1), "a.yml: more than 1048576 bytes"},
	} {
		if _, err := parseAssets("a.yml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := ReadAssets(filepath.Join(t.TempDir(), "none.yml")); err == nil {
		t.Error("a file that is not there is read")
	}
}

func FuzzParseAssets(f *testing.F) {
	f.Add([]byte(assetsText))
	f.Add([]byte("assets: [{host: a}]"))
	f.Add([]byte("a: &a [*a]\nassets: *a"))
	f.Add([]byte("assets:\n- <<: {host: b}\n  host: [1, 2.5, true]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		list, err := parseAssets("f.yml", src)
		if err != nil {
			if list != nil || !strings.HasPrefix(err.Error(), "f.yml:") {
				t.Fatalf("%v, %v", list, err)
			}
			return
		}
		if len(list) == 0 || len(list) > maxAssets {
			t.Fatalf("%d assets", len(list))
		}
		a := story.NewAssets(list)
		for _, x := range list {
			if x.Name == "" || len(x.Values) == 0 || len(x.Values) > maxAssetValues || story.AssetKinds()[x.Kind] == nil {
				t.Fatalf("%+v", x)
			}
			for _, v := range x.Values { // whatever it is called, it observes
				a.Observe(&model.Observation{Act: model.ActLogon, Host: v, Entities: []model.Entity{{Type: model.User, Value: v, Role: model.Target}, {Type: model.Resource, Value: v, Role: model.Target}}})
			}
		}
	})
}

// Assets through the whole path: a workstation that is attacked, its server that was
// logged on to from it, and a host nobody heard of. The report does not depend on
// the number of workers.
func TestAnalyzeWithAssets(t *testing.T) {
	dir := dataFolder(t)
	list, err := parseAssets("a.yml", []byte("assets:\n- host: mxs01\n- host: nowhere\n- account: pgustavo\n"))
	if err != nil {
		t.Fatal(err)
	}
	var first []model.Incident
	for _, workers := range []int{1, 3} {
		a, err := New(Options{Assets: list, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		r := analyzeData(t, a, filepath.Join(dir, "otrf_compound", "LSASS_campaign_01"))
		if len(r.Incidents) == 0 {
			t.Fatal("no incident")
		}
		if first == nil {
			first = r.Incidents
		} else if !reflect.DeepEqual(first, r.Incidents) {
			t.Error("the report depends on the number of workers")
		}
		cited := map[string]bool{}
		for _, al := range r.Alerts {
			cited[al.ID] = true
			for _, e := range al.Evidence {
				cited[e.ID] = true
			}
		}
		for _, e := range r.Events {
			cited[e.ID] = true
		}
		for _, in := range r.Incidents {
			for _, l := range in.Lookalikes {
				if l.Warning != "" {
					t.Errorf("%s: an emulated attack of everybody's tools is no group's", l.Warning)
				}
			}
			if len(in.Impact.Assets) != len(list) {
				t.Errorf("%d assets", len(in.Impact.Assets))
			}
			for _, s := range in.Impact.Assets {
				if s.Name == "nowhere" && s.State != model.AssetNoTelemetry {
					t.Errorf("%+v", s)
				}
				if s.Ground == "" {
					t.Errorf("%s has no ground", s.Name)
				}
				for _, id := range s.Cites {
					if !cited[id] {
						t.Errorf("%s cites %s, which is not in the report", s.Name, id)
					}
				}
			}
		}
	}
}

func TestReadAssets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "assets.yml")
	if err := os.WriteFile(file, []byte(assetsText), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := ReadAssets(file); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}
