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

// newAutomaton builds the machine; the literals must be sorted by text.
func newAutomaton(lits []literal) *automaton {
	a := &automaton{}
	a.class, a.classes = byteClasses(lits)
	nc := a.classes
	states := 1
	trie := make([]int32, nc, countStates(lits, 1<<30)*nc) // 0 is "none": no trie edge leads to the root
	own := make([][]hit, 1, cap(trie)/nc)
	for _, l := range lits {
		s := 0
		for i := 0; i < len(l.text); i++ {
			c := int(a.class[l.text[i]])
			n := int(trie[s*nc+c])
			if n == 0 {
				n = states
				states++
				trie = append(trie, make([]int32, nc)...)
				own = append(own, nil)
				trie[s*nc+c] = int32(n)
			}
			s = n
		}
		own[s] = append(own[s], hit{pred: l.pred, size: int32(len(l.text)), shape: l.shape})
	}

	// Breadth first: a state's failure state is shallower, hence complete before it.
	fail := make([]int32, states)
	order := make([]int32, 0, states)
	for _, n := range trie[:nc] {
		if n != 0 {
			order = append(order, n)
		}
	}
	for i := 0; i < len(order); i++ {
		s := order[i]
		f := fail[s]
		own[s] = append(own[s], own[f]...)
		for c := range nc {
			n := trie[int(s)*nc+c]
			to := trie[int(f)*nc+c]
			if n == 0 {
				trie[int(s)*nc+c] = to
			} else {
				fail[n] = to
				order = append(order, n)
			}
		}
	}

	// Number the states anew: those with hits last, so that one comparison tells,
	// and shallow ones first, since a scan spends its time in few of them and they
	// stay in the processor's cache if they lie together.
	order = slices.Insert(order, 0, 0)
	number := make([]int32, states)
	at := int32(0)
	for _, s := range order {
		if len(own[s]) == 0 {
			number[s] = at
			at += int32(nc)
		}
	}
	a.first = at
	for _, s := range order {
		if len(own[s]) > 0 {
			number[s] = at
			at += int32(nc)
			a.hits = append(a.hits, own[s]...)
			a.ends = append(a.ends, int32(len(a.hits)))
		}
	}
	a.next = make([]int32, len(trie))
	for s := range states {
		row := a.next[number[s] : int(number[s])+nc]
		for c := range row {
			row[c] = number[trie[s*nc+c]]
		}
	}
	a.hits = slices.Clip(a.hits)
	return a
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
