package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Backup writes a copy of the file as it is now into a folder, while it is used. A file
// of that name must not be there.
func (c *Cases) Backup(ctx context.Context, dir string) error {
	return c.db.backup(ctx, filepath.Join(dir, CasesFile))
}

// Backup writes a copy of the file as it is now into a folder, while it is used. A file
// of that name must not be there.
func (c *Control) Backup(ctx context.Context, dir string) error {
	return c.db.backup(ctx, filepath.Join(dir, ControlFile))
}

func (d *database) backup(ctx context.Context, to string) error {
	return explain("back up "+d.path+" to", to, d.copyTo(ctx, to))
}

func (d *database) copyTo(ctx context.Context, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%w: name another folder", ErrExists)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return err
	}
	tmp := to + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // empty, VACUUM takes it with its mode
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(abs, "_pragma=busy_timeout(5000)&_pragma=trusted_schema(0)"))
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", tmp) // one state, whatever is written meanwhile
		err = errors.Join(err, db.Close())
	}
	if err == nil {
		err = syncFile(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(to))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Backup writes the events as they are now into a folder, which must be empty or missing,
// while they are used. Segments never change, so they are linked where the file system can.
func (e *Events) Backup(ctx context.Context, dir string) error {
	return explain("back up "+e.dir+" to", dir, e.copyTo(ctx, dir))
}

func (e *Events) copyTo(ctx context.Context, dir string) (err error) {
	if l, err := os.ReadDir(dir); err == nil && len(l) > 0 {
		return fmt.Errorf("%w: the folder is not empty", ErrExists)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	v, err := e.look()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.let()) }()
	for _, s := range v.segments {
		for _, path := range []string{s.path, wordsPath(s.path)} {
			err := linkOrCopy(ctx, path, filepath.Join(dir, filepath.Base(path)))
			if errors.Is(err, os.ErrNotExist) && path != s.path {
				continue // words can be missing
			}
			if err != nil {
				return err
			}
		}
	}
	for _, l := range v.logs {
		if err := copyFile(ctx, io.NewSectionReader(l.f, 0, l.upTo), filepath.Join(dir, filepath.Base(l.path))); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func linkOrCopy(ctx context.Context, from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	return errors.Join(copyFile(ctx, f, to), f.Close())
}

// copyFile writes a file that is whole and on disk, or is not there.
func copyFile(ctx context.Context, from io.Reader, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return from.Read(b)
	}))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// RestoreCases puts a backup of cases into a tenant's folder that has none. The backup is
// checked first; one that is not whole is ErrDamaged, and nothing is restored.
func RestoreCases(ctx context.Context, from, to string) error {
	return restoreDatabase(ctx, filepath.Join(from, CasesFile), filepath.Join(to, CasesFile), casesApplication)
}

// RestoreControl puts a backup of Control into a data folder that has none, as RestoreCases
// does.
func RestoreControl(ctx context.Context, from, to string) error {
	return restoreDatabase(ctx, filepath.Join(from, ControlFile), filepath.Join(to, ControlFile), controlApplication)
}

func restoreDatabase(ctx context.Context, from, to string, application int) error {
	return explain("restore "+from+" to", to, func() error {
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%w: move it away first", ErrExists)
		}
		if err := checkDatabase(ctx, from, application); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		err = errors.Join(copyFile(ctx, f, to+tmpSuffix), f.Close())
		if err == nil {
			err = os.Rename(to+tmpSuffix, to)
		}
		if err != nil {
			return err
		}
		return syncDir(filepath.Dir(to))
	}())
}

// checkDatabase reads all of a file of SQLite and says what is wrong with it.
func checkDatabase(ctx context.Context, path string, application int) (err error) {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(abs, "mode=ro&immutable=1&_pragma=query_only(1)&_pragma=trusted_schema(0)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var app int
	var verdict string
	if err := db.QueryRowContext(ctx, "SELECT application_id FROM pragma_application_id").Scan(&app); err != nil {
		return err
	}
	if app != application {
		return ErrForeign
	}
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	return nil
}

// RestoreEvents puts a backup of events into a folder that is empty or missing. Segments
// that cannot be read are ErrDamaged, and nothing is restored.
func RestoreEvents(ctx context.Context, from, to string) error {
	return explain("restore "+from+" to", to, restoreEvents(ctx, from, to))
}

func restoreEvents(ctx context.Context, from, to string) error {
	if l, err := os.ReadDir(to); err == nil && len(l) > 0 {
		return fmt.Errorf("%w: the folder is not empty", ErrExists)
	}
	l, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	var names []string
	for _, x := range l {
		name := x.Name()
		switch {
		case strings.HasSuffix(name, wordsSuffix):
		case strings.HasSuffix(name, logSuffix):
			l, damaged, torn, err := openLog(filepath.Join(from, name))
			if err != nil {
				return err
			}
			if err := l.f.Close(); err != nil {
				return err
			}
			if damaged != nil && !torn {
				return damaged
			}
		default:
			s, ok := parseSegment(name)
			if !ok {
				continue
			}
			s.path = filepath.Join(from, name)
			if _, err := s.use(); err != nil {
				return err
			}
			s.done()
			if err := s.shut(); err != nil {
				return err
			}
		}
		names = append(names, name)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := errors.Join(copyFile(ctx, f, filepath.Join(to, name)), f.Close()); err != nil {
			return err
		}
	}
	return syncDir(to)
}
