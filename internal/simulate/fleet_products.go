package simulate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A finding is something that one product found, not yet in its form.
type finding struct {
	at      time.Time
	by      product
	what    string // name of the sign
	on      *machine
	user    *employee
	login   string // an account of Linux
	image   string
	command string
	hash    string // SHA-256
	pid     string // of the process, where it is known
	src     string // the other address, where it is the origin
	dst     string // and where it is the aim
	domain  string
	mail    string // a mailbox
	role    string // of AWS
	keyUser string // the IAM user of key
	key     string // of AWS
	bucket  string
	pod     string // namespace/name
	secret  string // name of a secret of Kubernetes
	of      belonging
}

// processID is the number of the process, or a likely one.
func (f *finding) processID(likely int) int {
	if n, err := strconv.Atoi(f.pid); err == nil {
		return n
	}
	return likely
}

type object map[string]any

// render makes the record that the product writes. number is the organisation's own
// number of the alert, stamp the product's clock.
func (g *org) render(f *finding, number int, stamp time.Time) []byte {
	s := g.f.signs[f.what]
	var o object
	switch f.by {
	case crowdstrike:
		o = g.crowdstrikeAlert(f, &s, number, stamp)
	case wazuh:
		o = g.wazuhAlert(f, &s, number, stamp)
	case suricata:
		o = g.suricataAlert(f, &s, number, stamp)
	case guardduty:
		o = g.guarddutyFinding(f, &s, number, stamp)
	case falco:
		o = g.falcoAlert(f, &s, number, stamp)
	default:
		o = g.graphAlert(f, &s, number, stamp)
	}
	src, err := json.Marshal(o)
	if err != nil {
		panic("simulate: an alert that does not marshal: " + err.Error()) // a mistake in this package
	}
	return src
}

// alertID is an id of the form that most products use.
func (g *org) alertID(number int) string {
	s := digest(fmt.Sprint(g.f.opt.Seed, g.n, number), 32)
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-a" + s[17:20] + "-" + s[20:]
}

// graphAlert is an alert of Defender XDR in the form of Microsoft Graph's
// alerts_v2 (learn.microsoft.com/graph/api/resources/security-alert).
func (g *org) graphAlert(f *finding, s *sign, number int, at time.Time) object {
	source, detection := "microsoftDefenderForEndpoint", "microsoftDefenderForEndpoint"
	switch f.by {
	case identity365:
		source, detection = "microsoftDefenderForIdentity", "microsoftDefenderForIdentity"
		if f.on == nil {
			source, detection = "azureAdIdentityProtection", "azureAdIdentityProtection"
		}
	case mail365:
		source, detection = "microsoftDefenderForOffice365", "microsoftDefenderForOffice365"
	}
	evidence := []object{}
	add := func(kind string, o object) {
		o["@odata.type"] = "#microsoft.graph.security." + kind
		evidence = append(evidence, o)
	}
	if f.on != nil {
		add("deviceEvidence", object{"deviceDnsName": strings.ToLower(f.on.fqdn), "mdeDeviceId": f.on.device, "osPlatform": "Windows11"})
	}
	if u := f.user; u != nil {
		add("userEvidence", object{"userAccount": object{"accountName": u.login, "domainName": g.short, "userPrincipalName": u.upn(), "userSid": u.sid, "azureAdUserId": u.id}})
	}
	if f.image != "" {
		add("processEvidence", object{"imageFile": object{"fileName": base(f.image), "filePath": strings.TrimSuffix(dirOf(f.image), `\`), "sha256": f.hash}, "processCommandLine": f.command, "processId": f.processID(1000 + number%30000*4)})
	}
	for _, ip := range []string{f.src, f.dst} {
		if ip != "" {
			add("ipEvidence", object{"ipAddress": ip})
		}
	}
	if f.domain != "" {
		add("urlEvidence", object{"url": "https://" + f.domain + "/"})
	}
	if f.mail != "" {
		add("mailboxEvidence", object{"primaryAddress": f.mail})
	}
	techniques := []string{}
	if s.technique != "" {
		techniques = append(techniques, s.technique)
	}
	stamp := at.Format("2006-01-02T15:04:05.0000000Z")
	return object{"id": "da" + g.alertID(number), "providerAlertId": g.alertID(number), "serviceSource": source, "detectionSource": detection, "detectorId": "local-" + f.what,
		"title": s.says[f.by], "severity": [...]string{"informational", "low", "medium", "high", "high"}[s.level], "category": titleCase(s.tactic), "status": "new", "classification": nil,
		"mitreTechniques": techniques, "createdDateTime": at.Add(4 * time.Minute).Format("2006-01-02T15:04:05.0000000Z"), "firstActivityDateTime": stamp, "lastActivityDateTime": stamp, "tenantId": g.tenantID(), "evidence": evidence}
}

// tenantID is the id of the organisation's directory.
func (g *org) tenantID() string {
	return tenant[:len(tenant)-4] + fmt.Sprintf("%04x", 0xc0de+g.n)
}

// titleCase makes CredentialAccess of credential-access.
func titleCase(tactic string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(tactic, "-") {
		if part != "" {
			b.WriteString(title(part))
		}
	}
	return b.String()
}

// crowdstrikeAlert is a detection as Falcon's event stream has it.
func (g *org) crowdstrikeAlert(f *finding, s *sign, number int, at time.Time) object {
	e := object{"CompositeId": "c:" + g.alertID(number), "DetectName": s.says[crowdstrike], "DetectDescription": s.says[crowdstrike], "PatternId": 41000 + s.n, "ComputerName": f.on.name, "AgentId": f.on.device[:32],
		"MachineDomain": g.short, "LocalIP": f.on.ip, "Severity": [...]int{1, 2, 3, 4, 5}[s.level], "SeverityName": [...]string{"Informational", "Low", "Medium", "High", "Critical"}[s.level],
		"Tactic": strings.ReplaceAll(titleCase(s.tactic), "And", " and "), "ProcessStartTime": at.Unix()}
	if s.technique != "" {
		e["MitreAttack"] = []object{{"TechniqueID": s.technique}}
	}
	if f.user != nil {
		e["UserName"] = f.user.login
	}
	if f.image != "" {
		e["FileName"], e["FilePath"], e["SHA256String"], e["CommandLine"] = base(f.image), f.image, f.hash, f.command
	}
	if f.dst != "" {
		e["NetworkAccesses"] = []object{{"RemoteAddress": f.dst, "RemotePort": 443, "Protocol": "TCP"}}
	}
	return object{"metadata": object{"eventType": "EppDetectionSummaryEvent", "eventCreationTime": at.Add(20 * time.Second).UnixMilli(), "offset": number, "customerIDString": digest(g.domain, 32), "version": "1.0"}, "event": e}
}

// wazuhAlert is a line of alerts.json of Wazuh's manager.
func (g *org) wazuhAlert(f *finding, s *sign, number int, at time.Time) object {
	rule := object{"id": fmt.Sprint(100100 + s.n), "level": [...]int{3, 5, 9, 12, 15}[s.level], "description": s.says[wazuh], "groups": []string{"local"}, "firedtimes": 1}
	if s.technique != "" {
		rule["mitre"] = object{"id": []string{s.technique}, "tactic": []string{strings.ReplaceAll(s.tactic, "-", " ")}}
	}
	o := object{"id": fmt.Sprintf("%d.%d", at.Unix(), 40000+number), "timestamp": at.Format("2006-01-02T15:04:05.000+0000"), "rule": rule, "manager": object{"name": "wazuh01"},
		"agent": object{"id": fmt.Sprintf("%04d", 1+f.on.n), "name": f.on.name, "ip": f.on.ip}, "location": "journald"}
	data := object{}
	if f.src != "" {
		data["srcip"] = f.src
	}
	if f.login != "" {
		data["srcuser"] = f.login
	}
	if f.user != nil {
		data["srcuser"] = f.user.login
	}
	if f.what == "file-changed" || f.what == "web-shell" {
		o["syscheck"] = object{"path": f.image, "sha256_after": f.hash, "event": "modified"}
	} else if f.command != "" {
		data["command"] = f.command
	}
	o["data"] = data
	return o
}

// suricataAlert is an alert in EVE JSON. What is exchanged between two machines has
// the attacker's side as its source.
func (g *org) suricataAlert(f *finding, s *sign, number int, at time.Time) object {
	src, dst := f.src, f.dst
	if f.on != nil && src == "" {
		src = f.on.ip
	}
	if f.on != nil && dst == "" {
		dst = f.on.ip
	}
	alert := object{"action": "allowed", "gid": 1, "signature_id": 1000100 + s.n, "rev": 1, "signature": s.says[suricata], "category": "Misc activity", "severity": [...]int{4, 3, 2, 1, 1}[s.level]}
	if s.level > note {
		alert["category"] = "Potentially Bad Traffic"
	}
	if s.technique != "" {
		alert["metadata"] = object{"mitre_technique_id": []string{s.technique}, "mitre_tactic_name": []string{strings.ReplaceAll(s.tactic, "-", "_")}}
	}
	o := object{"timestamp": at.Format("2006-01-02T15:04:05.000000+0000"), "flow_id": 100000000000 + number, "event_type": "alert", "host": "ids01", "src_ip": src, "src_port": 49152 + number%16000, "dest_ip": dst, "dest_port": 443, "proto": "TCP", "alert": alert}
	if f.domain != "" {
		o["tls"] = object{"sni": f.domain, "version": "TLS 1.3"}
	}
	return o
}

// guarddutyFinding is a finding as EventBridge and the export to S3 have it.
func (g *org) guarddutyFinding(f *finding, s *sign, number int, at time.Time) object {
	resource := object{"resourceType": "AccessKey"}
	remote := object{"ipAddressV4": f.src, "country": object{"countryName": "Elsewhere"}}
	action := object{"actionType": "AWS_API_CALL", "awsApiCallAction": object{"api": "Many", "serviceName": "iam.amazonaws.com", "callerType": "Remote IP", "remoteIpDetails": remote}}
	switch {
	case f.role != "":
		id := "AROA" + awsID(digest(g.account+f.role, 17))
		details := object{"accessKeyId": f.key, "principalId": id + ":session", "userName": f.role, "userType": "AssumedRole"}
		if f.on != nil {
			details["principalId"] = id + ":" + f.on.instance
		}
		resource["accessKeyDetails"] = details
	case f.keyUser != "":
		resource["accessKeyDetails"] = object{"accessKeyId": f.key, "principalId": "AIDA" + awsID(digest(g.account+f.keyUser, 17)), "userName": f.keyUser, "userType": "IAMUser"}
	default:
		resource = object{"resourceType": "Instance"}
		action = object{"actionType": "NETWORK_CONNECTION", "networkConnectionAction": object{"connectionDirection": "INBOUND", "protocol": "TCP", "blocked": false, "localPortDetails": object{"port": 22}, "remoteIpDetails": remote}}
	}
	if f.on != nil {
		resource["instanceDetails"] = object{"instanceId": f.on.instance, "instanceType": "m7i.large", "networkInterfaces": []object{{"privateIpAddress": f.on.ip, "networkInterfaceId": "eni-0" + f.on.instance[3:]}}}
	}
	if f.bucket != "" {
		resource["s3BucketDetails"] = []object{{"name": f.bucket, "arn": "arn:aws:s3:::" + f.bucket}}
	}
	stamp := at.Format(time.RFC3339)
	return object{"schemaVersion": "2.0", "accountId": g.account, "region": region, "id": digest(g.alertID(number), 32), "type": s.says[guardduty], "severity": [...]float64{1, 2, 5, 8, 9.5}[s.level],
		"title": s.says[guardduty], "createdAt": at.Add(10 * time.Minute).Format(time.RFC3339), "resource": resource,
		"service": object{"serviceName": "guardduty", "detectorId": digest(g.account, 32), "eventFirstSeen": stamp, "eventLastSeen": stamp, "archived": false, "count": 1, "action": action}}
}

// falcoAlert is an alert in Falco's JSON output.
func (g *org) falcoAlert(f *finding, s *sign, number int, at time.Time) object {
	fields := object{}
	tags := []string{"host"}
	if s.tactic != "" {
		tags = append(tags, "mitre_"+strings.ReplaceAll(s.tactic, "-", "_"))
	}
	if s.technique != "" {
		tags = append(tags, s.technique)
	}
	source := "syscall"
	if f.pod != "" {
		ns, name, _ := strings.Cut(f.pod, "/")
		fields["k8s.ns.name"], fields["k8s.pod.name"], fields["container.id"] = ns, name, digest(g.domain+f.pod, 12)
	}
	if f.login != "" {
		fields["user.name"] = f.login
	}
	if f.image != "" {
		fields["proc.name"], fields["proc.exepath"], fields["proc.cmdline"], fields["proc.pid"] = base(f.image), f.image, f.command, f.processID(2000+number%28000)
	}
	if f.dst != "" {
		fields["fd.sip"] = f.dst
	}
	o := object{"uuid": g.alertID(number), "time": at.Format("2006-01-02T15:04:05.000000000Z"), "rule": s.says[falco], "priority": [...]string{"Informational", "Notice", "Warning", "Critical", "Alert"}[s.level],
		"output": s.says[falco], "hostname": f.on.name}
	if f.secret != "" {
		source = "k8s_audit"
		ns, _, _ := strings.Cut(f.pod, "/")
		fields = object{"ka.user.name": "system:serviceaccount:" + ns + ":" + f.login, "ka.target.resource": "secrets", "ka.target.namespace": ns, "ka.target.name": f.secret, "ka.verb": "get"}
	}
	o["source"], o["tags"], o["output_fields"] = source, tags, fields
	return o
}
