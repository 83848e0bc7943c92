package sigma

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// pipelineRule is the rule of testdata/pipeline.txt around a detection.
func pipelineRule(detection string) string {
	if !strings.Contains("\n"+detection, "\n  condition:") {
		detection += "  condition: sel\n"
	}
	return "title: A rule\nlevel: medium\nstatus: test\ntags: [attack.t1059, my.tag]\nlogsource: {product: windows, category: process_creation}\ndetection:\n" + detection
}

// adapt runs a pipeline over a rule and compiles what comes out.
func adapt(pipeline, detection string) (*Set, error) {
	p, err := ParsePipeline("p.yml", []byte(pipeline))
	if err != nil {
		return nil, err
	}
	rules, err := Parse("r.yml", []byte(pipelineRule(detection)))
	if err != nil {
		return nil, err
	}
	r, err := p.Apply(rules[0])
	if err != nil {
		return nil, err
	}
	return Compile([]*Rule{r})
}

func TestPipelineConformance(t *testing.T) {
	cases := readCases(t, "testdata/pipeline.txt")
	checks := 0
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pipeline, detection, refuse, log := "", "", "", ""
			inRule := false
			events := map[int]string{}
			for i, line := range c.lines {
				switch {
				case line == "rule:":
					inRule = true
				case strings.HasPrefix(line, "! "):
					refuse = line[2:]
				case strings.HasPrefix(line, "log: "):
					log = line[5:]
				case strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "- "):
					events[i] = line
				case inRule && line != "":
					detection += line + "\n"
				case !inRule:
					pipeline += line + "\n"
				}
			}
			if detection == "" {
				detection = "  sel: {A: 1}\n"
			}
			set, err := adapt(pipeline, detection)
			if refuse != "" {
				checks++
				if err == nil || !strings.Contains(err.Error(), refuse) {
					t.Fatalf("line %d: refused with %v, want %q", c.line, err, refuse)
				}
				if errs := Errors(err); len(errs) != 1 || errs[0].Line == 0 || errs[0].File != "p.yml" && errs[0].File != "r.yml" {
					t.Fatalf("line %d: error has no place: %#v", c.line, errs)
				}
				return
			}
			if err != nil {
				t.Fatalf("line %d: %v", c.line, err)
			}
			if len(events) == 0 {
				t.Fatalf("line %d: case has no event", c.line)
			}
			src := set.Rules()[0].LogSource
			if got := src.Product + "/" + src.Category + "/" + src.Service; log != "" && got != log {
				t.Errorf("line %d: log source %s, want %s", c.line, got, log)
			}
			m := set.NewMatcher()
			for i, line := range events {
				checks++
				event := eventOf(t, c.line+i, line[2:])
				load(m, event)
				if got := len(m.Match(src)) == 1; got != (line[0] == '+') {
					_, why := set.Explain(0, event)
					t.Errorf("line %d: plan says %v: %+v", c.line+i, got, why)
				}
			}
		})
	}
	t.Logf("%d cases, %d checks", len(cases), checks)
	if len(cases) < 50 {
		t.Errorf("only %d cases read", len(cases))
	}
}

// A pipeline that does nothing leaves the meaning of every example of a rule.
func TestPipelineKeepsMeaning(t *testing.T) {
	p, err := ParsePipeline("p.yml", []byte("transformations: [{type: field_name_mapping, mapping: {nothing: else}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range readConformance(t) {
		body := c.detection
		if !strings.Contains("\n"+body, "\ncondition:") {
			body += "condition: sel\n"
		}
		src := "title: x\nlogsource: {category: test}\ndetection:\n"
		for line := range strings.Lines(body) {
			src += "  " + line
		}
		rules, err := Parse("case.yml", []byte(src))
		if err != nil {
			continue
		}
		r, err := p.Apply(rules[0])
		if err != nil {
			t.Errorf("line %d: %s: %v", c.line, c.name, err)
			continue
		}
		again, err := p.Apply(r) // what a pipeline made can be given to the next
		if err != nil {
			t.Errorf("line %d: %s: %v", c.line, c.name, err)
			continue
		}
		for _, e := range c.events {
			n++
			if r.cond.matchEvent(e.fields) != e.match || again.cond.matchEvent(e.fields) != e.match {
				t.Errorf("line %d: %s: changed by a pipeline that does nothing", e.line, c.name)
			}
		}
	}
	t.Logf("%d events", n)
}

// All public rules come out of such a pipeline, too, and those with placeholders
// can be used once they have values.
func TestPipelineOnPublicRules(t *testing.T) {
	_, rules, _ := parseAll(t, dataDir(t, "sigma_rules"))
	p, err := ParsePipeline("p.yml", []byte("transformations: [{type: value_placeholders}, {type: field_name_prefix, prefix: x.}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		for _, name := range r.Placeholders {
			p.SetVar(name, "one", "two*")
		}
	}
	var out []*Rule
	for _, r := range rules {
		a, err := p.Apply(r)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		out = append(out, a)
	}
	set, err := Compile(out)
	if err != nil || len(set.Rules()) != len(rules) {
		t.Errorf("%d of %d rules: %v", len(set.Rules()), len(rules), err)
	}
	for _, f := range set.Fields() {
		if !strings.HasPrefix(f, "x.") {
			t.Errorf("field %q has no prefix", f)
		}
	}
	t.Logf("%d rules, %d fields", len(set.Rules()), len(set.Fields()))
}

func TestJoinPipelines(t *testing.T) {
	parse := func(src string) *Pipeline {
		p, err := ParsePipeline("p.yml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	late := parse("name: late\npriority: 20\nvars: {v: late}\ntransformations: [{type: field_name_mapping, mapping: {B: C}}]\n")
	early := parse("name: early\npriority: 10\nvars: {v: early, w: [1, 2]}\ntransformations: [{type: field_name_mapping, mapping: {A: B}}]\n")
	same := parse("name: same\npriority: 20\ntransformations: [{type: field_name_mapping, mapping: {C: D}}]\n")
	p := JoinPipelines(late, early, same)
	if p.Name != "early + late + same" || !reflect.DeepEqual(p.vars, map[string][]string{"v": {"late"}, "w": {"1", "2"}}) {
		t.Errorf("%s %v", p.Name, p.vars)
	}
	rules, err := Parse("r.yml", []byte(pipelineRule("  sel: {A: 1}\n")+"fields: [A, X]\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(*rules[0])
	r, err := p.Apply(rules[0])
	if err != nil {
		t.Fatal(err)
	}
	if !r.cond.matchEvent([]Field{{"D", Number, "1"}}) || !reflect.DeepEqual(r.Fields, []string{"D", "X"}) {
		t.Errorf("%v", r.Fields)
	}
	if fmt.Sprint(*rules[0]) != before {
		t.Error("the rule itself was changed")
	}
}

func TestPipelineOnCorrelation(t *testing.T) {
	p, err := ParsePipeline("p.yml", []byte("transformations: [{type: field_name_mapping, mapping: {User: user.name, N: bytes, Source: src, Two: [a, b]}}, {type: drop_detection_item}, {type: add_condition, conditions: {X: 1}}, {type: change_logsource, product: x}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	src := "title: c\nfields: [User]\ncorrelation: {type: value_sum, rules: [a, b], group-by: [User, who], timespan: 1m, aliases: {who: {a: Source, b: Other}}, condition: {field: N, gte: 2}}\n"
	rules, err := Parse("c.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Apply(rules[0])
	if err != nil {
		t.Fatal(err)
	}
	c := r.Correlation
	want := []any{[]string{"user.name", "who"}, []string{"bytes"}, []Alias{{"who", []string{"a", "b"}, []string{"src", "Other"}}}, []string{"user.name"}}
	if got := []any{c.GroupBy, c.Fields, c.Aliases, r.Fields}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if old := rules[0].Correlation; old.GroupBy[0] != "User" || old.Fields[0] != "N" || old.Aliases[0].Field[0] != "Source" {
		t.Errorf("the correlation itself was changed: %+v", old)
	}
	rules, err = Parse("c.yml", []byte(strings.Replace(src, "[User, who]", "[Two]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(rules[0]); err == nil || !strings.Contains(err.Error(), "would have 2 names") {
		t.Errorf("got %v", err)
	}
}

func TestPipelineOnFilter(t *testing.T) {
	p, err := ParsePipeline("p.yml", []byte("vars: {vips: [bob, al]}\ntransformations: [{type: value_placeholders}, {type: field_name_mapping, mapping: {User: user.name, R: r}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Parse("f.yml", []byte(filteredRules()+filters(t, "f: {logsource: {product: p}, rules: one, vip: {User|expand: '%vips%'}, condition: not vip}")))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rules {
		if rules[i], err = p.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{"bob": false, "al": false, "eve": true} {
		if held, _ := set.Explain(0, []Field{{"r", Number, "1"}, {"user.name", String, user}}); held != want {
			t.Errorf("%s: %v", user, held)
		}
	}
}

func TestReadVars(t *testing.T) {
	vars, err := ReadVars(fstest.MapFS{
		"admins.txt":  {Data: []byte("\xef\xbb\xbf# who may\nbob\r\n\n  al  \n")},
		"empty.txt":   {},
		"other.yml":   {Data: []byte("a: b")},
		"sub/two.txt": {Data: []byte("x")},
	})
	if want := map[string][]string{"admins": {"bob", "al"}, "empty": {}}; err != nil || !reflect.DeepEqual(vars, want) {
		t.Errorf("got %v, %v", vars, err)
	}
	for name, data := range map[string]string{"large.txt": strings.Repeat("x\n", MaxFileSize), "long.txt": strings.Repeat("x", MaxValueLen+1), "bytes.txt": "a\n\xff\n"} {
		if _, err := ReadVars(fstest.MapFS{name: {Data: []byte(data)}}); len(Errors(err)) != 1 || Errors(err)[0].File != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
