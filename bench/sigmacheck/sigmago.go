package main

import (
	"context"
	"fmt"

	sigmago "github.com/bradleyjkemp/sigma-go"
	"github.com/bradleyjkemp/sigma-go/evaluator"
)

// sigmaGo is github.com/bradleyjkemp/sigma-go. Its evaluators of single rules are
// used: its bundle of many builds automata, and then does not ask them.
type sigmaGo struct{}

func (sigmaGo) name() string { return "sigma-go v0.6.6" }

func (sigmaGo) load(src []byte) (one other, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	r, err := sigmago.ParseRule(src)
	if err != nil {
		return nil, err
	}
	return sigmaGoRule{evaluator.ForRule(r)}, nil
}

type sigmaGoRule struct{ e *evaluator.RuleEvaluator }

func (r sigmaGoRule) match(e *flatEvent) (held bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	res, err := r.e.Matches(context.Background(), e.fields)
	return res.Match, err
}
