package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// lateAfter is how late a record must arrive for a step to say so.
const lateAfter = time.Minute

// textContext bounds the kinds of context that an incident lists.
const textContext = 8

// chapterSpan says how long a chapter lasted and over which steps it goes.
func chapterSpan(c *model.Chapter) string {
	s := stamp(c.Time)
	if d := c.End.Sub(c.Time); d >= time.Second {
		s += ", " + span(d)
	}
	if c.From == c.To {
		return s + fmt.Sprintf(" · step %d", c.From)
	}
	return s + fmt.Sprintf(" · steps %d to %d", c.From, c.To)
}

// late says after gap how long after a step its record arrived, if that is long.
func late(gap string, s *model.Step) string {
	d := s.Arrived.Sub(s.Time)
	if s.Arrived.IsZero() || d < lateAfter {
		return ""
	}
	return gap + "Its record arrived " + span(d) + " later."
}

// A contextLine is the alerts of one rule that an incident shows beside its core.
type contextLine struct {
	Title string
	Alert string // id of the first
	First time.Time
	Count int
}

// contextLines groups the context of an incident by rule, the first first.
func contextLines(inc *model.Incident, alerts map[string]*model.Alert) []contextLine {
	var out []contextLine
	at := map[string]int{} // place in out, by title: products choose titles
	for _, id := range inc.Context {
		a := alerts[id]
		if a == nil {
			continue
		}
		title := Clean(a.Rule.Title)
		if i, ok := at[title]; ok {
			out[i].Count++
			continue
		}
		at[title] = len(out)
		out = append(out, contextLine{title, id, a.Time, 1})
	}
	slices.SortStableFunc(out, func(a, b contextLine) int { return a.First.Compare(b.First) })
	return out
}

// context lists what stands beside the story: it fits, and proves nothing.
func (t textWriter) context(p *page, inc *model.Incident, alerts map[string]*model.Alert) {
	lines := contextLines(inc, alerts)
	if len(lines) == 0 {
		return
	}
	p.heading("Beside it")
	p.wrapped("   ", "   ", p.dim("These alerts fit and are no part of the account: too weak, or too weakly linked."))
	for i, l := range lines {
		if i == textContext {
			p.line("   " + p.dim(fmt.Sprintf("and %d more kinds", len(lines)-i)))
			break
		}
		p.wrapped("   "+stamp(l.First)+"  ", "                        ", join(" ", l.Title, times(l.Count)))
	}
}
