package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/sigma"
)

// A toldWriter writes what people read: indented lines, each with a mark that says
// whether it held. Every text is cleaned on its way out. The first error stays.
type toldWriter struct {
	w     *bufio.Writer
	color bool // and marks for terminals, instead of words
}

func (t *toldWriter) line(indent int, s string) {
	_, _ = t.w.WriteString(strings.Repeat("  ", indent)) // the first error of a bufio.Writer stays, and Flush returns it
	_, _ = t.w.WriteString(report.Clean(s))
	_ = t.w.WriteByte('\n')
}

// SGR codes of the marks.
const (
	sgrRed, sgrGreen, sgrYellow, sgrBold = "31", "32", "33", "1"
)

func (t *toldWriter) paint(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// marked writes a line after a mark: held or not.
func (t *toldWriter) marked(indent int, held bool, s string) {
	mark := "no   "
	if held {
		mark = "yes  "
	}
	if t.color {
		mark = t.paint(sgrRed, "✗ ")
		if held {
			mark = t.paint(sgrGreen, "✓ ")
		}
	}
	_, _ = t.w.WriteString(strings.Repeat("  ", indent) + mark)
	t.line(0, s)
}

// below writes a line that stands under the text of a mark.
func (t *toldWriter) below(indent int, s string) {
	space := "     "
	if t.color {
		space = "  "
	}
	_, _ = t.w.WriteString(strings.Repeat("  ", indent) + space)
	t.line(0, s)
}

// WriteText writes e for people; color says that w is a terminal.
func (e *Explanation) WriteText(w io.Writer, color bool) error {
	t := &toldWriter{bufio.NewWriter(w), color}
	for i := range e.Rules {
		if i > 0 {
			t.line(0, "")
		}
		t.rule(&e.Rules[i])
	}
	t.inputs(e.Inputs)
	return t.w.Flush()
}

// WriteJSON writes e for programs.
func (e *Explanation) WriteJSON(w io.Writer) error { return writeIndented(w, e) }

func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(report.SafeJSON(w))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (t *toldWriter) inputs(inputs []model.Input) {
	for _, in := range inputs {
		for _, e := range in.Errors {
			where := in.Path
			if e.Record > 0 {
				where += ", record " + strconv.FormatInt(e.Record, 10)
			}
			t.line(0, fmt.Sprintf("not read: %s: %s", where, e.Cause))
		}
	}
}

// rule tells of one rule and its events.
func (t *toldWriter) rule(r *Told) {
	_, _ = t.w.WriteString(t.paint(sgrBold, report.Clean(r.Rule.Title)))
	about := "  "
	if r.Rule.Level != "" {
		about += r.Rule.Level + ", "
	}
	t.line(0, about+r.Rule.ID)
	t.line(1, r.Rule.File+":"+strconv.Itoa(r.Rule.Line))
	if r.Rule.Silent {
		t.line(1, "does not alert by itself: a correlation looks at its matches")
	}
	if r.Correlation != nil {
		t.line(1, fmt.Sprintf("%s read", countWords(r.Read, "event")))
		t.correlation(1, r.Correlation)
		return
	}
	t.line(1, "looks at "+r.Rule.LogSource)
	t.line(1, fmt.Sprintf("%s read, %d of that log source, %s", countWords(r.Read, "event"), r.Of, matchWords(int(r.Matched))))
	if r.Of == 0 && len(r.LogSources) > 0 {
		t.line(1, "the events are of other log sources, so that the rule does not look at them:")
		for _, s := range r.LogSources {
			t.line(2, fmt.Sprintf("%8d  %s", s.Events, s.LogSource))
		}
	}
	if n := int64(len(r.Events)); r.Matched > n {
		t.line(1, fmt.Sprintf("the first %d of them:", n))
	} else if r.Matched == 0 && r.Of > n {
		t.line(1, fmt.Sprintf("the %d that came closest:", n))
	}
	for i := range r.Events {
		t.line(0, "")
		t.event(1, &r.Events[i], r.Rule.LogSource)
	}
}

func countWords(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatInt(n, 10) + " " + what + "s"
}

// event tells how a rule came out on one event.
func (t *toldWriter) event(indent int, e *EventTold, wants string) {
	where := e.Input
	if e.Record > 0 {
		where += ", record " + strconv.FormatInt(e.Record, 10)
	}
	if e.Time != "" {
		where += ", " + e.Time
	}
	head := t.paint(sgrRed, "NO MATCH")
	switch {
	case e.Matched:
		head = t.paint(sgrGreen, "MATCH")
	case e.Verdict.Held:
		head = t.paint(sgrRed, "NO MATCH") + ", for the log source alone"
	}
	_, _ = t.w.WriteString(strings.Repeat("  ", indent) + head + "  ")
	t.line(0, where)
	indent++
	t.marked(indent, e.Applies, "log source: "+e.LogSource)
	if !e.Applies {
		t.below(indent, "the rule looks at "+wants)
	}
	t.verdict(indent, e.Verdict.Conditions, e.Verdict.Selections, e.Near)
	for _, f := range e.Verdict.Filters {
		t.marked(indent, f.Keeps, fmt.Sprintf("filter %q lets it through (%s)", f.Title, f.File))
		t.verdict(indent+1, f.Conditions, f.Selections, e.Near)
	}
}

// verdict tells of a condition and its selections.
func (t *toldWriter) verdict(indent int, conditions, selections []sigma.Part, near []NearName) {
	for _, c := range conditions {
		t.marked(indent, c.Held, "condition: "+c.Text)
		t.parts(indent+1, c.Parts, near)
	}
	for _, s := range selections {
		t.marked(indent, s.Held, s.Text+":")
		t.parts(indent+1, s.Parts, near)
	}
}

func (t *toldWriter) parts(indent int, parts []sigma.Part, near []NearName) {
	for i := range parts {
		p := &parts[i]
		t.marked(indent, p.Held, p.Text)
		if p.Test && (i+1 == len(parts) || p.Field == "" || parts[i+1].Field != p.Field) { // the values of a field once
			t.found(indent, p, near)
		}
		t.parts(indent+1, p.Parts, near)
	}
}

// found tells what the event has of a field.
func (t *toldWriter) found(indent int, p *sigma.Part, near []NearName) {
	name := p.Field
	if name == "" {
		name = "found in"
		if len(p.Values) == 0 {
			t.below(indent, "in no field of the event")
			return
		}
	}
	switch p.Found {
	case sigma.Absent:
		s := "the event has no field " + name
		for _, n := range near {
			if n.Field == p.Field {
				s += "; it has " + strings.Join(n.Have, ", ")
			}
		}
		t.below(indent, s)
		return
	case sigma.IsNull:
		t.below(indent, name+" is null")
		return
	case sigma.Present:
		name += " ="
	}
	for _, v := range p.Values {
		if v == "" {
			v = "(empty)"
		}
		t.below(indent, name+" "+v)
	}
}

// correlation tells what a correlation made of the matches of its rules.
func (t *toldWriter) correlation(indent int, c *CorrelationTold) {
	t.line(indent, c.What)
	for _, r := range c.Rules {
		t.marked(indent, r.Matches > 0, fmt.Sprintf("%s of %q (%s)", matchWords(r.Matches), r.Title, r.ID))
	}
	held := "it never held"
	if c.Held > 0 {
		held = "it began to hold " + timesWords(c.Held)
	}
	t.marked(indent, c.Held > 0, held+", with "+countWords(int64(c.Groups), "group"))
	for _, n := range []struct {
		n    int
		what string
	}{{c.Ungrouped, "without the fields to group by or the value that counts"}, {c.Late, "older than the window of their group"}, {c.Repeated, "seen before"}} {
		if n.n > 0 {
			t.line(indent, fmt.Sprintf("not counted: %s %s", countWords(int64(n.n), "match"), n.what))
		}
	}
	if len(c.Windows) > 0 {
		t.line(indent, "the windows that came closest, each at its fullest:")
	}
	for _, w := range c.Windows {
		var group []string
		for _, g := range w.Group {
			group = append(group, g.Field+" "+g.Value)
		}
		if len(group) == 0 {
			group = []string{"all events"}
		}
		t.marked(indent+1, w.Held, fmt.Sprintf("%s: value %s, %s from %s to %s", strings.Join(group, ", "), formatNumber(w.Value), countWords(int64(w.Events), "event"),
			w.Start.UTC().Format(time.RFC3339), w.End.UTC().Format(time.RFC3339)))
	}
}

func timesWords(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// WriteText writes t for people: what is wrong, with why, and the counts. Rules
// without a test are named one by one only if verbose, as are those that passed.
func (t *RuleTests) WriteText(w io.Writer, color, verbose bool) error {
	out := &toldWriter{bufio.NewWriter(w), color}
	for i := range t.Results {
		r := &t.Results[i]
		switch {
		case r.Status == TestPassed && !verbose, r.Status == TestMissing && !verbose:
			continue
		case r.Reason != "":
			out.status(0, r.Status, r.File+": "+r.Reason)
			continue
		}
		out.status(0, r.Status, r.File)
		for j := range r.Cases {
			c := &r.Cases[j]
			if c.Status == TestPassed && !verbose {
				continue
			}
			out.oneCase(r, c)
		}
	}
	cases := map[TestStatus]int{}
	for i := range t.Results {
		for j := range t.Results[i].Cases {
			cases[t.Results[i].Cases[j].Status]++
		}
	}
	s := t.Summary
	out.line(0, fmt.Sprintf("%s: %d passed, %d failed, %d broken, %d without a test; %s: %d passed, %d failed, %d broken",
		countWords(int64(t.Rules), "rule file"), s[TestPassed], s[TestFailed], s[TestBroken], s[TestMissing],
		countWords(int64(t.Cases), "case"), cases[TestPassed], cases[TestFailed], cases[TestBroken]))
	return out.w.Flush()
}

// WriteJSON writes t for programs.
func (t *RuleTests) WriteJSON(w io.Writer) error { return writeIndented(w, t) }

func (t *toldWriter) status(indent int, s TestStatus, text string) {
	code := map[TestStatus]string{TestPassed: sgrGreen, TestFailed: sgrRed, TestBroken: sgrRed, TestMissing: sgrYellow}[s]
	_, _ = t.w.WriteString(strings.Repeat("  ", indent) + t.paint(code, fmt.Sprintf("%-8s", s)))
	t.line(0, text)
}

func (t *toldWriter) oneCase(r *RuleTest, c *CaseResult) {
	text := c.place(r) + c.Name
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	if c.Note != "" {
		text += " (" + c.Note + ")"
	}
	t.status(1, c.Status, text)
	if c.Why == nil {
		return
	}
	if c.Why.Correlation != nil {
		t.correlation(4, c.Why.Correlation)
	}
	for i := range c.Why.Events {
		t.event(4, &c.Why.Events[i], c.Why.Rule.LogSource)
	}
}

// place says where a case stands, if it stands in the test file.
func (c *CaseResult) place(r *RuleTest) string {
	if c.Line == 0 || r.Test == "" {
		return ""
	}
	return r.Test + ":" + strconv.Itoa(c.Line) + ": "
}

// WriteJUnit writes t for build servers, a file of rules as a suite. A missing test
// is skipped, or has failed if tests are required.
func (t *RuleTests) WriteJUnit(w io.Writer, require bool) error {
	var suites []report.Suite
	for i := range t.Results {
		r := &t.Results[i]
		s := report.Suite{Name: r.File, File: r.Test}
		if len(r.Cases) == 0 {
			c := report.Check{Name: "test"}
			switch {
			case r.Status == TestBroken:
				c.Error = r.Reason
			case r.Status == TestMissing && require:
				c.Failure = r.Reason
			case r.Status == TestMissing:
				c.Skipped = r.Reason
			}
			s.Cases = append(s.Cases, c)
		}
		for j := range r.Cases {
			s.Cases = append(s.Cases, r.Cases[j].check())
		}
		suites = append(suites, s)
	}
	return report.WriteJUnit(w, "catena rules test", suites)
}

func (c *CaseResult) check() report.Check {
	out := report.Check{Name: c.Name, Line: c.Line, Output: c.Note}
	switch c.Status {
	case TestBroken:
		out.Error = c.Reason
	case TestFailed:
		out.Failure = c.Reason
		if c.Why == nil {
			break
		}
		var b strings.Builder
		t := &toldWriter{w: bufio.NewWriter(&b)}
		if c.Why.Correlation != nil {
			t.correlation(0, c.Why.Correlation)
		}
		for i := range c.Why.Events {
			t.event(0, &c.Why.Events[i], c.Why.Rule.LogSource)
		}
		_ = t.w.Flush() // a strings.Builder takes everything
		out.Failure += "\n" + strings.TrimRight(b.String(), "\n")
	case TestPassed, TestMissing:
	}
	return out
}
