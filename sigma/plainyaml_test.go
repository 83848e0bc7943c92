package sigma

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// sameNode tells how two nodes differ in what rules are made of, "" if they do not.
func sameNode(a, b *yaml.Node) string {
	if a == nil || b == nil {
		if a != b {
			return "one document is empty"
		}
		return ""
	}
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Line != b.Line || a.Column != b.Column || a.Style != b.Style ||
		a.Anchor != b.Anchor || (a.Alias == nil) != (b.Alias == nil) || len(a.Content) != len(b.Content) {
		return fmt.Sprintf("kind %d tag %s value %q at %d:%d style %d with %d, kind %d tag %s value %q at %d:%d style %d with %d",
			a.Kind, a.Tag, a.Value, a.Line, a.Column, a.Style, len(a.Content), b.Kind, b.Tag, b.Value, b.Line, b.Column, b.Style, len(b.Content))
	}
	for i := range a.Content {
		if diff := sameNode(a.Content[i], b.Content[i]); diff != "" {
			return diff
		}
	}
	return ""
}

// plainRule has only what parsePlainYAML reads.
const plainRule = `title: Example
id: 11111111-2222-3333-4444-555555555555
status: test
description: |
  Several lines,
    as they stand.

  The last one.
tags:
  - attack.t1059   # a comment
logsource:
    product: windows
    category: 'process_creation'
detection:
    sel:
        - Image|endswith:
              - '\cmd.exe'
              - "it's"
          EventID: 4688
        - User: null
    condition: sel
level: high
`

// comparePlain compares what parsePlainYAML makes of a document, if anything, with
// what the library does. It reports whether there was something.
func comparePlain(t *testing.T, src []byte) bool {
	t.Helper()
	got, ok := parsePlainYAML(src)
	if !ok {
		return false
	}
	want, err := parseLibraryYAML(src)
	if err != nil {
		t.Fatalf("the library says %v of %q", err, src)
	}
	if diff := sameNode(got, want); diff != "" {
		t.Fatalf("%s: %q", diff, src)
	}
	return true
}

func TestPlainYAML(t *testing.T) {
	for i, src := range []string{
		plainRule,
		"a: b\n", "---\na: b\n", "a:\n  b: c\n  d:\n    - e\n    - f: 'it''s'\n      g: \"h\"\nz: 1\n",
		"a:\n- b\n- c\nd: e # why\n", "- a\n- b: c\n- d\n", "'a': 'b' # c\n\"d\":\n  - \"e\"\n", "é: ü\na: b:c#d -e\n",
		"a: |\n  text\n   more\n\n  # not a comment\n\nb: |-\n  x\n\n\n# end\nc: 0x10\nd: null\ne: 1e3\nf: yes\ng: 2001-01-01\nh: -1\ni: -x\n",
		"a:\n  - b: |\n      text\n    c: d\n", "# first\n\n# then\na: b\n", "a.b|c|d: e\n", "a:\n    b: c\n# x\n    d: e\n",
		"a: [b]\n", "a: []\n", "a: [ ]  # b\n", "a: [b, 'c, ]', \"d\" , e f ] # g\nh:\n  i: [1, null, 0x1f, 'it''s', \\j\\]\n",
	} {
		if !comparePlain(t, []byte(src)) {
			t.Errorf("%d is not read: %q", i, src)
		}
	}
	for i, src := range []string{
		"", "a: b", "a: {b: c}\n", "a: [b\n  ,c]\n", "a: [b,]\n", "a: [,b]\n", "a: [[b]]\n", "a: [b: c]\n", "a: ['b': c]\n", "a: [b] c\n", "a: [b]#c\n", "a: [b #c]\n", "a: [-b]\n", "a: ['b' c]\n", "a: [b\n", "a: >\n  b\n", "a: b\n  c\n", "a: 'b\n  c'\n", "a: \"\\n\"\n", "a: &x b\n", "a: *x\n", "a: !!str b\n",
		"a:\n", "a:\nb: c\n", "a: b\n...\n", "a:\tb\n", "a: b\r\n", "- - a\n", "-\n  a\n", "? a\n", "<<: b\n", "a: b: c\n", "a:\n  b\n", "a:\n   b: c\n  d: e\n",
		"a: b\u2028\n", "a: b\u0085\n", "%YAML 1.1\n", "a: |2\n   b\n", "a: |\n\n  b\n", "a: |\n  b\n c\n", "a: - b\n", "a\n", "a: @b\n", "a: `b\n", " a: b\nc: d\n", "a: 'b' c\n", "a: 'b'#c\n",
	} {
		if _, ok := parsePlainYAML([]byte(src)); ok {
			t.Errorf("%d is read, but it is not plain: %q", i, src)
		}
	}
}

// Nearly all rules, ours and the public ones, are read so, and as the library reads them.
func TestPublicRulesArePlainYAML(t *testing.T) {
	for _, dir := range []string{filepath.Join("..", "rules"), dataDir(t, "sigma_rules")} {
		files, plain := 0, 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".yml") || strings.HasSuffix(path, ".test.yml") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all := true
			for _, c := range splitDocuments(src) {
				all = comparePlain(t, c.src) && all
			}
			files++
			if all {
				plain++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if plain*100 < files*95 {
			t.Errorf("%s: of %d files only %d are read without the library", dir, files, plain)
		}
		t.Logf("%s: %d files, %d read without the library", dir, files, plain)
	}
}

func FuzzPlainYAML(f *testing.F) {
	f.Add([]byte("a:\n  - b: |\n      text\n    c: 'd''e' # f\n  - g\n"))
	f.Add([]byte("---\na:\n- b\n- c: \"d\"\nd: -e:f\n# g\nh: |-\n  i\n\n   j\n"))
	f.Add([]byte("a: [b, 'c', \"d\" ] # e\nf: []\n"))
	f.Add([]byte("é: 0x1f\n'k' : 1_000\nl: ~\n"))
	f.Fuzz(func(t *testing.T, src []byte) { comparePlain(t, src) })
}

// Documents that are almost plain, broken in a few places, are read as the library
// reads them or left to it.
func TestPlainYAMLBroken(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	bases := []string{
		plainRule,
		"a:\n  - b: |\n      text\n      more\n    c: 'd''e' # f\n  - g\nh:\n- i\n- \"j\"\nk: 1.5\n",
		"a: [b, 'c' , \"d\"] # e\nf:\n  g|h: [i j, 1,k]\n",
		"---\na: |-\n  b\n\n  c\nd:\n    e|f:\n        - ' g'\n        - h\n    i: j\n# k\nl: m\n",
	}
	pieces := []string{": ", ":", "- ", "-", "#", " #", "'", "''", "\"", "|", "|-", ">", "\n", "\n\n", "\n  ", "\n    ", " ", "  ", "a", "~", "\\", "[", "]", "[]", "{", "&a ", "*a", "!", "?", "? ", "%", "---\n", "...\n", "é", "\u00a0", "\u3000", ",", "0x", "<<"}
	read := 0
	const rounds = 60_000
	for range rounds {
		src := bases[g.IntN(len(bases))]
		for range 1 + g.IntN(3) {
			at := g.IntN(len(src) + 1)
			end := min(at+g.IntN(4), len(src))
			src = src[:at] + pieces[g.IntN(len(pieces))] + src[end:]
		}
		if comparePlain(t, []byte(src)) {
			read++
		}
	}
	if read < rounds/10 {
		t.Errorf("only %d of %d documents are read", read, rounds)
	}
	t.Logf("%d of %d documents are read without the library", read, rounds)
}
