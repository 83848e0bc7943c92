package pack

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/catena-sec/catena/rules"
)

// A Pack is rules and what stands beside them. It does not change.
type Pack struct {
	Path     string    // as given; "builtin" for ours
	Manifest *Manifest // nil if there is none
	Sealed   bool      // every file is named with its hash
	Builtin  bool

	files    []File // in the order of their paths
	problems []Problem
}

// A File is one YAML file of a pack.
type File struct {
	Name string // for messages: path in the folder, or archive!member
	path string // inside the pack
	read func() ([]byte, error)
}

// Read returns the file's content.
func (f *File) Read() ([]byte, error) { return f.read() }

// A Problem is a file of a pack, or a rule, that cannot be used.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // 1-based; 0 if it is about the file as a whole
	Reason string `json:"reason"`
}

// String returns the problem on one line.
func (p Problem) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
	}
	return p.File + ": " + p.Reason
}

// Name is what the pack calls itself or, without a manifest, its path.
func (p *Pack) Name() string {
	if p.Manifest == nil {
		return p.Path
	}
	return p.Manifest.Name
}

// String returns name and version.
func (p *Pack) String() string {
	if p.Manifest == nil {
		return p.Path
	}
	return p.Manifest.Name + " " + p.Manifest.Version
}

// Rules returns the pack's files of rules, in the order of their paths.
func (p *Pack) Rules() []File {
	return slices.DeleteFunc(slices.Clone(p.files), func(f File) bool { return !isRule(f.path) })
}

// YAML returns all YAML files of the pack, tests of rules among them.
func (p *Pack) YAML() []File { return slices.Clone(p.files) }

// isYAML and isRule say what a file of a pack is: a test of a rule is YAML beside
// it and no rule.
func isYAML(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext == ".yml" || ext == ".yaml"
}

func isRule(p string) bool {
	return isYAML(p) && p != ManifestFile && !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(p), strings.ToLower(path.Ext(p))), ".test")
}

// hidden tells what is no part of a pack: names that begin with a dot, which
// version control and desktops leave behind.
func hidden(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." {
			return true
		}
	}
	return false
}

// Builtin is our own pack, as it is built into the program of that version.
func Builtin(version string) (*Pack, error) {
	p := &Pack{Path: "builtin", Builtin: true, Sealed: true,
		Manifest: &Manifest{Name: "catena", Version: version, Description: "Catena's own rules, built into the program", Licence: "Apache-2.0"}}
	own, err := rules.Files()
	if err != nil {
		return nil, err
	}
	tests, err := rules.Tests()
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Concat(own, tests) {
		p.files = append(p.files, File{"rules/" + f.Path, f.Path, func() ([]byte, error) { return f.Source, nil }})
	}
	p.sort()
	return p, nil
}

func (p *Pack) sort() {
	slices.SortFunc(p.files, func(a, b File) int { return comparePaths(a.path, b.path) })
}

// comparePaths orders paths as a walk over folders comes to them.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// Open reads the pack at a path: a folder, an archive, or a single file of rules.
// The error says why there is no pack to be read at all; what is wrong with the
// files of one that can be read, Check tells.
func Open(name string) (*Pack, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(name)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: neither a folder nor a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if head := make([]byte, 4); archiveKind(head[:must(f.ReadAt(head, 0))]) != noArchive {
		return Read(name, f, info.Size())
	}
	if isYAML(filepath.ToSlash(name)) || !archiveName(name) {
		return &Pack{Path: name, files: []File{{name, filepath.Base(name), func() ([]byte, error) { return readFile(os.DirFS(filepath.Dir(name)), filepath.Base(name), MaxRule) }}}}, nil
	}
	return nil, fmt.Errorf("%s: the name is that of an archive, and it holds neither a zip nor a gzipped tar: it is damaged or incomplete, fetch it again", name)
}

// must drops the error of a read of which fewer bytes say enough.
func must(n int, _ error) int { return n }

func archiveName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{".zip", ".tar.gz", ".tgz"}, func(s string) bool { return strings.HasSuffix(name, s) })
}

// readFile reads a regular file of at most limit bytes. It asks what the file is
// before it opens it: the opening of a pipe would wait for a writer.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	src, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(src)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return src, err
}

// openFolder reads the manifest of a folder, if it has one. The files of a sealed
// one are read and hashed at once; those of others when they are wanted.
func openFolder(dir string) (*Pack, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
	inside := root.FS()                 // does not follow links out of the folder
	p := &Pack{Path: dir}
	c := collector{p: p, name: func(member string) string { return filepath.Join(dir, filepath.FromSlash(member)) }}
	if src, err := readFile(inside, ManifestFile, maxManifest); err == nil {
		c.manifest = src
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", c.name(ManifestFile), err)
	}
	if c.manifest != nil {
		if src, err := readFile(inside, SumsFile, maxSums); err == nil {
			c.sums = src
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", c.name(SumsFile), err)
		}
	}
	sealed := c.sums != nil
	n := 0
	open := os.DirFS(dir)
	err = fs.WalkDir(open, ".", func(member string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case sealed && hidden(member) && d.IsDir():
			return fs.SkipDir
		case d.IsDir(), sealed && hidden(member), !sealed && !isYAML(member):
			return nil
		}
		if n++; n > MaxFiles {
			return fmt.Errorf("%s: more than %d files", dir, MaxFiles)
		}
		if !sealed {
			if member != ManifestFile || c.manifest == nil {
				p.files = append(p.files, File{c.name(member), member, func() ([]byte, error) { return readFile(open, member, MaxRule) }})
			}
			return nil
		}
		if !d.Type().IsRegular() {
			c.bad(member, "a link or the like, which a pack with hashes does not have: put the file itself there")
			return nil
		}
		f, err := inside.Open(member)
		if err != nil {
			c.bad(member, err.Error())
			return nil
		}
		defer func() { _ = f.Close() }() // it was only read
		return c.add(member, f)
	})
	if err != nil {
		return nil, err
	}
	return c.finish(false)
}

// A collector takes in the files of a pack whose hashes may be wanted.
type collector struct {
	p              *Pack
	name           func(member string) string // for messages
	manifest, sums []byte                     // nil if there are none
	hashes         map[string]string          // by path, of what was taken in
	folded         map[string]string          // paths without case, which some systems ignore
	bytes          int64
	buffer         []byte // to copy by
}

// maxProblems bounds what is told of one pack.
const maxProblems = 1000

func (c *collector) bad(member, reason string) { c.p.bad(c.name(member), 0, reason) }

func (p *Pack) bad(file string, line int, reason string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, Problem{file, line, reason})
	}
}

// add takes in a file. Its error ends the reading: the pack is too large, or the
// archive is damaged.
func (c *collector) add(member string, r io.Reader) error {
	limit := int64(MaxFile)
	switch {
	case member == ManifestFile:
		limit = maxManifest
	case isYAML(member):
		limit = MaxRule
	}
	if c.hashes == nil {
		c.hashes, c.folded = map[string]string{}, map[string]string{}
	}
	if was, again := c.folded[strings.ToLower(member)]; again {
		c.bad(member, fmt.Sprintf("is there twice: as %q as well", was))
		return nil
	}
	c.folded[strings.ToLower(member)] = member
	h := sha256.New()
	var keep bytes.Buffer
	var w io.Writer = h
	if isYAML(member) || member == SumsFile {
		w = io.MultiWriter(h, &keep)
	}
	if c.buffer == nil {
		c.buffer = make([]byte, 32<<10)
	}
	n, err := io.CopyBuffer(w, io.LimitReader(r, min(limit, MaxUnpacked-c.bytes)+1), c.buffer)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name(member), err)
	}
	if c.bytes += n; c.bytes > MaxUnpacked {
		return fmt.Errorf("%s: the pack is larger than %d bytes unpacked", c.name(member), MaxUnpacked)
	}
	if n > limit {
		c.bad(member, fmt.Sprintf("larger than %d bytes", limit))
		c.hashes[member] = "" // it is there, and that is all
		return nil
	}
	c.hashes[member] = hex.EncodeToString(h.Sum(nil))
	src := keep.Bytes()
	switch {
	case member == ManifestFile:
		c.manifest = src
	case member == SumsFile:
		c.sums = src
	case isYAML(member):
		c.p.files = append(c.p.files, File{c.name(member), member, func() ([]byte, error) { return src, nil }})
	}
	return nil
}

// finish reads the manifest and holds the files against their hashes. An archive
// with a manifest must have hashes.
func (c *collector) finish(archive bool) (*Pack, error) {
	p := c.p
	p.sort()
	if c.manifest == nil {
		return p, nil
	}
	m, err := ParseManifest(c.manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name(ManifestFile), err)
	}
	p.Manifest = m
	if c.sums == nil {
		if archive {
			c.bad(SumsFile, "is missing, and an archive with a manifest needs it: make the archive with 'catena rules pack'")
		}
		return p, nil
	}
	p.Sealed = true
	sums, err := parseSums(c.sums)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name(SumsFile), err)
	}
	listed := map[string]bool{SumsFile: true}
	for _, s := range sums {
		listed[s.path] = true
		switch have, ok := c.hashes[s.path]; {
		case !ok:
			p.bad(c.name(s.path), 0, fmt.Sprintf("is missing, and line %d of %s names it: get the pack again, or make it anew with 'catena rules pack'", s.line, SumsFile))
		case have != s.hash && have != "":
			p.bad(c.name(s.path), 0, fmt.Sprintf("was changed after the pack was made: its SHA-256 is %s, line %d of %s says %s", have[:12]+"...", s.line, SumsFile, s.hash[:12]+"..."))
		}
	}
	var extra []string
	for member := range c.hashes {
		if !listed[member] {
			extra = append(extra, member)
		}
	}
	slices.Sort(extra)
	for _, member := range extra {
		c.bad(member, fmt.Sprintf("is not in %s: remove it, or make the pack anew with 'catena rules pack'", SumsFile))
	}
	return p, nil
}

// Check says why an engine of that version must not use the pack; nil means that it
// may. It does not look into rules.
func (p *Pack) Check(engine string) []Problem {
	out := slices.Clone(p.problems)
	if p.Manifest != nil && olderThan(engine, p.Manifest.MinEngine) {
		out = append(out, Problem{p.Path, 0, fmt.Sprintf("pack %s is for Catena %s or newer, and this is %s: use a newer Catena or an older pack", p, p.Manifest.MinEngine, engine)})
	}
	slices.SortStableFunc(out, compareProblems)
	return out
}

func compareProblems(x, y Problem) int {
	return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Reason, y.Reason))
}

// inParallel runs f for 0..n-1 on so many goroutines.
func inParallel(n, workers int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(workers, n)) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
