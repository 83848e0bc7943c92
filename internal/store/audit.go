package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// An AuditRow is one thing that somebody did or tried. Rows are only ever added, and each
// carries a hash over itself and all before it: who changes or takes out one in the
// middle breaks the chain from there on. Cutting rows off the end shows only to who has
// noted a later hash elsewhere.
type AuditRow struct {
	Seq     int64     `json:"seq"` // from 1, without gaps
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`             // account, token or "system"
	Action  string    `json:"action"`            // such as "incident.decide" or "login.failed"
	Object  string    `json:"object,omitempty"`  // what it was done to
	Detail  string    `json:"detail,omitempty"`  // free text or JSON
	Address string    `json:"address,omitempty"` // from where
	Hash    string    `json:"hash"`              // hex of SHA-256
}

// digest is the hash of a row after one with the hash prev.
func (a *AuditRow) digest(prev []byte) []byte {
	h := sha256.New()
	h.Write([]byte("catena audit 1\x00"))
	h.Write(prev)
	var b [8]byte
	number := func(n int64) {
		binary.BigEndian.PutUint64(b[:], uint64(n))
		h.Write(b[:])
	}
	number(a.Seq)
	number(clampMicro(a.Time))
	for _, s := range []string{a.Actor, a.Action, a.Object, a.Detail, a.Address} {
		number(int64(len(s)))
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// audits are the methods that Cases and Control have for their audit.
type audits struct{ file *database }

// Audit adds rows, all or none; Seq and Hash are set here, and texts cut to 4000 bytes. It
// is on disk when it returns.
func (a audits) Audit(ctx context.Context, rows ...AuditRow) error {
	return a.file.update(ctx, "write the audit of", func(t *tx) error {
		seq, prev, err := auditHead(t)
		if err != nil {
			return err
		}
		for _, r := range rows {
			seq++
			r.Seq = seq
			for _, s := range []*string{&r.Actor, &r.Action, &r.Object, &r.Detail, &r.Address} {
				*s = clip(*s)
			}
			prev = r.digest(prev)
			if _, err := t.exec("INSERT INTO audit (seq, at, actor, action, object, detail, address, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", r.Seq, clampMicro(r.Time), r.Actor, r.Action, r.Object, r.Detail, r.Address, prev); err != nil {
				return err
			}
		}
		return nil
	})
}

func auditHead(q querier) (seq int64, hash []byte, err error) {
	err = q.get("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", nil, &seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return seq, hash, err
}

// AuditFilter picks rows of the audit.
type AuditFilter struct {
	Actor  string    `json:"actor,omitempty"`
	Action string    `json:"action,omitempty"`
	Object string    `json:"object,omitempty"`
	Since  time.Time `json:"since,omitzero"` // in [Since, Until)
	Until  time.Time `json:"until,omitzero"`

	Cursor string `json:"-"`
	Limit  int    `json:"-"` // 0 is 100, MaxPage the most
}

// AuditRows returns one page of the audit, the latest first.
func (a audits) AuditRows(ctx context.Context, f AuditFilter) (p Page[AuditRow], err error) {
	of := digestOf(f)
	key, err := parseCursor(f.Cursor, of, 1)
	if err != nil {
		return p, err
	}
	w := where{}
	for _, c := range []struct{ column, value string }{{"actor", f.Actor}, {"action", f.Action}, {"object", f.Object}} {
		if c.value != "" {
			w.and(c.column+" = ?", c.value)
		}
	}
	if !f.Since.IsZero() {
		w.and("at >= ?", clampMicro(f.Since))
	}
	if !f.Until.IsZero() {
		w.and("at < ?", clampMicro(f.Until))
	}
	if key != nil {
		w.and("seq < ?", key[0])
	}
	limit := bounded(f.Limit, 100, MaxPage)
	err = a.file.view(ctx, "read the audit of", func(s *snapshot) error {
		p = Page[AuditRow]{Items: []AuditRow{}}
		return s.each(auditColumns+w.sql()+" ORDER BY seq DESC LIMIT ?", append(w.args, limit+1), func(r *sql.Rows) error {
			if len(p.Items) == limit {
				p.Next = cursor{Of: of, Key: []int64{p.Items[limit-1].Seq}}.String()
				return nil
			}
			row, _, err := scanAudit(r.Scan)
			p.Items = append(p.Items, row)
			return err
		})
	})
	return p, err
}

const auditColumns = "SELECT seq, at, actor, action, object, detail, address, hash FROM audit"

func scanAudit(scan func(...any) error) (r AuditRow, hash []byte, err error) {
	var at int64
	err = scan(&r.Seq, &at, &r.Actor, &r.Action, &r.Object, &r.Detail, &r.Address, &hash)
	r.Time, r.Hash = time.UnixMicro(at).UTC(), hex.EncodeToString(hash)
	return r, hash, err
}

// VerifyAudit reads the whole audit and checks its chain. It returns the number and hash
// of the last row; an error wraps ErrDamaged and names the first row that does not fit.
func (a audits) VerifyAudit(ctx context.Context) (last int64, head string, err error) {
	err = a.file.view(ctx, "check the audit of", func(s *snapshot) error {
		var prev []byte
		last, head = 0, ""
		return s.each(auditColumns+" ORDER BY seq", nil, func(r *sql.Rows) error {
			row, hash, err := scanAudit(r.Scan)
			if err != nil {
				return err
			}
			if row.Seq != last+1 || !bytes.Equal(row.digest(prev), hash) {
				return fmt.Errorf("%w: row %d of the audit is not as it was written, or rows before it are missing", ErrDamaged, row.Seq)
			}
			prev, last, head = hash, row.Seq, row.Hash
			return nil
		})
	})
	return last, head, err
}
