package model

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"sync"
	"testing"
)

// TestWellKnownFieldsMatchTheirConstants reads the constants from the source and
// compares them with the list of names, which must be in the same order.
func TestWellKnownFieldsMatchTheirConstants(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "wellknown.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var consts []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				consts = append(consts, n.Name)
			}
		}
	}
	if len(consts) != len(wellKnown) {
		t.Fatalf("%d constants, %d names", len(consts), len(wellKnown))
	}
	seen := map[string]bool{}
	for i, name := range wellKnown {
		if seen[name] {
			t.Errorf("%q stands twice", name)
		}
		seen[name] = true
		// A constant is spelled as its name without dots and underscores; a suffix
		// tells names apart that differ in case only.
		want := strings.ToLower(strings.NewReplacer(".", "", "_", "", " ", "", "-", "").Replace(name))
		if got := strings.ToLower(strings.TrimPrefix(consts[i], "F")); !strings.HasPrefix(got, want) {
			t.Errorf("constant %d is %s, name %q", i+1, consts[i], name)
		}
	}
	names := NewNames()
	if got := names.ID(wellKnown[0]); got != 1 {
		t.Errorf("the first well-known field has id %d", got)
	}
	if got := names.Name(FieldID(len(wellKnown))); got != wellKnown[len(wellKnown)-1] {
		t.Errorf("the last well-known field is %q", got)
	}
}

func TestNamesAreBoundedAndStable(t *testing.T) {
	n := NewNames()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range MaxFieldNames + 100 {
				n.ID(fmt.Sprint("hostile.", i))
			}
		})
	}
	wg.Wait()
	if n.Len() != MaxFieldNames {
		t.Errorf("%d names, want the bound %d", n.Len(), MaxFieldNames)
	}
	if id := n.ID("one too many"); id != Unnamed {
		t.Errorf("a name beyond the bound has id %d", id)
	}
	if id := n.ID(strings.Repeat("x", MaxNameLen+1)); id != Unnamed {
		t.Errorf("an endless name has id %d", id)
	}
	if id := n.ID("Image"); n.Name(id) != "Image" || id != FImage {
		t.Errorf("Image is %d, %q", id, n.Name(id))
	}
}

func TestEventIDs(t *testing.T) {
	line := Event{Format: "syslog", Raw: []byte("same line"), Ref: Ref{Offset: 10}}
	moved, copied := line, line
	moved.Ref.Offset, copied.Ref.Input = 20, "copy.log"
	if line.ID() == moved.ID() {
		t.Error("equal lines at two places of a log are two events")
	}
	if line.ID() != copied.ID() {
		t.Error("a copy of a file holds the same events")
	}
	call := Event{Format: "cloudtrail", Raw: []byte(`{"eventID":"1"}`), Ref: Ref{Offset: 10}}
	again := call
	again.Ref.Offset = 99
	if call.ID() != again.ID() {
		t.Error("a record with a number of its own is one event wherever it stands")
	}
}

func TestEveryActHasAName(t *testing.T) {
	seen := map[string]bool{}
	for a := ActNone; a < actCount; a++ {
		if s := a.String(); s == "" || seen[s] {
			t.Errorf("act %d is called %q", a, s)
		}
		seen[a.String()] = true
	}
	if got := actCount.String(); !strings.HasPrefix(got, "act(") {
		t.Errorf("an unknown act is called %q", got)
	}
}
