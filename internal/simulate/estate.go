package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The names of the organisation.
const (
	dnsDomain = "corp.example"
	netbios   = "CORP"
	account   = "111122223333" // the AWS account, from AWS's own documentation
	region    = "eu-central-1"
	tenant    = "6f1c2d3e-0000-4000-8000-00000000c0de"
	domainSID = "S-1-5-21-1004336348-1177238915-682003330"
)

// A host is one machine.
type host struct {
	w    *world
	name string // as it calls itself: WKS-014, web01
	fqdn string
	ip   string
	rng  *rand.Rand
	pid  int
	seen int // sequence of its audit events and Sysmon's GUIDs

	// Windows
	log      *logFile
	audit    bool // process creation is audited (4688) besides Sysmon
	machine  string
	shift    time.Duration // added to the header's stamp: an exporter that takes local time for UTC
	drift    time.Duration // added to every stamp of its own: its clock is wrong
	system   *proc
	services *proc
	svchost  *proc
	lsass    *proc
	desktop  *session // of the person who works at it
	outlook  *proc    // their mail program
	browser  *proc

	// Linux
	authLog, sysLog, auditLog *logFile
	taken                     map[int]bool // process numbers of the day
	instance                  string       // its id in the cloud
	role                      string       // the instance's IAM role
	sessions                  int
}

// A person works in the organisation.
type person struct {
	login, full string
	sid         string
	id          string // in the identity provider
	pc          *host
	admin       bool
}

func (p *person) upn() string { return p.login + "@" + dnsDomain }

// The estate is everything that is there before the day begins.
type estate struct {
	people       []*person
	admins       []*person // accounts for administration, beside their owners' own
	workstations []*host
	servers      []*host // Windows servers without a role here
	dcs          []*host
	files        *host
	bastion      *host
	webs         []*host
	linux        []*host // all of them
	buckets      []string
	sensor       *zeekSensor
	cloud        *cloud
	office       *office
}

var givenNames = []string{"anna", "ben", "carla", "david", "elena", "felix", "greta", "hugo", "ines", "jan", "katja", "leo", "mara", "nils", "olga",
	"paul", "rosa", "sven", "tilda", "viktor"}

var familyNames = []string{"adler", "brandt", "conrad", "dietz", "ebert", "fuchs", "graf", "holm", "ivers", "jung", "keller", "lorenz", "maurer",
	"nolte", "otto", "peters", "roth", "sommer", "thiel", "vogt", "weber", "zander"}

// newEstate builds machines, people and cloud.
func newEstate(w *world) *estate {
	e := &estate{}
	r := w.rng("estate")
	beat := w.file("windows/winlogbeat.ndjson", winlogbeatFormat{})
	for i := 1; i <= 40; i++ {
		h := w.windowsHost(fmt.Sprintf("WKS-%03d", i), fmt.Sprintf("10.10.%d.%d", 1+i/21, 20+i))
		h.log = beat
		if i > 30 { // a branch office whose logs are exported host by host
			h.log = w.file("windows/branch/"+h.name+".xml", winXMLFormat{})
		}
		e.workstations = append(e.workstations, h)
	}
	e.workstations[r.IntN(28)+1].drift = between(r, 70*time.Second, 170*time.Second).Truncate(time.Second)
	for i, name := range []string{"SRV-APP1", "SRV-SQL1", "SRV-PRINT1", "SRV-MGMT1"} {
		h := w.windowsHost(name, fmt.Sprintf("10.10.10.%d", 31+i))
		h.log, h.audit = beat, true
		if name == "SRV-APP1" {
			h.log = w.file("windows/evtx_dump/"+h.name+".json", evtxDumpFormat{})
		}
		e.servers = append(e.servers, h)
	}
	for i := 1; i <= 2; i++ {
		h := w.windowsHost(fmt.Sprintf("DC%02d", i), fmt.Sprintf("10.10.10.%d", 9+i))
		h.log, h.audit = beat, true
		e.dcs = append(e.dcs, h)
	}
	e.files = w.windowsHost("FS01", "10.10.10.20")
	e.files.log, e.files.audit = w.file("windows/FS01.xml", winXMLFormat{}), true
	e.files.shift = time.Hour // its exporter writes local time and calls it UTC

	used := map[string]bool{}
	for i, pc := range e.workstations {
		given, family := pick(r, givenNames), pick(r, familyNames)
		for used[given+family] {
			given, family = pick(r, givenNames), pick(r, familyNames)
		}
		used[given+family] = true
		p := &person{login: given + "." + family, full: title(given) + " " + title(family), sid: fmt.Sprintf("%s-%d", domainSID, 1601+i), id: uuid(r), pc: pc}
		e.people = append(e.people, p)
		if i < 3 {
			e.admins = append(e.admins, &person{login: "adm-" + family, full: p.full + " (admin)", sid: fmt.Sprintf("%s-%d", domainSID, 1201+i), id: uuid(r), pc: pc, admin: true})
		}
	}
	for i, name := range []string{"bastion", "web01", "web02", "app01", "app02", "db01", "ci01", "log01"} {
		h := w.linuxHost(name, fmt.Sprintf("10.20.0.%d", 10+i))
		e.linux = append(e.linux, h)
	}
	e.bastion, e.webs = e.linux[0], e.linux[1:3]
	e.buckets = []string{"corp-example-customers", "corp-example-web-assets", "corp-example-backups", "corp-example-ci-artifacts", "corp-example-trail"}
	e.sensor = &zeekSensor{w: w, conn: w.file("zeek/conn.log", zeekFormat{connLog}), http: w.file("zeek/http.log", zeekFormat{httpLog})}
	e.cloud = &cloud{w}
	e.office = &office{w: w, signIns: w.file("entra/signin.ndjson", lineFormat{}),
		audits: w.file("entra/audit.ndjson", lineFormat{}), unified: w.file("m365/unified_audit.ndjson", lineFormat{})}
	return e
}

// server returns the Windows server of that name.
func (e *estate) server(name string) *host {
	for _, h := range e.servers {
		if h.name == name {
			return h
		}
	}
	return e.files
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// windowsHost makes a machine that has been running since the weekend.
func (w *world) windowsHost(name, ip string) *host {
	h := &host{w: w, name: name, fqdn: name + "." + dnsDomain, ip: ip, rng: w.rng("host " + name)}
	h.pid = 4 * (200 + h.rng.IntN(100))
	h.machine = hexOf(h.rng, 8)
	boot := w.day.Add(-time.Duration(20+h.rng.IntN(40)) * time.Hour)
	system := identity{name: "SYSTEM", domain: "NT AUTHORITY", sid: "S-1-5-18", logon: 0x3e7, integrity: "System"}
	const s32 = `C:\Windows\System32\`
	h.system = h.newProc(boot, nil, "System", "", system)
	h.system.pid = 4
	wininit := h.newProc(boot.Add(2*time.Second), h.system, s32+"wininit.exe", "wininit.exe", system)
	h.services = h.newProc(boot.Add(3*time.Second), wininit, s32+"services.exe", s32+"services.exe", system)
	h.lsass = h.newProc(boot.Add(3*time.Second), wininit, s32+"lsass.exe", s32+"lsass.exe", system)
	h.svchost = h.newProc(boot.Add(5*time.Second), h.services, s32+"svchost.exe", s32+"svchost.exe -k netsvcs -p -s Schedule", system)
	return h
}

// linuxHost makes a Linux server in the cloud.
func (w *world) linuxHost(name, ip string) *host {
	h := &host{w: w, name: name, fqdn: name, ip: ip, rng: w.rng("host " + name)}
	h.pid = 1500 + h.rng.IntN(900)
	h.taken = map[int]bool{}
	h.seen = 1000 + h.rng.IntN(9000)
	h.sessions = 100 + h.rng.IntN(300)
	h.instance = "i-0" + hexOf(h.rng, 16)
	h.role = name[:len(name)-2] + "-instance-role"
	if name == "bastion" {
		h.role = "bastion-instance-role"
	}
	h.authLog = w.file("linux/"+name+"/auth.log", lineFormat{})
	h.sysLog = w.file("linux/"+name+"/syslog", lineFormat{})
	h.auditLog = w.file("linux/"+name+"/audit.log", auditFormat{})
	return h
}
