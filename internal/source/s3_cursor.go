package source

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An s3Cursor remembers in a file which objects of a bucket were taken. Those last
// modified before a floor all were; of the others each is remembered. The floor stays
// some way behind the newest object, because objects appear in no strict order of
// their times.
//
// The file is a line for what it is of, and then a line each for the floor and for
// objects, appended as they are taken; it is written anew when most lines are
// outdated.
type s3Cursor struct {
	path string
	head string

	mu    sync.Mutex
	file  *os.File
	lines int
	floor int64 // seconds since 1970
	seen  map[s3Object]int64
}

// An s3Object is an object in one version: what key and entity tag hash to.
type s3Object [16]byte

func s3ObjectOf(key, etag string) s3Object {
	sum := sha256.Sum256([]byte(key + "\x00" + etag))
	return s3Object(sum[:16])
}

const (
	s3Overlap   = 24 * time.Hour // how far the floor stays behind
	maxS3Seen   = 2_000_000      // objects remembered at once
	maxS3Line   = 200
	s3CursorTag = "catena-s3-cursor 1 "
)

// openS3Cursor reads the cursor at path, or begins one; of says which bucket it is of.
// What a crash left half written at its end is cut off.
func openS3Cursor(path, of string) (*s3Cursor, error) {
	sum := sha256.Sum256([]byte(of))
	c := &s3Cursor{path: path, head: s3CursorTag + hex.EncodeToString(sum[:8]), floor: math.MinInt64, seen: map[s3Object]int64{}}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := c.read(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.file = f
	return c, nil
}

// read reads the file and leaves it positioned after the last whole line.
func (c *s3Cursor) read(f *os.File) error {
	r := bufio.NewReaderSize(f, maxS3Line)
	at := int64(0)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break // without its end it was not written whole
		}
		if err != nil {
			return fmt.Errorf("line %d: %w: this is no cursor of a bucket; remove it to read the bucket from its start", c.lines+1, err)
		}
		if err := c.line(strings.TrimSuffix(string(line), "\n")); err != nil {
			return fmt.Errorf("line %d: %w", c.lines+1, err)
		}
		c.lines++
		at += int64(len(line))
	}
	if err := f.Truncate(at); err != nil {
		return err
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	if c.lines == 0 {
		if _, err := f.WriteString(c.head + "\n"); err != nil {
			return err
		}
		c.lines++
		return f.Sync()
	}
	c.raise(c.floor)
	return nil
}

func (c *s3Cursor) line(text string) error {
	if c.lines == 0 {
		if text != c.head {
			return errors.New("this is a cursor of another bucket or prefix: give each receiver a name of its own, or remove the file to read the bucket from its start")
		}
		return nil
	}
	what, when, _ := strings.Cut(text, " ")
	t, err := strconv.ParseInt(when, 10, 64)
	if err != nil {
		return fmt.Errorf("%q has no time: remove the file to read the bucket from its start", clip(text, 80))
	}
	if what == "floor" {
		c.floor = max(c.floor, t)
		return nil
	}
	var o s3Object
	if n, err := hex.Decode(o[:], []byte(what)); err != nil || n != len(o) || len(c.seen) >= 2*maxS3Seen {
		return fmt.Errorf("%q is no object: remove the file to read the bucket from its start", clip(text, 80))
	}
	c.seen[o] = t
	return nil
}

// known tells whether an object was taken.
func (c *s3Cursor) known(o s3Object, modified time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if modified.Unix() < c.floor {
		return true
	}
	_, ok := c.seen[o]
	return ok
}

// took remembers an object, on disk when it returns.
func (c *s3Cursor) took(o s3Object, modified time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[o] = modified.Unix()
	return c.append(hex.EncodeToString(o[:]), modified.Unix())
}

func (c *s3Cursor) append(what string, when int64) error {
	if _, err := c.file.WriteString(what + " " + strconv.FormatInt(when, 10) + "\n"); err != nil {
		return err
	}
	c.lines++
	return c.file.Sync()
}

// passed is called after all objects that a listing showed were taken, the newest of
// them modified at newest.
func (c *s3Cursor) passed(newest time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	floor := newest.Add(-s3Overlap).Unix()
	if len(c.seen) > maxS3Seen {
		times := make([]int64, 0, len(c.seen))
		for _, t := range c.seen {
			times = append(times, t)
		}
		slices.Sort(times)
		floor = max(floor, times[len(times)/2])
	}
	if floor > c.floor {
		c.raise(floor)
		if err := c.append("floor", floor); err != nil {
			return err
		}
	}
	if c.lines < 2*len(c.seen)+1000 {
		return nil
	}
	return c.rewrite()
}

func (c *s3Cursor) raise(floor int64) {
	c.floor = floor
	for o, t := range c.seen {
		if t < floor {
			delete(c.seen, o)
		}
	}
}

// rewrite replaces the file by one without outdated lines.
func (c *s3Cursor) rewrite() error {
	f, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	lines := 2
	_, err = fmt.Fprintf(w, "%s\nfloor %d\n", c.head, c.floor)
	for o, t := range c.seen {
		if err != nil {
			break
		}
		_, err = fmt.Fprintf(w, "%x %d\n", o[:], t)
		lines++
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name()) //nolint:errcheck // a file left behind is no reason to stop
		return err
	}
	c.file.Close()
	c.file, c.lines = f, lines
	return nil
}

func (c *s3Cursor) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Close()
}
