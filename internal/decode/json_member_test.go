package decode

import (
	"strings"
	"testing"
)

func TestMemberText(t *testing.T) {
	const text = `{ "a" : 1 , "b":{"c":[ {"x":"],}"} ,"s\"" , [1,2] , null ],"c":2}, "e":"",  "a":3 }`
	for path, want := range map[string]string{"a": "1", "b.c": `[ {"x":"],}"} ,"s\"" , [1,2] , null ]`, "e": `""`, "b.x": "", "a.b": "", "x": ""} {
		if got := memberText(text, strings.Split(path, ".")...); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	var got []string
	eachElement(memberText(text, "b", "c"), func(v string) bool { got = append(got, v); return true })
	if want := `{"x":"],}"};"s\"";[1,2];null`; strings.Join(got, ";") != want {
		t.Errorf("elements %q, want %q", got, want)
	}
	eachElement("[]", func(v string) bool { t.Errorf("an element %q of nothing", v); return true })
	eachMember("{ }", func(k, _ string) bool { t.Errorf("a member %q of nothing", k); return true })
}

// FuzzMemberText: text that is no JSON is no reason to panic.
func FuzzMemberText(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1]}}`, `{"a`, `{"a"`, `{"a":"\`, `{,}`, `{:}`, `{"":}`, `[}`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		memberText(text, "a", "b")
		eachElement(text, func(string) bool { return true })
	})
}
