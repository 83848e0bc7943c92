// Package knowledge holds facts that do not depend on any evidence: ATT&CK's
// tactics and techniques with their older names, what groups and campaigns were
// seen to use, Microsoft's alert types, and what each of these says about an
// alert: its intent, its stage of the kill chain and its cloud step.
//
// The facts are tables embedded in the program and read once, when first asked
// for. Nothing here can be changed at run time.
//
// ATT&CK is (c) 2026 The MITRE Corporation. This work is reproduced and
// distributed with the permission of The MITRE Corporation. See NOTICE.
package knowledge

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:generate go run ./gen

// AttackVersion is the version of ATT&CK that every id and name is given in.
const AttackVersion = "19.1"

//go:embed tactics.tsv
var tacticsTable string

//go:embed techniques.tsv
var techniquesTable string

//go:embed actors.tsv
var actorsTable string

//go:embed alert_types.tsv
var alertTypesTable string

// attackFacts are the tables of ATT&CK, ready to be asked.
type attackFacts struct {
	tactics    []TacticInfo
	tacticOf   map[string]int // by id, short name and squeezed name
	techniques []Technique
	index      map[string]int // technique id to its place in techniques
	actors     []Actor
}

var attack = sync.OnceValue(loadAttack)

func loadAttack() *attackFacts {
	f := &attackFacts{tacticOf: map[string]int{}, index: make(map[string]int, 1024)}
	for i, r := range rows("tactics.tsv", tacticsTable, 3) {
		f.tactics = append(f.tactics, TacticInfo{ID: r[0], ShortName: r[1], Name: r[2], Order: i})
		for _, word := range r[:3] {
			f.tacticOf[squeeze(word)] = i
		}
	}
	for i, r := range rows("techniques.tsv", techniquesTable, 6) {
		t := Technique{ID: r[0], Name: r[1], Tactics: list(r[2]), TacticsV18: list(r[3]), Platforms: list(r[4])}
		if t.TacticsV18 == nil {
			t.TacticsV18 = t.Tactics
		}
		t.Parent = parentOf(t.ID)
		t.Deprecated = r[5] == "deprecated"
		if !t.Deprecated {
			t.RevokedBy = r[5]
		}
		f.techniques = append(f.techniques, t)
		f.index[t.ID] = i
	}
	for _, r := range rows("actors.tsv", actorsTable, 3) {
		f.actors = append(f.actors, Actor{ID: r[0], Name: r[1], Techniques: list(r[2])})
	}
	return f
}

// rows cuts an embedded table into its rows of n fields. A table that is not as
// the generator wrote it is a broken build, which no caller could handle; the
// tests read every table, so that it cannot be released.
func rows(name, table string, n int) [][]string {
	var out [][]string
	line := 0
	for text := range strings.Lines(table) {
		line++
		text = strings.TrimRight(text, "\r\n") // a checkout on Windows may have changed the line ends
		if strings.HasPrefix(text, "#") || text == "" {
			continue
		}
		fields := strings.Split(text, "\t")
		if len(fields) != n {
			panic(fmt.Sprintf("knowledge: %s:%d has %d fields, want %d", name, line, len(fields), n))
		}
		out = append(out, fields)
	}
	return out
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// squeeze returns s in lower case with letters and digits only, so that
// "Pre-attack", "Initial access", "initial_access" and "InitialAccess" compare
// equal to their other spellings.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, s)
}

// add appends those of xs that s does not hold yet.
func add[T comparable](s []T, xs ...T) []T {
	for _, x := range xs {
		if !slices.Contains(s, x) {
			s = append(s, x)
		}
	}
	return s
}
