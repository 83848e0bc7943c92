package app

import (
	"slices"

	"github.com/catena-sec/catena/internal/decode"
	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/internal/report"
	"github.com/catena-sec/catena/sigma"
)

// Machines are told apart by their system, since what an attack does on one says
// little of the other; macOS, which shares the programs and accounts of Unix, goes
// with Linux.
const (
	windowsColumn = "windows"
	linuxColumn   = "linux"
)

// columns are those of a coverage, the last for what is of several subsystems.
var columns = []string{windowsColumn, linuxColumn, string(model.Identity), string(model.Network), string(model.Storage), string(model.Database),
	string(model.Kubernetes), string(model.Application), string(model.Email), string(model.Secrets), string(model.Management), report.AnySubsystem}

// Coverage tells what the rules and detectors in use are for.
func (a *App) Coverage() *report.Coverage {
	c := &report.Coverage{AttackVersion: knowledge.AttackVersion, Stages: model.Stages, Subsystems: columns,
		Matrix: map[model.Stage]map[string]int{}, Empty: []report.CoverageCell{}}
	for _, st := range model.Stages {
		c.Matrix[st] = map[string]int{}
		for _, s := range columns {
			c.Matrix[st][s] = 0
		}
	}
	tactics, techniques := map[string]int{}, map[string]int{}
	for _, d := range a.described() {
		c.Rules++
		if d.Stage == "" {
			c.Unstaged++
		} else {
			c.Matrix[d.Stage][d.Column()]++
		}
		if len(d.Techniques) == 0 {
			c.Untagged++
		}
		for _, t := range d.Tactics {
			tactics[t]++
		}
		for _, t := range d.Techniques {
			techniques[t]++
		}
	}
	for _, st := range model.Stages {
		for _, s := range columns {
			if c.Matrix[st][s] == 0 && s != report.AnySubsystem {
				c.Empty = append(c.Empty, report.CoverageCell{Stage: st, Subsystem: s})
			}
		}
	}
	all := knowledge.Techniques()
	for _, t := range knowledge.Tactics() {
		tc := report.TacticCoverage{ID: t.ID, Tactic: t.ShortName, Name: t.Name, Rules: tactics[t.ShortName], Techniques: []report.TechniqueCoverage{}}
		for _, x := range all {
			if !slices.Contains(x.Tactics, t.ShortName) {
				continue
			}
			if techniques[x.ID] > 0 {
				tc.Covered++
			}
			tc.Techniques = append(tc.Techniques, report.TechniqueCoverage{ID: x.ID, Name: knowledge.TechniqueName(x.ID), Rules: techniques[x.ID]})
		}
		c.Tactics = append(c.Tactics, tc)
	}
	return c
}

// described lists the rules and detectors that alert, with what their alerts will
// say of themselves.
func (a *App) described() []RuleLine {
	var out []RuleLine
	byRef := a.rulesByRef()
	for i, r := range a.rules {
		if a.engine.Alerts(i) {
			out = append(out, describeRule(a.engine.Definition(i), r, byRef))
		}
	}
	for _, d := range a.detectors() {
		out = append(out, describeDetector(d.Definition()))
	}
	return out
}

// rulesByRef returns the rules that were read by what correlations call them.
func (a *App) rulesByRef() map[string]*sigma.Rule {
	byRef := map[string]*sigma.Rule{}
	for _, r := range a.packs.Parsed {
		for _, ref := range [...]string{r.ID, r.Name} {
			if _, ok := byRef[ref]; !ok && ref != "" {
				byRef[ref] = r
			}
		}
	}
	return byRef
}

// describeDetector says what alerts of a definition will say of themselves.
func describeDetector(d detect.Definition) RuleLine {
	al := &model.Alert{Rule: d.Rule, Tags: d.Tags}
	knowledge.Classify(al)
	l := RuleLine{ID: d.Rule.ID, Level: d.Rule.Level, Title: d.Rule.Title, Source: d.Rule.Source, Tags: d.Tags, Techniques: al.Techniques, Tactics: al.Tactics,
		Subsystem: report.AnySubsystem, Kind: "detector"}
	if al.Intent.Confidence > 0 {
		l.Stage = al.Stage
	}
	return l
}

// describeRule is describeDetector of a rule, a correlation or a filter.
func describeRule(d detect.Definition, r *sigma.Rule, byRef map[string]*sigma.Rule) RuleLine {
	l := describeDetector(d)
	l.Kind, l.Status, l.File, l.Line = "rule", r.Status, r.File, r.Line
	if r.Correlation != nil {
		l.Kind = "correlation"
	} else {
		l.LogSource = ruleSourceName(r.LogSource)
	}
	if r.Filter != nil {
		l.Kind = "filter"
		return l
	}
	if s := subsystemOf(r, byRef, 0); s != "" {
		l.Subsystem = string(s)
		l.column = systemOf(r, byRef, 0)
	}
	return l
}

// Column is where a rule is counted in a coverage: its subsystem, of machines their
// system.
func (l *RuleLine) Column() string {
	if l.Subsystem != string(model.Compute) {
		return l.Subsystem
	}
	return l.column
}

// systemOf returns the column of a rule about machines.
func systemOf(r *sigma.Rule, byRef map[string]*sigma.Rule, depth int) string {
	if r.Correlation == nil {
		switch r.LogSource.Fold().Product {
		case "windows":
			return windowsColumn
		case "linux", "macos":
			return linuxColumn
		}
		return report.AnySubsystem
	}
	out := report.AnySubsystem
	for i, ref := range r.Correlation.Rules {
		of := byRef[ref]
		if of == nil || depth > maxChain {
			return report.AnySubsystem
		}
		s := systemOf(of, byRef, depth+1)
		if i > 0 && s != out {
			return report.AnySubsystem
		}
		out = s
	}
	return out
}

// maxChain bounds how far correlations of correlations are followed.
const maxChain = 64

// subsystemOf returns what kind of thing a rule's events are about, as its log
// source tells and what each of its alternatives says of their fields; of a
// correlation, as all of its rules do. It is empty where these differ.
func subsystemOf(r *sigma.Rule, byRef map[string]*sigma.Rule, depth int) model.Subsystem {
	var out model.Subsystem
	if r.Correlation == nil {
		src := r.LogSource.Fold()
		source := model.LogSource{Product: src.Product, Category: src.Category, Service: src.Service}
		for i, says := range r.Alternatives() {
			s := decode.SubsystemOf(source, func(field string) decode.Clue { return clueOf(says, field) })
			if i > 0 && s != out {
				return ""
			}
			out = s
		}
		return out
	}
	for i, ref := range r.Correlation.Rules {
		of := byRef[ref]
		if of == nil || depth > maxChain {
			return ""
		}
		s := subsystemOf(of, byRef, depth+1)
		if i > 0 && s != out {
			return ""
		}
		out = s
	}
	return out
}

// clueOf returns what an alternative says of a field: of several selectors the one
// with the fewest texts.
func clueOf(says []sigma.Selector, field string) decode.Clue {
	var out decode.Clue
	for _, s := range says {
		if s.Field == field && (len(out.Texts) == 0 || len(s.Texts) < len(out.Texts)) {
			out = decode.Clue{Texts: s.Texts, Whole: s.Exact}
		}
	}
	return out
}
