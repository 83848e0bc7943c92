package pack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/catena-sec/catena/sigma"
)

// opened returns the packs of folders with such files.
func opened(t testing.TB, folders ...map[string]string) []*Pack {
	t.Helper()
	var out []*Pack
	for _, files := range folders {
		p, err := Open(folder(t, files))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func load(t testing.TB, packs []*Pack, o Options) (*Set, []Problem) {
	t.Helper()
	set, problems, err := Load(packs, o)
	if err != nil {
		t.Fatal(err)
	}
	return set, problems
}

// inUse are the titles of the rules of a set, those that only serve correlations in
// parentheses.
func inUse(s *Set) string {
	var out []string
	for i, r := range s.Rules.Rules() {
		title := r.Title
		if !s.Rules.Generates(i) {
			title = "(" + title + ")"
		}
		out = append(out, title)
	}
	return strings.Join(out, ", ")
}

// Of two rules with one id the one given later is used, and it is said.
func TestLaterWins(t *testing.T) {
	changed := strings.Replace(rule(1, "linux"), "title: Rule 1", "title: Rule 1 changed", 1)
	packs := opened(t, map[string]string{"a.yml": rule(1, "linux"), "b.yml": rule(2, "linux")}, map[string]string{"c.yml": changed})
	set, problems := load(t, packs, Options{})
	if inUse(set) != "Rule 2, Rule 1 changed" || len(problems) > 0 || set.Pack(set.Rules.Rules()[1]) != packs[1] {
		t.Errorf("%s, problems %v", inUse(set), problems)
	}
	if n := set.Notes(); len(n) != 1 || !strings.HasPrefix(n[0], "Of pack ") || !strings.Contains(n[0], " 1 rule is not used, as pack ") || !strings.Contains(n[0], "c.yml") {
		t.Errorf("notes %q", n)
	}
	if r := set.Replaced(); len(r) != 1 || filepath.Base(r[0].File) != "a.yml" || r[0].Line != 1 {
		t.Errorf("replaced %v", r)
	}
	slices.Reverse(packs)
	if set, _ = load(t, packs, Options{}); inUse(set) != "Rule 1, Rule 2" {
		t.Errorf("the other way round: %s", inUse(set))
	}
	set, problems = load(t, opened(t, map[string]string{"a.yml": rule(1, "linux"), "b.yml": changed}), Options{})
	if inUse(set) != "Rule 1" || len(problems) != 1 || filepath.Base(problems[0].File) != "b.yml" || !strings.Contains(problems[0].Reason, "already taken by") {
		t.Errorf("in one pack: %s, %v", inUse(set), problems)
	}
}

// A pack of a name that is there already takes the place of the other as a whole.
func TestUpdateOfPack(t *testing.T) {
	next := strings.Replace(manifest, "1.2.0", "1.3.0", 1)
	packs := opened(t, map[string]string{ManifestFile: manifest, "a.yml": rule(1, "linux"), "b.yml": rule(2, "linux")}, map[string]string{"x.yml": rule(9, "linux")},
		map[string]string{ManifestFile: next, "a.yml": rule(1, "linux")})
	set, _ := load(t, packs, Options{})
	if inUse(set) != "Rule 9, Rule 1" || len(set.Packs) != 2 || len(set.Notes()) != 1 || !strings.HasPrefix(set.Notes()[0], "Pack acme 1.2.0 (") || len(set.Replaced()) > 0 {
		t.Errorf("%s, notes %q", inUse(set), set.Notes())
	}
}

// pair is a correlation of rules 1 and 2, and a filter of rule 3.
const pair = `title: Pair
id: 99999999-0000-4000-8000-000000000000
level: high
correlation: {type: temporal, rules: [00000001-0000-4000-8000-000000000000, 00000002-0000-4000-8000-000000000000], timespan: 1m}
---
title: Not mine
id: 88888888-0000-4000-8000-000000000000
logsource: {product: linux}
filter: {rules: [00000003-0000-4000-8000-000000000000], s: {y: 1}, condition: not s}
`

func TestDisable(t *testing.T) {
	files := map[string]string{ManifestFile: manifest, "1.yml": rule(1, "linux"), "2.yml": rule(2, "windows"), "3.yml": rule(3, "linux"), "pair.yml": pair,
		"4.yml": strings.Replace(strings.Replace(rule(4, "linux"), "level: low\n", "", 1), "attack.t1110.003", "attack.defense-evasion, attack.t1562.001", 1)}
	other := map[string]string{"5.yml": rule(5, "linux")}
	for _, c := range []struct{ disable, use, off, unused string }{
		{"", "(Rule 1), (Rule 2), Rule 3, Rule 4, Pair, Rule 5", "", ""},
		{"rule=00000003-0000-4000-8000-000000000000", "(Rule 1), (Rule 2), Rule 4, Pair, Rule 5", "Rule 3", ""},
		{"rule=Rule 3", "(Rule 1), (Rule 2), Rule 4, Pair, Rule 5", "Rule 3", ""},
		{"rule=00000001-0000-4000-8000-000000000000", "(Rule 1), (Rule 2), Rule 3, Rule 4, Pair, Rule 5", "Rule 1 step", ""},
		{"rule=Pair", "Rule 3, Rule 4, Rule 5", "Pair", ""},
		{"level=LOW", "(Rule 1), (Rule 2), Rule 4, Pair", "Rule 1 step; Rule 2 step; Rule 3; Rule 5", ""},
		{"level=medium", "(Rule 1), (Rule 2), Rule 3, Pair, Rule 5", "Rule 4", ""},
		{"tag=attack.t1110", "(Rule 1), (Rule 2), Rule 4, Pair", "Rule 1 step; Rule 2 step; Rule 3; Rule 5", ""},
		{"tag=T1110.001", "(Rule 1), (Rule 2), Rule 3, Rule 4, Pair, Rule 5", "", "tag=T1110.001"},
		{"tag=defense-impairment", "(Rule 1), (Rule 2), Rule 3, Pair, Rule 5", "Rule 4", ""},
		{"product=Linux", "(Rule 1), (Rule 2), Pair", "Rule 1 step; Rule 3; Rule 4; Rule 5", ""},
		{"product=linux product=windows", "(Rule 1), (Rule 2), Pair", "Rule 1 step; Rule 2 step; Rule 3; Rule 4; Rule 5", ""},
		{"pack=acme", "Rule 5", "Not mine; Rule 1; Rule 2; Rule 3; Rule 4; Pair", ""},
		{"rule=88888888-0000-4000-8000-000000000000", "(Rule 1), (Rule 2), Rule 3, Rule 4, Pair, Rule 5", "Not mine", ""},
		{"level=low level=critical", "(Rule 1), (Rule 2), Rule 4, Pair", "Rule 1 step; Rule 2 step; Rule 3; Rule 5", "level=critical"},
	} {
		var o Options
		for _, text := range selectorsIn(c.disable) {
			s, err := ParseSelector(text)
			if err != nil {
				t.Fatal(err)
			}
			o.Disable = append(o.Disable, s)
		}
		set, problems := load(t, opened(t, files, other), o)
		var off, unused []string
		for _, x := range set.Off() {
			text := x.Rule.Title
			if x.Step {
				text += " step"
			}
			off = append(off, text)
		}
		for _, s := range set.Unused() {
			unused = append(unused, s.String())
		}
		if inUse(set) != c.use || strings.Join(off, "; ") != c.off || strings.Join(unused, " ") != c.unused || len(problems) > 0 {
			t.Errorf("%s:\n%s\noff %q, unused %q, problems %v", c.disable, inUse(set), off, unused, problems)
		}
		if (len(off) > 0) != (len(set.Notes()) == 1 && strings.HasPrefix(set.Notes()[0], "Switched off: ")) {
			t.Errorf("%s: notes %q", c.disable, set.Notes())
		}
	}
}

// selectorsIn cuts before each key, as values hold blanks.
func selectorsIn(s string) []string {
	var out []string
	for word := range strings.FieldsSeq(s) {
		if strings.Contains(word, "=") {
			out = append(out, word)
		} else {
			out[len(out)-1] += " " + word
		}
	}
	return out
}

// A correlation is of a product if all of its rules are.
func TestDisableCorrelationByProduct(t *testing.T) {
	files := map[string]string{"1.yml": rule(1, "linux"), "2.yml": rule(2, "linux"), "3.yml": rule(3, "linux"), "pair.yml": pair}
	set, _ := load(t, opened(t, files), Options{Disable: []Selector{{"product", "linux"}}})
	if inUse(set) != "" || len(set.Off()) != 4 {
		t.Errorf("%s, off %v", inUse(set), set.Off())
	}
}

func TestSelectorErrors(t *testing.T) {
	for _, c := range [][2]string{{"low", "want one of rule=, tag="}, {"rule=", "want one of"}, {"colour=green", "want one of"}, {"level=bad", "level=informational, low"}} {
		if _, err := ParseSelector(c[0]); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
}

// The number of goroutines changes nothing.
func TestLoadIsDeterministic(t *testing.T) {
	files := map[string]string{"pair.yml": pair, "bad.yml": "title: [\n", "bad2.yml": "title: x\n"}
	for i := range 60 {
		files[fmt.Sprintf("%d/%02d.yml", i%7, i)] = rule(i%50, "linux")
	}
	packs := opened(t, files)
	want := ""
	for _, n := range []int{1, 2, 7, 1, 7} {
		set, problems := load(t, packs, Options{Workers: n, Disable: []Selector{{"level", "low"}}})
		got := fmt.Sprint(inUse(set), problems, set.Notes())
		for _, o := range set.Off() {
			got += o.Rule.File
		}
		if want == "" {
			want = got
		}
		if got != want || len(problems) != 12 {
			t.Errorf("with %d goroutines:\n%s\nand not\n%s", n, got, want)
		}
	}
}

// A pack that must not be used, and with Strict one with a bad rule, is an error
// that names file and cause: whoever swaps sets keeps the one he has.
func TestBadPackChangesNothing(t *testing.T) {
	dir := acme(t)
	good, err := read("acme-1.zip", packed(t, dir, "acme-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	var current atomic.Pointer[Set]
	set, _ := load(t, []*Pack{good}, Options{Engine: "1.0.0", Strict: true})
	current.Store(set)
	// update is what a server does.
	update := func(src []byte) error {
		p, err := read("acme-2.zip", src)
		if err != nil {
			return err
		}
		next, _, err := Load([]*Pack{p}, Options{Engine: "1.0.0", Strict: true})
		if err != nil {
			return err
		}
		current.Store(next)
		return nil
	}
	whole := packed(t, dir, "acme-2.zip")
	flipped := slices.Clone(whole)
	flipped[len(flipped)/3] ^= 0x40
	change := func(file, src string) []byte {
		d := acme(t)
		if err := os.WriteFile(filepath.Join(d, file), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		return packed(t, d, "acme-2.zip")
	}
	stale := zipWith(t, whole, "two.yaml", rule(7, "windows"))
	for _, c := range []struct {
		name string
		src  []byte
		want string
	}{
		{"cut short", whole[:len(whole)/2], "acme-2.zip: the archive cannot be used"},
		{"a bit flipped", flipped, "acme-2.zip"},
		{"hash differs", stale, "acme-2.zip!two.yaml: was changed after the pack was made"},
		{"bad YAML of a rule", change("two.yaml", "title: [\n"), "acme-2.zip!two.yaml:"},
		{"bad condition", change("two.yaml", strings.Replace(rule(2, "windows"), "condition: s", "condition: s and", 1)), "acme-2.zip!two.yaml:6: condition"},
		{"too new", change(ManifestFile, strings.Replace(manifest, "0.1.0", "2.0.0", 1)), "is for Catena 2.0.0 or newer, and this is 1.0.0"},
		{"bad YAML of the manifest", zipWith(t, whole, ManifestFile, "name: [\n"), "acme-2.zip!pack.yml: "},
	} {
		if err := update(c.src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if current.Load() != set {
			t.Fatalf("%s: the set in use has changed", c.name)
		}
	}
	if err := update(whole); err != nil || current.Load() == set {
		t.Errorf("a good pack is not taken: %v", err)
	}
}

// zipWith returns the zip with another content for one of its members, and the
// hashes as they were.
func zipWith(t *testing.T, src []byte, name, content string) []byte {
	t.Helper()
	p, err := read("z", src)
	if err != nil {
		t.Fatal(err)
	}
	var all []member
	for _, f := range p.files {
		text, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, member{f.path, text})
	}
	all = append(all, member{ManifestFile, []byte(manifest)}, member{"README.md", []byte("# acme\n")})
	slices.SortFunc(all, func(a, b member) int { return comparePaths(a.path, b.path) })
	all = append(all, member{SumsFile, sumsOf(all)})
	for i := range all {
		if all[i].path == name {
			all[i].src = []byte(content)
		}
	}
	var b strings.Builder
	if err := putZip(&b, all); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// Sets are swapped while others match with them: each matcher answers as the set
// that it was made of. The race detector watches.
func TestSwapWhileMatching(t *testing.T) {
	sets := make([]*Set, 2)
	for i := range sets {
		sets[i], _ = load(t, opened(t, map[string]string{"a.yml": rule(1, "linux"), "b.yml": strings.Replace(rule(2, "linux"), "x: 2", fmt.Sprintf("x: %d", 1+i), 1)}), Options{})
	}
	var current atomic.Pointer[Set]
	current.Store(sets[0])
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				current.Store(sets[i%2])
				runtime.Gosched()
			}
		}
	})
	var readers sync.WaitGroup
	for seed := range uint64(4) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for range 300 {
				s := current.Load()
				m := s.Rules.NewMatcher()
				m.Reset()
				x := 1 + r.IntN(2)
				m.Add(slices.Index(s.Rules.Fields(), "x"), sigma.Number, fmt.Sprint(x))
				got := len(m.Match(sigma.LogSource{Product: "linux"}))
				want := 1 // of the second set, whose rules want 1 and 2
				if s == sets[0] {
					want = 2 * (2 - x) // both want 1
				}
				if got != want {
					t.Errorf("x %d: %d matches, want %d", x, got, want)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	wg.Wait()
}
