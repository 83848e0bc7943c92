package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// ControlFile is the name of the file of Control in the data folder.
const ControlFile = "control.db"

// Control is who may do what in this installation: tenants, accounts, tokens, sessions,
// settings and the audit of all that. It is safe for use by many goroutines. Secrets are
// not in it: of passwords it has what the server made of them, of tokens, sessions and
// links the SHA-256.
type Control struct {
	objects
	audits

	db *database
}

// OpenControl opens the file in a data folder, making both when missing. Errors are those
// of OpenCases.
func OpenControl(dir string) (*Control, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explain("make", dir, err)
	}
	db, err := openDatabase(filepath.Join(dir, ControlFile), controlApplication, controlMigrations())
	if err != nil {
		return nil, err
	}
	return &Control{objects: objects{db}, audits: audits{db}, db: db}, nil
}

// Close lets go of the file.
func (c *Control) Close() error { return explain("close", c.db.path, c.db.Close()) }

func controlMigrations() []string {
	return []string{common + `
	CREATE TABLE tenant (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, created INTEGER NOT NULL, disabled INTEGER NOT NULL) STRICT, WITHOUT ROWID;
	-- login is compared without regard to case. version grows with every change.
	CREATE TABLE account (id TEXT NOT NULL PRIMARY KEY, login TEXT NOT NULL UNIQUE, name TEXT NOT NULL, email TEXT NOT NULL, password TEXT NOT NULL, disabled INTEGER NOT NULL, grants TEXT NOT NULL,
		created INTEGER NOT NULL, version INTEGER NOT NULL, last_login INTEGER) STRICT, WITHOUT ROWID;
	CREATE TABLE identity (issuer TEXT NOT NULL, subject TEXT NOT NULL, account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE, at INTEGER NOT NULL, PRIMARY KEY (issuer, subject)) STRICT, WITHOUT ROWID;
	CREATE INDEX identity_account ON identity (account);
	CREATE TABLE token (id TEXT NOT NULL PRIMARY KEY, digest BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, account TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, grants TEXT NOT NULL,
		created INTEGER NOT NULL, expires INTEGER, used INTEGER, revoked INTEGER) STRICT, WITHOUT ROWID;
	CREATE INDEX token_account ON token (account);
	CREATE TABLE session (digest BLOB NOT NULL PRIMARY KEY, account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE, created INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL, data TEXT NOT NULL) STRICT, WITHOUT ROWID;
	CREATE INDEX session_account ON session (account);
	CREATE INDEX session_expires ON session (expires);
	CREATE TABLE link (digest BLOB NOT NULL PRIMARY KEY, purpose TEXT NOT NULL, account TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, data TEXT NOT NULL) STRICT, WITHOUT ROWID;
	CREATE INDEX link_expires ON link (expires);
	CREATE TABLE failure (key TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (key, at)) STRICT, WITHOUT ROWID;
	CREATE INDEX failure_at ON failure (at);
`}
}

// Bounds of Control.
const (
	maxTenants  = 1_000
	maxAccounts = 100_000
	maxTokens   = 100_000
	maxSessions = 1_000_000
	maxLinks    = 100_000
	maxGrants   = 1_000    // of one account or token
	maxFailures = 100_000  // rows of all keys
	maxData     = 16 << 10 // bytes of what a session or link carries
)

// A Digest is the SHA-256 of a secret that was handed out: who has the file has no
// secret. The secrets are random and long, so that guessing does not help either.
type Digest [sha256.Size]byte

// DigestOf is the digest of a secret.
func DigestOf(secret string) Digest { return sha256.Sum256([]byte(secret)) }

func found(n int64, err error, what string) error {
	if err == nil && n == 0 {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

func notFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

// room returns ErrLimit when a table has as many rows as it may.
func room(t *tx, table string, most int) error {
	var n int
	if err := t.get("SELECT count(*) FROM "+table, nil, &n); err != nil {
		return err
	}
	if n >= most {
		return fmt.Errorf("%w: %d of %s", ErrLimit, n, table)
	}
	return nil
}

// list is a list as a column has it.
func list(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", invalid("%v", err)
	}
	return string(b), nil
}

// A Tenant is whose evidence, incidents and settings stand apart from all others'.
type Tenant struct {
	ID       string    `json:"id"` // [a-z0-9][a-z0-9-]{0,39}
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

var tenantForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// CreateTenant adds a tenant. ErrExists, ErrInvalid, ErrLimit.
func (c *Control) CreateTenant(ctx context.Context, x Tenant) error {
	if !tenantForm.MatchString(x.ID) {
		return invalid("tenant id %.50q: want lower-case letters, digits and hyphens, at most 40", x.ID)
	}
	if len(x.Name) > maxName {
		return invalid("a name of more than %d bytes", maxName)
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := room(t, "tenant", maxTenants); err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO tenant (id, name, created, disabled) VALUES (?, ?, ?, ?)", x.ID, x.Name, clampMicro(x.Created), x.Disabled)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: tenant %s", ErrExists, x.ID)
		}
		return err
	})
}

// UpdateTenant changes a tenant's name and whether it is disabled.
func (c *Control) UpdateTenant(ctx context.Context, x Tenant) error {
	if len(x.Name) > maxName {
		return invalid("a name of more than %d bytes", maxName)
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("UPDATE tenant SET name = ?, disabled = ? WHERE id = ?", x.Name, x.Disabled, x.ID)
		return found(n, err, "tenant "+x.ID)
	})
}

// DeleteTenant takes a tenant out of the list, with its tokens; its folder stays.
func (c *Control) DeleteTenant(ctx context.Context, id string) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		if _, err := t.exec("DELETE FROM token WHERE tenant = ?", id); err != nil {
			return err
		}
		n, err := t.exec("DELETE FROM tenant WHERE id = ?", id)
		return found(n, err, "tenant "+id)
	})
}

// Tenants returns all tenants by id.
func (c *Control) Tenants(ctx context.Context) (out []Tenant, err error) {
	out = []Tenant{}
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return s.each("SELECT id, name, created, disabled FROM tenant ORDER BY id LIMIT ?", []any{maxTenants}, func(r *sql.Rows) error {
			var x Tenant
			var created int64
			err := r.Scan(&x.ID, &x.Name, &created, &x.Disabled)
			x.Created = time.UnixMicro(created).UTC()
			out = append(out, x)
			return err
		})
	})
	return out, err
}

// Tenant returns one tenant; ErrNotFound if there is none.
func (c *Control) Tenant(ctx context.Context, id string) (x Tenant, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		var created int64
		err := s.get("SELECT id, name, created, disabled FROM tenant WHERE id = ?", []any{id}, &x.ID, &x.Name, &created, &x.Disabled)
		x.Created = time.UnixMicro(created).UTC()
		return notFound(err, "tenant "+id)
	})
	return x, err
}

// A Grant is a role in a tenant. What tenants and roles mean the server says; "*" is
// meant for all tenants.
type Grant struct {
	Tenant string `json:"tenant"`
	Role   string `json:"role"`
}

// An Account is a person or a service that logs in.
type Account struct {
	ID        string     `json:"id"`
	Login     string     `json:"login"` // compared without regard to case
	Name      string     `json:"name"`
	Email     string     `json:"email,omitempty"`
	Password  string     `json:"-"` // what the server made of it ($argon2id$...), empty for none
	Disabled  bool       `json:"disabled,omitempty"`
	Grants    []Grant    `json:"grants"`
	Created   time.Time  `json:"created"`
	Version   int64      `json:"version"`
	LastLogin *time.Time `json:"last_login,omitempty"`
}

func (x *Account) check() error {
	switch {
	case x.ID == "" || strings.TrimSpace(x.Login) == "":
		return invalid("an account needs an id and a login")
	case len(x.ID) > maxName || len(x.Login) > maxName || len(x.Name) > maxName || len(x.Email) > maxName || len(x.Password) > maxText:
		return invalid("id, login, name and address of an account have at most %d bytes", maxName)
	case len(x.Grants) > maxGrants:
		return invalid("an account with more than %d grants", maxGrants)
	}
	return nil
}

// CreateAccount adds an account; Version is set here. ErrExists if the id or login is taken.
func (c *Control) CreateAccount(ctx context.Context, x Account) error {
	if err := x.check(); err != nil {
		return err
	}
	grants, err := list(x.Grants)
	if err != nil {
		return err
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := room(t, "account", maxAccounts); err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO account (id, login, name, email, password, disabled, grants, created, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", x.ID, strings.ToLower(x.Login), x.Name, x.Email, x.Password, x.Disabled, grants, clampMicro(x.Created))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: account %s", ErrExists, x.Login)
		}
		return err
	})
}

// UpdateAccount writes all of an account but Created and LastLogin. x.Version is the
// version that it replaces, and is returned grown by one. ErrConflict, ErrExists.
func (c *Control) UpdateAccount(ctx context.Context, x Account) (Account, error) {
	if err := x.check(); err != nil {
		return x, err
	}
	grants, err := list(x.Grants)
	if err != nil {
		return x, err
	}
	err = c.db.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("UPDATE OR IGNORE account SET login = ?, name = ?, email = ?, password = ?, disabled = ?, grants = ?, version = version + 1 WHERE id = ? AND version = ?", strings.ToLower(x.Login), x.Name, x.Email, x.Password, x.Disabled, grants, x.ID, x.Version)
		if err != nil || n > 0 {
			return err
		}
		var version int64
		if err := t.get("SELECT version FROM account WHERE id = ?", []any{x.ID}, &version); err != nil {
			return notFound(err, "account "+x.ID)
		}
		if version != x.Version {
			return fmt.Errorf("%w: account %s is at version %d", ErrConflict, x.ID, version)
		}
		return fmt.Errorf("%w: account %s", ErrExists, x.Login)
	})
	if err != nil {
		return x, err
	}
	x.Version++
	x.Login = strings.ToLower(x.Login)
	return x, nil
}

// DeleteAccount deletes an account with its sessions, identities and tokens.
func (c *Control) DeleteAccount(ctx context.Context, id string) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		for _, table := range []string{"session", "identity", "token", "link"} {
			if _, err := t.exec("DELETE FROM "+table+" WHERE account = ?", id); err != nil {
				return err
			}
		}
		n, err := t.exec("DELETE FROM account WHERE id = ?", id)
		return found(n, err, "account "+id)
	})
}

// LoggedIn notes when an account logged in.
func (c *Control) LoggedIn(ctx context.Context, id string, at time.Time) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("UPDATE account SET last_login = ? WHERE id = ?", clampMicro(at), id)
		return found(n, err, "account "+id)
	})
}

const accountColumns = "SELECT a.id, a.login, a.name, a.email, a.password, a.disabled, a.grants, a.created, a.version, a.last_login FROM account AS a"

func scanAccount(scan func(...any) error, more ...any) (x Account, err error) {
	var grants []byte
	var created int64
	var last sql.NullInt64
	if err := scan(append([]any{&x.ID, &x.Login, &x.Name, &x.Email, &x.Password, &x.Disabled, &grants, &created, &x.Version, &last}, more...)...); err != nil {
		return x, err
	}
	x.Created, x.LastLogin = time.UnixMicro(created).UTC(), momentOf(last)
	if err := json.Unmarshal(grants, &x.Grants); err != nil {
		return x, fmt.Errorf("%w: account %s (%w)", ErrDamaged, x.ID, err)
	}
	return x, nil
}

func (c *Control) account(ctx context.Context, cond, what string, args ...any) (x Account, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		x, err = scanAccount(s.tx.QueryRowContext(ctx, accountColumns+cond, args...).Scan)
		return notFound(err, "account "+what)
	})
	return x, err
}

// Account returns the account of an id; ErrNotFound.
func (c *Control) Account(ctx context.Context, id string) (Account, error) {
	return c.account(ctx, " WHERE a.id = ?", id, id)
}

// AccountByLogin returns the account of a login; ErrNotFound.
func (c *Control) AccountByLogin(ctx context.Context, login string) (Account, error) {
	return c.account(ctx, " WHERE a.login = ?", fmt.Sprintf("%.100q", login), strings.ToLower(login))
}

// AccountByIdentity returns the account that is linked to a subject of an OIDC issuer;
// ErrNotFound.
func (c *Control) AccountByIdentity(ctx context.Context, issuer, subject string) (Account, error) {
	return c.account(ctx, " JOIN identity AS i ON i.account = a.id WHERE i.issuer = ? AND i.subject = ?", fmt.Sprintf("of %.100q", subject), issuer, subject)
}

// LinkIdentity links a subject of an OIDC issuer to an account. ErrExists if it is linked
// to another one.
func (c *Control) LinkIdentity(ctx context.Context, issuer, subject, account string, at time.Time) error {
	if issuer == "" || subject == "" || len(issuer) > maxText || len(subject) > maxText {
		return invalid("an identity needs an issuer and a subject of at most %d bytes", maxText)
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := t.get("SELECT id FROM account WHERE id = ?", []any{account}, new(string)); err != nil {
			return notFound(err, "account "+account)
		}
		if _, err := t.exec("INSERT OR IGNORE INTO identity (issuer, subject, account, at) VALUES (?, ?, ?, ?)", issuer, subject, account, clampMicro(at)); err != nil {
			return err
		}
		var owner string
		err := t.get("SELECT account FROM identity WHERE issuer = ? AND subject = ?", []any{issuer, subject}, &owner)
		if err == nil && owner != account {
			err = fmt.Errorf("%w: the identity is of account %s", ErrExists, owner)
		}
		return err
	})
}

// Accounts returns accounts by id, from the one after an id on; limit is 100 if it is 0,
// and MaxPage at most.
func (c *Control) Accounts(ctx context.Context, after string, limit int) (out []Account, err error) {
	out = []Account{}
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return s.each(accountColumns+" WHERE a.id > ? ORDER BY a.id LIMIT ?", []any{after, bounded(limit, 100, MaxPage)}, func(r *sql.Rows) error {
			x, err := scanAccount(r.Scan)
			out = append(out, x)
			return err
		})
	})
	return out, err
}

// CountAccounts returns how many accounts there are: with none, the first start makes one.
func (c *Control) CountAccounts(ctx context.Context) (n int, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error { return s.get("SELECT count(*) FROM account", nil, &n) })
	return n, err
}

// A TokenKind says what a token is for.
type TokenKind string

// The kinds of tokens.
const (
	APIToken    TokenKind = "api"
	IngestToken TokenKind = "ingest" // takes evidence in for one tenant, and nothing else
)

// A Token is a secret that a program shows. The store has its digest.
type Token struct {
	ID      string     `json:"id"`
	Digest  Digest     `json:"-"`
	Kind    TokenKind  `json:"kind"`
	Account string     `json:"account,omitempty"` // whose it is; empty for an ingest token
	Tenant  string     `json:"tenant,omitempty"`  // of an ingest token
	Name    string     `json:"name"`
	Scopes  []string   `json:"scopes"` // nil is no limit
	Grants  []Grant    `json:"grants"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Used    *time.Time `json:"used,omitempty"`    // last
	Revoked *time.Time `json:"revoked,omitempty"` // a revoked one stays in the list
}

// CreateToken adds a token. ErrExists, ErrInvalid, ErrLimit.
func (c *Control) CreateToken(ctx context.Context, x Token) error {
	switch {
	case x.ID == "" || x.Digest == Digest{}:
		return invalid("a token needs an id and a digest")
	case x.Kind != APIToken && x.Kind != IngestToken:
		return invalid("there is no token of kind %.50q", x.Kind)
	case len(x.ID) > maxName || len(x.Name) > maxName || len(x.Account) > maxName || len(x.Tenant) > maxName:
		return invalid("id and name of a token have at most %d bytes", maxName)
	case len(x.Scopes) > maxGrants || len(x.Grants) > maxGrants:
		return invalid("a token with more than %d scopes or grants", maxGrants)
	}
	scopes, err := list(x.Scopes)
	if err != nil {
		return err
	}
	grants, err := list(x.Grants)
	if err != nil {
		return err
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := room(t, "token", maxTokens); err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO token (id, digest, kind, account, tenant, name, scopes, grants, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", x.ID, x.Digest[:], string(x.Kind), x.Account, x.Tenant, x.Name, scopes, grants, clampMicro(x.Created), stampOf(x.Expires))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: token %s", ErrExists, x.ID)
		}
		return err
	})
}

const tokenColumns = "SELECT id, digest, kind, account, tenant, name, scopes, grants, created, expires, used, revoked FROM token"

func scanToken(scan func(...any) error) (x Token, err error) {
	var digest, scopes, grants []byte
	var created int64
	var expires, used, revoked sql.NullInt64
	if err := scan(&x.ID, &digest, &x.Kind, &x.Account, &x.Tenant, &x.Name, &scopes, &grants, &created, &expires, &used, &revoked); err != nil {
		return x, err
	}
	copy(x.Digest[:], digest)
	x.Created, x.Expires, x.Used, x.Revoked = time.UnixMicro(created).UTC(), momentOf(expires), momentOf(used), momentOf(revoked)
	if err := errors.Join(json.Unmarshal(scopes, &x.Scopes), json.Unmarshal(grants, &x.Grants)); err != nil {
		return x, fmt.Errorf("%w: token %s (%w)", ErrDamaged, x.ID, err)
	}
	return x, nil
}

// TokenByDigest returns the token of a secret that is neither revoked nor expired at now;
// ErrNotFound if there is none such.
func (c *Control) TokenByDigest(ctx context.Context, d Digest, now time.Time) (x Token, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		x, err = scanToken(s.tx.QueryRowContext(ctx, tokenColumns+" WHERE digest = ? AND revoked IS NULL AND (expires IS NULL OR expires > ?)", d[:], clampMicro(now)).Scan)
		return notFound(err, "token")
	})
	return x, err
}

// Token returns a token by its id; ErrNotFound.
func (c *Control) Token(ctx context.Context, id string) (x Token, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		x, err = scanToken(s.tx.QueryRowContext(ctx, tokenColumns+" WHERE id = ?", id).Scan)
		return notFound(err, "token "+id)
	})
	return x, err
}

// TokenFilter picks tokens; empty fields pick all.
type TokenFilter struct {
	Kind            TokenKind
	Account, Tenant string
	After           string // id
	Limit           int    // 0 is 100, MaxPage the most
}

// Tokens returns tokens by id, revoked and expired ones among them.
func (c *Control) Tokens(ctx context.Context, f TokenFilter) (out []Token, err error) {
	out = []Token{}
	w := where{}
	w.and("id > ?", f.After)
	for _, x := range []struct{ column, value string }{{"kind", string(f.Kind)}, {"account", f.Account}, {"tenant", f.Tenant}} {
		if x.value != "" {
			w.and(x.column+" = ?", x.value)
		}
	}
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return s.each(tokenColumns+w.sql()+" ORDER BY id LIMIT ?", append(w.args, bounded(f.Limit, 100, MaxPage)), func(r *sql.Rows) error {
			x, err := scanToken(r.Scan)
			out = append(out, x)
			return err
		})
	})
	return out, err
}

// TouchToken notes that a token was used. To spare the disk, it writes only if the last
// note is older than a minute.
func (c *Control) TouchToken(ctx context.Context, id string, now time.Time) error {
	return c.touch(ctx, "token", "id", id, now)
}

func (c *Control) touch(ctx context.Context, table, column string, key any, now time.Time) error {
	var used sql.NullInt64
	err := c.db.view(ctx, "read", func(s *snapshot) error {
		return notFound(s.get("SELECT used FROM "+table+" WHERE "+column+" = ?", []any{key}, &used), table)
	})
	if err != nil || used.Valid && now.Sub(time.UnixMicro(used.Int64)) < time.Minute {
		return err
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		_, err := t.exec("UPDATE "+table+" SET used = ? WHERE "+column+" = ?", clampMicro(now), key)
		return err
	})
}

// RevokeToken makes a token worth nothing from then on.
func (c *Control) RevokeToken(ctx context.Context, id string, at time.Time) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("UPDATE token SET revoked = coalesce(revoked, ?) WHERE id = ?", clampMicro(at), id)
		return found(n, err, "token "+id)
	})
}

// A Session is a browser that logged in.
type Session struct {
	Digest  Digest
	Account string
	Created time.Time
	Expires time.Time
	Used    time.Time
	Address string
	Agent   string
	Data    json.RawMessage // what the server keeps of it
}

// CreateSession adds a session.
func (c *Control) CreateSession(ctx context.Context, x Session) error {
	if len(x.Data) > maxData {
		return invalid("a session with %d bytes of data", len(x.Data))
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := t.get("SELECT id FROM account WHERE id = ?", []any{x.Account}, new(string)); err != nil {
			return notFound(err, "account "+x.Account)
		}
		if err := room(t, "session", maxSessions); err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO session (digest, account, created, expires, used, address, agent, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", x.Digest[:], x.Account, clampMicro(x.Created), clampMicro(x.Expires), clampMicro(x.Created), clip(x.Address), clip(x.Agent), string(x.Data))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: session", ErrExists)
		}
		return err
	})
}

const sessionColumns = "SELECT digest, account, created, expires, used, address, agent, data FROM session"

func scanSession(scan func(...any) error) (x Session, err error) {
	var digest, data []byte
	var created, expires, used int64
	err = scan(&digest, &x.Account, &created, &expires, &used, &x.Address, &x.Agent, &data)
	copy(x.Digest[:], digest)
	x.Created, x.Expires, x.Used, x.Data = time.UnixMicro(created).UTC(), time.UnixMicro(expires).UTC(), time.UnixMicro(used).UTC(), data
	return x, err
}

// SessionByDigest returns the session of a secret that has not expired at now; ErrNotFound
// if there is none such.
func (c *Control) SessionByDigest(ctx context.Context, d Digest, now time.Time) (x Session, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		x, err = scanSession(s.tx.QueryRowContext(ctx, sessionColumns+" WHERE digest = ? AND expires > ?", d[:], clampMicro(now)).Scan)
		return notFound(err, "session")
	})
	return x, err
}

// Sessions returns the sessions of an account that have not expired, the latest first, at
// most 100.
func (c *Control) Sessions(ctx context.Context, account string, now time.Time) (out []Session, err error) {
	out = []Session{}
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return s.each(sessionColumns+" WHERE account = ? AND expires > ? ORDER BY created DESC, digest LIMIT 100", []any{account, clampMicro(now)}, func(r *sql.Rows) error {
			x, err := scanSession(r.Scan)
			out = append(out, x)
			return err
		})
	})
	return out, err
}

// TouchSession notes that a session was used, at most once a minute.
func (c *Control) TouchSession(ctx context.Context, d Digest, now time.Time) error {
	return c.touch(ctx, "session", "digest", d[:], now)
}

// UpdateSession changes when a session expires and what it carries.
func (c *Control) UpdateSession(ctx context.Context, d Digest, expires time.Time, data json.RawMessage) error {
	if len(data) > maxData {
		return invalid("a session with %d bytes of data", len(data))
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		n, err := t.exec("UPDATE session SET expires = ?, data = ? WHERE digest = ?", clampMicro(expires), string(data), d[:])
		return found(n, err, "session")
	})
}

// DeleteSession ends a session; one that there is not is ended already.
func (c *Control) DeleteSession(ctx context.Context, d Digest) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		_, err := t.exec("DELETE FROM session WHERE digest = ?", d[:])
		return err
	})
}

// DeleteSessions ends all sessions of an account but one, which may be zero. It returns
// how many.
func (c *Control) DeleteSessions(ctx context.Context, account string, but Digest) (n int64, err error) {
	err = c.db.update(ctx, "write to", func(t *tx) error {
		n, err = t.exec("DELETE FROM session WHERE account = ? AND digest != ?", account, but[:])
		return err
	})
	return n, err
}

// A Link is a secret that is good for one use: a first log-in, a new password, the way
// back from an OIDC provider.
type Link struct {
	Digest  Digest
	Purpose string
	Account string // may be empty
	Created time.Time
	Expires time.Time
	Data    json.RawMessage
}

// CreateLink adds a link.
func (c *Control) CreateLink(ctx context.Context, x Link) error {
	if x.Purpose == "" || len(x.Purpose) > maxName || len(x.Account) > maxName || len(x.Data) > maxData {
		return invalid("a link needs a purpose, and carries at most %d bytes", maxData)
	}
	return c.db.update(ctx, "write to", func(t *tx) error {
		if err := room(t, "link", maxLinks); err != nil {
			return err
		}
		n, err := t.exec("INSERT OR IGNORE INTO link (digest, purpose, account, created, expires, data) VALUES (?, ?, ?, ?, ?, ?)", x.Digest[:], x.Purpose, x.Account, clampMicro(x.Created), clampMicro(x.Expires), string(x.Data))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: link", ErrExists)
		}
		return err
	})
}

const linkColumns = "digest, purpose, account, created, expires, data"

func scanLink(x *Link, get func(...any) error) error {
	var digest, data []byte
	var created, expires int64
	err := get(&digest, &x.Purpose, &x.Account, &created, &expires, &data)
	copy(x.Digest[:], digest)
	x.Created, x.Expires, x.Data = time.UnixMicro(created).UTC(), time.UnixMicro(expires).UTC(), data
	return err
}

// PeekLink returns a link that has not expired and leaves it; ErrNotFound.
func (c *Control) PeekLink(ctx context.Context, d Digest, purpose string, now time.Time) (x Link, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return notFound(scanLink(&x, s.tx.QueryRowContext(ctx, "SELECT "+linkColumns+" FROM link WHERE digest = ? AND purpose = ? AND expires > ?", d[:], purpose, clampMicro(now)).Scan), "link")
	})
	return x, err
}

// TakeLink returns a link of a purpose that has not expired, and uses it up: of several
// who try at once one gets it. ErrNotFound.
func (c *Control) TakeLink(ctx context.Context, d Digest, purpose string, now time.Time) (x Link, err error) {
	err = c.db.update(ctx, "write to", func(t *tx) error {
		return notFound(scanLink(&x, func(dest ...any) error {
			return t.get("DELETE FROM link WHERE digest = ? AND purpose = ? AND expires > ? RETURNING "+linkColumns, []any{d[:], purpose, clampMicro(now)}, dest...)
		}), "link")
	})
	return x, err
}

// AddFailure notes that a log-in failed, under a key such as an account or an address, and
// returns how many have failed since. Those of one second are one row.
func (c *Control) AddFailure(ctx context.Context, key string, at, since time.Time) (n int, err error) {
	err = c.db.update(ctx, "write to", func(t *tx) error {
		key = clip(key)
		if _, err := t.exec("INSERT INTO failure (key, at, n) VALUES (?, ?, 1) ON CONFLICT (key, at) DO UPDATE SET n = n + 1", key, clampMicro(at.Truncate(time.Second))); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM failure WHERE (key, at) IN (SELECT key, at FROM failure ORDER BY at DESC, key LIMIT -1 OFFSET ?)", maxFailures); err != nil {
			return err
		}
		return t.get(failures, []any{key, clampMicro(since.Truncate(time.Second))}, &n)
	})
	return n, err
}

const failures = "SELECT coalesce(sum(n), 0) FROM failure WHERE key = ? AND at >= ?"

// Failures returns how many log-ins failed under a key since a time.
func (c *Control) Failures(ctx context.Context, key string, since time.Time) (n int, err error) {
	err = c.db.view(ctx, "read", func(s *snapshot) error {
		return s.get(failures, []any{clip(key), clampMicro(since.Truncate(time.Second))}, &n)
	})
	return n, err
}

// ClearFailures forgets them, after a log-in that worked.
func (c *Control) ClearFailures(ctx context.Context, key string) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		_, err := t.exec("DELETE FROM failure WHERE key = ?", clip(key))
		return err
	})
}

// Sweep deletes sessions and links that have expired, and failures from before a time.
func (c *Control) Sweep(ctx context.Context, now, failuresBefore time.Time) error {
	return c.db.update(ctx, "write to", func(t *tx) error {
		for _, q := range []struct {
			query string
			at    time.Time
		}{{"DELETE FROM session WHERE expires <= ?", now}, {"DELETE FROM link WHERE expires <= ?", now}, {"DELETE FROM failure WHERE at < ?", failuresBefore}} {
			if _, err := t.exec(q.query, clampMicro(q.at)); err != nil {
				return err
			}
		}
		return nil
	})
}
