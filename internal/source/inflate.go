package source

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// errTooLarge is what a request is refused with that is larger than it may be,
// packed or unpacked.
var errTooLarge = errors.New("too large")

// ratioFrom is from how many unpacked bytes on the ratio of a request is looked at.
const ratioFrom = 1 << 20

// inflateWindow is how much memory a sender's zstd stream may ask for: what level
// 19 of the command line tool uses is 8 MiB.
const inflateWindow = 8 << 20

// inflate returns what r unpacks to. encoding is that of HTTP's Content-Encoding.
// Reading fails with errTooLarge beyond the limits. done releases memory.
func inflate(r io.Reader, encoding string, l Limits) (unpacked io.Reader, done func(), err error) {
	packed := &countingReader{r: r}
	done = func() {}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return r, done, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, done, fmt.Errorf("gzip: %w", err)
		}
		unpacked, done = z, func() { _ = z.Close() } // only releases memory
	case "deflate":
		z, err := zlib.NewReader(packed)
		if err != nil {
			return nil, done, fmt.Errorf("deflate: %w", err)
		}
		unpacked, done = z, func() { _ = z.Close() } // only releases memory
	case "zstd":
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(inflateWindow))
		if err != nil {
			return nil, done, fmt.Errorf("zstd: %w", err)
		}
		unpacked, done = z, z.Close
	default:
		return nil, done, fmt.Errorf("content encoding %q is not known: send gzip, zstd, deflate or none", clip(encoding, 40))
	}
	return &inflater{r: unpacked, packed: packed, l: l}, done, nil
}

// An inflater bounds what a request unpacks to.
type inflater struct {
	r      io.Reader
	packed *countingReader
	n      int64
	l      Limits
}

func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.n += int64(n)
	switch {
	case f.n > f.l.Unpacked:
		return 0, fmt.Errorf("unpacks to more than %d bytes: %w", f.l.Unpacked, errTooLarge)
	case f.n > ratioFrom && f.n > f.l.Ratio*f.packed.n:
		return 0, fmt.Errorf("unpacks to more than %d times its size: %w", f.l.Ratio, errTooLarge)
	}
	return n, err
}

// clip bounds and cleans text that a sender wrote and an error shows.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	return clean(s)
}
