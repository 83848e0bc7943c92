package decode

import "testing"

// One EVE file holds events of many kinds: each is of the log source whose rules
// know its fields, the machine that saw it pass is never where it happened, and who
// asks is who asks in the answer too.
func TestSuricata(t *testing.T) {
	const head = `{"timestamp":"2024-03-03T10:00:00.0+0000","flow_id":1,"host":"ids01","src_port":40112,"dest_port":80,`
	checkGolden(t, "suricata", "ids01", []golden{
		{head + `"event_type":"http","src_ip":"198.51.100.7","dest_ip":"203.0.113.9","http":{"http_method":"GET","url":"/a?b=c","status":200}}`,
			"suricata/webserver/http", "none http http ip/src=198.51.100.7 ip/dst=203.0.113.9 host/sensor=ids01", []string{"cs-uri-query=b=c", "sc-status=200"}},
		{head + `"event_type":"http","src_ip":"10.0.0.9","dest_ip":"203.0.113.9","http":{"http_method":"GET","url":"/a","hostname":"files.example","http_user_agent":"curl/8"}}`,
			"suricata/proxy/http", "connect http http ip/src=10.0.0.9 ip/dst=203.0.113.9 domain/dst=files.example url/object=http://files.example/a host/sensor=ids01", []string{"c-useragent=curl/8"}},
		{head + `"event_type":"dns","src_ip":"10.0.0.9","dest_ip":"10.0.0.2","dns":{"type":"query","rrname":"a.example","rrtype":"TXT"}}`,
			"suricata/dns/dns", "dns dns dns ip/src=10.0.0.9 ip/dst=10.0.0.2 domain/object=a.example host/sensor=ids01", []string{"query=a.example"}},
		{head + `"event_type":"dns","src_ip":"10.0.0.2","dest_ip":"10.0.0.9","dns":{"type":"answer","rrname":"a.example","rrtype":"A","rcode":"NOERROR"}}`,
			"suricata/dns/dns", "dns dns dns ip/src=10.0.0.9 ip/dst=10.0.0.2 domain/object=a.example host/sensor=ids01", []string{"response_code=NOERROR"}},
		{head + `"event_type":"tls","src_ip":"10.0.0.9","dest_ip":"203.0.113.9","tls":{"subject":"C=XX, CN=files.example, O=x"}}`,
			"suricata/proxy/tls", "connect tls tls ip/src=10.0.0.9 ip/dst=203.0.113.9 domain/dst=files.example host/sensor=ids01", []string{"cs-host=files.example"}},
		{head + `"event_type":"flow","src_ip":"10.0.0.9","dest_ip":"203.0.113.9","flow":{"start":"2024-03-03T10:00:00.0+0000","bytes_toserver":9}}`,
			"suricata/firewall/flow", "connect flow flow ip/src=10.0.0.9 ip/dst=203.0.113.9 host/sensor=ids01", []string{"cs-bytes=9"}},
	})
}
