package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/rules"
	"github.com/catena-sec/catena/sigma"
)

// A ruleDoc is what the page of one rule is made of.
type ruleDoc struct {
	*sigma.Rule
	name   string        // path in the folder rules, without the ending
	test   ruleTest      // its test
	line   *app.RuleLine // nil if it never alerts by itself
	usedBy []*ruleDoc    // correlations that refer to it
	parts  []*ruleDoc    // of a correlation: what it refers to
}

// A ruleTest is the part of a rule's test that its page shows.
type ruleTest struct {
	Fires, Quiet []ruleCase
}

type ruleCase struct {
	Name   string    `yaml:"name"`
	Fields yaml.Node `yaml:"fields"`
	Events []struct {
		Rule   string    `yaml:"rule"`
		At     string    `yaml:"at"`
		Repeat int       `yaml:"repeat"`
		Fields yaml.Node `yaml:"fields"`
	} `yaml:"events"`
}

// Bounds of what a page shows of a test.
const (
	shownCases  = 2
	shownEvents = 6
	shownText   = 100 // bytes of a value
)

// ruleDocs returns what is known of every rule of the pack, in the order of paths.
func ruleDocs(list []app.RuleLine) ([]*ruleDoc, error) {
	files, err := rules.Files()
	if err != nil {
		return nil, err
	}
	tests, err := rules.Tests()
	if err != nil {
		return nil, err
	}
	lines := map[string]*app.RuleLine{}
	for i := range list {
		if list[i].File != "" {
			lines[ruleName(list[i].File)] = &list[i]
		}
	}
	var docs []*ruleDoc
	byRef, byName := map[string]*ruleDoc{}, map[string]*ruleDoc{}
	for _, f := range files {
		parsed, err := sigma.Parse(f.Path, f.Source)
		if err != nil {
			return nil, err
		}
		if len(parsed) != 1 {
			return nil, fmt.Errorf("%s: %d rules in the file, want 1", f.Path, len(parsed))
		}
		d := &ruleDoc{Rule: parsed[0], name: ruleName(f.Path)}
		d.line = lines[d.name]
		docs = append(docs, d)
		byName[d.name] = d
		for _, ref := range []string{d.ID, d.Name, d.Title} {
			if _, ok := byRef[ref]; !ok && ref != "" {
				byRef[ref] = d
			}
		}
	}
	for _, f := range tests {
		if d := byName[strings.TrimSuffix(ruleName(f.Path), ".test")]; d != nil {
			if err := yaml.Unmarshal(f.Source, &d.test); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Path, err)
			}
		}
	}
	for _, d := range docs {
		for _, list := range [][]ruleCase{d.test.Fires, d.test.Quiet} {
			for _, c := range list {
				for i := range c.Events {
					if of := byRef[c.Events[i].Rule]; of != nil {
						c.Events[i].Rule = of.Title
					}
				}
			}
		}
		if d.Correlation == nil {
			continue
		}
		for _, ref := range d.Correlation.Rules {
			of := byRef[ref]
			if of == nil {
				return nil, fmt.Errorf("%s: there is no rule %q", d.name, ref)
			}
			d.parts, of.usedBy = append(d.parts, of), append(of.usedBy, d)
		}
	}
	return docs, nil
}

// pageName is where the page of a rule stands in the folder docs.
func pageName(rule string) string { return "rules/" + rule + ".md" }

// levels says what a level asks of the person on call.
var levels = map[string]string{
	"informational": "a landmark for stories, nothing to look at",
	"low":           "ordinary by itself, telling in company",
	"medium":        "worth a look tomorrow",
	"high":          "worth getting up",
	"critical":      "the damage is certain from this alone",
}

// writeRule writes the page of one rule.
func writeRule(w io.Writer, d *ruleDoc) error {
	b := bufio.NewWriter(w)
	section := func(title string) { fmt.Fprintf(b, "\n## %s\n\n", title) }
	fmt.Fprintf(b, "# %s\n\n%s%s\n\n", markdown(d.Title), generated, paragraph(d.Description))
	fmt.Fprintf(b, "| | |\n|---|---|\n| level | **%s**: %s |\n", d.Level, levels[d.Level])
	alerts := "yes"
	if d.line == nil {
		alerts = "never by itself, it is a step of scenarios"
	}
	fmt.Fprintf(b, "| alerts | %s |\n", alerts)
	al := &model.Alert{Rule: model.RuleInfo{ID: d.ID, Title: d.Title, Level: model.Severity(d.Level), Source: "builtin"}, Tags: d.Tags}
	knowledge.Classify(al)
	fmt.Fprintf(b, "| tactics | %s |\n| techniques | %s |\n", strings.Join(tacticNames(al.Tactics), ", "), strings.Join(techniqueLinks(al.Techniques), ", "))
	fmt.Fprintf(b, "| intent, stage, cloud step | %s, %s, %s |\n", intentName(al.Intent.Primary), words(string(al.Stage)), words(string(al.CloudStep)))
	if d.line != nil {
		fmt.Fprintf(b, "| subsystem | %s |\n", d.line.Subsystem)
	}
	if d.Correlation == nil {
		source := sourceName(d.LogSource)
		place := code(source)
		if d.line != nil { // else the index does not have it
			place = fmt.Sprintf("[%s](%s#%s)", source, up(d.name)+"rules-index.md", anchor(source))
		}
		var fields []string
		for _, f := range d.Reads() {
			fields = append(fields, code(f))
		}
		fmt.Fprintf(b, "| log source | %s |\n| fields | %s |\n", place, cmp.Or(strings.Join(fields, ", "), "any: it looks for words"))
	}
	fmt.Fprintf(b, "| rule | [%s](%s), id `%s`, status %s |\n", d.name+".yml", up(d.name)+"../rules/"+d.name+".yml", d.ID, d.Status)

	if c := d.Correlation; c != nil {
		section("What it takes")
		fmt.Fprintf(b, "%s\n\n", takes(c))
		for i, p := range d.parts {
			mark := "-"
			if c.Type == sigma.TemporalOrdered && c.Expression == "" {
				mark = fmt.Sprintf("%d.", i+1)
			}
			fmt.Fprintf(b, "%s %s\n", mark, link(d, p))
		}
	}
	section("Who else does it")
	for _, f := range d.FalsePositives {
		fmt.Fprintf(b, "- %s\n", markdown(f))
	}
	section("To leave out what is yours")
	if d.Correlation != nil {
		fmt.Fprintln(b, "Leave the event out of the rule that sees it; a correlation counts only what its rules match.")
	} else {
		fmt.Fprintf(b, "A file in a folder given to `--rules`:\n\n```yaml\n%s```\n", exampleFilter(d))
	}
	section("Its test")
	writeCases(b, "fires", "fires on", d.test.Fires)
	writeCases(b, "quiet", "not on", d.test.Quiet)
	if len(d.usedBy) > 0 {
		section("Scenarios with it")
		for _, u := range d.usedBy {
			fmt.Fprintf(b, "- %s\n", link(d, u))
		}
	}
	section("References")
	for _, r := range d.References {
		fmt.Fprintf(b, "- <%s>\n", r)
	}
	return b.Flush()
}

// takes says in words when a correlation holds.
func takes(c *sigma.Correlation) string {
	var of []string
	for _, f := range c.GroupBy {
		of = append(of, code(f))
	}
	group := ""
	if len(of) > 0 {
		group = " with the same " + strings.Join(of, " and ")
	}
	within := " within " + span(c.Timespan)
	number := func() string {
		var all []string
		for _, x := range c.Conditions {
			all = append(all, fmt.Sprintf("%s %g", map[string]string{"gt": "more than", "gte": "at least", "lt": "fewer than", "lte": "at most", "eq": "exactly", "neq": "not"}[x.Op], x.Value))
		}
		return strings.Join(all, " and ")
	}
	switch {
	case c.Expression != "" && c.Type == sigma.TemporalOrdered:
		return fmt.Sprintf("Matches of the rules%s%s, in this order: %s.", group, within, code(c.Expression))
	case c.Expression != "":
		return fmt.Sprintf("Matches of the rules%s%s: %s.", group, within, code(c.Expression))
	case c.Type == sigma.TemporalOrdered:
		return fmt.Sprintf("Matches of the rules%s%s, one after the other.", group, within)
	case c.Type == sigma.Temporal:
		return fmt.Sprintf("Matches of all of the rules%s%s, in any order.", group, within)
	case c.Type == sigma.EventCount:
		return fmt.Sprintf("%s matches%s%s, of:", upper(number()), group, within)
	}
	var fields []string
	for _, f := range c.Fields {
		fields = append(fields, code(f))
	}
	what := map[sigma.CorrelationType]string{sigma.ValueCount: "different values", sigma.ValueSum: "as the sum", sigma.ValueAvg: "as the mean", sigma.ValueMedian: "as the median",
		sigma.ValuePercentile: "as the percentile"}[c.Type]
	return fmt.Sprintf("%s %s of %s in matches%s%s, of:", upper(number()), what, strings.Join(fields, " and "), group, within)
}

// span writes a time as rules do: "10m", "1h30m", "45s".
func span(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// writeCases lists the first of a test's cases.
func writeCases(b *bufio.Writer, key, title string, cases []ruleCase) {
	for i, c := range cases {
		if i == shownCases {
			fmt.Fprintf(b, "- and %d more under `%s`\n", len(cases)-i, key)
			break
		}
		fmt.Fprintf(b, "- %s", title)
		if c.Name != "" {
			fmt.Fprintf(b, " *%s*", markdown(c.Name))
		}
		if len(c.Events) == 0 {
			fmt.Fprintf(b, " %s\n", fieldsOf(&c.Fields))
			continue
		}
		fmt.Fprintln(b)
		for j, e := range c.Events {
			if j == shownEvents {
				fmt.Fprintf(b, "  - and %d more\n", len(c.Events)-j)
				break
			}
			times := ""
			if e.Repeat > 1 {
				times = fmt.Sprintf(", %d times", e.Repeat)
			}
			fmt.Fprintf(b, "  - %s\n", strings.TrimSpace(strings.Join([]string{e.At, markdown(e.Rule) + times, fieldsOf(&e.Fields)}, " ")))
		}
	}
}

// fieldsOf writes the fields of an event in the order in which they stand.
func fieldsOf(n *yaml.Node) string {
	var out []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		text := v.Value
		if v.Kind == yaml.SequenceNode {
			var all []string
			for _, el := range v.Content {
				all = append(all, el.Value)
			}
			text = strings.Join(all, ", ")
		}
		if len(text) > shownText {
			text = strings.ToValidUTF8(text[:shownText], "") + "..."
		}
		out = append(out, code(n.Content[i].Value+"="+text))
	}
	return strings.Join(out, " ")
}

// link names another rule and leads to its page.
func link(from, to *ruleDoc) string {
	rel := "../" + to.name + ".md"
	if path.Dir(from.name) == path.Dir(to.name) {
		rel = path.Base(to.name) + ".md"
	}
	return fmt.Sprintf("[%s](%s)", markdown(to.Title), rel)
}

// up leads from the page of a rule to the folder docs.
func up(rule string) string { return strings.Repeat("../", strings.Count(pageName(rule), "/")) }

func tacticNames(shorts []string) []string {
	var out []string
	for _, t := range knowledge.Tactics() {
		if slices.Contains(shorts, t.ShortName) {
			out = append(out, t.Name)
		}
	}
	return out
}

func techniqueLinks(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, fmt.Sprintf("[%s %s](https://attack.mitre.org/techniques/%s/)", id, markdown(knowledge.TechniqueName(id)), strings.Replace(id, ".", "/", 1)))
	}
	return out
}

// intentName writes an intent as words: "CredentialAccess" is "credential access".
func intentName(i model.Intent) string {
	var b strings.Builder
	for n, c := range string(i) {
		if n > 0 && 'A' <= c && c <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}

// sourceName writes a log source as the index has it.
func sourceName(s sigma.LogSource) string {
	var out []string
	for _, p := range [...][2]string{{"product", s.Product}, {"category", s.Category}, {"service", s.Service}} {
		if p[1] != "" {
			out = append(out, p[0]+"="+p[1])
		}
	}
	return strings.Join(out, " ")
}

// anchor is the name that readers of Markdown give to a heading.
func anchor(heading string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-', c == '_', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		}
		return -1
	}, strings.ToLower(heading))
}

// markdown makes text mean itself in a line of Markdown, and in a cell.
func markdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", "|", `\|`, "#", `\#`, "\n", " ").Replace(strings.TrimSpace(s))
}

// paragraph is markdown for text of several lines.
func paragraph(s string) string {
	var out []string
	for line := range strings.Lines(strings.TrimSpace(s)) {
		out = append(out, markdown(line))
	}
	return strings.Join(out, "\n")
}

// code quotes text as code, of a cell as well.
func code(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", `\|`)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || strings.HasPrefix(s, "`") {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}
