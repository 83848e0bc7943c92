package decode

import (
	"slices"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestLogSources(t *testing.T) {
	all := LogSources()
	for i, s := range all {
		if s.Product == "" || s.Product == "acme" || slices.Contains(all[:i], s) {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range []model.LogSource{
		{Product: "windows", Category: "process_creation", Service: "sysmon"}, {Product: "windows", Category: "process_creation", Service: "security"},
		{Product: "windows", Category: "registry_delete", Service: "sysmon"}, {Product: "windows", Category: "ps_script", Service: "powershell"},
		{Product: "windows", Service: "bits-client"}, {Product: "linux", Service: "auditd"}, {Product: "linux", Category: "process_creation", Service: "sysmon"},
		{Product: "linux", Service: "auth"}, {Product: "cisco", Category: "firewall", Service: "asa"}, {Product: "paloalto", Category: "firewall", Service: "userid"},
		{Product: "fortigate", Category: "dns", Service: "utm"}, {Product: "gcp", Service: "google_workspace.admin"}, {Product: "sql", Category: "application", Service: "mysql"},
		{Product: "jvm", Category: "application"}, {Product: "dnsmasq", Category: "dns", Service: "dnsmasq"}, {Product: "macos", Service: "osquery"}, {Product: "proxy", Category: "proxy"},
		{Product: "linux", Service: "auth"}, {Product: "aws", Service: "cloudtrail"}, {Product: "zeek", Service: "dce_rpc"},
	} {
		if !slices.Contains(all, s) {
			t.Errorf("%+v is missing", s)
		}
	}
}
