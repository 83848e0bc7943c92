package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/pack"
)

// A detector can be switched off as a rule can, and a selector that means nothing
// is told.
func TestDetectorsOff(t *testing.T) {
	all := detectors(nil)
	one := all[0].Definition()
	disable := []pack.Selector{{Key: "rule", Value: one.Rule.ID}, {Key: "tag", Value: "t9999"}}
	a, err := New(Options{NoBuiltin: true, Disable: disable})
	if err != nil {
		t.Fatal(err)
	}
	left := a.detectors()
	if len(left) != len(all)-1 || slices.ContainsFunc(a.Definitions(), func(d detect.Definition) bool { return d.Rule.ID == one.Rule.ID }) {
		t.Errorf("%d of %d detectors left", len(left), len(all))
	}
	notes := strings.Join(a.RuleNotes(), "\n")
	if want := "Detectors switched off: \"" + one.Rule.Title + "\" (" + disable[0].String() + ").\nSwitching off tag=t9999 changes nothing: no rule and no detector is meant by it."; notes != want {
		t.Errorf("notes %q, want %q", notes, want)
	}
	off := a.List(RuleFilter{Off: true})
	if len(off) != 1 || off[0].ID != one.Rule.ID || off[0].Off != disable[0].String() || off[0].Kind != "detector" {
		t.Errorf("switched off: %+v", off)
	}
	b, err := New(Options{NoBuiltin: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.rulesText() == b.rulesText() {
		t.Errorf("the report says %q of both", a.rulesText())
	}
}

// Switching off all that is built in leaves nothing that alerts, and the sum of
// what is on and what is off is what there is.
func TestBuiltinOff(t *testing.T) {
	on, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, sel := range []pack.Selector{{Key: "pack", Value: "catena"}, {Key: "product", Value: "windows"}, {Key: "level", Value: "low"}} {
		a, err := New(Options{Disable: []pack.Selector{sel}})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Refused()) > 0 {
			t.Errorf("%s: refused %v", sel, a.Refused())
		}
		was := map[string]bool{}
		for _, l := range on.List(RuleFilter{}) {
			was[l.ID] = true
		}
		using, off := 0, 0
		for _, l := range a.List(RuleFilter{}) {
			switch {
			case l.Off != "" && was[l.ID]:
				off++
			case l.Off == "" && was[l.ID]:
				using++
			case l.Off == "":
				t.Errorf("%s: %s alerts, and did not before", sel, l.ID)
			}
		}
		if using+off != len(was) || off == 0 {
			t.Errorf("%s: %d on and %d off of %d", sel, using, off, len(was))
		}
		if sel.Key == "pack" && (a.Rules() != 0 || using != len(detectors(nil))) {
			t.Errorf("%s: %d rules are left, %d alert", sel, a.Rules(), using)
		}
	}
}
