package detect

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// A beacon is a program that asks its master what to do, again and again at about
// one interval. The interval is judged by its median and the median absolute
// deviation from it, which a few missed or doubled connections do not move, and by
// the share of intervals that lie within half the median of it. Jitter of j, as the
// tools of attackers name it, draws intervals evenly from the share j below their
// length, which has a deviation of j/(4-2j) medians: .12 for a jitter of .4, .29 for
// .73, and nearly all of them near. Connections that come by chance (Poisson) have a
// deviation of .69 and a third of them near: 24 intervals tell the two apart in all
// but one of ten million. What they cannot tell is a beacon from the polling of
// honest programs, so what counts as much is that hardly any other host goes there.
const (
	beaconTimes   = 24               // intervals judged, and needed
	beaconSpan    = 30 * time.Minute // for which they must go on at least
	beaconLeast   = 5 * time.Second  // intervals shorter than this are one talk
	beaconMost    = 24 * time.Hour
	beaconSpread  = .3  // deviation over median
	beaconNear    = .85 // share of the intervals within half the median of it
	beaconHosts   = 2   // more hosts than these talk to what is everybody's
	beaconFleet   = 3   // hosts needed to know what is everybody's
	beaconAgain   = 24 * time.Hour
	maxBeacons    = 1 << 15 // pairs of a program on a host and a destination
	maxBeaconDsts = 1 << 15 // destinations whose hosts are remembered
)

// beacon finds connections or questions from one program on one host to one
// destination outside, at a regular interval.
type beacon struct {
	def   Definition
	pairs *table[pulse]
	dsts  *table[callers]
	hosts few // of the estate, as many as matter
}

// callers are the hosts that go to one destination, by their addresses where they
// are known: a sensor on the host and one on the wire name it differently.
type callers struct {
	hosts few
	told  [beaconHosts + 1]time.Time // by host
}

type pulse struct {
	marks []mark // the newest, in order
	last  time.Time
	since mark // when they began to be regular; zero if they are not
}

// NewBeacon finds regular connections to a destination that few hosts know.
func NewBeacon() Detector {
	return &beacon{pairs: newTable[pulse](maxBeacons), dsts: newTable[callers](maxBeaconDsts), def: Definition{
		Rule: model.RuleInfo{ID: "2f9b6c7d-1e4a-4f83-a5d0-9c3b7e8f4a16", Title: "Beaconing: connections to a rare destination at a regular interval", Level: model.Medium, Source: "builtin"},
		Tags: []string{"attack.command-and-control", "attack.t1071"}}}
}

func (b *beacon) Definition() Definition { return b.def }

func (b *beacon) Observe(o *model.Observation) []*model.Alert {
	if o.Act != model.ActConnect && o.Act != model.ActDNS {
		return nil
	}
	dst, ok := farEnd(o)
	if !ok {
		return nil
	}
	host, address := o.Host, o.Host
	if ip, ok := o.Find(model.IP, model.Src); ok {
		address = ip.Value
	}
	if host == "" { // a sensor on the wire
		host = address
	}
	if host == "" {
		return nil
	}
	program := ""
	if p, ok := o.Find(model.Process, model.Actor); ok {
		program = strings.ToLower(p.Name)
	}
	b.hosts.add(address, beaconFleet)
	to := b.dsts.at(dst, o.Time)
	to.hosts.add(address, beaconHosts+1)
	p := b.pairs.at(host+"\x00"+program+"\x00"+dst, o.Time)
	if !p.add(o) || len(to.hosts) > beaconHosts {
		return nil
	}
	told := &to.told[slices.Index(to.hosts, address)]
	if !told.IsZero() && o.Time.Sub(*told) < beaconAgain {
		return nil
	}
	if len(b.hosts) < beaconFleet && placeOf(program) != pathUser {
		return nil // nobody to compare with: only what lies where anyone can write it
	}
	if !p.regular() {
		p.since = mark{}
		return nil
	}
	if p.since.event == "" {
		p.since = p.marks[0]
	}
	if o.Time.Sub(p.since.at) < beaconSpan {
		return nil
	}
	*told = o.Time
	return []*model.Alert{alertOf(b.def, o, append([]mark{p.since}, p.marks[1:]...)...)}
}

// add remembers a connection and reports whether it did: one soon after the last is
// part of the same talk.
func (p *pulse) add(o *model.Observation) bool {
	near := !p.last.IsZero() && o.Time.Sub(p.last) < beaconLeast
	if o.Time.After(p.last) {
		p.last = o.Time
	}
	if near {
		return false
	}
	if len(p.marks) > beaconTimes {
		copy(p.marks, p.marks[1:])
		p.marks = p.marks[:beaconTimes]
	}
	p.marks = append(p.marks, markOf(o))
	return true
}

// regular says whether the connections come at one interval.
func (p *pulse) regular() bool {
	n := len(p.marks)
	if n <= beaconTimes {
		return false
	}
	gaps := make([]float64, n-1)
	for i := range gaps {
		gaps[i] = p.marks[i+1].at.Sub(p.marks[i].at).Seconds()
	}
	middle, deviation := mad(gaps)
	if middle > beaconMost.Seconds() || deviation > beaconSpread*middle {
		return false
	}
	near := 0
	for _, g := range gaps {
		if g >= middle/2 && g <= middle*3/2 {
			near++
		}
	}
	return float64(near) >= beaconNear*float64(len(gaps))
}

// housekeeping are ports of services that ask regularly by their nature: names,
// leases, time, neighbours, logs.
var housekeeping = map[int]bool{53: true, 67: true, 68: true, 123: true, 137: true, 138: true, 161: true, 162: true, 514: true, 546: true, 547: true,
	1900: true, 3478: true, 3702: true, 5353: true, 5355: true, 6514: true}

// farEnd names where o goes: an address outside with its port, or the domain that
// a name belongs to.
func farEnd(o *model.Observation) (string, bool) {
	if o.Act == model.ActDNS {
		d, ok := o.Find(model.Domain, model.Object)
		if !ok {
			return "", false
		}
		return ownedDomain(d.Value)
	}
	ip, ok := o.Find(model.IP, model.Dst)
	if !ok {
		return "", false
	}
	a, ok := outside(ip.Value)
	if !ok {
		return "", false
	}
	port := 0
	if i := strings.LastIndexByte(o.Text, ':'); i >= 0 {
		port, _ = strconv.Atoi(o.Text[i+1:])
	}
	if housekeeping[port] {
		return "", false
	}
	return netip.AddrPortFrom(a, uint16(port&0xffff)).String(), true
}

// ownedDomain is the part of a name that somebody registered: its last two labels,
// or three where the second is as short as those under which countries register
// (co.uk). Names that only mean something at home have none.
func ownedDomain(name string) (string, bool) {
	labels := strings.Split(strings.ToLower(strings.Trim(name, ".")), ".")
	n := len(labels)
	if n < 2 {
		return "", false
	}
	switch labels[n-1] {
	case "arpa", "local", "localdomain", "lan", "home", "internal", "intranet", "corp":
		return "", false
	}
	keep := 2
	if n > 2 && len(labels[n-2]) <= 3 && len(labels[n-1]) == 2 {
		keep = 3
	}
	return strings.Join(labels[n-keep:], "."), true
}
