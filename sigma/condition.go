package sigma

import (
	"fmt"
	"strconv"
	"strings"
)

// parseCondition reads a condition:
//
//	or      = and { "or" and }
//	and     = not { "and" not }
//	not     = { "not" } primary
//	primary = "(" or ")" | count "of" ("them" | name with *) | name
//	count   = "all" | "any" | number
//
// Operators may be in any case; names of selections are matched exactly. "1 of"
// and "any of" ask for one, "all of" for every selection, and a larger number for
// at least so many. "them" is every selection whose name does not begin with "_".
func parseCondition(src string, selections []*expr) (*expr, error) {
	if len(src) > MaxConditionLen {
		return nil, fmt.Errorf("condition is longer than %d bytes", MaxConditionLen)
	}
	p := condParser{toks: lexCondition(src), selections: selections}
	if len(p.toks) == 0 {
		return nil, fmt.Errorf("condition is empty")
	}
	for _, t := range p.toks {
		if t == "|" {
			return nil, fmt.Errorf(`aggregations ("| count() ...") left Sigma with version 2; write a correlation rule instead`)
		}
	}
	e, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.toks) {
		return nil, fmt.Errorf("unexpected %s after a complete condition", quote(p.toks[p.at]))
	}
	return e, nil
}

// lexCondition splits a condition into parentheses, pipes and words.
func lexCondition(src string) []string {
	var toks []string
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '(' || c == ')' || c == '|':
			toks = append(toks, src[i:i+1])
			i++
		default:
			end := i
			for end < len(src) && strings.IndexByte(" \t\r\n()|", src[end]) < 0 {
				end++
			}
			toks = append(toks, src[i:end])
			i = end
		}
	}
	return toks
}

type condParser struct {
	toks       []string
	at         int
	selections []*expr // named
	// note, unless nil, is told of every part read, inner ones first: the tokens
	// from and to which it stands, and what they mean.
	note func(from, to int, e *expr)
}

// noted tells of a part that ends here.
func (p *condParser) noted(from int, e *expr) *expr {
	if p.note != nil {
		p.note(from, p.at, e)
	}
	return e
}

func (p *condParser) peek() string {
	if p.at < len(p.toks) {
		return p.toks[p.at]
	}
	return ""
}

// accept consumes the next token if it is the keyword.
func (p *condParser) accept(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.at++
		return true
	}
	return false
}

func (p *condParser) or(depth int) (*expr, error) {
	return p.chain("or", exprOr, func() (*expr, error) { return p.chain("and", exprAnd, func() (*expr, error) { return p.not(depth) }) })
}

func (p *condParser) chain(word string, op exprOp, next func() (*expr, error)) (*expr, error) {
	from := p.at
	var kids []*expr
	for {
		e, err := next()
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
		if !p.accept(word) {
			if len(kids) == 1 {
				return e, nil
			}
			return p.noted(from, combine(op, kids)), nil
		}
	}
}

func (p *condParser) not(depth int) (*expr, error) {
	from, negated := p.at, false
	for p.accept("not") {
		negated = !negated
	}
	e, err := p.primary(depth)
	if err != nil || !negated {
		return e, err
	}
	return p.noted(from, &expr{op: exprNot, kids: []*expr{e}}), nil
}

func (p *condParser) primary(depth int) (*expr, error) {
	tok := p.peek()
	switch {
	case tok == "":
		return nil, fmt.Errorf("condition ends where a selection is expected")
	case tok == "(":
		if depth >= MaxNesting {
			return nil, fmt.Errorf("parentheses are nested deeper than %d", MaxNesting)
		}
		p.at++
		e, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			return nil, fmt.Errorf("a closing parenthesis is missing")
		}
		return e, nil
	case tok == ")":
		return nil, fmt.Errorf("unexpected closing parenthesis")
	case p.at+1 < len(p.toks) && strings.EqualFold(p.toks[p.at+1], "of"):
		from := p.at
		p.at += 2
		e, err := p.quantified(tok)
		if err != nil {
			return nil, err
		}
		return p.noted(from, e), nil
	}
	p.at++
	for _, s := range p.selections {
		if s.name == tok {
			return p.noted(p.at-1, s), nil
		}
	}
	return nil, fmt.Errorf("%s is not a selection of this rule", quote(tok))
}

func (p *condParser) quantified(count string) (*expr, error) {
	target := p.peek()
	if target == "" || target == "(" || target == ")" {
		return nil, fmt.Errorf(`%s needs "them" or a selection name after it`, quote(count+" of"))
	}
	p.at++
	var kids []*expr
	for _, s := range p.selections {
		if strings.EqualFold(target, "them") {
			if !strings.HasPrefix(s.name, "_") {
				kids = append(kids, s)
			}
		} else if nameMatches(target, s.name) {
			kids = append(kids, s)
		}
	}
	if len(kids) == 0 {
		return nil, fmt.Errorf("%s names no selection of this rule", quote(count+" of "+target))
	}
	switch {
	case strings.EqualFold(count, "all"):
		return combine(exprAnd, kids), nil
	case strings.EqualFold(count, "any"):
		return combine(exprOr, kids), nil
	}
	n, err := strconv.Atoi(count)
	switch {
	case err != nil || n < 1:
		return nil, fmt.Errorf(`%s is not "all", "any" or a positive number`, quote(count))
	case n > len(kids):
		return nil, fmt.Errorf("%s can never hold: there are only %d such selections", quote(count+" of "+target), len(kids))
	case n == 1:
		return combine(exprOr, kids), nil
	}
	return &expr{op: exprCount, n: n, kids: kids}, nil
}

// nameMatches reports whether a selection name fits a pattern with "*".
func nameMatches(pat, name string) bool {
	return pattern(strings.ReplaceAll(pat, "*", "\xff")).match(name, true)
}
