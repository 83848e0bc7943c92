package report

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestTextTells(t *testing.T) {
	text := string(render(t, Text(TextOptions{Width: 120}, names), sample()))
	checkClean(t, text)
	at := 0
	for _, want := range []string{ // in this order
		"2 incidents from 18 alerts in 83,414 events", "1 critical · 1 high · 1 serious alert alone · 2 inputs with errors",
		"CRITICAL 96  Phished workstation mkt01", "○ Recon ● Intrusion", "STARTED", `on mkt01.corp.example as corp\a.ngo`, "confidence 87 %", "STORY", "STEPS", "1. Got in and ran programs on mkt01", "steps 1 to 5", "Its record arrived 14 min later.",
		"Credential Access: LSASS Memory (T1003.001)", "2. Moved on", "mkt01.corp.example → dc01.corp.example", "BESIDE IT", "Process dump tool started", "REACHED", `user corp\krbtgt`, "WHAT NEXT", "41 %", "WHY WE THINK SO", "+12.2 bits",
		"HIGH 71", "joined nothing", "Security event log cleared", "Inputs", "clock corrected by -4 h", "record 1,207, offset 882,113: record is cut off", "(3 records)",
		"format not recognised", "Notes", "cannot be seen"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place, in\n%s", want, text)
		}
		at += i
	}
}

func TestTextWidth(t *testing.T) {
	for _, color := range []bool{false, true} {
		for _, width := range []int{60, 80, 100, 160} {
			r := sample()
			r.Incidents[0].Title = strings.Repeat("long", 200)
			r.Incidents[0].Steps[0].Summary = strings.Repeat("広", 300)
			for _, line := range strings.Split(string(render(t, Text(TextOptions{Color: color, Width: width}, names), r)), "\n") {
				if n := visible(line); n > width {
					t.Errorf("width %d, color %v: line of %d columns: %q", width, color, n, line)
				}
			}
		}
	}
}

// TestTextColor holds the coloured form to adding our styles and nothing else.
func TestTextColor(t *testing.T) {
	colored := string(render(t, Text(TextOptions{Color: true, Width: 100}, names), sample()))
	bare := string(render(t, Text(TextOptions{Width: 100}, names), sample()))
	var b strings.Builder
	for s := colored; ; {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		code, rest, _ := strings.Cut(after, "m")
		if strings.Trim(code, "0123456789;") != "" {
			t.Fatalf("a sequence that is no style: %q", code)
		}
		s = rest
	}
	if b.String() != bare {
		t.Error("without its styles the coloured text differs from the plain one")
	}
	if !strings.Contains(colored, "\x1b[1;97;41m") {
		t.Error("a critical incident has no colour")
	}
}

// salt puts two strings wherever evidence can put one.
func salt(r *model.Report, a, b string) {
	inc := &r.Incidents[0]
	inc.Title, inc.Root.Host, inc.Steps[0].Summary, inc.Steps[0].Tactic, inc.Steps[1].User, inc.Links[0].Detail = a, b, a, b, a, b
	inc.Severity, inc.Steps[2].Stage, inc.Impact.Touched, inc.ID, inc.Root.Entity = model.Severity(b), model.Stage(a), []string{a, b}, b, a
	inc.Steps[3].From, inc.Steps[3].To, inc.Steps[3].Host, inc.Steps[2].Technique = a, b, b, a
	r.Inputs[0].Path, r.Notes, r.Alone, r.Engine.Rules = a, []string{b}, []string{a, r.Alerts[0].ID}, b
	al := &r.Alerts[0]
	al.Rule.Title, al.Techniques, al.Evidence[0].Event, al.Evidence[0].ID = b, []string{a}, []byte(a), b
	al.Entities = append(al.Entities, ent(model.EntityType(a), model.Role(b), a), ent(model.User, model.Target, b), ent(model.File, model.Object, a))
}

func FuzzText(f *testing.F) {
	f.Add(hostile, "corp\\a", 80)
	f.Add("\x1b]8;;http://x\x07", "m\x1b[", 61)
	f.Add(strings.Repeat("\u0301", 40)+"\u2029", " ", 0)
	f.Fuzz(func(t *testing.T, a, b string, width int) {
		r := sample()
		salt(r, a, b)
		checkClean(t, string(render(t, Text(TextOptions{Width: width}, Options{}), r)))
		checkClean(t, strings.ReplaceAll(string(render(t, CSV(), r)), "\r\n", "\n"))
		checkClean(t, string(render(t, JSON(), r)))
		checkClean(t, string(render(t, Navigator(), r)))
	})
}
