package simulate

import (
	"fmt"
	"time"
)

// An org is one tenant: machines, accounts and the products that watch them.
// Every tenant has the same private addresses and names its machines alike, as
// tenants of one service provider do; only domain and cloud account are its own.
type org struct {
	f       *fleet
	n       int
	folder  string // "" for the only tenant, else "tenant-2/"
	domain  string // corp.example
	short   string // CORP
	account string // of AWS

	stations, servers, linux int // how many machines of each kind; DCs are the first two servers
	taken                    map[string]bool
	planned                  [][]finding // by day, what is known before the days begin
	conditions               []condition

	lag     [products]time.Duration // what is added to every stamp of a product
	out     product                 // the product that has an outage
	outFrom time.Time
	outTo   time.Time
	born    time.Time // when the second product on servers appears
	again   product   // whose hour is sent twice
	replay  time.Time // the beginning of that hour
	made    int       // alerts made so far
}

// The kinds of machines.
type machineKind int

const (
	station machineKind = iota
	winServer
	linuxServer
)

// A machine is what an alert is about. It is made when it is asked for, as all of
// it follows from its number and the day.
type machine struct {
	kind       machineKind
	n          int
	name, fqdn string
	ip         string
	device     string // its id at the products
	instance   string // its id in the cloud, of Linux servers
	user       *employee
}

// An employee is somebody who works in an organisation.
type employee struct {
	login, full, sid, id string
	org                  *org
}

func (a *employee) upn() string { return a.login + "@" + a.org.domain }

func newOrg(f *fleet, n int) *org {
	g := &org{f: f, n: n, domain: dnsDomain, short: netbios, account: account, taken: map[string]bool{}}
	if f.opt.Tenants > 1 {
		g.folder = fmt.Sprintf("tenant-%d/", n+1)
		g.domain, g.short = fmt.Sprintf("tenant%d.example", n+1), fmt.Sprintf("TENANT%d", n+1)
		g.account = fmt.Sprintf("%012d", 111122223333+uint64(n)) //nolint:gosec // a small number
	}
	g.servers = max(6, f.opt.Hosts/10)
	g.linux = max(4, f.opt.Hosts/20)
	g.stations = f.opt.Hosts - g.servers - g.linux
	g.planned = make([][]finding, f.opt.Days)
	g.troubles()
	return g
}

// wears is after how many days a workstation is replaced, at about one in a
// hundred a day.
const wears = 100

// station returns the workstation of that number on that day. One that was
// replaced has another name and id, and the same person at it.
func (g *org) station(n, day int) *machine {
	generation := (day + n*61%wears) / wears
	name := fmt.Sprintf("WKS-%05d", n+1+generation*g.stations)
	return g.machine(station, n, name, g.lease(n, day), g.person(n))
}

// lease is the address that a workstation has on a day. One in four is carried
// about, and gets another address every two days, which somebody else had before.
func (g *org) lease(n, day int) string {
	if n%4 == 0 {
		laptops := (g.stations + 3) / 4
		n = (n/4 + day/2*37) % laptops * 4
	}
	return address(64, n)
}

// address is the n-th of the private addresses that begin with 10.first.
func address(first, n int) string {
	return fmt.Sprintf("10.%d.%d.%d", first+n/62500, n/250%250, 1+n%250)
}

func (g *org) server(n int) *machine {
	name := fmt.Sprintf("SRV-%04d", n-1)
	if n < 2 {
		name = fmt.Sprintf("DC%02d", n+1)
	}
	return g.machine(winServer, n, name, address(16, n), nil)
}

func (g *org) unix(n int) *machine {
	m := g.machine(linuxServer, n, fmt.Sprintf("lnx-%04d", n+1), address(32, n), nil)
	m.instance = "i-0" + digest(g.domain+m.name, 16)
	return m
}

func (g *org) machine(kind machineKind, n int, name, ip string, user *employee) *machine {
	return &machine{kind: kind, n: n, name: name, fqdn: name + "." + g.domain, ip: ip, device: digest(g.domain+name, 40), user: user}
}

// person is who works at the workstation of that number.
func (g *org) person(n int) *employee {
	given, family := givenNames[n%len(givenNames)], familyNames[n/len(givenNames)%len(familyNames)]
	login := given + "." + family
	if round := n / (len(givenNames) * len(familyNames)); round > 0 {
		login += number(round)
	}
	return g.accountOf(login, title(given)+" "+title(family), 1600+n)
}

// admins is how many accounts administer the organisation.
func (g *org) admins() int { return 8 + g.f.opt.Hosts/1000 }

// admin is one of them.
func (g *org) admin(n int) *employee {
	return g.accountOf("adm-"+familyNames[n%len(familyNames)]+number(n), title(familyNames[n%len(familyNames)])+" (admin)", 1100+n)
}

func (g *org) accountOf(login, full string, rid int) *employee {
	id := digest(g.domain+login, 32)
	return &employee{login: login, full: full, org: g, sid: fmt.Sprintf("S-1-5-21-1004336348-%d-682003330-%d", 1177238915+g.n, rid),
		id: id[:8] + "-" + id[8:12] + "-4" + id[13:16] + "-a" + id[17:20] + "-" + id[20:]}
}
