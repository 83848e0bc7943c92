package graph

import (
	"net/netip"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A machine has ids besides its names: of the cloud that runs it, of the agents on
// it. A record that states an id together with a name bridges them, and who names
// only the id means the host of that name.
//
// Records are written by attackers, images are cloned with the ids of their agents
// in them, and many machines are called as their template was. So a bridge leads
// from an id to a name and never further: no value can make two names one. And an
// id is believed only as long as nothing speaks against it:
//
//   - said of two names in turn, it is of each in its time (the machine was renamed);
//   - said of two names at one time, or of more than maxClaims, it is of none;
//   - a name that more than maxIDs ids are said of is that of a template, and none
//     of them leads to it;
//   - values that many machines have by default are no ids, and no names;
//   - an id does not look like a name, so that no record can take a name away by
//     calling it the id of something else.

// Bounds of the table of ids. An id takes some 200 bytes of memory with its claim
// (BenchmarkIdentify), so that a full table takes 40 MB.
const (
	maxClaims   = 4   // names said of one id
	maxIDs      = 24  // ids said of one name
	maxIDLen    = 512 // bytes; Azure's ids of resources are the longest
	maxAltIDs   = 8   // ids in one entity
	minIDDigits = 16  // hex digits of an id that nobody prefixed: no name of a machine looks like it
)

// A claim is that an id was said of a name, from first to last.
type claim struct {
	name        string
	first, last moment
}

// claims are all that was said of one id.
type claims struct {
	list []claim
	many bool // more than maxClaims: it is of none
}

// identifiers is a table of ids and what they were said of.
type identifiers struct {
	of   map[string]*claims
	per  map[string]int // ids said of a name
	most int            // of these, before the name is that of a template; 0 is no limit
}

func newIdentifiers(most int) identifiers {
	return identifiers{of: map[string]*claims{}, per: map[string]int{}, most: most}
}

// claim notes that id was said of name at t. Claims may come in any order.
func (d *identifiers) claim(id, name string, t time.Time) {
	at := momentOf(t)
	c := d.of[id]
	if c == nil {
		if len(d.of) >= maxNames || d.crowded(name) {
			return
		}
		c = &claims{}
		d.of[id] = c
	}
	for i := range c.list {
		if k := &c.list[i]; k.name == name {
			k.first, k.last = min(k.first, at), max(k.last, at)
			return
		}
	}
	if len(c.list) >= maxClaims {
		c.many = true
		return
	}
	c.list = append(c.list, claim{name, at, at})
	d.per[name]++
}

// crowded says whether more ids were said of a name than one machine has.
func (d *identifiers) crowded(name string) bool { return d.most > 0 && d.per[name] > d.most }

// nameOf returns the name that an id stood for at t, empty if none is known or
// several are. Names are compared as canonical says; a short name agrees with a
// qualified one that begins with it.
func (d *identifiers) nameOf(id string, t time.Time, canonical func(string) string) string {
	c := d.of[id]
	if c == nil || c.many {
		return ""
	}
	at := momentOf(t)
	var best, next *claim
	for i := range c.list {
		k := &c.list[i]
		for j := range c.list[:i] {
			o := &c.list[j]
			if k.first <= o.last && o.first <= k.last && !agree(canonical(k.name), canonical(o.name)) {
				return "" // both at one time
			}
		}
		switch {
		case k.first <= at+moment(slack):
			if best == nil || k.first > best.first || k.first == best.first && longer(k.name, best.name) {
				best = k
			}
		case next == nil || k.first < next.first || k.first == next.first && longer(k.name, next.name):
			next = k // it had a name before it was first said
		}
	}
	if best == nil {
		best = next
	}
	if d.crowded(best.name) {
		return ""
	}
	name := canonical(best.name)
	for i := range c.list { // the qualified one of those that agree
		if k := canonical(c.list[i].name); len(k) > len(name) && agree(k, name) {
			name = k
		}
	}
	return name
}

// longer orders names that stand at one time, so that what comes first in the input
// does not matter.
func longer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a < b }

// agree says whether two names may be of one machine: they are equal, or one is the
// first label of the other.
func agree(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || strings.HasPrefix(b, a) && len(b) > len(a) && b[len(a)] == '.'
}

// opaque says whether a value, in lower case, can identify one machine among all: a
// path or id of a cloud, or a number that is long enough and that is neither a
// placeholder nor what boards report that were given none.
func opaque(id string) bool {
	if len(id) > maxIDLen {
		return false
	}
	if _, ok := machineID(id); ok || interfaceID(id) {
		return true
	}
	digits := strings.ReplaceAll(id, "-", "")
	if len(digits) < minIDDigits || strings.Trim(digits, "0123456789abcdef") != "" || strings.Trim(digits, digits[:1]) == "" {
		return false
	}
	switch digits { // a row of digits, as in examples and templates
	case "03000200040005000006000700080009", "0102030405060708090a0b0c0d0e0f10", "0123456789abcdef0123456789abcdef", "0123456789abcdef":
		return false
	}
	return true
}

// generic says whether a name is what machines without a name of their own say.
func generic(name string) bool {
	label, _, _ := strings.Cut(name, ".")
	switch label {
	case "", "-", "?", "localhost", "localhost4", "localhost6", "localdomain", "unknown", "none", "(none)", "null", "nil", "n/a", "na", "undefined", "default", "hostname", "host", "computer", "true", "false":
		return true
	}
	return false
}

// machineID returns the id of a machine as bridges know it when a resource is one: an
// instance of EC2 by its id or ARN, a virtual or connected machine of Azure, an
// instance of Compute Engine by its path.
func machineID(resource string) (string, bool) {
	switch {
	case prefixedHex(resource, "i-"), prefixedHex(resource, "mi-"):
		return resource, true
	case strings.HasPrefix(resource, "arn:"):
		if i := strings.LastIndex(resource, ":instance/"); i > 0 && strings.Contains(resource[:i], ":ec2:") {
			return machineID(resource[i+len(":instance/"):])
		}
		if i := strings.LastIndex(resource, ":managed-instance/"); i > 0 && strings.Contains(resource[:i], ":ssm:") {
			return machineID(resource[i+len(":managed-instance/"):])
		}
		return "", false
	}
	r := strings.ToLower(resource)
	if strings.HasPrefix(r, "/subscriptions/") {
		for _, kind := range []string{"/microsoft.compute/virtualmachinescalesets/", "/microsoft.compute/virtualmachines/", "/microsoft.hybridcompute/machines/"} {
			i := strings.Index(r, kind)
			if i < 0 {
				continue
			}
			head, rest := r[:i+len(kind)], r[i+len(kind):]
			name, below, _ := strings.Cut(rest, "/")
			if kind == "/microsoft.compute/virtualmachinescalesets/" { // a set is no machine, its members are
				member, ok := strings.CutPrefix(below, "virtualmachines/")
				if !ok {
					return "", false
				}
				member, _, _ = strings.Cut(member, "/")
				return head + name + "/virtualmachines/" + member, name != "" && member != ""
			}
			return head + name, name != ""
		}
		return "", false
	}
	for _, service := range []string{"//compute.googleapis.com/", "https://www.googleapis.com/compute/v1/", "https://compute.googleapis.com/compute/v1/"} {
		r = strings.TrimPrefix(r, service)
	}
	if p := strings.Split(r, "/"); len(p) == 6 && p[0] == "projects" && p[2] == "zones" && p[4] == "instances" && p[5] != "" {
		return r, true
	}
	return "", false
}

// interfaceID says whether id is that of a network interface of EC2.
func interfaceID(id string) bool { return prefixedHex(id, "eni-") }

// addressID says whether id is that of an address of EC2: of its allocation, or of its
// association with a machine.
func addressID(id string) bool { return prefixedHex(id, "eipalloc-") || prefixedHex(id, "eipassoc-") }

// prefixedHex says whether id is one of AWS: a prefix, and 8 or 17 hex digits.
func prefixedHex(id, prefix string) bool {
	digits, ok := strings.CutPrefix(id, prefix)
	return ok && (len(digits) == 8 || len(digits) == 17) && strings.Trim(digits, "0123456789abcdef") == ""
}

// stated are the ids that an entity says it has besides its name.
func stated(e *model.Entity) []string {
	if e.Alt == "" || len(e.Alt) > maxAltIDs*maxIDLen {
		return nil
	}
	ids := strings.Fields(e.Alt)
	return ids[:min(len(ids), maxAltIDs)]
}

// identified notes that an id was said of a host, or of what leads to one.
func (n *names) identified(id, name string, t time.Time) {
	id = strings.ToLower(id)
	if m, ok := machineID(id); ok {
		id = m
	}
	if id != name && opaque(id) && !generic(name) {
		n.ids.claim(id, name, t)
	}
}

// learnMachine notes the ids and addresses that a host, a machine of a cloud or one
// of its interfaces has, see model.Entity.
func (n *names) learnMachine(e *model.Entity, t time.Time) {
	switch e.Type {
	case model.Host:
		for _, id := range stated(e) {
			n.identified(id, e.Value, t)
		}
	case model.IP:
		if e.Alt == model.Ended {
			n.lease(e.Value, lease{at: t, lasting: true})
		}
	case model.Resource:
		machine, ok := machineID(e.Value)
		switch {
		case ok:
		case interfaceID(e.Value):
			machine = e.Value
		case addressID(e.Value):
		default:
			return
		}
		n.learnAddresses(e, machine, t)
	}
}

// learnAddresses notes what a resource that is a machine, an interface or an address
// of a cloud says that it has; machine is empty for an address.
func (n *names) learnAddresses(e *model.Entity, machine string, t time.Time) {
	var addresses, under []string // and the ids under which the cloud knows them
	ended := false
	if machine == "" {
		under = append(under, e.Value)
	}
	for _, id := range stated(e) {
		switch {
		case id == model.Ended:
			ended = true
		case addressID(id):
			under = append(under, id)
		case ownable(id):
			addresses = append(addresses, id)
		case machine != "":
			n.identified(id, machine, t)
		}
	}
	for _, id := range under {
		if ip := n.attached[id]; ip != "" && len(addresses) == 0 {
			addresses = append(addresses, ip)
		}
	}
	for _, id := range under {
		if len(addresses) == 1 {
			learnOnly(n.attached, id, addresses[0])
		}
	}
	switch {
	case ended && machine != "" && len(addresses) == 0:
		n.endLeases(machine, t)
	case ended:
		for _, ip := range addresses {
			n.lease(ip, lease{at: t, lasting: true})
		}
	case machine != "":
		for _, ip := range addresses {
			n.lease(ip, lease{at: t, host: machine, lasting: true})
		}
	}
}

// machine returns the host that an id stood for at t, empty if none is known.
func (n *names) machine(id string, t time.Time) string {
	for range 3 { // an association leads to an interface, that to an instance, and that to its host
		name := n.ids.nameOf(id, t, n.host)
		if name == "" {
			return ""
		}
		if _, ok := machineID(name); !ok && !interfaceID(name) {
			return n.host(name)
		}
		id = name
	}
	return ""
}

// hostAt returns the name of a host: that of its ids where its own value is an id or a
// short name that several hosts have, that of who had it where it is an address.
func (n *names) hostAt(e *model.Entity, t time.Time) string {
	v := n.host(e.Value)
	if name := n.machine(strings.ToLower(v), t); name != "" {
		return name
	}
	if strings.ContainsAny(v, ".:") {
		if a, err := netip.ParseAddr(v); err == nil {
			if h, ok := n.leased(a.String(), t); ok && h != "" {
				return h
			}
		}
		return v
	}
	for _, id := range stated(e) {
		if name := n.machine(strings.ToLower(id), t); name != "" && agree(name, v) {
			return name
		}
	}
	return v
}

// place is hostAt of a host of which only the name is known.
func (n *names) place(host string, t time.Time) string {
	if host == "" {
		return ""
	}
	return n.hostAt(&model.Entity{Type: model.Host, Value: host}, t)
}
