package main

import (
	"fmt"
	"strings"

	"github.com/catena-sec/catena/sigma"
)

// A tuning is the field by which events of a log source are told apart that are
// one's own, and how it is written in a filter.
type tuning struct{ field, how, value string }

// tuningOf returns how to say which events of a log source are one's own.
func tuningOf(s sigma.LogSource) tuning {
	switch {
	case s.Product == "aws":
		return tuning{"userIdentity.arn", "|contains", ":assumed-role/Deployment/"}
	case strings.HasPrefix(s.Service, "google_workspace."):
		return tuning{"actor.email", "", "backup@corp.example"}
	case s.Product == "gcp":
		return tuning{"protoPayload.authenticationInfo.principalEmail", "", "deploy@project.iam.gserviceaccount.com"}
	case s.Product == "azure" && s.Service == "activitylogs":
		return tuning{"caller", "", "deploy@corp.example"}
	case s.Product == "azure" && s.Service == "signinlogs":
		return tuning{"userPrincipalName", "", "breakglass@corp.example"}
	case s.Product == "azure" && s.Service == "auditlogs":
		return tuning{"initiatedBy.user.userPrincipalName", "", "deploy@corp.example"}
	case s.Product == "azure":
		return tuning{"callerIpAddress", "|cidr", "192.0.2.0/24"}
	case s.Product == "m365":
		return tuning{"UserId", "", "backup@corp.example"}
	case s.Product == "kubernetes":
		return tuning{"user.username", "|startswith", "system:serviceaccount:ci:"}
	case s.Product == "okta":
		return tuning{"actor.alternateId", "", "provisioning@corp.example"}
	case s.Product == "github":
		return tuning{"actor", "", "release-bot"}
	case s.Product == "zeek":
		return tuning{"id.orig_h", "|cidr", "192.0.2.0/24"}
	}
	switch s.Category {
	case "webserver", "proxy":
		return tuning{"c-ip", "|cidr", "192.0.2.0/24"}
	case "firewall", "dns":
		return tuning{"src_ip", "|cidr", "192.0.2.0/24"}
	case "database", "application":
		return tuning{"user", "", "backup"}
	case "process_creation":
		if s.Product == "windows" {
			return tuning{"ParentImage", "|endswith", `\CcmExec.exe`}
		}
		return tuning{"ParentImage", "|endswith", "/puppet"}
	case "process_access", "create_remote_thread":
		return tuning{"SourceImage", "|startswith", `C:\Program Files\Backup\`}
	case "ps_script", "ps_module", "ps_classic_script", "ps_classic_provider_start":
		return tuning{"Computer", "|startswith", "ADMIN-"}
	}
	switch {
	case s.Product == "windows" && s.Category != "":
		return tuning{"Image", "|startswith", `C:\Program Files\Backup\`}
	case s.Product == "windows" && s.Service == "security":
		return tuning{"SubjectUserName", "", "svc-backup"}
	case s.Product == "windows":
		return tuning{"Computer", "|startswith", "ADMIN-"}
	case s.Product == "linux" && s.Category == "" && s.Service != "auditd":
		return tuning{"user", "", "backup"}
	case s.Product == "linux" || s.Product == "macos":
		return tuning{"Image", "|startswith", "/opt/backup/"}
	}
	return tuning{"src_ip", "|cidr", "192.0.2.0/24"}
}

// exampleFilter is a Sigma filter that takes events of one's own away from a rule.
func exampleFilter(d *ruleDoc) string {
	how := tuningOf(d.LogSource)
	var b strings.Builder
	fmt.Fprintf(&b, "title: Ours\nlogsource: {%s}\nfilter:\n  rules: [%s]\n  own:\n    %s%s: '%s'\n  condition: not own\n",
		strings.NewReplacer("=", ": ", " ", ", ").Replace(sourceName(d.LogSource)), d.ID, how.field, how.how, how.value)
	return b.String()
}
