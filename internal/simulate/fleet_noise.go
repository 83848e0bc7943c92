package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A habit is a false positive that comes again and again.
type habit struct {
	what     string
	where    machineKind
	perDay   float64 // of a thousand machines
	few      bool    // of the same few machines, where some program does this every day
	programs int     // how many programs it is about
	path     string
	command  string
}

// elsewhere is where cloud, directory and mail are: at no machine.
const elsewhere machineKind = -1

func habits() []habit {
	return []habit{
		{"new-hash", station, 8, false, 400, `C:\Users\Public\Downloads\tool%03d.exe`, "tool%03d.exe /S"},
		{"unwanted", station, 5, false, 60, `C:\Users\Public\Downloads\bundle%03d.exe`, "bundle%03d.exe"},
		{"user-exec", station, 1, false, 200, `C:\Users\Public\Downloads\setup%03d.exe`, "setup%03d.exe"},
		{"script", station, 3, true, 5, sys32 + `WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe -enc SQBuAHYAZQBuAHQAbwByAHkA%03d"},
		{"script", winServer, 8, true, 5, sys32 + `WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe -enc UABhAHQAYwBoAA%03d"},
		{"look", station, 6, true, 9, sys32 + "net.exe", "net.exe group %03d /domain"},
		{"run-key", station, 5, false, 40, programs + `Updater%03d\update.exe`, "update.exe %03d"},
		{"task", station, 5, false, 40, programs + `Updater%03d\task.exe`, "task.exe %03d"},
		{"task", winServer, 6, true, 6, programs + `Backup%03d\job.exe`, "job.exe %03d"},
		{"lsass", winServer, .4, true, 2, programs + `Backup%03d\agent.exe`, "agent.exe --job %03d"},
		{"lsass", station, .1, false, 2, programs + `Inventory%03d\agent.exe`, "agent.exe %03d"},
		{"beacon", station, 2, false, 60, programs + `Weather%03d\tray.exe`, "tray.exe %03d"},
		{"remote-service", winServer, 1, true, 3, programs + `Deploy%03d\runner.exe`, "runner.exe %03d"},
		{"rdp", winServer, 8, true, 0, "", ""},
		{"remote-shell", winServer, 10, true, 1, sys32 + "wsmprovhost.exe", "wsmprovhost.exe -Embedding"},
		{"policy", station, 60, false, 0, "", ""},
		{"file-changed", linuxServer, 500, false, 50, "/etc/app%03d.conf", ""},
		{"sudo", linuxServer, 900, false, 0, "", "systemctl status app"},
		{"ssh-failed", linuxServer, 900, false, 0, "", ""},
		{"shell-in-container", linuxServer, 6, true, 0, "/usr/bin/bash", "bash -l"},
		{"outbound", linuxServer, 5, true, 9, "/usr/bin/node", "node server%03d.js"},
		{"metadata", linuxServer, 4, true, 3, "/usr/bin/agent", "agent %03d"},
		{"odd-sign-in", elsewhere, 3, false, 0, "", ""},
		{"mfa", elsewhere, .3, false, 0, "", ""},
		{"inbox-rule", elsewhere, .5, false, 0, "", ""},
		{"phish-mail", elsewhere, 15, false, 0, "", ""},
		{"consent", elsewhere, .3, false, 0, "", ""},
		{"cloud-look", elsewhere, .5, true, 0, "", ""},
		{"bucket-open", elsewhere, .2, true, 0, "", ""},
		{"cloud-key", elsewhere, .1, true, 0, "", ""},
	}
}

// noise is what products raise every day without an attack.
func (g *org) noise(day int, take func(finding)) {
	r := g.f.rng("noise "+g.domain, day)
	for k, h := range habits() {
		machines := map[machineKind]int{station: g.stations, winServer: g.servers, linuxServer: g.linux, elsewhere: g.stations}[h.where]
		mean := h.perDay * float64(machines) / 1000 * g.f.opt.Noise
		if weekend(g.f.day(day)) && (h.where == station || h.where == elsewhere) {
			mean /= 6
		}
		for range count(r, mean) {
			n := r.IntN(machines)
			if h.few { // one in forty machines, the same every day
				n = (r.IntN(machines/40+1)*40 + k*7) % machines
			}
			g.falsePositive(r, day, h, n, take)
		}
	}
}

// count draws how often something happens that does so mean times.
func count(r *rand.Rand, mean float64) int {
	n := int(mean * (.8 + .4*r.Float64()))
	if r.Float64() < mean-float64(int(mean)) {
		n++
	}
	return n
}

// falsePositive is one occasion of a habit: mostly one alert, now and then several
// in a few minutes.
func (g *org) falsePositive(r *rand.Rand, day int, h habit, n int, take func(finding)) {
	at := g.f.day(day).Add(between(r, 7*time.Hour+30*time.Minute, 17*time.Hour+30*time.Minute))
	if h.where == winServer || h.where == linuxServer {
		at = g.f.day(day).Add(between(r, 0, 24*time.Hour-time.Minute))
	}
	x := finding{what: h.what, dst: "", command: h.command, image: h.path}
	switch h.where {
	case station:
		x.on = g.station(n, day)
		x.user = x.on.user
	case winServer:
		x.on, x.user = g.server(n), g.admin(r.IntN(g.admins()))
	case linuxServer:
		x.on, x.login = g.unix(n), pick(r, []string{"ubuntu", "app", "holger", "yvonne", "deploy"})
	default:
		x.user = g.person(n)
	}
	if h.programs > 0 {
		program := r.IntN(h.programs)
		x.image, x.command = numbered(h.path, program), numbered(h.command, program)
		x.hash = fileHash(x.image)
	}
	office := fmt.Sprintf("192.0.2.%d", 10+n%100)
	switch h.what {
	case "beacon", "outbound", "policy":
		i := r.IntN(90)
		x.domain, x.dst = fmt.Sprintf("cdn%d.content.example", i), fmt.Sprintf("198.51.100.%d", 150+i)
	case "ssh-failed":
		x.src = address(64, n*7%g.stations)
	case "shell-in-container", "metadata":
		x.pod = fmt.Sprintf("shop/app-%d", n%9)
	case "rdp", "remote-shell":
		x.src = g.station(r.IntN(g.stations), day).ip
	case "odd-sign-in":
		x.src = fmt.Sprintf("192.0.2.%d", 110+r.IntN(140)) // hotels and homes
	case "inbox-rule", "phish-mail", "consent":
		x.mail = x.user.upn()
	case "cloud-look", "bucket-open", "cloud-key":
		who := pick(r, []string{"ops-holger", "ops-yvonne", "ci-deployer"})
		x.user, x.keyUser, x.key, x.src = nil, who, "AKIA"+awsID(digest(g.account+who, 16)), office
		if h.what == "bucket-open" {
			x.bucket = "corp-example-web-assets"
		}
	}
	times := 1
	if r.IntN(12) == 0 {
		times = 2 + r.IntN(4)
	}
	for range times {
		for p := range products {
			if g.f.signs[h.what].says[p] == "" || !g.covers(p, x.on) || p != defender && p != suricata && r.IntN(3) > 0 && h.where != linuxServer && h.where != elsewhere {
				continue
			}
			x.by, x.at = p, at
			take(x)
			if h.where != linuxServer {
				break // mostly one product alone is wrong
			}
		}
		at = at.Add(between(r, 5*time.Second, 3*time.Minute))
	}
}

// fileHash is the hash of a program: of those that come with Windows it is the same
// everywhere, whoever uses them.
func fileHash(image string) string {
	if strings.HasPrefix(image, sys32) {
		image = base(image)
	}
	return digest(image, 64)
}

// numbered puts a number where the text has a place for one.
func numbered(text string, n int) string {
	for i := range len(text) - 3 {
		if text[i:i+4] == "%03d" {
			return text[:i] + fmt.Sprintf("%03d", n) + text[i+4:]
		}
	}
	return text
}

// scans are the scanners: our own looks for weak spots every night, those of the
// internet all day.
func (g *org) scans(day int, take func(finding)) {
	f := g.f
	r := f.rng("scans "+g.domain, day)
	own := g.begin("vulnerability-scan", "The scanner for weak spots goes through a part of the servers", f.day(day).Add(2*time.Hour), f.day(day).Add(4*time.Hour))
	const scanner = "10.16.249.250"
	per := max(3, (g.servers+g.linux)/14) // everything in two weeks
	for k := range per {
		n := (day%14*per + k) % (g.servers + g.linux)
		var m *machine
		if n < g.servers {
			m = g.server(n)
		} else {
			m = g.unix(n - g.servers)
		}
		at := own.From.Add(time.Duration(k) * 110 * time.Minute / time.Duration(per))
		for _, what := range []string{"port-scan", "web-probe", "web-exploit", "ssh-guess"} {
			if what == "ssh-guess" && m.kind != linuxServer || what == "web-exploit" && k%5 > 0 {
				continue
			}
			at = at.Add(between(r, time.Second, 15*time.Second))
			x := finding{what: what, by: suricata, on: m, src: scanner, at: at, of: belonging{activity: own}}
			take(x)
			if g.covers(wazuh, m) && f.signs[what].says[wazuh] != "" {
				x.by, x.at = wazuh, at.Add(2*time.Second)
				take(x)
			}
		}
	}
	world := g.begin("internet-scan", "Scanners of the internet", f.day(day), f.day(day+1))
	for range count(r, (20+float64(f.opt.Hosts)/200)*min(f.opt.Noise, 10)) {
		m := g.unix(r.IntN(min(8, g.linux))) // those that are reachable
		what := pick(r, []string{"web-probe", "web-probe", "port-scan", "ssh-guess", "ssh-guess", "web-exploit"})
		x := finding{what: what, on: m, src: fmt.Sprintf("198.51.100.%d", 1+r.IntN(140)), at: f.day(day).Add(between(r, 0, 24*time.Hour-time.Minute)), of: belonging{activity: world}}
		for _, p := range []product{suricata, wazuh, guardduty} {
			if f.signs[what].says[p] != "" && (p == suricata || r.IntN(4) == 0) {
				x.by = p
				take(x)
			}
		}
	}
}

// begin opens an activity.
func (g *org) begin(kind, what string, from, to time.Time) *activity {
	a := &activity{ID: fmt.Sprintf("%s-%d", kind, len(g.f.activities)+1), Kind: kind, Title: what, Tenant: g.folder, From: from, To: to, Records: []string{}}
	g.f.activities = append(g.f.activities, a)
	return a
}
