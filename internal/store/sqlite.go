package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver that sql.Open names
)

// readers is how many connections of a database read at once.
const readers = 4

// A database is a SQLite file with one connection that writes and a few that read. In
// WAL mode neither waits for the other. Every transaction is on disk when it returns
// (synchronous FULL): the stream that it was made from is let go of after it.
type database struct {
	path  string
	write *sql.DB // one connection
	read  *sql.DB

	turn   chan struct{} // held by who writes
	writer writer
	closed bool
}

// openDatabase opens the file of that path, making it when missing, and brings its schema
// up to date. application marks whose file it is (PRAGMA application_id).
func openDatabase(path string, application int, migrations []string) (*database, error) {
	d := &database{path: path, turn: make(chan struct{}, 1)}
	if err := d.open(application, migrations); err != nil {
		_ = d.Close() // why it could not be opened tells more
		return nil, explain("open", path, err)
	}
	return d, nil
}

func (d *database) open(application int, migrations []string) error {
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600) // what is in it is for this account only
	if err != nil {
		return err
	}
	if err := errors.Join(ours(f, application), f.Close()); err != nil {
		return err
	}
	const pragmas = "_pragma=busy_timeout(5000)&_pragma=trusted_schema(0)&_pragma=cache_size(-16384)&_pragma=temp_store(2)"
	if d.write, err = sql.Open("sqlite", dsn(abs, "_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=journal_size_limit(67108864)&"+pragmas)); err != nil {
		return err
	}
	d.write.SetMaxOpenConns(1)
	if err := d.migrate(application, migrations); err != nil {
		return err
	}
	if d.read, err = sql.Open("sqlite", dsn(abs, "_pragma=query_only(1)&"+pragmas)); err != nil {
		return err
	}
	d.read.SetMaxOpenConns(readers)
	d.read.SetMaxIdleConns(readers)
	return nil
}

// ours looks at the header of a file, without changing it as opening it would: a database
// of something else is left as it is. See https://sqlite.org/fileformat2.html#the_database_header.
func ours(f *os.File, application int) error {
	head := make([]byte, 100)
	n, err := f.ReadAt(head, 0)
	if n == 0 && errors.Is(err, io.EOF) {
		return nil // new
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return ErrForeign
	}
	if st, err := os.Stat(f.Name() + "-wal"); err == nil && st.Size() > 0 {
		return nil // what the header says may have changed: migrate looks
	}
	be := binary.BigEndian
	if schema, app := be.Uint32(head[40:]), be.Uint32(head[68:]); schema != 0 && app != uint32(application) {
		return ErrForeign
	}
	return nil
}

func dsn(path, query string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query}
	return u.String()
}

// migrate brings the schema up to date in one transaction. migrations[v] leads from
// schema v to the next; they are never changed, only added to.
func (d *database) migrate(application int, migrations []string) error {
	tx, err := d.write.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	var app, version, tables int
	if err := tx.QueryRow("SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").Scan(&app, &version, &tables); err != nil {
		return err
	}
	switch {
	case app != application && (app != 0 || version != 0 || tables != 0):
		return ErrForeign
	case version > len(migrations):
		return fmt.Errorf("%w (schema %d, this one knows %d)", ErrNewer, version, len(migrations))
	case version == len(migrations):
		return nil
	}
	for v := version; v < len(migrations); v++ {
		if _, err := tx.Exec(migrations[v]); err != nil {
			return fmt.Errorf("bring schema %d to %d: %w", v, v+1, err)
		}
	}
	if _, err := tx.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", application, len(migrations))); err != nil {
		return err
	}
	return tx.Commit()
}

// Close lets go of the file.
func (d *database) Close() error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.closed = true
	d.writer.drop()
	var err error
	if d.read != nil {
		err = d.read.Close()
	}
	if d.write != nil {
		err = errors.Join(err, d.write.Close()) // the last to close empties the WAL into the file
	}
	return err
}

// A tx is a transaction that writes. Its statements are prepared once and kept with the
// connection.
type tx struct {
	ctx context.Context
	w   *writer
}

// A writer is the one connection that writes, nil until it is needed.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by their text, of which there are finitely many
}

func (w *writer) drop() {
	for _, s := range w.stmts {
		_ = s.Close() // the connection goes too
	}
	if w.conn != nil {
		_ = w.conn.Close() // what went wrong before tells more
	}
	*w = writer{}
}

// update runs fn in one transaction: all of it happens, or nothing.
func (d *database) update(ctx context.Context, doing string, fn func(*tx) error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return explain(doing, d.path, ctx.Err())
	}
	return explain(doing, d.path, d.transact(ctx, fn))
}

func (d *database) transact(ctx context.Context, fn func(*tx) error) (err error) {
	w := &d.writer
	if d.closed {
		return ErrClosed
	}
	if w.conn == nil {
		if w.conn, err = d.write.Conn(ctx); err != nil {
			return err
		}
		w.stmts = map[string]*sql.Stmt{}
	}
	if _, err = w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		w.drop()
		return err
	}
	done := false
	defer func() {
		if done {
			return
		}
		// Also when fn panics: the next transaction must not inherit this one.
		if _, e := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil {
			w.drop() // closing the connection rolls back as well; SQLite may have done so itself
		}
	}()
	if err = fn(&tx{ctx, w}); err != nil {
		return err
	}
	// A commit that has begun is let come to its end, so that its outcome is known.
	if _, err = w.conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = s
	return s, nil
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// insert runs a statement that inserts one row and returns its number.
func (t *tx) insert(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// get reads one row into dest; sql.ErrNoRows if there is none.
func (t *tx) get(query string, args []any, dest ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(t.ctx, args...).Scan(dest...)
}

// each calls row for every row. row must not use the transaction.
func (t *tx) each(query string, args []any, row func(*sql.Rows) error) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	return scan(rows, err, row)
}

// A snapshot reads one state of the database, whatever is written meanwhile.
type snapshot struct {
	ctx context.Context
	tx  *sql.Tx
}

// view runs fn over one state of the database.
func (d *database) view(ctx context.Context, doing string, fn func(*snapshot) error) error {
	t, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return explain(doing, d.path, err)
	}
	defer func() { _ = t.Rollback() }() // nothing was written
	return explain(doing, d.path, fn(&snapshot{ctx, t}))
}

func (s *snapshot) get(query string, args []any, dest ...any) error {
	return s.tx.QueryRowContext(s.ctx, query, args...).Scan(dest...)
}

func (s *snapshot) each(query string, args []any, row func(*sql.Rows) error) error {
	rows, err := s.tx.QueryContext(s.ctx, query, args...)
	return scan(rows, err, row)
}

// A querier is a tx or a snapshot.
type querier interface {
	get(query string, args []any, dest ...any) error
	each(query string, args []any, row func(*sql.Rows) error) error
}

func scan(rows *sql.Rows, err error, row func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// column reads the one column of text that a query selects.
func column(q querier, query string, args ...any) ([]string, error) {
	var out []string
	err := q.each(query, args, func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		out = append(out, s)
		return err
	})
	return out, err
}

// stamp is a time as a column holds it: microseconds since 1970 in UTC, NULL for none.
// Years outside of 1 to 9999 have no JSON form and are brought to the nearest that have.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return clampMicro(t)
}

func stampOf(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

func clampMicro(t time.Time) int64 {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	switch {
	case t.Before(first):
		t = first
	case t.After(last):
		t = last
	}
	return t.UnixMicro()
}

// moment is the time of a column, zero for NULL.
func moment(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return time.UnixMicro(v.Int64).UTC()
}

func momentOf(v sql.NullInt64) *time.Time {
	if !v.Valid {
		return nil
	}
	t := moment(v)
	return &t
}
