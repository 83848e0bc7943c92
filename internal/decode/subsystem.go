package decode

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A Clue says what is known of a field of some events: it holds one of the texts,
// as its whole value or as a part of it, in whatever case. Without texts nothing
// is known.
type Clue struct {
	Texts []string
	Whole bool
}

// SubsystemOf returns what kind of thing events of a log source are about, as the
// decoders see it, or empty where that differs from event to event, or cannot be
// told from what is known of their fields.
func SubsystemOf(s model.LogSource, clue func(field string) Clue) model.Subsystem {
	switch s.Category {
	case "network_connection", "dns_query", "dns", "firewall", "proxy", "ids", "vpn":
		return model.Network
	case "webserver":
		return model.Application
	case "database":
		return model.Database
	}
	switch s.Product {
	case "windows":
		return windowsSubsystem(s, clue)
	case "aws":
		return awsSubsystemOf(clue)
	case "azure":
		return azureSubsystemOf(s.Service, clue)
	case "m365":
		return officeSubsystemOf(s.Service, clue)
	case "gcp":
		if app, ok := strings.CutPrefix(s.Service, "google_workspace."); ok {
			return workspaceSubsystemOf(app, clue)
		}
		return gcpSubsystemOf(clue)
	case "github":
		return githubSubsystemOf(clue)
	case "zeek", "suricata", "cisco", "juniper", "huawei", "fortigate", "fortios", "paloalto", "checkpoint", "rpc_firewall":
		return model.Network
	case "kubernetes":
		return model.Kubernetes
	case "okta", "onelogin", "identity", "cisco_duo":
		return model.Identity
	case "django", "spring", "ruby_on_rails", "python", "jvm", "nodejs", "velocity", "apache", "nginx", "bitbucket", "gitlab":
		return model.Application
	case "sql", "mssql", "mysql", "postgresql", "mongodb":
		return model.Database
	case "linux":
		if s.Service == "osquery" && s.Category == "" {
			return ""
		}
		if programs := clue("program"); len(programs.Texts) > 0 {
			return agreed(programs.Texts, func(program string) model.Subsystem { return linuxSubsystem(s, program) })
		}
		return linuxSubsystem(s, "")
	case "macos":
		if s.Category == "" && s.Service != "" {
			return ""
		}
		return model.Compute
	}
	switch s.Category {
	case "process_creation", "process_access", "image_load", "file_event", "file_access", "antivirus", "edr":
		return model.Compute
	}
	return ""
}

// agreed returns what all of the texts come to, empty if they differ or are not
// known.
func agreed(texts []string, of func(string) model.Subsystem) model.Subsystem {
	if len(texts) == 0 {
		return ""
	}
	out := of(texts[0])
	for _, v := range texts[1:] {
		if of(v) != out {
			return ""
		}
	}
	return out
}

// firstClue returns what is known of the first of the fields of which anything is.
func firstClue(clue func(string) Clue, fields ...string) Clue {
	for _, f := range fields {
		if c := clue(f); len(c.Texts) > 0 {
			return c
		}
	}
	return Clue{}
}

// hasWord reports whether one of the words, in lower case, stands in a text.
func hasWord(lower string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}

// linuxSubsystem is what kind of thing events of a Linux machine are about, of
// which a program may have told.
func linuxSubsystem(s model.LogSource, program string) model.Subsystem {
	switch s.Category {
	case "":
	case "network_connection", "dns_query":
		return model.Network
	default:
		return model.Compute
	}
	switch s.Service {
	case "sshd", "auth", "sudo":
		return model.Identity
	case "vsftpd", "guacd", "modsecurity":
		return model.Application
	}
	program, _, _ = strings.Cut(strings.ToLower(program), "/") // "postfix/smtpd"
	switch program {
	case "postfix", "exim", "exim4", "sendmail", "sm-mta", "dovecot", "opensmtpd", "smtpd":
		return model.Email
	}
	return model.Compute
}

func windowsSubsystem(s model.LogSource, clue func(field string) Clue) model.Subsystem {
	if s.Category != "" {
		return model.Compute
	}
	var none winView
	act := func(of func(id int) model.Subsystem) model.Subsystem {
		c := clue("EventID")
		return agreed(c.Texts, func(v string) model.Subsystem {
			id, err := strconv.Atoi(v)
			if err != nil || !c.Whole {
				return ""
			}
			return of(id)
		})
	}
	switch s.Service {
	case "":
		return ""
	case "security":
		return act(func(id int) model.Subsystem {
			_, _, sub := securityAct(id, &none)
			return sub
		})
	case "sysmon":
		return act(func(id int) model.Subsystem {
			a, _ := sysmonAct(id, &none)
			return sysmonSubsystem(a)
		})
	}
	for i := range winChannels {
		c := &winChannels[i]
		if c.service != s.Service {
			continue
		}
		switch c.kind {
		case winIdentity, winTerminalServices, winOpenSSH:
			return model.Identity
		case winNetwork, winFirewall, winDNSClient:
			return model.Network
		case winExchange:
			return model.Email
		case winApplication: // of any program, which its provider names
			provider := clue("Provider_Name")
			return cmp.Or(agreed(provider.Texts, sqlProvider), act(func(id int) model.Subsystem {
				_, sub := otherAct(c.kind, id, &none)
				if sub == model.Compute && len(provider.Texts) == 0 {
					return ""
				}
				return sub
			}))
		case winSystem, winTaskScheduler:
			return act(func(id int) model.Subsystem {
				_, sub := otherAct(c.kind, id, &none)
				return sub
			})
		}
		return model.Compute
	}
	return ""
}

func sqlProvider(name string) model.Subsystem {
	if strings.HasPrefix(strings.ToLower(name), "mssql") {
		return model.Database
	}
	return ""
}
