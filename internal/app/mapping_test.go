package app

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// fenced returns the first block of that language in a Markdown text.
func fenced(t *testing.T, text, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "```"+language+"\n")
	block, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatalf("no block of %s", language)
	}
	return block
}

// The example of the manual does what the manual says.
func TestMappingManual(t *testing.T) {
	doc, err := os.ReadFile("../../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	folder(t, file{"acme.yml", fenced(t, string(doc), "yaml")}, file{"alerts.csv", fenced(t, string(doc), "csv")},
		file{"other.csv", "when,vendor,title,prio\n1709287200,Other,x,1\n"})
	r := analyze(t, Options{Mappings: []string{"acme.yml"}, AllAlerts: true}, "alerts.csv", "other.csv")
	if len(r.Alerts) != 3 {
		t.Fatalf("%d alerts; errors %q", len(r.Alerts), errorsOf(r))
	}
	dump, beacon, task := r.Alerts[0], r.Alerts[1], r.Alerts[2]
	if dump.Rule.Title != "Credential dumping by rundll32" || dump.Severity != model.High || dump.Product != "Acme EDR" || dump.Subsystem != model.Compute ||
		!slices.Equal(dump.Techniques, []string{"T1003.001"}) || dump.Intent.Primary != model.IntentCredentialAccess {
		t.Errorf("%+v", dump)
	}
	for _, want := range []model.Entity{{Type: model.Host, Value: "pc1.corp.example", Role: model.Subject}, {Type: model.User, Value: `corp\alice`, Role: model.Actor}} {
		if e, ok := dump.Find(want.Type, want.Role); !ok || e.Value != want.Value {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
	if beacon.Subsystem != model.Network || beacon.Severity != model.Medium || !slices.Equal(beacon.Techniques, []string{"T1071"}) || task.Severity != model.Low {
		t.Errorf("%+v, %+v", beacon, task)
	}
	for _, a := range r.Alerts {
		if len(a.Evidence) != 1 || len(a.Evidence[0].Event) == 0 || strings.Contains(string(a.Evidence[0].Event), "benign") || strings.Contains(string(a.Evidence[0].Event), "true positive") {
			t.Errorf("evidence %+v", a.Evidence)
		}
	}
	if got := errorsOf(r); len(got) != 1 || !strings.HasPrefix(got[0], "other.csv: ") {
		t.Errorf("rows of another vendor: %q", got)
	}
}
