package sigma

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// A literal is what to look for in a field's values on behalf of a predicate.
type literal struct {
	text  string // folded
	pred  int32
	shape shape // where it must stand: shapeExact, shapePrefix, shapeSuffix or shapeContains
}

// literals finds out which of a field's literals stand in a text, whatever the case
// of its ASCII letters.
//
// Each is known by a gram, a few bytes in a row. Those that must stand at an end
// are looked up by the gram there. Of the others, several grams one byte apart are
// known, so that only one in so many places of a text is looked at; and they are
// those that the fewest other literals have, so that few texts have them. Only
// where a known gram stands is anything compared. Unlike an automaton this takes
// space in proportion to the number of literals, needs no building, and its steps
// do not wait for one another.
type literals struct {
	all   []literal
	empty []int32 // predicates hit by the empty text
	head  []grams // by ascending size, as the others
	tail  []grams
	inner []grams
}

// grams are the literals that are known by grams of one size.
type grams struct {
	size   int // of a gram, in bytes
	step   int // from one place that is looked at to the next
	mask   uint64
	filter []uint64 // a bit for each hash of a gram
	shift  uint8    // of a hash, to a bit of the filter
	coarse uint8    // of a bit of the filter, to a place in first
	first  []int32  // the first anchor, by hash, and the end of the last
	anchor []anchor
}

// An anchor is a gram of a literal.
type anchor struct {
	gram uint64 // with anyCase
	lit  int32  // place in literals.all
	at   int32  // of the gram in the literal
}

const (
	maxEndGram = 8  // at an end there is one look-up for each size of gram, so that they may be long
	shortGram  = 3  // of literals inside, if there are few of them, for the sake of longer steps
	innerGram  = 4  // of the others
	longGram   = 5  // of long ones
	long       = 8  // bytes of a literal
	few        = 64 // literals
	filterRoom = 5  // bits of a filter for an anchor, as a power of two
	maxFilter  = 18 // bits of a filter, as a power of two: 32 KiB stay in the first cache
)

// gramPadding must follow a text that is searched: grams are loaded as words.
const gramPadding = "\x00\x00\x00\x00\x00\x00\x00\x00"

// newLiterals makes the index; nil without literals.
func newLiterals(lits []literal) *literals {
	if len(lits) == 0 {
		return nil
	}
	x := literals{all: lits}
	var head, tail, inner [maxEndGram + 1][]int32 // by size of the gram
	var some []int32                              // inside, not short
	for i, l := range lits {
		n := len(l.text)
		switch {
		case n == 0:
			x.empty = append(x.empty, l.pred)
		case l.shape == shapePrefix:
			head[min(n, maxEndGram)] = append(head[min(n, maxEndGram)], int32(i))
		case l.shape == shapeExact || l.shape == shapeSuffix:
			tail[min(n, maxEndGram)] = append(tail[min(n, maxEndGram)], int32(i))
		case n < innerGram:
			inner[n] = append(inner[n], int32(i))
		default:
			some = append(some, int32(i))
		}
	}
	for size := range maxEndGram + 1 {
		x.head = x.known(x.head, head[size], size, 1, func(string) int { return 0 })
		x.tail = x.known(x.tail, tail[size], size, 1, func(text string) int { return len(text) - size })
		x.inner = x.known(x.inner, inner[size], size, 1, func(string) int { return 0 })
	}
	if len(some) == 0 {
		return &x
	}
	common := countGrams(lits)
	inside := func(some []int32, size int) {
		step := x.shortest(some) - size + 1
		x.inner = x.known(x.inner, some, size, step, func(text string) int { return common.rarest(text, size, step) })
	}
	if len(some) <= few {
		inside(some, shortGram)
		return &x
	}
	medium, rest := x.split(some)
	if len(medium) > 0 {
		inside(medium, innerGram)
	}
	if len(rest) > 0 {
		inside(rest, longGram)
	}
	return &x
}

// split returns which literals are not long, and which are.
func (x *literals) split(some []int32) (medium, rest []int32) {
	for _, i := range some {
		if len(x.all[i].text) < long {
			medium = append(medium, i)
		} else {
			rest = append(rest, i)
		}
	}
	return medium, rest
}

// shortest returns the length of the shortest literal, long if all are.
func (x *literals) shortest(some []int32) int {
	n := long
	for _, i := range some {
		n = min(n, len(x.all[i].text))
	}
	return n
}

// known adds grams for some literals; where says at what place of a literal the
// first of its step grams begins.
func (x *literals) known(all []grams, some []int32, size, step int, where func(text string) int) []grams {
	if len(some) == 0 {
		return all
	}
	g := grams{size: size, step: step, mask: 1<<(8*size) - 1, anchor: make([]anchor, 0, len(some)*step)} // all ones for 8
	for _, i := range some {
		text := x.all[i].text
		first := where(text)
		for at := first; at < first+step; at++ {
			var word [8]byte
			copy(word[:], text[at:at+size])
			g.anchor = append(g.anchor, anchor{(binary.LittleEndian.Uint64(word[:]) | anyCase) & g.mask, i, int32(at)})
		}
	}
	room := bits.Len(uint(len(g.anchor)))
	wide := max(min(room+filterRoom, maxFilter), 6)
	room = min(room, wide)
	g.shift, g.coarse = uint8(64-wide), uint8(wide-room)
	g.filter = make([]uint64, 1<<(wide-6))
	g.first = make([]int32, 1<<room+1)
	for _, a := range g.anchor {
		bit := g.bit(a.gram)
		g.filter[bit/64] |= 1 << (bit % 64)
		g.first[bit>>g.coarse+1]++
	}
	slices.SortStableFunc(g.anchor, func(a, b anchor) int { return cmp.Compare(g.bit(a.gram), g.bit(b.gram)) })
	for i := 1; i < len(g.first); i++ {
		g.first[i] += g.first[i-1]
	}
	return append(all, g)
}

// bit returns the bit of a gram in the filter.
func (g *grams) bit(gram uint64) uint64 { return hashGram(gram) >> g.shift }

// hashGram spreads a gram over all bits, the upper ones best (Fibonacci hashing).
func hashGram(gram uint64) uint64 { return gram * 0x9e3779b97f4a7c15 }

// anyCase makes letters of either case one, and some other characters, too.
const anyCase = 0x2020202020202020

// gramCounts says how often grams of shortGram bytes stand in literals, by hash.
// What rules name often stands in texts often, too.
type gramCounts struct {
	n     []uint16
	shift uint8
}

func countGrams(lits []literal) gramCounts {
	total := 0
	for _, l := range lits {
		total += len(l.text)
	}
	room := min(bits.Len(uint(total)), 8*shortGram)
	c := gramCounts{make([]uint16, 1<<room), uint8(64 - room)}
	for _, l := range lits {
		for i := 0; i+shortGram <= len(l.text); i++ {
			if n := c.of(l.text[i:]); *n < 1<<16-1 {
				*n++
			}
		}
	}
	return c
}

// of returns the count of the gram that a text begins with.
func (c gramCounts) of(s string) *uint16 {
	return &c.n[hashGram(uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16)>>c.shift]
}

// rarest returns where in a text those step grams in a row begin that the fewest
// literals have.
func (c gramCounts) rarest(text string, size, step int) int {
	best, least := 0, -1
	for at := 0; at+step-1+size <= len(text); at++ {
		sum := 0
		for i := at; i < at+step; i++ {
			sum += int(*c.of(text[i:]))
		}
		if least < 0 || sum <= least { // the end of a path says more than its start
			best, least = at, sum
		}
	}
	return best
}

// anchored reports whether some literals must stand at an end.
func (x *literals) anchored() bool { return x.empty != nil || x.head != nil || x.tail != nil }

// search adds to out the predicates whose literals stand in the first n bytes of
// text, which must be padded, and folded unless it is ASCII. Those that seen has
// already are left out.
func (x *literals) search(text []byte, n int, seen *stamps, out []int32) []int32 {
	return x.inside(text, n, seen, x.atEnds(text, n, seen, out))
}

// atEnds is search for the literals that must stand at an end.
func (x *literals) atEnds(text []byte, n int, seen *stamps, out []int32) []int32 {
	if n == 0 {
		return append(out, x.empty...)
	}
	for i := range x.head {
		if g := &x.head[i]; g.size <= n {
			out = x.at(g, text, n, 0, seen, out)
		}
	}
	for i := range x.tail {
		if g := &x.tail[i]; g.size <= n {
			out = x.at(g, text, n, n-g.size, seen, out)
		}
	}
	return out
}

// inside is search for the literals that may stand anywhere.
func (x *literals) inside(text []byte, n int, seen *stamps, out []int32) []int32 {
	for i := range x.inner {
		g := &x.inner[i]
		mask, filter, shift := g.mask, g.filter, g.shift&63
		for at := 0; at+g.size <= n; at += g.step {
			gram := (binary.LittleEndian.Uint64(text[at:]) | anyCase) & mask
			bit := hashGram(gram) >> shift
			if filter[bit/64]&(1<<(bit%64)) != 0 {
				out = x.at(g, text, n, at, seen, out)
			}
		}
	}
	return out
}

// at adds the predicates whose literals stand in the text with a gram at place.
func (x *literals) at(g *grams, text []byte, n, place int, seen *stamps, out []int32) []int32 {
	gram := (binary.LittleEndian.Uint64(text[place:]) | anyCase) & g.mask
	bit := g.bit(gram)
	if g.filter[bit/64]&(1<<(bit%64)) == 0 {
		return out
	}
	i := bit >> g.coarse
	for _, a := range g.anchor[g.first[i]:g.first[i+1]] {
		if a.gram != gram {
			continue
		}
		l := &x.all[a.lit]
		start := place - int(a.at)
		end := start + len(l.text)
		if start < 0 || end > n || l.shape == shapeExact && end-start != n || seen.has(l.pred) || !isFoldOf(text[start:end], l.text) {
			continue
		}
		seen.set(l.pred)
		out = append(out, l.pred)
	}
	return out
}

// isFoldOf reports whether text is the folded one, of the same length, but for the
// case of ASCII letters.
func isFoldOf(text []byte, folded string) bool {
	for i, c := range text {
		if lowerASCII(c) != folded[i] {
			return false
		}
	}
	return true
}

// stamps is a set of predicates that is emptied at once.
type stamps struct {
	now uint32
	at  []uint32 // by predicate: equal to now if it is in the set
}

func (s *stamps) has(pred int32) bool { return s.at[pred] == s.now }
func (s *stamps) set(pred int32)      { s.at[pred] = s.now }

// clear empties the set.
func (s *stamps) clear() {
	if s.now++; s.now == 0 {
		s.now = 1
		clear(s.at)
	}
}
