package graph

import (
	"slices"
	"sort"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A lease is an address given to a machine at a time, or taken from all.
type lease struct {
	at      time.Time
	host    string // its name or cloud id; empty if nobody has the address from then on
	lasting bool   // until it is taken away or given to another, as clouds give addresses
}

const (
	leaseLife = 8 * 24 * time.Hour // how long a lease says who has an address, as DHCP servers grant it at most by default
	maxLeases = 256                // kept for one address
	maxHeld   = 64                 // addresses of one machine that end with it
)

// An address that machines have by turns within natWindow, or that natHosts have
// within it, is that of what stands before them, a gateway or a proxy, and of none.
const (
	natWindow = time.Hour
	natHosts  = 4
)

// learnLease notes which machine was given an address, or says that it has one. The
// machine is the subject: the server that tells of it is only the sensor. A record
// that names several machines does not say whose an address is.
func (n *names) learnLease(es []model.Entity, t time.Time) {
	machine := ""
	for i := range es {
		e := &es[i]
		if e.Role != model.Subject {
			continue
		}
		name := ""
		switch e.Type {
		case model.Host:
			if !generic(e.Value) {
				name = n.host(e.Value)
			}
		case model.Resource:
			name, _ = machineID(e.Value)
		}
		switch {
		case name == "" || name == machine:
		case machine == "" || n.machine(machine, t) == name: // an instance, and the host it is
			machine = name
		case n.machine(name, t) != machine:
			return
		}
	}
	if machine == "" {
		return
	}
	own := 0
	for i := range es {
		if e := &es[i]; e.Type == model.IP && e.Role == model.Subject && own < maxAltIDs {
			n.lease(e.Value, lease{at: t, host: machine})
			own++
		}
	}
}

// lease notes who has an address from a time on.
func (n *names) lease(ip string, given lease) {
	if !ownable(ip) {
		return
	}
	l := n.leases[ip]
	i := sort.Search(len(l), func(i int) bool { return l[i].at.After(given.at) })
	if i > 0 && l[i-1].host == given.host && l[i-1].lasting == given.lasting && given.at.Sub(l[i-1].at) < leaseLife/2 {
		return // renewed
	}
	switch {
	case l == nil && len(n.leases) >= maxNames:
		return
	case len(l) >= maxLeases:
		if i == 0 {
			return
		}
		l, i = slices.Delete(l, 0, 1), i-1
	}
	n.leases[ip] = slices.Insert(l, i, given)
	if held := n.held[given.host]; given.lasting && given.host != "" && len(held) < maxHeld && !slices.Contains(held, ip) &&
		(held != nil || len(n.held) < maxNames) {
		n.held[given.host] = append(held, ip)
	}
}

// endLeases notes that a machine is gone, and its addresses are nobody's.
func (n *names) endLeases(machine string, t time.Time) {
	for _, ip := range n.held[machine] {
		if l := n.leases[ip]; len(l) > 0 && l[len(l)-1].host == machine {
			n.lease(ip, lease{at: t, lasting: true})
		}
	}
}

// leased returns the host that an address was given to at a time, empty if it was
// nobody's or that of many, and whether anybody said.
func (n *names) leased(ip string, at time.Time) (string, bool) {
	l := n.leases[ip]
	i := sort.Search(len(l), func(i int) bool { return l[i].at.After(at.Add(slack)) })
	if i == 0 || !l[i-1].lasting && at.Sub(l[i-1].at) > leaseLife {
		return "", false
	}
	if l[i-1].host == "" || shared(l, at) {
		return "", true
	}
	host := n.host(l[i-1].host)
	if _, ok := machineID(host); ok || interfaceID(host) {
		host = n.machine(host, at)
		return host, host != ""
	}
	return host, true
}

// shared says whether machines had an address by turns about a time.
func shared(l []lease, at time.Time) bool {
	from := sort.Search(len(l), func(i int) bool { return !l[i].at.Before(at.Add(-natWindow)) })
	var seen []string
	for i := max(from-1, 0); i < len(l) && !l[i].at.After(at.Add(natWindow)); i++ {
		h := l[i].host
		switch {
		case h == "" || len(seen) > 0 && seen[len(seen)-1] == h:
		case slices.Contains(seen, h):
			return true
		default:
			if seen = append(seen, h); len(seen) >= natHosts {
				return true
			}
		}
	}
	return false
}

// ownerAt returns the host that an address belonged to at a time: the one it was
// last given to, else the one whose connections it takes part in.
func (n *names) ownerAt(ip string, at time.Time) string {
	if host, ok := n.leased(ip, at); ok {
		return host
	}
	return n.owner(ip)
}
