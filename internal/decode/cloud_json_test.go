package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// cloudRecords are records of clouds, identity providers, code hosts and sensors,
// with what becomes of them.
var cloudRecords = []struct{ name, text, want string }{
	{"GCP key issued", `{"insertId":"1","timestamp":"2024-05-01T10:00:00Z","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iam.googleapis.com","methodName":"google.iam.admin.v1.CreateServiceAccountKey",
		"resourceName":"projects/-/serviceAccounts/42","authenticationInfo":{"principalEmail":"Eve@example.com"},"requestMetadata":{"callerIp":"203.0.113.9"},"response":{"name":"projects/p/serviceAccounts/sa@p/keys/k1"}}}`,
		"gcp-audit gcp/gcp.audit key_issued identity user/actor=eve@example.com ip/src=203.0.113.9 access_key/target=sa@p/keys/k1 resource/target=projects/-/serviceAccounts/42"},
	{"GCP policy, pushed", `{"data":{"timestamp":"2024-05-01T10:00:00Z","protoPayload":{"serviceName":"cloudresourcemanager.googleapis.com","methodName":"SetIamPolicy","resourceName":"projects/p","authenticationInfo":{"principalEmail":"eve@example.com"},
		"serviceData":{"policyDelta":{"bindingDeltas":[{"action":"ADD","member":"user:Mallory@example.net","role":"roles/owner"}]}}}}}`,
		"gcp-audit gcp/gcp.audit account_change identity user/actor=eve@example.com user/target=mallory@example.net resource/target=projects/p"},
	{"GCP refused", `{"timestamp":"2024-05-01T10:00:00Z","logName":"l","protoPayload":{"serviceName":"storage.googleapis.com","methodName":"storage.objects.get","status":{"code":7},"authenticationInfo":{"principalEmail":"eve@example.com"}}}`,
		"gcp-audit gcp/gcp.audit api_call storage user/actor=eve@example.com"},
	{"Key Vault", `{"time":"2024-05-01T10:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V","operationName":"SecretGet","category":"AuditEvent","resultSignature":"OK","callerIPAddress":"203.0.113.9","identity":{"claim":{"upn":"Eve@example.com","appid":"A1"}},"properties":{"id":"https://v.vault.azure.net/secrets/db"}}`,
		"azure-resource azure/keyvault object_read secrets user/actor=eve@example.com app/actor=a1 ip/src=203.0.113.9 resource/target=/subscriptions/s/resourcegroups/r/providers/microsoft.keyvault/vaults/v resource/target=https://v.vault.azure.net/secrets/db"},
	{"Azure Storage", `{"time":"2024-05-01T10:00:00Z","resourceId":"/subscriptions/s/providers/Microsoft.Storage/storageAccounts/a/blobServices/default","category":"StorageRead","operationName":"GetBlob","statusCode":200,"callerIpAddress":"203.0.113.9:443","identity":{"type":"SAS","tokenHash":"key1(H)"},"properties":{"objectKey":"/a/box/plan.txt"}}`,
		"azure-resource azure/storage object_read storage ip/src=203.0.113.9 access_key/actor=key1(H) resource/target=/subscriptions/s/providers/microsoft.storage/storageaccounts/a resource/target=azure-storage:/a/box/plan.txt"},
	{"Azure SQL", `{"time":"2024-05-01T10:00:09Z","resourceId":"/subscriptions/s/databases/d","category":"SQLSecurityAuditEvents","operationName":"AuditEvent","properties":{"event_time":"2024-05-01T10:00:00Z","action_name":"DATABASE AUTHENTICATION FAILED","succeeded":"false","server_principal_name":"sa","client_ip":"203.0.113.9"}}`,
		`azure-resource azure/database/sqlauditing logon_failed database ip/src=203.0.113.9 user/target=/subscriptions/s/databases/d\sa resource/target=/subscriptions/s/databases/d`},
	{"Azure flow", `{"records":[{"time":"2024-05-01T10:01:00Z","category":"NetworkSecurityGroupFlowEvent","resourceId":"/S","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":2,"flows":[{"rule":"r","flows":[{"mac":"00","flowTuples":["1714557600,203.0.113.9,10.0.0.4,4000,22,T,I,A,E,5,600,4,500"]}]}]}}]}`,
		"azure-flow azure/firewall/flowlogs connect network ip/src=203.0.113.9 ip/dst=10.0.0.4"},
	{"Azure network flow", `{"records":[{"time":"2024-05-01T10:01:00Z","category":"FlowLogFlowEvent","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":["1714557600000,203.0.113.9,10.0.0.4,4000,22,6,I,D,NX,0,0,0,0","nonsense"]}]}]}}]}`,
		"azure-flow azure/firewall/flowlogs none network ip/src=203.0.113.9 ip/dst=10.0.0.4"},
	{"Workspace", `{"kind":"admin#reports#activity","id":{"time":"2024-05-01T10:00:00.000Z","applicationName":"drive"},"actor":{"email":"bob@example.com"},"ipAddress":"203.0.113.9","events":[{"type":"access","name":"download","parameters":[{"name":"doc_id","value":"D1"},{"name":"doc_title","value":"plan"}]}]}`,
		"google-workspace gcp/google_workspace.drive object_read storage resource/target=drive:D1 user/actor=bob@example.com ip/src=203.0.113.9"},
	{"Workspace sign-in", `{"id":{"time":"2024-05-01T10:00:00.000Z","applicationName":"login"},"actor":{"email":"bob@example.com"},"type":"login","name":"login_failure","ipAddress":"203.0.113.9"}`,
		"google-workspace gcp/google_workspace.login logon_failed identity user/target=bob@example.com ip/src=203.0.113.9"},
	{"Okta refused", `{"published":"2024-05-01T10:00:00.000Z","eventType":"user.session.start","outcome":{"result":"FAILURE"},"actor":{"alternateId":"Bob@example.com","type":"User"},"client":{"ipAddress":"203.0.113.9"},"target":null}`,
		"okta okta/okta logon_failed identity user/target=bob@example.com ip/src=203.0.113.9"},
	{"Okta, folded names", `{"published":"2024-05-01T10:00:00.000Z","eventtype":"user.account.privilege.grant","outcome":{"result":"SUCCESS"},"actor":{"alternateId":"admin"},"authenticationcontext":{"externalSessionId":"s1"},
		"target":[{"id":"u1","type":"User","alternateId":"eve@example.com"},{"id":"r1","type":"ROLE","displayName":"Super"}]}`,
		`okta okta/okta account_change identity user/actor=okta\admin session/actor=okta:s1 user/target=eve@example.com resource/target=okta:r1`},
	{"GitHub", `{"@timestamp":1714557600000,"action":"org.add_member","actor":"Eve","actor_ip":"203.0.113.9","org":"acme","user":"mallory"}`,
		`github github/audit account_change identity user/actor=github.com\eve ip/src=203.0.113.9 user/target=github.com\mallory resource/target=github.com/acme`},
	{"GitHub clone", `{"@timestamp":1714557600000,"action":"git.clone","actor":"eve","repo":"acme/shop"}`,
		`github github/audit object_read application user/actor=github.com\eve resource/target=github.com/acme/shop`},
	{"GitLab", `{"severity":"INFO","time":"2024-05-01T10:00:00.000Z","author_id":1,"author_name":"Eve","entity_type":"Group","entity_path":"acme","add":"user_access","target_type":"User","target_details":"mallory","ip_address":"203.0.113.9"}`,
		`gitlab gitlab/audit account_change application user/actor=gitlab\eve ip/src=203.0.113.9 user/target=gitlab\mallory resource/target=gitlab/acme`},
	{"CrowdStrike process", `{"aid":"a1","timestamp":"1714557600000","event_simpleName":"ProcessRollup2","event":{"event_simpleName":"ProcessRollup2","event_platform":"Win","aid":"a1","ComputerName":"WS1","TargetProcessId":"11","ParentProcessId":"10","ImageFileName":"\\Device\\HarddiskVolume3\\Windows\\System32\\cmd.exe","CommandLine":"cmd /c x","ParentBaseFileName":"winword.exe","ProcessStartTime":"1714557600.5","UserName":"eve"}}`,
		`crowdstrike windows/process_creation/ process_start compute host/subject=ws1 process/subject=a1:11 process/parent=a1:10 file/object=ws1:c:\windows\system32\cmd.exe user/actor=eve`},
	{"CrowdStrike DNS", `{"aid":"a1","ContextTimeStamp":"1714557600.731","event_simpleName":"DnsRequest","event_platform":"Lin","DomainName":"C2.example.net","ContextProcessId":"12"}`,
		`crowdstrike linux/dns_query/ dns network host/subject=a1 process/actor=a1:12 domain/object=c2.example.net`},
}

func TestCloudJSON(t *testing.T) {
	for _, c := range cloudRecords {
		b := &Batch{}
		JSON(Options{Names: model.NewNames()}).Decode(Chunk{Data: []byte(c.text)}, b)
		if len(b.Events) != 1 || len(b.Alerts) != 0 {
			t.Errorf("%s: %d events, %d alerts", c.name, len(b.Events), len(b.Alerts))
			continue
		}
		e := &b.Events[0]
		source := e.Source.Product + "/" + e.Source.Service
		if e.Source.Category != "" {
			source = e.Source.Product + "/" + e.Source.Category + "/" + e.Source.Service
		}
		got := []string{e.Format, source, e.Act.String(), string(e.Subsystem)}
		for _, x := range e.Entities {
			got = append(got, string(x.Type)+"/"+string(x.Role)+"="+x.Value)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, s, c.want)
		}
		if e.Time.Format("2006-01-02T15:04") != "2024-05-01T10:00" {
			t.Errorf("%s: time %s", c.name, e.Time)
		}
	}
}

// The names by which rules know fields are there, whatever the record calls them.
func TestCloudJSONFields(t *testing.T) {
	for _, c := range []struct{ record, field, want string }{
		{"GCP key issued", "gcp.audit.method_name", "google.iam.admin.v1.CreateServiceAccountKey"},
		{"Workspace", "eventName", "download"},
		{"Workspace", "eventService", "drive.googleapis.com"},
		{"Workspace", "doc_title", "plan"},
		{"Okta, folded names", "eventType", "user.account.privilege.grant"},
		{"Okta, folded names", "authenticationContext.externalSessionId", "s1"},
		{"CrowdStrike process", "Image", `C:\Windows\System32\cmd.exe`},
		{"CrowdStrike process", "CommandLine", "cmd /c x"},
		{"CrowdStrike DNS", "QueryName", "C2.example.net"},
	} {
		for _, r := range cloudRecords {
			if r.name != c.record {
				continue
			}
			names := model.NewNames()
			b := &Batch{}
			JSON(Options{Names: names}).Decode(Chunk{Data: []byte(r.text)}, b)
			if len(b.Events) != 1 || b.Events[0].Text(names.ID(c.field)) != c.want {
				t.Errorf("%s: %s is %q, want %q", c.record, c.field, b.Events[0].Text(names.ID(c.field)), c.want)
			}
		}
	}
}

func FuzzCloudJSON(f *testing.F) {
	for _, c := range cloudRecords {
		f.Add([]byte(c.text))
	}
	d := JSON(Options{Names: model.NewNames()})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &Batch{}
		d.Decode(Chunk{Data: data}, b)
		for i := range b.Events {
			if b.Events[i].Time.IsZero() {
				t.Fatal("an event without a time")
			}
			for _, e := range b.Events[i].Entities {
				if e.Value == "" {
					t.Fatalf("an entity without a value: %+v", e)
				}
			}
		}
	})
}
