package app

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// keepStdin copies standard input to a temporary file if it is to be read, since
// evidence is read twice. The returned function removes the file.
func (a *App) keepStdin(paths []string) (release func(), err error) {
	if !slices.Contains(paths, "-") || a.opt.Stdin == nil {
		return func() {}, nil
	}
	f, err := os.CreateTemp("", "catena-stdin-*")
	if err != nil {
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	release = func() {
		f.Close()
		if err := os.Remove(f.Name()); err == nil {
			a.kept = nil
		}
	}
	if _, err := io.Copy(f, a.opt.Stdin); err != nil {
		release()
		return nil, fmt.Errorf("keep standard input: %w", err)
	}
	a.kept = f
	return release, nil
}

// stdin returns what "-" reads, from its beginning.
func (a *App) stdin() (io.Reader, error) {
	if a.kept == nil {
		return a.opt.Stdin, nil
	}
	if _, err := a.kept.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return a.kept, nil
}
