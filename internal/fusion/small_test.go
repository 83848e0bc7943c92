package fusion

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A theft of credentials that was caught at once: a few rules on one process tree,
// in minutes, beside an alert of the same level that has nothing to do with it.
func TestShortCaptureIsAnIncident(t *testing.T) {
	w := newWorld()
	h := ent(model.Host, model.Subject, ws1)
	p := proc(model.Subject, "dump", "")
	w.start(0, ws1, "dump", `c:\users\a\dump.exe`, "explorer", `c:\windows\explorer.exe`, `corp\a`)
	w.alert(-20, "log-cleared", model.High, "defense-impairment", ws1, h)
	w.alert(1, "dump-by-command-line", model.High, "credential-access", ws1, h, p)
	w.alert(2, "lsass-opened", model.Medium, "credential-access", ws1, h, p)
	w.alert(3, "dump-written", model.High, "credential-access", ws1, h, p)
	if rs := raisedOf(New(Options{}).Run(w.alerts, w.mem)); len(rs) != 1 {
		t.Fatalf("%d incidents, want 1", len(rs))
	}
}

// One mild rule over and over, and several mild rules on one act, are none.
func TestNoiseIsNoIncident(t *testing.T) {
	w := newWorld()
	h := ent(model.Host, model.Subject, ws1)
	p := proc(model.Subject, "tool", "")
	w.start(0, ws1, "tool", `c:\users\a\tool.exe`, "explorer", `c:\windows\explorer.exe`, `corp\a`)
	for i := 0; i < 120; i++ {
		w.alert(float64(i)*30, "noisy", model.Medium, "execution", ws1, h, p)
	}
	for _, r := range []string{"opens-lsass-1", "opens-lsass-2", "opens-lsass-3"} {
		w.alert(60, r, model.Medium, "credential-access", ws1, h, p).Evidence = []model.Evidence{{ID: "e-one"}}
	}
	e := New(Options{})
	if rs := raisedOf(e.Run(w.alerts, w.mem)); len(rs) != 0 {
		dump(t, e, rs)
		t.Fatalf("%d incidents, want none", len(rs))
	}
}
