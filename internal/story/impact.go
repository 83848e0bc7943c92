package story

import (
	"fmt"
	"slices"
	"strings"

	"github.com/catena-sec/catena/internal/knowledge"
	"github.com/catena-sec/catena/internal/model"
)

// impact says what the attack got. Compromised is what the attacker acted from or
// as: a host on which his code ran, an account or key he used. Touched is what he
// reached for without that. Exposed are accounts whose credentials lay where he
// could read them.
func impact(c Case, ds []*deed, mem Memory) model.Impact {
	var compromised, touched, exposed, data set
	var credentials []string // hosts whose credentials were read
	for _, d := range ds {
		if len(d.alerts) == 0 {
			continue
		}
		key := func(e model.Entity) string { return mem.Resolve(e, d.host, d.time).String() }
		acted := actsFrom(d)
		if d.host != "" {
			k := model.EntityKey{Type: model.Host, Value: d.host}.String()
			if acted {
				compromised.add(k)
			} else {
				touched.add(k)
			}
		}
		if d.tactic == knowledge.CredentialAccess && d.host != "" && acted && !slices.Contains(credentials, d.host) {
			credentials = append(credentials, d.host)
		}
		for _, e := range d.entities {
			switch e.Type {
			case model.User, model.AccessKey, model.IAMRole, model.Mailbox, model.App:
				switch {
				case e.Role == model.Actor && acted:
					compromised.add(key(e))
				case e.Role == model.Target && (d.act == model.ActLogon || d.act == model.ActKeyIssued || d.act == model.ActAssumeRole):
					compromised.add(key(e))
				case e.Role == model.Target:
					touched.add(key(e))
				}
			case model.Host:
				if e.Role == model.Dst || e.Role == model.Target {
					touched.add(key(e))
				}
			case model.Resource:
				touched.add(key(e))
			}
		}
		switch d.act {
		case model.ActObjectRead, model.ActMailAccess:
			for _, e := range d.entities {
				if e.Role == model.Target {
					data.add(key(e))
				}
			}
		case model.ActFileWrite:
			if f, ok := findIn(d.entities, model.File, model.Object); ok && d.tactic == knowledge.CredentialAccess {
				data.add(key(f))
			}
		}
	}
	// Who else was logged on where credentials were read is exposed.
	for _, a := range c.Core {
		if !slices.Contains(credentials, a.Host) {
			continue
		}
		for _, e := range a.Entities {
			if e.Type == model.User && e.Role != model.Sensor {
				exposed.add(mem.Resolve(e, a.Host, a.Time).String())
			}
		}
	}
	touched.minus(compromised)
	exposed.minus(compromised)
	out := model.Impact{Compromised: compromised.list(), Touched: touched.list(), Exposed: exposed.list(), Data: data.list()}
	out.Summary = impactSummary(out, credentials)
	return out
}

// actsFrom says whether a deed shows the attacker acting on its host or as its
// actor, and not merely knocking.
func actsFrom(d *deed) bool {
	switch d.act {
	case model.ActLogonFailed, model.ActConnect, model.ActDNS:
		return d.process.Value != "" && d.act != model.ActLogonFailed
	case model.ActTicket, model.ActShareAccess:
		return false
	}
	return d.tactic != knowledge.Reconnaissance
}

func impactSummary(i model.Impact, credentials []string) string {
	var parts []string
	count := func(list []string, t model.EntityType) int {
		n := 0
		for _, s := range list {
			if strings.HasPrefix(s, string(t)+":") {
				n++
			}
		}
		return n
	}
	say := func(n int, one, many string) {
		if n == 1 {
			parts = append(parts, "1 "+one)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	say(count(i.Compromised, model.Host), "host", "hosts")
	say(count(i.Compromised, model.User)+count(i.Compromised, model.IAMRole), "account or role", "accounts or roles")
	say(count(i.Compromised, model.AccessKey), "access key", "access keys")
	var b strings.Builder
	if len(parts) == 0 {
		b.WriteString("Nothing is shown to be under the attacker's control")
	} else {
		b.WriteString("Under the attacker's control: " + strings.Join(parts, ", "))
	}
	if len(credentials) > 0 {
		names := make([]string, len(credentials))
		for j, h := range credentials {
			names[j] = short(h)
		}
		b.WriteString("; credentials were read on " + strings.Join(names, ", "))
	}
	parts = parts[:0]
	say(count(i.Data, model.Mailbox), "mailbox", "mailboxes")
	say(count(i.Data, model.Resource), "object or store", "objects or stores")
	say(count(i.Data, model.File), "file", "files")
	if len(parts) > 0 {
		b.WriteString("; read or taken: " + strings.Join(parts, ", "))
	}
	b.WriteString(".")
	return b.String()
}

// set is a list without repeats, bounded.
type set struct{ items []string }

func (s *set) add(v string) {
	if v != "" && len(s.items) < maxListed && !slices.Contains(s.items, v) {
		s.items = append(s.items, v)
	}
}

func (s *set) minus(o set) {
	s.items = slices.DeleteFunc(s.items, func(v string) bool { return slices.Contains(o.items, v) })
}

func (s *set) list() []string {
	slices.Sort(s.items)
	return orEmpty(s.items)
}
