package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// MaxPage is the most rows that one page of a list has; a smaller number is given where
// the rows are large.
const MaxPage = 500

// bounded is n, or usual if n is none, and most at most.
func bounded(n, usual, most int) int {
	if n <= 0 {
		n = usual
	}
	return min(n, most)
}

// where collects conditions, of which all must hold. Values are parameters only.
type where struct {
	conds []string
	args  []any
}

func (w *where) and(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

// anyOf demands that a column has one of some values; of none, nothing is demanded.
func anyOf[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	w.and(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", args...)
}

func (w *where) sql() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// maxValues bounds each list of a filter.
const maxValues = 100

// A cursor is the place of the last row of a page: the values of the columns that order
// the list. It belongs to one filter.
type cursor struct {
	Of  string  `json:"f"` // digest of the filter
	Key []int64 `json:"k"`
}

func digestOf(filter any) string {
	b, err := json.Marshal(filter)
	if err != nil {
		b = []byte(err.Error()) // times beyond JSON: equal ones still give equal digests
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // numbers and hex digits always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads a cursor that String wrote for a filter of that digest, with as many
// columns; nil for an empty one.
func parseCursor(s, of string, columns int) ([]int64, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > 1000 {
		return nil, ErrCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, ErrCursor
	}
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil || c.Of != of || len(c.Key) != columns {
		return nil, ErrCursor
	}
	return c.Key, nil
}

// after demands that a row comes after the place of a cursor in descending order.
func (w *where) after(columns string, key []int64) {
	if key == nil {
		return
	}
	args := make([]any, len(key))
	for i, k := range key {
		args[i] = k
	}
	w.and("("+columns+") < (?"+strings.Repeat(", ?", len(key)-1)+")", args...)
}
