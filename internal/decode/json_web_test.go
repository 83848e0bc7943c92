package decode

import "testing"

func TestWebJSON(t *testing.T) {
	const site = " domain/dst=shop.example url/object=http://shop.example/login.php?a=1 host/dst=host-of-golden.json"
	web := []string{"c-ip=203.0.113.9", "cs-method=POST", "cs-uri-stem=/login.php", "cs-uri-query=a=1", "sc-status=200", "cs-user-agent=curl/8", "cs-host=shop.example"}
	checkGolden(t, "caddy", "host-of-golden.json", []golden{
		{`{"level":"info","ts":1709460000.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"10.0.0.1","client_ip":"203.0.113.9","proto":"HTTP/1.1","method":"POST","host":"shop.example","uri":"/login.php?a=1","headers":{"User-Agent":["curl/8"]}},"user_id":"","size":5,"status":200}`,
			"caddy/webserver/caddy", "connect 200 caddy ip/src=203.0.113.9" + site, web},
		{`{"ts":1709460000.5,"request":{"remote_ip":"203.0.113.9","method":"GET","host":"shop.example","uri":"/"},"user_id":"bob","status":401}`,
			"caddy/webserver/caddy", "logon_failed 401 caddy user/target=host-of-golden.json\\bob ip/src=203.0.113.9 domain/dst=shop.example url/object=http://shop.example/", []string{"cs-username=bob"}},
	})
	checkGolden(t, "traefik", "host-of-golden.json", []golden{
		{`{"ClientAddr":"203.0.113.9:39490","ClientHost":"203.0.113.9","ClientUsername":"-","DownstreamStatus":200,"RequestHost":"shop.example","RequestMethod":"POST","RequestPath":"/login.php?a=1","StartUTC":"2024-03-03T10:00:00.4Z","request_User-Agent":"curl/8"}`,
			"traefik/webserver/traefik", "connect 200 traefik ip/src=203.0.113.9" + site, web},
	})
	checkGolden(t, "access-json", "host-of-golden.json", []golden{
		{`{":authority":"shop.example","downstream_remote_address":"10.0.0.12:59292","method":"POST","response_code":200,"start_time":"2024-03-03T10:00:00.4Z","user-agent":"curl/8","path":"/login.php?a=1","x-forwarded-for":"203.0.113.9, 10.0.0.1"}`,
			"envoy/webserver/envoy", "connect 200 envoy ip/src=203.0.113.9" + site, web},
		{`{"time_iso8601":"2024-03-03T10:00:00+00:00","remote_addr":"203.0.113.9","request_method":"POST","request_uri":"/login.php?a=1","status":"200","http_user_agent":"curl/8","host":"shop.example"}`,
			"nginx/webserver/nginx", "connect 200 nginx ip/src=203.0.113.9" + site, web},
	})
	checkGolden(t, "aws-waf", "", []golden{
		{`{"timestamp":1709460000500,"formatVersion":1,"webaclId":"arn:w","action":"BLOCK","httpRequest":{"clientIp":"203.0.113.9","headers":[{"name":"Host","value":"shop.example"},{"name":"User-Agent","value":"curl/8"}],"uri":"/login.php","args":"a=1","httpMethod":"POST"}}`,
			"aws/webserver/waf", "none 403 waf ip/src=203.0.113.9 domain/dst=shop.example url/object=http://shop.example/login.php", append([]string{"sc-status=403"}, append(web[:4:4], web[5:]...)...)},
	})
}

func TestAWSNetworkJSON(t *testing.T) {
	checkGolden(t, "route53-resolver", "", []golden{
		{`{"version":"1.1","account_id":"1","region":"r","vpc_id":"vpc-1","query_timestamp":"2024-03-03T10:00:00Z","query_name":"X.example.","query_type":"A","query_class":"IN","rcode":"NOERROR","answers":[{"Rdata":"203.0.113.9","Type":"A"}],"srcaddr":"10.0.0.5","srcport":"5","transport":"UDP","srcids":{"instance":"i-0123456789abcdef0"}}`,
			"aws/dns/route53", "dns A route53 ip/src=10.0.0.5 resource/subject=i-0123456789abcdef0 domain/object=x.example", []string{"query=X.example.", "answer=203.0.113.9", "record_type=A"}},
	})
	checkGolden(t, "vpc-flow", "", []golden{
		{`{"account_id":"1","action":"ACCEPT","dstaddr":"10.0.0.5","dstport":22,"srcaddr":"203.0.113.9","srcport":4000,"protocol":6,"start":1709460000,"end":1709460050,"vpc_id":"vpc-1"}`,
			"aws/firewall/vpcflow", "connect ACCEPT vpcflow ip/src=203.0.113.9 ip/dst=10.0.0.5", []string{"dst_port=22", "src_ip=203.0.113.9"}},
		{`{"action":"REJECT","dstAddr":"10.0.0.5","dstPort":22,"srcAddr":"203.0.113.9","p_event_time":"2024-03-03 10:00:00.000"}`,
			"aws/firewall/vpcflow", "none REJECT vpcflow ip/src=203.0.113.9 ip/dst=10.0.0.5", nil},
	})
	checkGolden(t, "m365-messagetrace", "", []golden{
		{`{"Organization":"o","MessageId":"<1>","Received":"2024-03-03T10:00:00.1","SenderAddress":"Eve@evil.example","RecipientAddress":"bob@x.example","Subject":"s","Status":"Delivered","ToIP":null,"FromIP":"203.0.113.9","MessageTraceId":"m"}`,
			"m365//messagetrace", "none Delivered messagetrace user/actor=eve@evil.example mailbox/target=bob@x.example ip/src=203.0.113.9", nil},
	})
}
