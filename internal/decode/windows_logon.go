package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// A wordyLogon is a logon that a program on Windows tells in a sentence.
type wordyLogon struct {
	act  model.Act // ActLogon or ActLogonFailed; ActNone if the sentence tells no logon
	user string
	from string // the address it came from
}

// sshLogon reads a line of OpenSSH's server: "Failed password for invalid user eve
// from 192.0.2.1 port 5 ssh2". A name may hold anything, " from " too, so the
// address is looked for from the right.
func sshLogon(line string) (l wordyLogon) {
	line = strings.TrimPrefix(line, "error: ")
	rest, ok := strings.CutPrefix(line, "Accepted ")
	if ok {
		l.act = model.ActLogon
	} else if rest, ok = strings.CutPrefix(line, "Failed "); ok {
		l.act = model.ActLogonFailed
	} else {
		return wordyLogon{}
	}
	_, rest, ok = strings.Cut(rest, " for ")
	at := strings.LastIndex(rest, " from ")
	if !ok || at < 0 {
		return wordyLogon{}
	}
	l.user = strings.TrimSpace(strings.TrimPrefix(rest[:at], "invalid user "))
	l.from, _, _ = strings.Cut(rest[at+len(" from "):], " ")
	return l
}

// sqlLogon reads SQL Server's own logon events: the login's name is the first
// text, the client's address stands in a later one as "[CLIENT: 192.0.2.1]".
func sqlLogon(code string, slots []model.Slot) (l wordyLogon) {
	switch code {
	case "18456":
		l.act = model.ActLogonFailed
	case "18453", "18454":
		l.act = model.ActLogon
	default:
		return wordyLogon{}
	}
	first := true
	for i := range slots {
		if slots[i].Field != model.FData {
			continue
		}
		if first {
			l.user, first = slots[i].Text, false
		}
		if ip := between(slots[i].Text, "[CLIENT: ", "]"); ip != "" {
			l.from = ip
		}
	}
	return l
}

// sqlAuditAct tells what SQL Server's audit record (33205) reports, by its
// action_id: LGIF and LGIS are refused and granted logons, AP.. and DP.. change who
// belongs to a role, CR, AL and DR create, alter and drop; the rest reads.
func sqlAuditAct(text string) model.Act {
	action, class := auditValue(text, "action_id"), auditValue(text, "class_type")
	switch action {
	case "LGIF":
		return model.ActLogonFailed
	case "LGIS":
		return model.ActLogon
	case "LGO":
		return model.ActLogoff
	case "APRL", "DPRL", "PWR", "PWRS", "PWCS": // role members, passwords
		return model.ActAccountChange
	case "CR", "AL", "DR":
		switch class {
		case "SL", "WL", "LX", "US", "SU", "WU", "SG", "RL": // logins, users, roles
			return model.ActAccountChange
		}
		return model.ActConfigChange
	case "AUSC", "AUSF": // the audit itself was started, stopped or changed
		return model.ActConfigChange
	}
	return model.ActObjectRead
}

// auditValue returns a value of an audit record's "name:value" lines.
func auditValue(text, name string) string {
	for text != "" {
		i := strings.Index(text, name+":")
		if i < 0 {
			return ""
		}
		begins := i == 0 || text[i-1] == '\n' || text[i-1] == ' '
		text = text[i+len(name)+1:]
		if !begins {
			continue // the end of a longer name
		}
		if end := strings.IndexAny(text, " \t\r\n"); end >= 0 {
			text = text[:end]
		}
		return text
	}
	return ""
}

// between returns what stands between two marks, empty if one is missing.
func between(text, before, after string) string {
	_, rest, ok := strings.Cut(text, before)
	if !ok {
		return ""
	}
	inner, _, ok := strings.Cut(rest, after)
	if !ok {
		return ""
	}
	return inner
}
