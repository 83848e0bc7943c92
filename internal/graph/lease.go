package graph

import (
	"sort"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A lease is an address given to a machine at a time.
type lease struct {
	at   time.Time
	host string
}

const (
	leaseLife = 8 * 24 * time.Hour // how long a lease says who has an address, as DHCP servers grant it at most by default
	maxLeases = 256                // kept for one address
)

// learnLease notes which machine was given an address. The machine is the subject:
// the server that tells of it is only the sensor.
func (n *names) learnLease(o *model.Observation) {
	if o.Act != model.ActIdentify {
		return
	}
	host, ok := o.Find(model.Host, model.Subject)
	ip, given := o.Find(model.IP, model.Subject)
	if !ok || !given || !ownable(ip.Value) {
		return
	}
	l := n.leases[ip.Value]
	name := n.host(host.Value)
	if k := len(l); k > 0 && l[k-1].host == name && !o.Time.Before(l[k-1].at) && o.Time.Sub(l[k-1].at) < leaseLife/2 {
		return // renewed
	}
	switch {
	case l == nil && len(n.leases) >= maxNames:
		return
	case len(l) >= maxLeases:
		l = append(l[:0], l[1:]...)
	}
	l = append(l, lease{o.Time, name})
	sort.SliceStable(l, func(i, j int) bool { return l[i].at.Before(l[j].at) })
	n.leases[ip.Value] = l
}

// ownerAt returns the host that an address belonged to at a time: the one it was
// last given to, else the one whose connections it takes part in.
func (n *names) ownerAt(ip string, at time.Time) string {
	l := n.leases[ip]
	i := sort.Search(len(l), func(i int) bool { return l[i].at.After(at.Add(slack)) })
	if i > 0 && at.Sub(l[i-1].at) <= leaseLife {
		return n.host(l[i-1].host)
	}
	return n.owner(ip)
}
