package server

import (
	"fmt"
	"slices"
	"strings"
)

// A Role is what an account may do, each more than the one before.
type Role string

// The roles, least first.
const (
	Viewer        Role = "viewer"        // reads everything of its tenants
	Analyst       Role = "analyst"       // decides about incidents
	Responder     Role = "responder"     // changes what is detected and acted on
	Administrator Role = "administrator" // accounts, tenants, settings
)

// Roles are all roles, least first.
func Roles() []Role { return []Role{Viewer, Analyst, Responder, Administrator} }

// rank is 0 for what is no role, which may do nothing.
func (r Role) rank() int { return slices.Index(Roles(), r) + 1 }

// Allows says whether one who has role r may do what asks for need.
func (r Role) Allows(need Role) bool { return need.rank() > 0 && r.rank() >= need.rank() }

// lesser returns the lower of two roles.
func lesser(a, b Role) Role {
	if a.rank() < b.rank() {
		return a
	}
	return b
}

// A scope is "area:read" or "area:write". A token holds scopes; in place of either part
// may stand a star, and one star alone is all of them. To write is not to read.

// scopeAllows says whether one that a token holds covers what a route needs.
func scopeAllows(held []string, need string) bool {
	area, deed, _ := strings.Cut(need, ":")
	return slices.ContainsFunc(held, func(h string) bool {
		if h == "*" {
			return true
		}
		a, d, ok := strings.Cut(h, ":")
		return ok && (a == "*" || a == area) && (d == "*" || d == deed)
	})
}

// areas are what scopes speak of. A route names one of them; a test holds routes to it.
func areas() []string {
	return []string{"incidents", "alerts", "entities", "hunt", "rules", "suppressions", "sources", "changes", "coverage", "settings",
		"tenants", "accounts", "tokens", "audit", "proposals", "notify", "mcp", "self"}
}

// checkScopes says which scope of a token to be made is none.
func checkScopes(scopes []string) error {
	if len(scopes) == 0 {
		return fmt.Errorf("scopes: name what the token may do, such as incidents:read")
	}
	if len(scopes) > 64 {
		return fmt.Errorf("scopes: more than 64")
	}
	for _, s := range scopes {
		if s == "*" {
			continue
		}
		a, d, ok := strings.Cut(s, ":")
		if !ok || a != "*" && !slices.Contains(areas(), a) || d != "*" && d != "read" && d != "write" {
			return fmt.Errorf("scopes: %q is none; want area:read or area:write, the areas being %s", clip(s), strings.Join(areas(), ", "))
		}
	}
	return nil
}

// clip shortens what others wrote for a message.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
