// Package journal is an append-only file of checksummed records, cut into segments.
// It is what the live engine folds again after a restart, and where memory finds the
// acts that it holds no more.
//
// A segment is a file NNNNNNNNNNNNNNNN.journal (its number in hexadecimal): a head of 16
// bytes (magic "CatJrnl1", the number, little-endian), then records, each four bytes of length, four of CRC-32C over
// length and bytes, and the bytes. There is no index: a record is found again by its
// Place. What a crash left half-written at the end is cut away when the journal is
// opened, and Repairs says so; a record that rotted further ahead ends what can be
// read of its segment, and the segments after it go on.
//
// Appended records can be read at once, and survive a crash once Sync returned.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MaxRecord bounds one record, in bytes.
const MaxRecord = 256 << 20

const (
	magic     = "CatJrnl1"
	headSize  = 16
	frameSize = 8
	suffix    = ".journal"
)

// ErrDamaged says that a record is not what was written.
var ErrDamaged = errors.New("the journal is damaged")

// A Place is where a record stands: in which segment, and the offset of its frame there.
type Place struct {
	Segment uint64
	Offset  int64
}

// Before says whether p lies ahead of q.
func (p Place) Before(q Place) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

// A Repair says what was cut away from, or cannot be read of, a segment.
type Repair struct {
	Place Place  // from where on
	Bytes int64  // how many
	Cause string // why
	Cut   bool   // away from the file: it was the end of the last segment, never acknowledged
}

// String says the repair in a sentence.
func (r Repair) String() string {
	what := "cannot be read"
	if r.Cut {
		what = "were cut away: a crash left them half-written"
	}
	return fmt.Sprintf("segment %016x of the journal: %d bytes from %d on %s (%s)", r.Place.Segment, r.Bytes, r.Place.Offset, what, r.Cause)
}

// A segment is one open file.
type segment struct {
	number uint64
	file   *os.File
	size   int64 // good bytes
}

// A Journal is one folder of segments. One goroutine appends, cuts and drops; any number
// read meanwhile. One process has it at a time.
type Journal struct {
	dir     string
	repairs []Repair

	mu       sync.RWMutex
	segments []*segment // in order; the last is written to
	broken   error      // of a write or sync: what is on disk is not known any more
}

// Open reads the journal in dir, making it when missing, and verifies every record of
// it. The error names the folder and the cause.
func Open(dir string) (*Journal, error) {
	j := &Journal{dir: dir}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal in %s: %w", dir, err), j.Close())
	}
	return j, nil
}

func (j *Journal) open() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, e := range names {
		number, ok := numberOf(e.Name())
		if !ok {
			continue
		}
		f, err := os.OpenFile(filepath.Join(j.dir, e.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		j.segments = append(j.segments, &segment{number: number, file: f})
	}
	slices.SortFunc(j.segments, func(a, b *segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	for i, s := range j.segments {
		if err := j.verify(s, i == len(j.segments)-1); err != nil {
			return err
		}
	}
	if len(j.segments) == 0 {
		return j.start(1)
	}
	return nil
}

func numberOf(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

// verify reads a segment through and finds where its good records end. Of the last one
// the rest is cut away.
func (j *Journal) verify(s *segment, last bool) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	end, cause, err := walk(s.file, s.number, info.Size(), nil)
	if err != nil {
		return err
	}
	s.size = end
	if cause == "" {
		return nil
	}
	r := Repair{Place{s.number, end}, info.Size() - end, cause, last}
	if last {
		if end < headSize { // the crash came while the segment was made
			if err := writeHead(s.file, s.number); err != nil {
				return err
			}
			s.size = headSize
		}
		if err := s.file.Truncate(s.size); err != nil {
			return err
		}
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	if r.Bytes > 0 || !last {
		j.repairs = append(j.repairs, r)
	}
	return nil
}

// walk visits the records of a segment of that size until one is not whole. It returns
// where the good ones end and why the rest is not, empty if there is no rest.
func walk(f io.ReaderAt, number uint64, size int64, visit func(offset int64, record []byte) error) (end int64, cause string, err error) {
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<20)
	var head [headSize]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, "it has no head", readError(err)
	}
	if string(head[:8]) != magic || binary.LittleEndian.Uint64(head[8:]) != number {
		return 0, "it has no head of ours", nil
	}
	end = headSize
	var buf []byte
	for end < size {
		var frame [frameSize]byte
		if _, err := io.ReadFull(in, frame[:]); err != nil {
			return end, "a record without its length", readError(err)
		}
		n := int64(binary.LittleEndian.Uint32(frame[:]))
		if n == 0 || n > MaxRecord || n > size-end-frameSize {
			return end, "a record longer than what is there", nil
		}
		if int64(cap(buf)) < n {
			buf = make([]byte, n+n/4)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(in, buf); err != nil {
			return end, "a record that breaks off", readError(err)
		}
		if sum(frame[:4], buf) != binary.LittleEndian.Uint32(frame[4:]) {
			return end, "a record with a wrong checksum", nil
		}
		if visit != nil {
			if err := visit(end, buf); err != nil {
				return end, "", err
			}
		}
		end += frameSize + n
	}
	return end, "", nil
}

// readError is nil for an input that merely ended.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func sum(length, record []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli) // made once and kept by the package
	return crc32.Update(crc32.Checksum(length, t), t, record)
}

func writeHead(f *os.File, number uint64) error {
	head := binary.LittleEndian.AppendUint64([]byte(magic), number)
	_, err := f.WriteAt(head, 0)
	return err
}

// start makes a segment and leaves it the one that is written to.
func (j *Journal) start(number uint64) error {
	name := filepath.Join(j.dir, fmt.Sprintf("%016x%s", number, suffix))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeHead(f, number); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := syncFolder(j.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	j.segments = append(j.segments, &segment{number, f, headSize})
	return nil
}

// syncFolder makes the names in a folder durable. Systems that cannot do that keep them
// without.
func syncFolder(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the journal's own folder
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Repairs lists what Open cut away or could not read.
func (j *Journal) Repairs() []Repair { return j.repairs }

// Append writes a record behind all others and returns where it stands. Afterwards it
// can be read; it survives a crash once Sync returned. After an error nothing more is
// written: what is on disk is known again when the journal is opened anew.
func (j *Journal) Append(record []byte) (Place, error) {
	if len(record) == 0 || len(record) > MaxRecord {
		return Place{}, fmt.Errorf("append to the journal: a record of %d bytes, want 1 to %d", len(record), MaxRecord)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return Place{}, j.broken
	}
	s := j.segments[len(j.segments)-1]
	frame := make([]byte, frameSize, frameSize+len(record))
	binary.LittleEndian.PutUint32(frame, uint32(len(record))) //nolint:gosec // at most MaxRecord
	binary.LittleEndian.PutUint32(frame[4:], sum(frame[:4], record))
	if _, err := s.file.WriteAt(append(frame, record...), s.size); err != nil {
		j.broken = fmt.Errorf("append to the journal in %s: %w (free disk space; it is opened again where it was whole)", j.dir, err)
		return Place{}, j.broken
	}
	at := Place{s.number, s.size}
	s.size += frameSize + int64(len(record))
	return at, nil
}

// Sync makes all that was appended survive a crash.
func (j *Journal) Sync() error {
	j.mu.RLock()
	s, err := j.segments[len(j.segments)-1], j.broken
	j.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		// After a failed sync the system may have dropped what it could not write:
		// trying again would call lost what is lost well.
		j.mu.Lock()
		defer j.mu.Unlock()
		j.broken = fmt.Errorf("make the journal in %s durable: %w", j.dir, err)
		return j.broken
	}
	return nil
}

// Cut ends the segment that is written to, durably, and starts the next one, whose
// number it returns.
func (j *Journal) Cut() (uint64, error) {
	if err := j.Sync(); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	next := j.segments[len(j.segments)-1].number + 1
	if err := j.start(next); err != nil {
		j.broken = fmt.Errorf("start a segment of the journal in %s: %w", j.dir, err)
		return 0, j.broken
	}
	return next, nil
}

// Truncate takes back the records from p on, which is in the last segment.
func (j *Journal) Truncate(p Place) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.segments[len(j.segments)-1]
	if p.Segment != s.number || p.Offset < headSize || p.Offset > s.size {
		return fmt.Errorf("truncate the journal: %v lies not in its last segment", p)
	}
	if err := s.file.Truncate(p.Offset); err != nil {
		return err
	}
	s.size = p.Offset
	return s.file.Sync()
}

// Segments returns the numbers of the segments, ascending; the last is written to.
func (j *Journal) Segments() []uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	out := make([]uint64, len(j.segments))
	for i, s := range j.segments {
		out[i] = s.number
	}
	return out
}

// End is where the next record will stand.
func (j *Journal) End() Place {
	j.mu.RLock()
	defer j.mu.RUnlock()
	s := j.segments[len(j.segments)-1]
	return Place{s.number, s.size}
}

// Begin is where the first record of the last segment stands, or will.
func (j *Journal) Begin() Place {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return Place{j.segments[len(j.segments)-1].number, headSize}
}

// Bytes is how much disk the journal takes.
func (j *Journal) Bytes() int64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	n := int64(0)
	for _, s := range j.segments {
		n += s.size
	}
	return n
}

// Each visits the records from a segment on, in order. The bytes are visit's until it
// returns. An error is visit's, or that of reading.
func (j *Journal) Each(from uint64, visit func(Place, []byte) error) error {
	j.mu.RLock()
	segments := slices.Clone(j.segments)
	sizes := make([]int64, len(segments))
	for i, s := range segments {
		sizes[i] = s.size
	}
	j.mu.RUnlock()
	for i, s := range segments {
		if s.number < from {
			continue
		}
		_, cause, err := walk(s.file, s.number, sizes[i], func(offset int64, record []byte) error {
			return visit(Place{s.number, offset}, record)
		})
		if err == nil && cause != "" && sizes[i] >= headSize {
			err = fmt.Errorf("segment %016x in %s: %w: %s", s.number, j.dir, ErrDamaged, cause)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Read returns the record at p, in buf if that has room. An error wraps ErrDamaged if it
// is not what was written.
func (j *Journal) Read(p Place, buf []byte) ([]byte, error) {
	j.mu.RLock()
	i, ok := slices.BinarySearchFunc(j.segments, p.Segment, func(s *segment, n uint64) int {
		if s.number < n {
			return -1
		}
		if s.number > n {
			return 1
		}
		return 0
	})
	if !ok {
		j.mu.RUnlock()
		return nil, fmt.Errorf("segment %016x of the journal in %s: %w", p.Segment, j.dir, os.ErrNotExist)
	}
	s, size := j.segments[i], j.segments[i].size
	j.mu.RUnlock()
	bad := func(cause string) error {
		return fmt.Errorf("segment %016x in %s at %d: %w: %s", p.Segment, j.dir, p.Offset, ErrDamaged, cause)
	}
	if p.Offset < headSize || p.Offset+frameSize > size {
		return nil, bad("no record stands there")
	}
	var frame [frameSize]byte
	if _, err := s.file.ReadAt(frame[:], p.Offset); err != nil {
		return nil, fmt.Errorf("read the journal in %s: %w", j.dir, err)
	}
	n := int64(binary.LittleEndian.Uint32(frame[:]))
	if n == 0 || n > MaxRecord || n > size-p.Offset-frameSize {
		return nil, bad("no record stands there")
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := s.file.ReadAt(buf, p.Offset+frameSize); err != nil {
		return nil, fmt.Errorf("read the journal in %s: %w", j.dir, err)
	}
	if sum(frame[:4], buf) != binary.LittleEndian.Uint32(frame[4:]) {
		return nil, bad("a wrong checksum")
	}
	return buf, nil
}

// Drop removes the segments before that number. The last one stays.
func (j *Journal) Drop(before uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for len(j.segments) > 1 && j.segments[0].number < before {
		s := j.segments[0]
		j.segments = j.segments[1:]
		errs = append(errs, s.file.Close(), os.Remove(s.file.Name()))
	}
	return errors.Join(errs...)
}

// Close lets go of the files. What was not synced may be lost in a crash that follows.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.file.Close())
	}
	j.segments = nil
	if j.broken == nil {
		j.broken = errors.New("the journal is closed")
	}
	return errors.Join(errs...)
}
