package simulate

import (
	"bufio"
	"fmt"
	"strconv"
	"time"
)

// A caller is who calls AWS: a user with a key, or a session of a role.
type caller struct {
	user    string // of an IAM user
	role    string // of a role's session
	session string
	key     string
	service string // of AWS itself, "ec2.amazonaws.com"
}

func (c caller) arn() string {
	if c.role != "" {
		return "arn:aws:sts::" + account + ":assumed-role/" + c.role + "/" + c.session
	}
	return "arn:aws:iam::" + account + ":user/" + c.user
}

// A call is one call of the AWS API, as CloudTrail records it.
type call struct {
	at          time.Time
	by          caller
	ip, agent   string
	service     string // s3
	name        string // GetObject
	request     string // requestParameters as JSON, "" for null
	response    string // responseElements likewise
	failed      string // errorCode
	bucket, key string // of data events
	write       bool
}

// cloud is the AWS account.
type cloud struct {
	w *world
}

// call writes a call into the file of its hour, as CloudTrail delivers them.
func (c *cloud) call(at time.Time, k call) {
	k.at = at
	path := fmt.Sprintf("aws/CloudTrail/%s/%s/%s_CloudTrail_%s_%s.json.gz", region, at.Format("2006/01/02"), account, region, at.Truncate(time.Hour).Format("20060102T1504Z"))
	c.w.add(c.w.file(path, cloudTrailFormat{}), at, &k)
}

// object is a call on an object of a bucket.
func (c *cloud) object(at time.Time, by caller, ip, agent, name, bucket, key string) {
	c.call(at, call{by: by, ip: ip, agent: agent, service: "s3", name: name, bucket: bucket, key: key, write: name == "PutObject",
		request: `{"bucketName":"` + bucket + `","Host":"` + bucket + ".s3." + region + `.amazonaws.com","key":"` + key + `"}`})
}

// cloudTrailFormat is one file of CloudTrail: {"Records": [...]}.
type cloudTrailFormat struct{}

func (cloudTrailFormat) render(b *bufio.Writer, rs []record) []int64 {
	j := jsonText{b: b}
	j.raw(`{"Records":[`)
	for i := range rs {
		k := rs[i].body.(*call)
		if i > 0 {
			j.raw(",")
		}
		j.raw(`{"eventVersion":"1.11","userIdentity":`)
		switch {
		case k.by.service != "":
			j.raw(`{"type":"AWSService","invokedBy":`).str(k.by.service).raw(`}`)
		case k.by.role != "":
			id := "AROA" + awsID(digest(k.by.role, 17))
			j.raw(`{"type":"AssumedRole","principalId":`).str(id + ":" + k.by.session).raw(`,"arn":`).str(k.by.arn()).raw(`,"accountId":"` + account + `","accessKeyId":`).str(k.by.key)
			j.raw(`,"sessionContext":{"sessionIssuer":{"type":"Role","principalId":`).str(id).raw(`,"arn":`).str("arn:aws:iam::" + account + ":role/" + k.by.role)
			j.raw(`,"accountId":"` + account + `","userName":`).str(k.by.role).raw(`},"attributes":{"creationDate":`).str(k.at.Truncate(time.Hour).Format(time.RFC3339)).raw(`,"mfaAuthenticated":"false"}}}`)
		default:
			j.raw(`{"type":"IAMUser","principalId":`).str("AIDA" + awsID(digest(k.by.user, 17))).raw(`,"arn":`).str(k.by.arn()).raw(`,"accountId":"` + account + `","accessKeyId":`).str(k.by.key).raw(`,"userName":`).str(k.by.user).raw(`}`)
		}
		j.raw(`,"eventTime":`).str(k.at.Format(time.RFC3339)).raw(`,"eventSource":`).str(k.service + ".amazonaws.com").raw(`,"eventName":`).str(k.name)
		j.raw(`,"awsRegion":"` + region + `","sourceIPAddress":`).str(k.ip).raw(`,"userAgent":`).str(k.agent)
		if k.failed != "" {
			j.raw(`,"errorCode":`).str(k.failed).raw(`,"errorMessage":`).str("User: " + k.by.arn() + " is not authorized to perform: " + k.service + ":" + k.name)
		}
		j.raw(`,"requestParameters":`).raw(orNull(k.request)).raw(`,"responseElements":`).raw(orNull(k.response))
		id := digest(fmt.Sprint(k.at.UnixNano(), k.name, k.ip, k.key, k.by.key), 32)
		j.raw(`,"requestID":`).str(awsID(id[:16])).raw(`,"eventID":`).str(id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:])
		j.raw(`,"readOnly":`).raw(strconv.FormatBool(!k.write))
		if k.bucket != "" {
			j.raw(`,"resources":[{"type":"AWS::S3::Object","ARN":`).str("arn:aws:s3:::" + k.bucket + "/" + k.key).raw(`},{"accountId":"` + account + `","type":"AWS::S3::Bucket","ARN":`).str("arn:aws:s3:::" + k.bucket).raw(`}]`)
			j.raw(`,"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"` + account + `","eventCategory":"Data"}`)
		} else {
			j.raw(`,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"` + account + `","eventCategory":"Management"}`)
		}
	}
	j.raw("]}\n")
	return numbersOf(rs)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// awsID makes hex digits look like AWS's ids, which are capital letters
// and digits.
func awsID(hex string) string {
	b := []byte(hex)
	for i, c := range b {
		if c >= 'a' {
			b[i] = c - 'a' + 'P'
		}
	}
	return string(b)
}
