package main

import (
	"fmt"

	gosigma "github.com/markuskont/go-sigma-rule-engine"
	"gopkg.in/yaml.v2" // the version that this engine expects its maps from
)

// goSigma is github.com/markuskont/go-sigma-rule-engine. As it comes it makes one
// blank of every run of blanks in what it compares, which is dear; it can be told
// to leave them as they are, which is what Sigma asks for.
type goSigma struct{ keepBlanks bool }

func (g goSigma) name() string {
	if g.keepBlanks {
		return "go-sigma-rule-engine v0.3.0 (NoCollapseWS)"
	}
	return "go-sigma-rule-engine v0.3.0"
}

func (g goSigma) load(src []byte) (one other, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var r gosigma.Rule
	if err := yaml.Unmarshal(src, &r); err != nil {
		return nil, err
	}
	t, err := gosigma.NewTree(gosigma.RuleHandle{Rule: r, NoCollapseWS: g.keepBlanks})
	if err != nil {
		return nil, err
	}
	return goSigmaRule{t}, nil
}

type goSigmaRule struct{ t *gosigma.Tree }

func (r goSigmaRule) match(e *flatEvent) (held bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	_, held = r.t.Eval(e)
	return held, nil
}

// Keywords returns every text of the event.
func (e *flatEvent) Keywords() ([]string, bool) { return e.texts, true }

// Select returns the value of a field and whether the event has it.
func (e *flatEvent) Select(name string) (any, bool) {
	v, ok := e.fields[name]
	return v, ok
}
