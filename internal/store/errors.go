package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// Errors that a caller acts on. What is returned wraps one of these, names the file and
// says what to do.
var (
	ErrNotFound = errors.New("there is no such thing")
	ErrExists   = errors.New("there is one of that name already")
	ErrConflict = errors.New("it has changed since it was read: read it again")
	ErrInvalid  = errors.New("it cannot be stored")
	ErrCursor   = errors.New("the cursor is not one of this list: begin without one")
	ErrLimit    = errors.New("there are as many as the store holds")
	ErrFull     = errors.New("there is no room on the disk: nothing of it was written; make room, or lower the retention")
	ErrReadOnly = errors.New("it cannot be written: check the permissions of the folder and whether its disk is mounted read-only")
	ErrLocked   = errors.New("another process is using it: stop that one first")
	ErrForeign  = errors.New("it is a file of something else, and was left alone")
	ErrNewer    = errors.New("it was written by a newer version of Catena: use that one")
	ErrDamaged  = errors.New("it is damaged: restore a backup")
	ErrClosed   = errors.New("it is closed")
)

// Result codes of SQLite that have a remedy of their own.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeCorrupt  = 11
	codeFull     = 13
	codeNotADB   = 26
)

// typed puts the typed error in front of one that SQLite or the file system returned.
func typed(err error) error {
	var kind error
	var coded interface{ Code() int }
	switch {
	case errors.As(err, &coded):
		switch coded.Code() & 0xff {
		case codeBusy, codeLocked:
			kind = ErrLocked
		case codeReadOnly:
			kind = ErrReadOnly
		case codeFull:
			kind = ErrFull
		case codeCorrupt:
			kind = ErrDamaged
		case codeNotADB:
			kind = ErrForeign
		}
	case slices.ContainsFunc(diskFull(), func(full error) bool { return errors.Is(err, full) }):
		kind = ErrFull
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission), errors.Is(err, os.ErrPermission):
		kind = ErrReadOnly
	case errors.Is(err, fs.ErrClosed):
		kind = ErrClosed
	}
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// explain says what was done to which file when err came, nil for nil.
func explain(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, path, typed(err))
}

// invalid is an ErrInvalid with its cause.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
