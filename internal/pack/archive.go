package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type kind int

const (
	noArchive kind = iota
	zipArchive
	tarArchive // gzipped
)

// archiveKind tells an archive by its first bytes.
func archiveKind(head []byte) kind {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipArchive
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return tarArchive
	}
	return noArchive
}

// Read reads the pack in a zip or a gzipped tar of size bytes; name is used in
// messages. It keeps nothing of r. The error says why the archive cannot be read,
// or must not be: it is damaged, beyond a bound, or has a member that is no plain
// file inside it.
func Read(name string, r io.ReaderAt, size int64) (*Pack, error) {
	if size > MaxArchive {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxArchive)
	}
	var head [4]byte
	n, err := r.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &collector{p: &Pack{Path: name}, name: func(member string) string { return name + "!" + clip(member) }}
	switch archiveKind(head[:n]) {
	case zipArchive:
		err = c.zip(r, size)
	case tarArchive:
		err = c.tar(io.NewSectionReader(r, 0, size))
	default:
		err = errors.New("neither a zip nor a gzipped tar")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the archive cannot be used: %w", name, err)
	}
	return c.finish(true)
}

func (c *collector) zip(r io.ReaderAt, size int64) error {
	dir := &directoryReader{r: r, left: maxDirectory}
	z, err := zip.NewReader(dir, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // member tells which
		return fmt.Errorf("%w: it is damaged or incomplete, fetch it again", err)
	}
	if len(z.File) > MaxFiles { // told before the work of reading them
		return fmt.Errorf("more than %d files", MaxFiles)
	}
	dir.open = true
	for n, f := range z.File {
		take, err := c.member(n, strings.TrimSuffix(f.Name, "/"), f.Mode())
		if err != nil {
			return err
		}
		if !take {
			continue
		}
		if f.Flags&1 != 0 {
			return fmt.Errorf("%q is encrypted", clip(f.Name))
		}
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("%q: %w", clip(f.Name), err)
		}
		err = c.add(f.Name, content)
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// A directoryReader bounds what is read to find the members of a zip, and with
// that how many there can be in memory.
type directoryReader struct {
	r    io.ReaderAt
	left int64
	open bool
}

func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if !d.open {
		if d.left -= int64(len(p)); d.left < 0 {
			return 0, fmt.Errorf("its directory is larger than %d bytes", maxDirectory)
		}
	}
	return d.r.ReadAt(p, off)
}

func (c *collector) tar(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // only releases buffers: the checksum was told by Read
	// What is skipped is unpacked too, so the whole is bounded; the margin is for
	// headers and padding.
	unpacked := &boundedReader{z, MaxUnpacked + MaxFiles*4*512}
	t := tar.NewReader(unpacked)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return errors.New("it holds no file")
			}
			_, err = io.Copy(io.Discard, unpacked) // the checksum stands at the end
			return err
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // member tells which
			return fmt.Errorf("after %d files: %w: it is damaged or incomplete, fetch it again", n, err)
		}
		mode := fs.ModeIrregular
		switch h.Typeflag {
		case tar.TypeReg:
			mode = 0
		case tar.TypeDir:
			mode = fs.ModeDir
		case tar.TypeSymlink, tar.TypeLink:
			mode = fs.ModeSymlink
		case tar.TypeXGlobalHeader:
			continue
		}
		name := strings.TrimPrefix(strings.TrimSuffix(h.Name, "/"), "./")
		take, err := c.member(n, name, mode)
		if err != nil {
			return err
		}
		if take {
			if err := c.add(name, t); err != nil {
				return err
			}
		}
	}
}

// A boundedReader fails beyond so many bytes, where io.LimitReader would only end.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("larger than %d bytes unpacked", MaxUnpacked)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// member says whether the n-th member of an archive is a file of the pack. The
// error ends the reading: an archive with such a member was not made for us.
func (c *collector) member(n int, name string, mode fs.FileMode) (bool, error) {
	if n >= MaxFiles {
		return false, fmt.Errorf("more than %d files", MaxFiles)
	}
	if name == "" || name == "." {
		return false, nil
	}
	if err := validPath(name); err != nil {
		return false, err
	}
	switch {
	case mode.IsDir(), hidden(name), strings.HasPrefix(name, "__MACOSX/"):
		return false, nil
	case !mode.IsRegular():
		return false, fmt.Errorf("%q is a link or a device, which a pack does not have", clip(name))
	}
	return true, nil
}

// Write makes an archive of the folder at dir, which must have a manifest, and
// returns the pack in it. The name of the file out tells the kind: .zip, .tar.gz or
// .tgz. All files are taken along but those whose names begin with a dot; the list
// of hashes is made anew. The same files give the same bytes.
func Write(w io.Writer, out, dir string) (*Pack, error) {
	if !archiveName(out) {
		return nil, fmt.Errorf("%s: want a name that ends with .zip, .tar.gz or .tgz", out)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
	var files []member
	var total int64
	inside := root.FS()
	err = fs.WalkDir(inside, ".", func(p string, d fs.DirEntry, err error) error {
		show := filepath.Join(dir, filepath.FromSlash(p))
		switch {
		case err != nil:
			return err
		case hidden(p) && d.IsDir():
			return fs.SkipDir
		case hidden(p), d.IsDir(), p == SumsFile:
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s: a link or the like, which a pack does not have: put the file itself there", show)
		case len(files) >= MaxFiles:
			return fmt.Errorf("%s: more than %d files", dir, MaxFiles)
		}
		if err := validPath(p); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		limit := int64(MaxFile)
		if isYAML(p) {
			limit = MaxRule
		}
		src, err := readFile(inside, p, limit)
		if err != nil {
			return fmt.Errorf("%s: %w", show, err)
		}
		if total += int64(len(src)); total > MaxUnpacked {
			return fmt.Errorf("%s: larger than %d bytes", dir, MaxUnpacked)
		}
		files = append(files, member{p, src})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return write(w, out, dir, files)
}

// WriteBuiltin makes an archive of our own pack, for those who build on it or
// carry it to another version.
func WriteBuiltin(w io.Writer, out, version string) (*Pack, error) {
	if !archiveName(out) {
		return nil, fmt.Errorf("%s: want a name that ends with .zip, .tar.gz or .tgz", out)
	}
	p, err := Builtin(version)
	if err != nil {
		return nil, err
	}
	m := *p.Manifest
	if !packVersion.MatchString(m.Version) {
		m.Version = "0.0.0-" + strings.Trim(notVersion.ReplaceAllString(m.Version, "-"), "-")
	}
	files := []member{{ManifestFile, m.yaml()}}
	for _, f := range p.files {
		src, err := f.read()
		if err != nil {
			return nil, err
		}
		files = append(files, member{f.path, src})
	}
	return write(w, out, "builtin", files)
}

// A member is one file of an archive to be written.
type member struct {
	path string
	src  []byte
}

// write writes the archive and reads it again: what cannot be read is not handed
// out.
func write(w io.Writer, out, from string, files []member) (*Pack, error) {
	if !slices.ContainsFunc(files, func(m member) bool { return m.path == ManifestFile }) {
		return nil, fmt.Errorf("%s: there is no %s: write one with name and version", from, ManifestFile)
	}
	slices.SortFunc(files, func(a, b member) int { return comparePaths(a.path, b.path) })
	files = append([]member{{SumsFile, sumsOf(files)}}, files...)
	var buf bytes.Buffer
	put := putTar
	if strings.HasSuffix(strings.ToLower(out), ".zip") {
		put = putZip
	}
	if err := put(&buf, files); err != nil {
		return nil, err
	}
	p, err := Read(out, bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		return nil, err
	}
	if bad := p.Check(""); len(bad) > 0 {
		return nil, errors.New(bad[0].String())
	}
	_, err = w.Write(buf.Bytes())
	return p, err
}

// epoch is the time of every member: the first that a zip can tell.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func putZip(w io.Writer, files []member) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	for _, m := range files {
		h := &zip.FileHeader{Name: m.path, Method: zip.Deflate, Modified: epoch}
		h.SetMode(0o644)
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(m.src); err != nil {
			return err
		}
	}
	return z.Close()
}

func putTar(w io.Writer, files []member) error {
	g, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(g)
	for _, m := range files {
		if err := t.WriteHeader(&tar.Header{Name: m.path, Mode: 0o644, Size: int64(len(m.src)), ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := t.Write(m.src); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return g.Close()
}
