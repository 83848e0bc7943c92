package sigma

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// plainSearch is what literals.search means.
func plainSearch(lits []literal, text string) []int32 {
	var out []int32
	for _, l := range lits {
		var held bool
		switch l.shape {
		case shapeExact:
			held = text == l.text
		case shapePrefix:
			held = strings.HasPrefix(text, l.text)
		case shapeSuffix:
			held = strings.HasSuffix(text, l.text)
		default:
			held = strings.Contains(text, l.text)
		}
		if held {
			out = append(out, l.pred)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func searchAll(x *literals, preds int, text string) []int32 {
	seen := stamps{at: make([]uint32, preds)}
	seen.clear()
	out := x.search([]byte(text+gramPadding), len(text), &seen, nil)
	slices.Sort(out)
	return out
}

// Literals of all lengths and shapes, few or many, are found wherever they stand:
// from so few letters that many share grams and overlap.
func TestLiterals(t *testing.T) {
	for seed := range uint64(300) {
		g := rand.New(rand.NewPCG(seed, 7))
		letters := []string{"ab", "abc\\", "aé\u212a\xff", "0123456789abcdef"}[seed%4]
		word := func(most int) string {
			var b strings.Builder
			for range g.IntN(most + 1) {
				i := g.IntN(len(letters))
				b.WriteByte(letters[i])
			}
			return b.String()
		}
		var lits []literal
		least := []int{0, 1, 4, 8}[seed/4%4] // so that steps of several sizes occur
		for i := range 1 + g.IntN([]int{3, 30, 300}[seed%3]) {
			l := literal{pred: int32(i), shape: []shape{shapeExact, shapePrefix, shapeSuffix, shapeContains, shapeContains}[g.IntN(5)]}
			if l.text = word(12); l.shape == shapeContains {
				for len(l.text) < max(1, least) {
					l.text += letters[:1]
				}
			}
			if l.text == "" && l.shape != shapeExact {
				continue
			}
			lits = append(lits, l)
		}
		x := newLiterals(lits)
		if x == nil {
			continue
		}
		for range 40 {
			text := word(6)
			if i := g.IntN(len(lits)); g.IntN(3) > 0 {
				text += lits[i].text
			}
			if g.IntN(2) == 0 {
				text += word(9)
			}
			if got, want := searchAll(x, 300, text), plainSearch(lits, text); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q: found %v, want %v", seed, text, got, want)
			}
		}
	}
}

func FuzzLiterals(f *testing.F) {
	f.Add("needle\nneed\nlength\n\nx", "a needle in text", uint8(3))
	f.Add("aaaa\naaa\naa\na", "aaaaaaaaaaaaaaa", uint8(2))
	f.Add("a\na\na\n\na", "A000000000000", uint8('-'))
	f.Add(`\system32\`+"\n"+`\cmd.exe`, `c:\windows\system32\cmd.exe`, uint8(7))
	f.Fuzz(func(t *testing.T, words, text string, shapes uint8) {
		var lits []literal
		for i, w := range strings.Split(fold(words), "\n") { // as the planner gives them
			l := literal{text: w, pred: int32(i), shape: [...]shape{shapeExact, shapePrefix, shapeSuffix, shapeContains}[(int(shapes)+i)%4]}
			if w != "" || l.shape == shapeExact {
				lits = append(lits, l)
			}
		}
		x := newLiterals(lits)
		if x == nil {
			return
		}
		folded := fold(text)
		if !isASCII(text) { // the search ignores the case of ASCII by itself
			text = folded
		}
		if got, want := searchAll(x, len(lits)+strings.Count(words, "\n")+1, text), plainSearch(lits, folded); !slices.Equal(got, want) {
			t.Fatalf("%q in %q: found %v, want %v", words, text, got, want)
		}
	})
}

// What a text can cost is counted in steps: places looked at, and literals compared
// there. Of all public rules no field takes more than fifty steps for a byte, even
// of the texts that are made to cost most: the field's own literals again and again.
func TestSearchTakesFewSteps(t *testing.T) {
	_, rules, _ := parseAll(t, dataDir(t, "sigma_rules"))
	set, _ := Compile(rules)
	const bound, size = 50, 1 << 10
	steps := func(x *literals, text string) int {
		n := 0
		padded := []byte(text + gramPadding)
		for _, g := range x.inner {
			for at := 0; at+g.size <= len(text); at += g.step {
				n++
				bit := g.bit((binary.LittleEndian.Uint64(padded[at:]) | anyCase) & g.mask)
				if g.filter[bit/64]&(1<<(bit%64)) != 0 {
					n += int(g.first[bit>>g.coarse+1] - g.first[bit>>g.coarse])
				}
			}
		}
		return n
	}
	worst, anchors, total := 0, 0, 0
	for _, p := range set.plans {
		for _, f := range p.fields {
			for _, x := range [...]*literals{f.lits, f.alien} {
				if x == nil {
					continue
				}
				total += len(x.all)
				for _, g := range slices.Concat(x.head, x.tail, x.inner) {
					anchors += len(g.anchor)
				}
				for _, l := range x.all {
					if l.text == "" {
						continue
					}
					n := steps(x, strings.Repeat(l.text, size/len(l.text)+1)[:size])
					if worst = max(worst, n); n > bound*size {
						t.Errorf("%s: %q takes %d steps for %d bytes", set.fields[f.slot], l.text, n, size)
					}
				}
			}
		}
	}
	if anchors > (long-longGram+1)*total {
		t.Errorf("%d grams of %d literals", anchors, total)
	}
	t.Logf("%d grams of %d literals; the worst text takes %.1f steps a byte", anchors, total, float64(worst)/size)
}
