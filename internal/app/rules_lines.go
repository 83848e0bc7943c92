package app

import (
	"fmt"
	"io"
	"strconv"

	"github.com/catena-sec/catena/internal/report"
)

// lines writes lines of text, cleaned for terminals, until one fails.
type lines struct {
	w   io.Writer
	err error
}

func (p *lines) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, report.Clean(fmt.Sprintf(format, args...)))
	}
}

// count writes "1 rule", "2 rules".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
