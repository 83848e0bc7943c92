package simulate

import (
	"encoding/json"
	"time"
)

// office is the identity provider and the mail and files that hang on it.
type office struct {
	w                        *world
	signIns, audits, unified *logFile
}

// row writes a record as one line of JSON. The values are ours and marshal.
func (o *office) row(to *logFile, at time.Time, v any) {
	src, err := json.Marshal(v)
	if err != nil {
		panic("simulate: a row that does not marshal: " + err.Error()) // a mistake in this package
	}
	o.w.add(to, at, line(src))
}

// rowID is a UUID that hangs on what the row says, not on what was drawn before.
func rowID(at time.Time, what string) string {
	s := digest(at.String()+what, 32)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// An application of the identity provider.
type application struct{ name, id string }

var (
	mailApp   = application{"Office 365 Exchange Online", "00000002-0000-0ff1-ce00-000000000000"}
	shellApp  = application{"Microsoft Azure CLI", "04b07795-8ddb-461a-bbee-02f9e1bf7b46"}
	portalApp = application{"Azure Portal", "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"}
)

// signIn is a row of SigninLogs. code is 0 for success, 50126 for a wrong
// password, 50053 for a locked account.
func (o *office) signIn(at time.Time, p *person, app application, ip, country, agent string, code int) {
	type row struct {
		TimeGenerated, OperationName, Category, ResultType, ResultDescription, UserPrincipalName, UserDisplayName, UserId, AppDisplayName, AppId, IPAddress, Location, ClientAppUsed, UserAgent, AuthenticationRequirement, CorrelationId, AADTenantId, Type string
	}
	text, need := "", "multiFactorAuthentication"
	switch code {
	case 50126:
		text, need = "Error validating credentials due to invalid username or password.", "singleFactorAuthentication"
	case 50053:
		text, need = "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.", "singleFactorAuthentication"
	}
	client := "Browser"
	if app == shellApp {
		client, need = "Mobile Apps and Desktop clients", "singleFactorAuthentication"
	}
	o.row(o.signIns, at, row{at.Format("2006-01-02T15:04:05.0000000Z"), "Sign-in activity", "SignInLogs", number(code), text, p.upn(), p.full, p.id, app.name, app.id, ip, country, client, agent, need,
		rowID(at, p.login+ip), tenant, "SigninLogs"})
}

// A target is what an audit event is about.
type target struct {
	ID         string     `json:"id"`
	Name       string     `json:"displayName"`
	Type       string     `json:"type"`
	UPN        string     `json:"userPrincipalName,omitempty"`
	Properties []property `json:"modifiedProperties"`
}

type property struct {
	Name string `json:"displayName"`
	Old  string `json:"oldValue"`
	New  string `json:"newValue"`
}

// audit is a row of AuditLogs.
func (o *office) audit(at time.Time, by *person, ip, operation, category string, targets ...target) {
	type user struct {
		ID  string `json:"id"`
		UPN string `json:"userPrincipalName"`
		IP  string `json:"ipAddress"`
	}
	type initiator struct {
		User user `json:"user"`
	}
	type row struct {
		TimeGenerated, OperationName, Category, Result, LoggedByService, CorrelationId, AADTenantId string
		InitiatedBy                                                                                 initiator
		TargetResources                                                                             []target
		Type                                                                                        string
	}
	for i := range targets {
		if targets[i].Properties == nil {
			targets[i].Properties = []property{}
		}
	}
	o.row(o.audits, at, row{at.Format("2006-01-02T15:04:05.0000000Z"), operation, category, "success", "Core Directory", rowID(at, operation), tenant, initiator{user{by.id, by.upn(), ip}}, targets, "AuditLogs"})
}

// mail is the reading of mail items in somebody's mailbox. client is what the
// mail server calls the protocol.
func (o *office) mail(at time.Time, owner *person, ip, client, app string, items int) {
	type item struct{ InternetMessageId string }
	type folder struct {
		Path        string
		FolderItems []item
	}
	type row struct {
		CreationTime, Id, Operation, OrganizationId         string
		RecordType                                          int
		ResultStatus, UserKey                               string
		UserType, Version                                   int
		Workload, UserId, ClientIPAddress, ClientInfoString string
		AppId, ClientAppId, MailboxOwnerUPN, MailboxGuid    string
		LogonType, OperationCount                           int
		OperationProperties                                 []namedValue
		Folders                                             []folder
	}
	inbox := folder{Path: `\Inbox`}
	for i := range min(items, 8) {
		inbox.FolderItems = append(inbox.FolderItems, item{"<" + digest(owner.login+number(i), 16) + "@mail." + dnsDomain + ">"})
	}
	o.row(o.unified, at, row{at.Format("2006-01-02T15:04:05"), rowID(at, owner.login+ip), "MailItemsAccessed", tenant, 50, "Succeeded", owner.id, 0, 1, "Exchange", owner.upn(), ip, client, app, app,
		owner.upn(), rowID(o.w.day, owner.login), 0, items, []namedValue{{"MailAccessType", "Bind"}, {"IsThrottled", "False"}}, []folder{inbox}})
}

// A namedValue is how the unified audit log writes parameters.
type namedValue struct{ Name, Value string }

// command is a mailbox command such as New-InboxRule.
func (o *office) command(at time.Time, by *person, ip, operation, object string, parameters ...namedValue) {
	type row struct {
		CreationTime, Id, Operation, OrganizationId string
		RecordType                                  int
		ResultStatus, UserKey                       string
		UserType, Version                           int
		Workload, ObjectId, UserId, ClientIP        string
		ExternalAccess                              bool
		Parameters                                  []namedValue
	}
	o.row(o.unified, at, row{at.Format("2006-01-02T15:04:05"), rowID(at, operation+by.login), operation, tenant, 1, "True", by.id, 2, 1, "Exchange", object, by.upn(), ip + ":44321", false, parameters})
}

// document is the use of a file on the intranet.
func (o *office) document(at time.Time, by *person, ip, operation, name string) {
	type row struct {
		CreationTime, Id, Operation, OrganizationId string
		RecordType                                  int
		UserKey                                     string
		UserType, Version                           int
		Workload, ObjectId, UserId, ClientIP        string
		SourceFileName, UserAgent                   string
	}
	o.row(o.unified, at, row{at.Format("2006-01-02T15:04:05"), rowID(at, operation+by.login+name), operation, tenant, 6, by.id, 0, 1, "SharePoint", "https://corp.sharepoint.example/sites/team/" + name, by.upn(), ip, name, browserAgent})
}

const browserAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
