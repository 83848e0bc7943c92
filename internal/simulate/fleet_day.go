package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// troubles decides what is wrong with the sources of an organisation.
func (g *org) troubles() {
	f, r := g.f, g.f.rng("troubles", g.n)
	from, to := f.day(0), f.end()
	tell := func(p product, kind, what string, from, to time.Time) {
		g.conditions = append(g.conditions, condition{Tenant: g.folder, Source: p.String(), Kind: kind, What: what, From: from, To: to})
	}
	wrong := pick(r, []product{wazuh, suricata, falco})
	g.lag[wrong] = between(r, -3*time.Minute, 3*time.Minute).Truncate(time.Second)
	tell(wrong, "clock", "its stamps are "+g.lag[wrong].String()+" off", from, to)

	g.out = pick(r, []product{wazuh, suricata, defender})
	g.outFrom = f.day(f.opt.Days / 3).Add(9 * time.Hour)
	g.outTo = g.outFrom.Add(6 * time.Hour)
	tell(g.out, "outage", "nothing arrives; what was found meanwhile arrives afterwards", g.outFrom, g.outTo)

	g.born = f.day(f.opt.Days / 2)
	if f.opt.Days > 1 {
		tell(crowdstrike, "appears", "the product is new on that day", g.born, to)
	}
	g.again = pick(r, []product{defender, wazuh, guardduty})
	g.replay = f.day(f.opt.Days / 2).Add(10 * time.Hour)
	tell(g.again, "re-sent", "the alerts of this hour are sent a second time in the evening", g.replay, g.replay.Add(time.Hour))
}

// covers says whether a product watches a machine; nil is no machine.
func (g *org) covers(p product, m *machine) bool {
	switch p {
	case defender:
		return m != nil && m.kind != linuxServer
	case crowdstrike: // a second product on some servers, and where a company was taken over
		return m != nil && (m.kind == winServer && m.n%3 == 0 || m.kind == station && m.n%10 == 3)
	case wazuh:
		return m != nil && m.kind != station
	case falco:
		return m != nil && m.kind == linuxServer
	}
	return true
}

// latency is how long a product takes from the act to the delivery of its alert.
func latency(r *rand.Rand, p product) time.Duration {
	switch p {
	case defender, identity365, mail365:
		return between(r, time.Minute, 9*time.Minute)
	case guardduty:
		return between(r, 5*time.Minute, 20*time.Minute)
	case crowdstrike:
		return between(r, 5*time.Second, time.Minute)
	}
	return between(r, time.Second, 4*time.Second)
}

// workDay makes all alerts of one day, in no order, with when they are delivered.
func (g *org) workDay(day int) []delivery {
	r := g.f.rng("day "+g.domain, day)
	var out []delivery
	take := func(x finding) {
		if x.by == crowdstrike && x.at.Before(g.born) {
			return
		}
		out = g.send(r, out, &x)
	}
	for _, x := range g.planned[day] {
		take(x)
	}
	g.planned[day] = nil
	g.noise(day, take)
	g.scans(day, take)
	return g.leases(day, out)
}

// send renders an alert and decides when it arrives, and whether it does so twice.
func (g *org) send(r *rand.Rand, out []delivery, x *finding) []delivery {
	g.made++
	d := delivery{due: x.at.Add(latency(r, x.by)), seq: 2 * g.made, file: g.folder + x.by.file(), text: g.render(x, g.made, x.at.Add(g.lag[x.by])), of: x.of}
	if x.by == g.out && !x.at.Before(g.outFrom) && x.at.Before(g.outTo) { // a backlog, in the order in which it came about
		d.due = g.outTo.Add(x.at.Sub(g.outFrom) / 20)
	} else if r.IntN(50) == 0 {
		d.due = d.due.Add(between(r, 10*time.Minute, 20*time.Hour))
	}
	twice := time.Duration(0)
	switch {
	case x.by == g.again && !x.at.Before(g.replay) && x.at.Before(g.replay.Add(time.Hour)):
		twice = 8 * time.Hour
	case r.IntN(100) == 0:
		twice = between(r, 0, 10*time.Minute)
	}
	if twice == 0 {
		return append(out, d)
	}
	if d.of.act == "" {
		d.of.act = fmt.Sprintf("%d repeated %d", g.n, g.made)
	}
	copied := d
	copied.due, copied.seq = d.due.Add(twice), d.seq+1
	return append(out, d, copied)
}

// leases are the addresses that the DHCP server gives out in the morning; without
// them nobody can say whose address it was.
func (g *org) leases(day int, out []delivery) []delivery {
	if weekend(g.f.day(day)) && day%7 != 5 {
		return out
	}
	at := g.f.day(day).Add(4 * time.Hour)
	for n := range g.stations {
		m := g.station(n, day)
		at = at.Add(2 * time.Hour / time.Duration(g.stations))
		text := fmt.Sprintf("%s dhcp01 dhcpd[812]: DHCPACK on %s to 02:%s:%s:%s:%s:%s (%s) via eth0", at.Format("2006-01-02T15:04:05.000000+00:00"), m.ip, m.device[:2], m.device[2:4], m.device[4:6], m.device[6:8], m.device[8:10], m.name)
		g.made++
		out = append(out, delivery{due: at, seq: 2 * g.made, file: g.folder + "network/dhcpd.log", text: []byte(text)})
	}
	return out
}

func weekend(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }
