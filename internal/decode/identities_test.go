package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// altOf lists "type/role value = alt" of the entities that are called something else
// as well.
func altOf(es []model.Entity) string {
	var out []string
	for _, e := range es {
		if e.Alt != "" && e.Type != model.Process {
			out = append(out, string(e.Type)+"/"+string(e.Role)+" "+e.Value+" = "+e.Alt)
		}
	}
	return strings.Join(out, "\n")
}

// What records say of one machine or user under several names.
func TestIdentities(t *testing.T) {
	const sid, oid, device = "S-1-5-21-1-2-3-1105", "9f1c2b3a-1111-4abc-9def-0123456789ab", "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
	const trail = `{"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","eventSource":"ec2.amazonaws.com","awsRegion":"r","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLEEXAMPLE123","arn":"arn:aws:iam::1:user/bob"},"eventName":`
	const bob = "user/actor arn:aws:iam::1:user/bob = AIDAEXAMPLEEXAMPLE123"
	for _, c := range []struct{ name, text, want string }{
		{"Falcon", `{"event_simpleName":"ProcessRollup2","aid":"1a2b3c4d5e6f70819a2b3c4d5e6f7081","ComputerName":"WS1","event_platform":"Win","timestamp":"1709460000000"}`, "host/subject ws1 = 1a2b3c4d5e6f70819a2b3c4d5e6f7081"},
		{"ECS", `{"@timestamp":"2024-03-03T10:00:00Z","ecs":{"version":"8.0"},"event":{"category":["process"],"type":["start"],"module":"endpoint"},"host":{"name":"ws1","id":"h-1","os":{"type":"windows"}},"agent":{"id":"a-1"},"cloud":{"instance":{"id":"i-0a1b2c3d"}},"process":{"pid":5}}`,
			"host/subject ws1 = h-1 a-1 i-0a1b2c3d"},
		{"Winlogbeat", `{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"ws1","id":"h-1"},"agent":{"id":"a-1"},"winlog":{"channel":"Security","provider_name":"Microsoft-Windows-Security-Auditing","event_id":"4625","record_id":1,"computer_name":"WS1.corp.example"}}`,
			"host/subject ws1.corp.example = h-1 a-1"},
		{"Winlogbeat on a collector", `{"@timestamp":"2024-03-03T10:00:00Z","host":{"name":"collector","id":"h-1"},"agent":{"id":"a-1"},"winlog":{"channel":"ForwardedEvents","provider_name":"Microsoft-Windows-Security-Auditing","event_id":"4625","record_id":1,"computer_name":"ws1.corp.example"}}`, ""},
		{"a row of SecurityEvent", `{"TimeGenerated":"2024-03-03T10:00:00Z","EventID":4625,"Computer":"ws1.corp.example","Type":"SecurityEvent","SourceComputerId":"c-1","_ResourceId":"/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/vm1"}`,
			"host/subject ws1.corp.example = /subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/vm1 c-1"},
		{"Defender", `{"Timestamp":"2024-03-03T10:00:00Z","ActionType":"ProcessCreated","DeviceName":"WS1.corp.example","DeviceId":"` + device + `","FileName":"a.exe","AccountDomain":"corp","AccountName":"bob","AccountSid":"` + sid + `","InitiatingProcessFileName":"b.exe","InitiatingProcessAccountDomain":"corp","InitiatingProcessAccountName":"bob","InitiatingProcessAccountSid":"` + sid + `","InitiatingProcessAccountUpn":"Bob.S@contoso.example","InitiatingProcessAccountObjectId":"` + oid + `"}`,
			"host/subject ws1.corp.example = " + device + "\nuser/actor corp\\bob = " + sid + " bob.s@contoso.example " + oid},
		{"a sign-in", `{"TimeGenerated":"2024-03-03T10:00:00Z","OperationName":"Sign-in activity","Category":"SignInLogs","UserPrincipalName":"Bob@contoso.example","UserId":"` + oid + `","AppDisplayName":"Portal","AppId":"p","ResultType":"0","IPAddress":"203.0.113.4"}`,
			"user/target bob@contoso.example = " + oid},
		{"osquery", `{"name":"pack","hostIdentifier":"4C4C4544-0042-3510-8052-B4C04F564433","unixTime":1709460000,"action":"added","decorations":{"hostname":"ws1","host_uuid":"4C4C4544-0042-3510-8052-B4C04F564433"},"columns":{"pid":"1","path":"/bin/sh","name":"sh"}}`,
			"host/subject ws1 = 4C4C4544-0042-3510-8052-B4C04F564433"},
		{"Google", `{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"compute.googleapis.com","methodName":"v1.compute.instances.setMetadata","resourceName":"projects/p/zones/z/instances/web","authenticationInfo":{"principalEmail":"a@b.example"}},"resource":{"type":"gce_instance","labels":{"instance_id":"1234567890123456789"}},"timestamp":"2024-03-03T10:00:00Z"}`,
			"resource/target projects/p/zones/z/instances/web = 1234567890123456789"},
		{"a flow of Google's", `{"jsonPayload":{"connection":{"src_ip":"10.0.0.5","dest_ip":"203.0.113.9","src_port":1,"dest_port":443,"protocol":6},"reporter":"SRC","src_instance":{"project_id":"p","zone":"z","vm_name":"web"},"start_time":"2024-03-03T10:00:00Z"},"timestamp":"2024-03-03T10:00:01Z","logName":"projects/p/logs/compute.googleapis.com%2Fvpc_flows"}`,
			"resource/subject projects/p/zones/z/instances/web = 10.0.0.5"},
		{"RunInstances", trail + `"RunInstances","responseElements":{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d","privateIpAddress":"10.0.0.5","networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-0a1b2c3d"}]}},{"instanceId":"i-1a1b2c3d","privateIpAddress":"10.0.0.6"}]}}}`,
			bob + "\nresource/target i-0a1b2c3d = 10.0.0.5 eni-0a1b2c3d\nresource/target i-1a1b2c3d = 10.0.0.6"},
		{"RunInstances by EventBridge", `{"detail-type":"AWS API Call via CloudTrail","detail":` + trail + `"RunInstances","responseElements":{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d","privateIpAddress":"10.0.0.5"}]}}}}`,
			bob + "\nresource/target i-0a1b2c3d = 10.0.0.5"},
		{"RunInstances refused", trail + `"RunInstances","errorCode":"Client.UnauthorizedOperation","responseElements":null}`, bob},
		{"TerminateInstances", trail + `"TerminateInstances","requestParameters":{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d"}]}},"responseElements":{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d"}]}}}`, bob + "\nresource/target i-0a1b2c3d = -"},
		{"AllocateAddress", trail + `"AllocateAddress","responseElements":{"publicIp":"198.51.100.7","allocationId":"eipalloc-0a1b2c3d"}}`, bob + "\nresource/target eipalloc-0a1b2c3d = 198.51.100.7"},
		{"AssociateAddress", trail + `"AssociateAddress","requestParameters":{"instanceId":"i-0a1b2c3d","allocationId":"eipalloc-0a1b2c3d"},"responseElements":{"_return":true,"associationId":"eipassoc-0a1b2c3d"}}`,
			bob + "\nresource/target i-0a1b2c3d = eipalloc-0a1b2c3d eipassoc-0a1b2c3d"},
		{"DisassociateAddress", trail + `"DisassociateAddress","requestParameters":{"associationId":"eipassoc-0a1b2c3d"},"responseElements":{"_return":true}}`, bob + "\nresource/target eipassoc-0a1b2c3d = -"},
		{"ReleaseAddress", trail + `"ReleaseAddress","requestParameters":{"publicIp":"198.51.100.7"},"responseElements":{"_return":true}}`, bob + "\nip/target 198.51.100.7 = -"},
		{"AttachNetworkInterface", trail + `"AttachNetworkInterface","requestParameters":{"networkInterfaceId":"eni-0a1b2c3d","instanceId":"i-0a1b2c3d"}}`, bob + "\nresource/target i-0a1b2c3d = eni-0a1b2c3d"},
		{"CreateNatGateway", trail + `"CreateNatGateway","requestParameters":{"CreateNatGatewayRequest":{"AllocationId":"eipalloc-0a1b2c3d","SubnetId":"s"}},"responseElements":{}}`, bob + "\nresource/target eipalloc-0a1b2c3d = -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Names: model.NewNames()}
			reg := NewRegistry(JSON(o))
			b := &Batch{}
			d := JSON(o)
			if err := d.Frame(strings.NewReader(c.text), func(k Chunk) error { d.Decode(k, b); return nil }, func(e model.InputError) { t.Errorf("%+v", e) }); err != nil || len(b.Events) != 1 {
				t.Fatalf("%d events: %v %+v", len(b.Events), err, b.Errors)
			}
			reg.Entities(&b.Events[0])
			if got := altOf(b.Events[0].Entities); got != c.want {
				t.Errorf("got\n%s\nwant\n%s\nof %+v", got, c.want, b.Events[0].Entities)
			}
		})
	}
}

// What alerts of products say of one machine or user under several names.
func TestIdentitiesOfAlerts(t *testing.T) {
	const device, oid, vm = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "9f1c2b3a-1111-4abc-9def-0123456789ab", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm1"
	for _, c := range []struct{ name, text, want string }{
		{"Falcon", `{"composite_id":"c","device":{"hostname":"WS1","device_id":"1a2b3c4d5e6f70819a2b3c4d5e6f7081"},"severity":70,"timestamp":"2024-05-01T10:00:00Z","display_name":"n","description":"d"}`, "host/subject ws1 = 1a2b3c4d5e6f70819a2b3c4d5e6f7081"},
		{"Defender XDR", `{"alertId":"a","incidentId":1,"serviceSource":"MicrosoftDefenderForEndpoint","title":"t","severity":"high","creationTime":"2024-05-01T10:00:00Z","devices":[{"deviceDnsName":"ws1.corp.example","mdatpDeviceId":"` + device + `","aadDeviceId":null}]}`,
			"host/subject ws1.corp.example = " + device},
		{"Defender XDR of two devices", `{"alertId":"a","incidentId":1,"serviceSource":"MicrosoftDefenderForEndpoint","title":"t","severity":"high","creationTime":"2024-05-01T10:00:00Z","devices":[{"deviceDnsName":"ws1.corp.example","mdatpDeviceId":"` + device + `"},{"deviceDnsName":"ws2.corp.example"}]}`, ""},
		{"Sentinel", `{"SystemAlertId":"s","AlertName":"n","AlertType":"t","Severity":"High","StartTimeUtc":"2024-05-01T10:00:00Z","VendorName":"Microsoft","ProviderName":"MDATP","Entities":"[{\"$id\":\"1\",\"HostName\":\"ws1\",\"DnsDomain\":\"corp.example\",\"AzureID\":\"` + vm + `\",\"MdatpDeviceId\":\"` + device + `\",\"Type\":\"host\"},{\"$id\":\"2\",\"Name\":\"bob\",\"NTDomain\":\"CORP\",\"UPNSuffix\":\"contoso.example\",\"Sid\":\"S-1-5-21-1-2-3-4\",\"AadUserId\":\"` + oid + `\",\"Type\":\"account\"}]"}`,
			"host/subject ws1.corp.example = " + vm + " " + device + "\nuser/subject corp\\bob = S-1-5-21-1-2-3-4 bob@contoso.example " + oid},
		{"GuardDuty", `{"accountId":"1","id":"f","type":"Backdoor:EC2/C","severity":8,"title":"t","createdAt":"2024-05-01T10:05:00Z","resource":{"instanceDetails":{"instanceId":"i-0a1b2c3d","networkInterfaces":[{"networkInterfaceId":"eni-0a1b2c3d","privateIpAddress":"10.0.0.5"}]}},"service":{"detectorId":"d","archived":false}}`,
			"resource/subject i-0a1b2c3d = eni-0a1b2c3d"},
		{"Elastic", `{"kibana.alert.rule.name":"r","kibana.alert.uuid":"u","@timestamp":"2024-05-01T10:00:00Z","host.name":"ws1","host.id":"h-1","agent.id":"a-1","event.module":"endpoint"}`, "host/subject ws1 = h-1 a-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := alertsOf(t, c.text)
			if len(b.Alerts) != 1 {
				t.Fatalf("%d alerts", len(b.Alerts))
			}
			if got := altOf(b.Alerts[0].Entities); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The scheduler and the kubelet say on which node a pod runs.
func TestPodsArePlaced(t *testing.T) {
	for name, text := range map[string]string{
		"binding": `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"create","user":{"username":"system:kube-scheduler"},"objectRef":{"resource":"pods","namespace":"shop","name":"web-0","subresource":"binding"},"requestObject":{"target":{"kind":"Node","name":"Node1"}},"responseStatus":{"code":201},"requestReceivedTimestamp":"2024-03-03T10:00:00Z"}`,
		"status":  `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"patch","user":{"username":"system:node:node1"},"objectRef":{"resource":"pods","namespace":"shop","name":"web-0","subresource":"status"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2024-03-03T10:00:00Z"}`,
	} {
		e, _ := oneEvent(t, text)
		pod, _ := e.Find(model.Pod, model.Subject)
		node, _ := e.Find(model.Host, model.Subject)
		if e.Act != model.ActIdentify || pod.Value != "shop/web-0" || node.Value != "node1" {
			t.Errorf("%s: %s of %q on %q", name, e.Act, pod.Value, node.Value)
		}
	}
	e, _ := oneEvent(t, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","stage":"ResponseComplete","verb":"patch","user":{"username":"eve"},"objectRef":{"resource":"pods","namespace":"shop","name":"web-0","subresource":"status"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2024-03-03T10:00:00Z"}`)
	if e.Act == model.ActIdentify {
		t.Error("anyone says where a pod runs")
	}
}

// A flow of a custom format names the instance that it was seen at, and by its
// direction which address is the instance's.
func TestFlowsNameTheirInstance(t *testing.T) {
	for direction, own := range map[string]string{"egress": "10.0.0.5", "ingress": "203.0.113.9", "-": ""} {
		o := Options{Names: model.NewNames()}
		d := Columns(o)
		text := "version account-id interface-id instance-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status flow-direction\n" +
			"5 111122223333 eni-0a1b2c3d i-0a1b2c3d 10.0.0.5 203.0.113.9 4711 443 6 10 840 1709460000 1709460060 ACCEPT OK " + direction + "\n"
		b := &Batch{}
		if err := d.Frame(strings.NewReader(text), func(k Chunk) error { d.Decode(k, b); return nil }, func(e model.InputError) { t.Errorf("%+v", e) }); err != nil || len(b.Events) != 1 {
			t.Fatalf("%d events: %v %+v", len(b.Events), err, b.Errors)
		}
		NewRegistry(d).Entities(&b.Events[0])
		at, ok := b.Events[0].Find(model.Resource, model.Subject)
		if !ok || at.Value != "i-0a1b2c3d" || at.Alt != own {
			t.Errorf("%s: %+v", direction, b.Events[0].Entities)
		}
	}
}

// Zeek sees which machine was given an address, as the machine calls itself.
func TestZeekSeesLeases(t *testing.T) {
	const head = `{"_path":"dhcp","ts":1709460000.25,"uids":["C1"],"client_addr":"10.0.0.50","mac":"00:11:22:33:44:55",`
	e, _ := oneEvent(t, head+`"host_name":"WS1","client_fqdn":"ws1.corp.example.","assigned_addr":"10.0.0.50","msg_types":["REQUEST","ACK"]}`)
	host, _ := e.Find(model.Host, model.Subject)
	if ip, _ := e.Find(model.IP, model.Subject); e.Act != model.ActIdentify || host.Value != "ws1.corp.example" || ip.Value != "10.0.0.50" {
		t.Errorf("%s %+v", e.Act, e.Entities)
	}
	for _, line := range []string{head + `"host_name":"WS1","msg_types":["DISCOVER"]}`, head + `"assigned_addr":"10.0.0.50"}`, head + `"host_name":"a b","assigned_addr":"x"}`} {
		if e, _ := oneEvent(t, line); e.Act == model.ActIdentify {
			t.Errorf("%s gave an address", line)
		}
	}
}

// A hostile list of ids does not grow, and a call cannot name machines without end.
func TestIdentitiesAreBounded(t *testing.T) {
	var ids []string
	for range 1000 {
		ids = append(ids, strings.Repeat("a", 60))
	}
	if got := joinIDs(ids...); len(got) > maxAlt {
		t.Errorf("%d bytes of other names", len(got))
	}
	items := strings.TrimSuffix(strings.Repeat(`{"instanceId":"i-0a1b2c3d","privateIpAddress":"10.0.0.5"},`, 1000), ",")
	e, _ := oneEvent(t, `{"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","eventSource":"ec2.amazonaws.com","awsRegion":"r","eventName":"RunInstances","responseElements":{"instancesSet":{"items":[`+items+`]}}}`)
	for _, x := range e.Entities {
		if len(x.Alt) > maxAlt {
			t.Errorf("%d bytes of other names", len(x.Alt))
		}
	}
}

func FuzzIdentities(f *testing.F) {
	f.Add("RunInstances", []byte(`{"responseElements":{"instancesSet":{"items":[{"instanceId":"i-0a1b2c3d","privateIpAddress":"10.0.0.5","networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-0a1b2c3d"}]}}]}}}`))
	f.Add("DisassociateAddress", []byte(`{"requestParameters":{"publicIp":"198.51.100.7"}}`))
	f.Add("AssociateAddress", []byte(`{"detail":{"requestParameters":{"instanceId":"i-0a1b2c3d"},"responseElements":{"associationId":"eipassoc-0a1b2c3d"}}}`))
	f.Add("TerminateInstances", []byte(`{"requestParameters":{"instancesSet":{"items":[`))
	f.Fuzz(func(t *testing.T, code string, raw []byte) {
		var s entitySet
		s.addresses(&model.Event{Code: code, Raw: raw})
		if len(s.list) > 2*maxAddressed {
			t.Fatalf("%d entities of one call", len(s.list))
		}
		for _, e := range s.list {
			if e.Value == "" || len(e.Alt) > maxAlt {
				t.Fatalf("%+v", e)
			}
		}
	})
}
