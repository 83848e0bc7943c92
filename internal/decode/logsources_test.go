package decode

import (
	"slices"
	"testing"

	"github.com/catena-sec/catena/internal/model"
)

func TestLogSources(t *testing.T) {
	all := LogSources()
	for i, s := range all {
		if s.Product == "" || slices.Contains(all[:i], s) {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range []model.LogSource{
		{Product: "windows", Category: "process_creation", Service: "sysmon"}, {Product: "windows", Category: "process_creation", Service: "security"},
		{Product: "windows", Category: "registry_delete", Service: "sysmon"}, {Product: "windows", Category: "ps_script", Service: "powershell"},
		{Product: "windows", Service: "bits-client"}, {Product: "linux", Service: "auditd"}, {Product: "linux", Category: "process_creation", Service: "sysmon"},
		{Product: "linux", Service: "auth"}, {Product: "aws", Service: "cloudtrail"}, {Product: "zeek", Service: "dce_rpc"},
	} {
		if !slices.Contains(all, s) {
			t.Errorf("%+v is missing", s)
		}
	}
}

func TestSubsystemOf(t *testing.T) {
	for _, c := range []struct {
		product, category, service string
		field, value               string
		want                       model.Subsystem
	}{
		{"windows", "process_creation", "", "", "", model.Compute},
		{"windows", "network_connection", "", "", "", model.Network},
		{"windows", "", "security", "EventID", "4624", model.Identity},
		{"windows", "", "security", "EventID", "5145", model.Storage},
		{"windows", "", "security", "EventID", "x", ""},
		{"windows", "", "security", "", "", ""},
		{"windows", "", "sysmon", "EventID", "3", model.Network},
		{"windows", "", "system", "EventID", "7045", model.Compute},
		{"windows", "", "system", "EventID", "104", model.Management},
		{"windows", "", "msexchange-management", "", "", model.Email},
		{"windows", "", "ntlm", "", "", model.Identity},
		{"windows", "", "nonesuch", "", "", ""},
		{"aws", "", "cloudtrail", "eventSource", "s3.amazonaws.com", model.Storage},
		{"aws", "", "cloudtrail", "", "", ""},
		{"azure", "", "activitylogs", "operationName", "MICROSOFT.KEYVAULT/VAULTS/WRITE", model.Secrets},
		{"azure", "", "signinlogs", "", "", model.Identity},
		{"zeek", "", "dns", "", "", model.Network},
		{"", "webserver", "", "", "", model.Application},
		{"linux", "", "auditd", "", "", model.Compute},
		{"", "", "sshd", "", "", ""},
	} {
		got := SubsystemOf(model.LogSource{Product: c.product, Category: c.category, Service: c.service}, func(f string) []string {
			if f == c.field && f != "" {
				return []string{c.value}
			}
			return nil
		})
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	two := func(string) []string { return []string{"4624", "4688"} }
	if got := SubsystemOf(model.LogSource{Product: "windows", Service: "security"}, two); got != "" {
		t.Errorf("events of two subsystems are said to be of %q", got)
	}
}
