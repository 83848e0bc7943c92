package sigma

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAlternatives(t *testing.T) {
	for _, c := range []struct{ name, detection, want string }{
		{"all fields of a map", "s: {A: x, B|contains: y}\ncondition: s", "A=x B~y"},
		{"any of a list", "s:\n- {A: x, B: 1}\n- {A: y, C: 2}\ncondition: s", "A=x B=1 | A=y C=2"},
		{"several values are one", "s: {EventID: [1, 0x2, '3']}\ncondition: s", "EventID=1,2,3"},
		{"a pattern among them", "s: {A: [x, 'y*']}\ncondition: s", "A~x,y"},
		{"the longest part of a pattern", "s: {A: 'a*bcd*e'}\ncondition: s", "A~bcd"},
		{"each with each", "s: [{A: x}, {B: y}]\nt: [{C: 1}, {D: 2}]\ncondition: s and t", "A=x C=1 | A=x D=2 | B=y C=1 | B=y D=2"},
		{"not says nothing", "s: {A: x}\nf: {B: y}\ncondition: s and not f", "A=x"},
		{"one says nothing", "s: {A: x}\nf: {B|re: 'y.'}\ncondition: s or f", "A=x | "},
		{"any value", "s: {A: '*', B: y}\ncondition: s", "B=y"},
		{"one of several", "s_a: {A: x}\ns_b: {B: y}\ncondition: 1 of s_*", "A=x | B=y"},
		{"all of several", "s_a: {A: x}\ns_b: {B: y}\ncondition: all of s_*", "A=x B=y"},
		{"two of three", "s_a: {A: x}\ns_b: {A: y}\ns_c: {B: z}\ncondition: 2 of s_*", ""},
		{"keywords", "s: [x, y]\ncondition: s", " | "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range needRule(t, c.detection).Alternatives() {
				var says []string
				for _, s := range a {
					is := map[bool]string{true: "=", false: "~"}[s.Exact]
					says = append(says, s.Field+is+strings.Join(s.Texts, ","))
				}
				got = append(got, strings.Join(says, " "))
			}
			if g := strings.Join(got, " | "); g != c.want {
				t.Errorf("%q, want %q", g, c.want)
			}
		})
	}
}

// A rule of very many alternatives is told of by few.
func TestAlternativesAreBounded(t *testing.T) {
	var b strings.Builder
	var names []string
	for i := range 12 {
		fmt.Fprintf(&b, "s%d: [{A%d: x}, {B%d: y}]\n", i, i, i)
		names = append(names, fmt.Sprintf("s%d", i))
	}
	r := needRule(t, b.String()+"condition: "+strings.Join(names, " and "))
	if got := r.Alternatives(); len(got) != maxAlternatives || len(got[0]) != 6 {
		t.Errorf("%d alternatives, the first of %d fields", len(got), len(got[0]))
	}
	var wide strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&wide, "  A%d: x\n", i)
	}
	if got := needRule(t, "s:\n"+wide.String()+"condition: s").Alternatives(); len(got) != 1 || len(got[0]) != maxSelectors {
		t.Errorf("%d alternatives, the first of %d fields", len(got), len(got[0]))
	}
	r = needRule(t, b.String()+"condition: "+strings.Join(names, " or "))
	if got := r.Alternatives(); len(got) != 24 {
		t.Errorf("%d alternatives", len(got))
	}
}

// describes reports whether an event holds what an alternative says of it.
func describes(says []Selector, event []Field) bool {
	for _, s := range says {
		held := false
		for _, f := range event {
			for _, text := range s.Texts {
				has := fold(f.Text)
				var buf [maxNumberLen]byte
				num, isNum := appendNumber(buf[:0], f.Text)
				held = held || f.Name == s.Field && (has == fold(text) || !s.Exact && strings.Contains(has, fold(text)) || isNum && string(num) == text)
			}
		}
		if !held {
			return false
		}
	}
	return true
}

// An event that a rule matches is described by one of its alternatives.
func checkAlternatives(t *testing.T, seed uint64) (matches, telling int) {
	g := generator{rand.New(rand.NewPCG(seed, 2))}
	var rules []*Rule
	for range 12 {
		rs, err := Parse("r.yml", []byte(g.rule()))
		if err == nil {
			rules = append(rules, rs...)
		}
	}
	set, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		event := g.event()
		for i, r := range set.Rules() {
			if held, _ := set.Explain(i, event); !held {
				continue
			}
			matches++
			all := r.Alternatives()
			if !slices.ContainsFunc(all, func(a []Selector) bool { return len(a) == 0 }) {
				telling++
			}
			if !slices.ContainsFunc(all, func(a []Selector) bool { return describes(a, event) }) {
				t.Fatalf("seed %d: %v matches %q, which none of %v describes", seed, r.Conditions, event, all)
			}
		}
	}
	return matches, telling
}

func TestAlternativesDescribeMatches(t *testing.T) {
	matches, telling := 0, 0
	for seed := range uint64(100) {
		m, n := checkAlternatives(t, seed)
		matches, telling = matches+m, telling+n
	}
	if matches < 1000 || telling < 50 {
		t.Errorf("%d matches, of %d of which each alternative says something: too few to show anything", matches, telling)
	}
}

func FuzzAlternatives(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkAlternatives(t, seed) })
}
