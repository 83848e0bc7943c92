package sigma

import "strings"

// covers reports whether a rule for one log source applies to events of another:
// every part that the rule names equals the event's, case ignored, or is a name
// that takes the event's in. Both must be folded.
func covers(rule, event LogSource) bool {
	return (rule.Product == "" || rule.Product == event.Product) &&
		(rule.Category == "" || rule.Category == event.Category || includesCategory(rule.Category, event.Category)) &&
		(rule.Service == "" || rule.Service == event.Service || includesService(rule.Product, rule.Service, event.Service))
}

// includesCategory is the table of categories that stand for several others, as
// Sigma's taxonomy defines them.
func includesCategory(rule, event string) bool {
	switch rule {
	case "registry_event":
		switch event {
		case "registry_add", "registry_set", "registry_delete", "registry_rename":
			return true
		}
	}
	return false
}

// includesService is the table of services whose log is the log of others as
// well: the authentication log of Linux, the system log that takes all programs
// in, and the unified audit log of Microsoft 365.
func includesService(product, rule, event string) bool {
	if product == "m365" { // the unified audit log takes every workload in
		return rule == "audit" && (event == "exchange" || event == "threat_management" || event == "threat_detection")
	}
	if product != "linux" && product != "" {
		return false
	}
	switch event {
	case "sshd", "sudo", "su", "login", "passwd", "useradd", "usermod", "userdel", "groupadd", "systemd-logind", "polkitd", "pam":
		return rule == "auth" || rule == "syslog"
	case "auth", "cron", "kernel", "clamav", "vsftpd", "guacamole":
		return rule == "syslog"
	}
	return false
}

// Covers reports whether rules for a log source apply to events of another.
func (s LogSource) Covers(event LogSource) bool { return covers(s.fold(), event.fold()) }

// Fold returns a log source in lower case, as case does not count in them.
func (s LogSource) Fold() LogSource { return s.fold() }

func (s LogSource) fold() LogSource {
	return LogSource{strings.ToLower(s.Product), strings.ToLower(s.Category), strings.ToLower(s.Service)}
}
