package app

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// pageBudget is how many bytes of pages one run keeps in memory. What goes beyond
// waits in a temporary file, about a tenth of the evidence's size.
const pageBudget = 8 << 20

// A pageStore keeps pages of bytes: in memory up to its budget, then in a temporary
// file. It is used by one goroutine at a time.
type pageStore struct {
	budget int
	held   int // bytes of pages in memory
	pages  []spooled
	file   *os.File
	end    int64 // of what was written to file
}

// spooled is one page: data, or where it stands in the file.
type spooled struct {
	data []byte
	at   int64
	size int
}

// add keeps a page, which is not empty and belongs to the store from then on. An
// error says that the temporary file cannot be made or written.
func (s *pageStore) add(page []byte) error {
	p := spooled{size: len(page)}
	if s.held+len(page) <= s.budget {
		p.data = page
		s.held += len(page)
	} else {
		if s.file == nil {
			f, err := os.CreateTemp("", "catena-acts-*")
			if err != nil {
				return fmt.Errorf("keep acts in a temporary file: %w", err)
			}
			s.file = f
			os.Remove(f.Name()) //nolint:errcheck // gone at once where the system can, so that nothing is left behind however we end
		}
		if _, err := s.file.WriteAt(page, s.end); err != nil {
			return fmt.Errorf("keep acts in a temporary file (TMPDIR names the folder): %w", err)
		}
		p.at = s.end
		s.end += int64(len(page))
	}
	s.pages = append(s.pages, p)
	return nil
}

// page returns page i, in *buf, which grows as need be, if it has to be read. It
// must not be changed and is good until buf is used again.
func (s *pageStore) page(i int, buf *[]byte) ([]byte, error) {
	p := &s.pages[i]
	if p.data != nil {
		return p.data, nil
	}
	if cap(*buf) < p.size {
		*buf = make([]byte, p.size)
	}
	b := (*buf)[:p.size]
	if n, err := s.file.ReadAt(b, p.at); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read acts from a temporary file: %w", err)
	}
	return b, nil
}

// close removes the temporary file.
func (s *pageStore) close() {
	s.pages = nil
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name()) //nolint:errcheck // gone already where open files can be removed
	}
}
