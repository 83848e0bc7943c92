package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver that sql.Open names

	"github.com/catena-sec/catena/internal/model"
)

// application marks the file as a ledger (PRAGMA application_id).
const application = 0x43744c67

// migrations bring the schema from the version that is their index to the next. They
// are never changed, only added to.
var migrations = [...]string{
	// level and last stand beside the record for eviction; tally counts entities by kind
	// and level of their worst deed; facts are single numbers.
	`CREATE TABLE entity (id BLOB NOT NULL PRIMARY KEY, level INTEGER NOT NULL, last INTEGER NOT NULL, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
	 CREATE TABLE rule (n INTEGER PRIMARY KEY, id TEXT NOT NULL, title TEXT NOT NULL) STRICT;
	 CREATE TABLE tally (kind INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (kind, level)) STRICT, WITHOUT ROWID;
	 CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
}

// A store is the file of a Ledger, held for one run by one transaction.
type store struct {
	path  string
	db    *sql.DB
	tx    *sql.Tx
	get   *sql.Stmt
	rules int // of l.rules that the file has
}

// Open reads the ledger of that path, making it when missing, and holds it until Commit
// or Close. An error names the file and what can be done.
func Open(path string, o Options) (*Ledger, error) {
	l := New(o)
	s := &store{path: path}
	if err := s.open(migrations[:]); err != nil {
		_ = s.close() // why it could not be opened tells more
		return nil, s.explain("open", err)
	}
	l.store = s
	if err := s.load(l); err != nil {
		_ = s.close() // why it could not be opened tells more
		return nil, s.explain("read", err)
	}
	return l, nil
}

var (
	errForeign = errors.New("it is a database of something else")
	errNewer   = errors.New("it was written by a newer version of Catena")
	errDamaged = errors.New("it is damaged")
)

func (s *store) open(migrations []string) error {
	abs, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600) // who has been attacked is nobody else's business
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_pragma=trusted_schema(0)"}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if s.tx, err = s.db.BeginTx(context.Background(), nil); err != nil {
		return err
	}
	if err := s.migrate(migrations); err != nil {
		return err
	}
	s.get, err = s.tx.Prepare("SELECT record FROM entity WHERE id = ?")
	return err
}

// migrate brings the schema up to date, inside of the run's transaction.
func (s *store) migrate(migrations []string) error {
	var app, version, tables int
	if err := s.tx.QueryRow("SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").Scan(&app, &version, &tables); err != nil {
		return err
	}
	switch {
	case app != application && (app != 0 || version != 0 || tables != 0):
		return errForeign
	case version > len(migrations):
		return fmt.Errorf("%w (schema %d, this one knows %d)", errNewer, version, len(migrations))
	}
	for v := version; v < len(migrations); v++ {
		if _, err := s.tx.Exec(migrations[v]); err != nil {
			return fmt.Errorf("bring schema %d to %d: %w", v, v+1, err)
		}
	}
	_, err := s.tx.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", application, len(migrations)))
	return err
}

// countFact begins the names of the facts that hold Ledger.census.
const countFact = "count:"

// load reads what is not of single entities.
func (s *store) load(l *Ledger) error {
	if err := s.each("SELECT id, title FROM rule ORDER BY n LIMIT 20000", func(row *sql.Rows) error {
		var r rule
		if err := row.Scan(&r.id, &r.title); err != nil {
			return err
		}
		l.rules = append(l.rules, r)
		l.numbers[r] = len(l.rules)
		return nil
	}); err != nil {
		return err
	}
	s.rules = len(l.rules)
	if err := s.each("SELECT kind, level, n FROM tally", func(row *sql.Rows) error {
		var kind, level, n int
		if err := row.Scan(&kind, &level, &n); err != nil {
			return err
		}
		if kind < 0 || kind >= len(l.tally) || level < 0 || level >= len(levels) || n < 0 {
			return errDamaged
		}
		l.tally[kind][level] = n
		return nil
	}); err != nil {
		return err
	}
	return s.each("SELECT name, n FROM fact", func(row *sql.Rows) error {
		var name string
		var n int64
		if err := row.Scan(&name, &n); err != nil {
			return err
		}
		if kind, ok := strings.CutPrefix(name, countFact); ok {
			l.Count(model.EntityType(kind), int(n))
			return nil
		}
		switch name {
		case "runs":
			l.stats.Runs = int(n)
		case "evicted":
			l.stats.Evicted = int(n)
		case "first":
			l.stats.First = time.Unix(n, 0).UTC()
		case "last":
			l.stats.Last = time.Unix(n, 0).UTC()
		}
		return nil
	})
}

func (s *store) each(query string, row func(*sql.Rows) error) error {
	rows, err := s.tx.Query(query)
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

// read returns the record of an entity, nil when there is none.
func (s *store) read(id digest) (*record, error) {
	if s.tx == nil {
		return nil, nil // committed: what there was is in the entries
	}
	var b []byte
	err := s.get.QueryRow(id[:]).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain("read", err)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, s.explain("read", fmt.Errorf("%w: %w", errDamaged, err))
	}
	return r, nil
}

// Commit writes what this run learnt and lets go of the file. Without a file, or after
// an error, it writes nothing; the error names the file and what can be done.
func (l *Ledger) Commit() error {
	if l.store == nil || l.err != nil {
		return l.err
	}
	if err := l.store.write(l); err != nil {
		l.err = l.store.explain("write", err)
	}
	if err := l.store.close(); err != nil && l.err == nil {
		l.err = l.store.explain("close", err)
	}
	return l.err
}

// Close lets go of the file and of what was not committed.
func (l *Ledger) Close() error {
	if l.store == nil {
		return nil
	}
	return l.store.close()
}

func (s *store) write(l *Ledger) error {
	put, err := s.tx.Prepare("INSERT INTO entity (id, level, last, record) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET level = excluded.level, last = excluded.last, record = excluded.record")
	if err != nil {
		return err
	}
	ids := make([]digest, 0, len(l.touched))
	for id := range l.touched {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b digest) int { return bytes.Compare(a[:], b[:]) }) // in the order of the tree
	first, last := l.stats.First, l.stats.Last
	for _, id := range ids {
		e := l.touched[id]
		if _, err := put.Exec(id[:], e.level(), e.last, e.encode()); err != nil {
			return err
		}
		if at := time.Unix(e.first, 0).UTC(); first.IsZero() || at.Before(first) {
			first = at
		}
		if at := time.Unix(e.last, 0).UTC(); last.IsZero() || at.After(last) {
			last = at
		}
	}
	for i := s.rules; i < len(l.rules); i++ {
		if _, err := s.tx.Exec("INSERT INTO rule (n, id, title) VALUES (?, ?, ?)", i+1, l.rules[i].id, l.rules[i].title); err != nil {
			return err
		}
	}
	if err := s.evict(l); err != nil {
		return err
	}
	for kind := range l.tally {
		for level, n := range l.tally[kind] {
			if _, err := s.tx.Exec("INSERT OR REPLACE INTO tally (kind, level, n) VALUES (?, ?, ?)", kind, level, n); err != nil {
				return err
			}
		}
	}
	facts := map[string]int64{"runs": int64(l.stats.Runs + 1), "evicted": int64(l.stats.Evicted)}
	if !first.IsZero() {
		facts["first"], facts["last"] = first.Unix(), last.Unix()
	}
	for kind, n := range l.census {
		facts[countFact+string(kinds[kind])] = int64(n)
	}
	for name, n := range facts {
		if _, err := s.tx.Exec("INSERT OR REPLACE INTO fact (name, n) VALUES (?, ?)", name, n); err != nil {
			return err
		}
	}
	return s.tx.Commit()
}

// evict lets the weakest go when there is no more room, the oldest of them first, and a
// little more than it must so that not every run has to.
func (s *store) evict(l *Ledger) error {
	held := l.Stats().Entities
	if held <= l.opt.MaxEntities {
		return nil
	}
	most := held - l.opt.MaxEntities*19/20
	return s.each(fmt.Sprintf("DELETE FROM entity WHERE id IN (SELECT id FROM entity ORDER BY level, last, id LIMIT %d) RETURNING record", most), func(row *sql.Rows) error {
		var b []byte
		if err := row.Scan(&b); err != nil {
			return err
		}
		r, err := decodeRecord(b)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		l.tally[r.kind][r.level()]--
		l.stats.Evicted++
		return nil
	})
}

// close rolls back what was not committed.
func (s *store) close() error {
	if s.tx != nil {
		if err := s.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			_ = s.db.Close() // the first error tells more
			s.tx, s.db = nil, nil
			return err
		}
		s.tx = nil
	}
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return db.Close()
}

// Result codes of SQLite that have a remedy of their own.
const (
	codeBusy    = 5
	codeCorrupt = 11
	codeFull    = 13
	codeNotADB  = 26
)

// explain names the file and what can be done about an error.
func (s *store) explain(doing string, err error) error {
	remedy := ""
	var coded interface{ Code() int }
	code := 0
	if errors.As(err, &coded) {
		code = coded.Code() & 0xff
	}
	switch {
	case code == codeBusy:
		remedy = "another run is using it: wait until that is done"
	case code == codeFull:
		remedy = "there is no room for it; it is as it was before this run"
	case code == codeNotADB, errors.Is(err, errForeign):
		remedy = "name another file: this one holds no memory of Catena, and was left alone"
	case errors.Is(err, errNewer):
		remedy = "use that version, or name another file"
	case code == codeCorrupt, errors.Is(err, errDamaged):
		remedy = "restore a copy of it, or move it away to begin anew"
	}
	if remedy != "" {
		return fmt.Errorf("%s the memory %s: %w (%s)", doing, s.path, err, remedy)
	}
	return fmt.Errorf("%s the memory %s: %w", doing, s.path, err)
}
