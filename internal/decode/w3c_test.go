package decode

import (
	"bytes"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func columnLines(t *testing.T, text string, want ...string) {
	t.Helper()
	b, bad := decodeAll(t, Columns(Options{Names: model.NewNames()}), "u_ex.log", []byte(text))
	if len(bad) != 0 || len(b.Events) != len(want) {
		t.Fatalf("%d events, %v", len(b.Events), bad)
	}
	for i := range want {
		e := &b.Events[i]
		if got := e.Time.Format("2006-01-02T15:04:05Z") + " " + e.Source.Product + "/" + e.Source.Category + " " + describeEvent(e) + " host=" + e.Host; got != want[i] {
			t.Errorf("line %d:\n got %s\nwant %s", i, got, want[i])
		}
	}
}

func TestColumnsIIS(t *testing.T) {
	columnLines(t, "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: 2024-03-04 10:00:00\r\n"+
		"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\r\n"+
		"2024-03-04 10:00:01 10.0.0.1 GET /owa/ - 443 - 203.0.113.9 Mozilla/5.0+(X11) - 200 0 0 15\r\n"+
		"2024-03-04 10:00:02 10.0.0.1 POST /up.aspx cmd=whoami 443 CORP\\bob 203.0.113.9 curl%2f8 - 200 0 0 15\r\n"+
		"2024-03-04 10:00:03 10.0.0.1 GET /ecp/ - 443 CORP\\bob 203.0.113.9 - - 401 1 1326 15\r\n"+
		"#Fields: time c-ip cs-method cs-uri-stem sc-status s-computername\r\n"+ // the server was set to log less
		"10:00:04 203.0.113.9 GET /x 404 WEB01\r\n",
		`2024-03-04T10:00:01Z iis/webserver none 200 iis ip/src=203.0.113.9 url/object=http://host-of-u_ex.log/owa/ host=host-of-u_ex.log`,
		`2024-03-04T10:00:02Z iis/webserver connect 200 iis user/actor=corp\bob ip/src=203.0.113.9 url/object=http://host-of-u_ex.log/up.aspx?cmd=whoami host/dst=host-of-u_ex.log host=host-of-u_ex.log`,
		`2024-03-04T10:00:03Z iis/webserver logon_failed 401 iis user/target=corp\bob ip/src=203.0.113.9 url/object=http://host-of-u_ex.log/ecp/ host=host-of-u_ex.log`,
		`2024-03-04T10:00:04Z iis/webserver none 404 iis ip/src=203.0.113.9 url/object=http://web01/x host=web01`)
}

func TestColumnsExchange(t *testing.T) {
	columnLines(t, "#Software: Microsoft Exchange Server\r\n#Log-type: IMAP4 Log\r\n#Fields: dateTime,sessionId,seqNumber,sIp,cIp,user,duration,context\r\n"+
		`2024-03-04T10:00:01.530Z,0E,2,10.0.0.1:143,203.0.113.9:35070,bob,168,"R=""2 NO AUTHENTICATE failed."";Msg=""AuthFailed:LogonDenied,User: bob"""`+"\r\n"+
		"2024-03-04T10:00:02.530Z,0E,3,10.0.0.1:143,203.0.113.9:35070,bob,168,R=ok\r\n",
		`2024-03-04T10:00:01Z exchange/ logon_failed refused exchange user/target=host-of-u_ex.log\bob ip/src=203.0.113.9 host=host-of-u_ex.log`,
		`2024-03-04T10:00:02Z exchange/ none  exchange user/actor=host-of-u_ex.log\bob ip/src=203.0.113.9 host=host-of-u_ex.log`)
}

func TestColumnsFlow(t *testing.T) {
	columnLines(t, "version vpc-id srcaddr dstaddr srcport dstport protocol start end action log-status\n"+
		"5 vpc-1 10.0.0.8 203.0.113.9 5555 443 6 1709546401 1709546461 ACCEPT OK\n"+
		"5 vpc-1 203.0.113.9 10.0.0.8 5 23 6 1709546402 1709546461 REJECT OK\n"+
		"5 vpc-1 - - - - - 1709546403 1709546461 - NODATA\n",
		`2024-03-04T10:00:01Z aws/firewall connect accept vpcflow ip/src=10.0.0.8 ip/dst=203.0.113.9 host=`,
		`2024-03-04T10:00:02Z aws/firewall none reject vpcflow ip/src=203.0.113.9 ip/dst=10.0.0.8 host=`,
		`2024-03-04T10:00:03Z aws/firewall none  vpcflow host=`)
}

// A header far above still names the columns, and bad lines are counted.
func TestColumnsChunks(t *testing.T) {
	var s strings.Builder
	s.WriteString("#Fields: date time c-ip cs-method cs-uri-stem sc-status\n")
	n := 0
	for ; s.Len() < 3*ChunkTarget; n++ {
		s.WriteString("2024-03-04 10:00:01 203.0.113.9 GET /a/long/path/to/something 200\n")
	}
	s.WriteString("2024-03-04 10:00:01 203.0.113.9 GET\n2024-03-04 25:00:01 203.0.113.9 GET / 200\n")
	b, _ := decodeAll(t, Columns(Options{Names: model.NewNames()}), "x", []byte(s.String()))
	if len(b.Events) != n || b.Skipped != 2 || len(b.Errors) != 2 {
		t.Errorf("%d events of %d, %d skipped, %v", len(b.Events), n, b.Skipped, b.Errors)
	}
	b, _ = decodeAll(t, Columns(Options{Names: model.NewNames()}), "x", []byte("2024-03-04 10:00:01 203.0.113.9 GET / 200\n"))
	if len(b.Events) != 0 || b.Skipped != 1 {
		t.Errorf("without #Fields: %d events, %d skipped", len(b.Events), b.Skipped)
	}
}

func FuzzColumns(f *testing.F) {
	f.Add([]byte("#Date: x\n#Fields: date time c-ip cs(User-Agent)\n2024-03-04 10:00:01 1.2.3.4 a+%zz\n#Fields: \nx"))
	f.Add([]byte("version srcaddr dstaddr start log-status\n5 - - 99999999999 OK\n"))
	f.Add([]byte("#Fields: date,time,c-ip\n2024-03-04,10:00:01,\n"))
	d := Columns(Options{Names: model.NewNames()})
	var r Registry
	f.Fuzz(func(t *testing.T, in []byte) {
		d.Sniff(in)
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Events))+b.Skipped != b.Records {
			t.Fatalf("%d events + %d skipped are not %d records", len(b.Events), b.Skipped, b.Records)
		}
		for i := range b.Events {
			r.Entities(&b.Events[i])
		}
	})
}
