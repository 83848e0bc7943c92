package eval

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteJSON writes the result as indented JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the result for a person; verbose adds every step and every
// member, so that the judgement can be checked.
func (r *Result) WriteText(w io.Writer, verbose bool) error {
	p := &printer{w: w}
	for i := range r.Campaigns {
		p.campaign(&r.Campaigns[i], verbose)
	}
	p.line("incidents %d: false %d, false below medium %d, glued %d", r.Incidents, len(r.FalseIncidents), len(r.FalseLow), len(r.Glued))
	for _, group := range []struct {
		name string
		ids  []string
	}{{"false", r.FalseIncidents}, {"glued", r.Glued}} {
		if len(group.ids) > 0 {
			p.line("  %s: %s", group.name, strings.Join(group.ids, ", "))
		}
	}
	for _, b := range r.Benign {
		p.line("  no attack: %s (%s): false incidents %d, alerts in incidents of campaigns %d", b.ID, b.Kind, len(b.False), b.Drawn)
	}
	return p.err
}

// WriteText writes the result for a person; verbose adds what was missed.
func (r *AITResult) WriteText(w io.Writer, verbose bool) error {
	p := &printer{w: w}
	for i := range r.Scenarios {
		x := &r.Scenarios[i]
		if x.Rank == 0 {
			p.line("%s: NOT FOUND (%d visible phases, %d kinds)", x.Name, x.StepsAll, len(x.MissedKind))
			continue
		}
		p.line("%s: rank %d, %s, %.1f bits, in %d incidents", x.Name, x.Rank, x.Incident, x.Bits, x.Fragments)
		p.line("  phases  %d of %d, order tau %s; kinds %s (core %s)", x.Steps, x.StepsAll, number(x.Order), percent(x.Kinds), percent(x.KindsCore))
		p.line("  members %d, of them core %d; precision by time %s (core %s), by event %s (core %s)", x.Members, x.Core,
			percent(x.TimeAll), percent(x.TimeCore), percent(x.EventAll), percent(x.EventCore))
		if verbose {
			p.line("  missed  phases: %s", strings.Join(x.Missed, ", "))
			for _, k := range x.MissedKind {
				p.line("          %s", k)
			}
		}
	}
	p.line("incidents %d: false %d (%.2f a day, the worst %.1f bits), glued %d, scenarios with an incident of their own %d, pair F1 %s",
		r.Incidents, len(r.False), r.FalsePerDay, r.FalseBits, len(r.Glued), r.Own, number(r.PairF1))
	return p.err
}

// WriteJSON writes the result as indented JSON.
func (r *AITResult) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

type printer struct {
	w   io.Writer
	err error
}

// line writes one line. Its values come from evidence: what a terminal would act
// on is shown as a question mark.
func (p *printer) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	_, p.err = fmt.Fprintln(p.w, text)
}

func (p *printer) campaign(c *CampaignResult, verbose bool) {
	if !c.Found {
		p.line("%s: NOT FOUND (%d visible steps)", c.ID, c.StepsVisible)
		if c.Incident == "" {
			return
		}
	} else {
		whole := "in one incident"
		if c.Fragments != 1 {
			whole = fmt.Sprintf("in %d incidents, the best", c.Fragments)
		}
		p.line("%s: found %s, %s (%s) %s", c.ID, whole, c.Incident, c.Severity, c.Name)
	}
	root := "wrong"
	if c.Root.Right {
		root = "right"
	}
	p.line("  root    %s: host %s, user %s, process %s", root, mark(c.Root.Host), mark(c.Root.User), mark(c.Root.Process))
	p.line("          got %s; want %s", c.Root.Got, c.Root.Want)
	p.line("  steps   %d of %d visible (%s): by technique %d, by evidence %d; order tau %s",
		c.StepsFound, c.StepsVisible, percent(c.StepShare), c.StepsStrict, c.StepsLoose, number(c.Order))
	p.line("  members %d of %d belong (precision %s, recall %s, with context %s), %d of them by user only; %d events cited beside them",
		c.Belong, c.Members, percent(c.Precision), percent(c.Recall), percent(c.RecallContext), c.ByUser, c.Cited)
	if c.RaisedAfter != nil {
		p.line("  raised  %.0f s after its first visible step", *c.RaisedAfter)
	}
	for _, s := range c.Steps {
		if !verbose && (!s.Visible || s.Strict || s.Loose) {
			continue
		}
		state := "MISSED"
		switch {
		case !s.Visible:
			state = "unseen"
		case s.Strict && s.Loose:
			state = "both"
		case s.Strict:
			state = "strict"
		case s.Loose:
			state = "loose"
		}
		p.line("    %-6s %2d %-20s %-10s %s  %s", state, s.N, s.Time, s.Technique, s.What, s.By)
	}
	if !verbose {
		return
	}
	for _, m := range c.Strangers {
		p.line("    stranger  %s %s %s", m.Time.UTC().Format("15:04:05"), m.ID, m.Title)
	}
	for _, m := range c.Judged {
		p.line("    belongs   %s %s %s (%s)", m.Time.UTC().Format("15:04:05"), m.ID, m.Title, m.Why)
	}
}

func mark(b *bool) string {
	switch {
	case b == nil:
		return "n/a"
	case *b:
		return "right"
	}
	return "WRONG"
}

func percent(x *float64) string {
	if x == nil {
		return "n/a"
	}
	return fmt.Sprintf("%.0f %%", *x*100)
}

func number(x *float64) string {
	if x == nil {
		return "n/a"
	}
	return fmt.Sprintf("%.2f", *x)
}
