package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of objects.
const (
	maxObject  = 1 << 20 // bytes of one
	maxObjects = 10_000  // of one kind
	maxName    = 256     // bytes of a name, kind, owner, author
)

// An Object is a document that people made: a saved view or hunt in Cases, settings in
// Control. The store looks into none.
type Object struct {
	Kind    string          `json:"kind"`
	Name    string          `json:"name"`
	Owner   string          `json:"owner,omitempty"` // whose it is; empty for everybody's
	Version int64           `json:"version"`         // from 1, one more with every change
	Time    time.Time       `json:"time"`            // of the last change
	Author  string          `json:"author"`          // of it
	Body    json.RawMessage `json:"body"`
}

// objects are the methods that Cases and Control have for objects.
type objects struct{ file *database }

// PutObject writes an object. expect is the version that it replaces, 0 for a new one and
// -1 for whatever there is. ErrExists, ErrConflict, ErrLimit.
func (o objects) PutObject(ctx context.Context, x Object, expect int64) (Object, error) {
	switch {
	case x.Kind == "" || x.Name == "":
		return x, invalid("an object needs a kind and a name")
	case len(x.Kind) > maxName || len(x.Name) > maxName || len(x.Owner) > maxName || len(x.Author) > maxName:
		return x, invalid("kind, name, owner and author have at most %d bytes", maxName)
	case len(x.Body) > maxObject:
		return x, invalid("%s %s has %d bytes, more than %d", x.Kind, x.Name, len(x.Body), maxObject)
	case !json.Valid(x.Body):
		return x, invalid("%s %s is not JSON", x.Kind, x.Name)
	}
	err := o.file.update(ctx, "write to", func(t *tx) error {
		var version int64
		err := t.get("SELECT version FROM object WHERE kind = ? AND name = ?", []any{x.Kind, x.Name}, &version)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if expect > 0 {
				return fmt.Errorf("%w: %s %s", ErrNotFound, x.Kind, x.Name)
			}
			var n int
			if err := t.get("SELECT count(*) FROM object WHERE kind = ?", []any{x.Kind}, &n); err != nil {
				return err
			}
			if n >= maxObjects {
				return fmt.Errorf("%w: %d of kind %s", ErrLimit, n, x.Kind)
			}
		case err != nil:
			return err
		case expect == 0:
			return fmt.Errorf("%w: %s %s", ErrExists, x.Kind, x.Name)
		case expect > 0 && expect != version:
			return fmt.Errorf("%w: %s %s is at version %d", ErrConflict, x.Kind, x.Name, version)
		}
		x.Version = version + 1
		_, err = t.exec("INSERT OR REPLACE INTO object (kind, name, owner, version, at, author, body) VALUES (?, ?, ?, ?, ?, ?, ?)", x.Kind, x.Name, x.Owner, x.Version, clampMicro(x.Time), x.Author, []byte(x.Body))
		return err
	})
	return x, err
}

const objectColumns = "SELECT kind, name, owner, version, at, author, body FROM object"

func scanObject(scan func(...any) error) (x Object, err error) {
	var at int64
	var body []byte
	err = scan(&x.Kind, &x.Name, &x.Owner, &x.Version, &at, &x.Author, &body)
	x.Time, x.Body = time.UnixMicro(at).UTC(), body
	return x, err
}

// Object returns an object; ErrNotFound if there is none.
func (o objects) Object(ctx context.Context, kind, name string) (x Object, err error) {
	err = o.file.view(ctx, "read", func(s *snapshot) error {
		x, err = scanObject(s.tx.QueryRowContext(ctx, objectColumns+" WHERE kind = ? AND name = ?", kind, name).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %s %s", ErrNotFound, kind, name)
		}
		return err
	})
	return x, err
}

// Objects returns the objects of a kind by name, from the one after a name on; limit is
// 100 if it is 0, and MaxPage at most.
func (o objects) Objects(ctx context.Context, kind, after string, limit int) (out []Object, err error) {
	out = []Object{}
	err = o.file.view(ctx, "read", func(s *snapshot) error {
		return s.each(objectColumns+" WHERE kind = ? AND name > ? ORDER BY name LIMIT ?", []any{kind, after, bounded(limit, 100, MaxPage)}, func(r *sql.Rows) error {
			x, err := scanObject(r.Scan)
			out = append(out, x)
			return err
		})
	})
	return out, err
}

// DeleteObject deletes an object of a version, -1 for whichever. ErrNotFound, ErrConflict.
func (o objects) DeleteObject(ctx context.Context, kind, name string, expect int64) error {
	return o.file.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("DELETE FROM object WHERE kind = ?1 AND name = ?2 AND (?3 < 0 OR version = ?3)", kind, name, expect)
		if err != nil || n > 0 {
			return err
		}
		if err := t.get("SELECT 1 FROM object WHERE kind = ? AND name = ?", []any{kind, name}, &n); errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %s %s", ErrNotFound, kind, name)
		}
		return fmt.Errorf("%w: %s %s", ErrConflict, kind, name)
	})
}
