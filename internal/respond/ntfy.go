package respond

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/catena-sec/catena/internal/config"
	"github.com/catena-sec/catena/internal/model"
)

// ntfy publishes to a topic: https://docs.ntfy.sh/publish/#publish-as-json
type ntfy struct {
	client           *http.Client
	to, topic, token string
}

func newNtfy(t config.Target, secret string, env Environment) (Notifier, error) {
	u, err := address(t.URL, "https", "http")
	if err != nil {
		return nil, err
	}
	n := &ntfy{env.Client, t.URL, "", secret}
	if len(t.To) > 0 {
		n.topic = t.To[0]
	} else if topic := strings.Trim(u.Path, "/"); topic != "" { // as ntfy itself shows addresses
		n.topic, u.Path = topic, "/"
		n.to = u.String()
	}
	if n.topic == "" {
		return nil, errors.New("to, the topic, is needed")
	}
	return n, nil
}

type ntfyMessage struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"`
	Tags     []string `json:"tags,omitempty"`
	Click    string   `json:"click,omitempty"`
}

// ntfyText bounds the text, in characters: a longer one becomes a file.
const ntfyText = 3500

func (n *ntfy) Notify(ctx context.Context, m *Message, _ string) (string, error) {
	var parts []string
	for _, s := range m.sections() {
		parts = append(parts, s.title+": "+s.text)
	}
	out := ntfyMessage{Topic: n.topic, Title: runes(oneLine(defang(m.headline())), 200), Message: runes(defang(strings.Join(parts, "\n\n")), ntfyText), Priority: 3, Click: m.Link}
	switch m.Severity { //nolint:exhaustive // all else is usual
	case model.Critical:
		out.Priority, out.Tags = 5, []string{"rotating_light"}
	case model.High:
		out.Priority, out.Tags = 4, []string{"warning"}
	}
	h := http.Header{}
	if n.token != "" {
		h.Set("Authorization", "Bearer "+n.token)
	}
	return "", post(ctx, n.client, n.to, h, out, nil)
}
