package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// cloudTrailShape is AWS CloudTrail: management and data events, with all fields
// under the dotted names CloudTrail gives them. eventTime is UTC; records that
// passed through a log shipper may carry it only as @timestamp.
func cloudTrailShape() jsonShape {
	return jsonShape{
		name:  "cloudtrail",
		all:   []string{"eventName|eventname"},
		any:   []string{"awsRegion|awsregion", "userIdentity.type|useridentity.type", "eventVersion|eventversion", "eventSource|eventsource"},
		times: []string{"eventTime|eventtime", "@timestamp", "at_sign_timestamp", "p_event_time"},
		field: cloudTrailField,
		emit:  emitCloudTrail,
	}
}

// cloudTrailField gives the members of a record their own names back where a store
// has folded them to lower case, as catalogs for SQL do.
func cloudTrailField(path string) string {
	member, rest, inside := strings.Cut(path, ".")
	for _, name := range [...]string{"eventName", "eventSource", "eventTime", "eventType", "eventVersion", "eventID", "eventCategory", "awsRegion",
		"userIdentity", "requestParameters", "responseElements", "sourceIPAddress", "userAgent", "errorCode", "errorMessage", "recipientAccountId",
		"additionalEventData", "requestID", "readOnly", "managementEvent", "serviceEventDetails", "sharedEventID", "tlsDetails", "apiVersion"} {
		if member != name && strings.EqualFold(member, name) {
			if inside {
				return name + "." + rest
			}
			return name
		}
	}
	return path
}

// cloudTrailLookupShape is a row of CloudTrail's LookupEvents API, which carries
// the record as text.
func cloudTrailLookupShape() jsonShape {
	return jsonShape{
		name: "cloudtrail",
		all:  []string{"CloudTrailEvent"},
		emit: func(w *jsonWorker, b *Batch, e *model.Event) error {
			return w.unwrap(b, e, w.doc.text("CloudTrailEvent"))
		},
	}
}

func emitCloudTrail(w *jsonWorker, b *Batch, e *model.Event) error {
	return finishCloudTrail(b, e, w.doc.text("eventName|eventname"), w.doc.text("eventSource|eventsource"))
}

// finishCloudTrail completes and emits an event whose slots stand in b.
func finishCloudTrail(b *Batch, e *model.Event, name, service string) error {
	e.Source = model.LogSource{Product: "aws", Service: "cloudtrail"}
	e.Code = name
	source := strings.TrimSuffix(service, ".amazonaws.com")
	e.Subsystem = awsSubsystem(source, e.Code)
	failed := b.Text(model.FErrorCode) != ""
	e.Act = awsAct(source, e.Code, failed, b.Text(model.FResponseElementsConsoleLogin))
	return emitTimed(b, e)
}

// awsAct says what an API call did. A refused call changed nothing: it is an
// APICall, but for a logon and a listing, whose attempt says as much.
func awsAct(service, name string, failed bool, login string) model.Act {
	switch name {
	case "ConsoleLogin":
		if login == "Failure" || failed {
			return model.ActLogonFailed
		}
		return model.ActLogon
	case "GetSigninToken":
		return model.ActAPICall
	case "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetSessionToken", "GetFederationToken", "SwitchRole":
		if failed {
			return model.ActAPICall
		}
		return model.ActAssumeRole
	}
	if failed {
		return model.ActAPICall
	}
	switch name {
	case "CreateAccessKey", "CreateLoginProfile", "UpdateLoginProfile", "CreateServiceSpecificCredential", "UploadSSHPublicKey",
		"UploadSigningCertificate", "CreateKeyPair", "ImportKeyPair", "CreateTrustAnchor", "CreateVirtualMFADevice", "UpdateAccessKey":
		return model.ActKeyIssued
	case "StopLogging", "DeleteTrail", "PutEventSelectors", "DeleteFlowLogs", "DeleteLogGroup", "DeleteLogStream",
		"StopConfigurationRecorder", "DeleteConfigurationRecorder", "DeleteDeliveryChannel", "DeleteDetector", "DeleteResolverQueryLogConfig",
		"DeleteEventDataStore", "DisassociateResolverQueryLogConfig":
		return model.ActLogCleared
	case "SendCommand", "StartSession", "SendSSHPublicKey", "SendSerialConsoleSSHPublicKey", "ExecuteCommand", "ResumeSession":
		return model.ActRemoteExec
	case "GetObject", "SelectObjectContent", "GetSecretValue", "BatchGetSecretValue", "GetParameter", "GetParameters", "GetParametersByPath",
		"GetPasswordData", "Decrypt", "GetItem", "BatchGetItem", "Scan", "Query", "DownloadDBLogFilePortion", "GetSnapshotBlock":
		return model.ActObjectRead
	case "PutObject", "CopyObject", "RestoreObject", "UploadPart", "CompleteMultipartUpload", "PutItem", "UpdateItem", "PutSecretValue", "UpdateSecret":
		return model.ActObjectWrite
	case "DeleteObject", "DeleteObjects", "DeleteBucket", "DeleteSecret", "DeleteDBInstance", "DeleteDBCluster", "DeleteSnapshot", "DeleteTable",
		"TerminateInstances", "DeleteVolume", "ScheduleKeyDeletion", "DeleteFileSystem", "DeleteDBSnapshot":
		return model.ActObjectDelete
	}
	if service == "iam" || service == "identitystore" || service == "sso" || service == "cognito-idp" {
		for _, verb := range [...]string{"Create", "Delete", "Update", "Put", "Attach", "Detach", "Add", "Remove", "Deactivate", "Enable", "Set", "Change"} {
			if strings.HasPrefix(name, verb) {
				return model.ActAccountChange
			}
		}
	}
	switch {
	case strings.HasPrefix(name, "List"), strings.HasPrefix(name, "Describe"), strings.HasPrefix(name, "Search"), strings.HasPrefix(name, "Lookup"):
		return model.ActObjectList
	case strings.HasPrefix(name, "Put"), strings.HasPrefix(name, "Modify"), strings.HasPrefix(name, "Update"), strings.HasPrefix(name, "Authorize"),
		strings.HasPrefix(name, "Revoke"), strings.HasPrefix(name, "Disable"), strings.HasPrefix(name, "Enable"), strings.HasPrefix(name, "Leave"),
		strings.HasPrefix(name, "Set"), strings.HasPrefix(name, "Attach"), strings.HasPrefix(name, "Detach"), strings.HasPrefix(name, "Associate"),
		strings.HasPrefix(name, "Disassociate"), strings.HasPrefix(name, "Replace"):
		return model.ActConfigChange
	}
	return model.ActAPICall
}

// cloudTrailEntities fills e.Entities: who called (user, role session, role, key),
// from where, and on what. The host is none: API calls happen at the provider.
func cloudTrailEntities(e *model.Event) {
	var s entitySet
	account := e.Text(model.FRecipientAccountId)
	arn := e.Text(model.FUserIdentityArn)
	switch typ := e.Text(model.FUserIdentityType); typ {
	case "AssumedRole", "FederatedUser":
		s.roleSession(model.Actor, arn)
		s.add(model.IAMRole, model.Actor, e.Text(model.FUserIdentitySessionContextSessionIssuerArn), e.Text(model.FUserIdentitySessionContextSessionIssuerUserName), "")
	case "SAMLUser", "WebIdentityUser":
		s.federated(e.Text(model.FUserIdentityUserName))
	case "AWSService":
		s.add(model.App, model.Actor, e.Text(model.FUserIdentityInvokedBy), "", "")
	case "AWSAccount":
		s.add(model.User, model.Actor, firstOf(arn, e.Text(model.FUserIdentityPrincipalId), e.Text(model.FUserIdentityAccountId)), "", "")
	default:
		name := e.Text(model.FUserIdentityUserName)
		if arn == "" && name != "" && name != "HIDDEN_DUE_TO_SECURITY_REASONS" {
			arn = iamARN(firstOf(e.Text(model.FUserIdentityAccountId), account), "user/"+name)
		}
		if arn == "" {
			arn = e.Text(model.FUserIdentityPrincipalId)
		}
		s.add(model.User, model.Actor, arn, name, joinIDs(e.Text(model.FUserIdentityPrincipalId)))
	}
	s.add(model.AccessKey, model.Actor, e.Text(model.FUserIdentityAccessKeyId), "", "")
	if from := e.Text(model.FSourceIPAddress); from != "" {
		if _, ok := usableIP(from); ok {
			s.ip(model.Src, from)
		} else if strings.HasSuffix(from, ".amazonaws.com") {
			s.add(model.App, model.Actor, from, "", "")
		}
	}

	// What the call handed out.
	s.add(model.AccessKey, model.Target, firstOf(e.Text(model.FResponseElementsCredentialsAccessKeyId), e.Text(model.FResponseElementsAccessKeyAccessKeyId)), "", "")
	role := e.Text(model.FRequestParametersRoleArn)
	s.add(model.IAMRole, model.Target, role, "", "")
	session := e.Text(model.FResponseElementsAssumedRoleUserArn)
	if session == "" && e.Act == model.ActAssumeRole {
		session = sessionARN(role, e.Text(model.FRequestParametersRoleSessionName))
	}
	s.roleSession(model.Target, session)
	s.roleSession(model.Target, e.Text(model.FResponseElementsFederatedUserArn))
	if name := e.Text(model.FRequestParametersRoleName); name != "" {
		s.add(model.IAMRole, model.Target, firstOf(e.Text(model.FResponseElementsRoleArn), iamARN(account, "role/"+name)), name, "")
	}
	if name := e.Text(model.FRequestParametersUserName); name != "" {
		s.add(model.User, model.Target, firstOf(e.Text(model.FResponseElementsUserArn), iamARN(account, "user/"+name)), name, "")
	} else if e.Act == model.ActLogon || e.Act == model.ActLogonFailed {
		s.add(model.User, model.Target, arn, e.Text(model.FUserIdentityUserName), "")
	}
	cloudTrailResources(e, &s)
	s.addresses(e)
	e.Entities = s.list
}

// maxResources bounds the resources of one call: a batch call may name thousands.
const maxResources = 32

// cloudTrailResources adds what the call worked on.
func cloudTrailResources(e *model.Event, s *entitySet) {
	n := 0
	for i := range e.Slots {
		slot := &e.Slots[i]
		v := slot.Text
		if v == "" || n >= maxResources {
			continue
		}
		name := ""
		switch slot.Field {
		case model.FResourcesARN:
			if strings.Contains(v, ":role/") {
				s.add(model.IAMRole, model.Target, v, "", "")
				continue
			}
		case model.FRequestParametersBucketName:
			name = v
			if key := e.Text(model.FRequestParametersKey); key != "" {
				s.add(model.Resource, model.Target, "arn:aws:s3:::"+v+"/"+key, key, "")
			}
			v = "arn:aws:s3:::" + v
		case model.FRequestParametersGroupName, model.FRequestParametersPolicyName, model.FRequestParametersTrailName,
			model.FRequestParametersClusterName, model.FRequestParametersName:
			if e.Subsystem == model.Identity && slot.Field == model.FRequestParametersGroupName {
				v = iamARN(e.Text(model.FRecipientAccountId), "group/"+v)
			}
		case model.FRequestParametersInstanceId, model.FRequestParametersInstancesSetItemsInstanceId, model.FResponseElementsInstancesSetItemsInstanceId,
			model.FRequestParametersSecretId, model.FRequestParametersSecretIdList, model.FRequestParametersPolicyArn, model.FRequestParametersFunctionName,
			model.FRequestParametersDBInstanceIdentifier, model.FRequestParametersDBSnapshotIdentifier, model.FRequestParametersSnapshotId,
			model.FRequestParametersImageId, model.FRequestParametersGroupId, model.FRequestParametersKeyId, model.FRequestParametersTarget,
			model.FRequestParametersInstanceIds, model.FRequestParametersTargetsValues, model.FRequestParametersVolumeId, model.FRequestParametersResourceArn:
		default:
			continue
		}
		s.add(model.Resource, model.Target, v, name, "")
		n++
	}
}

// roleSession adds a role session by its ARN; where the session is named after an
// instance ("i-..."), it is that instance's own, and the instance is the subject.
func (s *entitySet) roleSession(role model.Role, arn string) {
	if arn == "" {
		return
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	if role == model.Actor {
		s.add(model.User, role, arn, name, "")
	}
	if isInstanceID(name) {
		s.add(model.Resource, model.Subject, name, "", "")
	}
	s.add(model.Session, role, arn, name, "")
}

// sessionARN is the ARN of a role's session, as STS makes it: the role's path is
// left out.
func sessionARN(role, name string) string {
	account, path, ok := strings.Cut(strings.TrimPrefix(role, "arn:aws:iam::"), ":role/")
	if !ok || name == "" {
		return ""
	}
	return "arn:aws:sts::" + account + ":assumed-role/" + path[strings.LastIndexByte(path, '/')+1:] + "/" + name
}

// isInstanceID reports whether s is an EC2 instance id: i- and 8 or 17 hex digits.
func isInstanceID(s string) bool {
	if len(s) != 10 && len(s) != 19 || s[:2] != "i-" {
		return false
	}
	return strings.Trim(s[2:], "0123456789abcdef") == ""
}

// iamARN builds the ARN of a thing in IAM; without an account it is just the name.
func iamARN(account, what string) string {
	if account == "" {
		return what[strings.IndexByte(what, '/')+1:]
	}
	return "arn:aws:iam::" + account + ":" + what
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
