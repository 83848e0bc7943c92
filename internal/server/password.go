package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id, as RFC 9106 names them. A hash carries its own, so that
// these can grow: what was made with others is made anew at the next log-in.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// Bounds of a password, in characters and bytes. Length is what counts; beyond the
// upper bound there is only work for the hash.
const (
	minPassword = 12
	maxPassword = 256
)

// errBusy means that more log-ins wait than are let wait.
var errBusy = errors.New("too many log-ins at once; try again in a few seconds")

// A hasher makes and checks hashes of passwords, few at a time: each takes 19 MiB and
// tens of milliseconds, and who is not logged in may ask for them.
type hasher struct {
	slots chan struct{} // as many as run at once
	queue chan struct{} // as many as run or wait
	dummy string        // of a password that nobody has: for accounts that are not there
}

func newHasher(atOnce int) *hasher {
	h := &hasher{slots: make(chan struct{}, atOnce), queue: make(chan struct{}, 16*atOnce)}
	h.dummy = hashWith(rand.Text(), newSalt())
	return h
}

func newSalt() []byte {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails, says its documentation
	return salt
}

func hashWith(password string, salt []byte) string {
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// enter waits for a turn; the returned function gives it back.
func (h *hasher) enter(ctx context.Context) (func(), error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, errBusy
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, ctx.Err()
	}
}

// hash makes the hash of a password in the usual form ($argon2id$...).
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	return hashWith(password, newSalt()), nil
}

// check says whether a password is that of a hash. An empty hash stands for an account
// that is not there or has no password: it takes as long, and is never right.
func (h *hasher) check(ctx context.Context, hash, password string) (bool, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	real := hash != ""
	if !real {
		hash = h.dummy
	}
	if len(password) > maxPassword*utf8.UTFMax {
		password = password[:maxPassword*utf8.UTFMax]
		real = false
	}
	p, salt, want, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && real, nil
}

type argonParams struct {
	memory, time uint32
	threads      uint8
}

// parseHash reads a hash of ours. Its parameters are bounded all the same: a store that
// was tampered with shall not take the machine down.
func parseHash(s string) (p argonParams, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errors.New("password hash: not argon2id as this version writes it; set a new password for the account")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil || p.memory < 8 || p.memory > 1<<20 || p.time < 1 || p.time > 16 || p.threads < 1 || p.threads > 16 {
		return p, nil, nil, errors.New("password hash: parameters out of bounds; set a new password for the account")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
		return p, nil, nil, errors.New("password hash: damaged; set a new password for the account")
	}
	return p, salt, key, nil
}

// stale says whether a hash was made with other parameters than those of today.
func stale(hash string) bool {
	p, _, _, err := parseHash(hash)
	return err != nil || p != argonParams{argonMemory, argonTime, argonThreads}
}

// checkPassword says why a password is not taken, nil if it is. What is asked for is
// length; a password that everybody tries first is refused however long it is.
func checkPassword(password, account string) error {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return errors.New("the password is not text (UTF-8)")
	case n < minPassword:
		return fmt.Errorf("the password has %d characters; %d or more are asked for, of any kind", n, minPassword)
	case n > maxPassword:
		return fmt.Errorf("the password has more than %d characters", maxPassword)
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r > 127:
			return r
		}
		return -1
	}, password)
	if account = strings.ToLower(account); len(account) >= 4 && strings.Contains(strings.ToLower(password), account) {
		return errors.New("the password contains the name of the account")
	}
	for _, w := range []string{"password", "passwort", "passphrase", "letmein", "welcome", "changeme", "qwertyuiop", "qwertzuiop", "qwerty", "administrator", "admin", "catena", "iloveyou", "secret", "abcdefghijkl"} {
		if plain == w || plain == w+w {
			return errors.New("the password is one of those that are tried first")
		}
	}
	if distinct(password) < 5 {
		return errors.New("the password repeats a few characters")
	}
	if counts(password) {
		return errors.New("the password is one of those that are tried first")
	}
	return nil
}

// counts says whether a text is digits that count up, such as 123456789012.
func counts(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i > 0 && s[i] != '0'+(s[i-1]-'0'+1)%10 {
			return false
		}
	}
	return true
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// A secret is what a token, session or one-time link is known by. The store keeps its
// digest only: it has too many bits for guessing, so a plain SHA-256 is enough.

// newSecret makes a secret of 160 random bits behind a prefix that secret scanners can
// find, and its digest.
func newSecret(prefix string) (secret string, digest []byte) {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	secret = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, digestOf(secret)
}

func digestOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
