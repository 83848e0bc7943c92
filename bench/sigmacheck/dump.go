package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/catena-sec/catena/sigma"
)

// dump writes what an engine that is no Go library needs to be compared: for each
// log source a folder with its events as flat JSON, one a line, the rules that look
// at them, and our matches. An engine run over each has the routing that the others
// here have.
func dump(dir string, ev *evidence, p *pack, events []*flatEvent) error {
	type group struct {
		events  *bufio.Writer
		matches *bufio.Writer
		n       int
	}
	var (
		groups = map[sigma.LogSource]*group{}
		order  []*group
		files  []*os.File
	)
	create := func(path string) (*bufio.Writer, error) {
		f, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		return bufio.NewWriter(f), nil
	}
	m := p.engine.NewMatcher()
	for _, e := range events {
		key := logSource(e.from)
		g := groups[key]
		if g == nil {
			base := filepath.Join(dir, fmt.Sprintf("group%02d", len(groups)))
			if err := writeRules(base, p, e.rules); err != nil {
				return err
			}
			where := []byte(strings.Join([]string{key.Product, key.Category, key.Service}, "\t") + "\n")
			if err := os.WriteFile(filepath.Join(base, "logsource.tsv"), where, 0o644); err != nil {
				return err
			}
			g = &group{}
			var err error
			if g.events, err = create(filepath.Join(base, "events.ndjson")); err != nil {
				return err
			}
			if g.matches, err = create(filepath.Join(base, "matches.tsv")); err != nil {
				return err
			}
			groups[key] = g
			order = append(order, g)
		}
		line, err := json.Marshal(ev.flat(e.from, true))
		if err != nil {
			return err
		}
		g.n++
		for _, i := range m.Match(e.from) {
			fmt.Fprintf(g.matches, "%d\t%s\t%s\n", g.n, p.rules[i].ours.ID, p.rules[i].file)
		}
		if _, err := g.events.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	for _, g := range order {
		if err := g.events.Flush(); err != nil {
			return err
		}
		if err := g.matches.Flush(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func writeRules(base string, p *pack, rules []int) error {
	for _, i := range rules {
		path := filepath.Join(base, "rules", p.rules[i].file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, p.rules[i].src, 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(base, 0o755)
}
