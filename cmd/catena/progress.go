package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/catena-sec/catena/internal/app"
	"github.com/catena-sec/catena/internal/report"
)

// progress shows how far a run is: one line that renews itself on a terminal, a
// line now and then elsewhere, nothing with --quiet.
type progress struct {
	w     io.Writer
	tty   bool
	mu    sync.Mutex
	last  time.Time
	phase string
	drawn bool
}

func newProgress(c *cobra.Command) *progress {
	if quiet, err := c.Flags().GetBool("quiet"); err == nil && quiet {
		return &progress{}
	}
	return &progress{w: c.ErrOrStderr(), tty: terminal(os.Stderr), last: time.Now()}
}

// The real clock only decides when to draw.
func (p *progress) show(s app.Progress) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	every := 100 * time.Millisecond
	if !p.tty {
		every = 10 * time.Second
	}
	if now := time.Now(); now.Sub(p.last) < every {
		return
	}
	p.last, p.phase = time.Now(), s.Phase
	line := fmt.Sprintf("%s: %d inputs, %s, %d events", s.Phase, s.Inputs, size(s.Bytes), s.Events)
	if s.Input != "" {
		line += "  " + report.Clean(s.Input)
	}
	if !p.tty {
		fmt.Fprintln(p.w, line)
		return
	}
	if w := terminalWidth(); len(line) >= w {
		line = line[:w-1]
	}
	p.drawn = true
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func terminal(f *os.File) bool { return term.IsTerminal(f.Fd()) }

// terminalWidth is the width of the terminal, else what COLUMNS says, else 100.
func terminalWidth() int {
	if w, _, err := term.GetSize(os.Stdout.Fd()); err == nil && w > 0 {
		return w
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 100
}
