package compare

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteJSON writes the whole result as indented JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Bounds of the text; the JSON holds all.
const (
	textGroups    = 50 // of one kind
	textMemberMax = 20 // of one group and report
	textRules     = 20
	textMoves     = 20
	textJudged    = 50
)

// WriteText writes the result for a person. clean makes text from a report safe
// to show, since evidence may be in it.
func (r *Result) WriteText(w io.Writer, clean func(string) string) error {
	b := bufio.NewWriter(w)
	p := func(format string, args ...any) { fmt.Fprintln(b, clean(fmt.Sprintf(format, args...))) }
	for _, s := range []struct {
		name string
		Side
	}{{"A", r.A}, {"B", r.B}} {
		p("%s  version %s, rules %s, ATT&CK %s: %d events, %d alerts held, %d incidents", s.name, s.Version, s.Rules, s.Attack, s.Events, s.Alerts, s.Incidents)
	}
	for _, n := range r.Notes {
		p("   note: %s", n)
	}
	var counts []string
	for _, k := range kinds() {
		if n := r.Counts[k]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if len(counts) == 0 {
		counts = []string{"none in either"}
	}
	p("incidents: %s", strings.Join(counts, ", "))
	r.textGroups(p)
	r.textRules(p)
	r.textMoves(p)
	r.textVerdicts(p)
	return b.Flush()
}

func (r *Result) textGroups(p func(string, ...any)) {
	shown := map[Kind]int{}
	for i := range r.Groups {
		g := &r.Groups[i]
		if g.Kind == Same {
			continue
		}
		if shown[g.Kind]++; shown[g.Kind] > textGroups {
			if shown[g.Kind] == textGroups+1 {
				p("and %d further %s", r.Counts[g.Kind]-textGroups, g.Kind)
			}
			continue
		}
		p("")
		p("%s, %d records shared", g.Kind, g.Shared)
		textMembers(p, "A", g.A)
		textMembers(p, "B", g.B)
		for _, c := range g.Changes {
			p("    %s: %s -> %s", c.What, c.A, c.B)
		}
		for _, d := range g.Rules {
			p("    rule %s", d)
		}
	}
}

func textMembers(p func(string, ...any), side string, members []Member) {
	for _, m := range members[:min(textMemberMax, len(members))] {
		p("  %s %s", side, m)
	}
	if more := len(members) - textMemberMax; more > 0 {
		p("  %s and %d further", side, more)
	}
}

// String tells an incident in one line.
func (m Member) String() string {
	return fmt.Sprintf("#%d %s %s %d, %d alerts: %s", m.Rank, m.ID, m.Severity, m.Score, m.Alerts, m.Title)
}

// String tells a rule's difference in one line.
func (d RuleDiff) String() string {
	return fmt.Sprintf("%s (%s): %d alerts in A, %d in B; only A %d, only B %d, moved %d", d.Title, d.ID, d.A, d.B, d.OnlyA, d.OnlyB, d.Moved)
}

func (r *Result) textRules(p func(string, ...any)) {
	if len(r.Rules) == 0 {
		return
	}
	p("")
	p("rules whose alerts differ: %d", len(r.Rules))
	for _, d := range r.Rules[:min(textRules, len(r.Rules))] {
		p("  %s", d)
	}
	if more := len(r.Rules) - textRules; more > 0 {
		p("  and %d further", more)
	}
}

func (r *Result) textMoves(p func(string, ...any)) {
	if len(r.Moved) == 0 {
		return
	}
	p("")
	p("alerts that moved: %d", len(r.Moved))
	for _, m := range r.Moved[:min(textMoves, len(r.Moved))] {
		p("  %s %s: %s -> %s", m.AlertA, m.Title, orNone(m.IncidentA), orNone(m.IncidentB))
	}
	if more := len(r.Moved) - textMoves; more > 0 {
		p("  and %d further", more)
	}
}

func orNone(id string) string {
	if id == "" {
		return "no incident"
	}
	return id
}

func (r *Result) textVerdicts(p func(string, ...any)) {
	v := r.Verdicts
	if v == nil {
		return
	}
	p("")
	p("verdicts: true ones kept %d, lost %d; false ones kept %d, gone %d; glued %d; only in B %d; unknown %d",
		v.TrueKept, v.TrueLost, v.FalseKept, v.FalseGone, v.Glued, v.OnlyB, v.Unknown)
	shown := 0
	for _, o := range v.Judged {
		// What went as it should is in the counts.
		if o.True && o.Outcome == "kept" || !o.True && o.Outcome == "gone" {
			continue
		}
		if shown++; shown > textJudged {
			p("  and further ones, all in the JSON")
			return
		}
		p("  line %d: %s %s, judged %t: %s %s", o.Line, o.What, o.ID, o.True, o.Outcome, strings.Join(o.In, ", "))
	}
}
