package decode

import "testing"

func TestGCPFlow(t *testing.T) {
	checkGolden(t, "gcp-flow", "", []golden{
		{`{"jsonPayload":{"bytes_sent":"1200","connection":{"dest_ip":"10.128.0.5","dest_port":22,"protocol":6,"src_ip":"203.0.113.9","src_port":40112},"dest_instance":{"project_id":"acme","vm_name":"web-1","zone":"us-east1-b"},"reporter":"DEST","start_time":"2024-03-03T10:00:00.5Z"},"logName":"projects/acme/logs/compute.googleapis.com%2Fvpc_flows","timestamp":"2024-03-03T10:00:10Z"}`,
			"gcp/firewall/vpcflow", "connect  vpcflow ip/src=203.0.113.9 ip/dst=10.128.0.5 resource/subject=projects/acme/zones/us-east1-b/instances/web-1", []string{"src_ip=203.0.113.9", "dst_port=22", "src_port=40112"}},
		{`{"jsonPayload":{"connection":{"dest_ip":"10.128.0.5","dest_port":3389,"protocol":6,"src_ip":"203.0.113.9","src_port":40112},"disposition":"DENIED","instance":{"project_id":"acme","vm_name":"web-1","zone":"us-east1-b"},"rule_details":{"action":"DENY"}},"timestamp":"2024-03-03T10:00:00Z"}`,
			"gcp/firewall/vpcflow", "none DENIED vpcflow ip/src=203.0.113.9 ip/dst=10.128.0.5 resource/subject=projects/acme/zones/us-east1-b/instances/web-1", []string{"action=DENIED"}},
		{`{"jsonPayload":{"connection":{"dest_ip":"not one","dest_port":"x","src_ip":"no address"},"reporter":"SRC"},"timestamp":"2024-03-03T10:00:00Z"}`,
			"gcp/firewall/vpcflow", "connect  vpcflow", nil},
	})
}
