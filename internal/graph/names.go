package graph

import (
	"net/netip"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// maxNames bounds each of the tables of names.
const maxNames = 200_000

// names says which names mean the same thing: a short host name and its qualified
// one, DOMAIN\name and name@domain and a SID, an address and the host that had it.
type names struct {
	qualified map[string]string   // short host name to the only qualified one; empty when there are several
	labels    map[string]string   // first label of a user's domain to the only qualified domain; empty when several
	sids      map[string]string   // SID to the first name seen for it
	uses      map[ipHost]int      // connections of a host in which an address took part
	total     map[string]int      // connections of a host
	users     map[string][]string // address to the hosts in whose connections it took part, at most 32
	near      map[string][]string // and the reverse, at most 256
	ids       identifiers         // id of a machine to the host that it was said of
	nodes     identifiers         // pod to the host that it ran on
	inside    identifiers         // container to the pod that it ran in
	accounts  accounts            // other names of users
	roles     map[string]string   // name of a role to its only ARN
	pods      map[string]string   // service account of a cluster to the only pod that used its token
	leases    map[string][]lease  // address to who was given it, in the order of time
	held      map[string][]string // machine to the addresses that end with it
	attached  map[string]string   // allocation or association of an address to the only address
}

type ipHost struct{ ip, host string }

func newNames() names {
	return names{
		qualified: map[string]string{}, labels: map[string]string{}, sids: map[string]string{}, uses: map[ipHost]int{}, total: map[string]int{},
		users: map[string][]string{}, near: map[string][]string{}, ids: newIdentifiers(maxIDs), nodes: newIdentifiers(0), inside: newIdentifiers(0),
		accounts: newAccounts(), roles: map[string]string{}, pods: map[string]string{}, leases: map[string][]lease{}, held: map[string][]string{}, attached: map[string]string{},
	}
}

// learnOnly records that key goes with value, and only with it as long as no
// other value comes.
func learnOnly(m map[string]string, key, value string) {
	old, ok := m[key]
	switch {
	case !ok && len(m) < maxNames:
		m[key] = value
	case ok && old != value:
		m[key] = ""
	}
}

func (n *names) learn(o *model.Observation) {
	n.learnHost(o.Host)
	n.learnPod(o)
	n.learnEntities(o.Entities, o.Time)
	n.learnLease(o.Entities, o.Time)
	var actor bool
	for _, e := range o.Entities {
		switch e.Type {
		case model.Resource:
			if o.Act == model.ActIdentify && e.Role == model.Subject && o.Host != "" {
				n.identified(e.Value, n.host(o.Host), o.Time)
			}
		case model.Process:
			actor = actor || e.Role == model.Actor
		}
	}
	if o.Act == model.ActConnect && actor && o.Host != "" {
		h := n.place(o.Host, o.Time)
		n.count(n.total, h)
		for _, e := range o.Entities {
			if e.Type == model.IP && ownable(e.Value) {
				n.vote(e.Value, h)
			}
		}
	}
}

// learnEntities notes what the entities of an act or of an alert say of each other's
// names.
func (n *names) learnEntities(es []model.Entity, t time.Time) {
	for i := range es {
		e := &es[i]
		if e.Role == model.Sensor {
			continue
		}
		switch e.Type {
		case model.Host:
			n.learnHost(e.Value)
			n.learnMachine(e, t)
		case model.Resource, model.IP:
			n.learnMachine(e, t)
		case model.User:
			n.learnUser(*e)
		case model.IAMRole:
			if _, name, ok := roleARN(e.Value); ok {
				learnOnly(n.roles, name, e.Value)
			}
		}
	}
	n.learnNode(es, t)
}

// roleARN splits the ARN of an IAM role into its account and its name without path.
func roleARN(arn string) (account, name string, ok bool) {
	rest, ok := strings.CutPrefix(arn, "arn:")
	if !ok {
		return "", "", false
	}
	parts := strings.SplitN(rest, ":", 5) // partition, service, region, account, resource
	if len(parts) != 5 || !strings.HasPrefix(parts[4], "role/") {
		return "", "", false
	}
	return parts[3], parts[4][strings.LastIndexByte(parts[4], '/')+1:], true
}

func (n *names) count(m map[string]int, k string) {
	if _, ok := m[k]; ok || len(m) < maxNames {
		m[k]++
	}
}

func (n *names) vote(ip, host string) {
	k := ipHost{ip, host}
	if n.uses[k] == 0 {
		if len(n.uses) >= maxNames {
			return
		}
		if l := n.users[ip]; len(l) < 32 {
			n.users[ip] = append(l, host)
			if near := n.near[host]; len(near) < 256 {
				n.near[host] = append(near, ip)
			}
		}
	}
	n.uses[k]++
}

// ownable says whether an address can belong to one machine.
func ownable(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// owner returns the host that an address belongs to: it takes part in nearly all
// connections of its own host and in few of any other.
func (n *names) owner(ip string) string {
	best, share := "", 0.5
	for _, h := range n.users[ip] {
		s := float64(n.uses[ipHost{ip, h}]) / float64(n.total[h]+1)
		if s > share || (s == share && h < best) {
			best, share = h, s
		}
	}
	return best
}

// addresses returns the addresses that belong to a host.
func (n *names) addresses(host string) []string {
	var out []string
	for _, ip := range n.near[host] {
		if n.owner(ip) == host {
			out = append(out, ip)
		}
	}
	return out
}

func (n *names) learnHost(h string) {
	if generic(h) {
		return
	}
	if i := strings.IndexByte(h, '.'); i > 0 {
		if _, err := netip.ParseAddr(h); err != nil {
			learnOnly(n.qualified, h[:i], h)
		}
	}
}

// host returns the qualified name of a host where it is known.
func (n *names) host(h string) string {
	if q := n.qualified[h]; q != "" {
		return q
	}
	return h
}

// prefixed puts the qualified host name in front of "<host>:<rest>".
func (n *names) prefixed(v string) string {
	i := strings.IndexByte(v, ':')
	if i <= 0 {
		return v
	}
	if q := n.qualified[v[:i]]; q != "" && q != v[:i] {
		return q + v[i:]
	}
	return v
}

// domainSID says whether s names one account of one domain or tenant.
func domainSID(s string) bool {
	return len(s) > 12 && (strings.HasPrefix(strings.ToLower(s), "s-1-5-21-") || strings.HasPrefix(strings.ToLower(s), "s-1-12-1-"))
}

// account splits a user name into domain and name; ok is false for ARNs, SIDs and
// names without a domain.
func account(v string) (domain, name string, ok bool) {
	if strings.HasPrefix(v, "arn:") {
		return "", "", false
	}
	if i := strings.IndexByte(v, '\\'); i > 0 && i < len(v)-1 {
		return v[:i], v[i+1:], true
	}
	if i := strings.LastIndexByte(v, '@'); i > 0 && i < len(v)-1 {
		return v[i+1:], v[:i], true
	}
	return "", "", false
}

func (n *names) learnUser(e model.Entity) {
	v := strings.ToLower(e.Value)
	if d, _, ok := account(v); ok {
		if i := strings.IndexByte(d, '.'); i > 0 {
			d = strings.TrimSuffix(d, ".onmicrosoft.com") // a tenant's first name stands beside its domain
			if i = strings.IndexByte(d, '.'); i > 0 {
				learnOnly(n.labels, d[:i], d)
			}
		}
	}
	if domainSID(v) {
		return
	}
	for _, id := range stated(&e) {
		if id = strings.ToLower(id); !domainSID(id) {
			n.accounts.same(id, v)
		} else if _, ok := n.sids[id]; !ok && len(n.sids) < maxNames {
			n.sids[id] = v
		}
	}
}

// user returns the one name of an account: that of its SID where known, that which
// records say it has beside this one, and "label\\name" with the first label of its
// domain unless two domains share it.
func (n *names) user(e model.Entity) string {
	v := strings.ToLower(e.Value)
	if name := n.sids[v]; name != "" && domainSID(v) {
		v = name
	}
	for _, id := range stated(&e) {
		if name := n.sids[strings.ToLower(id)]; name != "" && domainSID(id) {
			v = name
			break
		}
	}
	v = n.accounts.of(v)
	return n.accounts.of(n.labelled(v))
}

// labelled writes an account of a domain with the first label of the domain's name.
func (n *names) labelled(v string) string {
	d, name, ok := account(v)
	if !ok {
		return v
	}
	d = strings.TrimSuffix(d, ".onmicrosoft.com")
	if i := strings.IndexByte(d, '.'); i > 0 {
		if n.labels[d[:i]] != d && n.qualified[d[:i]] != d {
			return d + `\` + name
		}
		d = d[:i]
	}
	return d + `\` + name
}

// key returns the canonical identity of an entity as it was at t, without the life of
// a process.
func (n *names) key(e model.Entity, t time.Time) model.EntityKey {
	k := e.Key()
	switch e.Type {
	case model.Resource: // an instance is a host, once a host says so
		id, ok := machineID(k.Value)
		if ok {
			k.Value = id
		}
		if h := n.machine(strings.ToLower(k.Value), t); h != "" {
			return model.EntityKey{Type: model.Host, Value: h}
		}
	case model.IAMRole:
		if arn := n.roles[k.Value]; arn != "" {
			k.Value = arn
		}
	case model.Host:
		k.Value = n.hostAt(&e, t)
	case model.User:
		k.Value = n.user(e)
	case model.Process, model.File, model.Session:
		k.Value = n.prefixed(k.Value)
	}
	return k
}
