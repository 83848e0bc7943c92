package graph

import (
	"fmt"
	"testing"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

var realmAt = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func said(m *Memory, after time.Duration, act model.Act, host string, es ...model.Entity) {
	m.Observe(&model.Observation{Event: fmt.Sprint("e-", m.Observed()), Time: realmAt.Add(after), Act: act, Host: host, Entities: es})
}

func behindOf(m *Memory, e model.Entity, after time.Duration) map[model.EntityKey]bool {
	out := map[model.EntityKey]bool{}
	for _, b := range m.Lineage(m.Resolve(e, "", realmAt.Add(after)), realmAt.Add(after)) {
		out[b.To] = true
	}
	return out
}

// A user signs in at the identity provider and enters a cloud account by SAML: the
// provider's session stands behind the key, that of another address does not.
func TestFederationIsCrossed(t *testing.T) {
	const awsSession = "arn:aws:sts::111122223333:assumed-role/admin/bob@example.com"
	user := model.Entity{Type: model.User, Value: "bob@example.com", Role: model.Target}
	enter := func(from string, after time.Duration) map[model.EntityKey]bool {
		m := New(Options{})
		for i, ip := range []string{"203.0.113.9", "198.51.100.4"} {
			said(m, time.Duration(i)*time.Minute, model.ActLogon, "", user, model.Entity{Type: model.Session, Value: "okta:" + ip, Role: model.Target}, model.Entity{Type: model.IP, Value: ip, Role: model.Src})
		}
		actor := user
		actor.Role = model.Actor
		said(m, after, model.ActAssumeRole, "", actor, model.Entity{Type: model.IP, Value: from, Role: model.Src},
			model.Entity{Type: model.AccessKey, Value: "ASIAEXAMPLE1", Role: model.Target}, model.Entity{Type: model.Session, Value: awsSession, Role: model.Target})
		return behindOf(m, model.Entity{Type: model.AccessKey, Value: "ASIAEXAMPLE1"}, after+time.Minute)
	}
	okta := func(ip string) model.EntityKey { return model.EntityKey{Type: model.Session, Value: "okta:" + ip} }
	if got := enter("203.0.113.9", 5*time.Minute); !got[okta("203.0.113.9")] || got[okta("198.51.100.4")] {
		t.Errorf("behind the key stand %v", got)
	}
	if got := enter("192.0.2.1", 5*time.Minute); got[okta("203.0.113.9")] || got[okta("198.51.100.4")] {
		t.Errorf("behind a key fetched from elsewhere stand %v", got)
	}
	if got := enter("203.0.113.9", 40*time.Hour); got[okta("203.0.113.9")] {
		t.Errorf("behind a key fetched the day after next stand %v", got)
	}
}

// A pod's token becomes a cloud role: the pod stands behind it, unless two pods share
// the service account.
func TestAPodTakesOnARole(t *testing.T) {
	sa := model.Entity{Type: model.User, Value: "system:serviceaccount:shop:web", Role: model.Actor}
	pod := func(name string) model.Entity {
		return model.Entity{Type: model.Pod, Value: "shop/" + name, Role: model.Actor}
	}
	m := New(Options{})
	said(m, 0, model.ActAPICall, "", sa, pod("web-1"))
	take := func(key string, after time.Duration) {
		said(m, after, model.ActAssumeRole, "", sa, model.Entity{Type: model.AccessKey, Value: key, Role: model.Target}, model.Entity{Type: model.IP, Value: "198.51.100.4", Role: model.Src})
	}
	take("ASIA1", time.Minute)
	if got := behindOf(m, model.Entity{Type: model.AccessKey, Value: "ASIA1"}, 2*time.Minute); !got[pod("web-1").Key()] {
		t.Errorf("behind the role's key stand %v, not the pod", got)
	}
	said(m, 3*time.Minute, model.ActAPICall, "", sa, pod("web-2"))
	take("ASIA2", 4*time.Minute)
	if got := behindOf(m, model.Entity{Type: model.AccessKey, Value: "ASIA2"}, 5*time.Minute); got[pod("web-1").Key()] || got[pod("web-2").Key()] {
		t.Errorf("two pods share the account, yet behind the key stand %v", got)
	}
}

// Whose an address is depends on when: a lease ends where the next begins.
func TestAnAddressIsLeased(t *testing.T) {
	m := New(Options{})
	give := func(after time.Duration, host string) {
		said(m, after, model.ActIdentify, "dhcp01", model.Entity{Type: model.Host, Value: host, Role: model.Subject},
			model.Entity{Type: model.IP, Value: "10.0.0.50", Role: model.Subject}, model.Entity{Type: model.Host, Value: "dhcp01", Role: model.Sensor})
	}
	give(0, "ws1")
	give(time.Hour, "ws1")
	give(2*time.Hour, "ws2")
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{-time.Hour, ""}, {time.Minute, "ws1"}, {119 * time.Minute, "ws1"}, {121 * time.Minute, "ws2"}, {30 * 24 * time.Hour, ""}} {
		if got := m.Owner("10.0.0.50", realmAt.Add(c.after)); got != c.want {
			t.Errorf("after %s the address is of %q, want %q", c.after, got, c.want)
		}
	}
	for i := range 2 * maxLeases {
		give(3*time.Hour+time.Duration(i)*time.Second, fmt.Sprint("h", i))
	}
	if n := len(m.names.leases["10.0.0.50"]); n > maxLeases {
		t.Errorf("%d leases of one address are kept", n)
	}
}
