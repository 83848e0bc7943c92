package report

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// stamp is a time as people read it: "2026-03-01 09:12:03", UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// clock is the time of day: "09:12:03", UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// span is how long something took, in its two largest units: "2 h 28 min".
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		out := fmt.Sprintf("%d %s", d/u.size, u.name)
		if i+1 < len(units) {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				out += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return out
	}
	return "under 1 s"
}

// thousands writes 1234567 as "1,234,567".
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		return "-" + s
	}
	return s
}

// plural writes "1 alert", "2 alerts".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// percent writes a probability.
func percent(p float64) string { return strconv.Itoa(int(p*100+0.5)) + " %" }

// offset writes a clock's correction, in seconds, with its sign: "-4 h".
func offset(s float64) string {
	sign := "+"
	if s < 0 {
		sign, s = "-", -s
	}
	if s < 60 {
		return fmt.Sprintf("%s%.3g s", sign, s)
	}
	return sign + span(time.Duration(min(s, 1e9))*time.Second)
}

// splitKey splits "type:value"; what does not start with an entity type has none.
func splitKey(key string) (kind model.EntityType, value string) {
	k, v, _ := strings.Cut(key, ":")
	switch t := model.EntityType(k); t {
	case model.Host, model.User, model.Process, model.File, model.Hash, model.IP, model.Domain, model.URL, model.Session, model.AccessKey,
		model.IAMRole, model.Resource, model.Container, model.Pod, model.Namespace, model.Mailbox, model.App:
		return t, v
	}
	return "", key
}

// keyWords writes "type:value" as "type value", with underscores as spaces.
func keyWords(key string) string {
	k, v := splitKey(key)
	if k == "" {
		return v
	}
	return strings.ReplaceAll(string(k), "_", " ") + " " + v
}

// baseName is the last part of a Windows or POSIX path, a domain user or an ARN:
// what fits into a picture.
func baseName(s string) string {
	if strings.HasPrefix(s, "arn:") {
		s = s[strings.LastIndexByte(s, ':')+1:]
		if strings.HasSuffix(s, "/*") {
			return s // every one of a kind: the kind says more than the star
		}
	}
	s = strings.TrimRight(strings.ReplaceAll(s, `\`, "/"), "/")
	if b := path.Base(s); b != "." && b != "/" {
		return b
	}
	return s
}

// stageShort names a stage in few letters, for strips.
func stageShort(s model.Stage) string {
	switch s {
	case model.StageReconnaissance:
		return "Recon"
	case model.StagePrivilegeEscalation:
		return "Privilege"
	case model.StageLateralMovement:
		return "Lateral"
	case model.StageDenialOfService:
		return "Denial"
	}
	return title(string(s))
}

// severities counts incidents by severity, worst first, leaving out those
// without any.
func severities(incidents []model.Incident) []severityCount {
	var out []severityCount
	for _, s := range []model.Severity{model.Critical, model.High, model.Medium, model.Low, model.Informational} {
		n := 0
		for i := range incidents {
			if incidents[i].Severity == s {
				n++
			}
		}
		if n > 0 {
			out = append(out, severityCount{s, n})
		}
	}
	return out
}

type severityCount struct {
	Severity model.Severity
	Count    int
}

// strongest returns the n links of most bits, strongest first;
// ties keep their order.
func strongest(links []model.Link, n int) []model.Link {
	out := append([]model.Link(nil), links...)
	slices.SortStableFunc(out, func(a, b model.Link) int { return cmp.Compare(b.Bits, a.Bits) })
	return out[:min(n, len(out))]
}
