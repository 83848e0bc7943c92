package story

import (
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// stepsAt makes steps of "minute host tactic", one each.
func stepsAt(t *testing.T, lines ...string) []model.Step {
	t.Helper()
	var out []model.Step
	for i, l := range lines {
		f := strings.Fields(l)
		d, err := time.ParseDuration(f[0])
		if err != nil {
			t.Fatal(err)
		}
		at := dawn.Add(d)
		out = append(out, model.Step{N: i + 1, Time: at, End: at, Host: f[1], Tactic: f[2], Technique: "T" + f[2], Summary: l + ".", Alerts: []string{"a" + f[0]}, Events: []string{"e" + f[0]}})
	}
	return out
}

func TestChapters(t *testing.T) {
	steps := stepsAt(t,
		"0m ws1 execution", "1m ws1 command-and-control", "2m ws1 stealth", "3m ws1 persistence",
		"40m ws1 discovery", "41m ws1 credential-access", "42m ws1 discovery",
		"90m srv1 lateral-movement", "91m srv2 lateral-movement", "92m srv3 lateral-movement", "93m srv4 lateral-movement",
		"240m srv1 exfiltration", "250m srv1 impact")
	cs := chapters(steps, []string{"e0m"})
	var titles []string
	for _, c := range cs {
		titles = append(titles, c.Title)
	}
	want := []string{"Ran programs and made sure to stay on ws1", "Looked around and went for credentials on ws1", "Moved on to srv1, srv2, srv3 and 1 more", "Took data out and did damage on srv1"}
	if strings.Join(titles, "|") != strings.Join(want, "|") {
		t.Fatalf("%q, want %q", titles, want)
	}
	if strings.Contains(cs[0].Text, "0m ws1 execution") {
		t.Errorf("what is told already is told again: %s", cs[0].Text)
	}
	if !strings.Contains(cs[1].Text, "credential-access") || len(cs[1].Cites) == 0 {
		t.Errorf("%+v", cs[1])
	}
}

// A story of ever new places stays readable.
func TestChaptersAreFew(t *testing.T) {
	var steps []model.Step
	tactics := []string{knowledge.Execution, knowledge.LateralMovement, knowledge.Impact, knowledge.Discovery}
	for i := range maxSteps {
		at := dawn.Add(time.Duration(i) * time.Hour)
		steps = append(steps, model.Step{N: i + 1, Time: at, End: at, Host: "h" + string(rune('a'+i%26)), Tactic: tactics[i%len(tactics)], Summary: "x."})
	}
	cs := chapters(steps, nil)
	if len(cs) != maxChapters || cs[len(cs)-1].To != maxSteps {
		t.Errorf("%d chapters, the last %+v", len(cs), cs[len(cs)-1])
	}
}
