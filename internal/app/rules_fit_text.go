package app

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// fitWords say what a status means.
var fitWords = map[FitStatus][2]string{
	LacksFields:    {"lack fields", "there are events of the kind they want, without fields they need"},
	LacksEvents:    {"lack events", "there is their log source, but no event of their id, channel, provider or type"},
	LacksLogSource: {"lack their log source", "there is no event of it"},
	LacksRules:     {"lack rules", "correlations of rules that cannot fire"},
	CanFire:        {"can fire", "all is there that they need; nothing matched"},
	Fired:          {"fired", ""},
}

// fitShown is how many lines a list of a fit has unless all are asked for.
const fitShown = 25

// WriteText writes a fit for people: counts, then what is lacking, worst first,
// one line for rules that lack the same, then what fired. Unless all is set lists
// are cut.
func (f *Fit) WriteText(w io.Writer, all bool) error {
	p := &fitText{lines{w: w}, all}
	silent := slices.IndexFunc(f.LogSources, func(l LogSourceFit) bool { return l.Events > 0 })
	if silent < 0 {
		silent = len(f.LogSources)
	}
	p.line("%s against %s", count(f.Rules, "rule"), count(int(f.Events), "event"))
	p.line("")
	for _, s := range FitStatuses {
		if n := f.Summary[s]; n > 0 || s != LacksRules {
			p.line("%s", strings.TrimRight(fmt.Sprintf("%7d  %-21s  %s", n, fitWords[s][0], fitWords[s][1]), " "))
		}
	}
	p.groups("Lack fields", f.Results, LacksFields)
	p.groups("Lack events", f.Results, LacksEvents)
	p.groups("Lack rules", f.Results, LacksRules)
	if silent > 0 {
		p.head(fmt.Sprintf("Silent log sources (%d): rules read them, and there is no event", silent))
		p.list(silent, func(i int) string { return fmt.Sprintf("%7d  %s", f.LogSources[i].Rules, f.LogSources[i].LogSource) }, "rules  log source")
	}
	if len(f.Unread) > 0 {
		p.head(fmt.Sprintf("Unread log sources (%d): there are events, and no rule reads them", len(f.Unread)))
		p.list(len(f.Unread), func(i int) string { return fmt.Sprintf("%7d  %s", f.Unread[i].Events, f.Unread[i].LogSource) }, "events  log source")
	}
	if first := slices.IndexFunc(f.Results, func(r RuleFit) bool { return r.Status == Fired }); first >= 0 {
		fired := f.Results[first:]
		p.head(fmt.Sprintf("Fired (%d)", len(fired)))
		p.list(len(fired), func(i int) string {
			return fmt.Sprintf("%7d  %-13s  %s", fired[i].Matches, fired[i].Level, fired[i].Title)
		}, "matches  level  rule")
	}
	for _, n := range f.Notes {
		p.line("")
		p.line("Note: %s", n)
	}
	return p.err
}

// fitText writes the lines of a fit.
type fitText struct {
	lines
	all bool
}

func (p *fitText) head(s string) {
	p.line("")
	p.line("%s", s)
}

func (p *fitText) list(n int, text func(int) string, columns string) {
	shown := n
	if !p.all {
		shown = min(n, fitShown)
	}
	p.line("  (%s)", columns)
	for i := range shown {
		p.line("%s", text(i))
	}
	if n > shown {
		p.line("         and %d more; --all shows them", n-shown)
	}
}

// groups lists the rules of one status, those that lack the same thing together,
// the largest groups first.
func (p *fitText) groups(title string, rules []RuleFit, status FitStatus) {
	type group struct {
		why, near, source string
		titles            []string
	}
	var order []*group
	by := map[string]*group{}
	for i := range rules {
		r := &rules[i]
		if r.Status != status {
			continue
		}
		g := &group{why: r.why(), source: r.LogSource}
		for _, n := range r.Near {
			g.near += fmt.Sprintf("; for %s there is %s", n.Field, strings.Join(n.Have, ", "))
		}
		key := g.source + "\x00" + g.why + g.near
		if by[key] == nil {
			by[key] = g
			order = append(order, g)
		}
		by[key].titles = append(by[key].titles, r.Title)
	}
	if len(order) == 0 {
		return
	}
	slices.SortStableFunc(order, func(x, y *group) int { return len(y.titles) - len(x.titles) })
	p.head(fmt.Sprintf("%s (%d)", title, len(order)))
	p.list(len(order), func(i int) string {
		g := order[i]
		line := fmt.Sprintf("%7d  %s: %s%s", len(g.titles), g.source, g.why, g.near)
		if g.source == "" {
			line = fmt.Sprintf("%7d  %s", len(g.titles), g.why)
		}
		const most = 3
		shown := min(len(g.titles), most)
		line += " (" + strings.Join(g.titles[:shown], "; ")
		if more := len(g.titles) - shown; more > 0 && !p.all {
			line += "; and " + strconv.Itoa(more) + " more"
		} else if more > 0 {
			line += "; " + strings.Join(g.titles[shown:], "; ")
		}
		return line + ")"
	}, "rules  log source: what is lacking (the rules)")
}

// why says what a rule lacks.
func (r *RuleFit) why() string {
	var parts []string
	for _, l := range r.Fields {
		parts = append(parts, strings.Join(l, " or "))
	}
	for _, w := range r.Wants {
		parts = append(parts, w.Field+" "+strings.Join(w.Values, ", "))
	}
	for _, n := range r.Needs {
		parts = append(parts, strconv.Quote(n))
	}
	return strings.Join(parts, ", ")
}
