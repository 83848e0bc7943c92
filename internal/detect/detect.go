// Package detect turns events into alerts: Sigma rules, which look at one event
// and run on many goroutines, and stateful detectors, which see the ordered
// stream of observations and remember.
//
// To add a detector: one file with a Detector, its test, and one line in the
// catalog of package app. To add a rule: one YAML file, no build.
package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"

	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// A Definition describes what raises an alert.
type Definition struct {
	Rule model.RuleInfo
	Tags []string // as in Sigma: attack.t1110.003, attack.credential-access
}

// A Detector turns observations into alerts. The engine calls Observe from one
// goroutine, in the order of event time, so a Detector needs no locks. It must
// not change o or read a clock: the newest observation is the time. What it
// keeps is bounded and forgets by event time.
type Detector interface {
	Definition() Definition
	// Observe returns the alerts that o completes, nil mostly. It fills Time, End,
	// Count, Entities and Evidence (Input, Record, ID); Finish adds the rest.
	Observe(o *model.Observation) []*model.Alert
}

// An AlertWatcher is a Detector that wants to know of all alerts: the engine calls
// Alerted for each after the observation that raised it was observed, in order of
// time. It must not change a.
type AlertWatcher interface {
	Alerted(a *model.Alert)
}

// Engine holds compiled rules. It is immutable and shared by all goroutines.
type Engine struct {
	names *model.Names
	set   *sigma.Set
	rules []*sigma.Rule
	defs  []Definition
	slots []int32 // by FieldID: the set's slot, -1 for a field that no rule names
}

// New returns an engine for rules. names must be the table that decoders use;
// every field that a rule names is given its id here.
func New(names *model.Names, set *sigma.Set, builtin func(*sigma.Rule) bool) *Engine {
	e := &Engine{names: names, set: set, rules: set.Rules()}
	fields := set.Fields()
	ids := make([]model.FieldID, len(fields))
	for i, f := range fields {
		ids[i] = names.ID(f)
	}
	e.slots = make([]int32, names.Len())
	for i := range e.slots {
		e.slots[i] = -1
	}
	for slot, id := range ids {
		if id != model.Unnamed {
			e.slots[id] = int32(slot)
		}
	}
	e.defs = make([]Definition, len(e.rules))
	for i, r := range e.rules {
		e.defs[i] = Define(r, builtin(r))
	}
	return e
}

// Define returns what a rule is to alerts. A rule without an id is known by a hash
// of its file and title.
func Define(r *sigma.Rule, builtin bool) Definition {
	src := r.File
	if builtin {
		src = "builtin"
	}
	id := r.ID
	if id == "" {
		sum := sha256.Sum256([]byte(r.File + "\x00" + r.Title))
		id = "r-" + hex.EncodeToString(sum[:8])
	}
	return Definition{Rule: model.RuleInfo{ID: id, Title: r.Title, Level: level(r.Level), Source: src}, Tags: r.Tags}
}

// level reads a Sigma level; a rule without one is as bad as "medium".
func level(s string) model.Severity {
	if l := model.Severity(s); l.Rank() >= 0 {
		return l
	}
	return model.Medium
}

// Definition returns what rule i is.
func (e *Engine) Definition(i int) Definition { return e.defs[i] }

// Rules returns how many rules the engine holds.
func (e *Engine) Rules() int { return len(e.rules) }

// Digest identifies the rules used: their count, and a hash over their texts that
// does not depend on their order.
func (e *Engine) Digest() string {
	lines := make([]string, len(e.defs))
	for i, d := range e.defs {
		text := sha256.Sum256(e.rules[i].Source())
		lines[i] = d.Rule.ID + "\x00" + string(text[:])
	}
	sort.Strings(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
		h.Write([]byte{'\n'})
	}
	return fmt.Sprintf("%d (%x)", len(lines), h.Sum(nil)[:6])
}

// Matcher matches events on one goroutine.
type Matcher struct {
	e *Engine
	m *sigma.Matcher
}

// NewMatcher returns a matcher for the calling goroutine.
func (e *Engine) NewMatcher() *Matcher { return &Matcher{e, e.set.NewMatcher()} }

// Match returns the indices of the rules that ev matches, ascending. The slice
// is valid until the next call.
func (m *Matcher) Match(ev *model.Event) []int {
	m.m.Reset()
	for i := range ev.Slots {
		s := &ev.Slots[i]
		slot := int32(-1)
		if int(s.Field) < len(m.e.slots) {
			slot = m.e.slots[s.Field]
		}
		m.m.Add(int(slot), sigma.Kind(s.Kind), s.Text)
	}
	return m.m.Match(sigma.LogSource{Product: ev.Source.Product, Category: ev.Source.Category, Service: ev.Source.Service})
}

// Alert returns the alert that rule definition d raises for observation o.
func Alert(d Definition, o *model.Observation) *model.Alert {
	return Finish(d, o, &model.Alert{Time: o.Time, End: o.Time, Count: 1, Entities: o.Entities,
		Evidence: []model.Evidence{{Input: o.Ref.Input, Record: o.Ref.Record, ID: o.Event}}})
}

// Finish completes a, raised by d, with what it takes from the observation o that
// completed it. Intent, stage and the v19 techniques come later, from package
// knowledge.
func Finish(d Definition, o *model.Observation, a *model.Alert) *model.Alert {
	a.ID = model.AlertID(d.Rule.ID, a.Evidence[0].ID)
	a.Rule = d.Rule
	a.Severity = d.Rule.Level
	a.Product = product(o)
	a.Format = o.Format
	a.Subsystem = o.Subsystem
	a.Tags = d.Tags
	a.Act, a.Host, a.Code = o.Act, o.Host, o.Code
	if sensed(o) {
		a.Host = ""
	}
	a.Entities = slices.Clone(a.Entities)
	return a
}

// sensed says whether an act only passed by the host that tells of it: a firewall,
// a name server or a collector is no place of what others do.
func sensed(o *model.Observation) bool {
	is := false
	for i := range o.Entities {
		e := &o.Entities[i]
		if e.Type != model.Host || e.Value != o.Host {
			continue
		}
		if e.Role != model.Sensor {
			return false
		}
		is = true
	}
	return is
}

// product names who reported an event, as people say it.
func product(o *model.Observation) string {
	s := o.Source
	if s.Service != "" {
		return s.Product + "/" + s.Service
	}
	if s.Category != "" {
		return s.Product + "/" + s.Category
	}
	return s.Product
}
