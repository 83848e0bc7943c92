package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

var save = flag.String("save", "", "folder to write the sample report into, in every format, to look at")

func all(color bool) []Writer {
	return []Writer{JSON(), Text(TextOptions{Color: color, Width: 110}, names), HTML(names), CSV(), Navigator(), OCSF(names), STIX(names), AttackFlow(names)}
}

func render(t testing.TB, w Writer, r *model.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := w.Write(&b, r); err != nil {
		t.Fatalf("%s: %v", w.Name(), err)
	}
	return b.Bytes()
}

// TestDeterministic also keeps the sample for those who want to look at it.
func TestDeterministic(t *testing.T) {
	for _, w := range all(true) {
		first := render(t, w, sample())
		if !bytes.Equal(first, render(t, w, sample())) {
			t.Errorf("%s: two runs over equal reports differ", w.Name())
		}
		if *save != "" {
			if err := os.WriteFile(filepath.Join(*save, w.File()), first, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEmpty writes reports without anything, nil slices and all.
func TestEmpty(t *testing.T) {
	for _, r := range []*model.Report{{}, {Incidents: make([]model.Incident, 1), Alerts: make([]model.Alert, 1), Inputs: make([]model.Input, 1)}} {
		for _, w := range all(false) {
			if w.Name() == "ocsf" && len(r.Incidents) == 0 {
				continue // no line for no finding
			}
			if len(render(t, w, r)) == 0 {
				t.Errorf("%s wrote nothing", w.Name())
			}
		}
	}
}

// TestReportUnchanged holds the writers to not changing what they write.
func TestReportUnchanged(t *testing.T) {
	r := sample()
	before := render(t, JSON(), r)
	for _, w := range all(true) {
		render(t, w, r)
	}
	if !bytes.Equal(before, render(t, JSON(), r)) {
		t.Error("a writer changed the report")
	}
}
