package source

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A stream is something to read that may be a container.
type stream struct {
	path   string
	size   int64 // -1 if unknown
	r      io.Reader
	at     io.ReaderAt // the same bytes in any order, nil if they only come once
	depth  int         // containers around it
	budget *budget
}

// Kinds of containers.
type container int

const (
	plain container = iota
	zipFile
	tarFile
	gzipFile
	bzip2File
	zstdFile
)

// kindOf tells what container begins with head.
func kindOf(head []byte) container {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("PK\x03\x04"), has("PK\x05\x06"), has("PK\x07\x08PK\x03\x04"):
		return zipFile
	case has("\x1f\x8b\x08"):
		return gzipFile
	case has("\x28\xb5\x2f\xfd"), len(head) >= 8 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return zstdFile
	case has("BZh") && len(head) >= 10 && string(head[4:10]) == "1AY&SY":
		return bzip2File
	case isTar(head):
		return tarFile
	}
	return plain
}

// isTar tells whether head begins a tar archive: the mark of POSIX and GNU, or, for
// those without one, a right checksum.
func isTar(head []byte) bool {
	const block = 512
	if len(head) < block {
		return false
	}
	if string(head[257:262]) == "ustar" {
		return true
	}
	field := strings.Trim(string(head[148:156]), " \x00")
	want, err := strconv.ParseUint(field, 8, 32)
	if err != nil || want == 0 || head[0] == 0 {
		return false
	}
	var sum uint64
	for i, x := range head[:block] {
		if i >= 148 && i < 156 {
			x = ' '
		}
		sum += uint64(x)
	}
	return sum == want
}

// stream hands on s, or what is in it. The errors it returns end the walk.
func (w *walker) stream(s stream) error {
	r := bufio.NewReaderSize(&cancelReader{w.ctx, s.r}, HeadLen)
	head, err := r.Peek(512)
	if len(head) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			w.fail(s.path, cause(err))
		}
		return w.ctx.Err()
	}
	kind := kindOf(head)
	if kind == plain {
		return w.visit(Input{Path: s.path, Size: s.size, Reader: r})
	}
	if s.depth >= w.o.Depth {
		w.fail(s.path, fmt.Sprintf("containers nested deeper than %d: not opened", w.o.Depth))
		return nil
	}
	switch kind {
	case zipFile:
		return w.zip(s, r)
	case tarFile:
		return w.tar(s, r)
	}
	return w.compressed(s, kind, r)
}

// compressed hands on what a compressed stream unpacks to, under the same name.
func (w *walker) compressed(s stream, kind container, r *bufio.Reader) error {
	var unpacked io.Reader
	switch kind {
	case gzipFile:
		z, err := gzip.NewReader(r)
		if err != nil {
			w.fail(s.path, err.Error())
			return nil
		}
		defer func() { _ = z.Close() }() // only releases buffers: the checksum was told by Read
		unpacked = z
	case zstdFile:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			w.fail(s.path, err.Error())
			return nil
		}
		defer z.Close()
		unpacked = z
	default:
		unpacked = bzip2.NewReader(r)
	}
	return w.stream(stream{path: s.path, size: -1, r: s.budget.unpack(unpacked), depth: s.depth + 1, budget: s.budget})
}

// maxWindow is how much memory a zstd stream may ask for: what its command line
// tool allows.
const maxWindow = 128 << 20

// tar hands on the files of a tar archive. Links have no content of their own.
func (w *walker) tar(s stream, r io.Reader) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case w.ctx.Err() != nil:
			return w.ctx.Err()
		case err != nil:
			w.fail(s.path, fmt.Sprintf("tar archive, after %d members: %v", n, err))
			return nil
		case n >= w.o.Members:
			w.fail(s.path, fmt.Sprintf("more than %d members: the rest is not read", w.o.Members))
			return nil
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse || h.Size == 0 || isShadow(h.Name) {
			continue
		}
		m := stream{path: s.path + "!" + memberName(h.Name), size: h.Size, r: s.budget.unpack(t), depth: s.depth + 1, budget: s.budget}
		if err := w.stream(m); err != nil {
			return err
		}
		if s.budget.err != nil {
			w.fail(s.path, s.budget.err.Error())
			return nil //nolint:nilerr // told to bad; the rest of the walk goes on
		}
	}
}

// zip hands on the files of a zip archive, in the order of its directory. The
// directory stands at the end, so that an archive which only comes as a stream is
// kept first.
func (w *walker) zip(s stream, r io.Reader) error {
	if s.at == nil || s.size < 0 {
		at, size, done, err := w.spool(r)
		if err != nil {
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
			w.fail(s.path, "zip archive: "+cause(err))
			return nil
		}
		defer done()
		s.at, s.size = at, size
	}
	dir := &directoryReader{r: s.at, left: maxDirectory}
	z, err := zip.NewReader(dir, s.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // memberName makes names safe
		w.fail(s.path, err.Error()+": its directory is missing or damaged, so members are read as they come")
		return w.salvage(s)
	}
	dir.open = true
	z.RegisterDecompressor(zip.Deflate, flate.NewReader)
	z.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)))
	z.RegisterDecompressor(zipBzip2, func(r io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(r)) })
	for n, f := range z.File {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if n >= w.o.Members {
			w.fail(s.path, fmt.Sprintf("more than %d members: the rest is not read", w.o.Members))
			return nil
		}
		if err := w.zipMember(s, f); err != nil {
			return err
		}
		if s.budget.err != nil {
			w.fail(s.path, s.budget.err.Error())
			return nil
		}
	}
	return nil
}

// zipBzip2 is the number of bzip2 among the compression methods of zip.
const zipBzip2 = 12

func (w *walker) zipMember(s stream, f *zip.File) error {
	isDir := strings.HasSuffix(f.Name, "/") || strings.HasSuffix(f.Name, `\`)
	if isDir || f.UncompressedSize64 == 0 && f.CompressedSize64 == 0 || isShadow(f.Name) {
		return nil
	}
	path := s.path + "!" + memberName(f.Name)
	if f.Mode()&os.ModeSymlink != 0 {
		return nil
	}
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		w.fail(path, "encrypted: cannot be read without its password")
		return nil
	}
	r, err := f.Open()
	if err != nil {
		if errors.Is(err, zip.ErrAlgorithm) {
			w.fail(path, fmt.Sprintf("compression method %d is not supported", f.Method))
		} else {
			w.fail(path, err.Error())
		}
		return nil
	}
	defer r.Close()
	size := int64(-1)
	if f.UncompressedSize64 < 1<<62 {
		size = int64(f.UncompressedSize64)
	}
	return w.stream(stream{path: path, size: size, r: s.budget.unpack(r), depth: s.depth + 1, budget: s.budget})
}

// maxDirectory bounds the bytes read to open a zip, and with them the members held
// in memory.
const maxDirectory = 64 << 20

// A directoryReader bounds what is read before the archive is open.
type directoryReader struct {
	r    io.ReaderAt
	left int64
	open bool
}

func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if !d.open {
		if d.left -= int64(len(p)); d.left < 0 {
			return 0, fmt.Errorf("zip archive: directory larger than %d bytes", maxDirectory)
		}
	}
	return d.r.ReadAt(p, off)
}

// spoolMemory is up to which size a spooled archive stays in memory.
const spoolMemory = 16 << 20

// spool keeps what r yields: in memory, or in a temporary file that done removes.
func (w *walker) spool(r io.Reader) (at io.ReaderAt, size int64, done func(), err error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, spoolMemory); errors.Is(err, io.EOF) {
		return bytes.NewReader(head.Bytes()), int64(head.Len()), func() {}, nil
	} else if err != nil {
		return nil, 0, nil, err
	}
	f, err := os.CreateTemp(w.o.TempDir, "catena-*.zip")
	if err != nil {
		return nil, 0, nil, err
	}
	done = func() {
		f.Close()
		os.Remove(f.Name()) //nolint:errcheck // a file left behind in the temporary folder is no reason to stop
	}
	size, err = io.Copy(f, io.LimitReader(io.MultiReader(&head, r), w.o.Spool+1))
	if err == nil && size > w.o.Spool {
		err = fmt.Errorf("larger than %d bytes inside another archive", w.o.Spool)
	}
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return f, size, done, nil
}
