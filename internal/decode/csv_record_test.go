package decode

import (
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// A table that was exported is read as the records that its rows are, whoever wrote
// the table.
func TestTablesAreRecords(t *testing.T) {
	for name, c := range map[string]struct {
		table, format, source, want string
	}{
		"a workspace's portal": {
			"TenantId,\"TimeGenerated [UTC]\",Computer,EventID,NewProcessName,SubjectUserName,SubjectDomainName\n" +
				"t,2024-03-03T10:00:00Z,WS1,4688,C:\\Windows\\System32\\whoami.exe,Bob,CORP\n",
			"windows-json", "windows/process_creation/security",
			`process_start 4688 security user/actor=corp\bob file/object=ws1:c:\windows\system32\whoami.exe`},
		"a data frame, with objects as text": {
			",eventTime,eventSource,eventName,eventVersion,awsRegion,userIdentity,sourceIPAddress\n" +
				`7,2024-03-03T10:00:00Z,iam.amazonaws.com,CreateUser,1.08,eu-west-1,"{""type"":""IAMUser"",""arn"":""arn:aws:iam::111122223333:user/eve"",""userName"":""eve""}",203.0.113.9` + "\n",
			"cloudtrail", "aws//cloudtrail", "account_change CreateUser cloudtrail user/actor=arn:aws:iam::111122223333:user/eve ip/src=203.0.113.9"},
		"a search that kept the record": {
			"\"_raw\",\"_time\",host,eventName\n" +
				`"{""eventVersion"":""1.08"",""eventTime"":""2024-03-03T10:00:00Z"",""eventSource"":""s3.amazonaws.com"",""eventName"":""DeleteBucket"",""awsRegion"":""eu-west-1"",""userIdentity"":{""type"":""IAMUser"",""arn"":""arn:aws:iam::111122223333:user/eve""},""sourceIPAddress"":""203.0.113.9""}",2024-03-03T10:00:01.000+0000,collector01,GetObject` + "\n",
			"cloudtrail", "aws//cloudtrail", "object_delete DeleteBucket cloudtrail user/actor=arn:aws:iam::111122223333:user/eve ip/src=203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			d := CSV(Options{Names: model.NewNames()})
			if d.Sniff([]byte(c.table)) == 0 {
				t.Fatal("not seen to be a table of records")
			}
			b, bad := decodeAll(t, d, "table.csv", []byte(c.table))
			if len(b.Events) != 1 || len(bad) != 0 {
				t.Fatalf("%d events, %v", len(b.Events), bad)
			}
			e := &b.Events[0]
			if got := e.Source.Product + "/" + e.Source.Category + "/" + e.Source.Service; e.Format != c.format || got != c.source {
				t.Errorf("format %s, source %s", e.Format, got)
			}
			if got := e.Time.Format("2006-01-02T15:04:05"); got != "2024-03-03T10:00:00" {
				t.Errorf("time %s", got)
			}
			if e.Ref.Record != 2 {
				t.Errorf("record %d", e.Ref.Record)
			}
			if got := describeEvent(e); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What is no table of records stays what it is.
func TestTextIsNoTable(t *testing.T) {
	d := CSV(Options{Names: model.NewNames()})
	for _, in := range []string{
		"file,tactic,technique\na,b,c\n",                  // no time
		"time,name\n1,2\n",                                // too few columns
		"2024-03-03T10:00:00Z,time,10.0.0.1,login\n",      // values
		"time, a message; with words! and more, and some", // prose
		"", ",,,\n", "time,,\n",
	} {
		if n := d.Sniff([]byte(in)); n != 0 {
			t.Errorf("%q: %d", in, n)
		}
	}
}

// A row that is broken or too long is told by its place, and the next is read.
func TestTableRowsThatAreNot(t *testing.T) {
	const in = "TimeGenerated,Computer,EventID,Message\n" +
		"2024-03-03T10:00:00Z,ws1,4625\n" +
		"2024-03-03T10:00:00Z,ws1,4625,a,b\n" +
		"2024-03-03T10:00:00Z,ws1,4625,\"{\"\"not\"\": json\"\n"
	b, bad := decodeAll(t, CSV(Options{Names: model.NewNames()}), "t.csv", []byte(in))
	if len(b.Events) != 1 || len(bad) != 1 || bad[0].Record != 2 || bad[0].Count != 2 {
		t.Errorf("%d events, %+v", len(b.Events), bad)
	}
}
