package sigma

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataDir returns a folder of the data pack, and skips the test if it is absent.
func dataDir(tb testing.TB, sub string) string {
	tb.Helper()
	root := os.Getenv("CATENA_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	dir := filepath.Join(root, sub)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("the data pack has no %s here: set CATENA_DATA to its folder", sub)
	}
	return dir
}

// ruleFiles returns the text of every rule file below a folder, by path.
func ruleFiles(tb testing.TB, dir string) (paths []string, texts [][]byte) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".yml") {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		paths, texts = append(paths, rel), append(texts, text)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return paths, texts
}

func loadCorpus(tb testing.TB) *Set {
	tb.Helper()
	paths, texts := ruleFiles(tb, dataDir(tb, "sigma_rules"))
	var rules []*Rule
	for i, p := range paths {
		rs, err := Parse(p, texts[i])
		if err != nil {
			tb.Log(err)
		}
		rules = append(rules, rs...)
	}
	set, err := Compile(rules)
	for _, e := range Errors(err) {
		tb.Log(e)
	}
	return set
}
