package app

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// visibility returns by how many of the rules in use a technique would be seen in
// records of the given log sources, and in which of them most. It is worked out when
// first asked: most runs find nothing to predict from. A rule of a sub-technique
// counts for the technique as well, not the other way round.
func (a *App) visibility(sources map[model.LogSource]bool) func(technique string) (rules int, source string) {
	by := sync.OnceValue(func() map[string]map[string]int { return a.shownBy(sources) })
	return func(technique string) (int, string) {
		n, best := 0, ""
		of := by()[technique]
		for _, source := range slices.Sorted(maps.Keys(of)) {
			n += of[source]
			if best == "" || of[source] > of[best] {
				best = source
			}
		}
		return n, best
	}
}

// shownBy counts, for each technique, the rules that would show it by the log source
// that they are written for, as far as the sources hold records of it.
func (a *App) shownBy(sources map[model.LogSource]bool) map[string]map[string]int {
	have := slices.SortedFunc(maps.Keys(sources), func(x, y model.LogSource) int {
		return cmp.Or(cmp.Compare(x.Product, y.Product), cmp.Compare(x.Category, y.Category), cmp.Compare(x.Service, y.Service))
	})
	fed := map[sigma.LogSource]bool{}
	out := map[string]map[string]int{}
	for i, r := range a.rules {
		if !a.reads(r) || !a.engine.Alerts(i) {
			continue
		}
		feeds, known := fed[r.LogSource]
		if !known {
			feeds = slices.ContainsFunc(have, func(s model.LogSource) bool {
				return r.LogSource.Covers(sigma.LogSource{Product: s.Product, Category: s.Category, Service: s.Service})
			})
			fed[r.LogSource] = feeds
		}
		if !feeds {
			continue
		}
		techniques, _ := knowledge.FromTags(a.engine.Definition(i).Tags)
		counted := map[string]bool{}
		for _, id := range techniques {
			parent, _, _ := strings.Cut(id, ".")
			for _, t := range []string{id, parent} {
				if counted[t] {
					continue
				}
				counted[t] = true
				if out[t] == nil {
					out[t] = map[string]int{}
				}
				out[t][plainSource(r.LogSource)]++
			}
		}
	}
	return out
}

// plainSource names a log source in a sentence.
func plainSource(s sigma.LogSource) string {
	return strings.Join(strings.Fields(s.Product+" "+s.Service+" "+s.Category), " ")
}
