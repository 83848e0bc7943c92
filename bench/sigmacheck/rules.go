package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/catena-sec/catena/internal/detect"
	"github.com/catena-sec/catena/internal/model"
	"github.com/catena-sec/catena/sigma"
)

// A rule is one Windows detection rule that Catena accepts, with its source, from
// which the other engines make theirs.
type rule struct {
	file string // below the folder of rules
	src  []byte
	ours *sigma.Rule
}

// A pack is the rules of one run, compiled by Catena, and which of them look at
// what: the routing that all engines are given.
type pack struct {
	files            int // of all products
	refused          []error
	parse, compiling time.Duration // of all files

	rules  []rule
	set    *sigma.Set
	engine *detect.Engine
	routes map[sigma.LogSource][]int
}

// loadRules reads the rules below dir and keeps those of Windows. Files of several
// documents, which no other engine here reads, are left to the tests of package
// sigma.
func loadRules(dir string, names *model.Names) (*pack, error) {
	p := &pack{routes: map[sigma.LogSource][]int{}}
	var files []rule
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yml" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(dir, path)
		files = append(files, rule{file: file, src: src})
		return err
	})
	if err != nil {
		return nil, err
	}
	p.files = len(files)
	p.parse, p.compiling = loadTime(files)
	for _, f := range files {
		rs, err := sigma.Parse(f.file, f.src)
		if err == nil {
			_, err = sigma.Compile(rs)
		}
		if err != nil {
			p.refused = append(p.refused, err)
			continue
		}
		if len(rs) == 1 && rs[0].Correlation == nil && rs[0].Filter == nil && strings.EqualFold(rs[0].LogSource.Product, "windows") {
			f.ours = rs[0]
			p.rules = append(p.rules, f)
		}
	}
	if len(p.rules) == 0 {
		return nil, fmt.Errorf("no Windows rules below %s", dir)
	}
	p.compile(names)
	return p, nil
}

// loadTime is how long Catena takes to make a plan of all rules, once they are
// read: to parse them, on all cores, and to compile them.
func loadTime(files []rule) (parse, compile time.Duration) {
	begin := time.Now()
	parsed := make([][]*sigma.Rule, len(files))
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for w := range n {
		wg.Go(func() {
			for i := w; i < len(files); i += n {
				parsed[i], _ = sigma.Parse(files[i].file, files[i].src) // refusals are told by loadRules
			}
		})
	}
	wg.Wait()
	parse = time.Since(begin)
	begin = time.Now()
	_, _ = sigma.Compile(slices.Concat(parsed...))
	return parse, time.Since(begin)
}

func (p *pack) compile(names *model.Names) {
	var list []*sigma.Rule
	for _, r := range p.rules {
		list = append(list, r.ours)
	}
	p.set, _ = sigma.Compile(list) // each compiled alone before
	p.engine = detect.New(names, p.set, func(*sigma.Rule) bool { return false })
}

// every returns a pack of every nth rule.
func (p *pack) every(n int, names *model.Names) *pack {
	q := &pack{routes: map[sigma.LogSource][]int{}}
	for i := 0; i < len(p.rules); i += n {
		q.rules = append(q.rules, p.rules[i])
	}
	q.compile(names)
	return q
}

// route returns the places of the rules that look at events of a log source. It
// is not safe for concurrent use before it has seen every log source.
func (p *pack) route(src sigma.LogSource) []int {
	list, ok := p.routes[src]
	if !ok {
		for i := range p.rules {
			if p.set.Applies(i, src) {
				list = append(list, i)
			}
		}
		p.routes[src] = list
	}
	return list
}
