package decode

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

func TestOCSF(t *testing.T) {
	event := func(class, activity, product, more string) string {
		return `{"class_uid":` + class + `,"activity_id":` + activity + `,"status_id":1,"severity_id":1,"time":1709460000500,"metadata":{"version":"1.1.0","product":{"name":"` + product + `","vendor_name":"Acme"}},` + more + `}`
	}
	checkGolden(t, "ocsf", "pc1", []golden{
		{event("1007", "1", "EDR", `"type_name":"Process Activity: Launch","device":{"hostname":"PC1","os":{"type":"Windows","type_id":100}},"actor":{"process":{"pid":7,"uid":"P1","file":{"path":"C:\\p.exe"},"cmd_line":"p"},"user":{"name":"Bob","domain":"CORP"}},`+
			`"process":{"pid":42,"uid":"U1","cmd_line":"x -a","file":{"path":"C:\\x.exe"}}`),
			"windows/process_creation/edr", `process_start Process Activity: Launch edr user/actor=corp\bob process/subject=u1 process/parent=p1 file/object=pc1:c:\x.exe`,
			[]string{"CommandLine=x -a", `ParentImage=C:\p.exe`, `Image=C:\x.exe`}},
		{event("1001", "4", "EDR", `"activity_name":"Delete","device":{"hostname":"PC1","os":{"type":"Linux","type_id":200}},"actor":{"process":{"pid":7}},"file":{"path":"/etc/x"}`),
			"linux/file_delete/edr", "file_delete Delete edr process/actor=pc1:7 file/object=pc1:/etc/x", []string{"TargetFilename=/etc/x"}},
		{event("201002", "2", "EDR", `"activity_name":"Set","device":{"hostname":"PC1"},"actor":{"process":{"pid":7}},"reg_value":{"path":"HKLM\\x","data":"v"}`),
			"windows/registry_set/edr", "registry_set Set edr process/actor=pc1:7", []string{`TargetObject=HKLM\x`, "Details=v"}},
	})
	checkGolden(t, "ocsf", "", []golden{
		{event("4001", "1", "Firewall", `"activity_name":"Open","src_endpoint":{"ip":"10.0.0.5","port":4000},"dst_endpoint":{"ip":"203.0.113.9","port":443},"connection_info":{"protocol_name":"TCP","direction_id":2}`),
			"acme/firewall/firewall", "connect Open firewall ip/src=10.0.0.5 ip/dst=203.0.113.9", []string{"DestinationPort=443", "Protocol=tcp", "Initiated=true"}},
		{event("4001", "5", "Firewall", `"activity_name":"Refuse","src_endpoint":{"ip":"10.0.0.5"},"dst_endpoint":{"ip":"203.0.113.9"}`), "acme/firewall/firewall", "none Refuse firewall ip/src=10.0.0.5 ip/dst=203.0.113.9", nil},
		{event("4003", "1", "DNS", `"activity_name":"Query","src_endpoint":{"ip":"10.0.0.5"},"query":{"hostname":"X.example.","type":"A"}`), "acme/dns/dns", "dns Query dns ip/src=10.0.0.5 domain/object=x.example", []string{"query=X.example."}},
		{event("3002", "1", "IdP", `"activity_name":"Logon","src_endpoint":{"ip":"203.0.113.7"},"user":{"name":"Bob","email_addr":"Bob@x.example"}`), "acme//idp", "logon Logon idp user/target=bob@x.example ip/src=203.0.113.7", nil},
		{strings.Replace(event("3002", "1", "IdP", `"activity_name":"Logon","actor":{"user":{"name":"Bob"}}`), `"status_id":1`, `"status_id":2`, 1), "acme//idp", "logon_failed Logon idp user/target=bob", nil},
		{event("3006", "3", "IdP", `"activity_name":"Add User","actor":{"user":{"email_addr":"adm@x.example"}},"user":{"email_addr":"bob@x.example"},"group":{"name":"Admins","uid":"G1"}`),
			"acme//idp", "account_change Add User idp user/actor=adm@x.example user/target=bob@x.example resource/object=g1", nil},
		{strings.Replace(event("6003", "99", "GitHub Audit Log", `"api":{"operation":"git.push"},"actor":{"user":{"name":"Eve"}},"resources":[{"uid":"7","name":"corp/shop"}],"src_endpoint":{"ip":"203.0.113.7"}`), "Acme", "GitHub", 1),
			"github//github audit log", `object_write git.push github audit log user/actor=github.com\eve ip/src=203.0.113.7 resource/target=github.com/corp/shop`, nil},
		{strings.Replace(event("6003", "1", "Okta System Log", `"api":{"operation":"system.api_token.create"},"actor":{"user":{"email_addr":"adm@x.example"}}`), "Acme", "Okta", 1),
			"okta//okta system log", "key_issued system.api_token.create okta system log user/actor=adm@x.example", nil},
		{strings.Replace(event("4002", "3", "AWS WAF", `"activity_name":"Get","cloud":{"provider":"AWS"},"src_endpoint":{"ip":"203.0.113.7"},"http_request":{"url":{"hostname":"shop.example","path":"/x"}}`), "Acme", "AWS", 1),
			"aws/firewall/aws waf", "none Get aws waf ip/src=203.0.113.7 domain/dst=shop.example url/object=http://shop.example/x", nil},
		{event("6003", "4", "App", `"api":{"operation":"DeleteKey"},"actor":{"user":{"email_addr":"adm@x.example","credential_uid":"K1"}},"resources":[{"uid":"r1"},{"uid":"r2"}],"src_endpoint":{"ip":"203.0.113.7"}`),
			"acme//app", "object_delete DeleteKey app user/actor=adm@x.example ip/src=203.0.113.7 access_key/actor=K1 resource/target=r1 resource/target=r2", nil},
		{event("3001", "1", "CloudTrail", `"api":{"operation":"CreateUser","service":{"name":"iam.amazonaws.com"},"request":{"data":"{\"userName\":\"eve\"}"},"response":{"data":"{\"user\":{\"arn\":\"arn:aws:iam::1:user/eve\"}}"}},`+
			`"actor":{"user":{"type":"IAMUser","uid":"arn:aws:iam::1:user/adm","name":"adm","credential_uid":"AKIAX","account":{"uid":"1"}}},"cloud":{"provider":"AWS","region":"r"},"src_endpoint":{"ip":"203.0.113.7"},"http_request":{"user_agent":"cli"}`),
			"aws//cloudtrail", "account_change CreateUser cloudtrail user/actor=arn:aws:iam::1:user/adm access_key/actor=AKIAX ip/src=203.0.113.7 user/target=arn:aws:iam::1:user/eve",
			[]string{"eventName=CreateUser", "eventSource=iam.amazonaws.com", "requestParameters.userName=eve", "userAgent=cli", "awsRegion=r", "sourceIPAddress=203.0.113.7"}},
	})
}

// TestOCSFPairs measures how far the published translation of a vendor's record
// into OCSF and the record itself come out as the same event.
func TestOCSFPairs(t *testing.T) {
	dir := evidenceDir(t, "ocsf_examples")
	type tally struct{ pairs, events, compared, agree int }
	classes := map[string]*tally{}
	fields := map[string]*tally{}
	o := Options{Names: model.NewNames(), Mappings: shippedMappings(t)}
	registry := NewRegistry(WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	read := func(path string) *model.Event {
		data, err := os.ReadFile(path) //nolint:gosec // a test reads test data
		if err != nil {
			return nil
		}
		d := registry.Detect(data)
		if d == nil {
			return nil
		}
		b := readBatch(t, d, data)
		if len(b.Alerts) > 0 {
			a := &b.Alerts[0]
			return &model.Event{Format: a.Format, Time: a.Time, Subsystem: a.Subsystem, Entities: a.Entities, Code: a.Rule.Title}
		}
		if len(b.Events) == 0 || b.Events[0].Format == "json" {
			return nil
		}
		registry.Entities(&b.Events[0])
		return &b.Events[0]
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".ocsf") {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // a test reads test data
		if err != nil {
			return err
		}
		class := jsonString(memberText(string(data), "class_name")) + " " + memberText(string(data), "class_uid")
		c := classes[class]
		if c == nil {
			c = &tally{}
			classes[class] = c
		}
		c.pairs++
		ocsf, raw := read(path), read(strings.TrimSuffix(path, ".ocsf")+".raw")
		if ocsf != nil {
			c.events++
		}
		if ocsf == nil || raw == nil {
			t.Logf("%s: read as OCSF %v, as itself %v", path, ocsf != nil, raw != nil)
			return nil
		}
		said := func(e *model.Event) map[string]string {
			out := map[string]string{"time": e.Time.Truncate(time.Second).Format(time.RFC3339), "act": e.Act.String(), "subsystem": string(e.Subsystem), "product": e.Source.Product}
			for _, x := range e.Entities {
				key := string(x.Type) + "/" + string(x.Role)
				out[key] = strings.TrimSpace(out[key] + " " + x.Value)
			}
			return out
		}
		a, b := said(raw), said(ocsf)
		for key, want := range a {
			f := fields[key]
			if f == nil {
				f = &tally{}
				fields[key] = f
			}
			f.compared++
			c.compared++
			if b[key] == want {
				f.agree++
				c.agree++
			} else {
				t.Logf("%s: %s is %q in OCSF, %q in the record", path[len(dir):], key, b[key], want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	total, agree := 0, 0
	keys := make([]string, 0, len(classes))
	for class := range classes {
		keys = append(keys, class)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	for _, class := range keys {
		c := classes[class]
		total, agree = total+c.compared, agree+c.agree
		t.Logf("%-28s %2d pairs, %2d read, %d of %d fields agree", class, c.pairs, c.events, c.agree, c.compared)
	}
	for key, f := range fields {
		t.Logf("field %-20s %d of %d", key, f.agree, f.compared)
	}
	if total == 0 || agree*10 < total*7 {
		t.Errorf("%d of %d fields agree", agree, total)
	}
}
