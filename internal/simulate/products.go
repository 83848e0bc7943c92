package simulate

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// maxTold is how many acts of one step each product tells of at most: it groups
// what is alike.
const maxTold = 2

// A watch is the products that look at the same estate as its sensors do, and
// raise alerts about some of what these record: the same act told twice.
type watch struct {
	org   *org // which renders alerts; nobody lives there
	found int
	acts  map[string]*sameAct
}

func newWatch(seed uint64) *watch {
	f := newFleet(Options{Form: Alerts, Seed: seed, Hosts: minHosts, Days: 1, Scenarios: []string{Quiet}})
	return &watch{org: f.orgs[0], acts: map[string]*sameAct{}}
}

// A place is where a record of an unfinished file stands.
type place struct {
	file *logFile
	at   int
}

// tell raises the alerts about a step whose records stand at the given places.
func (w *world) tell(d deed, places []place) {
	told := map[product]int{}
	for _, p := range places {
		rec := &p.file.records[p.at]
		x := w.finding(rec)
		if x == nil {
			continue
		}
		for by := range products {
			name := w.watch.signFor(d.technique, by)
			if name == "" || told[by] == maxTold || !w.watches(by, x) {
				continue
			}
			told[by]++
			w.watch.found++
			if rec.mark.act == "" {
				rec.mark.act = "act " + number(w.watch.found)
			}
			x.by, x.what, x.at = by, name, rec.at
			mine := w.file(by.file(), lineFormat{})
			mine.records = append(mine.records, record{rec.at.Add(90 * time.Second), line(w.watch.org.render(x, w.watch.found, rec.at)), rec.mark})
		}
	}
}

// signFor is what a product calls a technique, "" if it does not know it.
func (w *watch) signFor(technique string, by product) string {
	var names []string
	for name, s := range w.org.f.signs {
		if s.technique == technique && s.says[by] != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// watches says whether a product sees such an act.
func (w *world) watches(by product, x *finding) bool {
	switch by {
	case identity365:
		return x.user != nil && (x.on == nil || x.image == "")
	case mail365:
		return x.mail != ""
	case guardduty:
		return x.key != ""
	case suricata:
		return false // the sensor on the wire is Zeek's
	}
	return x.on != nil && x.image != "" && w.watch.org.covers(by, x.on)
}

// finding is what a product can tell of a record, nil if nothing.
func (w *world) finding(rec *record) *finding {
	switch body := rec.body.(type) {
	case *winEvent:
		return w.windowsFinding(body)
	case *auditEvent:
		return linuxFinding(body)
	case *call:
		return &finding{role: body.by.role, keyUser: body.by.user, key: body.by.key, src: body.ip, bucket: body.bucket}
	case line:
		return w.officeFinding(body)
	}
	return nil
}

// windowsFinding tells of processes that start and connect, and of the directory.
func (w *world) windowsFinding(e *winEvent) *finding {
	v := map[string]string{}
	for _, f := range e.fields {
		v[f[0]] = f[1]
	}
	kind := station
	if !slices.Contains(w.estate.workstations, e.h) {
		kind = winServer
	}
	x := &finding{on: &machine{kind: kind, name: e.h.name, fqdn: e.h.fqdn, ip: e.h.ip, device: digest(e.h.fqdn, 40)}}
	switch {
	case e.kind == sysmonLog && e.id == 1:
		x.image, x.command, x.hash = v["Image"], v["CommandLine"], strings.ToLower(strings.TrimPrefix(v["Hashes"], "SHA256="))
		x.user, x.pid = w.employee(v["User"]), v["ProcessId"]
	case e.kind == sysmonLog && e.id == 3:
		x.image, x.dst, x.pid = v["Image"], v["DestinationIp"], v["ProcessId"]
		x.user = w.employee(v["User"])
	case e.kind == securityLog && e.id == 4662:
		x.user = w.employee(v["SubjectDomainName"] + `\` + v["SubjectUserName"])
	default:
		return nil
	}
	return x
}

// linuxFinding tells of programs that start.
func linuxFinding(e *auditEvent) *finding {
	if len(e.records) == 0 || !strings.Contains(e.records[0][1], "SYSCALL=execve") {
		return nil
	}
	x := &finding{on: &machine{kind: linuxServer, name: e.h.name, fqdn: e.h.fqdn, ip: e.h.ip, instance: e.h.instance}}
	for field := range strings.FieldsSeq(strings.ReplaceAll(e.records[0][1], "\x1d", " ")) {
		name, value, _ := strings.Cut(field, "=")
		switch value = strings.Trim(value, `"`); name {
		case "pid":
			x.pid = value
		case "exe":
			x.image, x.command = value, base(value)
		case "UID":
			x.login = value
		}
	}
	return x
}

// officeFinding tells of sign-ins and of mail.
func (w *world) officeFinding(l line) *finding {
	var row struct {
		UserPrincipalName, IPAddress                string
		UserID, ClientIPAddress, ClientIP, Workload string
		InitiatedBy                                 struct {
			User struct{ UserPrincipalName, IPAddress string }
		}
	}
	if json.Unmarshal([]byte(l), &row) != nil {
		return nil // a line of syslog
	}
	x := &finding{}
	for _, upn := range []string{row.UserPrincipalName, row.InitiatedBy.User.UserPrincipalName, row.UserID} {
		if x.user == nil {
			x.user = w.employee(upn)
		}
	}
	for _, ip := range []string{row.IPAddress, row.InitiatedBy.User.IPAddress, row.ClientIPAddress, row.ClientIP} {
		if x.src == "" {
			x.src, _, _ = strings.Cut(ip, ":")
		}
	}
	if x.user == nil {
		return nil
	}
	if row.Workload != "" || row.InitiatedBy.User.UserPrincipalName != "" {
		x.mail = x.user.upn()
	}
	return x
}

// employee is the person of that account, however it is written; nil for others.
func (w *world) employee(account string) *employee {
	_, login, domain := strings.Cut(account, `\`)
	if !domain {
		login, _, _ = strings.Cut(account, "@")
	}
	for _, p := range slices.Concat(w.estate.people, w.estate.admins) {
		if p.login == login {
			return &employee{login: p.login, full: p.full, sid: p.sid, id: p.id, org: w.watch.org}
		}
	}
	return nil
}

// same takes down that a record tells of an act.
func (w *watch) same(m mark, key string) {
	a := w.acts[m.act]
	if a == nil {
		a = &sameAct{Campaign: m.campaign.ID, Step: m.step}
		w.acts[m.act] = a
	}
	a.Records = append(a.Records, key)
}
