package fusion

import "github.com/catena-sec/catena/internal/model"

// An entity is all that an engine holds on one key that its metas name: looked up
// once when a meta comes, then at hand wherever the meta is weighed.
type entity struct {
	key     model.EntityKey
	ring    ring     // who carries it, in this fold
	fold    int      // by number
	carrier *carrier // who was counted with it, in this round of the rates
	place   *place   // and what was counted there, nil if it is no place
	round   int      // by number
}

// named finds the entity of a key, making it on first sight.
func (e *Engine) named(k model.EntityKey) *entity {
	x := e.index[k]
	if x == nil {
		x = &entity{key: k}
		e.index[k] = x
	}
	return x
}

// identify finds the entities that m names.
func (e *Engine) identify(m *meta) {
	m.open = e.live
	m.where, m.who = e.named(m.subject), e.named(m.principal)
	m.what = e.named(model.EntityKey{Type: ruleName, Value: m.rule()})
	for i := range m.pivots {
		m.pivots[i].entity = e.named(m.pivots[i].key)
	}
}

// ruleName is the type under which rules are kept among the entities.
const ruleName model.EntityType = "rule"

// ringOf returns the campaigns that carry x, none at the beginning of a fold.
func (e *Engine) ringOf(x *entity) *ring {
	if x.fold != e.folds {
		clear(x.ring.list)
		clear(x.ring.all)
		x.ring.list, x.ring.all, x.fold = x.ring.list[:0], x.ring.all[:0], e.folds
	}
	return &x.ring
}

// ring returns the campaigns that carry k, nil if none does.
func (e *Engine) ring(k model.EntityKey) *ring {
	x := e.index[k]
	if x == nil || x.fold != e.folds {
		return nil
	}
	return &x.ring
}

// dropEntities forgets what no meta that is kept names, no campaign carries and no
// rate counts.
func (e *Engine) dropEntities() {
	held := make(map[*entity]bool, len(e.metas))
	for _, m := range e.metas {
		held[m.where], held[m.who], held[m.what] = true, true, true
		for i := range m.pivots {
			held[m.pivots[i].entity] = true
		}
	}
	for k, x := range e.index {
		if r := e.ring(k); r != nil {
			if r.prune(); len(r.list) > 0 {
				held[x] = true
			}
		}
		if !held[x] && !e.rates.knows(x) {
			delete(e.index, k)
		}
	}
}
