package simulate

// A product is what raises alerts.
type product int

const (
	defender    product = iota // for endpoints
	identity365                // of the directory
	mail365                    // of mail
	crowdstrike
	wazuh
	suricata
	guardduty
	falco
	products // how many there are
)

// file is where the alerts of a product are exported to.
func (p product) file() string {
	return [products]string{"alerts/defender_xdr.ndjson", "alerts/defender_xdr.ndjson", "alerts/defender_xdr.ndjson", "alerts/crowdstrike.ndjson", "alerts/wazuh.ndjson", "alerts/suricata.ndjson", "alerts/guardduty.ndjson", "alerts/falco.ndjson"}[p]
}

func (p product) String() string {
	return [products]string{"defender-endpoint", "defender-identity", "defender-office", "crowdstrike", "wazuh", "suricata", "guardduty", "falco"}[p]
}

// The levels of alerts, from which each product makes its own.
const (
	note = iota
	low
	medium
	high
	critical
)

// A sign is something that products find, each in its own words. A product without
// words for it does not find it.
type sign struct {
	technique, tactic string
	level             int
	says              map[product]string
	n                 int // numbers the rules of products that number them
}

// signs are all that can be found. False positives and attacks are told in the
// same signs: what tells them apart is never the name.
func signs() map[string]sign {
	out := map[string]sign{}
	add := func(name, technique, tactic string, level int, says map[product]string) {
		out[name] = sign{technique, tactic, level, says, len(out) + 1}
	}
	type in = map[product]string
	add("phish-mail", "T1566.002", "initial-access", low, in{mail365: "Message with a harmful link removed after delivery"})
	add("user-exec", "T1204.002", "execution", medium, in{defender: "Suspicious program run from a download folder", crowdstrike: "A program from the internet was run by its user"})
	add("new-hash", "T1204.002", "execution", low, in{defender: "Unsigned program with low prevalence", crowdstrike: "Program never seen before"})
	add("unwanted", "T1204.002", "execution", low, in{defender: "Potentially unwanted application detected"})
	add("beacon", "T1071.001", "command-and-control", medium, in{defender: "Repeated connections to a rare host", suricata: "LOCAL MALWARE TLS beacon to a rare name", crowdstrike: "Process calls a rare host at even intervals"})
	add("script", "T1059.001", "execution", medium, in{defender: "Suspicious PowerShell command line", crowdstrike: "Encoded PowerShell command", wazuh: "PowerShell was started with an encoded command"})
	add("look", "T1087.002", "discovery", low, in{defender: "Suspicious sequence of discovery commands", crowdstrike: "Accounts and groups of the domain were listed"})
	add("run-key", "T1547.001", "persistence", low, in{defender: "Anomaly in a key that starts programs", wazuh: "A program was added to those that start at logon"})
	add("task", "T1053.005", "persistence", low, in{defender: "Suspicious scheduled task", crowdstrike: "A scheduled task was created by a rare program"})
	add("uac", "T1548.002", "privilege-escalation", high, in{defender: "User account control was passed by", crowdstrike: "Elevation without consent"})
	add("lsass", "T1003.001", "credential-access", high, in{defender: "Suspicious access to the LSASS service", crowdstrike: "Memory of LSASS was read"})
	add("remote-service", "T1021.002", "lateral-movement", medium, in{defender: "Service installed from another machine", crowdstrike: "A service was started over SMB", suricata: "LOCAL POLICY executable over SMB to an administrative share"})
	add("remote-shell", "T1021.006", "lateral-movement", medium, in{defender: "Remote PowerShell session of an unusual origin", crowdstrike: "Commands were run through WinRM"})
	add("rdp", "T1021.001", "lateral-movement", low, in{defender: "Unusual remote desktop connection"})
	add("dcsync", "T1003.006", "credential-access", high, in{identity365: "Suspected replication of directory secrets"})
	add("dir-recon", "T1087.002", "discovery", medium, in{identity365: "Accounts enumerated in the directory"})
	add("archive", "T1560.001", "collection", medium, in{defender: "Archive with a password made of many files", crowdstrike: "Files were packed for removal"})
	add("upload", "T1567.002", "exfiltration", high, in{defender: "Data sent to a storage service by an unusual tool", suricata: "LOCAL POLICY large upload to a storage service"})
	add("av-off", "T1685", "defense-impairment", high, in{defender: "Protection was switched off", crowdstrike: "An attempt to stop security software"})
	add("shadows", "T1490", "impact", high, in{defender: "Backups of the system deleted", crowdstrike: "Shadow copies were deleted"})
	add("encrypt", "T1486", "impact", critical, in{defender: "Ransomware behaviour", crowdstrike: "Files are being encrypted"})
	add("log-clear", "T1685.005", "defense-impairment", medium, in{defender: "Event log was cleared", wazuh: "A Windows event log was cleared"})
	add("spray", "T1110.003", "credential-access", medium, in{identity365: "Password spray"})
	add("odd-sign-in", "T1078.004", "initial-access", medium, in{identity365: "Unfamiliar sign-in properties"})
	add("mfa", "T1621", "credential-access", medium, in{identity365: "Many requests to approve a sign-in"})
	add("inbox-rule", "T1564.008", "stealth", medium, in{mail365: "Suspicious inbox rule"})
	add("consent", "T1528", "credential-access", medium, in{mail365: "Suspicious consent to an application"})
	add("mail-read", "T1114.002", "collection", medium, in{mail365: "Unusual volume of mail read by an application"})
	add("inner-phish", "T1534", "lateral-movement", medium, in{mail365: "Harmful mail sent from inside"})
	add("web-exploit", "T1190", "initial-access", high, in{suricata: "LOCAL WEB_SERVER attempt to run code in a web application", wazuh: "Web server: many requests that look like attacks"})
	add("web-probe", "T1595.002", "reconnaissance", low, in{suricata: "LOCAL SCAN probe for known weak spots"})
	add("port-scan", "T1046", "discovery", low, in{suricata: "LOCAL SCAN many ports of one machine"})
	add("web-shell", "T1505.003", "persistence", high, in{wazuh: "A script appeared in the folder of a web server", falco: "Shell started by a web server"})
	add("ssh-guess", "T1110.001", "credential-access", medium, in{wazuh: "sshd: brute force of passwords", suricata: "LOCAL SCAN brute force of SSH passwords", guardduty: "UnauthorizedAccess:EC2/SSHBruteForce"})
	add("ssh-login", "T1078.003", "initial-access", medium, in{wazuh: "sshd: login after many failures"})
	add("ssh-failed", "", "credential-access", low, in{wazuh: "sshd: wrong password"})
	add("root", "T1548.003", "privilege-escalation", medium, in{wazuh: "sudo: shell as root of a service account", falco: "Shell as root of a service account"})
	add("sudo", "T1548.003", "privilege-escalation", note, in{wazuh: "sudo: command as root"})
	add("file-changed", "", "persistence", low, in{wazuh: "Integrity checksum changed"})
	add("secret-file", "T1552.001", "credential-access", medium, in{falco: "File with cloud credentials opened", wazuh: "File with cloud credentials was read"})
	add("metadata", "T1552.005", "credential-access", medium, in{falco: "Metadata service of the cloud contacted"})
	add("stolen-role", "T1078.004", "initial-access", high, in{guardduty: "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"})
	add("cloud-look", "T1580", "discovery", low, in{guardduty: "Discovery:IAMUser/AnomalousBehavior"})
	add("cloud-key", "T1098.001", "persistence", medium, in{guardduty: "Persistence:IAMUser/AnomalousBehavior"})
	add("trail-off", "T1685.002", "defense-impairment", low, in{guardduty: "Stealth:IAMUser/CloudTrailLoggingDisabled"})
	add("bucket", "T1530", "collection", high, in{guardduty: "Exfiltration:S3/AnomalousBehavior"})
	add("bucket-open", "", "defense-impairment", low, in{guardduty: "Policy:S3/BucketBlockPublicAccessDisabled"})
	add("shell-in-container", "T1609", "execution", low, in{falco: "Terminal shell in container"})
	add("drop-exec", "T1059.004", "execution", high, in{falco: "Program that is not of the image run in container"})
	add("escape", "T1611", "privilege-escalation", high, in{falco: "Container entered the host's namespace"})
	add("k8s-secret", "T1552.007", "credential-access", medium, in{falco: "Secrets read by an unusual service account"})
	add("outbound", "T1071.001", "command-and-control", medium, in{falco: "Unexpected outbound connection from container", suricata: "LOCAL MALWARE TLS beacon to a rare name"})
	add("miner", "T1496.001", "impact", high, in{falco: "Miner started in container"})
	add("policy", "", "", note, in{suricata: "LOCAL INFO remote support tool"})
	return out
}
