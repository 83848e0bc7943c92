package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// schedule puts a finding down for its day; what is after the end never happens.
func (g *org) schedule(x finding) {
	if day := g.f.dayOf(x.at); !x.at.Before(g.f.first) && day < len(g.planned) {
		g.planned[day] = append(g.planned[day], x)
	}
}

// everyone schedules the finding once for each product that tells of it.
func (g *org) everyone(r *rand.Rand, x finding, chance float64) {
	for p := range products {
		if g.f.signs[x.what].says[p] == "" || !g.covers(p, x.on) || p == suricata && x.src == "" && x.dst == "" {
			continue
		}
		if p == guardduty && x.role == "" && x.keyUser == "" && (x.on == nil || x.on.kind != linuxServer) {
			continue
		}
		if r.Float64() >= chance {
			continue
		}
		seen := x
		seen.by, seen.at = p, x.at.Add(between(r, 0, 2*time.Second))
		g.schedule(seen)
	}
}

// plan puts down what is done on purpose: roll-outs, a test of penetration,
// maintenance.
func (g *org) plan() {
	r := g.f.rng("plan", g.n)
	for day := 1; day < g.f.opt.Days; day += 5 {
		g.rollOut(r, day)
	}
	for day := 3; day < g.f.opt.Days; day += 7 {
		g.maintain(r, day)
	}
	for day := 2; day < g.f.opt.Days; day += 14 {
		g.pentest(r, day)
	}
}

// rollOut brings a new program to a quarter of the workstations, in waves.
func (g *org) rollOut(r *rand.Rand, day int) {
	from := g.f.day(day).Add(between(r, 8*time.Hour, 10*time.Hour))
	a := g.begin("roll-out", "A new program for a quarter of the workstations", from, from.Add(5*time.Hour))
	image := fmt.Sprintf(programs+`Planner%d\planner.exe`, 10+r.IntN(90))
	hash := digest(g.domain+image+number(day), 64)
	what := pick(r, []string{"new-hash", "run-key", "task"})
	for n := r.IntN(4); n < g.stations; n += 4 {
		m := g.station(n, day)
		g.everyone(r, finding{what: what, at: from.Add(between(r, 0, 5*time.Hour)), on: m, user: m.user, image: image, command: `"` + image + `" /quiet`, hash: hash, of: belonging{activity: a}}, .9)
	}
}

// maintain is a night in which an administrator works on many servers, with the
// means that attackers use too.
func (g *org) maintain(r *rand.Rand, day int) {
	at := g.f.day(day).Add(between(r, 19*time.Hour, 21*time.Hour))
	a := g.begin("maintenance", "Patches by remote service and script on many servers; protection off while they run", at, at.Add(3*time.Hour))
	admin, jump := g.admin(r.IntN(g.admins())), g.server(g.dcs())
	hash := digest(g.domain+"psexec", 64)
	for range min(60, 5+g.servers/20) {
		m := g.server(g.dcs() + r.IntN(g.servers-g.dcs()))
		x := finding{on: m, user: admin, image: `C:\Windows\PSEXESVC.exe`, command: `C:\Windows\PSEXESVC.exe`, hash: hash, of: belonging{activity: a}}
		for _, what := range []string{"remote-service", "av-off", "script", "task"} {
			at = at.Add(between(r, 2*time.Second, 40*time.Second))
			x.what, x.at, x.src = what, at, ""
			if what == "remote-service" {
				x.src = jump.ip
			}
			g.everyone(r, x, .5)
		}
	}
}

// pentest is an attack that was ordered: known by the account and the machine of
// the testers, and otherwise like any other.
func (g *org) pentest(r *rand.Rand, day int) {
	at := g.f.day(day).Add(between(r, 8*time.Hour, 9*time.Hour))
	a := g.begin("pentest", "A test of penetration, ordered and announced", at, at.Add(30*time.Hour))
	tester := g.accountOf("pentest", "Penetration Tester", 1099)
	n := g.victim(r, day)
	desk := g.station(n, day)
	tool := `C:\Users\Public\assess.exe`
	x := finding{on: desk, user: tester, image: tool, command: "assess.exe --all", hash: digest(g.domain+"assess", 64), of: belonging{activity: a}}
	for _, what := range []string{"user-exec", "look", "script", "uac", "lsass"} {
		at = at.Add(between(r, 5*time.Minute, 40*time.Minute))
		x.what, x.at = what, at
		g.everyone(r, x, .8)
	}
	for range 6 {
		m := g.server(g.dcs() + r.IntN(g.servers-g.dcs()))
		for _, what := range []string{"port-scan", "remote-service", "lsass"} {
			at = at.Add(between(r, 2*time.Minute, 30*time.Minute))
			y := x
			y.what, y.at, y.on, y.src = what, at, m, desk.ip
			g.everyone(r, y, .8)
		}
	}
}

// dcs is how many domain controllers there are; they are the first servers.
func (g *org) dcs() int { return 2 + g.f.opt.Hosts/5000 }

// victim draws a workstation that nothing else is planned for and that is not
// replaced while the simulation lasts.
func (g *org) victim(r *rand.Rand, day int) int {
	for range 1000 {
		n := r.IntN(g.stations)
		m := g.station(n, day)
		if !g.taken[m.name] && m.name == g.station(n, g.f.opt.Days).name {
			g.taken[m.name] = true
			return n
		}
	}
	return r.IntN(g.stations)
}

// free draws a server that nothing else is planned for.
func (g *org) free(r *rand.Rand, linux bool) *machine {
	m := (*machine)(nil)
	for range 1000 {
		if linux {
			m = g.unix(r.IntN(g.linux))
		} else {
			m = g.server(g.dcs() + r.IntN(g.servers-g.dcs()))
		}
		if !g.taken[m.name] {
			break
		}
	}
	g.taken[m.name] = true
	return m
}
