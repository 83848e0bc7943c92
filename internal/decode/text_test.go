package decode

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

// textLines checks what each line is read as: its time of day, format, product and
// category, act, code, service, entities and host.
func textLines(t *testing.T, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		b, bad := decodeAll(t, Text(Options{Names: model.NewNames(), Year: 2024}), "x.log", []byte(c[0]))
		if len(b.Events) != 1 || len(bad) != 0 {
			t.Errorf("%s: %d events, %v", c[0], len(b.Events), bad)
			continue
		}
		e := &b.Events[0]
		got := e.Time.Format("15:04:05") + " " + e.Format + " " + e.Source.Product + "/" + e.Source.Category + " " + describeEvent(e) + " host=" + e.Host
		if got != c[1] {
			t.Errorf("%s:\n got %s\nwant %s", c[0], got, c[1])
		}
	}
}

func TestTextWeb(t *testing.T) {
	textLines(t, [][2]string{
		{`203.0.113.9 - - [04/Mar/2024:10:00:01 +0100] "GET /a/b.php?x=1%20union HTTP/1.1" 200 512 "https://ref.example/" "agent \"q\" 1"`,
			`09:00:01 access-log webserver/webserver none 200  ip/src=203.0.113.9 url/object=http://host-of-x.log/a/b.php?x=1%20union host=host-of-x.log`},
		{`shop.example.com 203.0.113.9 - alice [04/Mar/2024:10:00:01 +0000] "POST /login HTTP/2.0" 302 -`,
			`10:00:01 access-log webserver/webserver connect 302  user/actor=host-of-x.log\alice ip/src=203.0.113.9 domain/dst=shop.example.com url/object=http://shop.example.com/login host/dst=host-of-x.log host=host-of-x.log`},
		{`2001:db8::7 - bob smith [04/Mar/2024:10:00:01 +0000] "GET /admin HTTP/1.1" 401 12 "-" "-"`,
			`10:00:01 access-log webserver/webserver logon_failed 401  user/target=host-of-x.log\bob smith ip/src=2001:db8::7 url/object=http://host-of-x.log/admin host=host-of-x.log`},
		{`203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "\x16\x03\x01" 400 157 "-" "-"`,
			`10:00:01 access-log webserver/webserver none 400  ip/src=203.0.113.9 host=host-of-x.log`},
		{`203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "GET /?q=a"b" HTTP/1.0" 404 9`,
			`10:00:01 access-log webserver/webserver none 404  ip/src=203.0.113.9 url/object=http://host-of-x.log/?q=a"b" host=host-of-x.log`},
		{`203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "GET http://evil.example:80/x HTTP/1.0" 400 0 "-" "-"`,
			`10:00:01 access-log webserver/webserver none 400  ip/src=203.0.113.9 domain/dst=evil.example url/object=http://evil.example:80/x host=host-of-x.log`},
		{`[04/Mar/2024:10:00:01 +0000] app.example.com 203.0.113.9 0.227 "DELETE /dav/x HTTP/2.0" 207 125 440 - Mozilla/5.0 (X)`,
			`10:00:01 access-log webserver/webserver connect 207  ip/src=203.0.113.9 domain/dst=app.example.com url/object=http://app.example.com/dav/x host/dst=host-of-x.log host=host-of-x.log`},
		{`[04/Mar/2024:10:00:01 +0000] - 200 200 - GET https app.example.com "/v1/x?y=1" [Client 203.0.113.9] [Length 512] [Gzip 1.1] [Sent-to 10.0.0.5] "curl/8" "-"`,
			`10:00:01 access-log webserver/webserver none 200  ip/src=203.0.113.9 domain/dst=app.example.com url/object=http://app.example.com/v1/x?y=1 host=host-of-x.log`},
		{`[GIN] 2024/03/04 - 10:00:01 | 401 |  505.3µs |  203.0.113.9 | POST     "/client"`,
			`10:00:01 access-log webserver/webserver none 401  ip/src=203.0.113.9 url/object=http://host-of-x.log/client host=host-of-x.log`},
		{`Mar  4 10:00:01 web01 nginx: 203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "PUT /up.jsp HTTP/1.1" 201 3 "-" "x"`,
			`10:00:01 access-log nginx/webserver connect 201 nginx ip/src=203.0.113.9 url/object=http://web01/up.jsp host/dst=web01 host=web01`},
		{`[Mon Mar 04 10:00:01.203277 2024] [core:error] [pid 70:tid 14] [client 203.0.113.9:145] AH00126: Invalid URI in request GET /cgi-bin/.%2e/ HTTP/1.1`,
			`10:00:01 apache-error apache/webserver none error apache ip/src=203.0.113.9 host=host-of-x.log`},
		{`[Mon Mar 04 10:00:01 2024] [auth_basic:error] [pid 70] [client 203.0.113.9:145] AH01617: user carol: authentication failure for "/secret": Password Mismatch`,
			`10:00:01 apache-error apache/webserver logon_failed authentication_failure apache user/target=host-of-x.log\carol ip/src=203.0.113.9 host=host-of-x.log`},
		{`2024/03/04 10:00:01 [error] 12#3: *4 open() "/var/www/x" failed (2: No such file or directory), client: 203.0.113.9, server: shop, request: "GET /x HTTP/2.0", host: "shop.example.com", referrer: "https://a.example/"`,
			`10:00:01 nginx-error nginx/webserver none error nginx ip/src=203.0.113.9 domain/dst=shop.example.com url/object=http://shop.example.com/x host=host-of-x.log`},
		{`2024/03/04 10:00:01 [error] 12#3: *4 user "dave": password mismatch, client: 203.0.113.9, server: shop, request: "GET / HTTP/1.1", host: "shop.example.com"`,
			`10:00:01 nginx-error nginx/webserver logon_failed authentication_failure nginx user/target=host-of-x.log\dave ip/src=203.0.113.9 domain/dst=shop.example.com url/object=http://shop.example.com/ host=host-of-x.log`},
		{`203.0.113.9:1485 [04/Mar/2024:10:00:01.088] https-in~ app/node1 170/0/0/3/173 200 739 - - --NN 0/0/0/0/0 0/0 "POST /api HTTP/1.1"`,
			`10:00:01 haproxy haproxy/webserver connect 200 haproxy ip/src=203.0.113.9 host=`},
		{`203.0.113.9:1485 [04/Mar/2024:10:00:01.088] tcp-in db/db1 1/0/5 212 -- 1/1/1/1/0 0/0`,
			`10:00:01 haproxy haproxy/firewall connect tcp haproxy ip/src=203.0.113.9 host=`},
		{`203.0.113.9:1485 [04/Mar/2024:10:00:01.088] front/1: SSL handshake failure`,
			`10:00:01 haproxy haproxy/webserver none error haproxy ip/src=203.0.113.9 host=`},
		{`1709546401.123     45 10.0.0.8 TCP_MISS/200 512 GET http://files.example/a.exe alice HIER_DIRECT/198.51.100.4 application/octet-stream`,
			`10:00:01 squid squid/proxy connect TCP_MISS squid user/actor=alice ip/src=10.0.0.8 ip/dst=198.51.100.4 domain/dst=files.example url/object=http://files.example/a.exe host=`},
		{`1709546401.123     45 10.0.0.8 TCP_TUNNEL/200 512 CONNECT files.example:443 - HIER_DIRECT/198.51.100.4 -`,
			`10:00:01 squid squid/proxy connect TCP_TUNNEL squid ip/src=10.0.0.8 ip/dst=198.51.100.4 domain/dst=files.example host=`},
		{`1709546401.123      0 10.0.0.8 TCP_DENIED/407 512 GET http://files.example/ mallory HIER_NONE/- text/html`,
			`10:00:01 squid squid/proxy logon_failed TCP_DENIED squid user/target=mallory ip/src=10.0.0.8 domain/dst=files.example url/object=http://files.example/ host=`},
	})
}

func TestTextCloud(t *testing.T) {
	textLines(t, [][2]string{
		{`https 2024-03-04T10:00:01.186641Z app/lb/49 203.0.113.9:4474 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "POST https://www.example.com:443/api?x=1 HTTP/1.1" "curl/7" ECDHE TLSv1.2 arn:aws:x`,
			`10:00:01 elb aws/webserver connect 200 elb ip/src=203.0.113.9 ip/dst=10.0.0.1 domain/dst=www.example.com url/object=https://www.example.com:443/api?x=1 host=`},
		{`2024-03-04T10:00:01.186641Z my-lb 203.0.113.9:2817 10.0.0.1:80 0.00 0.001 0.00 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7" - -`,
			`10:00:01 elb aws/webserver none 200 elb ip/src=203.0.113.9 ip/dst=10.0.0.1 domain/dst=www.example.com url/object=http://www.example.com:80/ host=`},
		{`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be backups [04/Mar/2024:10:00:01 +0000] 203.0.113.9 arn:aws:iam::111122223333:user/eve 3E57427F REST.GET.OBJECT db.dump "GET /backups/db.dump HTTP/1.1" 200 - 4096 4096 70 10 "-" "aws-cli/2" -`,
			`10:00:01 s3-access aws/ object_read REST.GET.OBJECT s3 user/actor=arn:aws:iam::111122223333:user/eve ip/src=203.0.113.9 resource/target=arn:aws:s3:::backups host=`},
		{`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be backups [04/Mar/2024:10:00:01 +0000] 203.0.113.9 - 3E57427F REST.GET.BUCKET - "GET /backups HTTP/1.1" 403 AccessDenied 243 - 7 - "-" "x" -`,
			`10:00:01 s3-access aws/ none REST.GET.BUCKET s3 ip/src=203.0.113.9 resource/target=arn:aws:s3:::backups host=`},
		{`2 111122223333 eni-0a1b 203.0.113.9 10.0.0.5 50311 22 6 20 4249 1709546401 1709546461 REJECT OK`,
			`10:00:01 vpc-flow aws/firewall none reject vpcflow ip/src=203.0.113.9 ip/dst=10.0.0.5 host=`},
		{`2024-03-04	10:00:01	CDG50-P2	703	203.0.113.9	GET	d1.cloudfront.net	/x	400	-	curl/7.81.0	a=b	-	Error	id==	cdn.example.com	https	62	0.113	-	TLSv1.3	C	Error	HTTP/2.0	-	-`,
			`10:00:01 cloudfront aws/webserver none 400 cloudfront ip/src=203.0.113.9 domain/dst=d1.cloudfront.net url/object=http://d1.cloudfront.net/x?a=b host=`},
	})
}

func TestTextDevices(t *testing.T) {
	textLines(t, [][2]string{
		{`CEF:0|Acme|Fire\|Wall|1.0|100|Login failed|5|rt=1709546401000 src=203.0.113.9 spt=50 dst=10.0.0.1 dpt=443 suser=bob duser=root msg=it said a\=b and more act=deny cs1Label=Policy Name cs1=all of it dvchost=fw1`,
			`10:00:01 cef acme/firewall logon_failed 100 fire|wall user/target=root user/actor=bob ip/src=203.0.113.9 ip/dst=10.0.0.1 host=fw1`},
		{`<134>Mar  4 10:00:01 fw1 CEF:0|Acme|FW|1|200|Connection|3|src=10.0.0.9 dst=203.0.113.9 dpt=443 act=allow suser=corp\\bob`,
			`10:00:01 cef acme/firewall connect 200 fw host/sensor=fw1 user/actor=corp\bob ip/src=10.0.0.9 ip/dst=203.0.113.9 host=fw1`},
		{`LEEF:1.0|Acme|FW|1|denied|src=203.0.113.9	dst=10.0.0.1	dstPort=22	usrName=bob	action=block	devTime=Mar 04 2024 10:00:01`,
			`10:00:01 leef acme/firewall none denied fw user/actor=bob ip/src=203.0.113.9 ip/dst=10.0.0.1 host=`},
		{`LEEF:2.0|Acme|FW|1|logon|^|devTime=2024-03-04T10:00:01Z^src=203.0.113.9^usrName=bob^cat=authentication success`,
			`10:00:01 leef acme/firewall logon logon fw user/target=bob ip/src=203.0.113.9 host=`},
		{`LEEF:2.0|Acme|FW|1|conn|x7C|devTime=2024-03-04T10:00:01Z|src=203.0.113.9|dst=10.0.0.1`,
			`10:00:01 leef acme/firewall connect conn fw ip/src=203.0.113.9 ip/dst=10.0.0.1 host=`},
		{`date=2024-03-04 time=10:00:01 devname="FGT-1" logid="0000000013" type="traffic" subtype="forward" level="notice" srcip=10.0.0.8 srcport=5555 dstip=203.0.113.9 dstport=443 proto=6 action="deny" tz="+0100"`,
			`09:00:01 fortigate fortigate/firewall none 0000000013 traffic host/sensor=fgt-1 ip/src=10.0.0.8 ip/dst=203.0.113.9 host=fgt-1`},
		{`date=2024-03-04 time=10:00:01 eventtime=1709546401867391971 logid="0101039426" type="event" subtype="vpn" action="ssl-login-fail" remip=203.0.113.9 user="bob" msg="SSL user failed to logged in"`,
			`10:00:01 fortigate fortigate/firewall logon_failed 0101039426 event user/target=bob ip/src=203.0.113.9 host=`},
		{`date=2024-03-04 time=10:00:01 devname="FGT-1" logid="0101039424" type="event" subtype="vpn" action="tunnel-up" tunnelid=77 remip=203.0.113.9 user="bob"`,
			`10:00:01 fortigate fortigate/firewall logon 0101039424 event user/target=bob session/target=fgt-1:77 ip/src=203.0.113.9 host=fgt-1`},
		{`date=2024-03-04 time=10:00:01 devname="FGT-1" logid="0100044547" type="event" subtype="system" user="admin" ui="GUI(10.0.0.8)" action="Add" cfgpath="system.admin" cfgobj="x"`,
			`10:00:01 fortigate fortigate/firewall config_change 0100044547 event user/actor=fgt-1\admin host=fgt-1`},
		{`<166>Mar 04 2024 10:00:01 fw1 : %ASA-6-302013: Built outbound TCP connection 11 for outside:203.0.113.9/443 (203.0.113.9/443) to inside:10.0.0.8/5555 (10.0.0.8/5555)`,
			`10:00:01 cisco cisco/firewall connect 302013 asa host/sensor=fw1 ip/src=10.0.0.8 ip/dst=203.0.113.9 host=fw1`},
		{`<166>Mar 04 2024 10:00:01 fw1 : %ASA-6-302013: Built inbound TCP connection 12 for outside:203.0.113.9/5555 (203.0.113.9/5555) to dmz:10.0.0.1/443 (10.0.0.1/443)`,
			`10:00:01 cisco cisco/firewall connect 302013 asa host/sensor=fw1 ip/src=203.0.113.9 ip/dst=10.0.0.1 host=fw1`},
		{`Mar 04 2024 10:00:01: %ASA-4-106023: Deny tcp src outside:203.0.113.9/50 dst inside:10.0.0.1/22 by access-group "edge" [0x0, 0x0]`,
			`10:00:01 cisco cisco/firewall none 106023 asa ip/src=203.0.113.9 ip/dst=10.0.0.1 host=`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-6-106100: access-list in denied tcp inside/10.0.0.8(5555) -> outside/203.0.113.9(23) hit-cnt 1`,
			`10:00:01 cisco cisco/firewall none 106100 asa host/sensor=fw1 ip/src=10.0.0.8 ip/dst=203.0.113.9 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-2-106001: Inbound TCP connection denied from 203.0.113.9/50 to 10.0.0.1/22 flags SYN on interface outside`,
			`10:00:01 cisco cisco/firewall none 106001 asa host/sensor=fw1 ip/src=203.0.113.9 ip/dst=10.0.0.1 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-6-605004: Login denied from 203.0.113.9/50 to outside:10.0.0.1/ssh for user "bob"`,
			`10:00:01 cisco cisco/firewall logon_failed 605004 asa user/target=bob ip/src=203.0.113.9 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-6-113015: AAA user authentication Rejected : reason = Invalid password : local database : user = bob : user IP = 203.0.113.9`,
			`10:00:01 cisco cisco/firewall logon_failed 113015 asa user/target=bob ip/src=203.0.113.9 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-6-113039: Group <vpn> User <bob> IP <203.0.113.9> AnyConnect parent session started.`,
			`10:00:01 cisco cisco/firewall logon 113039 asa user/target=bob ip/src=203.0.113.9 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-4-113019: Group = vpn, Username = bob, IP = 203.0.113.9, Session disconnected. Session Type: SSL`,
			`10:00:01 cisco cisco/firewall logoff 113019 asa user/target=bob ip/src=203.0.113.9 host=fw1`},
		{`Mar 04 2024 10:00:01 fw1 : %ASA-5-111010: User 'admin', running 'CLI' from IP 10.0.0.8, executed 'no logging enable'`,
			`10:00:01 cisco cisco/firewall config_change 111010 asa user/actor=fw1\admin ip/src=10.0.0.8 host=fw1`},
		{`<189>45: rtr1: *Mar  4 10:00:01.111: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 203.0.113.9] [localport: 22] [Reason: Login Authentication Failed] at 10:00:01 UTC`,
			`10:00:01 cisco cisco/ logon_failed SEC_LOGIN-4-LOGIN_FAILED syslog user/target=bob ip/src=203.0.113.9 host=`},
		{`Mar  4 10:00:01 rtr1 %SYS-5-CONFIG_I: Configured from console by admin on vty0 (10.0.0.8)`,
			`10:00:01 cisco cisco/ config_change SYS-5-CONFIG_I syslog user/actor=rtr1\admin ip/src=10.0.0.8 host=rtr1`},
		{`Mar  4 10:00:01 rtr1 30: %PARSER-5-CFGLOG_LOGGEDCMD: User:admin  logged command:no logging 10.0.0.2`,
			`10:00:01 cisco cisco/ config_change PARSER-5-CFGLOG_LOGGEDCMD aaa user/actor=rtr1\admin host=rtr1`},
		{`Mar  4 10:00:01 rtr1 31: %SEC-6-IPACCESSLOGP: list 102 denied tcp 203.0.113.9(50) -> 10.0.0.1(22), 1 packet`,
			`10:00:01 cisco cisco/firewall none SEC-6-IPACCESSLOGP syslog host/sensor=rtr1 ip/src=203.0.113.9 ip/dst=10.0.0.1 host=rtr1`},
		{`Mar  4 10:00:01 pa1 1,2024/03/04 10:00:01,0123,TRAFFIC,end,2561,2024/03/04 10:00:00,10.0.0.8,203.0.113.9,0.0.0.0,0.0.0.0,out,corp\bob,,ssl,vsys1,trust,untrust,ae1,ae2,log,2024/03/04 10:00:01,33,1,5555,443,0,0,0x0,tcp,allow,100,60,40,3,2024/03/04 09:59:00,10,any`,
			`10:00:01 paloalto paloalto/firewall connect traffic:end traffic host/sensor=pa1 user/actor=corp\bob ip/src=10.0.0.8 ip/dst=203.0.113.9 host=pa1`},
		{`1,2024/03/04 10:00:01,0123,THREAT,url,2561,2024/03/04 10:00:00,10.0.0.8,203.0.113.9,0.0.0.0,0.0.0.0,out,corp\bob,,web,vsys1,trust,untrust,ae1,ae2,log,2024/03/04 10:00:01,33,1,5555,80,0,0,0x0,tcp,block-url,"files.example/a,b.exe",(9999),malware,high,client-to-server`,
			`10:00:00 paloalto paloalto/proxy none threat:url threat user/actor=corp\bob ip/src=10.0.0.8 ip/dst=203.0.113.9 domain/dst=files.example url/object=http://files.example/a,b.exe host=`},
		{`1,2024/03/04 10:00:01,0123,GLOBALPROTECT,0,2561,2024/03/04 10:00:00,vsys1,gateway-auth,login,local,,corp\bob,US,LAPTOP,203.0.113.9,::,0.0.0.0,::,x,y,5,Windows,10,1,,,,failure,,0,,,portal`,
			`10:00:00 paloalto paloalto/firewall logon_failed globalprotect globalprotect user/target=corp\bob ip/src=203.0.113.9 host=`},
		{`1,2024/03/04 10:00:01,0123,CONFIG,0,2561,2024/03/04 10:00:00,10.0.0.8,,set,admin,Web,Succeeded,mgt-config users x,,`,
			`10:00:00 paloalto paloalto/firewall config_change config config user/actor=admin ip/src=10.0.0.8 host=`},
		{`Mar  4 10:00:01 gw kernel: [82508.100168] [UFW BLOCK] IN=eth0 OUT= MAC=00:11 SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=50 DPT=22 WINDOW=1 SYN`,
			`10:00:01 netfilter linux/firewall none packet netfilter host/sensor=gw ip/src=203.0.113.9 ip/dst=10.0.0.1 host=gw`},
		{`Mar  4 10:00:01 fw filterlog: 53,,,1000,em0,match,block,in,4,0x0,,64,420,0,none,6,tcp,460,203.0.113.9,10.0.0.1,537,22,420,PA,29:29,36,65535,,`,
			`10:00:01 pf pfsense/firewall none block filterlog host/sensor=fw ip/src=203.0.113.9 ip/dst=10.0.0.1 host=fw`},
		{`Mar  4 10:00:01 fw filterlog: 53,,,1000,em0,match,pass,out,6,0x00,0x0,64,udp,17,40,2001:db8::1,2001:db8::2,5353,53,20`,
			`10:00:01 pf pfsense/firewall connect pass filterlog host/sensor=fw ip/src=2001:db8::1 ip/dst=2001:db8::2 host=fw`},
		{`2024-03-04T10:00:01+00:00 10.0.0.254 firewall,info drop-tcp input: in:ether1 out:(unknown 0), src-mac 00:17, proto TCP (SYN), 203.0.113.9:593->10.0.0.1:23, len 40`,
			`10:00:01 mikrotik mikrotik/firewall none packet firewall host/sensor=10.0.0.254 ip/src=203.0.113.9 ip/dst=10.0.0.1 host=10.0.0.254`},
		{`2024-03-04T10:00:01+00:00 10.0.0.254 system,error,critical login failure for user admin from 203.0.113.9 via ssh`,
			`10:00:01 mikrotik mikrotik/ logon_failed login_failure system user/target=10.0.0.254\admin ip/src=203.0.113.9 host=10.0.0.254`},
	})
}

func TestTextDatabases(t *testing.T) {
	textLines(t, [][2]string{
		{`2024-03-04 10:00:01.123 UTC [77] app@shop LOG:  connection authorized: user=app database=shop application_name=psql`,
			`10:00:01 postgresql postgresql/database logon connection_authorized postgresql user/target=host-of-x.log\app resource/target=host-of-x.log:database:shop host=host-of-x.log`},
		{`2024-03-04 10:00:01.123 CET [77-1] user=bob,db=shop,client=203.0.113.9 FATAL:  password authentication failed for user "bob"`,
			`10:00:01 postgresql postgresql/database logon_failed authentication_failed postgresql user/target=host-of-x.log\bob ip/src=203.0.113.9 resource/target=host-of-x.log:database:shop host=host-of-x.log`},
		{`2024-03-04 10:00:01.123 UTC,"bob","shop",77,"203.0.113.9:5050",65,1,"authentication",2024-03-04 10:00:00 UTC,3/4,0,FATAL,28P01,"password authentication failed for user ""bob""",,,,,,,,,""`,
			`10:00:01 postgresql postgresql/database logon_failed authentication_failed postgresql user/target=host-of-x.log\bob ip/src=203.0.113.9 resource/target=host-of-x.log:database:shop host=host-of-x.log`},
		{`2024-03-04 10:00:01.123 UTC [77] app@shop LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.cards,"select * from cards",<not logged>`,
			`10:00:01 postgresql postgresql/database object_read audit_read postgresql user/actor=host-of-x.log\app resource/target=host-of-x.log:database:shop host=host-of-x.log`},
		{`2024-03-04 10:00:01.123 UTC [77] app@shop ERROR:  syntax error at or near "'" at character 31`,
			`10:00:01 postgresql sql/application none error postgresql user/actor=host-of-x.log\app host=host-of-x.log`},
		{`2024-03-04T10:00:01.000000Z 8 [Note] [MY-010926] [Server] Access denied for user 'root'@'203.0.113.9' (using password: YES)`,
			`10:00:01 mysql mysql/database logon_failed access_denied mysql user/target=host-of-x.log\root ip/src=203.0.113.9 host=host-of-x.log`},
		{`2024-03-04T10:00:01.000000Z	    8 Connect	app@10.0.0.8 on shop using TCP/IP`,
			`10:00:01 mysql mysql/database logon connect mysql user/target=host-of-x.log\app session/target=host-of-x.log:8 ip/src=10.0.0.8 resource/target=host-of-x.log:database:shop host=host-of-x.log`},
		{`2024-03-04T10:00:01.000000Z	    8 Query	select * from cards`,
			`10:00:01 mysql mysql/database none query mysql host=host-of-x.log`},
		{`20240304 10:00:01,db1,bob,203.0.113.9,8,12,QUERY,shop,'select 1, 2',0`,
			`10:00:01 mysql mysql/database none query mysql user/actor=db1\bob ip/src=203.0.113.9 resource/target=db1:database:shop host=db1`},
		{`20240304 10:00:01,db1,bob,203.0.113.9,8,0,FAILED_CONNECT,,,1045`,
			`10:00:01 mysql mysql/database logon_failed failed_connect mysql user/target=db1\bob ip/src=203.0.113.9 host=db1`},
		{`2024-03-04 10:00:01.17 Logon       Login failed for user 'sa'. Reason: Password did not match that for the login provided. [CLIENT: 203.0.113.9]`,
			`10:00:01 mssql mssql/database logon_failed 18456 mssql user/target=host-of-x.log\sa ip/src=203.0.113.9 host=host-of-x.log`},
		{`2024-03-04 10:00:01.17 spid51      Configuration option 'xp_cmdshell' changed from 0 to 1. Run the RECONFIGURE statement to install.`,
			`10:00:01 mssql mssql/database config_change 15457 mssql host=host-of-x.log`},
	})
}

func TestTextNames(t *testing.T) {
	textLines(t, [][2]string{
		{`04-Mar-2024 10:00:01.425 queries: info: client @0x7f 10.0.0.8#3076 (evil.example): query: evil.example IN TXT +E(0)K (10.0.0.1)`,
			`10:00:01 dns-log bind/dns dns query bind ip/src=10.0.0.8 domain/object=evil.example host=`},
		{`Mar  4 10:00:01 ns1 named[7]: client 10.0.0.8#3076 (a.example): query (cache) 'a.example/ANY/IN' denied`,
			`10:00:01 dns-log bind/dns dns denied bind host/sensor=ns1 ip/src=10.0.0.8 domain/object=a.example host=ns1`},
		{`Mar  4 10:00:01 gw dnsmasq[7]: query[A] evil.example from 10.0.0.8`,
			`10:00:01 dns-log dnsmasq/dns dns query dnsmasq host/sensor=gw ip/src=10.0.0.8 domain/object=evil.example host=gw`},
		{`Mar  4 10:00:01 gw dnsmasq[7]: reply evil.example is 203.0.113.9`,
			`10:00:01 dns-log dnsmasq/dns none reply dnsmasq host/sensor=gw host=gw`},
		{`[1709546401] unbound[7:0] info: 10.0.0.8 evil.example. A IN`,
			`10:00:01 dns-log unbound/dns dns query unbound ip/src=10.0.0.8 domain/object=evil.example host=`},
		{`3/4/2024 10:00:01 AM 0A30 PACKET  000001F2 UDP Rcv 10.0.0.8        0002   Q [0001   D   NOERROR] A      (4)evil(7)example(0)`,
			`10:00:01 dns-log windows_dns/dns dns query dns-server ip/src=10.0.0.8 domain/object=evil.example host=`},
		{`Mar  4 10:00:01 gw dhcpd[7]: DHCPACK on 10.0.0.8 to 00:11:22:33:44:55 (Laptop) via eth0`,
			`10:00:01 dhcp dhcp/dhcp identify ack dhcp ip/subject=10.0.0.8 host/sensor=gw host=gw`},
		{`10,03/04/24,10:00:01,Assign,10.0.0.8,laptop.corp.example,001122334455,,1,0,,,,,,,,,0`,
			`10:00:01 dhcp dhcp/dhcp identify 10 dhcp ip/subject=10.0.0.8 host=`},
	})
}

func TestTextSignIns(t *testing.T) {
	textLines(t, [][2]string{
		{`Mar  4 10:00:01 vpn openvpn[7]: 203.0.113.9:5050 [bob] Peer Connection Initiated with [AF_INET]203.0.113.9:5050`,
			`10:00:01 openvpn openvpn/ logon peer_connection_initiated openvpn user/target=vpn\bob ip/src=203.0.113.9 host=vpn`},
		{`2024-03-04 10:00:01 203.0.113.9:5050 TLS Auth Error: Auth Username/Password verification failed for peer`,
			`10:00:01 openvpn openvpn/ logon_failed auth_failed openvpn ip/src=203.0.113.9 host=host-of-x.log`},
		{`Mar  4 10:00:01 mx dovecot: imap-login: Login: user=<bob@corp.example>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1, TLS, session=<a>`,
			`10:00:01 syslog linux/ logon granted syslog user/target=bob@corp.example ip/src=203.0.113.9 host=mx`},
		{`Mar  4 10:00:01 mx dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<bob>, method=PLAIN, rip=203.0.113.9, lip=10.0.0.1`,
			`10:00:01 syslog linux/ logon_failed refused syslog user/target=mx\bob ip/src=203.0.113.9 host=mx`},
		{`Mar  4 10:00:01 mx postfix/smtpd[7]: warning: 1.2.3.4.evil.example[203.0.113.9]: SASL LOGIN authentication failed: x`,
			`10:00:01 syslog linux/ logon_failed refused syslog ip/src=203.0.113.9 host=mx`},
		{`Mar  4 10:00:01 mx postfix/smtpd[7]: A1: client=unknown[203.0.113.9], sasl_method=LOGIN, sasl_username=bob`,
			`10:00:01 syslog linux/ logon granted syslog user/target=mx\bob ip/src=203.0.113.9 host=mx`},
		{`2024-03-04 10:00:01 login authenticator failed for ([198.51.100.5]) [203.0.113.9]:5050: 535 Incorrect authentication data (set_id=bob)`,
			`10:00:01 application application/application logon_failed refused  user/target=host-of-x.log\bob ip/src=203.0.113.9 host=host-of-x.log`},
		{`Mon Mar  4 10:00:01 2024 [pid 27] [bob] FAIL LOGIN: Client "::ffff:203.0.113.9"`,
			`10:00:01 application linux/ logon_failed fail_login vsftpd user/target=host-of-x.log\bob ip/src=203.0.113.9 host=host-of-x.log`},
		{`time="2024-03-04T10:00:01Z" level=error msg="Unsuccessful 1FA authentication attempt by user 'bob'" remote_ip=203.0.113.9`,
			`10:00:01 logfmt application/application logon_failed refused  user/target=host-of-x.log\bob ip/src=203.0.113.9 host=host-of-x.log`},
		{`app-1  | time=2024-03-04T10:00:01Z level=WARN msg="Incorrect username or password" client_ip=203.0.113.9 username=bob`,
			`10:00:01 logfmt application/application logon_failed refused  user/target=host-of-x.log\bob ip/src=203.0.113.9 host=host-of-x.log`},
		{`2024-03-04T10:00:01.5Z stdout F 203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "POST /x HTTP/1.1" 200 1 "-" "-"`,
			`10:00:01 access-log webserver/webserver connect 200  ip/src=203.0.113.9 url/object=http://host-of-x.log/x host/dst=host-of-x.log host=host-of-x.log`},
		{`[2024-03-04 10:00:01.219][app::identity][ERROR] Username or password is incorrect. Try again. IP: 2001:db8::7. Username: bob@corp.example.`,
			`10:00:01 application application/application logon_failed refused  user/target=bob@corp.example ip/src=2001:db8::7 host=host-of-x.log`},
		{`2024-03-04 10:00:01,116 ERROR [main] Login failed for user "9.9.9.9" IP-address: 203.0.113.9`,
			`10:00:01 application application/application logon_failed refused  ip/src=203.0.113.9 host=host-of-x.log`},
		{`2024-03-04 10:00:01 INFO user bob is not logged in, from 203.0.113.9`,
			`10:00:01 application application/application none   host=host-of-x.log`},
		{`2024-03-04 10:00:01,123 fail2ban.actions        [7]: NOTICE  [sshd] Ban 203.0.113.9`,
			`10:00:01 application application/application none ban  ip/src=203.0.113.9 host=host-of-x.log`},
		{`Mar  4 10:00:01 fs smbd_audit: CORP\bob|203.0.113.9|home|unlink|ok|plans/a.doc`,
			`10:00:01 syslog linux/ share_access unlink syslog user/actor=corp\bob file/object=fs:/plans/a.doc ip/src=203.0.113.9 host=fs`},
		{`Mar  4 10:00:01 con login[7]: FAILED LOGIN (1) on '/dev/tty1' FOR 'bob', Authentication failure`,
			`10:00:01 syslog linux/ logon_failed refused auth user/target=con\bob host=con`},
		{`Mar  4 10:00:01 gw fail2ban.actions[7]: NOTICE [sshd] Ban 203.0.113.9`,
			`10:00:01 syslog linux/ none ban syslog ip/src=203.0.113.9 host=gw`},
	})
}

// Rules find a request by its path and its query, together or apart.
func TestTextFields(t *testing.T) {
	names := model.NewNames()
	f := func(line string, want map[string]string) {
		t.Helper()
		b, bad := decodeAll(t, Text(Options{Names: names, Year: 2024}), "x.log", []byte(line))
		if len(b.Events) != 1 {
			t.Errorf("%s: %d events, %v", line, len(b.Events), bad)
			return
		}
		for name, text := range want {
			id, got := names.ID(name), ""
			for _, s := range b.Events[0].Slots {
				if s.Field == id {
					got += s.Text + ";"
				}
			}
			if got != text+";" {
				t.Errorf("%s: %s is %q, want %q", line, name, got, text+";")
			}
		}
	}
	f(`203.0.113.9 - - [04/Mar/2024:10:00:01 +0100] "GET /a/b.php?x=1 HTTP/1.1" 200 512 "https://ref.example/" "agent \"q\" 1"`, map[string]string{
		"cs-method": "GET", "cs-uri-stem": "/a/b.php", "cs-uri-query": "x=1;/a/b.php?x=1", "c-uri-extension": "php", "sc-status": "200", "c-ip": "203.0.113.9",
		"cs-referer": "https://ref.example/", "cs-user-agent": `agent \"q\" 1`, "sc-bytes": "512"})
	f(`CEF:0|Acme|Fire\|Wall|1.0|100|Login failed|5|rt=1709546401000 src=203.0.113.9 msg=it said a\=b and more cs1Label=Policy Name cs1=all of it\nand on act=deny`, map[string]string{
		"DeviceProduct": "Fire|Wall", "msg": "it said a=b and more", "Policy Name": "all of it\nand on", "action": "deny", "blocked": "true"})
	f("2024-03-04 10:00:01.123 UTC [77] app@shop LOG:  statement: select 1\n\tfrom cards\n\twhere x", map[string]string{"statement": "select 1\n\tfrom cards\n\twhere x"})
	f("2024-03-04 10:00:01.123 UTC,\"bob\",\"shop\",77,\"203.0.113.9:5050\",65,1,\"SELECT\",2024-03-04 10:00:00 UTC,3/4,0,LOG,00000,\"statement: select \"\"a\"\"\nfrom cards\n\",,,,,,,,,\"\"\n",
		map[string]string{"statement": "select \"a\"\nfrom cards\n", "database": "shop"})
	f("2024-03-04 10:00:01,000 ERROR [main] it broke\njava.lang.X: no\n\tat a.b.C\nCaused by: d.E\n", nil)
	f(`Mar  4 10:00:01 gw kernel: [8.1] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.9 DST=10.0.0.1 LEN=60 PROTO=ICMP [SRC=1.1.1.1 DST=2.2.2.2 PROTO=UDP ] `, map[string]string{
		"src_ip": "203.0.113.9", "dst_ip": "10.0.0.1", "protocol": "icmp", "rule": "UFW BLOCK", "program": "kernel"})
	f(`Mar  4 10:00:01 fw %ASA-5-111008: User 'admin' executed the 'no logging' command.`, map[string]string{
		"message": "%ASA-5-111008: User 'admin' executed the 'no logging' command.", "CommandLine": "no logging"})
}

// Lines that go on belong to the record before them, wherever the cut falls.
func TestTextContinues(t *testing.T) {
	var s strings.Builder
	for s.Len() < 2*ChunkTarget {
		s.WriteString("2024-03-04 10:00:01,000 ERROR [main] it broke\n\tat a.b.C(D.java:1)\n\tat e.f\nCaused by: java.lang.X\r\n")
	}
	b, bad := decodeAll(t, Text(Options{Names: model.NewNames()}), "x.log", []byte(s.String()))
	if len(bad) != 0 || len(b.Events) != s.Len()/98 {
		t.Fatalf("%d events of %d bytes, %v", len(b.Events), s.Len(), bad)
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Source.Product != "jvm" || !strings.HasSuffix(e.Text(model.FMessageLower), "Caused by: java.lang.X") || bytes.Count(e.Raw, newline) != 3 || e.Ref.Record != int64(4*i+1) {
			t.Fatalf("event %d: %+v %q", i, e.Ref, e.Raw)
		}
	}
}

// A file may hold lines of several formats; what is none of them is counted with its
// cause, and is no reason to lose the rest.
func TestTextMixed(t *testing.T) {
	const mixed = "203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] \"GET / HTTP/1.1\" 200 5\r\n" +
		"not a line of any log\r\n" +
		"Mar  4 10:00:01 web01 sshd[1]: Accepted password for bob from 999.1.2.3 port 5 ssh2\r\n" +
		"\x00\xff\xfe\r\n" +
		"2024/03/04 10:00:01 [error] 12#3: *4 it failed, client: 999.1.2.3, server: x\n"
	d := Text(Options{Names: model.NewNames(), Year: 2024})
	if n := d.Sniff([]byte(mixed)); n == 0 {
		t.Error("a mixed file is not known")
	}
	b, _ := decodeAll(t, d, "x.log", []byte(mixed))
	if len(b.Events) != 3 || b.Skipped != 2 || len(b.Errors) != 1 || b.Errors[0].Count != 2 || b.Errors[0].Record != 2 {
		t.Fatalf("%d events, %d skipped, %+v", len(b.Events), b.Skipped, b.Errors)
	}
	for i := range b.Events {
		var r Registry
		r.Entities(&b.Events[i])
		for _, x := range b.Events[i].Entities {
			if x.Type == model.IP && strings.HasPrefix(x.Value, "999") {
				t.Errorf("an address that is none is an entity: %+v", x)
			}
		}
	}
	if b.Events[2].Text(model.FCIp) != "999.1.2.3" {
		t.Error("an address that is none is not kept as text")
	}
}

// Messages that are counted may hold line ends, and need none between them.
func TestTextCounted(t *testing.T) {
	var s strings.Builder
	n := 0
	for s.Len() < 2*ChunkTarget {
		for _, m := range []string{"<34>1 2024-03-04T10:00:01Z web01 app 7 - - it broke\n  at line 5\nfor good", "<86>1 2024-03-04T10:00:02Z web01 sshd 8 - - Accepted password for bob from 203.0.113.9 port 5 ssh2"} {
			s.WriteString(strconv.Itoa(len(m)) + " " + m)
			n++
		}
	}
	for _, d := range []Decoder{Syslog(Options{Names: model.NewNames()}), Text(Options{Names: model.NewNames()})} {
		b, bad := decodeAll(t, d, "x", []byte(s.String()))
		if len(b.Events) != n || len(bad) != 0 {
			t.Fatalf("%d events of %d, %v", len(b.Events), n, bad)
		}
		for i := range b.Events {
			e := &b.Events[i]
			if m := e.Text(model.FMessageLower); e.Ref.Record != int64(i+1) || i%2 == 0 && m != "it broke\n  at line 5\nfor good" || i%2 == 1 && e.Act != model.ActLogon {
				t.Fatalf("record %d: %q", e.Ref.Record, m)
			}
			if want := s.String()[e.Ref.Offset:][:len(e.Raw)]; want != string(e.Raw) {
				t.Fatalf("record %d stands elsewhere", e.Ref.Record)
			}
		}
	}
	b, _ := decodeAll(t, Syslog(Options{Names: model.NewNames()}), "x", []byte("20 <34>1 2024-03-04T10:20 <34>1 2024-03-04T10:9999999 <34>1 2024-03-04T10:00:01Z web01 app 7 - - cut short"))
	if b.Skipped == 0 || len(b.Events)+int(b.Skipped) != int(b.Records) {
		t.Errorf("%d events, %d skipped of %d", len(b.Events), b.Skipped, b.Records)
	}
}

// A JSON record within a line is that record; one that is none leaves the line as it was.
func TestTextRecord(t *testing.T) {
	const record = `{"ts":1709546401.5,"id.orig_h":"10.0.0.8","id.resp_h":"203.0.113.9","id.resp_p":443,"_path":"conn","uid":"C1"}`
	for line, want := range map[string]string{
		"Mar  4 10:00:01 sensor zeek[7]: " + record:   "zeek connect conn conn ip/src=10.0.0.8 ip/dst=203.0.113.9",
		"2024-03-04T10:00:01.5Z stdout F " + record:   "zeek connect conn conn ip/src=10.0.0.8 ip/dst=203.0.113.9",
		"Mar  4 10:00:01 h app[7]: {\"a\":":           "syslog none  syslog",
		"Mar  4 10:00:01 h app[7]: {\"a\":1} and {2}": "syslog none  syslog",
		"2024-03-04T10:00:01.5Z stdout F {\"a\":":     "container none  container",
	} {
		b, bad := decodeAll(t, Text(Options{Names: model.NewNames(), Year: 2024}), "x.log", []byte(line+"\n"))
		if len(b.Events) != 1 || len(bad) != 0 || b.Records != 1 {
			t.Errorf("%s: %d events, %d records, %v", line, len(b.Events), b.Records, bad)
			continue
		}
		e := &b.Events[0]
		if got := e.Format + " " + describeEvent(e); got != want || string(e.Raw) != line {
			t.Errorf("%s:\n got %s, %q\nwant %s", line, got, e.Raw, want)
		}
	}
}

// The surest decoder of a beginning is the one for it.
func TestTextSniff(t *testing.T) {
	o := Options{Names: model.NewNames()}
	r := NewRegistry(EVTX(o), WindowsXML(o), WindowsText(o), Auditd(o), ZeekTSV(o), JSON(o), CSV(o), Columns(o), Syslog(o), Text(o))
	for head, want := range map[string]string{
		"203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] \"GET / HTTP/1.1\" 200 5\n":                              "text",
		"Mar  4 10:00:01 web01 nginx: 203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] \"GET / HTTP/1.1\" 200 5\n": "syslog",
		"2024-03-04 10:00:01,000 INFO [main] started\n":                                                        "text",
		"2024-03-04T10:00:01Z [AUTH] WARN: no\n":                                                               "text",
		"#Software: x\r\n#Fields: date time c-ip\r\n":                                                          "w3c",
		"version srcaddr dstaddr start log-status\n":                                                           "w3c",
		"03/25/2022 05:46:37 PM\r\nLogName=Security\r\n":                                                       "windows-text",
		"type=EXECVE msg=audit(1684329817.579:2995): argc=1 a0=\"x\"\n":                                        "auditd",
		"some notes\nabout nothing\n":                                                                          "",
	} {
		got := ""
		if d := r.Detect([]byte(head)); d != nil {
			got = d.Name()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", head, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"0001-01-01T00:00:00Z 00000000000000000000000000000000",
		"203.0.113.9 - - [04/Mar/2024:10:00:01 +0100] \"GET /a?b HTTP/1.1\" 200 5 \"\" \"",
		"CEF:0|a|b|c|d|e|f|x=1 y\\=2 cs1Label= cs1=\\",
		"LEEF:2.0|a|b|c|d|x00|a=b",
		"date=2024-03-04 time=10:00:01 logid=1 type=x srcip=\"\\\"",
		"Mar  4 10:00:01 fw %ASA-6-302013: Built for a/ to /",
		"1,2024/03/04 10:00:01,0,TRAFFIC,end,1,2024/03/04 10:00:00,,,,,,,,,,,,,,,,,,,,,",
		"Mar  4 10:00:01 fw filterlog: ,,,,,,,,4,,,,,,,,,,,,,,",
		"2024-03-04 10:00:01.123 UTC,\"b\",,7,,,,,,,,,,,,,,,,,,",
		"20240304 10:00:01,a,b,c,8,0,READ,,,",
		"2024-03-04T10:00:01Z 8 Connect\tAccess denied for user '",
		"3/4/2024 10:00:01 AM 0A30 PACKET  1 UDP Rcv 10.0.0.8 0002 Q [0001] A (4)evil(",
		"2024-03-04 10:00:01 auth failed user=< from [",
		"Mar  4 10:00:01 m smbd: Auth: [a] user []\\[",
		"1709546401.123 45 10.0.0.8 TCP_MISS/ 512 GET ? a b c",
		"9 <1>1 a b9 <1>1 a b5 <",
		"01/02/2006-15:04:05.0  [**] [1:2:3] a [**] [Classification: x] [Priority: 2] {UDP} 1.2.3.4:5 -> 10.0.0.1:80",
	} {
		f.Add([]byte(s))
	}
	d := Text(Options{Names: model.NewNames()})
	var r Registry
	f.Fuzz(func(t *testing.T, in []byte) {
		d.Sniff(in)
		b := &Batch{}
		if err := d.Frame(bytes.NewReader(in), func(c Chunk) error { d.Decode(c, b); return nil }, func(model.InputError) {}); err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Events)+len(b.Alerts))+b.Skipped != b.Records {
			t.Fatalf("%d events + %d alerts + %d skipped are not %d records", len(b.Events), len(b.Alerts), b.Skipped, b.Records)
		}
		for i := range b.Events {
			if e := &b.Events[i]; e.Time.IsZero() || e.Format == "" || e.Source.Product == "" && e.Format != "json" || len(e.Raw) == 0 {
				t.Fatalf("%q: %+v", in, e)
			}
			r.Entities(&b.Events[i])
		}
	})
}

func BenchmarkText(b *testing.B) {
	for name, line := range map[string]string{
		"access":      `203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "GET /a/b.php?x=1 HTTP/1.1" 200 512 "https://ref.example/" "Mozilla/5.0 (X11; Linux x86_64)"`,
		"asa":         `<166>Mar 04 2024 10:00:01 fw1 : %ASA-6-302013: Built outbound TCP connection 11 for outside:203.0.113.9/443 (203.0.113.9/443) to inside:10.0.0.8/5555 (10.0.0.8/5555)`,
		"fortigate":   `date=2024-03-04 time=10:00:01 devname="FGT-1" logid="0000000013" type="traffic" subtype="forward" level="notice" srcip=10.0.0.8 srcport=5555 dstip=203.0.113.9 dstport=443 proto=6 action="accept" tz="+0100"`,
		"paloalto":    `1,2024/03/04 10:00:01,0123,TRAFFIC,end,2561,2024/03/04 10:00:00,10.0.0.8,203.0.113.9,0.0.0.0,0.0.0.0,out,corp\bob,,ssl,vsys1,trust,untrust,ae1,ae2,log,2024/03/04 10:00:01,33,1,5555,443,0,0,0x0,tcp,allow,100,60,40,3,2024/03/04 09:59:00,10,any`,
		"cef":         `CEF:0|Acme|FW|1|200|Connection|3|src=10.0.0.9 dst=203.0.113.9 dpt=443 act=allow suser=bob rt=1709546401000`,
		"application": `2024-03-04 10:00:01,116 INFO [main] all is well with order 7 of the shop`,
		"bind":        `04-Mar-2024 10:00:01.425 queries: info: client @0x7f 10.0.0.8#3076 (evil.example): query: evil.example IN TXT +E(0)K (10.0.0.1)`,
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(strings.Repeat(line+"\n", 4000))
			d := Text(Options{Names: model.NewNames(), Year: 2024})
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				batch := &Batch{}
				d.Decode(Chunk{Data: data}, batch)
				if len(batch.Events) != 4000 {
					b.Fatal("not decoded")
				}
			}
			b.ReportMetric(4000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// Lines as long as a record may be, made to be read again and again, take no longer
// than their length.
func TestTextHostileLines(t *testing.T) {
	const size = 8 << 20
	for _, unit := range []string{"=", "a=", "a= ", "[", `" `, `"`, "%ASA-", "user ", "1.2.3.4 ", "Jan  1 00:00:00 ", ",", "\\", "|", "(", ": "} {
		for _, head := range []string{"", "CEF:0|a|b|c|d|e|f|", "Mar  4 10:00:01 h p: ", "2024-03-04 10:00:01 ", "date=2024-03-04 time=10:00:01 logid=1 type=x ", "1,2024/03/04 10:00:01,0,TRAFFIC,end,",
			`203.0.113.9 - - [04/Mar/2024:10:00:01 +0000] "`} {
			line := head + strings.Repeat(unit, size/len(unit)/16)
			d := Text(Options{Names: model.NewNames(), Year: 2024})
			b, _ := decodeAll(t, d, "x", []byte(line+"\n"+line[:200<<10]+"\n"))
			if int64(len(b.Events))+b.Skipped != b.Records {
				t.Errorf("%.30q: %d events, %d skipped of %d", line, len(b.Events), b.Skipped, b.Records)
			}
		}
	}
}

// A server's own stamp within a syslog line gives the line its year.
func TestTextYearOfServer(t *testing.T) {
	b, _ := decodeAll(t, Syslog(Options{Names: model.NewNames()}), "x", []byte(`Mar  4 10:00:01 web01 nginx: 203.0.113.9 - - [04/Mar/2021:10:00:01 +0000] "GET / HTTP/1.1" 200 3 "-" "x"`))
	if len(b.Events) != 1 || b.Events[0].Recorded.Year() != 2021 || !b.Events[0].Recorded.Equal(b.Events[0].Sensed) {
		t.Errorf("%+v", b.Events)
	}
}

// Stamps without a year say so, wherever in the line they stand.
func TestTextYear(t *testing.T) {
	for _, line := range []string{"[Dec 21 12:57:01] SECURITY[77]: x", "WARN: [Jul  2 05:05:24.643] failed", "Mar  4 10:00:01 h p: x"} {
		b, bad := decodeAll(t, Text(Options{Names: model.NewNames()}), "x", []byte(line+"\n"))
		if len(b.Events) != 1 || len(bad) != 1 || !strings.Contains(bad[0].Cause, "--year") || b.Events[0].Time.Year() != 1970 {
			t.Errorf("%s: %d events, %v", line, len(b.Events), bad)
		}
	}
}
