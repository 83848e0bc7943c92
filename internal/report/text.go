package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/catena-sec/catena/internal/model"
)

// TextOptions say what the terminal can do.
type TextOptions struct {
	Color bool // ANSI colours; without them nothing but text is written
	Width int  // columns; 0 means 100, and it is kept within 60 to 160
}

// What one text report shows at most; report.json has the rest, and the text
// says how much that is.
const (
	textIncidents = 25 // told in full
	textSteps     = 60
	textNames     = 12
	textSentences = 40
	textLinks     = 5
	textNext      = 4
	textTaken     = 4
	textAssets    = 40
	textAlone     = 25
	textErrors    = 8
)

// Text returns the writer of the report a person reads in a terminal or pastes
// into a ticket.
func Text(t TextOptions, o Options) Writer {
	if t.Width == 0 {
		t.Width = 100
	}
	t.Width = min(max(t.Width, 60), 160)
	return textWriter{t, o}
}

type textWriter struct {
	TextOptions
	names Options
}

func (textWriter) Name() string { return "text" }
func (textWriter) File() string { return "report.txt" }

func (t textWriter) Write(w io.Writer, r *model.Report) error {
	p := &page{w: bufio.NewWriter(w), color: t.Color, width: t.Width}
	t.verdict(p, r)
	alerts := alertsByID(r)
	for i := range r.Incidents {
		if i == textIncidents {
			p.blank()
			p.line(p.dim(fmt.Sprintf("%s of lower score not told here; report.json has them.",
				plural(int64(len(r.Incidents)-i), "more incident"))))
			break
		}
		inc := copyOf(r.Incidents[i], Clean)
		t.incident(p, i+1, &inc, alerts)
	}
	t.alone(p, r, alerts)
	t.others(p, r)
	t.inputs(p, r.Inputs)
	if len(r.Notes) > 0 {
		p.rule("Notes")
		for _, n := range r.Notes {
			p.wrapped("  · ", "    ", Clean(n))
		}
	}
	if p.err != nil {
		return fmt.Errorf("write text report: %w", p.err)
	}
	return p.w.Flush()
}

// verdict says in the first two lines whether there is something to do.
func (t textWriter) verdict(p *page, r *model.Report) {
	e := r.Engine
	p.line(p.bold("Catena") + "  " + p.bold(plural(int64(r.Totals.Incidents), "incident")) + " from " +
		plural(int64(r.Totals.Alerts), "alert") + " in " + plural(r.Totals.Events, "event"))
	var parts []string
	for _, s := range severities(r.Incidents) {
		parts = append(parts, p.severity(s.Severity, fmt.Sprintf("%d %s", s.Count, s.Severity)))
	}
	if n := len(r.Alone); n > 0 {
		parts = append(parts, plural(int64(n), "serious alert")+" alone")
	}
	if n := failed(r.Inputs); n > 0 {
		parts = append(parts, plural(int64(n), "input")+" with errors")
	}
	if len(parts) == 0 {
		parts = []string{"nothing that needs a person"}
	}
	p.wrapped("        ", "        ", strings.Join(parts, " · "))
	p.wrapped("        ", "        ", p.dim(Clean(fmt.Sprintf("engine %s · rules %s · ATT&CK %s · all times UTC", e.Version, e.Rules, e.AttackVersion))))
}

func failed(inputs []model.Input) int {
	n := 0
	for i := range inputs {
		if len(inputs[i].Errors) > 0 {
			n++
		}
	}
	return n
}

func (t textWriter) incident(p *page, n int, inc *model.Incident, alerts map[string]*model.Alert) {
	p.blank()
	p.line(p.dim(strings.Repeat("━", p.width)))
	p.wrapped(p.severity(inc.Severity, fmt.Sprintf("%d  %s %d", n, strings.ToUpper(string(inc.Severity)), inc.Score))+"  ", "   ", p.bold(inc.Title))
	p.wrapped("   ", "   ", p.dim(fmt.Sprintf("%s to %s (%s) · %s · %s", stamp(inc.FirstSeen), stamp(inc.LastSeen), span(inc.LastSeen.Sub(inc.FirstSeen)), inc.Status, inc.ID)))
	p.blank()
	t.strip(p, inc)
	t.root(p, inc)
	t.story(p, inc)
	t.steps(p, inc)
	t.context(p, inc, alerts)
	t.reached(p, inc)
	t.next(p, inc)
	t.why(p, inc, alerts)
	t.decided(p, inc)
}

// strip shows how far along the kill chain the attack went: ● reached, ○ not seen.
func (t textWriter) strip(p *page, inc *model.Incident) {
	seen := make(map[model.Stage]bool, len(inc.Stages))
	for _, s := range inc.Stages {
		seen[s] = true
	}
	var cells []string
	for _, s := range model.Stages {
		if seen[s] {
			cells = append(cells, p.bold("●\u00a0"+stageShort(s)))
		} else {
			cells = append(cells, p.dim("○\u00a0"+stageShort(s)))
		}
	}
	p.wrapped("   ", "   ", strings.Join(cells, "  "))
}

func (t textWriter) root(p *page, inc *model.Incident) {
	r := inc.Root
	p.heading("Started")
	where := []string{stamp(r.Time)}
	if r.Host != "" {
		where = append(where, "on "+p.bold(r.Host))
	}
	if r.User != "" {
		where = append(where, "as "+p.bold(r.User))
	}
	if r.Process != "" {
		where = append(where, "in "+r.Process)
	}
	if r.Host == "" && r.User == "" && r.Process == "" && r.Entity != "" {
		where = append(where, "at "+p.bold(keyWords(r.Entity)))
	}
	p.wrapped("   ", "     ", strings.Join(where, " "))
	how := "confidence " + percent(r.Confidence)
	if r.Technique != "" {
		how = t.names.techniqueLabel(r.Technique) + " · " + how
	}
	if r.Why != "" {
		how += " · " + r.Why
	}
	p.wrapped("   ", "     ", how)
}

func (t textWriter) story(p *page, inc *model.Incident) {
	if len(inc.Summary) == 0 {
		return
	}
	p.heading("Story")
	for _, s := range inc.Summary[:min(textSentences, len(inc.Summary))] {
		p.wrapped("   ", "     ", s.Text)
	}
	if n := len(inc.Summary) - textSentences; n > 0 {
		p.line("   " + p.dim("and "+plural(int64(n), "more sentence")+" in report.json"))
	}
}

func (t textWriter) steps(p *page, inc *model.Incident) {
	if len(inc.Steps) == 0 {
		return
	}
	p.heading("Steps")
	day := ""
	next := inc.Chapters
	for i, s := range inc.Steps {
		for len(next) > 0 && next[0].From <= s.N {
			p.blank()
			p.wrapped("   ", "      ", p.bold(fmt.Sprintf("%d. %s", next[0].N, next[0].Title)))
			p.line("      " + p.dim(chapterSpan(&next[0])))
			next = next[1:]
		}
		if i == textSteps {
			p.line("   " + p.dim(fmt.Sprintf("and %s; report.json has them.", plural(int64(len(inc.Steps)-i), "more step"))))
			break
		}
		if d := s.Time.Format("Monday, 2 January 2006"); d != day {
			day = d
			p.line("   " + p.dim(d))
		}
		what := s.Tactic
		if what != "" {
			what = t.names.tactic(what)
		}
		if s.Technique != "" {
			what = join(": ", what, t.names.techniqueLabel(s.Technique))
		}
		if what == "" {
			what = title(string(s.Stage))
		}
		head := fmt.Sprintf("   %s %s  ", p.bold(fmt.Sprintf("%3d", s.N)), clock(s.Time))
		p.wrapped(head, strings.Repeat(" ", 17), join("  ", p.accent(what), p.dim(whereOf(s))))
		p.wrapped(strings.Repeat(" ", 17), strings.Repeat(" ", 17), s.Summary+late(" ", &s))
	}
}

// whereOf says on which host, for which account, from where to where.
func whereOf(s model.Step) string {
	move := ""
	if s.From != "" || s.To != "" {
		move = strings.TrimSpace(s.From + " → " + s.To)
	}
	host := s.Host
	if host == s.From || host == s.To {
		host = ""
	}
	user := s.User
	if user == s.From || user == s.To {
		user = ""
	}
	return join(" · ", move, host, user)
}

// join joins the parts that are not empty.
func join(sep string, parts ...string) string {
	kept := parts[:0:0]
	for _, s := range parts {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, sep)
}

func (t textWriter) reached(p *page, inc *model.Incident) {
	m := inc.Impact
	if m.Summary == "" && len(m.Compromised)+len(m.Touched)+len(m.Exposed)+len(m.Data) == 0 {
		return
	}
	p.heading("Reached")
	if m.Summary != "" {
		p.wrapped("   ", "   ", m.Summary)
	}
	for _, g := range []struct {
		name string
		keys []string
	}{{"compromised", m.Compromised}, {"touched", m.Touched}, {"exposed", m.Exposed}, {"data", m.Data}, {"no records", hostKeys(m.Unseen)}} {
		if len(g.keys) == 0 {
			continue
		}
		var names []string
		for i, k := range g.keys {
			if i == textNames {
				names = append(names, fmt.Sprintf("and %d more", len(g.keys)-i))
				break
			}
			names = append(names, keyWords(k))
		}
		p.wrapped("   "+p.bold(fmt.Sprintf("%-12s", g.name))+" ", strings.Repeat(" ", 16), strings.Join(names, ", "))
	}
	for i, x := range m.Taken {
		if i == textTaken {
			p.line("                " + p.dim(fmt.Sprintf("and %d more amounts in report.json", len(m.Taken)-i)))
			break
		}
		name := ""
		if i == 0 {
			name = "amounts"
		}
		p.wrapped("   "+p.bold(fmt.Sprintf("%-12s", name))+" ", strings.Repeat(" ", 18), takenLine(&x))
	}
	t.assets(p, m.Assets)
}

// assets says of each asset that the user named how it stands, and why.
func (t textWriter) assets(p *page, list []model.AssetState) {
	if len(list) == 0 {
		return
	}
	p.heading("Critical assets")
	for i := range list {
		a := &list[i]
		if i == textAssets {
			p.line("   " + p.dim(fmt.Sprintf("and %d more in report.json", len(list)-i)))
			break
		}
		state := fmt.Sprintf("%-13s", assuranceWords(a.State))
		switch a.State {
		case model.AssetTouched, model.AssetReachable:
			state = p.warn(state)
		case model.AssetNoTelemetry, model.AssetNotReachable:
		}
		p.wrapped("   "+state+" ", strings.Repeat(" ", 17), p.bold(a.Name)+" "+p.dim(assetFacts(a)))
		p.wrapped(strings.Repeat(" ", 17), strings.Repeat(" ", 17), a.Ground)
	}
}

func (t textWriter) next(p *page, inc *model.Incident) {
	if len(inc.Next) == 0 {
		return
	}
	p.heading("What next")
	for _, n := range inc.Next[:min(textNext, len(inc.Next))] {
		what := t.names.techniqueLabel(n.Technique)
		if what == "" {
			what = t.names.tactic(n.Tactic)
		}
		p.wrapped(fmt.Sprintf("   %5s  ", percent(n.Probability)), "          ", join("; ", join(": ", p.bold(what), n.Why), n.Feasible, n.Visible))
	}
	for i := range inc.Lookalikes {
		if l := &inc.Lookalikes[i]; l.Warning != "" {
			p.wrapped("       !  ", "          ", p.warn(l.Warning))
		}
	}
}

func (t textWriter) why(p *page, inc *model.Incident, alerts map[string]*model.Alert) {
	if len(inc.Links) == 0 && len(inc.ScoreTerms) == 0 {
		return
	}
	p.heading("Why we think so")
	for _, l := range strongest(inc.Links, textLinks) {
		detail := l.Detail
		if detail == "" {
			detail = ruleTitle(alerts, l.From) + " and " + ruleTitle(alerts, l.To) + " share " + keyWords(l.Shared)
		}
		p.wrapped(fmt.Sprintf("   %+6.1f bits  ", l.Bits), strings.Repeat(" ", 16), p.accent(strings.ReplaceAll(string(l.Reason), "_", " "))+": "+detail)
	}
	if n := len(inc.Links) - textLinks; n > 0 {
		p.line("                " + p.dim(fmt.Sprintf("and %s", plural(int64(n), "more link"))))
	}
	var terms []string
	for _, s := range inc.ScoreTerms {
		terms = append(terms, fmt.Sprintf("%s %+.1f", s.What, s.Bits))
	}
	if len(terms) > 0 {
		p.wrapped("   "+p.dim("score")+"        ", strings.Repeat(" ", 16), fmt.Sprintf("%d from ", inc.Score)+strings.Join(terms, ", "))
	}
	p.line("   " + p.dim("members") + "      " + plural(int64(len(inc.Alerts)), "alert") + ", " + fmt.Sprintf("%d shown as context", len(inc.Context)))
}

func ruleTitle(alerts map[string]*model.Alert, id string) string {
	if a := alerts[id]; a != nil {
		return Clean(a.Rule.Title)
	}
	return id
}

func (t textWriter) alone(p *page, r *model.Report, alerts map[string]*model.Alert) {
	if len(r.Alone) == 0 {
		return
	}
	p.rule("Serious alerts that joined nothing")
	for i, id := range r.Alone {
		if i == textAlone {
			p.line("   " + p.dim(fmt.Sprintf("and %d more", len(r.Alone)-i)))
			break
		}
		a := alerts[id]
		if a == nil {
			p.line("   " + Clean(id))
			continue
		}
		p.wrapped("   "+stamp(a.Time)+"  "+p.severity(a.Severity, Clean(string(a.Severity)))+"  ", strings.Repeat(" ", 24),
			join(" · ", Clean(a.Rule.Title), Clean(alertPlace(a)), times(a.Count)))
	}
}

func times(n int) string {
	if n > 1 {
		return "×" + thousands(int64(n))
	}
	return ""
}

// alertPlace names the host and account of an alert.
func alertPlace(a *model.Alert) string {
	var host, user string
	for _, e := range a.Entities {
		switch {
		case e.Type == model.Host && host == "" && e.Role != model.Sensor:
			host = e.Value
		case e.Type == model.User && user == "":
			user = e.Value
		}
	}
	if host == "" {
		host = a.Host
	}
	return join(" · ", host, user)
}

func (t textWriter) inputs(p *page, inputs []model.Input) {
	if len(inputs) == 0 {
		return
	}
	p.rule("Inputs")
	for i := range inputs {
		in := copyOf(inputs[i], Clean)
		facts := []string{in.Format, plural(in.Events, "event")}
		if in.Skipped > 0 {
			facts = append(facts, thousands(in.Skipped)+" skipped")
		}
		if in.First != nil && in.Last != nil {
			facts = append(facts, stamp(*in.First)+" to "+stamp(*in.Last))
		}
		p.wrapped("   ", "     ", in.Path+"  "+p.dim(join(" · ", facts...)))
		if in.ClockOffset != 0 {
			p.wrapped("     ! ", "       ", p.warn("clock corrected by "+offset(in.ClockOffset)))
		}
		for j, e := range in.Errors {
			if j == textErrors {
				p.line("       " + p.dim(fmt.Sprintf("and %d more kinds of error", len(in.Errors)-j)))
				break
			}
			p.wrapped("     ! ", "       ", p.warn(errorText(e)))
		}
	}
}

// errorText says what failed, where and how often.
func errorText(e model.InputError) string {
	var at []string
	if e.Record > 0 {
		at = append(at, "record "+thousands(e.Record))
	}
	if e.Offset >= 0 {
		at = append(at, "offset "+thousands(e.Offset))
	}
	s := join(": ", strings.Join(at, ", "), e.Cause)
	if e.Count > 1 {
		s += fmt.Sprintf(" (%s records)", thousands(int64(e.Count)))
	}
	return s
}

// A page lays out lines within a width. After an error it does nothing.
type page struct {
	w     *bufio.Writer
	color bool
	width int
	err   error
}

func (p *page) line(s string) {
	if p.err == nil {
		s = mergeStyles(strings.ReplaceAll(strings.TrimRight(s, " "), "\u00a0", " "))
		_, p.err = p.w.WriteString(s + "\n")
	}
}

func (p *page) blank() { p.line("") }

func (p *page) heading(s string) {
	p.blank()
	p.line("   " + p.style("1;36", strings.ToUpper(s)))
}

// rule starts a part that belongs to no incident.
func (p *page) rule(s string) {
	p.blank()
	p.line(p.dim(strings.Repeat("━", p.width)))
	p.line(p.bold(s))
}

// wrapped writes text after first, breaking lines between words and, where a
// word alone is too long, inside it; the lines that follow start with rest.
func (p *page) wrapped(first, rest, text string) {
	cur, used, empty := first, visible(first), true
	for _, word := range strings.Split(text, " ") {
		if word == "" {
			continue
		}
		w := visible(word)
		if !empty && used+1+w > p.width {
			p.line(cur)
			cur, used, empty = rest, visible(rest), true
		}
		for used+w > p.width && w > 8 {
			head, tail := cutWord(word, max(p.width-used, 8))
			p.line(cur + head)
			cur, used, word, w = rest, visible(rest), tail, visible(tail)
		}
		if !empty {
			cur += " "
			used++
		}
		cur += word
		used += w
		empty = false
	}
	p.line(cur)
}

// cutWord splits a word, styled as style does or not, after at most n columns.
func cutWord(word string, n int) (head, tail string) {
	if !strings.HasPrefix(word, "\x1b[") {
		return cutWidth(word, n)
	}
	code, body, _ := strings.Cut(word, "m")
	head, tail = cutWidth(strings.TrimSuffix(body, reset), n)
	head = code + "m" + head + reset
	if tail != "" {
		tail = code + "m" + tail + reset
	}
	return head, tail
}

const reset = "\x1b[0m"

// cutWidth splits s after at most n columns.
func cutWidth(s string, n int) (head, tail string) {
	used := 0
	for i, r := range s {
		w := displaywidth.Rune(r)
		if used+w > n && i > 0 {
			return s[:i], s[i:]
		}
		used += w
	}
	return s, ""
}

// visible is how many columns s takes, not counting our own style sequences.
func visible(s string) int {
	n := 0
	for s != "" {
		before, after, found := strings.Cut(s, "\x1b[")
		n += displaywidth.String(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	return n
}

// style wraps every word on its own, so that a line can break anywhere without
// a style running into the margin.
func (p *page) style(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	words := strings.Split(s, " ")
	for i, w := range words {
		if w != "" {
			words[i] = "\x1b[" + code + "m" + w + reset
		}
	}
	return strings.Join(words, " ")
}

// mergeStyles joins neighbouring words of one style, which style left apart.
func mergeStyles(s string) string {
	var b strings.Builder
	style := ""
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		code, rest, _ := strings.Cut(after, "m")
		if code != "0" {
			style = code
		} else if next, ok := strings.CutPrefix(rest, " \x1b["+style+"m"); ok {
			b.WriteByte(' ')
			s = next
			continue
		}
		b.WriteString("\x1b[" + code + "m")
		s = rest
	}
}

func (p *page) bold(s string) string   { return p.style("1", s) }
func (p *page) dim(s string) string    { return p.style("2", s) }
func (p *page) accent(s string) string { return p.style("36", s) }
func (p *page) warn(s string) string   { return p.style("33", s) }

// severity colours by how bad it is; the word itself always says it too.
func (p *page) severity(v model.Severity, s string) string {
	code := "2"
	switch v {
	case model.Critical:
		code = "1;97;41"
	case model.High:
		code = "1;91"
	case model.Medium:
		code = "1;33"
	case model.Low:
		code = "1;34"
	}
	return p.style(code, s)
}
