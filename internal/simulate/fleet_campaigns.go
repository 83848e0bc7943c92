package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The kinds of campaigns that a fleet suffers.
var fleetKinds = []string{"ransomware", "data-theft", "cloud-theft", "mailbox-fraud", "container-escape"}

// A plot is a campaign in the making: where its story stands.
type plot struct {
	g    *org
	r    *rand.Rand
	c    *campaign
	at   time.Time
	pace float64 // by how much the story is slower than an attack of one day
	step int     // that happens now
	seen int     // acts so far

	admin  *employee // whose account it steals, if it does
	c2     string    // the attacker's address
	c2Name string
	hash   string // of the attacker's program
}

// plant plans the n-th campaign. The first two begin in the same hour; the third
// and fourth steal the same administrator's account; the fifth and sixth are slow,
// with days between steps if there are days; the others begin at any time.
func (f *fleet) plant(g *org, n int) {
	kinds := []string{"ransomware", "data-theft", "data-theft", "data-theft", "cloud-theft", "ransomware", "mailbox-fraud", "container-escape"}
	kind := kinds[n%len(kinds)]
	if len(f.opt.Scenarios) > 0 {
		kind = f.opt.Scenarios[n%len(f.opt.Scenarios)]
	}
	r := f.rng("campaign", n)
	id := fmt.Sprintf("c%02d-%s", n+1, kind)
	p := &plot{g: g, r: r, pace: 1, admin: g.admin(1 + n%(g.admins()-1)), c2: fmt.Sprintf("203.0.113.%d", 5+6*n+r.IntN(3)), hash: hexOf(r, 64),
		c: &campaign{root: 1, TruthCampaign: newTruth(id, kind+" at "+g.domain)}}
	p.c2Name = "static-" + hexOf(r, 6) + ".example"
	p.c.IPs = []string{p.c2}
	days := f.opt.Days
	begin := func(day, hour int) {
		for weekend(f.day(day)) && day < days-1 {
			day++
		}
		p.at = f.day(day).Add(time.Duration(hour)*time.Hour + between(r, 0, 50*time.Minute))
	}
	switch n {
	case 0, 1:
		begin(days/5, 9)
	case 2, 3:
		begin(days*2/5, 8+2*(n-2))
		p.admin = g.admin(0)
	case 4, 5:
		begin(days/10, 11)
		p.pace = max(1, float64(24*(days-days/10-1))/14) // told in a day it takes about 14 hours at most
	default:
		begin(r.IntN(max(1, days-1)), 8+r.IntN(7))
	}
	f.campaigns = append(f.campaigns, p.c)
	switch kind {
	case "ransomware":
		p.intrude()
		p.encrypt()
	case "data-theft":
		p.intrude()
	case "cloud-theft":
		p.cloudTheft()
	case "mailbox-fraud":
		p.mailboxFraud()
	case "container-escape":
		p.containerEscape()
	}
}

// wait lets time go by between steps.
func (p *plot) wait(from, to time.Duration) {
	p.at = p.at.Add(time.Duration(float64(between(p.r, from, to)) * p.pace))
}

// do is a step; its acts are seen with see. It returns the number of the step.
func (p *plot) do(technique, tactic string, on *machine, user, what string, parent int, acts func()) int {
	host := ""
	if on != nil {
		host = on.fqdn
		if on.kind == linuxServer {
			host = on.name
		}
	}
	return p.c.plan(p.at, deed{technique, tactic, host, user, what, parent}, func(n int) {
		p.step = n
		acts()
	})
}

// see is an act that each product which watches finds with the given chance; of a
// chance of one nobody misses it.
func (p *plot) see(x finding, chance float64) {
	p.seen++
	x.at = p.at
	x.of = belonging{campaign: p.c, step: p.step, act: fmt.Sprintf("%s act %d", p.c.ID, p.seen)}
	p.g.everyone(p.r, x, chance)
}

// root says where the campaign started.
func (p *plot) root(step int, host, user, process string) {
	p.c.root = step
	p.c.Root.Host, p.c.Root.User, p.c.Root.Process, p.c.Root.Time = host, user, process, p.c.Steps[step-1].Time
}

// intrude is the way from a mail to the domain controller and out with data.
func (p *plot) intrude() {
	g, r := p.g, p.r
	n := g.victim(r, g.f.dayOf(p.at))
	pc := g.station(n, g.f.dayOf(p.at))
	user := g.short + `\` + pc.user.login
	adm := g.short + `\` + p.admin.login
	program := `C:\Users\` + pc.user.login + `\Downloads\` + pick(r, []string{"offer", "invoice", "scan"}) + hexOf(r, 3) + `.exe`
	own := finding{on: pc, user: pc.user, image: program, command: `"` + program + `"`, hash: p.hash}
	with := func(what string, base finding) finding { base.what = what; return base }

	mail := p.do("T1566.002", "initial-access", nil, pc.user.upn(), "A harmful mail to "+pc.user.upn(), 0, func() {
		p.see(finding{what: "phish-mail", user: pc.user, mail: pc.user.upn(), domain: p.c2Name}, .6)
	})
	p.wait(5*time.Minute, 30*time.Minute)
	run := p.do("T1204.002", "execution", pc, user, base(program)+" run by its user", mail, func() { p.see(with("user-exec", own), 1) })
	p.root(run, pc.fqdn, user, program)
	p.wait(time.Minute, 5*time.Minute)
	call := p.do("T1071.001", "command-and-control", pc, user, "The program calls "+p.c2Name, run, func() {
		x := with("beacon", own)
		x.dst, x.domain = p.c2, p.c2Name
		p.see(x, .8)
	})
	p.wait(5*time.Minute, 20*time.Minute)
	shell := p.do("T1059.001", "execution", pc, user, "PowerShell with an encoded command", call, func() {
		x := with("script", own)
		x.image, x.command, x.hash = sys32+`WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe -nop -enc "+hexOf(r, 40), digest("powershell.exe", 64)
		p.see(x, .8)
	})
	p.wait(3*time.Minute, 15*time.Minute)
	look := p.do("T1087.002", "discovery", pc, user, "Accounts and groups asked for", shell, func() { p.see(with("look", own), .7) })
	if r.IntN(2) == 0 {
		p.wait(3*time.Minute, 15*time.Minute)
		p.do("T1547.001", "persistence", pc, user, "The program starts at every logon", run, func() { p.see(with("run-key", own), .7) })
	}
	p.wait(10*time.Minute, 40*time.Minute)
	rise := p.do("T1548.002", "privilege-escalation", pc, user, "User account control passed by", look, func() { p.see(with("uac", own), .8) })
	p.wait(5*time.Minute, 20*time.Minute)
	dump := p.do("T1003.001", "credential-access", pc, user, "Memory of LSASS read; "+adm+" was logged on", rise, func() { p.see(with("lsass", own), .9) })
	p.wait(20*time.Minute, 90*time.Minute)

	server := g.free(r, false)
	agent := `C:\Windows\svc` + hexOf(r, 4) + `.exe`
	there := finding{on: server, user: p.admin, image: agent, command: agent, hash: p.hash}
	move := p.do("T1021.002", "lateral-movement", server, adm, "A service installed from "+pc.fqdn, dump, func() {
		x := with("remote-service", there)
		x.src = pc.ip
		p.see(x, .9)
	})
	p.wait(10*time.Minute, 40*time.Minute)
	p.do("T1087.002", "discovery", server, adm, "A look around on the server", move, func() { p.see(with("look", there), .6) })
	p.wait(10*time.Minute, 60*time.Minute)
	dc := g.server(r.IntN(g.dcs()))
	toDC := p.do("T1021.006", "lateral-movement", dc, adm, "A remote shell on the domain controller", move, func() {
		p.see(finding{what: "remote-shell", on: dc, user: p.admin, src: server.ip, image: sys32 + "wsmprovhost.exe", command: "wsmprovhost.exe -Embedding", hash: digest("wsmprovhost.exe", 64)}, .8)
	})
	p.wait(5*time.Minute, 20*time.Minute)
	p.do("T1003.006", "credential-access", dc, adm, "Secrets of the directory asked for by replication", toDC, func() {
		p.see(finding{what: "dcsync", on: dc, user: p.admin, src: server.ip}, .9)
	})
	p.wait(30*time.Minute, 90*time.Minute)
	pack := p.do("T1560.001", "collection", server, adm, "Files packed with a password", move, func() {
		x := with("archive", there)
		x.image, x.command, x.hash = `C:\ProgramData\7z.exe`, `7z.exe a -p d.7z D:\Data`, digest("7z.exe", 64)
		p.see(x, .7)
	})
	p.wait(10*time.Minute, 40*time.Minute)
	p.do("T1567.002", "exfiltration", server, adm, "The archive sent out", pack, func() {
		x := with("upload", there)
		x.image, x.command, x.hash = `C:\ProgramData\rclone.exe`, "rclone.exe copy d.7z remote:in", digest("rclone.exe", 64)
		x.dst, x.domain = p.c2, p.c2Name
		p.see(x, .9)
	})
}

// encrypt fans out over many servers within the hour.
func (p *plot) encrypt() {
	g, r := p.g, p.r
	p.wait(90*time.Minute, 4*time.Hour)
	p.pace = 1
	adm := g.short + `\` + p.admin.login
	var targets []*machine
	for range min(150, 3+g.servers/8) {
		targets = append(targets, g.free(r, false))
	}
	locker := `C:\Windows\upd` + hexOf(r, 3) + `.exe`
	hash := hexOf(r, 64)
	from := p.c.Steps[len(p.c.Steps)-1].Host
	parent := len(p.c.Steps)
	for _, s := range []struct {
		sign, technique, tactic, what string
		chance                        float64
	}{
		{"remote-service", "T1569.002", "execution", "A service installed on many servers from " + from, .7},
		{"av-off", "T1685", "defense-impairment", "Protection switched off", .7},
		{"shadows", "T1490", "impact", "Shadow copies deleted", .8},
		{"encrypt", "T1486", "impact", "Files encrypted", .9},
	} {
		p.wait(2*time.Minute, 10*time.Minute)
		parent = p.do(s.technique, s.tactic, targets[0], adm, s.what, parent, func() {
			for _, m := range targets {
				p.see(finding{what: s.sign, on: m, user: p.admin, image: locker, command: locker + ` -p D:\`, hash: hash}, s.chance)
				p.at = p.at.Add(between(r, time.Second, 8*time.Second))
			}
		})
	}
	for _, m := range targets {
		if !slices.Contains(p.c.Hosts, m.fqdn) {
			p.c.Hosts = append(p.c.Hosts, m.fqdn)
		}
	}
}

// cloudTheft is the way from a guessed password of a server to a bucket.
func (p *plot) cloudTheft() {
	g, r := p.g, p.r
	m := g.free(r, true)
	role, key := m.name+"-role", "ASIA"+letters(r, 16)
	deploy := finding{on: m, login: "deploy", image: "/usr/bin/bash", command: "bash"}
	with := func(what string, base finding) finding { base.what = what; return base }
	guess := p.do("T1110.001", "credential-access", m, "deploy", "Passwords guessed from "+p.c2, 0, func() {
		for range 3 {
			x := with("ssh-guess", deploy)
			x.src = p.c2
			p.see(x, .8)
			p.at = p.at.Add(2 * time.Minute)
		}
	})
	enter := p.do("T1078.003", "initial-access", m, "deploy", "Login with the guessed password", guess, func() {
		x := with("ssh-login", deploy)
		x.src = p.c2
		p.see(x, 1)
	})
	p.root(guess, m.name, "deploy", "")
	p.wait(10*time.Minute, 40*time.Minute)
	rise := p.do("T1548.003", "privilege-escalation", m, "deploy", "A shell as root", enter, func() { p.see(with("root", deploy), .8) })
	p.wait(5*time.Minute, 30*time.Minute)
	meta := p.do("T1552.005", "credential-access", m, "root", "Credentials asked of the metadata service", rise, func() {
		x := with("metadata", deploy)
		x.login, x.dst = "root", "169.254.169.254"
		p.see(x, .9)
	})
	p.wait(20*time.Minute, 90*time.Minute)
	arn := "arn:aws:sts::" + g.account + ":assumed-role/" + role + "/" + m.instance
	use := p.do("T1078.004", "initial-access", nil, arn, "The role's credentials used from outside", meta, func() {
		p.see(finding{what: "stolen-role", on: m, role: role, key: key, src: p.c2}, 1)
	})
	cloud := finding{role: role, key: key, src: p.c2}
	for _, s := range []struct{ sign, technique, tactic, what string }{
		{"cloud-look", "T1580", "discovery", "What there is in the account"},
		{"cloud-key", "T1098.001", "persistence", "A second key made"},
		{"trail-off", "T1685.002", "defense-impairment", "Logging stopped"},
	} {
		p.wait(10*time.Minute, 40*time.Minute)
		p.do(s.technique, s.tactic, nil, arn, s.what, use, func() { p.see(with(s.sign, cloud), .8) })
	}
	p.wait(20*time.Minute, 60*time.Minute)
	p.do("T1530", "collection", nil, arn, "Objects of a bucket fetched", use, func() {
		x := with("bucket", cloud)
		x.bucket = "corp-example-customers"
		p.see(x, .9)
	})
}

// mailboxFraud is the way from a sprayed password to mail in a colleague's name.
func (p *plot) mailboxFraud() {
	g, r := p.g, p.r
	victim := g.station(g.victim(r, g.f.dayOf(p.at)), g.f.dayOf(p.at)).user
	own := finding{user: victim, src: p.c2}
	with := func(what string, base finding) finding { base.what = what; return base }
	spray := p.do("T1110.003", "credential-access", nil, victim.upn(), "One password tried on many accounts from "+p.c2, 0, func() { p.see(with("spray", own), 1) })
	p.root(spray, "", victim.upn(), "")
	p.wait(20*time.Minute, 2*time.Hour)
	enter := p.do("T1078.004", "initial-access", nil, victim.upn(), "A sign-in from "+p.c2, spray, func() { p.see(with("odd-sign-in", own), .9) })
	box := own
	box.mail = victim.upn()
	for _, s := range []struct{ sign, technique, tactic, what string }{
		{"mfa", "T1621", "credential-access", "Many requests to approve"},
		{"inbox-rule", "T1564.008", "stealth", "A rule hides answers"},
		{"consent", "T1528", "credential-access", "Consent to the attacker's application"},
		{"mail-read", "T1114.002", "collection", "Mail read by the application"},
	} {
		p.wait(10*time.Minute, 90*time.Minute)
		p.do(s.technique, s.tactic, nil, victim.upn(), s.what, enter, func() { p.see(with(s.sign, box), .85) })
	}
	p.wait(30*time.Minute, 3*time.Hour)
	p.do("T1534", "lateral-movement", nil, victim.upn(), "Mail to colleagues in the victim's name", enter, func() {
		for range 3 {
			x := with("inner-phish", box)
			x.mail = g.person(r.IntN(g.stations)).upn()
			p.see(x, .9)
			p.at = p.at.Add(time.Minute)
		}
	})
}

// containerEscape is the way from a web application to its node and its cluster's
// secrets.
func (p *plot) containerEscape() {
	g, r := p.g, p.r
	node := g.free(r, true)
	pod := "shop/front-" + hexOf(r, 5)
	own := finding{on: node, pod: pod, login: "www-data", image: "/bin/sh", command: "sh -c id"}
	with := func(what string, base finding) finding { base.what = what; return base }
	enter := p.do("T1190", "initial-access", node, "www-data", "Code run in the web application from "+p.c2, 0, func() {
		p.see(finding{what: "web-exploit", on: node, src: p.c2}, 1)
	})
	p.root(enter, node.name, "", "")
	parent := enter
	for _, s := range []struct{ sign, technique, tactic, what string }{
		{"web-shell", "T1505.003", "persistence", "A shell started by the web server"},
		{"drop-exec", "T1059.004", "execution", "A program brought along is run"},
		{"outbound", "T1071.001", "command-and-control", "The program calls out"},
		{"escape", "T1611", "privilege-escalation", "Out of the container to the node"},
		{"secret-file", "T1552.001", "credential-access", "Credentials on the node read"},
	} {
		p.wait(5*time.Minute, 40*time.Minute)
		parent = p.do(s.technique, s.tactic, node, "www-data", s.what, parent, func() {
			x := with(s.sign, own)
			if s.sign == "outbound" {
				x.dst, x.domain, x.image, x.command = p.c2, p.c2Name, "/tmp/.x", "/tmp/.x"
			}
			p.see(x, .85)
		})
	}
	p.wait(5*time.Minute, 40*time.Minute)
	secrets := p.do("T1552.007", "credential-access", node, "", "Secrets read with the node's account", parent, func() {
		x := with("k8s-secret", own)
		x.login, x.secret = "front", "payments"
		p.see(x, .9)
	})
	p.wait(time.Hour, 2*time.Hour)
	p.do("T1496.001", "impact", node, "root", "A miner started", secrets, func() {
		x := with("miner", own)
		x.login, x.image, x.command = "root", "/tmp/.m", "/tmp/.m -o pool"
		p.see(x, .9)
	})
}
