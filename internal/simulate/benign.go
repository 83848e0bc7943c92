package simulate

import (
	"strings"
	"time"
)

// benignScenarios are activities that look like attacks and are none; they are planted
// where they are asked for by name, and the truth names their records.
func benignScenarios() []scenario {
	return []scenario{
		{"roll-out", rollOut},
		{"vulnerability-scan", vulnerabilityScan},
		{"pentest", pentest},
	}
}

// busy lets do happen as a part of an activity that is no attack.
func (w *world) busy(kind, what string, from, to time.Time, do func()) {
	a := &activity{ID: kind + "-1", Kind: kind, Title: what, From: from, To: to, Records: []string{}}
	w.benign = append(w.benign, a)
	before := w.mark
	w.mark = mark{activity: a}
	do()
	w.mark = before
}

// rollOut brings a program that nobody has seen before to a quarter of the
// workstations, by the agent that manages them.
func rollOut(w *world) {
	r, from := w.rng("roll-out"), w.clock(11, 0)
	setup := "planner-" + hexOf(r, 4)
	w.busy("roll-out", "A new program for a quarter of the workstations", from, from.Add(2*time.Hour), func() {
		for n, h := range w.estate.workstations {
			if n%4 != 1 {
				continue
			}
			at := from.Add(between(r, 0, 2*time.Hour-5*time.Minute))
			agent := h.services.start(at, programs+`Inventory\agent\deploy.exe`, `"`+programs+`Inventory\agent\deploy.exe" --job `+setup)
			agent.connect(at.Add(time.Second), "10.10.10.34", 8443, "srv-mgmt1."+dnsDomain, 4000, 31_000_000, 20*time.Second)
			agent.write(at.Add(30*time.Second), `C:\Windows\Temp\`+setup+`.exe`)
			c := agent.start(at.Add(40*time.Second), `C:\Windows\Temp\`+setup+`.exe`, setup+`.exe /quiet /norestart`)
			c.write(at.Add(50*time.Second), programs+`Planner\planner.exe`)
			c.set(at.Add(55*time.Second), `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run\Planner`, programs+`Planner\planner.exe`)
			c.start(at.Add(time.Minute), sys32+"schtasks.exe", `schtasks.exe /create /tn "Planner Update" /tr "`+programs+`Planner\planner.exe /update" /sc daily /st 12:00`).end(at.Add(62 * time.Second))
			h.task(at.Add(61*time.Second), h.system.as, "Planner Update", programs+`Planner\planner.exe`, "/update")
			c.end(at.Add(70 * time.Second))
			agent.end(at.Add(75 * time.Second))
		}
	})
}

// vulnerabilityScan is the organisation's own scanner, which tries every server.
func vulnerabilityScan(w *world) {
	r, from := w.rng("vulnerability-scan"), w.clock(2, 0)
	const scanner = "10.10.10.250"
	w.busy("vulnerability-scan", "The organisation's own scanner for weak spots tries every server", from, from.Add(2*time.Hour), func() {
		e, at := w.estate, from
		windows := append(append([]*host{e.files}, e.servers...), e.dcs...)
		for _, h := range append(windows, e.linux...) {
			for _, port := range []int{21, 22, 23, 25, 53, 80, 88, 110, 135, 139, 143, 389, 443, 445, 1433, 3306, 3389, 5432, 5985, 8080, 8443} {
				e.sensor.flow(at, flow{src: scanner, srcPort: 40000 + r.IntN(20000), dst: h.ip, dstPort: port, sent: 60, got: 40, lasted: 2 * time.Millisecond})
				at = at.Add(between(r, 20*time.Millisecond, 900*time.Millisecond))
			}
			for _, uri := range []string{"/cgi-bin/test.cgi", "/../../etc/passwd", "/?q=%27%20OR%201=1--", "/.git/config"} {
				e.sensor.request(at, request{src: scanner, srcPort: 40000 + r.IntN(20000), dst: h.ip, dstPort: 80, method: "GET", host: h.ip, uri: uri, agent: "weak-spot-scanner/4.2", mime: "text/html", status: 404, size: 153})
				at = at.Add(between(r, 50*time.Millisecond, 2*time.Second))
			}
			if h.authLog != nil {
				for _, user := range []string{"root", "admin", "test"} {
					h.sshFailed(at, user, scanner, user == "root")
					at = at.Add(between(r, time.Second, 5*time.Second))
				}
			}
		}
	})
}

// pentest is an attack that was ordered: testers with an account of their own go
// from one workstation to two servers.
func pentest(w *world) {
	r, e, from := w.rng("pentest"), w.estate, w.clock(13, 0)
	tester := &person{login: "pentest", full: "Penetration Tester", sid: domainSID + "-1099", admin: true}
	w.busy("pentest", "A test of penetration, ordered and announced", from, from.Add(3*time.Hour), func() {
		desk := e.workstations[29]
		at := from.Add(between(r, 0, 20*time.Minute))
		s := w.logon(at, tester, desk, 2, nil)
		tool := s.shell.start(at.Add(time.Minute), `C:\Users\pentest\Desktop\assess.exe`, `"C:\Users\pentest\Desktop\assess.exe" --all`)
		at = at.Add(3 * time.Minute)
		cmd := tool.start(at, sys32+"cmd.exe", sys32+"cmd.exe")
		for _, c := range []string{"whoami.exe /all", `net.exe group "Domain Admins" /domain`, "nltest.exe /domain_trusts"} {
			at = at.Add(between(r, 5*time.Second, time.Minute))
			image, _, _ := strings.Cut(c, " ")
			cmd.start(at, sys32+image, c).end(at.Add(time.Second))
		}
		at = at.Add(between(r, 5*time.Minute, 20*time.Minute))
		tool.open(at, desk.lsass, "0x1010", sys32+`ntdll.dll+9d6c4|`+sys32+`KERNELBASE.dll+2c0f3`)
		for _, h := range []*host{e.server("SRV-PRINT1"), e.server("SRV-SQL1")} {
			at = at.Add(between(r, 10*time.Minute, 30*time.Minute))
			tool.connect(at, h.ip, 445, h.fqdn, 900000, 9000, 4*time.Second)
			there := w.logon(at.Add(300*time.Millisecond), tester, h, 3, desk)
			there.share(at.Add(500*time.Millisecond), "ADMIN$", `C:\Windows`, "assessvc.exe", desk)
			svc := there.service(at.Add(time.Second), "assessvc", `%SystemRoot%\assessvc.exe`, h.services)
			svc.start(at.Add(3*time.Second), sys32+"whoami.exe", "whoami.exe")
		}
	})
}
