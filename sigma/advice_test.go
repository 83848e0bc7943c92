package sigma

import (
	"fmt"
	"strings"
	"testing"
)

// good is a rule that nobody has anything to say about.
const good = `title: Who am I
id: 0c1f3a52-6c9d-4f4e-9d0a-0d8f5a1a2b3c
status: test
level: low
date: 2026-03-01
modified: 2026-03-02
tags: [attack.discovery, attack.t1033]
logsource: {product: windows, category: process_creation}
detection:
  sel: {Image|endswith: '\whoami.exe'}
  filter_main: {User: SYSTEM}
  condition: sel and not 1 of filter_*
`

func adviseOn(t *testing.T, src string) []Advice {
	t.Helper()
	rules, err := Parse("r.yml", []byte(src))
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	var out []Advice
	for _, r := range rules {
		out = append(out, r.Advise()...)
	}
	return out
}

func codes(list []Advice) string {
	var out []string
	for _, a := range list {
		out = append(out, fmt.Sprintf("%d %s", a.Line, a.Code))
	}
	return strings.Join(out, ", ")
}

func TestAdviseOnMetadata(t *testing.T) {
	if got := adviseOn(t, good); got != nil {
		t.Errorf("a good rule: %+v", got)
	}
	for _, c := range []struct{ old, new, want string }{
		{"id: 0c1f3a52-6c9d-4f4e-9d0a-0d8f5a1a2b3c\n", "", "1 id-missing"},
		{"id: 0c1f3a52", "id: 0c1f3a5x", "2 id-format"},
		{"level: low\n", "", "1 level-missing"},
		{"level: low\n", "level: high\n", "1 falsepositives-missing"},
		{"level: low\n", "level: high\nfalsepositives: [Unlikely]\n", ""},
		{"status: test\n", "", "1 status-missing"},
		{"status: test", "status: works for me", "3 status-unknown"},
		{"status: test", "status: deprecated", "3 status-retired"},
		{"date: 2026-03-01", "date: 2026/03/01", "5 date-format"},
		{"date: 2026-03-01", "date: 2026-03-31", "6 date-order"},
		{"tags: [attack.discovery, attack.t1033]\n", "", "1 tags-missing"},
	} {
		src := strings.Replace(good, c.old, c.new, 1)
		if src == good {
			t.Fatalf("%q is not in the rule", c.old)
		}
		if got := codes(adviseOn(t, src)); got != c.want {
			t.Errorf("%q for %q: %q, want %q", c.new, c.old, got, c.want)
		}
	}
}

func TestAdviseOnDetection(t *testing.T) {
	head, _, _ := strings.Cut(good, "detection:\n")
	for _, c := range []struct{ detection, want string }{
		{"s: {A: x}\nt: {A: y}\ncondition: s", "11 selection-unused"},
		{"s: {A: x}\nfilter: {A: y}\ncondition: all of them", "12 filter-affirmed"},
		{"s: {A: x}\nfilter_a: {A: y}\ncondition: s and not filter_a", ""},
		{"s: {A: x}\nfiltered: {B: y}\ncondition: s and filtered", ""},
		{"f: {A: x}\ncondition: not f", "11 matches-anything"},
		{"s: {A|contains: ''}\ncondition: s", "10 value-empty"},
		{"s: {A: ''}\ncondition: s", ""},
		{"s: {A: '*'}\ncondition: s", "10 value-any"},
		{"s: {A|contains: '*x'}\ncondition: s", "10 wildcard-repeated"},
		{"s: {A|startswith: 'x*'}\ncondition: s", "10 wildcard-repeated"},
		{"s: {A|endswith: '*x'}\ncondition: s", "10 wildcard-repeated"},
		{"s: {A|startswith: '*x'}\ncondition: s", ""},
		{"s: {A: '*x*'}\ncondition: s", "10 wildcard-plain"},
		{"s: {A|contains|startswith: x}\ncondition: s", "10 modifiers-overlap"},
		{"s: {A|contains|all: x}\ncondition: s", "10 all-single"},
		{"s: {A|all: [x, y]}\ncondition: s", "10 all-exact"},
		{"s: {A|all: ['x*', '*y']}\ncondition: s", ""},
		{"s: {A|base64: cmd}\ncondition: s", "10 base64-whole"},
		{"s: {A|base64offset|contains: cmd}\ncondition: s", ""},
		{"s: {A|windash|contains: 'save me'}\ncondition: s", "10 windash-useless"},
		{"s: {A|windash|contains: ' -save'}\ncondition: s", ""},
		{"s: {A: 10.0.0.0/8}\ncondition: s", "10 cidr-text"},
		{"s: {A|cidr: 10.0.0.1/8}\ncondition: s", "10 cidr-host"},
		{"s: {A|cidr: 10.0.0.1/32}\ncondition: s", "10 cidr-single"},
		{"s: {A|cidr: [10.0.0.1/32, 10.1.0.0/16]}\ncondition: s", ""},
		{"s: {A|cidr: 0.0.0.0/0}\ncondition: s", "10 cidr-all"},
		{"s:\n  A:\n  - x\n  - X\n  - x\ncondition: s", "13 value-repeated, 14 value-repeated"},
		{"s: {A|cased: [x, X]}\ncondition: s", ""},
		{"s:\n  A|contains:\n  - powershell\n  - shell\ncondition: s", "12 value-covered"},
		{"s: {A|contains|all: [powershell, shell]}\ncondition: s", ""},
		{"s: {A|endswith: [powershell, power]}\ncondition: s", ""},
		{`s: {A: 'C:\Temp\*'}` + "\ncondition: s", "10 backslash-wildcard"},
		{`s: {A: 'C:\Temp\\*'}` + "\ncondition: s", ""},
		{`s: {A: '\\\\\*\\IPC$'}` + "\ncondition: s", ""},
		{`s: {A: '\\server\share\x'}` + "\ncondition: s", "10 backslash-unc"},
		{`s: {A: '\\\\server\share\x'}` + "\ncondition: s", ""},
		{"s: {A|re: foo}\ncondition: s", "10 regex-plain"},
		{"s: {A|re: '^foo'}\ncondition: s", "10 regex-plain"},
		{"s: {A|re: 'fo+'}\ncondition: s", ""},
		{"s: {A|re: '.*fo+'}\ncondition: s", "10 regex-open"},
		{"s: {A|re: ''}\ncondition: s", "10 regex-any"},
		{"s: {A|re: 'a^b'}\ncondition: s", "10 regex-never"},
		{"s: {A|re: '(?:a$|b$)x'}\ncondition: s", ""},
		{"s: {A|re: 'x$(y|z+)'}\ncondition: s", "10 regex-never"},
		{"s: {A|re|m: 'a$\\sb'}\ncondition: s", ""},
		{"s: [x, x]\ncondition: s", ""},
	} {
		src := head + "detection:\n"
		for line := range strings.Lines(c.detection) {
			src += "  " + line
		}
		if got := codes(adviseOn(t, src)); got != c.want {
			t.Errorf("%s\n\t%q, want %q", c.detection, got, c.want)
		}
	}
}

// Advice speaks of the rule as it is written, at its place in the file.
func TestAdvisePlaces(t *testing.T) {
	src := "# first\ntitle: none\n---\n" + strings.Replace(good, `'\whoami.exe'`, "''", 1)
	rules, err := Parse("r.yml", []byte(src))
	if len(rules) != 1 || len(Errors(err)) != 1 {
		t.Fatal(len(rules), err)
	}
	p, err := ParsePipeline("p.yml", []byte("transformations: [{type: field_name_prefix, prefix: x.}]"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Apply(rules[0])
	if err != nil {
		t.Fatal(err)
	}
	got := r.Advise()
	if len(got) != 1 || got[0].File != "r.yml" || got[0].Line != 13 || got[0].Column != 25 || got[0].Where != "sel.Image|endswith" || got[0].Fix == "" {
		t.Errorf("%+v", got)
	}
}

// Correlations and filters are advised on as well, on what they have.
func TestAdviseOnOtherKinds(t *testing.T) {
	got := adviseOn(t, "title: c\ncorrelation: {type: event_count, rules: [x], timespan: 1m, condition: {gte: 2}}\n---\n"+
		"title: f\nlogsource: {product: windows}\nfilter:\n  rules: any\n  s: {A: x}\n  t: {A: y}\n  condition: not s\n")
	if want := "1 id-missing, 1 level-missing, 1 status-missing, 1 tags-missing, 4 id-missing, 9 selection-unused"; codes(got) != want {
		t.Errorf("%q, want %q", codes(got), want)
	}
}

func FuzzAdvise(f *testing.F) {
	f.Add(good)
	f.Add("title: x\nlogsource: {product: p}\ndetection:\n  s:\n  - {A|re: '(a|b$)*^'}\n  - [k]\n  condition: not 1 of s*\n")
	f.Add("title: x\nlogsource: {product: p}\nfilter: {rules: any, s: {A|cidr: 1.2.3.4/0}, condition: s}\n")
	f.Fuzz(func(t *testing.T, src string) {
		rules, _ := Parse("r.yml", []byte(src)) // what is refused is not advised on
		for _, r := range rules {
			for _, a := range r.Advise() {
				if a.Line < 1 || a.Code == "" || a.Problem == "" || a.Fix == "" {
					t.Errorf("%+v", a)
				}
			}
			r.Requires()
			r.Lacks(func(string) bool { return false })
		}
	})
}
