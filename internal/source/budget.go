package source

import (
	"context"
	"fmt"
	"io"
)

// A budget bounds what one file given by the user unpacks to, whatever nests in
// it: a bound for each archive alone would multiply with each level.
type budget struct {
	o        *Options
	packed   func() int64 // bytes of the file itself
	unpacked int64        // bytes that came out of containers so far
	err      error        // set once the bound is broken
}

func (b *budget) spend(n int) error {
	b.unpacked += int64(n)
	switch {
	case b.err != nil:
	case b.unpacked > b.o.Unpacked:
		b.err = fmt.Errorf("unpacks to more than %d bytes: not read further", b.o.Unpacked)
	case b.unpacked > b.o.RatioFrom && b.unpacked > b.o.Ratio*b.packed():
		b.err = fmt.Errorf("unpacks to more than %d times its size: not read further", b.o.Ratio)
	}
	return b.err
}

// unpack returns a reader of what came out of a container, which charges the
// budget.
func (b *budget) unpack(r io.Reader) io.Reader { return &unpackedReader{r, b} }

type unpackedReader struct {
	r      io.Reader
	budget *budget
}

func (u *unpackedReader) Read(p []byte) (int, error) {
	if u.budget.err != nil {
		return 0, u.budget.err
	}
	n, err := u.r.Read(p)
	if berr := u.budget.spend(n); berr != nil {
		return n, berr
	}
	return n, err
}

// A cancelReader ends when the walk is cancelled.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
