package graph

import (
	"cmp"
	"slices"
	"time"

	"github.com/catena-sec/catena/internal/model"
)

// learnNode notes on which host a pod ran, and in which pod a container, where a
// record names one of each as what it happened in.
func (n *names) learnNode(es []model.Entity, t time.Time) {
	host, pod, container := only(es, model.Host), only(es, model.Pod), only(es, model.Container)
	if pod != "" && host != "" && !generic(host) {
		n.nodes.claim(pod, n.host(host), t)
	}
	if container != "" && pod != "" {
		n.inside.claim(container, pod, t)
	}
}

// only returns the only subject of a type, empty if there are none or several.
func only(es []model.Entity, t model.EntityType) string {
	value := ""
	for i := range es {
		if e := &es[i]; e.Type == t && e.Role == model.Subject {
			if value != "" && value != e.Value {
				return ""
			}
			value = e.Value
		}
	}
	return value
}

// Introduce learns from the alerts of other products which names mean the same: they
// often say more of a machine or a user than the telemetry beneath them. It is called
// before the first act is observed, so that acts are kept under the right names.
func (m *Memory) Introduce(alerts []*model.Alert) {
	inOrder := slices.Clone(alerts)
	slices.SortStableFunc(inOrder, func(x, y *model.Alert) int { return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.ID, y.ID)) })
	for _, a := range inOrder {
		m.names.learnHost(a.Host)
		m.names.learnEntities(a.Entities, a.Time)
		if only(a.Entities, model.Host) == "" && a.Host == "" {
			// The address of an instance leads to the host that it is. One beside a
			// host's name stays what alerts on that host share: fusion goes by it.
			m.names.learnLease(a.Entities, a.Time)
		}
	}
}

// Locate adds to an alert of another product where it happened, if memory knows that
// and the alert does not say it: the pod of a container, the host of a pod, the host
// that an instance is. What alerts of our own rules name, their events said.
func (m *Memory) Locate(a *model.Alert) {
	subject := func(t model.EntityType, v string) {
		if v != "" {
			a.Entities = append(a.Entities, model.Entity{Type: t, Value: v, Role: model.Subject})
		}
	}
	pod := only(a.Entities, model.Pod)
	if container := only(a.Entities, model.Container); container != "" && pod == "" {
		pod = m.names.inside.nameOf(container, a.Time, same)
		subject(model.Pod, pod)
	}
	if _, ok := a.Find(model.Host, model.Subject); ok || a.Host != "" {
		return
	}
	host := ""
	if pod != "" {
		host = m.names.nodes.nameOf(pod, a.Time, m.names.host)
	}
	if id, ok := machineID(only(a.Entities, model.Resource)); ok && host == "" {
		host = m.names.machine(id, a.Time)
	}
	subject(model.Host, host)
}

func same(s string) string { return s }
