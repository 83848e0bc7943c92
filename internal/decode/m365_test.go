package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestMicrosoftCloud(t *testing.T) {
	for name, c := range map[string]struct {
		record   string
		source   model.LogSource
		act      model.Act
		slots    []string
		entities []string
	}{
		"entra audit row": {
			`{"TimeGenerated":"2024-05-01T10:00:00Z","OperationName":"Update application – Certificates and secrets management ","Category":"ApplicationManagement","LoggedByService":"Core Directory","InitiatedBy":"{\"user\":{\"userPrincipalName\":\"Bob@corp.example\",\"ipAddress\":\"203.0.113.4\"}}","TargetResources":"[{\"id\":\"app-1\",\"displayName\":\"Tool\",\"type\":\"Application\",\"modifiedProperties\":[{\"displayName\":\"KeyDescription\",\"newValue\":\"[]\"}]},{\"id\":\"u-1\",\"displayName\":null,\"type\":\"User\",\"userPrincipalName\":\"eve@corp.example\"}]"}`,
			model.LogSource{Product: "azure", Service: "auditlogs"}, model.ActKeyIssued,
			[]string{"TargetResources.modifiedProperties.displayName=KeyDescription", "InitiatedBy.user.userPrincipalName=Bob@corp.example"},
			[]string{"user/actor bob@corp.example", "ip/src 203.0.113.4", "app/target app-1 (Tool)", "user/target eve@corp.example [u-1]"}},
		"entra sign-in": {
			`{"time":"2024-05-01T10:00:00Z","operationName":"Sign-in activity","category":"SignInLogs","resultType":"50126","resourceId":"/tenants/x","properties":{"userPrincipalName":"bob@corp.example","ipAddress":"203.0.113.4","appId":"a","appDisplayName":"Portal"}}`,
			model.LogSource{Product: "azure", Service: "signinlogs"}, model.ActLogonFailed, []string{"properties.appDisplayName=Portal"},
			[]string{"ip/src 203.0.113.4", "user/target bob@corp.example", "app/object a (Portal)"}},
		"mail access": {
			`{"CreationTime":"2024-05-01T10:00:00","Operation":"MailItemsAccessed","Workload":"Exchange","ResultStatus":"Succeeded","UserId":"bob@corp.example","ClientIPAddress":"203.0.113.4:443","MailboxOwnerUPN":"Boss@corp.example","ClientAppId":"app-2","OperationProperties":[{"Name":"MailAccessType","Value":"Bind"}]}`,
			model.LogSource{Product: "m365", Service: "exchange"}, model.ActMailAccess, []string{"eventName=MailItemsAccessed", "eventSource=Exchange", "status=success", "OperationProperties.Value=Bind"},
			[]string{"user/actor bob@corp.example", "ip/src 203.0.113.4", "app/actor app-2", "mailbox/target boss@corp.example"}},
		"defender process": {
			`{"Timestamp":"2024-05-01T10:00:00Z","DeviceName":"WS1.corp.example","ActionType":"ProcessCreated","ProcessId":42,"FolderPath":"C:\\a.exe","ProcessCommandLine":"a -x","InitiatingProcessId":7,"InitiatingProcessFolderPath":"C:\\p.exe","InitiatingProcessAccountDomain":"corp","InitiatingProcessAccountName":"bob","InitiatingProcessLogonId":255,"SHA256":""}`,
			model.LogSource{Product: "windows", Category: "process_creation", Service: "defender"}, model.ActProcessStart, []string{`Image=C:\a.exe`, "CommandLine=a -x", `ParentImage=C:\p.exe`},
			[]string{"host/subject ws1.corp.example", `process/subject ws1.corp.example:42 (C:\a.exe)`, `process/parent ws1.corp.example:7 (C:\p.exe)`, `file/object ws1.corp.example:c:\a.exe`,
				`user/actor corp\bob`, "session/actor ws1.corp.example:0xff"}},
		"flow": {
			`{"TimeGenerated":"2024-05-01T10:00:00Z","Type":"VMConnection","Computer":"UB5","SourceIp":"10.0.0.5","DestinationIp":"10.0.0.6","DestinationPort":8888}`,
			model.LogSource{Product: "azure", Category: "network_connection", Service: "vmconnection"}, model.ActConnect, nil,
			[]string{"host/subject ub5", "ip/src 10.0.0.5", "ip/dst 10.0.0.6"}},
	} {
		e, names := oneEvent(t, c.record)
		if e.Source != c.source || e.Act != c.act || e.Time.Hour() != 10 {
			t.Errorf("%s: %+v %v %v", name, e.Source, e.Act, e.Time)
		}
		wantSlots(t, names, e, c.slots...)
		wantEntities(t, e, c.entities...)
	}
}
