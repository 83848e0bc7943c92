package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestJUnit(t *testing.T) {
	var b strings.Builder
	err := WriteJUnit(&b, "rules", []Suite{
		{Name: "a.yml", File: "rules/a.yml", Cases: []Check{
			{Name: "fires 1", Line: 3},
			{Name: "quiet 1", Line: 7, Failure: "matched\n+ sel\n  + Image is 'x'", Output: "more"},
			{Name: "<&\"'>", Error: "no such file"},
		}},
		{Name: "b.yml", Cases: []Check{{Name: "test", Class: "windows", Skipped: "no test"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="rules" tests="4" failures="1" errors="1" skipped="1">
  <testsuite name="a.yml" file="rules/a.yml" tests="3" failures="1" errors="1" skipped="0">
    <testcase name="fires 1" classname="a.yml" file="rules/a.yml" line="3"></testcase>
    <testcase name="quiet 1" classname="a.yml" file="rules/a.yml" line="7">
      <failure message="matched">matched&#xA;+ sel&#xA;  + Image is &#39;x&#39;</failure>
      <system-out>more</system-out>
    </testcase>
    <testcase name="&lt;&amp;&#34;&#39;&gt;" classname="a.yml" file="rules/a.yml">
      <error message="no such file"></error>
    </testcase>
  </testsuite>
  <testsuite name="b.yml" tests="1" failures="0" errors="0" skipped="1">
    <testcase name="test" classname="windows">
      <skipped message="no test"></skipped>
    </testcase>
  </testsuite>
</testsuites>
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

// Whatever stands in names and texts, what is written is XML, keeps its shape and
// shows no character that hides or moves others.
func FuzzJUnit(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[2Jgone", "]]><failure/>", "a\u202egpj.exe", "\xff\xfe", "\u0000\ufffe\U0001fffe", "two\nlines", "</testcase>"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		var b strings.Builder
		if err := WriteJUnit(&b, name, []Suite{{Name: name, File: text, Cases: []Check{{Name: name, Class: text, Failure: "x" + text, Output: text}}}}); err != nil {
			t.Fatal(err)
		}
		tags := 0
		dec := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %q", err, b.String())
			}
			if _, ok := tok.(xml.StartElement); ok {
				tags++
			}
		}
		want := 4
		if text != "" {
			want++ // system-out
		}
		if tags != want {
			t.Errorf("%d elements, want %d: %q", tags, want, b.String())
		}
		for _, r := range b.String() {
			if r != '\n' && hidden(r) {
				t.Errorf("%U is written", r)
			}
		}
	})
}
