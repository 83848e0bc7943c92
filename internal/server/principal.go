package server

import (
	"context"
	"slices"

	"github.com/catena-sec/catena/internal/store"
)

// A Grant is a role in a tenant; the tenant "*" is every one, and what belongs to none.
type Grant struct {
	Tenant string `json:"tenant" maxLength:"40" doc:"Tenant id; * is every tenant, and what belongs to none."`
	Role   Role   `json:"role" enum:"viewer,analyst,responder,administrator"`
}

// everyTenant in a grant stands for all.
const everyTenant = "*"

// A principal is who makes a request, as its session or token says.
type principal struct {
	account string   // id
	name    string   // of the account: the author of what it decides
	grants  []Grant  // of a token: no more than its account holds now
	scopes  []string // of a token; nil is all
	token   string   // id of the token, empty with a session
	digest  store.Digest
	csrf    string // what changes of a session must carry
	address string // from where, for the audit
	role    Role   // that holds for the request; set by guard
}

type principalKey struct{}

// principalOf returns who makes a request, nil if it says nothing valid of that.
func principalOf(ctx context.Context) *principal {
	p, _ := ctx.Value(principalKey{}).(*principal)
	return p
}

// who names the holder of limits and keys: the token if there is one, else the account.
func (p *principal) who() string {
	if p.token != "" {
		return "token:" + p.token
	}
	return "account:" + p.account
}

// actor is how the audit names who did something.
func (p *principal) actor() string {
	if p.token != "" {
		return p.name + " (token " + p.token + ")"
	}
	return p.name
}

// roleIn returns the highest role that is held in a tenant.
func (p *principal) roleIn(tenant string) (best Role) {
	for _, g := range p.grants {
		if (g.Tenant == tenant || g.Tenant == everyTenant) && g.Role.rank() > best.rank() {
			best = g.Role
		}
	}
	return best
}

// everywhere returns the role that is held in all tenants.
func (p *principal) everywhere() Role { return p.roleIn(everyTenant) }

// highest returns the highest role that is held anywhere.
func (p *principal) highest() (best Role) {
	for _, g := range p.grants {
		if g.Role.rank() > best.rank() {
			best = g.Role
		}
	}
	return best
}

// DefaultTenant is the tenant that is there from the start.
const DefaultTenant = "default"

// firstTenant is the tenant that is meant where none is named: the only one, or the
// default one if it may be seen, else the first by id.
func (p *principal) firstTenant() string {
	if p.roleIn(DefaultTenant).rank() > 0 {
		return DefaultTenant
	}
	var ids []string
	for _, g := range p.grants {
		if g.Tenant != everyTenant {
			ids = append(ids, g.Tenant)
		}
	}
	if len(ids) == 0 {
		return DefaultTenant
	}
	return slices.Min(ids)
}

// under cuts grants down to what others allow: a token is never more than its account.
func under(grants, most []Grant) []Grant {
	holder := &principal{grants: most}
	var out []Grant
	for _, g := range grants {
		if g.Tenant != everyTenant {
			if r := lesser(g.Role, holder.roleIn(g.Tenant)); r.rank() > 0 {
				out = append(out, Grant{g.Tenant, r})
			}
			continue
		}
		for _, m := range most { // everywhere is wherever the account is
			out = append(out, Grant{m.Tenant, lesser(g.Role, m.Role)})
		}
	}
	return out
}

func grantsOf(l []store.Grant) []Grant {
	out := make([]Grant, 0, len(l))
	for _, g := range l {
		out = append(out, Grant{g.Tenant, Role(g.Role)})
	}
	return out
}

func storedGrants(l []Grant) []store.Grant {
	out := make([]store.Grant, 0, len(l))
	for _, g := range l {
		out = append(out, store.Grant{Tenant: g.Tenant, Role: string(g.Role)})
	}
	return out
}
