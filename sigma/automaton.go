package sigma

import "slices"

// An automaton finds all its literals in a text in one pass: Aho and Corasick's
// machine (Communications of the ACM 18(6), 1975) with every transition spelled
// out, over classes of bytes instead of bytes, so that a step is two loads. ASCII
// capitals share the class of their small letters; other text must be folded
// before.
type automaton struct {
	class   [256]uint8
	classes int
	next    []int32 // state -> class -> state; states are multiples of classes
	first   int32   // states from here on have hits
	hits    []hit
	ends    []int32 // of hits, by (state-first)/classes
}

// A hit is a predicate whose literal ends here.
type hit struct {
	pred  int32
	size  int32 // of the literal, in bytes
	shape shape // where the literal must stand; shapeGlob as shapeContains
}

// maxAutomaton bounds the transitions of one automaton, at 4 bytes each. Beyond
// it literals are cut short and what they find is checked again.
const maxAutomaton = 16 << 20

// maxLiteral is the length, in bytes, to which literals are cut at first: few texts
// agree in so many bytes by chance, and long literals (hashes, scripts) are most
// of an automaton's size.
const maxLiteral = 24

// A literal is what an automaton looks for on behalf of a predicate.
type literal struct {
	text  string // folded, not empty
	pred  int32
	shape shape
}

// byteClasses returns the number of byte classes that the literals need.
func byteClasses(lits []literal) (class [256]uint8, n int) {
	var used [256]bool
	for _, l := range lits {
		for i := 0; i < len(l.text); i++ {
			used[l.text[i]] = true
		}
	}
	n = 1 // class 0: all bytes that no literal has
	for c, u := range used {
		if u {
			class[c] = uint8(n) // fits: literals are folded, so that capitals are unused
			n++
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		class[c] = class[c+'a'-'A']
	}
	return class, n
}

// countStates bounds the size of the trie of literals cut to length most; it is
// exact if none is longer and they are sorted by text.
func countStates(lits []literal, most int) int {
	n, last := 1, ""
	for _, l := range lits {
		if len(l.text) > most {
			l.cut(most)
		}
		text := l.text
		common := 0
		for common < len(text) && common < len(last) && text[common] == last[common] {
			common++
		}
		n += len(text) - common
		last = text
	}
	return n
}

// cut shortens a literal to n bytes, of a suffix the last ones.
func (l *literal) cut(n int) {
	if l.shape == shapeSuffix {
		l.text = l.text[len(l.text)-n:]
	} else {
		l.text = l.text[:n]
	}
}

// literalLimit returns the length to which literals (sorted by text) must be cut
// for the automaton to stay within bounds.
func literalLimit(lits []literal, bound int) int {
	_, classes := byteClasses(lits)
	most := maxLiteral
	for most > 1 && countStates(lits, most)*classes > bound {
		most /= 2
	}
	return most
}

// trieNode is a state of the machine while it is built: its place in the tree of
// literals, in which siblings are linked.
type trieNode struct {
	child, sibling int32 // 0: none
	fail           int32
	own            int32 // first of its own hits, 1-based; 0: none
	number         int32 // in the machine
	class          uint8 // of the edge to it
	hits           bool  // it has some, of its own or by its failure states
}

// newAutomaton builds the machine; the literals must be sorted by text.
func newAutomaton(lits []literal) *automaton {
	a := &automaton{}
	a.class, a.classes = byteClasses(lits)
	trie := make([]trieNode, 1, countStates(lits, 1<<30))
	more := make([]int32, len(lits)) // after a literal: the next that ends in the same state, 1-based
	for i, l := range lits {
		s := int32(0)
		for k := 0; k < len(l.text); k++ {
			c := a.class[l.text[k]]
			// In sorted order the last child made is the only one that can fit.
			n := trie[s].child
			if n == 0 || trie[n].class != c {
				n = int32(len(trie))
				trie = append(trie, trieNode{sibling: trie[s].child, class: c})
				trie[s].child = n
			}
			s = n
		}
		more[i], trie[s].own = trie[s].own, int32(i+1)
	}

	// Breadth first: a state's failure state is shallower, hence settled before it.
	order := make([]int32, 1, len(trie))
	for i := 0; i < len(order); i++ {
		s := order[i]
		trie[s].hits = trie[s].own != 0 || trie[trie[s].fail].hits
		for n := trie[s].child; n != 0; n = trie[n].sibling {
			order = append(order, n)
			if s == 0 {
				continue
			}
			f := trie[s].fail
			to := childOf(trie, f, trie[n].class)
			for to == 0 && f != 0 {
				f = trie[f].fail
				to = childOf(trie, f, trie[n].class)
			}
			trie[n].fail = to
		}
	}

	// States with hits are numbered last, so that one comparison tells, and shallow
	// ones first, since a scan spends its time in few of them and they stay in the
	// processor's cache if they lie together.
	at := int32(0)
	number := func(hits bool) {
		for _, s := range order {
			if trie[s].hits == hits {
				trie[s].number = at
				at += int32(a.classes)
			}
		}
	}
	number(false)
	a.first = at
	number(true)

	// A state does what its failure state does, but for its own children.
	a.next = make([]int32, len(trie)*a.classes)
	for _, s := range order {
		t := &trie[s]
		row := a.next[t.number : int(t.number)+a.classes]
		if s != 0 {
			fail := trie[t.fail].number
			copy(row, a.next[fail:int(fail)+a.classes])
		}
		for n := t.child; n != 0; n = trie[n].sibling {
			row[trie[n].class] = trie[n].number
		}
		if !t.hits {
			continue
		}
		for f := s; trie[f].hits; f = trie[f].fail { // the root, where it ends, has none
			for i := trie[f].own; i != 0; i = more[i-1] {
				l := &lits[i-1]
				a.hits = append(a.hits, hit{pred: l.pred, size: int32(len(l.text)), shape: l.shape})
			}
		}
		a.ends = append(a.ends, int32(len(a.hits)))
	}
	a.hits = slices.Clip(a.hits)
	return a
}

// childOf returns the child of a state by a class, 0 if it has none.
func childOf(trie []trieNode, s int32, class uint8) int32 {
	n := trie[s].child
	for n != 0 && trie[n].class != class {
		n = trie[n].sibling
	}
	return n
}

// at returns the hits of a state that is not before first.
func (a *automaton) at(s int32) []hit {
	i := int(s-a.first) / a.classes
	start := int32(0)
	if i > 0 {
		start = a.ends[i-1]
	}
	return a.hits[start:a.ends[i]]
}
