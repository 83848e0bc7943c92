package knowledge

import "github.com/catena-sec/catena/internal/model"

// PlatformsOf returns ATT&CK's platforms of a technique, however old its id. The
// slice belongs to the table.
func PlatformsOf(id string) []string {
	if now, ok := Resolve(id); ok {
		t, _ := Lookup(now)
		return t.Platforms
	}
	return nil
}

// PlatformsIn returns ATT&CK's platforms that records of a log source are of, nil
// where the source does not tell: an alert of a network sensor may be about any.
func PlatformsIn(s model.LogSource) []string {
	switch s.Product {
	case "windows":
		return []string{"Windows"}
	case "linux":
		return []string{"Linux"}
	case "macos":
		return []string{"macOS"}
	case "esxi", "vmware":
		return []string{"ESXi"}
	case "aws":
		return []string{"IaaS"}
	case "gcp":
		if s.Service == "gcp.audit" || s.Category == "firewall" {
			return []string{"IaaS"}
		}
		return []string{"Office Suite", "SaaS"} // Workspace
	case "azure":
		switch s.Service {
		case "signinlogs", "auditlogs", "riskdetection", "provisioninglogs", "microsoftgraphactivitylogs":
			return []string{"Identity Provider"}
		}
		return []string{"IaaS"}
	case "okta", "pingone", "pingid", "authentik", "onelogin":
		return []string{"Identity Provider"}
	case "m365":
		if s.Service == "defender" {
			return nil // of hosts, which say themselves what they run
		}
		return []string{"Office Suite", "SaaS"}
	case "github", "gitlab", "bitbucket":
		return []string{"SaaS"}
	case "kubernetes":
		return []string{"Containers"}
	case "cisco", "fortios", "fortigate", "paloalto":
		return []string{"Network Devices"}
	}
	return nil
}
