package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// The machine that reports is not the one it happened to: a network sensor, a relay,
// a collector of forwarded events and a shipper of cloud logs may be named, but only
// as sensors.
func TestSubjectAndSensor(t *testing.T) {
	o := Options{Names: model.NewNames(), Year: 2024, Mappings: shippedMappings(t)}
	reg := NewRegistry(WindowsXML(o), ZeekTSV(o), JSON(o), Syslog(o), Text(o))
	for _, c := range []struct{ name, text, host string }{
		{"Zeek", `{"_path":"conn","ts":1709460000.25,"uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":1,"id.resp_h":"10.0.0.1","id.resp_p":2,"conn_state":"SF","proto":"tcp","_system_name":"sensor01"}`, ""},
		{"Zeek by Filebeat", `{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"sensor01"},"agent":{"hostname":"sensor01","type":"filebeat"},"message":"{\"_path\":\"conn\",\"ts\":1709460000.25,\"uid\":\"C1\",\"id.orig_h\":\"10.0.0.5\",\"id.resp_h\":\"10.0.0.1\",\"conn_state\":\"SF\"}"}`, ""},
		{"Suricata", `{"timestamp":"2024-05-01T12:05:00.5+0200","host":"sensor01","event_type":"alert","src_ip":"203.0.113.9","src_port":4,"dest_ip":"10.0.0.5","dest_port":80,"proto":"TCP","alert":{"gid":1,"signature_id":2001,"rev":1,"signature":"s","category":"c","severity":1}}`, ""},
		{"a syslog relay", "<38>1 2024-03-03T10:00:00Z web01 sshd 42 - - Failed password for root from 203.0.113.9 port 4711 ssh2\n", "web01"},
		{"a relay that shippers name", `{"@timestamp":"2024-03-03T10:00:01Z","host":{"name":"sensor01"},"message":"<38>Mar  3 10:00:00 web01 sshd[42]: Failed password for root from 203.0.113.9 port 4711 ssh2"}`, "web01"},
		{"a forwarded Windows event", `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><Provider Name="Microsoft-Windows-Security-Auditing"/><EventID>4625</EventID><TimeCreated SystemTime="2024-03-03T10:00:00Z"/><EventRecordID>1</EventRecordID><Channel>Security</Channel><Computer>ws1.corp.example</Computer></System><EventData><Data Name="TargetUserName">bob</Data><Data Name="TargetDomainName">CORP</Data><Data Name="IpAddress">10.0.0.9</Data><Data Name="LogonType">3</Data></EventData><RenderingInfo Culture="en-US"/></Event>`, "ws1.corp.example"},
		{"Winlogbeat on a collector", `{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"sensor01"},"agent":{"hostname":"sensor01","type":"winlogbeat"},"winlog":{"channel":"ForwardedEvents","provider_name":"Microsoft-Windows-Security-Auditing","event_id":"4625","record_id":1,"computer_name":"ws1.corp.example","event_data":{"TargetUserName":"bob","TargetDomainName":"CORP","IpAddress":"10.0.0.9","LogonType":"3"}}}`, "ws1.corp.example"},
		{"CloudTrail by a shipper", `{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"sensor01"},"agent":{"hostname":"sensor01"},"message":"{\"eventVersion\":\"1.08\",\"eventTime\":\"2024-05-01T10:00:00Z\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"ListBuckets\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":\"203.0.113.9\",\"userIdentity\":{\"type\":\"IAMUser\",\"arn\":\"arn:aws:iam::111122223333:user/bob\",\"accessKeyId\":\"AKIA1\"},\"eventID\":\"1\",\"recipientAccountId\":\"111122223333\"}"}`, ""},
		{"a firewall's line", "Mar  3 10:00:00 sensor01 %ASA-6-302013: Built outbound TCP connection 1 for outside:203.0.113.9/443 (203.0.113.9/443) to inside:10.0.0.5/4711 (10.0.0.5/4711)\n", ""},
		{"Falco on the log of a cluster", `{"hostname":"sensor01","output":"o","priority":"Warning","rule":"Create Privileged Pod","source":"k8s_audit","time":"2024-05-01T10:05:00Z","output_fields":{"ka.user.name":"eve@example.com","ka.target.resource":"pods","ka.target.namespace":"shop","ka.target.name":"p"}}`, ""},
		{"Wazuh's manager on a syslog line", `{"timestamp":"2024-05-01T10:05:00.000+0000","rule":{"level":10,"description":"guessing","id":"5712","groups":["sshd"]},"agent":{"id":"000","name":"sensor01"},"manager":{"name":"sensor01"},"id":"1","predecoder":{"hostname":"web01"},"decoder":{"name":"sshd"},"data":{"srcip":"203.0.113.9"},"location":"/var/log/remote.log"}`, "web01"},
		{"Wazuh that fetched a trail", `{"timestamp":"2024-05-01T10:05:00.000+0000","rule":{"level":3,"description":"call","id":"80202"},"agent":{"id":"007","name":"sensor01","ip":"10.0.0.7"},"id":"1","decoder":{"name":"json"},"data":{"integration":"aws","aws":{"sourceIPAddress":"203.0.113.9","userIdentity":{"arn":"arn:aws:iam::1:user/bob"}}},"location":"Wazuh-AWS"}`, ""},
		{"Elastic on a fetched trail", `{"kibana.alert.rule.name":"r","kibana.alert.uuid":"u","@timestamp":"2024-05-01T10:00:00Z","host.name":"sensor01","agent.id":"a","event.dataset":"aws.cloudtrail","event.module":"aws","source.ip":"203.0.113.9"}`, ""},
		{"ECS of a firewall", `{"@timestamp":"2024-03-03T10:00:00Z","ecs":{"version":"8.0"},"event":{"category":["network"],"dataset":"panw.panos","module":"panw"},"host":{"name":"sensor01","id":"sensor01-id"},"agent":{"id":"sensor01-agent"},"observer":{"hostname":"sensor01"},"source":{"ip":"10.0.0.5"},"destination":{"ip":"203.0.113.9"}}`, ""},
		{"Splunk on a firewall's lines", `{"search_name":"s","rule_title":"t","_time":"2024-05-01T10:05:00Z","dvc":"sensor01","orig_host":"sensor01","host":"sensor01","src":"10.0.0.5","severity":"high","security_domain":"network"}`, ""},
		{"Splunk on an endpoint", `{"search_name":"s","rule_title":"t","_time":"2024-05-01T10:05:00Z","dest":"ws1","host":"sensor01","severity":"high","security_domain":"endpoint"}`, "ws1"},
		{"a lease", "May  1 10:00:00 sensor01 dhcpd: DHCPACK on 10.0.0.50 to 00:11:22:33:44:55 (ws1) via eth0\n", "ws1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := reg.Detect([]byte(c.text))
			if d == nil {
				t.Fatal("no decoder")
			}
			b := &Batch{}
			if err := d.Frame(strings.NewReader(c.text), func(k Chunk) error { d.Decode(k, b); return nil }, func(e model.InputError) { t.Errorf("%+v", e) }); err != nil {
				t.Fatal(err)
			}
			if len(b.Events)+len(b.Alerts) == 0 {
				t.Fatalf("nothing decoded: %+v", b.Errors)
			}
			check := func(host string, es []model.Entity) {
				for _, x := range es {
					if x.Role != model.Sensor && (strings.Contains(x.Value, "sensor01") || strings.Contains(x.Alt, "sensor01")) {
						t.Errorf("the sensor is %s/%s", x.Type, x.Role)
					}
				}
				if subject, _ := func() (model.Entity, bool) {
					for _, x := range es {
						if x.Type == model.Host && x.Role == model.Subject {
							return x, true
						}
					}
					return model.Entity{}, false
				}(); c.host != "" && subject.Value != c.host && host != c.host {
					t.Errorf("it happened on %q (%q), want %q: %+v", host, subject.Value, c.host, es)
				}
			}
			for i := range b.Events {
				e := &b.Events[i]
				reg.Entities(e)
				check(e.Host, e.Entities)
				if _, told := e.Find(model.Host, model.Sensor); e.Host == "sensor01" && !told {
					t.Errorf("nothing says that %s is only the sensor of %s: %+v", e.Host, e.Format, e.Entities)
				}
			}
			for i := range b.Alerts {
				check(b.Alerts[i].Host, b.Alerts[i].Entities)
				if b.Alerts[i].Host == "sensor01" {
					t.Errorf("the alert is about the sensor: %+v", b.Alerts[i].Entities)
				}
			}
		})
	}
}
