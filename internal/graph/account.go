package graph

import "strings"

// accounts bridges the names that one user has in several realms: the number of an
// object in a directory, an e-mail address, a principal name, DOMAIN\name, an ARN. A
// record that states two of them says that they are one. Names of a directory's
// making lead to those that people use and never back, so that following them ends;
// a name said to be two users is neither, and one user has no more than maxAliases.
type accounts struct {
	to  map[string]string // empty if several
	per map[string]int    // names that lead to one
}

const (
	maxAliases = 12  // names that lead to one user
	maxAccount = 320 // bytes of a name: those of the longest e-mail address
)

func newAccounts() accounts { return accounts{to: map[string]string{}, per: map[string]int{}} }

// same notes that two names, in lower case, are of one user.
func (a *accounts) same(x, y string) {
	if x == y || !bridgeable(x) || !bridgeable(y) {
		return
	}
	if rx, ry := rank(x), rank(y); rx > ry || rx == ry && x > y {
		x, y = y, x
	}
	if old, ok := a.to[x]; ok {
		if old != y {
			a.to[x] = ""
		}
		return
	}
	if len(a.to) >= maxNames || a.per[y] >= maxAliases {
		return
	}
	a.to[x] = y
	a.per[y]++
}

// of returns the name that v leads to, v itself if to none.
func (a *accounts) of(v string) string {
	for range 4 {
		next := a.to[v]
		if next == "" {
			break
		}
		v = next
	}
	return v
}

// rank orders names by how near to people they are.
func rank(v string) int {
	switch {
	case strings.Contains(v, `\`):
		return 3
	case strings.HasPrefix(v, "arn:"):
		return 2
	case strings.Contains(v, "@"):
		return 1
	}
	return 0
}

// bridgeable says whether a name is of one account in the world: a bare name is not,
// nor is one that every machine or tenant has.
func bridgeable(v string) bool {
	if len(v) > maxAccount {
		return false
	}
	if domain, name, ok := account(v); ok {
		switch name {
		case "system", "local service", "network service", "anonymous logon", "-", "":
			return false
		}
		return !generic(domain) && !generic(name)
	}
	return rank(v) == 2 || opaque(v) || uniqueIAM(v)
}

// uniqueIAM says whether v, in lower case, is the unique id that IAM gives a user or a
// role: AIDA or AROA and 17 letters or digits.
func uniqueIAM(v string) bool {
	return len(v) == 21 && (v[:4] == "aida" || v[:4] == "aroa") && strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
