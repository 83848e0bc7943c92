package sigma

import (
	"encoding/binary"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A regex is a regular expression that is asked often: whether it matches a text
// somewhere, and nothing else. It may be shared by goroutines.
//
// Package regexp follows all threads of an expression through a text. Here sets
// of threads are the states of a deterministic automaton (a dfa), made only as
// texts lead to them, so that most characters cost one look into a table. What a
// dfa finds is what regexp would find, which answers itself where a dfa does not
// pay.
type regex struct {
	*regexp.Regexp
	once sync.Once
	auto *automaton // nil if the expression is not for a dfa
}

func (r *regex) automaton() *automaton {
	r.once.Do(func() { r.auto = newAutomaton(r.String()) })
	return r.auto
}

// An automaton is what the dfas of an expression have in common: its program, and
// the characters in classes that it does not tell apart.
type automaton struct {
	prog     *syntax.Prog
	anchored bool           // it can only match at the start
	looks    syntax.EmptyOp // the assertions in it
	shortest int            // bytes of a match, at least

	classes int                   // of characters; the end of a text is one more
	ascii   [utf8.RuneSelf]uint16 // class by character
	from    []rune                // the first characters of ranges above, ascending
	wide    []uint16              // class by range
	sample  []rune                // a character of each class

	run  int    // if not 0, this many characters in a row of some classes are what matches
	runs []bool // the classes
}

// What is larger is left to package regexp.
const (
	maxInstructions = 1 << 13
	maxClasses      = 1 << 8
	maxClassWork    = 1 << 20 // ranges times instructions that differ
)

// newAutomaton returns nil if the expression is too large.
func newAutomaton(src string) *automaton {
	re, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil
	}
	a := &automaton{shortest: shortestMatch(re)}
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	// Hundreds of one character in a row are hundreds of threads: better counted.
	if re.Op == syntax.OpRepeat && re.Min > 0 {
		switch one := re.Sub[0]; one.Op {
		case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			a.run, re = re.Min, one
		}
	}
	a.prog, err = syntax.Compile(re.Simplify())
	if err != nil || len(a.prog.Inst) > maxInstructions {
		return nil
	}
	a.anchored = a.prog.StartCond()&syntax.EmptyBeginText != 0
	if !a.classify() {
		return nil
	}
	if a.run > 0 {
		a.runs = make([]bool, a.classes)
		for i := range a.prog.Inst {
			for k, r := range a.sample {
				a.runs[k] = a.runs[k] || takes(&a.prog.Inst[i], r)
			}
		}
	}
	return a
}

// shortestMatch returns how many bytes a match has at least.
func shortestMatch(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpCapture, syntax.OpPlus:
		n = shortestMatch(re.Sub[0])
	case syntax.OpRepeat:
		n = re.Min * shortestMatch(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n += shortestMatch(sub)
		}
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			if m := shortestMatch(sub); i == 0 || m < n {
				n = m
			}
		}
	}
	return min(n, 1<<16) // nested repetitions must not overflow
}

// takes reports whether an instruction consumes a character.
func takes(in *syntax.Inst, r rune) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return in.MatchRune(r)
	}
	return false
}

const wordLooks = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
const lineLooks = syntax.EmptyBeginLine | syntax.EmptyEndLine

// classify finds the classes: characters are in one if every instruction takes
// all of them or none, and no assertion tells them apart.
func (a *automaton) classify() bool {
	var tests []*syntax.Inst // that differ
	known := map[string]bool{}
	bounds := []rune{0, utf8.RuneSelf}
	for i := range a.prog.Inst {
		in := &a.prog.Inst[i]
		switch in.Op {
		case syntax.InstEmptyWidth:
			a.looks |= syntax.EmptyOp(in.Arg)
			continue
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		default:
			continue
		}
		key := []byte{byte(in.Op), byte(in.Arg)}
		for _, r := range in.Rune {
			key = binary.LittleEndian.AppendUint32(key, uint32(r))
		}
		if known[string(key)] {
			continue
		}
		known[string(key)] = true
		tests = append(tests, in)
		switch {
		case in.Op == syntax.InstRuneAnyNotNL:
			bounds = append(bounds, '\n', '\n'+1)
		case len(in.Rune) == 1:
			bounds = append(bounds, in.Rune[0], in.Rune[0]+1)
			for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
				bounds = append(bounds, r, r+1)
			}
		default:
			for j := 0; j+1 < len(in.Rune); j += 2 {
				bounds = append(bounds, in.Rune[j], in.Rune[j+1]+1)
			}
		}
	}
	bounds = append(bounds, '\n', '\n'+1, '0', '9'+1, 'A', 'Z'+1, '_', '_'+1, 'a', 'z'+1) // what assertions tell apart
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	if len(bounds)*(len(tests)+1) > maxClassWork {
		return false
	}
	ids := map[string]uint16{}
	mark := make([]byte, len(tests)+1)
	for i, r := range bounds {
		for k, in := range tests {
			mark[k] = 0
			if in.MatchRune(r) {
				mark[k] = 1
			}
		}
		mark[len(tests)] = a.context(r)
		id, ok := ids[string(mark)]
		if !ok {
			if id = uint16(len(ids)); int(id) == maxClasses {
				return false
			}
			ids[string(mark)] = id
			a.sample = append(a.sample, r)
		}
		if r >= utf8.RuneSelf {
			a.from, a.wide = append(a.from, r), append(a.wide, id)
			continue
		}
		for c := r; c < utf8.RuneSelf && (i+1 == len(bounds) || c < bounds[i+1]); c++ {
			a.ascii[c] = id
		}
	}
	a.classes = len(ids)
	return true
}

// class returns the class of a character that is not ASCII.
func (a *automaton) class(r rune) uint16 {
	i, found := slices.BinarySearch(a.from, r)
	if !found {
		i--
	}
	return a.wide[i]
}

// A context is what stands before a place, as far as assertions ask.
const (
	afterOther = iota
	afterStart
	afterBreak
	afterWord
)

// context returns what a character is to the assertions of the program.
func (a *automaton) context(r rune) byte {
	switch {
	case r == '\n' && a.looks&lineLooks != 0:
		return afterBreak
	case a.looks&wordLooks != 0 && syntax.IsWordChar(r):
		return afterWord
	}
	return afterOther
}

// A dfa is the part of an automaton's deterministic form that texts have led to.
// Its size is bounded: when it is full it is begun again. It serves one goroutine.
type dfa struct {
	auto  *automaton
	next  []int32          // by state (the place of its row) and class
	sets  []string         // by state: its set, as in ids
	ids   map[string]int32 // the context and the instructions that threads stand at, ascending
	start string           // the first set
	size  int              // bytes held, about
	fresh int              // bytes of text since it was begun
	rest  int              // how many texts not to be asked about, as it did not pay

	seen  []uint32 // by instruction: equal to epoch if its thread was followed
	epoch uint32
	stack []uint32
	set   []uint32
	key   []byte
}

// What stands in place of a state.
const (
	stateUnknown = -1 - iota
	stateMatch
	stateDead
)

// A dfa holds up to maxDFA bytes. If it is full before each of its states has
// served for minUse bytes of text, it does not pay for that text and the restDFA
// after it.
const (
	maxDFA  = 1 << 18
	minUse  = 16
	restDFA = 64
)

func newDFA(a *automaton) *dfa {
	d := &dfa{auto: a, ids: map[string]int32{}, seen: make([]uint32, len(a.prog.Inst))}
	before := byte(afterOther)
	if a.looks&^(wordLooks|syntax.EmptyEndText|syntax.EmptyEndLine) != 0 {
		before = afterStart
	}
	d.start = string(binary.LittleEndian.AppendUint32([]byte{before}, uint32(a.prog.Start)))
	return d
}

// bytes returns how much memory it takes, about.
func (d *dfa) bytes() int { return d.size + 12*len(d.seen) + 1<<10 }

// match reports whether the expression matches somewhere in the text. If it does
// not pay to find out, ok is false.
func (d *dfa) match(text string) (matched, ok bool) {
	a := d.auto
	if len(text) < a.shortest {
		return false, true
	}
	if a.run > 0 {
		return a.hasRun(text), true
	}
	if d.rest > 0 {
		d.rest--
		return false, false
	}
	state := d.state(d.start)
	d.fresh += len(text)
	for i := 0; i < len(text); {
		var class uint16
		size := 1
		if c := text[i]; c < utf8.RuneSelf {
			class = a.ascii[c]
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			class = a.class(r)
		}
		to := d.next[int(state)+int(class)]
		if to < 0 {
			if to == stateUnknown {
				if to, ok = d.step(state, int(class), len(text)-i); !ok {
					return false, false
				}
			}
			if to < 0 {
				d.fresh -= len(text) - i
				return to == stateMatch, true
			}
		}
		state = to
		i += size
	}
	to := d.next[int(state)+a.classes]
	if to == stateUnknown {
		if to, ok = d.step(state, a.classes, 0); !ok {
			return false, false
		}
	}
	return to == stateMatch, true
}

// hasRun is match of an expression that is a number of characters in a row.
func (a *automaton) hasRun(text string) bool {
	n := 0
	for i := 0; i < len(text); {
		var class uint16
		size := 1
		if c := text[i]; c < utf8.RuneSelf {
			class = a.ascii[c]
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			class = a.class(r)
		}
		i += size
		if n++; !a.runs[class] {
			n = 0
		}
		if n == a.run {
			return true
		}
	}
	return false
}

// begin lets go of all states.
func (d *dfa) begin(left int) {
	d.next, d.sets, d.size, d.fresh = d.next[:0], d.sets[:0], 0, left
	clear(d.ids)
}

// state returns the state of a set, which there is room for.
func (d *dfa) state(set string) int32 {
	id, ok := d.ids[set]
	if !ok {
		id = int32(len(d.next))
		for range d.auto.classes + 1 {
			d.next = append(d.next, stateUnknown)
		}
		d.sets = append(d.sets, set)
		d.ids[set] = id
		d.size += 4*(d.auto.classes+1) + len(set) + 64
	}
	return id
}

// step finds where a class, or the end of the text after all classes, leads from a
// state; left is how much of the text is still to come. It reports whether it pays
// to go on.
func (d *dfa) step(state int32, class, left int) (int32, bool) {
	a := d.auto
	from := d.sets[int(state)/(a.classes+1)]
	after := rune(-1)
	if class < a.classes {
		after = a.sample[class]
	}
	looks := syntax.EmptyOpContext([...]rune{' ', -1, '\n', 'a'}[from[0]], after)
	to, matched := int32(stateDead), d.follow(from[1:], looks, after)
	switch {
	case matched:
		to = stateMatch
	case after < 0:
	case len(d.set) > 0 || !a.anchored:
		if !a.anchored {
			d.set = append(d.set, uint32(a.prog.Start))
		}
		slices.Sort(d.set)
		d.key = append(d.key[:0], a.context(after))
		for _, pc := range slices.Compact(d.set) {
			d.key = binary.LittleEndian.AppendUint32(d.key, pc)
		}
		var known bool
		if to, known = d.ids[string(d.key)]; known {
			break
		}
		if d.size+4*(a.classes+1)+len(d.key)+64 > maxDFA {
			if d.fresh-left < minUse*len(d.sets) {
				d.begin(0)
				d.rest = restDFA
				return 0, false
			}
			d.begin(left)
			return d.state(string(d.key)), true
		}
		to = d.state(string(d.key))
	}
	d.next[int(state)+class] = to
	return to, true
}

// follow follows the threads of a set up to where they take a character, and puts
// where they stand after it into d.set. It reports whether one of them is at its
// end. A negative character is the end of the text.
func (d *dfa) follow(set string, looks syntax.EmptyOp, r rune) bool {
	if d.epoch++; d.epoch == 0 {
		d.epoch = 1
		clear(d.seen)
	}
	d.set, d.stack = d.set[:0], d.stack[:0]
	for ; set != ""; set = set[4:] {
		d.stack = append(d.stack, uint32(set[0])|uint32(set[1])<<8|uint32(set[2])<<16|uint32(set[3])<<24)
	}
	for len(d.stack) > 0 {
		pc := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		if d.seen[pc] == d.epoch {
			continue
		}
		d.seen[pc] = d.epoch
		in := &d.auto.prog.Inst[pc]
		switch in.Op {
		case syntax.InstMatch:
			return true
		case syntax.InstAlt, syntax.InstAltMatch:
			d.stack = append(d.stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			d.stack = append(d.stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^looks == 0 {
				d.stack = append(d.stack, in.Out)
			}
		default:
			if r >= 0 && takes(in, r) {
				d.set = append(d.set, in.Out)
			}
		}
	}
	return false
}

// dfas are those of a Matcher.
type dfas struct {
	of   map[*regex]*asked
	size int // bytes, about
}

// asked is how far an expression has come to a dfa.
type asked struct {
	dfa   *dfa
	bytes int // of texts that it was asked about, until it has a dfa
}

// All dfas of a Matcher hold up to maxDFAs bytes; then they are begun again. An
// expression that was asked about less than worthDFA bytes has none yet.
const (
	maxDFAs  = 1 << 24
	worthDFA = 1 << 11
)

// match reports whether the expression matches somewhere in the text.
func (ds *dfas) match(r *regex, text string) bool {
	x := ds.of[r]
	if x == nil {
		if ds.of == nil || ds.size > maxDFAs {
			*ds = dfas{of: map[*regex]*asked{}}
		}
		x = &asked{}
		ds.of[r] = x
		ds.size += 64
	}
	if x.dfa == nil {
		if x.bytes = min(x.bytes+len(text), worthDFA); x.bytes < worthDFA {
			return r.MatchString(text)
		}
		a := r.automaton()
		if a == nil {
			return r.MatchString(text)
		}
		x.dfa = newDFA(a)
		ds.size += x.dfa.bytes()
	}
	before := x.dfa.size
	matched, ok := x.dfa.match(text)
	ds.size += x.dfa.size - before
	if !ok {
		return r.MatchString(text)
	}
	return matched
}
