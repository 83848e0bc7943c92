package main

import (
	"github.com/catena-sec/catena/internal/model"
)

// An engine is one to compare with: it makes something of a rule's YAML that
// looks at events.
type engine interface {
	name() string
	load(rule []byte) (other, error)
}

// other is one rule in another engine. An error is one that the engine reports
// while it matches; it holds the rule for not matched then.
type other interface {
	match(*flatEvent) (bool, error)
}

// A flatEvent is an event in the form that other engines take.
type flatEvent struct {
	fields map[string]any
	texts  []string // all values, for keywords
	rules  []int    // those that look at it
	from   *model.Event
}

func newFlat(ev *evidence, p *pack, e *model.Event) *flatEvent {
	f := &flatEvent{fields: ev.flat(e, false), from: e, rules: p.route(logSource(e))}
	for _, s := range e.Slots {
		f.texts = append(f.texts, s.Text)
	}
	return f
}

// loaded is a pack in another engine: by rule, what it made of it, or why not.
type loaded struct {
	engine
	rules   []other
	refused []error
}

func load(e engine, p *pack) *loaded {
	l := &loaded{engine: e, rules: make([]other, len(p.rules)), refused: make([]error, len(p.rules))}
	for i, r := range p.rules {
		l.rules[i], l.refused[i] = e.load(r.src)
	}
	return l
}

// ok is how many rules the engine accepts.
func (l *loaded) ok() (n int) {
	for _, err := range l.refused {
		if err == nil {
			n++
		}
	}
	return n
}

// all runs the rules that look at an event.
func (l *loaded) all(e *flatEvent) (matches int) {
	for _, i := range e.rules {
		if r := l.rules[i]; r != nil {
			if held, _ := r.match(e); held {
				matches++
			}
		}
	}
	return matches
}
