// Package source is where bytes come from: files, folders, standard input, and
// archives in archives, each handed on as one stream after the other in an order
// that depends only on what is read. What cannot be read is reported by name and
// cause, and the rest goes on.
package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// An Input is one stream of evidence: a file, standard input, or a member of an
// archive.
type Input struct {
	// Path names it: the path as given, "-" for standard input, "archive!member"
	// for a member, once more for an archive in an archive. A compressed file keeps
	// its name. Control characters are escaped.
	Path string
	// Size is its length in bytes as far as its container says, -1 if unknown. A
	// container may lie.
	Size int64
	// Reader yields the content while visit runs. Its buffer holds HeadLen bytes, so
	// that many can be peeked at. An error it returns, other than io.EOF, tells why
	// the rest cannot be read; it is the visitor's to report.
	Reader *bufio.Reader
}

// HeadLen is how many bytes of an Input can be looked at without reading them.
const HeadLen = 64 << 10

// Options are the limits of a walk; zero values mean the defaults.
type Options struct {
	Stdin   io.Reader // what "-" means; os.Stdin if nil
	TempDir string    // where an archive is kept that must be read twice; the system's if empty

	// Depth is how deep containers (archives and compressed files) may nest.
	Depth int
	// Members is how many members one archive may have.
	Members int
	// Ratio is how many times the size of a file (with everything nested in it) may
	// unpack to, once that is more than RatioFrom bytes; no text compresses like
	// that, but a file made to fill a disk does.
	Ratio     int64
	RatioFrom int64
	// Unpacked is how many bytes one file may unpack to at all.
	Unpacked int64
	// Spool is how large an archive may be that must be kept to be read: a zip in
	// another archive or on standard input.
	Spool int64
}

func (o Options) withDefaults() Options {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	if o.Depth <= 0 {
		o.Depth = 8
	}
	if o.Members <= 0 {
		o.Members = 1_000_000
	}
	def(&o.Ratio, 1000)
	def(&o.RatioFrom, 100<<20)
	def(&o.Unpacked, 256<<30)
	def(&o.Spool, 8<<30)
	return o
}

// Walk hands what stands at paths to visit, one Input at a time: files, "-" for
// standard input, folders with all below, and the members of archives (zip, tar;
// gzip, bzip2 and zstd are unpacked), known by their content. The order depends
// neither on that of paths nor on the file system's; what several paths name is
// read once. Empty files, folders and macOS's shadow files are left out.
//
// Walk stops with visit's error, or with that of ctx. All else that goes wrong is
// told to bad, with the path of what cannot be read.
func Walk(ctx context.Context, paths []string, o Options, visit func(Input) error, bad func(path string, e model.InputError)) error {
	w := &walker{ctx: ctx, o: o.withDefaults(), visit: visit, bad: bad}
	for _, l := range w.list(paths) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.file(l); err != nil {
			return err
		}
	}
	return ctx.Err() // a walk that was cancelled while it listed is not a short one
}

type walker struct {
	ctx   context.Context
	o     Options
	visit func(Input) error
	bad   func(string, model.InputError)
}

func (w *walker) fail(path, cause string) {
	w.bad(path, model.InputError{Offset: -1, Cause: cause, Count: 1})
}

// A location is a file to read.
type location struct {
	path string // as shown
	real string // identifies it, however it was named
}

// list returns the files at and below paths, each once.
func (w *walker) list(paths []string) []location {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	var found []location
	var roots []string // real paths of folders given
	var links []location
	for _, p := range paths {
		if p == "-" {
			found = append(found, location{p, p})
			continue
		}
		p = filepath.Clean(p)
		info, err := os.Stat(p)
		if err != nil {
			w.fail(clean(p), cause(err))
			continue
		}
		real, err := realPath(p)
		if err != nil {
			w.fail(clean(p), cause(err))
			continue
		}
		if info.IsDir() {
			roots = append(roots, real)
			w.folder(p, real, &found, &links)
		} else {
			found = append(found, location{p, real})
		}
	}
	for _, l := range links {
		inside := slices.ContainsFunc(roots, func(root string) bool {
			return l.real == root || strings.HasPrefix(l.real, strings.TrimSuffix(root, string(filepath.Separator))+string(filepath.Separator))
		})
		if !inside {
			w.fail(clean(l.path), "symbolic link to a folder elsewhere: not followed")
		}
	}
	slices.SortFunc(found, func(a, b location) int { return strings.Compare(a.path, b.path) })
	seen := make(map[string]bool, len(found))
	return slices.DeleteFunc(found, func(l location) bool {
		was := seen[l.real]
		seen[l.real] = true
		return was
	})
}

// folder adds the files below a folder to found, and links to folders to links. A
// link to a folder is never followed, so no loop can arise.
func (w *walker) folder(dir, real string, found, links *[]location) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.fail(clean(dir), cause(err))
	}
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return
		}
		l := location{filepath.Join(dir, e.Name()), filepath.Join(real, e.Name())}
		mode := e.Type()
		if mode&os.ModeSymlink != 0 {
			info, err := os.Stat(l.path)
			if err == nil {
				l.real, err = realPath(l.path)
			}
			if err != nil {
				w.fail(clean(l.path), cause(err))
				continue
			}
			if mode = info.Mode().Type(); mode.IsDir() {
				*links = append(*links, l)
				continue
			}
		}
		switch {
		case isShadow(l.path[len(dir):]):
		case mode.IsDir():
			w.folder(l.path, l.real, found, links)
		case mode.IsRegular():
			*found = append(*found, l)
		default:
			w.fail(clean(l.path), "neither a file nor a folder: not read")
		}
	}
}

func realPath(p string) (string, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// cause is what went wrong, without the path that os puts before it.
func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

// file reads one file.
func (w *walker) file(l location) error {
	shown := clean(l.path)
	b := &budget{o: &w.o}
	if l.path == "-" {
		in := &countingReader{r: w.o.Stdin}
		b.packed = func() int64 { return in.n }
		return w.stream(stream{path: shown, size: -1, r: in, budget: b})
	}
	f, err := os.Open(l.path)
	if err != nil {
		w.fail(shown, cause(err))
		return nil
	}
	defer f.Close()
	s := stream{path: shown, size: -1, r: f, budget: b}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if info.Size() == 0 {
			return nil
		}
		s.size = info.Size()
		s.at = f
		b.packed = func() int64 { return s.size }
	} else {
		in := &countingReader{r: f}
		s.r = in
		b.packed = func() int64 { return in.n }
	}
	return w.stream(s)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
