package app

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

func explain(t *testing.T, o Options, ref, event string, what ExplainOptions) (*Explanation, string) {
	t.Helper()
	o.NoBuiltin = true
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	e, err := a.Explain(context.Background(), ref, event, what)
	if err != nil {
		t.Fatal(err)
	}
	var b, js strings.Builder
	if err := e.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	if err := e.WriteJSON(&js); err != nil || !json.Valid([]byte(js.String())) {
		t.Fatalf("%v in %s", err, js.String())
	}
	return e, b.String()
}

// A match is told with what held, and what came closest where nothing matched.
func TestExplainRule(t *testing.T) {
	rules := goodRule + "---\n" + strings.NewReplacer("1111", "2222", "Who am I", "Nobody does", `{Image|endswith: '\whoami.exe'}`,
		`{image: x, CommandLine|contains: ['/all', 'nothing'], Usr: null}`).Replace(goodRule)
	folder(t, file{"r.yml", rules}, file{"log.json", dumping()})
	o := Options{RuleDirs: []string{"r.yml"}}
	e, text := explain(t, o, "who am i", "log.json", ExplainOptions{})
	if r := e.Rules[0]; len(e.Rules) != 1 || r.Read != 6 || r.Of != 6 || r.Matched != 1 || len(r.Events) != 1 || !r.Events[0].Matched || r.Events[0].Record != 3 {
		t.Errorf("%+v", e.Rules)
	}
	want := `Who am I  high, 11111111-1111-4111-8111-111111111111
  r.yml:1
  looks at product=windows category=process_creation
  6 events read, 6 of that log source, 1 match

  MATCH  log.json, record 3, 2024-03-01T11:00:20Z
    yes  log source: product=windows category=process_creation service=sysmon
    yes  condition: sel
    yes  sel:
      yes  Image ends with '\whoami.exe'
           Image = C:\Windows\System32\whoami.exe
`
	if text != want {
		t.Errorf("%s", text)
	}
	e, text = explain(t, o, "Nobody does", "log.json", ExplainOptions{Limit: 2})
	if r := e.Rules[0]; r.Matched != 0 || len(r.Events) != 2 || r.Events[0].Record != 3 || r.Events[1].Record != 6 {
		t.Errorf("%+v", e.Rules)
	}
	for _, line := range []string{"the 2 that came closest:\n", "the event has no field image; it has Image\n", "yes  Usr is missing or null\n", "CommandLine contains '/all' (of a list of 2)\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	if e, _ = explain(t, o, "r.yml", "log.json", ExplainOptions{Record: 2}); len(e.Rules) != 2 || len(e.Rules[0].Events) != 1 || e.Rules[0].Events[0].Record != 2 {
		t.Errorf("%+v", e.Rules)
	}
}

// An event of another log source is told as such, with what the rule would say.
func TestExplainOtherSource(t *testing.T) {
	folder(t, file{"r.yml", refusals}, file{"log.json", dumping()})
	o := Options{RuleDirs: []string{"r.yml"}}
	e, text := explain(t, o, "refused", "log.json", ExplainOptions{})
	if r := e.Rules[0]; r.Of != 0 || len(r.Events) != 0 || len(r.LogSources) != 1 || r.LogSources[0].Events != 6 || !strings.Contains(text, "       6  product=windows category=process_creation service=sysmon\n") {
		t.Errorf("%+v\n%s", e.Rules, text)
	}
	one, _, _ := strings.Cut(dumping(), "\n")
	for _, what := range []ExplainOptions{{}, {Record: 1}} {
		e, text = explain(t, o, "refused", one, what)
		if r := e.Rules[0]; len(r.Events) != 1 || r.Events[0].Applies || !strings.Contains(text, "the rule looks at product=linux service=sshd") ||
			!strings.Contains(text, "a correlation looks at its matches") {
			t.Errorf("%+v\n%s", e.Rules, text)
		}
	}
}

func TestExplainCorrelation(t *testing.T) {
	folder(t, file{"r.yml", refusals}, file{"auth.log", guessing(12)}, file{"few.log", guessing(7)})
	o := Options{RuleDirs: []string{"r.yml"}}
	e, text := explain(t, o, "Many refusals", "auth.log", ExplainOptions{})
	c := e.Rules[0].Correlation
	if c == nil || c.Held != 1 || c.Rules[0].Matches != 12 || c.Windows[0].Value != 12 || !c.Windows[0].Held || e.Rules[0].Matched != 1 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(text, "event_count of refused >= 10 within 10m, by remote_ip\n") {
		t.Errorf("%s", text)
	}
	e, text = explain(t, o, "Many refusals", "few.log", ExplainOptions{})
	if c := e.Rules[0].Correlation; c.Held != 0 || c.Windows[0].Value != 7 || c.Windows[0].Held ||
		!strings.Contains(text, "no   remote_ip 203.0.113.9: value 7, 7 events from 2024-03-01T10:00:00Z to 2024-03-01T10:00:06Z\n") {
		t.Errorf("%+v\n%s", c, text)
	}
}

// What an attacker put into an event reaches no terminal, and is told within bounds.
func TestExplainIsSafe(t *testing.T) {
	folder(t, file{"r.yml", goodRule})
	hostile := "\x1b[2J\u202egpj" + strings.Repeat("x", 1<<16)
	js, err := json.Marshal(map[string]any{"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": "pc1\x1b[31m", "EventTime": "2024-03-01 11:00:00",
		"UtcTime": "2024-03-01 11:00:00.000", "ProcessGuid": "{00000000-0000-0000-0000-000000001001}", "Image": hostile})
	if err != nil {
		t.Fatal(err)
	}
	_, text := explain(t, Options{RuleDirs: []string{"r.yml"}}, "Who am I", string(js), ExplainOptions{})
	if strings.ContainsAny(text, "\x1b\u202e") || len(text) > 2000 || !strings.Contains(text, `Image = \u{001b}[2J\u{202e}gpj`) {
		t.Errorf("%q", text)
	}
}

func TestExplainErrors(t *testing.T) {
	folder(t, file{"r.yml", refusals}, file{"broken.yml", "title: [\n"}, file{"log.json", dumping()}, file{"empty.log", ""})
	a, err := New(Options{NoBuiltin: true, RuleDirs: []string{"r.yml", "broken.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ref, event string
		what       ExplainOptions
		want       string
	}{
		{"refuse", "log.json", ExplainOptions{}, `perhaps "Refused" (11111111-`},
		{"x", "log.json", ExplainOptions{}, "'catena rules list' lists them"},
		{"broken.yml", "log.json", ExplainOptions{}, "the rule cannot be used: broken.yml:"},
		{"refused", "log.json", ExplainOptions{Record: 9}, "there is no record 9; 6 events were read"},
		{"refused", "none.json", ExplainOptions{}, "none.json"},
		{"refused", "empty.log", ExplainOptions{}, "there is no event in it"},
		{"refused", "{not JSON", ExplainOptions{}, "no decoder knows this"},
		{"Many refusals", "log.json", ExplainOptions{Record: 1}, "is a correlation"},
	} {
		if _, err := a.Explain(context.Background(), c.ref, c.event, c.what); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: %v, want %q in it", c.ref, c.event, err, c.want)
		}
	}
}
