package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"

	"github.com/parquet-go/parquet-go/bloom"
)

// Words are runs of ASCII letters, digits and _ and of bytes above ASCII. Beside each
// segment lies a file with a Bloom filter over the words of each of its row groups, so
// that a search for text reads only row groups that may have it. The file can be missing:
// then all are read.

// Words shorter or longer than these are in no filter, and none is asked for them.
const (
	minWord = 3
	maxWord = 64
)

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

// eachWord calls fn with the hash of each word in b, without regard to the case of ASCII,
// and whether it touches the beginning or end of b.
func eachWord(b []byte, fn func(hash uint64, begins, ends bool)) {
	for i := 0; i < len(b); {
		if !isWord(b[i]) {
			i++
			continue
		}
		start := i
		h := uint64(14695981039346656037) // FNV-1a
		for ; i < len(b) && isWord(b[i]); i++ {
			c := b[i]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			h = (h ^ uint64(c)) * 1099511628211
		}
		if n := i - start; n >= minWord && n <= maxWord {
			fn(mix(h), start == 0, i == len(b))
		}
	}
}

// mix spreads the bits of an FNV hash, of which filters use the upper half; never 0.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return max(h, 1)
}

// wordsWithin are the words that a text with this part has as whole words: those at the
// ends of the part may go on beyond it.
func wordsWithin(part []byte) (out []uint64) {
	eachWord(part, func(h uint64, begins, ends bool) {
		if !begins && !ends {
			out = append(out, h)
		}
	})
	return out
}

// A wordSet is a set of hashes, open addressed, that gives up when it has more than a
// filter can tell apart: then it is a filter already.
type wordSet struct {
	table []uint64 // 0 is free; its length a power of two
	n     int
	full  bloom.SplitBlockFilter
}

func (s *wordSet) add(h uint64) {
	if s.full != nil {
		s.full.Insert(h)
		return
	}
	if s.n > maxWords {
		s.full = make(bloom.SplitBlockFilter, maxFilter/bloom.BlockSize)
		s.fill(s.full)
		s.full.Insert(h)
		return
	}
	if s.n*4 >= len(s.table)*3 {
		old := s.table
		s.table = make([]uint64, max(1<<12, 2*len(old)))
		s.n = 0
		for _, x := range old {
			if x != 0 {
				s.add(x)
			}
		}
	}
	mask := uint64(len(s.table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case h:
			return
		case 0:
			s.table[i] = h
			s.n++
			return
		}
	}
}

func (s *wordSet) reset() {
	clear(s.table)
	s.n, s.full = 0, nil
}

// Bounds of a filter: an error rate of about 1 in 100, unless a row group has so many
// words that its filter would be larger than that of half a million.
const (
	bitsPerWord = 10
	maxFilter   = 640 << 10 // bytes
	maxWords    = 2 * maxFilter * 8 / bitsPerWord
)

func (s *wordSet) filter() []byte {
	if s.full != nil {
		return s.full.Bytes()
	}
	n := max(1, bloom.NumSplitBlocksOf(int64(s.n), bitsPerWord))
	f := make(bloom.SplitBlockFilter, min(n, maxFilter/bloom.BlockSize))
	s.fill(f)
	return f.Bytes()
}

func (s *wordSet) fill(f bloom.SplitBlockFilter) {
	for _, h := range s.table {
		if h != 0 {
			f.Insert(h)
		}
	}
}

// The form of a words file: magic, number of filters, then of each its place, length and
// CRC-32C, then the CRC-32C of all that, then the filters. Little endian.
const (
	wordsMagic  = "CtWords1"
	wordsSuffix = ".words"
	wordsEntry  = 8 + 4 + 4
	maxGroups   = 1 << 16
)

// encodeWords is a words file with these filters.
func encodeWords(filters [][]byte) []byte {
	le := binary.LittleEndian
	b := append([]byte(nil), wordsMagic...)
	b = le.AppendUint32(b, uint32(len(filters)))
	at := uint64(len(b) + len(filters)*wordsEntry + 4)
	for _, f := range filters {
		b = le.AppendUint64(b, at)
		b = le.AppendUint32(b, uint32(len(f)))
		b = le.AppendUint32(b, castagnoli(f))
		at += uint64(len(f))
	}
	b = le.AppendUint32(b, castagnoli(b))
	for _, f := range filters {
		b = append(b, f...)
	}
	return b
}

// A wordsFile answers which row groups may have words.
type wordsFile struct {
	r       io.ReaderAt
	entries []wordsPlace
}

type wordsPlace struct {
	at  int64
	n   uint32
	sum uint32
}

func openWords(path string) (*wordsFile, *os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	w, err := readWords(f)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return w, f, nil
}

func readWords(r io.ReaderAt) (*wordsFile, error) {
	bad := fmt.Errorf("%w: it does not begin as a file of words", ErrDamaged)
	head := make([]byte, len(wordsMagic)+4)
	if _, err := r.ReadAt(head, 0); err != nil || string(head[:len(wordsMagic)]) != wordsMagic {
		return nil, bad
	}
	n := binary.LittleEndian.Uint32(head[len(wordsMagic):])
	if n > maxGroups {
		return nil, bad
	}
	table := make([]byte, len(head)+int(n)*wordsEntry+4)
	if _, err := r.ReadAt(table, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, bad
	}
	end := len(table) - 4
	if castagnoli(table[:end]) != binary.LittleEndian.Uint32(table[end:]) {
		return nil, bad
	}
	w := &wordsFile{r: r, entries: make([]wordsPlace, n)}
	for i := range w.entries {
		e := table[len(head)+i*wordsEntry:]
		w.entries[i] = wordsPlace{int64(binary.LittleEndian.Uint64(e)), binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])}
	}
	return w, nil
}

// may says whether a row group may have all the words of one of several alternatives. It
// is true whenever the filter cannot be read: a filter only ever spares work.
func (w *wordsFile) may(group int, alternatives [][]uint64) bool {
	if w == nil || group >= len(w.entries) || len(alternatives) == 0 {
		return true
	}
	for _, a := range alternatives {
		if len(a) == 0 {
			return true
		}
	}
	e := w.entries[group]
	if e.n == 0 || e.n > maxFilter || bits.TrailingZeros32(e.n) < bits.TrailingZeros32(bloom.BlockSize) {
		return true
	}
	b := make([]byte, e.n)
	if _, err := w.r.ReadAt(b, e.at); err != nil || castagnoli(b) != e.sum {
		return true
	}
	f := bloom.MakeSplitBlockFilter(b)
next:
	for _, a := range alternatives {
		for _, h := range a {
			if !f.Check(h) {
				continue next
			}
		}
		return true
	}
	return false
}
