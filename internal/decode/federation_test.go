package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// castOf decodes one JSON record or line and says its act and entities.
func castOf(t *testing.T, d Decoder, text string) string {
	t.Helper()
	b := &Batch{}
	if err := d.Frame(strings.NewReader(text), func(c Chunk) error { d.Decode(c, b); return nil }, func(e model.InputError) { t.Errorf("%+v", e) }); err != nil {
		t.Fatal(err)
	}
	if len(b.Events) != 1 {
		t.Fatalf("%d events, %+v", len(b.Events), b.Errors)
	}
	e := &b.Events[0]
	NewRegistry(d).Entities(e)
	out := []string{e.Act.String()}
	for _, x := range e.Entities {
		out = append(out, string(x.Type)+"/"+string(x.Role)+"="+x.Value)
	}
	return strings.Join(out, " ")
}

// Who comes from another realm has the name that this realm gave it.
func TestFederatedIdentities(t *testing.T) {
	o := Options{Names: model.NewNames(), Year: 2024}
	for _, c := range []struct {
		name string
		d    Decoder
		text string
		want []string
		not  string
	}{
		{"SAML", JSON(o), `{"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithSAML","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9",
			"userIdentity":{"type":"SAMLUser","principalId":"x:Bob@example.com","userName":"Bob@example.com","identityProvider":"x"},
			"requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/admin","principalArn":"arn:aws:iam::111122223333:saml-provider/okta"},
			"responseElements":{"credentials":{"accessKeyId":"ASIA1"},"assumedRoleUser":{"arn":"arn:aws:sts::111122223333:assumed-role/admin/Bob@example.com"}},"recipientAccountId":"111122223333","eventID":"1"}`,
			[]string{"assume_role", "user/actor=bob@example.com", "access_key/target=ASIA1", "ip/src=203.0.113.9"}, ":user/"},
		{"a pod's token", JSON(o), `{"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9",
			"userIdentity":{"type":"WebIdentityUser","principalId":"p","userName":"system:serviceaccount:shop:web","identityProvider":"arn:aws:iam::111122223333:oidc-provider/oidc.eks"},
			"requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/web","roleSessionName":"s"},"responseElements":{"credentials":{"accessKeyId":"ASIA2"}},"recipientAccountId":"111122223333","eventID":"2"}`,
			[]string{"assume_role", "user/actor=system:serviceaccount:shop:web", "access_key/target=ASIA2"}, ":user/"},
		{"a service account's key is made", JSON(o), `{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"iam.googleapis.com","methodName":"google.iam.admin.v1.CreateServiceAccountKey","resourceName":"projects/-/serviceAccounts/1",
			"authenticationInfo":{"principalEmail":"eve@example.com"},"response":{"name":"projects/p/serviceAccounts/CI@p.iam.gserviceaccount.com/keys/k1"}},"timestamp":"2024-05-01T10:00:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity"}`,
			[]string{"key_issued", "access_key/target=ci@p.iam.gserviceaccount.com/keys/k1"}, ""},
		{"and used", JSON(o), `{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"storage.googleapis.com","methodName":"storage.objects.list","resourceName":"projects/_/buckets/b",
			"authenticationInfo":{"principalEmail":"ci@p.iam.gserviceaccount.com","serviceAccountKeyName":"//iam.googleapis.com/projects/p/serviceAccounts/ci@p.iam.gserviceaccount.com/keys/k1"}},"timestamp":"2024-05-01T10:00:00Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Fdata_access"}`,
			[]string{"access_key/actor=ci@p.iam.gserviceaccount.com/keys/k1"}, ""},
		{"a managed identity", JSON(o), `{"time":"2024-05-01T10:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V","operationName":"SecretGet","category":"AuditEvent","callerIpAddress":"203.0.113.9",
			"identity":{"claim":{"oid":"o1","appid":"a1","xms_mirid":"/subscriptions/S/resourcegroups/R/providers/Microsoft.Compute/virtualMachines/web01"}},"properties":{"id":"https://v.vault.azure.net/secrets/x"}}`,
			[]string{"resource/subject=/subscriptions/s/resourcegroups/r/providers/microsoft.compute/virtualmachines/web01"}, ""},
		{"a lease", Syslog(o), "May  1 10:00:00 dhcp01 dhcpd: DHCPACK on 10.0.0.50 to 00:11:22:33:44:55 (WS1) via eth0\n",
			[]string{"identify", "host/subject=ws1", "ip/subject=10.0.0.50", "host/sensor=dhcp01"}, ""},
		{"a lease without a name", Syslog(o), "May  1 10:00:00 dhcp01 dhcpd: DHCPACK on 10.0.0.50 to 00:11:22:33:44:55 via eth0\n", []string{"none"}, "identify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := castOf(t, c.d, c.text)
			for _, w := range c.want {
				if !strings.Contains(" "+got+" ", " "+w+" ") {
					t.Errorf("no %s in\n%s", w, got)
				}
			}
			if c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("%q in\n%s", c.not, got)
			}
		})
	}
}
