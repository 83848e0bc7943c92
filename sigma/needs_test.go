package sigma

import (
	"slices"
	"strings"
	"testing"
)

func needRule(t *testing.T, detection string) *Rule {
	t.Helper()
	src := "title: t\nlogsource: {product: windows}\ndetection:\n"
	for line := range strings.Lines(detection) {
		src += "  " + line
	}
	rules, err := Parse("r.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return rules[0]
}

func TestRequires(t *testing.T) {
	for _, c := range []struct{ name, detection, want, reads string }{
		{"all fields of a map", "s: {A: x, B|contains: y}\ncondition: s", "A=x B", "A B"},
		{"any of a list", "s:\n- {A: x, B: 1}\n- {A: y, C: 2}\ncondition: s", "A=x,y", "A B C"},
		{"several values", "s: {EventID: [1, 0x2, '3']}\ncondition: s", "EventID=1,2,3", "EventID"},
		{"an open value among them", "s: {A: [x, 'y*']}\ncondition: s", "A", "A"},
		{"the narrower of two", "s: {A: [x, y, z]}\nt: {A: x}\ncondition: s and t", "A=x", "A"},
		{"not needs nothing", "s: {A: x}\nf: {B: y}\ncondition: s and not f", "A=x", "A B"},
		{"not null needs the field", "s: {A: x}\nf: {B: null}\ncondition: s and not f", "A=x B", "A B"},
		{"null needs nothing", "s: {A: null, B: y}\ncondition: s", "B=y", "A B"},
		{"none of them", "s: {A: x}\nf_a: {B: null}\nf_b: {C: null}\ncondition: s and not 1 of f_*", "A=x B C", "A B C"},
		{"not all of them", "s: {A: x}\nf_a: {B: null}\nf_b: {C: null}\ncondition: s and not all of f_*", "A=x", "A B C"},
		{"two of three", "s_a: {A: x, D: 1}\ns_b: {A: y, D: 2}\ns_c: {B: z, D: 3}\ncondition: 2 of s_*", "A=x,y D=1,2,3", "A D B"},
		{"both fields of a reference", "s: {A|fieldref: B}\ncondition: s", "A B", "A B"},
		{"keywords", "s: [x, y]\ncondition: s", "", ""},
		{"case as written", "s: {A|cased: X}\ncondition: s", "A", "A"},
		{"empty text", "s: {A: ''}\ncondition: s", "A", "A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := needRule(t, c.detection)
			var got []string
			for _, q := range r.Requires() {
				text := q.Field
				if len(q.Values) > 0 {
					text += "=" + strings.Join(q.Values, ",")
				}
				got = append(got, text)
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("requires %q, want %q", g, c.want)
			}
			if g := strings.Join(r.Reads(), " "); g != c.reads {
				t.Errorf("reads %q, want %q", g, c.reads)
			}
		})
	}
}

func TestRequirementMet(t *testing.T) {
	q := Requirement{"A", []string{"4688", "proc"}}
	for _, v := range []string{"4688", "04688", "0x1250", "4688.0", "PROC"} {
		if !q.Met(v) {
			t.Errorf("%q does not meet %v", v, q.Values)
		}
	}
	for _, v := range []string{"", "468", "procs", "4689"} {
		if q.Met(v) {
			t.Errorf("%q meets %v", v, q.Values)
		}
	}
	if any := (Requirement{Field: "A"}); !any.Met("") {
		t.Error("a field that may have any value is not met")
	}
}

func TestLacks(t *testing.T) {
	const detection = "img: {Image: a}\norig: {OriginalFileName: a}\nsel: {CommandLine|contains: x}\nf: {User: y}\ncondition: (img or orig) and sel and not f"
	for have, want := range map[string]string{
		"Image CommandLine":            "",
		"OriginalFileName CommandLine": "",
		"CommandLine":                  "Image|OriginalFileName",
		"Image":                        "CommandLine",
		"":                             "Image|OriginalFileName CommandLine",
	} {
		r := needRule(t, detection)
		has := strings.Fields(have)
		var got []string
		for _, l := range r.Lacks(func(f string) bool { return slices.Contains(has, f) }) {
			got = append(got, strings.Join(l, "|"))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("with %q it lacks %q, want %q", have, g, want)
		}
	}
}

// What a rule says that it needs, every event has that it matches: taking a
// required field away from an event must take the match away.
func TestNeedsOfExamples(t *testing.T) {
	for _, detection := range []string{
		"s: {A: x, B|contains: y}\ncondition: s",
		"s:\n- {A: x, B: y}\n- {A: z}\ncondition: s",
		"s_a: {A: x}\ns_b: {B: y}\ns_c: {C: z}\ncondition: 2 of s_* and not 1 of t_*\nt_a: {A: null}",
		"s: {A|exists: true}\nt: {B|neq: y}\ncondition: s or not t",
	} {
		r := needRule(t, detection)
		for bits := range 1 << 6 {
			var event []Field
			has := map[string]bool{}
			for i, f := range []Field{{"A", String, "x"}, {"B", String, "y"}, {"C", String, "z"}, {"A", String, "z"}, {"B", String, "q"}, {"A", Null, ""}} {
				if bits>>i&1 == 1 {
					event = append(event, f)
					has[f.Name] = true
				}
			}
			if !r.cond.matchEvent(event) {
				continue
			}
			if l := r.Lacks(func(f string) bool { return has[f] }); l != nil {
				t.Errorf("%s\nmatches %v and is said to lack %v", detection, event, l)
			}
			for _, q := range r.Requires() {
				met := slices.ContainsFunc(event, func(f Field) bool { return f.Name == q.Field && q.Met(f.Text) })
				if !met {
					t.Errorf("%s\nmatches %v, which does not have %v", detection, event, q)
				}
			}
		}
	}
}
