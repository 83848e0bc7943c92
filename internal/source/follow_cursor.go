package source

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A cursor says how far one file was handed on. A file is known again by what the
// file system calls it and by its first bytes, not by its name; where the file
// system's name is new, as after a copy, by its first bytes and those before Offset.
type cursor struct {
	Gen  int64  `json:"gen"`  // numbers the files, and each life of one that was truncated
	Path string `json:"path"` // where it was seen last
	File string `json:"file"` // device and inode; empty if the system tells none

	HeadLen int    `json:"head_len"` // how many of its first bytes HeadSum is of
	HeadSum uint64 `json:"head_sum"`
	TailSum uint64 `json:"tail_sum"` // of the bytes before Offset, at most printLen

	// Offset is how far it was handed on: in bytes, or for a Whole file in batches.
	Offset int64 `json:"offset"`
	// Pending is where the batch ends that was under way: the same bytes are handed on
	// again, under the same ID.
	Pending int64 `json:"pending,omitempty"`
	// Format is the decoder's name, once known, and [NamesAt, NamesEnd) where its
	// column names stand.
	Format   string `json:"format,omitempty"`
	NamesAt  int64  `json:"names_at,omitempty"`
	NamesEnd int64  `json:"names_end,omitempty"`
	// Whole marks a file that is read from its beginning when it is complete: a
	// compressed one, or one JSON document. Skip is how many bytes of what it unpacks
	// to were read before it was compressed.
	Whole bool  `json:"whole,omitempty"`
	Skip  int64 `json:"skip,omitempty"`
	Done  bool  `json:"done,omitempty"` // a Whole file that was read to its end
	// Copy is the Gen of the file that this one is a copy of: it is read once that
	// ends, from where that ended.
	Copy int64 `json:"copy,omitempty"`
	// Ended is when the file was found gone or truncated; its cursor is kept for a
	// copy of it to be known.
	Ended time.Time `json:"ended,omitzero"`
	Gone  bool      `json:"gone,omitempty"` // in the journal: forget it
}

// printLen is how many bytes a file is known by, at its head and before Offset.
const printLen = 1024

// Bounds of the cursors of one follower.
const (
	maxFollowed  = 10_000
	maxEnded     = 2_000
	keepEnded    = 8 * 24 * time.Hour
	compactAfter = 4 << 20 // bytes of the journal
)

// A cursorFile keeps cursors as a journal: each change is a line of a checksum and
// the cursor, so that a kill at any point leaves those before it. A torn last line
// is cut off; what is damaged in the midst ends what is read, and files are read
// again from there on.
type cursorFile struct {
	path   string
	now    func() time.Time
	mu     sync.Mutex
	f      *os.File
	size   int64
	synced time.Time
	all    map[int64]cursor // by Gen; what the journal says
	next   int64            // Gen

	// byStem are the Gens of files whose names begin alike, by folder and stem: a
	// folder of thousands is not gone through for each of them.
	byStem map[string]map[int64]bool
}

// openCursors reads the journal at path, or begins one.
func openCursors(path string, now func() time.Time) (*cursorFile, error) {
	c := &cursorFile{path: path, now: now, all: map[int64]cursor{}, next: 1, byStem: map[string]map[int64]bool{}}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		one, ok := parseCursor(line)
		if !ok {
			break
		}
		c.keep(one)
	}
	return c, c.compact()
}

func parseCursor(line []byte) (c cursor, ok bool) {
	sum, body, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || line[len(line)-1] != '\n' || crc32.ChecksumIEEE(body) != uint32(want) {
		return c, false
	}
	if json.Unmarshal(body, &c) != nil {
		return c, false
	}
	ok = c.Gen > 0 && c.Offset >= 0 && c.HeadLen >= 0 && c.HeadLen <= printLen && c.NamesAt >= 0 && c.NamesAt <= c.NamesEnd && c.NamesEnd-c.NamesAt <= maxHead && c.Skip >= 0
	return c, ok
}

func (c *cursorFile) keep(one cursor) {
	c.next = max(c.next, one.Gen+1)
	old, known := c.all[one.Gen]
	if known && (one.Gone || old.Path != one.Path) {
		c.drop(old)
	}
	if one.Gone {
		return
	}
	c.all[one.Gen] = one
	if !known || old.Path != one.Path {
		key := stemOf(one.Path)
		if c.byStem[key] == nil {
			c.byStem[key] = map[int64]bool{}
		}
		c.byStem[key][one.Gen] = true
	}
}

func (c *cursorFile) drop(one cursor) {
	delete(c.all, one.Gen)
	key := stemOf(one.Path)
	if delete(c.byStem[key], one.Gen); len(c.byStem[key]) == 0 {
		delete(c.byStem, key)
	}
}

// stemOf is the folder of a log and its name without what rotation adds to it.
func stemOf(path string) string { return filepath.Join(filepath.Dir(path), stem(path)) }

// originals returns the cursors of files of which one at path may be a rotated copy,
// the newest first: those whose names are shorter, beside it.
func (c *cursorFile) originals(path string) []cursor {
	dir, name := filepath.Dir(path), filepath.Base(path)
	var found []cursor
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := 1; n < len(name); n++ {
		for gen := range c.byStem[filepath.Join(dir, name[:n])] {
			if one := c.all[gen]; !one.Whole {
				found = append(found, one)
			}
		}
	}
	slices.SortFunc(found, func(a, b cursor) int { return cmp.Compare(b.Gen, a.Gen) })
	return found
}

// newGen numbers a file that was not seen before.
func (c *cursorFile) newGen() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.next - 1
}

// put writes a cursor. After a kill of the process it is there; after a loss of power
// that of a second ago may be, and what was handed on since is known again by its ID.
func (c *cursorFile) put(one cursor) error {
	body, err := json.Marshal(one)
	if err != nil {
		return err
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(body), body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(one)
	n, err := c.f.Write(line)
	c.size += int64(n)
	if err != nil {
		// Cut off half a line, which would hide those after it.
		c.size -= int64(n)
		if terr := c.f.Truncate(c.size); terr != nil {
			return errors.Join(err, terr)
		}
		_, serr := c.f.Seek(c.size, io.SeekStart)
		return errors.Join(fmt.Errorf("%s: %w: make room on the disk, files are not read on until then", c.path, err), serr)
	}
	if c.size > compactAfter {
		return c.compact()
	}
	if now := c.now(); now.Sub(c.synced) > time.Second {
		c.synced = now
		return c.f.Sync()
	}
	return nil
}

// compact writes the journal anew, without what was overtaken.
func (c *cursorFile) compact() error {
	c.forget()
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*.tmp")
	if err != nil {
		return err
	}
	fail := func(err error) error {
		f.Close()
		return errors.Join(err, os.Remove(f.Name()))
	}
	w := bufio.NewWriter(f)
	size := int64(0)
	for _, gen := range slices.Sorted(maps.Keys(c.all)) {
		body, err := json.Marshal(c.all[gen])
		if err != nil {
			return fail(err)
		}
		n, err := fmt.Fprintf(w, "%08x %s\n", crc32.ChecksumIEEE(body), body)
		if err != nil {
			return fail(err)
		}
		size += int64(n)
	}
	if err := w.Flush(); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if err := os.Rename(f.Name(), c.path); err != nil {
		return fail(err)
	}
	if c.f != nil {
		c.f.Close()
	}
	c.f, c.size, c.synced = f, size, c.now()
	return nil
}

// forget drops the cursors of files that ended long ago, and the oldest of too many.
func (c *cursorFile) forget() {
	var ended []cursor
	for _, one := range c.all {
		if !one.Ended.IsZero() {
			ended = append(ended, one)
		}
	}
	slices.SortFunc(ended, func(a, b cursor) int { return cmp.Or(a.Ended.Compare(b.Ended), cmp.Compare(a.Gen, b.Gen)) })
	for i, one := range ended {
		if len(ended)-i > maxEnded || c.now().Sub(one.Ended) > keepEnded {
			c.drop(one)
		}
	}
}

// list returns all cursors, the oldest first.
func (c *cursorFile) list() []cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]cursor, 0, len(c.all))
	for _, gen := range slices.Sorted(maps.Keys(c.all)) {
		all = append(all, c.all[gen])
	}
	return all
}

// get returns a cursor by its Gen.
func (c *cursorFile) get(gen int64) (cursor, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.all[gen]
	return one, ok
}

func (c *cursorFile) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.f.Sync(), c.f.Close())
}
