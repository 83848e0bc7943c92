package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestCloudTrail(t *testing.T) {
	const head = `"eventVersion":"1.08","eventTime":"2024-05-01T10:00:00Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333",`
	const user = `"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/bob","userName":"bob","accessKeyId":"AKIA1"},"sourceIPAddress":"203.0.113.7",`
	const role = `"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Web/i-0123456789abcdef0","accessKeyId":"ASIA1","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/Web","userName":"Web"}}},"sourceIPAddress":"203.0.113.7",`
	bob := []string{"user/actor arn:aws:iam::111122223333:user/bob (bob)", "access_key/actor AKIA1", "ip/src 203.0.113.7"}
	web := []string{"user/actor arn:aws:sts::111122223333:assumed-role/Web/i-0123456789abcdef0 (i-0123456789abcdef0)", "resource/subject i-0123456789abcdef0",
		"session/actor arn:aws:sts::111122223333:assumed-role/Web/i-0123456789abcdef0 (i-0123456789abcdef0)", "role/actor arn:aws:iam::111122223333:role/Web (Web)",
		"access_key/actor ASIA1", "ip/src 203.0.113.7"}
	for _, c := range []struct {
		record    string
		act       model.Act
		subsystem model.Subsystem
		who       []string
		more      []string
	}{
		{head + user + `"eventSource":"s3.amazonaws.com","eventName":"ListBuckets"`, model.ActObjectList, model.Storage, bob, nil},
		{head + role + `"eventSource":"s3.amazonaws.com","eventName":"GetObject","requestParameters":{"bucketName":"b","key":"k/x"},"resources":[{"ARN":"arn:aws:s3:::b/k/x"}]`,
			model.ActObjectRead, model.Storage, web, []string{"resource/target arn:aws:s3:::b/k/x (k/x)", "resource/target arn:aws:s3:::b (b)"}},
		{head + user + `"eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey","requestParameters":{"userName":"eve"},"responseElements":{"accessKey":{"accessKeyId":"AKIA2","userName":"eve"}}`,
			model.ActKeyIssued, model.Identity, bob, []string{"access_key/target AKIA2", "user/target arn:aws:iam::111122223333:user/eve (eve)"}},
		{head + user + `"eventSource":"iam.amazonaws.com","eventName":"CreateAccessKey","errorCode":"AccessDenied","requestParameters":{"userName":"eve"}`,
			model.ActAPICall, model.Identity, bob, []string{"user/target arn:aws:iam::111122223333:user/eve (eve)"}},
		{head + user + `"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","requestParameters":{"name":"trail"}`, model.ActLogCleared, model.Management, bob, []string{"resource/target trail"}},
		{head + `"userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"sourceIPAddress":"ec2.amazonaws.com","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/p/Web","roleSessionName":"i-0123456789abcdef0"},"responseElements":{"credentials":{"accessKeyId":"ASIA1"}}`,
			model.ActAssumeRole, model.Identity, []string{"app/actor ec2.amazonaws.com"},
			[]string{"access_key/target ASIA1", "role/target arn:aws:iam::111122223333:role/p/Web", "resource/subject i-0123456789abcdef0",
				"session/target arn:aws:sts::111122223333:assumed-role/Web/i-0123456789abcdef0 (i-0123456789abcdef0)"}},
		{head + user + `"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}`, model.ActLogonFailed, model.Identity, bob,
			[]string{"user/target arn:aws:iam::111122223333:user/bob (bob)"}},
	} {
		e, names := oneEvent(t, "{"+c.record+"}")
		if e.Format != "cloudtrail" || e.Source != (model.LogSource{Product: "aws", Service: "cloudtrail"}) || e.Act != c.act || e.Subsystem != c.subsystem || e.Host != "" {
			t.Errorf("%s: %v %v %+v host %q", e.Code, e.Act, e.Subsystem, e.Source, e.Host)
		}
		wantSlots(t, names, e, "awsRegion=eu-west-1", "eventName="+e.Code)
		wantEntities(t, e, append(append([]string(nil), c.who...), c.more...)...)
	}
}

func TestCloudTrailLookup(t *testing.T) {
	e, names := oneEvent(t, `{"EventId":"1","EventName":"X","CloudTrailEvent":"{\"eventVersion\":\"1.08\",\"eventTime\":\"2022-02-07T22:23:37Z\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"TerminateInstances\",\"awsRegion\":\"r\"}"}`)
	if e.Act != model.ActObjectDelete || e.Code != "TerminateInstances" {
		t.Errorf("%+v", e)
	}
	wantSlots(t, names, e, "eventSource=ec2.amazonaws.com")
}
