package decode

import (
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestSQLServerAudit(t *testing.T) {
	textLines(t, [][2]string{
		{`audit_schema_version:1 event_time:2024-03-04 10:00:01.1234567 sequence_number:1 action_id:LGIF succeeded:false session_id:0 class_type:LX client_ip:203.0.113.9 session_server_principal_name: server_principal_name:sa server_instance_name:DB1\SQL database_name: object_name: statement:Login failed for user 'sa'. additional_information:`,
			`10:00:01 mssql mssql/database logon_failed LGIF mssql user/target=db1\sa ip/src=203.0.113.9 host=db1`},
		{`audit_schema_version:1 event_time:2024-03-04 10:00:01.1234567 sequence_number:1 action_id:SL succeeded:true class_type:U client_ip:10.0.0.8 session_server_principal_name:eve server_principal_name:eve server_instance_name:DB1 database_name:shop schema_name:dbo object_name:cards statement:select 'client_ip:1.1.1.1 action_id:LGIS' additional_information:`,
			`10:00:01 mssql mssql/database object_read SL mssql user/actor=db1\eve ip/src=10.0.0.8 resource/target=db1:database:shop host=db1`},
	})
}

func TestCouchDB(t *testing.T) {
	textLines(t, [][2]string{
		{`[notice] 2024-03-04T10:00:01.579985Z couch@db1 <0.17607.12> e1fed412f8 db.example 203.0.113.9 undefined GET /_all_dbs 200 ok 1`,
			`10:00:01 couchdb couchdb/webserver none 200 couchdb ip/src=203.0.113.9 domain/dst=db.example url/object=http://db.example/_all_dbs host=db1`},
		{`[notice] 2024-03-04T10:00:01.579985Z nonode@nohost <0.17607.12> e1fed412f8 db.example:5984 203.0.113.9 bob GET /shop 401 ok 1`,
			`10:00:01 couchdb couchdb/webserver logon_failed 401 couchdb user/target=host-of-x.log\bob ip/src=203.0.113.9 domain/dst=db.example url/object=http://db.example:5984/shop host=host-of-x.log`},
	})
}

// The log-on in the words of an application that no shape knows.
func TestApplicationJSON(t *testing.T) {
	checkGolden(t, "json", "", []golden{
		{`{"level":2,"time":"2024-03-03T10:00:00+00:00","remoteAddr":"203.0.113.9","user":"--","message":"Login failed: bob (Remote IP: 203.0.113.9)"}`,
			"application/application/", "logon_failed refused  user/target=bob ip/src=203.0.113.9", []string{"user=bob"}},
		{`{"level":"info","time":"2024-03-03T10:00:00.706","sender":"SSH","message":"User \"eve\" logged in with \"password\", from ip \"203.0.113.9\", client version \"x\""}`,
			"application/application/", "logon granted  user/target=eve ip/src=203.0.113.9", nil},
		{`{"level":"error","time":"2024-03-03T10:00:00Z","msg":"Unsuccessful 1FA authentication attempt by user 'bob'","remote_ip":"203.0.113.9"}`,
			"application/application/", "logon_failed refused  user/target=bob ip/src=203.0.113.9", nil},
	})
	var b Batch
	JSON(Options{Names: model.NewNames()}).Decode(Chunk{Data: []byte(`{"level":"info","time":"2024-03-03T10:00:00Z","message":"payment refused","user":"--"}`)}, &b)
	if e := &b.Events[0]; e.Act != model.ActNone || e.Source.Category != "" || e.Text(model.FUserLower) != "--" {
		t.Errorf("what tells of no log-on was changed: %+v", e)
	}
}

// An event copied from a view that folds elements.
func TestFoldedXML(t *testing.T) {
	src := `- <Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">- <System>  <Provider Name="Microsoft-Windows-Security-Auditing" />   <EventID>4625</EventID>   <TimeCreated SystemTime="2024-03-03T10:00:00Z" />   <Channel>Security</Channel>   <Computer>dc1.example</Computer>   </System>- <EventData>  <Data Name="TargetUserName">bob</Data>   </EventData>   </Event>` + "\n"
	d := WindowsXML(Options{Names: model.NewNames()})
	if d.Sniff([]byte(src)) < 90 {
		t.Fatal("not found to be XML of Windows")
	}
	b := &Batch{}
	d.Decode(Chunk{Data: []byte(strings.Repeat(src, 2))}, b)
	if len(b.Events) != 2 || len(b.Errors) > 0 || b.Events[1].Text(model.FTargetUserName) != "bob" || b.Events[1].Code != "4625" {
		t.Errorf("%d events, errors %+v", len(b.Events), b.Errors)
	}
}

// FortiOS' format csv: the same pairs, parted by commas.
func TestFortiGateCSV(t *testing.T) {
	textLines(t, [][2]string{
		{`date=2024-03-04,time=10:00:01,devname="FGT-1",devid="FG1",logid="0000000013",type="traffic",subtype="forward",level="notice",srcip=10.0.0.8,srcport=5555,dstip=203.0.113.9,dstport=443,proto=6,action="accept",msg=it is over, or so`,
			`10:00:01 fortigate fortigate/firewall connect 0000000013 traffic host/sensor=fgt-1 ip/src=10.0.0.8 ip/dst=203.0.113.9 host=fgt-1`},
		{`<189>date=2024-03-04,time=10:00:01,devname=FGT-1,logid=0000000013,type=traffic,subtype=forward,srcip=10.0.0.8,srcport=5555,dstip=203.0.113.9,dstport=443,proto=6,action=deny`,
			`10:00:01 fortigate fortigate/firewall none 0000000013 traffic host/sensor=fgt-1 ip/src=10.0.0.8 ip/dst=203.0.113.9 host=fgt-1`},
	})
}
