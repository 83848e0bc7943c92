package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/pack"
)

// detectors are the stateful detectors in use: all but those that are switched off.
func (a *App) detectors() []detect.Detector {
	return slices.DeleteFunc(detectors(a.places), func(d detect.Detector) bool { return a.detectorOff(d.Definition()) >= 0 })
}

// detectorOff returns which selector switches a detector off, -1 for none.
// Detectors are of no pack and look at no log source of their own.
func (a *App) detectorOff(d detect.Definition) int {
	x := &pack.Subject{ID: d.Rule.ID, Title: d.Rule.Title, Level: string(d.Rule.Level), Tags: d.Tags}
	return slices.IndexFunc(a.opt.Disable, func(s pack.Selector) bool { return s.Covers(x) })
}

// RuleNotes say in sentences what was left out of the rules on purpose: packs and
// rules that later ones take the place of, what is switched off, and which of the
// selectors mean nothing.
func (a *App) RuleNotes() []string {
	out := slices.Clone(a.packs.Notes())
	var off []string
	means := make([]bool, len(a.opt.Disable))
	for _, d := range detectors(a.places) {
		def := d.Definition()
		i := a.detectorOff(def)
		if i < 0 {
			continue
		}
		off = append(off, fmt.Sprintf("%q (%s)", def.Rule.Title, a.opt.Disable[i]))
		for i, s := range a.opt.Disable {
			x := &pack.Subject{ID: def.Rule.ID, Title: def.Rule.Title, Level: string(def.Rule.Level), Tags: def.Tags}
			means[i] = means[i] || s.Covers(x)
		}
	}
	if len(off) > 0 {
		out = append(out, "Detectors switched off: "+strings.Join(off, ", ")+".")
	}
	unused := a.packs.Unused()
	for i, s := range a.opt.Disable {
		if !means[i] && slices.Contains(unused, s) {
			out = append(out, fmt.Sprintf("Switching off %s changes nothing: no rule and no detector is meant by it.", s))
		}
	}
	return out
}

// rulesText identifies the rules used, for the report: their count and hash, the
// packs given, and whether pipelines changed rules or some are switched off.
func (a *App) rulesText() string {
	var b strings.Builder
	b.WriteString(a.engine.Digest())
	sep := " with "
	for _, p := range a.packs.Packs {
		if p.Manifest != nil && !p.Builtin {
			b.WriteString(sep + p.String())
			sep = ", "
		}
	}
	b.WriteString(a.adapted)
	if off := a.List(RuleFilter{Off: true}); len(off) > 0 {
		h := sha256.New()
		for i := range off {
			fmt.Fprintf(h, "%q\n", off[i].ID)
		}
		fmt.Fprintf(&b, " without %d (%s)", len(off), hex.EncodeToString(h.Sum(nil)[:6]))
	}
	return b.String()
}

// switchedOff lists what is switched off, with what its alerts would have said.
func (a *App) switchedOff() []RuleLine {
	var out []RuleLine
	add := func(l RuleLine, why string) {
		l.Off = why
		out = append(out, l)
	}
	byRef := a.rulesByRef()
	for _, o := range a.packs.Off() {
		why := o.By.String()
		if o.Step {
			why += ", still a step of correlations"
		}
		add(describeRule(detect.Define(o.Rule, a.packs.Pack(o.Rule).Builtin), o.Rule, byRef), why)
	}
	for _, d := range detectors(a.places) {
		if i := a.detectorOff(d.Definition()); i >= 0 {
			add(describeDetector(d.Definition()), a.opt.Disable[i].String())
		}
	}
	return out
}
