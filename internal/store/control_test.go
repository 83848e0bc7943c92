package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func openControl(t *testing.T) *Control {
	t.Helper()
	c, err := OpenControl(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func TestTenants(t *testing.T) {
	c := openControl(t)
	must(t, c.CreateTenant(ctx, Tenant{ID: "default", Name: "Ours", Created: day}))
	wantErr(t, c.CreateTenant(ctx, Tenant{ID: "default"}), ErrExists)
	for _, id := range []string{"", "../x", "A", "-a", "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		wantErr(t, c.CreateTenant(ctx, Tenant{ID: id}), ErrInvalid)
	}
	must(t, c.CreateTenant(ctx, Tenant{ID: "acme", Created: day}))
	must(t, c.UpdateTenant(ctx, Tenant{ID: "acme", Name: "Acme", Disabled: true}))
	x, err := c.Tenant(ctx, "acme")
	must(t, err)
	equal(t, x, Tenant{ID: "acme", Name: "Acme", Created: day, Disabled: true})
	l, err := c.Tenants(ctx)
	must(t, err)
	equal(t, ids(l, func(x Tenant) string { return x.ID }), []string{"acme", "default"})
	must(t, c.DeleteTenant(ctx, "acme"))
	wantErr(t, c.DeleteTenant(ctx, "acme"), ErrNotFound)
	_, err = c.Tenant(ctx, "acme")
	wantErr(t, err, ErrNotFound)
}

func TestAccounts(t *testing.T) {
	c := openControl(t)
	a := Account{ID: "u1", Login: "Ann@Example.com", Name: "Ann", Password: "$argon2id$x", Grants: []Grant{{"default", "analyst"}, {"*", "viewer"}}, Created: day}
	must(t, c.CreateAccount(ctx, a))
	wantErr(t, c.CreateAccount(ctx, Account{ID: "u2", Login: "ANN@example.COM"}), ErrExists)
	wantErr(t, c.CreateAccount(ctx, Account{ID: "u2", Login: " "}), ErrInvalid)
	got, err := c.AccountByLogin(ctx, "ann@example.com")
	must(t, err)
	a.Login, a.Version = "ann@example.com", 1
	equal(t, got, a)
	got.Name = "Ann B."
	changed, err := c.UpdateAccount(ctx, got)
	must(t, err)
	equal(t, changed.Version, int64(2))
	_, err = c.UpdateAccount(ctx, got)
	wantErr(t, err, ErrConflict)
	must(t, c.CreateAccount(ctx, Account{ID: "u2", Login: "bob"}))
	changed.Login = "BOB"
	_, err = c.UpdateAccount(ctx, changed)
	wantErr(t, err, ErrExists)
	_, err = c.UpdateAccount(ctx, Account{ID: "u9", Login: "x"})
	wantErr(t, err, ErrNotFound)
	must(t, c.LoggedIn(ctx, "u1", day))
	if got, err = c.Account(ctx, "u1"); err != nil || got.LastLogin == nil || got.Name != "Ann B." {
		t.Fatalf("account is %+v, %v", got, err)
	}
	must(t, c.LinkIdentity(ctx, "https://idp", "sub-1", "u1", day))
	must(t, c.LinkIdentity(ctx, "https://idp", "sub-1", "u1", day))
	wantErr(t, c.LinkIdentity(ctx, "https://idp", "sub-1", "u2", day), ErrExists)
	wantErr(t, c.LinkIdentity(ctx, "https://idp", "sub-2", "u9", day), ErrNotFound)
	if got, err = c.AccountByIdentity(ctx, "https://idp", "sub-1"); err != nil || got.ID != "u1" {
		t.Fatalf("identity is of %+v, %v", got, err)
	}
	must(t, c.CreateSession(ctx, Session{Digest: DigestOf("s"), Account: "u1", Created: day, Expires: day.Add(time.Hour)}))
	must(t, c.CreateToken(ctx, Token{ID: "t1", Digest: DigestOf("t"), Kind: APIToken, Account: "u1", Created: day}))
	must(t, c.DeleteAccount(ctx, "u1"))
	_, err = c.SessionByDigest(ctx, DigestOf("s"), day)
	wantErr(t, err, ErrNotFound)
	_, err = c.TokenByDigest(ctx, DigestOf("t"), day)
	wantErr(t, err, ErrNotFound)
	_, err = c.AccountByIdentity(ctx, "https://idp", "sub-1")
	wantErr(t, err, ErrNotFound)
	n, err := c.CountAccounts(ctx)
	must(t, err)
	equal(t, n, 1)
	l, err := c.Accounts(ctx, "u1", 10)
	must(t, err)
	equal(t, ids(l, func(a Account) string { return a.ID }), []string{"u2"})
}

func TestTokens(t *testing.T) {
	c := openControl(t)
	end := day.Add(time.Hour)
	x := Token{ID: "t1", Digest: DigestOf("secret"), Kind: IngestToken, Tenant: "default", Name: "fleet", Scopes: []string{"ingest"}, Grants: []Grant{}, Created: day, Expires: &end}
	must(t, c.CreateToken(ctx, x))
	wantErr(t, c.CreateToken(ctx, x), ErrExists)
	wantErr(t, c.CreateToken(ctx, Token{ID: "t2", Digest: DigestOf("x"), Kind: "root"}), ErrInvalid)
	wantErr(t, c.CreateToken(ctx, Token{ID: "t2", Kind: APIToken}), ErrInvalid)
	got, err := c.TokenByDigest(ctx, DigestOf("secret"), day)
	must(t, err)
	equal(t, got, x)
	_, err = c.TokenByDigest(ctx, DigestOf("secret"), end)
	wantErr(t, err, ErrNotFound)
	_, err = c.TokenByDigest(ctx, DigestOf("Secret"), day)
	wantErr(t, err, ErrNotFound)
	must(t, c.TouchToken(ctx, "t1", day))
	must(t, c.TouchToken(ctx, "t1", day.Add(30*time.Second))) // within the minute
	if got, err = c.Token(ctx, "t1"); err != nil || !got.Used.Equal(day) {
		t.Fatalf("used %v, %v", got.Used, err)
	}
	must(t, c.TouchToken(ctx, "t1", day.Add(2*time.Minute)))
	if got, err = c.Token(ctx, "t1"); err != nil || !got.Used.Equal(day.Add(2*time.Minute)) {
		t.Fatalf("used %v, %v", got.Used, err)
	}
	must(t, c.RevokeToken(ctx, "t1", day))
	wantErr(t, c.RevokeToken(ctx, "t9", day), ErrNotFound)
	_, err = c.TokenByDigest(ctx, DigestOf("secret"), day)
	wantErr(t, err, ErrNotFound)
	l, err := c.Tokens(ctx, TokenFilter{Kind: IngestToken, Tenant: "default"})
	must(t, err)
	if len(l) != 1 || l[0].Revoked == nil {
		t.Fatalf("tokens are %+v", l)
	}
}

func TestSessions(t *testing.T) {
	c := openControl(t)
	must(t, c.CreateAccount(ctx, Account{ID: "u1", Login: "ann"}))
	for i := range 3 {
		must(t, c.CreateSession(ctx, Session{Digest: DigestOf(fmt.Sprint(i)), Account: "u1", Created: day.Add(time.Duration(i) * time.Second), Expires: day.Add(time.Hour), Address: "192.0.2.1", Data: []byte(`{"csrf":1}`)}))
	}
	wantErr(t, c.CreateSession(ctx, Session{Digest: DigestOf("x"), Account: "nobody"}), ErrNotFound)
	wantErr(t, c.CreateSession(ctx, Session{Digest: DigestOf("1"), Account: "u1"}), ErrExists)
	got, err := c.SessionByDigest(ctx, DigestOf("1"), day)
	must(t, err)
	if got.Address != "192.0.2.1" || string(got.Data) != `{"csrf":1}` {
		t.Fatalf("session is %+v", got)
	}
	must(t, c.UpdateSession(ctx, DigestOf("1"), day.Add(2*time.Hour), []byte(`{}`)))
	must(t, c.TouchSession(ctx, DigestOf("1"), day.Add(time.Hour)))
	l, err := c.Sessions(ctx, "u1", day)
	must(t, err)
	equal(t, len(l), 3)
	must(t, c.DeleteSession(ctx, DigestOf("0")))
	n, err := c.DeleteSessions(ctx, "u1", DigestOf("1"))
	must(t, err)
	equal(t, n, int64(1))
	must(t, c.Sweep(ctx, day.Add(3*time.Hour), day))
	_, err = c.SessionByDigest(ctx, DigestOf("1"), day)
	wantErr(t, err, ErrNotFound)
}

func TestALinkIsTakenOnce(t *testing.T) {
	c := openControl(t)
	l := Link{Digest: DigestOf("once"), Purpose: "first", Account: "u1", Created: day, Expires: day.Add(time.Hour), Data: []byte(`{"a":1}`)}
	must(t, c.CreateLink(ctx, l))
	_, err := c.TakeLink(ctx, l.Digest, "other", day)
	wantErr(t, err, ErrNotFound)
	_, err = c.TakeLink(ctx, l.Digest, "first", day.Add(time.Hour))
	wantErr(t, err, ErrNotFound)
	got, err := c.PeekLink(ctx, l.Digest, "first", day)
	must(t, err)
	equal(t, got, l)
	var wg sync.WaitGroup
	won := make(chan Link, 8)
	for range 8 {
		wg.Go(func() {
			switch got, err := c.TakeLink(context.Background(), l.Digest, "first", day); {
			case err == nil:
				won <- got
			case !errors.Is(err, ErrNotFound):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d took the link", len(won))
	}
	equal(t, <-won, l)
}

func TestFailures(t *testing.T) {
	c := openControl(t)
	for i := range 5 {
		n, err := c.AddFailure(ctx, "ann", day.Add(time.Duration(i)*500*time.Millisecond), day.Add(-time.Minute))
		must(t, err)
		equal(t, n, i+1)
	}
	n, err := c.Failures(ctx, "ann", day.Add(2*time.Second))
	must(t, err)
	equal(t, n, 1)
	must(t, c.ClearFailures(ctx, "ann"))
	n, err = c.Failures(ctx, "ann", day)
	must(t, err)
	equal(t, n, 0)
}

// What somebody with the file in hand changes in the audit shows.
func TestAuditTellsTampering(t *testing.T) {
	for name, tamper := range map[string]string{
		"changed":   "UPDATE audit SET actor = 'nobody' WHERE seq = 3",
		"taken out": "DELETE FROM audit WHERE seq = 3",
		"put in":    "INSERT INTO audit SELECT seq + 100, at, actor, action, object, detail, address, hash FROM audit WHERE seq = 3",
		"renamed":   "UPDATE audit SET actor = 'an', action = 'nlogin' WHERE seq = 2",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c, err := OpenControl(dir)
			must(t, err)
			for range 5 {
				must(t, c.Audit(ctx, AuditRow{Time: day, Actor: "ann", Action: "login"}))
			}
			must(t, c.Close())
			db, err := sql.Open("sqlite", filepath.Join(dir, ControlFile))
			must(t, err)
			if _, err := db.Exec(tamper); err == nil && name != "put in" {
				t.Error("the audit let itself be changed")
			}
			_, err = db.Exec("DROP TRIGGER audit_stays; DROP TRIGGER audit_unchanged; " + tamper)
			if name == "put in" {
				_, err = db.Exec("UPDATE audit SET seq = seq WHERE 0")
			}
			must(t, err)
			must(t, db.Close())
			c, err = OpenControl(dir)
			must(t, err)
			defer func() { must(t, c.Close()) }()
			_, _, err = c.VerifyAudit(ctx)
			wantErr(t, err, ErrDamaged)
		})
	}
}

func TestSettingsHaveVersions(t *testing.T) {
	c := openControl(t)
	x, err := c.PutObject(ctx, Object{Kind: "settings", Name: "notify", Time: day, Author: "ann", Body: []byte(`{}`)}, 0)
	must(t, err)
	_, err = c.PutObject(ctx, x, 9)
	wantErr(t, err, ErrConflict)
	l, err := c.Objects(ctx, "settings", "", 0)
	must(t, err)
	if !slices.ContainsFunc(l, func(o Object) bool { return o.Name == "notify" }) {
		t.Fatalf("settings are %+v", l)
	}
}
