package respond

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// pagerDutyAPI takes events: https://developer.pagerduty.com/docs/events-api-v2/overview/
const pagerDutyAPI = "https://events.pagerduty.com/v2/enqueue"

// pagerDuty sends Events API v2 events; one incident of ours is one of theirs, by the
// deduplication key.
type pagerDuty struct {
	client  *http.Client
	to, key string
}

func newPagerDuty(t config.Target, secret string, env Environment) (Notifier, error) {
	if secret == "" {
		return nil, errors.New("secret, the routing key, is needed")
	}
	n := &pagerDuty{env.Client, cmp.Or(t.URL, pagerDutyAPI), secret}
	_, err := address(n.to, "https", "http")
	return n, err
}

type (
	pdPayload struct {
		Summary   string            `json:"summary"`
		Source    string            `json:"source"`
		Severity  string            `json:"severity"`
		Timestamp string            `json:"timestamp"`
		Component string            `json:"component,omitempty"`
		Group     string            `json:"group,omitempty"`
		Class     string            `json:"class,omitempty"`
		Details   map[string]string `json:"custom_details,omitempty"`
	}
	pdLink struct {
		Href string `json:"href"`
		Text string `json:"text"`
	}
	pdEvent struct {
		RoutingKey string     `json:"routing_key"`
		Action     string     `json:"event_action"`
		DedupKey   string     `json:"dedup_key"`
		Payload    *pdPayload `json:"payload,omitempty"`
		Links      []pdLink   `json:"links,omitempty"`
		Client     string     `json:"client,omitempty"`
		ClientURL  string     `json:"client_url,omitempty"`
	}
)

// pdSummary bounds the summary, in characters, pdDedup the key.
const (
	pdSummary = 1024
	pdDedup   = 255
)

func (n *pagerDuty) Notify(ctx context.Context, m *Message, _ string) (string, error) {
	key := m.Key
	if m.Test {
		key = m.ID
	}
	e := pdEvent{RoutingKey: n.key, Action: "trigger", DedupKey: runes(key, pdDedup)}
	if m.Resolved {
		e.Action = "resolve"
		return "", post(ctx, n.client, n.to, nil, e, nil)
	}
	e.Payload = &pdPayload{
		Summary: runes(oneLine(m.headline()), pdSummary), Source: "catena", Group: m.Tenant, Class: string(m.Kind),
		Severity: pdSeverity(m.Severity), Timestamp: m.Time.Format(time.RFC3339), Details: map[string]string{},
	}
	if m.Document != nil {
		e.Payload.Component = runes(m.Document.Root.Host, 255)
	}
	for _, s := range m.sections() {
		e.Payload.Details[s.title] = defang(s.text)
	}
	if m.Link != "" {
		e.Links = []pdLink{{m.Link, "Story"}}
		e.Client, e.ClientURL = "Catena", m.Link
	}
	return "", post(ctx, n.client, n.to, nil, e, nil)
}

func pdSeverity(s model.Severity) string {
	switch s { //nolint:exhaustive // all else is info
	case model.Critical:
		return "critical"
	case model.High:
		return "error"
	case model.Medium:
		return "warning"
	}
	return "info"
}
