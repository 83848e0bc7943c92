package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// A log is a write-ahead file: events that are on disk and in no segment yet. It begins
// with a header and goes on in frames, each a number of rows in zstd under a checksum. A
// batch is one or more frames, the last of them marked: what has no mark was not
// acknowledged and is dropped when the file is read again.
type log struct {
	path   string
	f      *os.File
	base   int64  // number of its first row
	start  uint64 // position in the stream before its first batch
	frames []frame
	size   int64 // of the whole batches
	rows   int
	raw    int64 // bytes of its rows, not compressed
	first  int64 // when its first row was received, in microseconds; 0 if it has none
	pos    uint64
	broken bool // its end is in doubt: nothing is added to it any more

	refs atomic.Int64 // of searches
	gone atomic.Bool
}

// A frame is what is known of one frame without reading it.
type frame struct {
	at       int64 // of its header in the file
	packed   uint32
	raw      uint32
	rows     uint32
	last     bool // of its batch
	pos      uint64
	seq      int64 // of its first row
	min, max int64 // times of its rows
	received int64 // the latest
}

// The form of a log file. Numbers are little endian.
const (
	logMagic    = "CtEvLog1"
	logHeader   = len(logMagic) + 8 + 8 + 4 // magic, base, start, CRC-32C
	frameHeader = 4 + 4 + 4 + 4 + 4 + 4 + 8 + 8 + 8 + 8 + 8
	frameTarget = 1 << 20              // bytes of rows after which a frame is closed
	frameMost   = frameTarget + 32<<20 // and with one more row at most
	frameRows   = 1 << 20
	logSuffix   = ".wal"
)

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// createLog makes a log file that begins after a position, with rows from base on. The
// names of logs sort in the order in which they were made.
func createLog(dir string, base int64, start uint64) (*log, error) {
	l := &log{base: base, start: start, pos: start}
	l.refs.Store(1)
	var f *os.File
	for n := 0; ; n++ { // one of that base may be there that never got a row
		l.path = filepath.Join(dir, fmt.Sprintf("log-%019d-%03d%s", base, n, logSuffix))
		var err error
		f, err = os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) || n == 999 {
			return nil, err
		}
	}
	var err error
	b := append([]byte(nil), logMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(base))
	b = binary.LittleEndian.AppendUint64(b, start)
	b = binary.LittleEndian.AppendUint32(b, castagnoli(b))
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(l.path))
	}
	l.f, l.size = f, int64(len(b))
	return l, nil
}

// openLog reads what of a log file is whole. damaged says what is wrong with what follows;
// torn that this is how a batch looks that was being written when its writer died.
func openLog(path string) (l *log, damaged error, torn bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, false, err
	}
	l = &log{path: path, f: f}
	l.refs.Store(1)
	head := make([]byte, logHeader)
	if _, err := io.ReadFull(f, head); err != nil || string(head[:len(logMagic)]) != logMagic || castagnoli(head[:logHeader-4]) != binary.LittleEndian.Uint32(head[logHeader-4:]) {
		return nil, nil, false, errors.Join(fmt.Errorf("%w: %s does not begin as a log of events", ErrDamaged, path), f.Close())
	}
	l.base = int64(binary.LittleEndian.Uint64(head[len(logMagic):]))
	l.start = binary.LittleEndian.Uint64(head[len(logMagic)+8:])
	l.pos, l.size = l.start, int64(logHeader)
	st, err := f.Stat()
	if err != nil {
		return nil, nil, false, errors.Join(err, f.Close())
	}
	var batch []frame
	seq, at := l.base, l.size
	for at < st.Size() {
		fr, err := l.check(at, st.Size(), seq)
		if errors.Is(err, ErrDamaged) {
			return l, err, l.torn(at, st.Size(), fr), nil
		}
		if err != nil {
			return nil, nil, false, errors.Join(err, f.Close())
		}
		batch = append(batch, fr)
		at += int64(frameHeader) + int64(fr.packed)
		seq += int64(fr.rows)
		if fr.last {
			l.add(batch, at)
			batch = nil
		}
	}
	return l, nil, false, nil
}

// torn says whether a frame that is not right is the last and was not written to its end,
// or is one for which the file system made room and no more.
func (l *log) torn(at, size int64, fr frame) bool {
	if size-at < frameHeader || fr.packed > 0 && int64(fr.packed) > size-at-frameHeader {
		return true
	}
	b := make([]byte, min(size-at, 1<<20))
	if _, err := l.f.ReadAt(b, at); err != nil {
		return false
	}
	return len(bytes.Trim(b, "\x00")) == 0
}

// setAside copies what follows the whole batches into a file beside the log, for people to
// look at, and names it.
func (l *log) setAside() (string, error) {
	st, err := l.f.Stat()
	if err != nil {
		return "", err
	}
	path := fmt.Sprintf("%s-%d.damaged", l.path, l.size)
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, io.NewSectionReader(l.f, l.size, st.Size()-l.size))
	if err == nil {
		err = out.Sync()
	}
	return path, errors.Join(err, out.Close())
}

// add takes a whole batch in that ends at a place in the file.
func (l *log) add(batch []frame, end int64) {
	for _, fr := range batch {
		if fr.rows == 0 {
			continue // it only moved the position
		}
		l.frames = append(l.frames, fr)
		l.rows += int(fr.rows)
		l.raw += int64(fr.raw)
		if l.first == 0 {
			l.first = fr.received
		}
	}
	l.pos, l.size = batch[len(batch)-1].pos, end
}

// next is the number of the row that comes after its last.
func (l *log) next() int64 { return l.base + int64(l.rows) }

// check reads the frame at a place and checks it.
func (l *log) check(at, size, seq int64) (frame, error) {
	head := make([]byte, frameHeader)
	if size-at < frameHeader {
		return frame{}, fmt.Errorf("%w: %s ends within a frame at byte %d", ErrDamaged, l.path, at)
	}
	if _, err := l.f.ReadAt(head, at); err != nil {
		return frame{}, err
	}
	fr, sum, err := parseFrame(head)
	if err != nil || int64(fr.packed) > size-at-frameHeader || fr.seq != seq {
		return fr, fmt.Errorf("%w: %s has no frame at byte %d", ErrDamaged, l.path, at)
	}
	fr.at = at
	b := make([]byte, frameHeader+int(fr.packed))
	if _, err := l.f.ReadAt(b, at); err != nil {
		return fr, err
	}
	if castagnoli(b[8:]) != sum {
		return fr, fmt.Errorf("%w: %s: the frame at byte %d is not as it was written", ErrDamaged, l.path, at)
	}
	return fr, nil
}

// parseFrame reads the header of a frame.
func parseFrame(b []byte) (fr frame, sum uint32, err error) {
	if len(b) < frameHeader {
		return fr, 0, errRow
	}
	le := binary.LittleEndian
	fr.packed, sum = le.Uint32(b), le.Uint32(b[4:])
	fr.raw, fr.rows = le.Uint32(b[8:]), le.Uint32(b[12:])
	fr.last = le.Uint32(b[16:]) == 1 // b[20:24] is free
	fr.pos, fr.seq = le.Uint64(b[24:]), int64(le.Uint64(b[32:]))
	fr.min, fr.max, fr.received = int64(le.Uint64(b[40:])), int64(le.Uint64(b[48:])), int64(le.Uint64(b[56:]))
	if fr.packed > frameMost+frameMost/64 || fr.raw > frameMost || fr.rows > frameRows || fr.seq < 0 || fr.seq > math.MaxInt64/2 || fr.rows > 0 && fr.raw == 0 {
		return fr, sum, errRow
	}
	return fr, sum, nil
}

func (fr *frame) header(packed []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 8, frameHeader+len(packed))
	le.PutUint32(b, uint32(len(packed)))
	b = le.AppendUint32(b, fr.raw)
	b = le.AppendUint32(b, fr.rows)
	var last uint32
	if fr.last {
		last = 1
	}
	b = le.AppendUint32(b, last)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, fr.pos)
	b = le.AppendUint64(b, uint64(fr.seq))
	b = le.AppendUint64(b, uint64(fr.min))
	b = le.AppendUint64(b, uint64(fr.max))
	b = le.AppendUint64(b, uint64(fr.received))
	b = append(b, packed...)
	le.PutUint32(b[4:], castagnoli(b[8:]))
	return b
}

// write writes a batch of rows: with nil it is on disk, and add makes it part of the log;
// with an error nothing of it is there.
func (l *log) write(zip *zstd.Encoder, pos uint64, rows []Row) (batch []frame, end int64, err error) {
	end = l.size
	seq := l.next()
	var buf []byte
	for first := true; first || len(rows) > 0; first = false {
		buf = buf[:0]
		fr := frame{at: end, pos: pos, seq: seq, min: math.MaxInt64, max: math.MinInt64}
		for len(rows) > 0 && len(buf) < frameTarget && fr.rows < frameRows {
			r := &rows[0]
			if r.Position == 0 {
				r.Position = pos
			}
			buf = appendRow(buf, r)
			at := clampMicro(r.Time)
			fr.min, fr.max = min(fr.min, at), max(fr.max, at)
			fr.received = max(fr.received, clampMicro(r.Received))
			fr.rows++
			rows = rows[1:]
		}
		fr.raw, fr.last = uint32(len(buf)), len(rows) == 0
		var packed []byte
		if fr.rows > 0 {
			packed = zip.EncodeAll(buf, nil)
		}
		fr.packed = uint32(len(packed))
		b := fr.header(packed)
		if _, err := l.f.WriteAt(b, end); err != nil {
			l.undo()
			return nil, 0, err
		}
		end += int64(len(b))
		seq += int64(fr.rows)
		batch = append(batch, fr)
	}
	if err := l.f.Sync(); err != nil {
		// What is on disk after this nobody knows: the file is not written to again.
		l.broken = true
		l.undo()
		return nil, 0, err
	}
	return batch, end, nil
}

// undo cuts off what was written of a batch that failed. If even that fails, a next batch
// must not follow it.
func (l *log) undo() {
	if l.f.Truncate(l.size) != nil {
		l.broken = true
	}
}

// read returns the rows of a frame as they are encoded.
func (l *log) read(unzip *zstd.Decoder, fr *frame, buf []byte) ([]byte, error) {
	packed := make([]byte, fr.packed)
	if _, err := l.f.ReadAt(packed, fr.at+frameHeader); err != nil {
		return nil, fmt.Errorf("read %s at byte %d: %w", l.path, fr.at, err)
	}
	b, err := unzip.DecodeAll(packed, buf[:0])
	if err != nil || len(b) != int(fr.raw) {
		return nil, fmt.Errorf("%w: %s: the frame at byte %d (%w)", ErrDamaged, l.path, fr.at, err)
	}
	return b, nil
}

// each calls fn for the rows of a frame, with their places in b.
func (fr *frame) each(b []byte, fn func(i int, r *Row) error) error {
	var r Row
	var err error
	for i := range int(fr.rows) {
		if b, err = readRow(b, &r); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		r.Seq = fr.seq + int64(i)
		if err := fn(i, &r); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the files, as soon as nobody reads them.
func (l *log) drop() error {
	l.gone.Store(true)
	return l.release()
}

func (l *log) acquire() { l.refs.Add(1) }

// release lets go; who lets go last of a log that is no longer needed removes it.
func (l *log) release() error {
	if l.refs.Add(-1) == 0 && l.gone.Load() {
		return errors.Join(l.f.Close(), os.Remove(l.path))
	}
	return nil
}

// syncDir makes names in a folder durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrInvalid) || errors.Is(err, os.ErrPermission) {
		err = nil // Windows cannot
	}
	return errors.Join(err, d.Close())
}
