package decode

import (
	"strings"

	"github.com/catena-sec/catena/internal/model"
)

// What a machine in a cloud says of its other self: agents log the instance they
// run on, and a question to the metadata service names the role whose credentials
// it wants. Both join the host's log to the cloud's.

// cloudAgent says whether a program is one that knows which instance it runs on.
func cloudAgent(program string) bool {
	switch program {
	case "amazon-ssm-agent", "amazon-ssm-agent.amazon-ssm-agent", "ssm-agent-worker", "cloud-init", "amazon-cloudwatch-agent", "ec2-instance-connect", "codedeploy-agent":
		return true
	}
	return false
}

// instanceIn returns the first instance id of EC2 that stands in a text as a
// whole word, empty if there is none.
func instanceIn(text string) string {
	for rest := text; ; {
		i := strings.Index(rest, "i-")
		if i < 0 {
			return ""
		}
		n := i + 2
		for n < len(rest) && isHex(rest[n]) {
			n++
		}
		bounded := (i == 0 || !isWordByte(rest[i-1])) && (n == len(rest) || !isWordByte(rest[n]))
		if id := rest[i:n]; bounded && isInstanceID(id) {
			return id
		}
		rest = rest[i+2:]
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

func isWordByte(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// roleAsked returns the role whose credentials a command line asks the metadata
// service of EC2 for, empty if it asks for none.
func roleAsked(command string) string {
	const path = "/meta-data/iam/security-credentials/"
	_, role, ok := strings.Cut(command, path)
	if !ok {
		return ""
	}
	end := strings.IndexFunc(role, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+=,.@-", r)
	})
	if end >= 0 {
		role = role[:end]
	}
	if len(role) > 64 { // IAM's own bound
		return ""
	}
	return role
}

// askedRole adds the role that a new process asks the metadata service for.
func (l *entityList) askedRole(e *model.Event) {
	if e.Act != model.ActProcessStart {
		return
	}
	if role := roleAsked(e.Text(model.FCommandLine)); role != "" {
		l.add(model.Entity{Type: model.IAMRole, Value: role, Role: model.Target})
	}
}
