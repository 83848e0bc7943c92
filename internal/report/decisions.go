package report

import (
	"fmt"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// What a text or page shows of decisions at most; report.json has the rest.
const (
	shownDecisions = 30 // of one incident, the latest
	shownRedirects = 50
)

// decided tells what analysts decided about an incident.
func (t textWriter) decided(p *page, inc *model.Incident) {
	if len(inc.History)+len(inc.Suppressed) == 0 && inc.SplitFrom == "" {
		return
	}
	p.heading("Decisions")
	if s := standing(inc); s != "" {
		p.wrapped("   ", "     ", s)
	}
	for _, s := range inc.Suppressed {
		p.wrapped("   ", "     ", s.Text)
	}
	more, history := latest(inc.History)
	if more > 0 {
		p.line("   " + p.dim(fmt.Sprintf("%s in report.json", plural(int64(more), "earlier decision"))))
	}
	for _, d := range history {
		p.wrapped("   "+stamp(d.At)+"  ", strings.Repeat(" ", 24), decisionLine(d))
	}
}

// others tells of decisions that concern no incident, and where ids lead now.
func (t textWriter) others(p *page, r *model.Report) {
	if len(r.Decisions)+len(r.Redirects)+len(r.Suppressed) == 0 {
		return
	}
	p.rule("Decisions")
	for i, d := range r.Redirects {
		if i == shownRedirects {
			p.line("   " + p.dim(fmt.Sprintf("and %d more ids", len(r.Redirects)-i)))
			break
		}
		d = copyOf(d, Clean)
		p.wrapped("   ", "     ", d.From+" is now "+p.bold(d.To)+": "+d.Why)
	}
	for i, s := range r.Suppressed {
		if i == shownDecisions {
			p.line("   " + p.dim(fmt.Sprintf("and %d more suppressions", len(r.Suppressed)-i)))
			break
		}
		p.wrapped("   ", "     ", Clean(s.Text))
	}
	more, list := latest(r.Decisions)
	if more > 0 {
		p.line("   " + p.dim(fmt.Sprintf("%s in report.json", plural(int64(more), "earlier decision"))))
	}
	for _, d := range list {
		p.wrapped("   "+stamp(d.At)+"  ", strings.Repeat(" ", 24), decisionLine(copyOf(d, Clean)))
	}
}

// standing says how an incident stands by decision.
func standing(inc *model.Incident) string {
	var parts []string
	if inc.Verdict != "" {
		parts = append(parts, "verdict "+strings.ReplaceAll(inc.Verdict, "_", " "))
	}
	if inc.Assignee != "" {
		parts = append(parts, "with "+inc.Assignee)
	}
	if inc.SplitFrom != "" {
		parts = append(parts, "taken out of "+inc.SplitFrom)
	}
	return strings.Join(parts, " · ")
}

// latest returns the last decisions, as many as are shown, and how many are not.
func latest(l []model.Decision) (int, []model.Decision) {
	n := max(len(l)-shownDecisions, 0)
	return n, l[n:]
}

// decisionLine says a decision in one line: who did what to what, and why.
func decisionLine(d model.Decision) string {
	s := d.Author + ": " + string(d.Kind)
	if d.Value != "" {
		s += " " + strings.ReplaceAll(d.Value, "_", " ")
	}
	const most = 6
	s += joinBefore(" ", d.Targets[:min(len(d.Targets), most)])
	if n := len(d.Targets) - most; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	if w := d.Where; w != nil {
		if w.Rule != "" {
			s += " rule " + w.Rule
		}
		if w.Product != "" {
			s += " product " + w.Product
		}
		if w.Entity != "" {
			s += " " + w.Entity
		}
		if w.Since != nil {
			s += " since " + stamp(*w.Since)
		}
	}
	if d.Until != nil {
		s += " until " + stamp(*d.Until)
	}
	s += ": " + d.Reason
	if d.Effect != "" {
		s += " (" + d.Effect + ")"
	}
	return s
}

func joinBefore(sep string, l []string) string {
	if len(l) == 0 {
		return ""
	}
	return sep + strings.Join(l, sep)
}
