package graph

import (
	"strings"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// realmWindow is how long before a role is taken on the session at the identity
// provider may have begun: those last a working day.
const realmWindow = 12 * time.Hour

// realmKey is under what log-ons to an identity provider are remembered.
func realmKey(user model.EntityKey) string { return "\x00" + user.Value }

// learnPod notes which pod uses the token of a service account.
func (n *names) learnPod(o *model.Observation) {
	pod, ok := o.Find(model.Pod, model.Actor)
	if !ok {
		return
	}
	if node, ok := o.Find(model.Host, model.Src); ok && !generic(node.Value) { // the token says where it was issued to the pod
		n.nodes.claim(pod.Value, n.host(node.Value), o.Time)
	}
	if u, ok := o.Find(model.User, model.Actor); ok && strings.HasPrefix(u.Value, "system:serviceaccount:") {
		learnOnly(n.pods, n.user(u), pod.Value)
	}
}

// crossed links what was issued to who came for it from another realm: the session
// that a user of an identity provider had from the same address, or the pod that
// alone uses the service account's token.
func (m *Memory) crossed(c *cast, actor, k, s *node) {
	if actor == nil || actor.key.Type != model.User || k == nil && s == nil {
		return
	}
	var from *node
	if pod := m.names.pods[actor.key.Value]; pod != "" {
		from = m.touch(model.Entity{Type: model.Pod, Value: pod}, c.o.Time)
	} else if l := m.enteredBefore(actor.key, c.get(model.IP, model.Src), c.o.Time); l != nil {
		from = l
	}
	if from == nil {
		return
	}
	m.link(from, k, c.o, model.SameRoleChain, true)
	m.link(from, s, c.o, model.SameRoleChain, true)
}

// enteredBefore returns the youngest session of a user at an identity provider that
// came from the same address; of another address is another's work, even if the
// account is one.
func (m *Memory) enteredBefore(user model.EntityKey, src *node, t time.Time) *node {
	l := m.logons[realmKey(user)]
	for i := len(l) - 1; i >= 0; i-- {
		d := t.Sub(l[i].at)
		if d < -slack || d > realmWindow || l[i].session.gone || l[i].from == nil || l[i].from != src {
			continue
		}
		return l[i].session
	}
	return nil
}
