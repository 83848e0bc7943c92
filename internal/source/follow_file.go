package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/catena-sec/catena/internal/model"
)

// A followed file is one that is read as it grows.
type followed struct {
	cursor
	f       *os.File // open, or nil
	size    int64    // when it was last looked at
	changed time.Time
	seen    bool // by the scan under way
	gone    bool // under no path any more, and open
	unsure  bool // whether it is a copy of another
	begun   bool // what stands before the records was looked for
	retry   time.Time

	info os.FileInfo // as the newest scan found it
	last os.FileInfo // when it was last read
	rest bool        // closed, since all was read
}

// resting tells whether nothing happened to a file since all of it was read.
func (e *followed) resting() bool {
	return e.rest && e.f == nil && e.info.Size() == e.last.Size() && e.info.ModTime().Equal(e.last.ModTime())
}

func (e *followed) close() {
	if e.f != nil {
		e.f.Close()
		e.f = nil
	}
}

// finished tells whether a file that is gone has nothing left to read.
func (e *followed) finished(settle time.Duration) bool {
	return e.f == nil || e.Offset >= e.size && time.Since(e.changed) > settle || time.Since(e.changed) > 10*settle
}

// sumOf is what a file is known by.
func sumOf(data []byte) uint64 {
	sum := sha256.Sum256(data)
	return binary.LittleEndian.Uint64(sum[:])
}

// sumAt returns the sum of n bytes of r at some offset; ok is false if they are not
// there.
func sumAt(r io.ReaderAt, at int64, n int) (sum uint64, ok bool) {
	buf := make([]byte, n)
	if got, _ := r.ReadAt(buf, at); got < n {
		return 0, false
	}
	return sumOf(buf), true
}

// tailAt returns the sum of the bytes before an offset.
func tailAt(r io.ReaderAt, offset int64) (uint64, bool) {
	n := min(offset, printLen)
	return sumAt(r, offset-n, int(n))
}

// minKnown is how many bytes must be alike for a file to be taken for a copy of
// another: fewer may be so by chance.
const minKnown = 256

// stem is the name of a log without what rotation adds to it.
func stem(path string) string {
	name := filepath.Base(path)
	for _, packed := range [...]string{".gz", ".zst", ".bz2"} {
		name = strings.TrimSuffix(name, packed)
	}
	if kept := strings.TrimRight(name, "0123456789"); strings.HasSuffix(kept, ".") || strings.HasSuffix(kept, "-") {
		if base := kept[:len(kept)-1]; base != "" {
			return base
		}
	}
	return name
}

// adopt begins to follow a file that is new under what the file system calls it. It
// may be one that was read before: moved between file systems, a copy made by
// rotation, or compressed.
func (f *Follow) adopt(x found, id string) *followed {
	file, err := os.Open(x.path)
	if err != nil {
		f.tell(x.path, err)
		return nil
	}
	e := &followed{cursor: cursor{Path: x.path, File: id}, f: file, size: x.info.Size(), changed: time.Now()}
	if time.Since(x.info.ModTime()) > f.o.Settle {
		e.changed = x.info.ModTime()
	}
	e.print()
	e.unsure = true
	e.Gen = f.cursors.newGen()
	if f.first && f.o.Tail {
		f.skipToEnd(e)
	}
	if err := f.cursors.put(e.cursor); err != nil {
		f.tell(e.Path, err)
	}
	return e
}

// print notes what a file is known by, and whether it is compressed.
func (e *followed) print() {
	head := make([]byte, printLen)
	n, _ := e.f.ReadAt(head, 0) // what cannot be read shows when it is
	head = head[:n]
	switch kindOf(head) {
	case gzipFile, zstdFile, bzip2File:
		e.Whole = true
	}
	if bytes.HasPrefix(head, []byte(evtxFile)) {
		head = head[:len(evtxFile)] // the rest of its header changes as it grows
	}
	e.HeadLen, e.HeadSum = len(head), sumOf(head)
}

// mayBeCopy tells whether a file has the name of a copy of one that was read.
func (f *Follow) mayBeCopy(path string) bool {
	return slices.ContainsFunc(f.cursors.originals(path), func(c cursor) bool { return c.Path != path })
}

// settle finds out whether a file that is new is a copy; ready is false while
// rotation may just have begun to make one.
func (f *Follow) settle(e *followed) (ready bool) {
	if !e.Whole && f.mayBeCopy(e.Path) {
		if e.size < printLen && !e.gone && time.Since(e.changed) < f.o.Settle {
			return false
		}
		e.print()
		f.known(e)
	}
	e.unsure = false
	return true
}

// known finds the file that e is, or is a copy of, among those that were read.
func (f *Follow) known(e *followed) {
	for _, c := range f.cursors.originals(e.Path) {
		if c.Copy != 0 || c.Gen == e.Gen || c.HeadLen < minKnown {
			continue
		}
		if sum, ok := sumAt(e.f, 0, c.HeadLen); !ok || sum != c.HeadSum {
			continue
		}
		if tail, whole := tailAt(e.f, c.Offset); c.Offset > 0 && whole && tail != c.TailSum {
			continue
		}
		// A copy that is still being written, or of a file that is still there.
		e.Copy = c.Gen
		return
	}
}

// skipToEnd leaves out what stands in a file.
func (f *Follow) skipToEnd(e *followed) {
	if e.Whole {
		e.Done = true
	} else {
		buf := make([]byte, min(e.size, int64(f.o.Limits.Record)))
		n, _ := e.f.ReadAt(buf, e.size-int64(len(buf))) // what is not read is not left out
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 && n == len(buf) {
			head := make([]byte, min(e.size, HeadLen))
			m, _ := e.f.ReadAt(head, 0)
			e.Format = f.formatOf(head[:m])
			if names, ok := headLen(e.Format, head[:m]); ok {
				e.NamesEnd = int64(names)
			}
			e.Offset = max(e.NamesEnd, e.size-int64(len(buf))+int64(i)+1)
			if e.Format == formatEVTX {
				e.Offset = e.NamesEnd + max(0, e.size-e.NamesEnd)/evtxChunk*evtxChunk
			}
			e.TailSum, _ = tailAt(e.f, e.Offset)
		}
	}
}

func (f *Follow) formatOf(head []byte) string {
	if f.o.FileFormat != "" {
		return f.o.FileFormat
	}
	return f.o.Format.of(head)
}

// findMoved looks for a file that was renamed while nobody looked, in its folder.
func (f *Follow) findMoved(e *followed) bool {
	entries, err := os.ReadDir(filepath.Dir(e.Path))
	if err != nil || e.File == "" {
		return false
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || fileID(info) != e.File {
			continue
		}
		file, err := os.Open(filepath.Join(filepath.Dir(e.Path), entry.Name()))
		if err != nil {
			return false
		}
		if sum, ok := sumAt(file, 0, e.HeadLen); !ok || sum != e.HeadSum {
			file.Close()
			return false // another file, to which the name was given anew
		}
		e.f, e.changed = file, time.Now()
		return true
	}
	return false
}

// original decides about a file that may be a copy: ready says that it can be read.
func (f *Follow) original(e *followed) (ready bool, err error) {
	c, ok := f.cursors.get(e.Copy)
	switch {
	case !ok: // forgotten: it is as good as any file
		e.Copy = 0
		return true, nil
	case c.Ended.IsZero():
		return false, nil // that one is read as long as it is there
	}
	tail, whole := tailAt(e.f, c.Offset)
	switch {
	case !whole && time.Since(e.changed) < 12*f.o.Settle:
		return false, nil // still being copied
	case !whole:
		e.Offset, e.Copy = e.size, 0 // a copy of a part of what was read
		e.TailSum, _ = tailAt(e.f, e.Offset)
	case c.Offset > 0 && tail != c.TailSum:
		e.Copy = 0 // began alike and went on otherwise
	default:
		c.Path, c.File, c.Ended = e.Path, e.File, time.Time{}
		own := cursor{Gen: e.Gen, Gone: true}
		e.cursor = c // it is that file, as far as what was read of it goes
		if err := f.cursors.put(own); err != nil {
			return false, err
		}
	}
	return true, f.cursors.put(e.cursor)
}

// read hands on what is new in a file.
func (f *Follow) read(ctx context.Context, e *followed, sink Sink) error {
	if e.f == nil {
		if e.resting() {
			return nil
		}
		file, err := os.Open(e.Path)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil // the next scan tells
			}
			return err
		}
		if info, err := file.Stat(); err != nil || fileID(info) != e.File {
			file.Close()
			return err // another file by now: the next scan tells
		}
		e.f, e.changed = file, time.Now()
	}
	info, err := e.f.Stat()
	if err != nil {
		return err
	}
	e.last, e.rest = info, false
	if info.Size() != e.size {
		e.size, e.changed = info.Size(), time.Now()
	}
	if !e.same() {
		f.restart(e)
	}
	if e.unsure && !f.settle(e) {
		return nil
	}
	if e.Copy != 0 {
		if ready, err := f.original(e); !ready || err != nil {
			return err
		}
	}
	if e.HeadLen < printLen && e.size > int64(e.HeadLen) && e.Format != formatEVTX {
		e.print()
	}
	if e.Whole {
		return f.readWhole(ctx, e, sink)
	}
	return f.readOn(ctx, e, sink)
}

// same tells whether what was read of a file still stands in it.
func (e *followed) same() bool {
	if sum, ok := sumAt(e.f, 0, e.HeadLen); !ok || sum != e.HeadSum {
		return false
	}
	if e.Whole || e.Offset == 0 || e.Format == formatEVTX && e.Offset <= e.NamesEnd {
		return true
	}
	tail, ok := tailAt(e.f, e.Offset)
	return ok && tail == e.TailSum
}

// restart begins a new life of a file that was truncated, or whose name in the file
// system was given to another.
func (f *Follow) restart(e *followed) {
	f.end(e)
	e.cursor = cursor{Gen: f.cursors.newGen(), Path: e.Path, File: e.File}
	e.changed, e.begun, e.unsure = time.Now(), false, true
	e.print()
}

// readOn hands on the whole records behind Offset.
func (f *Follow) readOn(ctx context.Context, e *followed, sink Sink) error {
	for ctx.Err() == nil {
		if e.Pending > e.Offset && e.Pending-e.Offset <= MaxBatch {
			data := make([]byte, e.Pending-e.Offset)
			if n, _ := e.f.ReadAt(data, e.Offset); n == len(data) {
				if sent, err := f.send(ctx, e, data, e.Pending, sink); !sent || err != nil {
					return err
				}
				continue
			}
		}
		if e.size <= e.Offset {
			return nil
		}
		quiet := e.gone || time.Since(e.changed) >= f.o.Settle
		if e.Offset == 0 && !e.begun {
			begun, err := f.begin(e, quiet)
			if err != nil || !begun || e.Whole {
				return err
			}
			continue
		}
		data, cut, err := f.next(e, quiet)
		if err != nil || cut == 0 {
			return err
		}
		if at, n, names := newHead(e.Format, data[:cut]); at < cut {
			if at == 0 {
				if at+n == cut && !quiet {
					return nil // more of it may come
				}
				if names && n <= maxHead {
					e.NamesAt, e.NamesEnd = e.Offset, e.Offset+int64(n)
				}
				e.Offset += int64(n)
				e.TailSum, _ = tailAt(e.f, e.Offset)
				if err := f.cursors.put(e.cursor); err != nil {
					return err
				}
				continue
			}
			cut = at
		}
		if sent, err := f.send(ctx, e, data[:cut:cut], e.Offset+int64(cut), sink); !sent || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin finds out what a file is; begun is false while that needs more of it.
func (f *Follow) begin(e *followed, quiet bool) (begun bool, err error) {
	head := make([]byte, min(e.size, HeadLen))
	n, err := e.f.ReadAt(head, 0)
	if n < len(head) {
		return false, notEOF(err)
	}
	if bytes.IndexByte(head, '\n') < 0 && len(head) < HeadLen && !quiet {
		return false, nil
	}
	e.Format = f.formatOf(head)
	if e.Format == formatJSON && isDocument(head) {
		e.Whole = true
		return true, nil
	}
	names, ok := headLen(e.Format, head)
	if !ok && !quiet {
		return false, nil
	}
	e.begun = true
	if e.NamesEnd = int64(names); names > 0 {
		e.Offset = e.NamesEnd
		e.TailSum, _ = tailAt(e.f, e.Offset)
		return true, f.cursors.put(e.cursor)
	}
	return true, nil
}

// isDocument tells a file that is one JSON text, an array or a wrapper of records,
// from one of a record a line.
func isDocument(head []byte) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(head) == 0 {
		return false
	}
	if head[0] == '[' {
		return beginsArray(head[1:])
	}
	i := bytes.IndexByte(head, '[')
	return i > 0 && isWrapper(nil, head[:i+1])
}

// next reads whole records behind Offset: data, of which cut bytes are such. It
// leaves out what is too long for one.
func (f *Follow) next(e *followed, quiet bool) (data []byte, cut int, err error) {
	for want := int64(f.o.Limits.BatchBytes); ; want *= 2 {
		data = make([]byte, min(e.size-e.Offset, want))
		n, err := e.f.ReadAt(data, e.Offset)
		if n < len(data) {
			return nil, 0, notEOF(err)
		}
		all := int64(n) == e.size-e.Offset
		if cut = f.cut(e, data, all, quiet); cut > 0 {
			return data, cut, nil
		}
		if all && quiet && e.Format != formatEVTX {
			return data, n, nil // its end does not come
		}
		if all && n <= f.o.Limits.Record || e.Format == formatEVTX {
			return nil, 0, nil
		}
		if n > f.o.Limits.Record {
			skip := n
			if i := bytes.IndexByte(data, '\n'); i >= 0 {
				skip = i + 1
			}
			f.Refused(1, fmt.Errorf("%s: at byte %d: a record of more than %d bytes", clean(e.Path), e.Offset, f.o.Limits.Record))
			e.Offset += int64(skip)
			e.TailSum, _ = tailAt(e.f, e.Offset)
			return nil, 0, f.cursors.put(e.cursor)
		}
	}
}

// The flag of a Windows event log's header that says that it is open, or was not
// closed, and where it stands.
const (
	evtxFlagsAt = 120
	evtxDirty   = 1
	evtxMagic   = "ElfChnk\x00"
	evtxFile    = "ElfFile\x00"
)

// cut returns how much of data are whole records.
func (f *Follow) cut(e *followed, data []byte, all, quiet bool) int {
	if e.Format != formatEVTX {
		return cutRecords(e.Format, data, all && quiet)
	}
	var flags [4]byte
	if n, _ := e.f.ReadAt(flags[:], evtxFlagsAt); n < len(flags) {
		return 0
	}
	chunks := 0
	for (chunks+1)*evtxChunk <= len(data) && bytes.HasPrefix(data[chunks*evtxChunk:], []byte(evtxMagic)) {
		chunks++
	}
	dirty := binary.LittleEndian.Uint32(flags[:])&evtxDirty != 0
	if next := data[chunks*evtxChunk:]; dirty && !bytes.HasPrefix(next, []byte(evtxMagic)) && !e.gone {
		chunks-- // it is being written
	}
	return max(0, chunks) * evtxChunk
}

// send hands on the bytes from Offset to end, which data is, and moves the cursor.
// sent is false if the file was truncated while it was read, so that data may be of
// another life of it.
func (f *Follow) send(ctx context.Context, e *followed, data []byte, end int64, sink Sink) (sent bool, err error) {
	var names []byte
	if e.NamesEnd > e.NamesAt {
		names = make([]byte, e.NamesEnd-e.NamesAt)
		if n, err := e.f.ReadAt(names, e.NamesAt); n < len(names) {
			return false, notEOF(err)
		}
	}
	tail, ok := tailAt(e.f, end)
	if !ok || !e.same() {
		return false, nil
	}
	e.Pending = end
	if err := f.cursors.put(e.cursor); err != nil {
		return false, err
	}
	id := fmt.Sprintf("file-%x-%x-%x", e.Gen, e.Offset, sumOf(data))
	if data[len(data)-1] != '\n' && e.Format != formatEVTX {
		data = append(data, '\n')
	}
	if len(bytes.TrimSpace(data)) > 0 {
		if err := f.hand(ctx, e, id, names, data, sink); err != nil {
			return false, err
		}
	}
	e.Offset, e.Pending, e.TailSum = end, 0, tail
	return true, f.cursors.put(e.cursor)
}

// hand gives a batch to the sink until it is taken. One that never will be is counted
// and left out, since nothing behind it would be read otherwise.
func (f *Follow) hand(ctx context.Context, e *followed, id string, names, data []byte, sink Sink) error {
	b := model.Batch{Tenant: f.o.Tenant, ID: id, Source: f.o.Name, Peer: clean(e.Path), Format: f.o.FileFormat, Received: f.o.Now(), Head: names, Data: data}
	n := countRecords(e.Format, data)
	switch err := deliver(ctx, sink, b, &f.Counters); {
	case err == nil:
		f.Took(b, n)
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		f.Dropped(n, fmt.Errorf("%s: %d bytes at %d are left out: %w", clean(e.Path), len(data), e.Offset, err))
		f.o.Log.Error("evidence not taken", "receiver", f.o.Name, "path", clean(e.Path), "offset", e.Offset, "error", err)
	}
	return nil
}

// How long is waited until a file that cannot be unpacked to its end is read again,
// and until it is given up.
const (
	wholeRetry  = 30 * time.Second
	wholeGiveUp = time.Hour
)

// readWhole hands on a file that is complete: its batches are cut the same each time,
// so that the cursor counts them.
func (f *Follow) readWhole(ctx context.Context, e *followed, sink Sink) error {
	if e.Done || e.size == 0 || time.Since(e.changed) < f.o.Settle && !e.gone || time.Now().Before(e.retry) {
		if e.Done {
			e.close()
			e.rest = true
		}
		return nil
	}
	if e.Offset == 0 && e.Skip == 0 {
		f.knownPacked(e)
	}
	err := f.unpack(ctx, e, sink)
	var failed *sinkError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &failed):
		return failed.err
	case err != nil && time.Since(e.changed) < wholeGiveUp:
		e.retry = time.Now().Add(wholeRetry) // it may be incomplete
		return err
	}
	e.Done, e.rest = true, true
	e.close()
	return errors.Join(err, f.cursors.put(e.cursor))
}

// unpacked returns what a file unpacks to, from its beginning.
func (e *followed) unpacked() (io.Reader, func(), error) {
	o := Options{}.withDefaults()
	b := &budget{o: &o, packed: func() int64 { return e.size }}
	section := bufio.NewReaderSize(io.NewSectionReader(e.f, 0, e.size), HeadLen)
	head, _ := section.Peek(printLen) // what cannot be read shows when it is
	none := func() {}
	switch kindOf(head) {
	case gzipFile:
		z, err := gzip.NewReader(section)
		if err != nil {
			return nil, none, err
		}
		return b.unpack(z), func() { _ = z.Close() }, nil // only releases memory
	case zstdFile:
		z, err := zstd.NewReader(section, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, none, err
		}
		return b.unpack(z), z.Close, nil
	case bzip2File:
		return b.unpack(bzip2.NewReader(section)), none, nil
	}
	return section, none, nil
}

// knownPacked finds out how much of a compressed file was read before it was.
func (f *Follow) knownPacked(e *followed) {
	for _, c := range f.cursors.originals(e.Path) {
		if c.Ended.IsZero() || c.Offset < minKnown {
			continue
		}
		r, done, err := e.unpacked()
		if err != nil {
			return
		}
		head := make([]byte, c.HeadLen)
		_, err = io.ReadFull(r, head)
		if err == nil && sumOf(head) == c.HeadSum {
			n := min(c.Offset, printLen)
			if c.Offset-n >= int64(len(head)) {
				_, err = io.CopyN(io.Discard, r, c.Offset-n-int64(len(head)))
				head = head[:0]
			} else {
				head = head[c.Offset-n:]
			}
			if err == nil {
				tail := make([]byte, n)
				at := copy(tail, head)
				if _, err = io.ReadFull(r, tail[at:]); err == nil && sumOf(tail) == c.TailSum {
					e.Skip = c.Offset
				}
			}
		}
		done()
		if e.Skip > 0 {
			c.Gone = true
			if err := errors.Join(f.cursors.put(e.cursor), f.cursors.put(c)); err != nil {
				f.tell(e.Path, err)
			}
			return
		}
	}
}

// unpack hands on the batches of a complete file from the Offset-th on.
func (f *Follow) unpack(ctx context.Context, e *followed, sink Sink) error {
	r, done, err := e.unpacked()
	if err != nil {
		return err
	}
	defer done()
	var seq int64
	take := func(ctx context.Context, b model.Batch) error {
		if seq++; seq <= e.Offset {
			return nil
		}
		id := fmt.Sprintf("file-%x-w%x-%x", e.Gen, seq, sumOf(b.Data))
		if err := f.hand(ctx, e, id, b.Head, b.Data, sink); err != nil {
			return err
		}
		e.Offset = seq
		return f.cursors.put(e.cursor)
	}
	p := &packer{sink: take, limits: f.o.Limits, counts: new(Counters), now: f.o.Now}
	br := bufio.NewReaderSize(r, HeadLen)
	head, _ := br.Peek(HeadLen) // what cannot be read shows when it is
	e.Format = f.formatOf(head)
	refused := func(n int64, cause string) { f.Refused(1, fmt.Errorf("%s: record %d: %s", clean(e.Path), n, cause)) }
	if e.Format == formatJSON && e.Skip == 0 {
		j := &jsonReader{r: br, max: f.o.Limits.Record}
		for {
			object, err := j.next()
			var bad *recordError
			switch {
			case errors.As(err, &bad):
				refused(bad.Record, bad.Cause)
				continue
			case errors.Is(err, io.EOF):
				return p.flush(ctx)
			case err != nil:
				return err
			}
			if err := p.add(ctx, object); err != nil {
				return err
			}
		}
	}
	s := &textStream{r: br, p: p, refused: refused, kind: e.Format}
	if e.Skip > 0 {
		if n, ok := headLen(e.Format, head); ok {
			s.head = bytes.Clone(head[:n])
		}
		s.begun = true
		if _, err := io.CopyN(io.Discard, br, e.Skip); err != nil {
			return err
		}
	}
	return s.run(ctx)
}
