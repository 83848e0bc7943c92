package report

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// hostile is a name as an attacker would choose it: markup, a formula, a
// terminal escape, a bidirectional override, a template action and a C1 control.
const hostile = "<script>alert(1)</script>'\"\x1b[2J\u202egnp.exe{{.}}\u009b31m</style><img src=x onerror=alert(2)>"

var names = Options{
	TechniqueName: func(id string) string {
		return map[string]string{"T1566.001": "Spearphishing Attachment", "T1059.001": "PowerShell", "T1547.001": "Registry Run Keys / Startup Folder",
			"T1003.001": "LSASS Memory", "T1021.002": "SMB/Windows Admin Shares", "T1569.002": "Service Execution", "T1685.005": "Clear Windows Event Logs",
			"T1003.006": "DCSync", "T1486": "Data Encrypted for Impact", "T1490": "Inhibit System Recovery", "T1071.001": "Web Protocols",
			"T1110.003": "Password Spraying", "T1078.004": "Cloud Accounts", "T1552.005": "Cloud Instance Metadata API", "T1580": "Cloud Infrastructure Discovery",
			"T1619": "Cloud Storage Object Discovery", "T1530": "Data from Cloud Storage", "T1098.001": "Additional Cloud Credentials",
			"T1190": "Exploit Public-Facing Application", "T1567.002": "Exfiltration to Cloud Storage"}[id]
	},
}

// build makes a report by hand, act by act.
type build struct {
	day    time.Time
	alerts []model.Alert
}

func (b *build) at(clock string) time.Time {
	d, err := time.ParseDuration(clock)
	if err != nil {
		panic(err)
	}
	return b.day.Add(d)
}

func ent(t model.EntityType, r model.Role, v string) model.Entity {
	return model.Entity{Type: t, Role: r, Value: v}
}

func proc(r model.Role, guid, image string) model.Entity {
	return model.Entity{Type: model.Process, Role: r, Value: guid, Name: image}
}

func (b *build) alert(clock, title string, sev model.Severity, tactic, technique string, in model.Intent, st model.Stage, cs model.CloudStep, es ...model.Entity) string {
	t := b.at(clock)
	a := model.Alert{Time: t, End: t.Add(3 * time.Second), Count: 1, Product: "windows", Format: "evtx", Subsystem: model.Compute, Severity: sev,
		Rule:       model.RuleInfo{ID: fmt.Sprintf("7d1c%04d", len(b.alerts)), Title: title, Level: sev, Source: "builtin"},
		Techniques: []string{technique}, Tactics: []string{tactic}, Stage: st, CloudStep: cs, Entities: es,
		Intent: model.AlertIntent{Primary: in, All: []model.Intent{in}, Confidence: 0.9, Why: "tag attack." + technique + " on the rule"}}
	if cs != "" && st != model.StageObfuscation && len(es) > 0 && es[0].Type != model.Host {
		a.Product, a.Format = "aws", "cloudtrail"
	}
	a.ID = model.AlertID(a.Rule.ID, clock)
	raw, err := json.Marshal(map[string]any{"EventID": 1, "UtcTime": t.Format(time.RFC3339), "Rule": title, "CommandLine": "cmd.exe /c echo " + hostile})
	if err != nil {
		panic(err)
	}
	a.Evidence = []model.Evidence{{Input: "evidence.zip!mkt01.evtx", Record: int64(len(b.alerts) + 1), ID: fmt.Sprintf("e-%024d", len(b.alerts)), Event: raw}}
	b.alerts = append(b.alerts, a)
	return a.ID
}

// step tells alert id as a step.
func (b *build) step(inc *model.Incident, id, summary, host, user, from, to string, causes ...int) {
	a := &b.alerts[0]
	for i := range b.alerts {
		if b.alerts[i].ID == id {
			a = &b.alerts[i]
		}
	}
	iid := inc.ID
	a.Incident = &iid
	inc.Steps = append(inc.Steps, model.Step{N: len(inc.Steps) + 1, Time: a.Time, End: a.End, Tactic: a.Tactics[0], Technique: a.Techniques[0],
		Intent: a.Intent.Primary, Stage: a.Stage, CloudStep: a.CloudStep, Host: host, User: user, From: from, To: to, Summary: summary,
		Alerts: []string{id}, Events: []string{a.Evidence[0].ID}, CausedBy: causes, Why: a.Rule.Title})
	inc.Alerts = append(inc.Alerts, id)
	add(&inc.Tactics, a.Tactics[0])
	add(&inc.Techniques, a.Techniques[0])
	add(&inc.Stages, a.Stage)
	add(&inc.CloudSteps, a.CloudStep)
	for _, e := range a.Entities {
		inc.Entities = addView(inc.Entities, e, a)
	}
	inc.FirstSeen, inc.LastSeen = inc.Steps[0].Time, a.End
	if n := len(inc.Alerts); n > 1 {
		inc.Links = append(inc.Links, model.Link{From: inc.Alerts[n-2], To: id, Reason: model.SameProcessTree, Shared: "host:" + host, Bits: 14.2 - float64(n),
			Terms: map[string]float64{"rarity": 9.5, "time": 4.7 - float64(n)}, Detail: "Both ran in the tree of winword.exe within four minutes."})
	}
	inc.Summary = append(inc.Summary, model.Sentence{Text: summary, Cites: []string{id, a.Evidence[0].ID}})
}

func add[T comparable](list *[]T, v T) {
	for _, x := range *list {
		if x == v {
			return
		}
	}
	var zero T
	if v != zero {
		*list = append(*list, v)
	}
}

func addView(views []model.EntityView, e model.Entity, a *model.Alert) []model.EntityView {
	for i := range views {
		if views[i].Type == e.Type && views[i].Value == e.Value {
			views[i].LastSeen = a.End
			views[i].Alerts++
			add(&views[i].Roles, e.Role)
			return views
		}
	}
	return append(views, model.EntityView{Type: e.Type, Value: e.Value, Name: e.Name, Roles: []model.Role{e.Role}, FirstSeen: a.Time, LastSeen: a.End, Alerts: 1})
}

// sample is a report of two campaigns: a phished workstation that ends in
// ransomware on a file server, and a stolen cloud key that ends in an emptied
// bucket; with a lone alert, input errors, a wrong clock and hostile names.
func sample() *model.Report {
	b := &build{day: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)}
	win, aws := windowsIncident(b), awsIncident(b)
	alone := b.alert("4h12m9s", "Security event log cleared", model.High, "defense-impairment", "T1685.005", model.IntentDefenseEvasion, model.StageObfuscation, "",
		ent(model.Host, model.Subject, "kiosk7.corp.example"), ent(model.User, model.Actor, `corp\helpdesk`))
	first, last := b.at("7h"), b.at("13h30m")
	return &model.Report{
		Schema: model.ReportSchema,
		Engine: model.Engine{Version: "0.1.0", Rules: "64 rules, sha256:9f31c0de", AttackVersion: "19.1"},
		Inputs: []model.Input{
			{Path: "evidence.zip!mkt01.evtx", Format: "evtx", Bytes: 69 << 20, Events: 81204, First: &first, Last: &last, ClockOffset: -14400},
			{Path: "evidence.zip!cloudtrail/" + hostile + ".json.gz", Format: "cloudtrail", Bytes: 1 << 20, Events: 2210, Skipped: 3, First: &first, Last: &last,
				Errors: []model.InputError{{Offset: 882113, Record: 1207, Cause: "record is cut off after 312 bytes", Count: 3}}},
			{Path: "evidence.zip!readme.bin", Format: "unknown", Bytes: 912, Errors: []model.InputError{{Offset: -1, Cause: "format not recognised: starts with 7f 45 4c 46", Count: 1}}},
		},
		Totals:    model.Totals{Events: 83414, Alerts: len(b.alerts), Incidents: 2},
		Incidents: []model.Incident{win, aws},
		Alerts:    b.alerts,
		Alone:     []string{alone},
		Events:    []model.Evidence{{Input: "evidence.zip!mkt01.evtx", Record: 90, ID: "e-root", Event: json.RawMessage(`{"EventID":11,"TargetFilename":"C:\\Users\\a.ngo\\Downloads\\invoice.docm"}`)}},
		Notes: []string{"mkt01.corp.example: its clock ran 4 h ahead of the domain controller's; its times were corrected.",
			"No process creation events from fs02.corp.example: what ran there cannot be seen."},
	}
}

func windowsIncident(b *build) model.Incident {
	const mkt, dc, fs = "mkt01.corp.example", "dc01.corp.example", "fs02.corp.example"
	const ngo, svc = `corp\a.ngo`, `corp\svc-backup`
	h := func(n string) model.Entity { return ent(model.Host, model.Subject, n) }
	u := func(n string) model.Entity { return ent(model.User, model.Actor, n) }
	word, ps, dump, psexe := "mkt01:g1", "mkt01:g2", "mkt01:g3", "dc01:g4"
	inc := model.Incident{ID: model.IncidentID("w"), Title: "Phished workstation mkt01 led to domain controller dc01 and ransomware on fs02", Severity: model.Critical, Score: 96,
		Status: "new", ScoreTerms: []model.Term{{What: "crown jewel reached (dc01)", Bits: 8.1}, {What: "9 tactics in order", Bits: 11.4}, {What: "rare rules here", Bits: 6.9}}}
	id := b.alert("9h12m3s", "Office application wrote a macro document from mail", model.Medium, "initial-access", "T1566.001", model.IntentInitialAccess, model.StageIntrusion, model.StepAccess,
		h(mkt), u(ngo), proc(model.Actor, "mkt01:g0", `C:\Program Files\Microsoft Office\OUTLOOK.EXE`), ent(model.File, model.Object, mkt+`:c:\users\a.ngo\downloads\invoice.docm`))
	b.step(&inc, id, "Outlook on mkt01 saved invoice.docm, an attachment with macros, for a.ngo.", mkt, ngo, "", "")
	id = b.alert("9h12m41s", "Office application started PowerShell", model.High, "execution", "T1059.001", model.IntentExecution, model.StageExploitation, model.StepAccess,
		h(mkt), u(ngo), proc(model.Parent, word, `C:\Program Files\Microsoft Office\WINWORD.EXE`), proc(model.Subject, ps, `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`))
	b.step(&inc, id, "Word opened it and started PowerShell with an encoded command.", mkt, ngo, "", "", 1)
	id = b.alert("9h13m2s", "PowerShell reached the internet on an unusual port", model.Medium, "command-and-control", "T1071.001", model.IntentCommandAndControl, model.StageExploitation, model.StepAccess,
		h(mkt), u(ngo), proc(model.Actor, ps, `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`), ent(model.IP, model.Dst, "203.0.113.77"))
	b.step(&inc, id, "PowerShell spoke to 203.0.113.77 every 60 seconds from then on.", mkt, ngo, mkt, "203.0.113.77", 2)
	id = b.alert("9h20m30s", "Program added to a Run key", model.Medium, "persistence", "T1547.001", model.IntentPersistence, model.StageExploitation, model.StepAccess,
		h(mkt), u(ngo), proc(model.Actor, ps, `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`), ent(model.File, model.Object, mkt+`:c:\programdata\`+hostile))
	b.step(&inc, id, "It put "+hostile+" into a Run key, to start again with the user.", mkt, ngo, "", "", 2)
	id = b.alert("9h48m17s", "LSASS memory read by an unusual process", model.High, "credential-access", "T1003.001", model.IntentCredentialAccess, model.StagePrivilegeEscalation, model.StepLateralMovement,
		h(mkt), u(ngo), proc(model.Actor, dump, `C:\ProgramData\procdump64.exe`), proc(model.Target, "mkt01:lsass", `C:\Windows\System32\lsass.exe`), ent(model.File, model.Object, mkt+`:c:\programdata\lsass.dmp`))
	b.step(&inc, id, "procdump64.exe read the memory of lsass.exe; svc-backup was logged on there at the time.", mkt, ngo, "", "", 2)
	id = b.alert("9h48m19s", "Process dump tool started", model.Medium, "credential-access", "T1003.001", model.IntentCredentialAccess, model.StagePrivilegeEscalation, model.StepLateralMovement,
		h(mkt), u(ngo), proc(model.Parent, ps, `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`), proc(model.Subject, dump, `C:\ProgramData\procdump64.exe`))
	inc.Context = append(inc.Context, id)
	inc.Alerts = append(inc.Alerts, id)
	id = b.alert("10h31m5s", "Admin share reached with service account from a workstation", model.High, "lateral-movement", "T1021.002", model.IntentLateralMovement, model.StageLateralMovement, model.StepLateralMovement,
		h(dc), ent(model.IP, model.Src, "10.1.7.21"), ent(model.Host, model.Src, mkt), ent(model.User, model.Target, svc))
	b.step(&inc, id, "Eleven minutes later svc-backup logged on to dc01 from mkt01 and wrote to ADMIN$.", dc, svc, mkt, dc, 5)
	id = b.alert("10h31m9s", "Service started a program from a share", model.High, "execution", "T1569.002", model.IntentExecution, model.StageExploitation, model.StepLateralMovement,
		h(dc), u(svc), proc(model.Parent, "dc01:svc", `C:\Windows\System32\services.exe`), proc(model.Subject, psexe, `C:\Windows\PSEXESVC.exe`))
	b.step(&inc, id, "services.exe on dc01 started PSEXESVC.exe as svc-backup.", dc, svc, "", "", 6)
	id = b.alert("10h40m55s", "Directory replication asked by an account that is no controller", model.Critical, "credential-access", "T1003.006", model.IntentCredentialAccess, model.StagePrivilegeEscalation, model.StepLateralMovement,
		h(dc), u(svc), proc(model.Actor, psexe, `C:\Windows\PSEXESVC.exe`), ent(model.User, model.Target, `corp\krbtgt`))
	b.step(&inc, id, "It asked dc01 to replicate the secrets of krbtgt: every account of the domain is in the attacker's hands.", dc, svc, "", "", 7)
	id = b.alert("11h38m0s", "Shadow copies deleted", model.High, "impact", "T1490", model.IntentImpact, model.StageDenialOfService, model.StepActions,
		h(fs), u(svc), proc(model.Parent, "fs02:c", `C:\Windows\System32\cmd.exe`), proc(model.Subject, "fs02:v", `C:\Windows\System32\vssadmin.exe`))
	b.step(&inc, id, "vssadmin on fs02 deleted all shadow copies.", fs, svc, dc, fs, 8)
	for i, name := range []string{"lock.exe", "lock.exe", "lock.exe"} {
		id = b.alert(fmt.Sprintf("11h39m%ds", i), "Many files renamed in a short time", model.Critical, "impact", "T1486", model.IntentImpact, model.StageDenialOfService, model.StepActions,
			h(fs), u(svc), proc(model.Parent, "fs02:c", `C:\Windows\System32\cmd.exe`), proc(model.Subject, fmt.Sprint("fs02:l", i), `C:\Temp\`+name), ent(model.File, model.Object, fmt.Sprintf(`%s:d:\shares\%d\plan.xlsx.locked`, fs, i)))
		if i == 0 {
			b.step(&inc, id, "lock.exe encrypted 4,211 files on fs02.", fs, svc, "", "", 9)
		} else {
			inc.Alerts = append(inc.Alerts, id)
		}
	}
	inc.Steps[1].Arrived = inc.Steps[1].Time.Add(14 * time.Minute)
	inc.Chapters = []model.Chapter{
		{N: 1, Title: "Got in and ran programs on mkt01", Time: inc.Steps[0].Time, End: inc.Steps[4].End, Hosts: []string{mkt}, From: 1, To: 5, Text: "Word started PowerShell.", Cites: inc.Steps[1].Alerts},
		{N: 2, Title: "Moved on and did damage on dc01 and fs02 " + hostile, Time: inc.Steps[5].Time, End: inc.LastSeen, Hosts: []string{dc, fs}, From: 6, To: len(inc.Steps), Text: "Files were encrypted.", Cites: inc.Steps[len(inc.Steps)-1].Alerts},
	}
	inc.Silences = []model.Silence{{Host: dc, From: b.at("10h41m"), To: b.at("11h20m"), Ended: true, Steps: []int{8}, Why: "its longest other pause is 2 min", Cites: inc.Steps[7].Alerts}}
	inc.Clocks = &model.Clocks{Happened: inc.FirstSeen, FirstAlert: inc.FirstSeen, Arrived: inc.Steps[1].Arrived, Stamped: 1, Median: 840, Longest: 840}
	inc.Root = model.Root{Event: "e-root", Alert: inc.Steps[0].Alerts[0], Time: inc.Steps[0].Time, Entity: "process:mkt01:g0", Host: mkt, User: ngo,
		Process: `C:\Program Files\Microsoft Office\OUTLOOK.EXE`, Technique: "T1566.001", Why: "nothing before it led here: the document came by mail, and all later steps descend from it", Confidence: 0.87}
	inc.Impact = model.Impact{Summary: "The domain is lost: krbtgt was copied, and 4,211 files on fs02 are encrypted without shadow copies.",
		Compromised: []string{"host:" + mkt, "host:" + dc, "host:" + fs, "user:" + ngo, "user:" + svc, `user:corp\krbtgt`},
		Touched:     []string{"host:ws14.corp.example"}, Exposed: []string{"host:sql01.corp.example", `user:corp\administrator`}, Data: []string{`\\fs02\shares\finance`, `\\fs02\shares\hr`}}
	inc.Next = []model.NextStep{{Technique: "T1567.002", Tactic: "exfiltration", Probability: 0.41, Why: "follows encryption in 4 of 10 such chains; 203.0.113.77 is still connected"},
		{Technique: "T1685.005", Tactic: "defense-impairment", Probability: 0.22, Why: "svc-backup may clear logs on dc01 and has not yet"}}
	return inc
}

func awsIncident(b *build) model.Incident {
	const role, bucket = "arn:aws:iam::111122223333:role/web-app", "arn:aws:s3:::corp-payroll"
	const key = "ASIAEXAMPLEKEY000001"
	inc := model.Incident{ID: model.IncidentID("c"), Title: "Credentials of role web-app, used from outside, emptied bucket corp-payroll", Severity: model.High, Score: 71, Status: "new",
		ScoreTerms: []model.Term{{What: "data left the account", Bits: 9.3}, {What: "key used from a new network", Bits: 5.2}}}
	id := b.alert("7h2m0s", "Instance credentials used from outside the instance", model.High, "initial-access", "T1078.004", model.IntentInitialAccess, model.StageIntrusion, model.StepAccess,
		ent(model.IP, model.Src, "198.51.100.9"), ent(model.IAMRole, model.Actor, role), ent(model.AccessKey, model.Actor, key))
	b.step(&inc, id, "Keys of the web server's role web-app were used from 198.51.100.9, which is not the web server.", "", role, "198.51.100.9", role)
	id = b.alert("7h3m20s", "Cloud inventory listed by a role that never did", model.Medium, "discovery", "T1580", model.IntentDiscovery, model.StageLateralMovement, model.StepLateralMovement,
		ent(model.IP, model.Src, "198.51.100.9"), ent(model.AccessKey, model.Actor, key), ent(model.Resource, model.Target, "arn:aws:ec2:eu-west-1:111122223333:instance/*"))
	b.step(&inc, id, "It listed instances, then buckets, within a minute.", "", role, "", "", 1)
	id = b.alert("7h4m2s", "Access key created for another user", model.High, "persistence", "T1098.001", model.IntentPersistence, model.StageExploitation, model.StepAccess,
		ent(model.IP, model.Src, "198.51.100.9"), ent(model.AccessKey, model.Actor, key), ent(model.User, model.Target, "arn:aws:iam::111122223333:user/deploy"), ent(model.AccessKey, model.Target, "AKIAEXAMPLEKEY000002"))
	b.step(&inc, id, "It made a second key, for user deploy: removing the role's session will not end the access.", "", role, "", "", 1)
	id = b.alert("12h58m2s", "Many objects read from a bucket", model.High, "collection", "T1530", model.IntentCollection, model.StageExfiltration, model.StepActions,
		ent(model.IP, model.Src, "198.51.100.44"), ent(model.User, model.Actor, "arn:aws:iam::111122223333:user/deploy"), ent(model.AccessKey, model.Actor, "AKIAEXAMPLEKEY000002"), ent(model.Resource, model.Target, bucket))
	b.step(&inc, id, "Six hours later the new key read 1,904 objects of corp-payroll.", "", "arn:aws:iam::111122223333:user/deploy", "198.51.100.44", bucket, 3)
	inc.Root = model.Root{Alert: inc.Alerts[0], Time: inc.Steps[0].Time, Entity: "access_key:" + key, User: role, Technique: "T1078.004", Why: "the key was issued to the instance; how it left is not in the evidence", Confidence: 0.55}
	inc.Impact = model.Impact{Summary: "1,904 payroll objects were read from outside.", Compromised: []string{"role:" + role, "access_key:" + key, "user:arn:aws:iam::111122223333:user/deploy"},
		Touched: []string{"resource:" + bucket}, Data: []string{"s3://corp-payroll/2025/*", "s3://corp-payroll/2026/*"}}
	inc.Next = []model.NextStep{{Technique: "T1486", Tactic: "impact", Probability: 0.18, Why: "the key can also delete the objects it read"}}
	return inc
}
