package decode

import (
	"slices"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// alertsOf decodes JSON text with the mappings that Catena ships.
func alertsOf(t *testing.T, text string) *Batch {
	t.Helper()
	d := JSON(Options{Names: model.NewNames(), Mappings: shippedMappings(t)})
	b := &Batch{}
	if err := d.Frame(strings.NewReader(text), func(c Chunk) error { d.Decode(c, b); return nil }, func(e model.InputError) { t.Errorf("%+v", e) }); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Errors {
		t.Errorf("record %d: %s", e.Record, e.Cause)
	}
	return b
}

// said is what of an alert the tests below compare.
func said(a *model.Alert) string {
	out := []string{a.Format, a.Time.Format("01-02T15:04:05"), string(a.Severity), string(a.Subsystem), a.Rule.ID, strings.Join(a.Tactics, ","), strings.Join(a.Techniques, ",")}
	for _, e := range a.Entities {
		out = append(out, string(e.Type)+"/"+string(e.Role)+"="+e.Value)
	}
	return strings.Join(out, " ")
}

// One alert of each product that a mapping knows, in each form that has another
// casing or envelope.
func TestProductAlerts(t *testing.T) {
	guardDuty := `{"schemaVersion":"2.0","accountId":"111122223333","region":"eu-west-1","id":"f1","type":"UnauthorizedAccess:EC2/SSHBruteForce","severity":8,"title":"SSH guessing","createdAt":"2024-05-01T10:05:00Z",
		"resource":{"resourceType":"Instance","instanceDetails":{"instanceId":"i-0123456789abcdef0","networkInterfaces":[{"privateIpAddress":"10.0.0.5","publicIp":"198.51.100.7"}]}},
		"service":{"serviceName":"guardduty","detectorId":"d1","eventFirstSeen":"2024-05-01T10:00:00Z","eventLastSeen":"2024-05-01T10:04:00Z","archived":false,
		"action":{"networkConnectionAction":{"connectionDirection":"INBOUND","remoteIpDetails":{"ipAddressV4":"203.0.113.9"}}}}}`
	wantGuardDuty := "aws-guardduty 05-01T10:00:00 high compute UnauthorizedAccess:EC2/SSHBruteForce initial-access T1110 resource/subject=i-0123456789abcdef0 ip/subject=10.0.0.5 ip/subject=198.51.100.7 ip/src=203.0.113.9"
	for _, c := range []struct{ name, text, want string }{
		{"GuardDuty", guardDuty, wantGuardDuty},
		{"GuardDuty by EventBridge", `{"version":"0","source":"aws.guardduty","detail-type":"GuardDuty Finding","time":"2024-05-01T10:06:00Z","detail":` + guardDuty + `}`, wantGuardDuty},
		{"GuardDuty by its API", `{"Findings":[{"AccountId":"111122223333","Id":"f2","Type":"Stealth:IAMUser/CloudTrailLoggingDisabled","Severity":2.0,"Title":"Trail off","CreatedAt":"2024-05-01T10:05:00Z",
			"Resource":{"AccessKeyDetails":{"AccessKeyId":"AKIAEXAMPLE1","UserName":"eve","UserType":"IAMUser"}},"Service":{"DetectorId":"d1","ServiceName":"guardduty","Archived":false}}]}`,
			"aws-guardduty 05-01T10:05:00 low identity Stealth:IAMUser/CloudTrailLoggingDisabled defense-impairment T1685.002 access_key/actor=AKIAEXAMPLE1 user/actor=arn:aws:iam::111122223333:user/eve"},
		{"Security Hub", `{"detail":{"findings":[{"AwsAccountId":"1","ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/guardduty","GeneratorId":"g","Id":"x","CreatedAt":"2024-05-01T10:05:00Z","Title":"Keys used outside",
			"Types":["TTPs/Credential Access/UnauthorizedAccess:IAMUser-InstanceCredentialExfiltration"],"Severity":{"Label":"HIGH"},"Resources":[{"Id":"arn:aws:ec2:eu-west-1:1:instance/i-1"}]},
			{"AwsAccountId":"1","ProductArn":"p","GeneratorId":"security-control/S3.8","Id":"y","CreatedAt":"2024-05-01T10:05:00Z","Types":["Software and Configuration Checks/AWS"],"Severity":{"Label":"HIGH"},"Compliance":{"Status":"PASSED"}}]}}`,
			"aws-security-hub 05-01T10:05:00 high identity TTPs/Credential Access/UnauthorizedAccess:IAMUser-InstanceCredentialExfiltration credential-access T1552.005,T1078.004 resource/target=arn:aws:ec2:eu-west-1:1:instance/i-1"},
		{"Inspector", `{"findingArn":"arn:f","awsAccountId":"1","type":"NETWORK_REACHABILITY","severity":"HIGH","status":"ACTIVE","title":"Port 22 is reachable","firstObservedAt":"2024-05-01T10:05:00Z","resources":[{"id":"i-1"}]}`,
			"aws-inspector 05-01T10:05:00 medium compute NETWORK_REACHABILITY   resource/subject=i-1"},
		{"Macie", `{"detail":{"id":"m","type":"Policy:IAMUser/S3BucketPublic","title":"open","severity":{"description":"High"},"createdAt":"2024-05-01T10:05:00Z","resourcesAffected":{"s3Bucket":{"name":"b","arn":"arn:aws:s3:::b"}}}}`,
			"aws-macie 05-01T10:05:00 low storage Policy:IAMUser/S3BucketPublic   resource/target=arn:aws:s3:::b"},
		{"Security Command Center", `{"notificationConfigName":"n","finding":{"name":"organizations/1/sources/2/findings/3","parent":"p","resourceName":"//cloudresourcemanager.googleapis.com/projects/1","category":"Exfiltration: BigQuery Data Exfiltration","state":"ACTIVE","severity":"HIGH",
			"findingClass":"THREAT","eventTime":"2024-05-01T10:05:00Z","mitreAttack":{"primaryTactic":"EXFILTRATION"},"access":{"principalEmail":"Eve@example.com","callerIp":"203.0.113.9"}}}`,
			"gcp-scc 05-01T10:05:00 high database Exfiltration: BigQuery Data Exfiltration exfiltration  resource/target=//cloudresourcemanager.googleapis.com/projects/1 user/actor=eve@example.com ip/src=203.0.113.9"},
		{"Suricata", `{"timestamp":"2024-05-01T12:05:00.5+0200","event_type":"alert","src_ip":"203.0.113.9","src_port":4,"dest_ip":"10.0.0.5","dest_port":80,"proto":"TCP","alert":{"gid":1,"signature_id":2001,"rev":1,"signature":"ET EXPLOIT something","category":"A Network Trojan was detected","severity":1}}`,
			"suricata-alert 05-01T10:05:00 high network suricata:1:2001 initial-access,command-and-control  ip/src=203.0.113.9 ip/dst=10.0.0.5"},
		{"Elastic", `{"_index":".alerts","_id":"1","_source":{"@timestamp":"2024-05-01T10:06:00Z","kibana.alert.original_time":"2024-05-01T10:05:00Z","kibana.alert.uuid":"u","kibana.alert.rule.name":"LSASS read","kibana.alert.rule.rule_id":"r1","kibana.alert.severity":"critical",
			"kibana.alert.rule.threat":[{"tactic":{"id":"TA0006","name":"Credential Access"},"technique":[{"id":"T1003","subtechnique":[{"id":"T1003.001"}]}]}],"host":{"name":"WS1"},"user":{"name":"Eve","domain":"CORP"},"process":{"pid":77,"executable":"C:\\t\\x.exe"}}}`,
			`elastic-alert 05-01T10:05:00 critical compute r1 credential-access T1003.001 host/subject=ws1 user/actor=corp\eve process/actor=ws1:77 file/object=ws1:c:\t\x.exe`},
		{"Splunk", `{"preview":false,"result":{"_time":"2024-05-01T10:05:00.000+00:00","search_name":"Access - Guessing - Rule","rule_title":"Guessing","urgency":"high","security_domain":"access","dest":"srv1","user":"bob","src":"203.0.113.9","annotations.mitre_attack":["T1110"],"event_id":"e"}}`,
			"splunk-notable 05-01T10:05:00 high identity Access - Guessing - Rule  T1110 host/subject=srv1 user/actor=bob ip/src=203.0.113.9"},
		{"CrowdStrike stream", `{"metadata":{"eventType":"DetectionSummaryEvent","eventCreationTime":1714557905000},"event":{"DetectName":"Suspicious","DetectId":"ldt:1","Severity":4,"SeverityName":"High","ComputerName":"WS1","UserName":"eve","MachineDomain":"CORP","FilePath":"\\Device\\x","SHA256String":"AB","Tactic":"Credential Access","Technique":"OS Credential Dumping","ProcessStartTime":1714557900}}`,
			`crowdstrike-detection 05-01T10:05:00 high compute OS Credential Dumping credential-access  host/subject=ws1 user/actor=corp\eve user/actor=ws1\eve file/object=ws1:\device\x hash/indicator=ab`},
		{"SentinelOne", `{"data":[{"agentRealtimeInfo":{"agentComputerName":"WS1"},"agentDetectionInfo":{"agentIpV4":"10.0.0.5"},"threatInfo":{"threatId":"1","threatName":"x.exe","classification":"Ransomware","confidenceLevel":"malicious","identifiedAt":"2024-05-01T10:05:00Z","sha256":"AB","processUser":"CORP\\eve"},"indicators":[]}]}`,
			`sentinelone-threat 05-01T10:05:00 high compute sentinelone Ransomware  T1486 host/subject=ws1 user/actor=corp\eve hash/indicator=ab ip/subject=10.0.0.5`},
		{"OCSF", `{"class_uid":2004,"activity_id":1,"time":1714557900000,"severity_id":4,"metadata":{"product":{"name":"Acme"}},"finding_info":{"uid":"1","title":"Bad","analytic":{"uid":"an1"},"attacks":[{"technique":{"uid":"T1059"},"tactic":{"name":"Execution"}}]},"device":{"hostname":"ws1"},"evidences":[{"src_endpoint":{"ip":"203.0.113.9"}}]}`,
			"ocsf-finding 05-01T10:05:00 high compute an1 execution T1059 host/subject=ws1 ip/src=203.0.113.9"},
		{"Trivy", `{"SchemaVersion":2,"CreatedAt":"2024-05-01T10:05:00Z","ArtifactName":"shop:1","Results":[{"Target":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2021-44228","PkgName":"log4j","Severity":"CRITICAL","Title":"RCE"}]},{"Target":"empty"}]}`,
			"trivy 05-01T10:05:00 medium compute CVE-2021-44228   resource/subject=shop:1 resource/target=debian"},
		{"Grype", `{"matches":[{"vulnerability":{"id":"CVE-1","severity":"High"},"artifact":{"name":"a","version":"1"}}],"source":{"type":"image","target":{"userInput":"shop:1"}},"descriptor":{"name":"grype","timestamp":"2024-05-01T10:05:00Z"}}`,
			"grype 05-01T10:05:00 low compute CVE-1   resource/subject=shop:1"},
		{"Hayabusa", `{"Timestamp":"2024-05-01 12:05:00.000 +02:00","RuleTitle":"Log Cleared","Level":"high","Computer":"DC1.corp","Channel":"Sec","EventID":1102,"RecordID":5,"Details":{"User":"eve"},"MitreTags":"T1685.005"}`,
			`hayabusa 05-01T10:05:00 high compute Log Cleared  T1685.005 host/subject=dc1.corp user/actor=dc1.corp\eve`},
		{"Chainsaw", `[{"group":"Sigma","kind":"individual","document":{"kind":"evtx","path":"x.evtx","data":{"Event":{"System":{"Computer":"DC1","Channel":"Security","EventRecordID":7},"EventData":{"SubjectUserName":"eve"}}}},"name":"Cleared","timestamp":"2024-05-01T10:05:00+00:00","level":"high","tags":["attack.t1685.005"],"id":"c"}]`,
			`chainsaw 05-01T10:05:00 high compute c  T1685.005 host/subject=dc1 user/actor=dc1\eve`},
		{"Zircolite", `[{"title":"Whoami","id":"z","rule_level":"low","tags":["attack.t1033"],"count":1,"matches":[{"Computer":"ws1","SystemTime":"2024-05-01T10:05:00Z","Channel":"Sysmon","EventRecordID":1,"User":"CORP\\eve"}]}]`,
			`zircolite 05-01T10:05:00 low compute z  T1033 host/subject=ws1 user/actor=corp\eve`},
		{"RSigma", `{"rule_title":"Whoami was run","rule_id":"r1","level":"medium","tags":["attack.discovery","attack.t1033"],"matched_selections":["s"],"matched_fields":[{"field":"Image","value":"C:\\Windows\\whoami.exe"}],
			"event":{"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"WS1","EventID":1,"Image":"C:\\Windows\\whoami.exe","ProcessGuid":"{1-2}","SystemTime":"2024-05-01T10:05:00Z","User":"CORP\\eve"}}`,
			`rsigma 05-01T10:05:00 medium compute r1  T1033 host/subject=ws1 user/actor=corp\eve process/actor={1-2} file/object=ws1:c:\windows\whoami.exe`},
		{"RSigma, of a cloud", `{"rule_title":"Trail stopped","rule_id":null,"level":"high","tags":["attack.t1685.002"],"matched_selections":["s"],"matched_fields":[],"event":{"eventTime":"2024-05-01T10:05:00Z","eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","sourceIPAddress":"203.0.113.9","userIdentity":{"arn":"arn:aws:iam::1:user/Eve"}}}`,
			`rsigma 05-01T10:05:00 high management Trail stopped  T1685.002 user/actor=arn:aws:iam::1:user/Eve ip/src=203.0.113.9`},
		{"Wazuh", `{"timestamp":"2024-05-01T12:05:00.000+0200","rule":{"level":10,"description":"sshd: brute force","id":"5712","mitre":{"id":["T1110"],"tactic":["Credential Access"]},"groups":["sshd","authentication_failures"]},"agent":{"id":"1","name":"web1","ip":"10.0.0.5"},"id":"1.2","data":{"srcip":"203.0.113.9"}}`,
			"wazuh-alert 05-01T10:05:00 medium identity wazuh:5712 credential-access T1110 host/subject=web1 ip/subject=10.0.0.5 ip/src=203.0.113.9"},
		{"Defender XDR by Graph", `{"value":[{"id":"da1","serviceSource":"microsoftDefenderForEndpoint","detectionSource":"antivirus","detectorId":"det","severity":"high","title":"Mimikatz","category":"CredentialAccess","status":"new","firstActivityDateTime":"2024-05-01T10:05:00Z","mitreTechniques":["T1003.001"],
			"evidence":[{"@odata.type":"#microsoft.graph.security.deviceEvidence","deviceDnsName":"WS1.corp.example"},{"userAccount":{"userPrincipalName":"Eve@corp.example"}}]}]}`,
			"defender-xdr-alert 05-01T10:05:00 high compute det credential-access T1003.001 host/subject=ws1.corp.example user/actor=eve@corp.example"},
		{"Defender for Cloud by REST", `{"value":[{"id":"/subscriptions/S/providers/Microsoft.Security/locations/l/alerts/a","name":"a","type":"Microsoft.Security/Locations/alerts","properties":{"systemAlertId":"sa","alertType":"Storage.Blob_Anomaly","alertDisplayName":"Unusual blob","severity":"Medium","intent":"Collection, Exfiltration","productName":"Microsoft Defender for Cloud",
			"startTimeUtc":"2024-05-01T10:05:00.1234567Z","compromisedEntity":"store1","resourceIdentifiers":[{"$id":"9","azureResourceId":"/subscriptions/S/resourceGroups/R/providers/Microsoft.Storage/storageAccounts/store1","type":"AzureResource"}],
			"entities":[{"$id":"1","address":"203.0.113.9","type":"ip"},{"$id":"2","hostName":"VM1","dnsDomain":"corp.example","type":"host"},{"$id":"3","name":"eve","host":{"$ref":"2"},"type":"account"},{"$id":"4","processId":"0x1f","imageFile":{"$id":"5","directory":"c:\\t","name":"x.exe","type":"file"},"host":{"$ref":"2"},"type":"process"}]}}]}`,
			`azure-security-alert 05-01T10:05:00 medium storage Storage.Blob_Anomaly   host/subject=store1 resource/target=/subscriptions/s/resourcegroups/r/providers/microsoft.storage/storageaccounts/store1 ip/src=203.0.113.9 host/subject=vm1.corp.example user/subject=vm1\eve process/actor=vm1.corp.example:31 file/object=vm1.corp.example:c:\t\x.exe`},
	} {
		b := alertsOf(t, c.text)
		var got []string
		for i := range b.Alerts {
			got = append(got, said(&b.Alerts[i]))
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// A record that holds a list is read as its items, each with what stands around it.
func TestMappingForms(t *testing.T) {
	const src = `name: acme
forms: ["a.list[].inner[]."]
match: {columns: [id, /stamp]}
product: Acme
time: {field: /stamp}
rule: {id: "{/a.list.group} {id}", title: "{id}"}
entities: [{type: host, role: subject, field: names}]
`
	m, err := ParseMapping("acme.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	d := JSON(Options{Names: model.NewNames(), Mappings: []*Mapping{m}})
	b := &Batch{}
	d.Decode(Chunk{Data: []byte(`{"stamp":"2024-05-01T10:05:00Z","a":{"x":1,"list":[{"group":"g1","inner":[{"id":"i1","names":["h1","h2"]},{"id":"i2"},7,{"no":"id"}]},{"group":"g2","inner":[{"id":"i3"}]},{"group":"g3"}]}}`)}, b)
	var got []string
	for i := range b.Alerts {
		a := &b.Alerts[i]
		got = append(got, a.Rule.ID)
		if i == 0 && len(a.Entities) != 2 {
			t.Errorf("entities %v", a.Entities)
		}
	}
	if want := []string{"g1 i1", "g1 i2", "g2 i3"}; !slices.Equal(got, want) || len(b.Errors) != 0 {
		t.Errorf("%q, want %q; errors %v", got, want, b.Errors)
	}
	ids := map[string]bool{}
	for i := range b.Alerts {
		ids[b.Alerts[i].ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of 3 alerts", len(ids))
	}
}

// What stands around a list does not multiply with its items.
func TestListAmplification(t *testing.T) {
	around := `"Metadata":{"x":"` + strings.Repeat("y", 100_000) + `"},"ArtifactName":"` + strings.Repeat("z", 100_000) + `"`
	item := `{"VulnerabilityID":"CVE-1","Severity":"LOW"}`
	b := alertsOf(t, `{"CreatedAt":"2024-05-01T10:05:00Z",`+around+`,"Results":[{"Target":"t","Vulnerabilities":[`+strings.Repeat(item+",", 999)+item+`]}]}`)
	size := 0
	for i := range b.Alerts {
		size += len(b.Alerts[i].Evidence[0].Event)
	}
	if len(b.Alerts) != 1000 || size > 1000*4096 {
		t.Errorf("%d alerts with %d bytes of evidence", len(b.Alerts), size)
	}
}

// Entities refer to each other in any order, and a list that refers in circles or
// is no list ends.
func TestMicrosoftEntities(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`[{"$id":"2","Name":"bob","Host":{"$ref":"3"},"Type":"account"},{"$id":"3","HostName":"VM1","Type":"host"}]`, `user/subject=vm1\bob host/subject=vm1`},
		{`[{"$id":"1","Type":"process","ProcessId":"5","Host":{"$ref":"1"},"ParentProcess":{"$ref":"1"}}]`, ``},
		{`[{"Type":"url","Url":"http://x/"},{"Type":"mailbox","MailboxPrimaryAddress":"A@b.c"},{"Type":"dns","DomainName":"X.example."},{"type":"k8s-pod","name":"p","namespace":{"name":"n","type":"k8s-namespace"}}]`,
			`url/indicator=http://x/ mailbox/target=a@b.c domain/indicator=x.example pod/subject=n/p namespace/subject=n`},
		{`{"no":"list"}`, ``}, {`[1,null,[]]`, ``}, {`[{`, ``},
	} {
		var got []string
		for _, e := range microsoftEntities(c.text, nil, nil) {
			got = append(got, string(e.Type)+"/"+string(e.Role)+"="+e.Value)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.text, s, c.want)
		}
	}
}

func FuzzMicrosoftEntities(f *testing.F) {
	f.Add(`[{"$id":"1","Type":"account","Host":{"$ref":"1"},"Sid":"S-1-5-18"}]`)
	f.Add(`[{"type":"process","processid":"0x1","imagefile":{"directory":"/a","name":"b"},"host":{"hostname":"h"}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range microsoftEntities(text, []byte(text), []string{"a.b"}) {
			if e.Value == "" || e.Type == "" || e.Role == "" {
				t.Fatalf("%+v", e)
			}
		}
	})
}
