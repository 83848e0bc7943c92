package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// officeIP is the address by which the office's people reach the internet.
const officeIP = "192.0.2.10"

// background lets a working day happen.
func background(w *world) {
	w.officeDay()
	w.serverDay()
	w.maintenance()
	w.linuxDay()
	w.scanners()
	w.cloudDay()
	w.identityDay()
	w.wireDay()
}

// every calls do at about every interval of the span, never quite on time.
func every(r *rand.Rand, from, to time.Time, interval time.Duration, do func(at time.Time)) {
	for at := from.Add(between(r, 0, interval)); at.Before(to); at = at.Add(between(r, interval/2, interval*3/2)) {
		do(at)
	}
}

const (
	sys32    = `C:\Windows\System32\`
	programs = `C:\Program Files\`
	officeAt = programs + `Microsoft Office\root\Office16\`
)

// sites are places on the web, all at documentation addresses.
func site(r *rand.Rand) (name, ip string) {
	names := []string{"news.example", "maps.example", "weather.example", "cdn.example", "login.cloud.example", "wiki.corp.example", "travel.example", "supplier.example", "bank.example", "video.example"}
	i := r.IntN(len(names))
	return "www." + names[i], fmt.Sprintf("198.51.100.%d", 200+i)
}

// officeDay is the work of people at their machines.
func (w *world) officeDay() {
	for i, p := range w.estate.people {
		r := w.rng("work " + p.login)
		pc := p.pc
		from := w.clock(7, 30).Add(between(r, 0, 90*time.Minute))
		to := w.clock(16, 15).Add(between(r, 0, 2*time.Hour))
		w.machineDay(r, pc)
		if r.IntN(9) == 0 {
			w.logonFailed(from.Add(-8*time.Second), p.login, pc, 2, pc)
		}
		s := w.logon(from, p, pc, 2, nil)
		pc.desktop = s
		home := `C:\Users\` + p.login + `\`
		at := from.Add(15 * time.Second)
		outlook := s.shell.start(at, officeAt+"OUTLOOK.EXE", `"`+officeAt+`OUTLOOK.EXE"`)
		pc.outlook = outlook
		teams := s.shell.start(at.Add(4*time.Second), `C:\Users\`+p.login+`\AppData\Local\Microsoft\Teams\current\Teams.exe`, `"Teams.exe" --process-start-args --system-initiated`)
		browserImage := pick(r, []string{programs + `Google\Chrome\Application\chrome.exe`, `C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`})
		browser := s.shell.start(at.Add(time.Minute), browserImage, `"`+browserImage+`" --profile-directory=Default`)
		pc.browser = browser
		drive := w.logon(at.Add(2*time.Second), p, w.estate.files, 3, pc)
		drive.share(at.Add(2100*time.Millisecond), "Data", `D:\Data`, "", pc)
		every(r, at.Add(time.Minute), to, 9*time.Minute, func(at time.Time) { // mail
			outlook.connect(at, "198.51.100.240", 443, "outlook.cloud.example", 4000+r.IntN(20000), 9000+r.IntN(90000), between(r, time.Second, 40*time.Second))
			if r.IntN(5) == 0 {
				outlook.write(at.Add(time.Second), home+`AppData\Local\Microsoft\Windows\INetCache\Content.Outlook\Q7Z\`+pick(r, []string{"Agenda", "Offer", "Plan", "Minutes"})+number(r.IntN(90))+".pdf")
			}
		})
		every(r, at.Add(time.Minute), to, 14*time.Minute, func(at time.Time) {
			teams.connect(at, "198.51.100.241", 443, "teams.cloud.example", 3000, 20000, 20*time.Second)
		})
		every(r, at.Add(2*time.Minute), to, 5*time.Minute, func(at time.Time) { // browsing
			name, ip := site(r)
			browser.resolve(at, name, ip)
			browser.connect(at.Add(60*time.Millisecond), ip, 443, name, 1500+r.IntN(6000), 8000+r.IntN(400000), between(r, 300*time.Millisecond, 90*time.Second))
			if r.IntN(4) == 0 {
				c := browser.start(at.Add(200*time.Millisecond), browserImage, `"`+browserImage+`" --type=renderer --lang=de --renderer-client-id=`+number(20+r.IntN(400)))
				c.end(at.Add(between(r, time.Minute, 20*time.Minute)))
			}
			if r.IntN(14) == 0 {
				browser.write(at.Add(5*time.Second), home+`Downloads\`+pick(r, []string{"brochure", "datasheet", "timetable", "invoice"})+number(r.IntN(900))+".pdf")
			}
		})
		every(r, at.Add(5*time.Minute), to, 28*time.Minute, func(at time.Time) { // documents
			app := pick(r, []string{"WINWORD.EXE", "EXCEL.EXE", "POWERPNT.EXE"})
			ext := map[string]string{"WINWORD.EXE": ".docx", "EXCEL.EXE": ".xlsx", "POWERPNT.EXE": ".pptx"}[app]
			doc := pick(r, []string{"budget", "report", "quote", "plan", "notes"}) + number(r.IntN(300)) + ext
			c := s.shell.start(at, officeAt+app, `"`+officeAt+app+`" /n "\\FS01\Data\`+doc+`"`)
			drive.share(at.Add(400*time.Millisecond), "Data", `D:\Data`, doc, pc)
			w.estate.sensor.flow(at, flow{src: pc.ip, srcPort: 49200 + r.IntN(16000), dst: w.estate.files.ip, dstPort: 445, sent: 9000, got: 60000 + r.IntN(900000), lasted: 9 * time.Second})
			c.write(at.Add(between(r, time.Minute, 8*time.Minute)), home+`Documents\`+doc)
			c.end(at.Add(between(r, 9*time.Minute, 25*time.Minute)))
		})
		if i%7 == 2 { // somebody installs a program
			tool := pick(r, []string{"ConferenceSetup", "pdf-reader-setup", "ScreenRulerInstaller"})
			at := from.Add(between(r, time.Hour, 5*time.Hour))
			host, ip := "download.software.example", "198.51.100.230"
			browser.resolve(at, host, ip)
			browser.connect(at.Add(50*time.Millisecond), ip, 443, host, 1500, 48000000, 9*time.Second)
			browser.write(at.Add(9*time.Second), home+`Downloads\`+tool+`.exe`)
			setup := s.shell.start(at.Add(40*time.Second), home+`Downloads\`+tool+`.exe`, `"`+home+`Downloads\`+tool+`.exe"`)
			setup.write(at.Add(50*time.Second), programs+tool+`\`+tool+`.exe`)
			setup.set(at.Add(52*time.Second), `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\`+tool+`\DisplayName`, tool)
			setup.end(at.Add(70 * time.Second))
		}
		if i%10 == 4 { // somebody curious, or asked by the help desk
			at := from.Add(between(r, time.Hour, 6*time.Hour))
			cmd := s.shell.start(at, sys32+"cmd.exe", `"C:\Windows\System32\cmd.exe"`)
			for n, c := range []string{"ipconfig.exe /all", "ping.exe -n 4 FS01", "whoami.exe"} {
				image, _, _ := strings.Cut(c, " ")
				cmd.start(at.Add(time.Duration(n+1)*20*time.Second), sys32+image, c)
			}
			cmd.end(at.Add(4 * time.Minute))
		}
		drive.logoff(to.Add(-3 * time.Second))
		outlook.end(to.Add(-2 * time.Second))
		s.logoff(to)
	}
}

// machineDay is what Windows does by itself.
func (w *world) machineDay(r *rand.Rand, h *host) {
	from, to := w.clock(0, 10), w.clock(23, 50)
	if h.name[0] == 'W' { // workstations are off at night
		from, to = w.clock(7, 0), w.clock(19, 0)
	}
	every(r, from, to, 24*time.Minute, func(at time.Time) {
		group := pick(r, []string{"wsappx -p -s AppXSvc", "netsvcs -p -s wlidsvc", "UnistackSvcGroup", "LocalService -p -s NetTcpPortSharing"})
		c := h.services.start(at, sys32+"svchost.exe", sys32+"svchost.exe -k "+group)
		if r.IntN(2) == 0 {
			c.set(at.Add(2*time.Second), `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Diagnostics\LastRun`, "QWORD (0x01dc"+hexOf(r, 4)+")")
		}
		c.end(at.Add(between(r, 2*time.Minute, 9*time.Minute)))
	})
	every(r, from, to, 47*time.Minute, func(at time.Time) {
		t := pick(r, []string{sys32 + "taskhostw.exe", sys32 + "sc.exe", sys32 + "gpupdate.exe", sys32 + "dllhost.exe", programs + `Inventory\agent\inventory.exe`})
		c := h.svchost.start(at, t, `"`+t+`"`+map[bool]string{true: " start wuauserv", false: ""}[strings.HasSuffix(t, "sc.exe")])
		if strings.HasSuffix(t, "inventory.exe") {
			c.start(at.Add(time.Second), sys32+"systeminfo.exe", "systeminfo.exe /fo csv")
			c.connect(at.Add(9*time.Second), "10.10.10.34", 8443, "srv-mgmt1."+dnsDomain, 9000, 900, time.Second)
		}
		c.end(at.Add(between(r, time.Second, 40*time.Second)))
	})
	av := h.newProc(from, h.services, `C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.25110.6-0\MsMpEng.exe`, "MsMpEng.exe", h.services.as)
	every(r, from, to, 55*time.Minute, func(at time.Time) {
		av.open(at, h.lsass, "0x1000", sys32+`ntdll.dll+9d6c4|`+sys32+`KERNELBASE.dll+2c0f3`)
		av.connect(at.Add(time.Minute), "198.51.100.242", 443, "updates.cloud.example", 2000, 30000, 2*time.Second)
	})
}

// serverDay is what the Windows servers do for each other.
func (w *world) serverDay() {
	e := w.estate
	all := append(append([]*host{e.files}, e.servers...), e.dcs...)
	for _, h := range all {
		r := w.rng("serving " + h.name)
		w.machineDay(r, h)
		backup := &person{login: "svc-backup", full: "Backup", sid: domainSID + "-1150", admin: true}
		at := w.clock(1, 30).Add(between(r, 0, 40*time.Minute))
		s := w.logon(at, backup, h, 3, e.server("SRV-MGMT1"))
		s.share(at.Add(time.Second), "C$", `C:\`, "", e.server("SRV-MGMT1"))
		agent := h.services.start(at.Add(2*time.Second), programs+`Backup\agent.exe`, `"`+programs+`Backup\agent.exe" --job nightly`)
		for n := range 30 {
			agent.write(at.Add(time.Duration(n+3)*9*time.Second), fmt.Sprintf(`E:\Staging\chunk%03d.bak`, n))
		}
		agent.end(at.Add(6 * time.Minute))
		s.logoff(at.Add(6 * time.Minute))
	}
	for _, h := range e.workstations { // machines renew their tickets
		r := w.rng("tickets " + h.name)
		every(r, w.clock(7, 10), w.clock(18, 50), 50*time.Minute, func(at time.Time) {
			dc := e.dcs[r.IntN(2)]
			dc.event(at, securityLog, 4769, f("TargetUserName", h.name+"$@"+strings.ToUpper(dnsDomain)), f("TargetDomainName", strings.ToUpper(dnsDomain)), f("ServiceName", pick(r, []string{"FS01$", "DC01$", "SRV-PRINT1$"})),
				f("ServiceSid", domainSID+"-1107"), f("TicketOptions", "0x40810000"), f("TicketEncryptionType", "0x12"), f("IpAddress", "::ffff:"+h.ip), f("IpPort", number(50000+r.IntN(9000))), f("Status", "0x0"), f("LogonGuid", "{"+uuid(r)+"}"))
			e.sensor.flow(at, flow{src: h.ip, srcPort: 49200 + r.IntN(16000), dst: dc.ip, dstPort: 88, sent: 1500, got: 1700, lasted: 12 * time.Millisecond})
		})
	}
	dc := e.dcs[0] // replication between the domain controllers is daily work
	r := w.rng("replication")
	every(r, w.clock(0, 5), w.clock(23, 55), 30*time.Minute, func(at time.Time) {
		by := identity{name: "DC02$", domain: netbios, sid: domainSID + "-1001", logon: 0x8a3f21}
		dc.secure(at, 4662, by, f("ObjectServer", "DS"), f("ObjectType", "%{19195a5b-6da0-11d0-afd3-00c04fd930c9}"), f("ObjectName", "%{5f0c7a52-1d5f-4c8e-9e6b-0a2f6d1c9b11}"), f("OperationType", "Object Access"), f("HandleId", "0x0"),
			f("AccessMask", "0x100"), f("Properties", "%%7688\n\t\t{1131f6aa-9c07-11d1-f79f-00c04fc2dcd2}\n\t{19195a5b-6da0-11d0-afd3-00c04fd930c9}"))
	})
}

// maintenance is an administrator's work, which looks much like an attack: tools
// that ask for system, domain and network, remote execution on several servers by
// service, WinRM and scheduled task.
func (w *world) maintenance() {
	e, r := w.estate, w.rng("maintenance")
	for n, admin := range e.admins[:2] {
		desk := admin.pc
		jump := e.server("SRV-MGMT1")
		at := w.clock(10+3*n, 5).Add(between(r, 0, 30*time.Minute))
		s := w.logon(at, admin, jump, 10, desk)
		e.sensor.flow(at, flow{src: desk.ip, srcPort: 50111, dst: jump.ip, dstPort: 3389, sent: 900000, got: 9000000, lasted: 70 * time.Minute})
		shell := s.shell.start(at.Add(20*time.Second), sys32+`WindowsPowerShell\v1.0\powershell.exe`, `"powershell.exe"`)
		at = at.Add(time.Minute)
		for _, c := range []string{"whoami.exe /groups", `net.exe group "Domain Admins" /domain`, "nltest.exe /dclist:" + dnsDomain, "systeminfo.exe", "quser.exe /server:FS01", "tasklist.exe /v", "netstat.exe -ano"} {
			image, _, _ := strings.Cut(c, " ")
			shell.start(at, sys32+image, c).end(at.Add(2 * time.Second))
			at = at.Add(between(r, 15*time.Second, 2*time.Minute))
		}
		for k, h := range []*host{e.server("SRV-SQL1"), e.server("SRV-PRINT1"), e.server("SRV-APP1")} {
			at = at.Add(between(r, 2*time.Minute, 6*time.Minute))
			if k == 0 {
				shell.start(at.Add(-time.Second), `C:\Tools\PsExec64.exe`, `PsExec64.exe \\`+h.name+` cmd /c wuauclt /detectnow`)
				there := w.logon(at, admin, h, 3, jump)
				there.share(at.Add(100*time.Millisecond), "ADMIN$", `C:\Windows`, "", jump)
				there.share(at.Add(200*time.Millisecond), "ADMIN$", `C:\Windows`, "PSEXESVC.exe", jump)
				svc := there.service(at.Add(400*time.Millisecond), "PSEXESVC", `%SystemRoot%\PSEXESVC.exe`, h.services)
				svc.start(at.Add(time.Second), sys32+"cmd.exe", "cmd /c wuauclt /detectnow").end(at.Add(3 * time.Second))
				there.logoff(at.Add(5 * time.Second))
				continue
			}
			shell.script(at.Add(-time.Second), "Invoke-Command -ComputerName "+h.name+" -ScriptBlock { Get-HotFix | Sort-Object InstalledOn; Restart-Service Spooler }")
			shell.connect(at.Add(-900*time.Millisecond), h.ip, 5985, strings.ToLower(h.fqdn), 9000, 14000, 8*time.Second)
			there := w.logon(at, admin, h, 3, jump)
			host := h.winrmHost(at.Add(300*time.Millisecond), there)
			host.start(at.Add(2*time.Second), sys32+"wevtutil.exe", "wevtutil.exe qe System /c:20 /f:text").end(at.Add(4 * time.Second))
			host.end(at.Add(20 * time.Second))
			there.logoff(at.Add(21 * time.Second))
		}
		at = at.Add(3 * time.Minute)
		shell.start(at, sys32+"schtasks.exe", `schtasks.exe /create /s FS01 /tn "Maintenance\Reboot" /tr "shutdown.exe /r /t 60" /sc once /st 03:00 /ru SYSTEM`)
		there := w.logon(at.Add(200*time.Millisecond), admin, e.files, 3, jump)
		e.files.task(at.Add(500*time.Millisecond), there.as, `Maintenance\Reboot`, "shutdown.exe", "/r /t 60")
		there.logoff(at.Add(4 * time.Second))
		shell.end(at.Add(10 * time.Minute))
		s.logoff(at.Add(11 * time.Minute))
	}
}

// unixAdmins are the people who look after the Linux servers.
func unixAdmins() []unixUser {
	return []unixUser{{"ubuntu", 1000}, {"holger", 1001}, {"yvonne", 1002}}
}

// linuxDay is what the Linux servers do, and who works on them.
func (w *world) linuxDay() {
	e := w.estate
	root := unixUser{"root", 0}
	for _, h := range e.linux {
		r := w.rng("linux " + h.name)
		cron := h.daemon("/usr/sbin/cron", root)
		every(r, w.clock(0, 1), w.clock(23, 58), 10*time.Minute, func(at time.Time) {
			pid := h.nextPID(at)
			job := pick(r, []string{"command -v debian-sa1 > /dev/null && debian-sa1 1 1", "/usr/local/bin/health-check", "test -x /usr/sbin/anacron || run-parts /etc/cron.hourly"})
			h.syslog(h.authLog, at, "CRON", pid, "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
			h.syslog(h.sysLog, at.Add(2*time.Millisecond), "CRON", pid, "(root) CMD (%s)", job)
			sh := cron.run(at.Add(5*time.Millisecond), "/usr/bin/dash", "-c", job)
			sh.run(at.Add(9*time.Millisecond), pick(r, []string{"/usr/bin/run-parts", "/usr/local/bin/health-check", "/usr/bin/sar"}))
			h.syslog(h.authLog, at.Add(300*time.Millisecond), "CRON", pid, "pam_unix(cron:session): session closed for user root")
		})
		every(r, w.clock(0, 1), w.clock(23, 58), 35*time.Minute, func(at time.Time) {
			unit := pick(r, []string{"Daily apt download activities", "Cleanup of Temporary Directories", "Message of the Day", "Rotate log files"})
			h.syslog(h.sysLog, at, "systemd", 1, "Starting %s...", unit)
			h.syslog(h.sysLog, at.Add(2*time.Second), "systemd", 1, "Finished %s.", unit)
		})
		every(r, w.clock(0, 1), w.clock(23, 58), 5*time.Hour, func(at time.Time) { // the agent that AWS installs, which has no rights here
			h.syslog(h.sysLog, at, "amazon-ssm-agent.amazon-ssm-agent", 688, "WARN EC2RoleProvider Failed to connect to Systems Manager with instance profile role credentials. Err: AccessDeniedException: User: %s is not authorized to perform: ssm:UpdateInstanceInformation on resource: arn:aws:ec2:%s:%s:instance/%s", h.roleSession().arn(), region, account, h.instance)
		})
		update := w.clock(6, 0).Add(between(r, 0, 40*time.Minute)) // unattended upgrades
		apt := cron.run(update, "/usr/bin/python3", "/usr/bin/unattended-upgrade")
		for n := range 12 {
			at := update.Add(time.Duration(n+1) * 3 * time.Second)
			apt.run(at, pick(r, []string{"/usr/bin/dpkg", "/usr/bin/apt-get", "/usr/lib/apt/methods/http"}), "--status-fd", number(10+n))
		}
		w.estate.sensor.request(update.Add(time.Second), request{src: h.ip, srcPort: 40000 + r.IntN(9000), dst: "198.51.100.210", dstPort: 80, method: "GET", host: "archive.mirror.example", uri: "/ubuntu/dists/noble-updates/InRelease", agent: "Debian APT-HTTP/1.3 (2.7.14)", mime: "text/plain", status: 200, size: 126000})
		svc := h.daemon("/usr/bin/java", unixUser{"app", 998})
		every(r, w.clock(0, 3), w.clock(23, 57), 12*time.Minute, func(at time.Time) {
			svc.connect(at, "10.20.0.15", 5432, 900+r.IntN(3000), 2000+r.IntN(90000), 200*time.Millisecond)
		})
		for range 3 + r.IntN(4) { // people at work
			who := pick(r, unixAdmins())
			at := w.clock(8, 0).Add(between(r, 0, 9*time.Hour))
			if r.IntN(3) == 0 {
				h.sshFailed(at.Add(-9*time.Second), who.name, "10.10.1."+number(21+who.uid%3), true)
			}
			from := "10.10.1." + number(21+who.uid%3)
			s := h.sshLogin(at, who, from, "publickey", 20*time.Minute)
			for range 4 + r.IntN(9) {
				at = at.Add(between(r, 5*time.Second, 3*time.Minute))
				switch r.IntN(6) {
				case 0:
					s.sudo(at, "/usr/bin/systemctl", "status", "nginx")
				case 1:
					s.sudo(at, "/usr/bin/journalctl", "-u", "app", "-n", "50")
				case 2:
					s.run(at, "/usr/bin/ps", "aux")
				case 3:
					s.run(at, "/usr/bin/ls", "-la", "/var/log")
				case 4:
					s.run(at, "/usr/bin/df", "-h")
				default:
					s.run(at, "/usr/bin/less", "/var/log/syslog")
				}
			}
			s.logout(at.Add(time.Minute))
		}
	}
	ci, deploy := e.linux[6], unixUser{"deploy", 1010} // releases go out from the build server
	r := w.rng("deployments")
	for range 9 {
		at := w.clock(8, 30).Add(between(r, 0, 9*time.Hour))
		for _, h := range e.linux[1:5] {
			at = at.Add(between(r, 20*time.Second, 50*time.Second))
			s := h.sshLogin(at, deploy, ci.ip, "publickey", 12*time.Second)
			s.run(at.Add(time.Second), "/usr/bin/tar", "-xzf", "/srv/releases/current.tgz", "-C", "/srv/app")
			s.sudo(at.Add(6*time.Second), "/usr/bin/systemctl", "restart", "app")
			s.logout(at.Add(9 * time.Second))
		}
	}
}

// scanners are the noise of the internet: many addresses, a few tries each.
func (w *world) scanners() {
	e, r := w.estate, w.rng("scanners")
	names := []string{"root", "admin", "test", "oracle", "postgres", "user", "ubuntu", "git", "pi", "ftpuser"}
	for n := range 240 {
		from := fmt.Sprintf("198.51.100.%d", 1+n%180)
		if n >= 180 {
			from = fmt.Sprintf("203.0.113.%d", 1+n%110)
		}
		h := e.bastion
		if n%4 == 3 {
			h = e.webs[n/4%2]
		}
		at := w.clock(0, 2).Add(between(r, 0, 23*time.Hour+50*time.Minute))
		for range 1 + r.IntN(4) {
			name := pick(r, names)
			h.sshFailed(at, name, from, name == "root" || name == "ubuntu")
			at = at.Add(between(r, 2*time.Second, 70*time.Second))
		}
	}
	for n := range 300 { // and those who look for web applications
		at := w.clock(0, 1).Add(between(r, 0, 23*time.Hour+55*time.Minute))
		e.sensor.request(at, request{src: fmt.Sprintf("198.51.100.%d", 1+n%170), srcPort: 30000 + r.IntN(30000), dst: e.webs[n%2].ip, dstPort: 80, method: "GET", host: "192.0.2.81", agent: pick(r, []string{"Mozilla/5.0 zgrab/0.x", "curl/8.5.0", "-"}),
			uri: pick(r, []string{"/.env", "/wp-login.php", "/.git/config", "/admin/", "/actuator/health", "/"}), mime: "text/html", status: 404, size: 153})
	}
}

// agents of programs that call AWS.
const (
	sdkAgent     = "aws-sdk-java/2.31.1 md/io#sync md/http#Apache ua/2.1 os/Linux#6.8.0-1029-aws lang/java#21.0.6"
	ciAgent      = "APN/1.0 HashiCorp/1.0 Terraform/1.11.4 aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24.2"
	consoleAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
)

// roleSession is the session that an instance has of its role.
func (h *host) roleSession() caller {
	return caller{role: h.role, session: h.instance, key: "ASIA" + awsID(digest(h.instance, 16))}
}

// cloudDay is what applications, the build server and people do in AWS.
func (w *world) cloudDay() {
	e, r, c := w.estate, w.rng("aws"), w.estate.cloud
	for _, h := range append(append([]*host{}, e.webs...), e.linux[3:5]...) { // applications read and write objects
		by := h.roleSession()
		every(r, w.clock(0, 1), w.clock(23, 59), 2*time.Minute, func(at time.Time) {
			bucket := pick(r, e.buckets[:2])
			name := "GetObject"
			if r.IntN(5) == 0 {
				name = "PutObject"
			}
			c.object(at, by, "192.0.2."+number(80+len(h.name)), sdkAgent, name, bucket, "objects/"+hexOf(r, 8)+".json")
		})
		every(r, w.clock(0, 1), w.clock(23, 59), time.Hour, func(at time.Time) {
			c.call(at, call{by: caller{service: "ec2.amazonaws.com"}, ip: "ec2.amazonaws.com", agent: "ec2.amazonaws.com", service: "sts", name: "AssumeRole",
				request:  `{"roleArn":"arn:aws:iam::` + account + `:role/` + h.role + `","roleSessionName":"` + h.instance + `"}`,
				response: `{"credentials":{"accessKeyId":"` + by.key + `","expiration":"` + at.Add(6*time.Hour).Format(time.RFC3339) + `"},"assumedRoleUser":{"arn":"` + by.arn() + `"}}`})
		})
	}
	ci := caller{user: "ci-deployer", key: "AKIA" + letters(r, 16)}
	every(r, w.clock(7, 30), w.clock(18, 30), 12*time.Minute, func(at time.Time) {
		c.call(at, call{by: ci, ip: "192.0.2.86", agent: ciAgent, service: "sts", name: "GetCallerIdentity"})
		for n, k := range [][2]string{{"ec2", "DescribeInstances"}, {"ec2", "DescribeSecurityGroups"}, {"ec2", "DescribeSubnets"}, {"iam", "GetRole"}, {"iam", "ListRolePolicies"}, {"s3", "GetBucketPolicy"}, {"elasticloadbalancing", "DescribeLoadBalancers"}, {"autoscaling", "DescribeAutoScalingGroups"}} {
			c.call(at.Add(time.Duration(n)*300*time.Millisecond), call{by: ci, ip: "192.0.2.86", agent: ciAgent, service: k[0], name: k[1], request: `{}`})
		}
		if r.IntN(4) == 0 {
			c.object(at.Add(4*time.Second), ci, "192.0.2.86", ciAgent, "PutObject", e.buckets[3], "releases/app-"+hexOf(r, 8)+".tgz")
		}
	})
	for n, name := range []string{"holger.ops", "yvonne.ops"} { // administrators in the console
		by := caller{user: name, key: "ASIA" + letters(r, 16)}
		at := w.clock(9+4*n, 10).Add(between(r, 0, time.Hour))
		c.call(at, call{by: caller{user: name}, ip: officeIP, agent: consoleAgent, service: "signin", name: "ConsoleLogin", response: `{"ConsoleLogin":"Success"}`, write: true})
		for range 60 {
			at = at.Add(between(r, 2*time.Second, 80*time.Second))
			k := pick(r, [][2]string{{"ec2", "DescribeInstances"}, {"cloudtrail", "DescribeTrails"}, {"monitoring", "DescribeAlarms"}, {"iam", "ListUsers"}, {"iam", "ListAccessKeys"}, {"s3", "ListBuckets"}, {"rds", "DescribeDBInstances"}, {"cloudtrail", "LookupEvents"}})
			c.call(at, call{by: by, ip: officeIP, agent: consoleAgent, service: k[0], name: k[1], request: `{}`})
		}
	}
	trail := caller{service: "cloudtrail.amazonaws.com"}
	every(r, w.clock(0, 5), w.clock(23, 55), 10*time.Minute, func(at time.Time) {
		c.call(at, call{by: trail, ip: "cloudtrail.amazonaws.com", agent: "cloudtrail.amazonaws.com", service: "s3", name: "GetBucketAcl", request: `{"bucketName":"` + e.buckets[4] + `"}`})
	})
}

// identityDay is signing in, mail and files.
func (w *world) identityDay() {
	e, o := w.estate, w.estate.office
	for i, p := range e.people {
		r := w.rng("cloud work " + p.login)
		ip := officeIP
		if i%6 == 1 {
			ip = "192.0.2." + number(120+i) // from home
		}
		from := w.clock(7, 40).Add(between(r, 0, 80*time.Minute))
		if r.IntN(8) == 0 {
			o.signIn(from.Add(-20*time.Second), p, mailApp, ip, "DE", browserAgent, 50126)
		}
		every(r, from, w.clock(17, 30), 70*time.Minute, func(at time.Time) {
			app := mailApp
			if r.IntN(4) == 0 {
				app = portalApp
			}
			o.signIn(at, p, app, ip, "DE", browserAgent, 0)
		})
		every(r, from, w.clock(17, 30), 25*time.Minute, func(at time.Time) {
			o.mail(at, p, ip, pick(r, []string{"Client=OWA;Mozilla/5.0", "Client=MSExchangeRPC", "Client=Hub Transport"}), "00000002-0000-0ff1-ce00-000000000000", 1+r.IntN(20))
		})
		every(r, from, w.clock(17, 30), 50*time.Minute, func(at time.Time) {
			o.document(at, p, ip, pick(r, []string{"FileAccessed", "FileModified", "FileDownloaded"}), pick(r, []string{"plan", "budget", "protocol"})+number(r.IntN(90))+".xlsx")
		})
		if i%13 == 5 { // a rule that sorts, and an application somebody connects
			o.command(from.Add(2*time.Hour), p, ip, "New-InboxRule", p.upn()+`\Newsletters`, namedValue{"Name", "Newsletters"}, namedValue{"SubjectContainsWords", "newsletter"}, namedValue{"MoveToFolder", "News"})
			o.audit(from.Add(3*time.Hour), p, ip, "Consent to application", "ApplicationManagement", target{ID: rowID(w.day, "calendar"), Name: "Calendar Helper", Type: "ServicePrincipal",
				Properties: []property{{"ConsentContext.IsAdminConsent", "", "\"False\""}, {"ConsentAction.Permissions", "", "\"Scope: User.Read Calendars.Read\""}}})
		}
	}
}

// wireDay is the rest of what the sensor sees.
func (w *world) wireDay() {
	e, r := w.estate, w.rng("wire")
	for _, h := range e.workstations {
		every(r, w.clock(7, 10), w.clock(18, 50), 5*time.Minute, func(at time.Time) {
			e.sensor.flow(at, flow{src: h.ip, srcPort: 49200 + r.IntN(16000), dst: e.dcs[r.IntN(2)].ip, dstPort: 53, udp: true, sent: 40 + r.IntN(30), got: 90 + r.IntN(200), lasted: between(r, time.Millisecond, 30*time.Millisecond)})
		})
		every(r, w.clock(7, 40), w.clock(18, 0), 40*time.Minute, func(at time.Time) {
			e.sensor.request(at, request{src: h.ip, srcPort: 49200 + r.IntN(16000), dst: "198.51.100.211", dstPort: 80, method: "GET", host: "ocsp.trust.example", uri: "/MFEwTzBNMEswSTAJBgUrDgMCGgUABBT", agent: "Microsoft-CryptoAPI/10.0", mime: "application/ocsp-response", status: 200, size: 471})
		})
		if r.IntN(4) == 0 {
			e.sensor.request(w.clock(10, 0).Add(between(r, 0, 5*time.Hour)), request{src: h.ip, srcPort: 49200 + r.IntN(16000), dst: "198.51.100.212", dstPort: 80, method: "GET", host: "downloads.printer.example", uri: "/drivers/setup-" + number(r.IntN(40)) + ".cab", agent: browserAgent, mime: "application/vnd.ms-cab-compressed", status: 200, size: 3000000 + r.IntN(9000000)})
		}
	}
	for _, h := range e.webs { // customers
		every(r, w.clock(0, 1), w.clock(23, 59), 45*time.Second, func(at time.Time) {
			e.sensor.request(at, request{src: fmt.Sprintf("203.0.113.%d", 1+r.IntN(110)), srcPort: 30000 + r.IntN(30000), dst: h.ip, dstPort: 80, method: "GET", host: "shop.corp.example", uri: pick(r, []string{"/", "/products", "/cart", "/static/app.js", "/login"}), agent: consoleAgent, mime: "text/html", status: 200, size: 2000 + r.IntN(60000)})
		})
	}
}
