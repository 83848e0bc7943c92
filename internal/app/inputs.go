package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// inputs are what one run reads. An analysis reads them twice: once to understand
// them, and once more for the records that its report shows.
type inputs struct {
	paths []string
	// stdin returns what "-" reads, from its beginning.
	stdin func() (io.Reader, error)
}

// once returns inputs that are read a single time.
func (a *App) once(paths []string) (*inputs, error) {
	return &inputs{paths, func() (io.Reader, error) { return a.opt.Stdin, nil }}, reachable(paths)
}

// again returns inputs that can be read more than once. Standard input is copied
// to a temporary file unless it is a file itself; release removes the copy.
func (a *App) again(paths []string) (in *inputs, release func(), err error) {
	release = func() {}
	in, err = a.once(paths)
	if err != nil || !slices.Contains(paths, "-") || a.opt.Stdin == nil {
		return in, release, err
	}
	kept, ok := rewindable(a.opt.Stdin)
	if !ok {
		if kept, release, err = spool(a.opt.Stdin); err != nil {
			return nil, nil, fmt.Errorf("keep standard input: %w", err)
		}
	}
	start, err := kept.Seek(0, io.SeekCurrent)
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("keep standard input: %w", err)
	}
	in.stdin = func() (io.Reader, error) {
		_, err := kept.Seek(start, io.SeekStart)
		return kept, err
	}
	return in, release, nil
}

// rewindable returns r as something that can be read again from where it stands.
// A pipe offers to seek and then cannot, so that only regular files count.
func rewindable(r io.Reader) (io.ReadSeeker, bool) {
	f, ok := r.(*os.File)
	if !ok {
		return nil, false
	}
	info, err := f.Stat()
	return f, err == nil && info.Mode().IsRegular()
}

// spool copies r to a temporary file, ready to be read from its beginning.
func spool(r io.Reader) (io.ReadSeeker, func(), error) {
	f, err := os.CreateTemp("", "catena-stdin-*")
	if err != nil {
		return nil, nil, err
	}
	release := func() {
		f.Close()
		os.Remove(f.Name()) //nolint:errcheck // a file left behind in the temporary folder is no reason to fail
	}
	_, err = io.Copy(f, r)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return f, release, nil
}

// reachable returns an error if not one of paths exists: then there is nothing to
// report on. One that is missing among others is named with the inputs.
func reachable(paths []string) error {
	var missing []error
	for _, p := range paths {
		if p == "-" {
			return nil
		}
		_, err := os.Stat(p)
		if err == nil {
			return nil
		}
		if len(missing) < maxMissing {
			missing = append(missing, err)
		}
	}
	return errors.Join(missing...)
}

// maxMissing bounds the missing paths that one error names.
const maxMissing = 20
