// Package respond tells people. A Message is made once from an incident and what
// changed of it; a Notifier brings it to one place in the form of that place; routes
// say who is told what; the Worker sends what is due, tries again what failed, and
// sets aside what will never arrive.
//
// Everything in a message but our own words was written by attackers: each notifier
// escapes it for its target, and no text becomes a link, a mention or a header.
package respond

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/catena-sec/catena/internal/config"
)

// A Notifier brings messages to one place. It is safe for concurrent use.
type Notifier interface {
	// Notify sends m. thread is what an earlier message about the same incident
	// returned, empty for the first: the target's own name of the conversation. An
	// error that is no Permanent is worth another try.
	Notify(ctx context.Context, m *Message, thread string) (string, error)
}

// Environment is what notifiers need of the world.
type Environment struct {
	// Client sends over HTTP; see NewClient.
	Client *http.Client
	// Dial opens other connections, under the same rules.
	Dial Dialer
	// Now is the wall clock.
	Now func() time.Time
}

// A maker makes a notifier of its settings; secret is resolved.
type maker func(t config.Target, secret string, env Environment) (Notifier, error)

// makers is the catalog: to add a kind, write its file and its line here, and the
// kind's name in config.Target.
func makers() map[string]maker {
	return map[string]maker{
		"slack":     newSlack,
		"teams":     newTeams,
		"pagerduty": newPagerDuty,
		"jira":      newJira,
		"email":     newEmail,
		"webhook":   newWebhook,
		"syslog":    newSyslog,
		"ntfy":      newNtfy,
	}
}

// New makes the notifier of a target. An error says which setting is wrong.
func New(t config.Target, env Environment) (Notifier, error) {
	m, ok := makers()[t.Kind]
	if !ok {
		return nil, fmt.Errorf("target %q: unknown kind %q", t.Name, t.Kind)
	}
	secret, err := t.Secret.Value()
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", t.Name, err)
	}
	n, err := m(t, secret, env)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", t.Name, err)
	}
	return n, nil
}

// Permanent is an error that no further try mends, such as a refused token.
type Permanent struct{ Err error }

// Error is the cause.
func (p Permanent) Error() string { return p.Err.Error() }

// Unwrap is the cause.
func (p Permanent) Unwrap() error { return p.Err }

// Later is an error of a target that says when to come again.
type Later struct {
	After time.Duration
	Err   error
}

// Error is the cause.
func (l Later) Error() string { return l.Err.Error() }

// Unwrap is the cause.
func (l Later) Unwrap() error { return l.Err }

// Networks reads the networks of one's own that targets may stand in.
func Networks(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
