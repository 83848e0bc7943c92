package fusion

import "github.com/catena-sec/catena/internal/model"

// An alert that is suppressed is not forgotten: it is evidence still, of quietShare of
// the weight, and an incident may hold it. What is suppressed altogether raises
// nothing.

// quietShare is what of its bits a suppressed alert keeps.
const quietShare = .25

// weigh returns what bits are worth when m says them.
func (m *meta) weigh(bits float64) float64 {
	if m.quiet != "" && bits > 0 {
		return bits * quietShare
	}
	return bits
}

// silent says whether every member of c is suppressed.
func (c *candidate) silent() bool {
	for _, m := range c.metas {
		if m.quiet == "" {
			return false
		}
	}
	return true
}

// sight describes an alert as decisions let fusion see it: without the entities that
// are kept out.
func (e *Engine) sight(a *model.Alert) portrait {
	p := e.describe(a)
	b := e.bind.book
	if !b.Blinds() {
		return p
	}
	kept := p.pivots[:0:0]
	for _, v := range p.pivots {
		if !b.Blind(v.key) && (v.class != near || !b.Blind(p.subject)) {
			kept = append(kept, v)
		}
	}
	p.pivots = kept
	return p
}
