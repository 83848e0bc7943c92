package sigma

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds on what a rule file may ask for. A rule beyond one is refused with that
// as the reason.
const (
	MaxFileSize     = 1 << 20 // bytes of one file
	MaxNesting      = 64      // levels of YAML, and of parentheses in a condition
	MaxValues       = 100_000 // YAML nodes of one document, after aliases are followed
	MaxValueLen     = 16 << 10
	MaxConditionLen = 16 << 10
	MaxRegexLen     = 8 << 10
	MaxDocuments    = 10_000 // documents of one file
)

// An Error says which rule, or which part of it, is refused and why.
type Error struct {
	File   string
	Line   int    // 1-based; 0 when unknown
	Where  string // the part, such as "selection.Image|endswith" or "condition"; may be empty
	Reason string
}

// Error returns "file:line: where: reason".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Where != "" {
		b.WriteString(e.Where)
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Errors returns every *Error inside an error of Parse or Compile, in the order
// in which they were found.
func Errors(err error) []*Error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*Error
		for _, e := range many.Unwrap() {
			out = append(out, Errors(e)...)
		}
		return out
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

func refusal(file string, line int, where, format string, args ...any) *Error {
	return &Error{File: file, Line: line, Where: where, Reason: fmt.Sprintf(format, args...)}
}

func join(errs []*Error) error {
	if len(errs) == 0 {
		return nil
	}
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return errors.Join(all...)
}

// quote renders text of a rule for an error, short and without control characters.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}
